"""How the command speaks: JSON for scripts, tables and short sentences for people."""

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
    return _Stdout(highlight=False, emoji=False, soft_wrap=not is_terminal, width=None if is_terminal else _PIPE_WIDTH)


def escape(text: str) -> str:
    """Text from elsewhere, fit for a terminal: no markup, and no control characters to move its cursor."""
    return markup.escape(_printable(text))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def speaks(text: str) -> bool:
    """Whether stdout can write these letters: where it cannot they come out as ``?``, which means unknown."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


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
        # what rounds up to a thousand of one unit is one of the next
        if 10_000 * count >= 9_995 * size:
            number = count / size
            return f"{f'{number:.3g}' if number < 999.5 else f'{number:.0f}'}{unit}"
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


def as_of(text: str) -> str:
    """When something was true, as its source dates it: an instant as all are shown, a day or words as they are."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment(text) if "T" in text and at.tzinfo is not None else text


def short(text: str, more: str | None = None, *, at_most: int = 100) -> str:
    """A text in one line of about so many letters; where it is cut, `more` is the command that tells it whole."""
    line = " ".join(text.split())
    if len(line) <= at_most:
        return line
    kept = line[:at_most].rpartition(" ")[0] or line[:at_most]
    return f"{kept.rstrip(' ,;:.(')} …{f' {more}' if more else ''}"


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
    if not console.is_terminal:
        # all of it, and no blanks to fill a terminal that is not there
        lines = (
            "  ".join(
                _printable(cell).rjust(width) if name in right else _printable(cell).ljust(width)
                for cell, width, name in zip(row, widths, columns, strict=True)
            ).rstrip()
            for row in (columns, *rows)
        )
        _write("".join(f"{line}\n" for line in lines).encode(sys.stdout.encoding, "replace"))
        return
    for name, least in gives.items():
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
    console.print(made)


def fitting(
    console: Console,
    columns: Sequence[tuple[str, list[str]]],
    *,
    spared: Sequence[str],
    gives: Mapping[str, int],
) -> tuple[list[tuple[str, list[str]]], list[str]]:
    """The columns (name and cells) that fit the terminal when those of `gives` give way, and the names of those left
    out for it: of `spared`, one after the other. Outside a terminal all fit.
    """
    kept, left_out = list(columns), []
    for name in spared if console.is_terminal else ():
        if sum(2 + _least(column, gives) for column in kept) <= console.width:
            break
        if name in dict(kept):
            kept = [column for column in kept if column[0] != name]
            left_out.append(name)
    return kept, left_out


def _least(column: tuple[str, list[str]], gives: Mapping[str, int]) -> int:
    name, cells = column
    width = max(map(len, (name, *cells)))
    return min(width, gives.get(name, width))


def facts(console: Console, pairs: Iterable[tuple[str, object]]) -> None:
    """Names and values, a line each; values that are None are left out."""
    made = Table.grid(padding=(0, 2))
    made.add_column(style="dim", no_wrap=True)
    made.add_column()
    for name, value in pairs:
        if value is not None:
            made.add_row(name, escape(str(value)))
    console.print(made)


def chart(console: Console, lines: Sequence[Sequence[tuple[float, float]]]) -> None:
    """Draw lines over time: points are instants, as seconds of the epoch, and values."""
    # only this needs it
    import plotext

    points = [point for line in lines for point in line]
    figure = plotext.figure
    figure.clear()
    figure.plot_size(min(console.width, 100), 9)
    figure.theme("colorless")
    for line in lines:
        signal = figure.signal([at for at, _ in line], [value for _, value in line], marker="braille")
        signal.lines(True)
        figure.draw(signal)
    first, last = points[0][0], max(points[-1][0], points[0][0] + 1)
    ticks = [first + (last - first) * part / 4 for part in range(5)]
    figure.ruler("x").ticks(ticks, [f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}" for at in ticks])
    low, high = min(value for _, value in points), max(value for _, value in points)
    figure.ruler("y").lim(0, high)
    marks = sorted({0.0, low, high})
    figure.ruler("y").ticks(marks, [f"{value:.4g}" for value in marks])
    for row in figure.build().string(colorless=True).splitlines():
        console.print(escape(row.rstrip()), no_wrap=True, overflow="crop")
