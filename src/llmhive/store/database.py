"""connect(url) → Database: SQLite or PostgreSQL, its transactions and its schema."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event

if TYPE_CHECKING:
    import psycopg

from llmhive.errors import DatabaseUnavailable, SchemaOutdated, SettingsError

#: The newest migration; a test compares it with `migrations/versions`.
HEAD = "0004"
#: PostgreSQL's advisory lock around migrations: any number that is ours.
_MIGRATION_LOCK = 6_031_769_201
#: It writes plain lines about connections that are lost; what follows from a loss is said by us.
logging.getLogger("psycopg").setLevel(logging.CRITICAL)
_POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg")


class Schema(Enum):
    """How the tables stand to this program."""

    MISSING = "missing"
    OUTDATED = "outdated"
    CURRENT = "current"
    NEWER = "newer"


class Database:
    """One database; safe to share between threads."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self.dialect: str = engine.dialect.name
        self._is_current = False
        self._thread = threading.local()  #: of `together`
        if self.dialect == "sqlite":
            self._reader = engine.execution_options(sqlite_begin="BEGIN")
            self._writer = engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")
        else:
            self._reader = engine.execution_options(isolation_level="REPEATABLE READ")
            self._writer = engine.execution_options(isolation_level="READ COMMITTED")

    @property
    def label(self) -> str:
        """Where it is, without the password."""
        url = self.engine.url
        if self.path:
            return str(self.path)
        # the query may hold a password as well as the user's part
        shown = {name: value for name, value in url.query.items() if name in {"host", "port"}}
        return url.set(drivername="postgresql", query=shown).render_as_string(hide_password=True)

    @property
    def path(self) -> Path | None:
        """SQLite's file."""
        name = self.engine.url.database
        return Path(name) if self.dialect == "sqlite" and name else None

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A consistent view of one instant."""
        shared: ExitStack | None = getattr(self._thread, "shared", None)
        if shared is None:
            with self._begin(self._reader) as connection:
                yield connection
            return
        if self._thread.connection is None:
            self._thread.connection = shared.enter_context(self._begin(self._reader))
        with self._told():
            yield self._thread.connection

    @contextmanager
    def together(self) -> Iterator[None]:
        """What this thread reads meanwhile is of one instant, that of the first read, over one connection."""
        if getattr(self._thread, "shared", None) is not None:
            yield
            return
        try:
            with ExitStack() as shared:
                self._thread.shared, self._thread.connection = shared, None
                yield
        finally:
            self._thread.shared = self._thread.connection = None

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction: all of it or nothing."""
        with self._begin(self._writer) as connection:
            yield connection

    @contextmanager
    def _begin(self, engine: sa.Engine) -> Iterator[sa.Connection]:
        with self._told(), engine.begin() as connection:
            yield connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What the database's driver raises, as errors of ours."""
        try:
            yield
        except (sa.exc.IntegrityError, sa.exc.DataError):
            # not the database's fault but ours
            raise
        except sa.exc.DBAPIError as error:
            raise DatabaseUnavailable(f"The database {self.label} cannot be used: {_first_line(error)}.") from error

    def schema(self) -> Schema:
        """How the tables stand to this program; creates nothing. Once current, they stay so for this process."""
        if self._is_current:
            return Schema.CURRENT
        if not self._exists():
            return Schema.MISSING
        with self.read() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return Schema.MISSING
            found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
        if found is None:
            return Schema.MISSING
        if found == HEAD:
            self._is_current = True
            return Schema.CURRENT
        return Schema.NEWER if found > HEAD else Schema.OUTDATED

    def _exists(self) -> bool:
        if self.path is None:
            return True
        try:
            return self.path.exists()
        except OSError as error:
            raise DatabaseUnavailable(f"The database {self.label} cannot be used: {error.strerror}.") from error

    def require_schema(self) -> bool:
        """Whether there are tables to read; raises `SchemaOutdated` where they are not ours."""
        schema = self.schema()
        if schema is Schema.OUTDATED:
            raise SchemaOutdated(f"The tables in {self.label} are of an older LLMHive. Run `llmhive migrate`.")
        if schema is Schema.NEWER:
            raise SchemaOutdated(
                f"The tables in {self.label} are of a newer LLMHive than this one. Update it: pip install -U llmhive."
            )
        return schema is Schema.CURRENT

    def migrate(self) -> None:
        """Bring the tables up to date; safe to call from many processes at once."""
        # half a second of imports that only this needs
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        if self.path is not None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise DatabaseUnavailable(f"Cannot create the folder of {self.label}: {error.strerror}.") from error
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        if self.dialect == "sqlite":
            # it stays with the file, so that reading never has to write
            with self.engine.connect() as connection:
                connection.exec_driver_sql("COMMIT")
                # documents and bodies are long: fewer of them end in a page of their own (only a new file takes it)
                connection.exec_driver_sql("PRAGMA page_size = 8192")
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
                connection.exec_driver_sql("BEGIN")
        with self.write() as connection:
            if self.dialect == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise SchemaOutdated(
                    f"The tables in {self.label} are of a version this program does not know ({error}). Is it another "
                    "program's database? Otherwise update LLMHive, or restore a backup."
                ) from error

    def close(self) -> None:
        """Give back all connections."""
        self.engine.dispose()


