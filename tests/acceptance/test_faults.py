"""Whatever OpenRouter answers, the last good catalog stays: one fault each, then a good answer."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests import support
from tests.fake_openrouter import (
    FakeOpenRouter,
    Response,
    bad_gzip,
    catalog,
    cut,
    dump,
    error_200,
    html_200,
    model,
    never,
    ok,
    rate_limited,
    raw,
    reset,
    slow,
    status,
)
from tests.support import Command, sync_at
from tests.support import dump as tables

POSTGRESQL_LATER = True

GOOD = [model(f"acme/model-{number}") for number in range(12)]
BODY = catalog(*GOOD)
NEXT = catalog(*GOOD, model("acme/next"))


@dataclass(frozen=True)
class Fault:
    """What is served, and a word of the reason that must be given."""

    name: str
    served: Response
    reason: str
    requests: int | None = 1  #: how many are sent; None: as many as fit into the time


def refused(code: int, message: str) -> Response:
    return status(code, json={"error": {"code": code, "message": message}})


FAULTS = [
    Fault("html 200", html_200(), "HTML", None),
    Fault("error 200", error_200("Fake trouble inside"), "Fake trouble inside", None),
    Fault("cut", cut(BODY, len(BODY) // 2), "cut short", None),
    Fault("cut, chunked", cut(BODY, len(BODY) // 2, chunked=True), "cut short", None),
    Fault("cut, gzip", cut(BODY, 200, gzip=True), "cut short", None),
    Fault("cut, but complete to HTTP", ok(BODY[: len(BODY) // 2]), "JSON", None),
    Fault("empty body", ok(b""), "JSON", None),
    Fault("bad gzip", bad_gzip(), "", None),
    Fault("gzip that ends early", bad_gzip(truncated=True), "", None),
    Fault("not JSON", ok(b"catalog: [acme/one]"), "JSON", None),
    Fault("JSON, but a list", ok(dump(GOOD)), "JSON", None),
    Fault("JSON, but data is an object", ok(dump({"data": {"id": "acme/one"}})), "", None),
    Fault("JSON, but data is null", ok(dump({"data": None})), "", None),
    Fault("not HTTP", raw(b"SSH-2.0-fake\r\n"), "", None),
    Fault("reset", reset(), "", None),
    Fault("400", refused(400, "Fake bad request"), "400"),
    Fault("401", refused(401, "Fake user not found"), "401"),
    Fault("402", refused(402, "Fake credits are gone"), "402"),
    Fault("403", refused(403, "Fake region"), "403"),
    Fault("404", refused(404, "Fake nothing here"), "404"),
    Fault("redirect", status(302, {"Location": "https://elsewhere.invalid/"}), "redirect"),
    Fault("503 for ever", status(503, {"Retry-After": "0"}), "503", 5),
    Fault("429 for ever", rate_limited(0), "429", 5),
    Fault("429 for an hour", rate_limited(3600), "3600 s"),
    Fault("silent", never(), "", 1),
    Fault("a drip", slow(BODY, 40, 0.2), "SYNC_TIMEOUT_SECONDS", 1),
]


def seed(llmhive: Command, fake: FakeOpenRouter) -> None:
    """A good sync two hours ago."""
    fake.serve(BODY)
    run = sync_at(llmhive.env["DATABASE_URL"], fake.base_url, datetime.now(UTC) - timedelta(hours=2))
    assert run.status == "completed"


def state(llmhive: Command) -> dict[str, Any]:
    return tables(llmhive.env["DATABASE_URL"], without=("sync_run", "alert"))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_bad_answer_changes_nothing(
    fault: Fault, llmhive: Command, fake: FakeOpenRouter, dialect: support.Dialect
) -> None:
    # what OpenRouter does wrong is not a matter of the database: each is tried on one of them
    if FAULTS.index(fault) % 2 != support.DIALECTS.index(dialect):
        pytest.skip("tried on the other database")
    seed(llmhive, fake)
    before, sent = state(llmhive), len(fake.requests)
    fake.serve(fault.served)

    result = llmhive.run("sync", "--json", SYNC_TIMEOUT_SECONDS=2)

    run = result.json
    assert result.code == 1, result
    assert run["status"] == "failed"
    assert fault.reason in run["error"]
    assert run["error"].strip()
    assert "\n" not in run["error"]
    assert "Traceback" not in result.stderr
    assert result.messages[-1] == "Sync failed"
    assert result.log[-1]["error"] == run["error"]
    assert any("last good catalog" in note for note in run["notes"])
    if fault.requests is not None:
        assert len(fake.requests) - sent == fault.requests
    assert state(llmhive) == before

    # the interval is not used up: without --force, the next one works
    fake.serve(NEXT)
    again = sync_at(llmhive.env["DATABASE_URL"], fake.base_url, datetime.now(UTC))
    assert (again.status, again.added, again.unchanged) == ("completed", 1, len(GOOD))


RECOVERING: list[tuple[str, Sequence[Response], str]] = [
    ("429", [rate_limited(0), ok(NEXT)], "Rate limited"),
    ("503", [status(503, {"Retry-After": "0"}), status(503, {"Retry-After": "0"}), ok(NEXT)], "Retrying"),
    ("cut", [cut(NEXT, 100), ok(NEXT)], "Retrying"),
    ("html", [html_200(), ok(NEXT)], "Retrying"),
]


@pytest.mark.parametrize(("served", "said"), [row[1:] for row in RECOVERING], ids=[row[0] for row in RECOVERING])
def test_a_fault_that_passes_is_retried(
    served: Sequence[Response], said: str, llmhive: Command, fake: FakeOpenRouter
) -> None:
    fake.serve(served)
    result = llmhive.run("sync", "--json")
    assert result.code == 0, result
    assert (result.json["status"], result.json["added"]) == ("completed", len(GOOD) + 1)
    assert said in result.messages
    assert len(fake.requests) == len(served)


def test_after_a_failure_people_are_told_in_a_line(llmhive: Command, fake: FakeOpenRouter) -> None:
    seed(llmhive, fake)
    fake.serve(refused(401, "Fake user not found"))
    result = llmhive.run("sync")
    assert result.code == 1
    assert result.stdout.startswith("Sync failed")
    assert "401" in result.stdout
    status = llmhive("status")
    assert (status["last_sync_status"], status["models_in_catalog"]) == ("failed", len(GOOD))
    assert "401" in status["last_error"]
    assert status["last_success_time"] < status["last_sync_time"]


def test_a_port_where_nobody_listens_fails_within_15_seconds(llmhive: Command) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else gets it
        started = time.monotonic()
        result = llmhive.run(
            "sync", "--json", OPENROUTER_BASE_URL=f"http://127.0.0.1:{unused.getsockname()[1]}/api/v1",
            SYNC_TIMEOUT_SECONDS=300,
        )  # fmt: skip
        took = time.monotonic() - started
    assert result.code == 1
    assert took < 17  # the process itself included
    assert "127.0.0.1" in result.json["error"]
    assert "\n" not in result.json["error"]


def test_a_database_that_cannot_be_opened_is_said_in_a_line(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(BODY)
    (llmhive.folder / "no-folder").write_text("a file where a folder should be")
    for url in (
        "postgresql://fake:not-a-secret@127.0.0.1:1/fake",
        f"sqlite:///{llmhive.folder}/no-folder/llmhive.db",
    ):
        result = llmhive.run("sync", "--json", DATABASE_URL=url)
        assert result.code == 1, result
        assert result.stdout == ""
        assert result.stderr.splitlines()[-1].startswith("llmhive: ")
        assert "Traceback" not in result.stderr
        assert "not-a-secret" not in result.stderr
    assert fake.requests == []


@pytest.mark.parametrize("words", ["sync", "status", "models", "doctor --offline", "migrate"])
def test_a_file_that_is_no_database_is_said_in_a_line(words: str, bare: Command) -> None:
    (bare.folder / "junk.db").write_bytes(b"this is not a database at all " * 100)
    result = bare.run(*words.split(), DATABASE_URL=f"sqlite:///{bare.folder / 'junk.db'}")
    assert result.code == 1, result
    assert "junk.db" in result.stdout + result.stderr
    assert "Traceback" not in result.stderr
