"""Delivery to real receivers: signatures, backoff, giving up, one deliverer at a time, and no secret anywhere."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from llmhive.app.alerts import Deliverer, _is_webhook, _sender
from llmhive.app.observe import Log
from llmhive.app.settings import read
from llmhive.catalog.alert import Channel, Event, channel_of
from llmhive.errors import SettingsError
from llmhive.store import alerts, runs
from llmhive.store.database import Database, connect
from tests.receiver import Receiver
from tests.support import dump, execute

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECRET = "s3cr3t-signing-key"
PRICE = {"name": "One", "field": "pricing.prompt", "before": "0.00000008333333333333334", "after": "0.000001",
         "percent": 1100.0, "per_token": True}  # fmt: skip
EVENTS = (Event("repriced", "acme/one", PRICE),)


class Even(random.Random):
    """Chance in the middle: no jitter."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


@dataclass
class Post:
    """An outbox, a clock and deliverers."""

    database: Database
    now: datetime = NOW
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def write(self, *urls: str, events: tuple[Event, ...] = EVENTS) -> int:
        """A run that has something to tell."""
        channels = tuple(channel_of(url) for url in urls)
        with self.database.write() as connection:
            found = runs.claim(connection, "regular", trigger="test", owner="test", now=self.now, interval=None)
            assert isinstance(found, runs.Claimed)
            alerts.write(connection, found.run_id, events, now=self.now, channels=channels)
            runs.end(connection, found.run_id, "completed", now=self.now, catalog_version=12)
        return found.run_id

    def deliverer(
        self,
        *urls: str,
        owner: str = "one",
        secret: str = SECRET,
        seconds: float = 5,
        chance: random.Random | None = None,
    ) -> Deliverer:
        def tell(event: str, /, **facts: Any) -> None:
            self.told.append((event, facts))

        return Deliverer(
            self.database, urls, secret=secret, owner=owner, now=lambda: self.now, random=chance or Even(), tell=tell,
            seconds=seconds,
        )  # fmt: skip

    def deliver(self, *urls: str, **options: Any) -> int:
        return self.deliverer(*urls, **options).deliver_due()

    def stand(self) -> list[alerts.Delivery]:
        with self.database.read() as connection:
            return alerts.recent(connection, 100)

    def url(self) -> str:
        return self.database.engine.url.render_as_string(hide_password=False)

    def forget_the_lease(self) -> None:
        """As if a minute had passed by the database's clock."""
        text = "'2001-01-01T00:00:00.000000Z'"
        execute(
            self.url(),
            f"UPDATE lease SET until = {text if self.database.dialect == 'sqlite' else f'timestamptz {text}'}",
        )


@pytest.fixture
def post(database: Database) -> Post:
    return Post(database)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Receiver() as server:
        yield server


# --- a webhook


def test_a_webhook_gets_the_message(post: Post, receiver: Receiver) -> None:
    run_id = post.write(receiver.url)
    assert post.deliver(receiver.url) == 1
    [got] = receiver.got
    assert got.path == "/hooks/s3cr3t-path?token=s3cr3t-token"
    assert got.headers["content-type"] == "application/json"
    document = got.json
    assert document["id"] == got.headers["webhook-id"]
    assert document["type"] == "llmhive.alerts"
    assert document["run"] == {
        "id": run_id, "kind": "regular", "status": "completed", "started_at": "2026-06-01T12:00:00Z",
    }  # fmt: skip
    assert (document["catalog_version"], document["more"]) == (12, 0)
    [event] = document["events"]
    assert (event["kind"], event["model"], event["at"]) == ("repriced", "acme/one", "2026-06-01T12:00:00Z")
    assert event["facts"] == PRICE
    assert document["text"] == "LLMHive: 1 repriced\nRepriced: " + event["text"]
    [stand] = post.stand()
    assert (stand.state, stand.attempts, stand.delivered_at, stand.error) == ("delivered", 1, NOW, None)
    assert post.told == [("Alert delivered", {"channel": receiver.label, "run": run_id, "attempt": 1, "events": 1})]
    assert post.deliver(receiver.url) == 0
    assert len(receiver.got) == 1


