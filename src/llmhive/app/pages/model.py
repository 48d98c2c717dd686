"""The page of a model: all that is known of it, and what it would cost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from llmhive.app import wording
from llmhive.app.pages import calls, model_cost, model_history, model_market, plots, words
from llmhive.app.pages.site import Asked, Moved, Page, Site
from llmhive.catalog import document
from llmhive.catalog.hold import value_of
from llmhive.catalog.model import Model, Version
from llmhive.catalog.pricing import counts_tokens, exact
from llmhive.catalog.view import Entry, View
from llmhive.errors import NotFound, StoreError

_SHORT = 280  #: characters of a description that are shown at once
#: Links and what is bold, as Markdown has them.
_MARKUP = re.compile(r"!?\[([^\[\]\n]+)\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*\)|\*\*([^*\n]+)\*\*")
_HUGGING_FACE = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


def add_to(site: Site) -> None:
    """Register the page."""

    @site.get("/models/{id:path}", section="catalog", reads="either")
    def model(asked: Asked) -> Page | Moved:
        name = asked.path["id"]
        entry = asked.view.find(name)
        if entry is None:
            raise NotFound(asked.view.names.why_missing(name[:200]))
        if entry.id != name:
            query = urlencode(asked.query.multi_items())
            return Moved(words.model_url(entry.id) + (f"?{query}" if query else ""))
        facts = of_entry(entry, asked.view, asked.now)
        content, is_away = facts.pop("content"), asked.is_away
        if not is_away:
            try:
                facts |= _read(asked, facts["it"], content)
            except StoreError:
                is_away = True
        facts["is_away"] = is_away
        return Page("model.html", facts["it"]["name"] or entry.id, facts)


# --- from memory


def of_entry(entry: Entry, view: View, now: datetime) -> dict[str, Any]:
    """What the catalog in memory tells of a model."""
    row = entry.row
    content = Version.stored(row["version"], row["document"], row["text"]).model
    it = document.whole(row, view.as_of, content)
    target = None if it["alias_target"] is None else view.find(it["alias_target"])
    return {
        "it": it,
        "content": content,
        "is_away": False,
        "badges": badges(it, now),
        "kind_words": wording.PRICING_KINDS.get(it["pricing_kind"]),
        "hour_words": wording.BY_THE_HOUR if it["is_scheduled"] else None,
        "counts_tokens": counts_tokens(it["output_modalities"]),
        "units": units(it),
        "headline": headline(it),
        "overrides": [
            (wording.condition(each["when"]), _rates(each["rates"], it["output_modalities"]))
            for each in it["overrides"]
        ],
        "description": _description(it["description"]),
        "alias_id": None if target is None else target.id,
        "variants": [] if it["canonical_slug"] is None else [
            other.id for other in view.entries
            if other.row["canonical_slug"] == it["canonical_slug"] and other.id != it["id"] and other.is_active
        ],
        "hugging_face": _hugging_face(it["hugging_face_id"]),
        "path": words.model_url(it["id"]).removeprefix("/models/"),
    }  # fmt: skip


def badges(it: Mapping[str, Any], now: datetime) -> list[tuple[str, str, str | None]]:
    """What to know of a model at once: the kind of badge, its words, and where they are explained."""
    found: list[tuple[str, str, str | None]] = []
    if not it["is_active"]:
        found.append(("bad", f"inactive since {words.day(it['deactivated_at'])}", "#successors"))
    elif it["expiration_date"]:
        left = words.days_left(it["expiration_date"], now)
        found.append(("bad", f"expires {it['expiration_date']} ({left})", "#successors"))
    if words.is_new(it["created_at"], now.date()):
        found.append(("info", "new", None))
    if it["held"]:
        names = ", ".join(name.removeprefix("pricing.").replace("_", " ") for name in sorted(it["held"]))
        found.append(("warn", f"held: {names}", "#held"))
    if it["pricing_kind"] != "fixed":
        text = {"free": "free", "dynamic": "price varies", "unknown": "price unknown"}[it["pricing_kind"]]
        found.append(("good" if it["pricing_kind"] == "free" else "", text, "#prices"))
    if it["is_scheduled"]:
        found.append(("", "priced by the hour", "#prices"))
    if it["variant"]:
        found.append(("", f"variant {it['variant']}", None))
    if it["alias_target"]:
        found.append(("info", f"alias of {it['alias_target']}", None))
    if it["source"] == "bootstrap":
        found.append(("warn", "bootstrap facts, not synced yet", None))
    return found


def units(it: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The believed base prices, in order; a zero says something of prompt and completion only."""
    found = []
    for unit, value in words.in_order(it["pricing"]):
        number = exact(value)
        is_headline = unit in {"prompt", "completion"}
        if number is None and not (is_headline and value is None):
            continue
        if number is not None and not number and not is_headline:
            continue
        text = words.price(number, unit, it["pricing_kind"], it["output_modalities"])
        is_held = f"pricing.{unit}" in it["held"] or "pricing" in it["held"]
        found.append({"unit": unit, "name": words.unit_name(unit), "price": text, "is_held": is_held})
    return found


