"""Flip points are true: at a value just beyond one the first choice is another, just before it the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from hypothesis import assume, event, given, settings

from llmhive.catalog.need import Need
from llmhive.catalog.pricing import Pricing
from llmhive.catalog.quality import task_of
from llmhive.catalog.routing import Candidate
from llmhive.catalog.selectable import Selectable, Stock
from llmhive.catalog.selector import Selector
from llmhive.catalog.shortlist import Shortlist
from tests.catalog.selecting import Case, cases

_NEAR = 1e-4


def scaled(pricing: Pricing, factor: Decimal) -> Pricing:
    """All rates times a factor."""

    def times(rates: tuple[tuple[str, Decimal], ...]) -> tuple[tuple[str, Decimal], ...]:
        return tuple((unit, rate * factor if rate > 0 else rate) for unit, rate in rates)

    overrides = tuple(replace(it, rates=times(it.rates)) for it in pricing.overrides)
    return replace(pricing, rates=times(pricing.rates), overrides=overrides)


def with_model(stock: Stock, model_id: str, change: Callable[[Selectable], Selectable]) -> Stock:
    return stock._replace(models=tuple(change(it) if it.row["id"] == model_id else it for it in stock.models))


def with_prices(shortlist: Shortlist, stock: Stock, model_id: str, factor: float) -> Stock:
    """The stock with the prices of a model's endpoints that qualify times a factor."""
    choice = next(it for it in shortlist._top if it.id == model_id)
    names = {it.name for it in choice.candidates}
    times = Decimal(repr(factor)).quantize(Decimal("1e-12"))

    def one(it: Candidate) -> Candidate:
        if it.name not in names:
            return it
        return replace(it, endpoint=replace(it.endpoint, pricing=scaled(it.endpoint.pricing, times)))

    def change(it: Selectable) -> Selectable:
        if not it.offers:
            return it._replace(pricing=scaled(it.pricing, times))
        return it._replace(offers=tuple(map(one, it.offers)))

    return with_model(stock, model_id, change)


def first(stock: Stock, need: Need) -> str | None:
    return next(iter(Selector(stock).select(need).ids), None)


@settings(max_examples=100)
@given(cases())
def test_prices_flip_the_choice_where_they_are_said_to(case: Case) -> None:
    need = case.need
    assume(need.role not in {"replacement", "escalation"} and "unpriced" not in need.allow)
    shortlist = Selector(case.stock).select(need)
    for it in shortlist.flip_points:
        if it.what != "price":
            continue
        event("price flips")
        factor, now = it.at / it.now, shortlist.ids[0]
        before, after = (
            first(with_prices(shortlist, case.stock, it.id, factor * (1 + side)), need)
            for side in ((-_NEAR, _NEAR) if it.id == now else (_NEAR, -_NEAR))
        )
        assert before == now, (it, before)
        if it.id == now:
            assert after != now, it
        else:
            assert after == it.id, it


@settings(max_examples=60)
@given(cases())
def test_a_first_choice_goes_when_its_endpoints_fail(case: Case) -> None:
    need = case.need
    assume(need.role is None)
    shortlist = Selector(case.stock).select(need)
    for it in shortlist.flip_points:
        if it.what != "uptime":
            continue
        event("uptime flips")
        least = it.at

        def fails(candidate: Candidate, least: float = least) -> Candidate:
            return replace(candidate, health=replace(candidate.health, uptime_last_30m=least - 0.001))

        def change(model: Selectable) -> Selectable:
            assert model.offers is not None
            return model._replace(offers=tuple(map(fails, model.offers)))

        failed = with_model(case.stock, it.id, change)
        assert it.id not in Selector(failed).select(need).ids
        assert it.now >= least


@settings(max_examples=100)
@given(cases())
def test_quality_and_rank_flip_where_they_are_said_to(case: Case) -> None:
    need = case.need
    assume(need.role is None)
    shortlist = Selector(case.stock).select(need)
    for it in shortlist.flip_points:
        if it.what != "rank":
            continue
        event("rank flips")
        assert int(it.at) == it.at > it.now
        ranking = task_of(need.task).ranking
        evidence = case.stock.evidence
        for rank, stays in ((int(it.at) - 1, True), (int(it.at), False)):
            ranks = {**evidence.ranks, ranking: {**evidence.ranks[ranking], it.id: rank}}
            moved = case.stock._replace(evidence=evidence._replace(ranks=ranks))
            found = Selector(moved).select(need)
            is_tie = stays and abs(found._top[0].score - found._top[1].score) < 2e-9
            assert (found.ids[0] == it.id) is stays or is_tie, (it, rank)
