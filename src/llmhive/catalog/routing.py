"""Which endpoints OpenRouter would use for a request, and what it costs there: at least, as expected, at most; pure.

What OpenRouter documents (reference 6.1, 8): one is chosen at random, weighted by 1/price², among those that are
healthy; who is degraded is used only where none is healthy, and who fails often only where nobody else is left; who is
in outage, never. ``sort`` and ``order`` switch the weights off. Why the price in the weight is the cost of this very
usage, what a status says, and what the expected cost is worth: decision 0033.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Any, Literal, Self, get_args

from llmhive.catalog.endpoint import HEALTHY_UPTIME, Endpoint, Health
from llmhive.catalog.pricing import Pricing, canonical, exact, per_million, plain
from llmhive.errors import UsageError

Sort = Literal["price", "throughput", "latency", "exacto"]
#: How an endpoint fares: it is chosen, only where none is healthy, or only where nothing else is left.
Band = Literal["healthy", "degraded", "fallback"]

#: Percent of answered requests below which an endpoint is no more than a last fallback.
DEGRADED_UPTIME = 80.0
#: Parts of a tag that say a service tier, which serves only who asks for it; ``fast`` is another name of priority.
TIERS = frozenset({"flex", "priority", "fast"})
#: What may follow any model id of a request without being a row of the catalog: by what it sorts, who else takes part.
SUFFIXES: Mapping[str, tuple[Sort | None, frozenset[str]]] = {
    "floor": ("price", frozenset({"flex"})),
    "nitro": ("throughput", frozenset({"priority", "fast"})),
    "exacto": ("exacto", frozenset()),
    "online": (None, frozenset()),
}
#: Significant digits of an expected cost, which is a ratio; rounded once, half to even.
DIGITS = 20

#: What a status below 0 says of an endpoint's uptime, in all captures; any other means an outage.
_STATUSES: Mapping[int, Band] = {-2: "degraded", -5: "fallback"}
_ROUNDING = Context(prec=DIGITS, rounding=ROUND_HALF_EVEN)
_BANDS: tuple[Band, ...] = get_args(Band)


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
        return self.endpoint.tag if self.key is None else self.key


@dataclass(frozen=True, slots=True)
class Preferences:
    """The ``provider`` object of a request, as far as it decides who serves it.

    A name in `order`, `only` or `ignore` is a tag, the beginning of one, or a provider's slug or name. It means all
    variants and regions of it. Endpoints of a service tier it means only in `ignore`, or where it names the tier.
    """

    order: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    allow_fallbacks: bool = True  #: False: nobody but who is in `order`, where there is one
    quantizations: tuple[str, ...] = ()  #: ``unknown`` is one of them
    zdr: bool = False
    sort: Sort | None = None
    max_price: tuple[tuple[str, Decimal], ...] = ()  #: by unit; tokens: USD per million; request, image: USD for one
    tiers: frozenset[str] = frozenset()  #: service tiers that take part
    notes: tuple[str, ...] = ()  #: what was asked for and cannot be judged

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """OpenRouter's JSON as it is, null for absent; unknown keys and bad values raise `UsageError`."""
        if not isinstance(document, Mapping):
            raise _bad("", document, 'a JSON object such as {"sort": "price"}')
        if unknown := sorted(repr(name) for name in document if name not in _READERS):
            raise UsageError(f"unknown provider preference {', '.join(unknown)}: there are {', '.join(_READERS)}")
        told = {name: value for name, value in document.items() if value is not None}
        read = {name: reader(name, told[name]) for name, reader in _READERS.items() if name in told}
        return cls(**{name: read[name] for name in read if name not in _UNJUDGED}, notes=tuple(_unjudged(told)))

    def with_suffix(self, suffix: str | None) -> Self:
        """The same with what a suffix of the model's name asks for (`split_suffix`); raises `UsageError`."""
        if suffix is None:
            return self
        name = suffix.removeprefix(":")
        if name not in SUFFIXES:
            raise UsageError(f"{suffix!r} is no suffix that routes: there are {', '.join(SUFFIXES)}")
        sort, tiers = SUFFIXES[name]
        if sort is None:
            return replace(self, notes=(*self.notes, "`:online` adds web searches, which are in none of these costs"))
        notes = () if self.sort in {None, sort} else (f"`:{name}` is taken instead of sort {self.sort}",)
        return replace(self, sort=sort, tiers=self.tiers | tiers, notes=(*self.notes, *notes))


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


