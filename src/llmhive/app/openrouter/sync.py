"""The sync: fetch → decode → diff → gate → apply. Start reading here.

`Sync.run` is one sync from the lock to its last word. `Pipeline.take` is the path every captured body goes, whoever
brought it. The network is finished before the transaction opens; a dry run is the same without applying.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from llmhive.app.openrouter.decode import DECODER
from llmhive.app.openrouter.pipeline import Pipeline, apply_bootstrap, counts, notes
from llmhive.catalog.feed import Scope
from llmhive.catalog.gate import Limits
from llmhive.catalog.run import DONE, Run, Status
from llmhive.errors import ClockError, LLMHiveError, StoreError, UpstreamError
from llmhive.store import captures, catalog, runs
from llmhive.store.captures import Capture, Known
from llmhive.store.database import Database, Schema

if TYPE_CHECKING:
    # the HTTP client is slow to import, and only its answers' shape is wanted here
    from llmhive.app.openrouter.client import Answer

SCOPE: Scope = "all"
#: A clock further from OpenRouter's would date the history wrong.
CLOCK_TOLERANCE = timedelta(hours=1)
#: Threads that are kept, since starting one costs as much as an unchanged sync's statements.
_HEARTS = ThreadPoolExecutor(max_workers=8, thread_name_prefix="heartbeat")
_LONGEST_TRANSACTION = timedelta(seconds=70)


class Tell(Protocol):
    """Where a sync reports to: an event in a few words, and its facts."""

    def __call__(self, event: str, /, **facts: object) -> None: ...


class Source(Protocol):
    """What a sync needs of the client."""

    def models(
        self, *, etag: str | None = None, last_modified: str | None = None, known: str | None = None
    ) -> Answer: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings a sync follows."""

    source: str  #: OpenRouter's base URL
    interval: timedelta
    stale_after: timedelta
    limits: Limits


@dataclass(frozen=True, slots=True)
class _Asked:
    """What OpenRouter answered."""

    capture: Capture
    body: bytes  #: empty where it is not needed: the stored one is still true
    is_unchanged: bool


