"""What others measured of models: one figure of one source, of one model, by one metric.

The same figures come two ways. `GET /benchmarks` needs a key, is fresher and tells more; the records of `GET /models`
carry some of them for everybody. They are kept apart by source, so that neither overwrites the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

#: Sources whose figures need a key, with their titles.
KEYED = {
    "artificial-analysis": "Artificial Analysis",
    "design-arena": "Design Arena",
    "openrouter": "OpenRouter",
}
#: What stands before the name of a source whose figures were taken from the records of the models.
INSIDE = "models:"
#: What may be told beside a figure. Counts are numbers; what was measured is a decimal string; unknown is left out.
FACTS = {
    "rank": "rank in its category",
    "win_rate": "percent of the duels it won",
    "generation_time": "milliseconds to an answer, the mean",
    "places": "how often it came first, second, third and fourth, and how often it took part",
    "stddev": "standard deviation of its accuracy",
    "tasks": "how many tasks it was given",
    "cost_per_task": "USD a task, the mean",
    "latency_per_task": "milliseconds a task, the mean",
    "score": "what the score is: accuracy, f1_by_item",
    "search_engine": "the search engine it used",
    "search_surface": "how it searched: server-tool, plugin",
    "run_config": "how it was run: max_agent_turns, reasoning_effort, temperature",
}
#: Metrics of Artificial Analysis.
INDICES = ("intelligence_index", "coding_index", "agentic_index")


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure."""

    source: str  #: one of `KEYED`, or such a one behind `INSIDE`
    slug: str  #: permaslug, as the source names it; Design Arena's own id where OpenRouter knows none
    metric: str  #: ``intelligence_index``, ``elo:models:website``, ``gpqa_diamond`` …
    value: Decimal  #: an index, an Elo rating, or a score of 0 to 1: always the higher the better
    facts: Mapping[str, Any]  #: what else is told, as JSON values: see `FACTS`
    as_of: str | None  #: as the source dates it

    @property
    def key(self) -> tuple[str, str, str]:
        """What there is one measure of at a time."""
        return self.source, self.slug, self.metric

    def says(self, other: Measure) -> bool:
        """Whether another measure of the same says the same; a later date alone says nothing new."""
        return self.value == other.value and self.facts == other.facts


def is_keyed(source: str) -> bool:
    """Whether a source's figures need a key."""
    return not source.startswith(INSIDE)


def by_source(measures: Iterable[Measure]) -> dict[str, list[Measure]]:
    """Measures by their source, which are kept one at a time."""
    found: dict[str, list[Measure]] = {}
    for measure in measures:
        found.setdefault(measure.source, []).append(measure)
    return found


def once(measures: Iterable[Measure]) -> tuple[list[Measure], list[str]]:
    """Each measure once, and what was told twice with different figures.

    Of several the highest counts: a source may name different settings of one model by the same slug. The order in
    which they come does not matter.
    """
    best: dict[tuple[str, str, str], Measure] = {}
    doubts = set()
    for measure in measures:
        known = best.setdefault(measure.key, measure)
        if not known.says(measure):
            doubts.add(measure.key)
            best[measure.key] = max(known, measure, key=_height)
    twice = [f"{slug}: {source} tells {metric} twice; the highest counts" for source, slug, metric in sorted(doubts)]
    return list(best.values()), twice


def _height(measure: Measure) -> tuple[Decimal, str]:
    return measure.value, repr(sorted(measure.facts.items()))


def preferred(measures: Iterable[Measure]) -> dict[str, dict[str, Measure]]:
    """Of each model and metric one measure, by slug: that of a keyed source before one inside a record."""
    found: dict[str, dict[str, Measure]] = {}
    for measure in sorted(measures, key=lambda it: (not is_keyed(it.source), it.source)):
        found.setdefault(measure.slug, {}).setdefault(measure.metric, measure)
    return found
