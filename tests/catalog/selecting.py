"""Hypothesis strategies for choosing: small stocks in which much is equal, much is unknown and little is usual; needs.

Everything is drawn from few values, so that ties are likely and most constraints have someone on either side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from hypothesis import strategies as st

from llmhive.catalog.endpoint import Endpoint, Health
from llmhive.catalog.model import Model
from llmhive.catalog.need import ALLOWED, Need
from llmhive.catalog.pricing import Override, Pricing
from llmhive.catalog.routing import Candidate
from llmhive.catalog.selectable import Evidence, Selectable, Stock
from llmhive.store.browse import row_of
from tests.select_plain import Json, plain

#: a Wednesday
AT = datetime(2026, 7, 22, 12, 30, tzinfo=UTC)
BASES = (
    "acme/nova-1", "acme/nova-2", "acme/nova-2-mini", "acme/nova-3", "acme/vista-1", "bolt/orbit-1",
    "bolt/orbit-2-mini", "bolt/nova-2", "cool/auto",
)  # fmt: skip
VARIANTS = ("", ":free", ":batch", ":thinking")
ALIASES = ("~acme/nova-latest", "~bolt/orbit-latest")
IDS = (*(f"{base}{variant}" for base in BASES for variant in VARIANTS), *ALIASES)
PARAMETERS = (
    "tools",
    "tool_choice",
    "structured_outputs",
    "response_format",
    "reasoning",
    "seed",
    "web_search_options",
)
CAPABILITIES = (
    "tools",
    "structured_outputs",
    "json_mode",
    "reasoning",
    "prompt_caching",
    "web_search",
    "vision",
    "seed",
)
OF_OUTPUT = ("image_output", "audio_output", "embeddings", "speech")
MODALITIES = ("audio", "file", "image", "text")
TAGS = ("one", "one/fp8", "one/eu", "one/flex", "two", "two/us/priority", "Three", "three/FAST", "four")
PROVIDERS = ("one", "ONE/fp8", "One Cloud", "two", "three", "four-ai", "nobody")
TASKS = ("agentic", "programming", "technology", "legal", "trivia")
RANKINGS = ("leaderboard", "programming", "legal")
LIST_FIELDS = (
    "require", "inputs", "outputs", "providers", "exclude_providers", "quantizations", "models", "exclude", "allow",
)  # fmt: skip

#: USD per token
_rates = st.sampled_from(["0.000001", "0.000001", "0.000002", "0.000003", "0.00001", "0.0000001"]).map(Decimal)
_prices = st.fixed_dictionaries({"prompt": _rates, "completion": _rates})
_odd_rates = st.sampled_from(["0", "0.000001", "0.00002", "-1", "0.01"]).map(Decimal)
_more = st.dictionaries(
    st.sampled_from(
        ["request", "input_cache_read", "internal_reasoning", "image", "image_output", "web_search", "audio"]
    ),
    _odd_rates, max_size=2,
)  # fmt: skip
_partial = st.dictionaries(st.sampled_from(["prompt", "completion", "request", "video"]), _odd_rates, max_size=3)
_zeros = st.just({"prompt": Decimal(0), "completion": Decimal(0)})
_conditions = st.sampled_from(
    [
        {"min_prompt_tokens": 2999}, {"min_prompt_tokens": 3000}, {"min_prompt_tokens": 200_000},
        {"utc_start": 1200, "utc_end": 1300}, {"utc_start": 1300, "utc_end": 1200}, {"utc_start": 1230, "utc_end": 0},
        {"utc_days": ("wednesday",)}, {"utc_days": ("tue",), "utc_start": 2200, "utc_end": 1231},
        {"utc_start": 0, "utc_end": 1230, "min_prompt_tokens": 100}, {"region": "eu"}, {"utc_start": 1275},
    ]
)  # fmt: skip
_overrides = st.builds(
    lambda when, rates: Override(tuple(sorted(when.items())), tuple(sorted(rates.items()))),
    _conditions,
    st.dictionaries(st.sampled_from(["prompt", "completion", "input_cache_read"]), _rates, min_size=1),
)
#: both windows together are the whole day: nothing is left of the headline
_tiled = st.just(
    tuple(
        Override((("utc_end", end), ("utc_start", start)), (("completion", Decimal(rate)), ("prompt", Decimal(rate))))
        for start, end, rate in ((0, 1230, "0.000001"), (1230, 0, "0.000003"))
    )
)
pricings = st.builds(
    lambda rates, more, overrides: Pricing.of({**more, **rates}, overrides),
    st.one_of(_prices, _prices, _prices, _prices, _prices, _prices, _zeros, _partial),
    st.one_of(st.just({}), st.just({}), _more),
    st.one_of(st.just(()), st.just(()), st.just(()), st.lists(_overrides, max_size=2).map(tuple), _tiled),
)
healths = st.builds(
    Health,
    status=st.sampled_from([None, None] + [0] * 9 + [-2, -2, -5, -3]),
    uptime_last_30m=st.sampled_from([None] + [100.0] * 4 + [99.0] * 3 + [95.0, 94.9, 90.0, 80.0, 79.9]),
    uptime_last_1d=st.sampled_from([None, 99.0, 90.0]),
    latency_p50=st.sampled_from([None, 500.0, 500.0, 1000.0, 0.0]),
    throughput_p50=st.sampled_from([None, 100.0, 100.0, 100.0, 50.0, 7.5, 0.0]),
)
_contexts = st.sampled_from([None, 0, 4000, 8000] + [128_000] * 8 + [1_000_000] * 4)
_most_out = st.sampled_from([None, None, None, None, None, 500, 1000, 8000])


def _some(values: tuple[str, ...], most: int | None = None) -> st.SearchStrategy[tuple[str, ...]]:
    return st.sets(st.sampled_from(values), max_size=most).map(lambda some: tuple(sorted(some)))


_parameters = st.one_of(st.just(PARAMETERS), st.just(PARAMETERS), _some(PARAMETERS))


@st.composite
def candidates(draw: st.DrawFn, model_id: str) -> tuple[Candidate, ...]:
    """Who serves a model; two may have the same tag."""
    found: list[Candidate] = []
    for _ in range(draw(st.sampled_from([0, 1, 2, 2, 3, 3, 4, 4]))):
        tag = draw(st.sampled_from(TAGS))
        number = 1 + sum(it.endpoint.tag == tag for it in found)
        provider = tag.partition("/")[0]
        endpoint = Endpoint(
            model_id,
            tag,
            draw(st.sampled_from([f"{provider} cloud", provider])).title(),
            context_length=draw(_contexts),
            max_completion_tokens=draw(_most_out),
            max_prompt_tokens=draw(st.sampled_from([None, None, None, None, 2000, 3000, 200_000])),
            quantization=draw(st.sampled_from([None, "fp8", "bf16"])),
            pricing=draw(pricings),
            supported_parameters=draw(_parameters),
            supports_implicit_caching=draw(st.sampled_from([None, None, False, True])),
        )
        zdr, slug = draw(st.sampled_from([None, True, True, False])), draw(st.sampled_from([None, f"{provider}-ai"]))
        key = tag if number == 1 else f"{tag}#{number}"
        found.append(Candidate(endpoint, draw(healths), zdr, slug, key))
    return tuple(found)


@st.composite
def selectables(draw: st.DrawFn, model_id: str) -> Selectable:
    """A model and who serves it, if that is known."""
    is_of_text = draw(st.sampled_from([True] * 7 + [False]))
    base = model_id.partition(":")[0]
    model = Model(
        model_id,
        canonical_slug=draw(st.sampled_from([None, f"{base}-20260101", f"{base}-20260101", f"{base}-20260101"])),
        name=model_id,
        created_at=draw(st.sampled_from([None, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)])),
        context_length=draw(_contexts),
        max_completion_tokens=draw(_most_out),
        input_modalities=draw(st.sampled_from((("image", "text"), ("text",), MODALITIES))),
        output_modalities=("text", *draw(_some(("image", "audio"), 1)))
        if is_of_text
        else draw(_some(("image", "audio", "embeddings", "speech"))),
        supported_parameters=draw(_parameters),
        tokenizer=draw(st.sampled_from([None, "Router"] + ["GPT"] * 10)),
        pricing=draw(pricings),
        expiration_date=draw(st.sampled_from([None] * 9 + [date(2026, 7, 22), date(2026, 7, 23), date(2026, 8, 22)])),
    )
    row = row_of(model, AT, is_active=draw(st.sampled_from([True] * 9 + [False])))
    return Selectable(row, model.pricing, draw(st.one_of(st.none(), *[candidates(model_id)] * 3)))


@st.composite
def evidences(draw: st.DrawFn, models: tuple[Selectable, ...]) -> Evidence:
    """What is known of some of them; what shares a slug shares it."""
    ids: dict[str, list[str]] = {}
    for it in models:
        ids.setdefault(it.row["canonical_slug"] or it.row["id"], []).append(it.row["id"])
    points = st.sampled_from([20.0, 40.0, 40.0, 52.3, 61.7, 105.0])
    told = st.fixed_dictionaries(
        {},
        optional={
            "intelligence_index": points,
            "coding_index": points,
            "agentic_index": points,
            "elo:models:website": st.sampled_from([1000.0, 1234.5, 2000.0]),
            "elo:models:code": st.sampled_from([800.0, 1100.0]),
            "elo:agents:code": st.just(1500.0),
        },
    )
    measures: dict[str, Mapping[str, float]] = {}
    ranks: dict[str, dict[str, int]] = {name: {} for name in draw(_some(RANKINGS))}
    for same in ids.values():
        if draw(st.integers(0, 3)):
            measures |= dict.fromkeys(same, draw(told))
    sizes = {}
    for ranking, places in ranks.items():
        named = draw(st.permutations(sorted(ids)))[: draw(st.integers(0, len(ids)))]
        # who is ranked between them is none that we know
        step, more = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 50]))
        for place, slug in enumerate(named):
            places.update(dict.fromkeys(ids[slug], 1 + place * step))
        sizes[ranking] = len(named) * step + more
    return Evidence(measures, ranks, sizes)


@st.composite
def stocks(draw: st.DrawFn) -> Stock:
    """2 to 12 models."""
    ids = sorted(draw(st.lists(st.sampled_from(IDS), min_size=draw(st.integers(2, 12)), max_size=12, unique=True)))
    models = tuple(draw(selectables(model_id)) for model_id in ids)
    return Stock(7, AT, AT, models, draw(evidences(models)), "catalog")


# --- needs


_tokens = st.sampled_from([0, 4000, 8000, 128_000, 1_000_000])
_limits = st.sampled_from([0, 1, 2, "2.5", 3, 10, Decimal("0.1")])
_weights = st.sampled_from([0, 0.2, 0.5, 1, 3])
_weighed = st.fixed_dictionaries({}, optional={"quality": _weights, "price": _weights, "speed": _weights})
#: both sides of what decides the routing: speed that weighs more than the price, as much, less, nothing
_told = ("quality", "price", "speed", "value", {"price": 0.5, "speed": 0.5}, {"price": 1, "speed": 0.6, "quality": 1})
_objectives = st.one_of(st.none(), st.sampled_from(_told), _weighed.filter(lambda told: sum(told.values()) > 0))
_usages = st.sampled_from(
    [
        {"prompt": 3000, "completion": 1000}, {"prompt": 3001, "completion": 0}, {"prompt": 0, "completion": 500},
        {"prompt": 1, "completion": 1}, {"prompt": 300_000, "completion": 2000},
        {"prompt": 7000, "completion": 3001, "requests": 3}, {"prompt": 5000, "completion": 900, "cached": 4000},
        {"prompt": 2000, "completion": 2000, "reasoning": 1500, "web_searches": 1, "images": 2},
        {"prompt": 1000, "completion": 100, "cached": 800, "written": 900, "audio": 50},
    ]
)  # fmt: skip


def _names(ids: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Names of models in many ways, some of which mean none; patterns."""
    patterns = ("acme/*", "bolt/*", "*:batch", "*:free", "*mini*", "*", "ACME/nova*", "acme/*-2*")
    ways = (str, str.upper, lambda it: it.partition("/")[2], lambda it: f"{it.partition(':')[0]}-20260101")
    return st.builds(lambda way, it: way(it), st.sampled_from(ways), st.sampled_from(ids)) | st.sampled_from(
        (*patterns, "acme/unheard-of")
    )