class Sync:
    """One sync of the model list, for the foreground."""

    def __init__(
        self,
        database: Database,
        policy: Policy,
        open_source: Callable[[], Source],
        *,
        owner: str,
        now: Callable[[], datetime],
        sleep: Callable[[float], None],
        tell: Tell,
    ) -> None:
        self._database = database
        self._policy = policy
        self._open_source = open_source
        self._owner = owner
        self._now = now
        self._sleep = sleep
        self._tell = tell

    def run(self, *, trigger: str, force: bool = False, dry_run: bool = False) -> Run:
        """Sync, and say how it went; never raises for what OpenRouter did, only for the database or a mistake."""
        self._tell("Starting OpenRouter sync", trigger=trigger, force=force, dry_run=dry_run)
        if dry_run:
            ended = self._rehearse(trigger, force)
        else:
            self._prepare()
            claimed = self._claim(trigger, force)
            ended = claimed if isinstance(claimed, Run) else self._work(*claimed, force)
        self._say_end(ended)
        return ended

    def _prepare(self) -> None:
        """The tables are there: made on the spot in an empty database, brought up to date on SQLite."""
        schema = self._database.schema()
        if schema is Schema.MISSING or (schema is Schema.OUTDATED and self._database.dialect == "sqlite"):
            self._tell("Preparing the database", database=self._database.label)
            self._database.migrate()
        self._database.require_schema()

    def _claim(self, trigger: str, force: bool) -> tuple[int, Known] | Run:
        """Take the lock, or say why not. A run that seems dead is waited for until that is certain."""
        watched: Run | None = None
        while True:
            now = self._now()
            if watched is not None and (outcome := self._outcome(watched)):
                return self._skipped(trigger, outcome)
            with self._database.write() as connection:
                found = runs.claim(
                    connection,
                    "regular",
                    trigger=trigger,
                    owner=self._owner,
                    now=now,
                    interval=None if force else self._policy.interval,
                    stale_after=self._policy.stale_after,
                )
                if isinstance(found, runs.Claimed):
                    known = captures.known(connection, SCOPE)
            if isinstance(found, runs.Claimed):
                for dead in found.interrupted:
                    self._tell("Took over", run=dead)
                return found.run_id, known
            if isinstance(found, runs.NotDue):
                return self._skipped(
                    trigger,
                    f"run {found.last.id} synced at {found.last.started_at:%H:%M} UTC; due again at "
                    f"{found.due_at:%Y-%m-%d %H:%M} UTC (SYNC_MIN_INTERVAL_MINUTES). To sync now: llmhive sync --force",
                )
            is_alive = watched is not None and (
                watched.id != found.run.id or watched.heartbeat_at != found.run.heartbeat_at
            )
            # in its transaction a run sends no heartbeat, until the database ends a transaction that sleeps
            if is_alive or found.silent_for > self._policy.stale_after + _LONGEST_TRANSACTION:
                return self._skipped(trigger, f"run {found.run.id} ({found.run.kind}) is running; nothing to do here.")
            if watched is None:
                left = max(self._policy.stale_after - found.silent_for, timedelta(0))
                self._tell("Waiting for another sync", run=found.run.id, at_most_seconds=round(left.total_seconds(), 1))
            watched = found.run
            self._sleep(0.2)

    def _outcome(self, watched: Run) -> str | None:
        """How a run ended that we waited for; None while it runs, or if it died."""
        with self._database.read() as connection:
            ended = runs.get(connection, watched.id or 0)
        if ended.status in DONE:
            return f"run {ended.id} was at it and has just {_DID[ended.status]}."
        if ended.status in {"held", "failed"}:
            return f"run {ended.id} was at it and {_DID[ended.status]}: {ended.error}"
        return None

    def _skipped(self, trigger: str, why: str) -> Run:
        now = self._now()
        return Run("regular", trigger, "skipped", now, finished_at=now, notes=(f"Skipped: {why}",))

    def _work(self, run_id: int, known: Known, force: bool) -> Run:
        ended: Run | None = None
        with self._heartbeat(run_id):
            try:
                ended = self._sync(run_id, known, force)
            except (UpstreamError, ClockError) as error:
                self._end_badly(run_id, "failed", str(error))
            except (KeyboardInterrupt, SystemExit):
                reason = "it was stopped before it was done; nothing was applied"
                self._end_badly(run_id, "interrupted", reason)
                self._tell("Sync failed", run=run_id, status="interrupted", error=reason)
                raise
            except Exception as error:
                reason = str(error) if isinstance(error, LLMHiveError) else f"internal error: {type(error).__name__}"
                self._end_badly(run_id, "failed", reason)
                self._tell("Sync failed", run=run_id, status="failed", error=reason)
                raise
        if ended is not None:
            return ended
        with self._database.read() as connection:
            ended = runs.get(connection, run_id)
            state = catalog.state(connection)
        if ended.status not in {"failed", "held"}:
            return ended
        if state.source is None:
            note = self._load_bootstrap(ended.trigger)
        elif state.source == "bootstrap":
            note = f"The catalog holds the bootstrap facts of {state.source_at:%Y-%m-%d}; they are not synced yet."
        else:
            note = "The last good catalog stays."
        return replace(ended, notes=(*ended.notes, note))

    def _end_badly(self, run_id: int, status: Status, error: str) -> None:
        try:
            with self._database.write() as connection:
                runs.end(connection, run_id, status, now=self._now(), error=error, scope=SCOPE)
        except StoreError as trouble:
            # the run stays `running` and is found dead later
            self._tell("Could not write how the run ended", run=run_id, error=str(trouble))

    def _sync(self, run_id: int, known: Known, force: bool) -> Run | None:
        """One sync under the lock; returns the run where nothing is new."""
        asked = self._ask(known, force)
        if asked.is_unchanged:
            return self._confirm(run_id, known, asked.capture)
        taken = Pipeline(self._database, self._policy.limits).take(
            asked.capture,
            asked.body,
            run_id=run_id,
            known_at=lambda: max(self._now(), asked.capture.fetched_at),
        )
        self._tell("Compared", **{name: value for name, value in counts(taken.plan).items() if value})
        return None

    def _ask(self, known: Known, force: bool) -> _Asked:
        """Fetch the list; an answer we know already is recognised by its status or its digest."""
        last = None if force else self._comparable(known)
        source = self._open_source()
        try:
            answer = (
                source.models()
                if last is None
                else source.models(etag=last.etag, last_modified=last.last_modified, known=last.digest)
            )
        finally:
            source.close()
        fetched_at = self._date(answer, known.newest_at)
        is_unchanged = last is not None and (answer.status == 304 or answer.digest == last.digest)
        digest = last.digest if last is not None and is_unchanged else answer.digest
        capture = Capture(fetched_at, self._policy.source, SCOPE, digest, answer.etag, answer.last_modified)
        return _Asked(capture, answer.body, is_unchanged)

    def _comparable(self, known: Known) -> Capture | None:
        """The capture against which an answer may be called unchanged, if there is one (design 4.2)."""
        usable = (
            known.last is not None
            and not known.is_held
            and known.last.source == self._policy.source
            and known.source == "openrouter"
            and known.decoder == DECODER
        )
        return known.last if usable else None

    def _date(self, answer: Answer, newest: datetime | None) -> datetime:
        """When the answer was fetched, by a clock that can be believed; later than every capture before it."""
        now = self._now()
        if answer.date is not None and abs(now - answer.date) > CLOCK_TOLERANCE:
            raise ClockError(
                f"this machine says it is {now:%Y-%m-%d %H:%M} UTC, OpenRouter says {answer.date:%Y-%m-%d %H:%M} UTC: "
                "set this machine's clock. Nothing was applied, since the history would be dated wrong."
            )
        return now if newest is None or now > newest else newest + timedelta(microseconds=1)

    def _confirm(self, run_id: int, known: Known, capture: Capture) -> Run:
        """OpenRouter says what it said: only the run and the capture are written."""
        with self._database.write() as connection:
            # ending the run is its own fence
            ended = runs.end(
                connection,
                run_id,
                "unchanged",
                now=self._now(),
                scope=SCOPE,
                models_seen=known.models_seen,
                unchanged=known.models_seen,
                unreadable=known.unreadable,
                catalog_version=known.catalog_version,
            )
            if ended is None:
                raise runs.lost(run_id)
            captures.Captures().keep(connection, capture, None, run_id, "applied")
        return ended

    def _rehearse(self, trigger: str, force: bool) -> Run:
        """A dry run: takes no lock, migrates nothing, writes nothing."""
        known = Known()
        if self._database.require_schema():
            with self._database.read() as connection:
                known = captures.known(connection, SCOPE)
        run = Run("regular", trigger, "running", self._now(), dry_run=True, scope=SCOPE, plan=(), verdicts=())
        try:
            asked = self._ask(known, force)
            if asked.is_unchanged:
                seen, unreadable = known.models_seen, known.unreadable
                return replace(
                    run, status="unchanged", finished_at=self._now(), models_seen=seen, unchanged=seen,
                    unreadable=unreadable,
                )  # fmt: skip
            plan, judgement = Pipeline(self._database, self._policy.limits).plan(asked.capture, asked.body)
        except (UpstreamError, ClockError) as error:
            return replace(run, status="failed", finished_at=self._now(), error=str(error))
        return replace(
            run,
            status="held" if judgement.is_held else "unchanged" if plan.is_empty else "completed",
            finished_at=self._now(),
            error=judgement.why,
            held=len(judgement.held),
            notes=tuple(notes(plan)),
            plan=tuple(change.to_json() for change in plan.changes),
            verdicts=tuple(found.to_json() for found in judgement.verdicts),
            **counts(plan),
        )

    def _load_bootstrap(self, trigger: str) -> str:
        """Fill an empty catalog with the facts shipped with LLMHive, as a run of its own; returns a line about it."""
        with self._database.write() as connection:
            claimed = runs.claim(
                connection, "bootstrap", trigger=trigger, owner=self._owner, now=self._now(), interval=None,
                stale_after=self._policy.stale_after,
            )  # fmt: skip
            if not isinstance(claimed, runs.Claimed):
                return "Another sync has started meanwhile."
            if catalog.state(connection).source is not None:
                why = "Another sync has filled the catalog meanwhile."
                runs.end(connection, claimed.run_id, "interrupted", now=self._now(), error=why)
                return why
            models, as_of = apply_bootstrap(connection, run_id=claimed.run_id, now=self._now())
        return (
            f"Loaded the bootstrap catalog shipped with LLMHive ({models} models as of {as_of:%Y-%m-%d}), "
            "so that there is something to look at. The first sync that works replaces it."
        )

    @contextmanager
    def _heartbeat(self, run_id: int) -> Iterator[None]:
        done = threading.Event()
        beating = threading.Lock()

        def beat() -> None:
            while not done.wait(self._policy.stale_after.total_seconds() / 6):
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
            with self._database.write() as connection:
                return runs.heartbeat(connection, run_id, self._now())
        except StoreError as error:
            # the next beat may get through; if none does, the run counts as dead
            self._tell("Heartbeat failed", run=run_id, error=str(error))
            return True

    def _say_end(self, run: Run) -> None:
        facts = {"run": run.id, "status": run.status, "duration_seconds": run.duration_seconds}
        if run.dry_run:
            self._tell("Dry run done", status=run.status, error=run.error, **{n: getattr(run, n) for n in _COUNTED})
        elif run.status in DONE:
            self._tell(f"Synced {run.models_seen} models", **facts, **{n: getattr(run, n) for n in _COUNTED})
        elif run.status == "skipped":
            self._tell("Sync skipped", why=run.notes[0])
        else:
            self._tell("Sync failed" if run.status == "failed" else "Sync held", **facts, error=run.error)


_COUNTED = ("added", "changed", "repriced", "deactivated", "reactivated", "unchanged", "unreadable")
_DID = {"completed": "synced", "unchanged": "found nothing new", "held": "was held", "failed": "failed"}
