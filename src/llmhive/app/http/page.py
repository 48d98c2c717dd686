"""The page at the root: how things stand, and where to go on."""

from __future__ import annotations

import base64
import hashlib
import html
from datetime import datetime, timedelta
from typing import Any

from llmhive.catalog.view import View
from llmhive.version import VERSION

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 44rem; margin: 2rem auto; padding: 0 1rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.5rem; }
dt { opacity: .7; } dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.note { border-inline-start: .25rem solid #b26a00; padding: .25rem .75rem; }
"""
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_DIGEST}'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
_BOOTSTRAP = (
    "These are the bootstrap facts shipped with LLMHive: nothing has been synced from OpenRouter yet. The first sync "
    "that works replaces them."
)
_AWAY = "The database does not answer. Reads go on from memory."
_EMPTY = "The catalog is empty: nothing has been synced yet."
_LINKS = (
    ("/api/models?limit=20&sort=newest", "the newest models"),
    ("/api/models?capability=tools&kind=fixed&max_prompt=1&sort=prompt&limit=20", "cheap models with tools"),
    ("/api/models", "all models"),
    ("/api/models/families", "families"),
    ("/api/rankings", "who is used most"),
    ("/api/models/top?category=programming", "the first models in programming"),
    ("/api/rankings/categories", "all rankings"),
    ("/api/capabilities", "what models can do"),
    ("/api/providers", "who serves models"),
    ("/api/changes", "what changed in the last week"),
    ("/api/openrouter/sync/status", "status"),
    ("/api/openrouter/sync/runs", "runs"),
    ("/metrics", "metrics"),
    ("/openapi.json", "OpenAPI document: every route and filter"),
)


def page(view: View, age: int | None, status: dict[str, Any] | None) -> str:
    """The page as HTML; `age` of the catalog in seconds; without a status, the database never answered."""
    is_away = status is None or not status["database_reachable"]
    notes = [text for text, is_so in (
        (_EMPTY, view.source is None), (_BOOTSTRAP, view.source == "bootstrap"), (_AWAY, is_away)
    ) if is_so]  # fmt: skip
    rows = [
        ("From", {"openrouter": "OpenRouter", "bootstrap": "the bootstrap facts"}.get(view.source or "")),
        ("Models", f"{sum(entry.is_active for entry in view.entries)} active, {len(view.entries)} known"),
        ("As of", view.as_of and f"{view.as_of:%Y-%m-%d %H:%M} UTC ({span(age or 0)} ago)"),
        ("Catalog version", str(view.catalog_version)),
        *(_stands(status) if status is not None else ()),
        ("Program", f"LLMHive {VERSION}"),
    ]
    said = "".join(f'<p class="note">{html.escape(text)}</p>' for text in notes)
    facts = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(str(text))}</dd>" for name, text in rows if text)
    links = "".join(f'<li><a href="{html.escape(path)}">{html.escape(text)}</a></li>' for path, text in _LINKS)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>LLMHive</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main><h1>LLMHive</h1><p>A copy of the OpenRouter model catalog.</p>{said}<dl>{facts}</dl>"
        f"<h2>Ask it</h2><ul>{links}</ul></main></body></html>"
    )


def _stands(status: dict[str, Any]) -> list[tuple[str, str | None]]:
    held = []
    if status["held"]:
        held.append("an answer waits: see runs")
    if status["held_values"]:
        held.append(f"values of {status['held_values']} models, until a second sync says the same")
    last, pending = status["last_sync_time"], status["alerts_pending"]
    return [
        ("Last sync", last and f"{status['last_sync_status']}, {_moment(last)}"),
        ("Last error", status["last_error"]),
        ("Running", status["running"] and f"run {status['running']['id']} ({status['running']['kind']})"),
        ("Next sync", f"{_moment(status['next_scheduled_sync'])} ({status['schedule']} schedule)"),
        ("Held", "; ".join(held) or None),
        ("Pinned", status["pinned"] and f"to the snapshot {status['pinned']}"),
        ("Alerts", f"{pending} not delivered yet" if pending else None),
    ]


def _moment(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC"


def span(seconds: float) -> str:
    """A length of time in the largest unit that fits: ``3 minutes``."""
    length = timedelta(seconds=seconds)
    for unit, name in ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute")):
        if length >= unit:
            return f"{length // unit} {name}{'' if length // unit == 1 else 's'}"
    return f"{int(seconds)} s"
