"""The command `llmhive`: its groups, its exit codes, its last line of defence."""

from __future__ import annotations

import io
import signal
import sys
from typing import Annotated, NoReturn

import typer

from llmhive.app.cli import (
    browsing,
    costs,
    ledger,
    maintenance,
    market,
    reconcile,
    render,
    select,
    serving,
    syncing,
    travel,
)
from llmhive.errors import LLMHiveError, UsageError
from llmhive.version import VERSION

app = typer.Typer(
    name="llmhive",
    help="A trustworthy, time-travelling copy of the OpenRouter model catalog: what is available, what it costs.\n\n"
    "Begin with `llmhive sync`, then `llmhive models`. Without settings everything is kept in a SQLite file in your "
    "user data directory; set DATABASE_URL for PostgreSQL.\n\n"
    "Exit codes: 0 done (also unchanged and skipped), 1 failed, 2 wrong usage, 3 held by the gate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"llmhive {VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None: ...


serving.add_to(app)
syncing.add_to(app)
browsing.add_to(app)
market.add_to(app)
select.add_to(app)
costs.add_to(app)
reconcile.add_to(app)
travel.add_to(app)
ledger.add_to(app)
maintenance.add_to(app)


def main() -> NoReturn:
    """Run the command and exit with the contract's codes."""
    # a polite stop must reach the run's own end, as Ctrl-C does
    signal.signal(signal.SIGTERM, _stop)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, _stop)
    for stream in (sys.stdout, sys.stderr):
        # a letter the terminal does not know must not end a command that did its work
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            app(prog_name="llmhive")
        finally:
            sys.stdout.flush()
    except UsageError as error:
        _leave(str(error), 2)
    except LLMHiveError as error:
        _leave(str(error), 1)
    except KeyboardInterrupt:
        _leave("Stopped.", 130)
    except BrokenPipeError:
        render.reader_left()
    raise SystemExit(0)


def _stop(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _leave(message: str, code: int) -> NoReturn:
    typer.echo(f"llmhive: {message}", err=True)
    raise SystemExit(code)
