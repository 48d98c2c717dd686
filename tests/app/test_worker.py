"""Workers: a real process for each run, and never two where one will do."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from llmhive.app.http.threads import Threads
from llmhive.app.http.workers import Workers
from llmhive.app.worker import Task, Told
from llmhive.errors import Conflict, LLMHiveError, NotFound
from llmhive.store import runs
from llmhive.store.database import connect
from tests.fake_openrouter import FakeOpenRouter, Request, Response, catalog, model, ok, status
from tests.support import Command, finish, poll, rows

T = TypeVar("T")
SYNC = Task("sync", "test")


@pytest.fixture
def worker(database_url: str, fake: FakeOpenRouter, tmp_path: Path) -> Command:
    """The program of a worker, before a migrated database."""
    home = tmp_path / "home"
    home.mkdir()
    env = {
        "DATABASE_URL": database_url, "OPENROUTER_BASE_URL": fake.base_url, "SYNC_TIMEOUT_SECONDS": "30",
        "NO_PROXY": "127.0.0.1", "SYNC_STALE_SECONDS": "2",
    }  # fmt: skip
    return Command(home, env, ("-m", "llmhive.app.worker"))


def told(worker: Command, task: Task) -> list[Told]:
    """What a worker says of a task."""
    result = finish(worker.start(msgspec.json.encode(task).decode()))
    assert result.code == 0, result
    return [msgspec.json.decode(line, type=Told) for line in result.stdout.splitlines()]


def test_it_tells_when_it_began_and_how_it_ended(worker: Command, fake: FakeOpenRouter) -> None:
    fake.serve(ok(catalog(model("acme/one"))))
    began, ended = told(worker, SYNC)
    assert (began.what, began.kind, ended.what) == ("began", "regular", "ended")
    assert ended.run is not None
    assert ended.run["id"] == began.run_id
    assert ended.run["status"] == "completed"
    assert "plan" not in ended.run


def test_a_dry_run_has_its_plan_and_takes_no_lock(worker: Command, fake: FakeOpenRouter) -> None:
    fake.serve(ok(catalog(model("acme/one"))))
    [ended] = told(worker, Task("sync", "test", dry_run=True))
    assert ended.run is not None
    assert [line["what"] for line in ended.run["plan"]] == ["added"]


def test_what_cannot_be_is_refused_by_name(worker: Command) -> None:
    [refused] = told(worker, Task("accept", "test", run_id=99))
    assert (refused.what, refused.error) == ("refused", "NotFound")
    [refused] = told(worker, Task("rollback", "test", snapshot="none"))
    assert refused.error == "NotFound"


def test_it_marks_its_run_when_it_is_stopped(worker: Command, fake: FakeOpenRouter) -> None:
    fake.serve(hanging)
    process = worker.start(msgspec.json.encode(SYNC).decode())
    poll(lambda: fake.requests)
    process.send_signal(signal.SIGTERM)
    finish(process)
    [run] = rows(worker.env["DATABASE_URL"], "SELECT status FROM sync_run")
    assert run["status"] == "interrupted"


def test_it_finishes_without_its_parent(worker: Command, fake: FakeOpenRouter) -> None:
    """Whoever started it is gone, and so is the pipe."""
    fake.serve(ok(catalog(model("acme/one"))))
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, *worker.program, msgspec.json.encode(SYNC).decode()], cwd=worker.folder,
        env=worker.environment(), stdout=writing, stderr=subprocess.PIPE,
    )  # fmt: skip
    os.close(writing)
    os.close(reading)
    _, log = process.communicate(timeout=60)
    assert process.returncode == 0, log
    assert rows(worker.env["DATABASE_URL"], "SELECT status FROM sync_run") == [{"status": "completed"}]


def test_its_log_names_the_request(worker: Command, fake: FakeOpenRouter) -> None:
    fake.serve(ok(catalog(model("acme/one"))))
    result = finish(worker.start(msgspec.json.encode(Task("sync", "http", request_id="r-1")).decode()))
    lines = result.log
    assert len(lines) > 3
    assert {line["request"] for line in lines} == {"r-1"}


def hanging(request: Request) -> Response:
    """Never answer."""
    del request
    return Response(manner="silent")


# --- many who ask


def with_workers(
    worker: Command,
    use: Callable[[Workers], Coroutine[Any, Any, T]],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> T:
    """Run something with the workers of a service whose processes have the test's environment."""
    database = connect(worker.env["DATABASE_URL"])
    environment = json.dumps(worker.environment())
    program = f"import os, json; os.environ.update(json.loads({environment!r})); os.chdir({str(worker.folder)!r}); "
    program += "from llmhive.app.worker import main; main()"

    async def run() -> T:
        workers = Workers(
            database, Threads(30), interval=timedelta(minutes=30), stale_after=timedelta(seconds=2),
            now=now, tell=lambda event, /, **facts: None,
            command=(sys.executable, "-c", program),
        )  # fmt: skip
        try:
            return await use(workers)
        finally:
            await workers.close()

    try:
        return asyncio.run(run())
    finally:
        database.close()


