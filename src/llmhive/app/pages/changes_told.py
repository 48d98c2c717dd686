"""What happened, for people: the library's changes put together, judged cheaper or dearer, and told in words; pure.

All that happened to one model at one instant is one `Happening`. It has a `Part` for each kind of change: all its
prices are one part, which is judged as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import cached_property
from typing import Any

from llmhive.app.pages import words
from llmhive.catalog.pricing import NOT_PER_TOKEN, PER_TOKEN, UNITS, exact

Change = Mapping[str, Any]  #: as `Catalog.changes` tells it
#: The kinds by which people look, in their order; ``repriced`` is what is neither cheaper nor dearer.
KINDS: Mapping[str, str] = {
    "cheaper": "Got cheaper",
    "dearer": "Got dearer",
    "repriced": "Repriced otherwise",
    "added": "Added",
    "removed": "Removed",
    "returned": "Returned",
    "limits": "Limits",
    "capabilities": "Capabilities",
    "expiry": "Expiry",
    "alias": "Alias",
}
#: The kinds that have a size.
PRICES = ("cheaper", "dearer", "repriced")
_PLACE = {name: place for place, name in enumerate(KINDS)}
_PRICE = "pricing."
_HEADLINE = ("pricing.prompt", "pricing.completion")
_FIELDS = {
    "context_length": "context",
    "max_completion_tokens": "max output",
    "per_request_limits": "limits per request",
    "input_modalities": "takes",
    "output_modalities": "gives",
    "supported_parameters": "parameters",
    "reasoning": "reasoning",
}
_ROUGHLY = Context(prec=60)
_INFINITE = Decimal("Infinity")
_LONGEST = 60


@dataclass(frozen=True)
class Part:
    """What of one kind happened to a model at an instant."""

    kind: str  #: of `KINDS`
    what: str  #: as the library names it: it stays the same, whatever more becomes known
    changes: tuple[Change, ...]

    @cached_property
    def size(self) -> Decimal | None:
        """By how much prompt and completion changed, the greater; where neither did, by how much the other prices did.
        A fraction of what it was; None where that cannot be told.
        """
        headline = [size for it in self.changes if it["field"] in _HEADLINE and (size := change_of(it)) is not None]
        other = [size for it in self.changes if it["field"] not in _HEADLINE and (size := change_of(it)) is not None]
        return max(headline or other, key=abs, default=None)

    @property
    def updated_at(self) -> str:
        """When the last was learned of it."""
        times = [it["reverted_at"] or it["confirmed_at"] for it in self.changes]
        return str(max(times, key=words.instant))

    @property
    def confirmed_at(self) -> str:
        """When a second capture agreed with all of it."""
        return str(max((it["confirmed_at"] for it in self.changes), key=words.instant))

    @property
    def reverted_at(self) -> str | None:
        """When all of it was taken back; None: some of it was not, or at another time."""
        times = {it["reverted_at"] for it in self.changes}
        return times.pop() if len(times) == 1 else None


@dataclass(frozen=True)
class Happening:
    """All that happened to a model at an instant."""

    model_id: str
    at: str  #: the first capture that shows it
    parts: tuple[Part, ...]  #: in the order of `KINDS`

    def only(self, kinds: Iterable[str]) -> Happening | None:
        """What of it is of some kinds; None: nothing."""
        parts = tuple(it for it in self.parts if it.kind in kinds)
        return Happening(self.model_id, self.at, parts) if parts else None

    @cached_property
    def size(self) -> Decimal | None:
        """That of its prices."""
        return next((it.size for it in self.parts if it.kind in PRICES), None)


def put_together(changes: Iterable[Change]) -> list[Happening]:
    """Changes by model and instant, in the order in which they come."""
    found: dict[tuple[str, str], dict[str, list[Change]]] = {}
    for it in changes:
        found.setdefault((it["model_id"], it["happened_at"]), {}).setdefault(it["what"], []).append(it)
    return [
        Happening(model_id, at, tuple(sorted(map(_part, by_what.values()), key=lambda it: _PLACE[it.kind])))
        for (model_id, at), by_what in found.items()
    ]


def _part(changes: list[Change]) -> Part:
    what = changes[0]["what"]
    return Part(judged(changes) if what == "repriced" else what, what, tuple(sorted(changes, key=_order)))


def _order(change: Change) -> tuple[int, str]:
    """What people pay most for comes first."""
    unit = change["field"].removeprefix(_PRICE)
    return (UNITS.index(unit) if unit in UNITS else len(UNITS), unit)


# --- cheaper or dearer


def compared(change: Change) -> tuple[Decimal, Decimal] | None:
    """A rate before and after; None where one is unknown, varies, or is none."""
    before, after = exact(change["before"]), exact(change["after"])
    if before is None or after is None or before < 0 or after < 0 or not change["field"].startswith(_PRICE):
        return None
    return before, after


def judged(changes: Iterable[Change]) -> str:
    """``cheaper`` or ``dearer`` where all rates that can be compared agree on it, else ``repriced``.

    A rate from or to unknown says nothing, nor do overrides.
    """
    rates = [found for it in changes if (found := compared(it)) is not None]
    if rates and all(after < before for before, after in rates):
        return "cheaper"
    if rates and all(after > before for before, after in rates):
        return "dearer"
    return "repriced"


def change_of(change: Change) -> Decimal | None:
    """By what fraction a rate changed; None where it cannot be told. What was free became infinitely dearer."""
    rates = compared(change)
    if rates is None:
        return None
    before, after = rates
    if not before:
        return _INFINITE if after else Decimal(0)
    return _ROUGHLY.divide(_ROUGHLY.subtract(after, before), before)


def by_size(found: Iterable[Happening]) -> list[Happening]:
    """The greatest change of prices first; what has no size comes last."""
    return sorted(found, key=lambda it: abs(it.size) if it.size is not None else Decimal(-1), reverse=True)


# --- in words


def told(part: Part, outputs: object = ()) -> list[str]:
    """A part in words, a piece for each change; `outputs` are the modalities that the model gives."""
    same = part.reverted_at
    return [
        piece + (f" (taken back on {words.day(it['reverted_at'])})" if it["reverted_at"] and same is None else "")
        for it in part.changes
        for piece in [_told(it, outputs)]
        if piece
    ]


def _told(change: Change, outputs: object) -> str:
    name, before, after = change["field"], change["before"], change["after"]
    match change["what"]:
        case "repriced":
            return repriced(change, outputs)
        case "added" | "removed" | "returned":
            return ""
        case "expiry":
            return _expiry(before, after)
        case "alias":
            return f"points to {_short(after)}" + ("" if before is None else f", before to {_short(before)}")
    field = _FIELDS.get(name, name.replace("_", " "))
    if isinstance(before, list) and isinstance(after, list):
        return f"{field} {_gained(before, after)}"
    if isinstance(before, dict | None) and isinstance(after, dict | None):
        return f"{field} {_inside(before, after)}"
    return f"{field} {_number(before)} → {_number(after)}"


def repriced(change: Change, outputs: object = ()) -> str:
    """A changed price: ``prompt $3.00 → $1.50 per million, −50 %``."""
    unit, before, after = change["field"].removeprefix(_PRICE), change["before"], change["after"]
    if unit == "overrides":
        return _overrides(before, after, outputs)
    name = words.unit_name(unit).lower()
    if before is None:
        return f"{name} now {_rate(after, unit, outputs)}, was unknown"
    if after is None:
        return f"{name} no longer known, was {_rate(before, unit, outputs)}"
    return f"{name} {_from_to(change, unit, outputs)}"


def _from_to(change: Change, unit: str, outputs: object) -> str:
    old, new = (_bare(change[name], unit, outputs) for name in ("before", "after"))
    size = change_of(change)
    by = "" if size is None or size.is_infinite() else f", {percent(size)}"
    # only what is a rate has a unit
    suffix = "" if exact(change["after"]) is None and exact(change["before"]) is None else _suffix(unit, outputs)
    return f"{old} → {new}{suffix}{by}"


def percent(size: Decimal) -> str:
    """By how much, signed; what is less than is shown says so."""
    if 0 < abs(size) < Decimal("0.0005"):
        return f"{'−' if size < 0 else '+'}<0.1 %"
    return words.signed(size).replace(".0 %", " %")


def _bare(value: Any, unit: str, outputs: object) -> str:
    rate = exact(value)
    if rate is None:
        return _short(value)
    if rate < 0:
        return "varies"
    return words.rate(rate, unit, outputs).removesuffix(" / M").removesuffix(" each")


def _suffix(unit: str, outputs: object) -> str:
    is_per_million = unit in PER_TOKEN and not NOT_PER_TOKEN.intersection(
        outputs if isinstance(outputs, list | tuple) else ()
    )
    return " per million" if is_per_million else " each"


def _rate(value: Any, unit: str, outputs: object) -> str:
    rate = exact(value)
    return _bare(value, unit, outputs) + ("" if rate is None or rate < 0 else _suffix(unit, outputs))


def _overrides(before: Any, after: Any, outputs: object) -> str:
    """Prices that depend on the call, by when they apply."""
    old, new = _by_condition(before), _by_condition(after)
    pieces = []
    for key in {**old, **new}:
        when, there, here = words.condition(json.loads(key)), old.get(key), new.get(key)
        if there is None:
            pieces.append(f"{when} {_rates(here or {}, outputs)}")
        elif here is None:
            pieces.append(f"{when} no longer")
        elif there != here:
            changed = [
                repriced({"field": _PRICE + unit, "before": there.get(unit), "after": here.get(unit)}, outputs)
                for unit, _ in words.in_order({**there, **here})
                if there.get(unit) != here.get(unit)
            ]
            pieces.append(f"{when} {', '.join(changed)}")
    return f"prices that depend on the call: {'; '.join(pieces) or 'their order changed'}"


def _by_condition(overrides: Any) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for it in overrides if isinstance(overrides, list) else ():
        if isinstance(it, dict) and isinstance(when := it.get("when"), dict) and isinstance(it.get("rates"), dict):
            found[json.dumps(when, sort_keys=True)] = it["rates"]
    return found


def _rates(rates: Mapping[str, Any], outputs: object) -> str:
    return ", ".join(
        f"{words.unit_name(unit).lower()} {_rate(rate, unit, outputs)}" for unit, rate in words.in_order(rates)
    )


def _expiry(before: Any, after: Any) -> str:
    if after is None:
        return f"no longer expires, was {_short(before)}"
    return f"expires {_short(after)}" + ("" if before is None else f", before {_short(before)}")


def _gained(before: Sequence[Any], after: Sequence[Any]) -> str:
    gained = [f"+{_short(it)}" for it in after if it not in before]
    lost = [f"−{_short(it)}" for it in before if it not in after]
    return ", ".join(gained + lost) or "in another order"


def _inside(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    """What of an object became different."""
    if before is None or after is None:
        known = ", ".join(_pairs(before or after or {})) or "nothing more"
        return f"now known: {known}" if before is None else f"no longer known, was {known}"
    changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return ", ".join(
        f"{name.replace('_', ' ')} {_short(before.get(name))} → {_short(after.get(name))}" for name in changed
    )


def _pairs(known: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{name.replace('_', ' ')} {_short(value)}" for name, value in known.items() if value is not None)


def _number(value: Any) -> str:
    return f"{value:,}" if type(value) is int else _short(value)


def _short(value: Any) -> str:
    if value is None:
        return words.UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        value = " ".join(map(_short, value)) or "none"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
