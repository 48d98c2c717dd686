"""Two to six models side by side; what the rows are is in `compare_rows`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, Inexact
from typing import Any, NamedTuple

from starlette.datastructures import QueryParams

from llmhive.app.library import Catalog
from llmhive.app.pages import addresses, calls, compare_rows, options
from llmhive.app.pages.compare_rows import Column, Cost
from llmhive.app.pages.site import Asked, Page, Site
from llmhive.catalog import capability, document, written
from llmhive.catalog.benchmark import is_keyed
from llmhive.catalog.need import LONGEST_NAME, TYPICAL
from llmhive.catalog.usage import DIGITS, shown
from llmhive.catalog.view import Entry, View
from llmhive.errors import NotFound, Unpriced, UsageError

PATH = "/compare"
LEAST, MOST = 2, 6
#: What models are offered to start from.
_OFFERED = 8
#: Unknown names that are looked after: finding near ones takes its time.
_LOOKED_AFTER = 3
#: Fields of the usage, and what they are where they are not given.
USAGE: Mapping[str, int] = {"calls": calls.CALLS, "prompt": TYPICAL.prompt, "completion": TYPICAL.completion}
_TITLES = {"calls": "Calls", "prompt": "Prompt tokens a call", "completion": "Completion tokens a call"}


class Wanted(NamedTuple):
    """What a query string asks for."""

    entries: tuple[Entry, ...]
    usage: Mapping[str, int]
    given: Mapping[str, str]  #: fields of the usage as they were filled in
    is_short: bool  #: only the rows that differ
    troubles: tuple[str, ...]  #: what could not be taken, in sentences
    missing: tuple[str, ...] = ()  #: names that mean no model


def add_to(site: Site) -> None:
    """Register the routes."""

    @site.get(PATH, section="compare")
    def compare(asked: Asked) -> Page:
        wanted = read(asked.query, asked.view)
        found = _groups(asked, wanted) if wanted.entries else []
        shown_groups = compare_rows.only_different(found) if wanted.is_short and len(wanted.entries) > 1 else found
        ids = [it.id for it in wanted.entries]
        facts = {
            "ids": ids,
            "models": [(it.id, it.row["name"] or it.id, link(wanted, [other for other in ids if other != it.id]))
                       for it in wanted.entries],
            "groups": shown_groups,
            "rows": sum(len(it.rows) for it in found),
            "different": sum(row.differs for it in found for row in it.rows),
            "is_short": wanted.is_short,
            "toggle": link(wanted, ids, is_short=not wanted.is_short),
            "fields": [(name, title, wanted.given[name] or usual, usual)
                       for (name, title), usual in zip(_TITLES.items(), USAGE.values(), strict=True)],
            "typed": ", ".join(wanted.missing),
            "kept": [(name, value) for name, value in wanted.given.items() if value],
            "troubles": [
                addresses.linked(it, asked.view.by_id, lambda near: link(wanted, [*dict.fromkeys([*ids, near])]))
                for it in wanted.troubles
            ],
            "starters": [] if len(ids) >= LEAST else [
                (it.id, it.row["name"] or it.id, link(wanted, [*ids, it.id])) for it in _starters(asked, wanted.entries)
            ],
            "is_full": len(ids) >= MOST,
            "model_options": options.models(asked.view),
        }  # fmt: skip
        return Page("compare.html", "Compare", facts)


# --- what is asked for


def read(query: QueryParams, view: View) -> Wanted:
    """What a query string asks for; what cannot be taken is told, and the rest is shown."""
    entries, troubles, missing = _entries(query, view)
    given = {name: (query.get(name) or "").strip() for name in USAGE}
    usage = dict(USAGE)
    for name, text in given.items():
        if text:
            try:
                usage[name] = _count(name, text)
            except UsageError as error:
                troubles.append(f"{_TITLES[name]} ({name}): {error}. Costs are shown for {USAGE[name]:,}.")
    if not usage["prompt"] + usage["completion"]:
        troubles.append("A call of no tokens has no cost: write prompt or completion tokens.")
    is_short = query.get("diff") == "1"
    return Wanted(tuple(entries), usage, given, is_short, tuple(troubles), tuple(missing[:_LOOKED_AFTER]))


def _entries(query: QueryParams, view: View) -> tuple[list[Entry], list[str], list[str]]:
    """The models that are named, what could not be taken, and names that mean no model."""
    found: dict[str, Entry] = {}
    twice: list[str] = []
    missing: list[str] = []
    for name in _names(query):
        entry = view.find(name) if len(name) <= LONGEST_NAME else None
        if entry is None:
            missing.append(name)
        elif entry.id in found:
            who = name if name == entry.id else f"{name} is {entry.id}, which"
            twice.append(f"{who} is here already: it is shown once.")
        else:
            found[entry.id] = entry
    troubles = [_why_missing(view, name) for name in missing[:_LOOKED_AFTER]]
    if rest := len(missing) - _LOOKED_AFTER:
        troubles += [f"{rest} more names mean no model."] if rest > 0 else []
    if len(found) > MOST:
        left_out = [*found][MOST:]
        more = f" and {len(left_out) - MOST} more" if len(left_out) > MOST else ""
        troubles.append(f"{MOST} models at most fit side by side: left out are {', '.join(left_out[:MOST])}{more}.")
    return [*found.values()][:MOST], [*troubles, *twice[:_LOOKED_AFTER]], missing


def _names(query: QueryParams) -> list[str]:
    return [name for value in query.getlist("model") for it in value.split(",") if (name := it.strip())]


def _why_missing(view: View, name: str) -> str:
    if len(name) > LONGEST_NAME:
        return f"{shown(name)} is too long for the name of a model."
    if not view.entries:
        return "The catalog is empty: nothing has been synced yet."
    return view.names.why_missing(name)


def _count(name: str, text: str) -> int:
    number = written.count(text)
    least = 1 if name == "calls" else 0
    if number is None or not least <= number < 10 ** (DIGITS if name != "calls" else 12):
        raise UsageError(f"write a whole number from {least}, of at most {DIGITS if name != 'calls' else 12} digits")
    return number


def link(wanted: Wanted, ids: Sequence[str], *, is_short: bool | None = None) -> str:
    """The address of a comparison of these models, all else the same."""
    is_short = wanted.is_short if is_short is None else is_short
    return addresses.but(PATH, [*(("model", it) for it in ids), *wanted.given.items()], diff="1" if is_short else None)


# --- what is known of the models


def _groups(asked: Asked, wanted: Wanted) -> list[compare_rows.Group]:
    catalog, usage = asked.catalog, wanted.usage
    ids = [it.id for it in wanted.entries]
    matrix = {it["id"]: {name: cell["state"] for name, cell in it["cells"].items()}
              for it in catalog.capabilities(ids)["data"]}  # fmt: skip
    columns = [_column(asked, it, matrix.get(it.id), usage) for it in wanted.entries]
    ranked = frozenset(it["name"] for it in catalog.ranking_categories() if it["is_ranked"])
    calls = f"{usage['calls']:,} call{'' if usage['calls'] == 1 else 's'}"
    told = f"{calls} of {usage['prompt']:,} + {usage['completion']:,} tokens"
    return compare_rows.groups(columns, ranked, usage=told)


def _column(asked: Asked, entry: Entry, cells: Mapping[str, str] | None, usage: Mapping[str, int]) -> Column:
    catalog, model_id = asked.catalog, entry.id
    endpoints = catalog.endpoints(model_id)
    told = document.listed(entry.row, asked.view.as_of)
    return Column(
        told,
        # what no research sync has judged yet, the record itself says
        cells or {name: cell.state for name, cell in capability.cells(entry.row).items()},
        {it["category"] or it["dimension"]: it["rank"] for it in catalog.ranks_of(model_id)},
        _measures(catalog.benchmarks(model_id)),
        None if endpoints["succeeded_at"] is None else [it for it in endpoints["data"] if it["is_active"]],
        cost_of(catalog, told, usage, asked.now),
    )


def _measures(told: Sequence[Mapping[str, Any]]) -> dict[str, Decimal]:
    """By metric; a figure of a source itself comes before the same that OpenRouter's list carries."""
    found: dict[str, Decimal] = {}
    for it in sorted(told, key=lambda it: is_keyed(it["source"])):
        found[it["metric"]] = Decimal(it["value"])
    return found


