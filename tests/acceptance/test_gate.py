"""What is readable but cannot be true is held: exit code 3, nothing applied."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from llmhive.catalog.run import Run
from tests.fake_openrouter import FakeOpenRouter, catalog, dump, model
from tests.support import Command, sync_at
from tests.support import dump as tables

MANY = [model(f"acme/model-{number:02}") for number in range(20)]
#: what a held run may write
LEDGER = ("sync_run", "capture", "body", "verdict", "alert")

IMPLAUSIBLE: list[tuple[str, bytes, str]] = [
    ("empty", catalog(), "no model"),
    ("too many gone", catalog(*MANY[:17]), "3 of 20 active models (15.0 %)"),
    ("total_count", dump({"data": MANY, "total_count": 21}), "21"),
    (
        "unreadable",
        catalog(*MANY[:18], *[model(r["id"], pricing={"prompt": "?"}) for r in MANY[18:]]),
        "cannot be read",
    ),
]


@pytest.mark.parametrize(("body", "reason"), [row[1:] for row in IMPLAUSIBLE], ids=[row[0] for row in IMPLAUSIBLE])
def test_an_implausible_answer_is_held(body: bytes, reason: str, llmhive: Command, fake: FakeOpenRouter) -> None:
    url = llmhive.env["DATABASE_URL"]
    fake.serve(catalog(*MANY))
    sync_at(url, fake.base_url, datetime.now(UTC) - timedelta(hours=2))
    before = tables(url, without=LEDGER)
    fake.serve(body)

    result = llmhive.run("sync", "--json")

    run = result.json
    assert result.code == 3, result
    assert (run["status"], run["held"]) == ("held", 1)
    assert reason in run["error"]
    assert result.messages[-1] == "Sync held"
    assert any("last good catalog" in note for note in run["notes"])
    assert tables(url, without=LEDGER) == before
    shown = llmhive("show", str(run["id"]))
    assert [verdict["outcome"] for verdict in shown["verdicts"]] == ["held"]
    status = llmhive("status")
    assert (status["last_sync_status"], status["models_in_catalog"]) == ("held", 20)
    assert status["held"]

    # the interval is not used up, and what is plausible again is applied
    fake.serve(catalog(*MANY, model("acme/next")))
    assert sync_at(url, fake.base_url, datetime.now(UTC)).added == 1
    assert not llmhive("status")["held"]


def test_people_are_told_what_was_held(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(catalog(*MANY))
    llmhive("sync")
    fake.serve(catalog(*MANY[:10]))
    result = llmhive.run("sync", "--force")  # force never lifts the gate
    assert result.code == 3
    assert result.stdout.startswith("Held by the gate")
    assert "10 of 20" in result.stdout


def test_the_removal_limit_is_a_setting(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(catalog(*MANY))
    llmhive("sync")
    fake.serve(catalog(*MANY[:17]))
    assert llmhive("sync", "--force", SYNC_REMOVAL_LIMIT_PERCENT=16)["deactivated"] == 3


def test_ten_percent_gone_is_applied(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(catalog(*MANY))
    llmhive("sync")
    fake.serve(catalog(*MANY[:18]))
    assert llmhive("sync", "--force")["deactivated"] == 2


def test_a_dry_run_of_a_held_answer_ends_with_3(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(catalog(*MANY))
    llmhive("sync")
    before = tables(llmhive.env["DATABASE_URL"])
    fake.serve(catalog())
    run = llmhive("sync", "--dry-run", code=3)
    assert (run["status"], run["id"]) == ("held", None)
    assert tables(llmhive.env["DATABASE_URL"]) == before


class Story:
    """Syncs by a clock of its own, each a real one on a real database."""

    start = datetime(2026, 6, 1, tzinfo=UTC)

    def __init__(self, url: str, fake: FakeOpenRouter) -> None:
        self.url, self.fake = url, fake

    def at(self, hours: float, body: bytes | None = None, **options: Any) -> Run:
        if body is not None:
            self.fake.serve(body)
        return sync_at(self.url, self.fake.base_url, self.start + timedelta(hours=hours), **options)


@pytest.fixture
def story(database_url: str, fake: FakeOpenRouter) -> Story:
    return Story(database_url, fake)


FEWER = catalog(*MANY[:15])


def test_four_syncs_over_24_hours_that_agree_release_a_removal(story: Story) -> None:
    story.at(0, catalog(*MANY))
    assert [story.at(hours, FEWER).status for hours in (6, 14, 22)] == ["held"] * 3
    released = story.at(30)
    assert (released.status, released.deactivated) == ("completed", 5)
    assert [v["outcome"] for v in _verdicts(story, released)] == ["released"]
    # and the catalog goes on from there
    assert story.at(36).status == "unchanged"


def test_four_syncs_within_24_hours_release_nothing(story: Story) -> None:
    story.at(0, catalog(*MANY))
    assert [story.at(hours, FEWER).status for hours in (6, 12, 18, 24, 29)] == ["held"] * 5
    assert story.at(30).status == "completed"


def test_three_syncs_over_24_hours_release_nothing(story: Story) -> None:
    story.at(0, catalog(*MANY))
    assert [story.at(hours, FEWER).status for hours in (6, 18, 31)] == ["held"] * 3


def test_syncs_that_disagree_release_nothing(story: Story) -> None:
    story.at(0, catalog(*MANY))
    others = catalog(*MANY[5:])
    assert [story.at(6 + 8 * i, others if i % 2 else FEWER).status for i in range(6)] == ["held"] * 6


def test_a_good_answer_in_between_starts_the_count_anew(story: Story) -> None:
    story.at(0, catalog(*MANY))
    for hours in (6, 14, 22):
        story.at(hours, FEWER)
    assert story.at(26, catalog(*MANY)).status == "unchanged"
    assert story.at(30, FEWER).status == "held"


def test_an_empty_list_is_never_released(story: Story) -> None:
    story.at(0, catalog(*MANY))
    assert [story.at(6 + 8 * i, catalog()).status for i in range(6)] == ["held"] * 6


def test_the_longer_ago_the_last_applied_feed_the_more_may_be_gone(story: Story) -> None:
    story.at(0, catalog(*MANY))
    assert story.at(24 * 59, FEWER).status == "held"  # 25 % gone, 24.75 % allowed
    assert story.at(24 * 61).status == "completed"


def test_not_modified_after_a_hold_cannot_hide_the_answer(story: Story) -> None:
    from tests.fake_openrouter import ok

    story.fake.serve(ok(catalog(*MANY), etag='"fake-good"'))
    story.at(0)
    story.fake.serve(ok(FEWER, etag='"fake-fewer"'))
    story.at(6)
    story.at(12)
    sent = [request.headers.get("if-none-match") for request in story.fake.requests]
    assert sent == [None, '"fake-good"', None]


def _verdicts(story: Story, run: Run) -> list[dict[str, Any]]:
    return [row for row in tables(story.url)["verdict"] if row["run_id"] == run.id]
