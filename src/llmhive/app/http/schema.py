"""The shapes of the API, for its OpenAPI document: field for field what the routes answer (design 3.6)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool

Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-25T06:00:04.120000Z"])]
Amount = Annotated[str | None, Field(description="a decimal string; null: not a known number", examples=["0.000003"])]
_RUN: dict[str, Any] = {
    "id": 17, "kind": "regular", "trigger": "http", "status": "completed", "dry_run": False,
    "started_at": "2026-11-25T06:00:02.000000Z", "finished_at": "2026-11-25T06:00:02.412000Z",
    "duration_seconds": 0.412, "scope": "all", "models_seen": 457, "added": 2, "changed": 12, "repriced": 15,
    "deactivated": 0, "reactivated": 0, "unchanged": 430, "unreadable": 0, "held": 0, "error": None, "notes": [],
    "catalog_version": 41,
}  # fmt: skip
_RUNNING: dict[str, Any] = _RUN | {"status": "running", "finished_at": None, "duration_seconds": None, "scope": None,
                   "models_seen": 0, "added": 0, "changed": 0, "repriced": 0, "unchanged": 0,
                   "catalog_version": None}  # fmt: skip
_MODEL: dict[str, Any] = {
    "id": "anthropic/claude-sonnet-5", "canonical_slug": "anthropic/claude-sonnet-5-20260801",
    "name": "Anthropic: Claude Sonnet 5", "author": "anthropic", "family": "anthropic/claude",
    "variant": None, "description": "…", "created_at": "2026-08-01T00:00:00Z", "context_length": 1_000_000,
    "max_completion_tokens": 128_000, "input_modalities": ["file", "image", "text"], "output_modalities": ["text"],
    "supported_parameters": ["reasoning", "tools"], "tokenizer": "Claude", "pricing_kind": "fixed",
    "is_scheduled": False, "is_active": True, "first_seen_at": "2026-08-01T06:00:01Z",
    "last_seen_at": "2026-11-25T06:00:02Z", "deactivated_at": None, "expiration_date": None, "flags": [], "held": {},
    "pricing": {"prompt": "0.000003", "completion": "0.000015"},
    "pricing_per_million": {"prompt": "3", "completion": "15"},
}  # fmt: skip


class Base(BaseModel):
    """What all shapes have in common."""

    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """What went wrong, and what to do (RFC 9457)."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"example": {"type": "about:blank", "title": "Not Found", "status": 404,
                                       "detail": "No model 'acme/x' was ever seen. `llmhive models TEXT` searches."}},
    )  # fmt: skip
    type: str
    title: str
    status: int
    detail: str
    request_id: str | None = None


class Wish(Base):
    """How to sync."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"force": True, "dry_run": False}})
    force: StrictBool = Field(
        False, description="sync even if the last one was a moment ago; lifts neither lock nor gate"
    )
    dry_run: StrictBool = Field(False, description="say what a sync would do; write nothing")


class RollbackWish(Base):
    """How to roll back."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"pin": False, "dry_run": True}})
    pin: StrictBool = Field(False, description="stay there until DELETE /api/pin")
    dry_run: StrictBool = Field(False, description="say what would change; write nothing")


