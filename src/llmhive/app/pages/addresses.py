"""How addresses of the pages are read and written: numbers in them, and the same address but for some fields."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, urlencode

from llmhive.errors import UsageError

#: Pages of a list that can be asked for.
MOST_PAGES = 10**6


def whole(name: str, text: str, most: int) -> int:
    """The whole number, from 1, that a field holds; raises `UsageError`."""
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(most))
    if not (is_number and 0 < int(text) <= most):
        raise UsageError(f"{name}: write a whole number from 1 to {most}; not {text[:60]!r}")
    return int(text)


def but(path: str, given: Iterable[tuple[str, str]], /, **changes: Any) -> str:
    """An address with what a query gave but for some fields; None takes one out, and what is blank is not said."""
    kept: list[tuple[str, Any]] = [(name, value) for name, value in given if name not in changes and value.strip()]
    kept += [(name, value) for name, value in changes.items() if value is not None]
    return f"{path}?{urlencode(kept)}" if kept else path


def ranking_url(name: str) -> str:
    """The page of a ranking."""
    return "/rankings/" + quote(name, safe="/:~@")
