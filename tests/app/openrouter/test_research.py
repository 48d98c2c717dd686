"""The research sync from end to end, over sockets and on both databases: what it brings, resumes and survives."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from llmhive.app.openrouter.research import ORDER
from llmhive.catalog.run import Run
from llmhive.store import benchmarks, budget, capabilities, catalog, endpoints, families, rankings
from llmhive.store.budget import Limits
from llmhive.store.database import Database, connect
from llmhive.store.tables import ranking_set, token_count
from tests import upstream_answers as answers
from tests import upstream_data as data_api
from tests.fake_openrouter import Record, Request, Response, dump, ok, status
from tests.researching import DATA_REQUESTS, FOLLOW, Clock, Lab, by_step, outcomes
from tests.support import sqlite_template
from tests.upstream import KEY, Upstream, World

TODAY = World.small().today
RANKINGS, CATEGORY = "/datasets/rankings-daily", "category"
#: of 13 models with endpoints, all but the last are asked for
IDS = frozenset(record["id"] for record in World.small().models)
WHOLE = dict.fromkeys(ORDER["research"], "completed")
BAD_KEY = "sk-or-v1-ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"


@pytest.fixture(autouse=True)
def by_our_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's own clock cannot be moved."""
    monkeypatch.setattr(budget, "clock", lambda _connection, now: now)


@contextmanager
def laboratory(database: Database, hour: int = 12) -> Iterator[Lab]:
    clock = Clock.on(TODAY, hour)
    with Upstream(World.small(), clock=clock.monotonic) as upstream:
        yield Lab(database, upstream, clock)
        assert upstream.throttled == 0


@contextmanager
def copy_of(template: Path, file: Path) -> Iterator[Database]:
    shutil.copy(template, file)
    database = connect(f"sqlite:///{file}")
    yield database
    database.close()


