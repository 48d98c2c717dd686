"""What the endpoints of a model offer, offered, and offered at an instant: reads, as JSON values."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from llmhive.catalog.endpoint import from_document
from llmhive.catalog.model import instant, pricing_document
from llmhive.catalog.pricing import per_million, plain
from llmhive.store.tables import endpoint, endpoint_check, endpoint_version, holds_at, model_catalog, provider


def checked_since(connection: sa.Connection, at: datetime) -> set[str]:
    """The ids of models whose endpoints were answered for at an instant or since."""
    return set(
        connection.execute(sa.select(endpoint_check.c.model_id).where(endpoint_check.c.succeeded_at >= at)).scalars()
    )


def ever_checked(connection: sa.Connection) -> dict[str, bool]:
    """The models whose endpoints were asked for, by id: whether that was ever answered."""
    c = endpoint_check.c
    return {
        row.model_id: row.succeeded_at is not None for row in connection.execute(sa.select(c.model_id, c.succeeded_at))
    }


def check_of(connection: sa.Connection, model_id: str) -> dict[str, Any]:
    """When a model's endpoints were asked for last, as JSON values: all None where they never were."""
    row = connection.execute(sa.select(endpoint_check).where(endpoint_check.c.model_id == model_id)).first()
    if row is None:
        return {"checked_at": None, "succeeded_at": None, "error": None}
    return {
        "checked_at": instant(row.checked_at),
        "succeeded_at": None if row.succeeded_at is None else instant(row.succeeded_at),
        "error": row.error,
    }


def providers(connection: sa.Connection) -> list[dict[str, Any]]:
    """The providers by name, as JSON values; ``models`` and ``endpoints`` count the active ones of active models,
    by the provider's name. One that serves but is not listed has a slug of None.
    """
    counts = sa.select(
        endpoint.c.provider_name,
        sa.func.count(sa.distinct(endpoint.c.model_id)).label("models"),
        sa.func.count().label("endpoints"),
    ).join(model_catalog, sa.and_(model_catalog.c.id == endpoint.c.model_id, model_catalog.c.is_active))
    active = {
        row.provider_name: row
        for row in connection.execute(counts.where(endpoint.c.is_active).group_by("provider_name"))
    }
    found = []
    for row in connection.execute(sa.select(provider)):
        serves = active.pop(row.name, None)
        found.append({
            "slug": row.slug,
            "name": row.name,
            "is_active": row.is_active,
            "models": 0 if serves is None else serves.models,
            "endpoints": 0 if serves is None else serves.endpoints,
            "headquarters": row.headquarters,
            "datacenters": row.datacenters,
            "privacy_policy_url": row.privacy_policy_url,
            "terms_of_service_url": row.terms_of_service_url,
            "status_page_url": row.status_page_url,
            "first_seen_at": instant(row.first_seen_at),
            "last_seen_at": instant(row.last_seen_at),
        })  # fmt: skip
    unlisted = dict.fromkeys(
        ("headquarters", "datacenters", "privacy_policy_url", "terms_of_service_url", "status_page_url",
         "first_seen_at", "last_seen_at")
    )  # fmt: skip
    for name, serves in active.items():
        counted = {"models": serves.models, "endpoints": serves.endpoints}
        found.append({"slug": None, "name": name, "is_active": True, **counted, **unlisted})
    return sorted(found, key=lambda it: (str(it["name"]).casefold(), str(it["slug"])))


def of(connection: sa.Connection, model_id: str) -> list[dict[str, Any]]:
    """The endpoints of a model as JSON values: the cheapest prompt first, those that are no longer offered last."""
    rows = connection.execute(sa.select(endpoint).where(endpoint.c.model_id == model_id)).all()
    return [
        _offered(row, row.health_at)
        | {
            "is_active": row.is_active,
            "status": row.status,
            "uptime_last_5m": row.uptime_last_5m,
            "uptime_last_30m": row.uptime_last_30m,
            "uptime_last_1d": row.uptime_last_1d,
            "latency_ms": _percentiles(row.latency_p50, row.latency_p90),
            "throughput_tps": _percentiles(row.throughput_p50, row.throughput_p90),
            "since": instant(row.since),
            "first_seen_at": instant(row.first_seen_at),
            "last_seen_at": instant(row.last_seen_at),
            "health_at": instant(row.health_at),
        }
        for row in sorted(rows, key=_rank)
    ]


def _rank(row: Any) -> tuple[Any, ...]:
    price = row.prompt_price
    return not row.is_active, price is None, price or 0, row.provider_name, row.key


def _percentiles(p50: float | None, p90: float | None) -> dict[str, float | None] | None:
    return None if p50 is None and p90 is None else {"p50": p50, "p90": p90}


def history_of(connection: sa.Connection, model_id: str) -> list[dict[str, Any]]:
    """Everything the endpoints of a model offered over time, as JSON values, each endpoint's oldest first."""
    begin = endpoint_version.c.valid_from
    rows = connection.execute(_versions_of(model_id).order_by(endpoint.c.key, begin))
    return [
        _offered(row, row.valid_from)
        | {
            "is_listed": row.is_listed,
            "from": instant(row.valid_from),
            "to": None if row.valid_to is None else instant(row.valid_to),
        }
        for row in rows
    ]


def as_of(connection: sa.Connection, model_id: str, at: datetime) -> list[dict[str, Any]]:
    """What the endpoints of a model offered at an instant, as JSON values; a scheduled price is the one of then."""
    begin, end = endpoint_version.c.valid_from, endpoint_version.c.valid_to
    rows = connection.execute(
        _versions_of(model_id).where(holds_at(begin, end, at), endpoint_version.c.is_listed).order_by(endpoint.c.key)
    )
    return [_offered(row, at) | {"since": instant(row.valid_from)} for row in rows]


def _versions_of(model_id: str) -> sa.Select[Any]:
    return (
        sa.select(endpoint_version, endpoint.c.key)
        .join(endpoint, endpoint.c.id == endpoint_version.c.endpoint_id)
        .where(endpoint.c.model_id == model_id)
    )


def _offered(row: Any, at: datetime) -> dict[str, Any]:
    """A document as users see it; prices are decimal strings in USD per unit, null where they are no number."""
    it = from_document(row.document)
    pricing: dict[str, Any] = {
        unit: None if isinstance(rate, str) and rate.startswith("-") else rate
        for unit, rate in pricing_document(it.pricing).items()
    }
    headline = dict(zip(("prompt", "completion"), it.headline(at), strict=True))
    pricing |= {unit: None if rate is None else plain(rate) for unit, rate in headline.items()}
    return {
        "provider": it.provider_name,
        "tag": it.tag,
        "key": row.key,
        "context_length": it.context_length,
        "max_completion_tokens": it.max_completion_tokens,
        "max_prompt_tokens": it.max_prompt_tokens,
        "quantization": it.quantization,
        "pricing": pricing,
        "pricing_per_million": {
            unit: None if rate is None else plain(per_million(rate)) for unit, rate in headline.items()
        },
        "discount": None if it.discount is None else plain(it.discount),
        "supported_parameters": list(it.supported_parameters),
        "supports_implicit_caching": it.supports_implicit_caching,
        "supports_voice_cloning": it.supports_voice_cloning,
        "is_zdr": row.is_zdr,
    }
