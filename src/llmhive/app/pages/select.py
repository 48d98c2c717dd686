"""The selection playground: a need as a form, and beside it the shortlist with everything that explains it.

How a need is read is in `select_need`, how a shortlist is told in `select_shortlist`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from markupsafe import Markup
from starlette.datastructures import QueryParams

from llmhive.app.pages import addresses, options, select_need, words
from llmhive.app.pages.options import TITLES
from llmhive.app.pages.select_need import LISTS, Reading
from llmhive.app.pages.site import Asked, Page, Site
from llmhive.catalog.capability import CAPABILITIES
from llmhive.catalog.need import ALLOWED, MOST_CHOICES, OBJECTIVES, PARTS, TASKS
from llmhive.catalog.role import ROLES
from llmhive.catalog.usage import FIELDS
from llmhive.errors import NotFound, UsageError

PATH = "/select"
_UNREADABLE = 422
_MOST_COMPARED = 6
#: How notes begin that tell how old the catalog is.
_AGE = ("the last capture is of ", "chosen from the facts shipped with LLMHive")
#: Capabilities that people ask for first.
COMMON = (
    "vision", "tools", "structured_outputs", "reasoning", "file_input", "audio_input", "prompt_caching", "web_search",
)  # fmt: skip
#: What to start from: its name, and the need as the fields of the form.
PRESETS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "Cheapest with tools": (("objective", "price"), ("require", "tools")),
    "Best coder": (("task", "programming"), ("objective", "quality"), ("require", "tools")),
    "Best vision under $1": (("objective", "quality"), ("require", "vision"), ("max_prompt", "1")),
    "Long context": (("role", "long-context"),),
    "Fastest": (("role", "fast"),),
}
#: Fields, as the form calls them.
LABELS = {
    "task": "Task", "role": "Role", "of": "From model", "objective": "What makes it better",
    "quality": "Weight of quality", "price": "Weight of price", "speed": "Weight of speed", "require": "It can",
    "inputs": "Takes", "outputs": "Gives", "min_context": "Context, at least", "min_output": "Max output, at least",
    "max_prompt": "Prompt, at most", "max_completion": "Completion, at most", "providers": "Only these providers",
    "exclude_providers": "None of these providers", "quantizations": "Quantized", "zdr": "Keeps no data",
    "min_uptime": "Uptime, at least", "max_latency": "First token, at most", "min_throughput": "Speed, at least",
    "models": "Only these models", "exclude": "None of these models", "allow": "Allow",
    "lasting_days": "Lasts, at least", "prompt": "Prompt tokens", "completion": "Completion tokens",
    "stick_to": "Model in use", "margin": "Margin", "limit": "Choices", "as_of": "As of",
    "explain": "Why not this model", "rejected": "Who is out",
    "cached": "Cached", "written": "Written to cache", "written_1h": "Written for 1 h", "reasoning": "Reasoning",
    "audio": "Audio in", "audio_cached": "Audio cached", "audio_output": "Audio out", "image_tokens": "Image tokens in",
    "image_output": "Image tokens out", "images": "Images", "requests": "Requests", "web_searches": "Web searches",
}  # fmt: skip
#: What stands folded, and opens where something in it is told.
FOLDED: Mapping[str, tuple[str, ...]] = {
    "sizes": ("inputs", "outputs", "min_output"),
    "service": (
        "providers",
        "exclude_providers",
        "quantizations",
        "zdr",
        "min_uptime",
        "max_latency",
        "min_throughput",
    ),
    "which": ("models", "exclude", "allow", "lasting_days"),
    "usage": FIELDS,
    "use": ("stick_to", "margin"),
    "weights": PARTS,
    "answer": ("limit", "as_of"),
}  # fmt: skip
_MORE = tuple((it.name, it.title) for it in CAPABILITIES if it.name not in COMMON)


class Form(NamedTuple):
    """The fields as they were filled in."""

    given: QueryParams

    def value(self, name: str) -> str:
        """Of a field of one line."""
        values = [it.strip() for it in self.given.getlist(name) if it.strip()]
        return ", ".join(select_need.names(values)) if name in LISTS or name == "explain" else (values or [""])[-1]

    def names(self, name: str) -> tuple[str, ...]:
        """Of a list."""
        return select_need.names(self.given.getlist(name))

    def others(self) -> str:
        """What is required beside what has a box."""
        return ", ".join(it for it in self.names("require") if it not in TITLES)

    def is_open(self, part: str) -> bool:
        """Whether something of a folded part is told."""
        return any(self.value(name) for name in FOLDED[part])

    @property
    def has_more(self) -> bool:
        """Whether something is required that is not among the common."""
        return any(it not in COMMON for it in self.names("require"))


def add_to(site: Site) -> None:
    """Register the routes."""

    @site.get(PATH, section="select")
    def select(asked: Asked) -> Page:
        reading = select_need.read(asked.query)
        facts, troubles = _found(asked, reading)
        facets = options.facets(asked.view)
        told = {
            "form": Form(asked.query),
            "troubles": [(name, LABELS.get(name, name), _linked(asked, text)) for name, text in troubles.items()],
            "wrong": frozenset(troubles),
            "presets": presets(asked.query),
            "labels": LABELS,
            "roles": [(name, it.title) for name, it in ROLES.items()],
            "tasks": [(name, name) for name in TASKS],
            "objectives": _objectives(asked.query),
            "parts": PARTS,
            "common": [(name, TITLES[name]) for name in COMMON],
            "more": _MORE,
            "inputs": [name for name, _ in facets.inputs],
            "outputs": [name for name, _ in facets.outputs],
            "allowed": ALLOWED,
            "counts": [it for it in FIELDS if it not in {"prompt", "completion"}],
            "most": MOST_CHOICES,
            "model_options": options.models(asked.view),
            "found": facts,
        }
        return Page("select.html", "Select", told, _UNREADABLE if troubles else 200)


def presets(query: QueryParams) -> list[tuple[str, str, bool]]:
    """The presets: name, address, whether that is what is asked now."""
    now = sorted((name, value.strip()) for name, value in query.multi_items() if value.strip())
    return [(name, f"{PATH}?{urlencode(fields)}", sorted(fields) == now) for name, fields in PRESETS.items()]


def relaxed(query: QueryParams, changes: Mapping[str, str | None]) -> str | None:
    """The address with less asked, as `select_shortlist.Relaxed` says; None where that is the same."""
    kept = QueryParams([it for it in query.multi_items() if it[0] != "explain"])
    set_anew: dict[str, Any] = {}
    for name, value in changes.items():
        if name == "allow":
            set_anew[name] = ",".join((*select_need.names(kept.getlist(name)), str(value)))
        elif value is not None:
            left = [it for it in select_need.names(kept.getlist(name)) if it.lower() != value]
            set_anew[name] = ",".join(left) or None
        else:
            # what a role fills in goes only where it is told otherwise
            set_anew[name] = "0" if kept.get("role") and name in {"min_context", "lasting_days"} else None
    found = addresses.but(PATH, kept.multi_items(), **set_anew)
    return None if found == addresses.but(PATH, kept.multi_items()) else found


def _found(asked: Asked, reading: Reading) -> tuple[dict[str, Any] | None, Mapping[str, str]]:
    """What is chosen, as the template shows it, and what is wrong with the need."""
    if reading.need is None:
        return None, reading.troubles
    try:
        shortlist = asked.catalog.select(reading.need, as_of=reading.as_of)
    except NotFound as error:
        if not asked.view.entries:
            return None, {"": "The catalog is empty: nothing has been synced yet, so there is nothing to choose from."}
        return None, {"of": str(error)}
    except UsageError as error:
        field = select_need.field_of(str(error), reading.document)
        return None, {field or ("" if reading.as_of is None else "as_of"): str(error)}
    # numpy comes with it, which no other page needs
    from llmhive.app.pages import select_shortlist

    need, given, explained, missing = shortlist.need, asked.query.multi_items(), [], []
    for name in reading.explain:
        try:
            told = select_shortlist.explained(shortlist, shortlist.explain(name))
            explained.append(told._replace(why=addresses.plain(told.why), taking=[*map(addresses.plain, told.taking)]))
        except NotFound as error:
            missing.append((name, _linked(asked, str(error))))
    relaxing = [] if shortlist.total else list(_ways_out(asked, reading, select_shortlist.relaxing(shortlist)))
    # above each page
    is_old = asked.view.as_of is not None and asked.now - asked.view.as_of > words.OLD
    is_told_old = is_old or asked.view.source == "bootstrap"
    facts = {
        "total": shortlist.total,
        "all": shortlist.total + len(shortlist.rejected),
        "title": select_shortlist.title(need),
        "request_size": select_shortlist.request_size(need),
        "as_of": shortlist.as_of,
        "is_past": reading.as_of is not None,
        "at": shortlist.at,
        "notes": [
            _linked(asked, it) for it in shortlist.notes
            if it != shortlist.nothing and not (is_told_old and it.startswith(_AGE))
        ],
        "choices": select_shortlist.chosen(shortlist),
        "flips": select_shortlist.flips(shortlist),
        "out": [
            it._replace(examples=[(model_id, addresses.plain(why)) for model_id, why in it.examples])
            for it in select_shortlist.out(shortlist, _popular(asked))
        ],
        "rejected": [(model_id, addresses.plain(why)) for model_id, why in shortlist.rejected.items()]
        if reading.has_rejected else None,
        "show_rejected": addresses.but(PATH, given, rejected="all") + "#out",
        "why": lambda model_id: addresses.but(PATH, given, explain=model_id) + "#explained",
        "relaxing": relaxing,
        "explained": explained,
        "missing": missing,
        "compare": f"/compare?{urlencode([('model', it) for it in shortlist.ids[:_MOST_COMPARED]])}",
        "request": json(shortlist.request()) if shortlist.choices else None,
        "request_notes": [_linked(asked, it) for it in shortlist.request_notes],
        "need": json(reading.body) if reading.body else None,
    }  # fmt: skip
    return facts, {}


def _linked(asked: Asked, text: str) -> Markup:
    """A message as HTML, with fields as the form calls them."""
    for name, label in LABELS.items():
        text = text.replace(f"`{name}`", f"“{label}”")
    return addresses.linked(text, asked.view.by_id, words.model_url)


def _objectives(query: QueryParams) -> list[tuple[str, str, bool]]:
    """What can make a model better: its value in the form, its name, whether it is chosen. Value is what counts where
    nobody says, but for what a role says.
    """
    chosen, is_of_role = query.get("objective", "").strip(), bool(query.get("role", "").strip())
    is_said = chosen == "value" and is_of_role
    first = ("", "as the role says" if is_said else "value", chosen == "" or (chosen == "value" and not is_of_role))
    return [first, *((name, name, name == chosen) for name in OBJECTIVES if name != "value" or is_said)]


def _ways_out(asked: Asked, reading: Reading, told: Iterable[Any]) -> Iterator[tuple[str, int, str | None]]:
    """What to ask less of, how many models qualify then, and where that is; None: there is no field for it."""
    for it in told:
        url = relaxed(asked.query, it.changes)
        if url is None:
            yield it.what, it.models, None
            continue
        # what takes the place of a condition may keep others away
        then = select_need.read(QueryParams(url.partition("?")[2])).need
        total = 0 if then is None else asked.catalog.select(then, as_of=reading.as_of).total
        if total:
            yield it.what, total, url


def json(document: Mapping[str, Any]) -> str:
    """A document as people read it."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def _popular(asked: Asked) -> Sequence[str]:
    """Ids that people know, the best known first; none where nobody ranked them."""
    try:
        return [it["model"] for it in asked.catalog.ranking()["data"] if it["model"] is not None]
    except NotFound:
        return ()