@pytest.mark.parametrize(
    ("secret", "key"),
    [(SECRET, SECRET.encode()), ("whsec_" + base64.b64encode(b"\x00other\xff" * 4).decode(), b"\x00other\xff" * 4)],
)
def test_its_signature_is_that_of_standard_webhooks(secret: str, key: bytes, post: Post, receiver: Receiver) -> None:
    post.write(receiver.url)
    post.deliver(receiver.url, secret=secret)
    [got] = receiver.got
    headers = got.headers
    assert headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + got.body
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_the_example_of_the_specification() -> None:
    from llmhive.app.alerts import key_of, signature

    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_without_a_secret_it_is_unsigned(post: Post, receiver: Receiver) -> None:
    post.write(receiver.url)
    assert post.deliver(receiver.url, secret="") == 1
    assert "webhook-signature" not in receiver.got[0].headers


def test_a_secret_that_cannot_be_read_is_refused_at_the_door() -> None:
    with pytest.raises(SettingsError, match="ALERT_WEBHOOK_SECRET cannot be used") as error:
        read({"ALERT_WEBHOOK_SECRET": "whsec_not base64 at all"})
    assert "not base64 at all" not in str(error.value)
    assert read({"ALERT_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}).alert_webhook_secret


# --- trouble


@pytest.mark.parametrize("status", [400, 404, 410, 429, 500, 503])
def test_an_error_is_tried_again_with_the_same_ids(status: int, post: Post, receiver: Receiver) -> None:
    run_id = post.write(receiver.url)
    receiver.answer(status)
    assert post.deliver(receiver.url) == 0
    [stand] = post.stand()
    assert (stand.state, stand.attempts, stand.error) == ("pending", 1, f"HTTP {status}")
    assert post.told == [
        ("Alert not delivered", {"channel": receiver.label, "run": run_id, "attempt": 1, "error": f"HTTP {status}",
                                 "next_try": "2026-06-01T12:00:05Z"})
    ]  # fmt: skip
    receiver.answer()
    assert post.deliver(receiver.url) == 0
    post.now += timedelta(seconds=5)
    assert post.deliver(receiver.url) == 1
    first, second = receiver.got
    assert first.ids == second.ids
    assert first.body == second.body
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert post.stand()[0].state == "delivered"


def test_the_pauses_double_up_to_an_hour(post: Post, receiver: Receiver) -> None:
    post.write(receiver.url)
    receiver.answer(500)
    pauses = []
    for _ in range(13):
        post.deliver(receiver.url)
        due_at = post.stand()[0].due_at
        pauses.append((due_at - post.now).total_seconds())
        post.now = due_at
    assert pauses == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]


def test_the_pauses_are_spread(post: Post, receiver: Receiver) -> None:
    post.write(receiver.url)
    receiver.answer(500)
    chance = random.Random(7)
    spread = set()
    for attempt in range(10):
        post.deliver(receiver.url, chance=chance)
        due_at = post.stand()[0].due_at
        spread.add((due_at - post.now) / (timedelta(seconds=5) * 2**attempt))
        post.now = due_at
    assert len(spread) == 10
    assert 0.8 <= min(spread) < 0.95
    assert 1.05 < max(spread) <= 1.2


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("120", 120), ("1", 5), ("7200", 3600), ("99999999999999999999", 3600), ("soon", 5), ("", 5), ("-1", 5),
     (format_datetime(NOW + timedelta(seconds=300), usegmt=True), 300), ("Thu, 01 Jan 1970 00:00:00 GMT", 5)],
)  # fmt: skip
def test_who_asks_to_wait_is_waited_for(value: str, seconds: int, post: Post, receiver: Receiver) -> None:
    post.write(receiver.url)
    receiver.answer(429, Retry_After=value)
    post.deliver(receiver.url)
    assert post.stand()[0].due_at == NOW + timedelta(seconds=seconds)


def test_after_seven_days_it_is_given_up(post: Post, receiver: Receiver) -> None:
    run_id = post.write(receiver.url)
    receiver.answer(500)
    post.now = NOW + timedelta(days=7) - timedelta(seconds=1)
    post.deliver(receiver.url)
    assert post.stand()[0].state == "pending"
    post.now += timedelta(minutes=1)
    post.deliver(receiver.url)
    [stand] = post.stand()
    assert (stand.state, stand.attempts, stand.error) == ("given up", 2, "HTTP 500")
    assert post.told[-1] == (
        "Alert given up", {"channel": receiver.label, "run": run_id, "attempt": 2, "error": "HTTP 500"}
    )  # fmt: skip
    receiver.answer()
    assert post.deliver(receiver.url) == 0
    assert len(receiver.got) == 2


def test_what_waited_for_a_deliverer_for_weeks_is_still_tried(post: Post, receiver: Receiver) -> None:
    post.write(receiver.url)
    post.now += timedelta(days=30)
    assert post.deliver(receiver.url) == 1


