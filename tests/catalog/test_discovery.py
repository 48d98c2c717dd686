"""What is told of a new model, what it is compared with, and that a model is new once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.catalog.alert import Event, events_of
from llmhive.catalog.diff import Belief, Plan, diff
from llmhive.catalog.discovery import CHOSEN, percent
from llmhive.catalog.feed import Feed, Record
from llmhive.catalog.message import LONGEST_LINE, Alert, Message, line_of, payload_of
from llmhive.catalog.model import Model, Version
from llmhive.catalog.pricing import Override, Pricing, plain
from tests.catalog import strategies as our

START = datetime(2026, 6, 1, 12, tzinfo=UTC)


def priced(prompt: str, completion: str, **units: str) -> Pricing:
    rates = {"prompt": prompt, "completion": completion, **units}
    return Pricing.of({unit: Decimal(rate) for unit, rate in rates.items()})


def opus(version: str, age: int = 0, pricing: Pricing | None = None, **facts: Any) -> Model:
    return Model(
        f"anthropic/claude-opus-{version}",
        name=f"Anthropic: Claude Opus {version}",
        created_at=START - timedelta(days=age),
        pricing=pricing or priced("0.000005", "0.000025"),
        output_modalities=("text",),
        **facts,
    )


OPUS = opus(
    "5",
    context_length=1_000_000,
    max_completion_tokens=128_000,
    input_modalities=("file", "image", "text"),
    supported_parameters=("reasoning", "structured_outputs", "temperature", "tools"),
)


def beliefs(*models: Model, gone: Sequence[str] = ()) -> dict[str, Belief]:
    return {it.id: Belief(Version(it), it.id not in gone, b"{}") for it in models}


def feed_of(*models: Model) -> Feed:
    return Feed("all", tuple(Record(Version(it), b"{}") for it in models))


def news(before: Sequence[Model], after: Sequence[Model], gone: Sequence[str] = ()) -> dict[str, Event]:
    """The new models of a plan, where some of those before are gone already."""
    believed = beliefs(*before, gone=gone)
    found = events_of(diff(believed, feed_of(*after)), believed, price_percent=10)
    return {str(event.model_id): event for event in found if event.kind == "new"}


def against(new: Model, *others: Model) -> dict[str, Any] | None:
    """What a new model's price is compared with, if the others were known before."""
    found: dict[str, Any] | None = news(others, (new, *others))[new.id].facts["against_family"]
    return found


def rival(new: Model, *others: Model) -> str | None:
    found = against(new, *others)
    return None if found is None else found["id"]


# --- the facts


def test_the_facts_of_a_new_model() -> None:
    four = opus("4.8", 30)
    facts = news([four], [four, OPUS])[OPUS.id].facts
    assert facts == {
        "name": "Anthropic: Claude Opus 5", "author": "anthropic", "family": "anthropic/claude",
        "generation": "5", "size": "opus", "variant": None, "variant_of": None, "is_alias": False, "alias_of": None,
        "pricing_kind": "fixed", "prompt": "0.000005", "completion": "0.000025", "per_token": True,
        "against_family": {
            "id": "anthropic/claude-opus-4.8", "relation": "family", "prompt": "0.000005", "completion": "0.000025",
            "prompt_percent": 0.0, "completion_percent": 0.0,
        },
        "context_length": 1_000_000, "max_completion_tokens": 128_000,
        "input_modalities": ["file", "image", "text"], "output_modalities": ["text"],
        "capabilities": ["tools", "structured_outputs", "reasoning", "vision"], "expiration_date": None,
        "link": "https://openrouter.ai/anthropic/claude-opus-5",
    }  # fmt: skip


def test_only_what_a_model_surely_can_is_told() -> None:
    [event] = news([], [replace(OPUS, supported_parameters=(), input_modalities=())]).values()
    assert event.facts["capabilities"] == []
    paid = replace(OPUS, pricing=priced("0.000005", "0.000025", web_search="0.01", input_cache_read="0.0000005"))
    [event] = news([], [paid]).values()
    assert event.facts["capabilities"] == list(CHOSEN)


@pytest.mark.parametrize(
    ("model_id", "link"),
    [
        ("acme/one:free", "https://openrouter.ai/acme/one:free"),
        ("~acme/one-latest", "https://openrouter.ai/~acme/one-latest"),
        ("acme/ö?x=<1>#", "https://openrouter.ai/acme/%C3%B6%3Fx%3D%3C1%3E%23"),
    ],
)
def test_every_model_has_a_link(model_id: str, link: str) -> None:
    assert news([], [replace(OPUS, id=model_id)])[model_id].facts["link"] == link


