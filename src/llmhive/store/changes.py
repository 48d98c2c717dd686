"""`transition` and the view ``change``: what is news of the served ledger; derived from it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from functools import cache
from typing import Any, get_args

import msgspec
import sqlalchemy as sa

from llmhive.catalog.change import Transition, all_of, steps
from llmhive.catalog.feed import Scope, covers
from llmhive.catalog.model import instant
from llmhive.catalog.timeline import Listing
from llmhive.store.captures import IN_HISTORY
from llmhive.store.tables import capture, transition

_OF_MODELS = sa.select(transition).where(transition.c.model_id.in_(sa.bindparam("ids", expanding=True)))
_SET_END = (
    transition.update()
    .where(
        transition.c.model_id == sa.bindparam("of"),
        transition.c.field == sa.bindparam("its"),
        transition.c.happened_at == sa.bindparam("since"),
    )
    .values(ended_at=sa.bindparam("end"))
)
_SORTED = msgspec.json.Encoder(order="sorted")
_c = transition.c
_TOLD = sa.select(
    _c.model_id, _c.what, _c.field, _c.before, _c.after, _c.happened_at, _c.ended_at, _c.in_text
).where(_c.episode.is_(None)).order_by(_c.happened_at.desc(), _c.model_id, _c.field)  # fmt: skip
_PARTS = sa.select(
    _c.model_id, _c.field, _c.episode, _c.happened_at, _c.ended_at, _c.in_text, _c.is_back
).where(_c.episode.is_not(None)).order_by(_c.happened_at)  # fmt: skip


def between(
    connection: sa.Connection, since: datetime, until: datetime | None, *, model_id: str | None = None
) -> list[dict[str, Any]]:
    """The rows of the view ``change``, of all models or of one, the newest first, as JSON values."""
    # the view looks the captures up for each row; here they are read once
    told, parts = _TOLD.where(_c.happened_at >= since), _PARTS.where(_c.happened_at > since, _c.episode >= since)
    if until is not None:
        told, parts = told.where(_c.happened_at < until), parts.where(_c.episode < until)
    if model_id is not None:
        told, parts = told.where(_c.model_id == model_id), parts.where(_c.model_id == model_id)
    begun = connection.execute(told).all()
    if not begun:
        return []
    times = _Times(connection, since)
    reverted_at = {
        (part.model_id, part.field, part.episode): part.happened_at if part.is_back else None
        for part in connection.execute(parts)
        if times.first(part.happened_at, part.ended_at, part.in_text) is not None
    }
    written = cache(instant)
    found = []
    for it in begun:
        confirmed_at = times.first(it.happened_at, it.ended_at, it.in_text)
        if confirmed_at is None:
            continue
        reverted = reverted_at.get((it.model_id, it.field, it.happened_at))
        found.append({
            "model_id": it.model_id,
            "what": it.what,
            "field": it.field,
            "before": it.before,
            "after": it.after,
            "happened_at": written(it.happened_at),
            "confirmed_at": written(confirmed_at),
            "reverted_at": None if reverted is None else written(reverted),
        })  # fmt: skip
    return found


class _Times:
    """When captures were fetched that are part of history."""

    def __init__(self, connection: sa.Connection, since: datetime | None = None) -> None:
        chosen = sa.select(capture.c.fetched_at, capture.c.scope).where(IN_HISTORY)
        if since is not None:
            # with the scopes named, the index serves
            chosen = chosen.where(capture.c.scope.in_(get_args(Scope)), capture.c.fetched_at > since)
        taken = connection.execute(chosen).all()
        #: by whether models that output text are meant: all captures show them
        self.showing: dict[bool, list[datetime]] = {
            True: sorted(row.fetched_at for row in taken),
            False: sorted(row.fetched_at for row in taken if row.scope == "all"),
        }

    def first(self, begin: datetime, end: datetime | None, in_text: bool) -> datetime | None:
        """The first between two instants, both excluded, that shows such models."""
        times = self.showing[in_text]
        position = bisect_right(times, begin)
        if position == len(times) or (end is not None and times[position] >= end):
            return None
        return times[position]


def record(
    connection: sa.Connection,
    before: Mapping[str, Listing],
    found: Mapping[str, Listing],
    at: datetime,
    covered_at: Callable[[bool], datetime | None],
) -> None:
    """Write the newest steps as possible news; `covered_at` tells when the newest capture before them was fetched that
    shows models that output text, or others.
    """
    known = [model_id for model_id in found if model_id in before]
    past: dict[str, dict[str, dict[datetime, Transition]]] = {}
    for row in connection.execute(_OF_MODELS, {"ids": known}) if known else ():
        it = Transition(**{name: getattr(row, name) for name in _FIELDS})
        past.setdefault(it.model_id, {}).setdefault(it.field, {})[it.happened_at] = it

    def seen(begin: datetime, _end: datetime, in_text: bool) -> bool:
        last = covered_at(in_text)
        return last is not None and last > begin

    moved, begun = [], []
    for model_id, listing in found.items():
        was, there = before.get(model_id), past.get(model_id, {})
        if was is None and covered_at(covers("text", listing.version.model)) is None:
            # it was there all the time: no feed before this one could show it
            continue
        for it in steps(model_id, was, listing, at, there, seen):
            if it.happened_at in there.get(it.field, {}):
                moved.append({"of": model_id, "its": it.field, "since": it.happened_at, "end": it.ended_at})
            else:
                begun.append(_row(it))
    if moved:
        connection.execute(_SET_END, moved)
    if begun:
        connection.execute(transition.insert(), begun)


_FIELDS = tuple(field.name for field in fields(Transition))


def _row(it: Transition) -> dict[str, Any]:
    row = {name: getattr(it, name) for name in _FIELDS}
    return row | {"before": _json(it.before), "after": _json(it.after)}


def _json(value: Any) -> bytes | None:
    """A value as JSON: a plain string would be taken for JSON already."""
    return None if value is None else _SORTED.encode(value)


def rewrite(connection: sa.Connection, timelines: Mapping[str, Sequence[tuple[datetime, Listing]]]) -> None:
    """Write all possible news anew, given every step of every model."""
    times = _Times(connection)

    def seen(begin: datetime, end: datetime, in_text: bool) -> bool:
        return times.first(begin, end, in_text) is not None

    connection.execute(transition.delete())
    begun = []
    for model_id, found in timelines.items():
        at, first = found[0]
        could_show = times.showing[covers("text", first.version.model)]
        was_there = not could_show or could_show[0] >= at
        told = all_of(model_id, first, found[1:], seen) if was_there else all_of(model_id, None, found, seen)
        begun += [_row(it) for it in told]
    if begun:
        connection.execute(transition.insert(), begun)
