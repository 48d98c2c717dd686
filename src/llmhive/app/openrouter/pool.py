"""Many requests by a bounded pool of threads, at a bounded rate; one that fails does not touch the others."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from llmhive.app.openrouter.transport import Transport
from llmhive.errors import BadAnswer, LLMHiveError, Refused, UpstreamError

T = TypeVar("T")
#: So many failures in a row, and OpenRouter is not asked for the rest.
GIVE_UP_AFTER = 25
#: Statuses that are about what was asked for, not about OpenRouter or the key.
_OF_ONE = frozenset((400, 404, 410, 422))
#: Seconds that a sleep may be short of: clocks are no finer.
_INSTANT = 1e-6


class Pacer:
    """Lets requests begin at least ``1 / rate`` seconds apart, and none while OpenRouter asks to wait."""

    def __init__(self, rate: float, *, monotonic: Callable[[], float], sleep: Callable[[float], None]) -> None:
        """`rate` is in requests a second."""
        self._step = 1.0 / rate
        self._monotonic, self._sleep = monotonic, sleep
        self._queue, self._lock = threading.Lock(), threading.Lock()
        self._next = monotonic()

    def __call__(self) -> Callable[[], None]:
        """Wait for one's turn."""
        with self._queue:
            # whoever wakes late lets the next one wait from then on, and may have slept into a `hold`
            while (left := self._left()) > _INSTANT:
                self._sleep(left)
            with self._lock:
                self._next = max(self._next, self._monotonic() + self._step)
        return _nothing

    def _left(self) -> float:
        with self._lock:
            return self._next - self._monotonic()

    def hold(self, seconds: float) -> None:
        """Let none begin for so long."""
        with self._lock:
            self._next = max(self._next, self._monotonic() + seconds)


def _nothing() -> None:
    """There is nothing to give back."""


def _next(found: SimpleQueue[T]) -> T:
    """The next item. Looks up now and then: a signal that comes just before a wait would be seen only after it."""
    while True:
        with contextlib.suppress(Empty):
            return found.get(timeout=0.5)


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
        left: SimpleQueue[str] = SimpleQueue()
        for name in names:
            left.put(name)
        found: SimpleQueue[tuple[str, T | Exception]] = SimpleQueue()
        unheard = threading.Event()
        made = [self._make() for _ in range(min(self._size, len(names)))]
        try:
            for transport in made:
                # daemons: an answer that does not come must not keep the process
                work = partial(self._work, transport, left, found, unheard, ask)
                threading.Thread(target=work, name="endpoints", daemon=True).start()
            for _ in names:
                name, answer = _next(found)
                if isinstance(answer, Exception) and not isinstance(answer, LLMHiveError):
                    raise answer
                yield name, answer
        finally:
            # who listens no longer does not want the rest
            unheard.set()
            for transport in made:
                transport.close()

    def _work(
        self,
        transport: Transport,
        left: SimpleQueue[str],
        found: SimpleQueue[tuple[str, T | Exception]],
        unheard: threading.Event,
        ask: Callable[[Transport, str], T],
    ) -> None:
        with contextlib.suppress(Empty):
            while not unheard.is_set():
                name = left.get_nowait()
                try:
                    found.put((name, self._one(transport, name, ask)))
                except Exception as error:  # noqa: BLE001 (raised again by whoever listens)
                    found.put((name, error))

    def _one(self, transport: Transport, name: str, ask: Callable[[Transport, str], T]) -> T:
        with self._lock:
            if self._in_a_row >= GIVE_UP_AFTER:
                raise GivenUp(f"not asked: the {self._in_a_row} requests before it failed.")
        try:
            answer = ask(transport, name)
        except UpstreamError as error:
            with self._lock:
                # a refusal of one model says nothing of the others
                is_of_one = isinstance(error, BadAnswer) or (isinstance(error, Refused) and error.status in _OF_ONE)
                self._in_a_row = 0 if is_of_one and self._in_a_row < GIVE_UP_AFTER else self._in_a_row + 1
            raise
        with self._lock:
            # once given up it stays so: an answer that was on its way changes nothing
            self._in_a_row = 0 if self._in_a_row < GIVE_UP_AFTER else self._in_a_row
        return answer