def connect(url: str, *, statement_seconds: float | None = None) -> Database:
    """A database by its URL; nothing is opened or created yet. On PostgreSQL no statement takes longer than
    `statement_seconds`.

    ``sqlite:///FILE`` (the folder is made by `Database.migrate`), ``postgresql://…`` or ``postgres://…``, Cloud SQL
    socket URLs (``?host=/cloudsql/…``) included.
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise SettingsError(
            "DATABASE_URL is not a database URL. Use postgresql://user:password@host/database or sqlite:///file."
        ) from error
    if parsed.drivername in _POSTGRESQL:
        engine = sa.create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            # JSON is written and read as text: numbers stay exact
            json_serializer=_identity,
            json_deserializer=_identity,
            pool_pre_ping=True,
            # a server that went away without a word is found out within half a minute
            connect_args={
                "connect_timeout": 10,
                "application_name": "llmhive",
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": 20_000,
            },
        )
        event.listen(engine, "connect", _prepare_postgresql)
        if statement_seconds is not None:
            most = f"SET statement_timeout = {round(statement_seconds * 1000)}"
            event.listen(engine, "connect", lambda connection, _: (connection.execute(most), connection.commit()))
        return Database(engine)
    if parsed.drivername in {"sqlite", "sqlite+pysqlite"}:
        if not parsed.database or parsed.database == ":memory:":
            raise SettingsError("DATABASE_URL needs a file: sqlite:///llmhive.db (processes share it).")
        engine = sa.create_engine(
            parsed.set(drivername="sqlite+pysqlite"),
            connect_args={"timeout": 30, "isolation_level": None},
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return Database(engine)
    raise SettingsError(f"DATABASE_URL names {parsed.drivername}; LLMHive knows postgresql and sqlite.")


def _identity(text: Any) -> Any:
    return str(text, "utf-8") if isinstance(text, bytes | memoryview) else text


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in ("synchronous = NORMAL", "wal_autocheckpoint = 4000", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _prepare_postgresql(connection: psycopg.Connection[Any], _record: object) -> None:
    # nobody waits for a lock for ever, and a process that fell asleep in a transaction loses it
    connection.execute("SET lock_timeout = '30s'")
    connection.execute("SET TIME ZONE 'UTC'")
    connection.execute("SET idle_in_transaction_session_timeout = '60s'")
    connection.commit()


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))


def _first_line(error: sa.exc.DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0].rstrip(".") if error.orig else "unknown error"
