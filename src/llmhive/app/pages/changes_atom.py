"""What happened as an Atom feed (RFC 4287); pure."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from xml.etree import ElementTree as ET

from llmhive.app.pages import words
from llmhive.app.pages.changes_told import KINDS, Happening, Part, told
from llmhive.catalog.model import instant
from llmhive.version import VERSION

MEDIA_TYPE = "application/atom+xml"
#: Entries of a feed, at most.
MOST = 100
_NAMESPACE = "http://www.w3.org/2005/Atom"
#: Of the ids of entries: it must never change.
_IDS = uuid.UUID("6f6c6c6d-6869-5665-8a3e-0d1f6c3b9b57")
#: What XML 1.0 does not allow in a text.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Known(NamedTuple):
    """What the catalog knows of a model that something happened to."""

    name: str
    outputs: Sequence[str]


def feed(
    found: Iterable[Happening],
    known: Mapping[str, Known],
    *,
    base: str,
    path: str,
    page: str,
    title: str,
    as_of: datetime,
) -> bytes:
    """The feed of what happened, the newest learned first: one entry for each part. `path` is its own address below
    `base`, `page` that of the same as a page; `as_of` dates it where there is nothing.
    """
    parts = [(it, part) for it in found for part in it.parts]
    parts.sort(key=lambda it: (words.instant(it[1].updated_at), words.instant(it[0].at)), reverse=True)
    parts = parts[:MOST]
    root = ET.Element("feed", {"xmlns": _NAMESPACE, "xml:lang": "en"})
    _add(root, "id", base + path)
    _add(root, "title", title)
    _add(root, "updated", _date(words.instant(parts[0][1].updated_at) if parts else as_of))
    _add(root, "link", rel="self", type=MEDIA_TYPE, href=base + path)
    _add(root, "link", rel="alternate", type="text/html", href=base + page)
    _add(ET.SubElement(root, "author"), "name", "LLMHive")
    _add(root, "generator", "LLMHive", version=VERSION)
    for it, part in parts:
        _add_entry(root, it, part, known.get(it.model_id), base)
    content: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return content


def entry_id(model_id: str, at: str, what: str) -> str:
    """The id of what happened: by `what` the library calls it, since cheaper may turn out to be both ways."""
    return uuid.uuid5(_IDS, "\n".join((_safe(model_id), instant(words.instant(at)), what))).urn


def _add_entry(root: ET.Element, it: Happening, part: Part, known: Known | None, base: str) -> None:
    pieces = told(part, () if known is None else known.outputs)
    back = part.reverted_at
    title = ", ".join([f"{it.model_id}: {KINDS[part.kind].lower()}", *pieces])
    entry = ET.SubElement(root, "entry")
    _add(entry, "id", entry_id(it.model_id, it.at, part.what))
    _add(entry, "title", title if back is None else f"{title} (taken back on {words.day(back)})")
    _add(entry, "updated", _date(words.instant(part.updated_at)))
    _add(entry, "published", _date(words.instant(it.at)))
    _add(entry, "link", rel="alternate", type="text/html", href=base + words.model_url(_safe(it.model_id)))
    _add(entry, "category", term=part.kind, label=KINDS[part.kind])
    seen = f"First seen {words.moment(it.at)}, confirmed {words.moment(part.confirmed_at)}."
    lines = [it.model_id if known is None else f"{known.name} ({it.model_id})", KINDS[part.kind], *pieces, seen]
    if back is not None:
        lines.append(f"Taken back on {words.moment(back)}.")
    _add(entry, "content", "\n".join(lines), type="text")


def _add(parent: ET.Element, tag: str, text: str | None = None, **attributes: str) -> None:
    made = ET.SubElement(parent, tag, {name: _safe(value) for name, value in attributes.items()})
    if text is not None:
        made.text = _safe(text)


def _safe(text: str) -> str:
    """A text that XML can hold."""
    return _FORBIDDEN.sub("\ufffd", text)


def _date(at: datetime) -> str:
    """An instant as RFC 3339 has it; years have four digits."""
    return instant(at)
