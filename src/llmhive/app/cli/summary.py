"""What a run did, for people: new, gone, back, dearer, cheaper, changed."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from rich.console import Console

from llmhive.app.cli import render
from llmhive.catalog.gate import ADVICE
from llmhive.catalog.pricing import PER_TOKEN
from llmhive.catalog.run import Run

#: Lines of a group before "… and N more".
AT_MOST = 10
_GROUPS = (
    ("new", "green"),
    ("gone", "red"),
    ("back", "green"),
    ("dearer", "red"),
    ("cheaper", "green"),
    ("repriced", "yellow"),
    ("changed", "default"),
)


def show(console: Console, run: Run, *, at_most: int | None = AT_MOST) -> None:
    """Print a run and its plan; `at_most` None shows every line."""
    console.print(render.escape(_headline(run)), style="bold" if run.status != "failed" else "bold red")
    for line in run.notes if run.status != "skipped" else ():
        console.print(f"  {render.escape(line)}", style="yellow")
    groups = group(run.plan or ())
    for name, style in _GROUPS:
        lines = groups[name]
        shown = lines if at_most is None else lines[:at_most]
        for position, line in enumerate(shown):
            label = f"{len(lines):>5} {name:<9}" if position == 0 else " " * 15
            console.print(f"[{style}]{label}[/] {render.escape(line)}", no_wrap=True, overflow="ellipsis")
        if len(shown) < len(lines):
            where = f": llmhive show {run.id}" if run.id is not None else ""
            console.print(f"{'':15} … and {len(lines) - len(shown)} more{where}", style="dim")
    if run.plan and run.unchanged:
        console.print(f"{run.unchanged:>5} unchanged", style="dim")
    if groups["dearer"] or groups["cheaper"] or groups["repriced"]:
        console.print(f"{'':15} Prices in USD per million tokens.", style="dim")
    for found in run.verdicts or ():
        if found["outcome"] != "held":
            console.print(f"  The gate let it pass: {render.escape(found['reason'])}.", style="yellow")


def _headline(run: Run) -> str:
    took = "" if run.duration_seconds is None else f" in {run.duration_seconds:.1f} s"
    number = "" if run.id is None else f" (run {run.id})"
    if run.status in {"completed", "unchanged"}:
        if run.kind == "bootstrap":
            return f"Loaded the bootstrap catalog: {run.models_seen} models{number}."
        if run.dry_run:
            what = "would change nothing" if _is_quiet(run) else "would do this"
            return f"Dry run{took}: a sync would see {run.models_seen} models and {what}. Nothing was written."
        return f"Synced {run.models_seen} models{took}{_news(run)}{number}."
    if run.status == "held":
        prefix = "Dry run: the gate would hold this answer" if run.dry_run else f"Held by the gate{number}"
        return f"{prefix}: {run.error}. {'' if run.dry_run else 'Nothing was applied. '}{_held_advice(run)}"
    if run.status == "failed":
        return f"Sync failed{number}: {run.error}"
    if run.status == "skipped":
        return run.notes[0]
    return f"Run {run.id} is {run.status}" + (f": {run.error}." if run.error else ".")


def _news(run: Run) -> str:
    if run.status == "unchanged":
        return ", nothing new"
    return ", nothing new but what is not compared (benchmarks and the like)" if _is_quiet(run) else ""


def _is_quiet(run: Run) -> bool:
    return not (run.added or run.changed or run.repriced or run.deactivated or run.reactivated)


def _held_advice(run: Run) -> str:
    rules = [found["rule"] for found in run.verdicts or () if found["outcome"] == "held"]
    return " ".join(dict.fromkeys(advice for rule, advice in ADVICE.items() if rule in rules))


def group(plan: Iterable[dict[str, Any]]) -> dict[str, list[str]]:
    """A plan's lines by what they mean to a person, a line a model; prices per million tokens."""
    groups: dict[str, list[str]] = {name: [] for name, _ in _GROUPS}
    prices: dict[str, list[dict[str, Any]]] = {}
    fields: dict[str, list[str]] = {}
    for change in plan:
        match change["what"]:
            case "added":
                groups["new"].append(f"{change['id']}  {change['after']}")
            case "deactivated":
                groups["gone"].append(change["id"])
            case "reactivated":
                groups["back"].append(change["id"])
            case "repriced":
                prices.setdefault(change["id"], []).append(change)
            case "changed":
                fields.setdefault(change["id"], []).append(_changed(change))
    for model_id, changes in prices.items():
        # what people pay most for comes first
        changes.sort(key=lambda change: (change["field"] not in _HEADLINE, change["field"] != _HEADLINE[0]))
        groups[_direction(changes)].append(f"{model_id}  {', '.join(map(_repriced, changes))}")
    # real changes before those of a digit nobody sees
    groups["repriced"].sort(key=lambda line: _UNSEEN in line)
    groups["changed"] = [f"{model_id}  {', '.join(lines)}" for model_id, lines in fields.items()]
    return groups


_UNSEEN = "by less than 0.1 %"
_HEADLINE = ("pricing.prompt", "pricing.completion")


def _direction(changes: list[dict[str, Any]]) -> str:
    """Dearer or cheaper where the prompt and completion prices agree on it, else repriced."""
    signs = set()
    for change in changes:
        before, after = change["before"], change["after"]
        if change["field"] in _HEADLINE:
            if not isinstance(before, str) or not isinstance(after, str) or min(Decimal(before), Decimal(after)) < 0:
                return "repriced"
            signs.add(Decimal(after) > Decimal(before))
    return "dearer" if signs == {True} else "cheaper" if signs == {False} else "repriced"


def _repriced(change: dict[str, Any]) -> str:
    unit = change["field"].removeprefix("pricing.")
    before, after = change["before"], change["after"]
    if unit == "overrides":
        return "overrides changed" if before and after else "overrides added" if after else "overrides gone"
    if before is None:
        return f"{unit} now {_rate(unit, after)}"
    if after is None:
        return f"{unit} no longer {_rate(unit, before)}"
    old, new = Decimal(before), Decimal(after)
    if _rate(unit, before) == _rate(unit, after):
        return f"{unit} {_UNSEEN}"
    line = f"{unit} {_rate(unit, before)} → {_rate(unit, after)}"
    return f"{line} ({(new - old) / old * 100:+.0f} %)" if old > 0 and new > 0 else line


def _rate(unit: str, rate: str) -> str:
    if Decimal(rate) < 0:
        return "varies"
    return render.short_price(rate) if unit in PER_TOKEN else f"${render.money(Decimal(rate))}"


def _changed(change: dict[str, Any]) -> str:
    name, before, after = change["field"], change["before"], change["after"]
    if isinstance(before, list) and isinstance(after, list):
        gained = [f"+{item}" for item in after if item not in before]
        lost = [f"-{item}" for item in before if item not in after]
        return f"{name} {' '.join(gained + lost)}"
    if name == "description":
        return "description reworded"
    if name.endswith(("context_length", "completion_tokens")):
        return f"{name} {render.tokens(before)} → {render.tokens(after)}"
    return f"{name} {_short(before)} → {_short(after)}"


def _short(value: Any) -> str:
    if isinstance(value, dict):
        value = ", ".join(f"{name} {_short(part)}" for name, part in value.items()) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = "unknown" if value is None else str(value)
    return text if len(text) <= 40 else text[:39] + "…"
