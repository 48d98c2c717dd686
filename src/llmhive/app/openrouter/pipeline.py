"""decode → diff → gate → apply: the path every captured body goes, whoever brought it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from llmhive.app.openrouter import bootstrap
from llmhive.app.openrouter.decode import DECODER, decode
from llmhive.catalog.alert import Alerting, Event, Settled, events_of, settle
from llmhive.catalog.diff import Baseline, Belief, Plan, diff, withhold
from llmhive.catalog.feed import SCOPES, Feed, Record, Scope, covers
from llmhive.catalog.gate import Before, Judgement, Limits, Waiver, judge
from llmhive.catalog.hold import withheld
from llmhive.catalog.model import Model, Version
from llmhive.catalog.run import Status
from llmhive.catalog.timeline import Listing
from llmhive.errors import StoreError
from llmhive.store import alerts, captures, catalog, history, prices, runs, versions
from llmhive.store.captures import Capture
from llmhive.store.database import Database, Schema


class Decoder(Protocol):
    """What reads bodies, and its version: it is raised whenever the same record would give another `Model`."""

    version: int

    def __call__(self, body: bytes, scope: Scope, known: Mapping[bytes, Record] | None = None) -> Feed: ...


class _Decoder:
    version = DECODER

    def __call__(self, body: bytes, scope: Scope, known: Mapping[bytes, Record] | None = None) -> Feed:
        return decode(body, scope, known)


DECODE: Decoder = _Decoder()


@dataclass(frozen=True, slots=True)
class Judged:
    """What taking a body would do."""

    feed: Feed  #: as served
    plan: Plan  #: what would be applied, held values left out
    judgement: Judgement
    same_as_last: bool  #: whether the body is that of the last applied capture of its scope


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one captured body."""

    plan: Plan
    judgement: Judgement
    status: Status


