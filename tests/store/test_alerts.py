"""The outbox: what is written once, what waits, what is due, and who may deliver it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from llmhive.catalog.alert import Channel, Event, Settled, event_id, message_id
from llmhive.catalog.run import Kind, Status
from llmhive.store import alerts, captures, runs
from llmhive.store.database import Database
from llmhive.store.tables import alert, delivery
from tests.support import execute

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ONE, TWO = Channel("1" * 16, "slack"), Channel("2" * 16, "https://hooks.example.com")
BOTH = (ONE, TWO)
NEW = Event("new", "acme/new", {"name": "New", "percent": 1.5})
GONE = Event("removed", "acme/gone", {"name": None})


def begin(database: Database, at: datetime = NOW, kind: Kind = "regular") -> int:
    with database.write() as connection:
        found = runs.claim(connection, kind, trigger="test", owner="test", now=at, interval=None)
    assert isinstance(found, runs.Claimed)
    return found.run_id


def end(database: Database, run_id: int, status: Status = "completed", at: datetime = NOW) -> None:
    with database.write() as connection:
        ended = runs.end(connection, run_id, status, now=at, error="why" if status == "failed" else None)
        alerts.write_of_run(connection, ended, now=at, channels=(ONE,))


def tell(database: Database, *events: Event, at: datetime = NOW, channels: tuple[Channel, ...] = BOTH) -> int:
    run_id = begin(database, at)
    with database.write() as connection:
        alerts.write(connection, run_id, events, now=at, channels=channels)
    end(database, run_id, at=at)
    return run_id


def due(database: Database, *channels: Channel, at: datetime = NOW) -> alerts.Due | None:
    with database.read() as connection:
        return alerts.next_due(connection, [it.digest for it in channels], at)


def states(database: Database) -> list[tuple[str, int, str]]:
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(sa.select(alert.c.kind, alert.c.run_id, alert.c.state))]


# --- writing


def test_a_run_tells_each_channel_once(database: Database) -> None:
    run_id = tell(database, NEW, GONE)
    for channel in BOTH:
        found = due(database, channel)
        assert found is not None
        assert (found.channel, found.attempts, found.created_at) == (channel, 0, NOW)
        assert found.message.id == message_id(run_id=run_id, started_at=NOW)
        assert (found.message.run_id, found.message.run_kind, found.message.run_status, found.message.started_at) == (
            run_id, "regular", "completed", NOW,
        )  # fmt: skip
        # what is not confirmed is not told
        [told] = found.message.alerts
        assert (told.id, told.at) == (event_id(NEW, run_id=run_id, started_at=NOW), NOW)
        assert told.event == NEW
    assert due(database, Channel("3" * 16, "slack")) is None


def test_without_a_channel_alerts_are_written_all_the_same(database: Database) -> None:
    tell(database, NEW, channels=())
    assert [kind for kind, _, _ in states(database)] == ["new"]
    with database.read() as connection:
        assert alerts.recent(connection, 10) == []


def test_what_is_not_confirmed_has_no_message(database: Database) -> None:
    tell(database, GONE)
    assert due(database, *BOTH) is None
    with database.read() as connection:
        assert list(alerts.unconfirmed(connection).values()) == ["acme/gone"]
        assert captures.known(connection, "all").has_unconfirmed


@pytest.mark.parametrize(
    ("settled", "state"),
    [(Settled(confirmed=frozenset({"acme/gone"})), "ready"), (Settled(withdrawn=frozenset({"acme/gone"})), "withdrawn"),
     (Settled(), "unconfirmed")],
)  # fmt: skip
def test_a_removal_is_settled_by_a_later_run(settled: Settled, state: str, database: Database) -> None:
    first = tell(database, GONE)
    second = begin(database, NOW + HOUR)
    with database.write() as connection:
        waiting = alerts.unconfirmed(connection)
        alerts.write(connection, second, [], now=NOW + HOUR, channels=BOTH, waiting=waiting, settled=settled)
    assert states(database) == [("removed", second if state == "ready" else first, state)]
    # while the run goes on it may have more to tell
    assert due(database, ONE, at=NOW + HOUR) is None
    end(database, second, at=NOW + HOUR)
    found = due(database, ONE, at=NOW + HOUR)
    assert (found is not None) == (state == "ready")
    if found is not None:
        # its id and time are those of when it was found
        [told] = found.message.alerts
        assert (told.id, told.at) == (event_id(GONE, run_id=first, started_at=NOW), NOW)
        assert found.message.id == message_id(run_id=second, started_at=NOW + HOUR)
    with database.read() as connection:
        assert captures.known(connection, "all").has_unconfirmed == (state == "unconfirmed")


def test_the_query_behind_known_uses_the_index_of_what_waits(database: Database) -> None:
    if database.dialect != "sqlite":
        pytest.skip("PostgreSQL plans by the size of tables")
    for condition, index in (
        (alerts.IS_UNCONFIRMED, "unconfirmed_alerts"),
        (alerts._is_due(["1"], NOW), "pending_deliveries"),
        (alerts._is_orphan(["1"], NOW), "pending_deliveries"),
    ):
        with database.read() as connection:
            select = sa.select(sa.exists().where(condition))
            # written out: with a parameter, SQLite plans it anew each time
            assert "state = '" in str(select.compile(connection))
            asked = select.compile(connection, compile_kwargs={"literal_binds": True})
            plan = connection.execute(sa.text(f"EXPLAIN QUERY PLAN {asked}")).all()
        assert any(index in row.detail for row in plan), plan


def test_all_or_nothing(database: Database) -> None:
    run_id = begin(database)
    with database.write() as connection:
        alerts.write(connection, run_id, [NEW], now=NOW, channels=BOTH)
        connection.rollback()
    assert states(database) == []
    assert due(database, *BOTH) is None


# --- runs that end badly


def of_runs(database: Database) -> list[tuple[str, int]]:
    return [(kind, run_id) for kind, run_id, _ in states(database)]


def test_a_failure_is_told_at_first_and_daily(database: Database) -> None:
    for hours in range(0, 73, 6):
        end(database, begin(database, NOW + hours * HOUR), "failed", NOW + hours * HOUR)
    assert of_runs(database) == [("run_failed", 1), ("run_failed", 5), ("run_failed", 9), ("run_failed", 13)]


def test_what_lies_between_two_failures(database: Database) -> None:
    course: list[Status] = [
        "failed", "failed", "interrupted", "failed", "held", "failed", "completed", "failed", "unchanged", "held",
        "held",
    ]  # fmt: skip
    for minutes, status in enumerate(course):
        at = NOW + timedelta(minutes=minutes)
        end(database, begin(database, at), status, at)
    assert of_runs(database) == [
        ("run_failed", 1), ("run_held", 5), ("run_failed", 6), ("run_failed", 8), ("run_held", 10),
    ]  # fmt: skip


def test_each_kind_for_itself_and_some_never(database: Database) -> None:
    kinds: list[Kind] = ["regular", "research", "backfill", "rollback", "bootstrap", "regular", "research"]
    for kind in kinds:
        end(database, begin(database, kind=kind), "failed")
    assert of_runs(database) == [("run_failed", 1), ("run_failed", 2)]


def test_a_clock_that_was_set_back_does_not_silence(database: Database) -> None:
    end(database, begin(database, NOW + 24 * 365 * HOUR), "failed", NOW + 24 * 365 * HOUR)
    end(database, begin(database, NOW), "failed", NOW)
    assert of_runs(database) == [("run_failed", 1), ("run_failed", 2)]


def test_a_run_that_is_no_longer_ours_tells_nothing(database: Database) -> None:
    with database.write() as connection:
        alerts.write_of_run(connection, None, now=NOW, channels=BOTH)
    assert states(database) == []


# --- delivery


def test_the_oldest_due_comes_first(database: Database) -> None:
    second, first = tell(database, NEW, at=NOW + HOUR), tell(database, NEW, at=NOW)
    found = due(database, *BOTH, at=NOW + 2 * HOUR)
    assert found is not None
    assert (found.message.run_id, found.channel) == (first, ONE)
    assert due(database, *BOTH, at=NOW - HOUR) is None
    with database.write() as connection:
        alerts.delivered(connection, found, now=NOW + 2 * HOUR)
    again = due(database, ONE, at=NOW + 2 * HOUR)
    assert again is not None
    assert again.message.run_id == second


def test_how_deliveries_stand(database: Database) -> None:
    run_id = tell(database, NEW)
    first, second = due(database, ONE), due(database, TWO)
    assert first is not None
    assert second is not None
    with database.write() as connection:
        assert (alerts.pending(connection), alerts.given_up(connection)) == (2, 0)
        alerts.failed(connection, first, "HTTP 500", due_at=NOW + HOUR)
        alerts.failed(connection, second, "no answer", due_at=None)
        assert (alerts.pending(connection), alerts.given_up(connection)) == (1, 1)
    with database.read() as connection:
        assert alerts.recent(connection, 1) == [
            alerts.Delivery(run_id, TWO.label, "given up", 1, NOW, NOW, None, "no answer")
        ]
        assert alerts.recent(connection, 9)[1] == alerts.Delivery(
            run_id, ONE.label, "pending", 1, NOW + HOUR, NOW, None, "HTTP 500"
        )
    assert due(database, ONE) is None
    again = due(database, ONE, at=NOW + HOUR)
    assert again is not None
    assert again.attempts == 1
    with database.write() as connection:
        alerts.delivered(connection, again, now=NOW + HOUR)
        # what is delivered stays so, whoever comes late
        alerts.failed(connection, again, "HTTP 500", due_at=NOW)
        assert alerts.recent(connection, 9)[1] == alerts.Delivery(
            run_id, ONE.label, "delivered", 2, NOW + HOUR, NOW, NOW + HOUR, None
        )


def test_messages_to_channels_nobody_has_are_given_up(database: Database) -> None:
    run_id, mine = tell(database, NEW), [ONE.digest]
    with database.write() as connection:
        assert alerts.give_up_orphans(connection, mine, oldest=NOW - HOUR) == []
        assert alerts.give_up_orphans(connection, mine, oldest=NOW + HOUR) == [(run_id, TWO.label)]
        assert (alerts.pending(connection), alerts.given_up(connection)) == (1, 1)


def test_whether_anything_is_due(database: Database) -> None:
    tell(database, NEW)
    with database.read() as connection:
        for mine, now, oldest, found in (
            ([ONE.digest], NOW, NOW - HOUR, True), ([ONE.digest], NOW - HOUR, NOW - HOUR, False),
            ([], NOW, NOW - HOUR, False), ([], NOW, NOW, True),
        ):  # fmt: skip
            assert alerts.is_anything_due(connection, mine, now=now, oldest=oldest) == found


def test_one_message_a_run_and_channel(database: Database) -> None:
    run_id = tell(database, NEW)
    with database.write() as connection:
        # what a step of the run adds belongs to the same message
        alerts.write(connection, run_id, [Event("new", "acme/other")], now=NOW, channels=(ONE,))
        assert connection.execute(sa.select(sa.func.count()).select_from(delivery)).scalar_one() == len(BOTH)
    found = due(database, ONE)
    assert found is not None
    assert [it.event.model_id for it in found.message.alerts] == [NEW.model_id, "acme/other"]
    with pytest.raises(sa.exc.IntegrityError), database.write() as connection:
        alerts.write(connection, run_id, [NEW], now=NOW, channels=())


# --- the lease


def take(database: Database, owner: str, now: datetime) -> bool:
    with database.write() as connection:
        return alerts.take_lease(connection, "alerts", owner, now=now, length=timedelta(seconds=60))


def run_out(database: Database) -> None:
    """As if it had been taken a minute earlier."""
    text = "'2001-01-01T00:00:00.000000Z'"
    execute(
        database.engine.url.render_as_string(hide_password=False),
        f"UPDATE lease SET until = {text if database.dialect == 'sqlite' else f'timestamptz {text}'}",
    )


def test_one_holder_at_a_time(database: Database) -> None:
    assert take(database, "one", NOW)
    assert not take(database, "two", NOW)
    assert take(database, "one", NOW)
    with database.write() as connection:
        alerts.release_lease(connection, "alerts", "two")
    assert not take(database, "two", NOW)
    with database.write() as connection:
        alerts.release_lease(connection, "alerts", "one")
    assert take(database, "two", NOW)


def test_a_dead_holder_loses_it_when_it_runs_out(database: Database) -> None:
    assert take(database, "dead", NOW)
    run_out(database)
    assert take(database, "two", NOW)
    # and if it was only asleep, it finds out
    assert not take(database, "dead", NOW)


def test_it_goes_by_the_clock(database: Database) -> None:
    if database.dialect != "sqlite":
        pytest.skip("PostgreSQL has a clock of its own")
    assert take(database, "one", NOW)
    assert not take(database, "two", NOW + timedelta(seconds=59))
    assert take(database, "two", NOW + timedelta(seconds=60))
    # a clock that was set back does not make it last for years
    assert take(database, "one", NOW - timedelta(days=365))
