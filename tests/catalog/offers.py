"""Endpoints that serve a request of a thousand tokens, and how it is asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from llmhive.catalog.endpoint import Endpoint, Health
from llmhive.catalog.preferences import Preferences
from llmhive.catalog.pricing import EXACT, Pricing
from llmhive.catalog.routing import Bounds, Candidate, bounds

AT = datetime(2026, 7, 22, 12, tzinfo=UTC)
ANY = Preferences()
FINE, DOWN = Health(status=0, uptime_last_30m=100.0), Health(status=-10, uptime_last_30m=100.0)
DEGRADED, FAILING = Health(uptime_last_30m=94.9), Health(uptime_last_30m=79.9)


def charge(pricing: Pricing) -> Decimal | None:
    """1,000 prompt tokens and 500 completion tokens."""
    prompt, completion = pricing.rate_at("prompt", AT), pricing.rate_at("completion", AT)
    if prompt is None or completion is None or prompt < 0 or completion < 0:
        return None
    return EXACT.add(EXACT.multiply(Decimal(1000), prompt), EXACT.multiply(Decimal(500), completion))


def offer(
    tag: str,
    cost: str | None,
    health: Health = FINE,
    *,
    provider: str | None = None,
    slug: str | None = None,
    zdr: bool | None = None,
    quantization: str | None = None,
    key: str | None = None,
    **rates: str,
) -> Candidate:
    """An endpoint whose prompt tokens cost this many USD per million, and whose completion tokens nothing."""
    told = {"prompt": Decimal(cost).scaleb(-6), "completion": Decimal(0)} if cost is not None else {}
    pricing = Pricing.of(told | {unit: Decimal(rate) for unit, rate in rates.items()})
    it = Endpoint(
        "acme/one", tag, provider or tag.partition("/")[0].title(), quantization=quantization, pricing=pricing
    )
    return Candidate(it, health, zdr, slug, key)


def usd(per_million: str) -> Decimal:
    """What the 1,000 tokens cost."""
    return Decimal(per_million).scaleb(-3)


def ask(*offers: Candidate, suffix: str | None = None, **provider: Any) -> Bounds:
    return bounds(offers, Preferences.of(provider).with_suffix(suffix), charge, AT)


def ends(found: Bounds) -> tuple[Decimal, Decimal]:
    assert found.lowest is not None
    assert found.highest is not None
    return found.lowest, found.highest


def reasons(found: Bounds) -> dict[str, str]:
    return dict(found.excluded)


def keys(found: Bounds) -> list[str]:
    return [it.key for it in found.used]
