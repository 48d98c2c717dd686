"""What a run did after the model list, for people: rank movers, changed capabilities, endpoints gone bad, failures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from llmhive.app.cli import render
from llmhive.catalog.run import Run

Facts = Mapping[str, Any]
_LABEL = 13
#: What the counts of all steps are called; one that is not here is called by its name.
_NAMES: Mapping[str, str] = {
    "added": "new",
    "cells": "cells new or changed",
    "changes": "gained or lost",
    "cut_short": "sources cut short",
    "empty": "without figures",
    "learned": "became known",
    "moved": "models moved",
    "published": "rankings published",
    "summed_up": "old samples summed up",
    "vanished": "no longer there",
    "without_data": "without data",
    "zdr_changed": "ZDR flags changed",
    "zdr_listed": "ZDR endpoints listed",
}
#: What the same name means in one step alone.
_OWN_NAMES: Mapping[tuple[str, str], str] = {("endpoints", "failed"): "models without an answer"}
_NOT_PUBLISHED = "not published"
#: Steps whose figures are those of rankings.
_RANKED = ("rankings", "categories", "modalities", "tasks", "dimensions")
#: What is counted, many of it → one.
_ONE = {
    "capabilities": "capability", "cells": "cell", "endpoints": "endpoint", "flags": "flag", "measures": "measure",
    "models": "model", "providers": "provider", "rankings": "ranking", "samples": "sample", "sources": "source",
    "tasks": "task",
}  # fmt: skip
_MANY = re.compile("|".join(rf"\b{it}\b" for it in _ONE))
#: What a run brought: the steps, the counts of them that are added up, and what that is called.
_NEWS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("endpoints",), "added", "endpoints new"),
    (("endpoints",), "changed", "endpoints changed"),
    (("endpoints",), "returned", "endpoints back"),
    (("endpoints",), "gone", "endpoints gone"),
    (("endpoints",), "zdr_changed", "ZDR flags changed"),
    (_RANKED, "published", "rankings published"),
    (("indices", "benchmarks"), "new", "measures new"),
    (("indices", "benchmarks"), "changed", "measures changed"),
    (("indices", "benchmarks"), "gone", "measures gone"),
    (("providers",), "changed", "providers new or changed"),
    (("families",), "changed", "models in other families"),
    (("capabilities",), "changes", "capabilities gained or lost"),
    (("capabilities",), "learned", "capabilities became known"),
)
#: So much of it is news for a headline.
_HEADLINES = 4


def news(run: Run) -> str:
    """What the steps of a run brought, in a line; empty where they brought nothing."""
    done = [step for step in run.steps or () if step["status"] in {"completed", "failed"}]
    told = []
    for names, count, what in _NEWS:
        if total := sum(step["facts"].get(count) or 0 for step in done if step["step"] in names):
            told.append(_counted(total, what))
    more = ["and more"] if len(told) > _HEADLINES else []
    return ", ".join(told[:_HEADLINES] + more)


def show(console: Console, run: Run, *, at_most: int | None) -> None:
    """Print the steps of a run, a line each, and below it what a person wants to know of it."""
    for step in run.steps or ():
        if step["status"] == "reused":
            continue
        style = {"failed": "red", "skipped": "yellow"}.get(step["status"], "default")
        console.print(f"[{style}]{step['step']:>{_LABEL}}[/]  {render.escape(_line(step))}")
        if step["status"] == "completed":
            for about in _DETAILS.get(step["step"], _no_details)(step["facts"]):
                _show_details(console, about, run, at_most=at_most)
    if (taken := _taken_over(run.steps or ())) is not None:
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


def _taken_over(steps: Iterable[Mapping[str, Any]]) -> str | None:
    """What earlier runs of the day did for this one."""
    by_run: dict[Any, list[str]] = {}
    for step in steps:
        if step["status"] == "reused":
            by_run.setdefault(step["facts"].get("run"), []).append(step["step"])
    if not by_run:
        return None
    told = [
        f"from {'an earlier run' if run is None else f'run {run}'} of today: {', '.join(names)}"
        for run, names in by_run.items()
    ]
    return f"taken over {'; '.join(told)} (--force repeats)"


# --- a step in a line


def _line(step: Mapping[str, Any]) -> str:
    if step["status"] != "completed":
        return f"{'failed' if step['status'] == 'failed' else 'left out'}: {step['error']}"
    facts = step["facts"]
    counts = [_counted(value, name) for name, value in _counts(step["step"], facts).items()]
    said = [str(facts[name]) for name in ("note",) if facts.get(name)]
    as_of = f"as of {render.as_of(str(facts['as_of']))}" if facts.get("as_of") else None
    return " · ".join(it for it in (*counts, as_of, *said) if it) or "nothing new"


def _counted(count: int, what: str) -> str:
    """``2 rankings published``, ``1 ranking published``."""
    return f"{count:,} {what if count != 1 else _MANY.sub(lambda it: _ONE[it[0]], what)}"


def _counts(step: str, facts: Facts) -> dict[str, int]:
    """The counts that are not zero by what they are called, each once."""
    made = sum(facts.get(name) or 0 for name in ("published", "unchanged", "failed"))
    found: dict[str, int] = {}
    for name, value in facts.items():
        # of which rankings are made, one each, is said by these
        is_said = step in _RANKED and name == step and value == made
        # nor are the movers of an old ranking news
        is_said = is_said or (name == "moved" and not facts.get("published"))
        if isinstance(value, int) and not isinstance(value, bool) and value and not is_said:
            found.setdefault(_name(step, name), value)
    return found


def _name(step: str, name: str) -> str:
    if name == "failed" and step in _RANKED:
        return _NOT_PUBLISHED
    return _OWN_NAMES.get((step, name)) or _NAMES.get(name) or name.replace("_", " ")


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
