"""What a request asks of who serves it: every key of OpenRouter's `provider` object, and what is none."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from llmhive.catalog.endpoint import Health
from llmhive.catalog.preferences import Preferences
from llmhive.errors import UsageError
from tests.catalog.offers import ANY, DEGRADED, DOWN, ask, keys, offer, reasons, usd


def test_order() -> None:
    offers = [offer("a", "1"), offer("b/fp8", "2"), offer("b/eu", "3"), offer("c", "4", DEGRADED)]
    found = ask(*offers, order=["c", "b"])
    assert keys(found) == ["c", "b/fp8", "b/eu", "a"]
    assert [it.weight for it in found.used] == [1, 0, 0, 0]
    assert (found.lowest, found.expected, found.highest) == (usd("1"), usd("4"), usd("4"))
    assert found.notes == ("c comes first, although requests to it fail more often than usual",)
    assert ask(*offers, order=["B"]).expected == usd("2")
    assert ask(*offers, order=["b/eu"]).expected == usd("3")


def test_order_without_fallbacks() -> None:
    found = ask(offer("a", "1"), offer("b/fp8", "2"), offer("b/eu", "3"), order=["b"], allow_fallbacks=False)
    assert (found.lowest, found.expected, found.highest) == (usd("2"), usd("2"), usd("3"))
    assert found.excluded == (("a", "not in `order`, and fallbacks are not allowed"),)


def test_order_of_whom_nobody_may() -> None:
    found = ask(offer("a", "1"), offer("c", "3"), offer("b", "2", DOWN), order=["b", "typo"])
    assert found.expected == usd("1.2")
    assert found.notes == (
        "`order` names typo, which means no endpoint of this model",
        "nobody in `order` may serve: the others are asked as if there were none",
    )


def test_fallbacks_without_an_order_change_nothing() -> None:
    offers = [offer("a", "1"), offer("c", "3")]
    assert ask(*offers, allow_fallbacks=False) == ask(*offers)


def test_only_and_ignore() -> None:
    offers = [offer("a", "1"), offer("b/fp8", "2"), offer("b/eu/x", "3"), offer("bb", "4")]
    assert keys(ask(*offers, only=["b"])) == ["b/fp8", "b/eu/x"]
    assert reasons(ask(*offers, only=["b"]))["a"] == "not among `only`"
    assert keys(ask(*offers, only=["b/eu"])) == ["b/eu/x"]
    assert keys(ask(*offers, only=["b/e"])) == []
    assert keys(ask(*offers, only=["b", "bb"], ignore=["b/fp8"])) == ["b/eu/x", "bb"]
    assert reasons(ask(*offers, ignore=["b"])) == {"b/fp8": "ignored", "b/eu/x": "ignored"}
    assert keys(ask(*offers, only=[], ignore=[], order=[])) == keys(ask(*offers))


def test_a_provider_by_slug_and_by_name() -> None:
    it = offer("anthropic/claude-on-aws", "1", provider="Amazon Bedrock", slug="amazon-bedrock")
    for name in ("amazon-bedrock", "Amazon Bedrock", "anthropic", "anthropic/claude-on-aws"):
        assert keys(ask(it, only=[name])) == [it.endpoint.tag]
    assert ask(it, only=["aws"]).expected is None


def test_quantizations() -> None:
    offers = [offer("a", "1"), offer("b", "2", quantization="fp8"), offer("c", "3", quantization="bf16")]
    assert keys(ask(*offers, quantizations=["FP8", "int4"])) == ["b"]
    assert keys(ask(*offers, quantizations=["unknown", "bf16"])) == ["a", "c"]
    assert reasons(ask(*offers, quantizations=["bf16"])) == {
        "a": "its quantization is unknown", "b": "its quantization is fp8",
    }  # fmt: skip


def test_zdr() -> None:
    offers = [offer("a", "1"), offer("b", "2", zdr=True), offer("c", "3", zdr=False)]
    found = ask(*offers, zdr=True)
    assert keys(found) == ["b"]
    assert reasons(found) == {"a": "whether it keeps data is not known", "c": "it keeps data"}
    assert len(ask(*offers, zdr=False).used) == 3


def test_max_price() -> None:
    offers = [
        offer("a", "1", completion="0.000005"), offer("b", "2", request="0.01"), offer("c", "3", image="0.5"),
        offer("d", None, completion="0.000001"),
    ]  # fmt: skip
    assert keys(ask(*offers[:3], max_price={"prompt": 2})) == ["b", "a"]
    assert keys(ask(*offers[:3], max_price={"prompt": "1.9999"})) == ["a"]
    assert keys(ask(*offers[:3], max_price={"completion": 4.9})) == ["b", "c"]
    assert keys(ask(*offers[:3], max_price={"request": 0, "image": "0.5"})) == ["c", "a"]
    assert keys(ask(*offers[:3], max_price={"image": Decimal("0.49"), "prompt": None})) == ["b", "a"]
    assert reasons(ask(*offers, max_price={"prompt": 5}))["d"].startswith("its prompt price is not known")
    found = ask(*offers[:3], max_price={"audio": 0})
    assert len(found.used) == 3
    assert found.notes[0].startswith("`max_price.audio`")


def test_sort() -> None:
    offers = [
        offer("a", "1", Health(throughput_p50=10.0, latency_p50=900.0)),
        offer("b", "2", Health(throughput_p50=90.0, latency_p50=300.0, uptime_last_30m=70.0)),
        offer("c", "3", Health(latency_p50=100.0)),
        offer("d", "3", Health(throughput_p50=90.0)),
        offer("e", "0.5"),
    ]
    assert keys(ask(*offers, sort="price")) == ["e", "a", "b", "c", "d"]
    found = ask(*offers, sort="throughput")
    assert keys(found) == ["b", "d", "a", "e", "c"]
    assert found.expected == usd("2")
    assert found.notes == ("b comes first, although requests to it fail more often than usual",)
    assert keys(ask(*offers, sort={"by": "latency", "partition": "none"})) == ["c", "b", "a", "e", "d"]
    assert ask(offers[4], offers[3], sort="latency").notes == (
        "the latency of no endpoint is known: they are asked from the cheapest on",
    )
    assert keys(ask(*offers, sort="latency", order=["d"])) == ["d", "c", "b", "a", "e"]
    exacto = ask(*offers, sort="exacto")
    assert exacto.used == ask(*offers).used
    assert "exacto" in exacto.notes[0]


def test_what_cannot_be_judged_is_said() -> None:
    asked = Preferences.of(
        {
            "require_parameters": True,
            "data_collection": "deny",
            "enforce_distillable_text": True,
            "preferred_min_throughput": {"p50": 40, "p90": None},
            "preferred_max_latency": 2.5,
        }
    )
    assert [note.split("`")[1] for note in asked.notes] == [
        "require_parameters", "data_collection", "enforce_distillable_text", "preferred_min_throughput",
        "preferred_max_latency",
    ]  # fmt: skip
    harmless = {"require_parameters": False, "data_collection": "allow", "zdr": None, "sort": {"by": None}}
    assert Preferences.of(harmless) == ANY
    assert ask(offer("a", "1"), data_collection="deny").notes == Preferences.of({"data_collection": "deny"}).notes


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "JSON object"),
        ({"orders": ["a"], "x": 1}, "'orders', 'x'"),
        ({"order": "a"}, "order is a list"),
        ({"only": [1]}, "only is a list"),
        ({"ignore": [""]}, "ignore is a list"),
        ({"zdr": 1}, "zdr is true or false"),
        ({"allow_fallbacks": "no"}, "allow_fallbacks is true or false"),
        ({"data_collection": "maybe"}, "data_collection is allow or deny"),
        ({"sort": "cheapest"}, "sort is one of price, throughput, latency, exacto, not 'cheapest'"),
        ({"sort": {"by": "price", "dir": "up"}}, "sort is an object"),
        ({"sort": {"partition": 1}}, "sort is an object"),
        ({"max_price": 3}, "max_price is an object"),
        (
            {"max_price": {"tokens": 3}},
            "max_price is an object with prices for prompt, completion, request, image, audio, not 'tokens'",
        ),
        (
            {"max_price": ["prompt"]},
            'max_price is an object with prices for prompt, completion, request, image, audio, not ["prompt"]',
        ),
        ({"sort": {"by": 3}}, 'sort is one of price, throughput, latency, exacto, not {"by":3}'),
        ({"max_price": {"prompt": "cheap"}}, "max_price.prompt is a number"),
        ({"max_price": {"prompt": -1}}, "max_price.prompt is a number"),
        ({"max_price": {"audio": True}}, "max_price.audio is a number"),
        ({"max_price": {"request": float("nan")}}, "max_price.request is a number"),
        ({"max_price": {"image": 10**5000}}, "max_price.image is a number of USD, not this int"),
        ({"preferred_max_latency": "fast"}, "preferred_max_latency is a number"),
        ({"preferred_min_throughput": {"p50": "x"}}, "preferred_min_throughput is a number"),
    ],
)
def test_preferences_that_are_none(document: Any, words: str) -> None:
    with pytest.raises(UsageError) as told:
        Preferences.of(document)
    assert words in str(told.value)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"only": "azure"}, "only is a list of names, not 'azure'"),
        ({"only": ""}, "only is a list of names"),
        ({"order": ("a", 1)}, "order is a list of names"),
        ({"ignore": None}, "ignore is a list of names, not null"),
        ({"quantizations": {"fp8"}}, "quantizations is a list of names"),
        ({"zdr": "yes"}, "zdr is true or false, not 'yes'"),
        ({"allow_fallbacks": None}, "allow_fallbacks is true or false"),
        ({"sort": "cheapest"}, "sort is one of"),
        ({"max_price": 3}, "max_price is an object"),
        ({"max_price": ("prompt",)}, "max_price is an object"),
        ({"max_price": {"tokens": 3}}, "not 'tokens'"),
        ({"max_price": {"prompt": "cheap"}}, "max_price.prompt is a number"),
    ],
)
def test_none_are_made_of_bad_values(told: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as refused:
        Preferences(**told)
    assert words in str(refused.value)


def test_made_in_python_they_are_as_read_from_json() -> None:
    asked = {
        "only": ["azure", "azure"],
        "quantizations": ["FP8"],
        "sort": "price",
        "max_price": {"prompt": 1.5, "audio": 1},
    }
    made = Preferences(
        only=["azure", "azure"],  # type: ignore[arg-type]
        quantizations=("FP8",), sort="price",
        max_price={"prompt": 1.5, "audio": 1},  # type: ignore[arg-type]
    )  # fmt: skip
    assert made == Preferences.of(asked)
    assert made.max_price == (("prompt", Decimal("1.5")),)
    assert "audio" in made.notes[0]
    assert Preferences(max_price=(("prompt", Decimal(2)),)).max_price == (("prompt", Decimal(2)),)