class SnapshotWish(Base):
    """A snapshot to take."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"name": "before-upgrade", "note": None}})
    name: str | None = Field(
        None, pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,63}$", description="without it, it is named by the time"
    )
    note: str | None = Field(None, max_length=500, pattern=r"^[^\u0000]*$")


class Nothing(Base):
    """An empty body."""


class Line(Base):
    """What a run changes, or would change."""

    id: str
    what: Literal["added", "changed", "repriced", "deactivated", "reactivated", "held"]
    field: str | None
    before: Any
    after: Any


class Verdict(Base):
    """What the gate found."""

    rule: str
    outcome: str
    model_id: str | None = Field(description="null: it is about the run as a whole")
    field: str | None
    reason: str
    evidence: Any


class Step(Base):
    """What a run did beyond the model list, as it ended."""

    step: str
    status: Literal["completed", "skipped", "failed", "reused"]
    started_at: Instant
    finished_at: Instant
    seconds: float
    facts: dict[str, Any] = Field(description="what it did, in figures")
    error: str | None = Field(description="why it failed or was skipped, or which run it was taken over from")


class Run(Base):
    """One run."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_RUN, _RUNNING]})
    id: int | None = Field(description="null for a dry run and a skipped one")
    kind: Literal["regular", "research", "bootstrap", "backfill", "rollback"]
    trigger: str
    status: Literal["running", "completed", "unchanged", "skipped", "held", "failed", "interrupted"]
    dry_run: bool
    started_at: Instant
    finished_at: Instant | None
    duration_seconds: float | None
    scope: str | None
    models_seen: int
    added: int
    changed: int
    repriced: int
    deactivated: int
    reactivated: int
    unchanged: int
    unreadable: int
    held: int
    error: str | None
    notes: list[str]
    catalog_version: int | None
    due_at: Instant | None = Field(None, description="of a skipped one: when the interval is over")
    plan: list[Line] | None = Field(None, description="of a dry run and of a run that is asked for by its id")
    verdicts: list[Verdict] | None = Field(None, description="likewise")
    steps: list[Step] | None = Field(
        None, description="of a run that is asked for by its id, or waited for: the steps so far, as they ended"
    )


class WholeRun(Run):
    """One run with its plan and verdicts, and how old the catalog is now."""

    catalog_age_seconds: float | None
    as_of: Instant | None
    source: Literal["openrouter", "bootstrap"] | None


class Queued(Base):
    """A sync that will start when the running run of another kind is over."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"status": "queued", "kind": "regular", "waits_for": 16}}
    )
    status: Literal["queued"]
    kind: Literal["regular", "research"]
    waits_for: int | None = Field(description="the run that is running")


class Running(Base):
    """The run that is running."""

    id: int
    kind: str
    started_at: Instant


class ViewState(Base):
    """What this process answers from."""

    catalog_version: int | None
    staleness_seconds: float | None = Field(description="how old it may be at most")


class Status(Base):
    """How things stand."""

    last_sync_time: Instant | None
    last_sync_status: str | None
    models_in_catalog: int
    last_sync_duration_seconds: float | None
    next_scheduled_sync: Instant
    next_scheduled_research: Instant
    last_success_time: Instant | None
    last_error: str | None
    last_research_time: Instant | None
    last_research_status: str | None
    last_research_error: str | None
    rankings_as_of: str | None
    running: Running | None
    catalog_version: int
    catalog_age_seconds: float | None
    source: Literal["openrouter", "bootstrap"] | None
    held: int
    held_values: int
    pinned: str | None
    database: str
    schedule: Literal["embedded", "external"]
    database_reachable: bool
    database_error: str | None
    alerts_pending: int
    view: ViewState


class Catalogued(Base):
    """What every answer says of the catalog."""

    catalog_age_seconds: float | None = Field(description="since OpenRouter last said so; null while empty")
    catalog_version: int
    as_of: Instant | None
    source: Literal["openrouter", "bootstrap"] | None


class Held(Base):
    """A value that OpenRouter served, and that is not believed yet."""

    served: Any
    since: Instant | None = None
    rule: str | None = None


class Listed(BaseModel):
    """A model as lists have it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": _MODEL})
    id: str
    canonical_slug: str | None
    name: str | None
    author: str
    family: str
    variant: str | None
    description: str | None
    created_at: Instant | None
    context_length: int | None
    max_completion_tokens: int | None
    input_modalities: list[str]
    output_modalities: list[str]
    supported_parameters: list[str]
    tokenizer: str | None
    pricing_kind: Literal["fixed", "free", "dynamic", "unknown"]
    is_scheduled: bool
    is_active: bool
    first_seen_at: Instant | None
    last_seen_at: Instant | None
    deactivated_at: Instant | None
    expiration_date: str | None
    flags: list[str]
    held: dict[str, Held] = Field(description="what of it is held, by the field's name")
    pricing: dict[str, Any] = Field(description="USD per unit as decimal strings; null: not a known number")
    pricing_per_million: dict[str, Amount]


