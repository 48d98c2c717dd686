"""Rankings as values, whether one can be believed, and which models of the catalog it names.

`counting` and `derived` make them. Sources: reference 5.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, Literal

import msgspec

from llmhive.catalog.dimension import BY_NAME, MOST_RANKS
from llmhive.catalog.identity import identify
from llmhive.catalog.pricing import plain

#: Who made the order: OpenRouter's figures; without a key only the order of its model list; or we, from other figures.
Source = Literal["data-api", "models-order", "derived"]

#: The slug under which OpenRouter adds up all below the first 50.
OTHER = "other"
#: A rank that changed by so many has moved.
MOVED = 3
#: Shares that were served as binary fractions may add up to this much more than 1.
_SLACK = Decimal("0.000001")
#: So many of what is wrong are told by name.
_TOLD = 5
_SORTED = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True)
class Count:
    """What one model was used in one period."""

    begins: date  #: the period's first day, UTC; of a week its Monday
    slug: str  #: permaslug with its variant, or ``other``
    tokens: int  #: prompt and completion


@dataclass(frozen=True, slots=True)
class Counted:
    """One answer with token counts, read."""

    rows: tuple[Count, ...]
    as_of: str  #: as OpenRouter dates it
    start: date | None  #: the window as OpenRouter understood it
    end: date | None
    faults: tuple[str, ...] = ()  #: what of it is not as promised; a row that cannot be read is not among the rows
    unreadable: int = 0  #: rows, in all; `faults` tells the first few
    incomplete: frozenset[date] = frozenset()  #: periods of which a row could not be read: absence means nothing there


@dataclass(frozen=True, slots=True)
class Task:
    """Which models a kind of task is given to; shares are fractions from 0 to 1."""

    tag: str  #: ``code:debugging`` …
    title: str
    group: str  #: ``code``, ``data``, ``agent``, ``general``
    request_share: Decimal | None  #: of all classified requests
    token_share: Decimal | None  #: of all classified tokens
    models: tuple[tuple[str, Decimal, Decimal | None], ...]  #: permaslug, share of its requests, share of its tokens


@dataclass(frozen=True, slots=True)
class Rank:
    """One line of a ranking."""

    rank: int  #: from 1
    slug: str  #: as its source names it, without a variant: a permaslug, an id, an author
    model_id: str | None  #: None: not in the catalog, or an author
    tokens: int | None = None
    share: Decimal | None = None  #: of all tokens of the window, 0 to 1, rounded down
    score: Decimal | None = None  #: in the unit of the dimension
    previous_rank: int | None = None  #: in the window a week before; None: not among its ranks, or not known
    growth: Decimal | None = None  #: against the window a week before, 0.1: ten percent more; None: not known
    trend: tuple[int | None, ...] | None = None  #: tokens of the last four weeks, oldest first; None: not named then


@dataclass(frozen=True, slots=True)
class Ranking:
    """The ranks of a dimension, or of one category of it."""

    dimension: str
    category: str | None
    source: Source
    as_of: str | None  #: as OpenRouter dates its figures; of derived ones when the catalog was true
    window_from: date | None
    window_to: date | None  #: the last day that counts
    ranks: tuple[Rank, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)  #: JSON values
    citation: str | None = None

    @property
    def digest(self) -> str:
        """Of all it says but when: the same is not published twice."""
        rows = [
            (it.rank, it.slug, it.model_id, it.tokens, _text(it.share), _text(it.score), it.previous_rank,
             _text(it.growth), it.trend)
            for it in self.ranks
        ]  # fmt: skip
        content = (self.source, self.window_from, self.window_to, self.facts, rows)
        return hashlib.sha256(_SORTED.encode(content)).hexdigest()[:32]


def _text(number: Decimal | None) -> str | None:
    return None if number is None else plain(number)


class Join:
    """From the permaslugs of rankings to the models of the catalog (reference 5.8)."""

    __slots__ = ("_ids",)

    def __init__(self, models: Iterable[tuple[str, str | None, str | None, bool]]) -> None:
        """Of models as id, canonical slug, variant, and whether it is active."""
        known = sorted(models, key=lambda it: (it[2] is not None, not it[3], it[0]))
        self._ids: dict[str, str] = {}
        for model_id, slug, _, _ in known:
            if slug is not None:
                self._ids.setdefault(slug, model_id)
        for model_id, _, _, _ in known:
            self._ids.setdefault(base_of(model_id), model_id)

    def match(self, slug: str) -> str | None:
        """The id of the model that a permaslug, with or without a variant, belongs to: its base row where there is one,
        an active one before others; None where the catalog has none.
        """
        return self._ids.get(base_of(slug))


def base_of(slug: str) -> str:
    """A slug without its variant."""
    return slug.partition(":")[0]


def author_of(slug: str) -> str:
    """Who made a model; a slug that does not say it stands for itself."""
    return identify(slug).author or base_of(slug)


def movers(ranking: Ranking) -> list[Rank]:
    """Who rose or fell by at least `MOVED` ranks, or came in, since the week before, the farthest first; nobody where
    that week is not known.
    """
    if all(it.previous_rank is None for it in ranking.ranks):
        return []
    out = len(ranking.ranks) + 1
    far = {it.rank: abs((it.previous_rank or out) - it.rank) for it in ranking.ranks}
    moved = [it for it in ranking.ranks if it.previous_rank is None or far[it.rank] >= MOVED]
    return sorted(moved, key=lambda it: (-far[it.rank], it.rank))


def citation(as_of: str | None) -> str:
    """What OpenRouter asks to write beside its figures."""
    return f"Source: OpenRouter (openrouter.ai/rankings), as of {as_of}."


# --- whether it can be believed


def faults(ranking: Ranking, known_ids: Collection[str]) -> list[str]:
    """What is wrong with a ranking, in words; one with faults is never served."""
    if not ranking.ranks:
        return ["it has no ranks"]
    return [*_wrong_form(ranking, known_ids), *_wrong_order(ranking), *_wrong_shares(ranking)]


def _wrong_form(ranking: Ranking, known_ids: Collection[str]) -> Iterable[str]:
    if ranking.dimension not in BY_NAME:
        yield f"no dimension is named {ranking.dimension!r}"
    if len(ranking.ranks) > MOST_RANKS:
        yield f"it has {len(ranking.ranks)} ranks, more than {MOST_RANKS}"
    if [it.rank for it in ranking.ranks] != list(range(1, len(ranking.ranks) + 1)):
        yield "its ranks do not run from 1 without gaps"
    slugs = [it.slug for it in ranking.ranks]
    if repeated := {slug for slug in slugs if slugs.count(slug) > 1}:
        yield f"named more than once: {_named(repeated)}"
    if OTHER in slugs:
        yield f"{OTHER!r} is ranked, which stands for all below"
    if unknown := {it.model_id for it in ranking.ranks if it.model_id is not None and it.model_id not in known_ids}:
        yield f"not in the catalog: {_named(unknown)}"
    begins, ends = ranking.window_from, ranking.window_to
    if begins is not None and ends is not None and begins > ends:
        yield f"its window ends ({ends}) before it begins ({begins})"


def _wrong_order(ranking: Ranking) -> Iterable[str]:
    tokens = [it.tokens for it in ranking.ranks if it.tokens is not None]
    if any(it < 0 for it in tokens):
        yield "tokens below zero"
    dimension = BY_NAME.get(ranking.dimension)
    if dimension is None or ranking.source == "models-order" or dimension.order == "as given":
        return
    figures = [it.tokens if dimension.order == "tokens" else it.score for it in ranking.ranks]
    known = [it for it in figures if it is not None]
    if len(known) < len(figures):
        yield "what it is ordered by is not known of each"
    falls = dimension.order != "lowest score"
    if any(after > before if falls else after < before for before, after in pairwise(known)):
        yield "its ranks are not in order"


def _wrong_shares(ranking: Ranking) -> Iterable[str]:
    shares = [it.share for it in ranking.ranks if it.share is not None]
    if any(not 0 <= share <= 1 for share in shares):
        yield "a share is not between 0 and 1"
    elif sum(shares) > 1 + _SLACK:
        yield f"its shares add up to {sum(shares)}, more than all"


def _named(names: Iterable[str]) -> str:
    found = sorted(names)
    return ", ".join(found[:_TOLD]) + (f" and {len(found) - _TOLD} more" if len(found) > _TOLD else "")


# --- rankings as served


def by_task(task: Task, join: Join, *, as_of: date, window_days: int) -> Ranking:
    """The models a kind of task is given to; the score is the share of its requests."""
    requests: dict[str, Decimal] = {}
    tokens: dict[str, Decimal | None] = {}
    for slug, of_requests, of_tokens in task.models:
        name = base_of(slug)
        requests[name] = requests.get(name, Decimal(0)) + of_requests
        so_far = tokens.get(name, Decimal(0))
        tokens[name] = None if so_far is None or of_tokens is None else so_far + of_tokens
    order = sorted(requests, key=lambda name: (-requests[name], name))[:MOST_RANKS]
    facts = {
        "is_estimate": True,
        "title": task.title,
        "group": task.group,
        "request_share": _text(task.request_share),
        "token_share": _text(task.token_share),
    }
    ranks = tuple(
        Rank(rank, name, join.match(name), share=tokens[name], score=requests[name])
        for rank, name in enumerate(order, start=1)
    )
    first, dated = as_of - timedelta(days=window_days - 1), as_of.isoformat()
    return Ranking("task", task.tag, "data-api", dated, first, as_of, ranks, facts, citation(dated))


def by_order(
    dimension: str, category: str | None, ids: Iterable[str], join: Join, *, as_of: str | None
) -> Ranking:  # fmt: skip
    """What can be had without a key: the order of a model list, a variant standing for its base; aliases left out."""
    names = dict.fromkeys(base_of(it) for it in ids if not identify(it).is_alias)
    ranks = tuple(Rank(rank, it, join.match(it)) for rank, it in enumerate(list(names)[:MOST_RANKS], start=1))
    return Ranking(dimension, category, "models-order", as_of, None, None, ranks, {"is_estimate": False})
