"""The routes that write, over real HTTP, and how syncs and readers meet."""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from llmhive.app.openrouter import accept, rollback
from llmhive.catalog.gate import Limits
from llmhive.store.database import connect
from tests.acceptance.test_service_reads import problem
from tests.fake_openrouter import FakeOpenRouter, Record, Request, Response, catalog, model, ok, status
from tests.serving import Place, Served, asked, place, serving
from tests.support import DIALECTS, dump, poll, rows, runner_at, sync_at

ROOT = "/api/openrouter/sync"
MODELS = [model(f"acme/model-{number:02}") for number in range(40)]


def listing(*records: Record, count: int = 40) -> bytes:
    return catalog(*MODELS[:count], *records)


def body_of(document: Record) -> bytes:
    return json.dumps(document).encode()


def serve_research(fake: FakeOpenRouter) -> None:
    """What a research sync without a key asks for beside the model list."""
    fake.serve(body_of({"data": [{"name": "Acme", "slug": "acme"}]}), "/providers")
    fake.serve(body_of({"data": [{"model_id": MODELS[0]["id"], "tag": "acme"}]}), "/endpoints/zdr")
    for record in MODELS:
        fake.serve(body_of({"data": {"id": record["id"], "endpoints": []}}), f"/models/{record['id']}/endpoints")


