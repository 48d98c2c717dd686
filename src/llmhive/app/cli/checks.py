"""What `llmhive doctor` looks at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from llmhive.app import wiring
from llmhive.app.cli import render
from llmhive.app.openrouter.scheduler import next_time
from llmhive.app.settings import Settings
from llmhive.catalog.run import DONE, Run
from llmhive.errors import LLMHiveError, Refused
from llmhive.store import alerts, captures, catalog, runs
from llmhive.store.database import Database, Schema

#: Clocks further apart than this make wrong histories.
CLOCK_TOLERANCE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    name: str
    ok: bool
    found: str
    advice: str | None = None  #: what to do; with `ok`, what one might do

    def to_json(self) -> dict[str, Any]:
        """As scripts see it."""
        return asdict(self)


def examine(settings: Settings, *, offline: bool) -> list[Finding]:
    """Look at everything; never raises for what it finds."""
    now = wiring.now()
    found: list[Finding] = []
    database = wiring.database(settings)
    try:
        found += _guarded("database", lambda: _database(database, settings, now))
    finally:
        database.close()
    found.append(_schedule(settings, now))
    if offline:
        found.append(Finding("network", ok=True, found="not looked at (--offline)", advice="Run it without --offline."))
    else:
        found += _guarded("network", lambda: _network(settings, now))
    return found


def _guarded(name: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return look()
    except LLMHiveError as error:
        return [
            Finding(name, ok=False, found=str(error), advice="Mend this first; what depends on it was not checked.")
        ]


def _database(database: Database, settings: Settings, now: datetime) -> list[Finding]:
    schema = database.schema()
    if schema is Schema.MISSING:
        empty = Finding("database", ok=True, found=f"{database.label} has no tables yet", advice="Run `llmhive sync`.")
        return [empty]
    found = [Finding("database", ok=True, found=database.label)]
    if schema is not Schema.CURRENT:
        advice = "Run `llmhive migrate`." if schema is Schema.OUTDATED else "Update LLMHive: pip install -U llmhive."
        return [*found, Finding("tables", ok=False, found=f"they are {schema.value} for this version", advice=advice)]
    found.append(Finding("tables", ok=True, found="up to date"))
    with database.read() as connection:
        running, last = runs.running(connection), runs.last_finished(connection, "regular")
        research = runs.last_finished(connection, "research")
        state, clock = catalog.state(connection), runs.clock(connection, now)
        is_held, held_values = captures.is_anything_held(connection, "all"), catalog.count_held(connection)
        pending, given_up = alerts.pending(connection), alerts.given_up(connection)
        newest = captures.newest_digest(connection)
        if newest is not None:
            captures.read_body(connection, newest)
    if abs(clock - now) > CLOCK_TOLERANCE:
        apart = render.span(abs(clock - now))
        found.append(
            Finding("clock", ok=False, found=f"the database's clock is {apart} apart", advice="Set the clocks by NTP.")
        )
    if running is None:
        found.append(Finding("lock", ok=True, found="free"))
    else:
        silent = clock - (running.heartbeat_at or running.started_at)
        is_dead = silent > timedelta(seconds=settings.stale_seconds)
        words = f"run {running.id} ({running.kind}) holds it; last sign of life {render.span(silent)} ago"
        found.append(Finding("lock", True, words, advice="It died; the next sync clears it away." if is_dead else None))
    if state.source is None:
        found.append(Finding("catalog", ok=True, found="empty", advice="Run `llmhive sync`."))
    elif state.source == "bootstrap":
        words = f"bootstrap facts of {state.source_at:%Y-%m-%d}" if state.source_at else "bootstrap facts"
        found.append(Finding("catalog", ok=True, found=words, advice="Run `llmhive sync` to replace them."))
    if is_held:
        found.append(Finding("held", True, "an answer waits", advice="`llmhive runs` names its run."))
    if held_values:
        models = f"values of {held_values} model{'' if held_values == 1 else 's'}"
        found.append(Finding("held", True, models, advice="A second sync confirms them, or `llmhive accept RUN`."))
    if state.pinned is not None:
        advice = "`llmhive unpin` lets syncs change the catalog again."
        found.append(Finding("pinned", True, f"to the snapshot {state.pinned!r}", advice=advice))
    found += _alerts(pending, given_up, settings)
    found += _last_sync(last, now)
    return [*found, *([_research(research, now)] if state.source == "openrouter" else [])]


def _last_sync(last: Run | None, now: datetime) -> list[Finding]:
    if last is None:
        return []
    ok = last.status in DONE
    return [Finding("last sync", ok, _ended(last, now), advice=None if ok else "Run `llmhive sync` again.")]


def _ended(run: Run, now: datetime) -> str:
    error = f": {render.short(run.error, f'llmhive show {run.id}')}" if run.error else ""
    return f"{run.status}, {render.ago(run.finished_at, now)}{error}"


def _research(last: Run | None, now: datetime) -> Finding:
    """How the last research run ended, and what to do."""
    if last is None:
        advice = "`llmhive sync --research` brings rankings, benchmarks and all endpoints."
        return Finding("research", ok=True, found="never done", advice=advice)
    words = _ended(last, now)
    if last.status in DONE:
        return Finding("research", ok=True, found=words)
    advice = "Run `llmhive sync --research` again: it goes on where this one stopped."
    if last.status == "held":
        advice = f"Look at `llmhive show {last.id}`; `llmhive accept {last.id}` believes it."
    return Finding("research", ok=last.status != "failed", found=words, advice=advice)


def _alerts(pending: int, given_up: int, settings: Settings) -> list[Finding]:
    found = []
    if pending and not settings.alert_urls:
        words = f"{pending} message{'' if pending == 1 else 's'} not delivered yet"
        found.append(Finding("alerts", True, words, advice="ALERT_URLS is not set here: another process has to."))
    if given_up:
        words = f"{given_up} message{'' if given_up == 1 else 's'} could not be delivered"
        found.append(Finding("alerts", True, words, advice="Check ALERT_URLS, and the log of who delivers."))
    return found


def _schedule(settings: Settings, now: datetime) -> Finding:
    due = next_time(settings.schedule, now)
    return Finding("schedule", ok=True, found=f"{settings.schedule}: next {due:%Y-%m-%d %H:%M} UTC, where one runs")


def _network(settings: Settings, now: datetime) -> list[Finding]:
    with wiring.client(settings) as client:
        try:
            told = client.ping()
        except Refused as error:
            if error.status != 404:
                raise
            # it speaks, though it does not count: a mirror, say
            return [Finding("network", ok=True, found=f"{settings.base_url} answers, but does not count its models")]
    found = [Finding("network", ok=True, found=f"{settings.base_url} answers")]
    if told.date is not None and abs(told.date - now) > CLOCK_TOLERANCE:
        apart = render.span(abs(told.date - now))
        found.append(
            Finding("clock", ok=False, found=f"this clock and OpenRouter's are {apart} apart", advice="Set it by NTP.")
        )
    elif told.date is not None:
        found.append(Finding("clock", ok=True, found="agrees with OpenRouter's"))
    return [*found, _key(settings, now)]


def _key(settings: Settings, now: datetime) -> Finding:
    if not settings.api_key:
        advice = "The model list needs none. Set OPENROUTER_API_KEY for rankings, benchmarks and endpoint latency."
        return Finding("key", ok=True, found="none", advice=advice)
    with wiring.client(settings) as client:
        try:
            expires = client.key_expires_at()
        except LLMHiveError as error:
            return Finding("key", ok=False, found=str(error), advice="Check it at openrouter.ai/settings/keys.")
    if expires is not None and expires <= now:
        return Finding("key", ok=False, found=f"expired at {expires:%Y-%m-%d %H:%M} UTC", advice="Make a new key.")
    return Finding("key", ok=True, found="valid" if expires is None else f"valid until {expires:%Y-%m-%d %H:%M} UTC")
