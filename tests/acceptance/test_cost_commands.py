"""cost and verify, as their users run them: figures computed by hand, the price of then, bounds, proofs, mistakes."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.fake_openrouter import Record, catalog, model
from tests.support import Command, Dialect, Result
from tests.upstream import KEY, Upstream, World

OTHERS = [model(f"acme/other-{number:02}") for number in range(40)]
DEAR = [{"min_prompt_tokens": 200_000, "prompt": "0.000006", "completion": "0.0000225"}]
PRICES = {"completion": "0.000015", "input_cache_read": "0.0000003", "overrides": DEAR}


def one(prompt: str) -> Record:
    return model("acme/one", pricing={"prompt": prompt, **PRICES})


#: captures by day of May 2026, at 06:00
MAY = {
    1: catalog(*OTHERS, one("0.000004"), model("acme/router", pricing={"prompt": "-1", "completion": "-1"})),
    3: catalog(*OTHERS, one("0.000003"), model("acme/router", pricing={"prompt": "-1", "completion": "-1"})),
}
THEN = "2026-05-03T12:00Z"


@pytest.fixture
def dialect() -> Dialect:
    """What they say is the same on either database; what it comes to is for tests/app/test_costs.py."""
    return "sqlite"


@pytest.fixture
def known(llmhive: Command, tmp_path: Path) -> Command:
    """With a history of two captures."""
    folder = tmp_path / "captures"
    folder.mkdir()
    for day, body in MAY.items():
        (folder / f"2026-05-{day:02}T060000Z_0000000{day}.json").write_bytes(body)
    assert llmhive("backfill", str(folder))["status"] == "completed"
    return llmhive


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(World.small(today=datetime.now(UTC).date())) as served:
        yield served


def refused(result: Result, *said: str) -> None:
    """It ended with 2, printed nothing, and said why in one line."""
    assert (result.code, result.stdout) == (2, ""), result
    assert result.stderr.startswith("llmhive: ")
    assert result.stderr.count("\n") == 1
    for part in said:
        assert part in result.stderr


def test_a_request_line_by_line(known: Command) -> None:
    words = ("cost", "acme/one", "--prompt", "12k", "--completion", "800", "--cached", "10_000", "--at", THEN)
    found = known(*words)
    # 2,000 × 3 $/M, 10,000 × 0.30 $/M, 800 × 15 $/M
    assert [(it["counted"], it["quantity"], it["rate"], it["amount"]) for it in found["lines"]] == [
        ("plain", 2_000, "0.000003", "0.006"), ("cached", 10_000, "0.0000003", "0.003"),
        ("text", 800, "0.000015", "0.012"),
    ]  # fmt: skip
    assert (found["total"], found["currency"], found["override"], found["incomplete"]) == ("0.021", "USD", None, [])
    assert (found["price_from"]["from"], found["price_from"]["to"]) == ("2026-05-03T06:00:00Z", None)
    shown = known.run(*words)
    assert (shown.code, shown.stderr) == (0, "")
    assert shown.stdout.splitlines() == [
        "acme/one, 2026-05-03 12:00 UTC",
        "what        quantity  charged as            rate  amount",
        "prompt         2,000  prompt             $3.00/M  $0.006",
        "cache read    10,000  input_cache_read   $0.30/M  $0.003",
        "completion       800  completion        $15.00/M  $0.012",
        "total                                             $0.021",
        "No bounds: who served it then is not known. `llmhive sync --research` keeps that from now on.",
        "Price: OpenRouter's model list, since 2026-05-03 06:00 UTC.",
    ]
    # the usage of a response says the same
    answer: dict[str, Any] = {"usage": {"prompt_tokens": 12_000, "completion_tokens": 800,
                        "prompt_tokens_details": {"cached_tokens": 10_000}}}  # fmt: skip
    (known.folder / "answer.json").write_text(json.dumps(answer))
    for told in (json.dumps(answer), "answer.json"):
        assert known("cost", "acme/one", "--usage", told, "--at", THEN)["lines"] == found["lines"]
    answer["usage"]["is_byok"] = True
    own = known("cost", "acme/one", "--usage", json.dumps(answer), "--at", THEN)
    assert (own["total"], own["upstream"], own["billed"]) == ("0.021", "0.021", "0")


def test_a_whole_response_says_it_all(known: Command) -> None:
    usage = {"prompt_tokens": 12_000, "completion_tokens": 800, "cost": 0.048,
             "prompt_tokens_details": {"cached_tokens": 10_000}}  # fmt: skip
    created = int(datetime(2026, 5, 2, 12, tzinfo=UTC).timestamp())
    answer: dict[str, Any] = {"id": "gen-1", "model": "acme/one-20260115", "provider": "Acme", "created": created,
                              "service_tier": "default", "usage": usage}  # fmt: skip
    file = known.folder / "answer.json"
    file.write_text(json.dumps(answer))
    found = known("cost", "--usage", "answer.json")
    # 2,000 × 4 $/M, 10,000 × 0.30 $/M, 800 × 15 $/M
    assert (found["model"], found["at"], found["total"]) == ("acme/one", "2026-05-02T12:00:00Z", "0.023")
    assert (found["provider"], found["tier"], found["is_byok"]) == ("Acme", None, False)
    assert "nothing is known of what Acme charged then" in found["incomplete"][0]
    shown = known.run("cost", "ACME/One", "--usage", "answer.json").stdout
    assert "OpenRouter billed $0.048, $0.025 more: `llmhive reconcile FILE`" in shown
    # what an option says comes first
    other = known("cost", "--usage", "answer.json", "--at", THEN, "--provider", "Other", "--tier", "flex", "--byok")
    assert (other["at"], other["provider"], other["tier"]) == ("2026-05-03T12:00:00Z", "Other", "flex")
    assert (other["total"], other["billed"]) == ("0.021", "0")
    believed = known("cost", "--usage", "answer.json", "--known-at", "now")
    assert (believed["total"], believed["provider"]) == ("0.021", None)

    answer |= {"usage": usage | {"cost": 0.023, "is_byok": False}}
    file.write_text(json.dumps({"data": answer}))
    assert "OpenRouter billed $0.023, the same." in known.run("cost", "--usage", "answer.json").stdout
    # not every response tells what it cost
    del answer["usage"]["cost"]
    file.write_text(json.dumps(answer))
    assert "billed" not in known.run("cost", "--usage", "answer.json").stdout
    generation = {"model": "acme/one", "total_cost": 0.008, "created_at": "2026-05-02T12:00:00Z", "is_byok": True,
                  "native_tokens_prompt": 2000, "native_tokens_completion": 0, "provider_name": "Acme"}  # fmt: skip
    own = known("cost", "--usage", json.dumps({"data": generation}))
    assert (own["total"], own["billed"], own["provider"], own["is_byok"]) == ("0.008", "0", "Acme", True)

    refused(
        known.run("cost", "acme/other-01", "--usage", "answer.json"),
        "MODEL is acme/other-01, but the response says that acme/one-20260115 answered: leave out MODEL",
    )
    # a suffix that routes is no other model; what the catalog does not know contradicts nothing
    assert known("cost", "acme/one:floor", "--usage", "answer.json")["model"] == "acme/one"
    file.write_text(json.dumps(answer | {"model": "one-of-its-own-api"}))
    assert known("cost", "acme/one", "--usage", "answer.json")["model"] == "acme/one"
    refused(known.run("cost", "--usage", "answer.json"), "No model 'one-of-its-own-api' was ever seen")
    file.write_text(json.dumps(answer | {"created": created - 30 * 86_400}))
    refused(known.run("cost", "--usage", "answer.json"), "history begins", "`--at now` asks for today's price")
    assert known("cost", "--usage", "answer.json", "--at", "now")["price_from"]["from"] == "2026-05-03T06:00:00Z"


def test_the_price_of_then_and_of_long_prompts(known: Command) -> None:
    earlier = known("cost", "acme/one", "--prompt", "12k", "--at", "2026-05-02")
    assert (earlier["total"], earlier["price_from"]["to"]) == ("0.048", "2026-05-03T06:00:00Z")
    at_most = known("cost", "acme/one", "--prompt", "200k", "--completion", "1k", "--at", THEN)
    assert (at_most["total"], at_most["override"]) == ("0.615", None)
    beyond = known("cost", "acme/one", "--prompt", "200001", "--completion", "1k", "--at", THEN)
    # 200,001 × 6 $/M + 1,000 × 22.50 $/M
    assert beyond["total"] == "1.222506"
    assert beyond["override"] == {"position": 1, "condition": {"min_prompt_tokens": 200_000}}
    shown = known.run("cost", "acme/one", "--prompt", "200001", "--at", THEN).stdout
    assert "In force: override 1, prompt over 200,000 tokens." in shown
    fee = known("cost", "acme/one", "--prompt", "1M", "--at", "2026-05-02", "--byok-fee")
    # the override has a price of its own: 6 $/M, and 5 % of it
    assert (fee["total"], fee["billed"], fee["upstream"]) == ("6.3", "0.3", "6")
    assert known("cost", "acme/one", "--prompt", "12k", "--at", "now")["total"] == "0.036"
    # months after the last capture nobody knows
    now = known("cost", "acme/one", "--prompt", "12k")
    assert (now["total"], len(now["incomplete"])) == ("0.036", 1)
    assert "Possibly incomplete: the last capture" in known.run("cost", "acme/one", "--prompt", "12k").stdout


def test_what_cannot_be_priced_says_why(known: Command) -> None:
    refused(known.run("cost", "acme/router", "--prompt", "12", "--at", THEN), "decided per request")
    refused(known.run("cost", "acme/on", "--prompt", "12"), "acme/one")
    refused(known.run("cost", "acme/one", "--prompt", "12", "--at", "2026-04-01", "--json"), "history begins")
    refused(known.run("cost", "acme/one", "--prompt", "12", "--at", "2126-04-01"), "in the future")
    refused(known.run("cost", "acme/one", "--usage", "{}", "--at", THEN), "no token count")
    for words, said in (
        (["--prefer", '{"fast": true}'], "unknown provider preference"),
        (["--sort", "beauty"], "sort"),
        (["--max-price", "prompt=cheap"], "max_price.prompt"),
        (
            ["--max-price", "promt=1"],
            "max_price is an object with prices for prompt, completion, request, image, audio, not 'promt'",
        ),
    ):
        refused(known.run("cost", "acme/one", "--prompt", "12", "--at", THEN, *words), said)


def test_slips(bare: Command) -> None:
    for words, said in (
        ([], "--prompt 12000 --completion 800"),
        (["--requests", "3"], "Say what was used"),
        (["--prompt", "-5"], "--prompt is a whole number"),
        (["--prompt", "1.5"], "not '1.5'"),
        (
            ["--prompt", "12.000"],
            "--prompt: a decimal point is for k, M and B, as 12.5k; write twelve thousand as 12000",
        ),
        (["--prompt", "12.0005k"], "--prompt is a whole number"),
        (["--prompt", "1", "--provider", ""], "--provider is empty"),
        (["--prompt", "1", "--tier", " "], "--tier is empty"),
        (["--prompt", "1", "--only", ""], "--only is empty"),
        (["--prompt", "9999999999999B"], "15 digits"),
        (["--cached", "10k"], "--cached is a part of --prompt"),
        (["--prompt", "1", "--image-output", "5"], "--image-output is a part of --completion"),
        (["--prompt", "1", "--usage", "{}"], "leave out --prompt"),
        (["--usage", "[]"], "usage is told by an object"),
        (["--usage", '{"prompt_tokens": 1'], "--usage is no JSON"),
        (["--usage", "none.json"], "Cannot read none.json"),
        (["--prompt", "1", "--at", "often"], "not a time"),
        (["--prompt", "1", "--prefer", "[]"], "--prefer is a JSON object"),
        (["--prompt", "1", "--max-price", "prompt"], "prompt=1,completion=3"),
    ):
        refused(bare.run("cost", "acme/one", *words), said)
    for words, said in (
        ([], "Say what was used"),
        (["--prompt", "1"], "Say what was used: MODEL --prompt 12000"),
        (["--usage", '{"prompt_tokens": 1}'], "--usage tells no model"),
        (["acme/one", "--prompt", "1", "-o", "priced.csv", "--master", "local"], "--output, --master is for a file of"),
        (["acme/one", "--prompt", "1", "--engine", "spark"], "--engine is for a file of usages, and acme/one is none"),
        (["none.CSV", "--prompt", "1", "--zdr"], "--prompt, --zdr is for one request, and none.CSV is a file"),
        (["none.csv", "--column", "tokens_in"], "OURS=THEIRS"),
        (["none.csv", "--engine", "abacus"], "no engine 'abacus'"),
        (["none.csv", "--master", "local[2]"], "--engine spark"),
    ):
        refused(bare.run("cost", *words), said)


def test_an_empty_catalog(llmhive: Command) -> None:
    refused(llmhive.run("cost", "acme/one", "--prompt", "12"), "llmhive sync")


def test_lowest_expected_and_highest(llmhive: Command, upstream: Upstream) -> None:
    llmhive.env.update({"OPENROUTER_BASE_URL": upstream.base_url, "OPENROUTER_API_KEY": KEY})
    llmhive("sync", "--research")
    words = ("cost", "cobalt/coder-9b", "--prompt", "1M", "--completion", "100k")
    found = llmhive(*words)
    # 0.03 and 0.09 $/M at the list price, 0.02 and 0.06 at one; a third is asked only when both fail
    assert (found["total"], found["lowest"], found["highest"]) == ("0.039", "0.026", "0.039")
    # weights 1/26² and 1/39² are as 9 to 4
    assert found["expected"] == "0.03"
    shown = llmhive.run(*words).stdout
    start = shown.index("3 endpoints")
    assert [line.split()[:2] for line in shown[start:].splitlines()[1:4]] == [
        ["lowest", "$0.026"], ["expected", "$0.03"], ["highest", "$0.039"],
    ]  # fmt: skip
    assert shown[start:].splitlines()[1].split()[2] == "deepinfra/fp8"
    dear = llmhive.run(*words, "--max-price", "prompt=0.025", "--ignore", "together").stdout
    assert "1 endpoint: $0.026." in dear
    assert "max_price is $0.025" in dear
    nobody = llmhive.run(*words, "--only", "azure").stdout
    assert "No bounds: none of the 3 endpoints may serve this." in nobody
    assert "`only` names azure, which means no endpoint of this model" in nobody
    slip = llmhive.run(*words, "--only", "deepinfr", "--provider", "deepinfr").stdout
    assert "Note: `only` names deepinfr, which means no endpoint of this model; near it: deepinfra" in slip
    assert "Note: no endpoint of this model is known by the name deepinfr; near it: deepinfra" in slip
    preferred = llmhive(*words, "--prefer", '{"order": ["azure"], "sort": "price"}', "--order", "deepinfra/fp8")
    assert preferred["expected"] == "0.026"


# --- files


def test_a_file(known: Command) -> None:
    (known.folder / "usage.csv").write_text(
        "when,model,tokens_in,completion_tokens,cached_tokens,note\n"
        "2026-05-02T00:00:00Z,acme/one,12000,800,10000,before\n"
        "2026-05-03T12:00:00Z,acme/one,12000,800,10000,after\n"
        '2026-05-03T12:00:01Z,acme/one-20260115,200001,1000,,"long, by its slug"\n'
        "2026-05-03T12:00:02Z,acme/router,10,1,0,\n"
        "2026-05-03T12:00:03Z,acme/nobody,10,1,0,\n"
        "2026-04-01T12:00:00Z,acme/one,10,1,0,\n"
    )
    words = ("cost", "usage.csv", "--column", "prompt=tokens_in", "--column", "at=when")
    found = known(*words, "-o", "priced.csv")
    # 8 + 3 + 12 thousandths of a dollar, 6 + 3 + 12, and what the long one cost alone
    assert (found["cost"], found["rows"], found["priced"]) == ("1.266506", 6, 3)
    assert found["by_model"]["acme/one"]["cost"] == "1.266506"
    assert (found["by_day"]["2026-05-02"]["cost"], found["by_day"]["2026-05-03"]["rows"]) == ("0.023", 4)
    assert sum(found["unpriced"].values()) == 3
    with (known.folder / "priced.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["cost"] for row in rows] == ["0.023", "0.021", "1.222506", "", "", ""]
    assert rows[2]["note"] == "long, by its slug"
    assert "decided per request" in rows[3]["unpriced_because"]
    assert "acme/nobody" in rows[4]["unpriced_because"]
    for row in rows[:3]:
        counts = ("--prompt", row["tokens_in"], "--completion", row["completion_tokens"],
                  "--cached", row["cached_tokens"] or "0")  # fmt: skip
        assert known("cost", row["model"], *counts, "--at", row["when"])["total"] == row["cost"]

    shown = known.run(*words)
    assert (shown.code, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert lines[0] == "usage.csv: 6 rows, $1.266506 in all; 3 without a price."
    assert "acme/one     3       224k  2.60k  100.0 %  $1.266506" in lines
    assert any("decided per request" in line for line in lines)
    assert lines[-1].startswith("Read: prompt from tokens_in, at from when, model, completion from")
    at_once = known("cost", "usage.csv", "--column", "prompt=tokens_in", "--at", "2026-05-02")
    assert (at_once["priced"], at_once["by_day"].keys()) == (4, {"2026-05-02"})
    refused(known.run("cost", "usage.csv", "--column", "prompt=nothing"), "nothing", "tokens_in")
    refused(known.run(*words, "-o", "usage.csv"), "usage.csv")
    refused(known.run("cost", "none.parquet"), "There is no file none.parquet")


# --- receipts


def test_a_receipt_is_right_until_a_digit_is_changed(known: Command) -> None:
    words = ("cost", "acme/one", "--prompt", "200001", "--completion", "1k", "--at", THEN)
    printed = known.run(*words, "--json").stdout
    receipt = json.loads(printed)
    file = known.folder / "receipt.json"
    file.write_text(printed)
    right = known.run("verify", "receipt.json")
    assert (right.code, right.stderr) == (0, ""), right
    lines = right.stdout.splitlines()
    assert lines[0] == "acme/one, 2026-05-03 12:00 UTC, $1.222506: right."
    assert all(line.startswith("  ✓ ") for line in lines[1:-1])
    digest = receipt["price_from"]["digest"]
    assert lines[-2].startswith(f"  ✓ body       the raw body {digest[:12]}… of capture ")
    assert lines[-2].endswith(" lists the rates that the recomputed price has")
    assert lines[-1] == "  – rest       bounds, notes, incomplete: by the digest only"
    found = known("verify", "receipt.json")
    assert (found["ok"], found["total"], found["data"][0]["total"]) == (True, 1, "1.222506")

    forged = [_with_digit_changed(receipt, path) for path in _digits(receipt)]
    assert len(forged) > 15
    file.write_text(json.dumps({"data": forged}))
    found = known("verify", "receipt.json", code=1)
    assert [it["ok"] for it in found["data"]] == [False] * len(forged)
    file.write_text(json.dumps({"data": [receipt, {"error": {"status": 404}, "model": "acme/two"}]}))
    found = known("verify", "receipt.json")
    assert (found["ok"], found["total"], found["without_receipt"]) == (True, 1, 1)
    assert known.run("verify", "receipt.json").stdout.endswith("1 more entry has no receipt, but an error.\n")
    # a total that nobody sealed is not right, and the others are checked
    file.write_text(json.dumps({"data": [{**receipt, "digest": None}, receipt]}))
    found = known("verify", "receipt.json", code=1)
    assert (found["ok"], found["total"], found["unsealed"], found["data"][0]["ok"]) == (False, 1, 1, True)
    said = known.run("verify", "receipt.json").stdout
    assert "$1.222506: right." in said
    assert said.endswith("1 more entry has a receipt without a digest: not checked.\n")
    # who seals it again does not get away with it
    forged = receipt | {"total": "0.222506"}
    forged["digest"] = _sealed(forged)
    file.write_text(json.dumps([receipt, forged]))
    result = known.run("verify", "receipt.json")
    assert (result.code, result.stderr) == (1, "")
    assert "$1.222506: right." in result.stdout
    assert "$0.222506: WRONG." in result.stdout
    assert f"the raw body {digest[:12]}… of capture" in result.stdout
    assert digest not in result.stdout
    assert digest in json.dumps(known("verify", "receipt.json", code=1))
    assert "  ✗ total      it says 0.222506, it is 1.222506" in result.stdout.splitlines()
    assert result.stdout.endswith("1 of 2 receipts are right.\n")


def _digits(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a document there are digits."""
    if isinstance(value, dict | list):
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _digits(part, (*path, name))
    elif any(letter.isdigit() for letter in str(value)):
        yield path


