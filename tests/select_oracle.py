"""What a need's shortlist must be, by loops over plain dictionaries: written from the docs, with none of the selector.

Everything that is judged (who is healthy, what a tag or a name means, which override holds, what a usage costs, what a
model can do, what a score is) is written here and in `select_plain` once more, in another way. Amounts are exact
fractions until a logarithm needs a float.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.select_plain import Json, capable, cost_of, matches, meant, parts_of, plain, rates_at

__all__ = ["choose", "fitting", "named", "plain", "quality", "reject"]

OBJECTIVES: dict[str, dict[str, float]] = {
    "quality": {"quality": 1},
    "price": {"price": 1},
    "speed": {"speed": 1},
    "value": {"quality": 0.7, "price": 0.3},
}
TOKENS = {"prompt": 3000, "completion": 1000}
PICTURE = {"prompt": 200, "completion": 1290, "image_output": 1290}
BENCHMARKS = {"programming": "coding_index", "technology": "coding_index", "agentic": "agentic_index"}
NOT_TEXT = {"image_output", "audio_output", "video_output", "embeddings", "rerank", "speech", "transcription"}


def _wanted(stock: Json, need: Any) -> Json:
    """A need as a dictionary, with what its names mean, and what its usage and its objective come to."""
    wanted = dict(vars(need))
    usage = PICTURE if "image" in need.outputs else TOKENS
    if need.usage is not None:
        usage = {name: getattr(need.usage, name) for name in need.usage.__struct_fields__}
    requests = usage.get("requests", 1)
    wanted["parts"] = parts_of(usage)
    wanted["tokens"] = usage["prompt"] + usage["completion"]
    wanted["prompt"], wanted["completion"] = usage["prompt"] // requests, usage["completion"] // requests
    objective = need.objective or "value"
    told = OBJECTIVES[objective] if isinstance(objective, str) else dict(objective)
    wanted["weights"] = [told.get(name, 0) / sum(told.values()) for name in ("quality", "price", "speed")]
    wanted["only"] = named(stock, need.models) if need.models else {it["id"] for it in stock["models"]}
    wanted["never"] = named(stock, need.exclude)
    of, wanted["of"] = None if need.of is None else meant(stock, need.of), None
    for model in stock["models"]:
        if model["id"] == of:
            wanted["of"] = model
    return wanted


# --- the answer


def choose(stock: Json, need: Any) -> list[tuple[str, float, float | None]]:
    """All that qualify, best first: id, score, expected cost in USD per million tokens (None: unknown)."""
    wanted, found = _wanted(stock, need), []
    for model in stock["models"]:
        if offers := qualifying(stock, model, wanted):
            cost, seconds = _routed(offers, wanted)
            million = None if cost is None else cost / wanted["tokens"] * 1_000_000
            score = round(_worth(stock, model, wanted, cost, million, seconds), 9)
            found.append((model["id"], score, million))
    for by in (_by_id, _by_quality(stock, wanted["task"]), _by_cost, _by_score):
        found.sort(key=by)
    current = None if wanted["stick_to"] is None else meant(stock, wanted["stick_to"])
    for place, (model_id, score, _) in enumerate(found):
        if model_id == current:
            gain = Decimal(f"{found[0][1]:.9f}") - Decimal(f"{score:.9f}")
            if gain < Decimal(repr(wanted["margin"])):
                found.insert(0, found.pop(place))
            break
    return [(model_id, score, None if million is None else float(million)) for model_id, score, million in found]


def _by_id(it: Any) -> str:
    return str(it[0])


def _by_quality(stock: Json, task: str | None) -> Callable[[Any], float]:
    return lambda it: -round(quality(stock, it[0], task), 9)


def _by_cost(it: Any) -> tuple[bool, Fraction]:
    return it[2] is None, Fraction(0) if it[2] is None else round(it[2], 9)


def _by_score(it: Any) -> float:
    return -float(it[1])


def reject(stock: Json, need: Any) -> set[str]:
    """The ids of the active models that do not qualify."""
    wanted = _wanted(stock, need)
    return {it["id"] for it in stock["models"] if it["is_active"] and not qualifying(stock, it, wanted)}


def fitting(stock: Json, model: Json, need: Any) -> list[Json]:
    """The offers of a model that meet everything a need asks for; empty where the model itself does not."""
    return qualifying(stock, model, _wanted(stock, need))


def qualifying(stock: Json, model: Json, wanted: Json) -> list[Json]:
    """The offers of a model that meet everything, each with its cost and seconds; empty where it does not qualify."""
    if not _is_possible(stock, model, wanted):
        return []
    offers = model["offers"]
    if offers is None or (not offers and (model["id"][0] == "~" or _is_router(model))):
        # OpenRouter passes aliases and routers on: that they have no endpoints tells nothing
        offers = [_as_listed(model)]
    priced = [{**offer, **_priced(model, offer, wanted, stock["at"])} for offer in offers]
    return [offer for offer in priced if _is_fit(model, offer, wanted, stock["at"])]


def _as_listed(model: Json) -> Json:
    """The one offer of a model whose endpoints are not known."""
    unknown = dict.fromkeys(("quantization", "max_prompt_tokens", "caches", "zdr", "status", "uptime", "latency"))
    return {
        **unknown, "throughput": None, "name": model["id"], "tag": None, "called": [],
        "context_length": model["context_length"], "max_completion_tokens": model["max_completion_tokens"],
        "pricing": model["pricing"], "parameters": model["supported_parameters"],
    }  # fmt: skip


# --- what holds for a model


def _is_possible(stock: Json, model: Json, wanted: Json) -> bool:
    model_id, kind, allow = model["id"], model["pricing_kind"], wanted["allow"]
    takes, gives = set(model["input_modalities"]), set(model["output_modalities"])
    if not model["is_active"]:
        return False
    if model_id[0] == "~" and "alias" not in allow:
        return False
    if _is_router(model) and "router" not in allow:
        return False
    if model["variant"] == "batch" and "batch" not in allow:
        return False
    if kind == "free" and "free" not in allow:
        return False
    if kind in ("dynamic", "unknown") and "unpriced" not in allow:
        return False
    is_text = wanted["of"] is None or "text" in wanted["of"]["output_modalities"]
    if is_text and not wanted["outputs"] and not NOT_TEXT & set(wanted["require"]) and "text" not in gives:
        return False
    if not set(wanted["inputs"]) <= takes or not set(wanted["outputs"]) <= gives:
        return False
    expires = model["expiration_date"]
    if expires is not None and (expires - stock["at"].date()).days <= wanted["lasting_days"]:
        return False
    if model_id not in wanted["only"] or model_id in wanted["never"]:
        return False
    return _suits_role(stock, model, wanted)


def _is_router(model: Json) -> bool:
    is_by_name = model["tokenizer"] == "Router" and model["id"][0] != "~"
    return is_by_name or bool(model["pricing_kind"] == "dynamic")


def _suits_role(stock: Json, model: Json, wanted: Json) -> bool:
    of, task = wanted["of"], wanted["task"]
    if wanted["role"] not in ("escalation", "replacement"):
        return True
    if of["id"] == model["id"] or not set(of["output_modalities"]) <= set(model["output_modalities"]):
        return False
    if wanted["role"] == "escalation":
        is_better = quality(stock, model["id"], task) >= quality(stock, of["id"], task) + 0.01
        return is_better and of["family"] == model["family"]
    return _slug(of) != _slug(model)


def _slug(model: Json) -> str:
    return str(model["canonical_slug"] or model["id"].split(":")[0])


def named(stock: Json, names: Iterable[str]) -> set[str]:
    """The ids that names and patterns mean."""
    ids, found = [str(it["id"]) for it in stock["models"]], set()
    for name in names:
        if "*" in name:
            found |= {it for it in ids if matches(name.lower(), it) or matches(name.lower(), it.lstrip("~"))}
        elif (model_id := meant(stock, name)) is not None:
            found.add(model_id)
        else:
            found |= {it for it in ids if it.split("/")[-1] == name.lower()}
    return found


# --- what holds for an offer


def _is_fit(model: Json, offer: Json, wanted: Json, at: Any) -> bool:
    allow, status, uptime = wanted["allow"], offer["status"], offer["uptime"]
    if offer["tag"] is not None:
        for part in offer["tag"].lower().split("/")[1:]:
            if part in ("flex", "priority", "fast"):
                return False
    if status in (-2, -5):
        if "degraded" not in allow:
            return False
    elif status is not None and status < 0:
        return False
    if uptime is not None and uptime < 95 and "degraded" not in allow:
        return False
    if wanted["providers"] and not any(_is_called(offer, name) for name in wanted["providers"]):
        return False
    if any(_is_called(offer, name) for name in wanted["exclude_providers"]):
        return False
    if wanted["quantizations"] and (offer["quantization"] or "unknown") not in wanted["quantizations"]:
        return False
    if wanted["zdr"] and offer["zdr"] is not True:
        return False
    if wanted["min_uptime"] is not None and (uptime is None or uptime < wanted["min_uptime"]):
        return False
    latency, throughput = offer["latency"], offer["throughput"]
    if wanted["max_latency"] is not None and (latency is None or latency / 1000 > wanted["max_latency"]):
        return False
    if wanted["min_throughput"] is not None and (throughput is None or throughput < wanted["min_throughput"]):
        return False
    return _is_large_enough(offer, wanted) and _can(model, offer, wanted) and _is_affordable(offer, wanted, at)


def _is_called(offer: Json, name: str) -> bool:
    """Whether a name is the offer's tag, what its tag begins with, or what its provider is called."""
    if offer["tag"] is None:
        return False
    name, tag = name.casefold(), offer["tag"].casefold()
    return tag == name or tag.startswith(f"{name}/") or name in [it.casefold() for it in offer["called"] if it]


