"""How the catalog is looked after: what the gate holds back and why, and what became of alerts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llmhive.app.library import Catalog
from llmhive.app.settings import read
from llmhive.catalog.alert import Channel, Event, channel_of
from llmhive.errors import NotFound
from llmhive.store import alerts, runs
from llmhive.store.database import Database
from tests.fake_openrouter import Record, catalog, model
from tests.support import Live

START = datetime(2026, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
OTHERS = [model(f"acme/other-{number:02}") for number in range(40)]
DUE = "2026-06-01T12:00:00Z"


def one(prompt: str = "0.000001", **more: Any) -> Record:
    return model("acme/one", pricing={"prompt": prompt, "completion": "0.0000015"}, **more)


@pytest.fixture
def opened(database_url: str) -> Iterator[Catalog]:
    with Catalog.open(database_url, settings=read({}, Path("none"))) as found:
        yield found


@pytest.fixture
def live(database: Database) -> Live:
    return Live(database)


def test_a_missing_database_reads_as_empty(tmp_path: Path) -> None:
    with Catalog.open(f"sqlite:///{tmp_path / 'none.db'}", settings=read({}, Path("none"))) as found:
        assert (found.held(), found.findings(), found.alert_deliveries()) == ([], [], [])
        assert found.changes(START) == []
        for ask in (found.findings, lambda name: found.changes(START, model=name), found.share_history):
            with pytest.raises(NotFound, match="The catalog is empty"):
                ask("acme/one")
    assert list(tmp_path.iterdir()) == []


def test_why_a_price_is_held(live: Live, opened: Catalog) -> None:
    live(START, catalog(*OTHERS, one()))
    assert (opened.held(), opened.findings()) == ([], [])
    live(START + 6 * HOUR, catalog(*OTHERS, one("0.00000001")))
    [held] = opened.held()
    [found] = opened.findings("acme/one")
    assert held == {
        "id": "acme/one", "field": "pricing.prompt", "believed": "0.000001", "served": "0.00000001",
        "since": "2026-06-01T06:00:00Z", "rule": "price_fall", "reason": found["reason"], "run_id": found["run_id"],
    }  # fmt: skip
    assert found.pop("reason") == "acme/one: pricing.prompt fell from 0.000001 to 0.00000001"
    assert found.pop("evidence")["before"] == "0.000001"
    assert found == {
        "run_id": 2, "at": "2026-06-01T06:00:00Z", "rule": "price_fall", "outcome": "held", "model_id": "acme/one",
        "field": "pricing.prompt",
    }  # fmt: skip
    # a second sync says the same
    live(START + 12 * HOUR, catalog(*OTHERS, one("0.00000001")))
    assert opened.held() == []
    both = opened.findings("ACME/One")
    assert [(it["run_id"], it["outcome"]) for it in both] == [(3, "released"), (2, "held")]
    assert opened.findings(limit=1) == both[:1]
    assert opened.findings() == both
    assert opened.findings("acme/other-01") == []
    with pytest.raises(NotFound, match="No model 'acme/on' was ever seen"):
        opened.findings("acme/on")


def test_the_reason_of_what_is_held_is_the_newest(live: Live, opened: Catalog) -> None:
    live(START, catalog(*OTHERS, one(context_length=4096)))
    live(START + 6 * HOUR, catalog(*OTHERS, one("0.00000001", context_length=None, top_provider={"context_length": 0})))
    live(START + 12 * HOUR, catalog(*OTHERS, one("0.00000002", context_length=4096)))
    [held] = opened.held()
    assert (held["field"], held["served"], held["run_id"]) == ("pricing.prompt", "0.00000002", 3)
    assert held["since"] == "2026-06-01T12:00:00Z"
    assert "to 0.00000002" in held["reason"]
    whole = opened.findings("acme/one")
    assert [it["run_id"] for it in whole] == sorted((it["run_id"] for it in whole), reverse=True)
    assert {it["field"] for it in whole if it["run_id"] == 2} == {"pricing.prompt", "context_length"}


def test_a_run_that_is_held_is_found_among_all(live: Live, opened: Catalog) -> None:
    live(START, catalog(*OTHERS, one()))
    live(START + 6 * HOUR, catalog(*OTHERS[:20]))
    [found] = opened.findings()
    assert (found["rule"], found["outcome"], found["model_id"], found["field"]) == ("removal", "held", None, None)
    assert opened.findings("acme/one") == opened.held() == []


def test_changes_of_one_model(live: Live, opened: Catalog) -> None:
    bodies = [catalog(*OTHERS, one()), catalog(*OTHERS, one("0.0000009"), model("acme/new"))]
    for number, body in enumerate([bodies[0], bodies[1], bodies[1]]):
        live(START + 6 * number * HOUR, body)
    whole = opened.changes(START)
    assert [(it["model_id"], it["what"]) for it in whole] == [("acme/new", "added"), ("acme/one", "repriced")]
    assert opened.changes(START, model="acme/ONE") == [whole[1]]
    assert opened.changes(START, START + 6 * HOUR, model="acme/one") == []
    assert opened.changes(START, model="acme/other-01") == []
    with pytest.raises(NotFound, match="No model 'acme/none' was ever seen"):
        opened.changes(START, model="acme/none")


def test_what_became_of_alerts(database: Database, opened: Catalog) -> None:
    noon = START + 12 * HOUR
    secret = channel_of("https://user:s3cr3t@hooks.example.com/services/T0/s3cr3t")
    slack = Channel("2" * 16, "slack")
    sure = (Event("new", "acme/new", {"name": "New"}), Event("run_held"))
    with database.write() as connection:
        for number in range(2):
            now = noon + number * HOUR
            found = runs.claim(connection, "regular", trigger="t", owner="t", now=now, interval=None)
            assert isinstance(found, runs.Claimed)
            events = [*sure, Event("removed", "acme/gone")] if number == 0 else [sure[1]]
            alerts.write(connection, found.run_id, events, now=now, channels=(secret, slack))
            runs.end(connection, found.run_id, "completed", now=now)
        due = alerts.next_due(connection, [secret.digest], noon)
        assert due is not None
        alerts.delivered(connection, due, now=noon + HOUR)
        due = alerts.next_due(connection, [slack.digest], noon)
        assert due is not None
        alerts.failed(connection, due, "HTTP 500", due_at=noon + 2 * HOUR)
    listed = opened.alert_deliveries()
    told = [{"kind": "new", "model_id": "acme/new"}, {"kind": "run_held", "model_id": None}]
    same = {"created_at": DUE, "told": told, "run_id": 1, "attempts": 1}
    assert listed[3] == same | {
        "channel": "https://hooks.example.com", "state": "delivered", "error": None,
        "delivered_at": "2026-06-01T13:00:00Z", "due_at": None,
    }  # fmt: skip
    assert listed[2] == same | {
        "channel": "slack", "state": "pending", "error": "HTTP 500", "delivered_at": None,
        "due_at": "2026-06-01T14:00:00Z",
    }  # fmt: skip
    assert [(it["run_id"], it["channel"], it["attempts"]) for it in listed[:2]] == [
        (2, "slack", 0), (2, "https://hooks.example.com", 0),
    ]  # fmt: skip
    assert listed[0]["told"] == [told[1]]
    assert opened.alert_deliveries(limit=1) == listed[:1]
    assert b"s3cr3t" not in msgspec.json.encode(listed)
