"""A shortlist in words for the playground: choices, what would change them, who is out and what to do about it.

What is so is judged by `catalog.shortlist` and `catalog.explanation`; here it is only told, by the fields of the form.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from llmhive.app.pages import words
from llmhive.catalog.choice import Choice
from llmhive.catalog.condition import Condition
from llmhive.catalog.cost import WORDS
from llmhive.catalog.explanation import TOGETHER, UNSERVED, Explanation
from llmhive.catalog.flip import FlipPoint
from llmhive.catalog.need import ALLOWED, PARTS, Need
from llmhive.catalog.pricing import canonical, per_million
from llmhive.catalog.role import NEAREST, ROLES
from llmhive.catalog.routing import Candidate
from llmhive.catalog.shortlist import Shortlist

_FOUR_DIGITS = Context(prec=4)
_EXAMPLES = 3
_PAIRS = 3
_FLIPS = 8

#: What removed a model, in a few words; `{}` is the value that is asked for.
_REMOVED = {
    "alias": "aliases", "router": "routers", "batch": "batches only", "free": "free of charge, and limited",
    "unpriced": "no known price", "degraded": "not healthy", "text": "no text", "lasting": "about to expire",
    "models": "not among the models asked for", "exclude": "excluded", "input": "takes no {}",
    "output": "gives no {}", "family": "of another family", "stronger": "not clearly stronger",
    "itself": "the model itself and its variants", "providers": "not at these providers",
    "exclude_providers": "at excluded providers only", "quantizations": "quantized otherwise",
    "zdr": "data kept, or not told", "require": "no {}", "context": "too little context",
    "fits": "too little context for such a request", "output_tokens": "answers too short",
    "answers": "answers too short for such a request", "asks": "prompts too short for such a request",
    "prompt": "prompt too dear", "completion": "completion too dear", "part": "no known price of {}",
    "uptime": "uptime too low or unknown", "latency": "too late or unknown", "throughput": "too slow or unknown",
    TOGETHER: "not all of it at one endpoint", UNSERVED: "in outage, or served by nobody",
}  # fmt: skip
#: What to do about a condition, and the fields that are left out then; None: there is no such field.
_RELAX: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "lasting": ("without days to last", ("lasting_days",)), "models": ("without “only these models”", ("models",)),
    "exclude": ("without excluded models", ("exclude",)), "input": ("without {} in", ("inputs",)),
    "output": ("without {} out", ("outputs",)), "providers": ("without “only these providers”", ("providers",)),
    "exclude_providers": ("without excluded providers", ("exclude_providers",)),
    "quantizations": ("without quantizations", ("quantizations",)),
    "zdr": ("without “keeps no data”", ("zdr",)), "require": ("without {}", ("require",)),
    "context": ("without a least context", ("min_context",)),
    "output_tokens": ("without a least answer", ("min_output",)),
    "fits": ("with a smaller request", ("prompt", "completion")),
    "answers": ("with a smaller request", ("prompt", "completion")),
    "asks": ("with a smaller request", ("prompt", "completion")),
    "prompt": ("without a limit of the prompt price", ("max_prompt",)),
    "completion": ("without a limit of the completion price", ("max_completion",)),
    "uptime": ("without a least uptime", ("min_uptime",)), "latency": ("without a limit of latency", ("max_latency",)),
    "throughput": ("without a least speed", ("min_throughput",)), "text": ("with the output that they give", ()),
    "family": ("without the role", ("role", "of")), "stronger": ("without the role", ("role", "of")),
    "itself": ("without the role", ("role", "of")),
}  # fmt: skip
_VALUED = frozenset({"input", "output", "require"})  #: conditions of one value of a list


def usd(amount: Decimal | None) -> str:
    """USD in four digits that count; every digit is on hover."""
    return words.UNKNOWN if amount is None else words.usd(canonical(_FOUR_DIGITS.plus(amount)))


# --- what was asked for


def title(need: Need) -> str:
    """What makes a model better, in a line."""
    role = None if need.role is None else ROLES[need.role]
    if role is not None:
        name = f"Role {role.title.lower()}"
    elif need.objective is None or isinstance(need.objective, str):
        name = (need.objective or "value").capitalize()
    else:
        name = "Own weights"
    if need.of is not None:
        name += f" of {need.of}" if need.role == "replacement" else f" from {need.of}"
    if need.task is not None:
        name += f" for {need.task}"
    weights = NEAREST if need.role == "replacement" else dict(zip(PARTS, need.weights, strict=True))
    told = [(part, f"{weight:.3g}") for part, weight in weights.items() if weight]
    if len(told) == 1:
        return f"{name}: {told[0][0]} alone"
    return f"{name}: {' + '.join(f'{weight} {part}' for part, weight in told)}"


def request_size(need: Need) -> str:
    """What a typical request is like."""
    used = need.typical
    each = f" in {used.requests:,} requests" if used.requests != 1 else ""
    return f"{used.prompt:,} + {used.completion:,} tokens{each}"


# --- the choices


class Chosen(NamedTuple):
    """A choice as it is shown."""

    place: int
    id: str
    name: str
    score: str
    parts: list[tuple[str, float, str]]  #: what it is, 0 to 1, and in words
    cost: str
    exact: str  #: every digit of the cost
    span: str | None  #: from the lowest to the highest cost; None: they are the same, or not known
    per_million: str
    context: int | None
    served: str | None  #: how many of its endpoints qualify
    reasons: Sequence[str]


def chosen(found: Shortlist) -> list[Chosen]:
    """The choices in order."""
    return [_chosen(place, it) for place, it in enumerate(found.choices, start=1)]


def _chosen(place: int, it: Choice) -> Chosen:
    lowest, highest = it.lowest_cost, it.highest_cost
    is_span = lowest is not None and highest is not None and lowest != highest
    known = [each.endpoint.context_length for each in it.candidates if each.endpoint.context_length]
    return Chosen(
        place, it.id, it.name or it.id, f"{it.score:.3f}",
        [(part, round(mark, 3), f"{mark:.3f}") for part, mark in it.parts.items()],
        usd(it.expected_cost), words.usd(it.expected_cost), f"{usd(lowest)}–{usd(highest)}" if is_span else None,
        usd(it.per_million), max(known, default=None),
        None if it.live is None else f"{len(it.candidates)} of {len(it.live)}", list(_reasons(it)),
    )  # fmt: skip


def _reasons(it: Choice) -> Iterator[str]:
    """Why it stands where it does, without the figures that are shown beside."""
    for reason in it.reasons:
        head, _, rest = reason.partition(": ")
        said = head.split()
        if reason.startswith("$") or reason == "what it costs is not known":
            continue
        if said[0] in it.parts:
            # without its mark
            yield f"{' '.join([said[0], *said[2:]])}: {rest}"
        elif head.endswith((" endpoint qualifies", " endpoints qualify", " endpoints qualifies")):
            yield f"served by {rest}"
        else:
            yield reason


# --- what would change it


def flips(found: Shortlist) -> list[str]:
    """Flip points in words, the first of them."""
    return [_named(flipping(it), found) for it in found.flip_points[:_FLIPS]]


def _named(text: str, found: Shortlist) -> str:
    """A text with what the first models are called in place of their ids."""
    names = {it.id: (it.name or it.id).rpartition(": ")[2] for it in found.top}
    ids = "|".join(re.escape(it) for it in sorted(names, key=len, reverse=True))
    return re.sub(ids, lambda match: names[match[0]], text) if names else text


def flipping(it: FlipPoint) -> str:
    """A flip point in words."""
    who = "it" if it.why.startswith(f"{it.id} ") else it.id
    if it.what == "price":
        way = "more" if it.at > it.now else "less"
        return f"{it.why} once {who} costs {way} than {_usd(it.at)} a million (now {_usd(it.now)})"
    if it.what == "quality":
        way = "below" if it.at < it.now else "above"
        return f"{it.why} once {who} has a quality {way} {it.at:.3f} (now {it.now:.3f})"
    if it.what == "rank":
        return f"{it.why} once {who} falls to rank {it.at:.0f} (now {it.now:.0f})"
    return f"{it.why} once {who} is up less than {it.at:g} % everywhere (now {words.uptime(it.now)})"


def _usd(number: float) -> str:
    return usd(Decimal(repr(number)))


# --- all others


class Out(NamedTuple):
    """Models that one thing removed."""

    what: str  #: in words
    models: int
    examples: list[tuple[str, str]]  #: ids, each with why in a sentence


def out(found: Shortlist, popular: Sequence[str] = ()) -> list[Out]:
    """What removed how many, the most first; `popular` are ids that people know, the examples before others."""
    counts: Counter[str] = Counter()
    for what, value, models in found.removed:
        counts[_told(what, value)] += models
    known = {model_id: place for place, model_id in enumerate(popular)}
    examples: dict[str, list[str]] = {}
    for model_id, (what, value) in found.removed_by.items():
        examples.setdefault(_told(what, value), []).append(model_id)
    rejected = found.rejected
    return [
        Out(what, models, [
            (it, rejected[it])
            for it in sorted(examples.get(what, ()), key=lambda it: (known.get(it, len(known)), it))[:_EXAMPLES]
        ])
        for what, models in sorted(counts.items(), key=lambda it: (-it[1], it[0]))
    ]  # fmt: skip


def _told(what: str, value: Any) -> str:
    return _REMOVED[what].format(WORDS[value] if what == "part" else value)


class Relaxed(NamedTuple):
    """What to ask less of, and how many models qualify then."""

    what: str
    models: int
    changes: dict[str, str | None]  #: field → the value that goes; None: all of it. Of `allow` the one that comes


def relaxing(found: Shortlist) -> list[Relaxed]:
    """Where nothing qualifies: which condition, or which two, keep models away alone; the most models first."""
    groups: dict[str, list[Condition]] = {}
    for it in found.conditions:
        if _is_own(it, found.need):
            groups.setdefault(_relax(it)[0], []).append(it)
    told: dict[str, Relaxed] = {}
    for conditions, models in found.relaxing(list(groups.values())):
        changes: dict[str, str | None] = {}
        for it in conditions:
            changes |= _relax(it)[1]
        what = " and ".join(dict.fromkeys(_relax(it)[0] for it in conditions))
        told.setdefault(what, Relaxed(what, models, changes))
    best = sorted(told.values(), key=lambda it: (-it.models, len(it.what), it.what))
    return best if best and " and " not in best[0].what else best[:_PAIRS]


def _relax(it: Condition) -> tuple[str, dict[str, str | None]]:
    what, value, _ = it
    if what in ALLOWED or what == "part":
        kind = "unpriced" if what == "part" else what
        return f"with “{kind}” allowed", {"allow": kind}
    text, fields = _RELAX[what]
    return text.format(value), dict.fromkeys(fields, value if what in _VALUED else None)


def _is_own(it: Condition, need: Need) -> bool:
    """Whether the caller asks for it: not what is always asked, nor what another model's outputs are."""
    what, value, _ = it
    if what == "lasting":
        return bool(need.lasting_days)
    return not (what == "output" and value not in need.outputs) and (
        what in _RELAX or what in ALLOWED or what == "part"
    )


