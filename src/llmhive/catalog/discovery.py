"""Discovery: which models of a plan are new, and what people want to know of them: who made it, what it can do, what it
costs against its family; pure.

A model is new once. One that was known under another id is not: OpenRouter renames ids, and what stays is the
``canonical_slug`` with the variant (reference 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any, Literal
from urllib.parse import quote

from llmhive.catalog.capability import cells
from llmhive.catalog.diff import Belief, Plan
from llmhive.catalog.model import Model
from llmhive.catalog.pricing import NOT_PER_TOKEN, PER_TOKEN, plain

#: What people choose a model by, in the order in which it is told.
CHOSEN = ("tools", "structured_outputs", "reasoning", "vision", "web_search", "prompt_caching")

#: What models give that is paid for in units of its own: prompt and completion are not what they cost.
_PAID_APART = NOT_PER_TOKEN | {"image", "audio", "video"}
_PAGE = "https://openrouter.ai/"
_WIDE = Context(prec=200)
_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Known:
    """What a new model is compared with, as it is once the plan is applied."""

    listed: Mapping[str, Model]  #: every active model, the new ones too
    families: Mapping[str, tuple[Model, ...]]  #: active base rows that were known before, by family
    ids: frozenset[str]  #: every model that is or was listed


def known_of(plan: Plan, believed: Mapping[str, Belief]) -> Known:
    """What is known once a plan is applied; `believed` is what is believed before."""
    gone = set(plan.deactivated)
    listed = {key: it.version.model for key, it in believed.items() if it.is_active and key not in gone}
    listed |= {record.id: record.model for record in plan.feed.records}
    families: dict[str, tuple[Model, ...]] = {}
    for key, model in listed.items():
        identity = model.identity
        if key in believed and not identity.is_alias and identity.variant is None:
            families[identity.family] = (*families.get(identity.family, ()), model)
    return Known(listed, families, frozenset((*believed, *listed)))


def renames(plan: Plan, believed: Mapping[str, Belief]) -> dict[str, str]:
    """The models of a plan that were known by another id: the new id → the old one."""
    if not plan.added:
        return {}
    gone = set(plan.deactivated)
    # of several ids, the one that goes now is the one that is replaced
    in_order = sorted(believed, key=lambda key: (key in gone, key))
    names = {name: key for key in in_order if (name := _lasting_name(believed[key].version.model))}
    return {record.id: names[name] for record in plan.added if (name := _lasting_name(record.model)) and name in names}


def _lasting_name(model: Model) -> tuple[str, str | None] | None:
    """What a model keeps when its id changes; None for an alias, which is no model."""
    if model.canonical_slug is None or model.identity.is_alias:
        return None
    return model.canonical_slug, model.identity.variant


def facts_of(model: Model, known: Known) -> dict[str, Any]:
    """What is told of a new model: JSON values, prices in USD per unit as decimal strings."""
    identity, base = model.identity, _base_id(model)
    can = cells(model)
    return {
        "name": model.name,
        "author": identity.author,
        "family": identity.family,
        "generation": identity.generation,
        "size": identity.size,
        "variant": identity.variant,
        "variant_of": base if base in known.ids else None,
        "is_alias": identity.is_alias,
        "alias_of": model.alias_target,
        "pricing_kind": model.pricing_kind,
        "prompt": _rate(model, "prompt"),
        "completion": _rate(model, "completion"),
        "per_token": is_per_token(model, "prompt"),
        "against_family": _against(model, known),
        "context_length": model.context_length,
        "max_completion_tokens": model.max_completion_tokens,
        "input_modalities": list(model.input_modalities),
        "output_modalities": list(model.output_modalities),
        "capabilities": [name for name in CHOSEN if can[name].state == "yes"],
        "expiration_date": None if model.expiration_date is None else model.expiration_date.isoformat(),
        "link": _PAGE + quote(model.id, safe="/:~"),
    }


def _base_id(model: Model) -> str | None:
    identity = model.identity
    return None if identity.variant is None else model.id.removesuffix(f":{identity.variant}")


# --- its price against others


def _against(model: Model, known: Known) -> dict[str, Any] | None:
    """The price of the model that people would compare it with, and how much dearer this one is, in percent."""
    if model.identity.is_alias or _PAID_APART & set(model.output_modalities):
        return None
    base = _base_id(model)
    relation: Literal["base", "family"] = "base" if base in known.ids else "family"
    other = _priced(known.listed.get(base or "")) if relation == "base" else _sibling(model, known)
    if other is None:
        return None
    return {
        "id": other.id,
        "relation": relation,
        "prompt": _rate(other, "prompt"),
        "completion": _rate(other, "completion"),
        "prompt_percent": _difference(other, model, "prompt"),
        "completion_percent": _difference(other, model, "completion"),
    }


def _sibling(model: Model, known: Known) -> Model | None:
    """The newest of its family: of its size, if there is one."""
    mine = model.identity
    others = [
        it
        for it in known.families.get(mine.family, ())
        if (it.identity.author, it.identity.slug) != (mine.author, mine.slug) and _priced(it)
    ]
    return _newest(it for it in others if it.identity.size == mine.size) or _newest(others)


def _newest(models: Iterable[Model]) -> Model | None:
    return max(models, key=lambda it: (it.created_at or _LONG_AGO, it.id), default=None)


def _priced(model: Model | None) -> Model | None:
    """The model, if it has one fixed price per token."""
    if model is None or model.pricing_kind != "fixed" or _PAID_APART & set(model.output_modalities):
        return None
    prompt, completion = model.pricing.rate("prompt"), model.pricing.rate("completion")
    # a scheduled rate is no one number; a model that is paid by the request has two zeros
    return model if prompt is not None and completion is not None and (prompt or completion) else None


def _rate(model: Model, unit: str) -> str | None:
    rate = model.pricing.rate(unit)
    return None if rate is None else plain(rate)


def _difference(before: Model, after: Model, unit: str) -> float | None:
    old, new = before.pricing.rate(unit), after.pricing.rate(unit)
    # nothing and nothing are the same, though no percentage says so
    return 0.0 if old == new == 0 else percent(old, new)


def percent(before: Decimal | None, after: Decimal | None) -> float | None:
    """How much more a rate is than another, to two decimals; None against nothing, the unknown or the varying."""
    if not before or after is None or before < 0 or after < 0:
        return None
    ratio = _WIDE.divide(_WIDE.subtract(after, before), before)
    return float(_WIDE.quantize(_WIDE.multiply(ratio, Decimal(100)), Decimal("0.01")))


def is_per_token(model: Model, unit: str) -> bool:
    """Whether a unit of a model's prices counts tokens."""
    return (unit in PER_TOKEN or unit == "overrides") and not NOT_PER_TOKEN & set(model.output_modalities)
