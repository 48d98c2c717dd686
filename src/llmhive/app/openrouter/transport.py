"""One request to OpenRouter, sent until it is answered, refused or out of time.

What the answer must look like is for `client`. Sources: OpenRouter's "Errors and debugging" for what a status means and
which may be retried; RFC 9110 for `Retry-After`.
"""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import itertools
import logging
import queue
import random
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import httpx2
import msgspec
import tenacity

from llmhive.errors import BadAnswer, LLMHiveError, Refused, SettingsError, Unreachable
from llmhive.version import VERSION

_RETRIED = frozenset({408, 429})  # and every 5xx
_MOST_SAID = 65_536  # bytes read of an error's body: enough for its message
_MOST_SHOWN, _MOST_LISTED = 200, 1000  # letters of it
_PROGRESS_STEP = 65_536  # bytes
_FIRST_MILLISECONDS = 1e11  # an epoch from here on counts milliseconds (in seconds it would be the year 5138)
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{0,9})?", re.ASCII)
_NETWORK_ADVICE = "Check the network or proxy, or set OPENROUTER_BASE_URL."
_ADVICE = {
    400: "this program may be too old for the API: update it",
    401: "the key in OPENROUTER_API_KEY is missing or invalid: check it at openrouter.ai/settings/keys, or unset it, "
    "the model list needs no key",
    402: "no credits left, or the key's limit is reached: see openrouter.ai/settings/credits, or unset "
    "OPENROUTER_API_KEY, the model list needs no key",
    403: "blocked: check the rights of the key in OPENROUTER_API_KEY, the region and the proxy",
    404: "check OPENROUTER_BASE_URL",
    407: "the proxy wants a user and password: check HTTPS_PROXY",
    429: "too many requests: try again later",
}
_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "name resolution failed"),
    (ssl.SSLCertVerificationError, "its certificate is not trusted (see SSL_CERT_FILE)"),
    (ssl.SSLError, "it does not speak TLS as we do"),
    (ConnectionRefusedError, "connection refused"),
    (ConnectionResetError, "connection reset"),
    (httpx2.ConnectTimeout, "connecting took too long"),
    (httpx2.TimeoutException, "no answer in time"),
)
#: Called before each request, retries included; may wait or raise. What it returns is called when the request is over.
Pace = Callable[[], Callable[[], None]]
_Inbox = queue.SimpleQueue[httpx2.Response | tuple[bytes, int] | Exception | None]
_T = TypeVar("_T")

for _name in ("httpx2", "httpcore2"):
    # they log each response's head, in which the key may be echoed
    if logging.getLogger(_name).level == logging.NOTSET:
        logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how often we try; times in seconds."""

    #: requests for one page, the first included
    attempts: int = 5
    #: before the second request; doubles from there, of which a random part is waited ("full jitter")
    first_wait: float = 0.5
    longest_wait: float = 60.0
    connect: float = 10.0
    #: silence in the middle of an answer
    read: float = 30.0
    #: a host that never sent a status line in this run is given up after this long, all tries together
    patience: float = 15.0
    #: bytes after decompression, all pages together
    body: int = 64 * 1024 * 1024
    pages: int = 100
    #: further readings of a paged list that changed under us
    restarts: int = 3


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, whole."""

    #: 200, or 304 if conditions were sent
    status: int
    headers: httpx2.Headers
    #: decompressed
    body: bytes
    #: SHA-256 of the body
    digest: str
    #: requests sent for it, retries included
    attempts: int


class Again(Exception):
    """Another try may help; `error` is what to raise when none is left, `asked` the seconds and who asked for them."""

    def __init__(self, error: LLMHiveError, reason: str, asked: tuple[float, str] | None = None) -> None:
        super().__init__(reason)
        self.error, self.reason, self.asked = error, reason, asked


