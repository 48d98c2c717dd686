"""What the command and the pages say in the same words: sentences on prices, and how figures are cut; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_DOWN, Context, Decimal
from typing import Any

from llmhive.catalog.pricing import CONDITIONS

#: By kind of pricing, what to know where the price is not a number above zero.
PRICING_KINDS: Mapping[str, str] = {
    "free": "It is free.",
    "dynamic": "Its price is decided per request: it routes to other models.",
    "unknown": "Its price is not in the catalog: it is priced elsewhere, and not zero.",
}
BY_THE_HOUR = "Prices depend on the hour; these were in force at the last sync."
_FOUR_DIGITS = Context(prec=4)


def condition(when: Mapping[str, Any]) -> str:
    """When an override applies; what we do not understand as it stands."""
    words = []
    least, start, end = when.get("min_prompt_tokens"), when.get("utc_start", 0), when.get("utc_end", 0) or 2400
    if isinstance(least, int):
        words.append(f"above {least:,} prompt tokens")
    if {"utc_start", "utc_end"} & when.keys() and isinstance(start, int) and isinstance(end, int):
        words.append(f"from {start // 100:02}:{start % 100:02} to {end // 100:02}:{end % 100:02} UTC")
    if isinstance(days := when.get("utc_days"), list):
        words.append(f"on {', '.join(days)}")
    words += [f"{name} {value}" for name, value in when.items() if name not in CONDITIONS]
    return " ".join(words) or "always"


def four_digits(number: str | Decimal) -> str:
    """A score in four digits that count: ``443.6``, ``0.01234``; a whole number as it is: ``1,310,720``."""
    value = Decimal(number)
    return f"{int(value):,}" if value == value.to_integral_value() else f"{_FOUR_DIGITS.plus(value):,f}"


def cut_off(number: Decimal, places: int = 2) -> str:
    """So many decimals, cut off: an uptime of 99.999 is not 100."""
    return str(number.quantize(Decimal(1).scaleb(-places), ROUND_DOWN))


def told_apart(percentages: Sequence[Decimal]) -> list[str]:
    """Percentages cut off after so many decimals, two to four, as tell them apart where they differ."""
    shown: list[str] = []
    for places in (2, 3, 4):
        shown = [cut_off(it, places) for it in percentages]
        if len(set(shown)) == len(set(percentages)):
            break
    return shown


def percent(fraction: Decimal, places: int = 2) -> str:
    """A fraction as a percentage, cut off; what is less, but not nothing, says so."""
    share, least = fraction * 100, Decimal(1).scaleb(-places)
    return f"<{least} %" if 0 < share < least else f"{cut_off(share, places)} %"
