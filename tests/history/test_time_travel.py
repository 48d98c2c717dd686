"""Two years of real captures, backfilled: every instant answers what was served then, whatever the order they came in.

The bodies are read here with plain `json` and `Decimal`, and with none of LLMHive's code.
"""

from __future__ import annotations

import json
import random
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from llmhive.app.library import Catalog
from llmhive.app.openrouter.backfill import backfill
from llmhive.app.openrouter.rederive import rederive
from llmhive.app.settings import read
from llmhive.catalog.feed import Scope
from llmhive.catalog.gate import Limits
from llmhive.catalog.model import Model, Version
from llmhive.catalog.run import Run
from llmhive.errors import UsageError
from llmhive.store import catalog, history
from llmhive.store.captures import read_body
from llmhive.store.database import Database, connect
from llmhive.store.tables import capture, model_catalog
from tests import oracle
from tests.support import Live, captures, history_database, runner_at, served_ledger, shared_folder, sqlite_template

pytestmark = [pytest.mark.history, pytest.mark.long, pytest.mark.timeout(900)]

SECOND = timedelta(seconds=1)
#: when backfills are run: after every capture
NOW = datetime(2026, 8, 10, tzinfo=UTC)
CONDITIONS = frozenset({"min_prompt_tokens", "utc_start", "utc_end", "utc_days"})
Entry = tuple[datetime, bytes]


# --- what a body says


def promised(record: oracle.Row) -> oracle.Row:
    """What must be said of a record."""
    said = oracle.expected(record)
    served, is_unknown = record["pricing"], said["pricing_kind"] == "unknown"
    return said | {
        "rates": {unit: _rate(text, is_unknown) for unit, text in _units(served) if _counts(unit, text)},
        "overrides": [
            (
                {key: value for key, value in entry.items() if key in CONDITIONS},
                {unit: Decimal(text) for unit, text in _units(entry)},
            )
            for entry in served.get("overrides") or ()
        ],
        "created": record["created"],
        "tokenizer": record["architecture"]["tokenizer"],
        "slug": record.get("canonical_slug"),
        "top_context_length": record["top_provider"]["context_length"],
    }


