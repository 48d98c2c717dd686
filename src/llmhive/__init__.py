"""LLMHive: a trustworthy, time-travelling copy of the OpenRouter model catalog.

>>> from llmhive import Catalog
>>> with Catalog.open() as catalog:
...     for model in catalog.models().data:
...         print(model["id"], model["pricing_per_million"])
...     print(catalog.cost("openai/gpt-4o-mini", {"prompt_tokens": 900, "completion_tokens": 69}))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from llmhive.version import VERSION

if TYPE_CHECKING:
    from llmhive.app.library import Catalog, Page
    from llmhive.catalog.need import Need
    from llmhive.catalog.preferences import Preferences
    from llmhive.catalog.query import Query
    from llmhive.catalog.receipt import Receipt
    from llmhive.catalog.shortlist import Shortlist
    from llmhive.catalog.usage import Usage
    from llmhive.errors import LLMHiveError, NotFound, StoreError, Unpriced, UpstreamError, UsageError

__version__ = VERSION
__all__ = [
    "Catalog", "LLMHiveError", "Need", "NotFound", "Page", "Preferences", "Query", "Receipt", "Shortlist", "StoreError",
    "Unpriced", "UpstreamError", "Usage", "UsageError",
]  # fmt: skip

_HOMES = {
    "Catalog": "llmhive.app.library",
    "Page": "llmhive.app.library",
    "Need": "llmhive.catalog.need",
    "Preferences": "llmhive.catalog.preferences",
    "Query": "llmhive.catalog.query",
    "Receipt": "llmhive.catalog.receipt",
    "Shortlist": "llmhive.catalog.shortlist",
    "Usage": "llmhive.catalog.usage",
} | dict.fromkeys(
    ("LLMHiveError", "NotFound", "StoreError", "Unpriced", "UpstreamError", "UsageError"), "llmhive.errors"
)


def __getattr__(name: str) -> object:
    """Import a name when it is first used: the command starts faster than the library loads."""
    if name not in _HOMES:
        raise AttributeError(f"module 'llmhive' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
