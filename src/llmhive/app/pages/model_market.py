"""What the research sync brought of a model, as its page shows it: endpoints, ranks, benchmarks, capabilities; and what
could take its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Context, Decimal
from typing import Any

from llmhive.app import wording
from llmhive.app.library import Catalog
from llmhive.app.pages import words
from llmhive.app.pages.addresses import ranking_url
from llmhive.catalog.benchmark import INSIDE, KEYED
from llmhive.catalog.endpoint import Health, Span, summed
from llmhive.catalog.pricing import counts_tokens, exact, plain
from llmhive.catalog.receipt import shown
from llmhive.catalog.routing import band_of, is_in_outage
from llmhive.errors import UsageError

Row = Mapping[str, Any]
#: The ranking that is drawn, if a model is in it.
FIRST = "leaderboard"
_ROUNDED = Context(prec=3)
_MOST_BENCHMARKS = 12
_STATES = ("yes", "no", "unknown")
#: What a status below zero means, and when such an endpoint is asked.
_STATUSES = {
    "degraded": ("degraded", "asked only if no healthy one answers"),
    "fallback": ("failing", "asked only if nobody else answers"),
}
_OUT = ("in outage", "not asked")
#: Reasons of a choice that say what its figures beside them do not; the others are on the page of Select.
_LIKENESS = ("family", "capability", "quality")
_WARNINGS = ("it expires", "its ")


# --- endpoints


def endpoints(found: Row, told: Row) -> dict[str, Any]:
    """Who serves a model, and how well."""
    outputs, kind = told["output_modalities"], told["pricing_kind"]
    rows = [_endpoint(it, kind, outputs) for it in found["data"]]
    return {
        "active": [it for it in rows if it["is_active"]],
        "gone": [it for it in rows if not it["is_active"]],
        "checked_at": found["checked_at"],
        "succeeded_at": found["succeeded_at"],
        "error": found["error"],
        "counts_tokens": counts_tokens(outputs),
        "has_overrides": any(it["pricing"].get("overrides") for it in found["data"] if it["is_active"]),
    }


def _endpoint(it: Row, kind: str, outputs: Sequence[str]) -> dict[str, Any]:
    off = exact(it["discount"])
    uptime, uptime_of = it["uptime_last_30m"], "over 30 minutes"
    if uptime is None and it["uptime_last_1d"] is not None:
        uptime, uptime_of = it["uptime_last_1d"], "over a day"
    return {
        "provider": it["provider"],
        "tag": it["tag"],
        "key": it["key"],
        "is_active": it["is_active"],
        "is_zdr": it["is_zdr"],
        "context": it["context_length"] or None,
        "output": it["max_completion_tokens"],
        "prompt": words.price_in_column(it["pricing"].get("prompt"), "prompt", kind, outputs),
        "completion": words.price_in_column(it["pricing"].get("completion"), "completion", kind, outputs),
        "discount": f"{wording.four_digits(abs(off) * 100)} % {'off' if off > 0 else 'more'}" if off else None,
        "quantization": it["quantization"],
        "uptime": None if uptime is None else words.uptime(uptime),
        "uptime_of": uptime_of,
        "latency": _median(it["latency_ms"]),
        "throughput": _median(it["throughput_tps"]),
        "status": it["status"],
        "trouble": _trouble(it["status"]),
        "since": it["since"],
        "last_seen_at": it["last_seen_at"],
    }


def _trouble(status: int | None) -> tuple[str, str] | None:
    """What is wrong with an endpoint by its status, and what that means; None: nothing is known to be."""
    if status is None or status >= 0:
        return None
    told = Health(status=status)
    word, meaning = _OUT if is_in_outage(told) else _STATUSES[band_of(told)]
    return word, f"{meaning}; OpenRouter's status is {status}"


def _median(spread: Mapping[str, float | None] | None) -> str | None:
    middle = None if spread is None else spread["p50"]
    return None if middle is None else f"{middle:,.0f}" if middle >= 10 else f"{middle:.2g}"


def health(rows: Iterable[Row]) -> dict[str, Any]:
    """How the endpoints fared over all the time that is known, the worst uptime first; and what can be drawn of it."""
    of_key: dict[str, list[Row]] = {}
    for row in rows:
        of_key.setdefault(row["key"], []).append(row)
    found = [_fared(its) for its in of_key.values()]
    return {
        "rows": sorted(found, key=lambda it: (it["order"], it["provider"] or "", it["tag"])),
        "has_uptime": any(it["uptime"] is not None for it in found),
        "has_latency": any(it["latency"] is not None for it in found),
    }


def _fared(rows: Sequence[Row]) -> dict[str, Any]:
    parts = (
        Span(it["samples"], it["status"], it["uptime"], it["uptime_low"], it["latency_p50"], it["throughput_p50"])
        for it in rows
    )
    whole, newest = summed(parts), rows[-1]
    return {
        "provider": newest["provider"],
        "tag": newest["tag"],
        "samples": whole.samples,
        "since": min(it["at"] for it in rows),
        "uptime": None if whole.uptime is None else words.uptime(whole.uptime),
        "lowest": None if whole.uptime_low is None else words.uptime(whole.uptime_low),
        "latency": _median({"p50": whole.latency_p50}),
        "throughput": _median({"p50": whole.throughput_p50}),
        "order": 101.0 if whole.uptime is None else whole.uptime,
    }


# --- ranks and benchmarks


def ranks(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Where a model stands, the best rank first."""
    found = [
        {
            "name": it["category"] or it["dimension"],
            "title": it["category_title"] or it["category"] or it["title"],
            "by": it["title"] if it["category"] else None,
            "rank": it["rank"],
            "moved": _movement(it["change"], it["previous_rank"]),
            "share": it["share"],
            "tokens": it["tokens"],
            "is_lower_bound": it["is_lower_bound"],
            "is_estimate": it["is_estimate"],
            "is_derived": it["is_derived"],
            "as_of": dated(it["as_of"]),
            "window": it["window"],
            "citation": it["citation"],
            "url": ranking_url(it["category"] or it["dimension"]),
        }
        for it in rows
    ]
    return sorted(found, key=lambda it: (it["rank"], it["name"] != FIRST, it["name"]))


