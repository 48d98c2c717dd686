"""The catalog as a file: CSV, JSON or Parquet.

A row a model, with the columns of `model_catalog` that people filter by. Prices are decimal strings in USD per token,
exact, beside numbers per million tokens; lists are lists in JSON and Parquet, and separated by blanks in CSV.
"""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from llmhive.errors import UsageError

_LISTS = ("input_modalities", "output_modalities", "supported_parameters")
#: column → its type in Parquet
COLUMNS = {
    "id": "VARCHAR",
    "canonical_slug": "VARCHAR",
    "name": "VARCHAR",
    "author": "VARCHAR",
    "family": "VARCHAR",
    "variant": "VARCHAR",
    "description": "VARCHAR",
    "created_at": "TIMESTAMPTZ",
    "context_length": "BIGINT",
    "max_completion_tokens": "BIGINT",
    **dict.fromkeys(_LISTS, "VARCHAR[]"),
    "tokenizer": "VARCHAR",
    "pricing_kind": "VARCHAR",
    "prompt_price": "VARCHAR",
    "completion_price": "VARCHAR",
    "prompt_price_per_million": "DOUBLE",
    "completion_price_per_million": "DOUBLE",
    "pricing": "VARCHAR",
    "is_active": "BOOLEAN",
    "first_seen_at": "TIMESTAMPTZ",
    "last_seen_at": "TIMESTAMPTZ",
    "deactivated_at": "TIMESTAMPTZ",
    "expiration_date": "DATE",
    "held": "VARCHAR",
}


def export(page: Mapping[str, Any], file: Path) -> None:
    """Write a *List* (design 3.6) to a file; its ending says how. It replaces the file in one step.

    Raises `UsageError` for another ending, and where it cannot be written.
    """
    write = _WRITERS.get(file.suffix.lower())
    if write is None:
        raise UsageError(f"{file.name} does not say how to write it. End it with {', '.join(_WRITERS)}.")
    try:
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=file.suffix)
    except OSError as error:
        raise UsageError(f"Cannot write {file}: {error.strerror}.") from error
    os.close(handle)
    made = Path(name)
    try:
        write(page, made)
        # as any new file, not as a temporary one
        made.chmod(0o666 & ~_umask())
        made.replace(file)
    except OSError as error:
        raise UsageError(f"Cannot write {file}: {error.strerror or error}.") from error
    finally:
        made.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _rows(models: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {name: row.get(name) for name in COLUMNS}
        | {f"{unit}_price": row["pricing"][unit] for unit in ("prompt", "completion")}
        | {f"{unit}_price_per_million": row["pricing_per_million"][unit] for unit in ("prompt", "completion")}
        | {"pricing": _json(row["pricing"]), "held": _json(row["held"]) if row["held"] else None}
        for row in models
    ]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _as_json(page: Mapping[str, Any], file: Path) -> None:
    file.write_bytes(msgspec.json.format(msgspec.json.encode(page), indent=2) + b"\n")


def _as_csv(page: Mapping[str, Any], file: Path) -> None:
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(COLUMNS), lineterminator="\n")
        writer.writeheader()
        for row in _rows(page["data"]):
            writer.writerow(row | {name: " ".join(row[name]) for name in _LISTS})


def _as_parquet(page: Mapping[str, Any], file: Path) -> None:
    try:
        import duckdb
    except ImportError as error:
        raise UsageError("Parquet needs an extra package: pip install 'llmhive[bulk]'. CSV and JSON need none.") from (
            error
        )
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE TABLE models ({columns})")
        rows = [tuple(row.values()) for row in _rows(page["data"])]
        if rows:
            marks = ", ".join("?" * len(COLUMNS))
            connection.executemany(f"INSERT INTO models VALUES ({marks})", rows)  # noqa: S608
        connection.execute("COPY models TO $file (FORMAT parquet)", {"file": str(file)})


_WRITERS: dict[str, Callable[[Mapping[str, Any], Path], None]] = {
    ".csv": _as_csv,
    ".json": _as_json,
    ".parquet": _as_parquet,
}
