"""Laws of both ledgers over tiny synthetic feeds: the order captures come in does not matter, and nothing that was once
believed is forgotten.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmhive.app.openrouter.accept import accept
from llmhive.app.openrouter.backfill import backfill
from llmhive.app.openrouter.rederive import rederive
from llmhive.app.openrouter.rollback import rollback, unpin
from llmhive.catalog.feed import Scope
from llmhive.catalog.gate import Limits
from llmhive.errors import UsageError
from llmhive.store import catalog, history, runs, snapshots
from llmhive.store.database import Database, connect
from tests.fake_openrouter import catalog as body_of
from tests.fake_openrouter import model
from tests.support import Live, rows, runner_at, served_ledger, sqlite_template

START = datetime(2026, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
#: the present: later than every capture
NOW = START + timedelta(days=60)
#: tiny feeds lose half of their models at once
LAX = Limits(
    removal_percent=100, repriced_percent=100, falling_percent=100, context_percent=100, unreadable_percent=100
)
FEW = settings(max_examples=25, deadline=None, derandomize=True)


@dataclass(frozen=True)
class Shot:
    """One capture."""

    at: datetime
    scope: Scope
    body: bytes

    @property
    def place(self) -> tuple[datetime, str]:
        """Its place in history."""
        return self.at, sha256(self.body).hexdigest()

    @property
    def records(self) -> dict[str, Any]:
        """What it lists, by id; None for a record that cannot be read."""
        return {it["id"]: it if it["pricing"]["prompt"] != "cheap" else None for it in json.loads(self.body)["data"]}


def record(name: str, variant: int) -> dict[str, Any]:
    """A model in one of its states: as usual, dearer, smaller, without text, unreadable."""
    states: list[dict[str, Any]] = [
        {},
        {"pricing": {"prompt": "0.000001", "web_search": "0.01"}},
        {"context_length": 4096, "expiration_date": "2026-09-01"},
        {"architecture": {"output_modalities": ["image"]}},
        {"pricing": {"prompt": "cheap"}},
    ]
    return model(f"acme/{name}", **states[variant])


NO_TEXT = 3
NAMES = ("a", "b", "c")


@st.composite
def shots(draw: st.DrawFn, at_least: int = 2) -> list[Shot]:
    """Captures of both scopes, some of the same instant."""
    found = {}
    for _ in range(draw(st.integers(at_least, 9))):
        scope: Scope = draw(st.sampled_from(["all", "text"]))
        variants = st.sampled_from([0, 0, 1, 2, 4] if scope == "text" else [0, 0, 1, 2, 3, 4])
        listed = draw(st.dictionaries(st.sampled_from(NAMES), variants, max_size=3))
        # what tells the scopes apart
        kept = [model("acme/kept"), *([record("anchor", NO_TEXT)] if scope == "all" else [])]
        at = START + draw(st.integers(0, 40)) * HOUR
        shot = Shot(at, scope, body_of(*kept, *(record(name, it) for name, it in sorted(listed.items()))))
        found[shot.place] = shot
    return list(found.values())


@contextmanager
def made() -> Iterator[tuple[Database, Path]]:
    """An empty SQLite database and a folder."""
    with tempfile.TemporaryDirectory(prefix="llmhive-laws-") as name:
        folder = Path(name)
        shutil.copy(sqlite_template(), folder / "law.db")
        database = connect(f"sqlite:///{folder / 'law.db'}")
        try:
            yield database, folder
        finally:
            database.close()


def fill(database: Database, folder: Path, some: list[Shot], now: datetime = NOW) -> int:
    """Backfill captures; returns the number of the run."""
    path = Path(tempfile.mkdtemp(dir=folder))
    for number, shot in enumerate(some):
        (path / f"{shot.at:%Y-%m-%dT%H%M%S}Z_{number}.json").write_bytes(shot.body)
    run = backfill(runner_at(database, now), path, LAX, trigger="test")
    assert run.status in {"completed", "unchanged"}
    assert run.id is not None
    return run.id


def in_order(taken: list[Shot]) -> dict[str, list[tuple[Any, ...]]]:
    """The served ledger of one backfill of them all."""
    with made() as (database, folder):
        fill(database, folder, taken)
        return served_ledger(database, marks=False)


def listed_at(taken: list[Shot], at: datetime) -> dict[str, Any]:
    """Design 4.5, word for word: for each model the newest capture not after `at` whose scope covers it, by its last
    known output modalities. A record that cannot be read says nothing.
    """
    before = sorted((shot for shot in taken if shot.at <= at), key=lambda shot: shot.place)
    found = {}
    for model_id in {key for shot in before for key in shot.records}:
        lists = [number for number, shot in enumerate(before) if shot.records.get(model_id) is not None]
        if not lists:
            continue
        last = before[lists[-1]].records[model_id]
        gives_text = "text" in last["architecture"]["output_modalities"]
        later = [shot for shot in before[lists[-1] + 1 :] if shot.scope == "all" or gives_text]
        if not any(model_id not in shot.records for shot in later):
            found[model_id] = (last["context_length"], last["pricing"]["prompt"], last["expiration_date"])
    return found


def as_of(database: Database, at: datetime) -> dict[str, Any]:
    with database.read() as connection:
        return {
            model_id: (
                it.listing.version.model.context_length,
                f"{it.listing.version.model.pricing.rate('prompt'):f}",
                None if (day := it.listing.version.model.expiration_date) is None else day.isoformat(),
            )
            for model_id, it in history.as_of(connection, at).items()
            if it.listing.is_listed
        }


@FEW
@given(shots())
def test_as_of_is_the_newest_capture_whose_scope_covers_the_model(taken: list[Shot]) -> None:
    with made() as (database, folder):
        fill(database, folder, taken)
        for at in sorted({shot.at for shot in taken} | {shot.at - MINUTE for shot in taken} | {NOW}):
            assert as_of(database, at) == listed_at(taken, at), at


@FEW
@given(shots(at_least=4), st.data())
def test_permuted_and_late_captures_give_the_same_served_ledger(taken: list[Shot], data: st.DataObject) -> None:
    order = data.draw(st.permutations(taken))
    again = data.draw(st.lists(st.sampled_from(taken), max_size=3))
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=len(order), max_size=len(order)))
    with made() as (database, folder):
        rest = [*order, *again]
        while rest:
            size = sizes.pop(0) if sizes else len(rest)
            fill(database, folder, rest[:size])
            rest = rest[size:]
        assert served_ledger(database, marks=False) == in_order(taken)


@FEW
@given(shots(at_least=4), st.data())
def test_live_syncs_and_backfills_mixed_give_the_same_served_ledger(taken: list[Shot], data: st.DataObject) -> None:
    order, newest, late = data.draw(st.permutations(taken)), START - HOUR, list[Shot]()
    with made() as (database, folder):
        for shot in order:
            # a sync's answer is newer than all before it
            if shot.at > newest and data.draw(st.booleans()):
                if late:
                    fill(database, folder, late)
                    late = []
                taken_in = Live(database, LAX)(shot.at, shot.body, shot.scope, known_at=NOW)
                assert taken_in.status in {"completed", "unchanged"}
            else:
                late.append(shot)
            newest = max(newest, shot.at)
        fill(database, folder, [*late, *order[:2]])
        assert served_ledger(database, marks=False) == in_order(taken)
        before = served_ledger(database)
        assert rederive(runner_at(database, NOW), trigger="test").status == "unchanged"
        assert served_ledger(database) == before


# --- belief

#: values are doubted one by one, and losing a quarter is too much
STRICT = Limits(removal_percent=25, repriced_percent=100, falling_percent=100, context_percent=100)
STATES: list[dict[str, Any]] = [
    {},
    {"pricing": {"prompt": "0"}},
    {"context_length": 0},
    {"pricing": {"prompt": "0.001"}},
    {"pricing": {"prompt": "0.0000006"}},
]
LISTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, len(STATES) - 1), min_size=2)
ACTS = ("sync", "sync", "sync", "accept", "snapshot", "rollback", "pin", "unpin", "backfill older", "backfill newer",
        "rederive")  # fmt: skip


def bodies(listed: dict[str, int]) -> bytes:
    return body_of(model("acme/kept"), *(model(f"acme/{name}", **STATES[it]) for name, it in sorted(listed.items())))


def believed(database: Database) -> dict[str, Any]:
    """What is believed now, by the catalog's own rows."""
    found = rows(str(database.engine.url), "SELECT id, is_active, version, held FROM model_catalog")
    return {row["id"]: (bool(row["is_active"]), row["version"], json.loads(row["held"] or "{}")) for row in found}


