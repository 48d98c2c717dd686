"""A whole file priced: its progress, and what it cost by model and over time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console

from llmhive.app.cli import figures, render
from llmhive.app.cli.receipts import aligned
from llmhive.app.library import Catalog
from llmhive.catalog.pricing import EXACT
from llmhive.catalog.receipt import shown
from llmhive.errors import UsageError

if TYPE_CHECKING:
    from llmhive.app.bulk.pricing import Sum, Summary

#: What can run it; the first does where nobody says.
ENGINES: tuple[Literal["duckdb"], Literal["spark"]] = ("duckdb", "spark")
#: Lines of a table before "… and N more".
_AT_MOST = 12
#: What nearly every log has, and no row has in a file in which no column is recognised for it.
_EXPECTED = ("completion", "cached")
#: More days than these are summed up by month.
_DAYS = 14


def is_file(subject: str) -> bool:
    """Whether usages are meant: a file, a pattern, a folder of Parquet files, or what no model is called like."""
    # only this needs it
    from llmhive.app.bulk.pricing import FORMS

    if "*" in subject or subject.lower().removesuffix(".gz").endswith(tuple(FORMS)):
        return True
    place = Path(subject)
    return place.is_file() or (place.is_dir() and next(place.glob("*.parquet"), None) is not None)


def run(
    source: Path,
    target: Path | None,
    columns: Mapping[str, str],
    at: datetime | None,
    engine: str,
    master: str | None,
    *,
    json: bool,
) -> None:
    """Price a file, and print its sums."""
    chosen = next((it for it in ENGINES if it == engine), None)
    if chosen is None:
        raise UsageError(f"There is no engine {engine!r}: there are {' and '.join(ENGINES)}.")
    if master is not None and chosen != "spark":
        raise UsageError("--master is Spark's: say --engine spark as well.")
    with Catalog.open() as catalog, _progress() as progress:
        summary = catalog.price_file(
            source, target, columns=columns, at=at, engine=chosen, master=master, progress=progress
        )
    if json:
        render.as_json({"file": str(source), "output": None if target is None else str(target), **summary.to_json()})
    else:
        show(render.out(), source.name, summary, target)


@contextmanager
def _progress() -> Iterator[Callable[[str, float | None], None]]:
    """A live line on a terminal: what is done, and which part of it is (None: not known). Nothing elsewhere."""
    if not sys.stderr.isatty():
        from llmhive.app.bulk.pricing import quiet

        yield quiet
        return
    from llmhive.app.cli.narrator import Narrator

    with Narrator() as narrator:
        yield lambda what, part: narrator(
            "Progress", what=what.capitalize(), done=part, whole=None if part is None else 1
        )


def show(console: Console, name: str, summary: Summary, target: Path | None) -> None:
    """Print what a file cost."""
    total = summary.total
    unpriced = total.rows - total.priced
    told = f"; {unpriced:,} without a price" if unpriced else ""
    console.print(render.escape(f"{name}: {_rows(total.rows)}, {shown(total.cost)} in all{told}."), style="bold")
    if shown(total.cost) != f"${render.money(total.cost)}":
        console.print(f"Exactly ${render.money(total.cost)}.")
    if summary.by_model:
        _show_sums(console, "model", list(summary.by_model.items())[:_AT_MOST], total.cost)
        _show_more(console, len(summary.by_model) - _AT_MOST, "cheaper model")
    times, what = _over_time(summary)
    if len(times) > 1:
        _show_sums(console, f"{what} (UTC)", times[-_AT_MOST:], total.cost)
        _show_more(console, len(times) - _AT_MOST, f"earlier {what}")
    if summary.unpriced:
        console.print()
        reasons = [(f"{rows:,}", why) for why, rows in summary.unpriced.items()]
        render.table(console, ("rows", "not priced because"), reasons[:_AT_MOST], right=("rows",), gives={
            "not priced because": 30})  # fmt: skip
        _show_more(console, len(reasons) - _AT_MOST, "more reason")
        from llmhive.app.bulk.table import BEFORE_HISTORY

        if any(why.startswith(BEFORE_HISTORY) for why in summary.unpriced):
            console.print("`llmhive backfill PATH` takes in older captures; --at prices all rows at one instant.",
                          style="yellow")  # fmt: skip
    if summary.incomplete:
        console.print()
        doubts = [(f"{rows:,}", why) for why, rows in summary.incomplete.items()]
        render.table(console, ("rows", "possibly not all of the cost"), doubts[:_AT_MOST], right=("rows",), gives={
            "possibly not all of the cost": 30})  # fmt: skip
        _show_more(console, len(doubts) - _AT_MOST, "more reason")
    console.print()
    read = [field if field == column else f"{field} from {column}" for field, column in summary.columns.items()]
    console.print(render.escape(f"Read: {', '.join(read)}."), style="dim")
    if absent := [it for it in _EXPECTED if it not in summary.columns]:
        told = f"No column is known to say {' or '.join(absent)}: taken as none. --column {absent[0]}=COLUMN names it."
        console.print(told, style="yellow")
    if target is not None:
        added = ", ".join(summary.added.values())
        console.print(render.escape(f"Written to {target}, every row with {added}."), style="dim")


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _over_time(summary: Summary) -> tuple[list[tuple[str, Sum]], str]:
    """The sums by day or, of many days, by month; ascending."""
    if len(summary.by_day) <= _DAYS:
        return [(day.isoformat(), it) for day, it in summary.by_day.items()], "day"
    months: dict[str, Sum] = {}
    for day, it in summary.by_day.items():
        month = f"{day:%Y-%m}"
        months[month] = it if month not in months else _both(months[month], it)
    return list(months.items()), "month"


def _both(one: Sum, other: Sum) -> Sum:
    return type(one)(
        one.rows + other.rows,
        one.priced + other.priced,
        EXACT.add(one.cost, other.cost),
        one.prompt + other.prompt,
        one.completion + other.completion,
    )


def _show_sums(console: Console, name: str, sums: Sequence[tuple[str, Sum]], whole: Decimal) -> None:
    console.print()
    columns = [
        (name, [it for it, _ in sums]),
        ("rows", [f"{it.rows:,}" for _, it in sums]),
        ("no price", [f"{it.rows - it.priced:,}" for _, it in sums]),
        ("tokens in", [figures.volume(it.prompt) for _, it in sums]),
        ("out", [figures.volume(it.completion) for _, it in sums]),
        ("share", [_share(it.cost, whole) for _, it in sums]),
        ("cost", aligned([shown(it.cost) for _, it in sums])),
    ]
    if all(it.rows == it.priced for _, it in sums):
        del columns[2]
    kept, _ = render.fitting(console, columns, spared=("out", "tokens in", "share", "no price"), gives={name: 16})
    names = [it for it, _ in kept]
    rows = list(zip(*(cells for _, cells in kept), strict=True))
    right = [it for it in ("rows", "no price", "tokens in", "out", "share") if it in names]
    render.table(console, names, rows, right=right, gives={name: 16})


def _share(cost: Decimal, whole: Decimal) -> str:
    return f"{100 * cost / whole:.1f} %" if whole else ""


def _show_more(console: Console, count: int, what: str) -> None:
    if count > 0:
        console.print(f"… and {count:,} {what}{'' if count == 1 else 's'}: --json.", style="dim")
