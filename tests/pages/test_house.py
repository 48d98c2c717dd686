"""The house has what the tests of pages look for, on both databases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmhive.app.library import Catalog
from llmhive.app.settings import read
from llmhive.store import rankings
from llmhive.store.database import connect
from tests.pages import house
from tests.serving import Served
from tests.support import DIALECTS, Dialect, dump, rows


@pytest.fixture(scope="module", params=DIALECTS)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with house.lent(request.param, tmp_path_factory.mktemp("house")) as lent:
        yield lent


def test_it_has_two_years_and_all_modalities(url: str, tmp_path: Path) -> None:
    with Catalog.open(url, settings=read({}, tmp_path)) as catalog:
        found = catalog.models()
    assert found.total == 455
    assert {"text", "image", "audio", "embeddings"} <= {it for model in found.data for it in model["output_modalities"]}
    [first] = rows(url, "SELECT min(fetched_at) AS at FROM capture")
    assert str(first["at"]).startswith("2024-09-21")


def test_runs_research_ran_on_four_days_and_all_ended_well(url: str) -> None:
    found = rows(url, "SELECT kind, status FROM sync_run ORDER BY id")
    assert Counter((it["kind"], it["status"]) for it in found) == {
        ("backfill", "completed"): 2, ("research", "completed"): 4, ("regular", "completed"): 1,
    }  # fmt: skip
    steps = rows(url, "SELECT DISTINCT status FROM research_step")
    assert [it["status"] for it in steps] == ["completed"]


def test_rankings_are_served_and_earlier_ones_are_kept(url: str) -> None:
    database = connect(url)
    with database.read() as connection:
        found = [rankings.published(connection, *it) for it in (("most_used", None), ("category", "programming"))]
    database.close()
    assert [it is not None and it["total"] >= 25 for it in found] == [True, True]
    [kept] = rows(url, "SELECT count(*) AS sets FROM ranking_set WHERE dimension = 'most_used'")
    assert kept["sets"] >= len(house.DAYS)
    [days] = rows(url, "SELECT count(DISTINCT begins) AS days FROM token_count")
    assert days["days"] > 40


def test_a_price_is_held(url: str, tmp_path: Path) -> None:
    with Catalog.open(url, settings=read({}, tmp_path)) as catalog:
        shown = catalog.model(house.HELD)
    assert shown["held"]["pricing.prompt"] == {
        "served": "0", "since": "2026-08-22T18:00:00Z", "rule": "price_fall"
    }  # fmt: skip
    assert [it["run_id"] for it in rows(url, "SELECT run_id FROM verdict")] == [7]


def test_alerts_were_delivered_wait_and_were_given_up(url: str) -> None:
    kinds = [it["kind"] for it in rows(url, "SELECT kind FROM alert ORDER BY kind")]
    assert kinds == ["expiring", "new", "removed", "removed", *["repriced"] * 5]
    told = rows(url, "SELECT label, state, error FROM delivery ORDER BY id")
    assert [(it["label"], it["state"], it["error"]) for it in told] == [
        (house.TAKES, "delivered", None), (house.REFUSES, "given up", "HTTP 503"),
        (house.TAKES, "delivered", None), (house.REFUSES, "pending", "HTTP 503"),
        (house.TAKES, "delivered", None), (house.REFUSES, "pending", None),
    ]  # fmt: skip


def test_there_is_a_snapshot_from_before(url: str, tmp_path: Path) -> None:
    with Catalog.open(url, settings=read({}, tmp_path)) as catalog:
        [taken] = catalog.snapshots()
        assert (taken["name"], taken["models"]) == (house.SNAPSHOT, 454)
        changed = catalog.diff(house.SNAPSHOT)
    assert house.ADDED in str(changed)


def test_both_databases_have_the_same_rows(tmp_path: Path) -> None:
    found = []
    for dialect in DIALECTS:
        with house.lent(dialect, tmp_path) as url:
            found.append(dump(url))
    assert found[0] == found[1]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_whole_answer_can_be_held(dialect: Dialect, tmp_path: Path) -> None:
    with house.lent(dialect, tmp_path) as url:
        assert house.hold_all(url).status == "held"


def test_it_can_be_served_then(tmp_path: Path) -> None:
    with house.lent("sqlite", tmp_path) as url, house.serving_then(url, tmp_path) as served:
        told = served.get("/api/models", limit=1).json()
        assert 3600 <= told["catalog_age_seconds"] < 3700


def test_a_sync_now_believes_what_was_held(own_served: Served) -> None:
    assert own_served.post("/api/openrouter/sync/blocking").json()["status"] == "completed"
    assert own_served.get(f"/api/models/{house.HELD}").json()["pricing"]["prompt"] == "0"
