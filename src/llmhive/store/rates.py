"""Reads for what things cost: the steps of a price (`catalog.price`), what routing needs, and what brought a step."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import msgspec
import sqlalchemy as sa

from llmhive.catalog.endpoint import Called, Health, from_document, served_by
from llmhive.catalog.hold import PRICING
from llmhive.catalog.model import instant
from llmhive.catalog.price import (
    Listed,
    Mark,
    Rate,
    Step,
    believed_step,
    catalog_steps,
)
from llmhive.catalog.pricing import Kind, exact
from llmhive.catalog.provided import Offered, at_provider, endpoint_steps
from llmhive.catalog.routing import Candidate
from llmhive.store import catalog, versions
from llmhive.store.captures import IN_HISTORY
from llmhive.store.tables import (
    Instant,
    JsonText,
    capture,
    endpoint,
    endpoint_health,
    endpoint_version,
    holds_at,
    model_belief,
    model_catalog,
    model_price,
    provider,
    served_version,
    sync_run,
    verdict,
    version,
)

#: As many names as a statement may hold on either database.
_AT_ONCE = 500
#: How old a sample of an endpoint's health may be to say how it fared.
_FRESH = timedelta(days=1)
_HEALTH = tuple(f for f in Health.__dataclass_fields__)
_P = model_price.c
_RATES = sa.select(
    _P.model_id, _P.unit, _P.position, _P.rate, sa.type_coerce(_P.condition, JsonText).label("condition"),
    _P.valid_from, _P.valid_to, _P.is_held,
)  # fmt: skip

_FLAGS = sa.select(model_catalog.c.id, model_catalog.c.flags, model_catalog.c.pricing)


class _Facts(msgspec.Struct):
    """What is read of a model's document."""

    pricing_kind: Kind = "unknown"
    output_modalities: tuple[str, ...] = ()


_FACTS = msgspec.json.Decoder(_Facts)


# --- models


def of_models(connection: sa.Connection, ids: Collection[str] | None) -> dict[str, list[Step]]:
    """The steps of models over all of served history, by id; None: of all. One that was never served is left out."""
    rates: dict[str, list[Rate]] = {}
    held: set[str] = set()
    for row in _chosen(connection, _RATES, _P.model_id, ids):
        rates.setdefault(row[0], []).append(Rate(*row[1:]))
        if row[7]:
            held.add(row[0])
    listed: dict[str, list[Listed]] = {}
    for row in _chosen(connection, _WITHOUT_HEADLINE, served_version.c.model_id, ids):
        kind = _FACTS.decode(row.document).pricing_kind
        listed.setdefault(row.model_id, []).append(Listed(row.valid_from, row.valid_to, kind))
    marks: dict[str, list[Mark]] = {}
    for row in _chosen(connection, _MARKS, verdict.c.model_id, held) if held else ():
        marks.setdefault(row.model_id, []).append(Mark(row.at, row.field, row.outcome == "held"))
    flags = {row.id: list(_odd(row)) for row in _chosen(connection, _FLAGS, model_catalog.c.id, ids) if row.flags}
    return {
        model_id: catalog_steps(
            model_id, rates.get(model_id, ()), listed.get(model_id, ()), marks.get(model_id, ()),
            flags.get(model_id, ()),
        )
        for model_id in sorted(rates.keys() | listed.keys())
    }  # fmt: skip


def _odd(row: Any) -> Iterator[str]:
    """The flags of a record, without those of keys of its pricing that are rates all the same."""
    served = msgspec.json.decode(row.pricing or "{}")
    for flag in row.flags:
        key = flag.partition("pricing.")[2]
        if not key or exact(served.get(key)) is None:
            yield flag


