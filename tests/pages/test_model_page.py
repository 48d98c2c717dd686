"""The page of a model: its facts are the library's, its sums are exact, every state is told, and nothing is markup."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmhive.app.pages import model, model_cost, model_history, model_market
from llmhive.app.pages.site import Asked, Moved, Page
from llmhive.catalog.usage import Usage
from llmhive.errors import DatabaseUnavailable, NotFound
from tests.catalog import strategies as our
from tests.fake_openrouter import catalog
from tests.fake_openrouter import model as record
from tests.pages import house
from tests.pages.desk import Desk
from tests.serving import place
from tests.support import sync_at

if TYPE_CHECKING:
    from tests.pages.browser import Visitor
    from tests.serving import Served

PATH = "/models/{id:path}"
#: With a threshold, of a held price, with many endpoints, with images, with a variant.
REAL = (
    "anthropic/claude-sonnet-4.5", house.HELD, house.REPRICED, "google/gemini-2.5-flash-lite",
    "poolside/laguna-s-2.1:free",
)  # fmt: skip
HOSTILE = "<img src=x onerror=alert(1)>\"'&{{ 7*7 }}</script><script>alert(2)</script>"
NOW = datetime(2026, 8, 22, 19, tzinfo=UTC)
fixtures = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(house.build(tmp_path_factory.mktemp("model-page")), house.NOW, model)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A model that says everything in markup; one whose price rises too much, one whose context is lost, a free one."""
    with place("sqlite", tmp_path_factory.mktemp("model-small")) as here:
        more = {"description": HOSTILE * 9, "knowledge_cutoff": HOSTILE, "hugging_face_id": f"a/{HOSTILE}"}
        hostile = record("acme/hostile", name=HOSTILE, supported_parameters=[HOSTILE, "tools"], **more)
        models = [hostile, record("acme/rising"), record("acme/lost"), record("acme/none:free"), record("acme/gone")]
        models += [record(f"acme/more-{number}") for number in range(60)]
        here.fake.serve(catalog(*models))
        assert sync_at(here.url, here.fake.base_url, NOW - timedelta(days=1)).status == "completed"
        models[1] = record("acme/rising", pricing={"prompt": "0.0005"})
        models[2] = record("acme/lost", context_length=None)
        del models[4]
        here.fake.serve(catalog(*models))
        assert sync_at(here.url, here.fake.base_url, NOW - timedelta(hours=2)).status == "completed"
        yield Desk(here.url.removeprefix("sqlite:///"), NOW, model)  # type: ignore[arg-type]


def asked(desk: Desk, model_id: str, query: str = "") -> Asked:
    return replace(desk._asked(query), path={"id": model_id})


def facts(desk: Desk, model_id: str, query: str = "") -> dict[str, Any]:
    read, _ = desk._site.reads[PATH]
    page = read(asked(desk, model_id, query))
    assert isinstance(page, Page)
    return dict(page.facts)


def shown(desk: Desk, model_id: str, query: str = "") -> str:
    read, section = desk._site.reads[PATH]
    found = asked(desk, model_id, query)
    page = read(found)
    assert isinstance(page, Page)
    assert page.status == 200
    return desk._site.render(page, found, section)


def part(page: str, mark: str) -> str:
    """The words of the element with an id, up to the next one that has one."""
    [_, rest] = page.split(f'id="{mark}"', 1)
    rest = rest.partition(">")[2]
    return words(re.split(r'<[^>]* id="', rest, maxsplit=1)[0])


def words(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split())


def usd(text: str) -> Decimal:
    assert text.startswith("$"), text
    return Decimal(text[1:].replace(",", ""))


# --- facts


@pytest.mark.parametrize("model_id", REAL)
def test_facts_are_the_librarys(desk: Desk, model_id: str) -> None:
    known, page, found = desk.catalog.model(model_id), shown(desk, model_id), facts(desk, model_id)
    told = part(page, "facts")
    assert f"Context {known['context_length']:,} tokens" in told
    assert f"Added {known['created_at'][:10]}" in told
    assert f"Takes {', '.join(known['input_modalities'])}" in told
    assert f"Author {known['author']}" in told
    assert f'href="/?family={quote(known["family"], safe="")}"' in page
    assert {it["unit"] for it in found["units"]} == {
        unit for unit, rate in known["pricing"].items()
        if isinstance(rate, str) and (Decimal(rate) or unit in {"prompt", "completion"})
    }  # fmt: skip
    for it in found["units"]:
        rate = Decimal(known["pricing"][it["unit"]])
        if it["price"] == "free":
            assert known["pricing_kind"] == "free"
        elif it["price"].endswith(" / M"):
            assert usd(it["price"].removesuffix(" / M")) == rate * 1_000_000
        else:
            assert usd(it["price"].removesuffix(" each")) == rate


