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
from llmhive.version import VERSION

Headers = list[tuple[bytes, bytes]]
Pieces = tuple[bytes, ...]  #: of a body, in order
Whole = tuple[int, Headers, Pieces]  #: with the status
_encode = msgspec.json.Encoder().encode
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
#: Shorter answers are not worth it.
_WORTH_PACKING = 1000
#: From so many bytes on, copying costs more than sending two pieces.
_LONG = 16_000
#: Lists kept per version: so many, and so many bytes.
KEPT, KEPT_BYTES = 500, 64 * 1024 * 1024
#: Seconds for which what was read from the database is kept: failures and times of checks raise no version.
FRESH = 10.0
#: No query string holds a blank.
_FAMILIES = b" families"
_JSON = (b"content-type", b"application/json")
_GZIP = (b"content-encoding", b"gzip")
_REVALIDATE: Headers = [(b"cache-control", b"no-cache"), (b"vary", b"accept-encoding")]
_EMPTY = View()


class Answer:
    """One answer's bytes, but for how they begin."""

    __slots__ = ("_headers", "_last", "_packed", "etag", "rest")

    def __init__(self, rest: bytes, etag: bytes) -> None:
        """`rest` is a JSON object without its opening brace."""
        self.rest = rest
        self.etag = etag
        self._packed: bytes | None = None
        self._headers: Headers = [*_REVALIDATE, (b"etag", etag)]
        self._last: list[tuple[bytes, Whole] | None] = [None, None]

    def whole(self, begin: bytes, *, is_packed: bool) -> Whole:
        """All of it, packed where that is wished and worth it. The headers are not the caller's to change."""
        last = self._last[is_packed]
        # who asks in the same second
        if last is not None and last[0] is begin:
            return last[1]
        headers = [*self._headers, _JSON]
        if is_packed and (packed := self.packed(begin)) is not None:
            headers.append(_GZIP)
            pieces: Pieces = (packed,)
        else:
            # what is asked for again and again is copied once a second
            is_copied = last is not None or len(self.rest) < _LONG
            pieces = (begin + self.rest,) if is_copied else (begin, self.rest)
        headers.append((b"content-length", b"%d" % sum(map(len, pieces))))
        whole = 200, headers, pieces
        self._last[is_packed] = begin, whole
        return whole

    def unchanged(self) -> Headers:
        """The headers of a 304, not the caller's to change."""
        return self._headers

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


def respond(
    answer: Answer, begin: bytes, *, known: bytes | None, accepted: bytes | None
) -> tuple[int, Headers, Pieces]:
    """Status, headers and body of an answer, given If-None-Match and Accept-Encoding (None: not sent). The headers are
    not the caller's to change.
    """
    if known is not None and is_known(known, answer.etag):
        return 304, answer.unchanged(), (b"",)
    return answer.whole(begin, is_packed=accepted is not None and accepts_gzip(accepted))


