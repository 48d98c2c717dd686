"""Endpoint: one provider's offer of one model, how it fares, and who the provider is.

What an endpoint *offers* (price, context, quantization, parameters) changes slowly and is kept as versions; its
*health* OpenRouter measures anew every few minutes, and it is kept apart. Source: ``GET /models/{id}/endpoints`` and
``GET /providers`` (reference 6.1, 6.3).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from llmhive.catalog.model import pricing_document, pricing_from
from llmhive.catalog.pricing import Pricing, plain

#: Percent of answered requests below which an endpoint is not healthy.
HEALTHY_UPTIME = 95.0
#: Parts of a tag that say a service tier, which serves only who asks for it; ``fast`` is another name of priority.
TIERS = frozenset({"flex", "priority", "fast"})
#: Names of the service tier that is none.
ORDINARY = frozenset({"", "auto", "default", "standard"})

_DOCUMENTS = msgspec.json.Encoder(order="sorted")
_READ_DOCUMENT = msgspec.json.Decoder(float_hook=Decimal)
_PLAIN_FIELDS = (
    "model_id", "tag", "provider_name", "context_length", "max_completion_tokens", "max_prompt_tokens", "quantization",
    "supports_implicit_caching", "supports_voice_cloning",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a provider offers; equal means unchanged."""

    model_id: str
    tag: str  #: what to write into ``provider.order`` and ``provider.only``; a model may repeat one
    provider_name: str
    context_length: int | None = None  #: tokens
    max_completion_tokens: int | None = None  #: tokens; None: no cap known
    max_prompt_tokens: int | None = None  #: tokens; None: no cap known
    quantization: str | None = None  #: as served; None: unknown
    pricing: Pricing = field(default_factory=Pricing)  #: net: the discount is already taken off
    discount: Decimal | None = None  #: the fraction taken off; negative: a mark-up; None: not told
    supported_parameters: tuple[str, ...] = ()  #: sorted
    supports_implicit_caching: bool | None = None
    supports_voice_cloning: bool | None = None

    def headline(self, at: datetime) -> tuple[Decimal | None, Decimal | None]:
        """USD per prompt token and per completion token at an instant (UTC); None where it is no known number.

        Whether a zero is a price is for its model to say: media models list zeros for what is priced elsewhere.
        """
        prompt, completion = self.pricing.rate_at("prompt", at), self.pricing.rate_at("completion", at)
        return (
            None if prompt is None or prompt < 0 else prompt,
            None if completion is None or completion < 0 else completion,
        )


@dataclass(frozen=True, slots=True)
class Health:
    """How an endpoint fared lately; None: too few requests, or not told."""

    status: int | None = None  #: 0: operates; below: degraded or disabled
    uptime_last_5m: float | None = None  #: percent, 0 to 100
    uptime_last_30m: float | None = None  #: percent, 0 to 100
    uptime_last_1d: float | None = None  #: percent, 0 to 100
    latency_p50: float | None = None  #: milliseconds to the first token, over 30 minutes
    latency_p90: float | None = None  #: milliseconds to the first token, over 30 minutes
    throughput_p50: float | None = None  #: tokens a second, over 30 minutes
    throughput_p90: float | None = None  #: tokens a second, over 30 minutes

    @property
    def uptime(self) -> float | None:
        """Percent, over the last 30 minutes; where that is unknown, over the last day."""
        return self.uptime_last_1d if self.uptime_last_30m is None else self.uptime_last_30m


@dataclass(frozen=True, slots=True)
class Offer:
    """One entry of a model's endpoints."""

    endpoint: Endpoint
    health: Health = field(default_factory=Health)


@dataclass(frozen=True, slots=True)
class Provider:
    """Who serves models."""

    slug: str
    name: str  #: as endpoints name it
    headquarters: str | None = None  #: country, ISO 3166 alpha-2
    datacenters: tuple[str, ...] | None = None  #: countries, sorted; None: unknown
    privacy_policy_url: str | None = None
    terms_of_service_url: str | None = None
    status_page_url: str | None = None


