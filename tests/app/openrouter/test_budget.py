"""How a sync keeps to the Data API's limits: it waits where that helps, and says when there is room again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NoReturn

import pytest
import sqlalchemy as sa

from llmhive.app.openrouter.budget import Budget
from llmhive.errors import BudgetSpent, DatabaseUnavailable, UpstreamError
from llmhive.store import budget as store
from llmhive.store.budget import Limits
from llmhive.store.database import Database
from llmhive.store.tables import data_request
from tests.researching import Clock

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def by_our_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's own clock cannot be moved."""
    monkeypatch.setattr(store, "clock", lambda _connection, now: now)


class Allowance:
    """A budget by a clock of its own."""

    def __init__(self, database: Database, limits: Limits, *, seconds: float = 300) -> None:
        self.clock = Clock(NOON)
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.budget = Budget(
            database, limits, deadline=self.clock.monotonic() + seconds, monotonic=self.clock.monotonic,
            now=self.clock.now, sleep=self.clock.sleep, tell=lambda event, /, **facts: self.told.append((event, facts)),
        )  # fmt: skip

    @property
    def passed(self) -> float:
        return (self.clock.now() - NOON).total_seconds()

    def spend(self, takes: float = 0.0) -> None:
        end = self.budget("/benchmarks")
        self.clock.advance(seconds=takes)
        end()


def test_it_waits_until_there_is_room(database: Database) -> None:
    it = Allowance(database, Limits(2, 100))
    for _ in range(2):
        it.spend(takes=1)
    assert it.told == []
    it.spend()
    # the first was answered after a second
    assert 61 <= it.passed < 61.1
    assert [event for event, _ in it.told] == ["Waiting for the request budget"]
    assert it.told[0][1] == {"seconds": 59.0, "limit": 2}


def test_seven_requests_at_two_a_minute(database: Database) -> None:
    it = Allowance(database, Limits(2, 100))
    for _ in range(7):
        it.spend()
    assert 180 <= it.passed < 181


def test_a_full_minute_that_outlasts_the_sync(database: Database) -> None:
    it = Allowance(database, Limits(30, 500), seconds=59)
    for _ in range(30):
        it.spend()
    with pytest.raises(BudgetSpent) as caught:
        it.spend()
    assert str(caught.value) == (
        "the budget of 30 requests to OpenRouter's Data API (DATA_API_PER_MINUTE) is used up: there may be room at "
        "2026-10-01 12:01:00 UTC."
    )
    # OpenRouter had no part in it, but to whoever asks it is as if it had refused
    assert isinstance(caught.value, UpstreamError)
    assert it.passed == 0
    assert it.told == []


def test_a_full_day(database: Database) -> None:
    it = Allowance(database, Limits(30, 3))
    for _ in range(3):
        it.spend()
    with pytest.raises(BudgetSpent, match=r"of 3 requests .* \(DATA_API_PER_DAY, in 24 hours\) .* 2026-10-02 12:00:00"):
        it.spend()


def test_what_was_refused_takes_no_room(database: Database) -> None:
    it = Allowance(database, Limits(1, 500), seconds=10)
    it.spend()
    for _ in range(3):
        with pytest.raises(BudgetSpent):
            it.spend()
    with database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(data_request)).scalar_one() == 1


def test_a_restart_does_not_forget(database: Database) -> None:
    first = Allowance(database, Limits(5, 500))
    for _ in range(5):
        first.spend()
    second = Allowance(database, Limits(5, 500))
    second.spend()
    assert second.passed >= 60


def test_an_end_that_cannot_be_written_is_no_failure(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    it = Allowance(database, Limits(1, 500), seconds=3600)
    end = it.budget("/benchmarks")

    def broken() -> NoReturn:
        raise DatabaseUnavailable("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(database, "write", broken)
        end()
    assert it.told == [("Could not write that a request ended", {"error": "the disk is full"})]
    # it counts longer instead: as long as one on its way may
    it.clock.advance(seconds=100)
    it.spend()
    assert it.passed > 600
