"""Why models are or are not chosen: what removed how many, what to relax, one model with all its endpoints; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import combinations
from typing import Any, NamedTuple

from llmhive.catalog import rejection
from llmhive.catalog.choice import Choice
from llmhive.catalog.condition import Condition
from llmhive.catalog.flip import FlipPoint, of_rival
from llmhive.catalog.preferences import Preferences
from llmhive.catalog.routing import Candidate, refusal
from llmhive.catalog.scorer import Scored, Scorer

#: What `removed` calls models of which no endpoint meets everything, and those that nobody serves.
TOGETHER, UNSERVED = "together", "unserved"


class Removed(NamedTuple):
    """How many models one thing removed."""

    what: str  #: the name of a condition, `TOGETHER` or `UNSERVED`
    value: Any  #: what the condition asks for
    models: int


class Relaxed(NamedTuple):
    """How many models would qualify if some conditions were not asked."""

    conditions: tuple[Condition, ...]
    models: int


class Fit(NamedTuple):
    """An endpoint, and what of it does not meet the need: nothing where it qualifies, or where its model is what does
    not.
    """

    candidate: Candidate
    lacks: tuple[str, ...]


def removed(scorer: Scorer, scored: Scored) -> list[Removed]:
    """What removed how many of the active models, the most first."""
    counts: Counter[tuple[str, Any]] = Counter()
    for number in range(len(scorer.offers.ids)):
        gone = rejection.removing(scorer.offers, scored.conditions, number)
        if gone:
            what, value, _ = gone[0][0]
            counts[(what, value) if len(gone) == 1 else (TOGETHER, None)] += 1
    if scorer.unserved:
        counts[UNSERVED, None] = len(scorer.unserved)
    found = [Removed(what, value, count) for (what, value), count in counts.items()]
    return sorted(found, key=lambda it: (-it.models, it.what, str(it.value)))


def relaxing(scorer: Scorer, scored: Scored, groups: Sequence[Sequence[Condition]]) -> list[Relaxed]:
    """Which of some groups of conditions, or which two of them, alone keep models away; the most models first."""
    for size in (1, 2):
        found = []
        for chosen in combinations(groups, size):
            left_out = tuple(it for group in chosen for it in group)
            if count := rejection.without(scorer.offers, scored.conditions, left_out):
                found.append(Relaxed(left_out, count))
        if found:
            return sorted(found, key=lambda it: -it.models)
    return []


class Explanation:
    """Why a model is or is not chosen."""

    def __init__(
        self, scorer: Scorer, scored: Scored, model_id: str, top: Sequence[Choice], choice: Choice | None, why: str
    ) -> None:
        """`top`: the choices in order; `choice`: the model, where it qualifies."""
        self._scorer, self._scored, self._top = scorer, scored, top
        self.id = model_id
        self.choice = choice  #: None: it does not qualify
        self.why = why  #: in a sentence
        self.is_chosen = any(it.id == model_id for it in top[: scored.need.limit])

    def __repr__(self) -> str:
        return f"<Explanation {self.id}: {self.why}>"

    @cached_property
    def place(self) -> int | None:
        """Where it stands among all that qualify, from 1; None: it does not."""
        if self.is_chosen:
            return next(place for place, it in enumerate(self._top, start=1) if it.id == self.id)
        return None if self.choice is None else self._scored.place(self._scorer.offers.number[self.id])

    @property
    def against(self) -> Choice | None:
        """Whom it is compared with: the first, or whoever comes after that; None: there is nobody, or it is out."""
        return None if self.choice is None else next((it for it in self._top if it.id != self.id), None)

    @cached_property
    def endpoints(self) -> tuple[Fit, ...]:
        """Its live endpoints, and what each lacks."""
        offers, at = self._scorer.offers, self._scorer.stock.at
        number = offers.number.get(self.id)
        mine = () if number is None else offers.numbers(offers.bits[number])
        known = {offers.candidates[offer].name: offer for offer in mine}
        found = []
        for it in self._scorer.models[self.id].offers or ():
            if (offer := known.get(it.name)) is None:
                lacks = [refusal(it, Preferences(), at) or "it does not serve"]
            else:
                lacks = rejection.why_not_offer(offers, self._scored.conditions, offer, self._scored.need.each)
            found.append(Fit(it, tuple(lacks)))
        return tuple(found)

    @cached_property
    def obstacles(self) -> tuple[str, ...]:
        """All that keeps it from qualifying, at the endpoint that lacks the least; empty where it qualifies."""
        number = self._scorer.offers.number.get(self.id)
        if self.choice is not None or number is None:
            return ()
        return tuple(rejection.obstacles(self._scorer.offers, self._scored.conditions, number, self._scored.need.each))

    @cached_property
    def flip_points(self) -> tuple[FlipPoint, ...]:
        """Where it would come first, all else as it is; none where it is first, or no figure alone brings it there."""
        return tuple(self._flips())

    def _flips(self) -> Iterator[FlipPoint]:
        scored = self._scored
        if self.choice is None or self._top[0].id == self.id or scored.need.role == "replacement":
            return
        number = scored.current
        current = None if number is None else Choice(self._scorer, scored, number)
        yield from of_rival(self._top, self.choice, current)

    def to_json(self) -> dict[str, Any]:
        """As scripts see it."""
        return {
            "id": self.id,
            "is_chosen": self.is_chosen,
            "place": self.place,
            "why": self.why,
            "choice": None if self.choice is None else self.choice.to_json(),
            "obstacles": list(self.obstacles),
            "flip_points": [it.to_json() for it in self.flip_points],
            "endpoints": [
                {
                    "key": it.candidate.name,
                    "qualifies": self.choice is not None and not it.lacks,
                    "lacks": list(it.lacks),
                }
                for it in self.endpoints
            ],
        }