def split_suffix(name: str) -> tuple[str, str | None]:
    """A model's name without what tells OpenRouter how to route: ``a/b:floor`` is ``("a/b", "floor")``."""
    base, _, last = name.rpartition(":")
    return (base, last) if base and last in SUFFIXES else (name, None)


def tier_of(tag: str) -> str | None:
    """The service tier that a tag says: flex, priority, fast; None: the ordinary one."""
    return next((part for part in tag.casefold().split("/")[1:] if part in TIERS), None)


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
        reason = _unfit(candidate, preferences, at)
        cost = charge(candidate.endpoint.pricing) if reason is None else None
        if cost is not None and cost >= 0:
            fits.append(_Fit(candidate, cost, _band(candidate.health), _place(candidate, preferences)))
        else:
            excluded.append((candidate.name, reason or "what it costs is not known"))
    notes = [*preferences.notes, *_misspelled(preferences, known)]
    if not fits:
        why = f"none of the {len(known)} endpoints may serve this" if known else "no endpoint is known"
        return Bounds(None, None, None, (), tuple(sorted(excluded)), tuple(notes), why)
    used = _shares(fits, preferences, notes)
    costs = [it.cost for it in used]
    return Bounds(min(costs), _expected(used), max(costs), used, tuple(sorted(excluded)), tuple(notes))


# --- who may serve


def _unfit(candidate: Candidate, preferences: Preferences, at: datetime) -> str | None:
    """Why an endpoint may not serve, or None."""
    it, status = candidate.endpoint, candidate.health.status
    if any(_is_meant(name, candidate, with_tiers=True) for name in preferences.ignore):
        return "ignored"
    if not _is_tier_asked(candidate, preferences):
        return f"of the service tier {tier_of(it.tag)}, which was not asked for"
    if preferences.only and not any(_is_meant(name, candidate) for name in preferences.only):
        return "not among `only`"
    if preferences.order and not preferences.allow_fallbacks and _place(candidate, preferences) is None:
        return "not in `order`, and fallbacks are not allowed"
    if preferences.quantizations and (it.quantization or "unknown") not in preferences.quantizations:
        return f"its quantization is {it.quantization or 'unknown'}"
    if preferences.zdr and candidate.is_zdr is not True:
        return "it keeps data" if candidate.is_zdr is False else "whether it keeps data is not known"
    if status is not None and status < 0 and status not in _STATUSES:
        return f"in outage (status {status})"
    return _too_dear(it.pricing, preferences.max_price, at)


def _is_meant(name: str, candidate: Candidate, *, with_tiers: bool = False) -> bool:
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
    return any(_is_meant(name, candidate) for name in (*preferences.order, *preferences.only))


def _place(candidate: Candidate, preferences: Preferences) -> int | None:
    """Where in `order` an endpoint is; None: nowhere."""
    return next((place for place, name in enumerate(preferences.order) if _is_meant(name, candidate)), None)


def _too_dear(pricing: Pricing, limits: Iterable[tuple[str, Decimal]], at: datetime) -> str | None:
    for unit, most in limits:
        rate = pricing.rate_at(unit, at)
        if unit in {"prompt", "completion"}:
            if rate is None or rate < 0:
                return f"its {unit} price is not known, and max_price limits it"
            rate = per_million(rate)
        if rate is not None and rate > most:
            return f"its {unit} price is ${plain(rate)}, and max_price is ${plain(most)}"
    return None


def _band(health: Health) -> Band:
    """The worse of what its uptime and its status say."""
    uptime = math.inf if health.uptime is None else health.uptime
    measured = (uptime < HEALTHY_UPTIME) + (uptime < DEGRADED_UPTIME)
    return _BANDS[max(measured, _BANDS.index(_STATUSES.get(health.status or 0, "healthy")))]


def _misspelled(preferences: Preferences, candidates: Sequence[Candidate]) -> Iterable[str]:
    for listed in ("order", "only", "ignore"):
        for name in getattr(preferences, listed):
            if not any(_is_meant(name, it, with_tiers=listed == "ignore") for it in candidates):
                yield f"`{listed}` names {name}, which means no endpoint of this model"


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
        return math.inf if health.throughput_p50 is None else -health.throughput_p50
    return math.inf if by != "latency" or health.latency_p50 is None else health.latency_p50


