"""What the route of costs decides by itself: how bodies are read, and how many usages become one answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.app.http import cost, cost_shapes
from llmhive.app.http.cost import Batch, read, shared
from llmhive.app.http.service import Refusal
from llmhive.app.library import Catalog
from llmhive.catalog.preferences import Preferences
from llmhive.errors import DatabaseUnavailable, NotFound, Unpriced, UsageError
from tests.catalog.strategies import laws

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def refused(content: bytes, status: int = 422) -> dict[str, Any]:
    with pytest.raises(Refusal) as caught:
        read(content)
    found: dict[str, Any] = json.loads(bytes(caught.value.problem.body))
    assert found["status"] == status
    return found


# --- reading


@pytest.mark.parametrize(
    ("content", "at", "why"),
    [
        (b"", "", "not json"), (b"{", "", "not json"), (b'{"model":"\xff"}', "", "not json"),
        (b'{"model":"\\ud800"}', "", "not json"), (b"NaN", "", "not json"), (b"[" * 100_000, "", "nested too deeply"),
        (b'{"x":' + b"[" * 100_000, "", "nested too deeply"),
        (b'{"usage":' + b'{"a":' * 100_000, "", "nested too deeply"),
        (b"[]", "", "expected object, got list"), (b'"a"', "", "expected object, got str"),
        (b'{"model":1}', "model", "expected str, got int"), (b'{"usage":[1]}', "usage", "expected object, got list"),
        (b'{"model":"' + b"x" * 201 + b'"}', "model", "length <= 200"),
        (b'{"usage":{"cost":1e999}}', "", "out of range"),
        (b'{"is_byok":1}', "is_byok", "expected bool, got int"), (b'{"requests":{}}', "requests", "expected list"),
        (b'{"requests":[{},{"at":5}]}', "requests[1].at", "expected str, got int"),
        (b'{"requests":[{},3]}', "requests[1]", "expected object, got int"),
        (b'{"requests":[{"requests":[]}]}', "requests[0].requests", "no such field"),
        (b'{"modle":"x"}', "modle", "did you mean model?"), (b'{"":1}', "", "no such field"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_body_is_told(content: bytes, at: str, why: str) -> None:
    found = refused(content)
    [fault] = found["errors"]
    assert fault["at"].startswith(at)
    assert why in fault["why"].lower()
    assert fault["why"] in found["detail"]


def test_every_unknown_field_is_named_but_not_without_end() -> None:
    found = refused(b'{"modell":"x","requests":[{"usage":{"any":1}},{"cost":1,"Provider":"x"}]}')
    assert [it["at"] for it in found["errors"]] == ["modell", "requests[1].cost", "requests[1].Provider"]
    many = json.dumps({"requests": [{"x" * 5000: 1}] * 5000}).encode()
    assert len(json.dumps(refused(many))) < 8000


def test_too_many_are_refused_as_a_whole() -> None:
    assert len(read(b'{"requests":[' + b"{}," * (cost_shapes.MOST - 1) + b"{}]}").requests or ()) == cost_shapes.MOST
    found = refused(b'{"requests":[' + b"{}," * cost_shapes.MOST + b"{}]}", 413)
    assert found["detail"].startswith("10,001 requests are more than 10,000.")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*cost_shapes.OF_ALL, "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@laws
@given(st.binary(max_size=30) | JSON.map(lambda it: json.dumps(it).encode()))
def test_any_body_is_read_or_refused(content: bytes) -> None:
    try:
        body = read(content)
    except Refusal:
        refused(content)
    else:
        assert set(json.loads(content)) <= set(cost_shapes.OF_ALL)
        assert body.requests is None or len(shared(body)) == len(body.requests)


def test_what_stands_beside_many_holds_for_who_does_not_say_otherwise() -> None:
    body = read(
        b'{"model":"a/b","is_byok":true,"at":"2026-01-01","requests":[{"model":"c/d","is_byok":false,"at":null},{}]}'
    )  # fmt: skip
    one, two = shared(body)
    assert (one.model, one.is_byok, one.at) == ("c/d", False, "2026-01-01")
    assert (two.model, two.is_byok, two.at, two.usage) == ("a/b", True, "2026-01-01", None)


# --- pricing


class Costs:
    """A catalog whose receipts cost what is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    def cost(self, model: str, usage: Mapping[str, Any], **how: Any) -> Any:
        """Costs as many USD as there are tokens, times 1e-24."""
        self.asked.append((model, how))
        if model == "missing":
            raise NotFound(f"No model {model!r} was ever seen.")
        if model == "dynamic":
            raise Unpriced("it cannot be priced " + "x" * 5000)
        if model == "away":
            raise DatabaseUnavailable("The database is away.")
        if model == "mistake":
            raise UsageError("there is no token count in usage")
        return FakeReceipt(usage["prompt"])


class FakeReceipt:
    def __init__(self, tokens: int) -> None:
        self.total = Decimal(tokens).scaleb(-24)
        self.incomplete = ("a reason",) if tokens == 7 else ()
        self.tokens = tokens

    def to_json(self) -> dict[str, Any]:
        """Enough to know it by."""
        return {"tokens": self.tokens}


def answered(asks: list[dict[str, Any]], costs: Costs, **shared: Any) -> dict[str, Any]:
    batch = Batch(cast("Catalog", costs), NOW)
    assert batch.begin(json.dumps({"requests": asks, **shared}).encode()) is None
    for _ in range(1000):
        if (answer := batch.go_on()) is not None:
            found: dict[str, Any] = json.loads(answer)
            return found
    raise AssertionError("it has no end")


