"""Feed: what one upstream answer says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from llmhive.catalog.model import Model, Version

#: What a feed covers: every model, or only those that output text. Absence means something only within the scope.
Scope = Literal["all", "text"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True, slots=True)
class Record:
    """One listed model, as served and as understood."""

    version: Version
    raw: bytes  #: its JSON as served
    flags: tuple[str, ...] = ()  #: what we did not understand, e.g. ``unknown key: pricing.video``

    @property
    def id(self) -> str:
        """The model's id."""
        return self.version.model.id

    @property
    def model(self) -> Model:
        """The model."""
        return self.version.model


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record in quarantine: neither a removal nor a reason to lose the run."""

    position: int  #: in the list, from 0
    model_id: str | None  #: None where not even the id can be read
    reason: str


@dataclass(frozen=True, slots=True)
class Feed:
    """One answer of ``GET /models``, read."""

    scope: Scope
    records: tuple[Record, ...]
    unreadable: tuple[Unreadable, ...] = ()
    total_count: int | None = None  #: what the answer says it lists
    rows: int = 0  #: what it lists


def covers(scope: Scope, model: Model) -> bool:
    """Whether a feed of a scope would list a model; one whose modalities are unknown counts as text."""
    return scope == "all" or not model.output_modalities or "text" in model.output_modalities


def missing(feed: Feed, listed: Mapping[str, Model]) -> list[str]:
    """The ids of models listed before that a feed no longer lists, sorted; only those its scope covers.

    A record in quarantine is not missing; and where not even its id can be read, it may be any of the missing ones, so
    none counts.
    """
    present: set[str | None] = {record.id for record in feed.records}
    present |= {entry.model_id for entry in feed.unreadable}
    if None in present:
        return []
    return sorted(key for key, model in listed.items() if key not in present and covers(feed.scope, model))
