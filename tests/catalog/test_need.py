"""What a caller may ask of a model, how it is read, and what the roles fill."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, fields, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmhive.catalog import cost, quality
from llmhive.catalog.need import ALLOWED, LONGEST_NAME, MOST_NAMES, OBJECTIVES, PARTS, TASKS, TYPICAL, Need
from llmhive.catalog.role import ROLES
from llmhive.catalog.usage import Usage
from llmhive.errors import UsageError
from tests.catalog.strategies import laws

# --- values


def test_sets_lists_and_mappings_are_put_in_order() -> None:
    need = Need(
        task=" Programming ",
        require={"tools", "Structured_Outputs"},
        inputs=["text", "image", "text"],
        max_price_per_million={"prompt": 3, "completion": 15},
        quantizations=("FP8",),
        allow=frozenset({"free", "alias"}),
    )
    assert need.task == "programming"
    assert need.require == ("structured_outputs", "tools")
    assert need.inputs == ("image", "text")
    assert need.max_price_per_million == (("completion", Decimal(15)), ("prompt", Decimal(3)))
    assert need.quantizations == ("fp8",)
    assert need.allow == ("alias", "free")
    same = Need(
        task="programming",
        require=["structured_outputs", "tools", "tools"],
        inputs=("text", "image"),
        max_price_per_million={"completion": "15.00", "prompt": 3.0},
        quantizations=["fp8"],
        allow=["alias", "free"],
    )
    assert (same, hash(same), repr(same)) == (need, hash(need), repr(need))


def test_a_need_asks_nothing_by_itself() -> None:
    need = Need()
    assert need.to_json() == {}
    assert Need.read({}) == need
    assert Need.read(dict.fromkeys((it.name for it in fields(Need) if it.init), None)) == need
    assert need.of is None
    assert (need.limit, need.margin, need.lasting_days, need.zdr) == (5, 0.02, 0, False)
    assert need.weights == OBJECTIVES["value"] == (0.7, 0.3, 0.0)
    assert need.usage is None
    assert need.typical == TYPICAL == Usage(prompt=3000, completion=1000)


def test_a_need_is_frozen_and_can_be_copied() -> None:
    need = Need(role="escalation", of="openai/gpt-5", objective={"quality": 2, "speed": 1})
    with pytest.raises(FrozenInstanceError):
        need.limit = 3  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(need)) == need
    other = replace(need, limit=3)
    assert (other.limit, other.of, other.weights) == (3, "openai/gpt-5", need.weights)
    assert other != need
    assert replace(other, limit=5) == need


def test_names_are_kept_as_written_and_patterns_folded() -> None:
    need = Need(
        models=["Anthropic/*", "OpenAI/GPT-4o"], exclude=["*:BATCH"], providers=["Amazon Bedrock"], stick_to=" A/B "
    )
    assert need.models == ("OpenAI/GPT-4o", "anthropic/*")
    assert need.exclude == ("*:batch",)
    assert need.providers == ("Amazon Bedrock",)
    assert need.stick_to == "A/B"


@pytest.mark.parametrize(
    ("told", "kept"),
    [(3, "3"), ("2.50", "2.5"), (0.1, "0.1"), (1e-7, "0.0000001"), (Decimal("1E+2"), "100"), (0, "0"), (-0.0, "0")],
)
def test_prices_are_exact(told: Any, kept: str) -> None:
    need = Need(max_price_per_million={"prompt": told, "completion": None})  # type: ignore[dict-item]
    assert need.max_price_per_million == (("prompt", Decimal(kept)),)
    assert need.to_json() == {"max_price_per_million": {"prompt": kept}}


@pytest.mark.parametrize(
    ("objective", "weights"),
    [
        ("quality", (1, 0, 0)),
        ("price", (0, 1, 0)),
        (" Speed", (0, 0, 1)),
        ({"quality": 0.5, "price": 0.3, "speed": 0.2}, (0.5, 0.3, 0.2)),
        ({"speed": 3, "quality": 1}, (0.25, 0, 0.75)),
        ({"price": 50, "speed": 0, "quality": None}, (0, 1, 0)),
        ({"price": 5e-324}, (0, 1, 0)),
    ],
)
def test_weights(objective: Any, weights: tuple[float, float, float]) -> None:
    need = Need(objective=objective)
    assert need.weights == weights
    assert replace(need, limit=1).weights == weights


def test_weights_of_nothing_are_no_part_of_an_objective() -> None:
    assert Need(objective={"price": 2, "speed": 0}) == Need(objective={"price": 2.0})


def test_usage() -> None:
    usage = Usage(prompt=4001, completion=100, cached=3000, requests=2)
    need = Need(usage=usage)
    assert need.quantities == cost.quantities(usage)
    assert (need.tokens, need.each) == (4101, (2000, 50))
    assert Need(usage=usage.to_json()) == need
    assert Need.read({"usage": {"prompt_tokens": 10, "completion_tokens": 5}}).usage == Usage(prompt=10, completion=5)
    assert Need(usage=TYPICAL).to_json() == {"usage": {"prompt": 3000, "completion": 1000}}
    assert Need.read({"usage": {"completion": 7}}).each == (0, 7)


# --- what is refused


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("task", "programing", "near it: programming; there are agentic, programming"),
        ("task", 3, "task is a name of 1 to 200 characters, not 3"),
        ("task", "", "task is a name"),
        ("task", "x" * (LONGEST_NAME + 1), "task is a name of 1 to 200"),
        ("role", "fst", "role 'fst' is not known; near it: fast; there are best, balanced"),
        ("role", ["fast"], "role is a name"),
        ("of", " ", "of is a name"),
        ("stick_to", True, "stick_to is a name"),
        ("require", "tools", "require is a list of names, not one: write ['tools']"),
        ("require", {"tools": True}, "require is a list of names, not a value of type dict"),
        ("require", ["tools", None], "require is a name of 1 to 200 characters, not None"),
        ("require", 7, "require is a list of names"),
        ("inputs", [["text"]], "inputs is a name"),
        ("models", ["x" * (LONGEST_NAME + 1)], "models is a name of 1 to 200"),
        ("exclude", ["İ" * LONGEST_NAME + "*"], "exclude is a name of 1 to 200"),
        ("providers", [f"p{it}" for it in range(MOST_NAMES + 1)], "providers has 101 names, and may have 100"),
        ("allow", ["routers"], "near it: router; there are free, batch"),
        ("zdr", 1, "zdr is true or false, not 1"),
        ("zdr", "true", "zdr is true or false"),
        ("min_context", True, "min_context is a whole number from 0 to"),
        ("min_context", 1.5, "min_context is a whole number"),
        ("min_context", -1, "min_context is a whole number"),
        ("min_output", "8k", "min_output is a whole number"),
        ("min_output", 10**15, "min_output is a whole number"),
        ("min_output", 10**999, "not a number of more than 60 digits"),
        ("min_uptime", 100.1, "min_uptime is a number from 0 to 100, not 100.1"),
        ("min_uptime", True, "min_uptime is a number"),
        ("min_uptime", "99", "min_uptime is a number"),
        ("max_latency", float("nan"), "max_latency is a number"),
        ("max_latency", -0.1, "max_latency is a number"),
        ("min_throughput", float("inf"), "min_throughput is a number"),
        ("min_throughput", 10**400, "min_throughput is a number"),
        ("lasting_days", 36_501, "lasting_days is a whole number from 0 to 36,500"),
        ("lasting_days", False, "lasting_days is a whole number"),
        ("margin", 1.01, "margin is a number from 0 to 1, not 1.01"),
        ("limit", 0, "limit is a whole number from 1 to 50, not 0"),
        ("limit", 51, "limit is a whole number from 1 to 50"),
        ("limit", True, "limit is a whole number"),
        ("max_price_per_million", 3, "max_price_per_million is an object of prompt, completion, not 3"),
        ("max_price_per_million", [["prompt", 3]], "max_price_per_million is an object"),
        ("max_price_per_million", ((["prompt"], 3),), "max_price_per_million is an object"),
        ("max_price_per_million", {"image": 3}, "has no 'image'; it is of prompt, completion"),
        ("max_price_per_million", {"prompt": -1}, "max_price_per_million.prompt is a number of USD from 0"),
        ("max_price_per_million", {"prompt": True}, "max_price_per_million.prompt is a number"),
        ("max_price_per_million", {"prompt": "cheap"}, "not 'cheap'"),
        ("max_price_per_million", {"prompt": float("nan")}, "not nan"),
        ("max_price_per_million", {"prompt": Decimal("Infinity")}, "not Infinity"),
        ("max_price_per_million", {"prompt": "1e-31"}, "at most 30 decimals"),
        ("max_price_per_million", {"prompt": 10**999}, "more than 60 digits"),
        ("max_price_per_million", {"completion": 1e10}, "max_price_per_million.completion is a number"),
        ("objective", "cheapest", "there are quality, price, speed, value"),
        ("objective", {}, "objective weighs nothing"),
        ("objective", {"quality": 0}, "objective weighs nothing"),
        ("objective", {"quality": -1, "price": 2}, "objective.quality is a number"),
        ("objective", {"quality": True}, "objective.quality is a number"),
        ("objective", {"qality": 1}, "near it: quality; it is of quality, price, speed"),
        ("objective", ["quality"], "or one of quality, price, speed, value"),
        ("usage", 4000, "usage is an object such as"),
        ("usage", {"prompt": 0, "completion": 0}, "there is nothing to price"),
        ("usage", {"prompt": 1, "requests": 0}, "there is nothing to price"),
        ("usage", {"promt": 3}, "no token count"),
    ],
)
def test_bad_values(name: str, value: Any, said: str) -> None:
    with pytest.raises(UsageError) as from_python:
        Need(**{name: value})
    with pytest.raises(UsageError) as from_json:
        Need.read({name: value})
    assert said in str(from_python.value)
    assert str(from_python.value) == str(from_json.value)
    assert len(str(from_json.value)) < 400


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], 'a need is an object such as {"task": "programming"}, not a value of type list'),
        (None, "a need is an object"),
        ({"obective": "price"}, "a need has no 'obective'; near it: objective; it has task, role"),
        ({"weights": [1, 0, 0]}, "a need has no 'weights'"),
        ({7: 1}, "a need has no 7"),
        ({"x" * 10_000: 1}, "a need has no 'xxx"),
    ],
)
def test_bad_documents(document: Any, said: str) -> None:
    with pytest.raises(UsageError) as found:
        Need.read(document)
    assert said in str(found.value)
    assert len(str(found.value)) < 500


# --- roles


def test_every_role_can_be_read() -> None:
    for name, role in ROLES.items():
        need = Need(role=name.upper(), of="acme/one" if role.needs_of else None)
        assert need.role == name
        bare: dict[str, Any] = dict(role.defaults)
        assert Need(**bare, role=name, of=need.of) == need
        assert sum(need.weights) == pytest.approx(1)
        assert role.title
        assert role.why.endswith(".")


def test_a_role_fills_what_is_left_open() -> None:
    need = Need(role="long-context", limit=3)
    assert (need.min_context, need.typical, need.objective) == (500_000, Usage(200_000, 2_000), "value")
    assert (need.tokens, need.each, need.limit) == (202_000, (200_000, 2_000), 3)
    own = Need(role="long-context", min_context=900_000, usage=TYPICAL, objective="speed")
    assert (own.min_context, own.typical, own.weights) == (900_000, TYPICAL, (0, 0, 1))
    coder = Need(role="coder", require=["vision"], task="agentic")
    assert (coder.task, coder.require, coder.weights) == ("agentic", ("tools", "vision"), (0.8, 0.2, 0.0))
    assert Need(role="coder").task == "programming"
    assert Need(role="escalation", of="acme/one").lasting_days == 30
    assert Need(role="escalation", of="acme/one", lasting_days=90).lasting_days == 90


def test_a_role_cannot_require_more_than_a_need_may() -> None:
    names = [f"p{it}" for it in range(MOST_NAMES)]
    assert len(Need(require=names).require) == MOST_NAMES
    with pytest.raises(UsageError, match="require has 101 names"):
        Need(role="coder", require=names)


@pytest.mark.parametrize("role", [None, *(name for name, it in ROLES.items() if not it.needs_of)])
def test_what_a_role_starts_from_needs_one_that_does(role: str | None) -> None:
    with pytest.raises(UsageError, match="the roles escalation and replacement start from"):
        Need(role=role, of="acme/one")


@pytest.mark.parametrize("role", ["escalation", "replacement"])
def test_a_role_that_starts_from_a_model_needs_one(role: str) -> None:
    with pytest.raises(UsageError, match=f"the role {role} starts from a model"):
        Need(role=role)


def test_tasks_are_those_that_quality_knows() -> None:
    assert set(TASKS) == {name for name in quality.TASKS if name is not None}


# --- laws

_names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip)
_lists = st.lists(_names, max_size=4) | st.sets(_names, max_size=4) | st.lists(_names, max_size=4).map(tuple)
_numbers = st.floats(0, 10**9) | st.integers(0, 10**9)
_prices = (
    st.integers(0, 10**9)
    | st.floats(0, 10**9).filter(lambda it: it == 0 or it > 1e-13)
    | st.decimals(0, 10**9, places=9)
    | st.decimals(0, 10**9, places=9).map(str)
)
_weights = st.dictionaries(st.sampled_from(PARTS), _numbers, min_size=1).filter(lambda it: any(it.values()))
_usages = st.builds(
    Usage, prompt=st.integers(0, 10**15 - 1), completion=st.integers(1, 10**9), cached=st.integers(0, 9),
    requests=st.integers(1, 9),
)  # fmt: skip
_told: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "task": st.sampled_from(TASKS),
        "require": _lists,
        "inputs": _lists,
        "outputs": _lists,
        "min_context": st.none() | st.integers(0, 10**15 - 1),
        "min_output": st.integers(0, 10**15 - 1),
        "max_price_per_million": st.dictionaries(st.sampled_from(["prompt", "completion"]), _prices),
        "providers": _lists,
        "exclude_providers": _lists,
        "quantizations": _lists,
        "zdr": st.booleans(),
        "min_uptime": st.floats(0, 100),
        "max_latency": _numbers,
        "min_throughput": _numbers,
        "models": _lists,
        "exclude": _lists,
        "allow": st.sets(st.sampled_from(ALLOWED)),
        "lasting_days": st.integers(0, 36_500),
        "objective": st.sampled_from([*OBJECTIVES]) | _weights,
        "usage": _usages | _usages.map(Usage.to_json),
        "stick_to": _names,
        "margin": st.floats(0, 1),
        "limit": st.integers(1, 50),
    },
)
_roles = st.sampled_from([None, *ROLES])


def _cast(role: str | None) -> dict[str, Any]:
    """A role with the model it starts from, where it needs one."""
    return {"role": role, "of": "acme/one" if role and ROLES[role].needs_of else None}


@laws
@given(_told, _roles)
@example({"objective": {"quality": 5e-324, "price": 1e9}, "min_uptime": -0.0}, None)
def test_what_is_written_is_read_again(told: Mapping[str, Any], role: str | None) -> None:
    need = Need(**told, **_cast(role))
    written = need.to_json()
    again = Need.read(json.loads(json.dumps(written, allow_nan=False)))
    assert again == need
    assert hash(again) == hash(need)
    assert again.to_json() == written
    assert (again.weights, again.typical, again.quantities) == (need.weights, need.typical, need.quantities)
    assert (again.tokens, again.each) == (need.tokens, need.each)
    assert replace(need) == need
    assert need.tokens == sum((need.typical.prompt, need.typical.completion)) > 0
    assert sum(need.weights) == pytest.approx(1)
    assert min(need.weights) >= 0


@laws
@given(_told, _roles)
def test_what_the_caller_says_stands(told: Mapping[str, Any], role: str | None) -> None:
    alone, cast = Need(**told), Need(**told, **_cast(role))
    defaults = ROLES[role].defaults if role else {}
    for name in (it.name for it in fields(Need) if it.compare and it.name not in {"role", "of"}):
        said, found = getattr(alone, name), getattr(cast, name)
        if name == "require":
            assert set(found) == {*said, *defaults.get("require", ())}
        elif said != getattr(Need(), name) or name not in defaults:
            assert found == said


#: What JSON can hold
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_keys = st.sampled_from([it.name for it in fields(Need) if it.init])


@laws
@given(st.dictionaries(_keys | st.text(max_size=5), _json, max_size=4))
def test_any_json_is_read_or_refused_by_name(document: dict[str, Any]) -> None:
    try:
        need = Need.read(document)
    except UsageError:
        return
    assert Need.read(need.to_json()) == need
