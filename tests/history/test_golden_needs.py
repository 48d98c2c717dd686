"""Twenty needs: what is chosen from the real catalog of July 2026 is what an engineer would choose."""

from __future__ import annotations

from datetime import timedelta

import pytest

from llmhive.app.costs import moment
from llmhive.catalog.need import Need
from llmhive.catalog.selectable import KNOWN_FOR
from tests.history import endpoints, golden, measured

pytestmark = [pytest.mark.history, pytest.mark.long]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[golden.Outcome]:
    return golden.outcomes(tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("number", range(len(golden.NEEDS)), ids=[it["name"] for it in golden.NEEDS])
def test_the_first_choice_is_acceptable(found: list[golden.Outcome], number: int) -> None:
    outcome = found[number]
    assert outcome.is_acceptable, f"{outcome.shortlist.ids} of {outcome.acceptable}: {outcome.shortlist.notes}"


def test_the_table_in_the_chapter_is_what_comes_out(found: list[golden.Outcome]) -> None:
    assert measured.kept("golden") == golden.table(found), "run `python -m tests.history.golden`"


def test_the_opinions_are_not_vacuous(found: list[golden.Outcome]) -> None:
    """Every acceptable model is one that was listed, and they are few among those that qualify."""
    assert len(found) == 20
    assert len({it.shortlist.ids[0] for it in found}) > 8
    for it in found:
        places = [it.shortlist.explain(model_id).place for model_id in it.acceptable]
        assert 0 < sum(place is not None for place in places) < it.shortlist.total


def test_a_need_that_names_a_provider_is_chosen_while_endpoints_are_known() -> None:
    """They were seen last eight days before the list was: then who serves what is no longer believed."""
    *_, (last, _) = endpoints.captures()
    for it in golden.NEEDS:
        at = moment(it.get("at", golden.AT))
        assert ("at" in it) == bool(Need.read(it["need"]).providers)
        assert (at - last <= KNOWN_FOR) == ("at" in it)
    assert moment(golden.AT) - last < KNOWN_FOR + timedelta(days=2)
