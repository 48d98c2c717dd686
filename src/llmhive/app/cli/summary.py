"""What a run did, for people: new, gone, back, dearer, cheaper, changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from rich.console import Console

from llmhive.app.cli import render, steps
from llmhive.app.steps import news
from llmhive.catalog.gate import ADVICE
from llmhive.catalog.pricing import PER_TOKEN
from llmhive.catalog.run import Run

#: Lines of a group before "… and N more".
AT_MOST = 10
_LABEL = 18
_GROUPS = (
    ("new", "green"),
    ("gone", "red"),
    ("back", "green"),
    ("dearer", "red"),
    ("cheaper", "green"),
    ("repriced", "yellow"),
    ("limits", "default"),
    ("capabilities", "default"),
    ("changed", "default"),
    ("held", "yellow"),
)
#: What people filter by gets a group of its own.
_TOPICS = {
    "context_length": "limits",
    "max_completion_tokens": "limits",
    "top_context_length": "limits",
    "per_request_limits": "limits",
    "input_modalities": "capabilities",
    "output_modalities": "capabilities",
    "supported_parameters": "capabilities",
    "reasoning": "capabilities",
    "supported_voices": "capabilities",
}


def show(console: Console, run: Run, *, at_most: int | None = AT_MOST) -> None:
    """Print a run and its plan; `at_most` None shows every line."""
    headline, notes = _headline(run)
    console.print(render.escape(headline), style="bold" if run.status != "failed" else "bold red")
    for line in notes:
        console.print(f"  {render.escape(line)}", style="yellow")
    more = f": llmhive show {run.id}" if run.id is not None else ""
    show_plan(console, run.plan or (), at_most=at_most, more=more)
    if run.plan and run.unchanged:
        console.print(f"{run.unchanged:>5} unchanged", style="dim")
    for line in _findings(run):
        console.print(render.escape(line), style="yellow")
    steps.show(console, run, at_most=at_most)


def show_plan(console: Console, plan: Iterable[dict[str, Any]], *, at_most: int | None, more: str) -> None:
    """Print the lines of a plan by what they mean; `more` says where those left out are."""
    groups = group(plan)
    for name, style in _GROUPS:
        lines = groups[name]
        shown = lines if at_most is None else lines[:at_most]
        for position, line in enumerate(shown):
            label = f"{len(lines):>5} {name:<{_LABEL - 6}}" if position == 0 else " " * _LABEL
            console.print(f"[{style}]{label}[/] {render.escape(line)}", no_wrap=True, overflow="ellipsis")
        if len(shown) < len(lines):
            console.print(f"{'':{_LABEL}} … and {len(lines) - len(shown)} more{more}", style="dim")
    if groups["dearer"] or groups["cheaper"] or groups["repriced"]:
        console.print(f"{'':{_LABEL}} Prices in USD per million tokens.", style="dim")


def explain(console: Console, run: Run) -> None:
    """Print each finding of the gate with its evidence."""
    for found in run.verdicts or ():
        about = f" {found['model_id']}" if found["model_id"] else ""
        console.print()
        console.print(f"[bold]{found['outcome']}[/] by the rule {found['rule']}{render.escape(about)}")
        console.print(f"  {render.escape(found['reason'])}.")
        pairs = [(f"  {name.replace('_', ' ')}", _evidence(value)) for name, value in found["evidence"].items()]
        render.facts(console, pairs)
        if found["outcome"] == "held":
            console.print(f"  {render.escape(ADVICE[found['rule']].replace('RUN', str(run.id)))}", style="yellow")


def _evidence(value: Any) -> str:
    if isinstance(value, list):
        shown = ", ".join(map(str, value[:12]))
        return shown if len(value) <= 12 else f"{shown} … and {len(value) - 12} more (--json shows all)"
    return "unknown" if value is None else str(value)


def _headline(run: Run) -> tuple[str, tuple[str, ...]]:
    """A run in a line, and what else there is to say of it."""
    took = "" if run.duration_seconds is None else f" in {run.duration_seconds:.1f} s"
    number = "" if run.id is None else f" (run {run.id})"
    if run.status == "skipped":
        return run.notes[0], ()
    if run.kind in {"backfill", "rollback"} and run.notes and run.status in {"completed", "unchanged"}:
        # what it did is its first note
        first = run.notes[0].removesuffix(".")
        if run.dry_run:
            return f"Dry run: {first}. Nothing was written.", run.notes[1:]
        return f"{first}{took}{number}.", run.notes[1:]
    return _headline_of_sync(run, took, number), run.notes


def _headline_of_sync(run: Run, took: str, number: str) -> str:
    if run.status in {"completed", "unchanged"}:
        if run.kind == "research" and not run.dry_run:
            return f"Researched {run.models_seen:,} models{took}{number}: {_brought(run)}."
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
        return f"{_NAMES.get(run.kind, 'Sync')} failed{number}: {run.error}"
    return f"Run {run.id} is {run.status}" + (f": {run.error}." if run.error else ".")


_NAMES = {"backfill": "Backfill", "rollback": "Rollback", "research": "Research"}


def _news(run: Run) -> str:
    if run.status != "unchanged" and not _is_quiet(run):
        return ""
    if news(run):
        # which the lines of the steps tell
        return ", model list: nothing new"
    if run.status == "unchanged":
        return ", nothing new"
    return ", nothing new but what is not compared (benchmarks and the like)"


def _brought(run: Run) -> str:
    """What a research run brought: of the model list, and of its steps."""
    counts = (
        (run.added, "new"),
        (run.deactivated, "gone"),
        (run.reactivated, "back"),
        (run.repriced, "repriced"),
        (run.changed, "changed"),
        (run.held, "held"),
    )
    listed = ", ".join(f"{count:,} {what}" for count, what in counts if count)
    found = news(run)
    if not listed and not found:
        return "nothing changed"
    return "; ".join(it for it in (f"model list: {listed}" if listed else "model list unchanged", found) if it)


def _is_quiet(run: Run) -> bool:
    return not (run.added or run.changed or run.repriced or run.deactivated or run.reactivated or run.held)


def _held_advice(run: Run) -> str:
    rules = [found["rule"] for found in run.verdicts or () if found["outcome"] == "held"]
    advice = " ".join(dict.fromkeys(advice for rule, advice in ADVICE.items() if rule in rules))
    return advice if run.id is None else advice.replace("RUN", str(run.id))


def _findings(run: Run) -> Iterator[str]:
    """What else the gate found, a line each; what is held of single values in one line."""
    values = [found for found in run.verdicts or () if found["outcome"] == "held" and found["model_id"]]
    if values and run.status in {"completed", "unchanged"}:
        many = f"{len(values)} values are" if len(values) > 1 else "1 value is"
        what = f"  {many} held: the old {'ones stay' if len(values) > 1 else 'one stays'} until a second sync agrees."
        yield what if run.id is None else f"{what} llmhive show {run.id} · llmhive accept {run.id}"
    for found in run.verdicts or ():
        if found["outcome"] != "held":
            yield f"  {_LET_PASS[found['outcome']]}: {found['reason']}."


_LET_PASS = {"released": "Confirmed, so it is believed", "accepted": "Accepted", "flagged": "Noted"}


def group(plan: Iterable[dict[str, Any]]) -> dict[str, list[str]]:
    """A plan's lines by what they mean to a person, a line a model; prices per million tokens."""
    groups: dict[str, list[str]] = {name: [] for name, _ in _GROUPS}
    prices: dict[str, list[dict[str, Any]]] = {}
    fields: dict[tuple[str, str], list[str]] = {}
    for change in plan:
        match change["what"]:
            case "added":
                groups["new"].append(f"{change['id']}  {change['after']}")
            case "deactivated":
                groups["gone"].append(change["id"])
            case "reactivated":
                groups["back"].append(change["id"])
            case "held":
                groups["held"].append(_held(change))
            case "repriced":
                prices.setdefault(change["id"], []).append(change)
            case "changed":
                topic = _TOPICS.get(change["field"], "changed")
                fields.setdefault((topic, change["id"]), []).append(told(change))
    for model_id, changes in prices.items():
        groups[_direction(changes)].append(f"{model_id}  {', '.join(map(told, in_order(changes)))}")
    for name in ("dearer", "cheaper", "repriced"):
        # real changes before those of a digit nobody sees
        groups[name].sort(key=lambda line: _UNSEEN in line)
    for (topic, model_id), lines in fields.items():
        groups[topic].append(f"{model_id}  {', '.join(lines)}")
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


