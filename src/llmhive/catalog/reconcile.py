"""Why a bill is what it is: what OpenRouter billed beside what our prices make of it, and the cause of a difference.

A cause is found by computing: another price, another count of tokens, a part that the bill tells must give the very
amount. What fits the figures, but could be something else, is marked as probable. Amounts are USD, exact. How each
cause is recognised: docs/reconcile.md; how requests are charged: reference 4.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

import msgspec

from llmhive.catalog.bill import Bill
from llmhive.catalog.case import Basis, Case, Offers, Told, apart, away, beside
from llmhive.catalog.cause import AGREED, CERTAIN, Cause, Reconciled, dollars
from llmhive.catalog.price import GAP, Step
from llmhive.catalog.pricing import EXACT, canonical, plain

#: Between the begin of a request and its end, and two clocks: a time window may have opened or closed.
_LENGTH = timedelta(minutes=10)
_NOTHING = Decimal(0)
#: Beyond such a factor a difference is not one of providers.
_FACTOR = 10
_LOGGED = Decimal("0.99")


class _Finding(NamedTuple):
    cause: Cause
    why: str
    is_proven: bool = True
    basis: Basis | None = None  #: None: the usual one


def explain(bill: Bill, offers: Offers) -> Reconciled:
    """Compare a bill with our prices, and find the cause of a difference."""
    case = Case(bill, offers)
    finding = next((found for look in _LOOKS if (found := look(case)) is not None), None) or _unknown(case)
    if case.is_byok:
        finding = _with_own_key(case, finding)
    is_told = finding.cause in CERTAIN or (finding.cause is Cause.BEFORE_HISTORY and finding.basis is None)
    is_proven = finding.is_proven and (is_told or not case.is_coarse)
    basis = finding.basis or case.basis
    paid, ours = bill.billed, None if basis is None else basis.cost
    is_exact = ours is not None and ours == case.amount
    if case.is_byok or case.is_mixed:
        paid = EXACT.add(bill.billed or _NOTHING, bill.upstream or _NOTHING)
    if case.is_byok and ours is not None:
        fee = case.fee(ours)
        is_exact = is_exact and fee is not None
        ours = EXACT.add(_NOTHING if bill.upstream is None else ours, fee or _NOTHING)
    return Reconciled(
        finding.cause, finding.why, is_proven, bill, offers.model_id, paid,
        None if ours is None else canonical(ours), is_exact, None if basis is None else basis.step,
    )  # fmt: skip


# --- what the bill says by itself


def _no_amount(case: Case) -> _Finding | None:
    if case.amount is not None:
        return None
    if case.is_byok and case.basis is not None and case.bill.billed is not None:
        return _Finding(Cause.EXACT, "", is_proven=False)
    return _plainly(Cause.NO_AMOUNT)


def _response_cache(case: Case) -> _Finding | None:
    return _plainly(Cause.RESPONSE_CACHE) if case.bill.is_cache_hit and not case.bill.billed else None


def _agrees(case: Case) -> _Finding | None:
    basis = next((it for it in case.bases if case.fits(it.cost)), None)
    if basis is None:
        is_free = not case.bases and case.amount == 0 and case.bill.model.endswith(":free")
        return _Finding(Cause.FREE, "A free variant, and nothing was billed.") if is_free else None
    if case.is_mixed:
        return _Finding(Cause.BYOK, "A part was paid with your own key; together it is our price.", basis=basis)
    if basis.tariff.is_free and not basis.cost:
        return _Finding(Cause.FREE, f"It was free, by the price {_while(basis.step)}.", basis=basis)
    price = f"the price {_while(basis.step)}{f', of {basis.step.tag}' if basis.step.tag else ''}"
    why = f"{price[0].upper()}{price[1:]}." if case.bill.at else f"The bill has no time; it is exact at {price}."
    if case.is_beyond and case.offers.until is not None:
        whose = "The catalog's last list is" if case.offers.last else "The catalog has the facts shipped with LLMHive,"
        why += f" {whose} of {case.offers.until:%Y-%m-%d}."
    if basis.cost == case.amount:
        return _Finding(Cause.EXACT, why, basis=basis)
    return _Finding(Cause.ROUNDED, f"Ours is {plain(canonical(basis.cost))}. {why}", basis=basis)


def _parts(case: Case) -> _Finding | None:
    """What the bill tells of beside the model."""
    for it in case.bases:
        if parts := case.told_with(it):
            told = ", ".join(f"{dollars(part)} for {words}" for _, words, part in parts)
            return _Finding(_largest(parts), f"The bill tells {told}; the rest agrees.", basis=it)
    return None


def _upstream(case: Case) -> _Finding | None:
    """The provider's share agrees: the rest is OpenRouter's own."""
    share, billed = case.bill.upstream, case.bill.billed
    if case.is_byok or case.is_mixed or not share or billed is None or billed <= share:
        return None
    fitting = (it for it in case.bases if any(case.fits(cost, amount=share) for cost in (it.bare, it.cost)))
    basis, rest = next(fitting, None), EXACT.subtract(billed, share)
    if basis is None:
        return None
    cause, words = beside(case, rest) or (Cause.UNKNOWN, "is for something that the bill does not name")
    return _Finding(
        cause, f"The model's share, {dollars(share)}, agrees; the other {dollars(rest)} {words}.", basis=basis
    )


def _nothing(case: Case) -> _Finding | None:
    """Nothing was billed for what has a price; or 1 % less was."""
    if case.basis is None or case.amount is None or not case.basis.cost or case.is_byok:
        return None
    if not case.amount and not case.bill.usage.completion:
        return _plainly(Cause.ZERO_COMPLETION)
    if case.amount and case.fits(EXACT.multiply(case.basis.cost, _LOGGED)):
        return _Finding(Cause.LOGGING_DISCOUNT, "It is 99 % of our price.")
    return None


def _counted_otherwise(case: Case) -> _Finding | None:
    """Cached and written tokens that were charged as others are."""
    basis, usage = case.basis, case.bill.usage
    if basis is None or case.amount is None:
        return None
    charge, replace = basis.tariff.charge, msgspec.structs.replace
    without = replace(usage, cached=0, audio_cached=0, written=0, written_1h=0)
    for words, other in (
        ("The cached tokens were charged as new ones.", replace(usage, cached=0, audio_cached=0)),
        ("The written tokens were charged as plain ones.", replace(usage, written=0, written_1h=0)),
        (
            "What was written was kept for an hour.",
            replace(usage, written=0, written_1h=usage.written + usage.written_1h),
        ),
        ("The cached and written tokens were charged as plain ones.", without),
    ):
        if other != usage and case.fits(charge(other)):
            return _Finding(Cause.CACHING, words)
    return None


# --- other prices


def _before_history(case: Case) -> _Finding | None:
    """Nothing is known of that time; the first known price may have been in force."""
    offers, since = case.offers, case.offers.since
    if not case.is_before or since is None or case.bill.at is None:
        return None
    early = case.at_first()
    found = next((found for look in _OF_ITS_PRICE if (found := look(early)) is not None), None)
    if found is not None and found.cause is Cause.ZERO_COMPLETION:
        return found
    basis = early.basis if found is None else found.basis or early.basis
    if found is not None and basis is not None:
        what = f"The first known price, {_while(basis.step)},"
        told = " gives the amount." if found.cause in AGREED else f" may have been that of then: {_lowered(found.why)}"
        return _Finding(Cause.BEFORE_HISTORY, f"{what}{told}", basis=basis)
    facts = f"the catalog has the facts shipped with LLMHive, of {since:%Y-%m-%d}, and no history"
    begin = facts if offers.first is None else f"the catalog's first list is of {since:%Y-%m-%d}"
    why = f"Nothing is known of that time: {begin}. `llmhive backfill PATH` takes in older captures."
    later = (
        it for steps in (offers.served, offers.listed) for it in case.under(steps, ever=True) if case.fits(it.cost)
    )
    if (other := next(later, None)) is not None and case.amount:
        return _Finding(Cause.BEFORE_HISTORY, f"{why} The price {_while(other.step)} gives the amount.")
    if basis is not None:
        why += f" By the first known price it would be {dollars(basis.cost)}."
    elif offers.model_id is None and offers.why:
        why += f" {offers.why}"
    return _Finding(Cause.BEFORE_HISTORY, why)


def _about_then(case: Case) -> _Finding | None:
    """The price on the other side of a change, or the listed one."""
    if case.span is None:
        return None
    for steps in (case.offers.served, case.offers.listed):
        if case.fitting(case.under(steps)) is not None and case.bill.provider is not None:
            why = f"It is the listed price, not that which {case.bill.provider} is known to have had."
            return _Finding(Cause.OTHER_PROVIDER, why)
        if case.fitting(case.under(steps, around=_LENGTH, by_clock=True)) is not None:
            return _Finding(
                Cause.PRICE_CHANGE, "The price changed within minutes: that of the other side gives the amount."
            )
        if (basis := case.fitting(case.under(steps, around=GAP))) is not None:
            why = f"The price {_while(basis.step)} gives the amount: a change is seen only at the next capture."
            return _Finding(Cause.PRICE_CHANGE, why)
    return None


def _elsewhere(case: Case) -> _Finding | None:
    """An endpoint's price gives the amount: of who served it, of a service tier, of another."""
    offered = case.offers.offered
    fitting = {key for key, steps in offered.items() if case.fitting(case.under(steps)) is not None}
    own, other_tier = case.own(), case.at_other_tier()
    own_others = {key for key in other_tier if case.is_of(offered[key])}
    for keys, cause in ((own, Cause.OTHER_PROVIDER), (own_others, Cause.TIER)):
        if keys & fitting:
            return _Finding(cause, f"The price of {_names(keys & fitting)} gives the amount.")
    if case.fitting(case.under(case.offers.batch)) is not None:
        return _Finding(Cause.TIER, "The price of the model's batch row gives the amount.")
    for key in sorted(own):
        if (basis := case.fitting(case.under(offered[key], ever=True))) is not None:
            why = f"The price of {key}, {_while(basis.step)}, gives the amount; of the bill's time none is known."
            return _Finding(Cause.OTHER_PROVIDER, why)
    for keys, cause in ((fitting - other_tier, Cause.OTHER_PROVIDER), (fitting & other_tier, Cause.TIER)):
        if keys:
            return _Finding(cause, f"The price of {_names(keys)} gives the amount.", case.bill.provider is None)
    return None


