"""Usages of two years over real models, and what pricing them takes.

The floor is DuckDB reading the same columns of the same rows and joining them on the model alone, summed up by day.
Ours is the cost of each row under its own tariff (model, instant, size of the prompt, caches), as whole numbers of tiny
parts of a dollar, summed up by day as well. Both are taken in one run, in turns.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from llmhive.app.bulk.columns import Columns
from llmhive.app.bulk.duck import Duck
from llmhive.app.bulk.plan import Plan
from llmhive.app.bulk.pricing import PriceList, prepare, price_file, quiet
from llmhive.app.bulk.table import micros
from llmhive.catalog.price import Step

ROWS = 10_000_000
#: Rows a second that are promised.
SPEED = 5_000_000
_ROUNDS = 5


def write_usages(file: Path, steps: Mapping[str, Sequence[Step]], last: datetime, rows: int) -> None:
    """A Parquet file of usages, the same for the same prices: while a model was listed, but one in fifty.

    A fifth of the prompts is long, a third reads from a cache, a seventh writes to one, a quarter reasons.
    """
    import duckdb

    whiles = []
    weight = 0
    for name, its in sorted(steps.items()):
        for step in its:
            begin, end = micros(step.begin), micros(step.end or last)
            if step.pricing is not None and begin < end:
                whiles.append((weight, name, begin))
                weight += (end - begin) // 1_000_000
    with duckdb.connect(config={"threads": 2}) as connection, tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "whiles.csv"
        table.write_text("".join(f"{weight},{name},{begin}\n" for weight, name, begin in whiles))
        connection.execute("CREATE TABLE whiles (weight BIGINT, model VARCHAR, first BIGINT)")
        connection.execute(f"COPY whiles FROM '{table}' (FORMAT csv, HEADER false)")
        connection.execute(
            f"""
            COPY (
                WITH chosen AS (
                    SELECT i, (hash(i) % {weight})::BIGINT AS x, hash(i + 1000000007) AS h, hash(i + 2000000011) AS g
                    FROM range({rows}) AS t(i)
                ), used AS (
                    SELECT i, model, first + (x - weight) * 1000000 + (h % 1000000)::BIGINT AS us,
                        ((h >> 8) % 30000)::BIGINT * CASE WHEN g % 5 = 0 THEN 12 ELSE 1 END AS prompt,
                        ((g >> 8) % 4000)::BIGINT AS completion, g
                    FROM chosen ASOF JOIN whiles ON x >= weight
                )
                SELECT model,
                    make_timestamp(CASE WHEN g % 50 = 7 THEN us - 30000000000000 ELSE us END) AS created_at,
                    prompt AS prompt_tokens, completion AS completion_tokens,
                    CASE WHEN g % 3 = 0 THEN prompt * 6 // 10 ELSE 0 END AS cached_tokens,
                    CASE WHEN g % 7 = 0 THEN prompt // 10 ELSE 0 END AS cache_write_tokens,
                    CASE WHEN g % 4 = 0 THEN completion // 2 ELSE 0 END AS reasoning_tokens
                FROM used ORDER BY i
            ) TO '{file}' (FORMAT parquet)
            """
        )


_READ = "sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens), sum(cache_write_tokens), sum(reasoning_tokens)"
FLOOR = f'SELECT created_at::DATE, sum("shift"), {_READ} FROM usages u JOIN names n ON u.model = n.model GROUP BY 1'


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds, the median of several rounds."""

    rows: int
    tables: float  #: looking who is named, asking for prices, making and loading the tables
    priced: float  #: all costs, summed up by day
    floor: float
    summary: float  #: by day, model and reason
    written: float  #: as a Parquet file, all columns, and summed up
    copied: float  #: the rows of the floor as a Parquet file
    whole: float  #: `price_file` without a target, from the beginning

    @property
    def speed(self) -> float:
        """Rows a second, the tables counted in."""
        return self.rows / (self.tables + self.priced)

    @property
    def of_floor(self) -> float:
        """The share of the floor's speed that the priced result has."""
        return self.floor / self.priced


def measure(file: Path, prices: PriceList) -> Measured:
    """Take all figures on a file of `write_usages`."""
    duck = Duck(None, quiet)
    try:
        plan = Plan(Columns().find(duck.read(str(file), "parquet", is_lines=False)), False, None)
        began = time.perf_counter()
        plan, tables = prepare(duck, plan, prices)
        making = time.perf_counter() - began
        statements = {"floor": FLOOR, "priced": plan.by_day(tables)}
        taken: dict[str, list[float]] = {name: [] for name in statements}
        for _ in range(_ROUNDS):
            for name, statement in statements.items():
                taken[name].append(_timed(lambda statement=statement: duck.query(statement, ""), 1)[0])  # type: ignore[misc]
        summary, rows = _timed(lambda: duck.query(plan.summary(tables), ""), 1)
        count = sum(row[5] for row in rows if row[0] == 1)
        with tempfile.TemporaryDirectory() as folder:
            joined = 'SELECT u.*, n."shift" FROM usages u JOIN names n ON u.model = n.model'
            target = Path(folder) / "joined.parquet"
            copied, _ = _timed(lambda: duck.write(joined, target, "parquet", (), is_lines=False), 1)
    finally:
        duck.close()
    with tempfile.TemporaryDirectory() as folder:
        written, _ = _timed(lambda: price_file(file, Path(folder) / "priced.parquet", Columns(), prices), 1)
    whole, _ = _timed(lambda: price_file(file, None, Columns(), prices), 1)
    middle = {name: statistics.median(its) for name, its in taken.items()}
    return Measured(count, making, middle["priced"], middle["floor"], summary, written, copied, whole)


def _timed(work: Callable[[], Any], rounds: int) -> tuple[float, Any]:
    taken = []
    found = None
    for _ in range(rounds):
        began = time.perf_counter()
        found = work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken), found


def report(measured: Measured) -> str:
    """The figures for people."""
    it = measured
    return (
        f"{it.rows:,} rows: priced and summed up by day at {it.speed / 1e6:.1f} M rows/s "
        f"({it.tables:.2f} s tables, {it.priced:.2f} s pricing), "
        f"{it.of_floor:.0%} of the speed of reading them and joining on the model ({it.floor:.2f} s). "
        f"Whole command without a target {it.whole:.2f} s, summary {it.summary:.2f} s; "
        f"with a Parquet target {it.written:.2f} s ({it.rows / it.written / 1e6:.1f} M rows/s), and the joined rows "
        f"alone {it.copied:.2f} s."
    )
