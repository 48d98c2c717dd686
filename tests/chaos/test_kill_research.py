"""`kill -9` at each step of a research sync: a step is there with all it wrote or not at all, and none is repeated."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llmhive.app.openrouter.research import ORDER
from tests.fake_openrouter import ROOT, Request, Response, never
from tests.support import Command, dump, execute, finish, poll, rows
from tests.upstream import DATA_API, KEY, Upstream, World

STEPS = ORDER["research"]
#: what there is of a step once it is committed, and not before
DATA = {
    "families": "family",
    "indices": "benchmark WHERE source LIKE 'models:%'",
    "providers": "provider",
    "rankings": "ranking_set WHERE dimension = 'leaderboard'",
    "categories": "ranking_set WHERE dimension = 'category'",
    "modalities": "ranking_set WHERE dimension = 'modality'",
    "tasks": "ranking_set WHERE dimension = 'task'",
    "benchmarks": "benchmark WHERE source NOT LIKE 'models:%'",
    "capabilities": "capability",
    "dimensions": "ranking_set WHERE dimension = 'lowest_cost'",
}
#: the requests of a step that answers everything
REQUESTS = {
    "providers": {"/providers": 1},
    "rankings": {"/datasets/rankings-daily": 1},
    "categories": {"/datasets/rankings-daily": 12},
    "modalities": {"/datasets/rankings-daily": 5},
    "tasks": {"/classifications/task": 1},
    "benchmarks": {"/benchmarks": 3},
    "endpoints": {"/endpoints/zdr": 1},
}
MODELS = 13
BATCH = 5
INSIDE = ("kill-after", "llmhive.store.steps:keep")
BEHIND = ("kill-before", "llmhive.app.openrouter.research:Research._say")
#: what differs from run to run, and what runs leave behind
PASSING = frozenset({"id", "run_id", "set_id", "endpoint_id", "as_of", "owner", "digest"})
LEDGER = ("sync_run", "research_step", "data_request", "capture", "body", "verdict", "catalog_state", "alembic_version")


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """Its clock is a thousand times as fast: limits are not what is tested."""
    world = World.small(today=datetime.now(UTC).date())
    with Upstream(world, clock=lambda: time.monotonic() * 1000) as server:
        yield server


class Scene:
    """Research syncs of one day on one database."""

    def __init__(self, url: str, folder: Path, upstream: Upstream, **env: str) -> None:
        self.url, self.upstream = url, upstream
        given = {
            "DATABASE_URL": url, "OPENROUTER_BASE_URL": upstream.base_url, "OPENROUTER_API_KEY": KEY,
            "SYNC_BATCH_SIZE": str(BATCH), "DATA_API_PER_MINUTE": "1000", "DATA_API_PER_DAY": "10000",
            "ENDPOINT_REQUESTS_PER_SECOND": "1000", "SYNC_MIN_INTERVAL_MINUTES": "0", "NO_PROXY": "127.0.0.1",
            "SYNC_TIMEOUT_SECONDS": "30",
        }  # fmt: skip
        self.command = Command(folder, given | env)
        self._mark = 0

    def run(self, kill: tuple[str, str] | None = None, *, code: int | None = None) -> Counter[str]:
        """One more sync; returns what it asked for. A dead one is not waited for."""
        self._mark = len(self.upstream.requests)
        self._forget_the_dead()
        expected = code if code is not None else -signal.SIGKILL if kill else 0
        program = ("-m", "llmhive") if kill is None else ("-m", "tests.chaos.victim", *kill)
        result = replace(self.command, program=program).run("sync", "--research")
        assert result.code == expected, result
        return self.asked()

    def asked(self) -> Counter[str]:
        """What the last one asked for, by path."""
        return Counter(it.path.removeprefix(ROOT) for it in self.upstream.requests[self._mark :])

    def _forget_the_dead(self) -> None:
        text = "'2001-01-01T00:00:00.000000Z'"
        value = text if self.url.startswith("sqlite") else f"timestamptz {text}"
        execute(self.url, f"UPDATE sync_run SET heartbeat_at = {value} WHERE status = 'running'")

    def steps(self) -> list[str]:
        """Those that are committed."""
        assert {row["status"] for row in rows(self.url, "SELECT status FROM research_step")} <= {"completed", "reused"}
        chosen = "SELECT step FROM research_step WHERE status = 'completed' ORDER BY id"
        return [row["step"] for row in rows(self.url, chosen)]

    def runs(self) -> list[str]:
        return [row["status"] for row in rows(self.url, "SELECT status FROM sync_run ORDER BY id")]

    def is_consistent(self) -> None:
        """No step by half: it is written down exactly where its data are."""
        done = set(self.steps())
        for step, where in DATA.items():
            count = rows(self.url, f"SELECT COUNT(*) AS n FROM {where}")[0]["n"]
            assert (count > 0) == (step in done), step
        # an endpoint is there with its version and with word of the answer
        found = rows(self.url, "SELECT COUNT(*) AS n FROM endpoint WHERE NOT is_active")
        assert found == [{"n": 0}]
        lonely = "SELECT id FROM endpoint WHERE id NOT IN (SELECT endpoint_id FROM endpoint_version)"
        assert rows(self.url, lonely) == []
        unasked = "SELECT id FROM endpoint WHERE model_id NOT IN (SELECT model_id FROM endpoint_check)"
        assert rows(self.url, unasked) == []

    def content(self) -> dict[str, list[str]]:
        """All that readers see, but when it was found out."""
        return {
            table: sorted(repr([_plain(it) for it in row.items() if it[0] not in PASSING]) for row in content)
            for table, content in dump(self.url, without=LEDGER).items()
        }


def _plain(it: Any) -> Any:
    """The same of both databases: numbers without idle zeros, JSON in one order, instants by whether they are set."""
    if isinstance(it, datetime):
        return "set"
    if isinstance(it, Decimal):
        return str(it.normalize())
    if isinstance(it, dict):
        return sorted((name, _plain(value)) for name, value in it.items())
    return [_plain(part) for part in it] if isinstance(it, list | tuple) else it


@pytest.fixture
def scene(database_url: str, tmp_path: Path, upstream: Upstream) -> Scene:
    return Scene(database_url, tmp_path, upstream)


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What a sync leaves that nothing disturbs."""
    from llmhive.store.database import connect

    folder = tmp_path_factory.mktemp("control")
    url = f"sqlite:///{folder / 'control.db'}"
    database = connect(url)
    database.migrate()
    database.close()
    with Upstream(World.small(today=datetime.now(UTC).date())) as server:
        undisturbed = Scene(url, folder, server)
        undisturbed.run()
        return undisturbed.content()


