"""What a model's id says: author, slug, variant; family, generation, size, edition, release.

An id is ``author/slug[:variant]``; ``~author/family-latest`` is an alias that moves without notice. The words of the
slug are read by the tables in `lines`; what none of them knows is the name of the line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from llmhive.catalog.lines import (
    BASE_MARKS,
    BASES,
    EDITIONS,
    LINES,
    OWN,
    SHORT,
    SIZES,
    SPECIALITIES,
    TAILS,
    VERSION_MARKS,
    Role,
)

_YEAR, _MONTH, _DAY = "20[0-9]{2}", "(?:0[1-9]|1[0-2])", "(?:0[1-9]|[12][0-9]|3[01])"
#: 2025-08-07, 2025-08, 20241022, 08-2024, 05-06, 241022, 0528, 2411, 2025
_RELEASE = re.compile(
    rf"(?<![^-])({_YEAR}-{_MONTH}(?:-{_DAY})?|{_YEAR}{_MONTH}{_DAY}|{_MONTH}-{_YEAR}|{_MONTH}-{_DAY}"
    rf"|2[0-9]{_MONTH}{_DAY}|{_MONTH}{_DAY}|2[0-9]{_MONTH}|20[23][0-9])(?![^-])"
)
#: "3-5" is 3.5
_SPLIT = re.compile(r"(?<![^-])([0-9])-([0-9])(?![^-])")
#: 70b, 1.5b, 8x7b, a22b, e4b, 82m, 1t
_COUNT = re.compile(r"(?:[0-9]+x)?[ae]?[0-9]+(?:\.[0-9]+)?[bmt]")
#: "r7b": a word and a count
_WORD_COUNT = re.compile(r"([a-z])([0-9]+(?:\.[0-9]+)?b)")
#: 32k of context; 001
_EDITION = re.compile(r"[0-9]+k|0[0-9]{2}")
#: 3, 4.20, 4o, 4.5v
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)*)([a-z]?)")
#: qwen3, flux.2, k2, v0.1, r1t2
_GLUED = re.compile(r"([^.]*[a-z])\.?([0-9]+(?:\.[0-9]+)*)")

_WORDS: Mapping[str, Role] = {**dict.fromkeys(SIZES, "size"), **dict.fromkeys(EDITIONS, "edition")}
_NONE: Mapping[str, Role] = {}


@dataclass(frozen=True, slots=True)
class Identity:
    """An id taken apart."""

    author: str  #: who made it; not who serves it
    slug: str
    variant: str | None  #: ``free``, ``batch``, ``thinking`` …; None for the base row
    is_alias: bool
    family: str  #: ``author/line``: what siblings of all generations and sizes share
    generation: str | None  #: ``4.5``, ``4o`` …
    size: str | None  #: tiers and counts in their order: ``mini``, ``flash-lite``, ``235b-a22b`` …
    edition: str | None  #: ``instruct``, ``preview``, ``128k-instruct`` …
    release: str | None  #: a date as written: ``2025-08-07``, ``2411`` …
    is_fallback: bool  #: no line that we know: the words left over stand for it


@lru_cache(maxsize=4096)
def identify(model_id: str) -> Identity:
    """Take an id apart; never fails: an id without an author has the author ``""``."""
    is_alias = model_id.startswith("~")
    path, _, variant = model_id.removeprefix("~").partition(":")
    author, slash, slug = path.partition("/")
    if not slash:
        author, slug = "", path
    read = _Slug(author, slug)
    line, is_known = read.line()
    return Identity(
        author=author,
        slug=slug,
        variant=variant or None,
        is_alias=is_alias,
        family=f"{author}/{line}",
        generation=read.generation,
        size="-".join(read.sizes) or None,
        edition="-".join(read.editions) or None,
        release="-".join(read.releases) or None,
        is_fallback=not is_known,
    )


class _Slug:
    """A slug, read word by word."""

    def __init__(self, author: str, slug: str) -> None:
        self._author = author
        self._own = OWN.get(author, _NONE)
        self._names: list[tuple[str, bool]] = []  #: word, and whether it names the base model
        self._own_generation: str | None = None
        self._base_generation: str | None = None
        self.sizes: list[str] = []
        self.editions: list[str] = []
        self.releases: list[str] = []
        self._folder, _, name = slug.lower().rpartition("/")
        name = name.replace("_", "-")
        self._first = next((word for word in name.split("-") if word), name)
        self._after_base = False
        for place, word in enumerate(filter(None, self._dated(name).split("-"))):
            self._is_first = place == 0 and word == self._first
            # a version counts for the base model only right behind its name
            self._after_base, after_base = False, self._after_base
            self._read(word, after_base)

    def _dated(self, name: str) -> str:
        if not any(letter in "0123456789" for letter in name):
            return name
        pieces = _RELEASE.split(name)
        self.releases = pieces[1::2]
        return _SPLIT.sub(r"\1.\2", "-".join(pieces[::2]))

    @property
    def generation(self) -> str | None:
        """Its own, else that of the model it is made of."""
        return self._own_generation or self._base_generation

    def line(self) -> tuple[str, bool]:
        """Its line, and whether we know it."""
        words = [word for word, _ in self._names]
        if self._own_generation and "-".join(words) not in LINES.get(self._author, ()):
            words = [word for word, is_base in self._names if not is_base] or words
        # where there is no name the first word stands for it
        line = "-".join(words) or self._first
        line = SHORT.get(f"{self._author}/{line}", f"{self._author}/{line}").removeprefix(f"{self._author}/")
        is_known = not self._folder and _is_known(self._author, words)
        return (f"{self._folder}/{line}" if self._folder else line), is_known

    def _read(self, word: str, after_base: bool) -> None:
        role = self._role(word)
        if role == "size" or (not role and _COUNT.fullmatch(word)):
            self.sizes.append(word)
        elif role == "edition" or (not role and _EDITION.fullmatch(word)):
            self.editions.append(word)
        elif role == "line" or word.isalpha():
            self._name(word)
        elif match := _NUMBER.fullmatch(word):
            self._numbered(word, match[1], match[2], after_base)
        elif match := _WORD_COUNT.fullmatch(word):
            self._name(match[1])
            self.sizes.append(match[2])
        elif match := _GLUED.fullmatch(word):
            self._glued(word, match[1], match[2], after_base)
        else:
            self._name(word)

    def _role(self, word: str) -> Role | None:
        if own := self._own.get(word):
            return own
        # a slug begins with a name, whatever the word means elsewhere
        return None if self._is_first else _WORDS.get(word)

    def _name(self, word: str) -> None:
        if len(word) == 1 and (self.generation or self.sizes):
            self.editions.append(word)
        else:
            self._after_base = self._add(word)

    def _add(self, word: str) -> bool:
        """Take a word into the line; returns whether it names the base model."""
        is_distilled = bool(self._names) and self._names[-1][0] == "distill"
        is_base = not is_distilled and word in BASES and self._author not in BASES[word]
        self._names.append((word, is_base))
        return is_base

    def _numbered(self, word: str, number: str, tail: str, after_base: bool) -> None:
        if tail in TAILS:
            self._version(number, number, after_base)
            self._add(tail)
        else:
            self._version(word, word, after_base)

    def _glued(self, word: str, name: str, number: str, after_base: bool) -> None:
        if name in VERSION_MARKS:
            self._version(number, word, after_base)
        elif name in BASE_MARKS:
            self._version(number, word, True)
        elif self._role(name) == "size":
            self.sizes.append(name)
            self._version(number, number, after_base)
        elif len(name) == 1 and self._own_generation:
            self.editions.append(word)
        else:
            self._version(number, number, self._add(name))

    def _version(self, number: str, word: str, is_base: bool) -> None:
        if is_base:
            self._base_generation = self._base_generation or number
        elif self._own_generation:
            self.editions.append(word)
        else:
            self._own_generation = number


def _is_known(author: str, words: Sequence[str]) -> bool:
    """Whether a line is one of the author's, or made of one by a speciality or a base model."""
    known = LINES.get(author)
    if not known:
        return False
    for end in range(len(words), 0, -1):
        if "-".join(words[:end]) in known:
            return True
        if words[end - 1] not in SPECIALITIES and words[end - 1] not in BASES:
            return False
    return False
