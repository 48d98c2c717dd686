"""What there is to choose from: models with their prices and offers, and what is known of their quality; pure.

The store reads it (`store.selectables`), the selector ranks it (`catalog.selector`). Here are the values between them,
and the judgements of what is known well enough to choose by.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from llmhive.catalog.benchmark import INDICES, Measure, preferred
from llmhive.catalog.endpoint import Health
from llmhive.catalog.pricing import Pricing
from llmhive.catalog.ranking import base_of
from llmhive.catalog.routing import Candidate

#: For so long a model's endpoints are known once they were asked for: a research sync a week, and a day's delay.
KNOWN_FOR = timedelta(days=8)
#: For so long it is known how an endpoint fares.
FRESH_FOR = timedelta(days=1)
#: How the metrics of Design Arena's arena of models begin.
ELO = "elo:models:"


class Selectable(NamedTuple):
    """One model of the catalog."""

    #: A row as `store.browse.rows` gives it: columns of `model_catalog`, no documents.
    row: Mapping[str, Any]
    #: What it is listed for; endpoints may charge something else.
    pricing: Pricing
    #: Its live endpoints, by key. (): nobody serves it; None: that is not known.
    offers: tuple[Candidate, ...] | None


class Evidence(NamedTuple):
    """What others say of how good models are."""

    #: Model id → metric → value: ``intelligence_index``, ``coding_index``, ``agentic_index`` (0 to 100) and
    #: ``elo:models:…`` (Elo). What is known of a model its variants have as well.
    measures: Mapping[str, Mapping[str, float]]
    #: ``leaderboard`` or a category of `catalog.dimension` → model id → rank, from 1; variants likewise.
    ranks: Mapping[str, Mapping[str, int]]
    #: ``leaderboard`` or a category → how many ranks it has.
    sizes: Mapping[str, int]


class Stock(NamedTuple):
    """All that there is to choose from: of one version of the catalog, or as it was served at an instant."""

    #: Of the catalog that tells it.
    catalog_version: int
    #: What its time windows, its expiry and its freshness are judged by: when the catalog got this version, or the
    #: instant.
    at: datetime
    #: When OpenRouter said so, or when the facts of a bootstrap were true; None: the catalog is empty.
    as_of: datetime | None
    #: Every model that was ever listed by then, active or not, by id.
    models: tuple[Selectable, ...]
    evidence: Evidence
    #: ``openrouter``, ``bootstrap``; None: the catalog is empty.
    source: str | None


# --- what is known


def are_known(seen_at: datetime | None, repriced_at: datetime | None, at: datetime) -> bool:
    """Whether a model's endpoints are known at an instant.

    `seen_at`: when they were asked for last, with success; `repriced_at`: when the model's listed price changed last.
    After that its endpoints charge something else than they did, so they have to be asked for again.
    """
    if seen_at is None or (repriced_at is not None and seen_at < repriced_at):
        return False
    return at - seen_at <= KNOWN_FOR


def health_at(health: Health, measured_at: datetime, at: datetime) -> Health:
    """How an endpoint fares at an instant; unknown where that was measured too long ago."""
    return health if at - measured_at <= FRESH_FOR else Health()


# --- evidence


class Ranked(NamedTuple):
    """A rank of a ranking."""

    rank: int
    slug: str  #: as its source names it
    model_id: str | None  #: the model it is; None: not known


def evidence(
    rows: Sequence[Mapping[str, Any]], measures: Iterable[Measure], rankings: Mapping[str, Sequence[Ranked]]
) -> Evidence:
    """What is known of some models.

    A slug means every model whose canonical slug it is, and those whose id it is, with or without their variant. Of
    several names of one model the canonical slug's measures count first, and the best rank.
    """
    return Evidence(
        _measures(rows, measures),
        {name: _ranks(rows, ranks) for name, ranks in sorted(rankings.items())},
        {name: len(ranks) for name, ranks in sorted(rankings.items())},
    )


def with_measures(known: Evidence, measures: Iterable[Measure], rows: Iterable[Mapping[str, Any]]) -> Evidence:
    """Evidence with other measures of the models of which it has none."""
    unmeasured = [row for row in rows if row["id"] not in known.measures]
    return known._replace(measures={**known.measures, **_measures(unmeasured, measures)})


def _measures(rows: Iterable[Mapping[str, Any]], measures: Iterable[Measure]) -> dict[str, dict[str, float]]:
    by_slug = {
        slug: {metric: float(it.value) for metric, it in told.items()}
        for slug, told in preferred(it for it in measures if _tells_quality(it.metric)).items()
    }
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        for name in _names(row):
            if name in by_slug:
                found[row["id"]] = by_slug[name] | found.get(row["id"], {})
    return found


def _tells_quality(metric: str) -> bool:
    return metric in INDICES or metric.startswith(ELO)


def _ranks(rows: Iterable[Mapping[str, Any]], ranks: Iterable[Ranked]) -> dict[str, int]:
    rows = list(rows)
    names_of = {row["id"]: tuple(_names(row)) for row in rows}
    best: dict[str, int] = {}
    for it in ranks:
        model = () if it.model_id is None else names_of.get(it.model_id, (it.model_id,))
        for name in (it.slug, base_of(it.slug), *model):
            best[name] = min(it.rank, best.get(name, it.rank))
    found = {}
    for model_id, names in names_of.items():
        if held := [best[name] for name in names if name in best]:
            found[model_id] = min(held)
    return found


def _names(row: Mapping[str, Any]) -> Iterator[str]:
    """What rankings and benchmarks may call a model."""
    if row["canonical_slug"]:
        yield row["canonical_slug"]
    yield base_of(row["id"])
    yield row["id"]
