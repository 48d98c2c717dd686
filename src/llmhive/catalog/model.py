"""Model: one row of the catalog as a frozen value; equal means unchanged.

The *document* of a model is its normal form as JSON (sorted keys, sorted lists, prices as decimal strings, absent
fields left out). Its digest is the model's *version*: the same content has the same version, whenever it was served.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from llmhive.catalog.identity import Identity, identify
from llmhive.catalog.pricing import Kind, Override, Pricing, kind_of, plain

#: A JSON number as served, exact.
Number = int | Decimal
_DOCUMENTS = msgspec.json.Encoder(order="sorted", decimal_format="number")
_READ_DOCUMENT = msgspec.json.Decoder(float_hook=Decimal)


@dataclass(frozen=True, slots=True)
class Reasoning:
    """How a model reasons; None on the model means that it does not, or is a router."""

    mandatory: bool | None = None
    default_enabled: bool | None = None
    default_effort: str | None = None
    supported_efforts: tuple[str, ...] | None = None  #: None: all efforts are accepted
    supports_max_tokens: bool | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A model as OpenRouter lists it, without the fields that churn (``benchmarks``) or can be derived (``links``)."""

    id: str
    canonical_slug: str | None = None  #: shared by variants; the join key of rankings
    name: str | None = None
    description: str | None = None
    created_at: datetime | None = None  #: when OpenRouter added it
    context_length: int | None = None  #: tokens, over all providers; 0 is served for some media models
    max_completion_tokens: int | None = None  #: tokens, at the top provider; None: no separate cap known
    top_context_length: int | None = None  #: tokens, at the top provider
    is_moderated: bool | None = None
    input_modalities: tuple[str, ...] = ()
    output_modalities: tuple[str, ...] = ()
    supported_parameters: tuple[str, ...] = ()  #: union over providers
    default_parameters: tuple[tuple[str, Number], ...] = ()
    per_request_limits: tuple[tuple[str, Number], ...] = ()
    supported_voices: tuple[str, ...] = ()
    tokenizer: str | None = None
    instruct_type: str | None = None
    pricing: Pricing = field(default_factory=Pricing)
    hugging_face_id: str | None = None
    knowledge_cutoff: str | None = None  #: as served, ``YYYY-MM-DD``
    expiration_date: date | None = None  #: after it, the model may go
    reasoning: Reasoning | None = None
    alias_target: str | None = None  #: the slug an alias points to

    @property
    def identity(self) -> Identity:
        """Its id taken apart."""
        return identify(self.id)

    @property
    def pricing_kind(self) -> Kind:
        """``fixed``, ``free``, ``dynamic`` or ``unknown``."""
        return kind_of(self.pricing, variant=self.identity.variant, output_modalities=self.output_modalities)

    def headline(self, at: datetime) -> tuple[Decimal | None, Decimal | None]:
        """USD per prompt token and per completion token at an instant; None where it is not a known number."""
        prompt, completion = self.pricing.rate_at("prompt", at), self.pricing.rate_at("completion", at)
        if self.pricing_kind in {"fixed", "free"}:
            return prompt, completion
        # half a price is still known; a media model's "0" and a router's "-1" are not prices
        return (prompt if prompt and prompt > 0 else None), (completion if completion and completion > 0 else None)


class Version:
    """A model's content: the value, and its document with the document's digest, made when they are first asked for."""

    __slots__ = ("_digest", "_document", "model")

    def __init__(self, model: Model, *, digest: str | None = None, document: str | None = None) -> None:
        self.model = model
        self._digest = digest
        self._document = document

    @classmethod
    def stored(cls, digest: str, document: str, description: str | None = None) -> Version:
        """The version a stored document holds; its description may be stored apart."""
        model = from_document(document, description)
        return cls(model, digest=digest, document=document if description is None else None)

    def apart(self) -> tuple[str, str | None]:
        """The document without the description, and the description: what most versions share with the one before."""
        description = self.model.description
        if description is None:
            return self.document, None
        # keys are sorted, and strings escape their quotes: this is the one place it can stand, and never the last
        return self.document.replace(f'"description":{_DOCUMENTS.encode(description).decode()},', "", 1), description

    @property
    def document(self) -> str:
        """The model as JSON in normal form."""
        if self._document is None:
            self._document = _DOCUMENTS.encode(to_document(self.model)).decode()
        return self._document

    @property
    def digest(self) -> str:
        """The document's content address: SHA-256, first 32 hexadecimal digits."""
        if self._digest is None:
            self._digest = hashlib.sha256(self.document.encode()).hexdigest()[:32]
        return self._digest

    def __eq__(self, other: object) -> bool:
        """Equal content, equal version."""
        if not isinstance(other, Version):
            return NotImplemented
        return self is other or self.model == other.model

    def __hash__(self) -> int:
        return hash(self.model)