@pytest.mark.parametrize("seconds", [0.0, 60.0])
@pytest.mark.parametrize("number", [0, 1, 2, 300])
def test_many_are_answered_in_order_however_they_are_cut(
    number: int, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "_SLICE", seconds)
    asks = [{"model": "a/b", "usage": {"prompt": it}} for it in range(number)]
    found = answered(asks, Costs())
    assert [it["tokens"] for it in found["data"]] == list(range(number))
    assert (found["priced"], found["unpriced"], found["incomplete"]) == (number, 0, int(number > 7))
    assert Decimal(found["total"]) == Decimal(sum(range(number))).scaleb(-24)


def test_the_sum_is_exact_where_amounts_differ_by_forty_orders() -> None:
    found = answered([{"model": "a/b", "usage": {"prompt": it}} for it in (10**39, 1)], Costs())
    assert found["total"] == "1000000000000000.000000000000000000000001"


def test_who_has_no_price_keeps_his_place() -> None:
    costs = Costs()
    names = ["missing", "a/b", "dynamic", "missing", "mistake", None]
    found = answered([{"model": it, "usage": {"prompt": 1}} for it in names], costs)
    assert [it.get("error", {}).get("status") for it in found["data"]] == [404, None, 422, 404, 422, 422]
    assert [it["error"]["title"] for it in found["data"] if "error" in it] == [
        "Not Found", "Not priced", "Not Found", "Unprocessable Entity", "Unprocessable Entity",
    ]  # fmt: skip
    assert [it.get("model") for it in found["data"]] == ["missing", None, "dynamic", "missing", "mistake", None]
    assert len(found["data"][2]["error"]["detail"]) < 1010
    assert (found["priced"], found["unpriced"]) == (1, 5)
    # what comes near a name is looked for once
    assert [model for model, _ in costs.asked] == ["missing", "a/b", "dynamic", "mistake"]


def test_a_database_that_is_away_is_nobodys_usage() -> None:
    with pytest.raises(DatabaseUnavailable):
        answered([{"model": "a/b", "usage": {"prompt": 1}}, {"model": "away", "usage": {}}], Costs())
    with pytest.raises(DatabaseUnavailable):
        Batch(cast("Catalog", Costs()), NOW).begin(b'{"model":"away","usage":{}}')


def test_how_is_handed_on_as_it_is_asked() -> None:
    costs, used = Costs(), {"prompt": 1}
    answered(
        [
            {"model": "a/b", "usage": used},
            {"model": "a/b", "usage": used, "at": "2026-05-01", "provider": "P", "tier": "flex", "is_byok": True,
             "has_fee": True, "bounds": True, "sealed": True},
            {"model": "a/b", "usage": used, "known_at": "2026-05-01T12:00:00+02:00", "bounds": False,
             "preferences": {"sort": "price"}},
        ],
        costs,
    )  # fmt: skip
    plain, whole, known = (how for _, how in costs.asked)
    nothing = dict.fromkeys(("has_fee", "bounds", "sealed"), False)
    # whose key it was is left to the usage where nobody says it
    assert plain == {"at": NOW, "known_at": None, "provider": None, "tier": None, "is_byok": None, **nothing}
    assert whole == {
        "at": datetime(2026, 5, 1, tzinfo=UTC), "known_at": None, "provider": "P", "tier": "flex",
        "is_byok": True, **dict.fromkeys(nothing, True),
    }  # fmt: skip
    # `at` is left to the library: it is then when the price was known
    assert (known["at"], known["known_at"]) == (None, datetime(2026, 5, 1, 10, tzinfo=UTC))
    assert known["bounds"] == Preferences.of({"sort": "price"})


def test_preferences_are_bounded_and_read_once() -> None:
    costs = Costs()
    fine = {"model": "a/b", "usage": {"prompt": 1}, "preferences": {"only": ["x"] * 50}}
    many, long = (
        {"only": [str(it) for it in range(40)], "ignore": [str(it) for it in range(11)]},
        {"order": ["x" * 201]},
    )
    found = answered([fine, fine, fine | {"preferences": many}, fine | {"preferences": long}], costs)
    assert [it.get("error", {}).get("status") for it in found["data"]] == [None, None, 422, 422]
    assert "50 names" in found["data"][2]["error"]["detail"]
    one, two = (how["bounds"] for _, how in costs.asked)
    assert one is two


def test_an_answer_that_would_be_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "_LARGEST_ANSWER", 50)
    with pytest.raises(Refusal) as told:
        answered([{"model": "a/b", "usage": {"prompt": 1}}] * 10, Costs())
    assert told.value.problem.status_code == 413


def test_what_is_much_needs_a_permit() -> None:
    def batch(asks: list[dict[str, Any]]) -> Batch:
        made = Batch(cast("Catalog", Costs()), NOW)
        made.begin(json.dumps({"requests": asks}).encode())
        return made

    ask = {"model": "a/b", "usage": {"prompt": 1}}
    assert not batch([ask] * 1000).is_large
    assert batch([ask] * 1001).is_large
    assert batch([ask | {"bounds": True}] * 100).is_large


@pytest.mark.parametrize("name", ["at", "known_at"])
def test_a_time_that_is_none_is_told(name: str) -> None:
    [found] = answered([{"model": "a/b", "usage": {"prompt": 1}, name: "yesterday"}], Costs())["data"]
    assert found["error"]["detail"] == (
        f"{name}: write a day, 2026-05-01, or an instant, 2026-05-01T12:00:00Z; not 'yesterday'."
    )


def test_the_offset_of_a_time_counts() -> None:
    costs = Costs()
    answered([{"model": "a/b", "usage": {"prompt": 1}, "at": "2026-05-01T00:00:00-03:00"}], costs)
    assert costs.asked[0][1]["at"] - datetime(2026, 5, 1, tzinfo=UTC) == timedelta(hours=3)
