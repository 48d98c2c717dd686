"""What is believed and what is served, walked through hour by hour: holds, accept, rollback, pin, backfill, bootstrap.

Each step is the real thing on a real database, by a clock of the test's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from llmhive.app.library import Catalog
from llmhive.app.openrouter import rollback as back
from llmhive.app.openrouter.accept import accept
from llmhive.app.openrouter.backfill import backfill
from llmhive.app.openrouter.rederive import rederive
from llmhive.app.settings import read
from llmhive.catalog.gate import Limits
from llmhive.catalog.query import Query
from llmhive.catalog.run import Run
from llmhive.errors import Conflict, UsageError
from llmhive.store.database import Database
from tests.fake_openrouter import FakeOpenRouter, Record, catalog, model, ok
from tests.support import dump, rows, runner_at, sync_at

START = datetime(2026, 6, 1, tzinfo=UTC)
OTHERS = [model(f"acme/other-{number:02}") for number in range(40)]
CHEAP = {"prompt": "0.0000005", "completion": "0.0000015"}
#: what a run writes whatever it does
BOOKKEEPING = ("sync_run", "capture", "body", "verdict")


def listing(*records: Record) -> bytes:
    """A list of forty models that never change, and some that do."""
    return catalog(*OTHERS, *records)


def priced(prompt: str, model_id: str = "acme/one", **more: Any) -> Record:
    return model(model_id, pricing=CHEAP | {"prompt": prompt}, **more)


@dataclass
class World:
    """A catalog, OpenRouter and a clock that says how many hours after the start it is."""

    database: Database
    url: str
    fake: FakeOpenRouter
    folder: Path

    def at(self, hours: float) -> datetime:
        return START + timedelta(hours=hours)

    def sync(self, hours: float, body: bytes | None = None, *, etag: str | None = None, **options: Any) -> Run:
        if body is not None:
            self.fake.serve(ok(body, etag=etag))
        return sync_at(self.url, self.fake.base_url, self.at(hours), **options)

    def accept(self, hours: float, run: Run) -> Run:
        return accept(runner_at(self.database, self.at(hours)), run.id or 0, Limits(), trigger="test")

    def snapshot(self, hours: float, name: str) -> None:
        back.snapshot(self.database, name, at=self.at(hours))

    def rollback(self, hours: float, name: str, **options: Any) -> Run:
        return back.rollback(runner_at(self.database, self.at(hours)), name, trigger="test", **options)

    def unpin(self) -> str | None:
        return back.unpin(self.database)

    def backfill(self, hours: float, bodies: Mapping[int, bytes] | Mapping[float, bytes], **options: Any) -> Run:
        folder = self.folder / f"captures-{hours}"
        folder.mkdir()
        for when, body in bodies.items():
            (folder / f"{self.at(when):%Y-%m-%dT%H%M%SZ}_test.json").write_bytes(body)
        return backfill(runner_at(self.database, self.at(hours)), folder, Limits(), trigger="test", **options)

    def open(self) -> Catalog:
        return Catalog.open(self.url, settings=read({}, Path("none")))

    def price(self, model_id: str = "acme/one", **when: Any) -> str | None:
        """The prompt price that the catalog answers with."""
        with self.open() as opened:
            page = opened.models(Query(text=model_id, active=None), **when)
        [found] = [row for row in page.data if row["id"] == model_id]
        return found["pricing"]["prompt"]  # type: ignore[no-any-return]

    def held(self, model_id: str = "acme/one") -> dict[str, Any]:
        with self.open() as opened:
            return opened.model(model_id)["held"]  # type: ignore[no-any-return]

    def active(self, **when: Any) -> set[str]:
        with self.open() as opened:
            return {row["id"] for row in opened.models(**when).data} - {record["id"] for record in OTHERS}

    def verdicts(self, run: Run) -> list[tuple[str, str, str | None, str | None]]:
        with self.open() as opened:
            found = opened.run(run.id or 0).verdicts or ()
        return [(it["rule"], it["outcome"], it["model_id"], it["field"]) for it in found]

    def changes(self) -> list[tuple[str, str, str]]:
        """What is news, oldest first."""
        with self.open() as opened:
            found = opened.changes(START - timedelta(days=400))
        return [(it["what"], it["model_id"], it["field"]) for it in reversed(found)]


@pytest.fixture
def world(database: Database, database_url: str, fake: FakeOpenRouter, tmp_path: Path) -> World:
    return World(database, database_url, fake, tmp_path)


# --- a run that is held


def test_held_then_good_then_accept_is_refused(world: World) -> None:
    world.sync(0, listing(priced("0.000001")))
    held = world.sync(6, catalog(*OTHERS[:20]))
    assert held.status == "held"
    assert world.sync(12, listing(priced("0.000002"))).status == "completed"
    before = dump(world.url)
    with pytest.raises(Conflict, match="a newer answer has taken its place"):
        world.accept(13, held)
    after = dump(world.url)
    assert {name for name in before if before[name] != after[name]} <= {"sync_run"}
    assert world.price() == "0.000002"


def test_held_then_accepted_is_believed_and_served_from_when_it_was_fetched(world: World) -> None:
    world.sync(0, listing(priced("0.000001")))
    held = world.sync(6, catalog(*OTHERS[:20]))
    accepted = world.accept(8, held)
    assert (accepted.status, accepted.deactivated) == ("completed", 21)
    assert accepted.notes[0] == f"Accepted what run {held.id} held."
    assert world.verdicts(accepted) == [("removal", "accepted", None, None)]
    assert world.active() == set()
    assert world.active(as_of=world.at(5.9)) == {"acme/one"}
    assert world.active(as_of=world.at(6)) == set()
    assert world.active(known_at=world.at(7.9)) == {"acme/one"}
    assert world.active(known_at=world.at(8)) == set()
    [state] = rows(world.url, "SELECT state FROM capture WHERE run_id = :run", run=held.id)
    assert state == {"state": "accepted"}
    # and the catalog goes on from there
    assert world.sync(12).status == "unchanged"
    with pytest.raises(Conflict):
        world.accept(13, held)


def test_of_two_held_answers_only_the_newest_waits(world: World) -> None:
    world.sync(0, listing(priced("0.000001")))
    first = world.sync(6, catalog(*OTHERS[:20]))
    second = world.sync(12, catalog(*OTHERS[:30]))
    with pytest.raises(Conflict):
        world.accept(13, first)
    assert world.accept(13, second).deactivated == 11


def test_what_is_accepted_is_waived_and_nothing_else(world: World) -> None:
    world.sync(0, listing(priced("0.000001")))
    fewer = world.sync(6, catalog(*OTHERS[:20]))
    # meanwhile history learns that just this list was served a month before
    world.backfill(7, {-720: catalog(*OTHERS[:20])}, scope="all")
    held = world.accept(8, fewer)
    assert held.status == "held"
    assert {(rule, outcome) for rule, outcome, _, _ in world.verdicts(held)} == {
        ("repeat", "held"), ("removal", "accepted"),
    }  # fmt: skip
    assert world.active() == {"acme/one"}
    # the answer still waits, for this run's rule now
    with pytest.raises(Conflict):
        world.accept(9, fewer)
    assert world.accept(9, held).deactivated == 21
    assert world.active() == set()


def test_a_run_that_held_nothing_cannot_be_accepted(world: World) -> None:
    run = world.sync(0, listing(priced("0.000001")))
    with pytest.raises(Conflict, match="held nothing"):
        world.accept(1, run)


# --- a value that is held


def test_a_held_value_is_believed_when_a_second_sync_says_the_same(world: World) -> None:
    world.sync(0, listing(priced("0.000001")))
    fell = world.sync(6, listing(priced("0.00000001")))
    assert (fell.status, fell.held, fell.repriced) == ("completed", 1, 0)
    assert world.verdicts(fell) == [("price_fall", "held", "acme/one", "pricing.prompt")]
    assert world.price() == "0.000001"
    assert world.held()["pricing.prompt"]["served"] == "0.00000001"
    # too soon to confirm it
    again = world.sync(6.25, force=True)
    assert (again.status, again.held, world.price()) == ("unchanged", 1, "0.000001")
    confirmed = world.sync(12)
    assert (confirmed.status, confirmed.repriced, confirmed.held) == ("completed", 1, 0)
    assert world.verdicts(confirmed) == [("price_fall", "released", "acme/one", "pricing.prompt")]
    assert (world.price(), world.held()) == ("0.00000001", {})
    assert rows(world.url, "SELECT id FROM model_price WHERE is_held") == []
    # what was served then was served then, whatever was believed
    assert world.price(as_of=world.at(7)) == "0.00000001"
    assert world.price(known_at=world.at(7)) == "0.000001"
    assert world.price(known_at=world.at(12)) == "0.00000001"


def test_not_modified_confirms_a_held_value(world: World) -> None:
    world.sync(0, listing(priced("0.000001")), etag='"a"')
    world.sync(6, listing(priced("0")), etag='"b"')
    assert world.price() == "0.000001"
    confirmed = world.sync(12)
    assert world.fake.requests[-1].headers["if-none-match"] == '"b"'
    assert confirmed.repriced == 1
    assert world.price() == "0"
    assert world.sync(18).status == "unchanged"


def test_a_held_value_that_goes_back_is_never_believed_and_stays_marked(world: World) -> None:
    world.sync(0, listing(priced("0.000001")))
    world.sync(6, listing(priced("0.00000001")))
    back_again = world.sync(12, listing(priced("0.000001")))
    assert (back_again.repriced, back_again.held) == (0, 0)
    assert (world.price(), world.held()) == ("0.000001", {})
    marked = rows(world.url, "SELECT unit, CAST(rate AS TEXT) AS rate FROM model_price WHERE is_held")
    assert marked == [{"unit": "prompt", "rate": "0.00000001"}]
    with world.open() as opened:
        [then] = [it for it in opened.models(as_of=world.at(7)).data if it["id"] == "acme/one"]
    assert then["pricing"]["prompt"] == "0.00000001"
    assert "pricing.prompt" in then["held"]
    assert world.changes() == []


def test_a_held_value_that_changes_again_waits_anew(world: World) -> None:
    world.sync(0, listing(priced("0.000001")))
    world.sync(6, listing(priced("0.00000001")))
    world.sync(12, listing(priced("0.00000002")))
    assert world.price() == "0.000001"
    world.sync(18)
    assert world.price() == "0.00000002"


def test_a_held_value_lets_everything_else_through(world: World) -> None:
    world.sync(0, listing(priced("0.000001")))
    run = world.sync(6, listing(priced("0.00000001", name="Renamed"), model("acme/new")))
    assert (run.added, run.changed, run.held) == (1, 1, 1)
    with world.open() as opened:
        assert opened.model("acme/one")["name"] == "Renamed"
    assert world.price() == "0.000001"


def test_held_values_can_be_accepted(world: World) -> None:
    world.sync(0, listing(priced("0.000001"), priced("0.000001", "acme/two")))
    held = world.sync(6, listing(priced("0.00000001"), priced("0.001", "acme/two")))
    assert held.held == 2
    accepted = world.accept(6.2, held)
    assert (accepted.status, accepted.repriced) == ("completed", 2)
    assert (world.price(), world.price("acme/two")) == ("0.00000001", "0.001")
    assert rows(world.url, "SELECT id FROM model_price WHERE is_held") == []
    with pytest.raises(Conflict, match="waits any more"):
        world.accept(7, held)
    assert world.sync(12).status == "unchanged"


def test_a_lost_context_length_is_held_until_confirmed(world: World) -> None:
    world.sync(0, listing(model("acme/one")))
    lost = world.sync(6, listing(model("acme/one", context_length=0)))
    assert world.verdicts(lost) == [("context_lost", "held", "acme/one", "context_length")]
    with world.open() as opened:
        assert opened.model("acme/one")["context_length"] == 131072
    world.sync(12)
    with world.open() as opened:
        assert opened.model("acme/one")["context_length"] == 0


# --- an old answer


def test_an_answer_served_before_is_flagged_and_one_too_old_is_held(world: World) -> None:
    old, new = listing(priced("0.000001")), listing(priced("0.0000012"))
    world.sync(0, old)
    world.sync(24, new)
    flagged = world.sync(48, old)
    assert (flagged.status, flagged.repriced) == ("completed", 1)
    assert world.verdicts(flagged) == [("repeat", "flagged", None, None)]
    world.sync(72, new)
    held = world.sync(48 + 7 * 24 + 1, old)
    assert held.status == "held"
    assert world.verdicts(held) == [("repeat", "held", None, None)]
    assert world.price() == "0.0000012"


# --- rollback


def test_rollback_then_sync(world: World) -> None:
    world.sync(0, listing(priced("0.000001"), model("acme/leaving")))
    world.snapshot(1, "good")
    world.sync(6, listing(priced("0.0000012"), model("acme/new")))
    then = [row for row in dump(world.url)["model_catalog"] if row["id"] != "acme/new"]

    planned = world.rollback(7, "good", dry_run=True)
    assert rows(world.url, "SELECT COUNT(*) AS n FROM sync_run") == [{"n": 2}]
    done = world.rollback(7, "good")

    assert done.kind == "rollback"
    assert (done.status, done.repriced, done.deactivated, done.reactivated) == ("completed", 1, 1, 1)
    with world.open() as opened:
        assert opened.run(done.id or 0).plan == planned.plan
    assert world.price() == "0.000001"
    assert world.active() == {"acme/one", "acme/leaving"}
    # served history does not move
    assert world.price(as_of=world.at(8)) == "0.0000012"
    # the next sync says what it changes back, though OpenRouter says what it said
    foreseen = world.sync(12, dry_run=True)
    assert (foreseen.repriced, foreseen.deactivated, foreseen.reactivated) == (1, 1, 1)
    synced = world.sync(12)
    assert (synced.status, synced.repriced, synced.deactivated, synced.reactivated) == ("completed", 1, 1, 1)
    assert world.sync(18).status == "unchanged"
    # a rollback can be rolled back
    undone = world.rollback(19, f"before-run-{done.id}")
    assert undone.status == "unchanged"
    now = [row for row in dump(world.url)["model_catalog"] if row["id"] != "acme/new"]
    assert now == then


def test_the_first_sync_after_a_rollback_holds_no_value(world: World) -> None:
    world.sync(0, listing(priced("0.000001")))
    world.snapshot(1, "dear")
    world.sync(6, listing(priced("0.00000001")))
    world.sync(12)
    assert world.price() == "0.00000001"
    world.rollback(13, "dear")
    assert world.price() == "0.000001"
    caught_up = world.sync(18)
    assert (caught_up.held, caught_up.repriced) == (0, 1)
    assert world.price() == "0.00000001"


def test_what_is_believed_after_a_rollback_is_no_longer_marked_as_held(world: World) -> None:
    world.sync(0, listing(priced("0.000001")))
    world.snapshot(1, "dear")
    world.sync(6, listing(priced("0")))
    assert rows(world.url, "SELECT unit FROM model_price WHERE is_held") == [{"unit": "prompt"}]
    world.snapshot(7, "held")
    world.rollback(8, "dear")
    caught_up = world.sync(12)
    assert world.verdicts(caught_up) == [("price_fall", "flagged", "acme/one", "pricing.prompt")]
    assert world.price() == "0"
    assert rows(world.url, "SELECT unit FROM model_price WHERE is_held") == []
    # the same after a snapshot in which it was held
    world.rollback(13, "held")
    assert world.held()
    world.sync(18)
    assert (world.price(), world.held()) == ("0", {})
    rederive(runner_at(world.database, world.at(19)), trigger="test")
    assert rows(world.url, "SELECT unit FROM model_price WHERE is_held") == []


def test_a_held_answer_after_a_rollback_leaves_the_snapshot_believed(world: World) -> None:
    world.sync(0, listing(priced("0.000001")))
    world.snapshot(1, "good")
    world.sync(6, listing(priced("0.0000012")))
    world.rollback(7, "good")
    assert world.sync(12, catalog()).status == "held"
    assert world.price() == "0.000001"
    assert world.sync(18, listing(priced("0.0000012"))).repriced == 1


# --- pin


def test_pin_sync_unpin(world: World) -> None:
    world.sync(0, listing(priced("0.000001")))
    world.snapshot(1, "here")
    world.sync(6, listing(priced("0.0000012")))
    assert world.rollback(7, "here", pin=True).notes[-1].startswith("Pinned")
    before = dump(world.url)

    pinned = world.sync(12, listing(priced("0.0000014"), model("acme/new")))

    assert pinned.status == "completed"
    assert (pinned.added, pinned.repriced) == (0, 0)
    assert "pinned to the snapshot 'here'" in pinned.notes[0]
    after = dump(world.url)
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {*BOOKKEEPING, "served_version", "model_price", "transition", "version", "description"}
    assert world.price() == "0.000001"
    assert world.price(as_of=world.at(12)) == "0.0000014"
    with world.open() as opened:
        assert opened.status()["pinned"] == "here"
        assert [it["is_pinned"] for it in opened.snapshots() if it["name"] == "here"] == [True]
    # what it holds is recorded, and nothing can be accepted
    held = world.sync(18, catalog())
    assert held.status == "held"
    with pytest.raises(Conflict, match="unpin"):
        world.accept(19, held)
    with pytest.raises(Conflict, match="unpin"):
        world.rollback(19, "here")

    before = dump(world.url, without=("catalog_state",))
    assert world.unpin() == "here"
    assert dump(world.url, without=("catalog_state",)) == before
    assert world.unpin() is None
    caught_up = world.sync(24, listing(priced("0.0000014"), model("acme/new")))
    assert (caught_up.status, caught_up.repriced, caught_up.added) == ("completed", 1, 1)
    assert world.price() == "0.0000014"
    assert world.sync(30).status == "unchanged"


def test_what_came_and_went_while_pinned_is_known_afterwards(world: World) -> None:
    world.sync(0, listing(priced("0.000001")))
    world.snapshot(1, "here")
    world.rollback(2, "here", pin=True)
    world.sync(6, listing(priced("0.000001"), model("acme/brief")))
    world.sync(12, listing(priced("0.000001")))
    world.backfill(13, {-48: listing(priced("0.000001"), model("acme/older"))})
    assert world.active(known_at=world.at(13)) == {"acme/one"}
    world.unpin()
    world.sync(18)
    with world.open() as opened:
        for model_id, first, last, gone in (
            ("acme/brief", "2026-06-01T06:00:00Z", "2026-06-01T06:00:00Z", "2026-06-01T12:00:00Z"),
            ("acme/older", "2026-05-30T00:00:00Z", "2026-05-30T00:00:00Z", "2026-06-01T00:00:00Z"),
        ):
            found = opened.model(model_id)
            assert (found["is_active"], found["source"]) == (False, "openrouter")
            assert (found["first_seen_at"], found["last_seen_at"], found["deactivated_at"]) == (first, last, gone)
    assert world.active() == {"acme/one"}
    assert world.sync(24, listing(priced("0.000001"), model("acme/brief"))).reactivated == 1


def test_pinned_to_another_snapshot(world: World) -> None:
    world.sync(0, listing(priced("0.000001")))
    world.snapshot(1, "one")
    world.sync(6, listing(priced("0.0000012")))
    world.snapshot(7, "two")
    world.rollback(8, "one", pin=True)
    world.rollback(9, "two", pin=True)
    assert world.price() == "0.0000012"
    with world.open() as opened:
        assert opened.status()["pinned"] == "two"


# --- backfill


def test_older_captures_after_live_syncs(world: World) -> None:
    world.sync(0, listing(priced("0.000001")))
    world.sync(6, listing(priced("0.0000012")))
    before = [row | {"first_seen_at": None} for row in dump(world.url)["model_catalog"]]

    older = {-48: listing(priced("0.000003"), model("acme/gone")), -24: listing(priced("0.000002"))}
    run = world.backfill(7, older)

    assert run.kind == "backfill"
    assert (run.status, run.deactivated, run.repriced) == ("completed", 0, 0)
    now = [row | {"first_seen_at": None} for row in dump(world.url)["model_catalog"] if row["id"] != "acme/gone"]
    assert now == before
    prices = [world.price(as_of=world.at(hours)) for hours in (-48, -25, -24, -1, 0, 6)]
    assert prices == ["0.000003", "0.000003", "0.000002", "0.000002", "0.000001", "0.0000012"]
    assert world.active(as_of=world.at(-48)) == {"acme/one", "acme/gone"}
    assert world.active() == {"acme/one"}
    with world.open() as opened:
        gone = opened.model("acme/gone")
        assert (gone["is_active"], gone["deactivated_at"]) == (False, "2026-05-31T00:00:00Z")
        assert opened.model("acme/one")["first_seen_at"] == "2026-05-30T00:00:00Z"
        with pytest.raises(UsageError, match="history begins 2026-05-30"):
            opened.models(as_of=world.at(-49))
    # known then is what was known then
    assert world.price(known_at=world.at(1)) == "0.000001"
    assert world.sync(12).status == "unchanged"


def test_captures_between_live_ones_are_inserted_in_their_place(world: World) -> None:
    world.sync(0, listing(priced("0.000001")))
    world.sync(12, listing(priced("0.000002")))
    world.backfill(13, {6: listing(priced("0.0000015")), 12.5: listing(priced("0.000002"))})
    assert [world.price(as_of=world.at(h)) for h in (5, 6, 11, 12)] == [
        "0.000001",
        "0.0000015",
        "0.0000015",
        "0.000002",
    ]
    assert rows(world.url, "SELECT COUNT(*) AS n FROM served_version WHERE model_id = 'acme/one'") == [{"n": 3}]


def test_captures_newer_than_the_last_sync_are_believed(world: World) -> None:
    world.sync(0, listing(priced("0.000001"), model("acme/leaving")))
    held = world.sync(6, catalog())
    run = world.backfill(30, {24: listing(priced("0.000002"))})
    assert (run.repriced, run.deactivated) == (1, 1)
    assert world.price() == "0.000002"
    assert world.price(known_at=world.at(29)) == "0.000001"
    assert world.price(known_at=world.at(30)) == "0.000002"
    with pytest.raises(Conflict):
        world.accept(31, held)


def test_a_newer_capture_believes_what_was_held(world: World) -> None:
    world.sync(0, listing(priced("0.000001")))
    world.sync(6, listing(priced("0")))
    assert world.held()
    run = world.backfill(30, {24: listing(priced("0"))})
    assert world.verdicts(run) == [("price_fall", "flagged", "acme/one", "pricing.prompt")]
    assert (world.price(), world.held()) == ("0", {})
    assert rows(world.url, "SELECT unit FROM model_price WHERE is_held") == []
    rederive(runner_at(world.database, world.at(31)), trigger="test")
    assert rows(world.url, "SELECT unit FROM model_price WHERE is_held") == []


def test_a_held_answer_newer_than_every_backfilled_one_still_waits(world: World) -> None:
    world.sync(0, listing(priced("0.000001")))
    held = world.sync(6, catalog(*OTHERS[:20]))
    world.backfill(7, {3: listing(priced("0.000002"))})
    assert world.price() == "0.000002"
    assert world.accept(8, held).deactivated == 21
    assert world.active() == set()


def test_the_same_captures_again_change_nothing(world: World) -> None:
    bodies = {-48: listing(priced("0.000003")), -24: listing(priced("0.000002"))}
    world.backfill(0, bodies)
    before = dump(world.url, without=("sync_run",))
    again = world.backfill(1, bodies)
    assert (again.status, dump(world.url, without=("sync_run",))) == ("unchanged", before)


def test_what_cannot_be_true_is_refused_and_the_rest_taken_in(world: World) -> None:
    run = world.backfill(0, {
        -72: listing(priced("0.000003")), -60: catalog(), -48: b"<html>", -36: b'{"data": [', 9000: listing(),
        -24: listing(priced("0.000002")),
        -12: json.dumps({"data": OTHERS, "total_count": 7}).encode(),
    })  # fmt: skip
    assert run.status == "completed"
    assert run.notes[0].startswith("Took 2 captures into history")
    assert run.notes[1] == "5 were refused:"
    assert [rule for rule, _, _, _ in world.verdicts(run)] == ["empty", "total_count"]
    assert world.price() == "0.000002"
    assert world.price(as_of=world.at(-30)) == "0.000003"


def test_text_lists_after_all_modalities(world: World) -> None:
    image = model("acme/image", architecture={"output_modalities": ["image"]})
    world.sync(0, listing(priced("0.000001"), image, model("acme/leaving")))
    run = world.backfill(13, {12: listing(priced("0.000001"))})
    assert run.deactivated == 1
    assert world.active() == {"acme/one", "acme/image"}
    assert world.active(as_of=world.at(12)) == {"acme/one", "acme/image"}
    assert world.sync(18, listing(priced("0.000001"), image)).status in {"unchanged", "completed"}
    assert world.active() == {"acme/one", "acme/image"}


def test_the_first_look_at_all_modalities_is_no_news(world: World) -> None:
    image = model("acme/image", architecture={"output_modalities": ["image"]})
    world.backfill(0, {-48: listing(priced("0.000001")), -24: listing(priced("0.000001"))})
    world.sync(6, listing(priced("0.000001"), image, model("acme/new")))
    world.sync(12, listing(priced("0.000001"), image, model("acme/new"), model("acme/newer")))
    world.sync(18)
    assert world.changes() == [("added", "acme/new", "is_listed"), ("added", "acme/newer", "is_listed")]


# --- bootstrap


def load_bootstrap(world: World, hours: float) -> None:
    """As a first sync without a network leaves it."""
    from tests.fake_openrouter import status

    world.fake.serve(status(503))
    assert sync_at(world.url, world.fake.base_url, world.at(hours), seconds=0.01).status == "failed"


def test_a_bootstrap_and_a_sync_months_later(world: World) -> None:
    load_bootstrap(world, 0)
    with world.open() as opened:
        assert opened.models().source == "bootstrap"
        facts = opened.models().data
    # half of it is gone, the other half costs a hundredth, and nothing is held
    kept = facts[: len(facts) // 2]
    cheaper = [model(it["id"], pricing={"prompt": "0.00000000001", "completion": "0"}) for it in kept]
    run = world.sync(24 * 120, catalog(*cheaper))
    assert (run.status, run.held) == ("completed", 0)
    assert world.verdicts(run) == []
    assert world.changes() == []
    assert any("replaced the bootstrap" in note for note in run.notes)
    assert world.sync(24 * 120 + 6).status == "unchanged"


@pytest.mark.parametrize("body", [catalog(), json.dumps({"data": OTHERS, "total_count": 9}).encode()])
def test_a_bootstrap_is_not_replaced_by_what_cannot_be_true(world: World, body: bytes) -> None:
    load_bootstrap(world, 0)
    assert world.sync(6, body).status == "held"
    with world.open() as opened:
        assert opened.models().source == "bootstrap"


def test_captures_older_than_a_bootstrap_are_history_only(world: World) -> None:
    load_bootstrap(world, 24 * 90)
    with world.open() as opened:
        before = {row["id"] for row in opened.models().data}
    world.backfill(24 * 91, {0: listing(priced("0.000001"))})
    with world.open() as opened:
        page = opened.models()
        assert page.source == "bootstrap"
        assert {row["id"] for row in page.data} == before
        assert opened.models(as_of=world.at(1)).total == 41
    assert world.sync(24 * 92, listing(priced("0.000002"))).status == "completed"
    assert world.price() == "0.000002"


# --- what is no change, and what is news


def windows(prompt_now: str) -> Record:
    """Half price by night, as the reference describes it: the headline is the price in force now."""
    return model(
        "acme/one",
        pricing={
            "prompt": prompt_now,
            "completion": "0.000002",
            "overrides": [
                {"utc_start": 800, "utc_end": 2000, "prompt": "0.000001"},
                {"utc_start": 2000, "utc_end": 800, "prompt": "0.0000005"},
            ],
        },
    )


def test_a_headline_that_moves_with_its_time_window_is_no_change(world: World) -> None:
    world.sync(9, listing(windows("0.000001")))
    assert world.price() == "0.000001"
    for hours, prompt in ((21, "0.0000005"), (33, "0.000001"), (45, "0.0000005")):
        run = world.sync(hours, listing(windows(prompt)))
        assert (run.repriced, run.changed, run.held) == (0, 0, 0)
        assert world.price() == prompt
    [row] = rows(world.url, "SELECT is_scheduled FROM model_catalog WHERE id = 'acme/one'")
    assert row["is_scheduled"]
    assert rows(world.url, "SELECT COUNT(*) AS n FROM served_version WHERE model_id = 'acme/one'") == [{"n": 1}]
    assert world.changes() == []
    # a scheduled price is evaluated at the instant asked about
    assert world.price(as_of=world.at(30)) == "0.0000005"
    assert world.price(as_of=world.at(34)) == "0.000001"


def test_each_real_event_is_news_once(world: World) -> None:
    def steps(*records: Record) -> bytes:
        return listing(*records)

    one, alias = priced("0.000001"), model("~acme/one-latest", alias_target={"slug": "acme/one", "name": "One"})
    world.sync(0, steps(one, alias))
    feeds = [
        steps(one, alias, model("acme/new")),
        steps(priced("0.0000012"), alias, model("acme/new")),
        steps(priced("0.0000012", context_length=200_000), alias, model("acme/new")),
        steps(priced("0.0000012", context_length=200_000, supported_parameters=["tools"]), alias, model("acme/new")),
        steps(priced("0.0000012", context_length=200_000, supported_parameters=["tools"], expiration_date="2026-12-01"),
              alias, model("acme/new")),
    ]  # fmt: skip
    last = priced("0.0000012", context_length=200_000, supported_parameters=["tools"], expiration_date="2026-12-01")
    moved = model("~acme/one-latest", alias_target={"slug": "acme/new", "name": "New"})
    feeds += [steps(last, moved, model("acme/new")), steps(last, moved), steps(last, moved, model("acme/new"))]
    for position, body in enumerate(feeds):
        world.sync(24 + 36 * position, body)
        world.sync(30 + 36 * position)
    assert world.changes() == [
        ("added", "acme/new", "is_listed"),
        ("repriced", "acme/one", "pricing.prompt"),
        ("limits", "acme/one", "context_length"),
        ("capabilities", "acme/one", "supported_parameters"),
        ("expiry", "acme/one", "expiration_date"),
        ("alias", "~acme/one-latest", "alias_target"),
        ("removed", "acme/new", "is_listed"),
        ("returned", "acme/new", "is_listed"),
    ]


def test_a_flap_is_history_and_no_news(world: World) -> None:
    here, gone = listing(priced("0.000001"), model("acme/flaky")), listing(priced("0.0000012"))
    world.sync(0, here)
    world.sync(6)
    for hours in (12, 24, 36):
        world.sync(hours, gone)
        world.sync(hours + 6, here)
    world.sync(60)
    assert world.changes() == []
    assert rows(world.url, "SELECT COUNT(*) AS n FROM served_version WHERE model_id = 'acme/flaky'") == [{"n": 7}]
    with world.open() as opened:
        assert len(opened.history("acme/one")["entries"]) == 7


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        ("ABBABBBB", [("A", "B", False)]), ("ABBAABBBB", [("A", "B", False)]), ("ABBABAAA", [("A", "B", True)]),
        ("ABBACC", [("A", "B", False), ("B", "C", False)]), ("ABABABAA", []), ("ABBBBBBBBBBBBBBAA", [
            ("A", "B", False), ("B", "A", False)]),
    ],
)  # fmt: skip
def test_what_a_flap_leaves_is_told_once(world: World, shown: str, told: list[tuple[str, str, bool]]) -> None:
    rate = {"A": "0.000001", "B": "0.0000012", "C": "0.0000014"}
    for position, letter in enumerate(shown):
        world.sync(2 * position, listing(priced(rate[letter])))
    live = news(world.url)
    with world.open() as opened:
        found = list(reversed(opened.changes(START)))
    name = {value: letter for letter, value in rate.items()}
    assert [(name[it["before"]], name[it["after"]], it["reverted_at"] is not None) for it in found] == told
    rederive(runner_at(world.database, world.at(99)), trigger="test")
    assert news(world.url) == live


def test_the_same_news_whether_it_came_live_or_by_backfill(world: World) -> None:
    bodies = {
        -96: listing(priced("0.000001")), -90: listing(priced("0.000001"), model("acme/new")),
        -84: listing(priced("0.0000012"), model("acme/new")), -78: listing(priced("0.0000012")),
        -54: listing(priced("0.0000012")), -48: listing(priced("0.0000014")), -30: listing(priced("0.0000014")),
    }  # fmt: skip
    for hours, body in bodies.items():
        world.sync(hours, body)
    live = news(world.url)
    assert live
    for hours, body in reversed(bodies.items()):
        # each again, one by one, a second later: nothing but the order of arrival is different
        world.backfill(hours, {hours + 1 / 3600: body})
    assert news(world.url) == live


def news(url: str) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in row.items() if name != "id"}
        for row in rows(
            url, "SELECT model_id, what, field, happened_at, reverted_at FROM change ORDER BY happened_at, field"
        )
    ]
