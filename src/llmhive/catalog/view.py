"""The immutable in-memory catalog that reads are answered from.

A `View` is one whole committed version of the catalog. A new version is a new `View`: a reader keeps the one it began
with. Models that did not change share their `Entry`, with its JSON, from view to view.

Conditions are answered by bitsets: bit n of a number stands for the n-th entry by id.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from itertools import compress, islice
from operator import itemgetter
from typing import Any

import msgspec

from llmhive.catalog import document
from llmhive.catalog.capability import capabilities
from llmhive.catalog.model import Version, instant
from llmhive.catalog.query import DESCENDING, SORTS, Query, per_token

_encode = msgspec.json.Encoder().encode


class Entry:
    """One model, active or not, and what readers get of it.

    `row` is the row of `model_catalog`, with its version's document in ``document`` and ``text``.
    """

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.row = row
        self.id: str = row["id"]
        self.is_active: bool = row["is_active"]

    @cached_property
    def listed(self) -> bytes:
        """Its JSON as lists have it: without the opening brace, and of active ones without ``last_seen_at``, which is
        the view's `View.as_of`.
        """
        return self._rest(document.listed(self.row, None))

    @cached_property
    def whole(self) -> bytes:
        """Its JSON with all that is known, likewise."""
        content = Version.stored(self.row["version"], self.row["document"], self.row["text"]).model
        return self._rest(document.whole(self.row, None, content))

    def _rest(self, found: dict[str, Any]) -> bytes:
        if self.is_active:
            del found["last_seen_at"]
        return _encode(found)[1:]

    @cached_property
    def words(self) -> str:
        """What a search looks through."""
        return "\n".join((self.row[name] or "").casefold() for name in ("id", "canonical_slug", "name"))


@dataclass(frozen=True)
class View:
    """The catalog at one version."""

    catalog_version: int = 0
    source: str | None = None  #: ``openrouter``, ``bootstrap``; None while empty
    as_of: datetime | None = None  #: when the catalog was true; None while empty
    pinned: str | None = None
    entries: tuple[Entry, ...] = ()  #: by id
    by_id: Mapping[str, Entry] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[Entry], **facts: Any) -> View:
        """A view of entries in any order."""
        ordered = tuple(sorted(entries, key=lambda entry: entry.id))
        return cls(entries=ordered, by_id={entry.id: entry for entry in ordered}, **facts)

    @cached_property
    def seen(self) -> bytes:
        """How the JSON of an active model begins."""
        at = b"null" if self.as_of is None else _encode(instant(self.as_of))
        return b'{"last_seen_at":' + at + b","

    def begin(self, entry: Entry) -> bytes:
        """How the JSON of a model begins; `Entry.listed` or `Entry.whole` goes on."""
        return self.seen if entry.is_active else b"{"

    @cached_property
    def _listed(self) -> tuple[bytes, ...]:
        return tuple(self.begin(entry) + entry.listed for entry in self.entries)

    def at(self, **facts: Any) -> View:
        """The same models as a view of other facts; what follows from the models alone is not made again."""
        other = View(entries=self.entries, by_id=self.by_id, **facts)
        made: dict[str, Any] = {
            name: self.__dict__[name] for name in ("_index", "_names", "families") if name in self.__dict__
        }
        other.__dict__.update(made)
        return other

    def warm(self) -> None:
        """Make what the first readers would wait for."""
        self._names  # noqa: B018
        for sort in SORTS:
            self.choose(_EVERYTHING if sort == "id" else Query(sort=sort))

    def choose(self, query: Query) -> tuple[list[bytes], int]:
        """The JSON of a page of the models that meet a query, and how many do in all; as `Query.choose`."""
        index, end = self._index, None if query.limit is None else query.offset + query.limit
        mask = index.mask(query)
        found = compress(self._in_order(query), index.flags(mask, query))
        return list(islice(found, query.offset, end)), mask.bit_count()

    def _in_order(self, query: Query) -> Sequence[bytes]:
        if (known := self._sorted.get((query.sort, query.reverse))) is None:
            known = tuple(self._listed[position] for position in self._index.order(query))
            self._sorted[query.sort, query.reverse] = known
        return known

    @cached_property
    def _sorted(self) -> dict[tuple[str, bool], Sequence[bytes]]:
        return {}

    def find(self, name: str) -> Entry | None:
        """The model that a name means: its id, the id in another case, its canonical slug (its base row), or the part
        after the author where only one model has it.
        """
        return self.by_id.get(name) or self._names.get(name.casefold())

    @cached_property
    def _names(self) -> dict[str, Entry]:
        best = sorted(self.entries, key=lambda it: (not it.is_active, it.row["variant"] is not None, it.id))
        bare: dict[str, list[Entry]] = {}
        for entry in best:
            if "/" in entry.id:
                bare.setdefault(entry.id.rpartition("/")[2].casefold(), []).append(entry)
        names = {name: found[0] for name, found in bare.items() if len(found) == 1}
        for entry in reversed(best):
            if entry.row["canonical_slug"]:
                names[entry.row["canonical_slug"].casefold()] = entry
        return names | {entry.id.casefold(): entry for entry in reversed(best)}

    @cached_property
    def families(self) -> list[dict[str, Any]]:
        """The families with their members' ids, by name; members newest first."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for entry in self.entries:
            found.setdefault(entry.row["family"], []).append(entry.row)
        return [_family(name, rows) for name, rows in sorted(found.items())]

    @cached_property
    def _index(self) -> _Index:
        return _Index([entry.row for entry in self.entries], [entry.words for entry in self.entries])


