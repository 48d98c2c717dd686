"""A model as users see it: the same JSON from the command, the library and the service (design 3.6, *Model*).

A *row* is a row of `model_catalog` by column name, of any instant: prices as `Decimal` in USD per token, ``pricing`` as
JSON text or already read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from llmhive.catalog.model import Model, instant, pricing_document
from llmhive.catalog.pricing import PER_TOKEN, exact, per_million, plain

_COLUMNS = (
    "id", "canonical_slug", "name", "author", "family", "variant", "description", "created_at", "context_length",
    "max_completion_tokens", "input_modalities", "output_modalities", "supported_parameters", "tokenizer",
    "pricing_kind", "is_scheduled", "is_active", "first_seen_at", "last_seen_at", "deactivated_at", "expiration_date",
    "flags",
)  # fmt: skip
_TIMES = ("created_at", "first_seen_at", "last_seen_at", "deactivated_at")
_SERVED = msgspec.json.Decoder(float_hook=Decimal)


def listed(row: Mapping[str, Any], as_of: datetime | None) -> dict[str, Any]:
    """A model as lists have it; `as_of` is when the catalog was true."""
    document = {name: row[name] for name in _COLUMNS} | {"held": row["held"] or {}}
    for name in _TIMES:
        document[name] = None if document[name] is None else instant(document[name])
    if row["is_active"]:
        # an active one was seen whenever the catalog was true
        document["last_seen_at"] = None if as_of is None else instant(as_of)
    if row["expiration_date"] is not None:
        document["expiration_date"] = row["expiration_date"].isoformat()
    pricing = _pricing(row)
    document["pricing"] = pricing
    document["pricing_per_million"] = {
        unit: None if (rate := exact(value)) is None else plain(per_million(rate))
        for unit, value in pricing.items()
        if unit in PER_TOKEN
    }
    return document


def whole(row: Mapping[str, Any], as_of: datetime | None, content: Model) -> dict[str, Any]:
    """A model with all that is known of it; the row has the record as served in ``raw`` (None for a bootstrap's)."""
    return listed(row, as_of) | {
        "alias_target": content.alias_target,
        "hugging_face_id": content.hugging_face_id,
        "knowledge_cutoff": content.knowledge_cutoff,
        "is_moderated": content.is_moderated,
        "top_context_length": content.top_context_length,
        "overrides": pricing_document(content.pricing).get("overrides", []),
        "source": "bootstrap" if row["raw"] is None else "openrouter",
        "raw": None if row["raw"] is None else msgspec.Raw(row["raw"].encode()),
    }


def _pricing(row: Mapping[str, Any]) -> dict[str, Any]:
    """Prices as served, but never a number that is none: a router's "-1" and a media model's "0" are null."""
    served = row["pricing"] if isinstance(row["pricing"], dict) else _SERVED.decode(row["pricing"])
    pricing: dict[str, Any] = {}
    for unit, value in (served if isinstance(served, dict) else {}).items():
        rate = exact(value)
        if rate is None:
            pricing[unit] = value
        else:
            pricing[unit] = None if rate < 0 else plain(rate)
    for unit in ("prompt", "completion"):
        price = row[f"{unit}_price"]
        pricing[unit] = None if price is None else plain(price)
    return pricing
