"""What a provider charged over time, laid over what was listed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from llmhive.catalog.price import Step
from llmhive.catalog.pricing import Pricing
from llmhive.catalog.provided import at_provider
from tests.catalog import strategies as our

DAY = datetime(2026, 6, 1, tzinfo=UTC)


def at(hour: int | None) -> datetime | None:
    return None if hour is None else DAY + timedelta(hours=hour)


def step(begin: int, end: int | None, rate: str, tag: str | None = None) -> Step:
    pricing = Pricing.of({"prompt": Decimal(rate), "completion": Decimal(rate)})
    begins = at(begin)
    assert begins is not None
    if tag is None:
        return Step(begins, at(end), pricing, None, "catalog", "a/b")
    return Step(begins, at(end), pricing, None, "endpoint", "a/b", tag=tag, provider="Acme", key=tag)


def told(steps: list[Step]) -> list[tuple[float, float | None, str, bool]]:
    """Begin, end in hours, where from, and whether it is doubted."""

    def hours(it: datetime | None) -> float | None:
        return None if it is None else (it - DAY).total_seconds() / 3600

    return [(hours(it.begin) or 0, hours(it.end), it.tag or it.source, bool(it.incomplete)) for it in steps]


LISTED = [step(0, 10, "1"), step(12, None, "2")]


def test_where_the_endpoint_is_known_its_price_is_used_and_said_elsewhere() -> None:
    found = at_provider(LISTED, {"acme": [step(4, 14, "3", "acme")]}, "Acme", None)
    assert told(found) == [(0, 4, "catalog", True), (4, 14, "acme", False), (14, None, "catalog", True)]
    assert found[0].incomplete == ("nothing is known of what Acme charged then: the listed price is used",)
    assert found[0].provider == "Acme"


def test_of_several_the_one_with_the_listed_price_is_used() -> None:
    dear, same = step(0, None, "9", "acme/fp8"), step(0, None, "1", "acme/int4")
    found = at_provider([step(0, None, "1")], {"acme/fp8": [dear], "acme/int4": [same]}, "Acme", None)
    assert told(found) == [(0, None, "acme/int4", True)]
    assert "2 endpoints" in found[0].incomplete[0]
    both_same = at_provider([step(0, None, "1")], {"acme/a": [same], "acme/b": [same]}, "Acme", None)
    assert told(both_same) == [(0, None, "acme/int4", False)]


def test_of_a_tier_whose_endpoints_are_not_known_it_says_so() -> None:
    (unknown,) = at_provider(LISTED[1:], {}, "Acme", "priority")
    assert unknown.source == "catalog"
    assert "Acme (priority tier)" in unknown.incomplete[0]


def test_nobody_is_called_none() -> None:
    for provider, tier, whom in (
        ("Acme", None, "Acme"), (None, "flex", "the flex tier"), ("", None, "the provider without a name"),
        ("", "flex", "the flex tier"),
    ):  # fmt: skip
        (unknown,) = at_provider(LISTED[1:], {}, provider, tier)
        assert unknown.incomplete == (f"nothing is known of what {whom} charged then: the listed price is used",)


spans = st.lists(st.integers(0, 20), min_size=2, max_size=8, unique=True).map(sorted)


@our.laws
@given(spans, spans, st.integers(0, 20))
def test_the_steps_do_not_overlap_and_each_instant_has_what_it_had(
    listed: list[int], offered: list[int], hour: int
) -> None:
    def steps(edges: list[int], rate: str, tag: str | None = None) -> list[Step]:
        return [step(edges[i], edges[i + 1], rate, tag) for i in range(0, len(edges) - 1, 2)]

    ours, theirs = steps(listed, "1"), steps(offered, "2", "acme")
    found = at_provider(ours, {"acme": theirs}, "Acme", None)
    for before, after in pairwise(found):
        assert before.end is not None
        assert before.end <= after.begin
    instant = at(hour)
    assert instant is not None

    def holds(it: Step) -> bool:
        return it.begin <= instant and (it.end is None or instant < it.end)

    here = [it for it in found if holds(it)]
    if any(map(holds, theirs)):
        assert [it.source for it in here] == ["endpoint"]
    else:
        assert [it.source for it in here] == (["catalog"] if any(map(holds, ours)) else [])