def fields(ids: tuple[str, ...]) -> dict[str, st.SearchStrategy[Any]]:
    """Every field of a need but role and `of`, with what it may be."""
    some = st.lists(_names(ids), min_size=1, max_size=2, unique=True)
    return {
        "task": st.sampled_from(TASKS),
        "require": st.lists(st.sampled_from((*CAPABILITIES, *CAPABILITIES, "tool_choice", *OF_OUTPUT)), max_size=2),
        "inputs": st.lists(st.sampled_from(("text", "text", *MODALITIES)), max_size=2),
        "outputs": st.lists(st.sampled_from(("text", "text", "image", "embeddings")), max_size=2),
        "min_context": _tokens,
        "min_output": st.sampled_from([0, 500, 1000, 8000]),
        "max_price_per_million": st.dictionaries(st.sampled_from(["prompt", "completion"]), _limits),
        "providers": st.lists(st.sampled_from(PROVIDERS), min_size=1, max_size=2),
        "exclude_providers": st.lists(st.sampled_from(PROVIDERS), max_size=2),
        "quantizations": st.lists(st.sampled_from(["fp8", "bf16", "unknown"]), max_size=2),
        "zdr": st.booleans(),
        "min_uptime": st.sampled_from([0, 90, 95, 99, 100]),
        "max_latency": st.sampled_from([0, 0.5, 1]),
        "min_throughput": st.sampled_from([0, 50, 100]),
        "models": some,
        "exclude": some,
        "lasting_days": st.sampled_from([0, 1, 31, 400]),
        "objective": _objectives,
        "usage": _usages,
        "stick_to": _names(ids).filter(lambda name: "*" not in name),
        "margin": st.sampled_from([0, 0.01, 0.02, 0.1, 1]),
        "limit": st.sampled_from([1, 2, 3, 50]),
    }


