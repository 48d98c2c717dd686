"""The view that readers are answered from: compared with a choice that is written differently."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.catalog import document
from llmhive.catalog.index import Row
from llmhive.catalog.model import Model, Version
from llmhive.catalog.names import Named
from llmhive.catalog.query import SORTS, Query
from llmhive.catalog.view import Entry, View
from tests.catalog import strategies as our
from tests.catalog import test_names as naming
from tests.catalog import test_query as queries

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
some, laws = queries.some, our.laws
#: What rows have that queries do not look at.
REST: dict[str, Any] = {
    "description": "…", "tokenizer": None, "is_scheduled": False, "first_seen_at": AT, "last_seen_at": None,
    "deactivated_at": None, "flags": [], "held": None, "pricing": "{}",
}  # fmt: skip

tables = queries.rows.map(lambda found: [REST | it for it in found])


def view_of(table: Iterable[Row], **facts: Any) -> View:
    return View.of((Entry(row) for row in table), **{"catalog_version": 1, "as_of": AT} | facts)


def listed(table: Iterable[Row]) -> list[dict[str, Any]]:
    """The JSON of rows as the command writes it."""
    return [json.loads(msgspec.json.encode(document.listed(row, AT))) for row in table]


@laws
@given(queries.queries, tables)
def test_a_view_chooses_what_the_oracle_says(query: Query, table: list[Row]) -> None:
    found, total = view_of(table).choose(query)
    wanted, count = queries.chosen(query, table)
    assert ([json.loads(it) for it in found], total) == (listed(wanted), count)


@laws
@given(st.lists(queries.queries, max_size=4), tables)
def test_one_question_does_not_change_the_answer_to_the_next(asked: list[Query], table: list[Row]) -> None:
    view = view_of(table)
    for query in asked + asked:
        assert view.choose(query) == view_of(table).choose(query)


@laws
@given(tables, st.randoms(use_true_random=False))
def test_entries_are_by_id_whatever_order_they_came_in(table: list[Row], dice: Any) -> None:
    view = view_of(dice.sample(table, len(table)))
    assert [it.id for it in view.entries] == sorted(it["id"] for it in table)
    assert view.by_id == {it.id: it for it in view.entries}


@laws
@given(naming.tables, naming.names)
def test_a_view_finds_what_a_name_means(table: list[Named], name: str) -> None:
    found = view_of(REST | queries.row(it.id, **it._asdict()) for it in table).find(name)
    assert (None if found is None else found.id) == naming.meant(table, name)


@pytest.mark.parametrize("is_active", [True, False])
@pytest.mark.parametrize("as_of", [AT, None])
def test_all_of_a_model_is_its_document(is_active: bool, as_of: datetime | None) -> None:
    content = Version(Model("a/one", name="One"))
    parts = dict(zip(("document", "text"), content.apart(), strict=True))
    it = REST | queries.row("a/one", is_active=is_active, version=content.digest, raw='{"id": "a/one"}', **parts)
    view = view_of([it], as_of=as_of)
    assert msgspec.json.decode(b"{" + view.whole(view.entries[0])) == msgspec.json.decode(
        msgspec.json.encode(document.whole(it, as_of, content.model))
    )


# --- sharing


@laws
@given(tables)
def test_what_did_not_change_is_shared_by_views(table: list[Row]) -> None:
    old = view_of(table)
    old.warm()
    new = View.of(old.entries, catalog_version=2, as_of=AT.replace(hour=13))
    for entry in new.entries:
        assert entry is old.by_id[entry.id]
        assert entry.listed is old.by_id[entry.id].listed
    query = Query(active=None)
    for before, after in zip(old.choose(query)[0], new.choose(query)[0], strict=True):
        one, two = json.loads(before), json.loads(after)
        moved = {key for key in one if one[key] != two[key]}
        assert moved == ({"last_seen_at"} if one["is_active"] else set())
        assert not one["is_active"] or two["last_seen_at"] == "2026-06-01T13:00:00Z"


def test_an_empty_view_has_nothing() -> None:
    view = View()
    assert view.choose(Query()) == ([], 0)
    assert all(view.choose(Query(sort=sort, active=None)) == ([], 0) for sort in SORTS)
    assert (view.find("a/b"), view.find(""), view.families, view.catalog_version) == (None, None, [], 0)


# --- families


@laws
@given(tables)
def test_families_hold_every_model_once_the_newest_first(table: list[Row]) -> None:
    found = view_of(table).families
    assert [it["family"] for it in found] == sorted({row["family"] for row in table})
    by_id = {row["id"]: row for row in table}
    assert sorted(it for family in found for it in family["models"]) == sorted(by_id)
    for family in found:
        members = [by_id[it] for it in family["models"]]
        assert {it["family"] for it in members} == {family["family"]}
        assert family["active"] == len([it for it in members if it["is_active"]])
        assert family["newest"] == members[0]["id"]
        known = [it["created_at"] for it in members if it["created_at"] is not None]
        assert known == sorted(known, reverse=True)
        assert [it["created_at"] for it in members[: len(known)]] == known


def test_a_family_tells_its_generations_and_sizes_the_newest_first() -> None:
    ages = {
        "openai/gpt-4o": 2024, "openai/gpt-4o-mini": 2025, "openai/gpt-5-mini": 2026, "openai/gpt-5-nano:free": 2023,
        "acme/atlas": 2020, "openai/gpt-3.5-turbo": None,
    }  # fmt: skip
    table = [
        REST | queries.row(
            model_id, family=f"{model_id.partition('/')[0]}/x", author=model_id.partition("/")[0],
            created_at=None if year is None else AT.replace(year=year),
        )
        for model_id, year in ages.items()
    ]  # fmt: skip
    acme, openai = view_of(table).families
    assert (acme["generations"], acme["sizes"]) == ([], [])
    assert openai["generations"] == ["5", "4o", "3.5"]
    assert openai["sizes"][:2] == ["mini", "nano"]
