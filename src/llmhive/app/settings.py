"""All settings as one table: it feeds the code, ``--help`` and the docs.

Read once, at the door: from the environment, then from ``.env`` in the working directory. An empty variable counts as
not set. A value we cannot use raises `SettingsError` and names the variable.
"""

from __future__ import annotations

import os
import re
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


def _flag(value: str) -> bool:
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if value.lower() not in known:
        raise ValueError("it must be 1 or 0")
    return known[value.lower()]


def _host(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:_-]+", value):
        raise ValueError("it must be an address or a name, without a port")
    return value


def _token(value: str) -> str:
    if len(value) < 16:
        raise ValueError("it must have at least 16 characters: openssl rand -hex 32 makes a good one")
    if not value.isascii() or any(letter.isspace() for letter in value):
        raise ValueError("it must consist of ASCII letters, digits and signs without blanks")
    return value


def _webhook_secret(value: str) -> str:
    import base64
    import binascii

    if value.startswith("whsec_"):
        try:
            base64.b64decode(value.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            raise ValueError("what follows whsec_ must be base64") from None
    return _token(value)


def _words(value: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.split(",") if word.strip())


def _urls(value: str) -> tuple[str, ...]:
    return tuple(_base_url(word) for word in _words(value))


def _lines(value: str) -> tuple[str, ...]:
    found = tuple(value.split())
    if not all(map(_is_url, found)):
        raise ValueError("each must be a URL: https://…, slack://…, mailto://…")
    return found


def _is_url(word: str) -> bool:
    try:
        parts = urlsplit(word)
        return "://" in word and (parts.scheme not in {"http", "https"} or bool(parts.hostname and parts.port != 0))
    except ValueError:
        return False


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
    endpoint_concurrency: int = _setting("ENDPOINT_CONCURRENCY", "8", "endpoint requests at once", _whole(1, 64))
    endpoint_rate: float = _setting(
        "ENDPOINT_REQUESTS_PER_SECOND", "20", "endpoint requests begun within any second, at most", _number(0.1, 10_000)
    )
    popular_models: int = _setting(
        "SYNC_POPULAR_MODELS",
        "20",
        "a regular sync asks for the endpoints of what changed, then of so many of the most used models, then of those "
        "never asked for; the research sync for all",
        _whole(0, 1000),
    )
    sync_rankings: bool = _setting(
        "SYNC_RANKINGS", "1", "0: a regular sync asks for the model list alone, not for rankings and endpoints", _flag
    )
    data_per_minute: int = _setting(
        "DATA_API_PER_MINUTE", "30", "requests to OpenRouter's Data API in any minute, of all replicas", _whole(1, 1000)
    )
    data_per_day: int = _setting(
        "DATA_API_PER_DAY",
        "500",
        "requests to OpenRouter's Data API in any 24 hours, of all replicas",
        _whole(1, 100_000),
    )
    ranking_categories: tuple[str, ...] = _setting(
        "RANKING_CATEGORIES", "", "categories to rank beside those that OpenRouter documents (several: commas)", _words
    )
    health_sample_days: int = _setting(
        "HEALTH_SAMPLE_DAYS",
        "14",
        "samples of endpoint health are kept for so many days, then summed up by day",
        _whole(1, 3650),
    )
    health_day_days: int = _setting(
        "HEALTH_DAY_DAYS",
        "180",
        "endpoint health by day is kept for so many days, then summed up by week",
        _whole(1, 36_500),
    )
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
    host: str = _setting("HOST", "127.0.0.1", "address that `serve` listens on; 0.0.0.0 for every one", _host)
    port: int = _setting("PORT", "8080", "port that `serve` listens on", _whole(0, 65_535))
    auth_token: str = _setting(
        "AUTH_TOKEN", "", "bearer token for routes that write; at least 16 characters", _token, is_secret=True
    )
    auth_read_token: str = _setting(
        "AUTH_READ_TOKEN", "", "bearer token for routes that read; without it reading is open", _token, is_secret=True
    )
    auth_oidc_audience: tuple[str, ...] = _setting(
        "AUTH_OIDC_AUDIENCE", "", "base URL of this service, as Google-signed tokens name it (several: commas)", _urls
    )
    auth_oidc_accounts: tuple[str, ...] = _setting(
        "AUTH_OIDC_ACCOUNTS", "", "e-mail of the service account that may write (several: commas)", _words
    )
    auth_oidc_keys_url: str = _setting(
        "AUTH_OIDC_KEYS_URL", "https://www.googleapis.com/oauth2/v3/certs", "where Google's public keys are", _base_url
    )
    auth_oidc_single_use: bool = _setting(
        "AUTH_OIDC_SINGLE_USE", "1", "accept each Google-signed token once; 0: until it expires", _flag
    )
    auth_trust_cloud_run: bool = _setting(
        "AUTH_TRUST_CLOUD_RUN", "0",
        "1: Cloud Run has checked the signature of the token and taken it away; only the claims are checked", _flag,
    )  # fmt: skip
    alert_urls: tuple[str, ...] = _setting(
        "ALERT_URLS", "", "where alerts go: https://… (webhook), slack://…, mailto://… (several: blanks)", _lines,
        is_secret=True,
    )  # fmt: skip
    alert_webhook_secret: str = _setting(
        "ALERT_WEBHOOK_SECRET", "", "key that webhooks are signed with; at least 16 characters",
        _webhook_secret, is_secret=True,
    )  # fmt: skip
    alert_price_percent: float = _setting(
        "ALERT_PRICE_PERCENT", "10", "a price that changes by at least this much is an alert", _number(0, 1_000_000)
    )
    serve_max_body_kb: int = _setting(
        "SERVE_MAX_BODY_KB",
        "64",
        "larger requests are refused; `POST /api/cost` takes 4096 at least",
        _whole(1, 1_000_000),
    )
    serve_timeout_seconds: float = _setting(
        "SERVE_TIMEOUT_SECONDS", "30", "a request must have arrived, and a read be answered, within this time",
        _number(0.1, 3600),
    )  # fmt: skip
    serve_max_requests: int = _setting(
        "SERVE_MAX_REQUESTS",
        "2000",
        "requests in progress at once; one more is told to come back",
        _whole(1, 1_000_000),
    )
    serve_log_reads: bool = _setting(
        "SERVE_LOG_READS", "0", "1: log reads from memory as well, which costs a part of their speed", _flag
    )

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown."""
        from urllib.parse import parse_qs, unquote

        parts = [urlsplit(url) for url in (self.database_url, *self.alert_urls)]
        passwords = [word for it in parts for word in (it.password or "", unquote(it.password or ""))]
        passwords += [word for it in parts for word in parse_qs(it.query).get("password", ())]
        return tuple(
            word
            for word in (
                self.api_key, self.auth_token, self.auth_read_token, self.alert_webhook_secret, *self.alert_urls,
                *passwords,
            )
            if len(word) >= 4
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


#: What "none" is, where it is not an empty text.
_EMPTY: dict[Callable[[str], Any], Any] = {_words: (), _urls: (), _lines: ()}

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
            values[f.name] = setting.parse(text) if text else _EMPTY.get(setting.parse, "")
        except ValueError as error:
            shown = "" if setting.is_secret else f" = {text!r}"
            raise SettingsError(f"{setting.variable}{shown} cannot be used: {error}.") from error
    return Settings(**values)


def environment(environ: Mapping[str, str] | None = None, env_file: Path | None = None) -> dict[str, str]:
    """The environment of another process that is to have the same settings, whatever becomes of ``.env``."""
    given = os.environ if environ is None else environ
    return {**_env_file(env_file or Path(".env")), **{name: value for name, value in given.items() if value.strip()}}


def _env_file(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        return {name: value for name, value in dotenv_values(path).items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}.") from error
