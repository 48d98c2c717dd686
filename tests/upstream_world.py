"""What a fake OpenRouter knows: models, endpoints, providers, token counts, benchmarks, tasks. Made by rule, so that
the same seed gives the same world.

`World.small(seed)` is synthetic and holds one of everything that is odd upstream; `World.real()` is made of the
captured data of ../shared and skips the test where that is absent. Tests change a world inside `Upstream.change()`.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Self

from tests.fake_openrouter import Record

TODAY = date(2026, 10, 1)
CATEGORIES = (
    "programming", "roleplay", "marketing", "marketing/seo", "technology", "science", "translation", "legal", "finance",
    "health", "trivia", "academia",
)  # fmt: skip
LANGUAGES = ("natural", "programming")
#: day, or Monday of a week → permaslug (with its variant, or "other") → tokens
Counts = dict[date, dict[str, int]]


@dataclass
class World:
    """The state behind the answers."""

    #: rankings end the day before
    today: date
    #: of all modalities, in the order they are listed
    models: list[Record]
    #: model id → its endpoints, latency and throughput included
    endpoints: dict[str, list[Record]]
    providers: list[Record]
    #: (model id, tag) of the endpoints without data retention
    zdr: set[tuple[str, str]]
    #: per day, all traffic
    tokens: Counts
    #: category → per week
    categories: dict[str, Counts] = field(default_factory=dict)
    #: language_type → per week
    languages: dict[str, Counts] = field(default_factory=dict)
    benchmarks: list[Record] = field(default_factory=list)
    #: the `data` of /classifications/task
    tasks: Record = field(default_factory=dict)
    #: laid over the `data` of /key
    key: Record = field(default_factory=dict)

    @classmethod
    def small(cls, seed: int = 0, today: date = TODAY) -> World:
        """13 models of 4 authors, 60 days of 60 slugs."""
        from tests.upstream_small import small

        return small(seed, today)

    @classmethod
    def real(cls) -> World:
        """The newest captured models, endpoints and providers, and two months of captured rankings; what was not
        captured (latency, categories, tasks, …) is made by rule.
        """
        from tests.upstream_real import real

        return real()

    def moved_to(self, today: date) -> Self:
        """The same world on another day: for a command that goes by the real clock."""
        moved = today - self.today
        self.today, self.tokens = today, {day + moved: counts for day, counts in self.tokens.items()}
        return self.fill()

    def fill(self) -> Self:
        """Derive by rule what is not given: categories, languages, benchmarks, tasks, the ZDR list."""
        from tests.upstream_derived import benchmarks, tasks

        self.categories = {name: estimate(name, weekly(self.tokens)) for name in CATEGORIES}
        self.languages = {name: estimate(f"language {name}", weekly(self.tokens)) for name in LANGUAGES}
        self.benchmarks = benchmarks(self)
        self.tasks = tasks(self)
        self.zdr = {
            (id, endpoint["tag"])
            for id, endpoints in self.endpoints.items()
            for endpoint in endpoints
            if portion("zdr", endpoint["provider_name"]) < 0.6
        }
        return self

    def find(self, name: str) -> Record | None:
        """A model by its id, or by its canonical slug with the variant (the base row where there is none)."""
        for record in self.models:
            if record["id"] == name:
                return record
        return next((record for record in self.models if permaslug(record) == name), None)

    def restate(self, day: date, slug: str, tokens: int | None) -> None:
        """Other tokens of a slug on a day; None: none."""
        counts = self.tokens.setdefault(day, {})
        counts.pop(slug, None)
        if tokens is not None:
            counts[slug] = tokens

    def add_category(self, name: str, weeks: Counts | None = None) -> None:
        """One more category; its counts are estimated from all traffic unless given."""
        self.categories[name] = estimate(name, weekly(self.tokens)) if weeks is None else weeks

    def remove_category(self, name: str) -> None:
        """A category that is no longer one: asking for it becomes an error."""
        del self.categories[name]

    def popularity(self, counts: Counts | None = None) -> dict[str, int]:
        """Tokens of the last seven days by permaslug, or of the last week of a category's counts."""
        if counts is not None:
            return dict(counts[max(counts)]) if counts else {}
        week: dict[str, int] = {}
        for day in (self.today - timedelta(days=back) for back in range(1, 8)):
            for slug, tokens in self.tokens.get(day, {}).items():
                week[slug] = week.get(slug, 0) + tokens
        return week


