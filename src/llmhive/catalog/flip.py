"""What would change the first choice, all else as it is: the price, quality, rank and uptime at which another is first.

A price flips where the prices of all endpoints of a model that qualify change by the same factor. Found by the scores'
own formulas backwards; near a limit of the need an endpoint leaves first, and that is looked at as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from llmhive.catalog.cost import Tariffs
from llmhive.catalog.endpoint import HEALTHY_UPTIME
from llmhive.catalog.offers import PLAIN, TEXT
from llmhive.catalog.pricing import per_million
from llmhive.catalog.quality import RANKS, Piece, blended, mark_of_rank
from llmhive.catalog.routing import bounds

if TYPE_CHECKING:
    from llmhive.catalog.shortlist import Choice, Shortlist

_DIGITS = 6
_TIE = 1e-9  #: marks nearer than this are the same


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


def flip_points(shortlist: Shortlist) -> Iterator[FlipPoint]:
    """The flip points of a shortlist: first of its first choice, then of those behind it."""
    top = shortlist._top
    if not top:
        return
    first, others = top[0], top[1:]
    is_scored = shortlist.need.role != "replacement"
    if others and is_scored:
        yield from _of_first(shortlist, first, others)
    yield from _of_uptime(shortlist, first, others)
    if is_scored:
        for it in others[: max(shortlist.need.limit - 1, 1)]:
            yield from _of_rival(shortlist, top, it)


def _least(shortlist: Shortlist, first: Choice, others: tuple[Choice, ...]) -> tuple[float, Choice]:
    """The score below which the first choice is another, and which that is."""
    need, selector = shortlist.need, shortlist._selector
    current = None if need.stick_to is None else selector.names.meant(need.stick_to)
    if current == first.id:
        # it is kept up to the margin
        best = max(others, key=lambda it: it.score)
        return best.score - need.margin, best
    best = others[0]
    if current is not None and (mine := next((it for it in _all(shortlist) if it.id == current), None)) is not None:
        return max((best.score, best), (mine.score + need.margin, mine), key=lambda it: it[0])
    return best.score, best


def _all(shortlist: Shortlist) -> Iterator[Choice]:
    """The model in use, where it qualifies."""
    current = shortlist._selector.names.meant(shortlist.need.stick_to or "")
    if current is not None and (found := shortlist.explain(current).choice) is not None:
        yield found


def _of_first(shortlist: Shortlist, first: Choice, others: tuple[Choice, ...]) -> Iterator[FlipPoint]:
    least, rival = _least(shortlist, first, others)
    by_quality, by_price, _ = shortlist.need.weights
    surplus = first.score - least
    why = f"{rival.id} comes first"
    if by_price > 0 and first.per_million:
        mark = first.parts["price"] - surplus / by_price
        if (price := _rise(shortlist, first, mark)) is not None:
            yield FlipPoint(first.id, "price", _round(first.per_million), _round(price), why)
    if by_quality > 0:
        quality = first.parts["quality"] - surplus / by_quality
        if quality > 0:
            yield FlipPoint(first.id, "quality", _round(first.parts["quality"]), _round(quality), why)
        if (found := _rank(first, quality)) is not None:
            yield FlipPoint(first.id, "rank", found[0], found[1], why)


def _rise(shortlist: Shortlist, choice: Choice, mark: float) -> float | None:
    """The price per million at which a model has this price mark, or has left for a limit; None: it never does.

    With a limit on prices its endpoints leave one after the other, the dearest first; those that are left cost less.
    """
    target = None if mark <= 0 else 10 ** ((0.5 - mark) * 4)
    now = float(choice.per_million or 0)
    leaving = _leaving(shortlist, choice)
    if not leaving:
        return target
    for begin, end, share in leaving:
        # between two factors the same endpoints are left, whose expected price is `share` of what it is now
        factor = None if target is None else target / (now * share)
        if factor is not None and max(factor, begin) <= end:
            return now * share * max(factor, begin)
    return now * leaving[-1][2] * leaving[-1][1]


def _leaving(shortlist: Shortlist, choice: Choice) -> list[tuple[float, float, float]]:
    """From which factor on its prices to which one the same endpoints stay within the limits, and what share of today's
    expected price theirs is; empty without limits.
    """
    need, at = shortlist.need, shortlist.at
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
            their = bounds(left, choice.preferences, choice.charge, at).expected or Decimal(0)
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
        # a tie is none: what decides that is the price
        if blended(found) < quality - _TIE:
            return piece.value, float(rank)
    return None


def _of_uptime(shortlist: Shortlist, first: Choice, others: tuple[Choice, ...]) -> Iterator[FlipPoint]:
    need = shortlist.need
    uptimes = [it.health.uptime for it in first.candidates]
    if first.is_as_listed or None in uptimes or ("degraded" in need.allow and need.min_uptime is None):
        return
    least = max(need.min_uptime or 0.0, 0.0 if "degraded" in need.allow else HEALTHY_UPTIME)
    why = f"{others[0].id} comes first" if others else "no model qualifies"
    yield FlipPoint(first.id, "uptime", _round(max(it for it in uptimes if it is not None)), least, why)


def _of_rival(shortlist: Shortlist, top: tuple[Choice, ...], rival: Choice) -> Iterator[FlipPoint]:
    need, first = shortlist.need, top[0]
    by_price = need.weights[1]
    current = None if need.stick_to is None else shortlist._selector.names.meant(need.stick_to)
    target = first.score
    if current == first.id:
        # it must be the best, too
        target = max(first.score + need.margin, *(it.score for it in top if it is not rival))
    elif current == rival.id:
        target -= need.margin
    if by_price <= 0 or not rival.per_million:
        return
    mark = rival.parts["price"] + (target - rival.score) / by_price
    if mark < 1 - _TIE:
        price = 10 ** ((0.5 - mark) * 4)
        if price < float(rival.per_million):
            yield FlipPoint(rival.id, "price", _round(rival.per_million), _round(price), f"{rival.id} comes first")


def _round(number: Any) -> float:
    return float(f"{float(number):.{_DIGITS}g}")
