"""What `llmhive select` shows: the choices and why, what would change them, what removed the others."""

from __future__ import annotations

import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Context, Decimal
from itertools import combinations
from typing import Any

import typer
from rich.console import Console

from llmhive.app.cli import figures, render
from llmhive.app.wiring import now
from llmhive.catalog import condition, flip
from llmhive.catalog.condition import Condition
from llmhive.catalog.flip import FlipPoint
from llmhive.catalog.model import instant
from llmhive.catalog.need import PARTS, Need
from llmhive.catalog.pricing import canonical, per_million
from llmhive.catalog.role import NEAREST, ROLES
from llmhive.catalog.routing import Candidate
from llmhive.catalog.shortlist import Choice, Explanation, Shortlist
from llmhive.errors import LLMHiveError

_EXPLAINED = 3
_FLIPS = 6
_KINDS = 6
_BAR = 8
_BLOCKS = " ▏▎▍▌▋▊▉█"
#: Left out one after the other where the terminal is too narrow.
_SPARED = ("", "cost $", "from–to", "endpoints", "family", "capability", "latency s")
_GIVES = {"model": 30}
_FOUR_DIGITS = Context(prec=4)

#: What removed a model, in a few words; `{}` is the value that is asked for.
_REMOVED = {
    "alias": "aliases", "router": "routers", "batch": "batches only", "free": "free of charge",
    "unpriced": "no known price", "degraded": "not healthy", "text": "no text", "lasting": "about to expire",
    "models": "not among --model", "exclude": "excluded", "input": "no {} in", "output": "no {} out",
    "family": "of another family", "stronger": "not clearly stronger", "itself": "the model itself and its variants",
    "serving": "in outage", "providers": "not at these providers", "exclude_providers": "at excluded providers only",
    "quantizations": "quantized otherwise", "zdr": "data kept or not told", "require": "no {}",
    "context": "too little context", "fits": "too little context", "output_tokens": "answers too short",
    "answers": "answers too short", "asks": "prompts too short", "prompt": "too dear in", "completion": "too dear out",
    "uptime": "uptime too low or unknown", "latency": "too late or unknown", "throughput": "too slow or unknown",
}  # fmt: skip
_TOGETHER = "not all of it at one endpoint"
_UNSERVED = "served by nobody"
#: What to do about a condition.
_RELAX = {
    **{kind: f"with --allow {kind}" for kind in ("alias", "router", "batch", "free", "unpriced", "degraded")},
    "lasting": "with fewer --lasting-days", "models": "without --model", "exclude": "without --exclude",
    "input": "without --input {}", "output": "without --output {}", "providers": "without --provider",
    "exclude_providers": "without --exclude-provider", "quantizations": "without --quantization",
    "zdr": "without --zdr", "require": "without --require {}", "context": "without --min-context",
    "fits": "with a smaller --usage", "output_tokens": "without --min-output", "answers": "with a smaller --usage",
    "asks": "with a smaller --usage", "prompt": "without --max-price", "completion": "without --max-price",
    "uptime": "without --min-uptime", "latency": "without --max-latency", "throughput": "without --min-throughput",
    "text": "with --output for what they give", "family": "without --role escalation",
    "stronger": "without --role escalation", "itself": "without --role replacement",
}  # fmt: skip


def show(console: Console, found: Shortlist) -> None:
    """Print the choices; raises `LLMHiveError` where there are none."""
    _require(found)
    _show_head(console, found)
    _show_table(console, found)
    for place, choice in enumerate(found.choices[:_EXPLAINED], start=1):
        console.print()
        console.print(render.escape(f"{place}. {choice.id}"), style="bold")
        _show_lines(console, choice.reasons)
    if flips := found.flip_points:
        console.print()
        console.print("What would change that", style="bold")
        _show_lines(console, map(_flipping, flips[:_FLIPS]))
        if len(flips) > _FLIPS:
            _show_lines(console, [f"and {len(flips) - _FLIPS} more (--json)"], style="dim")
    console.print()
    _show_lines(console, _footer(found), indent="", style="dim")


