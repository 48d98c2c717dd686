"""`transition` and the view ``change``: what is news of the served ledger; derived from it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from llmhive.catalog.change import Transition, all_of, steps
from llmhive.catalog.feed import covers
from llmhive.catalog.model import instant
from llmhive.catalog.timeline import Listing
from llmhive.store.captures import IN_HISTORY
from llmhive.store.tables import capture, change, transition

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


def between(connection: sa.Connection, since: datetime, until: datetime | None) -> list[dict[str, Any]]:
    """The rows of the view ``change``, the newest first, as JSON values."""
    conditions = [change.c.happened_at >= since, *([change.c.happened_at < until] if until else [])]
    rows = connection.execute(
        sa.select(change).where(*conditions).order_by(change.c.happened_at.desc(), change.c.model_id, change.c.field)
    )
    times = ("happened_at", "confirmed_at", "reverted_at")
    return [
        {name: value if name not in times or value is None else instant(value) for name, value in row.items()}
        for row in rows.mappings()
    ]


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
    taken = connection.execute(sa.select(capture.c.fetched_at, capture.c.scope).where(IN_HISTORY)).all()
    times = {True: sorted(row.fetched_at for row in taken)}
    times[False] = sorted(row.fetched_at for row in taken if row.scope == "all")

    def seen(begin: datetime, end: datetime, in_text: bool) -> bool:
        position = bisect_right(times[in_text], begin)
        return position < len(times[in_text]) and times[in_text][position] < end

    connection.execute(transition.delete())
    begun = []
    for model_id, found in timelines.items():
        at, first = found[0]
        could_show = times[covers("text", first.version.model)]
        was_there = not could_show or could_show[0] >= at
        told = all_of(model_id, first, found[1:], seen) if was_there else all_of(model_id, None, found, seen)
        begun += [_row(it) for it in told]
    if begun:
        connection.execute(transition.insert(), begun)
