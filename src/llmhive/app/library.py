"""`Catalog.open()`: the library, and what the command and the service read through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from llmhive.app import wiring
from llmhive.app.choices import Choices, Selectors, check_past, covered
from llmhive.app.market import Market
from llmhive.app.openrouter.scheduler import next_time
from llmhive.app.operations import Operations
from llmhive.app.pricebook import PriceBook
from llmhive.app.proof import Proofs
from llmhive.app.reconcile import Reconciler, Row, read_file
from llmhive.app.settings import Settings, read
from llmhive.catalog import document
from llmhive.catalog.bill import Bill
from llmhive.catalog.change import LISTED
from llmhive.catalog.diff import Belief, between, compare
from llmhive.catalog.index import Index
from llmhive.catalog.model import Version, instant
from llmhive.catalog.query import Query
from llmhive.catalog.run import DONE, Kind, Run
from llmhive.catalog.timeline import Listing
from llmhive.catalog.usage import mapping, shown
from llmhive.errors import NotFound, UsageError
from llmhive.store import alerts, browse, captures, catalog, changes, history, prices, ranked, runs, snapshots
from llmhive.store.database import Database, connect

_EMPTY = "The catalog is empty. Run `llmhive sync` first."


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the catalog's models (design 3.6, *List*)."""

    data: tuple[dict[str, Any], ...]
    total: int  #: how many there are, on all pages
    catalog_version: int
    as_of: datetime | None  #: when OpenRouter last said so; None while empty
    source: str | None  #: ``openrouter``, ``bootstrap``; None while empty

    def to_json(self) -> dict[str, Any]:
        """As scripts see it."""
        return {
            "data": list(self.data),
            "total": self.total,
            "catalog_version": self.catalog_version,
            "as_of": None if self.as_of is None else instant(self.as_of),
            "source": self.source,
        }


