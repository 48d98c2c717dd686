"""Doubts about single values, and a model with the doubtful ones withheld; pure (design 4.3).

A price that falls to zero or by nine tenths, rises a hundredfold or turns negative, and a context length that is lost,
are real now and then and glitches more often. So the old value stays believed until a second sync says the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Context, Decimal, Inexact
from typing import Any, Literal

from llmhive.catalog.model import Model, pricing_document
from llmhive.catalog.pricing import Pricing, plain

ValueRule = Literal["price_fall", "price_rise", "price_negative", "context_lost"]
#: The field of a hold that keeps the whole pricing, because its overrides changed as well.
PRICING = "pricing"


#: Rates of 50 digits times limits of 17 are compared exactly.
_WIDE = Context(prec=100, traps=[Inexact])


@dataclass(frozen=True, slots=True)
class Doubt:
    """One value that is not believed at once."""

    rule: ValueRule
    field: str  #: ``context_length``, ``pricing.UNIT``, or ``pricing`` where overrides changed too
    unit: str | None  #: of a price
    before: Any  #: the believed value as JSON; prices are decimal strings, the lowest or highest of base and overrides
    after: Any  #: the served value, likewise


@dataclass(frozen=True, slots=True)
class Held:
    """A served value that the gate holds back."""

    served: Any  #: as JSON; for the field ``pricing`` the whole pricing
    since: datetime  #: when it was first served so
    rule: str

    def to_json(self) -> dict[str, Any]:
        """As the database keeps it and scripts see it."""
        return {"served": self.served, "since": self.since.isoformat().replace("+00:00", "Z"), "rule": self.rule}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Held:
        """What `to_json` wrote."""
        return cls(document["served"], datetime.fromisoformat(document["since"]), document["rule"])


def doubts(before: Model, after: Model, *, fall_percent: float, rise_factor: float) -> list[Doubt]:
    """What of a model's new values is not believed at once, compared with the believed ones."""
    found = []
    if before.pricing != after.pricing:
        found += _price_doubts(before, after, Decimal(repr(fall_percent)), Decimal(repr(rise_factor)))
    if before.context_length and not after.context_length:
        found.append(Doubt("context_lost", "context_length", None, before.context_length, after.context_length))
    return found


def _price_doubts(before: Model, after: Model, fall_percent: Decimal, rise_factor: Decimal) -> list[Doubt]:
    old, new = before.pricing, after.pricing
    has_same_overrides = old.overrides == new.overrides
    is_free = after.identity.variant == "free"
    found = []
    for unit in sorted(_units(old) | _units(new)):
        was, becomes = (_rates(pricing, unit, base_only=has_same_overrides) for pricing in (old, new))
        if not becomes or was == becomes:
            continue
        field = f"{PRICING}.{unit}" if has_same_overrides else PRICING
        low = min(becomes)
        if low < 0:
            if (was and min(was) >= 0) or (not was and before.pricing_kind != "dynamic"):
                found.append(Doubt("price_negative", field, unit, plain(min(was)) if was else None, plain(low)))
            continue
        if not was:
            continue
        # the extremes, whatever the condition; and the base, behind which an override could hide
        base_was, base_becomes = old.rate(unit), new.rate(unit)
        pairs = [(base_was, base_becomes)] if base_was is not None and base_becomes is not None else []
        falls = [(a, b) for a, b in [(min(was), low), *pairs] if _falls(a, b, fall_percent)]
        rises = [(a, b) for a, b in [(max(was), max(becomes)), *pairs] if _rises(a, b, rise_factor)]
        if falls and not is_free:
            found.append(Doubt("price_fall", field, unit, *map(plain, falls[0])))
        elif rises:
            found.append(Doubt("price_rise", field, unit, *map(plain, rises[0])))
    return found


def _falls(was: Decimal, becomes: Decimal, percent: Decimal) -> bool:
    """To zero, or by more than so much."""
    return was > 0 and (not becomes or _WIDE.multiply(becomes, 100) < _WIDE.multiply(was, 100 - percent))


def _rises(was: Decimal, becomes: Decimal, factor: Decimal) -> bool:
    """From above zero by more than so many times."""
    return was > 0 and becomes > _WIDE.multiply(was, factor)


def _units(pricing: Pricing) -> set[str]:
    return {unit for unit, _ in pricing.rates} | {unit for entry in pricing.overrides for unit, _ in entry.rates}


def _rates(pricing: Pricing, unit: str, *, base_only: bool) -> list[Decimal]:
    """What a unit costs under some condition or other."""
    found = [pricing.rate(unit)]
    if not base_only:
        found += [rate for entry in pricing.overrides for name, rate in entry.rates if name == unit]
    return [rate for rate in found if rate is not None]


def has_fallen(before: Model, after: Model, *, fall_percent: float) -> bool:
    """Whether what people pay most for, prompt or completion, fell to zero or by more than so much."""
    found = _price_doubts(before, after, Decimal(repr(fall_percent)), Decimal(10) ** 30)
    return any(doubt.rule == "price_fall" and doubt.unit in {"prompt", "completion"} for doubt in found)


def value_of(model: Model, field: str) -> Any:
    """A field that can be held, as JSON; None where it is unknown."""
    if field == PRICING:
        return pricing_document(model.pricing)
    if unit := _unit_of(field):
        rate = model.pricing.rate(unit)
        return None if rate is None else plain(rate)
    return getattr(model, field)


def withheld(before: Model, after: Model, fields: Collection[str]) -> Model:
    """The new model with the old values of some fields."""
    for field in fields:
        if field == PRICING:
            after = replace(after, pricing=before.pricing)
        elif unit := _unit_of(field):
            rates = dict(after.pricing.rates)
            rates.pop(unit, None)
            if (rate := before.pricing.rate(unit)) is not None:
                rates[unit] = rate
            after = replace(after, pricing=Pricing(tuple(sorted(rates.items())), after.pricing.overrides))
        else:
            after = replace(after, **{field: getattr(before, field)})
    return after


def _unit_of(field: str) -> str | None:
    prefix, dot, unit = field.partition(".")
    return unit if dot and prefix == PRICING else None
