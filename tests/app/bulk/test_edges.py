"""Files that are odd: each is priced right, or refused in words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from llmhive.app.bulk.columns import Columns
from llmhive.app.bulk.pricing import price_file
from llmhive.app.bulk.rates import rates_of
from llmhive.app.costs import _PriceList
from llmhive.catalog.cost import Tariffs
from llmhive.errors import UsageError
from tests.app.bulk.known import Known, pricing, step
from tests.app.bulk.test_files import KNOWN, price, read

NUMBER = f"is not a whole number from 0 to {10**11 - 1}"


def parquet(file: Path, statement: str) -> Path:
    """A Parquet file of a statement's rows."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"COPY ({statement}) TO '{file}' (FORMAT parquet)")
    return file


def test_a_row_without_a_time_is_in_no_day(tmp_path: Path) -> None:
    _, summary = price(tmp_path, "model,at,prompt\na/plain,2025-01-10,1\na/plain,,1\na/plain,soon,1\n")
    assert {day: it.rows for day, it in summary.by_day.items()} == {date(2025, 1, 10): 1}
    assert summary.unpriced == {"its time cannot be read": 2}
    source = parquet(tmp_path / "in.parquet", "SELECT 'a/plain' AS model, NULL::TIMESTAMP AS at, 1 AS prompt")
    summary = price_file(source, None, Columns(), KNOWN)
    assert (summary.by_day, summary.unpriced) == ({}, {"its time cannot be read": 1})


def test_a_day_before_1970_is_itself(tmp_path: Path) -> None:
    for when in ("TIMESTAMP '1969-12-31 12:00:00'", "'1969-12-31T12:00:00Z'"):
        source = parquet(tmp_path / "in.parquet", f"SELECT 'a/plain' AS model, {when} AS at, 1 AS prompt")
        assert list(price_file(source, None, Columns(), KNOWN).by_day) == [date(1969, 12, 31)]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("NULL::BIGINT", "prompt is not told"), ("NULL::DOUBLE", "prompt is not told"), ("-1::BIGINT", NUMBER),
        ("100000000000::BIGINT", NUMBER), ("'NaN'::DOUBLE", NUMBER), ("'inf'::DOUBLE", NUMBER),
        ("'-inf'::DOUBLE", NUMBER), ("1.5::DOUBLE", NUMBER), ("1.5::DECIMAL(9,2)", NUMBER), ("1e300::DOUBLE", NUMBER),
        ("18446744073709551615::UBIGINT", NUMBER), ("'NaN'", NUMBER), ("'1e3'", NUMBER), ("99999999999::BIGINT", None),
        ("2.0::FLOAT", None), ("0::TINYINT", None),
    ],
)  # fmt: skip
def test_counts_that_are_none(tmp_path: Path, value: str, told: str | None) -> None:
    source = parquet(
        tmp_path / "in.parquet",
        f"SELECT 'a/plain' AS model, TIMESTAMP '2025-01-10' AS at, {value} AS prompt, NULL::BIGINT AS completion",
    )
    summary = price_file(source, tmp_path / "out.parquet", Columns(), KNOWN)
    (row,) = read(tmp_path / "out.parquet")
    assert row["unpriced_because"] == (f"prompt {told}" if told == NUMBER else told)
    assert summary.total.priced == (told is None)
    assert (row["cost"] is None) == (told is not None)


def test_cells_with_line_ends_and_a_mark_of_byte_order(tmp_path: Path) -> None:
    rows, summary = price(tmp_path, '\ufeffmodel,at,prompt,note\na/plain,2025-01-10,1,"two\nlines, ""quoted"""\n')
    assert rows[0]["note"] == 'two\nlines, "quoted"'
    assert summary.total.cost == Decimal("0.000001")


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_an_empty_file_is_refused_in_words(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"in{ending}").write_bytes(b"")
    with pytest.raises(UsageError):
        price_file(tmp_path / f"in{ending}", None, Columns(), KNOWN)