def _chosen(
    connection: sa.Connection, statement: sa.Select[Any], name: sa.ColumnElement[str], ids: Collection[str] | None
) -> Iterator[Any]:
    """The rows whose name is among some, or all rows."""
    if ids is None:
        yield from connection.execute(statement)
        return
    wanted = sorted(set(ids))
    for first in range(0, len(wanted), _AT_ONCE):
        yield from connection.execute(statement.where(name.in_(wanted[first : first + _AT_ONCE])))


def _without_headline() -> sa.Select[Any]:
    """The listings whose prompt or completion has no known base rate: only their documents say why."""
    served, price = served_version.c, model_price.alias("price").c

    def is_known(unit: str) -> sa.ColumnElement[bool]:
        return sa.exists().where(
            price.model_id == served.model_id,
            price.unit == unit,
            price.position == 0,
            price.rate.is_not(None),
            price.valid_from <= served.valid_from,
            sa.or_(price.valid_to.is_(None), price.valid_to > served.valid_from),
        )

    return (
        sa.select(served.model_id, served.valid_from, served.valid_to, version.c.document)
        .join(version, version.c.digest == served.version)
        .where(served.is_listed, ~sa.and_(is_known("prompt"), is_known("completion")))
    )


def _marks() -> sa.Select[Any]:
    """What the gate said of prices, and when: at the time of the run's capture, or of the run."""
    at = sa.func.coalesce(sa.func.max(capture.c.fetched_at), sa.func.max(sync_run.c.started_at))
    return (
        sa.select(verdict.c.model_id, verdict.c.field, verdict.c.outcome, sa.type_coerce(at, Instant).label("at"))
        .join(sync_run, sync_run.c.id == verdict.c.run_id)
        .outerjoin(capture, capture.c.run_id == verdict.c.run_id)
        .where(verdict.c.field.like(f"{PRICING}%"))
        .group_by(verdict.c.id, verdict.c.model_id, verdict.c.field, verdict.c.outcome)
    )


_WITHOUT_HEADLINE = _without_headline()
_MARKS = _marks()


def believed(connection: sa.Connection, model_id: str, known_at: datetime | None = None) -> Step | None:
    """What is believed of a model's price, now or as it was at an instant; None: nothing is known of it then.

    `begin` and `end` are since and until when it is believed. A value that the gate holds back is no part of it.
    """
    c = model_belief.c
    is_then = c.known_to.is_(None) if known_at is None else holds_at(c.known_from, c.known_to, known_at)
    chosen = sa.select(
        c.known_from, c.known_to, c.is_active, sync_run.c.kind, model_catalog.c.raw.is_(None).label("is_bare"),
        *versions.DOCUMENT,
    ).select_from(
        model_belief.join(sync_run, sync_run.c.id == c.run_id).join(model_catalog, model_catalog.c.id == c.model_id)
    )  # fmt: skip
    rows = connection.execute(versions.with_documents(chosen, c.version).where(c.model_id == model_id, is_then)).all()
    if not rows:
        return None
    row = rows[0]
    is_bootstrap = row.is_bare if known_at is None else row.kind == "bootstrap" and not _had_list(connection, known_at)
    model = versions.read(rows)[0].model
    # facts are of the day they were gathered, not of the day they were loaded
    begin = catalog.state(connection).source_at if is_bootstrap and known_at is None else None
    return believed_step(
        model, begin or row.known_from, row.known_to, is_active=row.is_active, is_bootstrap=bool(is_bootstrap)
    )  # fmt: skip


def _had_list(connection: sa.Connection, at: datetime) -> bool:
    """Whether a sync had taken a list of OpenRouter's by some time."""
    chosen = sa.select(capture.c.id).join(sync_run, sync_run.c.id == capture.c.run_id)
    taken = chosen.where(IN_HISTORY, capture.c.fetched_at <= at, sync_run.c.kind != "backfill").limit(1)
    return connection.execute(taken).first() is not None


# --- endpoints


