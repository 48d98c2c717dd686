"""The believed ledger and `model_catalog`: load, apply.

`Believed` is what we stand by now, in memory; `apply` writes a plan and only the rows it names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from llmhive.catalog.diff import Belief, Plan
from llmhive.catalog.feed import Record
from llmhive.catalog.model import Model, Version
from llmhive.catalog.pricing import per_million
from llmhive.store.tables import catalog_state, model_belief, model_catalog, version

_WRITE_STATE = catalog_state.update().where(catalog_state.c.id == 1)
_END_BELIEF = (
    model_belief.update()
    .where(model_belief.c.model_id == sa.bindparam("of"), model_belief.c.known_to.is_(None))
    .values(known_to=sa.bindparam("at"))
)
_UPDATE = model_catalog.update().where(model_catalog.c.id == sa.bindparam("of"))
_REACTIVATE = _UPDATE.values(is_active=True, last_seen_at=None, deactivated_at=None)
_DEACTIVATE = _UPDATE.values(is_active=False, last_seen_at=sa.bindparam("seen"), deactivated_at=sa.bindparam("at"))


@dataclass(frozen=True, slots=True)
class State:
    """The catalog as a whole."""

    catalog_version: int = 0
    source: str | None = None  #: ``openrouter``, ``bootstrap``; None while empty
    source_at: datetime | None = None  #: bootstrap: when its facts were true
    decoder: int | None = None


@dataclass
class Believed:
    """What we stand by now, and which records said so."""

    by_id: dict[str, Belief] = field(default_factory=dict)
    #: a record's bytes → what they said, where just that is believed: such a record need not be read again
    known: dict[bytes, Record] = field(default_factory=dict)


def state(connection: sa.Connection) -> State:
    """Read the one row of `catalog_state`; a new database has none yet."""
    row = connection.execute(sa.select(catalog_state).where(catalog_state.c.id == 1)).first()
    return State() if row is None else State(row.catalog_version, row.source, row.source_at, row.decoder)


def write_state(connection: sa.Connection, new: State) -> None:
    """Replace the one row of `catalog_state`."""
    values = {
        "catalog_version": new.catalog_version,
        "source": new.source,
        "source_at": new.source_at,
        "decoder": new.decoder,
    }
    if not connection.execute(_WRITE_STATE, values).rowcount:
        connection.execute(catalog_state.insert(), {"id": 1, **values})


def count_active(connection: sa.Connection) -> int:
    """How many models are active."""
    count = sa.select(sa.func.count()).select_from(model_catalog).where(model_catalog.c.is_active)
    return connection.execute(count).scalar_one()


def load(connection: sa.Connection, *, decoder: int) -> Believed:
    """Read every belief, active or not. Records read by another decoder count as unknown."""
    believed = Believed()
    same_decoder = state(connection).decoder == decoder
    rows = connection.execute(
        sa.select(
            model_catalog.c.id,
            model_catalog.c.is_active,
            model_catalog.c.raw,
            model_catalog.c.flags,
            version.c.digest,
            version.c.document,
        ).join(version, version.c.digest == model_catalog.c.version)
    )
    for row in rows:
        content = Version.stored(row.digest, row.document)
        raw = None if row.raw is None else row.raw.encode()
        believed.by_id[row.id] = Belief(content, row.is_active, raw)
        if same_decoder and raw is not None:
            believed.known[raw] = Record(content, raw, tuple(row.flags))
    return believed


def apply(
    connection: sa.Connection,
    plan: Plan,
    believed: Believed,
    *,
    run_id: int,
    at: datetime,
    known_at: datetime,
    last_seen_at: Callable[[Model], datetime | None],
    is_bootstrap: bool = False,
) -> dict[str, Belief]:
    """Write a plan; returns the beliefs to put into `believed.by_id` after the commit.

    `at` is when the feed was fetched; `last_seen_at` tells when a model that is gone was listed last.
    """
    before = believed.by_id
    beliefs = (
        {entry.id: Belief(before[entry.id].version, True, entry.raw) for entry in plan.refreshed}
        | {entry.id: replace(before[entry.id], is_active=True, raw=entry.raw) for entry in plan.reactivated}
        | {entry.id: Belief(entry.version, True, None if is_bootstrap else entry.raw) for entry in plan.added}
        | {entry.id: Belief(entry.version, True, entry.raw) for entry in plan.altered}
        | {model_id: replace(before[model_id], is_active=False) for model_id in plan.deactivated}
    )
    news = {
        model_id: belief
        for model_id, belief in beliefs.items()
        if model_id not in before
        or (before[model_id].is_active, before[model_id].version) != (belief.is_active, belief.version)
    }
    if news:
        _believe(connection, before, news, run_id, known_at)
    if plan.added:
        rows = [_row(entry, at, is_bootstrap) | {"is_active": True, "first_seen_at": at} for entry in plan.added]
        connection.execute(model_catalog.insert(), rows)
    if plan.altered:
        connection.execute(_UPDATE, [_row(entry, at, is_bootstrap) | {"of": entry.id} for entry in plan.altered])
    if plan.refreshed:
        connection.execute(_UPDATE, [_served_columns(entry, at) | {"of": entry.id} for entry in plan.refreshed])
    if plan.reactivated:
        connection.execute(_REACTIVATE, [{"of": entry.id} for entry in plan.reactivated])
    if plan.deactivated:
        gone = [
            {"of": key, "seen": last_seen_at(before[key].version.model), "at": at} for key in plan.deactivated
        ]  # fmt: skip
        connection.execute(_DEACTIVATE, gone)
    return beliefs


def _believe(
    connection: sa.Connection, before: Mapping[str, Belief], news: Mapping[str, Belief], run_id: int, known_at: datetime
) -> None:
    if ended := [{"of": model_id, "at": known_at} for model_id in news if model_id in before]:
        connection.execute(_END_BELIEF, ended)
    begun = [
        {
            "model_id": model_id,
            "known_from": known_at,
            "is_active": belief.is_active,
            "version": belief.version.digest,
            "run_id": run_id,
        }
        for model_id, belief in news.items()
    ]
    connection.execute(model_belief.insert(), begun)


def _row(entry: Record, at: datetime, is_bootstrap: bool) -> dict[str, Any]:
    """A model's row, but for when it was first seen."""
    model, identity = entry.model, entry.model.identity
    return {
        "id": model.id,
        "canonical_slug": model.canonical_slug,
        "name": model.name,
        "author": identity.author,
        "family": identity.family,
        "variant": identity.variant,
        "description": model.description,
        "created_at": model.created_at,
        "context_length": model.context_length,
        "max_completion_tokens": model.max_completion_tokens,
        "input_modalities": model.input_modalities,
        "output_modalities": model.output_modalities,
        "supported_parameters": model.supported_parameters,
        "tokenizer": model.tokenizer,
        "pricing_kind": model.pricing_kind,
        "is_scheduled": model.pricing.is_scheduled,
        "expiration_date": model.expiration_date,
        "version": entry.version.digest,
    } | _served_columns(entry, at, is_bootstrap)


class _Priced(msgspec.Struct):
    pricing: msgspec.Raw = msgspec.Raw(b"{}")


_PRICED = msgspec.json.Decoder(_Priced)


def _served_columns(entry: Record, at: datetime, is_bootstrap: bool = False) -> dict[str, Any]:
    """What follows the record's bytes, changed or not."""
    prompt, completion = entry.model.headline(at)
    return {
        "prompt_price": prompt,
        "completion_price": completion,
        "prompt_price_per_million": None if prompt is None else float(per_million(prompt)),
        "completion_price_per_million": None if completion is None else float(per_million(completion)),
        "pricing": bytes(_PRICED.decode(entry.raw).pricing),
        # a bootstrap's facts are not a record that was served
        "raw": None if is_bootstrap else entry.raw,
        "flags": entry.flags,
    }
