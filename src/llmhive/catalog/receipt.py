"""A receipt: what a usage costs, with everything that led to it, for people, for scripts, and for proof."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import msgspec

from llmhive.catalog.cost import Line, Tariff, assumptions
from llmhive.catalog.model import instant
from llmhive.catalog.price import Step
from llmhive.catalog.pricing import EXACT, Override, plain
from llmhive.catalog.routing import Bounds
from llmhive.catalog.usage import Usage

#: What OpenRouter charges for a request with your own key, of its list price, beyond the monthly allowance.
BYOK_FEE = Decimal("0.05")
_NOTHING = Decimal(0)
_SORTED = msgspec.json.Encoder(order="sorted")


class Receipt(msgspec.Struct, frozen=True):
    """What a usage costs, and everything that led to it.

    ``total`` is what is spent in all, in USD: the sum of the lines. With one's own key (`is_byok`) the provider is paid
    the inference (``upstream``), and OpenRouter bills its fee only.
    """

    model: str  #: its id
    at: datetime
    usage: Usage
    step: Step  #: the price that was in force
    tariff: Tariff
    inference: Decimal  #: USD
    is_byok: bool = False
    has_fee: bool = False  #: with one's own key: the month's allowance is used up
    doubts: tuple[str, ...] = ()  #: reasons of who asked, why the total may not be all
    known_at: datetime | None = None
    provider: str | None = None  #: who is said to have served it
    tier: str | None = None  #: the service tier that is said to have served it
    is_sealed: bool = False  #: whether its JSON has a digest
    bounds: Bounds | None = None  #: when asked for
    source: dict[str, Any] | None = None  #: when asked for: what the price was read from

    @property
    def fee(self) -> Decimal:
        """USD to OpenRouter for the use of one's own key."""
        return EXACT.multiply(self.inference, BYOK_FEE) if self.is_byok and self.has_fee else _NOTHING

    @property
    def total(self) -> Decimal:
        """USD in all."""
        # not `canonical`, which remembers what it is asked: no two totals are the same
        return EXACT.add(self.inference, self.fee).normalize(EXACT)

    @property
    def billed(self) -> Decimal:
        """USD that OpenRouter takes from the credits."""
        return self.fee.normalize(EXACT) if self.is_byok else self.total

    @property
    def lines(self) -> tuple[Line, ...]:
        """What is charged, line by line; their amounts add up to the total."""
        lines = self.tariff.lines(self.usage)
        if self.is_byok and self.has_fee:
            lines += (Line("byok_fee", "byok_fee", self.inference.normalize(EXACT), BYOK_FEE, self.billed),)
        return lines

    @property
    def incomplete(self) -> tuple[str, ...]:
        """Why the total may not be all; empty: it is."""
        return tuple(dict.fromkeys((*self.step.incomplete, *self.tariff.doubts(self.usage), *self.doubts)))

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed, and what one should know of the price."""
        notes = [*self.step.notes, *assumptions(self.usage)]
        if self.usage.images and not any(line.counted == "images" for line in self.tariff.lines(self.usage)):
            notes.append("no price per image is listed: their tokens are in the prompt")
        if self.tariff.is_free:
            notes.append("free: its price is 0")
        if self.is_byok and not self.has_fee:
            notes.append("with your own key OpenRouter bills nothing within the month's allowance, 5 % beyond it")
        return tuple(notes)

    def to_json(self) -> dict[str, Any]:
        """As scripts see it (design 3.6, *Receipt*): amounts and rates are decimal strings in USD."""
        document = self._document()
        return document | {"digest": digest_of(document) if self.is_sealed else None}

    def _document(self) -> dict[str, Any]:
        fired = [{"position": self._place(it), "condition": dict(it.conditions)} for it in self.tariff.fired]
        step, bounds = self.step, self.bounds
        return {
            "model": self.model,
            "at": instant(self.at),
            "known_at": None if self.known_at is None else instant(self.known_at),
            "currency": "USD",
            "total": plain(self.total),
            "billed": plain(self.billed),
            "upstream": plain(self.inference) if self.is_byok else None,
            "lines": [line.to_json() for line in self.lines],
            "lowest": None if bounds is None else _plain(bounds.lowest),
            "expected": None if bounds is None else _plain(bounds.expected),
            "highest": None if bounds is None else _plain(bounds.highest),
            "bounds": None if bounds is None else bounds.to_json(),
            "override": fired[-1] if fired else None,
            "overrides": fired,
            "price_from": {**step.to_json(), **(self.source or {})},
            "incomplete": list(self.incomplete),
            "notes": list(self.notes),
            "is_byok": self.is_byok,
            "has_fee": self.has_fee,
            "provider": self.provider,
            "tier": self.tier,
            "usage": self.usage.to_json(),
        }

    def _place(self, override: Override) -> int:
        """The place of an override in its pricing, from 1 (``model_price.position``)."""
        assert self.step.pricing is not None
        return self.step.pricing.overrides.index(override) + 1

    def __str__(self) -> str:
        rows = [f"{self.model}  {self.at:%Y-%m-%d %H:%M} UTC"]
        for line in self.lines:
            count = f"{line.quantity:,}" if isinstance(line.quantity, int) else shown(line.quantity)
            rate = "?" if line.rate is None else plain(line.rate)
            amount = "not known" if line.amount is None else shown(line.amount)
            rows.append(f"  {line.counted:<14}{count:>14} × ${rate:<16} {amount}")
        rows.append(f"  total  {shown(self.total)}")
        rows += [f"  possibly incomplete: {reason}" for reason in self.incomplete]
        rows += [f"  note: {note}" for note in self.notes]
        return "\n".join(rows)


def digest_of(receipt: Mapping[str, Any]) -> str:
    """The SHA-256 of a receipt as JSON with sorted keys, without the digest itself."""
    document = {key: value for key, value in receipt.items() if key != "digest"}
    return hashlib.sha256(_SORTED.encode(document)).hexdigest()


def _plain(amount: Decimal | None) -> str | None:
    return None if amount is None else plain(amount)


def shown(amount: Decimal) -> str:
    """An amount of USD for people: rounded half to even, to six places or four significant digits, whichever is more.

    ``$0.01234568``-like amounts keep six places, ``$0.000000123456`` becomes ``$0.0000001235``. Exact amounts are in
    the JSON.
    """
    places = max(6, 3 - amount.adjusted()) if amount else 2
    rounded = amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
    text = f"{rounded:,f}".rstrip("0")
    whole, _, decimals = text.partition(".")
    return f"${whole}.{decimals:<02}"
