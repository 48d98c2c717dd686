"""The request for a shortlist: it is one that OpenRouter takes, and it lets in only who qualifies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import chain, combinations
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.catalog.capability import CAPABILITIES, capabilities
from llmhive.catalog.need import Need
from llmhive.catalog.preferences import Preferences
from llmhive.catalog.request import MOST_MODELS, QUANTIZATIONS, UNASKED, Request, Served, request_of
from llmhive.catalog.routing import Candidate, refusal
from tests.catalog import strategies as our
from tests.catalog.offers import AT, DEGRADED, DOWN, FINE, offer
from tests.openrouter_request import PROVIDER, REQUEST

laws = our.laws
VALID = jsonschema_rs.Draft202012Validator(REQUEST)
CANNOT = "OpenRouter cannot be told"
ANYTHING = Need()


def served(model_id: str, *offers: Candidate, by: Iterable[str] | None = None) -> Served:
    """A model; all that serve it qualify, or those with these names."""
    return Served(model_id, offers, frozenset(it.name for it in offers) if by is None else frozenset(by))


def at_a_dollar(*tags: str) -> list[Candidate]:
    """Endpoints, of which repeated tags get a key of their own."""
    return [
        offer(tag, "1", slug=tag.partition("/")[0], key=f"{tag}#{tags[:n].count(tag) + 1}" if tag in tags[:n] else None)
        for n, tag in enumerate(tags)
    ]


def unknown(model_id: str) -> Served:
    return Served(model_id, None, frozenset())


def asked(*models: Served, need: Need = ANYTHING) -> Request:
    found = request_of(need, models, AT)
    VALID.validate(found.body)
    Preferences.of(found.body.get("provider", {}))
    return found


def let_in(found: Request, it: Served) -> set[str]:
    """The names of those that may serve a model."""
    preferences = Preferences.of(found.body.get("provider", {}))
    return {offer.name for offer in it.offers or () if refusal(offer, preferences, AT) is None}


# --- what is said without naming anybody


def test_what_needs_no_names_has_none() -> None:
    one, two = served("a/one", *at_a_dollar("deepinfra", "openai")), served("a/two", *at_a_dollar("azure/eu"))
    assert asked(one) == ({"model": "a/one"}, ())
    assert asked(one, two) == ({"model": "a/one", "models": ["a/one", "a/two"]}, ())


@pytest.mark.parametrize(
    ("need", "provider"),
    [
        (Need(max_price_per_million={"prompt": 3, "completion": 0.1}),
         {"max_price": {"prompt": "3", "completion": "0.1"}}),
        (Need(max_price_per_million={"completion": Decimal("1E+3")}), {"max_price": {"completion": "1000"}}),
        (Need(max_price_per_million={"prompt": 0}), {"max_price": {"prompt": "0"}}),
        (Need(zdr=True), {"zdr": True}),
        (Need(quantizations={"fp8", "BF16", "unknown"}), {"quantizations": ["bf16", "fp8", "unknown"]}),
        (Need(providers={"deepinfra/turbo", "Azure"}), {"only": ["Azure", "deepinfra/turbo"]}),
        (Need(exclude_providers={"openai"}), {"ignore": ["openai"]}),
        (Need(require={"tools"}), {"require_parameters": True}),
        (Need(require={"json_mode", "vision"}), {"require_parameters": True}),
        (Need(require={"vision", "prompt_caching"}), {}),
        (Need(objective="price"), {"sort": "price"}),
        (Need(objective="speed"), {"sort": "throughput"}),
        (Need(objective={"quality": 1, "price": 1, "speed": 1}), {"sort": "throughput"}),
        (Need(objective={"quality": 1, "price": 2, "speed": 1}), {}),
        (Need(objective={"price": 1, "speed": 0.5}), {}),
        (Need(objective="quality"), {}),
        (Need(min_context=100_000, min_uptime=99, max_latency=2, lasting_days=30), {}),
    ],
)  # fmt: skip
def test_what_openrouter_can_judge_is_said_as_it_is(need: Need, provider: dict[str, Any]) -> None:
    # nobody knows who serves it: nothing else can be said
    found = asked(unknown("a/one"), need=need)
    assert found.body == {"model": "a/one"} | ({"provider": provider} if provider else {})
    assert found.notes == ("the endpoints of a/one are not known: OpenRouter's own checks must do",)


def test_a_quantization_that_openrouter_does_not_know_is_not_sent() -> None:
    one = served("a/one", offer("x", "1", quantization="q4"), offer("y", "1", quantization="fp8"), by=["x"])
    found = asked(one, need=Need(quantizations=["fp4", "q4"]))
    assert found.body["provider"] == {"only": ["x"]}
    assert found.notes == ("`quantizations` is left out, for OpenRouter does not know q4",)


def test_our_lists_are_those_of_openrouter_and_of_the_capabilities() -> None:
    levels = PROVIDER["properties"]["quantizations"]["anyOf"][0]["items"]["enum"]
    assert set(levels) == QUANTIZATIONS
    # a model with every parameter, and nothing else that is known of it
    row = {
        "id": "a/b",
        "input_modalities": [],
        "output_modalities": [],
        "pricing_kind": "fixed",
        "pricing": {},
        "supported_parameters": [
            "tools",
            "tool_choice",
            "parallel_tool_calls",
            "structured_outputs",
            "response_format",
            "reasoning",
            "reasoning_effort",
            "logprobs",
            "logit_bias",
            "prediction",
            "seed",
            "stop",
            "temperature",
            "verbosity",
        ],
    }
    asked_by_parameters = {it.name for it in CAPABILITIES} & capabilities(row)
    assert {it.name for it in CAPABILITIES} - asked_by_parameters == UNASKED


# --- who is named


def test_where_more_qualify_than_do_not_those_are_ignored() -> None:
    one = served("a/one", *at_a_dollar("deepinfra", "openai", "azure/eu"), by=["deepinfra", "azure/eu"])
    assert asked(one) == ({"model": "a/one", "provider": {"ignore": ["openai"]}}, ())


def test_where_fewer_qualify_they_are_named() -> None:
    one = served("a/one", *at_a_dollar("deepinfra", "openai", "azure/eu"), by=["azure/eu"])
    assert asked(one) == ({"model": "a/one", "provider": {"only": ["azure/eu"]}}, ())


def test_who_is_refused_anyhow_is_not_named() -> None:
    tier, down, dear, kept = (
        offer("openai/flex", "1"),
        offer("a", "1", DOWN),
        offer("b", "5"),
        offer("c", "1", zdr=False),
    )
    one = served("a/one", offer("openai", "1", zdr=True), tier, down, replace(dear, is_zdr=True), kept, by=["openai"])
    found = asked(one, need=Need(zdr=True, max_price_per_million={"prompt": 2}))
    assert found == ({"model": "a/one", "provider": {"zdr": True, "max_price": {"prompt": "2"}}}, ())


def test_health_is_told_by_names() -> None:
    one = served("a/one", offer("a", "1", FINE), offer("b", "1", FINE), offer("c", "1", DEGRADED), by=["a", "b"])
    assert asked(one).body["provider"] == {"ignore": ["c"]}


def test_names_are_narrower_than_the_providers_asked_for() -> None:
    offers = at_a_dollar("deepinfra", "deepinfra/fp8", "deepinfra/turbo", "openai")
    found = asked(served("a/one", *offers, by=["deepinfra/turbo"]), need=Need(providers=["deepinfra"]))
    assert found.body["provider"] == {"only": ["deepinfra/turbo"]}
    need = Need(exclude_providers=["openai"])
    found = asked(served("a/one", *offers, by=["deepinfra", "deepinfra/fp8"]), need=need)
    assert found.body["provider"] == {"ignore": ["deepinfra/turbo", "openai"]}


def test_a_name_means_what_is_below_it() -> None:
    # `ignore` would take the turbo one along
    one = served("a/one", *at_a_dollar("deepinfra", "deepinfra/turbo"), by=["deepinfra/turbo"])
    assert asked(one).body["provider"] == {"only": ["deepinfra/turbo"]}
    # and `only` would take it in
    one = served("a/one", *at_a_dollar("deepinfra", "deepinfra/turbo"), by=["deepinfra"])
    assert asked(one).body["provider"] == {"ignore": ["deepinfra/turbo"]}
    # here it takes both
    one = served("a/one", *at_a_dollar("deepinfra", "deepinfra/turbo", "a", "b", "c"), by=["deepinfra"])
    assert asked(one).body["provider"] == {"only": ["deepinfra"], "ignore": ["deepinfra/turbo"]}


def test_who_shares_a_tag_with_one_that_does_not_qualify_is_left_out() -> None:
    one = served("a/one", *at_a_dollar("deepinfra", "deepinfra", "openai"), by=["deepinfra", "openai"])
    found = asked(one)
    assert found.body["provider"] == {"only": ["openai"]}
    assert found.notes == ("deepinfra of a/one may not serve it: its name means others, too, that do not qualify",)
    one = served("a/one", *at_a_dollar("a", "a", "b", "b", "c"), by=["a", "b#2", "c"])
    assert asked(one).notes == (
        "a and b#2 of a/one may not serve it: their names mean others, too, that do not qualify",
    )  # fmt: skip


def test_what_openrouter_cannot_be_told() -> None:
    one = served("a/one", *at_a_dollar("deepinfra", "deepinfra", "deepinfra/turbo", "openai"), by=["deepinfra#2"])
    found = asked(one)
    # as narrow as can be
    assert let_in(found, one) == {"deepinfra", "deepinfra#2"}
    assert found.notes == (
        "OpenRouter cannot be told to leave out deepinfra of a/one: its name means others, too, that qualify",
    )  # fmt: skip
    one = served("a/one", *at_a_dollar("a", "a", "a"), by=["a#2"])
    assert asked(one).notes == (
        "OpenRouter cannot be told to leave out a and a#3 of a/one: their names mean others, too, that qualify",
    )  # fmt: skip
    # of two the one with fewer others
    one = served("a/one", *at_a_dollar("a", "a", "a", "b", "b"), by=["a", "b"])
    assert let_in(asked(one), one) == {"b", "b#2"}


def test_who_qualifies_and_is_refused_anyhow_is_let_alone() -> None:
    one = served("a/one", *at_a_dollar("openai", "openai/flex"))
    assert asked(one) == ({"model": "a/one"}, ())
    # it is not the one for whose sake others are let in
    one = served("a/one", offer("a", "1", DOWN), *at_a_dollar("b", "b"), by=["a", "b"])
    assert let_in(asked(one), one) == {"b", "b#2"}
    one = served("a/one", offer("a", "1", DOWN), *at_a_dollar("b"), by=["a"])
    assert asked(one) == (
        {"model": "a/one", "provider": {"only": ["a"]}}, ("no endpoint of a/one that qualifies may serve it",)
    )  # fmt: skip


def test_a_model_of_which_nobody_qualifies_lets_in_nobody() -> None:
    one, two = served("a/one", *at_a_dollar("deepinfra"), by=[]), served("a/two", *at_a_dollar("openai"))
    found = asked(one, two)
    assert found.body["models"] == ["a/one", "a/two"]
    assert (let_in(found, one), let_in(found, two)) == (set(), {"openai"})
    assert found.notes == ("no endpoint of a/one that qualifies may serve it",)
    assert asked(served("a/one")).notes == found.notes


# --- fallbacks


def test_one_list_of_names_holds_for_all_models() -> None:
    one = served("a/one", *at_a_dollar("a", "b", "c", "openai"), by=["a"])
    two = served("a/two", *at_a_dollar("b", "c", "d"), by=["b", "d"])
    found = asked(one, two)
    # b would let in b of the first
    assert found.body["provider"] == {"only": ["a", "d"]}
    assert found.notes == ("b of a/two may not serve it: its name means others, too, that do not qualify",)


def test_a_fallback_that_would_let_in_others_is_left_out() -> None:
    one = served("a/one", *at_a_dollar("a", "b"), by=["a"])
    two = served("a/two", *at_a_dollar("b", "a"), by=["b"])
    three = served("a/three", *at_a_dollar("a"))
    found = asked(one, two, three)
    assert found.body["models"] == ["a/one", "a/three"]
    assert found.notes == ("a/two is no fallback: naming its endpoints would let in bad ones of a/one",)
    # one name lets in bad ones of the first, the other of the second
    one, two = served("a/one", *at_a_dollar("a", "b"), by=["a"]), served("a/two", *at_a_dollar("a", "c"), by=["a"])
    found = asked(one, two, served("a/three", *at_a_dollar("c", "b", "a"), by=["b", "c"]))
    assert found.body["models"] == ["a/one", "a/two"]
    assert found.notes == ("a/three is no fallback: naming its endpoints would let in bad ones of a/one and a/two",)


def test_a_fallback_that_no_name_is_for_is_left_out() -> None:
    found = asked(served("a/one", *at_a_dollar("a")), served("a/two", *at_a_dollar("b", "b", "c"), by=["b"]))
    assert found.body == {"model": "a/one"}
    assert found.notes == (
        "a/two is no fallback: its good endpoints cannot be named without letting in others that do not qualify",
    )


def test_the_models_before_a_fallback_lose_nobody() -> None:
    one = served("a/one", *at_a_dollar("a", "b"))
    two = served("a/two", *at_a_dollar("b", "c"), by=["c"])
    found = asked(one, two)
    assert "models" not in found.body
    assert let_in(found, one) == {"a", "b"}
    assert found.notes == ("a/two is no fallback: leaving out its bad endpoints would leave out good ones of a/one",)


def test_a_fallback_of_which_nobody_qualifies_is_left_out() -> None:
    found = asked(served("a/one", *at_a_dollar("a")), served("a/two", *at_a_dollar("b"), by=[]))
    assert found == ({"model": "a/one"}, ("a/two is no fallback: none of its endpoints qualifies",))


def test_a_request_takes_three_models() -> None:
    models = [served(f"a/{n}", *at_a_dollar("x")) for n in range(5)]
    found = asked(*models)
    assert found.body["models"] == ["a/0", "a/1", "a/2"]
    assert len(found.body["models"]) == MOST_MODELS
    assert found.notes == ("a/3 and a/4 are no fallbacks: a request takes 3 models at most",)
    assert asked(*models[:4]).notes == ("a/3 is no fallback: a request takes 3 models at most",)
    # who is left out takes no place
    models[1] = served("a/1", *at_a_dollar("y"), by=[])
    assert asked(*models).body["models"] == ["a/0", "a/2", "a/3"]


def test_models_of_which_nobody_knows_who_serves_them() -> None:
    known, plain = served("a/one", *at_a_dollar("a", "b"), by=["a"]), served("a/two", *at_a_dollar("a"))
    # nothing is named
    found = asked(plain, unknown("a/x"))
    assert found.body == {"model": "a/two", "models": ["a/two", "a/x"]}
    assert found.notes == ("the endpoints of a/x are not known: OpenRouter's own checks must do",)
    # one line for all
    found = asked(*(unknown(f"a/{name}") for name in "xyzw"))
    assert found.notes == (
        "a/w is no fallback: a request takes 3 models at most",
        "the endpoints of a/x, a/y and a/z are not known: OpenRouter's own checks must do",
    )
    # `ignore` takes away only, so that it may stay; it may not where `only` is needed
    assert asked(known, unknown("a/x")).body == {
        "model": "a/one", "models": ["a/one", "a/x"], "provider": {"ignore": ["b"]},
    }  # fmt: skip
    turbo = served("a/one", *at_a_dollar("deepinfra", "deepinfra/turbo"), by=["deepinfra/turbo"])
    found = asked(turbo, unknown("a/x"))
    assert found.body == {"model": "a/one", "provider": {"only": ["deepinfra/turbo"]}}
    assert found.notes == (
        "a/x is no fallback: its endpoints are not known, and those of the models before it have to be named",
    )
    # nothing is named beside the first that is not known: it might lose everybody
    found = asked(unknown("a/x"), known, plain)
    assert found.body == {"model": "a/x", "models": ["a/x", "a/two"]}
    assert found.notes[0] == (
        "a/one is no fallback: its endpoints would have to be named, and those of a/x are not known"
    )


def test_batch_rows_are_for_other_requests() -> None:
    one, batch = served("a/one", *at_a_dollar("a")), served("a/one:batch", *at_a_dollar("a"))
    found = asked(batch)
    assert found.body == {"model": "a/one:batch"}
    assert found.notes == ("a/one:batch is a batch row: OpenRouter refuses it in a chat request",)
    found = asked(one, batch, batch._replace(id="a/two:batch"), served("a/three:batch"), one._replace(id="a/batch"))
    # whoever is not asked is not told of
    assert found.body["models"] == ["a/one", "a/one:batch", "a/two:batch"]
    assert found.notes[-1] == (
        "a/one:batch and a/two:batch are batch rows: OpenRouter refuses them in a chat request"
    )  # fmt: skip


# --- laws


TAGS = (
    "deepinfra",
    "deepinfra/turbo",
    "deepinfra/fp8",
    "openai",
    "openai/flex",
    "azure/eu",
    "azure",
    "deepinfra/fp8/x",
)
needs = st.sampled_from([
    ANYTHING, Need(providers=["deepinfra", "openai"]), Need(exclude_providers=["azure"]), Need(zdr=True),
    Need(providers=["DeepInfra"], exclude_providers=["deepinfra/fp8"]), Need(max_price_per_million={"prompt": 2}),
    Need(require=["tools"], objective="speed"), Need(quantizations=["fp8"], objective="price"),
])  # fmt: skip


@st.composite
def models(draw: st.DrawFn, *, proper: bool = False) -> list[Served]:
    """A few models; `proper`: their endpoints' slugs say what their tags say."""
    found = []
    for number in range(draw(st.integers(1, 5))):
        offers = []
        for plain in at_a_dollar(*draw(st.lists(st.sampled_from(TAGS), max_size=6))):
            slugs = [plain.provider_slug] if proper else [plain.provider_slug, None, "deepinfra", "Azure"]
            it = offer(
                plain.endpoint.tag,
                draw(st.sampled_from(["1", "3"])),
                draw(st.sampled_from([FINE, FINE, DEGRADED, DOWN])),
                slug=draw(st.sampled_from(slugs)),
                zdr=draw(st.booleans()),
                quantization=draw(st.sampled_from(["fp8", None])),
                key=plain.key,
            )
            offers.append(it)
        known = draw(st.integers(0, 5)) > 0
        by = draw(st.sets(st.sampled_from([it.name for it in offers]))) if offers else set()
        found.append(served(f"a/{number}", *offers, by=by) if known else unknown(f"a/{number}"))
    return found