# --- what it is compared with


def test_the_newest_of_the_family() -> None:
    assert rival(OPUS, opus("4.5", 90), opus("4.8", 30), opus("4.6", 60)) == "anthropic/claude-opus-4.8"
    assert rival(OPUS, replace(opus("4.5"), created_at=None), opus("4.1", 300)) == "anthropic/claude-opus-4.1"
    assert against(OPUS, *(replace(opus("4.8"), id=it) for it in ("acme/claude-opus-4.8", "anthropic/other"))) is None


def test_of_the_same_size_if_there_is_one() -> None:
    big, small = replace(opus("1", 1), id="openai/gpt-5"), replace(opus("1", 9), id="openai/gpt-5-mini")
    new = replace(OPUS, id="openai/gpt-5.1-mini")
    assert rival(new, big, small) == "openai/gpt-5-mini"
    assert rival(new, big) == "openai/gpt-5"


@pytest.mark.parametrize(
    "other",
    [
        replace(opus("4.8"), id="~anthropic/claude-opus-latest"),
        replace(opus("4.8"), id="anthropic/claude-opus-4.8:thinking"),
        replace(opus("4.8"), id="anthropic/claude-opus-5:batch"),
        opus("4.8", pricing=priced("0", "0")),
        opus("4.8", pricing=priced("-1", "-1")),
        opus("4.8", pricing=Pricing()),
        opus("4.8", pricing=priced("0", "0", request="0.1")),
        opus("4.8", pricing=Pricing((), (Override((), (("prompt", Decimal(1)), ("completion", Decimal(1)))),))),
        replace(opus("4.8"), output_modalities=("image", "text")),
        replace(opus("4.8"), output_modalities=("speech",)),
    ],
)
def test_what_has_no_price_of_its_kind_is_not_compared(other: Model) -> None:
    assert against(OPUS, other) is None
    assert rival(OPUS, other, opus("4.1", 400)) == "anthropic/claude-opus-4.1"


def test_what_is_gone_or_as_new_is_not_compared() -> None:
    four, five = opus("4.8", 30), opus("5.1")
    assert news([four], [OPUS, five])[OPUS.id].facts["against_family"] is None
    assert news([four], [OPUS], gone=[four.id])[OPUS.id].facts["against_family"] is None
    # but one that is back is
    assert news([four], [OPUS, four], gone=[four.id])[OPUS.id].facts["against_family"]["id"] == four.id


def test_the_price_that_the_same_feed_brings_is_the_one_compared() -> None:
    four, now = opus("4.8", 30), opus("4.8", 30, priced("0.000004", "0.00002"))
    found = news([four], [OPUS, now])[OPUS.id].facts["against_family"]
    assert (found["prompt"], found["prompt_percent"], found["completion_percent"]) == ("0.000004", 25.0, 25.0)


@pytest.mark.parametrize("kind", ["speech", "image"])
def test_what_is_paid_in_other_units_is_not_compared(kind: str) -> None:
    assert against(replace(OPUS, output_modalities=(kind,)), opus("4.8", 30)) is None


@pytest.mark.parametrize(
    ("prompt", "completion", "percents"),
    [
        ("0.000006", "0.00002", (20.0, -20.0)), ("0", "0", (-100.0, -100.0)), ("-1", "-1", (None, None)),
        ("0.000005000001", "0.000025", (0.0, 0.0)),
    ],
)  # fmt: skip
def test_the_difference_in_percent(prompt: str, completion: str, percents: tuple[Any, Any]) -> None:
    found = against(replace(OPUS, pricing=priced(prompt, completion)), opus("4.8", 30))
    assert found is not None
    assert (found["prompt_percent"], found["completion_percent"]) == percents


def test_against_nothing_only_nothing_can_be_said_to_be_the_same() -> None:
    embedding = opus("4.8", 30, priced("0.000001", "0"))
    found = against(replace(OPUS, pricing=priced("0.000002", "0")), embedding)
    assert found is not None
    assert (found["prompt_percent"], found["completion_percent"]) == (100.0, 0.0)
    found = against(replace(OPUS, pricing=priced("0.000002", "0.1")), embedding)
    assert found is not None
    assert found["completion_percent"] is None


