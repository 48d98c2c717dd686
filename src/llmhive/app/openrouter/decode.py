"""OpenRouter's JSON → Feed; pure.

Record by record: a record we cannot read is quarantined with its reason and the rest goes on. What we do not know
(keys, modalities, parameters, conditions) is kept in the raw record and flagged, never fatal. Prices are exact decimals
from the JSON text. Shapes: reference 2.2, 2.3, 3.1, 3.2; lists of traps: 2.5 and 9.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from llmhive.app.openrouter import fields
from llmhive.app.openrouter.envelope import UNREADABLE, split
from llmhive.catalog.feed import Feed, Record, Scope, Unreadable
from llmhive.catalog.model import Model, Number, Reasoning, Version
from llmhive.catalog.pricing import canonical, exact
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
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z


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
            except fields.Quarantined as why:
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
    model_id = fields.peek(raw).get("id")
    return model_id if isinstance(model_id, str) and fields.NAME.fullmatch(model_id) else None


def _record(raw: bytes) -> Record:
    record = fields.record(raw)
    flags: list[str] = []
    model = _model(record, flags)
    return Record(Version(model), raw, tuple(flags))


def _model(record: dict[str, Any], flags: list[str]) -> Model:
    model_id = record.get("id")
    if not isinstance(model_id, str) or not fields.NAME.fullmatch(model_id):
        raise fields.Quarantined("it has no id" if model_id is None else f"its id is not one: {str(model_id)[:60]!r}")
    fields.flag_unknown(record, _MODEL_KEYS, "", flags)
    architecture = fields.obj(record, "architecture", _ARCHITECTURE_KEYS, flags)
    top = fields.obj(record, "top_provider", _TOP_PROVIDER_KEYS, flags)
    inputs, outputs = _modalities(architecture, flags)
    parameters = fields.strings(record, "supported_parameters", flags)
    _flag_values("parameter", parameters, _PARAMETERS, flags)
    tokenizer = fields.text(architecture, "tokenizer", flags)
    if tokenizer is not None:
        _flag_values("tokenizer", (tokenizer,), _TOKENIZERS, flags)
    return Model(
        id=model_id,
        canonical_slug=_slug(record, flags),
        name=fields.text(record, "name", flags) or None,
        description=fields.text(record, "description", flags) or None,
        created_at=_instant(record, "created", flags),
        context_length=fields.whole(record, "context_length", flags),
        max_completion_tokens=fields.whole(top, "max_completion_tokens", flags),
        top_context_length=fields.whole(top, "context_length", flags),
        is_moderated=fields.truth(top, "is_moderated", flags),
        input_modalities=inputs,
        output_modalities=outputs,
        supported_parameters=parameters,
        default_parameters=_numbers(record, "default_parameters", flags),
        per_request_limits=_numbers(record, "per_request_limits", flags),
        supported_voices=fields.strings(record, "supported_voices", flags),
        tokenizer=tokenizer,
        instruct_type=fields.text(architecture, "instruct_type", flags) or None,
        pricing=fields.pricing(record.get("pricing"), flags),
        hugging_face_id=fields.text(record, "hugging_face_id", flags) or None,
        knowledge_cutoff=fields.text(record, "knowledge_cutoff", flags) or None,
        expiration_date=_day(record, "expiration_date", flags),
        reasoning=_reasoning(record, flags),
        alias_target=fields.text(fields.obj(record, "alias_target", frozenset({"slug", "name"}), flags), "slug", flags),
    )


def _modalities(architecture: dict[str, Any], flags: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    inputs = fields.strings(architecture, "input_modalities", flags)
    outputs = fields.strings(architecture, "output_modalities", flags)
    # before 2025 there was only the arrow form, "text+image->text"
    before, arrow, after = (fields.text(architecture, "modality", flags) or "").partition("->")
    if arrow:
        inputs = inputs or tuple(sorted(filter(None, before.split("+"))))
        outputs = outputs or tuple(sorted(filter(None, after.split("+"))))
    _flag_values("input modality", inputs, _INPUTS, flags)
    _flag_values("output modality", outputs, _OUTPUTS, flags)
    return inputs, outputs


def _reasoning(record: dict[str, Any], flags: list[str]) -> Reasoning | None:
    if record.get("reasoning") is None:
        return None
    served = fields.obj(record, "reasoning", _REASONING_KEYS, flags)
    efforts = served.get("supported_efforts")
    return Reasoning(
        mandatory=fields.truth(served, "mandatory", flags),
        default_enabled=fields.truth(served, "default_enabled", flags),
        default_effort=fields.text(served, "default_effort", flags),
        supported_efforts=None if efforts is None else fields.strings(served, "supported_efforts", flags),
        supports_max_tokens=fields.truth(served, "supports_max_tokens", flags),
    )


def _slug(record: dict[str, Any], flags: list[str]) -> str | None:
    """The canonical slug; what is no slug (too long for an index, or with blanks) is none."""
    slug = fields.text(record, "canonical_slug", flags)
    if slug and not fields.NAME.fullmatch(slug):
        flags.append("wrong type: canonical_slug")
        return None
    return slug or None


def _instant(record: dict[str, Any], name: str, flags: list[str]) -> datetime | None:
    seconds = fields.whole(record, name, flags)
    if seconds is None:
        return None
    if seconds > _LAST_SECOND:
        flags.append(f"wrong type: {name}")
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _day(record: dict[str, Any], name: str, flags: list[str]) -> date | None:
    text = fields.text(record, name, flags)
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        flags.append(f"wrong type: {name}")
        return None


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
        if value_of is not None and -fields.LARGEST < value_of < fields.LARGEST:
            # one spelling: 1, 1.0 and 1e0 are the same document
            numbers[key] = int(value_of) if value_of == int(value_of) else canonical(value_of)
        elif number is not None:
            flags.append(f"wrong type: {name}.{key}")
    return tuple(sorted(numbers.items()))


def _flag_values(what: str, values: Iterable[str], known: frozenset[str], flags: list[str]) -> None:
    flags.extend(f"unknown {what}: {value}" for value in values if value not in known)