def _units(pricing: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in pricing.items():
        if key not in CONDITIONS | {"overrides", "discount"} and value is not None:
            yield key, value


def _counts(unit: str, text: str) -> bool:
    """An optional price of zero is none."""
    return bool(Decimal(text)) or unit in {"prompt", "completion"}


def _rate(text: str, is_unknown: bool) -> Decimal | None:
    """A negative one is decided per request, and a media model's zero is listed elsewhere."""
    rate = Decimal(text)
    return None if rate < 0 or (is_unknown and not rate) else rate


SHARED = (
    "id", "name", "description", "context_length", "max_completion_tokens", "prompt", "completion", "pricing_kind",
    "inputs", "outputs", "parameters", "expires", "rates", "created", "tokenizer", "slug",
)  # fmt: skip


def of_model(model: Model, at: datetime) -> oracle.Row:
    """What the served ledger says of a model, in the oracle's words."""
    prompt, completion = model.headline(at)
    is_unknown = model.pricing_kind == "unknown"
    return {
        "id": model.id,
        "name": model.name,
        "description": model.description,
        "context_length": model.context_length,
        "max_completion_tokens": model.max_completion_tokens,
        "prompt": prompt,
        "completion": completion,
        "pricing_kind": model.pricing_kind,
        "inputs": list(model.input_modalities),
        "outputs": list(model.output_modalities),
        "parameters": list(model.supported_parameters),
        "expires": None if model.expiration_date is None else model.expiration_date.isoformat(),
        "rates": {unit: None if rate < 0 or (is_unknown and not rate) else rate for unit, rate in model.pricing.rates},
        "created": None if model.created_at is None else int(model.created_at.timestamp()),
        "tokenizer": model.tokenizer,
        "slug": model.canonical_slug,
        "overrides": [(dict(entry.conditions), dict(entry.rates)) for entry in model.pricing.overrides],
        "top_context_length": model.top_context_length,
    }


def of_row(row: Mapping[str, Any]) -> oracle.Row:
    """What the library says of a model, in the oracle's words."""
    rates = {unit: value for unit, value in row["pricing"].items() if unit != "overrides"}
    created = row["created_at"]
    return {
        "id": row["id"],
        "name": row["name"],
        "description": row["description"],
        "context_length": row["context_length"],
        "max_completion_tokens": row["max_completion_tokens"],
        "prompt": _decimal(rates.get("prompt")),
        "completion": _decimal(rates.get("completion")),
        "pricing_kind": row["pricing_kind"],
        "inputs": row["input_modalities"],
        "outputs": row["output_modalities"],
        "parameters": row["supported_parameters"],
        "expires": row["expiration_date"],
        "rates": {unit: _decimal(value) for unit, value in rates.items()},
        "created": None if created is None else int(datetime.fromisoformat(created).timestamp()),
        "tokenizer": row["tokenizer"],
        "slug": row["canonical_slug"],
    }


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


class Bodies:
    """The records of bodies by id, as `oracle.records` reads them; one that the body before had too is read once."""

    def __init__(self) -> None:
        self._before: dict[bytes, oracle.Row] = {}
        self._count = 0

    def records(self, body: bytes) -> dict[str, oracle.Row]:
        found = self._split(body)
        self._count += 1
        if found is None or self._count % 50 == 0:
            whole = oracle.records(body)
            assert found is None or found == whole
            return whole
        return found

    def _split(self, body: bytes) -> dict[str, oracle.Row] | None:
        """None where it is not written as OpenRouter writes it."""
        head, *parts = body.split(b'{"id":"')
        end = body.rfind(b"]")
        if head != b'{"data":[' or not parts:
            return None
        parts[-1] = parts[-1].removesuffix(body[end:]) + b","
        try:
            now = {part: self._before.get(part) or json.loads(b'{"id":"' + part[:-1]) for part in parts}
        except ValueError:
            return None
        self._before = now
        return {record["id"]: record for record in now.values()}


class Memory:
    """What was promised of the records met so far; adjacent bodies share most of them."""

    def __init__(self) -> None:
        self._records: dict[str, tuple[oracle.Row, oracle.Row]] = {}
        #: model → the version and the promise that were found to agree last
        self._agreed: dict[str, tuple[Version, oracle.Row]] = {}
        self._rows: dict[str, tuple[oracle.Row, oracle.Row]] = {}

    def promised(self, record: oracle.Row) -> oracle.Row:
        kept = self._records.get(record["id"])
        if kept is None or (kept[0] is not record and kept[0] != record):
            made = promised(record)
            # benchmarks churn and promise nothing: the same promise stays the same object
            kept = (record, kept[1] if kept and kept[1] | {"raw": None} == made | {"raw": None} else made)
            self._records[record["id"]] = kept
        return kept[1]

    def served_wrongly(
        self, found: Mapping[str, history.Since], wanted: Mapping[str, oracle.Row], at: datetime
    ) -> list[str]:
        """The ids that the served ledger does not tell as they must be."""
        listed = {model_id: since.listing.version for model_id, since in found.items() if since.listing.is_listed}
        wrong = sorted(listed.keys() ^ wanted.keys())
        for model_id in listed.keys() & wanted.keys():
            version, promise = listed[model_id], self.promised(wanted[model_id])
            agreed = self._agreed.get(model_id)
            if agreed is not None and agreed[0] is version and agreed[1] is promise:
                continue
            said = of_model(version.model, at)
            if any(said[name] != promise[name] for name in said):
                wrong.append(model_id)
            self._agreed[model_id] = (version, promise)
        return wrong

    def told_wrongly(self, data: Iterable[Mapping[str, Any]], wanted: Mapping[str, oracle.Row]) -> list[str]:
        """The ids that the library does not tell as they must be."""
        listed = {row["id"]: row for row in data}
        wrong = sorted(listed.keys() ^ wanted.keys())
        for model_id in listed.keys() & wanted.keys():
            promise = self.promised(wanted[model_id])
            said = of_row(listed[model_id])
            agreed = self._rows.get(model_id)
            if agreed is not None and agreed[1] is promise and agreed[0] == said:
                continue
            if any(said[name] != promise[name] for name in SHARED) or not listed[model_id]["is_active"]:
                wrong.append(model_id)
            self._rows[model_id] = (said, promise)
        return wrong


# --- databases that hold the history


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Database]:
    """A SQLite database of one's own that holds the two years, backfilled in order."""
    shutil.copy(history_database(), tmp_path / "filled.db")
    database = connect(f"sqlite:///{tmp_path / 'filled.db'}")
    yield database
    database.close()


def archive(kind: str) -> Path:
    return shared_folder() / "data" / "models" / f"{kind}.tar.zst"


def fill(database: Database, path: Path, scope: Scope | None = None) -> Run:
    return backfill(runner_at(database, NOW), path, Limits(), trigger="test", scope=scope)


@lru_cache(maxsize=1)
def reference() -> dict[str, list[tuple[Any, ...]]]:
    """The served ledger of the two years, backfilled in order."""
    database = connect(f"sqlite:///{history_database()}")
    try:
        return served_ledger(database)
    finally:
        database.close()


def name_of(at: datetime, number: int = 0) -> str:
    return f"{at:%Y-%m-%dT%H%M%S}Z_{number:08x}.json"


