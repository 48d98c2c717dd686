"""However many start at once: one does the work, the others say why they did not, and nothing is lost."""

from __future__ import annotations

import threading

import pytest

from tests.chaos.conftest import NEW, OLD, Story, when
from tests.fake_openrouter import Response, ok, status
from tests.support import dump as tables
from tests.support import finish, poll, rows


@pytest.mark.parametrize("words", [["sync"], ["sync", "--force"]], ids=["", "force"])
@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
def test_four_syncs_at_once(words: list[str], first: bool, story: Story) -> None:
    # a heartbeat every second, by which the others know that the one is at work
    story.llmhive.env["SYNC_STALE_SECONDS"] = "6"
    if not first:
        story.begin(OLD)
    before = len(story.fake.requests)
    others_are_done = threading.Event()
    story.fake.serve(when(others_are_done, ok(NEW)))
    with story.processes(4, *words, "--json") as processes:
        poll(lambda: sum(process.poll() is not None for process in processes) == 3)
        others_are_done.set()
        results = [finish(process) for process in processes]
    assert [result.code for result in results] == [0] * 4, results
    runs = [result.json for result in results]
    assert sorted(run["status"] for run in runs) == ["completed", "skipped", "skipped", "skipped"]
    for run in runs:
        if run["status"] == "skipped":
            assert run["id"] is None
            assert "is running" in run["notes"][0]
    assert len(story.fake.requests) - before == 1
    found = tables(story.url)
    assert len(found["capture"]) == (1 if first else 2)
    assert {row["state"] for row in found["capture"]} == {"applied"}
    assert story.runs() == ["completed"] * (1 if first else 2)
    active = {row["id"] for row in rows(story.url, "SELECT id FROM model_catalog WHERE is_active")}
    assert len(active) == 23
    assert "acme/new" in active


@pytest.mark.parametrize(
    ("served", "code", "outcome", "said"),
    [(ok(NEW), 0, "completed", "has just synced"), (status(401), 1, "failed", "401")],
    ids=["works", "fails"],
)
def test_who_waits_for_another_says_how_that_one_ended(
    served: Response, code: int, outcome: str, said: str, story: Story
) -> None:
    story.begin(OLD)
    # no sign of life in the next ten minutes: a second one can only wait
    story.llmhive.env["SYNC_STALE_SECONDS"] = "3600"
    second_waits = threading.Event()
    story.fake.serve(when(second_waits, served))
    with story.processes(1, "sync", "--json") as [first]:
        run_id = story.wait_for_a_running_run()
        with story.processes(1, "sync", "--json") as [second]:
            assert second.stderr is not None
            while "Waiting for another sync" not in second.stderr.readline():
                assert second.poll() is None
            second_waits.set()
            ended, waited = finish(first), finish(second)
    assert (ended.code, ended.json["status"]) == (code, outcome)
    assert (waited.code, waited.json["status"]) == (0, "skipped")
    assert f"run {run_id} was at it" in waited.json["notes"][0]
    assert said in waited.json["notes"][0]
    assert story.runs() == ["completed", outcome]
