"""`serve`: puts a service together and runs it until it is told to stop. Start reading here; then `front.py`, where
requests come in.
"""

from __future__ import annotations

import gc
import logging
import os
import random
import secrets
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import uvicorn
from anyio.to_thread import current_default_thread_limiter
from starlette.concurrency import run_in_threadpool

from llmhive.app import observe, wiring
from llmhive.app.alerts import Deliverer, check_channels
from llmhive.app.http.app import Beside, Room, build
from llmhive.app.http.auth import Access
from llmhive.app.http.counts import Counts
from llmhive.app.http.memory import Memory
from llmhive.app.http.patience import patient
from llmhive.app.http.schedule import Schedule
from llmhive.app.http.service import Service
from llmhive.app.http.threads import Threads
from llmhive.app.http.workers import Workers
from llmhive.app.library import Catalog
from llmhive.app.live import Live
from llmhive.app.observe import Tell
from llmhive.app.settings import Settings, environment
from llmhive.app.tracing import tracing
from llmhive.errors import LLMHiveError, SchemaOutdated, SettingsError
from llmhive.store import catalog, tokens
from llmhive.store.database import Database
from llmhive.version import VERSION

#: Seconds a thread may hold on to Python while others wait: reading a new version must not stop those who answer.
_SWITCH = 0.0005
_THREADS = 14
_LEAST_PAUSE = timedelta(minutes=1)  #: between a failed sync and the next
_DELIVER_EVERY = 2.0  #: seconds
_BACKLOG = 2048  #: connections that wait to be accepted
_LAST_WAIT = 1.0  #: seconds, for a thread
_GRACE = 3  #: seconds that answers under way are given when the service stops


def serve(settings: Settings, *, has_schedule: bool, rooms: Sequence[Room] = ()) -> None:
    """Serve until SIGTERM or Ctrl-C, and what `rooms` add; raises `SettingsError` and `StoreError` where it cannot
    start.
    """
    log = observe.log_to_stderr(settings.secrets, component="LLMHive")
    database = wiring.database(settings, statement_seconds=settings.serve_timeout_seconds)
    access = Access(settings, use=_use_of(database), now=wiring.now, tell=log)
    access.check_address(settings.host)
    check_channels(settings.alert_urls)
    listening = _listen(settings.host, settings.port)
    traces = tracing(log)
    live = Live(database, tell=log, prepare=lambda: prepare(settings, log))
    try:
        live.start()
        if isinstance(live.trouble, SchemaOutdated):
            raise live.trouble
        service = assemble(settings, database, access, live, log, has_schedule)
        tasks = [*_tasks(service, log), _open(service, listening, log)]
        app = build(service, tell=log, mark=f"{secrets.token_hex(4)}-", tracing=traces, tasks=tasks, rooms=rooms)
        sys.setswitchinterval(_SWITCH)
        gc.collect()
        gc.freeze()
        _run(app, listening, settings)
    finally:
        live.stop()
        database.close()
        listening.close()
        traces.close()
        _leave(log)


def prepare(settings: Settings, tell: Tell) -> None:
    """Tables, and something to look at: the bootstrap's facts in an empty catalog."""
    database = wiring.database(settings)
    try:
        sync = wiring.sync(settings, database, tell)
        sync.prepare()
        with database.read() as connection:
            is_empty = catalog.state(connection).source is None
        if is_empty:
            sync.load_bootstrap("serve")
    finally:
        database.close()


def _use_of(database: Database) -> Callable[[str, datetime], bool]:
    def use(digest: str, expires_at: datetime) -> bool:
        database.require_schema()
        with database.write() as connection:
            return tokens.use(connection, digest, expires_at, wiring.now())

    return use


