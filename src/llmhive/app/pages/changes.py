"""Changes: what happened at OpenRouter, by day, the newest first; and the same as an Atom feed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple

from starlette.datastructures import QueryParams

from llmhive.app.pages import addresses, changes_atom, words
from llmhive.app.pages.changes_told import KINDS, PRICES, Happening, Part, by_size, put_together, told
from llmhive.app.pages.fields import how_far
from llmhive.app.pages.site import Asked, Page, Sent, Site
from llmhive.catalog.view import View
from llmhive.errors import UsageError

#: Entries of a page.
PER_PAGE = 200
#: Days that are shown where nobody says: of all models, of one model (all there are), in the feed.
_DAYS, _DAYS_OF_FEED = 7, 30
ALL = "all"
_CHOICES = (("7", "7 days"), ("30", "30 days"), ("90", "90 days"), ("365", "a year"), (ALL, "all time"))
_FIRST_DAY = date(2000, 1, 1)  #: before any capture
_MOST_DAYS = 3650
_BADGES = {
    "cheaper": ("good", "▼"), "dearer": ("bad", "▲"), "added": ("info", ""), "removed": ("warn", ""),
    "expiry": ("warn", ""), "returned": ("info", ""),
}  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """What a query string asks for."""

    kinds: tuple[str, ...]  #: of `KINDS`; none: all
    text: str  #: words that the id holds, in lower case
    model: str | None  #: only what happened to this one
    first: date | None  #: None: from the beginning
    last: date
    is_to_now: bool  #: nobody said until when
    days: str  #: as was chosen; empty where a date was
    is_by_size: bool
    page: int
    given: tuple[tuple[str, str], ...]  #: the fields that say so, to be asked again

    @property
    def begin(self) -> datetime:
        """The first instant."""
        return datetime.combine(self.first or _FIRST_DAY, datetime.min.time(), UTC)

    @property
    def end(self) -> datetime | None:
        """The first instant after it; None: it has no end."""
        if self.is_to_now or self.last == date.max:
            return None
        return datetime.combine(self.last + timedelta(days=1), datetime.min.time(), UTC)

    def address(self, path: str, **changes: str | None) -> str:
        """The address of the same but for some fields; the first page of it, unless one is named."""
        return addresses.but(path, self.given, **({"page": None} | changes))


def add_to(site: Site) -> None:
    """Register the routes."""
    memory = Memory()

    @site.get("/changes", section="changes")
    def changes(asked: Asked) -> Page:
        wanted = read(asked.query, asked.view.as_of, asked.now)
        return Page("changes.html", "Changes", shown(memory.happened(asked, wanted), wanted, asked.view, asked.now))

    @site.get("/changes.atom", section="changes")
    def as_atom(asked: Asked) -> Sent:
        wanted = read(asked.query, asked.view.as_of, asked.now, days=_DAYS_OF_FEED)
        found = chosen(matching(memory.happened(asked, wanted), wanted.text), wanted.kinds)
        of_catalog = {it.model_id: known_of(asked.view, it.model_id) for it in found}
        content = changes_atom.feed(
            found,
            {model_id: known for model_id, known in of_catalog.items() if known is not None},
            base=asked.base,
            path=wanted.address("/changes.atom"),
            page=wanted.address("/changes"),
            title="LLMHive: " + about(wanted),
            as_of=asked.view.as_of or datetime(1970, 1, 1, tzinfo=UTC),
        )
        return Sent(content, changes_atom.MEDIA_TYPE)


class Memory:
    """What happened in a time, put together once for a view. A backfill of the past raises none, so it ends."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic, lasting: float = 60, most: int = 8) -> None:
        self._seconds, self._lasting, self._most = seconds, lasting, most
        self._kept: tuple[View | None, dict[Any, tuple[float, list[Happening]]]] = None, {}

    def happened(self, asked: Asked, wanted: Wanted) -> list[Happening]:
        """All that happened in the time that is asked for, of the model that is; raises `NotFound` for none such."""
        view, kept = self._kept
        if view is not asked.view:
            # one pair, since threads may ask at the same time
            kept = {}
            self._kept = asked.view, kept
        key, now = (wanted.begin, wanted.end, wanted.model), self._seconds()
        known = kept.get(key)
        if known is not None and now - known[0] < self._lasting:
            return known[1]
        found = put_together(asked.catalog.changes(wanted.begin, wanted.end, model=wanted.model))
        if len(kept) >= self._most:
            kept.clear()
        kept[key] = now, found
        return found


# --- what is asked for


