"""OpenRouter's benchmarks → measures; pure.

Two ways (see `catalog/benchmark.py`): the answer of ``GET /benchmarks`` (reference 5.5), whose items are told apart by
``source``, and the ``benchmarks`` object inside the records of ``GET /models`` (reference 2.3). What cannot be read is
reported and never fatal; numbers are exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from llmhive.app.openrouter.envelope import UNREADABLE, mended, split
from llmhive.catalog.benchmark import INDICES, INSIDE, Measure, once
from llmhive.catalog.pricing import canonical, exact, plain
from llmhive.errors import BadAnswer

_ITEM = msgspec.json.Decoder(float_hook=Decimal)
_LONGEST = 255
#: No index, rating, duration or count comes near it.
_LARGEST = Decimal(10) ** 15
_PLACES = ("first_place", "second_place", "third_place", "fourth_place", "total")

#: A metric, its value, and what else is told of it.
_Figure = tuple[str, Decimal, dict[str, Any]]


class _Unreadable(Exception):
    """This item cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was said of benchmarks."""

    measures: tuple[Measure, ...]
    unreadable: tuple[str, ...] = ()  #: reasons, with what they are about
    unread: frozenset[tuple[str, str]] = frozenset()  #: source and slug of what could not be read
    doubts: tuple[str, ...] = ()  #: what was told twice
    as_of: str | None = None
    citation: str | None = None  #: what to write beside the figures; None for an answer of several sources
    source_url: str | None = None
    model_count: int | None = None  #: how many models the answer says it has
    is_cut: bool = False  #: it has fewer models than that
    items: int = 0  #: that the answer had, readable or not

    def spared(self, source: str) -> frozenset[str]:
        """The slugs of which a source tells something that could not be read: nothing of theirs is gone."""
        return frozenset(slug for of, slug in self.unread if of == source)


def benchmarks(body: bytes) -> Told:
    """Read an answer of ``GET /benchmarks``; raises `BadAnswer` when the body as a whole cannot be read."""
    listed, meta = _open(body)
    as_of = _word(meta.get("as_of"))
    measures: list[Measure] = []
    unreadable: list[str] = []
    slugs, unread = set(), set()
    for position, raw in enumerate(listed):
        source = slug = None
        try:
            item = _read(raw)
            source, slug = _word(item.get("source")), _word(item.get("model_permaslug"))
            if slug is None:
                raise _Unreadable("it names no model")
            slugs.add(slug)
            dated, figures = _figures(source, item)
            measures += [Measure(str(source), slug, metric, value, facts, dated or as_of)
                         for metric, value, facts in figures]  # fmt: skip
        except _Unreadable as why:
            unreadable.append(f"item {position} ({slug or 'no slug'}): {why}")
            if source and slug:
                unread.add((source, slug))
    count = meta.get("model_count")
    model_count = count if type(count) is int and count >= 0 else None
    best, twice = once(measures)
    return Told(
        measures=tuple(best),
        unreadable=tuple(unreadable),
        unread=frozenset(unread),
        doubts=tuple(twice),
        as_of=as_of,
        citation=_word(meta.get("citation"), longest=2000),
        source_url=_word(meta.get("source_url"), longest=2000),
        model_count=model_count,
        is_cut=model_count is not None and len(slugs) < model_count,
        items=len(listed),
    )


def inside(records: Iterable[bytes | str], *, as_of: str | None = None) -> Told:
    """Read the benchmarks inside records of ``GET /models``, as served; `as_of` is when they were."""
    measures: list[Measure] = []
    unreadable: list[str] = []
    unread: set[tuple[str, str]] = set()
    for raw in records:
        try:
            record = _read(raw)
        except _Unreadable as why:
            unreadable.append(f"a record: {why}")
            continue
        told = record.get("benchmarks")
        if told is None:
            continue
        slug = _word(record.get("canonical_slug")) or _word(record.get("id"))
        if slug is None:
            unreadable.append("a record: it names no model")
            continue
        found, faults = _inside(told)
        measures += [Measure(INSIDE + of, slug, metric, value, facts, as_of) for of, (metric, value, facts) in found]
        unreadable += [f"{slug}: {source or 'benchmarks'}: {why}" for source, why in faults]
        unread |= {(INSIDE + source, slug) for source, _ in faults if source}
    best, twice = once(measures)
    return Told(tuple(best), tuple(unreadable), frozenset(unread), tuple(twice), as_of=as_of)


def _open(body: bytes) -> tuple[list[bytes], dict[str, Any]]:
    """The items of an answer, and what it says of itself."""
    try:
        envelope = split(body)
    except msgspec.ValidationError as error:
        raise BadAnswer(f"The answer is JSON, but not a list of benchmarks: {error}.") from error
    except UNREADABLE as error:
        start = body[:60].decode("utf-8", "replace").strip()
        raise BadAnswer(f"The answer is not JSON ({error}); it begins {start!r}.") from error
    if (failure := envelope.failure) is not None:
        said = failure.get("message") if isinstance(failure, dict) else failure
        raise BadAnswer(f"The answer is an error; OpenRouter says {str(said)[:200]!r}.")
    if envelope.data is None:
        raise BadAnswer("The answer is JSON, but not a list of benchmarks: it has no data.")
    try:
        meta = mended(body, _META).meta
    except UNREADABLE:
        meta = None
    return [bytes(raw) for raw in envelope.data], meta if isinstance(meta, dict) else {}


class _Meta(msgspec.Struct):
    meta: Any = None


_META = msgspec.json.Decoder(_Meta)


def _read(raw: bytes | str) -> dict[str, Any]:
    try:
        item = _ITEM.decode(raw)
    except UNREADABLE as error:
        raise _Unreadable(f"it is not JSON: {error}") from error
    return _object(item)


def _figures(source: str | None, item: Mapping[str, Any]) -> tuple[str | None, list[_Figure]]:
    """The figures an item tells, and their own date if they have one."""
    if source == "artificial-analysis":
        return None, _indices(item)
    if source == "design-arena":
        return None, [_rating(item)]
    if source == "openrouter":
        read = _search if "primary_score" in item else _score
        return _word(item.get("last_run_timestamp")), [read(item)]
    raise _Unreadable(f"its source {source!r} is not one we know")


#: Member of the ``benchmarks`` of a record → the source it is of.
_MEMBERS = {"artificial_analysis": "artificial-analysis", "design_arena": "design-arena"}


def _inside(told: Any) -> tuple[list[tuple[str, _Figure]], list[tuple[str, str]]]:
    """The figures of one record with their sources, and what is wrong with it, with the source it is of."""
    if not isinstance(told, dict):
        return [], [(source, "it is not an object") for source in _MEMBERS.values()]
    found: list[tuple[str, _Figure]] = []
    faults = [("", f"{name[:64]!r} is not one we know") for name in sorted(told.keys() - _MEMBERS.keys())]
    for member, source in _MEMBERS.items():
        value = told.get(member)
        if value is not None and isinstance(value, list) != (member == "design_arena"):
            faults.append((source, "it has another shape"))
            continue
        for entry in value if isinstance(value, list) else [] if value is None else [value]:
            try:
                found += [(source, figure) for figure in _figures(source, _object(entry))[1]]
            except _Unreadable as why:
                faults.append((source, str(why)))
    return found, faults


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Unreadable("it is not an object")
    return value


def _indices(item: Mapping[str, Any]) -> list[_Figure]:
    """Artificial Analysis: an index that is null was not measured."""
    return [(name, _number(item, name), {}) for name in INDICES if item.get(name) is not None]


def _rating(item: Mapping[str, Any]) -> _Figure:
    """Design Arena: an Elo rating in one category of one arena."""
    arena, category = _word(item.get("arena")), _word(item.get("category"))
    if arena is None or category is None:
        raise _Unreadable("it names no arena and category")
    stats = item.get("tournament_stats")
    places = _known({name: _count(stats.get(name)) for name in _PLACES}) if isinstance(stats, dict) else None
    facts = {
        "rank": _count(item.get("rank")),
        "win_rate": _amount(item.get("win_rate")),
        "generation_time": _amount(item.get("avg_generation_time_ms")),
        "places": places or None,
    }
    return f"elo:{arena}:{category}", _number(item, "elo"), _known(facts)


def _score(item: Mapping[str, Any]) -> _Figure:
    """OpenRouter's own: the accuracy over its runs."""
    facts = {"stddev": _amount(item.get("accuracy_stddev")), **_of_tasks(item)}
    return _benchmark_type(item), _fraction(item, "accuracy"), _known(facts)


