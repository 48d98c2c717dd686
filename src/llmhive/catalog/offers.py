"""Who offers what, as bitsets and columns: made once per version of the catalog, so that a choice takes microseconds.

Offers are numbered by model id, then in the order in which they stand there; bit n of a number stands for the n-th. A
model whose endpoints are not known has one offer, made of what it is listed with. Columns are floats: they decide what
comes before what, amounts that people see are computed again exactly.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmhive.catalog import capability
from llmhive.catalog.cost import PARTS, Tariffs
from llmhive.catalog.endpoint import Endpoint, Health, is_healthy, tier_of
from llmhive.catalog.identity import identify
from llmhive.catalog.index import Range
from llmhive.catalog.need import Need
from llmhive.catalog.pricing import Pricing
from llmhive.catalog.routing import Candidate, band_of, is_in_outage
from llmhive.catalog.selectable import Selectable

Floats = NDArray[np.float64]
#: USD for one of each of `PARTS`; None: not known.
Rates = tuple[Decimal | None, ...]

#: Capabilities that are about what a model gives: to ask for one is to ask for more than text.
GIVES = frozenset(
    {"image_output", "audio_output", "video_output", "embeddings", "rerank", "speech", "transcription"}
)  # fmt: skip
#: Seconds to the first token where they are not known and the throughput is.
SLOW_START = 2.0
#: What stands for a rate of zero in columns: far below every price, and no division by zero.
_NOTHING = 1e-24
_NAMES = tuple(part.name for part in PARTS)
PLAIN, TEXT, REQUESTS = (_NAMES.index(name) for name in ("plain", "text", "requests"))
#: A weight whose square is nothing beside any other's.
TRACE = 1e-140
#: Byte → its eight bits as weights.
_WEIGHTS: Floats = np.where(
    np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little"), 1.0, TRACE
)
#: What a need may limit, and which of `PARTS` that is.
_LIMITED = {"prompt": PLAIN, "completion": TEXT}


class Prices:
    """What the offers cost for prompts of one size: those above a threshold and up to the next."""

    def __init__(self, rates: Sequence[Rates], base: Prices | None = None) -> None:
        """`rates` of each offer; `base`: what they cost for small prompts, where this is another size."""
        self._rates = rates
        differ = range(len(rates)) if base is None else [n for n, it in enumerate(rates) if it is not base._rates[n]]
        table = np.empty((len(rates), len(PARTS))) if base is None else base.rates.T.copy()
        for number in differ:
            table[number] = [float(rate) if rate else _NOTHING for rate in rates[number]]
        #: USD for one of each of `PARTS` (rows) at each offer (columns)
        self.rates: Floats = np.ascontiguousarray(table.T)
        self._usual = np.ascontiguousarray(self.rates[[PLAIN, TEXT]])
        self._requests = self.rates[REQUESTS].copy()
        #: part → the offers of which its rate is not known
        self.unknown: dict[int, int] = {}
        lacks: dict[int, list[int]] = {}  # by the identity of rates, which many offers share
        for number, it in enumerate(rates):
            if (parts := lacks.get(id(it))) is None:
                parts = lacks[id(it)] = [part for part, rate in enumerate(it) if rate is None]
            for part in parts:
                self.unknown[part] = self.unknown.get(part, 0) | 1 << number
        #: those of which what every request needs is not known
        self.unpriced = 0
        for part in (PLAIN, TEXT, REQUESTS):
            self.unpriced |= self.unknown.get(part, 0)
        self._charges_requests = bool((self._requests > _NOTHING).any())
        self._limits: dict[str, _Limits] = {
            unit: _Limits(rates, part) if base is None else _Limits(rates, part, differ, base._limits[unit])
            for unit, part in _LIMITED.items()
        }

    def costs(self, need: Need) -> Floats:
        """USD that the usage of a need costs at each offer."""
        quantities = need.quantities
        if need.is_plain:
            # what most needs are about, in a third of the time
            found: Floats = np.array((quantities[PLAIN], quantities[TEXT]), dtype=np.float64) @ self._usual
            return found + quantities[REQUESTS] * self._requests if self._charges_requests else found
        whole: Floats = np.asarray(quantities, dtype=np.float64) @ self.rates
        return whole

    def at_most(self, unit: str, limit: Decimal) -> int:
        """The offers whose rate of prompt or completion is at most this (USD per token), here and for small prompts."""
        return self._limits[unit].at_most(limit)


class _Limits:
    """Offers by their rate of one part; few have tiers, so of another size only those are put in order again."""

    def __init__(
        self, rates: Sequence[Rates], part: int, differ: Sequence[int] | None = None, base: _Limits | None = None
    ) -> None:
        """`differ`: the offers whose rates are others than those of `base`, which is of small prompts."""
        self._rates = [it[part] for it in rates]
        self._base, self._same = base, 0
        own = self._rates
        if base is not None:
            own = [None] * len(rates)
            for number in differ or ():
                rate, low = self._rates[number], base._rates[number]
                own[number] = None if rate is None or low is None else max(rate, low)
            self._same = ((1 << len(rates)) - 1) & ~sum(1 << number for number in differ or ())
        self._own = Range(own)

    def at_most(self, limit: Decimal) -> int:
        found = self._own.at_most(limit)
        return found if self._base is None else found | (self._same & self._base.at_most(limit))


class Offers:
    """All offers of the models that somebody serves."""

    def __init__(self, models: Sequence[Selectable], at: datetime) -> None:
        """`models` are active ones by id, each with an offer that is `serving`; windows of prices are those of `at`."""
        self.models = tuple(models)
        self.at = at
        self.ids = [it.row["id"] for it in models]
        self.number = {model_id: number for number, model_id in enumerate(self.ids)}
        self.candidates: list[Candidate] = []
        starts, of, self.bits = [], [], []
        self.listed = 0  #: those made of what their model is listed with
        for number, it in enumerate(models):
            offers = serving(it)
            first = len(self.candidates)
            bits = ((1 << len(offers)) - 1) << first
            if not it.offers:
                self.listed |= bits
            starts.append(first)
            of += [number] * len(offers)
            self.candidates += offers
            self.bits.append(bits)
        self.count = len(self.candidates)
        self.all = (1 << self.count) - 1
        self._bytes = (self.count + 7) // 8
        self.starts = np.array(starts, dtype=np.intp)
        self.of = np.array(of, dtype=np.intp)
        # an alias is matched as what it is an alias of, too: whoever is not to be asked is not asked by another name
        self._folded = sorted(
            (name, number)
            for number, model_id in enumerate(self.ids)
            for name in {model_id.lower(), model_id.lower().removeprefix("~")}
        )
        #: ids without their author
        self.bare: dict[str, int] = defaultdict(int)
        for model_id, bits in zip(self.ids, self.bits, strict=True):
            self.bare[model_id.rpartition("/")[2].lower()] |= bits
        self._matches: dict[str, int] = {}
        self._cells: dict[int, Mapping[str, capability.Cell]] = {}
        self._lasting: dict[date, int] = {}
        #: what is allowed, whether text is wanted, the days to last → the conditions; there are few combinations
        self.usual: dict[tuple[tuple[str, ...], bool, int], tuple[tuple[str, Any, int], ...]] = {}
        self._read_models()
        self._read_endpoints()
        self._read_health()
        self._read_prices()

    def flags(self, bits: int) -> NDArray[np.uint8]:
        """Bits as a column of 0 and 1."""
        packed = np.frombuffer(bits.to_bytes(self._bytes, "little"), np.uint8)
        # by position: names take a third longer
        return np.unpackbits(packed, None, self.count, "little")

    def weights(self, bits: int) -> Floats:
        """Bits as a column of 1, and of a `TRACE` where they are not set, so that nothing is divided by zero."""
        packed = np.frombuffer(bits.to_bytes(self._bytes, "little"), np.uint8)
        # a byte after the other: unpacking bits and adding to them takes twice as long
        return _WEIGHTS[packed].reshape(-1)[: self.count]

    def numbers(self, bits: int) -> list[int]:
        """The numbers of the offers that bits stand for."""
        found = []
        while bits:
            lowest = bits & -bits
            found.append(lowest.bit_length() - 1)
            bits ^= lowest
        return found

    def cells(self, number: int) -> Mapping[str, capability.Cell]:
        """What is known of what a model can do."""
        if (known := self._cells.get(number)) is None:
            known = self._cells[number] = capability.cells(self.models[number].row)
        return known

    def matching(self, pattern: str) -> int:
        """The offers of the models whose id an entry with ``*`` means."""
        if (known := self._matches.get(pattern)) is None:
            known = self._match(pattern.lower())
            if len(self._matches) >= 10_000:
                self._matches.clear()
            self._matches[pattern] = known
        return known

    def unpriced(self, need: Need) -> int:
        """The offers of which it is not known what a need's usage costs."""
        prices = self.prices(need.each[0])
        found = self.left_out["unpriced"] | prices.unpriced
        if not need.is_plain:
            for part, bits in prices.unknown.items():
                if need.quantities[part]:
                    found |= bits
        return found

    def prices(self, prompt: int) -> Prices:
        """What offers cost for a prompt of so many tokens."""
        return self._tiers[bisect_left(self._thresholds, prompt)]

    def _match(self, pattern: str) -> int:
        found = 0
        begin, _, end = pattern.partition("*")
        if "*" in end:
            for folded, number in self._folded:
                if _globs(folded, pattern):
                    found |= self.bits[number]
            return found
        first = bisect_left(self._folded, (begin, -1))
        for folded, number in self._folded[first:]:
            if not folded.startswith(begin):
                break
            if folded.endswith(end) and len(folded) >= len(begin) + len(end):
                found |= self.bits[number]
        return found

    # --- columns

    def _read_models(self) -> None:
        #: what is left out unless it is allowed
        self.left_out = dict.fromkeys(("free", "batch", "router", "alias", "unpriced", "degraded"), 0)
        self.inputs: dict[str, int] = defaultdict(int)
        self.outputs: dict[str, int] = defaultdict(int)
        self.families: dict[str, int] = defaultdict(int)
        for it, bits in zip(self.models, self.bits, strict=True):
            row, identity = it.row, identify(it.row["id"])
            if row["pricing_kind"] == "free":
                self.left_out["free"] |= bits
            if identity.variant == "batch":
                self.left_out["batch"] |= bits
            if identity.is_alias:
                self.left_out["alias"] |= bits
            if capability.is_router(row["id"], row["pricing_kind"], row.get("tokenizer")):
                self.left_out["router"] |= bits
            if row["pricing_kind"] not in {"fixed", "free"}:
                self.left_out["unpriced"] |= bits
            for modality in row["input_modalities"]:
                self.inputs[modality] |= bits
            for modality in row["output_modalities"]:
                self.outputs[modality] |= bits
            self.families[row["family"]] |= bits

    def lasting(self, day: date) -> int:
        """The offers of models that do not expire before a day, nor on it."""
        if (known := self._lasting.get(day)) is None:
            gone = 0
            for number in self.expiring:
                if self.models[number].row["expiration_date"] <= day:
                    gone |= self.bits[number]
            if len(self._lasting) >= 1000:
                self._lasting.clear()
            known = self._lasting[day] = self.all & ~gone
        return known

    def _read_endpoints(self) -> None:
        self.expiring = [n for n, it in enumerate(self.models) if it.row["expiration_date"] is not None]
        self.has: dict[str, int] = defaultdict(int)
        self.quantizations: dict[str, int] = defaultdict(int)
        self.providers: dict[str, int] = defaultdict(int)
        self.zdr = 0
        able: dict[frozenset[str], int] = defaultdict(int)
        for number, (candidate, model) in enumerate(zip(self.candidates, self.of.tolist(), strict=True)):
            bit, it = 1 << number, candidate.endpoint
            able[capability.of_endpoint(self.models[model].row, it)] |= bit
            self.quantizations[(it.quantization or "unknown").casefold()] |= bit
            if candidate.is_zdr is True:
                self.zdr |= bit
            if not self.listed & bit:
                for name in _callings(candidate):
                    self.providers[name] |= bit
        for names, bits in able.items():
            for name in names:
                self.has[name] |= bits
        endpoints = [it.endpoint for it in self.candidates]
        self.context = Range([it.context_length for it in endpoints])
        self.output = Range([it.max_completion_tokens for it in endpoints])
        # no limit that is known stands in no one's way
        self.largest_answer = Range([_or(it.max_completion_tokens, math.inf) for it in endpoints])
        self.limits_prompts = any(it.max_prompt_tokens is not None for it in endpoints)
        self.largest_prompt = Range([_or(it.max_prompt_tokens, math.inf) for it in endpoints])

    def _read_health(self) -> None:
        self.healthy = self.middling = 0
        health = [it.health for it in self.candidates]
        for number, it in enumerate(health):
            bit = 1 << number
            if is_healthy(it) is not False:
                self.healthy |= bit
            if band_of(it) == "degraded":
                self.middling |= bit
        self.left_out["degraded"] = self.all & ~self.healthy
        self.uptime = Range([it.uptime for it in health])
        self.latency = Range([None if it.latency_p50 is None else it.latency_p50 / 1000 for it in health])
        self.throughput = Range([it.throughput_p50 for it in health])
        #: tokens a second; -1: not known, as none at all is no speed that anybody measured
        self.tokens_a_second: Floats = np.array([it.throughput_p50 or -1.0 for it in health], dtype=np.float64)
        self.first_token: Floats = np.array(
            [SLOW_START if it.latency_p50 is None else it.latency_p50 / 1000 for it in health], dtype=np.float64
        )
        self.is_measured = self.tokens_a_second > 0

    def _read_prices(self) -> None:
        compiled: dict[Pricing, Tariffs] = {}
        for candidate in self.candidates:
            pricing = candidate.endpoint.pricing
            if pricing not in compiled:
                compiled[pricing] = Tariffs(pricing)
        self.compiled = compiled  #: each pricing that an offer has, made ready to charge
        self.tariffs = [compiled[it.endpoint.pricing] for it in self.candidates]
        self._thresholds = sorted({threshold for it in compiled.values() for threshold in it.thresholds})
        small = {pricing: it.rates_at(0, self.at) for pricing, it in compiled.items()}
        self._tiers = [Prices([small[it.endpoint.pricing] for it in self.candidates])]
        for threshold in self._thresholds:
            large = dict(small)
            for pricing, it in compiled.items():
                if it.thresholds and (rates := it.rates_at(threshold + 1, self.at)) != small[pricing]:
                    large[pricing] = rates
            self._tiers.append(Prices([large[it.endpoint.pricing] for it in self.candidates], self._tiers[0]))
        self.left_out["unpriced"] |= self._tiers[0].unpriced


