"""A bill beside every price it may have been made with: what is compared, and whether a cost is the amount; pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import msgspec

from llmhive.catalog.bill import Bill
from llmhive.catalog.cause import Cause
from llmhive.catalog.cost import PARTS, Tariff, Tariffs
from llmhive.catalog.endpoint import ORDINARY, folded, tier_of
from llmhive.catalog.price import GAP, Step
from llmhive.catalog.pricing import EXACT, Pricing
from llmhive.catalog.receipt import BYOK_FEE
from llmhive.errors import Unpriced

#: USD for one search of a plugin (reference 4), and for one page of a file.
_SEARCHES = {Decimal("0.007"): "Exa", Decimal("0.015"): "Exa", Decimal("0.005"): "Parallel or Perplexity",
             Decimal("0.001"): "Parallel"}  # fmt: skip
_PAGE = Decimal("0.002")
_DAY = timedelta(days=1)
_WEEK = 7 * _DAY
_NOTHING = Decimal(0)
#: An amount that somebody rounded has at least so many digits, or too much would be like it.
_DIGITS = 5
#: A cut amount of fewer units of its last place tells little.
_COARSE = Decimal(100)
#: A token must make so many units of a cut amount's last place, or any amount is some number of them.
_FINE = Decimal(4)
_PLACES = {part.name: number for number, part in enumerate(PARTS)}
#: What may be counted apart from something: its part, that of the other, words for it, the cause.
_APART = (
    ("image_output", "text", "image tokens of the answer", Cause.MEDIA),
    ("audio_output", "text", "audio tokens of the answer", Cause.MEDIA),
    ("audio", "plain", "audio tokens of the prompt", Cause.MEDIA),
    ("image_tokens", "plain", "image tokens of the prompt", Cause.MEDIA),
    ("written", "plain", "tokens written to a cache", Cause.CACHING),
    ("cached", "plain", "tokens read from a cache", Cause.CACHING),
    ("written_1h", "plain", "tokens written to a cache for an hour", Cause.CACHING),
)


class Offers(msgspec.Struct, frozen=True):
    """What is known of the prices that a bill may have been made with; all steps are in their order."""

    model_id: str | None = None  #: None: no model is meant, and `why` says so
    why: str | None = None
    served: Sequence[Step] = ()  #: of who served it, as the bill says
    listed: Sequence[Step] = ()  #: of the model
    offered: Mapping[str, Sequence[Step]] = {}  #: of its endpoints at all tiers, by key
    batch: Sequence[Step] = ()  #: of its ``:batch`` row
    is_online: bool = False  #: whether the model was asked for with ``:online``
    first: datetime | None = None  #: capture in history; None: there is none, all is of the bootstrap facts
    last: datetime | None = None
    now: datetime | None = None

    @property
    def since(self) -> datetime | None:
        """Since when anything is known: the first capture; without captures, the time of the facts."""
        return self.first or (self.listed[0].begin if self.listed else None)

    @property
    def until(self) -> datetime | None:
        """Until when prices are known, likewise."""
        return self.last or (self.listed[-1].begin if self.listed and self.first is None else None)


class Basis(NamedTuple):
    """A price that may have been charged, and what the usage costs under it."""

    step: Step
    tariff: Tariff
    cost: Decimal
    bare: Decimal  #: without searches


class Told(NamedTuple):
    """Something that a bill tells an amount for."""

    cause: Cause
    words: str
    amount: Decimal


class Case:
    """A bill, what is compared of it, and the prices in force at its time."""

    def __init__(self, bill: Bill, offers: Offers) -> None:
        self.bill, self.offers = bill, offers
        billed, upstream = bill.billed, bill.upstream
        is_byok = bill.is_byok
        if is_byok is None and not bill.is_summed:
            is_byok = not billed and bool(upstream)
        self.is_byok = bool(is_byok)
        #: whether it sums up requests with a key of one's own and others
        self.is_mixed = is_byok is None and upstream is not None and billed is not None
        #: what the models themselves cost by the bill; None: it is not told
        self.amount = upstream if self.is_byok else billed
        if self.is_mixed:
            self.amount = EXACT.add(billed or _NOTHING, upstream or _NOTHING)
        told = (Told(Cause.WEB_SEARCH, "searching the web", bill.web or _NOTHING),
                Told(Cause.FILE_PARSING, "reading files", bill.file or _NOTHING),
                Told(Cause.LOGGING_DISCOUNT, "letting prompts be logged", bill.data or _NOTHING))  # fmt: skip
        #: of what was billed, beside the models themselves
        self.parts = [it for it in told if it.amount]
        #: whether what caching made of it is told: a cut amount has it, or there was none
        self.is_cache_told = bill.cache is not None or bill.places is not None
        self.span = None if bill.at is None else (bill.at, bill.at + _DAY if bill.is_summed else bill.at)
        #: the usual price first; where no time is told, all there ever were, the newest first
        self.bases = self.under(offers.served)
        if bill.at is None:
            self.bases.reverse()
        self.basis = self.bases[0] if self.bases else None

    @property
    def is_beyond(self) -> bool:
        """Whether the bill is so much newer than the last capture that a price may have been missed."""
        at, last = self.bill.at, self.offers.until
        return at is not None and last is not None and at > last + GAP

    @property
    def is_before(self) -> bool:
        """Whether the bill is older than all that is known."""
        since = self.offers.since
        return self.span is not None and since is not None and self.span[1] < since and not self.bases

    def at_first(self) -> Case:
        """The same, as if the first known prices had been in force: of who served it, and of the model."""
        case = copy(self)
        own = [steps for key, steps in sorted(self.offers.offered.items()) if key in self.own()]
        known = (next((it for it in steps if it.pricing is not None), None)
                 for steps in (self.offers.served, *own, self.offers.listed))  # fmt: skip
        case.bases = self.under(dict.fromkeys(it for it in known if it is not None), ever=True)
        case.basis = case.bases[0] if case.bases else None
        return case

    def at_other_tier(self) -> set[str]:
        """The endpoints of another service tier than that which served it."""
        offered = self.offers.offered
        at_tier = {key for key, steps in offered.items() if steps and tier_of(steps[0].tag or "") is not None}
        return at_tier if self.is_ordinary else offered.keys() - at_tier

    def own(self) -> set[str]:
        """The endpoints of who served it, at its service tier."""
        return {key for key, steps in self.offers.offered.items() if self.is_of(steps)} - self.at_other_tier()

    @property
    def is_coarse(self) -> bool:
        """Whether the amount was cut to so few digits that many things might give it."""
        return self.bill.places is not None and (self.amount or _NOTHING) < _COARSE.scaleb(-self.bill.places)

    def under(self, steps: Iterable[Step], *, around: timedelta = timedelta(), ever: bool = False,
              by_clock: bool = False) -> list[Basis]:  # fmt: skip
        """What the usage costs under the prices in force at the bill's time, give or take `around`, or `ever`;
        `by_clock`: also in the time windows of that while, not only in that of the bill's time.
        """
        found: list[Basis] = []
        for step in steps:
            begin, end = step.begin, step.begin + _WEEK if step.end is None else step.end
            if self.span is not None:
                first, last = self.span[0] - around, self.span[1] + around
                if not ever and (step.begin > last or (step.end is not None and step.end <= first)):
                    continue
                if by_clock or self.bill.is_summed:
                    begin, end = max(first, min(begin, last)), last if step.end is None or ever else min(end, last)
                else:
                    begin = end = self.span[0]
            if step.pricing is not None:
                found += self._charged(step, _tariffs(step.pricing), begin, end)
        return found

    def _charged(self, step: Step, tariffs: Tariffs, begin: datetime, end: datetime) -> Iterator[Basis]:
        usage, seen = self.bill.usage, set()
        for prompt in self._prompts(tariffs):
            for at in _instants(tariffs, begin, end):
                tariff = tariffs.at(prompt, at)
                if tariff in seen:
                    continue
                seen.add(tariff)
                try:
                    cost = bare = tariff.charge(usage)
                    if usage.web_searches:
                        bare = tariff.charge(msgspec.structs.replace(usage, web_searches=0))
                except Unpriced:
                    continue
                yield Basis(step, tariff, cost, bare)

    def _prompts(self, tariffs: Tariffs) -> Iterator[int]:
        """The size of the prompt; of a day the mean one, and those that pass a threshold."""
        prompt, requests = self.bill.usage.prompt, max(self.bill.requests, 1)
        if not self.bill.is_summed or requests == 1:
            yield prompt
            return
        yield prompt // requests
        yield from (size + 1 for size in tariffs.thresholds if prompt // requests <= size < prompt)

    def fits(self, cost: Decimal, *, amount: Decimal | None = None, amounts: int = 1, by_hand: bool = True) -> bool:
        """Whether a cost is the amount, or another, as far as the digits go: see `fits`."""
        return fits(self.bill, self.amount if amount is None else amount, cost, amounts, by_hand=by_hand)

    def fitting(self, bases: Iterable[Basis]) -> Basis | None:
        """The first that gives the amount, also with the parts that the bill tells of it."""
        return next((it for it in bases if self.fits(it.cost) or self.told_with(it)), None)

    def told_with(self, basis: Basis) -> list[Told]:
        """The parts told by the bill that make up the amount together with a cost; none where they do not."""
        if self.is_byok or self.amount is None:
            return []
        tries = [(basis.cost, self.parts), (basis.bare, self.parts)] if self.parts else []
        if self.bill.cache:
            # it tells what was written, which no count does, and what reading saved
            usage = msgspec.structs.replace(self.bill.usage, cached=0, audio_cached=0, written=0, written_1h=0)
            cached = Told(Cause.CACHING, "caching", self.bill.cache)
            tries.append((basis.tariff.charge(usage), [*self.parts, cached]))
        for cost, parts in tries:
            for it in parts:
                cost = EXACT.add(cost, it.amount)  # noqa: PLW2901 (a sum)
            if self.fits(cost, amounts=1 + len(parts)):
                return parts
        return []

    def fee(self, cost: Decimal) -> Decimal | None:
        """The fee that was billed for a key of one's own; None: what was billed is neither it nor nothing."""
        fee = EXACT.multiply(cost, BYOK_FEE)
        if self.bill.billed and not fits(self.bill, self.bill.billed, fee):
            return None
        return fee if self.bill.billed else _NOTHING

    @property
    def is_ordinary(self) -> bool:
        """Whether it was served at no service tier, as far as it says."""
        return self.bill.tier is None or self.bill.tier.strip().casefold() in ORDINARY

    def is_of(self, steps: Sequence[Step]) -> bool:
        """Whether steps are those of an endpoint of who served it."""
        provider = self.bill.provider
        return provider is not None and any(
            folded(provider) in {folded(it.provider or ""), folded((it.tag or "").partition("/")[0])}
            for it in steps[:1]
        )


