"""`llmhive sync --research` over sockets: what it prints, how it ends, what it never tells, and who waits for whom."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.fake_openrouter import ROOT, status
from tests.support import Command, Result, finish, rows
from tests.upstream import DATA_API, KEY, PER_MINUTE, Upstream, World

STEPS = [
    "families", "indices", "providers", "rankings", "categories", "modalities", "tasks", "benchmarks", "endpoints",
    "capabilities", "dimensions",
]  # fmt: skip
#: one for all traffic, 12 categories, 4 modalities and tool calls, tasks, 3 benchmarks
DATA_REQUESTS = 22
STEP_FIELDS = {"step", "status", "started_at", "finished_at", "seconds", "facts", "error"}
SECRET = "sk-or-v1-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(World.small(today=datetime.now(UTC).date())) as server:
        yield server
        assert server.throttled == 0


@pytest.fixture
def research(llmhive: Command, upstream: Upstream) -> Command:
    """The command with a good key."""
    more = {
        "OPENROUTER_BASE_URL": upstream.base_url, "OPENROUTER_API_KEY": KEY, "SYNC_RANKINGS": "1",
        "SYNC_MIN_INTERVAL_MINUTES": "0", "ENDPOINT_REQUESTS_PER_SECOND": "1000",
    }  # fmt: skip
    return Command(llmhive.folder, llmhive.env | more)


def sync(command: Command, *words: str, code: int = 0, **env: object) -> Result:
    result = command.run("sync", "--research", *words, **env)
    assert result.code == code, result
    assert KEY not in result.stdout + result.stderr
    return result


def data_requests(upstream: Upstream) -> int:
    return sum(len(upstream.arrivals(path)) for path in DATA_API)


def test_all_its_steps(research: Command, upstream: Upstream) -> None:
    result = sync(research, "--json")
    run = result.json
    assert (run["kind"], run["status"], run["error"], run["models_seen"]) == ("research", "completed", None, 13)
    assert [step["step"] for step in run["steps"]] == STEPS
    assert {step["status"] for step in run["steps"]} == {"completed"}
    assert all(step.keys() == STEP_FIELDS for step in run["steps"])
    facts = {step["step"]: step["facts"] for step in run["steps"]}
    assert facts["endpoints"]["models"] == 13
    assert facts["categories"]["published"] == 12
    assert data_requests(upstream) == DATA_REQUESTS
    # each step is said when it begins and when it is done
    for message in ("Step begins", "Step done"):
        assert [line["step"] for line in result.log if line["message"] == message] == STEPS
    # the run tells its steps afterwards as well
    assert research("show", str(run["id"]))["steps"] == run["steps"]
    # and the same day there is nothing more to do
    before = len(upstream.requests)
    again = sync(research, "--json")
    assert again.json["status"] == "unchanged"
    assert [(it["step"], it["status"], it["facts"]) for it in again.json["steps"]] == [
        (step, "reused", {"run": run["id"]}) for step in STEPS
    ]
    assert [it.path for it in upstream.requests[before:]] == [f"{ROOT}/models"]
    assert [line["step"] for line in again.log if line["message"] == "Step skipped"] == STEPS


def test_without_a_key(research: Command, upstream: Upstream) -> None:
    run = sync(research, "--json", OPENROUTER_API_KEY=None).json
    assert run["status"] == "completed"
    left_out = {step["step"]: step["error"] for step in run["steps"] if step["status"] == "skipped"}
    assert left_out.keys() == {"modalities", "tasks", "benchmarks"}
    assert all("OPENROUTER_API_KEY" in error for error in left_out.values())
    assert data_requests(upstream) == 0


def test_a_key_that_is_refused(research: Command, upstream: Upstream) -> None:
    # a server that repeats the key
    upstream.fail("/datasets/*", status(401, json={"error": {"code": 401, "message": f"unknown key {SECRET}"}}))
    result = sync(research, "--json", code=1, OPENROUTER_API_KEY=SECRET)
    assert SECRET not in result.stdout + result.stderr
    run = result.json
    assert run["status"] == "failed"
    assert run["error"].startswith("5 of 11 steps failed (rankings, ")
    assert "check it at openrouter.ai/settings/keys" in run["error"]
    assert "the next research sync repeats what failed" in run["error"]
    failed = [line for line in result.log if line["message"] == "Step failed"]
    assert [line["step"] for line in failed] == ["rankings", "categories", "modalities", "tasks", "benchmarks"]
    # the rest is done, and the order of the list stands in for the leaderboard
    url = research.env["DATABASE_URL"]
    assert rows(url, "SELECT COUNT(DISTINCT model_id) AS n FROM endpoint_check WHERE failures = 0") == [{"n": 13}]
    served = rows(url, "SELECT source FROM ranking_set WHERE dimension = 'leaderboard' AND state = 'published'")
    assert served == [{"source": "models-order"}]


def test_one_step_fails_and_is_repeated(research: Command, upstream: Upstream) -> None:
    upstream.fail("/classifications/task", status(404))
    failing = upstream.fail_endpoints(0.05, status=404)
    result = sync(research, code=1)
    # a person reads a line for each step
    lines = [line.split() for line in result.stdout.splitlines() if line.strip()]
    told = {words[0]: words[1] for words in lines if words[0] in STEPS}
    assert list(told) == STEPS
    assert [name for name, word in told.items() if word == "failed:"] == ["tasks"]
    upstream.heal()
    before = len(upstream.requests)
    run = sync(research, "--json").json
    did = [step["step"] for step in run["steps"] if step["status"] == "completed"]
    # what follows from others is done again
    assert did == ["tasks", "capabilities", "dimensions"]
    assert [it.path.removeprefix(ROOT) for it in upstream.requests[before:]] == ["/models", "/classifications/task"]
    # one model in twenty is no failure of the step; it comes with the next one
    assert len(failing) == 1


def _has_worked(run: dict[str, Any]) -> bool:
    return any(step["status"] != "reused" for step in run.get("steps") or ())


def test_replicas_at_once_share_the_limits(research: Command, upstream: Upstream) -> None:
    """Two research syncs and a regular one at the same time, then one more by force, at OpenRouter's own limits."""
    research("migrate")
    started = [research.start("sync", *words, "--json") for words in (["--research"], ["--research"], [])]
    results = [finish(process) for process in started]
    assert [result.code for result in results] == [0, 0, 0], results
    told = [result.json for result in results]
    # of two that ask for the same one does it; a regular one waits its turn
    assert sum(_has_worked(run) for run in told[:2]) == 1
    assert told[2]["status"] in {"completed", "unchanged"}
    used = data_requests(upstream)
    assert used <= DATA_REQUESTS + 1
    # what is left of the minute
    forced = sync(research, "--force", "--json", code=1, SYNC_TIMEOUT_SECONDS=10)
    assert data_requests(upstream) == PER_MINUTE
    errors = [step["error"] for step in forced.json["steps"] if step["status"] == "failed"]
    assert errors
    assert all("DATA_API_PER_MINUTE" in error and "there may be room at" in error for error in errors)
    assert upstream.throttled == 0


def test_lower_limits_of_our_own(research: Command, upstream: Upstream) -> None:
    result = sync(research, "--json", code=1, DATA_API_PER_DAY=5)
    assert data_requests(upstream) == 5
    failed = {step["step"] for step in result.json["steps"] if step["status"] == "failed"}
    assert failed == {"categories", "modalities", "tasks", "benchmarks"}
    assert "DATA_API_PER_DAY" in result.json["error"]
