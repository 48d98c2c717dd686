"""Pictures of the pages for the documentation: ``python -m tests.pages.screenshots [NAME …]`` (`make screenshots`).

Each page in two sizes and two colour schemes, as docs/images/PAGE-SIZE-SCHEME.png; always the same, for the clock, the
data and the fonts are. A page that does not answer, or a chart that is not drawn, is told and has no picture.
"""

from __future__ import annotations

import io
import itertools
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page
from playwright.sync_api import TimeoutError as TookTooLong

from tests import support
from tests.pages import house
from tests.pages.addresses import BY_NAME
from tests.pages.browser import SCHEMES, SIZES, Look, launched, visiting

FOLDER = support.ROOT / "docs" / "images"
PAGES = ("catalog", "model", "rankings", "compare", "changes", "select", "operations")
LARGEST = 120_000  #: bytes
_COLOURS = (256, 128, 64, 32)
_UNDRAWN = """() => [...document.querySelectorAll('figure.chart:not([data-state=ready])')].filter((it) => {
    const box = it.getBoundingClientRect(); return box.top < innerHeight && box.height > 0 })"""


def small(content: bytes) -> bytes:
    """The same picture with as many colours as fit into so many bytes."""
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    for colours in _COLOURS:
        packed = io.BytesIO()
        picture.quantize(colours, dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
        if packed.tell() <= LARGEST:
            break
    return packed.getvalue()


def shot(page: Page) -> bytes:
    """What is to be seen first of a page, once its charts are drawn."""
    page.wait_for_function(f"() => ({_UNDRAWN})().length === 0", timeout=15_000)
    page.evaluate("() => document.fonts.ready")
    return page.screenshot(animations="disabled", caret="hide")


def main(names: list[str]) -> int:
    """Write them; the exit code says whether all are there."""
    if unknown := [name for name in names if name not in PAGES]:
        sys.exit(f"There is no page {unknown[0]!r}; there are {', '.join(PAGES)}.")
    if not (support.ROOT.parent / "shared").is_dir():
        sys.exit("../shared/data, with the captures that the pages would show, is not here.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    missing = []
    support.begin_session()
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            house.lent("sqlite", Path(folder)) as url,
            house.serving_then(url, Path(folder)) as served,
            launched() as browser,
        ):
            for name, size, scheme in itertools.product(names or PAGES, SIZES, SCHEMES):
                file = FOLDER / f"{name}-{size.name}-{scheme}.png"
                try:
                    with visiting(browser, served.url) as visitor:
                        content = small(shot(visitor(BY_NAME[name].path, Look(size, scheme))))
                except (AssertionError, TookTooLong) as error:
                    print(f"{file.name}: no picture: {str(error).splitlines()[0]}", file=sys.stderr)
                    missing.append(file.name)
                    continue
                file.write_bytes(content)
                print(f"{file.name}: {len(content) / 1000:.0f} KB")
    finally:
        support.end_session()
    if missing:
        print(f"{len(missing)} pictures could not be made.", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
