"""Files in, files out: every form, every reason, nothing lost."""

from __future__ import annotations

import csv
import gzip
import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from llmhive.app.bulk.columns import Columns
from llmhive.app.bulk.pricing import price_file
from llmhive.catalog.price import DYNAMIC
from llmhive.errors import UsageError
from tests.app.bulk.known import Known, pricing, step

JAN, FEB, MAR = (datetime(2025, month, 1, tzinfo=UTC) for month in (1, 2, 3))
PLAIN = pricing(prompt="0.000001", completion="0.000002", input_cache_read="0.0000001")
KNOWN = Known(
    {
        "a/plain": [step(JAN, FEB, PLAIN), step(MAR, None, pricing(prompt="0.000003", completion="0.000004"))],
        "a/plain@Other": [step(JAN, None, pricing(prompt="0.00001", completion="0"))],
        "a/auto": [step(JAN, None, None)],
        "a/long": [step(JAN, None, pricing(prompt="0.0000000000000000000000001", completion="0"))],
        "a/dear": [step(JAN, None, pricing(prompt="100", completion="0"))],
        "a/tiers": [
            step(
                JAN, None,
                pricing(({"min_prompt_tokens": 1000}, {"prompt": "0.00001"}), prompt="0.000001", completion="0"),
            )
        ],
        "a/night": [
            step(
                JAN, None,
                pricing(({"utc_start": 2300, "utc_end": 0}, {"prompt": "0.5"}),
                        ({"utc_start": 1200, "utc_end": 1201, "utc_days": ("saturday",)}, {"prompt": "7"}),
                        prompt="1", completion="0"),
            )
        ],
        "a/search": [
            step(JAN, None, pricing(prompt="0", completion="0", odd="1", image="0.5"), incomplete=("held once",))
        ],
    }
)  # fmt: skip
LIMIT = 10**11 - 1


def price(
    folder: Path, text: str, ending: str = ".csv", target: str = ".csv", **columns: Any
) -> tuple[list[dict[str, Any]], Any]:
    """Price a small file; returns the rows and the summary."""
    source, out = folder / f"in{ending}", folder / f"out{target}"
    source.write_bytes(gzip.compress(text.encode()) if ending.endswith(".gz") else text.encode())
    summary = price_file(source, out, Columns(**columns), KNOWN)
    assert sorted(it.name for it in folder.iterdir()) == sorted([source.name, out.name])
    return read(out), summary


def read(file: Path) -> list[dict[str, Any]]:
    """The rows of a file."""
    if file.suffix == ".parquet":
        with duckdb.connect() as connection:
            relation = connection.sql(f"FROM read_parquet('{file}')")
            return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
    text = gzip.decompress(file.read_bytes()).decode() if file.suffix == ".gz" else file.read_text()
    if ".csv" in file.suffixes:
        return list(csv.DictReader(io.StringIO(text)))
    return [json.loads(line) for line in text.splitlines()]


def test_a_csv_is_kept_as_it_is_written(tmp_path: Path) -> None:
    rows, summary = price(
        tmp_path,
        'model,created_at,note,prompt_tokens,completion_tokens,cached_tokens\n'
        'a/plain,2025-01-10 12:00,007,1000,10,100\n'
        'a/plain,2025-03-10T12:00:00Z,"1,50","1000.0",,\n',
    )  # fmt: skip
    assert rows == [
        {
            "model": "a/plain", "created_at": "2025-01-10 12:00", "note": "007", "prompt_tokens": "1000",
            "completion_tokens": "10", "cached_tokens": "100", "cost": "0.00093", "priced_model": "a/plain",
            "price_from": "2025-01-01T00:00:00Z", "unpriced_because": "", "possibly_incomplete": "",
        },
        {
            "model": "a/plain", "created_at": "2025-03-10T12:00:00Z", "note": "1,50", "prompt_tokens": "1000.0",
            "completion_tokens": "", "cached_tokens": "", "cost": "0.003", "priced_model": "a/plain",
            "price_from": "2025-03-01T00:00:00Z", "unpriced_because": "", "possibly_incomplete": "",
        },
    ]  # fmt: skip
    assert summary.total.to_json() == {
        "rows": 2, "priced": 2, "cost": "0.00393", "prompt": 2000, "completion": 10,
    }  # fmt: skip
    assert {day: it.cost for day, it in summary.by_day.items()} == {
        date(2025, 1, 10): Decimal("0.00093"), date(2025, 3, 10): Decimal("0.003"),
    }  # fmt: skip
    assert summary.by_model["a/plain"].rows == 2
    assert summary.columns["prompt"] == "prompt_tokens"