def permaslug(record: Record) -> str:
    """The name of a model's row in rankings: its canonical slug and its variant."""
    _, colon, variant = record["id"].partition(":")
    return f"{record['canonical_slug']}{colon}{variant}"


def portion(*words: object) -> float:
    """A fixed number in [0, 1) for these words: what looks random and is the same for everybody."""
    return zlib.crc32(" ".join(map(str, words)).encode()) / 2**32


def monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def weekly(daily: Counts) -> Counts:
    """Sums by ISO week."""
    weeks: Counts = {}
    for day, counts in daily.items():
        week = weeks.setdefault(monday(day), {})
        for slug, tokens in counts.items():
            week[slug] = week.get(slug, 0) + tokens
    return weeks


def estimate(name: str, weeks: Counts) -> Counts:
    """A part of all traffic, as a sample would show it: some slugs hardly, some not at all."""
    found: Counts = {}
    for week, counts in weeks.items():
        parts = {slug: int(portion(name, slug) * 1000) for slug in counts}
        sampled = {slug: counts[slug] * part // 8000 for slug, part in parts.items() if slug == "other" or part >= 300}
        found[week] = {slug: tokens for slug, tokens in sampled.items() if tokens > 0}
    return found


def endpoint(record: Record, provider: str, tag: str, /, **overrides: Any) -> Record:
    """A realistic endpoint of a model, latency in milliseconds; `pricing` is laid over the model's."""
    slow = portion("latency", record["id"], tag)
    base: Record = {
        "name": f"{provider} | {permaslug(record)}",
        "model_id": record["id"],
        "model_name": record["name"],
        "context_length": record["context_length"] or 0,
        "pricing": {**record["pricing"], "discount": 0, **overrides.pop("pricing", {})},
        "provider_name": provider,
        "tag": tag,
        "quantization": None,
        "max_completion_tokens": record["top_provider"].get("max_completion_tokens"),
        "max_prompt_tokens": None,
        "supported_parameters": list(record["supported_parameters"]),
        "status": 0,
        "uptime_last_5m": round(99 + portion("5m", record["id"], tag), 2),
        "uptime_last_30m": round(99 + portion("30m", record["id"], tag), 4),
        "uptime_last_1d": round(99 + portion("1d", record["id"], tag), 6),
        "supports_implicit_caching": "input_cache_read" in record["pricing"],
        "supports_voice_cloning": False,
        "latency_last_30m": percentiles(200 + 1800 * slow),
        # p99 is the slow tail
        "throughput_last_30m": percentiles(150 - 120 * slow, (1.0, 0.8, 0.6, 0.3)),
    }
    return {**base, **overrides}


def percentiles(p50: float, factors: Sequence[float] = (1.0, 1.4, 2.0, 4.5)) -> Record:
    names = ("p50", "p75", "p90", "p99")
    return {name: round(p50 * factor, 1) for name, factor in zip(names, factors, strict=True)}


def provider(name: str, headquarters: str | None, datacenters: list[str] | None) -> Record:
    """A realistic record of `/providers`."""
    slug = name.lower().replace(" ", "-")
    return {
        "name": name,
        "slug": slug,
        "privacy_policy_url": f"https://{slug}.example/privacy",
        "terms_of_service_url": f"https://{slug}.example/terms",
        "status_page_url": None,
        "headquarters": headquarters,
        "datacenters": datacenters,
    }
