"""What a request cost, for people: the receipt line by line, its bounds, and where the price comes from."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from rich.console import Console

from llmhive.app.cli import render
from llmhive.catalog.cost import WORDS
from llmhive.catalog.pricing import EXACT
from llmhive.catalog.receipt import (
    Receipt,
    aligned,
    amounts,
    exactly,
    headline,
    in_force,
    origin,
    paid,
    quantity,
    rate,
    remarks,
    sentence,
    shown,
)
from llmhive.catalog.routing import NO_ENDPOINT, Bounds, Share

__all__ = ["aligned", "show"]
_NAMED = 2
_EXCLUDED = 4


def show(
    console: Console,
    receipt: Receipt,
    *,
    is_asked_who: bool = False,
    is_then: bool = False,
    billed: Decimal | None = None,
) -> None:
    """Print a receipt. `is_asked_who`: whether who may serve was asked for, so that nobody serving is news; `is_then`:
    whether an instant was told; `billed`: USD that OpenRouter says it billed.
    """
    console.print(render.escape(headline(receipt)), style="bold")
    _show_lines(console, receipt)
    for text in paid(receipt):
        console.print(text)
    for text in in_force(receipt):
        console.print(render.escape(text), style="yellow")
    if billed is not None:
        console.print(_beside(receipt, billed))
    if receipt.bounds is not None:
        _show_bounds(console, receipt.bounds, is_asked_who=is_asked_who, is_then=is_then)
    console.print(render.escape(origin(receipt)), style="dim")
    for note in remarks(receipt):
        console.print(render.escape(f"Note: {sentence(note)}"), style="dim")
    for reason in receipt.incomplete:
        console.print(render.escape(f"Possibly incomplete: {sentence(reason)}"), style="yellow")


def _beside(receipt: Receipt, billed: Decimal) -> str:
    """What OpenRouter billed, and how far that is from our price."""
    difference = EXACT.subtract(billed, receipt.billed)
    if not difference:
        return f"OpenRouter billed {exactly(billed)}, the same."
    words = "more" if difference > 0 else "less"
    return (
        f"OpenRouter billed {exactly(billed)}, {exactly(difference.copy_abs())} {words}: `llmhive reconcile FILE`, of "
        "the whole response, tells why."
    )


# --- the lines


def _show_lines(console: Console, receipt: Receipt) -> None:
    lines = receipt.lines
    columns = [
        ("what", [*(WORDS.get(it.counted, it.counted) for it in lines), "total"]),
        ("quantity", [*map(quantity, lines), ""]),
        ("charged as", [*(it.unit for it in lines), ""]),
        ("rate", [*map(rate, lines), ""]),
        ("amount", amounts(receipt, lines)),
    ]
    kept, _ = render.fitting(console, columns, spared=("charged as",), gives={})
    names = [name for name, _ in kept]
    rows = list(zip(*(cells for _, cells in kept), strict=True))
    render.table(console, names, rows, right=("quantity", "rate"), gives={"what": 12})


# --- the endpoints


def _show_bounds(console: Console, bounds: Bounds, *, is_asked_who: bool, is_then: bool) -> None:
    if bounds.lowest is None or bounds.expected is None or bounds.highest is None:
        # nobody asked who serves it now: a catalog without endpoints has nothing to say
        if bounds.why == NO_ENDPOINT and is_then:
            console.print(
                "No bounds: who served it then is not known. `llmhive sync --research` keeps that from now on.",
                style="yellow" if is_asked_who else "dim",
            )
        elif bounds.why == NO_ENDPOINT and is_asked_who:
            console.print(f"No bounds: {NO_ENDPOINT}. `llmhive sync --research` asks who serves it.", style="yellow")
        elif is_asked_who or bounds.excluded:
            console.print(render.escape(f"No bounds: {bounds.why}."), style="yellow")
    else:
        count = f"{len(bounds.used)} endpoint{'' if len(bounds.used) == 1 else 's'}"
        if bounds.lowest == bounds.highest:
            console.print(f"{count}: {shown(bounds.lowest)}{'' if len(bounds.used) == 1 else ' at each'}.")
        else:
            sums = aligned([shown(it) for it in (bounds.lowest, bounds.expected, bounds.highest)])
            how = "as OpenRouter would choose among them"
            who = (_who(bounds.used, bounds.lowest), how, _who(bounds.used, bounds.highest))
            rows = list(zip(("lowest", "expected", "highest"), sums, who, strict=True))
            console.print()
            render.table(console, (count, "amount", "where"), rows, gives={"where": 20})
            console.print()
    if is_asked_who and bounds.excluded:
        told = [f"{name} ({reason})" for name, reason in bounds.excluded]
        more = f" and {len(told) - _EXCLUDED} more (--json)" if len(told) > _EXCLUDED else ""
        console.print(render.escape(f"Left out: {'; '.join(told[:_EXCLUDED])}{more}."), style="dim")
    elif bounds.excluded and bounds.lowest is not None:
        console.print(f"{len(bounds.excluded)} more may not serve it now: --json says why.", style="dim")


def _who(shares: Iterable[Share], cost: Decimal) -> str:
    """Who asks for a price: names, and how many more."""
    tags = [it.key for it in shares if it.cost == cost]
    more = len(tags) - _NAMED
    return ", ".join(tags[:_NAMED]) + (f" and {more} more" if more > 0 else "")
