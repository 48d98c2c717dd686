"""The envelope of a list: ``{"data": […], "total_count": n, "links": {"next": url}}`` (reference 2.2); pure.

The records stay bytes; reading them is `decode`'s part.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

#: What reading JSON can raise: also for nesting without end, and for numbers no `Decimal` can be.
UNREADABLE = (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError)

T = TypeVar("T")

_BOM = b"\xef\xbb\xbf"
#: An escaped backslash, a whole surrogate pair, or half of one.
_ESCAPES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_HALF = 6
#: What takes the place of half a pair: `decode` quarantines a record for it.
_NUL = b"\\u0000"


class Envelope(msgspec.Struct):
    """A list's envelope; what one can do without is raw, so that a wrong type there does not cost the list."""

    data: list[msgspec.Raw] | None = None
    total_count: msgspec.Raw = msgspec.Raw(b"null")
    links: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def total(self) -> int | None:
        """How many records the list says it has."""
        total = _lenient(self.total_count)
        return total if type(total) is int else None

    @property
    def next(self) -> str | None:
        """Where the next page is."""
        links = _lenient(self.links)
        link = links.get("next") if isinstance(links, dict) else None
        return link if isinstance(link, str) and link else None

    @property
    def failure(self) -> Any:
        """What stands under ``error``; None where nothing does."""
        return _lenient(self.error)


_ENVELOPE = msgspec.json.Decoder(Envelope)


def split(body: bytes) -> Envelope:
    """Split a body into its records; raises one of `UNREADABLE` where it is no JSON object of that shape."""
    return mended(body, _ENVELOPE)


def mended(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Read a body; where strings are cut in the middle of an emoji, that is left to whoever reads the records."""
    try:
        return decoder.decode(body)
    except UNREADABLE:
        # one string cut in the middle of an emoji must cost its record, not the list
        whole = _ESCAPES.sub(lambda found: _NUL if len(found[0]) == _HALF else found[0], body.removeprefix(_BOM))
        if whole == body:
            raise
        return decoder.decode(whole)


def _lenient(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except UNREADABLE:
        return None
