"""llmhive reconcile, as its users run it: every kind of file, what is told, what is refused."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llmhive.catalog.cause import Cause
from tests.fake_openrouter import FakeOpenRouter, catalog, model, status
from tests.support import Command, Dialect, Result

OTHERS = [model(f"acme/other-{number:02}") for number in range(40)]
PRICING = {"prompt": "0.000003", "completion": "0.000015", "input_cache_read": "0.0000003"}
HEADER = (
    "generation_id,created_at,cost_total,cost_web_search,cost_cache,cost_file_processing,byok_usage_inference,"
    "tokens_prompt,tokens_completion,tokens_reasoning,tokens_cached,model_permaslug,provider_name,variant"
)
#: exact; cut; with a web search; of a model nobody knows; four too few cells; another price
ROWS = """
gen-1,2026-05-03 12:00:00.000,0.0045,,,,0,1000,100,0,0,acme/one-20260501,Acme,standard
gen-2,2026-05-03 12:00:01.000,0.0033,,,,0,1001,20,0,1,acme/one-20260501,Acme,standard
gen-3,2026-05-03 12:00:02.000,0.0115,0.007,,,0,1000,100,0,0,acme/one-20260501,Acme,standard
gen-4,2026-05-03 12:00:03.000,1.25,,,,0,1000,100,0,0,acme/unknown,Acme,standard
gen-5,2026-05-03 12:00:04.000,0.0045,,,,0,1000,100,0
gen-6,2026-05-03 12:00:05.000,0.009,,,,0,1000,100,0,0,acme/one-20260501,Other,standard
""".strip()
CAUSES = ["exact", "rounded", "web_search", "not_priced", "unreadable", "other_provider"]


def response(cost: float = 0.0045, **more: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "cost": cost, "is_byok": False}
    return {"id": "gen-9", "model": "acme/one", "created": 1777809600, "usage": usage, **more}


@pytest.fixture
def dialect() -> Dialect:
    """Nothing here hangs on the database."""
    return "sqlite"


@pytest.fixture
def llm(bare: Command, tmp_path: Path) -> Command:
    """A catalog with a day in May 2026."""
    folder = tmp_path / "captures"
    folder.mkdir()
    one = model("acme/one", canonical_slug="acme/one-20260501", pricing=PRICING)
    for day in (1, 5):
        (folder / f"2026-05-{day:02}T060000Z_0000000{day}.json").write_bytes(catalog(*OTHERS, one))
    assert bare("backfill", str(folder))["status"] == "completed"
    return bare


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "activity.csv"
    path.write_text(f"{HEADER}\n{ROWS}\n")
    return path


def piped(llm: Command, content: bytes, *words: str) -> Result:
    done = subprocess.run(
        [sys.executable, "-m", "llmhive", *words], cwd=llm.folder, env=llm.environment(), input=content,
        capture_output=True, check=False,
    )  # fmt: skip
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def test_the_activity_export(llm: Command, export: Path) -> None:
    found = llm("reconcile", str(export))
    assert {it["cause"]: it["rows"] for it in found["causes"]} == dict.fromkeys(CAUSES, 1)
    assert found["total"] == {
        "rows": 6, "requests": 5, "probable": 1, "unpriced": 2, "paid": "1.2783", "ours": "0.0168003",
        "difference": "0.0114997", "comparable": {"rows": 4, "paid": "0.0283", "ours": "0.0168003"},
        "not_comparable": {"rows": 2, "paid": "1.25", "ours": "0"},
    }  # fmt: skip
    assert found["differing"] == 4
    assert [(it["row"], it["cause"], it["difference"]) for it in found["data"]] == [
        (4, "web_search", "0.007"), (7, "other_provider", "0.0045"), (5, "not_priced", None), (6, "unreadable", None),
    ]  # fmt: skip
    searched = found["data"][0]
    assert (searched["model"], searched["billed"], searched["ours"]) == ("acme/one", "0.0115", "0.0045")
    assert (searched["is_proven"], searched["price_from"]["from"]) == (True, "2026-05-01T06:00:00Z")
    assert "10 cells" in found["data"][3]["why"]
    assert all(it["agrees"] is (it["cause"] in {"exact", "rounded"}) for it in found["causes"])


def test_what_people_are_told(llm: Command, export: Path) -> None:
    result = llm.run("reconcile", str(export))
    assert (result.code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].endswith(
        "6 rows, $1.2783 paid; 2 agree with our prices; 2 rows ($1.25) not comparable; "
        "$0.0283 - $0.0168 = +$0.0115 in all."
    )
    assert any(line.split()[:2] == ["exact", "1"] for line in lines)
    assert any("web search" in line and "+$0.007" in line and "the rest agrees" in line for line in lines)
    assert any("probably other provider" in line and "does not know what Other charged" in line for line in lines)
    assert any(line.split()[:6] == ["together", "4", "1", "$0.0283", "$0.0168", "+$0.0115"] for line in lines)
    apart = lines[next(place for place, line in enumerate(lines) if line.startswith("not comparable")) :]
    assert [line.split()[:4] for line in apart[1:3]] == [
        ["not", "priced", "1", "$1.25"],
        ["unreadable", "1", "$0.00", "The"],
    ]
    short = llm.run("reconcile", str(export), "-n", "1").stdout
    assert "1 of 4 rows that differ" in short
    assert "gen" not in short
    assert "rows that differ" not in llm.run("reconcile", str(export), "--all", "-n", "1").stdout


def test_every_row_in_a_file(llm: Command, export: Path, tmp_path: Path) -> None:
    target = tmp_path / "rows.csv"
    found = llm("reconcile", str(export), "-o", str(target), "-n", "0")
    assert (found["data"], found["differing"]) == ([], 4)
    with target.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["cause"] for row in rows] == CAUSES
    assert [row["row"] for row in rows] == ["2", "3", "4", "5", "6", "7"]
    told = [Decimal(row["paid"]) - Decimal(row["ours"]) - Decimal(row["difference"]) for row in rows if row["ours"]]
    assert told == [0] * 4
    assert [row["meaning"] for row in rows if not row["why"]] == []
    assert rows[0]["meaning"] == "Our price gives the very amount."
    for name, reason in (
        (str(export), "choose another name"),
        (str(tmp_path / "rows.xlsx"), "End it with .csv, .json, .jsonl"),
        (str(tmp_path / "rows"), "End it with .csv, .json, .jsonl"),
        (str(tmp_path / "no" / "rows.csv"), "cannot be written"),
    ):
        refused = llm.run("reconcile", str(export), "-o", name)
        assert refused.code == 2
        assert reason in refused.stderr
    assert export.read_text().startswith(HEADER)


def test_every_row_as_json(llm: Command, export: Path, tmp_path: Path) -> None:
    found = llm("reconcile", str(export), "-o", str(tmp_path / "rows.json"), "--all")
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row["cause"] for row in rows] == CAUSES
    assert all(row in rows for row in found["data"])
    llm("reconcile", str(export), "-o", str(tmp_path / "rows.jsonl"))
    assert [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()] == rows
    export.write_text(f"{HEADER}\n")
    llm("reconcile", str(export), "-o", str(tmp_path / "rows.json"))
    assert json.loads((tmp_path / "rows.json").read_text()) == []
    # what cannot be read leaves what was written before
    export.write_text("")
    assert llm.run("reconcile", str(export), "-o", str(tmp_path / "rows.jsonl")).code == 2
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == len(rows)
    assert not list(tmp_path.glob(".rows*"))


def test_no_cell_is_a_formula(llm: Command, export: Path, tmp_path: Path) -> None:
    row = ROWS.splitlines()[5].replace("gen-6", "=1+1").replace("Other", "@SUM(A1)").replace("0.009", "0.001")
    other = ROWS.splitlines()[3].replace("gen-4", "-1").replace("acme/unknown", "+cmd|' /C calc'!A0")
    export.write_text(f"{HEADER}\n{row}\n{other}\n")
    llm("reconcile", str(export), "-o", str(tmp_path / "rows.csv"))
    with (tmp_path / "rows.csv").open(newline="") as opened:
        one, two = csv.DictReader(opened)
    assert (one["id"], one["provider"], one["difference"]) == ("'=1+1", "'@SUM(A1)", "-0.0035")
    assert (two["id"], two["name"]) == ("'-1", "'+cmd|' /C calc'!A0")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_terminal_is_told_why(llm: Command, export: Path, width: int) -> None:
    text = on_terminal(llm, width, "reconcile", str(export))
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    searched = next(
        place
        for place, line in enumerate(lines)
        if line.split()[:2] == ["4", "2026-05-03"] or line.split()[:2] == ["4", "acme/one"]
    )
    below = " ".join(lines[searched + 1 : searched + 3])
    assert below.startswith("  The bill tells $0.007 for searching the web; the rest")
    told = " ".join(text.split())
    assert "The catalog does not know what Other charged at that time; it is not the listed price." in told
    assert all(cause.meaning in told for cause in Cause if cause.value in CAUSES)
    assert "it has 10 cells, the header 14." in told
    if width == 120:
        assert "Left out" not in told


def on_terminal(llm: Command, width: int, *words: str) -> str:
    """What a terminal of some width shows, without colours."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    command = [sys.executable, "-m", "llmhive", *words]
    env = {**llm.environment(), "TERM": "xterm", "NO_COLOR": "1"}
    env.pop("COLUMNS", None)
    process = subprocess.Popen(command, cwd=llm.folder, env=env, stdout=slave, stdin=slave, stderr=subprocess.PIPE)
    os.close(slave)
    content = b""
    with contextlib.suppress(OSError):  # it ends so
        while part := os.read(master, 65536):
            content += part
    os.close(master)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (0, b"")
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", content.decode()).replace("\r\n", "\n")