def show_explained(console: Console, found: Shortlist, names: Sequence[str]) -> None:
    """Print why models are or are not chosen."""
    told = [found.explain(name) for name in names]
    _show_head(console, found)
    for it in told:
        console.print()
        _show_explanation(console, found, it)
    console.print()
    _show_lines(console, [_standing(found)], indent="", style="dim")


def show_json(found: Shortlist, names: Sequence[str]) -> None:
    """Print it as scripts see it, with the explanations that are asked for."""
    document = found.to_json()
    if names:
        document["explained"] = [_explained(found, found.explain(name)) for name in names]
    render.as_json(document)


def show_request(found: Shortlist) -> None:
    """Print the body of a request, and on stderr what it cannot say; raises `LLMHiveError` where there is no choice."""
    _require(found)
    render.as_json(found.request())
    for note in found.notes:
        typer.echo(f"Note: {render.escape(note)}", err=True)


def _show_lines(
    console: Console, lines: Iterable[str], *, indent: str = "   ", style: str | None = None, mark: str = ""
) -> None:
    """Lines with an indent, which they keep where they are too long for the terminal."""
    for line in lines:
        shown = [f"{indent}{mark}{line}"]
        if console.is_terminal:
            shown = textwrap.wrap(
                line, console.width, initial_indent=indent + mark, subsequent_indent=indent + " " * len(mark),
                break_on_hyphens=False,
            )  # fmt: skip
        for part in shown:
            console.print(render.escape(part), style=style)


# --- what was asked for


def _show_head(console: Console, found: Shortlist) -> None:
    need = found.need
    console.print(render.escape(_title(need)), style="bold")
    _show_lines(console, [f"{' · '.join(_asked(need))}"], indent="", style="dim")


def _title(need: Need) -> str:
    role = None if need.role is None else ROLES[need.role]
    if role is not None:
        name = role.title
    elif need.objective is None or isinstance(need.objective, str):
        name = (need.objective or "value").capitalize()
    else:
        name = "Own weights"
    if need.of is not None:
        name += f" of {need.of}" if need.role == "replacement" else f" from {need.of}"
    if need.task is not None:
        name += f" for {need.task}"
    weights = NEAREST if need.role == "replacement" else dict(zip(PARTS, need.weights, strict=True))
    return f"{name}: {' + '.join(f'{weight:.3g} {part}' for part, weight in weights.items() if weight)}"


def _asked(need: Need) -> Iterator[str]:
    """The conditions in a few words each, those of a role included."""
    if need.require:
        yield ", ".join(need.require)
    for what, names in (("in", need.inputs), ("out", need.outputs)):
        if names:
            yield f"{', '.join(names)} {what}"
    if need.min_context is not None:
        yield f"context of {render.tokens(need.min_context)}"
    if need.min_output is not None:
        yield f"answers of {render.tokens(need.min_output)}"
    if limits := dict(need.max_price_per_million):
        told = (f"${_money(limits[unit])} {way}" for unit, way in (("prompt", "in"), ("completion", "out"))
                if unit in limits)  # fmt: skip
        yield f"at most {', '.join(told)} a million"
    for lead, names in (("", need.models), ("not ", need.exclude), ("at ", need.providers),
                        ("not at ", need.exclude_providers), ("quantized ", need.quantizations)):  # fmt: skip
        if names:
            yield f"{lead}{', '.join(names)}"
    if need.zdr:
        yield "no data kept"
    if need.min_uptime is not None:
        yield f"uptime {need.min_uptime:g} %"
    if need.max_latency is not None:
        yield f"first token in {need.max_latency:g} s"
    if need.min_throughput is not None:
        yield f"{need.min_throughput:g} tokens/s"
    if need.lasting_days:
        yield f"not expiring within {need.lasting_days} days"
    if need.allow:
        yield f"also {', '.join(need.allow)}"
    if need.stick_to is not None:
        yield f"in use: {need.stick_to} (margin {need.margin:g})"
    used, many = need.typical, need.typical.requests > 1
    more = f" ({used.cached:,} of them cached)" if used.cached else ""
    yield f"{used.prompt:,}{more} + {used.completion:,} tokens {f'in {used.requests:,} requests' if many else 'a request'}"


