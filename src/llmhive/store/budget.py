"""The budget of requests to OpenRouter's Data API, which all replicas share and no restart forgets.

A request occupies the minute until 60 s after it was answered, and the day until 24 h after: whenever in between the
server counted it, no window of its clock holds more than the limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from llmhive.store.runs import clock
from llmhive.store.tables import data_request

#: PostgreSQL's advisory lock around reservations: any number that is ours.
_LOCK = 6_031_769_203
_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)
#: A request that was not answered for so long belonged to a process that died.
_LOST_AFTER = timedelta(minutes=10)
_c = data_request.c


@dataclass(frozen=True, slots=True)
class Limits:
    """How many requests are allowed."""

    per_minute: int = 30
    per_day: int = 500


@dataclass(frozen=True, slots=True)
class Wait:
    """There is no room now."""

    seconds: float  #: until there may be
    is_day: bool  #: whether it is the day that is full, not the minute


def reserve(connection: sa.Connection, path: str, limits: Limits, *, now: datetime) -> int | Wait:
    """Take room for one request, which is then to be sent at once; its number is for `done`."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    present = clock(connection, now)
    for window, most in ((_DAY, limits.per_day), (_MINUTE, limits.per_minute)):
        taken = _taken(connection, present, window)
        if len(taken) >= most:
            free_at = taken[len(taken) - most] + window
            return Wait(max((free_at - present).total_seconds(), 0.0), window is _DAY)
    connection.execute(data_request.delete().where(_c.asked_at < present - 2 * _DAY))
    row = {"asked_at": present, "path": path}
    number: int = connection.execute(data_request.insert().returning(_c.id), row).scalar_one()
    return number


def done(connection: sa.Connection, request_id: int, *, now: datetime) -> None:
    """The request was answered, or given up."""
    mine = data_request.update().where(_c.id == request_id)
    connection.execute(mine.values(done_at=clock(connection, now)))


def used(connection: sa.Connection, *, now: datetime) -> tuple[int, int]:
    """How many requests count against the minute and against the day."""
    present = clock(connection, now)
    return len(_taken(connection, present, _MINUTE)), len(_taken(connection, present, _DAY))


def _taken(connection: sa.Connection, present: datetime, window: timedelta) -> list[datetime]:
    """When each request that still counts was last on its way, the oldest first."""
    rows = connection.execute(sa.select(_c.asked_at, _c.done_at).where(_c.asked_at > present - window - _LOST_AFTER))
    found = []
    for asked_at, done_at in rows:
        # one on its way may be counted by the server at any moment
        last = done_at or min(asked_at + _LOST_AFTER, max(present, asked_at))
        # a time far in the future is a clock set back, which must not stop us for years
        if last > present - window and asked_at <= present + _DAY:
            found.append(last)
    return sorted(found)
