"""Benchmarks as OpenRouter tells them: every shape, every fault, never fatal but for the whole."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.app.openrouter.decode_benchmarks import Told, benchmarks, inside
from llmhive.catalog.benchmark import FACTS, Measure
from llmhive.errors import BadAnswer
from tests.catalog import strategies as our

WHEN = "2026-10-03T12:00:00Z"
PRICED = {"pricing": {"prompt": "0.000001", "completion": "0.000002"}}
AA = {
    "source": "artificial-analysis", "model_permaslug": "acme/one", "display_name": "One",
    "intelligence_index": 60.7, "coding_index": 78, "agentic_index": None, **PRICED,
}  # fmt: skip
ARENA = {
    "source": "design-arena", "model_permaslug": "acme/one", "display_name": "One", "arena": "models",
    "category": "website", "elo": 1343, "win_rate": 59.30, "avg_generation_time_ms": 3200,
    "tournament_stats": {"first_place": 12, "second_place": 8, "third_place": 5, "fourth_place": None, "total": 27},
    **PRICED,
}  # fmt: skip
CLASSIC = {
    "source": "openrouter", "model_permaslug": "acme/one", "display_name": "One", "benchmark_type": "gpqa_diamond",
    "accuracy": 0.72, "accuracy_stddev": 0.03, "avg_cost_per_task": 0.002, "total_tasks": 300,
    "last_run_timestamp": "2026-09-30T00:00:00Z",
}  # fmt: skip
SEARCH = {
    "source": "openrouter", "model_permaslug": "acme/two", "display_name": "Two",
    "benchmark_type": "search_widesearch", "primary_metric": "f1_by_item", "primary_score": 0.5125,
    "total_tasks": 100, "avg_cost_per_task": None, "avg_latency_per_task_ms": 45210.5, "search_engine": "exa",
    "search_surface": "server-tool", "last_run_timestamp": "2026-07-28T13:38:18Z",
    "run_config": {"max_agent_turns": 25, "reasoning_effort": None, "temperature": 0.2},
}  # fmt: skip


def answer(*items: Any, **meta: Any) -> bytes:
    named = {it.get("model_permaslug") for it in items if isinstance(it, dict)}
    known = {"as_of": WHEN, "version": "v1", "source": None, "source_url": None, "citation": None,
             "model_count": len(named), "task_type": None}  # fmt: skip
    return json.dumps({"data": list(items), "meta": known | meta}).encode()


def read(*items: Any, **meta: Any) -> Told:
    return benchmarks(answer(*items, **meta))


def test_each_shape_is_read() -> None:
    told = read(AA, ARENA, CLASSIC, SEARCH, citation="Source: them.", source_url="https://them.example")
    assert told.measures == (
        Measure("artificial-analysis", "acme/one", "intelligence_index", Decimal("60.7"), {}, WHEN),
        Measure("artificial-analysis", "acme/one", "coding_index", Decimal(78), {}, WHEN),
        Measure(
            "design-arena", "acme/one", "elo:models:website", Decimal(1343),
            {"win_rate": "59.3", "generation_time": "3200",
             "places": {"first_place": 12, "second_place": 8, "third_place": 5, "total": 27}}, WHEN,
        ),
        Measure(
            "openrouter", "acme/one", "gpqa_diamond", Decimal("0.72"),
            {"stddev": "0.03", "tasks": 300, "cost_per_task": "0.002"}, "2026-09-30T00:00:00Z",
        ),
        Measure(
            "openrouter", "acme/two", "search_widesearch", Decimal("0.5125"),
            {"score": "f1_by_item", "tasks": 100, "latency_per_task": "45210.5", "search_engine": "exa",
             "search_surface": "server-tool", "run_config": {"max_agent_turns": 25, "temperature": "0.2"}},
            "2026-07-28T13:38:18Z",
        ),
    )  # fmt: skip
    assert {name for it in told.measures for name in it.facts} <= FACTS.keys()
    assert (told.unreadable, told.doubts, told.is_cut) == ((), (), False)
    assert (told.as_of, told.citation, told.source_url, told.model_count) == (
        WHEN, "Source: them.", "https://them.example", 2
    )  # fmt: skip


def test_numbers_are_exact() -> None:
    body = answer(AA).replace(b"60.7", b"60.70000000000000000001")
    assert benchmarks(body).measures[0].value == Decimal("60.70000000000000000001")


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (7, "not an object"),
        ({**AA, "source": "guesswork"}, "'guesswork' is not one we know"),
        ({**AA, "source": None}, "not one we know"),
        ({**AA, "model_permaslug": None}, "names no model"),
        ({**AA, "model_permaslug": "a\0b"}, "names no model"),
        ({**AA, "coding_index": "78"}, "coding_index is not a number"),
        ({**AA, "coding_index": True}, "coding_index is not a number"),
        ({**ARENA, "elo": None}, "elo is not a number"),
        ({**ARENA, "elo": 10**16}, "elo is not a number"),
        ({**ARENA, "category": ""}, "names no arena and category"),
        ({**CLASSIC, "accuracy": 72}, "accuracy is not between 0 and 1"),
        ({**CLASSIC, "benchmark_type": 5}, "names no benchmark"),
        ({**SEARCH, "primary_score": -0.1}, "primary_score is not between 0 and 1"),
    ],
)
def test_an_item_that_cannot_be_read_costs_only_itself(item: Any, reason: str) -> None:
    told = read(CLASSIC, item, SEARCH)
    assert [it.metric for it in told.measures] == ["gpqa_diamond", "search_widesearch"]
    assert len(told.unreadable) == 1
    assert told.unreadable[0].startswith("item 1 (")
    assert reason in told.unreadable[0]


def test_what_could_not_be_read_is_not_gone() -> None:
    told = read({**ARENA, "elo": "high"}, CLASSIC)
    assert told.spared("design-arena") == {"acme/one"}
    assert told.spared("openrouter") == frozenset()


def test_an_answer_with_fewer_models_than_it_says_is_cut() -> None:
    assert not read(AA, ARENA, model_count=1).is_cut
    assert read(AA, SEARCH, model_count=3).is_cut
    assert not read(AA, model_count=None).is_cut
    assert not read(AA, model_count="many").is_cut


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_half_an_emoji_costs_its_item_and_not_what_the_answer_says_of_itself(mark: bytes) -> None:
    body = answer(CLASSIC, SEARCH, model_count=3).replace(b'"exa"', b'"ex\\ud83d"')
    told = benchmarks(mark + body)
    assert (told.as_of, told.model_count, told.is_cut) == (WHEN, 3, True)
    assert told.measures[0].metric == "gpqa_diamond"
    assert "search_engine" not in told.measures[1].facts


def test_what_is_told_twice_counts_once() -> None:
    told = read(ARENA, {**ARENA, "elo": 1400}, ARENA)
    assert [it.value for it in told.measures] == [1400]
    assert len(told.doubts) == 1
    assert not told.spared("design-arena")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>busy</html>", "not JSON"),
        (b"", "not JSON"),
        (b"[]", "not a list of benchmarks"),
        (b"{}", "no data"),
        (b'{"data": {}}', "not a list of benchmarks"),
        (b'{"error": {"code": 401, "message": "Missing Authentication header"}}', "Missing Authentication"),
        (answer(AA)[:-30], "not JSON"),
    ],
)
def test_what_is_no_answer_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(BadAnswer, match=said):
        benchmarks(body)


def test_an_empty_answer_is_for_the_caller_to_refuse() -> None:
    assert benchmarks(b'{"data": []}') == Told(())
    assert read().measures == ()


RECORD = {
    "id": "acme/one:free",
    "canonical_slug": "acme/one-2026",
    "benchmarks": {
        "artificial_analysis": {"intelligence_index": 60.7, "coding_index": None, "agentic_index": 5},
        "design_arena": [{"arena": "agents", "category": "webapps", "elo": 1288, "rank": 5, "win_rate": 56}],
    },
}


def of_records(*records: Any) -> Told:
    return inside([json.dumps(it).encode() for it in records], as_of=WHEN)


def test_a_record_tells_some_of_it() -> None:
    told = of_records(RECORD, RECORD, {"id": "acme/none"}, {"id": "x", "benchmarks": {"design_arena": []}})
    assert told.measures == (
        Measure("models:artificial-analysis", "acme/one-2026", "intelligence_index", Decimal("60.7"), {}, WHEN),
        Measure("models:artificial-analysis", "acme/one-2026", "agentic_index", Decimal(5), {}, WHEN),
        Measure(
            "models:design-arena", "acme/one-2026", "elo:agents:webapps", Decimal(1288),
            {"rank": 5, "win_rate": "56"}, WHEN,
        ),
    )  # fmt: skip
    assert (told.unreadable, told.doubts) == ((), ())


@pytest.mark.parametrize(
    ("told", "spared"),
    [
        ("good", {"artificial-analysis", "design-arena"}),
        ({"artificial_analysis": []}, {"artificial-analysis"}),
        ({"artificial_analysis": {"coding_index": "x"}}, {"artificial-analysis"}),
        ({"design_arena": {}}, {"design-arena"}),
        ({"design_arena": [None]}, {"design-arena"}),
        ({"design_arena": [{"arena": "models", "category": "x"}]}, {"design-arena"}),
        ({"new_bench": {}}, set()),
    ],
)
def test_a_fault_inside_a_record_is_reported(told: Any, spared: set[str]) -> None:
    found = of_records(RECORD, {"id": "acme/odd", "benchmarks": told})
    assert len(found.measures) == 3
    assert found.unreadable
    for source in ("artificial-analysis", "design-arena"):
        assert found.spared(f"models:{source}") == ({"acme/odd"} if source in spared else set())


KEYS = sorted({*AA, *ARENA, *CLASSIC, *SEARCH})


@st.composite
def near_items(draw: st.DrawFn) -> str:
    """JSON text that is nearly an item: the right keys, with anything in some of them."""
    shapes: list[dict[str, Any]] = [AA, ARENA, CLASSIC, SEARCH]
    item = {name: json.dumps(value) for name, value in draw(st.sampled_from(shapes)).items()}
    for name in draw(st.lists(st.sampled_from(KEYS), max_size=3)):
        item[name] = draw(our.json_texts)
    return "{" + ",".join(f'"{name}":{value}' for name, value in item.items()) + "}"


def check(told: Told) -> None:
    assert len({it.key for it in told.measures}) == len(told.measures)
    for it in told.measures:
        assert it.value.is_finite()
        assert it.slug
        assert it.metric
        assert it.facts.keys() <= FACTS.keys()
        assert json.loads(json.dumps(dict(it.facts))) == it.facts


@our.laws
@given(st.lists(near_items() | our.json_texts, max_size=4), our.json_texts)
def test_reading_never_fails_for_an_item(items: list[str], meta: str) -> None:
    told = benchmarks(f'{{"data":[{",".join(items)}],"meta":{meta}}}'.encode())
    check(told)


@our.laws
@given(st.lists(our.json_texts | our.near_records(), max_size=4), our.json_texts)
def test_reading_never_fails_for_a_record(records: list[str], told: str) -> None:
    check(inside([*records, f'{{"id":"a/b","benchmarks":{told}}}'], as_of=None))
