"""`llmhive serve` as its users run it: a process of its own on 127.0.0.1, and a client for it.

::

    with serving(llmhive, SYNC_MIN_INTERVAL_MINUTES=0) as served:
        served.post("/api/openrouter/sync/blocking").json()["status"]
        served.get("/api/models", author="acme").json()["total"]
        served.log  # the lines so far
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx2

from tests import support
from tests.fake_openrouter import FakeOpenRouter
from tests.support import Command, Dialect, Process, poll

#: Seconds in which it must have started, and have ended once it was told to.
STARTS_WITHIN, ENDS_WITHIN = 30.0, 12.0
#: Its exit code after SIGTERM.
STOPPED = 128 + signal.SIGTERM


@dataclass
class Served:
    """A service that runs."""

    process: Process
    url: str
    client: httpx2.Client
    #: every line it wrote to stderr so far; a thread adds to it
    lines: list[str] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines of JSON so far."""
        return [json.loads(line) for line in list(self.lines) if line.startswith("{")]

    def logged(self, message: str, **facts: Any) -> list[dict[str, Any]]:
        """The log lines so far with that message and those facts."""
        return [line for line in self.log if line["message"] == message and line.items() >= facts.items()]

    def wait_for(self, message: str, *, within: float = 20, **facts: Any) -> dict[str, Any]:
        """The first log line with that message and those facts, once it is there."""
        return poll(lambda: self.logged(message, **facts), within)[0]

    def get(self, path: str, /, **query: Any) -> httpx2.Response:
        """Read; a list in `query` gives the parameter several times."""
        return self.client.get(path, params=query or None)

    def post(self, path: str, body: Any = None, /, **query: Any) -> httpx2.Response:
        """Write; without a body none is sent."""
        more: dict[str, Any] = {} if body is None else {"json": body}
        return self.client.post(path, params=query or None, **more)

    def stop(self, how: signal.Signals = signal.SIGTERM, within: float = ENDS_WITHIN) -> float:
        """Tell it to stop, and wait for it; returns the seconds that took. Fails where it does not end in time."""
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not end within {within:g} s of {how.name}:\n{self.told()}") from None
        took = time.monotonic() - began
        # workers that outlive it would keep the pipe open
        for thread in self._threads:
            thread.join(5)
        return took

    def kill(self) -> None:
        """End it at once, as the kernel does when memory is short."""
        self.process.kill()
        self.process.wait()

    def told(self) -> str:
        """All it wrote, for a failure's message."""
        return "".join(self.lines[-200:])


@contextlib.contextmanager
def serving(
    llmhive: Command,
    *words: str,
    has_schedule: bool = False,
    timeout: float = 60,
    is_stopped: bool = True,
    **env: object,
) -> Iterator[Served]:
    """Start `llmhive serve` on a free port of 127.0.0.1 and stop it by SIGTERM at the end, which must be quick; not so
    with `is_stopped` False, where the test does that itself.
    """
    given = (*words, *(() if "--port" in words else ("--port", "0")), *(() if has_schedule else ("--no-schedule",)))
    process = llmhive.start("serve", *given, **env)
    assert process.stdout is not None
    assert process.stderr is not None
    # straight to it, whatever proxy the environment names
    client = httpx2.Client(timeout=timeout, trust_env=False)
    served = Served(process, "", client)
    for stream in (process.stderr, process.stdout):
        thread = threading.Thread(target=_drain, args=(stream, served.lines), daemon=True)
        thread.start()
        served._threads.append(thread)
    try:
        served.url = _url_of(served)
        client.base_url = httpx2.URL(f"http://127.0.0.1:{served.port}")
        yield served
        if is_stopped:
            served.stop()
            assert process.returncode == STOPPED, f"it ended with {process.returncode}:\n{served.told()}"
    finally:
        client.close()
        if process.poll() is None:
            served.kill()
        for thread in served._threads:
            thread.join(5)
        process.stdout.close()
        process.stderr.close()


def _url_of(served: Served) -> str:
    def look() -> str:
        if served.process.poll() is not None:
            raise AssertionError(f"it ended with {served.process.returncode} at once:\n{served.told()}")
        return next((str(line["url"]) for line in served.logged("Serving")), "")

    return poll(look, STARTS_WITHIN)


def _drain(stream: IO[str], lines: list[str]) -> None:
    # a closed file: the test is over
    with contextlib.suppress(ValueError):
        lines.extend(iter(stream.readline, ""))


# --- a place of its own, for servers that several tests share


@dataclass(frozen=True)
class Place:
    """A migrated database, a fake OpenRouter before it, and the command."""

    dialect: Dialect
    url: str  #: of the database
    fake: FakeOpenRouter
    llmhive: Command


_counter = itertools.count(1)


@contextlib.contextmanager
def place(dialect: Dialect, folder: Path, upstream: FakeOpenRouter | None = None) -> Iterator[Place]:
    """A place in an empty folder; made for fixtures of a whole module. `upstream` is not started yet."""
    home = folder / "home"
    home.mkdir()
    server = url = ""
    if dialect == "sqlite":
        shutil.copy(support.sqlite_template(), folder / "llmhive.db")
        url = f"sqlite:///{folder / 'llmhive.db'}"
    else:
        server = support.postgresql_server()
        name = f"p_{support.template_name()}_{os.getpid()}_{next(_counter)}"
        url = support.create_database(server, name, support.postgresql_template(server))
    try:
        with upstream or FakeOpenRouter() as fake:
            env = {
                "DATABASE_URL": url,
                "OPENROUTER_BASE_URL": fake.base_url,
                "SYNC_TIMEOUT_SECONDS": "30",
                "NO_PROXY": "127.0.0.1",
            }
            yield Place(dialect, url, fake, Command(home, env))
    finally:
        if server:
            support.drop_database(server, name)


def asked(
    served: Served, path: str, method: str = "GET", headers: dict[str, str] | None = None, body: Any = None
) -> tuple[int, dict[str, str], bytes]:
    """One request just as it is written, and the answer just as it came: status, headers by lower-case name, body."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()