def read(query: QueryParams, as_of: datetime | None, now: datetime, *, days: int = _DAYS) -> Wanted:
    """What a query string asks for; raises `UsageError`. Days count back from the newest capture (`as_of`), or from
    ``until``; empty fields, as forms send them, are not given.
    """
    given = {name: value.strip() for name, value in query.multi_items() if value.strip()}
    what = [name for value in query.getlist("what") for name in value.split(",") if name and name != ALL]
    for name in what:
        if name not in KINDS:
            raise UsageError(f"what: there is no {name[:60]!r}. There are {', '.join(KINDS)}.")
    kinds = tuple(name for name in KINDS if name in what)
    model = given.get("model")
    if model is not None and not model.isprintable():
        raise UsageError("model: write the id of a model.")
    newest = min(as_of or now, now).date()
    last = _date("until", given["until"]) if "until" in given else newest
    first, chosen_days = _first(given, last, str(days) if model is None else ALL)
    if first is not None and first > last:
        end = f"until, {last}" if "until" in given else f"the newest capture, of {last}"
        raise UsageError(f"since: {first} is after {end}; nothing lies between.")
    if first is not None and first > now.date():
        raise UsageError(f"{'until' if chosen_days else 'since'}: {last if chosen_days else first} has not come yet.")
    sort = given.get("sort")
    if sort not in {None, "size", "time"}:
        raise UsageError(f"sort: write size or time; not {given['sort'][:60]!r}")
    fields = ("text", "model", "days", "since", "until", "sort", "page")
    known: dict[str, str] = {name: given[name] for name in fields if name in given}
    if kinds:
        known["what"] = ",".join(kinds)
    return Wanted(
        kinds, given.get("text", "").lower(), model, first, last, "until" not in given, chosen_days, sort == "size",
        addresses.whole("page", given.get("page", "1"), addresses.MOST_PAGES), tuple(known.items()),
    )  # fmt: skip


def _first(given: Mapping[str, str], last: date, default: str) -> tuple[date | None, str]:
    """The first day that is asked for, and the number of days that says so."""
    since = given.get("since")
    if since is not None and not since.removesuffix("d").isdigit():
        return _date("since", since), ""
    chosen_days = (since.removesuffix("d") if since is not None else None) or given.get("days", default)
    if chosen_days == ALL:
        return None, ALL
    number = addresses.whole("days" if since is None else "since", chosen_days, _MOST_DAYS)
    # whole days in UTC, with the last one
    return date.fromordinal(max(last.toordinal() - number + 1, 1)), str(number)


def _date(name: str, value: str) -> date:
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise UsageError(f"{name}: write a day as 2026-05-01; not {value[:60]!r}") from error


def about(wanted: Wanted) -> str:
    """What is asked for, in words."""
    kinds = ", ".join(KINDS[name].lower() for name in wanted.kinds) or "changes"
    of = "" if wanted.model is None else f" of {wanted.model}"
    return f"{kinds}{of}" + (f" where the id has “{wanted.text}”" if wanted.text else "")


def span(wanted: Wanted) -> str:
    """The time that is asked for, in words."""
    if wanted.first is None:
        return f"since the first capture, to {wanted.last}"
    if wanted.days == "7":
        return f"the week to {wanted.last}"
    if wanted.days:
        return f"the {wanted.days} day{'' if wanted.days == '1' else 's'} to {wanted.last}"
    return f"{wanted.first} to {wanted.last}"


# --- what is shown


def matching(found: Sequence[Happening], text: str) -> list[Happening]:
    """Of models whose id has all words of a text."""
    pieces = text.split()
    return [it for it in found if all(piece in it.model_id.lower() for piece in pieces)] if pieces else list(found)


def chosen(found: Sequence[Happening], kinds: Sequence[str]) -> list[Happening]:
    """What is of some kinds; of all where none is named."""
    if not kinds:
        return list(found)
    return [part for it in found if (part := it.only(kinds)) is not None]


def counts(found: Sequence[Happening]) -> Counter[str]:
    """How often each kind happened."""
    return Counter(part.kind for it in found for part in it.parts)


class Entry(NamedTuple):
    """What happened to a model at an instant, as it is shown."""

    model_id: str
    name: str | None  #: None: the catalog has no such model
    url: str | None
    at: str
    clock: str
    seen: str
    confirmed_at: str
    confirmed: str
    parts: list[Told]


class Told(NamedTuple):
    """A part of it, in words."""

    badge: str
    mark: str
    kind: str
    size: str | None  #: by how much it got cheaper or dearer
    text: str
    reverted_at: str | None


class Day(NamedTuple):
    """A day with what happened on it; without a date where it is by size."""

    date: str | None
    entries: list[Entry]


