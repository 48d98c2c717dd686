"""How fast `llmhive serve` answers, against a bare ASGI app on the same server that returns the same bytes."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

import httpx2
import orjson

from tests.fake_openrouter import FakeOpenRouter, ok

CONNECTIONS = 16
ROUNDS = 5
SECONDS = 1.0


@dataclass(frozen=True)
class Servers:
    """The service and the floor, over the same catalog."""

    service: int  #: port
    floor: int  #: port


@contextmanager
def service(folder: Path, base_url: str, **more: str) -> Iterator[tuple[int, dict[str, str]]]:
    """`llmhive serve` on a database that is synced with the upstream; yields its port and environment."""
    environment = os.environ | {
        "DATABASE_URL": f"sqlite:///{folder / 'serve.db'}", "OPENROUTER_BASE_URL": base_url, "SYNC_RANKINGS": "0",
        **more,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "llmhive", "sync", "--json"],
        env=environment,
        cwd=folder,
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)["status"] == "completed"
    with without_the_last_processor():
        process = subprocess.Popen(
            [sys.executable, "-m", "llmhive", "serve", "--port", "0", "--no-schedule"],
            env=environment, cwd=folder, stderr=(folder / "serve.log").open("wb"),
        )  # fmt: skip
    try:
        yield _port(folder / "serve.log"), environment
    finally:
        process.terminate()
        process.wait()


@contextmanager
def without_the_last_processor() -> Iterator[None]:
    """Leave the last processor to the load generator, with all that is started meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:-1] or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _port(log: Path) -> int:
    for _ in range(600):
        for line in log.read_text().splitlines():
            if '"Serving"' in line:
                return int(json.loads(line)["url"].rpartition(":")[2])
        time.sleep(0.05)
    raise SystemExit(f"the service does not start:\n{log.read_text()}")


@contextmanager
def bare(folder: Path, bodies: dict[str, bytes]) -> Iterator[int]:
    """The floor with these bodies; yields its port."""
    file = folder / "bodies.pickle"
    file.write_bytes(pickle.dumps({target.encode(): body for target, body in bodies.items()}))
    with without_the_last_processor():
        process = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.bare", str(file)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        _answers(port, next(iter(bodies)))
        yield port
    finally:
        process.terminate()
        process.wait()


def _answers(port: int, target: str) -> None:
    for _ in range(200):
        try:
            httpx2.get(f"http://127.0.0.1:{port}{target}", headers={"Accept-Encoding": "identity"}).raise_for_status()
        except httpx2.TransportError:
            time.sleep(0.05)
        else:
            return


def load(port: int, targets: list[str], seconds: float, *, rate: float | None = None) -> dict[str, Any]:
    """What the load generator measured."""
    words = [sys.executable, "-m", "tests.benchmarks.load", str(port), str(seconds), str(CONNECTIONS)]
    done = subprocess.run(
        [*words, *([] if rate is None else [str(rate)])], input="\n".join(targets).encode(), capture_output=True,
        check=True,
    )  # fmt: skip
    found: dict[str, Any] = orjson.loads(done.stdout)
    return found


def bodies_of(port: int, targets: list[str]) -> dict[str, bytes]:
    """What the service answers."""
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers={"Accept-Encoding": "identity"}) as client:
        return {target: client.get(target).raise_for_status().content for target in targets}


def per_request(folder: Path, base_url: str, targets: list[str]) -> tuple[float, float]:
    """Seconds per answer of the service and of the floor, at full load, in turn; medians."""
    with service(folder, base_url) as (port, _), bare(folder, bodies_of(port, targets)) as floor:
        ours, theirs = [], []
        for _ in range(ROUNDS):
            theirs.append(load(floor, targets, SECONDS)["per_second"])
            ours.append(load(port, targets, SECONDS)["per_second"])
    print(f"  {median(ours):.0f} answers a second, the bare app {median(theirs):.0f}")
    return 1 / median(ours), 1 / median(theirs)


def ids(body: bytes) -> list[str]:
    """The targets of all models."""
    return [f"/api/models/{quote(record['id'], safe='/:~')}" for record in orjson.loads(body)["data"]]


def distinct() -> list[str]:
    """More different filters than the service keeps answers."""
    authors = ("anthropic", "openai", "google", "qwen", "mistralai", "meta-llama", "deepseek", "x-ai")
    sorts = ("id", "name", "newest", "context", "prompt")
    found = []
    for author, sort, least, text in itertools.product(authors, sorts, range(0, 200_000, 9000), ("a", "4")):
        found.append(f"/api/models?author={author}&sort={sort}&min_context={least}&text={text}&limit=50")
    return found


def p99(took: list[tuple[float, float]]) -> float:
    """The 99th percentile of how long answers took."""
    times = sorted(seconds for _, seconds in took)
    return times[int(len(times) * 0.99)]


def while_syncing(folder: Path, bodies: tuple[bytes, bytes]) -> tuple[float, float]:
    """The 99th percentile of answers that begin while a sync is applied, and without, at half of capacity.

    The two bodies take turns, so that each sync changes something.
    """
    with FakeOpenRouter(ok(bodies[0])) as fake, service(folder, fake.base_url) as (port, _):
        targets = ids(bodies[0])
        rate = load(port, targets, 2.0)["per_second"] / 2
        quiet, during = [], []
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            for round_ in range(6):
                quiet += load(port, targets, 3.0, rate=rate)["took"]
                fake.serve(ok(bodies[(round_ + 1) % 2]))
                loading = subprocess.Popen(
                    [sys.executable, "-m", "tests.benchmarks.load", str(port), "4", str(CONNECTIONS), str(rate)],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                )  # fmt: skip
                assert loading.stdin is not None
                loading.stdin.write("\n".join(targets).encode())
                loading.stdin.close()
                time.sleep(1)
                began = time.monotonic()
                run = client.post("/api/openrouter/sync/blocking", json={"force": True}).raise_for_status().json()
                # the new version is read in the moment after
                ended = time.monotonic() + 0.3
                assert run["status"] == "completed", run
                assert run["changed"] + run["repriced"] + run["added"] > 0, run
                assert loading.stdout is not None
                took = orjson.loads(loading.stdout.read())["took"]
                loading.wait()
                during += [it for it in took if began <= it[0] <= ended]
    print(f"  {rate:.0f} a second; p99 {p99(quiet) * 1e3:.2f} ms, during syncs {p99(during) * 1e3:.2f} ms "
          f"({len(during)} answers)")  # fmt: skip
    return p99(during), p99(quiet)
