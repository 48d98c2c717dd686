"""capabilities, providers; and what else is registered beside them: rankings, families."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from llmhive.app.cli import render, times
from llmhive.app.cli.families import families
from llmhive.app.cli.rankings import rankings
from llmhive.app.cli.work import Json
from llmhive.app.library import Catalog
from llmhive.app.wiring import now
from llmhive.catalog.model import instant
from llmhive.errors import UsageError

_MARKS = {"yes": "✓", "no": "✗", "unknown": "?"}
_WORDS = {"yes": "yes", "no": "no", "unknown": "?"}
_UNKNOWN = {"state": "unknown"}
_CHANGES_SHOWN = 10


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (rankings, families, capabilities, providers):
        app.command(rich_help_panel="Market", help=render.help_of(command))(command)


# --- capabilities


def capabilities(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="MODEL", help="Models to compare, by id or slug.")
    ] = None,
    changes: Annotated[bool, typer.Option("--changes", help="What models gained and lost.")] = False,
    learned: Annotated[
        bool, typer.Option("--learned", help="With --changes: also what became known, and was unknown before.")
    ] = False,
    since: Annotated[str, typer.Option(help="With --changes: since when (2026-05-01, 30d).")] = "30d",
    explain: Annotated[bool, typer.Option("--explain", help="What says so, and since when, for each cell.")] = False,
    json: Json = False,
) -> None:
    """What models can do: takes images, calls tools, answers by a schema … yes, no, or unknown where nothing says so.

    Without a MODEL how many of the active ones can; with some a table of them.
    """
    if learned and not changes:
        raise UsageError("--learned is for changes: llmhive capabilities --changes --learned.")
    if explain and not names:
        raise UsageError("--explain is for models: llmhive capabilities MODEL… --explain.")
    with Catalog.open() as catalog:
        found = catalog.capabilities(names or ())
        # in the order in which they are named
        order = [catalog.model(name)["id"] for name in names or ()]
        found["data"].sort(key=lambda it: order.index(it["id"]) if order else 0)
        if changes:
            begins = times.instant(since, now())
            told = catalog.capability_changes(begins)
    if not found["data"] and not json:
        render.out().print("The capability matrix is empty. Run `llmhive sync --research`.", style="yellow")
    elif changes:
        ids = {it["id"] for it in found["data"]}
        told = [it for it in told if not names or it["model"] in ids]
        _show_changes(told, instant(begins), learned=learned, json=json)
    elif json:
        render.as_json(found)
    elif not names:
        _show_counts(found)
    elif explain:
        _explain_cells(found)
    else:
        _show_matrix(found)


def _titles(found: Mapping[str, Any]) -> dict[str, str]:
    return {it["name"]: it["title"] for it in found["capabilities"]}


def _show_counts(found: dict[str, Any]) -> None:
    console, rows = render.out(), []
    for name, title in _titles(found).items():
        count = Counter(it["cells"][name]["state"] for it in found["data"] if name in it["cells"])
        rows.append((name, *(str(count[state]) for state in ("yes", "no", "unknown")), title))
    columns = ("capability", "yes", "no", "unknown", "what it is")
    render.table(console, columns, rows, right=("yes", "no", "unknown"), gives={"what it is": 12, "capability": 16})
    console.print(
        f"{found['total']} active models; yes: some endpoint can · llmhive capabilities MODEL… · "
        "llmhive models --capability NAME",
        style="dim",
    )
    if not found["changes"]:
        console.print("No model gained or lost any of them so far.", style="dim")
        return
    told, became_known = _apart(found["changes"])
    console.print()
    console.print(f"Changed last, {render.moment(found['changes'][0]['at'])}:")
    if became_known:
        console.print(_became_known(became_known), style="dim")
    for it in told[:_CHANGES_SHOWN]:
        console.print(render.escape(_change(it)), no_wrap=True, overflow="ellipsis")
    if len(told) > _CHANGES_SHOWN:
        console.print(f"… and {len(told) - _CHANGES_SHOWN} more: llmhive capabilities --changes", style="dim")


def _change(it: Mapping[str, Any]) -> str:
    return f"{it['model']}: {it['capability']} {it['before']['state']} → {it['after']['state']}"


def _apart(told: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """What was gained and lost, and how many cells became known: that is no gain and no loss."""
    changed = [it for it in told if it["before"]["state"] != "unknown"]
    return changed, len(told) - len(changed)


def _became_known(count: int) -> str:
    return f"{count:,} cell{'' if count == 1 else 's'} became known: llmhive capabilities --changes --learned"


def _show_changes(found: list[dict[str, Any]], since: str, *, learned: bool, json: bool) -> None:
    told, became_known = _apart(found)
    if learned:
        told = found
    if json:
        render.as_json({"data": told, "total": len(told), "learned": became_known, "since": since})
        return
    console = render.out()
    if not told:
        console.print(f"No model gained or lost anything since {render.moment(since)}.", style="dim")
        if became_known:
            console.print(_became_known(became_known), style="dim")
        return
    rows = [
        (it["at"][:10], it["model"], it["capability"], f"{it['before']['state']} → {it['after']['state']}",
         it["after"]["provenance"])
        for it in reversed(told)
    ]  # fmt: skip
    columns = ("when", "model", "capability", "change", "because")
    render.table(console, columns, rows, gives={"because": 12, "model": 18, "capability": 14})
    console.print(f"{len(told):,} since {render.moment(since)}", style="dim")
    if became_known and not learned:
        console.print(_became_known(became_known), style="dim")


def _show_matrix(found: dict[str, Any]) -> None:
    """Capabilities down, models across: by their ids where there is room, else by numbers."""
    console = render.out()
    ids, names = [it["id"] for it in found["data"]], list(_titles(found))
    room = console.width if console.is_terminal else sum(len(it) + 2 for it in ids) + 80
    width = max(map(len, names)) + 2
    heads = ids if width + sum(len(it) + 2 for it in ids) <= room else [str(it) for it in range(1, len(ids) + 1)]
    if heads != ids:
        for head, model_id in zip(heads, ids, strict=True):
            console.print(render.escape(f"{head}  {model_id}"), no_wrap=True, overflow="ellipsis")
    # as many models at a time as there is room for
    marks = _MARKS if render.speaks("✓✗") else _WORDS
    wide = 2 + max(map(len, (*heads, *marks.values())))
    at_once = max((room - width) // wide, 1) if heads != ids else len(ids)
    for begin in range(0, len(ids), at_once):
        shown = found["data"][begin : begin + at_once]
        rows = [(name, *(marks[it["cells"].get(name, _UNKNOWN)["state"]] for it in shown)) for name in names]
        render.table(console, ("capability", *heads[begin : begin + at_once]), rows, gives={"capability": 12})
    legend = "".join(f"{mark} {state} · " for state, mark in marks.items() if mark != state)
    console.print(f"{legend}why, and since when: --explain", style="dim")


def _explain_cells(found: dict[str, Any]) -> None:
    console, titles = render.out(), _titles(found)
    for it in found["data"]:
        console.print(render.escape(it["id"]), style="bold")
        cells = it["cells"]
        columns = [
            ("capability", list(cells)),
            ("state", [cell["state"] for cell in cells.values()]),
            ("since", [cell["since"][:10] for cell in cells.values()]),
            ("what says so", [cell["provenance"] for cell in cells.values()]),
            ("what it is", [titles.get(name, "") for name in cells]),
        ]
        kept, _ = render.fitting(console, columns, spared=("what it is",), gives={})
        rows = list(zip(*(column for _, column in kept), strict=True))
        render.table(console, [name for name, _ in kept], rows, gives={"what says so": 16, "capability": 16})


# --- providers


def providers(json: Json = False) -> None:
    """Who serves models: of how many they have endpoints, where they are, where they tell how they fare."""
    with Catalog.open() as catalog:
        found = catalog.providers()
    if json:
        render.as_json({"data": found, "total": len(found)})
        return
    console = render.out()
    if not found:
        console.print("No provider is known yet. Run `llmhive sync --research`.", style="yellow")
        return
    rows: list[tuple[str, ...]] = [
        (
            it["name"] if it["is_active"] else f"{it['name']} (no longer listed)", it["slug"] or "?",
            str(it["models"]), str(it["endpoints"]), it["headquarters"] or "?", _places(it["datacenters"]),
            it["status_page_url"] or "–",
        )
        for it in found
    ]  # fmt: skip
    headers = ("name", "slug", "models", "endpoints", "HQ", "datacenters", "status page")
    columns = [(name, [row[place] for row in rows]) for place, name in enumerate(headers)]
    least = {"status page": 24, "datacenters": 11, "slug": 8, "name": 12}
    kept, left_out = render.fitting(console, columns, spared=("status page", "datacenters", "slug"), gives=least)
    shown = [name for name, _ in kept]
    rows = list(zip(*(cells for _, cells in kept), strict=True))
    gives = {name: width for name, width in least.items() if name in shown}
    render.table(console, shown, rows, right=("models", "endpoints"), gives=gives)
    if left_out:
        console.print(f"Left out for want of width: {', '.join(left_out)}", style="dim")
    serving = sum(it["endpoints"] > 0 for it in found)
    console.print(
        f"{len(found)} providers, {serving} with active endpoints · countries: ISO 3166 · terms and privacy: --json",
        style="dim",
    )
    if not serving:
        console.print("No endpoints were asked for yet: `llmhive sync --research` asks.", style="yellow")


def _places(countries: Sequence[str] | None) -> str:
    return "?" if countries is None else " ".join(countries) or "–"