def write_tar(path: Path, entries: Iterable[Entry]) -> Path:
    """An archive of captures in just this order."""
    with tarfile.open(path, "w") as packed:
        for number, (at, body) in enumerate(entries):
            member = tarfile.TarInfo(name_of(at, number))
            member.size = len(body)
            packed.addfile(member, BytesIO(body))
    return path


def shuffled(bodies: list[Entry], seed: int) -> list[Entry]:
    """All of them in another order, a tenth of them twice."""
    dice = random.Random(seed)
    again = dice.sample(bodies, len(bodies) // 10)
    mixed = [*bodies, *again]
    dice.shuffle(mixed)
    return mixed


def same(database: Database, expected: dict[str, list[tuple[Any, ...]]], *, marks: bool = True) -> None:
    """Row by row, table by table: a difference shows where it is."""
    found = served_ledger(database, marks=marks)
    for table, rows in expected.items():
        missing, extra = (
            sorted(set(rows) - set(found[table]), key=repr),
            sorted(set(found[table]) - set(rows), key=repr),
        )
        assert (missing[:3], extra[:3]) == ([], []), f"{table}: {len(missing)} missing, {len(extra)} extra"
        assert found[table] == rows


# --- every instant


@pytest.mark.parametrize("part", range(4))
def test_every_instant_is_the_body_served_then(filled: Database, part: int) -> None:
    bodies, memory, told, cache = Bodies(), Memory(), Memory(), dict[str, Version]()
    before: dict[str, oracle.Row] | None = None
    count = 0
    with Catalog(read({}), filled) as opened, filled.read() as connection:
        for position, (at, body) in enumerate(captures("history-12h")):
            if position * 4 // 1063 != part:
                continue
            wanted = bodies.records(body)
            wrong = memory.served_wrongly(history.as_of(connection, at, cache=cache), wanted, at)
            assert not wrong, f"at {at}: {wrong[:5]}"
            if position % 10 == 0 and before is not None:
                # a second before it was still the one before, a second after it is still this one
                earlier = history.as_of(connection, at - SECOND, cache=cache)
                assert not memory.served_wrongly(earlier, before, at - SECOND)
                later = history.as_of(connection, at + SECOND, cache=cache)
                assert not memory.served_wrongly(later, wanted, at + SECOND)
            page = opened.models(as_of=at if position % 3 else at + SECOND)
            wrong = told.told_wrongly(page.data, wanted)
            assert not wrong, f"the library, at {at}: {wrong[:5]}"
            assert (page.total, page.as_of, page.source) == (len(wanted), at, "openrouter")
            assert all(row["last_seen_at"] == f"{at:%Y-%m-%dT%H:%M:%SZ}" for row in page.data)
            before, count = wanted, count + 1
    assert count in {265, 266}


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_every_instant_on_the_other_database_too(database: Database) -> None:
    run = fill(database, archive("history-12h"))
    assert (run.status, run.held) == ("completed", 0)
    same(database, reference())
    bodies, memory, cache = Bodies(), Memory(), dict[str, Version]()
    with database.read() as connection:
        for at, body in captures("history-12h"):
            wrong = memory.served_wrongly(history.as_of(connection, at, cache=cache), bodies.records(body), at)
            assert not wrong, f"at {at}: {wrong[:5]}"


def test_before_the_first_capture_nothing_is_known(filled: Database) -> None:
    first, _ = next(captures("history-12h"))
    with filled.read() as connection:
        assert history.as_of(connection, first - SECOND) == {}
    with Catalog(read({}), filled) as opened, pytest.raises(UsageError, match="history begins 2024-09-21"):
        opened.models(as_of=first - SECOND)


def test_the_scope_of_every_file_is_found(filled: Database) -> None:
    assert fill(filled, archive("all-modalities-daily")).status == "completed"
    found = sa.select(capture.c.run_id, capture.c.scope, sa.func.count()).group_by(capture.c.run_id, capture.c.scope)
    with filled.read() as connection:
        assert {tuple(row) for row in connection.execute(found)} == {(1, "text", 1063), (2, "all", 48)}


# --- any order


def test_shuffled_and_duplicated_captures_give_the_same_served_ledger(database: Database, tmp_path: Path) -> None:
    mixed = shuffled(list(captures("history-12h")), seed=20260801)
    digests = [(at, body) for at, body in mixed[::97]]
    path = write_tar(tmp_path / "shuffled.tar", mixed)
    del mixed
    run = fill(database, path)
    path.unlink()
    assert run.status == "completed"
    assert "106 were there already." in run.notes
    same(database, reference())
    with database.read() as connection:
        for at, body in digests:
            digest = connection.execute(sa.select(capture.c.digest).where(capture.c.fetched_at == at)).scalar_one()
            assert read_body(connection, digest) == body
        # a whole body, all the same, out of a history that was put in order
        at, body = digests[0]
        assert not Memory().served_wrongly(history.as_of(connection, at), oracle.records(body), at)


@pytest.fixture(scope="module")
def newest() -> list[Entry]:
    """160 captures of the time in which the most happened."""
    return list(captures("history-12h"))[-160:]


def in_order(entries: list[Entry], folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """The served ledger of a backfill of captures in their order; what the gate said of prices is left out, since a
    backfill does not ask it.
    """
    shutil.copy(sqlite_template(), folder / "control.db")
    database = connect(f"sqlite:///{folder / 'control.db'}")
    try:
        fill(database, write_tar(folder / "control.tar", sorted(entries)))
        return served_ledger(database, marks=False)
    finally:
        database.close()


@pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
def test_live_syncs_leave_the_same_served_ledger(database: Database, newest: list[Entry], tmp_path: Path) -> None:
    wanted = in_order(newest, tmp_path)
    live = Live(database)
    for at, body in newest:
        assert live(at, body, "text").status in {"completed", "unchanged"}
    same(database, wanted, marks=False)
    # what the gate said is found again when everything is read anew
    before = served_ledger(database)
    assert rederive(runner_at(database, NOW), trigger="test").status == "unchanged"
    same(database, before)


@pytest.mark.parametrize(
    ("half", "dialect"), [("older", "sqlite"), ("interleaved", "sqlite"), ("interleaved", "postgresql")],
    indirect=["dialect"],
)  # fmt: skip
def test_half_live_and_half_backfilled_later_is_the_same_served_ledger(
    half: str, database: Database, newest: list[Entry], tmp_path: Path
) -> None:
    window = newest[-80:]
    wanted = in_order(window, tmp_path)
    late = window[:40] if half == "older" else window[::2]
    times = {at for at, _ in late}
    live = Live(database)
    for at, body in window:
        if at not in times:
            live(at, body, "text")
    believed, version = oracle_rows(database), catalog_version(database)
    random.Random(5).shuffle(late)
    assert fill(database, write_tar(tmp_path / "late.tar", late[:25])).status == "completed"
    assert fill(database, write_tar(tmp_path / "later.tar", late)).status == "completed"
    same(database, wanted, marks=False)
    # late captures are older than what is believed: they change nothing of it
    assert oracle_rows(database) == believed
    assert catalog_version(database) == version + 2
    before = served_ledger(database)
    assert fill(database, tmp_path / "later.tar").status == "unchanged"
    same(database, before)


def catalog_version(database: Database) -> int:
    with database.read() as connection:
        return catalog.state(connection).catalog_version


def oracle_rows(database: Database) -> list[tuple[Any, ...]]:
    """The active rows of the catalog; when a model was first seen is history, and may become earlier."""
    with database.read() as connection:
        chosen = sa.select(*(column for column in model_catalog.c if column.name != "first_seen_at"))
        rows = connection.execute(chosen.where(model_catalog.c.is_active).order_by(model_catalog.c.id)).all()
    return [tuple(repr(value) for value in row) for row in rows]


@pytest.fixture(scope="module")
def two_scopes(newest: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Text lists, and lists of all modalities from the same weeks."""
    return newest[-90::3], list(captures("all-modalities-daily"))[::3]


@pytest.mark.parametrize(
    ("order", "dialect"),
    [("text then all", "sqlite"), ("all then text", "sqlite"), ("mixed", "sqlite"), ("mixed", "postgresql")],
    indirect=["dialect"],
)
def test_two_scopes_in_any_order_give_the_same_served_ledger(
    order: str, database: Database, two_scopes: tuple[list[Entry], list[Entry]], tmp_path: Path
) -> None:
    text, everything = two_scopes
    both = sorted([*text, *everything])
    wanted = in_order(both, tmp_path)
    if order == "mixed":
        mixed = shuffled(both, seed=11)
        parts = [mixed[:15], mixed[15:30], mixed[25:]]
    else:
        parts = [text, everything] if order == "text then all" else [everything, text]
    for number, part in enumerate(parts):
        assert fill(database, write_tar(tmp_path / f"{number}.tar", part)).status == "completed"
    same(database, wanted, marks=False)
    check_two_scopes(database, both, {at for at, _ in everything})


def check_two_scopes(database: Database, both: list[Entry], all_at: set[datetime]) -> None:
    """A text list says nothing of the models that output no text."""
    memory, cache = Memory(), dict[str, Version]()
    wanted: dict[str, oracle.Row] = {}
    with database.read() as connection:
        for at, body in both:
            listed = oracle.records(body)
            unseen = {} if at in all_at else {k: r for k, r in wanted.items() if "text" not in oracle.outputs(r)}
            wanted = unseen | listed
            wrong = memory.served_wrongly(history.as_of(connection, at, cache=cache), wanted, at)
            assert not wrong, f"at {at}: {wrong[:5]}"
