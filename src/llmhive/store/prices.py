"""`model_price`: what each unit of a model cost, when; derived from the served ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from llmhive.catalog.hold import PRICING
from llmhive.catalog.model import Model, instant
from llmhive.catalog.pricing import plain
from llmhive.catalog.timeline import Listing, Timeline
from llmhive.store.tables import Instant, capture, holds_at, model_price, sync_run, verdict

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
_SORTED = msgspec.json.Encoder(order="sorted")


def held_at(connection: sa.Connection, at: datetime) -> dict[str, list[str]]:
    """The units whose rate at an instant was held and never confirmed, by model."""
    price = model_price.c
    rows = connection.execute(
        sa.select(price.model_id, price.unit)
        .where(price.is_held, holds_at(price.valid_from, price.valid_to, at))
        .distinct()
        .order_by(price.model_id, price.unit)
    )
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.model_id, []).append(row.unit)
    return found


def of(connection: sa.Connection, model_id: str) -> list[dict[str, Any]]:
    """Every price of a model over time, as JSON values: rates are decimal strings in USD per unit."""
    price = model_price.c
    rows = connection.execute(
        sa.select(model_price).where(price.model_id == model_id).order_by(price.unit, price.position, price.valid_from)
    )
    return [
        {
            "unit": row.unit,
            "rate": None if row.rate is None else plain(row.rate),
            "position": row.position,
            "condition": row.condition,
            "from": instant(row.valid_from),
            "to": None if row.valid_to is None else instant(row.valid_to),
            "is_held": row.is_held,
        }
        for row in rows
    ]


def record(
    connection: sa.Connection, before: Mapping[str, Listing], found: Mapping[str, Listing], at: datetime
) -> None:
    """Write what the newest steps charge otherwise."""
    ended, begun = [], []
    for model_id, listing in found.items():
        was, becomes = _offers(before.get(model_id)), _offers(listing)
        ended += [{"of": model_id, "at": at, "its": it.unit, "place": it.position} for it in was - becomes]
        begun += [{"model_id": model_id, "valid_from": at, **it._asdict()} for it in becomes - was]
    if ended:
        connection.execute(_END_PRICE, ended)
    if begun:
        connection.execute(model_price.insert(), begun)


def mark_held(connection: sa.Connection, held: Mapping[str, Iterable[str]]) -> None:
    """Mark which of the rates served now are held: model → fields; of the models named, all others are not."""
    for model_id, fields in held.items():
        units = {name.removeprefix(f"{PRICING}.") for name in fields if name.startswith(f"{PRICING}.")}
        is_held = sa.true() if PRICING in fields else model_price.c.unit.in_(units) if units else sa.false()
        connection.execute(
            model_price.update()
            .where(model_price.c.model_id == model_id, model_price.c.valid_to.is_(None))
            .values(is_held=is_held)
        )


class Offer(NamedTuple):
    """One price as `model_price` holds it."""

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
        condition = _SORTED.encode(dict(override.conditions)).decode()
        for unit, rate in override.rates:
            yield Offer(unit, position, rate if rate >= 0 else None, condition)


def rewrite(connection: sa.Connection, start: datetime, timeline: Timeline) -> None:
    """Write the prices of a timeline's steps; none from `start` on stand any more, and those before it are open."""
    marks = _held_marks(connection, start)
    ended, begun = [], []
    for model_id, found in timeline.steps.items():
        open_: dict[Offer, datetime | None] = dict.fromkeys(_offers(timeline.before(model_id)))
        for at, listing in (*found, (None, None)):
            becomes = _offers(listing)
            for offer in [] if at is None else [it for it in open_ if it not in becomes]:
                began = open_.pop(offer)
                if began is None:
                    ended.append({"of": model_id, "at": at, "its": offer.unit, "place": offer.position})
                else:
                    begun.append(_price_row(model_id, offer, began, at, marks))
            if at is None:
                begun += [_price_row(model_id, it, began, None, marks) for it, began in open_.items() if began]
            else:
                open_ |= {offer: at for offer in becomes if offer not in open_}
    if ended:
        connection.execute(_END_PRICE, ended)
    if begun:
        connection.execute(model_price.insert(), begun)


#: model and field → when the gate said what of it, oldest first
_Marks = dict[tuple[str, str], list[tuple[datetime, bool]]]


def _price_row(model_id: str, offer: Offer, began: datetime, ended: datetime | None, marks: _Marks) -> dict[str, Any]:
    said = sorted(marks.get((model_id, f"{PRICING}.{offer.unit}"), []) + marks.get((model_id, PRICING), []))
    in_force = [is_held for at, is_held in said if at >= began and (ended is None or at < ended)]
    is_held = bool(in_force) and in_force[-1]
    return {
        "model_id": model_id, "valid_from": began, "valid_to": ended, "is_held": is_held, **offer._asdict()
    }  # fmt: skip


def _held_marks(connection: sa.Connection, start: datetime) -> _Marks:
    """What the gate said of single prices: held, or believed after all."""
    at = sa.func.coalesce(sa.func.max(capture.c.fetched_at), sa.func.max(sync_run.c.started_at))
    rows = connection.execute(
        sa.select(
            verdict.c.model_id, verdict.c.field, verdict.c.outcome, sa.type_coerce(at, Instant).label("at")
        )
        .join(sync_run, sync_run.c.id == verdict.c.run_id)
        .outerjoin(capture, capture.c.run_id == verdict.c.run_id)
        .where(verdict.c.field.like(f"{PRICING}%"))
        .group_by(verdict.c.id, verdict.c.model_id, verdict.c.field, verdict.c.outcome)
        .having(at >= start)
    )  # fmt: skip
    marks: _Marks = {}
    for row in rows:
        marks.setdefault((row.model_id, row.field), []).append((row.at, row.outcome == "held"))
    return marks
