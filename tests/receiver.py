"""A webhook receiver: a real HTTP server on 127.0.0.1 that keeps what it gets and answers as told."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Got:
    """A received request; `headers` by lower-case name."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def ids(self) -> tuple[str, list[str]]:
        """The ids by which a receiver knows a repeat: the message's, and those of its events."""
        return self.headers["webhook-id"], [event["id"] for event in self.json["events"]]


@dataclass
class Receiver:
    """Answers every request alike, until told otherwise."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    #: ``hang``: never answer; ``drop``: close the connection unanswered
    manner: str = ""
    #: called while a request waits for its answer
    meanwhile: Callable[[], object] | None = None
    got: list[Got] = field(default_factory=list)

    def answer(self, status: int = 204, *, manner: str = "", **headers: str) -> None:
        self.status, self.manner = status, manner
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        """Its address, with something in it that must not be shown."""
        return f"http://127.0.0.1:{self.port}/hooks/s3cr3t-path?token=s3cr3t-token"

    @property
    def label(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        receiver, self._released = self, threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.got.append(Got(self.path, headers, body))
                if receiver.meanwhile is not None:
                    receiver.meanwhile()
                if receiver.manner == "hang":
                    receiver._released.wait(60)
                if receiver.manner in {"hang", "drop"}:
                    self.close_connection = True
                    return
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
