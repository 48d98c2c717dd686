"""Why a peer's figure differs from ours, worked out without our own code: from JSON as served and the peer's own rates.

A reason is a change of one rate, or a habit of counting, that turns what the capture says into what the peer says. All
reasons of a figure together must give exactly that figure, and none may be left out; otherwise it is unexplained.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from itertools import combinations
from typing import Any, NamedTuple

import msgspec

from tests.support import captures

#: unit → USD per one, in force for one request
Rates = dict[str, Decimal]
#: Peers count in binary floats: figures and rates this close are one.
CLOSE = Decimal("1e-9")
#: The units the usages below touch, in the order in which reasons are told.
UNITS = ("prompt", "completion", "input_cache_read", "input_cache_write", "internal_reasoning", "request")
CONDITIONS = {"min_prompt_tokens", "utc_start", "utc_end", "utc_days"}
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Ask(NamedTuple):
    """A request to price; counts as OpenRouter's `usage` has them, the prompt with what was cached and written."""

    name: str
    prompt: int
    completion: int
    cached: int = 0
    written: int = 0
    reasoning: int = 0


class Habit(NamedTuple):
    """A way of counting that is not OpenRouter's."""

    reason: str


NO_READS = Habit("no rate of cache reads, which are then charged nothing")
NO_WRITES = Habit("no rate of cache writes, which are then charged nothing")
WRITES_BESIDE = Habit("cache writes charged beside the prompt, which has them")
HABITS = (NO_READS, NO_WRITES, WRITES_BESIDE)


def number(value: object) -> Decimal:
    """The number that JSON text or a float shows."""
    return value if isinstance(value, Decimal) else Decimal(str(value))


def same(one: Decimal | None, other: Decimal | None) -> bool:
    """Whether two rates or figures are one, floats allowed for."""
    if one is None or other is None:
        return one is other
    return one == other or abs(one - other) <= CLOSE * max(abs(one), abs(other))


# --- what was served


def rates_of(pricing: Mapping[str, Any], prompt: int, at: datetime, *, is_base: bool = False) -> Rates:
    """The rates that the JSON of a pricing puts in force; `is_base`: as if it had no overrides."""
    rates = {unit: number(rate) for unit, rate in pricing.items() if unit not in {"overrides", "discount"}}
    overrides = pricing.get("overrides")
    for entry in overrides if isinstance(overrides, list) and not is_base else ():
        if holds(entry, prompt, at):
            rates |= {unit: number(rate) for unit, rate in entry.items() if unit not in CONDITIONS}
    return {unit: rate for unit, rate in rates.items() if rate or unit in {"prompt", "completion"}}


def holds(entry: Mapping[str, Any], prompt: int, at: datetime) -> bool:
    """Whether an override is in force."""
    if prompt <= entry.get("min_prompt_tokens", -1):
        return False
    start, end = entry.get("utc_start", 0), entry.get("utc_end", 0) or 2400
    now, day = at.hour * 100 + at.minute, at
    if start < end:
        inside = start <= now < end
    else:
        inside, day = now >= start or now < end, at if now >= start else at - timedelta(days=1)
    return inside and ("utc_days" not in entry or DAYS[day.weekday()] in entry["utc_days"])


class _Row(msgspec.Struct):
    id: str
    pricing: msgspec.Raw


class _List(msgspec.Struct):
    data: list[_Row]


@dataclass
class Past:
    """Every pricing a model was listed with, by the time of the first capture that has it."""

    since: list[datetime] = field(default_factory=list)
    pricings: list[dict[str, Any]] = field(default_factory=list)
    raw: bytes = b""

    def found(self, unit: str, rate: Decimal | None, ask: Ask, now: datetime) -> datetime | None:
        """When a rate that is not the one in force `now` was, or came to be: the end of the last such time before, or
        else the start of the first one after; None where it is in no capture.
        """
        here = bisect_right(self.since, now) - 1
        for place in (*range(here - 1, -1, -1), *range(here + 1, len(self.since))):
            at, pricing = self.since[place], self.pricings[place]
            listed = {
                it.get(unit) for it in (rates_of(pricing, ask.prompt, at), rates_of(pricing, 0, at, is_base=True))
            }
            if any(same(rate, it) for it in listed):
                when: datetime = self.since[place + 1] if place < here else at
                return when
        return None


def history() -> tuple[datetime, bytes, dict[str, Past]]:
    """The newest capture of the two years, with its time, and the past (and five days more) of each model."""
    decoder = msgspec.json.Decoder(_List)
    past: dict[str, Past] = {}
    newest = None
    for kind in ("history-12h", "all-modalities-daily"):
        for at, body in captures(kind):
            if kind == "history-12h":
                newest = at, body
            elif newest is None or at <= newest[0]:
                continue
            for row in decoder.decode(body).data:
                known = past.setdefault(row.id, Past())
                if (raw := bytes(row.pricing)) != known.raw:
                    known.raw = raw
                    known.since.append(at)
                    known.pricings.append(json.loads(raw))
    assert newest is not None
    return *newest, past


