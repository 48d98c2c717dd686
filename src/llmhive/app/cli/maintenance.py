"""doctor, migrate, backup, restore, export, make-bootstrap."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from llmhive.app import settings as settings_table
from llmhive.app import wiring
from llmhive.app.cli import render, times, work
from llmhive.app.cli.work import Json
from llmhive.app.library import Catalog
from llmhive.catalog.query import Query
from llmhive.errors import UsageError
from llmhive.store.database import Schema


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (doctor, migrate, backup, restore, export):
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


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file; it becomes a SQLite database.")],
    json: Json = False,
) -> None:
    """A consistent copy of the whole database, history and raw bodies included, while others go on using it.

    It is one SQLite file, whatever database it was: DATABASE_URL=sqlite:///FILE reads it as it is, and
    `llmhive restore` fills a new database from it.
    """
    from llmhive.store.backup import backup as copy_to

    with work.database() as (_, database):
        size = copy_to(database, file)
        label = database.label
    if json:
        render.as_json({"database": label, "file": str(file), "bytes": size})
    else:
        render.out().print(f"Backed up {render.escape(label)} to {render.escape(str(file))} ({size / 1e6:.1f} MB).")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `llmhive backup` wrote.")], json: Json = False
) -> None:
    """Fill an empty database from a backup. It never overwrites: set DATABASE_URL to a new database."""
    from llmhive.store.backup import restore as fill

    with work.database() as (_, database):
        fill(file, database)
        label = database.label
    if json:
        render.as_json({"database": label, "file": str(file)})
    else:
        render.out().print(f"Restored {render.escape(str(file))} into {render.escape(label)}.")


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Ending with .csv, .json or .parquet.")],
    everything: Annotated[bool, typer.Option("--all", help="Inactive models as well.")] = False,
    as_of: Annotated[str | None, typer.Option(help="As OpenRouter served it at a time: 2025-11-01, 30d.")] = None,
    json: Json = False,
) -> None:
    """Write the catalog to a file, a row a model: CSV, JSON or Parquet.

    Prices are exact decimal strings in USD per token, beside numbers per million tokens. Parquet needs
    `pip install 'llmhive[bulk]'`.
    """
    from llmhive.app.bulk.export import export as write

    with Catalog.open() as catalog:
        at = None if as_of is None else times.instant(as_of, wiring.now())
        page = catalog.models(Query(active=None if everything else True), as_of=at)
    if page.source is None:
        raise UsageError("The catalog is empty. Run `llmhive sync` first.")
    write(page.to_json(), file)
    if json:
        render.as_json({"file": str(file), "models": len(page.data), "bytes": file.stat().st_size})
    else:
        render.out().print(f"Wrote {len(page.data)} models to {render.escape(str(file))}.")


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
