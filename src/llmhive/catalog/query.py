"""Query: which models, in what order; pure, over rows of the catalog of any instant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, get_args

from llmhive.catalog.capability import capabilities
from llmhive.errors import UsageError

Sort = Literal["id", "name", "newest", "context", "output", "prompt", "completion"]
SORTS: tuple[Sort, ...] = get_args(Sort)

#: A row of the catalog: the columns of `model_catalog` by name, prices as `Decimal` in USD per token.
Row = Mapping[str, Any]

KEYS: dict[Sort, Callable[[Row], Any]] = {
    "id": lambda row: row["id"],
    "name": lambda row: row["name"] and row["name"].casefold(),
    "newest": lambda row: row["created_at"],
    "context": lambda row: row["context_length"],
    "output": lambda row: row["max_completion_tokens"],
    "prompt": lambda row: row["prompt_price"],
    "completion": lambda row: row["completion_price"],
}
#: What people want to see first is the most of these.
DESCENDING = frozenset({"newest", "context", "output"})


@dataclass(frozen=True, slots=True)
class Query:
    """Which models, in what order; all conditions must hold. A value that is unknown meets no limit."""

    text: str | None = None  #: words that are part of the id, the slug or the name, in any case
    author: str | None = None
    family: str | None = None  #: ``author/stem``, or the stem alone
    variant: str | None = None
    kind: str | None = None  #: ``fixed``, ``free``, ``dynamic``, ``unknown``
    inputs: tuple[str, ...] = ()  #: modalities it must take
    outputs: tuple[str, ...] = ()  #: modalities it must give
    parameters: tuple[str, ...] = ()  #: parameters it must support, e.g. ``tools``
    capabilities: tuple[str, ...] = ()  #: see `capability`: parameters, or ``vision`` …
    min_context: int | None = None  #: tokens
    min_output: int | None = None  #: tokens
    max_prompt: float | None = None  #: USD per million tokens
    max_completion: float | None = None  #: USD per million tokens
    active: bool | None = True  #: None: both
    new_since: datetime | None = None  #: added to OpenRouter since
    expiring_before: date | None = None
    sort: Sort = "id"
    reverse: bool = False
    limit: int | None = None
    offset: int = 0

    def choose(self, rows: Iterable[Row]) -> tuple[list[Row], int]:
        """A page of the rows that meet it, and how many do in all. Unknown values sort last, ties by id.

        Raises `UsageError` for an order that there is not.
        """
        key = self.key()
        met = sorted((row for row in rows if self.is_met_by(row)), key=lambda row: str(row["id"]))
        known = [row for row in met if key(row) is not None]
        known.sort(key=key, reverse=(self.sort in DESCENDING) != self.reverse)
        ordered = known + [row for row in met if key(row) is None]
        end = None if self.limit is None else self.offset + self.limit
        return ordered[self.offset : end], len(met)

    def key(self) -> Callable[[Row], Any]:
        """What it sorts by; raises `UsageError` for an order that there is not."""
        key = KEYS.get(self.sort)
        if key is None:
            raise UsageError(f"Cannot sort by {self.sort!r}. Choose one of {', '.join(SORTS)}.")
        return key

    def is_met_by(self, row: Row) -> bool:
        """Whether a row meets every condition."""
        return (
            (self.active is None or row["is_active"] is self.active)
            and all(
                any(word in (row[name] or "").casefold() for name in ("id", "canonical_slug", "name"))
                for word in (self.text or "").casefold().split()
            )
            and self.author in {None, row["author"]}
            and self.variant in {None, row["variant"]}
            and self.kind in {None, row["pricing_kind"]}
            and self.family in {None, row["family"], row["family"].partition("/")[2]}
            and set(self.inputs) <= set(row["input_modalities"])
            and set(self.outputs) <= set(row["output_modalities"])
            and set(self.parameters) <= set(row["supported_parameters"])
            and (not self.capabilities or set(self.capabilities) <= capabilities(row))
            and _reaches(row["context_length"], self.min_context)
            and _reaches(row["max_completion_tokens"], self.min_output)
            and _costs_at_most(row["prompt_price"], self.max_prompt)
            and _costs_at_most(row["completion_price"], self.max_completion)
            and _reaches(row["created_at"], self.new_since)
            and (
                self.expiring_before is None
                or (row["expiration_date"] is not None and row["expiration_date"] <= self.expiring_before)
            )
        )


def _reaches(value: Any, least: Any) -> bool:
    return least is None or (value is not None and value >= least)


def _costs_at_most(price: Decimal | None, most: float | None) -> bool:
    return most is None or (price is not None and price <= per_token(most))


def per_token(per_million: float) -> Decimal:
    """A limit in USD per million tokens as USD per token, exact."""
    return Decimal(repr(per_million)).scaleb(-6)
