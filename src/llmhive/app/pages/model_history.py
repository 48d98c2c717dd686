"""What became of a model over time, in words: its prices, its changes, and what the gate holds back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from llmhive.app import wording
from llmhive.app.pages import fields, words
from llmhive.catalog.pricing import exact

Row = Mapping[str, Any]
#: Changes that are shown at once.
NEWEST = 30
_KINDS = {"added": "info", "listed": "info", "reactivated": "good", "deactivated": "bad", "repriced": "warn"}
_TAGS = {"deactivated": "removed", "reactivated": "returned", "repriced": "price", "changed": "fact"}
_GATE = {
    "price_fall": "A price that falls to zero or by this much at once is real now and then, and a mistake more often.",
    "price_rise": "A price that rises this many times at once is real now and then, and a mistake more often.",
    "price_negative": "A negative price says that it is decided per request, which this model's was not.",
    "context_lost": "A model that loses its context length has more likely been listed by mistake.",
}
_OUTCOMES = {
    "held": "held back", "released": "confirmed by a second sync", "accepted": "accepted by a person",
    "flagged": "applied, and noted",
}  # fmt: skip


# --- prices over time


def rates(rows: Iterable[Row], kind: str, outputs: Sequence[str]) -> list[dict[str, Any]]:
    """The prices of `Catalog.history` as a table, the newest first."""
    none = "varies" if kind == "dynamic" else words.UNKNOWN
    found = [
        {
            "unit": words.unit_name(row["unit"]),
            "condition": when(row["condition"]),
            "price": none if row["rate"] is None else words.rate(row["rate"], row["unit"], outputs),
            "from": row["from"],
            "to": row["to"],
            "is_held": row["is_held"],
        }
        for row in rows
    ]
    return sorted(found, key=lambda it: it["from"], reverse=True)


def when(condition: Row | None) -> str:
    """The condition of an override in words; empty of a base price."""
    return "" if condition is None else wording.condition(condition)


def since(rows: Iterable[Row]) -> dict[str, str]:
    """Since when the believed base price of each unit is in force; what is held ends none."""
    of_unit: dict[str, list[Row]] = {}
    for row in rows:
        if row["condition"] is None and not row["position"]:
            of_unit.setdefault(row["unit"], []).append(row)
    found = {}
    for unit, its in of_unit.items():
        end = None
        for row in reversed(its):
            if row["to"] != end:
                break
            if not row["is_held"]:
                found[unit] = row["from"]
                break
            end = row["from"]
    return found


# --- changes


def changes(entries: Sequence[Row], outputs: Sequence[str]) -> tuple[list[Any], list[Any]]:
    """The newest changes of `Catalog.history`, and the others: days with their lines, the newest first."""
    told = [_line(it, outputs) for it in reversed(entries)]
    return _by_day(told[:NEWEST]), _by_day(told[NEWEST:])


def _by_day(lines: Iterable[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    return [(day, list(found)) for day, found in groupby(lines, key=lambda it: it["day"])]


def _line(it: Row, outputs: Sequence[str]) -> dict[str, Any]:
    what = it["what"]
    line = {
        "at": it["at"],
        "day": words.day(it["at"]),
        "kind": _KINDS.get(what, ""),
        "tag": _TAGS.get(what, what),
        "label": "",
        "text": "",
        "before": None,
        "after": None,
        "moved": None,
    }
    return line | _words(it, outputs)


def _words(it: Row, outputs: Sequence[str]) -> dict[str, Any]:
    what, name, before, after = it["what"], it["field"] or "", it["before"], it["after"]
    if what == "added":
        return {"text": f"Added as {after}." if after else "Added."}
    if what == "listed":
        return {"text": "Listed when our history begins; it may be older."}
    if what in {"deactivated", "reactivated"}:
        return {"text": "No longer listed by OpenRouter." if what == "deactivated" else "Listed again."}
    label = fields.label(name)
    if what == "repriced":
        if name == fields.OVERRIDES:
            return {"label": label, "text": fields.conditionally(before, after, outputs)}
        told = {"before": fields.value(name, before, outputs), "after": fields.value(name, after, outputs)}
        return {"label": label, "moved": fields.moved(before, after), **told}
    if name == "description":
        return {"label": label, "text": "rewritten" if before and after else "added" if after else "taken away"}
    if isinstance(before, list) or isinstance(after, list):
        return {"label": label, "text": fields.listwise(before or [], after or [])}
    if isinstance(before, dict) or isinstance(after, dict):
        return {"label": label, "text": fields.inside(before, after)}
    return {"label": label, "before": fields.value(name, before), "after": fields.value(name, after)}


# --- the gate


def holds(told: Row, believed: Row, findings: Sequence[Row]) -> list[dict[str, Any]]:
    """What the gate holds back of a model: what OpenRouter says, what is believed instead, and why.

    `believed` is the believed value of each field that is held, as JSON.
    """
    outputs = told["output_modalities"]
    found = []
    for name, held in sorted(told["held"].items()):
        said = [it for it in findings if it["field"] == name and it["outcome"] == "held"]
        before, after = (fields.value(name, value, outputs) for value in (believed.get(name), held["served"]))
        found.append({
            "field": name,
            "label": fields.label(name) + ("" if fields.unit_of(name) is None else " price"),
            "served": after,
            "believed": before,
            "since": held["since"],
            "did": _did(held["rule"], said[0]["evidence"] if said else {}, believed.get(name), held["served"]),
            "why": _GATE.get(held["rule"], ""),
            "reason": said[0]["reason"] if said else None,
            "evidence": _evidence(said[0]["evidence"], outputs) if said else [],
            "run_id": said[0]["run_id"] if said else None,
        })  # fmt: skip
    return found


def other_findings(findings: Sequence[Row], told: Row) -> list[dict[str, Any]]:
    """What the gate found of a model beside what it holds back now."""
    return [
        {"run_id": it["run_id"], "at": it["at"], "outcome": _OUTCOMES.get(it["outcome"], it["outcome"]),
         "reason": it["reason"].removeprefix(f"{told['id']}: ")}
        for it in findings
        if not (it["outcome"] == "held" and it["field"] in told["held"])
    ]  # fmt: skip


def _did(rule: str, evidence: Row, believed: Any, served: Any) -> str:
    """What a value did, in words."""
    before, after = (exact(evidence.get(name, other)) for name, other in (("before", believed), ("after", served)))
    unit = evidence.get("unit")
    it = f"The {words.unit_name(unit).lower()} price" if unit else "It"
    if before is not None and after is not None and before > 0:
        if rule == "price_fall":
            if not after:
                return f"{it} fell to nothing."
            return f"{it} fell by {fields.how_far((before - after) / before)}."
        if rule == "price_rise":
            return f"{it} rose to {fields.times(after / before)} what it was."
    if rule == "price_negative":
        return f"{it} turned negative."
    return "The context length is gone." if rule == "context_lost" else ""


def _evidence(evidence: Row, outputs: Sequence[str]) -> list[tuple[str, str]]:
    unit = evidence.get("unit")
    found = []
    for name, value in fields.in_order_of_evidence(evidence):
        if name == "unit":
            continue
        if name in {"before", "after"} and unit:
            text = fields.value(f"pricing.{unit}", value, outputs)
            found.append((name, text if exact(value) is None else f"{text} (served as {value})"))
        elif name == "since":
            found.append(("first served so", words.moment(value)))
        elif value is not None:
            found.append((name.replace("_", " "), fields.value(name, value)))
    return found
