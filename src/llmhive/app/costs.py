"""What a usage costs, and what a file of them does: `Catalog.cost` and `Catalog.price_file`.

`library.Catalog` has all of it; prices come from the `PriceBook`, the rule is in `catalog.cost`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from llmhive.app import wiring
from llmhive.app.pricebook import Known, PriceBook, Subject, meant
from llmhive.catalog.cost import Tariffs
from llmhive.catalog.preferences import Preferences
from llmhive.catalog.price import Step
from llmhive.catalog.receipt import Receipt
from llmhive.catalog.routing import Bounds, bounds
from llmhive.catalog.usage import Usage, shown
from llmhive.errors import Unpriced, UsageError
from llmhive.store import rates
from llmhive.store.database import Database

if TYPE_CHECKING:
    from llmhive.app.bulk.pricing import Summary
    from llmhive.app.bulk.table import Name
    from llmhive.app.bulk.table import Subject as Meant

#: Clocks of two machines may differ by so much.
_AHEAD = timedelta(minutes=5)
#: Of so long ago the endpoints are as they are now, and so is how they fare.
_LATELY = timedelta(hours=1)


class Costs:
    """Prices usages with the catalog of a database; a missing one raises `NotFound`."""

    _database: Database
    _book: PriceBook

    def cost(
        self,
        model: str,
        usage: Usage | Mapping[str, Any],
        *,
        at: datetime | date | str | None = None,
        known_at: datetime | date | str | None = None,
        provider: str | None = None,
        tier: str | None = None,
        is_byok: bool | None = None,
        has_fee: bool = False,
        bounds: bool | Preferences | Mapping[str, Any] = False,
        sealed: bool = False,
    ) -> Receipt:
        """What a usage costs under the price in force at an instant; without one, now.

        `usage` is a `Usage`, or the ``usage`` object of OpenRouter, OpenAI or Anthropic as it is. An instant may be
        written in ISO 8601; a day means its beginning in UTC. `provider` and `tier` say who served it and how: its
        endpoint's price is used where it is known. `known_at` takes the price that this catalog believed in at that
        instant instead (for audits); `at` is then only when the request was.

        `is_byok`: with one's own key (None: as the usage says), `has_fee` when the month's allowance is used up.
        `bounds` adds lowest, expected and highest over the endpoints, under OpenRouter's ``provider`` preferences where
        they are given. `sealed` adds what the price was read from, and a digest, for `verify`.

        Raises `NotFound` of a model never seen, `Unpriced` where there is no known price, `UsageError` for a usage that
        cannot be read and for an instant without a time zone, and `StoreError`.
        """
        known = self._book.known()
        if isinstance(usage, Usage):
            used = usage
        else:
            used = Usage.of(usage)
            if is_byok is None:
                is_byok = _says_byok(usage)
        doubts: tuple[str, ...] = ()
        if known_at is not None:
            if provider is not None or tier is not None:
                raise UsageError("What was believed is the listed price: leave out provider and tier with known_at.")
            known_at = _utc(known_at)
            at = known_at if at is None else _utc(at)
            subject, (step, tariffs) = self._believed(known, model, known_at)
        else:
            at = wiring.now() if at is None else _utc(at)
            try:
                subject = known.subjects[model, provider, tier]
            except (KeyError, TypeError):
                # only names that mean something are kept: those are not looked at again
                _check_names(model, provider, tier)
                subject = self._book.subject(known, model, provider, tier)
            priced = subject.find(at)
            if priced is None:
                raise Unpriced(_why_none(known, subject, at))
            if at > known.settled_until:
                doubts = known.doubts
            step, tariffs = priced
        tariff = tariffs.at(used.prompt, at) if used.requests <= 1 else tariffs.at(used.prompt // used.requests, at)
        if used.requests > 1:
            doubts += tuple(tariffs.doubts_of_sum(used))
        receipt = Receipt(
            subject.model_id, at, used, step, tariff, tariff.charge(used), bool(is_byok), has_fee, doubts, known_at,
            provider, tier,
        )  # fmt: skip
        if subject.suffix or bounds is not False or sealed:
            receipt = self._added(receipt, subject, bounds, sealed)
        return receipt

    def _believed(self, known: Known, model: str, known_at: datetime) -> tuple[Subject, tuple[Step, Tariffs]]:
        _check_names(model)
        model_id, suffix = meant(known.names, model)
        with self._database.read() as connection:
            step = rates.believed(connection, model_id, known_at)
        if step is None:
            raise Unpriced(f"{model_id}: this catalog believed in no price of it at {_at(known_at)}.")
        subject = Subject(model_id, [step], suffix)
        priced = subject.find(max(step.begin, known_at))
        assert priced is not None
        return subject, priced

    def _added(
        self, receipt: Receipt, subject: Subject, wanted: bool | Preferences | Mapping[str, Any], sealed: bool
    ) -> Receipt:  # fmt: skip
        found: Bounds | None = None
        if wanted is not None and not isinstance(wanted, bool | Preferences | Mapping):
            raise UsageError(
                f"bounds are asked for with True, `Preferences` or OpenRouter's `provider` object, not {shown(wanted)}."
            )
        if wanted is not False and wanted is not None:
            if isinstance(wanted, Mapping):
                wanted = Preferences.of(wanted)
            preferences = (wanted if isinstance(wanted, Preferences) else Preferences()).with_suffix(subject.suffix)
            found = self._bounds(receipt, preferences)
        source = None
        if sealed:
            with self._database.read() as connection:
                source = rates.source_of(connection, receipt.step)
        return msgspec.structs.replace(receipt, bounds=found, source=source, is_sealed=sealed)

    def _bounds(self, receipt: Receipt, preferences: Preferences) -> Bounds:
        at, usage = receipt.at, receipt.usage
        is_past = receipt.step.end is not None or at < wiring.now() - _LATELY

        def charge(pricing: Any) -> Any:
            try:
                return Tariffs(pricing).at(usage.prompt // max(usage.requests, 1), at).charge(usage)
            except Unpriced:
                return None

        with self._database.read() as connection:
            candidates = rates.of_offers(connection, receipt.model, at if is_past else None)
        return bounds(candidates, preferences, charge, at)

    # --- files

    def price_file(
        self,
        source: Path | str,
        target: Path | str | None = None,
        *,
        columns: Mapping[str, str] | None = None,
        at: datetime | None = None,
        engine: Literal["duckdb", "spark"] = "duckdb",
        master: str | None = None,
        progress: Callable[[str, float | None], None] | None = None,
    ) -> Summary:
        """Price every row of a file of usages, exactly as `cost` does, and write it with what is added to `target`.

        `columns` says which column holds what (``{"prompt": "tokens_in"}``) where that is not recognised by its name;
        `at` prices all rows at one instant. `engine` ``spark`` runs the same statements on the cluster of `master`.
        `progress` is told of each stage, and how much of it is done (None: not known). Raises `UsageError` for a file
        that cannot be read, written or understood, and where the engine is not installed.
        """
        from llmhive.app.bulk.columns import Columns
        from llmhive.app.bulk.pricing import price_file, quiet

        return price_file(
            Path(source), None if target is None else Path(target), Columns(columns or {}, at), _PriceList(self._book),
            engine=engine, master=master, progress=progress or quiet,
        )  # fmt: skip


class _PriceList:
    """The price book, as files of usages ask it."""

    def __init__(self, book: PriceBook) -> None:
        self._book = book

    @property
    def begins(self) -> datetime | None:
        """When history does."""
        return self._book.known().first

    def resolve(self, names: Iterable[Name]) -> dict[Name, Meant]:
        """What each name means, and what it cost when; of later than now nothing, and of lately with a doubt."""
        from llmhive.app.bulk.table import Subject as Meant

        known = self._book.known()
        asked = {name: (name.model, name.provider, name.tier) for name in names}
        found = self._book.subjects(asked.values())
        meant: dict[Name, Meant] = {}
        for name, key in asked.items():
            it = found[key]
            meant[name] = (
                Meant(None, (), it) if isinstance(it, str) else Meant(it.model_id, self._told(known, it.steps))
            )
        return meant

    def _told(self, known: Known, steps: Iterable[Step]) -> list[Step]:
        found: list[Step] = []
        now, replace = wiring.now() + _AHEAD, msgspec.structs.replace
        doubted = known.settled_until + timedelta(microseconds=1)
        for step in steps:
            end = now if step.end is None else step.end
            for first, last, doubts in (
                (step.begin, min(end, doubted), ()), (max(step.begin, doubted), end, known.doubts),
            ):  # fmt: skip
                if first < last:
                    told = (*step.incomplete, *doubts)
                    since = step.since or step.begin
                    found.append(replace(step, begin=first, end=last, since=since, incomplete=told))
            if step.end is None:
                why = "it is in the future: nothing is known of it yet."
                found.append(replace(step, begin=now, pricing=None, why=why))
        return found


def _at(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _check_names(model: object, *others: object) -> None:
    """Raise `UsageError` for a name that is none: a model, and where they are told a provider and a tier."""
    for what, name in zip(("model", "provider", "tier"), (model, *others), strict=False):
        if what != "model" and name is None:
            continue
        if not isinstance(name, str):
            told = "" if name is None else f", not {shown(name)}"
            example = {"model": "openai/gpt-4o", "provider": "Azure", "tier": "flex"}[what]
            raise UsageError(f"{what} is a name such as {example!r}{told}: say which one is meant.")
        if not name.strip():
            raise UsageError(f"{what} is empty: {'say which one is meant' if what == 'model' else 'leave it out'}.")


def moment(at: datetime | date | str) -> datetime:
    """An instant by the UTC clock, which time windows go by; raises `UsageError` for what is none."""
    if not isinstance(at, datetime):
        at = _read(at)
    if at.tzinfo is None:
        raise UsageError(f"{at} has no time zone: say which instant is meant, as {at:%Y-%m-%dT%H:%M}Z.")
    return at if at.tzinfo is UTC else at.astimezone(UTC)


def _utc(at: datetime | date | str) -> datetime:
    """As `moment`; raises `UsageError` for the future, too."""
    at = moment(at)
    if at > wiring.now() + _AHEAD:
        raise UsageError(f"{_at(at)} is in the future: nothing is known of its prices yet.")
    return at


def _read(at: object) -> datetime:
    """An instant that is told as a day, or in ISO 8601."""
    try:
        if isinstance(at, str):
            is_day = len(at) <= 10
            return datetime.combine(date.fromisoformat(at), time(), UTC) if is_day else datetime.fromisoformat(at)
    except ValueError:
        pass
    if isinstance(at, date):
        return datetime.combine(at, time(), UTC)
    raise UsageError(
        f"{shown(at)} is no instant: give a datetime with a time zone, a date, or text such as '2026-05-01T12:00Z'."
    )


def _says_byok(usage: Mapping[str, Any]) -> bool:
    told = (usage, usage.get("usage"), usage.get("data"))
    return any(isinstance(it, Mapping) and it.get("is_byok") is True for it in told)


def _why_none(known: Known, subject: Subject, at: datetime) -> str:
    """Why there is no price of a known model at an instant."""
    model_id, steps = subject.model_id, subject.steps
    if not steps:
        return f"{model_id} has no known price: OpenRouter has not served it to this catalog. Run `llmhive sync`."
    if known.first is None:
        return (
            f"Nothing is known of {_at(at)}: there are only the facts shipped with LLMHive, of {_at(steps[0].begin)}. "
            "`llmhive sync` begins a history, `llmhive backfill PATH` takes in older captures."
        )
    if at < known.first:
        return (
            f"Nothing is known of {_at(at)}: history begins {_at(known.first)}. "
            "`llmhive backfill PATH` takes in older captures."
        )
    before = [step.end for step in steps if step.end is not None and step.end <= at]
    after = [step.begin for step in steps if step.begin > at]
    told = [f"until {_at(before[-1])}"] if before else []
    told += [f"from {_at(after[0])}"] if after else []
    return f"{model_id} was not listed at {_at(at)}; it was {' and '.join(told)}."
