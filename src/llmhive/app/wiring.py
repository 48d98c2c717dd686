"""Puts the parts together from settings, in one place."""

from __future__ import annotations

import os
import random
import socket
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from llmhive.app.settings import Settings
from llmhive.catalog.gate import Limits
from llmhive.store.database import Database, connect

if TYPE_CHECKING:
    from llmhive.app.openrouter.client import Client
    from llmhive.app.openrouter.sync import Sync, Tell


def now() -> datetime:
    """The one clock."""
    return datetime.now(UTC)


def database(settings: Settings) -> Database:
    """The database of the settings; nothing is opened yet."""
    return connect(settings.url)


def client(settings: Settings, tell: Tell | None = None) -> Client:
    """The door to OpenRouter, with a whole sync's budget from now."""
    # the HTTP library costs a sixth of a second to import, and only who asks OpenRouter needs it
    from llmhive.app.openrouter.client import Client

    return Client(
        settings.base_url,
        api_key=settings.api_key or None,
        deadline=time.monotonic() + settings.timeout_seconds,
        wall=now,
        random=random.SystemRandom(),
        on_event=lambda event, facts: tell(event, **facts) if tell else None,
    )


def sync(settings: Settings, database: Database, tell: Tell) -> Sync:
    """A sync, ready to run."""
    from llmhive.app.openrouter.sync import Policy, Sync

    return Sync(
        database,
        Policy(
            source=settings.base_url,
            interval=settings.min_interval,
            stale_after=timedelta(seconds=settings.stale_seconds),
            limits=Limits(removal_percent=settings.removal_limit_percent),
        ),
        # its budget runs from when the lock is ours
        lambda: client(settings, tell),
        owner=f"{socket.gethostname()}:{os.getpid()}",
        now=now,
        sleep=time.sleep,
        tell=tell,
    )
