"""Hypothesis strategies: numbers, prices, models, feeds, and records as OpenRouter serves them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from llmhive.catalog.feed import Feed, Record, Scope, Unreadable
from llmhive.catalog.model import Model, Number, Reasoning, Version
from llmhive.catalog.pricing import DAYS, UNITS, ConditionValue, Override, Pricing, canonical

Json = Any

#: the same examples in every run
laws = settings(deadline=None, derandomize=True)

INPUTS = ("text", "image", "file", "audio", "video")
OUTPUTS = ("text", "image", "embeddings", "audio", "video", "rerank", "speech", "transcription")
PARAMETERS = ("temperature", "top_p", "seed", "tools", "reasoning", "stop", "verbosity")
TOKENIZERS = ("Router", "Media", "Other", "GPT", "Qwen3")
EFFORTS = ("max", "xhigh", "high", "medium", "low", "minimal", "none")
DEFAULTS = ("temperature", "top_p", "top_k", "repetition_penalty")
OPTIONAL = tuple(unit for unit in UNITS if unit not in {"prompt", "completion"})

#: what both JSON and a database can hold
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
names = texts.filter(bool)
ids = st.from_regex(r"~?[a-z]{1,6}/[a-z0-9.-]{1,8}(:free|:batch|:thinking)?", fullmatch=True)
instants = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 31)).map(  # noqa: DTZ001
    lambda at: at.replace(tzinfo=UTC)
)
#: of one week and a bit, so that a schedule's every minute comes up
week = st.integers(0, 8 * 24 * 60 * 60).map(lambda s: datetime.fromtimestamp(1_780_000_000 + s, UTC))
counts = st.integers(0, 2**53)


@st.composite
def decimal_texts(draw: st.DrawFn, *, signed: bool = True) -> str:
    """Any number that a price may be: up to 20 digits before the point, up to 30 behind it."""
    sign = draw(st.sampled_from(["", "-"])) if signed else ""
    whole = draw(st.text("0123456789", min_size=1, max_size=20))
    behind = draw(st.none() | st.text("0123456789", min_size=1, max_size=30))
    return f"{sign}{whole}" if behind is None else f"{sign}{whole}.{behind}"


#: like real prices, often zero
rates = st.sampled_from(["0", "0.000001", "0.0000025", "0.01", "-1"]).map(Decimal) | decimal_texts().map(Decimal)

hhmm = st.integers(0, 24 * 60).map(lambda minute: minute // 60 * 100 + minute % 60)
weekdays = st.lists(st.sampled_from([*DAYS, "mon", "Tue", "SUNDAY"]), max_size=7, unique=True).map(
    lambda named: tuple(sorted(named))
)


@st.composite
def overrides(draw: st.DrawFn, *, units: tuple[str, ...] = ("prompt", "completion", "image")) -> Override:
    """Any override, also one that we cannot evaluate."""
    known: dict[str, st.SearchStrategy[ConditionValue]] = {
        "utc_start": hhmm,
        "utc_end": hhmm,
        "utc_days": weekdays,
        "min_prompt_tokens": st.integers(0, 10**6),
    }
    chosen: dict[str, ConditionValue] = draw(st.fixed_dictionaries({}, optional=known))
    if draw(st.integers(0, 5)) == 0:
        chosen |= draw(
            st.dictionaries(st.sampled_from(["region", "utc_start", "utc_days"]), st.integers(2401, 9999) | texts)
        )
    new_rates = draw(st.dictionaries(st.sampled_from(units), rates, min_size=1))
    return Override(tuple(sorted(chosen.items())), tuple(sorted(new_rates.items())))


@st.composite
def tilings(draw: st.DrawFn, units: tuple[str, ...] = ("prompt", "completion")) -> tuple[Override, ...]:
    """Windows that follow one another around the day, on all days or on two sets of days; perhaps one is missing."""
    cuts = draw(st.lists(st.integers(0, 24 * 60 - 1), min_size=1, max_size=4, unique=True).map(sorted))
    some = draw(st.sets(st.sampled_from(DAYS), max_size=6))
    groups: list[set[str] | None] = [some, set(DAYS) - some] if draw(st.booleans()) else [None]
    entries = []
    for days in groups:
        for start, end in zip(cuts, [*cuts[1:], cuts[0]], strict=True):
            when: dict[str, ConditionValue] = {
                "utc_start": start // 60 * 100 + start % 60,
                "utc_end": end // 60 * 100 + end % 60,
            }
            if days is not None:
                when["utc_days"] = tuple(sorted(days))
            rate = draw(st.sampled_from(["0.1", "0.2", "0.3"]))
            entries.append(
                Override(tuple(sorted(when.items())), tuple((unit, Decimal(rate)) for unit in sorted(units)))
            )
    if draw(st.integers(0, 3)) == 0:
        entries.pop(draw(st.integers(0, len(entries) - 1)))
    return tuple(draw(st.permutations(entries)))


pricings = st.builds(
    Pricing.of,
    st.dictionaries(st.sampled_from([*UNITS, "video"]), rates, max_size=6),
    st.lists(overrides(), max_size=3) | tilings(),
)

reasonings = st.builds(
    Reasoning,
    mandatory=st.none() | st.booleans(),
    default_enabled=st.none() | st.booleans(),
    default_effort=st.none() | st.sampled_from(EFFORTS),
    supported_efforts=st.none() | st.sets(st.sampled_from(EFFORTS)).map(lambda some: tuple(sorted(some))),
    supports_max_tokens=st.none() | st.booleans(),
)


def some_of(values: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    """A sorted selection."""
    return st.sets(st.sampled_from(values)).map(lambda some: tuple(sorted(some)))


def _number(text: str) -> Number:
    exact = canonical(Decimal(text))
    return int(exact) if exact == int(exact) else exact


def _pairs(keys: tuple[str, ...]) -> st.SearchStrategy[tuple[tuple[str, Number], ...]]:
    numbers = st.sampled_from(["1", "0.7", "0.95", "-0.5", "100000", "0"]).map(_number)
    return st.dictionaries(st.sampled_from(keys), numbers).map(lambda found: tuple(sorted(found.items())))


models = st.builds(
    Model,
    id=ids,
    canonical_slug=st.none() | ids,
    name=st.none() | names,
    description=st.none() | names,
    created_at=st.none() | instants.map(lambda at: at.replace(microsecond=0)),
    context_length=st.none() | counts,
    max_completion_tokens=st.none() | counts,
    top_context_length=st.none() | counts,
    is_moderated=st.none() | st.booleans(),
    input_modalities=some_of(INPUTS),
    output_modalities=some_of(OUTPUTS),
    supported_parameters=some_of(PARAMETERS),
    default_parameters=_pairs(DEFAULTS),
    per_request_limits=_pairs(("prompt_tokens", "completion_tokens")),
    supported_voices=some_of(("alloy", "echo")),
    tokenizer=st.none() | st.sampled_from(TOKENIZERS),
    instruct_type=st.none() | names,
    pricing=pricings,
    hugging_face_id=st.none() | names,
    knowledge_cutoff=st.none() | names,
    expiration_date=st.none() | st.dates(min_value=date(1, 1, 1)),
    reasoning=st.none() | reasonings,
    alias_target=st.none() | names,
)

# --- feeds over a handful of models, so that they meet

POOL = ("a/one", "a/two", "b/one", "b/one:free", "c/painter")
_small_models = st.builds(
    Model,
    id=st.sampled_from(POOL),
    name=st.sampled_from([None, "One", "Two"]),
    output_modalities=st.sampled_from([(), ("text",), ("image",), ("image", "text")]),
    context_length=st.sampled_from([None, 5]),
    pricing=st.sampled_from([Pricing(), Pricing((("prompt", Decimal(1)),)), Pricing((("prompt", Decimal(2)),))]),
)
_unreadable = st.builds(
    Unreadable, position=st.just(0), model_id=st.none() | st.sampled_from(POOL), reason=st.just("it is a test")
)


@st.composite
def feeds(draw: st.DrawFn, *, scope: Scope | None = None) -> Feed:
    """A feed about some of the pool; at times with records that cannot be read."""
    listed = draw(st.lists(_small_models, unique_by=lambda model: model.id, max_size=len(POOL)))
    records = tuple(Record(Version(model), draw(st.sampled_from([b"1", b"2"]))) for model in listed)
    unreadable = tuple(draw(st.lists(_unreadable, max_size=2) if draw(st.integers(0, 3)) == 0 else st.just([])))
    scopes: tuple[Scope, ...] = ("all", "text") if scope is None else (scope,)
    return Feed(draw(st.sampled_from(scopes)), records, unreadable, None, len(records) + len(unreadable))


# --- JSON as served


def json_number(text: str) -> str:
    """A number as JSON allows it: without leading zeros."""
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, point, behind = digits.partition(".")
    return f"{sign}{whole.lstrip('0') or '0'}{point}{behind}"


def _object(items: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in items) + "}"


#: numbers as JSON text, also those no field can hold
json_numbers = decimal_texts().map(json_number) | st.sampled_from(
    ["-0", "-0.0", "1e-7", "1E5", "1e400", "1e9999999", "-1e9999999", "1e-9999999", "1" + "0" * 30, "9" * 4999, "0.1e1"]
)
json_scalars = (
    st.sampled_from(["null", "true", "false", '"NaN"', '"1_0"', '"\\u0661"', '"-1"', '""', '"\\u0000"', '"2026-13-40"'])
    | json_numbers
    | texts.map(json.dumps)
)
_keys = (
    st.sampled_from(
        ["id", "slug", "prompt", "overrides", "utc_days", "utc_start", "min_prompt_tokens", "modality", "x"]
    )
    | texts
)
#: any JSON value, as text
json_texts = st.recursive(
    json_scalars,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]")
        | st.lists(st.tuples(_keys, inner), max_size=4).map(_object)
    ),
    max_leaves=8,
)

MODEL_KEYS = (
    "canonical_slug", "name", "created", "description", "context_length", "hugging_face_id", "knowledge_cutoff",
    "expiration_date", "architecture", "pricing", "top_provider", "per_request_limits", "supported_parameters",
    "default_parameters", "supported_voices", "links", "reasoning", "benchmarks", "alias_target",
)  # fmt: skip
_NESTED = {
    "architecture": ("modality", "input_modalities", "output_modalities", "tokenizer", "instruct_type"),
    "pricing": (*UNITS, "overrides", "discount", "video"),
    "top_provider": ("context_length", "max_completion_tokens", "is_moderated"),
    "reasoning": ("mandatory", "default_enabled", "default_effort", "supported_efforts", "supports_max_tokens"),
    "alias_target": ("slug", "name"),
    "default_parameters": DEFAULTS,
    "per_request_limits": ("prompt_tokens", "completion_tokens"),
}
_override_keys = ("prompt", "completion", "utc_start", "utc_end", "utc_days", "min_prompt_tokens", "region")


@st.composite
def near_records(draw: st.DrawFn) -> str:
    """JSON text that is nearly a record: the right keys, with anything in them."""
    override = st.lists(st.tuples(st.sampled_from(_override_keys), json_texts), max_size=4).map(_object)
    items = [] if draw(st.integers(0, 9)) == 0 else [("id", json.dumps(draw(ids)))]
    for key in draw(st.lists(st.sampled_from(MODEL_KEYS), max_size=6)):
        if key not in _NESTED or draw(st.integers(0, 4)) == 0:
            items.append((key, draw(json_texts)))
            continue
        inner = []
        for name in draw(st.lists(st.sampled_from(_NESTED[key]), max_size=5)):
            if name == "overrides" and draw(st.booleans()):
                inner.append((name, f"[{draw(override)}]"))
            else:
                inner.append((name, draw(json_texts)))
        items.append((key, _object(inner)))
    return _object(items)


def _maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


def _several(values: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), unique=True)


served_prices = st.sampled_from(["0", "0.000001", "0.0000000416666666666667", "-1"]) | decimal_texts(signed=False)
served_overrides = st.fixed_dictionaries(
    {"prompt": served_prices},
    optional={
        "completion": served_prices,
        "utc_start": hhmm,
        "utc_end": hhmm,
        "utc_days": _several(DAYS),
        "min_prompt_tokens": st.integers(1, 10**6),
    },
)
served_pricings = st.fixed_dictionaries(
    {"prompt": served_prices, "completion": served_prices},
    optional=dict.fromkeys(OPTIONAL, served_prices) | {"overrides": st.lists(served_overrides, max_size=2)},
)
#: records in the shape of today, nothing wrong with them
served_records = st.fixed_dictionaries(
    {
        "id": ids,
        "canonical_slug": ids,
        "name": names,
        "created": st.integers(0, 2 * 10**9),
        "description": texts,
        "context_length": _maybe(counts),
        "architecture": st.fixed_dictionaries(
            {
                "modality": st.none(),
                "input_modalities": _several(INPUTS),
                "output_modalities": _several(OUTPUTS),
                "tokenizer": st.sampled_from(TOKENIZERS),
                "instruct_type": _maybe(names),
            }
        ),
        "pricing": served_pricings,
        "top_provider": st.fixed_dictionaries(
            {
                "context_length": _maybe(counts),
                "max_completion_tokens": _maybe(counts),
                "is_moderated": st.booleans(),
            }
        ),
        "per_request_limits": st.none(),
        "supported_parameters": _several(PARAMETERS),
        "default_parameters": _maybe(
            st.dictionaries(st.sampled_from(DEFAULTS), st.none() | st.sampled_from([0, 1, 0.7, 0.95]))
        ),
        "supported_voices": _maybe(_several(("alloy", "echo"))),
        "links": st.just({"details": "/api/v1/models/x/endpoints"}),
    },
    optional={
        "hugging_face_id": _maybe(texts),
        "knowledge_cutoff": _maybe(st.just("2026-01-31")),
        "expiration_date": _maybe(st.dates().map(date.isoformat)),
        "reasoning": st.fixed_dictionaries(
            {"mandatory": st.booleans()},
            optional={"supported_efforts": _maybe(_several(EFFORTS)), "default_effort": st.sampled_from(EFFORTS)},
        ),
        "benchmarks": st.just({"design_arena": []}),
        "alias_target": st.fixed_dictionaries({"slug": names, "name": names}),
    },
)
