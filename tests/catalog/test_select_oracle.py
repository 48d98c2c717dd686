"""The oracle of the selection against cases worked out by hand."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from llmhive.catalog.need import Need
from llmhive.catalog.usage import Usage
from tests import select_oracle as oracle
from tests.select_plain import cost_of, matches, meant, parts_of, rates_at

#: a Wednesday
AT = datetime(2026, 7, 22, 12, 30, tzinfo=UTC)


def pricing(prompt: str | None = "0.000001", completion: str | None = "0.000001", *overrides: Any, **more: str) -> Any:
    told = {"prompt": prompt, "completion": completion, **more}
    rates = {unit: Decimal(rate) for unit, rate in told.items() if rate is not None}
    return {"rates": rates, "overrides": [{"when": when, "rates": _decimals(new)} for when, new in overrides]}


def _decimals(told: dict[str, str]) -> dict[str, Decimal]:
    return {unit: Decimal(rate) for unit, rate in told.items()}


def offer(name: str = "one", **said: Any) -> Any:
    usual = {
        "name": name, "tag": name, "called": [None, name.title()], "context_length": 100_000,
        "max_completion_tokens": None, "max_prompt_tokens": None, "quantization": None, "pricing": pricing(),
        "parameters": ["tools"], "caches": None, "zdr": None, "status": 0, "uptime": 100.0, "latency": None,
        "throughput": None,
    }  # fmt: skip
    return usual | said


def model(model_id: str, **said: Any) -> Any:
    base, _, variant = model_id.partition(":")
    usual = {
        "id": model_id, "canonical_slug": f"{base}-1", "author": base.partition("/")[0], "family": "acme/it",
        "size": None, "variant": variant or None, "created_at": None, "context_length": 100_000,
        "max_completion_tokens": None, "input_modalities": ["text"], "output_modalities": ["text"],
        "supported_parameters": ["tools"], "tokenizer": None, "pricing_kind": "fixed", "served": {},
        "pricing": pricing(), "offers": None, "is_active": True, "expiration_date": None,
    }  # fmt: skip
    return usual | said


def stock(*models: Any, measures: Any = None, ranks: Any = None, sizes: Any = None) -> Any:
    return {"at": AT, "models": models, "measures": measures or {}, "ranks": ranks or {}, "sizes": sizes or {}}


def ids(stocked: Any, **need: Any) -> list[str]:
    return [it[0] for it in oracle.choose(stocked, Need(**need))]


@pytest.mark.parametrize(
    ("per_million", "mark"), [("0.01", 1), ("0.001", 1), ("0", 1), ("0.1", 0.75), ("1", 0.5), ("100", 0), ("999", 0)]
)
def test_price_mark(per_million: str, mark: float) -> None:
    assert oracle.price_mark(Fraction(per_million)) == pytest.approx(mark)


def test_unknown_is_a_quarter() -> None:
    assert oracle.price_mark(None) == oracle.speed_mark(None) == 0.25


@pytest.mark.parametrize(("seconds", "mark"), [(0, 1), (1, 1), (10, 0.5), (100, 0), (math.inf, 0)])
def test_speed_mark(seconds: float, mark: float) -> None:
    assert oracle.speed_mark(seconds) == pytest.approx(mark)


def test_quality_is_drawn_to_a_tenth() -> None:
    told = {"a/x": {"intelligence_index": 60.0, "coding_index": 50.0}, "a/y": {"elo:models:web": 1335.0}}
    it = stock(measures=told, ranks={"leaderboard": {"a/x": 1}, "programming": {"a/y": 1}},
               sizes={"leaderboard": 50, "programming": 9})  # fmt: skip
    assert oracle.quality(stock(), "a/x", None) == pytest.approx(0.1)
    # .8 · .6 + .2 · .6 and .2 · .1, over 1.2
    assert oracle.quality(it, "a/x", None) == pytest.approx((0.48 + 0.12 + 0.02) / 1.2)
    # half the weight of an index; below the last of fifty
    assert oracle.quality(it, "a/y", None) == pytest.approx((0.4 * 0.5 + 0.2 * 0.2 + 0.02) / 0.8)
    assert oracle.quality(it, "a/x", "programming") == pytest.approx(
        (0.55 * 0.5 + 0.25 * 0.6 + 0.2 * (0.6 - 0.4 * math.log(10) / math.log(51)) + 0.02) / 1.2
    )
    assert oracle.quality(it, "a/x", "legal") == pytest.approx((0.7 * 0.6 + 0.02) / 0.9)


def test_later_overrides_win() -> None:
    second = {"utc_days": ["wed"], "min_prompt_tokens": 20}, {"prompt": "0.4", "completion": "0.5"}
    prices = pricing("0.1", "0.2", ({"min_prompt_tokens": 10}, {"prompt": "0.3"}), second)
    assert [str(rates_at(prices, size, AT)["prompt"]) for size in (10, 11, 20, 21)] == ["0.1", "0.3", "0.3", "0.4"]
    assert rates_at(prices, 21, AT)["completion"] == Decimal("0.5")


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ({"utc_start": 1230}, True), ({"utc_end": 1230}, False), ({"utc_start": 1230, "utc_end": 1231}, True),
        ({"utc_start": 2300, "utc_end": 1231}, True), ({"utc_start": 1231, "utc_end": 1230}, False),
        ({"utc_start": 2300, "utc_end": 1231, "utc_days": ["tuesday"]}, True),
        ({"utc_start": 2300, "utc_end": 1231, "utc_days": ["wednesday"]}, False),
        ({"utc_days": []}, False), ({"utc_days": ["we"]}, False), ({"region": "eu"}, False), ({"utc_end": 1260}, False),
    ],
)  # fmt: skip
def test_windows(when: Any, holds: bool) -> None:
    prices = pricing("1", "1", (when, {"prompt": "2"}))
    assert rates_at(prices, 5, AT)["prompt"] == (2 if holds else 1)


def test_cost_of_a_usage() -> None:
    prices = pricing("1", "2", request="5", input_cache_read="0.5", image="7", web_search="-1")
    usage = {"prompt": 10, "completion": 3, "cached": 4, "requests": 2, "images": 1}
    assert cost_of(prices, parts_of(usage), 5, AT) == 6 * 1 + 4 * Fraction(1, 2) + 3 * 2 + 2 * 5 + 7
    assert cost_of(pricing(None, "2"), parts_of(usage), 5, AT) is None
    assert cost_of(pricing("1", "-1"), parts_of(usage), 5, AT) is None
    assert cost_of(pricing("1", "2"), parts_of(usage), 5, AT) == 10 * 1 + 3 * 2
    # what is used and has no known price
    for more in ({"request": "-1"}, {"input_cache_read": "-1"}):
        assert cost_of(pricing("0.5", "2", **more), parts_of({"prompt": 10, "cached": 4}), 5, AT) is None
    for lists in ({"web_search": "-1"}, {}):
        assert cost_of(pricing("1", "2", **lists), parts_of({"prompt": 10, "web_searches": 1}), 5, AT) is None


def test_names_and_patterns() -> None:
    it = stock(model("a/it:free"), model("a/it"), model("b/it", is_active=False), model("a/that"))
    assert meant(it, "A/IT") == "a/it"
    assert meant(it, "a/it-1") == "a/it"
    assert meant(it, "that") == "a/that"
    assert meant(it, "it") is None
    assert matches("a/*-[1]*", "a/b-c-[1]")
    assert not matches("a/*", "b/a/x")
    assert not matches("*x", "xy")


def test_what_names_and_patterns_leave_out() -> None:
    it = stock(model("a/it:free"), model("a/it"), model("b/it"), model("~b/it-latest"), model("b/that"))
    assert oracle.named(it, ["A/IT-1"]) == {"a/it"}
    assert oracle.named(it, ["IT"]) == {"a/it", "b/it"}
    assert oracle.named(it, ["B/*"]) == {"b/it", "~b/it-latest", "b/that"}
    assert oracle.named(it, ["~*", "*:free", "no"]) == {"a/it:free", "~b/it-latest"}


def test_one_offer_meets_everything() -> None:
    split = [offer("one", zdr=True, parameters=[]), offer("two", zdr=False)]
    it = stock(model("a/split", offers=split), model("a/whole", offers=[*split, offer("three", zdr=True)]))
    assert ids(it, zdr=True, require=["tools"]) == ["a/whole"]
    assert ids(it, zdr=True) == ["a/split", "a/whole"]
    assert oracle.reject(it, Need(zdr=True, require=["tools"])) == {"a/split"}


@pytest.mark.parametrize(
    "odd",
    [
        {"is_active": False}, {"offers": []}, {"offers": [offer("one/flex")]}, {"offers": [offer(status=-3)]},
        {"offers": [offer(uptime=94.9)]}, {"offers": [offer(status=-2)]}, {"pricing_kind": "free"},
        {"pricing_kind": "unknown"}, {"pricing": pricing(None)}, {"output_modalities": ["image"]},
        {"expiration_date": date(2026, 7, 22)}, {"variant": "batch"}, {"tokenizer": "Router"}, {"id": "~a/odd"},
        {"context_length": 3999}, {"max_completion_tokens": 999}, {"offers": [offer(max_prompt_tokens=2999)]},
    ],
)  # fmt: skip
def test_what_is_left_out(odd: Any) -> None:
    it = stock(model("a/odd") | odd, model("b/one"))
    assert ids(it) == ["b/one"]


def test_the_expected_cost() -> None:
    """1 and 2 USD: (1 + 1/2) / (1 + 1/4); the fastest; the cheapest."""
    usage = Usage(prompt=1_000_000)
    one = offer("one", pricing=pricing("0.000001"), throughput=10.0)
    two = offer("two", pricing=pricing("0.000002"), throughput=20.0)
    it = stock(model("a/it", offers=[one, two]))
    for offered in (one, two):
        offered["context_length"] = 2_000_000
    costs = [oracle.choose(it, Need(objective=by, usage=usage))[0][2] for by in ("value", "speed", "price")]
    assert costs == [pytest.approx(1.2), 2, 1]


def test_order_and_sticking() -> None:
    it = stock(*(model(f"a/{name}", pricing=pricing(rate)) for name, rate in (("c", "0.000001"), ("b", "0.000001"),
                                                                              ("d", "0.000002"))))  # fmt: skip
    assert ids(it, objective="quality") == ["a/b", "a/c", "a/d"]
    assert ids(it, objective="quality", stick_to="D") == ["a/d", "a/b", "a/c"]
    assert ids(it, objective="quality", stick_to="a/d", margin=0) == ["a/b", "a/c", "a/d"]
    assert ids(it, objective="price", stick_to="a/d", margin=0.01) == ["a/b", "a/c", "a/d"]


def test_of_equals_the_better_one_is_first() -> None:
    told = {"a/c": {"intelligence_index": 60.0}, "a/d": {"intelligence_index": 40.0}}
    it = stock(*(model(f"a/{name}") for name in "bcde"), model("a/a", pricing=pricing("0.0000009")), measures=told)
    assert ids(it, objective="price") == ["a/a", "a/c", "a/d", "a/b", "a/e"]
    # whose price mark cannot be better: the cheaper one, however good
    cheap = stock(model("a/b", pricing=pricing("1E-9", "1E-9")), model("a/c", pricing=pricing("2E-9", "2E-9")),
                  measures=told)  # fmt: skip
    assert ids(cheap, objective="price") == ["a/b", "a/c"]
    # an unknown price comes last, however good
    odd = stock(model("a/c", pricing=pricing(None)), model("a/b"), measures=told)
    assert ids(odd, objective="speed", allow=["unpriced"]) == ["a/b", "a/c"]


def test_a_picture_is_typical_of_who_asks_for_one() -> None:
    drawing = {
        "output_modalities": ["image", "text"],
        "pricing": pricing("0.000001", "0.000002", image_output="0.00003"),
    }
    it = stock(model("a/it", **drawing))
    assert oracle.choose(it, Need())[0][2] == pytest.approx((3000 + 2 * 1000) / 4000)
    assert oracle.choose(it, Need(outputs=["image"]))[0][2] == pytest.approx((200 + 30 * 1290) / 1490)
    asked = Need(outputs=["image"], usage=Usage(prompt=3000, completion=1000))
    assert oracle.choose(it, asked)[0][2] == pytest.approx((3000 + 2 * 1000) / 4000)


def test_roles_from_a_model() -> None:
    told = {"a/it": {"intelligence_index": 40.0}, "a/new": {"intelligence_index": 60.0}}
    it = stock(model("a/it"), model("a/it:thinking"), model("a/new", size="xl"), model("b/far", family="b/far"),
               measures=told)  # fmt: skip
    assert ids(it, role="escalation", of="a/it") == ["a/new"]
    # nobody who gives less
    drawing = [{**each, "output_modalities": ["image"]} for each in it["models"][::2]]
    assert ids({**it, "models": [drawing[0], *it["models"][1:]]}, role="escalation", of="a/it") == []
    assert ids({**it, "models": drawing}, role="escalation", of="a/it") == ["a/new"]
    # same family, another size, unknown age; all capabilities; the same price; .15 · Q
    found = oracle.choose(it, Need(role="replacement", of="a/it"))
    assert [it[0] for it in found] == ["a/new", "b/far"]
    assert found[0][1] == pytest.approx(0.35 * 0.6 + 0.3 + 0.2 + 0.15 * (0.8 * 0.6 + 0.02) / 1.0)
    assert found[1][1] == pytest.approx(0.3 + 0.2 + 0.15 * 0.1)