def test_killed_in_each_step(scene: Scene, control: dict[str, list[str]]) -> None:
    """Each run does the step in which the one before it died, and dies in the next one: all is written, nothing is
    committed.
    """
    for number, step in enumerate(STEPS):
        before = STEPS[:number]
        # those that are taken over are written down as well
        asked = scene.run((INSIDE[0], f"{INSIDE[1]}:{number + 1}"))
        assert scene.steps() == list(before)
        scene.is_consistent()
        expected = Counter({"/models": 1})
        for name in (*before[-1:], step):
            expected.update(REQUESTS.get(name, {}))
        if "endpoints" in before[-1:]:
            assert _models(asked) == 0, "all batches were committed"
        elif step == "endpoints":
            assert _models(asked) == MODELS
        assert asked - _endpoints(asked) == expected, "no step before the last is repeated"
    assert scene.runs()[-1] == "running"
    assert scene.run() == {"/models": 1}
    assert scene.steps() == list(STEPS)
    assert scene.runs() == ["interrupted"] * len(STEPS) + ["completed"]
    assert scene.content() == control
    # each request is on the books
    booked = rows(scene.url, "SELECT COUNT(*) AS n FROM data_request")[0]["n"]
    assert booked == sum(len(scene.upstream.arrivals(path)) for path in DATA_API)


@pytest.mark.parametrize("dialect", ["sqlite"])
def test_killed_behind_each_step(scene: Scene, control: dict[str, list[str]]) -> None:
    """Each run does one step and dies once that is committed."""
    for number, step in enumerate(STEPS):
        asked = scene.run(BEHIND)
        assert scene.steps() == list(STEPS[: number + 1])
        scene.is_consistent()
        assert asked - _endpoints(asked) == Counter({"/models": 1}) + Counter(REQUESTS.get(step, {}))
        assert _models(asked) == (MODELS if step == "endpoints" else 0)
    assert scene.run() == {"/models": 1}
    assert scene.runs() == ["interrupted"] * len(STEPS) + ["unchanged"]
    assert scene.content() == control


