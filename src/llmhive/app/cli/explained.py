"""A shortlist in words: what would change it, what removed the others, why one model is or is not chosen."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Context, Decimal
from fractions import Fraction
from itertools import combinations
from typing import Any

from rich.console import Console

from llmhive.app.cli import figures, render
from llmhive.catalog import rejection
from llmhive.catalog.condition import Condition
from llmhive.catalog.flip import FlipPoint
from llmhive.catalog.need import Need
from llmhive.catalog.preferences import Preferences
from llmhive.catalog.pricing import canonical, per_million
from llmhive.catalog.routing import Candidate, refusal
from llmhive.catalog.shortlist import Choice, Explanation, Shortlist

_KINDS = 6
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
_UNSERVED = "in outage or served by nobody"
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


def show_lines(
    console: Console,
    lines: Iterable[str],
    *,
    indent: str = "   ",
    style: str | None = None,
    mark: str = "",
    hang: int = 0,
) -> None:
    """Lines with an indent, which they keep where they are too long for the terminal, and hang over by so many more."""
    begin, after = indent + mark, " " * (len(indent + mark) + hang)
    for line in lines:
        shown = [f"{begin}{line}"]
        if console.is_terminal:
            shown = textwrap.wrap(
                line, console.width, initial_indent=begin, subsequent_indent=after, break_on_hyphens=False
            )
        for part in shown:
            # ids end with words that a colon makes a picture of
            console.print(render.escape(part), style=style, emoji=False)


def dollars(amount: Decimal | None) -> str:
    """USD; what is not known is no number."""
    return figures.UNKNOWN if amount is None else money(amount)


def money(amount: Decimal) -> str:
    """USD in four digits that count, and at least two decimals."""
    return render.money(canonical(_FOUR_DIGITS.plus(amount))) if amount else "0"


# --- what would change it


def flipping(it: FlipPoint) -> str:
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
    return money(Decimal(repr(number)))


# --- all others


def removed(found: Shortlist) -> str:
    """What removed how many, the most first."""
    offers, asked = found._selector.offers, found._ranked.conditions
    kinds: Counter[str] = Counter()
    for number in range(len(offers.ids)):
        gone = rejection.removing(offers, asked, number)
        if gone:
            kinds[_named(_REMOVED, gone[0][0]) if len(gone) == 1 else _TOGETHER] += 1
    if unserved := len(found._selector.unserved):
        kinds[_UNSERVED] = unserved
    most = sorted(kinds.items(), key=lambda it: (-it[1], it[0]))
    told = [f"{what} ({count:,})" for what, count in most[:_KINDS]]
    if rest := sum(count for _, count in most[_KINDS:]):
        told.append(f"other reasons ({rest:,})")
    return ", ".join(told)


def _named(words: Mapping[str, str], it: Condition) -> str:
    return words[it[0]].format(it[1])


def relaxing(found: Shortlist) -> str:
    """Which condition, or which two, keep models away alone: in a sentence."""
    offers, asked = found._selector.offers, found._ranked.conditions
    groups: dict[str, list[Condition]] = {}
    for it in asked:
        if it[0] in _RELAX and _is_own(it, found.need):
            groups.setdefault(_named(_RELAX, it), []).append(it)
    for size, most in ((1, _KINDS), (2, 1)):
        counts = [
            (rejection.without(offers, asked, [it for name in names for it in groups[name]]), names)
            for names in combinations(groups, size)
        ]
        best = sorted((it for it in counts if it[0]), key=lambda it: (-it[0], it[1]))[:most]
        if best:
            first, *rest = (f"{' and '.join(names)} {count:,}" for count, names in best)
            return "; ".join((f"{first[:1].upper()}{first[1:]} would qualify", *rest)) + "."
    return "No two of the conditions alone keep them away: ask for less, or look at one with --explain MODEL."


def _is_own(it: Condition, need: Need) -> bool:
    """Whether the caller asks for it: not what is always asked, nor what another model's outputs are."""
    return not (it[0] == "lasting" and not need.lasting_days) and not (it[0] == "output" and it[1] not in need.outputs)


# --- one model


