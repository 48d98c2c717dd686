"""Reads that go together: of one instant, over one connection, whatever goes wrong."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from llmhive.errors import DatabaseUnavailable, NotFound
from llmhive.store.database import Database
from llmhive.store.tables import sync_run

AT = datetime(2026, 8, 1, tzinfo=UTC)


def count(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(sa.text("SELECT count(*) FROM sync_run")).scalar_one())


def add_run(database: Database, number: int) -> None:
    with database.write() as connection:
        connection.execute(
            sync_run.insert(),
            {"kind": "regular", "trigger": "test", "status": "completed", "owner": f"test:{number}", "started_at": AT,
             "heartbeat_at": AT, "finished_at": AT},
        )  # fmt: skip


def elsewhere(database: Database) -> int:
    """What another thread reads."""
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(count(database)))
    thread.start()
    thread.join()
    return found[0]


def test_what_is_read_together_is_of_one_instant(database: Database) -> None:
    with database.together():
        assert count(database) == 0
        other = threading.Thread(target=add_run, args=(database, 1))
        other.start()
        other.join()
        assert count(database) == 0
        assert elsewhere(database) == 1
        with database.together():
            assert count(database) == 0
    assert count(database) == 1


def test_it_is_one_connection(database: Database) -> None:
    begun: list[object] = []
    sa.event.listen(database.engine, "begin", begun.append)
    with database.together():
        for _ in range(5):
            count(database)
    assert len(begun) == 1
    count(database)
    assert len(begun) == 2
    with database.together():
        pass
    assert len(begun) == 2


def test_an_error_of_ours_passes_through_and_ends_it(database: Database) -> None:
    with pytest.raises(NotFound, match="nobody"), database.together(), database.read():
        raise NotFound("nobody")
    assert count(database) == 0


def test_an_error_of_the_database_is_told_where_it_happens(database: Database) -> None:
    with database.together():
        assert count(database) == 0
        with pytest.raises(DatabaseUnavailable), database.read() as connection:
            connection.execute(sa.text("SELECT * FROM no_such_table"))
    add_run(database, 1)
    with database.together():
        assert count(database) == 1
