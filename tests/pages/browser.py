"""A real Chromium before a real service, and what must never happen there.

::

    def test_something(visit):                         # on both databases
        page = visit("/rankings", Look(PHONE, "dark"))
        check_accessible(page)

A page that writes to the console, throws, asks another host or gets an answer that was not expected fails its test.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response, sync_playwright

from tests.pages import chromium, house

_AXE = Path(__file__).with_name("node_modules") / "axe-core" / "axe.min.js"
_ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run", "--disable-quic", "--disable-dev-shm-usage", "--force-color-profile=srgb",
    # nobody else is asked, whatever a page says
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
#: Findings of these impacts fail.
_GRAVE = ("serious", "critical")
_RUN_AXE = "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"

Scheme = Literal["light", "dark"]


class Size(NamedTuple):
    """Of a window."""

    name: str
    width: int
    height: int


DESKTOP, PHONE = Size("desktop", 1280, 800), Size("phone", 390, 844)
SIZES = (DESKTOP, PHONE)
SCHEMES: tuple[Scheme, ...] = ("light", "dark")


class Look(NamedTuple):
    """How a page is looked at."""

    size: Size = DESKTOP
    scheme: Scheme = "light"
    has_script: bool = True


PLAIN = Look()


@contextlib.contextmanager
def launched() -> Iterator[Browser]:
    """A Chromium of its own."""
    path = chromium.found()
    if path is None or not _AXE.exists():
        pytest.fail("There is no Chromium or no axe-core here: make .venv/.browser", pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        yield browser
        browser.close()


@dataclass
class Visitor:
    """Opens pages of one service, and keeps what went wrong on them."""

    browser: Browser
    base: str  #: URL of the service
    is_then: bool = True  #: whether the service goes by the clock of the house
    problems: list[str] = field(default_factory=list)
    #: path → statuses that its answers may have beside good ones
    expected: dict[str, set[int]] = field(default_factory=dict)
    _contexts: dict[Look, BrowserContext] = field(default_factory=dict)

    def __call__(self, path: str, look: Look = PLAIN, *, status: int = 200) -> Page:
        """A new tab with this page in it, once all it loads is there; those of one look share their cookies."""
        if status >= 400:
            self.expect(path, status)
        page = self.context(look).new_page()
        answer = page.goto(self.base + path, wait_until="networkidle")
        assert answer is not None
        assert answer.status == status, f"{path}: {answer.status}, not {status}\n{answer.text()[:2000]}"
        return page

    def expect(self, path: str, status: int) -> None:
        """Let answers for a path have this status, though it tells of an error."""
        self.expected.setdefault(urlsplit(path).path, set()).add(status)

    def context(self, look: Look) -> BrowserContext:
        """A profile of its own for each look."""
        if look not in self._contexts:
            made = self.browser.new_context(
                viewport={"width": look.size.width, "height": look.size.height},
                is_mobile=look.size is PHONE,
                has_touch=look.size is PHONE,
                device_scale_factor=1,
                color_scheme=look.scheme,
                reduced_motion="reduce",
                java_script_enabled=look.has_script,
                locale="en-GB",
                timezone_id="UTC",
            )
            if self.is_then and look.has_script:
                made.clock.set_fixed_time(house.NOW)
            made.on("console", self._heard)
            made.on("weberror", lambda error: self.problems.append(f"uncaught: {error.error}"))
            made.on("request", self._asked)
            made.on("requestfailed", self._failed)
            made.on("response", self._answered)
            self._contexts[look] = made
        return self._contexts[look]

    def close(self) -> None:
        """Close all tabs."""
        for context in self._contexts.values():
            context.close()
        self._contexts.clear()

    def _is_expected(self, url: str, status: int) -> bool:
        return status in self.expected.get(urlsplit(url).path, ())

    def _heard(self, message: ConsoleMessage) -> None:
        where = message.location["url"]
        if message.type not in {"error", "warning"}:
            return
        # Chromium's own words for an answer of which `_answered` knows more
        if not message.text.startswith("Failed to load resource: the server responded with a status of"):
            self.problems.append(f"console: {message.type}: {message.text} ({where})")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.base + "/", "data:", "blob:")):
            self.problems.append(f"another host is asked: {request.url}")

    def _failed(self, request: Request) -> None:
        # a newer one took its place, or it became a download
        if request.failure != "net::ERR_ABORTED":
            self.problems.append(f"no answer: {request.url}: {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and not self._is_expected(response.url, response.status):
            self.problems.append(f"answer {response.status}: {response.url}")


@contextlib.contextmanager
def visiting(browser: Browser, base: str, *, is_then: bool = True) -> Iterator[Visitor]:
    """A visitor; fails at the end where something went wrong."""
    visitor = Visitor(browser, base.rstrip("/"), is_then)
    try:
        yield visitor
    finally:
        visitor.close()
    assert visitor.problems == []


def check_accessible(page: Page, about: str = "") -> None:
    """Fail, naming rule and element, where axe finds something serious or critical on the page as it is."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(_axe())
    found: list[dict[str, Any]] = page.evaluate(_RUN_AXE)
    grave = [_told(rule) for rule in found if rule["impact"] in _GRAVE]
    assert not grave, f"{page.url} {about}\n" + "\n".join(grave)


def check_width(page: Page) -> None:
    """Fail where the page as a whole can be moved sideways; tables in `.scroll` may be."""
    assert page.viewport_size is not None
    # the window says more: a phone zooms out until all fits
    width = page.viewport_size["width"]
    inside = page.evaluate("() => document.scrollingElement.scrollWidth")
    if inside > width:
        pytest.fail(f"{page.url} is {inside} px wide in {width} px: {page.evaluate(_WIDE, width)}", pytrace=False)


#: Up to five elements that are wider, and in nothing that scrolls.
_WIDE = """(width) => [...document.body.querySelectorAll('*')]
    .filter((it) => it.getBoundingClientRect().right > width && !it.closest('.scroll'))
    .slice(0, 5).map((it) => it.outerHTML.slice(0, 120))"""


@cache
def _axe() -> str:
    return _AXE.read_text(encoding="utf-8")


def _told(rule: dict[str, Any]) -> str:
    lines = [f"{rule['impact']}: {rule['id']}: {rule['help']} ({len(rule['nodes'])} times)"]
    for node in rule["nodes"][:5]:
        lines.append(f"    {' '.join(map(str, node['target']))}  {node['html'][:160]}")
        lines += [f"        {check['message']}" for check in (*node["any"], *node["all"], *node["none"])][:3]
    return "\n".join(lines)
