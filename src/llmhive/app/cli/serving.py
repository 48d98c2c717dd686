"""serve."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from llmhive.app import settings as settings_table
from llmhive.app.cli import render


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(rich_help_panel="Service", help=render.help_of(serve))(serve)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; without it HOST, or 127.0.0.1.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Port to listen on; without it PORT, or 8080.")
    ] = None,
    no_schedule: Annotated[
        bool, typer.Option("--no-schedule", help="Start no sync by itself: something else posts to the service.")
    ] = False,
) -> None:
    """Serve the catalog over HTTP and as web pages, and keep it in sync: at once where that is due, then by
    SYNC_SCHEDULE and RESEARCH_SCHEDULE.

    It makes the database, and without a network it serves the facts shipped with LLMHive, and says so, until a sync
    works. Ctrl-C stops it. Any number may serve one PostgreSQL database. On an address that other machines reach it
    starts only if AUTH_TOKEN, or AUTH_OIDC_AUDIENCE with AUTH_OIDC_ACCOUNTS, says who may write.
    """
    known = settings_table.read()
    known = replace(known, host=host or known.host, port=known.port if port is None else port)
    from llmhive.app.http.serve import serve as run
    from llmhive.app.pages import rooms

    run(known, has_schedule=not no_schedule, rooms=[rooms.add_to])
