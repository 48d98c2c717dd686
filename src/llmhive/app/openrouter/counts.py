"""Asking OpenRouter's Data API for token counts: which periods are not final, one dataset or many."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from llmhive.app.openrouter import decode_rankings
from llmhive.app.openrouter.stage import Stage
from llmhive.catalog import counting
from llmhive.catalog.ranking import Counted
from llmhive.errors import BudgetSpent, Refused, UpstreamError
from llmhive.store import rankings

Period = Literal["day", "week"]
#: What a refused key is answered with.
NO_KEY = frozenset((401, 402, 403))
#: Categories that refusals name are followed up to so many in a run.
_MOST_FOUND = 24
#: How a refusal names what it would take: "programming" or 'programming'.
_QUOTED = re.compile(r"""["'`]([a-z][a-z0-9_-]*(?:/[a-z0-9_-]+)?)["'`]""")


@dataclass(frozen=True, slots=True)
class Dataset:
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
class Asked:
    """What was asked, and the answer."""

    dataset: Dataset
    first: date
    last: date
    counted: Counted | None  #: None: all periods are final


def ask(stage: Stage, dataset: Dataset) -> Asked:
    first, last = dataset.window(stage)
    if first > last:
        return Asked(dataset, first, last, None)
    # a week is whole with its Sunday
    until = last if dataset.period == "day" else last + timedelta(days=6)
    query = {"start_date": first.isoformat(), "end_date": until.isoformat(), "period": dataset.period, **dataset.query}
    answer = stage.source.data("/datasets/rankings-daily", query, wanted=f"the token counts ({dataset.name})")
    counted = decode_rankings.tokens(answer.body, asked_from=first, asked_to=last, period=dataset.period)
    return Asked(dataset, first, last, counted)


@dataclass
class Answers:
    """What came of asking for several datasets."""

    found: dict[str, Asked]
    vanished: list[str]  #: refused as unknown
    errors: dict[str, str]


def ask_each(stage: Stage, datasets: Mapping[str, Dataset], discover: Callable[[str], Dataset] | None) -> Answers:
    """Ask for each; one that fails costs no other, unless it is the key or the budget that fails."""
    answers, left = Answers({}, [], {}), dict(datasets)
    while left:
        name = next(iter(left))
        dataset = left.pop(name)
        try:
            answers.found[name] = ask(stage, dataset)
        except Refused as error:
            if error.status in NO_KEY:
                raise
            if error.status != 400:
                answers.errors[name] = str(error)
            else:
                answers.vanished.append(name)
                # a refusal may name what there is instead; one that names without end is not followed
                asked = {*datasets, *answers.found, *answers.vanished, *answers.errors, *left}
                room = len(datasets) + _MOST_FOUND - len(asked)
                if discover is not None:
                    left |= {
                        it: discover(it) for it in [it for it in _named_by(error) if it not in asked][: max(room, 0)]
                    }
        except BudgetSpent as error:
            answers.errors |= dict.fromkeys((name, *left), str(error))
            break
        except UpstreamError as error:
            answers.errors[name] = str(error)
        stage.progress(len(answers.found) + len(answers.errors), len(datasets))
    if not answers.found and answers.vanished:
        # that none of them is known says that the question was wrong, not that all are gone
        answers.errors |= dict.fromkeys(answers.vanished, "OpenRouter knows none of them: update LLMHive.")
        answers.vanished = []
    return answers


def _named_by(error: Refused) -> list[str]:
    """The categories that the text of a refusal names, where it lists what it knows."""
    found = _QUOTED.findall(str(error).partition("It says")[2])
    # one or two quoted words are what was asked, or a parameter
    return found if len(found) > 3 else []
