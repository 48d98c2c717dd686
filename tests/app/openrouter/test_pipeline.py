"""The path of a captured body, on both databases: what must hold whatever the feed."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from llmhive.app.library import Catalog
from llmhive.app.openrouter.pipeline import Pipeline, Taken, apply_bootstrap
from llmhive.app.settings import read
from llmhive.catalog.feed import Scope
from llmhive.catalog.gate import Limits
from llmhive.store import runs
from llmhive.store.captures import Capture
from llmhive.store.database import Database
from tests.fake_openrouter import catalog, model
from tests.support import rows

START = datetime(2026, 5, 1, tzinfo=UTC)


class Taking:
    """Takes bodies an hour apart; with `fresh`, each in a pipeline of its own, as separate processes do."""

    def __init__(self, database: Database, *, fresh: bool = False) -> None:
        self._database, self._fresh = database, fresh
        self._pipeline = Pipeline(database, Limits())
        self._hours = 0
        with database.write() as connection:
            claimed = runs.claim(connection, "backfill", trigger="test", owner="test", now=START, interval=None)
        assert isinstance(claimed, runs.Claimed)
        self.run_id = claimed.run_id

    def __call__(self, body: bytes, scope: Scope = "all") -> Taken:
        at = START + timedelta(hours=self._hours)
        self._hours += 1
        if self._fresh:
            self._pipeline = Pipeline(self._database, Limits())
        capture = Capture(at, "test", scope, hashlib.sha256(body).hexdigest())
        return self._pipeline.take(capture, body, run_id=self.run_id, known_at=lambda: at, ends_run=False)


def listed(*names: str, **changes: Any) -> bytes:
    return catalog(*(model(name, **changes) for name in names))


def names(count: int, prefix: str = "acme/m") -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def test_a_text_list_says_nothing_of_other_models(database: Database, database_url: str) -> None:
    take = Taking(database)
    image = model("acme/image", architecture={"output_modalities": ["image"]})
    take(catalog(model("acme/text"), image))
    take(listed("acme/text"), scope="text")
    active = {row["id"] for row in rows(database_url, "SELECT id FROM model_catalog WHERE is_active")}
    assert active == {"acme/text", "acme/image"}


def test_the_first_look_at_all_modalities_is_no_news_and_is_judged(database: Database) -> None:
    take = Taking(database)
    take(listed(*names(100)), scope="text")
    image = model("acme/image", architecture={"output_modalities": ["image"]})
    first = take(catalog(*(model(name) for name in names(100)), image))
    assert first.status == "completed"
    assert first.plan.baseline == "first look"
    assert take(listed(*names(100), "acme/image")).plan.baseline is None


def test_the_first_look_may_not_lose_what_the_text_lists_had(database: Database) -> None:
    take = Taking(database)
    take(listed(*names(100)), scope="text")
    held = take(listed("acme/m0"))
    assert held.status == "held"
    assert [verdict.rule for verdict in held.judgement.held] == ["removal"]


@pytest.mark.parametrize("fresh", [False, True])
def test_gone_and_back_in_both_ledgers(database: Database, database_url: str, fresh: bool) -> None:
    take = Taking(database, fresh=fresh)
    everything = names(20)
    for _ in range(2):
        take(listed(*everything))
        take(listed(*everything[1:]))
    back = take(listed(*everything))
    assert [record.id for record in back.plan.reactivated] == ["acme/m0"]
    served = rows(database_url, "SELECT is_listed FROM model_version WHERE model_id = 'acme/m0' ORDER BY valid_from")
    assert [bool(row["is_listed"]) for row in served] == [True, False, True, False, True]
    believed = rows(database_url, "SELECT is_active FROM model_belief WHERE model_id = 'acme/m0' ORDER BY known_from")
    assert [bool(row["is_active"]) for row in believed] == [True, False, True, False, True]


def test_only_the_price_that_changed_gets_a_new_row(database: Database, database_url: str) -> None:
    take = Taking(database)
    others = [model(name) for name in names(9)]
    for completion in ("0.000002", "0.000003"):
        pricing = {"prompt": "0.000001", "completion": completion, "web_search": "0.01"}
        take(catalog(model("acme/one", pricing=pricing), *others))
    found = rows(
        database_url,
        "SELECT unit, CAST(rate AS TEXT) AS rate, valid_to IS NULL AS is_open "
        "FROM model_price WHERE model_id = 'acme/one' ORDER BY unit, valid_from",
    )
    assert [(row["unit"], row["rate"], bool(row["is_open"])) for row in found] == [
        ("completion", "0.000002", False),
        ("completion", "0.000003", True),
        ("prompt", "0.000001", True),
        ("web_search", "0.01", True),
    ]


def test_after_a_bootstrap_the_served_ledger_begins_with_the_first_answer(
    database: Database, database_url: str
) -> None:
    with database.write() as connection:
        claimed = runs.claim(connection, "bootstrap", trigger="test", owner="test", now=START, interval=None)
        assert isinstance(claimed, runs.Claimed)
        count, _ = apply_bootstrap(connection, run_id=claimed.run_id, now=START)
    assert rows(database_url, "SELECT COUNT(*) AS n FROM model_version") == [{"n": 0}]
    take = Taking(database)
    taken = take(listed("acme/one", "openai/gpt-5"))
    assert taken.status == "completed"
    assert taken.plan.baseline == "bootstrap"
    assert taken.plan.count("deactivated") == count - 1
    # the facts have no description: that one is known now is no change
    assert not any(change.field == "description" for change in taken.plan.changes)
    served = rows(database_url, "SELECT model_id FROM model_version ORDER BY model_id")
    assert [row["model_id"] for row in served] == ["acme/one", "openai/gpt-5"]


def test_an_unreadable_record_is_neither_gone_nor_changed(database: Database, database_url: str) -> None:
    take = Taking(database)
    take(listed(*names(30)))
    broken = json.loads(listed(*names(30)))
    broken["data"][3]["pricing"]["prompt"] = "cheap"
    taken = take(json.dumps(broken).encode())
    assert [entry.model_id for entry in taken.plan.feed.unreadable] == ["acme/m3"]
    assert taken.plan.changes == ()
    assert len(rows(database_url, "SELECT id FROM model_catalog WHERE is_active")) == 30


def test_half_a_surrogate_pair_costs_one_record(database: Database) -> None:
    take = Taking(database)
    body = listed(*names(30)).replace(b'"name":"', b'"name":"\\ud83d', 1)
    taken = take(body)
    assert taken.status == "completed"
    assert len(taken.plan.feed.unreadable) == 1


def test_whatever_is_kept_can_be_read(database: Database, database_url: str) -> None:
    odd = [
        {"foo": "abc"}, {"discount": "n/a"}, {"new_unit": "0.5"}, {"overrides": {"prompt": "2"}}, {"video": ["x"]},
        {"overrides": [{"min_prompt_tokens": None, "prompt": "1"}]}, {"overrides": [{"audio": None, "utc_start": 100}]},
        {"overrides": [{"min_prompt_tokens": "200k", "prompt": "-1"}]}, {"x" * 3000: "0.1"}, {"prompt": "-1"},
    ]  # fmt: skip
    records = [model(f"acme/odd{number}", pricing=pricing) for number, pricing in enumerate(odd)]
    records.append(model("acme/slug", canonical_slug="s" * 5000))
    records.append(model("acme/inputs", architecture={"input_modalities": ["[/x]", "te\x1bxt"]}))
    taken = Taking(database)(catalog(*records))
    assert taken.plan.feed.unreadable == ()
    with Catalog.open(database_url, settings=read({})) as opened:
        assert opened.models().total == len(records)
        for record in records:
            assert opened.model(record["id"])["id"] == record["id"]
        assert opened.model("ACME/Slug")["canonical_slug"] is None
        assert opened.model("inputs")["id"] == "acme/inputs"
