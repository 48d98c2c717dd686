"""Keeps to the Data API's limits: before each request room is taken in the database, for all replicas and restarts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from llmhive.app.observe import Tell
from llmhive.errors import BudgetSpent, StoreError
from llmhive.store import budget
from llmhive.store.budget import Limits, Wait
from llmhive.store.database import Database


class Budget:
    """Takes room for requests, and waits for it up to a deadline."""

    def __init__(
        self,
        database: Database,
        limits: Limits,
        *,
        deadline: float,
        monotonic: Callable[[], float],
        now: Callable[[], datetime],
        sleep: Callable[[float], None],
        tell: Tell,
    ) -> None:
        """`deadline` is a value of `monotonic`, in seconds."""
        self._database, self._limits = database, limits
        self._deadline, self._monotonic = deadline, monotonic
        self._now, self._sleep, self._tell = now, sleep, tell

    def __call__(self, path: str) -> Callable[[], None]:
        """Take room for one request; what is returned says that it is over. Raises `BudgetSpent`."""
        while True:
            with self._database.write() as connection:
                found = budget.reserve(connection, path, self._limits, now=self._now())
            if not isinstance(found, Wait):
                return lambda: self._done(found)
            if found.seconds >= self._deadline - self._monotonic():
                raise BudgetSpent(self._why(found))
            seconds = round(found.seconds, 1)
            self._tell("Waiting for the request budget", seconds=seconds, limit=self._limits.per_minute)
            # a little more, for clocks that do not agree on the last millisecond
            self._sleep(found.seconds + 0.01)

    def _done(self, request_id: int) -> None:
        try:
            with self._database.write() as connection:
                budget.done(connection, request_id, now=self._now())
        except StoreError as error:
            # it then counts for longer, which harms nobody
            self._tell("Could not write that a request ended", error=str(error))

    def _why(self, wait: Wait) -> str:
        again = self._now() + timedelta(seconds=wait.seconds)
        most, setting = (
            (self._limits.per_day, "DATA_API_PER_DAY, in 24 hours")
            if wait.is_day
            else (self._limits.per_minute, "DATA_API_PER_MINUTE")
        )
        return (
            f"the budget of {most} requests to OpenRouter's Data API ({setting}) is used up: there may be room at "
            f"{again:%Y-%m-%d %H:%M:%S} UTC."
        )
