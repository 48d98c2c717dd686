"""What would change the first choice, all else as it is: the price, quality, rank and uptime at which another is first.

A price flips where the prices of all endpoints of a model that qualify change by the same factor. Found by the scores'
own formulas backwards; near a limit of the need an endpoint leaves first, and that is looked at as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from llmhive.catalog.choice import Choice
from llmhive.catalog.cost import Tariffs
from llmhive.catalog.endpoint import HEALTHY_UPTIME
from llmhive.catalog.marks import price_at
from llmhive.catalog.offers import PLAIN, TEXT
from llmhive.catalog.preferences import Preferences
from llmhive.catalog.pricing import per_million
from llmhive.catalog.quality import RANKS, Piece, blended, mark_of_rank
from llmhive.catalog.routing import bounds

_DIGITS = 6
_TIE = 2e-9  #: scores nearer than this may be the same


@dataclass(frozen=True, slots=True)
class FlipPoint:
    """A value at which the first choice would be another."""

    id: str  #: the model whose value it is
    what: str  #: price (USD per million tokens of the usage), quality, rank, uptime (percent)
    now: float
    at: float  #: from here on
    why: str  #: who would come first then

    def to_json(self) -> dict[str, Any]:
        """As scripts see it: ``from`` is how it stands."""
        return {"id": self.id, "what": self.what, "from": self.now, "to": self.at, "why": self.why}


def flip_points(top: Sequence[Choice], current: Choice | None) -> Iterator[FlipPoint]:
    """The flip points of choices in order, two or more where so many qualify: first those of the first, then of those
    behind it. `current` is the model in use, where it qualifies.
    """
    if not top:
        return
    first, others = top[0], top[1:]
    is_scored = first.need.role != "replacement"
    if others and is_scored:
        yield from _of_first(first, others, current)
    yield from _of_uptime(first, others, current)
    if is_scored:
        for it in others[: max(first.need.limit - 1, 1)]:
            yield from of_rival(top, it, current)


def of_rival(top: Sequence[Choice], rival: Choice, current: Choice | None) -> Iterator[FlipPoint]:
    """The price and the quality at which a model comes before those that are at the top."""
    need, first = rival.need, top[0]
    by_quality, by_price, _ = need.weights
    target = first.score
    if current is not None and current.id == first.id:
        # it must be the best, too
        target = max(first.score + need.margin, *(it.score for it in top if it.id != rival.id))
    elif current is not None and current.id == rival.id:
        target -= need.margin
    why = f"{rival.id} comes first"
    if by_price > 0 and rival.per_million:
        mark = rival.parts["price"] + (target - rival.score) / by_price
        price = price_at(mark)
        if mark < 1 - _TIE / by_price and price < float(rival.per_million) * (1 - _TIE):
            yield FlipPoint(rival.id, "price", _round(rival.per_million), _round(price), why)
    if by_quality > 0:
        quality = rival.parts["quality"] + (target - rival.score) / by_quality
        if rival.parts["quality"] + _TIE < quality <= 1:
            yield FlipPoint(rival.id, "quality", _round(rival.parts["quality"]), _round(quality), why)


def _least(first: Choice, others: Sequence[Choice], current: Choice | None) -> tuple[float, Choice]:
    """The score below which the first choice is another, and which that is."""
    if current is not None and current.id == first.id:
        # it is kept up to the margin
        best = max(others, key=lambda it: it.score)
        return best.score - first.need.margin, best
    best = others[0]
    if current is not None:
        return max((best.score, best), (current.score + first.need.margin, current), key=lambda it: it[0])
    return best.score, best


def _of_first(first: Choice, others: Sequence[Choice], current: Choice | None) -> Iterator[FlipPoint]:
    least, rival = _least(first, others, current)
    by_quality, by_price, _ = first.need.weights
    surplus = first.score - least
    if surplus < _TIE:
        # as good as each other: what decides is no figure that could change
        return
    why = f"{rival.id} comes first"
    if by_price > 0 and first.per_million:
        price = _rise(first, first.parts["price"] - surplus / by_price)
        if price is not None:
            yield FlipPoint(first.id, "price", _round(first.per_million), _round(price), why)
    if by_quality > 0:
        quality = first.parts["quality"] - surplus / by_quality
        if quality > 0:
            yield FlipPoint(first.id, "quality", _round(first.parts["quality"]), _round(quality), why)
        if (found := _rank(first, quality - _TIE / by_quality)) is not None:
            yield FlipPoint(first.id, "rank", found[0], found[1], why)


def _rise(choice: Choice, mark: float) -> float | None:
    """The price per million at which a model has this price mark, or has left for a limit; None: it never does.

    With a limit on prices its endpoints leave one after the other, the dearest first; those that are left cost less.
    """
    target = None if mark <= 0 else price_at(mark)
    now = float(choice.per_million or 0)
    leaving = _leaving(choice)
    if not leaving:
        return target
    for begin, end, share in leaving:
        # between two factors the same endpoints are left, whose expected price is `share` of what it is now
        factor = None if target is None else target / (now * share)
        if factor is not None and max(factor, begin) <= end:
            return now * share * max(factor, begin)
    return now * leaving[-1][2] * leaving[-1][1]


def _leaving(choice: Choice) -> list[tuple[float, float, float]]:
    """From which factor on its prices to which one the same endpoints stay within the limits, and what share of today's
    expected price theirs is; empty without limits.
    """
    need, at = choice.need, choice.at
    if not need.max_price_per_million:
        return []
    limits = dict(need.max_price_per_million)
    until: list[tuple[float, Any]] = []
    for it in choice.candidates:
        tariffs = Tariffs(it.endpoint.pricing)
        most = float("inf")
        for unit, part in (("prompt", PLAIN), ("completion", TEXT)):
            for size in (0, need.each[0]):
                rate = tariffs.rates_at(size, at)[part]
                if unit in limits and rate:
                    most = min(most, float(limits[unit] / per_million(rate)))
        until.append((most, it))
    until.sort(key=lambda it: it[0])
    found, begin = [], 1.0
    expected = choice.expected_cost or Decimal(0)
    for place, (end, _) in enumerate(until):
        if end > begin or place == len(until) - 1:
            left = [it for _, it in until[place:]]
            their = bounds(left, Preferences(sort=need.sort), choice.charge, at).expected or Decimal(0)
            found.append((begin, end, float(their / expected) if expected else 1.0))
            begin = end
    return found


def _rank(first: Choice, quality: float) -> tuple[float, float] | None:
    """The rank of a model, and the first lower one with which its quality is too little; None: none is."""
    found = list(first.pieces)
    place = next((number for number, it in enumerate(found) if it.what == "rank"), None)
    if place is None:
        return None
    piece = found[place]
    for rank in range(int(piece.value) + 1, RANKS + 1):
        found[place] = Piece("rank", rank, mark_of_rank(rank), piece.weight)
        if blended(found) < quality:
            return piece.value, float(rank)
    return None


def _of_uptime(first: Choice, others: Sequence[Choice], current: Choice | None) -> Iterator[FlipPoint]:
    need = first.need
    uptimes = [it.health.uptime for it in first.candidates]
    if first.is_as_listed or None in uptimes or ("degraded" in need.allow and need.min_uptime is None):
        return
    least = max(need.min_uptime or 0.0, 0.0 if "degraded" in need.allow else HEALTHY_UPTIME)
    heir = others[0] if others else None
    if heir is not None and current is not None and current.id != first.id:
        # the model in use would stay then, unless the next one is better by the margin, too
        heir = current if heir.score - current.score < need.margin - _TIE else heir
    why = "no model qualifies" if heir is None else f"{heir.id} comes first"
    yield FlipPoint(first.id, "uptime", _round(max(it for it in uptimes if it is not None)), least, why)


def _round(number: Any) -> float:
    return float(f"{float(number):.{_DIGITS}g}")
