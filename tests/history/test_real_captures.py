"""Two years of real captures through decode → diff → gate → apply, in order, against an independent reading."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from llmhive.app.openrouter.pipeline import Pipeline, Taken
from llmhive.catalog.feed import Scope
from llmhive.catalog.gate import Limits
from llmhive.store import runs
from llmhive.store.captures import Capture, read_body
from llmhive.store.database import Database
from tests import oracle
from tests.support import captures

pytestmark = [pytest.mark.history, pytest.mark.timeout(900)]

#: what a sync may write when nothing is new
BOOKKEEPING = frozenset({"sync_run", "capture", "body"})


class Ingest:
    """Takes captures in one run, as a backfill does: a commit each."""

    def __init__(self, database: Database, at: datetime) -> None:
        with database.write() as connection:
            claimed = runs.claim(connection, "backfill", trigger="test", owner="test", now=at, interval=None)
        assert isinstance(claimed, runs.Claimed)
        self.run_id = claimed.run_id
        self._pipeline = Pipeline(database, Limits())

    def take(self, at: datetime, body: bytes, scope: Scope) -> Taken:
        capture = Capture(at, "test", scope, hashlib.sha256(body).hexdigest())
        return self._pipeline.take(capture, body, run_id=self.run_id, known_at=lambda: at, ends_run=False)


def walk(database: Database, taken: Iterable[tuple[datetime, bytes, Scope]]) -> dict[str, Any]:
    """Take captures and compare the active rows with each; returns what was counted."""
    watch, wanted = oracle.Watch(), dict[str, oracle.Row]()
    ingest: Ingest | None = None
    counts: dict[str, Any] = {"captures": 0, "unreadable": 0, "held": 0, "returns": 0, "really back": 0}
    ever: set[str] = set()
    for at, body, scope in taken:
        ingest = ingest or Ingest(database, at)
        done = ingest.take(at, body, scope)
        listed = oracle.records(body)
        # a text list says nothing of the models that output no text
        out_of_scope = {} if scope == "all" else {k: r for k, r in wanted.items() if "text" not in oracle.outputs(r)}
        counts["really back"] += len(ever & (listed.keys() - wanted.keys()))
        ever |= listed.keys()
        wanted = out_of_scope | listed
        with database.read() as connection:
            wrong = watch.differences(connection, wanted)
        assert not wrong, f"at {at}: {wrong[:5]}"
        counts["captures"] += 1
        counts["unreadable"] += len(done.plan.feed.unreadable)
        counts["held"] += done.status == "held"
        counts["returns"] += len(done.plan.reactivated)
    return counts


def test_every_text_body_is_the_catalog_after_it(database: Database) -> None:
    bodies = dict(captures("history-12h"))
    counts = walk(database, ((at, body, "text") for at, body in bodies.items()))
    assert (counts["captures"], counts["unreadable"], counts["held"]) == (1063, 0, 0)
    assert counts["returns"] == counts["really back"] > 50
    look_back(database, bodies)


def look_back(database: Database, bodies: dict[datetime, bytes]) -> None:
    """The served ledger, at instants of its history, and the stored bodies: compared by plain SQL."""
    chosen = random.Random(20260731).sample(sorted(bodies), 40)
    with database.read() as connection:
        for at in chosen:
            listed = oracle.records(bodies[at])
            moment = sa.bindparam("at", at, type_=_instant_type(database))
            versions = connection.execute(
                sa.text(
                    "SELECT model_id, CAST(document AS TEXT) AS document FROM model_version "
                    "WHERE valid_from <= :at AND (valid_to IS NULL OR valid_to > :at) AND is_listed"
                ).bindparams(moment)
            ).all()
            assert {row.model_id for row in versions} == listed.keys()
            for row in versions:
                document, record = json.loads(row.document), listed[row.model_id]
                assert document["name"] == record["name"]
                assert document["context_length"] == record["context_length"]
            prices = connection.execute(
                sa.text(
                    "SELECT model_id, unit, CAST(rate AS TEXT) AS rate FROM model_price WHERE position = 0 "
                    "AND valid_from <= :at AND (valid_to IS NULL OR valid_to > :at)"
                ).bindparams(moment)
            ).all()
            assert _prices((row.model_id, row.unit, row.rate) for row in prices) == _served_prices(listed)
            assert read_body(connection, hashlib.sha256(bodies[at]).hexdigest()) == bodies[at]


def _instant_type(database: Database) -> Any:
    from llmhive.store.tables import Instant

    return Instant().load_dialect_impl(database.engine.dialect) if database.dialect == "postgresql" else Instant()


def _prices(rows: Iterable[tuple[str, str, str | None]]) -> dict[tuple[str, str], Decimal | None]:
    return {(model_id, unit): None if rate is None else Decimal(rate) for model_id, unit, rate in rows}


def _served_prices(listed: dict[str, oracle.Row]) -> dict[tuple[str, str], Decimal | None]:
    """What the body charges: an optional price of zero is none, a negative one is decided per request."""
    found: dict[tuple[str, str], Decimal | None] = {}
    for model_id, record in listed.items():
        unknown = oracle.expected(record)["pricing_kind"] == "unknown"
        for unit, text in record["pricing"].items():
            if unit != "overrides" and (Decimal(text) or unit in {"prompt", "completion"}):
                is_number = Decimal(text) > 0 or (Decimal(text) == 0 and not unknown)
                found[model_id, unit] = Decimal(text) if is_number else None
    return found


def test_every_body_of_all_modalities_is_the_catalog_after_it(database: Database) -> None:
    counts = walk(database, ((at, body, "all") for at, body in captures("all-modalities-daily")))
    assert (counts["captures"], counts["unreadable"], counts["held"]) == (48, 0, 0)


def test_neither_scope_deactivates_what_only_the_other_sees(database: Database) -> None:
    both: list[tuple[datetime, bytes, Scope]] = [(at, b, "all") for at, b in captures("all-modalities-daily")]
    first = both[0][0]
    both += [(at, body, "text") for at, body in captures("history-12h") if at.year == 2026 and at.month >= 5]
    both.sort(key=lambda entry: entry[0])
    assert both[0][0] < first
    counts = walk(database, both)
    assert (counts["unreadable"], counts["held"]) == (0, 0)


def test_a_body_again_or_in_another_order_writes_only_bookkeeping(database: Database) -> None:
    bodies = [entry for position, entry in enumerate(captures("history-12h")) if position % 100 == 50]
    ingest = Ingest(database, bodies[0][0])
    dice = random.Random(7)
    for at, body in bodies:
        ingest.take(at, body, "text")
        before = _dump(database)
        repeated = ingest.take(at.replace(microsecond=1), body, "text")
        document = json.loads(body)
        records = _split(body)
        dice.shuffle(records)
        shuffled = b'{"data":[' + b",".join(records) + b"]}"
        assert json.loads(shuffled)["data"] != document["data"]
        reordered = ingest.take(at.replace(microsecond=2), shuffled, "text")
        assert repeated.status == reordered.status == "unchanged"
        assert repeated.plan.is_empty
        assert reordered.plan.is_empty
        assert _dump(database) == before


def _split(body: bytes) -> list[bytes]:
    """The records of a body, byte for byte, found with the standard library's own scanner."""
    text, decoder, records = body.decode(), json.JSONDecoder(), []
    position = text.index("[") + 1
    while text[position] != "]":
        _, end = decoder.raw_decode(text, position)
        records.append(text[position:end].encode())
        position = end + (text[end] == ",")
    return records


def _dump(database: Database) -> dict[str, list[Any]]:
    from llmhive.store.tables import metadata

    with database.read() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key))]
            for table in metadata.sorted_tables
            if table.name not in BOOKKEEPING
        }
