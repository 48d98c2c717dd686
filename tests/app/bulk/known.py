"""Prices that are made up, for tests of whole files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from llmhive.app.bulk.table import Name, Subject
from llmhive.catalog.cost import Tariffs
from llmhive.catalog.price import DYNAMIC, Step
from llmhive.catalog.pricing import ConditionValue, Override, Pricing
from llmhive.catalog.usage import Usage

BEGINS = datetime(2025, 1, 1, tzinfo=UTC)


def pricing(*overrides: tuple[Mapping[str, ConditionValue], Mapping[str, str]], **rates: str) -> Pricing:
    """A pricing as it is served, not in the normal form."""
    return Pricing(
        tuple(sorted((unit, Decimal(rate)) for unit, rate in rates.items())),
        tuple(
            Override(tuple(sorted(when.items())), tuple(sorted((unit, Decimal(rate)) for unit, rate in its.items())))
            for when, its in overrides
        ),
    )


def step(begin: datetime, end: datetime | None, price: Pricing | None, **more: object) -> Step:
    """A step of some model."""
    return Step(begin, end, price, None if price else DYNAMIC, "catalog", "x/y", **more)  # type: ignore[arg-type]


class Known:
    """A list of prices."""

    def __init__(self, steps: Mapping[str, list[Step]], begins: datetime | None = BEGINS) -> None:
        self.steps = steps
        self.begins = begins

    def resolve(self, names: Iterable[Name]) -> dict[Name, Subject]:
        """Names are ids; a provider is a part of them where it has its own prices."""
        return {
            it: Subject(it.model, self.steps.get(f"{it.model}@{it.provider}", self.steps[it.model]))
            for it in names
            if it.model in self.steps
        }

    def cost(self, model: str, usage: Usage, at: datetime) -> Decimal | None:
        """As one request is priced."""
        held = [it for it in self.steps[model] if it.begin <= at and (it.end is None or at < it.end)]
        found = held[0] if held else None
        if found is None or found.pricing is None:
            return None
        return Tariffs(found.pricing).at(usage.prompt // max(usage.requests, 1), at).charge(usage)
