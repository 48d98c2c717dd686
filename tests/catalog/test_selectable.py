"""What is known well enough to choose by: who serves, how they fare, and what others measured."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from llmhive.catalog.benchmark import Measure
from llmhive.catalog.endpoint import Health
from llmhive.catalog.selectable import Ranked, are_known, evidence, health_at, with_measures

AT = datetime(2026, 5, 10, tzinfo=UTC)
DAY, TICK = timedelta(days=1), timedelta(microseconds=1)


def row(model_id: str, slug: str | None = None) -> dict[str, Any]:
    return {"id": model_id, "canonical_slug": slug}


def measure(slug: str, value: int, metric: str = "coding_index", source: str = "artificial-analysis") -> Measure:
    return Measure(source, slug, metric, Decimal(value), {}, None)


@pytest.mark.parametrize(
    ("seen", "repriced", "expected"),
    [
        (None, None, False), (AT, None, True), (AT + DAY, None, True), (AT - 8 * DAY, None, True),
        (AT - 8 * DAY - TICK, None, False), (AT - DAY, AT - DAY, True), (AT - DAY, AT - DAY + TICK, False),
        (AT - DAY, AT - 9 * DAY, True), (None, AT, False),
    ],
)  # fmt: skip
def test_whether_endpoints_are_known(seen: datetime | None, repriced: datetime | None, expected: bool) -> None:
    assert are_known(seen, repriced, AT) is expected


def test_health_is_known_for_a_day() -> None:
    well = Health(0, uptime_last_30m=99.0)
    assert [health_at(well, at, AT) for at in (AT + DAY, AT, AT - DAY, AT - DAY - TICK)] == [well, well, well, Health()]


def test_a_model_has_the_measures_of_all_its_names_the_canonical_slug_first() -> None:
    rows = [row("a/one", "a/one-2026"), row("a/one:free", "a/one-2026"), row("a/two:free"), row("a/three", "a/none")]
    told = [
        measure("a/one", 1), measure("a/one", 2, "agentic_index"), measure("a/one-2026", 3), measure("a/two", 4),
        measure("a/two:free", 5), measure("a/one-2026", 6, "elo:models:website"), measure("a/one", 7, "gpqa_diamond"),
        measure("a/one-2026", 9, "elo:builders:website"), measure("a/unheard", 8),
    ]  # fmt: skip
    of_one = {"coding_index": 3.0, "agentic_index": 2.0, "elo:models:website": 6.0}
    found = evidence(rows, told, {})
    assert found.measures == {"a/one": of_one, "a/one:free": of_one, "a/two:free": {"coding_index": 4.0}}
    assert evidence(rows[::-1], told[::-1], {}) == found


def test_a_model_has_the_best_rank_of_all_its_names() -> None:
    rows = [row("a/one", "a/one-2026"), row("a/one:free", "a/one-2026"), row("a/two", "a/two-2026"), row("a/three")]
    ranks = [
        Ranked(1, "a/else", None), Ranked(2, "a/one-2026:free", None), Ranked(3, "b/renamed", "a/two"),
        Ranked(4, "a/one", "a/one"), Ranked(5, "a/two-2026", "a/unknown"),
    ]  # fmt: skip
    found = evidence(rows, (), {"legal": ranks, "finance": []})
    assert found.ranks == {"finance": {}, "legal": {"a/one": 2, "a/one:free": 2, "a/two": 3}}
    assert found.sizes == {"finance": 0, "legal": 5}
    assert evidence(rows, (), {"legal": ranks[::-1]}).ranks["legal"] == found.ranks["legal"]


def test_other_measures_count_only_where_nothing_is_known() -> None:
    rows = [row("a/one", "a/one-2026"), row("a/two", "a/two-2026"), row("a/two:batch", "a/two-2026")]
    known = evidence(rows, [measure("a/one", 1)], {"legal": [Ranked(1, "a/one", None)]})
    told = [measure("a/one-2026", 2, "agentic_index"), measure("a/two-2026", 3)]
    found = with_measures(known, told, rows)
    assert found.measures == {
        "a/one": {"coding_index": 1.0}, "a/two": {"coding_index": 3.0}, "a/two:batch": {"coding_index": 3.0}
    }  # fmt: skip
    assert found[1:] == known[1:]
    assert with_measures(known, (), rows) == known
    assert "a/two" not in known.measures, "what was there stays as it was"