async def gathered(*wishes: Awaitable[T]) -> list[T]:
    """All at once."""
    return list(await asyncio.gather(*wishes))


@pytest.mark.parametrize("force", [False, True])
def test_many_at_once_are_one(worker: Command, fake: FakeOpenRouter, force: bool) -> None:
    fake.serve(ok(catalog(model("acme/one"))))
    task = Task("sync", "http", force=force)
    begun = with_workers(worker, lambda workers: gathered(*(workers.begin(task) for _ in range(50))))
    assert {it.run["id"] for it in begun if it.run is not None} == {1}
    assert rows(worker.env["DATABASE_URL"], "SELECT id, status FROM sync_run") == [{"id": 1, "status": "completed"}]


def test_force_later_is_another_one(worker: Command, fake: FakeOpenRouter) -> None:
    fake.serve(ok(catalog(model("acme/one"))))

    async def twice(workers: Workers) -> list[Any]:
        first = await workers.finish(SYNC)
        skipped = await workers.finish(SYNC)
        forced = await workers.finish(Task("sync", "http", force=True))
        return [first, skipped, forced]

    first, skipped, forced = with_workers(worker, twice)
    assert (first["status"], skipped["status"], forced["status"]) == ("completed", "skipped", "unchanged")
    assert skipped["due_at"] > first["started_at"]
    assert forced["id"] == first["id"] + 1


def test_a_regular_one_waits_behind_research(worker: Command, fake: FakeOpenRouter) -> None:
    fake.serve(ok(catalog(model("acme/one"))))

    async def both(workers: Workers) -> list[Any]:
        fake.serve(hanging)
        research = await workers.begin(Task("sync", "http", "research"))
        queued = await workers.begin(SYNC)
        again = await workers.begin(SYNC)
        assert research.run is not None
        assert queued.run is None
        assert queued.waits_for == again.waits_for == research.run["id"]
        assert queued.worker is again.worker is not None
        fake.serve(ok(catalog(model("acme/one"))))
        # the research run holds a request that is never answered: stop it as its operator would
        assert research.worker is not None
        research.worker.process.terminate()
        assert queued.worker is not None
        return [(await queued.worker.ended).run]

    [run] = with_workers(worker, both)
    assert run["kind"] == "regular"
    assert run["status"] == "completed"


def test_another_replicas_run_is_joined(worker: Command, fake: FakeOpenRouter) -> None:
    """Its row is all that is known of it here."""
    url = worker.env["DATABASE_URL"]
    database = connect(url)
    now = datetime.now(UTC)
    with database.write() as connection:
        claimed = runs.claim(connection, "regular", trigger="http", owner="elsewhere:1", now=now, interval=None)
    assert isinstance(claimed, runs.Claimed)

    async def join(workers: Workers) -> dict[str, Any]:
        begun = await workers.begin(SYNC)
        assert begun.run is not None
        assert (begun.run["id"], begun.run["status"]) == (claimed.run_id, "running")
        waiting = asyncio.ensure_future(workers.finish(SYNC))
        with database.write() as connection:
            runs.end(connection, claimed.run_id, "completed", now=now, models_seen=7)
        return await waiting

    joined = with_workers(worker, join, now=lambda: now)
    database.close()
    assert (joined["id"], joined["status"], joined["models_seen"]) == (claimed.run_id, "completed", 7)
    assert fake.requests == []


def test_a_dry_run_is_shared(worker: Command, fake: FakeOpenRouter) -> None:
    fake.serve(ok(catalog(model("acme/one"))))
    task = Task("sync", "http", dry_run=True)
    found = with_workers(worker, lambda workers: gathered(*(workers.once(task) for _ in range(5))))
    assert [it["added"] for it in found] == [1] * 5
    assert len(fake.requests) == 1
    assert rows(worker.env["DATABASE_URL"], "SELECT * FROM sync_run") == []


