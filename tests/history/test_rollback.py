"""Going back: a snapshot is restored to the last byte, whatever was synced since, and every way back is one itself.

The copies that are compared with are plain SQL dumps of `model_catalog`, taken when the snapshots were.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
import sqlalchemy as sa

from llmhive.app.openrouter.accept import accept
from llmhive.app.openrouter.pipeline import Pipeline
from llmhive.app.openrouter.rollback import rollback, unpin
from llmhive.catalog.diff import Change
from llmhive.catalog.gate import Limits
from llmhive.catalog.run import Run
from llmhive.errors import Conflict, NotFound, StoreError
from llmhive.store import catalog, history, runs, snapshots
from llmhive.store.captures import Capture
from llmhive.store.database import Database, connect
from tests import oracle
from tests.fake_openrouter import FakeOpenRouter, model, ok
from tests.fake_openrouter import catalog as body_of
from tests.support import Dump, Live, captures, dump, runner_at, served_ledger, sync_at

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
START = datetime(2026, 5, 1, tzinfo=UTC)
Copy = dict[str, tuple[Any, ...]]
Beliefs = dict[str, tuple[Any, ...]]

#: what a sync may write while the catalog is pinned: what was served, what the gate said, and its own bookkeeping
RECORDED = (
    "capture", "body", "version", "description", "served_version", "model_price", "transition", "verdict", "sync_run",
    "alert",
)  # fmt: skip


# --- independent copies


def copy_of(database: Database) -> Copy:
    """Every row of `model_catalog` by id, as the database itself prints it."""
    with database.read() as connection:
        found = connection.execute(sa.text("SELECT * FROM model_catalog"))
        place = list(found.keys()).index("id")
        return {row[place]: tuple(str(value) for value in row) for row in found}


def active(database: Database) -> set[str]:
    with database.read() as connection:
        return {row.id for row in connection.execute(sa.text("SELECT id FROM model_catalog WHERE is_active"))}


def believed(database: Database) -> Beliefs:
    """What is believed now, by the catalog's own rows."""
    with database.read() as connection:
        found = connection.execute(
            sa.text("SELECT id, is_active, version, CAST(held AS TEXT) AS held FROM model_catalog")
        )
        return {row.id: (bool(row.is_active), row.version, json.loads(row.held or "{}")) for row in found}


def known_at(database: Database, at: datetime) -> Beliefs:
    with database.read() as connection:
        return {
            model_id: (it.is_active, it.version.digest, {name: held.to_json() for name, held in it.held.items()})
            for model_id, it in catalog.known_at(connection, at).items()
        }


def snapshot(database: Database, name: str, at: datetime) -> None:
    with database.write() as connection:
        snapshots.take(connection, name, at=at)


def go_back(database: Database, name: str, at: datetime, **options: Any) -> Run:
    return rollback(runner_at(database, at), name, trigger="test", **options)


def is_back(database: Database, copy: Copy) -> None:
    """The catalog is the copy; whatever came later is there, and inactive."""
    now = copy_of(database)
    assert {model_id: now.get(model_id) for model_id in copy} == copy
    assert not active(database) & (now.keys() - copy.keys())


# --- real captures


@pytest.mark.long
@pytest.mark.history
@pytest.mark.timeout(600)
def test_any_of_twenty_snapshots_is_restored_exactly(database: Database) -> None:
    dice = random.Random(20260731)
    window = list(captures("history-12h"))[-200:]
    chosen = set(dice.sample(range(len(window)), 20))
    live = Live(database)
    copies: dict[str, Copy] = {}
    beliefs: dict[datetime, Beliefs] = {}
    for position, (at, body) in enumerate(window):
        live(at, body, "text")
        if position in chosen:
            snapshot(database, f"step-{position}", at + MINUTE)
            copies[f"step-{position}"] = copy_of(database)
            beliefs[at + MINUTE] = believed(database)
    served = served_ledger(database)
    at = window[-1][0] + HOUR
    order = sorted(copies)
    dice.shuffle(order)
    for name in order:
        before = copy_of(database)
        run = go_back(database, name, at)
        assert (run.kind, run.status) == ("rollback", "completed")
        is_back(database, copies[name])
        beliefs[at] = believed(database)
        if name in order[::7]:
            # it can itself be taken back
            taken_back = go_back(database, f"before-run-{run.id}", at + MINUTE)
            assert taken_back.status == "completed"
            assert copy_of(database) == before
            beliefs[at + MINUTE] = believed(database)
        at += HOUR
    assert served_ledger(database) == served
    for moment, then in beliefs.items():
        assert known_at(database, moment) == then
    # the next sync brings it up to date, whatever was gone back to
    last_at, last_body = window[-1]
    Live(database)(at, last_body, "text")
    assert last_at < at
    with database.read() as connection:
        assert not oracle.Watch().differences(connection, oracle.records(last_body))


