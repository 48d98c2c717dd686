"""The shares of a ranking over time: what was published, and before that what the token counts say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from llmhive.catalog.counting import share_of, window
from llmhive.catalog.pricing import plain
from llmhive.catalog.ranking import Count, author_of, base_of
from llmhive.store.tables import ranking, ranking_set, token_count

_DAY, _WEEK = timedelta(days=1), timedelta(days=7)
#: Token counts are kept longer than anybody looks back.
_LONGEST = timedelta(days=366)
_SET = (
    ranking_set.c.id, ranking_set.c.state, ranking_set.c.source, ranking_set.c.window_from, ranking_set.c.window_to,
    ranking_set.c.made_at,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Point:
    """A ranking at one time: rank and share by slug."""

    ends: date  #: the last day of its window; without a window the day on which it was made
    places: dict[str, tuple[int, Decimal | None]] = field(default_factory=dict)


def history_of(connection: sa.Connection, dimension: str, category: str | None, top: int) -> dict[str, Any] | None:
    """The first `top` of a ranking that is served, and where they stood each day it was published, as JSON values;
    None where there is none.

    Sets of another source than the newest one's are left out: an order without figures says nothing of shares.
    """
    its = ranking_set.c.category
    of = sa.and_(ranking_set.c.dimension == dimension, its.is_(None) if category is None else its == category)
    sets = connection.execute(
        sa.select(*_SET)
        .where(of, ranking_set.c.state.in_(("published", "superseded")))
        .order_by(ranking_set.c.made_at, ranking_set.c.id)
    ).all()
    newest = next((it for it in reversed(sets) if it.state == "published"), None)
    if newest is None:
        return None
    first = connection.execute(
        sa.select(ranking.c.slug, ranking.c.model_id)
        .where(ranking.c.set_id == newest.id)
        .order_by(ranking.c.rank)
        .limit(top)
    ).all()
    slugs = [it.slug for it in first]
    points = {it.id: _Point(it.window_to or it.made_at.date()) for it in sets if it.source == newest.source}
    placed = sa.select(ranking.c.set_id, ranking.c.slug, ranking.c.rank, ranking.c.share).where(
        ranking.c.set_id.in_(sa.select(ranking_set.c.id).where(of)), ranking.c.slug.in_(slugs)
    )
    for row in connection.execute(placed):
        if row.set_id in points:
            points[row.set_id].places[row.slug] = (row.rank, row.share)
    # what was restated since counts as it was published last
    by_day = {it.ends: it for it in points.values()}
    oldest = min((it for it in sets if it.id in points and it.window_to), key=lambda it: it.window_to, default=None)
    if oldest is not None and newest.source == "data-api":
        by_day |= {it.ends: it for it in _before(connection, dimension, category, oldest)}
    days = [by_day[day] for day in sorted(by_day)]
    models = []
    for it in first:
        places = [point.places.get(it.slug, (None, None)) for point in days]
        share = [None if value is None else plain(value) for _, value in places]
        models.append({"id": it.model_id, "slug": it.slug, "share": share, "rank": [rank for rank, _ in places]})
    return {"dates": [it.ends.isoformat() for it in days], "models": models}


def _before(connection: sa.Connection, dimension: str, category: str | None, oldest: Any) -> Iterator[_Point]:
    """The weeks before the first set that was published, by the token counts of them, as they stand."""
    counted = _counted(dimension, category)
    if counted is None:
        return
    dataset, period = counted
    count = token_count.c
    rows = connection.execute(
        sa.select(count.begins, count.slug, count.tokens).where(
            count.dataset == dataset, count.period == period, count.known_to.is_(None),
            count.begins.between(oldest.window_to - _LONGEST, oldest.window_to - _WEEK),
        )
    )  # fmt: skip
    by_day: defaultdict[date, list[Count]] = defaultdict(list)
    for row in rows:
        by_day[row.begins].append(Count(row.begins, row.slug, row.tokens))
    name_of: Callable[[str], str] = author_of if dimension == "market_share" else base_of
    days = (oldest.window_to - oldest.window_from).days + 1
    ends, first = oldest.window_to - _WEEK, min(by_day, default=date.max)
    while (begins := ends - (days - 1) * _DAY) >= first:
        within = [it for day in range(days) for it in by_day.get(begins + day * _DAY, ())]
        found = window(within, name_of, ends, days)
        # of a week with a day missing the shares are not known
        if found.periods == (days if period == "day" else days // _WEEK.days):
            order = enumerate(found.order, start=1)
            yield _Point(ends, {name: (rank, share_of(found.tokens[name], found.total)) for rank, name in order})
        ends -= _WEEK


def _counted(dimension: str, category: str | None) -> tuple[str, str] | None:
    """The dataset of token counts that a ranking is made of, and its periods; None: it is made of something else."""
    if dimension in {"leaderboard", "market_share", "most_used"}:
        return "overall", "day"
    if dimension in {"category", "modality"}:
        return f"{dimension}:{category}", "week"
    return ("modality:tool_calling", "week") if dimension == "tool_calling" else None
