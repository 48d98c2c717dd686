"""`kill -9` around the sending of an alert: it arrives at least once, and a repeat has the same ids."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chaos.conftest import OLD, Story
from tests.receiver import Receiver
from tests.support import execute, finish, rows

ALERTS = "llmhive.app.alerts"


@pytest.fixture
def receiver(story: Story) -> Iterator[Receiver]:
    with Receiver() as server:
        story.llmhive.env["ALERT_URLS"] = server.url
        yield server


def forget_the_lease(story: Story) -> None:
    """As if a minute had passed."""
    text = "'2001-01-01T00:00:00.000000Z'"
    execute(story.url, f"UPDATE lease SET until = {text if 'sqlite' in story.url else f'timestamptz {text}'}")


def deliveries(story: Story) -> list[tuple[str, int]]:
    found = rows(story.url, "SELECT state, attempts FROM delivery ORDER BY id")
    return [(row["state"], row["attempts"]) for row in found]


def alerts(story: Story) -> list[tuple[str, Any]]:
    return [(row["kind"], row["model_id"]) for row in rows(story.url, "SELECT kind, model_id FROM alert ORDER BY id")]


TOLD = [("new", "acme/new"), ("removed", "acme/gone"), ("repriced", "acme/priced")]

#: where it dies, and how often the message has arrived then
POINTS = [
    ("kill-before", f"{ALERTS}:Deliverer.deliver_due", 0),
    ("kill-after", "llmhive.store.alerts:take_lease", 0),
    ("kill-before", f"{ALERTS}:_post", 0),
    ("kill-after", f"{ALERTS}:_post", 1),
    ("kill-before", "llmhive.store.alerts:delivered", 1),
    ("kill-after", "llmhive.store.alerts:delivered", 1),
]


@pytest.mark.parametrize(("when", "point", "sent"), POINTS, ids=[f"{w}-{p.rpartition(':')[2]}" for w, p, _ in POINTS])
def test_a_killed_delivery_is_done_again_with_the_same_ids(
    when: str, point: str, sent: int, story: Story, receiver: Receiver
) -> None:
    story.begin()

    result = finish(story.victim(when, point).start("sync"))

    assert result.code == -signal.SIGKILL, result
    assert story.runs() == ["completed", "completed"]
    assert alerts(story) == TOLD
    assert deliveries(story) == [("pending", 0)]
    assert len(receiver.got) == sent

    # who comes next waits for the dead one's lease to run out
    finish(story.llmhive.start("sync"))
    is_leased = "deliver_due" not in point and point != "llmhive.store.alerts:take_lease"
    assert len(receiver.got) == (sent if is_leased else 1)
    forget_the_lease(story)
    finish(story.llmhive.start("sync"))

    assert deliveries(story) == [("delivered", 1)]
    assert len(receiver.got) == sent + 1
    assert len({(message, tuple(events)) for message, events in (got.ids for got in receiver.got)}) == 1
    assert [event["model"] for event in receiver.got[0].json["events"]] == ["acme/new", "acme/priced"]


def test_killed_after_it_was_marked_it_is_not_repeated(story: Story, receiver: Receiver) -> None:
    story.begin()
    point = f"{ALERTS}:Deliverer._write_success"
    assert finish(story.victim("kill-after", point).start("sync")).code == -signal.SIGKILL
    forget_the_lease(story)
    finish(story.llmhive.start("sync"))
    assert deliveries(story) == [("delivered", 1)]
    assert len(receiver.got) == 1


WITHIN = [
    ("kill-before", "llmhive.store.alerts:write"),
    ("kill-after", "llmhive.store.alerts:write"),
    ("kill-before", "llmhive.store.runs:end"),
    ("kill-after", "llmhive.store.runs:end"),
]


@pytest.mark.parametrize(("when", "point"), WITHIN, ids=[f"{w}-{p.rpartition(':')[2]}" for w, p in WITHIN])
def test_killed_in_the_transaction_there_is_neither_change_nor_alert(
    when: str, point: str, story: Story, receiver: Receiver
) -> None:
    story.begin()
    before = story.now()
    assert finish(story.victim(when, point).start("sync")).code == -signal.SIGKILL
    assert story.now() == before
    assert alerts(story) == []

    assert story.llmhive("sync")["status"] == "completed"

    assert alerts(story) == TOLD
    assert deliveries(story) == [("delivered", 1)]


def test_many_at_once_deliver_it_once(story: Story, receiver: Receiver) -> None:
    story.begin()
    assert finish(story.victim("kill-before", f"{ALERTS}:Deliverer.deliver_due").start("sync")).code < 0
    with story.processes(4, "sync") as started:
        for process in started:
            assert finish(process).code == 0
    assert deliveries(story) == [("delivered", 1)]
    assert len(receiver.got) == 1


def test_a_failure_and_its_alert_are_one(story: Story, receiver: Receiver) -> None:
    from tests.fake_openrouter import status

    story.begin(OLD)
    story.fake.serve(status(403))
    point = "llmhive.store.alerts:write_of_run"
    assert finish(story.victim("kill-after", point).start("sync")).code == -signal.SIGKILL
    assert (story.runs(), alerts(story)) == (["completed", "running"], [])
    assert finish(story.llmhive.start("sync")).code == 1
    assert story.runs() == ["completed", "interrupted", "failed"]
    assert alerts(story) == [("run_failed", None)]
    assert len(receiver.got) == 1