def test_one_row_agrees(llm: Command, export: Path) -> None:
    export.write_text(f"{HEADER}\n{ROWS.splitlines()[0]}\n")
    told = llm.run("reconcile", str(export)).stdout
    assert told.splitlines()[0].endswith("1 row, $0.0045 paid; 1 agrees with our prices; no difference in all.")
    assert "together" not in told
    export.write_text(f"{HEADER}\n{ROWS.splitlines()[3]}\n")
    told = llm.run("reconcile", str(export)).stdout
    assert told.splitlines()[0].endswith("0 agree with our prices; none is comparable.")


def test_sums_add_up_for_every_cause(llm: Command, export: Path) -> None:
    rows = [ROWS.splitlines()[place] for place in (1, 3)]
    older = [ROWS.splitlines()[0].replace("2026-05-03", day) for day in ("2026-03-03", "2026-03-04")]
    older[1] = older[1].replace("0.0045", "0.0077")
    nothing = ROWS.splitlines()[0].replace(",0.0045,", ",,")
    export.write_text("\n".join([HEADER, *rows, *older, nothing]) + "\n")
    found = llm("reconcile", str(export))
    for it in (found["total"], *found["causes"]):
        compared, others = it["comparable"], it["not_comparable"]
        assert Decimal(compared["paid"]) - Decimal(compared["ours"]) == Decimal(it["difference"])
        assert Decimal(compared["paid"]) + Decimal(others["paid"]) == Decimal(it["paid"])
        assert Decimal(compared["ours"]) + Decimal(others["ours"]) == Decimal(it["ours"])
        assert (compared["rows"] + others["rows"], others["rows"]) == (it["rows"], it["unpriced"])
    before = next(it for it in found["causes"] if it["cause"] == "before_history")
    assert before["comparable"] == {"rows": 1, "paid": "0.0045", "ours": "0.0045"}
    assert before["not_comparable"] == {"rows": 1, "paid": "0.0077", "ours": "0"}
    lines = llm.run("reconcile", str(export)).stdout.splitlines()
    assert any(line.split()[:6] == ["rounded", "1", "$0.0033", "$0.0033", "-$0.0000003", "Our"] for line in lines)
    # what is even has its place after what is not known
    assert lines[-1].split()[0] == "4"
    assert "first known price" in lines[-1]


