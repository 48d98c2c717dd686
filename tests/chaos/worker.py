"""A rollback or a backfill in a process of its own, which dies at a chosen point (see `tests.chaos.victim`).

::

    python -m tests.chaos.worker WHEN MODULE:NAME[:NTH] rollback SNAPSHOT | pin SNAPSHOT | backfill PATH
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.chaos.victim import trap


def work(what: str, on: str) -> None:
    """Do it with the settings of the environment, and print how it ended."""
    from llmhive.app import wiring
    from llmhive.app.openrouter.backfill import backfill
    from llmhive.app.openrouter.rollback import rollback
    from llmhive.app.settings import read

    settings = read()
    database = wiring.database(settings)
    runner = wiring.runner(settings, database, lambda event, /, **facts: None)
    if what == "backfill":
        run = backfill(runner, Path(on), wiring.limits(settings), trigger="test")
    else:
        run = rollback(runner, on, trigger="test", pin=what == "pin")
    print(run.status)
    database.close()


if __name__ == "__main__":
    trap(sys.argv[1], sys.argv[2])
    work(sys.argv[3], sys.argv[4])
