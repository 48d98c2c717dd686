"""reconcile: what OpenRouter billed beside what it should have cost, and why they differ."""

from __future__ import annotations

import csv
import heapq
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.console import Console

from llmhive.app.cli import render
from llmhive.app.cli.receipts import aligned
from llmhive.app.cli.work import Json, database
from llmhive.app.reconcile import Reconciler, Row, Summary, Total, read
from llmhive.catalog.bill import Bill
from llmhive.catalog.cause import AGREED, Cause
from llmhive.catalog.receipt import shown
from llmhive.errors import UsageError

_LIMIT = 20
#: The columns of the file of ``--output``, as in the JSON.
_COLUMNS = (
    "row", "id", "at", "name", "model", "provider", "tier", "requests", "is_byok", "billed", "upstream", "paid", "ours",
    "difference", "is_exact", "cause", "is_proven", "why",
)  # fmt: skip
_NOTHING = Decimal(0)
_TINY = Decimal("1E-12")


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(rich_help_panel="Cost", help=render.help_of(reconcile))(reconcile)


def reconcile(
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV, JSON or JSON Lines; - reads standard input.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="CSV", help="Write every row, with its cause, to a file.")
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
    with database() as (_, opened), ExitStack() as stack:
        reconciler = Reconciler(opened)
        source, name = _source(file, stack)
        tell = stack.enter_context(_progress(source))
        write = stack.enter_context(_writer(output, file))
        for row in reconciler.rows(read(source, name, tell)):
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
        self._heap: list[tuple[bool, Decimal, int, Row]] = []
        self.seen = 0
        self.unread: Row | None = None  #: the first

    def add(self, row: Row) -> None:
        self.seen += 1
        if row.found.cause is Cause.UNREADABLE and self.unread is None:
            self.unread = row
        by = row.found.difference
        # what has no difference counts by what was paid, and comes last
        size = (by if by is not None else row.found.paid or _NOTHING).copy_abs()
        heapq.heappush(self._heap, (by is not None, size, -self.seen, row))
        if self._limit is not None and len(self._heap) > self._limit:
            heapq.heappop(self._heap)

    def in_order(self) -> list[Row]:
        return [row for *_, row in sorted(self._heap, key=lambda it: it[:3], reverse=True)]


# --- reading and writing


def _source(file: str, stack: ExitStack) -> tuple[BinaryIO, str]:
    if file == "-":
        return sys.stdin.buffer, "standard input"
    try:
        return stack.enter_context(Path(file).open("rb")), file
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from error


@contextmanager
def _progress(source: BinaryIO) -> Iterator[Callable[[int], None]]:
    """Tells how far reading is: a live line on a terminal."""
    if not sys.stderr.isatty():
        yield lambda _size: None
        return
    from llmhive.app.cli.narrator import Narrator

    whole, done, told = os.fstat(source.fileno()).st_size, 0, 0
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
    if output is None:
        yield lambda _row: None
        return
    try:
        if Path(file).exists() and output.exists() and output.samefile(file):
            raise UsageError(f"{output} is the file to read: choose another name for --output.")
        with output.open("w", encoding="utf-8", newline="") as opened:
            writer = csv.writer(opened)
            writer.writerow(_COLUMNS)
            yield lambda row: writer.writerow([_cell(row.to_json()[name]) for name in _COLUMNS])
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}.") from error


