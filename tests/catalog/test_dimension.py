"""The table of dimensions says what the code does."""

from __future__ import annotations

import re

import pytest

from llmhive.catalog.dimension import BY_NAME, CATEGORIES, DIMENSIONS, MODALITIES, Dimension

NAMES = {
    "leaderboard", "market_share", "most_used", "trending", "category", "modality", "tool_calling", "task",
    "best_value", "fastest", "most_reliable", "lowest_cost", "long_context", "tools", "multimodal",
}  # fmt: skip
#: design 4.8
DERIVED = {
    "trending", "best_value", "fastest", "most_reliable", "lowest_cost", "long_context", "tools", "multimodal",
}  # fmt: skip


def test_every_dimension_is_there_once() -> None:
    assert {it.name for it in DIMENSIONS} == NAMES == set(BY_NAME)
    assert len(DIMENSIONS) == len(NAMES) == len({it.title for it in DIMENSIONS})
    assert {it.name for it in DIMENSIONS if it.is_derived} == DERIVED


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=lambda it: it.name)
def test_a_dimension_explains_itself(dimension: Dimension) -> None:
    assert dimension.formula.endswith(".")
    assert dimension.formula.count(". ") <= 1
    for text in (dimension.title, dimension.source, dimension.window, dimension.cadence, dimension.formula):
        assert text == text.strip()
        assert "  " not in text
    assert (dimension.unit is not None) == (dimension.order in {"score", "lowest score"})


def test_the_numbers_of_a_rule_stand_in_its_formula() -> None:
    found = re.findall(r"[0-9]+(?:\.[0-9]+)?", BY_NAME["trending"].formula)
    assert found == ["50", "5", "0.1", "10"]
    assert "3 prompt tokens to 1 completion token" in BY_NAME["best_value"].formula
    assert "3 prompt tokens to 1 completion token" in BY_NAME["lowest_cost"].formula
    assert "28" in BY_NAME["most_used"].window


def test_the_categories_are_those_of_the_reference() -> None:
    assert list(CATEGORIES) == [
        "programming", "roleplay", "marketing", "marketing/seo", "technology", "science", "translation", "legal",
        "finance", "health", "trivia", "academia",
    ]  # fmt: skip
    assert all(CATEGORIES.values())
    assert list(MODALITIES) == ["image", "audio", "image_output", "text"]
