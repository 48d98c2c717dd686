"""Rankings: a tree of all there are, and one of them with its source, date, citation and shares over time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from llmhive.app import wording
from llmhive.app.library import Catalog
from llmhive.app.pages import words
from llmhive.app.pages.addresses import ranking_url, whole
from llmhive.app.pages.site import Answer, Asked, Moved, Page, Site
from llmhive.catalog.dimension import BY_NAME, MOST_RANKS
from llmhive.catalog.view import View
from llmhive.errors import NotFound, UsageError

Facts = Mapping[str, Any]
FIRST = "leaderboard"
#: Ranks that are offered to be shown: so many, or all.
SIZES = (10, 25, MOST_RANKS)
_DEFAULT = 25
#: Dimensions that are ranked by category: the title of their branch, and what is said while nothing is known of it.
_BRANCHES = {
    "category": ("By category", ""),
    "modality": ("By modality", ""),
    "task": ("By task", "OpenRouter names tasks to requests with a key only: a research sync with one asks for them."),
}
_SOURCES = {
    "data-api": "OpenRouter's Data API",
    "models-order": "the order of OpenRouter's model list; without a key it tells no token figures",
}
_MOST_KEPT = 200  #: rankings
#: Words of titles that OpenRouter cuts short.
_WORDS = {"Impl": "implementation", "Sql": "SQL"}


def add_to(site: Site) -> None:
    """Register the routes."""
    memory = Memory()

    @site.get("/rankings", section="rankings")
    def first(asked: Asked) -> Answer:
        known = asked.catalog.ranking_categories()
        return _page(asked, memory, known, first_of(known), "/rankings")

    @site.get("/rankings/{name:path}", section="rankings")
    def one(asked: Asked) -> Answer:
        known, name = asked.catalog.ranking_categories(), asked.path["name"]
        if (meant := within(name, known)) is not None:
            return Moved(f"{ranking_url(meant)}{'?' + str(asked.query) if asked.query else ''}")
        return _page(asked, memory, known, name)


def _page(asked: Asked, memory: Memory, known: Sequence[Facts], name: str | None, path: str | None = None) -> Page:
    """A ranking; `path` is where it is shown, where that is not its own address."""
    for unknown in (it for it, value in asked.query.multi_items() if it != "limit" and value.strip()):
        raise UsageError(f"{unknown[:60]}: there is no such parameter. There is limit.")
    size = size_of(asked.query.get("limit"))
    about = next((it for it in known if it["name"] == name), None)
    if name is not None and about is None:
        asked.catalog.ranking(name)  # says what comes near
        raise NotFound(f"There is no ranking {name[:60]!r}.")
    facts: dict[str, Any] = {"tree": tree(known), "about": about, "found": None, "api": None, "chart": None}
    if about is None:
        return Page("rankings.html", "Rankings", facts)
    facts |= {"how": BY_NAME[about["dimension"]], "name": name, "missing": missing(about)}
    facts["heading"] = title = leaf_title(about)
    if about["is_ranked"]:
        found = asked.catalog.ranking(name, size)
        facts |= {
            "found": found,
            "table": table(found, asked.view),
            "notes_of_it": list(notes(found)),
            "source": source(found),
            "as_of": dated(found["as_of"]),
            "sizes": sizes(found["total"], size, path or ranking_url(about["name"])),
            "api": api_address(about, size),
            "chart": chart_address(found, about["name"]),
            "shares": None,
        }
        if facts["chart"] is not None:
            facts["shares"] = memory.shares(asked.catalog, about["name"], found)
    return Page("rankings.html", f"{title} · Rankings", facts)


class Memory:
    """Shares over time, read once for each ranking as it was made."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple[str, ...], Shares]] = {}

    def shares(self, catalog: Catalog, name: str, found: Facts) -> Shares:
        """Of a ranking that was found."""
        made, known = (found["made_at"], found["as_of"]), self._kept.get(name)
        if known is None or known[0] != made:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            known = self._kept[name] = made, shares(catalog.share_history(name))
        return known[1]


# --- the tree


class Branch(NamedTuple):
    """Rankings that belong together."""

    title: str
    leaves: list[Leaf]
    note: str


class Leaf(NamedTuple):
    """A ranking in the tree."""

    name: str
    title: str
    url: str
    is_ranked: bool


def tree(known: Sequence[Facts]) -> list[Branch]:
    """All rankings: of usage, by category, modality and task, and those that are derived here."""
    usage, derived = Branch("Usage", [], ""), Branch("Derived here", [], "")
    by = {name: Branch(title, [], note) for name, (title, note) in _BRANCHES.items()}
    for it in known:
        leaf = Leaf(it["name"], leaf_title(it), ranking_url(it["name"]), it["is_ranked"])
        # it is asked for as modalities are
        branch = by.get("modality" if it["dimension"] == "tool_calling" else it["dimension"])
        (branch or (derived if it["is_derived"] else usage)).leaves.append(leaf)
    return [branch for branch in (usage, *by.values(), derived) if branch.leaves or branch.note]


