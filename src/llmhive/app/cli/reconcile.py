"""reconcile: what OpenRouter billed beside what it should have cost, and why they differ."""

from __future__ import annotations

import csv
import heapq
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import IO, Annotated, Any

import msgspec
import typer
from rich.console import Console

from llmhive.app.cli import render
from llmhive.app.cli.work import Json, database
from llmhive.app.reconcile import Reconciler, Row, Summary, Total, read, read_file
from llmhive.catalog.bill import Bill
from llmhive.catalog.cause import AGREED, Cause, dollars
from llmhive.catalog.receipt import aligned
from llmhive.errors import UsageError

_LIMIT = 20
#: The columns of the file of ``--output``, as in the JSON; text of others is among them.
_COLUMNS = (
    "row", "id", "at", "name", "model", "provider", "tier", "requests", "is_byok", "billed", "upstream", "paid", "ours",
    "difference", "is_exact", "cause", "is_proven", "why", "meaning",
)  # fmt: skip
_TEXTS = frozenset({"id", "name", "model", "provider", "tier", "why"})
#: A cell that begins so is a formula to a spreadsheet.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NOTHING = Decimal(0)
_TINY = Decimal("1E-12")
_INDENT = "  "


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(rich_help_panel="Cost", help=render.help_of(reconcile))(reconcile)


def reconcile(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="CSV, JSON, JSON Lines or Parquet; - reads standard input.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write every row, with its cause, to a file: .csv, .json, .jsonl."
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Show at most so many rows that differ.")] = _LIMIT,
    everything: Annotated[bool, typer.Option("--all", help="Show all rows that differ.")] = False,
    json: Json = False,
) -> None:
    """What OpenRouter billed beside what it costs by the catalog's prices at that time; differences have a cause.

    Reads the activity export (CSV), answers of /activity and /generation, and responses with their `usage`. Every row
    is compared exactly. A cause is proven by the figures, or said to be probable.

    Examples: llmhive reconcile activity.csv · llmhive reconcile activity.csv -o rows.csv · llmhive reconcile - --json
    """
    summary, kept = Summary(), _Kept(None if everything else limit)
    name = "standard input" if file == "-" else file
    with database() as (_, opened), ExitStack() as stack:
        reconciler = Reconciler(opened)
        tell = stack.enter_context(_progress(file))
        bills = read(sys.stdin.buffer, name, tell) if file == "-" else read_file(Path(file), tell)
        write = stack.enter_context(_writer(output, file))
        for row in reconciler.rows(bills):
            summary.add(row.found)
            write(row)
            if row.found.cause not in AGREED:
                kept.add(row)
        if kept.unread is not None and Cause.UNREADABLE in summary.causes and len(summary.causes) == 1:
            raise UsageError(f"No row of {name} can be read as a bill. The first, {kept.unread.number}: "
                             f"{kept.unread.found.why}.")  # fmt: skip
    if json:
        rows = [row.to_json() for row in kept.in_order()]
        render.as_json({"file": name, **summary.to_json(), "differing": kept.seen, "data": rows})
    else:
        _show(render.out(), name, summary, kept)
        if output is not None:
            render.out().print(render.escape(f"All rows are in {output}."), style="dim")


class _Kept:
    """The rows that differ most, not more than so many (None: all)."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._heap: list[tuple[int, Decimal, int, Row]] = []
        self.seen = 0
        self.unread: Row | None = None  #: the first

    def add(self, row: Row) -> None:
        self.seen += 1
        if row.found.cause is Cause.UNREADABLE and self.unread is None:
            self.unread = row
        by = row.found.difference
        # then what has none counts by what was paid, and last comes what is even
        place = 1 if by is None else 2 if by else 0
        size = (by if by is not None else row.found.paid or _NOTHING).copy_abs()
        heapq.heappush(self._heap, (place, size, -self.seen, row))
        if self._limit is not None and len(self._heap) > self._limit:
            heapq.heappop(self._heap)

    def in_order(self) -> list[Row]:
        return [row for *_, row in sorted(self._heap, key=lambda it: it[:3], reverse=True)]


# --- reading and writing


@contextmanager
def _progress(file: str) -> Iterator[Callable[[int], None] | None]:
    """Tells how far reading is: a live line on a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from llmhive.app.cli.narrator import Narrator

    try:
        whole = os.fstat(sys.stdin.fileno()).st_size if file == "-" else Path(file).stat().st_size
    except OSError:
        whole = 0
    done = told = 0
    with Narrator() as narrator:

        def tell(size: int) -> None:
            nonlocal done, told
            done += size
            if done - told > 100_000:
                told = done
                narrator("Progress", what="Comparing bills", done=done, whole=whole or None)

        yield tell


