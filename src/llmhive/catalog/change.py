"""Change: what a user would want to be told, once; pure.

Every step of a model's timeline is history. It is *news* only when it stands: a second capture, of a scope that shows
the model, does not say otherwise. A *transition* is a step as possible news, measured from what stood before it. Which
of them stand is asked of the captures, by `steps` for those that are over and by the view ``change`` for all.

OpenRouter flaps (A→B→A within a day). The way back, and what brings B again within a day, belong to the *episode* of
the first A→B: they are no news of their own, and the last of them that stands says whether it was taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from llmhive.catalog.diff import compare
from llmhive.catalog.feed import covers
from llmhive.catalog.timeline import Listing

News = Literal["added", "removed", "returned", "repriced", "limits", "capabilities", "expiry", "alias"]

#: Something that goes back within this time was no news.
FLAP = timedelta(days=1)
LISTED = "is_listed"
_TOPICS: dict[str, News] = {
    "context_length": "limits",
    "max_completion_tokens": "limits",
    "per_request_limits": "limits",
    "input_modalities": "capabilities",
    "output_modalities": "capabilities",
    "supported_parameters": "capabilities",
    "reasoning": "capabilities",
    "expiration_date": "expiry",
    "alias_target": "alias",
}


@dataclass(frozen=True, slots=True)
class Transition:
    """One field of one model taking another value."""

    model_id: str
    what: News
    field: str
    before: Any  #: what stood before it, as JSON
    after: Any
    happened_at: datetime  #: the first capture that shows it
    in_text: bool  #: whether captures of the scope ``text`` show the model
    ended_at: datetime | None = None  #: the first capture that shows something else
    follows: datetime | None = None  #: when the transition began to whose value `before` is due; None: there was none
    episode: datetime | None = None  #: when the transition began whose flap it is part of; None: it is no such part
    is_back: bool = False  #: of a part: whether it is the way back


#: Whether a capture between two instants, both excluded, shows a model; ``in_text``: also one of the scope ``text``.
Seen = Callable[[datetime, datetime, bool], bool]
#: field → the transitions there were, by when they began
Past = Mapping[str, Mapping[datetime, Transition]]


def steps(
    model_id: str, before: Listing | None, after: Listing, at: datetime, past: Past, seen: Seen
) -> Iterator[Transition]:
    """The transitions that one step of a timeline begins, ends or lets go on, as they are then.

    A model's first listing has no `before`: it is for the caller to say, by leaving the step out, that it was there
    before the first capture.
    """
    in_text = covers("text", after.version.model)
    for what, name, old, new in _fields(before, after):
        there = past.get(name, {})
        last = next((it for it in there.values() if it.ended_at is None), None)
        standing, stood = last, old
        if last is not None:
            yield replace(last, ended_at=at)
            if not seen(last.happened_at, at, last.in_text):
                # nobody confirmed it: what stood before it stands
                standing, stood = _followed(last, there), last.before
        elif there:
            # the only one there was came to nothing
            stood = there[max(there)].before
        if not _is_same(name, new, stood):
            begun = Transition(model_id, _named(what, stood), name, stood, new, at, in_text)
            yield begun if standing is None else _after(standing, begun)
        elif standing is not None:
            yield replace(standing, ended_at=None)


def _followed(last: Transition, there: Mapping[datetime, Transition]) -> Transition | None:
    return None if last.follows is None else there[last.follows]


def _after(standing: Transition, begun: Transition) -> Transition:
    """A transition as one that follows another; within a day it may be the way back."""
    follows = standing.happened_at
    if _is_same(begun.field, begun.after, standing.before) and begun.happened_at - follows < FLAP:
        return replace(begun, follows=follows, episode=standing.episode or follows, is_back=not standing.is_back)
    return replace(begun, follows=follows)


def _is_same(name: str, value: Any, other: Any) -> bool:
    """Whether two values of a field are the same; not listed and never seen are."""
    return bool(value) == bool(other) if name == LISTED else bool(value == other)


def _named(what: News, stood: Any) -> News:
    """A model that shows up, goes unconfirmed and comes again was added once, not returned."""
    return "added" if what == "returned" and stood is None else what


def _fields(before: Listing | None, after: Listing) -> Iterator[tuple[News, str, Any, Any]]:
    """What a step changes that could be news: what, field, before, after."""
    if before is None:
        if after.is_listed:
            yield "added", LISTED, None, True
        return
    if before.is_listed != after.is_listed:
        yield ("returned" if after.is_listed else "removed"), LISTED, before.is_listed, after.is_listed
    if after.is_listed and before.version != after.version:
        for change in compare(before.version.model, after.version.model):
            if change.what == "repriced":
                yield "repriced", change.field or "", change.before, change.after
            elif change.field in _TOPICS:
                yield _TOPICS[change.field], change.field, change.before, change.after


def all_of(
    model_id: str, before: Listing | None, timeline: Iterable[tuple[datetime, Listing]], seen: Seen
) -> list[Transition]:
    """Every transition of a whole timeline, in the order in which they began."""
    past: dict[str, dict[datetime, Transition]] = {}
    for at, listing in timeline:
        for it in list(steps(model_id, before, listing, at, past, seen)):
            past.setdefault(it.field, {})[it.happened_at] = it
        before = listing
    return sorted((it for there in past.values() for it in there.values()), key=lambda it: (it.happened_at, it.field))