def keyed(offers: Sequence[Offer]) -> dict[str, Offer]:
    """The offers of one model by key: the tag; of those that repeat one, the second is ``tag#2``, and so on.

    Which of them is the first is decided by what they are (limits, quantization, parameters), never by their order in
    the feed, and by the price only where nothing else tells them apart.
    """
    tags = {offer.endpoint.tag for offer in offers}
    found: dict[str, Offer] = {}
    for offer in sorted(offers, key=_standing):
        key, number = offer.endpoint.tag, 1
        while key in found or (number > 1 and key in tags):
            number += 1
            key = f"{offer.endpoint.tag}#{number}"
        found[key] = offer
    return found


def _standing(offer: Offer) -> tuple[Any, ...]:
    it, health = offer.endpoint, offer.health
    features = it.supports_implicit_caching, it.supports_voice_cloning
    limits = it.context_length, it.max_completion_tokens, it.max_prompt_tokens
    sizes = tuple(math.inf if limit is None else limit for limit in limits)
    return (
        it.tag, it.provider_name, it.quantization or "", sizes, it.supported_parameters, repr(features),
        _prices(it.pricing), to_document(it), repr(health),
    )  # fmt: skip


def _prices(pricing: Pricing) -> tuple[tuple[bool, Decimal], ...]:
    rates = (pricing.rate(unit) for unit in ("prompt", "completion"))
    return tuple((rate is None, rate or Decimal(0)) for rate in rates)


def is_healthy(health: Health) -> bool | None:
    """Whether requests can be sent there: a status of 0 or above, and an uptime of at least `HEALTHY_UPTIME`.

    What is not told does not count against it; None where nothing at all is told.
    """
    status, uptime = health.status, health.uptime
    if status is None and uptime is None:
        return None
    return not (_is_bad_status(status) or _is_low(uptime))


def gone_bad(before: Health | None, after: Health) -> str | None:
    """Why an endpoint that was healthy is no longer, e.g. ``status 0 → -2``; None where it is not so.

    What was not known to be healthy cannot go bad: a new endpoint (None) and one that was bad already.
    """
    if before is None or not is_healthy(before) or is_healthy(after) is not False:
        return None
    reasons = []
    if _is_bad_status(after.status):
        reasons.append(f"status {'unknown' if before.status is None else before.status} → {after.status}")
    if _is_low(after.uptime):
        reasons.append(f"uptime {_percent(before.uptime)} → {_percent(after.uptime)} %")
    return ", ".join(reasons)


def _is_bad_status(status: int | None) -> bool:
    return status is not None and status < 0


def _is_low(uptime: float | None) -> bool:
    return uptime is not None and uptime < HEALTHY_UPTIME


def _percent(uptime: float | None) -> str:
    # cut off, not rounded: 94.97 is below 95
    return "unknown" if uptime is None else f"{math.floor(uptime * 10) / 10:.1f}"


def to_document(endpoint: Endpoint) -> str:
    """An endpoint as JSON in normal form (sorted keys, prices as decimal strings, absent fields left out)."""
    document: dict[str, Any] = {
        name: value for name in _PLAIN_FIELDS if (value := getattr(endpoint, name)) is not None
    } | {"pricing": pricing_document(endpoint.pricing)}
    if endpoint.discount is not None:
        document["discount"] = plain(endpoint.discount)
    if endpoint.supported_parameters:
        document["supported_parameters"] = endpoint.supported_parameters
    return _DOCUMENTS.encode(document).decode()


def from_document(document: str | bytes) -> Endpoint:
    """The endpoint that a document describes."""
    read: dict[str, Any] = _READ_DOCUMENT.decode(document)
    discount = read.get("discount")
    plain_values: dict[str, Any] = {name: read.get(name) for name in _PLAIN_FIELDS}
    return Endpoint(
        **plain_values,
        pricing=pricing_from(read["pricing"]),
        discount=None if discount is None else Decimal(discount),
        supported_parameters=tuple(read.get("supported_parameters", ())),
    )


