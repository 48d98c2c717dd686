"""Raw upstream bodies: content-addressed, compressed, verified; and the captures that brought them.

A body is one Zstandard frame, patched against the body of the capture next to it in time, since a list is most like the
one before it, in whatever order they come in. A read never applies more patches than `KEY_FRAME_EVERY`.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from llmhive.catalog.feed import Scope
from llmhive.errors import StoreError
from llmhive.store.alerts import IS_UNCONFIRMED
from llmhive.store.tables import body, capture, catalog_state, model_catalog, sync_run

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

KEY_FRAME_EVERY = 32
_LEVEL = 3
#: at least 2**21, so that the window holds a body and the one it is patched against
_SMALLEST_WINDOW = 21
#: What served history is made of.
IN_HISTORY = capture.c.state.in_(("applied", "accepted"))
#: A list that was refused or held is like no other.
_IN_SCOPE = (
    sa.select(capture.c.fetched_at, capture.c.digest)
    .where(capture.c.scope == sa.bindparam("of"), capture.c.state.in_(("applied", "accepted", "kept")))
    .limit(1)
)
_BEFORE = _IN_SCOPE.where(capture.c.fetched_at <= sa.bindparam("at")).order_by(capture.c.fetched_at.desc())
_AFTER = _IN_SCOPE.where(capture.c.fetched_at > sa.bindparam("at")).order_by(capture.c.fetched_at)
_STORED = sa.select(body.c.id).where(body.c.digest == sa.bindparam("of"))


@dataclass(frozen=True, slots=True)
class Capture:
    """One answer of OpenRouter."""

    fetched_at: datetime
    source: str  #: where from: a base URL, or a file
    scope: Scope
    digest: str  #: SHA-256 of the body
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class _Stored:
    digest: str
    depth: int
    content: bytes


class Captures:
    """Keeps the bodies and captures of one run; remembers the body stored last, to patch the next one against it."""

    def __init__(self) -> None:
        self._last: _Stored | None = None

    def keep(self, connection: sa.Connection, taken: Capture, content: bytes | None, run_id: int, state: str) -> None:
        """Write a capture, and its body unless it is stored already (``content`` None: it is)."""
        if content is not None:
            self.keep_body(connection, taken.digest, content, _next_to(connection, taken.scope, taken.fetched_at))
        connection.execute(
            capture.insert(),
            {
                "fetched_at": taken.fetched_at,
                "source": taken.source,
                "scope": taken.scope,
                "digest": taken.digest,
                "run_id": run_id,
                "etag": taken.etag,
                "last_modified": taken.last_modified,
                "state": state,
            },
        )

    def keep_body(self, connection: sa.Connection, digest: str, content: bytes, like: str | None) -> None:
        """Store bytes under their digest (SHA-256), unless they are stored already; `like` is a body they resemble."""
        if connection.execute(_STORED, {"of": digest}).first():
            return
        base = None if like is None else self._base(connection, like)
        depth = base.depth + 1 if base else 0
        connection.execute(
            body.insert(),
            {
                "digest": digest,
                "size": len(content),
                "base": base.digest if base else None,
                "depth": depth,
                "data": compress(content, base.content if base else None),
            },
        )
        self._last = _Stored(digest, depth, content)

    def _base(self, connection: sa.Connection, digest: str) -> _Stored | None:
        """A body to patch another one against; None where its chain is long enough."""
        if self._last is not None and self._last.digest == digest:
            return self._last if self._last.depth + 1 < KEY_FRAME_EVERY else None
        depth = connection.execute(sa.select(body.c.depth).where(body.c.digest == digest)).scalar_one()
        if depth + 1 >= KEY_FRAME_EVERY:
            return None
        try:
            return _Stored(digest, depth, read_body(connection, digest))
        except StoreError:
            # a base only makes the next body smaller: damage, which `llmhive doctor` reports, must not stop the sync
            return None


def _next_to(connection: sa.Connection, scope: Scope, at: datetime) -> str | None:
    """The digest of the good capture of a scope that is next to an instant."""
    before = connection.execute(_BEFORE, {"of": scope, "at": at}).first()
    if before is not None and before.fetched_at == at:
        return str(before.digest)
    after = connection.execute(_AFTER, {"of": scope, "at": at}).first()
    found = [row for row in (before, after) if row is not None]
    return min(found, key=lambda row: abs(row.fetched_at - at)).digest if found else None


class Reader:
    """Reads bodies one after the other; where one is a patch of the last, it costs one patch."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._last: tuple[str, bytes] | None = None

    def read(self, digest: str) -> bytes:
        """As `read_body`."""
        if self._last is None or self._last[0] != digest:
            self._last = digest, read_body(self._connection, digest, self._last)
        return self._last[1]


