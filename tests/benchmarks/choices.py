"""How long a choice takes, beside a plain loop over objects that scores the same; and how long its index takes."""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from llmhive.catalog.capability import of_endpoint
from llmhive.catalog.cost import PARTS, Tariffs
from llmhive.catalog.endpoint import is_healthy, tier_of
from llmhive.catalog.identity import identify
from llmhive.catalog.need import Need
from llmhive.catalog.quality import blended, pieces, task_of
from llmhive.catalog.selectable import Stock
from llmhive.catalog.selector import Selector

#: Models to choose from, and needs.
MODELS, NEEDS = 421, 1000
_NAMES = [part.name for part in PARTS]
_PLAIN, _TEXT = _NAMES.index("plain"), _NAMES.index("text")


@dataclass(frozen=True)
class Measured:
    """Seconds."""

    p50: float
    p99: float
    plain: float  #: the median of the plain loop
    build: float  #: of the index, the median
    explained: float  #: the slowest of all explanations of some shortlists
    making: float  #: of a need from its JSON, the median

    def __str__(self) -> str:
        return (
            f"a choice {self.p50 * 1e6:.1f} µs (p50), {self.p99 * 1e6:.0f} µs (p99); "
            f"a plain loop {self.plain * 1e6:.0f} µs; the index {self.build * 1e3:.1f} ms; "
            f"the slowest explanation {self.explained * 1e3:.2f} ms; reading a need {self.making * 1e6:.1f} µs"
        )


def enlarged(stock: Stock) -> Stock:
    """A real stock with exactly `MODELS` to choose from: some are there once more as they are listed, under another
    name, as models are whose endpoints nobody asked for yet.
    """
    served = [it for it in stock.models if it.row["is_active"] and it.offers != ()]
    chosen = served[:MODELS]
    for number in range(MODELS - len(chosen)):
        twin = served[number * 3 % len(served)]
        chosen.append(twin._replace(row={**twin.row, "id": f"{twin.row['id']}-{number}"}, offers=None))
    return stock._replace(models=tuple(chosen))


def needs(seed: int = 7) -> list[Need]:
    """Distinct needs of the kinds that people have."""
    chance = random.Random(seed)
    found: dict[str, Need] = {}
    while len(found) < NEEDS:
        told: dict[str, Any] = {
            "usage": {"prompt": chance.randrange(500, 60_000), "completion": chance.randrange(100, 4_000)},
            "objective": chance.choice(
                ["value", "value", "value", "quality", "price", {"quality": round(chance.random(), 3), "price": 0.5},
                 {"quality": 0.5, "price": 0.2, "speed": round(chance.random(), 3)}]
            ),
            "limit": chance.choice([1, 3, 5, 5, 10]),
        }  # fmt: skip
        if chance.random() < 0.6:
            told["require"] = chance.sample(
                ["tools", "structured_outputs", "reasoning", "vision", "seed"], chance.randrange(1, 3)
            )
        if chance.random() < 0.5:
            told["min_context"] = chance.randrange(32_000, 400_000)
        if chance.random() < 0.5:
            told["max_price_per_million"] = {
                "prompt": chance.randrange(1, 50) / 10,
                "completion": chance.randrange(10, 200) / 10,
            }
        if chance.random() < 0.3:
            told["exclude"] = chance.sample(["openai/*", "anthropic/*", "google/*", "x-ai/grok-4.5", "qwen/*"], 2)
        if chance.random() < 0.4:
            told["task"] = chance.choice(["programming", "agentic", "legal", "translation"])
        if chance.random() < 0.2:
            told["stick_to"] = chance.choice(["z-ai/glm-5.2", "anthropic/claude-sonnet-5", "minimax/minimax-m3"])
        need = Need.read(told)
        found[repr(need)] = need
    return list(found.values())


# --- the floor: the same in a plain loop


@dataclass
class PlainOffer:
    """One endpoint as an object."""

    able: frozenset[str]
    context: int | None
    most: int | None
    tariffs: Tariffs
    speed: float | None
    start: float
    is_serving: bool


@dataclass
class PlainModel:
    """One model as an object."""

    id: str
    is_usual: bool
    outputs: Sequence[str]
    quality: dict[str | None, float]
    offers: list[PlainOffer]


def plain_models(selector: Selector, tasks: Iterable[str | None]) -> list[PlainModel]:
    """The models of a selector, as objects."""
    offers, found = selector.scorer.offers, []
    usual = offers.all
    for bits in offers.left_out.values():
        usual &= ~bits
    wanted = set(tasks)
    for number, it in enumerate(offers.models):
        mine = []
        for place in offers.numbers(offers.bits[number]):
            endpoint, health = offers.candidates[place].endpoint, offers.candidates[place].health
            mine.append(PlainOffer(
                of_endpoint(it.row, endpoint), endpoint.context_length, endpoint.max_completion_tokens,
                Tariffs(endpoint.pricing), health.throughput_p50, (health.latency_p50 or 2000) / 1000,
                tier_of(endpoint.tag) is None and is_healthy(health) is not False,
            ))  # fmt: skip
        found.append(PlainModel(
            it.row["id"], bool(usual & offers.bits[number]) and identify(it.row["id"]).variant != "batch",
            it.row["output_modalities"],
            {task: blended(pieces(selector.stock.evidence, it.row["id"], task_of(task))) for task in wanted}, mine,
        ))  # fmt: skip
    return found


