"""What fields of several pages offer: the models there are."""

from __future__ import annotations

from markupsafe import Markup, escape

from llmhive.catalog.view import View

_last: tuple[View, Markup] | None = None


def models(view: View) -> Markup:
    """The options of a list of all active models, by id; made once of a view."""
    global _last  # noqa: PLW0603 (one value, replaced as a whole)
    known = _last
    if known is not None and known[0] is view:
        return known[1]
    found = Markup("").join(
        Markup('<option value="{}">{}</option>').format(it.id, escape(it.row["name"] or ""))
        for it in view.entries
        if it.is_active
    )
    _last = view, found
    return found
