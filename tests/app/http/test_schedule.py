"""When the embedded schedule starts a sync."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.app.http.schedule import FIRST_TRIES_EVERY, Past, Schedule, next_start
from llmhive.app.http.threads import Threads
from llmhive.app.http.workers import Workers
from llmhive.catalog.run import Kind
from llmhive.store.database import Database
from tests.catalog.strategies import laws
from tests.fake_openrouter import FakeOpenRouter, catalog, model, status
from tests.support import sync_at

SIX_HOURS = "0 */6 * * *"
MAY = datetime(2026, 5, 1, tzinfo=UTC)
HALF = timedelta(minutes=30)
SCHEDULES: dict[Kind, str] = {"regular": SIX_HOURS, "research": "0 3 * * 0"}


def hour(number: float) -> datetime:
    return MAY + timedelta(hours=number)


@pytest.mark.parametrize(
    ("success", "attempt", "began", "wanted"),
    [
        # the next time after the last good one
        (hour(0.1), hour(0.1), hour(1), hour(6)),
        (hour(6), hour(6), hour(7), hour(12)),
        # missed while nothing ran: it is long due
        (hour(0.1), hour(0.1), hour(100), hour(6)),
        # a failed one is made up for, but not before the interval is over
        (hour(0.1), hour(6), hour(1), hour(6.5)),
        (hour(0.1), hour(6.4), hour(1), hour(6.9)),
        (hour(0.1), hour(5.9), hour(1), hour(6.4)),
        (hour(0.1), hour(1), hour(1), hour(6)),
        # an attempt before the last good one says nothing
        (hour(7), hour(6), hour(1), hour(12)),
        # never yet
        (None, None, hour(1), hour(6)),
        (None, hour(6), hour(1), hour(6.5)),
        (None, hour(0.5), hour(1), hour(6)),
    ],
)
def test_when_a_kind_is_due(
    success: datetime | None, attempt: datetime | None, began: datetime, wanted: datetime
) -> None:
    past = Past(success, attempt)
    assert next_start("research", SIX_HOURS, past, began=began, retry_after=HALF) == wanted
    if success is not None:
        assert next_start("regular", SIX_HOURS, past, began=began, retry_after=HALF) == wanted


def test_until_a_regular_one_succeeds_it_is_tried_at_each_start_and_every_few_minutes() -> None:
    def due(past: Past, began: float, retry_after: timedelta = HALF) -> datetime:
        return next_start("regular", SIX_HOURS, past, began=hour(began), retry_after=retry_after)

    assert due(Past(), 1) == hour(1)
    assert due(Past(None, hour(0.5)), 1) == hour(1)
    assert due(Past(None, hour(1)), 1) == hour(1) + FIRST_TRIES_EVERY
    assert due(Past(None, hour(1)), 1, timedelta(seconds=10)) == hour(1) + timedelta(seconds=10)


instants = st.integers(0, 10**6).map(lambda seconds: MAY + timedelta(seconds=seconds))


@laws
@given(st.none() | instants, st.none() | instants, instants)
def test_it_is_due_after_the_last_good_one_and_soon_after_a_failed_one(
    success: datetime | None, attempt: datetime | None, began: datetime
) -> None:
    due = next_start("research", SIX_HOURS, Past(success, attempt), began=began, retry_after=HALF)
    since = began if success is None else success
    assert due > since
    latest = max(since + timedelta(hours=6), (attempt or since) + HALF)
    assert due <= latest
    if attempt is not None and (success is None or attempt > success):
        assert due >= attempt + HALF


def schedule(database: Database, at: datetime, later: datetime | None = None) -> Schedule:
    """One that began at an instant; now it is that, or later."""
    began = iter([at])

    def tell(event: str, /, **facts: Any) -> None:
        raise AssertionError(event)

    workers = Workers(
        database, Threads(30), interval=HALF, stale_after=timedelta(seconds=30), now=lambda: at, tell=tell
    )
    return Schedule(
        database, Threads(30), workers, SCHEDULES, retry_after=HALF, now=lambda: next(began, later or at),
        jitter=lambda: 0.0, tell=tell,
    )  # fmt: skip


def test_a_catalog_that_was_never_synced_is_due_at_once(empty_database: Database, database: Database) -> None:
    for it in (empty_database, database):
        assert schedule(it, hour(1)).due("regular") == hour(1)
        # research can wait for its day: the next Sunday
        assert schedule(it, hour(1)).due("research") == datetime(2026, 5, 3, 3, tzinfo=UTC)


def test_what_was_missed_is_made_up_for(database: Database, database_url: str, fake: FakeOpenRouter) -> None:
    fake.serve(catalog(model("acme/one")))
    assert sync_at(database_url, fake.base_url, hour(0.2)).status == "completed"
    assert schedule(database, hour(1)).due("regular") == hour(6)
    assert schedule(database, hour(50)).due("regular") == hour(6)
    # an unchanged one is as good
    assert sync_at(database_url, fake.base_url, hour(50)).status == "unchanged"
    assert schedule(database, hour(50.1)).due("regular") == hour(54)


def test_a_failed_one_is_tried_again_after_the_interval(
    database: Database, database_url: str, fake: FakeOpenRouter
) -> None:
    fake.serve(status(403))
    assert sync_at(database_url, fake.base_url, hour(0.2)).status == "failed"
    assert schedule(database, hour(0.1), hour(0.25)).due("regular") == hour(0.2) + FIRST_TRIES_EVERY
    assert schedule(database, hour(0.3)).due("regular") == hour(0.3)
    fake.serve([catalog(model("acme/one")), status(403)])
    assert sync_at(database_url, fake.base_url, hour(1)).status == "completed"
    assert sync_at(database_url, fake.base_url, hour(6)).status == "failed"
    assert schedule(database, hour(6.1)).due("regular") == hour(6.5)


def test_it_ends_when_it_is_told_to(database: Database, database_url: str, fake: FakeOpenRouter) -> None:
    fake.serve(catalog(model("acme/one")))
    sync_at(database_url, fake.base_url, hour(0.2))

    async def run() -> None:
        # nothing is due: nothing is started, nothing is told
        async with schedule(database, hour(1)).running():
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(run(), 5))


def test_a_run_dated_in_the_future_is_another_machines_wrong_clock(
    database: Database, database_url: str, fake: FakeOpenRouter
) -> None:
    fake.serve(catalog(model("acme/one")))
    assert sync_at(database_url, fake.base_url, hour(24 * 365 * 10)).status == "completed"
    assert schedule(database, hour(1)).due("regular") == hour(1)
