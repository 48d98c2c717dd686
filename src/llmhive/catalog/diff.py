"""Believed × feed → Plan: what a sync would change.

A model's absence counts only within the feed's scope, and not at all when a record's id could not be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from llmhive.catalog.feed import Feed, Record, missing
from llmhive.catalog.hold import Held, value_of, withheld
from llmhive.catalog.model import FIELDS, PAIR_FIELDS, Model, Number, Version, instant, pricing_document
from llmhive.catalog.pricing import Pricing, plain

#: Why a feed's differences are not all news: it is the first to show what earlier scopes left out, or the first real
#: one after a bootstrap's facts.
Baseline = Literal["first look", "bootstrap"]
What = Literal["added", "changed", "repriced", "deactivated", "reactivated", "held"]
Json = Any


@dataclass(frozen=True, slots=True)
class Belief:
    """What we stand by about one model."""

    version: Version
    is_active: bool
    raw: bytes | None  #: the record last served; None for a bootstrap's facts
    held: Mapping[str, Held] = field(default_factory=dict)  #: field → the served value that is not believed yet


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a plan; `before` and `after` are JSON values, prices as decimal strings."""

    id: str
    what: What
    field: str | None = None
    before: Json = None
    after: Json = None

    def to_json(self) -> dict[str, Json]:
        """As scripts see it (design 3.6)."""
        return {"id": self.id, "what": self.what, "field": self.field, "before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True)
class Plan:
    """What applying a feed would do."""

    feed: Feed
    added: tuple[Record, ...] = ()
    altered: tuple[Record, ...] = ()  #: content, or what of it is held, differs from what is believed
    reactivated: tuple[Record, ...] = ()  #: listed again; may be altered too
    refreshed: tuple[Record, ...] = ()  #: other bytes, same content: `raw` is renewed, nothing changed
    deactivated: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    baseline: Baseline | None = None  #: why some of it is not news
    held: Mapping[str, Mapping[str, Held]] = field(default_factory=dict)  #: model → field → what is held back

    @property
    def is_empty(self) -> bool:
        """Whether applying it would write no row of the catalog."""
        return not (self.added or self.altered or self.reactivated or self.refreshed or self.deactivated)

    @property
    def news(self) -> tuple[Version, ...]:
        """The contents that no belief holds yet."""
        return tuple(record.version for record in (*self.added, *self.altered))

    def count(self, what: What) -> int:
        """How many models a kind of change concerns."""
        return len({change.id for change in self.changes if change.what == what})

    @property
    def unchanged(self) -> int:
        """How many listed models are as they were."""
        touched = {change.id for change in self.changes if change.what != "deactivated"}
        return sum(record.id not in touched for record in self.feed.records)


@dataclass
class _Draft:
    added: list[Record] = field(default_factory=list)
    altered: list[Record] = field(default_factory=list)
    reactivated: list[Record] = field(default_factory=list)
    refreshed: list[Record] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)


def diff(
    believed: Mapping[str, Belief],
    feed: Feed,
    *,
    baseline: Baseline | None = None,
    held: Mapping[str, Mapping[str, Held]] | None = None,
) -> Plan:
    """Compare what is believed with what a feed says; `baseline` says why some of it is not news, and `held` which of
    the served values the feed's records do not show, because they are held.
    """
    draft, held = _Draft(), held or {}
    for record in feed.records:
        _compare(believed.get(record.id), record, draft, held.get(record.id, {}), is_bootstrap=baseline == "bootstrap")
    active = {key: belief.version.model for key, belief in believed.items() if belief.is_active}
    gone = missing(feed, active)
    return Plan(
        feed=feed,
        added=tuple(draft.added),
        altered=tuple(draft.altered),
        reactivated=tuple(draft.reactivated),
        refreshed=tuple(draft.refreshed),
        deactivated=tuple(gone),
        changes=(
            *draft.changes,
            *(Change(key, "deactivated", "is_active", before=True, after=False) for key in gone),
        ),
        baseline=baseline,
        held=held,
    )


