"""What the command and the pages say in the same words: figures are cut, not rounded up; conditions as they are."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.app import wording


def told_apart(texts: list[str]) -> list[str]:
    return wording.told_apart([Decimal(it) for it in texts])


def test_percentages_are_told_apart_where_four_decimals_can() -> None:
    assert told_apart(["100", "99.5"]) == ["100.00", "99.50"]
    assert told_apart(["99.999", "99.995", "99.5"]) == ["99.999", "99.995", "99.500"]
    assert told_apart(["99.99989", "99.99985", "99.99985"]) == ["99.9998", "99.9998", "99.9998"]
    # equal ones need no more
    assert told_apart(["99.123456", "99.123456"]) == ["99.12", "99.12"]


@pytest.mark.parametrize(
    ("number", "shown"),
    [("443.555556", "443.6"), ("0.0123456", "0.01235"), ("1310720", "1,310,720"), ("4", "4"), ("1385.2", "1,385"),
     ("0", "0")],
)  # fmt: skip
def test_four_digits(number: str, shown: str) -> None:
    assert wording.four_digits(number) == shown


@given(st.decimals(Decimal("1e-9"), Decimal("1e9"), places=9))
def test_four_digits_are_never_off_by_more_than_the_fifth(number: Decimal) -> None:
    shown = Decimal(wording.four_digits(f"{number:f}").replace(",", ""))
    assert abs(shown - number) <= number / 2000


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ({}, "always"),
        ({"min_prompt_tokens": 200_000}, "above 200,000 prompt tokens"),
        ({"utc_start": 1630, "utc_end": 30}, "from 16:30 to 00:30 UTC"),
        ({"utc_start": 900}, "from 09:00 to 24:00 UTC"),
        ({"utc_days": ["saturday", "sunday"]}, "on saturday, sunday"),
        ({"min_prompt_tokens": 1, "moon": "full"}, "above 1 prompt tokens moon full"),
    ],
)
def test_a_condition(when: dict[str, Any], told: str) -> None:
    assert wording.condition(when) == told


@pytest.mark.parametrize(
    ("fraction", "places", "shown"),
    [("0.12349", 2, "12.34 %"), ("0.00001", 2, "<0.01 %"), ("0", 2, "0.00 %"), ("0.9999", 1, "99.9 %"),
     ("0.0004", 1, "<0.1 %"), ("1", 0, "100 %")],
)  # fmt: skip
def test_a_percentage(fraction: str, places: int, shown: str) -> None:
    assert wording.percent(Decimal(fraction), places) == shown