@pytest.mark.parametrize("model_id", REAL)
def test_what_the_market_says_is_the_librarys(desk: Desk, model_id: str) -> None:
    found, library = facts(desk, model_id), desk.catalog
    offered = library.endpoints(model_id)["data"]
    assert [it["key"] for it in found["endpoints"]["active"]] == [it["key"] for it in offered if it["is_active"]]
    assert len(found["endpoints"]["gone"]) == sum(not it["is_active"] for it in offered)
    ranks = {(it["category"] or it["dimension"]): it["rank"] for it in library.ranks_of(model_id)}
    assert {it["name"]: it["rank"] for it in found["ranks"]} == ranks
    assert [it["rank"] for it in found["ranks"]] == sorted(ranks.values())
    [cells] = [it["cells"] for it in library.capabilities([model_id])["data"]]
    told = {it["name"]: (state, it["why"]) for state, its in found["capabilities"].items() for it in its}
    assert told == {name: (cell["state"], cell["provenance"]) for name, cell in cells.items()}
    history = library.history(model_id)
    assert len(found["rates"]) == len(history["prices"])
    lines = [line for _, its in chain(*found["changes"]) for line in its]
    assert [it["at"] for it in lines] == [it["at"] for it in reversed(history["entries"])]
    assert sum(len(its) for _, its in found["changes"][0]) == min(len(lines), model_history.NEWEST)
    metrics = {it["metric"] for it in library.benchmarks(model_id)}
    assert sum(map(len, found["benchmarks"])) == len(metrics)


def test_a_model_has_one_address(desk: Desk) -> None:
    read, _ = desk._site.reads[PATH]
    moved = read(asked(desk, "Claude-Sonnet-4.5", "calls=2&prompt=3"))
    assert moved == Moved("/models/anthropic/claude-sonnet-4.5?calls=2&prompt=3")
    with pytest.raises(NotFound, match=r"No model 'anthropic/claude-sonet-4\.5' was ever seen. Near names: anthropic/"):
        read(asked(desk, "anthropic/claude-sonet-4.5"))


@pytest.mark.history
def test_every_model_has_a_page(desk: Desk) -> None:
    for entry in desk.view.entries[::7]:
        page = shown(desk, entry.id)
        assert page.count("<section") == 11, entry.id
        assert "None" not in words(page.partition("<main")[2].partition('id="changes"')[0]), entry.id


# --- states


def test_a_held_price_is_explained(desk: Desk) -> None:
    page = shown(desk, house.HELD)
    told = part(page, "held")
    assert "OpenRouter says $0.00 / M , since 2026-08-22 18:00 UTC" in told
    assert "Believed instead $0.14 / M" in told
    assert "Why The prompt price fell to nothing." in told
    assert "What happens next The old value stays believed until a second sync" in told
    assert '<a href="/operations/runs/7">run 7</a>' in page
    assert '<a class="badge warn" href="#held">held: prompt</a>' in page
    assert ("Prompt", "$0.14 / M", True) in {
        (it["name"], it["price"], it["is_held"]) for it in facts(desk, house.HELD)["units"]
    }
    # the price that is believed is older than the one that is not
    assert facts(desk, house.HELD)["since"]["prompt"] < "2026-08-22"


def test_other_holds_are_explained(small: Desk) -> None:
    rising = part(shown(small, "acme/rising"), "held")
    assert "OpenRouter says $500.00 / M" in rising
    assert "Believed instead $0.50 / M" in rising
    assert "rose to 1,000 × what it was" in rising
    lost = part(shown(small, "acme/lost"), "held")
    assert "Context is held back OpenRouter says unknown" in lost
    assert "Believed instead 131,072 tokens Why The context length is gone." in lost


