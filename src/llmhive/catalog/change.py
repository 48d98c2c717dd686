"""Change: what a user would want to be told, once; pure.

Every step of a model's timeline is history. It is *news* only when it stands: a second capture, of a scope that shows
the model, does not say otherwise, and it is not the way back of something that happened within a day (OpenRouter flaps:
A→B→A). A transition is a step as possible news, measured from what stood confirmed before it; which transitions were
confirmed is asked of the captures.
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
    before: Any  #: what stood confirmed before it, as JSON
    after: Any
    happened_at: datetime  #: the first capture that shows it
    in_text: bool  #: whether captures of the scope ``text`` show the model
    ended_at: datetime | None = None  #: the first capture that shows something else
    reverted_at: datetime | None = None  #: when it went back within a day
    is_return: bool = False  #: it is such a way back


#: Whether a capture between two instants, both excluded, shows a model; ``in_text``: also one of the scope ``text``.
Seen = Callable[[datetime, datetime, bool], bool]


def steps(
    model_id: str, before: Listing | None, after: Listing, at: datetime, open_: Mapping[str, Transition], seen: Seen
) -> Iterator[tuple[Transition | None, Transition | None]]:
    """The transitions that one step of a timeline ends and begins, in pairs; either may be None.

    `open_` holds the model's transitions that have not ended, by field. A model's first listing has no `before`: it is
    for the caller to say, by leaving the step out, that it was there before the first capture.
    """
    in_text = covers("text", after.version.model)
    for what, name, old, new in _fields(before, after):
        earlier = open_.get(name)
        if earlier is None:
            yield None, Transition(model_id, what, name, old, new, at, in_text)
            continue
        ended = replace(earlier, ended_at=at)
        is_back = _is_same(name, new, earlier.before)
        if not seen(earlier.happened_at, at, earlier.in_text):
            # nobody confirmed it: what stood before it is what this one is measured from
            if not is_back:
                stood = earlier.before
                yield ended, Transition(model_id, _named(what, stood), name, stood, new, at, in_text)
            elif name == LISTED and earlier.before is None:
                # never really there: should it come again, that is when it was added
                yield ended, Transition(model_id, what, name, None, new, at, in_text, is_return=True)
            else:
                yield ended, None
        elif is_back and at - earlier.happened_at < FLAP:
            begun = Transition(model_id, what, name, old, new, at, in_text, is_return=True)
            yield replace(ended, reverted_at=at), begun
        else:
            was_never_there = earlier.is_return and earlier.before is None
            stood = None if name == LISTED and was_never_there else old
            yield ended, Transition(model_id, _named(what, stood), name, stood, new, at, in_text)


def _is_same(name: str, value: Any, other: Any) -> bool:
    """Whether two values of a field are the same; not listed and never seen are."""
    return bool(value) == bool(other) if name == LISTED else bool(value == other)


def _named(what: News, stood: Any) -> News:
    """A model that shows up, goes unconfirmed and comes again was added once, not returned."""
    return "added" if what == "returned" and stood is None else what


def _fields(before: Listing | None, after: Listing) -> Iterator[tuple[News, str, Any, Any]]:
    """What a step changes that could be news: what, field, before, after."""
    if before is None:
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
    done: list[Transition] = []
    open_: dict[str, Transition] = {}
    for at, listing in timeline:
        for ended, begun in steps(model_id, before, listing, at, open_, seen):
            if ended is not None:
                done.append(ended)
                del open_[ended.field]
            if begun is not None:
                open_[begun.field] = begun
        before = listing
    return sorted([*done, *open_.values()], key=lambda it: (it.happened_at, it.field))