# --- the choices


def _show_table(console: Console, found: Shortlist) -> None:
    columns = [(name, cells) for name, cells in _columns(found) if any(cells)]
    kept, left_out = render.fitting(console, columns, spared=_SPARED, gives=_GIVES)
    names = [name for name, _ in kept]
    rows = list(zip(*(cells for _, cells in kept), strict=True))
    render.table(console, names, rows, right=[it for it in names if it not in {"model", "", "from–to"}], gives=_GIVES)
    if left_out := [it for it in left_out if it]:
        console.print(f"Left out for want of width: {', '.join(left_out)}", style="dim")


def _columns(found: Shortlist) -> Iterator[tuple[str, list[str]]]:
    """Headers and cells; a column without any cell that says something is not shown."""
    need, choices = found.need, found.choices
    yield "#", [str(place) for place in range(1, len(choices) + 1)]
    yield "model", [it.id for it in choices]
    yield "score", [f"{it.score:.3f}" for it in choices]
    yield "", [_bar(it.score) for it in choices]
    for part in ("family", "capability", "quality"):
        yield part, [f"{it.parts[part]:.3f}" if part in it.parts else "" for it in choices]
    yield "cost $", [_dollars(it.expected_cost) for it in choices]
    yield "$/M", [_dollars(it.per_million) for it in choices]
    yield "from–to", [_range(it, need) for it in choices]
    if need.weights[2] or need.min_throughput is not None:
        yield "tokens/s", [_fastest(it.candidates) for it in choices]
    if need.max_latency is not None:
        yield "latency s", [_soonest(it.candidates) for it in choices]
    yield "context", [_context(it.candidates) for it in choices]
    served = [_served(it) for it in choices]
    yield "endpoints", served if any(it != figures.UNKNOWN for it in served) else [""] * len(choices)


