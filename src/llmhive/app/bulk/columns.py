"""Which column of a file of usages says what: as it is told, or as OpenRouter names it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from llmhive.catalog.usage import FIELDS
from llmhive.errors import UsageError

#: What a column can hold: whole numbers, other numbers, text, true or false, an instant or day, anything else.
Kind = Literal["whole", "number", "text", "flag", "instant", "other"]

#: field → what its column is called where nobody says, the best first; each also inside of ``usage``. Logs often keep
#: texts under ``prompt`` and the like, so that these come last. ``input_tokens`` is missing on purpose: whether it
#: includes what was cached depends on who wrote it.
NAMES: Mapping[str, tuple[str, ...]] = {
    "model": ("model", "model_permaslug", "model_id"),
    "at": ("at", "created_at", "timestamp", "time", "datetime", "date", "created"),
    "provider": ("provider", "provider_name"),
    "tier": ("tier", "service_tier"),
    "prompt": ("prompt_tokens", "native_tokens_prompt", "tokens_prompt", "prompt"),
    "completion": ("completion_tokens", "native_tokens_completion", "tokens_completion", "completion"),
    "cached": (
        "cached_tokens", "native_tokens_cached", "tokens_cached", "prompt_tokens_details.cached_tokens", "cached",
    ),
    "written": ("cache_write_tokens", "prompt_tokens_details.cache_write_tokens", "written"),
    "written_1h": ("written_1h",),
    "reasoning": (
        "reasoning_tokens", "native_tokens_reasoning", "tokens_reasoning",
        "completion_tokens_details.reasoning_tokens", "reasoning",
    ),
    "audio": ("prompt_tokens_details.audio_tokens", "audio"),
    "audio_cached": ("audio_cached",),
    "audio_output": ("completion_tokens_details.audio_tokens", "audio_output"),
    "image_tokens": ("prompt_tokens_details.image_tokens", "image_tokens"),
    "image_output": ("completion_tokens_details.image_tokens", "native_tokens_completion_images", "image_output"),
    "images": ("images",),
    "requests": ("requests",),
    "web_searches": ("server_tool_use_details.web_search_requests", "web_searches"),
    "is_byok": ("is_byok",),
}  # fmt: skip
_COUNTS = frozenset(FIELDS)


class Column(NamedTuple):
    """A column of a file, or a field of a nested one."""

    path: tuple[str, ...]
    kind: Kind

    def __str__(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Columns:
    """What the caller says of the columns; the rest is recognised by name."""

    named: Mapping[str, str] = field(default_factory=dict)  #: field → column, dots for what is nested
    at: datetime | None = None  #: price all rows at this instant (aware)

    def find(self, present: list[Column]) -> dict[str, Column]:
        """The column of each field. Raises `UsageError` for what is missing, and for what cannot be read."""
        if self.at is not None and (self.at.tzinfo is None or "at" in self.named):
            raise UsageError("A fixed instant needs a time zone, and no column of its own beside it.")
        by_name: dict[str, Column] = {}
        for column in present:
            by_name.setdefault(str(column).lower(), column)
        found: dict[str, Column] = {}
        for name, wanted in self.named.items():
            if name not in NAMES:
                raise UsageError(f"There is no field {name!r}; there are {', '.join(NAMES)}.")
            if wanted.lower() not in by_name:
                raise UsageError(f"The file has no column {wanted!r} for {name}. {_listed(present)}")
            found[name] = by_name[wanted.lower()]
        for name, guesses in NAMES.items():
            for guess in (f"{inside}{it}" for it in guesses for inside in ("", "usage.")):
                if name not in found and guess in by_name and not (name == "at" and self.at is not None):
                    found[name] = by_name[guess]
        for name in ("model", *(["at"] if self.at is None else []), "prompt"):
            if name not in found:
                other = ", or give one instant for all rows with --at" if name == "at" else ""
                raise UsageError(
                    f"No column is known to say {name}. Name it: --column {name}=COLUMN{other}. {_listed(present)}"
                )
        for name, column in found.items():
            if not _is_fit(name, column.kind):
                raise UsageError(f"The column {column} cannot say {name}: it is nested, or of another type.")
        return found


def _is_fit(name: str, kind: Kind) -> bool:
    if name in _COUNTS:
        return kind in {"whole", "number", "text"}
    if name == "at":
        return kind in {"whole", "number", "text", "instant"}
    return kind in ({"flag", "text", "whole"} if name == "is_byok" else {"text"})


def _listed(present: list[Column]) -> str:
    return f"It has {', '.join(str(it) for it in present if it.kind != 'other') or 'no columns'}."
