"""A run that slept, was taken for dead and wakes up writes nothing."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import pytest

from tests.chaos.conftest import NEW, Story, when
from tests.fake_openrouter import catalog, model, ok
from tests.support import Process, finish, poll
from tests.support import dump as tables

OTHER = catalog(*[model(f"acme/model-{number:02}") for number in range(20)], model("acme/limited"), model("acme/other"))
#: no heartbeat while the test lasts, so that no process is put to sleep in the middle of one
SELDOM = "3600"


def is_stopped(process: Process) -> bool:
    """Whether it has gone to sleep; fails where it has ended instead."""
    assert process.poll() is None, process.communicate()
    stat = Path(f"/proc/{process.pid}/stat")
    if not stat.exists():
        pytest.skip("needs Linux' /proc")
    return stat.read_text().rpartition(")")[2].split()[0] == "T"


@pytest.mark.parametrize("point", ["llmhive.app.openrouter.decode:decode", "llmhive.store.runs:fence"])
def test_a_run_that_was_taken_over_writes_nothing(point: str, story: Story) -> None:
    if point.endswith("fence") and story.url.startswith("sqlite"):
        pytest.skip("SQLite's writer holds the whole database while it sleeps in its transaction")
    story.begin()
    story.llmhive.env["SYNC_STALE_SECONDS"] = SELDOM
    with story.processes(1, "sync", "--json", program=story.victim("stop-before", point)) as [sleeper]:
        poll(lambda: is_stopped(sleeper))
        # meanwhile another process finds it silent, takes over and applies something else
        story.forget_the_heartbeat(story.wait_for_a_running_run())
        story.fake.serve(OTHER)
        assert story.llmhive("sync")["status"] == "completed"
        assert story.runs() == ["completed", "interrupted", "completed"]
        before = tables(story.url)
        sleeper.send_signal(signal.SIGCONT)
        result = finish(sleeper)
    assert result.code == 1, result
    assert "lost the lock" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert tables(story.url) == before


def test_a_run_that_was_taken_over_in_an_unchanged_answer_writes_nothing(story: Story) -> None:
    from tests.chaos.conftest import OLD

    story.begin()
    story.llmhive.env["SYNC_STALE_SECONDS"] = SELDOM
    second_is_done = threading.Event()
    story.fake.serve([when(second_is_done, ok(OLD)), ok(NEW)])
    with story.processes(1, "sync", "--json") as [first]:
        run_id = story.wait_for_a_running_run()
        poll(lambda: len(story.fake.requests) == 2)
        story.forget_the_heartbeat(run_id)
        assert story.llmhive("sync")["status"] == "completed"
        before = tables(story.url)
        second_is_done.set()
        result = finish(first)
    assert result.code == 1, result
    assert "lost the lock" in result.stderr.splitlines()[-1]
    assert tables(story.url) == before


def test_a_run_that_only_slept_goes_on(story: Story) -> None:
    story.begin()
    before = story.now()
    sleeper = story.victim("stop-before", "llmhive.app.openrouter.decode:decode")
    with story.processes(1, "sync", "--json", program=sleeper) as [process]:
        poll(lambda: is_stopped(process))
        assert story.now() == before
        process.send_signal(signal.SIGCONT)
        result = finish(process)
    assert (result.code, result.json["status"]) == (0, "completed")
    assert story.now() != before


@pytest.mark.long
def test_a_living_run_is_not_taken_over_however_long_it_takes(story: Story) -> None:
    story.begin()
    story.llmhive.env["SYNC_STALE_SECONDS"] = "3"
    others_are_done = threading.Event()
    story.fake.serve(when(others_are_done, ok(NEW)))
    with story.processes(1, "sync", "--json") as [first]:
        story.wait_for_a_running_run()
        began = time.monotonic()
        poll(lambda: time.monotonic() > began + 3.5)  # longer than silence may last
        second = story.llmhive("sync", "--force")
        assert second["status"] == "skipped"
        assert "is running" in second["notes"][0]
        others_are_done.set()
        assert finish(first).json["status"] == "completed"
    assert story.runs() == ["completed", "completed"]
