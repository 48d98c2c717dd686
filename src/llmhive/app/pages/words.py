"""How figures are written on pages. A price keeps all its digits; what is rounded says the exact figure on hover."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Any
from urllib.parse import quote, urlencode

from llmhive.catalog.pricing import NOT_PER_TOKEN, PER_TOKEN, UNITS, exact, per_million, plain

UNKNOWN = "unknown"
_SIZES = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K"))
_SPANS = ((365 * 86_400, "year"), (30 * 86_400, "month"), (86_400, "day"), (3_600, "hour"), (60, "minute"))
#: Units whose name says too little.
UNIT_NAMES = {
    "image": "Image in",
    "image_output": "Image out",
    "audio": "Audio in",
    "audio_output": "Audio out",
    "input_audio_cache": "Audio cache read",
    "internal_reasoning": "Reasoning",
    "input_cache_read": "Cache read",
    "input_cache_write": "Cache write",
    "input_cache_write_1h": "Cache write, 1 h",
}


def usd(amount: str | Decimal | None) -> str:
    """A sum in USD, every digit of it, two decimals at least."""
    if amount is None:
        return UNKNOWN
    number = Decimal(amount)
    whole, _, decimals = plain(abs(number)).partition(".")
    return f"{'−' if number < 0 else ''}${int(whole):,}.{decimals:0<2}"


def per_token(rate: str | Decimal | None, kind: str = "fixed") -> str:
    """USD per token, shown per million."""
    if rate is None:
        return "varies" if kind == "dynamic" else UNKNOWN
    if kind == "free" and not Decimal(rate):
        return "free"
    return usd(per_million(Decimal(rate)))


def rate(value: str | Decimal | None, unit: str, outputs: object = ()) -> str:
    """A rate with what it is for: ``$3.00 / M``, ``$0.01 each``."""
    if value is None:
        return UNKNOWN
    number = Decimal(value)
    if unit in PER_TOKEN and not NOT_PER_TOKEN.intersection(outputs if isinstance(outputs, list | tuple) else ()):
        return f"{usd(per_million(number))} / M"
    return f"{usd(number)} each"


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
    if fraction is None:
        return UNKNOWN
    share, least = Decimal(str(fraction)) * 100, Decimal(1).scaleb(-places)
    if 0 < share < least:
        return f"<{least} %"
    return f"{share.quantize(least, ROUND_DOWN)} %"


def signed(fraction: str | Decimal, places: int = 1) -> str:
    """By how much more or less, as a percentage with its sign: ``+7.1 %``, ``−17.2 %``; rounded."""
    share = Decimal(fraction) * 100
    if abs(share) >= 10**9:
        return f"{'−' if share < 0 else '+'}>{10**9:,} %"
    share = share.quantize(Decimal(1).scaleb(-places))
    return f"{'−' if share < 0 else '+' if share > 0 else ''}{abs(share):,} %"


def uptime(percentage: float | None) -> str:
    """Percent with two decimals, cut off: 99.999 is not 100."""
    return UNKNOWN if percentage is None else f"{Decimal(str(percentage)).quantize(Decimal('0.01'), ROUND_DOWN)} %"


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


def condition(when: Mapping[str, Any]) -> str:
    """When an override applies, in words; what we do not understand as it stands."""
    words = []
    least, start, end = when.get("min_prompt_tokens"), when.get("utc_start", 0), when.get("utc_end", 0) or 2400
    if isinstance(least, int):
        words.append(f"above {least:,} prompt tokens")
    if {"utc_start", "utc_end"} & when.keys() and isinstance(start, int) and isinstance(end, int):
        words.append(f"from {start // 100:02}:{start % 100:02} to {end // 100:02}:{end % 100:02} UTC")
    if isinstance(days := when.get("utc_days"), list):
        words.append(f"on {', '.join(days)}")
    known = {"min_prompt_tokens", "utc_start", "utc_end", "utc_days"}
    words += [f"{name} {value}" for name, value in when.items() if name not in known]
    return " ".join(words) or "always"


def unit_name(unit: str) -> str:
    """What a unit is called."""
    return UNIT_NAMES.get(unit, unit.replace("_", " ").capitalize())


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


def is_number(value: object) -> bool:
    """Whether a value is a price, and not a text or an object that OpenRouter served among them."""
    return exact(value) is not None


FILTERS: dict[str, Callable[..., Any]] = {
    "usd": usd, "per_token": per_token, "rate": rate, "count": count, "short": short, "percent": percent,
    "signed": signed, "uptime": uptime, "moment": moment, "day": day, "ago": ago, "span": span, "days_left": days_left,
    "condition": condition, "unit_name": unit_name, "in_order": in_order,
}  # fmt: skip
GLOBALS: dict[str, Any] = {"model_url": model_url, "with_query": with_query, "UNKNOWN": UNKNOWN}
