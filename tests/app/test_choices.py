"""`Catalog.select` on a catalog with a little history: what is chosen from, how often it is read, and what is said."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import llmhive
from llmhive.app import wiring
from llmhive.app.choices import Selectors
from llmhive.app.library import Catalog
from llmhive.app.openrouter.backfill import backfill
from llmhive.app.settings import read
from llmhive.catalog.benchmark import Measure
from llmhive.catalog.gate import Limits
from llmhive.catalog.need import Need
from llmhive.errors import DatabaseUnavailable, NotFound, UsageError
from llmhive.store import benchmarks
from llmhive.store import catalog as store
from llmhive.store.database import Database, connect
from tests.fake_openrouter import catalog as listing
from tests.fake_openrouter import model
from tests.support import Live, runner_at

DAY = datetime(2026, 5, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
#: so many that one that goes is no reason to hold a run
OTHERS = [model(f"acme/other-{number}") for number in range(40)]
CHEAP = Need(objective="price", limit=1)
BEST = Need(objective="quality", limit=1)


def body(*models: Any) -> bytes:
    return listing(*OTHERS, *models)


def cheap(slug: str, prompt: str = "0.0000001", **more: Any) -> Any:
    return model(f"acme/{slug}", pricing={"prompt": prompt, "completion": "0.0000001"}, **more)


def measured(index: float) -> Any:
    return {"artificial_analysis": {"intelligence_index": index}, "design_arena": []}


class Clock:
    """Seconds that pass when they are told to."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """Six hours after the last capture."""
    at = DAY + 30 * HOUR
    monkeypatch.setattr(wiring, "now", lambda: at)
    return at


@pytest.fixture
def catalog(database: Database, now: datetime) -> Catalog:
    live = Live(database)
    live(DAY, body(cheap("one"), cheap("gone", "0.00000001")))
    live(DAY + 12 * HOUR, body(cheap("one"), cheap("two", "0.00000009")))
    live(DAY + 24 * HOUR, body(cheap("one"), cheap("two", "0.00000012")))
    return Catalog(read({}), database)


@contextmanager
def silent(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The database does not answer for a while."""

    def fail() -> Any:
        raise DatabaseUnavailable("nobody is at home")

    with monkeypatch.context() as patched:
        patched.setattr(database, "read", fail)
        yield


def test_now_and_then(catalog: Catalog) -> None:
    assert catalog.select(CHEAP).ids == ("acme/one",)
    assert catalog.select({"objective": "price", "limit": 1}).ids == ("acme/one",)
    for at, expected in (
        (DAY + 24 * HOUR, "acme/one"), (DAY + 24 * HOUR - timedelta(microseconds=1), "acme/two"),
        ("2026-05-04T14:00:00+02:00", "acme/two"), (DAY, "acme/gone"), ("2026-05-04", "acme/gone"),
        (date(2026, 5, 4), "acme/gone"),
    ):  # fmt: skip
        found = catalog.select(CHEAP, as_of=at)
        assert found.ids == (expected,)
        assert found.total == 42
    then = catalog.select(CHEAP, as_of="2026-05-04T15:00Z")
    assert (then.at, then.catalog_version) == (DAY + 15 * HOUR, catalog.select(CHEAP).catalog_version)
    assert then.choices[0].expected_cost == Decimal("3000") * Decimal("0.00000009") + Decimal("0.0001")


def test_an_instant_of_which_nothing_is_known(catalog: Catalog) -> None:
    for at, said in (
        (DAY + 31 * HOUR, "2026-05-05T07:00:00Z is in the future: nothing is known of it yet."),
        (DAY - HOUR, "Nothing is known of 2026-05-03T23:00:00Z: history begins 2026-05-04 00:00 UTC."),
        ("2026-05-04T12:00", "has no time zone"),
        ("soon", "is no instant"),
    ):  # fmt: skip
        with pytest.raises(UsageError) as raised:
            catalog.select(CHEAP, as_of=at)
        assert said in str(raised.value)
    # one wording for all that is asked of an instant
    for at in (DAY + 31 * HOUR, DAY - HOUR):
        with pytest.raises(UsageError) as raised:
            catalog.select(CHEAP, as_of=at)
        with pytest.raises(UsageError) as listed:
            catalog.models(as_of=at)
        assert str(raised.value) == str(listed.value)


def test_what_is_no_need(catalog: Catalog) -> None:
    for wrong in ("cheap", None, 3, ["tools"], {"budget": 3}):
        with pytest.raises(UsageError, match="need"):
            catalog.select(wrong)  # type: ignore[arg-type]


def test_an_empty_catalog(database: Database, tmp_path: Path) -> None:
    for empty in (database, connect(f"sqlite:///{tmp_path / 'missing.db'}")):
        catalog = Catalog(read({}), empty)
        for at in (None, DAY):
            with pytest.raises((NotFound, UsageError), match="Run `llmhive sync`"):
                catalog.select(CHEAP, as_of=at)
    assert not (tmp_path / "missing.db").exists()


# --- how often it is read