def in_order(changes: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """A model's changes; what people pay most for comes first."""
    return sorted(changes, key=lambda it: (it["field"] not in _HEADLINE, it["field"] != _HEADLINE[0]))


def told(change: dict[str, Any]) -> str:
    """A changed field or price in words: its name, before and after."""
    return (_repriced if change["field"].startswith("pricing.") else _changed)(change)


def _held(change: dict[str, Any]) -> str:
    """A held value: what is served, and what stays believed."""
    name, before, after = change["field"], change["before"], change["after"]
    if name == "pricing":
        return f"{change['id']}  its new prices"
    unit = name.removeprefix("pricing.")
    is_price = unit != name
    words = [
        "unknown" if value is None else _rate(unit, value) if is_price else render.tokens(value)
        for value in (after, before)
    ]
    return f"{change['id']}  {unit} {words[0]}, believed {words[1]}"


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
        words = [render.tokens(before), render.tokens(after)]
        if words[0] == words[1]:
            words = [f"{count:,}" for count in (before, after)]
        return f"{name} {words[0]} → {words[1]}"
    return f"{name} {_short(before)} → {_short(after)}"


def _short(value: Any) -> str:
    if isinstance(value, dict):
        value = ", ".join(f"{name} {_short(part)}" for name, part in value.items()) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = "unknown" if value is None else str(value)
    return text if len(text) <= 40 else text[:39] + "…"
