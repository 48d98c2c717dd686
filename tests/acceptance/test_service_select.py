"""`POST /api/select` over real HTTP: the library's own answer, of what is known now and then, and what is no need."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from schemathesis import GenerationMode

from llmhive.app.http import select_shapes
from llmhive.app.http.select import Turns, read
from llmhive.app.http.service import Refusal
from llmhive.app.http.threads import Threads
from llmhive.app.library import Catalog
from llmhive.catalog.need import OBJECTIVES, Need
from llmhive.errors import DatabaseUnavailable
from tests.acceptance.test_schemathesis import check, operations
from tests.acceptance.test_service_reads import problem
from tests.fake_openrouter import Record, catalog, model
from tests.serving import Place, Served, asked, place, serving
from tests.support import DIALECTS, poll, postgresql_server, rows, sync_at
from tests.upstream import KEY, Upstream, World

NOW = datetime.now(UTC).replace(microsecond=0)
ROOT = "/api/openrouter/sync"
PASSWORD = "a-password-that-nobody-may-see"
#: Needs of the models of `World.small`: every objective, role and kind of constraint.
NEEDS: list[dict[str, Any]] = [
    {}, *({"objective": name} for name in OBJECTIVES), {"objective": {"quality": 1, "price": 2, "speed": 3.5}},
    {"task": "programming", "require": ["tools"]}, {"task": "agentic", "limit": 1}, {"role": "fast"},
    {"role": "cheap", "limit": 50}, {"role": "vision"}, {"role": "long-context"}, {"role": "coder", "zdr": True},
    {"role": "escalation", "of": "acme/atlas-1"}, {"role": "replacement", "of": "ACME/atlas-1", "lasting_days": 60},
    {"max_price_per_million": {"prompt": 0.5, "completion": "2.25"}, "usage": {"prompt": 120_000, "completion": 7}},
    {"usage": {"prompt_tokens": 5000, "completion_tokens": 90, "prompt_tokens_details": {"cached_tokens": 4000}}},
    {"allow": ["free", "batch", "router", "alias", "unpriced", "degraded"], "limit": 50},
    {"outputs": ["image"], "allow": ["unpriced"]}, {"require": ["embeddings"]},
    {"providers": ["azure", "deepinfra/fp8"], "min_uptime": 99, "exclude_providers": ["Nobody"]},
    {"quantizations": ["fp8", "unknown"], "max_latency": 1.5, "min_throughput": 20},
    {"models": ["acme/*", "borealis/aurora-mini"], "exclude": ["acme/atlas-2", "*:free"], "min_output": 1000},
    {"stick_to": "borealis/aurora-mini", "margin": 0.5}, {"min_context": 10**12},
]  # fmt: skip


def select(served: Served, /, **body: Any) -> dict[str, Any]:
    answer = served.post("/api/select", body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found: dict[str, Any] = answer.json()
    return found


def refused(served: Served, status: int, /, **body: Any) -> str:
    return str(problem(served.post("/api/select", body), status)["detail"])


# --- what research brought


@pytest.fixture(scope="module", params=DIALECTS)
def here(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A catalog with endpoints, rankings and benchmarks."""
    world = World.small(today=datetime.now(UTC).date())
    with place(request.param, tmp_path_factory.mktemp("select"), Upstream(world)) as found:
        found.llmhive("sync", "--research", OPENROUTER_API_KEY=KEY, SYNC_RANKINGS="1", SYNC_TIMEOUT_SECONDS="150")
        yield found


@pytest.fixture(scope="module")
def served(here: Place) -> Iterator[Served]:
    with serving(here.llmhive) as found:
        yield found


