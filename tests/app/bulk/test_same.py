"""A file costs, row by row and to the last digit, what its rows cost one by one."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmhive.app.bulk.columns import Columns
from llmhive.app.bulk.pricing import price_file
from llmhive.catalog.price import Step
from llmhive.catalog.pricing import UNITS, Override, Pricing
from llmhive.catalog.usage import FIELDS, Usage
from llmhive.errors import Unpriced
from tests.app.bulk.known import Known

FROM = datetime(2025, 3, 1, tzinfo=UTC)
MOST = 10**11 - 1

_rates = st.one_of(
    st.integers(0, 10**7).map(lambda it: Decimal(it).scaleb(-10)),
    st.integers(0, 10**18).map(lambda it: Decimal(it).scaleb(-24)),
    st.just(Decimal("71.000000000000000000000001")),
)
_clock = st.integers(0, 24 * 4 - 1).map(lambda it: it // 4 * 100 + it % 4 * 15)
_conditions = st.fixed_dictionaries(
    {},
    optional={
        "min_prompt_tokens": st.sampled_from([0, 3, 1000, 200_000]),
        "utc_start": _clock,
        "utc_end": _clock,
        "utc_days": st.lists(st.sampled_from(["monday", "sunday", "wed"]), min_size=1).map(tuple),
        "odd": st.just(1),
    },
)
_overrides = st.builds(
    lambda when, rates: Override(tuple(sorted(when.items())), tuple(sorted(rates.items()))),
    _conditions,
    st.dictionaries(st.sampled_from(UNITS), _rates, min_size=1, max_size=3),
)
_pricings = st.builds(
    lambda base, rates, overrides: Pricing(tuple(sorted((rates | base).items())), tuple(overrides)),
    st.fixed_dictionaries({"prompt": _rates, "completion": _rates}),
    st.dictionaries(st.sampled_from(UNITS), _rates, max_size=8),
    st.lists(_overrides, max_size=3),
)
_instants = st.one_of(
    st.integers(-40 * 96, 40 * 96).map(lambda it: FROM + timedelta(minutes=15 * it)),
    st.integers(-40 * 86400 * 10**6, 40 * 86400 * 10**6).map(lambda it: FROM + timedelta(microseconds=it)),
    st.builds(
        lambda day, more: FROM + timedelta(days=day, microseconds=more), st.integers(-40, 40), st.sampled_from([-1, 0])
    ),
)
_counts = st.one_of(
    st.integers(0, 5), st.integers(0, 10**6), st.sampled_from([1000, 1001, 200_000, 200_001, MOST]),
)  # fmt: skip
_usages = st.builds(lambda some: Usage(**some), st.dictionaries(st.sampled_from(FIELDS), _counts, max_size=7))


@st.composite
def _steps(draw: st.DrawFn) -> list[Step]:
    borders = sorted(draw(st.sets(_instants, min_size=1, max_size=6)))
    ends: Sequence[datetime | None] = [*borders[1:], draw(st.sampled_from([None, borders[-1] + timedelta(days=3)]))]
    steps: list[Step] = []
    for begin, end in zip(borders, ends, strict=True):
        price = draw(st.one_of(st.none(), _pricings, _pricings, _pricings))
        if draw(st.booleans()) or not steps:
            steps.append(Step(begin, end, price, None if price else "decided per request", "catalog", "m"))
    return steps


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("same")
    yield made
    shutil.rmtree(made)


def priced(source: Path, target: Path, known: Known, **more: Any) -> list[tuple[Any, ...]]:
    """The added columns of each row."""
    price_file(source, target, Columns(), known, **more)
    files = f"{target}/*.parquet" if target.is_dir() else target
    with duckdb.connect() as connection:
        return connection.sql(
            f"SELECT cost, priced_model, price_from::TIMESTAMP, unpriced_because, possibly_incomplete "
            f"FROM read_parquet('{files}') ORDER BY number"
        ).fetchall()


def write(file: Path, rows: Sequence[tuple[str, datetime, Usage]], fields: Sequence[str]) -> None:
    """A Parquet file of usages."""
    text = file.with_suffix(".csv")
    with text.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["number", "model", "at", *fields])
        for number, (model, at, usage) in enumerate(rows):
            writer.writerow([number, model, at.replace(tzinfo=None), *(getattr(usage, it) for it in fields)])
    kinds = ", ".join(f"'{it}': 'BIGINT'" for it in ("number", *fields))
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (FROM read_csv('{text}', types = {{{kinds}, 'model': 'VARCHAR', 'at': 'TIMESTAMP'}})) TO '{file}'"
        )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.data_too_large, HealthCheck.too_slow])
@given(
    steps=st.lists(_steps(), min_size=1, max_size=3),
    rows=st.lists(st.tuples(st.integers(0, 2), _instants, _usages), min_size=1, max_size=60),
    fields=st.sets(st.sampled_from(FIELDS)),
)
def test_bulk_is_one_by_one(
    folder: Path, steps: list[list[Step]], rows: list[tuple[int, datetime, Usage]], fields: set[str]
) -> None:
    known = Known({f"m{number}": its for number, its in enumerate(steps)}, begins=None)
    there = [it for it in FIELDS if it in fields | {"prompt"}]
    named = [(f"m{number % len(steps)}", at, usage) for number, at, usage in rows]
    write(folder / "in.parquet", named, there)
    found = priced(folder / "in.parquet", folder / "out.parquet", known)
    assert len(found) == len(rows)
    for (model, at, usage), (cost, priced_model, begins, why, _) in zip(named, found, strict=True):
        seen = Usage(**{it: getattr(usage, it) for it in there})
        try:
            expected = known.cost(model, seen, at)
        except Unpriced:
            expected = None
        if expected is None:
            assert (cost, priced_model, begins) == (None, None, None)
            assert why
        elif why is not None:
            assert "does not fit" in why
        else:
            assert (cost, priced_model) == (expected, model)
            assert begins.replace(tzinfo=UTC) in {it.begin for it in known.steps[model]}
