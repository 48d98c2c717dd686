"""Figures as JSON, which `charts.js` asks for when one comes near the screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import msgspec

from llmhive.app.pages import plots
from llmhive.app.pages.site import Asked, Sent, Site, require
from llmhive.catalog.view import View

_encode = msgspec.json.Encoder().encode


def add_to(site: Site) -> None:
    """Register the figures."""

    @site.get("/charts/prices/{id:path}", section="catalog")
    def prices(asked: Asked) -> Sent:
        history = asked.catalog.history(asked.path["id"])
        entry = asked.view.by_id.get(history["id"])
        outputs = () if entry is None else entry.row["output_modalities"]
        units = asked.query.getlist("unit") or None
        figure = plots.prices(history["prices"], units, as_of=_as_of(asked), name=history["name"], outputs=outputs)
        return _sent(figure, f"No price of {history['id']} is known.")

    @site.get("/charts/uptime/{id:path}", section="catalog")
    def uptime(asked: Asked) -> Sent:
        found = asked.catalog.endpoint_history(asked.path["id"], _as_of(asked) - plots.HEALTH)
        figure = plots.uptime(found["health"], found["versions"], name=found["id"])
        return _sent(figure, f"The uptime of the endpoints of {found['id']} is not known.")

    @site.get("/charts/latency/{id:path}", section="catalog")
    def latency(asked: Asked) -> Sent:
        found = asked.catalog.endpoint_history(asked.path["id"], _as_of(asked) - plots.HEALTH)
        figure = plots.latency(found["health"], found["versions"], name=found["id"])
        return _sent(figure, f"The latency of the endpoints of {found['id']} is not known.")

    @site.get("/charts/ranks/{id:path}", section="catalog")
    def ranks(asked: Asked) -> Sent:
        name, ranking = asked.path["id"], asked.query.get("ranking") or None
        history = asked.catalog.rank_history(name, ranking)
        called = names(asked.view, [name]).get(name, name)
        figure = plots.ranks(history, name=called, ranking=ranking or "leaderboard")
        return _sent(figure, f"{name} was not ranked yet.")

    @site.get("/charts/ranking/{name:path}", section="rankings")
    def ranking(asked: Asked) -> Sent:
        name = asked.path["name"]
        history = asked.catalog.share_history(name)
        called = names(asked.view, [it["id"] for it in history["models"] if it["id"] is not None])
        return _sent(plots.shares(history, called), f"No shares of {name} are known over time.")


def names(view: View, ids: Iterable[str]) -> dict[str, str]:
    """What models are called where that is known; of one name for several, their variants tell them apart, or ids."""
    rows = {it: view.by_id[it].row for it in ids if it in view.by_id}
    found = {it: row["name"] for it, row in rows.items() if row["name"]}
    many = Counter(found.values())
    with_variant = {
        it: f"{name} ({rows[it]['variant']})" if many[name] > 1 and rows[it]["variant"] else name
        for it, name in found.items()
    }
    many = Counter(with_variant.values())
    return {it: f"{name} ({it})" if many[name] > 1 else name for it, name in with_variant.items()}


def _as_of(asked: Asked) -> datetime:
    """When somebody looked last: a figure of then is the same whenever it is asked for."""
    return asked.view.as_of or asked.now


def _sent(figure: plots.Figure | None, why: str) -> Sent:
    return Sent(_encode(require(figure, why)), "application/json")
