"""Publishing the rankings of a step: each is checked first, and one that cannot be believed is stored as failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from llmhive.app.openrouter.counts import Asked
from llmhive.app.openrouter.stage import Done, Stage
from llmhive.catalog import counting, derived
from llmhive.catalog.derived import Listed
from llmhive.catalog.plausible import implausible
from llmhive.catalog.ranking import Count, Ranking, faults
from llmhive.store import browse, ranked, rankings

#: Of a good answer at most this part of the rows cannot be read.
_UNREADABLE = Decimal("0.05")
#: What is usual is what was counted in so many days before; a change of measure is believed when these are over.
_USUAL_DAYS = 28
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


def _wrong(connection: Any, asked: Asked) -> list[str]:
    """What makes an answer with counts unbelievable as a whole."""
    counted = asked.counted
    assert counted is not None
    wrong = (
        list(counted.faults) if len(counted.faults) > _UNREADABLE * (len(counted.rows) + len(counted.faults)) else []
    )
    known = rankings.tokens(
        connection, asked.dataset.name, asked.dataset.period, asked.first - timedelta(days=_USUAL_DAYS)
    )
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


def failed(done: Done, error: str) -> Done:
    """The same, but failed."""
    return Done(done.facts, done.is_changed, "failed", error)


def with_errors(done: Done, errors: Mapping[str, str], asked: int) -> Done:
    """A step's end where some of what it asked for got no answer."""
    if not errors:
        return done
    name, error = next(iter(errors.items()))
    return failed(done, f"{len(errors)} of {asked} got no answer: {name}: {error}")
