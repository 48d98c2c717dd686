"""What other steps and readers ask of the published rankings and of the endpoints: who is popular, who serves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from llmhive.catalog.endpoint import Health, from_document, is_healthy
from llmhive.catalog.ranking import Rank, Ranking
from llmhive.store.tables import endpoint, ranking, ranking_set, research_step, token_period

_IS_PUBLISHED = ranking_set.c.state == sa.literal_column("'published'")


def current(connection: sa.Connection, dimension: str) -> Ranking | None:
    """The ranking of a dimension that is served; None where there is none."""
    of = sa.and_(ranking_set.c.dimension == dimension, ranking_set.c.category.is_(None))
    found = connection.execute(sa.select(ranking_set).where(of, _IS_PUBLISHED)).first()
    if found is None:
        return None
    rows = connection.execute(sa.select(ranking).where(ranking.c.set_id == found.id).order_by(ranking.c.rank))
    ranks = tuple(
        Rank(
            row.rank, row.slug, row.model_id, row.tokens, row.share, row.score, row.previous_rank, row.growth,
            None if row.trend is None else tuple(row.trend),
        )
        for row in rows
    )  # fmt: skip
    return Ranking(
        dimension, None, found.source, found.as_of, found.window_from, found.window_to, ranks, found.facts,
        found.citation,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a ranking that is served, without its ranks."""

    source: str
    made_at: datetime
    ranks: int  #: how many it has


def standing(connection: sa.Connection, dimension: str, category: str | None) -> Standing | None:
    """The ranking of a dimension and category that is served; None where there is none."""
    c = ranking_set.c
    of = sa.and_(c.dimension == dimension, c.category.is_(None) if category is None else c.category == category)
    size = sa.select(sa.func.count()).select_from(ranking).where(ranking.c.set_id == c.id).scalar_subquery()
    row = connection.execute(sa.select(c.source, c.made_at, size.label("ranks")).where(of, _IS_PUBLISHED)).first()
    return None if row is None else Standing(row.source, row.made_at, row.ranks)


def popular(connection: sa.Connection, most: int) -> list[str]:
    """The ids of the most used models, the first first; empty where no leaderboard is published."""
    leaderboard = current(connection, "leaderboard")
    known = [it.model_id for it in leaderboard.ranks if it.model_id is not None] if leaderboard is not None else []
    return list(dict.fromkeys(known))[:most]


def categories(connection: sa.Connection, dimension: str) -> list[str]:
    """The categories of a dimension that are served."""
    chosen = sa.select(ranking_set.c.category).where(ranking_set.c.dimension == dimension, _IS_PUBLISHED)
    return sorted({it for it in connection.execute(chosen).scalars() if it is not None})


@dataclass(frozen=True, slots=True)
class WithoutFigures:
    """What OpenRouter had no figures of."""

    at: datetime  #: when it was asked
    names: tuple[str, ...]


def without_figures(connection: sa.Connection, step: str) -> WithoutFigures | None:
    """What a step asked for in vain when it was completed last; None where it never was."""
    c = research_step.c
    chosen = sa.select(c.finished_at, c.facts).where(c.step == step, c.status == "completed")
    row = connection.execute(chosen.order_by(c.finished_at.desc(), c.id.desc()).limit(1)).first()
    if row is None:
        return None
    return WithoutFigures(row.finished_at, tuple(it for it in row.facts.get("empty_named") or () if it is not None))


def counted_as_of(connection: sa.Connection, dataset: str, period: str) -> str | None:
    """How OpenRouter dated the newest token counts of a dataset."""
    c = token_period.c
    chosen = sa.select(c.as_of).where(c.dataset == dataset, c.period == period)
    found: str | None = connection.execute(chosen.order_by(c.fetched_at.desc(), c.begins.desc()).limit(1)).scalar()
    return found


@dataclass(frozen=True, slots=True)
class Served:
    """An active endpoint as it was last seen."""

    model_id: str
    health: Health
    at: datetime  #: when it was like this

    @property
    def is_healthy(self) -> bool | None:
        """As `endpoint.is_healthy`."""
        return is_healthy(self.health)


def implicit_caching(connection: sa.Connection) -> dict[str, bool]:
    """Whether one of a model's active endpoints caches prompts unasked; models of which none says it are left out."""
    found: dict[str, bool] = {}
    for row in connection.execute(sa.select(endpoint.c.model_id, endpoint.c.document).where(endpoint.c.is_active)):
        told = from_document(row.document).supports_implicit_caching
        if told is not None:
            found[row.model_id] = found.get(row.model_id, False) or told
    return found


def serving(connection: sa.Connection) -> list[Served]:
    """The active endpoints of all models."""
    c = endpoint.c
    names = (
        "status", "uptime_last_5m", "uptime_last_30m", "uptime_last_1d", "latency_p50", "latency_p90",
        "throughput_p50", "throughput_p90",
    )  # fmt: skip
    chosen = sa.select(c.model_id, c.health_at, *(c[name] for name in names)).where(c.is_active)
    return [
        Served(row.model_id, Health(**{name: getattr(row, name) for name in names}), row.health_at)
        for row in connection.execute(chosen)
    ]
