"""The served ledger: versions, prices and changes over time, derived from captures.

`load` reads what OpenRouter serves now, and `record` writes what the next feed says otherwise: the path of every sync.
`rewrite` cuts history anew from an instant on, for captures that come late and for a decoder that learned something.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from llmhive.catalog.feed import Feed, Scope
from llmhive.catalog.model import Version
from llmhive.catalog.timeline import Listing, Timeline, news
from llmhive.store import changes, prices, versions
from llmhive.store.captures import IN_HISTORY
from llmhive.store.tables import capture, holds_at, model_price, served_version

_END_VERSION = (
    served_version.update()
    .where(served_version.c.model_id == sa.bindparam("of"), served_version.c.valid_to.is_(None))
    .values(valid_to=sa.bindparam("at"))
)


@dataclass
class Served:
    """What OpenRouter serves now."""

    by_id: dict[str, Listing] = field(default_factory=dict)
    #: when the newest feed of each scope was fetched that is in history
    last: dict[Scope, datetime] = field(default_factory=dict)

    def covered_at(self, in_text: bool) -> datetime | None:
        """When the newest feed was fetched that shows a model that outputs text, or none."""
        found = [at for scope, at in self.last.items() if scope == "all" or in_text]
        return max(found, default=None)


def load(connection: sa.Connection, cache: dict[str, Version] | None = None) -> Served:
    """Read what is served now."""
    found = listings(connection, served_version.c.valid_to.is_(None), cache)
    last = connection.execute(
        sa.select(capture.c.scope, sa.func.max(capture.c.fetched_at).label("at"))
        .where(IN_HISTORY)
        .group_by(capture.c.scope)
    )
    return Served({model_id: at.listing for model_id, at in found.items()}, {row.scope: row.at for row in last})


class Since(NamedTuple):
    """What is said of a model, and since when."""

    listing: Listing
    at: datetime


def listings(
    connection: sa.Connection, condition: sa.ColumnElement[bool], cache: dict[str, Version] | None = None
) -> dict[str, Since]:
    """The listings that a condition chooses, at most one a model."""
    chosen = sa.select(
        served_version.c.model_id, served_version.c.is_listed, served_version.c.valid_from, *versions.DOCUMENT
    ).select_from(served_version)
    rows = connection.execute(versions.with_documents(chosen, served_version.c.version).where(condition)).all()
    found = versions.read(rows, cache)
    return {
        row.model_id: Since(Listing(it, row.is_listed), row.valid_from) for row, it in zip(rows, found, strict=True)
    }


def as_of(
    connection: sa.Connection, at: datetime, *, listed: bool | None = None, cache: dict[str, Version] | None = None
) -> dict[str, Since]:
    """What OpenRouter served at an instant, by id: what it listed, what it no longer listed, or (None) both."""
    condition = holds_at(served_version.c.valid_from, served_version.c.valid_to, at)
    if listed is not None:
        condition = sa.and_(condition, served_version.c.is_listed.is_(listed))
    return listings(connection, condition, cache)


def first_listed(connection: sa.Connection) -> dict[str, datetime]:
    """When each model was served first."""
    served = served_version.c
    chosen = sa.select(served.model_id, sa.func.min(served.valid_from).label("at")).where(served.is_listed)
    return {row.model_id: row.at for row in connection.execute(chosen.group_by(served.model_id))}


def covered(connection: sa.Connection, at: datetime) -> datetime | None:
    """When the newest capture not after an instant was fetched; None: nothing is known of then."""
    chosen = sa.select(sa.func.max(capture.c.fetched_at)).where(IN_HISTORY, capture.c.fetched_at <= at)
    return connection.execute(chosen).scalar()


def first_capture(connection: sa.Connection) -> datetime | None:
    """When history begins."""
    return connection.execute(sa.select(sa.func.min(capture.c.fetched_at)).where(IN_HISTORY)).scalar()


def timeline_of(connection: sa.Connection, model_id: str) -> list[tuple[datetime, Listing]]:
    """Every step of a model's served history, oldest first."""
    served = served_version.c
    chosen = sa.select(served.valid_from, served.is_listed, *versions.DOCUMENT).select_from(served_version)
    rows = connection.execute(
        versions.with_documents(chosen, served.version).where(served.model_id == model_id).order_by(served.valid_from)
    ).all()
    found = versions.read(rows)
    return [(row.valid_from, Listing(it, row.is_listed)) for row, it in zip(rows, found, strict=True)]


def timelines(
    connection: sa.Connection, cache: dict[str, Version] | None = None
) -> dict[str, list[tuple[datetime, Listing]]]:
    """Every step of every model's served history, oldest first."""
    served = served_version.c
    rows = connection.execute(
        sa.select(served.model_id, served.valid_from, served.is_listed, served.version).order_by(
            served.model_id, served.valid_from
        )
    ).all()
    kept = versions.by_digest(connection, (row.version for row in rows), cache)
    found: dict[str, list[tuple[datetime, Listing]]] = {}
    for row in rows:
        found.setdefault(row.model_id, []).append((row.valid_from, Listing(kept[row.version], row.is_listed)))
    return found


def record(connection: sa.Connection, served: Served, feed: Feed, at: datetime) -> dict[str, Listing]:
    """Write what a feed newer than all others says otherwise; returns the listings to put into `served` after the
    commit.
    """
    found = news(served.by_id, feed)
    if found:
        if ended := [{"of": model_id, "at": at} for model_id in found if model_id in served.by_id]:
            connection.execute(_END_VERSION, ended)
        connection.execute(
            served_version.insert(),
            [
                {"model_id": model_id, "valid_from": at, "is_listed": it.is_listed, "version": it.version.digest}
                for model_id, it in found.items()
            ],
        )
        prices.record(connection, served.by_id, found, at)
        if served.last:
            changes.record(connection, served.by_id, found, at, served.covered_at)
    return found


def before(connection: sa.Connection, start: datetime, cache: dict[str, Version] | None = None) -> dict[str, Listing]:
    """What was said of each model just before an instant."""
    served = served_version.c
    condition = sa.and_(served.valid_from < start, sa.or_(served.valid_to.is_(None), served.valid_to >= start))
    return {model_id: found.listing for model_id, found in listings(connection, condition, cache).items()}


def rewrite(connection: sa.Connection, start: datetime, timeline: Timeline) -> None:
    """Cut history anew from an instant on: `timeline` holds every step since, and what was so before."""
    for table in (served_version, model_price):
        connection.execute(table.delete().where(table.c.valid_from >= start))
        connection.execute(table.update().where(table.c.valid_to >= start).values(valid_to=None))
    versions.keep(connection, (it.version for found in timeline.steps.values() for _, it in found))
    ended = [{"of": model_id, "at": found[0][0]} for model_id, found in timeline.steps.items()
             if found and timeline.before(model_id)]  # fmt: skip
    if ended:
        connection.execute(_END_VERSION, ended)
    rows = [
        {
            "model_id": model_id,
            "valid_from": at,
            "valid_to": found[position + 1][0] if position + 1 < len(found) else None,
            "is_listed": it.is_listed,
            "version": it.version.digest,
        }
        for model_id, found in timeline.steps.items()
        for position, (at, it) in enumerate(found)
    ]
    if rows:
        connection.execute(served_version.insert(), rows)
    prices.rewrite(connection, start, timeline)
    cache = {it.version.digest: it.version for found in timeline.steps.values() for _, it in found}
    changes.rewrite(connection, timelines(connection, cache))
