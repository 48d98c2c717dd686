"""Token counts that cannot be true are refused; real ones never are."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.catalog.plausible import FACTOR, implausible
from llmhive.catalog.ranking import Count

FIRST = date(2026, 7, 1)


def days(*totals: int, start: int = 0) -> list[Count]:
    """A day each, most of it of one model."""
    found = []
    for number, total in enumerate(totals, start):
        day = FIRST + timedelta(days=number)
        found += [Count(day, "acme/one", total - total // 3), Count(day, "other", total // 3)]
    return found


@pytest.mark.parametrize(
    ("total", "is_wrong"),
    [(100, False), (1000, False), (1001, True), (10, False), (9, True), (0, True)],
)
def test_a_total_ten_times_off_is_not_believed(total: int, is_wrong: bool) -> None:
    found = implausible(days(total, start=7), days(*[100] * 7))
    assert bool(found) is is_wrong
    if is_wrong:
        assert "2026-07-08" in found[0]
        assert "100 are usual" in found[0]


def test_two_periods_do_not_say_what_is_usual() -> None:
    assert implausible(days(10**9, start=2), days(1, 1)) == []


def test_one_wild_day_does_not_change_what_is_usual() -> None:
    assert implausible(days(120, start=8), days(100, 110, 90, 10**12, 100, 105, 95, 100)) == []


def test_restated_days_count_as_they_are_now() -> None:
    known = days(*[5000] * 5, start=3)
    # all days are told anew, in another measure: each is compared with those before it
    assert implausible(days(*[100] * 9), known) == []


@given(st.lists(st.integers(1000, 2000), min_size=4, max_size=60), st.randoms(use_true_random=False))
def test_what_varies_by_less_than_two_is_always_believed_in_any_order(totals: list[int], random: object) -> None:
    counts = days(*totals)
    random.shuffle(counts)  # type: ignore[attr-defined]
    split = len(counts) // 2
    assert implausible(counts[split:] + counts[:split], []) == []
    assert FACTOR > 2
