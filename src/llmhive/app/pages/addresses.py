"""How addresses of the pages are read and written: numbers in them, and the same address but for some fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable
from typing import Any
from urllib.parse import quote, urlencode

from markupsafe import Markup, escape

from llmhive.errors import UsageError

#: Pages of a list that can be asked for.
MOST_PAGES = 10**6
#: What a message says to who sits before a terminal, and what to do on these pages instead.
_HERE = (
    ("`llmhive models TEXT` searches.", "The catalog can be searched."),
    ("Run `llmhive sync --research`", "Operations has a research sync"),
    ("Run `llmhive sync` first.", "Operations has a first sync."),
    ("Run `llmhive sync`.", "Operations has a sync."),
    ("`llmhive sync --research` asks", "a research sync asks; Operations has one"),
    ("(`llmhive sync`)", "(Operations has a sync)"),
    ("`llmhive capabilities` shows them", "/api/capabilities has them"),
    ("`llmhive runs` lists them.", "Operations lists them."),
    ("`llmhive sync` brings today's.", "A sync brings today's."),
)
#: A code between backticks, or what may be the id of a model.
_PIECE = re.compile(r"`([^`]+)`|([\w~][\w.~-]*/[\w./:~-]*\w)")


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


def here(text: str) -> str:
    """A message as these pages say it: without commands."""
    for command, words in _HERE:
        text = text.replace(command, words)
    return text


def plain(text: str) -> str:
    """A message as these pages say it, where no link can be."""
    return _PIECE.sub(lambda match: f"“{match[1]}”" if match[1] else match[0], here(text))


def linked(text: str, known: Container[str], url: Callable[[str], str]) -> Markup:
    """A message as HTML: the models that it names lead somewhere."""
    text, found, end = here(text), Markup(), 0
    for match in _PIECE.finditer(text):
        code, name = match.groups()
        piece = Markup("<code>{}</code>").format(code) if code else escape(name)
        if name in known:
            piece = Markup('<a href="{}">{}</a>').format(url(name), name)
        found += escape(text[end : match.start()]) + piece
        end = match.end()
    return found + escape(text[end:])
