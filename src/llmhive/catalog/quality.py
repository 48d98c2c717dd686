"""How good a model is for a task: pieces of evidence on one scale, the less known the nearer to a low prior; pure.

Each piece is a *mark* of 0 to 1 with a weight; the quality is their weighted mean with one piece more, of weight
`DOUBT`, that says `PRIOR`. So what is unknown is neither zero nor average: it counts as little as is known. Marks are
those of Artificial Analysis' indices, a hundredth each; Design Arena's Elo and ranks are put on that scale by constants
that were fitted once to the catalog of July 2026 and do not move (docs/selection.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmhive.catalog.dimension import CATEGORIES
from llmhive.catalog.need import TASKS as NAMES
from llmhive.catalog.selectable import Evidence
from llmhive.errors import UsageError

#: What the piece says that stands for all that is not known: where the weakest tenth of the measured models is.
PRIOR = 0.1
#: Its weight: the others' are 1 in all where everything is known.
DOUBT = 0.2
#: Without an intelligence index the Elo of Design Arena's arena ``models`` stands in, at so much of its weight.
STAND_IN = 0.5
#: An Elo of the first is a mark of 0, so many points more are one of 1 (correlation with the index 0.90, 60 models).
ELO_FROM, ELO_SPAN = 870.0, 930.0
#: The mark of a first rank, that of the last one that OpenRouter tells, and which that is.
FIRST_RANK, LAST_RANK, RANKS = 0.6, 0.2, 51

Floats = NDArray[np.float64]

_INDEX = "intelligence_index"
_ELO = "elo:models:"
_LEADERBOARD = "leaderboard"
#: Tasks that somebody measures.
_BENCHMARKS = {"agentic": "agentic_index", "programming": "coding_index", "technology": "coding_index"}


@dataclass(frozen=True, slots=True)
class Task:
    """What a model is wanted for, and what says how good it is at it."""

    name: str | None
    benchmark: str | None  #: a metric; None: there is none of this task
    ranking: str  #: whose ranks count
    weights: tuple[float, float, float]  #: of the benchmark, of the general index, of the rank


def _tasks() -> Iterator[Task]:
    yield Task(None, None, _LEADERBOARD, (0.0, 0.8, 0.2))
    for name in NAMES:
        ranking = name if name in CATEGORIES else _LEADERBOARD
        benchmark = _BENCHMARKS.get(name)
        yield Task(name, benchmark, ranking, (0.0, 0.7, 0.3) if benchmark is None else (0.55, 0.25, 0.2))


#: By name; None: no task in particular.
TASKS: Mapping[str | None, Task] = MappingProxyType({it.name: it for it in _tasks()})


_GENERAL = Task("", None, "", (0.0, 1.0, 0.0))


def task_of(name: str | None) -> Task:
    """The task of a name; raises `UsageError` for one that there is not."""
    if (found := TASKS.get(name)) is None:
        known = ", ".join(it for it in TASKS if it is not None)
        raise UsageError(f"there is no task {name!r}: choose one of {known}, or none")
    return found


class Piece(NamedTuple):
    """One piece of evidence."""

    what: str  #: a metric, ``elo``, ``rank``, or ``unranked``: its ranking is published and does not name the model
    value: float  #: as its source has it; of an unranked one how many ranks there are
    mark: float  #: 0 to 1
    weight: float


def pieces(evidence: Evidence, model_id: str, task: Task) -> list[Piece]:
    """What is known of a model that counts for a task; empty where nothing is."""
    measures = evidence.measures.get(model_id, _NOTHING)
    by_benchmark, by_index, by_rank = task.weights
    found = []
    if task.benchmark is not None and (value := measures.get(task.benchmark)) is not None:
        found.append(Piece(task.benchmark, value, _within(value / 100), by_benchmark))
    if (value := measures.get(_INDEX)) is not None:
        found.append(Piece(_INDEX, value, _within(value / 100), by_index))
    elif ratings := [it for metric, it in measures.items() if metric.startswith(_ELO)]:
        elo = math.fsum(ratings) / len(ratings)
        found.append(Piece("elo", elo, _within((elo - ELO_FROM) / ELO_SPAN), STAND_IN * by_index))
    if (ranks := evidence.ranks.get(task.ranking)) is not None:
        rank = ranks.get(model_id)
        size = evidence.sizes[task.ranking]
        found.append(
            Piece("rank", rank, mark_of_rank(rank), by_rank)
            if rank is not None
            else Piece("unranked", size, mark_of_rank(size + 1), by_rank)
        )
    return found


def blended(found: Iterable[Piece]) -> float:
    """The quality that pieces of evidence come to, 0 to 1."""
    total, weights = DOUBT * PRIOR, DOUBT
    for it in found:
        total += it.weight * it.mark
        weights += it.weight
    return total / weights


def columns(evidence: Evidence, ids: Sequence[str]) -> dict[str | None, Floats]:
    """The quality of models for each of `TASKS`, as `blended` of their `pieces`; all at once, which is much quicker."""
    told = [evidence.measures.get(model_id, _NOTHING) for model_id in ids]
    benchmarks = {
        metric: np.array([it.get(metric, math.nan) for it in told], dtype=np.float64)
        for metric in {task.benchmark for task in TASKS.values() if task.benchmark is not None}
    }
    general, share = _general(told)
    return {
        name: _column(evidence, ids, task, benchmarks.get(task.benchmark or ""), general, share)
        for name, task in TASKS.items()
    }


def _general(told: Sequence[Mapping[str, float]]) -> tuple[Floats, Floats]:
    """The mark of each model's general index, and what share of its weight it has."""
    marks, share = np.zeros(len(told)), np.zeros(len(told))
    for number, measures in enumerate(told):
        if not measures:
            continue
        found = pieces(Evidence({"": measures}, {}, {}), "", _GENERAL)
        if found:
            marks[number], share[number] = found[0].mark, found[0].weight
    return marks, share


def _column(
    evidence: Evidence, ids: Sequence[str], task: Task, benchmark: Floats | None, general: Floats, share: Floats
) -> Floats:
    by_benchmark, by_index, by_rank = task.weights
    weights = DOUBT + by_index * share
    total = DOUBT * PRIOR + by_index * share * general
    if benchmark is not None:
        known = np.isfinite(benchmark)
        weights += by_benchmark * known
        total += by_benchmark * np.where(known, np.clip(benchmark / 100, 0.0, 1.0), 0.0)
    if (ranks := evidence.ranks.get(task.ranking)) is not None:
        last = mark_of_rank(evidence.sizes[task.ranking] + 1)
        weights += by_rank
        total += by_rank * np.array([mark_of_rank(ranks[it]) if it in ranks else last for it in ids])
    found: Floats = total / weights
    return found


def mark_of_rank(rank: float) -> float:
    """What a rank is worth: each doubling of it costs the same."""
    return max(FIRST_RANK - (FIRST_RANK - LAST_RANK) * math.log(rank) / math.log(RANKS), LAST_RANK)


def _within(mark: float) -> float:
    return min(max(mark, 0.0), 1.0)


_NOTHING: Mapping[str, float] = MappingProxyType({})
