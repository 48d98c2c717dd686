"""What the records of all of OpenRouter's lists are read with: their JSON, prices, texts, numbers; pure.

A value of the wrong type is unknown and flagged; only what would be misunderstood costs the record (`Quarantined`).
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import msgspec

from llmhive.app.openrouter.envelope import UNREADABLE
from llmhive.catalog.pricing import CONDITIONS, UNITS, ConditionValue, Override, Pricing, exact

#: What an id, a slug or a tag is: no blanks, and short enough for an index.
NAME = re.compile(r"[^\s\x00-\x1f\x7f]{1,255}")
#: The largest whole number that every reader of JSON keeps.
LARGEST = 2**53

_UNITS = frozenset(UNITS)
_CONDITIONS = frozenset(CONDITIONS)
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_UNIT = re.compile(r"[a-z0-9_]{1,64}")
_RECORD = msgspec.json.Decoder(float_hook=Decimal)


class Quarantined(Exception):
    """This record cannot be read; the text says why."""


def record(raw: bytes) -> dict[str, Any]:
    """A record as JSON values, its numbers exact; raises `Quarantined`."""
    if b"\\u0000" in raw and _NUL.search(raw):
        raise Quarantined("it contains a NUL or half a surrogate pair, which no database keeps")
    try:
        read = _RECORD.decode(raw)
        # what cannot be encoded cannot be stored (lone surrogates)
        raw.decode("utf-8")
    except UNREADABLE as error:
        raise Quarantined(f"it is not JSON: {error}") from error
    if not isinstance(read, dict):
        raise Quarantined(f"it is {_type_name(read)}, not an object")
    return read


def peek(raw: bytes) -> dict[str, Any]:
    """What can be read of a record that is in quarantine; empty where it is no JSON object."""
    try:
        read = _RECORD.decode(raw)
    except UNREADABLE:
        return {}
    return read if isinstance(read, dict) else {}


def pricing(served: Any, flags: list[str]) -> Pricing:
    """``pricing`` in normal form; raises `Quarantined` for a price that is no number."""
    if not isinstance(served, dict):
        flags.append("missing: pricing" if served is None else "wrong type: pricing")
        return Pricing()
    rates: dict[str, Decimal] = {}
    overrides: tuple[Override, ...] = ()
    for unit, value in served.items():
        if unit == "overrides":
            overrides = _overrides(value, flags)
        elif value is None or unit == "discount":
            continue
        elif unit not in _UNITS:
            # a new unit is kept as a rate, since it costs; what does not look like one only in the raw record
            flags.append(f"unknown key: pricing.{unit[:64]}")
            if (rate := exact(value)) is not None and _UNIT.fullmatch(unit):
                rates[unit] = rate
        elif (rate := exact(value)) is not None:
            rates[unit] = rate
        else:
            raise Quarantined(f"its price pricing.{unit} is not a number: {str(value)[:60]!r}")
    return Pricing.of(rates, overrides)


def _overrides(served: Any, flags: list[str]) -> tuple[Override, ...]:
    if not served:
        return ()
    if not isinstance(served, list) or not all(isinstance(entry, dict) for entry in served):
        flags.append("wrong type: pricing.overrides")
        return ()
    return tuple(_override(entry, flags) for entry in served)


def _override(entry: dict[str, Any], flags: list[str]) -> Override:
    conditions: dict[str, ConditionValue] = {}
    rates: dict[str, Decimal] = {}
    for key, value in entry.items():
        if value is None:
            continue
        if key in _UNITS:
            if (rate := exact(value)) is None:
                raise Quarantined(f"its price pricing.overrides.{key} is not a number: {str(value)[:60]!r}")
            rates[key] = rate
        else:
            # an unknown key may be a condition: kept as one, so that the entry is skipped instead of misapplied
            conditions[key] = _condition(value)
            if key not in _CONDITIONS:
                flags.append(f"unknown key: pricing.overrides.{key}")
    override = Override(tuple(sorted(conditions.items())), tuple(sorted(rates.items())))
    if not override.is_understood and not any(key not in _CONDITIONS for key in conditions):
        flags.append("wrong type: a condition of pricing.overrides")
    return override


def _condition(value: Any) -> ConditionValue:
    if isinstance(value, Decimal) and -LARGEST < value < LARGEST and value == int(value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(sorted(value))
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def obj(record: dict[str, Any], name: str, keys: frozenset[str], flags: list[str]) -> dict[str, Any]:
    """A nested object; empty where there is none. Keys that are not `keys` are flagged."""
    value = record.get(name)
    if isinstance(value, dict):
        flag_unknown(value, keys, f"{name}.", flags)
        return value
    if value is not None:
        flags.append(f"wrong type: {name}")
    return {}


def text(record: dict[str, Any], name: str, flags: list[str]) -> str | None:
    """A string."""
    value = record.get(name)
    if value is not None and not isinstance(value, str):
        flags.append(f"wrong type: {name}")
        return None
    return value


def truth(record: dict[str, Any], name: str, flags: list[str]) -> bool | None:
    """True or false."""
    value = record.get(name)
    if value is not None and not isinstance(value, bool):
        flags.append(f"wrong type: {name}")
        return None
    return value


def whole(record: dict[str, Any], name: str, flags: list[str]) -> int | None:
    """A whole number from 0 to `LARGEST`, however it is spelled."""
    value = record.get(name)
    if value is None:
        return None
    if isinstance(value, Decimal) and -LARGEST < value < LARGEST and value == int(value):
        value = int(value)
    if type(value) is int and 0 <= value <= LARGEST:
        return value
    flags.append(f"wrong type: {name}")
    return None


def strings(record: dict[str, Any], name: str, flags: list[str]) -> tuple[str, ...]:
    """A list of strings, sorted, each once."""
    value = record.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        flags.append(f"wrong type: {name}")
        value = [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
    return tuple(sorted(set(value)))


def flag_unknown(value: dict[str, Any], known: frozenset[str], prefix: str, flags: list[str]) -> None:
    """Flag the keys that are not known."""
    if unknown := value.keys() - known:
        flags.extend(f"unknown key: {prefix}{name}" for name in sorted(unknown))


def _type_name(value: Any) -> str:
    names = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
