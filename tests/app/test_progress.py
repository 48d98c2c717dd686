"""How far a run is: in words, not too often, and to everybody who asked for the same dry run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from llmhive.app.http.workers import Workers
from llmhive.app.progress import Line, Progress
from llmhive.app.worker import Task, Telling, Told
from llmhive.errors import LLMHiveError
from tests.app.test_worker import told, with_workers, worker
from tests.fake_openrouter import FakeOpenRouter, Request, Response, catalog, model, ok
from tests.support import Command

__all__ = ["worker"]
DRY = Task("sync", "http", dry_run=True)


@pytest.mark.parametrize(
    ("event", "facts", "line"),
    [
        ("Requesting", {"url": "https://x"}, Line("Asking OpenRouter")),
        ("Progress", {"received": 1_200_000, "expected": None},
         Line("Downloading", 1_200_000, None, "1.2 MB", is_passing=True)),
        ("Progress", {"what": "Reading captures", "done": 1, "whole": 4},
         Line("Reading captures", 1, 4, "25 %", is_passing=True)),
        ("Received", {}, Line("Comparing")),
        ("Rate limited", {"seconds": 2.0}, Line("OpenRouter asks to wait; trying again in 2.0 s.", is_trouble=True)),
        ("Retrying", {}, Line("No answer; trying again in a moment.", is_trouble=True)),
        ("Compared", {"added": 1}, None),
    ],
)  # fmt: skip
def test_an_event_in_words(event: str, facts: dict[str, Any], line: Line | None) -> None:
    assert Progress().of(event, facts) == line


def test_a_step_says_what_it_asks_for_itself() -> None:
    words = Progress()
    assert words.of("Step begins", {"step": "endpoints", "number": 9, "of_steps": 11}) == Line("9/11 Endpoints", 0)
    assert words.of("Requesting", {}) is None
    line = words.of("Step progress", {"step": "endpoints", "done": 3, "of": 7})
    assert line == Line("9/11 Endpoints", 3, 7, "3 of 7", is_passing=True)


def test_what_passes_is_said_four_times_a_second_at_most() -> None:
    said: list[Told] = []
    at = 0.0
    telling = Telling(said.append, monotonic=lambda: at)
    for hundredth in range(100):
        at = hundredth / 100
        telling("Progress", {"received": hundredth, "expected": 100})
    assert [it.line.done for it in said if it.line is not None] == [0, 25, 50, 75]
    # what stays is said at once
    telling("Received", {})
    telling("Rate limited", {"seconds": 1.0})
    assert [it.line.text for it in said if it.line is not None and not it.line.is_passing] == [
        "Comparing", "OpenRouter asks to wait; trying again in 1.0 s.",
    ]  # fmt: skip
    assert {it.what for it in said} == {"progress"}


def test_a_worker_says_it_only_where_it_is_wished_for(worker: Command, fake: FakeOpenRouter) -> None:
    fake.serve(ok(catalog(model("acme/one"))))
    assert [it.what for it in told(worker, DRY)] == ["ended"]
    lines = told(worker, Task("sync", "test", dry_run=True, progress=True))
    assert [it.line.text for it in lines if it.line is not None and not it.line.is_passing] == [
        "Asking OpenRouter", "Comparing",
    ]  # fmt: skip
    assert lines[-1].what == "ended"


def test_who_joins_a_dry_run_sees_it_from_then_on(worker: Command, fake: FakeOpenRouter) -> None:
    async def joined(workers: Workers) -> list[list[Any]]:
        is_asked, may_answer = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        def answer(_: Request) -> Response:
            loop.call_soon_threadsafe(is_asked.set)
            asyncio.run_coroutine_threadsafe(may_answer.wait(), loop).result(30)
            return ok(catalog(model("acme/one")))

        fake.serve(answer)
        first = asyncio.create_task(_all(workers))
        await is_asked.wait()
        # it is under way, and so is its first line
        second = asyncio.create_task(_all(workers))
        third = asyncio.create_task(workers.once(DRY))
        await asyncio.sleep(0.2)
        may_answer.set()
        return [await first, await second, [await third]]

    first, second, third = with_workers(worker, joined)
    assert len(fake.requests) == 1
    assert first[-1] == second[-1] == third[-1]
    assert first[-1]["plan"][0]["id"] == "acme/one"
    assert [it.text for it in first[:-1] if not it.is_passing] == ["Asking OpenRouter", "Comparing"]
    assert [it.text for it in second[:-1] if not it.is_passing] == ["Comparing"]


async def _all(workers: Workers) -> list[Any]:
    return [it async for it in workers.follow(DRY)]


def test_who_goes_away_leaves_nothing_behind(worker: Command, fake: FakeOpenRouter) -> None:
    fake.serve(ok(catalog(model("acme/one"))))

    async def gone(workers: Workers) -> Any:
        following = workers.follow(DRY)
        assert isinstance(await anext(following), Line)
        [running] = workers._all
        await following.aclose()  # type: ignore[attr-defined]
        assert running.listeners == set()
        return (await running.ended).run

    assert with_workers(worker, gone)["status"] == "completed"


def test_a_refusal_is_raised_in_the_middle(worker: Command, fake: FakeOpenRouter) -> None:
    fake.serve(lambda _: Response(manner="silent"))

    async def killed(workers: Workers) -> None:
        following = workers.follow(DRY)
        await anext(following)
        for it in list(workers._all):
            it.process.kill()
        async for _ in following:
            pass

    with pytest.raises(LLMHiveError, match="ended without a word"):
        with_workers(worker, killed)