@our.laws
@given(our.decimal_texts(signed=False).map(Decimal), our.decimal_texts(signed=False).map(Decimal))
def test_a_percentage_is_that_of_fractions(before: Decimal, after: Decimal) -> None:
    found = percent(before, after)
    if not before:
        assert found is None
    else:
        assert found is not None
        (n, d), (m, e) = after.as_integer_ratio(), before.as_integer_ratio()
        exact = 100 * (n * e - m * d) / (m * d)
        assert found == pytest.approx(exact, rel=1e-9, abs=0.0051)


# --- variants and aliases


@pytest.mark.parametrize("is_new", [True, False])
def test_a_variant_is_compared_with_its_base(is_new: bool) -> None:
    base, variant = (
        opus("5", 1),
        replace(OPUS, id="anthropic/claude-opus-5:batch", pricing=priced("0.000002", "0.00001")),
    )
    others = [opus("4.8", 0)]
    facts = news(others if is_new else [*others, base], [*others, base, variant])[variant.id].facts
    assert (facts["variant"], facts["variant_of"]) == ("batch", "anthropic/claude-opus-5")
    assert facts["against_family"] == {
        "id": "anthropic/claude-opus-5", "relation": "base", "prompt": "0.000005", "completion": "0.000025",
        "prompt_percent": -60.0, "completion_percent": -60.0,
    }  # fmt: skip


def test_a_variant_without_a_base_is_compared_with_its_family() -> None:
    variant = replace(OPUS, id="anthropic/claude-opus-5:free", pricing=priced("0", "0"))
    facts = news([opus("4.8", 30)], [opus("4.8", 30), variant])[variant.id].facts
    assert (facts["variant"], facts["variant_of"], facts["against_family"]["relation"]) == ("free", None, "family")
    # one that is gone is still what it is a variant of
    facts = news([opus("5")], [variant], gone=[opus("5").id])[variant.id].facts
    assert (facts["variant_of"], facts["against_family"]) == ("anthropic/claude-opus-5", None)


def test_an_alias_is_compared_with_nothing() -> None:
    alias = replace(OPUS, id="~anthropic/claude-opus-latest", alias_target="anthropic/claude-opus-5")
    facts = news([opus("4.8")], [opus("4.8"), alias])[alias.id].facts
    assert (facts["is_alias"], facts["alias_of"], facts["against_family"]) == (True, "anthropic/claude-opus-5", None)


# --- new once


def walk(feeds: Sequence[Feed]) -> list[list[Event]]:
    """The events of feeds that follow one another."""
    believed: dict[str, Belief] = {}
    found = []
    for feed in feeds:
        plan = diff(believed, feed)
        found.append(events_of(plan, believed, price_percent=10))
        believed = applied(plan, believed)
    return found


def applied(plan: Plan, believed: dict[str, Belief]) -> dict[str, Belief]:
    after = dict(believed) | {it.id: Belief(it.version, True, it.raw) for it in plan.feed.records}
    return after | {key: replace(after[key], is_active=False) for key in plan.deactivated}


@our.laws
@given(st.lists(our.feeds(), max_size=6))
def test_a_model_is_new_once(feeds: list[Feed]) -> None:
    told = [event.model_id for events in walk(feeds) for event in events if event.kind == "new"]
    assert sorted(map(str, told)) == sorted({record.id for feed in feeds for record in feed.records})


@our.laws
@given(our.models, st.lists(our.models, max_size=4))
def test_any_model_can_be_told(model: Model, others: list[Model]) -> None:
    others = list({it.id: it for it in others if it.id != model.id}.values())
    for event in news(others, [model, *others]).values():
        line = line_of(event)
        assert len(line) <= LONGEST_LINE
        assert line.splitlines() == [line]
        assert json.loads(json.dumps(event.facts)) == event.facts
        assert event.facts["link"] in line


def renamed(before: Sequence[Model], after: Sequence[Model]) -> list[tuple[str, str, Any]]:
    believed = beliefs(*before)
    found = events_of(diff(believed, feed_of(*after)), believed, price_percent=10)
    return [(it.kind, str(it.model_id), it.facts.get("renamed_to")) for it in found]


ONE = replace(OPUS, id="acme/one", canonical_slug="acme/one-0115")


