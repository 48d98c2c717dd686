"""Two years of real captures through decode → diff → gate → apply, in order, against an independent reading."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
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
from llmhive.store.tables import model_catalog
from tests import oracle
from tests.support import captures

pytestmark = [pytest.mark.history, pytest.mark.long, pytest.mark.timeout(900)]

_HELD = sa.select(model_catalog.c.id, model_catalog.c.held).where(model_catalog.c.held.is_not(None))
#: what a sync may write when nothing is new: a value that still waits is found again
BOOKKEEPING = frozenset({"sync_run", "capture", "body", "verdict", "alert"})


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


class Believing:
    """What must be believed of each model after each body: the rules of design 4.3 for single values, written out once
    more on plain JSON.
    """

    def __init__(self) -> None:
        self.rows: dict[str, oracle.Row] = {}
        #: model → field → the served value that waits, and since when
        self.held: dict[str, dict[str, tuple[Any, datetime]]] = {}

    def take(self, listed: Mapping[str, oracle.Row], at: datetime) -> None:
        for model_id, record in listed.items():
            before = self.rows.get(model_id)
            if before is None or before == record:
                self.rows[model_id] = record
                self.held.pop(model_id, None)
                continue
            waiting = self.held.pop(model_id, {})
            held = {}
            for field, value in doubtful(before, record).items():
                since = waiting[field][1] if field in waiting and waiting[field][0] == value else at
                if at - since < timedelta(minutes=30):
                    held[field] = value, since
            if held:
                self.held[model_id] = held
            self.rows[model_id] = with_old(before, record, held)


def doubtful(before: oracle.Row, after: oracle.Row) -> dict[str, Any]:
    """Which values of a record are not believed at once, and what they are."""
    found: dict[str, Any] = {}
    if before["context_length"] and not after["context_length"]:
        found["context_length"] = after["context_length"]
    old, new = rates(before), rates(after)
    is_free, is_router = after["id"].endswith(":free"), min(old["prompt"], old["completion"]) < 0
    doubted = {
        unit for unit, rate in new.items() if _is_doubtful(old.get(unit), rate, is_free=is_free, is_router=is_router)
    }
    has_same_overrides = (before["pricing"].get("overrides") or []) == (after["pricing"].get("overrides") or [])
    assert not doubted or has_same_overrides, f"{after['id']}: a whole pricing is held, which this reading leaves out"
    return found | {f"pricing.{unit}": new[unit] for unit in doubted}


def _is_doubtful(old: Decimal | None, new: Decimal, *, is_free: bool, is_router: bool) -> bool:
    if old is None:
        return new < 0 and not is_router
    return (old >= 0 > new) or (old > 0 and new >= 0 and ((new * 10 < old and not is_free) or new > 100 * old))


def rates(record: oracle.Row) -> dict[str, Decimal]:
    """The base rates of a record; an optional one of zero is none."""
    served = {unit: Decimal(text) for unit, text in record["pricing"].items() if unit not in {"overrides", "discount"}}
    return {unit: rate for unit, rate in served.items() if rate or unit in {"prompt", "completion"}}


def with_old(before: oracle.Row, after: oracle.Row, held: Iterable[str]) -> oracle.Row:
    """The record with the old values of some fields."""
    changed: oracle.Row = {}
    for field in held:
        if field == "context_length":
            changed[field] = before[field]
            continue
        unit = field.removeprefix("pricing.")
        prices = dict(changed["pricing"] if "pricing" in changed else after["pricing"])
        prices.pop(unit, None)
        if (rate := rates(before).get(unit)) is not None:
            prices[unit] = f"{rate.normalize():f}"
        changed["pricing"] = prices
    return after | changed


class Watch(oracle.Watch):
    """Knows that a held value does not show: the old one does."""

    def __init__(self) -> None:
        super().__init__()
        self.believing = Believing()

    def _wanted(self, record: oracle.Row) -> oracle.Row:
        if record["id"] not in self.believing.held:
            return super()._wanted(record)
        return oracle.expected(self.believing.rows[record["id"]]) | {"raw": record}

    def differences(self, connection: sa.Connection, wanted: dict[str, oracle.Row]) -> list[str]:
        """Also the ids of which something else is marked as held than must be."""
        marked = {
            row.id: {name: (it["served"], datetime.fromisoformat(it["since"])) for name, it in row.held.items()}
            for row in connection.execute(_HELD)
        }
        must = {
            model_id: {name: (_told(value), since) for name, (value, since) in held.items()}
            for model_id, held in self.believing.held.items()
        }
        wrong = [model_id for model_id in marked | must if marked.get(model_id) != must.get(model_id)]
        return super().differences(connection, wanted) + wrong


def _told(value: Any) -> Any:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else value


def walk(database: Database, taken: Iterable[tuple[datetime, bytes, Scope]]) -> dict[str, Any]:
    """Take captures and compare the active rows with each, but for values that are held: there the old value must
    show; returns what was counted.
    """
    watch, wanted = Watch(), dict[str, oracle.Row]()
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
        watch.believing.take(listed, at)
        with database.read() as connection:
            wrong = watch.differences(connection, wanted)
        assert not wrong, f"at {at}: {wrong[:5]}"
        counts["captures"] += 1
        counts["unreadable"] += len(done.plan.feed.unreadable)
        counts["held"] += done.status == "held"
        counts["returns"] += len(done.plan.reactivated)
    return counts


@pytest.mark.long
def test_every_text_body_is_the_catalog_after_it(database: Database) -> None:
    # on PostgreSQL every third day: what differs there is not what the days differ in
    step = 1 if database.dialect == "sqlite" else 3
    bodies = dict(list(captures("history-12h"))[::step])
    counts = walk(database, ((at, body, "text") for at, body in bodies.items()))
    assert (counts["captures"], counts["unreadable"], counts["held"]) == (len(bodies), 0, 0)
    assert len(bodies) == (1063 if step == 1 else 355)
    assert counts["returns"] == counts["really back"] > 20
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


@pytest.mark.long
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
