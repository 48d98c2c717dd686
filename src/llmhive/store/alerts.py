"""The outbox: alerts written in the transaction that made them so, and their deliveries, one a run and channel.

Whoever holds the lease delivers. An alert that waits for a second sync is `unconfirmed`; it becomes `ready` as part of
the message of the run that confirms it, or is `withdrawn`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from llmhive.catalog.alert import Channel, Event, Settled, event_id, message_id, run_event
from llmhive.catalog.message import Alert, Message
from llmhive.catalog.run import Run
from llmhive.store.runs import clock
from llmhive.store.tables import alert, delivery, insert_new, lease, sync_run

#: A run that ends badly as the one before it did is told again after this time.
REMIND_AFTER = timedelta(hours=24)
_SILENT_AFTER = timedelta(minutes=2)
#: Why a message is given up whose channel no replica has.
NOBODY = "no replica has this channel in ALERT_URLS"

#: Written out, as parameters would keep the databases from the partial indexes (and SQLite would plan each time anew).
IS_UNCONFIRMED = alert.c.state == sa.literal_column("'unconfirmed'")
_IS_PENDING = delivery.c.state == sa.literal_column("'pending'")
_UNCONFIRMED = sa.select(alert.c.id, alert.c.model_id).where(IS_UNCONFIRMED).order_by(alert.c.id)
_SETTLE = alert.update().where(alert.c.id == sa.bindparam("of"), IS_UNCONFIRMED)
_RUN_OF_MESSAGE = (sync_run.c.kind, sync_run.c.status, sync_run.c.started_at, sync_run.c.catalog_version)


@dataclass(frozen=True, slots=True)
class Due:
    """A message to be sent now."""

    id: int  #: of the delivery
    channel: Channel
    attempts: int  #: before this one
    created_at: datetime
    message: Message


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a message to a channel stands."""

    run_id: int
    label: str
    state: str
    attempts: int
    due_at: datetime
    created_at: datetime
    delivered_at: datetime | None
    error: str | None


def unconfirmed(connection: sa.Connection) -> dict[int, str]:
    """The removals that wait for a second sync: the alert's number → the model's id."""
    return {row.id: row.model_id for row in connection.execute(_UNCONFIRMED)}


def write(
    connection: sa.Connection,
    run_id: int,
    events: Sequence[Event],
    *,
    now: datetime,
    channels: Sequence[Channel],
    waiting: dict[int, str] | None = None,
    settled: Settled | None = None,
) -> None:
    """Write what a run has to tell; of the removals that wait it settles those it can."""
    waiting, settled = waiting or {}, settled or Settled()
    confirmed = [{"of": it} for it, model_id in waiting.items() if model_id in settled.confirmed]
    withdrawn = [{"of": it} for it, model_id in waiting.items() if model_id in settled.withdrawn]
    if confirmed:
        connection.execute(_SETTLE.values(state="ready", run_id=run_id), confirmed)
    if withdrawn:
        connection.execute(_SETTLE.values(state="withdrawn"), withdrawn)
    if not events and not confirmed:
        return
    started_at = connection.execute(sa.select(sync_run.c.started_at).where(sync_run.c.id == run_id)).scalar_one()
    if events:
        rows = [
            {
                "event_id": event_id(event, run_id=run_id, started_at=started_at),
                "run_id": run_id,
                "kind": event.kind,
                "model_id": event.model_id,
                "facts": dict(event.facts),
                "state": "ready" if event.is_sure else "unconfirmed",
                "created_at": now,
            }
            for event in events
        ]
        connection.execute(alert.insert(), rows)
    if channels and (confirmed or any(event.is_sure for event in events)):
        row: dict[str, Any] = {
            "message_id": message_id(run_id=run_id, started_at=started_at),
            "run_id": run_id,
            "state": "pending",
            "due_at": now,
            "created_at": now,
        }
        # a run that told something before has its message already
        known = set(connection.execute(sa.select(delivery.c.channel).where(delivery.c.run_id == run_id)).scalars())
        if rows := [row | {"channel": it.digest, "label": it.label} for it in channels if it.digest not in known]:
            connection.execute(delivery.insert(), rows)


def write_of_run(connection: sa.Connection, run: Run | None, *, now: datetime, channels: Sequence[Channel]) -> None:
    """Write that a run failed or was held, unless the one before it ended so too and people were told a day ago."""
    event = None if run is None else run_event(run)
    if run is None or run.id is None or event is None:
        return
    ended = sa.select(sync_run.c.status).where(
        sync_run.c.kind == run.kind,
        sync_run.c.id < run.id,
        sync_run.c.status.in_(("completed", "unchanged", "held", "failed")),
    )
    before = connection.execute(ended.order_by(sync_run.c.id.desc()).limit(1)).scalar()
    if before == run.status:
        told = (
            sa.select(sa.func.max(alert.c.created_at, type_=alert.c.created_at.type))
            .join(sync_run, sync_run.c.id == alert.c.run_id)
            .where(alert.c.kind == event.kind, sync_run.c.kind == run.kind)
        )
        last = connection.execute(told).scalar()
        # a time in the future is a clock set back
        if last is not None and timedelta(0) <= now - last < REMIND_AFTER:
            return
    write(connection, run.id, [event], now=now, channels=channels)


# --- delivery


def is_anything_due(connection: sa.Connection, mine: Collection[str], *, now: datetime, oldest: datetime) -> bool:
    """Whether there is a message to one of my channels to send, or one to another's that is to be given up."""
    due = sa.or_(_is_due(mine, now), _is_orphan(mine, oldest))
    return connection.execute(sa.select(sa.exists().where(due))).scalar_one()


