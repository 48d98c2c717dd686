"""What a model can do: the capability matrix, and the names that a query asks by.

A *cell* says of one model and one capability ``yes``, ``no`` or ``unknown``, and what says so. OpenRouter is silent on
much: an empty list of parameters tells nothing (media models have one), nor does a price that is missing. Where a list
tells, what it lacks is ``no``, but for two cases: a router, which passes a request on to a model it picks, may do what
it does not list; and some parameters are listed so seldom that many a model takes them unlisted.

``supported_parameters`` of a model is the union over its endpoints: ``yes`` means that some endpoint can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from llmhive.catalog.endpoint import Endpoint
from llmhive.catalog.identity import identify
from llmhive.catalog.model import Model
from llmhive.catalog.pricing import exact

State = Literal["yes", "no", "unknown"]

_SERVED = msgspec.json.Decoder(float_hook=Decimal)


@dataclass(frozen=True, slots=True)
class Cell:
    """Whether a model has a capability."""

    state: State
    provenance: str  #: what says so, in words


@dataclass(frozen=True, slots=True)
class CellChange:
    """A cell whose state changed."""

    model_id: str
    capability: str
    before: Cell
    after: Cell


@dataclass(frozen=True, slots=True)
class Capability:
    """A column of the matrix."""

    name: str
    title: str
    sources: tuple[_Source, ...]  #: the first that says yes counts, else the first that says no
    #: Of a parameter that fewer than a tenth of the models with any list: that one is silent on it tells nothing.
    is_seldom_listed: bool = False


def cells(model: Model | Mapping[str, Any], *, implicit_caching: bool | None = None) -> Mapping[str, Cell]:
    """Every capability of a model, or of a row of the catalog, by name in the order of `CAPABILITIES`.

    A row tells no reasoning object: of it `reasoning` follows from the parameters alone. `implicit_caching` is what its
    endpoints say: whether one of them caches prompts unasked; None: not known.
    """
    facts = _of_model(model) if isinstance(model, Model) else _of_row(model)
    found = _cells(facts)
    if implicit_caching is None or found["prompt_caching"].state == "yes":
        return found
    told = (
        Cell("yes", "an endpoint caches implicitly")
        if implicit_caching
        else Cell("no", "no endpoint caches implicitly")
    )
    return {**found, "prompt_caching": told}


def capabilities(row: Mapping[str, Any]) -> frozenset[str]:
    """What a query may ask of a row of the catalog: its parameters, and the capabilities it has."""
    return _named(_of_row(row))


def of_endpoint(row: Mapping[str, Any], endpoint: Endpoint) -> frozenset[str]:
    """What one endpoint of the model of a row can do, as `capabilities`; its own parameters and prices count."""
    rates = [*endpoint.pricing.rates, *(rate for it in endpoint.pricing.overrides for rate in it.rates)]
    found = _named(
        _Facts(
            inputs=tuple(row["input_modalities"]),
            outputs=tuple(row["output_modalities"]),
            parameters=endpoint.supported_parameters,
            priced=_priced(rates),
            reasons=False,
            efforts=(),
            is_router=is_router(row["id"], row["pricing_kind"], row.get("tokenizer")),
        )
    )
    return found | {"prompt_caching"} if endpoint.supports_implicit_caching else found


def diff(before: Mapping[str, Mapping[str, Cell]], after: Mapping[str, Mapping[str, Cell]]) -> list[CellChange]:
    """The cells that say something else, by model and capability.

    A model or a capability that only one side has is no change; nor is the same state for another reason.
    """
    return [
        CellChange(model_id, name, was, becomes)
        for model_id in sorted(before.keys() & after.keys())
        for name, becomes in sorted(after[model_id].items())
        if (was := before[model_id].get(name)) is not None and was.state != becomes.state
    ]


@dataclass(frozen=True, slots=True)
class _Facts:
    """What of a model says what it can do."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: tuple[str, ...]
    priced: tuple[str, ...]  #: units that cost something
    reasons: bool  #: it has a reasoning object
    efforts: tuple[str, ...]  #: that the reasoning object lists
    is_router: bool


#: What a fact says of a capability; ``unknown``: nothing.
_Source = Callable[[_Facts], Cell]


def _listed(field: str, values_of: Callable[[_Facts], tuple[str, ...]], *names: str) -> _Source:
    """A list that has one of the names; if it has any value at all, it is whole."""

    def says(facts: _Facts) -> Cell:
        values = values_of(facts)
        for name in names:
            if name in values:
                return Cell("yes", f"{field} has {name}")
        if not values:
            return Cell("unknown", f"{field} is empty")
        lacks = f"{field} lacks {', '.join(names)}"
        return Cell("unknown", f"{lacks}, but a router picks the model") if facts.is_router else Cell("no", lacks)

    return says


def _takes(modality: str) -> _Source:
    return _listed("input_modalities", lambda facts: facts.inputs, modality)


def _gives(modality: str) -> _Source:
    return _listed("output_modalities", lambda facts: facts.outputs, modality)


def _supports(*parameters: str) -> _Source:
    return _listed("supported_parameters", lambda facts: facts.parameters, *parameters)


def _charges(unit: str) -> _Source:
    def says(facts: _Facts) -> Cell:
        is_priced = unit in facts.priced
        return Cell("yes", f"pricing has {unit}") if is_priced else Cell("unknown", f"pricing has no {unit}")

    return says