def test_it_answers_what_the_library_does(here: Place, served: Served) -> None:
    unknown = set()
    with Catalog.open(here.url) as library:
        status = library.status()
        for need in NEEDS:
            shortlist = library.select(Need.read(need))
            found = select(served, **need)
            assert 0 <= found.pop("catalog_age_seconds") < 600
            assert found.pop("source") == "openrouter"
            assert found == json.loads(json.dumps(shortlist.to_json())), need
            # everything about it is told, whatever is left out, and what is told can be asked again
            assert select(served, **found["need"])["choices"] == found["choices"]
            unknown |= {it["id"] for it in found["choices"] if it["endpoints"] is None}
            assert found["catalog_version"] == status["catalog_version"]
            assert bool(found["choices"]) is (found["request"] is not None) is (found["total"] > 0)
    # a router has none of its own
    assert unknown == {"openrouter/auto"}


def test_without_a_body_it_is_the_need_of_whoever_asks_nothing(served: Served) -> None:
    default = select(served)
    assert default["need"] == {}
    assert len(default["choices"]) == 5
    for content in (None, b"", b" \n", b'{"limit": null, "explain": null, "rejected": null}'):
        again = served.client.post("/api/select", content=content).json()
        assert again | {"catalog_age_seconds": 0} == default | {"catalog_age_seconds": 0}


def test_models_are_explained_by_the_names_that_were_asked_for(here: Place, served: Served) -> None:
    names = ["acme/atlas-2", "ATLAS-1", "borealis/echo", "acme/atlas-2:batch", "acme/unheard-of", "acme/atlas-2"]
    found = select(served, limit=1, explain=names)["explanations"]
    assert list(found) == list(dict.fromkeys(names))
    with Catalog.open(here.url) as library:
        shortlist = library.select(Need(limit=1))
        for name in names:
            if name != "acme/unheard-of":
                assert found[name] == json.loads(json.dumps(shortlist.explain(name).to_json()))
    assert found["acme/atlas-2"]["choice"] == select(served, limit=1)["choices"][0]
    assert found["ATLAS-1"]["id"] == "acme/atlas-1"
    assert not found["ATLAS-1"]["is_chosen"]
    assert (found["acme/atlas-2:batch"]["place"], found["acme/atlas-2:batch"]["choice"]) == (None, None)
    assert found["acme/unheard-of"].keys() == {"error"}
    assert found["acme/unheard-of"]["error"]["status"] == 404
    # in one shape with the command
    command = here.llmhive("select", "-n", "1", *(word for name in names for word in ("--explain", name)))
    assert command["explanations"] == found
    first, batch = found["acme/atlas-2"], found["acme/atlas-2:batch"]
    assert [it["qualifies"] for it in first["endpoints"]] == [True] * len(first["choice"]["endpoints"])
    assert (first["obstacles"], batch["obstacles"]) == ([], [batch["why"]])
    assert {it["id"] for it in found["ATLAS-1"]["flip_points"]} == {"acme/atlas-1"}
    assert "explanations" not in select(served, explain=[])


def test_who_is_rejected_is_left_out_where_nobody_wants_to_know(served: Served) -> None:
    whole = select(served)
    assert whole["rejected"]["acme/atlas-2:batch"] == "it serves batches only: allow `batch`"
    del whole["rejected"]
    found = select(served, rejected=False)
    assert found | {"catalog_age_seconds": 0} == whole | {"catalog_age_seconds": 0}
    assert select(served, rejected=True).keys() == whole.keys() | {"rejected"}


def test_replicas_answer_the_same(here: Place, served: Served) -> None:
    def told(by: Served, need: dict[str, Any]) -> bytes:
        answer = by.post("/api/select", need | {"explain": ["acme/atlas-1", "acme/atlas-2:free"]}).raise_for_status()
        # but for the age, byte for byte
        head, rest = answer.content.split(b",", 1)
        assert head.startswith(b'{"catalog_age_seconds":')
        return rest

    with serving(here.llmhive, PYTHONHASHSEED="7") as other:
        for need in NEEDS:
            assert told(served, need) == told(other, need), need


# --- now and then

DEAR, CHEAP, DEARER = ({"prompt": it, "completion": it} for it in ("0.000003", "0.000001", "0.00001"))
#: So many more that two new prices are not held.
OTHERS = [model(f"acme/other-{number}", pricing=DEARER) for number in range(12)]


