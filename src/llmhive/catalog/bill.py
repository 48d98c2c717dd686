"""What OpenRouter billed: one request, or the requests of a day, with who served them and how.

Four shapes are read: a record of `/generation`, a response of the API, a row of `/activity`, and a row of the activity
export, a CSV file. The export is not documented. Files that people published have the columns of `EXPORT`; in them the
tokens are the billed (native) ones, times are UTC, and amounts are cut to six places, towards zero: ``0.01375682`` is
``0.013756``. What was written to a cache is not told there, but `cost_cache` is: what writing cost more than reading
saved. Sources: reference 4.1 and 4.2; github parisneto/anticharon, docs/sample/openrouter_activity_2026-08-24.csv.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from llmhive.catalog.pricing import canonical, exact
from llmhive.catalog.usage import Usage, count, is_told, mapping, shown
from llmhive.errors import UsageError

#: The columns of the activity export that are read.
EXPORT = (
    "generation_id", "created_at", "cost_total", "cost_web_search", "cost_cache", "cost_file_processing",
    "byok_usage_inference", "tokens_prompt", "tokens_completion", "tokens_reasoning", "tokens_cached",
    "model_permaslug", "provider_name", "variant", "num_search_results",
)  # fmt: skip
#: The places of decimals that the activity export cuts its amounts to.
EXPORT_PLACES = 6

#: One thing goes by several names; the first that says something counts.
_COSTS = ("usage", "cost_total", "total_cost", "cost")
_TIMES = ("created_at", "created", "time", "date")
#: Requests without a variant have this one in the export.
_NO_VARIANT = "standard"
#: OpenRouter is of 2023; programs write the year 1 or 9999 where they know no time.
_YEARS = (2020, 2100)
_SECONDS = re.compile(r"[0-9]{9,11}(?:\.[0-9]{1,9})?", re.ASCII)


class Bill(msgspec.Struct, frozen=True):
    """One request, or one day of one model on one endpoint, as OpenRouter billed it. None: not told."""

    model: str  #: the id or permaslug that was billed, with its variant
    usage: Usage
    at: datetime | None = None  #: UTC; of a day, its begin
    permaslug: str | None = None  #: where it is told beside the id
    provider: str | None = None  #: its name
    tier: str | None = None  #: the service tier that served it, as told
    is_byok: bool | None = None  #: whether the provider was paid by a key of one's own; of a mixed day None
    billed: Decimal | None = None  #: USD of credits
    upstream: Decimal | None = None  #: USD paid to the provider
    web: Decimal | None = None  #: USD for searching the web, of `billed`
    file: Decimal | None = None  #: USD for reading files, of `billed`
    cache: Decimal | None = None  #: USD for writing to caches less what reading saved, of `billed`: may be negative
    data: Decimal | None = None  #: USD for letting prompts be logged, of `billed`: a discount is negative
    requests: int = 1
    tool_calls: int = 0  #: calls of OpenRouter's own tools
    search_results: int = 0  #: results of web searches, not searches
    media: int = 0  #: media in the prompt, of any kind
    is_cache_hit: bool = False  #: whether OpenRouter answered from its response cache
    is_summed: bool = False  #: whether it sums up a day: no single request can be told from it
    places: int | None = None  #: places of decimals the amounts were cut to, towards zero; None: as billed
    id: str | None = None  #: of the generation or response

    @classmethod
    def of(cls, document: object) -> Bill:
        """Read a bill in any of the shapes; a `UsageError` says what is missing, or cannot be read.

        The names may be in capitals, as columns are. Of `/generation` also the whole answer is read, with its ``data``.
        """
        told = mapping(document)
        if told is None:
            raise UsageError(f"a bill is an object, not {shown(document)}")
        for wrapper in ("data", "response"):
            if wrapper in told:
                told = mapping(told[wrapper]) or told
        told = {_column(name): value for name, value in told.items()}
        usage = mapping(told["usage"]) if "usage" in told else None
        if usage is not None:
            return _answered(told, usage)
        if is_told(told, "date") and is_told(told, "requests"):
            return _day(told)
        return _generated(told)


def _answered(told: Mapping[str, Any], usage: Mapping[str, Any]) -> Bill:
    """A response, or those parts of it that somebody kept."""
    tools = mapping(usage.get("server_tool_use_details")) or {}
    details = mapping(usage.get("cost_details")) or {}
    return Bill(
        _model(told),
        Usage.of(usage),
        at=_time(told),
        permaslug=_text(told, "model_permaslug"),
        provider=_text(told, "provider", "provider_name"),
        tier=_text(told, "service_tier") or _text(usage, "service_tier"),
        is_byok=_flag(usage if is_told(usage, "is_byok") else told, "is_byok"),
        billed=_billed(usage if is_told(usage, "cost") or "cost" in usage.keys() - told.keys() else told, "cost"),
        upstream=_money(details if is_told(details, "upstream_inference_cost") else told, "upstream_inference_cost"),
        tool_calls=count(tools, _first(tools, ("tool_calls_executed", "tool_calls_requested"))),
        is_cache_hit=is_told(told, "response_cache_source_id"),
        id=_text(told, "id"),
    )


def _day(told: Mapping[str, Any]) -> Bill:
    """A row of `/activity`: what one model on one endpoint was used on one day."""
    at, requests = _time(told), count(told, "requests")
    billed, upstream = _billed(told, *_COSTS), _money(told, "byok_usage_inference")
    if is_told(told, "byok_requests"):
        with_key = count(told, "byok_requests")
        is_byok = with_key > 0 if with_key in {0, requests} else None
    else:
        # credits beside a key of one's own are its fee, or those of other requests
        is_byok = None if upstream is None or (upstream and billed) else upstream > 0
    if not is_told(told, "prompt_tokens"):
        raise UsageError(f"the bill has no prompt_tokens; it has {_names(told)}")
    return Bill(
        _model(told),
        Usage(
            count(told, "prompt_tokens"),
            count(told, "completion_tokens"),
            reasoning=count(told, "reasoning_tokens"),
            requests=requests,
        ),
        at=at and datetime.combine(at.date(), time(), UTC),
        permaslug=_text(told, "model_permaslug"),
        provider=_text(told, "provider_name", "provider"),
        is_byok=is_byok,
        billed=billed,
        upstream=upstream or None,
        requests=requests,
        is_summed=True,
    )


def _generated(told: Mapping[str, Any]) -> Bill:
    """A record of `/generation`, or a row of the activity export."""
    upstream = _money(told, "upstream_inference_cost", "byok_usage_inference")
    is_byok = _flag(told, "is_byok")
    if is_byok is None and is_told(told, "byok_usage_inference"):
        is_byok = bool(upstream)
    return Bill(
        _model(told),
        Usage.of(told),
        at=_time(told),
        permaslug=_text(told, "model_permaslug"),
        provider=_text(told, "provider_name", "provider"),
        tier=_text(told, "service_tier"),
        is_byok=is_byok,
        billed=_billed(told, *_COSTS),
        # told where a key of one's own was used; 0 says no more than that none was
        upstream=upstream if upstream or is_byok else None,
        web=_money(told, "usage_web", "cost_web_search"),
        file=_money(told, "usage_file", "cost_file_processing"),
        cache=_money(told, "usage_cache", "cost_cache"),
        data=_money(told, "usage_data"),
        search_results=count(told, "num_search_results"),
        media=count(told, "num_media_prompt"),
        is_cache_hit=is_told(told, "response_cache_source_id"),
        places=EXPORT_PLACES if "cost_total" in told else None,
        id=_text(told, "id", "generation_id"),
    )


# --- single values


@lru_cache(maxsize=4096, typed=True)
def _column(name: object) -> str:
    # the first column of a file may begin with a byte order mark
    return str(name).lstrip("\ufeff").strip().lower().replace(" ", "_")


def _first(told: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """The first of the names by which a document says something; the last where it is none."""
    for name in names:
        value = told.get(name)
        if value is not None and not (isinstance(value, str) and not value.strip()):
            return name
    return names[-1]


def _names(told: Mapping[str, Any]) -> str:
    names = [shown(str(name)) for name in told]
    return ", ".join(names[:40]) + (", …" if len(names) > 40 else "") if names else "nothing"


def _model(told: Mapping[str, Any]) -> str:
    model = _text(told, "model", "model_permaslug")
    if model is None:
        raise UsageError(f"the bill has no model (model or model_permaslug); it has {_names(told)}")
    variant = _text(told, "variant")
    return model if variant in {None, _NO_VARIANT} or ":" in model else f"{model}:{variant}"


def _text(told: Mapping[str, Any], *names: str) -> str | None:
    name = _first(told, names)
    value = told.get(name)
    if value is None or isinstance(value, str):
        return value.strip() or None if value else None
    raise UsageError(f"{name} is a text, not {shown(value)}")


def _flag(told: Mapping[str, Any], name: str) -> bool | None:
    value = told.get(name)
    if isinstance(value, bool):
        return value
    if not is_told(told, name):
        return None
    if isinstance(value, str) and value.strip().lower() in {"true", "false"}:
        return value.strip().lower() == "true"
    raise UsageError(f"{name} is true or false, not {shown(value)}")


def _billed(told: Mapping[str, Any], *names: str) -> Decimal | None:
    if not any(name in told for name in names):
        raise UsageError(f"the bill has no cost ({' or '.join(names)}); it has {_names(told)}")
    return _money(told, *names)


def _money(told: Mapping[str, Any], *names: str) -> Decimal | None:
    """An amount of USD, every digit that was served: a float is what its shortest spelling says."""
    name = _first(told, names)
    value = told.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, float):
        value = repr(value)
    elif isinstance(value, str):
        value = value.strip()
        if not value:
            return None
    # no amount has so many digits that Python would not spell it
    amount = None if isinstance(value, int) and value.bit_length() > 200 else exact(value)
    if amount is None:
        raise UsageError(f"{name} is an amount of USD, not {shown(value)}")
    return canonical(amount)


def _time(told: Mapping[str, Any]) -> datetime | None:
    """An instant: a time, ISO 8601, or seconds since 1970; UTC unless it says otherwise."""
    name = _first(told, _TIMES)
    value = told.get(name)
    if not is_told(told, name):
        return None
    at = None
    try:
        if isinstance(value, date):
            value = value.isoformat()
        if isinstance(value, str) and not _SECONDS.fullmatch(value.strip()):
            at = datetime.fromisoformat(value.strip())
            at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        elif isinstance(value, str | int | float | Decimal) and not isinstance(value, bool):
            at = datetime.fromtimestamp(float(value), UTC)
    except (ValueError, OverflowError, OSError):
        at = None
    if at is not None and _YEARS[0] <= at.year <= _YEARS[1]:
        return at
    raise UsageError(f"{name} is a time as in 2026-08-01T12:00:00Z or seconds since 1970, not {shown(value)}")
