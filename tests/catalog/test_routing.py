"""Routing: who may serve a request, how likely, and what it costs at least, as expected and at most."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llmhive.app.openrouter.decode_endpoints import endpoints as decode
from llmhive.catalog.endpoint import Health, keyed, tier_of
from llmhive.catalog.preferences import Preferences, split_suffix
from llmhive.catalog.pricing import Override, Pricing
from llmhive.catalog.routing import (
    DIGITS,
    Bounds,
    Candidate,
    bounds,
)
from llmhive.errors import UsageError
from tests.catalog import strategies as our
from tests.catalog.offers import ANY, AT, DEGRADED, DOWN, FAILING, ask, charge, ends, keys, offer, reasons, usd
from tests.support import shared_folder

laws = our.laws

# --- the weights


def test_example_of_the_documentation() -> None:
    found = ask(offer("c", "3"), offer("b", "2", DOWN), offer("a", "1"))
    assert [(it.key, it.weight) for it in found.used] == [("a", Fraction(9, 10)), ("c", Fraction(1, 10))]
    assert (found.lowest, found.expected, found.highest) == (usd("1"), usd("1.2"), usd("3"))
    assert found.excluded == (("b", "in outage (status -10)"),)
    assert found.notes == ()
    # as OpenRouter shows one that failed lately: it is tried last
    lately = ask(offer("c", "3"), offer("b", "2", Health(status=-2, uptime_last_30m=90.0)), offer("a", "1"))
    assert [(it.key, it.weight) for it in lately.used] == [*((it.key, it.weight) for it in found.used), ("b", 0)]
    assert lately.expected == found.expected
    assert found.why is None


def test_all_three_healthy() -> None:
    found = ask(offer("a", "1"), offer("b", "2"), offer("c", "3"))
    assert [it.weight for it in found.used] == [Fraction(36, 49), Fraction(9, 49), Fraction(4, 49)]
    # (36 + 18 + 12) / 49 dollars per million
    assert found.expected == Decimal("0.0013469387755102040816")
    assert len(found.expected.as_tuple().digits) == DIGITS
    assert found.highest == usd("3")


def test_degraded_only_where_none_is_healthy() -> None:
    offers = [offer("a", "5"), offer("b", "1", DEGRADED), offer("c", "2", FAILING)]
    found = ask(*offers)
    assert keys(found) == ["a", "b", "c"]
    assert [it.weight for it in found.used] == [1, 0, 0]
    assert [it.band for it in found.used] == ["healthy", "degraded", "fallback"]
    assert (found.lowest, found.expected, found.highest) == (usd("1"), usd("5"), usd("5"))
    assert ask(*offers[1:]).expected == usd("1")
    assert ask(offers[2]).expected == usd("2")


@pytest.mark.parametrize(
    ("health", "band"),
    [
        (Health(), "healthy"),
        (Health(uptime_last_30m=95.0), "healthy"),
        (Health(uptime_last_30m=94.99), "degraded"),
        (Health(uptime_last_30m=80.0), "degraded"),
        (Health(uptime_last_30m=79.99), "fallback"),
        (Health(uptime_last_1d=50.0), "fallback"),
        (Health(uptime_last_30m=99.0, uptime_last_1d=50.0), "healthy"),
        (Health(status=1), "healthy"),
        (Health(status=-2), "degraded"),
        (Health(status=-2, uptime_last_30m=100.0), "degraded"),
        (Health(status=-2, uptime_last_30m=79.9), "fallback"),
        (Health(status=-5), "fallback"),
        (Health(status=0, uptime_last_30m=50.0), "fallback"),
    ],
)
def test_bands(health: Health, band: str) -> None:
    assert [it.band for it in ask(offer("a", "1", health)).used] == [band]


def test_who_is_free_takes_it_all() -> None:
    found = ask(offer("a", "1"), offer("b", "0"), offer("c", "0"))
    assert [(it.key, it.weight) for it in found.used] == [("b", Fraction(1, 2)), ("c", Fraction(1, 2)), ("a", 0)]
    assert (found.lowest, found.expected, found.highest) == (usd("0"), usd("0"), usd("1"))


def test_who_is_free_but_failing_takes_nothing() -> None:
    found = ask(offer("a", "1"), offer("b", "0", FAILING))
    assert (found.lowest, found.expected) == (usd("0"), usd("1"))


def test_what_cannot_be_priced_is_left_out() -> None:
    found = ask(offer("a", "1"), offer("b", None), offer("c", "-1000000"))
    assert found.excluded == (("b", "what it costs is not known"), ("c", "what it costs is not known"))
    negative = bounds([offer("a", "1")], ANY, lambda _: Decimal(-1), AT)
    assert negative.expected is None


def test_json() -> None:
    found = ask(offer("a", "1", key="a#2"), offer("b", "2", DOWN), offer("c", "3", DEGRADED), only=["a", "b", "c", "d"])
    assert found.to_json() == {
        "endpoints": [
            {"key": "a#2", "provider": "A", "cost": "0.001", "share": 1.0, "band": "healthy"},
            {"key": "c", "provider": "C", "cost": "0.003", "share": 0.0, "band": "degraded"},
        ],
        "excluded": [{"key": "b", "reason": "in outage (status -10)"}],
        "notes": ["`only` names d, which means no endpoint of this model"],
        "why": None,
    }


def test_nobody_is_left() -> None:
    found = ask(offer("a", "1", DOWN), offer("b", None))
    assert (found.lowest, found.expected, found.highest, found.used) == (None, None, None, ())
    assert found.why == "none of the 2 endpoints may serve this"
    assert set(reasons(found)) == {"a", "b"}
    assert ask().why == "no endpoint is known"


def test_near_names_of_a_slip() -> None:
    offers = offer("azure/eu", "1", provider="Azure"), offer("deepinfra/fp8", "1", provider="DeepInfra")
    for listed in ("only", "ignore", "order"):
        asked: dict[str, Any] = {listed: ["azzure"]}
        (note, *_) = ask(*offers, **asked).notes
        assert note == f"`{listed}` names azzure, which means no endpoint of this model; near it: azure, azure/eu"
    assert ask(*offers, ignore=["together"]).notes == (
        "`ignore` names together, which means no endpoint of this model",
    )


def test_who_keeps_no_data_is_told_by_research() -> None:
    unknown = ask(offer("a", "1"), offer("b", "1"), zdr=True)
    assert unknown.expected is None
    assert unknown.notes == ("who keeps no data is not known yet: `llmhive sync --research` asks",)
    assert ask(offer("a", "1"), offer("b", "1", zdr=False), zdr=True).notes == ()


def test_limits_of_requests_are_for_one() -> None:
    assert reasons(ask(offer("a", "1", request="0.02"), max_price={"request": "0.01"})) == {
        "a": "its request price is $0.02, and max_price is $0.01"
    }


def test_the_price_is_that_of_the_instant() -> None:
    night = Override((("utc_end", 1300), ("utc_start", 1100)), (("prompt", Decimal("0.000009")),))
    it = replace(offer("a", "1").endpoint, pricing=Pricing.of({"prompt": Decimal("0.000001")}, (night,)))
    limit = Preferences.of({"max_price": {"prompt": 5}})
    at_noon = bounds([Candidate(it)], limit, lambda _: Decimal(1), AT)
    assert at_noon.excluded == (("a", "its prompt price is $9/M, and max_price is $5/M"),)
    assert bounds([Candidate(it)], limit, lambda _: Decimal(1), AT.replace(hour=13)).expected == 1


def test_expected_costs_are_rounded_half_to_even_and_never_out_of_bounds() -> None:
    # 22 digits: rounded to 20 they would leave the interval
    odd = "1.234567890123456789012"
    assert ask(offer("a", odd), offer("b", odd)).expected == usd(odd)
    assert ask(offer("a", "1", key="a"), offer("a", "1", key="a#2")).expected == usd("1")


# --- service tiers and suffixes

TIERED = (
    offer("openai", "2"),
    offer("openai/flex", "1"),
    offer("openai/default/priority", "4", Health(throughput_p50=90.0)),
    offer("wafer/fast", "5", Health(throughput_p50=80.0)),
    offer("azure", "3", Health(throughput_p50=50.0)),
)


def test_tiers_serve_only_who_asks() -> None:
    found = ask(*TIERED)
    assert keys(found) == ["openai", "azure"]
    assert reasons(found)["openai/flex"] == "of the service tier flex, which was not asked for"
    assert set(reasons(found)) == {"openai/flex", "openai/default/priority", "wafer/fast"}
    assert keys(ask(*TIERED, only=["openai"])) == ["openai"]
    assert keys(ask(*TIERED, order=["openai/flex"])) == ["openai/flex", "openai", "azure"]
    assert keys(ask(*TIERED, only=["openai/flex"])) == ["openai/flex"]
    # what is named without its tier is not named
    assert keys(ask(*TIERED, only=["openai/default"])) == []
    assert ask(*TIERED, only=["openai/default"]).notes == (
        "`only` names openai/default, which means no endpoint of this model; near it: openai/default/priority, "
        "openai/flex",
    )


@pytest.mark.parametrize(
    ("tag", "tier"),
    [
        ("openai", None), ("openai/flex", "flex"), ("xai/zdr/priority", "priority"), ("fireworks/fast", "fast"),
        ("deepinfra/turbo", None), ("minimax/highspeed", None), ("flex", None), ("fast/fp8", None),
        ("openai/default", None),
    ],
)  # fmt: skip
def test_tier_of_real_tags(tag: str, tier: str | None) -> None:
    assert tier_of(tag) == tier


def test_floor_lets_flex_take_part() -> None:
    found = ask(*TIERED, suffix="floor")
    assert keys(found) == ["openai/flex", "openai", "azure"]
    assert found.expected == found.lowest == usd("1")
    assert keys(ask(*TIERED, sort="price")) == ["openai", "azure"]
    # whom nobody wants, nobody wants in any tier
    assert keys(ask(*TIERED, suffix="floor", ignore=["openai"])) == ["azure"]
    assert keys(ask(*TIERED, suffix="floor", only=["openai"])) == ["openai"]


def test_nitro_lets_priority_take_part() -> None:
    found = ask(*TIERED, suffix=":nitro")
    assert keys(found) == ["openai/default/priority", "wafer/fast", "azure", "openai"]
    assert found.expected == usd("4")


def test_suffixes() -> None:
    assert ANY.with_suffix(None) is ANY
    assert ANY.with_suffix("exacto").sort == "exacto"
    assert "web searches" in ANY.with_suffix("online").notes[0]
    assert Preferences.of({"sort": "latency"}).with_suffix("floor").notes == (
        "`:floor` is taken instead of sort latency",
    )
    assert Preferences.of({"sort": "price"}).with_suffix("floor").notes == ()
    with pytest.raises(UsageError, match="'free' is no suffix that routes: there are floor"):
        ANY.with_suffix("free")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a/b", ("a/b", None)),
        ("a/b:floor", ("a/b", "floor")),
        ("a/b:nitro", ("a/b", "nitro")),
        ("a/b:exacto", ("a/b", "exacto")),
        ("a/b:online", ("a/b", "online")),
        ("a/b:free", ("a/b:free", None)),
        ("a/b:free:floor", ("a/b:free", "floor")),
        ("floor", ("floor", None)),
        (":floor", (":floor", None)),
        ("", ("", None)),
    ],
)
def test_split_suffix(name: str, parts: tuple[str, str | None]) -> None:
    assert split_suffix(name) == parts


# --- laws

TAGS = ("a", "a/fp8", "a/flex", "b", "b/eu/priority", "c/fast")
costs = st.sampled_from(["0", "1", "2.5", "0.333333333333333333333333"]) | st.decimals(
    0, 10**6, allow_nan=False, places=12
).map(str)
percents = st.none() | st.sampled_from([79.9, 80.0, 94.9, 95.0, 100.0])
speeds = st.none() | st.sampled_from([1.0, 2.0]) | st.floats(0, 1e6)
healths = st.builds(
    Health,
    status=st.sampled_from([None, 0, 0, -2, -5, -10]),
    uptime_last_30m=percents,
    throughput_p50=speeds,
    latency_p50=speeds,
)


@st.composite
def offers_of_a_model(draw: st.DrawFn) -> list[Candidate]:
    return [
        offer(
            draw(st.sampled_from(TAGS)),
            draw(costs) if draw(st.integers(0, 9)) else None,
            draw(healths),
            zdr=draw(st.none() | st.booleans()),
            quantization=draw(st.sampled_from([None, "fp8"])),
            key=str(number),
        )
        for number in range(draw(st.integers(0, 6)))
    ]


some = st.lists(st.sampled_from(["a", "a/fp8", "a/flex", "b", "x"]), max_size=2)
documents = st.fixed_dictionaries(
    {},
    optional={
        "order": some,
        "only": some,
        "ignore": st.lists(st.sampled_from(["a/fp8", "b"]), max_size=1),
        "allow_fallbacks": st.booleans(),
        "quantizations": st.sampled_from([[], ["fp8"], ["unknown"]]),
        "zdr": st.sampled_from([None, False, True]),
        "sort": st.sampled_from([None, "price", "throughput", "latency", "exacto"]),
        "max_price": st.fixed_dictionaries({}, optional={"prompt": st.integers(0, 5), "completion": st.integers(0, 5)}),
    },
)
preferences = st.builds(
    lambda document, suffix: Preferences.of(document).with_suffix(suffix),
    documents,
    st.sampled_from([None, None, "floor", "nitro"]),
)


@laws
@given(offers_of_a_model(), preferences)
def test_expected_is_within_bounds(offers: list[Candidate], asked: Preferences) -> None:
    found = bounds(offers, asked, charge, AT)
    assert len(found.used) + len(found.excluded) == len(offers)
    if found.lowest is None:
        assert (found.expected, found.highest, found.used) == (None, None, ())
        assert found.why
        return
    assert found.expected is not None
    assert found.highest is not None
    assert found.lowest <= found.expected <= found.highest
    assert {found.lowest, found.highest} <= {it.cost for it in found.used}
    assert sum(it.weight for it in found.used) == 1
    assert all(it.weight >= 0 for it in found.used)
    # within half a unit of the last digit, or exact
    mean = sum(it.weight * Fraction(it.cost) for it in found.used)
    assert abs(Fraction(found.expected) - mean) * 2 * 10 ** (DIGITS - 1) <= mean
    # of those that share the chances, who is cheaper is likelier: never dearer than their plain mean
    likely = [Fraction(it.cost) for it in found.used if it.weight]
    assert mean <= sum(likely) / len(likely)


@laws
@given(offers_of_a_model(), preferences, st.randoms(use_true_random=False))
def test_their_order_does_not_matter(offers: list[Candidate], asked: Preferences, random: Any) -> None:
    shuffled = offers[:]
    random.shuffle(shuffled)
    assert bounds(shuffled, asked, charge, AT) == bounds(offers, asked, charge, AT)


@laws
@given(offers_of_a_model(), preferences)
def test_who_is_excluded_does_not_matter(offers: list[Candidate], asked: Preferences) -> None:
    found = bounds(offers, asked, charge, AT)
    out = set(reasons(found))
    left = bounds([it for it in offers if it.name not in out], asked, charge, AT)
    assert left.excluded == ()
    assert (left.lowest, left.expected, left.highest, left.used) == (
        found.lowest, found.expected, found.highest, found.used,
    )  # fmt: skip


@laws
@given(
    offers_of_a_model(), preferences, st.sampled_from(["prompt", "completion"]), st.integers(0, 5), st.integers(0, 5)
)
def test_a_tighter_max_price_narrows(
    offers: list[Candidate], asked: Preferences, unit: str, one: int, other: int
) -> None:
    tight, loose = (
        bounds(offers, replace(asked, max_price=((unit, Decimal(most)),)), charge, AT)
        for most in (min(one, other), max(one, other))
    )
    assert set(keys(tight)) <= set(keys(loose))
    assume(tight.lowest is not None)
    (least, most), (least_at_all, most_at_all) = ends(tight), ends(loose)
    assert least_at_all <= least <= most <= most_at_all


@laws
@given(costs, healths)
def test_one_endpoint_costs_what_it_costs(cost: str, health: Health) -> None:
    assume(health.status != -10)
    found = ask(offer("a", cost, health))
    assert found.lowest == found.expected == found.highest == usd(cost)


@laws
@given(st.lists(costs, min_size=1, max_size=5), costs)
def test_the_expected_cost_scales_with_the_usage(prices: list[str], more: str) -> None:
    """Ten times the tokens is ten times the cost, at the same chances."""
    offers = [offer(f"p{number}", price) for number, price in enumerate(prices)]
    once = bounds(offers, ANY, charge, AT)
    tenfold = bounds(offers, ANY, lambda it: None if (cost := charge(it)) is None else cost.scaleb(1), AT)
    assert [it.weight for it in tenfold.used] == [it.weight for it in once.used]
    assert once.expected is not None
    assert tenfold.expected == once.expected.scaleb(1)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.decimals(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
KEYS = (
    "order", "only", "ignore", "allow_fallbacks", "require_parameters", "data_collection", "zdr", "sort", "max_price",
    "enforce_distillable_text", "quantizations", "preferred_min_throughput", "preferred_max_latency",
)  # fmt: skip
nearly = json_values | st.dictionaries(
    st.sampled_from(["by", "partition", "prompt", "audio", "image", "p50"]), json_values, max_size=2
)


@laws
@given(json_values | st.dictionaries(st.sampled_from(KEYS), nearly, max_size=3))
def test_preferences_or_a_usage_error(document: Any) -> None:
    try:
        asked = Preferences.of(document)
    except UsageError:
        return
    assert isinstance(bounds([offer("a", "1")], asked, charge, AT), Bounds)
    assert hash(asked) == hash(Preferences.of(document))


# --- real endpoints


def real_models() -> Iterator[tuple[str, list[Candidate]]]:
    """The models of all captures, each with its endpoints."""
    from backports import zstd

    path = shared_folder() / "data" / "endpoints" / "daily.tar.zst"
    options = {int(zstd.DecompressionParameter.window_log_max): 31}
    with zstd.open(path, "rb", options=options) as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is None or not member.name.endswith(".json"):
                continue
            for model in json.loads(content.read())["models"]:
                body = json.dumps({"data": {"id": model["id"], "endpoints": model["endpoints"]}}).encode()
                offers = keyed(decode(body, model["id"]).values)
                yield model["id"], [Candidate(it.endpoint, it.health, key=key) for key, it in offers.items()]


@pytest.mark.history
def test_real_endpoints() -> None:
    models, priced, several, tiered = 0, 0, 0, 0
    floor = ANY.with_suffix("floor")
    bands: set[str] = set()
    for model_id, offers in real_models():
        models += 1
        found, cheapest = bounds(offers, ANY, charge, AT), bounds(offers, floor, charge, AT)
        tiered += any("service tier" in reason for reason in reasons(found).values())
        assert not any(tier_of(it.tag) for it in found.used)
        # everyone who is listed may serve, but for the tiers
        assert len(found.used) == sum(tier_of(it.endpoint.tag) is None for it in offers)
        if found.expected is None:
            assert found.why == "no endpoint is known"
            continue
        priced += 1
        lowest, highest = ends(found)
        assert lowest <= found.expected <= highest, model_id
        several += lowest < highest
        likely = [Fraction(it.cost) for it in found.used if it.weight]
        assert Fraction(found.expected) <= sum(likely) / len(likely) * (1 + Fraction(1, 10 ** (DIGITS - 1)))
        bands.add(found.used[0].band)
        assert cheapest.expected == cheapest.lowest
        assert ends(cheapest)[0] <= lowest
    assert models > 7000
    assert priced > models * 0.9
    assert several > 1500
    assert tiered > 150
    assert bands == {"healthy", "degraded", "fallback"}


@pytest.mark.history
def test_a_real_status_says_the_uptime() -> None:
    """Why a status of -2 or -5 is a band and not an outage."""
    said: dict[str, set[int | None]] = {"healthy": set(), "degraded": set(), "fallback": set()}
    for _, offers in real_models():
        for it in offers:
            uptime = it.health.uptime
            if uptime is not None:
                said["healthy" if uptime >= 95 else "degraded" if uptime >= 80 else "fallback"].add(it.health.status)
    assert said == {"healthy": {0}, "degraded": {-2}, "fallback": {-5}}
