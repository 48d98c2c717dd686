"""Models side by side: every figure is the library's, the best is marked, and nothing in the address breaks it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from llmhive.app.pages import compare, compare_rows, words
from llmhive.app.pages.compare_rows import Cell, Column, Cost
from llmhive.catalog.capability import CAPABILITIES
from tests.catalog.strategies import laws
from tests.pages import desk
from tests.pages.desk import Desk

if TYPE_CHECKING:
    from tests.pages.browser import Visitor

HOSTILE = '"><script>alert(1)</script>{{ 7*7 }}'
#: One with conditions on its prices, one with many endpoints, one with a free variant.
THREE = ("openai/gpt-5.6-luna", "deepseek/deepseek-v4-flash", "anthropic/claude-opus-5")
OTHERS = ("openai/gpt-4o", "z-ai/glm-5.2", "openrouter/auto", "poolside/laguna-s-2.1:free", "xiaomi/mimo-v2.5")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    found = desk.of_real(tmp_path_factory.mktemp("compare"), compare)
    yield found
    found.catalog.close()


def query(*ids: str, **more: str) -> list[tuple[str, str]]:
    return [*(("model", it) for it in ids), *more.items()]


def table(real: Desk, *ids: str, **more: str) -> dict[str, dict[str, tuple[Cell, ...]]]:
    """The rows by group and title."""
    groups = real.facts("/compare", query(*ids, **more)).facts["groups"]
    return {it.title: {row.title: row.cells for row in it.rows} for it in groups}


# --- against the library


def test_prices_and_limits_are_those_of_the_catalog(real: Desk) -> None:
    for ids in (THREE, OTHERS):
        rows = table(real, *ids)
        told = [real.catalog.model(it) for it in ids]
        for unit in {unit for it in told for unit in it["pricing"]} - {"overrides"}:
            listed = [it["pricing"].get(unit) for it in told]
            cells = rows["Prices, USD"].get(words.unit_name(unit))
            if cells is None:
                assert not any(isinstance(it, str) for it in listed)
                continue
            assert [it.number for it in cells] == [None if it is None else Decimal(it) for it in listed]
            for cell in cells:
                if cell.number is None:
                    assert cell.text in {"unknown", "varies", "not listed"}
                elif cell.text.endswith(" / M"):
                    shown = cell.text.removeprefix("$").removesuffix(" / M").replace(",", "")
                    assert Decimal(shown) == cell.number * 1_000_000
        for title, name in (("Context", "context_length"), ("Max output", "max_completion_tokens")):
            expected = [None if it[name] is None else Decimal(it[name]) for it in told]
            assert [it.number for it in rows["Limits"][title]] == expected
        expires = [it["expiration_date"] or "nothing announced" for it in told]
        assert [it.text for it in rows["Status"]["Expires"]] == expires


def test_costs_are_exact(real: Desk) -> None:
    for calls, prompt, completion in ((1000, 3000, 1000), (1, 1, 0), (999_999_999_999, 7, 13), (12, 0, 1)):
        cells = table(real, *THREE, calls=str(calls), prompt=str(prompt), completion=str(completion))[
            "Cost for this usage"
        ]["Total"]
        for model_id, cell in zip(THREE, cells, strict=True):
            price = real.catalog.model(model_id)["pricing"]
            expected = (Decimal(price["prompt"]) * prompt + Decimal(price["completion"]) * completion) * calls
            assert cell.number == expected
            assert Decimal(cell.text.removeprefix("$").replace(",", "")) == expected


def test_a_long_prompt_costs_what_the_library_says(real: Desk) -> None:
    usage = {"prompt": 300_000, "completion": 10}
    assert real.catalog.model(THREE[0])["overrides"]
    cells = table(real, *THREE, calls="3", prompt="300k", completion="10")["Cost for this usage"]["Total"]
    expected = [real.catalog.cost(it, usage, at=real.now).total * 3 for it in THREE]
    assert [it.number for it in cells] == expected


def test_the_relation_is_to_the_cheapest(real: Desk) -> None:
    rows = table(real, *THREE)["Cost for this usage"]
    totals = [it.number for it in rows["Total"]]
    assert all(it is not None for it in totals)
    lowest = min(it for it in totals if it is not None)
    for total, cell in zip(totals, rows["Beside the cheapest"], strict=True):
        assert total is not None
        if total == lowest:
            assert cell.text == "the cheapest"
        else:
            shown = Decimal(cell.text.removesuffix(" ×").replace(",", ""))
            assert abs(shown - total / lowest) <= max(Decimal("0.05"), total / lowest / 20)


@pytest.mark.parametrize(
    ("amount", "lowest", "told"),
    [("1.8", "1", "1.8 ×"), ("1.01", "1", "1.01 ×"), ("57.1", "1", "57 ×"), ("12345", "1", "12,345 ×"), ("1", "0", "")],
)
def test_a_ratio_is_short(amount: str, lowest: str, told: str) -> None:
    assert compare_rows.ratio(Decimal(amount), Decimal(lowest)) == told


def test_a_cost_that_is_not_known_says_why(real: Desk) -> None:
    cells = table(real, "openai/gpt-4o", "openrouter/auto")["Cost for this usage"]["Total"]
    assert cells[0].number is not None
    assert cells[1].text == "unknown"
    assert cells[1].hint
    assert not any(it.mark for it in cells)


def _title(name: str) -> str:
    label = words.capability_label(name)
    return label[0].upper() + label[1:]


def test_images_are_counted_as_such_or_not_known(real: Desk) -> None:
    ids = ("krea/krea-2-large", "sourceful/riverflow-v2.5-pro", "google/gemini-2.5-flash-image", "openai/gpt-4o")
    cells = table(real, *ids, calls="1000000", prompt="200", completion="1290")["Cost for this usage"]["Total"]
    usage = {"prompt": 200, "completion": 1290, "image_output": 1290}
    need = {"models": list(ids), "outputs": ["image"], "usage": usage}
    chosen = {it.id: it.expected_cost or Decimal(0) for it in real.catalog.select(need).choices}
    for model_id, cell in zip(ids, cells, strict=True):
        if model_id != "openai/gpt-4o":
            assert cell.number == chosen[model_id] * 1_000_000 > 0
            assert "the completion counted as image tokens" in cell.more
    assert not cells[3].more.startswith("the completion")
    # what is charged for nothing that is asked for is not known, and never the best
    cells = table(real, *ids[:2], "openai/gpt-4o", completion="0")["Cost for this usage"]["Total"]
    assert [it.text == "unknown" for it in cells] == [True, True, False]
    assert "image out" in cells[0].hint
    assert not any(it.mark for it in cells)


def test_what_counts_no_tokens_has_no_total(real: Desk) -> None:
    for outputs in ("speech", "transcription", "rerank"):
        told = next(it for it in real.catalog.models().data if it["output_modalities"] == [outputs])
        rows = table(real, "openai/gpt-4o", told["id"], "openai/gpt-4o-mini")["Cost for this usage"]
        assert rows["Total"][1].text == "unknown: it does not count tokens"
        assert rows["Total"][1].number is None
        assert [bool(it.mark) for it in rows["Total"]] == [False, False, True]


def test_capabilities_ranks_and_endpoints_are_those_of_the_library(real: Desk) -> None:
    rows = table(real, *THREE)
    matrix = {it["id"]: it["cells"] for it in real.catalog.capabilities(THREE)["data"]}
    for it in CAPABILITIES:
        expected = [matrix[model_id][it.name]["state"] for model_id in THREE]
        assert [cell.text for cell in rows["Capabilities"][_title(it.name)]] == expected
    for name, title in compare_rows.RANKINGS:
        ranks = [
            {it["category"] or it["dimension"]: it["rank"] for it in real.catalog.ranks_of(model_id)}
            for model_id in THREE
        ]
        if any(name in it for it in ranks):
            assert [cell.number for cell in rows["Ranks"][title]] == [it.get(name) for it in ranks]
    for model_id, number, uptime in zip(
        THREE, rows["Endpoints"]["Endpoints"], rows["Endpoints"]["Best uptime, a day"], strict=True
    ):
        active = [it for it in real.catalog.endpoints(model_id)["data"] if it["is_active"]]
        assert number.text == str(len(active))
        known = [it["uptime_last_1d"] for it in active if it["uptime_last_1d"] is not None]
        assert uptime.text == words.uptime(max(known, default=None))


def test_benchmarks_are_those_of_the_library(real: Desk) -> None:
    rows = table(real, *THREE)["Benchmarks"]
    told = [{it["metric"]: it["value"] for it in real.catalog.benchmarks(it)} for it in THREE]
    for metric, title in (("intelligence_index", "Intelligence index"), ("coding_index", "Coding index")):
        expected = [None if metric not in it else Decimal(it[metric]) for it in told]
        assert [cell.number for cell in rows[title]] == expected


# --- what differs, and who has the best


CELLS = st.lists(
    st.one_of(
        st.just(Cell("unknown")), st.decimals(0, 9, places=0).map(lambda number: Cell(str(number), number))
    ), min_size=1, max_size=6,
)  # fmt: skip


@laws
@given(cells=CELLS, best=st.sampled_from(["lowest", "highest", ""]))
def test_a_row_differs_where_two_cells_do_and_marks_only_the_best(cells: list[Cell], best: str) -> None:
    row = compare_rows.row("it", cells, best=best)
    assert row.differs == any(one.text != other.text for one, other in combinations(cells, 2))
    marked = [it.number for it in row.cells if it.mark]
    assert all(it.mark in {"", best} for it in row.cells)
    known = [it.number for it in cells if it.number is not None]
    if marked:
        assert best
        top = min(known) if best == "lowest" else max(known)
        assert set(marked) == {top}
        assert len(marked) == known.count(top) < len(known)
    elif best and known:
        assert len(set(known)) == 1


def test_only_differences_leaves_out_what_is_the_same(real: Desk) -> None:
    whole, short = (real.facts("/compare", query(*THREE, **more)).facts for more in ({}, {"diff": "1"}))
    rows = [row for it in whole["groups"] for row in it.rows]
    assert [row for it in short["groups"] for row in it.rows] == [row for row in rows if row.differs]
    assert (short["different"], short["rows"]) == (sum(row.differs for row in rows), len(rows))
    # the link leads there and back
    there, back = (QueryParams(urlsplit(it["toggle"]).query) for it in (whole, short))
    assert there.multi_items() == query(*THREE, diff="1")
    assert back.multi_items() == query(*THREE)


def test_characters_are_not_compared_with_tokens(real: Desk) -> None:
    told = next(it for it in real.catalog.models().data if it["output_modalities"] == ["speech"])
    rows = table(real, "openai/gpt-4o", told["id"])["Prices, USD"]
    assert not any(it.mark for it in rows["Prompt"])


def test_what_nobody_knows_is_unknown() -> None:
    bare: dict[str, Any] = {
        "id": "a/b", "pricing": {"prompt": None, "completion": None}, "pricing_kind": "unknown", "held": {},
        "context_length": None, "max_completion_tokens": None, "input_modalities": [], "output_modalities": [],
        "is_active": True, "created_at": None, "expiration_date": None, "deactivated_at": None,
    }  # fmt: skip
    groups = compare_rows.groups([Column(bare), replace(Column(bare), cost=Cost(None, "why"))], frozenset(), usage="")
    for group in groups:
        for row in group.rows:
            assert not row.differs
            for cell in row.cells:
                assert cell.text in {"unknown", "nothing announced", "nothing", "yes"}, (row.title, cell)
                assert cell.number is None


# --- what is asked for


def test_a_model_has_many_names_and_is_shown_once(real: Desk) -> None:
    slug = real.catalog.model("anthropic/claude-opus-5")["canonical_slug"]
    page = real.facts("/compare", query("anthropic/claude-opus-5", "Claude-Opus-5", slug, "openai/gpt-4o"))
    assert page.facts["ids"] == ["anthropic/claude-opus-5", "openai/gpt-4o"]
    assert any("shown once" in it for it in page.facts["troubles"])


def test_an_unknown_name_is_told_with_near_ones(real: Desk) -> None:
    status, page = real("/compare", query("openai/gpt-4o", "openai/gpt-4oo", "z-ai/glm-5.2"))
    assert status == 200
    assert "No model &#39;openai/gpt-4oo&#39; was ever seen. Near names: " in page
    # what was typed stays, and a name that comes near is one click away
    assert 'name="model" value="openai/gpt-4oo"' in page
    (near,) = re.findall(r'<a href="([^"]+)">openai/gpt-4.1</a>', page)
    assert QueryParams(urlsplit(html.unescape(near)).query).getlist("model") == [
        "openai/gpt-4o",
        "z-ai/glm-5.2",
        "openai/gpt-4.1",
    ]


def test_more_than_six_are_left_out_in_words(real: Desk) -> None:
    ids = [it.id for it in real.view.entries if it.is_active][:9]
    page = real.facts("/compare", [("model", ",".join(ids))])
    assert page.facts["ids"] == ids[:6]
    assert page.facts["is_full"]
    assert any(all(it in said for it in ids[6:]) for said in page.facts["troubles"])
    assert 'id="add"' not in real("/compare", [("model", ",".join(ids))])[1]


def test_with_too_few_there_is_something_to_start_from(real: Desk) -> None:
    popular = [it["model"] for it in real.catalog.ranking()["data"]]
    first = real.facts("/compare").facts["starters"]
    assert [it for it, _, _ in first] == [it for it in popular if it in real.view.by_id][:8]
    chosen = first[0][0]
    then = real.facts("/compare", urlsplit(first[0][2]).query).facts
    assert then["ids"] == [chosen]
    assert chosen not in [it for it, _, _ in then["starters"]]
    both = real.facts("/compare", urlsplit(then["starters"][0][2]).query).facts
    assert len(both["ids"]) == 2
    assert both["starters"] == []
    assert "To start from" in real("/compare")[1]


def test_each_can_be_removed_and_all_else_is_kept(real: Desk) -> None:
    facts = real.facts("/compare", query(*THREE, calls="5", diff="1")).facts
    for model_id, _, without in facts["models"]:
        left = QueryParams(urlsplit(without).query).multi_items()
        assert left == query(*(it for it in THREE if it != model_id), calls="5", diff="1")
    _, page = real("/compare", query(*THREE, calls="5"))
    for model_id in THREE:
        assert f'aria-label="Remove {model_id}"' in page
        assert page.count(f'<input type="hidden" name="model" value="{model_id}">') == 2


@pytest.mark.parametrize(
    ("name", "value"), [("calls", "0"), ("calls", "many"), ("prompt", "-1"), ("completion", "9" * 16), ("calls", "1.5")]
)
def test_a_usage_that_cannot_be_read_is_told_by_its_field(real: Desk, name: str, value: str) -> None:
    status, page = real("/compare", query(*THREE, **{name: value}))
    assert status == 200
    assert f"({name}): write a whole number" in page
    assert f'name="{name}" value="{value}"' in page
    assert "1,000 calls of 3,000 + 1,000 tokens" in page


def test_the_best_is_told_in_words_too(real: Desk) -> None:
    _, page = real("/compare", query(*THREE))
    assert re.search(r'<strong>\$[0-9.]+ / M</strong><span class="visually-hidden"> lowest</span>', page)
    assert '<span class="visually-hidden"> (differs)</span>' in page


@pytest.mark.parametrize("name", ["model", "calls", "prompt", "completion", "diff", HOSTILE])
def test_nothing_that_is_typed_becomes_part_of_the_page(real: Desk, name: str) -> None:
    _, page = real("/compare", [*query(*THREE), (name, HOSTILE)])
    assert "<script>alert" not in page
    assert html.escape("<script>") in page or name in {"diff", HOSTILE}


VALUES = st.one_of(
    st.sampled_from([
        "", ",", "openai/gpt-4o", "GPT-4o", "z-ai/glm-5.2", "openrouter/auto", "~anthropic/claude-opus-latest",
        "no/such", "x" * 300, "0", "1", "200k", "9" * 15, "-1", "\x00", "1e9",
    ]),
    st.text(max_size=12),
)  # fmt: skip


@settings(laws, max_examples=60)
@given(
    fields=st.lists(
        st.tuples(st.sampled_from(["model", "model", "calls", "prompt", "completion", "diff", "x"]), VALUES), max_size=9
    )
)
def test_whatever_is_asked_there_is_a_page(real: Desk, fields: list[tuple[str, str]]) -> None:
    status, page = real("/compare", fields)
    assert status == 200
    assert "<h1>Compare models</h1>" in page
    assert real("/compare", urlencode(fields))[0] == 200


def test_an_empty_catalog_says_so(tmp_path: Path) -> None:
    nobody = desk.of_nothing(tmp_path, compare)
    for fields in ([], query("openai/gpt-4o")):
        status, page = nobody("/compare", fields)
        assert status == 200
        assert "There are no models yet" in page
    nobody.catalog.close()


# --- in a browser


@pytest.mark.browser
def test_costs_follow_the_usage_and_models_come_and_go(visit: Visitor) -> None:
    page = visit("/compare")
    page.locator("#starters a").first.click()
    page.locator("#add").fill(THREE[0])
    page.get_by_role("button", name="Add").click()
    page.wait_for_selector("table.compared thead th:nth-child(3)")
    page.get_by_label("Calls").fill("7")
    page.wait_for_function("() => document.querySelector('#comparison').textContent.includes('7 calls of')")
    assert page.url.count("model=") == 2
    page.get_by_role("link", name="only differences").click()
    page.wait_for_url("**diff=1**")
    assert page.get_by_label("Calls").input_value() == "7"
    page.get_by_role("link", name=f"Remove {THREE[0]}").click()
    page.wait_for_url(lambda url: url.count("model=") == 1)
    assert "calls=7" in page.url


@pytest.mark.browser
def test_a_model_that_is_added_keeps_the_usage_of_now(visit: Visitor) -> None:
    page = visit(f"/compare?model={THREE[0]}&model={THREE[1]}")
    assert page.get_by_label("Calls").input_value() == "1000"
    page.get_by_label("Calls").fill("7")
    page.wait_for_url("**calls=7**")
    page.locator("#comparison:not([aria-busy])").wait_for()
    page.locator("#only-different").press("Enter")
    page.wait_for_url("**diff=1**")
    page.locator("#only-different[aria-current=true]").wait_for()
    assert page.evaluate("() => document.activeElement.id") == "only-different"
    page.locator("#add").fill(THREE[2])
    page.get_by_role("button", name="Add").click()
    page.wait_for_url(lambda url: url.count("model=") == 3)
    asked = QueryParams(urlsplit(page.url).query)
    assert asked.getlist("model") == list(THREE)
    assert (asked["calls"], asked["diff"]) == ("7", "1")
    assert page.get_by_label("Calls").input_value() == "7"
