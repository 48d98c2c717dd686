"""Captured bodies become history: any number of them, in any order, before or after live syncs began.

Each body is read, judged by the rules that need no predecessor, and *kept*: stored, but not yet in history. At the end
one transaction takes everything kept into history, each capture in its place. So a backfill that was stopped goes on
where it was when it is started again, and readers see all of it or nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from llmhive.app.openrouter.archive import Captured, captured
from llmhive.app.openrouter.pipeline import DECODE, Decoder
from llmhive.app.openrouter.rederive import bring_up_to_date, feeds, fold, remember
from llmhive.app.openrouter.runner import Runner, Work
from llmhive.catalog.diff import Change, Plan, between
from llmhive.catalog.feed import SCOPES, Feed, Record, Scope, covers
from llmhive.catalog.gate import Limits, Rule, Verdict, judge
from llmhive.catalog.run import Run
from llmhive.catalog.timeline import Timeline
from llmhive.errors import BadAnswer, Conflict
from llmhive.store import captures, catalog, history, prices, runs
from llmhive.store.captures import Capture, Captures, Reader
from llmhive.store.catalog import Row, State

#: Captures that are kept in one transaction.
BATCH = 32


@dataclass
class _Kept:
    """What became of the bodies."""

    new: int = 0
    known: int = 0  #: that were there already
    refused: list[str] = field(default_factory=list)  #: why, a line each
    verdicts: list[Verdict] = field(default_factory=list)
    #: history as it grows, as long as every capture is newer than all before it
    timeline: Timeline | None = None
    newest: datetime | None = None


def backfill(
    runner: Runner, path: Path, limits: Limits, *, trigger: str, scope: Scope | None = None, decode: Decoder = DECODE
) -> Run:
    """Take captured bodies into history; raises `UsageError` and `Conflict`.

    Without a `scope`, a list that shows a model which outputs no text covers all modalities, any other covers text.
    """
    runner.prepare()
    work = Work(
        "backfill",
        look=lambda connection: catalog.state(connection).decoder,
        do=lambda run_id, decoder: _Backfill(runner, run_id, limits, scope, decode).run(path, decoder),
    )
    ended = runner.run(work, trigger=trigger)
    if ended.status == "skipped":
        raise Conflict(f"Not backfilled: {ended.notes[0].removeprefix('Skipped: ')} Try again.")
    return ended


class _Backfill:
    """One backfill under the lock."""

    def __init__(self, runner: Runner, run_id: int, limits: Limits, scope: Scope | None, decode: Decoder) -> None:
        self._runner = runner
        self._database = runner.database
        self._run_id = run_id
        self._limits = limits
        self._scope = scope
        self._decode = decode
        self._bodies = Captures()
        self._records: dict[bytes, Record] = {}

    def run(self, path: Path, decoder: int | None) -> Run | None:
        bring_up_to_date(self._database, self._run_id, decoder, now=self._runner.now, tell=self._runner.tell)
        kept = self._keep(captured(path))
        return self._finish(kept)

    # keep

    def _keep(self, found: Iterable[Captured]) -> _Kept:
        with self._database.read() as connection:
            there = {(at, digest) for at, _, digest in captures.taken_before(connection)}
            waiting = captures.filed(connection, "kept")
        kept = _Kept(newest=max((at for at, _ in there), default=None))
        if not there:
            kept.timeline = Timeline()
        batch: list[tuple[Capture, bytes, str]] = []
        for it in found:
            taken = self._read(it, there, kept)
            if taken is not None:
                batch.append((*taken, "superseded" if taken[0].source in _refused(kept) else "kept"))
            if len(batch) >= BATCH:
                self._write(batch)
                batch = []
            self._runner.tell("Progress", what="Reading captures", done=it.done, whole=it.whole)
        self._write(batch)
        kept.new += len(waiting)
        return kept

    def _read(self, it: Captured, there: set[tuple[datetime, str]], kept: _Kept) -> tuple[Capture, bytes] | None:
        digest = hashlib.sha256(it.content).hexdigest()
        if (it.at, digest) in there:
            kept.known += 1
            return None
        if it.at > self._runner.now():
            kept.refused.append(f"{it.name}: it is from the future")
            return None
        try:
            feed = self._decode(it.content, self._scope or "all", self._records)
        except BadAnswer as error:
            kept.refused.append(f"{it.name}: {error}")
            return None
        feed = replace(feed, scope=self._scope or _scope_of(feed))
        remember(self._records, feed)
        there.add((it.at, digest))
        capture = Capture(it.at, f"file:{it.name}", feed.scope, digest)
        judgement = judge(Plan(feed), {}, at=it.at, before=None, limits=self._limits)
        if judgement.is_held:
            kept.refused.append(f"{it.name}: {judgement.why}")
            kept.verdicts += [replace(found, evidence=found.evidence | {"file": it.name}) for found in judgement.held]
            return capture, it.content
        kept.new += 1
        if kept.timeline is not None and (kept.newest is None or it.at > kept.newest):
            kept.timeline.take(feed, it.at)
        else:
            # out of order: the whole is read again at the end
            kept.timeline = None
        kept.newest = it.at if kept.newest is None else max(kept.newest, it.at)
        return capture, it.content

    def _write(self, batch: list[tuple[Capture, bytes, str]]) -> None:
        if not batch:
            return
        with self._database.write() as connection:
            runs.fence(connection, self._run_id)
            for capture, content, state in batch:
                self._bodies.keep(connection, capture, content, self._run_id, state)

    # finish

    def _finish(self, kept: _Kept) -> Run | None:
        """Take everything kept into history, each capture in its place, and the newest into belief."""
        timeline = kept.timeline
        with self._database.read() as connection:
            waiting = captures.filed(connection, "kept")
            last = captures.last_applied(connection)
            if waiting and timeline is None:
                self._runner.tell("Ordering the history", captures=len(waiting))
                since = waiting[0].capture.fetched_at
                filed = captures.filed(connection, "applied", "accepted", "kept", since=since)
                timeline = Timeline(history.before(connection, since))
                fold(timeline, feeds(Reader(connection), filed, self._decode, self._runner.tell))
        now = self._runner.now()
        with self._database.write() as connection:
            runs.fence(connection, self._run_id)
            state, changes = catalog.state(connection), tuple[Change, ...]()
            if waiting and timeline is not None:
                self._runner.tell("Writing the history", models=len(timeline.steps))
                captures.set_state(connection, "kept", "applied")
                history.rewrite(connection, waiting[0].capture.fetched_at, timeline)
                newest = waiting[-1].capture.fetched_at
                is_newer = last is None or newest > last.fetched_at
                state, changes = self._believe(connection, state, timeline, newest, is_newer, now)
                for scope in SCOPES:
                    captures.supersede_held(connection, scope, before=newest)
            runs.keep_verdicts(connection, self._run_id, kept.verdicts)
            return runs.end(
                connection,
                self._run_id,
                "completed" if waiting else "unchanged",
                now=self._runner.now(),
                models_seen=catalog.count_active(connection),
                held=len(kept.verdicts),
                notes=_notes(kept, waiting[0].capture.fetched_at if waiting else None,
                             waiting[-1].capture.fetched_at if waiting else None),
                plan=[change.to_json() for change in changes],
                catalog_version=state.catalog_version,
                **_counts(changes),
            )  # fmt: skip

    def _believe(
        self, connection: Any, state: State, timeline: Timeline, newest: datetime, is_newer: bool, now: datetime
    ) -> tuple[State, tuple[Change, ...]]:
        """Believe the newest capture, if it is news; what only history knows becomes an inactive model."""
        if state.pinned is not None:
            state = replace(state, catalog_version=state.catalog_version + 1)
            catalog.write_state(connection, state)
            return state, ()
        before = catalog.rows(connection)
        if state.source == "bootstrap" and state.source_at is not None:
            is_newer = is_newer and newest > state.source_at
        first = history.first_listed(connection)
        wanted: dict[str, Row] = {}
        for model_id, row in before.items():
            earliest = min(row.first_seen_at, first.get(model_id, row.first_seen_at))
            wanted[model_id] = replace(row, first_seen_at=earliest)
        for model_id in timeline.listings:
            found = _row(model_id, timeline, before.get(model_id), first, newest)
            if found is not None and (is_newer or (model_id not in before and not found.is_active)):
                wanted[model_id] = found
        if is_newer and state.source == "bootstrap":
            wanted |= _gone(before, timeline, newest, state.source_at)
        catalog.restore(connection, wanted, run_id=self._run_id, known_at=now)
        if is_newer:
            confirmed = [found for model_id, row in before.items() for found in _believed_now(model_id, row)]
            runs.keep_verdicts(connection, self._run_id, confirmed)
            prices.mark_held(connection, {found.model_id or "": () for found in confirmed})
        state = replace(state, catalog_version=state.catalog_version + 1)
        if is_newer:
            state = replace(
                state, source="openrouter", source_at=None, decoder=self._decode.version, is_moved=False
            )  # fmt: skip
        catalog.write_state(connection, state)
        changes = between(
            {model_id: row.belief for model_id, row in before.items()},
            {model_id: row.belief for model_id, row in wanted.items()},
        )
        return state, changes if before else ()


def _believed_now(model_id: str, row: Row) -> Iterator[Verdict]:
    """That nothing of a model is held any more, since a newer capture was taken in."""
    for field_, held in row.held.items():
        reason = f"{model_id}: {field_} was held; a newer capture says what is believed now"
        yield Verdict(cast("Rule", held.rule), "flagged", reason, {"served": held.served}, model_id, field_)


def _row(
    model_id: str, timeline: Timeline, before: Row | None, first: Mapping[str, datetime], newest: datetime
) -> Row | None:
    """The row of a model as history leaves it; None where it says nothing new."""
    listing = timeline.listings[model_id]
    record = timeline.records.get(model_id)
    steps = timeline.steps.get(model_id)
    if record is None:
        if before is None or not steps:
            return None
        record = before.record
    gone = None if listing.is_listed or not steps else steps[-1][0]
    seen = timeline.seen.get(model_id, before.last_seen_at if before else None)
    if before is not None and not before.is_active and not listing.is_listed and gone is None:
        return None
    return catalog.row_of(
        record,
        is_active=listing.is_listed,
        at=newest,
        first_seen_at=first.get(model_id, newest),
        last_seen_at=None if listing.is_listed else seen,
        deactivated_at=gone,
    )


def _gone(
    before: Mapping[str, Row], timeline: Timeline, newest: datetime, source_at: datetime | None
) -> dict[str, Row]:
    """A bootstrap's models that history does not know."""
    sees_all = any(not covers("text", it.version.model) for it in timeline.listings.values())
    return {
        model_id: replace(row, is_active=False, last_seen_at=source_at, deactivated_at=newest)
        for model_id, row in before.items()
        if model_id not in timeline.listings and row.is_active and (sees_all or covers("text", row.record.model))
    }


def _scope_of(feed: Feed) -> Scope:
    return "all" if any(not covers("text", record.model) for record in feed.records) else "text"


def _refused(kept: _Kept) -> set[str]:
    return {f"file:{found.evidence['file']}" for found in kept.verdicts}


def _counts(changes: tuple[Change, ...]) -> dict[str, Any]:
    return {
        what: len({change.id for change in changes if change.what == what})
        for what in ("added", "changed", "repriced", "deactivated", "reactivated")
    }


def _notes(kept: _Kept, first: datetime | None, last: datetime | None) -> list[str]:
    if first is None or last is None:
        lines = ["Nothing new: every capture is in history already." if kept.known else "No capture could be taken."]
    else:
        lines = [f"Took {kept.new:,} captures into history, {first:%Y-%m-%d} to {last:%Y-%m-%d}."]
    if kept.known and first is not None:
        lines.append(f"{kept.known:,} were there already.")
    if kept.refused:
        lines.append(f"{len(kept.refused):,} were refused:")
        lines += kept.refused[:20]
        if len(kept.refused) > 20:
            lines.append(f"… and {len(kept.refused) - 20:,} more.")
    return lines
