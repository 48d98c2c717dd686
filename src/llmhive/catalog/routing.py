"""Which endpoints OpenRouter would use for a request, and what it costs there: at least, as expected, at most; pure.

What OpenRouter documents (reference 6.1, 8): one is chosen at random, weighted by 1/price², among those that are
healthy; who is degraded is used only where none is healthy, and who fails often only where nobody else is left; who is
in outage, never. ``sort`` and ``order`` switch the weights off. Why the price in the weight is the cost of this very
usage, what a status says, and what the expected cost is worth: decision 0033.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Any, Literal, get_args

from llmhive.catalog.endpoint import HEALTHY_UPTIME, TIERS, Endpoint, Health, tier_of
from llmhive.catalog.preferences import Preferences, Sort
from llmhive.catalog.pricing import Pricing, canonical, per_million, plain

#: How an endpoint fares: it is chosen, only where none is healthy, or only where nothing else is left.
Band = Literal["healthy", "degraded", "fallback"]

#: Percent of answered requests below which an endpoint is no more than a last fallback.
DEGRADED_UPTIME = 80.0
#: Significant digits of an expected cost, which is a ratio; rounded once, half to even.
DIGITS = 20

#: What a status below 0 says of an endpoint's uptime, in all captures; any other means an outage.
_STATUSES: Mapping[int, Band] = {-2: "degraded", -5: "fallback"}
_ROUNDING = Context(prec=DIGITS, rounding=ROUND_HALF_EVEN)
_BANDS: tuple[Band, ...] = get_args(Band)

#: Why there are no bounds where nothing is known of who serves.
NO_ENDPOINT = "no endpoint is known"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An endpoint that is live."""

    endpoint: Endpoint
    health: Health = field(default_factory=Health)
    is_zdr: bool | None = None  #: whether it keeps no data; None: not told
    provider_slug: str | None = None  #: None: unknown; then its tag alone says whose it is
    key: str | None = None  #: as the catalog knows it (`keyed`); None: its tag

    @property
    def name(self) -> str:
        """What it is called here: its key, or its tag."""
        return self.endpoint.tag if self.key is None else self.key


@dataclass(frozen=True, slots=True)
class Share:
    """An endpoint that may serve the request, and how likely it is the first to be asked."""

    key: str
    tag: str
    provider_name: str
    cost: Decimal  #: USD
    weight: Fraction  #: 0 to 1, all together 1; 0: asked only when others fail
    band: Band


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a request costs where it may be served: lowest ≤ expected ≤ highest; None where no endpoint may (`why`)."""

    lowest: Decimal | None  #: USD, exact
    expected: Decimal | None  #: USD, to `DIGITS` significant digits
    highest: Decimal | None  #: USD, exact
    used: tuple[Share, ...] = ()  #: in the order in which they would be asked
    excluded: tuple[tuple[str, str], ...] = ()  #: key and reason, sorted
    notes: tuple[str, ...] = ()
    why: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Which endpoints may serve it, in the order in which they would be asked, and why others may not."""
        endpoints = [
            {"key": it.key, "provider": it.provider_name, "cost": plain(it.cost),
             "share": round(float(it.weight), 6), "band": it.band} for it in self.used
        ]  # fmt: skip
        excluded = [{"key": key, "reason": reason} for key, reason in self.excluded]
        return {"endpoints": endpoints, "excluded": excluded, "notes": list(self.notes), "why": self.why}


@dataclass(frozen=True, slots=True)
class _Fit:
    candidate: Candidate
    cost: Decimal
    band: Band
    place: int | None  #: in `order`; None: it is not named there


