"""A decoder that does not know a field yet, and learns it later: nothing is lost, and nothing looks like news."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from llmhive.app.openrouter.backfill import backfill
from llmhive.app.openrouter.decode import DECODER, decode
from llmhive.app.openrouter.pipeline import DECODE, Decoder
from llmhive.app.openrouter.rederive import rederive
from llmhive.catalog.feed import Feed, Record, Scope
from llmhive.catalog.gate import Limits
from llmhive.catalog.model import Model, Version
from llmhive.store.database import Database
from tests import oracle
from tests.fake_openrouter import FakeOpenRouter
from tests.history.faults import Live, fresh
from tests.support import captures, dump, rows, runner_at, sync_at

pytestmark = [pytest.mark.history, pytest.mark.long, pytest.mark.timeout(300)]

#: Captures before a field's first, and after it.
AROUND = 15


@dataclass(frozen=True)
class Field:
    """A field that OpenRouter added."""

    name: str  #: as it is served
    first: int  #: the position of the first capture that holds it
    hide: Callable[[Model], Model]
    also: str = "no such flag"  #: how the flags begin that only who reads the field raises

    @property
    def flag(self) -> str:
        return f"unknown key: {self.name}"

    def is_in(self, record: Mapping[str, Any]) -> bool:
        outer, _, inner = self.name.rpartition(".")
        return inner in (record[outer] if outer else record)


FIELDS = {
    it.name: it
    for it in (
        Field("supported_parameters", 274, lambda it: replace(it, supported_parameters=()), "unknown parameter"),
        Field("canonical_slug", 352, lambda it: replace(it, canonical_slug=None)),
        Field("expiration_date", 719, lambda it: replace(it, expiration_date=None)),
        Field("reasoning", 975, lambda it: replace(it, reasoning=None)),
        Field("pricing.overrides", 1027, lambda it: replace(it, pricing=replace(it.pricing, overrides=()))),
    )
}


class Frozen:
    """The decoder as it would be had it never heard of a field."""

    version = DECODER - 1

    def __init__(self, field: Field) -> None:
        self._field = field

    def __call__(self, body: bytes, scope: Scope, known: Mapping[bytes, Record] | None = None) -> Feed:
        feed = decode(body, scope, known)
        before = known or {}
        return replace(
            feed, records=tuple(it if before.get(it.raw) is it else self._without(it) for it in feed.records)
        )

    def _without(self, record: Record) -> Record:
        if not self._field.is_in(json.loads(record.raw)):
            return record
        kept = (it for it in record.flags if not it.startswith((f"{self._field.flag}.", self._field.also)))
        return replace(record, version=Version(self._field.hide(record.model)), flags=(self._field.flag, *kept))


@lru_cache(maxsize=1)
def windows() -> dict[str, list[tuple[datetime, bytes]]]:
    """The captures around each field's first; found in one pass."""
    found: dict[str, list[tuple[datetime, bytes]]] = {name: [] for name in FIELDS}
    for position, entry in enumerate(captures("history-12h")):
        for name, field in FIELDS.items():
            if field.first - AROUND <= position <= field.first + AROUND:
                found[name].append(entry)
    for name, field in FIELDS.items():
        shows = [any(field.is_in(it) for it in oracle.records(body).values()) for _, body in found[name]]
        assert shows == [False] * AROUND + [True] * (len(shows) - AROUND), name
    return found


#: Every field on SQLite, and fewer captures of some on PostgreSQL.
on_both = pytest.mark.parametrize(
    ("dialect", "name"),
    [("sqlite", name) for name in FIELDS] + [("postgresql", name) for name in ("canonical_slug", "reasoning")],
    indirect=["dialect"],
)


def around(name: str, database: Database) -> list[tuple[datetime, bytes]]:
    """The captures around a field's first."""
    window = windows()[name]
    return window if database.dialect == "sqlite" else window[AROUND - 4 : AROUND + 5]


def url_of(database: Database) -> str:
    return database.engine.url.render_as_string(hide_password=False)


def derived(database: Database) -> dict[str, list[dict[str, Any]]]:
    """The tables that `rederive` reads anew, and the view of news, without the numbers of rows and runs."""
    url = url_of(database)
    tables = dump(url, without=("body", "capture", "version", "description", "sync_run", "model_belief"))
    found = {
        name: [{column: value for column, value in row.items() if column != "id"} for row in tables[name]]
        for name in ("served_version", "model_price", "transition")
    }
    found["model_catalog"] = tables["model_catalog"]
    versions = rows(url, "SELECT version, CAST(document AS TEXT) AS document FROM model_version")
    documents = {row["version"]: json.dumps(json.loads(row["document"]), sort_keys=True) for row in versions}
    found["model_version"] = [{"version": version, "document": text} for version, text in documents.items()]
    found["change"] = rows(url, "SELECT model_id, what, field FROM change")
    return {name: sorted(its, key=repr) for name, its in found.items()}


def verdicts(database: Database) -> list[tuple[Any, ...]]:
    names = ("rule", "outcome", "model_id", "field", "reason")
    return [tuple(row[name] for name in names) for row in dump(url_of(database))["verdict"]]


