"""What a model costs at one provider over time: its endpoints' prices where known, else the listed price."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

import msgspec

from llmhive.catalog.endpoint import Endpoint
from llmhive.catalog.identity import identify
from llmhive.catalog.price import Found, Step, append, step_of
from llmhive.catalog.pricing import EXACT, kind_of, plain


class Offered(NamedTuple):
    """A row of `endpoint_version`."""

    begin: datetime
    end: datetime | None
    is_listed: bool
    endpoint: Endpoint


def endpoint_steps(key: str, offered: Iterable[Offered], output_modalities: Iterable[str]) -> list[Step]:
    """The steps of one endpoint, from its versions in any order; `output_modalities` are its model's."""
    outputs = tuple(output_modalities)
    steps: list[Step] = []
    for it in sorted(offered, key=lambda row: row.begin):
        if not it.is_listed or (it.end is not None and it.end <= it.begin):
            continue
        endpoint = it.endpoint
        variant = identify(endpoint.model_id).variant
        kind = kind_of(endpoint.pricing, variant=variant, output_modalities=outputs)
        found = Found.of(endpoint.pricing, kind)
        if endpoint.discount:
            percent = plain(abs(endpoint.discount).scaleb(2, EXACT))
            what = "net of a discount of" if endpoint.discount > 0 else "with a mark-up of"
            found.notes.append(f"The endpoint's rates are {what} {percent} %.")
        step = step_of(found, kind, it.begin, it.end, endpoint.model_id, "endpoint")
        append(
            steps, msgspec.structs.replace(step, tag=endpoint.tag, provider=endpoint.provider_name, key=key)
        )  # fmt: skip
    return steps


def at_provider(
    listed: Sequence[Step], offered: Mapping[str, Sequence[Step]], provider: str | None, tier: str | None
) -> list[Step]:
    """The steps of a model that one provider served, or one service tier.

    `listed` are the model's own steps, `offered` those of the endpoints that both mean (`served_by`), by key. Where
    several are offered at once, it is the one with the listed price if there is one, else the first; what could not be
    known is told in the step's ``incomplete``.
    """
    edges = sorted({edge for steps in (listed, *offered.values()) for edge in _edges(steps)})
    found: list[Step] = []
    for begin, end in pairwise((*edges, None)):
        assert begin is not None
        base = next((step for step in listed if step.holds(begin)), None)
        here = [step for _, steps in sorted(offered.items()) for step in steps if step.holds(begin)]
        step = _choose(base, here, provider, tier)
        if step is not None:
            since = step.since or step.begin
            append(
                found, msgspec.structs.replace(step, begin=begin, end=end, since=None if since == begin else since)
            )  # fmt: skip
    return found


def _edges(steps: Iterable[Step]) -> Iterable[datetime]:
    for step in steps:
        yield step.begin
        if step.end is not None:
            yield step.end


def _choose(base: Step | None, here: Sequence[Step], provider: str | None, tier: str | None) -> Step | None:
    served = f"{tier} tier" if tier else None
    whom = f"{provider} ({served})" if provider and served else provider or f"the {served or 'provider without a name'}"
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
