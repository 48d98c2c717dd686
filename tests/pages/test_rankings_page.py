"""The page of rankings: the tree has all there are, a ranking shows what is known of it, and one without ranks why."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.app.pages import words
from llmhive.app.pages.rankings import (
    Dated,
    api_address,
    chart_address,
    dated,
    first_of,
    missing,
    movement,
    shares,
    size_of,
    sizes,
    table,
    tree,
    within,
)
from llmhive.catalog.dimension import CATEGORIES, DIMENSIONS, MODALITIES
from llmhive.catalog.ranking import Rank, Ranking
from llmhive.catalog.view import Entry, View
from llmhive.errors import UsageError
from llmhive.store import rankings, runs
from llmhive.store.database import connect
from tests.catalog import strategies as our
from tests.catalog.test_query import row
from tests.fake_openrouter import catalog, model
from tests.serving import Place, Served, place, serving
from tests.support import sync_at

if TYPE_CHECKING:
    from tests.pages.browser import Visitor

AT = datetime(2026, 8, 22, 12, tzinfo=UTC)
HOSTILE = '<img src=x onerror="alert(1)">'
CITATION = "Source: OpenRouter (openrouter.ai/rankings), as of 2026-08-22T02:00:00.000Z."
MANY = 60


def known(name: str, dimension: str, category: str | None = None, **more: Any) -> dict[str, Any]:
    is_derived = next(it.is_derived for it in DIMENSIONS if it.name == dimension)
    standing = {"is_ranked": True, "note": None, "failure": None, "is_derived": is_derived}
    return {"name": name, "dimension": dimension, "category": category, "title": name.title()} | standing | more


def line(rank: int, **more: Any) -> dict[str, Any]:
    unknown = dict.fromkeys(
        ("tokens", "days_counted", "share", "change", "previous_rank", "growth", "trend", "score"), None
    )
    return {"rank": rank, "model": "a/one", "slug": "a/one", "is_known": True, "is_lower_bound": False} | unknown | more


def found(dimension: str = "leaderboard", *data: dict[str, Any], **more: Any) -> dict[str, Any]:
    about = {"category": None, "facts": {"days": 7}, "unit": None, "source": "data-api", "as_of": None}
    return {"dimension": dimension, "data": list(data), "total": len(data)} | about | more


# --- pure


def test_the_tree_has_every_ranking_once_in_its_branch() -> None:
    names = [
        *[known(it.name, it.name) for it in DIMENSIONS if it.name not in {"category", "modality", "task"}],
        *[known(it, "category", it) for it in CATEGORIES],
        *[known(it, "modality", it) for it in MODALITIES],
        known("code:review", "task", "code:review", title="Review", is_ranked=False),
        known("code:general_impl", "task", "code:general_impl", title="General Impl"),
    ]
    branches = {it.title: [leaf.name for leaf in it.leaves] for it in tree(names)}
    assert sorted(name for leaves in branches.values() for name in leaves) == sorted(it["name"] for it in names)
    assert list(branches) == ["Usage", "By category", "By modality", "By task", "Derived here"]
    assert branches["Usage"] == ["leaderboard", "market_share", "most_used"]
    assert branches["By category"] == list(CATEGORIES)
    assert set(branches["By modality"]) == {*MODALITIES, "tool_calling"}
    assert branches["Derived here"] == [it.name for it in DIMENSIONS if it.is_derived]
    task, cut = next(it for it in tree(names) if it.title == "By task").leaves
    assert cut.title == "Code: General implementation"
    assert (task.title, task.is_ranked, task.url) == ("Code: Review", False, "/rankings/code:review")


def test_a_branch_without_tasks_says_why() -> None:
    (tasks,) = [it for it in tree([known("leaderboard", "leaderboard")]) if it.title == "By task"]
    assert tasks.leaves == []
    assert "with a key only" in tasks.note


def test_the_first_is_the_leaderboard_or_what_is_ranked() -> None:
    none = known("leaderboard", "leaderboard", is_ranked=False)
    assert first_of([known("fastest", "fastest"), known("leaderboard", "leaderboard")]) == "leaderboard"
    assert first_of([none, known("fastest", "fastest")]) == "fastest"
    assert first_of([none]) is None


def test_a_dimension_with_categories_means_the_first_that_is_ranked() -> None:
    names = [known("legal", "category", "legal", is_ranked=False), known("marketing/seo", "category", "marketing/seo")]
    assert within("category", names) == "marketing/seo"
    assert within("category/marketing/seo", names) == "marketing/seo"
    assert within("category/legal", names) == "legal"
    for name in ("category/none", "task", "legal", "marketing/seo", ""):
        assert within(name, names) is None


def test_why_there_are_no_ranks() -> None:
    failure = {"at": "2026-08-22T12:00:00Z", "error": "ranks 3 and 4 are missing"}
    none = known("fastest", "fastest", is_ranked=False)
    assert missing(known("fastest", "fastest")) is None
    assert "ranks 3 and 4 are missing" in str(missing(none | {"failure": failure}))
    assert missing(none | {"note": "OpenRouter had no figures."}) == "OpenRouter had no figures."
    assert "OPENROUTER_API_KEY" not in str(missing(none))
    assert "OPENROUTER_API_KEY" in str(missing(known("market_share", "market_share", is_ranked=False)))


def test_only_columns_with_data_are_shown() -> None:
    assert table(found("fastest", line(1, score="149.9"), unit="tokens a second"), View()).has == {"score"}
    full = table(found("leaderboard", line(1, tokens=10, share="0.5", change=0, previous_rank=1, growth="0.1")), View())
    assert full.has == {"movement", "tokens", "share", "growth"}
    assert full.unit is None
    # a growth that is the score is shown once
    assert table(found("trending", line(1, growth="0.5", score="0.5")), View()).has == {"score"}


def test_who_is_ranked() -> None:
    view = View.of([Entry(row("a/one", name="One")), Entry(row("a/two"))])
    rows = table(
        found(
            "leaderboard", line(1), line(2, model="a/two"), line(3, model=None, slug="x/new", is_known=False),
            line(4, model="a/newer"),
        ), view,
    ).rows  # fmt: skip
    assert [(it.name, it.id, it.url, it.is_unknown) for it in rows] == [
        ("One", "a/one", "/models/a/one", False),
        ("a/two", None, "/models/a/two", False),
        ("x/new", None, None, True),
        ("a/newer", None, "/models/a/newer", False),
    ]
    (author,) = table(found("market_share", line(1, model=None, slug="a&b", is_known=None)), view).rows
    assert (author.url, author.is_unknown) == ("/?author=a%26b", False)


def test_movement_is_read_aloud() -> None:
    assert movement(3) == ("▲3", "up 3", "up")
    assert movement(-1) == ("▼1", "down 1", "down")
    assert movement(0) == ("=", "no change", "")
    assert movement(None) is None
    assert movement(None, is_new=True) == ("new", "new", "")
    rows = table(found("leaderboard", line(1, previous_rank=1, change=0), line(2)), View()).rows
    assert [it.movement and it.movement[1] for it in rows] == ["no change", "new"]
    # nobody is new where nothing before is known
    assert table(found("leaderboard", line(1), line(2)), View()).has == set()


@pytest.mark.parametrize(
    ("dimension", "scores", "told"),
    [
        ("fastest", ["149.94", "12", "1234567.8"], ["149.9", "12", "1,235,000"]),
        ("most_reliable", ["99.999", "99.99", "100"], ["99.999 %", "99.990 %", "100.000 %"]),
        ("most_reliable", ["99.999999"], ["99.99 %"]),
        ("lowest_cost", ["0.0275", "12"], ["$0.0275", "$12.00"]),
        ("long_context", ["1310720"], ["1.31M"]),
        ("task", ["0.2569", "0.00001"], ["25.69 %", "<0.01 %"]),
        ("trending", ["1.1326", "-0.2"], ["+113.3 %", "−20.0 %"]),
        ("multimodal", ["3", None], ["3", None]),
    ],
)
def test_scores_are_never_rounded_to_what_they_are_not(dimension: str, scores: list[Any], told: list[Any]) -> None:
    rows = table(found(dimension, *(line(1, score=it) for it in scores)), View()).rows
    assert [it.score for it in rows] == told
    assert [it.exact_score for it in rows] == scores


@our.laws
@given(st.decimals(-5, 10**6, allow_nan=False, allow_infinity=False, places=6))
def test_a_growth_has_its_sign(fraction: Decimal) -> None:
    text = words.signed(fraction)
    number = Decimal(text.removesuffix(" %").replace(",", "").replace("−", "-"))
    assert abs(number - fraction * 100) <= Decimal("0.05")
    assert (text[0] in "+−") == bool(number)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, None),
        ("2026-08-21", Dated("2026-08-21", None)),
        ("2026-08-22T02:00:00.000Z", Dated("2026-08-22 02:00 UTC", datetime(2026, 8, 22, 2, tzinfo=UTC))),
        ("2026-08-22T02:00", Dated("2026-08-22T02:00", None)),
        ("Tuesday", Dated("Tuesday", None)),
    ],
)
def test_a_date_is_as_its_source_dates_it(text: str | None, told: Dated | None) -> None:
    assert dated(text) == told


def test_how_many_are_shown() -> None:
    assert [size_of(it) for it in (None, "", "10", "11", "50", "all")] == [25, 25, 10, 11, 50, None]
    for wrong in ("0", "51", "ten", "-1", "٢٥"):
        with pytest.raises(UsageError):
            size_of(wrong)
    assert sizes(8, 25, "/r") == []
    assert [(text, on) for text, _, on in sizes(50, 25, "/r")] == [("10", False), ("25", True), ("all 50", False)]
    assert [(text, on) for text, _, on in sizes(12, 25, "/r")] == [("10", False), ("all 12", True)]
    assert not any(on for _, _, on in sizes(50, 11, "/r"))


def test_shares_as_a_table_begin_with_the_newest() -> None:
    history = {
        "dates": ["2026-08-01", "2026-08-08"],
        "models": [
            {"id": "a/one", "slug": "a/one-1", "share": [None, "0.25"]},
            {"id": None, "slug": "x", "share": ["0.5", None]},
            {"id": "a/none", "slug": "a/none", "share": [None, None]},
        ],
    }
    assert shares(history) == (["a/one", "x"], [("2026-08-08", ["25.00 %", None]), ("2026-08-01", [None, "50.00 %"])])
    assert chart_address(found("leaderboard", line(1)), "leaderboard") is None
    assert chart_address(found("task", line(1, share="0.1")), "code:sql") == "/charts/ranking/code:sql"


def test_programs_get_the_same() -> None:
    assert api_address(known("fastest", "fastest"), None) == "/api/rankings?dimension=fastest"
    about = known("marketing/seo", "category", "marketing/seo")
    assert api_address(about, 10) == "/api/rankings?dimension=category&category=marketing%2Fseo&limit=10"


# --- over HTTP


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place("sqlite", tmp_path_factory.mktemp("rankings")) as made:
        made.fake.serve(catalog(*(model(f"acme/m-{number:02}", name=f"M {number}") for number in range(MANY))))
        assert sync_at(made.url, made.fake.base_url, datetime.now(UTC) - timedelta(hours=1)).status == "completed"
        yield made


@pytest.fixture(scope="module")
def running(here: Place) -> Iterator[tuple[Served, str]]:
    """The service, with its first page from before anything was ranked."""
    with serving(here.llmhive) as made:
        before = made.get("/rankings").text
        publish(here.url)
        yield made, before


@pytest.fixture
def small(running: tuple[Served, str]) -> Served:
    return running[0]


def publish(url: str) -> None:
    """A leaderboard with one that nobody knows, a ranking by task, and one that came to nothing."""
    ranks = (
        Rank(1, "acme/m-00", "acme/m-00", 1_500_000, Decimal("0.5"), None, 3, Decimal("0.25")),
        Rank(2, HOSTILE, None, 900_000, Decimal("0.3"), None, 1, Decimal("-0.5")),
        *(Rank(number, f"acme/m-{number:02}", f"acme/m-{number:02}", 10) for number in range(3, 51)),
    )
    facts = {"days": 7, "total_tokens": 3_000_000, "other_tokens": 10, "partial": {"acme/m-03": 2}}
    week = (date(2026, 8, 15), date(2026, 8, 21))
    board = Ranking("leaderboard", None, "data-api", "2026-08-22T02:00:00.000Z", *week, ranks, facts, CITATION)
    task = Ranking(
        "task", "code:review", "data-api", "2026-08-21", *week, (Rank(1, "acme/m-01", "acme/m-01", score=Decimal(1)),),
        {"title": HOSTILE},
    )  # fmt: skip
    bad = Ranking("category", "legal", "data-api", "2026-08-22", *week, ranks[:1])
    database = connect(url)
    with database.write() as connection:
        claimed = runs.claim(connection, "research", trigger="t", owner="t", now=AT, interval=None)
        assert isinstance(claimed, runs.Claimed)
        for made in (board, task):
            rankings.publish(connection, made, run_id=claimed.run_id, at=AT)
        rankings.fail(connection, bad, [f"{HOSTILE} is ranked twice"], run_id=claimed.run_id, at=AT)
    database.close()


def test_without_figures_it_says_what_brings_them(running: tuple[Served, str]) -> None:
    _, before = running
    assert '<p class="empty">' in before
    assert "OPENROUTER_API_KEY" in before
    assert 'href="/operations"' in before
    assert before.count("aria-current") == 1
    assert "no ranks" not in before


def test_a_ranking_shows_all_that_is_known_of_it(small: Served) -> None:
    text = small.get("/rankings").text
    assert len(re.findall(r'href="/rankings/leaderboard" aria-current="page"', text)) == 2
    assert CITATION in text
    assert "2026-08-15 to 2026-08-21 (UTC)" in text
    assert text.count("Source: ") == 1
    assert 'title="2026-08-22 02:00 UTC"' in text
    assert 'title="1,500,000 tokens">1.5M' in text
    assert '<span aria-hidden="true" class="up">▲2</span><span class="visually-hidden">up 2</span>' in text
    assert '<span aria-hidden="true" class="down">▼1</span><span class="visually-hidden">down 1</span>' in text
    assert "+25.0 %" in text
    assert 'title="at least 10 tokens: named on 2 of 7 days only">≥ 10' in text
    assert "not in the catalog" in text
    assert 'href="/models/acme/m-00">M 0</a>' in text
    assert 'data-figure="/charts/ranking/leaderboard"' in text

    legal = small.get("/rankings/legal").text
    assert "is ranked twice" in legal
    assert "<table" not in legal
    assert "no ranks" in legal
    for page in (text, legal, small.get("/rankings/code:review").text):
        assert "<img" not in page
        assert "&lt;img src=x" in page


def test_as_many_as_are_asked_for(small: Served) -> None:
    for query, number in (({}, 25), ({"limit": "7"}, 7), ({"limit": "all"}, 50)):
        assert len(re.findall(r'<th scope="row">', small.get("/rankings/leaderboard", **query).text)) == number
    assert small.get("/rankings", limit="51").status_code == 422
    assert small.get("/rankings", limt="10").status_code == 422


def test_every_link_of_the_tree_answers_and_what_is_no_ranking_does_not(small: Served) -> None:
    links = set(re.findall(r'href="(/rankings/[^"?]+)"', small.get("/rankings").text))
    assert len(links) > 25
    for link in links:
        answer = small.get(link)
        assert answer.status_code == 200, link
        assert "<h1>" in answer.text
        json = re.search(r'class="button" href="(/api/rankings[^"]+)">', answer.text)
        if json is not None:
            assert small.client.get(json[1].replace("&amp;", "&")).json()["total"] > 0
    assert small.get("/rankings/no-such").status_code == 404
    assert small.get("/rankings/category/no-such").status_code == 404
    moved = small.client.get("/rankings/category/programming?limit=10", follow_redirects=False)
    assert (moved.status_code, moved.headers["location"]) == (303, "/rankings/programming?limit=10")


# --- the house


#: Their shares are looked at as a chart: of models, authors, a category, a task, and of a derived one.
CHARTED = ("leaderboard", "market_share", "marketing/seo", "code:review", "trending")
#: These have none: by price, by speed, and one without ranks.
PLAIN = ("lowest_cost", "fastest", "image_output")


@pytest.mark.browser
def test_each_ranking_shows_what_the_api_says_and_its_chart(visit: Visitor) -> None:
    page = visit("/rankings?limit=10")
    base = page.url.partition("/rankings")[0]
    names = (*CHARTED, *PLAIN)
    standing = page.request.get(f"{base}/api/rankings/categories").json()["data"]
    for it in (one for one in standing if one["name"] in names):
        page.goto(f"{base}/rankings/{quote(it['name'])}?limit=10")
        assert page.locator("nav.aside [aria-current=page]").count() == 1
        assert page.locator(".one > .empty").count() == (0 if it["is_ranked"] else 1)
        if not it["is_ranked"]:
            continue
        asked = f"{base}/api/rankings?category={quote(it['name'], safe='')}&limit=10"
        ranked = page.request.get(asked).json()["data"]
        shown = page.evaluate(
            "() => [...document.querySelectorAll('.ranks tbody tr')].map((row) => [row.cells[0].textContent, "
            "(row.querySelector('th .id') || row.querySelector('th a') || row.querySelector('th')).textContent])"
        )
        assert [int(rank) for rank, _ in shown] == [one["rank"] for one in ranked]
        for (_, who), one in zip(shown, ranked, strict=True):
            assert (one["model"] or one["slug"]) in who
        assert page.locator("#share-chart").count() == (it["name"] in CHARTED)
        if it["name"] in CHARTED:
            page.locator("#share-chart").scroll_into_view_if_needed()
            page.locator("#share-chart .plot svg").first.wait_for()
            page.wait_for_load_state("networkidle")


@pytest.mark.browser
def test_who_chooses_how_many_stays_where_they_are(visit: Visitor) -> None:
    for path in ("/rankings", "/rankings/fastest"):
        page = visit(path)
        page.locator("#ranks-1").press("Enter")
        page.locator("#ranks-1[aria-current=true]").wait_for()
        assert page.url.endswith(f"{path}?limit=10")
        assert page.locator(".ranks tbody tr").count() == 10
        assert page.evaluate("() => document.activeElement.id") == "ranks-1"
