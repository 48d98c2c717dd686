"""research_step: what a run did beyond the model list, each step committed with what it wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from llmhive.catalog.model import instant
from llmhive.catalog.run import Kind
from llmhive.store.tables import research_step, sync_run

StepStatus = Literal["completed", "skipped", "failed", "reused"]
_c = research_step.c


@dataclass(frozen=True, slots=True)
class Step:
    """One step as it ended."""

    name: str
    status: StepStatus
    started_at: datetime
    finished_at: datetime
    facts: Mapping[str, Any] = field(default_factory=dict)  #: JSON values: what it did
    error: str | None = None  #: why it failed or was skipped
    run_id: int | None = None  #: whose it was; None: not stored yet

    @property
    def is_refusal(self) -> bool:
        """Whether it failed since OpenRouter refused the key."""
        return bool(self.facts.get("refused"))

    def to_json(self) -> dict[str, Any]:
        """As scripts see it."""
        return {
            "step": self.name,
            "status": self.status,
            "started_at": instant(self.started_at),
            "finished_at": instant(self.finished_at),
            "seconds": round((self.finished_at - self.started_at).total_seconds(), 3),
            "facts": dict(self.facts),
            "error": self.error,
        }


def keep(connection: sa.Connection, run_id: int, step: Step) -> None:
    """Write how a step ended."""
    connection.execute(
        research_step.insert(),
        {
            "run_id": run_id,
            "step": step.name,
            "status": step.status,
            "started_at": step.started_at,
            "finished_at": step.finished_at,
            "facts": dict(step.facts),
            "error": step.error,
        },
    )


def of_run(connection: sa.Connection, run_id: int) -> tuple[Step, ...]:
    """The steps of a run, in the order in which they ended."""
    rows = connection.execute(sa.select(research_step).where(_c.run_id == run_id).order_by(_c.id))
    return tuple(_step(row) for row in rows)


def completed_since(connection: sa.Connection, since: datetime, *, kind: Kind) -> dict[str, Step]:
    """The last completed step of each name since an instant, of the runs of a kind."""
    chosen = sa.select(research_step).join(sync_run, sync_run.c.id == _c.run_id)
    chosen = chosen.where(_c.finished_at >= since, _c.status == "completed", sync_run.c.kind == kind)
    return {row.step: _step(row) for row in connection.execute(chosen.order_by(_c.id))}


def _step(row: sa.Row[Any]) -> Step:
    return Step(row.step, row.status, row.started_at, row.finished_at, row.facts, row.error, row.run_id)
