"""`benchmark`: what others measured of models, over time. What a measure is: `catalog/benchmark.py`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from llmhive.catalog.benchmark import Measure, preferred
from llmhive.catalog.model import instant
from llmhive.catalog.pricing import plain
from llmhive.store.tables import benchmark, holds_at

_b = benchmark.c
_END = benchmark.update().where(_b.id == sa.bindparam("of")).values(known_to=sa.bindparam("at"))
_IS_OPEN = _b.known_to.is_(None)


@dataclass(frozen=True, slots=True)
class Kept:
    """How many measures of a source are new, say something else, and are gone."""

    new: int
    changed: int
    gone: int


def keep(
    connection: sa.Connection,
    source: str,
    measures: Iterable[Measure],
    *,
    at: datetime,
    is_whole: bool = True,
    spared: Collection[str] = (),
) -> Kept:
    """Write what one source says otherwise than it did; what it says again writes nothing, not even a later date.

    What a whole answer does not tell is gone, but for the slugs that are `spared`; an answer that is cut short ends
    nothing. An empty answer is the caller's to refuse. Raises `ValueError` for a measure of another source.
    """
    told = {(it.slug, it.metric): it for it in measures}
    if any(it.source != source for it in told.values()):
        raise ValueError(f"measures of other sources than {source}")
    begun, ended, gone = dict(told), [], 0
    for row in connection.execute(sa.select(benchmark).where(_b.source == source, _IS_OPEN)):
        key, before = (row.slug, row.metric), _measure(row)
        if (after := told.get(key)) is None:
            if not is_whole or row.slug in spared:
                continue
            gone += 1
        elif before.says(after):
            del begun[key]
            continue
        ended.append({"of": row.id, "at": at})
    if ended:
        connection.execute(_END, ended)
    if begun:
        connection.execute(benchmark.insert(), [_row(it, at) for it in begun.values()])
    changed = len(ended) - gone
    return Kept(new=len(begun) - changed, changed=changed, gone=gone)


def of(connection: sa.Connection, slugs: Collection[str] | None = None) -> list[dict[str, Any]]:
    """What all sources say of some models (None: of all), as JSON values; ``value`` is a decimal string."""
    return _listed(connection, _IS_OPEN, slugs)


def known_at(connection: sa.Connection, at: datetime, slugs: Collection[str] | None = None) -> list[dict[str, Any]]:
    """What was known at an instant, as `of`."""
    return _listed(connection, holds_at(_b.known_from, _b.known_to, at), slugs)


def size(connection: sa.Connection, source: str) -> int:
    """How many measures of a source stand."""
    count = sa.select(sa.func.count()).select_from(benchmark).where(_b.source == source, _IS_OPEN)
    return connection.execute(count).scalar_one()


def best(connection: sa.Connection, slugs: Collection[str] | None = None) -> dict[str, dict[str, Measure]]:
    """Slug → metric → its measure: that of a keyed source where there is one."""
    return preferred(_measure(row) for row in connection.execute(_chosen(_IS_OPEN, slugs)))


def measures(connection: sa.Connection, at: datetime | None = None) -> list[Measure]:
    """What all sources say of all models, now or as it was known at an instant."""
    is_then = _IS_OPEN if at is None else holds_at(_b.known_from, _b.known_to, at)
    return [_measure(row) for row in connection.execute(_chosen(is_then, None))]


def values(connection: sa.Connection, metric: str) -> dict[str, Decimal]:
    """Slug → the value of a metric, chosen as `best` does."""
    rows = connection.execute(_chosen(sa.and_(_IS_OPEN, _b.metric == metric), None))
    return {slug: found[metric].value for slug, found in preferred(map(_measure, rows)).items()}


def _chosen(condition: sa.ColumnElement[bool], slugs: Collection[str] | None) -> sa.Select[Any]:
    chosen = sa.select(benchmark).where(condition)
    return chosen if slugs is None else chosen.where(_b.slug.in_(sorted(slugs)))


def _listed(
    connection: sa.Connection, condition: sa.ColumnElement[bool], slugs: Collection[str] | None
) -> list[dict[str, Any]]:
    rows = sorted(connection.execute(_chosen(condition, slugs)), key=lambda it: (it.slug, it.metric, it.source))
    return [
        {
            "slug": row.slug,
            "source": row.source,
            "metric": row.metric,
            "value": plain(row.value),
            "facts": row.facts,
            "as_of": row.as_of,
            "since": instant(row.known_from),
        }
        for row in rows
    ]


def _measure(row: Any) -> Measure:
    return Measure(row.source, row.slug, row.metric, row.value, row.facts, row.as_of)


def _row(measure: Measure, at: datetime) -> dict[str, Any]:
    return {
        "source": measure.source,
        "slug": measure.slug,
        "metric": measure.metric,
        "value": measure.value,
        "facts": dict(measure.facts),
        "as_of": measure.as_of,
        "known_from": at,
    }
