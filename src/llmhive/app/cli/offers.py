"""What `llmhive model` shows beside the model list: endpoints, ranks, benchmarks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from rich.console import Console

from llmhive.app import wording
from llmhive.app.cli import figures, render
from llmhive.app.wiring import now
from llmhive.catalog.benchmark import INSIDE, KEYED
from llmhive.catalog.pricing import exact

_BEST_RANKS = 6
_BEST_ELOS = 4
#: Left out one after the other where the terminal is too narrow.
_SPARED = ("since", "provider", "latency ms", "quantized", "context", "ZDR", "tokens/s", "discount")


def show_endpoints(
    console: Console, model: Mapping[str, Any], found: Mapping[str, Any], *, counts_tokens: bool
) -> None:
    """Who serves a model, at what price and how well."""
    console.print()
    if found["checked_at"] is None:
        console.print("Its endpoints were never asked for: `llmhive sync --research` asks.", style="yellow")
        return
    active = [it for it in found["data"] if it["is_active"]]
    console.print(f"{len(active) or 'No'} endpoint{'' if len(active) == 1 else 's'}", style="bold")
    if active:
        columns = [(name, cells) for name, cells in _columns(active, model, counts_tokens) if any(map(_tells, cells))]
        left_out = _show_table(console, columns)
        for note in _notes(active, dict(columns), counts_tokens, left_out):
            console.print(note, style="dim")
    if gone := len(found["data"]) - len(active):
        console.print(f"{gone} more no longer offered; `--json` has {'it' if gone == 1 else 'them'}.", style="dim")
    console.print(f"Asked for {figures.dated(found['succeeded_at'], now()) or 'without success so far'}.", style="dim")
    if found["error"] is not None:
        tried = render.moment(found["checked_at"])
        console.print(render.escape(f"The last try, {tried}, failed: {found['error']}"), style="yellow")


def _tells(cell: str) -> bool:
    return cell not in {"", figures.UNKNOWN}


def _columns(
    active: Sequence[Mapping[str, Any]], model: Mapping[str, Any], counts_tokens: bool
) -> Iterator[tuple[str, list[str]]]:
    yield "provider", [it["provider"] for it in active]
    yield "tag", [it["tag"] for it in active]
    for unit, name in (("prompt", "in"), ("completion", "out")):
        header = f"{name} $/M" if counts_tokens else f"{name} $"
        yield header, [_price(it["pricing"].get(unit), model["pricing_kind"], counts_tokens) for it in active]
    is_discounted = any(exact(it["discount"]) for it in active)
    yield "discount", [_discount(it["discount"]) if is_discounted else "" for it in active]
    yield (
        "context",
        [figures.UNKNOWN if not it["context_length"] else render.tokens(it["context_length"]) for it in active],
    )
    yield "quantized", [it["quantization"] or figures.UNKNOWN for it in active]
    yield (
        "uptime 30m %",
        [_uptime(it) for it in active],
    )
    yield "latency ms", [_median(it["latency_ms"]) for it in active]
    yield "tokens/s", [_median(it["throughput_tps"]) for it in active]
    yield "status", [_status(it["status"]) for it in active]
    yield "ZDR", [figures.UNKNOWN if it["is_zdr"] is None else "yes" if it["is_zdr"] else "no" for it in active]
    yield "since", [it["since"][:10] for it in active]


def _price(rate: str | None, kind: str, counts_tokens: bool) -> str:
    """A price of an endpoint as its model's are shown: a zero is one, unless the model is priced elsewhere."""
    if rate is None:
        return "varies" if kind == "dynamic" else figures.UNKNOWN
    if not Decimal(rate) and kind == "unknown":
        return figures.UNKNOWN
    if Decimal(rate) and not counts_tokens:
        return render.money(Decimal(rate))
    return render.short_price(rate, kind).removeprefix("$")


def _discount(fraction: str | None) -> str:
    part = exact(fraction)
    if part is None:
        return figures.UNKNOWN
    text = f"{wording.four_digits(str(abs(part * 100)))} %"
    return "–" if not part else f"{text} off" if part > 0 else f"{text} more"


def _uptime(it: Mapping[str, Any]) -> str:
    """That of the last 30 minutes; where it is not known the day's, marked as such."""
    if it["uptime_last_30m"] is None and it["uptime_last_1d"] is not None:
        return f"{figures.uptime(it['uptime_last_1d'])} (1d)"
    return figures.uptime(it["uptime_last_30m"])


