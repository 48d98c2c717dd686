"""How long the server waits for a request to arrive: a client that sends nothing, or a byte a minute, costs a
connection for a while, and not for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def patient(seconds: float) -> type[HttpToolsProtocol]:
    """The HTTP protocol that closes a connection whose request has not arrived whole within so many seconds."""

    class Patient(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._timer = self.loop.call_later(seconds, self._give_up)

        def connection_lost(self, exc: Exception | None) -> None:
            self._arrived()
            super().connection_lost(exc)

        def on_message_begin(self) -> None:
            if self._timer is None:
                self._timer = self.loop.call_later(seconds, self._give_up)
            super().on_message_begin()

        def on_message_complete(self) -> None:
            self._arrived()
            super().on_message_complete()

        def _arrived(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _give_up(self) -> None:
            self._timer = None
            if not self.transport.is_closing():
                self.transport.close()

    return Patient
