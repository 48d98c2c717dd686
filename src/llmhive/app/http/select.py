"""Which models to use for a need: `POST /api/select`, a read that needs a body."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from fastapi import Depends, FastAPI, Request
from starlette.responses import Response

from llmhive.app.http import cost, parameters, problem, schema, select_shapes
from llmhive.app.http.memory import facts_of
from llmhive.app.http.problem import Problem
from llmhive.app.http.select_shapes import BESIDE, MOST_EXPLAINED, NAMES
from llmhive.app.http.service import Refusal, Service
from llmhive.app.http.threads import Threads
from llmhive.catalog.need import LONGEST_NAME, Need
from llmhive.catalog.usage import shown
from llmhive.errors import NotFound, UsageError

PATH = "/api/select"
#: Bytes of a body, where `SERVE_MAX_BODY_KB` does not allow fewer.
LARGEST = 64 * 1024
#: Needs that are answered at once: more at a time would only keep the event loop from its turn. Two, so that one may
#: wait for the database.
_AT_ONCE = 2
#: Beside them, needs of the past: everything of then is read first.
_PAST_AT_ONCE = 2
_MOST_FAULTS = 10
_HINT = f"Every field may be left out; there are {', '.join(NAMES)}."


class Asked(NamedTuple):
    """A body, as it is understood."""

    need: Need
    as_of: datetime | None  #: None: now
    explain: tuple[str, ...]
    has_rejected: bool


def add_to(app: FastAPI, service: Service) -> None:
    """Register the route."""
    present, past = Turns(service.threads, _AT_ONCE), Turns(service.threads, _PAST_AT_ONCE)

    @app.post(PATH, tags=["select"], response_model=None, dependencies=[Depends(service.reader)],
              responses={200: {"model": select_shapes.Shortlist}, **schema.problems(401, 404, 408, 413, 422, 503)},
              openapi_extra={"requestBody": select_shapes.body_schema()})  # fmt: skip
    async def select(request: Request) -> Response:
        """The models that serve a need best, the best first: why, at what price, what would change that, and the body
        to send to OpenRouter.

        It reads only: no credential is needed but for the read token, where one is set. Without a body, or with `{}`,
        the need has no constraints but those that always hold.
        """
        content = await service.content(request)
        if len(content) > LARGEST:
            raise Refusal(Problem(413, f"A need is larger than {LARGEST >> 10} KB. Ask for less at a time."))
        until = time.monotonic() + service.settings.serve_timeout_seconds
        asked = await service.threads.run(read, content)
        turns = present if asked.as_of is None else past
        answer = await turns.run(until, _answer, service, asked)
        return Response(answer, 200, {"Cache-Control": "no-store"}, "application/json")


class Turns:
    """So many needs are answered at once, and no more; others wait."""

    def __init__(self, threads: Threads, count: int) -> None:
        self._threads = threads
        self._free = asyncio.Semaphore(count)

    async def run(self, until: float, do: Callable[..., bytes], *args: Any) -> bytes:
        """Do it in a thread, by an instant of the monotonic clock; raises what it raises, `Refusal` where no turn is
        free by then, and `DatabaseUnavailable` where it takes longer.

        A turn lasts until its thread has ended, also where nobody waits for it any more.
        """
        try:
            async with asyncio.timeout(max(0.0, until - time.monotonic())):
                await self._free.acquire()
        except TimeoutError as error:
            raise Refusal(Problem(503, "Too many needs are being answered. Try again in a moment.")) from error
        loop, first = asyncio.get_running_loop(), threading.Lock()

        def work() -> bytes:
            if not first.acquire(blocking=False):
                return b""  # who asked has left before it began
            try:
                return do(*args)
            finally:
                with contextlib.suppress(RuntimeError):  # the service has ended
                    loop.call_soon_threadsafe(self._free.release)

        try:
            return await self._threads.run(work, seconds=until - time.monotonic())
        finally:
            # whoever comes first gives the turn back: the thread, or where it has not begun, this
            if first.acquire(blocking=False):
                self._free.release()


def _answer(service: Service, asked: Asked) -> bytes:
    """The shortlist as JSON; raises `Refusal` and `StoreError`."""
    try:
        shortlist = service.catalog.select(asked.need, as_of=asked.as_of)
    except UsageError as error:
        raise _refusal(error) from error
    told = shortlist.to_json(rejected=asked.has_rejected)
    if asked.explain:
        told["explanations"] = explanations = {}
        for name in asked.explain:
            try:
                explanations[name] = shortlist.explain(name).to_json()
            except NotFound as error:
                explanations[name] = {"error": cost.why_not(error)}
    kept = service.memory.newest
    about = facts_of(kept.view)
    if asked.as_of is None:
        # of what it is chosen from: what other reads answer from may be a moment older or newer
        age = _age(told["as_of"], service.now())
    else:
        age, about["source"] = kept.age(), "openrouter"
    return msgspec.json.encode({"catalog_age_seconds": age, **about, **told})


def _age(as_of: str | None, now: datetime) -> int | None:
    if as_of is None:
        return None
    return max(int(now.timestamp()) - int(datetime.fromisoformat(as_of).timestamp()), 0)


# --- reading


def read(content: bytes) -> Asked:
    """A body as JSON; raises `Refusal` where it is none, has other fields than there are, or values that cannot be."""
    document = _document(content)
    if faults := [_unknown(name) for name in document if name not in NAMES][:_MOST_FAULTS]:
        raise Refusal(Problem(422, f"The body cannot be used: {problem.told(faults)}. {_HINT}", errors=faults))
    try:
        need = Need.read({name: value for name, value in document.items() if name not in BESIDE})
        as_of, explain, rejected = (document.get(name) for name in BESIDE)
        return Asked(need, _instant(as_of), _names(explain), _flag(rejected))
    except UsageError as error:
        raise _refusal(error) from error


def _document(content: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(content) if content.strip() else {}
    except RecursionError as error:
        raise _no_need("it is nested too deeply") from error
    except ValueError as error:  # msgspec's, and what is not UTF-8
        raise _no_need(f"it is not JSON ({error})") from error
    if not isinstance(document, dict):
        raise _no_need(f"it is no JSON object but {shown(document)}")
    return document


def _no_need(why: str) -> Refusal:
    detail = f'The body cannot be used: {why}. Write a need such as {{"task": "programming", "require": ["tools"]}}.'
    return Refusal(Problem(422, detail, errors=[{"at": "", "why": why}]))


def _unknown(name: str) -> dict[str, str]:
    near = difflib.get_close_matches(name[:60], NAMES, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return {"at": name[:60], "why": f"there is no such field{hint}"}


def _instant(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        if isinstance(value, str):
            return parameters.instant(value)
        why = "write a text"
    except ValueError as error:
        why = str(error)
    raise UsageError(f"as_of: {why}; not {shown(value)}")


def _names(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise UsageError(f"explain is a list of models' names, not {shown(value)}")
    if len(value) > MOST_EXPLAINED:
        raise UsageError(f"explain has {len(value):,} names, and may have {MOST_EXPLAINED}")
    for it in value:
        if not isinstance(it, str) or not 0 < len(it) <= LONGEST_NAME:
            raise UsageError(f"explain has names of 1 to {LONGEST_NAME} characters, not {shown(it)}")
    return tuple(dict.fromkeys(value))


def _flag(value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return value is not False
    raise UsageError(f"rejected is true or false, not {shown(value)}")


def _refusal(error: UsageError) -> Refusal:
    why = cost.why_not(error)
    return Refusal(Problem(why["status"], why["detail"]))
