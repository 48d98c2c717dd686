"""Bills: every shape of OpenRouter's, amounts and times to the last digit, and what is refused."""

from __future__ import annotations

import csv
import json
import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.catalog.bill import EXPORT, EXPORT_PLACES, Bill
from llmhive.catalog.usage import Usage
from llmhive.errors import UsageError
from tests.catalog import strategies as our

laws = our.laws

GENERATION: dict[str, Any] = {
    "id": "gen-1",
    "model": "anthropic/claude-3-7-sonnet-20250219",
    "provider_name": "Anthropic",
    "created_at": "2025-06-29T10:19:32.433273+00:00",
    "service_tier": "priority",
    "usage": 0.0117111,
    "total_cost": 0.0117111,
    "usage_cache": -0.0411279,
    "usage_web": None,
    "usage_file": 0.002,
    "usage_data": -0.0001,
    "upstream_inference_cost": 0,
    "is_byok": False,
    "tokens_prompt": 12572,
    "native_tokens_prompt": 15328,
    "native_tokens_completion": 457,
    "native_tokens_cached": 15252,
    "num_media_prompt": 2,
    "num_search_results": 5,
    "response_cache_source_id": None,
}


def test_generation() -> None:
    read = Bill(
        model="anthropic/claude-3-7-sonnet-20250219",
        usage=Usage(prompt=15328, completion=457, cached=15252),
        at=datetime(2025, 6, 29, 10, 19, 32, 433273, UTC),
        provider="Anthropic",
        tier="priority",
        is_byok=False,
        billed=Decimal("0.0117111"),
        cache=Decimal("-0.0411279"),
        file=Decimal("0.002"),
        data=Decimal("-0.0001"),
        search_results=5,
        media=2,
        id="gen-1",
    )
    assert Bill.of(GENERATION) == read
    assert Bill.of({"data": GENERATION}) == read
    # reference 4.1: prompt · p + completion · c + usage_cache is what was billed
    assert read.cache is not None
    assert 15328 * Decimal("0.000003") + 457 * Decimal("0.000015") + read.cache == read.billed


def test_generation_with_a_key_of_ones_own() -> None:
    bill = Bill.of({**GENERATION, "usage": 0, "is_byok": True, "upstream_inference_cost": 0.0012})
    assert (bill.is_byok, bill.billed, bill.upstream) == (True, Decimal(0), Decimal("0.0012"))
    # nought is what the provider of a free model was paid, and no news of requests without such a key
    assert Bill.of({**GENERATION, "is_byok": True}).upstream == 0
    assert Bill.of({**GENERATION, "is_byok": None}).upstream is None


def test_generation_answered_from_the_response_cache() -> None:
    assert Bill.of({**GENERATION, "response_cache_source_id": "gen-0"}).is_cache_hit
    assert not Bill.of(GENERATION).is_cache_hit


RESPONSE: dict[str, Any] = {
    "id": "gen-1784729346-x",
    "object": "chat.completion",
    "created": 1784729346,
    "model": "openai/gpt-4o-mini",
    "provider": "OpenAI",
    "service_tier": "default",
    "choices": [],
    "usage": {
        "prompt_tokens": 900,
        "completion_tokens": 69,
        "cost": 0.0160614,
        "is_byok": False,
        "cost_details": {"upstream_inference_cost": 4.1400000000000003e-05},
        "server_tool_use_details": {"tool_calls_executed": 1, "tool_calls_requested": 3, "web_search_requests": 2},
    },
}


def test_response_of_the_api() -> None:
    assert Bill.of(RESPONSE) == Bill(
        model="openai/gpt-4o-mini",
        usage=Usage(prompt=900, completion=69, web_searches=2),
        at=datetime(2026, 7, 22, 14, 9, 6, tzinfo=UTC),
        provider="OpenAI",
        tier="default",
        is_byok=False,
        billed=Decimal("0.0160614"),
        upstream=Decimal("0.000041400000000000003"),  # as it was served, to the last digit
        tool_calls=1,
        id="gen-1784729346-x",
    )
    assert Bill.of({"type": "response.completed", "response": RESPONSE}) == Bill.of(RESPONSE)


def test_calls_of_tools_that_were_asked_for_where_none_is_said_to_have_run() -> None:
    usage = {**RESPONSE["usage"], "server_tool_use_details": {"tool_calls_requested": 3}}
    assert Bill.of({**RESPONSE, "usage": usage}).tool_calls == 3


