"""The served ledger: versions and prices over time, derived from captures.

`Served` is what OpenRouter serves now, in memory; `record` compares a feed with it and writes what differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from llmhive.catalog.feed import Feed, missing
from llmhive.catalog.model import Model, Version
from llmhive.store.tables import insert_new, model_price, served_version, version

_END_VERSION = (
    served_version.update()
    .where(served_version.c.model_id == sa.bindparam("of"), served_version.c.valid_to.is_(None))
    .values(valid_to=sa.bindparam("at"))
)
_END_PRICE = (
    model_price.update()
    .where(
        model_price.c.model_id == sa.bindparam("of"),
        model_price.c.unit == sa.bindparam("its"),
        model_price.c.position == sa.bindparam("place"),
        model_price.c.valid_to.is_(None),
    )
    .values(valid_to=sa.bindparam("at"))
)
_CONDITIONS = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True)
class Listing:
    """What was last said of one model."""

    version: Version
    is_listed: bool


@dataclass
class Served:
    """What OpenRouter serves now."""

    by_id: dict[str, Listing] = field(default_factory=dict)


def load(connection: sa.Connection) -> Served:
    """Read the open intervals."""
    rows = connection.execute(
        sa.select(served_version.c.model_id, served_version.c.is_listed, version.c.digest, version.c.document)
        .join(version, version.c.digest == served_version.c.version)
        .where(served_version.c.valid_to.is_(None))
    )
    return Served({row.model_id: Listing(Version.stored(row.digest, row.document), row.is_listed) for row in rows})


def record(connection: sa.Connection, served: Served, feed: Feed, at: datetime) -> dict[str, Listing]:
    """Write what a feed says that was not so before; returns the listings to put into `served` after the commit."""
    news: dict[str, Listing] = {}
    for entry in feed.records:
        before = served.by_id.get(entry.id)
        if before is None or not before.is_listed or before.version != entry.version:
            news[entry.id] = Listing(entry.version, is_listed=True)
    listed = {model_id: listing.version.model for model_id, listing in served.by_id.items() if listing.is_listed}
    for model_id in missing(feed, listed):
        news[model_id] = Listing(served.by_id[model_id].version, is_listed=False)
    if news:
        if ended := [{"of": model_id, "at": at} for model_id in news if model_id in served.by_id]:
            connection.execute(_END_VERSION, ended)
        connection.execute(
            served_version.insert(),
            [
                {"model_id": model_id, "valid_from": at, "is_listed": it.is_listed, "version": it.version.digest}
                for model_id, it in news.items()
            ],
        )
        _record_prices(connection, served.by_id, news, at)
    return news


def _record_prices(
    connection: sa.Connection, before: Mapping[str, Listing], news: Mapping[str, Listing], at: datetime
) -> None:
    ended, begun = [], []
    for model_id, listing in news.items():
        was, becomes = _offers(before.get(model_id)), _offers(listing)
        ended += [{"of": model_id, "at": at, "its": it.unit, "place": it.position} for it in was - becomes]
        begun += [{"model_id": model_id, "valid_from": at, **it._asdict()} for it in becomes - was]
    if ended:
        connection.execute(_END_PRICE, ended)
    if begun:
        connection.execute(model_price.insert(), begun)


class Offer(NamedTuple):
    """One open row of `model_price`."""

    unit: str
    position: int
    rate: Decimal | None  #: None: not a known number
    condition: str | None  #: JSON


def _offers(listing: Listing | None) -> frozenset[Offer]:
    return frozenset(price_rows(listing.version.model)) if listing and listing.is_listed else frozenset()


def price_rows(model: Model) -> Iterable[Offer]:
    """A model's prices as rows of `model_price`.

    What is no known number has none: a negative rate is decided per request, and the zeros of a media model stand for
    prices that are listed elsewhere.
    """
    pricing, is_unknown = model.pricing, model.pricing_kind == "unknown"
    for unit, rate in pricing.rates:
        yield Offer(unit, 0, None if rate < 0 or (is_unknown and not rate) else rate, None)
    for position, override in enumerate(pricing.overrides, start=1):
        condition = _CONDITIONS.encode(dict(override.conditions)).decode()
        for unit, rate in override.rates:
            yield Offer(unit, position, rate if rate >= 0 else None, condition)


def keep_versions(connection: sa.Connection, versions: Iterable[Version]) -> None:
    """Store contents, before a ledger names them; one that is stored already stays."""
    rows = {it.digest: it.document for it in versions}
    if not rows:
        return
    insert = insert_new(connection.dialect.name, version)
    connection.execute(insert, [{"digest": digest, "document": document} for digest, document in rows.items()])
