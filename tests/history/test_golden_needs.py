"""Twenty needs: what is chosen from the real catalog of July 2026 is what an engineer would choose."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from llmhive.app.choices import Selectors
from llmhive.app.costs import moment
from llmhive.catalog import quality
from llmhive.catalog.capability import capabilities
from llmhive.catalog.need import Need
from llmhive.catalog.pricing import Pricing
from llmhive.catalog.selectable import KNOWN_FOR
from llmhive.store.database import connect
from tests.history import endpoints, golden, measured

pytestmark = [pytest.mark.history, pytest.mark.long]


@pytest.fixture(scope="module")
def july(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return golden.july(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module")
def found(july: Path) -> list[golden.Outcome]:
    return golden.outcomes(july)


@pytest.mark.parametrize("number", range(len(golden.NEEDS)), ids=[it["name"] for it in golden.NEEDS])
def test_the_first_choice_is_acceptable(found: list[golden.Outcome], number: int) -> None:
    outcome = found[number]
    assert outcome.is_acceptable, f"{outcome.shortlist.ids} of {outcome.acceptable}: {outcome.shortlist.notes}"


def test_the_table_in_the_chapter_is_what_comes_out(found: list[golden.Outcome]) -> None:
    assert measured.kept("golden") == golden.table(found), "run `python -m tests.history.golden`"


def test_the_screen_of_the_chapter(july: Path) -> None:
    """Its choices, why the first of them is one, what would change that, and how many are left out for what."""
    page = measured.PAGE.read_text(encoding="utf-8")
    [screen] = re.findall(r"^```text\n(\$ llmhive select .*?)^```$", page, re.DOTALL | re.MULTILINE)
    [body] = re.findall(r"-d '(\{.*?\})'", page, re.DOTALL)
    database = connect(f"sqlite:///{july}")
    at = moment(screen.partition("--as-of ")[2].split()[0])
    shortlist = Selectors(database).at(at).select(Need.read(json.loads(body)))
    database.close()
    rows = [line.split() for line in screen.splitlines() if re.match(r"\d ", line)]
    assert len(rows) == 3
    for place, (row, choice) in enumerate(zip(rows, shortlist.choices, strict=False), 1):
        assert row[:3] == [str(place), choice.id, f"{choice.score:.3f}"]
        assert row[4] == f"{choice.parts['quality']:.3f}"
        assert abs(Decimal(row[5]) / (choice.expected_cost or 1) - 1) < Decimal("0.001")
        assert row[-1] == f"{len(choice.candidates)}/{len(choice.live or ())}"
    first = shortlist.choices[0]
    assert "\n   ".join((f"1. {first.id}", *first.reasons)) + "\n" in screen
    flips = {it.what: it.at for it in shortlist.flip_points if it.id == first.id}
    assert f"{first.id} costs more than ${flips['price']:.4f} a million" in screen
    assert f"{first.id} has a quality below {flips['quality']:.3f}" in screen
    assert f"{shortlist.total} of {shortlist.total + len(shortlist.rejected)} models qualify" in screen
    counts = re.findall(r"\((\d+)\)", screen.partition("the others: ")[2])
    assert counts == [str(it.models) for it in shortlist.removed[: len(counts)]]


def test_the_opinions_are_not_vacuous(found: list[golden.Outcome]) -> None:
    """Every acceptable model is one that was listed, and they are few among those that qualify."""
    assert len(found) == 20
    assert len({it.shortlist.ids[0] for it in found}) > 8
    for it in found:
        places = [it.shortlist.explain(model_id).place for model_id in it.acceptable]
        assert 0 < sum(place is not None for place in places) < it.shortlist.total


def test_the_examples_of_the_chapter_are_real(found: list[golden.Outcome]) -> None:
    """But for ranks, uptimes and speeds."""
    july, with_endpoints = (next(it for it in found if ("DeepInfra" in it.name) is known) for known in (False, True))
    of_july = july.stock
    measures, models = of_july.evidence.measures, {it.row["id"]: it for it in of_july.models}
    for row in measured.rows(*measured.MODELS):
        it, told = models[row["model"]], measures.get(row["model"], {})
        assert it.row["created_at"].date().isoformat() == row["since"]
        assert listed(it.pricing) == listed(row)
        for name, metric in (("intelligence", "intelligence_index"), ("coding", "coding_index")):
            assert row[name] == (f"{told[metric]:g}" if metric in told else "–")
        elo = [value for metric, value in told.items() if metric.startswith("elo:models:")]
        assert row["Elo"] == ("–" if "intelligence_index" in told or not elo else f"{statistics.mean(elo):.1f}")
        able = {"vision", "image_output", "tools", "structured_outputs", "reasoning", "seed"} & capabilities(it.row)
        assert set(row["can"].split(", ")) == able
    served = {it.row["id"]: it.offers or () for it in with_endpoints.stock.models}
    for row in measured.rows(*measured.ENDPOINTS):
        [endpoint] = [it.endpoint for it in served[row["served"]] if it.name == row["by"]]
        assert len(served[row["served"]]) == 9
        assert listed(endpoint.pricing) == listed(row)
        assert ("structured_outputs" in endpoint.supported_parameters) == (row["lacks"] == "–")


def listed(prices: Pricing | Mapping[str, str]) -> list[Decimal]:
    """USD per million tokens in and out, to a thousandth of a cent."""
    if isinstance(prices, Pricing):
        rates = dict(prices.rates)
        return [round(rates[unit].scaleb(6), 5).normalize() for unit in ("prompt", "completion")]
    return [Decimal(prices[unit]).normalize() for unit in ("prompt", "completion")]


def test_the_constants_of_quality_fit_the_catalog_of_july(found: list[golden.Outcome]) -> None:
    """What the chapter says of them: how well Elo tells the index, and where the weakest tenth is."""
    stock = found[0].stock
    slugs = {it.row["canonical_slug"]: it.row["id"] for it in stock.models if it.row["is_active"]}
    told = [stock.evidence.measures.get(model_id, {}) for model_id in slugs.values()]
    both = [
        (statistics.mean(ratings), it["intelligence_index"] / 100)
        for it in told
        if "intelligence_index" in it
        and (ratings := [value for metric, value in it.items() if metric.startswith("elo:models:")])
    ]
    elo, index = zip(*both, strict=True)
    assert len(both) == 60
    assert round(statistics.correlation(elo, index), 2) == 0.90
    slope, intercept = statistics.linear_regression(elo, index)
    assert (round(-intercept / slope, -1), round(1 / slope, -1)) == (quality.ELO_FROM, quality.ELO_SPAN)
    indices = [it["intelligence_index"] / 100 for it in told if "intelligence_index" in it]
    assert round(statistics.quantiles(indices, n=10)[0], 1) == quality.PRIOR


def test_a_need_that_names_a_provider_is_chosen_while_endpoints_are_known() -> None:
    """They were seen last eight days before the list was: then who serves what is no longer believed."""
    *_, (last, _) = endpoints.captures()
    for it in golden.NEEDS:
        at = moment(it.get("at", golden.AT))
        assert ("at" in it) == bool(Need.read(it["need"]).providers)
        assert (at - last <= KNOWN_FOR) == ("at" in it)
    assert moment(golden.AT) - last < KNOWN_FOR + timedelta(days=2)
