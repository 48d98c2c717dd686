"""The steps about who is used how much: overall, by category, modality and task.

With a key the figures are those of OpenRouter's Data API (reference 5). Without one, what can be had is the order of
its model list: that is published under its own name, and tells no figures. A set that cannot be believed is stored as
failed, and the last good one stays served.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from llmhive.app.openrouter import decode_rankings
from llmhive.app.openrouter.counts import NO_KEY, Answers, Dataset, ask, ask_each
from llmhive.app.openrouter.publisher import Publisher, failed, with_errors
from llmhive.app.openrouter.stage import NEEDS_KEY, Ask, Done, Skip, Stage, Write
from llmhive.catalog import counting, derived
from llmhive.catalog.dimension import CATEGORIES, MODALITIES
from llmhive.catalog.ranking import Count, Join, Rank, Ranking, by_order, by_task, movers
from llmhive.errors import BadAnswer, Refused, UpstreamError
from llmhive.store import ranked, rankings

#: Token counts are not replaced by a mere order while they are younger.
_FIGURES_STAY = timedelta(days=7)
#: Movers that are told by name.
_TOLD = 10


# --- overall


def _rankings(stage: Stage) -> Write:
    """The leaderboard, the authors' shares, the most used and the trending ones."""
    queries: dict[str | None, Mapping[str, str]] = {None: {"sort": "top-weekly", "limit": "50"}}
    if not stage.source.has_key:
        return _order(stage, "leaderboard", queries)
    try:
        asked = ask(stage, Dataset("overall", "day", {}))
    except Refused as error:
        if error.status in NO_KEY:
            return _order(stage, "leaderboard", queries, refused=str(error))
        raise

    def write(connection: Any) -> Done:
        publisher = Publisher(connection, stage)

        def make(counts: Sequence[Count], until: date, as_of: str | None) -> list[Ranking]:
            return [
                counting.leaderboard(counts, publisher.join, until=until, as_of=as_of),
                counting.market_share(counts, until=until, as_of=as_of),
                counting.most_used(counts, publisher.join, until=until, as_of=as_of),
                derived.trending(counts, publisher.models, until=until, as_of=as_of),
            ]

        made = publisher.take(asked, make)
        if not publisher.failed and (not made or (asked.counted is not None and not asked.counted.rows)):
            publisher.failed.append(f"OpenRouter told no token counts from {asked.first} to {asked.last}")
        facts: dict[str, Any] = {}
        if made:
            moved = movers(made[0])
            facts = {"as_of": made[0].as_of, "moved": len(moved), "moved_named": [_told(it) for it in moved[:_TOLD]]}
        return publisher.done(**facts)

    return write


def _told(it: Rank) -> dict[str, Any]:
    return {"slug": it.slug, "model": it.model_id, "rank": it.rank, "previous_rank": it.previous_rank}


# --- without a key


def _cut_short(ids: Sequence[str], before: int) -> list[str]:
    return [f"it has {len(ids)} models, where it had {before}"] if 2 * len(ids) < before else []


def _order(
    stage: Stage, dimension: str, queries: Mapping[str | None, Mapping[str, str]], *, refused: str | None = None
) -> Write:
    """What there is without a key: the order of the model list, by category."""
    found: dict[str | None, tuple[str, ...]] = {}
    errors: dict[str, str] = {}
    for category, query in queries.items():
        what = f"the order of {category or 'all models'}"
        try:
            found[category] = decode_rankings.order(stage.source.get("/models", query, wanted=what).body)
        except UpstreamError as error:
            if len(queries) == 1:
                raise
            errors[str(category)] = str(error)
        stage.progress(len(found) + len(errors), len(queries))
    if not any(found.values()) and not errors:
        raise BadAnswer("OpenRouter lists no model in that order: the last one stays.")

    def write(connection: Any) -> Done:
        publisher = Publisher(connection, stage)
        kept = 0
        for category, ids in found.items():
            standing = ranked.standing(connection, dimension, category)
            if (
                standing is not None
                and standing.source == "data-api"
                and stage.now() - standing.made_at < _FIGURES_STAY
            ):
                kept += 1
            elif ids:
                # no figures, and no more time to it than that of the answer
                as_of = stage.now().date().isoformat()
                wrong = [] if standing is None else _cut_short(ids, standing.ranks)
                publisher.publish(by_order(dimension, category, ids, publisher.join, as_of=as_of), wrong)
        empty = [category for category, ids in found.items() if not ids]
        note = "without a key: the order of OpenRouter's model list, no token counts"
        if kept:
            note += f"; {kept} with token counts stay until they are a week old"
        done = publisher.done(note=note, empty=len(empty), empty_named=empty, refused=refused is not None)
        return with_errors(done, errors, len(queries)) if refused is None else failed(done, refused)

    return write


