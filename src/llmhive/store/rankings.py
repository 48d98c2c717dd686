"""Token counts with their restatements, and rankings as they were published."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from llmhive.catalog.dimension import BY_NAME, CATEGORIES, DIMENSIONS, MODALITIES, Dimension
from llmhive.catalog.model import instant
from llmhive.catalog.pricing import plain
from llmhive.catalog.ranking import Count, Counted, Ranking
from llmhive.store.tables import holds_at, ranking, ranking_set, token_count, token_period

_OPEN_COUNTS = sa.select(token_count.c.id, token_count.c.begins, token_count.c.slug, token_count.c.tokens).where(
    token_count.c.dataset == sa.bindparam("of"),
    token_count.c.period == sa.bindparam("by"),
    token_count.c.begins.between(sa.bindparam("first"), sa.bindparam("last")),
    token_count.c.known_to.is_(None),
)
_CLOSE_COUNT = token_count.update().where(token_count.c.id == sa.bindparam("of")).values(known_to=sa.bindparam("at"))
#: Written out, as a parameter would keep the databases from the partial index.
_IS_PUBLISHED = ranking_set.c.state == sa.literal_column("'published'")
_PLACES = {name: place for place, name in enumerate(it.name for it in DIMENSIONS)}


@dataclass(frozen=True, slots=True)
class Kept:
    """What an answer with token counts changed, in figures."""

    new: int  #: of models and periods not known before
    restated: int  #: that differ from those known before
    gone: int  #: of models that their period does not name any more


# --- token counts


def keep_tokens(
    connection: sa.Connection,
    dataset: str,
    period: str,
    counted: Counted,
    *,
    at: datetime,
    asked_from: date,
    asked_to: date,
) -> Kept:
    """Keep an answer, fetched at `at`, to a question for the periods from `asked_from` to `asked_to`.

    A period of which the answer names nobody is taken as not answered: what is known of it stays, and it is asked for
    again; so is one of which a row could not be read. An answer older than what is known of a period changes nothing.
    """
    newer = {begins for begins, when in fetched(connection, dataset, period).items() if when > at}
    rows = {
        (it.begins, it.slug): it.tokens
        for it in counted.rows
        if asked_from <= it.begins <= asked_to and it.begins not in newer
    }
    known = connection.execute(_OPEN_COUNTS, {"of": dataset, "by": period, "first": asked_from, "last": asked_to}).all()
    before = {(it.begins, it.slug): it.tokens for it in known}
    answered = {begins for begins, _ in rows} - counted.incomplete
    gone = [it.id for it in known if it.begins in answered and (it.begins, it.slug) not in rows]
    restated = [it.id for it in known if rows.get((it.begins, it.slug), it.tokens) != it.tokens]
    new = [key for key in rows if key not in before]
    if restated or gone:
        connection.execute(_CLOSE_COUNT, [{"of": it, "at": at} for it in (*restated, *gone)])
    opened = [
        {"dataset": dataset, "period": period, "begins": begins, "slug": slug, "tokens": tokens, "known_from": at}
        for (begins, slug), tokens in rows.items()
        if before.get((begins, slug)) != tokens
    ]
    if opened:
        connection.execute(token_count.insert(), opened)
    _note_fetched(connection, dataset, period, answered, at=at, as_of=counted.as_of)
    return Kept(len(new), len(restated), len(gone))


def _note_fetched(
    connection: sa.Connection, dataset: str, period: str, answered: Collection[date], *, at: datetime, as_of: str
) -> None:
    if not answered:
        return
    of = sa.and_(token_period.c.dataset == dataset, token_period.c.period == period)
    connection.execute(token_period.delete().where(of, token_period.c.begins.in_(answered)))
    row = {"dataset": dataset, "period": period, "fetched_at": at, "as_of": as_of}
    connection.execute(token_period.insert(), [row | {"begins": begins} for begins in sorted(answered)])


def fetched(connection: sa.Connection, dataset: str, period: str) -> dict[date, datetime]:
    """When each period was asked for last."""
    rows = connection.execute(
        sa.select(token_period.c.begins, token_period.c.fetched_at).where(
            token_period.c.dataset == dataset, token_period.c.period == period
        )
    )
    return {row.begins: row.fetched_at for row in rows}


def tokens(
    connection: sa.Connection, dataset: str, period: str, since: date, *, known_at: datetime | None = None
) -> list[Count]:
    """The token counts of the periods from `since` on, as they stand or as they were known at an instant."""
    count = token_count.c
    is_known = count.known_to.is_(None) if known_at is None else holds_at(count.known_from, count.known_to, known_at)
    rows = connection.execute(
        sa.select(count.begins, count.slug, count.tokens)
        .where(count.dataset == dataset, count.period == period, count.begins >= since, is_known)
        .order_by(count.begins, count.tokens.desc(), count.slug)
    )
    return [Count(row.begins, row.slug, row.tokens) for row in rows]


# --- publishing


def publish(connection: sa.Connection, made: Ranking, *, run_id: int, at: datetime) -> int | None:
    """Serve a ranking from now on, in place of the one before it; its number, or None where that one says the same:
    it is then only dated anew.

    Of what one UTC day published, only the last stays beside what is served.
    """
    of = _of(made.dimension, made.category)
    before = connection.execute(
        sa.select(ranking_set.c.id, ranking_set.c.made_at, ranking_set.c.digest, ranking_set.c.as_of).where(
            of, _IS_PUBLISHED
        )
    ).first()
    if before is not None and before.digest == made.digest:
        # it stands again: that another try failed in between is no news any more
        _remove(connection, of, "failed", since=before.made_at)
        if made.as_of != before.as_of:
            dated = ranking_set.update().where(ranking_set.c.id == before.id)
            connection.execute(dated.values(as_of=made.as_of, citation=made.citation))
        return None
    if before is not None:
        _remove(connection, of, "superseded", since=_midnight(before.made_at), until=_midnight(before.made_at, 1))
        connection.execute(ranking_set.update().where(of, _IS_PUBLISHED).values(state="superseded"))
    return _write(connection, made, "published", None, run_id=run_id, at=at)


def fail(connection: sa.Connection, made: Ranking, faults: Sequence[str], *, run_id: int, at: datetime) -> int:
    """Keep a ranking that cannot be believed, to look at; the last good one is still served. Its number.

    Of the failed ones of one UTC day only the last stays.
    """
    of = _of(made.dimension, made.category)
    _remove(connection, of, "failed", since=_midnight(at), until=_midnight(at, 1))
    return _write(connection, made, "failed", "; ".join(faults), run_id=run_id, at=at)


def retire(connection: sa.Connection, dimension: str, categories_kept: Collection[str]) -> int:
    """Serve no longer the categories of a dimension that are not there any more; how many those were."""
    gone = ranking_set.update().where(
        ranking_set.c.dimension == dimension,
        ranking_set.c.category.is_not(None),
        ranking_set.c.category.not_in(sorted(categories_kept)),
        _IS_PUBLISHED,
    )
    retired = gone.values(state="superseded").returning(ranking_set.c.id)
    return len(connection.execute(retired).all())


def _write(
    connection: sa.Connection, made: Ranking, state: str, error: str | None, *, run_id: int, at: datetime
) -> int:  # fmt: skip
    row = {
        "dimension": made.dimension,
        "category": made.category,
        "state": state,
        "source": made.source,
        "as_of": made.as_of,
        "window_from": made.window_from,
        "window_to": made.window_to,
        "made_at": at,
        "run_id": run_id,
        "citation": made.citation,
        "facts": dict(made.facts),
        "digest": made.digest,
        "error": error,
    }
    set_id: int = connection.execute(ranking_set.insert().returning(ranking_set.c.id), row).scalar_one()
    # a failed one may repeat ranks: that is what is wrong with it
    ranks = {it.rank: it for it in made.ranks}
    rows = [
        {
            "set_id": set_id,
            "rank": it.rank,
            "slug": it.slug,
            "model_id": it.model_id,
            "tokens": it.tokens,
            "share": it.share,
            "score": it.score,
            "previous_rank": it.previous_rank,
            "growth": it.growth,
            "trend": None if it.trend is None else list(it.trend),
        }
        for it in ranks.values()
    ]
    if rows:
        connection.execute(ranking.insert(), rows)
    return set_id


def _remove(
    connection: sa.Connection,
    of: sa.ColumnElement[bool],
    state: str,
    *,
    since: datetime,
    until: datetime | None = None,
) -> None:
    """Remove sets of a state that were made from `since` on, before `until`."""
    made_at = ranking_set.c.made_at
    is_within = made_at >= since if until is None else sa.and_(made_at >= since, made_at < until)
    found = connection.execute(sa.select(ranking_set.c.id).where(of, ranking_set.c.state == state, is_within))
    if ids := list(found.scalars()):
        connection.execute(ranking.delete().where(ranking.c.set_id.in_(ids)))
        connection.execute(ranking_set.delete().where(ranking_set.c.id.in_(ids)))


def _midnight(at: datetime, days: int = 0) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=days)


def _of(dimension: str, category: str | None) -> sa.ColumnElement[bool]:
    its = ranking_set.c.category
    return sa.and_(ranking_set.c.dimension == dimension, its.is_(None) if category is None else its == category)


# --- reading


def published(
    connection: sa.Connection, dimension: str, category: str | None, limit: int | None = None
) -> dict[str, Any] | None:
    """The ranking that is served, as JSON values; None where there is none."""
    found = connection.execute(sa.select(ranking_set).where(_of(dimension, category), _IS_PUBLISHED)).first()
    if found is None:
        return None
    its = sa.select(ranking).where(ranking.c.set_id == found.id).order_by(ranking.c.rank).limit(limit)
    total = connection.execute(
        sa.select(sa.func.count()).select_from(ranking).where(ranking.c.set_id == found.id)
    ).scalar_one()
    told = BY_NAME.get(dimension)
    return _about(found) | {
        "formula": None if told is None else told.formula,
        "unit": _unit(told, found.source),
        "total": total,
        "facts": _plain(found.facts),
        "data": [_line(row, dimension, found.facts) for row in connection.execute(its)],
    }


def catalog_of_sets(connection: sa.Connection) -> list[dict[str, Any]]:
    """Every dimension and category that is served or was tried, as JSON values: what it is of, how many ranks it has,
    and the last failure where that is newer than what is served.
    """
    size = sa.select(sa.func.count()).select_from(ranking).where(ranking.c.set_id == ranking_set.c.id)
    rows = connection.execute(
        sa.select(ranking_set, size.scalar_subquery().label("ranks"))
        .where(ranking_set.c.state.in_(("published", "failed")))
        .order_by(ranking_set.c.made_at, ranking_set.c.id)
    ).all()
    served = {(row.dimension, row.category): row for row in rows if row.state == "published"}
    failed = {(row.dimension, row.category): row for row in rows if row.state == "failed"}
    found = []
    for key in sorted(served | failed, key=_place):
        good, bad = served.get(key), failed.get(key)
        if good is not None and bad is not None and bad.made_at < good.made_at:
            bad = None
        about = _about(good if good is not None else failed[key])
        if good is None:
            about |= {"as_of": None, "window": None, "made_at": None, "citation": None}
        failure = None if bad is None else {"at": instant(bad.made_at), "error": bad.error}
        found.append(about | {"total": 0 if good is None else good.ranks, "failure": failure})
    return found


def ranks_of(connection: sa.Connection, model_id: str) -> list[dict[str, Any]]:
    """Where a model stands in all that is served, as JSON values."""
    rows = connection.execute(
        sa.select(ranking, ranking_set)
        .join(ranking_set, ranking_set.c.id == ranking.c.set_id)
        .where(ranking.c.model_id == model_id, _IS_PUBLISHED)
    ).all()
    ordered = sorted(rows, key=lambda row: (_place((row.dimension, row.category)), row.rank))
    return [_about(row) | _line(row, row.dimension, row.facts) for row in ordered]


def history_of(
    connection: sa.Connection, dimension: str, category: str | None, model_id: str
) -> list[dict[str, Any]]:  # fmt: skip
    """Where a model stood in a ranking each time it was published, oldest first, as JSON values; a rank of None where
    it was not among the ranks.
    """
    rank = sa.select(ranking).where(ranking.c.model_id == model_id).subquery()
    rows = connection.execute(
        sa.select(
            ranking_set.c.id, ranking_set.c.as_of, ranking_set.c.window_from, ranking_set.c.window_to,
            ranking_set.c.made_at, ranking_set.c.source, rank.c.rank, rank.c.tokens, rank.c.share, rank.c.score,
        )
        .outerjoin(rank, rank.c.set_id == ranking_set.c.id)
        .where(_of(dimension, category), ranking_set.c.state.in_(("published", "superseded")))
        .order_by(ranking_set.c.made_at, ranking_set.c.id, rank.c.rank.desc())
    )  # fmt: skip
    # two of its names may be ranked: the better one counts
    return list(
        {
            row.id: {
                "as_of": row.as_of,
                "window": _window(row),
                "made_at": instant(row.made_at),
                "source": row.source,
                "rank": row.rank,
                "tokens": row.tokens,
                "share": _number(row.share),
                "score": _number(row.score),
            }
            for row in rows
        }.values()
    )


def _place(key: tuple[str, str | None]) -> tuple[int, str, str]:
    """In the order of the table of dimensions."""
    return _PLACES.get(key[0], len(_PLACES)), key[0], key[1] or ""


def _about(row: Any) -> dict[str, Any]:
    told = BY_NAME.get(row.dimension)
    return {
        "dimension": row.dimension,
        "category": row.category,
        "title": row.dimension if told is None else told.title,
        "category_title": _category_title(row),
        "source": row.source,
        "is_derived": row.source == "derived",
        "is_estimate": bool(row.facts.get("is_estimate", False)),
        "as_of": row.as_of,
        "window": _window(row),
        "made_at": instant(row.made_at),
        "citation": row.citation,
    }


def _unit(dimension: Dimension | None, source: str) -> str | None:
    """Of what it is ordered by; the order of a list has none."""
    if dimension is None:
        return None
    is_of_tokens = dimension.order == "tokens" and source == "data-api"
    return "tokens" if is_of_tokens else dimension.unit


def _category_title(row: Any) -> str | None:
    if row.category is None:
        return None
    titles: Mapping[str, str] = {"category": CATEGORIES, "modality": MODALITIES}.get(row.dimension, {})
    return titles.get(row.category) or row.facts.get("title") or str(row.category)


def _window(row: Any) -> dict[str, str] | None:
    if row.window_from is None or row.window_to is None:
        return None
    return {"from": row.window_from.isoformat(), "to": row.window_to.isoformat()}


def _line(row: Any, dimension: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    told = BY_NAME.get(dimension)
    partial: Mapping[str, int] = facts.get("partial") or {}
    is_author = told is not None and told.is_of_authors
    return {
        "rank": row.rank,
        "model": row.model_id,
        "slug": row.slug,
        "is_known": None if is_author else row.model_id is not None,
        "tokens": row.tokens,
        "is_lower_bound": row.slug in partial,
        "days_counted": None if row.tokens is None else partial.get(row.slug, facts.get("days")),
        "share": _number(row.share),
        "change": None if row.previous_rank is None else row.previous_rank - row.rank,
        "previous_rank": row.previous_rank,
        "growth": _number(row.growth),
        "trend": row.trend,
        "score": _number(row.score),
    }


def _number(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _plain(value: Any) -> Any:
    """JSON values with exact numbers as strings."""
    if isinstance(value, Decimal):
        return plain(value)
    return {name: _plain(it) for name, it in value.items()} if isinstance(value, dict) else value