def _movement(change: int | None, before: int | None) -> tuple[str, str] | None:
    """How a rank moved, as a class and words; None where that is not known."""
    if change is None or before is None:
        return None
    if not change:
        return "", "= as before"
    return ("up", f"▲ {change}") if change > 0 else ("down", f"▼ {-change}")


def places(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Where a model stood over time, the newest first; empty where it never was among the ranked."""
    found = [{**it, "day": dated(it["as_of"] or it["made_at"])} for it in rows]
    return found[::-1] if any(it["rank"] is not None for it in found) else []


def dated(text: str | None) -> str | None:
    """The day of what a source dates as it likes."""
    try:
        return None if text is None else words.day(text)
    except ValueError:
        return text


def benchmarks(rows: Iterable[Row]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What others measured, of one metric the source that was asked for it: the first of them, and the others."""
    chosen: dict[str, Row] = {}
    for it in sorted(rows, key=lambda it: it["source"].startswith(INSIDE)):
        chosen.setdefault(it["metric"], it)
    ordered = sorted(
        chosen.values(), key=lambda it: (_is_elo(it), -Decimal(it["value"]) if _is_elo(it) else 0, it["metric"])
    )
    found = [
        {
            "name": _metric(it["metric"]),
            "value": _value(it),
            "exact": it["value"],
            "source": KEYED.get(source := it["source"].removeprefix(INSIDE), source),
            "place": it["facts"].get("rank"),
            "as_of": dated(it["as_of"]),
        }
        for it in ordered
    ]
    return found[:_MOST_BENCHMARKS], found[_MOST_BENCHMARKS:]


def _is_elo(it: Row) -> bool:
    return bool(it["metric"].startswith("elo:"))


def _metric(name: str) -> str:
    if name.startswith("elo:"):
        return f"Elo, {name.rpartition(':')[2]}"
    return name.replace("_", " ").capitalize()


def _value(it: Row) -> str:
    # an index and an Elo rating are points; what is left are scores of 0 to 1
    value = Decimal(it["value"])
    return wording.four_digits(value) if it["metric"].endswith("_index") or value > 1 else f"{value * 100:.1f} %"


# --- capabilities


def capabilities(found: Row) -> dict[str, list[dict[str, Any]]]:
    """The cells of a model by state, in the order of the matrix; all empty where none is known."""
    cells = found["data"][0]["cells"] if found["data"] else {}
    told: dict[str, list[dict[str, Any]]] = {state: [] for state in _STATES}
    for it in found["capabilities"]:
        if (cell := cells.get(it["name"])) is not None:
            told[cell["state"]].append({
                "name": it["name"], "title": words.capability_label(it["name"]),
                "why": cell["provenance"], "since": cell["since"],
            })  # fmt: skip
    return told


# --- successors


def successors(catalog: Catalog, told: Row, now: datetime) -> dict[str, Any]:
    """What comes nearest to a model, each with its cost beside the model's own; or why there is nothing."""
    model_id = told["id"]
    try:
        found = catalog.select({"role": "replacement", "of": model_id, "limit": 5})
        choices, used = found.choices, found.need.typical
        nothing = None if choices else found.nothing or "No model qualifies."
    except UsageError as error:
        return {"choices": [], "why": str(error), "used": None, "own": None}
    own = None
    if told["pricing_kind"] in {"fixed", "free"}:
        own = _own_cost(catalog, told, used, now)
    return {
        "choices": [
            {
                "id": it.id,
                "name": it.name,
                "score": f"{it.score:.2f}",
                "reason": reason(it.reasons),
                "cost": None if it.expected_cost is None else shown(it.expected_cost),
                "exact": None if it.expected_cost is None else words.usd(it.expected_cost),
                "ratio": _ratio(it.expected_cost, own),
                "context": it.context_length or None,
            }
            for it in choices
        ],
        "why": nothing,
        "used": f"{used.prompt:,} + {used.completion:,} tokens",
        "own": None if own is None else shown(own),
    }


def reason(reasons: Iterable[str]) -> str:
    """Why a model is near another, in a line."""
    found = []
    for it in reasons:
        name, _, told = it.partition(": ")
        if name.split(" ")[0] in _LIKENESS and told:
            lacks = told.removeprefix("it lacks ")
            found.append(
                told if lacks == told else f"it lacks {', '.join(map(words.capability_label, lacks.split(', ')))}"
            )
        elif it.startswith(_WARNINGS):
            found.append(it)
    return " · ".join(found)


def _own_cost(catalog: Catalog, told: Row, used: Any, now: datetime) -> Decimal | None:
    """USD of the same usage; of one that is gone when it was last seen."""
    try:
        if not told["is_active"]:
            return catalog.cost(told["id"], used, at=words.instant(told["last_seen_at"])).total
        receipt = catalog.cost(told["id"], used, at=now, bounds=True)
    except UsageError:
        return None
    assert receipt.bounds is not None
    return receipt.total if receipt.bounds.expected is None else receipt.bounds.expected


def _ratio(cost: Decimal | None, own: Decimal | None) -> str | None:
    """A cost as a multiple of another; None where that says nothing."""
    if cost is None or not own:
        return None
    ratio = _ROUNDED.divide(cost, own)
    return "the same" if ratio == 1 else f"{plain(ratio)} ×"
