"""The only door to OpenRouter, over real sockets; waits are recorded, not slept."""

from __future__ import annotations

import email.utils
import gzip
import itertools
import json
import logging
import random
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import brotli  # type: ignore[import-untyped]
import httpx2
import pytest

from llmhive.app.openrouter.client import Answer, Client, Limits, Pong, _origin
from llmhive.errors import BadAnswer, LLMHiveError, Refused, SettingsError, Unreachable
from llmhive.version import VERSION as __version__  # noqa: N811
from tests import fake_openrouter as fakes
from tests.fake_openrouter import FakeOpenRouter, Request, Response, catalog, dump, model, ok, paged, status

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

KEY = "sk-or-v1-0123456789abcdef0123456789abcdef"
NOW = datetime(2026, 10, 1, 12, 0, tzinfo=UTC)
BODY = catalog(model("acme/one"), model("acme/two"))
RECORDS = [model(f"acme/m{n}") for n in range(5)]


class Highest(random.Random):
    """Full jitter's upper end, so that waits are known."""

    def uniform(self, a: float, b: float) -> float:
        return b


@dataclass
class Probe:
    """A client's surroundings: a clock that only sleeping moves, and what it was told."""

    now: float = 1000.0
    sleeps: list[float] = field(default_factory=list)
    events: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds

    def tell(self, event: str, fields: Mapping[str, object]) -> None:
        self.events.append((event, fields))

    def of(self, event: str) -> list[Mapping[str, object]]:
        return [fields for name, fields in self.events if name == event]

    def client(self, base_url: str, *, budget: float = 300.0, **options: Any) -> Client:
        """A client on this clock."""
        options = {"random": Highest(), "wall": lambda: NOW, **options}
        return Client(
            base_url,
            deadline=self.now + budget,
            monotonic=lambda: self.now,
            sleep=self.sleep,
            on_event=self.tell,
            **options,
        )

    def timed(self, base_url: str, *, budget: float = 300.0, **options: Any) -> Client:
        """A client on the real clock, still without sleeping."""
        return Client(
            base_url,
            deadline=time.monotonic() + budget,
            wall=lambda: NOW,
            sleep=self.sleeps.append,
            random=Highest(),
            on_event=self.tell,
            **options,
        )


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def fake() -> Iterator[FakeOpenRouter]:
    with FakeOpenRouter() as server:
        yield server


@pytest.fixture
def probe() -> Probe:
    return Probe()


def ask(fake: FakeOpenRouter, probe: Probe, **options: Any) -> Answer:
    with probe.client(fake.base_url, **options) as client:
        return client.models()


E = TypeVar("E", bound=LLMHiveError)


def fail(kind: type[E], fake: FakeOpenRouter, probe: Probe, **options: Any) -> E:
    with pytest.raises(kind) as caught:
        ask(fake, probe, **options)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    return caught.value


# --- a good answer


def test_the_body_comes_as_served(fake: FakeOpenRouter, probe: Probe) -> None:
    odd = b' {"data": [ {"id":"a/b", "n": 1.10},\t{} ],\n"later":{"x":[1]}}\n'
    fake.serve(ok(odd, etag='W/"v1"', last_modified="Wed, 30 Sep 2026 08:00:00 GMT"))
    assert ask(fake, probe) == Answer(200, odd, 'W/"v1"', "Wed, 30 Sep 2026 08:00:00 GMT", 1, 1)
    assert probe.sleeps == []


