"""Rankings by tokens: who is how much used, by the counts that OpenRouter publishes; pure.

OpenRouter names the first 50 of a day and adds up the rest as ``other``. A model that is not named had *some* tokens,
not none: it counts nothing that day, and the ranking's `facts` tell which models were named on fewer days than others.
The figures of a day are restated for two days after it, so recent days are asked for again (reference 5.1).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from llmhive.catalog.dimension import MOST_RANKS, MOST_USED_DAYS, WEEK_DAYS
from llmhive.catalog.ranking import OTHER, Count, Join, Rank, Ranking, author_of, base_of, citation

#: A day's figures are final when they were fetched so long after its end (restatements were seen up to 2 days later).
FINAL_AFTER = timedelta(days=4)
WEEK_FINAL_AFTER = timedelta(days=8)
#: What is asked for at least: the four weeks of a trend and the week before, for what is compared with it.
HISTORY_DAYS = MOST_USED_DAYS + WEEK_DAYS
HISTORY_WEEKS = HISTORY_DAYS // WEEK_DAYS

_DAY = timedelta(days=1)
_WEEK = timedelta(days=WEEK_DAYS)
_LONGEST_SPAN = timedelta(days=366)
_TREND_WEEKS = 4
_ROUNDING = Context(prec=60)
_PLACES = Decimal("0.000001")


# --- which days and weeks count, and which to ask for


def last_day(now: datetime) -> date:
    """The last day (UTC) that has ended."""
    return now.astimezone(UTC).date() - _DAY


def last_week(now: datetime) -> date:
    """The Monday of the last ISO week (UTC) that has ended."""
    today = now.astimezone(UTC).date()
    return today - timedelta(days=today.weekday()) - _WEEK


def unsettled(fetched: Mapping[date, datetime], until: date) -> date:
    """The first day to ask for: one of the last 35 that was never fetched, or any of the last 366 that was fetched
    before its figures were final. The day after `until` where all is final.
    """
    return _unsettled(fetched, until, span=_DAY, periods=HISTORY_DAYS, final_after=FINAL_AFTER)


def unsettled_week(fetched: Mapping[date, datetime], until: date) -> date:
    """The Monday of the first week to ask for, likewise: of the last 5, `until` being the Monday of the last."""
    return _unsettled(fetched, until, span=_WEEK, periods=HISTORY_WEEKS, final_after=WEEK_FINAL_AFTER)


def _unsettled(
    fetched: Mapping[date, datetime], until: date, *, span: timedelta, periods: int, final_after: timedelta
) -> date:
    def is_final(begins: date) -> bool:
        return begins in fetched and _was_final(begins, fetched[begins], span, final_after)

    asked = {until - span * back for back in range(periods)}
    asked |= {begins for begins in fetched if until - _LONGEST_SPAN + span <= begins <= until}
    return min((begins for begins in asked if not is_final(begins)), default=until + span)


def old(periods: Iterable[date], at: datetime, *, is_weekly: bool) -> set[date]:
    """The periods that would not be asked for any more, had they been believed before."""
    span, after = (_WEEK, WEEK_FINAL_AFTER + _WEEK) if is_weekly else (_DAY, FINAL_AFTER + 3 * _DAY)
    return {begins for begins in periods if _was_final(begins, at, span, after)}


def _was_final(begins: date, at: datetime, span: timedelta, after: timedelta) -> bool:
    end = datetime(begins.year, begins.month, begins.day, tzinfo=UTC) + span
    return at >= end + after


# --- rankings by tokens


def leaderboard(counts: Sequence[Count], join: Join, *, until: date, as_of: str | None) -> Ranking:
    """The models of the last 7 days; `counts` are daily ones of at least 5 weeks, `until` is the last complete day.

    The window ends on the last day that there are counts of.
    """
    return _of_models("leaderboard", None, counts, join, until=until, as_of=as_of)


def most_used(counts: Sequence[Count], join: Join, *, until: date, as_of: str | None) -> Ranking:
    """The models of the last 28 days, likewise."""
    return _of_models("most_used", None, counts, join, until=until, as_of=as_of, days=MOST_USED_DAYS)


def by_modality(modality: str, counts: Sequence[Count], join: Join, *, until: date, as_of: str | None) -> Ranking:
    """The models of the last week by the weekly counts of one modality; `until` as in `by_category`."""
    return _of_models("modality", modality, counts, join, until=until, as_of=as_of, is_weekly=True)


def tool_calling(counts: Sequence[Count], join: Join, *, until: date, as_of: str | None) -> Ranking:
    """The models of the last week by the weekly counts of requests that call tools; `until` as in `by_category`."""
    return _of_models("tool_calling", None, counts, join, until=until, as_of=as_of, is_weekly=True)


def by_category(category: str, counts: Sequence[Count], join: Join, *, until: date, as_of: str | None) -> Ranking:
    """The models of the last week by its weekly, estimated counts; `until` is the Monday of the last complete week."""
    return _of_models("category", category, counts, join, until=until, as_of=as_of, is_weekly=True)


def market_share(counts: Sequence[Count], *, until: date, as_of: str | None) -> Ranking:
    """The authors of the last 7 days."""
    return _by_tokens("market_share", None, counts, author_of, lambda _: None, until=until, as_of=as_of)


def _of_models(
    dimension: str,
    category: str | None,
    counts: Sequence[Count],
    join: Join,
    *,
    until: date,
    as_of: str | None,
    days: int = WEEK_DAYS,
    is_weekly: bool = False,
) -> Ranking:
    return _by_tokens(
        dimension, category, counts, base_of, join.match, until=until, as_of=as_of, days=days, is_weekly=is_weekly
    )


@dataclass(frozen=True, slots=True)
class Window:
    """Token counts added up over some days."""

    tokens: Mapping[str, int]  #: by name
    named_on: Mapping[str, int]  #: in how many periods a name occurs
    total: int  #: of all, `other` included
    other: int
    periods: int  #: of which there are counts

    @property
    def order(self) -> list[str]:
        """The names that are ranked: the most tokens first, of equal ones by name."""
        return sorted(self.tokens, key=lambda name: (-self.tokens[name], name))[:MOST_RANKS]


def window(counts: Iterable[Count], name_of: Callable[[str], str], last: date, days: int) -> Window:
    """Add up the counts of the days that end with `last`."""
    first = last - timedelta(days=days - 1)
    tokens: Counter[str] = Counter()
    named_on: defaultdict[str, set[date]] = defaultdict(set)
    other, periods = 0, set[date]()
    for it in counts:
        if first <= it.begins <= last:
            periods.add(it.begins)
            if it.slug == OTHER:
                other += it.tokens
            else:
                tokens[name_of(it.slug)] += it.tokens
                named_on[name_of(it.slug)].add(it.begins)
    return Window(tokens, {name: len(on) for name, on in named_on.items()}, tokens.total() + other, other, len(periods))


def last_counted(counts: Iterable[Count], until: date) -> date:
    """The last period, not after `until`, that there are counts of; `until` where there is none."""
    return max((it.begins for it in counts if it.begins <= until), default=until)


def _by_tokens(
    dimension: str,
    category: str | None,
    counts: Sequence[Count],
    name_of: Callable[[str], str],
    match: Callable[[str], str | None],
    *,
    until: date,
    as_of: str | None,
    days: int = WEEK_DAYS,
    is_weekly: bool = False,
) -> Ranking:
    last = last_counted(counts, until) + (_WEEK - _DAY if is_weekly else timedelta())
    now, before = (window(counts, name_of, end, days) for end in (last, last - _WEEK))
    weeks = [window(counts, name_of, last - back * _WEEK, WEEK_DAYS) for back in reversed(range(_TREND_WEEKS))]
    whole = days // WEEK_DAYS if is_weekly else days
    previous = {name: rank for rank, name in enumerate(before.order, start=1)}
    ranks = tuple(
        Rank(
            rank,
            name,
            match(name),
            tokens=now.tokens[name],
            share=share_of(now.tokens[name], now.total),
            previous_rank=previous.get(name),
            growth=_growth(now, before, name, whole),
            trend=tuple(week.tokens.get(name) for week in weeks),
        )
        for rank, name in enumerate(now.order, start=1)
    )
    return Ranking(
        dimension, category, "data-api", as_of, last - timedelta(days=days - 1), last, ranks,
        # categories alone are up-scaled from a sample
        facts_of(now, ranks, is_weekly=is_weekly, is_estimate=dimension == "category"), citation(as_of),
    )  # fmt: skip


def facts_of(
    found: Window, ranks: Iterable[Rank], *, is_weekly: bool = False, is_estimate: bool = False
) -> dict[str, Any]:
    """What a set says of itself: `days` is on how many of the window's days it stands, `partial` on how many of them
    a model was named where that is not each.
    """
    named = {it.slug: found.named_on[it.slug] for it in ranks}
    return {
        "total_tokens": found.total,
        "other_tokens": found.other,
        "days": found.periods * (WEEK_DAYS if is_weekly else 1),
        "is_estimate": is_estimate,
        "partial": {slug: on for slug, on in named.items() if on < found.periods},
    }


def share_of(tokens: int, total: int) -> Decimal | None:
    """A share to six places, rounded down so that shares never add up to more than all; None of nothing."""
    return _ROUNDING.divide(tokens, total).quantize(_PLACES, ROUND_DOWN, _ROUNDING) if total else None


def growth_of(now: int, before: int) -> Decimal:
    """By how much more, to six places, 0.1 being ten percent; `before` is above zero."""
    return _ROUNDING.divide(now - before, before).quantize(_PLACES, ROUND_HALF_EVEN, _ROUNDING)


def _growth(now: Window, before: Window, name: str, whole: int) -> Decimal | None:
    # where a model was not named on a day of either window, what it had is not known, and neither is the growth
    is_known = now.named_on[name] == before.named_on.get(name) == whole and before.tokens[name] > 0
    return growth_of(now.tokens[name], before.tokens[name]) if is_known else None
