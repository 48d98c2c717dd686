"""The query parameters of `GET /api/models`: one table that reads them and describes them in the OpenAPI document."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qsl

from llmhive.catalog.query import SORTS, Query

_MOST = 2**53


class BadParameter(Exception):
    """A parameter that cannot be used; `name` and why."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name = name
        self.why = why


@dataclass(frozen=True, slots=True)
class Parameter:
    """One row of the table."""

    name: str
    field: str  #: of `Query`
    read: Callable[[str], Any]
    schema: dict[str, Any]
    text: str
    example: Any
    is_list: bool = False  #: may be given several times, or with commas


def _word(value: str) -> str:
    if not value or len(value) > 200:
        raise ValueError("write 1 to 200 characters")
    if "\x00" in value:
        raise ValueError("it must not contain a NUL")
    return value


def _whole(least: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,16}", value) or not least <= int(value) <= _MOST:
            raise ValueError(f"write a whole number from {least} to {_MOST}")
        return int(value)

    return read


def _amount(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not re.fullmatch(r"[0-9.eE+-]+", value) or not 0 <= number <= 1e9:
        raise ValueError("write USD per million tokens, from 0 to 1000000000")
    return number


def _truth(value: str) -> bool:
    if value not in {"true", "false"}:
        raise ValueError("write true or false")
    return value == "true"


def _free(value: str) -> str | None:
    return "free" if _truth(value) else None


def _active(value: str) -> bool | None:
    if value not in {"true", "false", "all"}:
        raise ValueError("write true, false or all")
    return None if value == "all" else value == "true"


def _one_of(*known: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in known:
            raise ValueError(f"write one of {', '.join(known)}")
        return value

    return read


def instant(value: str) -> datetime:
    """An instant as ISO 8601: ``2026-05-01`` (its beginning, UTC) or ``2026-05-01T12:00:00Z``."""
    try:
        at = datetime.fromisoformat(value)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("write a day, 2026-05-01, or an instant, 2026-05-01T12:00:00Z") from error


def _day(value: str) -> date:
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise ValueError("write a day: 2026-05-01") from error


_TEXT = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[^\u0000]+$"}
_COUNT = {"type": "integer", "minimum": 0, "maximum": _MOST}
_PRICE = {"type": "number", "minimum": 0, "maximum": 1e9}
_DAY = {"type": "string", "format": "date"}
_KINDS = ("fixed", "free", "dynamic", "unknown")

_TABLE = (
    Parameter("text", "text", _word, _TEXT, "Words that the id, the slug or the name must contain, in any case.",
              "claude"),
    Parameter("author", "author", _word, _TEXT, "Who made it.", "anthropic"),
    Parameter("family", "family", _word, _TEXT, "Family, with or without its author.", "claude"),
    Parameter("variant", "variant", _word, _TEXT, "free, batch, thinking …", "free"),
    Parameter("kind", "kind", _one_of(*_KINDS), {"type": "string", "enum": list(_KINDS)},
              "How it is priced: fixed, free, dynamic (per request), unknown.", "fixed"),
    Parameter("free", "kind", _free, {"type": "boolean"}, "true: only models that cost nothing.", True),
    Parameter("in", "inputs", _word, _TEXT, "Modality it takes: text, image, file, audio, video.", "image", True),
    Parameter("out", "outputs", _word, _TEXT, "Modality it gives: text, image, audio …", "text", True),
    Parameter("capability", "capabilities", _word, _TEXT,
              "What it must be able to do: a supported parameter (tools, structured_outputs, reasoning …), or vision, "
              "file_input, audio_input, video_input, image_output, audio_output, video_output, embeddings, json_mode.",
              "tools", True),
    Parameter("min_context", "min_context", _whole(0), _COUNT, "Least context length in tokens.", 200_000),
    Parameter("min_output", "min_output", _whole(0), _COUNT, "Least output cap in tokens.", 32_000),
    Parameter("min_prompt", "min_prompt", _amount, _PRICE, "Least USD per million prompt tokens.", 0.5),
    Parameter("min_completion", "min_completion", _amount, _PRICE, "Least USD per million completion tokens.", 1),
    Parameter("max_prompt", "max_prompt", _amount, _PRICE, "Most USD per million prompt tokens.", 3),
    Parameter("max_completion", "max_completion", _amount, _PRICE, "Most USD per million completion tokens.", 15),
    Parameter("active", "active", _active, {"type": "string", "enum": ["true", "false", "all"], "default": "true"},
              "false: those that are gone; all: both.", "true"),
    Parameter("held", "held", _truth, {"type": "boolean"},
              "true: only models of which the gate holds a value back; false: only the others.", True),
    Parameter("new_since", "new_since", instant, {"type": "string"},
              "Added to OpenRouter since a day or an instant (ISO 8601, UTC).", "2026-05-01"),
    Parameter("expiring_before", "expiring_before", _day, _DAY, "Expiring on this day or before.", "2026-12-31"),
    Parameter("sort", "sort", _one_of(*SORTS), {"type": "string", "enum": list(SORTS), "default": "id"},
              f"{', '.join(SORTS)}. Unknown values come last, ties by id; newest, context, output begin with the most.",
              "prompt"),
    Parameter("reverse", "reverse", _truth, {"type": "boolean", "default": False}, "The other way round.", False),
    Parameter("limit", "limit", _whole(1), {"type": "integer", "minimum": 1, "maximum": _MOST},
              "At most so many; without it: all.", 20),
    Parameter("offset", "offset", _whole(0), _COUNT | {"default": 0}, "Leave out the first so many.", 0),
)  # fmt: skip
_BY_NAME = {it.name: it for it in _TABLE}
#: Instants: these two go to the database.
PAST = {
    "as_of": "As OpenRouter served it at a day or an instant (ISO 8601, UTC).",
    "known_at": "As this catalog believed it at a day or an instant.",
}
_NAMES = (*_BY_NAME, *PAST)
_MOST_FIELDS = 64
_IS_PLAIN = re.compile(rb"[!-$&-*,-~]*").fullmatch


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: which models, and as of when."""

    query: Query
    as_of: datetime | None = None
    known_at: datetime | None = None


def read(query_string: bytes) -> Asked:
    """Read a query string; raises `BadParameter`."""
    values: dict[str, Any] = {}
    past: dict[str, datetime] = {}
    for name, value in _pairs(query_string):
        if name in PAST:
            if past:
                raise BadParameter(name, f"give one of {' and '.join(PAST)}, once")
            past[name] = _read(name, instant, value)
            continue
        known = _BY_NAME.get(name)
        if known is None:
            near = difflib.get_close_matches(name, _NAMES, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(_NAMES)}."
            raise BadParameter(name, f"there is no such parameter. {hint}")
        if known.is_list:
            found = tuple(_read(name, known.read, word) for word in value.split(","))
            values[known.field] = (*values.get(known.field, ()), *found)
        elif known.field in values and not (name in {"kind", "free"} and values[known.field] is None):
            raise BadParameter(name, "give it once" if name not in {"kind", "free"} else "give one of kind and free")
        else:
            values[known.field] = _read(name, known.read, value)
    return Asked(Query(**values), **past)


def _pairs(query_string: bytes) -> list[tuple[str, str]]:
    if _IS_PLAIN(query_string) and query_string.count(b"&") < _MOST_FIELDS:
        # nothing is encoded, as in nearly every one
        parts = (part.partition("=") for part in query_string.decode("ascii").split("&") if part)
        return [(name, value) for name, _, value in parts]
    try:
        return parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except (UnicodeDecodeError, ValueError) as error:
        raise BadParameter(
            "query", f"it cannot be read: percent-encode UTF-8, and give at most {_MOST_FIELDS} parameters"
        ) from error


def _read(name: str, read: Callable[[str], Any], value: str) -> Any:
    try:
        return read(value)
    except ValueError as error:
        raise BadParameter(name, f"{error}; not {value[:60]!r}") from error


def openapi() -> list[dict[str, Any]]:
    """The parameters as the OpenAPI document has them."""
    described = [
        {
            "name": it.name,
            "in": "query",
            "required": False,
            "description": it.text + (" Several: repeat it, or write commas." if it.is_list else ""),
            "schema": {"type": "array", "items": it.schema} if it.is_list else it.schema,
            **({"style": "form", "explode": True} if it.is_list else {}),
            "example": [it.example] if it.is_list else it.example,
        }
        for it in _TABLE
    ]
    return described + [
        {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": "string"},
         "examples": {"a day": {"value": "2026-05-01"}}}
        for name, text in PAST.items()
    ]  # fmt: skip
