"""Figures say what the data says: at each instant the price in force, and nothing where nothing is known."""

from __future__ import annotations

import itertools
import json
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.app.library import Catalog
from llmhive.app.pages import plots
from llmhive.catalog.pricing import PER_TOKEN
from tests.catalog import strategies as our
from tests.pages import house
from tests.serving import Served
from tests.support import history_database

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

Row = dict[str, Any]
START = datetime(2025, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 8, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
#: Units with the conditions of their overrides.
CONDITIONS = (None, {"min_prompt_tokens": 200_000}, {"utc_start": 30, "utc_end": 830})
NAMES = {
    ("prompt", 0): "Prompt",
    ("prompt", 1): "Prompt above 200,000 prompt tokens",
    ("prompt", 2): "Prompt from 00:30 to 08:30 UTC",
    ("web_search", 0): "Web search",
    ("web_search", 1): "Web search above 200,000 prompt tokens",
    ("web_search", 2): "Web search from 00:30 to 08:30 UTC",
}
some_rates = st.none() | st.sampled_from(["0", "0.000001", "0.00000026917", "0.01", "12.5"])


def test_plotly_is_only_asked_to_draw() -> None:
    """The figures are made without it: it takes long to import."""
    assert "import plotly" not in Path(plots.__file__).read_text()


# --- prices


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    """Rows as `Catalog.history` has them: of one unit and position one after another, with gaps; the last may go on."""
    rows = []
    for unit, position in draw(st.lists(st.sampled_from(sorted(NAMES)), min_size=1, unique=True)):
        marks = sorted(draw(st.sets(st.integers(0, 800_000), min_size=2, max_size=9)))
        for place, (begin, end) in enumerate(itertools.pairwise(marks)):
            if draw(st.booleans()) or place == 0:
                is_open = place == len(marks) - 2 and draw(st.booleans())
                rows.append(row(unit, position, draw(some_rates), begin, None if is_open else end, draw(st.booleans())))
    return rows


def row(unit: str, position: int, rate: str | None, begin: int, end: int | None, is_held: bool = False) -> Row:
    return {
        "unit": unit, "position": position, "rate": rate, "is_held": is_held,
        "condition": CONDITIONS[position],
        "from": text(START + begin * MINUTE), "to": None if end is None else text(START + end * MINUTE),
    }  # fmt: skip


def text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def read(at: str) -> datetime:
    return datetime.fromisoformat(at).replace(tzinfo=UTC)


def drawn_at(traces: Sequence[Row], at: datetime) -> list[float]:
    """What lines of steps have at an instant: of each the last point before it."""
    found = []
    for trace in traces:
        before = [y for x, y in zip(trace["x"], trace["y"], strict=True) if read(x) <= at]
        if before and before[-1] is not None:
            found.append(before[-1])
    return found


def in_force(rows: Sequence[Row], at: datetime) -> Row | None:
    """The row whose time an instant lies in."""
    found = [
        it for it in rows
        if datetime.fromisoformat(it["from"]) <= at and (it["to"] is None or at < datetime.fromisoformat(it["to"]))
    ]  # fmt: skip
    assert len(found) <= 1
    return found[0] if found else None


def believed(rows: Sequence[Row], at: datetime) -> str | None:
    """The rate that is believed at an instant: that of what is held, and follows at once, is the one before."""
    found = in_force(rows, at)
    while found is not None and found["is_held"]:
        before = [it for it in rows if it["to"] == found["from"]]
        found = before[0] if before else None
    return None if found is None else found["rate"]


def shown(unit: str, rate: str) -> float:
    return float(Decimal(rate) * (1_000_000 if unit in PER_TOKEN else 1))


def instants(rows: Sequence[Row], seed: int) -> list[datetime]:
    """When prices change, and when they do not."""
    edges = [datetime.fromisoformat(it[end]) for it in rows for end in ("from", "to") if it[end] is not None]
    dice = random.Random(seed)
    some = [START + dice.random() * (NOW - START) for _ in range(20)]
    return [at for edge in edges for at in (edge - MINUTE / 2, edge, edge + MINUTE / 2)] + some


def lines(figure: Mapping[str, Any]) -> list[Row]:
    return [trace for trace in figure["data"] if not trace["meta"].get("is_hover")]


@our.laws
@given(histories(), st.integers(0, 99))
def test_each_step_is_the_price_in_force(rows: list[Row], seed: int) -> None:
    figure = plots.prices(rows, as_of=NOW)
    if figure is None:
        assert all(it["rate"] is None for it in rows)
        return
    for unit, position in {(it["unit"], it["position"]) for it in rows}:
        its = [it for it in rows if (it["unit"], it["position"]) == (unit, position)]
        plain = [it for it in lines(figure) if it["name"] == NAMES[unit, position]]
        held = [it for it in lines(figure) if it["name"] == f"{NAMES[unit, position]}, held"]
        for at in instants(its, seed):
            found = in_force(its, at)
            figures = [] if found is None or found["rate"] is None else [shown(unit, found["rate"])]
            is_held = found is not None and found["is_held"]
            rate = believed(its, at)
            assert drawn_at(plain, at) == ([] if rate is None else [shown(unit, rate)])
            assert drawn_at(held, at) == (figures if is_held else [])


@our.laws
@given(histories())
def test_held_and_conditional_lines_look_it(rows: list[Row]) -> None:
    figure = plots.prices(rows, as_of=NOW)
    for trace in lines(figure or {"data": []}):
        is_held, is_override = trace["name"].endswith(", held"), " " in trace["name"].removeprefix("Web search")
        assert trace["line"]["shape"] == "hv"
        assert not trace["connectgaps"]
        assert ("marker" in trace) is is_held
        if is_held:
            assert trace["line"]["dash"] == "dot"
        else:
            assert trace["line"]["dash"] == ("dash" if is_override else "solid")


@our.laws
@given(histories())
def test_on_hover_all_prices_in_force_are_read_exactly(rows: list[Row]) -> None:
    figure = plots.prices(rows, as_of=NOW)
    for trace in [] if figure is None else [it for it in figure["data"] if it["meta"].get("is_hover")]:
        for x, told in zip(trace["x"], trace["customdata"], strict=True):
            at = read(x)
            moment, *prices = told.split("<br>")
            assert moment == f"{at:%Y-%m-%d %H:%M} UTC"
            expected = {}
            for (unit, position), title in NAMES.items():
                its = [it for it in rows if (it["unit"], it["position"]) == (unit, position)]
                if (found := in_force(its, at)) is not None:
                    expected[title] = found
            assert len(prices) == len(expected)
            for price in prices:
                name, _, said = price.partition(": ")
                found = expected[name]
                assert (", held (" in said) is found["is_held"]
                assert f"since {found['from'][:10]}" in said
                assert (found["to"] is None) is ("until" not in said)
                if found["is_held"]:
                    its = [it for it in rows if it["unit"] == found["unit"] and it["position"] == found["position"]]
                    times = 1_000_000 if found["unit"] in PER_TOKEN else 1
                    both = said.removesuffix(said[said.index(", held (") :]).split(" believed; OpenRouter says ")
                    for rate, told_so in zip((believed(its, at), found["rate"]), both, strict=True):
                        number = told_so.removeprefix("$").replace(",", "")
                        assert (rate is None) is (told_so == "unknown")
                        assert rate is None or Decimal(number) == Decimal(rate) * times
                elif found["rate"] is None:
                    assert said.startswith("unknown, ")
                else:
                    number = said.split(" ")[0].removeprefix("$").replace(",", "")
                    times = 1_000_000 if found["unit"] in PER_TOKEN else 1
                    assert Decimal(number) == Decimal(found["rate"]) * times


@our.laws
@given(histories())
def test_plotly_takes_it(rows: list[Row]) -> None:
    check(plots.prices(rows, as_of=NOW))


def test_what_is_no_token_has_a_panel_of_its_own() -> None:
    rows = [row("prompt", 0, "0.000001", 0, None), row("web_search", 0, "0.01", 0, None)]
    both = plots.prices(rows, as_of=NOW)
    assert both is not None
    assert [(it["name"], it["yaxis"], it["y"]) for it in lines(both)] == [
        ("Prompt", "y", [1.0, 1.0]),
        ("Web search", "y2", [0.01, 0.01]),
    ]
    alone = plots.prices(rows, ["web_search"], as_of=NOW)
    assert alone is not None
    assert alone["layout"]["yaxis"]["title"]["text"] == "USD each"
    assert "yaxis2" not in alone["layout"]


def test_some_outputs_count_no_tokens() -> None:
    figure = plots.prices([row("prompt", 0, "0.015", 0, None)], as_of=NOW, outputs=["speech"])
    assert figure is not None
    assert lines(figure)[0]["y"] == [0.015, 0.015]
    assert figure["layout"]["yaxis"]["title"]["text"] == "USD each"


def test_the_summary_says_it_in_a_sentence() -> None:
    rows = [
        row("prompt", 0, "0.000001", 0, 1440),
        row("prompt", 0, "0.000000269", 1440, 2880),
        row("prompt", 0, "0.000000269", 4320, None),
        row("completion", 0, None, 0, None),
    ]
    figure = plots.prices(rows, as_of=NOW, name="Bee")
    assert figure is not None
    assert figure["layout"]["meta"]["summary"] == (
        "Prompt price of Bee: $0.269 per million since 2025-01-04; 1 change since 2025-01-01. "
        "Completion price of Bee: unknown since 2025-01-01; no changes since 2025-01-01."
    )


def test_an_override_that_moves_is_named_once() -> None:
    first = row("prompt", 1, "0.000002", 0, 1440)
    moved = first | {"position": 2, "from": first["to"], "to": None}
    figure = plots.prices([first, moved], as_of=NOW)
    assert figure is not None
    assert [(it["name"], it["showlegend"]) for it in lines(figure)] == [
        (NAMES["prompt", 1], True),
        (NAMES["prompt", 1], False),
    ]


def test_through_a_hold_the_believed_price_goes_on() -> None:
    rows = [
        row("prompt", 0, "0.00000014", 0, 1440), row("prompt", 0, "0", 1440, 2880, is_held=True),
        row("prompt", 0, "0.0000001", 2880, None, is_held=True),
    ]  # fmt: skip
    figure = plots.prices(rows, as_of=NOW, name="Bee")
    assert figure is not None
    solid, dotted = lines(figure)
    assert (solid["line"]["dash"], dotted["line"]["dash"]) == ("solid", "dot")
    assert set(solid["y"]) == {0.14}
    assert (solid["x"][0], solid["x"][-1]) == ("2025-01-01 00:00:00", "2026-08-10 00:00:00")
    assert dotted["y"] == [0.0, 0.1, 0.1]
    told = [it for it in figure["data"][-1]["customdata"] if it.startswith("2025-01-02 00:00")]
    assert told == [
        "2025-01-02 00:00 UTC<br>Prompt: $0.14 believed; OpenRouter says $0.00, held "
        "(per million, since 2025-01-02 until 2025-01-03)"
    ]
    assert figure["layout"]["meta"]["summary"].startswith(
        "Prompt price of Bee: $0.14 believed; OpenRouter says $0.10, held, per million, since 2025-01-03;"
    )


def test_a_figure_ends_when_somebody_looked_last() -> None:
    figure = plots.prices([row("prompt", 0, "0.000001", 0, None)], as_of=NOW)
    assert figure is not None
    assert figure["layout"]["meta"]["to"] == lines(figure)[0]["x"][-1] == "2026-08-10 00:00:00"


@pytest.mark.parametrize("rows", [[], [row("prompt", 0, None, 0, None)]])
def test_no_known_price_is_no_figure(rows: list[Row]) -> None:
    assert plots.prices(rows, as_of=NOW) is None
    assert plots.prices([row("prompt", 0, "1", 0, None)], ["image"], as_of=NOW) is None


def test_a_price_of_this_very_instant_can_be_drawn() -> None:
    figure = plots.prices([row("prompt", 0, "0.000001", 0, None)], as_of=START - MINUTE)
    assert figure is not None
    begin, end = figure["layout"]["xaxis"]["range"]
    assert begin < end == "2025-01-01 00:00:00"
    check(figure)


def test_what_openrouter_says_is_no_markup() -> None:
    odd = row("prompt", 0, "0.000001", 0, None) | {
        "condition": {"<b>odd</b>": "<a href='x'>"},
        "position": 1,
    }
    figure = plots.prices([odd], as_of=NOW, name="<i>name</i>")
    assert figure is not None
    told = [figure["layout"]["title"]["text"], *(it["name"] for it in lines(figure)), *figure["data"][-1]["customdata"]]
    assert all("<" not in it.replace("<br>", "") for it in told)


# --- endpoints


def sample(at: str, uptime: float | None, latency: float | None = None, **facts: Any) -> Row:
    return {
        "provider": "Bee", "tag": "bee/fp8", "key": "bee/fp8", "span": "sample", "at": at, "samples": 1, "status": 0,
        "uptime": uptime, "uptime_low": uptime, "latency_p50": latency, "throughput_p50": None,
    } | facts  # fmt: skip


def test_uptime_is_a_line_for_each_endpoint() -> None:
    health = [
        sample("2026-07-01T00:00:00Z", 99.987, span="day", samples=24, uptime_low=97.5, status=-2),
        sample("2026-07-02T12:00:00Z", None),
        sample("2026-07-03T12:00:00Z", 100.0),
        sample("2026-07-04T12:00:00Z", 0.0),
        sample("2026-07-01T12:00:00Z", None, key="hive", tag="hive", provider="Hive"),
        sample("2026-07-01T12:00:00Z", 98.0, key="bee/bf16", tag="bee/bf16"),
    ]
    versions = [
        {"key": "bee/fp8", "is_listed": True, "from": "2026-06-01T00:00:00Z", "to": "2026-07-03T18:00:00Z"},
        {"key": "bee/fp8", "is_listed": False, "from": "2026-07-03T18:00:00Z", "to": "2026-07-04T00:00:00Z"},
    ]
    figure = plots.uptime(health, versions, name="it")
    assert figure is not None
    first, second = figure["data"]
    assert (first["name"], second["name"]) == ("Bee (bee/fp8)", "Bee (bee/bf16)")
    assert first["y"] == [99.987, None, 100.0, None, 0.0]
    assert first["customdata"][0] == (
        "Bee (bee/fp8): 99.98 %, lowest 97.50 %<br>day from 2026-07-01, 24 samples, status -2"
    )
    assert first["customdata"][1] is None
    assert figure["layout"]["meta"]["summary"] == (
        "Uptime of it by endpoint, last known: Bee (bee/fp8) 0.00 %; Bee (bee/bf16) 98.00 %. "
        "Of 1 more endpoint it is unknown."
    )
    check(figure)


def test_latency_is_drawn_where_it_is_known() -> None:
    assert plots.latency([sample("2026-07-01T00:00:00Z", 99.0)]) is None
    figure = plots.latency([sample("2026-07-01T00:00:00Z", None, 412.5)])
    assert figure is not None
    assert figure["data"][0]["y"] == [412.5]
    assert "412 ms" in figure["data"][0]["customdata"][0]
    check(figure)


@pytest.mark.parametrize("count", [1, 8, 9, 33])
def test_endpoints_are_told_apart(count: int) -> None:
    health = [sample("2026-07-01T00:00:00Z", 99.0, key=str(place), tag=str(place)) for place in range(count)]
    figure = plots.uptime(health, [])
    assert figure is not None
    looks = {(it["meta"]["series"], it["line"]["dash"]) for it in figure["data"]}
    assert len(looks) == min(count, 32)
    assert {it["meta"]["series"] for it in figure["data"]} <= set(range(8))


# --- rankings


def place(as_of: str | None, rank: int | None, **facts: Any) -> Row:
    return {
        "as_of": as_of, "window": None, "made_at": "2026-08-01T00:00:00Z", "source": "data-api", "rank": rank,
        "tokens": None, "share": None, "score": None,
    } | facts  # fmt: skip


def test_the_first_rank_is_on_top_and_no_rank_is_a_gap() -> None:
    history = [
        place("2026-07-01T02:00:00.000Z", 3, tokens=1_234_567, share="0.0512"),
        place("2026-07-02", None),
        place("2026-07-03", 9),
        place("2026-07-03", 2, score="0.75"),
        place("some day", 5),
    ]
    figure = plots.ranks(history, name="it")
    assert figure is not None
    (trace,) = figure["data"]
    assert trace["y"] == [3, None, 2, 5]
    assert trace["x"][-1] == "2026-08-01 00:00:00"
    assert trace["customdata"][0] == "Rank 3, 2026-07-01<br>1,234,567 tokens<br>5.12 % of tokens"
    assert figure["layout"]["yaxis"]["autorange"] == "reversed"
    assert figure["layout"]["meta"]["summary"] == (
        "Rank of it in leaderboard: rank 5 on 2026-08-01; best 2, worst 5 since 2026-07-01."
    )
    check(figure)
    assert plots.ranks([place("2026-07-02", None)]) is None
    assert plots.ranks([]) is None


def test_shares_that_are_unknown_are_gaps() -> None:
    history = {
        "name": "leaderboard",
        "dates": ["2026-07-01", "2026-07-02"],
        "models": [
            {"id": "a/b", "slug": "a/b-1", "share": ["0.138601", None], "rank": [1, None]},
            {"id": None, "slug": "c", "share": [None, "0"], "rank": [None, 2]},
            {"id": "d/e", "slug": "d/e", "share": [None, None], "rank": [3, 3]},
        ],
    }
    figure = plots.shares(history)
    assert figure is not None
    assert [(it["name"], it["y"]) for it in figure["data"]] == [("a/b", [13.8601, None]), ("c", [None, 0.0])]
    assert figure["data"][0]["customdata"] == ["a/b: 13.86 %, rank 1", None]
    assert "stackgroup" not in figure["data"][0]
    assert figure["layout"]["hovermode"] == "x"
    assert figure["layout"]["yaxis"]["ticksuffix"] == " %"
    named = plots.shares(history, {"a/b": "A: <B>"})
    assert named is not None
    assert [it["name"] for it in named["data"]] == ["A: &lt;B&gt;", "c"]
    check(figure)
    assert plots.shares({"name": "x", "dates": [], "models": []}) is None
    assert plots.shares(history | {"models": history["models"][2:]}) is None


# --- real ones


def check(figure: Mapping[str, Any] | None) -> None:
    """It can be sent, plotly takes it, and it can be read aloud."""
    if figure is not None:
        from plotly import graph_objects

        sent = json.loads(json.dumps(figure, allow_nan=False))
        graph_objects.Figure(sent)
        assert figure["layout"]["meta"]["summary"].endswith(".")


@pytest.mark.history
@pytest.mark.long
@pytest.mark.timeout(900)
def test_two_years_of_prices(tmp_path: Path) -> None:
    shutil.copy(history_database(), tmp_path / "history.db")
    seen = 0
    with Catalog.open(f"sqlite:///{tmp_path / 'history.db'}") as catalog:
        for model in catalog.models().data:
            found = catalog.history(model["id"])
            figure = plots.prices(found["prices"], as_of=NOW, name=found["name"])
            check(figure)
            if figure is None:
                assert all(it["rate"] is None for it in found["prices"])
                continue
            for unit in {it["unit"] for it in found["prices"]}:
                its = [it for it in found["prices"] if it["unit"] == unit and not it["position"]]
                base = lines(plots.prices(its, as_of=NOW) or {"data": []})
                for at in instants(its, seen):
                    row_then = in_force(its, at)
                    rate = None if row_then is None else row_then["rate"]
                    assert drawn_at(base, at) == ([] if rate is None else [shown(unit, rate)])
                    seen += 1
    assert seen > 10_000


@pytest.fixture(scope="module")
def housed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """The house of all page tests."""
    with house.lent("sqlite", tmp_path_factory.mktemp("charts")) as url, Catalog.open(url) as catalog:
        yield catalog


@pytest.mark.history
@pytest.mark.long
@pytest.mark.timeout(900)
def test_real_endpoints_and_rankings(housed: Catalog) -> None:
    drawn = 0
    for model in housed.models().data:
        found = housed.endpoint_history(model["id"], START)
        figures = [
            plots.uptime(found["health"], found["versions"]),
            plots.latency(found["health"], found["versions"]),
            plots.ranks(housed.rank_history(model["id"]), name=model["id"]),
        ]
        drawn += sum(figure is not None for figure in figures)
        for figure in figures:
            check(figure)
    for ranking in housed.ranking_categories():
        if ranking["is_ranked"]:
            check(plots.shares(housed.share_history(ranking["name"])))
    assert drawn > 500
    held = plots.prices(housed.history(house.HELD)["prices"], as_of=house.NOW)
    assert held is not None
    assert any(it["name"] == "Prompt, held" for it in lines(held))


# --- in a browser

FIGURE = plots.prices(
    [row("prompt", 0, "0.000001", 0, 300_000), row("prompt", 0, "0.000002", 300_000, None)], as_of=NOW
)
_NAMES = ("drawn", "missing", "broken")


@pytest.fixture
def drawing(chromium: Browser) -> Iterator[Page]:
    """A page with figures, under the policy of the pages; what the console says beside missing answers fails."""
    from llmhive.app.pages.assets import Assets
    from llmhive.app.pages.site import HEADERS

    assets, ours = Assets(), resources.files("llmhive.app.pages") / "static"
    figures = "".join(
        f'<figure class="chart" id="{name}" data-figure="/charts/{name}"><div class="plot"></div></figure>'
        for name in _NAMES
    )
    answers = {
        "/": ("text/html", "<!doctype html><html lang=en data-plotly=/plotly.js><title>x</title>"
              "<link rel=icon href=data:,><link rel=stylesheet href=/llmhive.css><script src=/charts.js defer></script>"
              f"<body>{figures}</body></html>"),
        "/charts/drawn": ("application/json", json.dumps(FIGURE)),
        "/charts/broken": ("text/html", "<p>not a figure</p>"),
        "/plotly.js": ("text/javascript", assets._all["plotly.min.js"].content.decode()),
        **{f"/{name}": (kind, (ours / name).read_text())
           for name, kind in (("charts.js", "text/javascript"), ("llmhive.css", "text/css"))},
    }  # fmt: skip
    problems: list[str] = []

    def answer(route: Route) -> None:
        kind, body = answers.get(route.request.url.removeprefix("http://127.0.0.1"), ("text/plain", ""))
        status = 200 if body else 404
        route.fulfill(status=status, body=body, headers=HEADERS | {"Content-Type": f"{kind}; charset=utf-8"})

    page = chromium.new_page()
    page.on("console", lambda it: None if "404" in it.text else problems.append(it.text))
    page.on("pageerror", lambda it: problems.append(str(it)))
    page.route("**/*", answer)
    page.goto("http://127.0.0.1/")
    page.wait_for_selector("#drawn[data-state=ready]")
    yield page
    page.close()
    assert problems == []


@pytest.mark.browser
def test_figures_are_served(served: Served) -> None:
    of_held = (f"{kind}/{house.HELD}" for kind in ("prices", "uptime", "latency", "ranks"))
    for path in (*of_held, f"prices/{house.HELD}?unit=prompt", f"ranks/{house.REPRICED}?ranking=programming",
                 "ranking/leaderboard", "ranking/marketing/seo"):  # fmt: skip
        answer = served.client.get(f"/charts/{path}")
        assert answer.status_code == 200, path
        assert answer.headers["content-type"] == "application/json"
        check(answer.json())
    # what the catalog says is drawn, not when somebody asks
    first, second = (served.client.get(f"/charts/prices/{house.HELD}") for _ in range(2))
    assert (first.content, first.headers["etag"]) == (second.content, second.headers["etag"])
    assert first.json()["layout"]["meta"]["to"] == f"{house.NOW:%Y-%m-%d} 18:00:00"
    assert {it["name"] for it in served.client.get("/charts/ranking/leaderboard").json()["data"]} & {
        it["name"] for it in served.get("/api/models?limit=500").json()["data"]
    }
    for path in ("prices/no/such", "uptime/no/such", "ranking/no-such", "ranking/fastest"):
        assert served.client.get(f"/charts/{path}").status_code == 404


@pytest.mark.browser
def test_a_figure_is_drawn_and_can_be_read_aloud(drawing: Page) -> None:
    assert FIGURE is not None
    plot = drawing.locator("#drawn .plot")
    assert plot.get_attribute("role") == "img"
    assert plot.get_attribute("aria-label") == FIGURE["layout"]["meta"]["summary"]
    box = plot.bounding_box()
    assert box is not None
    drawing.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 3)
    drawing.wait_for_selector("#drawn .hovertext")
    assert "Prompt: $1.00 per million, since 2025-01-01 until 2025-07-28" in (
        drawing.text_content("#drawn .hoverlayer") or ""
    )


