"""OpenRouter's JSON → Feed; pure.

Record by record: a record we cannot read is quarantined with its reason and the rest goes on. What we do not know
(keys, modalities, parameters, conditions) is kept in the raw record and flagged, never fatal. Prices are exact decimals
from the JSON text. Shapes: reference 2.2, 2.3, 3.1, 3.2; lists of traps: 2.5 and 9.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from llmhive.app.openrouter.envelope import UNREADABLE, split
from llmhive.catalog.feed import Feed, Record, Scope, Unreadable
from llmhive.catalog.model import Model, Number, Reasoning, Version
from llmhive.catalog.pricing import CONDITIONS, UNITS, ConditionValue, Override, Pricing, canonical, exact
from llmhive.errors import BadAnswer

#: Raised by one whenever the same record would give another `Model`: stored records are then read anew.
DECODER = 1

_MODEL_KEYS = frozenset(
    [
        "id",
        "canonical_slug",
        "name",
        "created",
        "description",
        "context_length",
        "hugging_face_id",
        "knowledge_cutoff",
        "expiration_date",
        "architecture",
        "pricing",
        "top_provider",
        "per_request_limits",
        "supported_parameters",
        "default_parameters",
        "supported_voices",
        "links",
        "reasoning",
        "benchmarks",
        "alias_target",
    ]
)
_ARCHITECTURE_KEYS = frozenset(["modality", "input_modalities", "output_modalities", "tokenizer", "instruct_type"])
_TOP_PROVIDER_KEYS = frozenset(["context_length", "max_completion_tokens", "is_moderated"])
_REASONING_KEYS = frozenset(
    ["mandatory", "default_enabled", "default_effort", "supported_efforts", "supports_max_tokens"]
)
_INPUTS = frozenset(["text", "image", "file", "audio", "video"])
_OUTPUTS = frozenset(["text", "image", "embeddings", "audio", "video", "rerank", "speech", "transcription"])
_PARAMETERS = frozenset(
    [
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "top_a",
        "frequency_penalty",
        "presence_penalty",
        "repetition_penalty",
        "max_tokens",
        "max_completion_tokens",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "prediction",
        "seed",
        "response_format",
        "structured_outputs",
        "stop",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "include_reasoning",
        "reasoning",
        "reasoning_effort",
        "web_search_options",
        "verbosity",
    ]
)
_TOKENIZERS = frozenset(
    [
        "Router",
        "Media",
        "Other",
        "GPT",
        "Claude",
        "Gemini",
        "Gemma",
        "Grok",
        "Cohere",
        "Nova",
        "Qwen",
        "Qwen3",
        "Yi",
        "DeepSeek",
        "Mistral",
        "Llama2",
        "Llama3",
        "Llama4",
        "PaLM",
        "RWKV",
    ]
)
_UNITS = frozenset(UNITS)
_CONDITIONS = frozenset(CONDITIONS)

_ID = re.compile(r"[^\s\x00-\x1f\x7f]{1,255}")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_UNIT = re.compile(r"[a-z0-9_]{1,64}")
_LARGEST = 2**53
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z


_RECORD = msgspec.json.Decoder(float_hook=Decimal)


class _Quarantined(Exception):
    """This record cannot be read; the text says why."""


def decode(body: bytes, scope: Scope, known: Mapping[bytes, Record] | None = None) -> Feed:
    """Read one body of ``GET /models``.

    `known` maps the bytes of records read before to what they said; only other bytes are read. Raises `BadAnswer` when
    the body as a whole cannot be read.
    """
    listed, total = _open(body)
    known = known or {}
    records: dict[str, Record] = {}
    unreadable: list[Unreadable] = []
    for position, raw in enumerate(map(bytes, listed)):
        record = known.get(raw)
        if record is None:
            try:
                record = _record(raw)
            except _Quarantined as why:
                unreadable.append(Unreadable(position, _id_of(raw), str(why)))
                continue
        model_id = record.version.model.id
        if model_id in records:
            unreadable.append(Unreadable(position, model_id, "listed twice; the first record counts"))
        else:
            records[model_id] = record
    return Feed(
        scope=scope,
        records=tuple(records.values()),
        unreadable=tuple(unreadable),
        total_count=total,
        rows=len(listed),
    )


def _open(body: bytes) -> tuple[list[msgspec.Raw], int | None]:
    """The records of a body, and how many it says there are."""
    try:
        envelope = split(body)
    except msgspec.ValidationError as error:
        raise BadAnswer(f"The answer is JSON, but not a list of models: {error}.") from error
    except UNREADABLE as error:
        start = body[:60].decode("utf-8", "replace").strip()
        what = "an HTML page" if start.startswith("<") else f"not JSON ({error})"
        raise BadAnswer(f"The answer is {what}; it begins {start!r}.") from error
    if (failure := envelope.failure) is not None:
        said = failure.get("message") if isinstance(failure, dict) else failure
        raise BadAnswer(f"The answer is an error; OpenRouter says {str(said)[:200]!r}.")
    if envelope.data is None:
        raise BadAnswer("The answer is JSON, but not a list of models: it has no data.")
    return envelope.data, envelope.total


def _id_of(raw: bytes) -> str | None:
    """The id of a record that cannot be read as a whole, if that much can be read."""
    try:
        record = _RECORD.decode(raw)
    except UNREADABLE:
        return None
    model_id = record.get("id") if isinstance(record, dict) else None
    return model_id if isinstance(model_id, str) and _ID.fullmatch(model_id) else None


def _record(raw: bytes) -> Record:
    if b"\\u0000" in raw and _NUL.search(raw):
        raise _Quarantined("it contains a NUL or half a surrogate pair, which no database keeps")
    try:
        record = _RECORD.decode(raw)
        # what cannot be encoded cannot be stored (lone surrogates)
        raw.decode("utf-8")
    except UNREADABLE as error:
        raise _Quarantined(f"it is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise _Quarantined(f"it is {_type_name(record)}, not an object")
    flags: list[str] = []
    model = _model(record, flags)
    return Record(Version(model), raw, tuple(flags))


def _model(record: dict[str, Any], flags: list[str]) -> Model:
    model_id = record.get("id")
    if not isinstance(model_id, str) or not _ID.fullmatch(model_id):
        raise _Quarantined("it has no id" if model_id is None else f"its id is not one: {str(model_id)[:60]!r}")
    _flag_unknown(record, _MODEL_KEYS, "", flags)
    architecture = _object(record, "architecture", _ARCHITECTURE_KEYS, flags)
    top = _object(record, "top_provider", _TOP_PROVIDER_KEYS, flags)
    inputs, outputs = _modalities(architecture, flags)
    parameters = _strings(record, "supported_parameters", flags)
    _flag_values("parameter", parameters, _PARAMETERS, flags)
    tokenizer = _text(architecture, "tokenizer", flags)
    if tokenizer is not None:
        _flag_values("tokenizer", (tokenizer,), _TOKENIZERS, flags)
    return Model(
        id=model_id,
        canonical_slug=_slug(record, flags),
        name=_text(record, "name", flags) or None,
        description=_text(record, "description", flags) or None,
        created_at=_instant(record, "created", flags),
        context_length=_whole(record, "context_length", flags),
        max_completion_tokens=_whole(top, "max_completion_tokens", flags),
        top_context_length=_whole(top, "context_length", flags),
        is_moderated=_truth(top, "is_moderated", flags),
        input_modalities=inputs,
        output_modalities=outputs,
        supported_parameters=parameters,
        default_parameters=_numbers(record, "default_parameters", flags),
        per_request_limits=_numbers(record, "per_request_limits", flags),
        supported_voices=_strings(record, "supported_voices", flags),
        tokenizer=tokenizer,
        instruct_type=_text(architecture, "instruct_type", flags) or None,
        pricing=_pricing(record.get("pricing"), flags),
        hugging_face_id=_text(record, "hugging_face_id", flags) or None,
        knowledge_cutoff=_text(record, "knowledge_cutoff", flags) or None,
        expiration_date=_day(record, "expiration_date", flags),
        reasoning=_reasoning(record, flags),
        alias_target=_text(_object(record, "alias_target", frozenset({"slug", "name"}), flags), "slug", flags),
    )


def _modalities(architecture: dict[str, Any], flags: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    inputs = _strings(architecture, "input_modalities", flags)
    outputs = _strings(architecture, "output_modalities", flags)
    # before 2025 there was only the arrow form, "text+image->text"
    before, arrow, after = (_text(architecture, "modality", flags) or "").partition("->")
    if arrow:
        inputs = inputs or tuple(sorted(filter(None, before.split("+"))))
        outputs = outputs or tuple(sorted(filter(None, after.split("+"))))
    _flag_values("input modality", inputs, _INPUTS, flags)
    _flag_values("output modality", outputs, _OUTPUTS, flags)
    return inputs, outputs


def _pricing(served: Any, flags: list[str]) -> Pricing:
    if not isinstance(served, dict):
        flags.append("missing: pricing" if served is None else "wrong type: pricing")
        return Pricing()
    rates: dict[str, Decimal] = {}
    overrides: tuple[Override, ...] = ()
    for unit, value in served.items():
        if unit == "overrides":
            overrides = _overrides(value, flags)
        elif value is None or unit == "discount":
            continue
        elif unit not in _UNITS:
            # a new unit is kept as a rate, since it costs; what does not look like one only in the raw record
            flags.append(f"unknown key: pricing.{unit[:64]}")
            if (rate := exact(value)) is not None and _UNIT.fullmatch(unit):
                rates[unit] = rate
        elif (rate := exact(value)) is not None:
            rates[unit] = rate
        else:
            raise _Quarantined(f"its price pricing.{unit} is not a number: {str(value)[:60]!r}")
    return Pricing.of(rates, overrides)


def _overrides(served: Any, flags: list[str]) -> tuple[Override, ...]:
    if not served:
        return ()
    if not isinstance(served, list) or not all(isinstance(entry, dict) for entry in served):
        flags.append("wrong type: pricing.overrides")
        return ()
    return tuple(_override(entry, flags) for entry in served)


def _override(entry: dict[str, Any], flags: list[str]) -> Override:
    conditions: dict[str, ConditionValue] = {}
    rates: dict[str, Decimal] = {}
    for key, value in entry.items():
        if value is None:
            continue
        if key in _UNITS:
            if (rate := exact(value)) is None:
                raise _Quarantined(f"its price pricing.overrides.{key} is not a number: {str(value)[:60]!r}")
            rates[key] = rate
        else:
            # an unknown key may be a condition: kept as one, so that the entry is skipped instead of misapplied
            conditions[key] = _condition(value)
            if key not in _CONDITIONS:
                flags.append(f"unknown key: pricing.overrides.{key}")
    override = Override(tuple(sorted(conditions.items())), tuple(sorted(rates.items())))
    if not override.is_understood and not any(key not in _CONDITIONS for key in conditions):
        flags.append("wrong type: a condition of pricing.overrides")
    return override


def _condition(value: Any) -> ConditionValue:
    if isinstance(value, Decimal) and -_LARGEST < value < _LARGEST and value == int(value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(sorted(value))
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _reasoning(record: dict[str, Any], flags: list[str]) -> Reasoning | None:
    if record.get("reasoning") is None:
        return None
    served = _object(record, "reasoning", _REASONING_KEYS, flags)
    efforts = served.get("supported_efforts")
    return Reasoning(
        mandatory=_truth(served, "mandatory", flags),
        default_enabled=_truth(served, "default_enabled", flags),
        default_effort=_text(served, "default_effort", flags),
        supported_efforts=None if efforts is None else _strings(served, "supported_efforts", flags),
        supports_max_tokens=_truth(served, "supports_max_tokens", flags),
    )


def _object(record: dict[str, Any], name: str, keys: frozenset[str], flags: list[str]) -> dict[str, Any]:
    value = record.get(name)
    if isinstance(value, dict):
        _flag_unknown(value, keys, f"{name}.", flags)
        return value
    if value is not None:
        flags.append(f"wrong type: {name}")
    return {}


def _text(record: dict[str, Any], name: str, flags: list[str]) -> str | None:
    value = record.get(name)
    if value is not None and not isinstance(value, str):
        flags.append(f"wrong type: {name}")
        return None
    return value


def _slug(record: dict[str, Any], flags: list[str]) -> str | None:
    """The canonical slug; what is no slug (too long for an index, or with blanks) is none."""
    slug = _text(record, "canonical_slug", flags)
    if slug and not _ID.fullmatch(slug):
        flags.append("wrong type: canonical_slug")
        return None
    return slug or None


def _truth(record: dict[str, Any], name: str, flags: list[str]) -> bool | None:
    value = record.get(name)
    if value is not None and not isinstance(value, bool):
        flags.append(f"wrong type: {name}")
        return None
    return value


def _whole(record: dict[str, Any], name: str, flags: list[str]) -> int | None:
    value = record.get(name)
    if value is None:
        return None
    if isinstance(value, Decimal) and -_LARGEST < value < _LARGEST and value == int(value):
        value = int(value)
    if type(value) is int and 0 <= value <= _LARGEST:
        return value
    flags.append(f"wrong type: {name}")
    return None


def _instant(record: dict[str, Any], name: str, flags: list[str]) -> datetime | None:
    seconds = _whole(record, name, flags)
    if seconds is None:
        return None
    if seconds > _LAST_SECOND:
        flags.append(f"wrong type: {name}")
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _day(record: dict[str, Any], name: str, flags: list[str]) -> date | None:
    text = _text(record, name, flags)
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        flags.append(f"wrong type: {name}")
        return None


def _strings(record: dict[str, Any], name: str, flags: list[str]) -> tuple[str, ...]:
    value = record.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        flags.append(f"wrong type: {name}")
        value = [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
    return tuple(sorted(set(value)))


def _numbers(record: dict[str, Any], name: str, flags: list[str]) -> tuple[tuple[str, Number], ...]:
    value = record.get(name)
    if value is None:
        return ()
    if not isinstance(value, dict):
        flags.append(f"wrong type: {name}")
        return ()
    numbers: dict[str, Number] = {}
    for key, number in value.items():
        value_of = None if isinstance(number, str) else exact(number)
        if value_of is not None and -_LARGEST < value_of < _LARGEST:
            # one spelling: 1, 1.0 and 1e0 are the same document
            numbers[key] = int(value_of) if value_of == int(value_of) else canonical(value_of)
        elif number is not None:
            flags.append(f"wrong type: {name}.{key}")
    return tuple(sorted(numbers.items()))


def _flag_unknown(value: dict[str, Any], known: frozenset[str], prefix: str, flags: list[str]) -> None:
    if unknown := value.keys() - known:
        flags.extend(f"unknown key: {prefix}{name}" for name in sorted(unknown))


def _flag_values(what: str, values: Iterable[str], known: frozenset[str], flags: list[str]) -> None:
    flags.extend(f"unknown {what}: {value}" for value in values if value not in known)


def _type_name(value: Any) -> str:
    names = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
