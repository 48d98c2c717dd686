"""Message: what one run has to tell, in words and as JSON; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal
from typing import Any

from llmhive.catalog.alert import EVENT_KINDS, Event, EventKind
from llmhive.catalog.model import instant
from llmhive.catalog.pricing import per_million, plain

#: Events that a message lists; the rest it counts.
AT_MOST = 200
_FOUR_DIGITS = Context(prec=4)
_LONGEST_NAME = 120


@dataclass(frozen=True, slots=True)
class Alert:
    """An event as it was written down."""

    id: str  #: the same however often it is told
    at: datetime  #: when it was found
    event: Event


@dataclass(frozen=True, slots=True)
class Message:
    """What one run has to tell."""

    id: str  #: the same at each attempt, on each channel
    run_id: int
    run_kind: str
    run_status: str
    started_at: datetime
    catalog_version: int | None
    alerts: tuple[Alert, ...]


def title_of(message: Message) -> str:
    """A message in a line: ``LLMHive: 2 new, 1 removed``."""
    counts = []
    for kind in EVENT_KINDS:
        about = {alert.event.model_id for alert in message.alerts if alert.event.kind == kind}
        if about:
            counts.append(_RUNS.get(kind) or f"{len(about)} {kind}")
    return f"LLMHive: {', '.join(counts)}"


_RUNS: Mapping[str, str] = {"run_failed": "a run failed", "run_held": "a run was held"}


def text_of(message: Message) -> str:
    """A message in words, an event a line."""
    listed = listed_of(message)
    lines = [f"{_HEADS[it.event.kind]}{line_of(it.event)}" for it in listed]
    if more := len(message.alerts) - len(listed):
        lines.append(f"… and {more} more: llmhive show {message.run_id}")
    return "\n".join(lines)


_HEADS: Mapping[EventKind, str] = {
    "new": "New: ", "removed": "Removed: ", "repriced": "Repriced: ", "expiring": "Expiring: ", "run_failed": "",
    "run_held": "",
}  # fmt: skip


def listed_of(message: Message) -> Sequence[Alert]:
    """The alerts that a message lists, by kind."""
    return sorted(message.alerts, key=lambda it: EVENT_KINDS.index(it.event.kind))[:AT_MOST]


def line_of(event: Event) -> str:
    """An event in a line; prices in USD per million tokens where tokens are counted."""
    facts, name = event.facts, f"{event.model_id}"
    match event.kind:
        case "new":
            return _told_new(name, facts)
        case "removed":
            return f"{name}{_in_brackets(facts)} is listed no more, which a second sync confirmed"
        case "repriced":
            return f"{name}: {_told_price(facts)}"
        case "expiring":
            moved = f" (was {facts['before']})" if facts["before"] else ""
            return f"{name} goes after {facts['after']}{moved}"
        case "run_failed":
            return f"The {facts['run_kind']} sync failed (run {facts['run']}): {facts['error']}"
        case _:
            return (
                f"The {facts['run_kind']} sync was held (run {facts['run']}): {facts['error']}. "
                f"Nothing was applied; llmhive show {facts['run']} says more"
            )


def _told_new(name: str, facts: Mapping[str, Any]) -> str:
    line = f"{name}{_in_brackets(facts)}"
    if facts["pricing_kind"] != "fixed":
        told = {"free": "free", "dynamic": "its price varies"}.get(facts["pricing_kind"], "its price is unknown")
        return f"{line}: {told}"
    prices = [f"{unit} {_rate(facts[unit], facts)}" for unit in ("prompt", "completion") if facts[unit] is not None]
    if not prices:
        return f"{line}: priced by the hour"
    return f"{line}: {', '.join(prices)}{_measure(facts)}"


def _told_price(facts: Mapping[str, Any]) -> str:
    unit, before, after = str(facts["field"]).removeprefix("pricing."), facts["before"], facts["after"]
    change = "" if facts["percent"] is None else f" ({_percent(float(facts['percent']))})"
    if unit == "overrides":
        what = "changed" if before and after else "are new" if after else "are gone"
        return f"its conditional prices {what}{change.replace('(', '(up to ')}"
    if before is None or after is None:
        rate = _rate(before or after, facts)
        return f"{unit} {'now' if before is None else 'no longer'} {rate}{_measure(facts)}"
    return f"{unit} {_rate(before, facts)} → {_rate(after, facts)}{_measure(facts)}{change}"


def _percent(percent: float) -> str:
    return f"{percent:+,.0f} %" if abs(percent) >= 10 else f"{percent:+.2g} %"


def _rate(rate: str | None, facts: Mapping[str, Any]) -> str:
    if rate is None:
        return "unknown"
    number = Decimal(rate)
    if number < 0:
        return "varies"
    whole, _, decimals = plain(_FOUR_DIGITS.plus(per_million(number) if facts["per_token"] else number)).partition(".")
    return f"${int(whole):,}.{decimals:0<2}"


def _measure(facts: Mapping[str, Any]) -> str:
    return " per million tokens" if facts["per_token"] else ""


def _in_brackets(facts: Mapping[str, Any]) -> str:
    """A model's name, which its author chose, as a part of one line."""
    name = " ".join(str(facts["name"] or "").split())[:_LONGEST_NAME]
    return f" ({name})" if name else ""


def payload_of(message: Message) -> dict[str, Any]:
    """A message as the JSON that a webhook gets."""
    listed = listed_of(message)
    return {
        "id": message.id,
        "type": "llmhive.alerts",
        "run": {
            "id": message.run_id,
            "kind": message.run_kind,
            "status": message.run_status,
            "started_at": instant(message.started_at),
        },
        "catalog_version": message.catalog_version,
        "text": f"{title_of(message)}\n{text_of(message)}",
        "events": [
            {
                "id": alert.id,
                "kind": alert.event.kind,
                "model": alert.event.model_id,
                "at": instant(alert.at),
                "facts": dict(alert.event.facts),
                "text": line_of(alert.event),
            }
            for alert in listed
        ],
        "more": len(message.alerts) - len(listed),
    }