@pytest.fixture
def lab(database: Database) -> Iterator[Lab]:
    """Before the first run, on either database."""
    with laboratory(database) as made:
        yield made


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Lab]:
    """Before the first run, on SQLite: where the database has no part in it."""
    with copy_of(sqlite_template(), tmp_path / "fresh.db") as database, laboratory(database) as made:
        yield made


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file after a first run at 12:00."""
    file = tmp_path_factory.mktemp("first") / "first.db"
    with copy_of(sqlite_template(), file) as database, laboratory(database) as made:
        assert outcomes(made.run()) == WHOLE
    return file


@pytest.fixture
def known(first_run: Path, tmp_path: Path) -> Iterator[Lab]:
    """An hour after a first run, on SQLite."""
    with copy_of(first_run, tmp_path / "known.db") as database, laboratory(database, 13) as made:
        yield made


@pytest.fixture
def other(first_run: Path, tmp_path: Path) -> Iterator[Lab]:
    """A second one, for what would have been."""
    with copy_of(first_run, tmp_path / "other.db") as database, laboratory(database, 13) as made:
        yield made


def a_day_later(lab: Lab, days: int = 1) -> None:
    """So many days pass in the world and on the clock, each used like the one before it."""
    lab.clock.advance(days=days)
    with lab.upstream.change() as world:
        for _ in range(days):
            world.tokens[world.today] = dict(world.tokens[world.today - timedelta(days=1)])
            world.today += timedelta(days=1)
        world.fill()


def world_of(lab: Lab) -> World:
    with lab.upstream.change() as world:
        return world


def altered(lab: Lab, change: Callable[[Record], None], *, only: str | None = None) -> Callable[[Request], Response]:
    """A good answer of the rankings, changed: of all traffic, or of one category."""

    def answer(request: Request) -> Response | None:
        query = request.query
        if query.get("category") != only or "modality" in query:
            return None
        document = data_api.rankings(world_of(lab), query)
        change(document)
        return ok(dump(document))

    return answer  # type: ignore[return-value]


# --- a whole run


def test_a_whole_run(lab: Lab, known: Lab) -> None:
    run = lab.run()
    assert (run.status, run.kind, run.error, run.notes) == ("completed", "research", None, ())
    assert run.models_seen == len(IDS)
    assert outcomes(run) == WHOLE
    assert list(outcomes(run)) == list(ORDER["research"])
    assert len(lab.asked("/datasets")) + len(lab.asked("/classifications")) + len(lab.asked("/benchmarks")) == (
        DATA_REQUESTS
    )
    assert {path.removeprefix("/models/").removesuffix("/endpoints") for path in lab.asked("/models/")} == IDS
    assert len(lab.asked("/models/")) == len(IDS)
    assert sorted(set(lab.asked()) - set(lab.asked("/models/"))) == [
        "/benchmarks", "/classifications/task", "/datasets/rankings-daily", "/endpoints/zdr", "/models", "/providers",
    ]  # fmt: skip
    assert lab.read(budget.used, now=lab.clock.now()) == (DATA_REQUESTS, DATA_REQUESTS)
    assert [facts["step"] for facts in lab.events("Step begins")] == list(ORDER["research"])
    assert [facts["step"] for facts in lab.events("Step done")] == list(ORDER["research"])
    # what the tests below find on SQLite is the same on both
    assert _everything(lab) == _everything(known)


def _everything(lab: Lab) -> list[Any]:
    """What is served after a run, but when it was made."""
    sets = {(it["dimension"], it["category"]) for it in lab.read(rankings.catalog_of_sets)}
    named = sorted(sets, key=str)
    served = [{key: value for key, value in lab.served(*name).items() if key != "made_at"} for name in named]
    cells = [
        {name: cell["state"] for name, cell in it["cells"].items()} | {"id": it["id"]}
        for it in lab.read(capabilities.matrix)
    ]
    measures = [{key: value for key, value in it.items() if key != "since"} for it in lab.read(benchmarks.of)]
    without_time = [it | {"as_of": None} if it["is_derived"] else it for it in served]
    return [without_time, offers_of(lab), cells, measures, lab.read(families.all_of)]


def test_the_endpoints_come_in_batches(fresh: Lab) -> None:
    fresh.run(batch_size=5)
    told = [facts for facts in fresh.events("Step progress") if facts["step"] == "endpoints"]
    assert told == [{"step": "endpoints", "done": done, "of": 13} for done in (5, 10, 13)]


def test_the_second_run_of_a_day_repeats_nothing(lab: Lab) -> None:
    first = lab.run()
    lab.clock.advance(hours=2)
    lab.told.clear()
    second = lab.run()
    assert second.status == "unchanged"
    assert outcomes(second) == {}
    assert {step["facts"]["run"] for step in second.steps or ()} == {first.id}
    assert lab.asked() == ["/models"]
    skipped = lab.events("Step skipped")
    assert [facts["step"] for facts in skipped] == list(ORDER["research"])
    assert {facts["why"] for facts in skipped} == {f"run {first.id} did it today at 12:00 UTC"}


def test_by_force_it_repeats_all(known: Lab) -> None:
    known.clock.advance(hours=2)
    second = known.run(force=True)
    assert outcomes(second) == WHOLE
    assert len(known.asked("/models/")) == len(IDS)
    assert len(known.asked("/datasets")) == DATA_REQUESTS - 4


def test_the_day_ends_at_midnight(known: Lab) -> None:
    known.clock.advance(hours=10, minutes=58)
    assert outcomes(known.run()) == {}
    known.clock.advance(hours=1)
    with known.upstream.change() as world:
        world.today += timedelta(days=1)
        world.tokens[TODAY] = dict(world.tokens[TODAY - timedelta(days=1)])
    assert outcomes(known.run()) == WHOLE


def test_only_what_failed_is_repeated_within_the_day(lab: Lab) -> None:
    lab.upstream.fail("/providers", status(503))
    lab.upstream.fail("/classifications/task", status(500))
    first = lab.run()
    assert first.status == "failed"
    failed = {name for name, how in outcomes(first).items() if how == "failed"}
    assert failed == {"providers", "tasks"}
    assert first.error is not None
    assert first.error.startswith("2 of 11 steps failed (providers: ")
    assert "the next research sync repeats what failed" in first.error
    lab.upstream.heal()
    lab.clock.advance(minutes=5)
    # one that failed does not make the next one wait
    second = lab.run()
    assert outcomes(second) == {"providers": "completed", "tasks": "completed", **FOLLOW}
    assert sorted(lab.asked()) == ["/classifications/task", "/models", "/providers"]


def test_a_dry_run_asks_for_the_models_alone_and_writes_nothing(known: Lab) -> None:
    a_day_later(known)
    run = known.run(dry_run=True)
    assert (run.id, run.status, run.steps) == (None, "unchanged", None)
    assert known.asked() == ["/models"]
    assert "endpoints and rankings are not read" in run.notes[0]
    assert outcomes(known.run()) == WHOLE


# --- only days not yet final


def queries(lab: Lab, **wanted: str | None) -> list[tuple[str, str, str]]:
    """Period, first and last day of what was asked of the rankings."""
    return [
        (it.query["period"], it.query["start_date"], it.query["end_date"])
        for it in lab.requests(RANKINGS)
        if all(it.query.get(name) == value for name, value in wanted.items())
    ]


def test_the_first_run_asks_for_five_weeks(fresh: Lab) -> None:
    fresh.run()
    assert queries(fresh, category=None, modality=None) == [("day", "2026-08-27", "2026-09-30")]
    # of whole weeks, Monday to Sunday
    assert set(queries(fresh, modality=None)[1:]) == {("week", "2026-08-24", "2026-09-27")}
    assert len(queries(fresh, category="marketing/seo")) == 1


@pytest.mark.parametrize(
    ("days", "first_day", "last_day", "weeks"),
    [
        # the 26th was final on the 1st: its figures were fetched 4 days after its end
        # the week of the 21st is asked for until 8 days after its end
        (5, "2026-09-27", "2026-10-05", ("2026-09-21", "2026-10-04")),
        (20, "2026-09-27", "2026-10-20", ("2026-09-21", "2026-10-18")),
    ],
)
def test_later_only_days_that_are_not_final_are_asked_for(
    known: Lab, days: int, first_day: str, last_day: str, weeks: tuple[str, str]
) -> None:
    a_day_later(known, days)
    assert outcomes(known.run()) == WHOLE
    assert queries(known, category=None, modality=None) == [("day", first_day, last_day)]
    assert set(queries(known, modality=None)[1:]) == {("week", *weeks)}


def test_the_next_day_on_either_database(lab: Lab) -> None:
    lab.run()
    a_day_later(lab)
    assert outcomes(lab.run()) == WHOLE
    assert queries(lab, category=None, modality=None) == [("day", "2026-09-27", "2026-10-01")]
    assert set(queries(lab, modality=None)[1:]) == {("week", "2026-09-21", "2026-09-27")}


def test_a_category_whose_weeks_are_final_is_not_asked_for(known: Lab) -> None:
    a_day_later(known, 6)  # Wednesday the 7th: the week that ended on the 4th is not final yet
    known.run()
    a_day_later(known, 4)  # Sunday the 11th
    known.run()
    assert queries(known, category="legal") == [("week", "2026-09-28", "2026-10-04")]
    a_day_later(known, 1)  # Monday the 12th: the week that ended yesterday
    known.run()
    assert queries(known, category="legal") == [("week", "2026-09-28", "2026-10-11")]


def test_restated_figures_replace_those_that_stood(lab: Lab) -> None:
    slug, day = "acme/atlas-1-20260115", TODAY - timedelta(days=2)
    lab.run()
    before = {it["slug"]: it["tokens"] for it in lab.served("leaderboard")["data"]}
    was = world_of(lab).tokens[day][slug]
    a_day_later(lab)
    lab.upstream.restate(day, slug, was + 1_000_000)
    run = lab.run()
    assert by_step(run)["rankings"]["status"] == "completed"
    rows = lab.read(lambda c: c.execute(_counts_of(slug, day)).all())
    assert [(row.tokens, row.known_to is None) for row in rows] == [(was, False), (was + 1_000_000, True)]
    # as it was known before, and as it is known now
    noon = datetime(TODAY.year, TODAY.month, TODAY.day, 13, tzinfo=UTC)
    known = lab.read(rankings.tokens, "overall", "day", day, known_at=noon)
    assert {it.tokens for it in known if (it.begins, it.slug) == (day, slug)} == {was}
    after = {it["slug"]: it["tokens"] for it in lab.served("leaderboard")["data"]}
    assert after[slug] - before[slug] == 1_000_000 + _difference(world_of(lab), slug)


def _counts_of(slug: str, day: date) -> sa.Select[Any]:
    it = token_count.c
    chosen = sa.select(token_count).where(it.dataset == "overall", it.slug == slug, it.begins == day)
    return chosen.order_by(it.id)


def _difference(world: World, slug: str) -> int:
    """What moving the week by a day changes."""
    last = world.today - timedelta(days=1)
    return world.tokens[last][slug] - world.tokens[last - timedelta(days=7)][slug]


def test_the_same_figures_are_not_published_twice(known: Lab) -> None:
    known.clock.advance(hours=1)
    run = known.run(force=True)
    facts = by_step(run)["rankings"]["facts"]
    assert (facts["published"], facts["unchanged"], facts["failed"]) == (0, 4, 0)
    states = known.read(lambda c: c.execute(sa.select(ranking_set.c.state).distinct()).scalars().all())
    assert states == ["published"]


# --- categories that come and go


def test_a_category_that_vanishes_is_no_longer_served(known: Lab) -> None:
    assert known.served(CATEGORY, "trivia")["data"]
    a_day_later(known)
    known.upstream.remove_category("trivia")
    run = known.run()
    step = by_step(run)["categories"]
    assert (step["status"], step["facts"]["vanished_named"]) == ("completed", ["trivia"])
    assert known.ranking(CATEGORY, "trivia") is None
    assert known.served(CATEGORY, "legal")["data"]
    # it may come back
    known.clock.advance(hours=1)
    known.upstream.add_category("trivia")
    known.run(force=True)
    assert known.served(CATEGORY, "trivia")["data"]


def test_a_category_of_the_settings(fresh: Lab) -> None:
    fresh.upstream.add_category("gardening")
    fresh.run(categories=("gardening",))
    assert fresh.served(CATEGORY, "gardening")["data"]
    # once served it is asked for without being named
    a_day_later(fresh)
    fresh.upstream.add_category("gardening")
    fresh.run()
    assert len(queries(fresh, category="gardening")) == 1


def test_a_category_that_a_refusal_names(fresh: Lab) -> None:
    fresh.upstream.add_category("gardening")
    fresh.upstream.remove_category("trivia")

    def refuse(request: Request) -> Response | None:
        names = world_of(fresh).categories
        if request.query.get("category") in (None, *names):
            return None
        listed = "|".join(f'"{name}"' for name in names)
        return status(400, json={"error": {"code": 400, "message": f"Invalid option: expected one of {listed}"}})

    fresh.upstream.fail(RANKINGS, refuse)
    run = fresh.run()
    assert by_step(run)["categories"]["status"] == "completed"
    assert fresh.served(CATEGORY, "gardening")["data"]
    assert fresh.ranking(CATEGORY, "trivia") is None
    assert [query for query in queries(fresh) if query[0] == "week"] == [("week", "2026-08-24", "2026-09-27")] * 18


def test_that_no_category_is_known_retires_none(known: Lab) -> None:
    a_day_later(known)
    for name in list(world_of(known).categories):
        known.upstream.remove_category(name)
    run = known.run()
    assert by_step(run)["categories"]["status"] == "failed"
    assert known.served(CATEGORY, "trivia")["data"]


def test_a_category_that_fails_costs_no_other(fresh: Lab) -> None:
    def fail(request: Request) -> Response | None:
        return status(500) if request.query.get("category") == "legal" else None

    fresh.upstream.fail(RANKINGS, fail)
    run = fresh.run()
    step = by_step(run)["categories"]
    assert step["status"] == "failed"
    assert step["facts"]["published"] == 11
    assert "1 of 12 got no answer: legal: " in step["error"]
    assert fresh.ranking(CATEGORY, "legal") is None
    assert fresh.served(CATEGORY, "finance")["data"]
    assert by_step(run)["modalities"]["status"] == "completed"


# --- sets that cannot be believed


def _twice(document: Record) -> None:
    document["data"] = [row for row in document["data"] for _ in range(2)]


def _negative(document: Record) -> None:
    for row in document["data"]:
        row["total_tokens"] = "-" + row["total_tokens"]


def _tiny(document: Record) -> None:
    last = max(row["date"] for row in document["data"])
    for row in document["data"]:
        if row["date"] == last:
            row["total_tokens"] = str(int(row["total_tokens"]) // 12)


def _huge(document: Record) -> None:
    for row in document["data"]:
        row["total_tokens"] = str(int(row["total_tokens"]) * 30)


def _nameless(document: Record) -> None:
    for row in document["data"][:30]:
        row["model_permaslug"] = None


def _crowded(document: Record) -> None:
    day = document["data"][-1]["date"]
    more = [{"date": day, "model_permaslug": f"x/y-{number}", "total_tokens": "1"} for number in range(20)]
    document["data"] += more


def _empty(document: Record) -> None:
    document["data"] = []


def _other(document: Record) -> None:
    for row in document["data"]:
        row["date"] = "2025-02-01"


def undated(served: Record) -> Record:
    """A ranking without what only says when it was told."""
    return {name: it for name, it in served.items() if name not in {"as_of", "citation", "failure"}}


BAD = [_twice, _negative, _tiny, _huge, _nameless, _empty, _other]


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__.strip("_"))
def test_a_bad_set_is_failed_and_the_last_good_one_stays(known: Lab, spoil: Callable[[Record], None]) -> None:
    _take_a_bad_set(known, spoil)


def test_a_bad_set_on_either_database(lab: Lab) -> None:
    lab.run()
    _take_a_bad_set(lab, _twice)


def _take_a_bad_set(lab: Lab, spoil: Callable[[Record], None]) -> None:
    names = ("leaderboard", "market_share", "most_used", "trending")
    good = {name: lab.served(name) for name in names}
    counts = lab.read(rankings.tokens, "overall", "day", date(2026, 1, 1))
    a_day_later(lab)
    lab.upstream.fail(RANKINGS, altered(lab, spoil))
    run = lab.run()
    step = by_step(run)["rankings"]
    assert (run.status, step["status"]) == ("failed", "failed")
    assert "not published, the last good one stays" in step["error"]
    if spoil in {_tiny, _huge}:
        # the days that are not odd are as they were, which is a statement of today
        assert {name: undated(lab.served(name)) for name in names} == {name: undated(it) for name, it in good.items()}
    else:
        assert {name: lab.served(name) for name in names} == good
    assert lab.read(rankings.tokens, "overall", "day", date(2026, 1, 1)) == counts
    assert {it for name, it in outcomes(run).items() if name != "rankings"} == {"completed"}
    if spoil is not _empty:
        failed = lab.read(lambda c: c.execute(sa.select(ranking_set).where(ranking_set.c.state == "failed")).all())
        assert [row.dimension for row in failed] == ["leaderboard"]
        assert failed[0].error
        told = {it["dimension"]: it for it in lab.read(rankings.catalog_of_sets)}
        assert told["leaderboard"]["failure"]["error"] == failed[0].error
    # and a good one replaces both
    lab.upstream.heal()
    lab.clock.advance(hours=1)
    assert outcomes(lab.run()) == {"rankings": "completed", **FOLLOW}
    assert lab.served("leaderboard")["window"]["to"] == "2026-10-01"


@pytest.mark.parametrize("spoil", [_twice, _negative, _tiny, _nameless], ids=lambda spoil: spoil.__name__.strip("_"))
def test_a_bad_category_is_failed_alone(known: Lab, spoil: Callable[[Record], None]) -> None:
    good = known.served(CATEGORY, "legal")
    a_day_later(known, 4)
    known.upstream.fail(RANKINGS, altered(known, spoil, only="legal"))
    run = known.run()
    step = by_step(run)["categories"]
    assert step["status"] == "failed"
    assert step["facts"]["failed"] == 1
    assert step["facts"]["published"] + step["facts"]["unchanged"] in {11, 12}
    assert undated(known.served(CATEGORY, "legal")) == undated(good)
    assert known.served(CATEGORY, "health")["window"]["to"] == "2026-10-04"


def test_the_first_set_of_all_may_be_bad(fresh: Lab) -> None:
    fresh.upstream.fail(RANKINGS, altered(fresh, _negative))
    run = fresh.run()
    assert by_step(run)["rankings"]["status"] == "failed"
    assert fresh.ranking("leaderboard") is None
    assert by_step(run)["dimensions"]["status"] == "completed"


def test_an_answer_that_is_none_at_all(known: Lab) -> None:
    good = known.served("leaderboard")
    a_day_later(known)
    for body in (b"<html>", b'{"data": 7, "meta": {}}', b'{"data": []}'):
        known.upstream.fail(RANKINGS, ok(body))
        run = known.run()
        assert by_step(run)["rankings"]["status"] == "failed"
        assert known.served("leaderboard") == good
        known.clock.advance(hours=1)


def test_shares_of_tasks_above_one(known: Lab) -> None:
    good = known.served("task", "code:review")
    a_day_later(known)
    with known.upstream.change() as world:
        for task in world.tasks["classifications"]:
            if task["tag"] == "code:review":
                for it in task["models"]:
                    it["tag_token_share"] = it["tag_usage_share"] = 0.9
    run = known.run()
    step = by_step(run)["tasks"]
    assert step["status"] == "failed"
    assert step["facts"]["published"] == 9
    assert "code:review: its shares add up to 9.0, more than all" in step["error"]
    assert known.served("task", "code:review") == good
    assert known.served("task", "code:debugging")["as_of"] == "2026-10-01"


# --- with and without a key


def test_without_a_key(lab: Lab) -> None:
    run = lab.run(key=None)
    skipped = {"modalities", "tasks", "benchmarks"}
    assert run.status == "completed"
    assert outcomes(run) == {name: "skipped" if name in skipped else "completed" for name in ORDER["research"]}
    assert all("it needs OPENROUTER_API_KEY" in by_step(run)[name]["error"] for name in skipped)
    assert lab.asked("/datasets") + lab.asked("/classifications") + lab.asked("/benchmarks") == []
    board = lab.served("leaderboard")
    assert (board["source"], board["is_derived"], board["citation"]) == ("models-order", False, None)
    assert {it["tokens"] for it in board["data"]} == {None}
    assert [it["slug"] for it in board["data"]] == _in_order(answers.models(world_of(lab), {"sort": "top-weekly"}))
    legal = answers.models(world_of(lab), {CATEGORY: "legal"})
    assert [it["slug"] for it in lab.served(CATEGORY, "legal")["data"]] == _in_order(legal)
    # latency and throughput are told only with a key
    assert lab.read(endpoints.of, "acme/atlas-2")[0]["throughput_tps"] is None
    assert lab.ranking("fastest") is None


def _in_order(document: Record) -> list[str]:
    """The base models of a list, aliases left out."""
    return list(dict.fromkeys(it["id"].partition(":")[0] for it in document["data"] if it["id"][0] != "~"))


def test_a_refused_key_the_first_time(lab: Lab) -> None:
    run = lab.run(key=BAD_KEY)
    assert run.status == "failed"
    failed = {"rankings", "categories", "modalities", "tasks", "benchmarks"}
    assert {name for name, how in outcomes(run).items() if how == "failed"} == failed
    for name in failed:
        error = by_step(run)[name]["error"]
        assert "401" in error
        assert "the key in OPENROUTER_API_KEY is missing or invalid: check it at" in error
        assert BAD_KEY not in error
    # better than nothing
    assert lab.served("leaderboard")["source"] == "models-order"
    assert len(lab.read(endpoints.of, "acme/atlas-1")) >= 1
    # a refused key is asked with no more often than it must
    assert len(lab.asked("/datasets")) == 3
    # and once it works the order gives way to figures
    lab.clock.advance(hours=1)
    again = lab.run()
    assert set(outcomes(again)) == {*failed, "endpoints", *FOLLOW}
    assert lab.served("leaderboard")["source"] == "data-api"


@pytest.mark.parametrize("code", [401, 402, 403])
def test_a_key_that_is_refused_later(known: Lab, code: int) -> None:
    good = {it["dimension"]: it for it in known.read(rankings.catalog_of_sets)}
    a_day_later(known)
    for path in ("/datasets/*", "/classifications/*", "/benchmarks"):
        known.upstream.fail(path, status(code))
    run = known.run()
    failed = {"rankings", "categories", "modalities", "tasks", "benchmarks"}
    assert {name for name, how in outcomes(run).items() if how == "failed"} == failed
    after = {it["dimension"]: it for it in known.read(rankings.catalog_of_sets)}
    for name in ("leaderboard", "market_share", "category", "modality", "task"):
        assert after[name] == good[name]
    assert known.served("leaderboard")["source"] == "data-api"
    assert len(known.asked("/models?")) == 0


def test_the_budget_of_the_day_is_spent(fresh: Lab) -> None:
    run = fresh.run(limits=Limits(30, 6))
    told = outcomes(run)
    assert told["rankings"] == "completed"
    assert {name for name, how in told.items() if how == "failed"} == {
        "categories", "modalities", "tasks", "benchmarks",
    }  # fmt: skip
    assert "DATA_API_PER_DAY" in by_step(run)["categories"]["error"]
    assert by_step(run)["categories"]["facts"]["published"] == 5
    assert told["endpoints"] == "completed"
    assert fresh.read(budget.used, now=fresh.clock.now()) == (6, 6)
    # a day later the rest is done
    a_day_later(fresh)
    assert outcomes(fresh.run()) == WHOLE


def test_it_waits_for_the_budget_of_the_minute(lab: Lab) -> None:
    began = lab.clock.now()
    assert outcomes(lab.run(limits=Limits(10, 500))) == WHOLE
    passed = (lab.clock.now() - began).total_seconds()
    assert 120 <= passed < 125
    assert len(lab.events("Waiting for the request budget")) == 2
    sent = sorted(it.at for it in lab.requests() if "authorization" in it.headers and it.path.endswith("/benchmarks"))
    assert len(sent) == 3
    data = [it for path in ("/datasets", "/classifications", "/benchmarks") for it in lab.upstream.arrivals(path)]
    assert max(sum(at <= other < at + 60 for other in data) for at in data) == 10


# --- benchmarks


def test_benchmarks_that_are_cut_short_end_nothing(known: Lab) -> None:
    before = known.read(benchmarks.of)
    a_day_later(known)

    def short(request: Request) -> Response | None:
        document = data_api.benchmarks(world_of(known), request.query)
        document["data"] = document["data"][:1]
        return ok(dump(document))

    known.upstream.fail("/benchmarks", short)
    run = known.run()
    step = by_step(run)["benchmarks"]
    assert step["status"] == "completed"
    assert step["facts"]["cut_short_named"] == ["artificial-analysis", "design-arena", "openrouter"]
    assert step["facts"]["gone"] == 0
    assert known.read(benchmarks.of) == before


def test_benchmarks_that_are_whole_end_what_is_gone(known: Lab) -> None:
    a_day_later(known)
    slug = "acme/atlas-1-20260115"
    with known.upstream.change() as world:
        world.benchmarks = [it for it in world.benchmarks if it["model_permaslug"] != slug]
    known.run()
    assert {it["source"] for it in known.read(benchmarks.of, [slug])} == {
        "models:artificial-analysis", "models:design-arena",
    }  # fmt: skip


def test_a_source_without_figures_keeps_those_it_had(known: Lab) -> None:
    before = known.read(benchmarks.of)
    a_day_later(known)
    with known.upstream.change() as world:
        world.benchmarks = [it for it in world.benchmarks if it["source"] != "design-arena"]
    step = by_step(known.run())["benchmarks"]
    assert (step["status"], step["error"]) == ("failed", "no figures of design-arena: they stay.")
    assert known.read(benchmarks.of) == before


def test_a_server_that_allows_fewer_benchmarks_at_once(fresh: Lab) -> None:
    def strict(request: Request) -> Response | None:
        return status(400) if int(request.query["max_results"]) > 100 else None

    fresh.upstream.fail("/benchmarks", strict)
    assert outcomes(fresh.run(limits=Limits(30, 500)))["benchmarks"] == "completed"
    assert [it.query["max_results"] for it in fresh.requests("/benchmarks")] == ["2000", "100"] * 3


# --- tasks


def test_a_task_that_vanishes_is_no_longer_served(known: Lab) -> None:
    a_day_later(known)
    with known.upstream.change() as world:
        world.tasks["classifications"] = [it for it in world.tasks["classifications"] if it["tag"] != "data:sql"]
    assert by_step(known.run())["tasks"]["facts"]["published"] == 9
    assert known.ranking("task", "data:sql") is None


def test_tasks_as_they_are_told(known: Lab) -> None:
    for task in world_of(known).tasks["classifications"]:
        served = known.served("task", task["tag"])
        requests: dict[str, Fraction] = {}
        for it in task["models"]:
            base = it["id"].partition(":")[0]
            requests[base] = requests.get(base, Fraction(0)) + Fraction(repr(it["tag_usage_share"]))
        assert [it["slug"] for it in served["data"]] == sorted(requests, key=lambda slug: (-requests[slug], slug))
        assert {it["slug"]: Fraction(it["score"]) for it in served["data"]} == requests
        assert served["window"] == {"from": "2026-09-24", "to": "2026-09-30"}


# --- failing endpoints


def _dearer(world: World) -> None:
    """Every endpoint asks for one more, and one of each model is gone."""
    for offers in world.endpoints.values():
        for offer in offers:
            offer["pricing"]["request"] = "0.001"
        del offers[2:]


TIMES = frozenset({"since", "first_seen_at", "last_seen_at", "health_at"})


def offers_of(lab: Lab) -> dict[str, list[dict[str, Any]]]:
    """What is stored of all endpoints but when."""
    found = {}
    for name in sorted(IDS):
        of = lab.read(endpoints.of, name)
        found[name] = [{key: value for key, value in it.items() if key not in TIMES} for it in of]
    return found


def test_a_failing_model_costs_no_other(lab: Lab, other: Lab) -> None:
    lab.run()
    _fail_some(lab, other, 0.05)


def test_many_that_fail_cost_no_other(known: Lab, other: Lab) -> None:
    _fail_some(known, other, 0.4)


def _fail_some(lab: Lab, other: Lab, share: float) -> None:
    for it in (lab, other):
        a_day_later(it)
        with it.upstream.change() as world:
            _dearer(world)
    before = offers_of(lab)
    failing = lab.upstream.fail_endpoints(share)
    run, undisturbed = lab.run(), other.run()
    step = by_step(run)["endpoints"]
    assert outcomes(undisturbed) == outcomes(run) == WHOLE
    assert step["facts"]["failed"] == len(failing) == max(round(share * len(IDS)), 1)
    assert {it["model"] for it in step["facts"]["failed_named"]} == failing
    after, ideal = offers_of(lab), offers_of(other)
    assert {name: after[name] for name in failing} == {name: before[name] for name in failing}
    assert {name: after[name] for name in IDS - failing} == {name: ideal[name] for name in IDS - failing}
    assert all(it["is_active"] for name in failing for it in after[name])
    check = lab.read(endpoints.check_of, min(failing))
    assert "500" in check["error"]
    assert check["succeeded_at"] < check["checked_at"]
    # the next day all is as if nothing had been
    lab.upstream.heal()
    for it in (lab, other):
        a_day_later(it)
        with it.upstream.change() as world:
            _dearer(world)
        it.run()
    assert offers_of(lab) == offers_of(other)


def test_most_endpoints_fail(lab: Lab) -> None:
    failing = lab.upstream.fail_endpoints(0.6)
    run = lab.run()
    step = by_step(run)["endpoints"]
    assert step["status"] == "failed"
    assert step["error"].startswith(f"{len(failing)} of 13 models got no answer: ")
    # those that were answered are kept, and not asked for again
    lab.upstream.heal()
    lab.clock.advance(hours=1)
    again = lab.run()
    assert outcomes(again) == {"endpoints": "completed", **FOLLOW}
    asked = {path.removeprefix("/models/").removesuffix("/endpoints") for path in lab.asked("/models/")}
    assert asked == failing


def test_an_unreadable_answer_is_the_failure_of_its_model_alone(known: Lab) -> None:
    before = offers_of(known)
    a_day_later(known)
    for body in (b'{"data": {"id": "acme/atlas-2"}}', b'{"data": []}'):
        known.upstream.fail("/models/acme/atlas-2/endpoints", ok(body))
        step = by_step(known.run(force=True))["endpoints"]
        assert (step["status"], step["facts"]["failed"], step["facts"]["models"]) == ("completed", 1, 12)
        assert offers_of(known) == before
        known.clock.advance(minutes=2)


def test_a_model_without_endpoints_has_none(known: Lab) -> None:
    a_day_later(known)
    with known.upstream.change() as world:
        world.endpoints["acme/atlas-1"] = []
    before = offers_of(known)
    step = by_step(known.run())["endpoints"]
    # it had some: once may be a mistake
    assert (step["facts"]["gone"], step["facts"]["failed"]) == (0, 1)
    assert offers_of(known)["acme/atlas-1"] == before["acme/atlas-1"]
    known.clock.advance(hours=1)
    step = by_step(known.run(force=True))["endpoints"]
    assert step["facts"]["gone"] == len(World.small().endpoints["acme/atlas-1"])
    assert not any(it["is_active"] for it in known.read(endpoints.of, "acme/atlas-1"))


def test_what_a_crash_left_is_told_to_readers(known: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are committed without a new version, which the end of the step brings, be it in another run."""
    a_day_later(known)
    with known.upstream.change() as world:
        world.endpoints["acme/atlas-1"][0]["supports_voice_cloning"] = True

    def crash(*_: object, **__: object) -> int:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(endpoints, "thin", crash)
        with pytest.raises(SystemExit):
            known.run()
    assert any(it["supports_voice_cloning"] for it in known.read(endpoints.of, "acme/atlas-1"))
    raised: list[str] = []
    raise_version = catalog.raise_version

    def watch(connection: sa.Connection) -> Any:
        raised.append(known.events("Step begins")[-1]["step"])
        return raise_version(connection)

    monkeypatch.setattr(catalog, "raise_version", watch)
    known.clock.advance(minutes=5)
    run = known.run()
    assert known.asked("/models/") == []
    assert list(outcomes(run)) == ["endpoints", "capabilities", "dimensions"]
    assert "endpoints" in raised


