"""What a usage costs: an oracle that prices token by token from the JSON as served, the laws, the edges."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llmhive.app.openrouter.fields import pricing as read_pricing
from llmhive.catalog.cost import PARTS, WORDS, Tariffs, assumptions, quantities
from llmhive.catalog.pricing import Override, Pricing
from llmhive.catalog.usage import FIELDS, Usage
from llmhive.errors import Unpriced
from tests.catalog import strategies as our

laws = our.laws
MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
Served = Mapping[str, Any]

# --- the oracle: reference 3.2 and 4 from a served `pricing`, one token after the other, in fractions

_NAMED = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def holds(entry: Served, prompt: int, at: datetime) -> bool:
    now = int(at.strftime("%H%M"))
    today, yesterday = _NAMED[at.weekday()], _NAMED[at.weekday() - 1]
    start, end = entry.get("utc_start", 0), entry.get("utc_end", 0) or 2400
    days = entry.get("utc_days", list(_NAMED))
    if start < end:
        is_open = start <= now < end and today in days
    else:
        is_open = (now >= start and today in days) or (now < end and yesterday in days)
    return is_open and prompt > entry.get("min_prompt_tokens", -1)


def rate_of(pricing: Served, usage: Usage, at: datetime, *units: str) -> Fraction:
    """The rate of the first unit that is listed (a zero is not) while later overrides win."""
    in_force = {key: value for key, value in pricing.items() if key != "overrides" and Fraction(value)}
    in_force |= {key: pricing[key] for key in ("prompt", "completion")}
    for entry in pricing.get("overrides", []):
        if holds(entry, usage.prompt, at):
            in_force |= {key: value for key, value in entry.items() if isinstance(value, str)}
    return next((Fraction(in_force[unit]) for unit in units if unit in in_force), Fraction(0))


def oracle(pricing: Served, usage: Usage, at: datetime) -> Fraction:
    """The cost of a usage whose parts fit into their wholes."""
    is_own = Fraction(pricing.get("internal_reasoning", 0)) != Fraction(pricing["completion"])
    tokens = {
        ("input_cache_read", "prompt"): usage.cached - usage.audio_cached,
        ("input_cache_write", "prompt"): usage.written,
        ("input_cache_write_1h", "input_cache_write", "prompt"): usage.written_1h,
        ("audio", "prompt"): usage.audio,
        ("input_audio_cache", "audio", "prompt"): usage.audio_cached,
        ("image_token", "prompt"): usage.image_tokens,
        ("internal_reasoning", "completion") if is_own else ("completion",): usage.reasoning,
        ("audio_output", "completion"): usage.audio_output,
        ("image_output", "completion"): usage.image_output,
        ("request",): usage.requests,
    }
    spent = Fraction(0)
    out_of_prompt = usage.cached + usage.written + usage.written_1h + usage.audio + usage.image_tokens
    for _ in range(usage.prompt - out_of_prompt):
        spent += rate_of(pricing, usage, at, "prompt")
    for units, count in tokens.items():
        for _ in range(count):
            spent += rate_of(pricing, usage, at, *units)
    text = usage.completion - usage.reasoning - usage.audio_output - usage.image_output
    return spent + text * rate_of(pricing, usage, at, "completion")


# --- what is given

rates = st.sampled_from(["0", "0.000003", "0.00000008333333333333334", "0.0000000416666666666667", "0.01"])
_TIERED = ("prompt", "completion", "audio", "input_audio_cache", "input_cache_read", "input_cache_write",
           "input_cache_write_1h")  # fmt: skip
_LISTED = (*_TIERED, "request", "image_token", "image_output", "audio_output", "internal_reasoning")
entries = st.fixed_dictionaries(
    {},
    optional={
        "min_prompt_tokens": st.integers(0, 40),
        "utc_start": our.hhmm.filter(lambda it: it < 2400),
        "utc_end": our.hhmm.filter(lambda it: it < 2400),
        "utc_days": st.lists(st.sampled_from(_NAMED), min_size=1, unique=True),
        **dict.fromkeys(_TIERED, rates),
    },
)
served = st.fixed_dictionaries(
    {"prompt": rates, "completion": rates},
    optional={**dict.fromkeys(_LISTED[2:], rates), "overrides": st.lists(entries, max_size=3)},
)
few = st.integers(0, 9)


@st.composite
def fitting(draw: st.DrawFn) -> Usage:
    """A usage whose parts fit into their wholes."""
    audio_cached = draw(few)
    parts = {name: draw(few) for name in ("written", "written_1h", "audio", "image_tokens")}
    cached = audio_cached + draw(few)
    outs = {name: draw(few) for name in ("reasoning", "audio_output", "image_output")}
    return Usage(
        prompt=cached + sum(parts.values()) + draw(few), completion=sum(outs.values()) + draw(few), cached=cached,
        audio_cached=audio_cached, requests=draw(st.integers(0, 3)), **parts, **outs,
    )  # fmt: skip


usages = fitting() | st.builds(Usage, **dict.fromkeys(FIELDS, few))


def cost(pricing: Pricing, usage: Usage, at: datetime = MONDAY) -> Decimal:
    return Tariffs(pricing).at(usage.prompt, at).charge(usage)


def simple(overrides: tuple[Override, ...] = (), **more: str) -> Pricing:
    listed = {"prompt": "0.000001", "completion": "0.000002"} | more
    return Pricing.of({unit: Decimal(rate) for unit, rate in listed.items()}, overrides)


def override(conditions: Mapping[str, Any], **units: str) -> Override:
    return Override(tuple(sorted(conditions.items())), tuple(sorted((k, Decimal(v)) for k, v in units.items())))


# --- laws


@laws
@given(served, fitting(), our.week)
def test_it_is_what_the_oracle_says(pricing: Served, usage: Usage, at: datetime) -> None:
    found = read_pricing(pricing, [])
    # where windows set the completion, its headline is of whenever the list was served
    assume(found.rate("completion") is not None or "internal_reasoning" not in pricing)
    assert Fraction(cost(found, usage, at)) == oracle(pricing, usage, at)


@laws
@given(our.pricings, usages, our.week)
def test_a_cost_is_the_sum_of_its_lines(pricing: Pricing, usage: Usage, at: datetime) -> None:
    tariff = Tariffs(pricing).at(usage.prompt, at)
    try:
        charged = tariff.charge(usage)
    except Unpriced:
        assert tariff.rates[0] is None or tariff.rates[7] is None
        return
    lines = tariff.lines(usage)
    assert sum((Fraction(it.amount) for it in lines if it.amount is not None), Fraction(0)) == Fraction(charged)
    for it in lines:
        assert it.rate is None or Fraction(it.rate) * Fraction(it.quantity) == Fraction(it.amount or 0)
        assert it.quantity > 0


@laws
@given(served, fitting(), fitting(), our.week)
def test_within_a_tier_costs_add_up(pricing: Served, one: Usage, other: Usage, at: datetime) -> None:
    found = read_pricing(pricing, [])
    both = one + other
    tariffs = Tariffs(found)
    tariff = tariffs.at(both.prompt, at)
    assume(tariff is tariffs.at(one.prompt, at) and tariff is tariffs.at(other.prompt, at))
    assert tariff.charge(one) + tariff.charge(other) == tariff.charge(both)


@laws
@given(served, fitting(), st.sampled_from(FIELDS), our.week)
def test_more_never_costs_less_within_a_tier(pricing: Served, usage: Usage, name: str, at: datetime) -> None:
    """One more of anything beside what is there; tokens of a part come on top of their whole."""
    found = read_pricing(pricing, [])
    wholes = {"completion": ("reasoning", "audio_output", "image_output")}
    more = {name: 1}
    if name in ("cached", "written", "written_1h", "audio", "image_tokens", "audio_cached"):
        more["prompt"] = 1
    if name == "audio_cached":
        more["cached"] = 1
    if name in wholes["completion"]:
        more["completion"] = 1
    larger = usage + Usage(requests=more.pop("requests", 0), **more)
    tariffs = Tariffs(found)
    tariff = tariffs.at(usage.prompt, at)
    assume(tariff is tariffs.at(larger.prompt, at))
    assert tariff.charge(larger) >= tariff.charge(usage)


@laws
@given(usages)
def test_no_quantity_is_negative_and_what_does_not_fit_is_said(usage: Usage) -> None:
    found = dict(zip((part.name for part in PARTS), quantities(usage), strict=True))
    assert min(found.values()) >= 0
    tokens = sum(found[it] for it in ("plain", "cached", "written", "written_1h", "audio", "audio_cached",
                                      "image_tokens"))  # fmt: skip
    out = sum(found[it] for it in ("text", "reasoning", "audio_output", "image_output"))
    if not list(assumptions(usage)):
        assert (tokens, out) == (usage.prompt, usage.completion)
    else:
        assert tokens > usage.prompt or out > usage.completion


@laws
@given(served, fitting(), our.week)
def test_where_a_tariff_may_change_is_known(pricing: Served, usage: Usage, at: datetime) -> None:
    """Between two thresholds, and between two minutes of change, the tariff is one: bulk pricing builds on that."""
    tariffs = Tariffs(read_pricing(pricing, []))
    minute = at.weekday() * 1440 + at.hour * 60 + at.minute
    if minute not in tariffs.changes():
        assert tariffs.at(usage.prompt, at) is tariffs.at(usage.prompt, at - timedelta(minutes=1))
    if usage.prompt and usage.prompt - 1 not in tariffs.thresholds:
        assert tariffs.at(usage.prompt, at) is tariffs.at(usage.prompt - 1, at)


# --- edges


def test_a_threshold_is_passed_strictly_and_reprices_everything() -> None:
    tiered = simple((override({"min_prompt_tokens": 200}, prompt="0.000002", completion="0.000004"),))
    assert cost(tiered, Usage(prompt=200, completion=10)) == Decimal("0.00022")
    assert cost(tiered, Usage(prompt=201, completion=10)) == Decimal("0.000442")
    # cached tokens count towards it, and inherit what the override does not name
    cached = simple(tiered.overrides, input_cache_read="0.0000001")
    assert cost(cached, Usage(prompt=201, cached=200)) == Decimal("0.000022")


@pytest.mark.parametrize(
    ("at", "expected"),
    [("22:59", 1), ("23:00", 3), ("23:59", 3), ("00:00", 3), ("00:59", 3), ("01:00", 1), ("12:00", 1)],
)
def test_a_window_is_half_open_and_wraps_midnight(at: str, expected: int) -> None:
    night = simple((override({"utc_start": 2300, "utc_end": 100}, prompt="0.000003"),))
    hour, minute = map(int, at.split(":"))
    assert cost(night, Usage(prompt=1), MONDAY.replace(hour=hour, minute=minute)) == Decimal(expected).scaleb(-6)


def test_a_window_on_some_days_belongs_to_the_day_it_starts_on() -> None:
    night = simple((override({"utc_start": 2300, "utc_end": 100, "utc_days": ("monday",)}, prompt="0.000003"),))
    tuesday = MONDAY + timedelta(days=1)
    assert cost(night, Usage(prompt=1), MONDAY.replace(minute=30)) == Decimal("0.000001")
    assert cost(night, Usage(prompt=1), tuesday.replace(minute=59)) == Decimal("0.000003")
    assert cost(night, Usage(prompt=1), tuesday.replace(hour=23)) == Decimal("0.000001")


def test_later_overrides_win_per_unit() -> None:
    both = simple((
        override({"min_prompt_tokens": 10}, prompt="0.000005", completion="0.000009"),
        override({"min_prompt_tokens": 20}, prompt="0.000007"),
    ))  # fmt: skip
    assert cost(both, Usage(prompt=21, completion=1)) == Decimal("0.000156")


def test_cached_and_written_tokens_that_are_the_same_ones_reproduce_a_real_bill() -> None:
    """Gemini 2.5 Flash on 2026-03-08: 2,168 tokens in, 2,161 of them both written and read; billed 0.00049701333333…"""
    pricing = simple(
        prompt="0.0000003", completion="0.0000025", input_cache_read="0.00000003",
        input_cache_write="0.00000008333333333333334",
    )  # fmt: skip
    usage = Usage(prompt=2168, completion=100, cached=2161, written=2161)
    assert cost(pricing, usage) == 7 * Decimal("0.0000003") + 2161 * Decimal("0.00000011333333333333334") + Decimal(
        "0.00025"
    )
    assert any("read and written" in it for it in assumptions(usage))


def test_cached_tokens_that_are_left_out_of_the_prompt_are_asked_about() -> None:
    (first, *others) = assumptions(Usage(prompt=100, cached=1500))
    assert first == (
        "cached is more than the prompt (1,500 of 100 tokens): does your prompt leave cached tokens out? OpenRouter's "
        "includes them"
    )
    assert "read and written" not in " ".join(others)
    assert not list(assumptions(Usage(prompt=1500, cached=1500)))
    # what was only written was not read as well
    assert "read and written" not in " ".join(assumptions(Usage(prompt=100, written=150)))


def test_every_part_has_a_word() -> None:
    assert list(WORDS) == [*(part.name for part in PARTS), "byok_fee"]
    assert len(set(WORDS.values())) == len(WORDS)


def test_reasoning_has_its_own_rate_only_where_it_differs() -> None:
    own = simple(internal_reasoning="0.000003")
    assert cost(own, Usage(completion=10, reasoning=4)) == Decimal("0.000024")
    # the same rate as the completion's goes with it when an override changes that
    same = simple((override({"min_prompt_tokens": 5}, completion="0.00001"),), internal_reasoning="0.000002")
    assert cost(same, Usage(prompt=6, completion=10, reasoning=4)) == Decimal("0.000106")
    # and so it does where windows set the completion
    by_day, by_night = {"utc_start": 600, "utc_end": 1800}, {"utc_start": 1800, "utc_end": 600}
    windows = (override(by_day, completion="0.000004"), override(by_night, completion="0.000002"))
    assert cost(simple(windows, internal_reasoning="0.000002"), Usage(completion=10, reasoning=4),
                MONDAY.replace(hour=12)) == Decimal("0.00004")  # fmt: skip


def test_an_image_at_the_price_of_a_token_is_in_the_prompt_already() -> None:
    per_token, per_image = simple(image="0.000001"), simple(image="0.001445")
    usage = Usage(prompt=1000, images=2)
    assert cost(per_token, usage) == Decimal("0.001")
    assert cost(per_image, usage) == Decimal("0.00389")
    assert "images" in " ".join(Tariffs(per_image).at(1000, MONDAY).doubts(usage))


def test_what_cannot_be_priced_is_never_zero() -> None:
    tariff = Tariffs(simple(some_new_unit="0.5", web_search="-1")).at(1, MONDAY)
    (line,) = [it for it in tariff.lines(Usage(prompt=1, web_searches=2)) if it.counted == "web_searches"]
    assert (line.rate, line.amount) == (None, None)
    doubts = list(tariff.doubts(Usage(prompt=1, web_searches=2)))
    assert len(doubts) == 2
    assert "some_new_unit" in doubts[0]
    assert "2 web searches" in doubts[1]


def test_an_override_that_is_not_understood_is_skipped_and_said() -> None:
    odd = simple((override({"region": "eu"}, prompt="0.5"),))
    tariff = Tariffs(odd).at(10, MONDAY)
    assert tariff.charge(Usage(prompt=10)) == Decimal("0.00001")
    assert list(tariff.doubts(Usage(prompt=10))) == [
        "override 1 has a condition that this version does not know (region): it is skipped"
    ]


def test_writes_for_an_hour_without_their_rate_are_said() -> None:
    five = simple(input_cache_write="0.00000125")
    tariff = Tariffs(five).at(10, MONDAY)
    assert tariff.charge(Usage(prompt=10, written_1h=10)) == Decimal("0.0000125")
    assert "one hour" in " ".join(tariff.doubts(Usage(prompt=10, written_1h=10)))
    assert not list(tariff.doubts(Usage(prompt=10, written=10)))


def test_a_price_that_is_decided_per_request_is_refused() -> None:
    router = Pricing.of({"prompt": Decimal(-1), "completion": Decimal(-1)})
    with pytest.raises(Unpriced):
        cost(router, Usage(prompt=1))


def test_rates_of_many_places_stay_exact() -> None:
    tiny = simple(prompt="0.000000000000000000000000000001", completion="99999999999999999999")
    assert cost(tiny, Usage(prompt=10**11, completion=1)) == Decimal("99999999999999999999.0000000000000000001")


def test_what_needs_more_digits_than_amounts_have_is_refused() -> None:
    odd = simple(
        prompt="0.000000000000000000000000000001", completion="99999999999999999999.000000000000000000000000000001"
    )
    with pytest.raises(Unpriced, match="60 digits"):
        cost(odd, Usage(prompt=10**15 - 1, completion=10**15 - 1))


def test_cached_and_written_tokens_that_are_the_whole_prompt_leave_no_plain_one() -> None:
    pricing = simple(input_cache_read="0.0000001", input_cache_write="0.00000125")
    usage = Usage(prompt=10, cached=6, written=4)
    assert cost(pricing, usage) == Decimal("0.0000056")
    assert not list(assumptions(usage))
    # one less, and they are taken as the same tokens
    assert cost(pricing, Usage(prompt=9, cached=6, written=4)) == Decimal("0.0000086")
    # parts that are too many are said whichever they are
    assert len(list(assumptions(Usage(prompt=5, audio=6)))) == 1
