"""The real command, which dies or sleeps at a chosen point.

::

    python -m tests.chaos.victim WHEN MODULE:NAME[:NTH] WORDS…      # kill-before, kill-after, stop-before

``kill-…`` is `kill -9` by its own hand, before or after the NTH call of a function. ``stop-before`` stops the process
(SIGSTOP) until somebody lets it go on (SIGCONT).
"""

from __future__ import annotations

import functools
import importlib
import os
import runpy
import signal
import sys
from typing import Any


def trap(when: str, point: str) -> None:
    """Wrap the function that `point` names, where it is defined and wherever it was imported."""
    module, path, nth = (*point.split(":"), "1")[:3]
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    real = getattr(owner, name)
    left = int(nth)

    @functools.wraps(real)
    def wrapped(*args: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0 and when == "kill-before":
            os.kill(os.getpid(), signal.SIGKILL)
        if left == 0 and when == "stop-before":
            os.kill(os.getpid(), signal.SIGSTOP)
        result = real(*args, **options)
        if left == 0 and when == "kill-after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, wrapped)
    # where it was imported by name already
    for known in [it for place, it in sys.modules.items() if place.startswith("llmhive")]:
        for key in [key for key, value in vars(known).items() if value is real]:
            setattr(known, key, wrapped)


if __name__ == "__main__":
    trap(sys.argv[1], sys.argv[2])
    sys.argv = ["llmhive", *sys.argv[3:]]
    runpy.run_module("llmhive", run_name="__main__", alter_sys=True)