def test_an_endless_rate_limit_does_not_hold_the_sync(fresh: Lab) -> None:
    fresh.upstream.fail("/models/*", status(429, {"Retry-After": "7200"}))
    began = fresh.clock.now()
    run = fresh.run(seconds=300)
    assert by_step(run)["endpoints"]["status"] == "failed"
    assert "asks to wait 7200 s" in by_step(run)["endpoints"]["error"]
    assert (fresh.clock.now() - began).total_seconds() < 300
    assert by_step(run)["dimensions"]["status"] == "completed"


def test_a_short_rate_limit_is_kept_to_by_all(fresh: Lab) -> None:
    fresh.upstream.fail("/models/*", status(429, {"Retry-After": "20"}), times=1)
    began = fresh.clock.now()
    run = fresh.run()
    assert by_step(run)["endpoints"]["facts"]["failed"] == 0
    assert 20 <= (fresh.clock.now() - began).total_seconds() < 60


def test_which_keep_no_data(known: Lab) -> None:
    world = world_of(known)
    expected = {(model, it["tag"]): (model, it["tag"]) in world.zdr for model in IDS for it in _offers(world, model)}
    found = {(model, it["tag"]): it["is_zdr"] for model in IDS for it in known.read(endpoints.of, model)}
    # what an answer without retention says is of the model it names
    assert {key: found[key] for key in expected if key[0][0] != "~"} == {
        key: value for key, value in expected.items() if key[0][0] != "~"
    }