@pytest.mark.history
def test_the_next_sync_says_what_it_changes_back(database: Database) -> None:
    window = list(captures("history-12h"))[-60:]
    live = Live(database)
    for at, body in window[:30]:
        live(at, body, "text")
    snapshot(database, "then", window[29][0] + MINUTE)
    then = copy_of(database)
    for at, body in window[30:]:
        live(at, body, "text")
    at, body = window[-1]
    back = go_back(database, "then", at + HOUR)
    is_back(database, then)

    capture = Capture(at + 2 * HOUR, "test", "text", sha256(body).hexdigest())
    judged = Pipeline(database, Limits()).plan(capture, body)
    taken = Live(database)(at + 2 * HOUR, body, "text")

    assert taken.status == "completed"
    assert taken.plan.changes == judged.plan.changes
    assert not taken.judgement.held  # the first sync after a rollback holds no value
    # it does the rollback backwards
    with database.read() as connection:
        planned = [Change(**change) for change in runs.get(connection, back.id or 0).plan or ()]
    there, again = lines(planned, backwards=True), lines(taken.plan.changes)
    assert there == again
    assert len(there) > 20
    with database.read() as connection:
        assert not oracle.Watch().differences(connection, oracle.records(body))


def lines(plan: Iterable[Change], *, backwards: bool = False) -> set[tuple[str, ...]]:
    """What a plan does, comparable; of a model that goes or comes only that it does."""
    changes = list(plan)
    moved = {it.id for it in changes if it.what in {"deactivated", "reactivated"}}
    found = set()
    for it in changes:
        values = [json.dumps(value, sort_keys=True, default=float) for value in (it.before, it.after)]
        if backwards:
            values.reverse()
        if it.id not in moved:
            found.add((it.id, it.what, it.field or "", *values))
        elif it.field == "is_active":
            found.add((it.id, *values))
    return found


# --- a small catalog


KEPT = [model(f"acme/model-{number:02}") for number in range(60)]
OLD = body_of(*KEPT, model("acme/priced"), model("acme/gone"))
NEW = body_of(*KEPT[1:], model("acme/priced", pricing={"prompt": "0.0000007"}), model("acme/new"))
NEWEST = body_of(*KEPT, model("acme/priced", pricing={"prompt": "0.0000009"}), model("acme/new"), model("acme/newer"))
#: a price that falls to nothing: held
FALLEN = body_of(*KEPT, model("acme/priced", pricing={"prompt": "0"}), model("acme/gone"))
#: half of it is gone: the run is held
HALVED = body_of(*KEPT[:30])


@pytest.fixture
def live(database: Database) -> Live:
    """The old catalog with a snapshot of it, and the new one."""
    taken = Live(database)
    taken(START, OLD)
    snapshot(database, "old", START + MINUTE)
    taken(START + HOUR, NEW)
    return taken


def without_bookkeeping(content: Dump) -> Dump:
    return {table: rows for table, rows in content.items() if table != "sync_run"}


def test_a_dry_run_shows_the_plan_and_writes_nothing(live: Live, database: Database, database_url: str) -> None:
    before = dump(database_url)
    rehearsed = go_back(database, "old", START + 2 * HOUR, dry_run=True)
    assert dump(database_url) == before
    done = go_back(database, "old", START + 2 * HOUR)
    assert rehearsed.dry_run
    assert rehearsed.id is None
    assert rehearsed.status == done.status == "completed"
    for name in ("models_seen", "added", "changed", "repriced", "deactivated", "reactivated", "unchanged"):
        assert getattr(rehearsed, name) == getattr(done, name), name
    with database.read() as connection:
        assert runs.get(connection, done.id or 0).plan == rehearsed.plan
    assert rehearsed.plan is not None
    assert [(it["id"], it["what"]) for it in rehearsed.plan] == [
        ("acme/gone", "reactivated"), ("acme/model-00", "reactivated"), ("acme/new", "deactivated"),
        ("acme/priced", "repriced"),
    ]  # fmt: skip


