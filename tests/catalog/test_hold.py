"""Doubts about single values, and what is believed while they last."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llmhive.catalog.hold import Doubt, Held, doubts, has_fallen, value_of, withheld
from llmhive.catalog.model import FIELDS, Model
from llmhive.catalog.pricing import UNITS, Override, Pricing, tiled_units
from tests.catalog import strategies as our

laws = our.laws
AT = datetime(2026, 5, 1, 12, tzinfo=UTC)


def doubted(before: Model, after: Model, *, fall: float = 90.0, rise: float = 100.0) -> list[Doubt]:
    return doubts(before, after, fall_percent=fall, rise_factor=rise)


#: prices whose ratios lie around the limits
near = (
    st.sampled_from(["0", "0.1", "0.099", "1", "0.999", "10", "100", "100.001", "1000", "-1"]).map(Decimal) | our.rates
)


#: few fields, so that the laws are quick: what can be held, and some that cannot
models = st.builds(
    Model,
    id=our.ids,
    name=st.none() | our.names,
    context_length=st.sampled_from([None, 0, 1, 1000]),
    max_completion_tokens=st.sampled_from([None, 0, 7]),
    output_modalities=our.some_of(("image", "text")),
)
base_rates = st.dictionaries(st.sampled_from(UNITS[:5]), near, max_size=4)


@st.composite
def steps(draw: st.DrawFn) -> tuple[Model, Model]:
    """A model and what is served next: any of its fields may be other, and often only some prices are."""
    before, after = draw(models), draw(models)
    entries = draw(st.just([]) | st.lists(our.overrides(), max_size=2) | our.tilings())
    rates = draw(base_rates)
    before = replace(before, pricing=Pricing.of(rates, entries))
    if draw(st.booleans()):
        moved = {name: rate for name, rate in rates.items() if draw(st.booleans())} | draw(base_rates)
        pricing = Pricing.of(moved, entries)
    else:
        pricing = draw(our.pricings)
    return before, replace(after, id=before.id, pricing=pricing)


# --- laws


@laws
@given(steps())
def test_nothing_doubtful_is_left_once_it_is_withheld(step: tuple[Model, Model]) -> None:
    before, after = step
    fields = [doubt.field for doubt in doubted(before, after)]
    assert doubted(before, withheld(before, after, fields)) == []


@laws
@given(steps())
def test_a_model_does_not_doubt_itself(step: tuple[Model, Model]) -> None:
    before, _ = step
    assert doubted(before, before) == []


def parts(model: Model) -> dict[str, Any]:
    """A model field by field, its prices unit by unit."""
    found: dict[str, Any] = {name: getattr(model, name) for name in FIELDS if name != "pricing"}
    found |= {f"pricing.{unit}": model.pricing.rate(unit) for unit in (*UNITS, "video")}
    return found | {"overrides": model.pricing.overrides}


HOLDABLE = ["context_length", *(f"pricing.{unit}" for unit in UNITS[:6]), "pricing", "max_completion_tokens"]


@laws
@given(steps(), st.lists(st.sampled_from(HOLDABLE), max_size=4, unique=True))
def test_exactly_the_named_fields_stay_and_all_others_are_new(step: tuple[Model, Model], fields: list[str]) -> None:
    before, after = step
    old, new, mixed = parts(before), parts(after), parts(withheld(before, after, fields))
    for name in mixed:
        is_price = name.startswith("pricing.") or name == "overrides"
        stays = name in fields or (is_price and "pricing" in fields)
        assert mixed[name] == (old if stays else new)[name]


@laws
@given(steps(), st.lists(st.sampled_from(HOLDABLE), max_size=4, unique=True))
def test_what_is_withheld_has_the_old_value_as_json(step: tuple[Model, Model], fields: list[str]) -> None:
    before, after = step
    mixed = withheld(before, after, fields)
    for field in fields:
        assert json.dumps(value_of(mixed, field)) == json.dumps(value_of(before, field))


@laws
@given(steps())
def test_a_model_with_doubtful_values_withheld_is_in_normal_form(step: tuple[Model, Model]) -> None:
    before, after = step
    mixed = withheld(before, after, [doubt.field for doubt in doubted(before, after)]).pricing
    assert mixed == Pricing.of(dict(mixed.rates), mixed.overrides)


@laws
@given(steps())
def test_nothing_withheld_is_the_new_model_and_everything_is_the_old_one(step: tuple[Model, Model]) -> None:
    before, after = step
    assert withheld(before, after, []) == after
    assert withheld(before, after, FIELDS) == before


def oracle(before: Model, after: Model, fall: Fraction, rise: Fraction) -> set[tuple[str, str, str | None]]:
    """The design's rules, in fractions."""
    found: set[tuple[str, str, str | None]] = set()
    is_same = before.pricing.overrides == after.pricing.overrides

    def all_rates(pricing: Pricing, unit: str) -> list[Fraction]:
        entries = [pricing.rates] if is_same else [pricing.rates, *(entry.rates for entry in pricing.overrides)]
        return [Fraction(rate) for entry in entries for name, rate in entry if name == unit]

    for unit in (*UNITS, "video"):
        was, becomes = all_rates(before.pricing, unit), all_rates(after.pricing, unit)
        if not becomes or sorted(was) == sorted(becomes):
            continue
        field = f"pricing.{unit}" if is_same else "pricing"
        if any(rate < 0 for rate in becomes):
            if all(rate >= 0 for rate in was) and (was or before.pricing_kind != "dynamic"):
                found.add(("price_negative", field, unit))
        elif (
            was
            and all(rate > 0 for rate in was)
            and not after.id.endswith(":free")
            and (1 - min(becomes) / min(was) > fall / 100)
        ):
            found.add(("price_fall", field, unit))
        elif was and max(was) > 0 and max(becomes) / max(was) > rise:
            found.add(("price_rise", field, unit))
    if before.context_length not in {None, 0} and after.context_length in {None, 0}:
        found.add(("context_lost", "context_length", None))
    return found


