"""Figures for people: three digits, nothing rounded to what it is not, unknown never 0."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from llmhive.app.cli import figures, render

UNITS = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (None, "?"), (0, "0"), (7, "7"), (999, "999"), (1000, "1.00k"), (999_499, "999k"), (999_500, "1.00M"),
        (9_995_000, "10.0M"), (984_017_286_784, "984B"), (1_064_000_000_000, "1.06T"), (84_094_198_852_298, "84.1T"),
        (4_200_000_000_000_000, "4200T"),
    ],
)  # fmt: skip
def test_volume(count: int | None, shown: str) -> None:
    assert figures.volume(count) == shown


@given(st.integers(0, 10**16))
def test_a_volume_is_off_by_half_a_percent_at_most(count: int) -> None:
    shown = figures.volume(count)
    number, unit = shown.rstrip("kMBT"), shown[-1] if shown[-1] in "kMBT" else ""
    assert abs(Fraction(number) * UNITS[unit] - count) <= Fraction(count, 200)
    assert len(number.replace(".", "")) <= 3 or unit in {"", "T"}


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [
        (None, "?"), ("0", "0.00 %"), ("0.000001", "<0.01 %"), ("0.0001", "0.01 %"), ("0.138601", "13.86 %"),
        ("0.999999", "99.99 %"), ("1", "100.00 %"),
    ],
)  # fmt: skip
def test_percent(fraction: str | None, shown: str) -> None:
    assert figures.percent(fraction) == shown


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [(None, ""), ("0", "0.0 %"), ("0.0709", "+7.1 %"), ("-0.172458", "-17.2 %"), ("1.031919", "+103.2 %"),
     ("-0.0001", "0.0 %"), ("98.62", "+9,862.0 %")],
)  # fmt: skip
def test_growth(fraction: str | None, shown: str) -> None:
    assert figures.growth(fraction) == shown


def test_change() -> None:
    assert [figures.change(it, is_new=True) for it in (3, -1, 0, None)] == ["▲3", "▼1", "=", "new"]
    assert figures.change(None, is_new=False) == ""


def test_an_old_terminal_is_told_no_question_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert [figures.change(it, is_new=True) for it in (3, -1, 0, None)] == ["+3", "-1", "=", "new"]
    assert figures.trend([1, 2]) == ""
    assert not render.speaks("✓")


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        (None, ""), ([], ""), ([None, None], ""), ([0, 0], "▁▁"), ([None, 5, None, 10], " ▄ █"),
        ([1, 10**15], "▁█"), ([7], "█"),
    ],
)  # fmt: skip
def test_trend(counts: list[int | None] | None, shown: str) -> None:
    assert figures.trend(counts) == shown


@given(st.lists(st.none() | st.integers(0, 10**15), min_size=1, max_size=8))
def test_a_trend_has_a_bar_a_week_and_keeps_the_order(counts: list[int | None]) -> None:
    shown = figures.trend(counts)
    known = [(count, bar) for count, bar in zip(counts, shown or [""] * len(counts), strict=True) if count is not None]
    assert (not known and not shown) or len(shown) == len(counts)
    assert [bar for _, bar in sorted(known)] == sorted(bar for _, bar in known)


@pytest.mark.parametrize(
    ("percentage", "shown"), [(None, "?"), (0.0, "0.00"), (99.999, "99.99"), (99.29, "99.29"), (100.0, "100.00")]
)
def test_uptime_is_cut_off(percentage: float | None, shown: str) -> None:
    assert figures.uptime(percentage) == shown


def test_dates_as_their_source_writes_them() -> None:
    now = datetime(2026, 10, 2, 5, tzinfo=UTC)
    assert figures.dated("2026-10-02T02:00:00.000Z", now) == "2026-10-02 02:00 UTC (3 hours ago)"
    for text in (None, "2026-10-01", "Tuesday", "2026-10-02T02:00"):
        assert figures.dated(text, now) == text


# --- columns that fit

COLUMNS = [
    ("who", ["a-name-that-is-long", "b"]), ("price", ["0.25", "1,000.00"]), ("note", ["x" * 20, ""]),
    ("since", ["2026", "2025"]),
]  # fmt: skip


def terminal(width: int, **more: Any) -> Console:
    return Console(width=width, force_terminal=True, **more)


def test_columns_are_left_out_in_their_order_until_the_rest_fits() -> None:
    def fit(width: int) -> tuple[list[str], list[str]]:
        kept, left_out = render.fitting(terminal(width), COLUMNS, spared=("since", "note", "absent"), gives={"who": 6})
        return [name for name, _ in kept], left_out

    assert fit(200) == (["who", "price", "note", "since"], [])
    # 6 + 8 + 20 + 5, and two blanks behind each
    assert fit(47)[1] == []
    assert fit(46) == (["who", "price", "note"], ["since"])
    assert fit(30) == (["who", "price"], ["since", "note"])
    assert fit(5)[0] == ["who", "price"]


def test_a_pipe_is_as_wide_as_need_be() -> None:
    console = Console(width=10, force_terminal=False)
    assert render.fitting(console, COLUMNS, spared=("since",), gives={}) == (COLUMNS, [])
