"""Our cost beside that of other packages, for every model of the newest capture of the two years that they price.

Where they have the price that OpenRouter listed, both must be equal; every other figure must fall under a reason that
`disagreements` verifies by working it out. Peers that are not installed are skipped:
`make long` installs the heavy ones.
"""

from __future__ import annotations

import json
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from importlib import import_module
from importlib.metadata import version
from typing import Any

import pytest

from llmhive.app.openrouter.decode import decode
from llmhive.catalog.cost import Tariffs
from llmhive.catalog.model import Model
from llmhive.catalog.usage import Usage
from tests.peers.disagreements import Answer, Ask, Past, Rates, explain, history, number, rates_of, reckon, same
from tests.support import ROOT

#: A peer: the OpenRouter id, a request and its time → its answer, or None where it knows no such model.
Peer = Callable[[str, Ask, datetime], Answer | None]

ASKS = (
    Ask("small", prompt=1_200, completion=300),
    Ask("cached", prompt=20_000, completion=800, cached=15_000),
    Ask("written", prompt=20_000, completion=800, cached=3_000, written=12_000),
    Ask("long", prompt=600_001, completion=2_000, cached=100_000),
    Ask("reasoning", prompt=2_000, completion=3_000, reasoning=2_000),
)


def asks(pricing: dict[str, Any]) -> Iterator[Ask]:
    """The requests that make sense under a pricing."""
    for ask in ASKS:
        if ask.name == "written" and not float(pricing.get("input_cache_write") or 0):
            continue
        if ask.name == "reasoning" and not float(pricing.get("internal_reasoning") or 0):
            continue
        yield ask


past_and_newest = cache(history)


def installed(name: str) -> Any:
    """A peer's module; skips where it is not installed. It is not to ask the network for prices."""
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        warnings.simplefilter("ignore")
        try:
            return import_module(name)
        except ImportError:
            pytest.skip(f"{name} is not installed (`make long` installs it)")


def genai_prices() -> Peer:
    module = installed("genai_prices")
    tiered = import_module("genai_prices.types").TieredPrices
    names = {
        "input_mtok": "prompt", "output_mtok": "completion", "cache_read_mtok": "input_cache_read",
        "cache_write_mtok": "input_cache_write", "output_reasoning_mtok": "internal_reasoning",
    }  # fmt: skip

    def price(model: str, ask: Ask, at: datetime) -> Answer | None:
        counts = {
            "input_tokens": ask.prompt, "output_tokens": ask.completion, "cache_read_tokens": ask.cached,
            "cache_write_tokens": ask.written, "output_reasoning_tokens": ask.reasoning,
        }  # fmt: skip
        try:
            got = module.calc_price(module.Usage(**counts), model, provider_id="openrouter", genai_request_timestamp=at)
        except LookupError:
            return None
        rates: Rates = {}
        for key, rate in vars(got.model_price).items():
            if key not in names or rate is None:
                continue
            tier = isinstance(rate, tiered) and [it.price for it in rate.tiers if ask.prompt > it.start]
            of_million = rate if not isinstance(rate, tiered) else tier[-1] if tier else rate.base
            rates[names[key]] = of_million / 1_000_000
        # free rows have no rates here
        return Answer(got.total_price, rates)

    return price


def _float_rates(row: dict[str, Any], prompt: int) -> Rates:
    names = {
        "input_cost_per_token": "prompt", "output_cost_per_token": "completion",
        "cache_read_input_token_cost": "input_cache_read", "cache_creation_input_token_cost": "input_cache_write",
        "output_cost_per_reasoning_token": "internal_reasoning",
    }  # fmt: skip
    rates = {unit: number(row[key]) for key, unit in names.items() if row.get(key) is not None}
    for above in (128, 200, 256, 272):
        if prompt > above * 1000:
            for key, unit in names.items():
                if (rate := row.get(f"{key}_above_{above}k_tokens")) is not None:
                    rates[unit] = number(rate)
    return rates


