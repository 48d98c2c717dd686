"""A whole fake OpenRouter for tests: every route that LLMHive uses, answered from a world that tests can change.

::

    with Upstream(World.small()) as upstream:
        run(OPENROUTER_BASE_URL=upstream.base_url, OPENROUTER_API_KEY=KEY)
        upstream.throttled, upstream.largest_at_once, upstream.arrivals("/datasets")
        upstream.fail_endpoints(share=0.05)                        # these models always fail
        upstream.fail("/benchmarks", status(503), times=2)
        upstream.restate(date(2026, 9, 20), "acme/atlas-2-20260901", 5)
        with upstream.change() as world:
            world.models.pop()

The Data API (`DATA_API`) needs a key and keeps its limits over sliding windows; the other routes answer anybody. What
`serve` tells a path outranks all of this.

By hand, until Ctrl-C; prints its base URL and a good key as shell commands::

    python -m tests.upstream [--port N] [--real] [--key KEY] [--delay SECONDS]
    eval "$(head -2 THAT_OUTPUT)"; llmhive sync --research
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from random import Random
from urllib.parse import unquote

import pytest

from tests import upstream_answers as answers
from tests import upstream_data as data_api
from tests.fake_openrouter import (
    ROOT,
    FakeOpenRouter,
    Record,
    Request,
    Response,
    dump,
    ok,
    rate_limited,
    status,
)
from tests.upstream_parameters import Refusal
from tests.upstream_world import Counts, World

__all__ = ["DATA_API", "KEY", "OTHER_KEY", "PER_DAY", "PER_MINUTE", "Upstream", "World"]

KEY = "sk-or-v1-0000000000000000000000000000000000000000000000000000000000000001"
#: another key of the same account
OTHER_KEY = "sk-or-v1-0000000000000000000000000000000000000000000000000000000000000002"
#: what begins so needs a key and counts against the limits
DATA_API = ("/datasets/", "/classifications/", "/benchmarks")
#: requests that one key may send in any 60 seconds, and one account in any 24 hours
PER_MINUTE, PER_DAY = 30, 500

#: None: answer as usual
Fault = bytes | Response | Callable[[Request], Response | None]


@dataclass
class _Failure:
    path: str
    answer: Fault
    times: float

    def fits(self, path: str) -> bool:
        return path.startswith(self.path[:-1]) if self.path.endswith("*") else path == self.path


class Limiter:
    """At most `most` admissions in any `seconds`, per name; what was refused does not count."""

    def __init__(self, most: int, seconds: float) -> None:
        self.most, self.seconds = most, seconds
        self._admitted: dict[str, deque[float]] = {}

    def wait(self, name: str, now: float) -> float:
        """Seconds until the next is admitted; 0: now."""
        admitted = self._admitted.setdefault(name, deque())
        while admitted and now - admitted[0] >= self.seconds:
            admitted.popleft()
        return max(admitted[0] + self.seconds - now, 1e-9) if len(admitted) >= self.most else 0.0

    def admit(self, name: str, now: float) -> None:
        self._admitted.setdefault(name, deque()).append(now)


class Upstream(FakeOpenRouter):
    """The server. `accounts` maps each good key to its account; a key taken out of it is revoked."""

    def __init__(
        self,
        world: World | None = None,
        *,
        accounts: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        port: int = 0,
    ) -> None:
        super().__init__(port=port)
        self.clock = clock
        self.accounts = dict({KEY: "one", OTHER_KEY: "one"} if accounts is None else accounts)
        #: requests refused with 429 by the limits
        self.throttled = 0
        #: the most that were being answered at the same time
        self.largest_at_once = 0
        self._world = World.small() if world is None else world
        self._guard = threading.RLock()
        self._at_once = 0
        self._made: dict[tuple[object, ...], Response] = {}
        self._minute, self._day = Limiter(PER_MINUTE, 60), Limiter(PER_DAY, 86400)
        self._failures: list[_Failure] = []
        self._failing: dict[str, int] = {}
        self._delays: dict[str, float] = {}

    # --- what tests change

    @contextlib.contextmanager
    def change(self) -> Iterator[World]:
        """The world, to be changed; no request is answered meanwhile."""
        with self._guard:
            yield self._world
            self._made.clear()

    def fail_endpoints(self, share: float = 0.05, seed: int = 0, status: int = 500) -> frozenset[str]:
        """From now on the endpoints of this share of all models fail, at least one; returns their ids."""
        with self._guard:
            ids = sorted(record["id"] for record in self._world.models)
            chosen = Random(seed).sample(ids, max(round(share * len(ids)), 1)) if share else []
            self._failing = dict.fromkeys(chosen, status)
        return frozenset(chosen)

    def fail(self, path: str, answer: Fault, times: int | None = None) -> None:
        """Answer a path (below the root; `*` at its end: all that begin so) with this, a number of times or always.
        The newest outranks older ones; a callable may return None. It uses up the limits as a good answer would.
        """
        with self._guard:
            self._failures.insert(0, _Failure(path, answer, math.inf if times is None else times))

    def heal(self) -> None:
        """No failures and delays any more."""
        with self._guard:
            self._failures.clear()
            self._failing.clear()
            self._delays.clear()

    def delay(self, seconds: float, path_prefix: str = "") -> None:
        """Let each request wait before it is answered; the longest prefix that fits decides."""
        with self._guard:
            self._delays[path_prefix] = seconds

    def restate(self, day: date, slug: str, tokens: int | None) -> None:
        """Other tokens of a slug on a day, all traffic; None: none."""
        with self.change() as world:
            world.restate(day, slug, tokens)

    def add_category(self, name: str, weeks: Counts | None = None) -> None:
        """One more category, estimated from all traffic unless its weeks are given."""
        with self.change() as world:
            world.add_category(name, weeks)

    def remove_category(self, name: str) -> None:
        """A category less: asking for it is then a bad request."""
        with self.change() as world:
            world.remove_category(name)

    def arrivals(self, path_prefix: str = "") -> list[float]:
        """When the requests for paths that begin so came, by the server's clock, in their order."""
        return [request.at for request in self.requests if request.path.startswith(ROOT + path_prefix)]

    # --- answering

    def answer(self, request: Request) -> Response:
        with self._guard:
            self._at_once += 1
            self.largest_at_once = max(self.largest_at_once, self._at_once)
        try:
            return super().answer(request)
        finally:  # before it is sent, so that a client's next request never counts beside it
            with self._guard:
                self._at_once -= 1

    def otherwise(self, request: Request) -> Response:
        path = request.path[len(ROOT) :] if request.path.startswith(ROOT) else ""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        is_data, is_good = path.startswith(DATA_API), scheme.lower() == "bearer" and key in self.accounts
        with self._guard:
            if is_data and is_good and (wait := self._admit(key)):
                self.throttled += 1
                return rate_limited(max(math.ceil(wait), 1))
            fault, seconds = self._fault(path), self._delay(path)
        if seconds:
            self.closing.wait(seconds)
        response = fault(request) if callable(fault) else ok(fault) if isinstance(fault, bytes) else fault
        if response is not None:
            return response
        if (is_data or path == "/key") and not is_good:
            message = "Invalid API key" if scheme else "Missing Authentication header"
            return status(401, json={"error": {"code": 401, "message": message}})
        return self._response(request, path, key if is_good else None)

    def _delay(self, path: str) -> float:
        fitting = [prefix for prefix in self._delays if path.startswith(prefix)]
        return self._delays[max(fitting, key=len)] if fitting else 0.0

    def _admit(self, key: str) -> float:
        """Seconds to wait; 0: admitted, and counted."""
        now, account = self.clock(), self.accounts[key]
        wait = max(self._minute.wait(key, now), self._day.wait(account, now))
        if not wait:
            self._minute.admit(key, now)
            self._day.admit(account, now)
        return wait

    def _fault(self, path: str) -> Fault | None:
        for failure in self._failures:
            if failure.fits(path) and failure.times > 0:
                failure.times -= 1
                return failure.answer
        if self._failing and path.endswith("/endpoints"):
            found = self._world.find(unquote(path.removeprefix("/models/").removesuffix("/endpoints")))
            if found is not None and found["id"] in self._failing:
                return status(self._failing[found["id"]])
        return None

    def _response(self, request: Request, path: str, key: str | None) -> Response:
        """A made answer, kept until the world changes: a benchmark's server must not be what is measured."""
        packed = "gzip" in request.headers.get("accept-encoding", "")
        name = (path, tuple(sorted(request.query.items())), key if path == "/key" else key is not None, packed)
        with self._guard:
            if name not in self._made:
                self._made[name] = _sent(*self._document(path, request.query, key), packed)
            return self._made[name]

    def _document(self, path: str, query: Mapping[str, str], key: str | None) -> tuple[int, Record, Mapping[str, str]]:
        """Status, body and headers."""
        world, shown = self._world, key is not None
        headers = {"Cache-Control": "private"}
        parts = path.split("/")[1:]
        try:
            match parts:
                case ["models"]:
                    return 200, answers.models(world, query), headers
                case ["models", "count"]:
                    return 200, answers.models_count(world, query), headers
                case ["model", author, slug]:
                    return 200, answers.model(world, unquote(f"{author}/{slug}")), headers
                case ["models", author, slug, "endpoints"]:
                    return 200, answers.endpoints(world, f"{unquote(author)}/{unquote(slug)}", shown=shown), headers
                case ["endpoints", "zdr"]:
                    return 200, answers.zdr(world, shown=shown), headers
                case ["providers"]:
                    return 200, {"data": world.providers}, headers
                case ["key"]:
                    return 200, answers.key_facts(world, key or ""), headers
                case ["datasets", "rankings-daily"]:
                    return 200, data_api.rankings(world, query), headers
                case ["classifications", "task"]:
                    headers = {"Cache-Control": "private, max-age=60, stale-while-revalidate=300"}
                    return 200, data_api.tasks(world, query), headers
                case ["benchmarks"]:
                    return 200, data_api.benchmarks(world, query), headers
                case _:
                    raise Refusal(404, "Resource not found")
        except Refusal as refusal:
            return refusal.status, {"error": {"code": refusal.status, "message": str(refusal)}}, headers


def _sent(code: int, document: Record, headers: Mapping[str, str], packed: bool) -> Response:
    body = dump(document)
    told = {"Content-Type": "application/json", "Vary": "Accept-Encoding", **headers}
    if packed and len(body) > 1000:
        body = gzip.compress(body, compresslevel=1, mtime=0)
        told["Content-Encoding"] = "gzip"
    return Response(code, body, told)


def main() -> None:
    """Serve a whole OpenRouter until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tests.upstream", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    parser.add_argument("--real", action="store_true", help="the captured data of ../shared, not the small world")
    parser.add_argument("--key", default=KEY, help="the one good key")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds that each request waits")
    options = parser.parse_args()
    try:
        world = (World.real() if options.real else World.small()).moved_to(datetime.now(UTC).date())
    except pytest.skip.Exception as absent:
        parser.error(str(absent))
    with Upstream(world, accounts={options.key: "one"}, port=options.port) as upstream:
        upstream.delay(options.delay)
        print(f"export OPENROUTER_BASE_URL={upstream.base_url}")
        print(f"export OPENROUTER_API_KEY={options.key}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
