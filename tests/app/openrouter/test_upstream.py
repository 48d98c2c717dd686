"""The fake OpenRouter itself: it answers as the OpenAPI document says, keeps its limits, and fails when told."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

import jsonschema_rs
import pytest
import yaml  # type: ignore[import-untyped]

from tests.fake_openrouter import ROOT, Request, Response, ok, status
from tests.support import ROOT as PROJECT
from tests.support import poll, shared_folder
from tests.upstream import KEY, OTHER_KEY, Upstream
from tests.upstream_small import small
from tests.upstream_world import CATEGORIES, TODAY, World

LIST_ALL = "/models?output_modalities=all"
RANKINGS = "/datasets/rankings-daily"
#: the path as the OpenAPI document writes it → requests
ROUTES = {
    "/models": [
        "/models", LIST_ALL, "/models?category=programming", "/models?category=marketing/seo", "/models?limit=3",
        "/models?sort=latency-low-to-high", "/models?sort=design-arena-elo-high-to-low",
    ],
    "/models/count": ["/models/count", "/models/count?output_modalities=image,embeddings"],
    "/endpoints/zdr": ["/endpoints/zdr"],
    "/providers": ["/providers"],
    "/key": ["/key"],
    RANKINGS: [
        RANKINGS, f"{RANKINGS}?period=week", f"{RANKINGS}?period=month", f"{RANKINGS}?modality=tool_calling",
        f"{RANKINGS}?category=legal", f"{RANKINGS}?category=marketing/seo&period=month",
        f"{RANKINGS}?language_type=natural", f"{RANKINGS}?context_bucket=10M&modality=text",
    ],
    "/classifications/task": ["/classifications/task", "/classifications/task?window=7d"],
    "/benchmarks": [
        "/benchmarks", "/benchmarks?source=artificial-analysis&task_type=coding", "/benchmarks?source=design-arena",
        "/benchmarks?task_type=search&include_run_config=true", "/benchmarks?source=openrouter&max_results=3",
    ],
}  # fmt: skip
WORLDS = ("small", "real")


@dataclass
class Reply:
    status: int
    headers: Mapping[str, str | None]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        return self.json["data"]


class Clock:
    """Only tests move it."""

    now = 5000.0

    def __call__(self) -> float:
        return self.now


class Browser:
    """One kept connection, closed at the end of its test."""

    opened: ClassVar[list[http.client.HTTPConnection]] = []

    def __init__(self, upstream: Upstream, key: str | None = KEY) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", upstream.port, timeout=20)
        self.opened.append(self.connection)
        self.headers = {} if key is None else {"Authorization": f"Bearer {key}"}

    def __call__(self, path: str, **headers: str) -> Reply:
        self.connection.request("GET", ROOT + path, headers={**self.headers, **headers})
        response = self.connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, defaultdict(lambda: None, headers), response.read())


def make(name: str) -> World:
    return World.real() if name == "real" else World.small()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def upstream(clock: Clock) -> Iterator[Upstream]:
    with Upstream(World.small(), clock=clock) as served:
        yield served


@pytest.fixture
def get(upstream: Upstream) -> Browser:
    return Browser(upstream)


@pytest.fixture(autouse=True)
def hang_up() -> Iterator[None]:
    yield
    while Browser.opened:
        Browser.opened.pop().close()


@cache
def document() -> Any:
    text = (shared_folder() / "reference" / "openrouter-openapi-catalog.yaml").read_text()
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@cache
def validator(path: str, code: int) -> jsonschema_rs.Draft202012Validator:
    answer = document()["paths"][path]["get"]["responses"][str(code)]
    schema = answer["content"]["application/json"]["schema"]
    return jsonschema_rs.Draft202012Validator({**schema, "components": document()["components"]})


def faults(path: str, reply: Reply) -> list[str]:
    return [
        f"{reply.status} {path}: {'/'.join(map(str, error.instance_path))}: {error.message[:200]}"
        for error in validator(path, reply.status).iter_errors(reply.json)
    ]


# --- as the OpenAPI document says


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("key", [KEY, None])
def test_every_answer_is_as_documented(name: str, key: str | None) -> None:
    world = make(name)
    with Upstream(world) as upstream:
        get = Browser(upstream, key)
        found: list[str] = []
        for path, requests in ROUTES.items():
            for request in requests:
                reply = get(request)
                assert reply.status in ((200,) if key else (200, 401)), request
                found += faults(path, reply)
        for record in world.models:
            reply = get(f"/models/{record['id']}/endpoints")
            assert reply.status == 200
            found += faults("/models/{author}/{slug}/endpoints", reply)
            found += faults("/model/{author}/{slug}", get(f"/model/{record['id']}"))
    assert found == []


def test_the_document_can_be_broken() -> None:
    """The check above is one that fails."""
    reply = Reply(200, {}, b'{"data":[{"date":"2026-01-01","model_permaslug":"a/b","total_tokens":5}]}')
    assert len(faults(RANKINGS, reply)) == 2


@pytest.mark.parametrize(
    "request_",
    [
        "/models?category=cooking", "/models?sort=best", "/models?limit=0", "/models?limit=1001", "/models?offset=-1",
        "/models?limit=many", "/models?context=0", "/models?output_modalities=smell",
        "/models/count?output_modalities=x",
        f"{RANKINGS}?category=legal&period=day", f"{RANKINGS}?category=legal&modality=text",
        f"{RANKINGS}?category=legal&context_bucket=1K", f"{RANKINGS}?category=legal&language_type=natural",
        f"{RANKINGS}?language_type=natural&period=day", f"{RANKINGS}?language_type=natural&modality=text",
        f"{RANKINGS}?category=cooking", f"{RANKINGS}?modality=smell", f"{RANKINGS}?context_bucket=2K",
        f"{RANKINGS}?period=year", f"{RANKINGS}?start_date=yesterday", f"{RANKINGS}?end_date=2026-02-30",
        f"{RANKINGS}?end_date=2024-12-31", f"{RANKINGS}?start_date=20260901",
        f"{RANKINGS}?start_date=2026-09-02&end_date=2026-09-01",
        f"{RANKINGS}?start_date=2025-08-30&end_date=2026-08-31", "/classifications/task?window=30d",
        "/benchmarks?source=me", "/benchmarks?task_type=x", "/benchmarks?benchmark_type=x", "/benchmarks?arena=x",
        "/benchmarks?search_surface=x", "/benchmarks?max_results=0", "/benchmarks?include_run_config=maybe",
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_a_bad_request(get: Browser, request_: str) -> None:
    reply = get(request_)
    assert reply.status == 400
    assert faults(urlsplit(request_).path, reply) == []


@pytest.mark.parametrize("path", ["/models/acme/nothing/endpoints", "/models/acme%2Fatlas-2/endpoints", "/nothing", ""])
def test_what_is_unknown_is_not_found(get: Browser, path: str) -> None:
    reply = get(path)
    assert reply.status == 404
    assert faults("/models/{author}/{slug}/endpoints", reply) == []


# --- keys


@pytest.mark.parametrize("key", [None, "sk-or-v1-wrong"])
@pytest.mark.parametrize("path", [RANKINGS, "/classifications/task", "/benchmarks", "/key", f"{RANKINGS}?period=year"])
def test_the_data_api_needs_a_good_key(upstream: Upstream, key: str | None, path: str) -> None:
    reply = Browser(upstream, key)(path)
    assert reply.status == 401
    assert faults(urlsplit(path).path, reply) == []
    for open_path in ("/models", "/models/count", "/providers", "/endpoints/zdr", "/models/acme/atlas-2/endpoints"):
        assert Browser(upstream, key)(open_path).status == 200


def test_a_key_can_be_revoked_and_says_what_it_is(upstream: Upstream, get: Browser) -> None:
    with upstream.change() as world:
        world.key = {"expires_at": "2026-10-02T00:00:00Z"}
    assert get("/key").data["expires_at"] == "2026-10-02T00:00:00Z"
    assert KEY not in get("/key").body.decode()
    del upstream.accounts[KEY]
    assert get("/key").status == 401
    assert get("/benchmarks").status == 401


@pytest.mark.parametrize("name", WORLDS)
def test_latency_is_for_those_with_a_key(name: str) -> None:
    world = make(name)
    busiest = max(world.endpoints, key=lambda id: len(world.endpoints[id]))
    with Upstream(world) as upstream:
        for path in (f"/models/{busiest}/endpoints", "/endpoints/zdr"):
            answers = [Browser(upstream, key)(path).data for key in (KEY, None, "wrong")]
            shown, *hidden = [answer if isinstance(answer, list) else answer["endpoints"] for answer in answers]
            assert any(offer["latency_last_30m"] and offer["throughput_last_30m"] for offer in shown)
            for offers in hidden:
                unmeasured = {"latency_last_30m": None, "throughput_last_30m": None}
                assert offers == [{**offer, **unmeasured} for offer in shown]


# --- limits


def test_thirty_a_minute_per_key(upstream: Upstream, clock: Clock, get: Browser) -> None:
    for number in range(30):
        clock.now += 1
        assert get((RANKINGS, "/benchmarks", "/classifications/task")[number % 3]).status == 200
    refused = get("/benchmarks")
    assert (refused.status, refused.headers["retry-after"], upstream.throttled) == (429, "31", 1)
    assert faults("/benchmarks", refused) == []
    assert Browser(upstream, OTHER_KEY)("/benchmarks").status == 200
    assert get("/models").status == get("/key").status == 200
    clock.now += 30.5
    assert get("/benchmarks").headers["retry-after"] == "1"
    clock.now += 0.5
    assert [get("/benchmarks").status for _ in range(2)] == [200, 429]
    assert upstream.throttled == 3


def test_five_hundred_a_day_per_account(clock: Clock) -> None:
    with Upstream(clock=clock, accounts={KEY: "one", OTHER_KEY: "one", "third": "two"}) as upstream:
        first, second, third = (Browser(upstream, key) for key in (KEY, OTHER_KEY, "third"))
        for number in range(500):
            clock.now += 2
            assert (first, second)[number % 2]("/benchmarks?max_results=1").status == 200
        refused = second("/benchmarks")
        assert (refused.status, refused.headers["retry-after"]) == (429, str(86400 - 499 * 2))
        assert (first("/benchmarks").status, third("/benchmarks").status) == (429, 200)
        clock.now += 86400 - 499 * 2
        assert [first("/benchmarks").status for _ in range(2)] == [200, 429]
        assert upstream.throttled == 3
        arrivals = upstream.arrivals("/benchmarks")
        assert (len(arrivals), arrivals[1] - arrivals[0], upstream.arrivals("/models")) == (505, 2, [])


def test_what_is_unauthorized_does_not_count_and_what_fails_does(upstream: Upstream, get: Browser) -> None:
    assert {Browser(upstream, None)("/benchmarks").status for _ in range(31)} == {401}
    upstream.fail("/benchmarks", status(503), times=10)
    statuses = [get("/benchmarks").status for _ in range(31)]
    assert statuses == [503] * 10 + [200] * 20 + [429]


# --- models


def test_paging(upstream: Upstream, get: Browser) -> None:
    whole = get(LIST_ALL).json
    assert (whole["total_count"], whole["links"]) == (13, {"next": None})
    pages: list[list[Any]] = []
    link = f"{LIST_ALL}&limit=5"
    while link:
        page = get(link).json
        assert page["total_count"] == 13
        pages.append(page["data"])
        link = (page["links"]["next"] or "").removeprefix(ROOT)
    assert [len(page) for page in pages] == [5, 5, 3]
    assert [record for page in pages for record in page] == whole["data"]
    assert get(f"{LIST_ALL}&offset=12").json == {**whole, "data": whole["data"][12:]}
    assert get(f"{LIST_ALL}&page=2&per_page=3").data == whole["data"]


def test_text_is_what_is_listed_unless_asked_otherwise(get: Browser) -> None:
    def ids(query: str) -> list[str]:
        return [record["id"] for record in get(f"/models{query}").data]

    everything = ids("?output_modalities=all")
    assert set(everything) - set(ids("")) == {"cobalt/pixel", "cobalt/embed-1"}
    assert ids("?output_modalities=image,embeddings") == ["cobalt/pixel", "cobalt/embed-1"]
    assert ids("?output_modalities=audio") == ["borealis/echo"]
    assert get("/models/count").data == {"count": len(ids(""))}
    assert ids("?q=CODER&supported_parameters=tools,temperature&context=1000&model_authors=cobalt") == [
        "cobalt/coder-9b"
    ]


@pytest.mark.parametrize("name", WORLDS)
def test_a_category_lists_its_models_by_popularity(name: str) -> None:
    with Upstream(make(name)) as upstream:
        get = Browser(upstream)
        week = get(f"{RANKINGS}?category=science").data
        tokens = {
            row["model_permaslug"]: int(row["total_tokens"]) for row in week if row["date"] == week[-1]["date"]
        }  # fmt: skip
        listed = get("/models?category=science").data
        names = [
            f"{record['canonical_slug']}{record['id'][len(record['id'].partition(':')[0]) :]}" for record in listed
        ]
        assert 2 <= len(names) <= 20
        figures = [tokens[slug] for slug in names if slug in tokens]
        assert figures == sorted(figures, reverse=True)
        popular = get("/models?sort=most-popular").data
        assert popular == get("/models?sort=top-weekly").data
        newest = [record["created"] for record in get("/models?category=science&sort=newest").data]
        assert newest == sorted((record["created"] for record in listed), reverse=True)
        prices = [float(record["pricing"]["prompt"]) for record in get("/models?sort=pricing-low-to-high").data]
        assert prices[0] == 0
        assert prices[-1] < 0


def test_ids_of_all_kinds_have_endpoints(get: Browser) -> None:
    def tags(id: str) -> list[str]:
        return [offer["tag"] for offer in get(f"/models/{id}/endpoints").data["endpoints"]]

    assert tags("acme/atlas-2:free")
    assert tags("acme/atlas-2%3Afree") == tags("acme/atlas-2:free")
    assert tags("~acme/atlas-latest") == tags("acme/atlas-2") == tags("acme/atlas-2-20260901")
    assert tags("openrouter/auto") == []
    assert tags("cobalt/coder-9b") == ["deepinfra/fp8", "deepinfra/fp8", "together"]
    offers = get("/models/borealis/aurora-mini/endpoints").data["endpoints"]
    assert [offer["status"] for offer in offers] == [0, 0, -5]
    assert [offer["uptime_last_1d"] is None for offer in offers] == [False, True, True]


# --- rankings


def test_rankings_of_the_default_window(get: Browser) -> None:
    answer = get(RANKINGS).json
    days = [(TODAY - timedelta(days=back)).isoformat() for back in range(30, 0, -1)]
    assert answer["meta"] == {
        "as_of": "2026-10-01T02:00:00.000Z", "version": "v1", "start_date": days[0], "end_date": days[-1]
    }  # fmt: skip
    rows = answer["data"]
    assert list(dict.fromkeys(row["date"] for row in rows)) == days
    assert set(Counter(row["date"] for row in rows).values()) == {51}
    tokens = World.small().tokens
    for start in range(0, len(rows), 51):
        *top, rest = rows[start : start + 51]
        figures = [(-int(row["total_tokens"]), row["model_permaslug"]) for row in top]
        assert figures == sorted(figures)
        assert rest["model_permaslug"] == "other"
        assert sum(int(row["total_tokens"]) for row in (*top, rest)) == sum(
            tokens[date.fromisoformat(rest["date"])].values()
        )
    equal = [row["model_permaslug"] for row in rows[:50] if row["total_tokens"] == rows[20]["total_tokens"]]
    assert equal == sorted(equal)


def test_the_twins_are_equal(get: Browser) -> None:
    day = get(f"{RANKINGS}?start_date=2026-09-30").data
    figures = Counter(row["total_tokens"] for row in day)
    assert 2 in figures.values()


def test_weeks_and_months_are_sums_of_days(upstream: Upstream, get: Browser) -> None:
    with upstream.change() as world:
        for counts in world.tokens.values():  # few enough that none is hidden in `other`
            for slug in list(counts)[40:]:
                del counts[slug]
    window = "start_date=2026-08-05&end_date=2026-09-20"
    daily = get(f"{RANKINGS}?{window}").data
    for period, first in (("week", "%G-W%V"), ("month", "%Y-%m")):
        expected: Counter[tuple[str, str]] = Counter()
        for row in daily:
            expected[date.fromisoformat(row["date"]).strftime(first), row["model_permaslug"]] += int(
                row["total_tokens"]
            )
        rows = get(f"{RANKINGS}?{window}&period={period}").data
        found = {
            (date.fromisoformat(row["date"]).strftime(first), row["model_permaslug"]): int(row["total_tokens"])
            for row in rows
        }
        assert found == expected
        starts = {date.fromisoformat(row["date"]) for row in rows}
        assert all(day.weekday() == 0 if period == "week" else day.day == 1 for day in starts)


def test_the_window_is_clamped_and_at_most_366_days(get: Browser) -> None:
    meta = get(f"{RANKINGS}?start_date=2020-01-01&end_date=2025-03-01").json["meta"]
    assert (meta["start_date"], meta["end_date"]) == ("2025-01-01", "2025-03-01")
    assert get(f"{RANKINGS}?start_date=2025-09-01&end_date=2026-09-01").status == 200
    assert get(f"{RANKINGS}?start_date=2025-08-31&end_date=2026-09-01").status == 400


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_category_is_weekly(get: Browser, category: str) -> None:
    for query in ("", "&period=week"):
        rows = get(f"{RANKINGS}?category={quote(category)}{query}").data
        dates = sorted({date.fromisoformat(row["date"]) for row in rows})
        assert [day.weekday() for day in dates] == [0, 0, 0, 0]


def test_a_modality_keeps_what_has_it(get: Browser) -> None:
    def slugs(modality: str) -> set[str]:
        return {row["model_permaslug"] for row in get(f"{RANKINGS}?modality={modality}").data} - {"other"}

    assert slugs("audio") == {"borealis/echo-20260115"}
    assert slugs("image_output") == set()
    aurora = {
        "borealis/aurora-large-20260115",
        "borealis/aurora-mini-20260115",
        "borealis/aurora-mini-20260115:thinking",
    }
    assert slugs("image") == aurora
    assert "acme/atlas-2-20260901:free" in slugs("tool_calling") < slugs("text")
    buckets = [
        sum(int(row["total_tokens"]) for row in get(f"{RANKINGS}?context_bucket={bucket}").data)
        for bucket in ("1K", "10K", "100K", "1M", "10M")
    ]
    whole = sum(int(row["total_tokens"]) for row in get(RANKINGS).data)
    assert 0 <= whole - sum(buckets) < 30 * 60 * 5


def test_real_rankings_are_those_that_were_captured() -> None:
    from tests.upstream_real import _archive

    newest = json.loads(list(_archive("rankings", "rankings-daily.tar.zst"))[-1])["daily"]
    with Upstream(World.real()) as upstream:
        rows = Browser(upstream)(RANKINGS).data
    assert [(row["date"], row["model_permaslug"], int(row["total_tokens"])) for row in rows] == [
        (row["d"], row["m"], row["t"]) for row in newest
    ]


# --- benchmarks and tasks


@pytest.mark.parametrize("name", WORLDS)
def test_benchmarks_have_all_four_shapes(name: str) -> None:
    with Upstream(make(name)) as upstream:
        get = Browser(upstream)
        items = get("/benchmarks?include_run_config=true").data
        shapes = {(item["source"], "primary_score" in item) for item in items}
        assert shapes == {
            ("artificial-analysis", False), ("design-arena", False), ("openrouter", False), ("openrouter", True)
        }  # fmt: skip
        for source in ("artificial-analysis", "design-arena", "openrouter"):
            answer = get(f"/benchmarks?source={source}&max_results=2").json
            assert len(answer["data"]) == 2
            assert {item["source"] for item in answer["data"]} == {source}
            assert answer["meta"]["model_count"] == len({item["model_permaslug"] for item in answer["data"]})
            assert answer["meta"]["citation"]
        coding = [item["coding_index"] for item in get("/benchmarks?source=artificial-analysis&task_type=coding").data]
        assert coding == sorted(coding, reverse=True)
        assert None not in coding
        found = get("/benchmarks?task_type=search&search_engine=exa").data
        assert {item["search_engine"] for item in found} == {"exa"}
        assert not any("run_config" in item for item in found)
        assert {item["arena"] for item in get("/benchmarks?source=design-arena&arena=builders").data} == {"builders"}
        one = get("/benchmarks?source=openrouter&benchmark_type=gpqa_diamond").data
        assert {item["benchmark_type"] for item in one} == {"gpqa_diamond"}


def test_shares_of_tasks_are_shares(get: Browser) -> None:
    reply = get("/classifications/task")
    assert reply.headers["cache-control"] == "private, max-age=60, stale-while-revalidate=300"
    tasks = reply.data
    assert tasks["as_of"] == "2026-09-30"
    usage = [row["usage_share"] for row in tasks["classifications"]]
    assert usage == sorted(usage, reverse=True)
    for field in ("usage_share", "token_share"):
        for rows in (tasks["classifications"], tasks["macro_categories"]):
            assert sum(row[field] for row in rows) == pytest.approx(1)
        inside: Counter[str] = Counter()
        for row in tasks["classifications"]:
            inside[row["macro_category"]] += row[f"category_{field}"]
            assert sum(model[f"tag_{field}"] for model in row["models"]) <= 1
        assert list(inside.values()) == pytest.approx([1, 1, 1, 1])


# --- worlds


def test_a_seed_makes_the_same_world() -> None:
    assert World.small(3) == World.small(3) == small(3, TODAY)
    assert World.small(3).tokens != World.small(4).tokens
    assert World.small(today=date(2026, 5, 9)).today == date(2026, 5, 9)


def test_the_real_world_is_a_copy() -> None:
    world = World.real()
    world.models.clear()
    world.tokens.clear()
    again = World.real()
    assert len(again.models) == 457
    assert max(again.tokens) == again.today - timedelta(days=1) == date(2026, 8, 21)
    assert sum(len(offers) > 0 for offers in again.endpoints.values()) > 400


def test_the_small_world_has_one_of_everything() -> None:
    world = World.small()
    ids = {record["id"] for record in world.models}
    slugs = {slug for counts in world.tokens.values() for slug in counts}
    canonical = {record["canonical_slug"] for record in world.models}
    assert len(slugs) == len({slug for slug in slugs if slug != "other"}) == 60
    assert {slug.partition(":")[0] for slug in slugs} - canonical
    assert {"acme/atlas-2:free", "acme/atlas-2:batch", "~acme/atlas-latest", "openrouter/auto"} <= ids
    assert set(world.endpoints) == ids
    assert {offer["provider_name"] for offers in world.endpoints.values() for offer in offers} <= {
        provider["name"] for provider in world.providers
    }


# --- what tests change


def test_the_world_changes(upstream: Upstream, get: Browser) -> None:
    day = "start_date=2026-09-20&end_date=2026-09-20"
    upstream.restate(date(2026, 9, 20), "new/one", 2**60)
    assert get(f"{RANKINGS}?{day}").data[0] == {
        "date": "2026-09-20", "model_permaslug": "new/one", "total_tokens": str(2**60)
    }  # fmt: skip
    upstream.restate(date(2026, 9, 20), "new/one", None)
    assert "new/one" not in get(f"{RANKINGS}?{day}").body.decode()
    upstream.remove_category("trivia")
    assert get(f"{RANKINGS}?category=trivia").status == get("/models?category=trivia").status == 400
    upstream.add_category("cooking", {date(2026, 9, 28): {"acme/atlas-1-20260115": 7}})
    assert [row["total_tokens"] for row in get(f"{RANKINGS}?category=cooking").data] == ["7"]
    upstream.add_category("gardening")
    assert len(get(f"{RANKINGS}?category=gardening").data) > 50
    with upstream.change() as world:
        world.models = [record for record in world.models if record["id"] != "acme/atlas-1"]
    assert get(LIST_ALL).json["total_count"] == 12
    assert get("/models/acme/atlas-1/endpoints").status == 404


# --- faults


def test_a_share_of_endpoints_fails_always(upstream: Upstream, get: Browser) -> None:
    ids = [record["id"] for record in get(LIST_ALL).data]
    failing = upstream.fail_endpoints(share=0.3, seed=5, status=502)
    assert failing == upstream.fail_endpoints(share=0.3, seed=5, status=502)
    assert len(failing) == 4
    for _ in range(2):
        replies = {id: get(f"/models/{quote(id)}/endpoints").status for id in ids}
        assert {id for id, code in replies.items() if code == 502} == failing
        assert set(replies.values()) == {200, 502}
    upstream.heal()
    assert get(f"/models/{min(failing)}/endpoints").status == 200


def test_a_path_fails_as_told(upstream: Upstream, get: Browser) -> None:
    def legal_only(request: Request) -> Response | None:
        return status(500) if request.query.get("category") == "legal" else None

    upstream.fail(RANKINGS, legal_only)
    answers = [get(f"{RANKINGS}?category={category}").status for category in ("legal", "science")]
    assert answers == [500, 200]
    upstream.fail("/endpoints/*", status(503), times=2)
    assert [get("/endpoints/zdr").status for _ in range(3)] == [503, 503, 200]
    upstream.fail("/providers", b'{"data":[]}')
    assert get("/providers").json == {"data": []}
    upstream.serve(ok(b"{}"), "/providers")
    assert get("/providers").json == {}


# --- the wire


def test_a_connection_is_kept(upstream: Upstream, get: Browser) -> None:
    for path in ("/models", RANKINGS, "/nothing", "/models?limit=0", "/models/acme/atlas-2/endpoints"):
        get(path)
    assert (upstream.connections, len(upstream.requests)) == (1, 5)


def test_bodies_are_packed_where_accepted(get: Browser) -> None:
    plain, packed = get(LIST_ALL), get(LIST_ALL, **{"Accept-Encoding": "gzip, br"})
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert plain.headers["content-encoding"] is None


def test_the_largest_number_at_once(upstream: Upstream) -> None:
    together = threading.Barrier(4, timeout=20)

    def meet(request: Request) -> Response | None:
        together.wait()
        return None

    upstream.fail("/models/*", meet)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: Browser(upstream)("/models/count").status, range(4))) == {200}
    assert upstream.largest_at_once == 4
    assert len(upstream.arrivals("/models")) == 4


def test_a_delay_is_by_path(upstream: Upstream) -> None:
    """The long one is cut short by the end of the server."""
    upstream.delay(600, "/models/")
    upstream.delay(0.001, "/models/count")
    assert Browser(upstream)("/models/count").status == 200
    assert Browser(upstream)("/models").status == 200
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(Browser(upstream), "/models/a/b/endpoints")
        poll(lambda: upstream.arrivals("/models/a/"))
        upstream.close()
        assert waiting.exception(20) is not None or waiting.result().status == 404


def test_the_server_is_no_bottleneck() -> None:
    """421 endpoint requests over 8 connections take far less than the 2.6 s that 50 ms of delay each would add."""
    world = World.real()
    ids = [record["id"] for record in world.models][:421]
    with Upstream(world) as upstream:

        def fetch(part: list[str]) -> list[int]:
            get = Browser(upstream)
            return [get(f"/models/{id}/endpoints").status for id in part]

        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            parts = list(pool.map(fetch, [ids[start::8] for start in range(8)]))
        took = time.monotonic() - began
        assert [code for part in parts for code in part] == [200] * 421
        assert upstream.connections == 8
        assert upstream.largest_at_once <= 8
    assert took < 2.6


def test_by_hand() -> None:
    words = [sys.executable, "-m", "tests.upstream", "--key", "mine", "--delay", "0.001"]
    path = os.pathsep.join([str(PROJECT / "src"), str(PROJECT)])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "error"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        url, key = (process.stdout.readline().strip().partition("=") for _ in range(2))
        assert (url[0], key[0], key[2]) == ("export OPENROUTER_BASE_URL", "export OPENROUTER_API_KEY", "mine")
        connection = http.client.HTTPConnection(urlsplit(url[2]).netloc, timeout=20)
        connection.request("GET", f"{ROOT}/key", headers={"Authorization": "Bearer mine"})
        assert connection.getresponse().status == 200
        connection.close()
        process.terminate()