def litellm() -> Peer:
    module = installed("litellm")

    def price(model: str, ask: Ask, at: datetime) -> Answer | None:
        usage = module.Usage(
            prompt_tokens=ask.prompt, completion_tokens=ask.completion, total_tokens=ask.prompt + ask.completion,
            prompt_tokens_details={"cached_tokens": ask.cached, "cache_write_tokens": ask.written},
            completion_tokens_details={"reasoning_tokens": ask.reasoning},
        )  # fmt: skip
        name = f"openrouter/{model}"
        try:
            got = module.cost_per_token(model=name, usage_object=usage)
        except Exception as error:
            if "mapped" not in str(error):  # it has several errors for one thing
                raise
            return None
        # it answers for some models that it has no row of
        return Answer(number(sum(got)), _float_rates(module.model_cost.get(name, {}), ask.prompt))

    return price


def tokencost() -> Peer:
    costs = installed("tokencost.costs")

    def price(model: str, ask: Ask, at: datetime) -> Answer | None:
        name = f"openrouter/{model}"
        row = costs.TOKEN_COSTS.get(name)
        if row is None:
            return None
        listed = {"input_cost_per_token", "output_cost_per_token", "cache_read_input_token_cost"}
        rates = _float_rates({key: rate for key, rate in row.items() if key in listed}, 0)
        # it has a kind of token for what was cached; where it has no rate for it, one would ask for plain input
        cached = "cached" if "input_cache_read" in rates else "input"
        total = (
            costs.calculate_cost_by_tokens(ask.prompt - ask.cached, name, "input")
            + costs.calculate_cost_by_tokens(ask.cached, name, cached)
            + costs.calculate_cost_by_tokens(ask.completion, name, "output")
        )
        return Answer(total, rates)

    return price


PEERS = {"genai-prices": genai_prices, "litellm": litellm, "tokencost": tokencost}


class Table:
    """What came of one peer."""

    def __init__(self) -> None:
        self.models: Counter[str] = Counter()
        self.figures: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = defaultdict(list)
        self.unexplained: list[tuple[Any, ...]] = []

    def rows(self) -> list[str]:
        """As docs/peers.md has it."""
        told = [f"| {name} | {self.models[name]} |" for name in (EQUAL, OTHER, UNPRICED)]
        told += [f"| {name} | {self.figures[name]} |" for name in (EXACT, NOISE, DIFFERS)]
        return told + [
            f"| {name} | {count} |" for name, count in sorted(self.reasons.items(), key=lambda it: (-it[1], it[0]))
        ]


EQUAL, OTHER, UNPRICED = "models priced as served", "models priced otherwise", "models not priced"
EXACT, NOISE, DIFFERS = (
    "figures equal to the last digit",
    "figures equal but for the noise of floats",
    "figures that differ",
)


