"""Alert: what people want to be told of, once: a plan's or a run's events, and their ids, which never change; pure.

A removal is told only when a second feed confirms it. How events are told is in `message`.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Context, Decimal
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from llmhive.catalog.diff import Belief, Change, Plan
from llmhive.catalog.discovery import facts_of, is_per_token, known_of, percent, renames
from llmhive.catalog.feed import missing
from llmhive.catalog.model import Model, instant
from llmhive.catalog.pricing import Pricing
from llmhive.catalog.run import Kind, Run

EventKind = Literal["new", "removed", "repriced", "expiring", "run_failed", "run_held"]
#: In the order in which they are told.
EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)
#: Of the runs that end badly, these are told of.
TOLD_RUNS: tuple[Kind, ...] = ("regular", "research")

#: Any UUID that is ours: the ids of events and messages follow from it.
_OURS = uuid.UUID("6f1c9a5e-6d0b-5e0c-9d3e-0b0f3a7c1e42")
_WIDE = Context(prec=200)


@dataclass(frozen=True, slots=True)
class Channel:
    """Where alerts go, without its URL, which is secret."""

    digest: str  #: the first 16 hexadecimal digits of the URL's SHA-256
    label: str  #: what a person calls it: ``https://hooks.example.com``, ``slack``


@dataclass(frozen=True, slots=True)
class Alerting:
    """What is alerted, and to whom."""

    price_percent: float = 10.0  #: a price that changes by at least so much
    channels: tuple[Channel, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """Something that people want to be told of."""

    kind: EventKind
    model_id: str | None = None  #: None: it is about the run as a whole
    facts: Mapping[str, Any] = field(default_factory=dict)  #: JSON values, prices as decimal strings

    @property
    def is_sure(self) -> bool:
        """Whether it is told at once, instead of when a second feed confirms it."""
        return self.kind != "removed"


@dataclass(frozen=True, slots=True)
class Settled:
    """What a feed says of removals that wait, by model."""

    confirmed: frozenset[str] = frozenset()
    withdrawn: frozenset[str] = frozenset()


def channel_of(url: str) -> Channel:
    """The channel that a URL names."""
    parts = urlsplit(url)
    label = parts.scheme.lower()
    if label in {"http", "https"}:
        label += f"://{parts.netloc.rpartition('@')[2]}"
    return Channel(hashlib.sha256(url.encode()).hexdigest()[:16], label)


def event_id(event: Event, *, run_id: int, started_at: datetime) -> str:
    """The id of an event that a run found: numbers of runs begin anew in a new database, their times do not."""
    return _id(started_at, run_id, event.kind, event.model_id or "", str(event.facts.get("field", "")))


def message_id(*, run_id: int, started_at: datetime) -> str:
    """The id of a run's message."""
    return _id(started_at, run_id, "message")


def _id(started_at: datetime, *words: object) -> str:
    return str(uuid.uuid5(_OURS, "\n".join((instant(started_at), *map(str, words)))))


# --- a plan's events


def events_of(plan: Plan, believed: Mapping[str, Belief], *, price_percent: float) -> list[Event]:
    """What a plan that is applied has to tell; `believed` is what is believed before."""
    threshold = Decimal(repr(float(price_percent)))
    renamed = renames(plan, believed)
    found = _new(plan, believed, renamed)
    moved = {old: new for new, old in renamed.items()}
    found += [
        Event("removed", key, {"name": believed[key].version.model.name, "renamed_to": moved.get(key)})
        for key in plan.deactivated
    ]
    records = {record.id: record.model for record in plan.altered}
    for change in plan.changes:
        facts: dict[str, Any] | None = None
        if change.what == "repriced":
            facts = _repriced(change, believed[change.id].version.model, records[change.id], threshold)
            kind: EventKind = "repriced"
        elif change.field == "expiration_date" and change.after is not None:
            facts, kind = _named(records[change.id], change), "expiring"
        if facts is not None:
            found.append(Event(kind, change.id, facts))
    return found


def settle(plan: Plan, waiting: Mapping[str, Model], found: Iterable[Event]) -> Settled:
    """What becomes of removals that wait for a second feed; what the feed cannot show goes on waiting.

    `found` is what this plan has to tell: a model that it removes again was back in between.
    """
    again = {event.model_id for event in found if event.kind == "removed"}
    gone = set(missing(plan.feed, waiting))
    listed = {record.id for record in plan.feed.records}
    return Settled(frozenset(gone - again), frozenset(key for key in waiting if key in listed or key in gone & again))


def run_event(run: Run) -> Event | None:
    """What a run that ended has to tell of itself."""
    if run.kind not in TOLD_RUNS or run.status not in {"failed", "held"}:
        return None
    kind: EventKind = "run_failed" if run.status == "failed" else "run_held"
    return Event(kind, None, {"run": run.id, "run_kind": run.kind, "error": run.error})


def _new(plan: Plan, believed: Mapping[str, Belief], renamed: Mapping[str, str]) -> list[Event]:
    models = [record.model for record in plan.added if record.id not in renamed]
    if not models:
        return []
    known = known_of(plan, believed)
    return [Event("new", model.id, facts_of(model, known)) for model in models]


def _named(model: Model, change: Change) -> dict[str, Any]:
    return {"name": model.name, "field": change.field, "before": change.before, "after": change.after}


def _repriced(change: Change, before: Model, after: Model, threshold: Decimal) -> dict[str, Any] | None:
    """The facts of a price that changed by enough; None where it did not."""
    unit = (change.field or "").removeprefix("pricing.")
    old, new = before.pricing, after.pricing
    if unit == "overrides":
        pairs = _conditional(old, new)
    elif old.overrides != new.overrides and any(_only_conditional(it, unit) for it in (old, new)):
        # its windows came or went, which the change of the overrides tells
        return None
    else:
        pairs = [(old.rate(unit), new.rate(unit))]
    beyond = [percent(*pair) for pair in pairs if _is_beyond(*pair, threshold)]
    if not beyond:
        return None
    known = [it for it in beyond if it is not None]
    most = max(known, key=abs) if len(known) == len(beyond) else None
    return _named(after, change) | {"percent": most, "per_token": is_per_token(after, unit)}


def _conditional(old: Pricing, new: Pricing) -> list[tuple[Decimal | None, Decimal | None]]:
    """Each rate that some override sets, before and after; where there is no such override, the base is in force."""
    was, becomes = (
        {(entry.conditions, unit): rate for entry in it.overrides for unit, rate in entry.rates} for it in (old, new)
    )
    keys = {**was, **becomes}
    pairs = [(was.get(key, old.rate(key[1])), becomes.get(key, new.rate(key[1]))) for key in keys]
    return [(before, after) for before, after in pairs if before != after]


def _only_conditional(pricing: Pricing, unit: str) -> bool:
    return pricing.rate(unit) is None and any(unit == name for entry in pricing.overrides for name, _ in entry.rates)


def _is_beyond(before: Decimal | None, after: Decimal | None, threshold: Decimal) -> bool:
    """Whether a rate changes by so many percent; from or to nothing, the unknown or the varying it always does."""
    if not before or not after or before < 0 or after < 0:
        return True
    return _WIDE.multiply(abs(_WIDE.subtract(after, before)), Decimal(100)) >= _WIDE.multiply(threshold, before)
