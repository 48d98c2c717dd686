"""decode → diff → gate → apply: the path every captured body goes, whoever brought it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from llmhive.app.openrouter import bootstrap
from llmhive.app.openrouter.decode import DECODER, decode
from llmhive.catalog.diff import Baseline, Belief, Plan, diff
from llmhive.catalog.feed import SCOPES, Scope, covers
from llmhive.catalog.gate import Judgement, Limits, judge
from llmhive.catalog.model import Model
from llmhive.catalog.run import Status
from llmhive.store import captures, catalog, history, runs
from llmhive.store.captures import Capture
from llmhive.store.database import Database, Schema
from llmhive.store.history import Listing


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
        self._last: dict[Scope, Capture | None] = dict.fromkeys(SCOPES)
        self._waiting: set[Scope] = set()

    def plan(self, capture: Capture, content: bytes) -> tuple[Plan, Judgement]:
        """What taking a body would do; writes nothing."""
        self._load()
        feed = decode(content, capture.scope, self._believed.known)
        plan = diff(self._believed.by_id, feed, baseline=self._baseline(capture.scope))
        return plan, self._judge(capture, plan)

    def _baseline(self, scope: Scope) -> Baseline | None:
        if self._state.source == "bootstrap":
            return "bootstrap"
        # models that output no text were there all the time, unseen
        return "first look" if scope == "all" and self._last["text"] and not self._last["all"] else None

    def _judge(self, capture: Capture, plan: Plan) -> Judgement:
        # the first look at all modalities follows the text lists before it
        last = self._last[capture.scope] or (self._last["text"] if capture.scope == "all" else None)
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
        state = replace(
            self._state,
            catalog_version=self._state.catalog_version + (not plan.is_empty or self._state.source != "openrouter"),
            source="openrouter",
            source_at=None,
            decoder=DECODER,
        )
        status: Status = "unchanged" if plan.is_empty else "completed"
        with self._transaction() as connection:
            runs.fence(connection, run_id)
            self._bodies.keep(connection, capture, content, run_id, "applied")
            if capture.scope in self._waiting:
                captures.supersede_held(connection, capture.scope)
            history.keep_versions(connection, plan.news)
            listings = history.record(connection, self._served, plan.feed, capture.fetched_at)
            beliefs = catalog.apply(
                connection,
                plan,
                self._believed,
                run_id=run_id,
                at=capture.fetched_at,
                known_at=now,
                last_seen_at=self._last_seen_at,
            )
            if state != self._state:
                catalog.write_state(connection, state)
            runs.keep_verdicts(connection, run_id, judgement.verdicts)
            if ends_run:
                runs.end(connection, run_id, status, now=known_at(), **_row(plan, state.catalog_version))
        self._remember(capture, plan, listings, beliefs, state)
        return Taken(plan, judgement, status)

    def _last_seen_at(self, model: Model) -> datetime | None:
        """When a model that is gone was listed last: by the newest applied capture that could show it."""
        seen = [last.fetched_at for scope, last in self._last.items() if last is not None and covers(scope, model)]
        return max(seen, default=self._state.source_at)

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
        with self._transaction() as connection:
            runs.fence(connection, run_id)
            captures.supersede_held(connection, capture.scope)
            self._bodies.keep(connection, capture, content, run_id, "held")
            runs.keep_verdicts(connection, run_id, judgement.verdicts)
            if ends_run:
                row = _row(plan, self._state.catalog_version) | {"held": len(judgement.held)}
                runs.end(connection, run_id, "held", now=now, error=judgement.why, **row)
        self._waiting.add(capture.scope)
        return Taken(plan, judgement, "held")

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        """One transaction; if it fails, the body it would have stored is no base for the next one."""
        try:
            with self._database.write() as connection:
                yield connection
        except BaseException:
            self._bodies = captures.Captures()
            raise

    def _load(self) -> None:
        if self._loaded:
            return
        if self._database.schema() is Schema.CURRENT:
            with self._database.read() as connection:
                self._last = {scope: captures.last_applied(connection, scope) for scope in SCOPES}
                self._waiting = {scope for scope in SCOPES if captures.is_anything_held(connection, scope)}
                self._believed = catalog.load(connection, decoder=DECODER)
                self._served = history.load(connection)
                self._state = catalog.state(connection)
        self._loaded = True

    def _remember(
        self,
        capture: Capture,
        plan: Plan,
        listings: dict[str, Listing],
        beliefs: dict[str, Belief],
        state: catalog.State,
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


def counts(plan: Plan) -> dict[str, Any]:
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
    return counts(plan) | {
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
    if plan.baseline == "bootstrap":
        lines.append("This replaced the bootstrap facts with OpenRouter's list; what differs is not all news.")
    elif plan.baseline == "first look":
        unseen = sum(not covers("text", record.model) for record in plan.added)
        lines.append(f"{unseen} of the new models output no text: earlier lists left them out, so they are not news.")
    flagged = Counter(flag for record in plan.feed.records for flag in record.flags)
    lines += [f"{flag} ({count} {'model' if count == 1 else 'models'}): kept, not understood." for flag, count in
              flagged.most_common(20)]  # fmt: skip
    return lines


def apply_bootstrap(connection: Any, *, run_id: int, now: datetime) -> tuple[int, datetime]:
    """Believe the shipped facts, in a catalog that is empty: belief only, no capture and no served version.

    Returns how many models there are, and when the facts were true.
    """
    feed, as_of = bootstrap.load()
    plan = diff({}, feed)
    history.keep_versions(connection, plan.news)
    catalog.apply(
        connection, plan, catalog.Believed(), run_id=run_id, at=as_of, known_at=now, last_seen_at=lambda _: None,
        is_bootstrap=True,
    )  # fmt: skip
    state = catalog.state(connection)
    version = state.catalog_version + 1
    catalog.write_state(connection, catalog.State(version, "bootstrap", as_of, DECODER))
    row = _row(plan, version) | {"notes": [f"Facts as of {as_of:%Y-%m-%d}, shipped with LLMHive."], "plan": []}
    runs.end(connection, run_id, "completed", now=now, **row)
    return len(feed.records), as_of
