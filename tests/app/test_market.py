"""What the library says of rankings that it cannot show."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from llmhive.app.market import Market
from llmhive.catalog.dimension import CATEGORIES, MODALITIES
from llmhive.catalog.ranking import Rank, Ranking
from llmhive.errors import NotFound
from llmhive.store import rankings, runs, steps
from llmhive.store.database import Database
from llmhive.store.steps import Step

AT = datetime(2026, 11, 26, 16, 15, tzinfo=UTC)
BY_TASK = Ranking(
    "task", "code:debugging", "data-api", "2026-11-25", date(2026, 11, 19), date(2026, 11, 25),
    (Rank(1, "a/one", "a/one"),),
)  # fmt: skip


class Reader(Market):
    """Only the reads of the market."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.write() as connection:
            claimed = runs.claim(connection, "research", trigger="t", owner="t", now=AT, interval=None)
        assert isinstance(claimed, runs.Claimed)
        self.run_id = claimed.run_id

    def publish(self, made: Ranking) -> None:
        """Serve a ranking."""
        with self._database.write() as connection:
            rankings.publish(connection, made, run_id=self.run_id, at=AT)

    def asked(self, step: str, *empty: str, at: datetime = AT) -> None:
        """A step that found nothing by some names."""
        with self._database.write() as connection:
            facts: dict[str, Any] = {"empty": len(empty), "empty_named": list(empty)}
            steps.keep(connection, self.run_id, Step(step, "completed", at, at, facts))

    def why(self, name: str) -> str:
        """Why there is no such ranking."""
        with pytest.raises(NotFound) as caught:
            self.ranking(name)
        return str(caught.value)

    def notes(self) -> dict[str, str]:
        """What is told of rankings in the list of all, by name."""
        return {it["name"]: it["note"] for it in self.ranking_categories() if it["note"] is not None}


@pytest.fixture
def reader(database: Database) -> Reader:
    return Reader(database)


def test_what_nobody_asked_for_is_not_what_had_no_figures(reader: Reader) -> None:
    never = reader.why("image_output")
    assert never.startswith("Nobody is ranked by image_output yet: there are no figures. A research sync asks")
    assert "OPENROUTER_API_KEY" in never
    assert "OPENROUTER_API_KEY" not in reader.why("fastest")
    assert reader.notes() == {}
    reader.asked("modalities", "image_output", "tool_calling")
    reader.asked("categories", "legal")
    told = "OpenRouter had no figures by {} when it was asked (2026-11-26 16:15 UTC)."
    names = ("image_output", "tool_calling", "legal")
    assert {name: reader.why(name) for name in names} == reader.notes() == {name: told.format(name) for name in names}
    assert reader.why("image") == never.replace("image_output", "image")
    # the next time it had some
    reader.asked("modalities", at=AT + timedelta(hours=1))
    assert reader.why("image_output") == never
    assert reader.notes().keys() == {"legal"}


def test_one_that_is_served_has_no_note(reader: Reader) -> None:
    legal = Ranking("category", "legal", "data-api", None, None, None, BY_TASK.ranks)
    reader.publish(legal)
    reader.asked("categories", "legal")
    assert reader.notes() == {}
    assert reader.ranking("legal")["total"] == 1


def test_a_name_that_is_none_is_told_those_there_are(reader: Reader) -> None:
    assert reader.why("programing") == "There is no ranking 'programing'. Did you mean programming?"
    assert reader.why("category") == f"There is no ranking by category alone. Known are: {', '.join(CATEGORIES)}."
    assert reader.why("modality").endswith(f"Known are: {', '.join(MODALITIES)}.")
    assert "none yet; a research sync with a key" in reader.why("task")
    reader.publish(BY_TASK)
    assert reader.why("task") == "There is no ranking by task alone. Known are: code:debugging."
    assert reader.why("debugging") == "There is no ranking 'debugging'. Did you mean code:debugging?"
    unknown = reader.why("zzz")
    assert unknown.startswith("There is no ranking 'zzz'. Known are: leaderboard, market_share, ")
    assert "llmhive" not in unknown
    names, more = unknown.split(": ")[1].removesuffix(" more.").split(" and ")
    assert len(names.split(", ")) == 12
    assert int(more) == len(reader.ranking_categories()) - 12


def test_shares_are_told_by_the_name_of_the_ranking(reader: Reader) -> None:
    with pytest.raises(NotFound) as caught:
        reader.share_history("legal")
    assert str(caught.value) == reader.why("legal")
    for name in ("programing", "category"):
        with pytest.raises(NotFound) as caught:
            reader.share_history(name)
        assert str(caught.value) == reader.why(name)
    reader.publish(BY_TASK)
    assert reader.share_history("code:debugging") == {
        "name": "code:debugging",
        "dates": ["2026-11-25"],
        "models": [{"id": "a/one", "slug": "a/one", "share": [None], "rank": [1]}],
    }
    with pytest.raises(NotFound, match="Nobody is ranked by leaderboard yet"):
        reader.share_history()