# --- one model


class Explained(NamedTuple):
    """Why a model is or is not chosen, as it is shown."""

    id: str
    place: str
    why: str
    against: str | None  #: whom it is compared with
    marks: list[tuple[str, str, str]]  #: what, of it, of the other
    reasons: Sequence[str]
    endpoints: list[tuple[str, bool, str]]  #: key, whether it qualifies, what is to tell of it
    taking: list[str]  #: what it would take


def explained(found: Shortlist, it: Explanation) -> Explained:
    """An explanation in words."""
    if it.place is None:
        place = "does not qualify"
    else:
        place = f"{'chosen' if it.is_chosen else 'not chosen'}, place {it.place:,} of {found.total:,}"
    marks: list[tuple[str, str, str]] = []
    if it.choice is not None and it.against is not None:
        mine, other = it.choice, it.against
        marks = [("score", f"{mine.score:.3f}", f"{other.score:.3f}")]
        marks += [(part, f"{mark:.3f}", f"{other.parts[part]:.3f}") for part, mark in mine.parts.items()
                  if part in other.parts]  # fmt: skip
        marks.append(("cost", usd(mine.expected_cost), usd(other.expected_cost)))
    return Explained(
        it.id, place, it.why, it.against.id if it.against is not None else None, marks,
        () if it.choice is None else list(_reasons(it.choice)), _endpoints(found, it), _taking(found, it),
    )  # fmt: skip