def plainly(models: Sequence[PlainModel], need: Need, at: datetime) -> list[str]:
    """The ids of the choices: conditions, costs, marks and order as the selector has them, one object after another."""
    limits = {unit: float(most) for unit, most in need.max_price_per_million}
    required, size = set(need.require), max(need.min_context or 0, sum(need.each))
    prefixes = tuple(it.removesuffix("*") for it in need.exclude if it.endswith("*"))
    by_quality, by_price, by_speed = need.weights
    prompt, completion = need.each
    found = []
    for model in models:
        if not model.is_usual or "text" not in model.outputs or model.id.startswith(prefixes or ("-",)):
            continue
        if model.id in need.exclude:
            continue
        costs, seconds = [], []
        for offer in model.offers:
            if not offer.is_serving or not required <= offer.able or offer.context is None or offer.context < size:
                continue
            if offer.most is not None and offer.most < completion:
                continue
            rates = offer.tariffs.at(prompt, at).rates
            plain, text = rates[_PLAIN], rates[_TEXT]
            if plain is None or text is None:
                continue
            if "prompt" in limits and float(plain) * 1e6 > limits["prompt"] * (1 + 1e-12):
                continue
            if "completion" in limits and float(text) * 1e6 > limits["completion"] * (1 + 1e-12):
                continue
            cost = sum(
                float(rate) * count for rate, count in zip(rates, need.quantities, strict=True) if count and rate
            )
            costs.append(max(cost, 1e-15))
            seconds.append(math.inf if not offer.speed else offer.start + completion / offer.speed)
        if not costs:
            continue
        if need.sort == "price":
            cost, second = min(costs), math.inf
        elif need.sort == "throughput":
            second, cost = min(zip(seconds, costs, strict=True))
        else:
            weights = [1 / (it * it) for it in costs]
            cost = sum(1 / it for it in costs) / sum(weights)
            known = [(weight, it) for weight, it in zip(weights, seconds, strict=True) if it < math.inf]
            second = sum(w * s for w, s in known) / sum(w for w, _ in known) if known else math.inf
        price = min(max(0.5 - math.log10(cost * 1e6 / need.tokens) / 4, 0.0), 1.0)
        speed = 0.25 if second == math.inf else min(max(1 - math.log10(second) / 2, 0.0), 1.0)
        score = round(by_quality * model.quality[need.task] + by_price * price + by_speed * speed, 9)
        found.append((-score, round(cost * 1e6 / need.tokens, 9), -round(model.quality[need.task], 9), model.id, score))
    found.sort()
    if need.stick_to is not None and found:
        current = next((it for it in found if it[3] == need.stick_to), None)
        if current is not None and found[0][4] - current[4] < need.margin - 1e-12:
            found = [current, *(it for it in found if it is not current)]
    return [it[3] for it in found[: need.limit]]


def measure(stock: Stock) -> Measured:
    """Times of `NEEDS` distinct needs over `MODELS` models, each chosen for once, no answer kept."""
    stock = enlarged(stock)
    builds = [_timed(lambda: Selector(stock)) for _ in range(9)]
    selector = Selector(stock)
    asked = needs()
    models = plain_models(selector, {it.task for it in asked})
    assert len(models) == MODELS
    for need in asked[:50]:
        selector.select(need).ids  # noqa: B018 (warm up)
    ours = [_timed(lambda need=need: selector.select(need).ids) for need in asked]
    plain = [_timed(lambda need=need: plainly(models, need, stock.at)) for need in asked[::10]]
    for need in asked[::10]:
        assert plainly(models, need, stock.at) == list(selector.select(need).ids), need
    ours.sort()
    told = [need.to_json() for need in asked[:200]]
    making = [_timed(lambda it=it: Need.read(it)) for it in told]
    return Measured(
        ours[NEEDS // 2], ours[NEEDS * 99 // 100], statistics.median(plain), statistics.median(builds),
        max(_explanations(selector, asked[:20])), statistics.median(making),
    )  # fmt: skip


def _explanations(selector: Selector, asked: Iterable[Need]) -> Iterable[float]:
    """Seconds that each explanation takes: of each choice, each rejection, the flip points."""
    for need in asked:
        shortlist = selector.select(need)
        for choice in shortlist.choices:
            yield _timed(lambda choice=choice: (choice.parts, choice.reasons))
        for model_id in list(selector.scorer.models)[::7]:
            yield _timed(lambda model_id=model_id, shortlist=shortlist: shortlist.explain(model_id).why)


def _timed(action: Any) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


#: When the real endpoints of the captures are fresh.
AT = datetime(2026, 7, 22, 12, 30, tzinfo=UTC)