def _offers(world: World, model_id: str) -> list[Record]:
    return world.endpoints.get(model_id, [])


# --- all is down


def test_all_is_down_after_the_model_list(lab: Lab) -> None:
    lab.run()
    before = {it["dimension"]: it for it in lab.read(rankings.catalog_of_sets)}
    offers = offers_of(lab)
    a_day_later(lab)

    def down(request: Request) -> Response | None:
        is_list = request.path.endswith("/models") and "output_modalities" in request.query
        return None if is_list else status(503)

    lab.upstream.fail("/*", down)
    with lab.upstream.change() as world:
        world.models[0]["pricing"]["prompt"] = "0.0000025"
    run = lab.run()
    network = {"providers", "rankings", "categories", "modalities", "tasks", "benchmarks", "endpoints"}
    assert outcomes(run) == {name: "failed" if name in network else "completed" for name in ORDER["research"]}
    assert (run.status, run.repriced) == ("failed", 1)
    assert offers_of(lab) == offers
    after = {it["dimension"]: it for it in lab.read(rankings.catalog_of_sets)}
    assert {name for name in after if after[name] != before[name]} <= {
        "lowest_cost", "best_value", "long_context", "multimodal", "fastest", "most_reliable",
    }  # fmt: skip
    lab.upstream.heal()
    lab.clock.advance(hours=1)
    assert set(outcomes(lab.run())) == network | set(FOLLOW)