def test_a_channel_nobody_has_is_given_up(post: Post, receiver: Receiver) -> None:
    run_id = post.write("https://gone.example.com/s3cr3t")
    post.now += timedelta(days=6)
    assert post.deliver(receiver.url) == 0
    assert post.stand()[0].state == "pending"
    post.now += timedelta(days=1)
    assert post.deliver(receiver.url) == 0
    assert (post.stand()[0].state, receiver.got) == ("given up", [])
    [(event, facts)] = post.told
    assert (event, facts["channel"], facts["run"]) == ("Alert given up", "https://gone.example.com", run_id)


@pytest.mark.parametrize(("manner", "why"), [("hang", "no answer in time"), ("drop", "no answer")])
def test_a_receiver_that_does_not_answer(manner: str, why: str, post: Post, receiver: Receiver) -> None:
    post.write(receiver.url)
    receiver.answer(manner=manner)
    assert post.deliver(receiver.url, seconds=0.3) == 0
    assert [(stand.state, stand.error) for stand in post.stand()] == [("pending", why)]


def test_a_receiver_that_is_not_there(post: Post, receiver: Receiver) -> None:
    with Receiver() as other:
        url = other.url
    post.write(url)
    assert post.deliver(url) == 0
    assert post.stand()[0].error == "no connection"


def test_a_redirect_is_not_followed(post: Post, receiver: Receiver) -> None:
    post.write(receiver.url)
    receiver.answer(307, Location=f"{receiver.label}/elsewhere")
    assert post.deliver(receiver.url) == 0
    assert len(receiver.got) == 1
    assert post.stand()[0].error == "HTTP 307, a redirect, which is not followed"


@pytest.mark.parametrize("url", ["nonsense://s3cr3t", "https://[s3cr3t/x", "http://s3cr3t..example/\u2000"])
def test_a_url_that_cannot_be_used_stops_no_other(url: str, post: Post, receiver: Receiver) -> None:
    try:
        channel_of(url)
    except ValueError:
        # it is refused at the door
        with pytest.raises(SettingsError, match="ALERT_URLS cannot be used") as error:
            read({"ALERT_URLS": url})
        assert "s3cr3t" not in str(error.value)
        return
    post.write(url, receiver.url)
    assert post.deliver(url, receiver.url) == 1
    [bad] = [stand for stand in post.stand() if stand.state == "pending"]
    assert bad.error
    assert "s3cr3t" not in bad.error


def test_a_channel_that_fails_is_left_alone_for_the_round(post: Post, receiver: Receiver) -> None:
    with Receiver() as good:
        for _ in range(3):
            post.write(receiver.url, good.url)
            post.now += timedelta(seconds=1)
        receiver.answer(500)
        assert post.deliver(receiver.url, good.url) == 3
        assert (len(receiver.got), len(good.got)) == (1, 3)
        # oldest first
        assert [it.json["run"]["id"] for it in good.got] == [1, 2, 3]


def test_a_replica_delivers_to_its_own_channels_only(post: Post, receiver: Receiver) -> None:
    post.write(receiver.url, "https://other.example.com/s3cr3t")
    assert post.deliver(receiver.url) == 1
    assert {stand.label: stand.state for stand in post.stand()} == {
        receiver.label: "delivered", "https://other.example.com": "pending",
    }  # fmt: skip


def test_a_stop_is_heeded_between_two_messages(post: Post, receiver: Receiver) -> None:
    for _ in range(3):
        post.write(receiver.url)
    assert post.deliverer(receiver.url).deliver_due(is_stopped=lambda: len(receiver.got) >= 1) == 1


# --- a database in trouble


def test_a_database_that_cannot_be_reached_is_told_once(post: Post) -> None:
    with closing(connect("postgresql://nobody@127.0.0.1:9/none")) as database:
        post.database = database
        deliverer = post.deliverer("https://hooks.example.com/s3cr3t")
        assert deliverer.deliver_due() == 0
        assert deliverer.deliver_due() == 0
    assert [event for event, _ in post.told] == ["Alerts cannot be delivered"]


def test_a_database_without_tables_has_nothing_to_deliver(empty_database: Database) -> None:
    assert Post(empty_database).deliver("https://hooks.example.com/s3cr3t") == 0


# --- one at a time


def test_two_deliverers_never_send_at_the_same_time(post: Post, receiver: Receiver) -> None:
    post.write(receiver.url)
    second = post.deliverer(receiver.url, owner="two")
    meanwhile: list[int] = []
    receiver.meanwhile = lambda: meanwhile.append(second.deliver_due())
    assert post.deliver(receiver.url, owner="one") == 1
    assert meanwhile == [0]
    assert len(receiver.got) == 1
    # the lease is given back
    receiver.meanwhile = None
    post.write(receiver.url)
    assert second.deliver_due() == 1


