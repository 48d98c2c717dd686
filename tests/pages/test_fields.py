"""Facts and their changes in words: a price is told exactly, by how much it moved, and what is not known is no zero."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.app.pages import fields
from llmhive.app.pages.changes_told import change_of, judged
from llmhive.app.pages.fields import BAD, GOOD
from tests.catalog import strategies as our

ABOVE = {"when": {"min_prompt_tokens": 200_000}, "rates": {"prompt": "0.000004"}}


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("0.000002", "0.000001", (GOOD, "▼ 50 % cheaper")),
        ("0.000001", "0.0000015", (BAD, "▲ 50 % dearer")),
        ("0.000003", "0.000004", (BAD, "▲ 33.3 % dearer")),
        ("0.000001", "0.0000099", (BAD, "▲ 890 % dearer")),
        ("0.000001", "0.0001", (BAD, "▲ 100 × dearer")),
        ("0.000001", "0.0012345", (BAD, "▲ 1,234.5 × dearer")),
        ("0.000001", "0.0000010001", (BAD, "▲ <0.1 % dearer")),
        ("0.000001", "0", (GOOD, "▼ 100 % cheaper")),
        ("0", "0.000001", None),
        ("1", "1.0", None),
        (None, "1", None),
        ("1", None, None),
        ("-1", "1", None),
        ("1", "-1", None),
        ([1], "1", None),
        ("1e-29", "99999999999999999999", (BAD, "▲ >1,000,000,000 × dearer")),
    ],
)
def test_how_far_a_price_moved(before: Any, after: Any, told: Any) -> None:
    assert fields.moved(before, after) == told


rates = st.decimals(0, 10, places=12).map(str)


@our.laws
@given(before=rates, after=rates)
def test_cheaper_is_good_and_dearer_is_bad(before: str, after: str) -> None:
    told = fields.moved(before, after)
    if told is None:
        assert abs(Decimal(before) - Decimal(after)) <= Decimal(before) * Decimal("1e-9") or not Decimal(before)
    elif Decimal(after) < Decimal(before):
        assert (told[0], told[1][0], told[1].endswith(" % cheaper")) == (GOOD, "▼", True)
    else:
        assert (told[0], told[1][0], told[1].endswith(" dearer")) == (BAD, "▲", True)


@our.laws
@given(rate=st.decimals("0.000000001", 10, places=12), noise=st.decimals(-1, 1, places=6), wide=st.booleans())
def test_how_a_float_was_written_is_no_move(rate: Decimal, noise: Decimal, wide: bool) -> None:
    after = rate * (1 + noise * Decimal("1e-6" if wide else "1e-10"))
    assert (fields.moved(str(rate), str(after)) is None) == (abs(after - rate) < rate * Decimal("1e-9"))
    change = {"field": "pricing.prompt", "before": str(rate), "after": str(after)}
    sign = "cheaper" if after < rate else "dearer"
    assert judged([change]) == ("repriced" if fields.is_noise(rate, after) else sign)
    # beside a real change it says nothing
    real = {"field": "pricing.completion", "before": "2", "after": "1"}
    if fields.is_noise(rate, after):
        assert judged([change, real]) == "cheaper"


def test_a_third_that_was_written_otherwise_got_not_cheaper() -> None:
    before, after = "0.00000008333333333333334", "0.0000000833333333333333"
    change = {"field": "pricing.prompt", "before": before, "after": after}
    assert judged([change]) == "repriced"
    assert change_of(change) == 0
    assert fields.moved(before, after) is None


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("0.00000014", "0", "$0.14 → $0.00 per million"),
        (None, "0", None),
        ("0.1", "x", None),
        ("-1", "0", None),
    ],
)
def test_from_which_price_to_which(before: Any, after: Any, told: str | None) -> None:
    assert fields.price_move(before, after, "prompt") == told


def test_prices_of_requests_move_each() -> None:
    assert fields.price_move("0.01", "0.02", "request") == "$0.01 each → $0.02 each"


@our.laws
@given(st.permutations(["unit", "since", "after", "limit", "before", "days"]))
def test_evidence_has_one_order(names: list[str]) -> None:
    found = [name for name, _ in fields.in_order_of_evidence(dict.fromkeys(names))]
    assert found == ["before", "after", "since", "days", "limit", "unit"]


@pytest.mark.parametrize(
    ("field", "it", "told"),
    [
        ("pricing.prompt", "0.000003", "$3.00 / M"),
        ("pricing.request", "0.01", "$0.01 each"),
        ("pricing.prompt", None, "unknown"),
        ("pricing.image", None, "not listed"),
        ("pricing.prompt", "-1", "varies"),
        ("pricing.prompt", "0", "$0.00 / M"),
        ("pricing.overrides", None, "none"),
        ("pricing.overrides", [{"x": 1}], "none"),
        ("pricing.overrides", [ABOVE], "above 200,000 prompt tokens: prompt $4.00 / M"),
        ("pricing", {"completion": "1", "prompt": "0.000002"}, "prompt $2.00 / M; completion $1,000,000.00 / M"),
        ("pricing", {"prompt": "1e-6", "overrides": [ABOVE]},
         "prompt $1.00 / M; above 200,000 prompt tokens: prompt $4.00 / M"),
        ("pricing", None, "unknown"),
        ("context_length", 128000, "128,000 tokens"),
        ("context_length", 0, "unknown"),
        ("expiration_date", None, "no date"),
        ("alias_target", None, "no model"),
        ("created_at", "2026-08-01T10:00:00Z", "2026-08-01 10:00 UTC"),
        ("is_moderated", False, "no"),
        ("input_modalities", ["text", "image"], "text, image"),
        ("reasoning", {"effort": ["low"], "is_on": True}, "effort low, is on yes"),
        ("name", "x" * 500, "x" * 119 + "…"),
    ],
)  # fmt: skip
def test_a_value(field: str, it: Any, told: str) -> None:
    assert fields.value(field, it, ["text"]) == told


def test_of_media_models_a_price_is_for_one_of_what_it_counts() -> None:
    assert fields.value("pricing.prompt", "0.0043", ["transcription"]) == "$0.0043 each"


def test_labels() -> None:
    names = ("pricing", "pricing.prompt", "pricing.image", "pricing.overrides", "context_length", "some_thing", "")
    assert [fields.label(it) for it in names] == [
        "All prices", "Prompt", "Image in", "Conditional prices", "Context", "Some thing", "",
    ]  # fmt: skip


def test_lists_objects_and_conditional_prices() -> None:
    assert fields.gained_lost(["a", "b"], ["b", "c"]) == (["+c"], ["−a"])
    assert fields.listwise(["a", "b"], ["b", "c"]) == "+c, −a"
    assert fields.listwise(["a", "b"], ["b", "a"]) == "in another order"
    assert fields.inside({"is_on": False, "x": None}, {"is_on": True, "x": None}) == "is on no → yes"
    assert fields.inside(None, {"is_on": True}) == "is on unknown → yes"
    less = ABOVE | {"rates": {"prompt": "0.000002"}}
    assert fields.conditionally([ABOVE], [less]) == (
        "above 200,000 prompt tokens prompt $4.00 / M → $2.00 / M, 50 % cheaper"
    )
    assert fields.conditionally([], [ABOVE]) == "above 200,000 prompt tokens prompt $4.00 / M"
    assert fields.conditionally([ABOVE], None) == "above 200,000 prompt tokens no longer"
