"""The endpoints of all models from a server that takes its time: as fast as can be, and never faster than allowed.

As a program it is that server, whose clock all processes of the machine share::

    python -m tests.benchmarks.research SECONDS     # prints its base URL; for each line, when endpoints were asked for
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from llmhive.app.openrouter.client import Client
from llmhive.app.openrouter.research import Research
from llmhive.app.openrouter.runner import Runner
from llmhive.app.openrouter.stage import ResearchPolicy
from llmhive.app.openrouter.sync import Policy, Sync
from llmhive.catalog.gate import Limits
from llmhive.store.database import connect
from tests.upstream import Upstream, World

MODELS = 421
AT_ONCE = 8
#: seconds that each answer takes
LATENCY = 0.05


class Server:
    """The server in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.base_url = self._pipe(process.stdout).readline().strip()

    def arrivals(self) -> list[float]:
        """When endpoints were asked for since the last look."""
        stdin = self._pipe(self._process.stdin)
        stdin.write("\n")
        stdin.flush()
        found: list[float] = json.loads(self._pipe(self._process.stdout).readline())
        return found

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


@contextmanager
def serving() -> Iterator[Server]:
    """Captured models with their endpoints."""
    command = [sys.executable, "-m", "tests.benchmarks.research", str(LATENCY)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Server(process)
        finally:
            process.terminate()


def endpoints(folder: Path, server: Server, rate: float, name: str) -> float:
    """Seconds that the step takes which asks for the endpoints of all models, at so many a second, and stores them."""
    at: dict[str, float] = {}

    def tell(event: str, /, **facts: object) -> None:
        if facts.get("step") == "endpoints":
            at.setdefault(event, time.perf_counter())

    database = connect(f"sqlite:///{folder / name}.db")
    database.migrate()
    half_a_minute, now = timedelta(seconds=30), _now
    runner = Runner(
        database, owner="benchmark", stale_after=half_a_minute, patience=half_a_minute, now=now, sleep=time.sleep,
        tell=tell,
    )  # fmt: skip
    sync = Sync(
        runner,
        Policy(source=server.base_url, interval=timedelta(0), limits=Limits()),
        lambda: _client(server.base_url, rate, now),
        Research(database, ResearchPolicy(server.base_url), now=now, tell=tell),
    )
    run = sync.run(trigger="benchmark", kind="research")
    database.close()
    assert run.status == "completed", run.error
    return at["Step done"] - at["Step begins"]


def _now() -> datetime:
    return datetime.now(UTC)


def _client(base_url: str, rate: float, now: Callable[[], datetime]) -> Client:
    deadline = time.monotonic() + 600
    return Client(base_url, deadline=deadline, wall=now, random=random.Random(1), at_once=AT_ONCE, rate=rate)


def most_in_a_second(arrivals: list[float]) -> int:
    """The most that arrived within any second."""
    return max(sum(begin <= at < begin + 1 for at in arrivals) for begin in arrivals)


def _main(latency: float) -> None:
    world = World.real()
    del world.models[MODELS:]
    with Upstream(world) as upstream:
        upstream.delay(latency)
        print(upstream.base_url, flush=True)
        seen = 0
        for _ in sys.stdin:
            arrivals = [it.at for it in upstream.requests if it.path.endswith("/endpoints")]
            print(json.dumps(arrivals[seen:]), flush=True)
            seen = len(arrivals)


if __name__ == "__main__":
    _main(float(sys.argv[1]))
