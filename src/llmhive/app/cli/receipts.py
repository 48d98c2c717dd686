"""What a request cost, for people: the receipt line by line, its bounds, where the price comes from, and its proof."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from rich.console import Console

from llmhive.app.cli import render
from llmhive.app.proof import Check
from llmhive.catalog.cost import Line
from llmhive.catalog.model import instant
from llmhive.catalog.pricing import CONDITIONS, PER_TOKEN, Override, per_million, plain
from llmhive.catalog.receipt import Receipt, shown
from llmhive.catalog.routing import Bounds, Share

#: What is counted, in words; the unit that is charged stands beside it.
_COUNTED = {
    "plain": "prompt",
    "cached": "cache read",
    "written": "cache write",
    "written_1h": "cache write, 1 h",
    "audio": "audio in",
    "audio_cached": "audio in, cached",
    "image_tokens": "image tokens in",
    "text": "completion",
    "reasoning": "reasoning",
    "audio_output": "audio out",
    "image_output": "image tokens out",
    "requests": "requests",
    "images": "images",
    "web_searches": "web searches",
    "byok_fee": "fee for your own key",
}
_NAMED = 2
_EXCLUDED = 4


def show(console: Console, receipt: Receipt, *, is_asked_who: bool = False) -> None:
    """Print a receipt; `is_asked_who`: whether who may serve was asked for, so that nobody serving is news."""
    console.print(_headline(receipt), style="bold")
    _show_lines(console, receipt)
    for text in _paid(receipt):
        console.print(text)
    for number, override in _fired(receipt):
        console.print(render.escape(f"In force: override {number}, {condition(override)}."), style="yellow")
    if receipt.bounds is not None:
        _show_bounds(console, receipt.bounds, is_asked_who=is_asked_who)
    console.print(render.escape(_origin(receipt)), style="dim")
    for note in receipt.notes:
        console.print(render.escape(f"Note: {_sentence(note)}"), style="dim")
    for reason in receipt.incomplete:
        console.print(render.escape(f"Possibly incomplete: {_sentence(reason)}"), style="yellow")


def _headline(receipt: Receipt) -> str:
    asked = [
        it for it in (receipt.provider and f"at {receipt.provider}", receipt.tier and f"tier {receipt.tier}") if it
    ]
    what = f"{receipt.model}, {render.moment(instant(receipt.at))}{''.join(f', {it}' for it in asked)}"
    return render.escape(what)


# --- the lines


def _show_lines(console: Console, receipt: Receipt) -> None:
    lines = receipt.lines
    amounts = aligned(["?" if it.amount is None else shown(it.amount) for it in lines] + [shown(receipt.total)])
    columns = [
        ("what", [*(_COUNTED.get(it.counted, it.counted) for it in lines), "total"]),
        ("quantity", [*map(_quantity, lines), ""]),
        ("charged as", [*(it.unit for it in lines), ""]),
        ("rate", [*map(_rate, lines), ""]),
        ("amount", amounts),
    ]
    kept, _ = render.fitting(console, columns, spared=("charged as",), gives={})
    names = [name for name, _ in kept]
    rows = list(zip(*(cells for _, cells in kept), strict=True))
    render.table(console, names, rows, right=("quantity", "rate"), gives={"what": 12})


def _quantity(line: Line) -> str:
    return f"{line.quantity:,}" if isinstance(line.quantity, int) else shown(line.quantity)


def _rate(line: Line) -> str:
    if line.rate is None:
        return "?"
    if line.counted == "byok_fee":
        return f"{plain(line.rate.scaleb(2))} %"
    if line.unit in PER_TOKEN:
        return f"${render.money(per_million(line.rate))}/M"
    return f"${render.money(line.rate)} each"


def aligned(amounts: Sequence[str]) -> list[str]:
    """Amounts as cells of one width, with their decimal points below each other."""
    parts = [(whole, point + rest) for whole, point, rest in (it.partition(".") for it in amounts)]
    before, after = (max(len(part[place]) for part in parts) for place in (0, 1))
    return [f"{whole:>{before}}{rest:<{after}}" for whole, rest in parts]


def _paid(receipt: Receipt) -> Iterator[str]:
    """What the table cannot say of the total: every digit where it is rounded, and who gets it."""
    if shown(receipt.total) != f"${render.money(receipt.total)}":
        yield f"Exactly ${render.money(receipt.total)}."
    if receipt.is_byok:
        yield (
            f"With your own key: {shown(receipt.inference)} to the provider, {shown(receipt.billed)} of your "
            "OpenRouter credits."
        )


# --- conditions


def _fired(receipt: Receipt) -> list[tuple[int, Override]]:
    """The overrides in force, with their places in the pricing from 1."""
    pricing = receipt.step.pricing
    assert pricing is not None
    return [(pricing.overrides.index(it) + 1, it) for it in receipt.tariff.fired]


def condition(override: Override) -> str:
    """When an override applies, in words: ``prompt over 200,000 tokens, 16:00 to 00:00 UTC``."""
    when = dict(override.conditions)
    words = []
    least = when.get("min_prompt_tokens")
    if isinstance(least, int):
        words.append(f"prompt over {least:,} tokens")
    start, end = when.get("utc_start", 0), when.get("utc_end", 0) or 2400
    if {"utc_start", "utc_end"} & when.keys() and isinstance(start, int) and isinstance(end, int):
        words.append(f"{start // 100:02}:{start % 100:02} to {end // 100:02}:{end % 100:02} UTC")
    if isinstance(days := when.get("utc_days"), tuple):
        words.append(f"on {', '.join(days)}")
    words += [f"{name} {value}" for name, value in when.items() if name not in CONDITIONS]
    return ", ".join(words) or "always"


# --- the endpoints


def _show_bounds(console: Console, bounds: Bounds, *, is_asked_who: bool) -> None:
    if bounds.lowest is None or bounds.expected is None or bounds.highest is None:
        # nobody asked who serves it: a catalog without endpoints has nothing to say
        if is_asked_who or bounds.excluded:
            console.print(render.escape(f"No bounds: {bounds.why}."), style="yellow")
    else:
        count = f"{len(bounds.used)} endpoint{'' if len(bounds.used) == 1 else 's'}"
        if bounds.lowest == bounds.highest:
            console.print(f"{count}: {shown(bounds.lowest)}{'' if len(bounds.used) == 1 else ' at each'}.")
        else:
            amounts = aligned([shown(it) for it in (bounds.lowest, bounds.expected, bounds.highest)])
            how = "as OpenRouter would choose among them"
            who = (_who(bounds.used, bounds.lowest), how, _who(bounds.used, bounds.highest))
            rows = list(zip(("lowest", "expected", "highest"), amounts, who, strict=True))
            console.print()
            render.table(console, (count, "amount", "where"), rows, gives={"where": 20})
            console.print()
    if is_asked_who and bounds.excluded:
        told = [f"{name} ({reason})" for name, reason in bounds.excluded]
        more = f" and {len(told) - _EXCLUDED} more (--json)" if len(told) > _EXCLUDED else ""
        console.print(render.escape(f"Left out: {'; '.join(told[:_EXCLUDED])}{more}."), style="dim")
    elif bounds.excluded and bounds.lowest is not None:
        console.print(f"{len(bounds.excluded)} more may not serve it now: --json says why.", style="dim")
    for note in bounds.notes:
        console.print(render.escape(f"Note: {_sentence(note)}"), style="dim")


def _who(shares: Iterable[Share], cost: Decimal) -> str:
    """Who asks for a price: names, and how many more."""
    tags = [it.key for it in shares if it.cost == cost]
    more = len(tags) - _NAMED
    return ", ".join(tags[:_NAMED]) + (f" and {more} more" if more > 0 else "")


# --- where the price comes from


def _origin(receipt: Receipt) -> str:
    step = receipt.step
    begin = render.moment(instant(step.begin))
    until = "" if step.end is None else f" until {render.moment(instant(step.end))}"
    if receipt.known_at is not None:
        return (
            f"Price: as this catalog believed it at {render.moment(instant(receipt.known_at))}, since {begin}{until}."
        )
    if step.source == "endpoint":
        return f"Price: of the endpoint {step.key or step.tag} ({step.provider}), seen since {begin}{until}."
    if step.source == "bootstrap":
        return f"Price: of the facts shipped with LLMHive, as of {begin}; not synced yet."
    return f"Price: OpenRouter's model list, since {begin}{until}."


def _sentence(text: str) -> str:
    """Words for the end of a line."""
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."


# --- the proof


def show_checks(console: Console, proofs: Sequence[tuple[Mapping[str, Any], Sequence[Check]]]) -> None:
    """Print what was checked of receipts; of many only what is wrong."""
    marks = {True: "✓", False: "✗"} if render.speaks("✓✗") else {True: "ok ", False: "BAD"}
    wrong = [(receipt, checks) for receipt, checks in proofs if not is_right(checks)]
    for receipt, checks in proofs if len(proofs) <= _SHOWN else wrong[:_SHOWN]:
        is_good = is_right(checks)
        verdict = "right" if is_good else "WRONG"
        console.print(render.escape(f"{_named(receipt)}: {verdict}."), style="bold green" if is_good else "bold red")
        for it in checks:
            style = "green" if it.is_right else "red"
            detail = render.short(it.detail, "(whole with --json)", at_most=_DETAIL)
            console.print(f"  [{style}]{marks[it.is_right]}[/] {it.what:<10} {render.escape(detail)}")
    if len(proofs) > 1:
        if len(wrong) > _SHOWN < len(proofs):
            console.print(f"… and {len(wrong) - _SHOWN:,} more that are wrong: --json.", style="dim")
        console.print(f"{len(proofs) - len(wrong):,} of {len(proofs):,} receipts are right.", style="bold")


_SHOWN = 5
_DETAIL = 220


def is_right(checks: Iterable[Check]) -> bool:
    """Whether every check is."""
    return all(it.is_right for it in checks)


def _named(receipt: Mapping[str, Any]) -> str:
    at = receipt.get("at")
    return f"{receipt.get('model')}, {render.as_of(at) if isinstance(at, str) else at}, ${receipt.get('total')}"
