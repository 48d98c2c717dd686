"""What a need asks of every offer, condition by condition, and why a model has none that meets them all; pure.

A `Condition` is a bitset of the offers that meet it. An offer must meet all of them, so that one endpoint has
everything that is asked for; which of them left a model without an offer is found again when somebody asks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from llmhive.catalog import capability
from llmhive.catalog.cost import Tariffs
from llmhive.catalog.names import Names
from llmhive.catalog.need import Need
from llmhive.catalog.offers import GIVES, PLAIN, TEXT, Offers
from llmhive.catalog.pricing import per_million, plain
from llmhive.catalog.routing import Candidate

#: What is asked, the value that is asked for, and the offers that meet it. A plain tuple: many are made for each need.
Condition = tuple[str, Any, int]

_UNITS = ("prompt", "completion")
#: What is asked of a model, and holds for all that it offers.
OF_MODELS = frozenset(
    {"alias", "router", "batch", "free", "text", "lasting", "models", "exclude", "input", "output", "family",
     "stronger", "itself"}
)  # fmt: skip


class Origin(NamedTuple):
    """The model that a need starts from."""

    id: str
    family: str
    slug: str | None  #: canonical
    outputs: tuple[str, ...]
    quality: float  #: for the need's task, 0 to 1
    stronger: int  #: the offers of models that are clearly better
    itself: int  #: its own offers, and those of its variants


def conditions(offers: Offers, names: Names, need: Need, origin: Origin | None) -> list[Condition]:
    """Everything that a need asks of an offer, in the order in which reasons are told."""
    every = offers.all
    found: list[Condition] = list(offers.usual.get(need.allow) or _usual(offers, need.allow))
    add = found.append
    if not need.outputs and GIVES.isdisjoint(need.require):
        add(("text", None, offers.outputs.get("text", 0)))
    if offers.expiring:
        day = offers.at.date() + timedelta(days=need.lasting_days)
        add(("lasting", day, offers.lasting(day)))
    if need.models:
        add(("models", need.models, _any(offers, names, need.models)))
    if need.exclude:
        add(("exclude", need.exclude, every & ~_any(offers, names, need.exclude)))
    for modality in need.inputs:
        add(("input", modality, offers.inputs.get(modality, 0)))
    for modality in need.outputs:
        add(("output", modality, offers.outputs.get(modality, 0)))
    if origin is not None:
        _begin_from(origin, need.role, offers, add)
    if need.providers:
        add(("providers", need.providers, _of_providers(offers, need.providers)))
    if need.exclude_providers:
        add(("exclude_providers", need.exclude_providers, every & ~_of_providers(offers, need.exclude_providers)))
    if need.quantizations:
        met = 0
        for name in need.quantizations:
            met |= offers.quantizations.get(name, 0)
        add(("quantizations", need.quantizations, met))
    if need.zdr:
        add(("zdr", None, offers.zdr))
    for name in need.require:
        add(("require", name, offers.has.get(name, 0)))
    _limit(offers, need, found)
    return found


def _usual(offers: Offers, allow: tuple[str, ...]) -> tuple[Condition, ...]:
    """What is left out unless it is allowed."""
    found: tuple[Condition, ...] = tuple(
        (kind, None, offers.all & ~bits) for kind, bits in offers.kinds.items() if bits and kind not in allow
    )
    offers.usual[allow] = found
    return found


def _begin_from(origin: Origin, role: str | None, offers: Offers, add: Any) -> None:
    if role == "escalation":
        add(("family", origin, offers.families.get(origin.family, 0)))
        add(("stronger", origin, offers.all & origin.stronger))
    else:
        add(("itself", origin, offers.all & ~origin.itself))
        for modality in origin.outputs:
            add(("output", modality, offers.outputs.get(modality, 0)))


def _limit(offers: Offers, need: Need, found: list[Condition]) -> None:
    """Sizes, prices, and how endpoints fare."""
    prompt, completion = need.each
    add = found.append
    size = prompt + completion
    if need.min_context is not None and need.min_context >= size:
        add(("context", need.min_context, offers.context.at_least(need.min_context)))
    else:
        add(("fits", size, offers.context.at_least(size)))
    if need.min_output is not None:
        add(("output_tokens", need.min_output, offers.output.at_least(need.min_output)))
    add(("answers", completion, offers.all & ~(offers.output.known & ~offers.output.at_least(completion))))
    if offers.largest_prompt.known:
        short = offers.largest_prompt.known & ~offers.largest_prompt.at_least(prompt)
        add(("asks", prompt, offers.all & ~short))
    for unit, most in need.max_price_per_million:
        add((unit, most, offers.prices(prompt).at_most(unit, most.scaleb(-6))))
    if need.min_uptime is not None:
        add(("uptime", need.min_uptime, offers.uptime.at_least(need.min_uptime)))
    if need.max_latency is not None:
        add(("latency", need.max_latency, offers.latency.at_most(need.max_latency)))
    if need.min_throughput is not None:
        add(("throughput", need.min_throughput, offers.throughput.at_least(need.min_throughput)))


def _any(offers: Offers, names: Names, entries: Iterable[str]) -> int:
    """The offers of the models that any of the entries means: a name, or a pattern with ``*``."""
    found = 0
    for entry in entries:
        if "*" in entry:
            found |= offers.matching(entry)
        elif (number := offers.number.get(entry)) is not None or (
            number := offers.number.get(names.meant(entry) or "")
        ) is not None:
            found |= offers.bits[number]
    return found


def _of_providers(offers: Offers, names: Iterable[str]) -> int:
    found = 0
    for name in names:
        found |= offers.providers.get(name.casefold(), 0)
    return found


# --- why not


def why_not(offers: Offers, asked: Sequence[Condition], number: int, each: tuple[int, int]) -> str | None:
    """Why no offer of a model meets all conditions; None where one does."""
    found = removing(offers, asked, number)
    if not found:
        return None
    if len(found) == 1:
        (condition, gone), *_ = found
        return _reason(offers, condition, number, gone, each)
    told = "; ".join(
        f"{_called(offers, gone)}: {_reason(offers, condition, number, gone, each)}" for condition, gone in found
    )
    return f"no endpoint meets all of it together: {told}"


def removing(offers: Offers, asked: Sequence[Condition], number: int) -> list[tuple[Condition, int]]:
    """The conditions that leave a model without an offer, each with the offers that it takes: one that no offer meets,
    or else one after the other; none where an offer meets all.
    """
    own = left = offers.bits[number]
    found: list[tuple[Condition, int]] = []
    for condition in asked:
        if not own & condition[2]:
            # nobody meets this one: that is reason enough, whatever else there is
            return [(condition, own)]
        if gone := left & ~condition[2]:
            found.append((condition, gone))
            left &= condition[2]
    return [] if left else found


def why_not_offer(offers: Offers, asked: Sequence[Condition], offer: int, each: tuple[int, int]) -> list[str]:
    """What of an offer, by its number, does not meet the conditions; what is wrong with its model is left out."""
    number, bit = int(offers.of[offer]), 1 << offer
    return [_reason(offers, it, number, bit, each) for it in asked if not it[2] & bit and it[0] not in OF_MODELS]


def obstacles(offers: Offers, asked: Sequence[Condition], number: int, each: tuple[int, int]) -> list[str]:
    """Every condition that no offer of a model meets, in words: all of that would have to change."""
    own = offers.bits[number]
    return [_reason(offers, it, number, own, each) for it in asked if not own & it[2]]


def without(offers: Offers, asked: Sequence[Condition], left_out: Collection[Condition]) -> int:
    """How many models would qualify if some of the conditions were not asked."""
    left = offers.all
    for condition in asked:
        if condition not in left_out:
            left &= condition[2]
    return sum(1 for own in offers.bits if own & left)


def _called(offers: Offers, bits: int) -> str:
    """Endpoints by name: the first few."""
    names = [offers.candidates[number].name for number in offers.numbers(bits)]
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")


def _reason(offers: Offers, condition: Condition, number: int, bits: int, each: tuple[int, int]) -> str:
    """What is wrong with some offers of a model (all in `bits`): a condition that none of them meets."""
    what, value, _ = condition
    row = offers.models[number].row
    at = [offers.candidates[it] for it in offers.numbers(bits)]
    match what:
        case "alias":
            target = row["canonical_slug"]
            return f"it is an alias{f' (now {target})' if target else ''}, which moves without notice: allow `alias`"
        case "router":
            return "it is a router, which passes a request on to a model that it picks: allow `router`"
        case "batch":
            return "it serves batches only: allow `batch`"
        case "free":
            return "it is free of charge, and limited to so many requests a day: allow `free`"
        case "unpriced":
            return "its price is not known: allow `unpriced`"
        case "degraded":
            return f"{_fares(at)}: allow `degraded`"
        case "text":
            return (
                f"it gives no text but {', '.join(row['output_modalities']) or 'something unknown'}: ask for `outputs`"
            )
        case "lasting":
            return f"it expires on {row['expiration_date'].isoformat()}"
        case "models":
            return "it is not among the models asked for"
        case "exclude":
            return "it is excluded"
        case "input" | "output":
            listed = ", ".join(row[f"{what}_modalities"]) or "nothing that is known"
            return f"it {'takes' if what == 'input' else 'gives'} no {value}: {listed}"
        case "family":
            return f"it is not of {value.id}'s family {value.family}"
        case "stronger":
            return f"it is not clearly stronger than {value.id} (quality {value.quality:.3f})"
        case "itself":
            return f"it is {value.id} itself, or a variant of it"
    return _of_endpoints(what, value, at, row, each, offers.at)


def _of_endpoints(
    what: str, value: Any, at: Sequence[Candidate], row: Any, each: tuple[int, int], when: datetime
) -> str:
    match what:
        case "providers":
            serving = ", ".join(sorted({it.endpoint.provider_name for it in at} - {""})) or "unknown"
            return f"none of {', '.join(value)} serves it; who does: {serving}"
        case "exclude_providers":
            return f"only excluded providers serve it: {', '.join(sorted({it.endpoint.provider_name for it in at}))}"
        case "quantizations":
            known = ", ".join(sorted({it.endpoint.quantization or "unknown" for it in at}))
            return f"its quantization is {known}, not {' or '.join(value)}"
        case "zdr":
            is_told = any(it.is_zdr is False for it in at)
            return "it keeps data" if is_told else "whether it keeps no data is not known"
        case "require":
            return _lacks(value, row)
        case "context" | "fits":
            most = _most(it.endpoint.context_length for it in at)
            told = "its context length is not known" if most is None else f"its context is {most:,} tokens"
            return f"{told}; {value:,} are {'asked for' if what == 'context' else 'what a request takes'}"
        case "output_tokens" | "answers":
            most = _most(it.endpoint.max_completion_tokens for it in at)
            told = "how long its answers may be is not known" if most is None else f"it answers {most:,} tokens at most"
            return f"{told}; {value:,} are {'asked for' if what == 'output_tokens' else 'what an answer takes'}"
        case "asks":
            most = _most(it.endpoint.max_prompt_tokens for it in at)
            return f"it takes prompts of {most:,} tokens at most; one has {value:,}"
        case "prompt" | "completion":
            return f"{_costs(what, at, each[0], when)}, above ${plain(value)}"
        case "uptime":
            return f"{_fares(at)}; {value:g} % are asked for"
        case "latency":
            best = _least(it.health.latency_p50 for it in at)
            told = "its latency is not known" if best is None else f"its latency is {best / 1000:.2f} s"
            return f"{told}; at most {value:g} s are asked for"
        case "throughput":
            most_ = _most(it.health.throughput_p50 for it in at)
            told = "its throughput is not known" if most_ is None else f"it gives {most_:.0f} tokens a second"
            return f"{told}; {value:g} are asked for"
    raise AssertionError(what)


def _fares(at: Sequence[Candidate]) -> str:
    best = _most(it.health.uptime for it in at)
    if best is None:
        statuses = sorted({it.health.status for it in at if it.health.status}, reverse=True)
        return f"its endpoints are not healthy (status {statuses[0]})" if statuses else "its uptime is not known"
    return f"its uptime is {int(best * 10) / 10:.1f} %"


def _lacks(name: str, row: Any) -> str:
    cell = capability.cells(row).get(name)
    if cell is not None and cell.state == "unknown":
        return f"whether it can do {name} is not known ({cell.provenance})"
    if cell is not None and cell.state == "no":
        return f"it cannot do {name} ({cell.provenance})"
    if name in row["supported_parameters"] or (cell is not None and cell.state == "yes"):
        return f"it lists {name}, but not here"
    return f"it does not list {name}"


def _costs(unit: str, at: Sequence[Candidate], prompt: int, when: datetime) -> str:
    """What the cheapest of some endpoints asks for a unit: for a small prompt, or for this one where that is more."""
    part = PLAIN if unit == "prompt" else TEXT
    asked = []
    for it in at:
        tariffs = Tariffs(it.endpoint.pricing)
        rates = [tariffs.rates_at(size, when)[part] for size in (0, prompt)]
        if None not in rates:
            asked.append(max(rate for rate in rates if rate is not None))
    if not asked:
        return f"its {unit} price is not known"
    return f"its {unit} price is ${plain(per_million(min(asked)))} a million"


def _most(values: Iterable[Any]) -> Any:
    return max((it for it in values if it is not None), default=None)


def _least(values: Iterable[Any]) -> Any:
    return min((it for it in values if it is not None), default=None)
