"""Measures: which counts of several, and which is preferred."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llmhive.catalog.benchmark import INSIDE, KEYED, Measure, by_source, is_keyed, once, preferred
from tests.catalog import strategies as our

measures = st.builds(
    Measure,
    source=st.sampled_from(["artificial-analysis", "models:artificial-analysis", "openrouter"]),
    slug=st.sampled_from(["a/one", "a/two"]),
    metric=st.sampled_from(["coding_index", "elo:models:website"]),
    value=st.integers(0, 2).map(Decimal),
    facts=st.dictionaries(st.sampled_from(["rank", "tasks"]), st.integers(0, 1), max_size=2),
    as_of=st.sampled_from([None, "2026-06-01", "2026-06-02"]),
)


def measure(value: str = "1", *, source: str = "design-arena", as_of: str | None = None, **facts: Any) -> Measure:
    return Measure(source, "a/one", "elo:models:website", Decimal(value), facts, as_of)


def test_a_later_date_alone_says_nothing_new() -> None:
    assert measure("1.50", as_of="2026-06-01").says(measure("1.5", as_of="2026-06-02"))
    assert not measure().says(measure("2"))
    assert not measure(rank=1).says(measure(rank=2))


def test_of_what_is_told_twice_the_highest_counts() -> None:
    low, high = measure("1200", rank=4), measure("1300", rank=1)
    assert once([low, high]) == ([high], ["a/one: design-arena tells elo:models:website twice; the highest counts"])
    assert once([high, measure("1300", rank=1, as_of="later")]) == ([high], [])


@our.laws
@given(st.lists(measures, max_size=12), st.integers(0, 99))
def test_the_order_does_not_matter(told: list[Measure], seed: int) -> None:
    best, doubts = once(told)
    shuffled = random.Random(seed).sample(told, len(told))
    again, same_doubts = once(shuffled)
    assert {it.key: (it.value, it.facts) for it in again} == {it.key: (it.value, it.facts) for it in best}
    assert same_doubts == doubts
    assert len(best) == len({it.key for it in told})
    for it in best:
        assert it.value == max(other.value for other in told if other.key == it.key)


@our.laws
@given(st.lists(measures, max_size=12).map(lambda told: once(told)[0]))
def test_a_keyed_source_is_preferred(told: list[Measure]) -> None:
    found = preferred(told)
    assert {(slug, metric) for slug, row in found.items() for metric in row} == {(it.slug, it.metric) for it in told}
    for slug, row in found.items():
        for metric, it in row.items():
            sources = {other.source for other in told if (other.slug, other.metric) == (slug, metric)}
            assert it.source in sources
            assert is_keyed(it.source) or not any(is_keyed(source) for source in sources)


@our.laws
@given(st.lists(measures, max_size=12))
def test_each_source_has_its_own(told: list[Measure]) -> None:
    found = by_source(told)
    assert all(it.source == source for source, those in found.items() for it in those)
    assert sum(map(len, found.values())) == len(told)


def test_what_is_inside_records_needs_no_key() -> None:
    assert all(is_keyed(source) and not is_keyed(INSIDE + source) for source in KEYED)