@laws
@given(steps(), st.sampled_from(["0", "50", "90", "99.5", "100"]), st.sampled_from(["1", "2.5", "100"]))
def test_doubts_are_what_the_rules_say(step: tuple[Model, Model], fall: str, rise: str) -> None:
    before, after = step
    found = doubted(before, after, fall=float(fall), rise=float(rise))
    assert {(doubt.rule, doubt.field, doubt.unit) for doubt in found} == oracle(
        before, after, Fraction(fall), Fraction(rise)
    )
    assert len(found) == len({(doubt.rule, doubt.field, doubt.unit) for doubt in found})


@laws
@given(steps())
def test_what_has_fallen_is_a_doubtful_fall_of_a_price_of_tokens(step: tuple[Model, Model]) -> None:
    before, after = step
    falls = {doubt.unit for doubt in doubted(before, after) if doubt.rule == "price_fall"}
    assert has_fallen(before, after, fall_percent=90.0) is bool(falls & {"prompt", "completion"})


@laws
@given(steps(), st.floats(0, 100), st.floats(0, 100))
def test_a_laxer_limit_never_doubts_more(step: tuple[Model, Model], one: float, two: float) -> None:
    before, after = step
    strict, lax = sorted((round(one, 3), round(two, 3)))

    def falls(percent: float) -> set[str | None]:
        found = doubted(before, after, fall=percent, rise=10.0**6)
        return {doubt.unit for doubt in found if doubt.rule == "price_fall"}

    assert falls(lax) <= falls(strict)


@laws
@given(steps(), our.instants)
def test_a_hold_is_read_back_from_json(step: tuple[Model, Model], at: datetime) -> None:
    before, after = step
    for doubt in doubted(before, after):
        held = Held(json.loads(json.dumps(value_of(after, doubt.field))), at, doubt.rule)
        assert Held.from_json(json.loads(json.dumps(held.to_json()))) == held


@laws
@given(our.tilings(), st.lists(our.week, min_size=2, max_size=2), our.ids)
def test_an_open_window_moves_the_headline_and_raises_no_doubt(
    windows: tuple[Override, ...], instants: list[datetime], key: str
) -> None:
    assume(tiled_units(windows) == {"prompt", "completion"})
    # OpenRouter serves the rate of the window that is open as the headline
    cheap = tuple(replace(entry, rates=tuple((unit, rate / 1000) for unit, rate in entry.rates)) for entry in windows)
    mixed = (*windows[:1], *cheap[1:])
    served = []
    for at in instants:
        open_ = Pricing((), mixed).rate_at("prompt", at)
        assert open_ is not None
        served.append(Model(key, pricing=Pricing.of({"prompt": open_, "completion": open_}, mixed)))
    assert served[0] == served[1]
    assert doubted(served[0], served[1]) == []


