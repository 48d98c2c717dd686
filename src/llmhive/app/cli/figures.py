"""Figures of rankings and endpoints for people: short, never rounded to what they are not, unknown never 0."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from llmhive.app import wording
from llmhive.app.cli import render

UNKNOWN = "?"
_BARS = "▁▂▃▄▅▆▇█"
_GAP = " "
_SIZES = {10**12: "T", 10**9: "B", 10**6: "M", 10**3: "k"}


def volume(count: int | None) -> str:
    """A number of used tokens in three digits: ``1.06T``, ``984B``, ``12.3M``, ``999``."""
    if count is None:
        return UNKNOWN
    # what rounds up to a thousand of one unit is one of the next
    unit = next((size for size in _SIZES if 10_000 * count >= 9_995 * size), None)
    return str(count) if count < 1000 or unit is None else f"{_rounded(count, unit)}{_SIZES[unit]}"


def _rounded(count: int, unit: int) -> Decimal:
    """So many units, to three digits that count."""
    number = Decimal(count) / unit
    places = 2 if number < Decimal("9.995") else 1 if number < Decimal("99.95") else 0
    return number.quantize(Decimal(1).scaleb(-places))


def percent(fraction: str | None) -> str:
    """A fraction as a percentage with two decimals, cut off; what is less, but not nothing, says so."""
    return UNKNOWN if fraction is None else wording.percent(Decimal(fraction))


def growth(fraction: str | None) -> str:
    """By how much more, signed: ``+7.1 %``, ``-17.2 %``; empty where it is not known."""
    if fraction is None:
        return ""
    change = (Decimal(fraction) * 100).quantize(Decimal("0.1"))
    if not change:
        return "0.0 %"
    return f"{change:+,} %"


def change(ranks: int | None, *, is_new: bool) -> str:
    """Ranks gained or lost: ``▲3``, ``▼1``, ``=``; ``new``; empty where it is not known.

    ``+3`` and ``-1`` where stdout has no such letters.
    """
    if ranks is None:
        return "new" if is_new else ""
    if not ranks or not render.speaks("▲▼"):
        return f"{ranks:+}" if ranks else "="
    return f"▲{ranks}" if ranks > 0 else f"▼{-ranks}"


def trend(counts: Sequence[int | None] | None) -> str:
    """A bar a week, the highest of them being full; a gap where a week is not known. Empty where stdout has no bars."""
    known = [count for count in counts or () if count is not None]
    if not counts or not known or not render.speaks(_BARS):
        return ""
    highest = max(known)
    top = len(_BARS) - 1
    return "".join(_GAP if it is None else _BARS[it * top // highest if highest else 0] for it in counts)


def uptime(percentage: float | None) -> str:
    """Percent with two decimals, cut off: 99.999 is not 100."""
    return UNKNOWN if percentage is None else wording.cut_off(Decimal(str(percentage)))


def dated(text: str | None, now: datetime) -> str | None:
    """When something was true, as its source dates it: a day as a day, an instant with how long ago that is."""
    if text is None or "T" not in text:
        return text
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if at.tzinfo is None else f"{render.moment(text)} ({render.ago(at, now)})"
