"""Benchmarks over time: one source at a time, and never one over another."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from llmhive.catalog.benchmark import Measure
from llmhive.store import benchmarks
from llmhive.store.benchmarks import Kept
from llmhive.store.database import Database
from tests.support import dump

START = datetime(2026, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEYED, INSIDE = "artificial-analysis", "models:artificial-analysis"
FINE = Decimal("60.70000000000000000001")


def measure(
    slug: str = "a/one", value: str | Decimal = "1", *, metric: str = "coding_index", source: str = KEYED, **facts: Any
) -> Measure:
    return Measure(source, slug, metric, Decimal(value), facts, "2026-05-01")


def keep(
    database: Database, at: datetime, *measures: Measure, source: str = KEYED, is_whole: bool = True,
    spared: Collection[str] = (),
) -> Kept:  # fmt: skip
    with database.write() as connection:
        return benchmarks.keep(connection, source, measures, at=at, is_whole=is_whole, spared=spared)


def of(database: Database, *slugs: str) -> list[dict[str, Any]]:
    with database.read() as connection:
        return benchmarks.of(connection, slugs or None)


def test_what_is_kept_is_read_back_exactly(database: Database) -> None:
    facts: dict[str, Any] = {"rank": 1, "win_rate": "59.3", "places": {"first_place": 2}}
    assert keep(database, START, measure(value=FINE, **facts), measure("a/two")) == Kept(2, 0, 0)
    found = of(database, "a/one")
    assert found == [
        {
            "slug": "a/one", "source": KEYED, "metric": "coding_index", "value": str(FINE), "facts": facts,
            "as_of": "2026-05-01", "since": "2026-05-01T00:00:00Z",
        }
    ]  # fmt: skip
    assert json.loads(json.dumps(found)) == found
    assert [it["slug"] for it in of(database)] == ["a/one", "a/two"]
    with database.read() as connection:
        assert benchmarks.values(connection, "coding_index") == {"a/one": FINE, "a/two": 1}
        assert benchmarks.values(connection, "agentic_index") == {}
        assert benchmarks.of(connection, []) == []
        assert [benchmarks.size(connection, source) for source in (KEYED, INSIDE)] == [2, 0]
    keep(database, START + HOUR, measure("a/two"))
    with database.read() as connection:
        assert benchmarks.size(connection, KEYED) == 1, "what is gone does not stand"


def test_the_same_again_writes_nothing_not_even_a_later_date(database: Database, database_url: str) -> None:
    keep(database, START, measure(value="1.50", rank=1))
    before = dump(database_url)
    assert keep(database, START + HOUR, replace(measure(value="1.5", rank=1), as_of="2026-05-02")) == Kept(0, 0, 0)
    assert dump(database_url) == before


def test_what_is_new_changed_and_gone(database: Database) -> None:
    keep(database, START, measure("a/one", "1"), measure("a/two", "2"), measure("a/three", "3", rank=1))
    after = (measure("a/one", "1"), measure("a/three", "3", rank=2), measure("a/four", "4"))
    assert keep(database, START + HOUR, *after) == Kept(new=1, changed=1, gone=1)
    assert [(it["slug"], it["value"], it["since"][11:13]) for it in of(database)] == [
        ("a/four", "4", "01"), ("a/one", "1", "00"), ("a/three", "3", "01"),
    ]  # fmt: skip
    with database.read() as connection:
        then = benchmarks.known_at(connection, START)
        assert [(it["slug"], it["facts"]) for it in then] == [("a/one", {}), ("a/three", {"rank": 1}), ("a/two", {})]
        assert benchmarks.known_at(connection, START - HOUR) == []
        assert benchmarks.known_at(connection, START + HOUR) == benchmarks.of(connection)
    # it comes back, and what was known in between stays so
    assert keep(database, START + 2 * HOUR, *after, measure("a/two", "2")) == Kept(1, 0, 0)
    with database.read() as connection:
        assert benchmarks.known_at(connection, START + HOUR, ["a/two"]) == []
        assert len(benchmarks.known_at(connection, START + 2 * HOUR, ["a/two"])) == 1


def test_what_a_cut_answer_does_not_tell_is_not_gone(database: Database) -> None:
    keep(database, START, measure("a/one", "1"), measure("a/two", "2"))
    assert keep(database, START + HOUR, measure("a/one", "5"), is_whole=False) == Kept(0, 1, 0)
    assert [it["value"] for it in of(database)] == ["5", "2"]


def test_what_could_not_be_read_is_spared(database: Database) -> None:
    keep(database, START, measure("a/one"), measure("a/two"), measure("a/three"))
    assert keep(database, START + HOUR, measure("a/one"), spared={"a/two"}) == Kept(0, 0, 1)
    assert [it["slug"] for it in of(database)] == ["a/one", "a/two"]


def test_neither_source_overwrites_the_other(database: Database) -> None:
    keep(database, START, measure(value="2"))
    inside = [measure(value="1", source=INSIDE), measure("a/two", "3", source=INSIDE)]
    assert keep(database, START, *inside, source=INSIDE) == Kept(2, 0, 0)
    assert keep(database, START + HOUR, measure("a/three"), source=KEYED) == Kept(1, 0, 1)
    assert [(it["slug"], it["source"]) for it in of(database)] == [
        ("a/one", INSIDE), ("a/three", KEYED), ("a/two", INSIDE),
    ]  # fmt: skip


def test_a_keyed_source_is_preferred(database: Database) -> None:
    keep(database, START, measure(value="2"), measure(value="7", metric="agentic_index"))
    keep(database, START, measure(value="1", source=INSIDE), measure("a/two", "3", source=INSIDE), source=INSIDE)
    with database.read() as connection:
        assert benchmarks.values(connection, "coding_index") == {"a/one": 2, "a/two": 3}
        found = benchmarks.best(connection)
        two, three, seven = map(Decimal, (2, 3, 7))
        assert {slug: {name: (it.source, it.value) for name, it in row.items()} for slug, row in found.items()} == {
            "a/one": {"coding_index": (KEYED, two), "agentic_index": (KEYED, seven)},
            "a/two": {"coding_index": (INSIDE, three)},
        }
        assert benchmarks.best(connection, ["a/two"]).keys() == {"a/two"}


def test_measures_of_another_source_are_a_mistake(database: Database) -> None:
    with pytest.raises(ValueError, match="other sources than models"):
        keep(database, START, measure(), source=INSIDE)
