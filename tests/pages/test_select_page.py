"""The selection playground: every field reaches the need, and what is shown is what the library chooses."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from llmhive.app.pages import select, select_need, select_shortlist, words
from llmhive.catalog.need import OBJECTIVES, Need
from llmhive.catalog.role import ROLES
from llmhive.catalog.usage import FIELDS, Usage
from tests.catalog import selecting
from tests.catalog.strategies import laws
from tests.pages import desk
from tests.pages.desk import Desk

if TYPE_CHECKING:
    from tests.pages.browser import Visitor

HOSTILE = '"><script>alert(1)</script>{{ 7*7 }}'
#: Every field of a need: as the form has it, and what it must become.
EXAMPLES: dict[str, tuple[str, Any]] = {
    "task": ("task=programming", "programming"),
    "role": ("role=coder", "coder"),
    "of": ("role=replacement&of=openai/gpt-4o", "openai/gpt-4o"),
    "require": ("require=vision&require=tools,seed", ("seed", "tools", "vision")),
    "inputs": ("inputs=image,file", ("file", "image")),
    "outputs": ("outputs=image", ("image",)),
    "min_context": ("min_context=200k", 200_000),
    "min_output": ("min_output=8,000", 8000),
    "max_price_per_million": (
        "max_prompt=$3&max_completion=.25", (("completion", Decimal("0.25")), ("prompt", Decimal(3))),
    ),
    "providers": ("providers=Azure, deepinfra", ("Azure", "deepinfra")),
    "exclude_providers": ("exclude_providers=deepinfra/fp4", ("deepinfra/fp4",)),
    "quantizations": ("quantizations=fp8,unknown", ("fp8", "unknown")),
    "zdr": ("zdr=true", True),
    "min_uptime": ("min_uptime=99.5%", 99.5),
    "max_latency": ("max_latency=800ms", 0.8),
    "min_throughput": ("min_throughput=50", 50.0),
    "models": ("models=anthropic/*,openai/gpt-4o", ("anthropic/*", "openai/gpt-4o")),
    "exclude": ("exclude=x-ai/*", ("x-ai/*",)),
    "allow": ("allow=free&allow=batch", ("batch", "free")),
    "lasting_days": ("lasting_days=30", 30),
    "objective": ("quality=0.5&speed=.5", (("quality", 0.5), ("speed", 0.5))),
    "usage": ("prompt=20k&completion=500&cached=15000", Usage(prompt=20_000, completion=500, cached=15_000)),
    "stick_to": ("stick_to=openai/gpt-4o", "openai/gpt-4o"),
    "margin": ("margin=2%", 0.02),
    "limit": ("limit=7", 7),
}  # fmt: skip


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    found = desk.of_real(tmp_path_factory.mktemp("select"), select)
    yield found
    found.catalog.close()


def read(query: str) -> select_need.Reading:
    return select_need.read(QueryParams(query.replace("%", "%25")))


def need_of(query: str) -> Need:
    found = read(query)
    assert found.need is not None, found.troubles
    return found.need


# --- reading and writing


def test_no_field_of_a_need_is_forgotten() -> None:
    assert EXAMPLES.keys() == {it.name for it in fields(Need) if it.init}


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_field_reaches_the_need(name: str) -> None:
    query, expected = EXAMPLES[name]
    assert getattr(need_of(query), name) == expected


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_has_a_name(name: str) -> None:
    assert need_of(f"objective={name}").objective == name


def test_own_weights_count_instead_of_the_name() -> None:
    assert need_of("objective=price&quality=1").weights == (1, 0, 0)


def test_what_is_empty_asks_for_nothing() -> None:
    empty = "&".join(f"{name}= " for name in select_need.NAMES)
    assert need_of(empty) == Need()


@pytest.mark.parametrize(
    ("query", "prompt", "completion"),
    [
        ("prompt=9", 9, 1000), ("completion=9", 3000, 9), ("prompt=9&role=long-context", 9, 2000),
        ("completion=9&outputs=image", 200, 9),
    ],
)  # fmt: skip
def test_a_request_of_which_one_side_is_told_keeps_the_other(query: str, prompt: int, completion: int) -> None:
    typical = need_of(query).typical
    assert (typical.prompt, typical.completion) == (prompt, completion)


@laws
@given(
    told=st.fixed_dictionaries({}, optional=selecting.fields(("acme/one", "acme/two"))),
    role=st.none() | st.sampled_from(sorted(ROLES)),
)
def test_a_need_is_the_same_when_it_is_read_again(told: dict[str, Any], role: str | None) -> None:
    if role is not None:
        told = told | {"role": role} | ({"of": "acme/one"} if ROLES[role].needs_of else {})
    need = Need(**told)
    again = select_need.read(QueryParams(select_need.write(need)))
    assert again.troubles == {}
    assert again.need == need
    # and the body for programs is the same need
    assert Need.read(json.loads(json.dumps(again.body))) == need


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("min_context=much", "min_context"), ("min_context=1.5", "min_context"), ("limit=0", "limit"),
        ("limit=99", "limit"), ("max_prompt=cheap", "max_prompt"), ("max_prompt=-1", "max_prompt"),
        ("max_completion=9999999999", "max_completion"), ("task=nothing", "task"), ("role=nobody", "role"),
        ("role=replacement", "of"), ("of=openai/gpt-4o", "of"), ("objective=best", "objective"),
        ("quality=0", "objective"), ("speed=fast", "speed"), ("price=1e30", "price"), ("zdr=yes", "zdr"),
        ("as_of=yesterday", "as_of"), ("as_of=1999-01-01", "as_of"), ("min_uptime=101", "min_uptime"),
        ("allow=all", "allow"), ("prompt=0&completion=0", "prompt"), ("requests=0", "prompt"),
        ("lasting_days=9999999", "lasting_days"),
        ("margin=2", "margin"), ("require=no_such_thing", "require"), ("inputs=smell", "inputs"),
        ("outputs=smell", "outputs"), ("quantizations=fp99", "quantizations"), ("min_contxt=5", "min_contxt"),
        ("task=programming&task=agentic", "task"), ("explain=" + "x" * 201, "explain"),
        ("role=replacement&of=no/such", "of"), ("models=" + ",".join(f"m{it}" for it in range(101)), "models"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_beside_the_form_which_keeps_it(real: Desk, query: str, name: str) -> None:
    status, page = real("/select", query)
    assert status == 422
    assert f"({name}): " in page.partition('id="shortlist"')[0]
    field, _, value = query.rpartition("&")[2].partition("=")
    if field in select_need.NAMES and field not in {"zdr", "inputs", "outputs", "allow"}:
        assert html.escape(value.replace(",", ", ")) in page


def test_a_misspelt_field_is_told_its_name() -> None:
    assert "min_context" in read("min_contxt=5").troubles["min_contxt"]


@pytest.mark.parametrize(
    ("text", "number"), [("200k", 200_000), ("1.5B", 1_500_000_000), (".5k", 500), ("1,000", 1000)]
)
def test_whole_numbers_are_written_as_people_do(text: str, number: int) -> None:
    assert read(f"min_context={text}").document == {"min_context": number}
    assert "200000, 200k or 1M" in read("min_context=12,34").troubles["min_context"]


# --- what is shown


def test_the_best_vision_model_under_a_dollar_is_the_first(real: Desk) -> None:
    status, page = real("/select", "require=vision&max_prompt=1")
    assert status == 200
    found = real.catalog.select({"require": ["vision"], "max_price_per_million": {"prompt": 1}})
    first = found.choices[0]
    shown = re.findall(r'<li class="card choice">.*?href="/models/([^"]+)"', page, re.DOTALL)
    assert shown == [*found.ids]
    assert f"<strong>{found.total}</strong> of {found.total + len(found.rejected)} models qualify" in page
    # what it is judged by, without the mark that is shown beside
    assert html.escape("quality: " + first.reasons[0].partition(": ")[2]) in page
    assert html.escape(first.reasons[0]) not in page
    assert first.name is not None
    assert html.escape(first.name) in page


def test_the_body_of_the_request_and_of_the_need_are_those_of_the_library(real: Desk) -> None:
    _, page = real("/select", "require=vision&max_prompt=1&limit=3&explain=openai/gpt-4o")
    found = real.catalog.select({"require": ["vision"], "max_price_per_million": {"prompt": 1}, "limit": 3})
    request, need = (json.loads(html.unescape(it)) for it in re.findall(r"<pre id=[^>]*>(.*?)</pre>", page, re.DOTALL))
    assert request == found.request()
    assert need == {
        "require": ["vision"], "max_price_per_million": {"prompt": "1"}, "limit": 3, "explain": ["openai/gpt-4o"],
    }  # fmt: skip


@pytest.mark.parametrize("name", select.PRESETS)
def test_each_preset_finds_something(real: Desk, name: str) -> None:
    url = next(url for it, url, _ in select.presets(QueryParams()) if it == name)
    page = real.facts("/select", urlsplit(url).query)
    assert page.status == 200
    assert page.facts["found"]["choices"]
    assert [it for it, _, is_on in page.facts["presets"] if is_on] == [name]


@pytest.mark.parametrize(
    "need", [{}, {"require": ["vision", "tools"], "max_price_per_million": {"prompt": 1}},
             {"role": "replacement", "of": "openai/gpt-4o"},
             {"providers": ["Azure"], "min_uptime": 99.9, "zdr": True}, {"models": ["openai/*"], "min_context": 10**6}],
)  # fmt: skip
def test_who_is_out_is_counted_once_with_examples(real: Desk, need: dict[str, Any]) -> None:
    found = real.catalog.select(need)
    out = select_shortlist.out(found)
    assert sum(it.models for it in out) == len(found.rejected)
    assert {model_id for it in out for model_id, _ in it.examples} <= found.removed_by.keys()
    for it in out:
        assert it.examples
        assert all(found.rejected[model_id] == why for model_id, why in it.examples)


@pytest.mark.parametrize(
    "query", ["models=anthropic/*&providers=novita", "require=vision&max_prompt=0.0000001", "min_context=9M",
              "role=long-context&min_context=9M", "inputs=audio&inputs=video&max_completion=0.01", "providers=nobody",
              "min_throughput=99999&zdr=true", "models=openrouter/auto"],
)  # fmt: skip
def test_where_nothing_qualifies_each_way_out_leads_to_as_many_as_it_says(real: Desk, query: str) -> None:
    found = real.facts("/select", query).facts["found"]
    assert found["total"] == 0
    assert found["request"] is None
    assert found["relaxing"], "there is no way out"
    for what, models, url in found["relaxing"]:
        if url is not None:
            then = real.facts("/select", urlsplit(url).query).facts["found"]
            assert then["total"] == models, what
    assert "Nothing qualifies" in real("/select", query)[1]


def test_one_model_is_explained_as_the_library_does(real: Desk) -> None:
    found = real.catalog.select({"require": ["vision"], "max_price_per_million": {"prompt": 1}})
    for name in ("openai/gpt-4o", *found.ids[:2], "gpt-4"):
        it = found.explain(name)
        _, page = real("/select", [("require", "vision"), ("max_prompt", "1"), ("explain", name)])
        assert html.escape(it.why) in page
        assert f'href="/models/{it.id}"' in page
    status, page = real("/select", "explain=no/such-model")
    assert status == 200
    assert "was ever seen" in page


def test_costs_are_those_of_the_usage(real: Desk) -> None:
    found = real.catalog.select({"usage": {"prompt": 5, "completion": 7}, "limit": 2})
    shown = real.facts("/select", "prompt=5&completion=7&limit=2").facts["found"]["choices"]
    assert [it.exact for it in shown] == [words.usd(it.expected_cost) for it in found.choices]


def test_all_who_are_out_are_listed_when_asked_for(real: Desk) -> None:
    page = real.facts("/select", "require=vision&rejected=all")
    rejected = real.catalog.select({"require": ["vision"]}).rejected
    assert dict(page.facts["found"]["rejected"]) == {
        it: re.sub("`(.+?)`", "“\\1”", why) for it, why in rejected.items()
    }


def test_the_form_has_every_field_and_keeps_what_is_filled_in(real: Desk) -> None:
    _, page = real("/select")
    form = page.partition("<form")[2].partition("</form>")[0]
    assert {name for name in select_need.NAMES if f'name="{name}"' not in form} == {"rejected"}
    query = "require=vision,top_k&objective=quality&max_prompt=1&allow=free&role=best&zdr=true&cached=5"
    _, page = real("/select", query)
    for kept in (
        'value="vision" checked', 'value="quality" checked', 'value="free" checked', 'value="top_k"',
        'value="best" selected', 'value="true" checked', 'name="cached" value="5"', 'name="max_prompt" value="1"',
    ):  # fmt: skip
        assert kept in page


@pytest.mark.parametrize("name", [*select_need.NAMES, HOSTILE])
def test_nothing_that_is_typed_becomes_part_of_the_page(real: Desk, name: str) -> None:
    _, page = real("/select", [(name, HOSTILE)])
    assert "<script>alert" not in page
    assert "49" not in re.findall(r"\{\{.*?\}\}", page)


VALUES = st.one_of(
    st.sampled_from([
        "", "true", "all", "vision", "tools", "1", "0", "-1", "1e999", "nan", "99.5%", "200k", "openai/*",
        "openai/gpt-4o", "gpt-4o", "free",
        "2026-08-23", "9999-12-31T23:59:59-14:00", "0001-01-01", "replacement", "price", "*", "\x00", ",",
    ]),
    st.text(max_size=12),
)  # fmt: skip


@settings(laws, max_examples=60)
@given(query=st.lists(st.tuples(st.sampled_from(select_need.NAMES) | st.text(max_size=6), VALUES), max_size=7))
def test_whatever_is_asked_there_is_a_page(real: Desk, query: list[tuple[str, str]]) -> None:
    status, page = real("/select", query)
    assert status in {200, 422}
    assert ("note bad" in page) or status == 200


def test_an_empty_catalog_says_so(tmp_path: Path) -> None:
    nobody = desk.of_nothing(tmp_path, select)
    status, page = nobody("/select", "require=vision")
    assert status == 422
    assert "The catalog is empty" in page
    nobody.catalog.close()


def test_usage_fields_have_a_label() -> None:
    assert set(FIELDS) <= select.LABELS.keys()
    assert set(select_need.NAMES) == select.LABELS.keys()


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", [("", "value", True)]), ("objective=value", [("", "value", True)]),
        ("objective=price&role=coder", [("", "value", False)]),
        ("objective=value&role=coder", [("", "as the role says", False), ("value", "value", True)]),
    ],
)  # fmt: skip
def test_value_is_offered_once(real: Desk, query: str, told: list[tuple[str, str, bool]]) -> None:
    offered = real.facts("/select", query).facts["objectives"]
    assert [it for it in offered if it[0] in {"", "value"}] == told
    assert sum(is_on for _, _, is_on in offered) == 1


def test_little_is_said_twice(real: Desk) -> None:
    facts = real.facts("/select", "explain=openai/gpt-4o").facts["found"]
    ids = [it.id for it in facts["choices"]]
    assert not any(it in said for said in facts["flips"] for it in ids)
    assert not any(reason.startswith("$") for it in facts["choices"] for reason in it.reasons)
    _, page = real("/select", "explain=openai/gpt-4o")
    assert page.index('id="explained"') < page.index('class="choices"')
    assert "`" not in page.partition('id="shortlist"')[2]
    assert 'id="need-body"' not in real("/select")[1]


def test_where_every_page_says_that_the_catalog_is_old_it_is_said_once(
    real: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "the last capture is of" in real("/select")[1]
    monkeypatch.setattr(real, "now", real.now + timedelta(days=2))
    assert "the last capture is of" not in real("/select")[1]


# --- in a browser


@pytest.mark.browser
def test_a_question_is_answered_by_a_tick_and_a_number(visit: Visitor) -> None:
    page = visit("/select")
    page.get_by_label("vision", exact=True).check()
    page.get_by_label("Prompt, at most").fill("1")
    page.wait_for_url("**/select?require=vision&max_prompt=1")
    page.wait_for_function("() => document.querySelector('#request-body')?.textContent.includes('max_price')")
    first = page.locator(".choice .id").first.inner_text()
    told = page.evaluate("() => JSON.parse(document.querySelector('#request-body').textContent).model")
    assert first == told
    # what is half typed is told, and all comes back with the rest
    visit.expect("/select", 422)
    page.get_by_label("Context, at least").fill("20q")
    page.wait_for_selector("#shortlist .note.bad")
    assert "min_context" in page.locator("#shortlist .note.bad").inner_text()
    page.get_by_label("Context, at least").fill("200k")
    page.wait_for_selector("#shortlist .choice")
    assert page.get_by_label("Prompt, at most").input_value() == "1"