def _is_large_enough(offer: Json, wanted: Json) -> bool:
    context, most_out, most_in = offer["context_length"], offer["max_completion_tokens"], offer["max_prompt_tokens"]
    if context is None or context < wanted["prompt"] + wanted["completion"] or context < (wanted["min_context"] or 0):
        return False
    if most_out is None:
        if wanted["min_output"] is not None:
            return False
    elif most_out < wanted["completion"] or most_out < (wanted["min_output"] or 0):
        return False
    return most_in is None or most_in >= wanted["prompt"]


def _can(model: Json, offer: Json, wanted: Json) -> bool:
    rates = [offer["pricing"]["rates"], *(it["rates"] for it in offer["pricing"]["overrides"])]
    costing = {unit for told in rates for unit, rate in told.items() if rate > 0}
    has = capable(model["input_modalities"], model["output_modalities"], offer["parameters"], costing)
    if offer["caches"] is True:
        has.add("prompt_caching")
    return has.union(offer["parameters"]).issuperset(wanted["require"])


def _is_affordable(offer: Json, wanted: Json, at: Any) -> bool:
    if offer["cost"] is None and "unpriced" not in wanted["allow"]:
        return False
    for unit, limit in dict(wanted["max_price_per_million"]).items():
        for prompt in (0, wanted["prompt"]):
            rate = rates_at(offer["pricing"], prompt, at).get(unit)
            if rate is None or rate < 0 or Fraction(rate) * 1_000_000 > Fraction(limit):
                return False
    return True