@pytest.mark.history
@pytest.mark.long
@pytest.mark.parametrize("name", PEERS)
def test_every_disagreement_has_a_reason(name: str) -> None:
    peer = PEERS[name]()
    at, body, past = past_and_newest()
    table = compare(peer, at, body, past)
    title = f"{name} {version(name)}"
    print(f"\n## {title}, the models of {at:%Y-%m-%d}\n")
    for row in table.rows():
        print(row)
        shown = table.examples.get(row.split("|")[1].strip(), [])
        print(*(f"      {example}" for example in shown[:: len(shown) // 3 + 1]), sep="\n", end="\n" if shown else "")
    assert not table.unexplained, table.unexplained[:20]
    assert sum(table.figures.values()) > 50
    # the page tells of these versions; of another one it tells nothing
    page = (ROOT / "docs" / "peers.md").read_text()
    if title in page:
        section = page.partition(f"## {title}")[2].partition("\n## ")[0]
        assert not [row for row in table.rows() if row not in section]


def compare(peer: Peer, at: datetime, body: bytes, past: dict[str, Past]) -> Table:
    """Ask a peer for every model of a capture."""
    table = Table()
    served = {it["id"]: it for it in json.loads(body)["data"]}
    for record in decode(body, "text").records:
        model, row = record.model, served[record.id]
        verdicts = set()
        for ask in asks(row["pricing"]):
            answer = peer(model.id, ask, at)
            if answer is None:
                break
            ours = cost(model, ask, at)
            # by hand, from the JSON: what is compared with peers is not our word alone
            assert ours is None or ours == reckon(rates_of(row["pricing"], ask.prompt, at), ask), (model.id, ask)
            if ours is not None and same(ours, answer.cost):
                verdicts.add(EXACT if ours == answer.cost else NOISE)
                table.figures[EXACT if ours == answer.cost else NOISE] += 1
                continue
            verdicts.add(DIFFERS)
            table.figures[DIFFERS] += 1
            reasons = explain(answer, ask, row, past[model.id], at)
            if reasons is None:
                table.unexplained.append((model.id, ask.name, ours, answer))
                continue
            for reason in {it.name: it for it in reasons}.values():
                table.reasons[reason.name] += 1
                table.examples[reason.name].append(
                    f"{model.id}, {ask.name}: ${answer.cost:f}, ours {'none' if ours is None else f'${ours:f}'}"
                    + f" ({reason.detail})" * bool(reason.detail)
                )
        table.models[UNPRICED if not verdicts else OTHER if DIFFERS in verdicts else EQUAL] += 1
    return table


def cost(model: Model, ask: Ask, at: datetime) -> Decimal | None:
    """Our figure; None where we refuse to give one."""
    if model.pricing_kind in {"dynamic", "unknown"}:
        return None
    usage = Usage(ask.prompt, ask.completion, cached=ask.cached, written=ask.written, reasoning=ask.reasoning)
    return Tariffs(model.pricing).at(ask.prompt, at).charge(usage)


AT = datetime(2026, 7, 31, 12, tzinfo=UTC)
ROW = {
    "id": "a/b",
    "architecture": {"output_modalities": ["text"]},
    "pricing": {
        "prompt": "0.000002", "completion": "0.00001", "input_cache_read": "0.0000002",
        "overrides": [{"min_prompt_tokens": 200_000, "prompt": "0.000004", "completion": "0.00002"}],
    },
}  # fmt: skip
PAST = Past(
    [datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)],
    [ROW["pricing"] | {"prompt": "0.000003"}, ROW["pricing"]],  # type: ignore[operator,list-item]
)


@pytest.mark.parametrize(
    ("prompt", "rates", "cost", "reasons"),
    [
        pytest.param(1_000, {}, 0, ["unknown price counted as zero"], id="zero"),
        pytest.param(1_000, {}, "0.001", None, id="no rate gives it"),
        pytest.param(1_000, {"prompt": "0.000002", "completion": "0.00001", "input_cache_read": "0.0000002"},
                     "0.00246", None, id="the rates are right, the figure is not"),
        pytest.param(1_000, {"prompt": "0.000003", "completion": "0.00001", "input_cache_read": "0.0000002"},
                     "0.0026", ["stale rate"], id="stale"),
        pytest.param(1_000, {"prompt": "0.000007", "completion": "0.00001", "input_cache_read": "0.0000002"},
                     "0.0046", ["rate that no capture has"], id="nowhere"),
        pytest.param(1_000, {"prompt": "0.000003", "completion": "0.00001", "input_cache_read": "0.0000002"},
                     "0.0046", None, id="its rates do not give its figure"),
        pytest.param(1_000, {"prompt": "0.000002", "completion": "0.00001"}, "0.003",
                     ["no rate of cache reads, which are then charged as plain prompt"], id="reads as prompt"),
        pytest.param(1_000, {"prompt": "0.000002", "completion": "0.00001"}, "0.002",
                     ["no rate of cache reads, which are then charged nothing"], id="reads for nothing"),
        pytest.param(300_000, {"prompt": "0.000002", "completion": "0.00001", "input_cache_read": "0.0000002"},
                     "0.6001", ["overrides ignored (long prompts, times of day)"] * 2, id="no tiers"),
    ],
)  # fmt: skip
def test_a_reason_is_given_only_where_it_gives_the_figure(
    prompt: int, rates: dict[str, str], cost: str, reasons: list[str] | None
) -> None:
    answer = Answer(Decimal(cost), {unit: Decimal(rate) for unit, rate in rates.items()})
    told = explain(answer, Ask("", prompt, 100, cached=500), ROW, PAST, AT)
    assert (None if told is None else [it.name for it in told]) == reasons
