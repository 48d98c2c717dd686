"""select, as its users run it: what is chosen and why, every option, nothing that qualifies, mistakes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema_rs
import pytest
from rich.console import Console
from rich.text import Text
from typer.testing import CliRunner

from llmhive.app.cli import explained, shortlists
from llmhive.app.cli.main import app
from llmhive.app.library import Catalog as Library
from llmhive.catalog import cost, rejection
from llmhive.catalog.need import Need
from llmhive.catalog.preferences import Preferences
from llmhive.errors import LLMHiveError, UsageError
from tests.fake_openrouter import catalog, model
from tests.openrouter_request import REQUEST
from tests.support import Command, Dialect, Result
from tests.upstream import KEY, Upstream, World

CHOICE_FIELDS = {
    "id", "name", "score", "parts", "expected_cost", "lowest_cost", "highest_cost", "reasons", "endpoints",
}  # fmt: skip
CHAT = {
    "acme/atlas-1", "acme/atlas-2", "borealis/aurora-large", "borealis/aurora-mini", "borealis/aurora-mini:thinking",
    "borealis/echo", "cobalt/coder-9b",
}  # fmt: skip
#: captures by day of May 2026, at 06:00
OTHERS = [model(f"acme/other-{number:02}", context_length=2000) for number in range(40)]
MAY = {
    day: catalog(
        *OTHERS, *(model(f"acme/{name}", pricing={"prompt": rate, "completion": rate}) for name, rate in rates.items())
    )
    for day, rates in {
        1: {"one": "0.000004", "two": "0.000003"},
        3: {"one": "0.000002", "two": "0.000003", "three": "0.000005"},
    }.items()
}  # fmt: skip


@pytest.fixture
def dialect() -> Dialect:
    """What it says is the same on either database; what is loaded is for tests/store/test_selectables.py."""
    return "sqlite"


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """After a research sync with a key; nobody changes it."""
    folder = tmp_path_factory.mktemp("select")
    with Upstream(World.small(today=datetime.now(UTC).date())) as upstream:
        env = {"DATABASE_URL": f"sqlite:///{folder / 'llmhive.db'}", "OPENROUTER_BASE_URL": upstream.base_url,
               "OPENROUTER_API_KEY": KEY, "NO_PROXY": "127.0.0.1"}  # fmt: skip
        command = Command(folder, env)
        command("sync", "--research")
    return command


@pytest.fixture
def then(llmhive: Command, tmp_path: Path) -> Command:
    """With a history of two captures, and nothing known of who serves."""
    folder = tmp_path / "captures"
    folder.mkdir()
    for day, body in MAY.items():
        (folder / f"2026-05-{day:02}T060000Z_0000000{day}.json").write_bytes(body)
    assert llmhive("backfill", str(folder))["status"] == "completed"
    return llmhive


def said(llmhive: Command, *words: str) -> str:
    """What people are told; nothing goes to stderr."""
    result = llmhive.run("select", *words)
    assert (result.code, result.stderr) == (0, ""), result
    return result.stdout


def refused(result: Result, *parts: str, code: int = 2) -> None:
    """It printed nothing, and said why in one line."""
    assert (result.code, result.stdout) == (code, ""), result
    assert result.stderr.startswith("llmhive: ")
    assert result.stderr.count("\n") == 1
    for part in parts:
        assert part in result.stderr


def inside(llmhive: Command, *words: str, stdin: str | None = None) -> Result:
    """The same command in this process: for the many that only read their options."""
    ended = CliRunner().invoke(app, ["select", *words], stdin, env=llmhive.env)
    if isinstance(ended.exception, LLMHiveError):
        return Result(
            2 if isinstance(ended.exception, UsageError) else 1, ended.stdout, f"llmhive: {ended.exception}\n"
        )
    assert ended.exception is None, ended
    return Result(ended.exit_code, ended.stdout, ended.stderr)


def chosen(llmhive: Command, *words: str) -> dict[str, Any]:
    """What it prints as JSON, in this process."""
    result = inside(llmhive, *words, "--json")
    assert result.code == 0, result
    return result.json  # type: ignore[no-any-return]


def told(llmhive: Command, *words: str) -> str:
    """What people are told, in this process."""
    result = inside(llmhive, *words)
    assert (result.code, result.stderr) == (0, ""), result
    return result.stdout


def ids(found: dict[str, Any]) -> list[str]:
    return [it["id"] for it in found["choices"]]


# --- what is shown


def test_choices_with_what_they_are_worth(known: Command) -> None:
    found = known("select")
    assert found.keys() >= {
        "catalog_version", "as_of", "need", "total", "choices", "rejected", "flip_points", "notes", "request",
        "request_notes",
    }  # fmt: skip
    assert all(it.keys() >= CHOICE_FIELDS for it in found["choices"])
    assert all(it.keys() >= {"id", "what", "from", "to", "why"} for it in found["flip_points"])
    assert (found["need"], found["total"], len(found["choices"])) == ({}, 7, 5)
    assert found["rejected"].keys() | set(ids(known("select", "-n", "50"))) == {*CHAT, *found["rejected"]}
    scores = [it["score"] for it in found["choices"]]
    assert scores == sorted(scores, reverse=True)
    for it in found["choices"]:
        # the formula of value, from what is printed
        assert it["score"] == pytest.approx(0.7 * it["parts"]["quality"] + 0.3 * it["parts"]["price"], abs=2e-9)
        assert Decimal(it["lowest_cost"]) <= Decimal(it["expected_cost"]) <= Decimal(it["highest_cost"])

    lines = said(known).splitlines()
    assert lines[:2] == ["Value: 0.7 quality + 0.3 price", "3,000 + 1,000 tokens a request"]
    assert lines[2].split() == [
        "#",
        "model",
        "score",
        "quality",
        "cost",
        "$",
        "$/M",
        "$/M",
        "range",
        "context",
        "endpoints",
    ]
    assert [line.split()[:3] for line in lines[3:8]] == [
        [str(place), it["id"], f"{it['score']:.3f}"] for place, it in enumerate(found["choices"], start=1)
    ]
    # 3,000 × 2 $/M and 1,000 × 12 $/M
    assert lines[3].split()[-5:] == [f"{found['choices'][0]['parts']['quality']:.3f}", "0.018", "4.50", "1M", "1/1"]
    row = next(line.split() for line in lines if line.split()[1:2] == ["cobalt/coder-9b"])
    # two of its three endpoints: 0.02 and 0.06, 0.03 and 0.09 $/M; weights as 9 to 4
    assert row[-5:] == ["0.0001385", "0.03462", "0.03–0.045", "131k", "2/3"]
    assert lines[8:10] == ["$/M: of the tokens of this request, in and out together", ""]
    for it in found["choices"][:3]:
        assert f"   {it['reasons'][0]}" in lines
    assert f"4. {ids(found)[3]}" not in lines


def test_what_would_change_it_and_what_removed_the_others(known: Command) -> None:
    found, text = known("select"), said(known)
    first, second = ids(found)[:2]
    price = next(it for it in found["flip_points"] if (it["id"], it["what"]) == (first, "price"))
    assert f"   {second} comes first once {first} costs more than ${price['to']:.4g} a million (now $4.50)" in text
    nearer = next(it for it in found["flip_points"] if (it["id"], it["what"]) == (second, "price"))
    assert f"   {second} comes first once it costs less than ${nearer['to']:.4g} a million (now $3.438)" in text
    assert "falls to rank" in text
    assert "% everywhere (now " in text
    assert "7 of 13 models qualify; the others: aliases (1), batches only (1), free of charge (1)" in text
    assert "why one is out: --explain MODEL" in text
    assert "What to send to OpenRouter: --request" in text
    assert f"Catalog version {found['catalog_version']} · as of {found['as_of'][:10]}" in text


def test_what_is_asked_for_is_told_and_a_role_with_it(known: Command) -> None:
    text = told(
        known, "--role", "coder", "--require", "structured_outputs", "--max-price", "3/15", "--zdr",
        "--min-context", "100k", "--exclude", "acme/atlas-1", "--usage", "prompt=20k,completion=500,cached=15k",
    )  # fmt: skip
    lines = text.splitlines()
    assert lines[0] == "Coder for programming: 0.8 quality + 0.2 price"
    assert lines[1] == (
        "structured_outputs, tools · context of 100k · at most $3.00 in, $15.00 out a million · no data kept · "
        "not acme/atlas-1 · 20,000 (15,000 of them cached) + 500 tokens a request"
    )
    fast = told(known, "--role", "fast", "--min-throughput", "20", "--max-latency", "5s").splitlines()
    assert fast[0] == "Fast: 0.25 quality + 0.15 price + 0.6 speed"
    assert {"tokens/s", "latency"} <= set(fast[2].split())
    near = told(known, "--role", "replacement", "--of", "acme/atlas-1").splitlines()
    assert near[0] == "Replacement of acme/atlas-1: 0.35 family + 0.3 capability + 0.2 price + 0.15 quality"
    assert near[2].split()[2:7] == ["score", "family", "capability", "price", "quality"]
    assert "in and out together" not in told(known, "--usage", "prompt=3000,completion=0")
    assert told(known, "--objective", "price").startswith("Price: price alone\n")
    own = told(known, "--objective", "quality=1,speed=3").splitlines()
    assert own[0] == "Own weights: 0.25 quality + 0.75 speed"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_it_fits_a_terminal(known: Command, width: int) -> None:
    with Library.open(known.env["DATABASE_URL"]) as library:
        for need in (Need(), Need(role="fast", max_latency=5, limit=7), Need(role="replacement", of="acme/atlas-1")):
            found = library.select(need)
            file = StringIO()
            console = Console(file=file, force_terminal=True, no_color=True, width=width, highlight=False)
            shortlists.show(console, found)
            shortlists.show_explained(console, found, ["acme/atlas-2", "cobalt/coder-9b", "cobalt/pixel"])
            lines = Text.from_ansi(file.getvalue()).plain.splitlines()
            assert all(len(line.rstrip()) <= width for line in lines), max(lines, key=len)
            # an id is worth more than a column
            rows = [line.split() for line in lines if line[:1].isdigit() and line[1:3] == "  "]
            assert [row[1] for row in rows] == [it.id for it in found.choices]
            if width >= 80 and need.role == "replacement":
                [header] = [line.split() for line in lines if line.startswith("#  model")]
                # its marks are worth more than its context
                assert {"family", "capability", "quality"} <= set(header)
                assert ("price" in header) is ("context" in header) is (width == 120)
        nobody = library.select(Need(max_price_per_million={"prompt": "0.001"}, min_context=10**5, providers=("azur",)))
        console = Console(file=StringIO(), force_terminal=True, width=width)
        lines = f"llmhive: {shortlists.none_of(nobody, console)}".splitlines()
        assert 2 < len(lines) < 8
        assert all(len(line) <= width for line in lines)
        assert "azur" in " ".join(lines)


# --- options


@pytest.mark.parametrize(
    ("words", "need"),
    [
        (["--require", "tools, vision", "--require", "tools"], {"require": ["tools", "vision"]}),
        (["--min-context", "1M", "--min-output", "1_000"], {"min_context": 10**6, "min_output": 1000}),
        (["--max-price", "3/15"], {"max_price_per_million": {"prompt": "3", "completion": "15"}}),
        (["--max-price", "$3"], {"max_price_per_million": {"prompt": "3"}}),
        (["--max-price", "/.5"], {"max_price_per_million": {"completion": "0.5"}}),
        (["--max-price", "completion=15"], {"max_price_per_million": {"completion": "15"}}),
        (["--input", "image,file", "--output", "text"], {"inputs": ["file", "image"], "outputs": ["text"]}),
        (["--provider", "google-vertex,azure"], {"providers": ["azure", "google-vertex"]}),
        (["--exclude-provider", "azure"], {"exclude_providers": ["azure"]}),
        (["--quantization", "fp8,unknown"], {"quantizations": ["fp8", "unknown"]}),
        (["--zdr", "--min-uptime", "99.5%"], {"zdr": True, "min_uptime": 99.5}),
        (["--max-latency", "1800ms", "--min-throughput", "20"], {"max_latency": 1.8, "min_throughput": 20}),
        (["--model", "acme/*,cobalt/*", "--exclude", "acme/atlas-2"],
         {"models": ["acme/*", "cobalt/*"], "exclude": ["acme/atlas-2"]}),
        (["--allow", "free,batch", "--lasting-days", "60"], {"allow": ["batch", "free"], "lasting_days": 60}),
        (["--lasting-days", "30d"], {"lasting_days": 30}),
        (["--objective", "quality=0.5,price=.5"], {"objective": {"price": 0.5, "quality": 0.5}}),
        (["--objective", "speed", "--usage", "20k/500"],
         {"objective": "speed", "usage": {"prompt": 20_000, "completion": 500}}),
        (["--stick-to", "acme/atlas-1", "--margin", "10%", "-n", "2"],
         {"stick_to": "acme/atlas-1", "margin": 0.1, "limit": 2}),
        (["--task", "Agentic"], {"task": "agentic"}),
    ],
)  # fmt: skip
def test_options(known: Command, words: list[str], need: dict[str, Any]) -> None:
    assert chosen(known, *words)["need"] == need


def test_options_decide(known: Command) -> None:
    assert set(ids(chosen(known, "-n", "50"))) == CHAT
    assert "acme/atlas-2:free" in ids(chosen(known, "-n", "50", "--allow", "free"))
    assert ids(chosen(known, "--min-context", "200k")) == ["acme/atlas-2"]
    assert ids(chosen(known, "--quantization", "fp8")) == ["cobalt/coder-9b"]
    assert "acme/atlas-1" not in ids(chosen(known, "-n", "50", "--lasting-days", "60"))
    assert ids(chosen(known, "--role", "escalation", "--from", "acme/atlas-1")) == ["acme/atlas-2"]
    cheap = chosen(known, "--max-price", "/0.2")
    assert (ids(cheap), cheap["choices"][0]["lowest_cost"]) == (["cobalt/coder-9b"], "0.00012")
    stuck = chosen(known, "--stick-to", "acme/atlas-1", "--margin", "0.5")
    assert ids(stuck)[0] == "acme/atlas-1"


def test_a_need_as_json_and_options_on_top(known: Command) -> None:
    need = {"require": ["tools"], "limit": 2, "max_price_per_million": {"prompt": 1}}
    (known.folder / "need.json").write_text(json.dumps(need))
    found = known("select", "--need", "need.json", "--limit", "3", "--require", "vision")
    assert found["need"] == {"require": ["vision"], "limit": 3, "max_price_per_million": {"prompt": "1"}}
    same = chosen(known, "--need", json.dumps(need))
    assert same["need"] == need | {"max_price_per_million": {"prompt": "1"}}
    assert chosen(known, "--need", json.dumps(same["need"]))["choices"] == same["choices"]
    assert chosen(known, "--need", '{"zdr": true}', "--no-zdr")["need"] == {}
    piped = inside(known, "--need", "-", "--json", stdin=json.dumps(need)).json
    assert piped["choices"] == same["choices"]


def test_the_request_and_nothing_else(known: Command) -> None:
    words = ("--require", "tools", "--max-price", "3/15", "--exclude-provider", "azure")
    result = known.run("select", *words, "--request")
    body = result.json
    assert result.code == 0
    assert body == known("select", *words)["request"]
    assert jsonschema_rs.Draft202012Validator(REQUEST).is_valid(body), body
    Preferences.of(body["provider"])
    assert (body["model"], body["provider"]["max_price"]) == (body["models"][0], {"prompt": "3", "completion": "15"})
    # what it cannot say goes where it is no part of the body, and nowhere else
    notes = known("select", *words)["request_notes"]
    assert notes
    assert result.stderr.splitlines() == [f"Note: {note}" for note in notes]
    shown = told(known, *words)
    assert not [note for note in notes if note in shown]
    slip = inside(known, "--exclude", "acme/won", "--request")
    assert "Note: --exclude names acme/won, which is no model here" in slip.stderr.splitlines()


def test_names_that_mean_nothing_are_told_before_the_table(known: Command) -> None:
    words = ("--exclude", "acme/won,acme/x*", "--exclude-provider", "azur", "--stick-to", "acme/never")
    found, lines = chosen(known, *words), told(known, *words).splitlines()
    assert lines[2:6] == [
        "Note: --exclude names acme/won, which is no model here",
        "Note: --exclude has acme/x*, which is the pattern of no model here",
        "Note: --exclude-provider names azur, which serves nothing here that is known; near it: azure",
        "Note: --stick-to names acme/never, which is no model here",
    ]
    assert lines[6].split()[:2] == ["#", "model"]
    assert len([line for line in lines if line.startswith("Note: ")]) == len(found["notes"])
    model_, *_ = told(known, "--model", "acme/atlas-2,acme/won").splitlines()[2:]
    assert model_ == "Note: --model names acme/won, which is no model here"


# --- why


def test_why_one_is_chosen_or_not(known: Command) -> None:
    text = said(known, "--require", "tools", "-n", "1", "--explain", "coder-9b", "--explain", "acme/atlas-2:free,pixel")
    assert "cobalt/coder-9b: not chosen, place " in text
    endpoints = [line for line in text.splitlines() if line.startswith(("   ✓", "   ✗"))]
    assert endpoints[:3] == [
        "   ✓ deepinfra/fp8    $0.02/$0.06, context 32.8k, up 99.98 %, 141 tokens/s, asked first 69 %",
        "   ✓ deepinfra/fp8#2  $0.03/$0.09, context 131k, up 99.98 %, 141 tokens/s, asked first 31 %",
        "   ✗ together         its uptime is 71.2 %: allow `degraded`; it lists tools, but not here",
    ]
    assert "cobalt/coder-9b comes first once it has a quality above " in text
    assert text.count("$/M: of the tokens of this request, in and out together") == 1
    # `:free:` is a picture to who prints it
    assert "acme/atlas-2:free: does not qualify\n   it is free of charge" in text
    assert "   free, context 131k" in text.replace("google-vertex/global  ", "  ")
    assert "cobalt/pixel: does not qualify" in text
    assert "\n\nWhat it would take\n   its price is not known: allow `unpriced`\n   it gives no text but image" in text
    assert text.rstrip().splitlines()[-1].startswith("Catalog version ")
    assert "What would change" not in text

    found = chosen(known, "--require", "tools", "-n", "1", "--explain", "coder-9b,acme/atlas-2:free")
    assert list(found["explanations"]) == ["coder-9b", "acme/atlas-2:free"]
    one, free = found["explanations"].values()
    assert (one["id"], one["is_chosen"], one["choice"]["id"]) == ("cobalt/coder-9b", False, "cobalt/coder-9b")
    assert 1 < one["place"] <= found["total"]
    assert [it["qualifies"] for it in one["endpoints"]] == [True, True, False]
    assert one["obstacles"] == []
    assert (free["place"], free["choice"]) == (None, None)
    assert free["obstacles"] == [free["why"]] == [found["rejected"]["acme/atlas-2:free"]]
    assert not any(it["qualifies"] for it in free["endpoints"])
    first = one["flip_points"][0]
    assert (first["id"], first["why"]) == ("cobalt/coder-9b", "cobalt/coder-9b comes first")


def test_what_it_would_take(known: Command) -> None:
    def taking(*words: str) -> list[str]:
        _, found, after = told(known, *words).partition("What it would take\n")
        return [line.strip() for line in after.split("\n\n")[0].splitlines()] if found else []

    # at the endpoint that lacks the least
    words = ("--max-price", "0.025/0.01", "--min-uptime", "99")
    [obstacle] = taking(*words, "--explain", "cobalt/coder-9b")
    assert obstacle == "at deepinfra/fp8: its completion price is $0.06 a million, above $0.01"
    assert taking("-n", "1", "--explain", ids(chosen(known))[0]) == []
    none = "neither a lower price nor more quality alone brings it to the first place"
    assert taking("--objective", "speed", "--explain", ids(chosen(known, "--objective", "speed"))[-1]) == [none]
    nearest = ("--role", "replacement", "--of", "acme/atlas-1")
    assert taking(*nearest, "--explain", ids(chosen(known, *nearest))[-1]) == []


def test_an_unknown_name_among_several_is_told_in_its_place(known: Command) -> None:
    words = ("--explain", "acme/atlas-9,acme/atlas-2")
    text = told(known, *words)
    assert "\nacme/atlas-9: not known\n   No model 'acme/atlas-9' was ever seen" in text
    assert text.index("acme/atlas-9: not known") < text.index("\nacme/atlas-2: ")
    found = chosen(known, *words)["explanations"]
    assert list(found) == ["acme/atlas-9", "acme/atlas-2"]
    assert found["acme/atlas-9"]["error"].items() >= {"status": 404, "title": "Not Found"}.items()
    assert found["acme/atlas-2"]["id"] == "acme/atlas-2"
    refused(inside(known, "--explain", "acme/atlas-9", "--json"), "was ever seen")


def test_every_condition_has_its_words() -> None:
    assert explained.REMOVED.keys() == explained.RELAX.keys() == rejection.NAMES
    for name in cost.WORDS:
        removed = shortlist_of(removed=[("part", name, 2)])
        assert explained.removed(removed) == f"no known price of {cost.WORDS[name]} (2)"
    assert explained.OPTIONS.keys() == Need.__dataclass_fields__.keys() - {
        name for name, it in Need.__dataclass_fields__.items() if not it.init
    }


def shortlist_of(**told: Any) -> Any:
    """As much of a shortlist."""
    return SimpleNamespace(**told)


def test_where_nothing_qualifies_it_says_what_to_relax(known: Command) -> None:
    words = ("--require", "tools", "--max-price", "0.001/0.001", "--min-context", "100k")
    result = known.run("select", *words)
    refused(result, "none of the 13 models meets all of this", "What removed them: too dear out (6)", code=1)
    assert result.stderr.endswith(" Without --max-price 6 would qualify; with --allow free 1.\n")
    refused(known.run("select", *words, "--request"), "Without --max-price ", code=1)
    found = chosen(known, *words)
    assert (found["choices"], found["total"], found["request"], found["flip_points"]) == ([], 0, None, [])
    assert len(found["rejected"]) == 13
    two = inside(known, "--max-price", "0.001", "--min-context", "5M", "--require", "tools")
    refused(two, "Without --min-context and without --max-price 7 would qualify.", code=1)
    slip = inside(known, "--provider", "azur")
    named = "--provider names azur, which serves nothing here that is known; near it: azure."
    refused(slip, "Without --provider ", named, code=1)
    assert "No model qualifies" not in slip.stderr
    # why one is out is told all the same
    assert "does not qualify" in said(known, *words, "--explain", "acme/atlas-2")


# --- then


def test_what_would_have_been_chosen_then(then: Command) -> None:
    now = chosen(then, "--objective", "price")
    assert ids(now) == ["acme/one", "acme/two", "acme/three"]
    earlier = chosen(then, "--objective", "price", "--as-of", "2026-05-02")
    assert ids(earlier) == ["acme/two", "acme/one"]
    assert (earlier["choices"][0]["expected_cost"], earlier["choices"][0]["endpoints"]) == ("0.012", None)
    text = told(then, "--as-of", "2026-05-02T12:00Z")
    assert " · as of 2026-05-01 06:00 UTC" in text
    assert "endpoints" not in text.splitlines()[2]
    assert "its endpoints are not known: it is judged by what it is listed with" in text
    assert "nothing is known of the quality of any of these" in text
    assert "2 of 42 models qualify; the others: too little context (40)" in text
    sent = inside(then, "--as-of", "2026-05-02", "--request")
    assert sent.json["model"] in {"acme/one", "acme/two"}
    assert sent.stderr.splitlines()[0] == "Note: the body is of 2026-05-02 00:00 UTC: today another may be right"
    refused(inside(then, "--as-of", "2026-04-01"), "history begins")
    refused(inside(then, "--as-of", "2126-04-01"), "in the future")
    refused(inside(then, "--as-of", "soon"), "is not a time")


# --- slips


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--require", "tool"], ["no model lists 'tool'", "near it: tools"]),
        (["--role", "fastest"], ["role 'fastest' is not known", "near it: fast"]),
        (["--task", "programing"], ["near it: programming"]),
        (["--allow", "fre"], ["near it: free"]),
        (["--objective", "quick"], ["there are quality, price, speed, value"]),
        (["--objective", "quality=high"], ["the weight of quality is a number"]),
        (["--objective", "beauty=1"], ["quality, price, speed"]),
        (["--role", "escalation"], ["starts from a model: name it by --of"]),
        (["--of", "acme/atlas-1"], ["llmhive: --of is the model", "escalation and replacement", "or leave --of out"]),
        (["--role", "escalation", "--of", "acme/atlas-9"], ["was ever seen", "acme/atlas-1"]),
        (["--explain", "acme/atlas-9"], ["No model 'acme/atlas-9' was ever seen", "acme/atlas-1"]),
        (["--max-price", "cheap"], ["--max-price is written IN/OUT", "3/15", "'cheap'"]),
        (["--max-price", "3/15/4"], ["--max-price is written IN/OUT"]),
        (["--max-price", "-3"], ["--max-price is written IN/OUT"]),
        (["--max-price", "/"], ["--max-price is written IN/OUT"]),
        (["--max-price", "image=3"], ["llmhive: --max-price has no 'image'"]),
        (["--max-price", "9999999999"], ["llmhive: --max-price: prompt is a number of USD"]),
        (["--min-context", "1.5"], ["--min-context: a decimal point is for k, M and B"]),
        (["--min-output", "lots"], ["--min-output is a whole number"]),
        (["--usage", "3000"], ["--usage is written IN/OUT in tokens"]),
        (["--usage", "0/0"], ["nothing to price"]),
        (["--min-uptime", "120"], ["llmhive: --min-uptime is a number from 0 to 100"]),
        (["--max-latency", "2min"], ["--max-latency is seconds, as 1.5 or 800ms, not '2min'"]),
        (["--min-throughput", "fast"], ["--min-throughput is tokens a second"]),
        (["--margin", "2"], ["llmhive: --margin is a number from 0 to 1"]),
        (["--limit", "51"], ["llmhive: --limit is a whole number from 1 to 50"]),
        (["--lasting-days", "-1"], ["--lasting-days is a whole number of days, as 30 or 30d, not '-1'"]),
        (["--lasting-days", "1.5d"], ["--lasting-days is a whole number of days"]),
        (["--lasting-days", "99999999"], ["llmhive: --lasting-days is a whole number from 0 to 36,500"]),
        (["--need", '{"limit": 0}'], ["llmhive: limit is a whole number"]),
        (["--model", "acme/*,"], ["--model has an empty name"]),
        (["--need", "{"], ["--need is no JSON"]),
        (["--need", "no.json"], ["Cannot read no.json"]),
        (["--need", '{"requires": ["tools"]}'], ["'requires'", "near it: require"]),
        (["--request", "--explain", "acme/atlas-1"], ["leave out --explain"]),
    ],
)
def test_slips(known: Command, words: list[str], parts: list[str]) -> None:
    refused(inside(known, *words), *parts)


def test_an_empty_catalog(llmhive: Command) -> None:
    refused(llmhive.run("select"), "The catalog is empty. Run `llmhive sync` first.")
    refused(llmhive.run("select", "--json"), "The catalog is empty. Run `llmhive sync` first.")


def test_text_from_elsewhere_moves_no_cursor(known: Command) -> None:
    result = known.run("select", "--exclude", "acme/\x1b[2Jx", "--stick-to", "[red]x")
    assert result.code == 0
    assert "\x1b" not in result.stdout
    assert "[red]x" in result.stdout


def test_help_comes_without_numpy(bare: Command) -> None:
    general = bare.run("--help").stdout
    assert " select " in general
    result = bare.run("select", "--help")
    assert (result.code, result.stderr) == (0, "")
    for option in ("--task", "--of,--from", "--max-price", "--explain", "--request", "--json"):
        assert option in result.stdout
    code = (
        "import sys; sys.argv = ['llmhive', 'select', '--help']\n"
        "from llmhive.app.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: print('numpy' in sys.modules)"
    )
    alone = Command(bare.folder, {**bare.env, "PYTHONHASHSEED": "0"}, program=("-c", code))
    ended = alone.run()
    assert (ended.code, ended.stdout.splitlines()[-1]) == (0, "False"), ended
