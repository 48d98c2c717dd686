"""The shapes of what the research sync brought: field for field what the routes of `market` answer."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from llmhive.app.http.schema import Amount, Base, Catalogued, Instant, Listed

_ABOUT: dict[str, Any] = {
    "dimension": "leaderboard", "category": None, "title": "Leaderboard", "category_title": None, "source": "data-api",
    "is_derived": False, "is_estimate": False, "as_of": "2026-11-26T02:00:00.000Z",
    "window": {"from": "2026-11-19", "to": "2026-11-25"}, "made_at": "2026-11-26T03:00:04.120000Z",
    "citation": "Source: OpenRouter (openrouter.ai/rankings), as of 2026-11-26T02:00:00.000Z.",
}  # fmt: skip
_RANK: dict[str, Any] = {
    "rank": 1, "model": "anthropic/claude-sonnet-5", "slug": "anthropic/claude-sonnet-5-20260801", "is_known": True,
    "tokens": 11655618450900, "is_lower_bound": False, "days_counted": 7, "share": "0.138601", "change": 2,
    "previous_rank": 3, "growth": "0.070975",
    "trend": [None, 7459468446719, 10883183930128, 11655618450900], "score": None,
}  # fmt: skip
_ENDPOINT: dict[str, Any] = {
    "provider": "Amazon Bedrock", "tag": "amazon-bedrock", "key": "amazon-bedrock", "context_length": 1_000_000,
    "max_completion_tokens": 128_000, "max_prompt_tokens": None, "quantization": None,
    "pricing": {"prompt": "0.000003", "completion": "0.000015"},
    "pricing_per_million": {"prompt": "3", "completion": "15"}, "discount": "0",
    "supported_parameters": ["reasoning", "tools"], "supports_implicit_caching": True, "supports_voice_cloning": False,
    "is_zdr": True, "since": "2026-11-01T03:00:21Z", "is_active": True, "status": 0, "uptime_last_5m": 100.0,
    "uptime_last_30m": 99.94, "uptime_last_1d": 99.8, "latency_ms": {"p50": 610.0, "p90": 1410.5},
    "throughput_tps": {"p50": 71.5, "p90": 44.0}, "first_seen_at": "2026-08-02T03:00:18Z",
    "last_seen_at": "2026-11-26T03:00:21Z", "health_at": "2026-11-26T03:00:21Z",
}  # fmt: skip


class Window(Base):
    """Days of which a ranking is, both included."""

    from_: str = Field(alias="from", json_schema_extra={"format": "date"})
    to: str = Field(json_schema_extra={"format": "date"})


class Failure(Base):
    """The last try, which was not published: the last good ranking stays."""

    at: Instant
    error: str


class _Place(Base):
    rank: int
    slug: str = Field(description="as OpenRouter's rankings call it; of `market_share` an author")
    is_known: bool | None = Field(description="whether the catalog knows the slug; null: it is an author's")
    tokens: int | None = Field(description="of the window; null: no counts are known")
    is_lower_bound: bool = Field(description="it had at least so many: on some days it was below the top 50")
    days_counted: int | None = Field(
        description="on how many of the window's days it was named; null: no counts are known"
    )
    share: Amount = Field(description="of all tokens of the window, 0 to 1, as a decimal string")
    change: int | None = Field(description="ranks gained since the week before; null: not ranked then, or not known")
    previous_rank: int | None
    growth: Amount = Field(description="of the tokens since the week before; 0.1: ten percent more")
    trend: list[int | None] | None = Field(description="tokens of the last four weeks, oldest first")
    score: Amount = Field(description="of derived rankings and of tasks, in the ranking's `unit`")


class Rank(_Place):
    """A place in a ranking."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": _RANK})
    model: str | None = Field(description="its id; null: the catalog does not know the slug")


class TopRank(_Place):
    """A place in a ranking, with the model that holds it."""

    model: Listed