# --- by example


def model(*overrides: Override, key: str = "a/b", context: int | None = 1000, **rates: Any) -> Model:
    return Model(
        key, context_length=context, output_modalities=("text",),
        pricing=Pricing.of({unit: Decimal(rate) for unit, rate in rates.items()}, overrides),
    )  # fmt: skip


def long(rate: str, threshold: int = 5, unit: str = "prompt") -> Override:
    return Override((("min_prompt_tokens", threshold),), ((unit, Decimal(rate)),))


def test_a_fall_of_exactly_the_limit_is_believed() -> None:
    assert doubted(model(prompt="10"), model(prompt="1")) == []
    assert doubted(model(prompt="10"), model(prompt="0.9999999999999999999999999")) == [
        Doubt("price_fall", "pricing.prompt", "prompt", "10", "0.9999999999999999999999999")
    ]


def test_the_limit_of_a_fall_is_exact() -> None:
    # 0.1 and 0.00000008333333333333334 are no binary floats
    dear = model(prompt="0.00000008333333333333334")
    assert doubted(dear, model(prompt="0.000000008333333333333334")) == []
    assert len(doubted(dear, model(prompt="0.000000008333333333333333"))) == 1
    assert doubted(model(prompt="1"), model(prompt="0.9"), fall=10.0) == []
    assert len(doubted(model(prompt="1"), model(prompt="0.8999"), fall=10.0)) == 1


@pytest.mark.parametrize("unit", ["prompt", "completion"])
def test_a_fall_to_zero_is_doubted_however_lax_the_limit(unit: str) -> None:
    little: dict[str, Any] = {unit: "0.000001"}
    nothing: dict[str, Any] = {unit: "0"}
    found = [Doubt("price_fall", f"pricing.{unit}", unit, "0.000001", "0")]
    assert doubted(model(**little), model(**nothing)) == found
    assert doubted(model(**little), model(**nothing), fall=99.999) == found


def test_a_rise_of_exactly_the_limit_is_believed() -> None:
    assert doubted(model(prompt="0.1"), model(prompt="10")) == []
    assert doubted(model(prompt="0.1"), model(prompt="10.0000000000000000000001")) == [
        Doubt("price_rise", "pricing.prompt", "prompt", "0.1", "10.0000000000000000000001")
    ]


def test_a_price_of_fifty_digits_is_judged_exactly() -> None:
    # more digits than arithmetic has by default
    dear = model(prompt="1.00000000000000000000000000009")
    assert doubted(dear, model(prompt="0.100000000000000000000000000009")) == []
    assert len(doubted(dear, model(prompt="0.100000000000000000000000000008"))) == 1
    most = "9" * 20 + "." + "9" * 30
    assert [doubt.rule for doubt in doubted(model(prompt="1"), model(prompt=most))] == ["price_rise"]
    assert [doubt.rule for doubt in doubted(model(prompt=most), model(prompt="1"))] == ["price_fall"]
    assert not has_fallen(model(prompt="1"), model(prompt=most), fall_percent=90.0)


def test_from_nothing_a_price_may_rise_to_anything() -> None:
    assert doubted(model(prompt="0"), model(prompt="1000000")) == []
    assert doubted(model(), model(prompt="1000000", image="7")) == []


@pytest.mark.parametrize(("key", "is_doubted"), [("a/b:free", False), ("a/b:batch", True), ("a/free", True)])
def test_only_a_free_variant_may_fall_to_zero(key: str, is_doubted: bool) -> None:
    found = doubted(model(key=key, prompt="1"), model(key=key, prompt="0"))
    assert bool(found) is is_doubted


def test_a_free_variant_is_doubted_for_everything_else() -> None:
    before = model(key="a/b:free", prompt="1", completion="1")
    after = model(key="a/b:free", prompt="101", completion="-1", context=0)
    assert [doubt.rule for doubt in doubted(before, after)] == ["price_negative", "price_rise", "context_lost"]


