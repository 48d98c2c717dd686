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

    class Patient(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None
        _is_arriving = False
        _head: int | None = None  #: bytes of a head that is not complete yet

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait(seconds)

        def connection_lost(self, exc: Exception | None) -> None:
            self._arrived()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if not self._is_arriving:
                return
            # most requests arrive in one piece, and need no timer
            if self._timer is None:
                self._wait(seconds + (0 if self._head is not None else _GRACE))
            if self._head is not None:
                # the parser would put it together anew with every piece
                self._head += len(data)
                if self._head > LONGEST_HEAD and not self.transport.is_closing():
                    self.transport.write(_TOO_LONG)
                    self.transport.close()

        def on_message_begin(self) -> None:
            self._head, self._is_arriving = 0, True
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._head = None
            if self._timer is not None:
                # a body may take its time as well
                self._arrived()
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._is_arriving = False
            if self._timer is not None:
                self._arrived()
            super().on_message_complete()

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
