"""migrate, doctor, make-bootstrap."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from llmhive.app import settings as settings_table
from llmhive.app import wiring
from llmhive.app.cli import render
from llmhive.app.cli.syncing import Json
from llmhive.errors import UsageError
from llmhive.store.database import Schema


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (doctor, migrate):
        app.command(rich_help_panel="Maintain", help=render.help_of(command))(command)
    app.command(hidden=True, help=render.help_of(make_bootstrap))(make_bootstrap)


def migrate(json: Json = False) -> None:
    """Create the tables, or bring them up to date; does nothing where they are.

    `llmhive sync` does this itself on SQLite and in an empty database. On PostgreSQL run it when a new version asks
    for it; replicas of the version before keep working.
    """
    database = wiring.database(settings_table.read())
    try:
        before = database.schema()
        if before is Schema.NEWER:
            database.require_schema()
        database.migrate()
        after = database.schema()
    finally:
        database.close()
    if json:
        render.as_json({"database": database.label, "before": before.value, "after": after.value})
        return
    did = "Nothing to do" if before is Schema.CURRENT else "Created the tables" if before is Schema.MISSING else "Done"
    render.out().print(f"{did}: {render.escape(database.label)} is up to date.")


def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask OpenRouter.")] = False, json: Json = False
) -> None:
    """Check that everything is in order: settings, key, network, clock, database, tables, lock, schedule; and say what
    to do where it is not. Ends with 1 when something needs you.
    """
    from llmhive.app.cli.checks import examine

    findings = examine(settings_table.read(), offline=offline)
    if json:
        render.as_json({"ok": all(f.ok for f in findings), "checks": [f.to_json() for f in findings]})
    else:
        console = render.out()
        made = Table.grid(padding=(0, 1))
        for finding in findings:
            mark = "[red]BAD[/]" if not finding.ok else "[yellow]note[/]" if finding.advice else "[green]ok[/]"
            advice = f"\n[yellow]→ {render.escape(finding.advice)}[/]" if finding.advice else ""
            made.add_row(mark, finding.name, render.escape(finding.found) + advice)
        console.print(made)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


def make_bootstrap(
    file: Annotated[Path, typer.Argument(help="Where to write it: src/llmhive/app/openrouter/bootstrap.json")],
) -> None:
    """Write the bootstrap's table of facts from this database's synced catalog (for those who release LLMHive)."""
    from llmhive.app.openrouter import bootstrap
    from llmhive.store import browse, captures

    database = wiring.database(settings_table.read())
    try:
        if not database.require_schema():
            raise UsageError("The catalog is empty. Run `llmhive sync` first.")
        with database.read() as connection:
            last = captures.last_applied(connection, "all")
            if last is None:
                raise UsageError("The catalog was never synced with all modalities. Run `llmhive sync` first.")
            content = bootstrap.make(browse.active_models(connection), last.fetched_at)
    finally:
        database.close()
    try:
        file.write_bytes(content)
    except OSError as error:
        raise UsageError(f"Cannot write {file}: {error.strerror}.") from error
    render.out().print(
        f"Wrote {render.escape(str(file))}: {len(content):,} bytes, as of {last.fetched_at:%Y-%m-%d %H:%M} UTC."
    )
