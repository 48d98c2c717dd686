"""Research in this process: the whole sync over real sockets to a fake OpenRouter, by a clock that tests move.

::

    lab = Lab(database, upstream, clock)
    run = lab.run()                            # `llmhive sync --research`, its steps included
    lab.asked("/datasets")                     # the requests of the last run, below the root
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from llmhive.app.openrouter import client
from llmhive.app.openrouter.budget import Budget
from llmhive.app.openrouter.client import Client
from llmhive.app.openrouter.research import Research
from llmhive.app.openrouter.runner import Runner
from llmhive.app.openrouter.stage import ResearchPolicy
from llmhive.app.openrouter.sync import Policy, Sync
from llmhive.catalog.gate import Limits
from llmhive.catalog.run import Kind, Run
from llmhive.store import rankings, runs
from llmhive.store.budget import Limits as BudgetLimits
from llmhive.store.database import Database
from tests.fake_openrouter import ROOT, Request
from tests.upstream import KEY, Upstream

#: what captures say they are of, whatever port is free
SOURCE = "https://openrouter.test/api/v1"
#: of the Data API: one for all traffic, each category, each modality and tool calls, tasks, three benchmarks
DATA_REQUESTS = 1 + 12 + 5 + 1 + 3


class Clock:
    """Passes only when somebody sleeps, or a test lets it."""

    def __init__(self, at: datetime) -> None:
        self._at = at
        self._lock = threading.Lock()

    @classmethod
    def on(cls, day: date, hour: int = 12) -> Clock:
        return cls(datetime.combine(day, time(hour), UTC))

    def now(self) -> datetime:
        with self._lock:
            return self._at

    def monotonic(self) -> float:
        """Seconds since 2020."""
        return (self.now() - datetime(2020, 1, 1, tzinfo=UTC)).total_seconds()

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        with self._lock:
            # at least what a clock can show
            self._at += max(timedelta(seconds=seconds), timedelta(microseconds=1))

    def advance(self, **parts: float) -> None:
        with self._lock:
            self._at += timedelta(**parts)


@dataclass
class Lab:
    """What a run is made of."""

    database: Database
    upstream: Upstream
    clock: Clock
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    _mark: int = 0

    def run(
        self,
        kind: Kind = "research",
        *,
        key: str | None = KEY,
        force: bool = False,
        dry_run: bool = False,
        limits: BudgetLimits = BudgetLimits(),  # noqa: B008 (it is frozen)
        seconds: float = 3600,
        **policy: Any,
    ) -> Run:
        """One sync of a kind with its steps; `policy` is laid over that of the tests."""
        self._mark = len(self.upstream.requests)
        options: dict[str, Any] = {"source": SOURCE, "batch_size": 50, "popular": 20} | policy
        runner = Runner(
            self.database, owner="test", stale_after=timedelta(seconds=30), patience=timedelta(seconds=30),
            now=self.clock.now, sleep=self.clock.sleep, tell=self._tell,
        )  # fmt: skip
        sync = Sync(
            runner,
            Policy(SOURCE, timedelta(minutes=30), Limits()),
            lambda: self.client(key, limits, seconds),
            Research(self.database, ResearchPolicy(**options), now=self.clock.now, tell=self._tell),
        )
        ended = sync.run(trigger="test", kind=kind, force=force, dry_run=dry_run)
        if ended.id is None:
            return ended
        with self.database.read() as connection:
            return runs.get(connection, ended.id)

    def client(self, key: str | None, limits: BudgetLimits, seconds: float) -> Client:
        """As `wiring` makes it, but by this clock, and less patient."""
        deadline = self.clock.monotonic() + seconds
        budget = Budget(
            self.database, limits, deadline=deadline, monotonic=self.clock.monotonic, now=self.clock.now,
            sleep=self.clock.sleep, tell=self._tell,
        )  # fmt: skip
        return Client(
            self.upstream.base_url, api_key=key, deadline=deadline, monotonic=self.clock.monotonic,
            wall=self.clock.now, sleep=self.clock.sleep, random=random.Random(7),
            limits=client.Limits(attempts=2, first_wait=0.01), budget=budget, at_once=4, rate=10_000,
        )  # fmt: skip

    def _tell(self, event: str, /, **facts: object) -> None:
        self.told.append((event, dict(facts)))

    def events(self, event: str) -> list[dict[str, Any]]:
        """The facts of each time this was told."""
        return [facts for name, facts in self.told if name == event]

    def requests(self, path: str = "") -> list[Request]:
        """The last run's requests for paths that begin so."""
        return [it for it in self.upstream.requests[self._mark :] if it.path.startswith(ROOT + path)]

    def asked(self, path: str = "") -> list[str]:
        """Their paths below the root."""
        return [it.path.removeprefix(ROOT) for it in self.requests(path)]

    def ranking(self, dimension: str, category: str | None = None) -> dict[str, Any] | None:
        """What is served."""
        with self.database.read() as connection:
            return rankings.published(connection, dimension, category)

    def served(self, dimension: str, category: str | None = None) -> dict[str, Any]:
        """What is served, of which there must be something."""
        found = self.ranking(dimension, category)
        assert found is not None
        return found

    def read(self, look: Callable[..., Any], *words: Any, **options: Any) -> Any:
        """What a function of `store` reads."""
        with self.database.read() as connection:
            return look(connection, *words, **options)


def by_step(run: Run) -> Mapping[str, Mapping[str, Any]]:
    """The steps of a run by their names."""
    assert run.steps is not None
    return {step["step"]: step for step in run.steps}


#: What follows from other steps is done again whenever one of them was.
FOLLOW = {"capabilities": "completed", "dimensions": "completed"}


def outcomes(run: Run) -> dict[str, str]:
    """How each step ended that the run did, in their order."""
    return {name: step["status"] for name, step in by_step(run).items() if step["status"] != "reused"}