def test_the_catalog_is_looked_at_once_a_second_and_read_once_a_version(catalog: Catalog, database: Database) -> None:
    clock = Clock()
    selectors = Selectors(database, monotonic=clock)
    first, _ = selectors.now()
    Live(database)(DAY + 25 * HOUR, body(cheap("one"), cheap("two"), cheap("new", "0")))
    clock.seconds = 0.9
    assert selectors.now()[0] is first
    clock.seconds = 1.1
    second, _ = selectors.now()
    assert second is not first
    assert (first.select(CHEAP).ids, second.select(CHEAP).ids) == (("acme/one",), ("acme/new",))
    clock.seconds = 2.2
    assert selectors.now()[0] is second, "nothing is new"


def test_who_knows_something_does_not_wait_for_who_looks(catalog: Catalog, database: Database) -> None:
    clock = Clock()
    selectors = Selectors(database, monotonic=clock)
    first, _ = selectors.now()
    with database.write() as connection:
        store.raise_version(connection)
    clock.seconds = 5
    with selectors._lock:
        assert selectors.now()[0] is first
    assert selectors.now()[0] is not first


def test_while_the_database_does_not_answer_what_is_known_is_used(
    catalog: Catalog, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    catalog._selectors = Selectors(database, monotonic=clock)
    with silent(database, monkeypatch), pytest.raises(DatabaseUnavailable):
        catalog.select(CHEAP)
    calm = catalog.select(CHEAP)
    clock.seconds = 2
    with silent(database, monkeypatch):
        found = catalog.select(CHEAP)
        assert found.ids == calm.ids
        assert found.notes == ("the database does not answer: a newer catalog may be missing", *calm.notes)
        with pytest.raises(DatabaseUnavailable):
            catalog.select(CHEAP, as_of=DAY)
    clock.seconds = 4
    assert catalog.select(CHEAP).notes == calm.notes


def test_the_last_four_instants_are_kept(catalog: Catalog, database: Database) -> None:
    selectors = Selectors(database)
    first = selectors.at(DAY)
    others = [selectors.at(DAY + hours * HOUR) for hours in (1, 2, 3)]
    assert selectors.at(DAY) is first
    fifth = selectors.at(DAY + 4 * HOUR)
    assert selectors.at(DAY) is first
    assert selectors.at(DAY + 4 * HOUR) is fifth
    assert selectors.at(DAY + HOUR) is not others[0], "it was not asked for the longest"
    with database.write() as connection:
        store.raise_version(connection)
    assert selectors.at(DAY) is not first, "another version may know more of then"


# --- benchmarks


def test_benchmarks_of_the_records_count_where_no_sync_has_kept_them(
    database: Database, now: datetime, tmp_path: Path
) -> None:
    folder = tmp_path / "captures"
    folder.mkdir()
    for at, one, two in ((DAY, 60, 30), (DAY + 12 * HOUR, 20, 30)):
        told = body(cheap("one", benchmarks=measured(one)), cheap("two", benchmarks=measured(two)))
        (folder / f"{at:%Y-%m-%dT%H%M%SZ}_all.json").write_bytes(told)
    assert backfill(runner_at(database, now), folder, Limits(), trigger="test").status == "completed"
    catalog = Catalog(read({}), database)
    assert catalog.select(BEST).ids == ("acme/two",)
    assert catalog.select(BEST, as_of=DAY + HOUR).ids == ("acme/one",)
    # of which the catalog knows something, only that counts
    measure = Measure("artificial-analysis", "acme/one-20260115", "coding_index", Decimal(99), {}, None)
    known = Measure("artificial-analysis", "acme/one", "intelligence_index", Decimal(50), {}, None)
    with database.write() as connection:
        benchmarks.keep(connection, "artificial-analysis", [measure, known], at=DAY + 12 * HOUR)
        store.raise_version(connection)
    catalog = Catalog(read({}), database)
    assert catalog.select(BEST).ids == ("acme/one",)
    assert catalog.select(BEST, as_of=DAY + 13 * HOUR).ids == ("acme/one",)
    assert catalog.select(BEST, as_of=DAY + HOUR).ids == ("acme/one",)
    evidence = catalog._selectors.now()[0].stock.evidence.measures
    assert evidence == {
        "acme/one": {"coding_index": 99.0, "intelligence_index": 50.0}, "acme/two": {"intelligence_index": 30.0}
    }  # fmt: skip


# --- the face


def test_the_face_has_it_and_loads_no_numpy_for_it() -> None:
    assert llmhive.Need is Need
    assert llmhive.Shortlist.__name__ == "Shortlist"
    told = "import llmhive.app.library, llmhive.app.cli.main, sys; print('numpy' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "False"


def test_an_old_catalog_says_so(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    assert catalog.select(CHEAP).notes == ()
    later = DAY + 24 * HOUR + timedelta(hours=13, seconds=1)
    monkeypatch.setattr(wiring, "now", lambda: later)
    catalog._selectors = Selectors(catalog._database)
    (note,) = catalog.select(CHEAP).notes
    assert note.startswith("the last capture is of 2026-05-05 00:00 UTC: what is chosen may be gone")
    # what was chosen then was chosen then
    assert catalog.select(CHEAP, as_of=DAY + 24 * HOUR).notes == ()
