"""A fake OpenRouter: a real HTTP server on 127.0.0.1 that answers as told, faults included.

::

    with FakeOpenRouter() as fake:
        fake.serve(catalog(model("acme/one"), model("acme/two")))    # every request gets this body
        fake.serve([status(503), rate_limited(2), ok(catalog())])    # in turn; the last one repeats
        fake.serve(paged([model("acme/one"), model("acme/two")], size=1))
        run(OPENROUTER_BASE_URL=fake.base_url)
        fake.requests[0].headers["user-agent"]

By hand, one captured body (`.json` or `.json.gz`) until Ctrl-C::

    python -m tests.fake_openrouter FILE [--port N]
    OPENROUTER_BASE_URL=http://127.0.0.1:N/api/v1 llmhive sync
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gzip
import http.server
import json
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import EllipsisType, TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

ROOT = "/api/v1"

Record = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """A received request; `headers` by lower-case name, `at` in seconds of the fake's clock."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    at: float
    #: what the client connected to, e.g. http://127.0.0.1:4711; for a proxied request the host it was meant for
    origin: str


@dataclass(frozen=True)
class Response:
    """What to answer. Made by the functions below; vary one with `dataclasses.replace`."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    #: compress when the client accepts it
    gzip: bool = False
    #: without Content-Length
    chunked: bool = False
    #: drop the connection after this many bytes of body (as sent, compressed or not)
    cut_at: int | None = None
    #: send this many bytes at a time …
    chunk: int | None = None
    #: … and wait this many seconds after each
    delay: float = 0.0
    #: "silent": never answer; "reset": drop the connection with RST, unanswered or at `cut_at`; "raw": `body` is all
    #: that is sent, status line and headers included
    manner: str = ""


Served = bytes | Response | Callable[[Request], Response]


def ok(body: bytes, etag: str | None = None, last_modified: str | None = None, *, gzip: bool = False) -> Response:
    """A good answer; 304 to a request whose If-None-Match (or else If-Modified-Since) fits."""
    headers = {"Content-Type": "application/json"}
    if etag is not None:
        headers["ETag"] = etag
    if last_modified is not None:
        headers["Last-Modified"] = last_modified
    return Response(200, body, headers, gzip=gzip)


def status(
    code: int, headers: Mapping[str, str] | None = None, json: object = None, html: str | None = None
) -> Response:
    """An error status, with OpenRouter's error body unless `json` or `html` is given."""
    if html is not None:
        return Response(code, html.encode(), {"Content-Type": "text/html; charset=utf-8", **(headers or {})})
    body = {"error": {"code": code, "message": f"Fake error {code}"}} if json is None else json
    return Response(code, dump(body), {"Content-Type": "application/json", **(headers or {})})


def rate_limited(retry_after: object = None, *, reset: int | None = None) -> Response:
    """429; `retry_after` goes out as it is (seconds or an HTTP-date), `reset` as X-RateLimit-Reset."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    if reset is not None:
        headers["X-RateLimit-Reset"] = str(reset)
    return status(429, headers, {"error": {"code": 429, "message": "Rate limit exceeded"}})


def html_200() -> Response:
    """An edge's HTML page with status 200."""
    return status(200, html="<!DOCTYPE html><html><title>Just a moment...</title></html>")


def error_200(message: str = "Internal Server Error", code: int = 500) -> Response:
    """An error body with status 200."""
    return status(200, json={"error": {"code": code, "message": message}})


def cut(body: bytes, at: int, *, chunked: bool = False, gzip: bool = False) -> Response:
    """A good answer whose connection closes after `at` bytes, though its head promised them all."""
    return replace(ok(body, gzip=gzip), cut_at=at, chunked=chunked)


def slow(body: bytes, chunk: int, delay: float, *, gzip: bool = False) -> Response:
    """A good answer that drips: `chunk` bytes every `delay` seconds."""
    return replace(ok(body, gzip=gzip), chunk=chunk, delay=delay)


def never() -> Response:
    """Take the request and stay silent until the server closes."""
    return Response(manner="silent")


def reset(body: bytes = b"", at: int | None = None) -> Response:
    """Drop the connection with RST: at once, or after `at` bytes of `body`."""
    return Response(200, body, {"Content-Type": "application/json"}, cut_at=at, manner="reset")


def raw(data: bytes, chunk: int | None = None, delay: float = 0.0) -> Response:
    """Send just these bytes, status line and all, then close."""
    return Response(body=data, chunk=chunk, delay=delay, manner="raw")


def bad_gzip(body: bytes = b'{"data":[]}' * 50, *, truncated: bool = False) -> Response:
    """A whole answer whose gzip stream is damaged in the middle, or ends early."""
    packed = gzip.compress(body, mtime=0)
    half = len(packed) // 2
    damaged = packed[:half] if truncated else packed[:half] + bytes(b ^ 0xFF for b in packed[half:])
    return Response(200, damaged, {"Content-Type": "application/json", "Content-Encoding": "gzip"})


