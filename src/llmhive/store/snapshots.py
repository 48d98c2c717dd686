"""Snapshots: named instants of belief, kept whole.

A snapshot's content is every row of `model_catalog` as JSON, stored like a body: compressed against
the one before, and verified by its digest when it is read. So going back restores the rows to the last byte.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import sqlalchemy as sa

from llmhive.catalog.feed import Record
from llmhive.catalog.hold import Held
from llmhive.catalog.model import instant
from llmhive.errors import Conflict, NotFound, UsageError
from llmhive.store import captures, catalog, versions
from llmhive.store.catalog import Row, State
from llmhive.store.tables import catalog_state, snapshot

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A name for an instant of belief."""

    name: str
    taken_at: datetime
    digest: str  #: of its content
    models: int  #: active ones
    catalog_version: int
    source: str | None
    source_at: datetime | None  #: when what it holds was true
    decoder: int | None
    note: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As scripts see it."""
        return {
            "name": self.name,
            "taken_at": instant(self.taken_at),
            "models": self.models,
            "catalog_version": self.catalog_version,
            "source": self.source,
            "as_of": None if self.source_at is None else instant(self.source_at),
            "note": self.note,
        }


class _Line(msgspec.Struct):
    """One row of `model_catalog`, as a snapshot keeps it."""

    id: str
    version: str
    is_active: bool
    first_seen_at: datetime
    last_seen_at: datetime | None
    deactivated_at: datetime | None
    prompt: Decimal | None
    completion: Decimal | None
    flags: tuple[str, ...]
    held: dict[str, dict[str, Any]]
    pricing: msgspec.Raw
    raw: msgspec.Raw  #: ``null`` for a bootstrap's facts


_WRITE = msgspec.json.Encoder(order="sorted")
_READ = msgspec.json.Decoder(list[_Line])
_NO_RECORD = b"null"


def check_name(name: str) -> str:
    """The name, if it can be one; raises `UsageError`. One that begins with a digit would be taken for a date."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name a snapshot. Begin with a letter; go on with letters, digits, '.', '_' or '-', "
            "64 at most."
        )
    return name


def take(connection: sa.Connection, name: str, *, at: datetime, note: str | None = None) -> Snapshot:
    """Keep what is believed under a name; raises `Conflict` where the name is taken."""
    check_name(name)
    if find(connection, name) is not None:
        raise Conflict(f"There is a snapshot {name!r} already. `llmhive snapshots` lists them; choose another name.")
    # nobody commits another catalog between the rows and what is said of them
    connection.execute(sa.select(catalog_state.c.id).with_for_update()).first()
    rows, state = catalog.rows(connection), catalog.state(connection)
    last = captures.last_applied(connection)
    content = b"[" + b",\n".join(_line(model_id, row) for model_id, row in sorted(rows.items())) + b"]"
    taken = Snapshot(
        name,
        at,
        hashlib.sha256(content).hexdigest(),
        sum(row.is_active for row in rows.values()),
        state.catalog_version,
        state.source,
        state.source_at or (last.fetched_at if last else None),
        state.decoder,
        note,
    )
    # most rows are as in the snapshot before; those of the first one hold the records of the newest body
    earlier = connection.execute(sa.select(snapshot.c.digest).order_by(snapshot.c.taken_at.desc()).limit(1)).scalar()
    captures.Captures().keep_body(connection, taken.digest, content, earlier or (last.digest if last else None))
    connection.execute(snapshot.insert(), {name: getattr(taken, name) for name in Snapshot.__slots__})
    return taken


def _line(model_id: str, row: Row) -> bytes:
    line = _Line(
        id=model_id,
        version=row.record.version.digest,
        is_active=row.is_active,
        first_seen_at=row.first_seen_at,
        last_seen_at=row.last_seen_at,
        deactivated_at=row.deactivated_at,
        prompt=row.prompt,
        completion=row.completion,
        flags=row.record.flags,
        held={name: held.to_json() for name, held in row.held.items()},
        pricing=msgspec.Raw(row.pricing),
        raw=msgspec.Raw(row.record.raw or _NO_RECORD),
    )
    return _WRITE.encode(line)


def all_of(connection: sa.Connection) -> list[Snapshot]:
    """Every snapshot, the newest first."""
    chosen = sa.select(snapshot).order_by(snapshot.c.taken_at.desc(), snapshot.c.name)
    return [_snapshot(row) for row in connection.execute(chosen)]


def find(connection: sa.Connection, name: str) -> Snapshot | None:
    """A snapshot by its name."""
    row = connection.execute(sa.select(snapshot).where(snapshot.c.name == name)).first()
    return None if row is None else _snapshot(row)


def get(connection: sa.Connection, name: str) -> Snapshot:
    """A snapshot by its name; raises `NotFound`, naming those there are."""
    found = find(connection, name)
    if found is None:
        names = [it.name for it in all_of(connection)][:8]
        hint = f"There are: {', '.join(names)}." if names else "`llmhive snapshot NAME` takes one."
        raise NotFound(f"There is no snapshot {name!r}. {hint}")
    return found


def _snapshot(row: Any) -> Snapshot:
    return Snapshot(**{name: getattr(row, name) for name in Snapshot.__slots__})


def read(connection: sa.Connection, taken: Snapshot) -> dict[str, Row]:
    """The rows that a snapshot keeps; raises `StoreError` where they are damaged."""
    lines = _READ.decode(captures.read_body(connection, taken.digest))
    found = versions.by_digest(connection, (line.version for line in lines))
    return {
        line.id: Row(
            record=Record(found[line.version], _raw(line), line.flags),
            is_active=line.is_active,
            first_seen_at=line.first_seen_at,
            last_seen_at=line.last_seen_at,
            deactivated_at=line.deactivated_at,
            prompt=line.prompt,
            completion=line.completion,
            pricing=bytes(line.pricing),
            held={name: Held.from_json(held) for name, held in line.held.items()},
        )
        for line in lines
    }


def _raw(line: _Line) -> bytes:
    raw = bytes(line.raw)
    return b"" if raw == _NO_RECORD else raw


def state_of(taken: Snapshot, now: State) -> State:
    """The state of the catalog once a snapshot is restored."""
    return State(
        catalog_version=now.catalog_version + 1,
        source=taken.source,
        source_at=taken.source_at,
        decoder=taken.decoder,
        pinned=now.pinned,
        is_moved=True,
    )
