"""A run's progress on a terminal, told on stderr."""

from __future__ import annotations

from rich.console import Console

from llmhive.app.cli import render
from llmhive.app.progress import Progress as Words


class Narrator:
    """Tells a run's progress to a person watching: one live line, and a line for what went wrong."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        self._progress = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24),
            TextColumn("{task.fields[far]}"), console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task("Starting", total=None, far="")
        self._words = Words()

    def __enter__(self) -> Narrator:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, event: str, /, **facts: object) -> None:
        """Show an event."""
        line = self._words.of(event, facts)
        if line is None:
            return
        if line.is_trouble:
            self._progress.console.print(render.escape(line.text), style="yellow", highlight=False)
        else:
            self._progress.update(
                self._task, description=line.text, completed=line.done, total=line.whole, far=line.far
            )
