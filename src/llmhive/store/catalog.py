"""The believed ledger and `model_catalog`: load, apply, restore.

`Believed` is what we stand by now, in memory; `apply` writes a plan and only the rows it names. A `Row` is a row of
`model_catalog` as a value: what a snapshot keeps, and what `restore` puts back whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import sqlalchemy as sa

from llmhive.catalog.diff import Belief, Plan
from llmhive.catalog.feed import Record
from llmhive.catalog.hold import PRICING, Held
from llmhive.catalog.model import Model, Version, pricing_document
from llmhive.catalog.pricing import per_million, plain
from llmhive.store import versions
from llmhive.store.notices import tell_readers
from llmhive.store.tables import catalog_state, holds_at, model_belief, model_catalog

_WRITE_STATE = catalog_state.update().where(catalog_state.c.id == 1)
_RAISE_VERSION = _WRITE_STATE.values(catalog_version=catalog_state.c.catalog_version + 1).returning(
    catalog_state.c.catalog_version
)
_UNPIN = (
    _WRITE_STATE.where(catalog_state.c.pinned.is_not(None))
    .values(pinned=None, is_moved=True)
    .returning(catalog_state.c.id)
)
_END_BELIEF = (
    model_belief.update()
    .where(model_belief.c.model_id == sa.bindparam("of"), model_belief.c.known_to.is_(None))
    # a clock that was set back must not end a belief before it began
    .values(known_to=sa.case((model_belief.c.known_from > sa.bindparam("at"), model_belief.c.known_from),
                             else_=sa.bindparam("at")))
)  # fmt: skip
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
    pinned: str | None = None  #: the snapshot that is believed whatever OpenRouter says
    is_moved: bool = False  #: whether belief was changed by a rollback or an unpin since the last sync


@dataclass
class Believed:
    """What we stand by now, and which records said so."""

    by_id: dict[str, Belief] = field(default_factory=dict)
    #: a record's bytes → what they said, where just that is believed: such a record need not be read again
    known: dict[bytes, Record] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of `model_catalog`, whole but for what its version says."""

    record: Record  #: version, raw (empty for a bootstrap's facts) and flags
    is_active: bool
    first_seen_at: datetime
    last_seen_at: datetime | None
    deactivated_at: datetime | None
    prompt: Decimal | None  #: USD per token when it was written
    completion: Decimal | None
    pricing: bytes  #: JSON
    held: Mapping[str, Held]

    @property
    def belief(self) -> Belief:
        """What it says."""
        return Belief(self.record.version, self.is_active, self.record.raw or None, self.held)


def state(connection: sa.Connection) -> State:
    """Read the one row of `catalog_state`; a new database has none yet."""
    row = connection.execute(sa.select(catalog_state).where(catalog_state.c.id == 1)).first()
    if row is None:
        return State()
    return State(row.catalog_version, row.source, row.source_at, row.decoder, row.pinned, bool(row.is_moved))


def write_state(connection: sa.Connection, new: State) -> None:
    """Replace the one row of `catalog_state`."""
    values = {
        "catalog_version": new.catalog_version,
        "source": new.source,
        "source_at": new.source_at,
        "decoder": new.decoder,
        "pinned": new.pinned,
        "is_moved": new.is_moved,
    }
    if not connection.execute(_WRITE_STATE, values).rowcount:
        connection.execute(catalog_state.insert(), {"id": 1, **values})
    tell_readers(connection)


def raise_version(connection: sa.Connection) -> int:
    """Give what readers see a new version; returns it. Whatever else changes the row meanwhile stays."""
    raised: int | None = connection.execute(_RAISE_VERSION).scalar()
    if raised is None:
        write_state(connection, State(1))
        return 1
    tell_readers(connection)
    return raised


def unpin(connection: sa.Connection) -> str | None:
    """Let syncs change the catalog again; returns the snapshot it was pinned to, if any."""
    # locked, so that it is this pin that goes, and nothing else of the row
    chosen = sa.select(catalog_state.c.pinned).where(catalog_state.c.id == 1).with_for_update()
    pinned: str | None = connection.execute(chosen).scalar()
    if connection.execute(_UNPIN).first() is not None:
        tell_readers(connection)
    return pinned


def count_active(connection: sa.Connection) -> int:
    """How many models are active."""
    count = sa.select(sa.func.count()).select_from(model_catalog).where(model_catalog.c.is_active)
    return connection.execute(count).scalar_one()


def count_held(connection: sa.Connection) -> int:
    """How many models have a value that is held."""
    count = sa.select(sa.func.count()).select_from(model_catalog).where(model_catalog.c.held.is_not(None))
    return connection.execute(count).scalar_one()


