"""`POST /api/cost` over real HTTP: figures by hand, the library's own, and what is no usage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from schemathesis import GenerationMode

from llmhive.app.library import Catalog
from tests.acceptance.test_schemathesis import check, operations
from tests.acceptance.test_service_reads import problem
from tests.fake_openrouter import catalog, model
from tests.serving import Place, Served, asked, place, serving
from tests.support import rows, sync_at
from tests.upstream import KEY, Upstream, World

NOW = datetime.now(UTC).replace(microsecond=0)
OLD = {"prompt": "0.000001", "completion": "0.000002", "input_cache_read": "0.0000001"}
NEW = {**OLD, "prompt": "0.0000015", "input_cache_write": "0.000002"}
TIERS = [{"min_prompt_tokens": 200_000, "prompt": "0.000004"}]
OTHERS = [
    model("acme/tiers", pricing={"prompt": "0.000002", "completion": "0.00001", "overrides": TIERS}),
    model("acme/router", pricing={"prompt": "-1", "completion": "-1"}),
    model("acme/gift:free"),
]
#: 12,000 tokens in, of which 10,000 were read from a cache and 500 written to one, and 800 out, as each tells it.
SHAPES: dict[str, dict[str, Any]] = {
    "openrouter": {
        "prompt_tokens": 12000, "completion_tokens": 800, "total_tokens": 12800, "cost": 0.0058, "is_byok": False,
        "prompt_tokens_details": {"cached_tokens": 10000, "cache_write_tokens": 500, "audio_tokens": 0},
        "cost_details": {"upstream_inference_cost": None}, "completion_tokens_details": {"reasoning_tokens": 300},
    },
    "openai": {
        "input_tokens": 12000, "output_tokens": 800,
        "input_tokens_details": {"cached_tokens": 10000, "cache_write_tokens": 500},
    },
    "anthropic": {
        "input_tokens": 1500, "cache_read_input_tokens": 10000, "cache_creation_input_tokens": 500,
        "output_tokens": 800,
    },
    "ours": {"prompt": 12000, "completion": 800, "cached": 10000, "written": 500},
}  # fmt: skip
#: 1,500 plain × 0.0000015 + 10,000 × 0.0000001 + 500 × 0.000002 + 800 × 0.000002
TOTAL = "0.00585"
ASK: dict[str, Any] = {"model": "acme/one", "usage": SHAPES["ours"]}


def day(ago: float) -> str:
    return (NOW - timedelta(days=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A catalog with a price that changed two days ago."""
    with place("sqlite", tmp_path_factory.mktemp("cost")) as found:
        for ago, pricing in ((3, OLD), (2, NEW), (1, NEW), (0.01, NEW)):
            found.fake.serve(catalog(model("acme/one", pricing=pricing), *OTHERS))
            sync_at(found.url, found.fake.base_url, NOW - timedelta(days=ago))
        yield found


@pytest.fixture(scope="module")
def served(here: Place) -> Iterator[Served]:
    with serving(here.llmhive) as found:
        yield found


def cost(served: Served, **ask: Any) -> dict[str, Any]:
    """The receipt of what is asked for beside `ASK`."""
    answer = served.post("/api/cost", ASK | ask)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found: dict[str, Any] = answer.json()
    return found


def unpriced(served: Served, **ask: Any) -> str:
    """Why there is no price."""
    answer = served.post("/api/cost", ASK | ask)
    found: dict[str, Any] = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, found["status"], found["title"]) == (422, 422, "Not priced")
    return str(found["detail"])


# --- one


