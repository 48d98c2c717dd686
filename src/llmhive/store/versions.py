"""Contents: each a model ever had, kept once, and its description apart from it."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from llmhive.catalog.model import Version
from llmhive.store.tables import description, insert_new, version

#: As many names as a statement may hold on either database.
_AT_ONCE = 500
#: What a version is read with.
DOCUMENT = (version.c.digest, version.c.document, description.c.text)


def read(rows: Iterable[Any], cache: dict[str, Version] | None = None) -> list[Version]:
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


def keep(connection: sa.Connection, versions: Iterable[Version]) -> None:
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


def by_digest(
    connection: sa.Connection, digests: Iterable[str], cache: dict[str, Version] | None = None
) -> dict[str, Version]:
    """The versions of some digests, and whatever else the cache holds."""
    kept = {} if cache is None else cache
    wanted = sorted(set(digests) - kept.keys())
    for position in range(0, len(wanted), _AT_ONCE):
        chosen = sa.select(*DOCUMENT).select_from(version)
        joined = chosen.outerjoin(description, description.c.digest == version.c.description)
        read(connection.execute(joined.where(version.c.digest.in_(wanted[position : position + _AT_ONCE]))), kept)
    return kept
