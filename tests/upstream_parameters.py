"""Reading a request's parameters as OpenRouter does: strictly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date

Query = Mapping[str, str]


class Refusal(Exception):
    """An error status with its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def one_of(query: Query, name: str, allowed: Iterable[str]) -> str | None:
    value = query.get(name)
    if value is not None and value not in allowed:
        raise Refusal(400, f"Invalid {name}: {value}")
    return value


def number(query: Query, name: str, low: int, high: float = float("inf")) -> int | None:
    value = query.get(name)
    if value is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,15}", value) or not low <= int(value) <= high:
        raise Refusal(400, f"Invalid {name}: {value}")
    return int(value)


def date_of(query: Query, name: str) -> date | None:
    value = query.get(name)
    if value is None:
        return None
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
            raise ValueError
        return date.fromisoformat(value)
    except ValueError:
        raise Refusal(400, f"Invalid {name}: {value}") from None
