"""The catalog as a table: filtered, sorted, with the columns that are wished for; and the same as CSV and JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

import msgspec
from markupsafe import Markup
from starlette.datastructures import QueryParams

from llmhive.app.http import parameters
from llmhive.app.http.memory import facts_of
from llmhive.app.http.parameters import BadParameter
from llmhive.app.pages import addresses, options
from llmhive.app.pages.site import Asked, Page, Sent, Site
from llmhive.app.pages.words import is_new
from llmhive.catalog import document
from llmhive.catalog.capability import capabilities
from llmhive.catalog.query import Query
from llmhive.catalog.view import Entry, View
from llmhive.errors import UsageError

Facts = Mapping[str, Any]  #: a model as lists have it (`document.listed`)
#: What people look for first, in a row's badges; all others are told on the model's page.
_SHOWN_CAPABILITIES = ("vision", "audio_input", "video_input", "file_input", "tools", "structured_outputs", "reasoning")
_MOST_KEPT = 12  #: rows that are kept of one model, for so many sets of columns


class Column(NamedTuple):
    """A column of the table."""

    title: str
    value: Callable[[Facts], Any]  #: as CSV and JSON have it: exact, None where it is not known
    sort: str | None = None  #: what the list can be sorted by
    is_number: bool = False
    hint: str = ""


def _price(unit: str) -> Callable[[Facts], Any]:
    return lambda it: it["pricing_per_million"].get(unit)


_PER_MILLION = "USD per million tokens; each: for one second, character, search or token, OpenRouter does not say which"


def _tokens(name: str) -> Callable[[Facts], Any]:
    # of some media models OpenRouter says 0
    return lambda it: it[name] or None


COLUMNS: dict[str, Column] = {
    "prompt": Column("Prompt", _price("prompt"), "prompt", True, _PER_MILLION),
    "completion": Column("Completion", _price("completion"), "completion", True, _PER_MILLION),
    "author": Column("Author", lambda it: it["author"], "author"),
    "family": Column("Family", lambda it: it["family"].partition("/")[2]),
    "variant": Column("Variant", lambda it: it["variant"]),
    "context": Column("Context", _tokens("context_length"), "context", True, "tokens that fit"),
    "output": Column("Max output", _tokens("max_completion_tokens"), "output", True, "tokens of an answer"),
    "cache_read": Column("Cache read", _price("input_cache_read"), None, True, "USD per million tokens"),
    "cache_write": Column("Cache write", _price("input_cache_write"), None, True, "USD per million tokens"),
    "kind": Column("Pricing", lambda it: it["pricing_kind"]),
    "takes": Column("Takes", lambda it: it["input_modalities"]),
    "gives": Column("Gives", lambda it: it["output_modalities"]),
    "can": Column("Can", lambda it: [name for name in _SHOWN_CAPABILITIES if name in capabilities(it)]),
    "tokenizer": Column("Tokenizer", lambda it: it["tokenizer"]),
    "added": Column("Added", lambda it: it["created_at"] and it["created_at"][:10], "newest"),
    "expires": Column("Expires", lambda it: it["expiration_date"], "expiring"),
}
DEFAULT = ("prompt", "completion", "context", "output", "cache_read", "gives", "can", "added")
#: Of these, what a narrow screen leaves out.
_EXTRA = frozenset({"output", "cache_read", "gives", "can", "added"})
#: What people come for is what is new.
FIRST = "newest"
_MOST_DAYS = 3650
#: Fields of the form that are not parameters of the API's list.
_OWN = ("new", "expiring", "columns")
#: Fields of the form that hold one value.
_HELD_ONCE = frozenset({
    "text", "author", "family", "variant", "in", "out", "min_context", "min_prompt", "max_prompt", "min_completion",
    "max_completion", "free", "held", "new", "expiring", "active",
})  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """What a query string asks for."""

    query: Query
    columns: tuple[str, ...]
    given: QueryParams  #: as it came

    @property
    def is_by_nearness(self) -> bool:
        """Whether what comes nearest to the searched words is first: nobody said in what order."""
        return "text" in self.given and "sort" not in self.given

    @property
    def extra(self) -> frozenset[str]:
        """Columns that a narrow screen leaves out: none of those that somebody chose."""
        return _EXTRA if self.columns == DEFAULT else frozenset()


def add_to(site: Site) -> None:
    """Register the routes."""
    rows = _Rows(site)

    @site.get("/", section="catalog", reads="memory")
    def listing(asked: Asked) -> Page:
        wanted = read(asked)
        found, total = picked(asked.view, wanted)
        facets = options.facets(asked.view)
        facts = {
            "rows": rows.of(found, wanted, asked.now.date()),
            "shown": len(found),
            "total": total,
            "known": counted(asked.view, wanted.query.active),
            "wanted": wanted,
            "given": wanted.given,
            "columns": [(name, COLUMNS[name]) for name in wanted.columns],
            "all_columns": COLUMNS,
            "default_columns": DEFAULT,
            "extra": wanted.extra,
            "sorted_by": None if wanted.is_by_nearness else wanted.query.sort,
            "is_descending": (wanted.query.sort in {"newest", "context", "output"}) != wanted.query.reverse,
            "link": lambda **changes: addresses.but("/", wanted.given.multi_items(), **changes),
            "same": lambda path: addresses.but(path, wanted.given.multi_items()),
            "facets": facets,
            "kept": _kept(wanted.given, [name for name, _ in facets.capabilities]),
            "filters": _told(wanted.given),
            "titles": options.TITLES,
        }
        return Page("catalog.html", "Models", facts)

    @site.get("/catalog.csv", section="catalog", reads="memory")
    def as_csv(asked: Asked) -> Sent:
        wanted = read(asked)
        found, _ = picked(asked.view, wanted)
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["id", "name", *wanted.columns])
        for entry in found:
            told = document.listed(entry.row, None)
            values = (_cell(COLUMNS[name].value(told)) for name in wanted.columns)
            writer.writerow([told["id"], _safe(told["name"]), *values])
        return Sent(text.getvalue().encode(), "text/csv; charset=utf-8", "models.csv")

    @site.get("/catalog.json", section="catalog", reads="memory")
    def as_json(asked: Asked) -> Sent:
        wanted = read(asked)
        found, total = picked(asked.view, wanted)
        data = []
        for entry in found:
            told = document.listed(entry.row, None)
            values = {name: COLUMNS[name].value(told) for name in wanted.columns}
            data.append({"id": told["id"], "name": told["name"], **values})
        answer = {**facts_of(asked.view), "total": total, "columns": wanted.columns, "data": data}
        return Sent(msgspec.json.encode(answer), "application/json")


def read(asked: Asked) -> Wanted:
    """What the query string asks for; raises `UsageError`. Empty fields, as forms send them, are not given."""
    given = QueryParams([(name, value.strip()) for name, value in asked.query.multi_items() if value.strip()])
    kept = [(name, value) for name, value in given.multi_items() if name not in _OWN]
    if "sort" not in given:
        kept.append(("sort", FIRST))
    if (days := _days(given, "new")) is not None:
        kept.append(("new_since", (asked.now.date() - timedelta(days=days)).isoformat()))
    if (days := _days(given, "expiring")) is not None:
        kept.append(("expiring_before", (asked.now.date() + timedelta(days=days)).isoformat()))
    try:
        found = parameters.read(urlencode(kept).encode())
    except BadParameter as error:
        raise UsageError(str(error)) from error
    if found.as_of is not None or found.known_at is not None:
        raise UsageError("The page shows the catalog as it is; /api/models?as_of= tells how it was.")
    named = [name for value in given.getlist("columns") for name in value.split(",")]
    if unknown := [name for name in named if name not in COLUMNS]:
        raise UsageError(f"columns: there is no column {unknown[0][:60]!r}. There are {', '.join(COLUMNS)}.")
    columns = tuple(name for name in COLUMNS if name in named) or DEFAULT
    return Wanted(found.query, columns, given)


def picked(view: View, wanted: Wanted) -> tuple[list[Entry], int]:
    """The models in the order that is asked for, and how many there are in all."""
    query = wanted.query
    if not wanted.is_by_nearness:
        return view.pick(query)
    found, total = view.pick(msgspec.structs.replace(query, limit=None, offset=0))
    text = " ".join(wanted.given["text"].lower().split())
    found.sort(key=lambda it: _distance(it, text))
    return found[query.offset :][: query.limit], total


def _distance(entry: Entry, text: str) -> int:
    """How far a searched text is from a model: 0 is what it is called, 1 how that begins, 2 all else."""
    called = [entry.id.lower(), (entry.row["name"] or "").lower(), (entry.row["canonical_slug"] or "").lower()]
    # with and without who made it
    called += [called[0].rpartition("/")[2], called[1].partition(": ")[2]]
    return 0 if text in called else 1 if any(it.startswith(text) for it in called) else 2


def _kept(given: QueryParams, capabilities: Sequence[str]) -> list[tuple[str, str]]:
    """What is asked for, and no field of the form holds."""
    once: set[str] = set()
    kept = []
    for name, value in given.multi_items():
        if name in _HELD_ONCE and name not in once:
            once.add(name)
        elif name != "columns" and not (name == "capability" and value in capabilities):
            kept.append((name, value))
    return kept


def counted(view: View, is_active: bool | None) -> int:
    """How many models there are to choose from."""
    return len(view.entries) if is_active is None else sum(it.is_active is is_active for it in view.entries)


def _days(given: QueryParams, name: str) -> int | None:
    return addresses.whole(name, given[name], _MOST_DAYS) if name in given else None


#: Field → how a filter is told, in words, for who wants to take it away again.
_WORDS = {
    "text": "“{}”", "author": "by {}", "family": "family {}", "variant": "variant {}", "kind": "pricing {}",
    "in": "takes {}", "out": "gives {}", "min_context": "context ≥ {}", "min_output": "output ≥ {}",
    "min_prompt": "prompt ≥ ${}", "max_prompt": "prompt ≤ ${}", "min_completion": "completion ≥ ${}",
    "max_completion": "completion ≤ ${}", "new": "new in {} days", "expiring": "expires within {} days",
    "new_since": "added since {}", "expiring_before": "expires until {}", "limit": "{} at most",
    "offset": "without the first {}",
}  # fmt: skip
_FLAGS = {("free", "true"): "free", ("held", "true"): "held back by the gate", ("held", "false"): "not held"}


def _told(given: QueryParams) -> list[tuple[str, str, str]]:
    """The filters that are on, in words, each with the address without it, and what that link is called."""
    found: list[tuple[str, str, str]] = []
    for name, value in given.multi_items():
        if name == "capability":
            words = options.TITLES.get(value, value)
        elif name == "active":
            words = {"false": "no longer served", "all": "active or not"}.get(value, "")
        elif name in {"free", "held"}:
            words = _FLAGS.get((name, value), "")
        else:
            words = _WORDS[name].format(value) if name in _WORDS else ""
        if words:
            rest = [it for it in given.multi_items() if it != (name, value)]
            link = f"without-{name}"
            if name == "capability" or link in {it[2] for it in found}:
                link += f"-{value}"
            found.append((words, addresses.but("/", rest), link))
    return found


def _cell(value: Any) -> Any:
    return " ".join(value) if isinstance(value, list | tuple) else _safe(value)


def _safe(value: Any) -> Any:
    """A text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t"} else value


