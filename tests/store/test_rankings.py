"""Token counts with their restatements; rankings published, failed, superseded and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from llmhive.catalog.ranking import Count, Counted, Rank, Ranking
from llmhive.store import ranked, rankings, runs, steps
from llmhive.store.database import Database
from llmhive.store.rankings import Kept
from llmhive.store.tables import ranking, ranking_set
from tests.support import dump

AT = datetime(2026, 8, 17, 3, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MONDAY, TUESDAY = date(2026, 8, 10), date(2026, 8, 11)

Figures = Mapping[tuple[date, str], int]


def counted(figures: Figures, **more: Any) -> Counted:
    rows = tuple(Count(begins, slug, tokens) for (begins, slug), tokens in figures.items())
    return Counted(rows, "as of now", MONDAY, TUESDAY, **more)


def keep(
    database: Database, figures: Figures, at: datetime = AT, *, asked_to: date = TUESDAY, dataset: str = "overall",
    **more: Any,
) -> Kept:  # fmt: skip
    with database.write() as connection:
        return rankings.keep_tokens(
            connection, dataset, "day", counted(figures, **more), at=at, asked_from=MONDAY, asked_to=asked_to
        )


def known(database: Database, at: datetime | None = None, dataset: str = "overall") -> dict[tuple[date, str], int]:
    with database.read() as connection:
        found = rankings.tokens(connection, dataset, "day", MONDAY, known_at=at)
    assert found == sorted(found, key=lambda it: (it.begins, -it.tokens, it.slug))
    return {(it.begins, it.slug): it.tokens for it in found}


FIRST = {(MONDAY, "a/one"): 10, (MONDAY, "b/two"): 5, (TUESDAY, "a/one"): 11}


# --- token counts


def test_a_restatement_is_kept_beside_what_was_known(database: Database) -> None:
    assert keep(database, FIRST) == Kept(3, 0, 0)
    restated = {(MONDAY, "a/one"): 12, (MONDAY, "c/three"): 2**62, (TUESDAY, "a/one"): 11}
    assert keep(database, restated, AT + DAY) == Kept(1, 1, 1)
    assert known(database) == restated
    assert known(database, AT) == known(database, AT + DAY - HOUR) == FIRST
    assert known(database, AT + DAY) == restated
    assert known(database, AT - HOUR) == {}


def test_the_same_figures_write_only_when_they_were_fetched(database: Database, database_url: str) -> None:
    keep(database, FIRST)
    before = dump(database_url)
    assert keep(database, dict(reversed(FIRST.items())), AT + HOUR) == Kept(0, 0, 0)
    after = dump(database_url)
    assert after.pop("token_period") != before.pop("token_period")
    assert after == before
    with database.read() as connection:
        assert rankings.fetched(connection, "overall", "day") == {MONDAY: AT + HOUR, TUESDAY: AT + HOUR}


def test_a_figure_that_comes_and_goes(database: Database) -> None:
    one, two = {(MONDAY, "a/one"): 1}, {(MONDAY, "b/two"): 2}
    for step, figures in enumerate([one, two, one, two]):
        keep(database, figures, AT + step * HOUR)
    for step, figures in enumerate([one, two, one, two]):
        assert known(database, AT + step * HOUR) == figures


def test_a_period_nobody_is_named_of_is_not_answered(database: Database) -> None:
    keep(database, FIRST)
    assert keep(database, {(TUESDAY, "a/one"): 11}, AT + HOUR) == Kept(0, 0, 0)
    assert keep(database, {}, AT + 2 * HOUR) == Kept(0, 0, 0)
    assert known(database) == FIRST
    with database.read() as connection:
        assert rankings.fetched(connection, "overall", "day") == {MONDAY: AT, TUESDAY: AT + HOUR}


def test_of_a_period_with_unreadable_rows_nothing_is_gone(database: Database) -> None:
    keep(database, FIRST)
    partly = {(MONDAY, "a/one"): 12, (TUESDAY, "c/three"): 3}
    assert keep(database, partly, AT + HOUR, incomplete=frozenset({MONDAY})) == Kept(1, 1, 1)
    assert known(database) == {(MONDAY, "a/one"): 12, (MONDAY, "b/two"): 5, (TUESDAY, "c/three"): 3}
    with database.read() as connection:
        assert rankings.fetched(connection, "overall", "day") == {MONDAY: AT, TUESDAY: AT + HOUR}


def test_what_was_not_asked_for_is_left_alone(database: Database) -> None:
    keep(database, FIRST)
    assert keep(database, {(MONDAY, "a/one"): 1, (TUESDAY, "a/one"): 99}, AT + HOUR, asked_to=MONDAY) == Kept(0, 1, 1)
    assert known(database) == {(MONDAY, "a/one"): 1, (TUESDAY, "a/one"): 11}


def test_an_answer_from_before_changes_nothing(database: Database, database_url: str) -> None:
    keep(database, FIRST)
    before = dump(database_url)
    assert keep(database, {(MONDAY, "a/one"): 1}, AT - HOUR) == Kept(0, 0, 0)
    assert dump(database_url) == before


def test_datasets_do_not_meet(database: Database) -> None:
    keep(database, FIRST)
    keep(database, {(MONDAY, "a/one"): 1}, dataset="modality:image")
    assert known(database) == FIRST
    assert known(database, dataset="modality:image") == {(MONDAY, "a/one"): 1}
    with database.read() as connection:
        assert rankings.tokens(connection, "overall", "week", MONDAY) == []
        assert rankings.tokens(connection, "overall", "day", TUESDAY) == [Count(TUESDAY, "a/one", 11)]


# --- publishing


BOARD = Ranking(
    "leaderboard", None, "data-api", "2026-08-17T02:00:00.000Z", MONDAY, date(2026, 8, 16),
    (
        Rank(1, "a/one-1", "a/one", tokens=2**60, share=Decimal("0.6"), previous_rank=3, growth=Decimal("0.100000"),
             trend=(None, 5, None, 2**60)),
        Rank(2, "b/two", None, tokens=5, share=Decimal("0.000001"), previous_rank=1, growth=Decimal("-0.5")),
        Rank(3, "c/three", "c/three", tokens=4),
    ),
    {"total_tokens": 2**61, "other_tokens": 1, "days": 7, "is_estimate": False, "partial": {"b/two": 3}},
    "Source: OpenRouter (openrouter.ai/rankings), as of 2026-08-17T02:00:00.000Z.",
)  # fmt: skip


@pytest.fixture
def run_id(database: Database) -> int:
    with database.write() as connection:
        claimed = runs.claim(
            connection, "research", trigger="test", owner="test", now=datetime.now(UTC), interval=None
        )  # fmt: skip
    assert isinstance(claimed, runs.Claimed)
    return claimed.run_id


def publish(database: Database, run_id: int, made: Ranking, at: datetime = AT) -> int | None:
    with database.write() as connection:
        return rankings.publish(connection, made, run_id=run_id, at=at)


def fail(database: Database, run_id: int, made: Ranking, at: datetime = AT) -> int:
    with database.write() as connection:
        return rankings.fail(connection, made, ["it is odd", "and wrong"], run_id=run_id, at=at)


def served(database: Database, dimension: str = "leaderboard", category: str | None = None) -> dict[str, Any]:
    with database.read() as connection:
        found = rankings.published(connection, dimension, category, 50)
    assert found is not None
    return found


def states(database: Database) -> list[tuple[str, datetime]]:
    with database.read() as connection:
        rows = connection.execute(sa.select(ranking_set.c.state, ranking_set.c.made_at).order_by(ranking_set.c.id))
        return [(row.state, row.made_at) for row in rows]


def variant(number: int) -> Ranking:
    return replace(BOARD, ranks=(Rank(1, "a/one-1", "a/one", tokens=number, score=Decimal(number).scaleb(-1)),))


def test_what_is_published_is_what_is_read(database: Database, run_id: int) -> None:
    publish(database, run_id, BOARD)
    found = served(database)
    formula = found.pop("formula")
    assert formula.startswith("Tokens of the week")
    assert found == {
        "dimension": "leaderboard",
        "category": None,
        "title": "Leaderboard",
        "category_title": None,
        "source": "data-api",
        "is_derived": False,
        "is_estimate": False,
        "as_of": "2026-08-17T02:00:00.000Z",
        "window": {"from": "2026-08-10", "to": "2026-08-16"},
        "made_at": "2026-08-17T03:00:00Z",
        "citation": "Source: OpenRouter (openrouter.ai/rankings), as of 2026-08-17T02:00:00.000Z.",
        "unit": "tokens",
        "total": 3,
        "facts": {"total_tokens": 2**61, "other_tokens": 1, "days": 7, "is_estimate": False, "partial": {"b/two": 3}},
        "data": [
            {
                "rank": 1, "model": "a/one", "slug": "a/one-1", "is_known": True, "tokens": 2**60,
                "is_lower_bound": False, "days_counted": 7, "share": "0.6",
                "change": 2, "previous_rank": 3, "growth": "0.1", "trend": [None, 5, None, 2**60], "score": None,
            },
            {
                "rank": 2, "model": None, "slug": "b/two", "is_known": False, "tokens": 5,
                "is_lower_bound": True, "days_counted": 3, "share": "0.000001",
                "change": -1, "previous_rank": 1, "growth": "-0.5", "trend": None, "score": None,
            },
            {
                "rank": 3, "model": "c/three", "slug": "c/three", "is_known": True, "tokens": 4,
                "is_lower_bound": False, "days_counted": 7, "share": None,
                "change": None, "previous_rank": None, "growth": None, "trend": None, "score": None,
            },
        ],
    }  # fmt: skip


def test_units_and_days_are_those_of_what_is_counted(database: Database, run_id: int) -> None:
    by_order = Ranking("most_used", None, "models-order", "now", None, None, (Rank(1, "a/one-1", "a/one"),))
    scored = Rank(1, "a/one-1", "a/one", score=Decimal(9))
    fastest = replace(by_order, dimension="fastest", source="derived", ranks=(scored,), facts={"models_asked": 3})
    for made in (BOARD, by_order, fastest):
        publish(database, run_id, made)
    with database.read() as connection:
        rows = {it["dimension"]: it for it in rankings.ranks_of(connection, "a/one")}
        assert rankings.ranks_of(connection, "b/two") == []
    told = {name: (it["is_lower_bound"], it["days_counted"]) for name, it in rows.items()}
    assert told == {"leaderboard": (False, 7), "most_used": (False, None), "fastest": (False, None)}
    assert served(database, "most_used")["unit"] is None, "an order is not of tokens"
    assert served(database, "fastest")["unit"] == "tokens a second"
    assert served(database, "fastest")["facts"] == {"models_asked": 3}


def test_what_stands_is_told_without_its_ranks(database: Database, run_id: int) -> None:
    def standing(dimension: str, category: str | None) -> ranked.Standing | None:
        with database.read() as connection:
            return ranked.standing(connection, dimension, category)

    assert standing("leaderboard", None) is None
    publish(database, run_id, BOARD)
    publish(database, run_id, variant(1), AT + DAY)
    fail(database, run_id, BOARD, AT + 2 * DAY)
    publish(database, run_id, replace(BOARD, dimension="category", category="legal", source="models-order"), AT)
    assert standing("leaderboard", None) == ranked.Standing("data-api", AT + DAY, 1)
    assert standing("category", "legal") == ranked.Standing("models-order", AT, 3)
    assert standing("leaderboard", "legal") is standing("category", None) is None


def test_what_had_no_figures_is_that_of_the_last_completed_step(database: Database, run_id: int) -> None:
    def asked(step: str) -> ranked.WithoutFigures | None:
        with database.read() as connection:
            return ranked.without_figures(connection, step)

    def end(step: str, at: datetime, status: steps.StepStatus = "completed", **facts: Any) -> None:
        with database.write() as connection:
            steps.keep(connection, run_id, steps.Step(step, status, at, at, facts))

    assert asked("modalities") is None
    end("modalities", AT, empty_named=["image"])
    end("modalities", AT + HOUR, empty_named=["audio_output", None])
    end("modalities", AT + 2 * HOUR, "failed")
    end("categories", AT + 3 * HOUR)
    assert asked("modalities") == ranked.WithoutFigures(AT + HOUR, ("audio_output",))
    assert asked("categories") == ranked.WithoutFigures(AT + 3 * HOUR, ())


def test_a_limit_shortens_the_data_not_the_total(database: Database, run_id: int) -> None:
    publish(database, run_id, BOARD)
    with database.read() as connection:
        found = rankings.published(connection, "leaderboard", None, 1)
        assert found is not None
        assert (len(found["data"]), found["total"]) == (1, 3)
        assert rankings.published(connection, "leaderboard", "programming", 1) is None
        assert rankings.published(connection, "trending", None) is None


def test_authors_are_no_models(database: Database, run_id: int) -> None:
    publish(database, run_id, replace(BOARD, dimension="market_share", ranks=(Rank(1, "a", None, tokens=1),)))
    assert served(database, "market_share")["data"][0]["is_known"] is None


def test_the_same_is_not_published_twice(database: Database, database_url: str, run_id: int) -> None:
    assert publish(database, run_id, BOARD) is not None
    before = dump(database_url)
    later = replace(BOARD, as_of="later", citation="later")
    assert publish(database, run_id, later, AT + DAY) is None
    after = dump(database_url)
    # all that is written is of when the same is true as well
    [dated] = after["ranking_set"]
    [first] = before["ranking_set"]
    assert dated == first | {"as_of": "later", "citation": "later"}
    assert after | {"ranking_set": []} == before | {"ranking_set": []}


def test_of_a_day_only_the_last_stays(database: Database, run_id: int) -> None:
    times = [AT, AT + HOUR, AT + 2 * HOUR, AT + DAY, AT + DAY + HOUR, AT + 2 * DAY]
    for number, at in enumerate(times):
        assert publish(database, run_id, variant(number), at) is not None
    # the last superseded one of the first day, and that of the second, beside the one that is served
    assert states(database) == [
        ("superseded", times[2]), ("superseded", times[4]), ("published", times[5]),
    ]  # fmt: skip
    with database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(ranking)).scalar_one() == 3
        history = rankings.history_of(connection, "leaderboard", None, "a/one")
        assert [(it["rank"], it["tokens"], it["score"]) for it in history] == [
            (1, 2, "0.2"),
            (1, 4, "0.4"),
            (1, 5, "0.5"),
        ]
        assert [it["rank"] for it in rankings.history_of(connection, "leaderboard", None, "x/none")] == [None] * 3
        assert rankings.history_of(connection, "leaderboard", "code", "a/one") == []


def test_a_category_of_its_own_is_left_alone(database: Database, run_id: int) -> None:
    publish(database, run_id, BOARD)
    for category in ("programming", "legal"):
        publish(database, run_id, replace(variant(1), dimension="category", category=category))
    publish(database, run_id, replace(variant(2), dimension="category", category="legal"), AT + HOUR)
    assert [state for state, _ in states(database)] == ["published", "published", "superseded", "published"]
    assert served(database, "category", "legal")["data"][0]["tokens"] == 2
    assert served(database, "category", "legal")["category_title"] == "Legal"
    assert served(database, "category", "programming")["data"][0]["tokens"] == 1


def test_a_failed_one_is_kept_and_the_good_one_stays_served(database: Database, run_id: int) -> None:
    publish(database, run_id, BOARD)
    twice = replace(BOARD, ranks=(Rank(1, "x", None), Rank(1, "y", None)))
    fail(database, run_id, twice, AT + HOUR)
    fail(database, run_id, twice, AT + 2 * HOUR)
    fail(database, run_id, replace(BOARD, ranks=()), AT + DAY)
    assert [state for state, _ in states(database)] == ["published", "failed", "failed"]
    assert served(database)["total"] == 3
    with database.read() as connection:
        (about,) = rankings.catalog_of_sets(connection)
        assert (about["total"], about["as_of"]) == (3, "2026-08-17T02:00:00.000Z")
        assert about["failure"] == {"at": "2026-08-18T03:00:00Z", "error": "it is odd; and wrong"}
        assert rankings.history_of(connection, "leaderboard", None, "a/one")[0]["rank"] == 1
        assert len(rankings.history_of(connection, "leaderboard", None, "a/one")) == 1


def test_a_failure_is_no_news_once_it_works_again(database: Database, run_id: int) -> None:
    publish(database, run_id, BOARD)
    fail(database, run_id, BOARD, AT + HOUR)
    assert publish(database, run_id, BOARD, AT + 2 * HOUR) is None
    with database.read() as connection:
        assert [it["failure"] for it in rankings.catalog_of_sets(connection)] == [None]
    fail(database, run_id, BOARD, AT + 3 * HOUR)
    publish(database, run_id, variant(1), AT + 4 * HOUR)
    with database.read() as connection:
        assert [it["failure"] for it in rankings.catalog_of_sets(connection)] == [None]


def test_the_sets_are_listed_in_the_order_of_the_dimensions(database: Database, run_id: int) -> None:
    publish(database, run_id, replace(variant(1), dimension="lowest_cost", source="derived"))
    publish(database, run_id, replace(variant(1), dimension="category", category="legal", facts={"is_estimate": True}))
    publish(database, run_id, replace(variant(1), dimension="category", category="academia"))
    fail(database, run_id, replace(variant(1), dimension="trending"))
    publish(database, run_id, BOARD)
    with database.read() as connection:
        found = rankings.catalog_of_sets(connection)
    assert [(it["dimension"], it["category"], it["total"]) for it in found] == [
        ("leaderboard", None, 3), ("trending", None, 0), ("category", "academia", 1), ("category", "legal", 1),
        ("lowest_cost", None, 1),
    ]  # fmt: skip
    assert [it["is_estimate"] for it in found] == [False, False, False, True, False]
    assert [it["is_derived"] for it in found] == [False, False, False, False, True]
    assert (found[1]["as_of"], found[1]["failure"]["error"]) == (None, "it is odd; and wrong")


def test_where_a_model_stands(database: Database, run_id: int) -> None:
    publish(database, run_id, replace(variant(7), dimension="fastest", source="derived"))
    publish(database, run_id, variant(1))
    publish(database, run_id, BOARD, AT + HOUR)
    fail(database, run_id, replace(BOARD, dimension="most_used"))
    with database.read() as connection:
        found = rankings.ranks_of(connection, "a/one")
        assert rankings.ranks_of(connection, "b/two") == []
    assert [(it["dimension"], it["rank"], it["tokens"], it["score"]) for it in found] == [
        ("leaderboard", 1, 2**60, None), ("fastest", 1, 7, "0.7"),
    ]  # fmt: skip
    assert found[0]["change"] == 2


def test_categories_that_are_gone_retire(database: Database, run_id: int) -> None:
    for tag in ("code:a", "code:b"):
        publish(database, run_id, replace(variant(1), dimension="task", category=tag, facts={"title": tag.title()}))
    publish(database, run_id, BOARD)
    with database.write() as connection:
        assert rankings.retire(connection, "task", {"code:b", "code:c"}) == 1
        assert rankings.retire(connection, "leaderboard", set()) == 0
    with database.read() as connection:
        assert [it["category"] for it in rankings.catalog_of_sets(connection)] == [None, "code:b"]
        assert len(rankings.history_of(connection, "task", "code:a", "a/one")) == 1
    assert served(database, "task", "code:b")["category_title"] == "Code:B"
    # it comes back
    assert publish(database, run_id, replace(variant(1), dimension="task", category="code:a"), AT + DAY) is not None