def test_no_rows(tmp_path: Path) -> None:
    source = parquet(tmp_path / "in.parquet", "SELECT 'a' AS model, now() AS at, 1 AS prompt WHERE false")
    assert price_file(source, tmp_path / "out.parquet", Columns(), KNOWN).total.rows == 0
    assert read(tmp_path / "out.parquet") == []


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".jsonl"])
def test_rows_stay_in_their_order(tmp_path: Path, ending: str) -> None:
    """Of more rows than one thread reads."""
    source = parquet(
        tmp_path / "in.parquet",
        "SELECT 'a/plain' AS model, TIMESTAMP '2025-01-10' AS at, i AS prompt FROM range(400000) t(i)",
    )
    target = tmp_path / f"out{ending}"
    price_file(source, target, Columns(), KNOWN)
    with duckdb.connect(config={"threads": 1}) as connection:
        rows = connection.sql(f"SELECT prompt FROM '{target}'").fetchall()
    assert [int(prompt) for (prompt,) in rows] == list(range(400_000))


def test_columns_called_as_ours_are(tmp_path: Path) -> None:
    rows, summary = price(tmp_path, "model,at,prompt,Cost,priced_model\na/plain,2025-01-10,1,z,w\n")
    assert [rows[0][it] for it in ("Cost", "priced_model")] == ["z", "w"]
    assert rows[0][summary.added["cost"]] == "0.000001"
    assert rows[0][summary.added["priced_model"]] == "a/plain"
    (tmp_path / "other.csv").write_text("model,at,prompt,_Hive_us\na/plain,2025-01-10,1,x\n")
    with pytest.raises(UsageError, match="Give the column _Hive_us another name"):
        price_file(tmp_path / "other.csv", None, Columns(), KNOWN)


def test_columns_that_differ_by_case(tmp_path: Path) -> None:
    rows, _ = price(tmp_path, "model,at,prompt,Prompt\na/plain,2025-01-10,1,7\n")
    assert rows[0]["cost"] == "0.000001"


def test_the_source_under_another_name_is_not_written_over(tmp_path: Path) -> None:
    source, other, soft = (tmp_path / it for it in ("in.csv", "hard.csv", "soft.csv"))
    source.write_text("model,at,prompt\na/plain,2025-01-10,1\n")
    os.link(source, other)
    soft.symlink_to(source)
    for target in (source, other, soft):
        with pytest.raises(UsageError, match="is what is read"):
            price_file(source, target, Columns(), KNOWN)
    with pytest.raises(UsageError, match="There is no folder"):
        price_file(source, tmp_path / "no" / "out.csv", Columns(), KNOWN)
    with pytest.raises(UsageError, match="no engine 'flink': there are duckdb and spark"):
        price_file(source, None, Columns(), KNOWN, engine="flink")  # type: ignore[arg-type]


def test_what_may_be_incomplete_is_counted(tmp_path: Path) -> None:
    text = "model,at,prompt,images\na/search,2025-01-10,1,1\na/search,2025-01-10,1,0\na/plain,2025-01-10,1,0\n"
    rows, summary = price(tmp_path, text)
    assert summary.incomplete == {row["possibly_incomplete"]: 1 for row in rows[:2]}
    assert summary.to_json()["incomplete"] == summary.incomplete


def test_a_sum_of_requests_is_priced_by_their_mean(tmp_path: Path) -> None:
    text = "model,at,prompt,requests\n"
    cases = [(1000, 1, "0.001"), (1001, 1, "0.01001"), (2001, 2, "0.002001"), (2002, 2, "0.02002"), (5, 0, "0.000005")]
    text += "".join(f"a/tiers,2025-01-10,{prompt},{requests}\n" for prompt, requests, _ in cases)
    rows, _ = price(tmp_path, text)
    assert [row["cost"] for row in rows] == [cost for *_, cost in cases]
    told = [row["possibly_incomplete"] for row in rows]
    assert [bool(it) for it in told] == [False, False, True, False, False]
    assert "one of more than 1000 tokens costs otherwise" in told[2]


