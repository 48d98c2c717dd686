"""The shapes of `POST /api/cost`: what it reads, and for the OpenAPI document what it answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from pydantic import ConfigDict, Field

from llmhive.app.http.schema import Amount, Base, Instant

#: Usages in one request.
MOST = 10_000
_LONGEST = 200  #: characters of a name or a time
_USAGE: dict[str, Any] = {
    "prompt_tokens": 12000, "completion_tokens": 800, "prompt_tokens_details": {"cached_tokens": 10000},
}  # fmt: skip
ONE: dict[str, Any] = {"model": "anthropic/claude-sonnet-5", "usage": _USAGE, "at": "2026-11-01T12:00:00Z"}
MANY: dict[str, Any] = {
    "at": "2026-11-01T12:00:00Z",
    "requests": [
        {"model": "anthropic/claude-sonnet-5", "usage": _USAGE},
        {"model": "openai/gpt-4o-mini", "usage": {"prompt": 900, "completion": 69}, "provider": "Azure"},
    ],
}


# --- what it reads


class Ask(msgspec.Struct, forbid_unknown_fields=True):
    """One usage; null is as good as absent."""

    model: Annotated[
        Annotated[str, Meta(max_length=_LONGEST)] | None,
        Meta(description="its id, its canonical slug, or an id with a suffix that routes, as `:floor`"),
    ] = None
    usage: Annotated[
        dict[str, Any] | None,
        Meta(
            description="the `usage` of OpenRouter (or a record of its /generation), OpenAI or Anthropic as it is, or "
            "our names: prompt, completion, cached, written, written_1h, reasoning, audio, audio_cached, audio_output, "
            "image_tokens, image_output, images, requests, web_searches",
            examples=[_USAGE],
        ),
    ] = None
    at: Annotated[
        Annotated[str, Meta(max_length=_LONGEST)] | None,
        Meta(description="when it was (ISO 8601, UTC); without it: now", examples=["2026-11-01T12:00:00Z"]),
    ] = None
    known_at: Annotated[
        Annotated[str, Meta(max_length=_LONGEST)] | None,
        Meta(description="for audits: with the price that this catalog believed in at that instant"),
    ] = None
    provider: Annotated[
        Annotated[str, Meta(max_length=_LONGEST)] | None,
        Meta(description="who served it, by name, slug or tag: its own price is taken where it is known"),
    ] = None
    tier: Annotated[
        Annotated[str, Meta(max_length=_LONGEST)] | None, Meta(description="its service tier, as flex or priority")
    ] = None
    is_byok: Annotated[bool | None, Meta(description="it was paid with one's own key at the provider")] = None
    has_fee: Annotated[
        bool | None, Meta(description="with one's own key: the month's allowance is used up, and OpenRouter's fee due")
    ] = None
    bounds: Annotated[
        bool | None, Meta(description="add lowest, expected and highest over the endpoints that may serve it")
    ] = None
    preferences: Annotated[
        dict[str, Any] | None,
        Meta(
            description="OpenRouter's `provider` preferences of the request, for the bounds, which they imply",
            examples=[{"sort": "price", "ignore": ["azure"]}],
        ),
    ] = None
    sealed: Annotated[
        bool | None, Meta(description="add what the price was read from, and a digest, for `llmhive verify`")
    ] = None


class Body(Ask, forbid_unknown_fields=True):
    """One usage, or many: then what stands beside them holds for all that do not say otherwise."""

    requests: Annotated[list[Ask], Meta(max_length=MOST)] | None = None


#: The names of the fields.
OF_ONE, OF_ALL = Ask.__struct_fields__, Body.__struct_fields__


def body_schema() -> dict[str, Any]:
    """The body in the OpenAPI document; whatever content type it says, it is read as JSON."""
    fields = msgspec.json.schema(Ask)["$defs"]["Ask"]["properties"]
    one = {"type": "object", "properties": fields, "additionalProperties": False}
    many = {"type": "array", "maxItems": MOST, "items": one, "description": f"at most {MOST:,}, answered in order"}
    either = [
        {"title": "One", "description": "One usage.", **one, "required": ["model", "usage"]},
        {
            "title": "Many",
            "description": "Many; what stands beside `requests` holds for all that do not say otherwise.",
            **one,
            "properties": {**fields, "requests": many},
            "required": ["requests"],
        },
    ]
    examples = {"one": {"value": ONE}, "many": {"value": MANY}}
    return {"required": True, "content": {"application/json": {"schema": {"anyOf": either}, "examples": examples}}}


# --- what it answers


class ReceiptLine(Base):
    """What is charged for one thing that is counted."""

    unit: str = Field(description="the key of the pricing whose rate is charged")
    counted: str = Field(description="what is counted: plain, cached, written, text, reasoning, requests …")
    quantity: int | str = Field(description="a whole number; of a fee the amount it is a part of, as a decimal string")
    rate: Amount = Field(description="USD per one, as a decimal string; null: not a known number, and not charged")
    amount: Amount = Field(description="USD, as a decimal string")


class Fired(Base):
    """An override that was in force."""

    position: int = Field(description="its place among the overrides of the pricing, from 1")
    condition: dict[str, Any]


class PriceFrom(Base):
    """The price that was in force, and with `sealed` what it was read from."""

    source: Literal["catalog", "endpoint", "bootstrap"]
    from_: Instant = Field(alias="from")
    to: Instant | None
    provider: str | None
    tag: str | None
    capture: int | None = None
    fetched_at: Instant | None = None
    scope: str | None = None
    run: int | None = None
    digest: str | None = Field(None, description="SHA-256 of the raw body, or of the offer as it is stored")
    version: str | None = None


class ServedBy(Base):
    """An endpoint that may serve it."""

    key: str
    provider: str
    cost: str = Field(description="USD, as a decimal string")
    share: float = Field(description="how likely it is asked first, 0 to 1")
    band: Literal["healthy", "degraded", "fallback"]


class NotServedBy(Base):
    """An endpoint that may not, and why."""

    key: str
    reason: str


class CostBounds(Base):
    """Who may serve it, in the order in which they would be asked, and who may not."""

    endpoints: list[ServedBy]
    excluded: list[NotServedBy]
    notes: list[str]
    why: str | None = Field(description="why there are no bounds")


class Receipt(Base):
    """What a usage costs, with everything that led to it; amounts are decimal strings in USD."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "model": "anthropic/claude-sonnet-5", "at": "2026-11-01T12:00:00.000000Z", "known_at": None,
                "currency": "USD", "total": "0.021", "billed": "0.021", "upstream": None,
                "lines": [
                    {"unit": "prompt", "counted": "plain", "quantity": 2000, "rate": "0.000003", "amount": "0.006"},
                    {"unit": "input_cache_read", "counted": "cached", "quantity": 10000, "rate": "0.0000003",
                     "amount": "0.003"},
                    {"unit": "completion", "counted": "text", "quantity": 800, "rate": "0.000015", "amount": "0.012"},
                ],
                "lowest": None, "expected": None, "highest": None, "bounds": None, "override": None, "overrides": [],
                "price_from": {"source": "catalog", "from": "2026-08-01T06:00:01.000000Z", "to": None,
                               "provider": None, "tag": None},
                "incomplete": [], "notes": [], "is_byok": False, "has_fee": False, "provider": None, "tier": None,
                "usage": {"prompt": 12000, "completion": 800, "cached": 10000}, "digest": None,
            }
        },
    )  # fmt: skip
    model: str
    at: Instant
    known_at: Instant | None
    currency: Literal["USD"]
    total: str = Field(description="what is spent in all: the sum of the lines")
    billed: str = Field(description="what OpenRouter takes from the credits")
    upstream: Amount = Field(description="with one's own key: what the provider is paid")
    lines: list[ReceiptLine]
    lowest: Amount = Field(description="over the endpoints that may serve it; null: not asked for, or there is none")
    expected: Amount = Field(description="under OpenRouter's routing, to 20 significant digits")
    highest: Amount
    bounds: CostBounds | None = Field(description="null: not asked for")
    override: Fired | None = Field(description="the last of those that were in force")
    overrides: list[Fired]
    price_from: PriceFrom
    incomplete: list[str] = Field(description="why the total may not be all; empty: it is")
    notes: list[str] = Field(description="what was assumed, and what one should know of the price")
    is_byok: bool
    has_fee: bool
    provider: str | None
    tier: str | None
    usage: dict[str, int] = Field(description="as it was understood, by our names")
    digest: str | None = Field(description="with `sealed`: SHA-256 of the rest as JSON with sorted keys")


class WhyNot(Base):
    """As the problem that it would be alone."""

    status: int
    title: str
    detail: str


class NoReceipt(Base):
    """A usage that has no price, in the place of its receipt."""

    error: WhyNot
    model: str | None = Field(description="as it was named; null: it was not")


class Receipts(Base):
    """Many receipts, in the order of the requests."""

    data: list[Receipt | NoReceipt]
    total: str = Field(description="the exact sum of those that have a price, USD, as a decimal string")
    priced: int
    unpriced: int = Field(description="how many have no price, for whatever reason: the total lacks them")
    incomplete: int = Field(description="how many have a total that may not be all of it")
