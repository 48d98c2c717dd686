"""Price over time: what a model, or a model at one endpoint, charged when, as sorted steps; pure.

A *step* is a pricing and how long it was in force; where there is none, the model was not listed. What one request cost
and what a billion rows cost is read from the same steps. What was never confirmed is replaced by what was (design 4.7).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import msgspec

from llmhive.catalog.hold import PRICING
from llmhive.catalog.model import Model, instant
from llmhive.catalog.pricing import (
    ConditionValue,
    Kind,
    Override,
    Pricing,
    canonical,
    plain,
    tiled_units,
)

#: Captures are taken twice a day at least: a price may have changed so long before it was seen, and a catalog whose
#: last capture is older may have missed one.
GAP = timedelta(hours=13)
DYNAMIC = "its price is decided per request (dynamic): price the concrete model that answered, `model` of the response."
UNKNOWN = "OpenRouter lists no known price for it at that time."
#: What a price was read from: the model list, an endpoint, or the facts of the bootstrap.
Source = Literal["catalog", "endpoint", "bootstrap"]
_HEADLINE = ("prompt", "completion")
_READ_CONDITION = msgspec.json.Decoder(dict[str, int | str | tuple[str, ...]])


class Step(msgspec.Struct, frozen=True):
    """What a subject charges during [begin, end), aware UTC."""

    begin: datetime
    end: datetime | None
    pricing: Pricing | None  #: None: cannot be priced, and `why` says it
    why: str | None  #: a sentence about "it"
    source: Source
    model_id: str
    notes: tuple[str, ...] = ()  #: what a reader of the price wants to know: a held rate, a discount
    incomplete: tuple[str, ...] = ()  #: what makes the price doubtful
    tag: str | None = None  #: of the endpoint
    provider: str | None = None  #: who serves it, as endpoints name it
    key: str | None = None  #: of the endpoint: its tag, or ``tag#2``
    since: datetime | None = None  #: since when the price is in force, where the step was cut; None: since its begin
    held: tuple[str, ...] = ()  #: what was held and never confirmed: ``pricing``, a unit, or ``unit#2`` of override 2

    def holds(self, at: datetime) -> bool:
        """Whether it is in force at an instant."""
        return self.begin <= at and (self.end is None or at < self.end)

    def to_json(self) -> dict[str, Any]:
        """Where a price is from, as scripts see it."""
        return {
            "source": self.source,
            "from": instant(self.since or self.begin),
            "to": None if self.end is None else instant(self.end),
            "provider": self.provider,
            "tag": self.tag,
        }


class Rate(NamedTuple):
    """A row of `model_price`."""

    unit: str
    position: int  #: 0 is the base, then the order of overrides
    rate: Decimal | None  #: USD per unit; None: not a known number
    condition: str | None  #: JSON; None for the base
    begin: datetime
    end: datetime | None
    is_held: bool


class Listed(NamedTuple):
    """A while in which a model was listed, and of what kind its pricing was then."""

    begin: datetime
    end: datetime | None
    kind: Kind


class Mark(NamedTuple):
    """What the gate said of a price: of one unit (``pricing.UNIT``), or of all of it (``pricing``)."""

    at: datetime
    field: str
    is_held: bool


# --- a model


def catalog_steps(
    model_id: str, rates: Iterable[Rate], listed: Iterable[Listed] = (), marks: Iterable[Mark] = (),
    flags: Iterable[str] = (),
) -> list[Step]:  # fmt: skip
    """The steps of one model, from its rows of `model_price` in any order.

    `listed` must tell of every while in which prompt or completion have no known base rate, since its rows cannot;
    `marks` what the gate said, where any row is held; `flags` what of its record is not understood now.
    """
    rows = [it for it in rates if it.end is None or it.begin < it.end]
    whiles = [it for it in listed if it.end is None or it.begin < it.end]
    holds = _Holds(rows, marks) if any(it.is_held for it in rows) else None
    begun: dict[datetime, list[Rate]] = {}
    ended: dict[datetime, list[Rate]] = {}
    for it in rows:
        begun.setdefault(it.begin, []).append(it)
        if it.end is not None:
            ended.setdefault(it.end, []).append(it)
    points = begun.keys() | ended.keys() | {at for it in whiles for at in (it.begin, it.end) if at is not None}
    if holds is not None:
        points |= holds.starts
    active: dict[tuple[int, str], Rate] = {}
    steps: list[Step] = []
    ordered = sorted(points)
    for begin, end in zip(ordered, [*ordered[1:], None], strict=False):
        for it in ended.get(begin, ()):
            active.pop((it.position, it.unit), None)
        for it in begun.get(begin, ()):
            active[it.position, it.unit] = it
        kind = next((it.kind for it in whiles if it.begin <= begin and (it.end is None or begin < it.end)), None)
        if active or kind is not None:
            found = Found(active.values()) if holds is None else holds.believable(active.values(), begin)
            append(steps, step_of(found, kind, begin, end, model_id, "catalog"))
    if steps and steps[-1].end is None:
        doubts = tuple(_strange(flags, steps[-1]))
        steps[-1] = msgspec.structs.replace(steps[-1], incomplete=(*steps[-1].incomplete, *doubts))
    return steps


def _strange(flags: Iterable[str], step: Step) -> Iterator[str]:
    """What of a pricing as served is not even a rate; that a unit is not known is for the cost to say."""
    units = {unit for unit, _ in step.pricing.rates} if step.pricing else set()
    for flag in flags:
        what, _, where = flag.partition(": ")
        unit = where.removeprefix("pricing.")
        if what == "unknown key" and where != unit and not unit.startswith("overrides.") and unit not in units:
            yield f"the pricing has {unit}, which is no rate that this version knows: it is not charged"
        elif what == "wrong type" and "pricing" in where:
            yield f"{where} is not understood: it is not charged"


class Found:
    """The rates in force at some instant, some of which may be unknown, and what is to be said of them."""

    __slots__ = ("held", "incomplete", "is_replaced", "notes", "overrides", "rates")

    def __init__(self, rows: Iterable[Rate]) -> None:
        self.rates: dict[str, Decimal | None] = {}
        self.overrides: list[tuple[tuple[tuple[str, ConditionValue], ...], dict[str, Decimal | None]]] = []
        self.notes: list[str] = []
        self.incomplete: list[str] = []
        self.held: list[str] = []
        self.is_replaced = False
        places: dict[int, list[Rate]] = {}
        for it in rows:
            if it.position:
                places.setdefault(it.position, []).append(it)
            else:
                self.rates[it.unit] = it.rate
        for _, its in sorted(places.items()):
            self.overrides.append((_conditions(its[0].condition), {it.unit: it.rate for it in its}))

    @classmethod
    def of(cls, pricing: Pricing, kind: Kind) -> Found:
        """Those of a pricing as served, in which a number may stand for something else."""
        found = cls(())
        found.rates = {
            unit: None if rate < 0 or (kind == "unknown" and not rate) else rate for unit, rate in pricing.rates
        }
        found.overrides = [
            (it.conditions, {unit: rate if rate >= 0 else None for unit, rate in it.rates})
            for it in pricing.overrides
            if it.rates
        ]
        return found


@lru_cache(maxsize=4096)
def _conditions(document: str | None) -> tuple[tuple[str, ConditionValue], ...]:
    return () if document is None else tuple(sorted(_READ_CONDITION.decode(document).items()))


class _Holds:
    """The rows that were held and never confirmed, and what to believe instead.

    A hold of a unit is one of its base rate, from the row's begin on. A hold of the whole pricing marks also the rows
    that did not change: only the gate's own words tell since when.
    """

    def __init__(self, rows: Sequence[Rate], marks: Iterable[Mark]) -> None:
        said = sorted(marks)
        #: row → since when its whole pricing is held
        self._wholes: dict[Rate, datetime] = {}
        #: rows that are held alone
        self._alone: set[Rate] = set()
        for it in (row for row in rows if row.is_held):
            mine = [mark for mark in said if it.begin <= mark.at and (it.end is None or mark.at < it.end)]
            since = None
            for mark in (mark for mark in mine if mark.field == PRICING):
                since = (since or mark.at) if mark.is_held else None
            if since is not None:
                self._wholes[it] = since
            is_told = any(mark.field == f"{PRICING}.{it.unit}" for mark in mine)
            if (since is None or is_told) and not (it.position and is_told):
                self._alone.add(it)
        self.starts = set(self._wholes.values())
        #: what a unit cost at a place, confirmed, oldest first
        self._confirmed: dict[tuple[str, int, str | None], list[Rate]] = {}
        for it in sorted(rows, key=lambda row: row.begin):
            if it not in self._alone and self._wholes.get(it) != it.begin:
                self._confirmed.setdefault((it.unit, it.position, it.condition), []).append(it)
        self._last: Found | None = None

    def believable(self, active: Iterable[Rate], at: datetime) -> Found:
        """The rates to believe; the instants must come in their order."""
        rows = list(active)
        since = min((self._wholes[it] for it in rows if it in self._wholes and self._wholes[it] <= at), default=None)
        if since is not None:
            return self._before(rows, since)
        found = Found(self._row(it) for it in rows)
        for it in rows:
            self._tell(it, found)
        if rows:
            self._last = found
        return found

    def _before(self, rows: Sequence[Rate], since: datetime) -> Found:
        """What was believed before all of a pricing was held."""
        held = f"pricing: the whole of it, served since {since:%Y-%m-%d}, was held and never confirmed"
        if self._last is None:
            found = Found(rows)
            found.incomplete.append(f"{held}, and there is none before.")
            return found
        found = Found(())
        found.rates, found.overrides, found.is_replaced = self._last.rates, self._last.overrides, True
        found.held.append(PRICING)
        found.notes.append(f"{held}; the last confirmed one is used.")
        return found

    def _row(self, row: Rate) -> Rate:
        before = self._replacement(row)
        return row if before is None else row._replace(rate=before.rate)

    def _replacement(self, row: Rate) -> Rate | None:
        if row not in self._alone:
            return None
        earlier = self._confirmed.get((row.unit, row.position, row.condition), [])
        return next((it for it in reversed(earlier) if it.begin < row.begin), None)

    def _tell(self, row: Rate, found: Found) -> None:
        if row not in self._alone:
            return
        before = self._replacement(row)
        where = row.unit if not row.position else f"{row.unit} (override {row.position})"
        held = f"{where}: the rate {_shown(row.rate)} served since {row.begin:%Y-%m-%d} was held and never confirmed"
        if before is None:
            found.incomplete.append(f"{held}, and there is none before.")
        else:
            found.notes.append(f"{held}; the last confirmed one, {_shown(before.rate)}, is used.")
            found.held.append(row.unit if not row.position else f"{row.unit}#{row.position}")
            found.is_replaced = True


def _shown(rate: Decimal | None) -> str:
    return "(no known number)" if rate is None else plain(rate)


def believed_step(model: Model, begin: datetime, end: datetime | None, *, is_active: bool, is_bootstrap: bool) -> Step:
    """What is believed of a model's price; of one that is not listed it says so."""
    source: Source = "bootstrap" if is_bootstrap else "catalog"
    if not is_active:
        return Step(begin, end, None, "OpenRouter no longer lists it at that time.", source, model.id)
    kind = model.pricing_kind
    return step_of(Found.of(model.pricing, kind), kind, begin, end, model.id, source)