def test_the_model_list_is_down(fresh: Lab) -> None:
    fresh.upstream.fail("/models", status(503))
    run = fresh.run()
    assert (run.status, run.steps) == ("failed", None)
    assert set(fresh.asked()) == {"/models"}


# --- the regular sync


def models_asked(lab: Lab) -> list[str]:
    return [path.removeprefix("/models/").removesuffix("/endpoints") for path in lab.asked("/models/")]


def test_a_regular_sync_without_rankings_asks_for_the_models_alone(fresh: Lab) -> None:
    run = fresh.run("regular", regular=False)
    assert (run.status, run.steps) == ("completed", None)
    assert fresh.asked() == ["/models"]


def test_the_first_regular_sync_begins_with_the_popular(fresh: Lab) -> None:
    run = fresh.run("regular", batch_size=5, popular=3)
    assert run.status == "completed"
    assert list(outcomes(run)) == list(ORDER["regular"])
    popular = [it["model"] for it in fresh.served("leaderboard")["data"] if it["model"]][:3]
    assert set(models_asked(fresh)) >= set(popular)
    assert len(models_asked(fresh)) == 5
    assert len(fresh.asked("/datasets")) == 1
    # those never asked for come with the next ones
    seen = set(models_asked(fresh))
    for _ in range(3):
        fresh.clock.advance(hours=6)
        fresh.run("regular", batch_size=5, popular=3)
        assert len(models_asked(fresh)) <= 5
        seen |= set(models_asked(fresh))
    # of 13: 5, and 2 more each time, beside the popular
    assert len(seen) == 11


