"""What fields of several pages offer: the models there are, and what they can be chosen by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, TypeVar

from markupsafe import Markup, escape

from llmhive.catalog.capability import CAPABILITIES, capabilities
from llmhive.catalog.view import View

T = TypeVar("T")
#: Capability → what it is called.
TITLES = {it.name: it.title for it in CAPABILITIES}
#: The view that was asked of last, and what was made of it. One pair, since threads may ask at the same time.
_kept: tuple[View | None, dict[Any, Any]] = None, {}


def once(make: Callable[[View], T]) -> Callable[[View], T]:
    """The same, made once of a view; of no more than one view is it kept."""

    @wraps(make)
    def made(view: View) -> T:
        global _kept  # noqa: PLW0603 (one value, replaced as a whole)
        known, found = _kept
        if known is not view:
            found = {}
            _kept = view, found
        if make not in found:
            found[make] = make(view)
        made_of_it: T = found[make]
        return made_of_it

    return made


@once
def models(view: View) -> Markup:
    """The options of a list of all active models, by id."""
    return Markup("").join(
        Markup('<option value="{}">{}</option>').format(it.id, escape(it.row["name"] or ""))
        for it in view.entries
        if it.is_active
    )


class Facets(NamedTuple):
    """What filters can be set to, each with how many active models it meets, by name."""

    authors: list[tuple[str, int]]
    families: list[tuple[str, int]]
    inputs: list[tuple[str, int]]
    outputs: list[tuple[str, int]]
    capabilities: list[tuple[str, int]]
    variants: list[tuple[str, int]]
    held: int


@once
def facets(view: View) -> Facets:
    """What there is to choose from."""
    authors, families, inputs, outputs, can, variants = (Counter[str]() for _ in range(6))
    held = 0
    for entry in view.entries:
        if not entry.is_active:
            continue
        row = entry.row
        authors[row["author"]] += 1
        families[row["family"]] += 1
        inputs.update(row["input_modalities"])
        outputs.update(row["output_modalities"])
        can.update(name for name in capabilities(row) if name in TITLES)
        if row["variant"]:
            variants[row["variant"]] += 1
        held += bool(row["held"])
    return Facets(
        sorted(authors.items()), sorted(families.items()), sorted(inputs.items()), sorted(outputs.items()),
        sorted(can.items()), sorted(variants.items()), held,
    )  # fmt: skip
