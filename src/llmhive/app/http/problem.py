"""Errors as answers: ``application/problem+json``."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
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


def faults(errors: Iterable[Mapping[str, Any]], known: Sequence[str] = ()) -> list[dict[str, str]]:
    """What is wrong with a request, field by field, given what pydantic found and the fields there are."""
    found = []
    for error in errors:
        at, kind = ".".join(str(part) for part in error["loc"] if part not in {"query", "path", "body"}), error["type"]
        why = _WHY.get(kind) or str(error["msg"]).lower().replace("input should", "it should")
        if kind == "extra_forbidden":
            near = difflib.get_close_matches(at, known, n=1)
            why += f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known) or 'none'}"
        found.append({"at": at, "why": why})
    return found


_WHY = {
    "extra_forbidden": "there is no such field",
    "json_invalid": "it is not JSON",
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
    "int_parsing": "write a whole number",
    "model_type": "write a JSON object",
    "model_attributes_type": "write a JSON object",
    "string_pattern_mismatch": "begin with a letter; go on with letters, digits, '.', '_' or '-', 64 at most",
}


def told(found: Iterable[Mapping[str, str]]) -> str:
    """What is wrong, in a line."""
    return "; ".join(f"{it['at']}: {it['why']}" if it["at"] else it["why"] for it in found)


def of(error: LLMHiveError) -> Problem:
    """What an error of ours is to a client."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    return Problem(status, str(error))