def test_a_negative_price_is_doubted_unless_it_was_one() -> None:
    assert doubted(model(prompt="0"), model(prompt="-0.5")) == [
        Doubt("price_negative", "pricing.prompt", "prompt", "0", "-0.5")
    ]
    assert doubted(model(prompt="-1"), model(prompt="-2")) == []
    # not a fall of its other direction either
    assert doubted(model(prompt="-1"), model(prompt="0")) == []
    assert doubted(model(prompt="-1"), model(prompt="1000")) == []


def test_a_new_negative_price_is_doubted_unless_a_router_shows_it() -> None:
    assert doubted(model(), model(prompt="-1")) == [
        Doubt("price_negative", "pricing.prompt", "prompt", None, "-1")
    ]  # fmt: skip
    router = model(prompt="-1", completion="-1")
    assert doubted(router, model(prompt="-1", completion="-1", image="-1")) == []
    assert len(doubted(model(prompt="1", completion="1"), model(prompt="1", completion="1", image="-1"))) == 1


def test_a_price_that_is_no_longer_listed_is_unknown_and_not_zero() -> None:
    assert doubted(model(prompt="1", image="1"), model()) == []


@pytest.mark.parametrize("now", [0, None])
def test_a_context_that_is_lost_is_doubted(now: int | None) -> None:
    assert doubted(model(), model(context=now)) == [Doubt("context_lost", "context_length", None, 1000, now)]


@pytest.mark.parametrize(("was", "now"), [(0, None), (None, 0), (0, 5), (None, 5), (1000, 1)])
def test_any_other_context_is_believed(was: int | None, now: int | None) -> None:
    assert doubted(model(context=was), model(context=now)) == []


def test_where_overrides_stay_the_base_rate_alone_is_compared() -> None:
    before, after = model(long("50"), prompt="1"), model(long("50"), prompt="0.05")
    assert doubted(before, after) == [Doubt("price_fall", "pricing.prompt", "prompt", "1", "0.05")]


def test_where_overrides_stay_they_hide_no_fall_and_no_rise_of_the_base_rate() -> None:
    before = model(long("0.05"), long("500", 7), prompt="1")
    assert doubted(before, model(long("0.05"), long("500", 7), prompt="0.05")) == [
        Doubt("price_fall", "pricing.prompt", "prompt", "1", "0.05")
    ]
    assert doubted(before, model(long("0.05"), long("500", 7), prompt="500")) == [
        Doubt("price_rise", "pricing.prompt", "prompt", "1", "500")
    ]


def test_where_overrides_change_the_whole_pricing_is_doubted_for_the_lowest_and_highest() -> None:
    before = model(long("5"), prompt="2", completion="2")
    falls = model(long("1", 7), long("0.1", 6), prompt="2", completion="2")
    assert doubted(before, falls) == [Doubt("price_fall", "pricing", "prompt", "2", "0.1")]
    rises = model(long("1", 7), long("501", 6), prompt="2", completion="2")
    assert doubted(before, rises) == [Doubt("price_rise", "pricing", "prompt", "5", "501")]
    negative = model(long("-1", 7), prompt="2", completion="2")
    assert doubted(before, negative) == [Doubt("price_negative", "pricing", "prompt", "2", "-1")]
    assert doubted(before, model(long("500", 7), long("0.2", 9), prompt="2", completion="2")) == []


def test_overrides_may_come_and_go() -> None:
    assert doubted(model(long("2"), prompt="1"), model(prompt="1")) == []
    assert doubted(model(prompt="1"), model(long("2"), prompt="1")) == []
    # a unit that only an override names
    assert doubted(model(prompt="1"), model(long("9", unit="image"), prompt="1")) == []
    assert [doubt.unit for doubt in doubted(model(prompt="1"), model(long("-9", unit="image"), prompt="1"))] == [
        "image"
    ]