class Kept:
    """What was made of one view; all of an answer comes from one of these."""

    def __init__(self, view: View, seconds: Callable[[], float]) -> None:
        self.view = view
        #: whether there is a view: a service that started while the database was away has none yet
        self.is_ready = view is not _EMPTY
        self._seconds = seconds
        self._etag = b'W/"%d-%s"' % (view.catalog_version, VERSION.encode())
        self._begun = (-1, b"")  #: one pair, since threads may ask at the same time
        self.known_models: dict[str, Answer] = {}  #: by id: those that were asked for
        self._lists: dict[bytes, Answer] = {}
        self._list_bytes = 0
        self._asked: set[bytes] = set()  #: lists that were asked for, but not kept
        self._facts = facts_of(view)
        self._read_until: dict[bytes, float] = {}

    def begin(self) -> bytes:
        """How every answer begins: with the age of the catalog."""
        second = int(self._seconds())
        begun = self._begun
        if second != begun[0]:
            begun = self._begun = (second, b'{"catalog_age_seconds":' + _encode(self.age()) + b",")
        return begun[1]

    def age(self) -> int | None:
        """Seconds since the catalog was true; None while it is empty."""
        as_of = self.view.as_of
        return None if as_of is None else max(int(self._seconds()) - int(as_of.timestamp()), 0)

    def model(self, name: str) -> Answer | None:
        """One model; None where there is none of that name."""
        if (known := self.known_models.get(name)) is not None:
            return known
        view = self.view
        entry = view.find(name)
        if entry is None:
            return None
        facts = _encode({name: value for name, value in self._facts.items() if name != "source"})
        rest = facts[1:-1] + b"," + view.whole(entry)
        answer = Answer(rest, self._etag)
        # under its own name only: there are as many other names as people can write
        if name == entry.id:
            self.known_models[name] = answer
        return answer

    def models(self, query_string: bytes) -> Answer | None:
        """A list; None where it is one of the past. Raises `BadParameter`."""
        if (known := self._lists.get(query_string)) is not None:
            return known
        asked = parameters.read(query_string)
        if asked.as_of is not None or asked.known_at is not None:
            return None
        found, total = self.view.choose(asked.query)
        facts = {"total": total, "limit": asked.query.limit, "offset": asked.query.offset, **self._facts}
        head, end = _encode(facts)[1:-1] + b',"data":[', b"]}"
        if found:
            # so that the whole is copied once
            found[0] = head + found[0]
            found[-1] += end
        answer = Answer(b",".join(found) if found else head + end, self._etag)
        # what is asked only once would push out what is asked again
        if query_string in self._asked:
            self._keep(query_string, answer)
        else:
            if len(self._asked) >= KEPT:
                self._asked.clear()
            self._asked.add(query_string)
        return answer

    def families(self) -> Answer:
        """The families."""
        if (known := self._lists.get(_FAMILIES)) is None:
            found = self.view.families
            document = {"data": found, "total": len(found), **self._facts}
            known = Answer(_encode(document)[1:], self._etag)
            self._keep(_FAMILIES, known)
        return known

    def known(self, question: bytes) -> Answer | None:
        """What `keep` kept of this version, not long ago; once it is old, the first who asks is to read it again, and
        the others have the old one until then.
        """
        now, answer = self._seconds(), self._lists.get(question)
        if answer is None or 0 < self._read_until[question] - now <= FRESH:
            return answer
        self._read_until[question] = now + FRESH
        return None

    def keep(self, question: bytes, answer: Answer) -> None:
        """Keep what was read from the database; `question` holds a blank, so that it is no query string."""
        before = self._lists.get(question)
        # the same again: the old one may be compressed already
        self._keep(question, before if before is not None and before.etag == answer.etag else answer)
        self._read_until[question] = self._seconds() + FRESH

    @property
    def lists(self) -> int:
        """How many lists are kept."""
        return len(self._lists)

    def _keep(self, query_string: bytes, answer: Answer) -> None:
        size = 2 * len(answer.rest)
        if (before := self._lists.pop(query_string, None)) is not None:
            self._list_bytes -= 2 * len(before.rest)
        if len(self._lists) >= KEPT or self._list_bytes + size > KEPT_BYTES:
            self._lists, self._list_bytes, self._read_until = {}, 0, {}
        self._lists[query_string] = answer
        self._list_bytes += size


class Memory:
    """The newest view's answers."""

    def __init__(self, live: Live, *, seconds: Callable[[], float]) -> None:
        """`seconds` is the wall clock, as `time.time`."""
        self._live = live
        self._seconds = seconds
        self._kept = Kept(_EMPTY, seconds)

    @property
    def newest(self) -> Kept:
        """What is made of the newest view; take it once for an answer."""
        view, kept = self._live.view or _EMPTY, self._kept
        if kept.view is not view:
            kept = self._kept = Kept(view, self._seconds)
        return kept


def facts_of(view: View) -> dict[str, Any]:
    """What every answer says of the catalog, beside its age."""
    return {
        "catalog_version": view.catalog_version,
        "as_of": None if view.as_of is None else instant(view.as_of),
        "source": view.source,
    }
