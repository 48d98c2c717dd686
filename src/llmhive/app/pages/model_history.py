"""What became of a model over time, in words: its prices, its changes, and what the gate holds back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any

from llmhive.app.pages import words
from llmhive.catalog.hold import PRICING
from llmhive.catalog.pricing import EXACT, exact, plain

Row = Mapping[str, Any]
#: Changes that are shown at once.
NEWEST = 30
_KINDS = {"added": "info", "listed": "info", "reactivated": "good", "deactivated": "bad", "repriced": "warn"}
_TAGS = {"listed": "first seen", "deactivated": "gone", "reactivated": "back", "repriced": "price", "changed": "fact"}
_FIELDS = {
    "name": "Name", "canonical_slug": "Canonical slug", "created_at": "Added to OpenRouter",
    "description": "Description", "context_length": "Context", "max_completion_tokens": "Output cap",
    "top_context_length": "Context at the top provider",
    "is_moderated": "Moderated", "input_modalities": "Takes", "output_modalities": "Gives",
    "supported_parameters": "Parameters", "default_parameters": "Default parameters",
    "per_request_limits": "Limits of a request", "supported_voices": "Voices", "tokenizer": "Tokenizer",
    "instruct_type": "Instruct type", "hugging_face_id": "Hugging Face id", "knowledge_cutoff": "Knowledge cut-off",
    "expiration_date": "Expires", "reasoning": "Reasoning", "alias_target": "Alias of",
}  # fmt: skip
_LONGEST = 200
_ABSURD = 10**9
#: What no value says, where it does not say that it is unknown.
_NOTHING = {"expiration_date": "no date", "alias_target": "no model"}
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
    return "" if condition is None else words.condition(condition)


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
    if what == "repriced":
        unit = name.removeprefix(f"{PRICING}.")
        if unit == "overrides":
            return {
                "label": "Conditional prices",
                "before": overrides(before, outputs),
                "after": overrides(after, outputs),
            }
        pair = [None if rate is None else words.rate(rate, unit, outputs) for rate in (before, after)]
        told = [rate or "not listed" for rate in pair]
        return {"label": words.unit_name(unit), "before": told[0], "after": told[1], "moved": moved(before, after)}
    label = _FIELDS.get(name, name.replace("_", " ").capitalize())
    if name == "description":
        return {"label": label, "text": "rewritten" if before and after else "added" if after else "taken away"}
    if isinstance(before, list) or isinstance(after, list):
        return {"label": label, "text": _list_change(before or [], after or [])}
    if isinstance(before, dict) or isinstance(after, dict):
        return {"label": label, "text": _object_change(before or {}, after or {})}
    return {"label": label, "before": _value(name, before), "after": _value(name, after)}


def overrides(entries: Sequence[Row] | None, outputs: Sequence[str]) -> str:
    """Conditional prices in words."""
    if not entries:
        return "none"
    told = []
    for it in entries:
        prices = (
            f"{words.unit_name(unit).lower()} {words.rate(rate, unit, outputs)}" for unit, rate in it["rates"].items()
        )
        told.append(f"{words.condition(it['when'])}: {', '.join(prices)}")
    return "; ".join(told)


def moved(before: Any, after: Any) -> tuple[str, str] | None:
    """Which way a price went, and by how much: ``("down", "25 %")``; None where that cannot be said."""
    old, new = exact(before), exact(after)
    if old is None or new is None or old <= 0 or new < 0 or old == new:
        return None
    way = "up" if new > old else "down"
    if new >= 10 * old:
        return way, f"{_digits(new / old)} times"
    share = abs(new - old) / old * 100
    return way, f"{_digits(share)} %"


def _digits(number: Decimal) -> str:
    """To one decimal; what is absurd in powers of ten."""
    if number >= _ABSURD:
        return f"{number:.2e}"
    rounded = number.quantize(Decimal("0.1"))
    return plain(rounded) if rounded else "<0.1"


def _list_change(before: Sequence[Any], after: Sequence[Any]) -> str:
    gained = [str(it) for it in after if it not in before]
    lost = [str(it) for it in before if it not in after]
    told = [f"gained {', '.join(gained)}"] if gained else []
    told += [f"lost {', '.join(lost)}"] if lost else []
    return "; ".join(told) or "in another order"


def _object_change(before: Row, after: Row) -> str:
    names = [name for name in dict.fromkeys((*before, *after)) if before.get(name) != after.get(name)]
    told = (
        f"{name.replace('_', ' ')} {_value(name, before.get(name))} → {_value(name, after.get(name))}" for name in names
    )
    return "; ".join(told) or "as before"


def _value(name: str, value: Any) -> str:
    if value is None:
        return _NOTHING.get(name, words.UNKNOWN)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{words.count(value)}{' tokens' if name.endswith(('length', 'tokens')) else ''}"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if name == "created_at":
        return words.moment(value)
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


# --- the gate


def holds(told: Row, believed: Row, findings: Sequence[Row]) -> list[dict[str, Any]]:
    """What the gate holds back of a model: what OpenRouter says, what is believed instead, and why.

    `believed` is the believed value of each field that is held, as JSON.
    """
    outputs = told["output_modalities"]
    found = []
    for name, held in sorted(told["held"].items()):
        said = [it for it in findings if it["field"] == name and it["outcome"] == "held"]
        before, after = (_held_value(name, value, outputs) for value in (believed.get(name), held["served"]))
        found.append({
            "field": name,
            "label": _held_label(name),
            "served": after,
            "believed": before,
            "since": held["since"],
            "did": _did(held["rule"], said[0]["evidence"] if said else {}, believed.get(name), held["served"]),
            "why": _GATE.get(held["rule"], ""),
            "reason": said[0]["reason"] if said else None,
            "evidence": _evidence(said[0]["evidence"], outputs) if said else [],
            "run_id": said[0]["run_id"] if said else None,
            "first_run_id": said[-1]["run_id"] if said else None,
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


def _held_label(name: str) -> str:
    if name == PRICING:
        return "All prices"
    unit = name.removeprefix(f"{PRICING}.")
    return f"{words.unit_name(unit)} price" if unit != name else _FIELDS.get(name, name)


def _held_value(name: str, value: Any, outputs: Sequence[str]) -> str:
    if name == PRICING:
        return _pricing(value, outputs)
    unit = name.removeprefix(f"{PRICING}.")
    if unit == name:
        return _value(name, value or None)
    number = exact(value)
    if number is None:
        return words.UNKNOWN
    return f"decided per request ({plain(number)})" if number < 0 else words.rate(number, unit, outputs)


def _pricing(value: Any, outputs: Sequence[str]) -> str:
    """A whole pricing in words."""
    if not isinstance(value, Mapping):
        return words.UNKNOWN
    told = [
        f"{words.unit_name(unit).lower()} {words.rate(rate, unit, outputs)}"
        for unit, rate in words.in_order(value)
        if exact(rate) is not None
    ]
    if value.get("overrides"):
        told.append(overrides(value["overrides"], outputs))
    return "; ".join(told) or words.UNKNOWN


def _did(rule: str, evidence: Row, believed: Any, served: Any) -> str:
    """What a value did, in words."""
    before, after = (exact(evidence.get(name, other)) for name, other in (("before", believed), ("after", served)))
    unit = evidence.get("unit")
    it = f"The {words.unit_name(unit).lower()} price" if unit else "It"
    if before is not None and after is not None and before > 0:
        if rule == "price_fall":
            if not after:
                return f"{it} fell to nothing."
            return f"{it} fell by {_digits(EXACT.multiply(100, before - after) / before)} %."
        if rule == "price_rise":
            return f"{it} rose to {_digits(after / before)} times as much."
    if rule == "price_negative":
        return f"{it} turned negative."
    return "The context length is gone." if rule == "context_lost" else ""


def _evidence(evidence: Row, outputs: Sequence[str]) -> list[tuple[str, str]]:
    unit = evidence.get("unit")
    found = []
    for name, value in evidence.items():
        if name == "unit":
            continue
        if name in {"before", "after"} and unit:
            number = exact(value)
            text = words.UNKNOWN if number is None else words.rate(number, unit, outputs)
            found.append((name, f"{text} (served as {value})" if number is not None else text))
        elif name == "since":
            found.append(("first served so", words.moment(value)))
        elif value is not None:
            found.append((name.replace("_", " "), _value(name, value)))
    return found