def shown(everything: Sequence[Happening], wanted: Wanted, view: View, now: datetime) -> dict[str, Any]:
    """The facts of the page."""
    matched = matching(everything, wanted.text)
    number_of = counts(matched)
    found = chosen(matched, wanted.kinds)
    if wanted.is_by_size:
        found = by_size(found)
    pages = max(-(-len(found) // PER_PAGE), 1)
    at = min(wanted.page, pages)
    part = found[(at - 1) * PER_PAGE : at * PER_PAGE]
    counts_back = wanted.is_to_now and wanted.days not in {"", ALL}
    is_old = counts_back and view.as_of is not None and now - view.as_of > words.OLD
    meant = None if wanted.model is None else view.find(wanted.model)
    return {
        "days": in_days(part, view, is_by_size=wanted.is_by_size),
        "total": len(found),
        "known": len(matched),
        "chips": chips(wanted, number_of, len(matched)),
        "sorts": _sorts(wanted) if any(number_of[it] for it in wanted.kinds or PRICES if it in PRICES) else [],
        "wanted": wanted,
        "given": dict(wanted.given),
        "kinds": ",".join(wanted.kinds),
        "choices": _CHOICES,
        "default_days": "all time" if wanted.model is not None else "7 days",
        "span": span(wanted),
        "is_old": is_old,
        "only": None if wanted.model is None else (wanted.model if meant is None else meant.id),
        "without_model": wanted.address("/changes", model=None),
        "longer": _longer(wanted),
        "without_text": wanted.address("/changes", text=None) if wanted.text else None,
        "without_kinds": wanted.address("/changes", what=None) if wanted.kinds and matched else None,
        "pages": pages,
        "page": at,
        "previous": wanted.address("/changes", page=str(at - 1)) if at > 1 else None,
        "next": wanted.address("/changes", page=str(at + 1)) if at < pages else None,
        "feed": wanted.address("/changes.atom", sort=None),
        "about": about(wanted),
    }


class Chip(NamedTuple):
    """A kind to choose."""

    name: str
    text: str
    number: int
    url: str
    is_on: bool


def chips(wanted: Wanted, number_of: Mapping[str, int], total: int) -> list[Chip]:
    """All kinds, each with the address that takes it in or out."""
    found = [Chip(ALL, "All", total, wanted.address("/changes", what=None), not wanted.kinds)]
    for name, text in KINDS.items():
        others = [it for it in KINDS if (it in wanted.kinds) != (it == name)]
        url = wanted.address("/changes", what=",".join(others) or None)
        found.append(Chip(name, text, number_of.get(name, 0), url, name in wanted.kinds))
    return found


def _sorts(wanted: Wanted) -> list[tuple[str, str, bool]]:
    return [
        ("newest first", wanted.address("/changes", sort=None), not wanted.is_by_size),
        ("by size", wanted.address("/changes", sort="size"), wanted.is_by_size),
    ]


def _longer(wanted: Wanted) -> tuple[str, str] | None:
    """The next longer time: its words and address; None where it is the longest, or dates were chosen."""
    names = [name for name, _ in _CHOICES]
    if not wanted.days or wanted.days == ALL:
        return None
    longer = next((name for name in names[:-1] if int(name) > int(wanted.days)), ALL)
    return dict(_CHOICES)[longer], wanted.address("/changes", days=longer, since=None)


def in_days(found: Sequence[Happening], view: View, *, is_by_size: bool = False) -> list[Day]:
    """What happened, by day in UTC, in the order in which it comes."""
    if is_by_size:
        return [Day(None, [entry(it, view, has_date=True) for it in found])] if found else []
    return [
        Day(day, [entry(it, view) for it in of_day]) for day, of_day in groupby(found, key=lambda it: words.day(it.at))
    ]


def entry(it: Happening, view: View, *, has_date: bool = False) -> Entry:
    """What happened, in words."""
    known = known_of(view, it.model_id)
    at = words.instant(it.at)
    confirmed_at = max((part.confirmed_at for part in it.parts), key=words.instant)
    confirmed = words.instant(confirmed_at)
    return Entry(
        it.model_id,
        None if known is None else known.name,
        None if known is None else words.model_url(it.model_id),
        it.at,
        f"{at:%Y-%m-%d %H:%M}" if has_date else f"{at:%H:%M}",
        words.moment(at),
        confirmed_at,
        f"{confirmed:%H:%M}" if confirmed.date() == at.date() else f"{confirmed:%m-%d %H:%M}",
        [_part(part, known) for part in it.parts],
    )


def _part(part: Part, known: changes_atom.Known | None) -> Told:
    badge, mark = _BADGES.get(part.kind, ("", ""))
    pieces = told(part, () if known is None else known.outputs)
    by = part.size if part.kind in {"cheaper", "dearer"} else None
    size = None if by is None or by.is_infinite() else how_far(by)
    # what is told of all need not be told of each
    pieces = [piece.removesuffix(f", {size} {part.kind}") for piece in pieces]
    return Told(badge, mark, KINDS[part.kind].lower(), size, " · ".join(pieces), part.reverted_at)


def known_of(view: View, model_id: str) -> changes_atom.Known | None:
    """What the catalog knows of a model; None where it has none of that id."""
    known = view.by_id.get(model_id)
    return None if known is None else changes_atom.Known(known.row["name"] or model_id, known.row["output_modalities"])
