"""However many ask for a sync at once, over however many processes: one run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.conftest import NEW, OLD, Story, when
from tests.fake_openrouter import ok
from tests.serving import Served, serving
from tests.support import poll, rows

ASKERS = 1000
PATH = "/api/openrouter/sync"
FORCE = b'{"force": true}'
Answer = tuple[int, dict[str, Any]]


async def _ask(port: int, body: bytes, together: asyncio.Event, path: str) -> Answer:
    """One request over a connection of its own, sent when all are connected."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await together.wait()
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    start, _, content = answer.partition(b"\r\n\r\n")
    return int(start.split()[1]), json.loads(content)


def ask_all(ports: list[int], body: bytes = b"", *, count: int = ASKERS, path: str = PATH) -> list[Answer]:
    """So many requests at the same moment, spread over the processes."""

    async def ask() -> list[Answer]:
        together = asyncio.Event()
        asking = [asyncio.create_task(_ask(ports[n % len(ports)], body, together, path)) for n in range(count)]
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.5, together.set)
        return await asyncio.wait_for(asyncio.gather(*asking), 90)

    return asyncio.run(ask())


def runs_of(story: Story) -> list[dict[str, Any]]:
    """All but the one that loads the bootstrap's facts, of which each replica may start one."""
    found = rows(story.url, "SELECT id, kind, status FROM sync_run WHERE kind <> 'bootstrap' ORDER BY id")
    assert all(run["kind"] == "regular" for run in found)
    return found


class Hive:
    """Three services on one database, and what is asked of them all at once."""

    def __init__(self, story: Story, replicas: list[Served]) -> None:
        self.story = story
        self.fake = story.fake
        self.replicas = replicas

    def asked(self, body: bytes = b"", path: str = PATH, count: int = ASKERS) -> list[Answer]:
        began = time.monotonic()
        answers = ask_all([replica.port for replica in self.replicas], body, count=count, path=path)
        counts = Counter((status, answer.get("status"), answer.get("detail")) for status, answer in answers)
        print(f"{count} answered in {time.monotonic() - began:.1f} s: {dict(counts)}")
        assert set(counts) <= {(code, it, None) for code in (200, 202) for it in ("running", "completed", "skipped")}
        return answers

    def has_running(self) -> bool:
        return any(run["status"] == "running" for run in runs_of(self.story))

    def _wait_for_the_workers(self) -> None:
        """Until the processes of earlier runs are gone, where that can be seen: who asks while one still closes joins
        it, though its run is over.
        """
        pids = [replica.process.pid for replica in self.replicas]
        poll(lambda: not any(path.read_text() for pid in pids for path in Path(f"/proc/{pid}/task").glob("*/children")))

    @contextlib.contextmanager
    def one_more_run(self) -> Iterator[list[Answer]]:
        """However many ask in the block, one run is what they cause, and all are told of it."""
        self._wait_for_the_workers()
        before, requests = len(runs_of(self.story)), len(self.fake.requests)
        answers: list[Answer] = []
        yield answers
        poll(lambda: len(runs_of(self.story)) > before and not self.has_running())
        *_, run = found = runs_of(self.story)
        assert len(found) == before + 1
        assert len(self.fake.requests) == requests + 1
        assert run["status"] == "completed"
        for _, answer in answers:
            if answer["id"] != run["id"]:
                # it was over already
                assert (answer["id"], answer["status"]) == (None, "skipped")
                assert f"run {run['id']} " in answer["notes"][0]

    @contextlib.contextmanager
    def held_back(self, served: bytes) -> Iterator[None]:
        """OpenRouter answers when the block is over."""
        is_over = threading.Event()
        self.fake.serve(when(is_over, ok(served)))
        try:
            yield
        finally:
            is_over.set()


@pytest.fixture
def hive(story: Story) -> Iterator[Hive]:
    story.llmhive.env["SYNC_STALE_SECONDS"] = "30"
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(3) as threads:
        started = [threads.submit(stack.enter_context, serving(story.llmhive)) for _ in range(3)]
        yield Hive(story, [it.result() for it in started])


@pytest.mark.long
def test_a_thousand_at_once_are_one_run(hive: Hive) -> None:
    # as quick as it goes
    hive.fake.serve(OLD)
    with hive.one_more_run() as answers:
        answers.extend(hive.asked())

    # the interval is not over
    assert all((code, it["status"]) == (200, "skipped") and it["due_at"] for code, it in hive.asked())
    assert len(runs_of(hive.story)) == 1

    with hive.one_more_run() as answers, hive.held_back(NEW):
        answers.extend(hive.asked(FORCE))
        assert {code for code, _ in answers} == {202}

    # who waits for the end is told how it ended, whichever replica's run it is
    with hive.one_more_run() as answers:
        is_over = threading.Event()
        hive.fake.serve(when(is_over, ok(OLD)))
        timer = threading.Timer(4, is_over.set)
        timer.start()
        answers.extend(hive.asked(FORCE, f"{PATH}/blocking", 200))
        timer.join()
        assert {(code, it["status"]) for code, it in answers} == {(200, "completed")}


@pytest.mark.long
def test_a_thousand_join_the_run_that_goes_on(hive: Hive) -> None:
    for replica, served, body in zip(hive.replicas, (OLD, NEW), (b"", FORCE), strict=False):
        with hive.one_more_run() as answers, hive.held_back(served):
            first = replica.post(PATH, {"force": True})
            assert first.status_code == 202
            answers.extend(hive.asked(body))
            assert {answer["id"] for _, answer in answers} == {first.json()["id"]}
            assert hive.has_running()
