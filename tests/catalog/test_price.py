"""Steps of prices: rows put together again, what cannot be priced, what was held, endpoints and their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.catalog.endpoint import Endpoint
from llmhive.catalog.model import Model
from llmhive.catalog.price import (
    DYNAMIC,
    UNKNOWN,
    Listed,
    Mark,
    Rate,
    Step,
    believed_step,
    catalog_steps,
)
from llmhive.catalog.pricing import Override, Pricing
from llmhive.catalog.provided import Offered, endpoint_steps
from llmhive.store.prices import price_rows
from tests.catalog import strategies as our

START = datetime(2026, 3, 1, tzinfo=UTC)
#: when something was served: the pricing, or None where the model was not listed
Served = list[tuple[datetime, Model | None]]


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def row(rate: str | None, begin: float, end: float | None = None, unit: str = "prompt", **more: Any) -> Rate:
    known = None if rate is None else Decimal(rate)
    facts = {"position": 0, "condition": None, "is_held": False} | more
    return Rate(unit=unit, rate=known, begin=day(begin), end=None if end is None else day(end), **facts)


def rates(**units: str) -> tuple[tuple[str, Decimal], ...]:
    return tuple((unit, Decimal(rate)) for unit, rate in sorted(units.items()))


def at(steps: Sequence[Step], when: datetime) -> Step | None:
    found = [it for it in steps if it.begin <= when and (it.end is None or when < it.end)]
    assert len(found) <= 1
    return found[0] if found else None


def only(steps: Sequence[Step]) -> Step:
    assert len(steps) == 1
    return steps[0]


# --- rows put together again


def test_rows_become_steps_and_a_gap_stays_a_gap() -> None:
    steps = catalog_steps(
        "acme/one",
        [
            row("0.000002", 1, 3),
            row("0.000001", 0, 1),
            row("0.000004", 0, 3, "completion"),
            row("0.000003", 5),
            row("0.000004", 5, unit="completion"),
            row("0.01", 6, unit="web_search"),
        ],
    )
    assert [(it.begin, it.end) for it in steps] == [
        (day(0), day(1)), (day(1), day(3)), (day(5), day(6)), (day(6), None)
    ]  # fmt: skip
    assert [it.pricing.rate("prompt") for it in steps if it.pricing] == [
        Decimal(it) for it in ("0.000001", "0.000002", "0.000003", "0.000003")
    ]
    last = steps[-1]
    assert last.pricing == Pricing(rates(prompt="0.000003", completion="0.000004", web_search="0.01"))
    assert (last.source, last.model_id, last.why, last.notes, last.incomplete) == ("catalog", "acme/one", None, (), ())
    assert catalog_steps("acme/one", []) == []


def test_overrides_keep_their_order_and_their_conditions() -> None:
    windows = '{"utc_days":["friday","monday"],"utc_end":100,"utc_start":0}'
    step = only(
        catalog_steps(
            "acme/one",
            [
                row("3", 0, position=2, condition=windows),
                row("1", 0),
                row("2", 0, position=1, condition='{"min_prompt_tokens":128000}'),
                row("5", 0, unit="completion"),
                row("6", 0, unit="completion", position=1, condition='{"min_prompt_tokens":128000}'),
            ],
        )
    )
    assert step.pricing == Pricing(
        rates(prompt="1", completion="5"),
        (
            Override((("min_prompt_tokens", 128000),), rates(prompt="2", completion="6")),
            Override(
                (("utc_days", ("friday", "monday")), ("utc_end", 100), ("utc_start", 0)), rates(prompt="3")
            ),
        ),
    )  # fmt: skip


def test_steps_that_say_the_same_are_one() -> None:
    # a row that stood for no time at all, and one that ended and began anew with the same rate
    steps = catalog_steps(
        "acme/one",
        [row("1", 0, 2), row("1", 2), row("9", 1, 1), row("2.0", 0, 1, "completion"), row("2", 1, unit="completion")],
    )
    assert [(it.begin, it.end) for it in steps] == [(day(0), None)]


def timeline_rows(served: Served) -> tuple[list[Rate], list[Listed]]:
    """The rows that the store would keep of what was served, the last until now."""
    found: list[Rate] = []
    listed: list[Listed] = []
    for (begin, model), (end, _) in pairwise([*served, (None, None)]):
        assert begin is not None
        if model is None:
            continue
        offers = list(price_rows(model))
        found += [Rate(*offer[:2], offer.rate, offer.condition, begin, end, False) for offer in offers]
        known = {it.unit for it in offers if not it.position and it.rate is not None}
        if not known >= {"prompt", "completion"}:
            listed.append(Listed(begin, end, model.pricing_kind))
    return found, listed


def is_priceable(model: Model) -> bool:
    """By the rule: no headline is negative, unknown, or absent without a time window."""
    pricing = model.pricing
    for unit in ("prompt", "completion"):
        base, in_overrides = pricing.rate(unit), [dict(it.rates).get(unit) for it in pricing.overrides]
        windows = [it for it in pricing.overrides if it.is_schedule and unit in dict(it.rates)]
        if any(rate is not None and rate < 0 for rate in (base, *in_overrides)) or (base is None and not windows):
            return False
    return model.pricing_kind in {"fixed", "free"}


def cleaned(pricing: Pricing) -> Pricing:
    """Without what is no number."""
    return Pricing(
        tuple((unit, rate) for unit, rate in pricing.rates if rate >= 0),
        tuple(
            replace(it, rates=kept)
            for it in pricing.overrides
            if (kept := tuple((unit, rate) for unit, rate in it.rates if rate >= 0))
        ),
    )


models = st.builds(
    Model,
    id=st.sampled_from(["acme/one", "acme/one:free"]),
    pricing=our.pricings,
    output_modalities=st.sampled_from([("text",), ("image", "text"), ("speech",)]),
)


@our.laws
@given(st.lists(st.none() | models, max_size=5), st.randoms())
def test_every_instant_has_the_pricing_served_then(contents: list[Model | None], random: Any) -> None:
    served = [(day(number), it) for number, it in enumerate(contents)]
    found, listed = timeline_rows(served)
    random.shuffle(found)
    random.shuffle(listed)
    steps = catalog_steps("acme/one", found, listed)
    for begin, model in served:
        for when in (begin, begin + timedelta(hours=23, minutes=59)):
            step = at(steps, when)
            # a listing without any price is only told where its headline is unknown, which it then is
            assert (step is not None) == (model is not None)
            if model is None or step is None:
                continue
            if is_priceable(model):
                assert (step.pricing, step.why) == (cleaned(model.pricing), None)
                assert bool(step.incomplete) >= (step.pricing != model.pricing)
            else:
                assert (step.pricing, step.why in {DYNAMIC, UNKNOWN}) == (None, True)
    for before, after in pairwise(steps):
        assert before.end is not None
        assert before.end <= after.begin
        if before.end == after.begin:
            assert (before.pricing, before.why, before.incomplete) != (after.pricing, after.why, after.incomplete)


# --- what cannot be priced


@pytest.mark.parametrize(
    ("kind", "why"),
    [("dynamic", DYNAMIC), ("unknown", UNKNOWN)],
)
def test_a_rate_that_is_no_number_is_refused_by_its_kind(kind: Any, why: str) -> None:
    found = [row(None, 0), row(None, 0, unit="completion")]
    step = only(catalog_steps("acme/auto", found, [Listed(day(0), None, kind)]))
    assert (step.pricing, step.why) == (None, why)


def test_half_a_price_is_none() -> None:
    step = only(catalog_steps("acme/auto", [row("1", 0)], [Listed(day(0), None, "unknown")]))
    assert (step.pricing, step.why) == (None, UNKNOWN)


def test_a_model_that_lists_no_price_at_all_is_listed() -> None:
    steps = catalog_steps(
        "acme/one", [row("1", 1), row("1", 1, unit="completion")], [Listed(day(0), day(1), "unknown")]
    )
    assert [(it.begin, it.end, it.why) for it in steps] == [(day(0), day(1), UNKNOWN), (day(1), None, None)]


def test_what_is_no_number_beside_the_headline_is_told() -> None:
    found = [row("1", 0), row("2", 0, unit="completion"), row(None, 0, unit="image")]
    found.append(row(None, 0, unit="audio", position=1, condition='{"min_prompt_tokens":1}'))
    step = only(catalog_steps("acme/one", found))
    assert step.pricing == Pricing(rates(prompt="1", completion="2"))
    assert step.incomplete == (
        "audio: a condition's rate is not a known number.", "image: its rate is not a known number."
    )  # fmt: skip
    found.append(row(None, 0, position=2, condition='{"min_prompt_tokens":1}'))
    assert only(catalog_steps("acme/one", found)).why == DYNAMIC


def test_a_schedule_that_leaves_hours_out_is_told() -> None:
    window = '{"utc_end":1200,"utc_start":0}'
    found = [row("1", 0, position=1, condition=window), row("2", 0, unit="completion")]
    step = only(catalog_steps("acme/one", found, [Listed(day(0), None, "fixed")]))
    assert step.pricing is not None
    assert step.incomplete == ("prompt: it has a known rate only in its time windows.",)
    found.append(row("3", 0, position=2, condition='{"utc_end":0,"utc_start":1200}'))
    assert only(catalog_steps("acme/one", found, [Listed(day(0), None, "fixed")])).incomplete == ()
    # a media model's windows of zeros
    assert only(catalog_steps("acme/one", found, [Listed(day(0), None, "unknown")])).why == UNKNOWN


# --- what was held


#: of an override, and its place
TIER: dict[str, Any] = {"position": 1, "condition": '{"min_prompt_tokens":1000}'}
COMPLETION = row("2", 0, unit="completion")


def test_a_held_rate_is_replaced_by_the_last_confirmed_one() -> None:
    found = [
        row("0.000003", 0, 1), row("0.0000031", 1, 2), row("0.00003", 2, 3, is_held=True),
        row("0.00004", 3, 4, is_held=True), row("0.000005", 4), COMPLETION,
    ]  # fmt: skip
    steps = catalog_steps("acme/one", found)
    assert [it.pricing and it.pricing.rate("prompt") for it in steps] == [
        Decimal(it) for it in ("0.000003", "0.0000031", "0.0000031", "0.0000031", "0.000005")
    ]
    assert [it.notes for it in steps[1:4]] == [
        (),
        (
            "prompt: the rate 0.00003 served since 2026-03-03 was held and never confirmed; the last confirmed one, "
            "0.0000031, is used.",
        ),
        (
            "prompt: the rate 0.00004 served since 2026-03-04 was held and never confirmed; the last confirmed one, "
            "0.0000031, is used.",
        ),
    ]
    assert all(not it.incomplete for it in steps)


def test_a_held_rate_without_one_before_it_is_used_and_doubted() -> None:
    step = only(catalog_steps("acme/one", [row("0.00003", 0, is_held=True), COMPLETION]))
    assert step.pricing == Pricing(rates(prompt="0.00003", completion="2"))
    assert step.notes == ()
    assert step.incomplete == (
        "prompt: the rate 0.00003 served since 2026-03-01 was held and never confirmed, and there is none before.",
    )


def test_a_held_rate_that_was_negative_is_replaced_too() -> None:
    found = [row("1", 0, 1), row(None, 1, is_held=True), COMPLETION]
    steps = catalog_steps("acme/one", found, [Listed(day(1), None, "dynamic")], [Mark(day(1), "pricing.prompt", True)])
    assert [it.pricing and it.pricing.rate("prompt") for it in steps] == [1, 1]
    assert "the rate (no known number) served" in steps[1].notes[0]
    alone = catalog_steps("acme/one", found[1:], [Listed(day(1), None, "dynamic")])
    assert [it.why for it in alone] == [UNKNOWN, DYNAMIC]


def test_a_hold_of_a_base_rate_is_none_of_its_overrides() -> None:
    # the gate marks all rows of a unit, and an override that has stood for long is one of them
    found = [
        row("9", 0, 1, **TIER), row("8", 1, is_held=True, **TIER),
        row("1", 0, 2), row("7", 2, is_held=True), COMPLETION,
    ]  # fmt: skip
    steps = catalog_steps("acme/one", found, marks=[Mark(day(2), "pricing.prompt", True)])
    assert [(it.pricing.rate("prompt"), it.pricing.overrides[0].rates) for it in steps if it.pricing] == [
        (Decimal(1), rates(prompt="9")), (Decimal(1), rates(prompt="8")), (Decimal(1), rates(prompt="8"))
    ]  # fmt: skip
    assert [len(it.notes) for it in steps] == [0, 0, 1]
    # nothing is known of the hold: the row's own mark counts
    steps = catalog_steps("acme/one", found)
    assert [it.pricing.overrides[0].rates for it in steps if it.pricing][1:] == [rates(prompt="9"), rates(prompt="9")]


def test_a_hold_of_the_whole_pricing_counts_from_when_it_was_held() -> None:
    marks = [Mark(day(2), "pricing", True)]
    found = [
        row("1", 0, 2), row("50", 2, is_held=True),
        # it did not change, and is marked because it stands when the whole pricing is held
        row("2", 0, unit="completion", is_held=True),
        row("70", 2, is_held=True, **TIER),
    ]  # fmt: skip
    steps = catalog_steps("acme/one", found, marks=marks)
    assert [(it.begin, it.end) for it in steps] == [(day(0), day(2)), (day(2), None)]
    assert {it.pricing for it in steps} == {Pricing(rates(prompt="1", completion="2"))}
    assert steps[0].notes == ()
    assert steps[1].notes == (
        "pricing: the whole of it, served since 2026-03-03, was held and never confirmed; the last confirmed one is "
        "used.",
    )
    # it went back, and the mark with it from what still stands
    back = [it._replace(end=day(4)) if it.begin == day(2) else it._replace(is_held=False) for it in found]
    back[0] = found[0]
    steps = catalog_steps("acme/one", [*back, row("1", 4)], marks=marks)
    assert [(it.begin, it.end, len(it.notes)) for it in steps] == [
        (day(0), day(2), 0), (day(2), day(4), 1), (day(4), None, 0)
    ]  # fmt: skip
    assert {it.pricing for it in steps} == {Pricing(rates(prompt="1", completion="2"))}


def test_a_rate_that_is_held_first_alone_and_then_with_all_others() -> None:
    found = [row("1", 0, 1), row("9", 1, is_held=True), COMPLETION, row("70", 2, is_held=True, **TIER)]
    marks = [Mark(day(2), "pricing", True), Mark(day(1), "pricing.prompt", True)]
    steps = catalog_steps("acme/one", found, marks=marks)
    assert [(it.begin, [note.partition(":")[0] for note in it.notes]) for it in steps] == [
        (day(0), []), (day(1), ["prompt"]), (day(2), ["pricing"])
    ]  # fmt: skip
    assert {it.pricing for it in steps} == {Pricing(rates(prompt="1", completion="2"))}


def test_a_whole_pricing_that_is_held_from_the_first_is_used_and_doubted() -> None:
    found = [row("1", 0, is_held=True), row("2", 0, unit="completion", is_held=True)]
    step = only(catalog_steps("acme/one", found, marks=[Mark(day(0), "pricing", True)]))
    assert step.pricing == Pricing(rates(prompt="1", completion="2"))
    assert step.incomplete == (
        "pricing: the whole of it, served since 2026-03-01, was held and never confirmed, and there is none before.",
    )


def test_what_was_released_meanwhile_is_confirmed() -> None:
    marks = [Mark(day(1), "pricing", True), Mark(day(2), "pricing", False), Mark(day(4), "pricing", True)]
    found = [row("1", 0, is_held=True), COMPLETION, row("3", 4, is_held=True, unit="request")]
    steps = catalog_steps("acme/one", found, marks=marks)
    assert [(it.begin, it.pricing and it.pricing.rate("request"), len(it.notes)) for it in steps] == [
        (day(0), None, 0), (day(4), None, 1)
    ]  # fmt: skip


# --- beliefs


def test_a_belief_as_a_step() -> None:
    model = Model("acme/one", pricing=Pricing(rates(prompt="1", completion="2")), output_modalities=("text",))
    step = believed_step(model, day(0), day(1), is_active=True, is_bootstrap=False)
    assert step == Step(day(0), day(1), model.pricing, None, "catalog", "acme/one")
    gone = believed_step(model, day(0), None, is_active=False, is_bootstrap=True)
    assert (gone.pricing, gone.why, gone.source) == (None, "OpenRouter no longer lists it at that time.", "bootstrap")
    router = replace(model, pricing=Pricing(rates(prompt="-1", completion="-1")))
    assert believed_step(router, day(0), None, is_active=True, is_bootstrap=False).why == DYNAMIC
    free = replace(model, pricing=Pricing(rates(prompt="0", completion="0")))
    assert believed_step(free, day(0), None, is_active=True, is_bootstrap=False).pricing == free.pricing
    media = replace(free, output_modalities=("video",))
    assert believed_step(media, day(0), None, is_active=True, is_bootstrap=False).why == UNKNOWN


# --- endpoints


def endpoint(tag: str = "deepinfra/fp4", prompt: str = "0.000001", **more: Any) -> Endpoint:
    facts: dict[str, Any] = {
        "provider_name": "DeepInfra",
        "pricing": Pricing(rates(prompt=prompt, completion="0.000002")),
    } | more
    return Endpoint("acme/one", tag, **facts)


def test_an_endpoint_over_time() -> None:
    steps = endpoint_steps(
        "deepinfra/fp4#2",
        [
            Offered(day(4), None, True, endpoint(prompt="0.000003", discount=Decimal("0.125"))),
            Offered(day(0), day(1), True, endpoint(context_length=1)),
            Offered(day(1), day(2), True, endpoint(context_length=2)),
            Offered(day(2), day(3), False, endpoint(context_length=2)),
            Offered(day(3), day(4), True, endpoint(discount=Decimal("-0.1"))),
        ],
        ["text"],
    )
    assert [(it.begin, it.end) for it in steps] == [(day(0), day(2)), (day(3), day(4)), (day(4), None)]
    last = steps[-1]
    assert (last.tag, last.provider, last.key, last.source) == (
        "deepinfra/fp4", "DeepInfra", "deepinfra/fp4#2", "endpoint"
    )  # fmt: skip
    # net: the discount is not taken off again
    assert last.pricing == Pricing(rates(prompt="0.000003", completion="0.000002"))
    assert [it.notes for it in steps] == [
        (), ("The endpoint's rates are with a mark-up of 10 %.",),
        ("The endpoint's rates are net of a discount of 12.5 %.",),
    ]  # fmt: skip


def test_zeros_of_an_endpoint_are_what_they_are_for_its_model() -> None:
    free = Offered(day(0), None, True, endpoint(pricing=Pricing(rates(prompt="0", completion="0"))))
    assert only(endpoint_steps("a", [free], ["text"])).pricing == free.endpoint.pricing
    assert only(endpoint_steps("a", [free], ["speech"])).why == UNKNOWN
    negative = Offered(day(0), None, True, endpoint(prompt="-1"))
    assert only(endpoint_steps("a", [negative], ["text"])).why == DYNAMIC
