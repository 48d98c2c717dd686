"""Usage: every shape in which it is told, by hand; what is refused; sums and round trips."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.catalog.usage import FIELDS, Usage
from llmhive.errors import UsageError
from tests.catalog import strategies as our

laws = our.laws
usages = st.builds(Usage, **dict.fromkeys(FIELDS, st.integers(0, 10**15 - 1)))
halves = st.builds(Usage, **dict.fromkeys(FIELDS, st.integers(0, (10**15 - 1) // 2)))

#: of two real answers (../shared/data/costs/billed.json), with the keys that no shape of ours reads
CHAT = {
    "prompt_tokens": 2649,
    "completion_tokens": 100,
    "total_tokens": 2749,
    "cost": 0.00256995,
    "is_byok": False,
    "prompt_tokens_details": {"cached_tokens": 2569, "cache_write_tokens": 79, "audio_tokens": 3, "video_tokens": 9},
    "completion_tokens_details": {"reasoning_tokens": 40, "image_tokens": 5, "audio_tokens": 2},
    "cost_details": {"upstream_inference_cost": 0.00256995},
    "server_tool_use_details": {"web_search_requests": 1, "tool_calls_requested": 2, "tool_calls_executed": 2},
}
CHAT_READ = Usage(
    prompt=2649, completion=100, cached=2569, written=79, audio=3, reasoning=40, image_output=5, audio_output=2,
    web_searches=1,
)  # fmt: skip


# --- shapes


def test_chat_completions() -> None:
    assert Usage.of(CHAT) == CHAT_READ
    assert Usage.of({"prompt_tokens": 7, "total_tokens": 7}) == Usage(prompt=7)  # embeddings complete nothing


def test_image_tokens_of_the_prompt() -> None:
    told = {"prompt_tokens": 300, "completion_tokens": 0, "prompt_tokens_details": {"image_tokens": 258}}
    assert Usage.of(told) == Usage(prompt=300, image_tokens=258)


@pytest.mark.parametrize(
    "document",
    [
        {"id": "gen-1", "model": "a/b", "choices": [], "usage": CHAT},
        {"data": {"usage": CHAT}},
        {"type": "response.completed", "response": {"id": "resp_1", "usage": CHAT}},
        {"usage": CHAT, "prompt_tokens": 1},  # what lies inside is the whole
        {"usage": CHAT_READ},
    ],
)
def test_usage_is_found_inside_an_answer(document: dict[str, Any]) -> None:
    assert Usage.of(document) == CHAT_READ


def test_responses_api_counts_cached_tokens_inside() -> None:
    told = {
        "input_tokens": 4020,
        "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 4012},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 4025,
    }
    assert Usage.of(told) == Usage(prompt=4020, completion=5, cached=8, written=4012, reasoning=2)
    # a proxy that adds Anthropic's names to it does not change what `input_tokens` means
    assert Usage.of(told | {"cache_read_input_tokens": 8}).prompt == 4020


def test_anthropic_counts_cached_tokens_outside() -> None:
    told = {
        "input_tokens": 10,
        "cache_read_input_tokens": 2000,
        "cache_creation_input_tokens": 500,
        "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 200},
        "output_tokens": 42,
        "server_tool_use": {"web_search_requests": 3},
        "service_tier": "standard",
    }
    assert Usage.of(told) == Usage(
        prompt=2510, completion=42, cached=2000, written=300, written_1h=200, web_searches=3
    )  # fmt: skip


@pytest.mark.parametrize(
    ("creation", "written", "for_an_hour"),
    [
        ({"cache_creation_input_tokens": 500}, 500, 0),
        ({"cache_creation_input_tokens": 500, "cache_creation": None}, 500, 0),
        ({"cache_creation_input_tokens": 500, "cache_creation": {"ephemeral_1h_input_tokens": 200}}, 300, 200),
        ({"cache_creation": {"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 2}}, 7, 2),
        ({"cache_creation_input_tokens": None, "cache_read_input_tokens": None}, 0, 0),
    ],
)
def test_anthropic_tells_writes_as_a_sum_in_parts_or_both(
    creation: dict[str, Any], written: int, for_an_hour: int
) -> None:
    told = Usage.of({"input_tokens": 10, "output_tokens": 1, **creation})
    assert told == Usage(prompt=10 + written + for_an_hour, completion=1, written=written, written_1h=for_an_hour)


def test_bare_input_and_output_are_the_same_to_both() -> None:
    assert Usage.of({"input_tokens": 17, "output_tokens": 4}) == Usage(prompt=17, completion=4)


GENERATION = {
    "id": "gen-1",
    "model": "anthropic/claude-3-7-sonnet-20250219",
    "usage": 0.0117111,
    "tokens_prompt": 12572,
    "tokens_completion": 400,
    "native_tokens_prompt": 15328,
    "native_tokens_completion": 457,
    "native_tokens_reasoning": 20,
    "native_tokens_cached": 15252,
    "native_tokens_completion_images": 6,
    "num_media_prompt": 2,
    "num_search_results": 5,
}


def test_generation_is_read_by_its_native_tokens() -> None:
    read = Usage(prompt=15328, completion=457, cached=15252, reasoning=20, image_output=6)
    assert Usage.of(GENERATION) == read
    assert Usage.of({"data": GENERATION}) == read


def test_generation_falls_back_where_native_tokens_are_missing() -> None:
    told = {**GENERATION, "native_tokens_prompt": None, "native_tokens_cached": None}
    del told["native_tokens_completion"]
    assert Usage.of(told) == Usage(prompt=12572, completion=400, reasoning=20, image_output=6)
    assert Usage.of({**GENERATION, "native_tokens_prompt": 0}).prompt == 0  # nought is told


def test_a_row_of_strings_as_csv_gives_it() -> None:
    told = {"tokens_prompt": "35985", "tokens_completion": " 647 ", "tokens_reasoning": "", "tokens_cached": "35351.0"}
    assert Usage.of(told) == Usage(prompt=35985, completion=647, cached=35351)


def test_our_own_names() -> None:
    assert Usage.of({"prompt": 12000, "completion": 800, "cached": 10000}) == Usage(12000, 800, 10000)
    assert Usage.of({"completion": 3, "requests": 0}) == Usage(completion=3, requests=0)
    assert Usage.of({"prompt": 3, "requests": None}) == Usage(3)


@pytest.mark.parametrize("method", ["model_dump", "dict"])
def test_objects_of_sdks(method: str) -> None:
    answer = SimpleNamespace(**{method: lambda: {"usage": CHAT}})
    assert Usage.of(answer) == CHAT_READ
    assert Usage.of({"usage": SimpleNamespace(**{method: lambda: CHAT})}) == CHAT_READ
    details = SimpleNamespace(**{method: lambda: {"cached_tokens": 4}})
    assert Usage.of({"prompt_tokens": 9, "prompt_tokens_details": details}) == Usage(9, cached=4)


def test_parts_larger_than_their_whole_are_not_refused() -> None:
    details = {"cached_tokens": 2161, "cache_write_tokens": 2161}
    told = {"prompt_tokens": 2168, "completion_tokens": 10, "prompt_tokens_details": details}
    real = Usage.of(told | {"completion_tokens_details": {"reasoning_tokens": 11}})
    assert (real.cached, real.written, real.reasoning) == (2161, 2161, 11)


# --- numbers


@pytest.mark.parametrize("told", [12, 12.0, Decimal(12), Decimal("12.00"), "12", "12.0", " 12 ", "0012"])
def test_whole_numbers_however_they_are_written(told: object) -> None:
    assert Usage.of({"prompt_tokens": told}) == Usage(12)


#: what no count is
WRONG = [
    -1, True, False, 1.5, -0.5, math.nan, math.inf, -math.inf, Decimal("1.5"), Decimal("NaN"), Decimal("sNaN"),
    Decimal("1e99"), 1e300, 10**15, 10**5000, "-1", "1e3", "1.5", "twelve", "١", "1_0", "9" * 16, [], [1], {"a": 1},
]  # fmt: skip


@pytest.mark.parametrize("told", WRONG, ids=lambda value: str(type(value).__name__))
def test_what_is_no_count_is_refused_by_name(told: object) -> None:
    for document, name in (
        ({"prompt_tokens": told}, "prompt_tokens"),
        ({"prompt_tokens": 5, "completion_tokens": told}, "completion_tokens"),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": told}}, "cached_tokens"),
        ({"input_tokens": 5, "cache_read_input_tokens": told}, "cache_read_input_tokens"),
        ({"native_tokens_prompt": told}, "native_tokens_prompt"),
        ({"prompt": 5, "images": told}, "images"),
    ):
        with pytest.raises(UsageError, match=rf"^{name} is a whole number of 0 or more") as refused:
            Usage.of(document)
        assert len(str(refused.value)) < 200


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [-1, True, False, 1.0, 0.0, Decimal(1), "1", None, 10**15, 10**18])
def test_no_usage_is_made_of_what_is_no_count(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=rf"^{name} is a whole number"):
        Usage(**{name: value})
    with pytest.raises(UsageError, match=rf"^{name} is a whole number"):
        msgspec.structs.replace(Usage(5), **{name: value})


# --- what is refused


@pytest.mark.parametrize(
    "document",
    [{}, {"total_tokens": 5}, {"prompt_tokens": None, "prompt": None}, {"prompt_tokens": ""}, {"usage": {}},
     {"usage": 0.5}, {"data": [CHAT]}, {"promt": 5}],
)  # fmt: skip
def test_no_token_count_says_which_shapes_are_understood(document: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="no token count") as refused:
        Usage.of(document)
    for name in ("prompt_tokens", "input_tokens", "cache_read_input_tokens", "native_tokens_prompt", "completion)"):
        assert name in str(refused.value)


@pytest.mark.parametrize(
    "document",
    [{"completion_tokens": 5}, {"output_tokens": 5}, {"prompt_tokens": None, "completion_tokens": 5},
     {"native_tokens_completion": 5}, {"tokens_completion": "5"}],
)  # fmt: skip
def test_a_prompt_that_is_not_told_is_not_nought(document: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="does not say how long the prompt was"):
        Usage.of(document)


def test_an_unknown_name_among_ours() -> None:
    with pytest.raises(UsageError, match=r"usage has no cache_read, tokens; it has prompt, completion, cached, ") as e:
        Usage.of({"prompt": 5, "cache_read": 4, "tokens": None})
    assert "web_searches" in str(e.value)


@pytest.mark.parametrize("document", [None, 5, "prompt_tokens", [CHAT], b"{}", Usage, dict])
def test_what_is_no_object(document: object) -> None:
    with pytest.raises(UsageError, match="usage is told by an object"):
        Usage.of(document)


def test_details_that_are_no_object() -> None:
    for name in ("prompt_tokens_details", "completion_tokens_details", "server_tool_use_details", "server_tool_use"):
        with pytest.raises(UsageError, match=f"{name} is an object, not 5"):
            Usage.of({"prompt_tokens": 5, name: 5})


def test_usage_that_lies_too_deep() -> None:
    nested: dict[str, Any] = CHAT
    for _ in range(5000):
        nested = {"usage": nested}
    with pytest.raises(UsageError, match="too deep"):
        Usage.of(nested)


#: documents that are nearly usage
KEYS = [
    "prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "prompt_tokens_details", "cached_tokens",
    "input_tokens_details", "output_tokens_details", "cache_read_input_tokens", "cache_creation_input_tokens",
    "cache_creation", "ephemeral_1h_input_tokens", "native_tokens_prompt", "native_tokens_cached", "tokens_prompt",
    "server_tool_use", "server_tool_use_details", "web_search_requests", "usage", "data", "response", *FIELDS,
]  # fmt: skip
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.sampled_from(["", "12", "-1", "x"])
    | st.sampled_from([10**15, 10**400, Decimal("sNaN")]) | st.text(max_size=5)
)  # fmt: skip
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | our.texts, inner, max_size=5),
    max_leaves=12,
)


@laws
@given(st.dictionaries(st.sampled_from(KEYS), documents, max_size=6) | documents)
def test_any_document_is_usage_or_refused(document: Any) -> None:
    try:
        usage = Usage.of(document)
    except UsageError:
        return
    assert all(type(value) is int and value >= 0 for value in msgspec.structs.astuple(usage))


# --- sums and round trips


@laws
@given(usages)
def test_what_is_written_is_read_back(usage: Usage) -> None:
    assert Usage.of(json.loads(json.dumps(usage.to_json()))) == usage
    assert Usage.of(usage) is usage


def test_zeros_and_a_single_request_are_left_out() -> None:
    assert Usage(12000, 800, requests=1).to_json() == {"prompt": 12000, "completion": 800}
    assert Usage(5, requests=2).to_json() == {"prompt": 5, "requests": 2}
    assert Usage(5, requests=0).to_json() == {"prompt": 5, "requests": 0}
    assert Usage().to_json() == {"prompt": 0}


@laws
@given(halves, halves)
def test_sums_are_field_by_field(one: Usage, other: Usage) -> None:
    both = one + other
    assert both == other + one
    for name in FIELDS:
        assert getattr(both, name) == getattr(one, name) + getattr(other, name)
    assert one + Usage(requests=0) == one


def test_counts_have_at_most_fifteen_digits_and_so_have_sums() -> None:
    most = 10**15 - 1
    assert Usage(most, most, most).prompt == most
    with pytest.raises(UsageError, match=r"^prompt is a whole number of 0 or more, of at most 15 digits, not 10000"):
        Usage(most) + Usage(1)


def test_two_requests_are_two() -> None:
    assert Usage(5, 1) + Usage(7, cached=2) == Usage(12, 1, 2, requests=2)
    assert hash(Usage(5)) == hash(Usage(5))
