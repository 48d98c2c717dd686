"""The served ledger: versions, prices and changes over time, derived from captures.

`load` reads what OpenRouter serves now, and `record` writes what the next feed says otherwise: the path of every sync.
`rewrite` cuts history anew from an instant on, for captures that come late and for a decoder that learned something.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from llmhive.catalog.change import Transition, all_of, steps
from llmhive.catalog.feed import Feed, Scope, covers
from llmhive.catalog.hold import PRICING
from llmhive.catalog.model import Model, Version, instant
from llmhive.catalog.pricing import plain
from llmhive.catalog.timeline import Listing, Timeline, news
from llmhive.store.captures import IN_HISTORY
from llmhive.store.tables import (
    Instant,
    capture,
    change,
    description,
    insert_new,
    model_price,
    served_version,
    sync_run,
    transition,
    verdict,
    version,
)

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
_OPEN_TRANSITIONS = sa.select(transition).where(
    transition.c.model_id.in_(sa.bindparam("ids", expanding=True)), transition.c.ended_at.is_(None)
)
_END_TRANSITION = (
    transition.update()
    .where(
        transition.c.model_id == sa.bindparam("of"),
        transition.c.field == sa.bindparam("its"),
        transition.c.ended_at.is_(None),
    )
    .values(ended_at=sa.bindparam("at"), reverted_at=sa.bindparam("back"))
)
_SORTED = msgspec.json.Encoder(order="sorted")
#: What a version is read with.
DOCUMENT = (version.c.digest, version.c.document, description.c.text)


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


def versions_of(rows: Iterable[Any], cache: dict[str, Version] | None = None) -> list[Version]:
    """The versions of rows that hold the columns `DOCUMENT`; one object for one version, given a cache."""
    kept = {} if cache is None else cache
    found = []
    for row in rows:
        if row.digest not in kept:
            kept[row.digest] = Version.stored(row.digest, row.document, row.text)
        found.append(kept[row.digest])
    return found


def with_documents(chosen: sa.Select[Any], digest: sa.ColumnElement[str]) -> sa.Select[Any]:
    """A selection with the documents of the versions it names."""
    joined = chosen.join(version, version.c.digest == digest)
    return joined.outerjoin(description, description.c.digest == version.c.description)


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
        served_version.c.model_id, served_version.c.is_listed, served_version.c.valid_from, *DOCUMENT
    ).select_from(served_version)
    rows = connection.execute(with_documents(chosen, served_version.c.version).where(condition)).all()
    found = versions_of(rows, cache)
    return {
        row.model_id: Since(Listing(it, row.is_listed), row.valid_from) for row, it in zip(rows, found, strict=True)
    }


def as_of(
    connection: sa.Connection, at: datetime, *, listed: bool | None = None, cache: dict[str, Version] | None = None
) -> dict[str, Since]:
    """What OpenRouter served at an instant, by id: what it listed, what it no longer listed, or (None) both."""
    condition = _at(served_version.c.valid_from, served_version.c.valid_to, at)
    if listed is not None:
        condition = sa.and_(condition, served_version.c.is_listed.is_(listed))
    return listings(connection, condition, cache)


def _at(valid_from: Any, valid_to: Any, at: datetime) -> sa.ColumnElement[bool]:
    return sa.and_(valid_from <= at, sa.or_(valid_to.is_(None), valid_to > at))


def held_at(connection: sa.Connection, at: datetime) -> dict[str, list[str]]:
    """The units whose rate at an instant was held and never confirmed, by model."""
    price = model_price.c
    rows = connection.execute(
        sa.select(price.model_id, price.unit)
        .where(price.is_held, _at(price.valid_from, price.valid_to, at))
        .distinct()
        .order_by(price.model_id, price.unit)
    )
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.model_id, []).append(row.unit)
    return found


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
    chosen = sa.select(served.valid_from, served.is_listed, *DOCUMENT).select_from(served_version)
    rows = connection.execute(
        with_documents(chosen, served.version).where(served.model_id == model_id).order_by(served.valid_from)
    ).all()
    found = versions_of(rows)
    return [(row.valid_from, Listing(it, row.is_listed)) for row, it in zip(rows, found, strict=True)]


def timelines(
    connection: sa.Connection, cache: dict[str, Version] | None = None
) -> dict[str, list[tuple[datetime, Listing]]]:
    """Every step of every model's served history, oldest first."""
    kept = {} if cache is None else cache
    served = served_version.c
    rows = connection.execute(
        sa.select(served.model_id, served.valid_from, served.is_listed, served.version).order_by(
            served.model_id, served.valid_from
        )
    ).all()
    wanted = sorted({row.version for row in rows} - kept.keys())
    for position in range(0, len(wanted), 500):
        chosen = sa.select(*DOCUMENT).select_from(version)
        joined = chosen.outerjoin(description, description.c.digest == version.c.description)
        some = joined.where(version.c.digest.in_(wanted[position : position + 500]))
        versions_of(connection.execute(some), kept)
    found: dict[str, list[tuple[datetime, Listing]]] = {}
    for row in rows:
        found.setdefault(row.model_id, []).append((row.valid_from, Listing(kept[row.version], row.is_listed)))
    return found


def prices_of(connection: sa.Connection, model_id: str) -> list[dict[str, Any]]:
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