def fits(bill: Bill, amount: Decimal | None, cost: Decimal, amounts: int = 1, *, by_hand: bool = True) -> bool:
    """Whether a cost is an amount of a bill as far as the amount's digits go; of a sum of so many amounts. `by_hand`:
    also if somebody rounded it.
    """
    if amount is None or amount == cost:
        return amount is not None
    gap = EXACT.subtract(cost, amount)
    if bill.places is not None:
        # each was cut towards zero; what was cut may have been a float a hair beside
        unit = Decimal(amounts).scaleb(-bill.places)
        return unit.scaleb(-3).copy_negate() <= (gap if amounts == 1 else gap.copy_abs()) < unit
    # OpenRouter adds up floats: each addition may cost some of the last place
    if gap.copy_abs() <= Decimal(math.ulp(float(amount))) * (6 + bill.requests + amounts):
        return True
    _, digits, exponent = amount.as_tuple()
    assert isinstance(exponent, int)
    return by_hand and len(digits) >= _DIGITS and exponent < 0 and 2 * gap.copy_abs() <= Decimal(1).scaleb(exponent)


def beside(case: Case, rest: Decimal) -> tuple[Cause, str] | None:
    """What was billed beside the model, by what the bill tells of."""
    bill, searches = case.bill, case.bill.usage.web_searches
    if searches or bill.search_results or case.offers.is_online:
        if not searches:
            return Cause.WEB_SEARCH, "is for searching the web"
        each = next((who for price, who in _SEARCHES.items() if price * searches == rest), None)
        what = f"is for {searches:,} web search{'es' * (searches > 1)}"
        return Cause.WEB_SEARCH, f"{what}, at the price of {each}" if each else what
    if bill.tool_calls:
        return Cause.TOOLS, f"is for {bill.tool_calls:,} call{'s' * (bill.tool_calls > 1)} of OpenRouter's tools"
    if bill.media and not Fraction(rest) % Fraction(_PAGE):
        return Cause.FILE_PARSING, f"is what {Fraction(rest) / Fraction(_PAGE)} parsed pages cost"
    return None