def of_endpoints(
    connection: sa.Connection, model_id: str, provider_name: str | None, tier: str | None = None
) -> dict[str, list[Step]]:
    """The steps of a model's endpoints that a provider's name, its slug or a tag means at a service tier, by key: see
    `endpoint.served_by`.
    """
    slugs = provider_slugs(connection)
    chosen = sa.select(endpoint.c.id, endpoint.c.key, endpoint.c.tag, endpoint.c.provider_name)
    found = connection.execute(chosen.where(endpoint.c.model_id == model_id)).all()
    wanted = served_by(
        (Called(row.key, row.tag, row.provider_name, slugs.get(row.provider_name)) for row in found),
        provider_name,
        tier,
    )  # fmt: skip
    if not wanted:
        return {}
    keys = {row.id: row.key for row in found if row.key in wanted}
    it = endpoint_version.c
    offered: dict[str, list[Offered]] = {key: [] for key in wanted}
    for row in connection.execute(sa.select(endpoint_version).where(it.endpoint_id.in_(keys))):
        what = Offered(row.valid_from, row.valid_to, row.is_listed, from_document(row.document))
        offered[keys[row.endpoint_id]].append(what)
    outputs = _outputs(connection, model_id)
    return {key: endpoint_steps(key, rows, outputs) for key, rows in offered.items()}


def of_provider(
    connection: sa.Connection, model_id: str, provider_name: str | None, tier: str | None, listed: Sequence[Step]
) -> list[Step]:
    """The steps of a model at one provider, or at one service tier; `listed` are the model's own: see `at_provider`."""
    return at_provider(listed, of_endpoints(connection, model_id, provider_name, tier), provider_name, tier)


def provider_slugs(connection: sa.Connection) -> dict[str, str]:
    """Providers' slugs by their names; of several with one name an active one's."""
    rows = connection.execute(
        sa.select(provider.c.name, provider.c.slug).order_by(provider.c.is_active, provider.c.slug)
    )
    return {row.name: row.slug for row in rows}


def _outputs(connection: sa.Connection, model_id: str) -> tuple[str, ...]:
    """What a model outputs; one of which that is unknown counts as text, as in `feed.covers`."""
    c = model_catalog.c
    found = connection.execute(sa.select(c.output_modalities).where(c.id == model_id)).scalar()
    return tuple(found or ("text",))


def of_offers(connection: sa.Connection, model_id: str, at: datetime | None = None) -> list[Candidate]:
    """The endpoints that a model has now, or had at an instant, by key; of then, the health of the day before."""
    slugs = provider_slugs(connection)
    if at is None:
        live = sa.select(endpoint).where(endpoint.c.model_id == model_id, endpoint.c.is_active)
        return [
            candidate(row, Health(*(getattr(row, name) for name in _HEALTH)), slugs)
            for row in connection.execute(live.order_by(endpoint.c.key))
        ]
    it = endpoint_version.c
    rows = connection.execute(
        sa.select(it.endpoint_id, it.document, it.is_zdr, endpoint.c.key)
        .join(endpoint, endpoint.c.id == it.endpoint_id)
        .where(endpoint.c.model_id == model_id, it.is_listed, holds_at(it.valid_from, it.valid_to, at))
        .order_by(endpoint.c.key)
    ).all()
    health = _health_at(connection, [row.endpoint_id for row in rows], at)
    return [candidate(row, health.get(row.endpoint_id, Health()), slugs) for row in rows]


def candidate(row: Any, health: Health, slugs: dict[str, str]) -> Candidate:
    """An endpoint of a row with its ``document``, ``is_zdr`` and ``key``; `slugs` are those of `provider_slugs`."""
    it = from_document(row.document)
    return Candidate(it, health, row.is_zdr, slugs.get(it.provider_name), row.key)


def _health_at(connection: sa.Connection, ids: Sequence[int], at: datetime) -> dict[int, Health]:
    """How endpoints fared, by their last sample; where samples were summed up since, nothing is known."""
    it = endpoint_health.c
    rows = connection.execute(
        sa.select(endpoint_health)
        .where(it.endpoint_id.in_(ids), it.span == "sample", it.at <= at, it.at >= at - _FRESH)
        .order_by(it.at)
    )
    return {row.endpoint_id: health_of_sample(row) for row in rows}


