"""The steps about who is used how much and how good: token counts, categories, tasks, benchmarks, what is derived.

With a key the figures are those of OpenRouter's Data API (reference 5). Without one, what can be had is the order of
its model list: that is published under its own name, and tells no figures. A set that cannot be believed is stored as
failed, and the last good one stays served.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from llmhive.app.openrouter import decode_benchmarks, decode_rankings
from llmhive.app.openrouter.stage import Ask, Done, Skip, Stage, Write
from llmhive.catalog import counting, derived
from llmhive.catalog.benchmark import INSIDE, KEYED, Measure
from llmhive.catalog.derived import Listed
from llmhive.catalog.dimension import CATEGORIES, MODALITIES
from llmhive.catalog.model import instant
from llmhive.catalog.plausible import implausible
from llmhive.catalog.ranking import Count, Counted, Join, Ranking, by_order, by_task, faults
from llmhive.errors import BudgetSpent, Refused, UpstreamError
from llmhive.store import benchmarks, browse, ranked, rankings

Period = Literal["day", "week"]
#: A rank that changed by so many is a mover; so many are told.
_MOVED, _TOLD = 3, 10
#: Of a good answer at most this part of the rows cannot be read.
_UNREADABLE = Decimal("0.05")
_NO_KEY = frozenset((401, 402, 403))
_NEEDS_KEY = "it needs OPENROUTER_API_KEY; without one there are no such figures."
#: How a refusal names what it would take: "programming" or 'programming'.
_QUOTED = re.compile(r"""["'`]([a-z][a-z0-9_-]*(?:/[a-z0-9_-]+)?)["'`]""")
#: What `/benchmarks` is asked for at once; where that is refused, what its documentation allows.
_MOST_MEASURES = ("2000", "100")


@dataclass(frozen=True, slots=True)
class _Dataset:
    """Token counts of one kind, and how to ask for them."""

    name: str  #: overall, category:programming, modality:image …
    period: Period
    query: Mapping[str, str]

    def window(self, stage: Stage) -> tuple[date, date]:
        """The first and the last period to ask for; the first is after the last where all is final."""
        with stage.database.read() as connection:
            fetched = rankings.fetched(connection, self.name, self.period)
        if self.period == "day":
            return counting.unsettled(fetched, until := counting.last_day(stage.now())), until
        return counting.unsettled_week(fetched, until := counting.last_week(stage.now())), until


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked, and the answer."""

    dataset: _Dataset
    first: date
    last: date
    counted: Counted | None  #: None: all periods are final


def _ask(stage: Stage, dataset: _Dataset) -> _Asked:
    first, last = dataset.window(stage)
    if first > last:
        return _Asked(dataset, first, last, None)
    # a week is whole with its Sunday
    until = last if dataset.period == "day" else last + timedelta(days=6)
    query = {"start_date": first.isoformat(), "end_date": until.isoformat(), "period": dataset.period, **dataset.query}
    answer = stage.source.data("/datasets/rankings-daily", query, wanted=f"the token counts ({dataset.name})")
    counted = decode_rankings.tokens(answer.body, asked_from=first, asked_to=last, period=dataset.period)
    return _Asked(dataset, first, last, counted)


#: From counts, the last period and OpenRouter's date to rankings.
_Make = Callable[[Sequence[Count], date, str | None], list[Ranking]]


class _Publisher:
    """Publishes the rankings of a step, in its transaction."""

    def __init__(self, connection: Any, stage: Stage) -> None:
        self.connection, self._stage = connection, stage
        self.models = [_listed(row) for row in browse.rows(connection)]
        self.join = derived.join_of(self.models)
        self._ids = {it.id for it in self.models}
        self.published = 0
        self.unchanged = 0
        self.failed: list[str] = []

    def publish(self, ranking: Ranking, wrong: Iterable[str] = ()) -> bool:
        """Publish a ranking if it can be believed; else store it as failed."""
        at = self._stage.now()
        found = [*wrong, *faults(ranking, self._ids)]
        if found:
            rankings.fail(self.connection, ranking, found, run_id=self._stage.run_id, at=at)
            self.failed.append(f"{ranking.category or ranking.dimension}: {found[0]}")
        elif rankings.publish(self.connection, ranking, run_id=self._stage.run_id, at=at) is None:
            self.unchanged += 1
        else:
            self.published += 1
        return not found

    def take(self, asked: _Asked, make: _Make) -> list[Ranking]:
        """Keep what was answered, and publish what follows from it; returns what was made."""
        dataset, counted = asked.dataset, asked.counted
        if counted is not None and (wrong := _wrong(self.connection, asked)):
            for ranking in make(counted.rows, asked.last, counted.as_of)[:1]:
                self.publish(ranking, wrong)
            return []
        if counted is not None:
            rankings.keep_tokens(
                self.connection, dataset.name, dataset.period, counted, at=self._stage.now(), asked_from=asked.first,
                asked_to=asked.last,
            )  # fmt: skip
        since = asked.last - timedelta(days=counting.HISTORY_DAYS + 7)
        counts = rankings.tokens(self.connection, dataset.name, dataset.period, since)
        as_of = ranked.counted_as_of(self.connection, dataset.name, dataset.period)
        if not counts:
            # a category without data says so, instead of an old set
            return []
        made = make(counts, asked.last, as_of)
        for ranking in made:
            if ranking.ranks:
                self.publish(ranking)
        return made

    def done(self, **facts: Any) -> Done:
        """The step's end."""
        facts = {"published": self.published, "unchanged": self.unchanged, "failed": len(self.failed), **facts}
        if self.failed:
            more = f" and {len(self.failed) - 1} more" if len(self.failed) > 1 else ""
            error = f"not published, the last good one stays: {self.failed[0]}{more}"
            return Done(facts, bool(self.published), "failed", error)
        return Done(facts, bool(self.published))


def _wrong(connection: Any, asked: _Asked) -> list[str]:
    """What makes an answer with counts unbelievable as a whole."""
    counted = asked.counted
    assert counted is not None
    wrong = (
        list(counted.faults) if len(counted.faults) > _UNREADABLE * (len(counted.rows) + len(counted.faults)) else []
    )
    known = rankings.tokens(connection, asked.dataset.name, asked.dataset.period, asked.first - timedelta(days=60))
    return wrong + implausible(counted.rows, known)


def _listed(row: Mapping[str, Any]) -> Listed:
    return Listed(
        id=row["id"],
        canonical_slug=row["canonical_slug"],
        is_active=row["is_active"],
        pricing_kind=row["pricing_kind"],
        prompt_price=row["prompt_price"],
        completion_price=row["completion_price"],
        context_length=row["context_length"],
        input_modalities=row["input_modalities"],
        output_modalities=row["output_modalities"],
        supported_parameters=row["supported_parameters"],
    )


# --- overall


def _rankings(stage: Stage) -> Write:
    """The leaderboard, the authors' shares, the most used and the trending ones."""
    if not stage.source.has_key:
        return _order(stage, "leaderboard", {None: {"sort": "top-weekly", "limit": "50"}})
    try:
        asked = _ask(stage, _Dataset("overall", "day", {}))
    except Refused as error:
        if error.status in _NO_KEY and not _has(stage, "leaderboard"):
            return _order(stage, "leaderboard", {None: {"sort": "top-weekly", "limit": "50"}}, refused=str(error))
        raise

    def write(connection: Any) -> Done:
        publisher = _Publisher(connection, stage)

        def make(counts: Sequence[Count], until: date, as_of: str | None) -> list[Ranking]:
            return [
                counting.leaderboard(counts, publisher.join, until=until, as_of=as_of),
                counting.market_share(counts, until=until, as_of=as_of),
                counting.most_used(counts, publisher.join, until=until, as_of=as_of),
                derived.trending(counts, publisher.models, until=until, as_of=as_of),
            ]

        made = publisher.take(asked, make)
        if not made and not publisher.failed:
            publisher.failed.append(f"OpenRouter told no token counts from {asked.first} to {asked.last}")
        facts: dict[str, Any] = {}
        if made:
            movers = _movers(made[0])
            facts = {"as_of": made[0].as_of, "moved": len(movers), "movers": movers[:_TOLD]}
        return publisher.done(**facts)

    return write


def _movers(ranking: Ranking) -> list[dict[str, Any]]:
    """Who rose, fell or came in since the week before, the widest way first; none where that week is not known."""
    if all(it.previous_rank is None for it in ranking.ranks):
        return []
    moved = [
        it for it in ranking.ranks if it.previous_rank is None or abs(it.previous_rank - it.rank) >= _MOVED
    ]  # fmt: skip
    last = len(ranking.ranks) + 1
    moved.sort(key=lambda it: (-abs((it.previous_rank or last) - it.rank), it.rank))
    return [{"slug": it.slug, "model": it.model_id, "rank": it.rank, "previous_rank": it.previous_rank} for it in moved]


# --- without a key


def _has(stage: Stage, dimension: str) -> bool:
    with stage.database.read() as connection:
        return ranked.current(connection, dimension) is not None


def _order(
    stage: Stage, dimension: str, queries: Mapping[str | None, Mapping[str, str]], *, refused: str | None = None
) -> Write:
    """What there is without a key: the order of the model list, by category."""
    found = {}
    for category, query in queries.items():
        what = f"the order of {category or 'all models'}"
        found[category] = decode_rankings.order(stage.source.get("/models", query, wanted=what).body)
        stage.progress(len(found), len(queries))

    def write(connection: Any) -> Done:
        publisher = _Publisher(connection, stage)
        for category, ids in found.items():
            # no figures, and no more time to it than that of the answer
            as_of = stage.now().date().isoformat()
            if ids:
                publisher.publish(by_order(dimension, category, ids, publisher.join, as_of=as_of))
        note = "without a key: the order of OpenRouter's model list, no token counts"
        done = publisher.done(note=note)
        return done if refused is None else Done(done.facts, done.is_changed, "failed", refused)

    return write


# --- by category, modality, task


def _categories(stage: Stage) -> Write:
    """The models of each category: those documented, those of the settings, and those a refusal named before."""
    with stage.database.read() as connection:
        seen = ranked.categories(connection, "category")
    names = list(dict.fromkeys((*CATEGORIES, *stage.policy.categories, *seen)))
    if not stage.source.has_key:
        return _order(stage, "category", {name: {"category": name} for name in names})
    datasets = {name: _Dataset(f"category:{name}", "week", {"category": name}) for name in names}
    answers = _ask_each(stage, datasets, lambda name: _Dataset(f"category:{name}", "week", {"category": name}))

    def make(name: str, counts: Sequence[Count], until: date, as_of: str | None, join: Join) -> Ranking:
        return counting.by_category(name, counts, join, until=until, as_of=as_of)

    return _publish_each(stage, answers, "category", make)


def _modalities(stage: Stage) -> Write:
    """The models by modality, and by tool calls."""
    if not stage.source.has_key:
        raise Skip(_NEEDS_KEY)
    names = (*MODALITIES, "tool_calling")
    answers = _ask_each(stage, {name: _Dataset(f"modality:{name}", "day", {"modality": name}) for name in names}, None)

    def make(name: str, counts: Sequence[Count], until: date, as_of: str | None, join: Join) -> Ranking:
        if name == "tool_calling":
            return counting.tool_calling(counts, join, until=until, as_of=as_of)
        return counting.by_modality(name, counts, join, until=until, as_of=as_of)

    return _publish_each(stage, answers, "modality", make)


@dataclass
class _Answers:
    """What came of asking for several datasets."""

    found: dict[str, _Asked]
    vanished: list[str]  #: refused as unknown
    errors: dict[str, str]


def _ask_each(stage: Stage, datasets: Mapping[str, _Dataset], discover: Callable[[str], _Dataset] | None) -> _Answers:
    """Ask for each; one that fails costs no other, unless it is the key or the budget that fails."""
    answers, left = _Answers({}, [], {}), dict(datasets)
    while left:
        name = next(iter(left))
        dataset = left.pop(name)
        try:
            answers.found[name] = _ask(stage, dataset)
        except Refused as error:
            if error.status in _NO_KEY:
                raise
            if error.status != 400:
                answers.errors[name] = str(error)
            else:
                answers.vanished.append(name)
                # a refusal may name what there is instead
                asked = {*datasets, *answers.found, *answers.vanished, *left}
                for other in _named_by(error) if discover is not None else ():
                    if other not in asked and discover is not None:
                        left[other] = discover(other)
        except BudgetSpent as error:
            answers.errors |= dict.fromkeys((name, *left), str(error))
            break
        except UpstreamError as error:
            answers.errors[name] = str(error)
        stage.progress(len(answers.found) + len(answers.errors), len(datasets))
    return answers


def _named_by(error: Refused) -> list[str]:
    """The categories that the text of a refusal names, where it lists what it knows."""
    found = _QUOTED.findall(str(error).partition("It says")[2])
    # one or two quoted words are what was asked, or a parameter
    return found if len(found) > 3 else []


#: From a name, its counts, the last period, OpenRouter's date and the models to a ranking.
_MakeOne = Callable[[str, Sequence[Count], date, str | None, Join], Ranking]


def _publish_each(stage: Stage, answers: _Answers, dimension: str, make: _MakeOne) -> Write:
    def write(connection: Any) -> Done:
        publisher = _Publisher(connection, stage)
        empty = []
        for name, asked in answers.found.items():

            def one(counts: Sequence[Count], until: date, as_of: str | None, name: str = name) -> list[Ranking]:
                return [make(name, counts, until, as_of, publisher.join)]

            publisher.take(asked, one)
            if asked.counted is not None and not asked.counted.rows:
                empty.append(name)
        if answers.vanished:
            served = set(ranked.categories(connection, dimension))
            rankings.retire(connection, dimension, served - set(answers.vanished))
        facts = {"empty": len(empty), "without": empty, "vanished": len(answers.vanished), "gone": answers.vanished}
        done = publisher.done(**facts)
        if not answers.errors:
            return done
        name, error = next(iter(answers.errors.items()))
        why = f"{len(answers.errors)} of {len(answers.found) + len(answers.errors)} got no answer: {name}: {error}"
        return Done(done.facts, done.is_changed, "failed", why)

    return write


def _tasks(stage: Stage) -> Write:
    """Which models each kind of task is given to."""
    if not stage.source.has_key:
        raise Skip(_NEEDS_KEY)
    answer = stage.source.data("/classifications/task", {"window": "7d"}, wanted="the task classifications")
    found = decode_rankings.tasks(answer.body)

    def write(connection: Any) -> Done:
        publisher = _Publisher(connection, stage)
        for task in found.tasks:
            publisher.publish(by_task(task, publisher.join, as_of=found.as_of, window_days=found.window_days))
        if found.tasks:
            rankings.retire(connection, "task", [task.tag for task in found.tasks])
        facts = {"tasks": len(found.tasks), "unreadable": len(found.faults), "as_of": found.as_of.isoformat()}
        return publisher.done(**facts)

    return write


# --- benchmarks


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
        facts = {"measures": len(measures), "new": new, "changed": changed, "gone": gone}
        return Done(facts, bool(new or changed or gone))

    return write


def _benchmarks(stage: Stage) -> Write:
    """What others measured: Artificial Analysis, Design Arena, OpenRouter itself."""
    if not stage.source.has_key:
        raise Skip(_NEEDS_KEY)
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
            kept = benchmarks.keep(
                connection, source, mine, at=stage.now(), is_whole=not found.is_cut, spared=found.spared(source)
            )  # fmt: skip
            new, changed, gone = new + kept.new, changed + kept.changed, gone + kept.gone
            measures += len(mine)
            if found.is_cut:
                cut.append(source)
        facts = {"measures": measures, "new": new, "changed": changed, "gone": gone, "cut_short": cut}
        if empty:
            return Done(facts, bool(new or changed or gone), "failed", f"no figures of {', '.join(empty)}: they stay.")
        return Done(facts, bool(new or changed or gone))

    return write


def _measures(stage: Stage, source: str) -> decode_benchmarks.Told:
    for most in _MOST_MEASURES:
        try:
            query = {"source": source, "max_results": most}
            return decode_benchmarks.benchmarks(
                stage.source.data("/benchmarks", query, wanted=f"the benchmarks of {source}").body
            )
        except Refused as error:
            if error.status != 400 or most == _MOST_MEASURES[-1]:
                raise
    raise AssertionError(source)


# --- derived


def _dimensions(stage: Stage) -> Write:
    """What OpenRouter does not rank, computed from the catalog, its endpoints and benchmarks."""

    def write(connection: Any) -> Done:
        publisher = _Publisher(connection, stage)
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
            derived.fastest(models, serving, as_of=seen_at),
            derived.most_reliable(models, serving, as_of=seen_at),
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
        return publisher.done(without_data=len(without), without=without)

    return write


def _indexes(connection: Any, publisher: _Publisher) -> tuple[dict[str, Decimal], str | None]:
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


STEPS: Mapping[str, Ask] = {
    "rankings": _rankings,
    "categories": _categories,
    "modalities": _modalities,
    "tasks": _tasks,
    "indices": _indices,
    "benchmarks": _benchmarks,
    "dimensions": _dimensions,
}
