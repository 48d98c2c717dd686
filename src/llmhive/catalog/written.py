"""Numbers as people write them."""

from __future__ import annotations

import re
from decimal import Decimal

_LONGEST = 30
_COUNT = re.compile(
    r"([0-9]+|[0-9]{1,3}(?:([,_ ])[0-9]{3})(?:\2[0-9]{3})*|(?=\.))(?:(\.[0-9]{1,12})?\s?([kmb]))?",
    re.ASCII | re.IGNORECASE,
)
_ZEROS = {"": 0, "k": 3, "m": 6, "b": 9}


def count(text: str) -> int | None:
    """A whole number: ``12000``, ``12,000``, ``12k``, ``1.5M``, ``2B``; None where it is none.

    Only thousands are set apart, and decimals stand only before a size: ``2.000`` may mean two or two thousand.
    """
    match = _COUNT.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        return None
    whole, _, decimals, size = match.groups(default="")
    number = Decimal(re.sub("[,_ ]", "", whole) + decimals).scaleb(_ZEROS[size.lower()])
    return int(number) if number == int(number) else None
