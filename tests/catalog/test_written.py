"""Numbers as people write them: each way of writing one means the same, and what may mean two is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.catalog.written import count
from tests.catalog import strategies as our


@our.laws
@given(st.integers(0, 10**15))
def test_a_number_is_read_however_it_is_written(number: int) -> None:
    for text in (str(number), f"{number:,}", f"{number:_}", f"{number:,}".replace(",", " ")):
        assert count(text) == number
    short = number % 10**6
    for size, name in ((10**3, "k"), (10**6, "M"), (10**9, "b")):
        assert count(f"{short}{name}") == count(f"{short:,} {name.upper()}") == short * size
        assert count(f"{short}.5{name}") == short * size + size // 2


@pytest.mark.parametrize(
    ("text", "number"),
    [("1.5B", 1_500_000_000), ("1.05M", 1_050_000), (".5k", 500), ("2 k", 2000), ("007", 7), ("1.500k", 1500)],
)
def test_sizes(text: str, number: int) -> None:
    assert count(text) == number


@pytest.mark.parametrize(
    "text",
    ["", "k", ".", ".k", "-1", "+1", "1e3", "1.2345k", "٣", "9" * 40, "1 2 3 x", "0x10", "1.5", "2.000", "12,34",
     "1,0000", "1,000_000", "1234,567", ",5", " 5", "5 ", "1k5", "NaN"],
)  # fmt: skip
def test_what_is_no_whole_number_is_none(text: str) -> None:
    assert count(text) is None


@our.laws
@given(our.texts)
def test_anything_can_be_asked(text: str) -> None:
    assert count(text) is None or count(text) >= 0  # type: ignore[operator]