@contextmanager
def _writer(output: Path | None, file: str) -> Iterator[Callable[[Row], None]]:
    """Writes rows to a file as its ending says; it takes the place of an older one when all is written."""
    if output is None:
        yield lambda _row: None
        return
    write = _WRITERS.get(output.suffix.lower())
    if write is None:
        raise UsageError(f"{output.name} does not say how to write it. End it with {', '.join(_WRITERS)}.")
    try:
        target = output.resolve()
        part = target.with_name(f".{output.name}.{os.getpid()}")
        if Path(file).exists() and output.exists() and output.samefile(file):
            raise UsageError(f"{output} is the file to read: choose another name for --output.")
        if output.is_dir():
            raise UsageError(f"{output} cannot be written: it is a folder.")
        try:
            with part.open("w", encoding="utf-8", newline="") as opened, write(opened) as each:
                yield each
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}.") from error


@contextmanager
def _csv(opened: IO[str]) -> Iterator[Callable[[Row], None]]:
    writer = csv.writer(opened)
    writer.writerow(_COLUMNS)

    def write(row: Row) -> None:
        told = row.to_json()
        writer.writerow([_cell(name, told[name]) for name in _COLUMNS])

    yield write


def _cell(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = "" if value is None else str(value)
    return f"'{text}" if name in _TEXTS and text.startswith(_FORMULA) else text


@contextmanager
def _json(opened: IO[str]) -> Iterator[Callable[[Row], None]]:
    before = "[\n"

    def write(row: Row) -> None:
        nonlocal before
        opened.write(before + msgspec.json.encode(row.to_json()).decode())
        before = ",\n"

    yield write
    opened.write("[]\n" if before == "[\n" else "\n]\n")


@contextmanager
def _json_lines(opened: IO[str]) -> Iterator[Callable[[Row], None]]:
    yield lambda row: print(msgspec.json.encode(row.to_json()).decode(), file=opened)


_WRITERS = {".csv": _csv, ".json": _json, ".jsonl": _json_lines}


# --- for people


def _show(console: Console, name: str, summary: Summary, kept: _Kept) -> None:
    total = summary.total
    if not total.rows:
        console.print(render.escape(f"{name} has no rows."))
        return
    agreed = sum(it.rows for cause, it in summary.causes.items() if cause in AGREED)
    console.print(render.escape(_headline(name, total, agreed)), style="bold")
    causes = summary.in_order()
    _show_compared(console, [(cause, it) for cause, it in causes if it.rows > it.unpriced], total)
    _show_others(console, [(cause, it) for cause, it in causes if it.unpriced])
    if total.probable:
        console.print("probable: the figures fit, but something else might give them too.", style="dim")
    if kept.seen:
        _show_rows(console, kept)


def _headline(name: str, total: Total, agreed: int) -> str:
    compared, paid, ours = total.comparable
    words = [f"{name}: {_rows(total.rows)}, {dollars(total.paid)} paid",
             f"{agreed:,} agree{'s' * (agreed == 1)} with our prices"]  # fmt: skip
    if compared and total.unpriced:
        words.append(f"{_rows(total.unpriced)} ({dollars(total.unpriced_paid)}) not comparable")
    if not compared:
        words.append("none is comparable")
    elif total.difference:
        of = f"{dollars(paid)} - {dollars(ours)} = " if total.unpriced else ""
        words.append(f"{of}{signed(total.difference)} in all")
    else:
        words.append("no difference in all")
    return f"{'; '.join(words)}."


def _rows(count: int) -> str:
    return f"{count:,} row{'s' * (count != 1)}"


def _show_compared(console: Console, causes: Sequence[tuple[Cause, Total]], total: Total) -> None:
    """What rows with an amount and a known price come to, by cause and together: paid less ours is the difference."""
    if not causes:
        return
    sums = [(_word(cause), it, cause.meaning) for cause, it in causes]
    if len(sums) > 1:
        sums.append(("together", total, ""))
    compared = [it.comparable for _, it, _ in sums]
    columns = {
        "cause": [word for word, *_ in sums],
        "rows": [f"{rows:,}" for rows, *_ in compared],
        "probable": [f"{count:,}" if (count := it.probable - it.unpriced_probable) else "" for _, it, _ in sums],
        "paid": aligned([dollars(paid) for _, paid, _ in compared]),
        "by our prices": aligned([dollars(ours) for *_, ours in compared]),
        "difference": aligned([signed(it.difference) for _, it, _ in sums]),
    }
    _table(console, columns, ("what it means", [meaning for *_, meaning in sums]), spared=("probable",),
           right=("rows", "probable"), elsewhere="--json")  # fmt: skip


def _show_others(console: Console, causes: Sequence[tuple[Cause, Total]]) -> None:
    """What rows without a known price, or an amount, come to: they are in no difference."""
    if not causes:
        return
    console.print()
    columns = {
        "not comparable": [_word(cause) for cause, _ in causes],
        "rows": [f"{it.unpriced:,}" for _, it in causes],
        "paid": aligned([dollars(it.unpriced_paid) for _, it in causes]),
    }
    _table(console, columns, ("what it means", [cause.meaning for cause, _ in causes]), right=("rows",),
           elsewhere="--json")  # fmt: skip


def _show_rows(console: Console, kept: _Kept) -> None:
    rows = kept.in_order()
    if rows:
        console.print()
        found = [row.found for row in rows]
        columns = {
            "row": [str(row.number) for row in rows],
            "when (UTC)": [_when(it.bill) for it in found],
            "model": [it.model or (it.bill.model if it.bill else "–") for it in found],
            "paid": aligned(["–" if it.paid is None else dollars(it.paid) for it in found]),
            "by our prices": aligned(["–" if it.ours is None else dollars(it.ours) for it in found]),
            "difference": aligned(["–" if it.difference is None else signed(it.difference) for it in found]),
            "cause": [_word(it.cause) if it.is_proven else f"probably {_word(it.cause)}" for it in found],
        }
        _table(console, columns, ("why", [_sentence(it.why) for it in found]), right=("row",),
               spared=("by our prices", "when (UTC)", "paid"), gives={"model": 16}, elsewhere="-o FILE")  # fmt: skip
    if len(rows) < kept.seen:
        more = f"{len(rows):,} of {kept.seen:,} rows that differ, the largest differences first"
        console.print(f"{more} · --all shows all, -o FILE writes every row.", style="dim")


def _table(console: Console, columns: Mapping[str, list[str]], said: tuple[str, list[str]], *, right: Sequence[str],
           elsewhere: str, spared: Sequence[str] = (), gives: Mapping[str, int] | None = None) -> None:  # fmt: skip
    """A table whose last column is a sentence: on a terminal a line of its own below each row, however narrow it is."""
    name, sentences = said
    gives = gives or {}
    filled = [column for column in columns.items() if any(column[1])]
    kept, left_out = render.fitting(console, filled, spared=spared, gives=gives)
    names = [column for column, _ in kept]
    rows = list(zip(*(cells for _, cells in kept), strict=True))
    right = [column for column in right if column in names]
    if not console.is_terminal:
        render.table(console, [*names, name], [(*row, it) for row, it in zip(rows, sentences, strict=True)],
                     right=right, gives={})  # fmt: skip
        return
    widths = [max(map(len, (column, *cells))) for column, cells in kept]
    for column, least in gives.items():
        place = names.index(column)
        widths[place] -= max(0, min(sum(widths) + 2 * (len(widths) - 1) - console.width, widths[place] - least))
    for number, row in enumerate([names, *rows]):
        cells = [_fitted(cell, width, is_right=column in right)
                 for cell, width, column in zip(row, widths, names, strict=True)]  # fmt: skip
        console.print(render.escape("  ".join(cells).rstrip()), style="" if number else "bold", no_wrap=True)
        if number and sentences[number - 1]:
            text = textwrap.fill(sentences[number - 1], max(console.width, 20), initial_indent=_INDENT,
                                 subsequent_indent=_INDENT)  # fmt: skip
            console.print(render.escape(text))
    if left_out:
        console.print(f"Left out for want of width: {', '.join(left_out)}; {elsewhere} has all of it.", style="dim")


def _fitted(text: str, width: int, *, is_right: bool) -> str:
    if len(text) > width:
        return f"{text[: width - 1]}…"
    return text.rjust(width) if is_right else text.ljust(width)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _when(bill: Bill | None) -> str:
    if bill is None or bill.at is None:
        return "–"
    return f"{bill.at:%Y-%m-%d}" if bill.is_summed else f"{bill.at:%Y-%m-%d %H:%M}"


def _word(cause: Cause) -> str:
    return cause.value.replace("_", " ")


def signed(amount: Decimal) -> str:
    """A difference for people: ``+$0.007``, ``-$0.0001``, ``0``; ``~0`` where no bill would have its digits."""
    if amount and amount.copy_abs() < _TINY:
        return "~0"
    return dollars(amount, plus=True) if amount else "0"
