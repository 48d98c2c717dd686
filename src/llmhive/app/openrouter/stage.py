"""What a step of a run has at hand, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from llmhive.catalog.run import Kind
from llmhive.errors import LLMHiveError
from llmhive.store import runs
from llmhive.store.database import Database
from llmhive.store.steps import StepStatus

if TYPE_CHECKING:
    # the HTTP client is slow to import, and only its answers' shape is wanted here
    from llmhive.app.openrouter.client import Answer


class Source(Protocol):
    """What runs need of the client."""

    @property
    def has_key(self) -> bool: ...

    def models(
        self, *, etag: str | None = None, last_modified: str | None = None, known: str | None = None
    ) -> Answer: ...

    def get(self, path: str, query: Mapping[str, str] | None = None, *, wanted: str) -> Answer: ...

    def data(self, path: str, query: Mapping[str, str] | None = None, *, wanted: str) -> Answer: ...

    def endpoints(self, model_ids: Sequence[str]) -> Iterator[tuple[str, bytes | LLMHiveError]]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ResearchPolicy:
    """The settings the steps follow."""

    source: str  #: OpenRouter's base URL
    regular: bool = True  #: whether a regular sync has steps as well
    batch_size: int = 50  #: endpoint answers written in one transaction
    popular: int = 20  #: models whose endpoints a regular sync asks for
    sample_days: int = 14  #: of endpoint health: kept as samples
    day_days: int = 180  #: kept by day
    categories: tuple[str, ...] = ()  #: further categories than the documented ones


@dataclass(frozen=True, slots=True)
class Done:
    """What a step wrote."""

    facts: Mapping[str, Any] = field(default_factory=dict)  #: JSON values, for a person and for scripts
    is_changed: bool = False  #: whether readers see something new
    status: StepStatus = "completed"
    error: str | None = None


#: A step's last word, inside its transaction.
Write = Callable[[Any], Done]


@dataclass(frozen=True)
class Stage:
    """What a step has at hand."""

    source: Source
    database: Database
    run_id: int
    kind: Kind
    changed: frozenset[str]  #: the models that the model list changed in this run
    since: datetime | None  #: what the endpoints step did since then is not repeated; None: nothing was done
    policy: ResearchPolicy
    now: Callable[[], datetime]
    progress: Callable[[int, int], None]  #: done, of how many
    is_refused: bool = False  #: whether the key was refused in an earlier step

    @contextmanager
    def writing(self) -> Iterator[Any]:
        """A transaction of the run, for a step that writes in parts."""
        with self.database.write() as connection:
            runs.fence(connection, self.run_id)
            yield connection


#: Why a step is left out that only a key gives figures for.
NEEDS_KEY = "it needs OPENROUTER_API_KEY; without one there are no such figures."


class Skip(Exception):
    """A step has nothing to do, or cannot; the message says why."""


#: A step: asks what it needs to, and returns what is to be written.
Ask = Callable[[Stage], Write]