_PLAIN_FIELDS = (
    "id",
    "canonical_slug",
    "name",
    "description",
    "context_length",
    "max_completion_tokens",
    "top_context_length",
    "is_moderated",
    "tokenizer",
    "instruct_type",
    "hugging_face_id",
    "knowledge_cutoff",
    "alias_target",
)
_LIST_FIELDS = ("input_modalities", "output_modalities", "supported_parameters", "supported_voices")
#: Fields that are names and numbers.
PAIR_FIELDS = ("default_parameters", "per_request_limits")
FIELDS = tuple(f.name for f in fields(Model))


def to_document(model: Model) -> dict[str, Any]:
    """A model as a JSON document."""
    document: dict[str, Any] = {}
    for name in _PLAIN_FIELDS:
        if (value := getattr(model, name)) is not None:
            document[name] = value
    for name in _LIST_FIELDS:
        if value := getattr(model, name):
            document[name] = value
    for name in PAIR_FIELDS:
        if value := getattr(model, name):
            document[name] = dict(value)
    if model.created_at is not None:
        document["created_at"] = instant(model.created_at)
    if model.expiration_date is not None:
        document["expiration_date"] = model.expiration_date.isoformat()
    if model.reasoning is not None:
        document["reasoning"] = {f.name: getattr(model.reasoning, f.name) for f in fields(Reasoning)}
    document["pricing"] = pricing_document(model.pricing)
    document["pricing_kind"] = model.pricing_kind
    return document


def from_document(document: str | bytes, description: str | None = None) -> Model:
    """The model a document describes; its description may be stored apart."""
    read: dict[str, Any] = _READ_DOCUMENT.decode(document)
    values: dict[str, Any] = {name: read.get(name) for name in _PLAIN_FIELDS}
    if description is not None:
        values["description"] = description
    values |= {name: tuple(read.get(name, ())) for name in _LIST_FIELDS}
    values |= {name: tuple(sorted(read.get(name, {}).items())) for name in PAIR_FIELDS}
    if created := read.get("created_at"):
        values["created_at"] = datetime.fromisoformat(created)
    if expires := read.get("expiration_date"):
        values["expiration_date"] = date.fromisoformat(expires)
    if reasoning := read.get("reasoning"):
        efforts = reasoning["supported_efforts"]
        values["reasoning"] = Reasoning(
            **reasoning | {"supported_efforts": None if efforts is None else tuple(efforts)}
        )
    return Model(**values, pricing=pricing_from(read["pricing"]))


def pricing_document(pricing: Pricing) -> dict[str, Any]:
    """A pricing as JSON: unit → decimal string in USD, and ``overrides`` where there are any."""
    document: dict[str, Any] = {unit: plain(rate) for unit, rate in pricing.rates}
    if pricing.overrides:
        document["overrides"] = [
            {
                # lists, as JSON has them: a document must equal what is read of it
                "when": {name: list(it) if isinstance(it, tuple) else it for name, it in entry.conditions},
                "rates": {unit: plain(rate) for unit, rate in entry.rates},
            }
            for entry in pricing.overrides
        ]
    return document


def pricing_from(document: Mapping[str, Any]) -> Pricing:
    """The pricing that `pricing_document` made a document of."""
    overrides = tuple(
        Override(
            tuple(sorted((k, tuple(v) if isinstance(v, list) else v) for k, v in entry["when"].items())),
            tuple(sorted((unit, Decimal(rate)) for unit, rate in entry["rates"].items())),
        )
        for entry in document.get("overrides", ())
    )
    rates = tuple(sorted((unit, Decimal(rate)) for unit, rate in document.items() if unit != "overrides"))
    return Pricing(rates, overrides)


def instant(at: datetime) -> str:
    """An instant as ISO 8601 in UTC, ``2026-05-01T12:00:00Z``; fractions of a second only where there are any."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
