"""OpenRouter's JSON → offers, pairs and providers: laws, traps one by one, and real answers against another reading."""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.app.openrouter.decode_endpoints import endpoints, providers, zdr
from llmhive.catalog.endpoint import Endpoint, Health, Offer, Provider, keyed
from llmhive.catalog.pricing import Override, Pricing
from llmhive.errors import BadAnswer
from tests.catalog import strategies as our

laws = our.laws

#: an endpoint as served today, with a key
RECORD: dict[str, Any] = {
    "name": "Acme | acme/one-2026",
    "model_id": "acme/one",
    "model_name": "Acme: One",
    "context_length": 128_000,
    "pricing": {
        "prompt": "0.0000000416666666666667",
        "completion": "0.000002",
        "image": "0",
        "discount": 0.15,
        "overrides": [{"min_prompt_tokens": 64_000, "prompt": "0.000001"}],
    },
    "provider_name": "Acme",
    "tag": "acme/fp8",
    "quantization": "fp8",
    "max_completion_tokens": 4096,
    "max_prompt_tokens": None,
    "supported_parameters": ["tools", "seed"],
    "status": 0,
    "uptime_last_5m": None,
    "uptime_last_30m": 99.86320109439124,
    "uptime_last_1d": 100,
    "latency_last_30m": {"p50": 512.5, "p75": 700, "p90": 900, "p99": 2000},
    "throughput_last_30m": {"p50": 60, "p75": 50, "p90": 40.5, "p99": 10},
    "supports_implicit_caching": True,
    "supports_voice_cloning": False,
    "supports_tool_choice": {"literal_none": True},
}
OFFER = Offer(
    Endpoint(
        model_id="acme/one",
        tag="acme/fp8",
        provider_name="Acme",
        context_length=128_000,
        max_completion_tokens=4096,
        max_prompt_tokens=None,
        quantization="fp8",
        pricing=Pricing(
            (("completion", Decimal("0.000002")), ("prompt", Decimal("4.16666666666667E-8"))),
            (Override((("min_prompt_tokens", 64_000),), (("prompt", Decimal("0.000001")),)),),
        ),
        discount=Decimal("0.15"),
        supported_parameters=("seed", "tools"),
        supports_implicit_caching=True,
        supports_voice_cloning=False,
    ),
    Health(0, None, 99.86320109439124, 100.0, 512.5, 900.0, 60.0, 40.5),
)


def answer(*records: Any) -> bytes:
    return json.dumps({"data": {"id": "acme/one", "name": "One", "endpoints": list(records)}}).encode()


def one(**changes: Any) -> Offer:
    found = endpoints(answer(RECORD | changes), "acme/one")
    assert found.unreadable == ()
    (offer,) = found.values
    return offer


def bare(record: dict[str, Any], *absent: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in absent}


def test_an_endpoint_is_read() -> None:
    assert one() == OFFER
    assert one(surprise={"a": [1]}) == OFFER, "unknown fields are ignored"


def test_an_endpoint_without_what_may_be_absent() -> None:
    found = endpoints(answer({"tag": "acme", "provider_name": "Brand New"}), "acme/one")
    assert found.values == (Offer(Endpoint("acme/one", "acme", "Brand New")),)
    assert one(latency_last_30m=None, throughput_last_30m=None).health == Health(0, None, 99.86320109439124, 100.0)


@pytest.mark.parametrize(
    ("served", "kept"), [("fp8", "fp8"), ("fp3-new", "fp3-new"), ("unknown", None), (None, None), ("", None), (8, None)]
)
def test_quantizations(served: Any, kept: str | None) -> None:
    assert one(quantization=served).endpoint.quantization == kept


@pytest.mark.parametrize(
    ("served", "kept"),
    [("0", "0"), ("-0.25", "-0.25"), ("0.9", "0.9"), ('"0.10"', "0.1"), ("null", None), ("[]", None)],
)
def test_discounts_are_kept_and_change_no_price(served: str, kept: str | None) -> None:
    record = json.dumps(RECORD).replace("0.15", served)
    (offer,) = endpoints(f'{{"data":{{"endpoints":[{record}]}}}}'.encode(), "acme/one").values
    assert offer.endpoint.discount == (None if kept is None else Decimal(kept))
    assert offer.endpoint.pricing == OFFER.endpoint.pricing


