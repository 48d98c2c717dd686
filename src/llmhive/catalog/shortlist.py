"""The answer to a need: models in order, and everything that explains them, made when it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from llmhive.catalog.choice import Choice
from llmhive.catalog.condition import Condition
from llmhive.catalog.explanation import TOGETHER, UNSERVED, Explanation, Relaxed, Removed, relaxing, removed
from llmhive.catalog.flip import FlipPoint, flip_points
from llmhive.catalog.model import instant
from llmhive.catalog.need import Need
from llmhive.catalog.rejection import removing, why_not
from llmhive.catalog.request import Request, Served, request_of
from llmhive.catalog.routing import near
from llmhive.catalog.scorer import Scored, Scorer
from llmhive.errors import NotFound

_NAMED = 3


class Shortlist:
    """The models that serve a need best."""

    def __init__(self, scorer: Scorer, scored: Scored, doubts: tuple[str, ...] = ()) -> None:
        """`doubts`: why the catalog may not be what it should."""
        self._scorer = scorer
        self._scored = scored
        self._doubts = doubts

    def __repr__(self) -> str:
        return f"<Shortlist {', '.join(self.ids) or 'of nobody'}; {self.total} qualify>"

    @property
    def need(self) -> Need:
        """What was asked for."""
        return self._scored.need

    @property
    def catalog_version(self) -> int:
        """Which version of the catalog this is chosen from."""
        return self._scorer.stock.catalog_version

    @property
    def at(self) -> datetime:
        """The instant that it is chosen for: by it windows of prices and expiry are judged."""
        return self._scorer.stock.at

    @property
    def as_of(self) -> datetime | None:
        """When OpenRouter served what it is chosen from; None where it never did."""
        return self._scorer.stock.as_of

    @property
    def source(self) -> str | None:
        """Where the catalog is from: ``openrouter``, ``bootstrap``."""
        return self._scorer.stock.source

    @property
    def total(self) -> int:
        """How many models qualify."""
        return self._scored.total

    @property
    def ids(self) -> tuple[str, ...]:
        """The choices' ids, best first."""
        ids = self._scorer.offers.ids
        return tuple([ids[number] for number in self._scored.top[: self.need.limit]])

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Best first, as many as the need's limit."""
        return self.top[: self.need.limit]

    @cached_property
    def top(self) -> tuple[Choice, ...]:
        """The choices, and where that is only one also who comes next."""
        return tuple(Choice(self._scorer, self._scored, number) for number in self._scored.top)

    # --- who is not chosen

    @cached_property
    def rejected(self) -> dict[str, str]:
        """Every active model that does not qualify, by id, and what removed it."""
        offers = self._scorer.offers
        found = dict(self._scorer.unserved)
        for number, model_id in enumerate(offers.ids):
            why = why_not(offers, self._scored.conditions, number, self.need.each)
            if why is not None:
                found[model_id] = why
        return dict(sorted(found.items()))

    @cached_property
    def removed(self) -> list[Removed]:
        """What removed how many of the active models, the most first."""
        return removed(self._scorer, self._scored)

    @cached_property
    def removed_by(self) -> dict[str, tuple[str, Any]]:
        """Each model of `rejected`, and what `removed` counts it under: what was asked for, and its value."""
        offers, found = self._scorer.offers, {}
        for model_id in self.rejected:
            if (number := offers.number.get(model_id)) is None:
                found[model_id] = UNSERVED, None
                continue
            gone = removing(offers, self._scored.conditions, number)
            what, value, _ = gone[0][0]
            found[model_id] = (what, value) if len(gone) == 1 else (TOGETHER, None)
        return found

    @property
    def conditions(self) -> list[Condition]:
        """Everything that was asked of every offer."""
        return self._scored.conditions

    def relaxing(self, groups: Sequence[Sequence[Condition]]) -> list[Relaxed]:
        """Where no model qualifies: which of these groups of its `conditions`, or which two, alone keep models away."""
        return relaxing(self._scorer, self._scored, groups)

    @cached_property
    def nothing(self) -> str | None:
        """What removed the most where nothing is left, in a sentence; None where something is."""
        if self.total:
            return None
        kinds: dict[str, int] = {}
        for why in self.rejected.values():
            kinds[why] = kinds.get(why, 0) + 1
        if not kinds:
            return "The catalog is empty. Run `llmhive sync` first."
        most = sorted(kinds.items(), key=lambda it: (-it[1], it[0]))[:_NAMED]
        return "No model qualifies. " + "; ".join(
            f"{count} model{'s' * (count > 1)}: {why}" for why, count in most
        )  # fmt: skip

    def explain(self, name: str) -> Explanation:
        """Why a model is or is not chosen; raises `NotFound` for one that was never seen."""
        scorer, scored = self._scorer, self._scored
        it = scorer.meant(name)
        model_id = it.row["id"]
        number = scorer.offers.number.get(model_id)
        if number is None:
            why, choice = self._why_absent(it.row), None
        elif (reason := why_not(scorer.offers, scored.conditions, number, self.need.each)) is not None:
            why, choice = reason, None
        else:
            choice = next((it for it in self.top if it.id == model_id), None) or Choice(scorer, scored, number)
            why = self._stands(choice)
        return Explanation(scorer, scored, model_id, self.top, choice, why)

    def _why_absent(self, row: Any) -> str:
        if row["is_active"]:
            return self._scorer.unserved[row["id"]]
        gone = row.get("deactivated_at")
        since = f" since {gone:%Y-%m-%d}" if gone is not None else ""
        return f"it is not active{since}; the role replacement finds what comes nearest to it"

    def _stands(self, choice: Choice) -> str:
        first = self.top[0]
        if choice.id == first.id:
            if self._scored.is_kept:
                return f"it is in use, and no other of the {self.total} that qualify is better by {self.need.margin:g}"
            return f"it scores {choice.score:.3f}, the most of {self.total} that qualify"
        place = self._scored.place(self._scorer.offers.number[choice.id])
        marks = ", ".join(
            f"{part} {mark:.3f} to {first.parts[part]:.3f}" for part, mark in choice.parts.items()
        )  # fmt: skip
        return (
            f"it is number {place} of {self.total} that qualify: it scores {choice.score:.3f}, {first.id} "
            f"{first.score:.3f} ({marks})"
        )

    # --- what would change it

    @cached_property
    def flip_points(self) -> tuple[FlipPoint, ...]:
        """What would change the first choice, all else as it is."""
        number = self._scored.current
        return tuple(flip_points(self.top, None if number is None else Choice(self._scorer, self._scored, number)))

    # --- what to send

    @cached_property
    def _request(self) -> Request:
        served = [
            Served(it.id, it.live, frozenset(each.name for each in it.candidates)) for it in self.choices
        ]  # fmt: skip
        return request_of(self.need, served, self.at)

    def request(self) -> dict[str, Any]:
        """The body to send to OpenRouter, but for the messages: ``model``, fallbacks in ``models``, ``provider``.

        Raises `NotFound` where no model qualifies.
        """
        if not self.choices:
            raise NotFound(self.nothing)
        return self._request.body

    @property
    def request_notes(self) -> tuple[str, ...]:
        """What the request cannot say, and who is not among its fallbacks."""
        return self._request.notes if self.choices else ()

    # --- what to know of the whole

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What to know of this answer: doubts of the catalog, names that mean nothing, what nobody measured."""
        return (*self._doubts, *self._switched(), *self._unmeant(), *self._passed_on(), *self._unmeasured())

    def _switched(self) -> Iterator[str]:
        """That the model in use cannot stay."""
        name = self.need.stick_to
        if name is not None and self._scored.current is None and self._scorer.names.meant(name) is not None:
            yield f"{self.explain(name).id} cannot stay in use: {self.explain(name).why}"

    def _unmeant(self) -> Iterator[str]:
        """Names of the need that mean nothing here: they may be misspelled, or gone."""
        need, offers, names = self.need, self._scorer.offers, self._scorer.names
        for field, listed in (("models", need.models), ("exclude", need.exclude)):
            for entry in listed:
                if "*" in entry:
                    if not offers.matching(entry):
                        yield f"`{field}` has {entry}, which is the pattern of no model here"
                elif names.meant(entry) is None and entry.lower() not in offers.bare:
                    yield f"`{field}` names {entry}, which is no model here"
        for field, listed in (("providers", need.providers), ("exclude_providers", need.exclude_providers)):
            for name in listed:
                if name.casefold() not in offers.providers:
                    meant = near(name, offers.providers)
                    yield f"`{field}` names {name}, which serves nothing here that is known{meant}"
        if need.stick_to is not None and names.meant(need.stick_to) is None:
            yield f"`stick_to` names {need.stick_to}, which is no model here"

    def _passed_on(self) -> Iterator[str]:
        """That a router picks whom it wants."""
        need, offers = self.need, self._scorer.offers
        if "router" in need.allow and (need.exclude or need.models):
            routers = [it.id for it in self.choices if offers.left_out["router"] & offers.bits[offers.number[it.id]]]
            if routers:
                yield f"{', '.join(routers)}: whom a router asks is its own choice, whatever is excluded here"

    def _unmeasured(self) -> Iterator[str]:
        by_quality, _, by_speed = self.need.weights
        if not self.choices:
            if self.nothing is not None:
                yield self.nothing
            return
        if by_quality and not any(it.pieces for it in self.choices):
            yield "nothing is known of the quality of any of these: only what else counts tells them apart"
        measured = (each.health.throughput_p50 for it in self.choices for each in it.candidates)
        if by_speed and all(it is None for it in measured):
            yield (
                "nobody measured the speed of any of these (that needs OPENROUTER_API_KEY and a research sync): only "
                "what else counts tells them apart"
            )

    def to_json(self, *, rejected: bool = True) -> dict[str, Any]:
        """As scripts see it (design 3.6, *Shortlist*); who was rejected takes the longest, and can be left out."""
        told: dict[str, Any] = {
            "catalog_version": self.catalog_version,
            "as_of": None if self.as_of is None else instant(self.as_of),
            "need": self.need.to_json(),
            "total": self.total,
            "choices": [it.to_json() for it in self.choices],
        }
        if rejected:
            told["rejected"] = self.rejected
        return told | {
            "flip_points": [it.to_json() for it in self.flip_points],
            "notes": list(self.notes),
            "request": self.request() if self.choices else None,
            "request_notes": list(self.request_notes),
        }
