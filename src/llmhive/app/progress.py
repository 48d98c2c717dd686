"""How far a run is, in words: for a terminal (`cli/narrator.py`) and for a page (`worker.py`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """What is worth showing of an event."""

    text: str
    done: float | None = None  #: how far, of `whole`; None: it is not known
    whole: float | None = None
    far: str = ""  #: likewise, in words
    is_trouble: bool = False
    is_passing: bool = False  #: the next line takes its place


class Progress:
    """Puts the events of one run into words."""

    def __init__(self) -> None:
        self._step: str | None = None  # what a step is called while it lasts

    def of(self, event: str, facts: Facts) -> Line | None:
        """What to show of an event; None where that is nothing."""
        if (trouble := _TROUBLE.get(event)) is not None:
            return Line(trouble(facts), is_trouble=True)
        if event == "Step begins":
            self._step = _step(facts)
            return Line(self._step, 0)
        if event == "Step progress":
            done, whole = _count(facts.get("done")), _count(facts.get("of"))
            far = f"{done:,.0f} of {whole:,.0f}" if done is not None and whole else ""
            return Line(self._step or _step(facts), done, whole, far, is_passing=True)
        if self._step is not None:
            # what a step asks for is its own affair
            return None
        if event == "Progress":
            return _progress(facts)
        return Line(_DOING[event]) if event in _DOING else None


def _progress(facts: Facts) -> Line:
    if "received" in facts:
        done, whole = _count(facts.get("received")), _count(facts.get("expected"))
        far = f"{(done or 0) / 1e6:.1f}{f'/{whole / 1e6:.1f}' if whole else ''} MB"
        return Line("Downloading", done, whole, far, is_passing=True)
    done, whole = _count(facts.get("done")), _count(facts.get("whole"))
    far = f"{100 * done / whole:.0f} %" if done and whole else ""
    return Line(str(facts.get("what")), done, whole, far, is_passing=True)


_DOING = {
    "Preparing the database": "Preparing the database",
    "Requesting": "Asking OpenRouter",
    "Received": "Comparing",
    "Reading the history anew": "Reading the history anew",
    "Ordering the history": "Ordering the history",
    "Writing the history": "Writing the history",
}
_TROUBLE: Mapping[str, Callable[[Facts], str]] = {
    "Rate limited": lambda it: f"OpenRouter asks to wait; trying again in {_seconds(it)}.",
    "Retrying": lambda it: f"{it.get('reason', 'No answer')}; trying again in {_seconds(it)}.",
    "Waiting for another sync": lambda it: (
        f"Run {it.get('run')} is running, or died without a word; looking again for at most "
        f"{it.get('at_most_seconds')} s."
    ),
    "Took over": lambda it: f"Run {it.get('run')} had died; it is marked interrupted.",
    "Alert not delivered": lambda it: (
        f"An alert to {it.get('channel')} was not delivered ({it.get('error')}); it is sent again later."
    ),
    "Waiting for the request budget": lambda it: (
        f"{_allowed(it)} requests a minute are allowed; going on in {_seconds(it)}."
    ),
    "Step failed": lambda it: f"{it.get('step')} failed: {it.get('why')}",
    "Left out a capture": lambda it: f"Left out a stored capture that can no longer be read: {it.get('error')}",
}


def _step(facts: Facts) -> str:
    """``9/11 Endpoints``; the name alone where its place is not told."""
    name, number, whole = str(facts.get("step")).capitalize(), facts.get("number"), facts.get("of_steps")
    return name if number is None or whole is None else f"{number}/{whole} {name}"


def _allowed(facts: Facts) -> str:
    limit = facts.get("limit")
    return "Only so many" if limit is None else str(limit)


def _count(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _seconds(facts: Facts) -> str:
    value = facts.get("seconds", facts.get("wait"))
    return f"{value:.1f} s" if isinstance(value, int | float) else "a moment"
