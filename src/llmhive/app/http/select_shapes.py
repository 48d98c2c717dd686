"""The shapes of `POST /api/select`, for the OpenAPI document: what it reads, and what it answers."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from pydantic import ConfigDict, Field

from llmhive.app.http.cost_shapes import ServedBy, WhyNot
from llmhive.app.http.schema import Amount, Base, Catalogued
from llmhive.catalog.need import ALLOWED, LONGEST_NAME, MOST_CHOICES, MOST_NAMES, OBJECTIVES, PARTS, TASKS
from llmhive.catalog.role import ROLES

#: Models of one body that are explained.
MOST_EXPLAINED = 20
#: A body in full, and two that people start from.
WHOLE: dict[str, Any] = {
    "task": "programming", "require": ["tools", "structured_outputs"], "min_context": 200_000,
    "max_price_per_million": {"prompt": 3, "completion": 15}, "objective": "value", "exclude": ["x-ai/*"],
    "usage": {"prompt": 12000, "completion": 800}, "limit": 3, "explain": ["openai/gpt-4o"], "rejected": False,
}  # fmt: skip
COPY: dict[str, Any] = {"role": "replacement", "of": "openai/gpt-4o"}
THEN: dict[str, Any] = {"objective": {"quality": 0.5, "speed": 0.5}, "as_of": "2026-11-01T12:00:00Z"}


# --- what it reads


def _text(*, examples: Collection[str] = ()) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME}
    return found | ({"examples": list(examples)} if examples else {})


def _list(of: dict[str, Any] | None = None, *, most: int = MOST_NAMES) -> dict[str, Any]:
    return {"type": "array", "maxItems": most, "items": of or _text()}


def _one_of(words: Collection[str]) -> dict[str, Any]:
    return {"type": "string", "enum": list(words)}


def _number(most: float, *, is_whole: bool = False, least: int = 0) -> dict[str, Any]:
    return {"type": "integer" if is_whole else "number", "minimum": least, "maximum": most}


def _object(fields: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "type": "object", "additionalProperties": False,
        "properties": {name: {"anyOf": [it, {"type": "null"}]} for name, it in fields.items()},
    }  # fmt: skip


_TOKENS = _number(10**15 - 1, is_whole=True)
_MUCH = _number(10**9)
_PRICE: dict[str, Any] = {"anyOf": [_MUCH, {"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,30})?$"}]}
_WEIGHTS = {"anyOf": [_one_of(OBJECTIVES), _object(dict.fromkeys(PARTS, _MUCH))]}
_ROLES = "; ".join(f"{name}: {it.why[:1].lower()}{it.why[1:].rstrip('.')}" for name, it in ROLES.items())
#: The fields of `Need`, in its order: what each may be, what it means, and what it is where it is left out.
_NEED: dict[str, tuple[dict[str, Any], str, Any]] = {
    "task": (_one_of(TASKS), "what the model is for: its benchmark or its ranking then counts for quality", None),
    "role": (_one_of(ROLES), f"a need with a name, which fills what is left out. {_ROLES}", None),
    "of": (
        _text(examples=["openai/gpt-4o"]),
        "the model that escalation and replacement start from, by any of its names",
        None,
    ),
    "require": (
        _list(_text(examples=["tools", "vision"])),
        "capabilities or supported parameters, all of them at one endpoint; /api/capabilities lists them",
        [],
    ),
    "inputs": (_list(_text(examples=["image"])), "modalities it must take", []),
    "outputs": (_list(_text(examples=["text"])), "modalities it must give; without any: text", []),
    "min_context": (_TOKENS, "least context length in tokens; a request of `usage` must fit in any case", None),
    "min_output": (_TOKENS, "tokens that an answer may have, at least", None),
    "max_price_per_million": (
        _object({"prompt": _PRICE, "completion": _PRICE}),
        "most USD per million tokens, exact: a number, or a decimal string",
        {},
    ),
    "providers": (_list(), "only these: tags, slugs or names", []),
    "exclude_providers": (_list(), "none of these, likewise", []),
    "quantizations": (_list(_text(examples=["fp8", "bf16"])), "one of these; `unknown` is one", []),
    "zdr": ({"type": "boolean"}, "true: only endpoints that are known to keep no data", False),
    "min_uptime": (_number(100), "least uptime in percent", None),
    "max_latency": (_MUCH, "most seconds to the first token, the median", None),
    "min_throughput": (_MUCH, "least tokens a second, the median", None),
    "models": (_list(_text(examples=["anthropic/*"])), "only these: names, or patterns of ids with `*`", []),
    "exclude": (_list(_text(examples=["x-ai/*"])), "none of these, likewise; not as fallbacks either", []),
    "allow": (_list(_one_of(ALLOWED)), "what is left out unless it is asked for", []),
    "lasting_days": (_number(36_500, is_whole=True), "days in which it must not expire", 0),
    "objective": (_WEIGHTS, "what makes a model better: a name, or weights, of which one is more than 0", "value"),
    "usage": (
        {"type": "object", "examples": [{"prompt": 12000, "completion": 800}]},
        "a typical request, or several, as /api/cost takes it: what models cost is reckoned for it; without it: "
        "3,000 tokens in and 1,000 out",
        None,
    ),
    "stick_to": (_text(examples=["openai/gpt-4o"]), "the model in use: it comes first unless another is clearly better",
                 None),
    "margin": (_number(1), "by how much another must score better than the model in use", 0.02),
    "limit": (_number(MOST_CHOICES, is_whole=True, least=1), "choices, at most", 5),
}  # fmt: skip
_BESIDE: dict[str, tuple[dict[str, Any], str, Any]] = {
    "as_of": (
        _text(examples=["2026-11-01T12:00:00Z"]),
        "choose from what OpenRouter served at a day or an instant (ISO 8601, UTC); without it: now",
        None,
    ),
    "explain": (_list(most=MOST_EXPLAINED), "models to explain: why each is or is not chosen", []),
    "rejected": ({"type": "boolean"}, "false: leave out why the others are rejected, hundreds of lines", True),
}
#: The names of a need's fields, of those beside it, and of all.
OF_NEED, BESIDE = tuple(_NEED), tuple(_BESIDE)
NAMES = (*OF_NEED, *BESIDE)


def body_schema() -> dict[str, Any]:
    """The body in the OpenAPI document; whatever content type it says, it is read as JSON."""
    fields = {
        name: {"anyOf": [shape, {"type": "null"}], "description": text, "default": default}
        for name, (shape, text, default) in {**_NEED, **_BESIDE}.items()
    }
    whole = {
        "type": "object", "title": "Need", "properties": fields, "additionalProperties": False,
        "description": "What is asked of a model. Every field may be left out, and null is as good as absent; what is "
        "not known of a model meets no limit.",
    }  # fmt: skip
    examples = {
        "constraints": {"value": WHOLE}, "replacement": {"value": COPY}, "then": {"value": THEN},
        "default": {"value": {}},
    }  # fmt: skip
    return {"required": False, "content": {"application/json": {"schema": whole, "examples": examples}}}


# --- what it answers


class ChoiceEndpoint(ServedBy):
    """An endpoint that meets every constraint, and how it fares."""

    uptime: float | None = Field(description="percent; null: not known, as below")
    throughput_p50: float | None = Field(description="tokens a second")
    latency_p50: float | None = Field(description="milliseconds to the first token")


class Choice(Base):
    """A model that qualifies; amounts are in USD for the need's usage."""

    id: str
    name: str | None
    score: float = Field(description="0 to 1: the weighted sum of its parts, on fixed scales")
    parts: dict[str, float] = Field(
        description="the marks it is made of, 0 to 1: quality, price, speed; of a replacement family, capability, "
        "price, quality"
    )
    expected_cost: Amount = Field(description="as OpenRouter would route it among the endpoints that qualify")
    lowest_cost: Amount = Field(description="at the cheapest of them")
    highest_cost: Amount = Field(description="at the dearest")
    per_million: Amount = Field(description="the expected cost per million tokens, in and out")
    context_length: int | None
    reasons: list[str] = Field(description="why it stands where it does; what to mind comes last")
    endpoints: list[ChoiceEndpoint] | None = Field(
        description="those that qualify, in the order in which they would be asked; null: not known, or it has none of "
        "its own, as a router, and it is judged by what it is listed with"
    )


