"""A stock as plain dictionaries, and what names, patterns, parameters and prices mean there, written once more.

Of the project's code it takes values apart and reads an id's size. Amounts are exact fractions.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from llmhive.catalog.identity import identify
from llmhive.catalog.pricing import Pricing
from llmhive.catalog.routing import Candidate
from llmhive.catalog.selectable import Selectable, Stock

Json = dict[str, Any]

DAYS = ["mon", "tues", "wednes", "thurs", "fri", "satur", "sun"]
WEEKDAYS = [day[:3] for day in DAYS]
#: The facts of which one tells that there is a capability: what goes in, what comes out, a parameter, a price.
CAPABLE = {
    "vision": "in:image", "file_input": "in:file", "audio_input": "in:audio", "video_input": "in:video",
    "image_output": "out:image", "audio_output": "out:audio", "video_output": "out:video",
    "embeddings": "out:embeddings", "rerank": "out:rerank",
    "speech": "out:speech", "transcription": "out:transcription",
    "tools": "by:tools", "tool_choice": "by:tool_choice", "parallel_tool_calls": "by:parallel_tool_calls",
    "structured_outputs": "by:structured_outputs", "json_mode": "by:response_format",
    "reasoning": "by:reasoning by:include_reasoning by:reasoning_effort", "reasoning_effort": "by:reasoning_effort",
    "web_search": "by:web_search_options for:web_search", "prompt_caching": "for:input_cache_read",
    "logprobs": "by:logprobs", "logit_bias": "by:logit_bias", "prediction": "by:prediction", "seed": "by:seed",
    "stop": "by:stop", "temperature": "by:temperature", "verbosity": "by:verbosity",
}  # fmt: skip
#: Of each counted part of a usage: the units that may charge it, the first that is listed does.
CHARGED = {
    "plain": "prompt",
    "cached": "input_cache_read prompt",
    "written": "input_cache_write prompt",
    "written_1h": "input_cache_write_1h input_cache_write prompt",
    "audio": "audio prompt",
    "audio_cached": "input_audio_cache audio prompt",
    "image_tokens": "image_token prompt",
    "text": "completion",
    "reasoning": "internal_reasoning completion",
    "audio_output": "audio_output completion",
    "image_output": "image_output completion",
    "requests": "request",
    "images": "image",
    "web_searches": "web_search",
}
#: What costs nothing where no unit is listed that charges it.
UNCHARGED = {"requests", "images"}


# --- values as plain dictionaries


def plain(stock: Stock) -> Json:
    """A stock as dictionaries and lists of plain values."""
    return {
        "at": stock.at,
        "models": [_plain_model(it) for it in stock.models],
        "measures": {model_id: dict(told) for model_id, told in stock.evidence.measures.items()},
        "ranks": {name: dict(ranks) for name, ranks in stock.evidence.ranks.items()},
        "sizes": dict(stock.evidence.sizes),
    }


def _plain_model(it: Selectable) -> Json:
    row = dict(it.row)
    served = row["pricing"]
    if isinstance(served, bytes | str):
        served = json.loads(served, parse_float=Decimal)
    return {
        **row,
        "size": identify(row["id"]).size,
        "served": dict(served or {}),
        "pricing": plain_pricing(it.pricing),
        "offers": None if it.offers is None else [_plain_offer(offer) for offer in it.offers],
    }


def plain_pricing(pricing: Pricing) -> Json:
    return {
        "rates": dict(pricing.rates),
        "overrides": [{"when": dict(it.conditions), "rates": dict(it.rates)} for it in pricing.overrides],
    }


def _plain_offer(it: Candidate) -> Json:
    endpoint, health = it.endpoint, it.health
    return {
        "name": it.name,
        "tag": endpoint.tag,
        "called": [it.provider_slug, endpoint.provider_name],
        "context_length": endpoint.context_length,
        "max_completion_tokens": endpoint.max_completion_tokens,
        "max_prompt_tokens": endpoint.max_prompt_tokens,
        "quantization": endpoint.quantization,
        "pricing": plain_pricing(endpoint.pricing),
        "parameters": list(endpoint.supported_parameters),
        "caches": endpoint.supports_implicit_caching,
        "zdr": it.is_zdr,
        "status": health.status,
        "uptime": health.uptime_last_1d if health.uptime_last_30m is None else health.uptime_last_30m,
        "latency": health.latency_p50,
        "throughput": health.throughput_p50,
    }


# --- names


def matches(pattern: str, text: str) -> bool:
    """Whether a text is a pattern's, in which a star stands for anything, also for nothing."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(matches(pattern[1:], text[start:]) for start in range(len(text) + 1))
    return bool(text) and text[0] == pattern[0] and matches(pattern[1:], text[1:])


