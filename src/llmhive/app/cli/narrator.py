"""A run's progress on a terminal, told on stderr."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rich.console import Console

from llmhive.app.cli import render


class Narrator:
    """Tells a run's progress to a person watching: one live line, and a line for what went wrong."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        self._progress = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24),
            TextColumn("{task.fields[far]}"), console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task("Starting", total=None, far="")
        self._step: str | None = None  # what a step is called while it lasts

    def __enter__(self) -> Narrator:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, event: str, /, **facts: object) -> None:
        """Show an event."""
        say: dict[str, Callable[[], str]] = {
            "Rate limited": lambda: f"OpenRouter asks to wait; trying again in {_seconds(facts)}.",
            "Retrying": lambda: f"{facts.get('reason', 'No answer')}; trying again in {_seconds(facts)}.",
            "Waiting for another sync": lambda: (
                f"Run {facts.get('run')} is running, or died without a word; looking again for at most "
                f"{facts.get('at_most_seconds')} s."
            ),
            "Took over": lambda: f"Run {facts.get('run')} had died; it is marked interrupted.",
            "Alert not delivered": lambda: (
                f"An alert to {facts.get('channel')} was not delivered ({facts.get('error')}); it is sent again later."
            ),
            "Waiting for the request budget": lambda: (
                f"{_allowed(facts)} requests a minute are allowed; going on in {_seconds(facts)}."
            ),
            "Step failed": lambda: f"{facts.get('step')} failed: {facts.get('why')}",
            "Left out a capture": lambda: f"Left out a stored capture that can no longer be read: {facts.get('error')}",
        }
        if event in say:
            self._progress.console.print(render.escape(say[event]()), style="yellow", highlight=False)
        if event == "Step begins":
            self._step = _step(facts)
            self._progress.update(self._task, description=self._step, total=None, completed=0, far="")
        elif event == "Step progress":
            self._show_step(facts)
        elif self._step is not None:
            # what a step asks for is its own affair
            return
        elif event == "Progress":
            self._show_progress(facts)
        elif event in _DOING:
            self._progress.update(self._task, description=_DOING[event], total=None, far="")

    def _show_step(self, facts: Mapping[str, object]) -> None:
        done, whole = _count(facts.get("done")), _count(facts.get("of"))
        far = f"{done:,.0f} of {whole:,.0f}" if done is not None and whole else ""
        name = self._step or _step(facts)
        self._progress.update(self._task, description=name, completed=done, total=whole, far=far)

    def _show_progress(self, facts: Mapping[str, object]) -> None:
        if "received" in facts:
            done, whole = _count(facts.get("received")), _count(facts.get("expected"))
            what, far = "Downloading", f"{(done or 0) / 1e6:.1f}{f'/{whole / 1e6:.1f}' if whole else ''} MB"
        else:
            done, whole = _count(facts.get("done")), _count(facts.get("whole"))
            what, far = str(facts.get("what")), f"{100 * done / whole:.0f} %" if done and whole else ""
        self._progress.update(self._task, description=what, completed=done, total=whole, far=far)


_DOING = {
    "Preparing the database": "Preparing the database",
    "Requesting": "Asking OpenRouter",
    "Received": "Comparing",
    "Reading the history anew": "Reading the history anew",
    "Ordering the history": "Ordering the history",
    "Writing the history": "Writing the history",
}


def _step(facts: Mapping[str, object]) -> str:
    """``9/11 Endpoints``; the name alone where its place is not told."""
    name, number, whole = str(facts.get("step")).capitalize(), facts.get("number"), facts.get("of_steps")
    return name if number is None or whole is None else f"{number}/{whole} {name}"


def _allowed(facts: Mapping[str, object]) -> str:
    limit = facts.get("limit")
    return "Only so many" if limit is None else str(limit)


def _count(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _seconds(facts: Mapping[str, object]) -> str:
    value = facts.get("seconds", facts.get("wait"))
    return f"{value:.1f} s" if isinstance(value, int | float) else "a moment"
