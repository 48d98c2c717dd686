"""`capability`: the capability matrix cell by cell, over time. What a cell is: `catalog/capability.py`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from llmhive.catalog.capability import CAPABILITIES, Cell, CellChange, diff
from llmhive.catalog.model import instant
from llmhive.store.tables import capability, holds_at

_c = capability.c
_END = capability.update().where(_c.id == sa.bindparam("of")).values(known_to=sa.bindparam("at"))
_PLACE = {it.name: place for place, it in enumerate(CAPABILITIES)}

# A change is two cells that follow one another and say something else. A cell that is the first of its kind has none
# before it, and one that was replaced in the instant it began was never known.
_old, _new = capability.alias("old"), capability.alias("new")
_CHANGED = (
    sa.select(
        _new.c.model_id, _new.c.capability, _new.c.known_from.label("at"),
        _old.c.state.label("old_state"), _old.c.provenance.label("old_provenance"),
        _new.c.state.label("new_state"), _new.c.provenance.label("new_provenance"),
    )
    .join(
        _old,
        sa.and_(
            _old.c.model_id == _new.c.model_id,
            _old.c.capability == _new.c.capability,
            _old.c.known_to == _new.c.known_from,
            _old.c.known_from < _old.c.known_to,
        ),
    )
    .where(
        _old.c.state != _new.c.state,
        sa.or_(_new.c.known_to.is_(None), _new.c.known_to > _new.c.known_from),
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying a matrix did."""

    models: int  #: that it told of
    cells: int  #: that were written: new ones, and those that say something else, or the same for another reason
    changes: tuple[CellChange, ...]


def apply(
    connection: sa.Connection, cells_by_model: Mapping[str, Mapping[str, Cell]], *, at: datetime, run_id: int
) -> Applied:
    """Write the cells that are other than those that stand.

    A model that is new to the matrix is no change. One that is not given keeps its cells: they are what was last known.
    """
    standing: dict[str, dict[str, Cell]] = {}
    ended, kept = [], set()
    for row in connection.execute(_cells_of(_c.known_to.is_(None), cells_by_model)):
        cell = Cell(row.state, row.provenance)
        standing.setdefault(row.model_id, {})[row.capability] = cell
        if cells_by_model[row.model_id].get(row.capability) == cell:
            kept.add((row.model_id, row.capability))
        else:
            ended.append({"of": row.id, "at": at})
    begun = [
        {
            "model_id": model_id,
            "capability": name,
            "state": cell.state,
            "provenance": cell.provenance,
            "known_from": at,
            "run_id": run_id,
        }
        for model_id, found in cells_by_model.items()
        for name, cell in found.items()
        if (model_id, name) not in kept
    ]
    if ended:
        connection.execute(_END, ended)
    if begun:
        connection.execute(capability.insert(), begun)
    return Applied(len(cells_by_model), len(begun), tuple(diff(standing, cells_by_model)))


def matrix(connection: sa.Connection, *, model_ids: Collection[str] | None = None) -> list[dict[str, Any]]:
    """The matrix as it stands, as JSON values, by model; None: of all that it ever told of.

    ``cells`` has for each capability its ``state``, its ``provenance``, and ``since`` when the state is known.
    """
    earlier = _earlier(connection, model_ids)
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in connection.execute(_cells_of(_c.known_to.is_(None), model_ids)):
        began = row.known_from
        for before in earlier.get((row.model_id, row.capability), ()):
            if before.known_to == began:
                began = before.known_from
        found.setdefault(row.model_id, {})[row.capability] = {
            "state": row.state,
            "provenance": row.provenance,
            "since": instant(began),
        }
    return [{"id": model_id, "cells": _in_order(cells)} for model_id, cells in sorted(found.items())]


def changes(connection: sa.Connection, since: datetime, until: datetime | None = None) -> list[dict[str, Any]]:
    """What changed from an instant on, until before another one, as JSON values: the oldest first, by model."""
    chosen = _CHANGED.where(_new.c.known_from >= since)
    return _listed(connection, chosen if until is None else chosen.where(_new.c.known_from < until))


def last_changes(connection: sa.Connection) -> list[dict[str, Any]]:
    """What was gained and lost when something was last, as `changes`. To become known is neither."""
    known = _CHANGED.where(_old.c.state != "unknown")
    newest = connection.execute(known.order_by(_new.c.known_from.desc()).limit(1)).first()
    return [] if newest is None else _listed(connection, known.where(_new.c.known_from == newest.at))


def known_at(
    connection: sa.Connection, at: datetime, *, model_ids: Collection[str] | None = None
) -> dict[str, dict[str, Cell]]:
    """The matrix as it was known at an instant: model → capability → cell."""
    found: dict[str, dict[str, Cell]] = {}
    for row in connection.execute(_cells_of(holds_at(_c.known_from, _c.known_to, at), model_ids)):
        found.setdefault(row.model_id, {})[row.capability] = Cell(row.state, row.provenance)
    return {model_id: _in_order(cells) for model_id, cells in sorted(found.items())}


def _cells_of(condition: sa.ColumnElement[bool], model_ids: Collection[str] | None) -> sa.Select[Any]:
    chosen = sa.select(capability).where(condition)
    return chosen if model_ids is None else chosen.where(_c.model_id.in_(sorted(model_ids)))


def _earlier(connection: sa.Connection, model_ids: Collection[str] | None) -> dict[tuple[str, str], list[Any]]:
    """The cells that were replaced and said the same as the one that stands, maybe for another reason; the newest
    first.
    """
    chosen = (
        sa.select(_old.c.model_id, _old.c.capability, _old.c.known_from, _old.c.known_to)
        .join(
            _new,
            sa.and_(
                _new.c.model_id == _old.c.model_id,
                _new.c.capability == _old.c.capability,
                _new.c.known_to.is_(None),
                _new.c.state == _old.c.state,
            ),
        )
        .where(_old.c.known_to > _old.c.known_from)
        .order_by(_old.c.known_to.desc())
    )
    found: dict[tuple[str, str], list[Any]] = {}
    for row in connection.execute(
        chosen if model_ids is None else chosen.where(_old.c.model_id.in_(sorted(model_ids)))
    ):
        found.setdefault((row.model_id, row.capability), []).append(row)
    return found


def _in_order(cells: dict[str, Any]) -> dict[str, Any]:
    """By the order of `CAPABILITIES`; one that is no longer among them comes last."""
    return dict(sorted(cells.items(), key=lambda item: (_PLACE.get(item[0], len(_PLACE)), item[0])))


def _listed(connection: sa.Connection, chosen: sa.Select[Any]) -> list[dict[str, Any]]:
    rows = sorted(connection.execute(chosen), key=lambda row: (row.at, row.model_id, row.capability))
    return [
        {
            "model": row.model_id,
            "capability": row.capability,
            "before": {"state": row.old_state, "provenance": row.old_provenance},
            "after": {"state": row.new_state, "provenance": row.new_provenance},
            "at": instant(row.at),
        }
        for row in rows
    ]