def headline(it: Mapping[str, Any]) -> str:
    """What it costs, in a line."""
    kind = it["pricing_kind"]
    if kind != "fixed":
        return {"free": "free", "dynamic": "its price varies", "unknown": "its price is unknown"}[kind]
    found = {each["unit"]: each for each in units(it) if each["price"] != words.UNKNOWN}
    named = ["prompt", "completion", *(["image_output"] if calls.gives_images(it) else [])]
    # a zero says nothing where something else is charged
    charged = [unit for unit in found if exact(it["pricing"][unit])]
    shown = [unit for unit in named if unit in charged] or charged[:2] or [unit for unit in named if unit in found]
    told = [f"{found[unit]['name'].lower()} {found[unit]['price']}" for unit in shown]
    return " · ".join(told) or "its price depends on the hour"


def _rates(rates: Mapping[str, str], outputs: list[str]) -> list[tuple[str, str]]:
    return [(words.unit_name(unit), words.rate(value, unit, outputs)) for unit, value in words.in_order(rates)]


def _description(text: str | None) -> tuple[str, str] | None:
    """What is shown of a description at once, and the whole of it where that is more."""
    if not text:
        return None
    text = _MARKUP.sub(lambda it: it[1] or it[2], text)
    if len(text) <= _SHORT:
        return text, ""
    return f"{text[:_SHORT].rsplit(' ', 1)[0]} …", text


def _hugging_face(name: str | None) -> str | None:
    return f"https://huggingface.co/{quote(name)}" if name and _HUGGING_FACE.fullmatch(name) else None


# --- from the database


def _read(asked: Asked, it: Mapping[str, Any], content: Model) -> dict[str, Any]:
    """All that the database tells."""
    catalog, name, outputs = asked.catalog, it["id"], it["output_modalities"]
    day = None if it["is_active"] or it["last_seen_at"] is None else words.day(it["last_seen_at"])
    question = model_cost.read(asked.query, it, day)
    findings = catalog.findings(name)
    believed = {field: value_of(content, field) for field in it["held"]}
    ranks = model_market.ranks(catalog.ranks_of(name))
    drawn = (
        ranks[0]["name"] if ranks and all(rank["name"] != model_market.FIRST for rank in ranks) else model_market.FIRST
    )
    return {
        "calculated": model_cost.answer(catalog, it, question, asked.now),
        "units_counted": calls.UNITS,
        "has_drawn": calls.gives_images(it) or "image_output" in question.given,
        "kept": {name: question.given.get(name) for name in ("calls", "prompt", "completion")},
        "has_images": "image" in it["input_modalities"] or "image" in it["pricing"] or "images" in question.given,
        "request": model_cost.request(catalog, it, question) if it["is_active"] else None,
        "holds": model_history.holds(it, believed, findings),
        "findings": model_history.other_findings(findings, it),
        "endpoints": model_market.endpoints(catalog.endpoints(name), it),
        "health": model_market.health(catalog.endpoint_history(name, asked.now - plots.HEALTH)["health"]),
        "ranks": ranks,
        "drawn": drawn,
        "places": model_market.places(catalog.rank_history(name, drawn)),
        "benchmarks": model_market.benchmarks(catalog.benchmarks(name)),
        "capabilities": model_market.capabilities(catalog.capabilities([name])),
        "successors": model_market.successors(catalog, it, asked.now),
        **_history(asked, name, it["pricing_kind"], outputs),
    }


def _history(asked: Asked, name: str, kind: str, outputs: list[str]) -> dict[str, Any]:
    try:
        found = asked.catalog.history(name)
    except NotFound as error:
        empty: dict[str, Any] = {"rates": [], "since": {}, "changes": ([], []), "is_drawn": False, "begins": None}
        return empty | {"no_history": str(error)}
    return {
        "rates": model_history.rates(found["prices"], kind, outputs),
        "since": model_history.since(found["prices"]),
        "is_drawn": any(row["rate"] is not None for row in found["prices"]),
        "changes": model_history.changes(found["entries"], outputs),
        "begins": found["history_begins"],
        "no_history": None,
    }
