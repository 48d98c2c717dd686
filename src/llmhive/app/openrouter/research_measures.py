"""The steps about how good models are and what is derived: benchmarks, and the rankings computed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from llmhive.app.openrouter import decode_benchmarks
from llmhive.app.openrouter.publisher import Publisher
from llmhive.app.openrouter.stage import NEEDS_KEY, Ask, Done, Skip, Stage, Write
from llmhive.catalog import derived
from llmhive.catalog.benchmark import INSIDE, KEYED, Measure
from llmhive.catalog.model import instant
from llmhive.catalog.ranking import Ranking
from llmhive.errors import Refused
from llmhive.store import benchmarks, browse, ranked

#: What `/benchmarks` is asked for at once; where that is refused, what its documentation allows.
_MOST_MEASURES = (2000, 100)
#: How long it says that an answer is at most, and by itself.
_USUAL_LIMITS = frozenset((100, 50))


def _indices(stage: Stage) -> Write:
    """The benchmarks inside the model list. A regular sync takes the indices alone: ratings change every day."""

    def write(connection: Any) -> Done:
        told = decode_benchmarks.inside(browse.records(connection), as_of=None)
        measures = [it for it in told.measures if stage.kind == "research" or not it.metric.startswith("elo:")]
        new, changed, gone = 0, 0, 0
        for source in sorted({it.source for it in measures}):
            if stage.kind == "regular" and source == f"{INSIDE}design-arena":
                continue
            mine = [it for it in measures if it.source == source]
            kept = benchmarks.keep(
                connection, source, mine, at=stage.now(), is_whole=True, spared=told.spared(source)
            )  # fmt: skip
            new, changed, gone = new + kept.new, changed + kept.changed, gone + kept.gone
        unreadable = len(told.unreadable)
        facts = {
            "measures": len(measures), "new": new, "changed": changed, "gone": gone, "unreadable": unreadable
        }  # fmt: skip
        return Done(facts, bool(new or changed or gone))

    return write


def _benchmarks(stage: Stage) -> Write:
    """What others measured: Artificial Analysis, Design Arena, OpenRouter itself."""
    if not stage.source.has_key:
        raise Skip(NEEDS_KEY)
    told = {}
    for source in KEYED:
        told[source] = _measures(stage, source)
        stage.progress(len(told), len(KEYED))

    def write(connection: Any) -> Done:
        new, changed, gone, measures, cut, empty = 0, 0, 0, 0, [], []
        for source, found in told.items():
            mine: list[Measure] = [it for it in found.measures if it.source == source]
            if not mine:
                empty.append(source)
                continue
            # half of what was there may be gone at once; more is an answer that was cut
            is_cut = found.is_cut or 2 * len(mine) < benchmarks.size(connection, source)
            kept = benchmarks.keep(
                connection, source, mine, at=stage.now(), is_whole=not is_cut, spared=found.spared(source)
            )  # fmt: skip
            new, changed, gone = new + kept.new, changed + kept.changed, gone + kept.gone
            measures += len(mine)
            if is_cut:
                cut.append(source)
        unreadable = sum(len(it.unreadable) for it in told.values())
        facts = {
            "measures": measures, "new": new, "changed": changed, "gone": gone, "unreadable": unreadable,
            "cut_short": len(cut), "cut_short_named": cut,
        }  # fmt: skip
        if empty:
            return Done(facts, bool(new or changed or gone), "failed", f"no figures of {', '.join(empty)}: they stay.")
        return Done(facts, bool(new or changed or gone))

    return write


def _measures(stage: Stage, source: str) -> decode_benchmarks.Told:
    for most in _MOST_MEASURES:
        try:
            query = {"source": source, "max_results": str(most)}
            answer = stage.source.data("/benchmarks", query, wanted=f"the benchmarks of {source}")
        except Refused as error:
            if error.status != 400 or most == _MOST_MEASURES[-1]:
                raise
            continue
        told = decode_benchmarks.benchmarks(answer.body)
        # an answer that is as long as was allowed was cut there
        return replace(told, is_cut=told.is_cut or told.items in {most, *_USUAL_LIMITS})
    raise AssertionError(source)


# --- derived


def _dimensions(stage: Stage) -> Write:
    """What OpenRouter does not rank, computed from the catalog, its endpoints and benchmarks."""

    def write(connection: Any) -> Done:
        publisher = Publisher(connection, stage)
        models = publisher.models
        true_at = browse.standing(connection).as_of
        as_of = None if true_at is None else instant(true_at)
        leaderboard = ranked.current(connection, "leaderboard")
        standing = derived.standing_of(leaderboard)
        indexes, cite = _indexes(connection, publisher)
        serving, seen_at = _serving(connection)
        made = [
            derived.lowest_cost(models, as_of=as_of),
            derived.long_context(models, standing, as_of=as_of),
            derived.multimodal(models, standing, as_of=as_of),
            derived.best_value(models, indexes, as_of=as_of, citation=cite),
            *(
                _covered(it, serving, models)
                for it in (
                    derived.fastest(models, serving, as_of=seen_at),
                    derived.most_reliable(models, serving, as_of=seen_at),
                )
            ),
        ]
        if leaderboard is not None:
            made.append(derived.tools(models, leaderboard))
        without = []
        for ranking in made:
            if ranking.ranks:
                publisher.publish(ranking)
            else:
                # what it is made from is not known yet
                without.append(ranking.dimension)
        return publisher.done(without_data=len(without), without_data_named=without)

    return write


def _covered(ranking: Ranking, serving: Sequence[derived.Serving], models: Sequence[derived.Listed]) -> Ranking:
    """A ranking that tells of how many of the models it could know."""
    active = {it.id for it in models if it.is_choosable}
    asked = {it.model_id for it in serving} & active
    return replace(ranking, facts={**ranking.facts, "models_asked": len(asked), "models_active": len(active)})


def _indexes(connection: Any, publisher: Publisher) -> tuple[dict[str, Decimal], str | None]:
    """The intelligence index of each model that has one, and whom to name for it."""
    found: dict[str, Decimal] = {}
    for slug, value in benchmarks.values(connection, "intelligence_index").items():
        if (model_id := publisher.join.match(slug)) is not None:
            found[model_id] = value
    return found, "Source: Artificial Analysis (artificialanalysis.ai), by OpenRouter." if found else None


def _serving(connection: Any) -> tuple[list[derived.Serving], str | None]:
    """The active endpoints, and when the last of them was seen."""
    found = ranked.serving(connection)
    seen: datetime | None = max((it.at for it in found), default=None)
    serving = [
        derived.Serving(
            it.model_id, it.is_healthy, it.health.throughput_p50, it.health.uptime_last_1d, it.health.uptime_last_30m
        )
        for it in found
    ]
    return serving, None if seen is None else instant(seen)


STEPS: Mapping[str, Ask] = {"indices": _indices, "benchmarks": _benchmarks, "dimensions": _dimensions}
