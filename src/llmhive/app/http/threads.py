"""Threads for what waits for the database: bounded in time and in number, whatever becomes of the database.

A thread that waits for a database which never answers cannot be ended. It is left behind: who asked is told in
time, and once too many are left, who asks is told at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from anyio import to_thread

from llmhive.errors import DatabaseUnavailable

T = TypeVar("T")
_AT_MOST = 200


class Threads:
    """Runs functions in threads, for the event loop."""

    def __init__(self, seconds: float) -> None:
        """`seconds` is the longest that anybody waits."""
        self._seconds = seconds
        self._at_work: set[object] = set()

    async def run(self, do: Callable[..., T], *args: Any, seconds: float | None = None, **options: Any) -> T:
        """Do it; raises what it raises, and `DatabaseUnavailable` where it takes longer than `seconds`."""
        if len(self._at_work) >= _AT_MOST:
            raise DatabaseUnavailable("Too much waits for the database already.")
        mark = object()

        def work() -> T:
            self._at_work.add(mark)
            try:
                return do(*args, **options)
            finally:
                self._at_work.discard(mark)

        try:
            async with asyncio.timeout(self._seconds if seconds is None else seconds):
                return await to_thread.run_sync(work, abandon_on_cancel=True)
        except TimeoutError as error:
            raise DatabaseUnavailable("The database does not answer in time.") from error
