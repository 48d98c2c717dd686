"""Why a model has no offer that meets all conditions of a need: in words, made when somebody asks; pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from llmhive.catalog import capability
from llmhive.catalog.condition import Condition
from llmhive.catalog.cost import WORDS
from llmhive.catalog.endpoint import Endpoint
from llmhive.catalog.offers import PLAIN, TEXT, Offers
from llmhive.catalog.pricing import per_million, plain
from llmhive.catalog.routing import Candidate

#: What is asked of a model, and holds for all that it offers.
OF_MODELS = frozenset(
    {"alias", "router", "batch", "free", "text", "lasting", "models", "exclude", "input", "output", "family",
     "stronger", "itself"}
)  # fmt: skip


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
    """All that would have to change for a model to qualify, in words: at its offer that lacks the least."""
    own = offers.numbers(offers.bits[number])
    unmet = {offer: [it for it in asked if not it[2] >> offer & 1] for offer in own}
    nearest = min(own, key=lambda offer: len(unmet[offer]))
    name = offers.candidates[nearest].name
    told = []
    for it in unmet[nearest]:
        at = f"at {name}: " if name and len(own) > 1 and it[0] not in OF_MODELS else ""
        told.append(at + _reason(offers, it, number, 1 << nearest, each))
    return told


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
    model, numbers = offers.models[number].row, offers.numbers(bits)
    return _WORDS[what](_Lack(offers, number, model, numbers, [offers.candidates[it] for it in numbers], each), value)


class _Lack(NamedTuple):
    """Some offers of a model that lack something."""

    offers: Offers
    number: int
    row: Mapping[str, Any]
    numbers: list[int]
    at: list[Candidate]
    each: tuple[int, int]  #: tokens in and out of one request


_Word = Callable[[_Lack, Any], str]


def _modality(verb: str, field: str) -> _Word:
    def word(it: _Lack, value: Any) -> str:
        return f"it {verb} no {value}: {', '.join(it.row[field]) or 'nothing that is known'}"

    return word


def _size(told: str, unknown: str, limit_of: Callable[[Endpoint], int | None], wanted: str) -> _Word:
    def word(it: _Lack, value: Any) -> str:
        most = _most(limit_of(each.endpoint) for each in it.at)
        return f"{told.format(most) if most else unknown}; {wanted.format(value)}"

    return word


def _reads(limit_of: Callable[[Endpoint], int | None], wanted: str) -> _Word:
    return _size("its context is {:,} tokens", "its context length is not known", limit_of, wanted)


def _answers(wanted: str) -> _Word:
    return _size(
        "it answers {:,} tokens at most", "how long its answers may be is not known",
        lambda it: it.max_completion_tokens, wanted,
    )  # fmt: skip


def _text(it: _Lack, _: Any) -> str:
    return f"it gives no text but {', '.join(it.row['output_modalities']) or 'something unknown'}: ask for `outputs`"


def _providers(it: _Lack, value: Any) -> str:
    serving = ", ".join(sorted({each.endpoint.provider_name for each in it.at} - {""})) or "unknown"
    return f"{_some(value, 'nor')} does not serve it; who does: {serving}"


def _excluded(it: _Lack, _: Any) -> str:
    return f"only excluded providers serve it: {', '.join(sorted({each.endpoint.provider_name for each in it.at}))}"


def _quantizations(it: _Lack, value: Any) -> str:
    known = ", ".join(sorted({each.endpoint.quantization or "unknown" for each in it.at}))
    return f"its quantization is {known}, not {_some(value, 'or')}"


def _zdr(it: _Lack, _: Any) -> str:
    return "it keeps data" if any(each.is_zdr is False for each in it.at) else "whether it keeps no data is not known"


def _latency(it: _Lack, value: Any) -> str:
    best = min((ms for each in it.at if (ms := each.health.latency_p50) is not None), default=None)
    told = "its latency is not known" if best is None else f"its latency is {best / 1000:.2f} s"
    return f"{told}; at most {value:g} s are asked for"


def _throughput(it: _Lack, value: Any) -> str:
    most = _most(each.health.throughput_p50 for each in it.at)
    told = "its throughput is not known" if most is None else f"it gives {most:.0f} tokens a second"
    return f"{told}; {value:g} are asked for"


def _price(unit: str) -> _Word:
    return lambda it, value: f"{_costs(it.offers, unit, it.numbers, it.each[0])}, above ${plain(value)}"


#: Condition → what is wrong where it is not met.
_WORDS: Mapping[str, _Word] = {
    "alias": lambda *_: "it is an alias, which moves without notice: allow `alias`",
    "router": lambda *_: "it is a router, which passes a request on to a model that it picks: allow `router`",
    "batch": lambda *_: "it serves batches only: allow `batch`",
    "free": lambda *_: "it is free of charge, and limited to so many requests a day: allow `free`",
    "unpriced": lambda *_: "its price is not known: allow `unpriced`",
    "degraded": lambda it, _: f"{_fares(it.at)}: allow `degraded`",
    "text": _text,
    "lasting": lambda it, _: f"it expires on {it.row['expiration_date'].isoformat()}",
    "models": lambda *_: "it is not among the models asked for",
    "exclude": lambda *_: "it is excluded",
    "input": _modality("takes", "input_modalities"),
    "output": _modality("gives", "output_modalities"),
    "family": lambda _, value: f"it is not of {value.id}'s family {value.family}",
    "stronger": lambda _, value: f"it is not clearly stronger than {value.id} (quality {value.quality:.3f})",
    "itself": lambda _, value: f"it is {value.id} itself, or a variant of it",
    "providers": _providers,
    "exclude_providers": _excluded,
    "quantizations": _quantizations,
    "zdr": _zdr,
    "require": lambda it, value: _lacks(value, it.offers.cells(it.number).get(value), it.row),
    "context": _reads(lambda it: it.context_length, "{:,} are asked for"),
    "fits": _reads(lambda it: it.context_length, "{:,} are what a request takes"),
    "output_tokens": _answers("{:,} are asked for"),
    "answers": _answers("{:,} are what an answer takes"),
    "asks": _size(
        "it takes prompts of {:,} tokens at most", "how long its prompts may be is not known",
        lambda it: it.max_prompt_tokens, "one has {:,}",
    ),
    "part": lambda _, value: f"what it asks for {WORDS[value]} is not known: allow `unpriced`",
    "prompt": _price("prompt"),
    "completion": _price("completion"),
    "uptime": lambda it, value: f"{_fares(it.at)}; {value:g} % are asked for",
    "latency": _latency,
    "throughput": _throughput,
}  # fmt: skip
#: What a condition may be called.
NAMES = frozenset(_WORDS)


def _fares(at: Sequence[Candidate]) -> str:
    best = _most(it.health.uptime for it in at)
    if best is None:
        statuses = sorted({it.health.status for it in at if it.health.status}, reverse=True)
        return f"its endpoints are not healthy (status {statuses[0]})" if statuses else "its uptime is not known"
    return f"its uptime is {int(best * 10) / 10:.1f} %"


def _lacks(name: str, cell: capability.Cell | None, row: Any) -> str:
    if cell is not None and cell.state == "unknown":
        return f"whether it can do {name} is not known ({cell.provenance})"
    if cell is not None and cell.state == "no":
        return f"it cannot do {name} ({cell.provenance})"
    if name in row["supported_parameters"] or (cell is not None and cell.state == "yes"):
        return f"it lists {name}, but not here"
    return f"it does not list {name}"


def _costs(offers: Offers, unit: str, numbers: Sequence[int], prompt: int) -> str:
    """What the cheapest of some offers asks for a unit: for a small prompt, or for this one where that is more."""
    part = PLAIN if unit == "prompt" else TEXT
    asked = []
    for number in numbers:
        tariffs = offers.tariffs[number]
        rates = [tariffs.rates_at(size, offers.at)[part] for size in ((0, prompt) if tariffs.thresholds else (0,))]
        if None not in rates:
            asked.append(max(rate for rate in rates if rate is not None))
    if not asked:
        return f"its {unit} price is not known"
    return f"its {unit} price is ${plain(per_million(min(asked)))} a million"


def _some(names: Sequence[str], word: str) -> str:
    """The first few of some names."""
    more = len(names) - 3
    return f" {word} ".join(names[:3]) + (f" {word} {more} more" if more > 0 else "")


def _most(values: Iterable[Any]) -> Any:
    return max((it for it in values if it is not None), default=None)
