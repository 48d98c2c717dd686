"""How a run is told on a page: its headline, its plan as rows, what the gate found, its steps; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from llmhive.app import steps
from llmhive.app.pages import fields, words
from llmhive.catalog.gate import ADVICE
from llmhive.catalog.view import View

Facts = Mapping[str, Any]  #: a run, or a line of its plan, as JSON
#: Lines of a plan on a page; the API has all of it.
AT_MOST = 500
_MOST_FINDINGS = 100
_MOST_NAMED = 12  #: of a finding's evidence
#: What a line of a plan says, in the order in which lines are shown: its name, and how it is marked.
_WHATS = {
    "added": ("added", "good"),
    "deactivated": ("removed", "bad"),
    "reactivated": ("returned", "good"),
    "held": ("held", "warn"),
    "repriced": ("repriced", "info"),
    "changed": ("changed", ""),
}
_STATUSES = {
    "running": "info", "completed": "good", "unchanged": "good", "held": "warn", "failed": "bad", "interrupted": "bad",
    "skipped": "warn", "reused": "", "pending": "warn", "delivered": "good", "given up": "bad",
}  # fmt: skip
_OUTCOMES = {
    "held": ("held", "warn"), "released": ("confirmed", "good"), "accepted": ("accepted", "good"),
    "flagged": ("noted", "info"),
}  # fmt: skip
KINDS = {
    "regular": "Sync", "research": "Research", "bootstrap": "Bootstrap", "backfill": "Backfill", "rollback": "Rollback",
}  # fmt: skip
_COUNTS = (
    ("added", "added"), ("deactivated", "removed"), ("reactivated", "returned"), ("repriced", "repriced"),
    ("changed", "changed"), ("held", "held"), ("unreadable", "unreadable"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a plan."""

    what: str
    mark: str  #: the class of its badge
    model: str
    field: str
    before: str
    after: str
    moved: str = ""  #: of a price: by how much, in words
    tone: str = ""  #: likewise: the class of what got better or worse


@dataclass(frozen=True, slots=True)
class Finding:
    """What the gate found, with its evidence."""

    outcome: str
    is_held: bool
    mark: str
    rule: str
    model: str | None
    field: str | None
    reason: str
    evidence: Sequence[tuple[str, str]]
    advice: Sequence[tuple[str, bool]]  #: pieces of text, and whether each is a command


@dataclass(frozen=True, slots=True)
class Told:
    """A run as a page shows it."""

    run: Facts
    kind: str
    headline: str
    mark: str  #: the class of its status
    lasted: str
    rows: Sequence[Row]
    left: int  #: lines of the plan that are not among `rows`
    findings: Sequence[Finding]
    more_findings: int  #: that are not among them
    steps: Sequence[tuple[Facts, str, str]]  #: each with the class of its status, and what it did
    reused: str | None  #: what earlier runs of the day did for it

    @property
    def is_running(self) -> bool:
        """Whether it goes on."""
        return bool(self.run["status"] == "running")


def told(run: Facts, view: View, now: datetime) -> Told:
    """A run with its plan and its verdicts, as JSON."""
    known, verdicts = run.get("steps") or [], run.get("verdicts") or []
    # what is held comes before what is only worth knowing
    verdicts = sorted(verdicts, key=lambda it: bool(it["outcome"] != "held"))
    # what is held is told once, with its evidence
    told_so = {(it["model_id"], it["field"]) for it in verdicts[:_MOST_FINDINGS] if it["outcome"] == "held"}
    plan = [it for it in run.get("plan") or [] if it["what"] != "held" or (it["id"], it["field"]) not in told_so]
    return Told(
        run, _kind(run), headline(run, now), mark(run["status"]),
        lasted(run, now), rows(plan, view), max(0, len(plan) - AT_MOST),
        [_finding(it, run["id"], view) for it in verdicts[:_MOST_FINDINGS]], max(0, len(verdicts) - _MOST_FINDINGS),
        [(it, mark(it["status"]), steps.told(it, _dated)) for it in known if it["status"] != "reused"],
        steps.taken_over(known),
    )  # fmt: skip


def _kind(run: Facts) -> str:
    return KINDS.get(run["kind"]) or str(run["kind"])


def mark(status: str) -> str:
    """The class of a status's badge."""
    return _STATUSES.get(status, "")


def counts(run: Facts) -> str:
    """What a run did, without what it did not."""
    return ", ".join(f"{run[name]:,} {what}" for name, what in _COUNTS if run[name])


def lasted(run: Facts, now: datetime) -> str:
    """How long a run took, or has been running."""
    seconds = run["duration_seconds"]
    if seconds is None:
        seconds = max(0.0, (now - words.instant(run["started_at"])).total_seconds())
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {int(seconds % 60)} s"


