"""Requests that OpenRouter really billed, beside what the two years of prices make of them (../shared/data/costs)."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llmhive.app.library import Catalog
from llmhive.app.reconcile import Reconciler, Row, read
from llmhive.catalog.cause import AGREED, Cause
from llmhive.catalog.price import GAP
from llmhive.catalog.pricing import plain
from llmhive.store.database import Database, connect
from tests.support import history_database, shared_folder

pytestmark = [pytest.mark.history, pytest.mark.long]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("billed") / "history.db"
    shutil.copy(history_database(), path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="module")
def database(url: str) -> Iterator[Database]:
    opened = connect(url)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def cases() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(billed_file().read_bytes())
    assert len(found) == 47
    return found


@pytest.fixture(scope="module")
def rows(database: Database) -> list[Row]:
    with billed_file().open("rb") as lines:
        return list(Reconciler(database).rows(read(lines, "billed.json")))


def billed_file() -> Path:
    return shared_folder() / "data" / "costs" / "billed.json"


def amount(value: Any) -> Decimal | None:
    """An amount as the file spells it, by no code of ours."""
    return None if value is None else Decimal(repr(value))


def test_the_table(rows: list[Row], cases: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    heads = ("model", "time", "billed", "ours", "cause", "why")
    table = [
        (
            case["model"], case.get("time", "–")[:16], "–" if found.paid is None else plain(found.paid),
            "–" if found.ours is None else plain(found.ours),
            found.cause.value if found.is_proven else f"probably {found.cause.value}", found.why,
        )
        for case, (_, found) in zip(cases, rows, strict=True)
    ]  # fmt: skip
    widths = [max(len(line[place]) for line in (heads, *table)) for place in range(len(heads) - 1)]
    with capsys.disabled():
        print("\n\nBilled by OpenRouter (with one's own key: what it paid), and what our prices make of it:")
        for line in (heads, *table):
            print("  ".join([cell.ljust(width) for cell, width in zip(line, widths, strict=False)] + [line[-1]]))
    assert Counter(found.cause for _, found in rows) == {
        Cause.EXACT: 32,
        Cause.FREE: 2,
        Cause.BYOK: 1,
        Cause.ROUNDED: 1,
        Cause.WEB_SEARCH: 1,
        Cause.TOOLS: 1,
        Cause.MEDIA: 1,
        Cause.OTHER_PROVIDER: 1,
        Cause.AFTER_HISTORY: 6,
        Cause.NOT_PRICED: 1,
    }
    assert sum(found.is_exact for _, found in rows) == 35


def test_what_the_list_prices_explain_is_exact(rows: list[Row], cases: list[dict[str, Any]]) -> None:
    found = [(case, row.found) for case, row in zip(cases, rows, strict=True) if case["check"] == "exact"]
    assert len(found) == 29
    for case, it in found:
        assert it.is_exact, case
        assert it.cause in {Cause.EXACT, Cause.FREE, Cause.BYOK}, case
        if case.get("is_byok"):
            assert amount(case["cost"]) == 0
            assert it.ours == amount(case["upstream_inference_cost"])
            assert it.cause is Cause.BYOK
        else:
            assert it.ours == amount(case["cost"])


def test_everything_else_has_a_cause(rows: list[Row], cases: list[dict[str, Any]], database: Database) -> None:
    last = Reconciler(database).last
    assert last is not None
    for case, (_, it) in zip(cases, rows, strict=True):
        assert it.cause not in {Cause.UNKNOWN, Cause.UNREADABLE, Cause.NO_AMOUNT}, case
        assert it.bill is not None
        if it.bill.at is not None and it.bill.at > last + GAP and not it.is_exact:
            # of one the model's own share agrees to the last digit, and the rest was a web search
            searched = it.cause is Cause.WEB_SEARCH and it.is_proven and it.ours == it.bill.upstream
            assert it.cause is Cause.AFTER_HISTORY or searched, case
        if it.bill.at is None:
            assert it.cause in {Cause.EXACT, Cause.MEDIA, Cause.NOT_PRICED}, case


def test_it_is_the_cost_that_the_catalog_tells(rows: list[Row], url: str) -> None:
    with Catalog.open(url) as catalog:
        compared = 0
        for _, it in rows:
            bill = it.bill
            if bill is None or bill.at is None or it.ours is None:
                continue
            receipt = catalog.cost(bill.model, bill.usage, at=bill.at, provider=bill.provider, tier=bill.tier)
            assert (receipt.total, receipt.model, receipt.step) == (it.ours, it.model, it.step)
            compared += 1
    assert compared == 37


def test_agreed_rows_have_no_difference_worth_a_digit(rows: list[Row]) -> None:
    for _, it in rows:
        if it.cause in AGREED:
            assert it.difference is not None
            assert it.difference.copy_abs() < Decimal("1E-18")
