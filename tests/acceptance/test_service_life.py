"""How `serve` starts, stops, keeps strangers and slow clients out, and tells nobody's secrets."""

from __future__ import annotations

import json
import select
import shutil
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from llmhive.store.database import connect
from tests.acceptance.test_service import Gate
from tests.acceptance.test_service_reads import problem
from tests.fake_openrouter import FakeOpenRouter, catalog, model, never, ok, status
from tests.serving import ENDS_WITHIN, Served, asked, serving
from tests.support import Command, execute, poll, rows, sqlite_template, sync_at

ROOT = "/api/openrouter/sync"
MODELS = [model(f"acme/model-{number:02}") for number in range(20)]
#: Once a year: never due while a test runs.
SELDOM = "0 0 1 1 *"


def url(llmhive: Command) -> str:
    return llmhive.env["DATABASE_URL"]


@pytest.fixture
def synced(llmhive: Command, fake: FakeOpenRouter) -> Command:
    """The command, with a catalog of an hour ago."""
    fake.serve(catalog(*MODELS))
    database = connect(url(llmhive))
    database.migrate()
    database.close()
    sync_at(url(llmhive), fake.base_url, datetime.now(UTC) - timedelta(hours=1))
    return llmhive


@pytest.fixture
def synced_bare(bare: Command, fake: FakeOpenRouter, tmp_path: Path) -> Command:
    """The same on SQLite only, for what does not ask which database."""
    bare.env["DATABASE_URL"] = f"sqlite:///{tmp_path / 'llmhive.db'}"
    shutil.copy(sqlite_template(), tmp_path / "llmhive.db")
    fake.serve(catalog(*MODELS))
    sync_at(url(bare), fake.base_url, datetime.now(UTC) - timedelta(hours=1))
    return bare


# --- start


