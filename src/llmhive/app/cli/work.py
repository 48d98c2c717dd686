"""What commands that run something share: progress or a log, a closed database, a summary, the exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from llmhive.app import settings as settings_table
from llmhive.app import wiring
from llmhive.app.cli import render, summary
from llmhive.app.cli.narrator import Narrator
from llmhive.app.settings import Settings
from llmhive.catalog.run import Run
from llmhive.store.database import Database

if TYPE_CHECKING:
    from llmhive.app.observe import Tell
    from llmhive.app.openrouter.runner import Runner

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
_CODES = {"failed": 1, "interrupted": 1, "held": 3}


@contextmanager
def telling(settings: Settings) -> Iterator[Tell]:
    """Where a run reports to: a live line on a terminal, else log lines; a stop is said in a line."""
    try:
        if sys.stderr.isatty():
            with Narrator() as narrator:
                yield narrator
        else:
            # a twentieth of a second of imports that only this needs
            from llmhive.app import observe

            yield observe.log_to_stderr(settings.secrets)
    except (KeyboardInterrupt, SystemExit):
        typer.echo("llmhive: Stopped. Nothing is half applied.", err=True)
        raise


@contextmanager
def database() -> Iterator[tuple[Settings, Database]]:
    """The settings and their database, closed at the end."""
    settings = settings_table.read()
    opened = wiring.database(settings)
    try:
        yield settings, opened
    finally:
        opened.close()


@contextmanager
def delivering(settings: Settings, opened: Database, tell: Tell, *, dry_run: bool = False) -> Iterator[None]:
    """At the end, send what there is to tell, however the run ended; what cannot be sent now is sent later."""
    urls = () if dry_run else settings.alert_urls
    try:
        yield
    except Exception:
        if urls:
            _deliver(settings, opened, tell)
        raise
    if urls:
        _deliver(settings, opened, tell)


def _deliver(settings: Settings, opened: Database, tell: Tell) -> None:
    try:
        wiring.deliverer(settings, opened, tell).deliver_due()
    except (KeyboardInterrupt, SystemExit):
        typer.echo("llmhive: Stopped. What alerts are left are sent later; the run itself is over.", err=True)


def run(do: Callable[[Runner, Settings], Run], *, as_json: bool, with_plan: bool = False) -> NoReturn:
    """Run something under the lock, print how it ended, and exit with its code."""
    with database() as (settings, opened), telling(settings) as tell, delivering(settings, opened, tell):
        ended = do(wiring.runner(settings, opened, tell), settings)
    end(ended, as_json=as_json, with_plan=with_plan)


def end(ended: Run, *, as_json: bool, with_plan: bool) -> NoReturn:
    """Print how a run ended, and exit with its code."""
    if as_json:
        render.as_json((ended if with_plan else replace(ended, plan=None, verdicts=None)).to_json())
    else:
        summary.show(render.out(), ended)
    raise typer.Exit(_CODES.get(ended.status, 0))