def _chances(fits: Sequence[_Fit], band: Band) -> list[Fraction]:
    """By 1/cost² within a band; who is free leaves nothing for the others."""
    costs = [Fraction(it.cost) if it.band == band else None for it in fits]
    if Fraction(0) in costs:
        weights = [Fraction(cost == 0) for cost in costs]
    else:
        weights = [Fraction(0) if cost is None else 1 / (cost * cost) for cost in costs]
    return [weight / sum(weights) for weight in weights]


def _expected(shares: Sequence[Share]) -> Decimal:
    likely = [it.cost for it in shares if it.weight]
    mean = sum((it.weight * Fraction(it.cost) for it in shares), Fraction(0))
    rounded = _ROUNDING.divide(Decimal(mean.numerator), Decimal(mean.denominator))
    # rounding never leads out of what it is the mean of
    return min(max(canonical(rounded), min(likely)), max(likely))


# --- reading


def _read_names(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(it, str) and it for it in value):
        raise _bad(name, value, "a list of names")
    return tuple(dict.fromkeys(it.casefold() if name == "quantizations" else it for it in value))


def _read_choice(name: str, value: Any) -> Any:
    choices = ("allow", "deny") if name == "data_collection" else (True, False)
    if type(value) is type(choices[0]) and value in choices:
        return value
    raise _bad(name, value, " or ".join(str(it).lower() for it in choices))


def _read_wish(name: str, value: Any) -> None:
    levels = value.values() if isinstance(value, Mapping) else (value,)
    if any(level is not None and _amount(level) is None for level in levels):
        raise _bad(name, value, "a number, or one for each percentile")


def _read_sort(name: str, value: Any) -> Sort | None:
    by = value.get("by") if isinstance(value, Mapping) else value
    if isinstance(value, Mapping) and (
        set(value) - {"by", "partition"} or value.get("partition") not in (None, "model", "none")
    ):
        raise _bad(name, value, "an object of `by` and `partition` (model or none)")
    found: Sort | None = next((known for known in get_args(Sort) if known == by), None)
    if found is None and by is not None:
        raise _bad(name, value, f"one of {', '.join(get_args(Sort))}")
    return found


def _read_max_price(name: str, value: Any) -> tuple[tuple[str, Decimal], ...]:
    units = ("prompt", "completion", "request", "image", "audio")
    if not isinstance(value, Mapping) or any(unit not in units for unit in value):
        raise _bad(name, value, f"an object with prices for {', '.join(units)}")
    limits = {unit: _amount(most) for unit, most in value.items() if most is not None}
    if bad := [unit for unit, limit in limits.items() if limit is None]:
        raise _bad(f"{name}.{bad[0]}", value[bad[0]], "a number of USD")
    return tuple(sorted((unit, limit) for unit, limit in limits.items() if limit is not None and unit != "audio"))


def _amount(value: object) -> Decimal | None:
    if isinstance(value, int) and value.bit_length() > 64:
        return None
    number = exact(repr(value)) if isinstance(value, float) else exact(value)
    return None if number is None or number < 0 else number


def _bad(name: str, value: object, wanted: str) -> UsageError:
    try:
        found = f"{value!r:.60}"
    except (ValueError, RecursionError):  # too many digits, or nested too deeply
        found = f"this {type(value).__name__}"
    return UsageError(
        f"{f'provider preference {name} is' if name else 'provider preferences are'} {wanted}, not {found}"
    )


def _unjudged(told: Mapping[str, Any]) -> Iterable[str]:
    for name, why in _UNJUDGED.items():
        if told.get(name) not in (None, False, "allow"):
            yield f"`{name}`: {why}"
    if told.get("max_price", {}).get("audio") is not None:
        yield "`max_price.audio`: what it is a price for is not documented; nobody is left out for it"


#: Keys that are read and decide nothing here, and why
_UNJUDGED = {
    "require_parameters": "the parameters of the request are not known here; nobody is left out for them",
    "data_collection": "who collects data is not known; nobody is left out for it",
    "enforce_distillable_text": "which models allow it is not known; nobody is left out for it",
    "preferred_min_throughput": "a wish that moves endpoints back; it is not taken into account",
    "preferred_max_latency": "a wish that moves endpoints back; it is not taken into account",
}
#: OpenRouter's keys, and how each is read
_READERS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(("order", "only", "ignore", "quantizations"), _read_names),
    **dict.fromkeys(("allow_fallbacks", "zdr", "require_parameters", "enforce_distillable_text"), _read_choice),
    "data_collection": _read_choice,
    "sort": _read_sort,
    "max_price": _read_max_price,
    **dict.fromkeys(("preferred_min_throughput", "preferred_max_latency"), _read_wish),
}