def paged(
    records: Sequence[Record], size: int, *, total_count: int | None = None, relative: bool = False
) -> Callable[[Request], Response]:
    """Serve the records `size` at a time, with links.next (an absolute URL, or a relative one)."""

    def answer(request: Request) -> Response:
        start = int(request.query.get("offset", "0"))
        after: str | None = None
        if start + size < len(records):
            query = urlencode({**request.query, "offset": start + size, "limit": size})
            after = f"{'' if relative else request.origin}{request.path}?{query}"
        total = len(records) if total_count is None else total_count
        return ok(dump({"data": records[start : start + size], "total_count": total, "links": {"next": after}}))

    return answer


def catalog(*models: Record) -> bytes:
    """A whole, unpaged `/models` body."""
    return dump({"data": models, "total_count": len(models), "links": {"next": None}})


def model(id: str, **overrides: Any) -> Record:
    """A realistic record of a text model.

    A mapping given for `pricing`, `architecture` or `top_provider` is laid over the default one; `...` drops a key.
    """
    base = id.partition(":")[0]
    author, _, slug = base.partition("/")
    record: Record = {
        "id": id,
        "canonical_slug": f"{base}-20260115",
        "hugging_face_id": "",
        "name": f"{author.title()}: {slug.replace('-', ' ').title()}",
        "created": 1768435200,
        "description": f"{slug} is a general-purpose model by {author}.",
        "context_length": 131072,
        "architecture": {
            "modality": "text->text",
            "input_modalities": ["text"],
            "output_modalities": ["text"],
            "tokenizer": "Other",
            "instruct_type": None,
        },
        "pricing": {
            "prompt": "0" if id.endswith(":free") else "0.0000005",
            "completion": "0" if id.endswith(":free") else "0.0000015",
        },
        "top_provider": {"context_length": 131072, "max_completion_tokens": 16384, "is_moderated": False},
        "per_request_limits": None,
        "supported_parameters": ["max_tokens", "temperature", "tools", "top_p"],
        "default_parameters": {"temperature": None, "top_p": None, "frequency_penalty": None},
        "supported_voices": None,
        "knowledge_cutoff": None,
        "expiration_date": None,
        "links": {"details": f"/api/v1/models/{base}-20260115/endpoints"},
    }
    for key, value in overrides.items():
        layered = key in ("pricing", "architecture", "top_provider") and isinstance(value, Mapping)
        record[key] = {**record[key], **value} if layered else value
    return _without_dots(record)


def _without_dots(record: Record) -> Record:
    return {
        key: _without_dots(value) if isinstance(value, dict) else value
        for key, value in record.items()
        if not isinstance(value, EllipsisType)
    }


def dump(document: object) -> bytes:
    """JSON as OpenRouter writes it: compact, not escaped."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


@functools.lru_cache(maxsize=8)
def _packed(body: bytes) -> bytes:
    """A body as gzip, packed once: a benchmark's server must not be what is measured."""
    return gzip.compress(body, mtime=0)


