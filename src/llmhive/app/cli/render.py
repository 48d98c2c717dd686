"""How the command speaks: JSON for scripts, tables and short sentences for people; progress on stderr."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from typing import Any, NoReturn

import msgspec
from rich import markup
from rich.console import Console
from rich.table import Table

from llmhive.catalog.pricing import per_million, plain

#: A table wider than the terminal wraps; one in a pipe must not.
_PIPE_WIDTH = 200
_FOUR_DIGITS = Context(prec=4)
#: Prices are strings already; what is a number in JSON stays one.
_JSON = msgspec.json.Encoder(decimal_format="number")


class _Stdout(Console):
    def on_broken_pipe(self) -> None:
        """As for JSON."""
        reader_left()


def out() -> Console:
    """Stdout for people."""
    is_terminal = sys.stdout.isatty()
    return _Stdout(highlight=False, soft_wrap=not is_terminal, width=None if is_terminal else _PIPE_WIDTH)


def escape(text: str) -> str:
    """Text from elsewhere, fit for a terminal: no markup, and no control characters to move its cursor."""
    return markup.escape("".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text))


def help_of(command: Callable[..., object]) -> str:
    """A command's docstring as help: its lines joined, so that a terminal wraps each paragraph as a whole."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split("\n")) for paragraph in paragraphs)


def as_json(document: Any) -> None:
    """Print one JSON document on stdout, exact numbers as they are."""
    # JSON is UTF-8, whatever the terminal speaks
    _write(msgspec.json.format(_JSON.encode(document), indent=2) + b"\n")


def _write(content: bytes) -> None:
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        reader_left()


def reader_left() -> NoReturn:
    """End well: the reader (head, less) has seen enough. What is left must not fail at the end of the process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(0)


def price(rate: str | Decimal | None, kind: str = "fixed") -> str:
    """USD per token, shown per million tokens with every digit."""
    if rate is None:
        return "varies" if kind == "dynamic" else "unknown"
    dollars = per_million(Decimal(rate))
    return "free" if kind == "free" and not dollars else f"${money(dollars)}" if dollars else "0"


def short_price(rate: str | Decimal | None, kind: str = "fixed") -> str:
    """USD per token, shown per million tokens with four digits that count."""
    return price(None if rate is None else _FOUR_DIGITS.plus(Decimal(rate)), kind)


def money(dollars: Decimal) -> str:
    """A dollar amount with at least two decimals and no digit lost."""
    text = plain(dollars)
    whole, _, decimals = text.partition(".")
    return f"{int(whole):,}.{decimals:0<2}"


def tokens(count: int | None) -> str:
    """A number of tokens, short: ``131k``, ``1.05M``; unknown is ``?``, and media models' 0 is ``–``."""
    if count is None:
        return "?"
    if count == 0:
        return "–"
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return str(count)


def ago(at: datetime | None, now: datetime) -> str:
    """How long ago, in the largest fitting unit."""
    if at is None:
        return "never"
    past = now - at
    if past < timedelta(0):
        return "in the future (is the clock right?)"
    return f"{span(past)} ago"


def span(length: timedelta) -> str:
    """A length of time in the largest fitting unit."""
    seconds = length.total_seconds()
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count != 1 else ''}"
    return f"{seconds:.0f} s"


def moment(text: str | None) -> str:
    """An ISO instant for people."""
    return "–" if text is None else f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def table(
    console: Console,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    gives: Mapping[str, int],
) -> None:
    """Print a table, a line a row. Where it is too wide for the terminal, the columns of `gives` give way one after the
    other, each down to a width; a number is never cut.
    """
    widths = [max(len(name), *(len(row[index]) for row in rows)) for index, name in enumerate(columns)]
    for name, least in gives.items() if console.is_terminal else ():
        flexible = list(columns).index(name)
        too_wide = sum(widths) + 2 * len(widths) - console.width
        widths[flexible] -= max(0, min(too_wide, widths[flexible] - least))
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name, width in zip(columns, widths, strict=True):
        made.add_column(
            name, justify="right" if name in right else "left", width=width, no_wrap=True, overflow="ellipsis"
        )  # fmt: skip
    for row in rows:
        made.add_row(*map(escape, row))
    if console.is_terminal:
        console.print(made)
        return
    with console.capture() as printed:
        console.print(made, width=sum(widths) + 2 * len(widths))
    # no blanks to fill a terminal that is not there
    _write("".join(f"{line.rstrip()}\n" for line in printed.get().splitlines()).encode(sys.stdout.encoding, "replace"))


def facts(console: Console, pairs: Iterable[tuple[str, object]]) -> None:
    """Names and values, a line each; values that are None are left out."""
    made = Table.grid(padding=(0, 2))
    made.add_column(style="dim", no_wrap=True)
    made.add_column()
    for name, value in pairs:
        if value is not None:
            made.add_row(name, escape(str(value)))
    console.print(made)


class Narrator:
    """Tells a sync's progress to a person watching: one live line, and a line for what went wrong."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn

        self._progress = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24), DownloadColumn(),
            console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task("Starting", total=None)

    def __enter__(self) -> Narrator:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, event: str, /, **facts: object) -> None:
        """Show an event."""
        say: dict[str, Callable[[], str]] = {
            "Rate limited": lambda: f"OpenRouter asks to wait; trying again in {_seconds(facts)}.",
            "Retrying": lambda: f"{facts.get('reason', 'No answer')}; trying again in {_seconds(facts)}.",
            "Waiting for another sync": lambda: (
                f"Run {facts.get('run')} is running, or died without a word; looking again for at most "
                f"{facts.get('at_most_seconds')} s."
            ),
            "Took over": lambda: f"Run {facts.get('run')} had died; it is marked interrupted.",
        }
        if event in say:
            self._progress.console.print(escape(say[event]()), style="yellow", highlight=False)
        if event == "Progress":
            self._progress.update(
                self._task, description="Downloading", completed=_count(facts.get("received")),
                total=_count(facts.get("expected")),
            )  # fmt: skip
        elif event in {"Requesting", "Preparing the database", "Received"}:
            words = {"Requesting": "Asking OpenRouter", "Received": "Comparing"}
            self._progress.update(self._task, description=words.get(event, event))


def _count(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _seconds(facts: Mapping[str, object]) -> str:
    value = facts.get("seconds", facts.get("wait"))
    return f"{value:.1f} s" if isinstance(value, int | float) else "a moment"
