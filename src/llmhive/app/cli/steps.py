"""What a run did after the model list, for people: rank movers, changed capabilities, endpoints gone bad, failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.console import Console

from llmhive.app.cli import render
from llmhive.catalog.run import Run

_LABEL = 13


def show(console: Console, run: Run, *, at_most: int | None) -> None:
    """Print the steps of a run, a line each, and below it what a person wants to know of it."""
    for step in run.steps or ():
        style = {"failed": "red", "skipped": "yellow"}.get(step["status"], "default")
        console.print(f"[{style}]{step['step']:>{_LABEL}}[/]  {render.escape(_line(step))}")
        lines = list(_DETAILS.get(step["step"], _no_details)(step["facts"])) if step["status"] == "completed" else []
        for line in lines if at_most is None else lines[:at_most]:
            console.print(f"{'':{_LABEL}}  {render.escape(line)}", style="dim", no_wrap=True, overflow="ellipsis")
        if at_most is not None and len(lines) > at_most:
            more = f"… and {len(lines) - at_most} more: llmhive show {run.id}"
            console.print(f"{'':{_LABEL}}  {more}", style="dim")


def _line(step: Mapping[str, Any]) -> str:
    if step["status"] != "completed":
        return f"{'failed' if step['status'] == 'failed' else 'left out'}: {step['error']}"
    facts = step["facts"]
    counts = [f"{value:,} {name.replace('_', ' ')}" for name, value in facts.items() if _is_count(value)]
    said = [str(facts[name]) for name in ("note",) if facts.get(name)]
    as_of = f"as of {facts['as_of']}" if facts.get("as_of") else None
    return " · ".join(it for it in (*counts, as_of, *said) if it) or "nothing new"


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value != 0


def _no_details(_facts: Mapping[str, Any]) -> Iterator[str]:
    yield from ()


def _movers(facts: Mapping[str, Any]) -> Iterator[str]:
    for it in facts.get("moved_named", ()):
        before, after = it["previous_rank"], it["rank"]
        if before is None:
            yield f"in    {it['slug']}: rank {after}, not ranked a week before"
        else:
            yield f"{'up' if after < before else 'down':<5} {it['slug']}: rank {before} → {after}"


def _cells(facts: Mapping[str, Any]) -> Iterator[str]:
    for it in facts.get("changes_named", ()):
        yield f"{it['model']}: {it['capability']} {it['before']} → {it['after']}"


def _endpoints(facts: Mapping[str, Any]) -> Iterator[str]:
    for it in facts.get("gone_bad_named", ()):
        yield f"gone bad: {it['model']} at {it['tag']}: {it['why']}"
    for it in facts.get("failed_named", ()):
        yield f"no answer: {it['model']}: {it['error']}"


_DETAILS: Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    "rankings": _movers,
    "capabilities": _cells,
    "endpoints": _endpoints,
}
