"""The embedded schedule: starts each kind of sync when it is due, on every replica; the database lets one of them run.

What was missed while nothing ran, or failed, is made up for; a failed one not before the interval is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

from starlette.concurrency import run_in_threadpool

from llmhive.app.http.workers import Workers
from llmhive.app.openrouter.runner import Tell
from llmhive.app.openrouter.scheduler import next_time
from llmhive.app.worker import Task
from llmhive.catalog.run import Kind
from llmhive.errors import LLMHiveError
from llmhive.store import runs
from llmhive.store.database import Database

_LOOK_EVERY = 30.0  #: seconds, so that a clock set anew or a machine that slept is noticed


def due_at(
    schedule: str, *, success: datetime | None, attempt: datetime | None, began: datetime, retry_after: timedelta
) -> datetime:
    """When a kind is due, given when the last successful run and the last one of any outcome started, and when this
    service began.
    """
    due = next_time(schedule, success if success is not None else began)
    failed = attempt is not None and (success is None or attempt > success)
    return max(due, attempt + retry_after) if failed and attempt is not None else due


class Schedule:
    """Starts what is due."""

    def __init__(
        self,
        database: Database,
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
                    left = (await run_in_threadpool(self.due, kind) - self._now()).total_seconds()
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
        """When a kind is due; at once where a regular one never succeeded."""
        success: datetime | None = None
        attempt: datetime | None = None
        if self._database.require_schema():
            with self._database.read() as connection:
                done, last = runs.last_success(connection, kind), runs.last_finished(connection, kind)
            success = None if done is None else done.started_at
            attempt = None if last is None else last.started_at
        if kind == "regular" and success is None:
            return self._began if attempt is None else attempt + self._retry_after
        return due_at(
            self._schedules[kind], success=success, attempt=attempt, began=self._began, retry_after=self._retry_after
        )
