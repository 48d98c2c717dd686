"""What a model costs at one provider over time: its endpoints' prices where known, else the listed price."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise

import msgspec

from llmhive.catalog.price import Step
from llmhive.catalog.routing import tier_of

#: Tiers that are the ordinary one.
_STANDARD = frozenset((None, "", "default", "standard", "auto"))


def at_provider(
    listed: Sequence[Step], offered: Mapping[str, Sequence[Step]], provider: str | None, tier: str | None
) -> list[Step]:
    """The steps of a model that one provider served, or one service tier.

    `listed` are the model's own steps, `offered` those of the endpoints that the provider's name means, by key. Where
    several are offered at once, it is the one with the listed price if there is one, else the first; what could not be
    known is told in the step's ``incomplete``.
    """
    wanted = None if tier is None or tier.lower() in _STANDARD else tier.lower()
    fitting = {
        key: steps for key, steps in offered.items() if tier_of(steps[0].tag or "" if steps else "") == wanted
    }  # fmt: skip
    edges = sorted({edge for steps in (listed, *fitting.values()) for edge in _edges(steps)})
    found: list[Step] = []
    for begin, end in pairwise((*edges, None)):
        assert begin is not None
        base = _at(listed, begin)
        here = [step for key in sorted(fitting) if (step := _at(fitting[key], begin)) is not None]
        step = _choose(base, here, provider, wanted)
        if step is not None:
            found.append(msgspec.structs.replace(step, begin=begin, end=end))
    return _merged(found)


def _edges(steps: Iterable[Step]) -> Iterable[datetime]:
    for step in steps:
        yield step.begin
        if step.end is not None:
            yield step.end


def _at(steps: Sequence[Step], at: datetime) -> Step | None:
    return next((it for it in steps if it.begin <= at and (it.end is None or at < it.end)), None)


def _choose(base: Step | None, here: Sequence[Step], provider: str | None, tier: str | None) -> Step | None:
    whom = " ".join(filter(None, (provider, tier and f"({tier} tier)"))) if provider else f"the {tier} tier"
    if not here:
        if base is None:
            return None
        doubt = f"nothing is known of what {whom} charged then: the listed price is used"
        return _with(base, incomplete=doubt, provider=provider)
    chosen = here[0]
    if len({step.pricing for step in here}) > 1:
        chosen = next((step for step in here if base is not None and step.pricing == base.pricing), chosen)
        return _with(chosen, incomplete=f"{whom} had {len(here)} endpoints with different prices: "
                     f"that of {chosen.tag} is used")  # fmt: skip
    return chosen


def _with(step: Step, *, incomplete: str, provider: str | None = None) -> Step:
    return msgspec.structs.replace(
        step, incomplete=(*step.incomplete, incomplete), provider=step.provider or provider
    )  # fmt: skip


def _merged(steps: Iterable[Step]) -> list[Step]:
    """Neighbours that say the same as one."""
    found: list[Step] = []
    for step in steps:
        last = found[-1] if found else None
        if last is not None and last.end == step.begin:
            joined = msgspec.structs.replace(step, begin=last.begin, end=last.end)
            if joined == last:
                found[-1] = msgspec.structs.replace(last, end=step.end)
                continue
        found.append(step)
    return found
