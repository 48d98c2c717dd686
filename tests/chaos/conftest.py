"""A small story that all of chaos tells: an old catalog, a new one, and what a run between them leaves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fake_openrouter import FakeOpenRouter, Request, Response, catalog, model
from tests.support import Command, Dump, Process, execute, poll, rows, sync_at
from tests.support import dump as tables

KEPT = [model(f"acme/model-{number:02}") for number in range(20)]
OLD = catalog(*KEPT, model("acme/priced"), model("acme/limited"), model("acme/gone"))
NEW = catalog(
    model("acme/new"),
    *KEPT,
    model("acme/priced", pricing={"prompt": "0.0000007"}),
    model("acme/limited", context_length=65536),
)
#: what is told by a clock, a counter or a name that differs from run to run; everything else must be equal
PASSING = frozenset(
    {"id", "run_id", "owner", "started_at", "finished_at", "heartbeat_at", "fetched_at", "known_from", "known_to",
     "valid_from", "valid_to", "first_seen_at", "last_seen_at", "deactivated_at", "happened_at",
     "ended_at", "reverted_at", "taken_at", "source", "notes", "event_id", "message_id"}
)  # fmt: skip


def logical(dump: Dump, *, runs: bool = False) -> dict[str, list[Any]]:
    """What a database holds, without what passes: instants are told by whether they are set."""

    def value(table: str, name: str, it: Any) -> Any:
        # when a model was made is told by OpenRouter, when an alert was by a clock
        if name in PASSING or (table, name) == ("alert", "created_at"):
            return it is not None
        # PostgreSQL keeps JSON in an order of its own
        return sorted(it.items()) if isinstance(it, dict) else it

    found = {
        table: sorted(repr([(name, value(table, name, it)) for name, it in row.items()]) for row in content)
        for table, content in dump.items()
    }
    return found if runs else {name: content for name, content in found.items() if name != "sync_run"}


def when(event: threading.Event, response: Response) -> Callable[[Request], Response]:
    """An answer that waits for something else to happen."""

    def answer(_: Request) -> Response:
        assert event.wait(30)
        return response

    return answer


@dataclass
class Story:
    """The command between an old and a new catalog."""

    llmhive: Command
    fake: FakeOpenRouter

    @property
    def url(self) -> str:
        return self.llmhive.env["DATABASE_URL"]

    def begin(self, body: bytes = OLD) -> None:
        """The old catalog, synced two hours ago."""
        self.fake.serve(body)
        run = sync_at(self.url, self.fake.base_url, datetime.now(UTC) - timedelta(hours=2))
        assert run.status == "completed"
        self.fake.serve(NEW)

    def now(self) -> dict[str, list[Any]]:
        return logical(tables(self.url))

    def runs(self) -> list[str]:
        return [row["status"] for row in rows(self.url, "SELECT status FROM sync_run ORDER BY id")]

    @contextmanager
    def processes(self, count: int, *words: str, program: Command | None = None) -> Iterator[list[Process]]:
        """So many at once; whatever happens, none outlives the block."""
        started = [(program or self.llmhive).start(*words) for _ in range(count)]
        try:
            yield started
        finally:
            for process in started:
                if process.poll() is None:
                    process.kill()
                    process.communicate()

    def victim(self, when: str, point: str) -> Command:
        return Command(self.llmhive.folder, self.llmhive.env, ("-m", "tests.chaos.victim", when, point))

    def wait_for_a_running_run(self) -> int:
        def look() -> list[dict[str, Any]]:
            found = tables(self.url).get("sync_run", [])
            return [row for row in found if row["status"] == "running"]

        return int(poll(look)[0]["id"])

    def forget_the_heartbeat(self, run_id: int) -> None:
        """As if it had last been heard of an hour ago."""
        text = "'2001-01-01T00:00:00.000000Z'"
        value = text if self.url.startswith("sqlite") else f"timestamptz {text}"
        execute(self.url, f"UPDATE sync_run SET heartbeat_at = {value} WHERE id = :of", of=run_id)


@pytest.fixture
def story(llmhive: Command, fake: FakeOpenRouter) -> Story:
    # a dead run is found dead after a second
    llmhive.env["SYNC_STALE_SECONDS"] = "1"
    return Story(llmhive, fake)


@pytest.fixture(scope="session")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, list[Any]], dict[str, list[Any]]]]:
    """What a database holds before and after a run that nothing disturbs."""
    folder = tmp_path_factory.mktemp("control")
    url = f"sqlite:///{folder / 'control.db'}"
    with FakeOpenRouter(OLD) as fake:
        sync_at(url, fake.base_url, datetime.now(UTC) - timedelta(hours=2))
        old = logical(tables(url))
        fake.serve(NEW)
        sync_at(url, fake.base_url, datetime.now(UTC))
        yield old, logical(tables(url))