def test_states_are_told(desk: Desk, small: Desk) -> None:
    leaving = shown(desk, house.EXPIRING)
    assert "expires 2026-08-31 (in 9 days)" in leaving
    assert "<h2>What could take its place</h2>" in leaving
    assert leaving.count("<li><a href=") == 5
    gone = shown(desk, house.REMOVED[0])
    assert "inactive since 2026-08-15" in gone
    assert "OpenRouter no longer takes requests for it." in gone
    # priced as it was on its last day
    assert facts(desk, house.REMOVED[0])["calculated"]["question"].at == "2026-08-11"
    assert usd(facts(desk, house.REMOVED[0])["calculated"]["receipt"]["total"]) == Decimal("19.25")
    assert "It is free." in part(shown(desk, "poolside/laguna-s-2.1:free"), "prices")
    router = shown(desk, "openrouter/auto")
    assert "Its price is decided per request" in part(router, "prices")
    assert "its price is decided per request (dynamic)" in part(router, "no-price")
    assert "requests are passed on to other models" in part(router, "endpoints")
    video = shown(desk, "google/veo-3.1")
    assert "Prompt unknown" in part(video, "units")
    assert "lists no known price" in part(video, "no-price")
    assert "It is no chat model" in video
    alias = shown(desk, "~deepseek/deepseek-v4-flash-latest")
    assert "alias of deepseek/deepseek-v4-flash-0731" in alias
    assert 'href="/models/deepseek/deepseek-v4-flash-0731"' in alias
    assert "Its endpoints were never asked for. A research sync asks" in part(shown(small, "acme/rising"), "endpoints")


def test_without_a_database_memory_is_shown(desk: Desk) -> None:
    class Away:
        def __getattr__(self, name: str) -> Any:
            raise DatabaseUnavailable("away")

    read, section = desk._site.reads[PATH]
    found = replace(asked(desk, house.HELD), catalog=Away())  # type: ignore[arg-type]
    page = read(found)
    assert isinstance(page, Page)
    told = words(desk._site.render(page, found, section))
    assert "The database does not answer: only what is in memory can be shown." in told
    assert "$0.14 / M" in told


def test_nothing_that_openrouter_says_is_markup(small: Desk) -> None:
    page = shown(small, "acme/hostile")
    assert "<img" not in page
    assert "alert(2)</script>" not in page
    assert "49" not in re.findall(r"onerror=alert\(1\)&gt;[^<]{0,30}", page)[0]
    assert page.count("<script") == 2
    assert not re.search(r"<[^>]+\sstyle=", page)
    assert html.escape(HOSTILE, quote=False)[:40] in page.replace("&#34;", '"').replace("&#39;", "'")
    body = html.unescape(page.split('id="request-body"')[1].partition(">")[2].partition("</pre>")[0])
    assert json.loads(body)["model"] == "acme/hostile"
    # what is asked for comes back as it was written
    asked_for = shown(small, "acme/hostile", f"prompt={quote(HOSTILE)}")
    assert "<img" not in asked_for
    assert "Prompt tokens: write a whole number" in part(asked_for, "cost-problems")


# --- the calculator


counts = st.integers(0, 199_999)


@given(
    model_id=st.sampled_from(["anthropic/claude-sonnet-4.5", house.HELD, house.REPRICED, "openai/gpt-4o-mini"]),
    prompt=counts, part_cached=st.integers(0, 100), completion=counts, calls=st.sampled_from([1, 7, 1_000, 1_000_000]),
)  # fmt: skip
@fixtures
def test_sums_are_exact(
    desk: Desk, model_id: str, prompt: int, part_cached: int, completion: int, calls: int
) -> None:  # fmt: skip
    prompt += 1
    cached = prompt * part_cached // 100
    rates = desk.catalog.model(model_id)["pricing"]
    once = (
        (prompt - cached) * Decimal(rates["prompt"]) + cached * Decimal(rates.get("input_cache_read", rates["prompt"]))
        + completion * Decimal(rates["completion"])
    )  # fmt: skip
    told = desk.catalog.model(model_id)
    question = model_cost.read(_query(calls=calls, prompt=prompt, cached=cached, completion=completion), told)
    found = model_cost.answer(desk.catalog, told, question, desk.now)["receipt"]
    assert usd(found["total"]) == once * calls
    assert usd(found["per_call"]) == once
    assert sum(usd(it["amount"]) for it in found["lines"]) == once * calls
    sums = {label: usd(exact) for label, _, exact, _ in found["bounds"]["sums"]}
    assert sums["Lowest"] <= sums["Expected"] <= sums["Highest"]