def test_a_rehearsed_pin_pins_nothing(live: Live, database: Database, database_url: str) -> None:
    before = dump(database_url)
    rehearsed = go_back(database, "old", START + 2 * HOUR, dry_run=True, pin=True)
    assert any("Pinned" in note for note in rehearsed.notes)
    assert dump(database_url) == before


def test_going_back_to_where_one_is_changes_nothing(live: Live, database: Database) -> None:
    snapshot(database, "here", START + 2 * HOUR)
    before, version = copy_of(database), state(database).catalog_version
    run = go_back(database, "here", START + 3 * HOUR)
    assert run.status == "unchanged"
    assert copy_of(database) == before
    assert state(database).catalog_version == version


def state(database: Database) -> catalog.State:
    with database.read() as connection:
        return catalog.state(connection)


def test_there_and_back_and_there_again(live: Live, database: Database) -> None:
    new = copy_of(database)
    first = go_back(database, "old", START + 2 * HOUR)
    old = copy_of(database)
    second = go_back(database, f"before-run-{first.id}", START + 3 * HOUR)
    assert copy_of(database) == new
    go_back(database, f"before-run-{second.id}", START + 4 * HOUR)
    assert copy_of(database) == old
    assert state(database).catalog_version == 5
    with database.read() as connection:
        names = [it.name for it in snapshots.all_of(connection)]
    assert names == ["before-run-5", "before-run-4", "before-run-3", "old"]


def test_what_was_believed_earlier_is_not_forgotten(live: Live, database: Database) -> None:
    moments = [START + MINUTE, START + HOUR + MINUTE]
    before = {at: known_at(database, at) for at in moments}
    go_back(database, "old", START + 2 * HOUR)
    live_again = Live(database)
    live_again(START + 3 * HOUR, NEWEST)
    assert {at: known_at(database, at) for at in moments} == before
    # between the rollback and the next sync the old catalog was believed again
    again = known_at(database, START + 2 * HOUR + MINUTE)
    assert {k: v for k, v in again.items() if k in before[moments[0]]} == before[moments[0]]
    assert again["acme/new"][0] is False


def test_a_held_value_comes_back_with_its_snapshot(live: Live, database: Database) -> None:
    held = live(START + 2 * HOUR, FALLEN)
    assert [verdict.rule for verdict in held.judgement.held] == ["price_fall"]
    snapshot(database, "doubtful", START + 2 * HOUR + MINUTE)
    doubtful = copy_of(database)
    assert live(START + 4 * HOUR, FALLEN).judgement.verdicts[0].outcome == "released"
    go_back(database, "doubtful", START + 5 * HOUR)
    is_back(database, doubtful)
    # belief was moved by hand: the first sync after it holds no value
    taken = Live(database)(START + 6 * HOUR, FALLEN)
    assert not taken.judgement.held
    with database.read() as connection:
        assert catalog.count_held(connection) == 0


def test_without_a_snapshot_of_that_name_there_is_advice(live: Live, database: Database, database_url: str) -> None:
    before = dump(database_url)
    with pytest.raises(NotFound, match="There are: old"):
        go_back(database, "odl", START + 2 * HOUR)
    with pytest.raises(NotFound, match="There are: old"):
        go_back(database, "odl", START + 2 * HOUR, dry_run=True)
    assert dump(database_url) == before


def test_a_damaged_snapshot_changes_nothing(live: Live, database: Database, database_url: str) -> None:
    with database.write() as connection:
        digest = snapshots.get(connection, "old").digest
        connection.execute(sa.text("UPDATE body SET data = :bad WHERE digest = :of"), {"bad": b"damaged", "of": digest})
    before = dump(database_url)
    with pytest.raises(StoreError, match="damaged"):
        go_back(database, "old", START + 2 * HOUR, dry_run=True)
    assert dump(database_url) == before
    with pytest.raises(StoreError, match="damaged"):
        go_back(database, "old", START + 2 * HOUR)
    assert without_bookkeeping(dump(database_url)) == without_bookkeeping(before)
    with database.read() as connection:
        assert runs.recent(connection, 1)[0].status == "failed"
    # and the next sync goes on
    assert Live(database)(START + 3 * HOUR, NEWEST).status == "completed"