@pytest.fixture(scope="module", params=DIALECTS)
def here(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(request.param, tmp_path_factory.mktemp("writes")) as found:
        yield found


def settle(here: Place) -> int:
    """The models of `listing()`, nothing held or pinned, synced just now; returns the catalog's version."""
    here.fake.serve(listing())
    database = connect(here.url)
    rollback.unpin(database)
    run = sync_at(here.url, here.fake.base_url, datetime.now(UTC), force=True)
    if run.status == "held":
        run = accept.accept(runner_at(database, datetime.now(UTC)), run.id or 0, Limits(), trigger="test")
    database.close()
    assert run.status in {"completed", "unchanged"}, run
    return int(rows(here.url, "SELECT catalog_version FROM catalog_state")[0]["catalog_version"])


@pytest.fixture(scope="module")
def running(here: Place) -> Iterator[Served]:
    """A server that is written to; whatever was done to it."""
    settle(here)
    with serving(here.llmhive) as found:
        yield found


@pytest.fixture
def served(here: Place, running: Served) -> Served:
    """A server that was used, but now is as after `settle`."""
    version = settle(here)
    poll(lambda: running.get("/api/models", limit=1).json()["catalog_version"] == version)
    return running


_numbers = itertools.count(1)


def unheard() -> str:
    """The id of a model that there never was."""
    return f"acme/new-{next(_numbers)}"


class Gate:
    """An answer of the fake that waits until it is opened."""

    def __init__(self, body: bytes) -> None:
        self.opened = threading.Event()
        self.asked = threading.Semaphore(0)
        self._body = body

    def __call__(self, request: Request) -> Response:
        self.asked.release()
        assert self.opened.wait(30)
        return ok(self._body)


def ended(served: Served, run_id: int) -> dict[str, Any]:
    """A run once it has ended."""

    def look() -> dict[str, Any]:
        run: dict[str, Any] = served.get(f"{ROOT}/runs/{run_id}").json()
        return {} if run["status"] == "running" else run

    return poll(look)


# --- syncs


def test_a_sync_goes_on_in_the_background(here: Place, served: Served) -> None:
    gate = Gate(listing(model(name := unheard())))
    here.fake.serve(gate)
    answer = served.post(ROOT, {"force": True})
    assert answer.status_code == 202
    run = answer.json()
    assert (run["status"], run["kind"], run["trigger"], run["dry_run"]) == ("running", "regular", "http", False)
    assert answer.headers["location"] == f"{ROOT}/runs/{run['id']}"
    assert answer.headers["cache-control"] == "no-store"
    # it is in the database before the answer
    [stored] = rows(here.url, "SELECT status FROM sync_run WHERE id = :id", id=run["id"])
    assert stored["status"] == "running"
    assert served.get(f"{ROOT}/status").json()["running"]["id"] == run["id"]
    gate.opened.set()
    assert ended(served, run["id"]).items() >= {"status": "completed", "added": 1}.items()
    poll(lambda: served.get(f"/api/models/{name}").status_code == 200, within=2)


def test_however_many_ask_one_run_does_it(here: Place, served: Served) -> None:
    gate, before = Gate(listing()), len(here.fake.requests)
    here.fake.serve(gate)
    with ThreadPoolExecutor(12) as pool:
        waiting = [pool.submit(served.post, f"{ROOT}/blocking", {"force": True}) for _ in range(4)]
        asked = [pool.submit(served.post, ROOT, {"force": True}) for _ in range(8)]
        answers = [it.result(30) for it in asked]
        assert {it.status_code for it in answers} == {202}
        [run_id] = {it.json()["id"] for it in answers}
        assert not any(it.done() for it in waiting)
        gate.opened.set()
        finished = [it.result(30) for it in waiting]
    assert {(it.status_code, it.json()["id"], it.json()["status"]) for it in finished} == {(200, run_id, "unchanged")}
    assert len(here.fake.requests) - before == 1


def test_a_run_that_is_over_is_not_joined(served: Served) -> None:
    last = 0
    for _ in range(3):
        run_id = served.post(ROOT, {"force": True}).json()["id"]
        assert run_id > last
        last = run_id
        assert ended(served, run_id)["status"] == "unchanged"


def test_within_the_interval_it_is_skipped_and_says_when_it_is_due(here: Place, served: Served) -> None:
    before, requests = dump(here.url), len(here.fake.requests)
    last = served.get(f"{ROOT}/runs", limit=1).json()["data"][0]
    for path in (ROOT, f"{ROOT}/blocking"):
        answer = served.post(path)
        assert answer.status_code == 200
        run = answer.json()
        assert (run["status"], run["id"]) == ("skipped", None)
        wait = datetime.fromisoformat(run["due_at"]) - datetime.fromisoformat(last["started_at"])
        assert wait.total_seconds() == 30 * 60
    assert (dump(here.url), len(here.fake.requests)) == (before, requests)


def test_a_dry_run_says_what_would_be_and_writes_nothing(here: Place, served: Served) -> None:
    before = dump(here.url)
    here.fake.serve(listing(model(name := unheard()), count=39))
    for path in (ROOT, f"{ROOT}/blocking", f"{ROOT}/research"):
        answer = served.post(path, {"dry_run": True})
        assert answer.status_code == 200, answer.text
        run = answer.json()
        assert (run["id"], run["dry_run"], run["status"], run["added"], run["deactivated"]) == (
            None, True, "completed", 1, 1
        )  # fmt: skip
        assert {(it["id"], it["what"]) for it in run["plan"]} == {
            (name, "added"), ("acme/model-39", "deactivated"),
        }  # fmt: skip
    # what the gate would hold is an answer, not an error
    here.fake.serve(listing(count=10))
    answer = served.post(ROOT, {"dry_run": True})
    assert (answer.status_code, answer.json()["status"]) == (200, "held")
    here.fake.serve(status(403))
    problem(served.post(ROOT, {"dry_run": True}), 502)
    assert dump(here.url) == before


def test_a_regular_sync_waits_for_research_once(here: Place, served: Served) -> None:
    serve_research(here.fake)
    gate = Gate(listing())
    here.fake.serve(gate)
    research = served.post(f"{ROOT}/research", {"force": True})
    assert (research.status_code, research.json()["kind"]) == (202, "research")
    run_id = research.json()["id"]
    queued = [served.post(ROOT, {"force": True}) for _ in range(3)]
    for answer in queued:
        assert answer.status_code == 202
        assert answer.json() == {"status": "queued", "kind": "regular", "waits_for": run_id}
    assert served.post(f"{ROOT}/research", {"force": True}).json()["id"] == run_id
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(served.post, f"{ROOT}/blocking", {"force": True})
        gate.opened.set()
        finished = waiting.result(30).json()
    assert (finished["kind"], finished["status"]) == ("regular", "unchanged")
    after = [it for it in served.get(f"{ROOT}/runs").json()["data"] if it["id"] >= run_id]
    assert [(it["id"], it["kind"], it["status"]) for it in after] == [
        (finished["id"], "regular", "unchanged"), (run_id, "research", "completed"),
    ]  # fmt: skip
    assert datetime.fromisoformat(after[0]["started_at"]) >= datetime.fromisoformat(after[1]["finished_at"])


def test_research_may_be_waited_for(here: Place, served: Served) -> None:
    serve_research(here.fake)
    answer = served.post(f"{ROOT}/research?blocking=true", {"force": True})
    assert (answer.status_code, answer.json()["kind"]) == (200, "research")
    assert answer.json()["status"] in {"completed", "unchanged"}
    # it has an interval of its own
    assert served.post(f"{ROOT}/research").json()["status"] == "skipped"


def test_a_failed_sync_is_a_bad_gateway_and_the_last_good_catalog_stays(here: Place, served: Served) -> None:
    for answered in (status(403), ok(b'{"data": 5}')):
        here.fake.serve(answered)
        found = problem(served.post(f"{ROOT}/blocking", {"force": True}), 502)
        assert found["run"]["status"] == "failed"
        assert found["detail"] == found["run"]["error"]
        assert served.get("/api/models").json()["total"] == 40
    assert served.get(f"{ROOT}/status").json()["last_error"] == found["detail"]
    here.fake.serve(listing())
    # a failed run does not use up the interval, but the one before did
    assert served.post(f"{ROOT}/blocking").json()["status"] == "skipped"


def test_what_the_gate_held_is_a_conflict_and_may_be_accepted(here: Place, served: Served) -> None:
    here.fake.serve(listing(count=20))
    found = problem(served.post(f"{ROOT}/blocking", {"force": True}), 409)
    run = found["run"]
    assert run["status"] == "held"
    assert served.get(f"{ROOT}/status").json()["held"] == 1
    assert served.get("/api/models").json()["total"] == 40
    verdicts = served.get(f"{ROOT}/runs/{run['id']}").json()["verdicts"]
    assert "removal" in {it["rule"] for it in verdicts}
    accepted = served.post(f"{ROOT}/runs/{run['id']}/accept")
    assert accepted.status_code == 200
    assert accepted.json().items() >= {"status": "completed", "deactivated": 20, "trigger": "http"}.items()
    poll(lambda: served.get("/api/models").json()["total"] == 20, within=2)
    assert served.get(f"{ROOT}/status").json()["held"] == 0
    for run_id, code in ((run["id"], 409), (accepted.json()["id"], 409), (10**9, 404)):
        problem(served.post(f"{ROOT}/runs/{run_id}/accept"), code)
    problem(served.post(f"{ROOT}/runs/x/accept"), 422)


# --- snapshots


def test_back_to_a_snapshot_and_stay_there(here: Place, served: Served) -> None:
    name = f"good-{len(rows(here.url, 'SELECT name FROM snapshot'))}"
    taken = served.post("/api/snapshots", {"name": name, "note": "before the change"})
    assert taken.status_code == 201
    assert taken.json().items() >= {"name": name, "models": 40, "note": "before the change"}.items()
    problem(served.post("/api/snapshots", {"name": name}), 409)
    assert served.post("/api/snapshots").json()["name"].startswith("at-20")

    def believed() -> list[dict[str, Any]]:
        return [row for row in dump(here.url)["model_catalog"] if row["id"] != other]

    here.fake.serve(listing(model(other := unheard()), count=39))
    good = believed()
    assert served.post(f"{ROOT}/blocking", {"force": True}).json()["added"] == 1

    before = dump(here.url)
    planned = served.post(f"/api/snapshots/{name}/rollback", {"dry_run": True})
    assert (planned.status_code, planned.json()["id"]) == (200, None)
    assert {(it["id"], it["what"]) for it in planned.json()["plan"]} == {
        (other, "deactivated"), ("acme/model-39", "reactivated"),
    }  # fmt: skip
    assert dump(here.url) == before

    done = served.post(f"/api/snapshots/{name}/rollback", {"pin": True}).json()
    assert (done["kind"], done["status"], done["trigger"]) == ("rollback", "completed", "http")
    assert believed() == good
    listed = {it["name"]: it["is_pinned"] for it in served.get("/api/snapshots").json()["data"]}
    assert (listed[name], listed[f"before-run-{done['id']}"]) == (True, False)
    assert served.get(f"{ROOT}/status").json()["pinned"] == name
    assert served.post(f"{ROOT}/blocking", {"force": True}).status_code == 200
    assert believed() == good
    for wanted in (name, None):
        unpinned = served.client.delete("/api/pin")
        assert (unpinned.status_code, unpinned.json()) == (200, {"was_pinned_to": wanted})
    assert served.post(f"{ROOT}/blocking", {"force": True}).json()["deactivated"] == 1


def test_snapshots_that_there_are_not(served: Served) -> None:
    problem(served.post("/api/snapshots/never/rollback"), 404)
    for body in ({"name": "1st"}, {"name": "a/b"}, {"name": ""}, {"note": "x" * 501}, {"nme": "x"}):
        problem(served.post("/api/snapshots", body), 422)


# --- bodies


@pytest.mark.parametrize(
    "body",
    ["{", "[]", '"force"', "force=true", '{"force": 1}', '{"force": "true"}', '{"forse": true}', '{"dry_run": null}',
     "\ufeff{}", "NaN", '{"force": true}}', "[" * 5000],
)  # fmt: skip
def test_a_body_that_cannot_be_used_is_refused(here: Place, running: Served, body: str) -> None:
    before = len(rows(here.url, "SELECT id FROM sync_run"))
    for path in (ROOT, f"{ROOT}/blocking", f"{ROOT}/research"):
        found = problem(running.client.post(path, content=body), 422)
        assert "force, dry_run" in found["detail"]
    assert len(rows(here.url, "SELECT id FROM sync_run")) == before


def test_what_is_too_large_is_refused_with_and_without_a_length(served: Served) -> None:
    large = b" " * (64 * 1024) + b"{}"
    problem(served.client.post(ROOT, content=large), 413)
    # without Content-Length: in chunks
    problem(served.client.post(ROOT, content=iter([large[:50_000], large[50_000:]])), 413)
    status_, _, body = asked(served, ROOT, "POST", {"Content-Length": str(10**9)})
    assert (status_, json.loads(body)["status"]) == (413, 413)
    # what just fits is read
    assert served.client.post(ROOT, content=large[2:]).json()["status"] == "skipped"


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
     {"Sec-Fetch-Site": "same-site"}],
)  # fmt: skip
def test_foreign_pages_may_not_write(here: Place, running: Served, headers: dict[str, str]) -> None:
    before = dump(here.url)
    for method, path in (
        ("POST", ROOT), ("POST", f"{ROOT}/blocking"), ("POST", f"{ROOT}/research"), ("POST", f"{ROOT}/runs/1/accept"),
        ("POST", "/api/snapshots"), ("POST", "/api/snapshots/x/rollback"), ("DELETE", "/api/pin"),
    ):  # fmt: skip
        problem(running.client.request(method, path, headers=headers), 403)
    assert dump(here.url) == before
    assert running.client.get("/api/models", headers=headers).status_code == 200