def _median(spread: Mapping[str, float | None] | None) -> str:
    middle = None if spread is None else spread["p50"]
    return figures.UNKNOWN if middle is None else f"{middle:,.0f}" if middle >= 10 else f"{middle:.2g}"


def _status(status: int | None) -> str:
    if status is None:
        return figures.UNKNOWN
    return "operational" if status >= 0 else f"degraded or disabled ({status})"


def _show_table(console: Console, columns: Sequence[tuple[str, list[str]]]) -> list[str]:
    """Print it, as wide as the terminal allows; returns the columns that were left out."""
    gives = {"provider": 8, "tag": 22}
    kept, left_out = render.fitting(console, columns, spared=_SPARED, gives=gives)
    headers = [name for name, _ in kept]
    rows = list(zip(*(cells for _, cells in kept), strict=True))
    right = [name for name in headers if name not in {"provider", "tag", "quantized", "status", "ZDR", "since"}]
    render.table(console, headers, rows, right=right, gives={it: least for it, least in gives.items() if it in headers})
    return left_out


def _notes(
    active: Sequence[Mapping[str, Any]], columns: Mapping[str, Any], counts_tokens: bool, left_out: Sequence[str]
) -> Iterator[str]:
    if "discount" in columns:
        yield "The prices are net: the discount is taken off already."
    if not counts_tokens and any(name.endswith("$") for name in columns):
        yield "The prices are as listed: for a second, a character, a search or a token; OpenRouter does not say."
    if any(it["pricing"].get("overrides") for it in active):
        yield "The prices are those in force when asked for; by prompt length or hour there are others: `--json`."
    if "latency ms" not in columns and "tokens/s" not in columns:
        yield "Latency and throughput are unknown: OpenRouter tells them to requests with a key, where it measured."
    if left_out:
        yield f"Left out for want of width: {', '.join(left_out)}. `--json` has all."


def show_ranks(console: Console, model_id: str, ranks: Sequence[Mapping[str, Any]]) -> None:
    """Where a model stands best, in a line; each ranking by the name that `llmhive rankings` takes."""
    if not ranks:
        return
    best = sorted(ranks, key=lambda it: it["rank"])
    words = [f"#{it['rank']} {it['category'] or it['dimension']}" for it in best[:_BEST_RANKS]]
    left = len(best) - _BEST_RANKS
    more = f", and {left} more: llmhive model {model_id} --json" if left > 0 else ""
    console.print()
    console.print("Ranks", style="bold")
    console.print(render.escape(" · ".join(words) + more))


def show_benchmarks(console: Console, measures: Sequence[Mapping[str, Any]]) -> None:
    """What others measured, a line each; of one metric the source that is asked for it, not its copy in the list."""
    chosen: dict[str, Mapping[str, Any]] = {}
    for it in sorted(measures, key=lambda it: it["source"].startswith(INSIDE)):
        chosen.setdefault(it["metric"], it)
    if not chosen:
        return
    elos = [it for name, it in chosen.items() if name.startswith("elo:")]
    others = [it for name, it in sorted(chosen.items()) if not name.startswith("elo:")]
    pairs = [(it["metric"].replace("_", " "), f"{_value(it)}  {_by(it)}") for it in others]
    if elos:
        best = sorted(elos, key=lambda it: (-Decimal(it["value"]), it["metric"]))
        words = [f"{it['metric'].rpartition(':')[2]} {wording.four_digits(it['value'])}" for it in best[:_BEST_ELOS]]
        more = f" and {len(best) - _BEST_ELOS} more" if len(best) > _BEST_ELOS else ""
        pairs.append(("Elo, the best", f"{', '.join(words)}{more}  {_by(best[0])}"))
    console.print()
    console.print("Benchmarks", style="bold")
    render.facts(console, pairs)


def _value(it: Mapping[str, Any]) -> str:
    # an index and an Elo rating are points; what is left are scores of 0 to 1
    value = Decimal(it["value"])
    return wording.four_digits(it["value"]) if it["metric"].endswith("_index") or value > 1 else f"{value * 100:.1f} %"


def _by(it: Mapping[str, Any]) -> str:
    source = it["source"].removeprefix(INSIDE)
    dated = f", {it['as_of'][:10]}" if it["as_of"] else ""
    return f"{KEYED.get(source, source)}{dated}"