# --- by category, modality, task


def _categories(stage: Stage) -> Write:
    """The models of each category: those documented, those of the settings, and those a refusal named before."""
    with stage.database.read() as connection:
        seen = ranked.categories(connection, "category")
    names = list(dict.fromkeys((*CATEGORIES, *stage.policy.categories, *seen)))
    queries: dict[str | None, Mapping[str, str]] = {name: {"category": name} for name in names}
    if not stage.source.has_key:
        return _order(stage, "category", queries)
    datasets = {name: Dataset(f"category:{name}", "week", {"category": name}) for name in names}
    try:
        answers = ask_each(stage, datasets, lambda name: Dataset(f"category:{name}", "week", {"category": name}))
    except Refused as error:
        if error.status in NO_KEY:
            return _order(stage, "category", queries, refused=str(error))
        raise

    def make(name: str, counts: Sequence[Count], until: date, as_of: str | None, join: Join) -> Ranking:
        return counting.by_category(name, counts, join, until=until, as_of=as_of)

    return _publish_each(stage, answers, "category", make)


def _modalities(stage: Stage) -> Write:
    """The models by modality, and by tool calls."""
    if not stage.source.has_key:
        raise Skip(NEEDS_KEY)
    names = (*MODALITIES, "tool_calling")
    answers = ask_each(stage, {name: Dataset(f"modality:{name}", "week", {"modality": name}) for name in names}, None)

    def make(name: str, counts: Sequence[Count], until: date, as_of: str | None, join: Join) -> Ranking:
        if name == "tool_calling":
            return counting.tool_calling(counts, join, until=until, as_of=as_of)
        return counting.by_modality(name, counts, join, until=until, as_of=as_of)

    return _publish_each(stage, answers, "modality", make)


#: From a name, its counts, the last period, OpenRouter's date and the models to a ranking.
_MakeOne = Callable[[str, Sequence[Count], date, str | None, Join], Ranking]


def _publish_each(stage: Stage, answers: Answers, dimension: str, make: _MakeOne) -> Write:
    def write(connection: Any) -> Done:
        publisher = Publisher(connection, stage)
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
        facts = {
            "empty": len(empty), "empty_named": empty, "vanished": len(answers.vanished),
            "vanished_named": answers.vanished,
        }  # fmt: skip
        return with_errors(publisher.done(**facts), answers.errors, len(answers.found) + len(answers.errors))

    return write


def _tasks(stage: Stage) -> Write:
    """Which models each kind of task is given to."""
    if not stage.source.has_key:
        raise Skip(NEEDS_KEY)
    answer = stage.source.data("/classifications/task", {"window": "7d"}, wanted="the task classifications")
    found = decode_rankings.tasks(answer.body)

    def write(connection: Any) -> Done:
        publisher = Publisher(connection, stage)
        for task in found.tasks:
            publisher.publish(by_task(task, publisher.join, as_of=found.as_of, window_days=found.window_days))
        # of what cannot be read nobody knows whether it is gone
        if found.tasks and not found.unreadable:
            rankings.retire(connection, "task", [task.tag for task in found.tasks])
        facts = {"unreadable": found.unreadable, "as_of": found.as_of.isoformat()}
        return publisher.done(**facts)

    return write


STEPS: Mapping[str, Ask] = {
    "rankings": _rankings,
    "categories": _categories,
    "modalities": _modalities,
    "tasks": _tasks,
}
