"""Tables fit a terminal without cutting a number."""

from __future__ import annotations

import io
import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from llmhive.app.cli import render
from llmhive.app.cli.narrator import Narrator


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_number_is_ever_cut(width: int) -> None:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=width, color_system=None)
    rows = [
        ("author/a-rather-long-name" + "-x" * number, f"{number * 1000:,}k", f"{number / 7:.4f}", "note " * number)
        for number in range(1, 20)
    ]
    columns = ("model", "context", "in $/M", "note")
    render.table(console, columns, rows, right=("context", "in $/M"), gives={"note": 8, "model": 20})
    lines = shown.getvalue().splitlines()
    assert len(lines) == len(rows) + 1
    for line, row in zip(lines[1:], rows, strict=True):
        assert len(line) <= width
        assert re.search(rf"\s{re.escape(row[1])}\s+{re.escape(row[2])}\s", line), line


def test_text_from_elsewhere_moves_no_cursor() -> None:
    assert render.escape("a\x1b]0;b\x07[/c]") == "a\N{REPLACEMENT CHARACTER}]0;b\N{REPLACEMENT CHARACTER}\\[/c]"


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (None, "?"), (0, "–"), (999, "999"), (1000, "1k"), (131_072, "131k"), (999_499, "999k"), (999_500, "1M"),
        (999_999, "1M"), (1_048_576, "1.05M"), (999_499_999, "999M"), (999_500_000, "1000M"), (2_000_000_000, "2000M"),
    ],
)  # fmt: skip
def test_tokens(count: int | None, shown: str) -> None:
    assert render.tokens(count) == shown


@given(st.integers(1, 10**10))
def test_tokens_are_never_told_by_a_power(count: int) -> None:
    shown = render.tokens(count)
    number, unit = shown.rstrip("kM"), {"k": 10**3, "M": 10**6}.get(shown[-1], 1)
    assert re.fullmatch(r"[0-9]+(\.[0-9]+)?", number)
    assert abs(Fraction(number) * unit - count) <= Fraction(count, 200)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-10-02T02:00:00.000Z", "2026-10-02 02:00 UTC"), ("2026-10-02T02:00:00+02:00", "2026-10-02 00:00 UTC"),
        ("2026-10-02", "2026-10-02"), ("2026-10-02T02:00", "2026-10-02T02:00"), ("Tuesday", "Tuesday"),
    ],
)  # fmt: skip
def test_as_of(text: str, shown: str) -> None:
    assert render.as_of(text) == shown


def test_a_long_error_is_one_short_line() -> None:
    assert render.short("it\n failed", "llmhive show 2") == "it failed"
    shown = render.short("5 of 11 steps failed (rankings: " + "no answer, " * 20, "llmhive show 2")
    assert shown.endswith("no answer … llmhive show 2")
    assert len(shown) < 130
    assert render.short("x" * 300) == "x" * 100 + " …"


# --- progress


class Bar:
    """What the live line shows."""

    def __init__(self, narrator: Narrator) -> None:
        self._narrator = narrator

    def __str__(self) -> str:
        (task,) = self._narrator._progress.tasks
        return f"{task.description}  {task.fields['far']}".rstrip()


def test_progress_keeps_the_name_of_the_step() -> None:
    narrator = Narrator()
    bar = Bar(narrator)
    narrator("Requesting")
    assert str(bar) == "Asking OpenRouter"
    narrator("Progress", received=1_000_000, expected=4_000_000)
    assert str(bar) == "Downloading  1.0/4.0 MB"
    narrator("Step begins", step="endpoints", number=9, of_steps=11)
    assert str(bar) == "9/11 Endpoints"
    narrator("Step progress", step="endpoints", done=150, of=457)
    for event in ("Requesting", "Received"):
        narrator(event)
        assert str(bar) == "9/11 Endpoints  150 of 457"
    narrator("Progress", received=10, expected=None)
    assert str(bar) == "9/11 Endpoints  150 of 457"
    # without its place
    narrator("Step begins", step="dimensions")
    assert str(bar) == "Dimensions"


def test_waiting_says_what_is_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    narrator = Narrator()
    narrator("Waiting for the request budget", seconds=7.4, limit=30)
    narrator("Waiting for the request budget", seconds=7.4)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "30 requests a minute are allowed; going on in 7.4 s."
    assert said[1] == "Only so many requests a minute are allowed; going on in 7.4 s."