def test_another_id_for_the_same_model_is_not_new() -> None:
    uno = replace(ONE, id="acme/uno", name="Acme: Uno")
    assert renamed([ONE], [uno]) == [("removed", "acme/one", "acme/uno")]
    assert renamed([ONE], [ONE, uno]) == []
    free, livre = replace(ONE, id="acme/one:free"), replace(ONE, id="acme/uno:free")
    assert sorted(renamed([ONE, free], [uno, livre])) == [
        ("removed", "acme/one", "acme/uno"), ("removed", "acme/one:free", "acme/uno:free"),
    ]  # fmt: skip
    # of two ids, the one that goes
    assert renamed([ONE, uno], [ONE, replace(ONE, id="acme/eins")]) == [("removed", "acme/uno", "acme/eins")]
    assert renamed([ONE, uno], [uno, replace(ONE, id="acme/eins")]) == [("removed", "acme/one", "acme/eins")]


@pytest.mark.parametrize(
    "other",
    [
        replace(ONE, id="acme/one:free"),
        replace(ONE, id="acme/uno", canonical_slug="acme/uno-0115"),
        replace(ONE, id="acme/uno", canonical_slug=None),
        replace(ONE, id="~acme/one-latest"),
    ],
)
def test_what_only_looks_alike_is_new(other: Model) -> None:
    assert renamed([ONE], [other]) == [("new", other.id, None), ("removed", "acme/one", None)]
    assert renamed([replace(ONE, canonical_slug=None)], [replace(ONE, id="acme/uno", canonical_slug=None)]) == [
        ("new", "acme/uno", None), ("removed", "acme/one", None),
    ]  # fmt: skip


def test_a_name_that_changes_and_an_alias_that_moves_are_not_new() -> None:
    assert renamed([ONE], [replace(ONE, name="Other", canonical_slug="acme/one-0601")]) == []
    alias = replace(ONE, id="~acme/latest", alias_target="acme/one")
    assert renamed([alias], [replace(alias, alias_target="acme/two")]) == []


# --- in words


def told(new: Model, *others: Model) -> str:
    return line_of(news(others, (new, *others))[new.id])


TAIL = "1M context; takes text, image, file; tools, structured outputs, reasoning; "


def test_a_line_says_what_a_person_wants_to_know() -> None:
    assert told(OPUS, opus("4.8", 30)) == (
        "anthropic/claude-opus-5 (Anthropic: Claude Opus 5): by anthropic; prompt $5.00, completion $25.00 per million "
        f"tokens, the same as anthropic/claude-opus-4.8; {TAIL}https://openrouter.ai/anthropic/claude-opus-5"
    )


@pytest.mark.parametrize(
    ("prompt", "completion", "words"),
    [
        ("0.000006", "0.00003", "prompt $6.00, completion $30.00 per million tokens, 20 % more than OTHER"),
        ("0.0000025", "0.0000125", "prompt $2.50, completion $12.50 per million tokens, 50 % less than OTHER"),
        ("0.000006", "0.000025",
         "prompt $6.00, completion $25.00 per million tokens, against OTHER prompt +20 %, completion the same"),
        ("0.000006", "0", "prompt $6.00, completion $0.00 per million tokens, against OTHER prompt +20 %, "
                          "completion -100 %"),
        ("0", "0", "its price is unknown"),
        ("-1", "-1", "its price varies"),
    ],
)  # fmt: skip
def test_prices_in_words(prompt: str, completion: str, words: str) -> None:
    new = replace(OPUS, pricing=priced(prompt, completion), output_modalities=("text", "embeddings"))
    assert f"; {words.replace('OTHER', 'anthropic/claude-opus-4.8')}; " in told(new, opus("4.8", 30))


def test_variants_and_aliases_in_words() -> None:
    base = opus("5", 1)
    free = replace(OPUS, id="anthropic/claude-opus-5:free", pricing=priced("0", "0"))
    assert (
        "by anthropic; a free variant of anthropic/claude-opus-5; free (its base: prompt $5.00, completion $25.00 per "
        "million tokens); 1M context"
    ) in told(free, base)
    assert "by anthropic; free (anthropic/claude-opus-4.8: prompt $5.00, completion" in told(free, opus("4.8", 30))
    extended = replace(OPUS, id="anthropic/claude-opus-5:extended")
    assert "an extended variant of anthropic/claude-opus-5; prompt $5.00" in told(extended, base)
    assert "per million tokens, the same as its base; " in told(extended, base)
    alias = replace(OPUS, id="~anthropic/claude-opus-latest", alias_target="anthropic/claude-opus-5")
    assert "by anthropic; an alias of anthropic/claude-opus-5; prompt" in told(alias)
    assert "by anthropic; an alias; prompt" in told(replace(alias, alias_target=None))