def test_killed_between_two_batches(scene: Scene, control: dict[str, list[str]]) -> None:
    first = scene.run(("kill-after", "llmhive.store.endpoints:apply:2"))
    assert _models(first) >= 2 * BATCH
    assert scene.steps() == list(STEPS[: STEPS.index("endpoints")])
    assert rows(scene.url, "SELECT COUNT(*) AS n FROM endpoint_check") == [{"n": BATCH}]
    scene.is_consistent()
    second = scene.run()
    assert _models(second) == MODELS - BATCH
    assert set(_endpoints(first)) | set(_endpoints(second)) == {f"/models/{name}/endpoints" for name in _ids(scene)}
    assert scene.content() == control


def _ids(scene: Scene) -> set[str]:
    return {row["id"] for row in rows(scene.url, "SELECT id FROM model_catalog")}


def _endpoints(asked: Counter[str]) -> Counter[str]:
    return Counter({path: times for path, times in asked.items() if path.startswith("/models/")})


def _models(asked: Counter[str]) -> int:
    return sum(times for path, times in asked.items() if path.startswith("/models/"))


#: when the process dies: as it waits for an answer
PATHS = ["/datasets/rankings-daily", "/models/borealis/echo/endpoints"]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.rpartition("/")[2])
def test_killed_while_it_waits_for_an_answer(path: str, scene: Scene, control: dict[str, list[str]]) -> None:
    pids: list[int] = []

    def kill(_: Request) -> Response | None:
        os.kill(pids[0], signal.SIGKILL)
        return None

    scene.upstream.fail(path, kill, times=1)
    process = scene.command.start("sync", "--research")
    pids.append(process.pid)
    assert finish(process).code == -signal.SIGKILL
    scene.is_consistent()
    done = scene.steps()
    first = scene.asked()
    second = scene.run()
    scene.is_consistent()
    assert scene.steps() == list(STEPS)
    assert scene.runs() == ["interrupted", "completed"]
    for step in done:
        if step not in {"rankings", "categories", "modalities"}:
            assert all(second[asked] == 0 for asked in REQUESTS.get(step, {}))
    assert _models(first) + _models(second) <= MODELS + BATCH + 8
    assert scene.content() == control


POINTS = [
    ("kill-after", "llmhive.store.budget:reserve:3"),  # between taking room and sending
    ("kill-before", "llmhive.store.budget:done:3"),  # answered, and not written down
    ("kill-after", "llmhive.store.runs:end"),
]


@pytest.mark.parametrize(("when", "point"), POINTS, ids=[point.rpartition(".")[2] for _, point in POINTS])
def test_killed_between_statement_and_commit(
    when: str, point: str, scene: Scene, control: dict[str, list[str]]
) -> None:
    scene.run((when, point))
    scene.is_consistent()
    scene.run()
    scene.is_consistent()
    assert scene.steps() == list(STEPS)
    assert scene.content() == control


@pytest.mark.parametrize("path", ["/benchmarks", "/models/*"])
def test_a_polite_stop_does_not_wait_for_answers(path: str, scene: Scene) -> None:
    scene.upstream.fail(path, never())
    # the real command: how it ends is what is tested
    process = scene.command.start("sync", "--research")
    poll(lambda: any(it.path.startswith(ROOT + path.rstrip("*")) for it in scene.upstream.requests[2:]))
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert finish(process).code == 143
    assert time.monotonic() - began < 5
    assert scene.runs() == ["interrupted"]
    scene.upstream.heal()
    scene.run()
    assert scene.steps() == list(STEPS)


def test_the_budget_holds_over_a_crash(database_url: str, tmp_path: Path) -> None:
    """At OpenRouter's own limits, by the real clock: 13 requests before the crash, and no more than 30 in all."""
    with Upstream(World.small(today=datetime.now(UTC).date())) as strict:
        scene = Scene(database_url, tmp_path, strict, DATA_API_PER_MINUTE="30", DATA_API_PER_DAY="500")
        scene.run(("kill-after", "llmhive.store.rankings:publish:8"))
        assert scene.steps() == list(STEPS[: STEPS.index("categories")])
        asked = scene.run(code=1)
        data = sum(times for path, times in asked.items() if path.startswith(DATA_API))
        assert data == 30 - 13
        assert strict.throttled == 0
        failed = rows(database_url, "SELECT step, error FROM research_step WHERE status = 'failed'")
        assert [row["step"] for row in failed] == ["tasks", "benchmarks"][-len(failed) :]
        assert all("DATA_API_PER_MINUTE" in row["error"] for row in failed)
