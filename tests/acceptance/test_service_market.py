"""What the research sync brings, over real HTTP: compared with what the upstream holds, reckoned anew."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from llmhive.app.library import Catalog
from llmhive.app.openrouter.research import ORDER
from tests.acceptance.test_service_reads import problem
from tests.fake_openrouter import Request, Response, model, status
from tests.serving import Place, Served, asked, place, serving
from tests.support import DIALECTS, poll
from tests.upstream import KEY, Upstream, World

ROOT = "/api/openrouter/sync"
KEYED: dict[str, Any] = {
    "OPENROUTER_API_KEY": KEY,
    "SYNC_RANKINGS": "1",
    "SYNC_MIN_INTERVAL_MINUTES": "0.001",
    "SYNC_TIMEOUT_SECONDS": "150",
}
STEPS = list(ORDER["research"])


def world() -> World:
    """The small one as of today, with a model that is called as a route is."""
    found = World.small(today=datetime.now(UTC).date())
    found.models.append(model("acme/top"))
    found.endpoints["acme/top"] = []
    return found


@dataclass
class Here:
    """A service that did a research sync, and the upstream it asked."""

    place: Place
    upstream: Upstream
    served: Served
    run: dict[str, Any]  #: as it was answered

    @property
    def world(self) -> World:
        """What the upstream holds."""
        return self.upstream._world

    def get(self, path: str, /, **query: Any) -> Any:
        """The JSON of a good answer."""
        answer = self.served.get(path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module", params=DIALECTS)
def here(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    upstream = Upstream(world())
    folder = tmp_path_factory.mktemp("market")
    with place(request.param, folder, upstream) as found, serving(found.llmhive, **KEYED) as served:
        yield Here(found, upstream, served, researched(served))


@pytest.fixture(scope="module")
def keyless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    upstream = Upstream(world())
    folder = tmp_path_factory.mktemp("keyless")
    with (
        place("sqlite", folder, upstream) as found,
        serving(found.llmhive, SYNC_RANKINGS="1", SYNC_TIMEOUT_SECONDS="150") as served,
    ):
        yield Here(found, upstream, served, researched(served))


def researched(served: Served) -> dict[str, Any]:
    """The run of a research sync that was waited for."""
    answer = served.post(f"{ROOT}/research", None, blocking="true")
    assert answer.status_code == 200, answer.text
    run: dict[str, Any] = answer.json()
    return run


def base(slug: str) -> str:
    return slug.partition(":")[0]


# --- the run


def test_a_research_run_tells_its_steps(here: Here) -> None:
    run = here.run
    assert (run["kind"], run["trigger"], run["status"], run["error"]) == ("research", "http", "completed", None)
    one = here.get(f"{ROOT}/runs/{run['id']}")
    assert [it["step"] for it in one["steps"]] == STEPS
    assert {it["status"] for it in one["steps"]} == {"completed"}
    assert run["steps"] == one["steps"]
    for before, after in zip(one["steps"], one["steps"][1:], strict=False):
        assert before["started_at"] <= before["finished_at"] <= after["started_at"]
    assert "steps" not in here.get(f"{ROOT}/runs")["data"][0]


def test_progress_shows_while_it_runs_and_a_step_that_fails_costs_no_other(tmp_path: Path) -> None:
    upstream, goes_on = Upstream(world()), threading.Event()

    def stuck(_: Request) -> Response:
        assert goes_on.wait(60)
        return status(404)

    with place("sqlite", tmp_path, upstream) as found, serving(found.llmhive, **KEYED) as served:
        upstream.fail("/benchmarks", stuck)
        begun = served.post(f"{ROOT}/research")
        assert begun.status_code == 202
        where = begun.headers["location"]
        before = STEPS[: STEPS.index("benchmarks")]

        def so_far() -> dict[str, Any]:
            run: dict[str, Any] = served.get(where).json()
            return run if len(run.get("steps", ())) >= len(before) else {}

        try:
            run = poll(so_far)
            assert (run["status"], [it["step"] for it in run["steps"]]) == ("running", before)
            # what is done is there already
            assert served.get("/api/rankings").json()["total"] > 0
            assert served.get("/api/rankings", category="fastest").json()["note"]
        finally:
            goes_on.set()
        run = poll(lambda: it if (it := served.get(where).json())["status"] != "running" else {})
        assert [it["step"] for it in run["steps"]] == STEPS
        assert [it["step"] for it in run["steps"] if it["status"] != "completed"] == ["benchmarks"]
        assert "benchmarks" in run["error"]
        assert served.get("/api/models/acme/atlas-2/endpoints").json()["total"] > 0
        # the next one repeats what failed, and who waits for it is told how that went
        again = poll(lambda: other_than(run, problem(served.post(f"{ROOT}/research", None, blocking="true"), 502)))
        assert "benchmarks" in again["detail"]
        did = {it["step"]: it["status"] for it in again["run"]["steps"] if it["status"] != "reused"}
        assert did == {"benchmarks": "failed", "capabilities": "completed", "dimensions": "completed"}
        upstream.heal()

        def completed() -> list[dict[str, Any]]:
            answer = served.post(f"{ROOT}/research", None, blocking="true")
            steps: list[dict[str, Any]] = answer.json()["steps"] if answer.status_code == 200 else []
            return steps

        repeated = {it["step"] for it in poll(completed) if it["status"] == "completed"}
        assert repeated == {"benchmarks", "capabilities", "dimensions"}
        assert served.get("/api/models/acme/atlas-2/benchmarks").json()["total"] > 3


def other_than(run: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """A problem of another run; nothing where it is of this one, whose process had not ended yet."""
    return {} if found["run"]["id"] == run["id"] else found


# --- rankings


def week_of(world: World) -> Counter[str]:
    """Tokens of the last seven days as the Data API tells them: fifty slugs a day, variants added up."""
    found: Counter[str] = Counter()
    for back in range(1, 8):
        of_day = Counter({slug: n for slug, n in world.tokens[world.today - timedelta(days=back)].items() if n})
        for slug, tokens in of_day.most_common(50):
            found[base(slug)] += tokens
    return found


def test_the_leaderboard_is_the_tokens_of_the_week(here: Here) -> None:
    found = here.get("/api/rankings")
    wanted = week_of(here.world).most_common(50)
    assert sorted((it["tokens"], it["slug"]) for it in found["data"]) == sorted((n, slug) for slug, n in wanted)
    assert [it["tokens"] for it in found["data"]] == [n for _, n in wanted]
    assert [it["rank"] for it in found["data"]] == list(range(1, len(wanted) + 1))
    total = sum(sum(here.world.tokens[here.world.today - timedelta(days=back)].values()) for back in range(1, 8))
    for it in found["data"]:
        assert abs(Decimal(it["share"]) - Decimal(it["tokens"]) / total) < Decimal("0.00001")
    ids = {base(record["canonical_slug"]): record["id"] for record in reversed(here.world.models)}
    assert {it["slug"]: it["model"] for it in found["data"]} == {slug: ids.get(slug) for slug, _ in wanted}
    assert (found["source"], found["is_derived"], found["note"], found["failure"]) == ("data-api", False, None, None)
    assert found["as_of"] in found["citation"]
    today = here.world.today
    assert found["window"] == {"from": str(today - timedelta(days=7)), "to": str(today - timedelta(days=1))}
    assert found["catalog_version"] == here.get(f"{ROOT}/status")["catalog_version"]


def test_a_month_is_the_last_28_days(here: Here) -> None:
    month = here.get("/api/rankings", time_range="month")
    assert month["dimension"] == "most_used"
    today = here.world.today
    assert month["window"] == {"from": str(today - timedelta(days=28)), "to": str(today - timedelta(days=1))}
    for query in ({"category": "most_used"}, {"category": "leaderboard", "time_range": "month"}):
        assert here.get("/api/rankings", **query) == month | {"catalog_age_seconds": any_age(month)}
    assert here.get("/api/rankings", time_range="week")["dimension"] == "leaderboard"


def any_age(document: dict[str, Any]) -> Any:
    """Equal to any age that is near."""
    return pytest.approx(document["catalog_age_seconds"], abs=30)


def test_a_category_is_its_last_week(here: Here) -> None:
    weeks = here.world.categories["programming"]
    last = max(it for it in weeks if it + timedelta(days=7) <= here.world.today)
    wanted: Counter[str] = Counter()
    for slug, tokens in Counter({slug: n for slug, n in weeks[last].items() if slug != "other"}).most_common(50):
        wanted[base(slug)] += tokens
    found = here.get("/api/rankings", category="programming")
    assert {it["slug"]: it["tokens"] for it in found["data"]} == wanted
    assert (found["dimension"], found["category"], found["is_estimate"]) == ("category", "programming", True)
    assert found["window"] == {"from": str(last), "to": str(last + timedelta(days=6))}
    age = {"catalog_age_seconds": any_age(found)}
    assert here.get("/api/rankings", category="programming", dimension="category") == found | age


def test_every_name_that_is_listed_is_answered_and_its_pages_make_up_the_whole(here: Here) -> None:
    names = here.get("/api/rankings/categories")
    assert names["total"] == len(names["data"]) == len({it["name"] for it in names["data"]})
    assert {"leaderboard", "market_share", "programming", "image", "tool_calling", "fastest"} <= {
        it["name"] for it in names["data"]
    }
    with Catalog.open(here.place.url) as library:
        assert names["data"] == library.ranking_categories()
    for it in names["data"]:
        found = here.get("/api/rankings", category=it["name"])
        assert (found["total"], found["source"], found["as_of"]) == (it["total"], it["source"], it["as_of"])
        assert [line["rank"] for line in found["data"]] == list(range(1, it["total"] + 1))
        assert bool(found["note"]) is not it["is_ranked"]
        assert found["is_derived"] is (it["is_derived"] if it["is_ranked"] else found["is_derived"])
        pages = [
            here.get("/api/rankings", category=it["name"], limit=7, offset=at) for at in range(0, it["total"] + 1, 7)
        ]
        assert [line for page in pages for line in page["data"]] == found["data"]
        assert {page["total"] for page in pages} == {it["total"]}


def test_without_a_key_it_is_the_order_of_the_list_and_what_there_is_not_says_so(keyless: Here) -> None:
    found = keyless.get("/api/rankings")
    week = keyless.world.popularity()
    ranked = [record for record in keyless.world.models if (record["canonical_slug"]) in week]
    first = max(ranked, key=lambda record: week[record["canonical_slug"]])
    assert (found["source"], found["data"][0]["model"]) == ("models-order", first["id"])
    assert all(it["tokens"] is it["share"] is None for it in found["data"])
    for name in ("image", "tool_calling", "market_share", "trending"):
        none = keyless.get("/api/rankings", category=name)
        assert (none["data"], none["total"], none["source"], none["as_of"]) == ([], 0, None, None)
        assert "OPENROUTER_API_KEY" in none["note"]
    states = {it["step"]: it["status"] for it in keyless.run["steps"]}
    assert states["modalities"] == states["tasks"] == "skipped"
    assert keyless.get("/api/models/acme/atlas-2/endpoints")["data"][0]["latency_ms"] is None


@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ("category=programing", 404, "programming?"), ("dimension=leaderbord", 404, "leaderboard"),
        ("category=category", 404, "Known are: programming"), ("time_range=year", 422, "'week' or 'month'"),
        ("time_range=month&category=science", 422, "week"), ("time_range=week&category=most_used", 422, "leaderboard"),
        ("dimension=modality", 422, "/api/rankings/categories"), ("category=image&dimension=category", 422, "modality"),
        ("limit=0", 422, "limit"), ("categry=image", 422, "Did you mean category?"), ("category=", 422, "category"),
        ("category=" + "x" * 201, 422, "category"),
    ],
)  # fmt: skip
def test_what_cannot_be_ranked_by_is_said(keyless: Here, query: str, status: int, told: str) -> None:
    assert told in problem(keyless.served.client.get(f"/api/rankings?{query}"), status)["detail"]


def test_top_are_known_models_as_the_list_has_them(here: Here) -> None:
    listed = {it["id"]: it for it in here.get("/api/models", active="all")["data"]}
    for name in (None, "programming", "lowest_cost"):
        query = {} if name is None else {"category": name}
        ranking = here.get("/api/rankings", **query)
        wanted = [it | {"model": listed[it["model"]]} for it in ranking["data"] if it["model"] is not None]
        found = here.get("/api/models/top", **query)
        assert found["data"] == wanted[:10] != []
        assert (found["total"], found["limit"]) == (len(wanted), 10)
        own = {"data", "total", "limit", "catalog_age_seconds"}
        assert {k: v for k, v in found.items() if k not in own} == {k: v for k, v in ranking.items() if k not in own}
        assert here.get("/api/models/top", **query, limit=2, offset=1)["data"] == wanted[1:3]
    assert "authors" in problem(here.served.get("/api/models/top", category="market_share"), 422)["detail"]
    assert "Did you mean" in problem(here.served.get("/api/models/top", category="programing"), 404)["detail"]


def test_a_model_that_is_called_as_a_route_does_not_hide_it(here: Here) -> None:
    assert here.get("/api/models/acme/top")["id"] == "acme/top"
    assert "data" in here.get("/api/models/top")
    assert here.get("/api/models/top/endpoints")["id"] == "acme/top"


# --- one model


def offered(record: dict[str, Any]) -> tuple[Any, ...]:
    return record["provider_name"], record["tag"], *(Decimal(record["pricing"][it]) for it in ("prompt", "completion"))


def shown(it: dict[str, Any]) -> tuple[Any, ...]:
    return it["provider"], it["tag"], *(Decimal(it["pricing"][unit]) for unit in ("prompt", "completion"))


def test_endpoints_are_those_of_the_upstream(here: Here) -> None:
    for record in here.world.models:
        offers = here.world.endpoints[record["id"]]
        found = here.get(f"/api/models/{quote(record['id'])}/endpoints")
        assert found["id"] == record["id"]
        assert found["total"] == len(found["data"]) == len(offers)
        if "-1" not in record["pricing"].values():
            assert sorted(map(shown, found["data"])) == sorted(map(offered, offers))
            prompts = [Decimal(it["pricing"]["prompt"]) for it in found["data"]]
            assert prompts == sorted(prompts)
        by_key = {(it["provider_name"], it["tag"], it["context_length"]): it for it in offers}
        for it in found["data"]:
            offer = by_key[it["provider"], it["tag"], it["context_length"]]
            assert (it["status"], it["uptime_last_1d"]) == (offer["status"], offer["uptime_last_1d"])
            assert it["is_zdr"] is ((record["id"], it["tag"]) in here.world.zdr)
            assert it["is_active"]
            if offer["latency_last_30m"]:
                assert it["latency_ms"]["p50"] == offer["latency_last_30m"]["p50"]
        assert found["error"] is None
        assert found["checked_at"] == found["succeeded_at"] is not None
        assert found["source"] == "openrouter"
    assert here.get("/api/models/~acme%2Fatlas-latest/endpoints")["id"] == "~acme/atlas-latest"


def test_endpoints_of_the_past(here: Here) -> None:
    path = "/api/models/cobalt/coder-9b/endpoints"
    assert here.get(path, as_of="2020-01-01")["data"] == []
    now = datetime.now(UTC).isoformat()
    found, current = here.get(path, as_of=now), here.get(path)
    assert sorted(map(shown, found["data"])) == sorted(map(shown, current["data"]))
    assert datetime.fromisoformat(found["as_of"]) == datetime.fromisoformat(now)
    assert "status" not in found["data"][0]
    assert "in the future" in problem(here.served.get(path, as_of="2999-01-01"), 400)["detail"]
    assert problem(here.served.get(path, as_of="yesterday"), 422)["parameter"] == "as_of"


def test_the_past_of_endpoints(here: Here) -> None:
    path = "/api/models/cobalt/coder-9b/endpoints"
    current, found = here.get(path)["data"], here.get(f"{path}/history")
    open_ = [it for it in found["versions"] if it["to"] is None]
    assert sorted(map(shown, open_)) == sorted(map(shown, current))
    assert all(it["is_listed"] for it in open_)
    looks = {(it["key"], it["at"]): it for it in found["health"] if it["span"] == "sample"}
    for it in current:
        look = looks[it["key"], it["health_at"]]
        assert (look["samples"], look["status"], look["uptime"]) == (1, it["status"], it["uptime_last_30m"])
    assert here.get(f"{path}/history", since="2999-01-01")["health"] == []
    assert problem(here.served.get("/api/models/acme/nothing/endpoints/history"), 404)


def test_where_a_model_stands_is_what_the_rankings_say(here: Here) -> None:
    names = [it["name"] for it in here.get("/api/rankings/categories")["data"]]
    rankings = [here.get("/api/rankings", category=name) for name in names]
    for record in here.world.models:
        wanted = [
            (it["dimension"], it["category"], line["rank"], line["tokens"], line["score"], it["source"], it["citation"])
            for it in rankings
            for line in it["data"]
            if line["model"] == record["id"]
        ]
        found = here.get(f"/api/models/{quote(record['id'])}/rankings")
        keys = ("dimension", "category", "rank", "tokens", "score", "source", "citation")
        assert sorted(tuple(map(str, (it[key] for key in keys))) for it in found["data"]) == sorted(
            tuple(map(str, it)) for it in wanted
        )
        assert (found["id"], found["total"]) == (record["id"], len(wanted))
    assert here.get("/api/models/acme/atlas-2/rankings")["total"] > 5


def test_benchmarks_are_those_of_the_upstream(here: Here) -> None:
    for model_id, index in (("acme/atlas-2", 71.4), ("acme/atlas-2:free", 71.4), ("cobalt/coder-9b", 33.1)):
        found = here.get(f"/api/models/{quote(model_id)}/benchmarks")
        told = {(it["source"], it["metric"]): it["value"] for it in found["data"]}
        assert found["total"] == len(told) == len(found["data"])
        assert float(told["models:artificial-analysis", "intelligence_index"]) == index
        with Catalog.open(here.place.url) as library:
            assert found["data"] == library.benchmarks(model_id)
    assert here.get("/api/models/openrouter/auto/benchmarks")["data"] == []


# --- capabilities and providers


def test_the_matrix_agrees_with_the_filters_of_the_list(here: Here) -> None:
    found = here.get("/api/capabilities")
    active = [it["id"] for it in here.get("/api/models")["data"]]
    assert [it["id"] for it in found["data"]] == active
    names = [it["name"] for it in found["capabilities"]]
    assert all(list(row["cells"]) == names for row in found["data"])
    for name in ("vision", "file_input", "image_output", "embeddings", "tools", "json_mode", "structured_outputs"):
        able = [row["id"] for row in found["data"] if row["cells"][name]["state"] == "yes"]
        assert able == [it["id"] for it in here.get("/api/models", capability=name)["data"]], name
    some = here.get("/api/capabilities", model=["acme/atlas-2", "CODER-9B"], capability=["tools", "vision"])
    assert [it["id"] for it in some["data"]] == ["acme/atlas-2", "cobalt/coder-9b"]
    assert [it["name"] for it in some["capabilities"]] == ["vision", "tools"]
    by_id = {row["id"]: row["cells"] for row in found["data"]}
    for row in some["data"]:
        assert row["cells"] == {name: by_id[row["id"]][name] for name in ("vision", "tools")}
    pages = [here.get("/api/capabilities", limit=4, offset=at)["data"] for at in range(0, found["total"], 4)]
    assert [row for page in pages for row in page] == found["data"]
    assert "acme/atlas-2" in problem(here.served.get("/api/capabilities", model="acme/atlas-3"), 404)["detail"]
    assert "tools" in problem(here.served.get("/api/capabilities", capability="tool"), 422)["detail"]
    assert problem(here.served.get("/api/capabilities", changes_since="x"), 422)["parameter"] == "changes_since"


def test_providers_are_those_of_the_upstream(here: Here) -> None:
    found = here.get("/api/providers")
    listed = {it["slug"]: it for it in here.world.providers}
    assert {it["slug"] for it in found["data"] if it["slug"]} == set(listed)
    offers = Counter(it["provider_name"] for some in here.world.endpoints.values() for it in some)
    for it in found["data"]:
        assert it["endpoints"] == offers[it["name"]]
        assert it["headquarters"] == listed[it["slug"]]["headquarters"]
        places = listed[it["slug"]]["datacenters"]
        assert it["datacenters"] == (None if places is None else sorted(places))
    assert found["total"] == len(found["data"])
    assert [it["name"] for it in found["data"]] == sorted((it["name"] for it in found["data"]), key=str.casefold)


# --- over time, who may read, and what is kept


def test_a_sync_that_changes_something_shows_at_once(tmp_path: Path) -> None:
    upstream = Upstream(world())
    with place("sqlite", tmp_path, upstream) as found, serving(found.llmhive, **KEYED) as served:
        researched(served)
        path = "/api/models/cobalt/coder-9b/endpoints"
        before, then = served.get(path).json(), datetime.now(UTC)
        whole, tags = served.get("/api/capabilities"), {}
        for kept in ("/api/capabilities", "/api/providers", "/api/rankings", path):
            tags[kept] = served.get(kept).headers["etag"]
            assert asked(served, kept, headers={"If-None-Match": tags[kept]})[0] == 304
        assert whole.json()["changes"] == []
        with upstream.change() as changed:
            record = changed.find("cobalt/coder-9b")
            assert record is not None
            record["supported_parameters"].remove("tools")
            changed.endpoints["cobalt/coder-9b"][0]["pricing"]["prompt"] = "0.000000025"
        run = served.post(f"{ROOT}/blocking", {"force": True}).json()
        assert run["status"] == "completed"
        after = served.get(path).json()
        assert "0.000000025" in {it["pricing"]["prompt"] for it in after["data"]}
        past = served.get(path, as_of=then.isoformat()).json()["data"]
        assert sorted(map(shown, past)) == sorted(map(shown, before["data"]))
        lost = {"model": "cobalt/coder-9b", "capability": "tools"}
        matrix = served.get("/api/capabilities").json()
        [change] = [it for it in matrix["changes"] if it.items() >= lost.items()]
        assert (change["before"]["state"], change["after"]["state"]) == ("yes", "no")
        for query, is_there in (
            ({"changes_since": then.isoformat()}, True), ({"changes_since": "2999-01-01"}, False),
            ({"changes_since": "1h"}, True),
            ({"model": "acme/atlas-2"}, False), ({"capability": "vision"}, False), ({"capability": "tools"}, True),
        ):  # fmt: skip
            assert (change in served.get("/api/capabilities", **query).json()["changes"]) is is_there, query
        for kept in ("/api/capabilities", path):
            assert asked(served, kept, headers={"If-None-Match": tags[kept]})[0] == 200, kept


def test_before_any_research_all_is_empty_and_says_so(tmp_path: Path) -> None:
    with place("sqlite", tmp_path) as found, serving(found.llmhive) as served:
        for path in ("/api/rankings", "/api/models/top", "/api/capabilities", "/api/providers"):
            answer = served.get(path).json()
            assert (answer["data"], answer["total"]) == ([], 0), path
            assert "sync --research" in answer.get("note", "sync --research")
        assert not any(it["is_ranked"] for it in served.get("/api/rankings/categories").json()["data"])
        model_id = served.get("/api/models", limit=1).json()["data"][0]["id"]
        for below in ("endpoints", "rankings", "benchmarks"):
            answer = served.get(f"/api/models/{model_id}/{below}").json()
            assert (answer["id"], answer["data"], answer["total"]) == (model_id, [], 0)
        assert answer["source"] == "bootstrap"