class Transport:
    """The connection to one host for one run; its arguments are those of `client.Client`."""

    def __init__(
        self,
        host: str,
        *,
        api_key: str | None,
        deadline: float,
        monotonic: Callable[[], float],
        wall: Callable[[], datetime],
        sleep: Callable[[float], None],
        random: random.Random,
        on_event: Callable[[str, Mapping[str, object]], None],
        limits: Limits,
        http: httpx2.Client | None = None,
    ) -> None:
        """`http`: the connections of another transport, to be shared with it."""
        self.host = host
        self._key = (api_key or "").strip()
        if not self._key.isascii() or not self._key.isprintable() or " " in self._key:
            # Not left to the HTTP library, whose message would quote the header.
            raise SettingsError(
                "OPENROUTER_API_KEY holds characters a key cannot have: copy it again from openrouter.ai/settings/keys."
            )
        self._deadline, self._monotonic, self._wall = deadline, monotonic, wall
        self._sleep, self._random, self._on_event, self._limits = sleep, random, on_event, limits
        self._first: float | None = None  # when the first request was sent
        self._answered = False
        self._worker: _Worker | None = None
        self._arguments: dict[str, Any] = {
            "api_key": api_key, "deadline": deadline, "monotonic": monotonic, "wall": wall, "sleep": sleep,
            "random": random, "limits": limits,
        }  # fmt: skip
        self._shares = http is not None
        if http is not None:
            self._http = http
            return
        headers = {"Accept": "application/json", "User-Agent": f"llmhive/{VERSION}"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            # HTTP/1.1: for one request at a time HTTP/2 gains nothing, and its header codec logs the key at DEBUG.
            self._http = httpx2.Client(headers=headers)
        except (OSError, ValueError, ImportError, httpx2.InvalidURL) as error:
            raise SettingsError(
                "cannot set up the connection: check the proxy and certificate variables (HTTPS_PROXY, ALL_PROXY, "
                f"SSL_CERT_FILE, SSL_CERT_DIR): {type(error).__name__}."
            ) from None  # its text may quote a password

    def close(self) -> None:
        """Close the connections."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None
        if not self._shares:
            self._http.close()

    def beside(self, on_event: Callable[[str, Mapping[str, object]], None]) -> Transport:
        """Another transport over the same connections, for another thread."""
        other = Transport(self.host, on_event=on_event, http=self._http, **self._arguments)
        # a host that answered one thread is not silent to the other
        other._answered = self._answered
        return other

    def get(
        self, url: httpx2.URL, read: Callable[[Reply], _T], conditions: Mapping[str, str], pace: Pace | None = None
    ) -> _T:
        """What `read` makes of the answer; it may raise `Again`. `conditions` are headers that may make it a 304.

        Raises `Unreachable`, `Refused`, `BadAnswer`, and whatever `pace` raises.
        """
        tries = itertools.count(1)
        retrying = tenacity.Retrying(
            sleep=self._sleep,
            stop=tenacity.stop_after_attempt(self._limits.attempts),
            wait=self._wait,
            retry=tenacity.retry_if_exception_type(Again),
            before_sleep=self._before_sleep,
            reraise=True,
        )
        try:
            return retrying(lambda: read(self._paced(url, conditions, next(tries), pace)))
        except Again as again:
            error = again.error
        # Out here, so that it has no cause or context: the HTTP library's errors quote the server, which may have
        # echoed the key, and a traceback would print them. What they know is in the message.
        raise error

    def said(self, body: bytes, most: int = _MOST_SHOWN) -> str:
        """OpenRouter's own words in an error body, at most so many letters, or ""."""
        document: object = None
        with contextlib.suppress(ValueError, RecursionError):
            document = msgspec.json.decode(body)
        error = document.get("error") if isinstance(document, dict) else None
        message = error.get("message") if isinstance(error, dict) else error
        return self.clean(message, most) if isinstance(message, str) else ""

    def clean(self, text: str, most: int = _MOST_SHOWN) -> str:
        """Foreign text made fit for a log line: one short line without the key, should they echo it."""
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        if self._key:
            text = text.replace(self._key, "[key]")
        return text[:most]

    def is_echoed(self, body: bytes) -> bool:
        """Whether a body holds the key."""
        return bool(self._key) and self._key.encode() in body

    def too_long(self) -> BadAnswer:
        """The error for more bytes than our limit."""
        most = self._limits.body
        return BadAnswer(f"{self.host} sent more than {most} bytes: not read on. Check OPENROUTER_BASE_URL.")

    def _wait(self, state: tenacity.RetryCallState) -> float:
        if (asked := _again(state).asked) is not None:
            return asked[0]
        step: float = self._limits.first_wait * 2.0 ** (state.attempt_number - 1)
        return self._random.uniform(0.0, min(self._limits.longest_wait, step))

    def _before_sleep(self, state: tenacity.RetryCallState) -> None:
        again, wait = _again(state), state.upcoming_sleep
        late = wait >= self._left()
        if isinstance(again.error, Refused) and again.error.status == 429:
            self._tell("Rate limited", seconds=round(wait, 3), status=429, attempt=state.attempt_number)
        elif not late:
            self._tell("Retrying", reason=again.reason, wait=round(wait, 3), attempt=state.attempt_number)
        if late:  # fail now: a wait that outlasts our time only makes the failure late
            if again.asked is not None:
                text = f"OpenRouter asks to wait {wait:.0f} s ({again.asked[1]}), longer than what is left of "
                text += f"SYNC_TIMEOUT_SECONDS; try again later ({again.reason})."
            else:
                whole = "SYNC_TIMEOUT_SECONDS" if self._patient() else f"{self._limits.patience:g} s without any answer"
                text = f"{again.error} (The next try would wait {wait:.1f} s, longer than what is left of {whole}.)"
            again.error.args = (text,)
            raise again

    def _paced(self, url: httpx2.URL, conditions: Mapping[str, str], attempt: int, pace: Pace | None) -> Reply:
        if pace is None:
            return self._once(url, conditions, attempt)
        end = pace()
        try:
            return self._once(url, conditions, attempt)
        finally:
            end()

    def _once(self, url: httpx2.URL, conditions: Mapping[str, str], attempt: int) -> Reply:
        """Send one request. Raises `Again` if another try may help, anything else if not."""
        started = self._monotonic()
        if self._first is None:
            self._first = started
        if self._left() <= 0:
            raise self._out_of_time()
        shown = f"{url.scheme}://{url.netloc.decode('ascii')}{url.path}"
        self._tell("Requesting", url=shown, attempt=attempt, conditional=bool(conditions))
        with self._send(url, conditions) as inbox:
            try:
                response = self._next(inbox)
            except (httpx2.HTTPError, UnicodeError) as error:  # the latter from the lookup of a name that cannot be one
                reason = self._reason(error)
                raise Again(Unreachable(f"cannot reach {self.host}: {reason}. {_NETWORK_ADVICE}"), reason) from error
            assert isinstance(response, httpx2.Response)
            self._answered = True
            status = response.status_code
            if status not in (200, 304):
                raise self._refusal(response, inbox)
            body, digest, transferred = self._read(response, inbox)
        seconds = round(self._monotonic() - started, 3)
        self._tell(
            "Received", status=status, bytes=len(body), transferred=transferred, seconds=seconds, attempt=attempt
        )
        if status == 304 and not conditions:
            raise BadAnswer(f"{self.host} answered 304 (not modified) though nothing was asked about: try again.")
        return Reply(status, response.headers, body, digest, attempt)

    @contextlib.contextmanager
    def _send(self, url: httpx2.URL, conditions: Mapping[str, str]) -> Iterator[_Inbox]:
        """Send a request in another thread; the inbox gets the response's head, its chunks, then None or an error.

        Another thread, because no timeout of the HTTP library bounds a name lookup, a header that drips in byte by
        byte, or compressed bytes that yield nothing yet. We stop listening on time, and leave that thread to itself.
        """
        inbox: _Inbox = queue.SimpleQueue()
        unheard, done = threading.Event(), threading.Event()
        left = max(self._deadline - self._monotonic(), 0.001)
        timeout = httpx2.Timeout(min(self._limits.read, left), connect=min(self._limits.connect, left))

        def fetch() -> None:
            end: Exception | None = None
            try:
                with self._http.stream("GET", url, headers=conditions, timeout=timeout) as response:
                    inbox.put(response)
                    for chunk in response.iter_bytes():
                        inbox.put((chunk, response.num_bytes_downloaded))
                        if unheard.is_set():
                            return
            except Exception as error:  # noqa: BLE001 (raised again by whoever listens)
                end = error
            # first, so that who has heard the end finds the thread free
            done.set()
            inbox.put(end)

        self._worker = worker = self._worker or _Worker()
        worker.do(fetch)
        try:
            yield inbox
        finally:
            unheard.set()
            if not done.is_set():
                # it may hang for long: the next request gets a thread of its own
                worker.end()
                self._worker = None

    def _next(self, inbox: _Inbox) -> httpx2.Response | tuple[bytes, int] | None:
        if (left := self._left()) <= 0:
            raise self._out_of_time()
        try:
            item = inbox.get(timeout=min(left, threading.TIMEOUT_MAX))
        except queue.Empty:
            raise self._out_of_time() from None
        if isinstance(item, httpx2.TimeoutException) and self._left() <= 0:
            raise self._out_of_time()
        if isinstance(item, Exception):
            raise item
        return item

    def _chunks(self, inbox: _Inbox) -> Iterator[tuple[bytes, int]]:
        while isinstance(item := self._next(inbox), tuple):
            yield item

    def _read(self, response: httpx2.Response, inbox: _Inbox) -> tuple[bytes, str, int]:
        """The body, its digest, and how many bytes it took on the wire."""
        length = response.headers.get("content-length", "")
        expected = int(length) if length.isascii() and length.isdigit() else None
        chunks, size, received, told = list[bytes](), 0, 0, 0
        # as they come, while the other thread unpacks the next
        digest = hashlib.sha256()
        try:
            for chunk, received in self._chunks(inbox):
                chunks.append(chunk)
                digest.update(chunk)
                size += len(chunk)
                if size > self._limits.body:
                    raise self.too_long()
                if received - told >= _PROGRESS_STEP:
                    told = received
                    self._tell("Progress", received=received, expected=expected)
        except httpx2.TimeoutException as error:
            reason = f"no data for {self._limits.read:g} s"
            text = f"{self.host} fell silent in the middle of its answer ({reason}). {_NETWORK_ADVICE}"
            raise Again(Unreachable(text), reason) from error
        except httpx2.HTTPError as error:
            reason = f"cut short or damaged after {size} bytes: {self._reason(error)}"
            raise Again(BadAnswer(f"the answer of {self.host} was {reason}; try again later."), reason) from error
        # a single chunk, as a compressed list often is, is not copied
        return b"".join(chunks), digest.hexdigest(), received

    def _refusal(self, response: httpx2.Response, inbox: _Inbox) -> Exception:
        """What an error status means: `Again` for one that may pass, else `Refused`."""
        status, headers = response.status_code, response.headers
        body = bytearray()
        with contextlib.suppress(httpx2.HTTPError, LLMHiveError):  # half a reason is better than losing the status
            for chunk, _ in self._chunks(inbox):
                body += chunk
                if len(body) > _MOST_SAID:
                    break
        # a bad request may list all that would have been a good one
        said, reason = self.said(bytes(body), _MOST_LISTED if status == 400 else _MOST_SHOWN), f"HTTP {status}"
        quoted = f' It says: "{said}"' if said else ""
        if 200 <= status < 300:
            error = BadAnswer(f"{self.host} answered {status} instead of 200; try again later.{quoted}")
            return Again(error, reason)
        if 300 <= status < 400:
            to = self.clean(headers.get("location", "")) or "nowhere"
            advice = f"it redirects to {to}, which is not followed: check OPENROUTER_BASE_URL"
        else:
            advice = _ADVICE.get(status) or ("it has trouble: try again later" if status >= 500 else "not retried")
        refused = Refused(f"{self.host} answered {status}: {advice}.{quoted}", status)
        if status in _RETRIED or status >= 500:
            return Again(refused, reason, _asked(headers, self._wall()))
        return refused

    def _left(self) -> float:
        """Seconds until we give up: the run's deadline, or sooner for a host that never answered."""
        end = self._deadline if self._patient() else (self._first or 0.0) + self._limits.patience
        return end - self._monotonic()

    def _patient(self) -> bool:
        """Whether it is the deadline that bounds us, not the patience with a silent host."""
        return self._answered or self._first is None or self._first + self._limits.patience >= self._deadline

    def _out_of_time(self) -> Unreachable:
        if self._patient():
            late = "gave no whole answer before SYNC_TIMEOUT_SECONDS ran out: try again later, or raise it."
            return Unreachable(f"{self.host} {late}")
        return Unreachable(f"cannot reach {self.host}: no answer within {self._limits.patience:g} s. {_NETWORK_ADVICE}")

    def _reason(self, error: Exception) -> str:
        for cause in _causes(error):
            for kind, text in _REASONS:
                if isinstance(cause, kind):
                    return text
        return self.clean(str(error)).rstrip(".") or type(error).__name__

    def _tell(self, event: str, **fields: object) -> None:
        self._on_event(event, {k: self.clean(v) if isinstance(v, str) else v for k, v in fields.items()})


def http_date(text: str) -> datetime | None:
    """A time as HTTP headers write it, or None if it is none."""
    with contextlib.suppress(ValueError, OverflowError):
        at = email.utils.parsedate_to_datetime(text)
        # "-0000" parses to a naive time, which is in UTC all the same
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return None


class _Worker:
    """A thread that is kept, since starting one costs as much as a small request."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        # a daemon: a lookup that hangs must not keep the process
        threading.Thread(target=self._work, name="openrouter", daemon=True).start()

    def do(self, task: Callable[[], None]) -> None:
        """Do a task after those before it."""
        self._tasks.put(task)

    def end(self) -> None:
        """End the thread when it is through."""
        self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()


def server_clock(headers: httpx2.Headers, now: datetime) -> datetime | None:
    """The server's present by its Date, or by Date and for how long a cache kept the answer: what is nearer to `now`.

    Caches differ in whether they renew the Date of what they keep.
    """
    at, age = http_date(headers.get("date", "")), headers.get("age", "")
    if at is None or not re.fullmatch("[0-9]{1,7}", age, re.ASCII):
        return at
    with contextlib.suppress(OverflowError):
        return min(at, at + timedelta(seconds=int(age)), key=lambda moment: abs(moment - now))
    return at


def _again(state: tenacity.RetryCallState) -> Again:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, Again)
    return error


def _asked(headers: httpx2.Headers, now: datetime) -> tuple[float, str] | None:
    """The wait the server asks for in seconds, and in which header; None if it asks for none we understand."""
    text = headers.get("retry-after", "").strip()
    if _NUMBER.fullmatch(text):
        return max(0.0, float(text)), "Retry-After"
    if (at := http_date(text)) is not None:
        return max(0.0, (at - now).total_seconds()), "Retry-After"
    text = headers.get("x-ratelimit-reset", "").strip()
    if _NUMBER.fullmatch(text):
        epoch = float(text)
        epoch = epoch / 1000 if epoch >= _FIRST_MILLISECONDS else epoch
        return max(0.0, epoch - now.timestamp()), "X-RateLimit-Reset"
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The innermost first: it knows best what went wrong."""
    if error is not None:
        yield from _causes(error.__cause__ or error.__context__)
        yield error