def apart(case: Case) -> tuple[Cause, int, str] | None:
    """How many tokens, counted apart, give the amount: the cause, their number, and words for them."""
    basis, bill, usage = case.basis, case.bill, case.bill.usage
    if basis is None or not case.amount or bill.is_summed or case.is_coarse:
        return None
    lack = EXACT.subtract(case.amount, basis.cost)
    into = usage.prompt - usage.cached - usage.written - usage.written_1h - usage.audio - usage.image_tokens
    out = usage.completion - usage.image_output - usage.audio_output
    for part, of, words, cause in _APART:
        rate, usual = basis.tariff.rates[_PLACES[part]], basis.tariff.rates[_PLACES[of]]
        # what caching made of it is told where a cost of it is
        is_told = case.is_cache_told if cause is Cause.CACHING else of == "plain" and not bill.media
        if rate is None or usual is None or rate == usual or is_told:
            continue
        more = EXACT.subtract(rate, usual)
        if bill.places is not None and more.copy_abs() < _FINE.scaleb(-bill.places):
            continue  # some number would always do
        least = math.floor(Fraction(lack) / Fraction(more))
        for count in (least, least + 1):
            cost = EXACT.add(basis.cost, EXACT.multiply(more, Decimal(count)))
            if 0 < count <= (out if of == "text" else into) and case.fits(cost, by_hand=False):
                return cause, count, words
    return None


def away(step: Step, at: datetime | None) -> timedelta:
    """How long before or after an instant a price was in force; 0: then."""
    if at is None or step.holds(at):
        return timedelta()
    return step.begin - at if at < step.begin else at - (step.end or at)


@lru_cache(maxsize=4096)
def _tariffs(pricing: Pricing) -> Tariffs:
    return Tariffs(pricing)


def _instants(tariffs: Tariffs, begin: datetime, end: datetime) -> Iterator[datetime]:
    """The begin of a while, and when another tariff may come into force in it; a week has them all."""
    yield begin
    if end <= begin or not (changes := tariffs.changes()):
        return
    monday = begin.replace(hour=0, minute=0, second=0, microsecond=0) - begin.weekday() * _DAY
    for week in (monday, monday + _WEEK):
        yield from (at for minute in changes if begin < (at := week + timedelta(minutes=minute)) <= end)
