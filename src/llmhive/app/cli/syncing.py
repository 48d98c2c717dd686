"""sync, status, runs, show."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import typer

from llmhive.app import settings as settings_table
from llmhive.app import wiring
from llmhive.app.cli import render, summary, work
from llmhive.app.cli.work import Json
from llmhive.app.library import Catalog
from llmhive.catalog.model import instant
from llmhive.catalog.run import Kind, Run


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command(rich_help_panel="Sync", help=render.help_of(sync), epilog=settings_help())(sync)
    for name, command in (("status", status), ("runs", list_runs), ("show", show), ("accept", accept)):
        app.command(name, rich_help_panel="Sync", help=render.help_of(command))(command)


def settings_help() -> str:
    """The settings as the end of ``sync --help``."""
    lines = [f"{row.variable}{f' ({row.default})' if row.default else ''}: {row.help}." for row in settings_table.TABLE]
    return "Settings, from the environment or a .env file here (defaults in parentheses):\n\n" + "\n\n".join(
        render.escape(line) for line in lines
    )


def sync(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what a sync would do; write nothing.")] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Sync even if the last one was a moment ago. Lifts neither the lock nor the gate."
        ),
    ] = False,
    research: Annotated[
        bool,
        typer.Option(
            "--research",
            help="The weekly kind, with an interval of its own: rankings, benchmarks and every endpoint as well.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Bring the catalog up to date with OpenRouter, and say what is new, gone, dearer and cheaper.

    After the list come rankings and the endpoints of what changed or is popular; with `--research` all rankings,
    benchmarks and endpoints, which goes on where an earlier try of the day stopped.

    Needs no key and no account. On the first run it makes the database; without a network, an empty catalog is filled
    with the facts shipped with LLMHive. One sync runs at a time, however many are started. It ends with 1 when
    OpenRouter gave no usable answer, and with 3 when the gate held an answer that cannot be true: in both cases the
    last good catalog stays.
    """
    kind: Kind = "research" if research else "regular"
    with (
        work.database() as (settings, database),
        work.telling(settings) as tell,
        work.delivering(settings, database, tell, dry_run=dry_run),
    ):
        ended = wiring.sync(settings, database, tell).run(trigger="cli", kind=kind, force=force, dry_run=dry_run)
    work.end(ended, as_json=json, with_plan=dry_run)


def accept(
    run_id: Annotated[int, typer.Argument(metavar="RUN", help="The run that held something, from `llmhive runs`.")],
    json: Json = False,
) -> None:
    """Apply what the gate held in a run: the whole answer, or the single values that still wait.

    Look at it with `llmhive show RUN` first. It is compared anew with what is believed now, and only the rules that
    held it are waived: if another one holds it now, it ends with 3. A newer answer takes the place of a held one; then
    there is nothing to accept. It is a run of its own, and `llmhive rollback` goes back before it.
    """
    from llmhive.app.openrouter.accept import accept as accept_held

    work.run(
        lambda runner, settings: accept_held(runner, run_id, wiring.limits(settings), trigger="cli"), as_json=json
    )  # fmt: skip


def status(json: Json = False) -> None:
    """When the last sync was and how it ended, what the catalog holds, and when the next one is due."""
    with Catalog.open() as catalog:
        found = catalog.status()
        if json:
            render.as_json(found)
            return
        last, research, listed = catalog.last_run("regular"), catalog.last_run("research"), catalog.last_list()
    console = render.out()
    if found["source"] is None:
        console.print("The catalog is empty. Run `llmhive sync`.", style="yellow")
    age = found["catalog_age_seconds"]
    source = {"openrouter": "OpenRouter", "bootstrap": "the bootstrap shipped with LLMHive, not synced yet"}
    render.facts(
        console,
        (
            ("Last sync", _last_sync(last, listed)),
            ("Last error", None if last is None else _short(last)),
            ("Last list", _last_list(last, listed)),
            ("Last research", _last_research(research)),
            ("Rankings", found["rankings_as_of"] and f"as of {render.as_of(found['rankings_as_of'])}"),
            ("Running", found["running"] and f"run {found['running']['id']} ({found['running']['kind']})"),
            ("Models", f"{found['models_in_catalog']} active"),
            ("From", source.get(found["source"])),
            ("Age", None if age is None else render.span(timedelta(seconds=age))),
            ("Held", _held(found)),
            ("Alerts", f"{found['alerts_pending']} not delivered yet" if found["alerts_pending"] else None),
            ("Pinned", found["pinned"] and f"to the snapshot {found['pinned']}; `llmhive unpin` lets syncs go on"),
            ("Next", f"{render.moment(found['next_scheduled_sync'])} by SYNC_SCHEDULE, where a scheduler runs"),
            ("Next research", f"{render.moment(found['next_scheduled_research'])} by RESEARCH_SCHEDULE, likewise"),
            ("Database", found["database"]),
        ),
    )