OFTEN = frozenset({"objective", "limit", "stick_to", "margin"})
_allowed = st.one_of(_some(ALLOWED), _some(ALLOWED), st.just(ALLOWED), st.just(("degraded",)))
#: constraints with which little is left
SELDOM = frozenset({"providers", "quantizations", "zdr", "max_latency", "min_throughput", "min_uptime", "models"})


@dataclass(frozen=True)
class Case:
    """A stock and what is asked of it."""

    stock: Stock
    told: dict[str, Any]  #: the fields of the need

    @cached_property
    def plain(self) -> Json:
        """The stock as the oracle reads it."""
        return plain(self.stock)

    @property
    def need(self) -> Need:
        return Need(**self.told)

    def but(self, **fields: Any) -> Need:
        """The need with other values in some fields; None: left out."""
        return Need(**{**self.told, **fields})


@st.composite
def asked(draw: st.DrawFn, stock: Stock) -> dict[str, Any]:
    """The fields of a need: few constraints, all objectives and roles."""
    ids = tuple(it.row["id"] for it in stock.models)
    told: dict[str, Any] = {"allow": draw(_allowed)}
    for name, values in fields(ids).items():
        odds = 19 if name in SELDOM else 1 if name in OFTEN else 8
        if draw(st.integers(0, odds)) == odds:
            told[name] = draw(values)
    if draw(st.booleans()):
        told["role"] = draw(
            st.sampled_from(("best", "balanced", "fast", "cheap", "long-context", "vision", "coder", "escalation",
                             "escalation", "replacement", "replacement", "replacement"))
        )  # fmt: skip
        if told["role"] in {"escalation", "replacement"}:
            told["of"] = draw(st.sampled_from(ids).flatmap(lambda it: st.sampled_from((it, it.upper()))))
    return told


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A stock and a need of it."""
    stock = draw(stocks())
    return Case(stock, draw(asked(stock)))


@st.composite
def many(draw: st.DrawFn) -> tuple[Stock, list[dict[str, Any]]]:
    """A stock and the fields of several needs of it: stocks take long to draw."""
    stock = draw(stocks())
    return stock, [draw(asked(stock)) for _ in range(12)]
