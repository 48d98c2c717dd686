"""A shortlist in words: what would change it, what removed the others, why one model is or is not chosen.

What is so is judged by `catalog.shortlist` and `catalog.explanation`; here it is only told, with the command's options.
"""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

from rich.console import Console

from llmhive.app.cli import figures, render
from llmhive.catalog.choice import Choice
from llmhive.catalog.condition import Condition
from llmhive.catalog.cost import WORDS
from llmhive.catalog.explanation import TOGETHER, UNSERVED, Explanation
from llmhive.catalog.flip import FlipPoint
from llmhive.catalog.need import Need
from llmhive.catalog.pricing import canonical, per_million
from llmhive.catalog.routing import Candidate
from llmhive.catalog.shortlist import Shortlist

_KINDS = 6
_FOUR_DIGITS = Context(prec=4)

#: What removed a model, in a few words; `{}` is the value that is asked for.
REMOVED = {
    "alias": "aliases", "router": "routers", "batch": "batches only", "free": "free of charge",
    "unpriced": "no known price", "degraded": "not healthy", "text": "no text", "lasting": "about to expire",
    "models": "not among --model", "exclude": "excluded", "input": "no {} in", "output": "no {} out",
    "family": "of another family", "stronger": "not clearly stronger", "itself": "the model itself and its variants",
    "providers": "not at these providers", "exclude_providers": "at excluded providers only",
    "quantizations": "quantized otherwise", "zdr": "data kept or not told", "require": "no {}",
    "context": "too little context", "fits": "too little context", "output_tokens": "answers too short",
    "answers": "answers too short", "asks": "prompts too short", "prompt": "too dear in", "completion": "too dear out",
    "part": "no known price of {}",
    "uptime": "uptime too low or unknown", "latency": "too late or unknown", "throughput": "too slow or unknown",
}  # fmt: skip
_REST = {TOGETHER: "not all of it at one endpoint", UNSERVED: "in outage or served by nobody"}
#: What to do about a condition.
RELAX = {
    **{kind: f"with --allow {kind}" for kind in ("alias", "router", "batch", "free", "unpriced", "degraded")},
    "lasting": "with fewer --lasting-days", "models": "without --model", "exclude": "without --exclude",
    "input": "without --input {}", "output": "without --output {}", "providers": "without --provider",
    "exclude_providers": "without --exclude-provider", "quantizations": "without --quantization",
    "zdr": "without --zdr", "require": "without --require {}", "context": "without --min-context",
    "fits": "with a smaller --usage", "output_tokens": "without --min-output", "answers": "with a smaller --usage",
    "asks": "with a smaller --usage", "prompt": "without --max-price", "completion": "without --max-price",
    "uptime": "without --min-uptime", "latency": "without --max-latency", "throughput": "without --min-throughput",
    "part": "with --allow unpriced", "text": "with --output for what they give", "family": "without --role escalation",
    "stronger": "without --role escalation", "itself": "without --role replacement",
}  # fmt: skip
#: A field of a need → the option that tells it.
OPTIONS = {
    "task": "--task", "role": "--role", "of": "--of", "require": "--require", "inputs": "--input",
    "outputs": "--output", "min_context": "--min-context", "min_output": "--min-output",
    "max_price_per_million": "--max-price", "providers": "--provider", "exclude_providers": "--exclude-provider",
    "quantizations": "--quantization", "zdr": "--zdr", "min_uptime": "--min-uptime", "max_latency": "--max-latency",
    "min_throughput": "--min-throughput", "models": "--model", "exclude": "--exclude", "allow": "--allow",
    "lasting_days": "--lasting-days", "objective": "--objective", "usage": "--usage", "stick_to": "--stick-to",
    "margin": "--margin", "limit": "--limit",
}  # fmt: skip
_FIELD = re.compile(r"([a-z_]+)(?:\.([a-z]+))?(?= )")
_NAMED = re.compile(r"`([a-z_]+)`(?= (?:names|has) )")
_OF = re.compile(r"(?<= by )of(?=,)|(?<= leave )of(?= out)")


def by_option(told: str, fields: Collection[str]) -> str:
    """What is wrong with a need: a field that begins it, one of `fields`, is told as its option."""
    told = _OF.sub("--of", told)
    match = _FIELD.match(told)
    if match is None or match[1] not in fields:
        return told
    part = f": {match[2]}" if match[2] else ""
    return f"{OPTIONS[match[1]]}{part}{told[match.end() :]}"


