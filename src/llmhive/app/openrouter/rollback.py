"""Going back to a snapshot, and staying there: a rollback is the difference between what is believed and a snapshot,
applied as a run like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from llmhive.app.openrouter.runner import Runner, Work
from llmhive.catalog.diff import Change, between
from llmhive.catalog.run import Run
from llmhive.errors import Conflict, NotFound, UsageError
from llmhive.store import captures, catalog, runs, snapshots
from llmhive.store.catalog import Row
from llmhive.store.database import Database
from llmhive.store.snapshots import Snapshot


def rollback(runner: Runner, name: str, *, trigger: str, pin: bool = False, dry_run: bool = False) -> Run:
    """Believe a snapshot again; raises `NotFound` and `Conflict`.

    What was believed before is kept as the snapshot ``before-run-N``, so that every rollback can be taken back. With
    `pin` it is believed until `unpin`, whatever OpenRouter says.
    """
    if dry_run:
        return _rehearse(runner, name, trigger, pin)
    if not runner.database.require_schema():
        raise NotFound(f"There is no snapshot {name!r}: nothing has been synced yet.")
    work = Work(
        "rollback",
        look=lambda connection: _wanted(connection, name, pin),
        do=lambda run_id, taken: _rollback(runner, run_id, taken, pin),
    )
    ended = runner.run(work, trigger=trigger)
    if ended.status == "skipped":
        raise Conflict(f"Not rolled back: {ended.notes[0].removeprefix('Skipped: ')} Try again.")
    return ended


def _wanted(connection: Any, name: str, pin: bool) -> Snapshot:
    taken = snapshots.get(connection, name)
    pinned = catalog.state(connection).pinned
    if pinned is not None and not pin:
        raise Conflict(
            f"The catalog is pinned to {pinned!r}. `llmhive unpin` first, or pin it to {name!r} instead with --pin."
        )
    return taken


def _rollback(runner: Runner, run_id: int, taken: Snapshot, pin: bool) -> Run | None:
    now = runner.now()
    with runner.database.write() as connection:
        runs.fence(connection, run_id)
        kept = snapshots.take(connection, f"before-run-{run_id}", at=now, note=f"made by the rollback to {taken.name}")
        before, wanted, changes = _plan(connection, taken, now)
        catalog.restore(connection, wanted, run_id=run_id, known_at=now)
        state = snapshots.state_of(taken, catalog.state(connection))
        if not changes and before == wanted:
            state = replace(state, catalog_version=state.catalog_version - 1)
        if pin:
            state = replace(state, pinned=taken.name)
        catalog.write_state(connection, state)
        return runs.end(
            connection,
            run_id,
            "completed" if changes else "unchanged",
            now=runner.now(),
            notes=_notes(taken, pin, kept),
            plan=[change.to_json() for change in changes],
            catalog_version=state.catalog_version,
            **_counts(wanted, changes),
        )


def _plan(connection: Any, taken: Snapshot, now: datetime) -> tuple[dict[str, Row], dict[str, Row], tuple[Change, ...]]:
    """What is believed, what is to be believed, and what differs. What came after the snapshot is inactive then."""
    before, wanted = catalog.rows(connection), snapshots.read(connection, taken)
    last = captures.last_applied(connection)
    seen = last.fetched_at if last else None
    for model_id, row in before.items():
        if model_id not in wanted:
            gone = replace(row, is_active=False, last_seen_at=seen, deactivated_at=now) if row.is_active else row
            wanted[model_id] = gone
    changes = between(
        {model_id: row.belief for model_id, row in before.items()},
        {model_id: row.belief for model_id, row in wanted.items()},
    )
    return before, wanted, changes


def _counts(wanted: Mapping[str, Row], changes: tuple[Change, ...]) -> dict[str, Any]:
    active = sum(row.is_active for row in wanted.values())
    touched = {change.id for change in changes if change.what != "deactivated"}
    counts: dict[str, Any] = {
        what: len({change.id for change in changes if change.what == what})
        for what in ("added", "changed", "repriced", "deactivated", "reactivated")
    }
    return counts | {"models_seen": active, "unchanged": active - len(touched)}


def _notes(taken: Snapshot, pin: bool, kept: Snapshot | None) -> list[str]:
    lines = [f"Back to the snapshot {taken.name!r} of {taken.taken_at:%Y-%m-%d %H:%M} UTC."]
    if kept is not None:
        lines.append(f"To take this back: llmhive rollback {kept.name}")
    if pin:
        lines.append("Pinned: syncs record what OpenRouter lists, but change nothing here until `llmhive unpin`.")
    else:
        lines.append("The next sync brings the catalog up to date again; `llmhive sync --dry-run` shows how.")
    return lines


def _rehearse(runner: Runner, name: str, trigger: str, pin: bool) -> Run:
    now = runner.now()
    if not runner.database.require_schema():
        raise NotFound(f"There is no snapshot {name!r}: nothing has been synced yet.")
    with runner.database.read() as connection:
        taken = _wanted(connection, name, pin)
        _, wanted, changes = _plan(connection, taken, now)
    return Run(
        "rollback",
        trigger,
        "completed" if changes else "unchanged",
        now,
        dry_run=True,
        finished_at=runner.now(),
        notes=tuple(_notes(taken, pin, None)),
        plan=tuple(change.to_json() for change in changes),
        verdicts=(),
        **_counts(wanted, changes),
    )


def unpin(database: Database) -> str | None:
    """Let syncs change the catalog again; changes nothing itself. Returns the snapshot it was pinned to, if any."""
    if not database.require_schema():
        return None
    with database.write() as connection:
        return catalog.unpin(connection)


def snapshot(database: Database, name: str | None, *, at: datetime, note: str | None = None) -> Snapshot:
    """Keep what is believed under a name, or else under that of the time; raises `UsageError` and `Conflict`."""
    name = name or f"at-{at:%Y-%m-%dT%H%M%SZ}"
    if not database.require_schema():
        raise UsageError(f"There is nothing to keep as {name!r}: the catalog is empty. Run `llmhive sync` first.")
    with database.write() as connection:
        if catalog.state(connection).source is None:
            raise UsageError(f"There is nothing to keep as {name!r}: the catalog is empty. Run `llmhive sync` first.")
        return snapshots.take(connection, name, at=at, note=note)
