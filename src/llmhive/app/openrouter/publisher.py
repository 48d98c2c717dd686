"""Publishing the rankings of a step: each is checked first, and one that cannot be believed is stored as failed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from llmhive.app.openrouter.counts import Asked
from llmhive.app.openrouter.stage import Done, Stage
from llmhive.catalog import counting, derived
from llmhive.catalog.derived import Listed
from llmhive.catalog.plausible import doubts
from llmhive.catalog.ranking import Count, Counted, Ranking, faults
from llmhive.store import browse, ranked, rankings

#: Of a good answer at most this part of the rows cannot be read.
_UNREADABLE = Decimal("0.05")
#: What is usual is what was counted in so many days before.
_USUAL_DAYS = 35
#: From counts, the last period and OpenRouter's date to rankings.
Make = Callable[[Sequence[Count], date, str | None], list[Ranking]]


class Publisher:
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

    def take(self, asked: Asked, make: Make) -> list[Ranking]:
        """Keep what was answered, and publish what follows from it; returns what was made.

        Periods that cannot be true are left out, told as a failed set, and asked for again.
        """
        counted = asked.counted
        if counted is None:
            return self._publish_all(asked, make)
        wrong, doubted = _unreadable(counted), dict[date, str]()
        if wrong is None:
            doubted = self._doubted(asked, counted)
        made: list[Ranking] = []
        left = _without(counted, doubted)
        if wrong is None and (left.rows or not doubted):
            rankings.keep_tokens(
                self.connection, asked.dataset.name, asked.dataset.period, left, at=self._stage.now(),
                asked_from=asked.first, asked_to=asked.last,
            )  # fmt: skip
            made = self._publish_all(asked, make)
        if found := [*([] if wrong is None else [wrong]), *doubted.values()]:
            # as it would have been, to look at
            self.publish(make(counted.rows, asked.last, counted.as_of)[0], found)
        return made

    def _publish_all(self, asked: Asked, make: Make) -> list[Ranking]:
        """Publish what follows from the counts that are known; nothing where there are none: a category without data
        says so, instead of an old set.
        """
        since = asked.last - timedelta(days=counting.HISTORY_DAYS + 7)
        counts = rankings.tokens(self.connection, asked.dataset.name, asked.dataset.period, since)
        as_of = ranked.counted_as_of(self.connection, asked.dataset.name, asked.dataset.period)
        made = make(counts, asked.last, as_of) if counts else []
        for ranking in made:
            if ranking.ranks:
                self.publish(ranking)
        return made

    def _doubted(self, asked: Asked, counted: Counted) -> dict[date, str]:
        """The periods of an answer that cannot be true, and why."""
        dataset, usual = asked.dataset, asked.first - timedelta(days=_USUAL_DAYS)
        known = rankings.tokens(self.connection, dataset.name, dataset.period, usual)
        begun = {it.begins for it in counted.rows}
        old = counting.old(begun, self._stage.now(), is_weekly=dataset.period == "week")
        return doubts(counted.rows, known, old=old)

    def done(self, **facts: Any) -> Done:
        """The step's end."""
        facts = {"published": self.published, "unchanged": self.unchanged, "failed": len(self.failed), **facts}
        if self.failed:
            more = f" and {len(self.failed) - 1} more" if len(self.failed) > 1 else ""
            error = f"not published, the last good one stays: {self.failed[0]}{more}"
            return Done(facts, bool(self.published), "failed", error)
        return Done(facts, bool(self.published))


def _unreadable(counted: Counted) -> str | None:
    """Why an answer is refused as a whole; None: it is not."""
    rows = len(counted.rows) + counted.unreadable
    if counted.unreadable <= _UNREADABLE * rows:
        return None
    first = f" ({counted.faults[0]})" if counted.faults else ""
    return f"{counted.unreadable} of {rows} rows cannot be read{first}"


def _without(counted: Counted, periods: Collection[date]) -> Counted:
    """An answer without some of its periods, which are asked for again."""
    rows = tuple(it for it in counted.rows if it.begins not in periods)
    return replace(counted, rows=rows, incomplete=counted.incomplete | frozenset(periods))


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


def failed(done: Done, error: str) -> Done:
    """The same, but failed."""
    return Done(done.facts, done.is_changed, "failed", error)


def with_errors(done: Done, errors: Mapping[str, str], asked: int) -> Done:
    """A step's end where some of what it asked for got no answer."""
    if not errors:
        return done
    name, error = next(iter(errors.items()))
    return failed(done, f"{len(errors)} of {asked} got no answer: {name}: {error}")