def test_every_route_that_writes_is_among_those(running: Served) -> None:
    found = {
        (method.upper(), path)
        for path, methods in running.get("/openapi.json").json()["paths"].items()
        for method in methods
        if method != "get" and path not in {"/api/cost", "/api/select"}  # reads that need a body
    }
    assert found == {
        ("POST", ROOT), ("POST", f"{ROOT}/blocking"), ("POST", f"{ROOT}/research"),
        ("POST", f"{ROOT}/runs/{{run_id}}/accept"), ("POST", "/api/snapshots"),
        ("POST", "/api/snapshots/{name}/rollback"), ("DELETE", "/api/pin"),
    }  # fmt: skip


# --- curl


CURL: list[tuple[list[str], tuple[int, str]]] = [
    (["-X", "POST"], (200, "skipped")),
    (["-X", "POST", "-H", "Content-Type: application/json"], (200, "skipped")),
    (["-X", "POST", "-d", ""], (200, "skipped")),
    (["-X", "POST", "-H", "Content-Type: application/json", "-d", '{"dry_run": true}'], (200, "unchanged")),
    (["-X", "POST", "-H", "Content-Type: application/json", "-d", '{"dry_run": false}'], (200, "skipped")),
    # curl's own content type: application/x-www-form-urlencoded
    (["-d", '{"dry_run": true}'], (200, "unchanged")),
    (["--json", '{"force": true, "dry_run": true}'], (200, "unchanged")),
    (["-X", "POST", "-d", "", "-H", "X-CloudScheduler: true"], (200, "skipped")),
    (["-X", "POST", "-H", "Content-Type: application/octet-stream", "-H", "X-CloudScheduler: true"], (200, "skipped")),
    (["-d", '{"force": true}'], (202, "running")),
]


