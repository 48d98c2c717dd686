"""The rates of all tariffs of a file, as columns that an engine multiplies with quantities; pure.

Where it is known how large quantities become, a rate is two whole numbers, of which nearly always the second is 0: so
many 10^-`digits` USD, and so many 10^-24 USD more. Products and their sums then fit 64 bits, which is three times as
fast as decimals of 128, and as exact. Otherwise a rate is DECIMAL(26,24).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from llmhive.catalog.cost import PARTS, Tariff
from llmhive.catalog.pricing import EXACT
from llmhive.catalog.usage import Usage
from llmhive.errors import Unpriced

#: A rate is DECIMAL(26,24). All rates of a tariff together stay below 1000, so that a cost fits DECIMAL(38,24).
RATE = "DECIMAL(26,24)"
DECIMALS = 24
#: Sums of 64 bits stay below, so that they are DECIMAL(18,0) as well.
_MOST = 10**18
#: part → the field that counts it
FIELD_OF = {part.name: {"plain": "prompt", "text": "completion"}.get(part.name, part.name) for part in PARTS}
#: Parts that nearly always cost what those of the other kind do: counted with them, at the difference of the rates.
_ALIKE = dict.fromkeys(("reasoning", "audio_output", "image_output"), "text")
#: A rate that fewer than one tariff in so many has is looked at only where one of these is in force.
_SELDOM = 8


class Term(NamedTuple):
    """A product of a cost."""

    column: str  #: the rate
    parts: tuple[str, ...]  #: of `PARTS`, counted together
    is_fine: bool = False  #: whether the rate is of 10^-24 USD; only tariffs that are marked `is_fine` have it
    is_odd: bool = False  #: whether only tariffs that are marked `is_odd` have it


class Rates(NamedTuple):
    """The table ``tariffs`` as columns and rows, and how to charge with it."""

    columns: tuple[tuple[str, str], ...]
    rows: list[tuple[Any, ...]]
    terms: tuple[Term, ...]
    digits: int | None  #: of a rate that is a whole number; None: it is DECIMAL(26,24)
    doubted: tuple[str, ...]  #: of `PARTS`, those whose use makes some cost possibly incomplete

    @property
    def has_fine(self) -> bool:
        """Whether any rate needs the second number."""
        return any(it.is_fine for it in self.terms)


def rates_of(
    tariffs: Sequence[tuple[str | None, Tariff | None]], fields: frozenset[str], most: Mapping[str, int] | None
) -> Rates:
    """The table of tariffs, each with why it has no rates, for rows with these fields.

    `most`: how much of each field a row has at most; None where that is not known.
    """
    used = [part for part, counted in FIELD_OF.items() if counted in fields or part == "requests"]
    rates = [
        None if why is not None or tariff is None
        else {part: rate or Decimal(0) for part, rate in zip(FIELD_OF, tariff.rates, strict=True)}
        for why, tariff in tariffs
    ]  # fmt: skip
    made = None if most is None else _as_whole(used, rates, {it: max(most.get(FIELD_OF[it], 1), 1) for it in used})
    columns, values, terms, digits = made or _as_decimals(used, rates)
    doubts = [_doubts(tariff) if why is None and tariff is not None else {} for why, tariff in tariffs]
    doubted = tuple(part for part in used if any(part in it for it in doubts))
    rows: list[tuple[Any, ...]] = [
        (number, why, *charged, *(told.get(part) for part in doubted))
        for number, ((why, _), charged, told) in enumerate(zip(tariffs, values, doubts, strict=True))
    ]
    head = (("tariff", "BIGINT"), ("why", "STRING"))
    return Rates((*head, *columns, *((f"doubt_{it}", "STRING") for it in doubted)), rows, terms, digits, doubted)


_Made = tuple[list[tuple[str, str]], list[tuple[Any, ...]], tuple[Term, ...], int | None]


def _as_decimals(used: Sequence[str], rates: Sequence[dict[str, Decimal] | None]) -> _Made:
    parts = [part for part in used if any(it is not None and it[part] for it in rates)]
    values = [tuple(None if it is None else it[part] for part in parts) for it in rates]
    terms = tuple(Term(f"rate_{it}", (it,)) for it in parts)
    return [(it.column, RATE) for it in terms], values, terms, None


def _as_whole(used: Sequence[str], rates: Sequence[dict[str, Decimal] | None], most: Mapping[str, int]) -> _Made | None:
    """Rates as whole numbers; None where a sum of products could be too large."""
    counted: dict[str, tuple[str, ...]] = {
        part: (part,) for part in used if not (part in _ALIKE and _ALIKE[part] in used)
    }
    for part in used:
        if part not in counted:
            counted[_ALIKE[part]] += (part,)
    parts = {part: counted.get(part, (part,)) for part in used}
    at_most = {part: sum(most[it] for it in its) for part, its in parts.items()}
    fine: list[dict[str, int] | None] = []
    for it in rates:
        if it is None:
            fine.append(None)
            continue
        whole = {part: int(it[part].scaleb(DECIMALS, EXACT)) for part in used}
        fine.append({part: whole[part] - (0 if part in counted else whole[_ALIKE[part]]) for part in used})
    there = [it for it in fine if it is not None]
    dearest = max((sum(abs(it[part]) * at_most[part] for part in used) for it in there), default=0)
    # so many digits are dropped from the first number, and are in the second
    dropped = max(0, len(str(dearest)) - 18)
    quantity = sum(at_most.values())
    if dearest // 10**dropped + quantity >= _MOST:
        dropped += 1
    unit = 10**dropped
    if dropped > DECIMALS or unit * quantity >= _MOST:
        return None
    columns: list[tuple[str, str]] = []
    terms: list[Term] = []
    values: list[list[int | None]] = []
    for part in used:
        for is_fine in (False, True):
            rate = [None if it is None else it[part] % unit if is_fine else it[part] // unit for it in fine]
            having = sum(map(bool, rate))
            if having:
                is_odd = not is_fine and having * _SELDOM < len(there)
                terms.append(Term(f"{'fine' if is_fine else 'rate'}_{part}", parts[part], is_fine, is_odd))
                columns.append((terms[-1].column, "BIGINT"))
                values.append(rate)
    rows = list(zip(*values, strict=True)) if values else [()] * len(rates)
    for mark in ("is_odd", "is_fine"):
        if marked := [number for number, it in enumerate(terms) if getattr(it, mark)]:
            columns.append((mark, "BOOLEAN"))
            rows = [(*row, any(row[it] for it in marked)) for row in rows]
    return columns, list(rows), tuple(terms), DECIMALS - dropped


def why_not(tariff: Tariff) -> str | None:
    """Why a tariff cannot charge a row of a file; None: it can."""
    try:
        tariff.charge(Usage())
    except Unpriced as error:
        return str(error)
    total = Decimal(0)
    for part, rate in zip(PARTS, tariff.rates, strict=True):
        if rate is None:
            continue
        exponent = rate.as_tuple().exponent
        if rate >= 100 or (isinstance(exponent, int) and exponent < -DECIMALS):
            return f"the rate of {part.name}, {rate:f}, does not fit {RATE}"
        total = EXACT.add(total, rate)
    return None if total < 1000 else f"its rates together do not fit {RATE}"


def _doubts(tariff: Tariff) -> dict[str, str]:
    """Part → why a cost is possibly incomplete when it is used."""
    found = {}
    for part, usage in _ONE_OF.items():
        if new := [it.removeprefix("1 ") for it in tariff.doubts(usage) if it not in tariff.incomplete]:
            found[part] = "; ".join(new)
    return found


_ONE_OF = {part: Usage(**({"requests": 0} | {counted: 1})) for part, counted in FIELD_OF.items()}