def test_a_dead_holder_is_waited_for_and_the_message_repeated(post: Post, receiver: Receiver) -> None:
    post.write(receiver.url)
    # it died in the middle: the lease is taken, the message sent, and nothing marked
    with post.database.write() as connection:
        assert alerts.take_lease(connection, "alerts", "dead", now=NOW, length=timedelta(seconds=60))
        due = alerts.next_due(connection, [channel_of(receiver.url).digest], NOW)
    assert due is not None
    assert _sender(receiver.url, b"", 5)(due.message, NOW).error is None
    assert post.deliver(receiver.url, owner="two") == 0
    post.forget_the_lease()
    assert post.deliver(receiver.url, owner="two") == 1
    assert [got.ids for got in receiver.got] == [receiver.got[0].ids] * 2


def test_who_lost_the_lease_stops(post: Post, receiver: Receiver) -> None:
    post.write(receiver.url)
    post.write(receiver.url)

    def taken_over() -> None:
        post.forget_the_lease()
        with post.database.write() as connection:
            assert alerts.take_lease(connection, "alerts", "two", now=post.now, length=timedelta(seconds=60))

    receiver.meanwhile = taken_over
    assert post.deliver(receiver.url, owner="one") == 1
    assert len(receiver.got) == 1
    with post.database.read() as connection:
        assert alerts.pending(connection) == 1


# --- the others


def test_others_go_through_the_library(post: Post, receiver: Receiver) -> None:
    url = f"json://127.0.0.1:{receiver.port}/s3cr3t-path"
    post.write(url)
    assert post.deliver(url) == 1
    [got] = receiver.got
    assert got.path == "/s3cr3t-path"
    assert got.json["title"] == "LLMHive: 1 repriced"
    assert got.json["message"].startswith("Repriced: acme/one: prompt $0.08333 → $1.00 per million tokens")
    assert [stand.label for stand in post.stand()] == ["json"]


@pytest.mark.parametrize("manner", ["", "hang", "drop"])
def test_their_trouble_is_tried_again_and_leaks_nothing(
    manner: str, post: Post, receiver: Receiver, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    url = f"json://user:s3cr3t-word@127.0.0.1:{receiver.port}/s3cr3t-path"
    post.write(url)
    receiver.answer(500, manner=manner)
    with caplog.at_level(logging.DEBUG):
        assert post.deliver(url, seconds=0.5) == 0
    assert post.stand()[0].state == "pending"
    assert len(receiver.got) == 1
    out, err = capfd.readouterr()
    assert "s3cr3t" not in caplog.text + out + err + repr(post.told) + repr(dump(post.url()))


@pytest.mark.parametrize(
    "url", ["https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
            "https://discord.com/api/webhooks/4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"],
)  # fmt: skip
def test_plain_urls_of_known_services_are_theirs(url: str) -> None:
    import apprise

    found = apprise.Apprise.instantiate(url)
    assert found is not None
    assert type(found).__name__ in {"NotifySlack", "NotifyDiscord"}
    assert channel_of(url).label in {"https://hooks.slack.com", "https://discord.com"}
    assert not _is_webhook(url)
    assert _is_webhook("https://hooks.example.com/")


# --- secrets


@pytest.mark.parametrize("answer", [200, 500])
def test_no_secret_in_any_row_log_or_error(
    answer: int, post: Post, receiver: Receiver, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    import sys

    receiver.answer(answer)
    post.write(receiver.url)
    log: Callable[..., None] = Log(sys.stderr)
    with caplog.at_level(logging.DEBUG):
        Deliverer(
            post.database, [receiver.url], secret=SECRET, owner="one", now=lambda: NOW, random=Even(), tell=log,
        ).deliver_due()  # fmt: skip
    out, err = capfd.readouterr()
    lines = [json.loads(line) for line in err.splitlines()]
    assert [line["severity"] for line in lines] == ["INFO" if answer == 200 else "WARNING"]
    assert "s3cr3t" not in out + err + caplog.text + repr(dump(post.url()))


def test_the_same_url_twice_is_one_channel() -> None:
    from llmhive.app import wiring

    found = wiring.alerting(read({"ALERT_URLS": "slack://a/b/c slack://a/b/c https://x.example/y"}))
    assert [it.label for it in found.channels] == ["slack", "https://x.example"]
    assert found.price_percent == 10
    assert isinstance(found.channels[0], Channel)
