"""rankings, families, capabilities, providers, and what `model` tells of endpoints: with a key, without one, with
nothing there, after a failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.support import Command
from tests.upstream import KEY, Upstream, World

POSTGRESQL_LATER = True

RANK_FIELDS = {
    "rank", "model", "slug", "is_known", "tokens", "share", "change", "previous_rank", "growth", "trend", "score",
}  # fmt: skip
RANKING_FIELDS = {
    "dimension", "category", "title", "source", "as_of", "window", "citation", "formula", "unit", "is_derived",
    "is_estimate", "total", "data", "failure",
}  # fmt: skip
ENDPOINT_FIELDS = {
    "provider", "tag", "key", "pricing", "pricing_per_million", "discount", "context_length", "quantization", "status",
    "uptime_last_30m", "latency_ms", "throughput_tps", "is_zdr", "is_active", "since",
}  # fmt: skip


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(World.small(today=datetime.now(UTC).date())) as served:
        yield served


@pytest.fixture
def keyed(llmhive: Command, upstream: Upstream) -> Command:
    """After a research sync with a key."""
    llmhive.env.update({"OPENROUTER_BASE_URL": upstream.base_url, "OPENROUTER_API_KEY": KEY})
    llmhive("sync", "--research")
    return llmhive


def sync_again(llmhive: Command) -> None:
    """One more research sync within the minute: its last steps may find the budget of the Data API used up."""
    result = llmhive.run("sync", "--research", "--force", "--json")
    done = {it["step"]: it for it in result.json["steps"]}
    assert done["endpoints"]["status"] == done["capabilities"]["status"] == "completed", result


def said(llmhive: Command, *words: str) -> str:
    """What people are told; nothing goes to stderr."""
    result = llmhive.run(*words)
    assert (result.code, result.stderr) == (0, ""), result
    return result.stdout


def cells(text: str, first: str) -> list[str]:
    """The words of the row in which this is the name."""
    line = next(line for line in text.splitlines() if first in line.split())
    return line.split()


def test_rankings_with_a_key(keyed: Command, upstream: Upstream) -> None:
    found = keyed("rankings")
    assert found.keys() >= RANKING_FIELDS
    assert all(it.keys() >= RANK_FIELDS for it in found["data"])
    assert [it["rank"] for it in found["data"]] == list(range(1, found["total"] + 1))
    assert (found["source"], found["is_derived"], found["failure"]) == ("data-api", False, None)
    first = found["data"][0]
    with upstream.change() as world:
        week = world.popularity()
    assert first["model"] == "acme/atlas-2"
    assert first["tokens"] == sum(n for slug, n in week.items() if slug.partition(":")[0] == "acme/atlas-2-20260901")
    assert first["share"] == f"{Decimal(first['tokens'] * 10**6 // sum(week.values())) / 10**6}"
    assert len(keyed("rankings", "-n", "3")["data"]) == 3

    text = said(keyed, "rankings")
    assert text.startswith("Leaderboard\n")
    header, top = text.splitlines()[1:3]
    assert header.split() == ["#", "model", "tokens", "share", "change", "growth", "4", "weeks"]
    assert top.split()[:3] == ["1", "acme/atlas-2", f"{first['tokens'] / 1e12:.2f}T"]
    assert "stealth/otter-alpha (not in the catalog)" in text
    assert found["citation"] in text
    assert "From OpenRouter's Data API" in text
    assert f"{found['window']['from']} to {found['window']['to']}" in text
    assert "3 of" in said(keyed, "rankings", "-n", "3")
    assert "growth in tokens are against the week before; blank: that week is not fully known" in text
    assert "against the four weeks that ended a week earlier" in said(keyed, "rankings", "most_used")
    assert "median growth" in said(keyed, "rankings", "trending").splitlines()[1]
    assert "uptime 1d %" in said(keyed, "rankings", "most_reliable").splitlines()[1]
    # a share of an estimate says so
    assert "an estimate" in said(keyed, "rankings", "programming")
    assert "an estimate" not in text


def test_derived_rankings_and_tasks(keyed: Command) -> None:
    cheap = keyed("rankings", "lowest_cost")
    assert (cheap["source"], cheap["is_derived"], cheap["window"]) == ("derived", True, None)
    assert cheap["data"][0]["model"] == "cobalt/coder-9b"
    text = said(keyed, "rankings", "lowest_cost")
    assert cells(text, "cobalt/coder-9b") == ["1", "cobalt/coder-9b", "0.045"]
    assert "$/M: USD per million tokens" in text
    assert "Derived here, from the catalog" in text
    assert text.splitlines()[1].split() == ["#", "model", "$/M"]
    # authors are no models
    assert "not in the catalog" not in said(keyed, "rankings", "market_share")
    task = said(keyed, "rankings", "code:debugging")
    assert task.startswith("By task: ")
    assert "of its requests" in task.splitlines()[1]
    for name in ("fastest", "most_reliable", "best_value", "long_context", "multimodal", "tools", "trending"):
        assert said(keyed, "rankings", name, "-n", "1").count("\n") >= 3


def test_all_rankings_and_what_they_are(keyed: Command) -> None:
    listed = keyed("rankings", "--list")
    assert listed["total"] == len(listed["data"])
    names = {it["name"]: it for it in listed["data"]}
    assert names["leaderboard"]["is_ranked"]
    assert names["code:debugging"]["dimension"] == "task"
    text = said(keyed, "rankings", "--list")
    for name in names:
        assert name in {line.split(" ")[0] for line in text.splitlines()}
    for name in ("trending", "marketing/seo", "image", "general:chat", "tools"):
        assert keyed("rankings", name)["total"] == names[name]["total"] > 0
    assert "no figures yet" in text

    told = keyed("rankings", "fastest", "--explain")
    assert told.keys() >= {"formula", "source", "window", "cadence", "unit", "is_derived", "title"}
    explained = said(keyed, "rankings", "fastest", "--explain")
    for name in ("formula", "source", "window", "cadence", "unit"):
        assert told[name] in explained
    assert said(keyed, "rankings", "category", "--explain").startswith("By category")


def test_a_name_that_is_none(keyed: Command) -> None:
    for words in (["rankings", "fastes"], ["rankings", "fastes", "--explain"]):
        miss = keyed.run(*words, "--json")
        assert (miss.code, miss.stdout) == (2, "")
        assert "fastest" in miss.stderr
        assert "--list" in miss.stderr
    several = keyed.run("rankings", "category")
    assert several.code == 2
    assert "programming" in several.stderr
    family = keyed.run("families", "atla")
    assert (family.code, family.stdout) == (2, "")
    assert "atlas" in family.stderr
    model = keyed.run("capabilities", "acme/atlas-3")
    assert (model.code, model.stdout) == (2, "")
    assert "acme/atlas-2" in model.stderr
    assert keyed.run("capabilities", "--explain").code == 2
    assert keyed.run("capabilities", "--changes", "--since", "often").code == 2
    assert keyed.run("rankings", "-n", "0").code == 2


def test_status_and_doctor_after_research_alone(keyed: Command, upstream: Upstream) -> None:
    """It brought the list too, and says so; what failed is told in a line, whole by `show`."""
    text = said(keyed, "status")
    assert "(by research run 1)" in text
    assert "Last sync" not in text
    assert "by RESEARCH_SCHEDULE" in text
    assert "as of" in text
    assert keyed("status")["last_sync_time"] is None
    (finding,) = [it for it in keyed("doctor", "--offline")["checks"] if it["name"] == "research"]
    assert (finding["ok"], finding["advice"]) == (True, None)
    upstream.fail("/classifications/task", b"no JSON")
    upstream.fail("/providers", b"no JSON")
    failed = keyed.run("sync", "--research", "--force", "--json")
    assert failed.code == 1
    error = failed.json["error"]
    assert len(error) > 120
    for words in (["status"], ["runs"]):
        text = said(keyed, *words)
        assert "… llmhive show 2" in text
        assert error[:60] in text
        assert error not in text
    (finding,) = [it for it in keyed("doctor", "--offline", code=1)["checks"] if it["name"] == "research"]
    assert not finding["ok"]
    assert "llmhive show 2" in finding["found"]
    assert "llmhive sync --research" in finding["advice"]
    assert keyed("status")["last_research_error"] == error


def test_a_ranking_that_was_not_believed(keyed: Command, upstream: Upstream) -> None:
    before = keyed("rankings")
    with upstream.change() as world:
        for day in list(world.tokens):
            world.tokens[day] = {slug: tokens * 1000 for slug, tokens in world.tokens[day].items()}
    sync_again(keyed)
    after = keyed("rankings")
    assert after["data"] == before["data"]
    assert "usual" in after["failure"]["error"]
    text = said(keyed, "rankings")
    assert "was not published" in text
    assert after["failure"]["error"][:40] in text
    assert "last good one" in text
    assert "last try failed" in said(keyed, "rankings", "--list")


def test_a_model_below_the_top_on_some_days_has_at_least_so_many(keyed: Command, upstream: Upstream) -> None:
    with upstream.change() as world:
        yesterday = world.today - timedelta(days=1)
        world.tokens[yesterday]["borealis/echo-20260115"] = 1
    sync_again(keyed)
    partial = keyed("rankings")["facts"]["partial"]
    assert partial["borealis/echo-20260115"] == 6
    text = said(keyed, "rankings")
    assert cells(text, "borealis/echo")[2].endswith("*")
    assert not cells(text, "acme/atlas-2")[2].endswith("*")
    assert "* below the top 50 on some of the 7 days" in text


def test_families(keyed: Command) -> None:
    found = keyed("families")
    assert found["total"] == len(found["data"]) == 13
    assert found["data"][0].keys() >= {"model_id", "family", "generation", "size", "edition", "release", "variant"}
    text = said(keyed, "families")
    assert cells(text, "acme/atlas")[1:] == ["5/5", "2,", "1", "–"]
    for name in ("acme/atlas", "atlas", "ACME/Atlas", "acme/atlas-1"):
        assert {it["model_id"] for it in keyed("families", name)["data"]} == {
            "acme/atlas-2", "acme/atlas-2:free", "acme/atlas-2:batch", "acme/atlas-1", "~acme/atlas-latest",
        }  # fmt: skip
    of_author = {it["family"] for it in keyed("families", "cobalt")["data"]}
    assert len(of_author) > 1
    assert {it.partition("/")[0] for it in of_author} == {"cobalt"}
    # as `llmhive model` takes it
    for name in ("coder-9b", "Cobalt/Coder-9B"):
        assert "cobalt/coder-9b" in {it["model_id"] for it in keyed("families", name)["data"]}
    members = said(keyed, "families", "atlas")
    assert cells(members, "acme/atlas-2") == ["acme/atlas-2", "2", "2.00", "12.00"]
    assert cells(members, "acme/atlas-2:free")[-2:] == ["free", "free"]


def test_families_of_models_that_are_gone(keyed: Command, upstream: Upstream) -> None:
    with upstream.change() as world:
        world.models = [it for it in world.models if it["id"] != "cobalt/embed-1"]
    keyed("sync", "--force", SYNC_REMOVAL_LIMIT_PERCENT=50)
    assert "cobalt/embed-1" not in {it["model_id"] for it in keyed("families")["data"]}
    assert "cobalt/embed-1" in {it["model_id"] for it in keyed("families", "--all")["data"]}
    text = said(keyed, "families")
    assert "cobalt/embed" not in text
    assert "1 without an active model: --all" in text
    assert cells(said(keyed, "families", "--all"), "cobalt/embed")[1] == "0/1"
    assert "1 inactive: --all" in said(keyed, "families", "cobalt/embed")
    assert "no" in cells(said(keyed, "families", "cobalt/embed", "--all"), "cobalt/embed-1")


def test_capabilities(keyed: Command, upstream: Upstream) -> None:
    found = keyed("capabilities")
    assert found.keys() >= {"data", "total", "capabilities", "changes"}
    names = [it["name"] for it in found["capabilities"]]
    counts = said(keyed, "capabilities")
    for name in names:
        states = [it["cells"][name]["state"] for it in found["data"]]
        assert cells(counts, name)[1:4] == [str(states.count(it)) for it in ("yes", "no", "unknown")]
    assert "No model gained or lost" in counts

    marks = {"yes": "✓", "no": "✗", "unknown": "?"}
    by_id = {it["id"]: it["cells"] for it in found["data"]}
    asked = ["cobalt/pixel", "acme/atlas-2", "openrouter/auto"]
    text = said(keyed, "capabilities", *asked)
    assert text.splitlines()[0].split() == ["capability", *asked]
    for name in names:
        assert cells(text, name)[1:] == [marks[by_id[model][name]["state"]] for model in asked]
    old = keyed.run("capabilities", "cobalt/pixel", PYTHONUTF8="0", PYTHONIOENCODING="ascii").stdout
    assert (cells(old, "vision")[1], cells(old, "image_output")[1], cells(old, "tools")[1]) == ("no", "yes", "?")
    assert "llmhive models --capability NAME" in counts
    seeing = {model for model, cell in by_id.items() if cell["vision"]["state"] == cell["tools"]["state"] == "yes"}
    assert seeing
    chosen = keyed("models", "--capability", "vision", "--capability", "tools")["data"]
    assert {it["id"] for it in chosen} == seeing
    why = said(keyed, "capabilities", "acme/atlas-2", "--explain")
    for name in names:
        cell = by_id["acme/atlas-2"][name]
        assert cells(why, name)[1:3] == [cell["state"], cell["since"][:10]]
        assert cell["provenance"] in why

    assert keyed("capabilities", "--changes")["data"] == []
    with upstream.change() as world:
        record = world.find("cobalt/coder-9b")
        assert record is not None
        record["supported_parameters"] = [it for it in record["supported_parameters"] if it != "structured_outputs"]
    sync_again(keyed)
    (changed,) = keyed("capabilities", "--changes")["data"]
    assert (changed["model"], changed["capability"]) == ("cobalt/coder-9b", "structured_outputs")
    assert "cobalt/coder-9b: structured_outputs yes → no" in said(keyed, "capabilities")
    assert "yes → no" in said(keyed, "capabilities", "--changes")
    assert keyed("capabilities", "--changes")["learned"] == 0
    assert keyed.run("capabilities", "--learned").code == 2
    assert keyed("capabilities", "acme/atlas-2", "--changes")["data"] == []
    assert keyed("capabilities", "cobalt/coder-9b", "--changes")["data"] == [changed]


def test_providers(keyed: Command) -> None:
    found = keyed("providers")
    by_slug = {it["slug"]: it for it in found["data"]}
    assert found["total"] == len(found["data"]) == 8
    assert (by_slug["mistral"]["models"], by_slug["mistral"]["endpoints"]) == (0, 0)
    text = said(keyed, "providers")
    assert cells(text, "azure")[1:] == ["azure", str(by_slug["azure"]["models"]), str(by_slug["azure"]["endpoints"]),
                                        "US", "NL", "US", "–"]  # fmt: skip
    # not told, and told to be none
    assert cells(text, "groq")[-3:] == ["?", "?", "–"]
    assert cells(text, "google")[-2:] == ["–", "–"]


def test_a_model_with_its_endpoints(keyed: Command, upstream: Upstream) -> None:
    found = keyed("model", "cobalt/coder-9b")
    endpoints = found["endpoints"]
    assert endpoints["error"] is None
    assert endpoints["total"] == len(endpoints["data"]) == 3
    assert all(it.keys() >= ENDPOINT_FIELDS for it in endpoints["data"])
    assert found["rankings"][0].keys() >= {"dimension", "rank", "source", "as_of"}
    assert {it["metric"] for it in found["benchmarks"]} >= {"coding_index", "gpqa_diamond"}
    text = said(keyed, "model", "cobalt/coder-9b")
    assert "3 endpoints" in text
    assert "degraded or disabled (-2)" in text
    assert "#1 lowest_cost" in text
    assert cells(text, "together")[2:6] == ["0.03", "0.09", "131k", "bf16"]
    assert "71.25" in cells(text, "together")
    assert text.count("coding index") == 1
    # the discount is shown, and what it means
    mini = said(keyed, "model", "borealis/aurora-mini")
    assert "20 % off" in mini
    assert "prices are net" in mini
    assert cells(mini, "azure").count("?") >= 3
    # zeros of a media model are no price
    pixel = said(keyed, "model", "cobalt/pixel")
    assert "1 endpoint\n" in pixel
    assert "$/M" not in pixel
    assert "No endpoints" in said(keyed, "model", "openrouter/auto")

    with upstream.change() as world:
        world.endpoints["cobalt/coder-9b"].pop()
    upstream.fail("/models/acme/atlas-1/endpoints", b"no JSON")
    sync_again(keyed)
    text = said(keyed, "model", "cobalt/coder-9b")
    assert "2 endpoints" in text
    assert "1 more no longer offered" in text
    assert "The last try" in said(keyed, "model", "acme/atlas-1")


def test_without_a_key(llmhive: Command, upstream: Upstream) -> None:
    llmhive.env["OPENROUTER_BASE_URL"] = upstream.base_url
    llmhive("sync")
    before = said(llmhive, "model", "acme/atlas-2")
    assert "never asked for: `llmhive sync --research`" in before
    assert llmhive("model", "acme/atlas-2")["endpoints"]["checked_at"] is None
    assert "llmhive sync --research" in said(llmhive, "providers")
    llmhive("sync", "--research", "--force")
    found = llmhive("rankings")
    assert (found["source"], found["citation"]) == ("models-order", None)
    assert {it["tokens"] for it in found["data"]} == {None}
    text = said(llmhive, "rankings")
    assert text.splitlines()[1].split() == ["#", "model"]
    assert "without a key it tells no token figures" in text
    assert "requests with a key only" in said(llmhive, "rankings", "--list")
    for name in ("trending", "image"):
        none = llmhive.run("rankings", name, "--json")
        assert (none.code, none.stdout) == (2, "")
        assert "OPENROUTER_API_KEY" in none.stderr
    model = said(llmhive, "model", "acme/atlas-2")
    assert "Latency and throughput are unknown" in model
    assert "tokens/s" not in model


def test_an_empty_database(llmhive: Command) -> None:
    """Each says what to do, and none creates anything."""
    for words in (["families"], ["capabilities"], ["capabilities", "--changes"], ["providers"], ["rankings", "--list"],
                  ["rankings", "fastest", "--explain"]):  # fmt: skip
        assert "llmhive sync" in said(llmhive, *words)
    for words in (["rankings"], ["families", "claude"], ["capabilities", "acme/one"]):
        miss = llmhive.run(*words)
        assert (miss.code, miss.stdout) == (2, "")
        assert "llmhive sync" in miss.stderr
    empty: dict[str, Any] = {name: llmhive(name) for name in ("families", "providers")}
    assert all(it == {"data": [], "total": 0} for it in empty.values())
    assert llmhive("capabilities")["data"] == []
    assert not any(it["is_ranked"] for it in llmhive("rankings", "--list")["data"])
    assert not list(llmhive.folder.rglob("*.db*"))


def test_help(bare: Command) -> None:
    general = bare.run("--help").stdout
    for name in ("rankings", "families", "capabilities", "providers"):
        assert name in general
        result = bare.run(name, "--help")
        assert (result.code, result.stderr) == (0, "")
        assert "--json" in result.stdout