def load(connection: sa.Connection, *, decoder: int, cache: dict[str, Version] | None = None) -> Believed:
    """Read every belief, active or not. Records read by another decoder count as unknown."""
    believed = Believed()
    same_decoder = state(connection).decoder == decoder
    c = model_catalog.c
    chosen = sa.select(c.id, c.is_active, c.raw, c.flags, c.held, *versions.DOCUMENT).select_from(model_catalog)
    rows = connection.execute(versions.with_documents(chosen, c.version)).all()
    for row, content in zip(rows, versions.read(rows, cache), strict=True):
        raw = None if row.raw is None else row.raw.encode()
        believed.by_id[row.id] = Belief(content, row.is_active, raw, _held(row.held))
        # a record whose values are held says something else than what is believed
        if same_decoder and raw is not None and not row.held:
            believed.known[raw] = Record(content, raw, tuple(row.flags))
    return believed


def known_at(connection: sa.Connection, at: datetime, *, active: bool | None = None) -> dict[str, Belief]:
    """What we stood by at an instant, by id; without the records."""
    c = model_belief.c
    chosen = sa.select(c.model_id, c.is_active, c.held, *versions.DOCUMENT).select_from(model_belief)
    condition = holds_at(c.known_from, c.known_to, at)
    if active is not None:
        condition = sa.and_(condition, c.is_active.is_(active))
    rows = connection.execute(versions.with_documents(chosen, c.version).where(condition)).all()
    return {
        row.model_id: Belief(content, row.is_active, None, _held(row.held))
        for row, content in zip(rows, versions.read(rows), strict=True)
    }


def _held(document: Any) -> dict[str, Held]:
    return {name: Held.from_json(value) for name, value in (document or {}).items()}


def _held_json(held: Mapping[str, Held]) -> dict[str, Any] | None:
    return {name: value.to_json() for name, value in held.items()} or None


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
        {entry.id: replace(before[entry.id], is_active=True, raw=entry.raw) for entry in plan.refreshed}
        | {entry.id: replace(before[entry.id], is_active=True, raw=entry.raw) for entry in plan.reactivated}
        | {entry.id: Belief(entry.version, True, None if is_bootstrap else entry.raw) for entry in plan.added}
        | {
            entry.id: Belief(entry.version, True, entry.raw, dict(plan.held.get(entry.id, {})))
            for entry in plan.altered
        }
        | {model_id: replace(before[model_id], is_active=False) for model_id in plan.deactivated}
    )
    _believe(connection, before, beliefs, run_id, known_at)
    if plan.added:
        rows = [_row(entry, at, {}, is_bootstrap) | {"is_active": True, "first_seen_at": at} for entry in plan.added]
        connection.execute(model_catalog.insert(), rows)
    if plan.altered:
        held = [plan.held.get(entry.id, {}) for entry in plan.altered]
        connection.execute(
            _UPDATE,
            [_row(it, at, its, is_bootstrap) | {"of": it.id} for it, its in zip(plan.altered, held, strict=True)],
        )
    if plan.refreshed:
        refreshed = [(entry, plan.held.get(entry.id, {})) for entry in plan.refreshed]
        connection.execute(_UPDATE, [_served_columns(entry, at, held) | {"of": entry.id} for entry, held in refreshed])
    if plan.reactivated:
        connection.execute(_REACTIVATE, [{"of": entry.id} for entry in plan.reactivated])
    if plan.deactivated:
        gone = [
            {"of": key, "seen": last_seen_at(before[key].version.model), "at": at} for key in plan.deactivated
        ]  # fmt: skip
        connection.execute(_DEACTIVATE, gone)
    return beliefs


def rows(connection: sa.Connection) -> dict[str, Row]:
    """Every row of `model_catalog`, whole."""
    c = model_catalog.c
    chosen = sa.select(
        c.id, c.is_active, c.raw, c.flags, c.held, c.pricing, c.prompt_price, c.completion_price, c.first_seen_at,
        c.last_seen_at, c.deactivated_at, *versions.DOCUMENT,
    ).select_from(model_catalog)  # fmt: skip
    found = connection.execute(versions.with_documents(chosen, c.version).order_by(c.id)).all()
    return {
        row.id: Row(
            record=Record(content, b"" if row.raw is None else row.raw.encode(), tuple(row.flags)),
            is_active=row.is_active,
            first_seen_at=row.first_seen_at,
            last_seen_at=row.last_seen_at,
            deactivated_at=row.deactivated_at,
            prompt=row.prompt_price,
            completion=row.completion_price,
            pricing=row.pricing.encode(),
            held=_held(row.held),
        )
        for row, content in zip(found, versions.read(found), strict=True)
    }


def row_of(record: Record, *, is_active: bool, at: datetime, first_seen_at: datetime,
           last_seen_at: datetime | None = None, deactivated_at: datetime | None = None) -> Row:  # fmt: skip
    """The row of a served record, nothing held."""
    prompt, completion = record.model.headline(at)
    return Row(
        record, is_active, first_seen_at, last_seen_at, deactivated_at, prompt, completion, _pricing(record, {}), {}
    )  # fmt: skip


