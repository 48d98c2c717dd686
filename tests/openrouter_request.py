"""What OpenRouter takes in a chat request, as far as a shortlist says anything: our own JSON Schema of those facts.

From OpenRouter's OpenAPI document (schemas ChatRequest, ProviderPreferences, Quantization, ProviderSort and
ProviderSortConfig), as its SDKs carry it. There every field but `messages` may be left out, `model` and `models` may
both be there, other keys in `provider` are refused, and limits of price are strings. It has no limit for `models`: that
it takes three is what OpenRouter answers to longer lists.
"""

from __future__ import annotations

from typing import Any


def _or_null(**schema: Any) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


_FLAG = _or_null(type="boolean")
_NAMES = _or_null(type="array", items={"type": "string"})
_SORTS = ["price", "throughput", "latency", "exacto"]
_PERCENTILES = {name: _or_null(type="number") for name in ("p50", "p75", "p90", "p99")}
_WISH = {"anyOf": [{"type": ["number", "null"]}, {"type": "object", "properties": _PERCENTILES}]}
_LIMIT = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"}

#: The `provider` object.
PROVIDER: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        **dict.fromkeys(("order", "only", "ignore"), _NAMES),
        **dict.fromkeys(("allow_fallbacks", "require_parameters", "zdr", "enforce_distillable_text"), _FLAG),
        **dict.fromkeys(("preferred_min_throughput", "preferred_max_latency"), _WISH),
        "data_collection": {"enum": ["allow", "deny", None]},
        "quantizations": _or_null(
            type="array",
            items={
                "enum": [
                    "int4", "int8", "fp4", "mxfp4", "nvfp4", "fp6", "fp8", "mxfp8", "fp16", "bf16", "fp32", "unknown",
                ]
            },
        ),
        "sort": {
            "anyOf": [
                {"enum": [*_SORTS, None]},
                {
                    "type": "object",
                    "properties": {"by": {"enum": [*_SORTS, None]}, "partition": {"enum": ["model", "none", None]}},
                },
            ]
        },
        "max_price": {
            "type": "object",
            "properties": dict.fromkeys(("prompt", "completion", "request", "image", "audio"), _LIMIT),
        },
    },
}  # fmt: skip

#: A request without its messages, as we give it away: nothing in it is empty or said twice.
REQUEST: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["model"],
    "properties": {
        "model": {"type": "string", "minLength": 1},
        "models": {
            "type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 3, "uniqueItems": True,
        },
        "provider": {**PROVIDER, "minProperties": 1},
    },
}  # fmt: skip