def test_what_stands_beside_usage_is_read_where_usage_does_not_say_it() -> None:
    usage = {"prompt_tokens": 1, "cost": None, "is_byok": None, "cost_details": {"upstream_inference_cost": None}}
    beside = {"model": "a/b", "cost": "0.5", "is_byok": True, "upstream_inference_cost": 2, "usage": usage}
    bill = Bill.of(beside)
    assert (bill.billed, bill.is_byok, bill.upstream, bill.at) == (Decimal("0.5"), True, Decimal(2), None)
    assert Bill.of({"model": "a/b", "usage": usage}).billed is None


def activity(**altered: Any) -> dict[str, Any]:
    row = {
        "date": "2025-08-24", "model": "openai/gpt-4.1", "model_permaslug": "openai/gpt-4.1-2025-04-14",
        "endpoint_id": "550e8400-e29b-41d4-a716-446655440000", "provider_name": "OpenAI", "usage": 0.015,
        "byok_usage_inference": 0, "requests": 5, "prompt_tokens": 50, "completion_tokens": 125, "reasoning_tokens": 25,
    }  # fmt: skip
    return {**row, **altered}


def test_a_row_of_activity_sums_up_a_day() -> None:
    read = Bill(
        model="openai/gpt-4.1",
        usage=Usage(prompt=50, completion=125, reasoning=25, requests=5),
        at=datetime(2025, 8, 24, tzinfo=UTC),
        permaslug="openai/gpt-4.1-2025-04-14",
        provider="OpenAI",
        is_byok=False,
        billed=Decimal("0.015"),
        requests=5,
        is_summed=True,
    )
    assert Bill.of(activity()) == read
    assert Bill.of(activity(date="2025-08-24 00:00:00")) == read
    assert Bill.of({name: str(value) for name, value in activity().items()}) == read


@pytest.mark.parametrize(
    ("altered", "is_byok", "upstream"),
    [
        ({"byok_usage_inference": 0.012}, None, "0.012"),  # a fee, or requests with and without
        ({"byok_usage_inference": 0.012, "usage": 0}, True, "0.012"),
        ({"byok_usage_inference": None}, None, None),
        ({"byok_usage_inference": 0.012, "byok_requests": 5}, True, "0.012"),
        ({"byok_usage_inference": 0.012, "byok_requests": 2}, None, "0.012"),
        ({"byok_requests": 0}, False, None),
    ],
)
def test_whose_keys_a_day_was_paid_by(altered: dict[str, Any], is_byok: bool | None, upstream: str | None) -> None:
    bill = Bill.of(activity(**altered))
    assert bill.is_byok is is_byok
    assert bill.upstream == (None if upstream is None else Decimal(upstream))


#: the header of the export as people published it, some of whose columns we do not read
HEADER = (
    "generation_id,created_at,cost_total,cost_web_search,cost_cache,cost_file_processing,byok_usage_inference,"
    "tokens_prompt,tokens_completion,tokens_reasoning,tokens_cached,model_permaslug,provider_name,variant,cancelled,"
    "streamed,user,finish_reason_raw,finish_reason_normalized,generation_time_ms,time_to_first_token_ms,app_name,"
    "api_key_name,api_key_disabled"
)
LINE = (
    "gen-1787600000-x,2026-08-24 19:33:20.500,0.01136,0.01,-0.00324,,0,20000,500,0,18000,openai/gpt-9-20260709,"
    "Azure,standard,false,true,,completed,stop,9000,2000,An App,a-key,false"
)


def exported(line: str = LINE, header: str = HEADER) -> dict[str, Any]:
    return next(csv.DictReader([header, line]))


def test_a_row_of_the_activity_export() -> None:
    read = Bill(
        model="openai/gpt-9-20260709",
        usage=Usage(prompt=20000, completion=500, cached=18000),
        at=datetime(2026, 8, 24, 19, 33, 20, 500000, UTC),
        permaslug="openai/gpt-9-20260709",
        provider="Azure",
        is_byok=False,
        billed=Decimal("0.01136"),
        web=Decimal("0.01"),
        cache=Decimal("-0.00324"),
        places=EXPORT_PLACES,
        id="gen-1787600000-x",
    )
    assert Bill.of(exported()) == read
    assert Bill.of(exported(header="\ufeff" + HEADER.upper().replace("_", " "))) == read
    assert set(EXPORT) - {"num_search_results"} <= set(HEADER.split(","))


def test_variants_of_the_export_are_part_of_the_model() -> None:
    assert Bill.of(exported(LINE.replace("standard", "free"))).model == "openai/gpt-9-20260709:free"
    assert Bill.of(exported(LINE.replace("standard", ""))).model == "openai/gpt-9-20260709"
    twice = LINE.replace("standard", "free").replace("20260709", "20260709:free")
    assert Bill.of(exported(twice)).model == "openai/gpt-9-20260709:free"


