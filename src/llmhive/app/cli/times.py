"""Days and instants as people write them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from llmhive.errors import UsageError

_AGE = re.compile(r"([0-9]{1,6})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 7 * 24}


def day(text: str, today: date, *, ahead: bool = False) -> date:
    """A day: ``2026-05-01``, or so many days or weeks from today: ``30d``, ``2w``."""
    length = _age(text)
    if length is not None and not text.strip().endswith("h"):
        return _moved(today, length if ahead else -length)
    try:
        return date.fromisoformat(text.strip())
    except ValueError as error:
        raise UsageError(f"{text!r} is not a day. Write 2026-05-01, 30d or 2w.") from error


def instant(text: str, now: datetime) -> datetime:
    """An instant in UTC: ``2026-05-01`` (its beginning), ``2026-05-01T12:00Z``, or so long ago: ``6h``, ``30d``."""
    if (length := _age(text)) is not None:
        return datetime.combine(_moved(now.date(), -length), now.timetz()) if length >= timedelta(days=1) else (
            now - length
        )  # fmt: skip
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise UsageError(
            f"{text!r} is not a time. Write 2026-05-01, 2026-05-01T12:00Z (UTC), or how long ago: 6h, 30d, 2w."
        ) from error
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError as error:
        raise UsageError(f"{text!r} is out of range.") from error


def is_instant(text: str) -> bool:
    """Whether it is meant as a time: names of snapshots begin with a letter."""
    return text[:1].isdigit()


def _age(text: str) -> timedelta | None:
    match = _AGE.fullmatch(text.strip())
    return None if match is None else timedelta(hours=int(match[1]) * _HOURS[match[2]])


def _moved(day: date, length: timedelta) -> date:
    """A day so much later; at most as far as dates go."""
    return date.fromordinal(min(max(day.toordinal() + length.days, 1), date.max.toordinal()))