@pytest.mark.parametrize("shape", SHAPES)
def test_a_usage_costs_what_it_costs_by_hand_in_whatever_shape_it_is_told(served: Served, shape: str) -> None:
    found = cost(served, usage=SHAPES[shape])
    assert (found["total"], found["billed"], found["currency"]) == (TOTAL, TOTAL, "USD")
    assert sum(Decimal(it["amount"]) for it in found["lines"]) == Decimal(TOTAL)
    assert [(it["counted"], it["quantity"], it["rate"], it["amount"]) for it in found["lines"]][:3] == [
        ("plain", 1500, "0.0000015", "0.00225"), ("cached", 10000, "0.0000001", "0.001"),
        ("written", 500, "0.000002", "0.001"),
    ]  # fmt: skip
    assert found["incomplete"] == []


def test_the_price_is_that_of_the_time(served: Served) -> None:
    assert cost(served, at=day(1))["total"] == TOTAL
    # 1,500 and, since no rate for writing was listed then, 500 more × 0.000001, + 0.001 + 0.0016
    old = cost(served, at=day(2.5))
    assert (old["total"], old["at"]) == ("0.0046", day(2.5))
    assert old["price_from"]["from"] < old["at"] < old["price_from"]["to"]
    assert "Nothing is known" in unpriced(served, at=day(4))
    assert "future" in problem(served.post("/api/cost", ASK | {"at": day(-1)}), 422)["detail"]


def test_a_threshold_reprices_the_whole_prompt(served: Served) -> None:
    at, above = ({"prompt": it, "completion": 10} for it in (200_000, 200_001))
    assert cost(served, model="acme/tiers", usage=at)["total"] == "0.4001"
    found = cost(served, model="acme/tiers", usage=above)
    assert found["total"] == "0.800104"
    assert found["override"] == {"position": 1, "condition": {"min_prompt_tokens": 200_000}}


def test_free_is_zero_and_ones_own_key_is_billed_the_fee(served: Served) -> None:
    free = cost(served, model="acme/gift:free")
    assert free["total"] == "0"
    assert any("free" in it for it in free["notes"])
    told = cost(served, usage=SHAPES["openrouter"] | {"is_byok": True})
    assert (told["billed"], told["upstream"]) == ("0", told["total"])
    own = cost(served, is_byok=True, has_fee=True)
    assert (own["upstream"], own["billed"], own["total"]) == (TOTAL, "0.0002925", "0.0061425")


def test_it_is_the_librarys_receipt_and_sealed_it_can_be_verified(here: Place, served: Served) -> None:
    with Catalog.open(here.url) as library:
        at = NOW - timedelta(hours=5)
        ours = library.cost("acme/one", SHAPES["openrouter"], at=at, sealed=True).to_json()
        found = cost(served, usage=SHAPES["openrouter"], at=at.isoformat(), sealed=True)
        assert found == ours
        assert all(it.is_right for it in library.verify(found))
        changed = found | {"total": "0.00584"}
        assert {it.what for it in library.verify(changed) if not it.is_right} >= {"digest", "total"}


def test_for_audits_with_the_price_that_was_believed(served: Served) -> None:
    # it was learnt by syncs whose clock stood at their day
    found = cost(served, known_at=day(2.5))
    assert (found["known_at"], found["at"]) == (day(2.5), day(2.5))
    assert found["total"] == "0.0046"
    assert cost(served, known_at=day(0.5), at=day(2.5))["total"] == TOTAL


# --- what has no price


def test_what_has_no_price_says_why(served: Served) -> None:
    missing = problem(served.post("/api/cost", ASK | {"model": "acme/won"}), 404)["detail"]
    assert "acme/one" in missing
    assert "concrete model" in unpriced(served, model="acme/router")