def test_a_key_of_ones_own_in_the_export() -> None:
    bill = Bill.of(exported(LINE.replace(",,0,20000", ",,0.25,20000")))
    assert (bill.is_byok, bill.upstream) == (True, Decimal("0.25"))
    assert Bill.of(exported(LINE.replace(",,0,20000", ",,,20000"))).is_byok is None


# --- amounts


@pytest.mark.parametrize(
    ("told", "amount"),
    [
        (0, "0"), (3, "3"), (4e-05, "0.00004"), (-0.0, "0"), (7.35e-06, "0.00000735"), (0.1, "0.1"),
        (0.0004970133333333333, "0.0004970133333333333"), ("4.97e-05", "0.0000497"), (" 0.25 ", "0.25"),
        (Decimal("0.00000008333333333333334"), "0.00000008333333333333334"), (Decimal("2E-7"), "0.0000002"),
    ],
)  # fmt: skip
def test_amounts_are_those_served(told: object, amount: str) -> None:
    bill = Bill.of({**GENERATION, "usage": told})
    assert bill.billed == Decimal(amount)
    assert str(bill.billed) == str(Decimal(amount).normalize())


@laws
@given(st.floats(min_value=-1e6, max_value=1e6).filter(lambda value: value == 0 or abs(value) > 1e-12))
def test_a_float_is_read_as_it_was_spelled(value: float) -> None:
    as_number = Bill.of(json.loads(json.dumps({**GENERATION, "usage": value})))
    as_decimal = Bill.of(json.loads(json.dumps({**GENERATION, "usage": value}), parse_float=Decimal))
    assert as_number.billed == as_decimal.billed == Decimal(repr(value))


@pytest.mark.parametrize(
    "told",
    [True, math.nan, math.inf, 1e300, "$1", "1,5", "x", [], Decimal("NaN"), 10**5000, "9" * 5000],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_amount_is_refused_by_name(told: object) -> None:
    for name in ("usage", "usage_cache", "upstream_inference_cost"):
        with pytest.raises(UsageError, match=f"^{name} is an amount of USD, not ") as refused:
            Bill.of({**GENERATION, name: told})
        assert len(str(refused.value)) < 120


# --- times


@pytest.mark.parametrize(
    "told",
    [
        "2026-08-01T12:00:00Z", "2026-08-01T12:00:00+00:00", "2026-08-01T14:00:00+02:00", "2026-08-01 12:00:00",
        datetime(2026, 8, 1, 12), datetime(2026, 8, 1, 12, tzinfo=UTC),  # noqa: DTZ001 (as Parquet has them)
        "2026-08-01 12:00:00.000", " 2026-08-01T12:00 ", 1785585600, 1785585600.0, Decimal(1785585600), "1785585600",
    ],
)  # fmt: skip
def test_times_are_utc(told: object) -> None:
    at = Bill.of({**GENERATION, "created_at": told}).at
    assert at == datetime(2026, 8, 1, 12, tzinfo=UTC)
    assert at.tzinfo is UTC


def test_a_day_is_utc_wherever_its_time_was_told() -> None:
    assert Bill.of(activity(date=date(2025, 8, 24))).at == datetime(2025, 8, 24, tzinfo=UTC)
    assert Bill.of(activity(date="2025-08-24T23:00:00-05:00")).at == datetime(2025, 8, 25, tzinfo=UTC)


def test_a_time_that_is_not_told() -> None:
    assert Bill.of({**GENERATION, "created_at": None}).at is None
    assert Bill.of({**GENERATION, "created_at": ""}).at is None


@pytest.mark.parametrize(
    "told", ["yesterday", "2026-13-01", 10**30, 1e300, math.nan, True, [], {"a": 1}, "0001-01-01T00:00:00+14:00"]
)
def test_what_is_no_time(told: object) -> None:
    with pytest.raises(UsageError, match="created_at is a time as in 2026-08-01T12:00:00Z"):
        Bill.of({**GENERATION, "created_at": told})


@laws
@given(st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)), st.integers(-840, 840))  # noqa: DTZ001
def test_a_time_is_the_same_instant_in_any_zone(at: datetime, minutes: int) -> None:
    local = at.astimezone(timezone(timedelta(minutes=minutes)))
    assert Bill.of({**GENERATION, "created_at": local.isoformat()}).at == at


# --- what is refused


