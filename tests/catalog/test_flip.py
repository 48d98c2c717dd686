"""Flip points are true: at a value just beyond one the first choice is another, just before it the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import Phase, assume, given, settings

from llmhive.catalog.endpoint import Endpoint, Health
from llmhive.catalog.model import Model
from llmhive.catalog.need import Need
from llmhive.catalog.pricing import Pricing
from llmhive.catalog.quality import TASKS
from llmhive.catalog.routing import Candidate
from llmhive.catalog.selectable import Evidence, Selectable, Stock
from llmhive.catalog.selector import Selector
from llmhive.catalog.shortlist import Shortlist
from llmhive.store.browse import row_of
from tests.catalog.selecting import AT, Case, cases

_NEAR = 1e-4
#: without explanations of what fails, which take minutes
briefly = settings(max_examples=80, phases=[Phase.explicit, Phase.generate, Phase.shrink], deadline=None)


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
    choice = next(it for it in shortlist.top if it.id == model_id)
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


@pytest.mark.long
@briefly
@given(cases())
def test_prices_flip_the_choice_where_they_are_said_to(case: Case) -> None:
    need = case.need
    assume("unpriced" not in need.allow)
    shortlist = Selector(case.stock).select(need)
    for it in shortlist.flip_points:
        if it.what != "price":
            continue
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


@pytest.mark.long
@briefly
@given(cases())
def test_a_first_choice_goes_when_its_endpoints_fail(case: Case) -> None:
    need = case.need
    shortlist = Selector(case.stock).select(need)
    for it in shortlist.flip_points:
        if it.what != "uptime":
            continue
        least = it.at

        def fails(candidate: Candidate, least: float = least) -> Candidate:
            return replace(candidate, health=replace(candidate.health, uptime_last_30m=least - 0.001))

        def change(model: Selectable) -> Selectable:
            assert model.offers is not None
            return model._replace(offers=tuple(map(fails, model.offers)))

        failed = with_model(case.stock, it.id, change)
        assert it.id not in Selector(failed).select(need).ids
        assert it.now >= least


@pytest.mark.long
@briefly
@given(cases())
def test_quality_and_rank_flip_where_they_are_said_to(case: Case) -> None:
    need = case.need
    shortlist = Selector(case.stock).select(need)
    for it in shortlist.flip_points:
        if it.what != "rank":
            continue
        assert int(it.at) == it.at > it.now
        ranking = TASKS[need.task].ranking
        evidence = case.stock.evidence
        for rank, stays in ((int(it.at) - 1, True), (int(it.at), False)):
            ranks = {**evidence.ranks, ranking: {**evidence.ranks[ranking], it.id: rank}}
            moved = case.stock._replace(evidence=evidence._replace(ranks=ranks))
            found = Selector(moved).select(need)
            is_tie = stays and abs(found.top[0].score - found.top[1].score) < 2e-9
            assert (found.ids[0] == it.id) is stays or is_tie, (it, rank)


# --- one of each kind, by hand


def model(model_id: str, index: float | None, price: str, uptime: float = 99.5) -> tuple[Selectable, dict[str, float]]:
    """A model with one endpoint, at one price in and out (USD per million)."""
    rate = Decimal(price).scaleb(-6)
    pricing = Pricing.of({"prompt": rate, "completion": rate})
    content = Model(
        model_id, model_id, context_length=200_000, input_modalities=("text",), output_modalities=("text",),
        supported_parameters=("tools",), pricing=pricing,
    )  # fmt: skip
    endpoint = Endpoint(model_id, "one", "One", context_length=200_000, pricing=pricing)
    offers = (Candidate(endpoint, Health(0, uptime_last_30m=uptime)),)
    measures = {} if index is None else {"intelligence_index": index}
    return Selectable(row_of(content, AT, is_active=True), pricing, offers), measures


def stock_of(*made: tuple[Selectable, dict[str, float]], ranks: dict[str, int] | None = None) -> Stock:
    measures = {it.row["id"]: told for it, told in made if told}
    evidence = Evidence(measures, {"leaderboard": ranks} if ranks else {}, {"leaderboard": 50} if ranks else {})
    return Stock(1, AT, AT, tuple(it for it, _ in made), evidence, "openrouter")


def told(need: Need, stock: Stock) -> dict[tuple[str, str], Any]:
    return {(it.id, it.what): (it.now, it.at) for it in Selector(stock).select(need).flip_points}


PAIR = (model("a/good", 50, "1"), model("b/cheap", 30, "0.1"))


def test_a_price_and_a_quality_and_an_uptime_of_the_first() -> None:
    found = told(Need(objective="value"), stock_of(*PAIR))
    # quality 0.8 · 0.5 + 0.02 = 0.42, and 0.26
    # value 0.7 · 0.42 + 0.3 · 0.5 = 0.444, and 0.7 · 0.26 + 0.3 · 0.75 = 0.407
    assert found["a/good", "price"] == (1.0, pytest.approx(10 ** (0.037 / 0.3 * 4), rel=1e-5))
    assert found["a/good", "quality"] == (0.42, pytest.approx(0.42 - 0.037 / 0.7, rel=1e-5))
    assert found["a/good", "uptime"] == (99.5, 95.0)
    assert found["b/cheap", "price"] == (0.1, pytest.approx(0.1 * 10 ** (-0.037 / 0.3 * 4), rel=1e-5))
    assert found["b/cheap", "quality"] == (0.26, pytest.approx(0.26 + 0.037 / 0.7, rel=1e-5))


def test_a_rank_of_the_first() -> None:
    stock = stock_of(model("a/ranked", 40, "1"), model("b/other", 44, "1"), ranks={"a/ranked": 2, "b/other": 30})
    found = told(Need(objective="quality"), stock)
    now, at = found["a/ranked", "rank"]
    assert now == 2
    assert 2 < at < 30
    for rank, first_ in ((int(at) - 1, "a/ranked"), (int(at), "b/other")):
        moved = stock._replace(
            evidence=stock.evidence._replace(ranks={"leaderboard": {"a/ranked": rank, "b/other": 30}})
        )  # fmt: skip
        assert first(moved, Need(objective="quality")) == first_


def test_the_model_in_use_is_left_only_by_the_margin() -> None:
    need = Need(objective="value", stick_to="b/cheap", margin=0.05)
    stock = stock_of(*PAIR)
    assert Selector(stock).select(need).ids[0] == "b/cheap"
    found = told(need, stock)
    # it may lose another 0.05 − 0.037 of its score
    assert found["b/cheap", "price"] == (0.1, pytest.approx(0.1 * 10 ** (0.013 / 0.3 * 4), rel=1e-5))
    assert found["a/good", "price"] == (1.0, pytest.approx(10 ** (-0.013 / 0.3 * 4), rel=1e-5))


def test_who_comes_first_when_the_first_fails_may_be_the_one_in_use() -> None:
    stock = stock_of(model("a/a", 60, "1"), model("b/b", 51, "1"), model("c/c", 50, "1"))
    need = Need(objective="quality", stick_to="c/c")
    (uptime,) = (it for it in Selector(stock).select(need).flip_points if it.what == "uptime")
    assert uptime.why == "c/c comes first"
    assert first(stock._replace(models=stock.models[1:]), need) == "c/c"


def test_equal_ones_are_told_apart_by_nothing_that_could_change() -> None:
    found = told(Need(objective="value"), stock_of(model("a/a", 50, "1"), model("b/b", 50, "1")))
    assert {what for _, what in found} == {"uptime"}


def test_a_limit_is_met_before_another_is_better() -> None:
    found = told(Need(objective="value", max_price_per_million={"prompt": 2}), stock_of(*PAIR))
    assert found["a/good", "price"] == (1.0, 2.0)