# --- one step


def step_of(found: Found, kind: Kind | None, begin: datetime, end: datetime | None, model_id: str,
          source: Source) -> Step:  # fmt: skip
    """The rates of some instant as a step; `kind` None: prompt and completion are known."""
    why = _why(found, kind)
    if why is not None:
        return Step(begin, end, None, why, source, model_id, tuple(found.notes), tuple(found.incomplete))
    overrides, lost = [], []
    for conditions, its in found.overrides:
        known = {unit: rate for unit, rate in its.items() if rate is not None}
        lost += [f"{unit}: a condition's rate is not a known number." for unit in its if unit not in known]
        if known:
            overrides.append(Override(conditions, _sorted(known)))
    base = {unit: rate for unit, rate in found.rates.items() if rate is not None}
    lost += [f"{unit}: its rate is not a known number." for unit in found.rates if unit not in base]
    if absent := [unit for unit in _HEADLINE if unit not in base]:
        tiled = tiled_units(overrides)
        lost += [f"{unit}: it has a known rate only in its time windows." for unit in absent if unit not in tiled]
    pricing = Pricing(_sorted(base), tuple(overrides))
    return Step(
        begin, end, pricing, None, source, model_id, tuple(found.notes), (*found.incomplete, *sorted(lost)),
        held=tuple(sorted(found.held)),
    )  # fmt: skip