def next_due(connection: sa.Connection, channels: Collection[str], now: datetime) -> Due | None:
    """The message to one of these channels, by their digests, that has waited longest."""
    found = sa.select(delivery, *(column.label(f"run_{column.name}") for column in _RUN_OF_MESSAGE)).join(
        sync_run, sync_run.c.id == delivery.c.run_id
    )
    row = connection.execute(
        found.where(_is_due(channels, now)).order_by(delivery.c.due_at, delivery.c.id).limit(1)
    ).first()
    if row is None:
        return None
    message = Message(
        row.message_id, row.run_id, row.run_kind, row.run_status, row.run_started_at, row.run_catalog_version,
        _alerts(connection, row.run_id),
    )  # fmt: skip
    return Due(row.id, Channel(row.channel, row.label), row.attempts, row.created_at, message)


def _is_due(channels: Collection[str], now: datetime) -> sa.ColumnElement[bool]:
    # a run that goes on may have more to tell, as a part of the same message; a dead one has not
    going_on = sa.select(sync_run.c.id).where(
        sync_run.c.status == sa.literal_column("'running'"), sync_run.c.heartbeat_at > now - _SILENT_AFTER
    )
    return sa.and_(
        _IS_PENDING, delivery.c.due_at <= now, delivery.c.channel.in_(channels), delivery.c.run_id.not_in(going_on)
    )


def _is_orphan(mine: Collection[str], oldest: datetime) -> sa.ColumnElement[bool]:
    """Whether nobody has tried for long to send it: a channel that was taken out of the settings."""
    return sa.and_(_IS_PENDING, delivery.c.due_at <= oldest, delivery.c.channel.not_in(mine))


def _alerts(connection: sa.Connection, run_id: int) -> tuple[Alert, ...]:
    rows = connection.execute(
        sa.select(alert).where(alert.c.run_id == run_id, alert.c.state == "ready").order_by(alert.c.id)
    )
    return tuple(Alert(row.event_id, row.created_at, Event(row.kind, row.model_id, row.facts)) for row in rows)


def delivered(connection: sa.Connection, due: Due, *, now: datetime) -> None:
    """Mark a message as delivered."""
    _mark(connection, due, {"state": "delivered", "delivered_at": now, "error": None})


def failed(connection: sa.Connection, due: Due, error: str, *, due_at: datetime | None) -> None:
    """Mark an attempt as failed; without another try at `due_at` the message is given up."""
    state = "given up" if due_at is None else "pending"
    _mark(connection, due, {"state": state, "error": error, **({"due_at": due_at} if due_at else {})})


def _mark(connection: sa.Connection, due: Due, values: dict[str, object]) -> None:
    mine = delivery.update().where(delivery.c.id == due.id, _IS_PENDING)
    connection.execute(mine.values(attempts=due.attempts + 1, **values))


def give_up_orphans(connection: sa.Connection, mine: Collection[str], *, oldest: datetime) -> list[tuple[int, str]]:
    """Give up the messages to channels that nobody seems to have any more; returns their runs and labels."""
    given_up = delivery.update().where(_is_orphan(mine, oldest)).values(state="given up", error=NOBODY)
    return [(row.run_id, row.label) for row in connection.execute(given_up.returning(delivery))]


# --- the lease


def take_lease(connection: sa.Connection, name: str, owner: str, *, now: datetime, length: timedelta) -> bool:
    """Take the lease, or renew it; False where another has it. A holder that died loses it when it runs out."""
    present = clock(connection, now)
    free = sa.or_(
        lease.c.owner == owner,
        lease.c.until <= present,
        # an end in the far future is a clock set back, not a long lease
        lease.c.until > present + 2 * length,
    )
    held = {"owner": owner, "until": present + length}
    if connection.execute(lease.update().where(lease.c.name == name, free).values(**held)).rowcount:
        return True
    new = insert_new(connection.dialect.name, lease).values(name=name, **held)
    return connection.execute(new.returning(lease.c.owner)).first() is not None


def release_lease(connection: sa.Connection, name: str, owner: str) -> None:
    """Give the lease back, if it is still ours."""
    connection.execute(lease.delete().where(lease.c.name == name, lease.c.owner == owner))


# --- how it stands


def pending(connection: sa.Connection) -> int:
    """How many messages wait to be delivered."""
    return _count(connection, _IS_PENDING)


def given_up(connection: sa.Connection) -> int:
    """How many messages were never delivered."""
    return _count(connection, delivery.c.state == "given up")


def _count(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(delivery).where(condition)).scalar_one()


def told_by(connection: sa.Connection, run_ids: Collection[int]) -> dict[int, list[dict[str, Any]]]:
    """What the messages of some runs tell: the kind and the model of each alert, in their order, by run."""
    found: dict[int, list[dict[str, Any]]] = {}
    chosen = sa.select(alert.c.run_id, alert.c.kind, alert.c.model_id).order_by(alert.c.id)
    for row in connection.execute(chosen.where(alert.c.run_id.in_(run_ids), alert.c.state == "ready")):
        found.setdefault(row.run_id, []).append({"kind": row.kind, "model_id": row.model_id})
    return found


def recent(connection: sa.Connection, limit: int) -> list[Delivery]:
    """The newest messages first."""
    rows = connection.execute(sa.select(delivery).order_by(delivery.c.id.desc()).limit(limit))
    return [
        Delivery(
            row.run_id, row.label, row.state, row.attempts, row.due_at, row.created_at, row.delivered_at, row.error
        )
        for row in rows
    ]
