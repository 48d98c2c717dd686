"""The pool and its pace: never faster than allowed, and one that fails costs no other."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.app.openrouter.pool import GIVE_UP_AFTER, GivenUp, Pacer, Pool
from llmhive.app.openrouter.transport import Transport
from llmhive.errors import BadAnswer, LLMHiveError, Unreachable

#: what a float may be off by
SLACK = 1e-5


class Clock:
    """Passes only when somebody sleeps; whoever sleeps may wake late."""

    def __init__(self, late: Callable[[], float] = lambda: 0.0) -> None:
        self.at = 1000.0
        self.slept = 0.0
        self._late = late
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        with self._lock:
            return self.at

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        with self._lock:
            self.at += seconds + self._late()
            self.slept += seconds


# --- the pace

RATES = st.floats(0.1, 1000)
GAPS = st.lists(st.floats(0, 3), min_size=1, max_size=40)


@given(RATES, GAPS)
def test_never_faster_than_the_rate_and_never_slower_than_it_must(rate: float, gaps: list[float]) -> None:
    clock = Clock()
    pace = Pacer(rate, monotonic=clock.monotonic, sleep=clock.sleep)
    earliest = clock.at
    for gap in gaps:
        clock.at += gap
        due = max(clock.at, earliest)
        pace()()
        assert clock.at == pytest.approx(due, abs=SLACK)
        earliest = clock.at + 1 / rate


@given(RATES, st.lists(st.floats(0, 0.5), min_size=2, max_size=40))
def test_who_wakes_late_does_not_make_the_next_too_early(rate: float, late: list[float]) -> None:
    lateness: Iterator[float] = iter([*late, *[0.0] * len(late)])
    clock = Clock(lambda: next(lateness))
    pace = Pacer(rate, monotonic=clock.monotonic, sleep=clock.sleep)
    begins = []
    for _ in late:
        pace()
        begins.append(clock.at)
    assert all(after - before >= 1 / rate - SLACK for before, after in pairwise(begins))


@pytest.mark.parametrize("rate", [0.5, 20, 500])
def test_many_threads_share_the_rate(rate: float) -> None:
    clock = Clock()
    pace = Pacer(rate, monotonic=clock.monotonic, sleep=clock.sleep)
    begins: list[float] = []
    gate = threading.Barrier(16)

    def work() -> None:
        gate.wait(10)
        for _ in range(8):
            pace()
            begins.append(0)

    with ThreadPoolExecutor(16) as threads:
        for done in [threads.submit(work) for _ in range(16)]:
            done.result()
    # 128 of them take 127 steps, whoever came when
    assert clock.slept == pytest.approx(127 / rate, abs=128 * SLACK)
    assert len(begins) == 128


@given(RATES, st.lists(st.floats(0, 0.1), max_size=30), st.floats(0, 20))
def test_none_begins_while_openrouter_asks_to_wait(rate: float, gaps: list[float], seconds: float) -> None:
    clock = Clock()
    pace = Pacer(rate, monotonic=clock.monotonic, sleep=clock.sleep)
    for gap in gaps:
        clock.at += gap
        pace()
    until = clock.at + seconds
    pace.hold(seconds)
    pace.hold(seconds / 2)  # who asks for less does not shorten it
    pace()
    assert clock.at >= until - SLACK


def test_a_hold_reaches_those_who_wait_already() -> None:
    clock = Clock()
    held: list[float] = []

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if not held:
            held.append(clock.at)
            pace.hold(30)

    pace = Pacer(1, monotonic=clock.monotonic, sleep=sleep)
    pace()
    pace()
    assert clock.at == pytest.approx(held[0] + 30, abs=SLACK)


# --- the pool


class Connection:
    """A transport without a network."""

    def __init__(self) -> None:
        self.in_use = threading.Lock()
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


class Lot:
    """A pool over such connections."""

    def __init__(self, size: int) -> None:
        self.made: list[Connection] = []
        self.pool = Pool[str](self._make, size)

    def _make(self) -> Transport:
        self.made.append(Connection())
        return cast("Transport", self.made[-1])

    def each(self, names: list[str], ask: Callable[[Any, str], str]) -> dict[str, str | LLMHiveError]:
        found = list(self.pool.each(names, ask))
        assert Counter(name for name, _ in found) == Counter(names)
        assert all(it.is_closed for it in self.made)
        return dict(found)


@given(
    st.lists(st.text(min_size=1, max_size=4), unique=True, max_size=30),
    st.integers(1, 9),
    st.randoms(use_true_random=False),
)
def test_one_that_fails_costs_no_other(names: list[str], size: int, chance: Any) -> None:
    failing = {name for name in names if chance.random() < 0.3}
    # so many in a row would be another story
    failing = set(sorted(failing)[: GIVE_UP_AFTER - 1])
    lot = Lot(size)

    def ask(connection: Connection, name: str) -> str:
        # nobody else has this connection meanwhile
        assert connection.in_use.acquire(blocking=False)
        try:
            if name in failing:
                raise BadAnswer(f"no {name}")
            return name.upper()
        finally:
            connection.in_use.release()

    found = lot.each(names, ask)
    assert {name for name, it in found.items() if isinstance(it, BadAnswer)} == failing
    assert all(found[name] == name.upper() for name in names if name not in failing)
    assert all(str(found[name]) == f"no {name}" for name in failing)
    assert len(lot.made) == min(size, len(names))


@pytest.mark.parametrize("size", [1, 8])
def test_so_many_are_asked_at_once(size: int) -> None:
    lot = Lot(size)
    at_once = threading.Barrier(size)

    def ask(_: Connection, name: str) -> str:
        # none gets on before as many wait here
        at_once.wait(10)
        return name

    assert len(lot.each([str(number) for number in range(4 * size)], ask)) == 4 * size


def test_it_gives_up_after_so_many_failures_in_a_row() -> None:
    asked: list[str] = []

    def ask(_: Connection, name: str) -> str:
        asked.append(name)
        raise Unreachable("nobody there")

    names = [f"{number:03}" for number in range(100)]
    found = Lot(1).each(names, ask)
    assert asked == names[:GIVE_UP_AFTER]
    given_up = [name for name, it in found.items() if isinstance(it, GivenUp)]
    assert sorted(given_up) == names[GIVE_UP_AFTER:]
    assert str(found["099"]) == f"not asked: the {GIVE_UP_AFTER} requests before it failed."


def test_with_many_threads_it_gives_up_a_little_later_at_most() -> None:
    asked: list[str] = []

    def ask(_: Connection, name: str) -> str:
        asked.append(name)
        raise Unreachable("nobody there")

    found = Lot(8).each([str(number) for number in range(200)], ask)
    assert GIVE_UP_AFTER <= len(asked) < GIVE_UP_AFTER + 8
    assert not any(isinstance(it, str) for it in found.values())


def test_an_answer_in_between_begins_the_count_anew() -> None:
    names = [f"{number:03}" for number in range(100)]
    good = set(names[GIVE_UP_AFTER - 1 :: GIVE_UP_AFTER])

    def ask(_: Connection, name: str) -> str:
        if name in good:
            return name
        raise Unreachable("nobody there")

    found = Lot(1).each(names, ask)
    assert {name for name, it in found.items() if it == name} == good
    assert not any(isinstance(it, GivenUp) for it in found.values())


def test_a_mistake_of_ours_is_no_failure_of_a_model() -> None:
    def ask(_: Transport, name: str) -> str:
        raise KeyError(name)

    lot = Lot(2)
    with pytest.raises(KeyError):
        list(lot.pool.each(["a", "b", "c"], ask))
    assert all(it.is_closed for it in lot.made)


def test_who_stops_listening_cancels_the_rest() -> None:
    asked: list[str] = []
    first, go_on = threading.Event(), threading.Event()

    def ask(_: Transport, name: str) -> str:
        asked.append(name)
        if name != "000":
            first.set()
            go_on.wait(10)
        return name

    lot = Lot(2)
    answers = cast("Any", lot.pool.each([f"{number:03}" for number in range(50)], ask))
    assert next(answers) == ("000", "000")
    assert first.wait(10)
    answers.close()
    count = len(asked)
    go_on.set()
    assert count <= 3
    assert len(asked) == count
    assert all(it.is_closed for it in lot.made)


def test_nobody_to_ask_for() -> None:
    lot = Lot(4)
    assert lot.each([], lambda _, name: name) == {}
    assert lot.made == []
