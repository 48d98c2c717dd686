"""Token counts that cannot be true are doubted, period by period; real ones never are."""

from __future__ import annotations

import random
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.catalog.plausible import FACTOR, doubts
from llmhive.catalog.ranking import Count

FIRST = date(2026, 7, 1)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def days(*totals: int, start: int = 0, models: int = 3, other: bool = True) -> list[Count]:
    """A day each: so many models, and what is below them."""
    found = []
    for number, total in enumerate(totals, start):
        found += [Count(day(number), f"acme/{it}", total // (models + 1)) for it in range(models)]
        rest = total - models * (total // (models + 1))
        found.append(Count(day(number), "other" if other else "acme/last", rest))
    return found


@pytest.mark.parametrize(
    ("total", "is_wrong"),
    [(100, False), (1000, False), (1001, True), (10, False), (9, True), (0, True)],
)
def test_a_total_ten_times_off_is_not_believed(total: int, is_wrong: bool) -> None:
    found = doubts(days(total, start=7), days(*[100] * 7), old=())
    assert (list(found) == [day(7)]) is is_wrong
    if is_wrong:
        assert found[day(7)].startswith(f"2026-07-08 has {total:,} tokens in all, where 100 are usual")


def test_one_odd_day_costs_no_other() -> None:
    found = doubts(days(100, 5, 100, 100_000, 100, start=7), days(*[100] * 7), old=())
    assert list(found) == [day(8), day(10)]


def test_what_is_still_told_when_it_is_old_is_believed() -> None:
    told, known = days(*[5] * 9, start=7), days(*[100] * 7)
    assert len(doubts(told, known, old=())) == 9
    # and from then on it is usual
    assert doubts(told, known, old={day(it) for it in range(7, 16)}) == {}
    assert list(doubts(told, days(*[100] * 4, start=3), old={day(it) for it in range(7, 12)})) == []


def test_two_periods_do_not_say_what_is_usual() -> None:
    assert doubts(days(10**9, start=2), days(1, 1), old=()) == {}


def test_one_wild_day_does_not_change_what_is_usual() -> None:
    assert doubts(days(120, start=8), days(100, 110, 90, 10**12, 100, 105, 95, 100), old=()) == {}


def test_a_day_that_is_cut_short_is_doubted() -> None:
    known = days(*[5100] * 7, models=50)
    assert doubts(days(5000, start=7, models=48), known, old=()) == {}
    [why] = doubts(days(4000, start=7, models=20), known, old=()).values()
    assert "names 21 models, where 51 are usual: cut short" in why
    [why] = doubts(days(4900, start=7, models=40, other=False), known, old=()).values()
    assert "and nothing below them: cut short" in why
    # all of a quiet day, but for one
    assert doubts(days(4900, start=7, models=49, other=False), known, old=()) == {}
    [why] = doubts(days(4900, start=7, models=48, other=False), known, old=()).values()
    assert "and nothing below them: cut short" in why
    # half of what is usual is enough
    assert doubts(days(100, start=7, models=2), days(*[100] * 7, models=5), old=()) == {}


def test_what_is_below_may_be_missing_where_it_was_the_day_before() -> None:
    before = [*days(*[5100] * 6, models=50), *days(5100, start=6, models=44, other=False)]
    assert doubts(days(4900, start=7, models=40, other=False), before, old=()) == {}
    first = [
        *days(5100, models=44, other=False),
        *days(*[5100] * 5, start=1, models=50),
        *days(5100, start=6, models=41),
    ]
    assert doubts(days(4900, start=7, models=40, other=False), first, old=()) == {}
    assert list(doubts(days(4900, start=7, models=39, other=False), first, old=())) == [day(7)]


def test_three_periods_say_what_is_usual() -> None:
    assert list(doubts(days(10**9, start=3), days(100, 100, 100), old=())) == [day(3)]


@given(st.lists(st.integers(1000, 2000), min_size=4, max_size=60), st.integers(0, 2**32))
def test_what_varies_by_less_than_two_is_always_believed_in_any_order(totals: list[int], seed: int) -> None:
    counts = days(*totals)
    random.Random(seed).shuffle(counts)
    assert doubts(counts, [], old=()) == {}
    assert FACTOR > 2
