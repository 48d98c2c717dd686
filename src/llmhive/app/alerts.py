"""Delivery: sends what the outbox holds to the channels of ALERT_URLS, at least once, by one replica at a time.

A message keeps its id and those of its events at every attempt, so that a receiver can drop a repeat. A channel's URL
is a secret: it is in no row, log line or error.
"""

from __future__ import annotations

import base64
import contextlib
import email.utils
import hashlib
import hmac
import logging
import queue
import random
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
import msgspec

from llmhive.app.observe import Tell
from llmhive.catalog.alert import channel_of
from llmhive.catalog.message import Message, payload_of, text_of, title_of
from llmhive.catalog.model import instant
from llmhive.errors import SettingsError, StoreError
from llmhive.store import alerts
from llmhive.store.alerts import Due
from llmhive.store.database import Database, Schema
from llmhive.version import VERSION

if TYPE_CHECKING:
    import apprise

LEASE = "alerts"
LEASE_LENGTH = timedelta(seconds=60)
SEND_SECONDS = 10.0
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(hours=1)
JITTER = 0.2
GIVE_UP_AFTER = timedelta(days=7)
#: Services that show their channels as plain URLs, and do not take our JSON.
_NO_WEBHOOKS = frozenset({"hooks.slack.com", "discord.com", "discordapp.com"})
_ENCODER = msgspec.json.Encoder(decimal_format="number")

for _name in ("httpx2", "httpcore2", "urllib3"):
    # they log URLs, which are secret
    if logging.getLogger(_name).level == logging.NOTSET:
        logging.getLogger(_name).setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt."""

    error: str | None = None  #: None: it was delivered
    retry_after: timedelta | None = None  #: how long the receiver asks us to wait


Send = Callable[[Message, datetime], Outcome]


class Deliverer:
    """Sends what is due; for one thread at a time."""

    def __init__(
        self,
        database: Database,
        urls: Sequence[str],
        *,
        secret: str,
        owner: str,
        now: Callable[[], datetime],
        random: random.Random,
        tell: Tell,
        seconds: float = SEND_SECONDS,
    ) -> None:
        """`secret` signs webhooks; `owner` is a name that no other deliverer has; `seconds` is for one attempt."""
        self._database = database
        key = key_of(secret)
        self._senders = {channel_of(url).digest: _sender(url, key, seconds) for url in urls}
        self._owner = owner
        self._now = now
        self._random = random
        self._tell = tell
        self._is_down = False

    def deliver_due(self, *, is_stopped: Callable[[], bool] = lambda: False) -> int:
        """One round: try every message that is due, unless another replica is at it; returns how many were delivered.

        Never raises for a channel or for the database. A channel that fails is left alone until the next round.
        """
        try:
            delivered = self._round(is_stopped)
        except StoreError as error:
            if not self._is_down:
                self._tell("Alerts cannot be delivered", error=str(error))
            self._is_down = True
            return 0
        self._is_down = False
        return delivered

    def _round(self, is_stopped: Callable[[], bool]) -> int:
        if self._database.schema() is not Schema.CURRENT:
            return 0
        now = self._now()
        with self._database.read() as connection:
            if not alerts.is_anything_due(connection, self._senders, now=now, oldest=now - GIVE_UP_AFTER):
                return 0
        with self._database.write() as connection:
            if not self._has_lease(connection):
                return 0
            orphans = alerts.give_up_orphans(connection, self._senders, oldest=now - GIVE_UP_AFTER)
        for run, label in orphans:
            self._tell("Alert given up", channel=label, run=run, error=alerts.NOBODY)
        try:
            return self._send_all(is_stopped)
        finally:
            # where it cannot be given back, it runs out
            with contextlib.suppress(StoreError), self._database.write() as connection:
                alerts.release_lease(connection, LEASE, self._owner)

    def _has_lease(self, connection: Any) -> bool:
        return alerts.take_lease(connection, LEASE, self._owner, now=self._now(), length=LEASE_LENGTH)

    def _send_all(self, is_stopped: Callable[[], bool]) -> int:
        delivered, willing = 0, set(self._senders)
        while willing and not is_stopped():
            with self._database.write() as connection:
                due = alerts.next_due(connection, willing, self._now()) if self._has_lease(connection) else None
            if due is None:
                break
            outcome = self._senders[due.channel.digest](due.message, self._now())
            if outcome.error is None:
                self._write_success(due)
                delivered += 1
            else:
                self._write_failure(due, outcome.error, outcome.retry_after)
                willing.discard(due.channel.digest)
        return delivered

    def _write_success(self, due: Due) -> None:
        with self._database.write() as connection:
            alerts.delivered(connection, due, now=self._now())
        self._tell("Alert delivered", **self._facts(due), events=len(due.message.alerts))

    def _write_failure(self, due: Due, error: str, retry_after: timedelta | None) -> None:
        now = self._now()
        is_over = now - due.created_at >= GIVE_UP_AFTER
        due_at = None if is_over else now + self._pause(due.attempts, retry_after)
        with self._database.write() as connection:
            alerts.failed(connection, due, error, due_at=due_at)
        if due_at is None:
            self._tell("Alert given up", **self._facts(due), error=error)
        else:
            self._tell("Alert not delivered", **self._facts(due), error=error, next_try=instant(due_at))

    def _pause(self, attempts: int, retry_after: timedelta | None) -> timedelta:
        pause = min(FIRST_PAUSE * (1 << min(attempts, 20)), LONGEST_PAUSE)
        pause *= self._random.uniform(1 - JITTER, 1 + JITTER)
        return max(pause, min(retry_after or timedelta(0), LONGEST_PAUSE))

    def _facts(self, due: Due) -> dict[str, object]:
        return {"channel": due.channel.label, "run": due.message.run_id, "attempt": due.attempts + 1}


def key_of(secret: str) -> bytes:
    """The key that ALERT_WEBHOOK_SECRET names: ``whsec_`` and base64, or else its own bytes; none where it is empty."""
    encoded = secret.removeprefix("whsec_")
    if encoded == secret:
        return secret.encode()
    return base64.b64decode(encoded)


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The signature of a webhook, as https://www.standardwebhooks.com has it."""
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return f"v1,{base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}"


