"""The only door to OpenRouter: asks until there is one whole answer, or says why there is none.

It returns bytes; what they mean is for `decode`. How one request is sent is for `transport`, how many are at once for
`pool`. Sources: OpenRouter's API reference for `GET /models`, `/models/count`, `/key`, `/models/{id}/endpoints` and the
Data API; RFC 9110 for conditional requests.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx2
import msgspec

from llmhive.app.openrouter.envelope import UNREADABLE, mended, split
from llmhive.app.openrouter.pool import Pacer, Pool
from llmhive.app.openrouter.transport import Again, Limits, Pace, Reply, Transport, server_clock
from llmhive.errors import BadAnswer, LLMHiveError, SettingsError

__all__ = ["Answer", "Client", "Limits", "Pong"]

_USUAL = Limits()


@dataclass(frozen=True, slots=True)
class Answer:
    """One complete answer."""

    #: 200, or 304: nothing changed since the answer whose validators were sent
    status: int
    #: decompressed, byte for byte as served (joined if paged); b"" with 304
    body: bytes
    etag: str | None
    last_modified: str | None
    #: requests sent for it, retries included
    attempts: int
    #: 1 unless the list was paged
    pages: int
    #: the server's clock when it answered, whole seconds; None if it does not tell
    date: datetime | None = None
    #: SHA-256 of the body, hexadecimal; "" with 304
    digest: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Pong:
    """A sign of life."""

    #: the server's clock, whole seconds; None if it does not tell
    date: datetime | None


def ignore(event: str, fields: Mapping[str, object]) -> None:
    """Take an event and do nothing."""


class Client:
    """A connection to OpenRouter for one run.

    `deadline` is a value of `monotonic` (seconds); nothing is sent, read or waited for after it. `api_key` goes into
    the Authorization header and nowhere else. `on_event` is called in the calling thread with "Requesting" (url,
    attempt, conditional), "Progress" (received, expected: bytes on the wire), "Received" (status, bytes, transferred,
    seconds, attempt), "Retrying" (reason, wait, attempt) and "Rate limited" (seconds, status, attempt).

    Raises `SettingsError` for a base URL, key, proxy or certificate variable that cannot be used; every request raises
    `Unreachable`, `Refused` or `BadAnswer`.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        deadline: float,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
        random: random.Random,
        on_event: Callable[[str, Mapping[str, object]], None] = ignore,
        limits: Limits = _USUAL,
        budget: Callable[[str], Callable[[], None]] | None = None,
        at_once: int = 8,
        rate: float = 20.0,
    ) -> None:
        """`budget` takes room for one request to the Data API, by its path, and returns what gives word of its end;
        `at_once` endpoint requests are on their way at most, and `rate` of them begin in a second.
        """
        base = _base(base_url)
        self.has_key = bool((api_key or "").strip())
        self._budget, self._at_once, self._on_event = budget, at_once, on_event
        self._pacer = Pacer(rate, monotonic=monotonic, sleep=sleep)
        self._root = str(base).rstrip("/")
        self._models = httpx2.URL(f"{self._root}/models?output_modalities=all")
        self._limits, self._wall = limits, wall
        self._deadline, self._monotonic = deadline, monotonic
        self._transport = Transport(
            base.host,
            api_key=api_key,
            deadline=deadline,
            monotonic=monotonic,
            wall=wall,
            sleep=sleep,
            random=random,
            on_event=on_event,
            limits=limits,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def ping(self) -> Pong:
        """Whether OpenRouter answers, with any 200 (source: `GET /models/count`, which needs no key)."""
        url = httpx2.URL(f"{self._root}/models/count")
        return self._transport.get(url, lambda reply: Pong(server_clock(reply.headers, self._wall())), {})

    def key_expires_at(self) -> datetime | None:
        """When the key expires, in UTC; None if it never does (source: `GET /key`)."""
        return self._transport.get(httpx2.URL(f"{self._root}/key"), self._expiry, {})

    def models(self, *, etag: str | None = None, last_modified: str | None = None, known: str | None = None) -> Answer:
        """The list of all models, of all output modalities (source: `GET /models?output_modalities=all`).

        `etag` and `last_modified` are those of an earlier answer; then the status may be 304. The body is JSON with a
        `data` list; a list served in pages comes joined as `{"data": […], "total_count": N, "links": {"next": null}}`,
        each record's bytes as served, without `total_count` if no page told it, and without validators. A body whose
        digest is `known` was read before and is not looked into.
        """
        sent = {"If-None-Match": _plain(etag), "If-Modified-Since": _plain(last_modified)}
        conditions = {name: value for name, value in sent.items() if value}
        attempts = 0
        for _ in range(1 + self._limits.restarts):
            pages = list(self._pages(conditions, known))
            attempts += sum(page.answer.attempts for page in pages)
            if len(pages) == 1:
                return replace(pages[0].answer, attempts=attempts)
            if _agree(pages):
                body, date = _join(pages), pages[-1].answer.date
                return Answer(200, body, None, None, attempts, len(pages), date, hashlib.sha256(body).hexdigest())
        raise BadAnswer(f"the list changed while it was being read ({1 + self._limits.restarts} times): try again.")

    def get(self, path: str, query: Mapping[str, str] | None = None, *, wanted: str) -> Answer:
        """One JSON document with ``data``, as it is served; `wanted` is what an error calls it."""
        return self._document(self._transport, path, query or {}, wanted, None)

    def data(self, path: str, query: Mapping[str, str] | None = None, *, wanted: str) -> Answer:
        """A document of the Data API, within its budget; raises `BudgetSpent` where that is used up."""
        budget = self._budget
        pace = None if budget is None else lambda: budget(path)
        return self._document(self._transport, path, query or {}, wanted, pace)

    def endpoints(self, model_ids: Sequence[str]) -> Iterator[tuple[str, bytes | LLMHiveError]]:
        """The endpoints of each model as served, or why there is no answer, as they come (source:
        `GET /models/{id}/endpoints`; latency and throughput only with a key).
        """

        def ask(transport: Transport, model_id: str) -> bytes:
            path = f"/models/{quote(model_id, safe='/:~')}/endpoints"
            return self._document(transport, path, {}, f"the endpoints of {model_id}", self._pacer).body

        yield from Pool[bytes](lambda: self._transport.beside(self._told_by_pool), self._at_once).each(model_ids, ask)

    def _told_by_pool(self, event: str, fields: Mapping[str, object]) -> None:
        """Of hundreds of requests only what goes wrong is told; who asks to wait is heard by all."""
        if event == "Rate limited":
            seconds = float(str(fields["seconds"]))
            # what outlasts our time fails at once, and needs no waiting
            if seconds < self._deadline - self._monotonic():
                self._pacer.hold(seconds)
        if event in {"Rate limited", "Retrying"}:
            self._on_event(event, fields)

    def _document(
        self, transport: Transport, path: str, query: Mapping[str, str], wanted: str, pace: Pace | None
    ) -> Answer:
        url = httpx2.URL(f"{self._root}{path}", params=dict(query) or None)
        return transport.get(url, lambda reply: self._whole(reply, wanted), {}, pace)

    def _whole(self, reply: Reply, wanted: str) -> Answer:
        """The answer, if it is a JSON document with ``data``."""
        try:
            found = mended(reply.body, _DOCUMENT)
        except UNREADABLE as error:
            raise self._instead_of(wanted, reply, f"no readable JSON ({error})") from error
        if found.error is not None:
            raise self._instead_of(wanted, reply, f"an error: {found.error}")
        if bytes(found.data) == b"null":
            raise self._instead_of(wanted, reply, "JSON without data")
        if self._transport.is_echoed(reply.body):
            # what is read of it ends up in the database, in errors and in answers
            raise BadAnswer(f"{self._transport.host} echoes the key in {wanted}: refused.")
        date = server_clock(reply.headers, self._wall())
        return Answer(200, reply.body, None, None, reply.attempts, 1, date, reply.digest)

    def _pages(self, conditions: Mapping[str, str], known: str | None) -> Iterator[_Page]:
        host, url, seen, size = self._transport.host, self._models, set[str](), 0
        while True:
            page = self._transport.get(
                url, lambda reply: self._page(reply, conditions, known), {} if seen else conditions
            )
            seen.add(str(url))
            size += len(page.answer.body)
            if size > self._limits.body:
                raise self._transport.too_long()
            yield page
            if page.next is None:
                return
            try:
                url = url.join(page.next).copy_with(fragment=None)
            except (httpx2.InvalidURL, ValueError):
                raise BadAnswer(f"{host} links to a next page that is not a URL: try again later.") from None
            # The key must not follow a link to somewhere else.
            if url.userinfo or _origin(url) != _origin(self._models):
                raise BadAnswer(
                    f"{host} links to a next page elsewhere, at {self._transport.clean(url.host)}: not followed. "
                    "Check OPENROUTER_BASE_URL."
                )
            if str(url) in seen:
                raise BadAnswer(f"{host} links to a next page that was already read: try again later.")
            if len(seen) == self._limits.pages:
                raise BadAnswer(f"{host} serves more than {self._limits.pages} pages: not read on.")

    def _page(self, reply: Reply, conditions: Mapping[str, str], known: str | None) -> _Page:
        """Split the envelope. The records stay bytes: reading them is `decode`'s part."""
        etag, modified = _plain(reply.headers.get("etag")), _plain(reply.headers.get("last-modified"))
        date = server_clock(reply.headers, self._wall())
        if reply.status == 304:
            etag, modified = etag or conditions.get("If-None-Match"), modified or conditions.get("If-Modified-Since")
            return _Page(Answer(304, b"", etag, modified, reply.attempts, 1, date), [], None, None)
        answer = Answer(200, reply.body, etag, modified, reply.attempts, 1, date, reply.digest)
        if reply.digest == known:
            return _Page(answer, [], None, None)
        try:
            envelope = split(reply.body)
        except UNREADABLE as error:
            raise self._instead_of("the model list", reply, f"no readable JSON list ({error})") from error
        if (failure := envelope.failure) is not None:
            raise self._instead_of("the model list", reply, f"an error: {failure}")
        if envelope.data is None:
            raise self._instead_of("the model list", reply, "JSON without a data list")
        return _Page(answer, envelope.data, envelope.total, envelope.next)

    def _expiry(self, reply: Reply) -> datetime | None:
        try:
            text = _KEY.decode(reply.body).data.expires_at
            if text is None:
                return None
            at = datetime.fromisoformat(text)
            return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        except (ValueError, OverflowError, RecursionError) as error:
            raise self._instead_of("the facts about the key", reply, f"nothing readable ({error})") from error

    def _instead_of(self, wanted: str, reply: Reply, what: str) -> Again:
        """A 200 that is not what was asked for may be a hiccup of the edge, so it is asked again."""
        if said := self._transport.said(reply.body):
            what = f"an error: {said}"
        elif reply.body.lstrip(b"\xef\xbb\xbf\t\r\n ").startswith(b"<"):
            what = "an HTML page"
        what = self._transport.clean(what)
        text = f"{self._transport.host} answered 200, but instead of {wanted} with {what}; try again later."
        return Again(BadAnswer(text), what)


class _Record(msgspec.Struct):
    id: Any = None


class _Document(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"null")
    error: Any = None


class _KeyFacts(msgspec.Struct):
    expires_at: str | None = None


class _KeyEnvelope(msgspec.Struct):
    data: _KeyFacts


_RECORD = msgspec.json.Decoder(_Record)
_DOCUMENT = msgspec.json.Decoder(_Document)
_KEY = msgspec.json.Decoder(_KeyEnvelope)


@dataclass(frozen=True, slots=True)
class _Page:
    answer: Answer
    records: list[msgspec.Raw]
    total: int | None
    next: str | None


def _base(text: str) -> httpx2.URL:
    with contextlib.suppress(httpx2.InvalidURL, ValueError):
        url = httpx2.URL(text.strip())
        name = url.host.encode("idna")  # raises for what cannot be looked up
        if url.scheme in ("http", "https") and name and not (url.userinfo or url.query or url.fragment):
            return url
    # Not quoted: it may hold a password.
    raise SettingsError(
        "OPENROUTER_BASE_URL must look like https://openrouter.ai/api/v1: http or https, no user, query or fragment."
    )


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port  # the port is None where it is the scheme's own


def _plain(text: str | None) -> str | None:
    """A validator that can be sent back; anything else is none."""
    return text if text and text.isascii() and text.isprintable() else None


def _agree(pages: list[_Page]) -> bool:
    """Whether the pages can be parts of one list: one total, and no id on two of them."""
    seen: set[str] = set()
    for page in pages:
        ids = set[str]()
        for raw in page.records:
            with contextlib.suppress(ValueError, RecursionError):  # an unreadable record is `decode`'s to judge
                if isinstance(name := _RECORD.decode(raw).id, str):
                    ids.add(name)
        if ids & seen:
            return False
        seen |= ids
    return len({page.total for page in pages if page.total is not None}) <= 1


def _join(pages: list[_Page]) -> bytes:
    records = b",".join(bytes(raw) for page in pages for raw in page.records)
    total = next((page.total for page in pages if page.total is not None), None)
    told = b"" if total is None else b',"total_count":%d' % total  # not counted by us: it is there to check the count
    return b'{"data":[' + records + b"]" + told + b',"links":{"next":null}}'
