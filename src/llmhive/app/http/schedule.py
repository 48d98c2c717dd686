"""The embedded schedule: starts each kind of sync when it is due, on every replica; the database lets one of them run.

What was missed while nothing ran, or failed, is made up for; a failed one not before the interval is over. As long as
none ever succeeded, it is tried at each start and every few minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from llmhive.app.http.threads import Threads
from llmhive.app.http.workers import Workers
from llmhive.app.observe import Tell
from llmhive.app.openrouter.scheduler import next_time
from llmhive.app.worker import Task
from llmhive.catalog.run import Kind
from llmhive.errors import LLMHiveError
from llmhive.store import runs
from llmhive.store.database import Database

_LOOK_EVERY = 30.0  #: seconds, so that a clock set anew or a machine that slept is noticed
#: Between tries, while the catalog was never synced.
FIRST_TRIES_EVERY = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Past:
    """When runs of a kind started: the last that did its work, and the last of any outcome."""

    success: datetime | None = None
    attempt: datetime | None = None


def next_start(kind: Kind, schedule: str, past: Past, *, began: datetime, retry_after: timedelta) -> datetime:
    """When a kind is due next, given when this service began."""
    success, attempt = past.success, past.attempt
    if kind == "regular" and success is None:
        if attempt is None or attempt < began:
            return began
        return attempt + min(retry_after, FIRST_TRIES_EVERY)
    due = next_time(schedule, began if success is None else success)
    has_failed = attempt is not None and (success is None or attempt > success)
    return max(due, attempt + retry_after) if has_failed and attempt is not None else due


class Schedule:
    """Starts what is due."""

    def __init__(
        self,
        database: Database,
        threads: Threads,
        workers: Workers,
        schedules: dict[Kind, str],
        *,
        retry_after: timedelta,
        now: Callable[[], datetime],
        jitter: Callable[[], float],
        tell: Tell,
    ) -> None:
        """`jitter` gives seconds to wait at random, so that replicas do not all ask at once."""
        self._database = database
        self._threads = threads
        self._workers = workers
        self._schedules = schedules
        self._retry_after = retry_after
        self._now = now
        self._jitter = jitter
        self._tell = tell
        self._began = now()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start what is due, as long as this lasts."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            wait = _LOOK_EVERY
            for kind in self._schedules:
                try:
                    left = (await self._threads.run(self.due, kind) - self._now()).total_seconds()
                    if left <= 0:
                        await asyncio.sleep(self._jitter())
                        await self._workers.finish(Task("sync", "scheduler", kind))
                        left = 1.0
                except Exception as error:  # noqa: BLE001 (a schedule that stops is found out days later)
                    why = str(error) if isinstance(error, LLMHiveError) else f"{type(error).__name__}: {error}"
                    self._tell("Could not start a sync", kind=kind, error=why)
                    continue
                wait = min(wait, max(left, 0.5))
            await asyncio.sleep(wait)

    def due(self, kind: Kind) -> datetime:
        """When a kind is due; raises `StoreError`."""
        past = Past()
        if self._database.require_schema():
            with self._database.read() as connection:
                done, last = runs.last_success(connection, kind), runs.last_finished(connection, kind)
            now = self._now()
            # a start in the future is another machine's wrong clock, not a reason to wait for years
            past = Past(*(it.started_at if it is not None and it.started_at <= now else None for it in (done, last)))
        return next_start(kind, self._schedules[kind], past, began=self._began, retry_after=self._retry_after)
