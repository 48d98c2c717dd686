"""Whether token counts can be true, period by period, beside those before them; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from statistics import median

from llmhive.catalog.ranking import OTHER, Count

#: A total so many times above or below what is usual is not believed; real days differ by less than 2.
FACTOR = 10
#: What is usual is the median of the periods before: at most so many, and at least so many.
_MOST, _LEAST = 28, 3


@dataclass(slots=True)
class _Period:
    total: int = 0
    rows: int = 0
    has_other: bool = False


def doubts(counts: Iterable[Count], known: Iterable[Count], *, old: Collection[date]) -> dict[date, str]:
    """The periods among `counts` that cannot be true, and why; `known` is what was believed before.

    What is still told of an `old` period is believed: then it is not the answers that are odd, but the period was.
    """
    asked = _periods(counts)
    believed = {begins: it for begins, it in _periods(known).items() if begins not in asked}
    found = {}
    for begins, period in sorted(asked.items()):
        before = [believed[it] for it in sorted(believed) if it < begins][-_MOST:]
        why = _doubt(period, before) if begins not in old and len(before) >= _LEAST else None
        if why is None:
            believed[begins] = period
        else:
            found[begins] = f"{begins} {why}"
    return found


def _doubt(period: _Period, before: list[_Period]) -> str | None:
    usual, rows = median(it.total for it in before), median(it.rows for it in before)
    if usual and not usual <= FACTOR * period.total <= FACTOR * FACTOR * usual:
        return (
            f"has {period.total:,} tokens in all, where {round(usual):,} are usual: more than {FACTOR} times off"
        )  # fmt: skip
    if 2 * period.rows < rows:
        return f"names {period.rows} models, where {round(rows)} are usual: cut short"
    if before[-1].has_other and not period.has_other and period.rows < before[-1].rows - 1:
        return f"names {period.rows} models and nothing below them: cut short"
    return None


def _periods(counts: Iterable[Count]) -> dict[date, _Period]:
    periods: dict[date, _Period] = {}
    for it in counts:
        period = periods.setdefault(it.begins, _Period())
        period.total += it.tokens
        period.rows += 1
        period.has_other = period.has_other or it.slug == OTHER
    return periods
