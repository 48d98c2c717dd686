"""What everything cost when, kept in memory, so that pricing in a request path takes microseconds.

Prices of a model are read from the database when it is first asked for, and dropped when the catalog's version is
another; that is looked at once a second at most. While the database does not answer, what is known is used and marked.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from llmhive.catalog.cost import Tariffs
from llmhive.catalog.endpoint import ORDINARY
from llmhive.catalog.names import Names
from llmhive.catalog.preferences import split_suffix
from llmhive.catalog.price import GAP, Step
from llmhive.errors import NotFound, StoreError, Unpriced
from llmhive.store import browse, captures, history, rates
from llmhive.store.database import Database

_NEVER = datetime.min.replace(tzinfo=UTC)
#: Names that are kept: as many as there are models, with a few providers each.
_MOST = 5000
_ONLINE = "`:online` searches the web with a plugin, whose price is not in the catalog"
_EMPTY = "The catalog is empty. Run `llmhive sync` first."


#: A model's name, and who served it at which service tier, where that is known.
Asked = tuple[str, str | None, str | None]


class Subject:
    """The prices of what a name means, over time."""

    __slots__ = ("_begins", "_last", "_tariffs", "model_id", "steps", "suffix")

    def __init__(self, model_id: str, steps: Iterable[Step], suffix: str | None = None) -> None:
        self.model_id = model_id
        self.steps = tuple(steps)
        self.suffix = suffix  #: how it is to be routed: ``floor``, ``nitro`` …
        self._begins = [step.begin for step in self.steps]
        self._tariffs: list[Tariffs | None] = [None] * len(self.steps)
        self._last = len(self.steps) - 1

    def find(self, at: datetime) -> tuple[Step, Tariffs] | None:
        """The price in force at an instant; None where there was none. Raises `Unpriced` where it is no number."""
        number = self._last
        if number < 0:
            return None
        if at < self._begins[number]:
            number = bisect_right(self._begins, at) - 1
            if number < 0:
                return None
        step = self.steps[number]
        if step.end is not None and at >= step.end:
            return None
        tariffs = self._tariffs[number]
        if tariffs is None:
            if step.pricing is None:
                raise Unpriced(f"{self.model_id} cannot be priced: {step.why}")
            tariffs = self._tariffs[number] = Tariffs(step.pricing)
        return step, tariffs


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one version of the catalog; `subjects` fills as it is asked for."""

    version: int
    names: Names
    first: datetime | None  #: of the captures in history; None: there is none
    last: datetime | None
    settled_until: datetime  #: until when prices are known without a doubt
    doubts: tuple[str, ...]  #: of those after it
    subjects: dict[Asked, Subject]


class PriceBook:
    """The prices of one database."""

    def __init__(
        self, database: Database, *, monotonic: Callable[[], float] = time.monotonic, every: float = 1.0
    ) -> None:
        """`every`: seconds between two looks at the catalog's version."""
        self._database = database
        self._monotonic = monotonic
        self._every = every
        self._lock = threading.Lock()
        self._known: Known | None = None
        self._look_at = 0.0

    def known(self) -> Known:
        """What is known now. Raises `NotFound` of an empty catalog, and `StoreError` where nothing is known yet."""
        known = self._known
        if known is not None and self._monotonic() < self._look_at:
            return known
        # one looks, and who knows something already does not wait for it
        if not self._lock.acquire(blocking=known is None):
            assert known is not None
            return known
        try:
            if self._known is not None and self._monotonic() < self._look_at:
                return self._known
            try:
                known = self._known = self._read(self._known)
            except StoreError as error:
                if self._known is None:
                    raise
                # a request path needs an answer; the receipt says that it may be outdated
                doubt = f"the database does not answer, newer prices may be missing: {error}"
                known = self._known = replace(self._known, settled_until=_NEVER, doubts=(doubt,))
            self._look_at = self._monotonic() + self._every
        finally:
            self._lock.release()
        return known

    def _read(self, before: Known | None) -> Known:
        if not self._database.require_schema():
            raise NotFound(_EMPTY)
        with self._database.read() as connection:
            standing = browse.standing(connection)
            version = standing.state.catalog_version
            last = captures.last_applied(connection)
            at = None if last is None else last.fetched_at
            settled = _NEVER if at is None else at + GAP
            doubts = (_doubt(at, standing.as_of),)
            if before is not None and before.version == version:
                return replace(before, last=at, settled_until=settled, doubts=doubts)
            names = Names(browse.names(connection))
            return Known(version, names, history.first_capture(connection), at, settled, doubts, {})

    def subject(self, known: Known, name: str, provider: str | None = None, tier: str | None = None) -> Subject:
        """The prices of what a name means; with a provider, those of its endpoint where they are known.

        Raises `NotFound` where it means nothing.
        """
        found = known.subjects.get((name, provider, tier))
        if found is None:
            model_id, suffix = meant(known.names, name)
            with self._database.read() as connection:
                found = _subject(connection, model_id, suffix, provider, tier)
            if len(known.subjects) >= _MOST:
                known.subjects.clear()  # names come from callers, who may make them up
            known.subjects[name, provider, tier] = found
        return found

    def subjects(self, names: Iterable[Asked]) -> dict[Asked, Subject | str]:
        """The prices of many names, read at once; of what means nothing, why."""
        known = self.known()
        wanted: dict[Asked, tuple[str, str | None] | str] = {}
        for asked in names:
            try:
                wanted[asked] = meant(known.names, asked[0])
            except NotFound as error:
                wanted[asked] = str(error)
        found: dict[Asked, Subject | str] = {}
        with self._database.read() as connection:
            listed = rates.of_models(connection, {it[0] for it in wanted.values() if not isinstance(it, str)})
            for asked, it in wanted.items():
                found[asked] = it if isinstance(it, str) else _subject(connection, *it, *asked[1:], listed)
        return found


def _doubt(last: datetime | None, as_of: datetime | None) -> str:
    if last is None:
        of = "" if as_of is None else f" of {as_of:%Y-%m-%d}"
        return f"the price comes from the bootstrap facts{of}: `llmhive sync` brings those of OpenRouter"
    return f"the last capture of the catalog is of {last:%Y-%m-%d %H:%M} UTC: the price may have changed since"


def meant(names: Names, name: str) -> tuple[str, str | None]:
    """The model's id and the routing suffix that a name means; raises `NotFound`."""
    model_id = names.meant(name)
    if model_id is not None:
        return model_id, None
    bare, suffix = split_suffix(name)
    model_id = names.meant(bare) if suffix else None
    if model_id is None:
        raise NotFound(names.why_missing(name))
    return model_id, suffix


def _subject(connection: Any, model_id: str, suffix: str | None, provider: str | None, tier: str | None,
             listed: Mapping[str, list[Step]] | None = None) -> Subject:  # fmt: skip
    steps = (rates.of_models(connection, {model_id}) if listed is None else listed).get(model_id, [])
    if not steps:
        # nobody served it to this catalog yet: it comes from facts
        believed = rates.believed(connection, model_id, None)
        steps = [] if believed is None else [believed]
    if tier is not None and tier.strip().casefold() in ORDINARY:
        tier = None
    if provider is not None or tier is not None:
        steps = rates.of_provider(connection, model_id, provider, tier, steps)
    if suffix == "online":
        steps = [msgspec.structs.replace(step, incomplete=(*step.incomplete, _ONLINE)) for step in steps]
    return Subject(model_id, steps, suffix)