@pytest.mark.parametrize("ending", [".jsonl", ".ndjson", ".jsonl.gz"])
def test_lines_of_json_stay_as_they_are(tmp_path: Path, ending: str) -> None:
    lines = [
        '{"model": "a/plain",  "created": 1736510400, "n": 1.50, "usage": {"prompt_tokens": 1000, '
        '"completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 100}, "is_byok": true}}',
        '{"model":"a/plain","created":1736510400,"usage":{"prompt_tokens":1.5,"is_byok":false}, "t": "ü\\"}" } ',
        '{"created":null}',
        "{}",
    ]
    rows, summary = price(tmp_path, "\n".join(lines) + "\n", ending, ending)
    ours = [{key: row.pop(key) for key in list(row) if key in summary.added.values()} for row in rows]
    assert rows == [json.loads(line) for line in lines]
    assert ours[0] == {
        "cost": "0.00093", "priced_model": "a/plain", "price_from": "2025-01-01T00:00:00Z", "billed_cost": "0",
        "unpriced_because": None, "possibly_incomplete": None,
    }  # fmt: skip
    assert [row["unpriced_because"] for row in ours[1:]] == [
        f"prompt is not a whole number from 0 to {LIMIT}", "no model is named", "no model is named",
    ]  # fmt: skip
    if ending != ".jsonl.gz":
        text = (tmp_path / f"out{ending}").read_text().splitlines()
        assert [line.startswith(was.strip()[:-1]) for line, was in zip(text, lines, strict=True)] == [True] * 4


def test_from_lines_to_parquet_and_back(tmp_path: Path) -> None:
    lines = '{"model": "a/plain", "at": "2025-01-10T12:00:00+02:00", "prompt": 7, "tags": ["x"], "cost": 3}\n'
    rows, summary = price(tmp_path, lines, ".jsonl", ".parquet")
    assert rows == [
        {
            "model": "a/plain", "at": rows[0]["at"], "prompt": 7, "tags": ["x"], "cost": 3,
            "llmhive_cost": Decimal("0.000007"), "priced_model": "a/plain", "price_from": JAN.replace(tzinfo=None),
            "unpriced_because": None, "possibly_incomplete": None,
        }
    ]  # fmt: skip
    assert summary.added["cost"] == "llmhive_cost"
    again = price_file(tmp_path / "out.parquet", tmp_path / "again.jsonl.gz", Columns(), KNOWN)
    assert again.total == summary.total
    assert read(tmp_path / "again.jsonl.gz")[0]["llmhive_cost"] == pytest.approx(0.000007)


def test_types_of_parquet(tmp_path: Path) -> None:
    source = tmp_path / "in.parquet"
    whens = (
        "TIMESTAMP '2025-01-10 00:00:00'", "TIMESTAMPTZ '2025-01-10 02:00:00+02'", "DATE '2025-01-10'", "1736467200",
        "1736467200000::BIGINT", "1736467200.0::DOUBLE", "TIMESTAMP_NS '2025-01-10 00:00:00'",
        "TIMESTAMP_S '2025-01-10 00:00:00'", "'1736467200'", "' 2025-01-10 '", "'2025-01-09T23:59:60Z'",
    )  # fmt: skip
    counts = ("7::UTINYINT", "7::HUGEINT", "7.0::DOUBLE", "7::DECIMAL(9,2)", "'7'", "7::UBIGINT")
    for number, when in enumerate(whens):
        count = counts[number % len(counts)]
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"COPY (SELECT 'a/plain' AS model, {when} AS at_, {count} AS n) TO '{source}'")
        summary = price_file(source, None, Columns({"at": "AT_", "prompt": "n"}), KNOWN)
        if when.endswith("60Z'"):
            assert summary.unpriced == {"its time cannot be read": 1}
        else:
            assert summary.total.cost == Decimal("0.000007"), when
            assert list(summary.by_day) == [date(2025, 1, 10)], when


