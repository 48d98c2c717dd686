"""The read side of the catalog: its rows now and at any instant, one model, what can name them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from llmhive.catalog.model import Model, Version
from llmhive.catalog.names import Named, Names
from llmhive.catalog.pricing import plain
from llmhive.errors import NotFound
from llmhive.store import captures, catalog, history, prices, versions
from llmhive.store.catalog import State
from llmhive.store.tables import capture, description, model_catalog, served_version, version

_c = model_catalog.c
_BARE = [column for column in _c if column.name not in {"raw", "version"} and not column.name.endswith("per_million")]
_WHOLE = versions.with_documents(
    sa.select(model_catalog, version.c.document, description.c.text).select_from(model_catalog), _c.version
)
#: A content has one version, but these may change without it.
_FINGERPRINT = sa.select(
    _c.id, _c.version, _c.is_active, _c.raw, _c.pricing,
    *(sa.type_coerce(column, sa.Text) for column in (
        _c.first_seen_at, _c.last_seen_at, _c.deactivated_at, _c.prompt_price, _c.completion_price, _c.flags, _c.held
    )),
)  # fmt: skip
_HAS = sa.select(_c.id).where(_c.id == sa.bindparam("of"))
_LAST_APPLIED = sa.select(sa.func.max(capture.c.fetched_at)).where(captures.IN_HISTORY)
_AT_ONCE = 500


def rows(connection: sa.Connection, *, active: bool | None = None) -> list[dict[str, Any]]:
    """The rows of the catalog now, without the records as served."""
    chosen = sa.select(*_BARE)
    if active is not None:
        chosen = chosen.where(_c.is_active.is_(active))
    return [dict(row) for row in connection.execute(chosen).mappings()]


@dataclass(frozen=True, slots=True)
class Standing:
    """The catalog as a whole, and when it was true."""

    state: State
    as_of: datetime | None  #: None while empty


def standing(connection: sa.Connection) -> Standing:
    """How the catalog stands: the last applied answer, or the time of a bootstrap's facts or a restored snapshot."""
    state = catalog.state(connection)
    return Standing(state, state.source_at or connection.execute(_LAST_APPLIED).scalar())


def fingerprints(connection: sa.Connection) -> dict[str, tuple[Any, ...]]:
    """Per id what differs whenever its row does; as the database has it, since reading it as values takes long."""
    return {row[0]: tuple(row) for row in connection.execute(_FINGERPRINT)}


def whole_rows(connection: sa.Connection, ids: Collection[str] | None) -> Iterator[dict[str, Any]]:
    """Rows with their records as served and their documents; None: all."""
    if ids is None:
        yield from (dict(row) for row in connection.execute(_WHOLE).mappings())
        return
    wanted = sorted(ids)
    for position in range(0, len(wanted), _AT_ONCE):
        chosen = _WHOLE.where(_c.id.in_(wanted[position : position + _AT_ONCE]))
        yield from (dict(row) for row in connection.execute(chosen).mappings())


def rows_as_of(connection: sa.Connection, at: datetime, *, active: bool | None = None) -> list[dict[str, Any]]:
    """The rows of the catalog as OpenRouter served it at an instant; a scheduled price is that of the instant.

    `held` names the prices that the gate held then and nobody confirmed: they are shown as they were served.
    """
    return [row for row, _ in listed_at(connection, at, active=active)]


def listed_at(
    connection: sa.Connection, at: datetime, *, active: bool | None = None
) -> list[tuple[dict[str, Any], Model]]:
    """The rows of `rows_as_of`, each with the model it is of."""
    first, held = history.first_listed(connection), prices.held_at(connection, at)
    seen = history.covered(connection, at)
    found = []
    for model_id, since in history.as_of(connection, at, listed=active).items():
        listing = since.listing
        model = listing.version.model
        row = row_of(model, at, is_active=listing.is_listed)
        fields = {f"pricing.{unit}": {"served": _rate(model, unit, at)} for unit in held.get(model_id, ())}
        gone = None if listing.is_listed else since.at
        row |= {"first_seen_at": first.get(model_id), "last_seen_at": None if gone else seen, "deactivated_at": gone}
        found.append((row | {"held": fields or None}, model))
    return found


