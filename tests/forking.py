"""Commands in processes that have imported everything already: each is forked from one that has no threads and no
connections, and is otherwise what ``python -m MODULE WORDS…`` would be. It takes a quarter of the time.

::

    running = forking.start(("llmhive", "sync", "--json"), environment, folder)
    out, err = running.communicate(timeout=60)
    running.returncode
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import random
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

_ROOT = Path(__file__).resolve().parents[1]
#: What takes time to import, beside the command itself.
_SLOW = (
    "alembic.command", "alembic.config", "cronsim", "httpcore2", "llmhive.app.bulk.export", "llmhive.app.cli.checks",
    "llmhive.app.cli.main", "llmhive.app.http.serve", "llmhive.app.library", "llmhive.app.openrouter.client",
    "llmhive.app.openrouter.research", "llmhive.app.openrouter.rollback", "llmhive.app.openrouter.sync",
    "llmhive.app.wiring", "psycopg", "pydantic.fields", "pydantic.json_schema", "pydantic.types", "rich.markdown",
    "rich.progress", "rich.table", "rich.traceback", "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite", "structlog", "truststore", "typer._adapters", "typer.rich_utils",
)  # fmt: skip


class Running:
    """One such process; what of `subprocess.Popen` is used, means the same."""

    def __init__(self, args: Sequence[str], connection: socket.socket, stdout: IO[str], stderr: IO[str]) -> None:
        self.args = args
        self.stdout: IO[str] | None = stdout
        self.stderr: IO[str] | None = stderr
        self.returncode: int | None = None
        self._connection = connection
        self._words = connection.makefile()
        self.pid = int(self._words.readline())

    def poll(self) -> int | None:
        """Its exit code, or minus the signal that killed it; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; raises `subprocess.TimeoutExpired`."""
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(self._words.readline())
            self._words.close()
            self._connection.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it writes until its end; raises `subprocess.TimeoutExpired`."""
        read = dict.fromkeys((0, 1), "")
        streams = {number: it for number, it in enumerate((self.stdout, self.stderr)) if it is not None}

        def drain(number: int, stream: IO[str]) -> None:
            with stream:
                read[number] = stream.read()

        readers = [threading.Thread(target=drain, args=it, daemon=True) for it in streams.items()]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(timeout)
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        self.wait(timeout)
        return read[0], read[1]

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Tell it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def start(words: Sequence[str], environment: Mapping[str, str], folder: Path) -> Running:
    """Run a module (the first word) as a script, with nothing to read and its output in pipes."""
    order = {"words": list(words), "env": dict(environment), "folder": str(folder)}
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(_server(os.getpid()))
    (out, its_out), (err, its_err) = os.pipe(), os.pipe()
    socket.send_fds(connection, [json.dumps(order).encode() + b"\n"], [its_out, its_err])
    os.close(its_out)
    os.close(its_err)
    return Running(words, connection, os.fdopen(out, encoding="utf-8"), os.fdopen(err, encoding="utf-8"))


@lru_cache
def _server(_of: int) -> str:
    """The address of this process's server; it ends when this process does."""
    # short: the address of a socket may have 107 bytes
    folder = tempfile.TemporaryDirectory(prefix="fork-")
    address = f"{folder.name}/s"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.forking", address],
        cwd=_ROOT,
        env={
            **{name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ},
            "PYTHONPATH": f"{_ROOT / 'src'}{os.pathsep}{_ROOT}", "PYTHONUTF8": "1", "PYTHONWARNINGS": "error",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    if process.stdout.readline() != b"ready\n":
        raise RuntimeError("the server that forks commands did not start")

    def end() -> None:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)
        folder.cleanup()

    atexit.register(end)
    return address


def _main() -> None:
    for name in _SLOW:
        __import__(name)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(sys.argv[1])
    listening.listen(100)
    # who waits for the processes is forked as well
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # what is there already need not be looked at by those that are forked
    gc.freeze()
    print("ready", flush=True)
    while sys.stdin not in (ready := select.select([listening, sys.stdin], [], [])[0]):
        assert listening in ready
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            order = _supervise(connection)
            if order is not None:
                # not within the calls of the server: the process ends as others do
                break
            os._exit(0)
        connection.close()
    else:
        listening.close()
        return
    _become(order)


def _supervise(connection: socket.socket) -> dict[str, Any] | None:
    """Fork the process and tell how it ends; returns the order in that process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with connection:
        text, pipes, *_ = socket.recv_fds(connection, 1 << 20, 2)
        while not text.endswith(b"\n"):
            text += connection.recv(1 << 20)
        if (child := os.fork()) == 0:
            for number, pipe in enumerate(pipes, start=1):
                os.dup2(pipe, number)
                os.close(pipe)
            order: dict[str, Any] = json.loads(text)
            return order
        for pipe in pipes:
            os.close(pipe)
        # that it has no output of its own: who reads must see the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        # perhaps nobody waits any more
        with contextlib.suppress(BrokenPipeError):
            connection.sendall(b"%d\n" % child)
            connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    return None


def _become(order: dict[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()
    random.seed()
    os.chdir(order["folder"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    # what these are, they know from when they were made; the old ones stay as sys.__stdout__ …
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.argv = order["words"]
    module = sys.argv[0]
    # as with -m, which wants to be the first to import it
    sys.modules.pop(module, None)
    sys.path[0] = order["folder"]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
