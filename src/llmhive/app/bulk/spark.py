"""The statements of `plan` on a cluster, or on one machine, by Apache Spark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from llmhive.app.bulk.columns import Column, Kind
from llmhive.app.bulk.duck import Progress
from llmhive.app.bulk.table import Table
from llmhive.errors import UsageError

_KINDS: dict[str, Kind] = {
    "byte": "whole", "short": "whole", "integer": "whole", "long": "whole", "decimal": "number", "float": "number",
    "double": "number", "string": "text", "boolean": "flag", "date": "instant", "timestamp": "instant",
    "timestamp_ntz": "instant",
}  # fmt: skip
_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    # identifiers in double quotes, and an error instead of a wrong number
    "spark.sql.ansi.enabled": "true",
    "spark.sql.ansi.doubleQuotedIdentifiers": "true",
    # products and sums keep all their digits
    "spark.sql.decimalOperations.allowPrecisionLoss": "false",
    "spark.sql.caseSensitive": "false",
}
#: Where nobody says which cluster, everything stays on this machine.
_LOCAL = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


class Spark:
    """A session; what it writes is a folder of parts."""

    def __init__(self, master: str | None, progress: Progress) -> None:
        """Raises `UsageError` where PySpark is not installed, or Spark does not start."""
        try:
            from pyspark.errors import PySparkException
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise UsageError(
                "Spark is an extra package, and needs Java 17 or newer: pip install 'llmhive[spark]'."
            ) from error  # fmt: skip
        self._error: type[Exception] = PySparkException
        self._progress = progress
        # one that runs already is used, and left running
        self._is_ours = SparkSession.getActiveSession() is None
        builder = SparkSession.builder.appName("llmhive cost").master(master or "local[*]")
        if master is None or master.startswith("local"):
            for name, value in _LOCAL.items():
                builder = builder.config(name, value)
        progress("starting Spark", None)
        try:
            session = builder.getOrCreate()
        except Exception as error:
            raise UsageError(f"Spark does not start (it needs Java 17 or newer): {_first(error)}") from error
        self._session = session if self._is_ours else session.newSession()
        for name, value in _SETTINGS.items():
            self._session.conf.set(name, value)

    def close(self) -> None:
        """End the session, if it is ours."""
        if self._is_ours:
            self._session.stop()

    def read(self, source: str, form: str, *, is_lines: bool) -> list[Column]:
        """Make ``usages`` of a file (or of several); returns the columns."""
        reader = self._session.read
        with self._telling(f"{source} cannot be read"):
            if form == "csv":
                frame = reader.csv(source, header=True, inferSchema=False, escape='"', multiLine=True)
            else:
                frame = reader.json(source) if form == "jsonl" else reader.parquet(source)
            columns = [it for field in frame.schema.fields for it in _flat((field.name,), field.dataType, is_lines)]
            (reader.text(source) if is_lines else frame).createOrReplaceTempView("usages")
        return columns

    def load(self, name: str, table: Table) -> None:
        """Make a table."""
        rows = [tuple(it.astimezone() if isinstance(it, datetime) else it for it in row) for row in table.rows]
        schema = ", ".join(f"`{column}` {kind}" for column, kind in table.columns)
        self._session.createDataFrame(rows, schema, verifySchema=False).createOrReplaceTempView(name)

    def make(self, name: str, statement: str) -> None:
        """Make a table of others."""
        self._session.sql(statement).cache().createOrReplaceTempView(name)

    def query(self, statement: str, stage: str) -> list[tuple[Any, ...]]:
        """The rows of a statement."""
        self._progress(stage, None)
        with self._telling("the file cannot be priced"):
            return [tuple(row) for row in self._session.sql(statement).collect()]

    def write(self, statement: str, target: Path, form: str, added: Sequence[str], *, is_lines: bool) -> None:
        """Write the rows of a statement to a folder. Of lines, what is added goes into each object."""
        self._progress("writing", None)
        with self._telling(f"{target.name} cannot be written"):
            frame = self._session.sql(statement)
            compression = "gzip" if target.suffix == ".gz" else "none"
            if is_lines:
                tail = ", ".join(f'"{it}"' for it in added)
                frame.createOrReplaceTempView("_hive_priced")
                self._session.sql(
                    "SELECT concat(regexp_replace(value, '[}][ \t\r\n]*$', ''), "  # noqa: S608
                    "CASE WHEN regexp_like(value, '^[ \t]*[{][ \t]*[}]') THEN '' ELSE ',' END, "
                    f"substr(to_json(struct({tail}), map('ignoreNullFields', 'false')), 2)) FROM \"_hive_priced\""
                ).write.text(str(target), compression=compression)
            elif form == "csv":
                frame.write.csv(str(target), header=True, escape='"', emptyValue='""', compression=compression)
            elif form == "jsonl":
                frame.write.json(str(target), ignoreNullFields=False, compression=compression)
            else:
                frame.write.parquet(str(target))

    @contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        try:
            yield
        except self._error as error:
            raise UsageError(f"{what}: {_first(error)}") from error


def _flat(path: tuple[str, ...], kind: Any, is_lines: bool) -> Iterator[Column]:
    name = kind.typeName()
    if name == "struct":
        for field in kind.fields:
            yield from _flat((*path, field.name), field.dataType, is_lines)
    elif is_lines:
        yield Column(path, "other" if name in {"array", "map"} else "text")
    else:
        yield Column(path, _KINDS.get(name.partition("(")[0], "other"))


def _first(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