def known_at(database: Database, at: datetime) -> dict[str, Any]:
    with database.read() as connection:
        return {
            model_id: (it.is_active, it.version.digest, {name: held.to_json() for name, held in it.held.items()})
            for model_id, it in catalog.known_at(connection, at).items()
        }


class History:
    """Acts on a catalog, one a while after the other, and remembers what was believed after each."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self._folder = database, folder
        self.now = NOW
        self.then: dict[datetime, dict[str, Any]] = {}
        self._older = START

    def act(self, act: str, listed: dict[str, int], number: int) -> None:
        """Act, or be refused."""
        self.now += 3 * HOUR
        runner = runner_at(self.database, self.now)
        try:
            if act == "sync":
                Live(self.database, STRICT)(self.now, bodies(listed))
            elif act == "accept":
                accept(runner, self._newest_run(), STRICT, trigger="test")
            elif act == "snapshot":
                with self.database.write() as connection:
                    snapshots.take(connection, f"s{number}", at=self.now)
            elif act in {"rollback", "pin"}:
                rollback(runner, self._snapshot(number), trigger="test", pin=act == "pin")
            elif act == "unpin":
                unpin(self.database)
            elif act == "rederive":
                rederive(runner, trigger="test")
            else:
                self._older += HOUR
                at = self._older if act == "backfill older" else self.now - MINUTE
                fill(self.database, self._folder, [Shot(at, "text", bodies(listed))], self.now)
        except UsageError:
            pass  # nothing waits, pinned, no such snapshot: that changes nothing either
        self.then[self.now + MINUTE] = believed(self.database)

    def _newest_run(self) -> int:
        with self.database.read() as connection:
            found = runs.recent(connection, 1)
        return found[0].id or 0 if found else 0

    def _snapshot(self, number: int) -> str:
        with self.database.read() as connection:
            found = sorted(it.name for it in snapshots.all_of(connection))
        return found[number % len(found)] if found else "none"


@pytest.mark.long
@settings(FEW, max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(ACTS), LISTS, st.integers(0, 9)), min_size=4, max_size=12))
def test_known_at_answers_what_was_believed_then(acts: list[tuple[str, dict[str, int], int]]) -> None:
    with made() as (database, folder):
        told = History(database, folder)
        told.act("sync", dict.fromkeys("abcdef", 0), 0)
        for act, listed, number in acts:
            told.act(act, listed, number)
        for at, then in told.then.items():
            assert known_at(database, at) == then, at
        assert known_at(database, START) == {}