@pytest.mark.parametrize("status", [0, 1, -1, -2, -3, -5, -10, None])
def test_every_status_is_kept(status: int | None) -> None:
    assert one(status=status).health.status == status


@pytest.mark.parametrize("status", ["0", 0.5, True, [], 2**40, -(10**30)])
def test_what_is_no_status_is_unknown(status: Any) -> None:
    assert one(status=status).health.status is None


@pytest.mark.parametrize("uptime", [-1, 100.1, "99", True, {}, 10**400])
def test_what_is_no_percentage_is_unknown(uptime: Any) -> None:
    assert one(uptime_last_30m=uptime).health.uptime_last_30m is None


@pytest.mark.parametrize(
    ("served", "p50", "p90"),
    [
        ({"p50": 0.25, "p90": 0.85}, 250.0, 850.0),
        ({"p50": 3, "p90": 25}, 3000.0, 25000.0),
        ({"p50": 19.75, "p90": 30}, 19750.0, 30000.0),
        ({"p50": 20, "p90": 30}, 20.0, 30.0),
        ({"p50": 0, "p90": 0}, 0.0, 0.0),
        ({"p90": 0.5}, None, 500.0),
        ({"p50": 800}, 800.0, None),
        ({"p50": "1", "p90": -5}, None, None),
        ([], None, None),
    ],
)
def test_latency_is_in_milliseconds(served: Any, p50: float | None, p90: float | None) -> None:
    health = one(latency_last_30m=served).health
    assert (health.latency_p50, health.latency_p90) == (p50, p90)
    assert one(throughput_last_30m={"p50": 0.25}).health.throughput_p50 == 0.25, "a throughput has no such doubt"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (bare(RECORD, "tag"), "it has no tag"),
        (RECORD | {"tag": "a b"}, "its tag is not one: 'a b'"),
        (RECORD | {"tag": "a" * 256}, "its tag is not one"),
        (bare(RECORD, "provider_name"), "it has no provider_name"),
        (RECORD | {"provider_name": " "}, "its provider_name is not one"),
        (RECORD | {"pricing": {"prompt": "cheap"}}, "its price pricing.prompt is not a number: 'cheap'"),
        (RECORD | {"provider_name": "A\0"}, "it contains a NUL or half a surrogate pair"),
        (RECORD | {"name": "A\ud83d"}, "it contains a NUL or half a surrogate pair"),
        ([], "it is a list, not an object"),
        (None, "it is null, not an object"),
    ],
)
def test_a_record_in_quarantine_costs_no_other(record: Any, reason: str) -> None:
    found = endpoints(answer(RECORD, record, RECORD | {"tag": "other"}), "acme/one")
    assert [offer.endpoint.tag for offer in found.values] == ["acme/fp8", "other"]
    (why,) = found.unreadable
    assert why.startswith(f"record 1: {reason}")


def test_a_description_that_is_cut_in_an_emoji_costs_nothing() -> None:
    body = json.dumps({"data": {"description": "\ud83d", "endpoints": [RECORD]}}).encode()
    found = endpoints(body, "acme/one")
    assert (found.values, found.unreadable) == ((OFFER,), ())


def test_no_endpoints_is_an_answer() -> None:
    assert endpoints(answer(), "acme/one").values == ()


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"null", b"[]", b"{}", b'{"data":null}', b'{"data":[]}', b'{"data":{}}', b'{"error":{"code":404}}',
     b'{"data":{"endpoints":null}}', b'{"data":{"endpoints":{}}}', b'{"data":{"endpoints":[}', b"\xff", b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(BadAnswer, match="acme/one"):
        endpoints(body, "acme/one")
    if body != b'{"data":[]}':
        for read in (zdr, providers):
            with pytest.raises(BadAnswer, match="The answer is no list of"):
                read(body)


