"""The read side of `model_catalog`: filters, sorts, pages, one model, near names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, get_args

import sqlalchemy as sa

from llmhive.catalog.model import Model, from_document
from llmhive.errors import UsageError
from llmhive.store.tables import model_catalog, version

Sort = Literal["id", "name", "newest", "context", "output", "prompt", "completion"]
SORTS: tuple[Sort, ...] = get_args(Sort)

_c = model_catalog.c
_KEYS: dict[str, sa.ColumnElement[Any]] = {
    "id": _c.id,
    "name": sa.func.lower(_c.name),
    "newest": _c.created_at,
    "context": _c.context_length,
    "output": _c.max_completion_tokens,
    "prompt": _c.prompt_price_per_million,
    "completion": _c.completion_price_per_million,
}
#: What people want to see first is the most of these.
_DESCENDING = frozenset({"newest", "context", "output"})


@dataclass(frozen=True, slots=True)
class Query:
    """Which models, in what order; all conditions must hold. A value that is unknown meets no limit."""

    text: str | None = None  #: part of the id, the slug or the name, in any case
    author: str | None = None
    family: str | None = None  #: ``author/stem``, or the stem alone
    variant: str | None = None
    kind: str | None = None  #: ``fixed``, ``free``, ``dynamic``, ``unknown``
    inputs: tuple[str, ...] = ()  #: modalities it must take
    outputs: tuple[str, ...] = ()  #: modalities it must give
    parameters: tuple[str, ...] = ()  #: parameters it must support, e.g. ``tools``
    min_context: int | None = None  #: tokens
    min_output: int | None = None  #: tokens
    max_prompt: float | None = None  #: USD per million tokens
    max_completion: float | None = None  #: USD per million tokens
    active: bool | None = True  #: None: both
    new_since: datetime | None = None  #: added to OpenRouter since
    expiring_before: date | None = None
    sort: Sort = "id"
    reverse: bool = False
    limit: int | None = None
    offset: int = 0


def models(connection: sa.Connection, query: Query) -> tuple[list[dict[str, Any]], int]:
    """A page of rows, and how many there are in all. Unknown values sort last, ties by id."""
    if query.sort not in _KEYS:
        raise UsageError(f"Cannot sort by {query.sort!r}. Choose one of {', '.join(SORTS)}.")
    conditions = _conditions(query)
    total = connection.execute(sa.select(sa.func.count()).select_from(model_catalog).where(*conditions)).scalar_one()
    key = _KEYS[query.sort]
    down = (query.sort in _DESCENDING) != query.reverse
    chosen = (
        sa.select(model_catalog)
        .where(*conditions)
        .order_by(key.is_(None), key.desc() if down else key, _c.id)
        .offset(query.offset)
        .limit(query.limit)
    )
    return [dict(row) for row in connection.execute(chosen).mappings()], total


def _conditions(query: Query) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if query.active is not None:
        found.append(_c.is_active.is_(query.active))
    for word in (query.text or "").split():
        found.append(
            sa.or_(
                *(sa.func.lower(c).contains(word.lower(), autoescape=True) for c in (_c.id, _c.canonical_slug, _c.name))
            )
        )
    for column, value in ((_c.author, query.author), (_c.variant, query.variant), (_c.pricing_kind, query.kind)):
        if value is not None:
            found.append(column == value)
    if query.family is not None:
        found.append(
            _c.family == query.family
            if "/" in query.family
            else _c.family.endswith("/" + query.family, autoescape=True)
        )
    for column, members in (
        (_c.input_modalities, query.inputs),
        (_c.output_modalities, query.outputs),
        (_c.supported_parameters, query.parameters),
    ):
        # JSON lists of plain words: a quoted word is a member, on both databases
        found += [sa.cast(column, sa.Text).contains(f'"{member}"', autoescape=True) for member in members]
    for column, least in ((_c.context_length, query.min_context), (_c.max_completion_tokens, query.min_output)):
        if least is not None:
            found.append(column >= least)
    for column, most in (
        (_c.prompt_price_per_million, query.max_prompt),
        (_c.completion_price_per_million, query.max_completion),
    ):
        if most is not None:
            found.append(column <= most)
    if query.new_since is not None:
        found.append(_c.created_at >= query.new_since)
    if query.expiring_before is not None:
        found.append(_c.expiration_date <= query.expiring_before)
    return found


def model(connection: sa.Connection, model_id: str) -> dict[str, Any] | None:
    """One row with its document, active or not."""
    chosen = sa.select(model_catalog, version.c.document).join(version, version.c.digest == _c.version)
    row = connection.execute(chosen.where(_c.id == model_id)).mappings().first()
    return None if row is None else dict(row)


def meant_by(connection: sa.Connection, name: str) -> str | None:
    """The id that a name means: in another case, as a canonical slug (its base row), or without its author."""
    wanted = name.casefold()
    chosen = sa.select(_c.id).order_by(_c.is_active.desc(), _c.variant.is_not(None), _c.id)
    for condition in (sa.func.lower(_c.id) == wanted, sa.func.lower(_c.canonical_slug) == wanted):
        found: str | None = connection.execute(chosen.where(condition)).scalars().first()
        if found is not None:
            return found
    bare = sa.func.lower(_c.id).endswith(f"/{wanted}", autoescape=True)
    meant = [] if "/" in wanted else list(connection.execute(chosen.where(bare)).scalars())
    return meant[0] if len(meant) == 1 else None


def ids(connection: sa.Connection) -> list[tuple[str, bool]]:
    """Every id ever seen, and whether it is active."""
    return [(row.id, row.is_active) for row in connection.execute(sa.select(_c.id, _c.is_active).order_by(_c.id))]


def active_models(connection: sa.Connection) -> list[Model]:
    """The active models as values, by id."""
    chosen = sa.select(version.c.document).join(model_catalog, _c.version == version.c.digest)
    documents = connection.execute(chosen.where(_c.is_active).order_by(_c.id)).scalars()
    return [from_document(document) for document in documents]
