"""The view that is kept fresh: whole versions only, read anew only where they changed, and kept while the database is
away.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from llmhive.app.live import Live
from llmhive.catalog.query import Query
from llmhive.catalog.view import View
from llmhive.errors import DatabaseUnavailable, LLMHiveError
from llmhive.store import notices
from llmhive.store.database import Database, connect
from tests.fake_openrouter import FakeOpenRouter, Record, catalog, model
from tests.support import Dialect, execute, named, poll, postgresql_server, rows, sync_at

MAY = datetime(2026, 5, 1, tzinfo=UTC)
MODELS = [model(f"acme/model-{number:02}") for number in range(20)]


@dataclass
class Told:
    """What it told, in order."""

    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def __call__(self, event: str, /, **facts: object) -> None:
        self.events.append((event, facts))

    def __getitem__(self, event: str) -> list[dict[str, object]]:
        return [facts for name, facts in self.events if name == event]


@contextmanager
def kept(database: Database, told: Told, prepare: Callable[[], None] = lambda: None) -> Iterator[Live]:
    """A view that a thread keeps fresh."""
    live = Live(database, tell=told, prepare=prepare)
    live.start()
    try:
        yield live
    finally:
        live.stop()


@pytest.fixture
def told() -> Told:
    return Told()


class Upstream:
    """Syncs what it is given, an hour later each time."""

    def __init__(self, url: str, fake: FakeOpenRouter) -> None:
        self._url, self._fake = url, fake
        self.at = MAY

    def __call__(self, *records: Record, models: list[Record] = MODELS) -> str:
        self.at += timedelta(hours=1)
        self._fake.serve(catalog(*models, *records))
        return sync_at(self._url, self._fake.base_url, self.at, force=True).status


@pytest.fixture
def sync(database_url: str, fake: FakeOpenRouter) -> Upstream:
    return Upstream(database_url, fake)


def version(url: str) -> int:
    return int(rows(url, "SELECT catalog_version FROM catalog_state")[0]["catalog_version"])


# --- versions


def test_a_new_version_is_a_new_view_and_shares_what_did_not_change(
    database: Database, database_url: str, sync: Upstream, told: Told
) -> None:
    assert sync(model("acme/one"), model("acme/leaves")) == "completed"
    live = Live(database, tell=told)
    live.look()
    old = live.view
    assert old is not None
    old.warm()
    assert (old.catalog_version, old.source, old.as_of, len(old.entries)) == (1, "openrouter", sync.at, 22)

    changed = model("acme/one", pricing={"prompt": "0.0000006", "completion": "0.0000015"})
    assert sync(changed, model("acme/two")) == "completed"
    live.look()
    new = live.view
    assert new is not None
    assert new is not old
    assert (new.catalog_version, new.as_of) == (version(database_url), sync.at) == (2, MAY + timedelta(hours=2))
    assert {it.id for it in new.entries} == {it.id for it in old.entries} | {"acme/two"}
    anew = {it.id for it in new.entries if it is not old.by_id.get(it.id)}
    assert anew == {"acme/one", "acme/two", "acme/leaves"}
    # who holds the old one goes on reading it, whole
    assert old.choose(Query())[1] == 22
    assert b'"0.0000006"' not in b"".join(old.choose(Query())[0])
    assert not new.by_id["acme/leaves"].is_active


def test_without_news_the_view_stays_the_same_object(database: Database, sync: Upstream, told: Told) -> None:
    sync()
    live = Live(database, tell=told)
    live.look()
    view = live.view
    for _ in range(3):
        live.look()
        assert live.view is view
    assert len(told["Reading a new version"]) == 1


def test_when_the_catalog_was_true_moves_without_a_new_version(database: Database, sync: Upstream, told: Told) -> None:
    sync()
    live = Live(database, tell=told)
    live.look()
    old = live.view
    assert sync() == "unchanged"
    live.look()
    new = live.view
    assert old is not None
    assert new is not None
    assert (new.catalog_version, new.as_of) == (old.catalog_version, MAY + timedelta(hours=2))
    assert old.as_of == MAY + timedelta(hours=1)
    assert all(one is two for one, two in zip(old.entries, new.entries, strict=True))


def test_what_is_shown_is_what_a_view_made_anew_shows(database: Database, sync: Upstream, told: Told) -> None:
    live = Live(database, tell=told)
    steps = [
        [model("acme/one")], [model("acme/one", name="Another")], [], [model("acme/one", context_length=5)],
        # more than the record of it: `raw` alone
        [model("acme/one", context_length=5, supported_voices=["x"])],
        [model("acme/one", context_length=5, pricing={"prompt": "0.000000001", "completion": "0.0000015"})],
        [model(f"acme/many-{number}") for number in range(2)],
    ]  # fmt: skip
    for records in steps:
        sync(*records)
        live.look()
        anew = Live(database, tell=Told())
        anew.look()
        assert live.view is not None
        assert anew.view is not None
        assert [it.id for it in live.view.entries] == [it.id for it in anew.view.entries]
        for one, two in zip(live.view.entries, anew.view.entries, strict=True):
            assert (one.listed, one.whole) == (two.listed, two.whole)


def test_a_reader_sees_whole_versions_only(database: Database, sync: Upstream, told: Told) -> None:
    sync()
    wrong: list[View] = []
    stop = threading.Event()

    def read(live: Live) -> None:
        while not stop.is_set():
            view = live.view
            assert view is not None
            names = {it.row["name"] for it in view.entries}
            if len(names) != 1 and "Generation" in "".join(names):
                wrong.append(view)

    with kept(database, told) as live:
        reader = threading.Thread(target=read, args=(live,))
        reader.start()
        for number in range(4):
            assert sync(models=[it | {"name": f"Generation {number}"} for it in MODELS]) == "completed"
        poll(lambda: live.view is not None and live.view.catalog_version == 5, within=5)
        stop.set()
        reader.join()
    assert wrong == []


# --- the thread


def test_it_hears_of_a_version_soon(
    database: Database, database_url: str, sync: Upstream, told: Told, dialect: Dialect
) -> None:
    sync()
    with kept(database, told) as live:
        for number in range(3):
            # the sync tells only when it commits, so this is from the commit on
            assert sync(model(f"acme/new-{number}")) == "completed"
            wanted = version(database_url)
            poll(lambda wanted=wanted: live.view is not None and live.view.catalog_version == wanted, within=0.9)  # type: ignore[misc]
        assert live.is_reachable
        assert live.staleness_seconds is not None
        poll(lambda: live.staleness_seconds is not None and live.staleness_seconds < 0.5, within=3)


def test_a_notice_wakes_it_long_before_it_would_look(postgresql_server: str, tmp_path: Path) -> None:
    """On PostgreSQL only: what it looks every second for is there in a fraction of that."""
    database = connect(named(postgresql_server, "postgres"))
    waiting = notices.Notices(database)
    try:
        waiting.wait(0)
        woken = threading.Event()

        def wait() -> None:
            waiting.wait(30)
            woken.set()

        thread = threading.Thread(target=wait)
        thread.start()
        with database.write() as connection:
            notices.tell_readers(connection)
            # not before it is committed
            assert not woken.wait(0.2)
        assert woken.wait(0.5)
        thread.join()
    finally:
        waiting.close()
        database.close()


def test_it_prepares_until_that_works_and_tells_an_error_once(database: Database, sync: Upstream, told: Told) -> None:
    sync()
    tried: list[int] = []

    def prepare() -> None:
        tried.append(1)
        if len(tried) < 4:
            raise DatabaseUnavailable("not yet")

    with kept(database, told, prepare) as live:
        assert (live.view, live.is_reachable, live.error, str(live.trouble)) == (None, False, "not yet", "not yet")
        poll(lambda: live.view is not None, within=10)
        poll(lambda: live.is_reachable, within=5)
        poll(lambda: live.trouble is None)
    assert len(tried) == 4
    assert told["Cannot read the database"] == [{"error": "not yet"}]
    assert len(told["Reading the database again"]) == 1


def test_a_mistake_does_not_end_the_thread(database: Database, sync: Upstream, told: Told) -> None:
    sync()
    tried: list[int] = []

    def prepare() -> None:
        tried.append(1)
        if len(tried) < 3:
            raise ZeroDivisionError("oh")

    with kept(database, told, prepare) as live:
        assert live.error == "internal error: ZeroDivisionError"
        poll(lambda: live.view is not None, within=10)


def test_a_database_without_tables_is_an_empty_catalog(empty_database: Database, told: Told) -> None:
    with kept(empty_database, told) as live:
        assert live.view == View()
        assert live.is_reachable
        empty_database.migrate()
        poll(lambda: live.view is not None, within=3)


def test_it_ends_soon(database: Database, told: Told) -> None:
    live = Live(database, tell=told)
    live.start()
    stopping = threading.Thread(target=live.stop)
    stopping.start()
    stopping.join(2)
    assert not stopping.is_alive()


# --- a database that is away


@contextmanager
def away(database: Database, url: str, tmp_path: Path) -> Iterator[None]:
    """The database cannot be read."""
    if database.path is not None:
        aside = tmp_path / "aside.db"
        shutil.copy(database.path, aside)
        database.path.write_bytes(b"this is not a database " * 1000)
        yield
        database.path.write_bytes(aside.read_bytes())
        return
    server, name = postgresql_server(), url.rpartition("/")[2].partition("?")[0]
    execute_on(server, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    execute_on(server, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    yield
    execute_on(server, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def execute_on(server: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement.encode())


def test_the_view_stays_while_the_database_is_away(
    database: Database, database_url: str, sync: Upstream, told: Told, tmp_path: Path
) -> None:
    sync()
    with kept(database, told) as live:
        view = live.view
        assert view is not None
        with away(database, database_url, tmp_path):
            poll(lambda: not live.is_reachable, within=10)
            assert live.view is view
            assert isinstance(live.trouble, LLMHiveError)
            stale = live.staleness_seconds
            assert stale is not None
            poll(lambda: (live.staleness_seconds or 0) > stale + 1, within=5)
            assert live.view is view
        poll(lambda: live.is_reachable, within=15)
        assert (live.error, live.view) == (None, view)
        sync(model("acme/after"))
        poll(lambda: live.view is not None and live.view.find("acme/after") is not None, within=5)
    assert len(told["Cannot read the database"]) == 1
    assert len(told["Reading the database again"]) == 1


def test_it_does_not_matter_who_commits(database: Database, database_url: str, sync: Upstream, told: Told) -> None:
    """A row that changed behind its back is read with the next version."""
    sync(model("acme/one"))
    with kept(database, told) as live:
        execute(
            database_url,
            "UPDATE model_catalog SET is_active = false, deactivated_at = last_seen_at WHERE id = 'acme/one'",
        )
        execute(database_url, "UPDATE catalog_state SET catalog_version = catalog_version + 1")
        found: Any = poll(lambda: live.view is not None and live.view.catalog_version == 2 and live.view, within=3)
        assert not found.by_id["acme/one"].is_active
