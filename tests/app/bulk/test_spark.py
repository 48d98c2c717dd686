"""Apache Spark runs the same statement and finds the same, row by row."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from llmhive.app.bulk.columns import Columns
from llmhive.app.bulk.pricing import price_file
from tests.app.bulk.test_files import KNOWN, read
from tests.benchmarks.bulk import write_usages

pytestmark = pytest.mark.long

if shutil.which("java") is None:
    pytest.skip("Spark needs Java", allow_module_level=True)
pytest.importorskip("pyspark", reason="Spark needs pyspark: pip install 'llmhive[spark]'")

ROWS = 1_000_000


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[Any]:
    """A small cluster on this machine: two workers that are processes of their own."""
    from pyspark.sql import SparkSession

    made = (
        SparkSession.builder.master("local-cluster[2,1,1024]")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.sql.shuffle.partitions", "4")
        .getOrCreate()
    )
    yield made
    made.stop()


def test_a_million_rows(tmp_path: Path) -> None:
    import duckdb

    source = tmp_path / "in.parquet"
    steps = {name: its for name, its in KNOWN.steps.items() if "@" not in name}
    write_usages(source, steps, datetime(2026, 7, 1, tzinfo=UTC), ROWS)
    one = price_file(source, tmp_path / "duck.parquet", Columns(), KNOWN)
    two = price_file(source, tmp_path / "spark.parquet", Columns(), KNOWN, engine="spark")
    assert one == two
    assert one.total.rows == ROWS
    assert one.total.priced > ROWS / 2
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        ours = "SELECT * REPLACE (created_at::TIMESTAMP AS created_at, price_from::TIMESTAMP AS price_from)"
        duck = f"{ours} FROM '{tmp_path}/duck.parquet'"
        spark = f"{ours} FROM '{tmp_path}/spark.parquet/*.parquet'"
        differing = f"SELECT count(*) FROM (({duck} EXCEPT ALL {spark}) UNION ALL ({spark} EXCEPT ALL {duck}))"
        assert connection.sql(differing).fetchall() == [(0,)]


@pytest.mark.parametrize("form", [".csv", ".jsonl", ".parquet"])
def test_every_form(tmp_path: Path, form: str) -> None:
    whens = ["2025-01-10", "2025-01-10T12:00:00.5+02:00", "", "1736510400", "2025-02-30", "2025-03-01 00:00"]
    text = "model,date,prompt,is_byok,web_searches,note\n" + "".join(
        f"{model},{when},{prompt},{flag},1,007\n"
        for model in ("a/plain", "a/night", "a/search", "no/such")
        for when in whens
        for prompt, flag in ((1, "true"), (1001, "false"), (-1, ""), ("1.0", "1"), (10**11, "0"))
    )
    source = tmp_path / "in.csv"
    source.write_text(text)
    if form != ".csv":
        price_file(source, tmp_path / f"typed{form}", Columns(), KNOWN)
        source = tmp_path / f"typed{form}"
    one = price_file(source, tmp_path / f"duck{form}", Columns(), KNOWN)
    two = price_file(source, tmp_path / f"spark{form}", Columns(), KNOWN, engine="spark")
    assert one == two
    assert 0 < one.total.priced < one.total.rows
    parts = [row for it in sorted((tmp_path / f"spark{form}").glob("part-*")) for row in read(it)]
    # the instant is one with a time zone for Spark
    naive = [
        {key: it.replace(tzinfo=None) if isinstance(it, datetime) else it for key, it in row.items()} for row in parts
    ]
    assert naive == read(tmp_path / f"duck{form}")


def test_many_changes(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    begin = datetime(2025, 1, 1, tzinfo=UTC) - timedelta(days=1)
    source.write_text(
        "model,time,prompt\n"
        + "".join(f"a/night,{(begin + timedelta(minutes=37 * it)).isoformat()},1\n" for it in range(2000))
    )
    one = price_file(source, None, Columns(), KNOWN)
    assert one == price_file(source, None, Columns(), KNOWN, engine="spark")
    assert len(one.by_day) > 50


def test_sums_of_requests_and_what_is_odd(tmp_path: Path) -> None:
    import duckdb

    source = tmp_path / "in.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            "COPY (SELECT * FROM (VALUES ('a/tiers'), ('a/search'), (NULL), (''), ('no/such')) m(model), "
            "(VALUES (TIMESTAMP '2025-01-10'), (TIMESTAMP '1969-12-31 12:00:00'), (NULL)) t(\"at\"), "
            "(VALUES (1000), (1001), (2001), (NULL)) p(prompt), (VALUES (0), (1), (2), (NULL)) r(requests), "
            f"(VALUES (0), (1)) i(images)) TO '{source}'"
        )
    one = price_file(source, tmp_path / "duck.parquet", Columns(), KNOWN)
    two = price_file(source, tmp_path / "spark.parquet", Columns(), KNOWN, engine="spark")
    assert one == two
    assert len(one.incomplete) > 2
    assert 0 < one.total.priced < one.total.rows