def differences(one: Mapping[str, list[Any]], other: Mapping[str, list[Any]]) -> list[str]:
    """Where two databases differ, in a few words."""
    wrong = []
    for name in one:
        if one[name] != other[name]:
            here = [it for it in one[name] if it not in other[name]]
            there = [it for it in other[name] if it not in one[name]]
            wrong.append(f"{name}: {len(here)} instead of {len(there)}: {here[:1]} instead of {there[:1]}")
    return wrong


def write(folder: Path, entries: list[tuple[datetime, bytes]]) -> Path:
    folder.mkdir()
    for at, body in entries:
        (folder / f"{at:%Y-%m-%dT%H%M%S}Z_00000000.json").write_bytes(body)
    return folder


def is_flagged(database: Database, field: Field, body: bytes) -> None:
    """Every active row whose record holds the field says that it was not understood, and no other does."""
    active = [row for row in dump(url_of(database))["model_catalog"] if row["is_active"]]
    flagged = {row["id"] for row in active if field.flag in row["flags"]}
    assert flagged == {model_id for model_id, record in oracle.records(body).items() if field.is_in(record)}
    assert flagged


def knows(database: Database, field: Field) -> bool:
    """Whether any version that is served now tells the field."""
    outer, _, inner = field.name.rpartition(".")
    documents = [
        json.loads(row["document"])
        for row in rows(
            url_of(database),
            "SELECT CAST(document AS TEXT) AS document FROM model_version WHERE valid_to IS NULL AND is_listed",
        )
    ]
    return any(inner in (it[outer] if outer else it) for it in documents)


@on_both
def test_history_backfilled_before_a_field_was_known_is_read_anew(
    name: str, database: Database, tmp_path: Path
) -> None:
    field, window = FIELDS[name], around(name, database)
    folder = write(tmp_path / "captures", window)
    runner = runner_at(database, window[-1][0] + timedelta(hours=1))
    run = backfill(runner, folder, Limits(), trigger="test", decode=Frozen(field))
    assert (run.status, run.held) == ("completed", 0)
    is_flagged(database, field, window[-1][1])
    assert not knows(database, field)

    learned = rederive(runner, trigger="test", decode=DECODE)
    tell(name, learned.notes)
    assert learned.status == "completed"
    assert knows(database, field)
    with fresh(tmp_path) as direct:
        backfill(runner_at(direct, window[-1][0] + timedelta(hours=1)), folder, Limits(), trigger="test")
        assert not differences(derived(direct), derived(database))
    assert verdicts(database) == []

    # the second time there is nothing left to learn
    before = derived(database)
    again = rederive(runner, trigger="test", decode=DECODE)
    assert again.status == "unchanged"
    assert again.notes == (f"Read {len(window)} captures anew: nothing became different.",)
    assert not differences(before, derived(database))


def tell(name: str, notes: tuple[str, ...]) -> None:
    """The run says what became different: just that field."""
    print(name, *notes, sep="\n  ")
    assert "became different" in notes[0]
    assert [line.partition(":")[0] for line in notes[1:]] == [name]


def synced(database: Database, window: list[tuple[datetime, bytes]], decoder: Decoder) -> Live:
    """Live syncs, each body once."""
    live = Live(database, decoder)
    for at, body in window:
        assert live.take(at, body, "all").status in {"completed", "unchanged"}
    return live


@on_both
def test_what_was_believed_before_a_field_was_known_is_read_anew(name: str, database: Database, tmp_path: Path) -> None:
    field, window = FIELDS[name], around(name, database)
    *synced_window, (next_at, next_body) = window
    synced(database, synced_window, Frozen(field))
    is_flagged(database, field, synced_window[-1][1])
    said = verdicts(database)

    learned = rederive(runner_at(database, synced_window[-1][0] + timedelta(hours=1)), trigger="test")
    tell(name, learned.notes)
    assert verdicts(database) == said
    with fresh(tmp_path) as direct:
        live = synced(direct, synced_window, DECODE)
        assert verdicts(direct) == said
        assert not differences(derived(direct), derived(database))
        # and the next answer brings the same news to both
        expected = live.take(next_at, next_body, "all")
        taken = Live(database).take(next_at, next_body, "all")
        assert taken.plan.changes == expected.plan.changes
        assert taken.judgement.verdicts == expected.judgement.verdicts
        assert not differences(derived(direct), derived(database))


@pytest.mark.parametrize("name", ["expiration_date", "pricing.overrides"])
def test_the_first_sync_of_a_decoder_that_learned_a_field_finds_no_news(
    name: str, database: Database, database_url: str, fake: FakeOpenRouter
) -> None:
    field, window = FIELDS[name], windows()[name]
    window = window[AROUND - 4 : AROUND + 2]
    synced(database, window, Frozen(field))
    said, body = verdicts(database), window[-1][1]
    version = dump(database_url)["catalog_state"][0]["catalog_version"]
    fake.serve(body)
    run = sync_at(database_url, fake.base_url, window[-1][0] + timedelta(hours=6))
    assert (run.status, run.changed, run.repriced, run.added) == ("unchanged", 0, 0, 0)
    assert verdicts(database) == said
    assert knows(database, field)
    assert not [row for row in dump(database_url)["model_catalog"] if field.flag in row["flags"]]
    # readers see the field
    assert dump(database_url)["catalog_state"][0]["catalog_version"] > version