def _query(**given: Any) -> Any:
    from starlette.datastructures import QueryParams

    return QueryParams({name: str(value) for name, value in given.items()})


def test_a_million_calls_to_the_last_digit(desk: Desk) -> None:
    page = shown(desk, "anthropic/claude-sonnet-4.5", "calls=1,000,000&prompt=2001&cached=501&completion=333")
    total = 1_000_000 * (1500 * Decimal("0.000003") + 501 * Decimal("0.0000003") + 333 * Decimal("0.000015"))
    assert usd(part(page, "total").split()[0]) == total == Decimal("9645.3")
    assert "1,000,000 calls of 2,001 (501 cached) + 333 tokens each" in words(page)
    assert part(page, "per-call").split()[0] == "$0.0096453"


def test_calls_alike_are_no_doubt(desk: Desk) -> None:
    # each of them is below the threshold, though all together are not; and one above it costs more
    below = facts(desk, "anthropic/claude-sonnet-4.5", "calls=1000&prompt=150000&completion=0")["calculated"]["receipt"]
    assert below["incomplete"] == []
    assert usd(below["total"]) == 1000 * 150_000 * Decimal("0.000003")
    above = facts(desk, "anthropic/claude-sonnet-4.5", "calls=1000&prompt=200001&completion=0")["calculated"]["receipt"]
    assert usd(above["total"]) == 1000 * 200_001 * Decimal("0.000006")
    assert above["in_force"] == ["In force: override 1, prompt over 200,000 tokens."]


def test_it_is_priced_as_it_was(desk: Desk) -> None:
    then = facts(desk, house.HELD, "calls=1&prompt=1M&completion=0&at=2026-06-01")["calculated"]["receipt"]
    receipt = desk.catalog.cost(house.HELD, Usage(prompt=1_000_000), at="2026-06-01")
    assert usd(then["total"]) == receipt.total != Decimal("0.14")
    assert "not listed at 2025-01-01" in facts(desk, house.HELD, "at=2025-01-01")["calculated"]["why"]


def test_there_is_an_answer_at_once(desk: Desk) -> None:
    found = facts(desk, house.HELD)["calculated"]
    assert found["question"].given == {}
    rates = desk.catalog.model(house.HELD)["pricing"]
    once = 3000 * Decimal(rates["prompt"]) + 1000 * Decimal(rates["completion"])
    assert usd(found["receipt"]["total"]) == 1000 * once
    page = shown(desk, house.HELD)
    assert "1,000 calls of 3,000 + 1,000 tokens each" in words(page)
    for name, usual in (("calls", "1,000"), ("prompt", "3,000"), ("completion", "1,000"), ("cached", "0")):
        [field] = re.findall(rf'<input[^>]*id="cost-{name}"[^>]*>', page)
        assert f'placeholder="{usual}"' in field
        assert 'value=""' in field


#: Of which prompt and completion cost nothing, of which they do, and with text beside the images.
DRAWING = (
    "krea/krea-2-large", "sourceful/riverflow-v2.5-pro", "recraft/recraft-v4.1-vector", "openai/gpt-image-2",
    "google/gemini-2.5-flash-image", "google/gemini-3-pro-image", "black-forest-labs/flux.2-max",
)  # fmt: skip


@pytest.mark.parametrize("model_id", DRAWING)
def test_images_cost_what_choosing_says(desk: Desk, model_id: str) -> None:
    [choice] = desk.catalog.select({"models": [model_id], "outputs": ["image"]}).choices
    assert choice.expected_cost
    found = facts(desk, model_id, "calls=1")["calculated"]["receipt"]
    assert usd({it[0]: it[2] for it in found["bounds"]["sums"]}["Expected"]) == choice.expected_cost
    assert any(it["unit"] == "image_output" and it["quantity"] == "1,290" for it in found["lines"])
    million = facts(desk, model_id, "calls=1000000")["calculated"]["receipt"]
    assert usd(million["total"]) == usd(found["total"]) * 1_000_000 > 0
    assert "image out $" in facts(desk, model_id)["headline"]
    # of what somebody writes, all that is answered is of images, unless they say otherwise
    given = facts(desk, model_id, "calls=1&prompt=100&completion=5000")["calculated"]["receipt"]
    usage = Usage(100, 5000, image_output=5000)
    assert usd(given["total"]) == desk.catalog.cost(model_id, usage, at=desk.now).total
    part_of = facts(desk, model_id, "calls=1&prompt=100&completion=5000&image_output=1000")["calculated"]["receipt"]
    usage = Usage(100, 5000, image_output=1000)
    assert usd(part_of["total"]) == desk.catalog.cost(model_id, usage, at=desk.now).total


