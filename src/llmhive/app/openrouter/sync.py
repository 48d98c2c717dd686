"""The sync: fetch → decode → diff → gate → apply. Start reading here.

`Sync.run` is one sync from the lock to its last word. `Pipeline.take` is the path every captured body goes, whoever
brought it. The network is finished before the transaction opens; a dry run is the same without applying.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from llmhive.app.openrouter import bootstrap
from llmhive.app.openrouter.decode import DECODER, decode
from llmhive.catalog.diff import Plan, diff
from llmhive.catalog.feed import Feed, Scope
from llmhive.catalog.gate import Judgement, Limits, judge
from llmhive.catalog.run import DONE, Run, Status
from llmhive.errors import LLMHiveError, StoreError, UpstreamError
from llmhive.store import captures, catalog, history, runs
from llmhive.store.captures import Capture
from llmhive.store.database import Database, Schema

if TYPE_CHECKING:
    # the HTTP client is slow to import, and only its answers' shape is wanted here
    from llmhive.app.openrouter.client import Answer

SCOPE: Scope = "all"


class Tell(Protocol):
    """Where a sync reports to: an event in a few words, and its facts."""

    def __call__(self, event: str, /, **facts: object) -> None: ...


class Source(Protocol):
    """What a sync needs of the client."""

    def models(self, *, etag: str | None = None, last_modified: str | None = None) -> Answer: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings a sync follows."""

    source: str  #: OpenRouter's base URL
    interval: timedelta
    stale_after: timedelta
    limits: Limits


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one captured body."""

    plan: Plan
    judgement: Judgement
    status: Status


class Pipeline:
    """decode → diff → gate → apply, for the captures of one run; keeps both ledgers in memory between them."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._limits = limits
        self._bodies = captures.Captures()
        self._loaded = False
        self._believed = catalog.Believed()
        self._served = history.Served()
        self._state = catalog.State()
        self._scopes: frozenset[str] = frozenset()
        self._last: dict[Scope, Capture | None] = {}
        self._waiting: set[Scope] = set()

    def plan(self, capture: Capture, content: bytes) -> tuple[Plan, Judgement]:
        """What taking a body would do; writes nothing."""
        self._load(capture.scope)
        feed = decode(content, capture.scope, self._believed.known)
        plan = diff(self._believed.by_id, feed, scopes_seen=self._scopes)
        return plan, self._judge(capture, plan)

    def _judge(self, capture: Capture, plan: Plan) -> Judgement:
        last = self._last[capture.scope]
        since = last.fetched_at if last and self._state.source != "bootstrap" else None
        judgement = judge(plan, at=capture.fetched_at, last_applied=since, limits=self._limits)
        if since is None or not judgement.is_held:
            return judgement
        # only what is held asks what was held before
        with self._database.read() as connection:
            holds = runs.holds(connection, capture.scope, since=since)
        return judge(plan, at=capture.fetched_at, last_applied=since, holds=holds, limits=self._limits)

    def take(
        self, capture: Capture, content: bytes, *, run_id: int, known_at: Callable[[], datetime], ends_run: bool = True
    ) -> Taken:
        """Take a body in, whole or not at all: the capture, both ledgers and the run's end are one transaction."""
        plan, judgement = self.plan(capture, content)
        now = known_at()
        if judgement.is_held:
            return self._hold(capture, content, plan, judgement, run_id, now, ends_run)
        last_seen = max((c.fetched_at for c in self._last.values() if c), default=self._state.source_at)
        state = replace(
            self._state,
            catalog_version=self._state.catalog_version + (not plan.is_empty or self._state.source != "openrouter"),
            source="openrouter",
            source_at=None,
            decoder=DECODER,
        )
        status: Status = "unchanged" if plan.is_empty else "completed"
        with self._database.write() as connection:
            runs.fence(connection, run_id)
            self._bodies.keep(connection, capture, content, run_id, "applied")
            if capture.scope in self._waiting:
                captures.supersede_held(connection, capture.scope)
            history.keep_versions(connection, plan.news)
            listings = history.record(connection, self._served, plan.feed, capture.fetched_at, plan.deactivated)
            beliefs = catalog.apply(
                connection,
                plan,
                self._believed,
                run_id=run_id,
                at=capture.fetched_at,
                known_at=now,
                last_seen_at=last_seen,
            )
            if state != self._state:
                catalog.write_state(connection, state)
            runs.keep_verdicts(connection, run_id, judgement.verdicts)
            if ends_run:
                runs.end(connection, run_id, status, now=known_at(), **_row(plan, state.catalog_version))
        self._remember(capture, plan, listings, beliefs, state)
        return Taken(plan, judgement, status)

    def _hold(
        self,
        capture: Capture,
        content: bytes,
        plan: Plan,
        judgement: Judgement,
        run_id: int,
        now: datetime,
        ends_run: bool,
    ) -> Taken:
        with self._database.write() as connection:
            runs.fence(connection, run_id)
            captures.supersede_held(connection, capture.scope)
            self._bodies.keep(connection, capture, content, run_id, "held")
            runs.keep_verdicts(connection, run_id, judgement.verdicts)
            if ends_run:
                held = [v for v in judgement.verdicts if v.outcome == "held"]
                row = _row(plan, self._state.catalog_version) | {"held": len(held)}
                runs.end(connection, run_id, "held", now=now, error="; ".join(v.reason for v in held), **row)
        self._waiting.add(capture.scope)
        return Taken(plan, judgement, "held")

    def _load(self, scope: Scope) -> None:
        if self._loaded and scope in self._last:
            return
        if self._database.schema() is Schema.CURRENT:
            with self._database.read() as connection:
                self._last[scope] = captures.last_applied(connection, scope)
                if captures.is_anything_held(connection, scope):
                    self._waiting.add(scope)
                if not self._loaded:
                    self._believed = catalog.load(connection, decoder=DECODER)
                    self._served = history.load(connection)
                    self._state = catalog.state(connection)
                    self._scopes = captures.scopes_applied(connection)
        else:
            self._last[scope] = None
        self._loaded = True

    def _remember(
        self, capture: Capture, plan: Plan, listings: dict[str, Any], beliefs: dict[str, Any], state: catalog.State
    ) -> None:
        known = self._believed.known
        for model_id in beliefs:
            before = self._believed.by_id.get(model_id)
            if before is not None and before.raw is not None:
                known.pop(before.raw, None)
        self._believed.by_id.update(beliefs)
        for record in (*plan.added, *plan.altered, *plan.refreshed, *plan.reactivated):
            # one object for one version, so that comparing it is comparing identity
            known[record.raw] = replace(record, version=beliefs[record.id].version)
        self._served.by_id.update(listings)
        self._state = state
        self._last[capture.scope] = capture
        self._waiting.discard(capture.scope)
        self._scopes |= {capture.scope}


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
            ended = claimed if isinstance(claimed, Run) else self._work(claimed, force)
        self._say_end(ended)
        return ended

    def _prepare(self) -> None:
        """The tables are there: made on the spot in an empty database, brought up to date on SQLite."""
        schema = self._database.schema()
        if schema is Schema.MISSING or (schema is Schema.OUTDATED and self._database.dialect == "sqlite"):
            self._tell("Preparing the database", database=self._database.label)
            self._database.migrate()
        self._database.require_schema()

    def _claim(self, trigger: str, force: bool) -> runs.Claimed | Run:
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
                for dead in found.interrupted:
                    self._tell("Took over", run=dead)
                return found
            if isinstance(found, runs.NotDue):
                return self._skipped(
                    trigger,
                    f"run {found.last.id} synced at {found.last.started_at:%H:%M} UTC; the next sync is due at "
                    f"{found.due_at:%Y-%m-%d %H:%M} UTC. --force syncs now.",
                )
            if watched is not None and (watched.id != found.run.id or watched.heartbeat_at != found.run.heartbeat_at):
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

    def _work(self, claimed: runs.Claimed, force: bool) -> Run:
        run_id = claimed.run_id
        with self._heartbeat(run_id):
            try:
                self._sync(run_id, force)
            except UpstreamError as error:
                self._end_badly(run_id, "failed", str(error))
            except (KeyboardInterrupt, SystemExit):
                self._end_badly(run_id, "interrupted", "It was stopped before it was done; nothing was applied.")
                raise
            except Exception as error:
                reason = str(error) if isinstance(error, LLMHiveError) else f"internal error: {type(error).__name__}"
                self._end_badly(run_id, "failed", reason)
                raise
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

    def _sync(self, run_id: int, force: bool) -> None:
        last = self._comparable(force)
        answer = self._fetch(last)
        fetched_at = self._now()
        digest = hashlib.sha256(answer.body).hexdigest()
        if last is not None and (answer.status == 304 or digest == last.digest):
            self._confirm(run_id, replace(last, fetched_at=fetched_at), answer)
            return
        capture = Capture(fetched_at, self._policy.source, SCOPE, digest, answer.etag, answer.last_modified)
        taken = Pipeline(self._database, self._policy.limits).take(
            capture, answer.body, run_id=run_id, known_at=self._now
        )
        self._tell("Compared", **{name: value for name, value in _counts(taken.plan).items() if value})

    def _fetch(self, last: Capture | None) -> Answer:
        source = self._open_source()
        try:
            return source.models(etag=last.etag if last else None, last_modified=last.last_modified if last else None)
        finally:
            source.close()

    def _comparable(self, force: bool) -> Capture | None:
        """The capture against which an answer may be called unchanged, if there is one (design 4.2)."""
        if self._database.schema() is not Schema.CURRENT:
            return None
        with self._database.read() as connection:
            last = captures.last_applied(connection, SCOPE)
            state = catalog.state(connection)
            is_held = captures.is_anything_held(connection, SCOPE)
        usable = (
            last is not None
            and not force
            and not is_held
            and last.source == self._policy.source
            and state.source == "openrouter"
            and state.decoder == DECODER
        )
        return last if usable else None

    def _confirm(self, run_id: int, capture: Capture, answer: Answer) -> None:
        """OpenRouter says what it said: only the run and the capture are written."""
        if answer.status == 200:
            capture = replace(capture, etag=answer.etag, last_modified=answer.last_modified)
        with self._database.write() as connection:
            runs.fence(connection, run_id)
            captures.Captures().keep(connection, capture, None, run_id, "applied")
            active = catalog.count_active(connection)
            state = catalog.state(connection)
            runs.end(
                connection, run_id, "unchanged", now=self._now(), scope=SCOPE, models_seen=active, unchanged=active,
                catalog_version=state.catalog_version,
            )  # fmt: skip

    def _rehearse(self, trigger: str, force: bool) -> Run:
        """A dry run: takes no lock, migrates nothing, writes nothing."""
        started = self._now()
        schema_is_there = self._database.require_schema()
        run = Run("regular", trigger, "running", started, dry_run=True, scope=SCOPE)
        try:
            last = self._comparable(force) if schema_is_there else None
            answer = self._fetch(last)
            digest = hashlib.sha256(answer.body).hexdigest()
            if last is not None and (answer.status == 304 or digest == last.digest):
                with self._database.read() as connection:
                    active = catalog.count_active(connection)
                return replace(
                    run, status="unchanged", finished_at=self._now(), models_seen=active, unchanged=active, plan=()
                )
            capture = Capture(self._now(), self._policy.source, SCOPE, digest, answer.etag, answer.last_modified)
            plan, judgement = Pipeline(self._database, self._policy.limits).plan(capture, answer.body)
        except UpstreamError as error:
            return replace(run, status="failed", finished_at=self._now(), error=str(error), plan=())
        held = [v for v in judgement.verdicts if v.outcome == "held"]
        return replace(
            run,
            status="held" if held else "unchanged" if plan.is_empty else "completed",
            finished_at=self._now(),
            error="; ".join(v.reason for v in held) or None,
            held=len(held),
            notes=tuple(notes(plan)),
            plan=tuple(change.to_json() for change in plan.changes),
            **_counts(plan),
        )

    def _load_bootstrap(self, trigger: str) -> str:
        """Fill an empty catalog with the facts shipped with LLMHive, as a run of its own; returns a line about it."""
        feed, as_of = bootstrap.load()
        with self._database.write() as connection:
            claimed = runs.claim(
                connection, "bootstrap", trigger=trigger, owner=self._owner, now=self._now(), interval=None,
                stale_after=self._policy.stale_after,
            )  # fmt: skip
            if not isinstance(claimed, runs.Claimed):
                return "Another sync has started meanwhile."
            apply_bootstrap(connection, feed, as_of, run_id=claimed.run_id, now=self._now())
        return (
            f"Loaded the bootstrap catalog shipped with LLMHive ({len(feed.records)} models as of {as_of:%Y-%m-%d}), "
            "so that there is something to look at. The first sync that works replaces it."
        )

    @contextmanager
    def _heartbeat(self, run_id: int) -> Iterator[None]:
        done = threading.Event()

        def beat() -> None:
            while not done.wait(self._policy.stale_after.total_seconds() / 6):
                try:
                    with self._database.write() as connection:
                        if not runs.heartbeat(connection, run_id, self._now()):
                            return
                except StoreError as error:
                    # the next beat may get through; if none does, the run counts as dead
                    self._tell("Heartbeat failed", run=run_id, error=str(error))

        thread = threading.Thread(target=beat, name=f"heartbeat of run {run_id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _say_end(self, run: Run) -> None:
        facts = {"run": run.id, "status": run.status, "duration_seconds": run.duration_seconds}
        if run.status in DONE:
            self._tell(f"Synced {run.models_seen} models", **facts, **{n: getattr(run, n) for n in _COUNTED})
        elif run.status == "skipped":
            self._tell("Sync skipped", why=run.notes[0])
        else:
            self._tell("Sync failed" if run.status == "failed" else "Sync held", **facts, error=run.error)


_COUNTED = ("added", "changed", "repriced", "deactivated", "reactivated", "unchanged", "unreadable")
_DID = {"completed": "synced", "unchanged": "found nothing new", "held": "was held", "failed": "failed"}


def _counts(plan: Plan) -> dict[str, Any]:
    return {
        "models_seen": len(plan.feed.records),
        "added": plan.count("added"),
        "changed": plan.count("changed"),
        "repriced": plan.count("repriced"),
        "deactivated": plan.count("deactivated"),
        "reactivated": plan.count("reactivated"),
        "unchanged": plan.unchanged,
        "unreadable": len(plan.feed.unreadable),
    }


def _row(plan: Plan, catalog_version: int) -> dict[str, Any]:
    """A plan as columns of `sync_run`."""
    return _counts(plan) | {
        "scope": plan.feed.scope,
        "notes": notes(plan),
        "plan": [change.to_json() for change in plan.changes],
        "catalog_version": catalog_version,
    }


def notes(plan: Plan) -> list[str]:
    """What a person should know of a feed beyond its changes, a line each."""
    lines = [
        f"Record {entry.position + 1} ({entry.model_id or 'no readable id'}) is in quarantine: {entry.reason}."
        for entry in plan.feed.unreadable[:20]
    ]
    if len(plan.feed.unreadable) > 20:
        lines.append(f"… and {len(plan.feed.unreadable) - 20} more records are in quarantine.")
    if plan.baseline:
        lines.append(
            f"{len(plan.baseline)} of the added models output no text: the earlier lists could not show them, so they "
            "are not news."
        )
    flagged = Counter(flag for record in plan.feed.records for flag in record.flags)
    lines += [f"{flag} ({count} {'model' if count == 1 else 'models'}): kept, not understood." for flag, count in
              flagged.most_common(20)]  # fmt: skip
    return lines


def apply_bootstrap(connection: Any, feed: Feed, as_of: datetime, *, run_id: int, now: datetime) -> None:
    """Believe a bootstrap's facts, in a catalog that is empty: belief only, no capture and no served version."""
    plan = diff({}, feed)
    history.keep_versions(connection, plan.news)
    catalog.apply(
        connection, plan, catalog.Believed(), run_id=run_id, at=as_of, known_at=now, last_seen_at=None,
        is_bootstrap=True,
    )  # fmt: skip
    state = catalog.state(connection)
    version = state.catalog_version + 1
    catalog.write_state(connection, catalog.State(version, "bootstrap", as_of, DECODER))
    row = _row(plan, version) | {"notes": [f"Facts as of {as_of:%Y-%m-%d}, shipped with LLMHive."], "plan": []}
    runs.end(connection, run_id, "completed", now=now, **row)