class Pipeline:
    """decode → diff → gate → apply, for the captures of one run; keeps both ledgers in memory between them."""

    def __init__(
        self, database: Database, limits: Limits, decoder: Decoder = DECODE, *, alerting: Alerting | None = None
    ) -> None:
        self._database = database
        self._limits = limits
        self._alerting = alerting or Alerting()
        self._decode = decoder
        self._bodies = captures.Captures()
        self._loaded = False
        self._is_read_anew = False
        self._believed = catalog.Believed()
        self._served = history.Served()
        self._state = catalog.State()
        self._last: dict[Scope, Capture | None] = dict.fromkeys(SCOPES)
        self._waiting: set[Scope] = set()

    @property
    def pinned(self) -> str | None:
        """The snapshot that belief is pinned to; known once something was planned."""
        return self._state.pinned

    def plan(self, capture: Capture, content: bytes, waiver: Waiver | None = None) -> Judged:
        """What taking a body would do; writes nothing."""
        self._load()
        feed = self._decode(content, capture.scope, self._believed.known)
        plan = diff(self._believed.by_id, feed, baseline=self._baseline(capture.scope))
        judgement = self._judge(capture, plan, waiver or Waiver())
        last = self._last[capture.scope]
        is_same = last is not None and last.digest == capture.digest
        return Judged(feed, withhold(plan, self._believed.by_id, judgement.withheld), judgement, is_same)

    def _baseline(self, scope: Scope) -> Baseline | None:
        if self._state.source == "bootstrap":
            return "bootstrap"
        # models that output no text were there all the time, unseen
        return "first look" if scope == "all" and self._last["text"] and not self._last["all"] else None

    def _judge(self, capture: Capture, plan: Plan, waiver: Waiver) -> Judgement:
        # the first look at all modalities follows the text lists before it
        last = self._last[capture.scope] or (self._last["text"] if capture.scope == "all" else None)
        before = None
        if last is not None and self._state.source != "bootstrap":
            listed = {model_id: it.version for model_id, it in self._served.by_id.items() if it.is_listed}
            before = Before(last.fetched_at, listed)
            if last.digest != capture.digest:
                with self._database.read() as connection:
                    same = captures.last_served(connection, capture.scope, capture.digest)
                before = replace(before, same_body_at=same)
        judgement = self._ask(capture, plan, before, waiver)
        if before is None or not judgement.is_held:
            return judgement
        # only what is held asks what was held before
        with self._database.read() as connection:
            holds = runs.holds(connection, capture.scope, since=before.at)
        return self._ask(capture, plan, replace(before, holds=holds), waiver)

    def _ask(self, capture: Capture, plan: Plan, before: Before | None, waiver: Waiver) -> Judgement:
        return judge(
            plan,
            self._believed.by_id,
            at=capture.fetched_at,
            before=before,
            limits=self._limits,
            values="ignored" if self._state.pinned is not None else "flagged" if self._state.is_moved else "held",
            waiver=waiver,
        )

    def take(
        self,
        capture: Capture,
        content: bytes,
        *,
        run_id: int,
        known_at: Callable[[], datetime],
        ends_run: bool = True,
        goes_on: bool = False,
        waiver: Waiver | None = None,
        filed_as: int | None = None,
        note: str | None = None,
    ) -> Taken:
        """Take a body in, whole or not at all: the capture, both ledgers and the run's end are one transaction.

        With `goes_on` the run's row is written, but the run goes on to its other steps, unless it is held. `filed_as`
        is the number of the capture where it is stored already; a held one is accepted then.
        """
        judged = self.plan(capture, content, waiver)
        plan, judgement = judged.plan, judged.judgement
        if self._is_read_anew:
            raise StoreError("Another version of LLMHive read this history. Run `llmhive rederive` first.")
        now = known_at()
        if judgement.is_held:
            return self._hold(capture, content, plan, judgement, run_id, now, ends_run, note, filed_as)
        is_pinned = self._state.pinned is not None
        state = self._state
        if not is_pinned:
            state = replace(
                state,
                catalog_version=state.catalog_version + (not plan.is_empty or state.source != "openrouter"),
                source="openrouter",
                source_at=None,
                decoder=self._decode.version,
                is_moved=False,
            )
        is_quiet = judged.same_as_last if is_pinned else plan.is_empty
        status: Status = "unchanged" if is_quiet else "completed"
        with self._transaction() as connection:
            runs.fence(connection, run_id)
            if filed_as is None:
                self._bodies.keep(connection, capture, content, run_id, "applied")
            else:
                captures.set_state(connection, "held", "accepted", capture_id=filed_as)
            if capture.scope in self._waiting:
                captures.supersede_held(connection, capture.scope)
            # what is served is not always what is believed: values may be held, belief pinned or moved
            versions.keep(connection, (*plan.news, *self._unknown(judged.feed)))
            listings = history.record(connection, self._served, judged.feed, capture.fetched_at)
            beliefs: dict[str, Belief] = {}
            if not is_pinned:
                beliefs = catalog.apply(
                    connection,
                    plan,
                    self._believed,
                    run_id=run_id,
                    at=capture.fetched_at,
                    known_at=now,
                    last_seen_at=self._last_seen_at,
                )
                prices.mark_held(connection, self._marks(plan, judgement))
                if self._state.is_moved:
                    beliefs |= self._catch_up(connection, run_id, now)
            if state != self._state:
                catalog.write_state(connection, state)
            runs.keep_verdicts(connection, run_id, judgement.verdicts)
            if ends_run and not is_pinned:
                # one run, one message
                self._alert(connection, plan, run_id, now)
            if ends_run:
                row = _row(plan, judgement, state.catalog_version, note)
                row |= {} if state.pinned is None else pinned_row(plan, state.pinned)
                _write_run(connection, run_id, None if goes_on else status, known_at, row)
        self._remember(capture, judged, listings, beliefs, state)
        return Taken(plan, judgement, status)

    def _alert(self, connection: Any, plan: Plan, run_id: int, now: datetime) -> None:
        """Write what there is to tell, as a part of what makes it so."""
        found: list[Event] = []
        # where belief was empty, a bootstrap's or moved by hand, what differs is not what happened
        if plan.baseline is None and self._state.source is not None and not self._state.is_moved:
            found = events_of(plan, self._believed.by_id, price_percent=self._alerting.price_percent)
        waiting = alerts.unconfirmed(connection)
        settled = Settled()
        if waiting:
            believed = self._believed.by_id
            models = {it: believed[it].version.model for it in waiting.values() if it in believed}
            settled = settle(plan, models, found)
        alerts.write(
            connection, run_id, found, now=now, channels=self._alerting.channels, waiting=waiting, settled=settled
        )

    def _catch_up(self, connection: Any, run_id: int, now: datetime) -> dict[str, Belief]:
        """Believe, inactive, what came and went at OpenRouter while the catalog was pinned."""
        rows: dict[str, catalog.Row] = {}
        for model_id, listing in self._served.by_id.items():
            if listing.is_listed or model_id in self._believed.by_id:
                continue
            timeline = history.timeline_of(connection, model_id)
            gone, first = timeline[-1][0], next(at for at, it in timeline if it.is_listed)
            last = captures.newest_filed(connection, None, before=gone)
            if last is None:
                continue
            feed = self._decode(captures.read_body(connection, last.capture.digest), last.capture.scope)
            record = next((it for it in feed.records if it.id == model_id), None)
            if record is not None:
                rows[model_id] = catalog.row_of(
                    record, is_active=False, at=gone, first_seen_at=first, last_seen_at=last.capture.fetched_at,
                    deactivated_at=gone,
                )  # fmt: skip
        restored = catalog.restore(connection, rows, run_id=run_id, known_at=now) if rows else {}
        return {model_id: restored[model_id] for model_id in rows}

    def _unknown(self, feed: Feed) -> list[Version]:
        """What is served otherwise than before, whatever is believed."""
        before = self._served.by_id
        return [it.version for it in feed.records if it.id not in before or before[it.id].version != it.version]

    def _marks(self, plan: Plan, judgement: Judgement) -> dict[str, list[str]]:
        """The models whose held values changed, with what is held of them now."""
        judged = {found.model_id for found in judgement.verdicts if found.model_id is not None}
        judged |= {record.id for record in plan.altered if self._believed.by_id[record.id].held}
        return {model_id: list(plan.held.get(model_id, ())) for model_id in sorted(judged)}

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
        note: str | None,
        filed_as: int | None,
    ) -> Taken:
        """Keep a body that waits; one that waited already waits for this run's verdicts from now on."""
        with self._transaction() as connection:
            runs.fence(connection, run_id)
            if filed_as is None:
                captures.supersede_held(connection, capture.scope)
                self._bodies.keep(connection, capture, content, run_id, "held")
            else:
                captures.hand_over(connection, filed_as, run_id)
            runs.keep_verdicts(connection, run_id, judgement.verdicts)
            if ends_run:
                row = _row(plan, judgement, self._state.catalog_version, note)
                ended = runs.end(connection, run_id, "held", now=now, error=judgement.why, **row)
                alerts.write_of_run(connection, ended, now=now, channels=self._alerting.channels)
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
            # one object for one version in both ledgers, so that comparing it is comparing identity
            cache: dict[str, Version] = {}
            with self._database.read() as connection:
                self._last = {scope: captures.last_applied(connection, scope) for scope in SCOPES}
                self._waiting = {scope for scope in SCOPES if captures.is_anything_held(connection, scope)}
                self._believed = catalog.load(connection, decoder=self._decode.version, cache=cache)
                self._served = history.load(connection, cache)
                self._state = catalog.state(connection)
            if self._state.decoder not in {None, self._decode.version}:
                self._read_anew()
                self._is_read_anew = True
        self._loaded = True

    def _read_anew(self) -> None:
        """Read the believed records with this decoder, for a dry run: a sync rederives them before it compares."""
        believed, listings = self._believed.by_id, self._served.by_id
        raws = [belief.raw for belief in believed.values() if belief.raw]
        for record in self._decode(b'{"data":[' + b",".join(raws) + b"]}", "all").records:
            belief = believed[record.id]
            version = Version(withheld(belief.version.model, record.model, belief.held))
            listing = listings.get(record.id)
            if listing is not None and listing.version == belief.version:
                listings[record.id] = replace(listing, version=version)
            believed[record.id] = replace(belief, version=version)

    def _remember(
        self,
        capture: Capture,
        judged: Judged,
        listings: dict[str, Listing],
        beliefs: dict[str, Belief],
        state: catalog.State,
    ) -> None:
        plan, known = judged.plan, self._believed.known
        for model_id in beliefs:
            before = self._believed.by_id.get(model_id)
            if before is not None and before.raw is not None:
                known.pop(before.raw, None)
        self._believed.by_id.update(beliefs)
        for record in (*plan.added, *plan.altered, *plan.refreshed, *plan.reactivated):
            if record.id in beliefs and not beliefs[record.id].held:
                # one object for one version, so that comparing it is comparing identity
                known[record.raw] = replace(record, version=beliefs[record.id].version)
        self._served.by_id.update(listings)
        self._served.last[capture.scope] = capture.fetched_at
        self._state = state
        self._last[capture.scope] = capture
        self._waiting.discard(capture.scope)


