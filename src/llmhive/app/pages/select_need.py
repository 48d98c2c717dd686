"""A need as the fields of a form: what the playground's address says, read and written; pure.

The names are those of `Need`. Only what is an object there has fields of its own here: `max_prompt` and
`max_completion` for prices, the parts of a score for own weights, the counts of a `Usage` for a typical request.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from starlette.datastructures import QueryParams

from llmhive.app.http import parameters
from llmhive.catalog import written
from llmhive.catalog.need import LONGEST_NAME, PARTS, Need
from llmhive.catalog.usage import FIELDS, shown
from llmhive.errors import UsageError

#: Fields that are a list of names: repeated, or with commas.
LISTS = (
    "require", "inputs", "outputs", "providers", "exclude_providers", "quantizations", "models", "exclude", "allow",
)  # fmt: skip
_TEXTS = ("task", "role", "of", "objective", "stick_to")
_COUNTS = ("min_context", "min_output", "lasting_days", "limit", *FIELDS)
#: Fields of a number, and what may stand behind it.
_UNITS: Mapping[str, Mapping[str, str]] = {
    "min_uptime": {"%": "1"}, "max_latency": {"s": "1", "ms": "0.001"}, "min_throughput": {},
    "margin": {"%": "0.01"}, **{part: {} for part in PARTS},
}  # fmt: skip
PRICES = {"max_prompt": "prompt", "max_completion": "completion"}
#: Fields beside the need.
BESIDE = ("as_of", "explain", "rejected")
NAMES = (*_TEXTS, *LISTS, *_COUNTS, *_UNITS, *PRICES, "zdr", *BESIDE)
#: Models that are explained at once.
MOST_EXPLAINED = 6
_NUMBER = re.compile(r"((?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:e[+-]?[0-9]{1,3})?)\s*(ms|s|%)?", re.ASCII)
_PRICE = re.compile(r"\$?\s*([0-9]{1,12}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})", re.ASCII)
#: How an error of a need begins, and what it may say before the field.
_AT = re.compile(r"([a-z_]+)(?:\.([a-z_]+))?(?= )")
_SAID = (
    ("the role ", "of"), ("of is the model", "of"), ("no model lists ", "require"),
    ("there is no quantization ", "quantizations"),
)  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """What a query string asks for."""

    document: Mapping[str, Any]  #: the need as JSON, as it is told: without what a role fills
    need: Need | None  #: None: something cannot be read
    as_of: datetime | None = None
    explain: tuple[str, ...] = ()
    has_rejected: bool = False  #: whether everyone who is out is listed
    troubles: Mapping[str, str] = field(default_factory=dict)  #: field → what is wrong with it

    @property
    def body(self) -> dict[str, Any]:
        """The same for `POST /api/select`."""
        told = dict(self.document)
        if self.as_of is not None:
            told["as_of"] = self.as_of.isoformat().replace("+00:00", "Z")
        if self.explain:
            told["explain"] = list(self.explain)
        return told


def read(query: QueryParams) -> Reading:
    """Read a query string; what is empty is not given."""
    given: dict[str, list[str]] = {}
    for name, value in query.multi_items():
        if value.strip():
            given.setdefault(name, []).append(value.strip())
    troubles: dict[str, str] = {}
    told: dict[str, Any] = {}
    for name, values in given.items():
        try:
            told[name] = _value(name, values)
        except UsageError as error:
            troubles[name] = str(error)
    document = _document(told)
    need = None
    if not troubles:
        try:
            need = Need.read(_with_usage(document, told))
            document = _with_usage(document, told)
        except UsageError as error:
            troubles[field_of(str(error), document)] = str(error)
    return Reading(
        document, need, told.get("as_of"), told.get("explain", ()), told.get("rejected", False), troubles
    )  # fmt: skip


def write(need: Need | Mapping[str, Any]) -> list[tuple[str, str]]:
    """A need as fields and their values; `read` takes them back. No name in it may hold a comma."""
    found: list[tuple[str, str]] = []
    for name, value in (need.to_json() if isinstance(need, Need) else need).items():
        if name == "max_price_per_million":
            found += [(ours, str(value[unit])) for ours, unit in PRICES.items() if unit in value]
        elif name == "usage":
            counts = {"prompt": 0, "completion": 0} | value
            found += [(count, str(number)) for count, number in counts.items()]
        elif isinstance(value, Mapping):
            found += [(part, _plain(weight)) for part, weight in value.items()]
        elif isinstance(value, list | tuple):
            found += [(name, it) for it in value]
        else:
            found.append((name, _plain(value)))
    return found


def field_of(error: str, document: Mapping[str, Any]) -> str:
    """The field that an error of a need is about; empty where it does not say."""
    for said, name in _SAID:
        if error.startswith(said):
            return name
    if error.startswith("there is no modality "):
        return "inputs" if any(repr(it)[1:-1] in error for it in document.get("inputs", ())) else "outputs"
    match = _AT.match(error)
    if match is None:
        return ""
    name, part = match[1], match[2] or ""
    if name == "max_price_per_million":
        return f"max_{part or 'prompt'}"
    return part if name == "objective" and part else "prompt" if name == "usage" else name if name in NAMES else ""


def names(values: Iterable[str]) -> tuple[str, ...]:
    """Names that are repeated, or written with commas."""
    return tuple(dict.fromkeys(it for value in values for part in value.split(",") if (it := part.strip())))


# --- one field


def _value(name: str, values: list[str]) -> Any:
    if name not in NAMES:
        meant = difflib.get_close_matches(name[:60], NAMES, n=1)
        hint = f"did you mean {meant[0]}?" if meant else f"there are {', '.join(NAMES)}"
        raise UsageError(f"there is no such field; {hint}")
    if name in LISTS:
        return list(names(values))
    if name == "explain":
        return _explained(names(values))
    if len(set(values)) > 1:
        raise UsageError(f"it is given {len(values)} times; give it once")
    reader = _READERS.get(name)
    return values[0] if reader is None else reader(name, values[0])


def _explained(found: tuple[str, ...]) -> tuple[str, ...]:
    if len(found) > MOST_EXPLAINED or any(len(it) > LONGEST_NAME for it in found):
        raise UsageError(f"write up to {MOST_EXPLAINED} names of models, of {LONGEST_NAME} characters at most")
    return found


def _number(name: str, text: str) -> float:
    match, units = _NUMBER.fullmatch(text.lower()), _UNITS[name]
    if match is None or (match[2] or "") not in {"", *units}:
        raise UsageError(f"write a number, as 99.5 or 0.3; not {shown(text)}")
    number = float(match[1])
    return number if not match[2] or units[match[2]] == "1" else float(Decimal(match[1]) * Decimal(units[match[2]]))


def _whole(_: str, text: str) -> int:
    number = written.count(text)
    if number is None:
        raise UsageError(f"write a whole number, as 200000, 200k or 1M; not {shown(text)}")
    return number


def _price(_: str, text: str) -> str:
    match = _PRICE.fullmatch(text)
    if match is None:
        raise UsageError(f"write USD per million tokens, as 3 or 0.25; not {shown(text)}")
    whole, point, decimals = match[1].partition(".")
    return f"{whole or 0}{point if decimals else ''}{decimals}"


def _flag(_: str, text: str) -> bool:
    if text not in {"true", "false"}:
        raise UsageError(f"write true or false; not {shown(text)}")
    return text == "true"


def _instant(_: str, text: str) -> datetime:
    try:
        return parameters.instant(text)
    except ValueError as error:
        raise UsageError(f"{error}; not {shown(text)}") from error


def _all(_: str, text: str) -> bool:
    if text != "all":
        raise UsageError(f"write all, or leave it out; not {shown(text)}")
    return True


_READERS: Mapping[str, Callable[[str, str], Any]] = {
    **dict.fromkeys(_COUNTS, _whole), **dict.fromkeys(_UNITS, _number),
    **dict.fromkeys(PRICES, _price), "zdr": _flag, "as_of": _instant, "rejected": _all,
}  # fmt: skip


# --- the whole


def _document(told: Mapping[str, Any]) -> dict[str, Any]:
    """The need as JSON, but for its usage."""
    document: dict[str, Any] = {
        name: value for name, value in told.items() if name in Need.__dataclass_fields__ and name not in FIELDS
    }
    if prices := {unit: told[name] for name, unit in PRICES.items() if name in told}:
        document["max_price_per_million"] = prices
    if weights := {part: told[part] for part in PARTS if part in told}:
        # who writes weights means them, whichever name is still ticked
        document["objective"] = weights
    return document


def _with_usage(document: dict[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """With the usage; of a request of which only one side is told, the other is as it would be without."""
    usage = {name: told[name] for name in FIELDS if name in told}
    if not usage:
        return document
    if not {"prompt", "completion"} <= usage.keys():
        typical = Need.read(document).typical
        usage = {"prompt": typical.prompt, "completion": typical.completion} | usage
    return document | {"usage": usage}


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
