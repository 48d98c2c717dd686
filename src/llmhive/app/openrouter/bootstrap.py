"""The catalog of a first start without network: a table of facts shipped with the package.

Ids, names, context, prices, modalities, parameters; no descriptions. `make` writes it from a synced catalog
(``llmhive make-bootstrap FILE``), `load` turns it into a feed for the pipeline. Source of the facts: OpenRouter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib import resources
from typing import Any

import msgspec

from llmhive.app.openrouter.decode import decode
from llmhive.catalog.feed import Feed
from llmhive.catalog.model import Model, instant
from llmhive.catalog.pricing import Pricing, plain

FILE = "bootstrap.json"
#: What a row holds, in its order. `parameters` are positions in the table's own list of names.
_COLUMNS = (
    "id", "canonical_slug", "name", "created", "context_length", "top_context_length", "max_completion_tokens",
    "inputs", "outputs", "tokenizer", "parameters", "expiration_date", "pricing",
)  # fmt: skip


class _Table(msgspec.Struct):
    as_of: datetime
    columns: list[str]
    parameters: list[str]
    rows: list[list[Any]]


def load(content: bytes | None = None) -> tuple[Feed, datetime]:
    """The shipped facts as a feed, and the instant they were true."""
    if content is None:
        content = resources.files(__package__).joinpath(FILE).read_bytes()
    table = msgspec.json.decode(content, type=_Table)
    records = [_record(dict(zip(table.columns, row, strict=True)), table.parameters) for row in table.rows]
    return decode(msgspec.json.encode({"data": records}), "all"), table.as_of


def _record(fact: Mapping[str, Any], parameters: list[str]) -> dict[str, Any]:
    """A row in the shape OpenRouter serves."""
    return {
        "id": fact["id"],
        "canonical_slug": fact["canonical_slug"],
        "name": fact["name"],
        "created": fact["created"],
        "context_length": fact["context_length"],
        "architecture": {
            "input_modalities": fact["inputs"].split(),
            "output_modalities": fact["outputs"].split(),
            "tokenizer": fact["tokenizer"],
        },
        "pricing": fact["pricing"],
        "top_provider": {
            "context_length": fact["top_context_length"],
            "max_completion_tokens": fact["max_completion_tokens"],
        },
        "supported_parameters": [parameters[position] for position in fact["parameters"]],
        "expiration_date": fact["expiration_date"],
    }


def make(models: Iterable[Model], as_of: datetime) -> bytes:
    """The table of facts about models at an instant; the same models give the same bytes."""
    ordered = sorted(models, key=lambda model: model.id)
    parameters = sorted({name for model in ordered for name in model.supported_parameters})
    position = {name: index for index, name in enumerate(parameters)}
    rows = [
        (
            model.id,
            model.canonical_slug,
            model.name,
            None if model.created_at is None else int(model.created_at.timestamp()),
            model.context_length,
            model.top_context_length,
            model.max_completion_tokens,
            " ".join(model.input_modalities),
            " ".join(model.output_modalities),
            model.tokenizer,
            [position[name] for name in model.supported_parameters],
            None if model.expiration_date is None else model.expiration_date.isoformat(),
            _pricing(model.pricing),
        )
        for model in ordered
    ]
    head = msgspec.json.encode({"as_of": instant(as_of), "columns": _COLUMNS, "parameters": parameters}).decode()
    # a line a model, so that two tables can be compared by eye
    lines = ",\n".join(msgspec.json.encode(row).decode() for row in rows)
    return f'{head[:-1]},"rows":[\n{lines}\n]}}\n'.encode()


def _pricing(pricing: Pricing) -> dict[str, Any]:
    """A pricing in the shape OpenRouter serves."""
    served: dict[str, Any] = {unit: plain(rate) for unit, rate in pricing.rates}
    if pricing.overrides:
        served["overrides"] = [
            dict(entry.conditions) | {unit: plain(rate) for unit, rate in entry.rates} for entry in pricing.overrides
        ]
    return served
