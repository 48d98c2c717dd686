"""One model of a shortlist, and everything that explains it, made when it is read.

Score and marks come from the `Scorer`; amounts are computed here again, exactly, by OpenRouter's routing over the
endpoints that qualify (`catalog.routing`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Context, Decimal
from functools import cached_property
from typing import Any

from llmhive.catalog.capability import CAPABILITIES, capabilities
from llmhive.catalog.cost import Tariffs
from llmhive.catalog.identity import identify
from llmhive.catalog.preferences import Preferences
from llmhive.catalog.pricing import Pricing, canonical, plain
from llmhive.catalog.quality import TASKS, Piece, pieces
from llmhive.catalog.routing import Bounds, Candidate, Share, bounds
from llmhive.catalog.scorer import Scored, Scorer, charged

#: Digits of scores and marks in JSON: they are compared by nine.
_DIGITS = 9
_ROUNDED = Context(prec=12)
_FOUR_DIGITS = Context(prec=4)
_PIECES = {
    "intelligence_index": "intelligence index {:g}", "coding_index": "coding index {:g}",
    "agentic_index": "agentic index {:g}", "elo": "Elo {:.0f} at Design Arena", "rank": "rank {:.0f}",
    "unranked": "not among the first {:.0f}",
}  # fmt: skip


class Choice:
    """A model of a shortlist."""

    def __init__(self, scorer: Scorer, scored: Scored, number: int) -> None:
        self._scorer = scorer
        self._scored = scored
        self._number = number
        self.need = scored.need
        self.id: str = scorer.offers.ids[number]
        self.score = scored.score(number)  #: 0 to 1

    def __repr__(self) -> str:
        return f"<Choice {self.id} {self.score:.3f}>"

    @property
    def row(self) -> Mapping[str, Any]:
        """What the catalog knows of it: the columns of `model_catalog`."""
        return self._scorer.offers.models[self._number].row

    @property
    def at(self) -> datetime:
        """The instant that it is chosen for."""
        return self._scorer.stock.at

    @property
    def name(self) -> str | None:
        """What people call it."""
        found: str | None = self.row["name"]
        return found

    @property
    def context_length(self) -> int | None:
        """Tokens, as the model is listed; an endpoint may take fewer."""
        found: int | None = self.row["context_length"]
        return found

    @cached_property
    def parts(self) -> dict[str, float]:
        """The marks that the score is made of, 0 to 1: quality, price and speed; of a replacement family, capability,
        price and quality. What carries no weight and was not looked at is left out.
        """
        return {part: float(marks[self._number]) for part, marks in self._scored.marks.items()}

    @cached_property
    def candidates(self) -> tuple[Candidate, ...]:
        """The live endpoints that meet every constraint; one without a tag where its endpoints are not known."""
        offers = self._scorer.offers
        mine = self._scored.offers & offers.bits[self._number]
        return tuple(offers.candidates[number] for number in offers.numbers(mine))

    @property
    def live(self) -> tuple[Candidate, ...] | None:
        """Its endpoints that the last answer listed, whether they qualify or not; None: not known, or it has none of
        its own, as routers and aliases.
        """
        return self._scorer.offers.models[self._number].offers or None

    @property
    def is_as_listed(self) -> bool:
        """Whether what it is listed with stands for its endpoints."""
        return self.live is None

    @cached_property
    def bounds(self) -> Bounds:
        """What the need's usage costs at the endpoints that qualify, in USD: lowest, expected and highest."""
        return bounds(self.candidates, Preferences(sort=self.need.sort), self.charge, self.at)

    @property
    def endpoints(self) -> tuple[Share, ...]:
        """The endpoints that qualify in the order in which they are asked, each with its cost and its chance to be
        first; empty where they are not known.
        """
        return () if self.is_as_listed else self.bounds.used

    def charge(self, pricing: Pricing) -> Decimal | None:
        """USD that the need's usage costs under a pricing of this model; None where that is not known."""
        if self.row["pricing_kind"] not in {"fixed", "free"}:
            return None
        tariffs = self._scorer.offers.compiled.get(pricing) or Tariffs(pricing)
        return charged(tariffs, self.need, self.at)

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
        """The expected cost in USD per million tokens of the usage, in and out together, to 12 digits."""
        if self.expected_cost is None:
            return None
        return canonical(_ROUNDED.divide(_ROUNDED.multiply(self.expected_cost, 1_000_000), self.need.tokens))

    @cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """What its quality is judged by."""
        return tuple(pieces(self._scorer.stock.evidence, self.id, TASKS[self.need.task]))

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
        need, row = self.need, self.row
        if need.role == "replacement" and need.of is not None:
            yield from self._likeness(need.of)
        told = [_PIECES[it.what].format(it.value) for it in self.pieces]
        task = f" for {need.task}" if need.task else ""
        yield f"quality {self.parts['quality']:.3f}{task}: {', '.join(told) or 'nobody measured it'}"
        yield self._price()
        if "speed" in self.parts:
            yield self._speed()
        if self._scored.is_kept and self._number == self._scored.current:
            best = self._scored.top[1]
            yield (
                f"it is in use and stays: {self._scorer.offers.ids[best]} is better by "
                f"{self._scored.score(best) - self.score:.3f}, and only {need.margin:g} is worth a change"
            )
        yield self._served()
        if row["expiration_date"] is not None:
            yield f"it expires on {row['expiration_date'].isoformat()}"
        for field in sorted(row.get("held") or ()):
            if field.startswith("pricing."):
                yield f"its {field.removeprefix('pricing.')} price is held: OpenRouter now serves another, unconfirmed"
        if any(it.endpoint.pricing.is_scheduled for it in self.candidates):
            yield f"its price depends on the time; this is that of {self.at:%a %H:%M} UTC"

    def _likeness(self, name: str) -> Iterator[str]:
        """What it has of the model that it is to replace."""
        it = self._scorer.meant(name)
        mine, theirs = identify(self.id), identify(it.row["id"])
        if self.row["family"] == it.row["family"]:
            told = ["the same family", *(["the same size"] if mine.size == theirs.size else [])]
            is_dated = self.row["created_at"] is not None and it.row["created_at"] is not None
            if is_dated and self.row["created_at"] != it.row["created_at"]:
                told.append("newer" if self.row["created_at"] > it.row["created_at"] else "older")
        else:
            told = ["the same author" if self.row["author"] == it.row["author"] else "another author"]
        yield f"family {self.parts['family']:.2f}: {', '.join(told)}"
        wanted = {each.name for each in CAPABILITIES} & capabilities(it.row)
        lacks = sorted(wanted - capabilities(self.row))
        yield f"capability {self.parts['capability']:.2f}: " + (
            f"it lacks {', '.join(lacks)}" if lacks else f"it can do all that {it.row['id']} can"
        )
        cost = self.charge(it.pricing)
        if cost and self.expected_cost:
            times = _FOUR_DIGITS.divide(self.expected_cost, cost)
            yield f"price {self.parts['price']:.2f}: {times:.2f} × that of {it.row['id']}"

    def _price(self) -> str:
        need, found = self.need, self.bounds
        if found.expected is None or self.per_million is None:
            return "what it costs is not known"
        used = need.typical
        usage = f"{used.prompt:,} + {used.completion:,} tokens"
        if used.image_output:
            usage += f", {used.image_output:,} of them of images"
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
            if self._scorer.offers.models[self._number].offers is None:
                return "its endpoints are not known: it is judged by what it is listed with"
            return "it has no endpoints of its own, and is judged by what it is listed with"
        every = self.live or ()
        names = [it.name for it in self._in_order()]
        names += sorted({it.name for it in self.candidates} - set(names))
        told = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        if len(every) == 1:
            return f"its one endpoint qualifies: {told}"
        return f"{len(names)} of {len(every)} endpoints {'qualifies' if len(names) == 1 else 'qualify'}: {told}"


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
