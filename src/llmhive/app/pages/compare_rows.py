"""Models side by side, row by row: what each has, who has the best, and which rows differ; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from llmhive.app import wording
from llmhive.app.pages import calls, fields, words
from llmhive.catalog.capability import CAPABILITIES
from llmhive.catalog.pricing import EXACT, PER_TOKEN, UNITS, canonical, counts_tokens, exact

Told = Mapping[str, Any]  #: a model as lists have it (`document.listed`)
#: Rankings that are compared where anybody has a rank: name, title.
RANKINGS = (
    ("leaderboard", "Leaderboard"), ("most_used", "Most used"), ("trending", "Trending"),
    ("programming", "Programming"), ("tool_calling", "Tool calling"), ("best_value", "Best value"),
    ("fastest", "Fastest"), ("most_reliable", "Most reliable"),
)  # fmt: skip
_INDICES = {
    "intelligence_index": "Intelligence index", "coding_index": "Coding index", "agentic_index": "Agentic index",
}  # fmt: skip
_MEASURED = {
    "elo:models:codecategories": "Elo, code", "elo:models:website": "Elo, websites", "gpqa_diamond": "GPQA diamond",
}  # fmt: skip
_STATES = {"yes": "yes", "no": "no"}


class Cost(NamedTuple):
    """What calls cost at a model, in USD."""

    amount: Decimal | None  #: of all calls; None: not known
    why: str | None = None  #: why it is not known
    incomplete: tuple[str, ...] = ()  #: why it may be more
    counted: str = ""  #: as what, where that is not plain


@dataclass(frozen=True)
class Column:
    """All that is known of one model."""

    told: Told
    cells: Mapping[str, str] = field(default_factory=dict)  #: capability → yes, no, unknown
    ranks: Mapping[str, int] = field(default_factory=dict)  #: ranking → rank
    measures: Mapping[str, Decimal] = field(default_factory=dict)  #: metric → value
    endpoints: Sequence[Told] | None = None  #: active ones; None: nobody asked yet
    cost: Cost = field(default=Cost(None))

    @property
    def id(self) -> str:
        """The model's."""
        found: str = self.told["id"]
        return found

    @property
    def counts_tokens(self) -> bool:
        """Whether its prices are for tokens: none can be compared with those of characters, seconds or searches."""
        return counts_tokens(self.told["output_modalities"])


class Cell(NamedTuple):
    """What one model has."""

    text: str
    number: Decimal | None = None  #: to compare by
    hint: str = ""  #: more of it
    more: str = ""  #: a second line
    mark: str = ""  #: why it is the best of the row: lowest, highest


class Row(NamedTuple):
    """One thing of all models."""

    title: str
    cells: tuple[Cell, ...]
    differs: bool


class Group(NamedTuple):
    """Rows of one kind."""

    title: str
    rows: tuple[Row, ...]
    note: str = ""


Of = Callable[[Column], Cell]
_UNKNOWN = Cell(words.UNKNOWN)


def groups(columns: Sequence[Column], ranked: frozenset[str], *, usage: str) -> list[Group]:
    """All rows in their groups; `ranked` are the rankings that there are, `usage` what the cost is for, in words."""
    priced = [it.cost.incomplete for it in columns if it.cost.amount is not None and it.counts_tokens]
    shared = tuple(it for it in (priced[0] if priced else ()) if all(it in other for other in priced))
    found = [
        ("Cost for this usage", _costs(columns, shared), "; ".join((usage, *(f"or more: {it}" for it in shared)))),
        ("Prices, USD", _prices(columns), ""),
        ("Limits", _limits(columns), "tokens"),
        ("Modalities", _modalities(columns), ""),
        ("Capabilities", _capabilities(columns), "unknown: OpenRouter does not say"),
        ("Ranks", _ranks(columns, ranked), "1 is the first"),
        ("Benchmarks", _measures(columns), "the higher the better"),
        ("Endpoints", _endpoints(columns), ""),
        ("Status", _status(columns), ""),
    ]
    return [Group(title, rows, note) for title, it, note in found if (rows := tuple(it))]


def only_different(found: Sequence[Group]) -> list[Group]:
    """Without the rows in which all models are the same."""
    return [it._replace(rows=rows) for it in found if (rows := tuple(row for row in it.rows if row.differs))]


