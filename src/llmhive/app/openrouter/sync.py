"""The sync: fetch → decode → diff → gate → apply. Start reading here.

`Sync.run` is one sync from the lock to its last word. `Pipeline.take` is the path every captured body goes, whoever
brought it. The network is finished before the transaction opens; a dry run is the same without applying. After the
model list `Research` goes on with rankings, endpoints and the rest, a step at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from llmhive.app.openrouter.decode import DECODER
from llmhive.app.openrouter.pipeline import Pipeline, apply_bootstrap, counts, notes, pinned_row
from llmhive.app.openrouter.rederive import bring_up_to_date
from llmhive.app.openrouter.research import Research
from llmhive.app.openrouter.runner import Runner, Work
from llmhive.app.openrouter.stage import Source
from llmhive.catalog.feed import Scope
from llmhive.catalog.gate import Limits
from llmhive.catalog.run import DONE, Kind, Run, Status
from llmhive.errors import ClockError, UpstreamError
from llmhive.store import alerts, captures, catalog, runs
from llmhive.store.captures import Capture, Known

if TYPE_CHECKING:
    # the HTTP client is slow to import, and only its answers' shape is wanted here
    from llmhive.app.openrouter.client import Answer

SCOPE: Scope = "all"
#: A clock further from OpenRouter's would date the history wrong.
CLOCK_TOLERANCE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings a sync follows."""

    source: str  #: OpenRouter's base URL
    interval: timedelta
    limits: Limits


@dataclass(frozen=True, slots=True)
class _Asked:
    """What OpenRouter answered."""

    capture: Capture
    body: bytes  #: empty where it is not needed: the stored one is still true
    is_same: bool  #: whether it is the last applied one again
    is_unchanged: bool  #: whether that settles it