def _held(found: dict[str, Any]) -> str | None:
    waiting = []
    if found["held"]:
        waiting.append("an answer waits: `llmhive runs` names its run")
    if count := found["held_values"]:
        waiting.append(f"values of {count} model{'' if count == 1 else 's'}, until a second sync says the same")
    return "; ".join(waiting) or None


def _last_sync(last: Run | None, listed: Run | None) -> str | None:
    if last is None:
        # a research run syncs the list as well
        return "never" if listed is None else None
    return _ended(last)


def _last_list(last: Run | None, listed: Run | None) -> str | None:
    """Who brought the list, where that was not the last sync."""
    if listed is None or listed.kind != "research" or (last is not None and last.started_at > listed.started_at):
        return None
    return f"{_finished(listed)} (by research run {listed.id})"


def _last_research(last: Run | None) -> str:
    if last is None:
        return "never; `llmhive sync --research`"
    error = _short(last)
    return _ended(last) if error is None else f"{_ended(last)}: {error}"


def _ended(run: Run) -> str:
    # an answer without news is a sync that worked
    return f"{'completed' if run.status == 'unchanged' else run.status}, {_finished(run)}"


def _finished(run: Run) -> str:
    return render.moment(None if run.finished_at is None else instant(run.finished_at))


def _short(run: Run) -> str | None:
    """A run's error in a line that fits one."""
    return None if run.error is None else render.short(run.error, f"llmhive show {run.id}")


def list_runs(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many, newest first.")] = 20,
    json: Json = False,
) -> None:
    """The history of runs, newest first."""
    with Catalog.open() as catalog:
        found = catalog.runs(limit)
    if json:
        render.as_json({"data": [run.to_json() for run in found]})
        return
    console = render.out()
    if not found:
        console.print("Nothing ran yet. Run `llmhive sync`.", style="yellow")
        return
    rows = [
        (
            str(run.id),
            run.kind,
            run.status,
            f"{run.started_at:%Y-%m-%d %H:%M}",
            "–" if run.duration_seconds is None else f"{run.duration_seconds:.1f} s",
            _short(run) or _counts(run),
        )
        for run in found
    ]
    columns = ("run", "kind", "status", "started (UTC)", "took", "what")
    render.table(console, columns, rows, right=("run", "took"), gives={"what": 12})


def _counts(run: Run) -> str:
    """What a run did, without what it did not."""
    counts = (
        (run.models_seen, "seen"),
        (run.added, "new"),
        (run.deactivated, "gone"),
        (run.reactivated, "back"),
        (run.repriced, "repriced"),
        (run.changed, "changed"),
        (run.unreadable, "unreadable"),
    )
    return ", ".join(f"{count} {what}" for count, what in counts if count)


def show(
    run_id: Annotated[int, typer.Argument(metavar="RUN", help="The run's number, from `llmhive runs`.")],
    json: Json = False,
) -> None:
    """One run whole: what it changed, field by field, and what the gate found."""
    with Catalog.open() as catalog:
        run = catalog.run(run_id)
    if json:
        render.as_json(run.to_json())
        return
    console = render.out()
    render.facts(
        console,
        (
            ("Run", run.id),
            ("Kind", f"{run.kind}, started by {run.trigger}"),
            ("Started", f"{run.started_at:%Y-%m-%d %H:%M:%S} UTC"),
            ("Took", None if run.duration_seconds is None else f"{run.duration_seconds:.1f} s"),
            ("Status", run.status),
        ),
    )
    console.print()
    summary.show(console, run, at_most=None)
    summary.explain(console, run)