def leaf_title(about: Facts) -> str:
    """What a ranking is called beside its kin: of tasks with their group, since other groups have the same."""
    group, _, rest = about["name"].partition(":")
    if about["dimension"] == "task" and rest:
        title = " ".join(_WORDS.get(it, it) for it in about["title"].split())
        return f"{group.replace('_', ' ').capitalize()}: {title}"
    return str(about["title"])


def first_of(known: Sequence[Facts]) -> str | None:
    """The ranking that is shown where none is named; None: nothing is ranked."""
    ranked = [it["name"] for it in known if it["is_ranked"]]
    return FIRST if FIRST in ranked else next(iter(ranked), None)


def within(name: str, known: Sequence[Facts]) -> str | None:
    """The ranking that ``category`` or ``category/programming`` means; None where a name is that of a ranking."""
    dimension, _, category = name.partition("/")
    if dimension not in _BRANCHES:
        return None
    kin = [it for it in known if it["dimension"] == dimension]
    if category:
        return next((it["name"] for it in kin if it["name"] == category), None)
    return next((it["name"] for it in sorted(kin, key=lambda it: not it["is_ranked"])), None)


def missing(about: Facts) -> str | None:
    """Why a ranking has no ranks, in words; None where it has some."""
    if about["is_ranked"]:
        return None
    if (failure := about["failure"]) is not None:
        when = words.moment(failure["at"])
        return f"There is no good ranking yet; the last one, {when}, was not published: {failure['error']}."
    if about["note"] is not None:
        return str(about["note"])
    key = ", with a key in OPENROUTER_API_KEY" if BY_NAME[about["dimension"]].needs_key else ""
    return f"Nobody is ranked by this yet: there are no figures. A research sync asks for them{key}."


# --- one ranking


def size_of(given: str | None) -> int | None:
    """How many ranks are asked for; None: all. Raises `UsageError`."""
    if given is None or not given.strip():
        return _DEFAULT
    return None if given == "all" else whole("limit", given, MOST_RANKS)


def sizes(total: int, size: int | None, path: str) -> list[tuple[str, str, bool]]:
    """The links that say how many ranks are shown: text, address, whether it is so now."""
    smaller = [it for it in SIZES if it < total]
    if not smaller:
        return []
    links = [(f"{it}", f"{path}?limit={it}", size == it) for it in smaller]
    return [*links, (f"all {total}", f"{path}?limit=all", size is None or size >= total)]


def api_address(about: Facts, size: int | None) -> str:
    """Where programs get the same."""
    asked: dict[str, Any] = {"dimension": about["dimension"]}
    if about["category"] is not None:
        asked |= {"category": about["category"]}
    return f"/api/rankings?{urlencode(asked if size is None else asked | {'limit': size})}"


def chart_address(found: Facts, name: str) -> str | None:
    """Where the figure of its shares over time is; None where none of the first has a share."""
    if all(it["share"] is None for it in found["data"][:8]):
        return None
    return "/charts/ranking/" + quote(name, safe="/:~@")


def source(found: Facts) -> str:
    """Where its figures come from, in words."""
    if (known := _SOURCES.get(found["source"])) is not None:
        return known
    told = BY_NAME.get(found["dimension"])
    return "derived here" if told is None else f"derived here, from {told.source}"


class Dated(NamedTuple):
    """When something was true: as its source dates it."""

    text: str
    at: datetime | None  #: None of a day, and of what we cannot read