def _half(case: Case) -> _Finding | None:
    if case.basis is None or not case.amount:
        return None
    if not case.fits(case.basis.cost, amount=EXACT.multiply(case.amount, Decimal(2)), amounts=2):
        return None
    return _Finding(Cause.TIER, "It is half of our price, as batches and the flex tier cost.", is_proven=False)


def _another_time(case: Case) -> _Finding | None:
    """A price that the model had at some other time."""
    if case.bill.at is None or not case.amount:
        return None
    ever = [it for steps in (case.offers.served, case.offers.listed)
            for it in case.under(steps, ever=True) if case.fits(it.cost)]  # fmt: skip
    if not ever:
        return None
    nearest = min((it.step for it in ever), key=lambda step: away(step, case.bill.at))
    return _Finding(Cause.PRICE_CHANGE, f"The price {_while(nearest)} gives the amount.", is_proven=False)


def _not_priced(case: Case) -> _Finding | None:
    """There is no price, or it is too old."""
    offers, at, last = case.offers, case.bill.at, case.offers.until
    if at is not None and last is not None and case.is_beyond:
        what = "No price that is known gives the amount" if case.bases else "No price of it is known"
        if offers.now is not None and at > offers.now + _LENGTH:
            why = f"{what}; the bill is of {at:%Y-%m-%d %H:%M} UTC, which is in the future: is its time right?"
            return _Finding(Cause.AFTER_HISTORY, why, is_proven=False)
        hours = (at - last) // timedelta(hours=1)
        age = f"{hours // 24:,} days older than the bill" if hours >= 48 else f"{hours} hours older than the bill"
        newest = "the facts shipped with LLMHive are" if offers.last is None else "the catalog's last list is"
        why = f"{what}; {newest} {age}. `llmhive sync` brings today's."
        return _Finding(Cause.AFTER_HISTORY, why, is_proven=False)
    if case.bases:
        return None
    if offers.model_id is None:
        return _Finding(Cause.NOT_PRICED, offers.why or "No such model was ever seen.")
    then = (it.why for it in reversed(offers.served) if it.why and (at is None or away(it, at) == timedelta()))
    reason = next(then, None)
    told = f"{offers.model_id}: {reason}" if reason else f"{offers.model_id} was not listed at that time."
    return _Finding(Cause.NOT_PRICED, told)


