"""Rankings: laws, and the edges of each rule."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.catalog import counting, derived
from llmhive.catalog.derived import Listed, Serving
from llmhive.catalog.ranking import Count, Join, Rank, Ranking, Task, by_order, by_task, faults, movers
from tests.catalog.strategies import laws

LAST = date(2026, 8, 16)  # a Sunday
DAY = timedelta(days=1)
NO_JOIN = Join([])

slugs = st.sampled_from(["a/one", "a/one:free", "a/two", "b/one", "b/one:batch", "c/x", "d", "other"])


@st.composite
def daily_counts(draw: st.DrawFn) -> list[Count]:
    """Five weeks with gaps."""
    keys = draw(st.sets(st.tuples(st.integers(0, 36), slugs), max_size=60))
    tokens = st.integers(0, 10) | st.integers(0, 2**62)
    return [Count(LAST - back * DAY, slug, draw(tokens)) for back, slug in sorted(keys)]


def every_day(slug: str, *tokens: int, last: date = LAST) -> list[Count]:
    """Counts of consecutive days that end with `last`."""
    return [Count(last - back * DAY, slug, it) for back, it in enumerate(reversed(tokens))]


def board(counts: Sequence[Count], join: Join = NO_JOIN) -> Ranking:
    return counting.leaderboard(counts, join, until=LAST, as_of="2026-08-17T02:00:00.000Z")


def all_of(counts: Sequence[Count]) -> list[Ranking]:
    until: dict[str, Any] = {"until": LAST, "as_of": "now"}
    return [
        counting.leaderboard(counts, NO_JOIN, **until),
        counting.most_used(counts, NO_JOIN, **until),
        counting.market_share(counts, **until),
        counting.by_modality("image", counts, NO_JOIN, **until),
        counting.tool_calling(counts, NO_JOIN, **until),
        derived.trending(counts, [], **until),
    ]


def by_slug(ranking: Ranking) -> dict[str, Rank]:
    return {it.slug: it for it in ranking.ranks}


# --- laws


@laws
@given(daily_counts())
def test_what_is_made_has_no_faults(counts: list[Count]) -> None:
    for ranking in all_of(counts):
        assert faults(ranking, set()) in ([], ["it has no ranks"])
        assert [it.rank for it in ranking.ranks] == list(range(1, len(ranking.ranks) + 1))
        assert sum(it.share or 0 for it in ranking.ranks) <= 1


@laws
@given(daily_counts(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(counts: list[Count], chance: random.Random) -> None:
    shuffled = chance.sample(counts, len(counts))
    # where the last day of the counts is the same, so is all else
    assert all_of(shuffled) == all_of(counts)
    assert [it.digest for it in all_of(shuffled)] == [it.digest for it in all_of(counts)]


@laws
@given(daily_counts(), st.integers(0, 6), st.integers(1, 2**40))
def test_the_tokens_of_a_variant_are_the_base_s(counts: list[Count], back: int, more: int) -> None:
    # the last day is there in any case, so that the window does not move
    counts = [*counts, Count(LAST, "z/always", 1)]
    added = [*counts, Count(LAST - back * DAY, "a/two:thinking", more)]
    before, after = by_slug(board(counts)), by_slug(board(added))
    had = before["a/two"].tokens if "a/two" in before else 0
    assert had is not None
    assert after["a/two"].tokens == had + more
    assert {slug: it.tokens for slug, it in after.items() if slug != "a/two"} == {
        slug: it.tokens for slug, it in before.items() if slug != "a/two"
    }
    assert board(added).facts["total_tokens"] == board(counts).facts["total_tokens"] + more


@laws
@given(daily_counts(), slugs.filter(lambda it: it != "other"))
def test_without_a_model_none_falls_and_the_order_of_the_others_stays(counts: list[Count], gone: str) -> None:
    base = gone.partition(":")[0]
    counts = [*counts, Count(LAST, "z/always", 1)]
    less = [it for it in counts if it.slug.partition(":")[0] != base]
    before, after = board(counts), board(less)
    assert [it.slug for it in after.ranks] == [it.slug for it in before.ranks if it.slug != base]
    for slug, rank in by_slug(after).items():
        assert rank.rank <= by_slug(before)[slug].rank
        assert (rank.share or 0) >= (by_slug(before)[slug].share or 0)


@laws
@given(daily_counts())
def test_the_authors_have_what_their_models_have(counts: list[Count]) -> None:
    authors, models = all_of(counts)[2], board(counts)
    assert sum(it.tokens or 0 for it in authors.ranks) == sum(it.tokens or 0 for it in models.ranks)
    assert authors.facts["total_tokens"] == models.facts["total_tokens"]


# --- tokens


def test_a_leaderboard_in_figures() -> None:
    counts = [
        *every_day("a/one-20260101", *([10] * 28), *([20] * 7)),
        *every_day("b/two", *([30] * 28), *([15] * 7)),
        *every_day("b/two:free", *([2] * 3)),
        *every_day("other", *([1] * 35)),
        # not a whole day yet
        Count(LAST + DAY, "c/three", 10**9),
    ]
    join = Join([("a/one", "a/one-20260101", None, True), ("a/one:free", "a/one-20260101", "free", True)])
    made = board(counts, join)
    assert (made.window_from, made.window_to, made.source) == (date(2026, 8, 10), LAST, "data-api")
    assert made.citation == "Source: OpenRouter (openrouter.ai/rankings), as of 2026-08-17T02:00:00.000Z."
    total = 140 + 105 + 6 + 7
    assert made.facts == {
        "total_tokens": total, "other_tokens": 7, "days": 7, "is_estimate": False, "partial": {}
    }  # fmt: skip
    first, second = made.ranks
    assert first == Rank(
        1, "a/one-20260101", "a/one", tokens=140, share=Decimal("0.542635"), previous_rank=2,
        growth=Decimal("1.000000"), trend=(70, 70, 70, 140),
    )  # fmt: skip
    assert second == Rank(
        2, "b/two", None, tokens=111, share=Decimal("0.430232"), previous_rank=1, growth=Decimal("-0.471429"),
        trend=(210, 210, 210, 111),
    )  # fmt: skip


def test_a_day_on_which_a_model_is_not_named_is_unknown_not_zero() -> None:
    counts = [*every_day("a/one", *([10] * 35)), *every_day("b/two", *([9] * 8)), *every_day("c/three", 5, 5)]
    made = board(counts)
    assert made.facts["partial"] == {"c/three": 2}
    found = by_slug(made)
    assert found["a/one"].growth == 0
    # named on one day of the week before
    assert (found["b/two"].growth, found["b/two"].previous_rank, found["b/two"].trend) == (None, 2, (None, None, 9, 63))
    assert (found["c/three"].growth, found["c/three"].previous_rank) == (None, None)
    assert found["c/three"].trend == (None, None, None, 10)


def test_the_window_ends_with_the_last_day_there_are_counts_of() -> None:
    made = board(every_day("a/one", 1, 2, 3, last=LAST - 3 * DAY))
    assert (made.window_from, made.window_to) == (LAST - 9 * DAY, LAST - 3 * DAY)
    assert (made.ranks[0].tokens, made.facts["days"]) == (6, 3)


def test_nothing_known_is_a_ranking_without_ranks() -> None:
    for made in all_of([]):
        assert made.ranks == ()
        assert faults(made, set()) == ["it has no ranks"]


def test_a_window_without_any_token_has_no_shares() -> None:
    assert board([Count(LAST, "a/one", 0)]).ranks[0].share is None


def test_at_most_fifty() -> None:
    made = board([Count(LAST, f"a/m{n:03}", n) for n in range(80)])
    assert len(made.ranks) == 50
    assert made.ranks[0].slug == "a/m079"
    assert made.facts["total_tokens"] == sum(range(80))
    assert sum(it.share or 0 for it in made.ranks) < 1


def test_equal_ones_are_in_the_order_of_their_names() -> None:
    assert [it.slug for it in board([Count(LAST, slug, 5) for slug in ("b", "a/z", "a/b", "c/a")]).ranks] == [
        "a/b", "a/z", "b", "c/a",
    ]  # fmt: skip


def test_four_weeks_are_compared_with_those_a_week_before() -> None:
    made = counting.most_used(every_day("a/one", *([1] * 7), *([3] * 28)), NO_JOIN, until=LAST, as_of=None)
    assert (made.window_from, made.ranks[0].tokens) == (LAST - 27 * DAY, 84)
    # 84 against 7 + 63
    assert made.ranks[0].growth == Decimal("0.200000")
    short = counting.most_used(every_day("a/one", *([3] * 28)), NO_JOIN, until=LAST, as_of=None)
    assert (short.ranks[0].growth, short.ranks[0].previous_rank) == (None, 1)


def test_a_category_is_of_the_last_whole_week() -> None:
    mondays = [date(2026, 7, 20), date(2026, 7, 27), date(2026, 8, 3), date(2026, 8, 10), date(2026, 8, 17)]
    counts = [Count(monday, "a/one", 100 * n) for n, monday in enumerate(mondays, start=1)]
    counts += [Count(mondays[3], "b/two", 999), Count(mondays[3], "other", 1)]
    made = counting.by_category("programming", counts, NO_JOIN, until=date(2026, 8, 10), as_of="x")
    assert (made.window_from, made.window_to) == (date(2026, 8, 10), date(2026, 8, 16))
    assert made.facts == {
        "total_tokens": 1400, "other_tokens": 1, "days": 7, "is_estimate": True, "partial": {}
    }  # fmt: skip
    assert [it.slug for it in made.ranks] == ["b/two", "a/one"]
    assert made.ranks[1].trend == (100, 200, 300, 400)
    assert made.ranks[1].growth == Decimal("0.333333")
    assert (made.ranks[0].growth, made.ranks[0].trend) == (None, (None, None, None, 999))


# --- trending


def trend(counts: Sequence[Count], models: Sequence[Listed] = ()) -> list[str]:
    return [it.slug for it in derived.trending(counts, models, until=LAST, as_of="x").ranks]


BIG = every_day("big/one", *([1000] * 35))


def test_one_wild_day_is_no_trend() -> None:
    wild = every_day("a/wild", *([10] * 7), 10, 10, 10, 10, 10, 10, 10_000)
    steady = every_day("a/steady", *([10] * 7), *([12] * 7))
    assert trend([*BIG, *wild, *steady]) == ["a/steady"]


@pytest.mark.parametrize(
    ("tokens", "is_one"),
    [
        ([10] * 7 + [11] * 7, False),
        ([100] * 7 + [111] * 7, True),
        ([10] * 5 + [20] * 7, True),
        ([10] * 4 + [20] * 7, False),
        ([0] * 7 + [20] * 7, False),
        ([1] * 7 + [2] * 7, True),
    ],
)
def test_the_edges_of_trending(tokens: list[int], is_one: bool) -> None:
    assert trend([*BIG, *every_day("a/one", *tokens)]) == (["a/one"] if is_one else [])


def test_who_is_too_small_is_no_trend() -> None:
    one, huge = every_day("a/one", *([1] * 7), *([2] * 7)), every_day("big/one", *([2000] * 14))
    assert trend([*one, *huge]) == []  # 14 of 14,014
    assert trend([*one, *every_day("big/one", *([1998] * 14))]) == ["a/one"]  # 14 of 14,000


def test_of_an_even_number_of_days_the_middle_two_count() -> None:
    before, now = every_day("a/one", *([10] * 7), last=LAST - 7 * DAY), every_day("a/one", 0, 10, 15, 20, 90, 90)
    made = derived.trending([*BIG, *before, *now], [], until=LAST, as_of="x")
    found = by_slug(made)["a/one"]
    assert found.growth == found.score == Decimal("0.750000")


def test_where_a_trend_stood_a_week_before() -> None:
    a = every_day("a/one", *([10] * 7), *([20] * 7), *([30] * 7))
    b = every_day("b/two", *([10] * 7), *([15] * 7), *([60] * 7))
    made = derived.trending([*BIG, *a, *b], [], until=LAST, as_of="x")
    assert [(it.slug, it.rank, it.previous_rank, it.score) for it in made.ranks] == [
        ("b/two", 1, 2, 3), ("a/one", 2, 1, Decimal("0.5")),
    ]  # fmt: skip


def test_only_what_can_be_chosen_or_is_not_known_trends() -> None:
    grown = [it for n in range(3) for it in every_day(f"a/m{n}", *([10] * 7), *([20] * 7))]
    models = [listed("a/m0"), listed("a/m1", is_active=False)]
    assert trend([*BIG, *grown], models) == ["a/m0", "a/m2"]


# --- the join


def test_a_slug_is_joined_to_the_base_row() -> None:
    join = Join(
        [
            ("a/one:free", "a/one-2026", "free", True),
            ("a/one", "a/one-2026", None, True),
            ("a/only:free", "a/only-2026", "free", True),
            ("a/old", "a/twice-1", None, False),
            ("a/new", "a/twice-1", None, True),
            ("a/slugless", None, None, True),
        ]
    )
    assert join.match("a/one-2026") == join.match("a/one-2026:free") == join.match("a/one-2026:batch") == "a/one"
    assert join.match("a/only-2026:free") == join.match("a/only") == "a/only:free"
    assert join.match("a/twice-1") == "a/new"
    assert join.match("a/slugless") == "a/slugless"
    assert join.match("a/one") == "a/one"
    assert join.match("a/nowhere") is None
    assert join.match("other") is None


def test_of_those_that_share_a_slug_the_base_row_comes_first_then_an_active_one() -> None:
    free, gone, other = ("a/one:free", "s", "free", True), ("b/two", "s", None, False), ("c/three", "s", None, True)
    assert Join([free, gone, other]).match("s") == "c/three"
    assert Join([free, gone]).match("s") == "b/two"
    assert Join([other, free]).match("s") == "c/three"
    assert Join([("a/b:thinking", "s", "thinking", False), ("a/c:free", "s", "free", True)]).match("s") == "a/c:free"


# --- as served


def test_a_task_is_ordered_by_requests() -> None:
    task = Task(
        "code:debugging", "Debugging", "code", Decimal("0.2"), None,
        (("a/one", Decimal("0.3"), Decimal("0.1")), ("b/two", Decimal("0.35"), None), ("a/one:free", Decimal("0.1"),
          Decimal("0.05"))),
    )  # fmt: skip
    made = by_task(task, Join([("b/two", None, None, True)]), as_of=LAST, window_days=7)
    assert [(it.slug, it.model_id, it.score, it.share) for it in made.ranks] == [
        ("a/one", None, Decimal("0.4"), Decimal("0.15")), ("b/two", "b/two", Decimal("0.35"), None),
    ]  # fmt: skip
    assert (made.dimension, made.category, made.window_from) == ("task", "code:debugging", LAST - 6 * DAY)
    assert made.facts == {
        "is_estimate": True, "title": "Debugging", "group": "code", "request_share": "0.2", "token_share": None,
    }  # fmt: skip
    assert (made.source, made.as_of, made.window_to) == ("data-api", LAST.isoformat(), LAST)
    assert made.citation == f"Source: OpenRouter (openrouter.ai/rankings), as of {LAST}."
    assert faults(made, {"b/two"}) == []


def test_a_task_s_share_of_tokens_is_told_and_its_models_are_by_requests_not_by_name() -> None:
    models = tuple((f"a/{it}", Decimal(share), Decimal(0)) for it, share in (("p", "0.1"), ("q", "0.3"), ("r", "0.3")))
    made = by_task(Task("t", "T", "t", Decimal(1), Decimal("0.25"), models), NO_JOIN, as_of=LAST, window_days=7)
    assert [it.slug for it in made.ranks] == ["a/q", "a/r", "a/p"]
    assert made.facts["token_share"] == "0.25"


def test_an_order_of_models_is_a_ranking_without_figures() -> None:
    join = Join([("a/one", "a/one-1", None, True)])
    ids = ["b/two:free", "~a/latest", "a/one", "b/two", "a/one:batch"]
    made = by_order("leaderboard", None, ids, join, as_of="2026-08-17T00:00:00Z")
    assert made.ranks == (Rank(1, "b/two", None), Rank(2, "a/one", "a/one"))
    assert (made.source, made.citation) == ("models-order", None)
    assert (made.as_of, made.facts) == ("2026-08-17T00:00:00Z", {"is_estimate": False})
    assert faults(made, {"a/one"}) == []
    assert by_order("category", "legal", ids, join, as_of=None).category == "legal"


# --- what is wrong


GOOD = board(
    [*every_day("a/one", *([3] * 7)), *every_day("a/two", *([2] * 7))], Join([("a/one", None, None, True)])
)  # fmt: skip


def spoiled(position: int, **changes: Any) -> Ranking:
    ranks = list(GOOD.ranks)
    ranks[position] = replace(ranks[position], **changes)
    return replace(GOOD, ranks=tuple(ranks))


@pytest.mark.parametrize(
    ("ranking", "said"),
    [
        (replace(GOOD, ranks=()), "no ranks"),
        (replace(GOOD, dimension="best"), "no dimension is named"),
        (spoiled(1, rank=3), "without gaps"),
        (spoiled(1, rank=1), "without gaps"),
        (spoiled(1, slug="a/one"), "named more than once: a/one"),
        (spoiled(1, slug="other"), "stands for all below"),
        (spoiled(0, model_id="a/ghost"), "not in the catalog: a/ghost"),
        (spoiled(1, tokens=22), "not in order"),
        (spoiled(1, tokens=-1), "below zero"),
        (spoiled(1, tokens=None), "not known of each"),
        (spoiled(1, share=Decimal("1.1")), "between 0 and 1"),
        (spoiled(1, share=Decimal("-0.1")), "between 0 and 1"),
        (spoiled(1, share=Decimal("0.9")), "add up to"),
        (replace(GOOD, window_from=LAST + DAY), "before it begins"),
        (replace(GOOD, ranks=tuple(Rank(n, f"a/{n}", None, tokens=1) for n in range(1, 52))), "more than 50"),
    ],
)
def test_a_fault_is_found(ranking: Ranking, said: str) -> None:
    found = faults(ranking, {"a/one"})
    assert len(found) == 1
    assert said in found[0]


def test_a_good_one_has_none() -> None:
    assert faults(GOOD, {"a/one"}) == []
    # to the edge: one day, fifty ranks, all of the tokens
    assert faults(replace(GOOD, window_from=LAST, window_to=LAST), {"a/one"}) == []
    most = tuple(Rank(n, f"a/{n}", None, tokens=1, share=Decimal("0.02")) for n in range(1, 51))
    assert faults(replace(GOOD, ranks=most), set()) == []


def test_of_many_names_a_few_are_told() -> None:
    def told(count: int) -> str:
        ghosts = tuple(Rank(n, f"b/{n}", f"a/{n}", tokens=1) for n in range(1, count + 1))
        [found] = faults(replace(GOOD, ranks=ghosts), set())
        return found

    assert told(5).endswith("not in the catalog: a/1, a/2, a/3, a/4, a/5")
    assert told(7).endswith("a/1, a/2, a/3, a/4, a/5 and 2 more")
    cheapest = Ranking("lowest_cost", None, "derived", None, None, None, (
        Rank(1, "a", None, score=Decimal(1)), Rank(2, "b", None, score=Decimal(2)),
    ))  # fmt: skip
    assert faults(cheapest, set()) == []
    assert faults(replace(cheapest, dimension="fastest"), set()) == ["its ranks are not in order"]


def test_the_digest_is_of_what_is_said_not_of_when() -> None:
    later = replace(GOOD, as_of="later", citation="later")
    assert later.digest == GOOD.digest
    for other in (spoiled(1, tokens=13), replace(GOOD, window_to=LAST + DAY), replace(GOOD, facts={})):
        assert other.digest != GOOD.digest


# --- days


def end_of(day: date, days: int = 1) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=days)


def test_a_day_counts_when_it_has_ended() -> None:
    assert counting.last_day(datetime(2026, 8, 17, tzinfo=UTC)) == LAST
    assert counting.last_day(datetime(2026, 8, 16, 23, 59, 59, tzinfo=UTC)) == LAST - DAY
    # by UTC, wherever the clock is
    tokyo = datetime.fromisoformat("2026-08-17T08:00:00+09:00")
    assert counting.last_day(tokyo) == LAST - DAY
    assert counting.last_week(datetime(2026, 8, 17, tzinfo=UTC)) == date(2026, 8, 10)
    assert counting.last_week(datetime(2026, 8, 16, 23, 59, tzinfo=UTC)) == date(2026, 8, 3)


def test_at_first_five_weeks_are_asked_for() -> None:
    assert counting.unsettled({}, LAST) == LAST - 34 * DAY
    assert counting.unsettled_week({}, date(2026, 8, 10)) == date(2026, 7, 13)


def test_later_only_what_is_not_final() -> None:
    days = [LAST - back * DAY for back in range(60)]
    settled = {day: end_of(day) + timedelta(days=4) for day in days}
    assert counting.unsettled(settled, LAST) == LAST + DAY
    almost = settled | {days[3]: end_of(days[3]) + timedelta(days=4, seconds=-1)}
    assert counting.unsettled(almost, LAST) == days[3]
    gap = {day: at for day, at in settled.items() if day != days[20]}
    assert counting.unsettled(gap, LAST) == days[20]
    # never fetched, but too old to matter; fetched too early, however old
    assert counting.unsettled({day: at for day, at in settled.items() if day != days[50]}, LAST) == LAST + DAY
    assert counting.unsettled(settled | {days[50]: end_of(days[50])}, LAST) == days[50]


def test_never_more_than_openrouter_answers_at_once() -> None:
    ages = {LAST - back * DAY: end_of(LAST - back * DAY) for back in range(500)}
    assert (LAST - counting.unsettled(ages, LAST)).days + 1 == 366


def test_a_week_is_final_eight_days_after_it() -> None:
    weeks = [date(2026, 8, 10) - timedelta(weeks=back) for back in range(6)]
    settled = {monday: end_of(monday, 7) + timedelta(days=8) for monday in weeks}
    assert counting.unsettled_week(settled, weeks[0]) == date(2026, 8, 17)
    early = settled | {weeks[1]: end_of(weeks[1], 7) + timedelta(days=7)}
    assert counting.unsettled_week(early, weeks[0]) == weeks[1]


# --- derived


def listed(model_id: str, **more: Any) -> Listed:
    values: dict[str, Any] = {
        "canonical_slug": None, "is_active": True, "pricing_kind": "fixed", "prompt_price": Decimal("0.000001"),
        "completion_price": Decimal("0.000005"), "context_length": 1000, "input_modalities": ("text",),
        "output_modalities": ("text",), "supported_parameters": ("tools",),
    }  # fmt: skip
    return Listed(model_id, **values | more)


def found(ranking: Ranking) -> list[tuple[str, Any]]:
    assert faults(ranking, {it.model_id for it in ranking.ranks if it.model_id}) in ([], ["it has no ranks"])
    assert ranking.source == "derived"
    return [(it.slug, it.score) for it in ranking.ranks]


def serving(model_id: str, **more: Any) -> Serving:
    values: dict[str, Any] = {
        "is_healthy": True, "throughput_p50": 10.0, "uptime_last_1d": 99.0, "uptime_last_30m": 50.0
    }  # fmt: skip
    return Serving(model_id, **values | more)


def test_nobody_is_ranked_who_cannot_be_chosen() -> None:
    names = ["a/gone", "~a/latest", "r/auto", "a/one:batch"]
    models = [
        listed("a/gone", is_active=False), listed("~a/latest"), listed("r/auto", pricing_kind="dynamic"),
        listed("a/one:batch"),
    ]  # fmt: skip
    models = [replace(it, input_modalities=("text", "image")) for it in models]
    endpoints = [serving(it.id) for it in models]
    leaderboard = by_order("leaderboard", None, [], NO_JOIN, as_of=None)
    leaderboard = replace(leaderboard, ranks=tuple(Rank(n, it, it) for n, it in enumerate(names, start=1)))
    for made in (
        derived.lowest_cost(models, as_of=None),
        derived.long_context(models, {}, as_of=None),
        derived.multimodal(models, {}, as_of=None),
        derived.best_value(models, dict.fromkeys(names, Decimal(50)), as_of=None, citation=None),
        derived.fastest(models, endpoints, as_of=None),
        derived.most_reliable(models, endpoints, as_of=None),
        derived.tools(models, leaderboard),
    ):
        assert made.ranks == ()


def test_lowest_cost() -> None:
    models = [
        listed("a/dear"),
        listed("a/cheap", prompt_price=Decimal("0.00000008333333333333334"), completion_price=Decimal(0)),
        listed("a/free:free", pricing_kind="free", prompt_price=Decimal(0), completion_price=Decimal(0)),
        listed("a/by-request", prompt_price=Decimal(0), completion_price=Decimal(0)),
        listed("a/image", output_modalities=("image", "text")),
        listed("a/unknown", pricing_kind="unknown", prompt_price=None),
    ]
    assert found(derived.lowest_cost(models, as_of=None)) == [
        ("a/cheap", Decimal("0.062500000000000005")), ("a/dear", Decimal(2)),
    ]  # fmt: skip


def test_best_value() -> None:
    indexes = {"a/weak": Decimal(10), "a/mid": Decimal(40), "a/top": Decimal(60), "a/free:free": Decimal(41)}
    models = [
        listed("a/weak", prompt_price=Decimal("0.0000000001")),
        listed("a/mid", prompt_price=Decimal("0.000002"), completion_price=Decimal("0.000002")),
        listed("a/top"),
        listed("a/none"),
        listed("a/free:free", pricing_kind="free", prompt_price=Decimal(0), completion_price=Decimal(0)),
    ]
    # the median is between 40 and 41
    made = derived.best_value(models, indexes, as_of=None, citation="Artificial Analysis")
    assert found(made) == [("a/top", Decimal(30))]
    assert made.citation == "Artificial Analysis"
    made = derived.best_value(models[:3], indexes, as_of=None, citation=None)
    assert found(made) == [("a/top", Decimal(30)), ("a/mid", Decimal(20))]


def test_fastest() -> None:
    models = [listed("a/one"), listed("a/two"), listed("a/sick"), listed("a/silent")]
    endpoints = [
        serving("a/one", throughput_p50=80.5), serving("a/one", throughput_p50=20.0),
        serving("a/one", throughput_p50=900.0, is_healthy=None), serving("a/two", throughput_p50=100.1),
        serving("a/sick", is_healthy=False), serving("a/silent", throughput_p50=None), serving("x/gone"),
    ]  # fmt: skip
    assert found(derived.fastest(models, endpoints, as_of=None)) == [
        ("a/two", Decimal("100.1")), ("a/one", Decimal("80.5")),
    ]  # fmt: skip


def test_most_reliable() -> None:
    models = [listed(f"a/{name}") for name in ("one", "two", "three", "none", "short")]
    endpoints = [
        serving("a/one", uptime_last_1d=100.0), serving("a/two", uptime_last_1d=100.0),
        serving("a/two", uptime_last_1d=20.0), serving("a/three", uptime_last_1d=99.5),
        serving("a/none", uptime_last_1d=None, uptime_last_30m=None), serving("a/short", uptime_last_1d=None),
    ]  # fmt: skip
    assert found(derived.most_reliable(models, endpoints, as_of=None)) == [
        ("a/two", 100), ("a/one", 100), ("a/three", Decimal("99.5")), ("a/short", 50),
    ]  # fmt: skip


def test_equal_contexts_are_in_the_order_of_the_leaderboard() -> None:
    models = [listed(f"a/{name}") for name in "abcd"] + [listed("a/e", context_length=2000)]
    models.append(listed("a/zero", context_length=0))
    made = derived.long_context(models, {"a/c": 1, "a/b": 50}, as_of=None)
    assert [slug for slug, _ in found(made)] == ["a/e", "a/c", "a/b", "a/a", "a/d"]


def test_multimodal_counts_the_kinds_beside_text() -> None:
    models = [
        listed("a/two", input_modalities=("image", "file")),
        listed("a/three", input_modalities=("text", "image", "file", "audio")),
        listed("a/text"),
        listed("a/used", input_modalities=("text", "image", "file")),
    ]
    assert found(derived.multimodal(models, {"a/used": 3}, as_of=None)) == [
        ("a/three", 3), ("a/used", 2), ("a/two", 2),
    ]  # fmt: skip


def test_tools_keeps_the_order_of_the_leaderboard() -> None:
    counts = [Count(LAST, slug, n) for n, slug in enumerate(["a/one", "a/mute", "a/two", "a/unknown"], start=1)]
    models = [listed("a/one"), listed("a/two"), listed("a/mute", supported_parameters=()), listed("a/unranked")]
    leaderboard = board(counts, derived.join_of(models))
    made = derived.tools(models, leaderboard)
    assert [(it.rank, it.model_id, it.tokens) for it in made.ranks] == [(1, "a/two", 3), (2, "a/one", 1)]
    assert (made.window_to, made.citation) == (LAST, leaderboard.citation)
    assert derived.standing_of(leaderboard) == {"a/two": 2, "a/mute": 3, "a/one": 4}
    assert derived.standing_of(None) == {}


@laws
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 3)), max_size=12))
def test_without_a_model_no_other_s_score_changes(figures: list[tuple[int, int, int]]) -> None:
    models = [
        listed(f"a/{n}", prompt_price=Decimal(p).scaleb(-6), completion_price=Decimal(c).scaleb(-6), context_length=x)
        for n, (p, c, x) in enumerate(figures)
    ]
    makers: list[Callable[[list[Listed]], Ranking]] = [
        lambda some: derived.lowest_cost(some, as_of=None),
        lambda some: derived.long_context(some, {}, as_of=None),
    ]
    for make in makers:
        whole = found(make(models))
        assert whole == found(make(list(reversed(models))))
        if models:
            assert found(make(models[1:])) == [it for it in whole if it[0] != models[0].id]


# --- movers


def moved(*previous: int | None) -> list[int]:
    ranks = tuple(
        Rank(rank, f"a/{rank}", None, tokens=1, previous_rank=it) for rank, it in enumerate(previous, start=1)
    )
    found = movers(Ranking("leaderboard", None, "data-api", None, None, None, ranks))
    return [it.rank for it in found]


def test_movers_are_who_came_in_or_moved_by_three_ranks_the_farthest_first() -> None:
    assert moved(1, 5, 2, 4, None, 3) == [2, 6, 5]
    # who came in came from behind the last
    assert moved(None, 6, 3, 4, 5) == [1, 2]


def test_nobody_moved_where_the_week_before_is_not_known() -> None:
    assert moved(None, None, None) == []