# --- the reckoning


def reckon(rates: Rates, ask: Ask, habits: Iterable[Habit] = ()) -> Decimal | None:
    """The cost of a request by hand; None where its price is not known."""
    prompt, completion = rates.get("prompt"), rates.get("completion")
    if prompt is None or completion is None:
        return None
    with localcontext(prec=60):
        read = rates.get("input_cache_read", Decimal(0) if NO_READS in habits else prompt)
        write = rates.get("input_cache_write", Decimal(0) if NO_WRITES in habits else prompt)
        thought = rates.get("internal_reasoning", completion)
        plain = ask.prompt - ask.cached - (0 if WRITES_BESIDE in habits else ask.written)
        return (
            plain * prompt + ask.cached * read + ask.written * write + rates.get("request", Decimal(0))
            + (ask.completion - ask.reasoning) * completion + ask.reasoning * thought
        )  # fmt: skip


class Answer(NamedTuple):
    """What a peer says of a request."""

    cost: Decimal
    rates: Rates  #: what it lists for a request like this; empty: nothing


class Reason(NamedTuple):
    """One of the reasons of a figure."""

    name: str
    detail: str = ""  #: which rate, and when it was in force


def explain(answer: Answer, ask: Ask, row: Mapping[str, Any], past: Past, at: datetime) -> list[Reason] | None:
    """Why an answer is not what a row of the capture says; None: unexplained."""
    pricing = row["pricing"]
    served = _following(rates_of(pricing, ask.prompt, at))
    if served["prompt"] < 0 or served["completion"] < 0:
        if answer.cost < 0:
            return [Reason("negative price charged")]
        return None if answer.cost else [Reason("price that is decided per request counted as zero")]
    if not answer.rates:
        is_free = row["id"].endswith(":free") or row["architecture"]["output_modalities"] == ["text"]
        is_known = is_free and not reckon(served, ask)
        return None if answer.cost or is_known else [Reason("unknown price counted as zero")]
    listed = _following(answer.rates)
    changes = {unit: listed.get(unit) for unit in UNITS if not same(served.get(unit), listed.get(unit))}

    def gives(changes: dict[str, Decimal | None], habits: Iterable[Habit]) -> bool:
        rates = {unit: rate for unit, rate in (served | changes).items() if rate is not None}
        return same(reckon(rates, ask, habits), answer.cost)

    sets = (set(them) for size in range(len(HABITS) + 1) for them in combinations(HABITS, size))
    habits = next((them for them in sets if gives(changes, them)), None)
    if habits is None or not (changes or habits):
        return None
    for unit in tuple(changes):
        fewer = {name: rate for name, rate in changes.items() if name != unit}
        if gives(fewer, habits):
            changes = fewer
    base = _following(rates_of(pricing, 0, at, is_base=True))
    reasons = [Reason(habit.reason) for habit in HABITS if habit in habits]
    for unit, rate in changes.items():
        habit = {"input_cache_read": NO_READS, "input_cache_write": NO_WRITES}.get(unit)
        if rate is not None or habit not in habits:
            reasons.append(_reason(unit, rate, served, base, ask, past, at))
    return reasons


def _following(rates: Rates) -> Rates:
    """Without a rate of reasoning that is the one of completion."""
    thought = rates.get("internal_reasoning")
    if thought is not None and same(thought, rates.get("completion")):
        return {unit: rate for unit, rate in rates.items() if unit != "internal_reasoning"}
    return rates


_LACKS = {
    "input_cache_read": "no rate of cache reads, which are then charged as plain prompt",
    "input_cache_write": "no rate of cache writes, which are then charged as plain prompt",
    "internal_reasoning": "no rate of reasoning, which is then charged as completion",
    "request": "no price per request",
}


def _reason(unit: str, rate: Decimal | None, served: Rates, base: Rates, ask: Ask, past: Past, at: datetime) -> Reason:
    now = served.get(unit)
    if not same(now, base.get(unit)) and same(rate, base.get(unit)):
        return Reason("overrides ignored (long prompts, times of day)", unit)
    if rate is None:
        return Reason(_LACKS[unit])
    detail = f"{unit} {rate:f}, served {'none' if now is None else f'{now:f}'}"
    if now and is_rounded(rate, now):
        return Reason("rate rounded", detail)
    when = past.found(unit, rate, ask, at)
    if when is None:
        return Reason("free model charged" if now == 0 else "rate that no capture has", detail)
    if when <= at:
        return Reason("stale rate", f"{detail} since {when:%Y-%m-%d}")
    return Reason("rate of a later capture", f"{detail} until {when:%Y-%m-%d}")


def is_rounded(rate: Decimal, exact: Decimal) -> bool:
    """Whether a rate is another one to fewer places, no fewer than two of its digits being kept."""
    short = rate.normalize().as_tuple()
    assert isinstance(short.exponent, int)
    return len(short.digits) >= 2 and abs(rate - exact) <= Decimal(1).scaleb(short.exponent) / 2
