"""Notices: who keeps a view of the catalog hears at once that there is a new one.

PostgreSQL tells with NOTIFY, when the transaction commits. SQLite has nothing of the kind, so there the wait is all.
Either way a notice is only a hint: who waits looks for himself.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from llmhive.errors import DatabaseUnavailable
from llmhive.store.database import Database

if TYPE_CHECKING:
    import psycopg

_CHANNEL = "llmhive"


def tell_readers(connection: sa.Connection) -> None:
    """Tell all who wait, once this transaction is committed."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_notify(_CHANNEL, "")))


class Notices:
    """Waits for notices, with a connection of its own on PostgreSQL; for one thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: sa.Connection | None = None
        self._woken = threading.Event()

    def wait(self, seconds: float) -> None:
        """Wait for a notice, for so long at most; raises `DatabaseUnavailable` where the connection is lost."""
        if self._database.dialect != "postgresql":
            self._woken.wait(seconds)
            self._woken.clear()
            return
        try:
            listener = self._listen()
            for _ in listener.notifies(timeout=seconds, stop_after=1):
                pass
        except (sa.exc.DBAPIError, _driver_error()) as error:
            self.close()
            raise DatabaseUnavailable(f"The database {self._database.label} does not answer.") from error

    def _listen(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            # not out of the pool: it would be missing there for ever
            connection = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            connection.detach()
            self._connection = connection
            connection.exec_driver_sql(f"LISTEN {_CHANNEL}")
        driver: psycopg.Connection[Any] = self._connection.connection.dbapi_connection  # type: ignore[assignment]
        return driver

    def wake(self) -> None:
        """End the wait, from another thread; on PostgreSQL only a notice or the time-out does."""
        self._woken.set()

    def close(self) -> None:
        """Give back the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            # what is lost cannot be given back
            with contextlib.suppress(sa.exc.DBAPIError, _driver_error()):
                connection.close()


def _driver_error() -> type[Exception]:
    import psycopg

    return psycopg.Error
