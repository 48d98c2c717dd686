"""What a run does after the model list: rankings, endpoints, benchmarks and what follows from them, step by step.

Each step asks first, then writes in one transaction with its own row of `research_step`, so that a crash loses at most
the step it was in: the next research run of the day goes on there. A step that fails costs no other. What the steps do
is in `research_catalog` (the catalog and its endpoints) and `research_rankings`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from llmhive.app.observe import Tell
from llmhive.app.openrouter import research_catalog, research_measures, research_rankings
from llmhive.app.openrouter.counts import NO_KEY
from llmhive.app.openrouter.stage import Ask, ResearchPolicy, Skip, Source, Stage
from llmhive.catalog.run import Kind
from llmhive.errors import Refused, StoreError, UpstreamError
from llmhive.store import catalog, runs, steps
from llmhive.store.database import Database
from llmhive.store.steps import Step

#: Steps that only follow from others: they are done again whenever another was.
_FOLLOW = frozenset(("capabilities", "dimensions"))
#: Steps that bring more with a key.
_BETTER_WITH_KEY = frozenset(("rankings", "categories", "endpoints", "dimensions"))
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
        causes: dict[str, list[str]] = {}
        for step in self.failed:
            causes.setdefault((step.error or "").rstrip("."), []).append(step.name)
        what = "; ".join(f"{', '.join(names)}: {cause}" for cause, names in causes.items())
        many = f"{len(self.failed)} of {len(self.steps)} steps"
        return f"{many} failed ({what}). The others are done and stay; the next research sync repeats what failed."

    @property
    def notes(self) -> list[str]:
        """What a person should know, a line each."""
        told = {"failed": "failed", "skipped": "was left out"}
        return [f"{step.name} {told[step.status]}: {step.error}" for step in self.steps if step.status in told]


def _had_key(step: Step) -> bool:
    return bool(step.facts.get("with_key", True))


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
        before, since = ({}, None) if repeat or kind != "research" else self._done_today(run_id, source)
        ended: list[Step] = []
        for number, name in enumerate(ORDER[kind], start=1):
            stage = Stage(
                source=source,
                database=self._database,
                run_id=run_id,
                kind=kind,
                changed=changed,
                since=since,
                policy=self._policy,
                now=self._now,
                progress=partial(self._say_progress, name),
                is_refused=any(step.is_refusal for step in ended),
            )
            has_worked = any(step.status != "reused" for step in ended)
            if name in before and not (name in _FOLLOW and has_worked):
                ended.append(self._reuse(before[name], stage))
                continue
            self._tell("Step begins", step=name, number=number, of_steps=len(ORDER[kind]))
            ended.append(self._step(name, _STEPS[name], stage))
        return Outcome(tuple(step for step in ended if kind == "research" or step.status != "skipped"))

    def _done_today(self, run_id: int, source: Source) -> tuple[dict[str, Step], datetime | None]:
        """The steps that research runs completed today, and when the first of these runs began. What was asked without
        a key counts as not done once there is one.
        """
        midnight = self._now().replace(hour=0, minute=0, second=0, microsecond=0)
        with self._database.read() as connection:
            done = steps.completed_since(connection, midnight, kind="research")
            began = runs.first_since(connection, "research", midnight, before=run_id)
        if source.has_key and any(not _had_key(step) for step in done.values()):
            free = [name for name, step in done.items() if _had_key(step) or name not in _BETTER_WITH_KEY]
            return {name: done[name] for name in free}, None
        return done, began

    def _reuse(self, earlier: Step, stage: Stage) -> Step:
        """A step that is taken over from an earlier run of the day."""
        why = f"run {earlier.run_id} did it today at {earlier.finished_at:%H:%M} UTC"
        self._tell("Step skipped", step=earlier.name, why=why)
        now = self._now()
        step = Step(earlier.name, "reused", now, now, {"run": earlier.run_id}, why, stage.run_id)
        with stage.writing() as connection:
            steps.keep(connection, stage.run_id, step)
        return step

    def _say_progress(self, name: str, done: int, of: int) -> None:
        self._tell("Step progress", step=name, done=done, of=of)

    def _step(self, name: str, ask: Ask, stage: Stage) -> Step:
        began = self._now()
        try:
            write = ask(stage)
            with stage.writing() as connection:
                done = write(connection)
                facts = {**done.facts, "with_key": stage.source.has_key and not stage.is_refused}
                step = Step(name, done.status, began, self._now(), facts, done.error, stage.run_id)
                if done.is_changed:
                    catalog.raise_version(connection)
                steps.keep(connection, stage.run_id, step)
        except Skip as why:
            step = Step(name, "skipped", began, self._now(), {}, str(why), stage.run_id)
        except UpstreamError as error:
            facts = {"refused": True} if isinstance(error, Refused) and error.status in NO_KEY else {}
            step = Step(name, "failed", began, self._now(), facts, str(error), stage.run_id)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 (a mistake in one step must not cost the others, nor the run)
            self._tell("Run failed", error=f"{type(error).__name__}: {error}", traceback=traceback.format_exc())
            text = f"internal error: {type(error).__name__}; the log has more"
            step = Step(name, "failed", began, self._now(), {}, text, stage.run_id)
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
            counts = {name: it for name, it in step.facts.items() if type(it) is int and it}
            self._tell("Step done", step=step.name, seconds=seconds, **counts)
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