def test_a_regular_sync_asks_for_what_changed_and_what_is_popular(lab: Lab) -> None:
    lab.run()
    a_day_later(lab)
    with lab.upstream.change() as world:
        changed = next(it for it in world.models if it["id"] == "cobalt/embed-1")
        changed["pricing"]["prompt"] = "0.00000002"
        new = dict(changed, id="cobalt/embed-2", canonical_slug="cobalt/embed-2-20261001")
        world.models.append(new)
        world.endpoints["cobalt/embed-2"] = []
    run = lab.run("regular", popular=2)
    popular = [it["model"] for it in lab.served("leaderboard")["data"] if it["model"]][:2]
    assert set(models_asked(lab)) == {*popular, "cobalt/embed-1", "cobalt/embed-2"}
    assert by_step(run)["endpoints"]["facts"]["models"] == 4
    # and when nothing changed, for the popular ones alone
    lab.clock.advance(hours=6)
    quiet = lab.run("regular", popular=2)
    assert set(models_asked(lab)) == set(popular)
    assert lab.asked("/providers") + lab.asked("/endpoints") == []
    assert by_step(quiet)["families"]["facts"]["changed"] == 0


def test_a_regular_sync_whose_steps_fail_has_done_its_work(fresh: Lab) -> None:
    fresh.upstream.fail(RANKINGS, status(503))
    run = fresh.run("regular")
    assert run.status == "completed"
    assert run.error is None
    assert any(note.startswith("rankings failed: ") for note in run.notes)


def test_a_regular_sync_does_not_count_as_research(fresh: Lab) -> None:
    fresh.run("regular")
    fresh.clock.advance(hours=1)
    assert outcomes(fresh.run()) == WHOLE
    assert len(models_asked(fresh)) == len(IDS)


# --- what is stored is what the world says


def _top(counts: Mapping[str, int]) -> dict[str, int]:
    """What a day names: its first 50, of equal ones by name, without what is added up as other."""
    order = sorted((it for it in counts.items() if it[1] > 0 and it[0] != "other"), key=lambda it: (-it[1], it[0]))
    return dict(order[:50])


def _added(periods: list[dict[str, int]], name: Callable[[str], str]) -> list[tuple[str, int]]:
    total: dict[str, int] = {}
    for counts in periods:
        for slug, tokens in _top(counts).items():
            total[name(slug)] = total.get(name(slug), 0) + tokens
    return sorted(total.items(), key=lambda it: (-it[1], it[0]))[:50]


