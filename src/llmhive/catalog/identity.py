"""What a model's id says: author, slug, variant, family.

An id is ``author/slug[:variant]``; ``~author/family-latest`` is an alias that moves without notice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

#: Words at the end of a slug that name an edition, not a family.
_EDITIONS = frozenset({"latest", "preview", "beta", "alpha", "exp", "experimental"})
_STEM = re.compile(r"([a-z]{3,})[0-9]")


@dataclass(frozen=True, slots=True)
class Identity:
    """An id taken apart."""

    author: str  #: who made it; not who serves it
    slug: str
    variant: str | None  #: ``free``, ``batch``, ``thinking`` …; None for the base row
    is_alias: bool

    @property
    def family(self) -> str:
        """``author/stem``: the slug up to its first version, size or edition, so that siblings share it."""
        return f"{self.author}/{_stem(self.slug)}"


@lru_cache(maxsize=4096)
def identify(model_id: str) -> Identity:
    """Take an id apart; never fails: an id without an author has the author ``""``."""
    is_alias = model_id.startswith("~")
    path, _, variant = model_id.removeprefix("~").partition(":")
    author, slash, slug = path.partition("/")
    if not slash:
        author, slug = "", path
    return Identity(author, slug, variant or None, is_alias)


def _stem(slug: str) -> str:
    words: list[str] = []
    for word in slug.split("-"):
        if any(letter.isdigit() for letter in word):
            # "qwen3" is family "qwen"; "v4" and "70b" only end it
            if not words and (match := _STEM.match(word)):
                words.append(match.group(1))
            break
        if word in _EDITIONS:
            break
        words.append(word)
    return "-".join(words) or slug
