"""What a request used: tokens, images, searches, counted; and how the shapes in which it is told are read.

Everything is told as OpenRouter counts: `prompt` includes what was read from a cache or written to one, `completion`
includes reasoning. Parts larger than their whole are not refused: real bills have them, and what they cost is a matter
of pricing. A count that is not told is 0, but for the prompt: no request is without one. Sources: reference 4.1 and
4.2, OpenAI's Responses and Anthropic's Messages API.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn

import msgspec

from llmhive.errors import UsageError

#: A count has at most so many digits: more is no count of tokens, and might not be priced exactly.
DIGITS = 15
_LIMIT = 10**DIGITS - 1
_NONE, _ONE = 0, 1
_WHOLE = re.compile(rf"([0-9]{{1,{DIGITS}}})(?:\.0*)?", re.ASCII)
#: Where usage may lie in an answer: responses and last chunks, `/generation`, the last event of the Responses API.
_WRAPPERS = ("usage", "data", "response")
_DEPTH = 4
#: Only Anthropic's usage has these; there `input_tokens` leaves out what was read from a cache, and what was written.
_ANTHROPIC = ("cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation")
_UNDERSTOOD = (
    "understood are the `usage` of OpenRouter and OpenAI (prompt_tokens, completion_tokens; input_tokens, "
    "output_tokens), that of Anthropic (input_tokens, cache_read_input_tokens), a record of /generation "
    "(native_tokens_prompt), and our own names (prompt, completion)"
)


class Usage(msgspec.Struct, frozen=True):
    """What one request used, or the sum of several: whole numbers of 0 or more, of at most 15 digits. Anything else is
    a `UsageError`.
    """

    prompt: int = 0  #: tokens in: plain, cached, written, audio and image ones
    completion: int = 0  #: tokens out: text, reasoning, audio and image ones
    cached: int = 0  #: tokens read from a cache (of `prompt`)
    written: int = 0  #: tokens written to a cache for five minutes, or for a time that is not told (of `prompt`)
    written_1h: int = 0  #: tokens written to a cache for an hour (of `prompt`)
    reasoning: int = 0  #: of `completion`
    audio: int = 0  #: audio tokens in, not from a cache (of `prompt`)
    audio_cached: int = 0  #: audio tokens read from a cache (of `cached`)
    audio_output: int = 0  #: audio tokens out (of `completion`)
    image_tokens: int = 0  #: image tokens in (of `prompt`)
    image_output: int = 0  #: image tokens out (of `completion`)
    images: int = 0  #: images in, counted
    requests: int = 1
    web_searches: int = 0

    def __post_init__(self) -> None:
        # written out: a loop takes three times as long, and this stands before every price. Most counts are what they
        # are by default, and that is seen most quickly by identity; what is not the same object is looked at
        if (
            type(self.prompt) is not int or not 0 <= self.prompt <= _LIMIT
            or type(self.completion) is not int or not 0 <= self.completion <= _LIMIT
            or ((it := self.cached) is not _NONE and (type(it) is not int or not 0 <= it <= _LIMIT))
            or ((it := self.written) is not _NONE and (type(it) is not int or not 0 <= it <= _LIMIT))
            or ((it := self.written_1h) is not _NONE and (type(it) is not int or not 0 <= it <= _LIMIT))
            or ((it := self.reasoning) is not _NONE and (type(it) is not int or not 0 <= it <= _LIMIT))
            or ((it := self.audio) is not _NONE and (type(it) is not int or not 0 <= it <= _LIMIT))
            or ((it := self.audio_cached) is not _NONE and (type(it) is not int or not 0 <= it <= _LIMIT))
            or ((it := self.audio_output) is not _NONE and (type(it) is not int or not 0 <= it <= _LIMIT))
            or ((it := self.image_tokens) is not _NONE and (type(it) is not int or not 0 <= it <= _LIMIT))
            or ((it := self.image_output) is not _NONE and (type(it) is not int or not 0 <= it <= _LIMIT))
            or ((it := self.images) is not _NONE and (type(it) is not int or not 0 <= it <= _LIMIT))
            or ((it := self.requests) is not _ONE and (type(it) is not int or not 0 <= it <= _LIMIT))
            or ((it := self.web_searches) is not _NONE and (type(it) is not int or not 0 <= it <= _LIMIT))
        ):  # fmt: skip
            for name in FIELDS:
                value = getattr(self, name)
                if type(value) is not int or not 0 <= value <= _LIMIT:
                    _refuse(name, value)

    @classmethod
    def of(cls, document: object) -> Usage:
        """Read usage in any shape that is understood, also where it lies in a whole response.

        `document` is a mapping, a `Usage`, or an object of an SDK that `model_dump` or `dict` turns into a mapping.
        Nulls and empty strings count as absent; whole numbers may be written ``12``, ``12.0`` or ``"12"``.
        """
        for _ in range(_DEPTH):
            if type(document) is cls:
                return document
            told = document if type(document) is dict else mapping(document)
            if told is None:
                raise UsageError(f"usage is told by an object, not by {shown(document)}: {_UNDERSTOOD}")
            for name in _WRAPPERS:
                inner = told.get(name)
                if inner is not None and (type(inner) is dict or mapping(inner) is not None):
                    document = inner
                    break
            else:
                return _read(told)
        raise UsageError(f"usage lies too deep in the document: {_UNDERSTOOD}")

    def to_json(self) -> dict[str, int]:
        """The counts by name, without zeros and without a single request; `of` reads it back."""
        told = {name: value for name, value in zip(FIELDS, msgspec.structs.astuple(self), strict=True) if value}
        if self.requests == 1:
            del told["requests"]
        elif not self.requests:
            told["requests"] = 0
        return told or {"prompt": 0}

    def __add__(self, other: Usage) -> Usage:
        """The sum of both, their requests too."""
        ours, theirs = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return Usage(*(one + another for one, another in zip(ours, theirs, strict=True)))


#: The names of the counts, in order.
FIELDS = Usage.__struct_fields__


def _read(told: Mapping[str, Any]) -> Usage:
    if is_told(told, "prompt_tokens"):
        into = _part(told, "prompt_tokens_details")
        out = _part(told, "completion_tokens_details")
        return _openai(told, count(told, "prompt_tokens"), count(told, "completion_tokens"), into, out)
    if is_told(told, "input_tokens"):
        into = _part(told, "input_tokens_details")
        if not into and any(name in told for name in _ANTHROPIC):
            return _anthropic(told)
        out = _part(told, "output_tokens_details")
        return _openai(told, count(told, "input_tokens"), count(told, "output_tokens"), into, out)
    if is_told(told, "native_tokens_prompt") or is_told(told, "tokens_prompt"):
        return _generation(told)
    if any(is_told(told, name) for name in FIELDS):
        return _ours(told)
    for name in ("completion_tokens", "output_tokens", "native_tokens_completion", "tokens_completion"):
        if is_told(told, name):
            raise UsageError(f"usage has {name}, but does not say how long the prompt was: it would cost too little")
    raise UsageError(f"there is no token count in usage: {_UNDERSTOOD}")


def _openai(
    told: Mapping[str, Any], prompt: int, completion: int, into: Mapping[str, Any], out: Mapping[str, Any]
) -> Usage:
    return Usage(
        prompt,
        completion,
        cached=count(into, "cached_tokens"),
        written=count(into, "cache_write_tokens"),
        reasoning=count(out, "reasoning_tokens"),
        audio=count(into, "audio_tokens"),
        audio_output=count(out, "audio_tokens"),
        image_tokens=count(into, "image_tokens"),
        image_output=count(out, "image_tokens"),
        web_searches=_searches(told),
    )


def _anthropic(told: Mapping[str, Any]) -> Usage:
    kept = _part(told, "cache_creation")
    for_an_hour = count(kept, "ephemeral_1h_input_tokens")
    for_minutes = count(kept, "ephemeral_5m_input_tokens")
    # the sum and its parts may both be told; what no part has was written for the default time
    written = max(count(told, "cache_creation_input_tokens") - for_an_hour, for_minutes)
    cached = count(told, "cache_read_input_tokens")
    return Usage(
        count(told, "input_tokens") + cached + written + for_an_hour,
        count(told, "output_tokens"),
        cached=cached,
        written=written,
        written_1h=for_an_hour,
        web_searches=_searches(told),
    )


def _generation(told: Mapping[str, Any]) -> Usage:
    # `tokens_*` of /generation were counted by another tokenizer than the one that is billed. The activity export has
    # no other names, and means the billed ones by them. `num_media_prompt` and `num_search_results` count neither
    # images nor searches: media of any kind, whose tokens are in the prompt, and results
    return Usage(
        _native(told, "prompt"),
        _native(told, "completion"),
        cached=_native(told, "cached"),
        reasoning=_native(told, "reasoning"),
        image_output=count(told, "native_tokens_completion_images"),
    )


def _native(told: Mapping[str, Any], name: str) -> int:
    native = f"native_tokens_{name}"
    return count(told, native if is_told(told, native) else f"tokens_{name}")


def _ours(told: Mapping[str, Any]) -> Usage:
    if unknown := [str(name) for name in told if name not in FIELDS]:
        raise UsageError(f"usage has no {', '.join(unknown)}; it has {', '.join(FIELDS)}")
    # the requests are 1 where they are not told
    return Usage(**{name: count(told, name) for name in told if is_told(told, name)})


def _searches(told: Mapping[str, Any]) -> int:
    if told.get("server_tool_use_details") is not None:
        return count(_part(told, "server_tool_use_details"), "web_search_requests")
    if told.get("server_tool_use") is not None:
        return count(_part(told, "server_tool_use"), "web_search_requests")
    return 0


_NOTHING: Mapping[str, Any] = {}


def _part(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = told.get(name)
    if type(part) is dict:
        return part
    if part is None:
        return _NOTHING
    read = mapping(part)
    if read is None:
        raise UsageError(f"{name} is an object, not {shown(part)}")
    return read


def is_told(told: Mapping[str, Any], name: str) -> bool:
    """Whether a document says anything by a name: nulls and empty strings say nothing."""
    value = told.get(name)
    return value is not None and not (isinstance(value, str) and not value.strip())


def mapping(document: object) -> Mapping[str, Any] | None:
    """A document as a mapping: itself, or what an SDK's object makes of itself; None where it is none."""
    if isinstance(document, Mapping):
        return document
    if isinstance(document, Usage):
        return document.to_json()
    if isinstance(document, type):
        return None
    for name in ("model_dump", "dict"):
        dump = getattr(document, name, None)
        if callable(dump) and isinstance(dumped := dump(), Mapping):
            return dumped
    return None


