"""llmhive reconcile, as its users run it: every kind of file, what is told, what is refused."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.fake_openrouter import catalog, model
from tests.support import Command, Result

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
        "difference": "0.0114997",
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
    assert lines[0].endswith("6 rows, $1.2783 paid; 2 agree with our prices; +$0.0115 in all.")
    assert any(line.split()[:2] == ["exact", "1"] for line in lines)
    assert any("web search" in line and "+$0.007" in line and "the rest agrees" in line for line in lines)
    assert any("probably other provider" in line and "does not know what Other charged" in line for line in lines)
    assert "2 rows have no known price, or no amount" in result.stdout
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
    for name, reason in (
        (str(export), "choose another name"),
        (str(tmp_path / "no" / "rows.csv"), "cannot be written"),
    ):
        refused = llm.run("reconcile", str(export), "-o", name)
        assert refused.code == 2
        assert reason in refused.stderr
    assert export.read_text().startswith(HEADER)


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
