"""Logs. A line is an event in a few words with its facts: JSON for Cloud Logging, readable on a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any, Protocol, TextIO


class Tell(Protocol):
    """Where what happens is reported to: an event in a few words, and its facts."""

    def __call__(self, event: str, /, **facts: object) -> None: ...


#: The guide's log filter: every line of a sync carries it.
COMPONENT = "OpenRouter sync"

_LEVELS = {
    "Sync failed": logging.ERROR,
    "Could not write how the run ended": logging.ERROR,
    "Step failed": logging.ERROR,
    "Could not write that a request ended": logging.WARNING,
    "Sync held": logging.WARNING,
    "Rate limited": logging.WARNING,
    "Retrying": logging.WARNING,
    "Took over": logging.WARNING,
    "Heartbeat failed": logging.WARNING,
    "Left out a capture": logging.WARNING,
    "Answer failed": logging.ERROR,
    "Run failed": logging.ERROR,
    "Cannot read the catalog": logging.ERROR,
    "Cannot read the database": logging.WARNING,
    "Cannot wait for notices": logging.WARNING,
    "Could not deliver alerts": logging.WARNING,
    "Could not fetch keys": logging.WARNING,
    "Could not start a sync": logging.ERROR,
    "Left a thread behind": logging.WARNING,
    "Refused a credential": logging.WARNING,
    "Refused a foreign page": logging.WARNING,
    "Serving the bootstrap facts": logging.WARNING,
    "Stopping a run": logging.WARNING,
    "Tracing is off": logging.WARNING,
    "Alert not delivered": logging.WARNING,
    "Alerts cannot be delivered": logging.WARNING,
    "Alert given up": logging.ERROR,
}
#: Only for a progress bar.
_SILENT = frozenset({"Progress"})


class Log:
    """Writes events as log lines; `context` is in each of them."""

    def __init__(
        self, stream: TextIO, secrets: Iterable[str] = (), *, component: str = COMPONENT, **context: object
    ) -> None:
        import structlog

        self._secrets = tuple(secret for secret in secrets if secret)
        is_terminal = stream.isatty()
        renderer: structlog.typing.Processor = (
            structlog.dev.ConsoleRenderer(colors=True, event_key="message", timestamp_key="time", sort_keys=False)
            if is_terminal
            else structlog.processors.JSONRenderer()
        )
        self._logger = structlog.wrap_logger(
            structlog.PrintLogger(stream),
            processors=[
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
                structlog.processors.EventRenamer("message"),
                self._redact,
                renderer,
            ],
        ).bind(component=component, **context)

    def __call__(self, event: str, /, **facts: object) -> None:
        """Log an event."""
        if event not in _SILENT:
            self._logger.msg(event, severity=logging.getLevelName(_LEVELS.get(event, logging.INFO)), **facts)

    def bind(self, **context: object) -> None:
        """Say this in every line from now on."""
        self._logger = self._logger.bind(**context)

    def _redact(self, _logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """The last line of defence: no secret we know is ever written."""
        for name, value in line.items():
            if isinstance(value, str):
                for secret in self._secrets:
                    value = value.replace(secret, "[redacted]")  # noqa: PLW2901
                line[name] = value
        return line


def log_to_stderr(secrets: Iterable[str] = (), *, component: str = COMPONENT, **context: object) -> Log:
    """The usual place."""
    return Log(sys.stderr, secrets, component=component, **context)