def show_one(console: Console, found: Shortlist, it: Explanation) -> None:
    """Print why a model is or is not chosen, by its parts and its endpoints, and what it would take."""
    if it.place is None:
        place = "does not qualify"
    else:
        place = f"{'' if it.is_chosen else 'not '}chosen, place {it.place:,} of {found.total:,}"
    show_lines(console, [f"{it.id}: {place}"], indent="", style="bold")
    show_lines(console, [it.why])
    if it.choice is not None:
        other = _against(found, it)
        if other is not None:
            console.print()
            _show_parts(console, it.choice, other)
        console.print()
        show_lines(console, it.choice.reasons)
        taking = _taking(found, it)
    else:
        taking = _obstacles(found, it)
        taking = taking if taking != [it.why] else []
    if endpoints := _endpoints(found, it):
        console.print()
        console.print("Its endpoints", style="bold")
        yes, no = ("✓ ", "✗ ") if render.speaks("✓✗") else ("+ ", "- ")
        if it.choice is None:
            # it is not the endpoint's fault
            yes = "  "
        width = max(len(name) for name, *_ in endpoints)
        hang = width + 2 if 2 * width < console.width else 3
        for name, lacks, told in endpoints:
            show_lines(console, [f"{name:{width}}  {told}"], mark=no if lacks else yes, hang=hang)
    if taking:
        console.print()
        console.print("What it would take", style="bold")
        show_lines(console, taking)


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
    rows.append(("$ a million", dollars(choice.per_million), dollars(other.per_million)))
    render.table(
        console, ("", choice.id, other.id), rows, right=(choice.id, other.id), gives={choice.id: 16, other.id: 16}
    )


def _endpoints(found: Shortlist, it: Explanation) -> list[tuple[str, list[str], str]]:
    """The endpoints of a model: what they are called, what of them does not meet the need, and all that in words."""
    offers = found._selector.offers
    number, live = offers.number.get(it.id), found._selector.models[it.id].offers or ()
    mine = () if number is None else offers.numbers(offers.bits[number])
    known = {offers.candidates[offer].name: offer for offer in mine}
    shares = {} if it.choice is None else {share.key: share.weight for share in it.choice.bounds.used}
    told = []
    for each in live:
        if (offer := known.get(each.name)) is None:
            lacks = [refusal(each, Preferences(), found.at) or "it does not serve"]
        else:
            lacks = rejection.why_not_offer(offers, found._ranked.conditions, offer, found.need.each)
        told.append((each.name, lacks, "; ".join(lacks) or _offered(each, shares.get(each.name), found.at)))
    return told


def _offered(it: Candidate, share: Fraction | None, at: datetime) -> str:
    """What an endpoint that is good enough is like, and how likely it is asked first."""
    rates = [it.endpoint.pricing.rate_at(unit, at) for unit in ("prompt", "completion")]
    told = "/".join(figures.UNKNOWN if rate is None else f"${money(per_million(rate))}" for rate in rates)
    parts = [told if any(rate != 0 for rate in rates) else "free"]
    parts.append(f"context {render.tokens(it.endpoint.context_length or None)}")
    if it.health.uptime is not None:
        parts.append(f"up {figures.uptime(it.health.uptime)} %")
    if it.health.throughput_p50 is not None:
        parts.append(f"{it.health.throughput_p50:.0f} tokens/s")
    if share is not None:
        parts.append(f"asked first {float(share):.0%}".replace("%", " %") if share else "asked when others fail")
    return ", ".join(parts)


def _obstacles(found: Shortlist, it: Explanation) -> list[str]:
    """All that keeps a model from qualifying."""
    offers = found._selector.offers
    number = offers.number.get(it.id)
    if number is None:
        return []
    return rejection.obstacles(offers, found._ranked.conditions, number, found.need.each)


def _taking(found: Shortlist, it: Explanation) -> list[str]:
    """What brings a model that qualifies to the first place, all else as it is."""
    need, choice = found.need, it.choice
    first = found.choices[0] if found.choices else None
    if choice is None or first is None or choice.id == first.id or need.role == "replacement":
        return []
    # the two of them alone: others change nothing between them
    both = Need.read(need.to_json() | {"models": [first.id, choice.id], "limit": 2})
    points = [point for point in found._selector.select(both).flip_points if point.id == choice.id]
    by_quality = need.weights[0]
    if by_quality and need.stick_to is None:
        mark = choice.parts["quality"]
        quality = mark + (first.score - choice.score) / by_quality
        if quality <= 1:
            points.append(FlipPoint(choice.id, "quality", mark, quality, f"{choice.id} comes first"))
    return [*map(flipping, points)] or ["neither a lower price nor more quality alone brings it to the first place"]


def to_json(found: Shortlist, it: Explanation) -> dict[str, Any]:
    """As scripts see it."""
    qualifies = it.choice is not None
    return it.to_json() | {
        "obstacles": _obstacles(found, it),
        "endpoints": [
            {"key": name, "qualifies": qualifies and not lacks, "lacks": lacks}
            for name, lacks, _ in _endpoints(found, it)
        ],
        "would_take": _taking(found, it),
    }
