"""What a need asks of every offer, condition by condition; pure.

A `Condition` is a bitset of the offers that meet it. An offer must meet all of them, so that one endpoint has
everything that is asked for; `rejection` says which of them left a model without an offer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from llmhive.catalog.cost import PARTS
from llmhive.catalog.names import Names
from llmhive.catalog.need import Need
from llmhive.catalog.offers import GIVES, Offers
from llmhive.catalog.pricing import EXACT

#: What is asked, the value that is asked for, and the offers that meet it. A plain tuple: many are made for each need.
Condition = tuple[str, Any, int]
Add = Callable[[Condition], None]
#: Combinations of what is usual that are kept.
_MOST_USUAL = 1000


class Origin(NamedTuple):
    """The model that a need starts from."""

    id: str
    family: str
    outputs: tuple[str, ...]
    quality: float  #: for the need's task, 0 to 1
    stronger: int  #: the offers of models that are clearly better
    itself: int  #: its own offers, and those of its variants


def conditions(offers: Offers, names: Names, need: Need, origin: Origin | None) -> list[Condition]:
    """Everything that a need asks of an offer, in the order in which reasons are told."""
    every = offers.all
    wants_text = not need.outputs and GIVES.isdisjoint(need.require) and (origin is None or "text" in origin.outputs)
    key = need.allow, wants_text, need.lasting_days
    found: list[Condition] = list(offers.usual.get(key) or _usual(offers, *key))
    add = found.append
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
    if need.providers or need.exclude_providers or need.quantizations or need.zdr:
        _serve(offers, need, add)
    for name in need.require:
        add(("require", name, offers.has.get(name, 0)))
    _limit(offers, need, add)
    return found


def _usual(offers: Offers, allow: tuple[str, ...], wants_text: bool, days: int) -> tuple[Condition, ...]:
    """What is left out unless it is allowed, what gives no text, and what does not last."""
    found: list[Condition] = [
        (kind, None, offers.all & ~bits) for kind, bits in offers.left_out.items() if bits and kind not in allow
    ]
    if wants_text:
        found.append(("text", None, offers.outputs.get("text", 0)))
    if offers.expiring:
        day = offers.at.date() + timedelta(days=days)
        found.append(("lasting", day, offers.lasting(day)))
    if len(offers.usual) >= _MOST_USUAL:
        offers.usual.clear()
    offers.usual[allow, wants_text, days] = tuple(found)
    return tuple(found)


def _begin_from(origin: Origin, role: str | None, offers: Offers, add: Add) -> None:
    if role == "escalation":
        add(("family", origin, offers.families.get(origin.family, 0)))
        add(("stronger", origin, offers.all & origin.stronger))
    else:
        add(("itself", origin, offers.all & ~origin.itself))
    for modality in origin.outputs:
        add(("output", modality, offers.outputs.get(modality, 0)))


def _serve(offers: Offers, need: Need, add: Add) -> None:
    """Who serves, and how."""
    if need.providers:
        add(("providers", need.providers, _named(offers.providers, need.providers)))
    if need.exclude_providers:
        others = offers.all & ~_named(offers.providers, need.exclude_providers)
        add(("exclude_providers", need.exclude_providers, others))
    if need.quantizations:
        add(("quantizations", need.quantizations, _named(offers.quantizations, need.quantizations)))
    if need.zdr:
        add(("zdr", None, offers.zdr))


def _limit(offers: Offers, need: Need, add: Add) -> None:
    """Sizes, prices, and how endpoints fare."""
    prompt, completion = need.each
    size = prompt + completion
    if need.min_context is not None and need.min_context >= size:
        add(("context", need.min_context, offers.context.at_least(need.min_context)))
    else:
        add(("fits", size, offers.context.at_least(size)))
    if need.min_output is not None:
        add(("output_tokens", need.min_output, offers.output.at_least(need.min_output)))
    add(("answers", completion, offers.largest_answer.at_least(completion)))
    if offers.limits_prompts:
        add(("asks", prompt, offers.largest_prompt.at_least(prompt)))
    prices = offers.prices(prompt)
    if prices.unknown and "unpriced" not in need.allow:
        if prices.unpriced:
            add(("unpriced", None, offers.all & ~prices.unpriced))
        for part, bits in () if need.is_plain else prices.unknown.items():
            if need.quantities[part]:
                add(("part", PARTS[part].name, offers.all & ~bits))
    for unit, most in need.max_price_per_million:
        add((unit, most, prices.at_most(unit, most.scaleb(-6, EXACT))))
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
        else:
            # of several models with the same name all are meant
            found |= offers.bare.get(entry.lower(), 0)
    return found


def _named(bits_of: Mapping[str, int], names: Iterable[str]) -> int:
    found = 0
    for name in names:
        found |= bits_of.get(name.casefold(), 0)
    return found
