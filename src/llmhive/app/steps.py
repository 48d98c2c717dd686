"""What a run did after the model list, in words: a line for each step, and one for all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from llmhive.catalog.run import Run

Facts = Mapping[str, Any]
#: What the counts of all steps are called; one that is not here is called by its name.
_NAMES: Mapping[str, str] = {
    "new": "added",
    "cells": "cells new or changed",
    "changes": "gained or lost",
    "cut_short": "sources cut short",
    "empty": "without figures",
    "learned": "became known",
    "moved": "models moved",
    "published": "rankings published",
    "gone": "removed",
    "summed_up": "old samples summed up",
    "vanished": "no longer there",
    "without_data": "without data",
    "zdr_changed": "ZDR flags changed",
    "zdr_listed": "ZDR endpoints listed",
}
#: What the same name means in one step alone.
_OWN_NAMES: Mapping[tuple[str, str], str] = {("endpoints", "failed"): "models without an answer"}
#: The counts that are told first; the others follow by name, since a database may have kept them in any order.
_ORDER = (
    "models", "published", "unchanged", "added", "new", "changed", "changes", "learned", "returned", "gone", "vanished",
    "failed",
)  # fmt: skip
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
    (("endpoints",), "added", "endpoints added"),
    (("endpoints",), "changed", "endpoints changed"),
    (("endpoints",), "returned", "endpoints returned"),
    (("endpoints",), "gone", "endpoints removed"),
    (("endpoints",), "zdr_changed", "ZDR flags changed"),
    (_RANKED, "published", "rankings published"),
    (("indices", "benchmarks"), "new", "measures added"),
    (("indices", "benchmarks"), "changed", "measures changed"),
    (("indices", "benchmarks"), "gone", "measures removed"),
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
    found = []
    for names, count, what in _NEWS:
        if total := sum(step["facts"].get(count) or 0 for step in done if step["step"] in names):
            found.append(_counted(total, what))
    more = ["and more"] if len(found) > _HEADLINES else []
    return ", ".join(found[:_HEADLINES] + more)


def taken_over(steps: Iterable[Mapping[str, Any]]) -> str | None:
    """What earlier runs of the day did for this one."""
    by_run: dict[Any, list[str]] = {}
    for step in steps:
        if step["status"] == "reused":
            by_run.setdefault(step["facts"].get("run"), []).append(step["step"])
    if not by_run:
        return None
    found = [
        f"from {'an earlier run' if run is None else f'run {run}'} of today: {', '.join(names)}"
        for run, names in by_run.items()
    ]
    return f"taken over {'; '.join(found)} (--force repeats)"


def told(step: Mapping[str, Any], as_of: Callable[[str], str]) -> str:
    """A step in a line; `as_of` writes when something was true, as its source dates it."""
    if step["status"] != "completed":
        return f"{'failed' if step['status'] == 'failed' else 'left out'}: {step['error']}"
    facts = step["facts"]
    counts = [_counted(value, name) for name, value in _counts(step["step"], facts).items()]
    said = [str(facts[name]) for name in ("note",) if facts.get(name)]
    dated = f"as of {as_of(str(facts['as_of']))}" if facts.get("as_of") else None
    return " · ".join(it for it in (*counts, dated, *said) if it) or "nothing new"


def _counted(count: int, what: str) -> str:
    """``2 rankings published``, ``1 ranking published``."""
    return f"{count:,} {what if count != 1 else _MANY.sub(lambda it: _ONE[it[0]], what)}"


def _counts(step: str, facts: Facts) -> dict[str, int]:
    """The counts that are not zero by what they are called, each once."""
    made = sum(facts.get(name) or 0 for name in ("published", "unchanged", "failed"))
    found: dict[str, int] = {}
    places = {name: place for place, name in enumerate(_ORDER)}
    for name, value in sorted(facts.items(), key=lambda it: (places.get(it[0], len(places)), it[0])):
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
