"""snapshot, snapshots, rollback, unpin, backfill, rederive: going back, and taking history in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmhive.app import wiring
from llmhive.app.cli import render, work
from llmhive.app.cli.work import Json
from llmhive.app.library import Catalog
from llmhive.errors import UsageError

if TYPE_CHECKING:
    from llmhive.catalog.feed import Scope

Name = Annotated[str, typer.Argument(metavar="SNAPSHOT", help="Its name, from `llmhive snapshots`.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("snapshot", rich_help_panel="Ledger", help=render.help_of(snapshot))(snapshot)
    app.command("snapshots", rich_help_panel="Ledger", help=render.help_of(list_snapshots))(list_snapshots)
    app.command("rollback", rich_help_panel="Ledger", help=render.help_of(rollback))(rollback)
    for command in (unpin, backfill, rederive):
        app.command(rich_help_panel="Ledger", help=render.help_of(command))(command)


def snapshot(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Begins with a letter; without it, named by the time.")
    ] = None,
    note: Annotated[str | None, typer.Option(help="Why, for those who read `llmhive snapshots`.")] = None,
    json: Json = False,
) -> None:
    """Keep what is believed now under a name, to compare with and to go back to."""
    from llmhive.app.openrouter.rollback import snapshot as take

    with work.database() as (_, database):
        taken = take(database, name, at=wiring.now(), note=note)
    if json:
        render.as_json(taken.to_json())
    else:
        render.out().print(f"Kept {taken.models} models as {render.escape(taken.name)}. `llmhive diff {taken.name}` "
                           "says what changed since.")  # fmt: skip


def list_snapshots(json: Json = False) -> None:
    """The snapshots, newest first; each rollback keeps what was before it as one, too."""
    with Catalog.open() as catalog:
        found = catalog.snapshots()
    if json:
        render.as_json({"data": found})
        return
    console = render.out()
    if not found:
        console.print("There is no snapshot. `llmhive snapshot NAME` takes one.")
        return
    rows = [
        (it["name"], render.moment(it["taken_at"]), str(it["models"]), "pinned" if it["is_pinned"] else "",
         it["note"] or "")
        for it in found
    ]  # fmt: skip
    render.table(console, ("name", "taken", "models", "", "note"), rows, right=("models",), gives={"note": 20})


def rollback(
    name: Name,
    pin: Annotated[bool, typer.Option("--pin", help="Stay there until `llmhive unpin`, whatever OpenRouter says.")] = (
        False
    ),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change; write nothing.")] = False,
    json: Json = False,
) -> None:
    """Believe a snapshot again, exactly as it was.

    It is a run like any other: `llmhive show` tells what it changed, and what was believed before it is kept as the
    snapshot before-run-N, so that it can be taken back. What OpenRouter served stays untouched. The next sync brings
    the catalog up to date again, unless it is pinned: then syncs only record.
    """
    from llmhive.app.openrouter.rollback import rollback as go_back

    work.run(
        lambda runner, _: go_back(runner, name, trigger="cli", pin=pin, dry_run=dry_run),
        as_json=json,
        with_plan=dry_run,
    )


def unpin(json: Json = False) -> None:
    """Let syncs change the catalog again. It changes nothing itself; the next sync catches up."""
    from llmhive.app.openrouter.rollback import unpin as release

    with work.database() as (_, database):
        was = release(database)
    if json:
        render.as_json({"was_pinned_to": was})
    elif was is None:
        render.out().print("The catalog is not pinned.")
    else:
        render.out().print(f"No longer pinned to {render.escape(was)}. The next `llmhive sync` catches up.")


def backfill(
    path: Annotated[
        Path,
        typer.Argument(metavar="PATH", help="A folder or archive (.tar, .tar.zst, .tar.gz …) of captured lists."),
    ],
    scope: Annotated[
        str | None, typer.Option(help="What the lists cover: all, or text. Without it, each list tells by itself.")
    ] = None,
    json: Json = False,
) -> None:
    """Take captured lists of OpenRouter's models (bodies of GET /models) into history, each in its place.

    The time of each is in its file's name: YYYY-MM-DDTHHMMSSZ….json, in UTC. They may come in any order, before or
    after syncs began, and again: what is there already is left out. Stopped in the middle, it goes on where it was when
    it is started again. What is believed changes only if a list is newer than the last sync.
    """
    from llmhive.app.openrouter.backfill import backfill as take_in

    if scope not in {None, "all", "text"}:
        raise UsageError(f"{scope!r} is not a scope. Write --scope all or --scope text.")
    known: Scope | None = "all" if scope == "all" else "text" if scope == "text" else None
    work.run(
        lambda runner, settings: take_in(runner, path, wiring.limits(settings), trigger="cli", scope=known),
        as_json=json,
    )


def rederive(json: Json = False) -> None:
    """Read history anew from the stored bodies, and report what became different.

    A sync does this by itself when a new version of LLMHive reads more than the one before. It is built beside the old
    history and swapped in one step.
    """
    from llmhive.app.openrouter.rederive import rederive as read_anew

    work.run(lambda runner, _: read_anew(runner, trigger="cli"), as_json=json)
