"""Many requests by a bounded pool of threads, at a bounded rate; one that fails does not touch the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import SimpleQueue
from typing import Generic, TypeVar

from llmhive.app.openrouter.transport import Transport
from llmhive.errors import LLMHiveError, UpstreamError

T = TypeVar("T")
#: So many failures in a row, and OpenRouter is not asked for the rest.
GIVE_UP_AFTER = 25


class Pacer:
    """Lets requests begin at least ``1 / rate`` seconds apart, and none while OpenRouter asks to wait."""

    def __init__(self, rate: float, *, monotonic: Callable[[], float], sleep: Callable[[float], None]) -> None:
        """`rate` is in requests a second."""
        self._step = 1.0 / rate
        self._monotonic, self._sleep = monotonic, sleep
        self._lock = threading.Lock()
        self._next = monotonic()

    def __call__(self) -> Callable[[], None]:
        """Wait for one's turn."""
        with self._lock:
            now = self._monotonic()
            turn = max(now, self._next)
            self._next = turn + self._step
        if turn > now:
            self._sleep(turn - now)
        return _nothing

    def hold(self, seconds: float) -> None:
        """Let none begin for so long."""
        with self._lock:
            self._next = max(self._next, self._monotonic() + seconds)


def _nothing() -> None:
    """There is nothing to give back."""


class GivenUp(UpstreamError):
    """Not asked, since too many before it failed in a row."""


class Pool(Generic[T]):
    """Threads that each ask over a transport of their own."""

    def __init__(self, make: Callable[[], Transport], size: int) -> None:
        self._make = make
        self._size = size
        self._lock = threading.Lock()
        self._in_a_row = 0

    def each(self, names: Sequence[str], ask: Callable[[Transport, str], T]) -> Iterator[tuple[str, T | LLMHiveError]]:
        """Ask for each name; yields the answers, or why there is none, as they come."""
        idle: SimpleQueue[Transport] = SimpleQueue()
        made = [self._make() for _ in range(min(self._size, len(names)))]
        for transport in made:
            idle.put(transport)
        threads = ThreadPoolExecutor(max_workers=max(len(made), 1), thread_name_prefix="endpoints")
        try:
            asked = {threads.submit(self._one, idle, name, ask): name for name in names}
            for done in as_completed(asked):
                try:
                    yield asked[done], done.result()
                except LLMHiveError as error:
                    yield asked[done], error
        finally:
            # who listens no longer does not want the rest
            threads.shutdown(wait=False, cancel_futures=True)
            for transport in made:
                transport.close()

    def _one(self, idle: SimpleQueue[Transport], name: str, ask: Callable[[Transport, str], T]) -> T:
        with self._lock:
            if self._in_a_row >= GIVE_UP_AFTER:
                raise GivenUp(f"not asked: the {self._in_a_row} requests before it failed.")
        transport = idle.get()
        try:
            answer = ask(transport, name)
        except UpstreamError:
            with self._lock:
                self._in_a_row += 1
            raise
        finally:
            idle.put(transport)
        with self._lock:
            # once given up it stays so: an answer that was on its way changes nothing
            self._in_a_row = 0 if self._in_a_row < GIVE_UP_AFTER else self._in_a_row
        return answer