class Sync:
    """One sync of the model list, for the foreground."""

    def __init__(
        self,
        runner: Runner,
        policy: Policy,
        open_source: Callable[[], Source],
        research: Research | None = None,
        open_quick: Callable[[], Source] | None = None,
    ) -> None:
        """`research` goes on after the model list; None: nothing does. `open_quick` is what a regular sync does that
        with: a source that gives up soon; None: the one of the list.
        """
        self._runner = runner
        self._database = runner.database
        self._policy = policy
        self._open_source = open_source
        self._research = research
        self._open_quick = open_quick
        self._now = runner.now
        self._tell = runner.tell

    def prepare(self) -> None:
        """The tables are there."""
        self._runner.prepare()

    def run(
        self,
        *,
        trigger: str,
        kind: Kind = "regular",
        force: bool = False,
        dry_run: bool = False,
        asked_at: datetime | None = None,
    ) -> Run:
        """Sync, and say how it went; never raises for what OpenRouter did, only for the database or a mistake.

        A run of the kind that began since `asked_at` will do as well.
        """
        self._tell("Starting OpenRouter sync", trigger=trigger, force=force, dry_run=dry_run)
        if dry_run:
            ended = self._rehearse(kind, trigger, force)
        else:
            self._runner.prepare()
            work = Work(
                kind,
                look=lambda connection: captures.known(connection, SCOPE),
                do=lambda run_id, known: self._sync(run_id, kind, known, force),
                scope=SCOPE,
                interval=None if force else self._policy.interval,
                asked_at=asked_at,
            )
            ended = self._runner.run(work, trigger=trigger)
            if ended.status == "held" or (ended.status == "failed" and ended.catalog_version is None):
                ended = self._with_what_is_left(ended)
        self._say_end(ended)
        return ended

    def _with_what_is_left(self, ended: Run) -> Run:
        """What is left where a sync brought nothing."""
        with self._database.read() as connection:
            state = catalog.state(connection)
        if state.source is None:
            note = self.load_bootstrap(ended.trigger)
        elif state.source == "bootstrap":
            note = f"The catalog holds the bootstrap facts of {state.source_at:%Y-%m-%d}; they are not synced yet."
        else:
            note = "The last good catalog stays."
        return replace(ended, notes=(*ended.notes, note))

    def _sync(self, run_id: int, kind: Kind, known: Known, force: bool) -> Run | None:
        """One sync under the lock; returns the run where it is at hand."""
        bring_up_to_date(self._database, run_id, known.decoder, now=self._now, tell=self._tell)
        goes_on = self._research is not None and self._research.goes_on(kind)
        with closing(self._open_source()) as source:
            asked = self._ask(source, known, force)
            changed: frozenset[str] = frozenset()
            if asked.is_unchanged:
                status: Status = "unchanged"
                ended = self._confirm(run_id, known, asked.capture, goes_on)
            else:
                taken = Pipeline(self._database, self._policy.limits, alerting=self._runner.alerting).take(
                    asked.capture,
                    self._body(asked),
                    run_id=run_id,
                    known_at=lambda: max(self._now(), asked.capture.fetched_at),
                    goes_on=goes_on,
                )
                self._tell("Compared", **{name: value for name, value in counts(taken.plan).items() if value})
                status, ended = taken.status, None
                changed = frozenset(change.id for change in taken.plan.changes)
            if self._research is None or not goes_on or status == "held":
                return ended
            return self._go_on(self._research, source, run_id, kind, status, changed, force)

    def _go_on(
        self,
        research: Research,
        source: Source,
        run_id: int,
        kind: Kind,
        status: Status,
        changed: frozenset[str],
        force: bool,
    ) -> Run:
        """The steps after the model list, and the end of the run. What failed is said; of a research sync it is the
        failure, of a regular one, whose work is the model list, a note.
        """
        open_quick = self._open_quick if kind == "regular" else None
        with nullcontext(source) if open_quick is None else closing(open_quick()) as asked:
            done = research.run(asked, run_id, kind, changed=changed, repeat=force)
        error = None
        if kind == "research":
            status = "failed" if done.failed else "completed" if done.has_worked else status
            error = done.why
        with self._database.write() as connection:
            so_far = runs.glance(connection, run_id)
            # of a research sync the error says it
            notes = [*so_far.notes, *(() if kind == "research" else done.notes)]
            now = self._now()
            version = catalog.state(connection).catalog_version
            ended = runs.end(
                connection, run_id, status, now=now, error=error, notes=notes, catalog_version=version
            )  # fmt: skip
            if ended is None:
                raise runs.lost(run_id)
            alerts.write_of_run(connection, ended, now=now, channels=self._runner.alerting.channels)
            return runs.get(connection, run_id)

    def _body(self, asked: _Asked) -> bytes:
        """The answer's bytes; those stored already where OpenRouter only said that they are still true."""
        if asked.body or not asked.is_same:
            return asked.body
        with self._database.read() as connection:
            return captures.read_body(connection, asked.capture.digest)

    def _ask(self, source: Source, known: Known, force: bool) -> _Asked:
        """Fetch the list; an answer we know already is recognised by its status or its digest."""
        last = None if force else self._comparable(known)
        answer = (
            source.models()
            if last is None
            else source.models(etag=last.etag, last_modified=last.last_modified, known=last.digest)
        )
        fetched_at = self._date(answer, known.newest_at)
        is_same = last is not None and (answer.status == 304 or answer.digest == last.digest)
        digest = last.digest if last is not None and is_same else answer.digest
        capture = Capture(fetched_at, self._policy.source, SCOPE, digest, answer.etag, answer.last_modified)
        # where a value is held, a removal unconfirmed or the catalog pinned, the same body says something else
        settles = not (known.has_held_values or known.has_unconfirmed or known.is_pinned or known.is_moved)
        return _Asked(capture, answer.body, is_same, is_same and settles)

    def _comparable(self, known: Known) -> Capture | None:
        """The capture against which an answer may be called the same, if there is one (design 4.2)."""
        usable = (
            known.last is not None
            and not known.is_held
            and known.last.source == self._policy.source
            and known.source == "openrouter"
            and known.decoder == DECODER
        )
        return known.last if usable else None

    def _date(self, answer: Answer, newest: datetime | None) -> datetime:
        """When the answer was fetched, by a clock that can be believed; later than every capture before it."""
        now = self._now()
        if answer.date is not None and abs(now - answer.date) > CLOCK_TOLERANCE:
            raise ClockError(
                f"this machine says it is {now:%Y-%m-%d %H:%M} UTC, OpenRouter says {answer.date:%Y-%m-%d %H:%M} UTC: "
                "set this machine's clock. Nothing was applied, since the history would be dated wrong."
            )
        return now if newest is None or now > newest else newest + timedelta(microseconds=1)

    def _confirm(self, run_id: int, known: Known, capture: Capture, goes_on: bool) -> Run | None:
        """OpenRouter says what it said: only the run and the capture are written."""
        row: dict[str, Any] = {
            "scope": SCOPE,
            "models_seen": known.models_seen,
            "unchanged": known.models_seen,
            "unreadable": known.unreadable,
            "catalog_version": known.catalog_version,
        }
        ended = None
        with self._database.write() as connection:
            if goes_on:
                runs.fence(connection, run_id)
                runs.note(connection, run_id, **row)
            else:
                # ending the run is its own fence
                ended = runs.end(connection, run_id, "unchanged", now=self._now(), **row)
                if ended is None:
                    raise runs.lost(run_id)
            captures.Captures().keep(connection, capture, None, run_id, "applied")
        return ended

    def _rehearse(self, kind: Kind, trigger: str, force: bool) -> Run:
        """A dry run: takes no lock, migrates nothing, writes nothing."""
        known = Known()
        if self._database.require_schema():
            with self._database.read() as connection:
                known = captures.known(connection, SCOPE)
        run = Run(kind, trigger, "running", self._now(), dry_run=True, scope=SCOPE, plan=(), verdicts=())
        if kind == "research" and self._research is not None:
            run = replace(run, notes=("A dry run asks for the model list alone; endpoints and rankings are not read.",))
        try:
            with closing(self._open_source()) as source:
                asked = self._ask(source, known, force)
            if asked.is_unchanged:
                seen, unreadable = known.models_seen, known.unreadable
                return replace(
                    run, status="unchanged", finished_at=self._now(), models_seen=seen, unchanged=seen,
                    unreadable=unreadable,
                )  # fmt: skip
            pipeline = Pipeline(self._database, self._policy.limits)
            judged = pipeline.plan(asked.capture, self._body(asked))
        except (UpstreamError, ClockError) as error:
            return replace(run, status="failed", finished_at=self._now(), error=str(error))
        plan, judgement = judged.plan, judged.judgement
        if pipeline.pinned is not None and not judgement.is_held:
            row = pinned_row(plan, pipeline.pinned)
            told = {
                "models_seen": row["models_seen"],
                "unchanged": row["unchanged"],
                "notes": (*run.notes, *row["notes"]),
            }
            status: Status = "unchanged" if judged.same_as_last else "completed"
            return replace(run, status=status, finished_at=self._now(), **told)
        return replace(
            run,
            status="held" if judgement.is_held else "unchanged" if plan.is_empty else "completed",
            finished_at=self._now(),
            error=judgement.why,
            held=len(judgement.held),
            notes=(*run.notes, *notes(plan)),
            plan=tuple(change.to_json() for change in plan.changes),
            verdicts=tuple(found.to_json() for found in judgement.verdicts),
            **counts(plan),
        )

    def load_bootstrap(self, trigger: str) -> str:
        """Fill an empty catalog with the facts shipped with LLMHive, as a run of its own; returns a line about it."""
        with self._database.write() as connection:
            run_id = self._runner.at_once(connection, "bootstrap", trigger=trigger)
            if run_id is None:
                return "Another sync has started meanwhile."
            if catalog.state(connection).source is not None:
                why = "Another sync has filled the catalog meanwhile."
                runs.end(connection, run_id, "interrupted", now=self._now(), error=why)
                return why
            models, as_of = apply_bootstrap(connection, run_id=run_id, now=self._now())
        return (
            f"Loaded the bootstrap catalog shipped with LLMHive ({models} models as of {as_of:%Y-%m-%d}), "
            "so that there is something to look at. The first sync that works replaces it."
        )

    def _say_end(self, run: Run) -> None:
        facts = {"run": run.id, "status": run.status, "duration_seconds": run.duration_seconds}
        if run.dry_run:
            self._tell("Dry run done", status=run.status, error=run.error, **{n: getattr(run, n) for n in _COUNTED})
        elif run.status in DONE:
            self._tell(f"Synced {run.models_seen} models", **facts, **{n: getattr(run, n) for n in _COUNTED})
        elif run.status == "skipped":
            self._tell("Sync skipped", why=run.notes[0])
        else:
            self._tell("Sync failed" if run.status == "failed" else "Sync held", **facts, error=run.error)


_COUNTED = ("added", "changed", "repriced", "deactivated", "reactivated", "unchanged", "unreadable")
