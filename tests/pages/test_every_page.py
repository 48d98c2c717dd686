"""What holds of every page: it answers, fits a phone, can be used by everybody, and needs no script to be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.pages.addresses import PAGES, Address
from tests.pages.browser import PHONE, SCHEMES, SIZES, Look, Size, check_accessible, check_width

if TYPE_CHECKING:
    from tests.pages.browser import Visitor

pytestmark = pytest.mark.browser

EACH = pytest.mark.parametrize("address", PAGES, ids=lambda it: it.name)


@EACH
@pytest.mark.parametrize("size", SIZES, ids=lambda it: it.name)
def test_it_shows_without_an_error_and_is_accessible(visit: Visitor, address: Address, size: Size) -> None:
    page = visit(address.path, Look(size), status=address.status)
    check_width(page)
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        check_accessible(page, f"{size.name}, {scheme}")


@EACH
def test_it_is_whole_without_a_script(visit: Visitor, address: Address) -> None:
    page = visit(address.path, Look(PHONE, has_script=False), status=address.status)
    assert page.locator("main h1").first.is_visible()
    assert page.locator(address.main).first.is_visible()
    check_width(page)