class FlipPoint(Base):
    """A value at which the first choice would be another, all else as it is."""

    id: str = Field(description="the model whose value it is")
    what: Literal["price", "quality", "rank", "uptime"] = Field(description="price: USD per million tokens")
    from_: float = Field(alias="from", description="how it stands")
    to: float = Field(description="from here on")
    why: str = Field(description="who would come first then")


class EndpointFit(Base):
    """A live endpoint of a model that is explained."""

    key: str
    qualifies: bool = Field(description="whether it and its model meet every constraint")
    lacks: list[str] = Field(description="what of it does not; empty where its model is what does not")


class Explanation(Base):
    """Why a model is or is not chosen, and what it would take."""

    id: str
    is_chosen: bool
    place: int | None = Field(description="among all that qualify, from 1; null: it does not qualify")
    why: str
    choice: Choice | None = Field(description="null: it does not qualify")
    obstacles: list[str] = Field(
        description="all that keeps it from qualifying, at the endpoint that lacks the least; empty where it qualifies"
    )
    flip_points: list[FlipPoint] = Field(
        description="where it would come first; empty where it does, or where no figure alone brings it there"
    )
    endpoints: list[EndpointFit] = Field(description="all that are live; empty where they are not known")


class NoExplanation(Base):
    """A name that means no model, in the place of its explanation."""

    error: WhyNot


