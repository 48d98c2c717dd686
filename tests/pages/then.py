"""``python -m tests.pages.then serve``: LLMHive by a clock that begins at THEN, so that ages are the same each time."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

from llmhive.app import wiring
from llmhive.app.cli.main import main

_AHEAD = datetime.now(UTC) - datetime.fromisoformat(os.environ.pop("THEN"))
_seconds = time.time


def now() -> datetime:
    """The one clock."""
    return datetime.now(UTC) - _AHEAD


def seconds() -> float:
    """The same since 1970: the age of the catalog is counted by it."""
    return _seconds() - _AHEAD.total_seconds()


if __name__ == "__main__":
    wiring.now, time.time = now, seconds
    main()