# --- what it costs and how long it takes


def _priced(model: Json, offer: Json, wanted: Json, at: Any) -> Json:
    """What an offer costs for the usage, and how many seconds one request takes; None: unknown.

    A price is known where that for a small prompt is known as well.
    """
    cost = None
    if model["pricing_kind"] in ("fixed", "free") and cost_of(offer["pricing"], {}, 0, at) is not None:
        cost = cost_of(offer["pricing"], wanted["parts"], wanted["prompt"], at)
    seconds = None
    # a throughput of 0 is none that was measured
    if offer["throughput"]:
        first = 2.0 if offer["latency"] is None else offer["latency"] / 1000
        seconds = first + wanted["completion"] / offer["throughput"]
    return {"cost": cost, "seconds": seconds}


def _routed(offers: list[Json], wanted: Json) -> tuple[Fraction | None, float | None]:
    """What a request to a model is expected to cost, and how long it takes."""
    quality_weight, price_weight, speed_weight = wanted["weights"]
    if speed_weight > 0 and speed_weight >= price_weight:
        best = min(offers, key=_haste)
        return best["cost"], best["seconds"]
    if quality_weight == 0 and speed_weight == 0:
        return min((it["cost"] for it in offers if it["cost"] is not None), default=None), None
    best_band = min(_band(it) for it in offers)
    asked = [it for it in offers if _band(it) == best_band]
    priced = [it for it in asked if it["cost"] is not None]
    if not priced:
        # no price tells who is likelier to be asked
        return None, _mean((1.0, it["seconds"]) for it in asked)
    weigh = [(1 / max(it["cost"], Fraction(1, 10**15)), it["seconds"]) for it in priced]
    if all(it["seconds"] is None for it in priced):
        mean = _mean((1.0, it["seconds"]) for it in asked)
    else:
        mean = _mean((float(inverse**2), seconds) for inverse, seconds in weigh)
    cost = Fraction(sum(inverse for inverse, _ in weigh)) / sum(inverse**2 for inverse, _ in weigh)
    if any(it["cost"] == 0 for it in priced):
        cost = Fraction(0)
    return cost, mean


def _mean(weighted: Iterable[tuple[float, float | None]]) -> float | None:
    known = [(weight, value) for weight, value in weighted if value is not None]
    return sum(weight * value for weight, value in known) / sum(weight for weight, _ in known) if known else None


