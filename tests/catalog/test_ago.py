"""So long ago, as people write it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.catalog.ago import ago
from tests.catalog.strategies import laws

NOW = datetime(2026, 11, 26, 16, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("6h", timedelta(hours=6)), ("30d", timedelta(days=30)), (" 2w ", timedelta(days=14)), ("0d", timedelta()),
        ("36h", timedelta(days=1)),
    ],
)  # fmt: skip
def test_an_age_is_an_instant(text: str, length: timedelta) -> None:
    assert ago(text, NOW) == NOW - length


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5d", "30 d", "30m", "1d2h", "2026-11-01", "1234567d", "٣d"])
def test_anything_else_is_none(text: str) -> None:
    assert ago(text, NOW) is None


@laws
@given(st.integers(0, 999_999), st.sampled_from("hdw"), st.datetimes(timezones=st.just(UTC)))
def test_it_is_never_later_and_never_out_of_range(number: int, unit: str, now: datetime) -> None:
    found = ago(f"{number}{unit}", now)
    assert found is not None
    assert found <= now
    assert found.tzinfo is UTC
