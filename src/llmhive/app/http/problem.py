"""Errors as answers: ``application/problem+json``."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

from llmhive.errors import Conflict, LLMHiveError, NotFound, StoreError, UpstreamError, UsageError

MEDIA_TYPE = "application/problem+json"
#: Seconds after which it is worth another try.
AGAIN = "10"

_STATUS: tuple[tuple[type[LLMHiveError], int], ...] = (
    (NotFound, 404),
    (Conflict, 409),
    (UsageError, 400),
    (UpstreamError, 502),
    (StoreError, 503),
)


def encode(status: int, detail: str, **more: Any) -> bytes:
    """The body of a problem."""
    title = HTTPStatus(status).phrase
    return msgspec.json.encode({"type": "about:blank", "title": title, "status": status, "detail": detail} | more)


class Problem(Response):
    """A problem as an answer."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        self.detail = detail
        self.more = more
        again = {"Retry-After": AGAIN} if status == 503 else {}
        super().__init__(encode(status, detail, **more), status, {**again, **(headers or {})}, MEDIA_TYPE)


def of(error: LLMHiveError) -> Problem:
    """What an error of ours is to a client."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    return Problem(status, str(error))