class Catalog(Market, Operations, Choices, Proofs):
    """The catalog in a database, for reading. A missing database reads as an empty catalog; nothing is created."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._book = PriceBook(database)
        self._selectors = Selectors(database)

    @classmethod
    def open(cls, url: str | None = None, *, settings: Settings | None = None) -> Catalog:
        """Open the catalog that ``DATABASE_URL`` names, or `url`.

        Raises `SettingsError` for a setting that cannot be used; nothing is read yet.
        """
        settings = settings or read()
        return cls(settings, connect(url) if url else wiring.database(settings))

    def together(self) -> AbstractContextManager[None]:
        """While it is entered, all that this thread reads is of one instant: ``with catalog.together(): …``."""
        return self._database.together()

    def close(self) -> None:
        """Give back the database."""
        self._database.close()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def models(
        self, query: Query | None = None, *, as_of: datetime | None = None, known_at: datetime | None = None
    ) -> Page:
        """The models that meet a query: now, as OpenRouter served them at an instant (`as_of`), or as this catalog
        believed them at an instant (`known_at`).

        Raises `StoreError`, and `UsageError` for an instant of which nothing is known.
        """
        query = query or Query()
        if not self._database.require_schema():
            return Page((), 0, 0, None, None)
        with self._database.read() as connection:
            standing = browse.standing(connection)
            state, true_at = standing.state, standing.as_of
            if as_of is not None:
                true_at = covered(connection, as_of)
                found = browse.rows_as_of(connection, as_of, active=query.active)
            elif known_at is not None:
                check_past(known_at)
                true_at = known_at
                found = browse.rows_known_at(connection, known_at, active=query.active)
            else:
                found = browse.rows(connection, active=query.active)
        chosen, total = Index(found).choose(query)
        data = tuple(document.listed(row, true_at) for row in chosen)
        return Page(data, total, state.catalog_version, true_at, state.source if as_of is None else "openrouter")

    def reconcile(self, bills: object) -> Iterator[Row]:
        """What OpenRouter billed beside what it costs by our prices, and the cause of each difference.

        `bills` is a file that `llmhive reconcile` reads (a text or a `Path`), one bill, or many. A bill is a `Bill`, or
        a record of ``/generation``, a whole response with its ``usage``, a row of ``/activity`` or of the activity
        export, as a mapping. One that cannot be read is a row that says why. Raises `NotFound` of an empty catalog,
        `StoreError`, and `UsageError` for what is none of these and, as reading goes on, for a file that is none.
        """
        if isinstance(bills, str | Path):
            numbered = read_file(Path(bills))
        elif isinstance(bills, Bill) or mapping(bills) is not None:
            numbered = iter([(1, bills)])
        elif isinstance(bills, Iterable) and not isinstance(bills, bytes | bytearray | memoryview):
            numbered = enumerate(bills, start=1)
        else:
            raise UsageError(f"bills are a file, a bill, or many of them, not {shown(bills)}")
        return Reconciler(self._database, self._book).rows(numbered)

    def history(self, name: str) -> dict[str, Any]:
        """Every change of one model that OpenRouter served, oldest first, and its prices over time.

        ``entries`` are the lines of a plan (``what``, ``field``, ``before``, ``after``) with the instant ``at`` of the
        first capture that shows it; ``prices`` are rates in USD per unit as decimal strings, each with ``from`` and
        ``to``; ``is_held`` marks those that the gate held and nobody confirmed. Raises `NotFound`.
        """
        if not self._database.require_schema():
            raise NotFound(_EMPTY)
        with self._database.read() as connection:
            model_id = _known(connection, name)
            timeline = history.timeline_of(connection, model_id)
            rates = prices.of(connection, model_id)
            first = history.first_capture(connection)
        if not timeline:
            raise NotFound(
                f"{model_id} has no history: OpenRouter has not served it to this catalog yet (it comes from the "
                "bootstrap facts). Run `llmhive sync`."
            )
        return {
            "id": model_id,
            "name": timeline[-1][1].version.model.name,
            "is_listed": timeline[-1][1].is_listed,
            "history_begins": None if first is None else instant(first),
            "entries": _entries(timeline, first),
            "prices": rates,
        }

    def diff(self, before: datetime | str, after: datetime | str | None = None) -> dict[str, Any]:
        """What changed between two instants of what OpenRouter served, or snapshots of what was believed (by name).

        Without `after` until now: what is served, or after a snapshot what is believed. ``changes`` are lines of a
        plan: ``{id, what, field, before, after}``. Raises `NotFound` and `UsageError`.
        """
        if not self._database.require_schema():
            raise NotFound(_EMPTY)
        now = wiring.now()
        with self._database.read() as connection:
            old = self._beliefs(connection, before)
            if after is None and isinstance(before, str):
                new = {model_id: row.belief for model_id, row in catalog.rows(connection).items()}
            else:
                new = self._beliefs(connection, now if after is None else after)
        return {
            "from": _told(before),
            "to": _told(now if after is None else after),
            "models_before": sum(belief.is_active for belief in old.values()),
            "models": sum(belief.is_active for belief in new.values()),
            "changes": [change.to_json() for change in between(old, new)],
        }

    def _beliefs(self, connection: Any, at: datetime | str) -> dict[str, Belief]:
        if isinstance(at, str):
            taken = snapshots.get(connection, at)
            return {model_id: row.belief for model_id, row in snapshots.read(connection, taken).items()}
        covered(connection, at)
        return {
            model_id: Belief(since.listing.version, since.listing.is_listed, None)
            for model_id, since in history.as_of(connection, at).items()
        }

    def changes(
        self, since: datetime, until: datetime | None = None, *, model: str | None = None
    ) -> list[dict[str, Any]]:
        """What happened at OpenRouter and was confirmed, once each, the newest first: added, removed, returned,
        repriced, limits, capabilities, expiry, alias. `since` and `until` (excluded) are instants of ``happened_at``;
        with `model` only what happened to that one. Raises `NotFound` for an unknown model.
        """
        if not self._database.require_schema():
            if model is not None:
                raise NotFound(_EMPTY)
            return []
        with self._database.read() as connection:
            model_id = None if model is None else _known(connection, model)
            return changes.between(connection, since, until, model_id=model_id)

    def snapshots(self) -> list[dict[str, Any]]:
        """The snapshots, the newest first; ``is_pinned`` tells the one that is believed whatever OpenRouter says."""
        if not self._database.require_schema():
            return []
        with self._database.read() as connection:
            pinned = catalog.state(connection).pinned
            return [it.to_json() | {"is_pinned": it.name == pinned} for it in snapshots.all_of(connection)]

    def model(self, model_id: str) -> dict[str, Any]:
        """One model (design 3.6, *Model*), active or not, by its id, its canonical slug, or the part after the author
        where only one model has it; upper and lower case are the same.

        Raises `NotFound`, saying why: never seen, with near names, or an empty catalog.
        """
        if not self._database.require_schema():
            raise NotFound(_EMPTY)
        with self._database.read() as connection:
            row = browse.model(connection, browse.meant(connection, model_id))
            standing = browse.standing(connection)
        content = Version.stored(row["version"], row["document"], row["text"]).model
        as_of = standing.as_of
        facts = {"catalog_version": standing.state.catalog_version, "as_of": None if as_of is None else instant(as_of)}
        return document.whole(row, as_of, content) | facts

    def runs(self, limit: int = 20, offset: int = 0) -> list[Run]:
        """The newest runs first."""
        if not self._database.require_schema():
            return []
        with self._database.read() as connection:
            return runs.recent(connection, limit, offset=offset)

    def count_runs(self) -> int:
        """How many runs there are."""
        if not self._database.require_schema():
            return 0
        with self._database.read() as connection:
            return sum(count for *_, count in runs.tally(connection))

    def run(self, run_id: int) -> Run:
        """One run with its plan and verdicts; raises `NotFound`."""
        if not self._database.require_schema():
            raise NotFound(f"There is no run {run_id}: nothing has been synced yet. Run `llmhive sync`.")
        with self._database.read() as connection:
            return runs.get(connection, run_id)

    def last_run(self, kind: Kind) -> Run | None:
        """The last finished run of a kind, however it ended."""
        if not self._database.require_schema():
            return None
        with self._database.read() as connection:
            return runs.last_finished(connection, kind)

    def last_list(self) -> Run | None:
        """The run that last brought the model list: a regular one, or a research run, even if a step of it failed."""
        if not self._database.require_schema():
            return None
        with self._database.read() as connection:
            found = [runs.last_success(connection, kind) for kind in ("regular", "research")]
            found.append(runs.last_finished(connection, "research"))
        listed = [it for it in found if it is not None and (it.status in DONE or it.catalog_version is not None)]
        return max(listed, key=lambda it: it.started_at, default=None)

    def status(self) -> dict[str, Any]:
        """What the status endpoint says (design 3.2), as JSON values."""
        now = wiring.now()
        status: dict[str, Any] = {
            "last_sync_time": None,
            "last_sync_status": None,
            "models_in_catalog": 0,
            "last_sync_duration_seconds": None,
            "next_scheduled_sync": instant(next_time(self._settings.schedule, now)),
            "next_scheduled_research": instant(next_time(self._settings.research_schedule, now)),
            "last_success_time": None,
            "last_error": None,
            "last_research_time": None,
            "last_research_status": None,
            "last_research_error": None,
            "rankings_as_of": None,
            "running": None,
            "catalog_version": 0,
            "catalog_age_seconds": None,
            "source": None,
            "held": 0,
            "held_values": 0,
            "alerts_pending": 0,
            "pinned": None,
            "database": self._database.label,
        }
        if not self._database.require_schema():
            return status
        with self._database.read() as connection:
            last = runs.last_finished(connection, "regular")
            success = runs.last_success(connection, "regular")
            research = runs.last_finished(connection, "research")
            running = runs.running(connection)
            leaderboard = ranked.current(connection, "leaderboard")
            standing = browse.standing(connection)
            state, as_of = standing.state, standing.as_of
            status["models_in_catalog"] = catalog.count_active(connection)
            status["held"] = int(captures.is_anything_held(connection, "all"))
            status["held_values"] = catalog.count_held(connection)
            status["alerts_pending"] = alerts.pending(connection)
        status["catalog_version"] = state.catalog_version
        status["source"] = state.source
        status["pinned"] = state.pinned
        if as_of is not None:
            status["catalog_age_seconds"] = round(max(now - as_of, timedelta(0)).total_seconds(), 1)
        if last is not None and last.finished_at is not None:
            status["last_sync_time"] = instant(last.finished_at)
            # an answer without news is a sync that worked
            status["last_sync_status"] = "completed" if last.status == "unchanged" else last.status
            status["last_sync_duration_seconds"] = last.duration_seconds
            status["last_error"] = last.error
        if research is not None and research.finished_at is not None:
            status["last_research_time"] = instant(research.finished_at)
            status["last_research_status"] = "completed" if research.status == "unchanged" else research.status
            status["last_research_error"] = research.error
        if leaderboard is not None:
            status["rankings_as_of"] = leaderboard.as_of
        if success is not None and success.finished_at is not None:
            status["last_success_time"] = instant(success.finished_at)
        if running is not None:
            status["running"] = {"id": running.id, "kind": running.kind, "started_at": instant(running.started_at)}
        return status


def _entries(timeline: list[tuple[datetime, Listing]], first: datetime | None) -> list[dict[str, Any]]:
    """The steps of a timeline as lines of a plan."""
    entries = []
    before: Listing | None = None
    for at, listing in timeline:
        lines: list[dict[str, Any]] = []
        name = listing.version.model.name
        if before is None:
            # what the very first capture lists was there before it
            what = "added" if first is None or at > first else "listed"
            lines.append({"what": what, "field": None, "before": None, "after": name})
        elif before.is_listed != listing.is_listed:
            what = "reactivated" if listing.is_listed else "deactivated"
            lines.append({"what": what, "field": LISTED, "before": before.is_listed, "after": listing.is_listed})
        if before is not None and listing.is_listed and before.version != listing.version:
            found = compare(before.version.model, listing.version.model)
            lines += [{key: value for key, value in it.to_json().items() if key != "id"} for it in found]
        entries += [{"at": instant(at)} | line for line in lines]
        before = listing
    return entries


def _known(connection: Any, name: str) -> str:
    """The id that a name means, of the models that have a history, in the catalog or not; raises `NotFound`."""
    return name if browse.is_served(connection, name) else browse.meant(connection, name)


def _told(at: datetime | str) -> str:
    return at if isinstance(at, str) else instant(at)