@laws
@given(needs, models())
def test_only_who_qualifies_is_let_in(need: Need, given: list[Served]) -> None:
    found = asked(*given, need=need)
    used = found.body.get("models", [found.body["model"]])
    assert used == [it.id for it in given if it.id in used]
    assert used[0] == given[0].id
    for it in given:
        if it.id not in used:
            assert sum(f"{it.id} " in note or f"{it.id}," in note for note in found.notes) == 1
            continue
        others = let_in(found, it) - it.qualifying
        assert not others or (it is given[0] and any(note.startswith(CANNOT) for note in found.notes))
        if it is not given[0] and it.offers is not None:
            assert let_in(found, it) & it.qualifying
    # a note that OpenRouter cannot be told something is not there for nothing
    assert any(note.startswith(CANNOT) for note in found.notes) == bool(let_in(found, given[0]) - given[0].qualifying)


def subsets(names: Sequence[str]) -> Iterable[tuple[str, ...]]:
    return chain.from_iterable(combinations(names, size) for size in range(len(names) + 1))


@laws
@given(needs, models(proper=True))
def test_the_first_keeps_one_where_names_can_do_it(need: Need, given: list[Served]) -> None:
    first = given[0]
    found = asked(*given, need=need)
    if let_in(found, first) & first.qualifying and not let_in(found, first) - first.qualifying:
        return
    # neither any one tag nor what is declared lets in one that qualifies and nobody else, whatever is ignored
    declared = asked(unknown(first.id), need=need)
    tags = sorted({it.endpoint.tag for it in first.offers or ()})
    preferences = Preferences.of(declared.body.get("provider", {}))
    for only in [preferences.only, *((tag,) for tag in tags)]:
        for ignored in subsets(tags):
            tried = replace(preferences, only=only, ignore=(*preferences.ignore, *ignored))
            may = {it.name for it in first.offers or () if refusal(it, tried, AT) is None}
            assert not may or may - first.qualifying


