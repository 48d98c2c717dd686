"""Run: one piece of work on the catalog; its kinds and states, and when the next one is due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from llmhive.catalog.model import instant

Kind = Literal["regular", "research", "bootstrap", "backfill", "rollback"]
Status = Literal["running", "completed", "unchanged", "skipped", "held", "failed", "interrupted"]
#: What uses up the interval.
DONE: tuple[Status, ...] = ("completed", "unchanged")


@dataclass(frozen=True, slots=True)
class Run:
    """One run, as it stands (design 3.6)."""

    kind: Kind
    trigger: str  #: who asked: ``cli``, ``scheduler``, ``http`` …
    status: Status
    started_at: datetime
    id: int | None = None  #: None for a dry run
    dry_run: bool = False
    finished_at: datetime | None = None
    heartbeat_at: datetime | None = None
    scope: str | None = None
    models_seen: int = 0
    added: int = 0
    changed: int = 0
    repriced: int = 0
    deactivated: int = 0
    reactivated: int = 0
    unchanged: int = 0
    unreadable: int = 0
    held: int = 0
    error: str | None = None
    notes: tuple[str, ...] = ()  #: what a person should know of it, a line each
    catalog_version: int | None = None
    due_at: datetime | None = None  #: of a skipped one: when the interval is over
    plan: tuple[dict[str, Any], ...] | None = None  #: None where it was not asked for
    verdicts: tuple[dict[str, Any], ...] | None = None
    steps: tuple[dict[str, Any], ...] | None = (
        None  #: what it did after the model list; None: nothing, or not asked for
    )

    @property
    def duration_seconds(self) -> float | None:
        """How long it took; None while it runs."""
        return None if self.finished_at is None else round((self.finished_at - self.started_at).total_seconds(), 3)

    def to_json(self) -> dict[str, Any]:
        """As scripts see it; the plan and the verdicts only where they are known."""
        document: dict[str, Any] = {
            "id": self.id,
            "kind": self.kind,
            "trigger": self.trigger,
            "status": self.status,
            "dry_run": self.dry_run,
            "started_at": instant(self.started_at),
            "finished_at": None if self.finished_at is None else instant(self.finished_at),
            "duration_seconds": self.duration_seconds,
            "scope": self.scope,
            "models_seen": self.models_seen,
            "added": self.added,
            "changed": self.changed,
            "repriced": self.repriced,
            "deactivated": self.deactivated,
            "reactivated": self.reactivated,
            "unchanged": self.unchanged,
            "unreadable": self.unreadable,
            "held": self.held,
            "error": self.error,
            "notes": list(self.notes),
            "catalog_version": self.catalog_version,
        }
        if self.due_at is not None:
            document["due_at"] = instant(self.due_at)
        if self.plan is not None:
            document["plan"] = list(self.plan)
        if self.verdicts is not None:
            document["verdicts"] = list(self.verdicts)
        if self.steps is not None:
            document["steps"] = list(self.steps)
        return document


def due_at(last_done: datetime | None, interval: timedelta) -> datetime | None:
    """When a run may start again after the last done one *started*; None: at once."""
    return None if last_done is None else last_done + interval
