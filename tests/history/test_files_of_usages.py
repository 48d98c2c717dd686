"""Files of random usages over two years of real prices: each row costs what one request does, to the last digit."""

from __future__ import annotations

import csv
import random
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmhive.app.library import Catalog
from llmhive.app.settings import read
from llmhive.catalog.usage import FIELDS, Usage
from llmhive.errors import UsageError
from llmhive.store import browse, captures
from tests.support import history_database

pytestmark = [pytest.mark.history, pytest.mark.long]
BEGINS = datetime(2024, 9, 1, tzinfo=UTC)
DAYS = 800
SIZES = (0, 1, 2, 7, 900, 12_000, 128_000, 200_000, 200_001, 262_144, 999_999)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    copy = tmp_path_factory.mktemp("files") / "history.db"
    shutil.copy(history_database(), copy)
    with Catalog.open(f"sqlite:///{copy}", settings=read({})) as opened:
        yield opened


def names(catalog: Catalog) -> list[str]:
    """What may be asked for: ids, canonical slugs, suffixes, and what nobody knows."""
    with catalog._database.read() as connection:
        known = browse.names(connection)
        # what changes most, and what has tiers, is there
        assert captures.last_applied(connection) is not None
    ids = [it.id for it in known]
    slugs = [it.canonical_slug for it in known if it.canonical_slug]
    return [*ids, *slugs, *(f"{it}:floor" for it in ids[:20]), "nobody/knows", "gpt-4o", "GPT-4o"]


def rows(chance: random.Random, asked: list[str], count: int) -> list[dict[str, Any]]:
    found = []
    for _ in range(count):
        usage = {name: chance.choice(SIZES) if chance.random() < 0.3 else 0 for name in FIELDS}
        usage |= {"prompt": chance.choice(SIZES), "completion": chance.choice(SIZES)}
        usage["requests"] = chance.choice([1, 1, 1, 2, 9])
        at = BEGINS + timedelta(microseconds=chance.randrange(DAYS * 86_400 * 10**6))
        if chance.random() < 0.1:
            # at the very instant of something
            at = at.replace(hour=chance.choice([0, 1, 12, 23]), minute=chance.choice([0, 59]), second=0, microsecond=0)
        found.append({"model": chance.choice(asked), "at": at.replace(tzinfo=None), **usage})
    return found


def priced(catalog: Catalog, folder: Path, used: list[dict[str, Any]], **how: Any) -> list[tuple[Any, ...]]:
    source, target = folder / "used.parquet", folder / "priced.parquet"
    kinds = {"number": "BIGINT", "model": "VARCHAR", "at": "TIMESTAMP", **dict.fromkeys(FIELDS, "BIGINT")}
    with (folder / "used.csv").open("w", newline="") as out:
        csv.writer(out).writerows([number, *row.values()] for number, row in enumerate(used))
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT * FROM read_csv('{folder / 'used.csv'}', header = false, columns = {kinds})) "
            f"TO '{source}' (FORMAT parquet)"
        )
    catalog.price_file(source, target, **how)
    place = f"{target}/*.parquet" if target.is_dir() else str(target)
    with duckdb.connect() as connection:
        return connection.execute(
            f"SELECT number, cost, unpriced_because, possibly_incomplete FROM '{place}' ORDER BY number"
        ).fetchall()


def check(catalog: Catalog, used: list[dict[str, Any]], found: list[tuple[Any, ...]]) -> int:
    """Compare all rows; returns how many have a cost."""
    assert [row[0] for row in found] == list(range(len(used)))
    count = 0
    for row, (_, cost, why, incomplete) in zip(used, found, strict=True):
        usage = Usage(**{name: row[name] for name in FIELDS})
        try:
            receipt = catalog.cost(row["model"], usage, at=row["at"].replace(tzinfo=UTC))
        except UsageError:
            assert (cost, bool(why)) == (None, True), row
        else:
            assert (cost, why) == (receipt.total, None), row
            assert bool(incomplete) == bool(receipt.incomplete), (row, incomplete, receipt.incomplete)
            count += 1
    return count


@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_a_row_costs_what_one_request_does(catalog: Catalog, tmp_path: Path, seed: int) -> None:
    used = rows(random.Random(seed), names(catalog), 1500)
    assert check(catalog, used, priced(catalog, tmp_path, used)) > 300


def test_fifty_thousand_rows(catalog: Catalog, tmp_path: Path) -> None:
    used = rows(random.Random(7), names(catalog), 50_000)
    assert check(catalog, used, priced(catalog, tmp_path, used)) > 10_000


def test_on_a_cluster_too(catalog: Catalog, tmp_path: Path) -> None:
    pytest.importorskip("pyspark", reason="pyspark is not installed (`make long` installs it)")
    if shutil.which("java") is None:
        pytest.skip("there is no Java for Spark")
    used = rows(random.Random(8), names(catalog), 20_000)
    found = priced(catalog, tmp_path, used, engine="spark", master="local-cluster[2,1,1024]")
    assert check(catalog, used, found) > 4_000
