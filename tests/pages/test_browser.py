"""What pages are watched with finds what it is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.fake_openrouter import FakeOpenRouter
from tests.pages.browser import PHONE, PLAIN, Look, check_accessible, check_width, visiting

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.pages.browser import Visitor

pytestmark = pytest.mark.browser

GOOD = "<h1>Good</h1><p>Nothing to find.</p>"


def shown(visitor: Visitor, body: str, look: Look = PLAIN) -> Page:
    """A page that no service has."""
    content = f"<!doctype html><html lang=en><title>T</title><link rel=icon href=data:,><main>{body}</main></html>"
    # a phone shows what is wider as small as it must
    content = content.replace("<title>", '<meta name="viewport" content="width=device-width, initial-scale=1"><title>')
    visitor.context(look).route("**/made", lambda route: route.fulfill(body=content, content_type="text/html"))
    return visitor("/made", look)


@pytest.fixture
def visit(chromium: Browser, fake: FakeOpenRouter) -> Callable[[str], list[str]]:
    """Shows a body, and returns what went wrong."""

    def show(body: str) -> list[str]:
        problems: list[str] = []
        try:
            with visiting(chromium, fake.base_url.partition("/api")[0]) as visitor:
                problems = visitor.problems
                shown(visitor, body).wait_for_timeout(50)
        except AssertionError:
            assert problems
        else:
            assert not problems
        return problems

    return show


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("<script>console.error('dear me')</script>", "console: error: dear me"),
        ("<script>throw new Error('dear me')</script>", "uncaught: "),
        ("<script>setTimeout(() => Promise.reject(new Error('dear me')))</script>", "uncaught: "),
        ("<img alt='' src='http://elsewhere.example/x.png'>", "another host is asked: http://elsewhere.example/x.png"),
        ("<img alt='' src='/none.png'>", "answer 404: "),
    ],
)
def test_what_must_not_happen_is_kept(visit: Callable[[str], list[str]], body: str, problem: str) -> None:
    assert any(it.startswith(problem) for it in visit(body))


def test_a_good_page_is_good(visit: Callable[[str], list[str]]) -> None:
    assert visit(GOOD) == []


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ("<h1>T</h1><button></button>", "critical: button-name: "),
        ("<h1>T</h1><p style='color:#aaa;background:#fff'>pale</p>", "serious: color-contrast: "),
        ("<h1>T</h1><input>", "critical: label: "),
    ],
)
def test_what_some_cannot_use_is_told_with_its_element(
    chromium: Browser, fake: FakeOpenRouter, body: str, rule: str
) -> None:
    with visiting(chromium, fake.base_url.partition("/api")[0]) as visitor:
        with pytest.raises(AssertionError, match=rule):
            check_accessible(shown(visitor, body))
        check_accessible(shown(visitor, GOOD, Look(PHONE)))


def test_what_does_not_fit_is_told_with_its_element(chromium: Browser, fake: FakeOpenRouter) -> None:
    with visiting(chromium, fake.base_url.partition("/api")[0]) as visitor:
        wide = shown(visitor, "<h1>T</h1><div style='width:900px'>wide</div>", Look(PHONE))
        with pytest.raises(pytest.fail.Exception, match=r"908 px wide in 390 px: .*width:900px"):
            check_width(wide)
    with visiting(chromium, fake.base_url.partition("/api")[0]) as visitor:
        check_width(shown(visitor, GOOD, Look(PHONE)))
