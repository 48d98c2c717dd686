"""The lock, the interval, the heartbeat and the fence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from llmhive.catalog.run import Kind, Status
from llmhive.errors import NotFound, RunLost
from llmhive.store import runs
from llmhive.store.database import Database
from llmhive.store.tables import sync_run
from tests.support import execute

HOUR = timedelta(hours=1)


def claim(
    database: Database, now: datetime, *, kind: Kind = "regular", interval: timedelta | None = timedelta(minutes=30)
) -> runs.Claimed | runs.Busy | runs.NotDue | runs.Done:
    with database.write() as connection:
        return runs.claim(connection, kind, trigger="test", owner="test", now=now, interval=interval)


def claimed(database: Database, now: datetime, *, kind: Kind = "regular") -> int:
    found = claim(database, now, kind=kind, interval=None)
    assert isinstance(found, runs.Claimed)
    return found.run_id


def end(database: Database, run_id: int, status: Status, now: datetime) -> None:
    with database.write() as connection:
        runs.end(connection, run_id, status, now=now)


@pytest.fixture
def now() -> datetime:
    # PostgreSQL's heartbeats go by its own clock, so the tests' clock must be near it
    return datetime.now(UTC)


def test_one_at_a_time_of_whatever_kind(database: Database, now: datetime) -> None:
    first = claimed(database, now)
    for kind in ("regular", "research", "rollback"):
        found = claim(database, now, kind=kind, interval=None)
        assert isinstance(found, runs.Busy)
        assert found.run.id == first
    end(database, first, "completed", now)
    assert isinstance(claim(database, now, kind="research"), runs.Claimed)


def test_the_database_itself_refuses_a_second_running_run(database: Database, now: datetime) -> None:
    claimed(database, now)
    row = {"kind": "regular", "trigger": "t", "status": "running", "owner": "o", "started_at": now, "heartbeat_at": now}
    with pytest.raises(sa.exc.IntegrityError), database.write() as connection:
        connection.execute(sync_run.insert(), row)


@pytest.mark.parametrize(
    ("status", "uses_up"), [("completed", True), ("unchanged", True), ("failed", False), ("held", False)]
)
def test_only_a_sync_that_worked_uses_up_the_interval(
    database: Database, now: datetime, status: Status, uses_up: bool
) -> None:
    end(database, claimed(database, now), status, now)
    found = claim(database, now + timedelta(minutes=29))
    assert isinstance(found, runs.NotDue if uses_up else runs.Claimed)
    if isinstance(found, runs.NotDue):
        assert found.due_at == found.last.started_at + timedelta(minutes=30)
        assert isinstance(claim(database, now + timedelta(minutes=30)), runs.Claimed)


def test_the_interval_is_per_kind(database: Database, now: datetime) -> None:
    end(database, claimed(database, now, kind="research"), "completed", now)
    assert isinstance(claim(database, now), runs.Claimed)


def test_a_run_from_the_far_future_does_not_block_for_years(database: Database, now: datetime) -> None:
    future = now + timedelta(days=3650)
    end(database, claimed(database, future), "completed", future)
    assert isinstance(claim(database, now), runs.Claimed)


def test_a_silent_run_is_cleared_away(database: Database, database_url: str, now: datetime) -> None:
    dead = claimed(database, now)
    execute(database_url, "UPDATE sync_run SET heartbeat_at = :then", then=_then(database, now - timedelta(seconds=31)))
    found = claim(database, now)
    assert isinstance(found, runs.Claimed)
    assert found.interrupted == (dead,)
    with database.read() as connection:
        assert runs.get(connection, dead).status == "interrupted"


def test_a_heartbeat_keeps_it(database: Database, database_url: str, now: datetime) -> None:
    alive = claimed(database, now)
    execute(database_url, "UPDATE sync_run SET heartbeat_at = :then", then=_then(database, now - timedelta(seconds=31)))
    with database.write() as connection:
        assert runs.heartbeat(connection, alive, now)
    assert isinstance(claim(database, now), runs.Busy)


def test_a_heartbeat_from_the_future_is_no_sign_of_life(database: Database, database_url: str, now: datetime) -> None:
    claimed(database, now)
    execute(database_url, "UPDATE sync_run SET heartbeat_at = :then", then=_then(database, now + timedelta(days=1)))
    assert isinstance(claim(database, now), runs.Claimed)


def _then(database: Database, at: datetime) -> object:
    return at if database.dialect == "postgresql" else f"{at:%Y-%m-%dT%H:%M:%S.%fZ}"


@pytest.mark.parametrize("status", ["interrupted", "failed", "completed"])
def test_who_lost_the_lock_writes_nothing(database: Database, now: datetime, status: Status) -> None:
    lost = claimed(database, now)
    end(database, lost, status, now)
    with database.write() as connection:
        assert not runs.heartbeat(connection, lost, now)
    with pytest.raises(RunLost, match="lost the lock"), database.write() as connection:
        runs.fence(connection, lost)


def test_an_end_is_final(database: Database, now: datetime) -> None:
    run_id = claimed(database, now)
    end(database, run_id, "interrupted", now)
    end(database, run_id, "completed", now)
    with database.read() as connection:
        assert runs.get(connection, run_id).status == "interrupted"


def test_what_the_status_page_reads(database: Database, now: datetime) -> None:
    with database.read() as connection:
        assert runs.last_finished(connection, "regular") is None
        assert runs.running(connection) is None
    good = claimed(database, now)
    end(database, good, "unchanged", now)
    bad = claimed(database, now + HOUR)
    end(database, bad, "failed", now + HOUR)
    running = claimed(database, now + 2 * HOUR, kind="research")
    with database.read() as connection:
        assert [run.id for run in runs.recent(connection, 2)] == [running, bad]
        assert [run.id for run in runs.recent(connection, 9, kind="regular")] == [bad, good]
        for found, wanted in (
            (runs.last_finished(connection, "regular"), bad),
            (runs.last_success(connection, "regular"), good),
            (runs.running(connection), running),
        ):
            assert found is not None
            assert found.id == wanted


def test_a_run_that_is_not_there(database: Database) -> None:
    with database.read() as connection, pytest.raises(NotFound, match="llmhive runs"):
        runs.get(connection, 7)


def test_a_run_in_its_transaction_is_not_dead(database: Database, database_url: str, now: datetime) -> None:
    if database.dialect == "sqlite":
        pytest.skip("on SQLite who applies holds the file, and a claim waits for it")
    applying = claimed(database, now)
    execute(database_url, "UPDATE sync_run SET heartbeat_at = :then", then=now - timedelta(minutes=5))
    with database.write() as connection:
        runs.fence(connection, applying)
        found = claim(database, now)
        assert isinstance(found, runs.Busy)
        # and who applies can end it: no claim is in its way
        assert runs.end(connection, applying, "completed", now=now) is not None
    assert isinstance(claim(database, now, interval=None), runs.Claimed)
