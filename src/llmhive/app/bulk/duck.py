"""The statements of `plan` on one machine, by DuckDB."""

from __future__ import annotations

import csv
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llmhive.app.bulk.columns import Column, Kind
from llmhive.app.bulk.reading import quoted
from llmhive.app.bulk.table import Table
from llmhive.errors import UsageError

#: What is told while a statement runs: its share, 0 to 1, or None where it is not known.
Progress = Callable[[str, float | None], None]

_WHOLE = frozenset({"tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger"})
_NUMBER = frozenset({"hugeint", "uhugeint", "ubigint", "decimal", "float", "double"})
_INSTANT = frozenset(
    {"date", "timestamp", "timestamp with time zone", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp_us"}
)
#: Functions of Spark that DuckDB calls otherwise.
_MACROS = (
    "unix_micros(it) AS epoch_us(it)",
    "regexp_like(it, pattern) AS regexp_matches(it, pattern)",
    "get_json_object(it, place) AS json_extract_string(it, place)",
    "timestamp_micros(it) AS make_timestamp(it)",
    "sequence(first, last) AS range(first, last + 1)",
    "explode(its) AS unnest(its)",
)
#: A dictionary of more costs is none: looking for one took as long as all the rest (measured).
_PARQUET = "FORMAT parquet, DICTIONARY_SIZE_LIMIT 10000"
#: A control character: it is in no JSON, so that lines are written as they are.
_NO_DELIMITER = "\x01"


class Duck:
    """A database in memory; what does not fit goes into a folder of its own."""

    def __init__(self, folder: Path | None, progress: Progress) -> None:
        """`folder`: where there is room. Raises `UsageError` where DuckDB is not installed, or cannot write."""
        try:
            import duckdb
        except ImportError as error:
            raise UsageError("Files are priced by an extra package: pip install 'llmhive[bulk]'.") from error
        self._error: type[Exception] = duckdb.Error
        self._progress = progress
        try:
            self._folder = Path(tempfile.mkdtemp(prefix=".llmhive-", dir=folder))
        except OSError as error:
            raise UsageError(f"Cannot write into {folder}: {error.strerror or error}.") from error
        self._connection = duckdb.connect(config={"temp_directory": str(self._folder / "spilled")})
        self._connection.execute("SET TimeZone = 'UTC'")
        # the statements name the small table last: it is the one to be looked up, and the order of rows stays
        self._connection.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
        for macro in _MACROS:
            self._connection.execute(f"CREATE MACRO {macro}")

    def close(self) -> None:
        """Let go of everything."""
        self._connection.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def read(self, source: str, form: str, *, is_lines: bool) -> list[Column]:
        """Make ``usages`` of a file (or of several, by a pattern); returns the columns."""
        place = _literal(source)
        reader = {
            "parquet": f"read_parquet({place})",
            # as it is written: nothing is taken for a number or a time
            "csv": f"read_csv({place}, all_varchar = true, header = true, allow_quoted_nulls = false)",
            "jsonl": f"read_json({place}, format = 'newline_delimited')",
        }[form]
        with self._telling(f"{source} cannot be read"):
            relation = self._connection.sql(f"SELECT * FROM {reader}")  # noqa: S608
            columns = [it for name, kind in zip(relation.columns, relation.types, strict=True)
                       for it in _flat((name,), kind, is_lines)]  # fmt: skip
            if is_lines:
                reader = f"(SELECT json AS value FROM read_ndjson_objects({place}))"  # noqa: S608
            if form != "parquet":
                # it is read thrice
                stage = self._folder / "stage.parquet"
                self._run(f"COPY (SELECT * FROM {reader}) TO {_literal(stage)} (FORMAT parquet)", "reading")  # noqa: S608
                reader = f"read_parquet({_literal(stage)})"
            self._connection.execute(f"CREATE VIEW usages AS SELECT * FROM {reader}")  # noqa: S608
        return columns

    def load(self, name: str, table: Table) -> None:
        """Make a table."""
        file = self._folder / f"{name}.csv"
        with file.open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out, quoting=csv.QUOTE_STRINGS if hasattr(csv, "QUOTE_STRINGS") else csv.QUOTE_MINIMAL)
            writer.writerows(tuple(_spelled(it) for it in row) for row in table.rows)
        columns = ", ".join(f"{quoted(column)} {kind}" for column, kind in table.columns)
        self._connection.execute(f"CREATE TABLE {quoted(name)} ({columns})")
        self._connection.execute(
            f"COPY {quoted(name)} FROM {_literal(file)} (FORMAT csv, HEADER false, NULLSTR '\\N', DELIMITER ',', "
            "QUOTE '\"', ESCAPE '\"', AUTO_DETECT false)"
        )  # fmt: skip

    def make(self, name: str, statement: str) -> None:
        """Make a table of others."""
        self._connection.execute(f"CREATE TABLE {quoted(name)} AS {statement}")

    def query(self, statement: str, stage: str) -> list[tuple[Any, ...]]:
        """The rows of a statement."""
        with self._telling("the file cannot be priced"):
            return self._run(statement, stage)

    def write(self, statement: str, target: Path, form: str, added: Sequence[str], *, is_lines: bool) -> None:
        """Write the rows of a statement to a file. Of lines, what is added goes into each object."""
        gzip = ", COMPRESSION gzip" if target.suffix == ".gz" else ""
        options = {"parquet": _PARQUET, "csv": f"FORMAT csv, HEADER true{gzip}", "jsonl": f"FORMAT json{gzip}"}[form]
        if is_lines:
            tail = ", ".join(f"{quoted(it)} := {quoted(it)}" for it in added)
            head = "rtrim(CAST(value AS STRING), ' \t\r\n')"
            statement = (
                f"SELECT left({head}, -1) || CASE WHEN json_keys(value) = [] THEN '' ELSE ',' END || "  # noqa: S608
                f"substr(CAST(to_json(struct_pack({tail})) AS STRING), 2) FROM ({statement})"
            )
            options = f"FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '{_NO_DELIMITER}'{gzip}"
        with self._telling(f"{target.name} cannot be written"):
            # without being told, DuckDB writes what was joined in any order: twice as fast (measured)
            self._run(f"COPY ({statement}) TO {_literal(target)} ({options}, PRESERVE_ORDER true)", "writing")

    def _run(self, statement: str, stage: str) -> list[tuple[Any, ...]]:
        """In a thread of its own, so that a signal ends it as it ends everything else: by what its handler raises."""
        self._progress(stage, None)
        rows: list[tuple[Any, ...]] = []
        failed: list[BaseException] = []

        def work() -> None:
            try:
                rows.extend(self._connection.execute(statement).fetchall())
            except BaseException as error:  # noqa: BLE001 -- raised where it was asked for
                failed.append(error)
            finally:
                done.set()

        # not joined: a thread whose join a signal ends is taken for one that has ended (Python 3.11)
        done = threading.Event()
        worker = threading.Thread(target=work, daemon=True)
        try:
            worker.start()
            while not done.wait(0.2):
                share = self._connection.query_progress()
                if share >= 0:
                    self._progress(stage, share / 100)
        except BaseException:
            while not done.is_set() and worker in threading.enumerate():
                # again and again: it may not have begun
                self._connection.interrupt()
                done.wait(0.05)
            raise
        if failed:
            raise failed[0]
        return rows

    @contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        try:
            yield
        except self._error as error:
            raise UsageError(f"{what}: {str(error).strip().splitlines()[0]}") from error


def _flat(path: tuple[str, ...], kind: Any, is_lines: bool) -> Iterator[Column]:
    if kind.id == "struct":
        for name, inner in kind.children:
            yield from _flat((*path, name), inner, is_lines)
    elif is_lines:
        # whatever was guessed from the first lines: read as text, one by one
        yield Column(path, "other" if kind.id in {"list", "map"} else "text")
    else:
        yield Column(path, _kind(kind.id))


def _kind(name: str) -> Kind:
    if name in _WHOLE:
        return "whole"
    if name in _NUMBER:
        return "number"
    if name in _INSTANT:
        return "instant"
    return "text" if name in {"varchar", "enum", "json"} else "flag" if name == "boolean" else "other"


def _spelled(value: Any) -> Any:
    if value is None:
        return "\\N"
    if hasattr(value, "as_tuple"):
        return f"{value:f}"
    if hasattr(value, "astimezone"):
        return value.astimezone(None if value.tzinfo is None else value.tzinfo).strftime("%Y-%m-%d %H:%M:%S.%f")
    return value


def _literal(text: object) -> str:
    return "'" + str(text).replace("'", "''") + "'"