def _with_digit_changed(document: Any, path: tuple[Any, ...]) -> Any:
    changed = json.loads(json.dumps(document))
    *way, last = path
    place = changed
    for name in way:
        place = place[name]
    text = str(place[last])
    at = max(number for number, letter in enumerate(text) if letter.isdigit())
    text = f"{text[:at]}{(int(text[at]) + 1) % 10}{text[at + 1 :]}"
    place[last] = text if isinstance(place[last], str) else int(text)
    return changed


def _sealed(receipt: dict[str, Any]) -> str:
    document = {name: value for name, value in receipt.items() if name != "digest"}
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def test_what_is_no_receipt(bare: Command) -> None:
    for text, said in (
        ("", "no JSON"),
        ("{", "no JSON"),
        ("{}", "no sealed receipt"),
        ("[]", "no receipt"),
        ('{"data": [{"digest": "0", "price_from": {}}, 1]}', "Entry 2 of it.json"),
        ('{"data": [{"error": {}, "model": "a/b"}]}', "There is no receipt in it.json"),
        ("[" * 5000, "no JSON"),
        ('{"total": "1", "digest": null}', "no sealed receipt"),
    ):
        (bare.folder / "it.json").write_text(text)
        for words in ((), ("--json",)):
            refused(bare.run("verify", "it.json", *words), said)
    refused(bare.run("verify", "no.json"), "Cannot read no.json")


def test_help(bare: Command) -> None:
    general = bare.run("--help").stdout
    for name in ("cost", "verify"):
        assert f" {name} " in general
        result = bare.run(name, "--help")
        assert (result.code, result.stderr) == (0, "")
        assert "--json" in result.stdout


def test_rows_of_before_history_say_what_to_do(known: Command, tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("model,at,prompt\nacme/one,2020-01-01,1\n")
    told = known.run("cost", str(tmp_path / "old.csv"))
    assert told.code == 0
    assert "before history begins" in told.stdout
    assert "llmhive backfill PATH" in told.stdout
