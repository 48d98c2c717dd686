"""What there is to choose from, read at once: now, or as OpenRouter served it at an instant.

A dozen statements, however many models there are. What the same rows say is always the same: nothing here asks a clock,
and what is ordered is not ordered by the database, whose collations differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from llmhive.catalog.endpoint import Health
from llmhive.catalog.model import pricing_from
from llmhive.catalog.pricing import Pricing
from llmhive.catalog.routing import Candidate
from llmhive.catalog.selectable import FRESH_FOR, KNOWN_FOR, Ranked, Selectable, Stock, are_known, evidence, health_at
from llmhive.store import benchmarks, browse, history, rates
from llmhive.store.tables import (
    endpoint,
    endpoint_check,
    endpoint_health,
    endpoint_version,
    holds_at,
    model_catalog,
    model_price,
    ranking,
    ranking_set,
    sync_run,
    version,
)

_NEVER = datetime.min.replace(tzinfo=UTC)
_HEALTH = tuple(Health.__dataclass_fields__)
_PRICINGS = sa.select(model_catalog.c.id, version.c.document).join(version, version.c.digest == model_catalog.c.version)
_CHECKS = sa.select(endpoint_check.c.model_id, endpoint_check.c.succeeded_at).where(
    endpoint_check.c.succeeded_at.is_not(None)
)
_P, _E, _V, _H, _R = model_price.c, endpoint.c, endpoint_version.c, endpoint_health.c, ranking_set.c
_LIVE = sa.select(
    _E.model_id, _E.key, _E.document, _E.is_zdr, _E.health_at, *(_E[name] for name in _HEALTH)
).where(_E.is_active)  # fmt: skip
#: How long each span of `endpoint_health` is.
_SPANS = {"sample": timedelta(0), "day": timedelta(days=1), "week": timedelta(days=7)}
#: The rankings that tell how good models are.
_IS_OF_QUALITY = _R.dimension.in_(("leaderboard", "category"))
#: Written out, as a parameter would keep the databases from the partial index.
_IS_PUBLISHED = _R.state == sa.literal_column("'published'")


class _Priced(msgspec.Struct):
    """What is read of a model's document."""

    pricing: dict[str, Any]


_PRICED = msgspec.json.Decoder(_Priced, float_hook=Decimal)


class Head(NamedTuple):
    """What a stock is of: the fields of `Stock` of the same names."""

    catalog_version: int
    at: datetime
    as_of: datetime | None
    source: str | None


def head(connection: sa.Connection) -> Head:
    """What `load` would give now, but for the models: it is read in no time, and differs whenever they do.

    Its `at` is when the first run ended that left the catalog at this version, and of a bootstrap when its facts were
    true.
    """
    standing = browse.standing(connection)
    state, as_of = standing.state, standing.as_of
    at = None
    if state.source != "bootstrap":
        ended = sa.select(sa.func.min(sync_run.c.finished_at))
        at = connection.execute(ended.where(sync_run.c.catalog_version == state.catalog_version)).scalar()
    return Head(state.catalog_version, at or as_of or _NEVER, as_of, state.source)


def load(connection: sa.Connection, *, at: datetime | None = None) -> Stock:
    """Everything there is to choose from, now or as OpenRouter served it at an instant.

    Of an instant the endpoints are those of then, with their health of the day before; benchmarks and rankings are
    what was known by then. The benchmarks inside the records as served are no part of it: see `with_measures`.
    """
    return _now(connection) if at is None else _then(connection, at)


def _now(connection: sa.Connection) -> Stock:
    about = head(connection)
    rows = browse.rows(connection)
    pricings = {row.id: pricing_from(_PRICED.decode(row.document).pricing) for row in connection.execute(_PRICINGS)}
    seen = {row.model_id: row.succeeded_at for row in connection.execute(_CHECKS)}
    slugs = rates.provider_slugs(connection)
    offers: dict[str, list[Candidate]] = {}
    for row in connection.execute(_LIVE):
        health = health_at(Health(*(getattr(row, name) for name in _HEALTH)), row.health_at, about.at)
        offers.setdefault(row.model_id, []).append(rates.candidate(row, health, slugs))
    return _stock(connection, about, ((row, pricings[row["id"]]) for row in rows), seen, offers, None)


def _then(connection: sa.Connection, at: datetime) -> Stock:
    version_now, as_of = head(connection).catalog_version, history.covered(connection, at)
    about = Head(version_now, at, as_of, None if as_of is None else "openrouter")
    models = ((row, model.pricing) for row, model in browse.listed_at(connection, at))
    slugs, healths = rates.provider_slugs(connection), _healths(connection, at)
    offers: dict[str, list[Candidate]] = {}
    listed = sa.select(_E.model_id, _E.key, _V.endpoint_id, _V.document, _V.is_zdr).join(
        endpoint, _E.id == _V.endpoint_id
    )
    for row in connection.execute(listed.where(_V.is_listed, holds_at(_V.valid_from, _V.valid_to, at))):
        health = healths.get(row.endpoint_id, Health())
        offers.setdefault(row.model_id, []).append(rates.candidate(row, health, slugs))
    return _stock(connection, about, models, _seen_by(connection, at), offers, at)