class FakeOpenRouter:
    """The server; start and stop it with `with`. An error in a served callable is raised on leaving."""

    def __init__(self, served: Served | Sequence[Served] | None = None, *, port: int = 0) -> None:
        self._lock = threading.Lock()
        self._plans: dict[str, list[Served]] = {}
        self._requests: list[Request] = []
        #: what `Request.at` is read from
        self.clock: Callable[[], float] = time.monotonic
        #: accepted so far; fewer than requests where clients keep theirs
        self.connections = 0
        self.closing = threading.Event()
        self.errors: list[BaseException] = []
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.fake = self
        self.port: int = self._server.server_address[1]
        self.base_url = f"http://127.0.0.1:{self.port}{ROOT}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        if served is not None:
            self.serve(served)

    def serve(self, served: Served | Sequence[Served], path: str = "/models") -> None:
        """From now on answer `path` with this, or with these in turn, the last repeating."""
        plan: list[Served] = [served] if isinstance(served, bytes | Response) or callable(served) else list(served)
        with self._lock:
            self._plans[ROOT + path] = plan

    @property
    def requests(self) -> list[Request]:
        """All requests received so far, oldest first."""
        with self._lock:
            return list(self._requests)

    def answer(self, request: Request) -> Response:
        """What to send for a request; called by the server's threads."""
        with self._lock:
            self._requests.append(request)
            plan = self._plans.get(request.path)
            served = None if plan is None else plan.pop(0) if len(plan) > 1 else plan[0]
        if served is None:
            response = self.otherwise(request)
        elif isinstance(served, bytes):
            response = ok(served)
        else:
            response = served if isinstance(served, Response) else served(request)
        return _not_modified(request, response) or response

    def otherwise(self, request: Request) -> Response:
        """What to send where nothing was told; for fakes that answer by rule."""
        return status(404, json={"error": {"code": 404, "message": f"Nothing at {request.path}"}})

    def start(self) -> Self:
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop at once, whatever is still being answered."""
        self.closing.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.hang_up()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
        if error is None and self.errors:
            raise self.errors[0]


def _not_modified(request: Request, response: Response) -> Response | None:
    etag, modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
    asked, since = request.headers.get("if-none-match"), request.headers.get("if-modified-since")
    if response.status != 200:
        return None
    if asked is not None:  # weak comparison, and it outranks If-Modified-Since (RFC 9110, 13.1)
        tags = [tag.strip().removeprefix("W/") for tag in asked.split(",")]
        fits = etag is not None and etag.removeprefix("W/") in tags
    else:
        fits = modified is not None and modified == since
    return replace(response, status=304, body=b"", gzip=False) if fits else None


class _Server(http.server.ThreadingHTTPServer):
    fake: FakeOpenRouter
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[http.server.BaseHTTPRequestHandler]) -> None:
        self._live: dict[socket.socket, threading.Thread | None] = {}
        self._guard = threading.Lock()
        super().__init__(address, handler)

    def server_bind(self) -> None:
        # Not HTTPServer's own, which looks up the host's name: that can take seconds.
        socket.socket.bind(self.socket, self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:  # before its thread runs, so that no connection is missed by `hang_up`
            self._live[request] = None
            self.fake.connections += 1
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._live[request] = threading.current_thread()
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._guard:
                self._live.pop(request, None)

    def shutdown_request(self, request: Any) -> None:
        self.close_request(request)  # no FIN of its own: that would come before a reset

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError):  # an OSError: the client hung up
            self.fake.errors.append(error)

    def hang_up(self) -> None:
        with self._guard:
            live = list(self._live.items())
        for sock, _ in live:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for _, thread in live:
            if thread is not None:
                thread.join(1)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        origin = f"http://{headers.get('host', '')}"
        request = Request(url.path, dict(parse_qsl(url.query)), headers, self.server.fake.clock(), origin)
        self._send(request, self.server.fake.answer(request))

    def _send(self, request: Request, response: Response) -> None:
        if response.manner == "silent":
            self.server.fake.closing.wait()
            self.close_connection = True
        elif response.manner == "reset" and response.cut_at is None:
            self._reset()
        elif response.manner == "raw":
            self._drip(response.body, response)
            self.close_connection = True
        else:
            self._answer(request, response)

    def _answer(self, request: Request, response: Response) -> None:
        body, headers = response.body, dict(response.headers)
        if response.gzip and "gzip" in request.headers.get("accept-encoding", ""):
            body = _packed(body)
            headers["Content-Encoding"] = "gzip"
        if response.chunked:
            headers["Transfer-Encoding"] = "chunked"
        elif response.status != 304:
            headers["Content-Length"] = str(len(body))
        reason = self.responses[response.status][0] if response.status in self.responses else "Unknown"
        head = (
            f"HTTP/1.1 {response.status} {reason}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
        )
        sent = body if response.cut_at is None else body[: response.cut_at]
        if response.chunked:
            # in two chunks, the second left unfinished by a cut
            half = len(sent) // 2
            rest = len(body) - half
            sent = (
                b"%x\r\n%b\r\n%x\r\n%b" % (half, sent[:half], rest, sent[half:]) if half else b"%x\r\n%b" % (rest, sent)
            )
            sent += b"\r\n0\r\n\r\n" if response.cut_at is None else b""
        if response.chunk is None:
            self.wfile.write(head.encode("latin-1") + sent)
        else:
            self.wfile.write(head.encode("latin-1"))
            self._drip(sent, response)
        if response.manner == "reset":
            self._reset()
        elif response.cut_at is not None:
            self.close_connection = True

    def _drip(self, data: bytes, response: Response) -> None:
        step = response.chunk or max(len(data), 1)
        for start in range(0, len(data), step):
            self.wfile.write(data[start : start + step])
            if response.delay and self.server.fake.closing.wait(response.delay):
                self.close_connection = True
                return

    def _reset(self) -> None:
        # Closing with a linger time of zero sends RST instead of FIN.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True


def main() -> None:
    """Serve one captured body until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tests.fake_openrouter", description=main.__doc__)
    parser.add_argument("file", type=Path, help="a captured /models body, .json or .json.gz")
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    options = parser.parse_args()
    body = options.file.read_bytes()
    if options.file.suffix == ".gz":
        body = gzip.decompress(body)
    with FakeOpenRouter(ok(body, gzip=True), port=options.port) as fake:
        count = len(json.loads(body)["data"])
        fake.serve(dump({"data": {"count": count}}), path="/models/count")
        print(f"export OPENROUTER_BASE_URL={fake.base_url}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