def test_every_reason(tmp_path: Path) -> None:
    number = f"is not a whole number from 0 to {LIMIT}"
    cases = [
        ("a/plain", "2025-01-10", "1", "1", None),
        ("a/none", "2025-01-10", "1", "1", "'a/none' means no model"),
        ("", "2025-01-10", "1", "1", "no model is named"),
        ("a/plain", "2025-02-10", "1", "1", "not listed at that time"),
        ("a/plain", "2024-12-31T23:59:59.999999", "1", "1", "before history begins (2025-01-01 00:00 UTC)"),
        ("a/plain", "1960-01-01", "1", "1", "before history begins (2025-01-01 00:00 UTC)"),
        ("a/plain", "9999-12-31", "1", "1", None),
        ("a/auto", "2025-02-10", "1", "1", DYNAMIC),
        ("a/plain", "yesterday", "1", "1", "its time cannot be read"),
        ("a/plain", "2025-02-30", "1", "1", "its time cannot be read"),
        ("a/plain", "", "1", "1", "its time cannot be read"),
        ("a/plain", "2025-01-10", "", "1", "prompt is not told"),
        ("a/plain", "2025-01-10", "-1", "1", f"prompt {number}"),
        ("a/plain", "2025-01-10", "1.5", "1", f"prompt {number}"),
        ("a/plain", "2025-01-10", "many", "1", f"prompt {number}"),
        ("a/plain", "2025-01-10", str(LIMIT), str(LIMIT), None),
        ("a/plain", "2025-01-10", "1", str(LIMIT + 1), f"completion {number}"),
        ("a/plain", "2025-01-10", "1", "9" * 30, f"completion {number}"),
        ("a/long", "2025-01-10", "1", "1", f"the rate of plain, 0.{'1':0>25}, does not fit DECIMAL(26,24)"),
        ("a/dear", "2025-01-10", "1", "1", "the rate of plain, 100, does not fit DECIMAL(26,24)"),
    ]  # fmt: skip
    text = "model,date,prompt,completion\n" + "".join(",".join(case[:4]) + "\n" for case in cases)
    rows, summary = price(tmp_path, text)
    assert [row["unpriced_because"] or None for row in rows] == [case[4] for case in cases]
    assert [bool(row["cost"]) for row in rows] == [case[4] is None for case in cases]
    assert [bool(row["priced_model"] and row["price_from"]) for row in rows] == [case[4] is None for case in cases]
    assert rows[15]["cost"] == str(LIMIT * 3 * Decimal("0.000001"))
    assert sum(summary.unpriced.values()) == summary.total.rows - summary.total.priced == len(cases) - 3
    assert summary.unpriced["its time cannot be read"] == 3


def test_what_cannot_be_read_is_not_priced_as_its_neighbours_are(tmp_path: Path) -> None:
    rows, _ = price(tmp_path, "model,at,prompt\na/plain,2025-01-10,1\na/plain,soon,1\n,2025-01-10,1\n,,\n")
    assert [row["cost"] for row in rows] == ["0.000001", "", "", ""]
    assert [row["unpriced_because"] for row in rows] == ["", "its time cannot be read", *["no model is named"] * 2]


def test_thresholds_and_windows(tmp_path: Path) -> None:
    cases = [
        ("a/tiers", "2025-01-10", 1000, "0.001"),
        ("a/tiers", "2025-01-10", 1001, "0.01001"),
        ("a/night", "2025-01-10 22:59:59.999999", 1, "1"),
        ("a/night", "2025-01-10 23:00", 1, "0.5"),
        ("a/night", "2025-01-10 23:59:59", 1, "0.5"),
        ("a/night", "2025-01-11 00:00", 1, "1"),
        ("a/night", "2025-01-11 11:59:59", 1, "1"),
        ("a/night", "2025-01-11 12:00:59", 1, "7"),
        ("a/night", "2025-01-11 12:01", 1, "1"),
        ("a/night", "2025-01-12 12:00", 1, "1"),
        ("a/plain", "2025-01-31 23:59:59.999999", 1, "0.000001"),
        ("a/plain", "2025-02-01", 1, ""),
        ("a/plain", "2025-02-28 23:59:59.999999", 1, ""),
        ("a/plain", "2025-03-01", 1, "0.000003"),
    ]
    text = "model,time,prompt\n" + "".join(f"{model},{at},{prompt}\n" for model, at, prompt, _ in cases)
    rows, _ = price(tmp_path, text)
    assert [row["cost"] for row in rows] == [cost for *_, cost in cases]


