"""`kill -9` at each step of a run: the database holds the old catalog or the new one, and the next sync goes on."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.chaos.conftest import Story
from tests.support import finish, poll

SYNC = "llmhive.app.openrouter.sync"
Dumps = tuple[dict[str, list[Any]], dict[str, list[Any]]]

#: where it dies, and whether the new catalog is there then
POINTS = [
    ("kill-before", "llmhive.store.runs:claim", False),
    ("kill-after", "llmhive.store.runs:claim", False),
    ("kill-before", "llmhive.app.openrouter.runner:Runner._work", False),
    ("kill-before", "llmhive.app.openrouter.client:Client.models", False),
    ("kill-after", "llmhive.app.openrouter.client:Client.models", False),
    ("kill-after", "llmhive.app.openrouter.decode:decode", False),
    ("kill-after", "llmhive.catalog.diff:diff", False),
    ("kill-after", "llmhive.catalog.gate:judge", False),
    ("kill-after", "llmhive.store.runs:fence", False),
    ("kill-after", "llmhive.store.captures:Captures.keep_body", False),
    ("kill-after", "llmhive.store.captures:Captures.keep", False),
    ("kill-after", "llmhive.store.prices:record", False),
    ("kill-after", "llmhive.store.history:record", False),
    ("kill-after", "llmhive.store.catalog:_believe", False),
    ("kill-after", "llmhive.store.catalog:apply", False),
    ("kill-before", "llmhive.store.runs:end", False),
    ("kill-after", "llmhive.store.runs:end", False),
    ("kill-after", "llmhive.app.openrouter.pipeline:Pipeline.take", True),
    ("kill-before", f"{SYNC}:Sync._say_end", True),
]


@pytest.mark.parametrize(("when", "point", "is_new"), POINTS, ids=[f"{w}-{p.rpartition(':')[2]}" for w, p, _ in POINTS])
def test_a_killed_run_leaves_the_old_or_the_new_catalog(
    when: str, point: str, is_new: bool, story: Story, control: Dumps
) -> None:
    old, new = control
    story.begin()
    assert story.now() == old

    result = finish(story.victim(when, point).start("sync", "--json"))

    assert result.code == -signal.SIGKILL, result
    assert result.stdout == ""
    assert story.now() == (new if is_new else old)
    claimed = not point.endswith(":claim")  # a claim is not committed before its transaction ends
    assert story.runs() == ["completed", *(["completed"] if is_new else ["running"] if claimed else [])]

    again = story.llmhive("sync")

    if is_new:
        assert again["status"] == "skipped"  # its work was done
    else:
        assert again["status"] == "completed"
        assert story.runs() == ["completed", *(["interrupted"] if claimed else []), "completed"]
    assert story.now() == new


FIRST = [
    ("kill-after", "llmhive.store.database:Database.migrate"),
    ("kill-before", "llmhive.store.catalog:apply"),
    ("kill-before", "llmhive.store.runs:end"),
]


@pytest.mark.parametrize(("when", "point"), FIRST, ids=[point.rpartition(":")[2] for _, point in FIRST])
def test_a_first_run_that_is_killed_is_done_again(when: str, point: str, story: Story) -> None:
    from tests.chaos.conftest import NEW

    story.fake.serve(NEW)
    assert finish(story.victim(when, point).start("sync")).code == -signal.SIGKILL
    assert not story.now()["model_catalog"]
    assert story.llmhive("sync")["added"] == 23


def test_killed_in_the_middle_of_the_migration(story: Story) -> None:
    from tests.chaos.conftest import NEW

    story.fake.serve(NEW)
    point = "alembic.operations:Operations.create_index:3"
    assert finish(story.victim("kill-after", point).start("sync")).code == -signal.SIGKILL
    assert story.now() == {}
    assert story.llmhive("sync")["added"] == 23


def test_killed_while_it_loads_the_bootstrap(story: Story) -> None:
    from tests.fake_openrouter import status

    story.fake.serve(status(403))
    point = "llmhive.store.catalog:apply"
    assert finish(story.victim("kill-after", point).start("sync")).code == -signal.SIGKILL
    assert not story.now()["model_catalog"]
    run = story.llmhive("sync", code=1)
    assert any("Loaded the bootstrap" in note for note in run["notes"])
    assert story.llmhive("status")["models_in_catalog"] > 300


def test_a_polite_stop_marks_the_run_itself(story: Story) -> None:
    from tests.fake_openrouter import never

    story.begin()
    before = story.now()
    story.fake.serve(never())
    process = story.llmhive.start("sync", "--json")
    # it asks and waits: while libraries are imported, one of them may swallow whatever is raised
    poll(lambda: len(story.fake.requests) == 2)
    process.send_signal(signal.SIGTERM)
    result = finish(process)
    assert result.code == 143, result
    assert story.runs() == ["completed", "interrupted"]
    assert story.now() == before