# --- pinned


def test_while_pinned_syncs_only_record(live: Live, database: Database, database_url: str) -> None:
    old_version = state(database).catalog_version
    go_back(database, "old", START + 2 * HOUR, pin=True)
    assert state(database).pinned == "old"
    before = dump(database_url, without=RECORDED)
    pinned = Live(database)
    statuses = [
        pinned(START + 3 * HOUR, NEWEST).status,
        pinned(START + 4 * HOUR, NEWEST).status,
        pinned(START + 5 * HOUR, FALLEN).status,
        pinned(START + 6 * HOUR, HALVED).status,
    ]
    assert statuses == ["completed", "unchanged", "completed", "held"]
    assert dump(database_url, without=RECORDED) == before
    assert before.keys() >= {"model_catalog", "model_belief", "catalog_state", "snapshot"}
    # what was served is recorded all the same
    with database.read() as connection:
        listed = {key for key, it in history.as_of(connection, START + 4 * HOUR).items() if it.listing.is_listed}
        notes = runs.recent(connection, 4)[1].notes
    assert {"acme/newer", "acme/new"} <= listed
    assert "acme/gone" not in listed
    assert "pinned to the snapshot 'old'" in notes[0]

    with pytest.raises(Conflict, match="unpin"):
        accept(runner_at(database, START + 7 * HOUR), 7, Limits(), trigger="test")
    with pytest.raises(Conflict, match="pinned to 'old'"):
        go_back(database, "old", START + 7 * HOUR)
    assert dump(database_url, without=RECORDED) == before

    assert unpin(database) == "old"
    assert {**dump(database_url, without=RECORDED), "catalog_state": []} == {**before, "catalog_state": []}
    caught_up = Live(database)(START + 9 * HOUR, NEWEST)
    assert caught_up.status == "completed"
    assert not caught_up.judgement.held
    with database.read() as connection:
        assert not oracle.Watch().differences(connection, oracle.records(NEWEST))
    assert state(database).catalog_version > old_version
    assert unpin(database) is None


def test_pinning_to_another_snapshot_needs_no_unpin(live: Live, database: Database) -> None:
    snapshot(database, "new", START + 2 * HOUR)
    new = copy_of(database)
    go_back(database, "old", START + 3 * HOUR, pin=True)
    assert go_back(database, "new", START + 4 * HOUR, pin=True).status == "completed"
    assert state(database).pinned == "new"
    assert copy_of(database) == new


def test_a_whole_sync_while_pinned_and_after(empty_database_url: str, fake: FakeOpenRouter) -> None:
    url = empty_database_url
    fake.serve(ok(OLD, etag='"old"'))
    sync_at(url, fake.base_url, START)
    with closing(connect(url)) as database:
        snapshot(database, "old", START + MINUTE)
        old = copy_of(database)
        fake.serve(ok(NEW, etag='"new"'))
        assert sync_at(url, fake.base_url, START + HOUR).status == "completed"
        go_back(database, "old", START + 2 * HOUR, pin=True)
        pinned = copy_of(database)
        is_back(database, old)
        # OpenRouter says 304: it is not what is believed, and still nothing is changed
        for hours in (3, 4):
            rehearsed = sync_at(url, fake.base_url, START + hours * HOUR, dry_run=True)
            run = sync_at(url, fake.base_url, START + hours * HOUR)
            assert (rehearsed.status, run.status) == ("unchanged", "unchanged")
            assert copy_of(database) == pinned
        unpin(database)
        rehearsed = sync_at(url, fake.base_url, START + 6 * HOUR, dry_run=True)
        run = sync_at(url, fake.base_url, START + 6 * HOUR)
        assert run.status == "completed"
        with database.read() as connection:
            assert runs.get(connection, run.id or 0).plan == rehearsed.plan
            assert not oracle.Watch().differences(connection, oracle.records(NEW))
        # and now a 304 is the end of it again
        assert sync_at(url, fake.base_url, START + 7 * HOUR).status == "unchanged"
