"""Prices as data: exact rates by unit, and the overrides that change them.

Rates are USD per unit as `Decimal`, never through a float. ``-1`` (any negative) means that the price depends on the
model a router picks. A missing rate is unknown. Source: ``pricing`` of ``GET /models`` (reference 3.1, 3.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal, Inexact
from functools import lru_cache
from typing import Literal

Kind = Literal["fixed", "free", "dynamic", "unknown"]

#: The one context of price arithmetic: enough digits for any rate times any quantity, and an error instead of rounding.
EXACT = Context(prec=60, traps=[Inexact])

#: Units OpenRouter documents, each USD per one of it.
UNITS = (
    "prompt",
    "completion",
    "request",
    "image",
    "image_token",
    "image_output",
    "audio",
    "audio_output",
    "input_audio_cache",
    "web_search",
    "internal_reasoning",
    "input_cache_read",
    "input_cache_write",
    "input_cache_write_1h",
)
#: Units that count tokens: people compare them per million. The others are for one request, image or search.
PER_TOKEN = frozenset(UNITS) - {"request", "image", "web_search"}
#: Output modalities whose models count something else under the same names: characters, seconds, searches.
NOT_PER_TOKEN = frozenset({"speech", "transcription", "rerank"})
#: Conditions of an override that we can evaluate; one with any other is skipped (reference 3.2, rule 6).
CONDITIONS = ("min_prompt_tokens", "utc_start", "utc_end", "utc_days")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_MINUTES_A_DAY = 24 * 60
_WHOLE_WEEK = (1 << 7 * _MINUTES_A_DAY) - 1
#: A condition's value: a number, a string, or a list of strings (weekdays).
ConditionValue = int | str | tuple[str, ...]


def counts_tokens(output_modalities: Iterable[str]) -> bool:
    """Whether "prompt" and "completion" of a model are tokens: of some they are seconds, characters or searches."""
    return NOT_PER_TOKEN.isdisjoint(output_modalities)


@dataclass(frozen=True, slots=True)
class Override:
    """Rates that replace the base ones while all conditions hold; a rate not named here is inherited."""

    conditions: tuple[tuple[str, ConditionValue], ...]  #: sorted by name
    rates: tuple[tuple[str, Decimal], ...]  #: sorted by unit

    @property
    def is_understood(self) -> bool:
        """Whether every condition is one we can evaluate."""
        try:
            self.minutes()
        except ValueError:
            return False
        threshold = dict(self.conditions).get("min_prompt_tokens", 0)
        return isinstance(threshold, int) and all(name in CONDITIONS for name, _ in self.conditions)

    @property
    def is_schedule(self) -> bool:
        """Whether only the time decides."""
        return self.is_understood and not any(name == "min_prompt_tokens" for name, _ in self.conditions)

    def minutes(self) -> int:
        """The minutes of the UTC week (Monday 00:00 is bit 0) in which its time conditions hold, as a bit set."""
        values = dict(self.conditions)
        start = _minute_of_day(values.get("utc_start", 0))
        end = _minute_of_day(values.get("utc_end", 0)) or _MINUTES_A_DAY
        named = values.get("utc_days")
        if named is None:
            days: Iterable[int] = range(7)
        elif isinstance(named, tuple) and all(_weekday(name) is not None for name in named):
            days = [day for name in named if (day := _weekday(name)) is not None]
        else:
            raise ValueError(f"not weekdays: {named!r}")
        return _week(start, end, tuple(days))

    def holds_at(self, at: datetime) -> bool:
        """Whether it is in force at an instant (UTC) by the clock alone."""
        minute = at.weekday() * _MINUTES_A_DAY + at.hour * 60 + at.minute
        return self.is_schedule and bool(self.minutes() >> minute & 1)


@lru_cache(maxsize=1024)
def _week(start: int, end: int, days: tuple[int, ...]) -> int:
    bits = 0
    for day in days:
        # a window that wraps midnight belongs to the day it starts on
        length = end - start if start < end else _MINUTES_A_DAY - start + end
        for minute in (day * _MINUTES_A_DAY + start, day * _MINUTES_A_DAY + start - 7 * _MINUTES_A_DAY):
            window = (1 << length) - 1
            bits |= window << minute if minute >= 0 else window >> -minute
    return bits & _WHOLE_WEEK


def _minute_of_day(hhmm: ConditionValue) -> int:
    if not isinstance(hhmm, int) or not 0 <= hhmm <= 2400 or hhmm % 100 >= 60:
        raise ValueError(f"not a time of day as HHMM: {hhmm!r}")
    return hhmm // 100 * 60 + hhmm % 100


def _weekday(name: str) -> int | None:
    for day, full in enumerate(DAYS):
        if len(name) >= 3 and full.startswith(name.lower()):
            return day
    return None


@dataclass(frozen=True, slots=True)
class Pricing:
    """What a model costs, in the normal form in which equal means unchanged.

    A rate of ``"0"`` and a missing one are the same for every unit but `prompt` and `completion`: OpenRouter adds and
    drops such keys without meaning. Where time windows tile the week for a unit, its headline says only which window is
    open now, and is left out.
    """

    rates: tuple[tuple[str, Decimal], ...] = ()  #: base rates, sorted by unit
    overrides: tuple[Override, ...] = ()  #: in OpenRouter's order; later ones win

    @classmethod
    def of(cls, rates: Mapping[str, Decimal], overrides: Iterable[Override] = ()) -> Pricing:
        """The normal form of what was served."""
        in_order = tuple(overrides)
        scheduled = tiled_units(in_order) if in_order else frozenset()
        kept = (
            (unit, canonical(rate))
            for unit, rate in rates.items()
            if unit not in scheduled and (rate or unit in {"prompt", "completion"})
        )
        return cls(tuple(sorted(kept)), in_order)

    def rate(self, unit: str) -> Decimal | None:
        """The base rate of a unit, or None where it is unknown (or only scheduled)."""
        return next((rate for name, rate in self.rates if name == unit), None)

    def rate_at(self, unit: str, at: datetime) -> Decimal | None:
        """The rate of a unit at an instant (UTC), for a small prompt: no token threshold is passed."""
        rate = self.rate(unit)
        for override in self.overrides:
            if override.holds_at(at):
                rate = dict(override.rates).get(unit, rate)
        return rate

    @property
    def is_scheduled(self) -> bool:
        """Whether the prompt or completion rate depends on the time of day or week."""
        return any(
            override.is_schedule and any(unit in {"prompt", "completion"} for unit, _ in override.rates)
            for override in self.overrides
        )


def tiled_units(overrides: Iterable[Override]) -> frozenset[str]:
    """The units whose rate is set by time windows in every minute of the week."""
    covered: dict[str, int] = {}
    for override in overrides:
        if override.is_schedule:
            minutes = override.minutes()
            for unit, _ in override.rates:
                covered[unit] = covered.get(unit, 0) | minutes
    return frozenset(unit for unit, minutes in covered.items() if minutes == _WHOLE_WEEK)


#: At most 50 digits, which the exact context holds; ASCII only, so that what `Decimal` would also take ("١", "1_0",
#: "NaN") is refused.
_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(?:\.[0-9]{0,30})?(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)


def exact(value: object) -> Decimal | None:
    """The number that a JSON string or number is, every digit of it; None where it is none."""
    if isinstance(value, str):
        return _parsed(value)
    if isinstance(value, Decimal):
        return _parsed(str(value))
    return _parsed(str(value)) if type(value) is int else None


@lru_cache(maxsize=65536)
def _parsed(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None


@lru_cache(maxsize=65536)
def canonical(number: Decimal) -> Decimal:
    """The one spelling of a number: no trailing zeros, no ``-0``."""
    return number.normalize(EXACT) if number else Decimal(0)


def plain(number: Decimal) -> str:
    """A number as a decimal string without exponent, as OpenRouter writes them."""
    return f"{canonical(number):f}"


def per_million(rate: Decimal) -> Decimal:
    """USD per token as USD per million tokens, exactly."""
    return canonical(rate.scaleb(6, EXACT))


def kind_of(pricing: Pricing, *, variant: str | None, output_modalities: Iterable[str]) -> Kind:
    """Whether a price is a number, nothing, decided per request, or not known (design 4.1)."""
    prompt, completion = pricing.rate("prompt"), pricing.rate("completion")
    if (prompt is not None and prompt < 0) or (completion is not None and completion < 0):
        return "dynamic"
    if (prompt is None or completion is None) and not pricing.is_scheduled:
        return "unknown"
    if prompt or completion or any(rate for _, rate in pricing.rates):
        return "fixed"
    if any(rate for entry in pricing.overrides for _, rate in entry.rates):
        return "fixed"
    return "free" if variant == "free" or set(output_modalities) == {"text"} else "unknown"