def _base(slug: str) -> str:
    return slug.partition(":")[0]


def _share(tokens: int, whole: int) -> str:
    """Cut after six places, written as short as can be."""
    millionths = tokens * 10**6 // whole
    text = f"{millionths // 10**6}.{millionths % 10**6:06}".rstrip("0").rstrip(".")
    return text or "0"


def _ids_by_slug(world: World) -> dict[str, str]:
    return {it["canonical_slug"]: it["id"] for it in world.models if ":" not in it["id"] and it["id"][0] != "~"}


def test_the_leaderboard_and_what_is_made_of_it(known: Lab) -> None:
    world = world_of(known)
    for name, days, key in (("leaderboard", 7, _base), ("most_used", 28, _base), ("market_share", 7, _author)):
        window = [TODAY - timedelta(days=back) for back in range(1, days + 1)]
        expected = _added([world.tokens[day] for day in window], key)
        whole = sum(sum(world.tokens[day].values()) for day in window)
        served = known.served(name)
        assert [(it["slug"], it["tokens"]) for it in served["data"]] == expected
        assert [it["share"] for it in served["data"]] == [_share(tokens, whole) for _, tokens in expected]
        assert [it["rank"] for it in served["data"]] == list(range(1, len(expected) + 1))
        assert served["facts"]["total_tokens"] == whole
        assert served["window"] == {"from": window[-1].isoformat(), "to": window[0].isoformat()}
    ids = _ids_by_slug(world)
    assert all(it["model"] == ids.get(it["slug"]) for it in known.served("leaderboard")["data"])
    before = [world.tokens[TODAY - timedelta(days=back)] for back in range(8, 15)]
    ranks = {slug: rank for rank, (slug, _) in enumerate(_added(before, _base), start=1)}
    assert {it["slug"]: it["previous_rank"] for it in known.served("leaderboard")["data"]} == {
        it["slug"]: ranks.get(it["slug"]) for it in known.served("leaderboard")["data"]
    }


def _author(slug: str) -> str:
    return slug.partition("/")[0]


def test_the_categories_and_modalities(known: Lab) -> None:
    world = world_of(known)
    monday = date(2026, 9, 21)
    for category, weeks in world.categories.items():
        served = known.served(CATEGORY, category)
        assert [(it["slug"], it["tokens"]) for it in served["data"]] == _added([weeks[monday]], _base)
        assert served["window"] == {"from": "2026-09-21", "to": "2026-09-27"}
        assert served["is_estimate"]
    week: dict[str, int] = {}
    for day in (monday + timedelta(days=more) for more in range(7)):
        for slug, tokens in world.tokens[day].items():
            week[slug] = week.get(slug, 0) + tokens
    hears = {it["canonical_slug"] for it in world.models if "audio" in it["architecture"]["input_modalities"]}
    sees = {it["canonical_slug"] for it in world.models if "image" in it["architecture"]["input_modalities"]}
    for modality, slugs in (("audio", hears), ("image", sees)):
        of = {slug: tokens for slug, tokens in week.items() if _base(slug) in slugs}
        served = known.served("modality", modality)
        assert [(it["slug"], it["tokens"]) for it in served["data"]] == _added([of], _base)
        assert not served["is_estimate"]


def test_the_endpoints(known: Lab) -> None:
    world = world_of(known)
    for model in IDS:
        expected = sorted(
            (
                it["tag"], it["provider_name"], it["context_length"],
                None if it["quantization"] == "unknown" else it["quantization"], it["status"],
                it["uptime_last_30m"], Fraction(it["pricing"]["prompt"]), Fraction(it["pricing"]["completion"]),
                tuple(sorted(it["supported_parameters"])), (it["throughput_last_30m"] or {}).get("p50"),
                (it["latency_last_30m"] or {}).get("p90"),
            )
            for it in _offers(world, model)
        )  # fmt: skip
        found = sorted(
            (
                it["tag"], it["provider"], it["context_length"], it["quantization"], it["status"],
                it["uptime_last_30m"], Fraction(it["pricing"]["prompt"]), Fraction(it["pricing"]["completion"]),
                tuple(it["supported_parameters"]), (it["throughput_tps"] or {}).get("p50"),
                (it["latency_ms"] or {}).get("p90"),
            )
            for it in known.read(endpoints.of, model)
        )  # fmt: skip
        assert [repr(it) for it in found] == [repr(it) for it in expected]


def test_the_capabilities(known: Lab) -> None:
    records = {it["id"]: it for it in world_of(known).models}
    matrix = {it["id"]: it["cells"] for it in known.read(capabilities.matrix)}
    assert matrix.keys() == records.keys()
    for name, record in records.items():
        if record["architecture"]["tokenizer"] == "Router":
            continue
        inputs, outputs = (record["architecture"][f"{way}_modalities"] for way in ("input", "output"))
        for cell, is_there in (
            ("vision", "image" in inputs),
            ("file_input", "file" in inputs),
            ("audio_input", "audio" in inputs),
            ("image_output", "image" in outputs),
            ("audio_output", "audio" in outputs),
            ("embeddings", "embeddings" in outputs),
            ("tools", "tools" in record["supported_parameters"]),
            ("structured_outputs", "structured_outputs" in record["supported_parameters"]),
        ):
            # what takes no parameters at all says nothing about them
            expected = {"yes"} if is_there else {"no", "unknown"}
            assert matrix[name][cell]["state"] in expected, (name, cell)


def test_the_benchmarks(known: Lab) -> None:
    world = world_of(known)
    index = {
        it["canonical_slug"]: Decimal(repr(it["benchmarks"]["artificial_analysis"]["intelligence_index"]))
        for it in world.models
        if it.get("benchmarks")
    }
    assert known.read(benchmarks.values, "intelligence_index") == index
    stored = known.read(benchmarks.of)
    arena = {
        (it["model_permaslug"], f"elo:{it['arena']}:{it['category']}"): Decimal(repr(it["elo"]))
        for it in world.benchmarks
        if it["source"] == "design-arena" and it["arena"] == "models"
    }
    assert {
        (it["slug"], it["metric"]): Decimal(it["value"]) for it in stored if it["source"] == "design-arena"
    } == arena
    assert {it["source"] for it in stored} == {
        "artificial-analysis", "design-arena", "openrouter", "models:artificial-analysis", "models:design-arena",
    }  # fmt: skip


