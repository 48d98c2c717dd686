"""Message: what one run has to tell, in words and as JSON; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal
from types import MappingProxyType
from typing import Any

from llmhive.catalog.alert import EVENT_KINDS, Event, EventKind
from llmhive.catalog.model import instant
from llmhive.catalog.pricing import per_million, plain

#: Events that a message lists; the rest it counts.
AT_MOST = 200
_FOUR_DIGITS = Context(prec=4)
_LONGEST_NAME = 120
_LONGEST_ID = 80
_LONGEST_WORD = 30
#: Characters of a line that tells of a new model.
LONGEST_LINE = 400
#: What such a line does without when it would be longer, the least telling first.
_EXPENDABLE = ("can", "gives", "expiry", "takes", "context", "author", "origin", "link")
_HEADLINE = ("prompt", "completion")
_MODALITIES = ("text", "image", "file", "audio", "video", "embeddings", "rerank", "speech", "transcription")
#: Capabilities that the modalities tell.
_SEEN = frozenset({"vision"})
_PER_TOKEN: Mapping[str, Any] = MappingProxyType({"per_token": True})


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
            moved = f"; it is {facts['renamed_to']} now" if facts.get("renamed_to") else ""
            return f"{name}{_in_brackets(facts)} is listed no more, which a second sync confirmed{moved}"
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
    """A new model in a line; alerts that an earlier version of LLMHive wrote have few of the facts."""
    head = f"{_short(name, _LONGEST_ID)}{_in_brackets(facts)}"
    outputs = facts.get("output_modalities")
    told = {
        "author": f"by {_short(facts['author'], _LONGEST_WORD)}" if facts.get("author") else "",
        "origin": _origin(facts),
        "price": _price(facts),
        "context": f"{_tokens(facts['context_length'])} context" if facts.get("context_length") else "",
        "expiry": f"goes after {facts['expiration_date']}" if facts.get("expiration_date") else "",
        "takes": _modalities("takes", facts.get("input_modalities")),
        "gives": "" if outputs == ["text"] else _modalities("gives", outputs),
        "can": ", ".join(it.replace("_", " ") for it in facts.get("capabilities") or () if it not in _SEEN),
        "link": facts.get("link") or "",
    }
    for least in (None, *_EXPENDABLE):
        told.pop(least or "", None)
        line = f"{head}: {'; '.join(filter(None, told.values()))}"
        if len(line) <= LONGEST_LINE:
            return line
    return f"{line[: LONGEST_LINE - 1]}…"


def _origin(facts: Mapping[str, Any]) -> str:
    if facts.get("is_alias"):
        target = facts.get("alias_of")
        return f"an alias of {_short(target, _LONGEST_ID)}" if target else "an alias"
    if not facts.get("variant_of"):
        return ""
    variant = _short(facts["variant"], _LONGEST_WORD)
    article = "an" if variant.startswith(tuple("aeiou")) else "a"
    return f"{article} {variant} variant of {_short(facts['variant_of'], _LONGEST_ID)}"


def _price(facts: Mapping[str, Any]) -> str:
    kind, other = facts["pricing_kind"], facts.get("against_family")
    if kind == "free":
        return f"free ({_called(other)}: {_prices(other | _PER_TOKEN)})" if other else "free"
    if kind != "fixed":
        return "its price varies" if kind == "dynamic" else "its price is unknown"
    prices = _prices(facts)
    if not prices:
        return "priced by the hour"
    against = _against(other) if other else ""
    return f"{prices}, {against}" if against else prices


def _prices(facts: Mapping[str, Any]) -> str:
    prices = [f"{unit} {_rate(facts[unit], facts)}" for unit in _HEADLINE if facts[unit] is not None]
    return f"{', '.join(prices)}{_measure(facts)}" if prices else ""


def _against(other: Mapping[str, Any]) -> str:
    """How a price compares with another's: ``20 % more than acme/one``."""
    found = {unit: other[f"{unit}_percent"] for unit in _HEADLINE if other[f"{unit}_percent"] is not None}
    if len(found) == len(_HEADLINE) and len(set(found.values())) == 1:
        amount = found["prompt"]
        if not amount:
            return f"the same as {_called(other)}"
        return f"{_percent(abs(amount)).lstrip('+')} {'more' if amount > 0 else 'less'} than {_called(other)}"
    changes = [f"{unit} {_percent(amount) if amount else 'the same'}" for unit, amount in found.items()]
    return f"against {_called(other)} {', '.join(changes)}" if changes else ""


def _called(other: Mapping[str, Any]) -> str:
    # a variant's line has named its base
    return "its base" if other["relation"] == "base" else _short(other["id"], _LONGEST_ID)


def _modalities(verb: str, names: Sequence[str] | None) -> str:
    known = [it for it in _MODALITIES if it in (names or ())]
    # what we do not know is foreign text
    others = [_short(it, _LONGEST_WORD) for it in names or () if it not in _MODALITIES][:3]
    return f"{verb} {', '.join((*known, *others))}" if known or others else ""


def _tokens(count: int) -> str:
    """A number of tokens, short: ``131k``, ``1.05M``."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        # 999,999 is 1M, not 1,000k
        if count >= size - size // 2_000:
            return f"{count / size:.3g}{unit}" if count < 999 * size else f"{count // size:,}{unit}"
    return str(count)


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
    name = _short(facts["name"], _LONGEST_NAME)
    return f" ({name})" if name else ""


def _short(text: object, longest: int) -> str:
    """Foreign text as a part of one line."""
    words = " ".join(str(text or "").split())
    return words if len(words) <= longest else f"{words[: longest - 1]}…"


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
