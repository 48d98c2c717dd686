"""Facts of a model and what became of them, in words that are the same on every page; pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Context, Decimal
from typing import Any

from llmhive.app import wording
from llmhive.app.pages import words
from llmhive.catalog.hold import PRICING
from llmhive.catalog.pricing import exact, plain

#: What stands for a price that is none: but for prompt and completion, a model need not have it.
NOT_LISTED = "not listed"
OVERRIDES = f"{PRICING}.overrides"
GOOD, BAD = "good-text", "bad-text"
_HEADLINE = ("prompt", "completion")
_LABELS = {
    PRICING: "All prices", OVERRIDES: "Conditional prices", "created_at": "Added to OpenRouter",
    "context_length": "Context", "max_completion_tokens": "Max output",
    "top_context_length": "Context at the top provider", "is_moderated": "Moderated", "input_modalities": "Takes",
    "output_modalities": "Gives", "supported_parameters": "Parameters", "per_request_limits": "Limits of a request",
    "supported_voices": "Voices", "hugging_face_id": "Hugging Face id", "knowledge_cutoff": "Knowledge cut-off",
    "expiration_date": "Expires", "alias_target": "Alias of",
}  # fmt: skip
#: What no value says, where it does not say that it is unknown.
_NOTHING = {"expiration_date": "no date", "alias_target": "no model"}
_CHEAPER, _DEARER = "cheaper", "dearer"
_LONGEST = 120  #: letters of a value
_ROUGHLY = Context(prec=60)
_ABSURD = 10**9
#: Of what it was: a rate that differs by less was written as a binary fraction, and so is the same.
_NOISE = Decimal("1e-9")
#: What of a finding's evidence comes first.
_EVIDENCE = ("before", "after", "since", "served_before", "agreeing_since")


# --- a value


def label(field: str) -> str:
    """What a field is called."""
    unit = unit_of(field)
    if field in _LABELS or unit is None:
        return _LABELS.get(field) or field.replace("_", " ").capitalize()
    return words.unit_name(unit)


def unit_of(field: str) -> str | None:
    """The unit of which a field is the price; None: it is no price."""
    unit = field.removeprefix(f"{PRICING}.")
    return None if unit == field else unit


def value(field: str, it: Any, outputs: Iterable[str] = ()) -> str:
    """A value of a field; `outputs` are the modalities that the model gives, which tell what its prices are for."""
    if field == PRICING:
        return _pricing(it, outputs)
    if field == OVERRIDES:
        return overrides(it, outputs)
    if (unit := unit_of(field)) is not None:
        if it is None:
            return words.UNKNOWN if unit in _HEADLINE else NOT_LISTED
        if (rate := exact(it)) is not None:
            return words.VARIES if rate < 0 else words.rate(rate, unit, outputs)
    if it is None or (not it and field.endswith("context_length")):
        return _NOTHING.get(field, words.UNKNOWN)
    if field == "created_at" and isinstance(it, str):
        return words.moment(it)
    is_tokens = type(it) is int and field.endswith(("length", "tokens"))
    return short(f"{words.count(it)} tokens" if is_tokens else plainly(it))


def plainly(it: Any) -> str:
    """What JSON says, as a text."""
    match it:
        case None:
            return words.UNKNOWN
        case bool():
            return "yes" if it else "no"
        case int():
            return words.count(it)
        case dict():
            return ", ".join(f"{name.replace('_', ' ')} {plainly(part)}" for name, part in it.items()) or "none"
        case list() | tuple():
            return ", ".join(map(plainly, it)) or "none"
    return str(it)


def short(text: str) -> str:
    """A text that fits into a line."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1].rstrip()}…"


def overrides(entries: Any, outputs: Iterable[str] = ()) -> str:
    """Prices that depend on the call, each with when it applies."""
    found = [f"{wording.condition(json.loads(when))}: {_rates(it, outputs)}" for when, it in _by_condition(entries)]
    return "; ".join(found) or "none"


def _pricing(it: Any, outputs: Iterable[str]) -> str:
    """All prices of a model."""
    if not isinstance(it, Mapping):
        return words.UNKNOWN
    found = [_rates({unit: rate}, outputs) for unit, rate in words.in_order(it) if exact(rate) is not None]
    if it.get("overrides"):
        found.append(overrides(it["overrides"], outputs))
    return "; ".join(found) or words.UNKNOWN


def _rates(rates: Mapping[str, Any], outputs: Iterable[str]) -> str:
    return ", ".join(f"{_name(unit)} {value(f'{PRICING}.{unit}', it, outputs)}" for unit, it in words.in_order(rates))


def _name(unit: str) -> str:
    return words.unit_name(unit).lower()


