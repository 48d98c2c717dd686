"""What a body says, read without any of LLMHive's code: plain `json` and `Decimal`."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

Row = dict[str, Any]

_ACTIVE = sa.text(
    "SELECT id, canonical_slug, name, author, variant, description, context_length, max_completion_tokens, "
    "CAST(prompt_price AS TEXT) AS prompt, CAST(completion_price AS TEXT) AS completion, pricing_kind, "
    "CAST(pricing AS TEXT) AS pricing, CAST(raw AS TEXT) AS raw, CAST(input_modalities AS TEXT) AS inputs, "
    "CAST(output_modalities AS TEXT) AS outputs, CAST(supported_parameters AS TEXT) AS parameters, "
    "CAST(expiration_date AS TEXT) AS expires, is_active FROM model_catalog"
)


def records(body: bytes) -> dict[str, Row]:
    """The records of a body by id, as JSON values."""
    return {record["id"]: record for record in json.loads(body)["data"]}


def outputs(record: Row) -> list[str]:
    """The output modalities of a record; in 2024 there was only the arrow form."""
    architecture = record["architecture"]
    listed = architecture.get("output_modalities") or architecture["modality"].split("->")[1].split("+")
    return sorted(set(listed))


def expected(record: Row) -> Row:
    """What the catalog must say of a record."""
    model_id: str = record["id"]
    author, _, slug = model_id.removeprefix("~").partition("/")
    _, _, variant = slug.partition(":")
    architecture, top, pricing = record["architecture"], record["top_provider"], record["pricing"]
    gives = outputs(record)
    takes = architecture.get("input_modalities") or architecture["modality"].split("->")[0].split("+")
    prompt, completion = Decimal(pricing["prompt"]), Decimal(pricing["completion"])
    numbers = [Decimal(v) for k, v in pricing.items() if k not in {"overrides", "discount"} and v is not None]
    numbers += [
        Decimal(v) for o in pricing.get("overrides") or () for k, v in o.items()
        if k not in {"min_prompt_tokens", "utc_start", "utc_end", "utc_days"}
    ]  # fmt: skip
    if prompt < 0 or completion < 0:
        kind = "dynamic"
    elif any(numbers):
        kind = "fixed"
    elif variant == "free" or gives == ["text"]:
        kind = "free"
    else:
        kind = "unknown"
    known = kind in {"fixed", "free"}
    return {
        "id": model_id,
        "canonical_slug": record.get("canonical_slug"),
        "name": record["name"],
        "author": author,
        "variant": variant or None,
        "description": record["description"] or None,
        "context_length": record["context_length"],
        "max_completion_tokens": top["max_completion_tokens"],
        "prompt": prompt if known else None,
        "completion": completion if known else None,
        "pricing_kind": kind,
        "pricing": pricing,
        "raw": record,
        "inputs": sorted(set(takes)),
        "outputs": gives,
        "parameters": sorted(set(record.get("supported_parameters") or [])),
        "expires": record.get("expiration_date"),
    }


class Watch:
    """Compares the active rows of a database with what they must be; reads a row's JSON again only when it differs."""

    def __init__(self) -> None:
        self._expected: dict[str, tuple[Row, Row]] = {}
        self._read: dict[str, tuple[sa.Row[Any], Row]] = {}

    def differences(self, connection: sa.Connection, wanted: dict[str, Row]) -> list[str]:
        """Ids whose row is missing, too many, or other than the record says."""
        found = {row.id: row for row in connection.execute(_ACTIVE) if row.is_active}
        wrong = sorted(found.keys() ^ wanted.keys())
        for model_id in found.keys() & wanted.keys():
            if self._actual(found[model_id]) != self._wanted(wanted[model_id]):
                wrong.append(model_id)
        return wrong

    def _wanted(self, record: Row) -> Row:
        kept = self._expected.get(record["id"])
        if kept is None or kept[0] != record:
            kept = self._expected[record["id"]] = (record, expected(record))
        return kept[1]

    def _actual(self, row: sa.Row[Any]) -> Row:
        kept = self._read.get(row.id)
        if kept is None or kept[0] != row:
            actual = dict(row._mapping)
            del actual["is_active"]
            for name in ("pricing", "raw", "inputs", "outputs", "parameters"):
                actual[name] = json.loads(actual[name])
            for name in ("prompt", "completion"):
                actual[name] = None if actual[name] is None else Decimal(actual[name])
            kept = self._read[row.id] = (row, actual)
        return kept[1]