class RankingFacts(Base):
    """What a ranking is of, and whence."""

    dimension: str
    category: str | None
    title: str = Field(description="of the dimension")
    category_title: str | None
    source: str | None = Field(
        description="of the ranking: `data-api` (OpenRouter's figures), `models-order` (the order of its model list, "
        "where there is no key), `derived` (reckoned here); null: there is none yet"
    )
    is_derived: bool = Field(description="reckoned here; else the figures are OpenRouter's, at most added up")
    is_estimate: bool = Field(description="OpenRouter estimates it from a sample")
    as_of: str | None = Field(description="how its figures are dated")
    window: Window | None
    made_at: Instant | None
    citation: str | None = Field(description="the line that OpenRouter asks those to show who publish it")


class Standing(RankingFacts, Rank):
    """A model's place in one of the rankings."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": _ABOUT | _RANK})


class _Ranked(RankingFacts):
    catalog_age_seconds: float | None
    catalog_version: int
    formula: str | None = Field(description="how its ranks come about")
    unit: str | None = Field(description="of its scores, or of its tokens; null: it has neither")
    facts: dict[str, Any] = Field(description="of the window as a whole: tokens in all, days, incomplete slugs")
    failure: Failure | None = Field(description="why the last try was not published, where it is newer")
    note: str | None = Field(description="why nobody is ranked")
    total: int = Field(description="how many there are on all pages")
    limit: int | None
    offset: int


class Ranking(_Ranked):
    """A ranking. `source` and `as_of` are its own, not the catalog's."""

    data: list[Rank]


class TopModels(_Ranked):
    """The ranked models that the catalog knows. `source` and `as_of` are the ranking's, not the catalog's."""

    data: list[TopRank]


class RankingName(Base):
    """What can be ranked by."""

    name: str = Field(description="for `/api/rankings?category=`")
    dimension: str
    category: str | None
    title: str
    is_ranked: bool = Field(description="whether there are ranks")
    total: int
    source: str | None
    as_of: str | None
    window: Window | None
    is_derived: bool
    cadence: str = Field(description="how often its figures change")
    formula: str
    failure: Failure | None
    note: str | None = Field(description="that OpenRouter had no figures when it was asked")


class RankingNames(Catalogued):
    """All that can be ranked by, in order."""

    data: list[RankingName]
    total: int


class Standings(Catalogued):
    """Where a model stands in all rankings."""

    id: str
    data: list[Standing]
    total: int


class Percentiles(Base):
    """Of the requests of 30 minutes."""

    p50: float | None
    p90: float | None


