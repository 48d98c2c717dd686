"""A run in a process of its own, so that applying it does not slow those who answer readers.

``python -m llmhive.app.worker TASK`` runs one `Task` (as JSON) and tells on stdout, a JSON line each, what its parent
must know: `Told`. Its log goes to stderr. If the parent dies, it finishes all the same.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, NoReturn

import msgspec

from llmhive.app import observe, settings, wiring
from llmhive.app.observe import Tell
from llmhive.app.progress import Line, Progress
from llmhive.app.settings import Settings
from llmhive.app.tracing import tracing
from llmhive.catalog.run import Kind, Run
from llmhive.errors import Conflict, LLMHiveError, NotFound, StoreError, UpstreamError, UsageError
from llmhive.store.database import Database

Job = Literal["sync", "accept", "rollback"]
_PASSING_EVERY = 0.25  #: seconds between lines that take each other's place


class Task(msgspec.Struct, frozen=True):
    """What to run."""

    job: Job
    trigger: str
    kind: Kind = "regular"
    force: bool = False
    dry_run: bool = False
    asked_at: datetime | None = None
    run_id: int | None = None  #: accept: which run's
    snapshot: str | None = None  #: rollback: to which
    pin: bool = False
    progress: bool = False  #: whether it tells how far it is
    request_id: str | None = None  #: of the request that asked, for the log
    trace: str | None = None  #: its ``traceparent``


class Told(msgspec.Struct, frozen=True):
    """What a worker says: that it has the lock, that it waits for another run, how far it is, or how it ended."""

    what: Literal["began", "waits", "progress", "ended", "refused"]
    run_id: int | None = None  #: began: its own; waits: the other's
    kind: str | None = None  #: of that run
    run: dict[str, Any] | None = None  #: ended: as `Run.to_json`
    error: str | None = None  #: refused: one of `_ERRORS`
    message: str | None = None
    line: Line | None = None  #: progress


#: The narrow ones first.
_ERRORS: dict[str, type[LLMHiveError]] = {
    it.__name__: it for it in (NotFound, Conflict, UsageError, UpstreamError, StoreError, LLMHiveError)
}


def error_of(told: Told) -> LLMHiveError:
    """The error with which a worker refused."""
    return _ERRORS[told.error or "LLMHiveError"](told.message)


def run(task: Task, settings: Settings, database: Database, tell: Tell) -> Run:
    """Do a task; raises as what it calls."""
    if task.job == "sync":
        return wiring.sync(settings, database, tell).run(
            trigger=task.trigger, kind=task.kind, force=task.force, dry_run=task.dry_run, asked_at=task.asked_at
        )
    runner = wiring.runner(settings, database, tell)
    if task.job == "accept":
        from llmhive.app.openrouter.accept import accept

        return accept(runner, task.run_id or 0, wiring.limits(settings), trigger=task.trigger)
    from llmhive.app.openrouter.rollback import rollback

    return rollback(runner, task.snapshot or "", trigger=task.trigger, pin=task.pin, dry_run=task.dry_run)


def say(told: Told) -> None:
    """Tell the parent, if it is still there."""
    try:
        sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # what is left of it is written nowhere, when this process ends
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class Telling:
    """Says how far a run is, but not more often than anybody can read."""

    def __init__(self, say: Callable[[Told], None] = say, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._monotonic = monotonic
        self._words = Progress()
        self._said_at: float | None = None  # what passes, last time

    def __call__(self, event: str, facts: dict[str, Any]) -> None:
        """Say what is worth saying of an event."""
        line = self._words.of(event, facts)
        if line is None:
            return
        if line.is_passing:
            now = self._monotonic()
            if self._said_at is not None and now - self._said_at < _PASSING_EVERY:
                return
            self._said_at = now
        self._say(Told("progress", line=line))


def main() -> None:
    """Do the task of the command line."""
    signal.signal(signal.SIGTERM, _stop)
    task = msgspec.json.decode(sys.argv[1], type=Task)
    known = settings.read()
    log = observe.log_to_stderr(known.secrets, **({} if task.request_id is None else {"request": task.request_id}))

    telling = Telling() if task.progress else None

    def tell(event: str, /, **facts: Any) -> None:
        if event == "Took the lock":
            log.bind(run=facts["run"])
        log(event, **facts)
        if event == "Took the lock":
            say(Told("began", facts["run"], facts["kind"]))
        elif event == "Waiting for another sync":
            say(Told("waits", facts["run"], facts["kind"]))
        if telling is not None:
            telling(event, facts)

    database = wiring.database(known)
    traces = tracing(log)
    try:
        with traces.span(f"run {task.job}", parent=task.trace) as span:
            ended = run(task, known, database, tell)
            span.set({"llmhive.run.id": ended.id, "llmhive.run.kind": ended.kind, "llmhive.run.status": ended.status})
            if ended.status == "failed":
                span.fail("failed")
        say(Told("ended", run=(ended if ended.dry_run else replace(ended, plan=None, verdicts=None)).to_json()))
    except LLMHiveError as error:
        named = next(name for name, kind in _ERRORS.items() if isinstance(error, kind))
        say(Told("refused", error=named, message=str(error)))
    except Exception as error:  # noqa: BLE001 (its text may hold anything: it is for the log, which knows the secrets)
        tell("Run failed", error=f"{type(error).__name__}: {error}", traceback=traceback.format_exc())
        say(Told("refused", error="LLMHiveError", message=f"internal error: {type(error).__name__}; the log has more"))
    finally:
        database.close()
        traces.close()


def _stop(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
