"""What a stranger may try, and what a database may do: the service goes on for everybody else."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_openrouter import Response, catalog, model, ok
from tests.serving import Place, Served, place, serving
from tests.support import poll

ROOT = "/api/openrouter/sync"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    """A place whose upstream lists one model."""
    with place("sqlite", tmp_path) as found:
        found.fake.serve(ok(catalog(model("acme/one"))))
        yield found


def sent(served: Served, data: bytes, *, pieces: int = 1) -> bytes:
    """What comes back for raw bytes until the connection is closed."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        try:
            for _ in range(pieces):
                connection.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        found = b""
        try:
            while piece := connection.recv(65536):
                found += piece
        except (TimeoutError, ConnectionResetError):
            pass
        return found


def test_a_head_without_end_is_cut_off(here: Place) -> None:
    with serving(here.llmhive, SERVE_TIMEOUT_SECONDS=60) as served:
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ")
            connection.sendall(b"a" * 100_000)
            # the answer, or no connection any more, where it came while we sent
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(100).startswith(b"HTTP/1.1 431")
        assert served.get("/healthz").status_code == 200
        assert time.monotonic() - began < 30


def test_a_nul_in_a_path_is_no_mistake_of_ours(here: Place) -> None:
    with serving(here.llmhive) as served:
        for path in ("/api/models/%00/history", "/api/models/a%00", "/api/models/families%00"):
            assert served.get(path).status_code == 404, path
        assert served.post("/api/snapshots/%00/rollback").status_code == 404
        assert served.post("/api/snapshots", {"note": "a\x00b"}).status_code == 422
        assert not served.logged("Answer failed")


def test_who_hangs_up_is_no_mistake_of_ours(here: Place) -> None:
    with serving(here.llmhive) as served:
        head = b"POST /api/openrouter/sync HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 20\r\n\r\n{"
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
            connection.sendall(head)
        served.wait_for("Answered", status=499)
        assert not served.logged("Answer failed")


def test_a_body_that_does_not_come_is_answered(here: Place) -> None:
    with serving(here.llmhive, SERVE_TIMEOUT_SECONDS=0.5) as served:
        head = b"POST /api/openrouter/sync HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 20\r\n\r\n{"
        assert sent(served, head).startswith(b"HTTP/1.1 408")
        assert not served.logged("Answer failed")


def test_a_parameter_that_a_route_does_not_have_is_refused(here: Place) -> None:
    with serving(here.llmhive) as served:
        assert served.post(f"{ROOT}/blocking").json()["status"] == "completed"
        for path in (f"{ROOT}/blocking", f"{ROOT}", f"{ROOT}/research"):
            answer = served.client.post(f"{path}?dry_run=true")
            assert answer.status_code == 422
            assert "body" in answer.json()["detail"]
        answer = served.get("/api/changes", sinse="2026-01-01")
        assert (answer.status_code, answer.json()["detail"]) == (
            422, "sinse: there is no such parameter. Did you mean since?"
        )  # fmt: skip
        assert served.get(f"{ROOT}/runs").json()["total"] == 2  # with the bootstrap of its start


def test_a_blocking_caller_is_told_that_the_service_stops(here: Place) -> None:
    with serving(here.llmhive, is_stopped=False) as served:
        here.fake.serve(lambda _: Response(manner="silent"))
        request = b"POST /api/openrouter/sync/blocking HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"
        with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
            connection.sendall(request)
            served.wait_for("Requesting")
            served.process.send_signal(signal.SIGTERM)
            head = connection.recv(65536)
        assert head.startswith(b"HTTP/1.1 503"), head
        assert b"problem+json" in head
        served.stop()


def test_two_on_one_port_say_so(here: Place) -> None:
    with serving(here.llmhive) as served:
        second = here.llmhive.run("serve", "--port", str(served.port), "--no-schedule")
        assert second.code == 2
        assert f"port {served.port}" in second.stderr


def test_the_workers_settings_are_those_of_the_service(here: Place) -> None:
    """Whatever becomes of the .env they were read from."""
    settings = here.llmhive.folder / ".env"
    settings.write_text(f"DATABASE_URL={here.url}\n")
    here.llmhive.env.pop("DATABASE_URL")
    with serving(here.llmhive) as served:
        settings.write_text(f"DATABASE_URL=sqlite:///{here.llmhive.folder / 'other.db'}\n")
        assert served.post(f"{ROOT}/blocking").json()["models_seen"] == 1
        poll(lambda: served.get("/api/models").json()["total"] == 1)
    assert not (here.llmhive.folder / "other.db").exists()


@pytest.mark.long
def test_a_database_that_is_frozen_stops_nobody_else(tmp_path: Path) -> None:
    """It accepts connections and answers nothing, as when its machine is suspended."""
    with place("postgresql", tmp_path) as found, Frozen(found.url) as database:
        found.fake.serve(ok(catalog(model("acme/one"))))
        found.llmhive.env["DATABASE_URL"] = database.url
        with serving(found.llmhive, SERVE_TIMEOUT_SECONDS=1, is_stopped=False) as served:
            assert served.post(f"{ROOT}/blocking").json()["status"] == "completed"
            poll(lambda: served.get("/api/models").json()["total"] == 1)
            known = served.get(f"{ROOT}/status").json()
            database.freeze()
            assert served.get("/api/models/acme/one").status_code == 200
            assert served.get(f"{ROOT}/runs").status_code == 503
            for path in (ROOT, f"{ROOT}/blocking"):
                assert served.post(path, {"force": True}).status_code == 503, path
            found_status = served.get(f"{ROOT}/status").json()
            assert found_status["database_reachable"] is False
            assert found_status["models_in_catalog"] == known["models_in_catalog"]
            assert "llmhive_database_up 0.0" in served.get("/metrics").text
            poll(lambda: not served.get("/readyz").json()["database_reachable"])
            assert served.stop() < 12


class Frozen:
    """A way to a PostgreSQL server that can be stopped from passing anything on: a process that is suspended."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> Frozen:
        from sqlalchemy import make_url

        parsed = make_url(self._url)
        socket_folder = parsed.query.get("host")
        target = f"{socket_folder}/.s.PGSQL.{parsed.port or 5432}" if socket_folder else f"{parsed.host}:{parsed.port}"
        self._process = subprocess.Popen([*_RELAY, target], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        port = int(self._process.stdout.readline())
        query = {name: value for name, value in parsed.query.items() if name not in {"host", "port"}}
        self.url = parsed.set(host="127.0.0.1", port=port, query=query).render_as_string(hide_password=False)
        return self

    def freeze(self) -> None:
        """From now on nothing comes back."""
        self._process.send_signal(signal.SIGSTOP)
        # sending is not stopping
        os.waitpid(self._process.pid, os.WUNTRACED)

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


_RELAY_PROGRAM = """
import socket, sys, threading
def pump(a, b):
    try:
        while data := a.recv(65536): b.sendall(data)
    except OSError: pass
    finally:
        for s in (a, b):
            try: s.shutdown(socket.SHUT_RDWR)
            except OSError: pass
def serve(client):
    target = sys.argv[1]
    if target.startswith("/"):
        server = socket.socket(socket.AF_UNIX); server.connect(target)
    else:
        host, _, port = target.rpartition(":"); server = socket.create_connection((host, int(port)))
    threading.Thread(target=pump, args=(client, server), daemon=True).start()
    pump(server, client)
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
while True:
    client, _ = listening.accept()
    threading.Thread(target=serve, args=(client,), daemon=True).start()
"""
_RELAY = (sys.executable, "-c", _RELAY_PROGRAM)