@pytest.mark.parametrize(
    ("ask", "word"),
    [
        ({"usage": {}}, "prompt_tokens"), ({"usage": {"prompt": -1}}, "prompt"), ({"usage": {"prompt": 1.5}}, "prompt"),
        ({"usage": {"prompt": 10**30}}, "prompt"), ({"usage": {"completion_tokens": 1}}, "prompt"),
        ({"usage": {"x" * 9000: 1}}, "no token count"), ({"usage": None}, "usage is missing"),
        ({"model": None}, "model is missing"), ({"at": "soon"}, "at: write a day"),
        ({"known_at": "9999-12-31T23:59:59-12:00"}, "known_at: write a day"),
        ({"preferences": {"sorts": "price"}}, "sorts"), ({"preferences": {"sort": [1]}}, "sort"),
        ({"preferences": {"max_price": {"prompt": "x"}}}, "max_price"),
        ({"at": 5}, "at: expected str"), ({"prompt": 5}, "prompt: there is no such field"),
        ({"requests": [{"prompt": 5}]}, "requests[0].prompt: there is no such field"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_told(served: Served, ask: dict[str, Any], word: str) -> None:
    found = problem(served.post("/api/cost", ASK | ask), 422)
    assert word in found["detail"]
    assert len(found["detail"]) < 1500


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 50_000, b'"' * 3])
def test_a_body_that_is_none_is_refused(served: Served, body: bytes) -> None:
    assert "requests" in problem(served.client.post("/api/cost", content=body), 422)["detail"]


def test_parameters_belong_into_the_body(served: Served) -> None:
    assert "model" in problem(served.post("/api/cost", ASK, model="acme/one"), 422)["detail"]
    assert served.get("/api/cost").status_code == 405


# --- many


def test_many_are_answered_in_order_with_their_sum(served: Served) -> None:
    searched = SHAPES["openrouter"] | {"server_tool_use": {"web_search_requests": 1}}
    requests = [
        {}, {"at": day(2.5)}, {"model": "acme/won"}, {"model": "acme/router"}, {"usage": searched}, {"usage": {}},
        {"model": "acme/gift:free"},
    ]  # fmt: skip
    answer = served.post("/api/cost", {**ASK, "requests": requests})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert [it.get("total", it.get("error", {}).get("title")) for it in found["data"]] == [
        TOTAL, "0.0046", "Not Found", "Not priced", TOTAL, "Unprocessable Entity", "0",
    ]  # fmt: skip
    assert [found[it] for it in ("priced", "unpriced", "incomplete", "total")] == [4, 3, 1, "0.0163"]
    # all that say no time are of one instant
    assert len({it["at"] for it in found["data"] if it.get("total") == TOTAL}) == 1
    assert found["data"][0] == cost(served, at=found["data"][0]["at"])


def test_thousands_go_in_one_call(served: Served) -> None:
    requests = [{"model": "acme/one", "usage": {**SHAPES["openrouter"], "prompt_tokens": it}} for it in range(5000)]
    body = json.dumps({"at": day(1), "requests": requests}).encode()
    assert len(body) > 1_000_000
    found = served.client.post("/api/cost", content=body).raise_for_status().json()
    assert (found["priced"], found["unpriced"]) == (5000, 0)
    assert [it["usage"].get("prompt", 0) for it in found["data"]] == list(range(5000))
    assert Decimal(found["total"]) == sum(Decimal(it["total"]) for it in found["data"])
    # in chunks, without a length
    again = served.client.post("/api/cost", content=iter([body[:900_000], body[900_000:]]))
    assert again.json()["total"] == found["total"]


def test_too_much_is_refused(served: Served) -> None:
    assert "10,001" in problem(served.post("/api/cost", {"requests": [{}] * 10_001}), 413)["detail"]
    large = b" " * (4 * 1024 * 1024)
    problem(served.client.post("/api/cost", content=large + b"{}"), 413)
    problem(served.client.post("/api/cost", content=iter([large, b"{}"])), 413)
    # what writes takes no more than it did
    problem(served.client.post("/api/snapshots", content=b" " * 70_000), 413)


# --- who may ask


def test_it_is_a_read_for_whoever_may_read(here: Place, served: Served) -> None:
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Host": "catalog.example"}
    assert served.client.post("/api/cost", json=ASK, headers=foreign).status_code == 200
    with serving(here.llmhive, AUTH_READ_TOKEN="r" * 32, AUTH_TOKEN="w" * 32) as closed:
        away = {"Host": "catalog.example", "X-Forwarded-For": "203.0.113.9"}
        problem(closed.client.post("/api/cost", json=ASK, headers=away), 401)
        # before the body is read, whatever is in it
        problem(closed.client.post("/api/cost", content=b"{", headers=away), 401)
        for token in ("r" * 32, "w" * 32):
            headers = {**away, "Authorization": f"Bearer {token}"}
            assert closed.client.post("/api/cost", json=ASK, headers=headers).json()["total"] == TOTAL
    runs = rows(here.url, "SELECT count(*) AS runs FROM sync_run")
    assert runs == [{"runs": 4}]


def test_it_is_counted_and_logged_as_other_reads(served: Served) -> None:
    headers = {"Content-Type": "text/plain", "X-Request-Id": "cost-1"}
    status, _, _ = asked(served, "/api/cost", "POST", headers, json.dumps(ASK))
    assert status == 200
    line = served.wait_for("Answered", request="cost-1")
    assert (line["method"], line["path"], line["status"]) == ("POST", "/api/cost", 200)
    assert 'llmhive_http_requests_total{method="POST",route="/api/cost",status="200"}' in served.get("/metrics").text


# --- its description


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_whatever_is_asked_the_answer_is_one_that_is_described(served: Served, mode: GenerationMode) -> None:
    [found] = [it for it in operations(served, reading=False) if it.path == "/api/cost"]
    check(found, mode, 40)


def test_the_description_says_that_it_reads(served: Served) -> None:
    document = served.get("/openapi.json").json()
    operation = document["paths"]["/api/cost"]["post"]
    assert operation["security"][0] == {}
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    for example in examples.values():
        assert served.post("/api/cost", example["value"]).status_code in {200, 404}
    shapes = document["components"]["schemas"]
    for found in (cost(served), cost(served, sealed=True, bounds=True)):
        assert found.keys() == shapes["Receipt"]["properties"].keys()
        assert set(shapes["PriceFrom"]["required"]) <= found["price_from"].keys()
        assert found["price_from"].keys() <= shapes["PriceFrom"]["properties"].keys()


# --- endpoints


def test_bounds_and_providers_are_those_of_the_endpoints(tmp_path: Path) -> None:
    world = World.small(today=datetime.now(UTC).date())
    ask = {"model": "cobalt/coder-9b", "usage": {"prompt": 1_000_000, "completion": 0}}
    with place("sqlite", tmp_path, Upstream(world)) as found:
        found.llmhive("sync", "--research", OPENROUTER_API_KEY=KEY, SYNC_TIMEOUT_SECONDS="150")
        with serving(found.llmhive) as served:
            bounded = cost(served, **ask, bounds=True)
            # two of DeepInfra, at 0.03 and 0.02, of which the odds are 1/9 : 1/4; Together answers nobody
            assert (bounded["lowest"], bounded["highest"], bounded["total"]) == ("0.02", "0.03", "0.03")
            assert Decimal(bounded["expected"]) == pytest.approx(Decimal(3) / 130, rel=Decimal("1e-15"))
            assert [it["share"] for it in bounded["bounds"]["endpoints"]] == [0.692308, 0.307692, 0]
            # preferences imply them
            nobody = cost(served, **ask, preferences={"only": ["groq"]})
            assert (nobody["lowest"], nobody["expected"]) == (None, None)
            assert nobody["bounds"]["why"]
            of = cost(served, model="borealis/aurora-mini", usage={"prompt": 3, "completion": 0}, provider="Fireworks")
            assert of["price_from"]["provider"] == "Fireworks"
            assert (of["price_from"]["source"], of["provider"]) == ("endpoint", "Fireworks")
            [operation] = [it for it in operations(served, reading=False) if it.path == "/api/cost"]
            check(operation, GenerationMode.POSITIVE, 10)