def _stock(
    connection: sa.Connection,
    about: Head,
    models: Iterable[tuple[Mapping[str, Any], Pricing]],
    seen: Mapping[str, datetime],
    offers: Mapping[str, list[Candidate]],
    at: datetime | None,
) -> Stock:
    repriced = _repriced(connection, about.at)
    found = []
    for row, pricing in sorted(models, key=lambda it: str(it[0]["id"])):
        its = None
        if are_known(seen.get(row["id"]), repriced.get(row["id"]), about.at):
            its = tuple(sorted(offers.get(row["id"], ()), key=lambda it: it.name))
        found.append(Selectable(row, pricing, its))
    rows = [it.row for it in found]
    known = evidence(rows, benchmarks.measures(connection, at), _rankings(connection, at))
    return Stock(about.catalog_version, about.at, about.as_of, tuple(found), known, about.source)


def _repriced(connection: sa.Connection, at: datetime) -> dict[str, datetime]:
    """When models' listed prices changed last by an instant, by id; those that never did are left out."""
    begun = sa.select(
        _P.model_id, sa.func.min(_P.valid_from).label("first"), sa.func.max(_P.valid_from).label("last")
    ).where(_P.valid_from <= at).group_by(_P.model_id)  # fmt: skip
    ended = sa.select(_P.model_id, sa.func.max(_P.valid_to).label("last")).where(_P.valid_to <= at)
    found = {row.model_id: row.last for row in connection.execute(begun) if row.last > row.first}
    for row in connection.execute(ended.group_by(_P.model_id)):
        # a rate may go without another one coming
        found[row.model_id] = max(row.last, found.get(row.model_id, row.last))
    return found


# --- as it was


def _seen_by(connection: sa.Connection, at: datetime) -> dict[str, datetime]:
    """When models' endpoints were seen last by an instant, by id; those not seen for `KNOWN_FOR` are left out.

    Every answer leaves a step, a sample, or the time of the check. Where samples were summed up since, it is only sure
    that one was taken after the span began, and by its end.
    """
    since = at - KNOWN_FOR
    steps = sa.select(_E.model_id, sa.func.max(_V.valid_from).label("at")).join(endpoint, _E.id == _V.endpoint_id)
    samples = sa.select(_E.model_id, sa.func.max(_H.at).label("at")).join(endpoint, _E.id == _H.endpoint_id)
    checks = sa.select(endpoint_check.c.model_id, endpoint_check.c.succeeded_at.label("at"))
    are_over = sa.or_(
        *(sa.and_(_H.span == span, _H.at.between(since, at - length)) for span, length in _SPANS.items())
    )  # fmt: skip
    found: dict[str, datetime] = {}
    for chosen in (
        steps.where(_V.valid_from.between(since, at)).group_by(_E.model_id),
        samples.where(are_over).group_by(_E.model_id),
        checks.where(endpoint_check.c.succeeded_at.between(since, at)),
    ):
        for row in connection.execute(chosen):
            found[row.model_id] = max(row.at, found.get(row.model_id, row.at))
    return found


def _healths(connection: sa.Connection, at: datetime) -> dict[int, Health]:
    """How endpoints fared by their last sample by an instant; where samples were summed up since, nothing is known."""
    is_fresh = sa.and_(_H.endpoint_id == _E.id, _H.span == "sample", _H.at.between(at - FRESH_FOR, at))
    newest = sa.select(_E.id, sa.func.max(_H.at).label("at")).join(endpoint_health, is_fresh).group_by(_E.id)
    last = newest.subquery()
    is_last = sa.and_(_H.endpoint_id == last.c.id, _H.span == "sample", _H.at == last.c.at)
    rows = connection.execute(sa.select(endpoint_health).join(last, is_last))
    return {row.endpoint_id: rates.health_of_sample(row) for row in rows}


# --- rankings


def _rankings(connection: sa.Connection, at: datetime | None) -> dict[str, list[Ranked]]:
    """The ranks of the leaderboard and of each category, by its name: as they are served, or the last by an instant."""
    sets = sa.select(_R.id, _R.dimension, _R.category, _R.made_at).where(_IS_OF_QUALITY)
    if at is None:
        sets = sets.where(_IS_PUBLISHED)
    else:
        sets = sets.where(_R.state.in_(("published", "superseded")), _R.made_at <= at)
    rows = sorted(connection.execute(sets).all(), key=lambda row: (row.made_at, row.id))
    newest = {row.category or row.dimension: row.id for row in rows}
    names = {set_id: name for name, set_id in newest.items()}
    if not names:
        return {}
    chosen = sa.select(ranking.c.set_id, ranking.c.rank, ranking.c.slug, ranking.c.model_id)
    found: dict[str, list[Ranked]] = {}
    for row in connection.execute(chosen.where(ranking.c.set_id.in_(sorted(names)))):
        found.setdefault(names[row.set_id], []).append(Ranked(row.rank, row.slug, row.model_id))
    return {name: sorted(ranks) for name, ranks in found.items()}
