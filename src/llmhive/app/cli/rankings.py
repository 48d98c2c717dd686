"""rankings: who is used most, by what and by whom; and what is the cheapest, the fastest, the most reliable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.console import Console

from llmhive.app import wording
from llmhive.app.cli import figures, render
from llmhive.app.cli.work import Json
from llmhive.app.library import Catalog
from llmhive.app.wiring import now
from llmhive.catalog.dimension import BY_NAME
from llmhive.errors import NotFound, UsageError

_SOURCES = {
    "data-api": "From OpenRouter's Data API",
    "models-order": "The order of OpenRouter's model list: without a key it tells no token figures",
}
#: Left out one after the other where the terminal is too narrow.
_SPARED = ("4 weeks", "growth", "change", "share")
_SHORT_SOURCES = {"data-api": "Data API", "models-order": "model list's order", "derived": "derived here"}


def rankings(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A dimension, category, modality or task.")
    ] = "leaderboard",
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many ranks.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Where the ranks come from, and how.")] = False,
    everything: Annotated[bool, typer.Option("--list", help="All rankings there are.")] = False,
    json: Json = False,
) -> None:
    """The most used models, by tokens of the last week; or another ranking: by category, by task, fastest, cheapest.

    Examples: llmhive rankings · llmhive rankings programming -n 10 · llmhive rankings fastest ·
    llmhive rankings lowest_cost --explain · llmhive rankings --list
    """
    with Catalog.open() as catalog:
        if everything:
            _show_all(catalog.ranking_categories(), json=json)
        elif explain:
            _explain(_documented(catalog, name), json=json)
        else:
            _check(catalog, name)
            found = _ranking(catalog, name, limit if json else None)
            _show(found, limit, json=json)


def _ranking(catalog: Catalog, name: str, limit: int | None = None) -> dict[str, Any]:
    """A ranking; where there is none of the name, the error says what lists them."""
    try:
        return catalog.ranking(name, limit)
    except NotFound as error:
        if "--list" in str(error) or any(it["name"] == name for it in catalog.ranking_categories()):
            raise
        raise NotFound(f"{error} `llmhive rankings --list` shows all there are.") from error


def _check(catalog: Catalog, name: str) -> None:
    """Raise `UsageError` for a dimension that is ranked by category: there is one ranking of each."""
    if name not in {"category", "modality", "task"}:
        return
    names = [it["name"] for it in catalog.ranking_categories() if it["dimension"] == name]
    known = f"choose one of {', '.join(names)}" if names else "none is known yet; `llmhive sync --research` asks"
    raise UsageError(f"There is a ranking for each {name}: {known}.")


# --- one ranking


def _show(found: dict[str, Any], limit: int | None, *, json: bool) -> None:
    if json:
        render.as_json(found)
        return
    console = render.out()
    console.print(render.escape(_title(found)), style="bold")
    columns = [(header, cells[:limit]) for header, cells in _columns(found) if any(cells[:limit])]
    found["data"] = found["data"][:limit]
    who = columns[1][0]
    kept, left_out = render.fitting(console, columns, spared=_SPARED, gives={who: 18})
    headers = [header for header, _ in kept]
    rows = list(zip(*(cells for _, cells in kept), strict=True))
    right = [header for header in headers if header not in {who, "4 weeks"}]
    render.table(console, headers, rows, right=right, gives={who: 18})
    if left_out:
        console.print(f"Left out for want of width: {', '.join(left_out)}", style="dim")
    _show_footer(console, found)


def _title(found: Mapping[str, Any]) -> str:
    told = found["category_title"]
    return f"{found['title']}: {told}" if told else str(found["title"])


def _columns(found: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Headers and cells; a column without any cell that says something is not shown."""
    data, partial = found["data"], found["facts"].get("partial") or {}
    told = BY_NAME.get(found["dimension"])
    is_of_authors = told is not None and told.is_of_authors
    yield "#", [str(it["rank"]) for it in data]
    yield "author" if is_of_authors else "model", [_who(it) for it in data]
    is_task = found["dimension"] == "task"
    header, shown = _SCORES.get(found["dimension"], ("score", wording.four_digits))
    # a growth that is the score is shown once
    is_growth = bool(data) and all(it["score"] is not None and it["score"] == it["growth"] for it in data)
    scores = [shown(it["score"]) if it["score"] is not None and not is_growth else "" for it in data]
    if found["dimension"] == "most_reliable" and all(scores):
        scores = wording.told_apart([Decimal(it["score"]) for it in data])
    if is_task:
        yield header, scores
    tokens = ["" if it["tokens"] is None else figures.volume(it["tokens"]) for it in data]
    # a lower bound is marked, and the others stay in line
    marks = ["*" if it["slug"] in partial else " " if partial else "" for it in data]
    yield "tokens", [count and count + mark for count, mark in zip(tokens, marks, strict=True)]
    shares = ["" if it["share"] is None else figures.percent(it["share"]) for it in data]
    yield "of its tokens" if is_task else "share", shares
    has_before = any(it["previous_rank"] is not None for it in data)
    yield "change", [figures.change(it["change"], is_new=has_before) for it in data]
    yield header if is_growth else "growth", [figures.growth(it["growth"]) for it in data]
    yield "4 weeks", [figures.trend(it["trend"]) for it in data]
    if not is_task:
        yield header, scores