def _bar(score: float) -> str:
    if not render.speaks(_BLOCKS):
        return ""
    eighths = round(score * _BAR * 8)
    return _BLOCKS[-1] * (eighths // 8) + _BLOCKS[eighths % 8].strip()


def _dollars(amount: Decimal | None) -> str:
    return figures.UNKNOWN if amount is None else _money(amount)


def _money(amount: Decimal) -> str:
    """USD in four digits that count, and at least two decimals."""
    return render.money(canonical(_FOUR_DIGITS.plus(amount))) if amount else "0"


def _range(choice: Choice, need: Need) -> str:
    """From the cheapest to the dearest endpoint that qualifies, per million; empty where they charge the same."""
    lowest, highest = choice.lowest_cost, choice.highest_cost
    if lowest is None or highest is None or lowest == highest:
        return ""
    dash = "–" if render.speaks("–") else "-"
    return dash.join(_money(it * 1_000_000 / need.tokens) for it in (lowest, highest))


def _fastest(candidates: Sequence[Candidate]) -> str:
    known = [it.health.throughput_p50 for it in candidates if it.health.throughput_p50 is not None]
    return f"{max(known):.0f}" if known else figures.UNKNOWN


def _soonest(candidates: Sequence[Candidate]) -> str:
    known = [it.health.latency_p50 for it in candidates if it.health.latency_p50 is not None]
    return f"{min(known) / 1000:.2f}" if known else figures.UNKNOWN


def _context(candidates: Sequence[Candidate]) -> str:
    known = [it.endpoint.context_length for it in candidates if it.endpoint.context_length]
    return render.tokens(max(known)) if known else figures.UNKNOWN


def _served(choice: Choice) -> str:
    """How many of its endpoints qualify."""
    if choice.is_as_listed:
        return figures.UNKNOWN
    offers = choice._selector.offers
    return f"{len(choice.candidates)}/{len(offers.numbers(offers.bits[choice._number]))}"


def _flipping(it: FlipPoint) -> str:
    """A flip point in words."""
    who = "it" if it.why.startswith(f"{it.id} ") else it.id
    match it.what:
        case "price":
            way = "more" if it.at > it.now else "less"
            return f"{it.why} once {who} costs {way} than ${_usd(it.at)} a million (now ${_usd(it.now)})"
        case "quality":
            way = "below" if it.at < it.now else "above"
            return f"{it.why} once {who} has a quality {way} {it.at:.3f} (now {it.now:.3f})"
        case "rank":
            return f"{it.why} once {who} falls to rank {it.at:.0f} (now {it.now:.0f})"
    return f"{it.why} once {who} is up less than {it.at:g} % everywhere (now {figures.uptime(it.now)} %)"


def _usd(number: float) -> str:
    return _money(Decimal(repr(number)))


# --- all others


def _footer(found: Shortlist) -> Iterator[str]:
    line = f"{found.total:,} of {found.total + len(found.rejected):,} models qualify"
    if found.rejected:
        line += f"; the others: {_kinds(found)} · why one is out: --explain MODEL"
    yield line
    for note in found.notes:
        yield f"Note: {note}"
    yield _standing(found)
    yield "What to send to OpenRouter: --request"


def _kinds(found: Shortlist) -> str:
    """What removed how many, the most first."""
    offers, asked = found._selector.offers, found._ranked.conditions
    kinds: Counter[str] = Counter()
    for number in range(len(offers.ids)):
        gone = condition.removing(offers, asked, number)
        if gone:
            kinds[_named(_REMOVED, gone[0][0]) if len(gone) == 1 else _TOGETHER] += 1
    if unserved := len(found.rejected) - kinds.total():
        kinds[_UNSERVED] = unserved
    most = sorted(kinds.items(), key=lambda it: (-it[1], it[0]))
    told = [f"{what} ({count:,})" for what, count in most[:_KINDS]]
    if rest := sum(count for _, count in most[_KINDS:]):
        told.append(f"else ({rest:,})")
    return ", ".join(told)


def _named(words: Mapping[str, str], it: Condition) -> str:
    return words[it[0]].format(it[1])


def _standing(found: Shortlist) -> str:
    stock = found._selector.stock
    line = f"Catalog version {found.catalog_version}"
    if stock.as_of is not None:
        line += f" · as of {figures.dated(instant(stock.as_of), now())}"
    if stock.source == "bootstrap":
        line += " · bootstrap facts shipped with LLMHive, not synced yet"
    return line


def _require(found: Shortlist) -> None:
    """Raise `LLMHiveError` where no model qualifies, with what to do about it."""
    if found.choices:
        return
    count = len(found.rejected)
    told = f"none of the {count:,} models meets all of this. What removed them: {_kinds(found)}."
    raise LLMHiveError(f"{told} {_relaxing(found)}")


def _relaxing(found: Shortlist) -> str:
    """Which condition, or which two, keep models away alone."""
    offers, asked = found._selector.offers, found._ranked.conditions
    groups: dict[str, list[Condition]] = {}
    for it in asked:
        if it[0] in _RELAX and not (it[0] == "lasting" and not found.need.lasting_days):
            groups.setdefault(_named(_RELAX, it), []).append(it)
    for size in (1, 2):
        counts = {
            names: condition.without(offers, asked, [it for name in names for it in groups[name]])
            for names in combinations(groups, size)
        }
        if best := sorted(((-count, names) for names, count in counts.items() if count)):
            told = [f"{' and '.join(names)} {-count:,}" for count, names in best[: 4 if size == 1 else 1]]
            return f"There would be some {', '.join(told)}."
    return "No one or two of the conditions alone keep them away: ask for less, or --explain MODEL."


# --- one model


def _show_explanation(console: Console, found: Shortlist, it: Explanation) -> None:
    if it.place is None:
        place = "does not qualify"
    else:
        place = f"{'' if it.is_chosen else 'not '}chosen, place {it.place:,} of {found.total:,}"
    console.print(render.escape(f"{it.id}: {place}"), style="bold")
    _show_lines(console, [it.why])
    if it.choice is not None:
        other = _against(found, it)
        if other is not None:
            console.print()
            _show_parts(console, it.choice, other)
        console.print()
        _show_lines(console, it.choice.reasons)
        taking = _taking(found, it)
    else:
        taking = _obstacles(found, it)
        taking = taking if taking != [it.why] else []
    if endpoints := _endpoints(found, it.id):
        console.print()
        console.print("Its endpoints", style="bold")
        yes, no = ("✓ ", "✗ ") if render.speaks("✓✗") else ("+ ", "- ")
        width = max(len(name) for name, *_ in endpoints)
        for name, lacks, told in endpoints:
            _show_lines(console, [f"{name:{width}}  {told}"], mark=no if lacks else yes)
    if taking:
        console.print()
        console.print("What it would take", style="bold")
        _show_lines(console, taking)


def _against(found: Shortlist, it: Explanation) -> Choice | None:
    """Whom to compare it with: the first, or whoever comes after that."""
    if it.choice is None:
        return None
    others = [other for other in found._top if other.id != it.id]
    return others[0] if others else None


def _show_parts(console: Console, choice: Choice, other: Choice) -> None:
    rows = [("score", f"{choice.score:.3f}", f"{other.score:.3f}")]
    rows += [(part, f"{mark:.3f}", f"{other.parts[part]:.3f}") for part, mark in choice.parts.items()
             if part in other.parts]  # fmt: skip
    rows.append(("$ a million", _dollars(choice.per_million), _dollars(other.per_million)))
    render.table(
        console, ("", choice.id, other.id), rows, right=(choice.id, other.id), gives={choice.id: 16, other.id: 16}
    )


def _endpoints(found: Shortlist, model_id: str) -> list[tuple[str, list[str], str]]:
    """The endpoints of a model: what they are called, what of them does not meet the need, and all that in words."""
    offers, need = found._selector.offers, found.need
    number = offers.number.get(model_id)
    if number is None or offers.models[number].offers is None:
        return []
    told = []
    for offer in offers.numbers(offers.bits[number]):
        it = offers.candidates[offer]
        lacks = condition.why_not_offer(offers, found._ranked.conditions, offer, need.each)
        told.append((it.name, lacks, "; ".join(lacks) if lacks else _offered(it)))
    return told


def _offered(it: Candidate) -> str:
    """What an endpoint that is good enough is like."""
    prices = (it.endpoint.pricing.rate(unit) for unit in ("prompt", "completion"))
    parts = ["/".join(figures.UNKNOWN if rate is None else f"${_money(per_million(rate))}" for rate in prices)]
    parts.append(f"context {render.tokens(it.endpoint.context_length or None)}")
    if it.health.uptime is not None:
        parts.append(f"up {figures.uptime(it.health.uptime)} %")
    if it.health.throughput_p50 is not None:
        parts.append(f"{it.health.throughput_p50:.0f} tokens/s")
    return ", ".join(parts)


def _obstacles(found: Shortlist, it: Explanation) -> list[str]:
    """All that keeps a model from qualifying."""
    offers = found._selector.offers
    number = offers.number.get(it.id)
    if number is None:
        return []
    return condition.obstacles(offers, found._ranked.conditions, number, found.need.each)


def _taking(found: Shortlist, it: Explanation) -> list[str]:
    """What brings a model that qualifies to the first place, all else as it is."""
    first, choice = found.choices[0], it.choice
    if choice is None or it.place == 1 or choice.id == first.id or found.need.role == "replacement":
        return []
    told = [_flipping(point) for point in flip._of_rival(found, first, choice)]
    by_quality = found.need.weights[0]
    if by_quality and found.need.stick_to is None:
        quality = choice.parts["quality"] + (first.score - choice.score) / by_quality
        if quality <= 1:
            told.append(_flipping(FlipPoint(choice.id, "quality", choice.parts["quality"], quality,
                                            f"{choice.id} comes first")))  # fmt: skip
    return told or ["neither a lower price nor more quality brings it to the first place alone"]


def _explained(found: Shortlist, it: Explanation) -> dict[str, Any]:
    """As scripts see it."""
    return it.to_json() | {
        "obstacles": _obstacles(found, it),
        "endpoints": [
            {"key": name, "qualifies": not lacks, "lacks": lacks} for name, lacks, _ in _endpoints(found, it.id)
        ],
        "would_take": _taking(found, it),
    }
