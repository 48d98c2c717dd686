"""`kill -9` at each step of a rollback: the old catalog is believed or the new one, and the next run goes on."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from llmhive.app.openrouter.rollback import rollback
from llmhive.store import catalog, runs, snapshots
from llmhive.store.database import Database
from tests import oracle
from tests.chaos.conftest import NEW, OLD
from tests.support import Command, Dump, Live, dump, finish, runner_at

POINTS = [
    ("kill-after", "llmhive.store.runs:claim", False),
    ("kill-before", "llmhive.app.openrouter.runner:Runner._work", False),
    ("kill-after", "llmhive.store.runs:fence", False),
    ("kill-after", "llmhive.store.snapshots:take", False),
    ("kill-after", "llmhive.store.catalog:_believe", False),
    ("kill-after", "llmhive.store.catalog:restore", False),
    ("kill-after", "llmhive.store.catalog:write_state", False),
    ("kill-after", "llmhive.store.runs:end", False),
    ("kill-after", "llmhive.app.openrouter.rollback:_rollback", True),
    ("kill-after", "llmhive.app.openrouter.rollback:rollback", True),
]
HOUR = timedelta(hours=1)
NOW = datetime.now(UTC)
Copy = dict[str, tuple[Any, ...]]


class Scene:
    """A catalog that went on since a snapshot."""

    def __init__(self, database: Database, url: str, folder: Path) -> None:
        self.database, self._url = database, url
        env = {"DATABASE_URL": url, "SYNC_STALE_SECONDS": "1"}
        self._command = Command(folder, env)
        live = Live(database)
        live(NOW - 3 * HOUR, OLD)
        with database.write() as connection:
            snapshots.take(connection, "then", at=NOW - 2 * HOUR)
        self.then = self.rows()
        live(NOW - HOUR, NEW)
        self.later = self.rows()

    def rows(self) -> Copy:
        """`model_catalog` by id, as the database itself prints it."""
        with self.database.read() as connection:
            found = connection.execute(sa.text("SELECT * FROM model_catalog"))
            place = list(found.keys()).index("id")
            return {row[place]: tuple(str(value) for value in row) for row in found}

    def dump(self) -> Dump:
        """All of it but the runs."""
        return dump(self._url, without=("sync_run",))

    def kill(self, when: str, point: str, what: str = "rollback") -> None:
        self._command.program = ("-m", "tests.chaos.worker", when, point)
        result = finish(self._command.start(what, "then"))
        assert result.code == -signal.SIGKILL, result
        assert result.stdout == ""

    def is_gone_back(self) -> None:
        """Row by row the catalog of the snapshot; what came later is there, and inactive."""
        rows = self.rows()
        assert {model_id: rows[model_id] for model_id in self.then} == self.then
        with self.database.read() as connection:
            beliefs = catalog.known_at(connection, datetime.now(UTC))
            assert {model_id for model_id, it in beliefs.items() if it.is_active} == self._active(connection)
            assert self._active(connection) <= self.then.keys()
            assert catalog.state(connection).is_moved

    @staticmethod
    def _active(connection: sa.Connection) -> set[str]:
        return {row.id for row in connection.execute(sa.text("SELECT id FROM model_catalog WHERE is_active"))}

    def forget_the_heartbeat(self) -> None:
        """As if the dead run had last been heard of long ago."""
        from llmhive.store.tables import sync_run

        with self.database.write() as connection:
            connection.execute(sync_run.update().values(heartbeat_at=NOW - 5 * HOUR))

    def statuses(self) -> list[str]:
        with self.database.read() as connection:
            return [run.status for run in reversed(runs.recent(connection, 9))]


@pytest.fixture
def scene(database: Database, database_url: str, tmp_path: Path) -> Scene:
    home = tmp_path / "home"
    home.mkdir()
    return Scene(database, database_url, home)


@pytest.mark.parametrize(("when", "point", "is_new"), POINTS, ids=[f"{w}-{p.rpartition(':')[2]}" for w, p, _ in POINTS])
def test_a_killed_rollback_leaves_the_old_or_the_new_catalog(when: str, point: str, is_new: bool, scene: Scene) -> None:
    before = scene.dump()

    scene.kill(when, point)

    if is_new:
        scene.is_gone_back()
    else:
        assert scene.dump() == before
    claimed = not point.endswith(":claim")
    last = ["completed"] if is_new else ["running"] if claimed else []
    assert scene.statuses() == ["completed", "completed", *last]

    # the next one goes on
    scene.forget_the_heartbeat()
    now = datetime.now(UTC)
    again = rollback(runner_at(scene.database, now), "then", trigger="test")
    assert again.status == ("unchanged" if is_new else "completed")
    scene.is_gone_back()
    dead = ["interrupted"] if claimed and not is_new else []
    assert scene.statuses() == ["completed", "completed", *(["completed"] if is_new else dead), again.status]

    # back again, and then forward by a sync
    first = "before-run-3" if is_new else f"before-run-{again.id}"
    rollback(runner_at(scene.database, now + HOUR), first, trigger="test")
    assert scene.rows() == scene.later
    assert Live(scene.database)(now + 2 * HOUR, NEW).status in {"completed", "unchanged"}
    with scene.database.read() as connection:
        assert not oracle.Watch().differences(connection, oracle.records(NEW))


@pytest.mark.parametrize(
    ("point", "is_new"),
    [("llmhive.store.catalog:write_state", False), ("llmhive.app.openrouter.rollback:_rollback", True)],
    ids=["write_state", "rollback"],
)
def test_a_killed_rollback_is_pinned_only_where_it_is_done(point: str, is_new: bool, scene: Scene) -> None:
    scene.kill("kill-after", point, "pin")
    with scene.database.read() as connection:
        assert catalog.state(connection).pinned == ("then" if is_new else None)
    scene.forget_the_heartbeat()
    taken = Live(scene.database)
    if is_new:
        scene.is_gone_back()
        rows = scene.rows()
        taken(datetime.now(UTC), NEW)
        assert scene.rows() == rows
    else:
        assert scene.rows() == scene.later
        assert taken(datetime.now(UTC), OLD).plan.changes