def _who(it: Mapping[str, Any]) -> str:
    if it["model"] is not None:
        return str(it["model"])
    return f"{it['slug']} (not in the catalog)" if it["is_known"] is False else str(it["slug"])


_SCORES: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "trending": ("median growth", figures.growth),
    "task": ("of its requests", figures.percent),
    "best_value": ("points per $/M", wording.four_digits),
    "fastest": ("tokens/s", wording.four_digits),
    "most_reliable": ("uptime 1d %", lambda score: figures.uptime(float(score))),
    "lowest_cost": ("$/M", wording.four_digits),
    "long_context": ("context", lambda score: render.tokens(int(score))),
    "multimodal": ("kinds of input", wording.four_digits),
}
#: Whose header says the unit.
_PLAIN = ("trending", "task", "fastest", "most_reliable", "long_context")


def _show_footer(console: Console, found: dict[str, Any]) -> None:
    shown, facts = len(found["data"]), found["facts"]
    line = f"{shown} of {found['total']}" if shown != found["total"] else str(found["total"])
    line += " ranks" if found["total"] != 1 else " rank"
    if found["window"] is not None:
        line += f" · {found['window']['from']} to {found['window']['to']} (UTC)"
    if (at := figures.dated(found["as_of"], now())) is not None:
        line += f" · as of {at}"
    if found["is_estimate"]:
        line += " · an estimate from a sample"
    console.print(render.escape(line), style="dim")
    for note in _notes(found, facts):
        console.print(render.escape(note), style="dim")
    if (failure := found["failure"]) is not None:
        console.print(render.escape(_failed(failure)), style="yellow")


