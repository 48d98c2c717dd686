"""A token is used once, whoever asks at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import sqlalchemy as sa

from llmhive.store import tokens
from llmhive.store.database import Database
from llmhive.store.tables import used_token

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SOON = NOW + timedelta(hours=1)


def use(database: Database, digest: str, expires_at: datetime = SOON, now: datetime = NOW) -> bool:
    with database.write() as connection:
        return tokens.use(connection, digest, expires_at, now)


def kept(database: Database) -> set[str]:
    with database.read() as connection:
        return set(connection.execute(sa.select(used_token.c.digest)).scalars())


def test_once(database: Database) -> None:
    assert use(database, "a" * 64)
    assert not use(database, "a" * 64)
    assert use(database, "b" * 64)
    assert not use(database, "a" * 64)


def test_a_transaction_rolled_back_uses_nothing_up(database: Database) -> None:
    with database.engine.connect() as connection:
        assert tokens.use(connection, "a" * 64, SOON, NOW)
        connection.rollback()
    assert use(database, "a" * 64)


def test_expired_ones_are_removed_after_an_hour(database: Database) -> None:
    use(database, "a" * 64)
    use(database, "b" * 64, SOON + timedelta(seconds=1))
    use(database, "c" * 64, SOON + timedelta(days=1), now=SOON + timedelta(hours=1))
    assert kept(database) == {"a" * 64, "b" * 64, "c" * 64}
    use(database, "d" * 64, SOON + timedelta(days=1), now=SOON + timedelta(hours=1, seconds=1))
    assert kept(database) == {"b" * 64, "c" * 64, "d" * 64}


def test_one_of_many_at_once(database: Database) -> None:
    """Some are expired, so that removing is part of the race."""
    old = [{"digest": f"{n:064}", "expires_at": NOW - timedelta(days=1)} for n in range(50)]
    with database.write() as connection:
        connection.execute(used_token.insert(), old)
    together = Barrier(32)

    def ask(number: int) -> bool:
        together.wait()
        return use(database, f"{number % 4:x>64}")

    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(ask, range(32)))
    assert sum(found) == 4
    assert all(sum(found[first::4]) == 1 for first in range(4))
    assert len(kept(database)) == 4
