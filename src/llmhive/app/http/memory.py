"""Answers from memory: bytes made once per version of the catalog.

An `Answer` is JSON in two parts: ``{"catalog_age_seconds":N,`` moves with the clock and is made once a second, the rest
is made once. So is its compressed form: a gzip stream may begin with a block that is not compressed, and goes on with
the rest as it was compressed once.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from llmhive.app.http import parameters
from llmhive.app.live import Live
from llmhive.catalog.model import instant
from llmhive.catalog.view import View

_encode = msgspec.json.Encoder().encode
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
#: Shorter answers are not worth it.
_WORTH_PACKING = 1000
#: Lists kept per version: so many, and so many bytes.
_KEPT, _KEPT_BYTES = 500, 64 * 1024 * 1024
_EMPTY = View()


class Answer:
    """One answer's bytes, but for how they begin."""

    __slots__ = ("_packed", "etag", "rest")

    def __init__(self, rest: bytes, etag: bytes) -> None:
        """`rest` is a JSON object without its opening brace."""
        self.rest = rest
        self.etag = etag
        self._packed: bytes | None = None

    def packed(self, begin: bytes) -> bytes | None:
        """It all as gzip; None where that is not worth it."""
        if len(self.rest) < _WORTH_PACKING:
            return None
        if self._packed is None:
            packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
            self._packed = packer.compress(self.rest) + packer.flush()
        length = len(begin)
        return b"".join((
            _GZIP_HEAD, struct.pack("<BHH", 0, length, length ^ 0xFFFF), begin, self._packed,
            struct.pack("<II", zlib.crc32(self.rest, zlib.crc32(begin)), (length + len(self.rest)) & 0xFFFFFFFF),
        ))  # fmt: skip


@lru_cache(maxsize=256)
def accepts_gzip(header: bytes) -> bool:
    """Whether an Accept-Encoding lets us compress."""
    chosen: dict[bytes, float] = {}
    for part in header.lower().split(b","):
        name, _, options = part.partition(b";")
        _, _, weight = options.partition(b"q=")
        try:
            chosen[name.strip()] = float(weight) if weight else 1.0
        except ValueError:
            chosen[name.strip()] = 0.0
    return chosen.get(b"gzip", chosen.get(b"*", 0.0)) > 0


def is_known(header: bytes, etag: bytes) -> bool:
    """Whether an If-None-Match names an ETag; compared weakly."""
    if header.strip() == b"*":
        return True
    mark = etag.removeprefix(b"W/")
    return any(part.strip().removeprefix(b"W/") == mark for part in header.split(b","))


class Memory:
    """Answers of the newest view; for one thread, the event loop's."""

    def __init__(self, live: Live, *, seconds: Callable[[], float]) -> None:
        """`seconds` is the wall clock, as `time.time`."""
        self._live = live
        self._seconds = seconds
        self._view = _EMPTY
        self._etag = b""
        self._second = -1
        self._begin = b""
        self._models: dict[str, Answer] = {}
        self._lists: dict[bytes, Answer] = {}
        self._list_bytes = 0

    @property
    def is_ready(self) -> bool:
        """Whether there is a view: a service that started while the database was away has none yet."""
        return self._live.view is not None

    @property
    def view(self) -> View:
        """The newest view; what was kept of an older one is forgotten."""
        view = self._live.view or _EMPTY
        if view is not self._view:
            self._view = view
            self._etag = b'W/"%d"' % view.catalog_version
            self._second = -1
            self._models, self._lists, self._list_bytes = {}, {}, 0
        return view

    def begin(self) -> bytes:
        """How every answer begins: with the age of the catalog."""
        view, second = self.view, int(self._seconds())
        if second != self._second:
            age = None if view.as_of is None else max(second - int(view.as_of.timestamp()), 0)
            self._begin = b'{"catalog_age_seconds":' + _encode(age) + b","
            self._second = second
        return self._begin

    def model(self, name: str) -> Answer | None:
        """One model; None where there is none of that name."""
        view = self.view
        if (known := self._models.get(name)) is not None:
            return known
        entry = view.find(name)
        if entry is None:
            return None
        seen = view.seen[1:] if entry.is_active else b""
        answer = Answer(b'"catalog_version":%d,' % view.catalog_version + seen + entry.whole, self._etag)
        # under its own name only: there are as many other names as people can write
        if name == entry.id:
            self._models[name] = answer
        return answer

    def models(self, query_string: bytes) -> Answer | None:
        """A list; None where it is one of the past. Raises `BadParameter`."""
        view = self.view
        if (known := self._lists.get(query_string)) is not None:
            return known
        wish = parameters.read(query_string)
        if wish.as_of is not None or wish.known_at is not None:
            return None
        found, total = view.choose(wish.query)
        facts = _encode({"total": total, "limit": wish.query.limit, "offset": wish.query.offset, **facts_of(view)})
        answer = Answer(facts[1:-1] + b',"data":[' + b",".join(found) + b"]}", self._etag)
        self._keep(query_string, answer)
        return answer

    def families(self) -> Answer:
        """The families."""
        view = self.view
        if (known := self._lists.get(b" families")) is None:
            found = view.families
            document = {"data": found, "total": len(found), **facts_of(view)}
            known = self._lists[b" families"] = Answer(_encode(document)[1:], self._etag)
        return known

    def _keep(self, query_string: bytes, answer: Answer) -> None:
        size = 2 * len(answer.rest)
        if len(self._lists) >= _KEPT or self._list_bytes + size > _KEPT_BYTES:
            self._lists, self._list_bytes = {}, 0
        self._lists[query_string] = answer
        self._list_bytes += size


def facts_of(view: View) -> dict[str, Any]:
    """What every answer says of the catalog, beside its age."""
    return {
        "catalog_version": view.catalog_version,
        "as_of": None if view.as_of is None else instant(view.as_of),
        "source": view.source,
    }
