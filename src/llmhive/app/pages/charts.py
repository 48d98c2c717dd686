"""Figures as JSON, which `charts.js` asks for when one comes near the screen."""

from __future__ import annotations

import msgspec

from llmhive.app.pages import plots
from llmhive.app.pages.site import Asked, Sent, Site, require

_encode = msgspec.json.Encoder().encode


def add_to(site: Site) -> None:
    """Register the figures."""

    @site.get("/charts/prices/{id:path}", section="catalog")
    def prices(asked: Asked) -> Sent:
        history = asked.catalog.history(asked.path["id"])
        entry = asked.view.by_id.get(history["id"])
        outputs = () if entry is None else entry.row["output_modalities"]
        units = asked.query.getlist("unit") or None
        figure = plots.prices(history["prices"], units, now=asked.now, name=history["name"], outputs=outputs)
        return _sent(figure, f"No price of {history['id']} is known.")

    @site.get("/charts/uptime/{id:path}", section="catalog")
    def uptime(asked: Asked) -> Sent:
        found = asked.catalog.endpoint_history(asked.path["id"], asked.now - plots.HEALTH)
        figure = plots.uptime(found["health"], found["versions"], name=found["id"])
        return _sent(figure, f"The uptime of the endpoints of {found['id']} is not known.")

    @site.get("/charts/latency/{id:path}", section="catalog")
    def latency(asked: Asked) -> Sent:
        found = asked.catalog.endpoint_history(asked.path["id"], asked.now - plots.HEALTH)
        figure = plots.latency(found["health"], found["versions"], name=found["id"])
        return _sent(figure, f"The latency of the endpoints of {found['id']} is not known.")

    @site.get("/charts/ranks/{id:path}", section="catalog")
    def ranks(asked: Asked) -> Sent:
        name, ranking = asked.path["id"], asked.query.get("ranking") or None
        figure = plots.ranks(asked.catalog.rank_history(name, ranking), name=name, ranking=ranking or "leaderboard")
        return _sent(figure, f"{name} was not ranked yet.")

    @site.get("/charts/ranking/{name:path}", section="rankings")
    def ranking(asked: Asked) -> Sent:
        name = asked.path["name"]
        return _sent(plots.shares(asked.catalog.share_history(name)), f"No shares of {name} are known over time.")


def _sent(figure: plots.Figure | None, why: str) -> Sent:
    return Sent(_encode(require(figure, why)), "application/json")
