"""What a usage costs under a pricing: every fallback and override resolved once, then whole numbers multiplied.

A `Tariffs` compiles a `Pricing`; it gives the `Tariff` (effective rates) that is in force for a prompt of some size at
an instant, and that charges a `Usage`. All amounts are USD as exact `Decimal`. Source: reference 3 and 4, design 4.7.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal, Inexact
from functools import lru_cache
from operator import mul
from typing import Any, NamedTuple

from llmhive.catalog.pricing import EXACT, UNITS, Override, Pricing, canonical, plain
from llmhive.catalog.usage import Usage
from llmhive.errors import Unpriced


class Part(NamedTuple):
    """Something that is counted, and the units that may charge it: the first that a pricing lists does."""

    name: str
    units: tuple[str, ...]
    is_optional: bool = False  #: whether nothing is charged where none of its units is listed


#: In the order of `Tariff.rates` and of `quantities`.
PARTS = (
    Part("plain", ("prompt",)),
    Part("cached", ("input_cache_read", "prompt")),
    Part("written", ("input_cache_write", "prompt")),
    Part("written_1h", ("input_cache_write_1h", "input_cache_write", "prompt")),
    Part("audio", ("audio", "prompt")),
    Part("audio_cached", ("input_audio_cache", "audio", "prompt")),
    Part("image_tokens", ("image_token", "prompt")),
    Part("text", ("completion",)),
    Part("reasoning", ("internal_reasoning", "completion")),
    Part("audio_output", ("audio_output", "completion")),
    Part("image_output", ("image_output", "completion")),
    Part("requests", ("request",), is_optional=True),
    Part("images", ("image",), is_optional=True),
    Part("web_searches", ("web_search",)),
)
#: What is counted, in words: the names of `PARTS`, and what a receipt adds.
WORDS = {
    "plain": "prompt",
    "cached": "cache read",
    "written": "cache write",
    "written_1h": "cache write, 1 h",
    "audio": "audio in",
    "audio_cached": "audio in, cached",
    "image_tokens": "image tokens in",
    "text": "completion",
    "reasoning": "reasoning",
    "audio_output": "audio out",
    "image_output": "image tokens out",
    "requests": "requests",
    "images": "images",
    "web_searches": "web searches",
    "byok_fee": "fee for your own key",
}
_NAMES = tuple(part.name for part in PARTS)
_PLAIN, _TEXT, _1H, _IMAGES = (_NAMES.index(it) for it in ("plain", "text", "written_1h", "images"))
_NOTHING = Decimal(0)
_UNLISTED = tuple(_NOTHING if part.is_optional else None for part in PARTS)
_MINUTES_A_DAY = 24 * 60


def quantities(usage: Usage) -> tuple[int, ...]:
    """How much there is of each of `PARTS`; no part is below zero.

    Cached and written tokens are taken out of the prompt. Where they are more than the prompt, they are the same tokens
    counted twice, and only the larger of the two is taken out (it reproduces a real bill).
    """
    prompt, cached, completion = usage.prompt, usage.cached, usage.completion
    written = usage.written + usage.written_1h
    taken = cached + written
    if taken > prompt:
        taken = max(cached, written)
    plain_tokens = prompt - taken - usage.audio - usage.image_tokens
    text = completion - usage.reasoning - usage.audio_output - usage.image_output
    return (
        plain_tokens if plain_tokens > 0 else 0,
        cached - usage.audio_cached if cached > usage.audio_cached else 0,
        usage.written, usage.written_1h, usage.audio, usage.audio_cached, usage.image_tokens,
        text if text > 0 else 0,
        usage.reasoning, usage.audio_output, usage.image_output, usage.requests, usage.images, usage.web_searches,
    )  # fmt: skip


def assumptions(usage: Usage) -> Iterator[str]:
    """What `quantities` assumes of a usage whose parts are more than their whole."""
    written = usage.written + usage.written_1h
    taken = usage.cached + written
    if usage.cached > usage.prompt:
        yield (
            f"cached is more than the prompt ({usage.cached:,} of {usage.prompt:,} tokens): does your prompt leave "
            "cached tokens out? OpenRouter's includes them"
        )
    if taken > usage.prompt:
        if usage.cached and written:
            yield (
                f"{usage.cached:,} cached and {written:,} written tokens are more than the {usage.prompt:,} of the "
                "prompt: taken as the same tokens, read and written"
            )
        taken = max(usage.cached, written)
    if usage.audio + usage.image_tokens > max(usage.prompt - taken, 0) or taken > usage.prompt:
        yield "the parts of the prompt are more than the prompt: each is charged, and no plain token"
    if usage.audio_cached > usage.cached:
        yield "more audio tokens are cached than tokens are: they are charged, and no other cached token"
    if usage.reasoning + usage.audio_output + usage.image_output > usage.completion:
        yield "the parts of the completion are more than the completion: each is charged, and no plain token"


class Line(NamedTuple):
    """One line of a receipt; amount = quantity × rate."""

    unit: str  #: the key of the pricing whose rate is charged
    counted: str  #: what is counted: the name of one of `PARTS`, or ``byok_fee``
    quantity: int | Decimal
    rate: Decimal | None  #: USD per one; None: not known
    amount: Decimal | None  #: USD; None: not known

    def to_json(self) -> dict[str, Any]:
        """As scripts see it: rate and amount are decimal strings."""
        return {
            "unit": self.unit,
            "counted": self.counted,
            "quantity": self.quantity if isinstance(self.quantity, int) else plain(self.quantity),
            "rate": None if self.rate is None else plain(self.rate),
            "amount": None if self.amount is None else plain(self.amount),
        }


class Tariff:
    """The effective rates of a pricing while some of its overrides are in force."""

    __slots__ = ("_scaled", "_unit", "fired", "incomplete", "is_free", "rates", "units")

    def __init__(self, units: tuple[str, ...], rates: tuple[Decimal | None, ...], fired: tuple[Override, ...],
                 incomplete: tuple[str, ...]) -> None:  # fmt: skip
        """`units` and `rates` are those of `PARTS`, in their order."""
        self.units = units
        self.rates = rates
        self.fired = fired  #: the overrides in force, in their order
        self.incomplete = incomplete  #: why the whole of a cost may be more than what is charged
        self.is_free = rates[_PLAIN] is not None and not any(rates)
        # whole numbers of the smallest power of ten that any rate needs: sums of their products are exact and quick
        exponent = min((_exponent(rate) for rate in rates if rate is not None), default=0)
        self._unit = Decimal(1).scaleb(exponent, EXACT)
        self._scaled = tuple(0 if rate is None else int(rate.scaleb(-exponent, EXACT)) for rate in rates)

    def charge(self, usage: Usage) -> Decimal:
        """The inference cost in USD; raises `Unpriced` where a rate that every usage needs is not known."""
        if self.rates[_PLAIN] is None or self.rates[_TEXT] is None:
            raise Unpriced("Its price is not a known number for a request like this.")
        try:
            return EXACT.multiply(sum(map(mul, quantities(usage), self._scaled)), self._unit)
        except Inexact as error:
            raise Unpriced(f"It has more than the {EXACT.prec} digits that amounts can have.") from error

    def lines(self, usage: Usage) -> tuple[Line, ...]:
        """What is charged, line by line: all that is used, and what is charged per request."""
        found = []
        for part, unit, rate, quantity in zip(PARTS, self.units, self.rates, quantities(usage), strict=True):
            if quantity and not (part.is_optional and not rate):
                amount = None if rate is None else canonical(EXACT.multiply(rate, Decimal(quantity)))
                found.append(Line(unit, part.name, quantity, rate, amount))
        return tuple(found)

    def doubts(self, usage: Usage) -> Iterator[str]:
        """Why the cost of a usage may not be all of it."""
        yield from self.incomplete
        for part, rate, quantity in zip(PARTS, self.rates, quantities(usage), strict=True):
            if quantity and rate is None and part.name == "web_searches":
                yield (
                    f"{quantity:,} web search{'es' * (quantity > 1)}: the model lists no price of its own search, and "
                    "that of a plugin is not in the catalog"
                )
            elif quantity and rate is None:
                yield f"{quantity:,} {WORDS[part.name]}: the rate is not a known number"
        if usage.written_1h and self.units[_1H] == "input_cache_write":
            yield "no rate is listed for cache writes of one hour: charged as those of five minutes"
        if usage.images and self.rates[_IMAGES]:
            yield "images are charged as listed; some providers count their tokens in the prompt instead"


def _exponent(rate: Decimal) -> int:
    exponent = canonical(rate).as_tuple().exponent
    assert isinstance(exponent, int)  # no NaN comes this far
    return min(exponent, 0)


class Tariffs:
    """All tariffs of a pricing, made when first needed."""

    __slots__ = ("_highest_prompt", "_made", "_overrides", "_reasons", "pricing")

    def __init__(self, pricing: Pricing) -> None:
        self.pricing = pricing
        #: threshold (-1: none), minutes of the week as bits, override
        self._overrides = tuple(
            (threshold if isinstance(threshold := dict(it.conditions).get("min_prompt_tokens"), int) else -1,
             it.minutes(), it)
            for it in pricing.overrides if it.is_understood
        )  # fmt: skip
        self._reasons = tuple(_reasons(pricing))
        prompts = [rate for rates in (pricing.rates, *(it.rates for it in pricing.overrides))
                   for unit, rate in rates if unit == "prompt"]  # fmt: skip
        self._highest_prompt = max(prompts, default=_NOTHING)
        self._made: dict[int, Tariff] = {}

    @property
    def thresholds(self) -> tuple[int, ...]:
        """The prompt sizes beyond which another tariff may be in force, ascending; the size itself is still below."""
        return tuple(sorted({threshold for threshold, _, _ in self._overrides if threshold >= 0}))

    def changes(self) -> tuple[int, ...]:
        """The minutes of the UTC week, Monday 00:00 being 0, in which another tariff may come into force; ascending."""
        found: set[int] = set()
        for _, minutes, _ in self._overrides:
            before = (minutes << 1) | (minutes >> 7 * _MINUTES_A_DAY - 1)
            edges = (minutes ^ before) & ((1 << 7 * _MINUTES_A_DAY) - 1)
            while edges:
                lowest = edges & -edges
                found.add(lowest.bit_length() - 1)
                edges ^= lowest
        return tuple(sorted(found))

    def doubts_of_sum(self, usage: Usage) -> Iterator[str]:
        """What cannot be known of the sum of several requests: which of them passed a threshold."""
        mean = usage.prompt // max(usage.requests, 1)
        for threshold in self.thresholds:
            if mean <= threshold < usage.prompt:
                yield (
                    f"the sum of {usage.requests:,} requests, priced by their mean prompt of {mean:,} tokens: one of "
                    f"more than {threshold:,} costs otherwise"
                )

    def at(self, prompt: int, at: datetime) -> Tariff:
        """The tariff for a prompt of so many tokens (cached ones included) at an instant (UTC)."""
        mask = self._mask(prompt, at)
        tariff = self._made.get(mask)
        if tariff is None:
            tariff = self._made[mask] = self._make(mask)
        return tariff

    def rates_at(self, prompt: int, at: datetime) -> tuple[Decimal | None, ...]:
        """The rates of `PARTS` alone, as `at` has them: for who compares many pricings and charges none."""
        return self._resolved(self._mask(prompt, at))[1]

    def _mask(self, prompt: int, at: datetime) -> int:
        """The overrides in force, as bits."""
        mask = 0
        if self._overrides:
            minute = at.weekday() * _MINUTES_A_DAY + at.hour * 60 + at.minute
            for number, (threshold, minutes, _) in enumerate(self._overrides):
                if prompt > threshold and minutes >> minute & 1:
                    mask |= 1 << number
        return mask

    def _make(self, mask: int) -> Tariff:
        units, rates, fired = self._resolved(mask)
        return Tariff(units, rates, fired, self._reasons)

    def _resolved(self, mask: int) -> tuple[tuple[str, ...], tuple[Decimal | None, ...], tuple[Override, ...]]:
        base = dict(self.pricing.rates)
        fired = tuple(it for number, (_, _, it) in enumerate(self._overrides) if mask >> number & 1)
        rates = dict(base)
        for override in fired:
            rates.update(override.rates)
        # no override names these two, yet they follow what does
        if base.get("internal_reasoning") in self._completions():
            del rates["internal_reasoning"]
        if "image" in base and base["image"] <= self._highest_prompt:
            # no more than a token: it is the rate of image tokens, which are in the prompt
            del rates["image"]
        units = _charging(frozenset(rates))
        effective = [
            None if (rate := rates.get(unit, otherwise)) is None or rate < 0 else canonical(rate)
            for unit, otherwise in zip(units, _UNLISTED, strict=True)
        ]
        return units, tuple(effective), fired

    def _completions(self) -> set[Decimal]:
        """The rates of completion that the list shows: the base one, or where windows set it, those of the windows."""
        base = self.pricing.rate("completion")
        if base is not None:
            return {base}
        return {rate for _, _, it in self._overrides for unit, rate in it.rates if unit == "completion"}


@lru_cache(maxsize=1024)
def _charging(listed: frozenset[str]) -> tuple[str, ...]:
    """The unit that charges each of `PARTS` where these are listed: pricings are many, but list much the same."""
    return tuple(next((it for it in part.units if it in listed), part.units[-1]) for part in PARTS)


def _reasons(pricing: Pricing) -> Iterator[str]:
    """Why no cost under a pricing is known to be the whole one."""
    listed = {unit for unit, rate in pricing.rates if rate} | {
        unit for override in pricing.overrides for unit, rate in override.rates if rate
    }
    for unit in sorted(listed - set(UNITS)):
        yield f"the pricing lists {unit}, which this version does not know: it is not charged"
    for number, override in enumerate(pricing.overrides, start=1):
        if not override.is_understood:
            names = ", ".join(name for name, _ in override.conditions)
            yield f"override {number} has a condition that this version does not know ({names}): it is skipped"