def bounds(
    candidates: Iterable[Candidate],
    preferences: Preferences,
    charge: Callable[[Pricing], Decimal | None],
    at: datetime,
) -> Bounds:
    """What a request costs at an instant (UTC); `charge` tells it in USD under a pricing, or None where it cannot."""
    known = list(candidates)
    fits, excluded = [], []
    for candidate in known:
        reason = refusal(candidate, preferences, at)
        cost = charge(candidate.endpoint.pricing) if reason is None else None
        if cost is not None and cost >= 0:
            fits.append(_Fit(candidate, cost, band_of(candidate.health), _place(candidate, preferences)))
        else:
            excluded.append((candidate.name, reason or "what it costs is not known"))
    notes = [*preferences.notes, *_misspelled(preferences, known)]
    if preferences.zdr and known and all(it.is_zdr is None for it in known):
        notes.append("who keeps no data is not known yet: `llmhive sync --research` asks")
    if not fits:
        why = f"none of the {len(known)} endpoints may serve this" if known else NO_ENDPOINT
        return Bounds(None, None, None, (), tuple(sorted(excluded)), tuple(notes), why)
    used = _shares(fits, preferences, notes)
    costs = [it.cost for it in used]
    return Bounds(min(costs), _expected(used), max(costs), used, tuple(sorted(excluded)), tuple(notes))


# --- who may serve


def refusal(candidate: Candidate, preferences: Preferences, at: datetime) -> str | None:
    """Why an endpoint may not serve at an instant (UTC), in words; None: it may."""
    it, status = candidate.endpoint, candidate.health.status
    if any(is_meant(name, candidate, with_tiers=True) for name in preferences.ignore):
        return "ignored"
    if not _is_tier_asked(candidate, preferences):
        return f"of the service tier {tier_of(it.tag)}, which was not asked for"
    if preferences.only and not any(is_meant(name, candidate) for name in preferences.only):
        return "not among `only`"
    if preferences.order and not preferences.allow_fallbacks and _place(candidate, preferences) is None:
        return "not in `order`, and fallbacks are not allowed"
    if preferences.quantizations and (it.quantization or "unknown").casefold() not in preferences.quantizations:
        return f"its quantization is {it.quantization or 'unknown'}"
    if preferences.zdr and candidate.is_zdr is not True:
        return "it keeps data" if candidate.is_zdr is False else "whether it keeps data is not known"
    if is_in_outage(candidate.health):
        return f"in outage (status {status})"
    return _too_dear(it.pricing, preferences.max_price, at)


def is_meant(name: str, candidate: Candidate, *, with_tiers: bool = False) -> bool:
    """Whether a name in `order` or `only` means an endpoint; in `ignore` it means tiers, too (`Preferences`)."""
    asked, parts = name.casefold().split("/"), candidate.endpoint.tag.casefold().split("/")
    if parts[: len(asked)] == asked:
        left = parts[len(asked) :]
    elif name.casefold() in {(candidate.provider_slug or "").casefold(), candidate.endpoint.provider_name.casefold()}:
        left = parts[1:]
    else:
        return False
    return with_tiers or TIERS.isdisjoint(left)


def _is_tier_asked(candidate: Candidate, preferences: Preferences) -> bool:
    tier = tier_of(candidate.endpoint.tag)
    if tier is None or tier in preferences.tiers:
        return True
    return any(is_meant(name, candidate) for name in (*preferences.order, *preferences.only))


def _place(candidate: Candidate, preferences: Preferences) -> int | None:
    """Where in `order` an endpoint is; None: nowhere."""
    return next((place for place, name in enumerate(preferences.order) if is_meant(name, candidate)), None)


def _too_dear(pricing: Pricing, limits: Iterable[tuple[str, Decimal]], at: datetime) -> str | None:
    for unit, most in limits:
        rate, per = pricing.rate_at(unit, at), ""
        if unit in {"prompt", "completion"}:
            per = "/M"
            if rate is None or rate < 0:
                return f"its {unit} price is not known, and max_price limits it"
            rate = per_million(rate)
        if rate is not None and rate > most:
            return f"its {unit} price is ${plain(rate)}{per}, and max_price is ${plain(most)}{per}"
    return None


def is_in_outage(health: Health) -> bool:
    """Whether its status says that it serves nobody."""
    return health.status is not None and health.status < 0 and health.status not in _STATUSES


def band_of(health: Health) -> Band:
    """The worse of what its uptime and its status say."""
    uptime = math.inf if health.uptime is None else health.uptime
    measured = (uptime < HEALTHY_UPTIME) + (uptime < DEGRADED_UPTIME)
    return _BANDS[max(measured, _BANDS.index(_STATUSES.get(health.status or 0, "healthy")))]


