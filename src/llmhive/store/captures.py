"""Raw upstream bodies: content-addressed, compressed, verified; and the captures that brought them.

A body is one Zstandard frame, patched against the body stored before it; one in `KEY_FRAME_EVERY` stands alone, so that
a read never applies more patches than that.
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
from llmhive.store.tables import body, capture, catalog_state, sync_run

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

KEY_FRAME_EVERY = 32
_LEVEL = 3
#: at least 2**21, so that the window holds a body and the one it is patched against
_SMALLEST_WINDOW = 21
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
    """Keeps the bodies and captures of one run; remembers the body stored last, to patch the next one against it.

    Only the running run stores bodies, so what it stored last is what was stored last.
    """

    def __init__(self) -> None:
        self._last: _Stored | None = None

    def keep(self, connection: sa.Connection, taken: Capture, content: bytes | None, run_id: int, state: str) -> None:
        """Write a capture, and its body unless it is stored already (``content`` None: it is)."""
        if content is not None:
            self._keep_body(connection, taken.digest, content)
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

    def _keep_body(self, connection: sa.Connection, digest: str, content: bytes) -> None:
        if connection.execute(_STORED, {"of": digest}).first():
            return
        last = self._last or self._newest(connection)
        base = last if last is not None and last.depth + 1 < KEY_FRAME_EVERY else None
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

    @staticmethod
    def _newest(connection: sa.Connection) -> _Stored | None:
        newest = connection.execute(sa.select(body.c.digest, body.c.depth).order_by(body.c.id.desc()).limit(1)).first()
        if newest is None:
            return None
        try:
            return _Stored(newest.digest, newest.depth, read_body(connection, newest.digest))
        except StoreError:
            # a base only makes the next body smaller: damage, which `llmhive doctor` reports, must not stop the sync
            return None


def read_body(connection: sa.Connection, digest: str) -> bytes:
    """The raw bytes of a body; raises `StoreError` where they are not what was stored."""
    frames = []
    wanted: str | None = digest
    while wanted is not None:
        row = connection.execute(sa.select(body.c.base, body.c.data).where(body.c.digest == wanted)).first()
        if row is None:
            raise StoreError(f"The database holds no body {wanted}.")
        frames.append(bytes(row.data))
        wanted = row.base
    content: bytes | None = None
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
    found = connection.execute(
        sa.select(capture)
        .where(_APPLIED, *([capture.c.scope == scope] if scope else []))
        .order_by(capture.c.fetched_at.desc(), capture.c.id.desc())
        .limit(1)
    ).first()
    if found is None:
        return None
    return _capture(found)


@dataclass(frozen=True, slots=True)
class Known:
    """What a sync must know of earlier answers before it asks."""

    last: Capture | None = None  #: the newest applied one of the scope
    models_seen: int = 0  #: in it
    unreadable: int = 0  #: in it
    is_held: bool = False  #: whether a held one of the scope waits
    newest_at: datetime | None = None  #: when the newest of any scope was fetched, whatever became of it
    catalog_version: int = 0
    source: str | None = None  #: of the catalog
    decoder: int | None = None  #: that read the catalog's records


_APPLIED = capture.c.state.in_(("applied", "accepted"))
_LAST_WITH_RUN = (
    sa.select(capture, sync_run.c.models_seen, sync_run.c.unreadable)
    .join(sync_run, sync_run.c.id == capture.c.run_id)
    .where(_APPLIED, capture.c.scope == sa.bindparam("of"))
    .order_by(capture.c.fetched_at.desc(), capture.c.id.desc())
    .limit(1)
)
_REST = sa.select(
    sa.exists().where(capture.c.scope == sa.bindparam("of"), capture.c.state == "held").label("is_held"),
    sa.select(sa.func.max(capture.c.fetched_at)).scalar_subquery().label("newest_at"),
    sa.select(catalog_state.c.catalog_version).scalar_subquery().label("catalog_version"),
    sa.select(catalog_state.c.source).scalar_subquery().label("source"),
    sa.select(catalog_state.c.decoder).scalar_subquery().label("decoder"),
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
        newest_at=rest.newest_at,
        catalog_version=rest.catalog_version or 0,
        source=rest.source,
        decoder=rest.decoder,
    )


def _capture(row: Any) -> Capture:
    return Capture(row.fetched_at, row.source, row.scope, row.digest, row.etag, row.last_modified)


def supersede_held(connection: sa.Connection, scope: Scope) -> None:
    """Held captures of a scope stop waiting: a newer answer came."""
    connection.execute(
        capture.update().where(capture.c.scope == scope, capture.c.state == "held").values(state="superseded")
    )


def is_anything_held(connection: sa.Connection, scope: Scope) -> bool:
    """Whether a held capture of a scope waits."""
    waiting = sa.select(capture.c.id).where(capture.c.scope == scope, capture.c.state == "held").limit(1)
    return connection.execute(waiting).first() is not None
