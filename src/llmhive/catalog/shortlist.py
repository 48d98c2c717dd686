"""The answer to a need: models in order, and everything that explains them, made when it is read.

Order and scores come from the `Selector`; amounts are computed here again, exactly, by OpenRouter's routing over the
endpoints that qualify (`catalog.routing`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llmhive.catalog.cost import Tariffs
from llmhive.catalog.model import instant
from llmhive.catalog.need import Need
from llmhive.catalog.preferences import Preferences
from llmhive.catalog.pricing import EXACT, Pricing, canonical, plain
from llmhive.catalog.quality import Piece, pieces, task_of
from llmhive.catalog.rejection import why_not
from llmhive.catalog.request import Request, Served, request_of
from llmhive.catalog.routing import Bounds, Candidate, bounds
from llmhive.errors import NotFound, Unpriced

if TYPE_CHECKING:
    from llmhive.catalog.flip import FlipPoint
    from llmhive.catalog.selector import Ranked, Selector

#: Digits of scores and marks in JSON: they are compared by nine.
_DIGITS = 9
_PIECES = {
    "intelligence_index": "intelligence index {:g}", "coding_index": "coding index {:g}",
    "agentic_index": "agentic index {:g}", "elo": "Elo {:.0f} at Design Arena", "rank": "rank {:.0f}",
    "unranked": "not among the first {:.0f}",
}  # fmt: skip


class Choice:
    """A model of a shortlist."""

    def __init__(self, shortlist: Shortlist, number: int, score: float) -> None:
        self._shortlist = shortlist
        self._number = number
        self._selector = shortlist._selector
        self.id: str = self._selector.offers.ids[number]
        self.score = score  #: 0 to 1

    @property
    def row(self) -> Mapping[str, Any]:
        """What the catalog knows of it: the columns of `model_catalog`."""
        return self._selector.offers.models[self._number].row

    @cached_property
    def parts(self) -> dict[str, float]:
        """The marks that the score is made of, 0 to 1: quality, price and speed; of a replacement family, capability,
        price and quality. What carries no weight and was not looked at is left out.
        """
        ranked = self._shortlist._ranked
        return {part: float(marks[self._number]) for part, marks in ranked.marks.items()}

    @cached_property
    def candidates(self) -> tuple[Candidate, ...]:
        """The live endpoints that meet every constraint; one without a tag where its endpoints are not known."""
        offers = self._selector.offers
        mine = self._shortlist._ranked.offers & offers.bits[self._number]
        return tuple(offers.candidates[number] for number in offers.numbers(mine))

    @property
    def is_as_listed(self) -> bool:
        """Whether its endpoints are not known, so that what it is listed with stands for them."""
        return not self._selector.offers.models[self._number].offers

    @cached_property
    def bounds(self) -> Bounds:
        """What the need's usage costs at the endpoints that qualify, in USD: lowest, expected and highest."""
        return bounds(self.candidates, self.preferences, self.charge, self._selector.stock.at)

    @property
    def preferences(self) -> Preferences:
        """How OpenRouter is asked to pick one of its endpoints."""
        routing = self._shortlist._ranked.routing
        return Preferences(sort=None if routing == "balanced" else routing)

    def charge(self, pricing: Pricing) -> Decimal | None:
        """USD that the need's usage costs under a pricing; None where that is not known."""
        need = self._shortlist.need
        try:
            return Tariffs(pricing).at(need.each[0], self._selector.stock.at).charge(need.typical)
        except Unpriced:
            return None

    @property
    def expected_cost(self) -> Decimal | None:
        """USD for the need's usage, as OpenRouter would route it; None: not known."""
        return self.bounds.expected

    @property
    def lowest_cost(self) -> Decimal | None:
        """USD at the cheapest endpoint that qualifies."""
        return self.bounds.lowest

    @property
    def highest_cost(self) -> Decimal | None:
        """USD at the dearest endpoint that qualifies."""
        return self.bounds.highest

    @property
    def per_million(self) -> Decimal | None:
        """The expected cost in USD per million tokens of the usage, in and out."""
        if self.expected_cost is None:
            return None
        return canonical((self.expected_cost * 1_000_000 / self._shortlist.need.tokens).normalize())

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """What its quality is judged by."""
        return tuple(pieces(self._selector.stock.evidence, self.id, task_of(self._shortlist.need.task)))

    @cached_property
    def reasons(self) -> tuple[str, ...]:
        """Why it stands where it does, in sentences without a full stop; what to mind comes last."""
        return tuple(self._reasons())

    def to_json(self) -> dict[str, Any]:
        """As scripts see it; amounts are decimal strings in USD."""
        found = self.bounds
        return {
            "id": self.id,
            "name": self.row["name"],
            "score": round(self.score, _DIGITS),
            "parts": {part: round(mark, _DIGITS) for part, mark in self.parts.items()},
            "expected_cost": _told(found.expected),
            "lowest_cost": _told(found.lowest),
            "highest_cost": _told(found.highest),
            "per_million": _told(self.per_million),
            "context_length": self.row["context_length"],
            "reasons": list(self.reasons),
            "endpoints": None if self.is_as_listed else [
                shown | _health(it) for shown, it in zip(found.to_json()["endpoints"], self._in_order(), strict=True)
            ],
        }  # fmt: skip

    def _in_order(self) -> list[Candidate]:
        by_name = {it.name: it for it in self.candidates}
        return [by_name[share.key] for share in self.bounds.used]

    def _reasons(self) -> Iterator[str]:
        need, row, ranked = self._shortlist.need, self.row, self._shortlist._ranked
        told = [_PIECES[it.what].format(it.value) for it in self.pieces]
        task = f" for {need.task}" if need.task else ""
        yield f"quality {self.parts['quality']:.3f}{task}: {', '.join(told) or 'nobody measured it'}"
        yield self._price()
        if "speed" in self.parts:
            yield self._speed()
        if ranked.kept is not None and self._number == ranked.top[0][2]:
            best = self._shortlist._top[1].id
            yield (
                f"it is in use and stays: {best} is better by {ranked.kept / 1e9:.3f}, and only {need.margin:g} is "
                "worth a change"
            )
        yield self._served()
        if row["expiration_date"] is not None:
            yield f"it expires on {row['expiration_date'].isoformat()}"
        for field in sorted(row.get("held") or ()):
            if field.startswith("pricing."):
                yield f"its {field.removeprefix('pricing.')} price is held: OpenRouter now serves another, unconfirmed"
        if any(it.endpoint.pricing.is_scheduled for it in self.candidates):
            yield f"its price depends on the time; this is that of {self._selector.stock.at:%a %H:%M} UTC"

    def _price(self) -> str:
        need, found = self._shortlist.need, self.bounds
        if found.expected is None or self.per_million is None:
            return "what it costs is not known"
        usage = f"{need.typical.prompt:,} + {need.typical.completion:,} tokens"
        told = f"${shortly(found.expected)} for {usage} (${shortly(self.per_million)} a million)"
        if found.lowest != found.highest:
            told += f", from ${shortly(found.lowest)} to ${shortly(found.highest)}"
        return told

    def _speed(self) -> str:
        fastest = max((it.health.throughput_p50 or 0 for it in self.candidates), default=0)
        if not fastest:
            return f"speed {self.parts['speed']:.3f}: nobody measured it"
        return f"speed {self.parts['speed']:.3f}: up to {fastest:.0f} tokens a second"

    def _served(self) -> str:
        if self.is_as_listed:
            return "its endpoints are not known: it is judged by what it is listed with"
        every = self._selector.offers.models[self._number].offers or ()
        names = [it.name for it in self._in_order()]
        told = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        if len(every) == 1:
            return f"its one endpoint qualifies: {told}"
        return f"{len(names)} of {len(every)} endpoints {'qualifies' if len(names) == 1 else 'qualify'}: {told}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a model is or is not chosen."""

    id: str
    is_chosen: bool
    place: int | None  #: among all that qualify, from 1; None: it does not qualify
    why: str
    choice: Choice | None  #: None: it does not qualify

    def to_json(self) -> dict[str, Any]:
        """As scripts see it."""
        return {
            "id": self.id, "is_chosen": self.is_chosen, "place": self.place, "why": self.why,
            "choice": None if self.choice is None else self.choice.to_json(),
        }  # fmt: skip


