"""What holds for every choice: it is the oracle's, and what may change it is what ought to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import Phase, given, settings

from llmhive.catalog.need import Need
from llmhive.catalog.selectable import Stock
from llmhive.catalog.selector import Selector
from llmhive.catalog.shortlist import Shortlist
from tests import select_oracle as oracle
from tests.catalog.selecting import LIST_FIELDS, MODALITIES, OF_OUTPUT, Case, cases, many
from tests.catalog.strategies import laws
from tests.select_plain import meant

#: without explanations of what fails, which take minutes
briefly = settings(laws, phases=[Phase.explicit, Phase.generate, Phase.shrink])
NEAR = 1e-9
#: How many needs there were, and of those with something to choose from how many of which kind.
Seen = Counter[str]


def scores(found: Shortlist) -> list[tuple[str, float]]:
    return [(it.id, it.score) for it in found.choices]


def watch(seen: Seen, need: Need, found: Shortlist) -> None:
    """Count what there is to see."""
    seen["needs"] += 1
    seen["with a choice"] += found.total > 0
    seen["with several"] += found.total > 1
    seen["with endpoints"] += any(not it.is_as_listed for it in found.choices)
    seen["replacements"] += need.role == "replacement" and found.total > 0


def saw_enough(seen: Seen, *kinds: str) -> None:
    """What holds does not hold for want of anything to choose from."""
    assert seen["with a choice"] >= seen["needs"] / 4, seen
    assert all(seen[kind] for kind in kinds or seen), seen


def agrees(stock: Stock, told: list[dict[str, Any]], seen: Seen) -> None:
    plain, selector = oracle.plain(stock), Selector(stock)
    for fields in told:
        need = Need(**fields)
        wanted, found = oracle.choose(plain, need), selector.select(need)
        assert [it.id for it in found.choices] == [it[0] for it in wanted[: need.limit]]
        assert [it.score for it in found.choices] == pytest.approx([it[1] for it in wanted[: need.limit]], abs=NEAR)
        assert found.total == len(wanted)
        assert set(found.rejected) == oracle.reject(plain, need)
        watch(seen, need, found)


def agree_on(examples: int) -> Seen:
    seen: Seen = Counter()

    @settings(briefly, max_examples=examples)
    @given(many())
    def each(asked: tuple[Stock, list[dict[str, Any]]]) -> None:
        agrees(*asked, seen)

    each()
    return seen


def test_the_oracle_agrees() -> None:
    # a few cases: too few for everything that is seldom
    saw_enough(agree_on(15), "with several", "with endpoints")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_oracle_agrees_on_many() -> None:
    saw_enough(agree_on(1500))


# --- tighter constraints


def tighter(case: Case) -> Iterator[Need]:
    """The same need, tighter in one constraint, in every way there is."""
    # an output may change what a typical request is
    case = replace(case, told={**case.told, "usage": case.need.typical})
    need, told = case.need, case.told
    some = sorted(it.row["id"] for it in case.stock.models)
    # who asks for other outputs than text does not ask for text
    may_output = bool(need.outputs) or bool(set(OF_OUTPUT) & set(need.require))
    for name in ("tools", "seed", "vision", "prompt_caching", *(OF_OUTPUT if may_output else ())):
        yield case.but(require=[*need.require, name])
    for name in MODALITIES:
        yield case.but(inputs=[*need.inputs, name])
        if may_output or name == "text":
            yield case.but(outputs=[*need.outputs, name])
    for tokens in (need.each[0] + need.each[1] + 1, 8001, 128_001):
        yield case.but(min_context=max(tokens, need.min_context or 0))
        yield case.but(min_output=max(tokens, need.min_output or 0))
    for unit in ("prompt", "completion"):
        for limit in ("0", "1", "2.5", "12"):
            limits = {unit: Decimal(limit), **dict(need.max_price_per_million)}
            yield case.but(max_price_per_million={**limits, unit: min(limits[unit], Decimal(limit))})
    for name in ("one", "Two", "three/fast"):
        yield case.but(exclude_providers=[*need.exclude_providers, name])
        if not need.providers or name in need.providers:
            yield case.but(providers=[name])
    for name in ("fp8", "unknown"):
        if not need.quantizations or name in need.quantizations:
            yield case.but(quantizations=[name])
    yield case.but(zdr=True)
    for percent in (0, 95, 99.5):
        yield case.but(min_uptime=max(percent, need.min_uptime or 0))
    for figure in (0.5, 60):
        yield case.but(max_latency=figure if need.max_latency is None else min(figure, need.max_latency))
        yield case.but(min_throughput=max(figure, need.min_throughput or 0))
    for model in some[:3]:
        yield case.but(exclude=[*need.exclude, model])
        if not need.models:
            yield case.but(models=[model, "bolt/*"])
    if len(need.models) > 1:
        yield case.but(models=need.models[:1])
    for word in need.allow:
        yield case.but(allow=[it for it in need.allow if it != word])
    yield case.but(lasting_days=need.lasting_days + 32)
    assert told.get("margin", 0.02) == need.margin


def a_tighter_constraint_adds_nothing(case: Case) -> None:
    """No candidate, no better quality, no lower cost."""
    selector, case = Selector(case.stock), replace(case, told={**case.told, "limit": 50})
    loose = selector.select(case.need)
    best = max((it.parts["quality"] for it in loose.choices), default=0)
    lowest = min((it.lowest_cost for it in loose.choices if it.lowest_cost is not None), default=None)
    for need in tighter(case):
        tight = selector.select(need)
        assert {it.id for it in tight.choices} <= {it.id for it in loose.choices}
        assert tight.total <= loose.total
        assert set(loose.rejected) <= set(tight.rejected)
        for it in tight.choices:
            assert it.parts["quality"] <= best
            assert it.lowest_cost is None or (lowest is not None and it.lowest_cost >= lowest)


def a_tighter_constraint_makes_nothing_cheaper(case: Case) -> None:
    """Who goes by the price alone never pays less for asking more."""
    told = {**case.told, "objective": "price", "allow": [it for it in case.told["allow"] if it != "unpriced"]}
    # a replacement is scored by what it is like
    dropped = {"stick_to", "role", "of"} if told.get("role") == "replacement" else {"stick_to"}
    case = replace(case, told={name: value for name, value in told.items() if name not in dropped})
    selector = Selector(case.stock)
    loose = selector.select(case.need).choices
    for need in tighter(case):
        for first in selector.select(need).choices[:1]:
            assert first.expected_cost is not None
            assert loose[0].expected_cost is not None
            assert first.expected_cost >= loose[0].expected_cost


# --- what does not matter


def who_is_not_on_the_shortlist_does_not_matter(case: Case) -> None:
    need, found = case.need, Selector(case.stock).select(case.need)
    names = [name for name in (*need.models, *need.exclude, need.of, need.stick_to) if name and "*" not in name]
    before = [meant(case.plain, name) for name in names]
    chosen = {it.id for it in found.choices}
    for model in case.stock.models:
        left = case.stock._replace(models=tuple(it for it in case.stock.models if it is not model))
        others = {"models": [it for it in case.plain["models"] if it["id"] != model.row["id"]]}
        # a name may mean another when its model is gone
        if model.row["id"] not in chosen and [meant(others, name) for name in names] == before:
            again = Selector(left).select(need)
            assert scores(again) == scores(found)
            assert again.total == found.total - (model.row["is_active"] and model.row["id"] not in found.rejected)


def order_does_not_matter(case: Case) -> None:
    random = Random(str(case.told))

    def shuffled(values: Any) -> Any:
        return tuple(random.sample(values, len(values)))

    models = tuple(
        it if it.offers is None else it._replace(offers=shuffled(it.offers)) for it in shuffled(case.stock.models)
    )
    need = case.but(**{name: list(shuffled(case.told[name])) for name in LIST_FIELDS if name in case.told})
    one, other = Selector(case.stock).select(case.need), Selector(case.stock._replace(models=models)).select(need)
    assert need == case.need
    assert scores(one) == scores(other)
    assert one.to_json() == other.to_json()


def the_same_need_has_the_same_answer(case: Case) -> None:
    selector = Selector(case.stock)
    first, again = selector.select(case.need), selector.select(case.but())
    assert scores(first) == scores(again)
    assert first.to_json() == again.to_json() == Selector(case.stock).select(case.need).to_json()


def the_limit_only_cuts(case: Case) -> None:
    selector = Selector(case.stock)
    whole = selector.select(case.but(limit=50))
    assert whole.total == len(whole.choices)
    for limit in (1, 2, 5):
        cut = selector.select(case.but(limit=limit))
        assert scores(cut) == scores(whole)[:limit]
        assert (cut.total, set(cut.rejected)) == (whole.total, set(whole.rejected))


# --- the model in use


def a_model_is_kept_within_the_margin(case: Case) -> None:
    selector, margin = Selector(case.stock), case.need.margin
    free = selector.select(case.but(stick_to=None, limit=50))
    ranks = dict(scores(free))
    for model in case.stock.models:
        current = model.row["id"]
        kept = selector.select(case.but(stick_to=current, margin=margin, limit=50))
        # nobody new, nobody lost, the others in their order
        assert dict(scores(kept)) == ranks
        first = kept.choices[0].id if kept.choices else None
        assert [it.id for it in kept.choices if it.id != first] == [it.id for it in free.choices if it.id != first]
        if current not in ranks:
            assert scores(kept) == scores(free)
            continue
        gain = Decimal(f"{free.choices[0].score:.9f}") - Decimal(f"{ranks[current]:.9f}")
        assert first == (current if gain < Decimal(repr(margin)) else free.choices[0].id)
        # it changes when the gain reaches the margin, and not before
        reached = selector.select(case.but(stick_to=current, margin=float(gain), limit=50))
        assert reached.choices[0].id == free.choices[0].id
        if gain < 1:
            nearly = selector.select(case.but(stick_to=current, margin=float(gain + Decimal("1e-9")), limit=50))
            assert nearly.choices[0].id == current


# --- constraints hold on every path


def every_choice_has_an_endpoint_that_meets_everything(case: Case) -> None:
    need, plain = case.need, case.plain
    models = {it["id"]: it for it in plain["models"]}
    for it in Selector(case.stock).select(need).choices:
        fits = {fit["name"] for fit in oracle.fitting(plain, models[it.id], need)}
        assert fits
        assert it.is_as_listed == (fits == {it.id})
        assert it.is_as_listed or {share.key for share in it.bounds.used} <= fits


def what_is_excluded_is_nowhere(case: Case) -> None:
    need, plain = case.but(exclude=[*case.told.get("exclude", ()), "acme/*2*"]), case.plain
    found = Selector(case.stock).select(need)
    excluded = oracle.named(plain, need.exclude)
    assert excluded.isdisjoint(it.id for it in found.choices)
    asked: list[str] = []
    if found.choices:
        body = found.request()
        asked = [*body.get("models", ()), *([body["model"]] if "model" in body else [])]
        assert asked
    qualified = {it["id"] for it in plain["models"] if oracle.fitting(plain, it, need)}
    assert qualified.issuperset(asked)
    assert excluded.isdisjoint(asked)


def everybody_is_told_the_right_place(case: Case) -> None:
    """Where one stands is counted, not looked up, for who is not on the list."""
    ids = Selector(case.stock).select(case.but(limit=50, stick_to=None)).ids
    alone = Selector(case.stock).select(case.but(limit=1, stick_to=None))
    assert [alone.explain(model_id).place for model_id in ids] == [*range(1, len(ids) + 1)]


def marks_and_scores_are_between_0_and_1(case: Case) -> None:
    for it in Selector(case.stock).select(case.need).choices:
        assert 0 <= it.score <= 1
        assert it.parts
        assert all(0 <= mark <= 1 for mark in it.parts.values())


def a_part_alone_is_its_mark(case: Case) -> None:
    """Whose weight is all the weight there is makes the score."""
    selector = Selector(case.stock)
    for part in ("quality", "price", "speed"):
        if case.told.get("role") != "replacement":
            for it in selector.select(case.but(objective=part)).choices:
                assert it.score == pytest.approx(it.parts[part], abs=NEAR)


LAWS: list[Callable[[Case], None]] = [
    a_tighter_constraint_adds_nothing,
    a_tighter_constraint_makes_nothing_cheaper,
    who_is_not_on_the_shortlist_does_not_matter,
    order_does_not_matter,
    the_same_need_has_the_same_answer,
    the_limit_only_cuts,
    a_model_is_kept_within_the_margin,
    every_choice_has_an_endpoint_that_meets_everything,
    what_is_excluded_is_nowhere,
    everybody_is_told_the_right_place,
    marks_and_scores_are_between_0_and_1,
    a_part_alone_is_its_mark,
]


def all_hold_on(examples: int) -> Seen:
    seen: Seen = Counter()

    @settings(briefly, max_examples=examples)
    @given(cases())
    def each(case: Case) -> None:
        told = deepcopy(case.told)
        for law in LAWS:
            law(case)
            # the next one sees the same need
            assert case.told == told
        watch(seen, case.need, Selector(case.stock).select(case.need))

    each()
    return seen


def test_the_laws() -> None:
    # a few cases: too few for everything that is seldom
    saw_enough(all_hold_on(20), "with several", "with endpoints")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_laws_on_many() -> None:
    saw_enough(all_hold_on(1000))
