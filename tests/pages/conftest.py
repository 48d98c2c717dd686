"""Fixtures: a browser, the house of all page tests served on both databases, and who visits it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import support
from tests.pages import house
from tests.serving import Served, serving
from tests.upstream import Upstream

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.pages.browser import Visitor

ServeOwn = Callable[..., Served]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One Chromium for each worker."""
    from tests.pages.browser import launched

    with launched() as browser:
        yield browser


@pytest.fixture(scope="session", params=support.DIALECTS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The house as it was at its end, on each database: for tests that write nothing."""
    folder = tmp_path_factory.mktemp("house")
    with house.lent(request.param, folder) as url, house.serving_then(url, folder) as running:
        yield running


@pytest.fixture
def visit(chromium: Browser, served: Served) -> Iterator[Visitor]:
    """Opens its pages; what goes wrong on one fails the test."""
    from tests.pages.browser import visiting

    with visiting(chromium, served.url) as visitor:
        yield visitor


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """The fake OpenRouter before `own_served`, which serves what it did at the house's end."""
    with Upstream(house.world()) as running:
        yield running


@pytest.fixture
def house_url(dialect: support.Dialect, tmp_path: Path) -> Iterator[str]:
    """A copy of the house, for a test that writes."""
    with house.lent(dialect, tmp_path) as url:
        yield url


@pytest.fixture
def serve_own(house_url: str, upstream: Upstream, tmp_path: Path) -> Iterator[ServeOwn]:
    """Serves `house_url` by today's clock: ``serve_own(AUTH_TOKEN="…")``."""
    with contextlib.ExitStack() as running:

        def serve(**env: Any) -> Served:
            command = house.command(house_url, tmp_path, upstream)
            return running.enter_context(serving(command, **env))

        yield serve


@pytest.fixture
def own_served(serve_own: ServeOwn) -> Served:
    """`house_url`, served as it comes: whoever is on this machine may write."""
    return serve_own()


@pytest.fixture
def visit_own(chromium: Browser, own_served: Served) -> Iterator[Visitor]:
    """Opens its pages."""
    from tests.pages.browser import visiting

    with visiting(chromium, own_served.url, is_then=False) as visitor:
        yield visitor
