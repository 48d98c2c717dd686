"""The tables of docs/selection.md, of which some can only be told by the real history.

Those stand between ``<!-- measured: NAME -->`` and ``<!-- end -->``. Where the captured data is, tests compare them
with what comes out; ``python -m tests.history.golden`` and ``python -m tests.history.two_years`` write them anew.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence

from tests.support import ROOT

PAGE = ROOT / "docs" / "selection.md"
#: The heads of the two tables that are the examples' catalog.
MODELS = ("model", "since", "prompt", "completion", "intelligence", "coding", "Elo", "rank", "can")
ENDPOINTS = ("served", "by", "prompt", "completion", "lacks", "uptime", "tokens a second", "first token")


def kept(name: str) -> str:
    """What the page has."""
    found = re.search(_around(name), PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found, f"{PAGE} has no measured part {name}"
    return found[2]


def write(name: str, text: str) -> None:
    """Put it there, and say so where it differs."""
    if kept(name) != text:
        page = PAGE.read_text(encoding="utf-8")
        page = re.sub(_around(name), lambda found: found[1] + text + found[3], page, flags=re.DOTALL)
        PAGE.write_text(page, encoding="utf-8")
        sys.stdout.write(f"Rewrote {name} in {PAGE.relative_to(ROOT)}.\n")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], f"|{'---|' * len(head)}", *lines[1:], ""])


def rows(*head: str) -> Iterator[dict[str, str]]:
    """The rows of the page's table with such a head, without the marks of code."""
    begin = f"| {' | '.join(head)} |\n"
    for line in PAGE.read_text(encoding="utf-8").partition(begin)[2].splitlines()[1:]:
        if not line.startswith("|"):
            return
        yield dict(zip(head, (cell.strip().strip("`") for cell in line.strip("| ").split("|")), strict=True))


def _around(name: str) -> str:
    return rf"(<!-- measured: {re.escape(name)} -->\n\n)(.*?)(\n<!-- end -->)"