def headline(run: Facts, now: datetime) -> str:
    """How a run ended, in a sentence."""
    kind, status, did = _kind(run), run["status"], counts(run)
    if status == "running":
        return f"It has been running for {lasted(run, now)}."
    if status == "held":
        why = str(run["error"]).rstrip(".")
        return f"The gate would hold this answer: {why}." if run["dry_run"] else f"Held by the gate: {why}."
    if status in {"failed", "interrupted"}:
        return f"{kind} {status}: {run['error'] or 'no reason was given'}"
    if run["dry_run"]:
        who = "Rolling back" if run["kind"] == "rollback" else f"A sync that sees {run['models_seen']:,} models"
        return f"{who} would do this: {did}." if did else f"{who} would change nothing."
    if run["kind"] == "rollback" and not did:
        return "The catalog was as the snapshot has it already: nothing changed."
    of = f"{run['models_seen']:,} models: " if run["models_seen"] else ""
    return f"{of}{did or 'nothing new in the model list'}."


# --- the plan


def rows(plan: Sequence[Facts], view: View, at_most: int = AT_MOST) -> list[Row]:
    """The first lines of a plan, by what they say."""
    order = {what: position for position, what in enumerate(_WHATS)}
    found = sorted(plan, key=lambda it: order.get(it["what"], len(order)))
    return [_row(it, view) for it in found[:at_most]]


def _row(line: Facts, view: View) -> Row:
    what, kind = _WHATS.get(line["what"], (line["what"], ""))
    model, field, before, after = line["id"], line["field"] or "", line["before"], line["after"]
    if line["what"] == "added":
        return Row(what, kind, model, "", "", str(after or ""))
    if line["what"] in {"deactivated", "reactivated"}:
        return Row(what, kind, model, "", "", "")
    if isinstance(before, list) and isinstance(after, list) and not any(isinstance(it, dict) for it in before + after):
        gained, lost = (fields.short(", ".join(it)) for it in fields.gained_lost(before, after))
        return Row(what, kind, model, fields.label(field), lost, gained)
    outputs = outputs_of(model, view)
    old, new = fields.value(field, before, outputs), fields.value(field, after, outputs)
    tone, moved = (fields.unit_of(field) and fields.moved(before, after)) or ("", "")
    return Row(what, kind, model, fields.label(field), old, new, moved, tone)


def outputs_of(model: str, view: View) -> Any:
    """What a model gives, which tells what its prices are for."""
    entry = view.by_id.get(model)
    return () if entry is None else entry.row["output_modalities"]


# --- what the gate found


def _finding(found: Facts, run_id: int | None, view: View) -> Finding:
    outcome, kind = _OUTCOMES.get(found["outcome"], (found["outcome"], ""))
    advice = ADVICE.get(found["rule"], "") if found["outcome"] == "held" and run_id is not None else ""
    pieces = enumerate(advice.replace("RUN", str(run_id)).split("`"))
    move, evidence = price_move(found, view), fields.in_order_of_evidence(found["evidence"])
    if move is not None:
        # the price says them
        evidence = [(name, it) for name, it in evidence if name not in {"before", "after", "unit"}]
    return Finding(
        outcome, found["outcome"] == "held", kind, found["rule"].replace("_", " "), found["model_id"],
        fields.label(found["field"]) if found["field"] else None,
        move or f"{str(found['reason']).rstrip('.')}.",
        [(name.replace("_", " "), _evidence(name, it, found, view)) for name, it in evidence],
        [(piece, place % 2 == 1) for place, piece in pieces if piece],
    )  # fmt: skip


def price_move(found: Facts, view: View) -> str | None:
    """What became of a price by a finding: ``$0.14 → $0.00 per million``; None where it is about something else."""
    evidence, field = found["evidence"], found["field"] or ""
    unit = evidence.get("unit") or fields.unit_of(field)
    if found["model_id"] is None or not unit or not {"before", "after"} <= evidence.keys():
        return None
    move = fields.price_move(evidence["before"], evidence["after"], unit, outputs_of(found["model_id"], view))
    if move is None or fields.unit_of(field) is not None:
        return move
    return f"{words.unit_name(unit)} {move}"


def _evidence(name: str, it: Any, found: Facts, view: View) -> str:
    if isinstance(it, list):
        shown = ", ".join(map(fields.plainly, it[:_MOST_NAMED]))
        return shown if len(it) <= _MOST_NAMED else f"{shown} and {len(it) - _MOST_NAMED:,} more"
    if name in {"before", "after"} and found["model_id"] is not None:
        # with the pricing as a whole it is of one unit
        unit = found["evidence"].get("unit")
        field = f"pricing.{unit}" if unit else found["field"] or ""
        return fields.value(field, it, outputs_of(found["model_id"], view))
    if name == "since" and isinstance(it, str):
        return words.moment(it)
    return fields.plainly(it)


def _dated(text: str) -> str:
    """When something was true, as its source dates it: an instant as all are shown, a day or words as they are."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return words.moment(at) if "T" in text and at.tzinfo is not None else text