def _notes(found: dict[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
    data, partial = found["data"], facts.get("partial") or {}
    yield f"{_source(found)} · --explain says how"
    if found["unit"] and found["dimension"] not in _PLAIN and any(it["score"] for it in data):
        header = _SCORES[found["dimension"]][0] if found["dimension"] in _SCORES else "score"
        yield f"{header}: {found['unit']}"
    # a few models have no endpoint at all
    if 10 * facts.get("models_asked", 0) < 9 * facts.get("models_active", 0):
        asked, active = facts["models_asked"], facts["models_active"]
        yield f"Among the {asked} of {active} models whose endpoints are known; llmhive sync --research asks for all"
    if facts.get("total_tokens"):
        rest = f", of which {figures.volume(facts['other_tokens'])} below the top 50" if facts["other_tokens"] else ""
        yield f"All tokens of that time: {figures.volume(facts['total_tokens'])}{rest}"
    if any(it["slug"] in partial for it in data):
        yield f"* below the top 50 on some of the {facts['days']} days: it had at least so many"
    if (before := _before(found)) is not None:
        yield before
    if any(it["previous_rank"] is not None for it in data) and any(it["previous_rank"] is None for it in data):
        yield "new: not among the ranks a week before"
    if found["citation"]:
        yield found["citation"]


def _before(found: Mapping[str, Any]) -> str | None:
    """What change and growth of tokens are against; None where neither is shown."""
    data = found["data"]
    if not any(it["tokens"] is not None for it in data):
        return None
    if all(it["previous_rank"] is None and it["growth"] is None for it in data):
        return None
    if found["dimension"] == "most_used":
        against, blank = "the four weeks that ended a week earlier", "not all of these days are known"
    else:
        against, blank = "the week before", "that week is not fully known"
    what = "median growth" if found["dimension"] == "trending" else "growth in tokens"
    return f"change in ranks and {what} are against {against}; blank: {blank}"


def _source(found: Mapping[str, Any]) -> str:
    if found["source"] in _SOURCES:
        return _SOURCES[found["source"]]
    told = BY_NAME.get(found["dimension"])
    return "Derived here" if told is None else f"Derived here, from {told.source}"


def _failed(failure: Mapping[str, Any]) -> str:
    return (
        f"The last try, {render.moment(failure['at'])}, was not published: {failure['error']}. "
        "What is shown is the last good one."
    )


# --- all of them, and what they are


def _show_all(found: list[dict[str, Any]], *, json: bool) -> None:
    if json:
        render.as_json({"data": found, "total": len(found)})
        return
    console = render.out()
    columns = [
        ("name", [it["name"] for it in found]),
        ("title", [it["title"] for it in found]),
        ("ranks", [str(it["total"]) if it["is_ranked"] else "–" for it in found]),
        ("as of", [_day(it["as_of"]) for it in found]),
        ("source", [_SHORT_SOURCES.get(it["source"], it["source"]) if it["source"] else "–" for it in found]),
        ("note", [_standing(it) for it in found]),
    ]
    gives = {"note": 14, "title": 12}
    kept, _ = render.fitting(console, [it for it in columns if any(it[1])], spared=("title", "source"), gives=gives)
    headers = [name for name, _ in kept]
    gives = {name: least for name, least in gives.items() if name in headers}
    rows = list(zip(*(cells for _, cells in kept), strict=True))
    render.table(console, headers, rows, right=("ranks",), gives=gives)
    ranked = sum(it["is_ranked"] for it in found)
    console.print(f"{len(found)} rankings, {ranked} with ranks · llmhive rankings NAME", style="dim")
    if ranked < len(found):
        console.print("`llmhive sync --research` asks for what has no figures; for many of them it needs a key in "
                      "OPENROUTER_API_KEY.", style="dim")  # fmt: skip
    if not any(it["dimension"] == "task" for it in found):
        console.print("Tasks (code:debugging …) are named by OpenRouter, to requests with a key only.", style="dim")


def _day(as_of: str | None) -> str:
    return "–" if as_of is None else as_of[:10]


def _standing(it: Mapping[str, Any]) -> str:
    if it["failure"] is not None:
        return f"last try failed: {it['failure']['error']}"
    return "" if it["is_ranked"] else "no figures yet"


def _documented(catalog: Catalog, name: str) -> dict[str, Any]:
    """What a ranking is, whether or not anybody is ranked by it."""
    known = catalog.ranking_categories()
    entry = next((it for it in known if it["name"] == name), None)
    if entry is None and name in BY_NAME:
        # a dimension with categories, explained as such
        entry = next((it for it in known if it["dimension"] == name), {"dimension": name, "is_ranked": False}) | {
            "name": name, "category": None, "title": BY_NAME[name].title,
        }  # fmt: skip
    if entry is None:
        _ranking(catalog, name)
        raise NotFound(f"There is no ranking {name!r}. `llmhive rankings --list` shows all there are.")
    told = BY_NAME[entry["dimension"]]
    return {
        "name": name,
        "dimension": entry["dimension"],
        "category": entry["category"],
        "title": entry["title"],
        "formula": told.formula,
        "source": told.source,
        "window": told.window,
        "cadence": told.cadence,
        "unit": told.unit,
        "is_derived": told.is_derived,
        "is_ranked": entry["is_ranked"],
    }


def _explain(found: dict[str, Any], *, json: bool) -> None:
    if json:
        render.as_json(found)
        return
    console = render.out()
    console.print(render.escape(f"{found['title']} ({found['name']})"), style="bold")
    render.facts(
        console,
        (
            ("formula", found["formula"]),
            ("source", found["source"] + (" (derived here)" if found["is_derived"] else "")),
            ("window", found["window"]),
            ("changes", found["cadence"]),
            ("unit", found["unit"] or "tokens, prompt and completion"),
        ),
    )
    if not found["is_ranked"]:
        console.print("Nobody is ranked by it yet: `llmhive sync --research` asks.", style="yellow")