def test_a_new_catalog_and_bills_of_before_and_of_the_future(bare: Command, fake: FakeOpenRouter, export: Path) -> None:
    one = model("acme/one", canonical_slug="acme/one-20260501", pricing=PRICING)
    fake.serve(catalog(*OTHERS, one))
    assert bare("sync")["status"] == "completed"
    rows = [ROWS.splitlines()[0], ROWS.splitlines()[5], ROWS.splitlines()[3]]
    rows += [row.replace("2026-05-03", "2099-05-03") for row in (rows[0], rows[1])]
    export.write_text("\n".join([HEADER, *rows]) + "\n")
    found = bare("reconcile", str(export), "--all")
    assert {it["cause"]: it["rows"] for it in found["causes"]} == {"before_history": 3, "exact": 1, "after_history": 1}
    told = {it["row"]: (it["cause"], it["ours"], it["why"]) for it in found["data"]}
    assert told[2][:2] == ("before_history", "0.0045")
    assert "first known price" in told[2][2]
    assert told[3][:2] == ("before_history", None)
    assert "`llmhive backfill PATH` takes in older captures" in told[3][2]
    assert "ever seen" in told[4][2]
    assert told[6][0] == "after_history"
    assert "in the future" in told[6][2]
    assert "sync" not in told[6][2]


