"""Four questions, answered by somebody who has never been here: the ways of docs/pages.md, click by click."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.pages import house
from tests.pages.browser import PHONE, PLAIN, Look

if TYPE_CHECKING:
    from tests.pages.browser import Visitor
    from tests.serving import Served

pytestmark = pytest.mark.browser

LOOKS = pytest.mark.parametrize("look", [PLAIN, Look(PHONE)], ids=["desktop", "phone"])


@pytest.fixture(autouse=True)
def within_a_minute() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 60


def cheaper(served: Served) -> dict[str, set[str]]:
    """What got cheaper in the last week, by model, from the API alone: the texts of both prices, per million."""
    found: dict[str, set[str]] = {}
    since = (house.NOW - timedelta(days=7)).isoformat()
    for it in served.get("/api/changes", since=since).json()["data"]:
        before, after = it["before"], it["after"]
        if it["what"] == "repriced" and before is not None and after is not None and Decimal(after) < Decimal(before):
            found.setdefault(it["model_id"], set()).update(
                f"{Decimal(rate) * 10**6:f}".rstrip("0").rstrip(".") for rate in (before, after)
            )
    return found


@LOOKS
def test_which_model_got_cheaper_last_week(visit: Visitor, served: Served, look: Look) -> None:
    expected = cheaper(served)
    assert expected
    page = visit("/", look)
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Changes").click()
    page.get_by_role("link", name=re.compile("Got cheaper")).click()
    page.wait_for_url("**what=cheaper*")
    page.locator("[data-swap]:not([aria-busy])").first.wait_for()
    shown = page.locator("main").inner_text()
    for model_id, prices in expected.items():
        assert model_id in shown
        for price in prices:
            assert price in shown.replace(",", ""), (model_id, price)
    assert set(page.locator("main .id").all_inner_texts()) == set(expected)
    assert "%" in shown


@LOOKS
def test_what_will_a_million_calls_cost(visit: Visitor, served: Served, look: Look) -> None:
    page = visit("/", look)
    page.locator("[data-search]").fill("claude sonnet 5")
    page.wait_for_url("**/?text=*")
    page.locator("#results:not([aria-busy]) #models tbody th a").first.click()
    page.wait_for_url("**/models/**")
    page.get_by_role("link", name="Cost", exact=True).click()
    page.get_by_label("Calls", exact=True).fill("1000000")
    page.get_by_label(re.compile("^Prompt tokens")).fill("1200")
    page.get_by_label(re.compile("^Completion tokens")).fill("350")
    page.wait_for_url(re.compile("calls=1000000.*completion=350"))
    model_id = page.url.partition("/models/")[2].partition("?")[0].partition("#")[0]
    rates: dict[str, Any] = served.get(f"/api/models/{model_id}").json()["pricing"]
    total = 1_000_000 * (1200 * Decimal(rates["prompt"]) + 350 * Decimal(rates["completion"]))
    expect(page.locator("#receipt")).to_contain_text(f"{total:,.2f}")


@LOOKS
def test_why_was_that_price_held(visit: Visitor, look: Look) -> None:
    page = visit("/", look)
    page.locator("[name=held]").check()
    page.locator("#models tbody tr").nth(1).wait_for(state="detached")
    page.get_by_role("link", name="held", exact=True).click()
    page.wait_for_url(f"**/models/{house.HELD}#held")
    told = page.locator("#held").inner_text()
    for words in ("OpenRouter says", "$0.00", "Believed instead", "Why", "fell to nothing"):
        assert words in told
    page.locator("#held a", has_text="run").first.click()
    page.wait_for_url("**/operations/runs/*")
    assert house.HELD in page.locator("main").inner_text()


@LOOKS
@pytest.mark.parametrize("is_preset", [False, True], ids=["by hand", "by the preset"])
def test_what_is_the_best_vision_model_under_a_dollar(
    visit: Visitor, served: Served, look: Look, is_preset: bool
) -> None:
    page = visit("/", look)
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Select").click()
    if is_preset:
        page.get_by_role("link", name="Best vision under $1").click()
    else:
        page.get_by_label("vision", exact=True).check()
        page.get_by_label(re.compile("^Prompt, at most")).fill("1")
        page.wait_for_url(re.compile("vision.*max_prompt=1"))
    page.locator("#shortlist:not([aria-busy])").wait_for()
    page.wait_for_load_state("networkidle")
    first = page.locator("#shortlist .id").first.inner_text()
    need: dict[str, Any] = {"require": ["vision"], "max_price_per_million": {"prompt": 1}}
    if is_preset:
        need = served.post("/api/select", need | {"objective": "quality"}).json()
    else:
        need = served.post("/api/select", need).json()
    assert first == need["choices"][0]["id"]
    record = served.get(f"/api/models/{first}").json()
    assert "image" in record["input_modalities"]
    assert Decimal(record["pricing"]["prompt"]) * 10**6 <= 1