def dated(text: str | None) -> Dated | None:
    """An instant with its time; a day as a day."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text) if "T" in text else None
    except ValueError:
        return Dated(text, None)
    return Dated(text, None) if at is None or at.tzinfo is None else Dated(words.moment(at), at)


def notes(found: Facts) -> Iterator[str]:
    """What must be known to read it."""
    facts, data = found["facts"], found["data"]
    # a few models have no endpoint at all
    if 10 * facts.get("models_asked", 0) < 9 * facts.get("models_active", 0):
        asked, active = facts["models_asked"], facts["models_active"]
        yield f"Among the {asked} of {active} models whose endpoints are known; a research sync asks for all."
    if facts.get("total_tokens"):
        rest = facts["other_tokens"]
        below = f", of which {words.short(rest)} below the top {MOST_RANKS}" if rest else ""
        yield f"All tokens of that time: {words.short(facts['total_tokens'])}{below}."
    if any(it["is_lower_bound"] for it in data):
        yield (
            f"≥: it was below the top {MOST_RANKS} on some of the {facts['days']} days; it had at least so many tokens."
        )
    if (before := _before(found)) is not None:
        yield before
    if any(it["previous_rank"] is not None for it in data) and any(it["previous_rank"] is None for it in data):
        yield "new: not among the ranks a week before."


def _before(found: Facts) -> str | None:
    """What movement and growth are against; None where neither is shown."""
    data = found["data"]
    if not any(it["tokens"] is not None for it in data):
        return None
    if all(it["previous_rank"] is None and it["growth"] is None for it in data):
        return None
    if found["dimension"] == "most_used":
        against, blank = "the four weeks that ended a week earlier", "not all of these days are known"
    else:
        against, blank = "the week before", "that week is not fully known"
    what = "Median growth" if found["dimension"] == "trending" else "Growth in tokens"
    return f"Movement and growth are against {against}; blank: {blank}. {what}: as a share of what it was then."


# --- its table


@dataclass(frozen=True)
class Table:
    """Rows with the columns that have data."""

    who: str  #: what is ranked
    has: frozenset[str]
    score: str  #: header of the score
    unit: str | None  #: of the score
    rows: tuple[Row, ...]


class Row(NamedTuple):
    """One rank."""

    rank: int
    name: str
    id: str | None  #: shown below the name, where it says more
    url: str | None
    is_unknown: bool  #: the catalog does not know it
    movement: tuple[str, str, str] | None  #: as it is seen, read aloud, and painted
    tokens: int | None
    at_least: str | None  #: why `tokens` is a lower bound
    share: str | None
    growth: str | None
    score: str | None
    exact_score: str | None


#: Dimension → header of its score, and how it is written; others in four digits.
_SCORES = {
    "trending": "Median growth",
    "task": "Of its requests",
    "best_value": "Points per $ / M",
    "fastest": "Tokens a second",
    "most_reliable": "Uptime, 1 day",
    "lowest_cost": "$ / M",
    "long_context": "Context",
    "multimodal": "Kinds of input",
}


def table(found: Facts, view: View) -> Table:
    """The ranks as they are shown."""
    dimension, data = found["dimension"], found["data"]
    told = BY_NAME.get(dimension)
    is_of_authors = told is not None and told.is_of_authors
    has_before = any(it["previous_rank"] is not None for it in data)
    # a growth that is the score is shown once
    is_growth = bool(data) and all(it["score"] is not None and it["score"] == it["growth"] for it in data)
    scores = _scores(dimension, [it["score"] for it in data])
    days = found["facts"].get("days")
    rows = tuple(
        Row(
            it["rank"],
            *_who(it, view, is_of_authors=is_of_authors),
            movement(it["change"], is_new=has_before and it["previous_rank"] is None),
            it["tokens"],
            f"named on {it['days_counted']} of {days} days only" if it["is_lower_bound"] else None,
            None if it["share"] is None else words.percent(it["share"]),
            None if it["growth"] is None or is_growth else words.signed(it["growth"]),
            score,
            it["score"],
        )
        for it, score in zip(data, scores, strict=True)
    )
    names = ("movement", "tokens", "share", "growth", "score")
    has = frozenset(name for name in names if any(getattr(row, name) is not None for row in rows))
    unit = found["unit"] if "score" in has else None
    return Table("Author" if is_of_authors else "Model", has, _SCORES.get(dimension, "Score"), unit, rows)


def _who(it: Facts, view: View, *, is_of_authors: bool) -> tuple[str, str | None, str | None, bool]:
    """Name, id, address, and whether the catalog does not know it."""
    slug: str = it["slug"]
    if is_of_authors:
        return slug, None, f"/?{urlencode({'author': slug})}", False
    if (model_id := it["model"]) is None:
        return slug, None, None, it["is_known"] is False
    entry = view.by_id.get(model_id)
    name = None if entry is None else entry.row["name"]
    return name or model_id, model_id if name else None, words.model_url(model_id), False


def movement(change: int | None, *, is_new: bool = False) -> tuple[str, str, str] | None:
    """Ranks gained or lost: as it is seen, as it is read aloud, and whether that is up or down."""
    if change is None:
        return ("new", "new", "") if is_new else None
    if not change:
        return "=", "no change", ""
    return (f"▲{change}", f"up {change}", "up") if change > 0 else (f"▼{-change}", f"down {-change}", "down")


def _scores(dimension: str, values: Sequence[str | None]) -> list[str | None]:
    known = [Decimal(it) for it in values if it is not None]
    if dimension == "most_reliable":
        shown = iter(wording.told_apart(known))
        return [None if it is None else f"{next(shown)} %" for it in values]
    return [None if it is None else _score(dimension, it) for it in values]


def _score(dimension: str, value: str) -> str:
    match dimension:
        case "trending":
            return words.signed(value)
        case "task":
            return words.percent(value)
        case "long_context":
            return words.short(int(Decimal(value)))
        case "lowest_cost":
            return words.usd(value)
        case _:
            return wording.four_digits(value)


# --- its shares over time


class Shares(NamedTuple):
    """What the chart shows, as a table: the newest date first."""

    names: list[str]
    rows: list[tuple[str, list[str | None]]]


def shares(history: Facts) -> Shares:
    """Of `Catalog.share_history`."""
    models = [it for it in history["models"] if any(share is not None for share in it["share"])]
    rows = [
        (words.day(day), [None if it["share"][place] is None else words.percent(it["share"][place]) for it in models])
        for place, day in enumerate(history["dates"])
    ]
    return Shares([it["id"] or it["slug"] for it in models], rows[::-1])