def is_fetched(connection: sa.Connection, digest: str, at: datetime) -> bool:
    """Whether a body was fetched at an instant, and is part of history."""
    c = capture.c
    chosen = sa.select(c.id).where(c.digest == digest, c.fetched_at == at, IN_HISTORY).limit(1)
    return connection.execute(chosen).first() is not None


def read_body(connection: sa.Connection, digest: str, known: tuple[str, bytes] | None = None) -> bytes:
    """The raw bytes of a body; raises `StoreError` where they are not what was stored. `known` is a body at hand."""
    frames = []
    wanted: str | None = digest
    while wanted is not None and (known is None or wanted != known[0]):
        row = connection.execute(sa.select(body.c.base, body.c.data).where(body.c.digest == wanted)).first()
        if row is None:
            raise StoreError(f"The database holds no body {wanted}.")
        frames.append(bytes(row.data))
        wanted = row.base
    content = None if known is None or wanted is None else known[1]
    try:
        for frame in reversed(frames):
            content = decompress(frame, content)
    except zstd.ZstdError as error:
        raise StoreError(f"The body {digest} in the database is damaged: {error}. Restore a backup.") from error
    if content is None or hashlib.sha256(content).hexdigest() != digest:
        raise StoreError(f"The body {digest} in the database is damaged: its digest differs. Restore a backup.")
    return content


def compress(content: bytes, base: bytes | None) -> bytes:
    """One Zstandard frame; a patch where there is a base."""
    window = max(_SMALLEST_WINDOW, (len(content) + len(base or b"")).bit_length())
    options: dict[int, int] = {
        zstd.CompressionParameter.compression_level: _LEVEL,
        zstd.CompressionParameter.window_log: min(window, zstd.CompressionParameter.window_log.bounds()[1]),
    }
    if base is None:
        return zstd.compress(content, options=options)
    # a base is longer than the tables of this level remember
    options[zstd.CompressionParameter.enable_long_distance_matching] = 1
    return zstd.compress(content, options=options, zstd_dict=zstd.ZstdDict(base, is_raw=True).as_prefix)


def decompress(frame: bytes, base: bytes | None) -> bytes:
    """The content of a frame, given the base it is a patch of."""
    options: dict[int, int] = {
        zstd.DecompressionParameter.window_log_max: zstd.DecompressionParameter.window_log_max.bounds()[1]
    }
    if base is None:
        return zstd.decompress(frame, options=options)
    return zstd.decompress(frame, options=options, zstd_dict=zstd.ZstdDict(base, is_raw=True).as_prefix)


def newest_digest(connection: sa.Connection) -> str | None:
    """The digest of the body stored last."""
    return connection.execute(sa.select(body.c.digest).order_by(body.c.id.desc()).limit(1)).scalar()


def last_applied(connection: sa.Connection, scope: Scope | None = None) -> Capture | None:
    """The newest applied capture, of a scope or of any."""
    found = newest_filed(connection, scope)
    return None if found is None else found.capture


@dataclass(frozen=True, slots=True)
class Known:
    """What a sync must know of earlier answers before it asks."""

    last: Capture | None = None  #: the newest applied one of the scope
    models_seen: int = 0  #: in it
    unreadable: int = 0  #: in it
    is_held: bool = False  #: whether a held one of the scope waits
    has_held_values: bool = False  #: whether a value of some model is held
    is_pinned: bool = False
    is_moved: bool = False  #: whether belief was moved by hand since the last sync
    has_unconfirmed: bool = False  #: whether an alert waits for a second sync
    newest_at: datetime | None = None  #: when the newest of any scope was fetched, whatever became of it
    catalog_version: int = 0
    source: str | None = None  #: of the catalog
    decoder: int | None = None  #: that read the catalog's records


_LAST_WITH_RUN = (
    sa.select(capture, sync_run.c.models_seen, sync_run.c.unreadable)
    .join(sync_run, sync_run.c.id == capture.c.run_id)
    .where(IN_HISTORY, capture.c.scope == sa.bindparam("of"))
    .order_by(capture.c.fetched_at.desc(), capture.c.id.desc())
    .limit(1)
)
_REST = sa.select(
    sa.exists().where(capture.c.scope == sa.bindparam("of"), capture.c.state == "held").label("is_held"),
    sa.select(sa.func.max(capture.c.fetched_at)).scalar_subquery().label("newest_at"),
    sa.select(catalog_state.c.catalog_version).scalar_subquery().label("catalog_version"),
    sa.select(catalog_state.c.source).scalar_subquery().label("source"),
    sa.select(catalog_state.c.decoder).scalar_subquery().label("decoder"),
    sa.select(catalog_state.c.pinned).scalar_subquery().label("pinned"),
    sa.select(catalog_state.c.is_moved).scalar_subquery().label("is_moved"),
    sa.exists().where(model_catalog.c.held.is_not(None)).label("has_held_values"),
    sa.exists().where(IS_UNCONFIRMED).label("has_unconfirmed"),
)