class Model(Listed):
    """One model with all that is known of it."""

    catalog_age_seconds: float | None
    catalog_version: int
    as_of: Instant | None
    source: Literal["openrouter", "bootstrap"]
    alias_target: str | None
    hugging_face_id: str | None
    knowledge_cutoff: str | None
    is_moderated: bool | None
    top_context_length: int | None
    overrides: list[dict[str, Any]]
    raw: dict[str, Any] | None = Field(description="the record as OpenRouter served it; null for a bootstrap's facts")


class ModelList(Catalogued):
    """A page of models."""

    total: int = Field(description="how many there are on all pages")
    limit: int | None
    offset: int
    data: list[Listed]


class Family(Base):
    """The models of one line."""

    family: str
    author: str
    models: list[str] = Field(description="their ids, the newest first")
    active: int
    newest: str
    generations: list[str] = Field(description="as their ids say, the newest model's first", examples=[["4.5", "4"]])
    sizes: list[str] = Field(description="likewise", examples=[["mini", "70b"]])


class FamilyList(Catalogued):
    """All families."""

    data: list[Family]
    total: int


class Rate(Base):
    """A rate and when it was in force."""

    unit: str
    rate: Amount
    position: int = Field(description="0 is the base rate; others need their condition")
    condition: dict[str, Any] | None
    from_: Instant = Field(alias="from")
    to: Instant | None
    is_held: bool = Field(description="held by the gate, and nobody confirmed it")


class Event(Base):
    """What a capture was the first to show."""

    at: Instant
    what: Literal["listed", "added", "changed", "repriced", "deactivated", "reactivated"]
    field: str | None
    before: Any
    after: Any


class History(Catalogued):
    """Every change of a model that OpenRouter served, oldest first."""

    id: str
    name: str | None
    is_listed: bool
    history_begins: Instant | None
    entries: list[Event]
    prices: list[Rate]


class Change(Base):
    """Something that happened at OpenRouter, once."""

    model_id: str
    what: Literal["added", "removed", "returned", "repriced", "limits", "capabilities", "expiry", "alias"]
    field: str
    before: Any
    after: Any
    happened_at: Instant
    confirmed_at: Instant
    reverted_at: Instant | None


class ChangeList(Catalogued):
    """Changes, the newest first."""

    data: list[Change]
    total: int
    limit: int | None
    offset: int


class RunList(Catalogued):
    """Runs, the newest first."""

    data: list[Run]
    total: int
    limit: int
    offset: int


class Snapshot(Base):
    """A named instant of belief."""

    name: str
    taken_at: Instant
    models: int
    catalog_version: int
    source: str | None
    as_of: Instant | None
    note: str | None
    is_pinned: bool | None = None


class SnapshotList(Catalogued):
    """Snapshots, the newest first."""

    data: list[Snapshot]
    total: int


class Unpinned(Base):
    """What the catalog was pinned to."""

    was_pinned_to: str | None


class Health(Base):
    """Whether the process lives."""

    status: Literal["ok"]
    version: str


class Ready(Base):
    """Whether the process can answer reads."""

    status: Literal["ready", "starting"]
    catalog_version: int | None
    staleness_seconds: float | None
    database_reachable: bool


PROBLEM: dict[str, Any] = {"model": Problem, "content": {"application/problem+json": {}}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems of a route, for its documentation."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        status: {"description": _WHEN[status], "content": {"application/problem+json": schema}} for status in statuses
    }


_WHEN = {
    400: "It asks for something that cannot be.",
    401: "A credential is needed, or the one given is not accepted.",
    403: "Not from here: a foreign page, or nobody may write.",
    404: "There is no such thing; the detail names what comes near.",
    408: "The request did not arrive in time.",
    409: "Held by the gate, or it cannot be done as things stand.",
    413: "The request is too large.",
    422: "The request cannot be understood; the detail says what is wrong.",
    502: "OpenRouter gave no usable answer; the last good catalog stays.",
    503: "The database does not answer, or too much is going on. Try again after Retry-After.",
}
