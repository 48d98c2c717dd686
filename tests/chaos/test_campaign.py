"""A short campaign (see `campaign`), and what it would seldom hit."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import pytest
import sqlalchemy as sa

from llmhive.app.live import Live
from llmhive.errors import DatabaseUnavailable
from llmhive.store.database import Database, connect
from tests.chaos.campaign import campaign
from tests.chaos.conftest import NEW, OLD, Story, when
from tests.fake_openrouter import FakeOpenRouter, ok
from tests.receiver import Receiver
from tests.serving import Served, serving
from tests.support import execute, poll, rows, sync_at

SYNC = "/api/openrouter/sync"


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux' /proc")
def test_a_short_campaign() -> None:
    # other tests run beside it: only the command is strict with time
    report = campaign(seconds=20, replicas=2, seed=7, within=10, is_hurried=True)
    print(report)
    assert report.violations == [], str(report)
    counts = report.found.counts
    assert counts["reads: 200"] > 200
    assert counts["runs: regular completed"] >= 2
    assert sum(count for name, count in counts.items() if name.startswith("fault: ")) >= 8


def worker_of(served: Served) -> int:
    """The process in which a service runs its sync."""
    # whichever of its threads started it
    threads = Path(f"/proc/{served.process.pid}/task")
    if not threads.exists():
        pytest.skip("needs Linux' /proc")
    return int(poll(lambda: [pid for path in threads.glob("*/children") for pid in path.read_text().split()])[0])


def named(served: Served) -> list[str]:
    return [row["id"] for row in served.get("/api/models").json()["data"]]


def test_a_killed_services_run_ends_and_the_other_shows_it(story: Story) -> None:
    story.begin(OLD)
    go_on = threading.Event()
    story.fake.serve(when(go_on, ok(NEW)))
    with serving(story.llmhive, is_stopped=False) as first, serving(story.llmhive) as second:
        assert first.post(SYNC, {"force": True}).status_code == 202
        poll(lambda: len(story.fake.requests) == 2)
        first.kill()
        go_on.set()
        poll(lambda: "acme/new" in named(second))
        assert poll(lambda: story.runs()[1:] == ["completed"])


@pytest.mark.long
def test_who_joined_a_run_whose_process_is_killed_gets_the_next_ones_answer(story: Story) -> None:
    story.begin(OLD)
    go_on = threading.Event()
    story.fake.serve(when(go_on, ok(NEW)))
    with serving(story.llmhive) as first, serving(story.llmhive) as second, ThreadPoolExecutor() as threads:
        assert first.post(SYNC, {"force": True}).status_code == 202
        poll(lambda: len(story.fake.requests) == 2)
        joined = threads.submit(second.post, f"{SYNC}/blocking")
        poll(lambda: second.get("/healthz").status_code == 200)
        os.kill(worker_of(first), signal.SIGKILL)
        go_on.set()
        answer = joined.result(30)
        assert (answer.status_code, answer.json()["status"]) == (200, "completed")
        assert story.runs() == ["completed", "interrupted", "completed"]


@pytest.mark.long
def test_a_killed_deliverers_message_comes_again_under_the_same_ids(story: Story) -> None:
    story.begin(OLD)
    with Receiver() as receiver:
        story.llmhive.env |= {"ALERT_URLS": receiver.url}
        # it got the message and did not say so when the service that sent it died
        receiver.answer(manner="hang")
        with serving(story.llmhive, is_stopped=False) as first:
            assert first.post(f"{SYNC}/blocking", {"force": True}).json()["status"] == "completed"
            poll(lambda: receiver.got)
            first.kill()
        receiver.answer()
        [lease] = rows(story.url, "SELECT name FROM lease")
        with serving(story.llmhive):
            # what a minute would do
            past = "'2001-01-01T00:00:00.000000Z'"
            value = past if story.url.startswith("sqlite") else f"timestamptz {past}"
            execute(story.url, f"UPDATE lease SET until = {value} WHERE name = :of", of=lease["name"])
            poll(lambda: rows(story.url, "SELECT 1 FROM delivery WHERE state = 'delivered'"))
        assert len(receiver.got) == 2
        assert receiver.got[0].ids == receiver.got[1].ids
        assert receiver.got[0].body == receiver.got[1].body


def test_a_service_that_has_seen_no_catalog_says_so_and_shows_none(story: Story, tmp_path: Path) -> None:
    if story.url.startswith("sqlite"):
        pytest.skip("SQLite's file cannot be away for a while")
    nowhere = f"postgresql://postgres@/nothing?host={tmp_path}"
    with serving(story.llmhive, DATABASE_URL=nowhere) as served:
        answers: list[httpx2.Response] = [
            served.get(path)
            for path in ("/api/models", "/api/models?limit=3", "/api/models/acme/priced", "/api/models/families")
        ]
        ready = served.get("/readyz")
        assert served.get("/healthz").status_code == 200
    assert [answer.status_code for answer in (*answers, ready)] == [503] * 5
    assert all(answer.headers["retry-after"] for answer in answers)
    assert ready.json()["status"] == "starting"


class Losing(Database):
    """A database whose connection is lost when everything has been read."""

    loses = False

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        with super().read() as connection:
            yield connection
        if self.loses:
            self.loses = False
            raise DatabaseUnavailable("The connection is lost.")


def test_a_view_whose_reading_broke_off_is_read_again_whole(database: Database, fake: FakeOpenRouter) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    losing = Losing(database.engine)
    live = Live(losing, tell=lambda event, /, **facts: None)
    fake.serve(OLD)
    sync_at(url, fake.base_url, datetime(2026, 1, 1, tzinfo=UTC))
    live.look()
    fake.serve(NEW)
    sync_at(url, fake.base_url, datetime(2026, 1, 2, tzinfo=UTC))
    losing.loses = True
    with pytest.raises(DatabaseUnavailable):
        live.look()
    live.look()
    fresh = Live(database, tell=lambda event, /, **facts: None)
    fresh.look()
    assert live.view is not None
    assert fresh.view is not None
    assert live.view.catalog_version == fresh.view.catalog_version
    assert [entry.row for entry in live.view.entries] == [entry.row for entry in fresh.view.entries]


def test_a_view_outlives_its_connections(database_url: str, fake: FakeOpenRouter) -> None:
    if database_url.startswith("sqlite"):
        pytest.skip("SQLite has no connections to lose")
    told: list[str] = []
    database = connect(database_url)
    live = Live(database, tell=lambda event, /, **facts: told.append(event))
    try:
        live.start()
        for day, body in enumerate((OLD, NEW, OLD), 1):
            rows(
                database_url,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            fake.serve(body)
            run = sync_at(database_url, fake.base_url, datetime(2026, 1, day, tzinfo=UTC))

            def is_there(version: int | None = run.catalog_version) -> bool:
                return live.view is not None and live.view.catalog_version == version

            poll(is_there)
    finally:
        live.stop()
        database.close()
    assert set(told) <= {"Reading a new version", "Cannot read the database", "Reading the database again"}
