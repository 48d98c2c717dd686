"""Bodies are kept once, small, and verified when read."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from llmhive.errors import StoreError
from llmhive.store import runs
from llmhive.store.captures import (
    KEY_FRAME_EVERY,
    Capture,
    Captures,
    Reader,
    compress,
    decompress,
    known,
    last_applied,
    read_body,
)  # fmt: skip
from llmhive.store.database import Database
from llmhive.store.tables import body

START = datetime(2026, 5, 1, tzinfo=UTC)


def bodies(count: int) -> list[bytes]:
    """Bodies that differ a little from one to the next, as the real ones do."""
    dice = random.Random(3)
    words = [dice.randbytes(12).hex() for _ in range(2000)]
    made = []
    for _ in range(count):
        words[dice.randrange(len(words))] = dice.randbytes(12).hex()
        made.append("\n".join(words).encode())
    return made


def capture(content: bytes, number: int, **values: object) -> Capture:
    given = {"fetched_at": START + timedelta(hours=number), "source": "test", "scope": "all"} | values
    return Capture(digest=hashlib.sha256(content).hexdigest(), **given)  # type: ignore[arg-type]


@pytest.fixture
def run_id(database: Database) -> int:
    with database.write() as connection:
        claimed = runs.claim(connection, "backfill", trigger="test", owner="test", now=START, interval=None)
    assert isinstance(claimed, runs.Claimed)
    return claimed.run_id


def test_every_body_reads_back(database: Database, run_id: int) -> None:
    contents = bodies(70)
    for number, content in enumerate(contents):
        # a new object each time, as in separate processes
        with database.write() as connection:
            Captures().keep(connection, capture(content, number), content, run_id, "applied")
    with database.read() as connection:
        assert [read_body(connection, hashlib.sha256(content).hexdigest()) for content in contents] == contents
        depths = list(connection.execute(sa.select(body.c.depth).order_by(body.c.id)).scalars())
        size = connection.execute(sa.select(sa.func.sum(sa.func.length(body.c.data)))).scalar_one()
    assert depths == [number % KEY_FRAME_EVERY for number in range(70)]
    assert size < sum(len(content) for content in contents) / 10


def test_the_same_body_is_kept_once(database: Database, run_id: int) -> None:
    (content,) = bodies(1)
    with database.write() as connection:
        kept = Captures()
        for number in range(3):
            kept.keep(connection, capture(content, number), content, run_id, "applied")
        kept.keep(connection, capture(content, 3), None, run_id, "applied")
    with database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(body)).scalar_one() == 1


@pytest.mark.parametrize("damage", ["flip", "swap"])
def test_damage_is_noticed(database: Database, run_id: int, damage: str) -> None:
    one, two = bodies(2)
    with database.write() as connection:
        kept = Captures()
        kept.keep(connection, capture(one, 0), one, run_id, "applied")
        kept.keep(connection, capture(two, 1), two, run_id, "applied")
        first = connection.execute(sa.select(body.c.data).where(body.c.id == 1)).scalar_one()
        bad = compress(two, None) if damage == "swap" else bytes([*first[:40], first[40] ^ 255, *first[41:]])
        connection.execute(body.update().where(body.c.id == 1).values(data=bad))
    with database.read() as connection, pytest.raises(StoreError, match="damaged"):
        read_body(connection, hashlib.sha256(one).hexdigest())


def test_bodies_that_come_in_any_order_stay_small_and_near(database: Database, run_id: int) -> None:
    contents = bodies(200)
    order = list(range(200))
    random.Random(5).shuffle(order)
    with database.write() as connection:
        kept = Captures()
        for number in order:
            kept.keep(connection, capture(contents[number], number), contents[number], run_id, "kept")
    with database.read() as connection:
        depths = connection.execute(sa.select(sa.func.max(body.c.depth))).scalar_one()
        size = connection.execute(sa.select(sa.func.sum(sa.func.length(body.c.data)))).scalar_one()
        reader = Reader(connection)
        for content in contents:
            assert reader.read(hashlib.sha256(content).hexdigest()) == content
    assert depths < KEY_FRAME_EVERY
    assert size < sum(len(content) for content in contents) / 10


def test_a_body_is_patched_against_its_neighbour_in_time_of_its_scope(database: Database, run_id: int) -> None:
    contents = bodies(6)
    digests = [hashlib.sha256(content).hexdigest() for content in contents]
    with database.write() as connection:
        kept = Captures()
        for number, hours, scope, state in (
            (0, 0, "all", "applied"), (1, 10, "all", "applied"), (2, 4, "text", "applied"), (3, 5, "all", "held"),
            (4, 6, "all", "applied"), (5, 20, "all", "applied"),
        ):  # fmt: skip
            kept.keep(connection, capture(contents[number], hours, scope=scope), contents[number], run_id, state)
        bases = dict(connection.execute(sa.select(body.c.digest, body.c.base)).all())
    assert [digests.index(base) if (base := bases[digest]) else None for digest in digests] == [None, 0, None, 0, 1, 1]


def test_a_body_that_is_not_there(database: Database) -> None:
    with database.read() as connection, pytest.raises(StoreError, match="no body"):
        read_body(connection, "0" * 64)


def test_a_patch_needs_its_base() -> None:
    one, two = bodies(2)
    assert decompress(compress(two, one), one) == two
    assert len(compress(two, one)) < len(compress(two, None)) / 20


def test_the_newest_applied_capture_of_a_scope(database: Database, run_id: int) -> None:
    one, two, three = bodies(3)
    with database.write() as connection:
        kept = Captures()
        assert last_applied(connection) is None
        kept.keep(connection, capture(two, 5, etag='"2"'), two, run_id, "applied")
        kept.keep(connection, capture(one, 1), one, run_id, "applied")
        kept.keep(connection, capture(three, 9), three, run_id, "held")
        kept.keep(connection, capture(three, 7, scope="text"), three, run_id, "accepted")
    with database.read() as connection:
        newest = last_applied(connection, "all")
        assert newest is not None
        assert (newest.digest, newest.etag, newest.fetched_at) == (
            hashlib.sha256(two).hexdigest(), '"2"', START + timedelta(hours=5),
        )  # fmt: skip
        overall = last_applied(connection)
        assert overall is not None
        assert overall.scope == "text"


def test_a_damaged_base_does_not_stop_the_next_body(database: Database, run_id: int) -> None:
    one, two = bodies(2)
    with database.write() as connection:
        Captures().keep(connection, capture(one, 0), one, run_id, "applied")
        connection.execute(body.update().values(data=b"damaged"))
        Captures().keep(connection, capture(two, 1), two, run_id, "applied")
    with database.read() as connection:
        assert read_body(connection, hashlib.sha256(two).hexdigest()) == two


def test_what_is_known_before_asking(database: Database, run_id: int) -> None:
    one, two = bodies(2)
    with database.write() as connection:
        assert known(connection, "all").last is None
        kept = Captures()
        kept.keep(connection, capture(one, 1), one, run_id, "applied")
        runs.end(connection, run_id, "completed", now=START, models_seen=7, unreadable=2)
        kept.keep(connection, capture(two, 3, scope="text"), two, run_id, "held")
    with database.read() as connection:
        found = known(connection, "all")
        assert found.last is not None
        assert (found.last.fetched_at, found.models_seen, found.unreadable) == (START + timedelta(hours=1), 7, 2)
        assert (found.is_held, found.newest_at) == (False, START + timedelta(hours=3))
        assert known(connection, "text").is_held