@pytest.mark.browser
def test_while_a_figure_loads_the_page_says_so(drawing: Page) -> None:
    assert drawing.locator("#drawn > .empty").is_hidden()
    drawing.route("**/charts/drawn", lambda _: None)
    drawing.evaluate("""() => {
      const old = document.querySelector("#drawn");
      const fresh = old.cloneNode(false);
      delete fresh.dataset.state;
      old.replaceWith(fresh);
      document.dispatchEvent(new CustomEvent("llmhive:swapped"));
    }""")
    drawing.wait_for_selector("#drawn[data-state=loading]")
    assert drawing.inner_text("#drawn > .empty") == "Loading the chart …"


@pytest.mark.browser
def test_the_time_shown_is_chosen_by_keyboard_and_mouse(drawing: Page) -> None:
    def pressed() -> list[str]:
        return drawing.locator("#drawn .ranges [aria-pressed=true]").all_inner_texts()

    assert pressed() == ["All"]
    drawing.locator("#drawn .ranges button", has_text="3 months").focus()
    drawing.keyboard.press("Enter")
    drawing.wait_for_selector("#drawn .ranges button:nth-child(2)[aria-pressed=true]")
    shown_from = drawing.evaluate("document.querySelector('#drawn .plot').layout.xaxis.range[0]")
    assert shown_from.startswith("2026-05-11")
    box = drawing.locator("#drawn .plot").bounding_box()
    assert box is not None
    drawing.mouse.move(box["x"] + 300, box["y"] + 80)
    drawing.mouse.down()
    drawing.mouse.move(box["x"] + 500, box["y"] + 82, steps=5)
    drawing.mouse.up()
    drawing.wait_for_function("() => !document.querySelector('#drawn .ranges [aria-pressed=true]')")
    # what is shown stays when the colours change
    before = drawing.evaluate("document.querySelector('#drawn .plot').layout.xaxis.range")
    light = drawing.evaluate("document.querySelector('#drawn .plot').data[0].line.color")
    drawing.emulate_media(color_scheme="dark")
    drawing.wait_for_function(f"() => document.querySelector('#drawn .plot').data[0].line.color !== '{light}'")
    assert drawing.evaluate("document.querySelector('#drawn .plot').layout.xaxis.range") == before
    drawing.mouse.dblclick(box["x"] + 400, box["y"] + 80)
    drawing.wait_for_selector("#drawn .ranges button:nth-child(4)[aria-pressed=true]")


@pytest.mark.browser
def test_what_cannot_be_drawn_is_said(drawing: Page) -> None:
    drawing.wait_for_selector("#missing[data-state=empty]")
    drawing.wait_for_selector("#broken[data-state=failed]")
    assert drawing.inner_text("#missing .empty") == "Nothing is known yet that could be drawn here."
    assert drawing.inner_text("#broken .empty").startswith("The chart could not be loaded.")
    assert drawing.locator("#missing .ranges").count() == 0


@pytest.mark.browser
def test_a_figure_that_was_swapped_is_drawn_again(drawing: Page) -> None:
    drawing.evaluate("""() => {
      const old = document.querySelector("#drawn");
      const fresh = old.cloneNode(false);
      delete fresh.dataset.state;
      old.replaceWith(fresh);
      document.dispatchEvent(new CustomEvent("llmhive:swapped"));
    }""")
    drawing.wait_for_selector("#drawn[data-state=ready] .main-svg")
    assert drawing.locator("#drawn .ranges [aria-pressed=true]").inner_text() == "All"
