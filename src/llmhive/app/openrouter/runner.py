"""A run from the lock to its last word, whatever it does: claim, heartbeat, and an end that is always written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from llmhive.app.observe import Tell
from llmhive.catalog.alert import Alerting
from llmhive.catalog.run import DONE, Kind, Run, Status
from llmhive.errors import ClockError, LLMHiveError, StoreError, UpstreamError
from llmhive.store import alerts, runs
from llmhive.store.database import Database, Schema

#: Threads that are kept, since starting one costs as much as an unchanged sync's statements.
_HEARTS = ThreadPoolExecutor(max_workers=8, thread_name_prefix="heartbeat")
_LONGEST_TRANSACTION = timedelta(seconds=70)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Work(Generic[T]):
    """What a run does once the lock is its own."""

    kind: Kind
    look: Callable[[Any], T]  #: what to read in the transaction that takes the lock
    do: Callable[[int, T], Run | None]  #: given the run's number; it ends the run itself, and may return it
    scope: str | None = None
    interval: timedelta | None = None  #: since the last good run of the kind; None: none
    asked_at: datetime | None = None  #: a run of the kind that began since then will do as well


def skipped(kind: Kind, trigger: str, now: datetime, why: str, *, due_at: datetime | None = None) -> Run:
    """The answer to who asked for a run that need not or cannot be."""
    return Run(kind, trigger, "skipped", now, finished_at=now, notes=(f"Skipped: {why}",), due_at=due_at)


def not_due(kind: Kind, trigger: str, now: datetime, found: runs.NotDue) -> Run:
    """The answer while the interval is not over."""
    is_research = kind == "research"
    command = "llmhive sync --research --force" if is_research else "llmhive sync --force"
    how = command if trigger == "cli" else '{"force": true}'
    did, do = ("researched", "research") if is_research else ("synced", "sync")
    why = (
        f"run {found.last.id} {did} at {found.last.started_at:%H:%M} UTC; due again at "
        f"{found.due_at:%Y-%m-%d %H:%M} UTC (SYNC_MIN_INTERVAL_MINUTES). To {do} now: {how}"
    )
    return skipped(kind, trigger, now, why, due_at=found.due_at)


class Runner:
    """Runs work under the lock, in the foreground."""

    def __init__(
        self,
        database: Database,
        *,
        owner: str,
        stale_after: timedelta,
        patience: timedelta,
        now: Callable[[], datetime],
        sleep: Callable[[float], None],
        tell: Tell,
        alerting: Alerting | None = None,
    ) -> None:
        self.database = database
        self.alerting = alerting or Alerting()
        self.now = now
        self.tell = tell
        self._owner = owner
        self._stale_after = stale_after
        self._patience = patience
        self._sleep = sleep

    def prepare(self) -> None:
        """The tables are there: made on the spot in an empty database, brought up to date on SQLite."""
        schema = self.database.schema()
        if schema is Schema.MISSING or (schema is Schema.OUTDATED and self.database.dialect == "sqlite"):
            self.tell("Preparing the database", database=self.database.label)
            self.database.migrate()
        self.database.require_schema()

    def run(self, work: Work[T], *, trigger: str) -> Run:
        """Take the lock, work, and say how it ended; ``skipped`` where the lock was not to be had.

        Never raises for what OpenRouter did, only for the database or a mistake.
        """
        claimed = self._claim(work, trigger)
        return claimed if isinstance(claimed, Run) else self._work(work, *claimed)

    def _claim(self, work: Work[T], trigger: str) -> tuple[int, T] | Run:
        """Take the lock, or say why not. A run that seems dead is waited for until that is certain, and one of another
        kind until it is done.
        """
        watched: Run | None = None
        began = self.now()
        while True:
            now = self.now()
            is_watched = watched is not None and watched.kind == work.kind
            if watched is not None and is_watched and (outcome := self._outcome(watched)):
                return self._skipped(work, trigger, outcome)
            with self.database.write() as connection:
                found = runs.claim(
                    connection,
                    work.kind,
                    trigger=trigger,
                    owner=self._owner,
                    now=now,
                    interval=work.interval,
                    stale_after=self._stale_after,
                    # one that was watched may end between the look at it and this
                    asked_at=work.asked_at or (watched.started_at if watched is not None and is_watched else None),
                )
                if isinstance(found, runs.Claimed):
                    looked = work.look(connection)
            if isinstance(found, runs.Claimed):
                for dead in found.interrupted:
                    self.tell("Took over", run=dead)
                self.tell("Took the lock", run=found.run_id, kind=work.kind)
                return found.run_id, looked
            if isinstance(found, runs.Done):
                if work.asked_at is not None:
                    return found.run
                return self._skipped(work, trigger, self._outcome(found.run) or f"run {found.run.id} was at it.")
            if isinstance(found, runs.NotDue):
                return not_due(work.kind, trigger, now, found)
            is_alive = watched is not None and (
                watched.id != found.run.id or watched.heartbeat_at != found.run.heartbeat_at
            )
            # in its transaction a run sends no heartbeat, until the database ends a transaction that sleeps
            is_alive = is_alive or found.silent_for > self._stale_after + _LONGEST_TRANSACTION
            if is_alive and found.run.kind == work.kind:
                why = f"run {found.run.id} ({found.run.kind}) is running; nothing to do here."
                return self._skipped(work, trigger, why)
            if now - began > self._patience:
                return self._skipped(work, trigger, f"run {found.run.id} ({found.run.kind}) is still running.")
            if watched is None:
                left = max(self._stale_after - found.silent_for, timedelta(0))
                self.tell(
                    "Waiting for another sync",
                    run=found.run.id,
                    kind=found.run.kind,
                    at_most_seconds=round(left.total_seconds(), 1),
                )
                watched = found.run
            elif found.run.kind == work.kind or watched.id != found.run.id:
                watched = found.run
            self._sleep(0.2)

    def _outcome(self, watched: Run) -> str | None:
        """How a run ended that we waited for; None while it runs, or if it died."""
        with self.database.read() as connection:
            ended = runs.get(connection, watched.id or 0)
        if ended.status in DONE:
            return f"run {ended.id} was at it and has just {_DID[ended.status]}."
        if ended.status in {"held", "failed"}:
            return f"run {ended.id} was at it and {_DID[ended.status]}: {ended.error}"
        return None

    def _skipped(self, work: Work[T], trigger: str, why: str) -> Run:
        return skipped(work.kind, trigger, self.now(), why)

    def _work(self, work: Work[T], run_id: int, looked: T) -> Run:
        ended: Run | None = None
        with self._heartbeat(run_id):
            try:
                ended = work.do(run_id, looked)
            except (UpstreamError, ClockError) as error:
                self._end_badly(run_id, "failed", str(error), work.scope)
            except (KeyboardInterrupt, SystemExit):
                reason = f"it was stopped before it was done; {self._left_by(run_id)}"
                self._end_badly(run_id, "interrupted", reason, work.scope)
                self.tell("Sync failed", run=run_id, status="interrupted", error=reason)
                raise
            except Exception as error:
                reason = str(error) if isinstance(error, LLMHiveError) else f"internal error: {type(error).__name__}"
                self._end_badly(run_id, "failed", reason, work.scope)
                self.tell("Sync failed", run=run_id, status="failed", error=reason)
                raise
        if ended is not None:
            return ended
        with self.database.read() as connection:
            return runs.get(connection, run_id)

    def _left_by(self, run_id: int) -> str:
        """What is left of a run that is stopped."""
        try:
            with self.database.read() as connection:
                has_committed = runs.has_committed(connection, run_id)
        except StoreError:
            return "what it had committed stays"
        return "what it had committed stays" if has_committed else "nothing was applied"

    def _end_badly(self, run_id: int, status: Status, error: str, scope: str | None) -> None:
        try:
            with self.database.write() as connection:
                now = self.now()
                ended = runs.end(connection, run_id, status, now=now, error=error, scope=scope)
                alerts.write_of_run(connection, ended, now=now, channels=self.alerting.channels)
        except StoreError as trouble:
            # the run stays `running` and is found dead later
            self.tell("Could not write how the run ended", run=run_id, error=str(trouble))

    def at_once(self, connection: Any, kind: Kind, *, trigger: str) -> int | None:
        """Take the lock inside a transaction that ends the run as well; None where another has it."""
        claimed = runs.claim(
            connection, kind, trigger=trigger, owner=self._owner, now=self.now(), interval=None,
            stale_after=self._stale_after,
        )  # fmt: skip
        return claimed.run_id if isinstance(claimed, runs.Claimed) else None

    @contextmanager
    def _heartbeat(self, run_id: int) -> Iterator[None]:
        done = threading.Event()
        beating = threading.Lock()

        def beat() -> None:
            while not done.wait(self._stale_after.total_seconds() / 6):
                with beating:
                    if done.is_set() or not self._beat(run_id):
                        return

        _HEARTS.submit(beat)
        try:
            yield
        finally:
            # not in the middle of a beat, which needs the database
            with beating:
                done.set()

    def _beat(self, run_id: int) -> bool:
        """Say that the run is alive; False where it is no longer ours."""
        try:
            with self.database.write() as connection:
                return runs.heartbeat(connection, run_id, self.now())
        except StoreError as error:
            # the next beat may get through; if none does, the run counts as dead
            self.tell("Heartbeat failed", run=run_id, error=str(error))
            return True


_DID = {"completed": "synced", "unchanged": "found nothing new", "held": "was held", "failed": "failed"}