def count(told: Mapping[str, Any], name: str) -> int:
    """A count that a document tells, 0 where it does not."""
    value = told.get(name)
    if type(value) is int and 0 <= value <= _LIMIT:
        return value
    if value is None:
        return 0
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return 0
        if match := _WHOLE.fullmatch(text):
            return int(match[1])
    # comparing refuses what is not finite, and int() is asked only of what is small
    elif isinstance(value, float | Decimal) and _is_count(value):
        return int(value)
    return _refuse(name, value)


def _is_count(value: float | Decimal) -> bool:
    if isinstance(value, Decimal) and not value.is_finite():
        return False
    return 0 <= value <= _LIMIT and value == int(value)


def _refuse(name: str, value: object) -> NoReturn:
    raise UsageError(f"{name} is a whole number of 0 or more, of at most {DIGITS} digits, not {shown(value)}")


def shown(value: object) -> str:
    """A value of a document for a message, not longer than a message should be."""
    if isinstance(value, int) and value.bit_length() > 200:
        return "a number of more than 60 digits"
    if value is None or isinstance(value, str | int | float | Decimal):
        text = repr(str(value)) if isinstance(value, str) else str(value)
        return text if len(text) <= 60 else f"{text[:57]}…"
    return f"a value of type {type(value).__name__}"