def _haste(offer: Json) -> tuple[Any, ...]:
    """Sorts the fastest first; of equals the cheapest, then who answers first."""
    throughput, cost, seconds = offer["throughput"] or 0, offer["cost"], offer["seconds"]
    return -throughput, cost is None, cost or 0, seconds or 0


def _band(offer: Json) -> int:
    """0: healthy, 1: degraded, 2: only where nobody else is left."""
    uptime = 100 if offer["uptime"] is None else offer["uptime"]
    if uptime < 80 or offer["status"] == -5:
        return 2
    return 1 if uptime < 95 or offer["status"] == -2 else 0


# --- what it is worth


def _worth(
    stock: Json, model: Json, wanted: Json, cost: Fraction | None, million: Fraction | None, seconds: float | None
) -> float:
    good = quality(stock, model["id"], wanted["task"])
    if wanted["role"] == "replacement":
        of = wanted["of"]
        alike = 0.35 * _kin(model, of) + 0.3 * _share_of_capabilities(model, of)
        return alike + 0.2 * _nearness(stock, cost, of, wanted) + 0.15 * good
    of_quality, of_price, of_speed = wanted["weights"]
    return float(of_quality * good + of_price * price_mark(million) + of_speed * speed_mark(seconds))


def price_mark(million: Fraction | None) -> float:
    """1 for a cent per million tokens or less, a quarter less for ten times as much."""
    if million is None:
        return 0.25
    return 1.0 if million <= 0 else _between(1 - math.log10(float(million) / 0.01) / 4)


def speed_mark(seconds: float | None) -> float:
    """1 for a second or less, half of it less for ten times as long."""
    if seconds is None:
        return 0.25
    return 1.0 if seconds <= 0 else _between(1 - math.log10(seconds) / 2)


def _between(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def quality(stock: Json, model_id: str, task: str | None) -> float:
    """What is known of how good a model is at a task, drawn to 0.1 the less there is."""
    pieces = list(_pieces(stock, model_id, task))
    return (sum(mark * weight for mark, weight in pieces) + 0.02) / (sum(weight for _, weight in pieces) + 0.2)


def _pieces(stock: Json, model_id: str, task: str | None) -> Iterator[tuple[float, float]]:
    told = stock["measures"].get(model_id, {})
    if task in BENCHMARKS:
        of_benchmark, of_general, of_rank = 0.55, 0.25, 0.2
    elif task is not None:
        of_benchmark, of_general, of_rank = 0.0, 0.7, 0.3
    else:
        of_benchmark, of_general, of_rank = 0.0, 0.8, 0.2
    if task in BENCHMARKS and BENCHMARKS[task] in told:
        yield _between(told[BENCHMARKS[task]] / 100), of_benchmark
    duels = [value for metric, value in told.items() if metric.startswith("elo:models:")]
    if "intelligence_index" in told:
        yield _between(told["intelligence_index"] / 100), of_general
    elif duels:
        yield _between((sum(duels) / len(duels) - 870) / 930), of_general / 2
    ranking = "leaderboard" if task in (None, "agentic") else task
    if ranking in stock["ranks"]:
        ranks = stock["ranks"][ranking]
        rank = ranks.get(model_id, stock["sizes"].get(ranking, len(ranks)) + 1)
        yield max(0.6 - 0.4 * math.log(rank) / math.log(51), 0.2), of_rank


def _kin(model: Json, of: Json) -> float:
    """How near two models are by birth."""
    since, of_since = model["created_at"], of["created_at"]
    if model["family"] == of["family"]:
        is_not_older = since is not None and of_since is not None and since >= of_since
        return 0.6 + (0.2 if model["size"] == of["size"] else 0) + (0.2 if is_not_older else 0)
    return 0.3 if model["author"] == of["author"] else 0.0


def _share_of_capabilities(model: Json, of: Json) -> float:
    has, had = _capable_row(model), _capable_row(of)
    return len(has & had) / len(had) if had else 1.0


def _capable_row(model: Json) -> set[str]:
    told = [model["served"], *(model["served"].get("overrides") or [])]
    costing = {
        unit for rates in told for unit in ("web_search", "input_cache_read") if Decimal(rates.get(unit) or 0) > 0
    }
    return capable(model["input_modalities"], model["output_modalities"], model["supported_parameters"], costing)


def _nearness(stock: Json, cost: Fraction | None, of: Json, wanted: Json) -> float:
    """How near the costs of a usage are: at a hundredth or a hundred times nothing is left."""
    was = _priced(of, _as_listed(of), wanted, stock["at"])["cost"]
    if cost == 0 and was == 0:
        return 1.0
    if not cost or not was:
        return 0.25
    return _between(1 - abs(math.log10(cost / was)) / 2)
