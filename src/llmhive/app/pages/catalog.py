"""The catalog as a table: filtered, sorted, with the columns that are wished for; and the same as CSV and JSON."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

import msgspec
from markupsafe import Markup
from starlette.datastructures import QueryParams

from llmhive.app.http import parameters
from llmhive.app.http.memory import facts_of
from llmhive.app.http.parameters import BadParameter
from llmhive.app.http.problem import Problem
from llmhive.app.http.service import Refusal
from llmhive.app.pages.site import Asked, Page, Sent, Site
from llmhive.catalog import document
from llmhive.catalog.capability import CAPABILITIES, capabilities
from llmhive.catalog.pricing import NOT_PER_TOKEN
from llmhive.catalog.query import Query
from llmhive.catalog.view import Entry, View

Told = Mapping[str, Any]  #: a model as lists have it (`document.listed`)
#: Days for which a model is called new.
NEW = timedelta(days=30)
#: What people look for first, in a row's badges; all others are told on the model's page.
_SHOWN_CAPABILITIES = ("vision", "audio_input", "video_input", "file_input", "tools", "structured_outputs", "reasoning")
_MOST_KEPT = 12  #: rows that are kept of one model, for so many sets of columns


class Column(NamedTuple):
    """A column of the table."""

    title: str
    value: Callable[[Told], Any]  #: as CSV and JSON have it: exact, None where it is not known
    sort: str | None = None  #: what the list can be sorted by
    is_number: bool = False
    hint: str = ""


def _price(unit: str) -> Callable[[Told], Any]:
    return lambda it: it["pricing_per_million"].get(unit)


COLUMNS: dict[str, Column] = {
    "author": Column("Author", lambda it: it["author"], "author"),
    "family": Column("Family", lambda it: it["family"].partition("/")[2]),
    "variant": Column("Variant", lambda it: it["variant"]),
    "context": Column("Context", lambda it: it["context_length"], "context", True, "tokens that fit"),
    "output": Column("Max output", lambda it: it["max_completion_tokens"], "output", True, "tokens of an answer"),
    "prompt": Column("Prompt", _price("prompt"), "prompt", True, "USD per million tokens"),
    "completion": Column("Completion", _price("completion"), "completion", True, "USD per million tokens"),
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
DEFAULT = ("context", "output", "prompt", "completion", "cache_read", "takes", "gives", "can", "added")
#: What people come for is what is new.
FIRST = "newest"
_TITLES = {it.name: it.title for it in CAPABILITIES}
#: Fields of the form that are not parameters of the API's list.
_OWN = ("new", "expiring", "columns")


@dataclass(frozen=True)
class Choice:
    """What a query string asks for."""

    query: Query
    columns: tuple[str, ...]
    given: QueryParams  #: as it came


def add_to(site: Site) -> None:
    """Register the routes."""
    rows = _Rows(site)

    @site.get("/", section="catalog")
    def listing(asked: Asked) -> Page:
        choice = read(asked)
        found, total = asked.view.pick(choice.query)
        facts = {
            "rows": rows.of(found, choice.columns, asked.now.date()),
            "shown": len(found),
            "total": total,
            "known": counted(asked.view, choice.query.active),
            "choice": choice,
            "given": choice.given,
            "columns": [(name, COLUMNS[name]) for name in choice.columns],
            "all_columns": COLUMNS,
            "default_columns": DEFAULT,
            "sorted_by": choice.query.sort,
            "is_descending": (choice.query.sort in {"newest", "context", "output"}) != choice.query.reverse,
            "link": lambda **changes: address("/", choice.given, changes),
            "same": lambda path: address(path, choice.given, {}),
            "facets": facets(asked.view),
            "filters": _told(choice.given),
            "titles": _TITLES,
        }
        return Page("catalog.html", "Models", facts)

    @site.get("/catalog.csv", section="catalog")
    def as_csv(asked: Asked) -> Sent:
        choice = read(asked)
        found, _ = asked.view.pick(choice.query)
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["id", "name", *choice.columns])
        for entry in found:
            told = document.listed(entry.row, None)
            values = (_cell(COLUMNS[name].value(told)) for name in choice.columns)
            writer.writerow([told["id"], _safe(told["name"]), *values])
        return Sent(text.getvalue().encode(), "text/csv; charset=utf-8", "models.csv")

    @site.get("/catalog.json", section="catalog")
    def as_json(asked: Asked) -> Sent:
        choice = read(asked)
        found, total = asked.view.pick(choice.query)
        data = []
        for entry in found:
            told = document.listed(entry.row, None)
            values = {name: COLUMNS[name].value(told) for name in choice.columns}
            data.append({"id": told["id"], "name": told["name"], **values})
        answer = {**facts_of(asked.view), "total": total, "columns": choice.columns, "data": data}
        return Sent(msgspec.json.encode(answer), "application/json")


def read(asked: Asked) -> Choice:
    """What the query string asks for; raises `Refusal`. Empty fields, as forms send them, are not given."""
    given = QueryParams([(name, value.strip()) for name, value in asked.query.multi_items() if value.strip()])
    kept = [(name, value) for name, value in given.multi_items() if name not in _OWN]
    if "sort" not in given:
        kept.append(("sort", FIRST))
    if (days := _days(given, "new")) is not None:
        kept.append(("new_since", (asked.now - timedelta(days=days)).isoformat()))
    if (days := _days(given, "expiring")) is not None:
        kept.append(("expiring_before", (asked.now.date() + timedelta(days=days)).isoformat()))
    try:
        found = parameters.read(urlencode(kept).encode())
    except BadParameter as error:
        raise _refused(str(error)) from error
    if found.as_of is not None or found.known_at is not None:
        raise _refused("The page shows the catalog as it is; /api/models?as_of= tells how it was.")
    wanted = [name for value in given.getlist("columns") for name in value.split(",")]
    if unknown := [name for name in wanted if name not in COLUMNS]:
        raise _refused(f"columns: there is no column {unknown[0][:60]!r}. There are {', '.join(COLUMNS)}.")
    columns = tuple(name for name in COLUMNS if name in wanted) or DEFAULT
    return Choice(found.query, columns, given)


def _refused(why: str) -> Refusal:
    return Refusal(Problem(422, why))


def counted(view: View, is_active: bool | None) -> int:
    """How many models there are to choose from."""
    return len(view.entries) if is_active is None else sum(it.is_active is is_active for it in view.entries)


def _days(given: QueryParams, name: str) -> int | None:
    value = given.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and 0 < int(value[:6]) <= 3650 and len(value) <= 4):
        raise _refused(f"{name}: write a number of days from 1 to 3650; not {value[:60]!r}")
    return int(value)


def address(path: str, given: QueryParams, changes: Mapping[str, Any]) -> str:
    """An address with the same query but for some fields; None takes one out."""
    kept = [(name, value) for name, value in given.multi_items() if name not in changes]
    kept += [(name, value) for name, value in changes.items() if value is not None]
    return f"{path}?{urlencode(kept)}" if kept else path


#: Field → how a filter is told, in words, for who wants to take it away again.
_WORDS = {
    "text": "“{}”", "author": "by {}", "family": "family {}", "variant": "variant {}", "kind": "pricing {}",
    "in": "takes {}", "out": "gives {}", "min_context": "context ≥ {}", "min_output": "output ≥ {}",
    "min_prompt": "prompt ≥ ${}", "max_prompt": "prompt ≤ ${}", "min_completion": "completion ≥ ${}",
    "max_completion": "completion ≤ ${}", "new": "new in {} days", "expiring": "expires within {} days",
}  # fmt: skip
_FLAGS = {"free": "free", "held": "held back by the gate"}


def _told(given: QueryParams) -> list[tuple[str, str]]:
    """The filters that are on, in words, each with the address without it."""
    found = []
    for name, value in given.multi_items():
        if name == "capability":
            words = _TITLES.get(value, value)
        elif name == "active":
            words = {"false": "no longer served", "all": "active or not"}.get(value, "")
        elif name in _FLAGS:
            words = _FLAGS[name] if value == "true" else ""
        else:
            words = _WORDS[name].format(value) if name in _WORDS else ""
        if words:
            rest = [it for it in given.multi_items() if it != (name, value)]
            found.append((words, f"/?{urlencode(rest)}" if rest else "/"))
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

    def of(self, entries: Sequence[Entry], columns: tuple[str, ...], today: date) -> list[Markup]:
        """The rows of some models."""
        return [self._row(entry, (columns, today)) for entry in entries]

    def _row(self, entry: Entry, key: tuple[tuple[str, ...], date]) -> Markup:
        kept = self._kept.get(entry)
        if kept is None:
            kept = self._kept[entry] = {}
        elif (known := kept.get(key)) is not None:
            return known
        if len(kept) >= _MOST_KEPT:
            kept.clear()
        columns, today = key
        told = document.listed(entry.row, None)
        row = Markup(self._render(  # noqa: S704 (the template escapes)
            it=told, columns=columns, values={name: COLUMNS[name].value(told) for name in columns},
            is_new=is_new(told, today), counts_tokens=not NOT_PER_TOKEN.intersection(told["output_modalities"]),
            titles=_TITLES,
        ))  # fmt: skip
        kept[key] = row
        return row


def is_new(told: Told, today: date) -> bool:
    """Whether a model was added a short time ago."""
    added = told["created_at"]
    return added is not None and today - datetime.fromisoformat(added).date() <= NEW


# --- what there is to choose from


class Facets(NamedTuple):
    """What filters can be set to, each with how many active models it meets, by name."""

    authors: list[tuple[str, int]]
    families: list[tuple[str, int]]
    inputs: list[tuple[str, int]]
    outputs: list[tuple[str, int]]
    capabilities: list[tuple[str, int]]
    variants: list[tuple[str, int]]
    held: int


_last: tuple[View, Facets] | None = None


def facets(view: View) -> Facets:
    """Of a view; made once."""
    global _last  # noqa: PLW0603 (one value, replaced as a whole)
    known = _last
    if known is not None and known[0] is view:
        return known[1]
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
        can.update(name for name in capabilities(row) if name in _TITLES)
        if row["variant"]:
            variants[row["variant"]] += 1
        held += bool(row["held"])
    found = Facets(
        sorted(authors.items()), sorted(families.items()), sorted(inputs.items()), sorted(outputs.items()),
        sorted(can.items()), sorted(variants.items()), held,
    )  # fmt: skip
    _last = view, found
    return found