def test_curl_as_people_write_it(served: Served) -> None:
    for words, wanted in CURL:
        found = subprocess.run(
            ["curl", "-sS", "--noproxy", "*", "-w", "\n%{http_code}", *words, served.url + ROOT],
            check=True, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        body, _, code = found.stdout.rpartition("\n")
        run = json.loads(body)
        assert (int(code), run["status"]) == wanted, words
        assert run["trigger"] == ("scheduler" if "X-CloudScheduler: true" in words else "http")
        if code == "202":
            ended(served, run["id"])


def test_curl_reads(served: Served) -> None:
    for path in (f"{ROOT}/status", f"{ROOT}/runs", "/api/models", "/api/models/acme/model-01", "/metrics", "/healthz"):
        subprocess.run(
            ["curl", "-sS", "--fail", "--noproxy", "*", served.url + path],
            check=True, capture_output=True, timeout=30,
        )  # fmt: skip


# --- what is told


def test_a_sync_logs_the_request_that_asked_for_it(here: Place, served: Served) -> None:
    here.fake.serve(listing(model(unheard())))
    answer = served.client.post(f"{ROOT}/blocking", json={"force": True}, headers={"X-Request-Id": "asked-for-it"})
    run = answer.json()
    assert answer.headers["x-request-id"] == "asked-for-it"
    served.wait_for("Answered", request="asked-for-it")
    lines = [it for it in served.log if it["component"] == "OpenRouter sync" and it.get("request") == "asked-for-it"]
    messages = [it["message"] for it in lines]
    assert messages[0] == "Starting OpenRouter sync"
    assert messages[-1] == "Synced 41 models"
    assert {it["run"] for it in lines if "run" in it} == {run["id"]}
    assert "run" in lines[-1]


def test_metrics_move_with_what_happens(here: Place, served: Served) -> None:
    def value(name: str) -> float:
        lines = served.get("/metrics").text.splitlines()
        [found] = [line for line in lines if line.startswith(f"{name} ")]
        return float(found.partition(" ")[2])

    errors = value("openrouter_sync_errors")
    assert errors == rows(here.url, "SELECT count(*) AS n FROM sync_run WHERE status = 'failed'")[0]["n"]
    here.fake.serve(status(403))
    run = served.post(f"{ROOT}/blocking", {"force": True}).json()["run"]
    assert value("openrouter_sync_errors") == errors + 1
    assert value("openrouter_sync_duration") == run["duration_seconds"]
    here.fake.serve(listing(model(unheard())))
    run = served.post(f"{ROOT}/blocking", {"force": True}).json()
    assert value("openrouter_models_added") == run["added"]
    assert value("openrouter_models_total") == 41
    assert value("openrouter_sync_duration") == run["duration_seconds"]
    assert value("openrouter_catalog_version") == run["catalog_version"]


# --- readers while syncs happen


def test_what_another_process_synced_is_served_at_once(here: Place, served: Served) -> None:
    for name in (unheard(), unheard()):
        here.fake.serve(listing(model(name)))
        run = here.llmhive("sync", "--force")
        assert run["status"] == "completed"
        poll(
            lambda wanted=run["catalog_version"]: served.get("/api/models").json()["catalog_version"] == wanted,  # type: ignore[misc]
            within=2 if here.dialect == "postgresql" else 1,
        )
        assert served.get(f"/api/models/{name}").status_code == 200


@pytest.mark.long
def test_a_reader_never_sees_a_mix_of_versions(here: Place, served: Served) -> None:
    stop = threading.Event()
    seen: list[tuple[int, set[str]]] = []

    def read() -> None:
        last = 0
        while not stop.is_set():
            found = served.get("/api/models").json()
            assert found["catalog_version"] >= last
            last = found["catalog_version"]
            seen.append((last, {row["name"] for row in found["data"]}))

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        for number in range(3):
            here.fake.serve(catalog(*(it | {"name": f"Generation {number}"} for it in MODELS)))
            run = served.post(f"{ROOT}/blocking", {"force": True}).json()
            assert run["changed"] == len(MODELS)
        poll(lambda: seen[-1][1] == {"Generation 2"}, within=3)
        stop.set()
        for reader in readers:
            reader.result(10)
    changed = [(version, names) for version, names in seen if "Generation" in "".join(names)]
    assert all(len(names) == 1 for _, names in changed)
    assert len({version for version, _ in changed}) == len({"".join(names) for _, names in changed})