def _reasons(facts: _Facts) -> Cell:
    return Cell("yes", "it has a reasoning object") if facts.reasons else Cell("unknown", "it has no reasoning object")


def _has_efforts(facts: _Facts) -> Cell:
    found = bool(facts.efforts)
    return Cell("yes", "reasoning lists efforts") if found else Cell("unknown", "reasoning lists no efforts")


#: The columns of the matrix, in their order.
CAPABILITIES = (
    Capability("vision", "Takes images", (_takes("image"),)),
    Capability("file_input", "Takes files, such as PDF", (_takes("file"),)),
    Capability("audio_input", "Takes audio", (_takes("audio"),)),
    Capability("video_input", "Takes video", (_takes("video"),)),
    Capability("image_output", "Gives images", (_gives("image"),)),
    Capability("audio_output", "Gives audio in a chat", (_gives("audio"),)),
    Capability("video_output", "Gives video", (_gives("video"),)),
    Capability("embeddings", "Gives embeddings", (_gives("embeddings"),)),
    Capability("rerank", "Orders documents by relevance", (_gives("rerank"),)),
    Capability("speech", "Reads text aloud", (_gives("speech"),)),
    Capability("transcription", "Writes down speech", (_gives("transcription"),)),
    Capability("tools", "Calls tools", (_supports("tools"),)),
    Capability("tool_choice", "Can be told which tool to call", (_supports("tool_choice"),)),
    Capability("parallel_tool_calls", "Can be told whether to call tools at once", (_supports("parallel_tool_calls"),),
               is_seldom_listed=True),
    Capability("structured_outputs", "Answers by a JSON schema", (_supports("structured_outputs"),)),
    Capability("json_mode", "Answers in JSON", (_supports("response_format"),)),
    Capability("reasoning", "Reasons before it answers",
               (_supports("reasoning", "include_reasoning", "reasoning_effort"), _reasons)),
    Capability("reasoning_effort", "Can be told how much to reason", (_supports("reasoning_effort"), _has_efforts)),
    Capability("web_search", "Searches the web natively",
               (_supports("web_search_options"), _charges("web_search"))),
    Capability("prompt_caching", "Caches prompts", (_charges("input_cache_read"),)),
    Capability("logprobs", "Tells the probabilities of tokens", (_supports("logprobs"),)),
    Capability("logit_bias", "Can be told to prefer tokens", (_supports("logit_bias"),)),
    Capability("prediction", "Takes a predicted answer", (_supports("prediction"),), is_seldom_listed=True),
    Capability("seed", "Can be made repeatable by a seed", (_supports("seed"),)),
    Capability("stop", "Ends at words that are given", (_supports("stop"),)),
    Capability("temperature", "Can be told how freely to choose", (_supports("temperature"),)),
    Capability("verbosity", "Can be told how long to answer", (_supports("verbosity"),), is_seldom_listed=True),
)  # fmt: skip


@lru_cache(maxsize=4096)
def _cells(facts: _Facts) -> Mapping[str, Cell]:
    """Models are many, but what says what they can do is often the same."""
    return MappingProxyType({it.name: _judged(it, facts) for it in CAPABILITIES})


@lru_cache(maxsize=4096)
def _named(facts: _Facts) -> frozenset[str]:
    return frozenset((*facts.parameters, *(name for name, cell in _cells(facts).items() if cell.state == "yes")))


def _judged(it: Capability, facts: _Facts) -> Cell:
    said = [says(facts) for says in it.sources]
    found = next(cell for state in ("yes", "no", "unknown") for cell in said if cell.state == state)
    is_silent = it.is_seldom_listed and found.state == "no"
    return Cell("unknown", f"{found.provenance}, which OpenRouter seldom lists") if is_silent else found


def _of_model(model: Model) -> _Facts:
    rates = [*model.pricing.rates, *(rate for it in model.pricing.overrides for rate in it.rates)]
    return _Facts(
        inputs=model.input_modalities,
        outputs=model.output_modalities,
        parameters=model.supported_parameters,
        priced=_priced(rates),
        reasons=model.reasoning is not None,
        efforts=(model.reasoning and model.reasoning.supported_efforts) or (),
        is_router=is_router(model.id, model.pricing_kind, model.tokenizer),
    )


def _of_row(row: Mapping[str, Any]) -> _Facts:
    served = row.get("pricing") or {}
    if not isinstance(served, Mapping):
        served = _SERVED.decode(served)
    overrides = served.get("overrides")
    entries = [it for it in overrides if isinstance(it, dict)] if isinstance(overrides, list) else []
    return _Facts(
        inputs=tuple(row["input_modalities"]),
        outputs=tuple(row["output_modalities"]),
        parameters=tuple(row["supported_parameters"]),
        priced=_priced(pair for prices in (served, *entries) for pair in prices.items()),
        reasons=False,
        efforts=(),
        is_router=is_router(row["id"], row["pricing_kind"], row.get("tokenizer")),
    )


#: The units whose price says something.
_TELLING = ("input_cache_read", "web_search")


def _priced(rates: Iterable[tuple[str, Any]]) -> tuple[str, ...]:
    """Of the units that tell something, those that cost something."""
    found = {unit for unit, rate in rates if unit in _TELLING and (exact(rate) or 0) > 0}
    return tuple(sorted(found))


def is_router(model_id: str, kind: str, tokenizer: str | None) -> bool:
    """Whether a model passes a request on to a model it picks; an alias has one model at a time."""
    return kind == "dynamic" or (tokenizer == "Router" and not identify(model_id).is_alias)