def _endpoints(found: Shortlist, it: Explanation) -> list[tuple[str, bool, str]]:
    shares = {} if it.choice is None else {share.key: share.weight for share in it.choice.endpoints}
    return [
        (each.name, not lacks and it.choice is not None,
         "; ".join(lacks) or _offered(each, shares.get(each.name), found.at))
        for each, lacks in it.endpoints
    ]  # fmt: skip


def _offered(it: Candidate, share: Fraction | None, at: datetime) -> str:
    """What an endpoint that is good enough is like, and how likely it is asked first."""
    rates = [it.endpoint.pricing.rate_at(unit, at) for unit in ("prompt", "completion")]
    told = " / ".join(words.UNKNOWN if rate is None else words.usd(per_million(rate)) for rate in rates)
    parts = [f"{told} a million" if any(rate != 0 for rate in rates) else "free"]
    parts.append(f"context {words.short(it.endpoint.context_length or None)}")
    if it.health.uptime is not None:
        parts.append(f"up {words.uptime(it.health.uptime)}")
    if it.health.throughput_p50 is not None:
        parts.append(f"{it.health.throughput_p50:.0f} tokens/s")
    if share is not None:
        parts.append(f"asked first {words.percent(float(share), 0)}" if share else "asked when others fail")
    return ", ".join(parts)


def _taking(found: Shortlist, it: Explanation) -> list[str]:
    """What it would take for a model to qualify, or where it does to come first, all else as it is."""
    if it.choice is None:
        is_told = len(it.obstacles) == 1 and it.obstacles[0].endswith(it.why)
        return [] if is_told else list(it.obstacles)
    if found.top[0].id == it.id or found.need.role == "replacement":
        return []
    return [_named(flipping(point), found) for point in it.flip_points] or [
        "neither a lower price nor more quality alone brings it to the first place"
    ]
