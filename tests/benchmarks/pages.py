"""How fast the pages of `llmhive serve` are, and how heavy: the catalog in Chromium, and every page at its address.

The service has the house of the page tests (`tests.pages.house`) on SQLite, and runs on one processor.
"""

from __future__ import annotations

import html
import http.client
import itertools
import re
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests import support
from tests.benchmarks.service import without_the_last_processor
from tests.pages import house
from tests.pages.addresses import of_model
from tests.pages.browser import launched
from tests.serving import Served

VISITS = 15
_PAINTED = "() => performance.getEntriesByName('first-contentful-paint').map((it) => it.startTime)[0]"
_WEIGHT = """() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
    .map((it) => [new URL(it.name).pathname, it.encodedBodySize])"""


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """The house, served."""
    (folder / "house.db").write_bytes(_house())
    with ExitStack() as running:
        with without_the_last_processor():
            served = running.enter_context(house.serving_then(f"sqlite:///{folder / 'house.db'}", folder))
        yield served


@cache
def _house() -> bytes:
    support.begin_session()
    try:
        return house.built().read_bytes()
    finally:
        support.end_session()


def first_paint(served: Served) -> float:
    """Seconds until the catalog is first seen, with nothing in the cache; the median."""
    took: list[float] = []
    with launched() as browser:
        for _ in range(VISITS):
            context = browser.new_context(viewport={"width": 1280, "height": 800})
            page = context.new_page()
            page.goto(served.url, wait_until="load")
            page.wait_for_function(_PAINTED)
            took.append(page.evaluate(_PAINTED) / 1000)
            context.close()
    print(f"  {min(took) * 1000:.0f} to {max(took) * 1000:.0f} ms")
    return statistics.median(took)


def weight(served: Served) -> int:
    """Bytes of the catalog and all it loads, as they are sent."""
    with launched() as browser:
        page = browser.new_page()
        page.goto(served.url, wait_until="networkidle")
        parts: list[tuple[str, int]] = page.evaluate(_WEIGHT)
    print("  " + ", ".join(f"{path} {size / 1000:.1f} KB" for path, size in parts))
    assert all(size > 0 for _, size in parts), parts
    return sum(size for _, size in parts)


# --- every page


@dataclass(frozen=True)
class Took:
    """Seconds of the answers of a kind of page."""

    kind: str
    seconds: list[float]

    def __str__(self) -> str:
        ordered = sorted(self.seconds)
        middle, late = statistics.median(ordered), at_95(ordered)
        return f"{self.kind}: {len(ordered)} pages, p50 {middle * 1e3:.1f}, p95 {late * 1e3:.1f} ms"


def at_95(seconds: list[float]) -> float:
    """What 95 of 100 take no longer than."""
    return sorted(seconds)[-(-95 * len(seconds) // 100) - 1]


def every_page(served: Served) -> float:
    """The p95 of the seconds from request to last byte, one after another over one connection, as a browser asks."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    found = []
    for kind, paths in _addresses(served).items():
        found.append(Took(kind, [_seconds(connection, path) for path in paths]))
    connection.close()
    for it in sorted(found, key=lambda it: -at_95(it.seconds)):
        print(f"  {it}")
    return at_95([seconds for it in found for seconds in it.seconds])


def _seconds(connection: http.client.HTTPConnection, path: str) -> float:
    began = time.perf_counter()
    connection.request("GET", path, headers={"Accept": "text/html", "Accept-Encoding": "gzip, deflate, br, zstd"})
    answer = connection.getresponse()
    answer.read()
    took = time.perf_counter() - began
    assert answer.status == 200, f"{path}: {answer.status}"
    return took


def _addresses(served: Served) -> dict[str, list[str]]:
    """Each page of the site, no address twice."""
    ids: list[str] = [it["id"] for it in _listed(served)]
    authors = ("anthropic", "openai", "google", "qwen", "mistralai", "deepseek", "x-ai", "z-ai", "nvidia", "minimax")
    sorts = ("name", "newest", "context", "prompt", "output")
    filters = itertools.product(authors, sorts)
    pairs = zip(ids[::9], ids[4::9], strict=False)
    return {
        "catalog": ["/", *(f"/?{urlencode({'author': author, 'sort': sort})}" for author, sort in filters)],
        "model": [of_model(it) for it in ids],
        "ranking": _linked(served, "/rankings"),
        "compare": [f"/compare?{urlencode([('model', it) for it in pair])}" for pair in pairs],
        "changes": _linked(served, "/changes"),
        "select": [*_linked(served, "/select"), *(f"/select?prompt={size}" for size in range(1000, 21_000, 1000))],
        "operations": [
            "/operations", *(f"/operations/runs/{number}" for number in range(1, 8)),
            f"/operations/snapshots/{house.SNAPSHOT}",
        ],
    }  # fmt: skip


def _linked(served: Served, path: str) -> list[str]:
    """A page and what it links to of its kind."""
    found = re.findall(rf'href="({path}[^"#.]*)', served.get(path).text)
    return list(dict.fromkeys([path, *map(html.unescape, found)]))


def _listed(served: Served) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while page := served.get("/api/models", limit=200, offset=len(found)).json()["data"]:
        found += page
    return found
