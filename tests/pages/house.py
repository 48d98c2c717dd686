"""The database that the tests of pages look at: two real years, and eleven days of syncs after them.

Prices, endpoints and rankings are the captured ones; what was not captured (benchmarks, categories, latencies) the fake
OpenRouter makes by rule. It goes by a clock of its own and ends at `NOW`. ``python -m tests.pages.house FILE`` writes
it to a SQLite file.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from llmhive.app.alerts import Deliverer
from llmhive.app.openrouter import rollback
from llmhive.app.openrouter.research import Research
from llmhive.app.openrouter.runner import Runner
from llmhive.app.openrouter.stage import ResearchPolicy
from llmhive.app.openrouter.sync import Policy, Sync
from llmhive.catalog.alert import Alerting, channel_of
from llmhive.catalog.gate import Limits
from llmhive.catalog.pricing import plain
from llmhive.catalog.run import Kind, Run
from llmhive.store import runs
from llmhive.store.budget import Limits as BudgetLimits
from llmhive.store.database import connect
from llmhive.store.tables import Json, delivery, metadata
from tests import support
from tests.fake_openrouter import FakeOpenRouter, Record
from tests.history import golden
from tests.receiver import Receiver
from tests.researching import SOURCE, Clock, Lab
from tests.serving import Served, serving
from tests.upstream import KEY, Upstream, World

#: The clock of whoever looks at it.
NOW = datetime(2026, 8, 22, 19, tzinfo=UTC)
#: Days of research, at noon; prices change on the last one, six hours later.
DAYS = (date(2026, 8, 11), date(2026, 8, 15), date(2026, 8, 19), date(2026, 8, 22))
#: A popular model whose prompt price falls to nothing, which the gate does not believe at once.
HELD = "deepseek/deepseek-v4-flash"
#: Its price falls by a tenth on the last day, and only then it is listed; it is announced after the first one to go.
REPRICED, ADDED, EXPIRING = "z-ai/glm-5.2", "qwen/qwen3.8-max", "google/gemini-2.5-flash-lite"
#: Between the second and the third day of research these change by so much, and the last day confirms it.
MOVED = {"minimax/minimax-m3": "0.6", "x-ai/grok-4.20": "0.95", "moonshotai/kimi-k2.6": "1.2"}
#: That of `EXPIRING`.
LAST_DAY = date(2026, 8, 31)
#: Gone after the first day of research, as was announced.
REMOVED = ("openai/gpt-5.2-chat", "openai/gpt-5.3-chat")
SNAPSHOT = "before-upgrade"
#: Whom alerts are sent to: the one takes them, the other never does.
TAKES, REFUSES = "https://alerts.example.com", "https://pager.example.com"

_counter = itertools.count(1)


@dataclass
class House(Lab):
    """A laboratory whose runs tell people."""

    alerting: Alerting = field(default_factory=Alerting)

    def run(self, kind: Kind = "research", *, key: str | None = KEY, **options: Any) -> Run:
        """As a service's scheduler runs it."""
        runner = Runner(
            self.database, owner="house", stale_after=timedelta(seconds=30), patience=timedelta(seconds=30),
            now=self.clock.now, sleep=self.clock.sleep, tell=self._tell, alerting=self.alerting,
        )  # fmt: skip
        sync = Sync(
            runner,
            Policy(SOURCE, timedelta(minutes=30), Limits()),
            lambda: self.client(key, BudgetLimits(), 3600),
            Research(self.database, ResearchPolicy(SOURCE), now=self.clock.now, tell=self._tell),
        )
        return sync.run(trigger="scheduler", kind=kind)

    def go_to(self, at: datetime) -> None:
        """Let the time pass until then."""
        self.clock.advance(seconds=(at - self.clock.now()).total_seconds())

    def deliver(self, urls: tuple[str, ...]) -> None:
        """One round of the service's."""
        Deliverer(
            self.database, urls, secret="", owner="house", now=self.clock.now, random=random.Random(7), tell=self._tell
        ).deliver_due()


def build(folder: Path) -> Path:
    """A copy of it as a SQLite file in a folder."""
    path = folder / "house.db"
    shutil.copy(built(), path)
    return path


def built() -> Path:
    """The session's SQLite file, made by the first who asks: copy it."""
    with support.locked("house") as session:
        path = session / "house.sqlite"
        if not path.exists():
            filling = golden.july(session)
            _end_run(f"sqlite:///{filling}")
            _fill(f"sqlite:///{filling}")
            filling.rename(path)
    return path


def built_postgresql(server: str) -> str:
    """The name of the session's PostgreSQL database with the same rows, made by the first who asks: a template."""
    name = f"{support.template_name()}_house"
    with support.locked("house-postgresql") as session:
        if not (session / "house.made").exists():
            url = support.create_database(server, name, support.postgresql_template(server))
            copy(f"sqlite:///{built()}", url)
            (session / "house.made").touch()
    return name


@contextmanager
def lent(dialect: support.Dialect, folder: Path) -> Iterator[str]:
    """The URL of a copy, for as long as it is wanted."""
    if dialect == "sqlite":
        yield f"sqlite:///{build(folder)}"
        return
    server = support.postgresql_server()
    name = f"{support.template_name()}_{os.getpid()}_{next(_counter)}"
    try:
        yield support.create_database(server, name, built_postgresql(server))
    finally:
        support.drop_database(server, name)