def known(connection: sa.Connection, scope: Scope) -> Known:
    """What is known of earlier answers; two statements, since an unchanged sync is to cost little."""
    row = connection.execute(_LAST_WITH_RUN, {"of": scope}).first()
    rest = connection.execute(_REST, {"of": scope}).one()
    return Known(
        last=None if row is None else _capture(row),
        models_seen=0 if row is None else row.models_seen,
        unreadable=0 if row is None else row.unreadable,
        is_held=bool(rest.is_held),
        has_held_values=bool(rest.has_held_values),
        is_pinned=rest.pinned is not None,
        is_moved=bool(rest.is_moved),
        has_unconfirmed=bool(rest.has_unconfirmed),
        newest_at=rest.newest_at,
        catalog_version=rest.catalog_version or 0,
        source=rest.source,
        decoder=rest.decoder,
    )


def _capture(row: Any) -> Capture:
    return Capture(row.fetched_at, row.source, row.scope, row.digest, row.etag, row.last_modified)


def last_served(connection: sa.Connection, scope: Scope, digest: str) -> datetime | None:
    """When a body was served last; None: never."""
    chosen = sa.select(sa.func.max(capture.c.fetched_at)).where(
        IN_HISTORY, capture.c.scope == scope, capture.c.digest == digest
    )
    return connection.execute(chosen).scalar()


@dataclass(frozen=True, slots=True)
class Filed:
    """A capture as the database keeps it."""

    id: int
    run_id: int
    state: str
    capture: Capture


def filed(
    connection: sa.Connection, *states: str, since: datetime | None = None, run_id: int | None = None
) -> list[Filed]:
    """The captures in some states, in the order of history: by time, then digest."""
    chosen = sa.select(capture).where(capture.c.state.in_(states))
    if since is not None:
        chosen = chosen.where(capture.c.fetched_at >= since)
    if run_id is not None:
        chosen = chosen.where(capture.c.run_id == run_id)
    rows = connection.execute(chosen.order_by(capture.c.fetched_at, capture.c.digest, capture.c.id))
    return [Filed(row.id, row.run_id, row.state, _capture(row)) for row in rows]


def newest_filed(connection: sa.Connection, scope: str | None, *, before: datetime | None = None) -> Filed | None:
    """The newest capture that is in history: of a scope or of any, before an instant or of all."""
    conditions = [*([capture.c.scope == scope] if scope else []), *([capture.c.fetched_at < before] if before else [])]
    row = connection.execute(
        sa.select(capture)
        .where(IN_HISTORY, *conditions)
        .order_by(capture.c.fetched_at.desc(), capture.c.id.desc())
        .limit(1)
    ).first()
    return None if row is None else Filed(row.id, row.run_id, row.state, _capture(row))


def set_state(connection: sa.Connection, before: str, after: str, *, capture_id: int | None = None) -> None:
    """Move captures from one state to another: one, or all."""
    change = capture.update().where(capture.c.state == before).values(state=after)
    connection.execute(change if capture_id is None else change.where(capture.c.id == capture_id))


def hand_over(connection: sa.Connection, capture_id: int, run_id: int) -> None:
    """Make a capture another run's."""
    connection.execute(capture.update().where(capture.c.id == capture_id).values(run_id=run_id))


def taken_before(connection: sa.Connection) -> set[tuple[datetime, str, str]]:
    """Time, scope and digest of every capture there is, whatever became of it."""
    rows = connection.execute(sa.select(capture.c.fetched_at, capture.c.scope, capture.c.digest))
    return {(row.fetched_at, row.scope, row.digest) for row in rows}


def supersede_held(connection: sa.Connection, scope: Scope, *, before: datetime | None = None) -> None:
    """Held captures of a scope stop waiting: a newer answer came, fetched at `before` where not all are older."""
    change = capture.update().where(capture.c.scope == scope, capture.c.state == "held").values(state="superseded")
    connection.execute(change if before is None else change.where(capture.c.fetched_at < before))


def is_anything_held(connection: sa.Connection, scope: Scope) -> bool:
    """Whether a held capture of a scope waits."""
    waiting = sa.select(capture.c.id).where(capture.c.scope == scope, capture.c.state == "held").limit(1)
    return connection.execute(waiting).first() is not None