class Endpoint(Base):
    """One provider's offer of a model. Of the past it has no health and no times but `since`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": _ENDPOINT})
    provider: str
    tag: str
    key: str = Field(description="the tag, told apart where one model has it twice")
    context_length: int | None
    max_completion_tokens: int | None
    max_prompt_tokens: int | None
    quantization: str | None
    pricing: dict[str, Any] = Field(description="USD per unit as decimal strings; null: not a known number")
    pricing_per_million: dict[str, Amount]
    discount: Amount = Field(description="0.2: twenty percent off, in the prices already")
    supported_parameters: list[str]
    supports_implicit_caching: bool | None
    supports_voice_cloning: bool | None
    is_zdr: bool | None = Field(description="whether it keeps no data; null: not known")
    since: Instant = Field(description="when it began to offer just this")
    is_active: bool | None = Field(None, description="false: it is no longer offered")
    status: int | None = Field(None, description="as OpenRouter tells it: 0 is well, below is not")
    uptime_last_5m: float | None = Field(None, description="percent")
    uptime_last_30m: float | None = None
    uptime_last_1d: float | None = None
    latency_ms: Percentiles | None = Field(None, description="until the first token, in milliseconds")
    throughput_tps: Percentiles | None = Field(None, description="tokens a second")
    first_seen_at: Instant | None = None
    last_seen_at: Instant | None = None
    health_at: Instant | None = Field(None, description="when it was as well as this")


class EndpointList(Catalogued):
    """Who serves a model: the cheapest prompt first, those that are gone last."""

    id: str
    data: list[Endpoint]
    total: int
    checked_at: Instant | None = Field(description="when they were asked for last; null: never yet")
    succeeded_at: Instant | None = Field(description="when that was answered")
    error: str | None = Field(description="why it was not answered; the last known ones are shown")


class Offered(Base):
    """What an endpoint offered from one instant to another."""

    provider: str
    tag: str
    key: str
    context_length: int | None
    max_completion_tokens: int | None
    max_prompt_tokens: int | None
    quantization: str | None
    pricing: dict[str, Any]
    pricing_per_million: dict[str, Amount]
    discount: Amount
    supported_parameters: list[str]
    supports_implicit_caching: bool | None
    supports_voice_cloning: bool | None
    is_zdr: bool | None
    is_listed: bool = Field(description="false: it was not offered then; this is what it offered last")
    from_: Instant = Field(alias="from")
    to: Instant | None = Field(description="null: it stands")


class EndpointHealth(Base):
    """How an endpoint did: at one look, or over a day or a week."""

    provider: str
    tag: str
    key: str
    span: Literal["sample", "day", "week"]
    at: Instant = Field(description="when the look was, or the span begins")
    samples: int = Field(description="how many looks it sums up")
    status: int | None = Field(description="the worst")
    uptime: float | None = Field(description="percent, the mean")
    uptime_low: float | None = Field(description="the lowest")
    latency_p50: float | None = Field(description="milliseconds, the mean")
    throughput_p50: float | None = Field(description="tokens a second, the mean")


class EndpointHistory(Catalogued):
    """The past of a model's endpoints."""

    id: str
    versions: list[Offered]
    health: list[EndpointHealth]


class Benchmark(Base):
    """What somebody measured of a model."""

    slug: str
    source: str
    metric: str
    value: str = Field(description="a decimal string", examples=["71.4"])
    facts: dict[str, Any]
    as_of: str | None = Field(description="how the source dates it")
    since: Instant = Field(description="when it was first seen with this value")


class BenchmarkList(Catalogued):
    """What others measured of a model."""

    id: str
    data: list[Benchmark]
    total: int


class Cell(Base):
    """Whether a model has a capability."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"state": "yes", "provenance": "input_modalities has image",
                                       "since": "2026-11-01T03:00:06Z"}},
    )  # fmt: skip
    state: Literal["yes", "no", "unknown"]
    provenance: str = Field(description="what says so")
    since: Instant = Field(description="since when that is known")


class CapabilityRow(Base):
    """What a model can do."""

    id: str
    cells: dict[str, Cell] = Field(description="by the capability's name")


class CapabilityName(Base):
    """A column of the matrix."""

    name: str
    title: str


class CellSide(Base):
    """A cell before or after."""

    state: Literal["yes", "no", "unknown"]
    provenance: str


class CapabilityChange(Base):
    """A capability that a model gained or lost."""

    model: str
    capability: str
    before: CellSide
    after: CellSide
    at: Instant


class CapabilityMatrix(Catalogued):
    """What models can do."""

    data: list[CapabilityRow]
    total: int
    limit: int | None
    offset: int
    capabilities: list[CapabilityName] = Field(description="the columns")
    changes: list[CapabilityChange] = Field(description="those of `changes_since`, else the last ones; oldest first")


class Provider(Base):
    """Who serves models."""

    slug: str | None = Field(description="null: it serves, but OpenRouter does not list it")
    name: str
    is_active: bool = Field(description="false: OpenRouter lists it no longer")
    models: int = Field(description="of which it has active endpoints")
    endpoints: int
    headquarters: str | None = Field(description="a country's code")
    datacenters: list[str] | None
    privacy_policy_url: str | None
    terms_of_service_url: str | None
    status_page_url: str | None
    first_seen_at: Instant | None
    last_seen_at: Instant | None


class ProviderList(Catalogued):
    """The providers by name."""

    data: list[Provider]
    total: int