def row(title: str, cells: Sequence[Cell], *, best: str = "") -> Row:
    """A row; `best` is ``lowest`` or ``highest`` where one of them is better."""
    numbers = [it.number for it in cells if it.number is not None]
    top = None
    if best and len(numbers) > 1 and min(numbers) != max(numbers):
        top = min(numbers) if best == "lowest" else max(numbers)
    told = tuple(it._replace(mark=best) if top is not None and it.number == top else it for it in cells)
    return Row(title, told, differs({(it.text, it.more) for it in cells}))


def differs(values: set[Any]) -> bool:
    """Whether there is more than one."""
    return len(values) > 1


def ratio(amount: Decimal, lowest: Decimal) -> str:
    """How many times the lowest an amount is: ``1.8 ×``; empty where the lowest is nothing."""
    if not lowest:
        return ""
    times = amount / lowest
    return f"{times:.2f} ×" if times < Decimal("1.095") else f"{times:.1f} ×" if times < 10 else f"{times:,.0f} ×"


# --- the groups


def _costs(columns: Sequence[Column], shared: Sequence[str]) -> Iterator[Row]:
    """`shared`: why all of them may be more, which is told once."""
    # of the same number, characters are another usage than tokens
    costs = [it.cost if it.counts_tokens else Cost(None, calls.UNITS) for it in columns]
    known = [it.amount for it in costs if it.amount is not None]
    lowest = min(known, default=None)
    cells = [_cost(cost, shared) for cost in costs]
    told = [
        cell if it.counts_tokens else cell._replace(text=f"{words.UNKNOWN}: {calls.NO_TOKENS}")
        for it, cell in zip(columns, cells, strict=True)
    ]
    yield row("Total", told, best="lowest")
    if lowest is not None and len(known) > 1:
        yield row("Beside the cheapest", [_beside(it.amount, lowest) for it in costs])


def _cost(it: Cost, shared: Sequence[str]) -> Cell:
    if it.amount is None:
        return Cell(words.UNKNOWN, hint=it.why or "")
    own = [doubt for doubt in it.incomplete if doubt not in shared]
    more = [it.counted] if it.counted else []
    more += [f"or more: {'; '.join(own)}"] if own else []
    return Cell(words.usd(it.amount), it.amount, more="; ".join(more))


def _beside(amount: Decimal | None, lowest: Decimal) -> Cell:
    if amount is None:
        return _UNKNOWN
    if amount == lowest:
        return Cell("the cheapest")
    return Cell(ratio(amount, lowest) or "more than nothing")


def _prices(columns: Sequence[Column]) -> Iterator[Row]:
    listed = {unit for it in columns for unit, value in it.told["pricing"].items() if exact(value) is not None}
    units = [it for it in (*UNITS, *sorted(listed - set(UNITS))) if it in {*listed, "prompt", "completion"}]
    for unit in units:
        # one may count characters, another seconds: OpenRouter does not say
        is_same = unit not in PER_TOKEN or all(it.counts_tokens for it in columns)
        yield row(words.unit_name(unit), [_price(it.told, unit) for it in columns], best="lowest" if is_same else "")
    conditions = [_conditions(it.told) for it in columns]
    if any(it.text != "none" for it in conditions):
        yield row("Other prices", conditions)


def _price(told: Told, unit: str) -> Cell:
    number = exact(told["pricing"].get(unit))
    if number is None and unit not in {"prompt", "completion"}:
        return Cell(fields.NOT_LISTED, hint="OpenRouter lists no price for it")
    text = words.price(number, unit, told["pricing_kind"], told["output_modalities"])
    if number is None or text in {words.UNKNOWN, words.VARIES, words.FREE}:
        return Cell(text, number if text == words.FREE else None)
    held = told["held"].get(f"pricing.{unit}")
    more = "held: OpenRouter serves another, unconfirmed" if held else ""
    return Cell(text, number, f"{words.usd(number)} each", more)


def _conditions(told: Told) -> Cell:
    overrides = told["pricing"].get("overrides")
    found = [
        wording.condition({name: value for name, value in it.items() if name not in UNITS})
        for it in (overrides if isinstance(overrides, list) else ())
        if isinstance(it, Mapping)
    ]
    return Cell("; ".join(found) or "none")