# --- other counts


def _solved(case: Case) -> _Finding | None:
    """A whole number of tokens that, counted apart, give the amount."""
    found = apart(case)
    if found is None:
        return None
    cause, count, words = found
    return _Finding(cause, f"It is right with {count:,} {words}, which the bill does not tell.", is_proven=False)


def _beside(case: Case) -> _Finding | None:
    """More was billed, and the bill tells of what may have cost it."""
    if case.basis is None or case.amount is None or case.amount <= case.basis.bare or case.is_byok:
        return None
    rest = EXACT.subtract(case.amount, case.basis.bare)
    found = beside(case, rest)
    if found is None and case.bill.media:
        found = Cause.MEDIA, "is for images, audio or files, whose tokens the bill does not tell apart"
    return None if found is None else _Finding(found[0], f"{dollars(rest)} {found[1]}.", is_proven=False)


def _between(case: Case) -> _Finding | None:
    """The amount lies between everything cached and everything written."""
    usage, amount, is_day = case.bill.usage, case.amount, case.bill.is_summed
    if not case.bases or not amount or usage.cached or usage.written or usage.written_1h or case.is_cache_told:
        return None
    bases = case.bases if is_day else case.bases[:1]
    cheapest, dearest = min(it.cost for it in bases), max(it.cost for it in bases)
    if cheapest < amount < dearest:
        why = f"The prices in force that day make it {dollars(cheapest)} to {dollars(dearest)}."
        return _Finding(Cause.PRICE_CHANGE, why, is_proven=False)
    low = min(it.tariff.charge(msgspec.structs.replace(usage, cached=usage.prompt)) for it in bases)
    high = max(it.tariff.charge(msgspec.structs.replace(usage, written=usage.prompt)) for it in bases)
    if low <= amount < cheapest:
        whole, nothing = dollars(low), dollars(cheapest)
        why = f"What was cached is not told: with all of the prompt it is {whole}, with nothing {nothing}."
    elif is_day and dearest < amount <= high:
        whole, nothing = dollars(high), dollars(dearest)
        why = f"What was written is not told: with all of the prompt it is {whole}, with nothing {nothing}."
    else:
        return None
    return _Finding(Cause.CACHING, why, is_proven=False)