def _sender(url: str, key: bytes, seconds: float) -> Send:
    if _is_webhook(url):
        return lambda message, now: _within(seconds, lambda: _post(url, key, message, now, seconds))
    return lambda message, _: _by_apprise(url, message, seconds)


def check_channels(urls: Sequence[str]) -> None:
    """Find out, before there is anything to tell, that a URL is none; raises `SettingsError` without naming it."""
    for url in urls:
        if not _is_webhook(url) and _opened(url) is None:
            raise SettingsError(
                f"ALERT_URLS: what begins with {urlsplit(url).scheme}:// cannot be used. Check it against "
                "https://github.com/caronc/apprise/wiki."
            )


def _is_webhook(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme.lower() in {"http", "https"} and parts.hostname not in _NO_WEBHOOKS


def _within(seconds: float, send: Callable[[], Outcome]) -> Outcome:
    """An attempt that is given up after so long, whatever it waits for: a name, a proxy, an answer that drips."""
    answers: queue.SimpleQueue[Outcome] = queue.SimpleQueue()

    def work() -> None:
        try:
            outcome = send()
        except Exception as error:  # noqa: BLE001  # one channel's trouble must not stop the others
            outcome = Outcome(f"internal error: {type(error).__name__}")
        answers.put(outcome)

    threading.Thread(target=work, name="alert", daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        return Outcome("no answer in time")


def _post(url: str, key: bytes, message: Message, now: datetime, seconds: float) -> Outcome:
    """Send a message to a webhook."""
    body, timestamp = _ENCODER.encode(payload_of(message)), int(now.timestamp())
    headers = {
        "content-type": "application/json",
        "user-agent": f"LLMHive/{VERSION}",
        "webhook-id": message.id,
        "webhook-timestamp": str(timestamp),
    }
    if key:
        headers["webhook-signature"] = signature(key, message.id, timestamp, body)
    try:
        # the status is all that counts, so the answer's body is not read
        with (
            httpx2.Client(timeout=0.9 * seconds, follow_redirects=False) as client,
            client.stream("POST", url, content=body, headers=headers) as response,
        ):
            return _judge(response, now)
    except httpx2.TimeoutException:
        return Outcome("no answer in time")
    except httpx2.ConnectError:
        return Outcome("no connection")
    except httpx2.HTTPError:
        return Outcome("no answer")
    except (httpx2.InvalidURL, UnicodeError):
        return Outcome("its URL cannot be used: check ALERT_URLS")


def _judge(response: httpx2.Response, now: datetime) -> Outcome:
    if response.is_success:
        return Outcome()
    why = f"HTTP {response.status_code}"
    if response.is_redirect:
        why += ", a redirect, which is not followed"
    return Outcome(why, _retry_after(response.headers.get("retry-after", ""), now))


def _retry_after(value: str, now: datetime) -> timedelta | None:
    """Seconds or a date; None where it says nothing of use."""
    if value.isascii() and value.isdigit():
        return timedelta(seconds=min(int(value[:9]), 86_400))
    try:
        until = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(until.replace(tzinfo=until.tzinfo or UTC) - now, timedelta(0))


def _opened(url: str) -> apprise.Apprise | None:
    """A channel of the library, ready to send; None where it knows no such URL."""
    # what it says of its work may name the URL
    logging.getLogger("apprise").disabled = True
    with warnings.catch_warnings():
        # some of its plug-ins import what is deprecated
        warnings.simplefilter("ignore")
        import apprise

        asset = apprise.AppriseAsset(
            app_id="LLMHive", async_mode=False, storage_mode=apprise.PersistentStoreMode.MEMORY
        )
        channel = apprise.Apprise.instantiate(url, asset=asset)
    if not isinstance(channel, apprise.NotifyBase):
        return None
    # one sync is one message, cut where the service takes no more
    channel.overflow_mode = apprise.OverflowMode.TRUNCATE
    sender = apprise.Apprise(asset=asset)
    sender.add(channel)
    return sender


def _by_apprise(url: str, message: Message, seconds: float) -> Outcome:
    """Send a message by the library that knows Slack, e-mail and the others."""
    try:
        sender = _opened(url)
    except Exception as error:  # noqa: BLE001  # one channel's trouble must not stop the others
        return Outcome(f"internal error: {type(error).__name__}")
    if sender is None:
        return Outcome("its URL cannot be used: check ALERT_URLS")

    def send() -> Outcome:
        import apprise

        # it would reckon words of ours as markup
        text = apprise.NotifyFormat.TEXT
        done = sender.notify(title=title_of(message), body=text_of(message), body_format=text, timeout=0.9 * seconds)
        return Outcome() if done else Outcome("the service did not take it")

    return _within(seconds, send)
