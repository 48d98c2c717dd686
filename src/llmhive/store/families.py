"""`family`: what the ids of models say. How an id is read: `catalog/identity.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from llmhive.catalog.identity import Identity
from llmhive.store.tables import family, model_catalog

_UPDATE = family.update().where(family.c.model_id == sa.bindparam("of"))
_RENAME = (
    model_catalog.update().where(model_catalog.c.id == sa.bindparam("of")).values(family=sa.bindparam("becomes"))
)  # fmt: skip


def apply(connection: sa.Connection, identities: Mapping[str, Identity]) -> int:
    """Write what ids say where it is new or other than what stands; returns for how many models.

    `model_catalog.family` follows: rows that were written by earlier rules have the family of those until then.
    A model that is not given keeps what it has.
    """
    wanted = {model_id: _row(model_id, identity) for model_id, identity in identities.items()}
    before = {row["model_id"]: row for row in all_of(connection)}
    if new := [row for model_id, row in wanted.items() if model_id not in before]:
        connection.execute(family.insert(), new)
    other = [row for model_id, row in wanted.items() if before.get(model_id, row) != row]
    if other:
        connection.execute(_UPDATE, [row | {"of": row["model_id"]} for row in other])
    listed = connection.execute(sa.select(model_catalog.c.id, model_catalog.c.family)).all()
    renamed = {
        row.id: wanted[row.id]["family"]
        for row in listed
        if row.id in wanted and row.family != wanted[row.id]["family"]
    }
    if renamed:
        connection.execute(_RENAME, [{"of": model_id, "becomes": name} for model_id, name in renamed.items()])
    return len({row["model_id"] for row in (*new, *other)} | renamed.keys())


def all_of(connection: sa.Connection) -> list[dict[str, Any]]:
    """Every row, by the model's id."""
    rows = connection.execute(sa.select(family))
    # sorted here: databases differ in how they sort text
    return sorted((dict(row._mapping) for row in rows), key=lambda row: str(row["model_id"]))


def _row(model_id: str, identity: Identity) -> dict[str, Any]:
    return {
        "model_id": model_id,
        "family": identity.family,
        "author": identity.author,
        "generation": identity.generation,
        "size": identity.size,
        "edition": identity.edition,
        "release": identity.release,
        "variant": identity.variant,
        "is_fallback": identity.is_fallback,
    }