# --- rows


class _Rows:
    """The rows as HTML, each made once for a model, a set of columns and a day."""

    def __init__(self, site: Site) -> None:
        self._render = site.template("catalog_row.html").render
        self._kept: WeakKeyDictionary[Entry, dict[tuple[Any, ...], Markup]] = WeakKeyDictionary()

    def of(self, entries: Sequence[Entry], wanted: Wanted, today: date) -> list[Markup]:
        """The rows of some models."""
        return [self._row(entry, wanted.extra, (wanted.columns, today)) for entry in entries]

    def _row(self, entry: Entry, extra: frozenset[str], key: tuple[tuple[str, ...], date]) -> Markup:
        kept = self._kept.get(entry)
        if kept is None:
            kept = self._kept[entry] = {}
        elif (known := kept.get(key)) is not None:
            return known
        if len(kept) >= _MOST_KEPT:
            kept.clear()
        columns, today = key
        told = document.listed(entry.row, None)
        row = self._render(
            it=told, columns=columns, extra=extra, values={name: COLUMNS[name].value(told) for name in columns},
            is_new=is_new(told["created_at"], today),
        )  # fmt: skip
        # between the cells of a table even a line's end is a node
        kept[key] = found = Markup(row.replace("\n", ""))  # noqa: S704 (the template escapes)
        return found
