"""Tables fit a terminal without cutting a number."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from llmhive.app.cli import render


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
