"""Which models, in what order: the index compared with a choice that is written differently."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cmp_to_key
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from llmhive.catalog.index import Index, Row
from llmhive.catalog.query import SORTS, Query, Sort
from llmhive.errors import UsageError
from tests.catalog import strategies as our

laws = our.laws
MAY = datetime(2026, 5, 1, tzinfo=UTC)


def row(model_id: str, **columns: Any) -> dict[str, Any]:
    """A row of the catalog of which little is known."""
    unknown = dict.fromkeys(
        ("canonical_slug", "name", "variant", "created_at", "context_length", "max_completion_tokens", "prompt_price",
         "completion_price", "expiration_date", "held")
    )  # fmt: skip
    listed: dict[str, Any] = {"input_modalities": [], "output_modalities": [], "supported_parameters": []}
    known = {"id": model_id, "author": "a", "family": "a/b", "pricing_kind": "fixed", "is_active": True}
    return unknown | listed | known | columns


def some(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


dates = [MAY + timedelta(days=day) for day in range(3)]
prices = some(None, *(Decimal(text) for text in ("0", "0.000001", "0.00000099999999999999", "0.000002", "0.5")))
lists = st.lists(some("text", "image", "audio"), unique=True, max_size=3)

rows = st.lists(
    st.fixed_dictionaries(
        {
            "id": some("a/one", "a/two", "b/One", "b/two:free", "c/three", "d/drei"),
            "canonical_slug": some(None, "a/one-2026", "x/y"),
            "name": some(None, "One", "one", "Über Zwei", "drei STRASSE", ""),
            "author": some("a", "b"),
            "family": some("a/one", "b/one", "b/two"),
            "variant": some(None, "free", "batch"),
            "created_at": some(None, *dates),
            "context_length": some(None, 0, 5, 10),
            "max_completion_tokens": some(None, 0, 5, 10),
            "input_modalities": lists,
            "output_modalities": lists,
            "supported_parameters": lists,
            "pricing_kind": some("fixed", "free"),
            "prompt_price": prices,
            "completion_price": prices,
            "is_active": st.booleans(),
            "expiration_date": some(None, *(at.date() for at in dates)),
            "held": some(None, {}, {"pricing.prompt": {"served": "0"}}),
        }
    ),
    unique_by=lambda found: found["id"],
)


conditions = st.fixed_dictionaries(
    {},
    optional={
        "text": some("", "one", "O", "two a/", "ÜBER zwei", "straße", "2026", "nothing"),
        "author": some(None, "a", "b", "z"),
        "family": some(None, "a/one", "one", "two", "z"),
        "variant": some(None, "free", "z"),
        "kind": some(None, "fixed", "free", "z"),
        "inputs": st.lists(some("text", "image"), max_size=2).map(tuple),
        "outputs": st.lists(some("text", "image"), max_size=2).map(tuple),
        "parameters": st.lists(some("text", "image"), max_size=2).map(tuple),
        "capabilities": st.lists(some("vision", "audio_input", "image_output", "text"), max_size=2).map(tuple),
        "min_context": some(None, 0, 5, 6),
        "min_output": some(None, 0, 5, 6),
        "min_prompt": some(None, 0.0, 1.0, 0.99999999999999, 0.3, 2),
        "min_completion": some(None, 0.0, 1.0, 1e6, 0.3),
        "max_prompt": some(None, 0.0, 1.0, 0.99999999999999, 0.3, 2),
        "max_completion": some(None, 0.0, 1.0, 1e6, 0.3),
        "new_since": some(None, *dates),
        "expiring_before": some(None, *(at.date() for at in dates)),
        "held": some(None, True, False),
    },
)
queries = st.builds(
    lambda conditions, active, sort, reverse, limit, offset: Query(
        **conditions, active=active, sort=sort, reverse=reverse, limit=limit, offset=offset
    ),
    conditions.map(lambda found: dict(list(found.items())[:3])) | conditions,
    some(None, True, False),
    some(*SORTS),
    st.booleans(),
    some(None, 0, 1, 2, 9),
    some(0, 0, 1, 2, 9),
)


def choose(query: Query, table: Iterable[Row]) -> tuple[list[Row], int]:
    return Index(table).choose(query)


def meets(query: Query, it: Row) -> bool:
    return Index([it]).choose(query)[1] == 1


# --- the oracle


def shown(capability: str) -> tuple[str, str]:
    """The column and the value that show it; what has no name of its own is a parameter."""
    if capability == "vision":
        return "input_modalities", "image"
    modality, _, way = capability.partition("_")
    return (f"{way}_modalities", modality) if way in {"input", "output"} else ("supported_parameters", capability)


def is_met(query: Query, it: Row) -> bool:
    for word in (query.text or "").split():
        found = [it["id"], it["canonical_slug"] or "", it["name"] or ""]
        if not [1 for text in found if word.casefold() in text.casefold()]:
            return False
    equal = [
        (query.author, [it["author"]]),
        (query.family, [it["family"], it["family"].split("/")[1]]),
        (query.variant, [it["variant"]]),
        (query.kind, [it["pricing_kind"]]),
        (query.active, [it["is_active"]]),
        (query.held, [len(it["held"] or ()) > 0]),
    ]
    if not all(wanted is None or wanted in values for wanted, values in equal):
        return False
    for wanted, column in (
        (query.inputs, "input_modalities"), (query.outputs, "output_modalities"),
        (query.parameters, "supported_parameters"),
    ):  # fmt: skip
        if [value for value in wanted if value not in it[column]]:
            return False
    if not all(value in it[column] for column, value in map(shown, query.capabilities)):
        return False
    for least, value in (
        (query.min_context, it["context_length"]), (query.min_output, it["max_completion_tokens"]),
        (query.new_since, it["created_at"]),
    ):  # fmt: skip
        if least is not None and (value is None or value < least):
            return False
    for least_price, most, price in (
        (query.min_prompt, query.max_prompt, it["prompt_price"]),
        (query.min_completion, query.max_completion, it["completion_price"]),
    ):
        if least_price is not None and (price is None or price * 10**6 < Decimal(str(least_price))):
            return False
        if most is not None and (price is None or price * 10**6 > Decimal(str(most))):
            return False
    last = query.expiring_before
    return last is None or (it["expiration_date"] is not None and not it["expiration_date"] > last)


COLUMNS = {
    "id": "id", "name": "name", "newest": "created_at", "context": "context_length", "output": "max_completion_tokens",
    "prompt": "prompt_price", "completion": "completion_price", "author": "author", "expiring": "expiration_date",
}  # fmt: skip


def in_order(query: Query, one: Row, two: Row) -> int:
    """Negative: `one` stands first."""
    a, b = one[COLUMNS[query.sort]], two[COLUMNS[query.sort]]
    if query.sort == "name":
        a, b = (None if name is None else name.casefold() for name in (a, b))
    if (a is None) is not (b is None):
        return 1 if a is None else -1
    if a is None or a == b:
        return -1 if one["id"] < two["id"] else 1
    is_largest_first = (query.sort in {"newest", "context", "output"}) is not query.reverse
    return -1 if (a > b) is is_largest_first else 1


def chosen(query: Query, table: list[Row]) -> tuple[list[Row], int]:
    """The page and the total."""

    def order(one: Row, two: Row) -> int:
        return in_order(query, one, two)

    met = sorted((it for it in table if is_met(query, it)), key=cmp_to_key(order))
    wanted = met[query.offset :]
    return (wanted if query.limit is None else wanted[: query.limit]), len(met)


# --- laws


@laws
@given(queries, rows)
def test_a_choice_is_what_the_oracle_says(query: Query, table: list[Row]) -> None:
    assert choose(query, table) == chosen(query, table)


@laws
@given(st.lists(queries, max_size=4), rows)
def test_one_question_does_not_change_the_answer_to_the_next(asked: list[Query], table: list[Row]) -> None:
    index, warm = Index(table), Index(table)
    warm.warm()
    for query in asked + asked:
        assert index.choose(query) == warm.choose(query) == chosen(query, table)


@laws
@given(queries, rows)
def test_a_row_meets_a_query_exactly_if_the_oracle_says_so(query: Query, table: list[Row]) -> None:
    for it in table:
        assert meets(query, it) is is_met(query, it)


@laws
@given(queries, rows, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(query: Query, table: list[Row], dice: Any) -> None:
    assert choose(query, dice.sample(table, len(table))) == choose(query, iter(table))


@laws
@given(queries, rows, st.integers(1, 3))
def test_pages_follow_one_another_without_a_gap_and_each_knows_the_total(
    query: Query, table: list[Row], size: int
) -> None:
    whole, total = choose(replace(query, limit=None, offset=0), table)
    assert total == len(whole)
    pages = [choose(replace(query, limit=size, offset=start), table) for start in range(0, len(table) + size, size)]
    assert [it for page, _ in pages for it in page] == whole
    assert {count for _, count in pages} == {total}


@laws
@given(rows, some(*SORTS))
def test_unknown_values_are_last_in_both_directions(table: list[Row], sort: Sort) -> None:
    for reverse in (False, True):
        page, _ = choose(Query(active=None, sort=sort, reverse=reverse), table)
        unknown = [it[COLUMNS[sort]] is None for it in page]
        assert unknown == sorted(unknown)
        of_none = [it["id"] for it in page if it[COLUMNS[sort]] is None]
        assert of_none == sorted(of_none)


@laws
@given(st.floats(0, 10**6, allow_nan=False), our.decimal_texts(signed=False).map(Decimal))
def test_a_price_limit_is_exactly_the_number_that_was_written(most: float, price: Decimal) -> None:
    limit = Decimal(str(most)) / 10**6
    for rate in (limit, price):
        is_met = rate * 10**6 <= Decimal(str(most))
        assert meets(Query(max_prompt=most), row("a/b", prompt_price=rate)) is is_met
        assert meets(Query(max_completion=most), row("a/b", completion_price=rate)) is is_met
        reaches = rate * 10**6 >= Decimal(str(most))
        assert meets(Query(min_prompt=most), row("a/b", prompt_price=rate)) is reaches
        assert meets(Query(min_completion=most), row("a/b", completion_price=rate)) is reaches


# --- by example


def ids(query: Query, *table: Row) -> list[str]:
    return [it["id"] for it in choose(query, table)[0]]


def test_without_a_condition_the_active_rows_by_id() -> None:
    table = [row("b/two"), row("a/one"), row("a/gone", is_active=False)]
    assert choose(Query(), table) == ([table[1], table[0]], 2)
    assert ids(Query(active=None), *table) == ["a/gone", "a/one", "b/two"]
    assert ids(Query(active=False), *table) == ["a/gone"]


def test_a_price_limit_is_exact_where_floats_are_not() -> None:
    # the price that binary floats lose digits of
    price = Decimal("0.00000008333333333333334")
    assert meets(Query(max_prompt=0.08333333333333334), row("a/b", prompt_price=price))
    assert not meets(Query(max_prompt=0.08333333333333333), row("a/b", prompt_price=price))
    assert meets(Query(max_prompt=0.3), row("a/b", prompt_price=Decimal("0.0000003")))
    assert not meets(Query(max_completion=0.3), row("a/b", completion_price=Decimal("0.00000030000000000000000001")))


def test_an_unknown_value_meets_no_limit() -> None:
    limits: list[dict[str, Any]] = [
        {"max_prompt": 10.0**9}, {"max_completion": 10.0**9}, {"min_context": 0}, {"min_output": 0},
        {"min_prompt": 0.0}, {"min_completion": 0.0},
        {"new_since": datetime(1970, 1, 1, tzinfo=UTC)}, {"expiring_before": date(9999, 12, 31)},
    ]  # fmt: skip
    for limit in limits:
        assert ids(Query(**limit), row("a/b")) == []


def test_limits_are_inclusive() -> None:
    it = row(
        "a/b", prompt_price=Decimal(1), completion_price=Decimal(1), context_length=5, max_completion_tokens=6,
        created_at=MAY, expiration_date=MAY.date(),
    )  # fmt: skip
    met = Query(
        min_prompt=10**6, min_completion=10**6, max_prompt=10**6, max_completion=10**6, min_context=5, min_output=6,
        new_since=MAY, expiring_before=MAY.date(),
    )  # fmt: skip
    assert ids(met, it) == ["a/b"]
    second = timedelta(seconds=1)
    stricter: dict[str, Any] = {
        "min_prompt": 10**6 + 1, "min_completion": 10**6 + 1, "max_prompt": 10**6 - 1, "max_completion": 10**6 - 1,
        "min_context": 6, "min_output": 7,
        "new_since": MAY + second, "expiring_before": (MAY - second).date(),
    }  # fmt: skip
    for name, value in stricter.items():
        one: dict[str, Any] = {name: value}
        assert ids(replace(met, **one), it) == []


def test_a_range_of_prices_is_between_both_limits() -> None:
    table = [row(f"a/{rate}", prompt_price=Decimal(rate).scaleb(-6)) for rate in ("0", "0.5", "1", "2.5", "3")]
    assert ids(Query(min_prompt=0.5, max_prompt=2.5), *table) == ["a/0.5", "a/1", "a/2.5"]
    assert ids(Query(min_prompt=3, max_prompt=1), *table) == []


def test_what_the_gate_holds_back_can_be_asked_for() -> None:
    table = [row("a/held", held={"context_length": {"served": None}}), row("a/none"), row("a/empty", held={})]
    assert ids(Query(held=True), *table) == ["a/held"]
    assert ids(Query(held=False), *table) == ["a/empty", "a/none"]
    assert ids(Query(), *table) == ["a/empty", "a/held", "a/none"]


def test_words_may_stand_anywhere_in_any_case_each_in_another_place() -> None:
    it = row("acme/large:free", canonical_slug="acme/large-2026", name="Straßen Modell")
    for text in ("ACME", "large free", "modell 2026", "STRASSEN", "  acme   modell ", ""):
        assert meets(Query(text=text), it)
    assert not meets(Query(text="acme other"), it)
    # a word does not run from one column into the next
    assert not meets(Query(text="freeacme"), it)
    assert meets(Query(text="b"), row("a/b"))
    # an unknown name has no letters
    assert not any(meets(Query(text=letter), row("a/b")) for letter in "nox")


def test_a_family_is_named_with_or_without_its_author() -> None:
    it = row("acme/large-2", author="acme", family="acme/large")
    assert meets(Query(family="acme/large"), it)
    assert meets(Query(family="large"), it)
    assert not meets(Query(family="acme"), it)
    assert not meets(Query(family="/large"), it)
    deep = row("acme/old/large-2", author="acme", family="acme/old/large")
    assert meets(Query(family="old/large"), deep)
    assert not meets(Query(family="large"), deep)


def test_all_modalities_and_parameters_are_needed() -> None:
    it = row("a/b", input_modalities=["text", "image"], output_modalities=["text"], supported_parameters=["tools"])
    assert meets(Query(inputs=("image", "text"), outputs=("text",), parameters=("tools",)), it)
    for wanting in (Query(inputs=("text", "audio")), Query(outputs=("image",)), Query(parameters=("tools", "seed"))):
        assert not meets(wanting, it)


@pytest.mark.parametrize(
    ("sort", "column", "values", "first"),
    [
        ("id", None, ["a/a", "a/b"], "a/a"),
        ("name", "name", ["Beta", "alpha"], "a/b"),
        ("newest", "created_at", [MAY, MAY + timedelta(1)], "a/b"),
        ("context", "context_length", [5, 6], "a/b"),
        ("output", "max_completion_tokens", [5, 6], "a/b"),
        ("prompt", "prompt_price", [Decimal(2), Decimal("1.9")], "a/b"),
        ("completion", "completion_price", [Decimal(2), Decimal("10")], "a/a"),
        ("author", "author", ["b", "a"], "a/b"),
        ("expiring", "expiration_date", [date(2026, 9, 1), date(2026, 8, 1)], "a/b"),
    ],
)
def test_each_order_and_its_reverse(sort: Sort, column: str | None, values: list[Any], first: str) -> None:
    keys = ["a/a", "a/b"]
    table = [row(key, **({} if column is None else {column: it})) for key, it in zip(keys, values, strict=True)]
    second = "a/b" if first == "a/a" else "a/a"
    assert ids(Query(sort=sort), *table) == [first, second]
    assert ids(Query(sort=sort, reverse=True), *table) == [second, first]


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("reverse", [False, True])
def test_ties_are_by_id_in_both_directions(sort: Sort, reverse: bool) -> None:
    same = {"name": "x", "created_at": MAY, "context_length": 1, "prompt_price": Decimal(1)}
    table = [row(key, **same) for key in ("a/c", "a/a", "a/b")]
    wanted = ["a/a", "a/b", "a/c"]
    if sort == "id" and reverse:
        wanted.reverse()
    assert ids(Query(sort=sort, reverse=reverse), *table) == wanted


def test_the_total_is_that_of_all_pages() -> None:
    table = [row(f"a/{number}") for number in range(5)]
    assert choose(Query(limit=2, offset=3), table) == (table[3:], 5)
    assert choose(Query(limit=2, offset=1), table) == (table[1:3], 5)
    assert choose(Query(offset=2), table) == (table[2:], 5)
    assert choose(Query(limit=0), table) == ([], 5)
    assert choose(Query(offset=9), table) == ([], 5)


def test_an_order_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    sort: Any = "beauty"
    with pytest.raises(UsageError) as told:
        choose(Query(sort=sort), [])
    assert str(told.value) == (
        "Cannot sort by 'beauty'. "
        "Choose one of id, name, newest, context, output, prompt, completion, author, expiring."
    )
    assert get_args(Sort) == SORTS == tuple(COLUMNS)