def test_refusals_are_the_errors_they_were(worker: Command, fake: FakeOpenRouter) -> None:
    fake.serve(status(503))

    async def refuse(workers: Workers) -> dict[str, Any]:
        with pytest.raises(NotFound, match="There is no run 99"):
            await workers.once(Task("accept", "http", run_id=99))
        failed = await workers.finish(Task("sync", "http"))
        with pytest.raises(Conflict, match="held nothing"):
            await workers.once(Task("accept", "http", run_id=failed["id"]))
        return failed

    worker.env["SYNC_TIMEOUT_SECONDS"] = "2"
    assert with_workers(worker, refuse)["status"] == "failed"


def test_a_process_that_dies_without_a_word_is_said(worker: Command, fake: FakeOpenRouter) -> None:
    fake.serve(hanging)

    async def die(workers: Workers) -> str:
        begun = await workers.begin(SYNC)
        assert begun.worker is not None
        begun.worker.process.kill()
        with pytest.raises(LLMHiveError) as raised:
            await workers.finish(SYNC)
        return str(raised.value)

    # the run is joined where it still looks alive, so ask the worker itself
    assert "without a word" in with_workers(worker, die)


def test_closing_stops_what_hangs(worker: Command, fake: FakeOpenRouter) -> None:
    fake.serve(hanging)

    async def leave(workers: Workers) -> Any:
        begun = await workers.begin(SYNC)
        await asyncio.to_thread(poll, lambda: fake.requests)
        return begun.worker

    stopped = with_workers(worker, leave)
    assert stopped.process.returncode is not None
    assert rows(worker.env["DATABASE_URL"], "SELECT status FROM sync_run") == [{"status": "interrupted"}]


@pytest.mark.parametrize("script", ['printf \'{"what":"ended","run":{\'; kill -9 $$', "echo hello", "exit 3"])
def test_whatever_a_process_writes_nobody_waits_for_ever(script: str, database_url: str) -> None:
    database = connect(database_url)

    async def all_ways() -> None:
        workers = Workers(
            database, Threads(30), interval=timedelta(minutes=30), stale_after=timedelta(seconds=2),
            now=lambda: datetime.now(UTC), tell=lambda event, /, **facts: None, command=("sh", "-c", script, "sh"),
        )  # fmt: skip
        for ask in (workers.begin(SYNC), workers.finish(SYNC), workers.once(Task("sync", "test", dry_run=True)),
                    workers.once(Task("accept", "test", run_id=1))):  # fmt: skip
            with pytest.raises(LLMHiveError, match="without a word"):
                await asyncio.wait_for(ask, 20)
        await workers.close()

    try:
        asyncio.run(all_ways())
    finally:
        database.close()


def test_what_lies_in_the_working_directory_is_not_run(worker: Command, fake: FakeOpenRouter) -> None:
    """As a module of the standard library's name would be, if Python looked there first."""
    fake.serve(ok(catalog(model("acme/one"))))
    (worker.folder / "queue.py").write_text("raise SystemExit('run')")
    database = connect(worker.env["DATABASE_URL"])

    async def sync() -> dict[str, Any]:
        workers = Workers(
            database, Threads(30), interval=timedelta(minutes=30), stale_after=timedelta(seconds=2),
            now=lambda: datetime.now(UTC), tell=lambda event, /, **facts: None, environment=worker.environment(),
        )  # fmt: skip
        run = await workers.finish(SYNC)
        await workers.close()
        return run

    before = Path.cwd()
    os.chdir(worker.folder)
    try:
        assert asyncio.run(sync())["status"] == "completed"
    finally:
        os.chdir(before)
        database.close()


def test_a_mistake_of_ours_is_said_without_its_text(worker: Command, fake: FakeOpenRouter) -> None:
    fake.serve(ok(catalog(model("acme/one"))))
    worker.env["SYNC_STALE_SECONDS"] = "2"
    # a name that PostgreSQL's driver refuses with an error that is none of ours
    found = told(worker, Task("rollback", "test", snapshot="a\x00b"))
    assert found[-1].what == "refused"
    assert "\x00" not in (found[-1].message or "") or found[-1].error == "NotFound"
