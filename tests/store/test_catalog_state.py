"""The one row of `catalog_state`: two that change it at once change what each means to, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from llmhive.store import catalog
from llmhive.store.catalog import State
from llmhive.store.database import Database
from llmhive.store.tables import catalog_state

PINNED = State(7, "openrouter", None, 3, "before", is_moved=False)
_WAITING = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid FROM pg_stat_activity "
                   "WHERE datname = current_database())")  # fmt: skip


def put(database: Database, state: State) -> None:
    with database.write() as connection:
        catalog.write_state(connection, state)


def state(database: Database) -> State:
    with database.read() as connection:
        return catalog.state(connection)


def test_a_version_is_raised_and_the_rest_stays(database: Database) -> None:
    with database.write() as connection:
        assert [catalog.raise_version(connection) for _ in range(2)] == [1, 2]
    assert state(database) == State(2)
    put(database, PINNED)
    with database.write() as connection:
        assert catalog.raise_version(connection) == 8
    assert state(database) == State(8, "openrouter", None, 3, "before")


def test_what_is_pinned_is_unpinned_once(database: Database) -> None:
    with database.write() as connection:
        assert catalog.unpin(connection) is None, "there is no row yet"
    put(database, PINNED)
    with database.write() as connection:
        assert catalog.unpin(connection) == "before"
        assert catalog.unpin(connection) is None
    assert state(database) == State(7, "openrouter", None, 3, None, is_moved=True)
    put(database, State(8, "openrouter"))
    with database.write() as connection:
        assert catalog.unpin(connection) is None
    assert not state(database).is_moved, "what was not pinned did not move"


ACTS: dict[str, Callable[[sa.Connection], Any]] = {"raise": catalog.raise_version, "unpin": catalog.unpin}


@pytest.mark.parametrize(("first", "second"), [("raise", "unpin"), ("unpin", "raise"), ("raise", "raise")])
def test_of_two_at_once_neither_is_lost(database: Database, first: str, second: str) -> None:
    """The second one begins while the first one has written, and has to wait for its end."""
    put(database, PINNED)
    found: list[Any] = []

    def follow() -> None:
        with database.write() as connection:
            found.append(ACTS[second](connection))

    other = threading.Thread(target=follow)
    with database.write() as connection:
        # what it looked at before is old by the time it writes
        assert catalog.state(connection) == PINNED
        found.append(ACTS[first](connection))
        other.start()
        while database.dialect == "postgresql" and other.is_alive():
            with database.read() as watcher:
                if watcher.execute(_WAITING).scalar_one():
                    break
    other.join(30)
    acts = [first, second]
    raised, is_unpinned = acts.count("raise"), "unpin" in acts
    assert state(database) == State(
        7 + raised, "openrouter", None, 3, None if is_unpinned else "before", is_moved=is_unpinned
    )  # fmt: skip
    assert [it for it in found if it != "before"] == [8, 9][:raised]
    with database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(catalog_state)).scalar_one() == 1