def test_what_costs_nothing_says_what_is_missing(desk: Desk) -> None:
    page = shown(desk, "krea/krea-2-large", "calls=1000000&image_output=0")
    assert part(page, "total").startswith("$0.00")
    assert "this usage has nothing of what is charged: image tokens in, image out" in part(page, "missing")
    assert 'id="missing"' not in shown(desk, "poolside/laguna-s-2.1:free")
    assert "Image tokens out are a part of the completion: 9 of 5 cannot be." in shown(
        desk, "krea/krea-2-large", "completion=5&image_output=9"
    )


def test_no_receipt_of_nothing_is_silent(desk: Desk) -> None:
    for entry in desk.view.entries:
        told = desk.catalog.model(entry.id)
        if told["pricing_kind"] == "fixed" and entry.is_active:
            question = model_cost.read(_query(), told)
            receipt = model_cost.answer(desk.catalog, told, question, desk.now)["receipt"]
            assert receipt is None or usd(receipt["total"]) or receipt["missing"], entry.id


def test_what_counts_no_tokens_counts_units(desk: Desk) -> None:
    found = [it for it in desk.view.entries if it.row["output_modalities"] in (["speech"], ["transcription"])]
    for entry in found[:4]:
        page = shown(desk, entry.id)
        told = words(page.partition('id="cost"')[2].partition('id="request"')[0])
        assert "Units in a call" in told
        if 'id="lines"' in page:
            assert "OpenRouter does not say what this model counts" in told
            assert "1,000 calls of 3,000 + 1,000 units each" in told
            assert "tokens each" not in told


def test_the_comparison_is_of_the_same_calls(desk: Desk) -> None:
    page = shown(desk, house.HELD, "calls=7&prompt=5&cached=1")
    assert f'/compare?model={quote(house.HELD, safe="")}&amp;calls=7&amp;prompt=5"' in page
    assert '#cost" data-live' in page


def test_a_description_has_no_markup() -> None:
    text = "As [GPT-4 Turbo](/models/openai/gpt-4-turbo), **faster** ([docs](https://a.b/c_(d))) and a[0](x y)."
    assert model._description(text) == ("As GPT-4 Turbo, faster (docs) and a[0](x y).", "")


def test_why_a_model_is_near_is_one_line() -> None:
    reasons = [
        "family 1.00: the same family, newer", "capability 0.90: it lacks json_mode, structured_outputs",
        "price 0.80: 1.20 × that of a/b", "quality 0.500: nobody measured it", "$0.02316 for 3,000 + 1,000 tokens",
        "its prompt price is held: OpenRouter now serves another, unconfirmed",
    ]  # fmt: skip
    assert model_market.reason(reasons) == (
        "the same family, newer · it lacks JSON mode, JSON schema · nobody measured it · "
        "its prompt price is held: OpenRouter now serves another, unconfirmed"
    )


@pytest.mark.parametrize(
    ("status", "word"), [(None, None), (0, None), (-2, "degraded"), (-5, "failing"), (-1, "in outage")]
)
def test_a_status_is_told_in_words(status: int | None, word: str | None) -> None:
    told = model_market._trouble(status)
    assert told is None or told[1].endswith(f"status is {status}")
    assert (told and told[0]) == word


@pytest.mark.parametrize(
    ("query", "field", "why"),
    [
        ("prompt=ten", "prompt", "Prompt tokens: write a whole number such as 12000, 12,000 or 12k; not 'ten'."),
        ("prompt=1.5", "prompt", "not '1.5'"),
        ("prompt=-1", "prompt", "not '-1'"),
        ("completion=1e9", "completion", "not '1e9'"),
        ("calls=0", "calls", "Calls: at least one."),
        ("prompt=10&cached=11", "cached", "Cached tokens are a part of the prompt: 11 of 10 cannot be."),
        ("calls=1000000000&prompt=1000000000", "prompt", "more than 999,999,999,999,999 in all"),
        ("prompt=1000000000000000", "prompt", "more than 999,999,999,999,999 in all"),
        ("at=2027-01-01", "at", "in the future"),
        ("at=yesterday", "at", "is no instant"),
    ],
)
def test_what_cannot_be_calculated_is_said_beside_the_form(desk: Desk, query: str, field: str, why: str) -> None:
    page = shown(desk, house.HELD, query)
    assert why in part(page, "cost-problems")
    [found] = re.findall(rf'<input[^>]*id="cost-{field}"[^>]*>', page)
    assert 'aria-invalid="true"' in found
    given = dict(it.split("=") for it in query.split("&"))
    assert f'value="{given[field]}"' in found