def test_what_is_asked_for(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve(BODY)
    ask(fake, probe, api_key=KEY)
    ask(fake, probe)
    ask(fake, probe, api_key="  ")
    with_key, without, blank = fake.requests
    assert (with_key.path, with_key.query) == ("/api/v1/models", {"output_modalities": "all"})
    assert with_key.headers["accept"] == "application/json"
    assert with_key.headers["user-agent"] == f"llmhive/{__version__}"
    assert with_key.headers["authorization"] == f"Bearer {KEY}"
    assert "gzip" in with_key.headers["accept-encoding"]
    for request in (without, blank):
        assert not {"authorization", "if-none-match", "if-modified-since", "cookie"} & request.headers.keys()


@pytest.mark.parametrize("tail", ["", "/", "//"])
def test_a_slash_after_the_base_url_does_not_matter(fake: FakeOpenRouter, probe: Probe, tail: str) -> None:
    fake.serve(BODY)
    with probe.client(fake.base_url + tail) as client:
        assert client.models().body == BODY


@pytest.mark.parametrize(
    ("coding", "pack"), [("gzip", gzip.compress), ("br", brotli.compress), ("zstd", zstd.compress)]
)
def test_compressed_bodies_are_unpacked(
    fake: FakeOpenRouter, probe: Probe, coding: str, pack: Callable[[bytes], bytes]
) -> None:
    packed = pack(BODY)
    fake.serve(Response(200, packed, {"Content-Encoding": coding, "Content-Type": "application/json"}))
    assert ask(fake, probe).body == BODY
    assert probe.of("Received")[0] == {
        "status": 200,
        "bytes": len(BODY),
        "transferred": len(packed),
        "seconds": 0,
        "attempt": 1,
    }


def test_a_chunked_body(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve(replace(ok(BODY), chunked=True))
    assert ask(fake, probe).body == BODY


def test_one_connection_is_kept(fake: FakeOpenRouter, probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    connect = socket.create_connection

    def counted(address: tuple[str, int], *args: Any, **options: Any) -> socket.socket:
        made.append(address)
        return connect(address, *args, **options)

    monkeypatch.setattr(socket, "create_connection", counted)
    fake.serve([status(503), paged(RECORDS, 1)])
    assert ask(fake, probe).attempts == 6
    assert len(made) == 1


def test_progress_is_told_at_most_every_64_kib(fake: FakeOpenRouter, probe: Probe) -> None:
    body = dump({"data": [{"id": "a/b", "text": "x" * 300_000}]})
    fake.serve(body)
    ask(fake, probe)
    received = [fields["received"] for fields in probe.of("Progress")]
    assert 1 <= len(received) <= 4
    steps = [0, *received]
    assert all(isinstance(b, int) and isinstance(a, int) and b - a >= 65_536 for a, b in itertools.pairwise(steps))
    assert {fields["expected"] for fields in probe.of("Progress")} == {len(body)}
    assert [name for name, _ in probe.events if name != "Progress"] == ["Requesting", "Received"]

    probe.events.clear()
    fake.serve(replace(ok(body), chunked=True))
    ask(fake, probe)
    assert {fields["expected"] for fields in probe.of("Progress")} == {None}


def test_the_proxy_variables_are_honoured(fake: FakeOpenRouter, probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.serve(BODY)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{fake.port}")
    with probe.client("http://openrouter.invalid/api/v1") as client:
        assert client.models().body == BODY
    assert fake.requests[0].origin == "http://openrouter.invalid"


# --- conditional requests


def test_an_unchanged_list_is_a_304(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve(ok(BODY, etag='"v1"', last_modified="Wed, 30 Sep 2026 08:00:00 GMT"))
    with probe.client(fake.base_url) as client:
        first = client.models()
        again = client.models(etag=first.etag, last_modified=first.last_modified)
        other = client.models(etag='"v0"')
    assert again == Answer(304, b"", '"v1"', "Wed, 30 Sep 2026 08:00:00 GMT", 1, 1)
    assert (other.status, other.body) == (200, BODY)
    _, second, _ = fake.requests
    assert second.headers["if-none-match"] == '"v1"'
    assert second.headers["if-modified-since"] == "Wed, 30 Sep 2026 08:00:00 GMT"
    assert [fields["conditional"] for fields in probe.of("Requesting")] == [False, True, True]


def test_a_bare_304_keeps_the_validators_sent(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve(Response(304))
    with probe.client(fake.base_url) as client:
        assert client.models(etag='"v1"') == Answer(304, b"", '"v1"', None, 1, 1)
        assert client.models(last_modified="then") == Answer(304, b"", None, "then", 1, 1)


def test_a_304_to_an_unconditional_request_is_a_bad_answer(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve(Response(304))
    assert "304" in str(fail(BadAnswer, fake, probe))
    assert len(fake.requests) == 1


@pytest.mark.parametrize("etag", ["", '"a\r\nX-Evil: 1"', '"é"', "\x7f"])
def test_a_validator_that_cannot_be_sent_is_not(fake: FakeOpenRouter, probe: Probe, etag: str) -> None:
    fake.serve(BODY)
    with probe.client(fake.base_url) as client:
        assert client.models(etag=etag).status == 200
    assert "if-none-match" not in fake.requests[0].headers


def test_a_validator_that_could_not_be_sent_back_is_dropped(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve(ok(BODY, etag='"é"'))
    assert ask(fake, probe).etag is None


# --- retries and waits

RETRIED = [408, 429, 500, 502, 503, 504, 520, 524, 529, 599]
REFUSED = [400, 401, 402, 403, 404, 405, 409, 410, 413, 418, 422, 451]


@pytest.mark.parametrize("code", RETRIED)
def test_a_passing_trouble_is_retried(fake: FakeOpenRouter, probe: Probe, code: int) -> None:
    fake.serve([status(code), status(code), ok(BODY)])
    assert ask(fake, probe) == Answer(200, BODY, None, None, 3, 1)
    assert probe.sleeps == [0.5, 1.0]
    if code == 429:
        assert probe.of("Rate limited") == [
            {"seconds": 0.5, "status": 429, "attempt": 1},
            {"seconds": 1.0, "status": 429, "attempt": 2},
        ]
        assert not probe.of("Retrying")
    else:
        assert probe.of("Retrying") == [
            {"reason": f"HTTP {code}", "wait": 0.5, "attempt": 1},
            {"reason": f"HTTP {code}", "wait": 1.0, "attempt": 2},
        ]
        assert not probe.of("Rate limited")


@pytest.mark.parametrize("code", RETRIED)
def test_a_lasting_trouble_is_refused_without_a_last_sleep(fake: FakeOpenRouter, probe: Probe, code: int) -> None:
    fake.serve(status(code))
    error = fail(Refused, fake, probe)
    assert error.status == code
    assert str(code) in str(error)
    assert f"Fake error {code}" in str(error)
    assert len(fake.requests) == 5
    assert probe.sleeps == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize("code", REFUSED)
def test_a_refusal_is_not_retried(fake: FakeOpenRouter, probe: Probe, code: int) -> None:
    fake.serve(status(code))
    error = fail(Refused, fake, probe)
    assert error.status == code
    assert f"127.0.0.1 answered {code}" in str(error)
    assert f"Fake error {code}" in str(error)
    assert len(fake.requests) == 1
    assert probe.sleeps == []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (401, ["OPENROUTER_API_KEY", "openrouter.ai/settings/keys", "needs no key"]),
        (402, ["credits", "limit", "OPENROUTER_API_KEY"]),
        (403, ["blocked", "region"]),
        (404, ["OPENROUTER_BASE_URL"]),
        (407, ["HTTPS_PROXY"]),
        (429, ["try again later"]),
        (503, ["try again later"]),
    ],
)
def test_a_refusal_says_what_to_do(fake: FakeOpenRouter, probe: Probe, code: int, words: list[str]) -> None:
    fake.serve(status(code))
    text = str(fail(Refused, fake, probe))
    assert all(word in text for word in words), text


@pytest.mark.parametrize("code", [300, 301, 302, 303, 307, 308])
def test_a_redirect_is_named_and_not_followed(fake: FakeOpenRouter, probe: Probe, code: int) -> None:
    fake.serve(status(code, {"Location": "https://elsewhere.example/models"}, html="moved"))
    error = fail(Refused, fake, probe, api_key=KEY)
    assert error.status == code
    assert "https://elsewhere.example/models" in str(error)
    assert len(fake.requests) == 1


@pytest.mark.parametrize("code", [201, 204, 206])
def test_another_success_is_a_bad_answer(fake: FakeOpenRouter, probe: Probe, code: int) -> None:
    fake.serve(Response(code))
    assert str(code) in str(fail(BadAnswer, fake, probe))
    assert len(fake.requests) == 5


def test_the_wait_is_jittered_fully_and_capped(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve(status(500))
    fail(Refused, fake, probe, budget=10_000, limits=Limits(attempts=10))
    assert probe.sleeps == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]

    drawn: list[tuple[float, float]] = []

    class Spy(random.Random):
        def uniform(self, a: float, b: float) -> float:
            drawn.append((a, b))
            return a + (b - a) / 4

    probe.sleeps.clear()
    fail(Refused, fake, probe, random=Spy())
    assert drawn[:4] == [(0.0, 0.5), (0.0, 1.0), (0.0, 2.0), (0.0, 4.0)]
    assert probe.sleeps == [0.125, 0.25, 0.5, 1.0]


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": " 1.5 "}, 1.5),
        ({"Retry-After": "90"}, 90.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "-5"}, 0.0),
        ({"Retry-After": email.utils.format_datetime(NOW + timedelta(seconds=42), usegmt=True)}, 42.0),
        ({"Retry-After": "Thu, 01 Oct 2026 12:00:42 -0000"}, 42.0),
        ({"Retry-After": email.utils.format_datetime(NOW - timedelta(days=1), usegmt=True)}, 0.0),
        ({"Retry-After": "soon"}, 0.5),
        ({"Retry-After": ""}, 0.5),
        ({"Retry-After": "nan"}, 0.5),
        ({"Retry-After": "inf"}, 0.5),
        ({"Retry-After": "1e3"}, 0.5),
        ({"Retry-After": "٣"}, 0.5),
        ({"Retry-After": "9" * 400}, 0.5),
        ({"Retry-After": "Thu, 99 Foo 2026 12:00:42 GMT"}, 0.5),
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) + 9)}, 9.0),
        ({"X-RateLimit-Reset": str(int(NOW.timestamp() * 1000) + 2500)}, 2.5),
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) - 9)}, 0.0),
        ({"X-RateLimit-Reset": "tomorrow"}, 0.5),
        ({"Retry-After": "3", "X-RateLimit-Reset": str(int(NOW.timestamp()) + 9)}, 3.0),
        ({"Retry-After": "soon", "X-RateLimit-Reset": str(int(NOW.timestamp()) + 9)}, 9.0),
    ],
)
@pytest.mark.parametrize("code", [429, 503])
def test_the_wait_asked_for_is_kept(
    fake: FakeOpenRouter, probe: Probe, headers: dict[str, str], wait: float, code: int
) -> None:
    sent = {name: value.encode().decode("latin-1") for name, value in headers.items()}
    fake.serve([status(code, sent), ok(BODY)])
    assert ask(fake, probe).attempts == 2
    assert probe.sleeps == [pytest.approx(wait, abs=1e-6)]


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        (
            {"Retry-After": "3600"},
            "asks to wait 3600 s (Retry-After), longer than what is left of SYNC_TIMEOUT_SECONDS",
        ),
        ({"Retry-After": "300"}, "asks to wait 300 s (Retry-After)"),  # would end at the deadline: no time to ask
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) + 600)}, "asks to wait 600 s (X-RateLimit-Reset)"),
        ({"Retry-After": "Fri, 01 Oct 2027 12:00:00 GMT"}, "asks to wait 31536000 s"),
    ],
)
@pytest.mark.parametrize("code", [429, 503])
def test_a_wait_longer_than_our_time_fails_at_once(
    fake: FakeOpenRouter, probe: Probe, headers: dict[str, str], words: str, code: int
) -> None:
    fake.serve(status(code, headers))
    error = fail(Refused, fake, probe)
    assert error.status == code
    assert words in str(error)
    assert "try again later" in str(error)
    assert f"HTTP {code}" in str(error)
    assert probe.sleeps == []
    assert len(fake.requests) == 1
    assert len(probe.of("Rate limited")) == (code == 429)
    assert not probe.of("Retrying")