def is_as_listed(it: Selectable) -> bool:
    """Whether what a model is listed with stands for its endpoints: they are not known, or it is a router or an alias,
    which has none of its own.
    """
    if it.offers:
        return False
    row = it.row
    passes_on = identify(row["id"]).is_alias or capability.is_router(
        row["id"], row["pricing_kind"], row.get("tokenizer")
    )
    return it.offers is None or passes_on


def serving(it: Selectable) -> tuple[Candidate, ...]:
    """The offers of a model that may serve an ordinary request: none in outage, none of a service tier, which serves
    only who asks for it; where its endpoints are not known, the one it is listed with.
    """
    if is_as_listed(it):
        return (_as_listed(it),)
    offers = (each for each in it.offers or () if tier_of(each.endpoint.tag) is None and not is_in_outage(each.health))
    # in which order they stand must not show
    return tuple(sorted(offers, key=lambda each: each.name))


def _as_listed(it: Selectable) -> Candidate:
    row = it.row
    endpoint = Endpoint(
        row["id"], "", "", context_length=row["context_length"], max_completion_tokens=row["max_completion_tokens"],
        pricing=it.pricing, supported_parameters=tuple(row["supported_parameters"]),
    )  # fmt: skip
    return Candidate(endpoint, Health())


def _callings(candidate: Candidate) -> Iterable[str]:
    """What preferences may call an endpoint by: its tag, how that begins, its provider's name and slug."""
    parts = candidate.endpoint.tag.casefold().split("/")
    yield from ("/".join(parts[:length]) for length in range(1, len(parts) + 1))
    yield from {candidate.endpoint.provider_name.casefold(), (candidate.provider_slug or parts[0]).casefold()}


def _globs(text: str, pattern: str) -> bool:
    """Whether a pattern with several ``*`` is the whole of a text."""
    first, *between, last = pattern.split("*")
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return False
    place, end = len(first), len(text) - len(last)
    for part in between:
        found = text.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return True


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
