"""What a run did after the model list, for people: rank movers, changed capabilities, endpoints gone bad, failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from llmhive.app.cli import render
from llmhive.app.steps import Facts, taken_over, told
from llmhive.catalog.run import Run

_LABEL = 13


def show(console: Console, run: Run, *, at_most: int | None) -> None:
    """Print the steps of a run, a line each, and below it what a person wants to know of it."""
    for step in run.steps or ():
        if step["status"] == "reused":
            continue
        style = {"failed": "red", "skipped": "yellow"}.get(step["status"], "default")
        console.print(f"[{style}]{step['step']:>{_LABEL}}[/]  {render.escape(told(step, render.as_of))}")
        if step["status"] == "completed":
            for about in _DETAILS.get(step["step"], _no_details)(step["facts"]):
                _show_details(console, about, run, at_most=at_most)
    if (taken := taken_over(run.steps or ())) is not None:
        console.print(f"{'':{_LABEL}}  {render.escape(taken)}", style="dim")


@dataclass(frozen=True, slots=True)
class _Details:
    """Some of what a step found, by name."""

    lines: tuple[str, ...]
    total: int  #: how many there are, named or not
    heading: str | None = None
    where: str | None = None  #: the command that has all; None: the run's own, as far as it names them


def _show_details(console: Console, about: _Details, run: Run, *, at_most: int | None) -> None:
    shown = about.lines if at_most is None else about.lines[:at_most]
    for line in ((about.heading,) if about.heading and shown else ()) + shown:
        console.print(f"{'':{_LABEL}}  {render.escape(line)}", style="dim", no_wrap=True, overflow="ellipsis")
    if shown and (left := about.total - len(shown)):
        where = about.where or (f"llmhive show {run.id}" if len(shown) < len(about.lines) else None)
        more = f"… and {left:,} more" + (f": {where}" if where else "")
        console.print(f"{'':{_LABEL}}  {more}", style="dim")


# --- and what is below it


def _no_details(_facts: Facts) -> Iterator[_Details]:
    yield from ()


def _movers(facts: Facts) -> Iterator[_Details]:
    if not facts.get("published"):
        # an old ranking's movers are no news
        return
    named = facts.get("moved_named", ())
    lines = tuple(_mover(it) for it in named)
    total = max(facts.get("moved") or 0, len(lines))
    yield _Details(lines, total, heading="against the week before:", where="llmhive rankings")


def _mover(it: Mapping[str, Any]) -> str:
    before, after = it["previous_rank"], it["rank"]
    who = it.get("model") or f"{it['slug']} (not in the catalog)"
    if before is None:
        return f"in    {who}: rank {after}, not ranked a week before"
    return f"{'up' if after < before else 'down':<5} {who}: rank {before} → {after}"


def _cells(facts: Facts) -> Iterator[_Details]:
    lines = tuple(
        f"{it['model']}: {it['capability']} {it['before']} → {it['after']}" for it in facts.get("changes_named", ())
    )
    total = max(facts.get("changes") or 0, len(lines))
    yield _Details(lines, total, where="llmhive capabilities --changes")


def _endpoints(facts: Facts) -> Iterator[_Details]:
    bad = tuple(f"gone bad: {it['model']} at {it['tag']}: {it['why']}" for it in facts.get("gone_bad_named", ()))
    yield _Details(bad, max(facts.get("gone_bad") or 0, len(bad)))
    silent = tuple(f"no answer: {it['model']}: {it['error']}" for it in facts.get("failed_named", ()))
    yield _Details(silent, max(facts.get("failed") or 0, len(silent)))


_DETAILS: Mapping[str, Callable[[Facts], Iterator[_Details]]] = {
    "rankings": _movers,
    "capabilities": _cells,
    "endpoints": _endpoints,
}