def test_the_instant_since_which_a_price_is_in_force_survives_a_cut(tmp_path: Path) -> None:
    begin, cut = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC)
    price_ = pricing(prompt="1", completion="0")
    steps = [step(begin, cut, price_), step(cut, None, price_, since=begin, incomplete=("old",))]
    (tmp_path / "in.csv").write_text("model,at,prompt\nm,2025-01-10,1\nm,2025-02-10,1\n")
    price_file(tmp_path / "in.csv", tmp_path / "out.csv", Columns(), Known({"m": steps}))
    rows = read(tmp_path / "out.csv")
    assert [row["price_from"] for row in rows] == ["2025-01-01T00:00:00Z"] * 2
    assert [row["possibly_incomplete"] for row in rows] == ["", "old"]


def test_a_price_list_doubts_what_came_after_the_last_capture() -> None:
    begin, settled = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC)
    known: Any = SimpleNamespace(settled_until=settled, doubts=("old",))
    steps = _PriceList(None)._told(known, [step(begin, None, pricing(prompt="1", completion="0"))])  # type: ignore[arg-type]
    after = settled + timedelta(microseconds=1)
    assert [(it.begin, it.since, it.incomplete) for it in steps[:2]] == [(begin, begin, ()), (after, begin, ("old",))]
    assert (steps[0].end, steps[1].end, steps[2].pricing) == (after, steps[2].begin, None)


def test_rates_as_whole_numbers_are_the_rates() -> None:
    fields = frozenset({"prompt", "completion", "reasoning"})
    tariffs = [
        (None, Tariffs(it).at(0, datetime(2025, 1, 1, tzinfo=UTC)))
        for it in (
            pricing(prompt="0.000001", completion="0.000002"),
            pricing(prompt="0.000000123456789012345678", completion="0.000002", internal_reasoning="0.000001"),
        )
    ]
    made = rates_of(tariffs, fields, {"prompt": 10**6, "completion": 10**6, "reasoning": 10**6})
    assert made.digits is not None
    names = [name for name, _ in made.columns]
    for (_, tariff), row in zip(tariffs, made.rows, strict=True):
        rate = dict(zip(names, row, strict=True))
        found = {
            part: sum(
                (Decimal(rate[it.column]).scaleb(-24 if it.is_fine else -made.digits)
                 for it in made.terms if part in it.parts), Decimal(0),
            )
            for part in ("plain", "text", "reasoning")
        }  # fmt: skip
        assert found == {"plain": tariff.rates[0], "text": tariff.rates[7], "reasoning": tariff.rates[8]}
    assert rates_of(tariffs, fields, None).digits is None
    assert rates_of(tariffs, fields, dict.fromkeys(fields, 10**11 - 1)).digits is None


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_is_one(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """While DuckDB works, a signal ends the command as it ends the others, and nothing is left."""
    program = textwrap.dedent(
        """
        import signal, sys
        from pathlib import Path
        from llmhive.app.bulk.duck import Duck

        def stop(number, frame):
            raise SystemExit(128 + number)

        signal.signal(signal.SIGTERM, stop)
        def told(stage, share):
            print(stage, flush=True)
        duck = Duck(Path(sys.argv[1]), told)
        try:
            duck.query("SELECT sum(a.i * b.i % 7) FROM range(10000000) a(i), range(1000000) b(i)", "running")
        except KeyboardInterrupt:
            raise SystemExit(130)
        finally:
            duck.close()
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "running\n"
        running.send_signal(number)
        _, told = running.communicate(timeout=30)
    assert (running.returncode, told) == (code, "")
    assert list(tmp_path.iterdir()) == []