@pytest.mark.parametrize(
    ("count", "words"),
    [(1_000_000, "1M"), (1_048_576, "1.05M"), (131_072, "131k"), (999, "999"), (1000, "1k"), (999_999, "1M"),
     (999_499, "999k"), (2_000_000_000, "2,000M")],
)  # fmt: skip
def test_a_context_in_words(count: int, words: str) -> None:
    assert f"; {words} context; " in told(replace(OPUS, context_length=count))


def test_what_is_not_known_is_not_told() -> None:
    assert told(Model("one")) == "one: its price is unknown; https://openrouter.ai/one"
    assert "context" not in told(replace(OPUS, context_length=0))


def test_what_it_gives_and_when_it_goes() -> None:
    image = replace(OPUS, output_modalities=("image", "text"), expiration_date=date(2026, 12, 1))
    assert "; 1M context; goes after 2026-12-01; takes text, image, file; gives text, image; " in told(image)


def test_foreign_text_stays_in_its_place() -> None:
    strange = replace(
        OPUS, id="a" * 60 + "/" + "b" * 190, name="x\n\ty" * 99, input_modalities=("smell\nof", "text", *"abcdef"),
        alias_target="c" * 300,
    )  # fmt: skip
    line = told(strange)
    assert "\n" not in line
    assert len(line) <= LONGEST_LINE
    short = told(replace(OPUS, input_modalities=("smell\nof" + "!" * 99, "text", *"abcdef")))
    assert f"takes text, smell of{'!' * 21}…, a, b; tools" in short


def test_a_line_that_would_be_too_long_does_without_the_least_telling() -> None:
    line = told(replace(OPUS, id="anthropic/claude-opus-" + "x" * 55, name="n" * 119))
    assert len(line) <= LONGEST_LINE
    assert "tools" not in line
    assert "prompt $5.00" in line
    assert line.endswith(f"https://openrouter.ai/anthropic/claude-opus-{'x' * 55}")


def test_a_line_of_prices_beyond_all_measure_is_cut() -> None:
    tiny = opus("4.8", 30, priced(f"0.{'0' * 29}1", f"0.{'0' * 28}1"))
    other = replace(tiny, id="anthropic/claude-opus-4.8-" + "preview-" * 6)
    line = told(replace(OPUS, name="n" * 200, pricing=priced("9" * 20, "8" * 20)), other)
    assert len(line) == LONGEST_LINE
    assert line.endswith("…")


@pytest.mark.parametrize(
    ("before", "after", "words"), [("-1", "0.000001", "varies → $1.00"), ("0.000001", "-1", "$1.00 → varies")]
)
def test_a_price_that_begins_or_ends_to_vary_in_words(before: str, after: str, words: str) -> None:
    believed = beliefs(opus("5", pricing=priced(before, "0.1")))
    feed = feed_of(opus("5", pricing=priced(after, "0.1")))
    [event] = events_of(diff(believed, feed), believed, price_percent=10)
    assert line_of(event) == f"anthropic/claude-opus-5: prompt {words} per million tokens"


# --- alerts that an earlier version wrote


OLD = {
    "name": "Acme: One", "pricing_kind": "fixed", "prompt": "0.000001", "completion": "0.000002", "per_token": True,
    "context_length": 8192, "expiration_date": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Event("new", "acme/one", OLD),
         "acme/one (Acme: One): prompt $1.00, completion $2.00 per million tokens; 8.19k context"),
        (Event("new", "acme/one", OLD | {"pricing_kind": "free"}), "acme/one (Acme: One): free; 8.19k context"),
        (Event("new", "acme/one", OLD | {"prompt": None, "completion": None, "context_length": None}),
         "acme/one (Acme: One): priced by the hour"),
        (Event("removed", "acme/one", {"name": None}), "acme/one is listed no more, which a second sync confirmed"),
    ],
)  # fmt: skip
def test_what_an_earlier_version_wrote_is_still_told(event: Event, line: str) -> None:
    assert line_of(event) == line
    message = Message("m", 7, "regular", "completed", START, 12, (Alert("0", START, event),))
    assert [(it["text"], it["facts"]) for it in payload_of(message)["events"]] == [(line, event.facts)]


@our.laws
@given(our.models)
def test_prices_stay_decimal_strings(model: Model) -> None:
    facts = news([], [model])[model.id].facts
    for unit in ("prompt", "completion"):
        rate = model.pricing.rate(unit)
        assert facts[unit] == (None if rate is None else plain(rate))
