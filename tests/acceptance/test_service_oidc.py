"""Cloud Scheduler's call: an empty body and a token that Google signed, over real HTTP, to two replicas."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest

from tests.app.http.test_auth import BASE, OIDC, KeyServer, World, rsa_key
from tests.fake_openrouter import catalog, model, ok
from tests.serving import Place, Served, place, serving
from tests.support import DIALECTS, rows

SYNC = "/api/openrouter/sync"


@pytest.fixture
def keys() -> Iterator[KeyServer]:
    """Plays Google's keys."""
    found = KeyServer()
    yield found
    found.close()


@pytest.fixture(params=DIALECTS)
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A place whose upstream lists one model."""
    with place(request.param, tmp_path) as found:
        found.fake.serve(ok(catalog(model("acme/one"))))
        yield found


def scheduled(served: Served, token: str | None, path: str = f"{SYNC}/blocking") -> httpx2.Response:
    """A call of Cloud Scheduler; it comes through Google's front end, so not from this machine."""
    headers = {
        "X-CloudScheduler": "true", "X-CloudScheduler-JobName": "llmhive-regular",
        "User-Agent": "Google-Cloud-Scheduler", "X-Forwarded-For": "203.0.113.9",
        "Content-Type": "application/octet-stream",
        **({} if token is None else {"Authorization": f"Bearer {token}"}),
    }  # fmt: skip
    return served.client.post(path, headers=headers, content=b"")


def test_a_call_of_cloud_scheduler_syncs_and_no_other_does(here: Place, keys: KeyServer) -> None:
    google = World(keys.url, datetime.now(UTC))
    good, later = google.token(), google.token(iat=-1)
    hour = 3600
    bad = {
        "none": None,
        "another issuer": google.token(iss="https://issuer.example"),
        "another service": google.token(aud="https://other.example"),
        "another path": google.token(aud=f"{BASE}/api/snapshots"),
        "another account": google.token(email="someone@project.iam.gserviceaccount.com"),
        "unverified": google.token(email_verified=False),
        "an unknown key": google.token(key="new"),
        "a key of the same name": jwt.encode(google.claims(), rsa_key("new"), "RS256", {"kid": "old"}),
        "no algorithm": jwt.encode(google.claims(), "", "none", {"kid": "old"}),
        "expired": google.token(iat=-2 * hour, exp=-hour),
        "from the future": google.token(iat=hour, exp=2 * hour),
        "oversized": good + "a" * 9000,
    }
    env: dict[str, Any] = {**OIDC, "AUTH_OIDC_KEYS_URL": keys.url}
    with serving(here.llmhive, **env) as one, serving(here.llmhive, **env) as other:
        refused = {name: scheduled(one, token) for name, token in bad.items()}
        assert {name: it.status_code for name, it in refused.items()} == dict.fromkeys(bad, 401)
        # the same short answer, whatever is wrong
        assert len({it.json()["detail"] for it in refused.values()}) == 1
        assert [it for it in rows(here.url, "SELECT kind FROM sync_run") if it["kind"] == "regular"] == []

        answer = scheduled(one, good)
        assert (answer.status_code, answer.json()["status"], answer.json()["trigger"]) == (
            200,
            "completed",
            "scheduler",
        )
        # a replay, at this replica and at the other
        assert [scheduled(it, good).status_code for it in (one, other)] == [401, 401]
        # the next attempt of Cloud Scheduler has a new one, for the whole URL as is its default
        answer = scheduled(other, google.token(aud=f"{BASE}{SYNC}/research", iat=-2), f"{SYNC}/research")
        assert answer.status_code == 202
        assert scheduled(other, later).json()["status"] == "skipped"
        logs = "".join((*one.lines, *other.lines))
    for token in (good, later, *filter(None, bad.values())):
        for part in token.split("."):
            assert not part or part not in logs
    assert "Refused a credential" in logs


def test_new_keys_are_fetched_and_strangers_cannot_make_us_fetch(here: Place, keys: KeyServer) -> None:
    google = World(keys.url, datetime.now(UTC))
    env: dict[str, Any] = {**OIDC, "AUTH_OIDC_KEYS_URL": keys.url}
    with serving(here.llmhive, **env) as served:
        assert scheduled(served, google.token()).status_code == 200
        began = time.monotonic()
        for number in range(50):
            assert scheduled(served, google.token(kid=f"made-up-{number}")).status_code == 401
        # one at the start, and one more each half minute at most
        assert keys.asked <= 2 + (time.monotonic() - began) / 30
