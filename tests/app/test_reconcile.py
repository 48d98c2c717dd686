"""`Catalog.reconcile`: what it takes for bills."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llmhive.app import wiring
from llmhive.app.library import Catalog
from llmhive.app.settings import read
from llmhive.catalog.bill import Bill
from llmhive.catalog.cause import Cause
from llmhive.catalog.usage import Usage
from llmhive.errors import NotFound, UsageError
from llmhive.store.database import Database
from tests.fake_openrouter import catalog as listed
from tests.fake_openrouter import model
from tests.support import Live

DAY = datetime(2026, 5, 4, tzinfo=UTC)
BILL: dict[str, Any] = {
    "model": "acme/one", "created": int(DAY.timestamp()) + 3600,
    "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "cost": 0.0045},
}  # fmt: skip


@pytest.fixture
def catalog(database: Database, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    monkeypatch.setattr(wiring, "now", lambda: DAY + timedelta(hours=6))
    one = model("acme/one", pricing={"prompt": "0.000003", "completion": "0.000015"})
    Live(database)(DAY, listed(*(model(f"acme/other-{number}") for number in range(20)), one))
    return Catalog(read({}), database)


def causes(catalog: Catalog, bills: object) -> list[tuple[int, Cause]]:
    return [(row.number, row.found.cause) for row in catalog.reconcile(bills)]


def test_one_bill_or_many(catalog: Catalog) -> None:
    own = Bill("acme/one", Usage(prompt=1000, completion=100), at=DAY, billed=Decimal("0.0045"))
    for one in (BILL, own):
        assert causes(catalog, one) == [(1, Cause.EXACT)]
        assert causes(catalog, (it for it in (one, one, "no bill"))) == [
            (1, Cause.EXACT), (2, Cause.EXACT), (3, Cause.UNREADABLE),
        ]  # fmt: skip
    assert causes(catalog, []) == []


class Response:
    """As an SDK has it: iterating over it would give its fields."""

    def model_dump(self) -> dict[str, Any]:
        return BILL

    def __iter__(self) -> Any:
        return iter(BILL.items())


def test_the_object_of_an_sdk_is_one_bill(catalog: Catalog) -> None:
    assert causes(catalog, Response()) == [(1, Cause.EXACT)]


def test_a_file_is_read_as_the_command_reads_it(catalog: Catalog, tmp_path: Path) -> None:
    path = tmp_path / "activity.csv"
    path.write_text(
        "created_at,model,cost,tokens_prompt,tokens_completion\n2026-05-04 01:00,acme/one,0.0045,1000,100\n"
    )
    assert causes(catalog, path) == causes(catalog, str(path)) == [(2, Cause.EXACT)]
    path.write_text(json.dumps([BILL, BILL]))
    assert causes(catalog, path) == [(1, Cause.EXACT), (2, Cause.EXACT)]
    path.write_text("hello")
    with pytest.raises(UsageError, match="neither CSV with a header nor JSON"):
        causes(catalog, path)
    for name, said in (("missing.csv", "missing.csv cannot be read: No such file"), (str(tmp_path), "cannot be read")):
        with pytest.raises(UsageError, match=said):
            causes(catalog, name)


@pytest.mark.parametrize("bills", [5, None, 1.5, b"activity.csv", bytearray(b"{}"), object()])
def test_what_is_no_bills(catalog: Catalog, bills: object) -> None:
    with pytest.raises(UsageError, match="bills are a file, a bill, or many of them"):
        catalog.reconcile(bills)


def test_parquet_without_its_package(catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bills.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(UsageError, match=r"pip install 'llmhive\[bulk\]'"):
        causes(catalog, path)


def test_of_an_empty_catalog(empty_database: Database) -> None:
    with pytest.raises(NotFound, match="llmhive sync"):
        Catalog(read({}), empty_database).reconcile(BILL)
