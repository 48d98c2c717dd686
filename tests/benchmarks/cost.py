"""One cost in a request path, beside the same one by other packages: same process, same model, same usage, in turn."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import timeit
import warnings
from collections.abc import Callable, Sequence
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from llmhive.app import settings
from llmhive.app.library import Catalog
from llmhive.catalog.usage import Usage

MODEL = "anthropic/claude-sonnet-4.5"
PROMPT, CACHED, COMPLETION = 12_000, 10_000, 800
#: As OpenRouter's answer has it.
USAGE: dict[str, Any] = {
    "prompt_tokens": PROMPT,
    "completion_tokens": COMPLETION,
    "total_tokens": PROMPT + COMPLETION,
    "cost": 0.021,
    "is_byok": False,
    "prompt_tokens_details": {"cached_tokens": CACHED, "audio_tokens": 0, "video_tokens": 0},
    "cost_details": {"upstream_inference_cost": None},
    "completion_tokens_details": {"reasoning_tokens": 0, "image_tokens": 0},
}
EXPECTED = Decimal("0.021")
ROUNDS = 25
Cost = Callable[[], object]


class Way(NamedTuple):
    """How to ask for one cost."""

    by_object: Cost  #: with a usage object made beforehand
    by_answer: Cost  #: with the usage as OpenRouter's answer has it


def by_genai_prices() -> Way:
    """`genai_prices.calc_price`; raises `ImportError` where it is not installed."""
    peer: Any = import_module("genai_prices")
    extract = import_module("genai_prices.data_snapshot").get_snapshot().extract_usage
    usage = peer.Usage(input_tokens=PROMPT, cache_read_tokens=CACHED, output_tokens=COMPLETION)

    def cost(usage: Any) -> object:
        return peer.calc_price(usage, MODEL, provider_id="openrouter").total_price

    answer = {"usage": {key: told for key, told in USAGE.items() if told is not None}, "model": MODEL}
    return Way(lambda: cost(usage), lambda: cost(extract(answer, "openrouter", api_flavor="chat").usage))


def by_litellm() -> Way:
    """`litellm.cost_per_token`; raises `ImportError` where it is not installed."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else it asks the network for prices
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer: Any = import_module("litellm")
    # newer versions have no prices of OpenRouter's models: then the same model at its maker's, at the same price
    model = f"openrouter/{MODEL}" if f"openrouter/{MODEL}" in peer.model_cost else "claude-sonnet-4-5"
    usage = peer.Usage(
        prompt_tokens=PROMPT, completion_tokens=COMPLETION, total_tokens=PROMPT + COMPLETION,
        prompt_tokens_details={"cached_tokens": CACHED},
    )  # fmt: skip

    def cost(usage: Any) -> object:
        return sum(
            peer.cost_per_token(model=model, prompt_tokens=PROMPT, completion_tokens=COMPLETION, usage_object=usage)
        )

    return Way(lambda: cost(usage), lambda: cost(peer.Usage(**USAGE)))


PEERS: dict[str, Callable[[], Way]] = {
    "genai_prices.calc_price": by_genai_prices,
    "litellm.cost_per_token": by_litellm,
}


def beside(folder: Path, base_url: str, peer: str) -> tuple[float, float] | None:
    """Seconds that one cost takes us and a peer, each with its own usage object made beforehand, or each from
    OpenRouter's answer, whichever is the worse for us; None where the peer is not installed.
    """
    try:
        theirs = PEERS[peer]()
    except ImportError:
        return None
    url = f"sqlite:///{folder / 'cost.db'}"
    environment = os.environ | {"DATABASE_URL": url, "OPENROUTER_BASE_URL": base_url, "SYNC_RANKINGS": "0"}
    command = [sys.executable, "-m", "llmhive", "sync"]
    subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True)
    usage = Usage(PROMPT, COMPLETION, cached=CACHED)
    with Catalog.open(url, settings=settings.read({}, folder / "none")) as catalog:
        ours = Way(lambda: catalog.cost(MODEL, usage).total, lambda: catalog.cost(MODEL, USAGE).total)
        for cost in (*ours, *theirs):
            # the same price and the same counts, or nothing is compared
            assert abs(Decimal(str(cost())) - EXPECTED) < Decimal("1e-12"), cost()
        took = in_turn((*ours, *theirs))
    pairs = [(took[0], took[2]), (took[1], took[3])]
    for name, (we, they) in zip(("from a usage object", "from OpenRouter's answer"), pairs, strict=True):
        print(f"  {name}: {we * 1e6:.2f} µs, {peer} {they * 1e6:.1f} µs: {they / we:.1f} times as long")
    return max(pairs, key=lambda pair: pair[0] / pair[1])


def in_turn(costs: Sequence[Cost]) -> list[float]:
    """The median seconds of a call of each, a few milliseconds of one and then of the next, again and again."""
    timers = [timeit.Timer(cost) for cost in costs]
    calls = [max(1, int(0.005 / (timer.timeit(200) / 200))) for timer in timers]
    rounds: list[list[float]] = [[] for _ in costs]
    for _ in range(ROUNDS):
        for timer, number, took in zip(timers, calls, rounds, strict=True):
            took.append(timer.timeit(number) / number)
    return [statistics.median(took) for took in rounds]