def test_doubts_a_provider_and_one_instant_for_all(tmp_path: Path) -> None:
    text = "model,prompt,web_searches,images,provider,service_tier\n"
    text += "a/search,1,2,0,,\na/search,1,0,2,,\na/search,1,0,0,Any,flex\na/plain,1,0,0,Other,\na/plain,1,0,0,,\n"
    rows, summary = price(tmp_path, text, at=datetime(2025, 1, 10, tzinfo=UTC))
    static = "held once; the pricing lists odd"
    told = [row["possibly_incomplete"] for row in rows]
    assert all(it.startswith(static) for it in told[:3])
    assert "web search" in told[0]
    assert "images are charged as listed" not in told[0]
    assert "images are charged as listed" in told[1]
    assert "search" not in told[2]
    assert [row["cost"] for row in rows] == ["0", "1", "0", "0.00001", "0.000001"]
    assert list(summary.by_day) == [date(2025, 1, 10)]


def test_many_changes_within_a_day_and_instants_far_off(tmp_path: Path) -> None:
    begins = [JAN + timedelta(seconds=it) for it in range(40)]
    steps = [
        step(begin, end, pricing(prompt=str(number), completion="0"))
        for number, (begin, end) in enumerate(zip(begins, [*begins[1:], None], strict=True), start=1)
    ]
    known = Known({"a/busy": steps, "a/plain": [step(JAN, None, PLAIN)]})
    source = tmp_path / "in.csv"
    whens = [*begins, datetime(2900, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)]
    source.write_text("model,time,prompt\n" + "".join(f"a/busy,{at.isoformat()},1\n" for at in whens))
    price_file(source, tmp_path / "out.csv", Columns(), known)
    assert [row["cost"] for row in read(tmp_path / "out.csv")] == [*(str(it) for it in range(1, 41)), "40", ""]


def test_a_folder_of_parquet_and_an_empty_file(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    with duckdb.connect() as connection:
        for number in range(3):
            connection.execute(
                f"COPY (SELECT 'a/plain' AS model, TIMESTAMP '2025-01-10' AS at, {number} AS prompt) "
                f"TO '{folder / f'{number}.parquet'}'"
            )
    assert price_file(folder, None, Columns(), KNOWN).total.prompt == 3
    (tmp_path / "empty").mkdir()
    rows, summary = price(tmp_path / "empty", "model,at,prompt\n")
    assert rows == []
    assert summary.total.rows == 0


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [
        ("model,when,prompt\nx,1,1\n", {}, r"known to say at.*--column at=COLUMN.*It has model, when, prompt"),
        ("model,at\nx,1\n", {}, r"--column prompt=COLUMN"),
        ("model,at,prompt\nx,1,1\n", {"named": {"prompt": "tokens"}}, r"no column 'tokens' for prompt"),
        ("model,at,prompt\nx,1,1\n", {"named": {"tokens": "prompt"}}, r"no field 'tokens'"),
    ],
)  # fmt: skip
def test_columns_that_are_missing(tmp_path: Path, text: str, columns: dict[str, Any], said: str) -> None:
    (tmp_path / "in.csv").write_text(text)
    with pytest.raises(UsageError, match=said):
        price_file(tmp_path / "in.csv", None, Columns(**columns), KNOWN)


def test_what_cannot_be_read_or_written(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("model,at,prompt\nx,1,1\n")
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    for file, target, said in (
        (tmp_path / "no.csv", None, "There is no file"),
        (tmp_path / "bad.parquet", None, "cannot be read"),
        (source, source, "is what is read"),
        (source, tmp_path / "out.txt", "should end with"),
        (source, tmp_path / "no" / "out.csv", "no folder"),
    ):
        with pytest.raises(UsageError, match=said):
            price_file(file, target, Columns(), KNOWN)
    assert source.read_text() == "model,at,prompt\nx,1,1\n"
    assert sorted(it.name for it in tmp_path.iterdir()) == ["bad.parquet", "in.csv"]
