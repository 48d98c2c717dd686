"""Rankings that OpenRouter does not publish, computed from what is known of the models; pure.

None of them names inactive models, aliases, routers or ``:batch`` rows: nobody could choose those. What a model is
ordered by must be known of it; of equal ones the id decides in the end, so that the order never depends on chance.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from statistics import median

from llmhive.catalog.counting import facts_of, last_counted, share_of, window
from llmhive.catalog.dimension import (
    MOST_RANKS,
    PROMPTS_PER_COMPLETION,
    TRENDING_DAYS,
    TRENDING_GROWTH,
    TRENDING_SHARE,
    WEEK_DAYS,
)
from llmhive.catalog.identity import identify
from llmhive.catalog.pricing import EXACT, NOT_PER_TOKEN, canonical, per_million
from llmhive.catalog.ranking import OTHER, Count, Join, Rank, Ranking, base_of, citation

_WEEK = timedelta(days=WEEK_DAYS)
_ROUNDING = Context(prec=60)
_PLACES = Decimal("0.000001")
_TREND_WEEKS = 4


@dataclass(frozen=True, slots=True)
class Listed:
    """What derived rankings need to know of a model."""

    id: str
    canonical_slug: str | None
    is_active: bool
    pricing_kind: str  #: fixed, free, dynamic, unknown
    prompt_price: Decimal | None  #: USD per token
    completion_price: Decimal | None
    context_length: int | None
    input_modalities: Sequence[str]
    output_modalities: Sequence[str]
    supported_parameters: Sequence[str]

    @property
    def is_choosable(self) -> bool:
        """Whether a request may name it and knows what it gets."""
        identity = identify(self.id)
        is_router = self.pricing_kind == "dynamic"
        return self.is_active and not identity.is_alias and not is_router and identity.variant != "batch"

    @property
    def blended(self) -> Decimal | None:
        """USD per million tokens, three prompt tokens to one completion token; None where it is not a known number."""
        if self.pricing_kind != "fixed" or self.prompt_price is None or self.completion_price is None:
            return None
        if NOT_PER_TOKEN & set(self.output_modalities):
            return None
        total = EXACT.add(EXACT.multiply(PROMPTS_PER_COMPLETION, self.prompt_price), self.completion_price)
        return per_million(EXACT.divide(total, PROMPTS_PER_COMPLETION + 1))


@dataclass(frozen=True, slots=True)
class Serving:
    """What derived rankings need to know of an active endpoint."""

    model_id: str
    is_healthy: bool | None  #: None: not known
    throughput_p50: float | None  #: tokens a second
    uptime_last_1d: float | None  #: percent
    uptime_last_30m: float | None  #: percent


def join_of(models: Iterable[Listed]) -> Join:
    """From permaslugs to these models."""
    return Join((it.id, it.canonical_slug, identify(it.id).variant, it.is_active) for it in models)


def standing_of(leaderboard: Ranking | None) -> dict[str, int]:
    """The rank of each model on the leaderboard; empty without one."""
    standing: dict[str, int] = {}
    for it in leaderboard.ranks if leaderboard is not None else ():
        if it.model_id is not None:
            standing.setdefault(it.model_id, it.rank)
    return standing


# --- from token counts


def trending(counts: Sequence[Count], models: Sequence[Listed], *, until: date, as_of: str | None) -> Ranking:
    """Whose use grows, by daily counts of at least 5 weeks; slugs that the catalog does not know are kept."""
    last = last_counted(counts, until)
    join, choosable = join_of(models), {it.id for it in models if it.is_choosable}
    daily = _daily(counts)

    def order_at(end: date) -> dict[str, Fraction]:
        grown = {
            slug: growth
            for slug, growth in _growths(daily, counts, end).items()
            if (model_id := join.match(slug)) is None or model_id in choosable
        }
        return dict(sorted(grown.items(), key=lambda it: (-it[1], it[0]))[:MOST_RANKS])

    now, found = window(counts, base_of, last, WEEK_DAYS), order_at(last)
    previous = {slug: rank for rank, slug in enumerate(order_at(last - _WEEK), start=1)}
    weeks = [window(counts, base_of, last - back * _WEEK, WEEK_DAYS) for back in reversed(range(_TREND_WEEKS))]
    ranks = tuple(
        Rank(
            rank,
            slug,
            join.match(slug),
            tokens=now.tokens[slug],
            share=share_of(now.tokens[slug], now.total),
            score=_rounded(Decimal(growth.numerator), Decimal(growth.denominator)),
            previous_rank=previous.get(slug),
            growth=_rounded(Decimal(growth.numerator), Decimal(growth.denominator)),
            trend=tuple(week.tokens.get(slug) for week in weeks),
        )
        for rank, (slug, growth) in enumerate(found.items(), start=1)
    )
    first = last - _WEEK + timedelta(days=1)
    return Ranking(
        "trending", None, "derived", as_of, first, last, ranks, facts_of(now, ranks), citation(as_of)
    )  # fmt: skip


def _daily(counts: Iterable[Count]) -> Mapping[str, Mapping[date, int]]:
    """Model → day → tokens, variants added to their base."""
    daily: defaultdict[str, defaultdict[date, int]] = defaultdict(lambda: defaultdict(int))
    for it in counts:
        if it.slug != OTHER:
            daily[base_of(it.slug)][it.begins] += it.tokens
    return daily


def _growths(daily: Mapping[str, Mapping[date, int]], counts: Sequence[Count], last: date) -> dict[str, Fraction]:
    """Who grew enough in the week that ends with `last`, and by how much: the rule of the dimension's formula."""
    week = window(counts, base_of, last, WEEK_DAYS)
    grown = {}
    for slug, by_day in daily.items():
        now, before = (
            [tokens for day, tokens in by_day.items() if end - _WEEK < day <= end] for end in (last, last - _WEEK)
        )
        if min(len(now), len(before)) < TRENDING_DAYS or sum(now) < TRENDING_SHARE * week.total:
            continue
        # of an even number of days the median is the mean of the middle two
        base = Fraction(median(map(Fraction, before)))
        growth = Fraction(median(map(Fraction, now))) / base - 1 if base else None
        if growth is not None and growth > Fraction(TRENDING_GROWTH):
            grown[slug] = growth
    return grown


