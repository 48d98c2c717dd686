"""What a name means, and what is said of one that means nothing: compared with the rule in other words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.catalog.names import Named, Names
from tests.catalog import strategies as our

some, laws = st.sampled_from, our.laws


def named(model_id: str, slug: str | None = None, variant: str | None = None, *, is_active: bool = True) -> Named:
    return Named(model_id, slug, variant, is_active)


ids = some(
    ["a/one", "A/One", "a/ONE:free", "b/one", "b/two:free", "c/two:free", "d/e/one", "three", "a/x-2026", "x-2026",
     "a/straße", "a/STRASSE"]
)  # fmt: skip
tables = st.lists(
    st.builds(
        Named,
        ids,
        some([None, "", "a/one-2026", "A/ONE-2026", "b/one", "x-2026", "a/x-2026", "Straße"]),
        some([None, "free"]),
        st.booleans(),
    ),
    unique_by=lambda it: it.id,
)
names = ids | some(
    ["one", "ONE", "two:free", "a/one-2026", "e/one", "/one", "", "x-2026", "X-2026", "2026", "one:free", "STRASSE",
     "strasse"]
)  # fmt: skip


def meant(table: list[Named], name: str) -> str | None:
    """The rule, step by step."""
    if name in {it.id for it in table}:
        return name

    def is_called(text: str | None) -> bool:
        return bool(text) and str(text).casefold() == name.casefold()

    for called in (
        [it for it in table if is_called(it.id)],
        [it for it in table if is_called(it.canonical_slug)],
    ):
        # the active before the inactive, the base row before its variants, then by id
        called.sort(key=lambda it: it.id)
        called.sort(key=lambda it: it.variant is not None)
        called.sort(key=lambda it: not it.is_active)
        if called:
            return called[0].id
    bare = [it.id for it in table if "/" in it.id and is_called(it.id.split("/")[-1])]
    return bare[0] if len(bare) == 1 else None


@laws
@given(tables, names)
def test_a_name_means_what_the_rule_says(table: list[Named], name: str) -> None:
    assert Names(table).meant(name) == meant(table, name)


@laws
@given(tables, names | our.texts, st.randoms(use_true_random=False))
def test_the_order_of_the_models_does_not_matter(table: list[Named], name: str, dice: Any) -> None:
    one, two = Names(table), Names(dice.sample(table, len(table)))
    assert one.meant(name) == two.meant(name)
    assert one.why_missing(name) == two.why_missing(name)


TABLE = [
    named("acme/large", "acme/large-2026"), named("acme/large:free", "acme/large-2026", "free"),
    named("acme/small", is_active=False), named("zeta/small"), named("zeta/tiny-1"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("acme/large", "acme/large"), ("ACME/Large:FREE", "acme/large:free"), ("Acme/large-2026", "acme/large"),
        ("large", "acme/large"), ("tiny-1", "zeta/tiny-1"), ("small", None), ("tiny", None), ("", None),
    ],
)  # fmt: skip
def test_a_name_by_example(name: str, wanted: str | None) -> None:
    assert Names(TABLE).meant(name) == wanted


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("acme/larg", "Near names: acme/large, acme/large:free, acme/small (inactive)."),
        ("small", "Near names: zeta/small, acme/small (inactive)."),
        ("TINY", "Near names: zeta/tiny-1."),
        ("ny", "`llmhive models TEXT` searches."),
        ("nothing", "`llmhive models TEXT` searches."),
    ],
)
def test_what_is_said_of_a_name_that_means_nothing(name: str, wanted: str) -> None:
    assert Names(TABLE).why_missing(name) == f"No model {name!r} was ever seen. {wanted}"


def test_of_an_empty_catalog_it_is_said_that_it_is_empty() -> None:
    assert Names([]).meant("a/b") is None
    assert Names([]).why_missing("a/b") == "The catalog is empty. Run `llmhive sync` first."
