"""sync_run: the lock, the interval, and what the status page tells.

One run is running at a time, by a unique index over the running row. Its owner sends a heartbeat; a run that has sent
none for long is dead, and whoever wants to start next marks it ``interrupted``. Whatever a run writes, it writes in a
transaction that first locks its row and finds it still running (`fence`): a process that slept and woke writes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from llmhive.catalog.gate import Hold, Verdict
from llmhive.catalog.model import instant
from llmhive.catalog.run import DONE, Kind, Run, Status, due_at
from llmhive.errors import NotFound, RunLost
from llmhive.store import steps as research_steps
from llmhive.store.tables import Instant, capture, database_clock, sync_run, verdict

#: PostgreSQL's advisory lock around claims: any number that is ours.
_CLAIM_LOCK = 6_031_769_202

_COUNTS = (
    "models_seen", "added", "changed", "repriced", "deactivated", "reactivated", "unchanged", "unreadable", "held",
)  # fmt: skip
_FINDING = ("rule", "outcome", "model_id", "field", "reason", "evidence")
_LOCK_ROW = sa.select(sync_run.c.status).where(sync_run.c.id == sa.bindparam("of")).with_for_update()
_LISTED = [column for column in sync_run.c if column.name != "plan"]
_END = sync_run.update().where(sync_run.c.id == sa.bindparam("of"), sync_run.c.status == "running").returning(*_LISTED)
_RUNNING = sa.select(*_LISTED).where(sync_run.c.status == "running")
_LAST_OF = (
    sa.select(*_LISTED)
    .where(sync_run.c.kind == sa.bindparam("kind"), sync_run.c.status.in_(sa.bindparam("statuses", expanding=True)))
    .order_by(sync_run.c.started_at.desc(), sync_run.c.id.desc())
    .limit(1)
)
_NEWEST = sa.select(*_LISTED).order_by(sync_run.c.id.desc()).limit(1)
#: For the lock; a last end that is later is another machine's wrong clock.
_LONGEST_WAIT = timedelta(minutes=1)
_BEGIN = sync_run.insert().returning(sync_run.c.id)


@dataclass(frozen=True, slots=True)
class Claimed:
    """The lock is ours."""

    run_id: int
    interrupted: tuple[int, ...] = ()  #: dead runs that were cleared away


@dataclass(frozen=True, slots=True)
class Busy:
    """Another run is running, and not known to be dead."""

    run: Run
    silent_for: timedelta  #: since its last heartbeat


@dataclass(frozen=True, slots=True)
class NotDue:
    """The interval is not over."""

    last: Run
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Done:
    """A run that began after this one was asked for is over: it did what was asked."""

    run: Run


def claim(
    connection: sa.Connection,
    kind: Kind,
    *,
    trigger: str,
    owner: str,
    now: datetime,
    interval: timedelta | None,
    stale_after: timedelta = timedelta(seconds=30),
    asked_at: datetime | None = None,
) -> Claimed | Busy | NotDue | Done:
    """Take the lock; `interval` None lifts the interval, nothing lifts the lock. A run of the kind that began since
    `asked_at` is as good as a new one.
    """
    _one_at_a_time(connection)
    present = clock(connection, now)
    interrupted: tuple[int, ...] = ()
    # none begins while another one runs, so the one that runs is the newest
    newest = connection.execute(_NEWEST).first()
    if newest is not None and newest.status == "running":
        running = newest
        silent_for = present - running.heartbeat_at
        # a heartbeat from far in the future is a clock set back, not a sign of life
        if abs(silent_for) < stale_after or _is_applying(connection, running.id):
            return Busy(_run(running), silent_for)
        why = "The process that ran it ended without a word; "
        is_partly_done = has_committed(connection, running.id)
        why += "what it had committed stays." if is_partly_done else "nothing of it was applied."
        end(connection, running.id, "interrupted", now=now, error=why)
        interrupted = (running.id,)
    if (needless := not_needed(connection, kind, now=now, interval=interval, asked_at=asked_at)) is not None:
        return needless
    # who waited here for the lock began when it was free
    freed_at = None if newest is None else newest.finished_at
    if freed_at is not None and timedelta(0) < freed_at - now < _LONGEST_WAIT:
        now = freed_at
    row = {
        "kind": kind,
        "trigger": trigger,
        "status": "running",
        "owner": owner,
        "started_at": now,
        "heartbeat_at": present,
    }
    return Claimed(connection.execute(_BEGIN, row).scalar_one(), interrupted)


def not_needed(
    connection: sa.Connection, kind: Kind, *, now: datetime, interval: timedelta | None, asked_at: datetime | None
) -> NotDue | Done | None:
    """Why a run of a kind need not start, whoever has the lock; None: it may."""
    if asked_at is not None:
        newest = last_finished(connection, kind)
        if newest is not None and asked_at <= newest.started_at <= now and newest.status != "interrupted":
            return Done(newest)
    if interval is not None:
        last = _last(connection, kind, DONE)
        due = due_at(last.started_at if last else None, interval)
        # a start in the future is another machine's wrong clock, not a reason to wait for years
        if last is not None and due is not None and now < due <= now + 2 * interval:
            return NotDue(last, due)
    return None


def heartbeat(connection: sa.Connection, run_id: int, now: datetime) -> bool:
    """Say that the run is alive; False where it is no longer ours."""
    mine = sync_run.update().where(sync_run.c.id == run_id, sync_run.c.status == "running")
    present = database_clock(connection.dialect.name, now)
    return connection.execute(mine.values(heartbeat_at=present)).rowcount == 1


def fence(connection: sa.Connection, run_id: int) -> None:
    """Lock the run's row; raises `RunLost` unless it is still running. The first statement of every apply."""
    if connection.execute(_LOCK_ROW, {"of": run_id}).scalar() != "running":
        raise lost(run_id)