def test_no_model_or_no_cost_lists_what_there_is() -> None:
    row = exported()
    for missing, said in (("model_permaslug", "no model"), ("cost_total", "no cost")):
        with pytest.raises(UsageError, match=f"the bill has {said}") as refused:
            Bill.of({name: value for name, value in row.items() if name != missing})
        assert "'generation_id', 'created_at'" in str(refused.value)
        assert f"'{missing}'" not in str(refused.value)
    with pytest.raises(UsageError, match="the bill has no cost") as refused:
        Bill.of({"model": "a/b", "usage": {"prompt_tokens": 5}})
    assert "'model', 'usage'" in str(refused.value)
    with pytest.raises(UsageError, match="the bill has no cost") as refused:
        Bill.of({"model": "a/b", "date": "2026-01-01", "requests": 1, "prompt_tokens": 5})
    assert "'requests'" in str(refused.value)


def test_no_tokens() -> None:
    with pytest.raises(UsageError, match="no token count"):
        Bill.of({"Model": "a/b", "Cost": "0.5"})
    with pytest.raises(UsageError, match="the bill has no prompt_tokens"):
        Bill.of(activity(prompt_tokens=None))


@pytest.mark.parametrize("document", [None, 5, "x", [GENERATION], {"data": [GENERATION]}, {}])
def test_what_is_no_bill(document: object) -> None:
    with pytest.raises(UsageError, match="bill"):
        Bill.of(document)


@pytest.mark.parametrize(
    ("altered", "said"),
    [
        ({"model": 5}, "model is a text, not 5"),
        ({"provider_name": ["x"]}, "provider_name is a text, not a value of type list"),
        ({"is_byok": "perhaps"}, "is_byok is true or false, not 'perhaps'"),
        ({"is_byok": 1}, "is_byok is true or false, not 1"),
        ({"num_media_prompt": -1}, "num_media_prompt is a whole number"),
    ],
)
def test_other_values_that_cannot_be_read(altered: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Bill.of({**GENERATION, **altered})


def test_flags_as_csv_writes_them() -> None:
    assert Bill.of({**GENERATION, "is_byok": "TRUE"}).is_byok is True
    assert Bill.of({**GENERATION, "is_byok": "false"}).is_byok is False
    assert Bill.of({**GENERATION, "is_byok": ""}).is_byok is None


KEYS = sorted({*GENERATION, *RESPONSE, *RESPONSE["usage"], *activity(), *EXPORT, "data", "response", "time"})
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text(max_size=5)
    | st.sampled_from(["", "12", "-1", "true", "a/b", "2026-08-01", 10**400, Decimal("sNaN"), 1785585600])
)  # fmt: skip
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | our.texts, inner, max_size=6),
    max_leaves=15,
)


@laws
@given(
    st.sampled_from([GENERATION, RESPONSE, activity(), exported()]), st.dictionaries(st.sampled_from(KEYS), documents)
)
def test_any_document_is_a_bill_or_refused(whole: dict[str, Any], altered: dict[str, Any]) -> None:
    for document in (altered, {**whole, **altered}):
        try:
            bill = Bill.of(document)
        except UsageError:
            continue
        assert bill.model
        assert bill.at is None or bill.at.tzinfo is UTC


# --- bills that OpenRouter really wrote


def test_all_that_was_really_billed(shared: Path) -> None:
    entries = json.loads((shared / "data" / "costs" / "billed.json").read_text())
    assert len(entries) == 47
    for entry in entries:
        bill = Bill.of(entry)
        usage = bill.usage
        assert (bill.model, bill.provider) == (entry["model"], entry.get("provider"))
        assert bill.billed == Decimal(repr(entry["cost"])) == Decimal(repr(entry["usage"]["cost"]))
        upstream = entry.get("upstream_inference_cost")
        assert bill.upstream == (None if upstream is None else Decimal(repr(upstream)))
        assert bill.at == (datetime.fromisoformat(entry["time"]) if "time" in entry else None)
        assert bill.is_byok is entry.get("is_byok")
        assert (usage.prompt, usage.completion) == (entry["prompt_tokens"], entry["completion_tokens"])
        assert (usage.cached, usage.written) == (entry["cached_tokens"], entry["cache_write_tokens"])
        assert usage.reasoning == (entry["reasoning_tokens"] or 0)
    bills = [Bill.of(entry) for entry in entries]
    assert [bill.tool_calls for bill in bills if bill.tool_calls] == [1, 1, 1]
    assert [bill.usage.web_searches for bill in bills if bill.usage.web_searches] == [1]
    assert sum(bill.is_byok is True for bill in bills) == 2


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31", "1969-12-31T23:59:59Z", "2101-01-01"])
def test_a_time_that_stands_for_none_is_refused(at: str) -> None:
    with pytest.raises(UsageError, match="is a time as in"):
        Bill.of({"model": "a/b", "created": at, "usage": {"prompt_tokens": 1, "cost": 1}})
