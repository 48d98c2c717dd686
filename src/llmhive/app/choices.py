"""Which models to use for a need: `Catalog.select`.

`library.Catalog` has it; the rule is in `catalog.selector`. A `Selector` is made once of everything there is to choose
from and kept in memory: of the catalog now, and of the instants that were asked for last.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from llmhive.app import wiring
from llmhive.app.costs import moment
from llmhive.catalog.model import instant
from llmhive.catalog.price import GAP
from llmhive.errors import NotFound, StoreError, UsageError
from llmhive.store import browse, captures, history, selectables
from llmhive.store.database import Database

if TYPE_CHECKING:
    from llmhive.catalog.need import Need
    from llmhive.catalog.selectable import Stock
    from llmhive.catalog.selector import Selector
    from llmhive.catalog.shortlist import Shortlist

_EMPTY = "The catalog is empty. Run `llmhive sync` first."
#: Selectors of instants that are kept.
_MOST_PAST = 4
_TICK = timedelta(microseconds=1)


class Choices:
    """Chooses from the catalog of a database; a missing one raises `NotFound`."""

    _selectors: Selectors

    def select(self, need: Need | Mapping[str, Any], *, as_of: datetime | date | str | None = None) -> Shortlist:
        """The models that meet a need, the best first: now, or as OpenRouter served them at an instant.

        `need` is a `Need`, or its JSON. An instant may be written in ISO 8601; a day means its beginning in UTC. Raises
        `NotFound` of an empty catalog and of a model the need names that was never seen, `UsageError` for a need that
        cannot be read and an instant of which nothing is known, and `StoreError`.
        """
        from llmhive.catalog.need import Need

        if not isinstance(need, Need):
            need = Need.read(need)
        if as_of is not None:
            return self._selectors.at(moment(as_of)).select(need)
        selector, doubts = self._selectors.now()
        return selector.select(need, doubts)


class _Known(NamedTuple):
    head: selectables.Head
    selector: Selector
    doubts: tuple[str, ...] = ()  #: whether that is still so


class Selectors:
    """The selectors of one database."""

    def __init__(
        self, database: Database, *, monotonic: Callable[[], float] = time.monotonic, every: float = 1.0
    ) -> None:
        """`every`: seconds between two looks at the catalog's version."""
        self._database = database
        self._monotonic = monotonic
        self._every = every
        self._lock = threading.Lock()
        self._known: _Known | None = None
        self._look_at = 0.0
        self._past: OrderedDict[tuple[selectables.Head, datetime], Selector] = OrderedDict()
        self._past_lock = threading.Lock()

    def now(self) -> tuple[Selector, tuple[str, ...]]:
        """What chooses now, and why that may be outdated.

        Raises `NotFound` of an empty catalog, and `StoreError` where nothing is known yet.
        """
        known = self._known
        if known is not None and self._monotonic() < self._look_at:
            return known[1:]
        # one looks, and who knows something already does not wait for it
        if not self._lock.acquire(blocking=known is None):
            assert known is not None
            return known[1:]
        try:
            if self._known is None or self._monotonic() >= self._look_at:
                self._known = self._look(self._known)
                self._look_at = self._monotonic() + self._every
            return self._known[1:]
        finally:
            self._lock.release()

    def _look(self, before: _Known | None) -> _Known:
        try:
            self._require()
            with self._database.read() as connection:
                head = selectables.head(connection)
                if before is not None and before.head == head:
                    return before._replace(doubts=_age(before.selector.stock))
                stock, records = selectables.load(connection), browse.records(connection)
        except StoreError:
            if before is None:
                raise
            # who chooses needs an answer; the shortlist says that it may be outdated, not where the database is
            return before._replace(doubts=("the database does not answer: a newer catalog may be missing",))
        if not stock.models:
            raise NotFound(_EMPTY)
        # a run's clock may have been ahead
        stock = stock._replace(at=min(stock.at, wiring.now()))
        return _Known(head, _selector(stock, records), _age(stock))

    def at(self, at: datetime) -> Selector:
        """What chooses from what OpenRouter served at an instant; raises `UsageError` where that is not known."""
        self._require()
        with self._database.read() as connection:
            covered(connection, at)
            # what was served then is settled as long as nothing is: prices go by the clock, so the instant counts too
            key = selectables.head(connection), at
            with self._past_lock:
                if key in self._past:
                    self._past.move_to_end(key)
                    return self._past[key]
            stock, records = selectables.load(connection, at=at), _records_at(connection, at)
        found = _selector(stock, records)
        with self._past_lock:
            self._past[key] = found
            while len(self._past) > _MOST_PAST:
                self._past.popitem(last=False)
        return found

    def _require(self) -> None:
        if not self._database.require_schema():
            raise NotFound(_EMPTY)


def _age(stock: Stock) -> tuple[str, ...]:
    """Why a catalog may no longer be what can be had."""
    if stock.source == "bootstrap":
        return ("chosen from the facts shipped with LLMHive: nothing was synced yet (`llmhive sync`)",)
    if stock.as_of is None or wiring.now() - stock.as_of <= GAP:
        return ()
    return (
        f"the last capture is of {stock.as_of:%Y-%m-%d %H:%M} UTC: what is chosen may be gone, or cost something else, "
        "by now (`llmhive sync`)",
    )


def _selector(stock: Stock, records: Iterable[bytes]) -> Selector:
    """What chooses from a stock; where no sync has kept what the records say of benchmarks, they say it themselves."""
    from llmhive.app.openrouter.decode_benchmarks import inside
    from llmhive.catalog.selectable import with_measures
    from llmhive.catalog.selector import Selector

    told = inside(records).measures
    return Selector(stock._replace(evidence=with_measures(stock.evidence, told, [it.row for it in stock.models])))


def _records_at(connection: Any, at: datetime) -> list[bytes]:
    """The records as served in the capture that covers an instant."""
    from llmhive.app.openrouter.envelope import split

    newest = captures.newest_filed(connection, None, before=at + _TICK)
    body = b"" if newest is None else captures.read_body(connection, newest.capture.digest)
    return [bytes(raw) for raw in (split(body).data or ())] if body else []


# --- instants of which something is known


def check_past(at: datetime) -> None:
    """Raise `UsageError` for an instant in the future."""
    if at > wiring.now():
        raise UsageError(f"{instant(at)} is in the future: nothing is known of it yet.")


def covered(connection: Any, at: datetime) -> datetime:
    """When the capture was fetched that tells of an instant; raises `UsageError` where there is none."""
    check_past(at)
    found = history.covered(connection, at)
    if found is not None:
        return found
    first = history.first_capture(connection)
    if first is None:
        raise UsageError("There is no history yet. Run `llmhive sync`, or `llmhive backfill PATH`.")
    raise UsageError(
        f"Nothing is known of {instant(at)}: history begins {first:%Y-%m-%d %H:%M} UTC. "
        "`llmhive backfill PATH` takes in older captures."
    )