def lost(run_id: int) -> RunLost:
    """The error of a run that another process has cleared away."""
    return RunLost(
        f"Run {run_id} lost the lock while it worked: it gave no sign of life, and another process took it for dead. "
        "Nothing was written; the next sync starts anew."
    )


def end(
    connection: sa.Connection,
    run_id: int,
    status: Status,
    *,
    now: datetime,
    error: str | None = None,
    **values: Any,
) -> Run | None:
    """Write how a run ended: counts, `notes`, `plan`, `scope`, `catalog_version`. None where it was not running."""
    written = {"status": status, "finished_at": now, "error": error, **values}
    row = connection.execute(_END, {"of": run_id, **written}).first()
    return None if row is None else _run(row)


def note(connection: sa.Connection, run_id: int, **values: Any) -> None:
    """Write what a run did so far: as `end`, but it goes on."""
    connection.execute(sync_run.update().where(sync_run.c.id == run_id, sync_run.c.status == "running"), values)


def has_committed(connection: sa.Connection, run_id: int) -> bool:
    """Whether a run wrote something that readers see before it ended."""
    found = connection.execute(sa.select(sync_run.c.catalog_version).where(sync_run.c.id == run_id)).scalar()
    return found is not None


def keep_verdicts(connection: sa.Connection, run_id: int, verdicts: Sequence[Verdict]) -> None:
    """Store what the gate found."""
    if verdicts:
        connection.execute(verdict.insert(), [{"run_id": run_id} | found.to_json() for found in verdicts])


def holds(connection: sa.Connection, scope: str, *, since: datetime) -> list[Hold]:
    """The held answers of a scope since an instant, oldest first."""
    rows = connection.execute(
        sa.select(capture.c.id, capture.c.fetched_at, verdict.c.rule, verdict.c.evidence)
        .join(verdict, verdict.c.run_id == capture.c.run_id)
        .join(sync_run, sync_run.c.id == capture.c.run_id)
        .where(
            sync_run.c.kind.in_(("regular", "research")),
            capture.c.state.in_(("held", "superseded")),
            capture.c.scope == scope,
            capture.c.fetched_at > since,
            verdict.c.outcome == "held",
        )
        .order_by(capture.c.fetched_at, capture.c.id)
    )
    found: dict[int, Hold] = {}
    for row in rows:
        earlier = found.get(row.id, Hold(row.fetched_at, frozenset(), frozenset()))
        gone = frozenset(row.evidence.get("gone", ()))
        found[row.id] = Hold(row.fetched_at, earlier.rules | {row.rule}, earlier.gone | gone)
    return list(found.values())


def get(connection: sa.Connection, run_id: int) -> Run:
    """One run with its plan, verdicts and steps; raises `NotFound`."""
    row = connection.execute(sa.select(sync_run).where(sync_run.c.id == run_id)).first()
    if row is None:
        raise NotFound(f"There is no run {run_id}. `llmhive runs` lists them.")
    found = connection.execute(sa.select(verdict).where(verdict.c.run_id == run_id).order_by(verdict.c.id))
    verdicts = tuple({name: getattr(it, name) for name in _FINDING} for it in found)
    done = tuple(step.to_json() for step in research_steps.of_run(connection, run_id))
    return _run(row, plan=tuple(row.plan or ()), verdicts=verdicts, steps=done or None)


def findings(connection: sa.Connection, limit: int, *, model_id: str | None = None) -> list[dict[str, Any]]:
    """What the gate found of everything, or of one model: the newest run first, with its number and when it began."""
    chosen = (
        sa.select(verdict.c.run_id, sync_run.c.started_at, *(verdict.c[name] for name in _FINDING))
        .join(sync_run, sync_run.c.id == verdict.c.run_id)
        .order_by(verdict.c.run_id.desc(), verdict.c.id)
        .limit(limit)
    )
    if model_id is not None:
        chosen = chosen.where(verdict.c.model_id == model_id)
    return [
        {"run_id": row.run_id, "at": instant(row.started_at)} | {name: getattr(row, name) for name in _FINDING}
        for row in connection.execute(chosen)
    ]


