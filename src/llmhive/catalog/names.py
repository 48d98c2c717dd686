"""What a name means: people write ids in any case, canonical slugs, and ids without their author."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import NamedTuple


class Named(NamedTuple):
    """A model, active or not, by what can name it."""

    id: str
    canonical_slug: str | None
    variant: str | None
    is_active: bool


class Names:
    """The names of all models."""

    def __init__(self, models: Iterable[Named]) -> None:
        self._models = sorted(models, key=lambda it: it.id)
        self._ids = {it.id for it in self._models}
        self._meant = _meanings(self._models)

    def meant(self, name: str) -> str | None:
        """The id that a name means: as it is written, in another case, as a canonical slug (its base row), or the part
        after the author where only one model has it.
        """
        return name if name in self._ids else self._meant.get(name.casefold())

    def why_missing(self, name: str) -> str:
        """What to say of a name that means no model."""
        if not self._models:
            return "The catalog is empty. Run `llmhive sync` first."
        by_fold = {it.id.casefold(): it.id for it in self._models}
        by_slug = {it.id.casefold().partition("/")[2]: it.id for it in self._models}
        wanted = name.casefold()
        near = [by_fold[wanted]] if wanted in by_fold else [by_slug[wanted]] if wanted in by_slug else []
        near += [by_fold[key] for key in difflib.get_close_matches(wanted, by_fold, n=4, cutoff=0.6)]
        near += [by_slug[key] for key in difflib.get_close_matches(wanted, by_slug, n=4, cutoff=0.6)]
        near += [model_id for key, model_id in by_fold.items() if len(wanted) > 2 and wanted in key][:4]
        inactive = {it.id for it in self._models if not it.is_active}
        names = [f"{model_id} (inactive)" if model_id in inactive else model_id for model_id in dict.fromkeys(near)][:4]
        hint = f"Near names: {', '.join(names)}." if names else "`llmhive models TEXT` searches."
        return f"No model {name!r} was ever seen. {hint}"


def _meanings(models: Iterable[Named]) -> dict[str, str]:
    """Name in lower case → id; of several the active one, then the base row, then the first by id."""
    best = sorted(models, key=lambda it: (not it.is_active, it.variant is not None, it.id))
    bare: dict[str, list[str]] = {}
    for it in best:
        if "/" in it.id:
            bare.setdefault(it.id.rpartition("/")[2].casefold(), []).append(it.id)
    names = {name: found[0] for name, found in bare.items() if len(found) == 1}
    names |= {it.canonical_slug.casefold(): it.id for it in reversed(best) if it.canonical_slug}
    return names | {it.id.casefold(): it.id for it in reversed(best)}