def changes(connection: sa.Connection, since: datetime, until: datetime | None) -> list[dict[str, Any]]:
    """The rows of the view ``change``, the newest first, as JSON values."""
    conditions = [change.c.happened_at >= since, *([change.c.happened_at < until] if until else [])]
    rows = connection.execute(
        sa.select(change).where(*conditions).order_by(change.c.happened_at.desc(), change.c.model_id, change.c.field)
    )
    times = ("happened_at", "confirmed_at", "ended_at", "reverted_at")
    return [
        {name: value if name not in times or value is None else instant(value) for name, value in row.items()}
        for row in rows.mappings()
    ]


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
        _record_prices(connection, served.by_id, found, at)
        if served.last:
            _record_transitions(connection, served, found, at)
    return found


def _record_prices(
    connection: sa.Connection, before: Mapping[str, Listing], found: Mapping[str, Listing], at: datetime
) -> None:
    ended, begun = [], []
    for model_id, listing in found.items():
        was, becomes = _offers(before.get(model_id)), _offers(listing)
        ended += [{"of": model_id, "at": at, "its": it.unit, "place": it.position} for it in was - becomes]
        begun += [{"model_id": model_id, "valid_from": at, **it._asdict()} for it in becomes - was]
    if ended:
        connection.execute(_END_PRICE, ended)
    if begun:
        connection.execute(model_price.insert(), begun)


def _record_transitions(connection: sa.Connection, served: Served, found: Mapping[str, Listing], at: datetime) -> None:
    known = [model_id for model_id in found if model_id in served.by_id]
    open_: dict[str, dict[str, Transition]] = {}
    for row in connection.execute(_OPEN_TRANSITIONS, {"ids": known}) if known else ():
        open_.setdefault(row.model_id, {})[row.field] = _transition(row)

    def seen(begin: datetime, _end: datetime, in_text: bool) -> bool:
        last = served.covered_at(in_text)
        return last is not None and last > begin

    ended, begun = [], []
    for model_id, listing in found.items():
        before = served.by_id.get(model_id)
        if before is None and served.covered_at(covers("text", listing.version.model)) is None:
            # it was there all the time: no feed before this one could show it
            continue
        for old, new in steps(model_id, before, listing, at, open_.get(model_id, {}), seen):
            if old is not None:
                ended.append({"of": model_id, "its": old.field, "at": old.ended_at, "back": old.reverted_at})
            if new is not None:
                begun.append(_transition_row(new))
    if ended:
        connection.execute(_END_TRANSITION, ended)
    if begun:
        connection.execute(transition.insert(), begun)


def _transition(row: Any) -> Transition:
    return Transition(
        row.model_id, row.what, row.field, row.before, row.after, row.happened_at, row.in_text,
        row.ended_at, row.reverted_at, row.is_return,
    )  # fmt: skip


def _transition_row(it: Transition) -> dict[str, Any]:
    return {
        "model_id": it.model_id,
        "what": it.what,
        "field": it.field,
        "before": _json(it.before),
        "after": _json(it.after),
        "happened_at": it.happened_at,
        "ended_at": it.ended_at,
        "reverted_at": it.reverted_at,
        "is_return": it.is_return,
        "in_text": it.in_text,
    }


def _json(value: Any) -> bytes | None:
    """A value as JSON: a plain string would be taken for JSON already."""
    return None if value is None else _SORTED.encode(value)


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


def keep_versions(connection: sa.Connection, versions: Iterable[Version]) -> None:
    """Store contents, before a ledger names them; one that is stored already stays."""
    rows, texts = {}, {}
    for it in versions:
        if it.digest in rows:
            continue
        document, text = it.apart()
        name = None
        if text is not None:
            name = sha256(text.encode()).hexdigest()[:32]
            texts[name] = text
        rows[it.digest] = {"digest": it.digest, "document": document, "description": name}
    if texts:
        insert = insert_new(connection.dialect.name, description)
        connection.execute(insert, [{"digest": name, "text": text} for name, text in texts.items()])
    if rows:
        connection.execute(insert_new(connection.dialect.name, version), list(rows.values()))


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
    keep_versions(connection, (it.version for found in timeline.steps.values() for _, it in found))
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
    _rewrite_prices(connection, start, timeline)
    _rewrite_transitions(connection, timeline)


def _rewrite_prices(connection: sa.Connection, start: datetime, timeline: Timeline) -> None:
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


def _rewrite_transitions(connection: sa.Connection, timeline: Timeline) -> None:
    cache = {it.version.digest: it.version for found in timeline.steps.values() for _, it in found}
    whole = timelines(connection, cache)
    taken = connection.execute(sa.select(capture.c.fetched_at, capture.c.scope).where(IN_HISTORY)).all()
    times = {True: sorted(row.fetched_at for row in taken)}
    times[False] = sorted(row.fetched_at for row in taken if row.scope == "all")

    def seen(begin: datetime, end: datetime, in_text: bool) -> bool:
        position = bisect_right(times[in_text], begin)
        return position < len(times[in_text]) and times[in_text][position] < end

    connection.execute(transition.delete())
    begun = []
    for model_id, found in whole.items():
        at, first = found[0]
        could_show = times[covers("text", first.version.model)]
        was_there = not could_show or could_show[0] >= at
        told = all_of(model_id, first, found[1:], seen) if was_there else all_of(model_id, None, found, seen)
        begun += [_transition_row(it) for it in told]
    if begun:
        connection.execute(transition.insert(), begun)
