"""What happened, for people: the library's changes put together, judged cheaper or dearer, and told in words; pure.

All that happened to one model at one instant is one `Happening`. It has a `Part` for each kind of change: all its
prices are one part, which is judged as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import cached_property
from typing import Any

from llmhive.app.pages import fields, words
from llmhive.catalog.pricing import UNITS, exact

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
_ROUGHLY = Context(prec=60)
_INFINITE = Decimal("Infinity")


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
    # what only was written otherwise did not get cheaper; it is told, since OpenRouter did change it
    rates = [found for it in changes if (found := compared(it)) is not None and not fields.is_noise(*found)]
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
    if fields.is_noise(before, after):
        return Decimal(0)
    if not before:
        return _INFINITE
    return _ROUGHLY.divide(_ROUGHLY.subtract(after, before), before)


def by_size(found: Iterable[Happening]) -> list[Happening]:
    """The greatest change of prices first; what has no size comes last."""
    return sorted(found, key=lambda it: abs(it.size) if it.size is not None else Decimal(-1), reverse=True)


# --- in words


def told(part: Part, outputs: Iterable[str] = ()) -> list[str]:
    """A part in words, a piece for each change; `outputs` are the modalities that the model gives."""
    same = part.reverted_at
    return [
        piece + (f" (taken back on {words.day(it['reverted_at'])})" if it["reverted_at"] and same is None else "")
        for it in part.changes
        for piece in [_told(it, outputs)]
        if piece
    ]


def _told(change: Change, outputs: Iterable[str]) -> str:
    name, before, after = change["field"], change["before"], change["after"]
    if change["what"] in {"added", "removed", "returned"}:
        return ""
    it = fields.label(name)
    it = it[:1].lower() + it[1:]
    if change["what"] == "repriced":
        return f"{it} {fields.repriced(name, before, after, outputs)}"
    if isinstance(before, list) and isinstance(after, list):
        return f"{it} {fields.listwise(before, after)}"
    if isinstance(before, dict) or isinstance(after, dict):
        return f"{it} {fields.inside(before, after)}"
    if before is None and change["what"] in {"expiry", "alias"}:
        return f"{it} {fields.value(name, after)}"
    return f"{it} {fields.value(name, before)} → {fields.value(name, after)}"
