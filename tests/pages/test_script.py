"""The script of the pages where the service is slow, restarts or does not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

    from tests.pages.browser import Visitor

pytestmark = pytest.mark.browser


def cut_off(route: Route) -> None:
    """No answer, as while the service restarts."""
    route.abort("aborted")


def test_a_page_that_is_looked_at_again_outlasts_a_restart(visit: Visitor) -> None:
    page: Page = visit("/operations")
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) == 1:
            # it goes on
            told = route.fetch()
            body = told.text().replace('id="health" data-swap', 'id="health" data-swap data-poll="50"')
            route.fulfill(response=told, body=body)
        elif len(asked) <= 4:
            cut_off(route)
        elif len(asked) == 5:
            route.fulfill(status=503, body="<main><p class='note bad'>Gone.</p></main>", content_type="text/html")
        else:
            route.continue_()

    visit.expect("/operations", 503)
    page.route("**/operations", answer)
    page.reload()
    page.locator("#health[data-poll]").wait_for(state="attached")
    page.locator("#health:not([data-poll])").wait_for(state="attached")
    assert len(asked) == 6
    assert page.url.endswith("/operations")
    assert "Gone." not in page.locator("main").inner_text()


def test_what_is_typed_stays_where_nobody_answers(visit: Visitor) -> None:
    page = visit("/")
    page.route("**/?text=*", cut_off)
    page.locator("[data-search]").fill("claude")
    page.locator("#results .note.bad").wait_for()
    assert page.locator("[data-search]").input_value() == "claude"
    page.unroute("**/?text=*")
    page.locator("[data-search]").fill("gpt")
    page.wait_for_url("**/?text=gpt")
    assert page.locator("#models").count() == 1
