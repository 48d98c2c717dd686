"""accept: a person looked at what the gate held, and believes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llmhive.app.openrouter.pipeline import Pipeline
from llmhive.app.openrouter.rederive import bring_up_to_date
from llmhive.app.openrouter.runner import Runner, Work
from llmhive.catalog.gate import Limits, Waiver
from llmhive.catalog.run import Run
from llmhive.errors import Conflict
from llmhive.store import captures, catalog, runs
from llmhive.store.captures import Filed


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What is to be accepted."""

    filed: Filed  #: the capture whose body goes through the gate again
    waiver: Waiver
    decoder: int | None


def accept(runner: Runner, run_id: int, limits: Limits, *, trigger: str) -> Run:
    """Apply what the gate held in a run: the whole answer, or the single values that still wait.

    It compares anew with what is believed now, with the rules waived that held it, so another rule may still hold it.
    Raises `NotFound`, and `Conflict` where nothing of that run waits any more.
    """
    if not runner.database.require_schema():
        raise Conflict(f"There is no run {run_id}: nothing has been synced yet.")
    work = Work(
        "regular",
        look=lambda connection: _waiting(connection, run_id),
        do=lambda number, waiting: _accept(runner, number, waiting, limits, run_id),
    )
    ended = runner.run(work, trigger=trigger)
    if ended.status == "skipped":
        raise Conflict(f"Not accepted: {ended.notes[0].removeprefix('Skipped: ')} Try again.")
    return ended


def _waiting(connection: Any, run_id: int) -> _Waiting:
    held = runs.get(connection, run_id)
    state = catalog.state(connection)
    if state.pinned is not None:
        raise Conflict(f"The catalog is pinned to {state.pinned!r}; `llmhive unpin` first, and sync.")
    verdicts = [found for found in held.verdicts or () if found["outcome"] == "held"]
    if held.status == "held":
        filed = captures.filed(connection, "held", run_id=run_id)
        if not filed and captures.filed(connection, "accepted", run_id=run_id):
            raise Conflict(f"What run {run_id} held was accepted already.")
        if not filed:
            raise Conflict(
                f"What run {run_id} held waits no more: a newer answer has taken its place. `llmhive runs` shows it."
            )
        # what was accepted before stays accepted
        waived = (found for found in held.verdicts or () if found["outcome"] in {"held", "accepted"})
        rules = frozenset(found["rule"] for found in waived if found["model_id"] is None)
        return _Waiting(filed[0], Waiver(rules, all_values=True), state.decoder)
    values = frozenset((found["model_id"], found["field"]) for found in verdicts if found["model_id"] is not None)
    if not values:
        raise Conflict(f"Run {run_id} held nothing: there is nothing to accept.")
    still = frozenset((model_id, field) for model_id, row in catalog.rows(connection).items() for field in row.held)
    newest = captures.newest_filed(connection, held.scope)
    if not values & still or newest is None:
        raise Conflict(f"No value that run {run_id} held waits any more: it was confirmed, or another one came.")
    return _Waiting(newest, Waiver(values=values & still), state.decoder)


def _accept(runner: Runner, number: int, waiting: _Waiting, limits: Limits, run_id: int) -> Run | None:
    bring_up_to_date(runner.database, number, waiting.decoder, now=runner.now, tell=runner.tell)
    with runner.database.read() as connection:
        content = captures.read_body(connection, waiting.filed.capture.digest)
    Pipeline(runner.database, limits, alerting=runner.alerting).take(
        waiting.filed.capture,
        content,
        run_id=number,
        known_at=runner.now,
        waiver=waiting.waiver,
        filed_as=waiting.filed.id,
        note=f"Accepted what run {run_id} held.",
    )
    return None
