"""Whether token counts can be true: a period's total against those before it; pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from statistics import median

from llmhive.catalog.ranking import Count

#: A total so many times above or below what is usual is not believed; real days differ by less than 2.
FACTOR = 10
#: What is usual is the median of the periods before: at most so many, and at least so many.
_MOST, _LEAST = 28, 3


def implausible(counts: Iterable[Count], known: Iterable[Count]) -> list[str]:
    """The periods among `counts` whose total cannot be true, in words; `known` is what was believed before."""
    asked = _totals(counts)
    totals = _totals(known) | asked
    wrong = []
    for begins in sorted(asked):
        before = [totals[it] for it in sorted(totals) if it < begins][-_MOST:]
        usual = median(before) if len(before) >= _LEAST else 0
        if usual and not usual <= FACTOR * totals[begins] <= FACTOR * FACTOR * usual:
            wrong.append(
                f"{begins} has {totals[begins]:,} tokens in all, where {round(usual):,} are usual: more than "
                f"{FACTOR} times off"
            )
    return wrong


def _totals(counts: Iterable[Count]) -> dict[date, int]:
    totals: dict[date, int] = {}
    for it in counts:
        totals[it.begins] = totals.get(it.begins, 0) + it.tokens
    return totals
