"""Instants as people write them from now: so long ago."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

_AGE = re.compile(r"([0-9]{1,6})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 7 * 24}


def ago(text: str, now: datetime) -> datetime | None:
    """The instant so long before `now`: ``6h``, ``30d``, ``2w``, at most as far back as dates go; None: it is none."""
    match = _AGE.fullmatch(text.strip())
    if match is None:
        return None
    length = timedelta(hours=int(match[1]) * _HOURS[match[2]])
    if length < timedelta(days=1):
        return now - length
    # whole days are those of the calendar, whatever the hours
    return datetime.combine(date.fromordinal(max(now.toordinal() - length.days, 1)), now.timetz())
