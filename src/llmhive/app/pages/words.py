"""How figures are written on pages. A price keeps all its digits; what is rounded says the exact figure on hover."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

from llmhive.app import wording
from llmhive.catalog.pricing import PER_TOKEN, UNITS, counts_tokens, exact, per_million, plain

UNKNOWN = "unknown"
#: What stands for a price that is decided per request.
VARIES = "varies"
FREE = "free"
#: How long a model is called new.
NEW = timedelta(days=30)
#: After so long a catalog is called old.
OLD = timedelta(days=1)
#: Behind a price of tokens.
PER_MILLION = " / M"
_SIZES = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K"))
_SPANS = ((365 * 86_400, "year"), (30 * 86_400, "month"), (86_400, "day"), (3_600, "hour"), (60, "minute"))
#: Units whose name says too little.
UNIT_NAMES = {
    "image": "Image in",
    "image_token": "Image tokens in",
    "image_output": "Image out",
    "audio": "Audio in",
    "audio_output": "Audio out",
    "input_audio_cache": "Audio cache read",
    "internal_reasoning": "Reasoning",
    "input_cache_read": "Cache read",
    "input_cache_write": "Cache write",
    "input_cache_write_1h": "Cache write, 1 h",
}
#: Capabilities whose name says too little, or too much.
_CAPABILITIES = {
    "file_input": "files in",
    "audio_input": "audio in",
    "video_input": "video in",
    "image_output": "images out",
    "audio_output": "audio out",
    "video_output": "video out",
    "rerank": "reranking",
    "parallel_tool_calls": "parallel tools",
    "structured_outputs": "JSON schema",
    "json_mode": "JSON mode",
    "logprobs": "log probabilities",
    "prediction": "predicted output",
    "stop": "stop words",
}


def usd(amount: str | Decimal | None) -> str:
    """A sum in USD, every digit of it, two decimals at least."""
    if amount is None:
        return UNKNOWN
    number = Decimal(amount)
    whole, _, decimals = plain(abs(number)).partition(".")
    return f"{'−' if number < 0 else ''}${int(whole):,}.{decimals:0<2}"


def rate(value: str | Decimal | None, unit: str, outputs: Iterable[str] = ()) -> str:
    """A rate with what it is for: ``$3.00 / M``, ``$0.01 each``."""
    if value is None:
        return UNKNOWN
    number = Decimal(value)
    if unit in PER_TOKEN and counts_tokens(outputs):
        return f"{usd(per_million(number))}{PER_MILLION}"
    return f"{usd(number)} each"


def price(value: Any, unit: str, kind: str, outputs: Iterable[str]) -> str:
    """A price of a model of some kind of pricing. A zero is one, unless all its prices are and it is not free: then it
    is priced elsewhere.
    """
    number = exact(value)
    if number is None:
        return VARIES if kind == "dynamic" else UNKNOWN
    if number < 0:
        return VARIES
    if not number and kind in {"free", "unknown"}:
        return FREE if kind == "free" else UNKNOWN
    return rate(number, unit, outputs)


def price_in_column(value: Any, unit: str, kind: str, outputs: Iterable[str]) -> str:
    """The same, where the head of the column says that it is per million tokens."""
    return price(value, unit, kind, outputs).removesuffix(PER_MILLION)


def count(number: int | None) -> str:
    """A whole number with separators."""
    return UNKNOWN if number is None else f"{number:,}"


def short(number: int | None) -> str:
    """A number in three digits: ``128K``, ``1.05M``."""
    if number is None:
        return UNKNOWN
    for size, name in _SIZES:
        # what rounds up to a thousand of one unit is one of the next
        if 10_000 * number >= 9_995 * size:
            share = Decimal(number) / size
            places = 2 if share < Decimal("9.995") else 1 if share < Decimal("99.95") else 0
            text = f"{share:.{places}f}"
            return f"{text.rstrip('0').rstrip('.') if '.' in text else text}{name}"
    return str(number)


def percent(fraction: str | Decimal | float | None, places: int = 2) -> str:
    """A fraction as a percentage, cut off; what is less, but not nothing, says so."""
    return UNKNOWN if fraction is None else wording.percent(Decimal(str(fraction)), places)


def signed(fraction: str | Decimal, places: int = 1) -> str:
    """By how much more or less, as a percentage with its sign: ``+7.1 %``, ``−17.2 %``; rounded."""
    share = Decimal(fraction) * 100
    if abs(share) >= 10**9:
        return f"{'−' if share < 0 else '+'}>{10**9:,} %"
    share = share.quantize(Decimal(1).scaleb(-places))
    return f"{'−' if share < 0 else '+' if share > 0 else ''}{abs(share):,} %"


def uptime(percentage: float | None) -> str:
    """Percent with two decimals, cut off: 99.999 is not 100."""
    return UNKNOWN if percentage is None else f"{wording.cut_off(Decimal(str(percentage)))} %"


def instant(value: str | datetime) -> datetime:
    """An instant, whichever way it is told."""
    at = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def moment(value: str | datetime | None) -> str:
    """An instant to the minute."""
    return UNKNOWN if value is None else f"{instant(value):%Y-%m-%d %H:%M} UTC"


def day(value: str | date | datetime | None) -> str:
    """The day of an instant, in UTC."""
    if value is None:
        return UNKNOWN
    if isinstance(value, str) and len(value) == 10:
        return value
    return value.isoformat() if type(value) is date else f"{instant(value):%Y-%m-%d}"  # type: ignore[arg-type]


def is_new(created_at: str | datetime | None, today: date) -> bool:
    """Whether a model was added to OpenRouter a short time ago, by days in UTC."""
    return created_at is not None and today - instant(created_at).date() <= NEW


def span(seconds: float) -> str:
    """A length of time in the largest unit that fits: ``3 minutes``."""
    for size, name in _SPANS:
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {name}{'' if number == 1 else 's'}"
    return f"{int(seconds)} s"


def ago(value: str | datetime | None, now: datetime) -> str:
    """How long ago an instant was, or in how long it will be."""
    if value is None:
        return "never"
    past = (now - instant(value)).total_seconds()
    if abs(past) < 60:
        return "just now"
    return f"{span(past)} ago" if past > 0 else f"in {span(-past)}"


def days_left(value: str | date, now: datetime) -> str:
    """In how many days a day is."""
    left = (date.fromisoformat(value) if isinstance(value, str) else value) - now.date()
    if left < timedelta(0):
        return f"{-left.days} day{'' if left.days == -1 else 's'} ago"
    return "today" if not left else f"in {left.days} day{'' if left.days == 1 else 's'}"


def unit_name(unit: str) -> str:
    """What a unit is called."""
    return UNIT_NAMES.get(unit, unit.replace("_", " ").capitalize())


def capability_label(name: str) -> str:
    """What a capability is called, in a word or two."""
    return _CAPABILITIES.get(name) or name.replace("_", " ")


def in_order(units: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Prices in the order of OpenRouter's units."""
    order = {unit: position for position, unit in enumerate(UNITS)}
    return sorted(units.items(), key=lambda it: (order.get(it[0], len(order)), it[0]))


def model_url(model_id: str) -> str:
    """The page of a model."""
    return "/models/" + quote(model_id, safe="/:~@")


def with_query(path: str, **parameters: Any) -> str:
    """An address with parameters; None and empty ones are left out, lists repeat."""
    kept = {name: value for name, value in parameters.items() if value not in (None, "", [], ())}
    return f"{path}?{urlencode(kept, doseq=True)}" if kept else path


FILTERS: dict[str, Callable[..., Any]] = {
    "price_in_column": price_in_column, "count": count, "short": short, "percent": percent,
    "moment": moment, "day": day, "ago": ago, "span": span, "days_left": days_left,
    "capability": capability_label,
}  # fmt: skip
GLOBALS: dict[str, Any] = {
    "model_url": model_url, "with_query": with_query, "UNKNOWN": UNKNOWN, "VARIES": VARIES, "FREE": FREE,
}  # fmt: skip