def withhold(plan: Plan, believed: Mapping[str, Belief], held: Mapping[str, Mapping[str, Held]]) -> Plan:
    """The plan that is left when the old values of some fields stay believed."""
    if not held:
        return plan
    records = tuple(
        replace(record, version=Version(withheld(believed[record.id].version.model, record.model, held[record.id])))
        if record.id in held
        else record
        for record in plan.feed.records
    )
    return diff(believed, replace(plan.feed, records=records), baseline=plan.baseline, held=held)


def _compare(
    belief: Belief | None, record: Record, draft: _Draft, held: Mapping[str, Held], *, is_bootstrap: bool
) -> None:
    if belief is None:
        draft.added.append(record)
        draft.changes.append(Change(record.id, "added", after=record.model.name or record.id))
        return
    same = belief.version == record.version
    if not belief.is_active:
        draft.reactivated.append(record)
        draft.changes.append(Change(record.id, "reactivated", "is_active", before=False, after=True))
    if not same:
        draft.changes.extend(compare(belief.version.model, record.model, only_known=is_bootstrap))
    for name, value in held.items():
        if name not in belief.held or belief.held[name].served != value.served:
            draft.changes.append(Change(record.id, "held", name, value_of(belief.version.model, name), value.served))
    if not same or belief.held != held:
        draft.altered.append(record)
    elif belief.raw != record.raw:
        draft.refreshed.append(record)


def between(before: Mapping[str, Belief], after: Mapping[str, Belief]) -> tuple[Change, ...]:
    """What differs between two states of the catalog, by id; a model that only one of them knows is inactive in the
    other.
    """
    changes: list[Change] = []
    for model_id in sorted(before.keys() | after.keys()):
        old, new = before.get(model_id), after.get(model_id)
        was, becomes = old is not None and old.is_active, new is not None and new.is_active
        if new is not None and becomes and old is None:
            changes.append(Change(model_id, "added", after=new.version.model.name or model_id))
        elif was != becomes:
            what: What = "reactivated" if becomes else "deactivated"
            changes.append(Change(model_id, what, "is_active", before=was, after=becomes))
        if old is not None and new is not None and becomes and old.version != new.version:
            changes.extend(compare(old.version.model, new.version.model))
    return tuple(changes)


def compare(before: Model, after: Model, *, only_known: bool = False) -> list[Change]:
    """The fields in which two versions of a model differ; prices one by one as ``pricing.UNIT``.

    With `only_known`, what was not known before is no change: a bootstrap's facts leave most fields out.
    """
    changes = []
    for name in FIELDS:
        old, new = getattr(before, name), getattr(after, name)
        if old == new or (only_known and (old is None or old == ())):
            continue
        if name == "pricing":
            changes.extend(_repriced(after.id, old, new))
        else:
            changes.append(
                Change(after.id, "changed", name, *(_json(value, name in PAIR_FIELDS) for value in (old, new)))
            )
    return changes


def _repriced(model_id: str, before: Pricing, after: Pricing) -> list[Change]:
    old, new = dict(before.rates), dict(after.rates)
    changes = [
        Change(model_id, "repriced", f"pricing.{unit}", _rate(old.get(unit)), _rate(new.get(unit)))
        for unit in sorted(old.keys() | new.keys())
        if old.get(unit) != new.get(unit)
    ]
    if before.overrides != after.overrides:
        was, now = (pricing_document(Pricing((), p.overrides)).get("overrides") for p in (before, after))
        changes.append(Change(model_id, "repriced", "pricing.overrides", was, now))
    return changes


def _rate(rate: Any) -> str | None:
    return None if rate is None else plain(rate)


def _json(value: Any, is_pairs: bool = False) -> Json:
    """A field's value as the document writes it."""
    if isinstance(value, tuple):
        return {name: _number(number) for name, number in value} if is_pairs else list(value)
    if hasattr(value, "astimezone"):
        return instant(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "__dataclass_fields__"):
        return {name: _json(getattr(value, name)) for name in value.__dataclass_fields__}
    return value


def _number(number: Number) -> Json:
    return number if isinstance(number, int) else float(number)
