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
_OUT = 4 * FINE  #: behind every score
_TRACE = 1e-140  #: a weight whose square is nothing beside any other's
_FAINT = 1e-30  #: a weight that is nothing beside any other
_NO_TIME = 1e-9  #: seconds
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
    behind: Any  #: minus the score, in whole parts of `FINE`; above 0: it does not qualify
    costs: Any  #: USD for the usage, as expected; infinite: not known
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
        return self._ranked(need, asked, left, routing)

    def _ranked(self, need: Need, asked: list[Condition], left: int, routing: Routing) -> Ranked:
        is_out, costs, seconds = self._expected(need, left, routing)
        by_quality, by_price, by_speed = need.weights
        quality = self._quality[need.task]
        price = np.log10(costs)
        price *= -1 / _DECADES
        price += _FREE_OF_DECADES - math.log10(1e6 / need.tokens) / _DECADES
        np.maximum(np.minimum(price, 1.0, out=price), 0.0, out=price)
        if left & self.offers.kinds["unpriced"]:
            price[np.isinf(costs)] = UNPRICED
        marks = {"quality": quality, "price": price}
        if need.role == "replacement" and need.of is not None:
            marks = self._nearness(self._meant(need.of), need, costs) | {"quality": quality}
            behind = sum(NEAREST[part] * -FINE * mark for part, mark in marks.items())
        else:
            behind = (by_quality * -FINE) * quality
            behind += (by_price * -FINE) * price
            if seconds is not None:
                marks["speed"] = _speed(seconds)
                behind += (by_speed * -FINE) * marks["speed"]
        np.rint(behind, out=behind)
        behind += is_out * _OUT
        total = len(is_out) - int(np.count_nonzero(is_out))
        top, kept = self._top(behind, costs, need, total), None
        if need.stick_to is not None:
            top, kept = self._stuck(need, top, behind, costs)
        return Ranked(asked, left, routing, total, marks, behind, costs, top, kept)

    # --- what an offer costs and how long it takes

    def _expected(self, need: Need, left: int, routing: Routing) -> tuple[Any, Any, Any]:
        """Which models do not qualify, USD that the usage is expected to cost at each, and seconds to an answer (None:
        no weight is on them). What is said of a model that does not qualify means nothing.
        """
        offers = self.offers
        costs = offers.prices(need.each[0]).costs(need.quantities)
        flags = offers.flags(left)
        if "degraded" in need.allow and routing == "balanced":
            flags = self._best_band(flags)
        if routing == "throughput" or left & offers.kinds["unpriced"]:
            with np.errstate(divide="ignore", invalid="ignore"):
                return self._seldom(need, flags, costs, left, routing)
        # what is out has a trace of weight, so that nothing is divided by zero
        per_dollar = (flags + _TRACE) / costs
        if routing == "price":
            dearest = np.maximum.reduceat(per_dollar, offers.starts)
            return np.maximum.reduceat(flags, offers.starts) == 0, 1 / dearest, None
        squares = per_dollar * per_dollar
        weights = np.add.reduceat(squares, offers.starts)
        expected = np.add.reduceat(per_dollar, offers.starts)
        expected /= weights
        return weights < _TRACE, expected, self._mean_seconds(need, squares * flags) if need.weights[2] else None

    def _seldom(self, need: Need, flags: Any, costs: Any, left: int, routing: Routing) -> tuple[Any, Any, Any]:
        """As `_expected`, where the fastest offer is asked first, or some have no known price: those have no weight."""
        offers = self.offers
        is_priced = 1 - offers.flags(left & offers.kinds["unpriced"])
        per_dollar = flags * is_priced / costs
        if routing == "throughput":
            return self._fastest(need, flags, per_dollar)
        is_out = np.maximum.reduceat(flags, offers.starts) == 0
        if routing == "price":
            return is_out, 1 / np.maximum.reduceat(per_dollar, offers.starts), None
        squares = per_dollar * per_dollar
        weights = np.add.reduceat(squares, offers.starts)
        expected = np.where(weights > 0, np.add.reduceat(per_dollar, offers.starts) / weights, np.inf)
        # what costs nobody knows what counts where nothing else does
        weighed = np.where(is_priced, squares, _FAINT * flags)
        return is_out, expected, self._mean_seconds(need, weighed) if need.weights[2] else None

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
        return offers.first_token + need.each[1] / offers.tokens_a_second

    def _mean_seconds(self, need: Need, squares: Any) -> Any:
        """The mean over the offers of a model that are measured, by their weights; infinite where none is."""
        offers = self.offers
        weights = np.where(offers.is_measured, squares, 0.0)
        spent = np.where(offers.is_measured, weights * self._seconds(need), 0.0)
        total = np.add.reduceat(weights, offers.starts)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(total > 0, np.add.reduceat(spent, offers.starts) / total, np.inf)

    def _fastest(self, need: Need, flags: Any, per_dollar: Any) -> tuple[Any, Any, Any]:
        """The offer with the highest throughput, of equal ones the cheapest."""
        offers = self.offers
        speeds = np.where(flags, offers.tokens_a_second, -2.0)
        best = np.maximum.reduceat(speeds, offers.starts)
        is_best = speeds == best[offers.of]
        shown = np.where(is_best, per_dollar, -1.0)
        cheapest = np.maximum.reduceat(shown, offers.starts)
        # equal costs may be a trace apart as floats
        is_chosen = is_best & (shown >= cheapest[offers.of] * (1 - 1e-12)) & offers.is_measured
        seconds = np.where(is_chosen, self._seconds(need), np.inf)
        # an offer of no known price has a share of 0 in a dollar, one that is out less
        return best == -2.0, np.where(cheapest < 0, np.inf, 1 / cheapest), np.minimum.reduceat(seconds, offers.starts)

    # --- order

    def _top(self, behind: Any, costs: Any, need: Need, total: int) -> list[tuple[float, float, int]]:
        """The best, in order: by score, of equal ones by price, then by id."""
        most = min(max(need.limit, 2), total)
        ahead = behind.copy()
        ahead.partition(most - 1)
        numbers = (behind <= ahead[most - 1]).nonzero()[0]
        prices = np.rint(costs[numbers] * (1e6 / need.tokens * FINE))
        return sorted(zip(behind[numbers].tolist(), prices.tolist(), numbers.tolist(), strict=True))[:most]

    def _stuck(
        self, need: Need, top: list[tuple[float, float, int]], behind: Any, costs: Any
    ) -> tuple[list[tuple[float, float, int]], float | None]:
        """The order with the model in use first, unless another is better by the margin."""
        number = self.offers.number.get(self.names.meant(need.stick_to or "") or "")
        if number is None or top[0][2] == number or (mine := float(behind[number])) > 0:
            return top, None
        ahead = mine - top[0][0]
        if ahead >= round(need.margin * FINE):
            return top, None
        stays = (mine, float(np.rint(costs[number] * (1e6 / need.tokens * FINE))), number)
        return [stays, *(it for it in top if it[2] != number)][: max(need.limit, 2)], ahead

    def place(self, need: Need, ranked: Ranked, number: int) -> int:
        """Where a model that qualifies stands among all of them, from 1."""
        behind, prices = ranked.behind, np.rint(ranked.costs * (1e6 / need.tokens * FINE))
        ties = behind == behind[number]
        ties &= (prices < prices[number]) | ((prices == prices[number]) & (np.arange(len(behind)) < number))
        return int(np.count_nonzero(behind < behind[number]) + np.count_nonzero(ties)) + 1

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

    def _nearness(self, origin: Selectable, need: Need, costs: Any) -> dict[str, Any]:
        """How near models are to one that is to be replaced, part by part."""
        family, able = self._look.nearness(origin.row)
        cost = charged(origin.pricing, need, self.stock)
        least = _FREE * need.tokens / 1e6
        if cost is None or origin.row["pricing_kind"] not in {"fixed", "free"}:
            price = np.full(len(family), UNPRICED)
        elif not cost:
            price = np.where(costs <= least, 1.0, UNPRICED)
        else:
            is_priced = np.isfinite(costs) & (costs > least)
            apart = np.abs(np.log10(np.where(is_priced, costs, 1.0) / float(cost)))
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
    # no time at all is as good as very little
    marks = 1.0 - np.log10(np.where(known, np.maximum(seconds, _NO_TIME), 1.0)) / _SLOWEST_DECADES
    return np.where(known, np.minimum(np.maximum(marks, 0.0), 1.0), UNMEASURED)


_NONE: Any = np.empty(0)
