"""The capability matrix over time: what changed is written, what did not is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmhive.catalog.capability import Cell, CellChange, State
from llmhive.store import capabilities, runs
from llmhive.store.database import Database
from llmhive.store.tables import capability
from tests.support import dump

START = datetime(2026, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
Matrix = dict[str, dict[str, Cell]]

YES, NO, UNKNOWN = Cell("yes", "it has it"), Cell("no", "it lacks it"), Cell("unknown", "it is empty")


@pytest.fixture
def run_id(database: Database) -> int:
    with database.write() as connection:
        claimed = runs.claim(connection, "research", trigger="test", owner="test", now=START, interval=None)
    assert isinstance(claimed, runs.Claimed)
    return claimed.run_id


def apply(database: Database, run_id: int, at: datetime, matrix: Matrix) -> capabilities.Applied:
    with database.write() as connection:
        return capabilities.apply(connection, matrix, at=at, run_id=run_id)


def stored(database: Database) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(sa.select(capability).order_by(capability.c.id))]


def changed(database: Database, since: datetime, until: datetime | None = None) -> list[tuple[str, str, str, str, str]]:
    with database.read() as connection:
        return [_short(it) for it in capabilities.changes(connection, since, until)]


def _short(it: dict[str, Any]) -> tuple[str, str, str, str, str]:
    return it["model"], it["capability"], it["before"]["state"], it["after"]["state"], it["at"]


def test_a_new_model_is_a_baseline(database: Database, run_id: int) -> None:
    applied = apply(database, run_id, START, {"b": {"seed": YES}, "a": {"seed": NO, "vision": UNKNOWN}})
    assert (applied.models, applied.cells, applied.changes) == (2, 3, ())
    assert changed(database, START) == []
    with database.read() as connection:
        assert capabilities.last_changes(connection) == []
        assert capabilities.matrix(connection) == [
            {
                "id": "a",
                # in the order of the table, whatever order they came in
                "cells": {
                    "vision": {"state": "unknown", "provenance": "it is empty", "since": "2026-05-01T00:00:00Z"},
                    "seed": {"state": "no", "provenance": "it lacks it", "since": "2026-05-01T00:00:00Z"},
                },
            },
            {
                "id": "b",
                "cells": {"seed": {"state": "yes", "provenance": "it has it", "since": "2026-05-01T00:00:00Z"}},
            },
        ]
        assert [it["id"] for it in capabilities.matrix(connection, model_ids=["b", "x"])] == ["b"]
        assert capabilities.matrix(connection, model_ids=[]) == []


def test_the_same_again_writes_nothing(database: Database, database_url: str, run_id: int) -> None:
    apply(database, run_id, START, {"a": {"seed": YES}})
    before = dump(database_url)
    applied = apply(database, run_id, START + HOUR, {"a": {"seed": YES}})
    assert (applied.models, applied.cells, applied.changes) == (1, 0, ())
    assert dump(database_url) == before


def test_only_the_cell_that_changed_is_written(database: Database, run_id: int) -> None:
    apply(database, run_id, START, {"a": {"seed": YES, "tools": NO}, "b": {"seed": YES}})
    applied = apply(database, run_id, START + HOUR, {"a": {"seed": YES, "tools": YES}, "b": {"seed": YES}})
    assert applied.cells == 1
    assert applied.changes == (CellChange("a", "tools", NO, YES),)
    assert changed(database, START) == [("a", "tools", "no", "yes", "2026-05-01T01:00:00Z")]
    # half-open
    assert len(changed(database, START + HOUR, START + 2 * HOUR)) == 1
    assert changed(database, START, START + HOUR) == changed(database, START + 2 * HOUR) == []
    with database.read() as connection:
        assert capabilities.known_at(connection, START)["a"] == {"tools": NO, "seed": YES}
        assert capabilities.known_at(connection, START + HOUR, model_ids=["a"]) == {"a": {"tools": YES, "seed": YES}}
        assert capabilities.known_at(connection, START - HOUR) == {}


def test_another_reason_is_written_and_no_change(database: Database, run_id: int) -> None:
    apply(database, run_id, START, {"a": {"reasoning": NO}})
    apply(database, run_id, START + HOUR, {"a": {"reasoning": YES}})
    applied = apply(database, run_id, START + 2 * HOUR, {"a": {"reasoning": Cell("yes", "it says so itself")}})
    assert (applied.cells, applied.changes) == (1, ())
    assert len(changed(database, START)) == 1
    with database.read() as connection:
        assert capabilities.matrix(connection)[0]["cells"]["reasoning"] == {
            "state": "yes", "provenance": "it says so itself", "since": "2026-05-01T01:00:00Z",
        }  # fmt: skip


def test_a_model_that_is_not_given_keeps_its_cells(database: Database, run_id: int) -> None:
    apply(database, run_id, START, {"a": {"seed": YES}, "b": {"seed": YES}})
    assert apply(database, run_id, START + HOUR, {"b": {"seed": YES}}).cells == 0
    assert apply(database, run_id, START + 2 * HOUR, {}).cells == 0
    # it returns, and can do less
    applied = apply(database, run_id, START + 3 * HOUR, {"a": {"seed": NO}})
    assert applied.changes == (CellChange("a", "seed", YES, NO),)


def test_a_capability_that_is_new_or_no_longer_asked_is_no_change(database: Database, run_id: int) -> None:
    apply(database, run_id, START, {"a": {"seed": YES}})
    applied = apply(database, run_id, START + HOUR, {"a": {"stop": YES}})
    assert (applied.cells, applied.changes) == (1, ())
    assert changed(database, START) == []
    with database.read() as connection:
        assert capabilities.known_at(connection, START + HOUR) == {"a": {"stop": YES}}


def test_what_changed_last_is_the_newest_batch(database: Database, run_id: int) -> None:
    apply(database, run_id, START, {"a": {"seed": YES, "stop": NO}, "b": {"seed": YES}})
    apply(database, run_id, START + HOUR, {"a": {"seed": NO, "stop": NO}, "b": {"seed": YES}})
    apply(database, run_id, START + 2 * HOUR, {"a": {"seed": NO, "stop": YES}, "b": {"seed": NO}})
    # a new model and another reason are no changes: the batch before them is still the last
    other = Cell("no", "nobody says so")
    apply(database, run_id, START + 3 * HOUR, {"a": {"seed": other, "stop": YES}, "c": {"seed": YES}})
    with database.read() as connection:
        found = [_short(it) for it in capabilities.last_changes(connection)]
    at = "2026-05-01T02:00:00Z"
    assert found == [("a", "stop", "no", "yes", at), ("b", "seed", "yes", "no", at)]


def test_what_is_replaced_at_once_was_never_known(database: Database, run_id: int) -> None:
    apply(database, run_id, START, {"a": {"seed": YES}})
    apply(database, run_id, START + HOUR, {"a": {"seed": NO}})
    apply(database, run_id, START + HOUR, {"a": {"seed": UNKNOWN}})
    assert changed(database, START) == [("a", "seed", "yes", "unknown", "2026-05-01T01:00:00Z")]
    with database.read() as connection:
        assert capabilities.known_at(connection, START + HOUR) == {"a": {"seed": UNKNOWN}}


_states: list[State] = ["yes", "no", "unknown"]
_cells = st.builds(Cell, st.sampled_from(_states), st.sampled_from(["this", "that"]))
_matrices = st.dictionaries(
    st.sampled_from("abc"), st.dictionaries(st.sampled_from(["seed", "stop"]), _cells, min_size=2), max_size=3
)


@settings(deadline=None, derandomize=True, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_matrices, min_size=1, max_size=6))
def test_any_history_is_told_as_it_was(database: Database, run_id: int, steps: list[Matrix]) -> None:
    with database.write() as connection:
        connection.execute(capability.delete())
    known: Matrix = {}
    history: list[tuple[datetime, Matrix]] = []
    wanted, since = [], dict[tuple[str, str], datetime]()
    for hour, step in enumerate(steps):
        at = START + hour * HOUR
        for model_id, row in sorted(step.items()):
            for name, cell in sorted(row.items()):
                was = known.get(model_id, {}).get(name)
                if was is None or was.state != cell.state:
                    since[model_id, name] = at
                if was is not None and was.state != cell.state:
                    wanted.append((at, model_id, name, was.state, cell.state))
        known = {**known, **step}
        apply(database, run_id, at, step)
        history.append((at, known))
    with database.read() as connection:
        for at, then in history:
            assert capabilities.known_at(connection, at + HOUR / 2) == then
        found = capabilities.changes(connection, START)
        shown = capabilities.matrix(connection)
    assert [
        (datetime.fromisoformat(it["at"]), it["model"], it["capability"], it["before"]["state"], it["after"]["state"])
        for it in found
    ] == wanted
    assert {
        (it["id"], name): datetime.fromisoformat(cell["since"]) for it in shown for name, cell in it["cells"].items()
    } == since