def test_a_catalog_of_facts_alone(bare: Command, fake: FakeOpenRouter, export: Path) -> None:
    fake.serve(status(403))
    bare("sync", code=1)
    rows = [
        ROWS.splitlines()[0].replace("acme/one-20260501", "openai/gpt-4o-mini").replace("2026-05-03", day)
        for day in ("2024-05-03", "2026-11-20")
    ]
    export.write_text("\n".join([HEADER, *rows]) + "\n")
    before, after = bare("reconcile", str(export), "--all")["data"]
    assert {before["cause"], after["cause"]} == {"before_history", "after_history"}
    assert all("facts shipped with LLMHive" in it["why"] for it in (before, after))


def test_parquet(llm: Command, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "bills.parquet"
    duckdb.execute(
        f"""COPY (SELECT * FROM (VALUES
        (uuid(), TIMESTAMPTZ '2026-05-03 12:00:00Z', 'acme/one', 0.0045::DOUBLE, 1000, 100),
        (uuid(), TIMESTAMPTZ '2026-05-03 14:00:00+02', 'acme/one', 0.0091, 1000, 100),
        (NULL, NULL, 'acme/one', NULL, 1000, 100))
        it(id, created_at, model, cost, tokens_prompt, tokens_completion)) TO '{path}'"""
    )
    found = llm("reconcile", str(path), "--all")
    assert {it["cause"]: it["rows"] for it in found["causes"]} == {"exact": 1, "unknown": 1, "no_amount": 1}
    unknown = found["data"][0]
    assert (unknown["row"], unknown["at"], len(unknown["id"])) == (2, "2026-05-03T12:00:00Z", 36)
    refused = piped(llm, path.read_bytes(), "reconcile", "-")
    assert refused.code == 2
    assert "name the file" in refused.stderr
    path.write_bytes(b"PAR1 and no more")
    broken = llm.run("reconcile", str(path))
    assert broken.code == 2
    assert "cannot be read" in broken.stderr


@pytest.mark.parametrize("content", [HEADER.encode(), b"[]", b'{"data": []}'])
def test_a_file_without_rows_is_a_time_without_requests(llm: Command, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    result = llm.run("reconcile", str(path))
    assert (result.code, result.stdout) == (0, f"{path} has no rows.\n")


@pytest.mark.parametrize("kind", ["list", "one", "wrapped", "lines", "generation", "pretty"])
def test_json_in_every_form(llm: Command, tmp_path: Path, kind: str) -> None:
    generation = {
        "data": {"id": "gen-9", "model": "acme/one", "created_at": "2026-05-03T12:00:00Z", "total_cost": 0.0045,
                 "usage": 0.0045, "native_tokens_prompt": 1000, "native_tokens_completion": 100, "is_byok": False},
    }  # fmt: skip
    text = {
        "list": json.dumps([response(), response(0.0115)]),
        "one": json.dumps(response()),
        "wrapped": json.dumps({"data": [response(), response()]}),
        "lines": "\n" + "\n".join(json.dumps(it) for it in (response(), response(), response())) + "\nnot JSON\n",
        "generation": json.dumps(generation),
        "pretty": json.dumps(response(), indent=2),
    }[kind]
    path = tmp_path / "bills.json"
    path.write_text(text)
    found = llm("reconcile", str(path))
    causes = {it["cause"]: it["rows"] for it in found["causes"]}
    assert causes == {
        "list": {"exact": 1, "unknown": 1}, "one": {"exact": 1}, "wrapped": {"exact": 2},
        "lines": {"exact": 3, "unreadable": 1}, "generation": {"exact": 1}, "pretty": {"exact": 1},
    }[kind]  # fmt: skip
    if kind == "lines":
        assert found["data"][0]["row"] == 5


def test_amounts_that_no_bill_has(llm: Command, tmp_path: Path) -> None:
    path = tmp_path / "bills.jsonl"
    texts = [json.dumps(response()).replace("0.0045", it) for it in ("1e-99", "1e60", "-0.0045", "0.0045")]
    path.write_text("\n".join(texts))
    found = llm("reconcile", str(path), "--all")
    assert {it["cause"]: it["rows"] for it in found["causes"]} == {"exact": 1, "unreadable": 2, "unknown": 1}
    assert found["total"]["difference"] == "-0.009"


def test_standard_input(llm: Command) -> None:
    result = piped(llm, f"{HEADER};\n".replace(",", ";").encode("utf-8-sig"), "reconcile", "-")
    assert (result.code, result.stdout) == (0, "standard input has no rows.\n")
    rows = "\n".join(f"{row};" for row in ROWS.replace(",", ";").splitlines()[:2])
    result = piped(llm, f"{HEADER};\n{rows}\n".replace(",", ";").encode("utf-8-sig"), "reconcile", "-", "--json")
    assert (result.code, [it["cause"] for it in result.json["causes"]]) == (0, ["exact", "rounded"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"hello\n", "neither CSV with a header nor JSON"),
        ("Modèle,Prix\n".encode("utf-16"), "is not UTF-8"),
        (b"[{", "is not JSON"),
        (b"a,b\n1,2\n", "No row of"),
        (b'[{"model": "acme/one"}]', "can be read as a bill"),
    ],
)
def test_files_that_cannot_be_read(llm: Command, tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    result = llm.run("reconcile", str(path))
    assert (result.code, result.stdout) == (2, "")
    assert reason in result.stderr


def test_without_file_or_catalog(bare: Command, export: Path) -> None:
    missing = bare.run("reconcile", str(export))
    assert missing.code == 2
    assert "llmhive sync" in missing.stderr


def test_a_file_that_is_not_there(llm: Command) -> None:
    result = llm.run("reconcile", "nothing.csv")
    assert result.code == 2
    assert "nothing.csv cannot be read: No such file" in result.stderr


def test_a_day_of_the_activity_endpoint(llm: Command, tmp_path: Path) -> None:
    day = {"date": "2026-05-03", "model": "acme/one", "model_permaslug": "acme/one-20260501", "endpoint_id": "e",
           "provider_name": "Acme", "usage": 4.05, "byok_usage_inference": 0, "requests": 1000,
           "prompt_tokens": 1_000_000, "completion_tokens": 100_000, "reasoning_tokens": 0}  # fmt: skip
    path = tmp_path / "activity.json"
    path.write_text(json.dumps({"data": [day, {**day, "usage": 4.5}]}))
    found = llm("reconcile", str(path))
    assert [(it["cause"], it["is_proven"]) for it in found["data"]] == [("caching", False)]
    assert found["total"]["requests"] == 2000
    assert "2026-05-03 " in llm.run("reconcile", str(path)).stdout