def restore(
    connection: sa.Connection, wanted: Mapping[str, Row], *, run_id: int, known_at: datetime
) -> dict[str, Belief]:
    """Put rows into `model_catalog` as they are; only those that differ are written. Returns what is believed then."""
    before = rows(connection)
    changed = {model_id: row for model_id, row in wanted.items() if before.get(model_id) != row}
    versions.keep(connection, (row.record.version for row in changed.values()))
    _believe(
        connection,
        {model_id: row.belief for model_id, row in before.items()},
        {model_id: row.belief for model_id, row in changed.items()},
        run_id,
        known_at,
    )
    columns = [_columns(row) for row in changed.values()]
    if new := [row for row in columns if row["id"] not in before]:
        connection.execute(model_catalog.insert(), new)
    if old := [row | {"of": row["id"]} for row in columns if row["id"] in before]:
        connection.execute(_UPDATE, old)
    return {model_id: row.belief for model_id, row in (before | changed).items()}


def _believe(
    connection: sa.Connection,
    before: Mapping[str, Belief],
    beliefs: Mapping[str, Belief],
    run_id: int,
    known_at: datetime,
) -> None:
    """Write beliefs that differ from those before in more than the record's bytes."""
    news = {
        model_id: belief
        for model_id, belief in beliefs.items()
        if (was := before.get(model_id)) is None
        or (was.is_active, was.version, was.held) != (belief.is_active, belief.version, belief.held)
    }
    if not news:
        return
    if ended := [{"of": model_id, "at": known_at} for model_id in news if model_id in before]:
        connection.execute(_END_BELIEF, ended)
    begun = [
        {
            "model_id": model_id,
            "known_from": known_at,
            "is_active": belief.is_active,
            "version": belief.version.digest,
            "run_id": run_id,
            "held": _held_json(belief.held),
        }
        for model_id, belief in news.items()
    ]
    connection.execute(model_belief.insert(), begun)


def _row(entry: Record, at: datetime, held: Mapping[str, Held], is_bootstrap: bool) -> dict[str, Any]:
    """A model's row, but for when it was seen."""
    return _content_columns(entry) | _served_columns(entry, at, held, is_bootstrap)


def _columns(row: Row) -> dict[str, Any]:
    """A row as columns."""
    return _content_columns(row.record) | _price_columns(row.prompt, row.completion) | {
        "is_active": row.is_active,
        "first_seen_at": row.first_seen_at,
        "last_seen_at": row.last_seen_at,
        "deactivated_at": row.deactivated_at,
        "pricing": row.pricing,
        "raw": row.record.raw or None,
        "flags": row.record.flags,
        "held": _held_json(row.held),
    }  # fmt: skip


def _content_columns(entry: Record) -> dict[str, Any]:
    """What a model's version says."""
    return content_of(entry.model) | {"version": entry.version.digest}


def content_of(model: Model) -> dict[str, Any]:
    """The columns that follow from a model alone, whenever and however it was listed."""
    identity = model.identity
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
        "input_modalities": list(model.input_modalities),
        "output_modalities": list(model.output_modalities),
        "supported_parameters": list(model.supported_parameters),
        "tokenizer": model.tokenizer,
        "pricing_kind": model.pricing_kind,
        "is_scheduled": model.pricing.is_scheduled,
        "expiration_date": model.expiration_date,
    }


def _served_columns(
    entry: Record, at: datetime, held: Mapping[str, Held], is_bootstrap: bool = False
) -> dict[str, Any]:
    """What follows the record's bytes, changed or not."""
    return _price_columns(*entry.model.headline(at)) | {
        "pricing": _pricing(entry, held),
        # a bootstrap's facts are not a record that was served
        "raw": None if is_bootstrap else entry.raw,
        "flags": entry.flags,
        "held": _held_json(held),
    }


def _price_columns(prompt: Decimal | None, completion: Decimal | None) -> dict[str, Any]:
    return {
        "prompt_price": prompt,
        "completion_price": completion,
        "prompt_price_per_million": None if prompt is None else float(per_million(prompt)),
        "completion_price_per_million": None if completion is None else float(per_million(completion)),
    }


class _Priced(msgspec.Struct):
    pricing: msgspec.Raw = msgspec.Raw(b"{}")


_PRICED = msgspec.json.Decoder(_Priced)


def _pricing(entry: Record, held: Collection[str]) -> bytes:
    """The prices as served; a held one as it is believed."""
    if PRICING in held:
        return msgspec.json.encode(served_pricing(entry.model))
    served = bytes(_PRICED.decode(entry.raw).pricing)
    units = [name.removeprefix(f"{PRICING}.") for name in held if name.startswith(f"{PRICING}.")]
    if not units:
        return served
    prices = msgspec.json.decode(served)
    for unit in units:
        prices.pop(unit, None)
        if (rate := entry.model.pricing.rate(unit)) is not None:
            prices[unit] = plain(rate)
    return msgspec.json.encode(prices)


def served_pricing(model: Model) -> dict[str, Any]:
    """A model's pricing in the shape in which OpenRouter serves it."""
    document = pricing_document(model.pricing)
    if "overrides" in document:
        document["overrides"] = [entry["when"] | entry["rates"] for entry in document["overrides"]]
    return document