def tools(models: Sequence[Listed], leaderboard: Ranking) -> Ranking:
    """The models of the leaderboard that can call tools."""
    able = {it.id for it in models if it.is_choosable and "tools" in it.supported_parameters}
    chosen = [it for it in leaderboard.ranks if it.model_id in able]
    ranks = tuple(
        Rank(rank, it.slug, it.model_id, tokens=it.tokens, share=it.share) for rank, it in enumerate(chosen, start=1)
    )
    return Ranking(
        "tools", None, "derived", leaderboard.as_of, leaderboard.window_from, leaderboard.window_to, ranks,
        {"is_estimate": False}, leaderboard.citation,
    )  # fmt: skip


# --- from the catalog


def lowest_cost(models: Iterable[Listed], *, as_of: str | None) -> Ranking:
    """The cheapest text models."""
    scores = {
        it.id: price
        for it in models
        if it.is_choosable and set(it.output_modalities) == {"text"} and (price := it.blended) is not None and price > 0
    }
    return _by_score("lowest_cost", scores, {}, as_of, lowest_first=True)


def long_context(models: Iterable[Listed], standing: Mapping[str, int], *, as_of: str | None) -> Ranking:
    """The models that read the most at once."""
    scores = {it.id: Decimal(it.context_length) for it in models if it.is_choosable and it.context_length}
    return _by_score("long_context", scores, _ties(standing), as_of)


def multimodal(models: Iterable[Listed], standing: Mapping[str, int], *, as_of: str | None) -> Ranking:
    """The models that take the most kinds of input."""
    scores = {
        it.id: Decimal(len(kinds))
        for it in models
        if it.is_choosable and (kinds := set(it.input_modalities) - {"text"})
    }
    return _by_score("multimodal", scores, _ties(standing), as_of)


def best_value(
    models: Iterable[Listed], indexes: Mapping[str, Decimal], *, as_of: str | None, citation: str | None
) -> Ranking:
    """Who gives the most intelligence for a dollar; `indexes` are intelligence indexes by model id."""
    indexed = [it for it in models if it.is_choosable and it.id in indexes]
    least = median(indexes[it.id] for it in indexed) if indexed else Decimal(0)
    scores = {
        it.id: _rounded(indexes[it.id], price)
        for it in indexed
        if indexes[it.id] >= least and (price := it.blended) is not None and price > 0
    }
    return _by_score("best_value", scores, {}, as_of, citation=citation)


# --- from the endpoints


def fastest(models: Iterable[Listed], endpoints: Iterable[Serving], *, as_of: str | None) -> Ranking:
    """The models with the fastest healthy endpoint."""
    choosable = {it.id for it in models if it.is_choosable}
    scores: dict[str, Decimal] = {}
    for it in endpoints:
        if it.model_id in choosable and it.is_healthy and it.throughput_p50 is not None:
            measured = canonical(Decimal(repr(it.throughput_p50)))
            scores[it.model_id] = max(measured, scores.get(it.model_id, measured))
    return _by_score("fastest", scores, {}, as_of)


def most_reliable(models: Iterable[Listed], endpoints: Iterable[Serving], *, as_of: str | None) -> Ranking:
    """The models with the best uptime."""
    choosable = {it.id for it in models if it.is_choosable}
    scores: dict[str, Decimal] = {}
    healthy: defaultdict[str, int] = defaultdict(int)
    for it in endpoints:
        if it.model_id not in choosable:
            continue
        healthy[it.model_id] += it.is_healthy is True
        uptime = it.uptime_last_30m if it.uptime_last_1d is None else it.uptime_last_1d
        if uptime is not None:
            measured = canonical(Decimal(repr(uptime)))
            scores[it.model_id] = max(measured, scores.get(it.model_id, measured))
    return _by_score("most_reliable", scores, {model_id: -number for model_id, number in healthy.items()}, as_of)


def _ties(standing: Mapping[str, int]) -> Mapping[str, int]:
    """Who is ranked comes before who is not."""
    return {model_id: rank - MOST_RANKS - 1 for model_id, rank in standing.items()}


def _by_score(
    dimension: str,
    scores: Mapping[str, Decimal],
    ties: Mapping[str, int],
    as_of: str | None,
    *,
    lowest_first: bool = False,
    citation: str | None = None,
) -> Ranking:
    """Order by score, then by the lowest of `ties` (0 where there is none), then by id."""
    sign = 1 if lowest_first else -1
    order = sorted(scores, key=lambda it: (sign * scores[it], ties.get(it, 0), it))[:MOST_RANKS]
    ranks = tuple(Rank(rank, it, it, score=scores[it]) for rank, it in enumerate(order, start=1))
    return Ranking(dimension, None, "derived", as_of, None, None, ranks, {"is_estimate": False}, citation)


def _rounded(number: Decimal, by: Decimal) -> Decimal:
    return _ROUNDING.divide(number, by).quantize(_PLACES, ROUND_HALF_EVEN, _ROUNDING)
