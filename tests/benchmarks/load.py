"""A load generator: so many connections, each sends the next request when its answer is whole. In a process of its own.

``python -m tests.benchmarks.load PORT SECONDS CONNECTIONS [RATE]`` reads targets, a line each, and prints a line of
JSON: answers per second, and for each answer when it began (monotonic clock) and how long it took. With a rate,
requests begin at that rate whatever the answers do: a slow answer does not hide those that wait behind it.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import os
import sys
import time
from collections import deque
from typing import cast

import uvloop


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._left = -1  #: bytes of the body still to come; -1: the head is not whole yet
        self._head = b""
        self.began = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready for the first request."""
        self.transport = cast("asyncio.Transport", transport)
        self._load.free(self)

    def send(self, request: bytes, began: float) -> None:
        """Send a request; `began` is when it was due."""
        self.began = began
        assert self.transport is not None
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Count what comes; the status and the length are all that is read."""
        if self._left < 0:
            data = self._head + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._head = data
                return
            if not data.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"answered {data[:200]!r}")
            at = data.find(b"content-length: ")
            self._left = int(data[at + 16 : data.find(b"\r", at)]) - (len(data) - end - 4)
            self._head = b""
        else:
            self._left -= len(data)
        if self._left <= 0:
            self._left = -1
            self._load.took.append((self.began, time.monotonic() - self.began))
            self._load.free(self)


class Load:
    """The requests and their times."""

    def __init__(self, targets: list[str], rate: float | None) -> None:
        head = "GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        self.requests = itertools.cycle([head.format(target).encode() for target in targets])
        self.rate = rate
        self.took: list[tuple[float, float]] = []
        self.idle: deque[Connection] = deque()
        self.waiting: deque[float] = deque()
        self.until = 0.0

    def free(self, connection: Connection) -> None:
        """A connection may send its next request."""
        if self.rate is None:
            if time.monotonic() < self.until:
                connection.send(next(self.requests), time.monotonic())
        elif self.waiting:
            connection.send(next(self.requests), self.waiting.popleft())
        else:
            self.idle.append(connection)

    async def run(self, port: int, seconds: float, connections: int) -> None:
        """Load the server for so long."""
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        self.until = began + seconds
        for _ in range(connections):
            await loop.create_connection(lambda: Connection(self), "127.0.0.1", port)
        if self.rate is None:
            await asyncio.sleep(seconds)
            return
        number = 0
        while (now := time.monotonic()) < self.until:
            while began + number / self.rate <= now:
                due = began + number / self.rate
                number += 1
                if self.idle:
                    self.idle.popleft().send(next(self.requests), due)
                else:
                    self.waiting.append(due)
            await asyncio.sleep(0.0005)


def main() -> None:
    """Load, and tell."""
    port, seconds, connections = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    # what measures must not wait itself: it has a processor of its own, as on another machine
    os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1})
    gc.disable()
    load = Load(sys.stdin.read().split(), float(sys.argv[4]) if len(sys.argv) > 4 else None)
    uvloop.run(load.run(port, seconds, connections))
    json.dump({"per_second": len(load.took) / seconds, "took": load.took}, sys.stdout)


if __name__ == "__main__":
    main()
