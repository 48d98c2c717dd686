"""Which rows meet a query, in what order: what each condition and each sort of a `Query` means, here and nowhere else.

Conditions are answered by bitsets: bit n of a number stands for the n-th row by id. Each is made when first asked for.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from itertools import compress, islice
from operator import itemgetter
from typing import Any, TypeVar

from llmhive.catalog.capability import capabilities
from llmhive.catalog.query import SORTS, Query, Sort
from llmhive.errors import UsageError

#: A row of the catalog: the columns of `model_catalog` by name, prices as `Decimal` in USD per token.
Row = Mapping[str, Any]
_T = TypeVar("_T")

#: Condition → the values of a row that meet it.
_VALUES: dict[str, Callable[[Row], Iterable[Any]]] = {
    "active": lambda row: (row["is_active"],),
    "held": lambda row: (bool(row["held"]),),
    "author": lambda row: (row["author"],),
    "variant": lambda row: (row["variant"],),
    "kind": lambda row: (row["pricing_kind"],),
    "family": lambda row: (row["family"], row["family"].partition("/")[2]),
    "inputs": lambda row: row["input_modalities"],
    "outputs": lambda row: row["output_modalities"],
    "parameters": lambda row: row["supported_parameters"],
    "capabilities": capabilities,
}
#: Condition → the column that must reach it. A value that is unknown meets no limit.
_AT_LEAST = {
    "min_context": "context_length", "min_output": "max_completion_tokens", "min_prompt": "prompt_price",
    "min_completion": "completion_price", "new_since": "created_at",
}  # fmt: skip
#: Condition → the column that must not exceed it.
_AT_MOST = {"max_prompt": "prompt_price", "max_completion": "completion_price", "expiring_before": "expiration_date"}
_PER_MILLION = frozenset({"min_prompt", "min_completion", "max_prompt", "max_completion"})
#: What the words of a text are looked for in.
_SEARCHED = ("id", "canonical_slug", "name")

_KEYS: dict[Sort, Callable[[Row], Any]] = {
    "id": lambda row: row["id"],
    "name": lambda row: row["name"] and row["name"].casefold(),
    "newest": lambda row: row["created_at"],
    "context": lambda row: row["context_length"],
    "output": lambda row: row["max_completion_tokens"],
    "prompt": lambda row: row["prompt_price"],
    "completion": lambda row: row["completion_price"],
    "author": lambda row: row["author"],
    "expiring": lambda row: row["expiration_date"],
}
#: What people want to see first is the most of these.
_DESCENDING = frozenset({"newest", "context", "output"})

_BITS = bytes.maketrans(b"01", b"\x00\x01")
_WORDS_KEPT = 10_000


class Index:
    """The rows of one instant, to be asked which meet a query."""

    def __init__(self, rows: Iterable[Row]) -> None:
        """`rows` in any order."""
        self._rows = sorted(rows, key=itemgetter("id"))
        self._all = (1 << len(self._rows)) - 1
        self._sets: dict[str, dict[Any, int]] = {}
        self._ranges: dict[str, Range] = {}
        self._orders: dict[tuple[str, bool], list[int]] = {}
        self._pickers: dict[tuple[str, bool], Callable[[bytes], Sequence[int]]] = {}
        self._with_word: dict[str, int] = {}

    def choose(self, query: Query) -> tuple[list[Row], int]:
        """A page of the rows that meet a query, and how many do in all. Unknown values sort last, ties by id.

        Raises `UsageError` for an order that there is not.
        """
        return self.page(query, [self._rows[position] for position in self.order(query)])

    def page(self, query: Query, ordered: Sequence[_T]) -> tuple[list[_T], int]:
        """As `choose`, of what stands for the rows; `ordered` has it in the query's `order`."""
        mask, end = self._mask(query), None if query.limit is None else query.offset + query.limit
        return list(islice(compress(ordered, self._flags(mask, query)), query.offset, end)), mask.bit_count()

    def order(self, query: Query) -> Sequence[int]:
        """The numbers of all rows by id, in a query's order; raises as `choose`."""
        is_reversed = (query.sort in _DESCENDING) != query.reverse
        if (found := self._orders.get((query.sort, is_reversed))) is None:
            if (key := _KEYS.get(query.sort)) is None:
                raise UsageError(f"Cannot sort by {query.sort!r}. Choose one of {', '.join(SORTS)}.")
            values = [key(row) for row in self._rows]
            known = [position for position, value in enumerate(values) if value is not None]
            known.sort(key=values.__getitem__, reverse=is_reversed)
            found = known + [position for position, value in enumerate(values) if value is None]
            self._orders[query.sort, is_reversed] = found
        return found

    def warm(self) -> None:
        """Make what conditions are answered by."""
        for name in _VALUES:
            self._set(name)
        for column in (*_AT_LEAST.values(), *_AT_MOST.values()):
            self._range(column)
        self._words  # noqa: B018

    def _flags(self, mask: int, query: Query) -> Sequence[int]:
        """A mask as 0 and 1, in a query's order."""
        key = (query.sort, query.reverse)
        if (pick := self._pickers.get(key)) is None:
            order = self.order(query)
            # of one place, itemgetter gives no sequence
            pick = itemgetter(*order) if len(order) > 1 else tuple
            self._pickers[key] = pick
        digits = format(mask, f"0{len(self._rows)}b") if self._rows else ""
        return pick(digits[::-1].encode().translate(_BITS))

    def _mask(self, query: Query) -> int:
        """The rows that meet a query."""
        mask = self._all
        for name in _VALUES:
            wanted = getattr(query, name)
            if isinstance(wanted, tuple):
                for value in wanted:
                    mask &= self._set(name).get(value, 0)
            elif wanted is not None:
                mask &= self._set(name).get(wanted, 0)
        for name, column in _AT_LEAST.items():
            if (limit := getattr(query, name)) is not None:
                mask &= self._range(column).at_least(_per_token(limit) if name in _PER_MILLION else limit)
        for name, column in _AT_MOST.items():
            if (limit := getattr(query, name)) is not None:
                mask &= self._range(column).at_most(_per_token(limit) if name in _PER_MILLION else limit)
        return self._with_words(query.text, mask) if query.text else mask

    def _set(self, name: str) -> dict[Any, int]:
        """Value → the rows that have it."""
        if (known := self._sets.get(name)) is None:
            known = defaultdict(int)
            values_of = _VALUES[name]
            for position, row in enumerate(self._rows):
                bit = 1 << position
                for value in values_of(row):
                    known[value] |= bit
            self._sets[name] = known
        return known

    def _range(self, column: str) -> Range:
        if (known := self._ranges.get(column)) is None:
            known = self._ranges[column] = Range([row[column] for row in self._rows])
        return known

    def _with_words(self, text: str, mask: int) -> int:
        for word in text.casefold().split():
            if (known := self._with_word.get(word)) is None:
                known = sum(1 << position for position, words in enumerate(self._words) if word in words)
                if len(self._with_word) >= _WORDS_KEPT:
                    self._with_word.clear()
                self._with_word[word] = known
            mask &= known
        return mask

    @cached_property
    def _words(self) -> list[str]:
        return ["\n".join([row[name] or "" for name in _SEARCHED]).casefold() for row in self._rows]


class Range:
    """Bitsets of what is numbered from 0 by a value of each; those that have none meet no limit."""

    def __init__(self, values: Sequence[Any]) -> None:
        having: dict[Any, int] = {}
        for position, value in enumerate(values):
            if value is not None:
                having[value] = having.get(value, 0) | 1 << position
        # each value once: there are far fewer of them, and they stay at hand
        self._values = sorted(having)
        self._first = [0]  #: those that have one of the n least values
        for value in self._values:
            self._first.append(self._first[-1] | having[value])

    def at_most(self, most: Any) -> int:
        """Those whose value is at most this."""
        return self._first[bisect_right(self._values, most)]

    def at_least(self, least: Any) -> int:
        """Those whose value is at least this."""
        return self._first[-1] & ~self._first[bisect_left(self._values, least)]


def _per_token(per_million: float) -> Decimal:
    """A limit in USD per million tokens as USD per token, exact."""
    return Decimal(repr(per_million)).scaleb(-6)