def two(first: dict[str, str], second: dict[str, str], *more: Record) -> bytes:
    """What OpenRouter serves: two models at these prices, and dearer ones."""
    return catalog(model("acme/one", pricing=first), model("acme/two", pricing=second), *OTHERS, *more)


@pytest.fixture(params=DIALECTS)
def moving(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A catalog in which another model was the cheapest one until a day ago."""
    with place(request.param, tmp_path) as found:
        for ago, body in ((3, two(CHEAP, DEAR)), (1, two(DEAR, CHEAP))):
            found.fake.serve(body)
            assert sync_at(found.url, found.fake.base_url, NOW - timedelta(days=ago), force=True).status == "completed"
        yield found


def test_now_then_and_within_two_seconds_of_a_sync(moving: Place) -> None:
    then = (NOW - timedelta(days=2)).isoformat()
    with serving(moving.llmhive) as served, Catalog.open(moving.url) as library:
        now = select(served, objective="price")
        assert [it["id"] for it in now["choices"][:2]] == ["acme/two", "acme/one"]
        past = select(served, objective="price", as_of=then)
        assert [it["id"] for it in past["choices"][:2]] == ["acme/one", "acme/two"]
        assert past["as_of"] == (NOW - timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
        # how old the catalog is, which knows that
        assert 86_400 <= past.pop("catalog_age_seconds") < 2 * 86_400
        assert past.pop("source") == "openrouter"
        assert past == json.loads(json.dumps(library.select({"objective": "price"}, as_of=then).to_json()))
        day = (NOW - timedelta(days=1)).date().isoformat()
        assert select(served, as_of=day)["as_of"] == past["as_of"]
        assert "history begins" in refused(served, 422, as_of="2020-01-01")
        assert "future" in refused(served, 422, as_of="2222-01-01")

        # no more of them at once than there are turns, and all are served
        instants = [(NOW - timedelta(days=2, minutes=it)).isoformat() for it in range(8)]
        with ThreadPoolExecutor(8) as pool:
            many = list(pool.map(lambda at: select(served, as_of=at, objective="price"), instants))
        assert {it["choices"][0]["id"] for it in many} == {"acme/one"}

        before = select(served)
        moving.fake.serve(two(DEAR, CHEAP, model("acme/new", pricing={"prompt": "0.00000001", "completion": "0"})))
        assert sync_at(moving.url, moving.fake.base_url, datetime.now(UTC), force=True).status == "completed"
        began = time.monotonic()
        after = poll(lambda: found if (found := select(served, objective="price"))["total"] == 15 else {}, within=5)
        assert time.monotonic() - began < 2
        assert after["choices"][0]["id"] == "acme/new"
        assert after["catalog_version"] > before["catalog_version"]
        assert after["catalog_age_seconds"] < 60 < before["catalog_age_seconds"]


# --- what cannot be used


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with place("sqlite", tmp_path_factory.mktemp("plain")) as found:
        found.fake.serve(two(DEAR, CHEAP))
        sync_at(found.url, found.fake.base_url, datetime.now(UTC))
        with serving(found.llmhive, SERVE_MAX_BODY_KB=1000) as served:
            yield served


@pytest.mark.parametrize(
    ("need", "words"),
    [
        ({"requires": ["tools"]}, "requires: there is no such field; did you mean require?"),
        ({"As_Of": None}, "As_Of: there is no such field; did you mean as_of?"),
        ({"wholly": 1, "other": 2}, "other: there is no such field"),
        ({"max_price_per_million": {"promt": 1}}, "prompt"), ({"max_price_per_million": {"prompt": -1}}, "prompt"),
        ({"require": "tools"}, 'write ["tools"]'.replace('"', "'")), ({"require": ["toolz"]}, "near it: tools"),
        ({"require": [1]}, "require"), ({"task": "programing"}, "programming"), ({"role": "fastest"}, "fast"),
        ({"role": "escalation"}, "by of"), ({"of": "acme/one"}, "leave of out"), ({"objective": {}}, "weighs nothing"),
        ({"objective": "best"}, "quality"), ({"limit": 51}, "1 to 50"), ({"limit": True}, "limit"),
        ({"min_context": 1.5}, "min_context"), ({"min_context": 10**40}, "min_context"), ({"margin": 1.1}, "margin"),
        ({"zdr": "yes"}, "true or false"), ({"usage": {}}, "usage"), ({"usage": {"prompt": 0}}, "nothing to price"),
        ({"models": ["x"] * 101}, "101"), ({"models": ["x" * 201]}, "200"), ({"min_uptime": 101}, "min_uptime"),
        ({"as_of": "soon"}, "as_of: write a day"), ({"as_of": 5}, "as_of: write a text"),
        ({"explain": "acme/one"}, "explain is a list"), ({"explain": ["x"] * 21}, "21"), ({"explain": [""]}, "explain"),
        ({"explain": ["x" * 201]}, "200"), ({"explain": [None]}, "explain"), ({"rejected": 0}, "rejected is true"),
        ({"rejected": []}, "rejected is true"), ({"require": ["x" * 200] * 99 + ["y" * 199]}, "no model lists"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_told(plain: Served, need: dict[str, Any], words: str) -> None:
    detail = refused(plain, 422, **need)
    assert words in detail
    assert len(detail) < 1500


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"null", b"5", b"\xff\xfe", b"[" * 50_000, b'"' * 3, b'{"limit": 1e999}']
)
def test_a_body_that_is_none_is_refused(plain: Served, body: bytes) -> None:
    assert "Write a need" in problem(plain.client.post("/api/select", content=body), 422)["detail"]


def test_what_is_too_large_or_in_the_wrong_place_is_refused(plain: Served) -> None:
    # the service's own limit is higher
    fits = b'{"limit": 1}' + b" " * (select_shapes.MOST_EXPLAINED + 60_000)
    assert plain.client.post("/api/select", content=fits).status_code == 200
    for body in (b" " * 70_000, iter([b" " * 40_000, b" " * 40_000])):
        assert "64 KB" in problem(plain.client.post("/api/select", content=body), 413)["detail"]
    assert "limit" in problem(plain.post("/api/select", {}, limit=5), 422)["detail"]
    assert plain.get("/api/select").status_code == 405


def test_a_model_that_was_never_seen_is_no_place_to_start(plain: Served) -> None:
    assert "acme/one" in refused(plain, 404, role="escalation", of="acme/onne")
    # one that is only avoided or preferred may be gone: that is a note
    found = select(plain, exclude=["acme/won"], stick_to="acme/never")
    assert len(found["notes"]) >= 2
    assert {"acme/won", "acme/never"} <= {word.strip(",") for note in found["notes"] for word in note.split()}


def test_a_body_is_understood_as_need_and_what_stands_beside() -> None:
    found = read(b'{"limit": 3, "as_of": "2026-05-01", "explain": ["a", "b", "a"], "rejected": false}')
    assert found == (Need(limit=3), datetime(2026, 5, 1, tzinfo=UTC), ("a", "b"), False)
    assert read(b"") == (Need(), None, (), True)
    # exact, whatever is between 0.1 and its neighbours
    assert dict(read(b'{"max_price_per_million": {"prompt": 0.1}}').need.max_price_per_million) == dict(
        Need(max_price_per_million={"prompt": "0.1"}).max_price_per_million
    )
    with pytest.raises(Refusal):
        read(b'{"need": {}}')


def test_a_turn_lasts_until_its_thread_has_ended() -> None:
    async def main() -> None:
        turns, is_done = Turns(Threads(5), 1), threading.Event()

        def soon(seconds: float = 0.05) -> float:
            return time.monotonic() + seconds

        def wait() -> bytes:
            is_done.wait(30)
            return b"late"

        with pytest.raises(DatabaseUnavailable):
            await turns.run(soon(), wait)
        # nobody waits for it any more, and still it is at work
        with pytest.raises(Refusal):
            await turns.run(soon(), lambda: b"")
        is_done.set()
        assert await turns.run(soon(5), lambda: b"next") == b"next"
        with pytest.raises(ZeroDivisionError):
            await turns.run(soon(5), lambda: bytes(1 // 0))
        assert await turns.run(soon(5), lambda: b"again") == b"again"

    asyncio.run(main())


# --- where nothing, or no longer anything, is known


def test_before_the_first_sync_it_chooses_from_the_bootstrap(tmp_path: Path) -> None:
    with place("sqlite", tmp_path) as found, serving(found.llmhive) as served:
        answer = select(served, require=["tools"], rejected=False)
        assert (answer["source"], len(answer["choices"])) == ("bootstrap", 5)
        assert answer["as_of"] == served.get("/api/models").json()["as_of"]
        assert answer["catalog_age_seconds"] > 86_400
        assert all(it["endpoints"] is None for it in answer["choices"])


def test_without_a_database_nothing_is_known_and_no_password_told(tmp_path: Path) -> None:
    with place("sqlite", tmp_path) as found:
        found.llmhive.env["DATABASE_URL"] = f"postgresql+psycopg://me:{PASSWORD}@127.0.0.1:9/none"
        with serving(found.llmhive, SERVE_TIMEOUT_SECONDS=5) as served:
            for need in ({}, {"as_of": "2026-01-01"}):
                answer = served.post("/api/select", need)
                problem(answer, 503)
                assert int(answer.headers["retry-after"]) > 0
                assert PASSWORD not in answer.text
            # what cannot be read is told all the same
            refused(served, 422, limit=0)
            assert PASSWORD not in served.told()


def doubted(found: dict[str, Any]) -> list[str]:
    """The notes that say that it may be outdated."""
    return [it for it in found["notes"] if "the database does not answer" in it]


def test_it_goes_on_while_the_database_is_away_and_says_so(tmp_path: Path) -> None:
    from tests.acceptance.test_service_life import with_password
    from tests.app.test_live import execute_on

    with place("postgresql", tmp_path) as found:
        found.fake.serve(two(DEAR, CHEAP))
        sync_at(found.url, found.fake.base_url, NOW - timedelta(hours=1))
        server, name = postgresql_server(), found.url.rpartition("/")[2].partition("?")[0]
        found.llmhive.env["DATABASE_URL"] = with_password(found.url)
        with serving(found.llmhive, SERVE_TIMEOUT_SECONDS=3) as served:
            before = select(served)
            assert not doubted(before)
            execute_on(server, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            execute_on(server, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
            during = poll(lambda: it if doubted(it := select(served)) else {})
            assert during["choices"] == before["choices"]
            problem(served.post("/api/select", {"as_of": (NOW - timedelta(minutes=5)).isoformat()}), 503)
            execute_on(server, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
            assert poll(lambda: it if not doubted(it := select(served)) else {})["notes"] == before["notes"]
            assert PASSWORD not in json.dumps(during) + served.told()


# --- who may ask


def test_it_is_a_read_for_whoever_may_read(tmp_path: Path) -> None:
    secrets: dict[str, Any] = {
        "AUTH_READ_TOKEN": "r" * 32, "AUTH_TOKEN": "w" * 32, "OPENROUTER_API_KEY": KEY,
        "ALERT_WEBHOOK_SECRET": "a-signature-that-nobody-may-see",
    }  # fmt: skip
    away = {"Host": "catalog.example", "X-Forwarded-For": "203.0.113.9"}
    with place("sqlite", tmp_path) as found:
        found.fake.serve(two(DEAR, CHEAP))
        sync_at(found.url, found.fake.base_url, NOW - timedelta(hours=1))
        with serving(found.llmhive) as served:
            foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Host": "catalog.example"}
            assert served.client.post("/api/select", json={}, headers=foreign).status_code == 200
        with serving(found.llmhive, **secrets) as served:
            answers = [served.client.post("/api/select", content=it, headers=away) for it in (b"{}", b"{", b"")]
            for answer in answers:
                # before the body is read, whatever is in it
                problem(answer, 401)
            for token in ("r" * 32, "w" * 32):
                headers = {**away, "Authorization": f"Bearer {token}", "X-Request-Id": f"select-{token[0]}"}
                for body in ({}, {"explain": ["acme/one", "acme/none"]}, {"nope": 1}, {"as_of": "2020-01-01"}):
                    answers.append(served.client.post("/api/select", json=body, headers=headers))
                assert [it.status_code for it in answers[-4:]] == [200, 200, 422, 422]
            line = served.wait_for("Answered", request="select-r")
            assert (line["method"], line["path"], line["status"]) == ("POST", "/api/select", 200)
            told = [*served.lines, *(it.text + str(dict(it.headers)) for it in answers)]
            assert not any(secret in text for secret in secrets.values() for text in told)
        assert rows(found.url, "SELECT count(*) AS runs FROM sync_run") == [{"runs": 1}]


def test_it_is_counted_as_other_reads(plain: Served) -> None:
    # whatever content type it says
    status, _, _ = asked(plain, "/api/select", "POST", {"Content-Type": "text/plain"}, json.dumps({"limit": 1}))
    assert status == 200
    assert 'llmhive_http_requests_total{method="POST",route="/api/select",status="200"}' in plain.get("/metrics").text


# --- its description


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_whatever_is_asked_the_answer_is_one_that_is_described(served: Served, mode: GenerationMode) -> None:
    [found] = [it for it in operations(served, reading=False) if it.path == "/api/select"]
    check(found, mode, 40)


def test_the_description_has_every_field_and_what_it_is_by_default() -> None:
    fields = {
        it.name: it.default for it in dataclasses.fields(Need) if it.init and it.default is not dataclasses.MISSING
    }
    assert list(select_shapes.OF_NEED) == list(fields)
    described = select_shapes.body_schema()["content"]["application/json"]["schema"]["properties"]
    assert list(described) == [*fields, "as_of", "explain", "rejected"]
    assert all(it["description"] for it in described.values())
    for name, default in fields.items():
        told = described[name]["default"]
        assert told == default or (not told and not default) or (name, told) == ("objective", "value"), name
    whole = {name: it["default"] for name, it in described.items()}
    assert read(json.dumps(whole).encode()) == (Need(objective="value"), None, (), True)


def test_the_description_says_what_is_answered(served: Served) -> None:
    document = served.get("/openapi.json").json()
    operation = document["paths"]["/api/select"]["post"]
    assert operation["security"][0] == {}
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    assert len(examples) > 2
    for example in examples.values():
        assert served.post("/api/select", example["value"]).status_code in {200, 404, 422}
        read(json.dumps(example["value"]).encode())
    shapes = document["components"]["schemas"]

    def described(found: dict[str, Any], name: str) -> None:
        assert set(shapes[name]["required"]) <= found.keys() <= set(shapes[name]["properties"]), name
        assert shapes[name]["additionalProperties"] is False

    for body in ({}, {"limit": 2, "explain": ["acme/atlas-2", "acme/none"], "rejected": False}):
        found = select(served, **body)
        described(found, "Shortlist")
        described(found["choices"][0], "Choice")
        described(found["choices"][0]["endpoints"][0], "ChoiceEndpoint")
        described(found["flip_points"][0], "FlipPoint")
        described(found["request"], "ReadyRequest")
        assert isinstance(found["request_notes"], list)
    described(found["explanations"]["acme/atlas-2"], "Explanation")
    described(found["explanations"]["acme/atlas-2"]["endpoints"][0], "EndpointFit")
    described(found["explanations"]["acme/none"], "NoExplanation")
    described(shapes["Shortlist"]["example"], "Shortlist")