def meant(stock: Json, name: str) -> str | None:
    """The id that a name means; where several models share it the active one, the base row, the first by id."""
    ids = [model["id"] for model in stock["models"]]
    if name in ids:
        return name
    wanted = name.casefold()
    ranked = sorted(stock["models"], key=lambda it: (not it["is_active"], it["variant"] is not None, it["id"]))
    for model in ranked:
        if model["id"].casefold() == wanted:
            return str(model["id"])
    for model in ranked:
        if model["canonical_slug"] and model["canonical_slug"].casefold() == wanted:
            return str(model["id"])
    bare = [model_id for model_id in ids if "/" in model_id and model_id.split("/")[-1].casefold() == wanted]
    return bare[0] if len(bare) == 1 else None


# --- what it can do, and what it costs


def capable(
    takes: Collection[str], gives: Collection[str], parameters: Collection[str], costing: Collection[str]
) -> set[str]:
    """The capabilities that modalities, parameters, and the units that cost something tell."""
    facts = {f"in:{it}" for it in takes} | {f"out:{it}" for it in gives}
    facts |= {f"by:{it}" for it in parameters} | {f"for:{it}" for it in costing}
    return {name for name, told in CAPABLE.items() if facts & set(told.split())}


def parts_of(usage: Mapping[str, int]) -> Json:
    """How much there is of each counted part: no token twice, none below zero."""
    told = {name: usage.get(name, 0) for name in (*CHARGED, "prompt", "completion")}
    told["requests"] = usage.get("requests", 1)
    written = told["written"] + told["written_1h"]
    aside = told["cached"] + written
    if aside > told["prompt"]:
        aside = max(told["cached"], written)
    told["plain"] = max(told["prompt"] - aside - told["audio"] - told["image_tokens"], 0)
    told["text"] = max(told["completion"] - told["reasoning"] - told["audio_output"] - told["image_output"], 0)
    told["cached"] = max(told["cached"] - told["audio_cached"], 0)
    return {name: told[name] for name in CHARGED}


def rates_at(pricing: Json, prompt: int, at: Any) -> dict[str, Decimal]:
    """The rates in force for a prompt of so many tokens at an instant: later overrides win, unit by unit."""
    rates = dict(pricing["rates"])
    for override in pricing["overrides"]:
        if _holds(override["when"], prompt, at):
            rates.update(override["rates"])
    return rates


def _holds(when: Json, prompt: int, at: Any) -> bool:
    """Whether all conditions hold; what is not understood never does."""
    if not _is_understood(when) or prompt <= when.get("min_prompt_tokens", -1):
        return False
    days = [name.lower()[:3] for name in when.get("utc_days", WEEKDAYS)]
    is_today, was_yesterday = WEEKDAYS[at.weekday()] in days, WEEKDAYS[at.weekday() - 1] in days
    start, end, now = when.get("utc_start", 0), when.get("utc_end", 0) or 2400, at.hour * 100 + at.minute
    if start < end:
        return is_today and start <= now < end
    # over midnight: what began today, or what began yesterday and is not over
    return (is_today and now >= start) or (was_yesterday and now < end)


def _is_understood(when: Json) -> bool:
    if set(when) - {"min_prompt_tokens", "utc_start", "utc_end", "utc_days"}:
        return False
    clocks, days = [when.get("utc_start", 0), when.get("utc_end", 0)], when.get("utc_days", ())
    if not all(isinstance(it, int) and 0 <= it <= 2400 and it % 100 < 60 for it in clocks):
        return False
    if isinstance(days, str | int) or not isinstance(when.get("min_prompt_tokens", 0), int):
        return False
    return all(any(f"{day}day".startswith(name.lower()) for day in DAYS) and len(name) > 2 for name in days)


def cost_of(pricing: Json, parts: Json, prompt: int, at: Any) -> Fraction | None:
    """USD for a usage, or None where the rate of a prompt or completion token, or of what is used, is not known."""
    rates = rates_at(pricing, prompt, at)
    listed, everywhere = pricing["rates"], [pricing["rates"], *(it["rates"] for it in pricing["overrides"])]
    # reasoning that is listed at the price of completion follows it; so does an image that costs what a token does
    completions = [it["rates"].get("completion") for it in pricing["overrides"] if _is_understood(it["when"])]
    if "completion" in listed:
        completions = [listed["completion"]]
    if "internal_reasoning" in listed and listed["internal_reasoning"] in completions:
        del rates["internal_reasoning"]
    highest = max([told["prompt"] for told in everywhere if "prompt" in told], default=Decimal(0))
    if "image" in listed and listed["image"] <= highest:
        del rates["image"]
    total = Fraction(0)
    for part, quantity in parts.items():
        charging = [unit for unit in CHARGED[part].split() if unit in rates]
        if charging and rates[charging[0]] >= 0:
            total += quantity * Fraction(rates[charging[0]])
        elif quantity and (charging or part not in UNCHARGED):
            return None
    for unit in ("prompt", "completion"):
        if unit not in rates or rates[unit] < 0:
            return None
    return total