def _cell(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


# --- for people


def _show(console: Console, name: str, summary: Summary, kept: _Kept) -> None:
    total = summary.total
    if not total.rows:
        console.print(render.escape(f"{name} has no rows."))
        return
    agreed = sum(it.rows for cause, it in summary.causes.items() if cause in AGREED)
    console.print(render.escape(_headline(name, total, agreed)), style="bold")
    causes = summary.in_order()
    priced = [it.rows > it.unpriced for _, it in causes]
    amounts = [
        aligned([shown(it.paid) for _, it in causes]),
        aligned([shown(it.ours) if is_priced else "–" for (_, it), is_priced in zip(causes, priced, strict=True)]),
        aligned(
            [signed(it.difference) if is_priced else "–" for (_, it), is_priced in zip(causes, priced, strict=True)]
        ),
    ]
    columns = [
        ("cause", [_word(cause) for cause, _ in causes]),
        ("rows", [f"{it.rows:,}" for _, it in causes]),
        ("probable", [f"{it.probable:,}" if it.probable else "" for _, it in causes]),
        ("paid", amounts[0]),
        ("by our prices", amounts[1]),
        ("difference", amounts[2]),
        ("what it means", [cause.meaning for cause, _ in causes]),
    ]
    _table(console, columns, right=("rows", "probable"), spared=("what it means", "probable"), gives={
        "what it means": 30})  # fmt: skip
    if total.unpriced:
        unpriced = f"{total.unpriced:,} {'rows have' if total.unpriced > 1 else 'row has'}"
        console.print(f"{unpriced} no known price, or no amount: they are in no difference.", style="dim")
    if total.probable:
        console.print("probable: the figures fit, but something else might give them too.", style="dim")
    if kept.seen:
        _show_rows(console, kept)


def _headline(name: str, total: Total, agreed: int) -> str:
    rows = f"{total.rows:,} row{'s' * (total.rows != 1)}"
    differs = f"{signed(total.difference)} in all" if total.difference else "no difference in all"
    return f"{name}: {rows}, {shown(total.paid)} paid; {agreed:,} agree with our prices; {differs}."


def _show_rows(console: Console, kept: _Kept) -> None:
    rows = kept.in_order()
    if rows:
        console.print()
    found = [row.found for row in rows]
    columns = [
        ("row", [str(row.number) for row in rows]),
        ("when (UTC)", [_when(it.bill) for it in found]),
        ("model", [it.model or (it.bill.model if it.bill else "–") for it in found]),
        ("paid", aligned(["–" if it.paid is None else shown(it.paid) for it in found])),
        ("by our prices", aligned(["–" if it.ours is None else shown(it.ours) for it in found])),
        ("difference", aligned(["–" if it.difference is None else signed(it.difference) for it in found])),
        ("cause", [_word(it.cause) if it.is_proven else f"probably {_word(it.cause)}" for it in found]),
        ("why", [it.why for it in found]),
    ]  # fmt: skip
    if rows:
        _table(console, columns, right=("row",), spared=("by our prices", "row", "why", "when (UTC)"), gives={
            "why": 24, "model": 16})  # fmt: skip
    if len(rows) < kept.seen:
        more = f"{len(rows):,} of {kept.seen:,} rows that differ, the largest differences first"
        console.print(f"{more} · --all shows all, -o writes every row to a file.", style="dim")


def _table(console: Console, columns: Sequence[tuple[str, list[str]]], *, right: Sequence[str], spared: Sequence[str],
           gives: dict[str, int]) -> None:  # fmt: skip
    shown_columns = [column for column in columns if any(column[1])]
    kept, left_out = render.fitting(console, shown_columns, spared=spared, gives=gives)
    names = [name for name, _ in kept]
    rows = list(zip(*(cells for _, cells in kept), strict=True))
    least = {name: width for name, width in gives.items() if name in names}
    render.table(console, names, rows, right=[name for name in right if name in names], gives=least)
    if left_out:
        console.print(f"Left out for want of width: {', '.join(left_out)}; -o has all of it.", style="dim")


def _when(bill: Bill | None) -> str:
    return (
        "–"
        if bill is None or bill.at is None
        else f"{bill.at:%Y-%m-%d}" + ("" if bill.is_summed else f"{bill.at: %H:%M}")
    )


def _word(cause: Cause) -> str:
    return cause.value.replace("_", " ")


def signed(amount: Decimal) -> str:
    """A difference for people: ``+$0.007``, ``-$0.0001``, ``0``; ``~0`` where no bill would have its digits."""
    if amount and amount.copy_abs() < _TINY:
        return "~0"
    return f"{'-' if amount < 0 else '+'}{shown(amount.copy_abs())}" if amount else "0"
