"""Keeps a `View` of the catalog fresh while others sync: readers answer from it and never wait for the database.

One thread looks whenever PostgreSQL gives notice, and else every so often. It reads what changed, makes a new view and
swaps it in whole. If the database does not answer, the last view stays, and says how old it may be.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from llmhive.app.observe import Tell
from llmhive.catalog.view import Entry, View
from llmhive.errors import LLMHiveError
from llmhive.store import browse
from llmhive.store.database import Database
from llmhive.store.notices import Notices

#: Seconds between looks: on PostgreSQL only in case a notice was lost.
_LOOK_EVERY = {"postgresql": 1.0, "sqlite": 0.25}
_SILENT_AFTER = 10.0  #: seconds without an answer, after which the database counts as away
_LOOK_AGAIN = 0.5  #: seconds, after the database did not answer


class Live:
    """The newest view, kept by a thread of its own."""

    def __init__(self, database: Database, *, tell: Tell, prepare: Callable[[], None] = lambda: None) -> None:
        """`prepare` runs before the first look, until it succeeds."""
        self._database = database
        self._tell = tell
        self._prepare: Callable[[], None] | None = prepare
        self._notices = Notices(database)
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)
        self._is_stopping = False
        self._fingerprints: dict[str, tuple[object, ...]] = {}
        self._looked_at: float | None = None
        self.view: View | None = None  #: None before the first look
        self._answered = False  #: whether the database did, last time
        self.error: str | None = None  #: why not
        self.trouble: LLMHiveError | None = None  #: likewise

    def start(self) -> None:
        """Look once, then go on in a thread."""
        self._try()
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._is_stopping = True
        self._notices.wake()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def wake(self) -> None:
        """Look soon, where no notice of the database says so (SQLite): there may be something new."""
        self._notices.wake()

    @property
    def is_reachable(self) -> bool:
        """Whether the database answers: it did, and not long ago."""
        age = self.staleness_seconds
        return self._answered and age is not None and age < _SILENT_AFTER

    @property
    def staleness_seconds(self) -> float | None:
        """How old the view may be at most; None before the first look."""
        return None if self._looked_at is None else time.monotonic() - self._looked_at

    def state(self) -> dict[str, Any]:
        """The view's version, and how old it may be at most, as JSON values."""
        age = self.staleness_seconds
        return {
            "catalog_version": None if self.view is None else self.view.catalog_version,
            "staleness_seconds": None if age is None else round(age, 3),
        }

    def _run(self) -> None:
        while not self._is_stopping:
            try:
                self._notices.wait(_LOOK_EVERY[self._database.dialect] if self._answered else _LOOK_AGAIN)
            except LLMHiveError:
                time.sleep(_LOOK_AGAIN)
            except Exception as error:  # noqa: BLE001 (as below: the thread must go on)
                self._tell("Cannot wait for notices", error=f"{type(error).__name__}: {error}")
                time.sleep(_LOOK_AGAIN)
            if not self._is_stopping:
                self._try()
        self._notices.close()

    def _try(self) -> None:
        try:
            if self._prepare is not None:
                self._prepare()
                self._prepare = None
            self.look()
        except LLMHiveError as error:
            if self._answered or self.error != str(error):
                self._tell("Cannot read the database", error=str(error))
            self._answered, self.error, self.trouble = False, str(error), error
            return
        except Exception as error:  # noqa: BLE001 (the thread must go on: a view that stays old for ever is worse)
            self._tell("Cannot read the catalog", error=f"{type(error).__name__}: {error}")
            self._answered, self.error, self.trouble = False, f"internal error: {type(error).__name__}", None
            return
        if self.error is not None:
            self._tell("Reading the database again")
        self._answered, self.error, self.trouble = True, None, None

    def look(self) -> None:
        """Read what changed; raises `StoreError`."""
        began = time.monotonic()
        if not self._database.require_schema():
            self.view = self.view or View()
            self._looked_at = began
            return
        fingerprints, entries = self._fingerprints, None
        with self._database.read() as connection:
            standing = browse.standing(connection)
            state, old = standing.state, self.view or View(catalog_version=-1)
            if state.catalog_version != old.catalog_version or state.source != old.source:
                fingerprints = browse.fingerprints(connection)
                entries = self._changed(connection, old, fingerprints)
        facts = {
            "catalog_version": state.catalog_version,
            "source": state.source,
            "as_of": standing.as_of,
            "pinned": state.pinned,
        }
        if entries is not None:
            view = View.of(entries, **facts)
            view.warm()
            # together: where the connection is lost after reading, what was read is read again
            self.view, self._fingerprints = view, fingerprints
            self._tell("Reading a new version", catalog_version=state.catalog_version, models=len(entries),
                       seconds=round(time.monotonic() - began, 3))  # fmt: skip
        elif any(getattr(old, name) != value for name, value in facts.items()):
            self.view = old.at(**facts)
        self._looked_at = began

    def _changed(self, connection: Any, old: View, found: dict[str, tuple[object, ...]]) -> tuple[Entry, ...]:
        """All entries, those that did not change as they were."""
        changed = [model_id for model_id, print_ in found.items() if self._fingerprints.get(model_id) != print_]
        read = browse.whole_rows(connection, None if len(changed) == len(found) else changed)
        anew = {row["id"]: Entry(row) for row in read}
        return tuple(anew.get(model_id) or old.by_id[model_id] for model_id in found)
