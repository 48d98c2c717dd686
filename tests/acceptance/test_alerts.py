"""What people are told of, and when: hour by hour, with real syncs, a real outbox and a real receiver."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from llmhive.app.alerts import Deliverer
from llmhive.app.openrouter import rollback as back
from llmhive.app.openrouter.accept import accept
from llmhive.catalog.alert import Alerting, channel_of
from llmhive.catalog.gate import Limits
from llmhive.catalog.run import Run
from llmhive.store.database import Database
from tests.acceptance.test_timelines import OTHERS, World, listing, load_bootstrap, priced
from tests.fake_openrouter import FakeOpenRouter, catalog, model, status
from tests.receiver import Receiver
from tests.support import Command, dump, execute, rows, runner_at

ONE = priced("0.000001")
Line = tuple[str, str | None]


def silent(_event: str, /, **_facts: object) -> None:
    """Say nothing."""


@dataclass
class News(World):
    """A world in which someone wants to be told."""

    receiver: Receiver = field(default_factory=Receiver)

    @property
    def alerting(self) -> Alerting:
        return Alerting(10.0, (channel_of(self.receiver.url),))

    def sync(self, hours: float, body: bytes | None = None, *, etag: str | None = None, **options: Any) -> Run:
        return super().sync(hours, body, etag=etag, alerting=self.alerting, **options)

    def accept(self, hours: float, run: Run) -> Run:
        runner = runner_at(self.database, self.at(hours), self.alerting)
        return accept(runner, run.id or 0, Limits(), trigger="test")

    def rollback(self, hours: float, name: str, **options: Any) -> Run:
        runner = runner_at(self.database, self.at(hours), self.alerting)
        return back.rollback(runner, name, trigger="test", **options)

    def told(self, hours: float) -> list[list[Line]]:
        """The messages that arrive at that hour: what each tells, of which model."""
        before = len(self.receiver.got)
        Deliverer(
            self.database, [self.receiver.url], secret="", owner="test", now=lambda: self.at(hours),
            random=random.Random(7), tell=silent,
        ).deliver_due()  # fmt: skip
        return [[(event["kind"], event["model"]) for event in got.json["events"]] for got in self.receiver.got[before:]]

    def states(self) -> list[tuple[str, str]]:
        return [(row["kind"], row["state"]) for row in rows(self.url, "SELECT kind, state FROM alert ORDER BY id")]


@pytest.fixture
def news(
    database: Database, database_url: str, fake: FakeOpenRouter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[News]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Receiver() as receiver:
        yield News(database, database_url, fake, tmp_path, receiver)


# --- what is told


def test_one_sync_is_one_message(news: News) -> None:
    news.sync(0, listing(ONE, model("acme/two")))
    assert news.told(0) == []
    news.sync(6, listing(priced("0.0000015"), model("acme/two", expiration_date="2026-12-01"), model("acme/new")))
    assert news.told(6) == [[("new", "acme/new"), ("repriced", "acme/one"), ("expiring", "acme/two")]]
    [got] = news.receiver.got
    assert got.json["text"].splitlines() == [
        "LLMHive: 1 new, 1 repriced, 1 expiring",
        "New: acme/new (Acme: New): by acme; prompt $0.50, completion $1.50 per million tokens; 131k context; "
        "takes text; tools; https://openrouter.ai/acme/new",
        "Repriced: acme/one: prompt $1.00 → $1.50 per million tokens (+50 %)",
        "Expiring: acme/two goes after 2026-12-01",
    ]
    assert got.json["run"]["status"] == "completed"
    with news.open() as opened:
        assert got.json["catalog_version"] == opened.models().catalog_version
    news.sync(12)
    assert news.told(12) == []


def test_a_new_model_is_told_against_its_family_and_a_variant_against_its_base(news: News) -> None:
    four = priced("0.000005", "anthropic/claude-opus-4.8", created=1768435201)
    five = model("anthropic/claude-opus-5", pricing={"prompt": "0.000006", "completion": "0.0000018"})
    news.sync(0, listing(ONE, four))
    news.sync(6, listing(model("acme/one:free"), ONE, four, five))
    assert news.told(6) == [[("new", "acme/one:free"), ("new", "anthropic/claude-opus-5")]]
    variant, opus = (event["facts"] for event in news.receiver.got[0].json["events"])
    assert opus["against_family"] == {
        "id": "anthropic/claude-opus-4.8", "relation": "family", "prompt": "0.000005", "completion": "0.0000015",
        "prompt_percent": 20.0, "completion_percent": 20.0,
    }  # fmt: skip
    assert (variant["variant_of"], variant["against_family"]["id"]) == ("acme/one", "acme/one")
    assert news.receiver.got[0].json["text"].splitlines()[1:] == [
        "New: acme/one:free (Acme: One): by acme; a free variant of acme/one; free (its base: prompt $1.00, "
        "completion $1.50 per million tokens); 131k context; takes text; tools; https://openrouter.ai/acme/one:free",
        "New: anthropic/claude-opus-5 (Anthropic: Claude Opus 5): by anthropic; prompt $6.00, completion $1.80 per "
        "million tokens, 20 % more than anthropic/claude-opus-4.8; 131k context; takes text; tools; "
        "https://openrouter.ai/anthropic/claude-opus-5",
    ]


def test_an_alert_of_an_earlier_version_is_still_delivered(news: News) -> None:
    news.sync(0, listing(ONE))
    news.sync(6, listing(ONE, model("acme/new")))
    facts = (
        '{"name": "Acme: New", "pricing_kind": "fixed", "prompt": "0.0000005", "completion": "0.0000015", '
        '"per_token": true, "context_length": 131072, "expiration_date": null}'
    )
    execute(news.url, f"UPDATE alert SET facts = '{facts.replace(':', chr(92) + ':')}'")
    assert news.told(6) == [[("new", "acme/new")]]
    assert news.receiver.got[0].json["text"].splitlines()[1:] == [
        "New: acme/new (Acme: New): prompt $0.50, completion $1.50 per million tokens; 131k context"
    ]


def test_a_small_change_of_price_is_not_told(news: News) -> None:
    news.sync(0, listing(ONE))
    news.sync(6, listing(priced("0.00000105", context_length=99)))
    assert news.states() == []


# --- removals


@pytest.mark.parametrize("etag", [None, '"same"'])
def test_a_removal_is_told_when_a_second_sync_confirms_it(etag: str | None, news: News) -> None:
    news.sync(0, listing(ONE, model("acme/gone")))
    news.sync(6, listing(ONE), etag=etag)
    assert (news.told(6), news.states()) == ([], [("removed", "unconfirmed")])
    # the truth is not debounced
    assert news.active() == {"acme/one"}
    run = news.sync(12)
    assert run.status == "unchanged"
    assert news.told(12) == [[("removed", "acme/gone")]]
    [got] = news.receiver.got
    assert got.json["run"] == {
        "id": run.id, "kind": "regular", "status": "unchanged", "started_at": "2026-06-01T12:00:00Z",
    }  # fmt: skip
    assert got.json["events"][0]["at"] == "2026-06-01T06:00:00Z"
    for hours in (18, 24):
        assert news.sync(hours).status == "unchanged"
        assert news.told(hours) == []


def test_a_confirmation_comes_with_the_other_news_of_its_run(news: News) -> None:
    news.sync(0, listing(ONE, model("acme/gone")))
    news.sync(6, listing(ONE))
    news.sync(12, listing(ONE, model("acme/new")))
    assert news.told(12) == [[("new", "acme/new"), ("removed", "acme/gone")]]


def test_a_removal_that_was_none_is_withdrawn(news: News) -> None:
    news.sync(0, listing(ONE, model("acme/flaky")))
    news.sync(6, listing(ONE))
    news.sync(12, listing(ONE, model("acme/flaky")))
    news.sync(18)
    assert (news.told(18), news.states()) == ([], [("removed", "withdrawn")])


def test_a_removal_after_a_withdrawn_one_is_another_event(news: News) -> None:
    here, gone = listing(ONE, model("acme/flaky")), listing(ONE)
    for hours, body in enumerate((here, gone, here, gone, gone)):
        news.sync(hours, body)
    assert news.told(5) == [[("removed", "acme/flaky")]]
    assert news.states() == [("removed", "withdrawn"), ("removed", "ready")]


def test_a_removal_waits_while_its_record_cannot_be_read(news: News) -> None:
    news.sync(0, listing(ONE, model("acme/gone")))
    news.sync(6, listing(ONE))
    news.sync(12, listing(ONE, model("acme/gone", pricing={"prompt": "no number"})))
    assert rows(news.url, "SELECT unreadable FROM sync_run WHERE id = 3") == [{"unreadable": 1}]
    assert (news.told(12), news.states()) == ([], [("removed", "unconfirmed")])
    news.sync(18)
    assert news.states() == [("removed", "unconfirmed")]
    news.sync(24, listing(ONE))
    assert news.told(24) == [[("removed", "acme/gone")]]


def test_a_failed_or_held_sync_confirms_nothing(news: News) -> None:
    news.sync(0, listing(ONE, model("acme/gone")))
    news.sync(6, listing(ONE))
    news.fake.serve(status(403))
    news.sync(12)
    news.sync(18, catalog(*OTHERS[:20]))
    assert news.states()[0] == ("removed", "unconfirmed")


# --- what the gate holds


def test_a_held_run_is_told_and_what_it_brings_when_it_is_accepted(news: News) -> None:
    news.sync(0, listing(ONE))
    held = news.sync(6, catalog(*OTHERS[:20], model("acme/new")))
    assert news.told(6) == [[("run_held", None)]]
    event = news.receiver.got[0].json["events"][0]
    assert event["facts"] == {"run": held.id, "run_kind": "regular", "error": held.error}
    news.accept(8, held)
    assert news.told(8) == [[("new", "acme/new")]]
    news.sync(12)
    [confirmed] = news.told(12)
    assert (len(confirmed), {kind for kind, _ in confirmed}) == (21, {"removed"})


def test_a_held_value_is_told_when_it_is_believed(news: News) -> None:
    news.sync(0, listing(ONE))
    news.sync(6, listing(priced("0")))
    assert (news.told(6), news.states()) == ([], [])
    news.sync(12)
    assert news.price() == "0"
    assert news.told(12) == [[("repriced", "acme/one")]]
    facts = news.receiver.got[0].json["events"][0]["facts"]
    assert (facts["field"], facts["before"], facts["after"]) == ("pricing.prompt", "0.000001", "0")


def test_a_held_value_that_was_none_is_never_told(news: News) -> None:
    news.sync(0, listing(ONE))
    news.sync(6, listing(priced("0")))
    news.sync(12, listing(ONE))
    news.sync(18)
    assert news.states() == []


# --- runs that fail


def test_a_failure_is_told_at_first_and_then_daily(news: News) -> None:
    news.sync(0, listing(ONE))
    news.fake.serve(status(403))
    told = {}
    for hours in range(6, 79, 6):
        news.sync(hours)
        if found := news.told(hours):
            told[hours] = found
    assert told == {key: [[("run_failed", None)]] for key in (6, 30, 54, 78)}
    news.sync(84, listing(ONE))
    news.fake.serve(status(403))
    news.sync(90)
    assert news.told(90) == [[("run_failed", None)]]
    assert news.receiver.got[-1].json["text"].startswith("LLMHive: a run failed\nThe regular sync failed (run ")


def test_a_run_that_failed_by_a_mistake_of_ours_is_told(news: News, monkeypatch: pytest.MonkeyPatch) -> None:
    news.sync(0, listing(ONE))

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("llmhive.app.openrouter.pipeline.events_of", broken)
        with pytest.raises(ZeroDivisionError):
            news.sync(6, listing(ONE, model("acme/new")))
    assert news.told(6) == [[("run_failed", None)]]
    # neither the change nor its alert was left behind
    assert news.active() == {"acme/one"}
    news.sync(12)
    assert news.told(12) == [[("new", "acme/new")]]


@pytest.mark.parametrize("point", ["runs.end", "alerts.write", "catalog.apply"])
def test_a_crash_in_the_transaction_leaves_neither_change_nor_alert(
    point: str, news: News, monkeypatch: pytest.MonkeyPatch
) -> None:
    news.sync(0, listing(ONE, model("acme/gone")))
    news.sync(6, listing(ONE))
    before = dump(news.url, without=("sync_run",))
    module, name = point.split(".")
    owner = getattr(__import__("llmhive.app.openrouter.pipeline", fromlist=["x"]), module)
    real = getattr(owner, name)

    def dies(*args: Any, **options: Any) -> None:
        real(*args, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, dies)
        with pytest.raises(KeyboardInterrupt):
            news.sync(12, listing(ONE, model("acme/new")))
    assert dump(news.url, without=("sync_run",)) == before
    # as who waits for the dead run would find it, half a minute later
    execute(news.url, "UPDATE sync_run SET status = 'interrupted', finished_at = started_at WHERE status = 'running'")
    news.sync(18)
    assert news.told(18) == [[("new", "acme/new"), ("removed", "acme/gone")]]


# --- what is no news


def test_the_first_sync_is_silent(news: News) -> None:
    news.sync(0, listing(ONE))
    assert news.states() == []


def test_what_replaces_a_bootstrap_is_silent(news: News) -> None:
    load_bootstrap(news, 0)
    news.sync(24, listing(ONE))
    assert news.states() == [("run_failed", "ready")]
    news.sync(30)
    assert news.told(30) == []


def test_the_first_look_at_all_modalities_is_silent(news: News) -> None:
    image = model("acme/image", architecture={"output_modalities": ["image"]})
    news.backfill(0, {-48: listing(ONE), -24: listing(ONE)}, scope="text")
    news.sync(6, listing(priced("0.000002"), image, model("acme/new")))
    assert news.states() == []
    news.sync(12, listing(priced("0.000003"), image, model("acme/new")))
    assert news.told(12) == [[("repriced", "acme/one")]]


def test_backfilled_captures_are_silent(news: News) -> None:
    news.sync(0, listing(ONE))
    news.backfill(30, {-24: listing(priced("0.000003")), 24: listing(priced("0.000002"), model("acme/new"))})
    assert news.states() == []


def test_a_rollback_and_the_way_back_are_silent(news: News) -> None:
    news.sync(0, listing(ONE, model("acme/gone")))
    news.snapshot(1, "here")
    news.sync(6, listing(priced("0.000002"), model("acme/new")))
    news.sync(12)
    assert len(news.told(12)) == 2
    news.rollback(13, "here")
    news.sync(18)
    news.sync(24)
    assert news.told(24) == []
    # and then it goes on
    news.sync(30, listing(priced("0.000003"), model("acme/new")))
    assert news.told(30) == [[("repriced", "acme/one")]]


def test_a_removal_that_a_rollback_takes_back_is_still_told_once(news: News) -> None:
    news.sync(0, listing(ONE, model("acme/gone")))
    news.snapshot(1, "here")
    news.sync(6, listing(ONE))
    news.rollback(7, "here")
    assert "acme/gone" in news.active()
    news.sync(12)
    news.sync(18)
    assert news.told(18) == [[("removed", "acme/gone")]]


def test_while_pinned_nothing_is_told(news: News) -> None:
    news.sync(0, listing(ONE, model("acme/gone")))
    news.snapshot(1, "here")
    news.rollback(2, "here", pin=True)
    news.sync(6, listing(priced("0.000002"), model("acme/new")))
    news.sync(12, listing(priced("0.000003"), model("acme/new")))
    news.unpin()
    news.sync(18)
    news.sync(24)
    assert news.states() == []


def test_a_model_that_returns_is_not_new_again(news: News) -> None:
    here, gone = listing(ONE, model("acme/new")), listing(ONE)
    news.sync(0, gone)
    news.sync(6, here)
    assert news.told(6) == [[("new", "acme/new")]]
    for hours, body in ((12, gone), (18, gone), (24, here), (30, gone), (36, gone), (42, here)):
        news.sync(hours, body)
    assert news.states() == [("new", "ready"), ("removed", "ready"), ("removed", "ready")]


def test_a_model_that_is_renamed_is_not_new(news: News) -> None:
    named = model("acme/one", canonical_slug="acme/one-0115")
    news.sync(0, listing(named))
    # another name and another id are two ways of it
    news.sync(6, listing(named | {"name": "Acme: Uno"}))
    assert news.states() == []
    news.sync(12, listing(named | {"id": "acme/uno"}))
    assert news.states() == [("removed", "unconfirmed")]
    news.sync(18)
    assert news.told(18) == [[("removed", "acme/one")]]
    assert news.receiver.got[0].json["events"][0]["text"].endswith("; it is acme/uno now")


def test_an_alias_is_new_once_wherever_it_points(news: News) -> None:
    def alias(target: str) -> dict[str, Any]:
        slug = "~acme/one-latest"
        return model(slug, canonical_slug=slug, alias_target={"slug": target, "name": "x"})

    news.sync(0, listing(ONE))
    news.sync(6, listing(ONE, alias("acme/one")))
    assert news.told(6) == [[("new", "~acme/one-latest")]]
    assert "an alias of acme/one;" in news.receiver.got[0].json["text"]
    news.sync(12, listing(ONE, alias("acme/other-01")))
    news.sync(18, listing(ONE))
    news.sync(24, listing(ONE, alias("acme/one")))
    assert [state for state in news.states() if state[0] == "new"] == [("new", "ready")]


def test_a_model_that_only_history_knew_is_not_new_when_it_returns(news: News) -> None:
    news.backfill(0, {-48: listing(ONE, model("acme/old")), -24: listing(ONE)}, scope="all")
    news.sync(6, listing(ONE))
    news.sync(12, listing(ONE, model("acme/old")))
    assert news.states() == []


def test_a_model_that_came_while_pinned_is_not_new_afterwards(news: News) -> None:
    news.sync(0, listing(ONE))
    news.snapshot(1, "here")
    news.rollback(2, "here", pin=True)
    news.sync(6, listing(ONE, model("acme/new")))
    news.sync(12, listing(ONE))
    news.unpin()
    news.sync(18)
    news.sync(24, listing(ONE, model("acme/new")))
    assert news.states() == []


def test_a_dry_run_tells_nothing(news: News) -> None:
    news.sync(0, listing(ONE, model("acme/gone")))
    news.sync(6, listing(ONE))
    before = dump(news.url)
    news.sync(12, listing(priced("0.000002")), dry_run=True)
    news.sync(13, listing(ONE), dry_run=True)
    assert dump(news.url) == before


# --- the command


def test_the_command_delivers_at_its_end(llmhive: Command, fake: FakeOpenRouter) -> None:
    with Receiver() as receiver:
        env: dict[str, Any] = {"ALERT_URLS": receiver.url, "ALERT_WEBHOOK_SECRET": "s3cr3t-signing-key"}
        fake.serve(listing(ONE))
        assert llmhive("sync", **env)["status"] == "completed"
        fake.serve(listing(ONE, model("acme/new")))
        assert llmhive("sync", "--force", "--dry-run", **env)["added"] == 1
        assert receiver.got == []
        result = llmhive.run("sync", "--force", **env)
        assert result.code == 0
        assert "Alert delivered" in result.messages
        [got] = receiver.got
        assert [event["model"] for event in got.json["events"]] == ["acme/new"]
        assert got.headers["webhook-signature"].startswith("v1,")

        # a channel in trouble changes nothing but the log
        receiver.answer(500)
        fake.serve(listing(ONE, model("acme/new"), model("acme/newer")))
        result = llmhive.run("sync", "--force", **env)
        assert result.code == 0
        [line] = [line for line in result.log if line["message"] == "Alert not delivered"]
        assert (line["severity"], line["error"], line["channel"]) == ("WARNING", "HTTP 500", receiver.label)
        fake.serve(status(403))
        assert llmhive.run("sync", "--force", **env).code == 1
        assert "s3cr3t" not in repr(dump(llmhive.env["DATABASE_URL"])) + result.stderr + result.stdout


def test_without_channels_nothing_is_loaded_to_deliver(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(listing(ONE))
    llmhive("sync")
    fake.serve(listing(ONE, model("acme/new")))
    assert "Alert delivered" not in llmhive.run("sync", "--force").messages
    found = dump(llmhive.env["DATABASE_URL"])
    assert ([row["kind"] for row in found["alert"]], found["delivery"], found["lease"]) == (["new"], [], [])