def _write_run(
    connection: Any, run_id: int, status: Status | None, known_at: Callable[[], datetime], row: Mapping[str, Any]
) -> None:
    """Write what a run did; without a status it goes on."""
    if status is None:
        runs.note(connection, run_id, **row)
    else:
        runs.end(connection, run_id, status, now=known_at(), **row)


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


def _row(plan: Plan, judgement: Judgement, catalog_version: int, note: str | None = None) -> dict[str, Any]:
    """A plan as columns of `sync_run`."""
    return counts(plan) | {
        "scope": plan.feed.scope,
        "held": len(judgement.held),
        "notes": [*([note] if note else []), *notes(plan)],
        "plan": [change.to_json() for change in plan.changes],
        "catalog_version": catalog_version,
    }


def pinned_row(plan: Plan, snapshot: str) -> dict[str, Any]:
    """The columns of `sync_run` that are different for a sync that wrote no belief."""
    differ = len({change.id for change in plan.changes})
    seen = len(plan.feed.records)
    note = (
        f"The catalog is pinned to the snapshot {snapshot!r}: what OpenRouter lists was recorded, and "
        f"{differ or 'no'} model{'' if differ == 1 else 's'} would change. `llmhive unpin` lets the next sync catch up."
    )
    nothing = dict.fromkeys(("added", "changed", "repriced", "deactivated", "reactivated"), 0)
    return nothing | {"models_seen": seen, "unchanged": seen, "notes": [note, *notes(plan)], "plan": []}


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
    versions.keep(connection, plan.news)
    catalog.apply(
        connection, plan, catalog.Believed(), run_id=run_id, at=as_of, known_at=now, last_seen_at=lambda _: None,
        is_bootstrap=True,
    )  # fmt: skip
    state = catalog.state(connection)
    version = state.catalog_version + 1
    catalog.write_state(connection, catalog.State(version, "bootstrap", as_of, DECODER))
    row = _row(plan, Judgement(), version)
    row |= {"notes": [f"Facts as of {as_of:%Y-%m-%d}, shipped with LLMHive."], "plan": []}
    runs.end(connection, run_id, "completed", now=now, **row)
    return len(feed.records), as_of