@given(our.texts)
@fixtures
def test_whatever_is_written_there_is_a_page(small: Desk, text: str) -> None:
    for name in (*model_cost.COUNTS, "at"):
        found = facts(small, "acme/rising", f"{name}={quote(text)}")["calculated"]
        assert found["problems"] or found["why"] or found["receipt"]


# --- changes


def test_changes_in_words() -> None:
    entries: list[dict[str, Any]] = [
        {"what": "added", "field": None, "before": None, "after": "One"},
        {"what": "repriced", "field": "pricing.prompt", "before": "0.000002", "after": "0.000001"},
        {"what": "repriced", "field": "pricing.image", "before": None, "after": "0.01"},
        {"what": "repriced", "field": "pricing.overrides", "before": None, "after": [
            {"when": {"min_prompt_tokens": 200_000}, "rates": {"prompt": "0.000006"}}]},
        {"what": "changed", "field": "supported_parameters", "before": ["a", "b"], "after": ["b", "c"]},
        {"what": "changed", "field": "context_length", "before": None, "after": 1000},
        {"what": "changed", "field": "reasoning", "before": None, "after": {"mandatory": True}},
        {"what": "changed", "field": "description", "before": "x", "after": "y"},
        {"what": "deactivated", "field": "is_listed", "before": True, "after": False},
    ]  # fmt: skip
    [(day, lines)], rest = model_history.changes([it | {"at": "2026-08-01T10:00:00Z"} for it in entries], ["text"])
    assert (day, rest) == ("2026-08-01", [])
    told = [" ".join(filter(None, (it["label"], it["before"], it["after"], it["text"]))) for it in lines]
    assert told[::-1] == [
        "Added as One.", "Prompt $2.00 / M $1.00 / M", "Image in not listed $0.01 each",
        "Conditional prices above 200,000 prompt tokens prompt $6.00 / M", "Parameters +c, −a",
        "Context unknown 1,000 tokens", "Reasoning mandatory unknown → yes", "Description rewritten",
        "No longer listed by OpenRouter.",
    ]  # fmt: skip


def test_a_held_rate_does_not_end_what_is_believed() -> None:
    def row(begin: str, end: str | None, *, is_held: bool = False, unit: str = "prompt") -> dict[str, Any]:
        return {"unit": unit, "position": 0, "condition": None, "from": begin, "to": end, "is_held": is_held}

    assert model_history.since([
        row("1", "2"), row("2", "3"), row("3", "4", is_held=True), row("4", None, is_held=True),
        row("1", "2", unit="image"), row("5", None, unit="completion"),
    ]) == {"prompt": "2", "completion": "5"}  # fmt: skip


# --- in a browser


@pytest.mark.browser
def test_the_calculator_answers_as_one_writes(visit: Visitor, served: Served) -> None:
    page = visit(f"/models/{house.HELD}")
    page.evaluate("window.stays = true")
    page.fill("#cost-calls", "1000000")
    page.fill("#cost-prompt", "2000")
    page.locator("#total", has_text="$560.00").wait_for()
    assert page.evaluate("window.stays")
    assert "calls=1000000" in page.url
    assert page.input_value("#cost-prompt") == "2000"
    page.fill("#cost-prompt", "many")
    page.locator("#cost-problems").wait_for()
    assert page.input_value("#cost-prompt") == "many"
    page.reload()
    assert "not 'many'" in page.inner_text("#cost-problems")


@pytest.mark.browser
def test_it_draws_its_charts(visit: Visitor) -> None:
    page = visit(f"/models/{house.HELD}")
    for name in ("price-chart", "uptime-chart", "rank-chart"):
        page.locator(f"#{name}").scroll_into_view_if_needed()
        page.locator(f"#{name}[data-state=ready]").wait_for()