def test_what_is_derived(known: Lab) -> None:
    world = world_of(known)
    choosable = [
        it
        for it in world.models
        if it["id"][0] != "~" and not it["id"].endswith(":batch") and it["pricing"]["prompt"] != "-1"
    ]
    prices = {
        it["id"]: (3 * Fraction(it["pricing"]["prompt"]) + Fraction(it["pricing"]["completion"])) / 4 * 10**6
        for it in choosable
        if it["architecture"]["output_modalities"] == ["text"]
    }
    cheapest = sorted((price, name) for name, price in prices.items() if price > 0)
    served = known.served("lowest_cost")["data"]
    assert [it["model"] for it in served] == [name for _, name in cheapest]
    assert [float(it["score"]) for it in served] == [pytest.approx(float(price), rel=1e-9) for price, _ in cheapest]
    fastest = {
        name: max(speeds)
        for it in choosable
        if (name := it["id"])
        and (
            speeds := [
                offer["throughput_last_30m"]["p50"]
                for offer in _offers(world, name)
                if offer["status"] >= 0 and offer["throughput_last_30m"] and (offer["uptime_last_30m"] or 100) >= 95
            ]
        )
    }
    assert {it["model"]: float(it["score"]) for it in known.served("fastest")["data"]} == fastest
    speeds = [float(it["score"]) for it in known.served("fastest")["data"]]
    assert speeds == sorted(speeds, reverse=True)
    longest = {it["id"]: it["context_length"] for it in choosable if it["context_length"]}
    assert {it["model"]: int(it["score"]) for it in known.served("long_context")["data"]} == longest


def test_families_and_providers(known: Lab) -> None:
    assert {it["model_id"] for it in known.read(families.all_of)} == IDS
    listed = {it["name"]: it["slug"] for it in world_of(known).providers}
    assert {it["name"]: it["slug"] for it in known.read(endpoints.providers) if it["slug"]} == listed


def test_no_key_in_what_is_stored_or_told(fresh: Lab) -> None:
    fresh.upstream.fail("/providers", status(500, json={"error": {"code": 500, "message": f"bad {KEY}"}}))
    run = fresh.run()
    assert by_step(run)["providers"]["status"] == "failed"
    assert KEY not in repr(run) + repr(fresh.told)
    assert isinstance(run, Run)


# --- what reviews found


def test_the_key_is_never_quoted(fresh: Lab) -> None:
    """An answer that echoes the key is refused whole: what is read of answers ends up in errors and in the database."""
    echo = {"data": [], "error": {"message": f"Rejected: Authorization: Bearer {KEY}"}}
    fresh.upstream.fail(RANKINGS, ok(dump(echo)))
    fresh.upstream.fail("/models/acme/atlas-1/endpoints", ok(dump({"data": {"id": KEY, "endpoints": []}})))
    run = fresh.run()
    told = repr((run, fresh.told, [fresh.read(endpoints.of, it) for it in IDS]))
    with fresh.database.read() as connection:
        told += repr(connection.execute(sa.text("SELECT * FROM endpoint_check")).all())
    assert KEY not in told
    assert KEY[:24] not in told
    assert "an error: Rejected: Authorization: Bearer [key]" in (by_step(run)["rankings"]["error"] or "")
    assert "echoes the key" in str(by_step(run)["endpoints"]["facts"]["failed_named"])


def test_a_mistake_of_ours_costs_one_step(fresh: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object, **__: object) -> int:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(endpoints, "keep_providers", crash)
    run = fresh.run()
    failed = {name: step["error"] for name, step in by_step(run).items() if step["status"] == "failed"}
    assert failed == {"providers": "internal error: ZeroDivisionError; the log has more"}
    assert "ZeroDivisionError: of ours" in str(fresh.events("Run failed"))


def test_one_odd_day_does_not_hold_up_the_others(known: Lab) -> None:
    """A day of an outage is doubted for a week, while the days after it are taken in; then it is believed."""
    odd = TODAY

    def outage(document: Record) -> None:
        for row in document["data"]:
            if row["date"] == odd.isoformat():
                row["total_tokens"] = str(int(row["total_tokens"]) // 50)

    known.upstream.fail(RANKINGS, altered(known, outage))
    for day in range(1, 9):
        a_day_later(known)
        run = known.run()
        served = known.served("leaderboard")
        if day < 8:
            assert by_step(run)["rankings"]["status"] == "failed"
            assert f"{odd} has" in by_step(run)["rankings"]["error"]
        if day > 1:
            assert served["window"]["to"] == (odd + timedelta(days=day - 1)).isoformat()
    assert by_step(run)["rankings"]["status"] == "completed"


def test_too_many_rows_cannot_be_read(known: Lab) -> None:
    good = known.served("leaderboard")
    a_day_later(known, 20)

    def spoil(document: Record) -> None:
        for number, row in enumerate(document["data"]):
            if number % 8 == 0:
                row["total_tokens"] = 1.5

    known.upstream.fail(RANKINGS, altered(known, spoil))
    run = known.run()
    assert by_step(run)["rankings"]["status"] == "failed"
    assert "rows cannot be read" in by_step(run)["rankings"]["error"]
    assert known.served("leaderboard") == good


def test_neighbours_that_are_unknown_do_not_end_the_asking(fresh: Lab) -> None:
    with fresh.upstream.change() as world:
        base = world.models[0]
        for number in range(40):
            name = f"aaa/gone-{number:02}"
            world.models.append({**base, "id": name, "canonical_slug": f"{name}-20260101"})
    fresh.upstream.fail("/models/aaa/*", status(404))
    facts = by_step(fresh.run())["endpoints"]["facts"]
    assert facts["failed"] == 40
    assert facts["models"] == len(IDS)


def test_a_key_that_comes_later_the_same_day(fresh: Lab) -> None:
    fresh.run(key=None)
    assert fresh.served("leaderboard")["source"] == "models-order"
    fresh.clock.advance(hours=1)
    run = fresh.run()
    assert {"rankings", "categories", "endpoints", *FOLLOW} <= set(outcomes(run))
    assert fresh.served("leaderboard")["source"] == "data-api"
    assert fresh.ranking("fastest") is not None


def test_a_benchmark_answer_that_is_cut_ends_nothing(known: Lab) -> None:
    before = known.read(benchmarks.size, "artificial-analysis")
    a_day_later(known)

    def cut(request: Request) -> Response | None:
        document = data_api.benchmarks(world_of(known), request.query)
        document["data"] = document["data"][:1]
        document["meta"]["model_count"] = 1
        return ok(dump(document))

    known.upstream.fail("/benchmarks", cut)
    facts = by_step(known.run())["benchmarks"]["facts"]
    assert facts["gone"] == 0
    assert facts["cut_short"] >= 1
    assert known.read(benchmarks.size, "artificial-analysis") == before


def test_a_refusal_that_names_without_end_does_not_burn_the_budget(known: Lab) -> None:
    a_day_later(known, 7)

    def refuse(request: Request) -> Response | None:
        if "category" not in request.query:
            return None
        names = " | ".join(f'"{request.query["category"][:20]}-{number}"' for number in range(50))
        return status(400, json={"error": {"code": 400, "message": f"expected one of {names}"}})

    known.upstream.fail(RANKINGS, refuse)
    run = known.run()
    assert by_step(run)["categories"]["status"] == "failed"
    asked = [it for it in known.upstream.requests if "category" in it.query and it.path.endswith("rankings-daily")]
    assert len(asked) <= 12 + 12 + 24