def why_held(connection: sa.Connection, model_ids: Collection[str]) -> dict[tuple[str, str], tuple[str, int]]:
    """Why the gate last held each value of some models, and the run in which it did, by model and field."""
    chosen = sa.select(verdict.c.model_id, verdict.c.field, verdict.c.reason, verdict.c.run_id).order_by(verdict.c.id)
    rows = connection.execute(chosen.where(verdict.c.model_id.in_(model_ids), verdict.c.outcome == "held"))
    return {(row.model_id, row.field): (row.reason, row.run_id) for row in rows}


def tally(connection: sa.Connection) -> list[tuple[str, str, int]]:
    """How many runs there are of each kind and status."""
    counted = sa.select(sync_run.c.kind, sync_run.c.status, sa.func.count())
    rows = connection.execute(counted.group_by(sync_run.c.kind, sync_run.c.status).order_by("kind", "status"))
    return [(row[0], row[1], row[2]) for row in rows]


def glance(connection: sa.Connection, run_id: int) -> Run:
    """One run without its plan and verdicts; raises `NotFound`."""
    row = connection.execute(sa.select(*_LISTED).where(sync_run.c.id == run_id)).first()
    if row is None:
        raise NotFound(f"There is no run {run_id}. `llmhive runs` lists them.")
    return _run(row)


def recent(connection: sa.Connection, limit: int, *, kind: Kind | None = None, offset: int = 0) -> list[Run]:
    """The newest runs first, without their plans."""
    chosen = sa.select(*_LISTED).order_by(sync_run.c.id.desc()).limit(limit).offset(offset)
    if kind is not None:
        chosen = chosen.where(sync_run.c.kind == kind)
    return [_run(row) for row in connection.execute(chosen)]


def running(connection: sa.Connection) -> Run | None:
    """The run that is running, by its row."""
    row = connection.execute(_RUNNING).first()
    return None if row is None else _run(row)


def last_finished(connection: sa.Connection, kind: Kind) -> Run | None:
    """The last finished run of a kind, however it ended."""
    return _last(connection, kind, ("completed", "unchanged", "held", "failed", "interrupted"))


def first_since(connection: sa.Connection, kind: Kind, since: datetime, *, before: int) -> datetime | None:
    """When the first run of a kind began since an instant, of those with smaller numbers; None: there was none."""
    chosen = sa.select(sa.func.min(sync_run.c.started_at, type_=Instant))
    chosen = chosen.where(sync_run.c.kind == kind, sync_run.c.started_at >= since, sync_run.c.id < before)
    return connection.execute(chosen).scalar()


def last_success(connection: sa.Connection, kind: Kind) -> Run | None:
    """The last run of a kind that did its work."""
    return _last(connection, kind, DONE)


def _last(connection: sa.Connection, kind: Kind, statuses: Sequence[Status]) -> Run | None:
    row = connection.execute(_LAST_OF, {"kind": kind, "statuses": statuses}).first()
    return None if row is None else _run(row)


def _one_at_a_time(connection: sa.Connection) -> None:
    """Claims queue up, so that two never race for the unique running row; who applies is not in the way."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CLAIM_LOCK)))


def _is_applying(connection: sa.Connection, run_id: int) -> bool:
    """Whether a run has its row locked: it is in its transaction, where no heartbeat gets through."""
    row = sa.select(sync_run.c.id).where(sync_run.c.id == run_id).with_for_update(skip_locked=True)
    return connection.dialect.name == "postgresql" and connection.execute(row).first() is None


def clock(connection: sa.Connection, now: datetime) -> datetime:
    """The present by the clock that heartbeats go by: the server's on PostgreSQL, `now` on SQLite."""
    if connection.dialect.name != "postgresql":
        return now
    present = sa.cast(database_clock(connection.dialect.name, now), Instant)
    return connection.execute(sa.select(present)).scalar_one()


def _run(row: sa.Row[Any], *, plan: Any = None, verdicts: Any = None, steps: Any = None) -> Run:
    return Run(
        id=row.id,
        kind=row.kind,
        trigger=row.trigger,
        status=row.status,
        started_at=row.started_at,
        heartbeat_at=row.heartbeat_at,
        finished_at=row.finished_at,
        scope=row.scope,
        error=row.error,
        notes=tuple(row.notes or ()),
        catalog_version=row.catalog_version,
        plan=plan,
        verdicts=verdicts,
        steps=steps,
        **{name: getattr(row, name) for name in _COUNTS},
    )