def _misspelled(preferences: Preferences, candidates: Sequence[Candidate]) -> Iterable[str]:
    for listed in ("order", "only", "ignore"):
        for name in getattr(preferences, listed):
            if not any(is_meant(name, it, with_tiers=listed == "ignore") for it in candidates):
                meant = near(name, (word for it in candidates for word in (it.endpoint.tag, it.endpoint.provider_name)))
                yield f"`{listed}` names {name}, which means no endpoint of this model{meant}"


def near(name: str, known: Iterable[str]) -> str:
    """What may be meant by a name that is none of the known ones (tags, providers), for the end of a sentence."""
    by_fold: dict[str, str] = {}
    for word in known:
        for part in (word.partition("/")[0], word):
            by_fold.setdefault(part.casefold(), part)
    by_fold.pop(name.casefold(), None)
    found = difflib.get_close_matches(name.casefold(), by_fold, n=3, cutoff=0.7)
    return f"; near it: {', '.join(by_fold[it] for it in found)}" if found else ""


# --- who is asked first


def _shares(fits: Sequence[_Fit], preferences: Preferences, notes: list[str]) -> tuple[Share, ...]:
    """Everyone who may serve, in the order in which they would be asked, with the chances to be the first."""
    by = preferences.sort if preferences.sort != "exacto" else None

    def standing(it: _Fit) -> tuple[Any, ...]:
        band = _BANDS.index(it.band) if it.place is None and by is None else 0
        ties = it.candidate.name, it.candidate.endpoint.tag, it.candidate.endpoint.provider_name, it.band
        return math.inf if it.place is None else it.place, band, _speed(it, by), it.cost, *ties

    ordered = sorted(fits, key=standing)
    first = ordered[0]
    if first.place is None and by is None:
        chances = _chances(ordered, first.band)
    else:
        chances = [Fraction(1), *(Fraction(0) for _ in ordered[1:])]
        if first.band != "healthy":
            notes.append(f"{first.candidate.name} comes first, although requests to it fail more often than usual")
    if preferences.order and first.place is None:
        notes.append("nobody in `order` may serve: the others are asked as if there were none")
    if preferences.sort == "exacto" and first.place is None:
        notes.append("what exacto sorts by is not published: the expected cost is that of the weights by price")
    if by in {"throughput", "latency"} and all(_speed(it, by) == math.inf for it in ordered):
        notes.append(f"the {by} of no endpoint is known: they are asked from the cheapest on")
    return tuple(
        Share(it.name, it.endpoint.tag, it.endpoint.provider_name, fit.cost, chance, fit.band)
        for fit, chance in zip(ordered, chances, strict=True)
        for it in (fit.candidate,)
    )


def _speed(it: _Fit, by: Sort | None) -> float:
    health = it.candidate.health
    if by == "throughput":
        # none at all is no speed that anybody measured
        return -health.throughput_p50 if health.throughput_p50 else math.inf
    return math.inf if by != "latency" or health.latency_p50 is None else health.latency_p50


def _chances(fits: Sequence[_Fit], band: Band) -> list[Fraction]:
    """By 1/cost² within a band; who is free leaves nothing for the others."""
    costs = [Fraction(it.cost) if it.band == band else None for it in fits]
    if Fraction(0) in costs:
        free = costs.count(Fraction(0))
        return [Fraction(cost == 0, free) for cost in costs]
    # whole numbers of one unit: sums of fractions with many denominators take ten times as long
    unit = math.lcm(*(cost.denominator for cost in costs if cost is not None))
    squares = [0 if cost is None else (cost.numerator * (unit // cost.denominator)) ** 2 for cost in costs]
    multiple = math.lcm(*filter(None, squares))
    weights = [multiple // square if square else 0 for square in squares]
    whole = sum(weights)
    return [Fraction(weight, whole) for weight in weights]


def _expected(shares: Sequence[Share]) -> Decimal:
    likely = [it.cost for it in shares if it.weight]
    mean = sum((it.weight * Fraction(it.cost) for it in shares), Fraction(0))
    rounded = _ROUNDING.divide(Decimal(mean.numerator), Decimal(mean.denominator))
    # rounding never leads out of what it is the mean of
    return min(max(canonical(rounded), min(likely)), max(likely))
