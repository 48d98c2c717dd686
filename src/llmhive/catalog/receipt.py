"""A receipt: what a usage costs, with everything that led to it, for people, for scripts, and for proof."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import msgspec

from llmhive.catalog.cost import WORDS, Line, Tariff, assumptions
from llmhive.catalog.endpoint import folded
from llmhive.catalog.model import instant
from llmhive.catalog.price import Step
from llmhive.catalog.pricing import CONDITIONS, EXACT, PER_TOKEN, Override, per_million, plain
from llmhive.catalog.routing import Bounds, near
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
        notes = [*self.step.notes, *self._misspelled(), *assumptions(self.usage)]
        if self.usage.images and not any(line.counted == "images" for line in self.tariff.lines(self.usage)):
            notes.append("no price per image is listed: their tokens are in the prompt")
        if self.tariff.is_free:
            notes.append("free: its price is 0")
        if self.is_byok and not self.has_fee:
            notes.append("with your own key OpenRouter bills nothing within the month's allowance, 5 % beyond it")
        return tuple(notes)

    def _misspelled(self) -> Iterator[str]:
        """What a provider without a price of its own may be meant to be; only bounds know who serves."""
        if self.provider is None or self.bounds is None or self.step.source == "endpoint":
            return
        known = [word for it in self.bounds.used for word in (it.tag, it.provider_name)]
        known += [key for key, _ in self.bounds.excluded]
        meant = {folded(it) for word in known for it in (word, word.partition("/")[0])}
        if known and folded(self.provider) not in meant:
            yield f"no endpoint of this model is known by the name {self.provider}{near(self.provider, known)}"

    @property
    def digest(self) -> str | None:
        """The SHA-256 that seals it; None: it is not sealed."""
        return digest_of(self._document()) if self.is_sealed else None

    def to_json(self) -> dict[str, Any]:
        """As scripts see it (design 3.6, *Receipt*): amounts and rates are decimal strings in USD."""
        document = self._document()
        return document | {"digest": digest_of(document) if self.is_sealed else None}

    def json(self) -> str:
        """`to_json` as text: one JSON document, as ``llmhive cost --json`` prints."""
        return msgspec.json.format(msgspec.json.encode(self.to_json()), indent=2).decode()

    def _document(self) -> dict[str, Any]:
        fired = [{"position": self.place(it), "condition": _listed(it)} for it in self.tariff.fired]
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

    def place(self, override: Override) -> int:
        """The place of an override in its pricing, from 1 (``model_price.position``)."""
        assert self.step.pricing is not None
        return self.step.pricing.overrides.index(override) + 1

    def __str__(self) -> str:
        """As the command prints it."""
        lines = self.lines
        rows = [(WORDS.get(it.counted, it.counted), quantity(it), it.unit, rate(it)) for it in lines]
        rows.append(("total", "", "", ""))
        widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
        told = [headline(self)]
        for (what, count, unit, price), amount in zip(rows, amounts(self, lines), strict=True):
            cells = (what.ljust(widths[0]), count.rjust(widths[1]), unit.ljust(widths[2]), price.rjust(widths[3]))
            told.append("  ".join((*cells, amount)).rstrip())
        told += [*paid(self), *in_force(self), *_bounded(self.bounds), origin(self)]
        told += [f"Note: {sentence(it)}" for it in remarks(self)]
        told += [f"Possibly incomplete: {sentence(it)}" for it in self.incomplete]
        if self.is_sealed:
            told.append(f"Sealed: {self.digest}.")
        return "\n".join(told)


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


# --- in words, for `Receipt.__str__` and the command


def headline(receipt: Receipt) -> str:
    """What was asked: the model, when, and who served it."""
    asked = (receipt.provider and f"at {receipt.provider}", receipt.tier and f"tier {receipt.tier}")
    return ", ".join((receipt.model, _moment(receipt.at), *filter(None, asked)))


def quantity(line: Line) -> str:
    """How much of something is charged."""
    return f"{line.quantity:,}" if isinstance(line.quantity, int) else shown(line.quantity)


def rate(line: Line) -> str:
    """What one costs, with every digit; tokens per million: ``$3.00/M``, ``$0.01 each``."""
    if line.rate is None:
        return "?"
    if line.counted == "byok_fee":
        return f"{plain(line.rate.scaleb(2))} %"
    return f"{exactly(per_million(line.rate))}/M" if line.unit in PER_TOKEN else f"{exactly(line.rate)} each"


def amounts(receipt: Receipt, lines: Iterable[Line]) -> list[str]:
    """The amounts of the lines and of the total, as cells."""
    return aligned(["?" if it.amount is None else shown(it.amount) for it in lines] + [shown(receipt.total)])


def aligned(amounts: Sequence[str]) -> list[str]:
    """Amounts as cells of one width, with their decimal points below each other."""
    parts = [(whole, point + rest) for whole, point, rest in (it.partition(".") for it in amounts)]
    before, after = (max(len(part[place]) for part in parts) for place in (0, 1))
    return [f"{whole:>{before}}{rest:<{after}}" for whole, rest in parts]


def paid(receipt: Receipt) -> Iterator[str]:
    """What lines cannot say of the total: every digit where it is rounded, and who gets it."""
    if shown(receipt.total) != exactly(receipt.total):
        yield f"Exactly {exactly(receipt.total)}."
    if receipt.is_byok:
        yield (
            f"With your own key: {shown(receipt.inference)} to the provider, {shown(receipt.billed)} of your "
            "OpenRouter credits."
        )


def in_force(receipt: Receipt) -> Iterator[str]:
    """The overrides that are in force, a sentence each."""
    for override in receipt.tariff.fired:
        yield f"In force: override {receipt.place(override)}, {condition(dict(override.conditions))}."


def condition(when: Mapping[str, Any]) -> str:
    """When an override applies: ``prompt over 200,000 tokens, 16:00 to 00:00 UTC``."""
    words = []
    least = when.get("min_prompt_tokens")
    if isinstance(least, int):
        words.append(f"prompt over {least:,} tokens")
    start, end = when.get("utc_start", 0), when.get("utc_end", 0) or 2400
    if {"utc_start", "utc_end"} & when.keys() and isinstance(start, int) and isinstance(end, int):
        words.append(f"{start // 100:02}:{start % 100:02} to {end // 100:02}:{end % 100:02} UTC")
    if isinstance(days := when.get("utc_days"), list | tuple):
        words.append(f"on {', '.join(map(str, days))}")
    words += [f"{name} {value}" for name, value in when.items() if name not in CONDITIONS]
    return ", ".join(words) or "always"


def _bounded(found: Bounds | None) -> Iterator[str]:
    """Lowest, expected and highest in a sentence, where they were asked for."""
    if found is None:
        return
    if found.lowest is None or found.expected is None or found.highest is None:
        yield f"No bounds: {found.why}."
        return
    count = f"{len(found.used)} endpoint{'' if len(found.used) == 1 else 's'}"
    if found.lowest == found.highest:
        yield f"{count}: {shown(found.lowest)}{'' if len(found.used) == 1 else ' at each'}."
    else:
        names, sums = ("lowest", "expected", "highest"), (found.lowest, found.expected, found.highest)
        yield f"{count}: {', '.join(f'{name} {shown(it)}' for name, it in zip(names, sums, strict=True))}."


def origin(receipt: Receipt) -> str:
    """Whose price it is, and since when."""
    step = receipt.step
    since = f"since {_moment(step.begin)}{'' if step.end is None else f' until {_moment(step.end)}'}"
    if receipt.known_at is not None:
        return f"Price: as this catalog believed it at {_moment(receipt.known_at)}, {since}."
    if step.source == "endpoint":
        return f"Price: of the endpoint {step.key or step.tag} ({step.provider}), seen {since}."
    if step.source == "bootstrap":
        return f"Price: of the facts shipped with LLMHive, as of {_moment(step.begin)}; not synced yet."
    return f"Price: OpenRouter's model list, {since}."


def remarks(receipt: Receipt) -> tuple[str, ...]:
    """All notes, those of the bounds too."""
    return (*receipt.notes, *(receipt.bounds.notes if receipt.bounds is not None else ()))


def sentence(text: str) -> str:
    """Words for the end of a line."""
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."


def exactly(amount: Decimal) -> str:
    """USD with at least two decimals and no digit lost."""
    whole, _, decimals = plain(amount).partition(".")
    return f"${int(whole):,}.{decimals:0<2}"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _listed(override: Override) -> dict[str, Any]:
    """The conditions of an override as JSON reads them back: with lists."""
    return {name: list(it) if isinstance(it, tuple) else it for name, it in override.conditions}