def misnamed(note: str) -> str | None:
    """A note on a name of the need that means nothing, told with its option; None: the note is on something else."""
    match = _NAMED.match(note)
    return None if match is None else f"{OPTIONS[match[1]]}{note[match.end() :]}"


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
    kinds: Counter[str] = Counter()
    for what, value, models in found.removed:
        kinds[_REST[what] if what in _REST else _told(REMOVED, what, value)] += models
    most = sorted(kinds.items(), key=lambda it: (-it[1], it[0]))
    told = [f"{what} ({count:,})" for what, count in most[:_KINDS]]
    if rest := sum(count for _, count in most[_KINDS:]):
        told.append(f"other reasons ({rest:,})")
    return ", ".join(told)


def _told(words: Mapping[str, str], what: str, value: Any) -> str:
    return words[what].format(WORDS[value] if what == "part" else value)


def relaxing(found: Shortlist) -> str:
    """Which condition, or which two, keep models away alone: in a sentence."""
    groups: dict[str, list[Condition]] = {}
    for it in found.conditions:
        if it[0] in RELAX and _is_own(it, found.need):
            groups.setdefault(_told(RELAX, *it[:2]), []).append(it)
    counts = []
    for conditions, models in found.relaxing(list(groups.values())):
        names = dict.fromkeys(_told(RELAX, *it[:2]) for it in conditions)
        counts.append((-models, len(names), " and ".join(names)))
    if not counts:
        return "No two of the conditions alone keep them away: ask for less, or look at one with --explain MODEL."
    counts.sort()
    # of pairs there may be many: the best is enough
    most = _KINDS if counts[0][1] == 1 else 1
    first, *rest = (f"{names} {-count:,}" for count, _, names in counts[:most])
    return "; ".join((f"{first[:1].upper()}{first[1:]} would qualify", *rest)) + "."


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
        if it.against is not None:
            console.print()
            _show_parts(console, it.choice, it.against)
        console.print()
        show_lines(console, it.choice.reasons)
    if endpoints := list(_endpoints(found, it)):
        console.print()
        console.print("Its endpoints", style="bold")
        yes, no = ("✓ ", "✗ ") if render.speaks("✓✗") else ("+ ", "- ")
        if it.choice is None:
            # it is not the endpoint's fault
            yes = "  "
        width = max(len(name) for name, *_ in endpoints)
        hang = width + 2 if 2 * width < console.width else 3
        for name, is_good, told in endpoints:
            show_lines(console, [f"{name:{width}}  {told}"], mark=yes if is_good else no, hang=hang)
    if taking := _taking(found, it):
        console.print()
        console.print("What it would take", style="bold")
        show_lines(console, taking)


def _show_parts(console: Console, choice: Choice, other: Choice) -> None:
    rows = [("score", f"{choice.score:.3f}", f"{other.score:.3f}")]
    rows += [(part, f"{mark:.3f}", f"{other.parts[part]:.3f}") for part, mark in choice.parts.items()
             if part in other.parts]  # fmt: skip
    rows.append(("$/M", dollars(choice.per_million), dollars(other.per_million)))
    render.table(
        console, ("", choice.id, other.id), rows, right=(choice.id, other.id), gives={choice.id: 16, other.id: 16}
    )


def _endpoints(found: Shortlist, it: Explanation) -> Iterator[tuple[str, bool, str]]:
    """The endpoints of a model: what they are called, whether they meet the need, and what is to tell of them."""
    shares = {} if it.choice is None else {share.key: share.weight for share in it.choice.endpoints}
    for each, lacks in it.endpoints:
        yield each.name, not lacks, "; ".join(lacks) or _offered(each, shares.get(each.name), found.at)


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


def _taking(found: Shortlist, it: Explanation) -> list[str]:
    """What it would take for a model to qualify, or where it does to come first, all else as it is."""
    if it.choice is None:
        return [] if it.obstacles == (it.why,) else list(it.obstacles)
    if found.top[0].id == it.id or found.need.role == "replacement":
        return []
    told = [flipping(point) for point in it.flip_points]
    return told or ["neither a lower price nor more quality alone brings it to the first place"]
