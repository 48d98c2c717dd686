"""Query: which models, in what order. What each condition means over rows of the catalog: `catalog/index.py`."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal, get_args

import msgspec

Sort = Literal["id", "name", "newest", "context", "output", "prompt", "completion", "author", "expiring"]
SORTS: tuple[Sort, ...] = get_args(Sort)


# not a dataclass: one is made for every request, in an eighth of the time
class Query(msgspec.Struct, frozen=True):
    """Which models, in what order; all conditions must hold. A value that is unknown meets no limit."""

    text: str | None = None  #: words that are part of the id, the slug or the name, in any case
    author: str | None = None
    family: str | None = None  #: ``author/line``, or the line alone
    variant: str | None = None
    kind: str | None = None  #: ``fixed``, ``free``, ``dynamic``, ``unknown``
    inputs: tuple[str, ...] = ()  #: modalities it must take
    outputs: tuple[str, ...] = ()  #: modalities it must give
    parameters: tuple[str, ...] = ()  #: parameters it must support, e.g. ``tools``
    capabilities: tuple[str, ...] = ()  #: see `capability`: parameters, or ``vision`` …
    min_context: int | None = None  #: tokens
    min_output: int | None = None  #: tokens
    min_prompt: float | None = None  #: USD per million tokens
    min_completion: float | None = None  #: USD per million tokens
    max_prompt: float | None = None  #: USD per million tokens
    max_completion: float | None = None  #: USD per million tokens
    active: bool | None = True  #: None: both
    held: bool | None = None  #: whether the gate holds a value of it back
    new_since: datetime | None = None  #: added to OpenRouter since
    expiring_before: date | None = None
    sort: Sort = "id"
    reverse: bool = False
    limit: int | None = None
    offset: int = 0