def _of_a_day(case: Case) -> _Finding | None:
    """A day's row counts nothing that was cached: that is likelier than another price."""
    return _between(case) if case.bill.is_summed else None


# --- what is left


def _doubtful(case: Case) -> _Finding | None:
    """Who served it has no known price, or is not told."""
    basis, bill, amount = case.basis, case.bill, case.amount
    if basis is None or not amount or not basis.cost or bill.at is None:
        return None
    is_known = basis.step.source == "endpoint" and not basis.step.incomplete
    if not case.is_ordinary and not is_known:
        why = f"The catalog does not know what the {bill.tier} tier cost at that time."
        return _Finding(Cause.TIER, why, is_proven=False)
    if not Fraction(1, _FACTOR) <= Fraction(amount) / Fraction(basis.cost) <= _FACTOR:
        return None
    if bill.provider is not None and not is_known:
        why = f"The catalog does not know what {bill.provider} charged at that time; it is not the listed price."
        return _Finding(Cause.OTHER_PROVIDER, why, is_proven=False)
    costs = [it.cost for steps in case.offers.offered.values() for it in case.under(steps)]
    if bill.provider is None and costs and min(costs) < amount < max(costs):
        why = (
            f"Who served it is not told; its providers' prices make it {dollars(min(costs))} to {dollars(max(costs))}."
        )
        return _Finding(Cause.OTHER_PROVIDER, why, is_proven=False)
    return None


def _unknown(case: Case) -> _Finding:
    return _plainly(Cause.NO_TIME if case.bill.at is None else Cause.UNKNOWN)


def _with_own_key(case: Case, finding: _Finding) -> _Finding:
    """What is found of the provider's share, with what OpenRouter billed beside it."""
    basis, bill = finding.basis or case.basis, case.bill
    if finding.cause not in AGREED:
        return finding._replace(why=f"With your own key: {_lowered(finding.why)}")
    told = "whose share is not told" if bill.upstream is None else f"{dollars(bill.upstream)}, as our price says"
    fee = _NOTHING if basis is None else case.fee(basis.cost)
    if fee is not None:
        why = f"Your own key paid the provider, {told}; OpenRouter billed {'its fee of 5 %' if fee else 'nothing'}."
        return finding._replace(cause=Cause.BYOK, why=why)
    assert bill.billed is not None
    cause, words = beside(case, bill.billed) or (Cause.UNKNOWN, "is neither nothing nor the fee of 5 %")
    if case.parts:
        cause, words = _largest(case.parts), "is for what the bill tells beside the model"
    why = f"Your own key paid the provider, {told}; what OpenRouter billed, {dollars(bill.billed)}, {words}."
    return finding._replace(cause=cause, why=why)


#: Those that a bill's own price and its own words prove, and all, in the order in which they are tried: the first that
#: finds something ends it.
_OF_ITS_PRICE: tuple[Callable[[Case], _Finding | None], ...] = (
    _agrees, _parts, _upstream, _nothing, _counted_otherwise,
)  # fmt: skip
_LOOKS: tuple[Callable[[Case], _Finding | None], ...] = (
    _no_amount, _response_cache, *_OF_ITS_PRICE, _before_history, _about_then, _elsewhere, _half, _another_time,
    _not_priced, _beside, _solved, _of_a_day, _doubtful, _between,
)  # fmt: skip


def _plainly(cause: Cause) -> _Finding:
    return _Finding(cause, cause.meaning)


def _largest(parts: Collection[Told]) -> Cause:
    return max(parts, key=lambda it: it.amount.copy_abs()).cause


def _lowered(sentence: str) -> str:
    return f"{sentence[:1].lower()}{sentence[1:]}"


def _names(keys: Collection[str]) -> str:
    return ", ".join(sorted(keys)[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")


def _while(step: Step) -> str:
    """How long a price was in force."""
    if step.end is None:
        return f"in force since {step.begin:%Y-%m-%d %H:%M} UTC"
    return f"in force {step.begin:%Y-%m-%d %H:%M} to {step.end:%Y-%m-%d %H:%M} UTC"
