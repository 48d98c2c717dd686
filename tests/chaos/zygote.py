"""The real command in a process that has imported everything already: many kills in little time.

::

    with Zygote(folder) as zygote:
        code = zygote.run(environment, "sync", "--research", kill=("kill-after", "llmhive.store.steps:keep"))

Each run is a process of its own, forked from one that has no threads and no connections. A trap works on what is called
by the name of its module (`steps.keep(…)`), since that is looked up when it is called.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tests.chaos.victim import trap
from tests.support import ROOT


class Zygote:
    """Starts one run after another."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.zygote"],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "PYTHONUTF8": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stream(self._process.stdin).close()
        self._process.wait(30)
        self._stream(self._process.stdout).close()

    def start(self, environment: Mapping[str, str], *words: str, kill: tuple[str, str] | None = None) -> int:
        """Start a run; returns its process number. It is to be waited for."""
        order = {"words": words, "env": dict(environment), "kill": kill}
        stdin = self._stream(self._process.stdin)
        stdin.write(json.dumps(order) + "\n")
        stdin.flush()
        return int(self._stream(self._process.stdout).readline())

    def wait(self) -> int:
        """How it ended: its exit code, or minus the signal that killed it."""
        return int(self._stream(self._process.stdout).readline())

    def run(self, environment: Mapping[str, str], *words: str, kill: tuple[str, str] | None = None) -> int:
        """Start it and wait."""
        self.start(environment, *words, kill=kill)
        return self.wait()

    @property
    def output(self) -> str:
        """What the last one printed, log and all."""
        return (self._folder / "output").read_text()

    @staticmethod
    def _stream(stream: IO[str] | None) -> IO[str]:
        assert stream is not None
        return stream


def _be_the_command(order: dict[str, Any]) -> int:
    os.environ.clear()
    os.environ.update(order["env"])
    output = os.open("output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    if order["kill"]:
        trap(*order["kill"])
    sys.argv = ["llmhive", *order["words"]]
    try:
        runpy.run_module("llmhive", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _main() -> None:
    import psycopg  # noqa: F401 (it is what takes time)

    import llmhive.app.cli.main
    import llmhive.app.openrouter.client
    import llmhive.app.openrouter.sync
    import llmhive.app.wiring  # noqa: F401

    for line in sys.stdin:
        order = json.loads(line)
        if not (child := os.fork()):
            code = 1
            try:
                code = _be_the_command(order)
            finally:
                os._exit(code)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    _main()
