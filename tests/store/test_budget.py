"""The budget of Data API requests: whatever happens when, no window of the server's clock holds more than allowed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmhive.store import budget
from llmhive.store.budget import Limits, Wait
from llmhive.store.database import Database, connect
from llmhive.store.tables import data_request

START = datetime(2026, 10, 1, 12, tzinfo=UTC)
LOST = timedelta(minutes=10)
#: when a request was sent at the earliest and counted at the latest, in seconds from START
Flight = tuple[float, float]


@pytest.fixture
def by_our_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's own clock cannot be moved: the instants are those that a test names."""
    monkeypatch.setattr(budget, "clock", lambda _connection, now: now)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


class Budget:
    """Reserves and returns, each in a transaction of its own."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database, self._limits = database, limits

    def reserve(self, seconds: float) -> int | Wait:
        with self._database.write() as connection:
            return budget.reserve(connection, "/datasets/rankings-daily", self._limits, now=at(seconds))

    def number(self, seconds: float) -> int:
        found = self.reserve(seconds)
        assert isinstance(found, int), found
        return found

    def wait(self, seconds: float) -> Wait:
        found = self.reserve(seconds)
        assert isinstance(found, Wait), found
        return found

    def done(self, number: int, seconds: float) -> None:
        with self._database.write() as connection:
            budget.done(connection, number, now=at(seconds))

    def used(self, seconds: float) -> tuple[int, int]:
        with self._database.read() as connection:
            return budget.used(connection, now=at(seconds))


def most_in_a_window(flights: Sequence[Flight], seconds: float) -> int:
    """How many the server may have counted within a half-open window, wherever it begins and whenever each counted."""
    # the fullest window may begin where a flight ends: any earlier, and nothing is lost by moving it there
    return max(
        (sum(end >= begin and start < begin + seconds for start, end in flights) for _, begin in flights), default=0
    )


@pytest.mark.usefixtures("by_our_clock")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.tuples(st.integers(1, 4), st.integers(1, 8)),
    st.lists(
        st.tuples(
            # until the next, and how long it takes; None: its process dies
            st.one_of(st.floats(0, 5), st.floats(0, 200), st.floats(0, 90_000)),
            st.one_of(st.none(), st.just(0.0), st.floats(0, 70), st.floats(0, LOST.total_seconds())),
            st.booleans(),
        ),
        max_size=25,
    ),
)
def test_no_window_holds_more_than_the_limits(
    database: Database, limits: tuple[int, int], story: list[tuple[float, float | None, bool]]
) -> None:
    with database.write() as connection:
        connection.execute(data_request.delete())
    room = Budget(database, Limits(*limits))
    now, flights, has_died = 0.0, list[Flight](), False
    open_: list[tuple[float, int]] = []
    for pause, takes, waits in story:
        now += pause
        for end, number in sorted(it for it in open_ if it[0] <= now):
            room.done(number, end)
        open_ = [it for it in open_ if it[0] > now]
        found = room.reserve(now)
        if isinstance(found, Wait) and waits and not open_:
            now += found.seconds + 0.001
            found = room.reserve(now)
            # there is room then, unless a process died, or it was the other limit's turn
            assert not isinstance(found, Wait) or has_died or found.is_day
        if isinstance(found, Wait):
            assert found.seconds >= 0
            continue
        flights.append((now, now + (LOST.total_seconds() if takes is None else takes)))
        if takes is None:
            has_died = True
        else:
            open_.append((now + takes, found))
    assert most_in_a_window(flights, 60) <= limits[0]
    assert most_in_a_window(flights, 86_400) <= limits[1]


@pytest.mark.usefixtures("by_our_clock")
class TestRoom:
    """By one clock."""

    def test_thirty_at_once_and_the_next_when_the_first_is_a_minute_old(self, database: Database) -> None:
        room = Budget(database, Limits(30, 500))
        for second in range(30):
            room.done(room.number(second), second + 0.5)
        assert room.used(30) == (30, 30)
        assert room.wait(30) == Wait(30.5, is_day=False)
        assert isinstance(room.reserve(60.4), Wait)
        assert isinstance(room.reserve(60.5), int)
        assert isinstance(room.reserve(60.6), Wait)

    def test_the_day_outlasts_the_minute(self, database: Database) -> None:
        room = Budget(database, Limits(30, 40))
        for minute in range(40):
            room.done(room.number(60 * minute), 60 * minute + 1)
        found = room.wait(40 * 60)
        assert found == Wait(86_400 + 1 - 40 * 60, is_day=True)
        assert room.used(40 * 60 + 1) == (0, 40)
        assert isinstance(room.reserve(86_401), int)

    def test_one_on_its_way_counts_until_a_minute_after_its_end(self, database: Database) -> None:
        room = Budget(database, Limits(1, 10))
        number = room.number(0)
        assert room.wait(200).seconds == 60
        room.done(number, 300)
        assert room.wait(359).seconds == 1
        assert isinstance(room.reserve(360), int)

    def test_a_request_of_a_dead_process_is_forgotten_in_the_end(self, database: Database) -> None:
        room = Budget(database, Limits(1, 2))
        room.number(0)
        lost = LOST.total_seconds()
        assert isinstance(room.reserve(lost), Wait)
        assert isinstance(room.reserve(lost + 59), Wait)
        assert isinstance(room.reserve(lost + 60), int)
        # of the day it counts still
        assert room.used(lost + 60) == (1, 2)
        assert room.wait(86_399).is_day
        assert room.used(lost + 86_400) == (0, 1)

    def test_a_clock_set_back_does_not_make_room(self, database: Database) -> None:
        room = Budget(database, Limits(2, 10))
        for second in (0, 1):
            room.done(room.number(second), second)
        for back in (60, 3600, 80_000):
            assert isinstance(room.reserve(-back), Wait)
        assert isinstance(room.reserve(61), int)

    def test_a_clock_that_was_years_ahead_does_not_stop_us_for_years(self, database: Database) -> None:
        room = Budget(database, Limits(2, 2))
        year = 366 * 86_400
        for second in (0, 1):
            room.done(room.number(year + second), year + second)
        assert isinstance(room.reserve(0), int)

    def test_old_requests_are_removed(self, database: Database) -> None:
        room = Budget(database, Limits(100, 1000))
        for day in range(6):
            for second in range(3):
                room.done(room.number(86_400 * day + second), 86_400 * day + second)
        with database.read() as connection:
            kept = connection.execute(sa.select(sa.func.count()).select_from(data_request)).scalar_one()
        assert kept <= 9
        assert room.used(86_400 * 5 - 1)[1] == 6

    def test_it_tells_what_for(self, database: Database) -> None:
        number = Budget(database, Limits()).number(0)
        with database.read() as connection:
            row = connection.execute(sa.select(data_request)).one()
        assert (row.id, row.path, row.asked_at, row.done_at) == (number, "/datasets/rankings-daily", START, None)


@contextmanager
def replicas(url: str, count: int) -> Iterator[list[Database]]:
    made = [connect(url) for _ in range(count)]
    try:
        yield made
    finally:
        for database in made:
            database.close()


def test_replicas_at_once_never_take_more_than_there_is(database_url: str) -> None:
    limits = Limits(7, 500)
    with replicas(database_url, 4) as databases, ThreadPoolExecutor(4) as threads:

        def ask(database: Database) -> list[int | Wait]:
            found = []
            for _ in range(6):
                with database.write() as connection:
                    found.append(budget.reserve(connection, "/benchmarks", limits, now=datetime.now(UTC)))
            return found

        found = [it for answers in threads.map(ask, databases) for it in answers]
        numbers = [it for it in found if isinstance(it, int)]
        assert len(numbers) == len(set(numbers)) == 7
        assert all(50 < it.seconds <= 60 and not it.is_day for it in found if isinstance(it, Wait))


def test_replicas_go_by_the_clock_of_the_server(database_url: str) -> None:
    if database_url.startswith("sqlite"):
        pytest.skip("SQLite has no clock of its own: its processes share that of the machine")
    limits = Limits(2, 500)
    with replicas(database_url, 2) as databases:
        found: list[Any] = []
        # the one's clock is an hour behind, the other's an hour ahead
        for database, hours in zip(databases * 2, (-1, 1, -1, 1), strict=True):
            with database.write() as connection:
                now = datetime.now(UTC) + timedelta(hours=hours)
                found.append(budget.reserve(connection, "/benchmarks", limits, now=now))
        assert [isinstance(it, int) for it in found] == [True, True, False, False]
