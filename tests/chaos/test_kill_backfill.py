"""`kill -9` at each step of a backfill: readers see all of it or nothing, and the next one goes on where it was."""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from llmhive.app.openrouter.backfill import BATCH, backfill
from llmhive.catalog.gate import Limits
from llmhive.catalog.run import Run
from llmhive.store.database import Database, connect
from llmhive.store.tables import capture, model_catalog, sync_run
from tests.fake_openrouter import catalog, model
from tests.support import Command, Dump, Live, dump, finish, runner_at, served_ledger, sqlite_template

START = datetime(2026, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
COUNT = 3 * BATCH + 4
#: a batch has a transaction of its own; captures of the one in which it dies are not kept
POINTS = [
    ("kill-after", "llmhive.store.runs:claim", 0),
    ("kill-before", "llmhive.app.openrouter.backfill:_Backfill._write", 0),
    ("kill-after", f"llmhive.store.captures:Captures.keep:{2 * BATCH + 10}", 2 * BATCH),
    ("kill-after", "llmhive.app.openrouter.backfill:_Backfill._write:3", 3 * BATCH),
    ("kill-before", "llmhive.store.history:rewrite", COUNT),
    ("kill-after", "llmhive.store.prices:rewrite", COUNT),
    ("kill-after", "llmhive.store.history:rewrite", COUNT),
    ("kill-after", "llmhive.store.catalog:restore", COUNT),
    ("kill-before", "llmhive.store.runs:end", COUNT),
    ("kill-after", "llmhive.store.runs:end", COUNT),
]
DONE = ("kill-after", "llmhive.app.openrouter.backfill:_Backfill.run")


def body(number: int) -> bytes:
    """Something changes in every one; models come, go and come back."""
    listed = [model(f"acme/model-{it}", context_length=1000 + number // (it + 1)) for it in range(8)]
    listed += [model(f"acme/guest-{it}") for it in range(9) if (number + it) % 9 > 2]
    price = {"prompt": f"0.00000{1 + number % 7}"}
    return catalog(*listed, model("acme/priced", pricing=price), model(f"acme/born-{number // 10}"))


def write(folder: Path, numbers: range) -> Path:
    folder.mkdir()
    for number in numbers:
        (folder / f"{START + number * HOUR:%Y-%m-%dT%H%M%S}Z_x.json").write_bytes(body(number))
    return folder


def fill(database: Database, path: Path) -> Run:
    return backfill(runner_at(database, START + 1000 * HOUR), path, Limits(), trigger="test")


def believed(database: Database) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        rows = connection.execute(sa.select(model_catalog).order_by(model_catalog.c.id))
        return [tuple(repr(value) for value in row) for row in rows]


def kept(database: Database) -> Counter[tuple[int, str]]:
    """How many captures each run brought, by their state."""
    with database.read() as connection:
        return Counter((row.run_id, row.state) for row in connection.execute(sa.select(capture)))


class Control:
    """What an undisturbed backfill leaves."""

    def __init__(self, folder: Path) -> None:
        shutil.copy(sqlite_template(), folder / "control.db")
        self.captures = write(folder / "captures", range(COUNT))
        database = connect(f"sqlite:///{folder / 'control.db'}")
        assert fill(database, self.captures).status == "completed"
        self.served, self.believed = served_ledger(database), believed(database)
        database.close()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Control:
    return Control(tmp_path_factory.mktemp("control"))


class Scene:
    """A backfill in a process of its own."""

    def __init__(self, database: Database, url: str, home: Path) -> None:
        home.mkdir()
        self.database, self._url = database, url
        self._command = Command(home, {"DATABASE_URL": url, "SYNC_STALE_SECONDS": "1"})

    def kill(self, when: str, point: str, path: Path) -> None:
        self._command.program = ("-m", "tests.chaos.worker", when, point)
        result = finish(self._command.start("backfill", str(path)))
        assert result.code == -signal.SIGKILL, result
        # as if the dead run had last been heard of long ago
        with self.database.write() as connection:
            connection.execute(sync_run.update().values(heartbeat_at=START))

    def readable(self) -> Dump:
        """What readers see: not the runs, not what only waits to become history."""
        return dump(self._url, without=("sync_run", "capture", "body"))


@pytest.fixture
def scene(database: Database, database_url: str, tmp_path: Path) -> Scene:
    return Scene(database, database_url, tmp_path / "home")


@pytest.mark.parametrize(("when", "point", "count"), POINTS, ids=[f"{w}-{p.rpartition('.')[2]}" for w, p, _ in POINTS])
def test_a_killed_backfill_shows_nothing_and_goes_on(
    when: str, point: str, count: int, scene: Scene, undisturbed: Control
) -> None:
    before = scene.readable()

    scene.kill(when, point, undisturbed.captures)

    assert scene.readable() == before
    assert kept(scene.database) == ({(1, "kept"): count} if count else {})
    run = fill(scene.database, undisturbed.captures)
    assert run.status == "completed"
    assert run.notes[0].startswith(f"Took {COUNT} captures into history")
    # what was kept is not read in twice
    rest = {(run.id, "applied"): COUNT - count} if count < COUNT else {}
    assert kept(scene.database) == ({(1, "applied"): count} if count else {}) | rest
    is_undisturbed(scene, undisturbed)


def is_undisturbed(scene: Scene, undisturbed: Control) -> None:
    assert served_ledger(scene.database) == undisturbed.served
    assert believed(scene.database) == undisturbed.believed


def test_killed_after_its_last_word_it_is_done(scene: Scene, undisturbed: Control) -> None:
    scene.kill(*DONE, undisturbed.captures)
    is_undisturbed(scene, undisturbed)
    before = scene.readable()
    run = fill(scene.database, undisturbed.captures)
    assert (run.status, run.notes[0]) == ("unchanged", "Nothing new: every capture is in history already.")
    assert scene.readable() == before


def test_syncs_go_on_between_a_killed_backfill_and_the_next(scene: Scene, undisturbed: Control, tmp_path: Path) -> None:
    # the newest ten come from live syncs: five before the backfill, five between it and the next
    live = range(COUNT - 10, COUNT)
    older = write(tmp_path / "older", range(COUNT - 10))
    taken = Live(scene.database, Limits(removal_percent=100.0, repriced_percent=100.0))
    for number in live[:5]:
        assert taken(START + number * HOUR, body(number), "text").status == "completed"
    before = scene.readable()
    scene.kill("kill-after", "llmhive.app.openrouter.backfill:_Backfill._write:2", older)
    assert scene.readable() == before
    taken = Live(scene.database, Limits(removal_percent=100.0, repriced_percent=100.0))
    for number in live[5:]:
        assert taken(START + number * HOUR, body(number), "text").status == "completed"
    assert fill(scene.database, older).status == "completed"
    assert served_ledger(scene.database) == undisturbed.served