def _by_condition(entries: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """The rates of overrides, in order, by their condition as JSON."""
    return [
        (json.dumps(it["when"], sort_keys=True), it["rates"])
        for it in (entries if isinstance(entries, list) else ())
        if isinstance(it, dict) and isinstance(it.get("when"), dict) and isinstance(it.get("rates"), dict)
    ]


# --- a change


def gained_lost(before: Sequence[Any], after: Sequence[Any]) -> tuple[list[str], list[str]]:
    """What a list gained and lost, each with its sign: ``+tools``, ``−audio``."""
    gained = [f"+{plainly(it)}" for it in after if it not in before]
    lost = [f"−{plainly(it)}" for it in before if it not in after]
    return gained, lost


def listwise(before: Sequence[Any], after: Sequence[Any]) -> str:
    """What a list gained and lost, in a line."""
    gained, lost = gained_lost(before, after)
    return ", ".join(gained + lost) or "in another order"


def inside(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    """What of an object changed."""
    old, new = before or {}, after or {}
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    told = (f"{name.replace('_', ' ')} {plainly(old.get(name))} → {plainly(new.get(name))}" for name in names)
    return ", ".join(told) or "as before"


def repriced(field: str, before: Any, after: Any, outputs: Iterable[str] = ()) -> str:
    """A changed price: ``$3.00 / M → $1.50 / M, 50 % cheaper``."""
    if field == OVERRIDES:
        return conditionally(before, after, outputs)
    much = _by_how_much(before, after)
    return f"{value(field, before, outputs)} → {value(field, after, outputs)}" + (f", {much}" if much else "")


def conditionally(before: Any, after: Any, outputs: Iterable[str] = ()) -> str:
    """What of the prices that depend on the call changed."""
    old, new = dict(_by_condition(before)), dict(_by_condition(after))
    found = []
    for key in {**old, **new}:
        when, there, here = wording.condition(json.loads(key)), old.get(key), new.get(key)
        if there is None or here is None:
            found.append(f"{when} no longer" if here is None else f"{when} {_rates(here, outputs)}")
        elif there != here:
            changed = [
                f"{_name(unit)} {repriced(f'{PRICING}.{unit}', there.get(unit), here.get(unit), outputs)}"
                for unit, _ in words.in_order({**there, **here})
                if there.get(unit) != here.get(unit)
            ]
            found.append(f"{when} {', '.join(changed)}")
    return "; ".join(found) or "in another order"


def moved(before: Any, after: Any) -> tuple[str, str] | None:
    """Whether a price is better now, as a class, and by how much, in words: ``▼ 50 % cheaper``, ``▲ 100 × dearer``.
    None where that cannot be told.
    """
    much = _by_how_much(before, after)
    if much is None:
        return None
    return (GOOD, f"▼ {much}") if much.endswith(_CHEAPER) else (BAD, f"▲ {much}")


def is_noise(before: Decimal, after: Decimal) -> bool:
    """Whether two rates are the same but for how they were written."""
    return abs(_ROUGHLY.subtract(after, before)) < _ROUGHLY.multiply(abs(before), _NOISE) or before == after


def _by_how_much(before: Any, after: Any) -> str | None:
    old, new = exact(before), exact(after)
    if old is None or new is None or old <= 0 or new < 0 or is_noise(old, new):
        return None
    return f"{how_far(_ROUGHLY.divide(_ROUGHLY.subtract(new, old), old))} {_CHEAPER if new < old else _DEARER}"


def how_far(fraction: Decimal) -> str:
    """By what fraction something changed, either way: ``50 %``; from ten times on how many times it became."""
    return times(_ROUGHLY.add(fraction, 1)) if fraction >= 9 else f"{_digits(_ROUGHLY.multiply(abs(fraction), 100))} %"


def times(ratio: Decimal) -> str:
    """How many times something became what it was: ``100 ×``."""
    return f"{_digits(ratio)} ×" if ratio < _ABSURD else f">{_ABSURD:,} ×"


def _digits(number: Decimal) -> str:
    rounded = number.quantize(Decimal("0.1"), context=_ROUGHLY)
    whole, point, decimals = plain(rounded).partition(".")
    return f"{int(whole):,}{point}{decimals}" if rounded or not number else "<0.1"


# --- what the gate found


def price_move(before: Any, after: Any, unit: str, outputs: Iterable[str] = ()) -> str | None:
    """From which price to which, its unit told once: ``$0.14 → $0.00 per million``; None where one is no number."""
    old, new = exact(before), exact(after)
    if old is None or new is None or old < 0 or new < 0:
        return None
    told = [words.rate(it, unit, outputs) for it in (old, new)]
    if not all(it.endswith(words.PER_MILLION) for it in told):
        return " → ".join(told)
    return " → ".join(it.removesuffix(words.PER_MILLION) for it in told) + " per million"


def in_order_of_evidence(evidence: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The evidence of a finding, in the same order whichever database kept it."""
    first = {name: place for place, name in enumerate(_EVIDENCE)}
    return sorted(evidence.items(), key=lambda it: (first.get(it[0], len(first)), it[0]))