def test_without_a_network_the_bootstrap_is_served_until_a_sync_works(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(status(403))
    with serving(llmhive) as served:
        page = served.get("/api/models").json()
        assert page["total"] > 100
        for path in ("/api/models", f"/api/models/{page['data'][0]['id']}", "/api/models/families", "/api/snapshots",
                     "/api/changes?since=2026-01-01", f"{ROOT}/runs", f"{ROOT}/status"):  # fmt: skip
            found = served.client.get(path).json()
            assert (found["source"], found["catalog_age_seconds"] > 0) == ("bootstrap", True), path
        assert "bootstrap" in served.get("/").text
        assert served.get("/readyz").json()["status"] == "ready"
        assert 'openrouter_catalog_source{source="bootstrap"} 1.0' in served.get("/metrics").text
        problem(served.get(f"/api/models/{page['data'][0]['id']}/history"), 404)

        assert problem(served.post(f"{ROOT}/blocking"), 502)["run"]["status"] == "failed"
        assert served.get("/api/models").json()["data"] == page["data"]
        fake.serve(catalog(*MODELS))
        assert served.post(f"{ROOT}/blocking").json()["status"] == "completed"
        replaced = poll(lambda: found if (found := served.get("/api/models").json())["source"] != "bootstrap" else None)
        assert replaced is not None
        assert (replaced["source"], replaced["total"]) == ("openrouter", len(MODELS))
        assert replaced["catalog_version"] > page["catalog_version"]
        assert "bootstrap" not in served.get("/").text


def test_where_nobody_could_write_it_does_not_start(bare: Command) -> None:
    result = bare.run("serve", "--port", "0", "--host", "0.0.0.0")
    assert (result.code, result.stdout) == (2, ""), result
    assert "AUTH_TOKEN" in result.stderr
    assert "Traceback" not in result.stderr
    assert "AUTH_OIDC_ACCOUNTS" in bare.run("serve", "--port", "0", AUTH_OIDC_AUDIENCE="https://a.example").stderr


def test_a_port_in_use_is_said(bare: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = bare.run("serve", "--no-schedule", PORT=port)
    assert (result.code, result.stdout) == (2, ""), result
    assert f"port {port}" in result.stderr
    assert "Set PORT" in result.stderr
    assert "Traceback" not in result.stderr


# --- the embedded schedule


def test_a_sync_that_is_due_is_made_at_the_start(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(catalog(*MODELS))
    with serving(llmhive, has_schedule=True, SYNC_SCHEDULE=SELDOM, RESEARCH_SCHEDULE=SELDOM) as served:
        served.wait_for(f"Synced {len(MODELS)} models")
        run = poll(
            lambda: found[0] if (found := rows(url(llmhive), "SELECT * FROM sync_run WHERE kind = 'regular'")) else {}
        )
        assert run["trigger"] == "scheduler"
        assert served.get(f"{ROOT}/status").json()["schedule"] == "embedded"


def test_a_sync_that_is_not_due_is_not_made(synced_bare: Command, fake: FakeOpenRouter) -> None:
    before = len(fake.requests)
    with serving(synced_bare, has_schedule=True, SYNC_SCHEDULE=SELDOM, RESEARCH_SCHEDULE=SELDOM) as served:
        began = time.monotonic()
        # longer than its random wait
        poll(lambda: time.monotonic() > began + 1.5)
        assert served.logged("Starting OpenRouter sync") == []
    assert len(rows(url(synced_bare), "SELECT id FROM sync_run")) == 1
    assert len(fake.requests) == before


def test_a_sync_that_was_missed_is_made_up_for(synced: Command, fake: FakeOpenRouter) -> None:
    minutes = (datetime.now(UTC) - timedelta(minutes=30)).minute
    schedule = f"{minutes} * * * *"
    with serving(synced, has_schedule=True, SYNC_SCHEDULE=schedule, RESEARCH_SCHEDULE=SELDOM) as served:
        poll(lambda: len(rows(url(synced), "SELECT id FROM sync_run WHERE status = 'unchanged'")) == 1)
        assert served.logged("Starting OpenRouter sync", trigger="scheduler")


# --- stop


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_within_seconds_and_a_sync_in_flight_is_marked(
    synced: Command, fake: FakeOpenRouter, how: signal.Signals
) -> None:
    with serving(synced, is_stopped=False) as served:
        fake.serve(never())
        run_id = served.post(ROOT, {"force": True}).json()["id"]
        poll(lambda: len(fake.requests) > 1)
        assert served.stop(how) < ENDS_WITHIN
        assert served.process.returncode == 128 + how
        assert served.logged("Stopping")
        assert "Traceback" not in served.told()
    [run] = rows(url(synced), "SELECT status FROM sync_run WHERE id = :id", id=run_id)
    assert run["status"] == "interrupted"
    # nothing is left of it that would hold up the next
    fake.serve(catalog(*MODELS))
    assert synced("sync", "--force")["status"] in {"completed", "unchanged"}


def test_a_sync_that_is_nearly_done_is_finished(synced: Command, fake: FakeOpenRouter) -> None:
    gate = Gate(catalog(*MODELS, model("acme/new")))
    with serving(synced, is_stopped=False) as served, ThreadPoolExecutor(1) as pool:
        fake.serve(gate)
        run_id = served.post(ROOT, {"force": True}).json()["id"]
        assert gate.asked.acquire(timeout=20)
        stopping = pool.submit(served.stop)
        served.wait_for("Stopping")
        gate.opened.set()
        assert stopping.result() < ENDS_WITHIN
    [run] = rows(url(synced), "SELECT status FROM sync_run WHERE id = :id", id=run_id)
    assert run["status"] == "completed"


# --- limits, with a server that has small ones

SMALL: dict[str, Any] = {
    "SERVE_TIMEOUT_SECONDS": 1,
    "SERVE_MAX_REQUESTS": 3,
    "SERVE_MAX_BODY_KB": 1,
    "SYNC_TIMEOUT_SECONDS": 3,
}


def closed_after(served: Served, sent: bytes, drip: bytes) -> float:
    """Seconds until the server hangs up on who sends something, and then a byte of `drip` every tenth of a second."""
    began = time.monotonic()
    left = list(drip)
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(sent)
        while time.monotonic() < began + 10:
            readable, _, _ = select.select([connection], [], [], 0.1)
            try:
                if readable and not connection.recv(4096):
                    return time.monotonic() - began
                if left:
                    connection.send(bytes([left.pop(0)]))
            except ConnectionError:
                return time.monotonic() - began
    raise AssertionError("it did not hang up")


def test_whoever_is_too_slow_too_many_or_too_large_is_turned_away(synced_bare: Command, fake: FakeOpenRouter) -> None:
    with serving(synced_bare, **SMALL) as served:
        head = f"POST {ROOT} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n".encode()
        slow: list[tuple[bytes, bytes]] = [
            (b"", b""),
            (b"GET /api/models HT", b""),
            (head, b""),
            (head + b"Content-Length: 500\r\n\r\n{", b""),
            (b"", b"GET /api/models HTTP/1.1\r\nX-Slow: " + b"x" * 100),
            (head + b"Content-Length: 500\r\n\r\n", b" " * 100),
            (head + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 20),
        ]
        with ThreadPoolExecutor(len(slow)) as pool:
            for seconds in pool.map(lambda it: closed_after(served, *it), slow):
                assert 0.5 < seconds < 4
        # readers are answered all the same, and nothing was begun
        assert served.get("/api/models").json()["total"] == len(MODELS)
        assert len(rows(url(synced_bare), "SELECT id FROM sync_run")) == 1

        large = b" " * 1025
        problem(served.client.post(ROOT, content=large), 413)
        problem(served.client.post(ROOT, content=iter([large])), 413)

        fake.serve(never())
        # more than it takes, since our own looks at it count as well
        with ThreadPoolExecutor(5) as pool:
            began = time.monotonic()
            waiting = [pool.submit(served.post, f"{ROOT}/blocking", {"force": True}) for _ in range(5)]
            refused = poll(lambda: found if (found := served.get("/healthz")).status_code == 503 else None)
            assert refused is not None
            assert "Too many requests" in problem(refused, 503)["detail"]
            assert int(refused.headers["retry-after"]) > 0
            # reads from memory cost nothing
            assert served.get("/api/models").status_code == 200
            # the upstream hangs: at the end of the budget they are told so
            told = [it.result(30) for it in waiting]
            assert {it.status_code for it in told} <= {502, 503}
            assert any(it.status_code == 502 and it.json()["run"]["status"] == "failed" for it in told)
            assert time.monotonic() - began < 10
        assert served.get("/healthz").status_code == 200


def test_under_cloud_run_a_scheduler_waits_for_the_end(synced_bare: Command, fake: FakeOpenRouter) -> None:
    fake.serve(catalog(*MODELS, model("acme/new")))
    with serving(synced_bare, K_SERVICE="llmhive") as served:
        found = asked(
            served, ROOT, "POST", {"X-CloudScheduler": "true", "Content-Type": "application/octet-stream"}, b""
        )
        run = json.loads(found[2])
        assert (found[0], run["status"], run["trigger"], run["added"]) == (200, "completed", "scheduler", 1)
        assert served.post(ROOT, {"force": True}).status_code == 202


def test_reads_from_memory_are_logged_if_that_is_wanted(synced_bare: Command) -> None:
    with serving(synced_bare, SERVE_LOG_READS=1) as served:
        etag = served.get("/api/models").headers["etag"]
        for known, wanted in ((etag, 304), ('"other"', 200)):
            headers = {"If-None-Match": known, "X-Request-Id": f"read-{wanted}"}
            assert served.client.get("/api/models", headers=headers).status_code == wanted
            assert served.wait_for("Answered", request=f"read-{wanted}")["status"] == wanted


def test_a_mistake_of_ours_is_a_problem_and_told_to_the_log_only(synced_bare: Command) -> None:
    execute(url(synced_bare), "UPDATE sync_run SET plan = '5'")
    with serving(synced_bare) as served:
        for number in range(2):
            answer = served.client.get(f"{ROOT}/runs/1", headers={"X-Request-Id": f"oh-{number}"})
            assert "TypeError" not in problem(answer, 500)["detail"]
            # the connection goes on
            assert served.get("/healthz").status_code == 200
            assert "TypeError" in served.wait_for("Answer failed", request=f"oh-{number}")["error"]
            assert served.wait_for("Answered", request=f"oh-{number}")["status"] == 500


# --- credentials

TOKEN, READ_TOKEN = "write-0123456789abcdef", "read-0123456789abcdef"
SECRETS = {
    "AUTH_TOKEN": TOKEN,
    "AUTH_READ_TOKEN": READ_TOKEN,
    "OPENROUTER_API_KEY": "sk-or-v1-a-key-that-nobody-may-see",
    "ALERT_URLS": "http://127.0.0.1:9/a-hook-that-nobody-may-see",
    "ALERT_WEBHOOK_SECRET": "a-signature-that-nobody-may-see",
}
PASSWORD = "a-password-that-nobody-may-see"


def with_password(database_url: str) -> str:
    """The same database; the server here trusts whoever comes, so any password will do."""
    from sqlalchemy import make_url

    parts = make_url(database_url)
    if parts.get_backend_name() == "sqlite":
        return database_url
    return parts.set(password=PASSWORD).render_as_string(hide_password=False)


def test_tokens_let_in_and_secrets_stay_secret(synced: Command, fake: FakeOpenRouter) -> None:
    answers: list[Any] = []
    env: dict[str, Any] = SECRETS | {"DATABASE_URL": with_password(url(synced))}
    with serving(synced, "--host", "0.0.0.0", **env) as served:
        served.client.event_hooks = {"response": [answers.append]}
        document = served.client.get("/openapi.json")
        reads = [path for path, found in document.json()["paths"].items() if "get" in found]
        named = {"{id}": "acme/model-01", "{run_id}": "1", "{name}": "x"}
        for path in [*reads, "/"]:
            for placeholder, name in named.items():
                path = path.replace(placeholder, name)  # noqa: PLW2901
            is_open = path in {"/healthz", "/readyz"}
            for given in ({}, {"Authorization": "Bearer wrong-0123456789abcdef"}, {"Authorization": f"Basic {TOKEN}"}):
                answer = served.client.get(path, headers=given)
                if is_open:
                    assert answer.status_code == 200, path
                else:
                    problem(answer, 401)
                    assert answer.headers["www-authenticate"] == "Bearer"
            for token in (TOKEN, READ_TOKEN):
                answer = served.client.get(path, headers={"Authorization": f"Bearer {token}"})
                assert answer.status_code == 200, path
        for method, path in (
            ("POST", ROOT), ("POST", f"{ROOT}/blocking"), ("POST", f"{ROOT}/research"),
            ("POST", f"{ROOT}/runs/1/accept"), ("POST", "/api/snapshots"),
            ("POST", "/api/snapshots/x/rollback"), ("DELETE", "/api/pin"),
        ):  # fmt: skip
            for given in ({}, {"Authorization": f"Bearer {READ_TOKEN}"}, {"Authorization": f"Bearer {TOKEN}x"}):
                problem(served.client.request(method, path, headers=given), 401)
        assert len(rows(url(synced), "SELECT id FROM sync_run")) == 1

        served.client.headers["Authorization"] = f"Bearer {TOKEN}"
        assert served.post(ROOT).status_code in {200, 202}
        for answered in (status(403), ok(b"<html>"), catalog(*MODELS[:5]), catalog(*MODELS)):
            fake.serve(answered)
            served.post(f"{ROOT}/blocking", {"force": True})
        served.client.get("/api/models", params={"text": TOKEN, "sort": READ_TOKEN})
        served.get(f"{ROOT}/status")
        served.get("/")
        served.get("/metrics")
        assert served.client.delete("/api/pin").status_code == 200
    told = [*served.lines, *(answer.text for answer in answers), *(str(dict(answer.headers)) for answer in answers)]
    assert len(answers) > 60
    written = {READ_TOKEN, TOKEN}
    for secret in (*SECRETS.values(), PASSWORD):
        for text in told:
            # what a caller wrote in a query comes back to that caller only
            assert secret not in text or (secret in written and f"not '{secret}'" in text), text[:500]
    assert not any(secret in line for secret in (*SECRETS.values(), PASSWORD) for line in served.lines)


# --- a database that is away


def test_reads_go_on_while_the_database_is_away(synced: Command, fake: FakeOpenRouter) -> None:
    if url(synced).startswith("sqlite"):
        pytest.skip("of PostgreSQL only: a file does not go away")
    from tests.app.test_live import execute_on
    from tests.support import postgresql_server

    server, name = postgresql_server(), url(synced).rpartition("/")[2].partition("?")[0]
    with serving(synced, SERVE_TIMEOUT_SECONDS=3) as served:
        before = served.get("/api/models").json()
        served.get(f"{ROOT}/status")
        execute_on(server, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        execute_on(server, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        poll(lambda: not served.get("/readyz").json()["database_reachable"])
        found = served.get("/readyz")
        assert (found.status_code, found.json()["status"]) == (200, "ready")
        assert served.get("/api/models").json()["data"] == before["data"]
        assert served.get("/api/models/acme/model-01").status_code == 200
        assert served.get(f"{ROOT}/status").json()["database_reachable"] is False
        assert "llmhive_database_up 0.0" in served.get("/metrics").text
        assert "does not answer" in served.get("/").text
        assert "only what is in memory can be shown" in served.get("/models/acme/model-01").text
        assert served.get("/catalog.csv").status_code == served.get("/sign-in").status_code == 200
        began = time.monotonic()
        page = served.client.get("/rankings", headers={"accept": "text/html"})
        assert (page.status_code, "does not answer" in page.text) == (503, True)
        # nobody waits for what is known to be away
        assert time.monotonic() - began < 2
        for path in (
            f"{ROOT}/runs",
            "/api/changes?since=2026-01-01",
            "/api/snapshots",
            "/api/models/acme/model-01/history",
        ):
            problem(served.client.get(path), 503)
        for path in (ROOT, f"{ROOT}/blocking", "/api/snapshots"):
            answer = served.post(path)
            problem(answer, 503)
            assert int(answer.headers["retry-after"]) > 0
        execute_on(server, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        poll(lambda: served.get("/readyz").json()["database_reachable"])
        fake.serve(catalog(*MODELS, model("acme/after")))
        assert served.post(f"{ROOT}/blocking", {"force": True}).json()["added"] == 1
        poll(lambda: served.get("/api/models/acme/after").status_code == 200, within=3)
