"""What a sync says, and what it never says."""

from __future__ import annotations

import json

import pytest

from tests.fake_openrouter import FakeOpenRouter, Request, Response, catalog, html_200, model, ok, rate_limited, status
from tests.support import Command, Result
from tests.support import dump as tables

POSTGRESQL_LATER = True

KEY = "sk-or-v1-fake-0123456789abcdef-not-a-real-key"
COMPONENT = "OpenRouter sync"


def check(result: Result) -> None:
    """Every line is JSON for the log filter; stdout is one document."""
    lines = result.stderr.splitlines()
    assert lines
    for line in lines:
        entry = json.loads(line)
        assert entry["component"] == COMPONENT
        assert entry["severity"] in {"INFO", "WARNING", "ERROR"}
        assert entry["message"]
        assert entry["time"].endswith("Z")
    assert isinstance(json.loads(result.stdout), dict)


def test_the_lines_of_a_sync(bare: Command, fake: FakeOpenRouter) -> None:
    fake.serve([rate_limited(0), ok(catalog(model("acme/one"), model("acme/two")))])
    result = bare.run("sync", "--json")
    check(result)
    assert result.messages[0] == "Starting OpenRouter sync"
    assert "Rate limited" in result.messages
    assert result.messages[-1] == "Synced 2 models"
    again = bare.run("sync", "--json")
    check(again)
    assert again.messages == ["Starting OpenRouter sync", "Sync skipped"]


def test_the_lines_of_a_failure(bare: Command, fake: FakeOpenRouter) -> None:
    fake.serve(status(401))
    result = bare.run("sync", "--json")
    check(result)
    assert (result.messages[0], result.messages[-1]) == ("Starting OpenRouter sync", "Sync failed")
    assert result.log[-1]["severity"] == "ERROR"


def test_the_lines_of_a_dry_run(bare: Command, fake: FakeOpenRouter) -> None:
    fake.serve(catalog(model("acme/one")))
    result = bare.run("sync", "--dry-run", "--json")
    check(result)
    assert (result.messages[0], result.messages[-1]) == ("Starting OpenRouter sync", "Dry run done")


def test_the_key_is_sent_and_never_shown(llmhive: Command, fake: FakeOpenRouter) -> None:
    def echo(response: Response) -> object:
        def answer(request: Request) -> Response:
            assert request.headers["authorization"] == f"Bearer {KEY}"
            return response

        return answer

    echoes = [
        status(401, json={"error": {"code": 401, "message": f"No user has the key {KEY}."}}),
        status(500, {"Retry-After": "0"}, {"error": {"message": f"Bearer {KEY}"}}),
        status(302, {"Location": f"https://elsewhere.invalid/?key={KEY}"}),
        status(200, json={"error": {"code": 500, "message": f"Bad key {KEY}"}}),
        ok(f'{{"data": "{KEY}"}}'.encode()),
        html_200(),
    ]
    for response in echoes:
        fake.serve([echo(response)])  # type: ignore[list-item]
        result = llmhive.run("sync", OPENROUTER_API_KEY=KEY, SYNC_TIMEOUT_SECONDS=1)
        assert result.code == 1, result
        assert KEY not in result.stdout + result.stderr
    for words in (["runs"], ["doctor", "--offline"]):
        result = llmhive.run(*words, "--json", OPENROUTER_API_KEY=KEY)
        assert KEY not in result.stdout + result.stderr
    assert KEY not in repr(tables(llmhive.env["DATABASE_URL"]))
    assert {request.headers["authorization"] for request in fake.requests} == {f"Bearer {KEY}"}


def test_the_key_does_not_follow_a_redirect_or_a_next_page_elsewhere(bare: Command, fake: FakeOpenRouter) -> None:
    with FakeOpenRouter(catalog(model("acme/one"))) as elsewhere:
        away = f"{elsewhere.base_url}/models"
        page = {"data": [model("acme/one")], "links": {"next": away}}
        for response in (status(307, {"Location": away}), ok(json.dumps(page).encode())):
            fake.serve(response)
            run = bare("sync", code=1, OPENROUTER_API_KEY=KEY, SYNC_TIMEOUT_SECONDS=2)
            assert run["status"] == "failed"
        assert elsewhere.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://fake:not-a-secret@127.0.0.1:1/fake",
        "postgresql://127.0.0.1:1/fake?user=fake&password=not-a-secret",
    ],
)
def test_the_databases_password_is_never_shown(url: str, bare: Command) -> None:
    for words in (["sync"], ["status"], ["doctor", "--offline"]):
        result = bare.run(*words, DATABASE_URL=url)
        assert result.code == 1, result
        assert "not-a-secret" not in result.stdout + result.stderr
        assert "Traceback" not in result.stderr