def health_of_sample(row: Any) -> Health:
    """How an endpoint fared, by a sample of `endpoint_health`."""
    return Health(
        status=row.status,
        uptime_last_30m=row.uptime,
        latency_p50=row.latency_p50,
        throughput_p50=row.throughput_p50,
    )


# --- what brought a step


def source_of(connection: sa.Connection, step: Step) -> dict[str, Any] | None:
    """What brought a step, as JSON values; None: it cannot be told (any more).

    Of a model's listing the capture that began it: ``capture`` (its id), ``fetched_at``, ``scope``, ``run`` and the
    ``digest`` of its body (`captures.read_body`). The bodies of endpoints are not kept (decision 0030): of an endpoint
    ``run`` and the ``digest`` (SHA-256) of its document as stored. Of a belief the capture of the run that made it;
    where that had none, as a bootstrap, ``run`` and the ``version`` that is believed.
    """
    if step.source == "endpoint":
        return _source_of_endpoint(connection, step)
    return _source_in_history(connection, step) or _source_of_belief(connection, step)


def _source_of_endpoint(connection: sa.Connection, step: Step) -> dict[str, Any] | None:
    since = step.since or step.begin
    it = endpoint_version.c
    row = connection.execute(
        sa.select(it.document, it.run_id)
        .join(endpoint, endpoint.c.id == it.endpoint_id)
        .where(
            endpoint.c.model_id == step.model_id,
            endpoint.c.key == step.key,
            it.is_listed,
            holds_at(it.valid_from, it.valid_to, since),
        )
    ).first()
    return None if row is None else {"run": row.run_id, "digest": sha256(row.document.encode()).hexdigest()}


def _source_in_history(connection: sa.Connection, step: Step) -> dict[str, Any] | None:
    since = step.since or step.begin
    if step.source != "catalog":
        return None
    served = served_version.c
    document = connection.execute(
        sa.select(version.c.document)
        .join(served_version, served.version == version.c.digest)
        .where(served.model_id == step.model_id, served.is_listed, served.valid_from == since)
    ).scalar()
    if document is None:
        return None
    outputs = _FACTS.decode(document).output_modalities
    is_in_text = not outputs or "text" in outputs
    c = capture.c
    # of several of one instant the last counts, as in history: by digest, then id
    row = connection.execute(
        sa.select(capture)
        .where(IN_HISTORY, c.fetched_at == since, sa.true() if is_in_text else c.scope == "all")
        .order_by(c.digest.desc(), c.id.desc())
        .limit(1)
    ).first()
    return None if row is None else _source_of_capture(row)


def _source_of_belief(connection: sa.Connection, step: Step) -> dict[str, Any] | None:
    since = step.since or step.begin
    c = model_belief.c
    belief = connection.execute(
        sa.select(c.run_id, c.version)
        # facts of the bootstrap begin when they were gathered; they are what is believed first
        .where(c.model_id == step.model_id, sa.true() if step.source == "bootstrap" else c.known_from == since)
        .order_by(c.known_from, c.id.desc())
        .limit(1)
    ).first()
    if belief is None:
        return None
    row = connection.execute(
        sa.select(capture)
        .where(IN_HISTORY, capture.c.run_id == belief.run_id)
        .order_by(capture.c.fetched_at.desc(), capture.c.id.desc())
        .limit(1)
    ).first()
    return {"run": belief.run_id, "version": belief.version} if row is None else _source_of_capture(row)


def _source_of_capture(row: Any) -> dict[str, Any]:
    return {
        "capture": row.id,
        "fetched_at": instant(row.fetched_at),
        "scope": row.scope,
        "run": row.run_id,
        "digest": row.digest,
    }