def cost_of(catalog: Catalog, told: Mapping[str, Any], usage: Mapping[str, int], at: datetime) -> Cost:
    """What calls cost at a model at an instant, exactly."""
    each = calls.usage(told, usage["prompt"], usage["completion"])
    try:
        receipt = catalog.cost(told["id"], each, at=at)
        if why := calls.missing(receipt):
            return Cost(None, f"It is not free: {why}.")
        counted = calls.OF_IMAGES if each.image_output else ""
        return Cost(compare_rows.all_calls(receipt.total, usage["calls"]), None, receipt.incomplete, counted)
    except (NotFound, Unpriced, UsageError) as error:
        return Cost(None, str(error))
    except Inexact:
        return Cost(None, "It has more digits than amounts can have.")


def _starters(asked: Asked, chosen: Sequence[Entry]) -> Iterator[Entry]:
    """Models to begin with: those that are used the most, or else the newest."""
    view = asked.view
    try:
        ranked = [view.by_id[it["model"]] for it in asked.catalog.ranking(None, 2 * _OFFERED)["data"]
                  if it["model"] in view.by_id]  # fmt: skip
    except NotFound:
        ranked = sorted(
            (it for it in view.entries if it.row["created_at"] is not None),
            key=lambda it: it.row["created_at"], reverse=True,
        )  # fmt: skip
    found = [it for it in ranked if it.is_active and it not in chosen]
    yield from found[:_OFFERED]
