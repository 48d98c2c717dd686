"""Which models a need is best served by: the offers that meet it, their marks, their order. START READING HERE.

A `Selector` is made once per version of the catalog and answers any number of needs in microseconds. It decides by
columns of numbers; what people read of a choice is made by the `Shortlist`, when they do. Every formula stands in
docs/selection.md with an example. Design 4.9.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import numpy as np

from llmhive.catalog import capability
from llmhive.catalog.condition import Condition, Origin, conditions
from llmhive.catalog.cost import Tariffs
from llmhive.catalog.identity import identify
from llmhive.catalog.names import Named, Names
from llmhive.catalog.need import Need
from llmhive.catalog.offers import Offers, serving
from llmhive.catalog.pricing import Pricing
from llmhive.catalog.quality import blended, columns, pieces, task_of
from llmhive.catalog.role import NEAREST
from llmhive.catalog.routing import near
from llmhive.catalog.selectable import Selectable, Stock
from llmhive.catalog.shortlist import Shortlist
from llmhive.errors import NotFound, Unpriced, UsageError

#: How OpenRouter is asked to pick an endpoint: by its own weights, the cheapest first, or the fastest first.
Routing = Literal["balanced", "price", "throughput"]

#: Scores are compared to so many parts of 1.
FINE = 1e9
#: The price mark is 1 at so many USD per million tokens, and less by a quarter for each power of ten.
_CHEAPEST, _DECADES = 0.01, 4.0
_FREE_OF_DECADES = math.log10(_CHEAPEST) / _DECADES + 1
#: The price mark of what has no known price, and the speed mark of what nobody measured.
UNPRICED, UNMEASURED = 0.25, 0.25
#: The speed mark is 1 where an answer takes a second, and 0 where it takes a hundred.
_SLOWEST_DECADES = 2.0
#: A stronger model has so much more quality, at least.
STRONGER = 0.01
_PRICE_SPAN = 2.0  #: powers of ten in price that are no nearness at all
_FAINT = 1e-30  #: a weight that is nothing beside any other
_FREE = 1e-9  #: USD per million tokens that are nothing


class Ranked(NamedTuple):
    """What a need comes to: the models that qualify, and how they stand. Columns are of all models that somebody
    serves; what they say of one that does not qualify means nothing.
    """

    conditions: list[Condition]
    offers: int  #: those that meet all conditions
    routing: Routing
    total: int  #: how many models qualify
    marks: Mapping[str, Any]  #: part → a column of marks
    scores: Any  #: whole numbers of `FINE`; not a number: it does not qualify
    per_million: Any  #: USD per million tokens of the usage, as expected; infinite: not known
    top: list[tuple[float, float, int]]  #: minus score, price, number: the best, in order
    kept: float | None  #: where the model in use was kept: by how much another is better, in parts of `FINE`


class Selector:
    """The models of one version of the catalog, to be chosen from."""

    def __init__(self, stock: Stock) -> None:
        """`stock` may have its models in any order."""
        self.stock = stock
        models = sorted(stock.models, key=lambda it: it.row["id"])
        self.models: dict[str, Selectable] = {it.row["id"]: it for it in models}
        self.offers = Offers([it for it in models if it.row["is_active"] and serving(it)], stock.at)
        self.names = Names(
            Named(it.row["id"], it.row["canonical_slug"], it.row["variant"], it.row["is_active"]) for it in models
        )
        self._quality = columns(stock.evidence, self.offers.ids)
        self._look = _Looks(self.offers.models)
        self._variants: defaultdict[str, int] = defaultdict(int)
        for it, bits in zip(self.offers.models, self.offers.bits, strict=True):
            self._variants[_base(it.row)] |= bits
        self._known = self._requirable()
        self.unserved = self._unserved()  #: the active models that nobody serves at the moment, and why

    def select(self, need: Need, doubts: tuple[str, ...] = ()) -> Shortlist:
        """The models that serve a need best; none where no model meets it. `doubts`: what to mind of the catalog.

        Raises `UsageError` for a capability, a parameter or a task that there is not, and `NotFound` for a model to
        start from that was never seen.
        """
        return Shortlist(self, need, self.rank(need), doubts)

    def rank(self, need: Need) -> Ranked:
        """As `select`, in numbers."""
        self._check(need)
        origin = None if need.of is None else self._origin(need.of, need)
        asked = conditions(self.offers, self.names, need, origin)
        left = self.offers.all
        for condition in asked:
            left &= condition[2]
        routing = routing_of(need)
        if not left:
            return Ranked(asked, 0, routing, 0, {}, _NONE, _NONE, [], None)
        # a model that does not qualify costs nothing, nothing times: what that comes to is never looked at
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._ranked(need, asked, left, routing)

    def _ranked(self, need: Need, asked: list[Condition], left: int, routing: Routing) -> Ranked:
        # what does not qualify costs no number, and so scores none
        weights, costs, seconds = self._expected(need, left, routing)
        per_million = costs * (1e6 / need.tokens)
        by_quality, by_price, by_speed = need.weights
        quality = self._quality[need.task]
        price = np.log10(per_million)
        price *= -1 / _DECADES
        price += _FREE_OF_DECADES
        np.maximum(np.minimum(price, 1.0, out=price), 0.0, out=price)
        if left & self.offers.kinds["unpriced"]:
            price[np.isinf(per_million)] = UNPRICED
        marks = {"quality": quality, "price": price}
        if need.role == "replacement" and need.of is not None:
            marks = self._nearness(self._meant(need.of), need, per_million) | {"quality": quality}
            score = sum(NEAREST[part] * mark for part, mark in marks.items())
            score[weights == 0] = np.nan
        else:
            score = by_quality * quality
            score += by_price * price
            if seconds is not None:
                marks["speed"] = _speed(seconds)
                score += by_speed * marks["speed"]
        score *= FINE
        scores = np.rint(score, out=score)
        total = int(np.count_nonzero(weights))
        top, kept = self._top(scores, per_million, total, max(need.limit, 2)), None
        if need.stick_to is not None:
            top, kept = self._stuck(need, top, scores, per_million)
        return Ranked(asked, left, routing, total, marks, scores, per_million, top, kept)

    # --- what an offer costs and how long it takes

    def _expected(self, need: Need, left: int, routing: Routing) -> tuple[Any, Any, Any]:
        """Which models qualify (not 0), USD that the usage is expected to cost there (no number where they do not), and
        seconds to an answer (None: no weight is on them).
        """
        offers = self.offers
        costs = offers.prices(need.each[0]).costs(need.quantities)
        flags = offers.flags(left)
        if "degraded" in need.allow and routing == "balanced":
            flags = self._best_band(flags)
        per_dollar = flags / costs
        if unknown := left & offers.kinds["unpriced"]:
            return self._partly_priced(need, flags, per_dollar, unknown, routing)
        if routing == "balanced":
            squares = per_dollar * per_dollar
            weights = np.add.reduceat(squares, offers.starts)
            expected = np.add.reduceat(per_dollar, offers.starts)
            expected /= weights
            seconds = self._mean_seconds(need, squares) if need.weights[2] else None
            return weights, expected, seconds
        if routing == "throughput":
            return self._fastest(need, flags, per_dollar)
        dearest = np.maximum.reduceat(per_dollar, offers.starts)
        return dearest, dearest / dearest / dearest, None

    def _partly_priced(
        self, need: Need, flags: Any, per_dollar: Any, unknown: int, routing: Routing
    ) -> tuple[Any, Any, Any]:  # fmt: skip
        """As `_expected`, where some offers that qualify have no known price: those have no weight."""
        offers = self.offers
        per_dollar = np.where(offers.flags(unknown), 0.0, per_dollar)
        if routing == "throughput":
            return self._fastest(need, flags, per_dollar)
        is_fit = np.maximum.reduceat(flags, offers.starts)
        if routing == "price":
            costs = 1 / np.maximum.reduceat(per_dollar, offers.starts)
            return is_fit, np.where(is_fit, costs, np.nan), None
        squares = per_dollar * per_dollar
        weights = np.add.reduceat(squares, offers.starts)
        expected = np.where(weights > 0, np.add.reduceat(per_dollar, offers.starts) / weights, np.inf)
        # what costs nobody knows what counts where nothing else does
        weighed = np.where(offers.flags(unknown) & flags, _FAINT, squares)
        seconds = self._mean_seconds(need, weighed) if need.weights[2] else None
        return is_fit, np.where(is_fit, expected, np.nan), seconds

    def _best_band(self, flags: Any) -> Any:
        """Of each model only the endpoints of the best band that it has: others are asked when those fail."""
        offers = self.offers
        for band in (offers.healthy, offers.middling):
            mine = flags & offers.flags(band)
            has = np.maximum.reduceat(mine, offers.starts)[offers.of]
            flags = np.where(has, mine, flags)
        return flags

    def _seconds(self, need: Need) -> Any:
        """Seconds to a whole answer at each offer; only where it is measured they mean anything."""
        offers = self.offers
        return offers.first_token + need.each[1] / np.abs(offers.tokens_a_second)

    def _mean_seconds(self, need: Need, squares: Any) -> Any:
        """The mean over the offers of a model that are measured, by their weights; infinite where none is."""
        offers = self.offers
        weights = np.where(offers.is_measured, squares, 0.0)
        spent = np.where(offers.is_measured, weights * self._seconds(need), 0.0)
        total = np.add.reduceat(weights, offers.starts)
        return np.where(total > 0, np.add.reduceat(spent, offers.starts) / total, np.inf)

    def _fastest(self, need: Need, flags: Any, per_dollar: Any) -> tuple[Any, Any, Any]:
        """The offer with the highest throughput, of equal ones the cheapest."""
        offers = self.offers
        speeds = np.where(flags, offers.tokens_a_second, -2.0)
        best = np.maximum.reduceat(speeds, offers.starts)
        is_best = speeds == best[offers.of]
        shown = np.where(is_best, per_dollar, -1.0)
        cheapest = np.maximum.reduceat(shown, offers.starts)
        is_chosen = is_best & (shown == cheapest[offers.of]) & offers.is_measured
        seconds = np.where(is_chosen, self._seconds(need), np.inf)
        is_fit = best > -2.0
        return is_fit, np.where(is_fit, 1 / cheapest, np.nan), np.minimum.reduceat(seconds, offers.starts)

    # --- order

    def _top(self, scores: Any, per_million: Any, total: int, most: int) -> list[tuple[float, float, int]]:
        """The best, in order: by score, of equal ones by price, then by id."""
        if total > most:
            behind = -scores  # where no numbers come last
            behind.partition(most - 1)
            numbers = (scores >= -behind[most - 1]).nonzero()[0]
        else:
            numbers = (scores >= 0).nonzero()[0]
        prices = np.rint(per_million[numbers] * FINE)
        return sorted(zip((-scores[numbers]).tolist(), prices.tolist(), numbers.tolist(), strict=True))[:most]

    def _stuck(
        self, need: Need, top: list[tuple[float, float, int]], scores: Any, per_million: Any
    ) -> tuple[list[tuple[float, float, int]], float | None]:
        """The order with the model in use first, unless another is better by the margin."""
        number = self.offers.number.get(self.names.meant(need.stick_to or "") or "")
        if number is None or top[0][2] == number or math.isnan(score := float(scores[number])):
            return top, None
        ahead = -top[0][0] - score
        if ahead >= round(need.margin * FINE):
            return top, None
        mine = (-score, float(np.rint(per_million[number] * FINE)), number)
        return [mine, *(it for it in top if it[2] != number)][: len(top)], ahead

    def place(self, ranked: Ranked, number: int) -> int:
        """Where a model that qualifies stands among all of them, from 1."""
        scores, prices = ranked.scores, np.rint(ranked.per_million * FINE)
        ties = scores == scores[number]
        ties &= (prices < prices[number]) | ((prices == prices[number]) & (np.arange(len(scores)) < number))
        return int(np.count_nonzero(scores > scores[number]) + np.count_nonzero(ties)) + 1

    def _unserved(self) -> dict[str, str]:
        return {
            model_id: "its endpoints are in outage, or of a service tier" if it.offers else "nobody serves it"
            for model_id, it in self.models.items()
            if it.row["is_active"] and model_id not in self.offers.number
        }

    def doubts(self, need: Need) -> Iterable[str]:
        """Names of a need that mean nothing here: they may be misspelled, or gone."""
        for field, listed in (("models", need.models), ("exclude", need.exclude)):
            for entry in listed:
                if not ("*" in entry and self.offers.matching(entry)) and self.names.meant(entry) is None:
                    yield f"`{field}` names {entry}, which is no model here"
        for field, listed in (("providers", need.providers), ("exclude_providers", need.exclude_providers)):
            for name in listed:
                if name.casefold() not in self.offers.providers:
                    yield f"`{field}` names {name}, which serves nothing here{near(name, self.offers.providers)}"
        if need.stick_to is not None and self.names.meant(need.stick_to) is None:
            yield f"`stick_to` names {need.stick_to}, which is no model here"

    # --- models to start from

    def _meant(self, name: str) -> Selectable:
        model_id = self.names.meant(name)
        if model_id is None:
            raise NotFound(self.names.why_missing(name))
        return self.models[model_id]

    def _origin(self, name: str, need: Need) -> Origin:
        it = self._meant(name)
        row, task = it.row, task_of(need.task)
        quality = blended(pieces(self.stock.evidence, row["id"], task))
        stronger = itself = 0
        if need.role == "escalation":
            better = np.flatnonzero(self._quality[need.task] >= quality + STRONGER - 1e-12).tolist()
            for number in better:
                stronger |= self.offers.bits[number]
        if row["id"] in self.offers.number:
            itself |= self.offers.bits[self.offers.number[row["id"]]]
        itself |= self._variants.get(_base(row), 0)
        return Origin(
            row["id"], row["family"], row["canonical_slug"], tuple(row["output_modalities"]), quality, stronger, itself
        )

    def _nearness(self, origin: Selectable, need: Need, per_million: Any) -> dict[str, Any]:
        """How near models are to one that is to be replaced, part by part."""
        family, able = self._look.nearness(origin.row)
        cost = charged(origin.pricing, need, self.stock)
        is_priced = np.isfinite(per_million) & (per_million > _FREE)
        if cost is None or origin.row["pricing_kind"] not in {"fixed", "free"}:
            price = np.full(len(family), UNPRICED)
        elif not cost:
            price = np.where(per_million <= _FREE, 1.0, UNPRICED)
        else:
            apart = np.abs(np.log10(per_million * (need.tokens / 1e6 / float(cost))))
            price = np.where(is_priced, np.maximum(1.0 - apart / _PRICE_SPAN, 0.0), UNPRICED)
        return {"family": family, "capability": able, "price": price}

    # --- what may be asked

    def _check(self, need: Need) -> None:
        for name in need.require:
            if name not in self._known:
                raise UsageError(
                    f"no model lists {name!r}, and there is no such capability{near(name, self._known)}; "
                    "`llmhive capabilities` shows them"
                )
        if need.task not in self._quality:
            task_of(need.task)

    def _requirable(self) -> frozenset[str]:
        """Capabilities, and parameters that some model lists."""
        parameters = {name for it in self.models.values() for name in it.row["supported_parameters"]}
        return frozenset({it.name for it in capability.CAPABILITIES} | parameters | set(self.offers.has))


class _Looks:
    """What makes models alike, as columns."""

    def __init__(self, models: Iterable[Selectable]) -> None:
        rows = [it.row for it in models]
        self._family = np.array([it["family"] for it in rows], dtype=object)
        self._author = np.array([it["author"] for it in rows], dtype=object)
        self._size = np.array([identify(it["id"]).size for it in rows], dtype=object)
        self._created = np.array(
            [-math.inf if (at := it["created_at"]) is None else at.timestamp() for it in rows], dtype=np.float64
        )
        self._names = [it.name for it in capability.CAPABILITIES]
        able = [capability.capabilities(it) for it in rows]
        self._able = np.array([[name in it for name in self._names] for it in able], dtype=np.float64)

    def nearness(self, row: Mapping[str, Any]) -> tuple[Any, Any]:
        """How near models are in family, and in what they can do, each 0 to 1."""
        same = self._family == row["family"]
        created = row["created_at"]
        newer = np.zeros(len(same)) if created is None else (self._created >= created.timestamp()).astype(np.float64)
        family = np.where(
            same,
            0.6 + 0.2 * (self._size == identify(row["id"]).size) + 0.2 * newer,
            0.3 * (self._author == row["author"]),
        )
        able = capability.capabilities(row)
        wanted = np.array([name in able for name in self._names], dtype=np.float64)
        share = self._able @ wanted / wanted.sum() if wanted.any() else np.ones(len(same))
        return family, share


def _base(row: Mapping[str, Any]) -> str:
    """What the variants of a model share."""
    found: str = row["canonical_slug"] or row["id"].partition(":")[0]
    return found


def routing_of(need: Need) -> Routing:
    """How OpenRouter is to pick an endpoint, for the weights of a need."""
    by_quality, by_price, by_speed = need.weights
    if by_speed > 0 and by_speed >= by_price:
        return "throughput"
    return "price" if by_quality == 0 and by_speed == 0 else "balanced"


def charged(pricing: Pricing, need: Need, stock: Stock) -> Decimal | None:
    """USD that the need's usage costs under a pricing, exact; None where that is not known."""
    try:
        return Tariffs(pricing).at(need.each[0], stock.at).charge(need.typical)
    except Unpriced:
        return None


def _speed(seconds: Any) -> Any:
    """The speed mark of seconds to an answer."""
    known = np.isfinite(seconds)
    marks = 1.0 - np.log10(np.where(known, seconds, 1.0)) / _SLOWEST_DECADES
    return np.where(known, np.minimum(np.maximum(marks, 0.0), 1.0), UNMEASURED)


_NONE: Any = np.empty(0)
