"""How long the server waits for a request, and how long its head may be: a client that sends nothing, a byte a minute,
or a header without end costs a connection for a while, and no more.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Bytes of request line and headers together.
LONGEST_HEAD = 64 * 1024
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
#: Seconds more for a body: the route answers 408 before the connection is closed.
_GRACE = 2.0


def patient(seconds: float) -> type[HttpToolsProtocol]:
    """The HTTP protocol that closes a connection whose request has not arrived whole within so many seconds."""
    receive = HttpToolsProtocol.data_received

    class Patient(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None
        _awaited: object = None  #: the request whose rest is awaited, by its scope
        _head: int | None = None  #: bytes of its head so far; None: the head is whole

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait(seconds)

        def connection_lost(self, exc: Exception | None) -> None:
            self._arrived()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            receive(self, data)
            cycle = self.cycle
            # a cycle is made of a scope once the head is whole
            if cycle is None or cycle.more_body or cycle.scope is not self.scope:
                self._wait_for_the_rest(len(data))
            elif self._timer is not None:
                self._arrived()

        def _wait_for_the_rest(self, received: int) -> None:
            if self.scope is not self._awaited:
                if self._awaited is not None:
                    self._arrived()
                self._awaited, self._head = self.scope, 0
            if self._head is not None and self.cycle is not None and self.cycle.scope is self.scope:
                self._head = None
                # a body may take its time as well
                self._arrived()
            if self._timer is None:
                self._wait(seconds + (0 if self._head is not None else _GRACE))
            if self._head is not None:
                # the parser would put it together anew with every piece
                self._head += received
                if self._head > LONGEST_HEAD and not self.transport.is_closing():
                    self.transport.write(_TOO_LONG)
                    self.transport.close()

        def _wait(self, how_long: float) -> None:
            self._timer = self.loop.call_later(how_long, self._give_up)

        def _arrived(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _give_up(self) -> None:
            self._timer = None
            if not self.transport.is_closing():
                self.transport.close()

    return Patient