def command(url: str, folder: Path, upstream: FakeOpenRouter) -> support.Command:
    """`llmhive` on it, with a home in a folder."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return support.Command(
        home, {"DATABASE_URL": url, "OPENROUTER_BASE_URL": upstream.base_url, "NO_PROXY": "127.0.0.1"}
    )  # fmt: skip


@contextmanager
def serving_then(url: str, folder: Path) -> Iterator[Served]:
    """Serve it by a clock that begins at `NOW`. A sync would go by another: this is for reading."""
    with FakeOpenRouter() as nobody:
        then = replace(command(url, folder, nobody), program=("-m", "tests.pages.then"))
        with serving(then, THEN=NOW.isoformat()) as served:
            yield served


def copy(source: str, target: str) -> None:
    """Every row of a database into a migrated, empty one on PostgreSQL."""
    database, into = connect(source), connect(target)
    with database.read() as reading, into.write() as writing:
        for table in metadata.sorted_tables:
            writing.execute(table.delete())
            found = reading.execute(sa.select(*map(_as_text, table.c)).order_by(*table.primary_key))
            while rows := [dict(row._mapping) for row in found.fetchmany(5000)]:
                writing.execute(table.insert(), rows)
            if (own := table.autoincrement_column) is not None:
                last = sa.select(sa.func.max(own)).scalar_subquery()
                writing.execute(sa.select(sa.func.setval(sa.func.pg_get_serial_sequence(table.name, own.name), last)))
    for it in (database, into):
        it.close()


def _as_text(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """JSON is copied as it is written."""
    return sa.type_coerce(column, sa.Text()).label(column.name) if isinstance(column.type, Json) else column


# --- how it is made


def world() -> World:
    """What OpenRouter serves at the end."""
    world = World.real()
    _say_goodbye(world)
    _move_prices(world)
    _change_prices(world)
    return world


def hold_all(url: str) -> Run:
    """One more sync, an hour later: half of all models are gone, and the gate holds the whole answer."""
    with _house(url, NOW) as house:
        with house.upstream.change() as world:
            world.models[:] = world.models[::2]
        return house.run("regular")


@contextmanager
def _house(url: str, at: datetime) -> Iterator[House]:
    clock = Clock(at)
    database = connect(url)
    try:
        with Upstream(World.real(), clock=clock.monotonic) as upstream:
            yield House(database, upstream, clock)
    finally:
        database.close()


def _fill(url: str) -> None:
    with _house(url, datetime(2026, 8, 11, 6, tzinfo=UTC)) as house, Receiver() as here, Receiver(status=503) as there:
        urls = (here.url, there.url)
        house.alerting = Alerting(channels=tuple(map(channel_of, urls)))
        with house.upstream.change() as world:
            tokens, added = world.tokens, _take(world, ADDED)
        for day in DAYS:
            house.go_to(datetime(day.year, day.month, day.day, 12, tzinfo=UTC))
            with house.upstream.change() as world:
                world.today, world.tokens = day, {it: counts for it, counts in tokens.items() if it < day}
                world.fill()
            run = house.run()
            assert run.status == "completed", run
            house.deliver(urls)
            with house.upstream.change() as world:
                if day == DAYS[0]:
                    _say_goodbye(world)
                elif day == DAYS[1]:
                    _move_prices(world)
        rollback.snapshot(house.database, SNAPSHOT, at=house.clock.now(), note="before prices changed")
        house.go_to(NOW - timedelta(hours=1))
        with house.upstream.change() as world:
            world.models.insert(0, added)
            _change_prices(world)
        run = house.run("regular")
        assert run.status == "completed", run
        house.deliver(urls)
        with house.database.write() as connection:
            # the ports of the two were free ones
            for it, label in ((here, TAKES), (there, REFUSES)):
                connection.execute(delivery.update().where(delivery.c.label == it.label).values(label=label))


def _say_goodbye(world: World) -> None:
    _found(world, EXPIRING)["expiration_date"] = LAST_DAY.isoformat()
    for name in REMOVED:
        _take(world, name)


def _move_prices(world: World) -> None:
    for name, factor in MOVED.items():
        pricing = _found(world, name)["pricing"]
        for unit in ("prompt", "completion"):
            pricing[unit] = plain(Decimal(pricing[unit]) * Decimal(factor))


def _change_prices(world: World) -> None:
    _found(world, HELD)["pricing"]["prompt"] = "0"
    _found(world, REPRICED)["pricing"]["prompt"] = "0.000000684"


def _end_run(url: str) -> None:
    """That of the endpoints, which nobody ended."""
    database = connect(url)
    with database.write() as connection:
        run = runs.running(connection)
        assert run is not None
        assert run.id is not None
        note = "Took the endpoints of 22 days, 2026-06-15 to 2026-07-31."
        runs.end(connection, run.id, "completed", now=run.started_at, notes=[note])
    database.close()


def _found(world: World, name: str) -> Record:
    found = world.find(name)
    assert found is not None, name
    return found


def _take(world: World, name: str) -> Record:
    """A model less upstream."""
    record = _found(world, name)
    world.models.remove(record)
    return record


def main() -> None:
    support.begin_session()
    try:
        shutil.copy(built(), sys.argv[1])
    finally:
        support.end_session()


if __name__ == "__main__":
    main()
