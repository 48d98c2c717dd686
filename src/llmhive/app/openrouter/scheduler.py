"""When the next sync is due; and the guide's name for the sync command.

``python -m llmhive.app.openrouter.scheduler --sync [--dry-run] [--force] [--research]`` is ``llmhive sync``.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime


def next_time(schedule: str, after: datetime) -> datetime:
    """The next instant of a cron expression (UTC)."""
    from cronsim import CronSim

    found: datetime = next(CronSim(schedule, after.astimezone(UTC)))
    return found


if __name__ == "__main__":
    import runpy

    words = sys.argv[1:]
    if "--sync" not in words and not {"--help", "-h"} & set(words):
        sys.stderr.write(
            "Say what to do: python -m llmhive.app.openrouter.scheduler --sync [--dry-run] [--force] [--research]\n"
        )
        raise SystemExit(2)
    sys.argv = ["llmhive", "sync", *(word for word in words if word != "--sync")]
    runpy.run_module("llmhive", run_name="__main__", alter_sys=True)