def _limits(columns: Sequence[Column]) -> Iterator[Row]:
    for title, name in (("Context", "context_length"), ("Max output", "max_completion_tokens")):
        yield row(title, [_count(it.told[name] or None) for it in columns], best="highest")


def _count(number: int | None) -> Cell:
    return _UNKNOWN if number is None else Cell(words.count(number), Decimal(number))


def _modalities(columns: Sequence[Column]) -> Iterator[Row]:
    for title, name in (("Takes", "input_modalities"), ("Gives", "output_modalities")):
        yield row(title, [Cell(", ".join(sorted(it.told[name])) or words.UNKNOWN) for it in columns])


def _capabilities(columns: Sequence[Column]) -> Iterator[Row]:
    for it in CAPABILITIES:
        cells = [Cell(_STATES.get(each.cells.get(it.name, ""), words.UNKNOWN)) for each in columns]
        yield row(_sentence(words.capability_label(it.name)), cells)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _ranks(columns: Sequence[Column], ranked: frozenset[str]) -> Iterator[Row]:
    for name, title in RANKINGS:
        if name != "leaderboard" and not any(name in it.ranks for it in columns):
            continue
        missing = Cell("not ranked") if name in ranked else _UNKNOWN
        cells = [
            Cell(f"{rank:,}", Decimal(rank)) if (rank := it.ranks.get(name)) is not None else missing for it in columns
        ]
        yield row(title, cells, best="lowest")


def _measures(columns: Sequence[Column]) -> Iterator[Row]:
    for metric, title in (_INDICES | _MEASURED).items():
        cells = [
            _UNKNOWN if (value := it.measures.get(metric)) is None else Cell(f"{canonical(value):f}", value)
            for it in columns
        ]
        if metric in _INDICES or any(it.number is not None for it in cells):
            yield row(title, cells, best="highest")


def _endpoints(columns: Sequence[Column]) -> Iterator[Row]:
    yield row(
        "Endpoints", [_UNKNOWN if it.endpoints is None else Cell(words.count(len(it.endpoints))) for it in columns]
    )
    yield row("Best uptime, a day", [_best(it, _uptime, max, words.uptime) for it in columns], best="highest")
    yield row("First token, the soonest", [_best(it, _latency, min, _seconds) for it in columns], best="lowest")
    yield row("Tokens a second, the most", [_best(it, _speed, max, "{:.0f}".format) for it in columns], best="highest")
    yield row("Keeps no data", [_zdr(it.endpoints) for it in columns])


def _best(
    it: Column, of_one: Callable[[Told], Any], pick: Callable[[list[Any]], Any], tell: Callable[[Any], str]
) -> Cell:
    known = [value for each in it.endpoints or () if (value := of_one(each)) is not None]
    return Cell(tell(pick(known)), Decimal(str(pick(known)))) if known else _UNKNOWN


def _uptime(it: Told) -> Any:
    return it["uptime_last_1d"]


def _latency(it: Told) -> Any:
    return (it["latency_ms"] or {}).get("p50")


def _speed(it: Told) -> Any:
    return (it["throughput_tps"] or {}).get("p50")


def _seconds(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.2f} s"


def _zdr(endpoints: Sequence[Told] | None) -> Cell:
    known = [it["is_zdr"] for it in endpoints or () if it["is_zdr"] is not None]
    if not known:
        return _UNKNOWN
    return Cell(f"{sum(known)} of {len(endpoints or ())} endpoints" if any(known) else "no endpoint")


def _status(columns: Sequence[Column]) -> Iterator[Row]:
    yield row("Served", [_served(it.told) for it in columns])
    yield row("Added", [Cell(words.day(it.told["created_at"])) for it in columns])
    yield row("Expires", [Cell(it.told["expiration_date"] or "nothing announced") for it in columns])
    yield row("Held by the gate", [_held(it.told) for it in columns])


def _served(told: Told) -> Cell:
    if told["is_active"]:
        return Cell("yes")
    gone = told["deactivated_at"]
    return Cell("inactive" if gone is None else f"inactive since {words.day(gone)}")


def _held(told: Told) -> Cell:
    return Cell(", ".join(sorted(told["held"])) or "nothing")


def all_calls(each: Decimal, calls: int) -> Decimal:
    """What calls cost together, exactly."""
    return EXACT.multiply(each, Decimal(calls)).normalize(EXACT)