def rows_known_at(connection: sa.Connection, at: datetime, *, active: bool | None = None) -> list[dict[str, Any]]:
    """The rows of the catalog as it was believed at an instant; when models were seen is not part of it."""
    found = []
    for belief in catalog.known_at(connection, at, active=active).values():
        row = row_of(belief.version.model, at, is_active=belief.is_active)
        held = {name: value.to_json() for name, value in belief.held.items()}
        found.append(row | {"held": held or None})
    return found


def row_of(model: Model, at: datetime, *, is_active: bool) -> dict[str, Any]:
    """A model as a row of the catalog at an instant."""
    prompt, completion = model.headline(at)
    return catalog.content_of(model) | {
        "prompt_price": prompt,
        "completion_price": completion,
        "pricing": catalog.served_pricing(model),
        "is_active": is_active,
        "first_seen_at": None,
        "last_seen_at": None,
        "deactivated_at": None,
        "flags": [],
        "held": None,
    }


def _rate(model: Model, unit: str, at: datetime) -> str | None:
    rate = model.pricing.rate_at(unit, at)
    return None if rate is None else plain(rate)


def model(connection: sa.Connection, model_id: str) -> dict[str, Any]:
    """One row, of a model that there is, with its record as served and its document, active or not."""
    return dict(connection.execute(_WHOLE.where(_c.id == model_id)).mappings().one())


@dataclass(frozen=True, slots=True)
class WithHeld:
    """A model of which the gate holds values back."""

    id: str
    model: Model  #: as it is believed
    held: dict[str, dict[str, Any]]  #: field → {served, since, rule}


def held(connection: sa.Connection) -> list[WithHeld]:
    """The models of which the gate holds values back, by id."""
    chosen = sa.select(_c.id, _c.held, *versions.DOCUMENT).select_from(model_catalog)
    found = connection.execute(versions.with_documents(chosen, _c.version).where(_c.held.is_not(None)).order_by(_c.id))
    return [WithHeld(row.id, Version.stored(row.digest, row.document, row.text).model, row.held) for row in found]


def has(connection: sa.Connection, model_id: str) -> bool:
    """Whether there is a model of this very id, active or not."""
    # no id is anything else, and PostgreSQL refuses to be asked
    return model_id.isprintable() and connection.execute(_HAS, {"of": model_id}).first() is not None


def meant(connection: sa.Connection, name: str) -> str:
    """The id that a name means, as `Names.meant`; raises `NotFound`, saying why.

    An id means itself, and is looked up; to know all names takes many times as long.
    """
    if has(connection, name):
        return name
    known = Names(names(connection))
    found = known.meant(name)
    if found is None:
        raise NotFound(known.why_missing(name))
    return found


def is_served(connection: sa.Connection, model_id: str) -> bool:
    """Whether OpenRouter ever served a model of this id."""
    chosen = sa.select(served_version.c.id).where(served_version.c.model_id == model_id).limit(1)
    return model_id.isprintable() and connection.execute(chosen).first() is not None


def slugs_of(connection: sa.Connection, model_id: str) -> list[str]:
    """What rankings and benchmarks may call a model: its canonical slug, and its id."""
    slug = connection.execute(sa.select(_c.canonical_slug).where(_c.id == model_id)).scalar()
    return list(dict.fromkeys(it for it in (slug, model_id.partition(":")[0], model_id) if it))


def names(connection: sa.Connection) -> list[Named]:
    """What can name the models that were ever seen."""
    chosen = sa.select(_c.id, _c.canonical_slug, _c.variant, _c.is_active)
    return [Named(*row) for row in connection.execute(chosen)]


def records(connection: sa.Connection) -> list[bytes]:
    """The active models' records as served, by id; those of a bootstrap have none."""
    chosen = sa.select(_c.raw).where(_c.is_active, _c.raw.is_not(None)).order_by(_c.id)
    return [raw.encode() for raw in connection.execute(chosen).scalars()]


def active_models(connection: sa.Connection) -> list[Model]:
    """The active models as values, by id."""
    chosen = sa.select(*versions.DOCUMENT).select_from(model_catalog)
    joined = versions.with_documents(chosen, _c.version).where(_c.is_active).order_by(_c.id)
    return [it.model for it in versions.read(connection.execute(joined))]
