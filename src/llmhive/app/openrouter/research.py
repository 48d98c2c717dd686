"""What a run does after the model list: rankings, endpoints, benchmarks and what follows from them, step by step.

Each step asks first, then writes in one transaction with its own row of `research_step`, so that a crash loses at most
the step it was in: the next research run of the day goes on there. A step that fails costs no other. What the steps do
is in `research_catalog` (the catalog and its endpoints) and `research_rankings`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from llmhive.app.observe import Tell
from llmhive.app.openrouter import research_catalog, research_measures, research_rankings
from llmhive.app.openrouter.stage import Ask, ResearchPolicy, Skip, Source, Stage
from llmhive.catalog.run import Kind
from llmhive.errors import UpstreamError
from llmhive.store import catalog, runs, steps
from llmhive.store.database import Database
from llmhive.store.steps import Step

_STEPS: Mapping[str, Ask] = {**research_catalog.STEPS, **research_rankings.STEPS, **research_measures.STEPS}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the steps went."""

    steps: tuple[Step, ...]

    @property
    def failed(self) -> tuple[Step, ...]:
        """Those that failed."""
        return tuple(step for step in self.steps if step.status == "failed")

    @property
    def has_worked(self) -> bool:
        """Whether any of them did its work."""
        return any(step.status == "completed" for step in self.steps)

    @property
    def why(self) -> str | None:
        """The failures in a line."""
        if not self.failed:
            return None
        what = "; ".join(f"{step.name}: {(step.error or '').rstrip('.')}" for step in self.failed)
        many = f"{len(self.failed)} of {len(self.steps)} steps"
        return f"{many} failed ({what}). The others are done and stay; the next research sync repeats what failed."

    @property
    def notes(self) -> list[str]:
        """What a person should know, a line each."""
        told = {"failed": "failed", "skipped": "was left out"}
        return [f"{step.name} {told[step.status]}: {step.error}" for step in self.steps if step.status in told]


class Research:
    """The steps after the model list."""

    def __init__(self, database: Database, policy: ResearchPolicy, *, now: Callable[[], datetime], tell: Tell) -> None:
        self._database, self._policy, self._now, self._tell = database, policy, now, tell

    def goes_on(self, kind: Kind) -> bool:
        """Whether a run of a kind has steps at all."""
        return kind == "research" or (kind == "regular" and self._policy.regular)

    def run(self, source: Source, run_id: int, kind: Kind, *, changed: frozenset[str], repeat: bool = False) -> Outcome:
        """Do the steps of a kind. A research run leaves out what research runs did before on the same day (UTC), unless
        it is to `repeat` it. Raises only for the database.
        """
        before, since = ({}, None) if repeat or kind != "research" else self._done_today(run_id)
        ended: list[Step] = []
        for name in ORDER[kind]:
            if name in before:
                earlier = before[name]
                why = f"run {earlier.run_id} did it today at {earlier.finished_at:%H:%M} UTC"
                self._tell("Step skipped", step=name, why=why)
                continue
            stage = Stage(
                source, self._database, run_id, kind, changed, since, self._policy, self._now,
                lambda done, of, name=name: self._tell("Step progress", step=name, done=done, of=of),  # type: ignore[misc]
            )  # fmt: skip
            ended.append(self._step(name, _STEPS[name], stage))
        return Outcome(tuple(step for step in ended if kind == "research" or step.status != "skipped"))

    def _done_today(self, run_id: int) -> tuple[dict[str, Step], datetime | None]:
        """The steps that research runs completed today, and when the first of these runs began."""
        midnight = self._now().replace(hour=0, minute=0, second=0, microsecond=0)
        with self._database.read() as connection:
            done = steps.completed_since(connection, midnight, kind="research")
            began = runs.first_since(connection, "research", midnight, before=run_id)
        return done, began

    def _step(self, name: str, ask: Ask, stage: Stage) -> Step:
        began = self._now()
        self._tell("Step begins", step=name)
        try:
            write = ask(stage)
            with stage.writing() as connection:
                done = write(connection)
                step = Step(name, done.status, began, self._now(), done.facts, done.error, stage.run_id)
                if done.is_changed:
                    catalog.raise_version(connection)
                steps.keep(connection, stage.run_id, step)
        except Skip as why:
            step = Step(name, "skipped", began, self._now(), {}, str(why), stage.run_id)
        except UpstreamError as error:
            step = Step(name, "failed", began, self._now(), {}, str(error), stage.run_id)
        else:
            self._say(step)
            return step
        with stage.writing() as connection:
            steps.keep(connection, stage.run_id, step)
        self._say(step)
        return step

    def _say(self, step: Step) -> None:
        seconds = round((step.finished_at - step.started_at) / timedelta(seconds=1), 3)
        if step.status == "completed":
            facts = {name: value for name, value in step.facts.items() if isinstance(value, int) and value}
            self._tell("Step done", step=step.name, seconds=seconds, **facts)
        else:
            event = "Step failed" if step.status == "failed" else "Step skipped"
            self._tell(event, step=step.name, seconds=seconds, why=step.error)


#: The steps of each kind, in this order: who is popular is known before endpoints are asked for, what endpoints tell
#: before the capabilities, and what is derived comes last.
ORDER: Mapping[Kind, tuple[str, ...]] = {
    "regular": ("families", "indices", "rankings", "endpoints", "capabilities", "dimensions"),
    "research": (
        "families", "indices", "providers", "rankings", "categories", "modalities", "tasks", "benchmarks", "endpoints",
        "capabilities", "dimensions",
    ),
}  # fmt: skip
