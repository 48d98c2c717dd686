"""What the routes of the market decide by themselves."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.app.http import market, shapes
from llmhive.app.http.service import Refusal
from llmhive.catalog.dimension import DIMENSIONS
from llmhive.catalog.view import Entry, View
from llmhive.errors import NotFound
from tests.catalog.strategies import laws
from tests.catalog.test_query import row
from tests.catalog.test_view import REST

RANKS = [
    {"rank": 1, "model": None, "slug": "a/unknown", "tokens": 9},
    {"rank": 2, "model": "a/one", "slug": "a/one", "tokens": 8},
    {"rank": 3, "model": "a/new", "slug": "a/new", "tokens": 7},
    {"rank": 4, "model": "a/gone", "slug": "a/gone", "tokens": 6},
]
ABOUT = {
    "name": "programming", "dimension": "category", "category": "programming", "title": "Programming",
    "is_ranked": False, "failure": None,
}  # fmt: skip


class Rankings:
    """A catalog that has one ranking, and knows of another one."""

    def ranking(self, name: str) -> dict[str, Any]:
        """The leaderboard."""
        if name == "leaderboard":
            return {"dimension": "leaderboard", "category": None, "data": RANKS, "total": 4}
        raise NotFound(f"nobody is ranked by {name}")

    def ranking_categories(self) -> list[dict[str, Any]]:
        """One without data."""
        return [ABOUT]


def refused(**asked: str | None) -> str:
    with pytest.raises(Refusal) as caught:
        market._wanted(**{"category": None, "dimension": None, "time_range": None} | asked)
    assert caught.value.problem.status_code == 422
    named: str = caught.value.problem.more["parameter"]
    assert caught.value.problem.detail.startswith(f"{named}: ")
    return named


@pytest.mark.parametrize(
    ("category", "dimension", "time_range", "name"),
    [
        (None, None, None, "leaderboard"), (None, None, "week", "leaderboard"), (None, None, "month", "most_used"),
        ("leaderboard", None, "month", "most_used"), ("most_used", None, "month", "most_used"),
        ("most_used", None, None, "most_used"), (None, "most_used", "month", "most_used"),
        ("programming", None, "week", "programming"), ("programming", "category", None, "programming"),
        (None, "fastest", None, "fastest"), ("no such", None, None, "no such"),
    ],
)  # fmt: skip
def test_which_ranking_is_asked_for(category: str, dimension: str, time_range: str, name: str) -> None:
    assert market._wanted(category, dimension, time_range) == name


def test_what_there_is_not_is_refused() -> None:
    for dimension in ("category", "modality", "task"):
        assert refused(dimension=dimension) == "dimension"
    for name in {it.name for it in DIMENSIONS} - {"leaderboard", "most_used"}:
        assert refused(category=name, time_range="month") == "time_range"
    assert refused(category="most_used", time_range="week") == "time_range"


def test_a_ranking_without_data_says_so_and_is_as_described() -> None:
    catalog: Any = Rankings()
    found = market._page(market._ranking(catalog, "programming", None), None, 0)
    assert (found["data"], found["total"], found["note"]) == ([], 0, "nobody is ranked by programming")
    assert (found["title"], found["category_title"]) == ("By category", "Programming")
    shapes.Ranking.model_validate(found | {"catalog_age_seconds": None, "catalog_version": 0})
    assert market._ranking(catalog, "leaderboard", None)["note"] is None
    for name in ("other", ""):
        with pytest.raises(NotFound):
            market._ranking(catalog, name, None)


def test_the_dimension_must_be_that_of_the_category() -> None:
    catalog: Any = Rankings()
    for of in (None, "category", "programming"):
        assert market._ranking(catalog, "programming", of)["dimension"] == "category"
    for name, of in (("programming", "modality"), ("leaderboard", "category")):
        with pytest.raises(Refusal):
            market._ranking(catalog, name, of)


def test_top_are_the_models_that_the_view_knows() -> None:
    view = View.of([Entry(REST | row("a/one")), Entry(REST | row("a/gone", is_active=False))], catalog_version=1)
    catalog: Any = Rankings()
    found = market._of_models(market._ranking(catalog, "leaderboard", None), view)
    lines = json.loads(msgspec.json.encode(found["data"]))
    listed = [json.loads(it) for it in view._listed]
    assert [(it["rank"], it["tokens"]) for it in lines] == [(2, 8), (4, 6)]
    assert [it["model"] for it in lines] == sorted(listed, key=lambda it: it["id"] != "a/one")
    assert found["total"] == 2
    with pytest.raises(Refusal):
        market._of_models({"dimension": "market_share", "data": []}, view)


@laws
@given(st.lists(st.integers(), max_size=9), st.integers(1, 12) | st.none(), st.integers(0, 12))
def test_a_page_is_a_part_and_knows_the_whole(found: list[int], limit: int | None, offset: int) -> None:
    page = market._page({"data": found, "total": len(found)}, limit, offset)
    wanted = [it for at, it in enumerate(found) if at >= offset and (limit is None or at - offset < limit)]
    assert page == {"data": wanted, "total": len(found), "limit": limit, "offset": offset}


def test_a_matrix_is_narrowed_with_its_changes() -> None:
    cells = {"tools": {"state": "yes"}, "vision": {"state": "no"}}
    changes = [{"model": model, "capability": name} for model in ("a/one", "a/two") for name in cells]
    matrix = {
        "data": [{"id": "a/one", "cells": cells}], "total": 1, "changes": changes,
        "capabilities": [{"name": "tools", "title": ""}, {"name": "vision", "title": ""}],
    }  # fmt: skip
    found = market._narrowed(matrix, market._columns(["tools"]), is_of_some=True)
    assert found["data"] == [{"id": "a/one", "cells": {"tools": {"state": "yes"}}}]
    assert found["changes"] == changes[:1]
    assert [it["name"] for it in found["capabilities"]] == ["tools"]
    # of all: what a model that is gone lost is shown as well
    assert market._narrowed(matrix, market._columns(()), is_of_some=False)["changes"] == changes


def test_an_instant_may_be_an_age() -> None:
    now = datetime(2026, 11, 26, 16, 15, tzinfo=UTC)
    service: Any = SimpleNamespace(now=lambda: now)
    for text, at in (("30d", now - timedelta(days=30)), ("2w", now - timedelta(days=14)),
                     ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC))):  # fmt: skip
        assert market._instant_of(service, "since", text) == at
    for text in ("30", "soon", "-1d"):
        with pytest.raises(Refusal) as caught:
            market._instant_of(service, "since", text)
        assert caught.value.problem.more["parameter"] == "since"


def test_a_capability_that_there_is_not_is_refused_with_what_comes_near() -> None:
    for name, hint in (("tool", "tools"), ("flight", "There are")):
        with pytest.raises(Refusal) as caught:
            market._columns(["vision", name])
        assert hint in caught.value.problem.detail
