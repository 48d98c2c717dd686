"""Runs for the service: each in a process of its own (`app/worker.py`), and never two where one will do.

However many ask for a sync, one process is started; the others join it. Another replica's run is joined through the
database, whose lock decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from llmhive.app.http.threads import Threads
from llmhive.app.observe import Tell
from llmhive.app.openrouter.runner import not_due
from llmhive.app.progress import Line
from llmhive.app.worker import Task, Told, error_of
from llmhive.catalog.run import Kind, Run
from llmhive.errors import LLMHiveError
from llmhive.store import runs
from llmhive.store.database import Database

_LINE = 64 * 1024 * 1024  #: a dry run's plan is one line
_OTHERS_AT_ONCE = 2  #: accepts and rollbacks
_LOOK_AGAIN = 0.25  #: seconds, at another replica's run
_PATIENCE = 2.0  #: seconds that a run is given to finish when the service stops
_NICE = 19  #: who answers readers goes first
_LAST_WORDS = 4.0  #: seconds it is given to say that it was stopped


class Worker:
    """One process and what it told."""

    def __init__(
        self,
        task: Task,
        process: subprocess.Popen[bytes],
        stdout: asyncio.StreamReader,
        pipe: asyncio.ReadTransport,
        now: Callable[[], datetime],
    ) -> None:
        self.task = task
        self.process = process
        self._stdout = stdout
        self._pipe = pipe
        self.began_at: datetime | None = None
        self._now = now
        loop = asyncio.get_running_loop()
        self.first: asyncio.Future[Told] = loop.create_future()  #: what settles who asked: not the wait for a dead run
        self.began: Told | None = None
        self.other: int | None = None  #: another replica's run of its kind that it waited for
        self.ended: asyncio.Future[Told] = loop.create_future()
        self.listeners: set[Callable[[Line], None]] = set()  #: to how far it is
        self.listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        try:
            await self._hear()
        finally:
            # whatever it wrote, nobody waits for ever
            why = "The run's process ended without a word; see the log."
            last = Told("refused", error="LLMHiveError", message=why)
            for settled in (self.ended, self.first):
                if not settled.done():
                    settled.set_result(last)
        await asyncio.to_thread(self.process.wait)
        self._pipe.close()

    async def _hear(self) -> None:
        while line := await self._stdout.readline():
            try:
                last = msgspec.json.decode(line, type=Told)
            except msgspec.DecodeError:
                # half a line of a process that was killed
                continue
            if last.what == "progress":
                for listener in tuple(self.listeners):
                    if last.line is not None:
                        listener(last.line)
                continue
            if last.what == "began":
                self.began, self.began_at = last, self._now()
            waits_for_its_kind = last.what == "waits" and last.kind == self.task.kind
            if waits_for_its_kind:
                self.other = last.run_id
            if not (self.first.done() or waits_for_its_kind):
                self.first.set_result(last)
            if last.what in {"ended", "refused"}:
                # not only when its process is gone: who asks meanwhile must not join what is over
                self.ended.set_result(last)
                return


RunJson = dict[str, Any]  #: as `Run.to_json`


@dataclass(frozen=True, slots=True)
class Begun:
    """What became of the wish for a sync."""

    run: RunJson | None  #: the run that does it, or why there is none (``skipped``); None: it is queued
    waits_for: int | None = None  #: queued: behind this run
    worker: Worker | None = None  #: where it runs in a process of ours


class Workers:
    """All processes of this service."""

    def __init__(
        self,
        database: Database,
        threads: Threads,
        *,
        interval: timedelta,
        stale_after: timedelta,
        now: Callable[[], datetime],
        tell: Tell,
        environment: Mapping[str, str] | None = None,
        # -P: what lies in the working directory is not code of ours
        command: tuple[str, ...] = (sys.executable, "-P", "-m", "llmhive.app.worker"),
    ) -> None:
        """`environment` is that of the processes; None: this one's."""
        self._database = database
        self._threads = threads
        self._interval = interval
        self._stale_after = stale_after
        self._now = now
        self._tell = tell
        self._environment = environment
        self._command = command
        self._others = asyncio.Semaphore(_OTHERS_AT_ONCE)
        self._syncs: dict[Kind, Worker] = {}
        self._turns: dict[Kind, asyncio.Lock] = {"regular": asyncio.Lock(), "research": asyncio.Lock()}
        self._rehearsing = asyncio.Lock()
        self._rehearsals: dict[tuple[Kind, bool], Worker] = {}
        self._all: set[Worker] = set()
        self._is_closed = False

    async def begin(self, task: Task) -> Begun:
        """Start a sync, or join one that will do; returns when it has the lock, waits for it, or need not be.

        Raises what the worker refused with.
        """
        asked_at = self._now()
        async with self._turns[task.kind]:
            last = self._syncs.get(task.kind)
            if last is not None and await self._will_do(last, asked_at):
                return await self._begun(last)
            if (found := await self._threads.run(self._look, task, asked_at)) is not None:
                return found
            worker = await self._start(msgspec.structs.replace(task, asked_at=asked_at))
            self._syncs[task.kind] = worker
            return await self._begun(worker)

    async def finish(self, task: Task) -> RunJson:
        """Sync, or join a sync, and wait for its end."""
        while True:
            begun = await self.begin(task)
            if begun.worker is not None:
                told = await asyncio.shield(begun.worker.ended)
                if told.run is not None and is_busy(told.run):
                    # another replica was faster: join it
                    found = await self._threads.run(self._running, task.kind)
                    other = begun.worker.other if found is None else found.id
                    if other is not None and (ended := await self._join(other)) is not None:
                        return ended
                return _run_of(told)
            assert begun.run is not None
            if begun.run["status"] != "running":
                return begun.run
            if (ended := await self._join(begun.run["id"])) is not None:
                return ended

    async def once(self, task: Task) -> RunJson:
        """Run something to its end; who asks for the same dry run meanwhile gets the same answer."""
        if task.job != "sync":
            async with self._others:
                return _run_of(await asyncio.shield((await self._start(task)).ended))
        return _run_of(await asyncio.shield((await self._rehearsal(task)).ended))

    async def follow(self, task: Task) -> AsyncIterator[Line | RunJson]:
        """A sync's dry run as `once`: how far it is, from now on, and then the run. Raises what it was refused with."""
        worker = await self._rehearsal(task)
        heard: asyncio.Queue[Line | None] = asyncio.Queue()

        def close(_: asyncio.Future[Told]) -> None:
            heard.put_nowait(None)

        worker.listeners.add(heard.put_nowait)
        worker.ended.add_done_callback(close)
        try:
            while (line := await heard.get()) is not None:
                yield line
        finally:
            worker.listeners.discard(heard.put_nowait)
            worker.ended.remove_done_callback(close)
        yield _run_of(await worker.ended)

    async def _rehearsal(self, task: Task) -> Worker:
        """The dry run that is under way, or a new one; it tells how far it is, as who joins may want to know."""
        async with self._rehearsing:
            last = self._rehearsals.get((task.kind, task.force))
            if last is None or last.ended.done():
                last = await self._start(msgspec.structs.replace(task, progress=True))
                self._rehearsals[task.kind, task.force] = last
        return last

    async def _will_do(self, worker: Worker, asked_at: datetime) -> bool:
        if worker.ended.done():
            told = await worker.ended
            return worker.began_at is not None and told.what == "ended" and asked_at <= worker.began_at
        if worker.began is None or worker.began_at is None:
            return True
        # the run is over a moment before its process says so
        run = await self._threads.run(self._get, worker.began.run_id or 0)
        return run.status == "running" or (run.status != "interrupted" and asked_at <= worker.began_at)

    async def _begun(self, worker: Worker) -> Begun:
        told = await asyncio.shield(worker.first)
        if worker.began is not None:
            run_id = worker.began.run_id or 0
            run = await self._threads.run(self._get, run_id)
            return Begun(run.to_json(), worker=worker)
        if told.what == "waits":
            return Begun(None, waits_for=told.run_id, worker=worker)
        if told.what == "refused":
            raise error_of(told)
        # it ended without the lock: skipped, or another replica's run did it
        found = _run_of(told)
        if is_busy(found):
            running = await self._threads.run(self._running, worker.task.kind)
            if running is None and worker.other is not None:
                running = await self._threads.run(self._get, worker.other)
            if running is not None:
                return Begun(running.to_json())
        return Begun(found)

    def _look(self, task: Task, asked_at: datetime) -> Begun | None:
        """Whether a look at the database settles it: another replica is at it, or it is not due."""
        if not self._database.require_schema():
            return None
        with self._database.read() as connection:
            now = self._now()
            running = runs.running(connection)
            if running is not None and running.kind == task.kind:
                present = runs.clock(connection, now)
                is_alive = running.heartbeat_at is not None and present - running.heartbeat_at < self._stale_after / 2
                return Begun(running.to_json()) if is_alive else None
            found = runs.not_needed(
                connection, task.kind, now=now, interval=None if task.force else self._interval, asked_at=asked_at
            )
        if isinstance(found, runs.Done):
            return Begun(found.run.to_json())
        return None if found is None else Begun(not_due(task.kind, task.trigger, now, found).to_json())

    def _running(self, kind: Kind) -> Run | None:
        with self._database.read() as connection:
            running = runs.running(connection)
        return running if running is not None and running.kind == kind else None

    def _get(self, run_id: int) -> Run:
        with self._database.read() as connection:
            return runs.glance(connection, run_id)

    async def _join(self, run_id: int) -> RunJson | None:
        """Wait for another replica's run; None where it died."""
        while True:
            await asyncio.sleep(_LOOK_AGAIN)
            ended, is_dead = await self._threads.run(self._see, run_id)
            if ended.status != "running":
                return None if ended.status == "interrupted" else ended.to_json()
            if is_dead:
                return None

    def _see(self, run_id: int) -> tuple[Run, bool]:
        with self._database.read() as connection:
            run = runs.glance(connection, run_id)
            silent_for = runs.clock(connection, self._now()) - (run.heartbeat_at or run.started_at)
        return run, silent_for >= self._stale_after

    async def _start(self, task: Task) -> Worker:
        if self._is_closed:
            raise LLMHiveError("The service is stopping. Ask again in a moment.")
        # not by the event loop: it would copy its page tables, while readers wait
        process = await asyncio.to_thread(self._spawn, msgspec.json.encode(task).decode())
        stdout = asyncio.StreamReader(limit=_LINE)
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stdout), process.stdout
        )
        worker = Worker(task, process, stdout, pipe, self._now)
        self._all.add(worker)
        worker.listening.add_done_callback(lambda _: self._all.discard(worker))
        return worker

    def _spawn(self, task: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603 (our own program, and a task that is one word)
            [*self._command, task],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=self._environment,
            # Ctrl-C is for the service, which stops its workers in its own way
            start_new_session=True,
        )
        # from its first moment: starting takes as long as syncing
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
        # where Linux shares the processor out by session
        with contextlib.suppress(OSError):
            Path(f"/proc/{process.pid}/autogroup").write_text(str(_NICE), encoding="ascii")
        return process

    async def close(self) -> None:
        """Let what runs finish if it is quick, else stop it, which marks its run."""
        self._is_closed = True
        for patience, stop in ((_PATIENCE, "terminate"), (_LAST_WORDS, "kill")):
            listening = [worker.listening for worker in self._all]
            if not listening:
                return
            _, left = await asyncio.wait(listening, timeout=patience)
            for worker in [it for it in self._all if it.listening in left]:
                self._tell("Stopping a run", run=worker.began and worker.began.run_id, how=stop)
                with contextlib.suppress(ProcessLookupError):
                    getattr(worker.process, stop)()
        if self._all:
            await asyncio.wait([worker.listening for worker in self._all])


def is_busy(run: RunJson) -> bool:
    """Whether a run was skipped because another one had the lock, and not because it was not due."""
    return run["status"] == "skipped" and "due_at" not in run


def _run_of(told: Told) -> RunJson:
    if told.run is None:
        raise error_of(told)
    return told.run
