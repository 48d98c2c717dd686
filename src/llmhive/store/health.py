"""`endpoint_health`: how endpoints fared over time; what is old is summed up by day, then by week.

Only whole days and whole weeks (UTC, from Monday) are summed up, and a week only from its days: it does not matter when
or how often that is done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from llmhive.catalog.endpoint import Span, summed
from llmhive.catalog.model import instant
from llmhive.store.tables import endpoint, endpoint_health

_DAY = timedelta(days=1)
_LENGTH = {"sample": timedelta(0), "day": _DAY, "week": 7 * _DAY}
_SPAN = tuple(f.name for f in fields(Span))
#: Endpoints at once: two years of samples of so many fit in memory.
_CHUNK = 50
_TAKE = endpoint_health.delete().where(
    endpoint_health.c.endpoint_id == sa.bindparam("of"),
    endpoint_health.c.span == sa.bindparam("its"),
    endpoint_health.c.at == sa.bindparam("begin"),
)


def health_of(connection: sa.Connection, model_id: str, since: datetime) -> list[dict[str, Any]]:
    """How the endpoints of a model fared, as JSON values, from the span that `since` lies in; oldest first."""
    it = endpoint_health.c
    is_wanted = sa.or_(
        *(
            sa.and_(it.span == span, it.at > since - length if length else it.at >= since)
            for span, length in _LENGTH.items()
        )
    )
    rows = connection.execute(
        sa.select(endpoint_health, endpoint.c.key, endpoint.c.tag, endpoint.c.provider_name)
        .join(endpoint, endpoint.c.id == it.endpoint_id)
        .where(endpoint.c.model_id == model_id, is_wanted)
        .order_by(endpoint.c.key, it.at, it.span)
    )
    return [
        {"provider": row.provider_name, "tag": row.tag, "key": row.key, "span": row.span, "at": instant(row.at)}
        | {name: getattr(row, name) for name in _SPAN}
        for row in rows
    ]


def thin(connection: sa.Connection, *, now: datetime, sample_days: int, day_days: int) -> int:
    """Sum up what is old: the samples of days that ended `sample_days` before `now`, a row a day; those days, of weeks
    that ended `day_days` before it, a row a week. Returns how many rows there are less.
    """
    now = now.astimezone(UTC)
    first_of_samples = day_of(now - sample_days * _DAY)
    # days are complete before a week is made of them
    first_of_days = week_of(min(day_of(now - day_days * _DAY), first_of_samples))
    ids = connection.execute(sa.select(endpoint.c.id).order_by(endpoint.c.id)).scalars().all()
    fewer = 0
    for start in range(0, len(ids), _CHUNK):
        some = ids[start : start + _CHUNK]
        fewer += _sum_up(connection, some, "sample", "day", day_of, first_of_samples)
        fewer += _sum_up(connection, some, "day", "week", week_of, first_of_days)
    return fewer


def day_of(at: datetime) -> datetime:
    """The midnight (UTC) that an instant's day begins with."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def week_of(at: datetime) -> datetime:
    """The Monday's midnight (UTC) that an instant's week begins with."""
    return day_of(at) - at.weekday() * _DAY


def _sum_up(
    connection: sa.Connection,
    ids: Sequence[int],
    source: str,
    target: str,
    begin_of: Callable[[datetime], datetime],
    before: datetime,
) -> int:
    """Replace the rows of `source` before an instant by those of `target`; returns how many rows there are less."""
    it = endpoint_health.c
    old = connection.execute(
        endpoint_health.delete()
        .where(it.endpoint_id.in_(ids), it.span == source, it.at < before)
        .returning(*endpoint_health.c)
    ).all()
    if not old:
        return 0
    parts: dict[tuple[int, datetime], list[Any]] = {}
    for row in old:
        parts.setdefault((row.endpoint_id, begin_of(row.at)), []).append(row)
    # there already where something came late
    standing = [
        row
        for row in connection.execute(
            sa.select(endpoint_health).where(
                it.endpoint_id.in_(ids), it.span == target, it.at >= min(at for _, at in parts), it.at < before
            )
        )
        if (row.endpoint_id, row.at) in parts
    ]
    for row in standing:
        parts[row.endpoint_id, row.at].append(row)
    if standing:
        connection.execute(_TAKE, [{"of": row.endpoint_id, "its": target, "begin": row.at} for row in standing])
    connection.execute(
        endpoint_health.insert(),
        [
            {"endpoint_id": of, "span": target, "at": at, **asdict(summed(map(_span, rows)))}
            for (of, at), rows in parts.items()
        ],
    )
    return len(old) + len(standing) - len(parts)


def _span(row: Any) -> Span:
    return Span(**{name: getattr(row, name) for name in _SPAN})
