"""The immutable in-memory catalog that reads are answered from.

A `View` is one whole committed version of the catalog. A new version is a new `View`: a reader keeps the one it began
with. Models that did not change share their `Entry`, with its JSON, from view to view.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import msgspec

from llmhive.catalog import document
from llmhive.catalog.identity import identify
from llmhive.catalog.index import Index
from llmhive.catalog.model import Version, instant
from llmhive.catalog.names import Named, Names
from llmhive.catalog.query import SORTS, Query

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

    def begin(self, entry: Entry) -> bytes:
        """How the JSON of a model begins; `Entry.listed` or `Entry.whole` goes on."""
        return b"{" + self._seen if entry.is_active else b"{"

    def whole(self, entry: Entry) -> bytes:
        """The JSON of a model with all that is known, without the opening brace."""
        return self._seen + entry.whole if entry.is_active else entry.whole

    @cached_property
    def _seen(self) -> bytes:
        """What the JSON of active models has in common."""
        at = b"null" if self.as_of is None else _encode(instant(self.as_of))
        return b'"last_seen_at":' + at + b","

    @cached_property
    def _listed(self) -> tuple[bytes, ...]:
        return tuple(self.begin(entry) + entry.listed for entry in self.entries)

    def at(self, **facts: Any) -> View:
        """The same models as a view of other facts; what follows from the models alone is not made again."""
        other = View(entries=self.entries, by_id=self.by_id, **facts)
        made: dict[str, Any] = {
            name: self.__dict__[name] for name in ("_index", "names", "families") if name in self.__dict__
        }
        other.__dict__.update(made)
        return other

    def warm(self) -> None:
        """Make what the first readers would wait for."""
        self.names  # noqa: B018
        self._index.warm()
        for sort in SORTS:
            self.choose(Query(sort=sort))

    def choose(self, query: Query) -> tuple[list[bytes], int]:
        """The JSON of a page of the models that meet a query, and how many do in all; as `Index.choose`."""
        return self._index.page(query, self._in_order(query))

    def pick(self, query: Query) -> tuple[list[Entry], int]:
        """A page of the models that meet a query, and how many do in all; as `Index.choose`."""
        return self._index.page(query, [self.entries[position] for position in self._index.order(query)])

    def _in_order(self, query: Query) -> Sequence[bytes]:
        if (known := self._sorted.get((query.sort, query.reverse))) is None:
            known = tuple(self._listed[position] for position in self._index.order(query))
            self._sorted[query.sort, query.reverse] = known
        return known

    @cached_property
    def _sorted(self) -> dict[tuple[str, bool], Sequence[bytes]]:
        return {}

    def find(self, name: str) -> Entry | None:
        """The model that a name means; see `Names.meant`."""
        meant = self.names.meant(name)
        return None if meant is None else self.by_id[meant]

    @cached_property
    def names(self) -> Names:
        """What its models can be called."""
        return Names(
            Named(entry.id, entry.row["canonical_slug"], entry.row["variant"], entry.is_active)
            for entry in self.entries
        )

    @cached_property
    def families(self) -> list[dict[str, Any]]:
        """The families with their members' ids, by name; members newest first."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for entry in self.entries:
            found.setdefault(entry.row["family"], []).append(entry.row)
        return [_family(name, rows) for name, rows in sorted(found.items())]

    @cached_property
    def _index(self) -> Index:
        return Index(entry.row for entry in self.entries)


def _family(name: str, rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    newest = sorted(rows, key=lambda row: (row["created_at"] is not None, row["created_at"]), reverse=True)
    told = [identify(row["id"]) for row in newest]
    return {
        "family": name,
        "author": rows[0]["author"],
        "models": [row["id"] for row in newest],
        "active": sum(row["is_active"] for row in rows),
        "newest": newest[0]["id"],
        "generations": list(dict.fromkeys(it.generation for it in told if it.generation)),
        "sizes": list(dict.fromkeys(it.size for it in told if it.size)),
    }
