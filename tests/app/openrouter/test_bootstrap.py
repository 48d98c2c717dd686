"""The shipped table of facts: what goes in comes out, and what is shipped can be read."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmhive.app.openrouter.bootstrap import load, make
from llmhive.catalog.model import Model
from llmhive.catalog.pricing import Override, Pricing
from tests.catalog import strategies as our

laws = settings(our.laws, max_examples=60)
AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
#: what a table of facts does not hold
LEFT_OUT: dict[str, Any] = {
    "description": None, "is_moderated": None, "default_parameters": (), "per_request_limits": (),
    "supported_voices": (), "instruct_type": None, "hugging_face_id": None, "knowledge_cutoff": None,
    "reasoning": None, "alias_target": None,
}  # fmt: skip
catalogs = st.lists(our.models, max_size=4, unique_by=lambda model: model.id)


@laws
@given(catalogs, our.instants)
def test_facts_that_are_made_are_loaded(models: list[Model], at: datetime) -> None:
    feed, as_of = load(make(models, at))
    assert as_of == at
    assert feed.unreadable == ()
    found = {record.id: record.model for record in feed.records}
    assert found == {model.id: replace(model, **LEFT_OUT) for model in models}


@laws
@given(catalogs, st.randoms(use_true_random=False))
def test_the_same_models_give_the_same_bytes(models: list[Model], dice: Any) -> None:
    shuffled = list(models)
    dice.shuffle(shuffled)
    assert make(shuffled, AT) == make(models, AT)


@laws
@given(catalogs)
def test_what_is_loaded_makes_the_same_table(models: list[Model]) -> None:
    table = make(models, AT)
    feed, as_of = load(table)
    assert make([record.model for record in feed.records], as_of) == table


def test_a_table_is_a_line_a_model() -> None:
    models = [
        Model("b/two", supported_parameters=("seed", "tools")),
        Model(
            "a/one",
            canonical_slug="a/one-1",
            name="One",
            created_at=AT,
            context_length=10,
            top_context_length=9,
            max_completion_tokens=8,
            input_modalities=("image", "text"),
            output_modalities=("text",),
            tokenizer="GPT",
            supported_parameters=("tools",),
            expiration_date=AT.date(),
            pricing=Pricing.of(
                {"prompt": Decimal("1E-7"), "completion": Decimal(0)},
                [Override((("utc_days", ("monday",)), ("utc_end", 5)), (("prompt", Decimal("0.50")),))],
            ),
        ),
    ]
    head, one, two, end = make(models, AT).decode().splitlines()
    assert head == (
        '{"as_of":"2026-05-01T12:00:00Z","columns":["id","canonical_slug","name","created","context_length",'
        '"top_context_length","max_completion_tokens","inputs","outputs","tokenizer","parameters","expiration_date",'
        '"pricing"],"parameters":["seed","tools"],"rows":['
    )
    assert one == (
        '["a/one","a/one-1","One",1777636800,10,9,8,"image text","text","GPT",[1],"2026-05-01",'
        '{"completion":"0","prompt":"0.0000001","overrides":[{"utc_days":["monday"],"utc_end":5,"prompt":"0.5"}]}],'
    )
    assert two == '["b/two",null,null,null,null,null,null,"","",null,[0,1],null,{}]'
    assert end == "]}"


def test_a_fact_is_no_record_that_was_served() -> None:
    feed, _ = load(make([Model("a/one")], AT))
    assert (feed.scope, feed.rows, feed.total_count) == ("all", 1, None)


def test_a_row_that_does_not_fit_its_columns_is_an_error() -> None:
    table = json.loads(make([Model("a/one")], AT))
    table["rows"][0].pop()
    with pytest.raises(ValueError, match="shorter"):
        load(json.dumps(table).encode())


def test_a_table_without_columns_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError):
        load(b'{"as_of":"2026-05-01T12:00:00Z"}')


def test_what_is_shipped_is_understood_whole() -> None:
    feed, as_of = load()
    assert feed.unreadable == ()
    assert [record.flags for record in feed.records if record.flags] == []
    assert feed.rows == len(feed.records) > 300
    assert as_of.tzinfo is not None
    kinds = {record.model.pricing_kind for record in feed.records}
    assert kinds == {"fixed", "free", "dynamic", "unknown"}


def test_what_is_shipped_is_what_make_writes() -> None:
    from importlib import resources

    shipped = resources.files("llmhive.app.openrouter").joinpath("bootstrap.json").read_bytes()
    feed, as_of = load()
    assert make([record.model for record in feed.records], as_of) == shipped
