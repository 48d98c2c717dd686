"""The capability matrix: what a model can do, what says so, and what nothing says."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.catalog.capability import CAPABILITIES, Cell, CellChange, State, capabilities, cells, diff
from llmhive.catalog.model import Model, Reasoning
from llmhive.catalog.pricing import Override, Pricing
from tests.catalog import strategies as our

laws = our.laws
FIXED = Pricing((("completion", Decimal(2)), ("prompt", Decimal(1))))
CHAT = Model(
    "acme/chat",
    input_modalities=("image", "text"),
    output_modalities=("text",),
    supported_parameters=("seed", "tools"),
    pricing=FIXED,
)
YES: State = "yes"
NO: State = "no"
UNKNOWN: State = "unknown"


def cell(model: Model, name: str, **known: Any) -> tuple[str, str]:
    found = cells(model, **known)[name]
    return found.state, found.provenance


def row_of(model: Model) -> dict[str, Any]:
    """A model as a row of the catalog has it."""
    pricing: dict[str, Any] = {unit: f"{rate:f}" for unit, rate in model.pricing.rates}
    pricing["overrides"] = [
        {unit: f"{rate:f}" for unit, rate in it.rates} | {"min_prompt_tokens": 5} for it in model.pricing.overrides
    ]
    return {
        "id": model.id,
        "input_modalities": list(model.input_modalities),
        "output_modalities": list(model.output_modalities),
        "supported_parameters": list(model.supported_parameters),
        "pricing_kind": model.pricing_kind,
        "tokenizer": model.tokenizer,
        "pricing": json.dumps(pricing),
    }


def test_a_list_that_tells_anything_tells_all() -> None:
    assert cell(CHAT, "vision") == (YES, "input_modalities has image")
    assert cell(CHAT, "audio_input") == (NO, "input_modalities lacks audio")
    assert cell(CHAT, "tools") == (YES, "supported_parameters has tools")
    assert cell(CHAT, "json_mode") == (NO, "supported_parameters lacks response_format")


@pytest.mark.parametrize("name", ["parallel_tool_calls", "prediction", "verbosity"])
def test_what_is_seldom_listed_may_be_there_unlisted(name: str) -> None:
    assert cell(CHAT, name) == (UNKNOWN, f"supported_parameters lacks {name}, which OpenRouter seldom lists")
    assert cell(replace(CHAT, supported_parameters=(name,)), name) == (YES, f"supported_parameters has {name}")
    assert cell(replace(CHAT, supported_parameters=()), name) == (UNKNOWN, "supported_parameters is empty")
    router = cell(replace(CHAT, tokenizer="Router"), name)
    assert router == (UNKNOWN, f"supported_parameters lacks {name}, but a router picks the model")


def test_a_list_without_anything_tells_nothing() -> None:
    painter = replace(CHAT, input_modalities=(), output_modalities=("image",), supported_parameters=())
    assert cell(painter, "vision") == (UNKNOWN, "input_modalities is empty")
    assert cell(painter, "tools") == (UNKNOWN, "supported_parameters is empty")
    assert cell(painter, "image_output")[0] == YES
    assert cell(painter, "rerank")[0] == NO


@pytest.mark.parametrize(
    "router",
    [
        replace(CHAT, pricing=Pricing((("completion", Decimal(-1)), ("prompt", Decimal(-1))))),
        replace(CHAT, tokenizer="Router"),
    ],
    ids=["priced by request", "named so"],
)
def test_a_router_may_do_what_it_does_not_list(router: Model) -> None:
    assert cell(router, "tools") == (YES, "supported_parameters has tools")
    assert cell(router, "stop") == (UNKNOWN, "supported_parameters lacks stop, but a router picks the model")
    assert cell(router, "video_input")[0] == UNKNOWN


def test_an_alias_has_one_model_at_a_time() -> None:
    alias = replace(CHAT, id="~acme/chat-latest", tokenizer="Router")
    assert cell(alias, "stop")[0] == NO
    assert cell(replace(alias, supported_parameters=()), "stop")[0] == UNKNOWN


@pytest.mark.parametrize("parameter", ["reasoning", "include_reasoning", "reasoning_effort"])
def test_a_parameter_says_that_it_reasons(parameter: str) -> None:
    assert cell(replace(CHAT, supported_parameters=(parameter,)), "reasoning") == (
        YES, f"supported_parameters has {parameter}"
    )  # fmt: skip


def test_the_reasoning_object_says_that_it_reasons() -> None:
    assert cell(CHAT, "reasoning")[0] == NO
    assert cell(replace(CHAT, reasoning=Reasoning()), "reasoning") == (YES, "it has a reasoning object")
    silent = replace(CHAT, supported_parameters=())
    assert cell(silent, "reasoning") == (UNKNOWN, "supported_parameters is empty")
    assert cell(replace(silent, reasoning=Reasoning()), "reasoning")[0] == YES


@pytest.mark.parametrize(("efforts", "state"), [(None, NO), ((), NO), (("high", "low"), YES)])
def test_efforts_that_are_listed_can_be_told(efforts: tuple[str, ...] | None, state: str) -> None:
    assert cell(replace(CHAT, reasoning=Reasoning(supported_efforts=efforts)), "reasoning_effort")[0] == state


def priced(unit: str, rate: str) -> Model:
    return replace(CHAT, pricing=Pricing(((unit, Decimal(rate)), *FIXED.rates)))


def test_what_caching_costs_says_that_it_caches_and_its_lack_nothing() -> None:
    assert cell(priced("input_cache_read", "0.0000001"), "prompt_caching") == (YES, "pricing has input_cache_read")
    assert cell(CHAT, "prompt_caching") == (UNKNOWN, "pricing has no input_cache_read")
    assert cell(priced("input_cache_read", "0"), "prompt_caching")[0] == UNKNOWN
    window = Override((("utc_start", 0),), (("input_cache_read", Decimal(1)),))
    assert cell(replace(CHAT, pricing=Pricing(FIXED.rates, (window,))), "prompt_caching")[0] == YES


def test_endpoints_may_say_that_they_cache_unasked() -> None:
    assert cell(CHAT, "prompt_caching", implicit_caching=True) == (YES, "an endpoint caches implicitly")
    assert cell(CHAT, "prompt_caching", implicit_caching=False) == (NO, "no endpoint caches implicitly")
    assert cell(priced("input_cache_read", "1"), "prompt_caching", implicit_caching=False)[0] == YES
    assert cell(CHAT, "prompt_caching")[0] == UNKNOWN


def test_a_search_is_native_by_parameter_or_price() -> None:
    assert cell(CHAT, "web_search") == (NO, "supported_parameters lacks web_search_options")
    assert cell(priced("web_search", "0.01"), "web_search") == (YES, "pricing has web_search")
    assert cell(replace(CHAT, supported_parameters=("web_search_options",)), "web_search")[0] == YES


def test_a_row_tells_what_its_model_does() -> None:
    model = replace(priced("web_search", "0.01"), supported_parameters=("response_format", "tools", "x"))
    assert cells(row_of(model)) == cells(model)
    assert capabilities(row_of(model)) == {"vision", "tools", "response_format", "json_mode", "web_search", "x"}
    # JSON may hold anything
    odd: dict[str, Any] = {"input_cache_read": 0.5, "web_search": "dear", "overrides": [7], "image": None}
    read = cells(row_of(CHAT) | {"pricing": odd})
    assert read["prompt_caching"].state == UNKNOWN
    assert read["web_search"].state == NO
    assert cells(row_of(CHAT) | {"pricing": '{"input_cache_read": 0.5}'})["prompt_caching"].state == YES


@laws
@given(our.models)
def test_every_capability_has_a_cell_and_a_reason(model: Model) -> None:
    found = cells(model)
    assert list(found) == [it.name for it in CAPABILITIES]
    assert all(it.state in {YES, NO, UNKNOWN} and it.provenance for it in found.values())
    if not (model.input_modalities or model.output_modalities or model.supported_parameters):
        assert NO not in {it.state for it in found.values()}


@laws
@given(our.models.map(lambda model: replace(model, reasoning=None)))
def test_a_row_and_its_model_say_the_same(model: Model) -> None:
    found = cells(model)
    assert cells(row_of(model)) == found
    named = {name for name, it in found.items() if it.state == YES}
    assert capabilities(row_of(model)) == named | set(model.supported_parameters)


@laws
@given(our.models, st.sampled_from(our.PARAMETERS), st.sampled_from(our.INPUTS))
def test_more_that_is_listed_takes_nothing_away(model: Model, parameter: str, modality: str) -> None:
    more = replace(
        model,
        supported_parameters=(*model.supported_parameters, parameter),
        input_modalities=(*model.input_modalities, modality),
    )
    before, after = cells(model), cells(more)
    assert all(after[name].state == YES for name, it in before.items() if it.state == YES)


def test_names_and_titles_are_each_their_own() -> None:
    assert len({it.name for it in CAPABILITIES}) == len({it.title for it in CAPABILITIES}) == len(CAPABILITIES)


# --- what changed


def test_a_change_is_another_state_of_a_cell_both_know() -> None:
    yes, no = Cell(YES, "a"), Cell(NO, "b")
    before = {"m": {"tools": yes, "seed": yes, "gone": yes}, "gone": {"tools": yes}}
    after = {"m": {"tools": no, "seed": Cell(YES, "c"), "new": yes}, "new": {"tools": yes}}
    assert diff(before, after) == [CellChange("m", "tools", yes, no)]


_cells = st.builds(Cell, st.sampled_from([YES, NO, UNKNOWN]), st.just("it"))
_matrices = st.dictionaries(st.sampled_from("abc"), st.dictionaries(st.sampled_from(["tools", "seed"]), _cells))


@laws
@given(_matrices, _matrices)
def test_changes_lead_from_one_matrix_to_the_other(before: Any, after: Any) -> None:
    assert diff(before, before) == []
    found = diff(before, after)
    back = [CellChange(it.model_id, it.capability, it.after, it.before) for it in found]
    assert diff(after, before) == back
    patched = {model: dict(row) for model, row in before.items()}
    for it in found:
        patched[it.model_id][it.capability] = it.after
    assert all(
        patched[model][name] == it for model, row in after.items() for name, it in row.items()
        if name in before.get(model, {})
    )  # fmt: skip