_near = st.lists(st.tuples(st.sampled_from(sorted(RECORD)), our.json_texts), max_size=8).map(
    lambda items: "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in items) + "}"
)


@laws
@given(st.lists(our.json_texts | _near | st.just(json.dumps(RECORD)), max_size=4))
def test_no_record_can_stop_the_others(records: list[str]) -> None:
    listed = ",".join(records)
    found = endpoints(f'{{"data":{{"endpoints":[{listed}]}}}}'.encode(), "acme/one")
    assert len(found.values) + len(found.unreadable) == len(records)
    assert sum(offer == OFFER for offer in found.values) >= records.count(json.dumps(RECORD))
    assert sorted(map(repr, keyed(found.values).values())) == sorted(map(repr, found.values))
    for read in (zdr, providers):
        seen = read(f'{{"data":[{listed}]}}'.encode())
        assert len(seen.values) + len(seen.unreadable) <= len(records)


def test_pairs_that_keep_no_data() -> None:
    other = RECORD | {"model_id": "acme/two:free", "tag": "acme"}
    found = zdr(json.dumps({"data": [RECORD, other, bare(RECORD, "model_id"), RECORD]}).encode())
    assert found.values == (("acme/one", "acme/fp8"), ("acme/two:free", "acme"), ("acme/one", "acme/fp8"))
    assert found.unreadable == ("record 2: it has no model_id",)


def test_providers_are_read() -> None:
    served = [
        {"slug": "acme", "name": "Acme", "headquarters": "US", "datacenters": ["US", "DE"],
         "privacy_policy_url": "https://acme.test/p", "terms_of_service_url": "javascript:alert(1)"},
        {"slug": "bare", "name": "Bare", "datacenters": []},
        {"slug": "acme", "name": "Acme again"},
        {"name": "Nameless"},
    ]  # fmt: skip
    found = providers(json.dumps({"data": served}).encode())
    assert found.values == (
        Provider("acme", "Acme", "US", ("DE", "US"), "https://acme.test/p"),
        Provider("bare", "Bare", None, ()),
    )
    assert found.unreadable == ("record 3: it has no slug",)


def test_real_providers(shared: Path) -> None:
    body = gzip.decompress((shared / "data/providers/providers.json.gz").read_bytes())
    found = providers(body)
    assert found.unreadable == ()
    plain = [asdict(provider) for provider in found.values]
    served = json.loads(body)["data"]
    assert len(plain) == len(served) > 50
    for seen, said in zip(plain, served, strict=True):
        places = said.pop("datacenters", None)
        assert seen.pop("datacenters") == (None if places is None else tuple(sorted(places)))
        assert seen == {name: said.get(name) for name in seen}


def test_a_real_answer(shared: Path) -> None:
    body = gzip.decompress((shared / "data/endpoints/one-model-raw.json.gz").read_bytes())
    found = endpoints(body, "qwen/qwen3-235b-a22b-thinking-2507")
    served = json.loads(body, parse_float=Decimal)["data"]["endpoints"]
    assert found.unreadable == ()
    assert len(found.values) == len(served) > 3
    for offer, said in zip(found.values, served, strict=True):
        it = offer.endpoint
        for name in ("tag", "provider_name", "context_length", "max_completion_tokens", "max_prompt_tokens"):
            assert getattr(it, name) == said[name]
        assert it.quantization == (None if said["quantization"] == "unknown" else said["quantization"])
        assert list(it.supported_parameters) == sorted(said["supported_parameters"])
        assert it.discount == Decimal(said["pricing"].pop("discount"))
        assert dict(it.pricing.rates) == {
            unit: Decimal(rate) for unit, rate in said["pricing"].items()
            if Decimal(rate) or unit in {"prompt", "completion"}
        }  # fmt: skip
        uptime = said["uptime_last_30m"]
        assert offer.health == Health(said["status"], None, None if uptime is None else float(uptime))