def _search(item: Mapping[str, Any]) -> _Figure:
    """OpenRouter's own of web search: the score of the best configuration."""
    config = item.get("run_config")
    run = {
        "max_agent_turns": _count(config.get("max_agent_turns")),
        "reasoning_effort": _word(config.get("reasoning_effort")),
        "temperature": _amount(config.get("temperature")),
    } if isinstance(config, dict) else {}  # fmt: skip
    facts = {
        "score": _word(item.get("primary_metric")),
        **_of_tasks(item),
        "latency_per_task": _amount(item.get("avg_latency_per_task_ms")),
        "search_engine": _word(item.get("search_engine")),
        "search_surface": _word(item.get("search_surface")),
        "run_config": _known(run) or None,
    }
    return _benchmark_type(item), _fraction(item, "primary_score"), _known(facts)


def _of_tasks(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"tasks": _count(item.get("total_tasks")), "cost_per_task": _amount(item.get("avg_cost_per_task"))}


def _benchmark_type(item: Mapping[str, Any]) -> str:
    name = _word(item.get("benchmark_type"))
    if name is None:
        raise _Unreadable("it names no benchmark")
    return name


def _fraction(item: Mapping[str, Any], name: str) -> Decimal:
    value = _number(item, name)
    if not 0 <= value <= 1:
        raise _Unreadable(f"its {name} is not between 0 and 1: {value}")
    return value


def _number(item: Mapping[str, Any], name: str) -> Decimal:
    number = _exact(item.get(name))
    if number is None:
        raise _Unreadable(f"its {name} is not a number: {str(item.get(name))[:60]!r}")
    return number


def _exact(value: Any) -> Decimal | None:
    number = None if isinstance(value, str) else exact(value)
    return None if number is None or abs(number) > _LARGEST else canonical(number)


def _amount(value: Any) -> str | None:
    """A fact that was measured, as a decimal string."""
    number = _exact(value)
    return None if number is None else plain(number)


def _count(value: Any) -> int | None:
    number = _exact(value)
    return int(number) if number is not None and number == int(number) else None


def _known(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts that are known."""
    return {name: value for name, value in facts.items() if value is not None}


def _word(value: Any, longest: int = _LONGEST) -> str | None:
    """A text that every database keeps and every index can hold; None where it is none."""
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        return None
    is_plain = value.isprintable() and value.strip() == value
    return value if is_plain else None
