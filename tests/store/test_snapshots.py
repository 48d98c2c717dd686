"""Snapshots: named, kept whole, read back to the last byte or not at all."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from llmhive.catalog.gate import Limits
from llmhive.errors import Conflict, NotFound, StoreError, UsageError
from llmhive.store import catalog, snapshots
from llmhive.store.database import Database
from llmhive.store.snapshots import Snapshot
from llmhive.store.tables import body
from tests.fake_openrouter import catalog as body_of
from tests.fake_openrouter import model
from tests.support import Live, dump

START = datetime(2026, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)

#: odd ones among them: an alias, a router, a media model, a free one, and one that costs more for long prompts
MODELS = [
    model("acme/one"),
    model("~acme/latest"),
    model("openrouter/auto", pricing={"prompt": "-1", "completion": "-1"}),
    model("acme/image", architecture={"output_modalities": ["image"]}, pricing={"prompt": "0", "completion": "0"}),
    model("acme/one:free"),
    model("acme/tiny", pricing={"prompt": "0.00000008333333333333334"}),
    model("acme/quirky", description='Lines\nand "quotes" \u2028 and é', surprise={"a": [1, 2.50, None]}),
    model("acme/long", pricing={"overrides": [{"min_prompt_tokens": 200000, "prompt": "0.000002"}]}),
    model("acme/dated", expiration_date="2026-12-31"),
]


def take(database: Database, name: str, at: datetime = START) -> Snapshot:
    with database.write() as connection:
        return snapshots.take(connection, name, at=at)


@pytest.fixture
def live(database: Database) -> Live:
    taken = Live(database, Limits(context_percent=100.0))
    taken(START, body_of(*MODELS))
    return taken


def test_what_is_read_back_is_what_was_kept(live: Live, database: Database) -> None:
    # one held, one gone
    live(START + HOUR, body_of(model("acme/one", context_length=0), *MODELS[1:]))
    kept = take(database, "one", START + 2 * HOUR)
    with database.read() as connection:
        rows = catalog.rows(connection)
        assert snapshots.read(connection, kept) == rows
        assert rows["acme/one"].held["context_length"].served == 0
        found = snapshots.read(connection, snapshots.get(connection, "one"))
    assert found["acme/tiny"].prompt == Decimal("0.00000008333333333333334")
    assert found == rows
    assert {model_id: row.record.raw for model_id, row in found.items()} == {
        model_id: row.record.raw for model_id, row in rows.items()
    }


def test_what_a_snapshot_says_of_itself(live: Live, database: Database) -> None:
    kept = take(database, "one", START + HOUR)
    assert kept.to_json() == {
        "name": "one",
        "taken_at": "2026-05-01T01:00:00Z",
        "models": len(MODELS),
        "catalog_version": 1,
        "source": "openrouter",
        "as_of": "2026-05-01T00:00:00Z",
        "note": None,
    }


def test_an_empty_catalog_can_be_kept_too(database: Database) -> None:
    kept = take(database, "nothing")
    assert (kept.models, kept.source) == (0, None)
    with database.read() as connection:
        assert snapshots.read(connection, kept) == {}


def test_the_same_content_is_kept_once(live: Live, database: Database) -> None:
    one, two = take(database, "one"), take(database, "two", START + HOUR)
    assert one.digest == two.digest
    with database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(body)).scalar_one() == 2
        assert [it.name for it in snapshots.all_of(connection)] == ["two", "one"]


@pytest.mark.parametrize(
    "name", ["", "2026", "2026-05-01", "-x", ".x", "a b", "a/b", "a\n", "é", "a" * 65, "x;y", "'", "before run"]
)
def test_a_bad_name_is_refused_with_advice(name: str, live: Live, database: Database, database_url: str) -> None:
    before = dump(database_url)
    with pytest.raises(UsageError, match="Begin with a letter"):
        take(database, name)
    assert dump(database_url) == before


@pytest.mark.parametrize("name", ["a", "A", "before-run-7", "x" * 64, "Before.The_change-2"])
def test_a_good_name_is_taken(name: str, database: Database) -> None:
    assert take(database, name).name == name


def test_a_name_that_is_taken_is_a_conflict(live: Live, database: Database, database_url: str) -> None:
    take(database, "one")
    before = dump(database_url)
    with pytest.raises(Conflict, match="another name"):
        take(database, "one", START + HOUR)
    assert dump(database_url) == before


def test_an_unknown_name_tells_those_there_are(database: Database) -> None:
    with database.read() as connection, pytest.raises(NotFound, match="llmhive snapshot NAME"):
        snapshots.get(connection, "one")
    take(database, "one")
    with database.read() as connection, pytest.raises(NotFound, match="There are: one"):
        snapshots.get(connection, "two")


@pytest.mark.parametrize("damage", ["frame", "gone"])
def test_damage_is_noticed(live: Live, database: Database, damage: str) -> None:
    kept = take(database, "one")
    with database.write() as connection:
        if damage == "frame":
            connection.execute(body.update().where(body.c.digest == kept.digest).values(data=b"damaged"))
        else:
            kept = replace(kept, digest="0" * 64)
    with database.read() as connection, pytest.raises(StoreError, match=r"damaged|no body"):
        snapshots.read(connection, kept)


def test_the_next_body_is_stored_against_it_and_reads_back(live: Live, database: Database) -> None:
    take(database, "one")
    live(START + HOUR, body_of(*MODELS, model("acme/new")))
    two = take(database, "two", START + 2 * HOUR)
    live(START + 3 * HOUR, body_of(*MODELS, model("acme/newer")))
    with database.read() as connection:
        assert "acme/new" in snapshots.read(connection, two)
        assert "acme/new" not in snapshots.read(connection, snapshots.get(connection, "one"))


def test_records_that_are_written_over_several_lines(database: Database) -> None:
    spread = json.dumps(json.loads(body_of(*MODELS)), indent=1).encode()
    Live(database)(START, spread)
    kept = take(database, "one")
    with database.read() as connection:
        assert snapshots.read(connection, kept) == catalog.rows(connection)
