"""Endpoints: keys, health, documents, and spans that are summed up."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.catalog.endpoint import (
    Called,
    Endpoint,
    Health,
    Offer,
    Span,
    from_document,
    gone_bad,
    is_healthy,
    keyed,
    sample,
    served_by,
    summed,
    to_document,
)
from llmhive.catalog.pricing import Override, Pricing, canonical
from tests.catalog import strategies as our

laws = our.laws

TAGS = ("acme", "acme/fp8", "acme#2", "other")
percents = st.none() | st.sampled_from([0.0, 94.9, 95.0, 100.0]) | st.floats(0, 100)
amounts = st.none() | st.floats(0, 1e6)
healths = st.builds(
    Health,
    status=st.sampled_from([None, 0, 1, -1, -2, -3, -5, -10]),
    uptime_last_5m=percents,
    uptime_last_30m=percents,
    uptime_last_1d=percents,
    latency_p50=amounts,
    latency_p90=amounts,
    throughput_p50=amounts,
    throughput_p90=amounts,
)
endpoints = st.builds(
    Endpoint,
    model_id=st.just("acme/one"),
    tag=st.sampled_from(TAGS),
    provider_name=our.names,
    context_length=st.none() | our.counts,
    max_completion_tokens=st.none() | our.counts,
    max_prompt_tokens=st.none() | our.counts,
    quantization=st.sampled_from([None, "fp8", "brand-new"]),
    pricing=our.pricings,
    discount=st.none() | our.rates.map(canonical),
    supported_parameters=our.some_of(our.PARAMETERS),
    supports_implicit_caching=st.none() | st.booleans(),
    supports_voice_cloning=st.none() | st.booleans(),
)
#: few enough kinds that many are alike
alike = st.builds(
    Offer,
    st.builds(
        Endpoint,
        model_id=st.just("acme/one"),
        tag=st.sampled_from(TAGS),
        provider_name=st.just("Acme"),
        context_length=st.sampled_from([None, 0, 5]),
        quantization=st.sampled_from([None, "fp8"]),
        pricing=st.sampled_from([Pricing(), *(Pricing((("prompt", Decimal(n)),)) for n in (1, 2))]),
        supports_implicit_caching=st.sampled_from([None, True]),
    ),
    healths,
)
spans = st.builds(
    Span,
    samples=st.integers(1, 9),
    status=st.none() | st.integers(-10, 1),
    uptime=percents,
    uptime_low=percents,
    latency_p50=amounts,
    throughput_p50=amounts,
)


@laws
@given(endpoints)
def test_a_document_holds_all_of_an_endpoint(it: Endpoint) -> None:
    document = to_document(it)
    assert from_document(document) == it
    assert to_document(from_document(document.encode())) == document


@laws
@given(endpoints, endpoints)
def test_documents_are_equal_where_endpoints_are(one: Endpoint, other: Endpoint) -> None:
    assert (to_document(one) == to_document(other)) is (one == other)


@laws
@given(st.lists(alike, max_size=6), st.randoms())
def test_keys_do_not_depend_on_the_order(offers: list[Offer], random: Any) -> None:
    found = keyed(offers)
    assert sorted(map(repr, found.values())) == sorted(map(repr, offers)), "none is lost, none is made up"
    for offer in offers:
        assert found[offer.endpoint.tag].endpoint.tag == offer.endpoint.tag, "the tag itself is a key"
    shuffled = list(offers)
    random.shuffle(shuffled)
    assert keyed(shuffled) == found


def test_repeats_are_told_apart_by_what_they_are_and_not_by_price() -> None:
    def offer(quantization: str, prompt: str) -> Offer:
        pricing = Pricing.of({"prompt": Decimal(prompt)})
        return Offer(Endpoint("acme/one", "acme", "Acme", quantization=quantization, pricing=pricing))

    for prices in (("1", "2"), ("2", "1")):
        small, large = offer("bf16", prices[0]), offer("fp8", prices[1])
        assert keyed([large, small]) == {"acme": small, "acme#2": large}
    cheap, dear = offer("fp8", "9"), offer("fp8", "10")
    assert keyed([dear, cheap]) == {"acme": cheap, "acme#2": dear}


def test_a_tag_that_looks_like_a_repeat_keeps_its_key() -> None:
    offers = [Offer(Endpoint("acme/one", tag, "Acme", context_length=n)) for n, tag in enumerate(("a", "a", "a#2"))]
    found = keyed(offers)
    assert {key: offer.endpoint.context_length for key, offer in found.items()} == {"a": 0, "a#3": 1, "a#2": 2}


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        (Health(), None),
        (Health(uptime_last_5m=0.0, latency_p50=1.0), None),
        (Health(status=0), True),
        (Health(status=1), True),
        (Health(uptime_last_30m=95.0), True),
        (Health(uptime_last_30m=94.99), False),
        (Health(uptime_last_1d=94.99), False),
        (Health(uptime_last_30m=99.0, uptime_last_1d=50.0), True),
        (Health(status=0, uptime_last_30m=50.0), False),
        *((Health(status=status, uptime_last_30m=100.0), False) for status in (-1, -2, -3, -5, -10)),
    ],
)
def test_what_is_healthy(health: Health, expected: bool | None) -> None:
    assert is_healthy(health) is expected


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (Health(status=0), Health(status=-2), "status 0 → -2"),
        (Health(uptime_last_30m=99.97), Health(status=-5), "status unknown → -5"),
        (Health(0, uptime_last_30m=99.97), Health(0, uptime_last_30m=71.3), "uptime 99.9 → 71.3 %"),
        (Health(0, uptime_last_30m=95.0), Health(0, uptime_last_30m=94.99), "uptime 95.0 → 94.9 %"),
        (Health(0), Health(-1, uptime_last_1d=0.0), "status 0 → -1, uptime unknown → 0.0 %"),
        (None, Health(status=-2), None),
        (Health(), Health(status=-2), None),
        (Health(status=-1), Health(status=-2), None),
        (Health(status=0), Health(), None),
        (Health(status=-2), Health(status=0), None),
    ],
)
def test_what_goes_bad(before: Health | None, after: Health, reason: str | None) -> None:
    assert gone_bad(before, after) == reason


@laws
@given(st.none() | healths, healths)
def test_only_what_was_healthy_goes_bad(before: Health | None, after: Health) -> None:
    reason = gone_bad(before, after)
    is_worse = before is not None and is_healthy(before) is True and is_healthy(after) is False
    assert (reason is not None) is is_worse
    assert reason != ""


def test_a_headline_is_the_price_of_the_moment_where_it_is_a_number() -> None:
    day = Override((("utc_end", 1200), ("utc_start", 0)), (("prompt", Decimal(2)),))
    it = Endpoint("a/b", "t", "T", pricing=Pricing.of({"prompt": Decimal(1), "completion": Decimal(-1)}, [day]))
    assert it.headline(datetime(2026, 1, 1, 13, tzinfo=UTC)) == (Decimal(1), None)
    assert it.headline(datetime(2026, 1, 1, 11, tzinfo=UTC)) == (Decimal(2), None)
    assert replace(it, pricing=Pricing()).headline(datetime(2026, 1, 1, tzinfo=UTC)) == (None, None)


@laws
@given(healths)
def test_a_sample_is_what_was_measured(health: Health) -> None:
    span = sample(health)
    uptime = health.uptime_last_30m
    assert span == Span(1, health.status, uptime, uptime, health.latency_p50, health.throughput_p50)
    assert summed([span]) == span


@laws
@given(st.lists(spans, min_size=1, max_size=8), st.randoms())
def test_a_sum_weighs_by_samples_in_any_order(parts: list[Span], random: Any) -> None:
    found = summed(parts)
    shuffled = list(parts)
    random.shuffle(shuffled)
    assert summed(shuffled) == found
    assert found.samples == sum(part.samples for part in parts)
    assert found.status == min((part.status for part in parts if part.status is not None), default=None)
    assert found.uptime_low == min((part.uptime_low for part in parts if part.uptime_low is not None), default=None)
    for name in ("uptime", "latency_p50", "throughput_p50"):
        # written out sample by sample, in exact fractions
        every = [Fraction(v) for part in parts if (v := getattr(part, name)) is not None for _ in range(part.samples)]
        value = getattr(found, name)
        if not every:
            assert value is None
            continue
        assert math.isclose(value, float(sum(every) / len(every)), rel_tol=1e-12, abs_tol=1e-300)
        assert float(min(every)) <= value <= float(max(every))


# --- whose they are

NAMED = [
    Called("openai", "openai", "OpenAI", "openai"),
    Called("openai/flex", "openai/flex", "OpenAI", "openai"),
    Called("openai/priority", "openai/priority", "OpenAI", "openai"),
    Called("deepinfra/fp4", "deepinfra/fp4", "DeepInfra", "deepinfra"),
    Called("deepinfra/fp4#2", "deepinfra/fp4", "DeepInfra", "deepinfra"),
    Called("deepinfra/turbo", "deepinfra/turbo", "DeepInfra", "deepinfra"),
    Called("google-ai-studio", "google-ai-studio", "Google AI Studio", None),
    Called("google-vertex/global", "google-vertex/global", "Google", "google-vertex"),
    Called("google-vertex/global/flex", "google-vertex/global/flex", "Google", "google-vertex"),
    Called("google-vertex/us", "google-vertex/us", "Google", None),
    Called("anthropic", "anthropic", "Anthropic", "anthropic"),
    Called("anthropic/claude-on-aws", "anthropic/claude-on-aws", "Amazon Bedrock", "amazon-bedrock"),
    Called("sambanova-turbo", "sambanova-turbo", "SambaNova", "sambanova"),
    Called("mancer/fp8", "mancer/fp8", "Mancer 2", "mancer"),
]


@pytest.mark.parametrize(
    ("name", "tier", "keys"),
    [
        ("OpenAI", None, ["openai"]),
        ("openai", "default", ["openai"]),
        ("OpenAI", "Flex", ["openai/flex"]),
        ("openai/priority", None, ["openai/priority"]),
        ("openai/priority", "flex", []),
        ("deepinfra", None, ["deepinfra/fp4", "deepinfra/fp4#2", "deepinfra/turbo"]),
        ("DeepInfra/FP4", None, ["deepinfra/fp4", "deepinfra/fp4#2"]),
        ("deepinfra/fp4#2", None, ["deepinfra/fp4#2"]),
        ("DeepInfra", "priority", []),
        ("Google AI Studio", None, ["google-ai-studio"]),
        ("google-ai-studio", None, ["google-ai-studio"]),
        # the name, not the beginning of tags
        ("Google", None, ["google-vertex/global", "google-vertex/us"]),
        # the slug where it is known
        ("google-vertex", None, ["google-vertex/global"]),
        ("google-vertex/global", "flex", ["google-vertex/global/flex"]),
        ("Anthropic", None, ["anthropic"]),
        ("amazon bedrock", None, ["anthropic/claude-on-aws"]),
        ("sambanova-turbo", None, ["sambanova-turbo"]),
        ("mancer", None, ["mancer/fp8"]),
        (None, "flex", ["google-vertex/global/flex", "openai/flex"]),
        ("nobody", None, []),
        (" - ", None, []),
    ],
)
def test_who_is_meant(name: str | None, tier: str | None, keys: list[str]) -> None:
    assert served_by(NAMED, name, tier) == keys


def test_a_slug_that_is_not_known_is_the_beginning_of_a_tag() -> None:
    bare = [it._replace(slug=None) for it in NAMED]
    assert served_by(bare, "google-vertex") == ["google-vertex/global", "google-vertex/us"]
    assert served_by(bare, "google-vertex/global") == ["google-vertex/global"]