def test_doubts_come_in_the_order_of_the_units() -> None:
    before = model(prompt="1", completion="1", image="1", context=5)
    after = model(prompt="0", completion="0", image="0.01", context=0)
    assert [doubt.field for doubt in doubted(before, after)] == [
        "pricing.completion", "pricing.image", "pricing.prompt", "context_length",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("after", "has"),
    [
        ({"prompt": "0", "completion": "10", "image": "10"}, True),
        ({"prompt": "10", "completion": "0.9", "image": "10"}, True),
        ({"prompt": "10", "completion": "10", "image": "0.9"}, False),
        ({"prompt": "1", "completion": "1"}, False),
        ({"prompt": "-1", "completion": "100000"}, False),
    ],
)
def test_what_has_fallen(after: dict[str, Any], has: bool) -> None:
    before = model(prompt="10", completion="10", image="10")
    assert has_fallen(before, model(**after), fall_percent=90.0) is has


def test_values_as_json() -> None:
    it = model(long("3"), prompt="0.10", context=7)
    assert value_of(it, "context_length") == 7
    assert value_of(it, "pricing.prompt") == "0.1"
    assert value_of(it, "pricing.image") is None
    odd = Model("a/b", pricing=Pricing.of({"video.second": Decimal(1)}))
    assert value_of(odd, "pricing.video.second") == "1"
    overrides = [{"when": {"min_prompt_tokens": 5}, "rates": {"prompt": "3"}}]
    assert value_of(it, "pricing") == {"prompt": "0.1", "overrides": overrides}


def test_a_unit_that_was_not_listed_before_is_withheld_by_leaving_it_out() -> None:
    before, after = model(prompt="1"), model(long("3"), prompt="2", image="-1")
    assert withheld(before, after, ["pricing.image"]) == model(long("3"), prompt="2")
    assert withheld(before, after, ["pricing.audio"]) == after


def test_a_withheld_unit_takes_its_place_in_the_order() -> None:
    before, after = model(prompt="1", audio="5"), model(prompt="2", completion="3")
    assert withheld(before, after, {"pricing.audio"}) == model(prompt="2", completion="3", audio="5")


def test_a_hold_as_the_database_keeps_it() -> None:
    held = Held({"prompt": "0"}, AT, "price_fall")
    assert held.to_json() == {"served": {"prompt": "0"}, "since": "2026-05-01T12:00:00Z", "rule": "price_fall"}
    assert Held.from_json(held.to_json()) == held
    later = Held(None, AT + timedelta(microseconds=5), "context_lost")
    assert Held.from_json(later.to_json()) == later


def test_a_fall_cannot_hide_behind_an_override() -> None:
    def priced(base: str, above: int) -> Model:
        override = Override((("min_prompt_tokens", above),), (("prompt", Decimal("0.05")),))
        return Model("a/b", pricing=Pricing.of({"prompt": Decimal(base), "completion": Decimal(1)}, [override]))

    (doubt,) = doubts(priced("1", 5), priced("0.05", 6), fall_percent=90, rise_factor=100)
    assert (doubt.rule, doubt.field, doubt.before, doubt.after) == ("price_fall", "pricing", "1", "0.05")
    assert has_fallen(priced("1", 5), priced("0.05", 6), fall_percent=90)
    (doubt,) = doubts(priced("0.001", 5), priced("0.2", 6), fall_percent=90, rise_factor=100)
    assert doubt.rule == "price_rise"


def test_a_held_pricing_read_back_is_the_one_that_was_held() -> None:
    override = Override((("utc_days", ("saturday", "sunday")),), (("prompt", Decimal("0.01")),))
    model = Model("a/b", pricing=Pricing.of({"prompt": Decimal(1), "completion": Decimal(1)}, [override]))
    held = Held(value_of(model, "pricing"), datetime(2026, 5, 1, tzinfo=UTC), "price_fall")
    assert Held.from_json(json.loads(json.dumps(held.to_json()))) == held


def test_odd_limits_are_compared_exactly() -> None:
    many, one = (
        Model("a/b", pricing=Pricing.of({"prompt": Decimal(rate), "completion": Decimal(1)}))
        for rate in ("9" * 20 + "." + "9" * 30, "1")
    )
    assert [it.rule for it in doubts(many, one, fall_percent=33.333333333333336, rise_factor=100)] == ["price_fall"]
    assert [it.rule for it in doubts(one, many, fall_percent=90, rise_factor=1.2345678901234567)] == ["price_rise"]