class ReadyRequest(Base):
    """The body to send to OpenRouter, but for the messages: no endpoint may serve it that does not qualify."""

    model: str
    models: list[str] | None = Field(None, description="it and its fallbacks, in order; absent: there is none")
    provider: dict[str, Any] | None = Field(None, description="OpenRouter's preferences; absent: none are needed")


_CHOICE: dict[str, Any] = {
    "id": "anthropic/claude-sonnet-5", "name": "Anthropic: Claude Sonnet 5", "score": 0.533414821,
    "parts": {"quality": 0.588, "price": 0.406048068}, "expected_cost": "0.048", "lowest_cost": "0.048",
    "highest_cost": "0.048", "per_million": "3.75", "context_length": 1_000_000,
    "reasons": ["quality 0.588 for programming: coding index 62, rank 1",
                "$0.048 for 12,000 + 800 tokens ($3.75 a million)", "1 of 2 endpoints qualify: anthropic"],
    "endpoints": [{"key": "anthropic", "provider": "Anthropic", "cost": "0.048", "share": 1.0, "band": "healthy",
                   "uptime": 99.8, "throughput_p50": 61.0, "latency_p50": 1340.0}],
}  # fmt: skip
_SHORTLIST: dict[str, Any] = {
    "catalog_age_seconds": 611, "catalog_version": 41, "as_of": "2026-11-25T06:00:04.120000Z", "source": "openrouter",
    "need": {"task": "programming", "require": ["tools"], "usage": {"prompt": 12000, "completion": 800}, "limit": 1},
    "total": 1, "choices": [_CHOICE], "rejected": {"acme/nova:batch": "it serves batches only: allow `batch`"},
    "flip_points": [{"id": "anthropic/claude-sonnet-5", "what": "uptime", "from": 99.8, "to": 95.0,
                     "why": "no model qualifies"}],
    "notes": [],
    "request": {"model": "anthropic/claude-sonnet-5",
                "provider": {"require_parameters": True, "only": ["anthropic"]}},
    "request_notes": [],
}  # fmt: skip


class Shortlist(Catalogued):
    """The models that serve a need best, and everything that explains them."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": _SHORTLIST})
    need: dict[str, Any] = Field(description="as it was understood, a role's fields included: what is not the default")
    total: int = Field(description="how many models qualify")
    choices: list[Choice] = Field(description="the best first")
    rejected: dict[str, str] | None = Field(
        None, description="every active model that does not qualify, by id, and what removed it; absent: not asked for"
    )
    flip_points: list[FlipPoint] = Field(description="what would change the first choice")
    notes: list[str] = Field(description="what to know of the answer as a whole")
    request: ReadyRequest | None = Field(description="null: no model qualifies")
    request_notes: list[str] = Field(description="what the request cannot say, and who is not among its fallbacks")
    explanations: dict[str, Explanation | NoExplanation] | None = Field(
        None, description="by the names that were asked for; absent: none were"
    )
