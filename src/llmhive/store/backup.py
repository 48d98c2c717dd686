"""A consistent copy of a whole database as one SQLite file, and back.

The copy is a database like any other (``DATABASE_URL=sqlite:///FILE``): the tables are the same on both databases, and
every value is written exactly as it was read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from llmhive.errors import Conflict, StoreError, UsageError
from llmhive.store.database import Database, Schema, connect
from llmhive.store.tables import Id, Json, metadata

_AT_ONCE = 2_000


def backup(source: Database, file: Path) -> int:
    """Write a copy of one instant to a new SQLite file, while others read and write; returns its size in bytes.

    Raises `UsageError` where the file exists or cannot be written.
    """
    if not source.require_schema():
        raise UsageError(f"There is nothing to back up: {source.label} is empty. Run `llmhive sync` first.")
    if file.exists():
        raise UsageError(f"{file} exists; a backup never overwrites anything. Name another file.")
    if not file.parent.is_dir():
        raise UsageError(f"There is no folder {file.parent}.")
    made = file.with_name(f".{file.name}.partial")
    made.unlink(missing_ok=True)
    target = connect(f"sqlite:///{made}")
    try:
        target.migrate()
        with source.read() as reading, target.write() as writing:
            _copy(reading, writing)
        with target.read() as connection:
            whole = connection.exec_driver_sql("PRAGMA quick_check").scalar()
        if whole != "ok":
            raise StoreError(f"The copy for {file} is damaged ({whole}); nothing was kept of it. Try another disk.")
        _alone(target)
        made.rename(file)
    finally:
        target.close()
        for name in (made, made.with_name(f"{made.name}-wal"), made.with_name(f"{made.name}-shm")):
            name.unlink(missing_ok=True)
    return file.stat().st_size


def restore(file: Path, target: Database) -> None:
    """Fill an empty database from a backup; raises `UsageError` and `Conflict`."""
    if not file.is_file():
        raise UsageError(f"There is no file {file}.")
    source = connect(f"sqlite:///{file}")
    try:
        if source.schema() is Schema.OUTDATED:
            raise UsageError(
                f"{file} is of an older LLMHive. Bring a copy of it up to date first: "
                f"DATABASE_URL=sqlite:///COPY llmhive migrate"
            )
        if not source.require_schema():
            raise UsageError(f"{file} is no backup: it has no tables of LLMHive.")
        if target.schema() is not Schema.MISSING:
            target.require_schema()
        target.migrate()
        with source.read() as reading, target.write() as writing:
            if _is_used(writing):
                raise Conflict(f"{target.label} is not empty. Restore into a new database, and then use that one.")
            _copy(reading, writing)
    finally:
        source.close()


def _is_used(connection: sa.Connection) -> bool:
    return any(
        connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is not None
        for table in metadata.sorted_tables
    )


def _copy(reading: sa.Connection, writing: sa.Connection) -> None:
    for table in metadata.sorted_tables:
        # JSON as the text it is: decoding it would round its numbers
        columns = [
            sa.cast(column, sa.Text).label(column.name) if isinstance(column.type, Json) else column
            for column in table.columns
        ]
        found = reading.execution_options(yield_per=_AT_ONCE).execute(sa.select(*columns).order_by(*table.primary_key))
        for rows in found.mappings().partitions():
            writing.execute(table.insert(), [dict(row) for row in rows])
        _count_on(writing, table)


def _count_on(connection: sa.Connection, table: sa.Table) -> None:
    """PostgreSQL's counters do not notice rows that bring their own numbers."""
    key: Any = table.c.get("id")
    if connection.dialect.name != "postgresql" or key is None or key.type is not Id:
        return
    last = connection.execute(sa.select(sa.func.max(key))).scalar()
    if last is not None:
        counter = sa.func.pg_get_serial_sequence(table.name, "id")
        connection.execute(sa.select(sa.func.setval(counter, last)))


def _alone(made: Database) -> None:
    """Everything into the one file, without a log beside it."""
    with made.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.exec_driver_sql("BEGIN")
    made.close()