class Shortlist:
    """The models that serve a need best."""

    def __init__(self, selector: Selector, need: Need, ranked: Ranked, doubts: tuple[str, ...] = ()) -> None:
        """`doubts`: why the catalog may not be what it should."""
        self._doubts = doubts
        self._selector = selector
        self._ranked = ranked
        self.need = need

    @property
    def catalog_version(self) -> int:
        """Which version of the catalog this is chosen from."""
        return self._selector.stock.catalog_version

    @property
    def at(self) -> datetime:
        """The instant that it is chosen for."""
        return self._selector.stock.at

    @property
    def total(self) -> int:
        """How many models qualify."""
        return self._ranked.total

    @property
    def ids(self) -> tuple[str, ...]:
        """The choices' ids, best first."""
        ids = self._selector.offers.ids
        return tuple([ids[it[2]] for it in self._ranked.top[: self.need.limit]])

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """Best first, as many as the need's limit."""
        return self._top[: self.need.limit]

    @cached_property
    def _top(self) -> tuple[Choice, ...]:
        return tuple(Choice(self, number, -score / 1e9) for score, _, number in self._ranked.top)

    @cached_property
    def rejected(self) -> dict[str, str]:
        """Every active model that does not qualify, by id, and what removed it."""
        offers, need = self._selector.offers, self.need
        found = dict(self._selector.unserved)
        for number, model_id in enumerate(offers.ids):
            why = why_not(offers, self._ranked.conditions, number, need.each)
            if why is not None:
                found[model_id] = why
        return dict(sorted(found.items()))

    @cached_property
    def flip_points(self) -> tuple[FlipPoint, ...]:
        """What would change the first choice, all else as it is."""
        from llmhive.catalog.flip import flip_points

        return tuple(flip_points(self))

    @cached_property
    def _request(self) -> Request:
        offers = self._selector.offers
        served = [
            Served(it.id, offers.models[it._number].offers or None, frozenset(each.name for each in it.candidates))
            for it in self.choices
        ]
        return request_of(self.need, served, self.at)

    def request(self) -> dict[str, Any]:
        """The body to send to OpenRouter, but for the messages: ``model``, fallbacks in ``models``, ``provider``.

        Raises `NotFound` where no model qualifies.
        """
        if not self.choices:
            raise NotFound(f"no model qualifies. {self.nothing}")
        return self._request.body

    @cached_property
    def nothing(self) -> str:
        """What removed the most where nothing is left, in a sentence."""
        kinds: dict[str, int] = {}
        for why in self.rejected.values():
            kinds[why] = kinds.get(why, 0) + 1
        if not kinds:
            return "The catalog is empty. Run `llmhive sync` first."
        most = sorted(kinds.items(), key=lambda it: (-it[1], it[0]))[:3]
        return "; ".join(f"{count} model{'s' * (count > 1)}: {why}" for why, count in most)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What to know of this answer as a whole: names that mean nothing, what the request cannot say."""
        return (*self._doubts, *self._selector.doubts(self.need), *(self._request.notes if self.choices else ()))

    def explain(self, name: str) -> Explanation:
        """Why a model is or is not chosen; raises `NotFound` for one that was never seen."""
        selector, ranked = self._selector, self._ranked
        model_id = selector.names.meant(name)
        if model_id is None:
            raise NotFound(selector.names.why_missing(name))
        row = selector.models[model_id].row
        number = selector.offers.number.get(model_id)
        if not row["is_active"]:
            gone = row.get("deactivated_at")
            since = f" since {gone:%Y-%m-%d}" if gone is not None else ""
            return Explanation(model_id, False, None, f"it is not active{since}", None)
        if number is None:
            return Explanation(model_id, False, None, selector.unserved[model_id], None)
        if (why := why_not(selector.offers, ranked.conditions, number, self.need.each)) is not None:
            return Explanation(model_id, False, None, why, None)
        if model_id in self.ids:
            place = self.ids.index(model_id)
            return Explanation(model_id, True, place + 1, self._stands(place), self.choices[place])
        choice = Choice(self, number, -float(ranked.behind[number]) / 1e9)
        place = selector.place(self.need, ranked, number)
        first = self.choices[0]
        why = (
            f"it qualifies, but {place - 1} of {self.total} are better: it scores {choice.score:.3f}, {first.id} "
            f"{first.score:.3f} ({_difference(choice, first)})"
        )
        return Explanation(model_id, False, place, why, choice)

    def _stands(self, place: int) -> str:
        choice = self.choices[place]
        if place == 0 and self._ranked.kept is not None:
            return f"it is in use, and no other of the {self.total} that qualify is better by {self.need.margin:g}"
        if place == 0:
            return f"it scores {choice.score:.3f}, the most of {self.total} that qualify"
        first = self.choices[0]
        return (
            f"it is number {place + 1} of {self.total} that qualify: it scores {choice.score:.3f}, {first.id} "
            f"{first.score:.3f} ({_difference(choice, first)})"
        )

    def to_json(self, *, rejected: bool = True) -> dict[str, Any]:
        """As scripts see it (design 3.6, *Shortlist*); who was rejected takes the longest, and can be left out."""
        as_of = self._selector.stock.as_of
        told = {
            "catalog_version": self.catalog_version,
            "as_of": None if as_of is None else instant(as_of),
            "need": self.need.to_json(),
            "total": self.total,
            "choices": [it.to_json() for it in self.choices],
            "rejected": self.rejected if rejected else {},
            "flip_points": [it.to_json() for it in self.flip_points],
            "notes": list(self.notes),
            "request": self.request() if self.choices else None,
        }
        if not rejected:
            del told["rejected"]
        return told


def _difference(choice: Choice, other: Choice) -> str:
    return ", ".join(
        f"{part} {mark:.3f} to {other.parts[part]:.3f}" for part, mark in choice.parts.items() if part in other.parts
    )


def _health(it: Candidate) -> dict[str, Any]:
    health = it.health
    return {
        "uptime": health.uptime, "throughput_p50": health.throughput_p50, "latency_p50": health.latency_p50,
    }  # fmt: skip


def _told(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(amount)


def shortly(amount: Decimal | None) -> str:
    """An amount of USD in four digits that count."""
    if amount is None:
        return "?"
    return f"{amount.normalize(_FOUR_DIGITS):f}" if amount else "0"


_FOUR_DIGITS = EXACT.copy()
_FOUR_DIGITS.prec = 4
_FOUR_DIGITS.clear_traps()