@laws
@given(needs, models())
def test_no_name_is_there_for_nothing(need: Need, given: list[Served]) -> None:
    found = asked(*given, need=need)
    provider = found.body.get("provider", {})
    declared = asked(unknown("a/x"), need=need).body.get("provider", {})
    used = [it for it in given if it.id in found.body.get("models", [found.body["model"]])]
    before = [let_in(found, it) for it in used]
    for name in ("only", "ignore"):
        for gone in set(provider.get(name, ())) - set(declared.get(name, ())):
            fewer = [it for it in provider[name] if it != gone]
            without = Request({"provider": {**provider, name: fewer or declared.get(name)}}, ())
            assert [let_in(without, it) for it in used] != before


@laws
@given(needs, models(), st.data())
def test_the_order_of_endpoints_does_not_show(need: Need, given: list[Served], data: st.DataObject) -> None:
    found = asked(*given, need=need)
    for name in ("only", "ignore"):
        listed = found.body.get("provider", {}).get(name, [])
        assert listed == sorted(set(listed))
    others = [
        it if it.offers is None else it._replace(offers=tuple(data.draw(st.permutations(it.offers)))) for it in given
    ]
    assert asked(*others, need=need) == found


def test_the_same_again() -> None:
    one = served("a/one", *at_a_dollar("a", "b", "c", "d"), by=["a", "b"])
    assert asked(one) == asked(one)
