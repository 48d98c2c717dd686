"""Puts the parts together from settings, in one place."""

from __future__ import annotations

import os
import random
import socket
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from llmhive.app.settings import Settings
from llmhive.catalog.alert import Alerting, channel_of
from llmhive.catalog.gate import Limits
from llmhive.store.database import Database, connect

if TYPE_CHECKING:
    from llmhive.app.alerts import Deliverer
    from llmhive.app.observe import Tell
    from llmhive.app.openrouter.client import Client
    from llmhive.app.openrouter.runner import Runner
    from llmhive.app.openrouter.sync import Sync


def now() -> datetime:
    """The one clock."""
    return datetime.now(UTC)


def database(settings: Settings, *, statement_seconds: float | None = None) -> Database:
    """The database of the settings; nothing is opened yet."""
    return connect(settings.url, statement_seconds=statement_seconds)


#: Seconds that a regular sync gives to what comes after the model list, and tries for each request.
_QUICK, _QUICK_TRIES = 30.0, 2


def client(
    settings: Settings, tell: Tell | None = None, database: Database | None = None, *, is_quick: bool = False
) -> Client:
    """The door to OpenRouter, with a whole sync's time from now; what `database` is for is the Data API's budget.

    A quick one is for what a regular sync does after the model list: it gives up soon.
    """
    # the HTTP library costs a sixth of a second to import, and only who asks OpenRouter needs it
    from llmhive.app.openrouter.budget import Budget
    from llmhive.app.openrouter.client import Client, Limits
    from llmhive.store.budget import Limits as BudgetLimits

    deadline = time.monotonic() + (min(_QUICK, settings.timeout_seconds) if is_quick else settings.timeout_seconds)
    budget = None
    if database is not None:
        allowed = BudgetLimits(settings.data_per_minute, settings.data_per_day)
        budget = Budget(
            database, allowed, deadline=deadline, monotonic=time.monotonic, now=now, sleep=time.sleep,
            tell=tell or _nobody,
        )  # fmt: skip
    return Client(
        settings.base_url,
        api_key=settings.api_key or None,
        deadline=deadline,
        wall=now,
        random=random.SystemRandom(),
        on_event=lambda event, facts: tell(event, **facts) if tell else None,
        limits=Limits(attempts=_QUICK_TRIES) if is_quick else Limits(),
        budget=budget,
        at_once=settings.endpoint_concurrency,
        rate=settings.endpoint_rate,
    )


def _nobody(_event: str, /, **_facts: object) -> None:
    """Nobody listens."""


def runner(settings: Settings, database: Database, tell: Tell) -> Runner:
    """Takes the lock for whatever is to run."""
    from llmhive.app.openrouter.runner import Runner

    return Runner(
        database,
        owner=_owner(),
        stale_after=timedelta(seconds=settings.stale_seconds),
        patience=timedelta(seconds=settings.timeout_seconds),
        now=now,
        sleep=time.sleep,
        tell=tell,
        alerting=alerting(settings),
    )


def _owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def alerting(settings: Settings) -> Alerting:
    """What is alerted, and to which channels."""
    return Alerting(settings.alert_price_percent, tuple(channel_of(url) for url in dict.fromkeys(settings.alert_urls)))


def deliverer(settings: Settings, database: Database, tell: Tell) -> Deliverer:
    """Sends alerts to the channels of the settings."""
    from llmhive.app.alerts import Deliverer

    return Deliverer(
        database,
        settings.alert_urls,
        secret=settings.alert_webhook_secret,
        # replicas in containers may share a name and a number
        owner=f"{_owner()}:{os.urandom(4).hex()}",
        now=now,
        random=random.SystemRandom(),
        tell=tell,
    )


def limits(settings: Settings) -> Limits:
    """The gate's limits."""
    return Limits(
        removal_percent=settings.removal_limit_percent,
        repriced_percent=settings.repriced_limit_percent,
        falling_percent=settings.fall_limit_percent,
        context_percent=settings.context_limit_percent,
        unreadable_percent=settings.unreadable_limit_percent,
        repeat_days=settings.repeat_limit_days,
        value_fall_percent=settings.value_fall_percent,
        value_rise_factor=settings.value_rise_factor,
        confirm_after=settings.min_interval,
    )


def sync(settings: Settings, database: Database, tell: Tell) -> Sync:
    """A sync, ready to run."""
    from llmhive.app.openrouter.research import Research
    from llmhive.app.openrouter.stage import ResearchPolicy
    from llmhive.app.openrouter.sync import Policy, Sync

    research = ResearchPolicy(
        source=settings.base_url,
        regular=settings.sync_rankings,
        batch_size=settings.batch_size,
        popular=settings.popular_models,
        sample_days=settings.health_sample_days,
        day_days=settings.health_day_days,
        categories=settings.ranking_categories,
    )
    return Sync(
        runner(settings, database, tell),
        Policy(source=settings.base_url, interval=settings.min_interval, limits=limits(settings)),
        # its time runs from when the lock is ours
        lambda: client(settings, tell, database),
        Research(database, research, now=now, tell=tell),
        lambda: client(settings, tell, database, is_quick=True),
    )
