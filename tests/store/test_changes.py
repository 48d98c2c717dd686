"""What is news: the reads in Python compared with the view ``change``, which people ask."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmhive.catalog.model import instant
from llmhive.store import changes
from llmhive.store.database import Database, connect
from llmhive.store.tables import body, capture, change, sync_run, transition
from tests.support import history_database

START = datetime(2026, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(hours: float) -> datetime:
    return START + hours * HOUR


def view(
    connection: sa.Connection, since: datetime, until: datetime | None = None, model_id: str | None = None
) -> list[dict[str, Any]]:
    """The rows of the view, as `between` tells them."""
    conditions = [change.c.happened_at >= since]
    conditions += [] if until is None else [change.c.happened_at < until]
    conditions += [] if model_id is None else [change.c.model_id == model_id]
    newest = (change.c.happened_at.desc(), change.c.model_id, change.c.field)
    times = ("happened_at", "confirmed_at", "reverted_at")
    return [
        {name: instant(value) if name in times and value is not None else value for name, value in row.items()}
        for row in connection.execute(sa.select(change).where(*conditions).order_by(*newest)).mappings()
    ]


def begun(hours: float, model_id: str = "a/one", field: str = "pricing.prompt", **more: Any) -> dict[str, Any]:
    """A transition that goes on."""
    known = {"what": "repriced", "before": b'"0.1"', "after": b'"0.2"', "is_back": False, "in_text": True}
    times = {name: at(more.pop(name)) if name in more else None for name in ("ended_at", "follows", "episode")}
    return {"model_id": model_id, "field": field, "happened_at": at(hours)} | known | times | more


def write(connection: sa.Connection, transitions: list[dict[str, Any]], captures: list[tuple[float, str, str]]) -> None:
    """Put these, and nothing else, into the ledger: captures by hour, scope and state."""
    for table in (transition, capture, body, sync_run):
        connection.execute(table.delete())
    run = {"kind": "regular", "trigger": "t", "status": "completed", "owner": "o"}
    run_id = connection.execute(
        sync_run.insert().returning(sync_run.c.id), run | {"started_at": START, "heartbeat_at": START}
    ).scalar_one()
    connection.execute(body.insert(), {"digest": "d", "size": 1, "depth": 0, "data": b"x"})
    same = {"source": "t", "digest": "d", "run_id": run_id}
    if captures:
        rows = [same | {"fetched_at": at(hours), "scope": scope, "state": state} for hours, scope, state in captures]
        connection.execute(capture.insert(), rows)
    if transitions:
        connection.execute(transition.insert(), transitions)


hours = st.integers(0, 12)
optional = st.none() | hours.map(at)
transitions = st.lists(
    st.builds(
        lambda hours, ended, episode, **more: begun(hours, **more) | {"ended_at": ended, "episode": episode},
        hours, optional, optional, model_id=st.sampled_from(["a/one", "b/two"]),
        field=st.sampled_from(["is_listed", "pricing.prompt"]), is_back=st.booleans(), in_text=st.booleans(),
    ),
    max_size=12,
    unique_by=lambda it: (it["model_id"], it["field"], it["happened_at"]),
)  # fmt: skip
captures = st.lists(
    st.tuples(
        hours, st.sampled_from(["all", "text"]), st.sampled_from(["applied", "applied", "accepted", "held", "kept"])
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(transitions, captures, hours, st.none() | hours)
def test_python_judges_as_the_view_does(
    database: Database, some: list[dict[str, Any]], taken: list[tuple[float, str, str]], since: int, until: int | None
) -> None:
    end = None if until is None else at(until)
    with database.write() as connection:
        write(connection, some, taken)
        assert changes.between(connection, START, None) == view(connection, START)
        assert changes.between(connection, at(since), end) == view(connection, at(since), end)
        one = changes.between(connection, at(since), end, model_id="a/one")
        assert one == view(connection, at(since), end, "a/one")


# fetched at, scope, state
ALL, TEXT, HELD = (2, "all", "applied"), (2, "text", "accepted"), (2, "all", "held")
EXAMPLES: dict[str, tuple[list[dict[str, Any]], list[tuple[float, str, str]], list[tuple[float, float | None]]]] = {
    "nothing confirms it": ([begun(1)], [(1, "all", "applied")], []),
    "the next capture does": ([begun(1)], [(1, "all", "applied"), ALL, (3, "all", "applied")], [(2, None)]),
    "a list that was held does not": ([begun(1)], [HELD, (4, "all", "accepted")], [(4, None)]),
    "it was over before": ([begun(1, ended_at=2)], [ALL], []),
    "it was confirmed before it was over": ([begun(1, ended_at=3)], [ALL], [(2, None)]),
    "a list of text shows text": ([begun(1)], [TEXT], [(2, None)]),
    "it does not show images": ([begun(1, in_text=False)], [TEXT, (5, "all", "applied")], [(5, None)]),
    "a flap is taken back": (
        [begun(1, ended_at=3), begun(3, follows=1, episode=1, is_back=True)], [ALL, (4, "all", "applied")], [(2, 3)],
    ),
    "the way back is not confirmed": (
        [begun(1, ended_at=3), begun(3, follows=1, episode=1, is_back=True)], [ALL, (3, "all", "applied")], [(2, None)],
    ),
    "there and back and there again": (
        [
            begun(1, ended_at=3), begun(3, ended_at=5, follows=1, episode=1, is_back=True),
            begun(5, follows=3, episode=1),
        ],
        [(hours, "all", "applied") for hours in range(8)], [(2, None)],
    ),
    "what is there again is not confirmed": (
        [
            begun(1, ended_at=3), begun(3, ended_at=5, follows=1, episode=1, is_back=True),
            begun(5, follows=3, episode=1),
        ],
        [(hours, "all", "applied") for hours in range(6)], [(2, 3)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_news_by_example(database: Database, name: str) -> None:
    some, taken, wanted = EXAMPLES[name]
    with database.write() as connection:
        write(connection, some, taken)
        found = changes.between(connection, START, None)
        assert found == view(connection, START)
    times = [(instant(at(confirmed)), None if back is None else instant(at(back))) for confirmed, back in wanted]
    assert [(it["confirmed_at"], it["reverted_at"]) for it in found] == times
    for it in found:
        assert (it["what"], it["before"], it["after"]) == ("repriced", "0.1", "0.2")


def test_the_way_back_may_be_later_than_what_is_asked_for(database: Database) -> None:
    some = [begun(1, ended_at=3), begun(3, follows=1, episode=1, is_back=True), begun(2, "b/two")]
    with database.write() as connection:
        write(connection, some, [(hours, "all", "applied") for hours in range(8)])
        [found] = changes.between(connection, at(1), at(2))
        assert found["reverted_at"] == instant(at(3))
        assert [it["model_id"] for it in changes.between(connection, at(1), None)] == ["b/two", "a/one"]
        assert [it["model_id"] for it in changes.between(connection, at(2), None)] == ["b/two"]
        assert changes.between(connection, at(1), None, model_id="b/two") == changes.between(connection, at(2), None)
        assert changes.between(connection, at(1), None, model_id="c/three") == []


# --- the two years


@pytest.fixture
def two_years(tmp_path: Path) -> Iterator[Database]:
    shutil.copy(history_database(), tmp_path / "history.db")
    opened = connect(f"sqlite:///{tmp_path / 'history.db'}")
    yield opened
    opened.close()


@pytest.mark.history
def test_the_two_years_are_what_the_view_says(two_years: Database) -> None:
    with two_years.read() as connection:
        whole = view(connection, datetime(2024, 1, 1, tzinfo=UTC))
        sent: list[str] = []

        def count(*given: Any) -> None:
            sent.append(given[2])

        sa.event.listen(two_years.engine, "before_cursor_execute", count)
        found = changes.between(connection, datetime(2024, 1, 1, tzinfo=UTC), None)
        sa.event.remove(two_years.engine, "before_cursor_execute", count)
        # however many there are, the captures are read once
        assert len(sent) == 3
        assert found == whole
        assert len(found) > 9000
        assert sum(it["reverted_at"] is not None for it in found) > 50
        week = (datetime(2026, 7, 20, tzinfo=UTC), datetime(2026, 7, 27, tzinfo=UTC))
        inside = [it for it in whole if instant(week[0]) <= it["happened_at"] < instant(week[1])]
        assert changes.between(connection, *week) == inside
        [(busiest, _)] = Counter(it["model_id"] for it in whole).most_common(1)
        of_one = [it for it in whole if it["model_id"] == busiest]
        assert changes.between(connection, datetime(2024, 1, 1, tzinfo=UTC), None, model_id=busiest) == of_one
