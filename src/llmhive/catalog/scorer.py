"""How models stand for a need: which offers meet it, what they cost, the marks that makes, and the order. Design 4.9.

A `Scorer` is made once per version of the catalog and scores any need in microseconds. It decides by columns of
numbers; amounts that people see are computed again, exactly, by a `Choice`. Every formula is in docs/selection.md.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np

from llmhive.catalog import capability, marks
from llmhive.catalog.condition import Condition, Origin, conditions
from llmhive.catalog.cost import Tariffs
from llmhive.catalog.identity import identify
from llmhive.catalog.marks import FINE, UNPRICED
from llmhive.catalog.names import Named, Names
from llmhive.catalog.need import Need
from llmhive.catalog.offers import PLAIN, REQUESTS, TEXT, TRACE, Offers, serving
from llmhive.catalog.quality import TASKS, blended, columns, pieces
from llmhive.catalog.request import QUANTIZATIONS
from llmhive.catalog.role import NEAREST
from llmhive.catalog.routing import near
from llmhive.catalog.selectable import Selectable, Stock
from llmhive.errors import NotFound, Unpriced, UsageError

#: A stronger model has so much more quality, at least.
STRONGER = 0.01
#: Modalities that OpenRouter documents.
MODALITIES = frozenset(
    {"text", "image", "file", "audio", "video", "embeddings", "rerank", "speech", "transcription"}
)  # fmt: skip
_OUT = 4 * FINE  #: behind every score
_FAINT = 1e-30  #: a weight that is nothing beside any other


class Scored(NamedTuple):
    """What a need comes to: the models that qualify, and how they stand. Columns are of all models that somebody
    serves; what they say of one that does not qualify means nothing.
    """

    need: Need
    conditions: list[Condition]
    offers: int  #: those that meet all conditions
    marks: Mapping[str, Any]  #: part → a column of marks
    behind: Any  #: minus the score, in whole parts of `FINE`; above 0: it does not qualify
    costs: Any  #: USD for the usage, as expected; infinite: not known
    top: list[int]  #: numbers of the best, in order
    current: int | None  #: the number of the model in use, where it qualifies
    is_kept: bool  #: whether it is first only because nobody is better by the margin

    def score(self, number: int) -> float:
        """The score of a model that qualifies, 0 to 1."""
        return -float(self.behind[number]) / FINE

    def place(self, number: int) -> int:
        """Where a model that qualifies stands among all of them, from 1."""
        behind, prices, quality = self.behind, prices_of(self.costs, self.need), _fine(self.marks["quality"])
        is_equal = behind == behind[number]
        is_ahead = behind < behind[number]
        for column in (prices, -quality, np.arange(len(behind))):
            is_ahead |= is_equal & (column < column[number])
            is_equal &= column == column[number]
        return int(np.count_nonzero(is_ahead)) + 1

    @property
    def total(self) -> int:
        """How many models qualify."""
        return int(np.count_nonzero(self.behind <= 0))


class Scorer:
    """The models of one version of the catalog, to be scored for any need."""

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
        listed = (it.row[f"{way}_modalities"] for it in models for way in ("input", "output"))
        self._modalities = MODALITIES.union(*listed)
        self.unserved = self._unserved()  #: the active models that nobody serves at the moment, and why

    def score(self, need: Need) -> Scored:
        """What a need comes to. Raises `UsageError` and `NotFound` as `Selector.select`."""
        offers = self.offers
        if need.require or need.inputs or need.outputs or need.quantizations:
            self._check(need)
        origin = None if need.of is None else self._origin(need.of, need)
        asked = conditions(offers, self.names, need, origin)
        left = offers.all
        for condition in asked:
            left &= condition[2]
        if not left:
            return Scored(need, asked, 0, {}, _NONE, _NONE, [], None, False)
        unpriced = left & offers.unpriced(need)
        is_out, costs, seconds = self._expected(need, left, unpriced)
        by_quality, by_price, by_speed = need.weights
        quality, price = self._quality[need.task], marks.of_costs(costs, need.tokens)
        if unpriced:
            price[np.isinf(costs)] = UNPRICED
        parts = {"quality": quality, "price": price}
        if need.role == "replacement" and need.of is not None:
            parts = self._nearness(self.meant(need.of), need, costs) | {"quality": quality}
            behind = np.sum([NEAREST[part] * -FINE * mark for part, mark in parts.items()], axis=0)
        else:
            behind = quality * (by_quality * -FINE)
            behind += price * (by_price * -FINE)
            if seconds is not None:
                parts["speed"] = marks.of_seconds(seconds)
                behind += parts["speed"] * (by_speed * -FINE)
        _ROUND(behind, behind)
        _PUT(behind, is_out, _OUT)
        top = self._top(behind, costs, quality, need)
        scored = Scored(need, asked, left, parts, behind, costs, top, None, False)
        return scored if need.stick_to is None else self._stuck(scored, need.stick_to)

    # --- what an offer costs and how long it takes

    def _expected(self, need: Need, left: int, unpriced: int) -> tuple[Any, Any, Any]:
        """Which models do not qualify, USD that the usage is expected to cost at each, and seconds to an answer (None:
        no weight is on them). What is said of a model that does not qualify means nothing.
        """
        offers = self.offers
        costs = offers.prices(need.each[0]).costs(need)
        if need.sort == "throughput" or unpriced or "degraded" in need.allow:
            with np.errstate(divide="ignore", invalid="ignore"):
                return self._seldom(need, left, costs, unpriced)
        flags = offers.weights(left)
        per_dollar = flags / costs
        if need.sort == "price":
            dearest = np.maximum.reduceat(per_dollar, offers.starts)
            return dearest < _FAINT, 1 / dearest, None
        # both sums in one go: shares of a dollar, and their squares
        pairs = np.empty(offers.count, np.complex128)
        pairs.real = per_dollar
        per_dollar *= per_dollar
        pairs.imag = per_dollar
        sums = _SUMS(pairs, offers.starts)
        weights = sums.imag
        seconds = self._mean_seconds(need, per_dollar * flags) if need.weights[2] else None
        return weights < TRACE, sums.real / weights, seconds

    def _seldom(self, need: Need, left: int, costs: Any, unpriced: int) -> tuple[Any, Any, Any]:
        """As `_expected`, where the fastest offer is asked first, where only a model's best band has weight, or where
        some have no known price: those have none.
        """
        offers = self.offers
        flags = offers.flags(left)
        if need.sort is None and "degraded" in need.allow:
            flags = self._best_band(flags)
        is_priced = 1 - offers.flags(unpriced)
        per_dollar = flags * is_priced / costs
        if need.sort == "throughput":
            return self._fastest(need, flags, per_dollar)
        is_out = np.maximum.reduceat(flags, offers.starts) == 0
        if need.sort == "price":
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

    def _top(self, behind: Any, costs: Any, quality: Any, need: Need) -> list[int]:
        """The best in order: by score, of equal ones by price, then by quality, then by id."""
        most = min(max(need.limit, 2), len(behind))
        ahead = behind.copy()
        ahead.partition(most - 1)
        numbers = (behind <= min(float(ahead[most - 1]), 0.0)).nonzero()[0]
        scores, found = behind[numbers].tolist(), numbers.tolist()
        if len(set(scores)) == len(scores):
            return [number for _, number in sorted(zip(scores, found, strict=True))[:most]]
        ties = prices_of(costs[numbers], need).tolist(), _fine(-quality[numbers]).tolist()
        return [it[3] for it in sorted(zip(scores, *ties, found, strict=True))[:most]]

    def _stuck(self, scored: Scored, name: str) -> Scored:
        """The order with the model in use first, unless another is better by the margin."""
        number, top, behind = self.offers.number.get(self.names.meant(name) or ""), scored.top, scored.behind
        if number is None or behind[number] > 0:
            return scored
        scored = scored._replace(current=number)
        if top[0] == number or behind[number] - behind[top[0]] >= round(scored.need.margin * FINE):
            return scored
        return scored._replace(top=[number, *(it for it in top if it != number)][: len(top)], is_kept=True)

    def _unserved(self) -> dict[str, str]:
        return {
            model_id: "its endpoints are in outage, or of a service tier" if it.offers else "nobody serves it"
            for model_id, it in self.models.items()
            if it.row["is_active"] and model_id not in self.offers.number
        }

    # --- models to start from

    def meant(self, name: str) -> Selectable:
        """The model that a name means, active or not; raises `NotFound`."""
        model_id = self.names.meant(name)
        if model_id is None:
            raise NotFound(self.names.why_missing(name))
        return self.models[model_id]

    def _origin(self, name: str, need: Need) -> Origin:
        it = self.meant(name)
        row, task = it.row, TASKS[need.task]
        quality = blended(pieces(self.stock.evidence, row["id"], task))
        stronger = itself = 0
        if need.role == "escalation":
            better = np.flatnonzero(self._quality[need.task] >= quality + STRONGER - 1e-12).tolist()
            for number in better:
                stronger |= self.offers.bits[number]
        if row["id"] in self.offers.number:
            itself |= self.offers.bits[self.offers.number[row["id"]]]
        itself |= self._variants.get(_base(row), 0)
        return Origin(row["id"], row["family"], tuple(row["output_modalities"]), quality, stronger, itself)

    def _nearness(self, origin: Selectable, need: Need, costs: Any) -> dict[str, Any]:
        """How near models are to one that is to be replaced, part by part."""
        family, able = self._look.nearness(origin.row)
        is_priced = origin.row["pricing_kind"] in {"fixed", "free"}
        cost = charged(Tariffs(origin.pricing), need, self.stock.at) if is_priced else None
        price = marks.of_nearness(costs, None if cost is None else float(cost), need.tokens)
        return {"family": family, "capability": able, "price": price}

    # --- what may be asked

    def _check(self, need: Need) -> None:
        for name in need.require:
            if name not in self._known:
                raise UsageError(
                    f"no model lists {name!r}, and there is no such capability{near(name, self._known)}; "
                    "`llmhive capabilities` shows them"
                )
        if need.inputs or need.outputs:
            for name in (*need.inputs, *need.outputs):
                if name not in self._modalities:
                    known = ", ".join(sorted(self._modalities))
                    raise UsageError(f"there is no modality {name!r}{near(name, self._modalities)}: known are {known}")
        for name in need.quantizations:
            if name not in QUANTIZATIONS and name not in self.offers.quantizations:
                known = ", ".join(sorted(QUANTIZATIONS))
                raise UsageError(f"there is no quantization {name!r}: known are {known}")

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


def charged(tariffs: Tariffs, need: Need, at: datetime) -> Decimal | None:
    """USD that the need's usage costs under a pricing at an instant, exact; None where that is not known."""
    tariff = tariffs.at(need.each[0], at)
    small = tariffs.rates_at(0, at) if tariffs.thresholds else tariff.rates
    if small[PLAIN] is None or small[TEXT] is None or small[REQUESTS] is None:
        return None
    if any(rate is None and quantity for rate, quantity in zip(tariff.rates, need.quantities, strict=True)):
        return None
    try:
        return tariff.charge(need.typical)
    except Unpriced:
        return None


def prices_of(costs: Any, need: Need) -> Any:
    """USD per million tokens of a need's usage, in parts of `FINE`, of what it costs."""
    return np.rint(costs * (1e6 / need.tokens * FINE))


def _fine(column: Any) -> Any:
    return np.rint(column * FINE)


#: Looked up once: they stand in the way of every choice.
_SUMS, _ROUND, _PUT = np.add.reduceat, np.rint, np.putmask
_NONE: Any = np.empty(0)
