"""Shares of a ranking over time: what was published, and what token counts say of the weeks before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from llmhive.catalog import counting
from llmhive.catalog.pricing import plain
from llmhive.catalog.ranking import Count, Counted, Join, Rank, Ranking
from llmhive.store import rankings, runs, shares
from llmhive.store.database import Database

DAY, WEEK = timedelta(days=1), timedelta(days=7)
#: A Sunday.
LAST = date(2026, 8, 16)
AT = datetime(2026, 8, 17, 3, tzinfo=UTC)
FIRST = LAST - 34 * DAY
JOIN = Join([("a/one", "a/one-1", None, True), ("b/two", "b/two-1", None, True)])
SLUGS = ("a/one-1", "b/two-1", "c/three-1:free", "a/four-1", "other")


def tokens(day: date, slug: str) -> int:
    """Figures that change from day to day, and the order with them."""
    return 100 + (day.toordinal() * (7 + 2 * SLUGS.index(slug))) % 97 * (1 + SLUGS.index(slug))


DAILY = tuple(Count(FIRST + n * DAY, slug, tokens(FIRST + n * DAY, slug)) for n in range(35) for slug in SLUGS)
WEEKLY = tuple(
    Count(monday, slug, tokens(monday, slug)) for n in range(5) for monday in [FIRST + n * WEEK] for slug in SLUGS
)


@pytest.fixture
def run_id(database: Database) -> int:
    with database.write() as connection:
        found = runs.claim(connection, "research", trigger="t", owner="t", now=AT, interval=None)
    assert isinstance(found, runs.Claimed)
    return found.run_id


def keep(database: Database, dataset: str, period: str, counts: tuple[Count, ...]) -> None:
    with database.write() as connection:
        counted = Counted(counts, "then", FIRST, LAST)
        rankings.keep_tokens(connection, dataset, period, counted, at=AT, asked_from=FIRST, asked_to=LAST + WEEK)


def publish(database: Database, run_id: int, *made: Ranking, at: datetime = AT) -> None:
    with database.write() as connection:
        for number, it in enumerate(made):
            rankings.publish(connection, it, run_id=run_id, at=at + number * DAY)


def history(database: Database, dimension: str = "leaderboard", category: str | None = None, top: int = 8) -> Any:
    with database.read() as connection:
        return shares.history_of(connection, dimension, category, top)


def read(found: Mapping[str, Any]) -> dict[str, dict[str, tuple[int, str]]]:
    """Date → slug → rank and share, of those that are ranked."""
    return {
        day: {
            it["slug"]: (it["rank"][place], it["share"][place])
            for it in found["models"]
            if it["rank"][place] is not None
        }
        for place, day in enumerate(found["dates"])
    }


def told(made: Ranking) -> dict[str, tuple[int, str | None]]:
    return {it.slug: (it.rank, None if it.share is None else plain(it.share)) for it in made.ranks}


def board(until: date) -> Ranking:
    return counting.leaderboard(DAILY, JOIN, until=until, as_of="then")


def test_the_weeks_before_are_what_would_have_been_published(database: Database, run_id: int) -> None:
    keep(database, "overall", "day", DAILY)
    publish(database, run_id, board(LAST))
    found = history(database)
    ends = [LAST - n * WEEK for n in reversed(range(5))]
    assert found["dates"] == [day.isoformat() for day in ends]
    assert read(found) == {day.isoformat(): told(board(day)) for day in ends}
    newest = board(LAST)
    assert [(it["id"], it["slug"]) for it in found["models"]] == [(it.model_id, it.slug) for it in newest.ranks]
    assert "other" not in {it["slug"] for it in found["models"]}


@pytest.mark.parametrize(
    ("dimension", "category", "dataset", "ends"),
    [
        ("market_share", None, "overall", 5),
        # four weeks long: there are counts of one more only
        ("most_used", None, "overall", 2),
        ("category", "legal", "category:legal", 5),
        ("modality", "image", "modality:image", 5),
        ("tool_calling", None, "modality:tool_calling", 5),
    ],
)
def test_each_ranking_by_tokens_goes_back_by_its_own_counts(
    database: Database, run_id: int, dimension: str, category: str | None, dataset: str, ends: int
) -> None:
    keep(database, dataset, *(("day", DAILY) if dataset == "overall" else ("week", WEEKLY)))

    def made(back: int) -> Ranking:
        until = LAST - back * WEEK
        more: dict[str, Any] = {"until": until, "as_of": None}
        if dimension == "market_share":
            return counting.market_share(DAILY, **more)
        if dimension == "most_used":
            return counting.most_used(DAILY, JOIN, **more)
        more["until"] = until - 6 * DAY
        if dimension == "tool_calling":
            return counting.tool_calling(WEEKLY, JOIN, **more)
        by = counting.by_category if dimension == "category" else counting.by_modality
        return by(category or "", WEEKLY, JOIN, **more)

    publish(database, run_id, made(0))
    found = read(history(database, dimension, category))
    assert found == {(LAST - n * WEEK).isoformat(): told(made(n)) for n in range(ends)}


def test_a_week_with_a_day_missing_is_left_out(database: Database, run_id: int) -> None:
    missing = tuple(it for it in DAILY if it.begins != LAST - WEEK - 2 * DAY)
    keep(database, "overall", "day", missing)
    publish(database, run_id, board(LAST))
    wanted = [(LAST - n * WEEK).isoformat() for n in (4, 3, 2, 0)]
    assert history(database)["dates"] == wanted


def test_what_was_published_stays_as_it_was(database: Database, run_id: int) -> None:
    keep(database, "overall", "day", DAILY)
    first = replace(board(LAST - WEEK), ranks=(Rank(1, "b/two-1", "b/two", 1, Decimal("0.9")),))
    publish(database, run_id, first, board(LAST))
    found = read(history(database))
    assert found[(LAST - WEEK).isoformat()] == {"b/two-1": (1, "0.9")}
    assert list(found) == [(LAST - n * WEEK).isoformat() for n in reversed(range(5))]
    # the weeks before it are those of its weekday
    assert found[(LAST - 2 * WEEK).isoformat()] == told(board(LAST - 2 * WEEK))


def test_of_one_window_the_last_counts(database: Database, run_id: int) -> None:
    def set_of(share: str, end: date = LAST) -> Ranking:
        ranks = (Rank(1, "a/one-1", "a/one", 5, Decimal(share)),)
        return Ranking("leaderboard", None, "data-api", None, end - 6 * DAY, end, ranks)

    publish(database, run_id, set_of("0.1", LAST - DAY), set_of("0.2"), set_of("0.3"))
    [model] = history(database)["models"]
    assert (model["share"], model["rank"]) == (["0.1", "0.3"], [1, 1])
    assert history(database)["dates"] == [(LAST - DAY).isoformat(), LAST.isoformat()]


def test_only_the_first_are_told(database: Database, run_id: int) -> None:
    publish(database, run_id, board(LAST))
    assert [it["slug"] for it in history(database, top=2)["models"]] == [it.slug for it in board(LAST).ranks[:2]]


def test_an_order_without_figures_is_not_mixed_with_shares(database: Database, run_id: int) -> None:
    order = Ranking(
        "leaderboard", None, "models-order", "2026-08-17", None, None, (Rank(1, "a/one-1", "a/one"),)
    )  # fmt: skip
    publish(database, run_id, order)
    assert history(database) == {
        "dates": ["2026-08-17"],
        "models": [{"id": "a/one", "slug": "a/one-1", "share": [None], "rank": [1]}],
    }
    publish(database, run_id, board(LAST), at=AT + DAY)
    assert history(database)["dates"] == [LAST.isoformat()]


def test_one_that_is_made_of_something_else_has_what_was_published(database: Database, run_id: int) -> None:
    keep(database, "overall", "day", DAILY)
    fastest = Ranking("fastest", None, "derived", None, None, None, (Rank(1, "a/one", "a/one", score=Decimal(9)),))
    second = replace(fastest, ranks=(Rank(1, "b/two", "b/two"), Rank(2, "a/one", "a/one")))
    publish(database, run_id, fastest, second)
    assert history(database, "fastest") == {
        "dates": ["2026-08-17", "2026-08-18"],
        "models": [
            {"id": "b/two", "slug": "b/two", "share": [None, None], "rank": [None, 1]},
            {"id": "a/one", "slug": "a/one", "share": [None, None], "rank": [1, 2]},
        ],
    }


def test_what_is_not_served_has_no_history(database: Database, run_id: int) -> None:
    assert history(database) is None
    with database.write() as connection:
        rankings.fail(connection, board(LAST), ["no"], run_id=run_id, at=AT)
    assert history(database) is None
    publish(database, run_id, replace(board(LAST), dimension="category", category="legal"))
    assert history(database, "category", "legal") is not None
    with database.write() as connection:
        rankings.retire(connection, "category", [])
    assert history(database, "category", "legal") is None