def test_our_own_wait_is_not_begun_either_if_it_outlasts_our_time(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve(status(502))
    error = fail(Refused, fake, probe, budget=3.5)
    assert probe.sleeps == [0.5, 1.0]
    assert len(fake.requests) == 3
    assert "would wait 2.0 s, longer than what is left of SYNC_TIMEOUT_SECONDS" in str(error)


def test_nothing_is_sent_after_the_deadline(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve(BODY)
    assert "SYNC_TIMEOUT_SECONDS" in str(fail(Unreachable, fake, probe, budget=0.0))
    assert fake.requests == []


# --- bodies that are not the list


def test_a_hiccup_of_the_edge_is_retried(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve([fakes.html_200(), fakes.error_200(), Response(), ok(b"[]"), ok(BODY)])
    assert ask(fake, probe).attempts == 5
    reasons = [str(fields["reason"]) for fields in probe.of("Retrying")]
    assert reasons[:2] == ["an HTML page", "an error: Internal Server Error"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no readable JSON list"),
        (b"null", "no readable JSON list"),
        (b"OK", "no readable JSON list"),
        (b"[]", "no readable JSON list"),
        (b'{"data":[1,2', "no readable JSON list"),
        (b'{"data":{}}', "no readable JSON list"),
        (b'{"data":[]} {}', "no readable JSON list"),
        (b'{"data":[' + b"[" * 100_000, "no readable JSON list"),
        (b"\x1f\x8b\x08\x00", "no readable JSON list"),
        (b"{}", "JSON without a data list"),
        (b'{"data":null}', "JSON without a data list"),
        (b"  <html><title>502</title>", "an HTML page"),
        (b'{"error":{"code":500,"message":"It\\u0000 broke\\n\\u202enow"}}', "an error: It broke now;"),
        (b'{"error":"It broke"}', "an error: It broke;"),
        (b'{"error":{"code":500}}', "an error: {'code': 500};"),
        (b'{"data":[],"error":{"message":"half of it"}}', "an error: half of it;"),
    ],
)
def test_a_200_without_the_list_ends_as_a_bad_answer(
    fake: FakeOpenRouter, probe: Probe, body: bytes, words: str
) -> None:
    fake.serve(ok(body))
    error = fail(BadAnswer, fake, probe)
    assert words in str(error)
    assert len(fake.requests) == 5
    assert probe.sleeps == [0.5, 1.0, 2.0, 4.0]


def test_an_html_page_says_so(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve(fakes.html_200())
    assert "an HTML page" in str(fail(BadAnswer, fake, probe))


@pytest.mark.parametrize(
    "envelope",
    [
        {},
        {"error": None},
        {"total_count": "many", "links": []},
        {"total_count": None, "links": None},
        {"total_count": 1.5, "links": "next"},
        {"total_count": [1], "links": {"next": None}},
        {"total_count": True, "links": {"next": ""}},
        {"total_count": 10**30, "links": {"next": 7}},
        {"total_count": {}, "links": {"next": ["/x"]}},
        {"links": {"next": False, "prev": "/x"}},
    ],
)
def test_odd_types_around_the_list_do_not_cost_it(fake: FakeOpenRouter, probe: Probe, envelope: dict[str, Any]) -> None:
    body = dump({"data": [model("a/b")], **envelope})
    fake.serve(body)
    assert ask(fake, probe) == Answer(200, body, None, None, 1, 1)


# --- cut short

LONG = catalog(*(model(f"acme/m{n}") for n in range(200)))


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fakes.cut(LONG, len(LONG) // 2), id="content-length"),
        pytest.param(fakes.cut(LONG, 0), id="no-body"),
        pytest.param(fakes.cut(LONG, len(LONG) - 1), id="last-byte"),
        pytest.param(fakes.cut(LONG, len(LONG) // 2, chunked=True), id="chunked"),
        pytest.param(fakes.cut(LONG, 0, chunked=True), id="chunked-no-body"),
        pytest.param(fakes.cut(LONG, 500, gzip=True), id="gzip"),
        pytest.param(fakes.cut(LONG, 500, gzip=True, chunked=True), id="gzip-chunked"),
        pytest.param(fakes.reset(LONG, 100), id="reset"),
        pytest.param(fakes.bad_gzip(LONG), id="broken-gzip"),
        pytest.param(fakes.bad_gzip(LONG, truncated=True), id="short-gzip"),
        pytest.param(fakes.raw(b"HTTP/1.0 200 OK\r\n\r\n" + LONG[:5000]), id="no-length-at-all"),
        pytest.param(fakes.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}"), id="broken-chunk"),
    ],
)
def test_a_body_cut_short_is_retried_then_bad(fake: FakeOpenRouter, probe: Probe, fault: Response) -> None:
    fake.serve([fault, fault, ok(LONG)])
    answer = ask(fake, probe)
    assert (answer.body, answer.attempts) == (LONG, 3)
    assert probe.sleeps == [0.5, 1.0]

    fake.serve(fault)
    error = fail(BadAnswer, fake, probe)
    assert "cut short" in str(error) or "no readable JSON list" in str(error)
    assert len(fake.requests) == 3 + 5


@pytest.mark.parametrize("packed", [False, True])
def test_a_body_too_long_is_not_read_on(fake: FakeOpenRouter, probe: Probe, packed: bool) -> None:
    body = dump({"data": ["x" * 3_000_000]})
    fake.serve(ok(body, gzip=packed))
    assert "more than 2000000 bytes" in str(fail(BadAnswer, fake, probe, limits=Limits(body=2_000_000)))
    assert len(fake.requests) == 1
    assert ask(fake, probe, limits=Limits(body=len(body))).body == body


def test_an_error_page_is_read_no_further_than_its_message(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve(status(400, html="x" * 5_000_000))
    assert fail(Refused, fake, probe).status == 400


@pytest.mark.parametrize("fault", [fakes.cut(b"x" * 100, 5), fakes.reset(b"x" * 100, 5)])
def test_an_error_status_counts_even_if_its_body_is_cut(fake: FakeOpenRouter, probe: Probe, fault: Response) -> None:
    fake.serve(replace(fault, status=402))
    assert fail(Refused, fake, probe).status == 402


# --- no answer


def test_a_reset_is_retried(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve([fakes.reset(), fakes.reset(), ok(BODY)])
    assert ask(fake, probe).attempts == 3
    assert {fields["reason"] for fields in probe.of("Retrying")} == {"connection reset"}


@pytest.mark.parametrize("data", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 2"])
def test_what_is_not_http_is_unreachable(fake: FakeOpenRouter, probe: Probe, data: bytes) -> None:
    fake.serve(fakes.raw(data))
    assert "cannot reach 127.0.0.1: " in str(fail(Unreachable, fake, probe))
    assert len(fake.requests) == 5


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_nobody_listens(probe: Probe) -> None:
    with probe.client(f"http://127.0.0.1:{free_port()}/api/v1") as client, pytest.raises(Unreachable) as caught:
        client.models()
    assert str(caught.value) == (
        "cannot reach 127.0.0.1: connection refused. Check the network or proxy, or set OPENROUTER_BASE_URL."
    )
    assert probe.sleeps == [0.5, 1.0, 2.0, 4.0]


def test_patience_with_a_host_that_never_answered(probe: Probe) -> None:
    limits = Limits(patience=3.0)
    with (
        probe.client(f"http://127.0.0.1:{free_port()}/", limits=limits) as client,
        pytest.raises(Unreachable) as caught,
    ):
        client.models()
    assert probe.sleeps == [0.5, 1.0]  # the next, 2 s, would end after 3 s
    assert "connection refused" in str(caught.value)
    assert "longer than what is left of 3 s without any answer" in str(caught.value)


def test_patience_with_a_silent_host(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve(fakes.never())
    started = time.monotonic()
    with probe.timed(fake.base_url, limits=Limits(patience=0.1)) as client, pytest.raises(Unreachable) as caught:
        client.models()
    assert 0.1 <= time.monotonic() - started < 0.8
    assert str(caught.value).startswith("cannot reach 127.0.0.1: no answer within 0.1 s. Check the network")
    assert len(fake.requests) == 1


def test_patience_is_endless_once_the_host_has_answered(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve([status(503, {"Retry-After": "100"}), fakes.reset(), ok(BODY)])
    assert ask(fake, probe, limits=Limits(patience=1.0)).attempts == 3
    assert probe.sleeps == [100.0, 1.0]


def test_patience_does_not_start_before_the_first_request(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve([fakes.reset(), ok(BODY)])
    with probe.client(fake.base_url, limits=Limits(patience=1.0)) as client:
        probe.now += 100
        assert client.models().attempts == 2


def test_a_name_that_does_not_resolve(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(*_: object, **__: object) -> object:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with probe.client("https://openrouter.ai/api/v1") as client, pytest.raises(Unreachable) as caught:
        client.models()
    assert str(caught.value) == (
        "cannot reach openrouter.ai: name resolution failed. Check the network or proxy, or set OPENROUTER_BASE_URL."
    )


def test_a_name_lookup_that_hangs(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def lookup(*_: object, **__: object) -> object:
        release.wait(10)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    started = time.monotonic()
    try:
        with (
            probe.timed("http://openrouter.ai/api/v1", limits=Limits(patience=0.1)) as client,
            pytest.raises(Unreachable, match=r"no answer within 0\.1 s"),
        ):
            client.models()
        assert time.monotonic() - started < 0.8
    finally:
        release.set()


def test_tls_to_a_server_without(fake: FakeOpenRouter, probe: Probe) -> None:
    with (
        probe.client(fake.base_url.replace("http:", "https:"), limits=Limits(attempts=1)) as client,
        pytest.raises(Unreachable, match="TLS"),
    ):
        client.models()


def drip(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    "served",
    [
        pytest.param(fakes.slow(LONG, 1, 0.02), id="body"),
        pytest.param(fakes.slow(LONG, 1, 0.02, gzip=True), id="gzip"),
        pytest.param(replace(fakes.slow(LONG, 1, 0.02), chunked=True), id="chunked"),
        pytest.param(fakes.raw(drip(LONG), 1, 0.02), id="header"),
        pytest.param(fakes.never(), id="silence"),
        pytest.param(replace(fakes.slow(LONG, 1000, 60.0)), id="stalled-body"),
    ],
)
def test_an_answer_is_cut_at_the_deadline(fake: FakeOpenRouter, probe: Probe, served: Response) -> None:
    fake.serve(served)
    started = time.monotonic()
    with probe.timed(fake.base_url, budget=0.3) as client, pytest.raises(Unreachable) as caught:
        client.models()
    assert 0.3 <= time.monotonic() - started < 0.9
    assert str(caught.value).startswith("127.0.0.1 gave no whole answer before SYNC_TIMEOUT_SECONDS ran out")
    assert probe.sleeps == []
    assert len(fake.requests) == 1


def test_an_error_whose_body_drips_is_still_that_error(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve(replace(fakes.slow(b"x" * 1000, 1, 0.02), status=403))
    with probe.timed(fake.base_url, budget=0.2) as client, pytest.raises(Refused, match="403"):
        client.models()


@pytest.mark.parametrize(
    ("fault", "words"),
    [(fakes.never(), "no answer in time"), (fakes.slow(LONG, 100, 60.0), "fell silent in the middle of its answer")],
)
def test_silence_is_retried_while_time_is_left(fake: FakeOpenRouter, probe: Probe, fault: Response, words: str) -> None:
    limits = Limits(read=0.05, attempts=2)
    fake.serve([fault, ok(BODY)])
    assert ask(fake, probe, limits=limits).attempts == 2
    fake.serve(fault)
    assert words in str(fail(Unreachable, fake, probe, limits=limits))


# --- pages


@pytest.mark.parametrize("relative", [False, True])
def test_pages_are_joined_byte_for_byte(fake: FakeOpenRouter, probe: Probe, relative: bool) -> None:
    fake.serve(paged(RECORDS, 2, relative=relative))
    answer = ask(fake, probe)
    assert answer.body == catalog(*RECORDS)
    assert (answer.status, answer.pages, answer.attempts) == (200, 3, 3)
    assert [request.query.get("offset") for request in fake.requests] == [None, "2", "4"]
    assert all(request.query["output_modalities"] == "all" for request in fake.requests)


def turn(request: Request, *pages: bytes) -> Response:
    """Page by `?page=`."""
    return ok(pages[int(request.query.get("page", "0"))], etag='"page"')


def test_a_joined_record_keeps_its_spelling(fake: FakeOpenRouter, probe: Probe) -> None:
    one, two = b'{ "id":"a/b", "x":1.10E+2,"\\u0061":"\xc3\xa9" }', b'{"id":7}'
    first = b'{"links":{"next":"?page=1"},"data":[' + one + b" , 1 ]}"
    last = b'{"data":[\n' + two + b',null],"links":null}'
    fake.serve(lambda request: turn(request, first, last))
    answer = ask(fake, probe)
    assert answer == Answer(200, b'{"data":[' + one + b",1," + two + b',null],"links":{"next":null}}', None, None, 2, 2)
    assert json.loads(answer.body)["data"][0]["x"] == 110


def test_only_the_first_page_is_conditional(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve(paged(RECORDS, 3))
    with probe.client(fake.base_url) as client:
        client.models(etag='"v1"')
    assert ["if-none-match" in request.headers for request in fake.requests] == [True, False]


def test_an_unchanged_first_page_is_an_unchanged_list(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve(lambda request: replace(paged(RECORDS, 3)(request), headers={"ETag": '"v1"'}))
    with probe.client(fake.base_url) as client:
        assert client.models(etag='"v1"').status == 304
    assert len(fake.requests) == 1


def test_a_page_is_retried_by_itself(fake: FakeOpenRouter, probe: Probe) -> None:
    pages = paged(RECORDS, 3)
    fake.serve([pages, status(503), fakes.cut(LONG, 9), pages])
    answer = ask(fake, probe)
    assert (answer.body, answer.attempts, answer.pages) == (catalog(*RECORDS), 4, 2)


def linked(to: str) -> bytes:
    return dump({"data": [model("a/b")], "total_count": 2, "links": {"next": to}})


@pytest.mark.parametrize(
    "to",
    [
        "https://elsewhere.example/api/v1/models?offset=1",
        "//elsewhere.example/x",
        "https://{host}/api/v1/models?offset=1",
        "http://127.0.0.1:1/api/v1/models?offset=1",
        "http://localhost:{port}/api/v1/models?offset=1",
        "http://user:pass@{host}/api/v1/models?offset=1",
        "http://{host}@elsewhere.example/",
        "file:///etc/passwd",
        "javascript:alert(1)",
    ],
)
def test_a_next_page_elsewhere_is_not_followed(fake: FakeOpenRouter, probe: Probe, to: str) -> None:
    fake.serve(linked(to.format(host=f"127.0.0.1:{fake.port}", port=fake.port)))
    assert "elsewhere" in str(fail(BadAnswer, fake, probe, api_key=KEY))
    assert len(fake.requests) == 1


def test_the_scheme_s_own_port_may_be_written_out() -> None:
    def origin(text: str) -> tuple[str, str, int | None]:
        return _origin(httpx2.URL(text))

    assert (
        origin("https://openrouter.ai:443/a") == origin("https://OpenRouter.ai/b") == ("https", "openrouter.ai", None)
    )


@pytest.mark.parametrize("to", ["http://[oops", "http://h:99999999/", "\x00", "http://a\nb/"])
def test_a_next_page_that_is_no_url(fake: FakeOpenRouter, probe: Probe, to: str) -> None:
    fake.serve(linked(to))
    fail(BadAnswer, fake, probe)
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    "to", ["/api/v1/models?output_modalities=all", "?output_modalities=all#again", "models?output_modalities=all"]
)
def test_a_loop_of_pages_ends(fake: FakeOpenRouter, probe: Probe, to: str) -> None:
    fake.serve(linked(to))
    assert "already read" in str(fail(BadAnswer, fake, probe))
    assert len(fake.requests) == 1


def test_a_longer_loop_of_pages_ends(fake: FakeOpenRouter, probe: Probe) -> None:
    def answer(request: Request) -> Response:
        page = int(request.query.get("page", "0"))
        return ok(dump({"data": [], "links": {"next": f"?page={page % 3 + 1}"}}))

    fake.serve(answer)
    assert "already read" in str(fail(BadAnswer, fake, probe))
    assert len(fake.requests) == 4


def test_pages_without_end_end(fake: FakeOpenRouter, probe: Probe) -> None:
    many = [model(f"acme/m{n}") for n in range(20)]
    fake.serve(paged(many, 1))
    assert "more than 4 pages" in str(fail(BadAnswer, fake, probe, limits=Limits(pages=4)))
    assert len(fake.requests) == 4
    assert ask(fake, probe, limits=Limits(pages=20)).pages == 20
    assert Limits().pages == 100


def test_all_pages_together_may_not_be_too_long(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve(paged(RECORDS, 1))
    size = len(catalog(RECORDS[0]))
    assert "more than" in str(fail(BadAnswer, fake, probe, limits=Limits(body=3 * size)))


def changing(request: Request, *, total: object = 2, second: str = "a/two") -> Response:
    if "page" in request.query:
        return ok(dump({"data": [{"id": second}], "total_count": total}))
    return ok(dump({"data": [{"id": "a/one"}], "total_count": 2, "links": {"next": "?page=1"}}))


@pytest.mark.parametrize("change", [{"total": 3}, {"second": "a/one"}])
def test_a_list_that_changes_while_it_is_read_is_read_again(
    fake: FakeOpenRouter, probe: Probe, change: dict[str, Any]
) -> None:
    fake.serve([changing, lambda request: changing(request, **change), changing])
    answer = ask(fake, probe)
    assert (answer.body, answer.pages, answer.attempts) == (catalog({"id": "a/one"}, {"id": "a/two"}), 2, 4)

    fake.serve(lambda request: changing(request, **change))
    assert "the list changed while it was being read" in str(fail(BadAnswer, fake, probe))
    assert len(fake.requests) == 4 + 8  # from page one again at most 3 times


@pytest.mark.parametrize("total", [None, "3", 2.5, True])
def test_a_total_that_is_no_number_is_no_change(fake: FakeOpenRouter, probe: Probe, total: object) -> None:
    fake.serve(lambda request: changing(request, total=total))
    assert ask(fake, probe).body == catalog({"id": "a/one"}, {"id": "a/two"})


def test_an_id_twice_on_one_page_is_not_ours_to_judge(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve(paged([{"id": "a/b"}, {"id": "a/b"}, {"id": "a/c"}], 2))
    assert len(json.loads(ask(fake, probe).body)["data"]) == 3


# --- a sign of life, and what the key is good for


def ping(fake: FakeOpenRouter, probe: Probe, **options: Any) -> Pong:
    with probe.client(fake.base_url, **options) as client:
        return client.ping()


def expiry(fake: FakeOpenRouter, probe: Probe, **options: Any) -> datetime | None:
    with probe.client(fake.base_url, api_key=KEY, **options) as client:
        return client.key_expires_at()


@pytest.mark.parametrize(
    ("date", "seen"),
    [
        ("Thu, 01 Oct 2026 12:00:42 GMT", NOW + timedelta(seconds=42)),
        ("Thu, 01 Oct 2026 12:00:42 -0000", NOW + timedelta(seconds=42)),
        ("Thu, 01 Oct 2026 14:00:42 +0200", NOW + timedelta(seconds=42)),
        ("Thu, 99 Foo 2026 12:00:42 GMT", None),
        ("soon", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("body", [b'{"data":{"count":419}}', b"", b"<html>"])
def test_a_ping_tells_the_server_s_time(
    fake: FakeOpenRouter, probe: Probe, date: str, seen: datetime | None, body: bytes
) -> None:
    fake.serve(Response(200, body, {"Date": date}), "/models/count")
    assert ping(fake, probe) == Pong(seen)
    (request,) = fake.requests
    assert (request.path, request.query) == ("/api/v1/models/count", {})
    assert "authorization" not in request.headers


def test_a_ping_s_time_is_aware_or_unknown(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve(Response(200, b"", {"Date": "Thu, 01 Oct 2026 12:00:42 -0000"}), "/models/count")
    assert (date := ping(fake, probe).date) is not None
    assert date.tzinfo is not None
    fake.serve(Response(200), "/models/count")
    assert ping(fake, probe).date is None


def test_a_ping_is_retried_and_refused_like_the_list(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve([status(503), fakes.reset(), ok(b"")], "/models/count")
    assert ping(fake, probe) == Pong(None)
    assert probe.sleeps == [0.5, 1.0]
    fake.serve(status(404), "/models/count")
    with pytest.raises(Refused, match="OPENROUTER_BASE_URL"):
        ping(fake, probe)
    fake.serve(Response(304), "/models/count")
    with pytest.raises(BadAnswer, match="304"):
        ping(fake, probe)


def test_a_ping_to_nobody(probe: Probe) -> None:
    url = f"http://127.0.0.1:{free_port()}/api/v1"
    with probe.client(url, limits=Limits(patience=3.0)) as client, pytest.raises(Unreachable, match="refused"):
        client.ping()
    assert probe.sleeps == [0.5, 1.0]


@pytest.mark.parametrize(
    ("facts", "expires"),
    [
        ({"label": "sk-or-v1-012...cde", "limit": None, "expires_at": None}, None),
        ({"label": "sk-or-v1-012...cde"}, None),
        ({"expires_at": "2026-10-01T12:00:00Z"}, NOW),
        ({"expires_at": "2026-10-01T12:00:00.000Z"}, NOW),
        ({"expires_at": "2026-10-01T14:00:00+02:00"}, NOW),
        ({"expires_at": "2026-10-01T12:00:00"}, NOW),
        ({"expires_at": "2026-10-01"}, NOW - timedelta(hours=12)),
    ],
)
def test_when_the_key_expires(
    fake: FakeOpenRouter, probe: Probe, facts: dict[str, Any], expires: datetime | None
) -> None:
    fake.serve(dump({"data": facts}), "/key")
    seen = expiry(fake, probe)
    assert seen == expires
    assert seen is None or seen.tzinfo is UTC
    (request,) = fake.requests
    assert (request.path, request.headers["authorization"]) == ("/api/v1/key", f"Bearer {KEY}")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "nothing readable"),
        (b"OK", "nothing readable"),
        (b"[]", "nothing readable"),
        (b"{}", "missing required field `data`"),
        (b'{"data":null}', "nothing readable"),
        (b'{"data":[]}', "nothing readable"),
        (b'{"data":{"expires_at":1790856000}}', "$.data.expires_at"),
        (b'{"data":{"expires_at":"soon"}}', "nothing readable"),
        (b'{"data":{"expires_at":""}}', "nothing readable"),
        (b'{"data":{"expires_at":"9999-12-31T23:59:59-01:00"}}', "nothing readable"),
        (b'{"data":{"expires_at":"' + KEY.encode() + b'"}}', "[key]"),
        (b'{"data":' + b"[" * 100_000, "nothing readable"),
        (b"\xef\xbb\xbf <html>", "an HTML page"),
        (b'{"error":{"message":"It broke"}}', "an error: It broke;"),
    ],
)
def test_an_expiry_that_cannot_be_read_is_a_bad_answer(
    fake: FakeOpenRouter, probe: Probe, body: bytes, words: str
) -> None:
    fake.serve(body, "/key")
    with pytest.raises(BadAnswer, match="instead of the facts about the key with ") as caught:
        expiry(fake, probe)
    assert words in str(caught.value)
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert len(fake.requests) == 5


def test_a_key_openrouter_does_not_know_is_refused(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve(status(401), "/key")
    with pytest.raises(Refused, match="OPENROUTER_API_KEY is missing or invalid") as caught:
        expiry(fake, probe)
    assert caught.value.status == 401
    assert len(fake.requests) == 1


def test_one_patience_for_all_requests_of_a_run(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve(b"", "/models/count")
    fake.serve([fakes.reset(), dump({"data": {}})], "/key")
    with probe.client(fake.base_url, api_key=KEY, limits=Limits(patience=1.0)) as client:
        client.ping()
        probe.now += 100
        assert client.key_expires_at() is None


# --- the key stays secret

ECHO = f"bad key {KEY}\x00 \x1b[31m" + "y" * 2000
LEAKS: list[Response | bytes] = [
    status(401, json={"error": {"code": 401, "message": ECHO}}),
    status(401, json={"error": ECHO}),
    status(401, html=ECHO.replace("\x00", "")),
    status(500, json={"error": {"message": ECHO}}),
    status(429, {"Retry-After": "9999"}, {"error": {"message": ECHO}}),
    status(302, {"Location": f"https://x.example/?key={KEY}"}),
    fakes.error_200(ECHO),
    fakes.error_200("y" * 180 + KEY),  # where cutting to length could leave half a key
    dump({"error": {"metadata": KEY}}),
    ok(KEY.encode()),
    linked(f"https://{KEY}.example/x"),
    linked(f"/{KEY}"),
    fakes.raw(f"HTTP/1.1 200 {KEY}\r\nX: {KEY}\x01\r\n\r\n".encode()),
    fakes.raw(KEY.encode() + b"\r\n\r\n"),
    fakes.cut(LONG, 9),
    fakes.reset(),
]


@pytest.mark.parametrize("served", LEAKS)
def test_the_key_is_never_shown(
    fake: FakeOpenRouter, probe: Probe, caplog: pytest.LogCaptureFixture, served: Response | bytes
) -> None:
    caplog.set_level(logging.DEBUG)
    fake.serve([served, ok(b"no")] if isinstance(served, bytes) and b"/sk" in served else served)
    with probe.client(fake.base_url, api_key=KEY) as client, pytest.raises(LLMHiveError) as caught:
        client.models()
    assert fake.requests[0].headers["authorization"] == f"Bearer {KEY}"
    shown = [
        str(caught.value),
        repr(caught.value),
        repr(client),
        str(client),
        repr(probe.events),
        "".join(traceback.format_exception(caught.value)),
    ]
    # Its first half will not do either.
    assert not [text for text in shown if KEY[:20] in text]
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert not [record for record in caplog.records if KEY[:20] in record.getMessage()]


def test_the_http_library_s_own_log_does_not_show_the_key_even_if_asked_for(
    fake: FakeOpenRouter, probe: Probe, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("", "httpx2", "httpcore2"):
        caplog.set_level(logging.DEBUG, name)
    fake.serve([status(500), fakes.reset(), paged(RECORDS, 2)])
    ask(fake, probe, api_key=KEY)
    assert caplog.records
    assert not [record for record in caplog.records if KEY[:20] in record.getMessage()]


# a bad request may list what would have been a good one
@pytest.mark.parametrize(("code", "most"), [(403, 200), (400, 1000)])
def test_what_openrouter_says_is_one_short_line(fake: FakeOpenRouter, probe: Probe, code: int, most: int) -> None:
    fake.serve(status(code, json={"error": {"code": code, "message": ECHO}}))
    text = str(fail(Refused, fake, probe, api_key=KEY))
    assert text.isprintable()
    assert text.endswith('It says: "bad key [key] [31m' + "y" * (most - len("bad key [key] [31m")) + '"')


@pytest.mark.parametrize("key", ["sk-or\n-v1", "sk-or v1", "sk-ör", "sk\x7f"])
def test_a_key_that_cannot_be_sent_is_not_quoted(probe: Probe, key: str) -> None:
    with pytest.raises(SettingsError, match="OPENROUTER_API_KEY") as caught:
        probe.client("https://openrouter.ai/api/v1", api_key=key)
    assert key not in str(caught.value)


def test_white_space_around_the_key_is_ignored(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve(BODY)
    ask(fake, probe, api_key=f" {KEY}\n")
    assert fake.requests[0].headers["authorization"] == f"Bearer {KEY}"


# --- settings we cannot use


@pytest.mark.parametrize(
    "url",
    [
        "",
        "openrouter.ai/api/v1",
        "ftp://openrouter.ai/",
        "https://",
        "https://user:secret@openrouter.ai/api/v1",
        "https://openrouter.ai/api/v1?token=secret",
        "https://openrouter.ai/api/v1#secret",
        "http://h:secret/",
        "http://secret..example/",
        "http://" + "secret" * 20 + "/",
    ],
)
def test_a_base_url_that_cannot_be_used(probe: Probe, url: str) -> None:
    with pytest.raises(SettingsError, match="OPENROUTER_BASE_URL") as caught:
        probe.client(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"), [("HTTPS_PROXY", "gopher://u:secret@h"), ("SSL_CERT_FILE", "/no/such/secret")]
)
def test_a_proxy_or_certificate_variable_that_cannot_be_used(
    probe: Probe, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as caught:
        probe.client("https://openrouter.ai/api/v1")
    assert "secret" not in str(caught.value)


# --- the constants, and the fake itself


def test_the_limits_are_those_of_the_contract() -> None:
    assert Limits() == Limits(5, 0.5, 60.0, 10.0, 30.0, 15.0, 64 * 1024 * 1024, 100, 3)


def test_http_2_stays_out() -> None:
    code = "import sys, llmhive.app.openrouter.client; sys.exit('h2' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, check=False).returncode
        == 0
    )


def test_the_fake_starts_and_stops_quickly() -> None:
    started = time.perf_counter()
    with FakeOpenRouter(fakes.never()) as fake, socket.create_connection(("127.0.0.1", fake.port)) as sock:
        sock.sendall(b"GET /api/v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
    assert time.perf_counter() - started < 0.3  # 0.05 but for a busy machine


def test_the_fake_tells_of_errors_in_what_it_serves(probe: Probe) -> None:
    def broken(request: Request) -> Response:
        raise ZeroDivisionError

    def run() -> None:
        with FakeOpenRouter(broken) as fake, pytest.raises(Unreachable):
            ask(fake, probe, limits=Limits(attempts=1))

    with pytest.raises(ZeroDivisionError):
        run()


def test_the_fake_has_nothing_elsewhere(fake: FakeOpenRouter, probe: Probe) -> None:
    fake.serve(BODY)
    with probe.client(fake.base_url + "/wrong") as client, pytest.raises(Refused, match="Nothing at"):
        client.models()


def test_fake_records_can_be_varied() -> None:
    record = model("acme/big:free", pricing={"request": "0.01", "prompt": ...}, name="Big", description=...)
    assert record["pricing"] == {"completion": "0", "request": "0.01"}
    assert (record["name"], record["canonical_slug"]) == ("Big", "acme/big-20260115")
    assert "description" not in record
