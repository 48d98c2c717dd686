"""history, diff, changes: what was, and what became different."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from typing import Annotated, Any

import typer

from llmhive.app.cli import render, summary, times
from llmhive.app.cli.work import Json
from llmhive.app.library import Catalog
from llmhive.app.wiring import now
from llmhive.catalog.pricing import exact, per_million


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (history, diff, changes):
        app.command(rich_help_panel="Time", help=render.help_of(command))(command)


def history(
    model_id: Annotated[str, typer.Argument(metavar="ID", help="Its id, or its canonical slug.")],
    json: Json = False,
) -> None:
    """Every change of one model: prices, limits, names, when it was there; with dates, the old and the new value.

    The times are those of the first capture that shows a change. `--json` has the prices with their intervals as well;
    for prices by SQL see the data dictionary.
    """
    with Catalog.open() as catalog:
        found = catalog.history(model_id)
    if json:
        render.as_json(found)
        return
    console = render.out()
    console.print(render.escape(found["name"] or found["id"]), style="bold")
    if found["id"] != model_id:
        console.print(f"{render.escape(model_id)} is {render.escape(found['id'])}.", style="yellow")
    if not found["is_listed"]:
        console.print("OpenRouter does not list it now.", style="yellow")
    rows = [
        (f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M}", what, line)
        for (at, what), entries in groupby(found["entries"], key=lambda it: (it["at"], _WORDS[it["what"]]))
        for line in _lines(found["id"], what, list(entries))
    ]
    render.table(console, ("when (UTC)", "what", "before → after"), rows, gives={"before → after": 20})
    _show_held(found["prices"])
    _show_charts(found["prices"])


_WORDS = {
    "listed": "there", "added": "new", "deactivated": "gone", "reactivated": "back", "repriced": "repriced",
    "changed": "changed",
}  # fmt: skip


def _lines(model_id: str, what: str, entries: list[dict[str, Any]]) -> Iterator[str]:
    if what == "there":
        yield f"{entries[0]['after'] or model_id}, when history begins"
    elif what == "new":
        yield entries[0]["after"] or model_id
    elif what in {"gone", "back"}:
        yield ""
    else:
        yield ", ".join(map(summary.told, summary.in_order(entries)))


def _show_held(prices: list[dict[str, Any]]) -> None:
    console = render.out()
    for row in prices:
        if row["is_held"]:
            until = "now" if row["to"] is None else render.moment(row["to"])
            rate = "unknown" if row["rate"] is None else render.price(row["rate"])
            console.print(
                f"Held by the gate and not confirmed: {row['unit']} {rate}, {render.moment(row['from'])} to {until}.",
                style="yellow",
            )


def _show_charts(prices: list[dict[str, Any]]) -> None:
    """A small chart for each of the two prices that ever changed."""
    for unit in ("prompt", "completion"):
        steps = [row for row in prices if row["unit"] == unit and row["position"] == 0]
        rates = [(row, exact(row["rate"])) for row in steps]
        known = [(row, float(per_million(rate))) for row, rate in rates if rate is not None]
        if len({price for _, price in known}) < 2:
            continue
        lines: list[list[tuple[float, float]]] = []
        for row, price in known:
            start, until = (_seconds(row[name]) for name in ("from", "to"))
            if not lines or lines[-1][-1][0] != start:
                # it was not listed in between
                lines.append([])
            lines[-1] += [(start, price), (until, price)]
        console = render.out()
        console.print()
        console.print(f"{unit}, USD per million tokens", style="bold")
        render.chart(console, lines)


def _seconds(at: str | None) -> float:
    return (now() if at is None else datetime.fromisoformat(at)).timestamp()


def diff(
    before: Annotated[
        str, typer.Argument(metavar="[FROM]", help="A time (2026-05-01, 30d ago …) or a snapshot.")
    ] = "7d",
    after: Annotated[str | None, typer.Argument(metavar="[TO]", help="Likewise; without it: now.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every line, however many.")] = False,
    json: Json = False,
) -> None:
    """What changed between two times of what OpenRouter served, or between snapshots of what was believed: new, gone,
    back, dearer, cheaper, limits, capabilities.

    Examples: llmhive diff · llmhive diff 2026-05-01 2026-06-01 · llmhive diff before-upgrade
    """
    present = now()
    start, end = (
        None if it is None else times.instant(it, present) if times.is_instant(it) else it for it in (before, after)
    )
    assert start is not None
    with Catalog.open() as catalog:
        found = catalog.diff(start, end)
    if json:
        render.as_json(found)
        return
    console = render.out()
    span = f"{_shown(start)} to {_shown(end or present)}"
    count = f"{found['models_before']} → {found['models']} models"
    console.print(f"{span}: {count}{'' if found['changes'] else ', nothing changed'}.", style="bold")
    summary.show_plan(console, found["changes"], at_most=None if everything else 20, more=": --all")


def _shown(at: datetime | str) -> str:
    return at if isinstance(at, str) else f"{at:%Y-%m-%d %H:%M} UTC"


def changes(
    since: Annotated[str, typer.Option(help="From when: 2026-05-01, 30d, 6h.")] = "7d",
    until: Annotated[str | None, typer.Option(help="Until when, likewise; without it: now.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many.")] = None,
    json: Json = False,
) -> None:
    """What happened at OpenRouter, newest first, once each: only what a second capture confirmed, and nothing that went
    back within a day. `llmhive history ID` has every step.
    """
    present = now()
    end = None if until is None else times.instant(until, present)
    with Catalog.open() as catalog:
        found = catalog.changes(times.instant(since, present), end)
    if json:
        render.as_json({"data": found[:limit], "total": len(found)})
        return
    console = render.out()
    if not found:
        console.print("Nothing was confirmed in that time.")
        return
    rows = []
    for row in found[:limit]:
        back = "" if row["reverted_at"] is None else f" (back at {render.moment(row['reverted_at'])})"
        told = "" if row["what"] in {"added", "removed", "returned"} else summary.told(row)
        rows.append((f"{datetime.fromisoformat(row['happened_at']):%Y-%m-%d %H:%M}", row["what"], row["model_id"],
                     told + back))  # fmt: skip
    columns = ("when (UTC)", "what", "model", "before → after")
    render.table(console, columns, rows, gives={"before → after": 20, "model": 24})
    if limit is not None and limit < len(found):
        console.print(f"{limit} of {len(found)} changes", style="dim")
