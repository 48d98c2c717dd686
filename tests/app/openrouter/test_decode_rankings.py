"""OpenRouter's token counts, task shares and orders of models, read; bad rows never cost the good ones."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.app.openrouter import decode_rankings
from llmhive.catalog.ranking import Count, Counted
from llmhive.errors import BadAnswer
from tests.catalog.strategies import laws

FIRST, LAST = date(2026, 8, 10), date(2026, 8, 16)
META = {"as_of": "2026-08-17T02:00:00.000Z", "version": "v1", "start_date": "2026-08-10", "end_date": "2026-08-16"}


def row(day: str = "2026-08-10", slug: Any = "a/one", tokens: Any = "5") -> dict[str, Any]:
    return {"date": day, "model_permaslug": slug, "total_tokens": tokens}


def body(*rows: Any, meta: Any = META, **more: Any) -> bytes:
    return json.dumps({"data": rows, "meta": meta} | more).encode()


def read(*rows: Any, meta: Any = META) -> Counted:
    return decode_rankings.tokens(body(*rows, meta=meta), asked_from=FIRST, asked_to=LAST)


def test_a_whole_answer() -> None:
    found = read(row(tokens="10000000000000000"), row(slug="a/one:free", tokens=7), row(slug="other", tokens="0"))
    assert found == Counted(
        rows=(Count(FIRST, "a/one", 10**16), Count(FIRST, "a/one:free", 7), Count(FIRST, "other", 0)),
        as_of="2026-08-17T02:00:00.000Z",
        start=FIRST,
        end=LAST,
    )


def test_nothing_listed_is_an_answer_too() -> None:
    assert read().rows == ()


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (row(tokens="-5"), "no whole number"),
        (row(tokens=-5), "no whole number"),
        (row(tokens="5.0"), "no whole number"),
        (row(tokens=5.5), "no whole number"),
        (row(tokens="١"), "no whole number"),
        (row(tokens="1_0"), "no whole number"),
        (row(tokens=True), "no whole number"),
        (row(tokens=None), "no whole number"),
        (row(tokens=str(10**16 + 1)), "no whole number"),
        (row(tokens="9" * 400), "no whole number"),
        (row(slug=""), "its model is none"),
        (row(slug=None), "its model is none"),
        (row(slug="a b"), "its model is none"),
        (row(slug="a\0"), "its model is none"),
        (row(slug="x" * 256), "its model is none"),
        (row(slug="b/two"), "listed twice"),
        (row(day="2026-08-09"), "was not asked for"),
        (row(day="2026-08-17"), "was not asked for"),
    ],
)
def test_a_bad_row_is_told_and_nothing_counts_as_gone_that_day(bad: dict[str, Any], said: str) -> None:
    found = read(row(slug="b/two"), bad, row("2026-08-11"))
    assert found.rows == (Count(FIRST, "b/two", 5), Count(date(2026, 8, 11), "a/one", 5))
    assert len(found.faults) == 1
    assert said in found.faults[0]
    assert found.incomplete == {date.fromisoformat(bad["date"])}


@pytest.mark.parametrize(
    "bad", [None, 5, "x", [], {}, row(day="yesterday"), row(day="2026-02-30"), row(day="20260810")]
)
def test_a_row_of_no_day_may_be_of_any(bad: Any) -> None:
    found = read(row(), bad, row("2026-08-12"))
    assert len(found.rows) == 2
    assert found.incomplete == {FIRST, date(2026, 8, 12)}


def test_more_rows_a_day_than_promised_are_told_and_kept() -> None:
    found = read(*(row(slug=f"a/{n}") for n in range(52)), row("2026-08-11"))
    assert len(found.rows) == 53
    assert found.faults == ("2026-08-10 has 52 rows, more than 51",)
    assert not found.incomplete


def test_a_thousand_bad_rows_are_told_in_short() -> None:
    found = read(*(row(tokens="x") for _ in range(1000)))
    assert len(found.faults) == 21
    assert found.faults[-1] == "and 980 more"


def test_half_an_emoji_costs_its_row_only() -> None:
    whole = body(row(slug="a/one"), row(slug="b/two"), row(slug='a/"\\'))
    found = decode_rankings.tokens(whole.replace(b"a/one", b"a/\\ud83d"), asked_from=FIRST, asked_to=LAST)
    assert [it.slug for it in found.rows] == ["b/two", 'a/"\\']
    assert len(found.faults) == 1


def test_half_an_emoji_costs_its_model_of_a_task_only() -> None:
    listed = [{"id": "a/one", "tag_usage_share": 0.5}, {"id": "b/two", "tag_usage_share": 0.25}]
    found = decode_rankings.tasks(answer(classified(models=listed)).replace(b"a/one", b"a/\\ud83d"))
    assert found.tasks[0].models == (("b/two", Decimal("0.25"), None),)
    assert len(found.faults) == 1


def test_a_week_is_dated_by_its_monday() -> None:
    weekly = body(row("2026-08-12"), row("2026-08-03", tokens="6"), row("2026-08-17"))
    found = decode_rankings.tokens(weekly, asked_from=date(2026, 8, 3), asked_to=date(2026, 8, 10), period="week")
    assert found.rows == (Count(date(2026, 8, 10), "a/one", 5), Count(date(2026, 8, 3), "a/one", 6))
    assert found.faults == ("row 2: 2026-08-17 was not asked for",)


def test_another_version_is_told() -> None:
    found = read(row(), meta=META | {"version": "v2", "start_date": 5})
    assert found.faults == ("its version is not v1 but 'v2'",)
    assert (found.start, found.end) == (None, LAST)


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"<html>", b"[]", b"null", b'{"data": {}}', b'{"meta": {}}', b'{"data": [], "meta": []}', b'{"data": []}',
        body(meta={}), body(meta={"as_of": 5}), body(meta={"as_of": ""}), body(row())[:-5],
        b'{"error": {"message": "Rate limit exceeded"}}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_no_such_answer(answer: bytes) -> None:
    with pytest.raises(BadAnswer):
        decode_rankings.tokens(answer, asked_from=FIRST, asked_to=LAST)


def test_an_error_is_told_in_openrouters_words() -> None:
    with pytest.raises(BadAnswer, match="Rate limit exceeded"):
        decode_rankings.order(b'{"error": {"code": 429, "message": "Rate limit exceeded"}}')


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
odd_rows = st.lists(
    values
    | st.fixed_dictionaries(
        {"date": values | st.just("2026-08-10"), "model_permaslug": values, "total_tokens": values}
    ),
    max_size=5,
)


@laws
@given(odd_rows)
def test_nothing_in_a_row_is_raised(rows: list[Any]) -> None:
    good = [row(slug="z/good"), row("2026-08-11", slug="z/good")]
    found = decode_rankings.tokens(
        json.dumps({"data": [*rows, *good], "meta": META}).encode(), asked_from=FIRST, asked_to=LAST
    )
    assert {(it.begins, it.slug) for it in found.rows} >= {(FIRST, "z/good"), (date(2026, 8, 11), "z/good")}
    assert len(found.rows) + len(found.faults) == len(rows) + 2


# --- tasks


def classified(**more: Any) -> dict[str, Any]:
    return {
        "tag": "code:debugging", "display_name": "Debugging", "macro_category": "code", "usage_share": 0.23,
        "token_share": 0.31, "category_usage_share": 0.5, "category_token_share": 0.5,
        "models": [{"id": "a/one", "tag_usage_share": 0.55, "tag_token_share": 0.75}],
    } | more  # fmt: skip


def answer(*listed: Any, **more: Any) -> bytes:
    data = {"window_days": 7, "as_of": "2026-08-16", "classifications": listed, "macro_categories": []} | more
    return json.dumps({"data": data}).encode()


def test_tasks_with_their_shares_exact() -> None:
    served = answer(classified()).replace(b"0.55", b"0.12345678901234567890").replace(b"0.75", b"1e-7")
    found = decode_rankings.tasks(served)
    assert (found.as_of, found.window_days, found.faults) == (LAST, 7, ())
    (task,) = found.tasks
    assert (task.tag, task.title, task.group) == ("code:debugging", "Debugging", "code")
    assert (task.request_share, task.token_share) == (Decimal("0.23"), Decimal("0.31"))
    assert task.models == (("a/one", Decimal("0.12345678901234567890"), Decimal("0.0000001")),)


@pytest.mark.parametrize(
    ("bad", "kept"),
    [
        (None, 1),
        ({}, 1),
        (classified(), 1),
        (classified(tag="x", models=None), 1),
        (classified(tag="x", models=[None]), 2),
        (classified(tag="x", models=[{"id": "a", "tag_usage_share": 1.5}]), 2),
        (classified(tag="x", models=[{"id": "a", "tag_usage_share": True}]), 2),
        (classified(tag="x", models=[{"id": "a b", "tag_usage_share": 0.5}]), 2),
        (classified(tag="x", models=[{"id": "a", "tag_usage_share": 0.1}] * 2), 2),
    ],
)
def test_what_of_a_task_cannot_be_read_is_told(bad: Any, kept: int) -> None:
    found = decode_rankings.tasks(answer(classified(), bad))
    assert len(found.tasks) == kept
    assert len(found.faults) == 1


def test_a_task_without_names_is_called_by_its_tag() -> None:
    bare = {"tag": "agent:web_search", "models": [{"id": "a/one", "tag_usage_share": 1}]}
    (task,) = decode_rankings.tasks(answer(bare)).tasks
    assert (task.title, task.group, task.request_share) == ("agent:web_search", "agent", None)
    assert task.models == (("a/one", Decimal(1), None),)


@pytest.mark.parametrize(
    "served",
    [
        b"", b"[]", b'{"data": []}', b'{"data": {"classifications": 5}}', answer(as_of=None), answer(window_days=0),
        answer(window_days="7"), b'{"error": {"message": "x"}}', b"<html>",
    ],
)  # fmt: skip
def test_no_tasks(served: bytes) -> None:
    with pytest.raises(BadAnswer):
        decode_rankings.tasks(served)


# --- an order of models


def test_an_order_is_of_the_ids_once_each() -> None:
    listed = [{"id": "b/two"}, {"id": "a/one", "name": 5}, None, {"id": 5}, {"id": "b/two"}, {}, {"id": "~a/latest"}]
    assert decode_rankings.order(json.dumps({"data": listed}).encode()) == ("b/two", "a/one", "~a/latest")