@dataclass(frozen=True, slots=True)
class Span:
    """The health of an endpoint over a while: one sample, or what several are summed up to."""

    samples: int  #: how many it sums up
    status: int | None = None  #: the worst (lowest)
    uptime: float | None = None  #: percent, the mean
    uptime_low: float | None = None  #: percent, the lowest
    latency_p50: float | None = None  #: milliseconds, the mean
    throughput_p50: float | None = None  #: tokens a second, the mean


def sample(health: Health) -> Span:
    """One measurement as a span."""
    uptime = health.uptime_last_30m
    return Span(1, health.status, uptime, uptime, health.latency_p50, health.throughput_p50)


def summed(spans: Iterable[Span]) -> Span:
    """Several spans as one, in whatever order they come: each counts as many times as it has samples.

    A value that a span does not know is left out of the mean of that value, and the span with it.
    """
    parts = tuple(spans)
    return Span(
        samples=sum(part.samples for part in parts),
        status=_lowest(part.status for part in parts),
        uptime=_mean((part.uptime, part.samples) for part in parts),
        uptime_low=_lowest(part.uptime_low for part in parts),
        latency_p50=_mean((part.latency_p50, part.samples) for part in parts),
        throughput_p50=_mean((part.throughput_p50, part.samples) for part in parts),
    )


def _lowest(values: Iterable[Any]) -> Any:
    return min((value for value in values if value is not None), default=None)


def _mean(weighted: Iterable[tuple[float | None, int]]) -> float | None:
    known = [(value, weight) for value, weight in weighted if value is not None]
    if not known:
        return None
    mean = math.fsum(value * weight for value, weight in known) / sum(weight for _, weight in known)
    # what rounding adds never leads out of what was measured
    return min(max(mean, min(known)[0]), max(known)[0])


# --- whose they are


def tier_of(tag: str) -> str | None:
    """The service tier that a tag says: flex, priority, fast; None: the ordinary one."""
    return next((part for part in tag.casefold().split("/")[1:] if part in TIERS), None)


class Called(NamedTuple):
    """What an endpoint may be called by."""

    key: str
    tag: str
    provider_name: str
    slug: str | None  #: of the provider; None: not known


def served_by(endpoints: Iterable[Called], name: str | None, tier: str | None = None) -> list[str]:
    """The keys of the endpoints that a provider's name, its slug, or a tag means (None: all), at a service tier.

    Without a tier only ordinary endpoints are meant, unless the tag names one. A name means whoever is called so; only
    where nobody is, those whose tag begins with it. A tag with a slash means itself, or else what is below it. Case and
    punctuation do not count: ``Google AI Studio`` is ``google-ai-studio``.
    """
    wanted = "" if name is None else name.strip().casefold()
    asked = (tier or "").strip().casefold()
    asked_tier = tier_of(wanted.partition("#")[0]) if asked in ORDINARY else asked
    found = [it for it in endpoints if tier_of(it.tag) == asked_tier]
    if name is None:
        return sorted(it.key for it in found)
    word = folded(wanted)
    if not word:
        return []
    tests: tuple[Callable[[Called], bool], ...] = (
        lambda it: it.key.casefold() == wanted and "#" in wanted,
        lambda it: it.tag.casefold() == wanted and "/" in wanted,
        lambda it: it.tag.casefold().startswith(f"{wanted}/") and "/" in wanted,
        lambda it: folded(it.provider_name) == word,
        lambda it: it.slug is not None and folded(it.slug) == word,
        lambda it: folded(it.tag.partition("/")[0]) == word,
    )
    for is_meant in tests:
        if matches := [it.key for it in found if is_meant(it)]:
            return sorted(matches)
    return []


def folded(name: str) -> str:
    """A name without case and punctuation."""
    return re.sub(r"[\W_]+", "", name.casefold())