def assemble(
    settings: Settings, database: Database, access: Access, live: Live, log: Tell, has_schedule: bool
) -> Service:
    """The parts of a service; nothing runs yet."""
    threads = Threads(settings.serve_timeout_seconds)
    workers = Workers(
        database,
        threads,
        interval=settings.min_interval,
        stale_after=timedelta(seconds=settings.stale_seconds),
        now=wiring.now,
        tell=log,
        environment=environment(),
    )
    schedule = None
    if has_schedule:
        schedule = Schedule(
            database,
            threads,
            workers,
            {"regular": settings.schedule, "research": settings.research_schedule},
            retry_after=max(settings.min_interval, _LEAST_PAUSE),
            now=wiring.now,
            jitter=lambda: random.SystemRandom().uniform(0, 1),
            tell=log,
        )
    return Service(
        settings,
        database,
        Catalog(settings, database),
        live,
        Memory(live, seconds=time.time),
        threads,
        workers,
        access,
        Counts(),
        wiring.now,
        schedule,
    )


def _tasks(service: Service, log: Tell) -> list[Beside]:
    """What goes on beside the answers; what is first stops last."""
    settings = service.settings

    @asynccontextmanager
    async def workers() -> AsyncIterator[None]:
        # a thread more than the pool has connections would only wait for one
        current_default_thread_limiter().total_tokens = _THREADS
        yield
        await service.workers.close()

    tasks: list[Beside] = [workers]
    if settings.alert_urls:
        deliverer = wiring.deliverer(settings, service.database, log)
        tasks.append(lambda: _delivering(deliverer, log))
    if service.schedule is not None:
        tasks.append(service.schedule.running)
    return tasks


@asynccontextmanager
async def _delivering(deliverer: Deliverer, tell: Tell) -> AsyncIterator[None]:
    """Deliver alerts in a thread, which is not waited for at the end: what it sends to may hang."""
    stopped = threading.Event()

    def repeat() -> None:
        while not stopped.wait(_DELIVER_EVERY):
            try:
                deliverer.deliver_due(is_stopped=stopped.is_set)
            except Exception as error:  # noqa: BLE001 (the thread must go on: a message that is not sent helps nobody)
                tell("Could not deliver alerts", error=f"{type(error).__name__}: {error}")

    thread = threading.Thread(target=repeat, name="alerts", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        await run_in_threadpool(thread.join, 1.0)


def _open(service: Service, listening: socket.socket, log: Tell) -> Beside:
    @asynccontextmanager
    async def task() -> AsyncIterator[None]:
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        log("Serving", url=f"http://{shown}:{port}", version=VERSION, database=service.database.label,
            schedule="external" if service.schedule is None else "embedded")  # fmt: skip
        view = service.live.view
        if view is not None and view.source == "bootstrap":
            log("Serving the bootstrap facts", as_of=f"{view.as_of:%Y-%m-%d}", until="a sync works")
        yield
        log("Stopping")

    return task


def _listen(host: str, port: int) -> socket.socket:
    """The socket to listen on; raises `SettingsError` where it cannot be had."""
    try:
        [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except socket.gaierror as error:
        raise SettingsError(f"HOST = {host!r} is no address of this machine. Use 127.0.0.1 or 0.0.0.0.") from error
    except OSError as error:
        raise SettingsError(
            f"Cannot listen on {host}, port {port}: {error.strerror}. Set PORT (or --port) to another one, or HOST."
        ) from error
    return listening


def _run(app: object, listening: socket.socket, settings: Settings) -> None:
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=patient(settings.serve_timeout_seconds),
        loop="uvloop" if os.name != "nt" else "asyncio",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        # who is at the other end of a connection is a question of access
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
    )
    server = uvicorn.Server(config)
    try:
        server.run(sockets=[listening])
    except SystemExit as error:
        if server.started:
            raise
        raise LLMHiveError("The service could not start.") from error


def _leave(log: Tell) -> None:
    """End the process even where a thread waits for a database that never answers: Python would wait with it."""
    ended = sys.exc_info()[1]
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(_LAST_WAIT)
            if thread.is_alive():
                log("Left a thread behind", thread=thread.name)
                sys.stderr.flush()
                code = ended.code if isinstance(ended, SystemExit) and isinstance(ended.code, int) else 0
                os._exit(code if ended is None or isinstance(ended, SystemExit) else 1)
