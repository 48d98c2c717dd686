"""OpenRouter's JSON → offers, zero-data-retention pairs, providers; pure.

Record by record, as in `decode`: one that cannot be read is quarantined with its reason and the rest goes on; unknown
fields are ignored, unknown quantizations and providers kept. Shapes: reference 6.1 to 6.3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec

from llmhive.app.openrouter import fields
from llmhive.app.openrouter.envelope import UNREADABLE, mended, split
from llmhive.catalog.endpoint import Endpoint, Health, Offer, Provider
from llmhive.catalog.pricing import canonical, exact
from llmhive.errors import BadAnswer

T = TypeVar("T")

#: A median below this many milliseconds is taken for seconds: no model answers over a network within 20 ms, and
#: OpenRouter's example shows seconds where its text says milliseconds (reference 6.1).
FASTEST_MS = 20
_LARGEST_RATE = 10**12
_LARGEST_STATUS = 2**31 - 1
_URL = re.compile(r"https?://[^\s\x00-\x1f\x7f]{1,2000}")


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """What an answer says."""

    values: tuple[T, ...]
    unreadable: tuple[str, ...] = ()  #: why each record in quarantine cannot be read


class _Model(msgspec.Struct):
    endpoints: list[msgspec.Raw] | None = None


class _Answer(msgspec.Struct):
    data: _Model | None = None


_ANSWER = msgspec.json.Decoder(_Answer)


def endpoints(body: bytes, model_id: str) -> Read[Offer]:
    """The offers of ``GET /models/{id}/endpoints``, under the id that was asked for.

    Raises `BadAnswer` where the body is no such answer.
    """
    try:
        found = mended(body, _ANSWER).data
    except UNREADABLE as error:
        raise BadAnswer(f"The answer about the endpoints of {model_id} is none: {_why(body, error)}.") from error
    if found is None or found.endpoints is None:
        raise BadAnswer(f"The answer about the endpoints of {model_id} has no endpoints: {_start(body)}.")
    return _read(found.endpoints, lambda record: _offer(record, model_id))


def zdr(body: bytes) -> Read[tuple[str, str]]:
    """The (model id, tag) pairs of ``GET /endpoints/zdr``: the endpoints that keep no data."""
    return _read(_listed(body, "endpoints without data retention"), _pair)


def providers(body: bytes) -> Read[Provider]:
    """The providers of ``GET /providers``; of those with one slug the first."""
    read = _read(_listed(body, "providers"), _provider)
    found: dict[str, Provider] = {}
    for provider in read.values:
        found.setdefault(provider.slug, provider)
    return Read(tuple(found.values()), read.unreadable)


def _listed(body: bytes, what: str) -> list[msgspec.Raw]:
    try:
        data = split(body).data
    except UNREADABLE as error:
        raise BadAnswer(f"The answer is no list of {what}: {_why(body, error)}.") from error
    if data is None:
        raise BadAnswer(f"The answer is no list of {what}: {_start(body)}.")
    return data


def _why(body: bytes, error: BaseException) -> str:
    return f"{error}; {_start(body)}"


def _start(body: bytes) -> str:
    return f"it begins {body[:60].decode('utf-8', 'replace').strip()!r}"


def _read(listed: Iterable[msgspec.Raw], understand: Callable[[dict[str, Any]], T]) -> Read[T]:
    values, unreadable = [], []
    for position, raw in enumerate(map(bytes, listed)):
        try:
            values.append(understand(fields.record(raw)))
        except fields.Quarantined as why:
            unreadable.append(f"record {position}: {why}")
    return Read(tuple(values), tuple(unreadable))


def _offer(record: dict[str, Any], model_id: str) -> Offer:
    flags: list[str] = []  # what is not understood here changes nothing for the reader
    served = record.get("pricing")
    discount = exact(served.get("discount")) if isinstance(served, dict) else None
    quantization = fields.text(record, "quantization", flags)
    endpoint = Endpoint(
        model_id=model_id,
        tag=_name(record, "tag"),
        provider_name=_title(record, "provider_name"),
        context_length=fields.whole(record, "context_length", flags),
        max_completion_tokens=fields.whole(record, "max_completion_tokens", flags),
        max_prompt_tokens=fields.whole(record, "max_prompt_tokens", flags),
        # "unknown" and null are said of the same endpoints
        quantization=None if quantization == "unknown" else quantization or None,
        pricing=fields.pricing(served, flags),
        discount=None if discount is None else canonical(discount),
        supported_parameters=fields.strings(record, "supported_parameters", flags),
        supports_implicit_caching=fields.truth(record, "supports_implicit_caching", flags),
        supports_voice_cloning=fields.truth(record, "supports_voice_cloning", flags),
    )
    return Offer(endpoint, _health(record))


def _health(record: dict[str, Any]) -> Health:
    latency = _percentiles(record.get("latency_last_30m"))
    throughput = _percentiles(record.get("throughput_last_30m"))
    median = next((value for value in latency if value is not None), None)
    if median is not None and median < FASTEST_MS:
        latency = tuple(None if value is None else value * 1000 for value in latency)
    return Health(
        status=_status(record.get("status")),
        uptime_last_5m=_number(record.get("uptime_last_5m"), 100),
        uptime_last_30m=_number(record.get("uptime_last_30m"), 100),
        uptime_last_1d=_number(record.get("uptime_last_1d"), 100),
        latency_p50=latency[0],
        latency_p90=latency[1],
        throughput_p50=throughput[0],
        throughput_p90=throughput[1],
    )


def _percentiles(served: Any) -> tuple[float | None, ...]:
    found = served if isinstance(served, dict) else {}
    return tuple(_number(found.get(name), _LARGEST_RATE) for name in ("p50", "p90"))


def _number(value: Any, largest: int) -> float | None:
    """A measured number from 0 to `largest`; anything else is not known."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 <= value <= largest:
        return None
    return float(value)


def _status(value: Any) -> int | None:
    number = None if isinstance(value, str) else exact(value)
    if number is None or abs(number) > _LARGEST_STATUS or number != int(number):
        return None
    return int(number)


def _pair(record: dict[str, Any]) -> tuple[str, str]:
    return _name(record, "model_id"), _name(record, "tag")


def _provider(record: dict[str, Any]) -> Provider:
    flags: list[str] = []
    places = record.get("datacenters")
    return Provider(
        slug=_name(record, "slug"),
        name=_title(record, "name"),
        headquarters=fields.text(record, "headquarters", flags) or None,
        datacenters=fields.strings(record, "datacenters", flags) if isinstance(places, list) else None,
        privacy_policy_url=_url(record, "privacy_policy_url"),
        terms_of_service_url=_url(record, "terms_of_service_url"),
        status_page_url=_url(record, "status_page_url"),
    )


def _name(record: dict[str, Any], key: str) -> str:
    value = record.get(key)
    if not isinstance(value, str) or not fields.NAME.fullmatch(value):
        raise fields.Quarantined(f"it has no {key}" if value is None else f"its {key} is not one: {str(value)[:60]!r}")
    return value


def _title(record: dict[str, Any], key: str) -> str:
    value = record.get(key)
    if not isinstance(value, str) or not 0 < len(value.strip()) <= 255:
        raise fields.Quarantined(f"it has no {key}" if value is None else f"its {key} is not one: {str(value)[:60]!r}")
    return value.strip()


def _url(record: dict[str, Any], key: str) -> str | None:
    value = record.get(key)
    # it becomes a link on our pages: nothing but the web
    return value if isinstance(value, str) and _URL.fullmatch(value) else None