def _sorted(rates: Mapping[str, Decimal]) -> tuple[tuple[str, Decimal], ...]:
    return tuple((unit, canonical(rates[unit])) for unit in sorted(rates))


def _why(found: Found, kind: Kind | None) -> str | None:
    """Why there is no price; None: there is one."""
    if any(its.get(unit, 0) is None for _, its in found.overrides for unit in _HEADLINE):
        # only a negative one has no number there
        return DYNAMIC
    # what stands in the place of a held rate is of another kind
    known_kind = None if found.is_replaced else kind
    is_lacking = any(found.rates.get(unit) is None and not _is_scheduled(found, unit) for unit in _HEADLINE)
    if is_lacking or known_kind in {"dynamic", "unknown"}:
        return DYNAMIC if known_kind == "dynamic" else UNKNOWN
    return None


def _is_scheduled(found: Found, unit: str) -> bool:
    """Whether a unit has no base rate since time windows set it."""
    return unit not in found.rates and any(
        unit in its and Override(conditions, ()).is_schedule for conditions, its in found.overrides
    )


def append(steps: list[Step], step: Step) -> None:
    """Add the next step, or lengthen the last one where it says the same."""
    if steps and steps[-1].end == step.begin:
        last = steps[-1]
        joined = msgspec.structs.replace(step, begin=last.begin, since=last.since)
        if joined == msgspec.structs.replace(last, end=step.end):
            steps[-1] = msgspec.structs.replace(last, end=step.end)
            return
    steps.append(step)
