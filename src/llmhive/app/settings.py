"""All settings as one table: it feeds the code, ``--help`` and the docs.

Read once, at the door: from the environment, then from ``.env`` in the working directory. An empty variable counts as
not set. A value we cannot use raises `SettingsError` and names the variable.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llmhive.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table."""

    variable: str
    default: str  #: as one would write it; empty: none
    help: str
    parse: Callable[[str], Any]
    is_secret: bool = False  #: it is, or may hold, what must not be shown


def _text(value: str) -> str:
    return value


def _base_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("it must begin with https:// or http://")
    if parts.username or parts.password:
        raise ValueError("it must not contain a user or password")
    return value.rstrip("/")


def _number(least: float, most: float) -> Callable[[str], float]:
    def parse(value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            raise ValueError("it is not a number") from None
        if not least <= number <= most:
            raise ValueError(f"it must lie between {least:g} and {most:g}")
        return number

    return parse


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            raise ValueError("it is not a whole number") from None
        if not least <= number <= most:
            raise ValueError(f"it must lie between {least} and {most}")
        return number

    return parse


def _cron(value: str) -> str:
    from cronsim import CronSim, CronSimError

    try:
        from datetime import UTC, datetime

        CronSim(value, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ValueError(f"it is not a cron expression ({error})") from error
    return value


def _setting(
    variable: str, default: str, text: str, parse: Callable[[str], Any] = _text, *, is_secret: bool = False
) -> Any:
    return field(metadata={"setting": Setting(variable, default, text, parse, is_secret)})


@dataclass(frozen=True)
class Settings:
    """The settings, read and checked."""

    api_key: str = _setting(
        "OPENROUTER_API_KEY", "", "key for rankings, benchmarks and endpoint latency; the model list syncs without it",
        is_secret=True,
    )  # fmt: skip
    base_url: str = _setting(
        "OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1", "where OpenRouter's API is", _base_url, is_secret=True
    )
    database_url: str = _setting(
        "DATABASE_URL", "", "postgresql://… or sqlite:///FILE; without it SQLite in the user's data directory",
        is_secret=True,
    )  # fmt: skip
    min_interval_minutes: float = _setting(
        "SYNC_MIN_INTERVAL_MINUTES", "30", "a sync sooner than this after the last good one is skipped",
        _number(0, 100_000),
    )  # fmt: skip
    timeout_seconds: float = _setting(
        "SYNC_TIMEOUT_SECONDS", "300", "budget of a whole sync, waits and retries included", _number(1, 86_400)
    )
    batch_size: int = _setting("SYNC_BATCH_SIZE", "50", "endpoint requests per batch", _whole(1, 1000))
    stale_seconds: float = _setting(
        "SYNC_STALE_SECONDS", "30", "a running sync silent for this long counts as dead; the same on all replicas",
        _number(0.5, 3600),
    )  # fmt: skip
    schedule: str = _setting("SYNC_SCHEDULE", "0 */6 * * *", "when the regular sync is due (cron, UTC)", _cron)
    research_schedule: str = _setting(
        "RESEARCH_SCHEDULE", "0 3 * * 0", "when the research sync is due (cron, UTC)", _cron
    )
    removal_limit_percent: float = _setting(
        "SYNC_REMOVAL_LIMIT_PERCENT", "10",
        "a sync that would lose more of the listed models is held; grows by 0.25 a day since the last, up to 60",
        _number(0, 100),
    )  # fmt: skip
    repriced_limit_percent: float = _setting(
        "SYNC_REPRICED_LIMIT_PERCENT", "25",
        "a sync that would change the price of more models is held; grows by 0.5 a day since the last, up to 60",
        _number(0, 100),
    )  # fmt: skip
    fall_limit_percent: float = _setting(
        "SYNC_FALL_LIMIT_PERCENT", "3",
        "a sync in which the price of more models falls as SYNC_VALUE_FALL_PERCENT says is held", _number(0, 100),
    )  # fmt: skip
    context_limit_percent: float = _setting(
        "SYNC_CONTEXT_LIMIT_PERCENT", "3", "a sync in which more models lose their context length is held",
        _number(0, 100),
    )  # fmt: skip
    unreadable_limit_percent: float = _setting(
        "SYNC_UNREADABLE_LIMIT_PERCENT", "5", "a sync in which more of the records cannot be read is held",
        _number(0, 100),
    )  # fmt: skip
    repeat_limit_days: float = _setting(
        "SYNC_REPEAT_LIMIT_DAYS", "7", "a list that was served before, and is older than this, is held",
        _number(0, 3650),
    )  # fmt: skip
    value_fall_percent: float = _setting(
        "SYNC_VALUE_FALL_PERCENT", "90", "a single price that falls by more is held until a second sync confirms it",
        _number(1, 100),
    )  # fmt: skip
    value_rise_factor: float = _setting(
        "SYNC_VALUE_RISE_FACTOR", "100", "a single price that rises by more is held until a second sync confirms it",
        _number(1, 1_000_000_000),
    )  # fmt: skip

    @property
    def min_interval(self) -> timedelta:
        """Between two good syncs of a kind."""
        return timedelta(minutes=self.min_interval_minutes)

    @property
    def url(self) -> str:
        """The database: as set, or SQLite in the user's data directory."""
        if self.database_url:
            return self.database_url
        from platformdirs import user_data_path

        return f"sqlite:///{user_data_path('llmhive', appauthor=False) / 'llmhive.db'}"

    def __repr__(self) -> str:
        shown = (f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if not f.metadata["setting"].is_secret)
        return f"Settings({', '.join(shown)})"


#: The table, in the order of the docs.
TABLE: tuple[Setting, ...] = tuple(f.metadata["setting"] for f in fields(Settings))


def read(environ: Mapping[str, str] | None = None, env_file: Path | None = None) -> Settings:
    """Read the settings; `environ` defaults to the process's, `env_file` to ``.env`` here."""
    merged = dict(_env_file(env_file or Path(".env")))
    given = os.environ if environ is None else environ
    merged |= {name: value for name, value in given.items() if value.strip()}
    values: dict[str, Any] = {}
    for f in fields(Settings):
        setting: Setting = f.metadata["setting"]
        text = (merged.get(setting.variable) or "").strip() or setting.default
        try:
            values[f.name] = setting.parse(text) if text else text
        except ValueError as error:
            shown = "" if setting.is_secret else f" = {text!r}"
            raise SettingsError(f"{setting.variable}{shown} cannot be used: {error}.") from error
    return Settings(**values)


def _env_file(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        return {name: value for name, value in dotenv_values(path).items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}.") from error