def _family(name: str, rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    newest = sorted(rows, key=lambda row: (row["created_at"] is not None, row["created_at"]), reverse=True)
    return {
        "family": name,
        "author": rows[0]["author"],
        "models": [row["id"] for row in newest],
        "active": sum(row["is_active"] for row in rows),
        "newest": newest[0]["id"],
    }


_BITS = bytes.maketrans(b"01", b"\x00\x01")
_WORDS_KEPT = 10_000

#: Condition → the values of a row that meet it.
_SETS: dict[str, Callable[[Mapping[str, Any]], Iterable[Any]]] = {
    "active": lambda row: (row["is_active"],),
    "author": lambda row: (row["author"],),
    "variant": lambda row: (row["variant"],),
    "kind": lambda row: (row["pricing_kind"],),
    "family": lambda row: {row["family"], row["family"].partition("/")[2]},
    "inputs": lambda row: set(row["input_modalities"]),
    "outputs": lambda row: set(row["output_modalities"]),
    "parameters": lambda row: set(row["supported_parameters"]),
    "capabilities": capabilities,
}


#: Asks of every condition.
_EVERYTHING = Query(
    text="a", author="", family="", variant="", kind="", inputs=("",), outputs=("",), parameters=("",),
    capabilities=("",), min_context=0, min_output=0, max_prompt=0.0, max_completion=0.0,
    new_since=datetime.min.replace(tzinfo=UTC), expiring_before=date.min,
)  # fmt: skip


def _wanted(query: Query) -> Iterator[tuple[str, Any]]:
    for name in _SETS:
        wanted = getattr(query, name)
        if isinstance(wanted, tuple):
            yield from ((name, value) for value in wanted)
        elif wanted is not None:
            yield name, wanted


class _Index:
    """Which entries meet a condition, as numbers made when first asked for."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], words: Sequence[str]) -> None:
        self._rows = rows
        self._words = words
        self._all = (1 << len(rows)) - 1
        self._sets: dict[str, dict[Any, int]] = {}
        self._ranges: dict[str, _Range] = {}
        self._orders: dict[tuple[str, bool], list[int]] = {}
        self._pickers: dict[tuple[str, bool], Callable[[bytes], Sequence[int]]] = {}
        self._with_word: dict[str, int] = {}

    def order(self, query: Query) -> list[int]:
        """All positions in a query's order; unknown values last, ties by id."""
        key, is_reversed = query.key(), (query.sort in DESCENDING) != query.reverse
        if (found := self._orders.get((query.sort, is_reversed))) is None:
            values = [key(row) for row in self._rows]
            known = [position for position, value in enumerate(values) if value is not None]
            known.sort(key=values.__getitem__, reverse=is_reversed)
            found = known + [position for position, value in enumerate(values) if value is None]
            self._orders[query.sort, is_reversed] = found
        return found

    def flags(self, mask: int, query: Query) -> Sequence[int]:
        """A mask as 0 and 1, in a query's order."""
        key = (query.sort, query.reverse)
        if (pick := self._pickers.get(key)) is None:
            order = self.order(query)
            # of one place, itemgetter gives no sequence
            pick = itemgetter(*order) if len(order) > 1 else tuple
            self._pickers[key] = pick
        digits = format(mask, f"0{len(self._rows)}b") if self._rows else ""
        return pick(digits[::-1].encode().translate(_BITS))

    def mask(self, query: Query) -> int:
        """The entries that meet a query."""
        mask = self._all
        for name, wanted in _wanted(query):
            mask &= self._where(name, wanted)
        for name, least in (
            ("context_length", query.min_context),
            ("max_completion_tokens", query.min_output),
            ("created_at", query.new_since),
        ):
            if least is not None:
                mask &= self._range(name).at_least(least)
        for name, most in (
            ("prompt_price", None if query.max_prompt is None else per_token(query.max_prompt)),
            ("completion_price", None if query.max_completion is None else per_token(query.max_completion)),
            ("expiration_date", query.expiring_before),
        ):
            if most is not None:
                mask &= self._range(name).at_most(most)
        return self._with_words(query.text, mask) if query.text else mask

    def _where(self, name: str, wanted: Any) -> int:
        if (known := self._sets.get(name)) is None:
            known = {}
            for position, row in enumerate(self._rows):
                for value in _SETS[name](row):
                    known[value] = known.get(value, 0) | 1 << position
            self._sets[name] = known
        return known.get(wanted, 0)

    def _range(self, name: str) -> _Range:
        if name not in self._ranges:
            self._ranges[name] = _Range([row[name] for row in self._rows])
        return self._ranges[name]

    def _with_words(self, text: str, mask: int) -> int:
        for word in text.casefold().split():
            if (known := self._with_word.get(word)) is None:
                known = sum(1 << position for position, words in enumerate(self._words) if word in words)
                if len(self._with_word) >= _WORDS_KEPT:
                    self._with_word.clear()
                self._with_word[word] = known
            mask &= known
        return mask


class _Range:
    """The entries by a value; those that have none meet no limit."""

    def __init__(self, values: Sequence[Any]) -> None:
        known = sorted(((value, position) for position, value in enumerate(values) if value is not None))
        self._values = [value for value, _ in known]
        self._first = [0]  #: the n entries with the least values
        for _, position in known:
            self._first.append(self._first[-1] | 1 << position)

    def at_most(self, most: Any) -> int:
        return self._first[bisect_right(self._values, most)]

    def at_least(self, least: Any) -> int:
        return self._first[-1] & ~self._first[bisect_left(self._values, least)]
