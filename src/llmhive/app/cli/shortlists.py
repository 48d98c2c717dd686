"""What `llmhive select` shows: what was asked for, the choices in a table, and why they are chosen."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console

from llmhive.app.cli import explained, figures, render
from llmhive.app.wiring import now
from llmhive.catalog.choice import Choice
from llmhive.catalog.explanation import Explanation
from llmhive.catalog.model import instant
from llmhive.catalog.need import PARTS, Need
from llmhive.catalog.role import NEAREST, ROLES
from llmhive.catalog.routing import Candidate
from llmhive.catalog.shortlist import Shortlist
from llmhive.errors import LLMHiveError, NotFound

_EXPLAINED = 3
_FLIPS = 6
_BAR = 8
_BLOCKS = " ▏▎▍▌▋▊▉█"
#: Left out one after the other where the terminal is too narrow.
_SPARED = (
    "",
    "cost $",
    "$/M range",
    "endpoints",
    "latency s",
    "context",
    "tokens/s",
    "price",
    "capability",
    "family",
    "quality",
)
#: Before what is wrong, the command says who it is.
_WHO = "llmhive: "
#: So much of an id is worth more than another column; a narrow terminal shows less.
_GIVES, _NARROW = {"model": 32}, {"model": 12}


def show(console: Console, found: Shortlist) -> None:
    """Print the choices; raises `LLMHiveError` where there are none."""
    _require(found)
    _show_head(console, found)
    _show_table(console, found)
    if any(it.per_million is not None for it in found.choices):
        _show_legend(console, found)
    for place, choice in enumerate(found.choices[:_EXPLAINED], start=1):
        console.print()
        explained.show_lines(console, [f"{place}. {choice.id}"], indent="", style="bold")
        explained.show_lines(console, choice.reasons)
    if flips := found.flip_points:
        console.print()
        console.print("What would change the choice", style="bold")
        explained.show_lines(console, map(explained.flipping, flips[:_FLIPS]))
        if len(flips) > _FLIPS:
            explained.show_lines(console, [f"and {len(flips) - _FLIPS} more (--json)"], style="dim")
    console.print()
    explained.show_lines(console, _footer(found), indent="", style="dim")


def show_explained(console: Console, found: Shortlist, names: Sequence[str]) -> None:
    """Print why models are or are not chosen; raises `NotFound` where the only name means no model."""
    told = _explanations(found, names)
    _show_head(console, found)
    for name, it in told.items():
        console.print()
        if isinstance(it, Explanation):
            explained.show_one(console, found, it)
        else:
            explained.show_lines(console, [f"{name}: not known"], indent="", style="bold")
            explained.show_lines(console, [str(it)])
    console.print()
    if any(isinstance(it, Explanation) and it.against is not None for it in told.values()):
        _show_legend(console, found)
    explained.show_lines(console, [_standing(found)], indent="", style="dim")


def show_json(found: Shortlist, names: Sequence[str]) -> None:
    """Print it as scripts see it, with the explanations that are asked for."""
    document = found.to_json()
    if names:
        document["explanations"] = {
            name: it.to_json() if isinstance(it, Explanation) else _missing(it)
            for name, it in _explanations(found, names).items()
        }
    render.as_json(document)


def show_request(found: Shortlist, *, is_past: bool) -> None:
    """Print the body of a request, and on stderr what it cannot say; raises `LLMHiveError` where there is no choice."""
    _require(found)
    render.as_json(found.request())
    notes = [explained.misnamed(note) or note for note in found.notes]
    if is_past:
        notes.insert(0, f"the body is of {render.moment(instant(found.at))}: today another may be right")
    for note in (*notes, *found.request_notes):
        _errors().print(render.escape(f"Note: {note}"), soft_wrap=True)


def _errors() -> Console:
    return Console(stderr=True, highlight=False, emoji=False)


def _explanations(found: Shortlist, names: Sequence[str]) -> dict[str, Explanation | NotFound]:
    """By name; an unknown one has its error in its place, which is raised where there is no other name."""
    told: dict[str, Explanation | NotFound] = {}
    for name in names:
        try:
            told[name] = found.explain(name)
        except NotFound as error:
            if len(names) == 1:
                raise
            told[name] = error
    return told


def _missing(error: NotFound) -> dict[str, Any]:
    """As the service tells it."""
    return {"error": {"status": 404, "title": "Not Found", "detail": str(error)}}


# --- what was asked for


def _show_head(console: Console, found: Shortlist) -> None:
    need = found.need
    explained.show_lines(console, [_title(need)], indent="", style="bold")
    explained.show_lines(console, [" · ".join(_asked(need))], indent="", style="dim")
    # what follows may be another answer than was meant
    slips = filter(None, map(explained.misnamed, found.notes))
    explained.show_lines(console, (f"Note: {it}" for it in slips), indent="")


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
    told = [f"{weight:.3g} {part}" for part, weight in weights.items() if weight]
    return f"{name}: {' + '.join(told) if len(told) > 1 else f'{told[0].split()[1]} alone'}"


def _asked(need: Need) -> Iterator[str]:
    """The conditions in a few words each, those of a role included."""
    if need.require:
        yield ", ".join(need.require)
    for what, names in (("in", need.inputs), ("out", need.outputs)):
        if names:
            yield f"{', '.join(names)} {what}"
    for what, least in (("context", need.min_context), ("answers", need.min_output)):
        if least is not None:
            yield f"{what} of {render.tokens(least)}"
    yield from _asked_of_endpoints(need)
    if need.lasting_days:
        yield f"not expiring within {need.lasting_days} days"
    for lead, names in (("also ", need.allow), ("only ", need.models), ("not ", need.exclude)):
        if names:
            yield f"{lead}{', '.join(names)}"
    if need.stick_to is not None:
        yield f"in use: {need.stick_to} (margin {need.margin:g})"
    used = need.typical
    cached = f" ({used.cached:,} of them cached)" if used.cached else ""
    each = f"in {used.requests:,} requests" if used.requests > 1 else "a request"
    yield f"{used.prompt:,}{cached} + {used.completion:,} tokens {each}"


def _asked_of_endpoints(need: Need) -> Iterator[str]:
    if limits := need.max_price_per_million:
        ways = {"prompt": "in", "completion": "out"}
        told = [f"${explained.money(most)} {ways[unit]}" for unit, most in reversed(limits)]
        yield f"at most {', '.join(told)} a million"
    for lead, names in (("at", need.providers), ("not at", need.exclude_providers), ("quantized", need.quantizations)):
        if names:
            yield f"{lead} {', '.join(names)}"
    if need.zdr:
        yield "no data kept"
    if need.min_uptime is not None:
        yield f"up {need.min_uptime:g} %"
    if need.max_latency is not None:
        yield f"first token within {need.max_latency:g} s"
    if need.min_throughput is not None:
        yield f"{need.min_throughput:g} tokens/s"


# --- the choices


def _show_table(console: Console, found: Shortlist) -> None:
    columns = [(name, cells) for name, cells in _columns(found) if any(cells)]
    kept, left_out = render.fitting(console, columns, spared=_SPARED, gives=_GIVES)
    names = [name for name, _ in kept]
    rows = list(zip(*(cells for _, cells in kept), strict=True))
    render.table(
        console, names, rows, right=[it for it in names if it not in {"model", "", "$/M range"}], gives=_NARROW
    )
    if left_out := [it for it in left_out if it]:
        console.print(f"Left out for want of width: {', '.join(left_out)}", style="dim")


def _show_legend(console: Console, found: Shortlist) -> None:
    """What the price of a million is one of, where there is more than one kind of token."""
    used = found.need.typical
    if used.prompt and used.completion:
        line = "$/M: of the tokens of this request, in and out together"
        explained.show_lines(console, [line], indent="", style="dim")


def _columns(found: Shortlist) -> Iterator[tuple[str, list[str]]]:
    """Headers and cells; a column without any cell that says something is not shown. What a model costs is told in USD;
    only of a replacement the mark, too, for it is of how near it is.
    """
    need, choices = found.need, found.choices
    yield "#", [str(place) for place in range(1, len(choices) + 1)]
    yield "model", [it.id for it in choices]
    yield "score", [f"{it.score:.3f}" for it in choices]
    yield "", [_bar(it.score) for it in choices]
    for part in NEAREST if need.role == "replacement" else ("quality",):
        yield part, [f"{it.parts[part]:.3f}" if part in it.parts else "" for it in choices]
    yield "cost $", [explained.dollars(it.expected_cost) for it in choices]
    yield "$/M", [explained.dollars(it.per_million) for it in choices]
    yield "$/M range", [_range(it, need) for it in choices]
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


def _range(choice: Choice, need: Need) -> str:
    """From the cheapest to the dearest endpoint that qualifies, per million; empty where they charge the same."""
    lowest, highest = choice.lowest_cost, choice.highest_cost
    if lowest is None or highest is None or lowest == highest:
        return ""
    dash = "–" if render.speaks("–") else "-"
    return dash.join(explained.money(it * 1_000_000 / need.tokens) for it in (lowest, highest))


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
    return figures.UNKNOWN if choice.live is None else f"{len(choice.candidates)}/{len(choice.live)}"


# --- below what is chosen


def _footer(found: Shortlist) -> Iterator[str]:
    line = f"{found.total:,} of {found.total + len(found.rejected):,} models qualify"
    if found.rejected:
        line += f"; the others: {explained.removed(found)} · why one is out: --explain MODEL"
    yield line
    for note in found.notes:
        if explained.misnamed(note) is None:
            yield f"Note: {note}"
    yield _standing(found)
    yield "What to send to OpenRouter: --request"


def _standing(found: Shortlist) -> str:
    line = f"Catalog version {found.catalog_version}"
    if found.as_of is not None:
        line += f" · as of {figures.dated(instant(found.as_of), now())}"
    if found.source == "bootstrap":
        line += " · bootstrap facts shipped with LLMHive, not synced yet"
    return line


def _require(found: Shortlist) -> None:
    """Raise `LLMHiveError` where no model qualifies, with what to do about it."""
    if not found.choices:
        raise LLMHiveError(none_of(found, _errors()))


def none_of(found: Shortlist, console: Console) -> str:
    """That no model qualifies, what removed them and what to relax; lines of a terminal, where the console is one."""
    told = [f"none of the {len(found.rejected):,} models meets all of this."]
    told += [f"What removed them: {explained.removed(found)}.", explained.relaxing(found)]
    told += [f"Note: {explained.misnamed(note) or note}." for note in found.notes if note != found.nothing]
    text = " ".join(told)
    if not console.is_terminal:
        return text
    lines = textwrap.wrap(f"{_WHO}{text}", console.width, break_on_hyphens=False)
    return "\n".join(lines).removeprefix(_WHO)
