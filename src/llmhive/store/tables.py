"""All tables. What differs between SQLite and PostgreSQL is decided here and nowhere else.

Two ledgers. *Served* is what OpenRouter said, when: `capture`, `body`, `served_version` (with its documents: the view
``model_version``), `model_price`, `transition` (debounced: the view ``change``). *Believed* is what we stand by:
`model_belief`, and its open rows with columns for what people filter on, `model_catalog`; `snapshot` names instants of
it. Intervals are half-open, ``[from, to)``; an open one has no end.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from llmhive.catalog.pricing import plain

_READ_JSON = msgspec.json.Decoder(float_hook=Decimal)


class Exact(TypeDecorator[Decimal]):
    """An exact decimal: NUMERIC on PostgreSQL, text on SQLite, whose own numbers would round it."""

    impl = sa.String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """NUMERIC or TEXT."""
        return dialect.type_descriptor(sa.Numeric() if dialect.name == "postgresql" else sa.Text())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """Write every digit."""
        return plain(value) if value is not None and dialect.name != "postgresql" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """Read every digit."""
        return None if value is None else Decimal(value)


class Instant(TypeDecorator[datetime]):
    """An instant in UTC: timestamptz on PostgreSQL, sortable text ``2026-05-01T12:00:00.000000Z`` on SQLite."""

    impl = sa.String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Timestamptz or TEXT."""
        is_pg = dialect.name == "postgresql"
        return dialect.type_descriptor(sa.DateTime(timezone=True) if is_pg else sa.Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Always UTC; an instant without a zone is a mistake."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"an instant without a time zone: {value!r}")
        return value.astimezone(UTC) if dialect.name == "postgresql" else _sortable(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Always UTC."""
        if value is None:
            return None
        return value.astimezone(UTC) if isinstance(value, datetime) else datetime.fromisoformat(value)


@lru_cache(maxsize=1024)
def _sortable(at: datetime) -> str:
    """The rows of one transaction share an instant, and writing it out is slow."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


class Json(TypeDecorator[Any]):
    """JSON: JSONB on PostgreSQL, text on SQLite. Text and bytes are taken as JSON already; numbers stay exact."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """JSONB (written and read as text: see `database.connect`) or TEXT."""
        if dialect.name != "postgresql":
            return dialect.type_descriptor(sa.Text())
        # a twentieth of a second of imports that SQLite does without
        from sqlalchemy.dialects.postgresql import JSONB

        return dialect.type_descriptor(JSONB(none_as_null=True))

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """A value as JSON text."""
        if value is None or isinstance(value, str):
            return value
        return (value if isinstance(value, bytes) else msgspec.json.encode(value)).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """JSON text as a value."""
        return None if value is None else _READ_JSON.decode(value)


class JsonText(Json):
    """JSON kept and read as text, byte for byte (JSON, not JSONB, on PostgreSQL)."""

    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """JSON or TEXT."""
        is_pg = dialect.name == "postgresql"
        return dialect.type_descriptor(sa.JSON(none_as_null=True) if is_pg else sa.Text())

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """The JSON text itself."""
        return value


#: 64 bits and counted up on both: SQLite counts only INTEGER keys.
Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

#: Of a partial index: its condition, which the migrations give the database (naming it to SQLAlchemy here would load
#: both dialects at every start).
WHERE = "where"

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

catalog_state = sa.Table(
    "catalog_state",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False, comment="always 1"),
    sa.Column(
        "catalog_version", sa.BigInteger, nullable=False, comment="raised by every run that changes what readers see"
    ),
    sa.Column("source", sa.String, comment="openrouter, bootstrap, or NULL while empty"),
    sa.Column("source_at", Instant, comment="bootstrap: when its facts were true; else NULL"),
    sa.Column("decoder", sa.Integer, comment="version of the decoder that read the records"),
    sa.Column("pinned", sa.String, comment="the snapshot that is believed whatever OpenRouter says; NULL: none"),
    sa.Column("is_moved", sa.Boolean, nullable=False, server_default=sa.false(),
              comment="belief was changed by a rollback or an unpin since the last sync"),
    comment="One row: the catalog as a whole",
)  # fmt: skip

sync_run = sa.Table(
    "sync_run",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("kind", sa.String, nullable=False, comment="regular, research, bootstrap, backfill, rollback"),
    sa.Column("trigger", sa.String, nullable=False, comment="who asked: cli, scheduler, http"),
    sa.Column(
        "status", sa.String, nullable=False, comment="running, completed, unchanged, held, failed, interrupted"
    ),
    sa.Column("owner", sa.String, nullable=False, comment="the process that runs it, as host:pid"),
    sa.Column("scope", sa.String, comment="all or text"),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("heartbeat_at", Instant, nullable=False, comment="by the database's clock on PostgreSQL"),
    sa.Column("finished_at", Instant),
    sa.Column("models_seen", sa.Integer, nullable=False, server_default="0"),
    sa.Column("added", sa.Integer, nullable=False, server_default="0"),
    sa.Column("changed", sa.Integer, nullable=False, server_default="0", comment="models with another field changed"),
    sa.Column("repriced", sa.Integer, nullable=False, server_default="0", comment="models with a changed price"),
    sa.Column("deactivated", sa.Integer, nullable=False, server_default="0"),
    sa.Column("reactivated", sa.Integer, nullable=False, server_default="0"),
    sa.Column("unchanged", sa.Integer, nullable=False, server_default="0"),
    sa.Column("unreadable", sa.Integer, nullable=False, server_default="0", comment="records in quarantine"),
    sa.Column("held", sa.Integer, nullable=False, server_default="0", comment="findings of the gate that hold"),
    sa.Column("error", sa.Text, comment="why it failed or was held, in one line"),
    sa.Column("notes", Json, comment="what a person should know of it: a list of lines"),
    sa.Column("plan", Json, comment="a list of {id, what, field, before, after}"),
    sa.Column("catalog_version", sa.BigInteger, comment="the catalog's version when it ended"),
    sa.Index("one_running", "status", unique=True, info={WHERE: "status = 'running'"}),
    sa.Index("ix_sync_run_kind_status_started_at", "kind", "status", "started_at"),
    comment="Every run; the one that is running is the lock",
    sqlite_autoincrement=True,
)  # fmt: skip

verdict = sa.Table(
    "verdict",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("run_id", Id, sa.ForeignKey("sync_run.id"), nullable=False, index=True),
    sa.Column("rule", sa.String, nullable=False),
    sa.Column("outcome", sa.String, nullable=False, comment="held, released, accepted or flagged"),
    sa.Column("model_id", sa.String, comment="NULL: the run as a whole"),
    sa.Column("field", sa.String, comment="of a model: pricing.prompt …, context_length"),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("evidence", Json, nullable=False),
    comment="What the gate found, with its evidence",
    sqlite_autoincrement=True,
)

body = sa.Table(
    "body",
    metadata,
    sa.Column("id", Id, primary_key=True, comment="in the order in which they were stored"),
    sa.Column("digest", sa.String(64), nullable=False, unique=True, comment="SHA-256 of the raw bytes"),
    sa.Column("size", sa.Integer, nullable=False, comment="of the raw bytes"),
    sa.Column("base", sa.String(64), comment="digest of the body it is a patch of; NULL: it stands alone"),
    sa.Column("depth", sa.Integer, nullable=False, comment="how many patches to apply"),
    sa.Column("data", sa.LargeBinary, nullable=False, comment="one Zstandard frame"),
    comment="Raw upstream bodies and the contents of snapshots, each kept once",
    sqlite_autoincrement=True,
)

capture = sa.Table(
    "capture",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("fetched_at", Instant, nullable=False),
    sa.Column("source", sa.String, nullable=False, comment="where from: a base URL, or a file"),
    sa.Column("scope", sa.String, nullable=False, comment="all or text"),
    sa.Column("digest", sa.String(64), sa.ForeignKey("body.digest"), nullable=False, index=True),
    sa.Column("run_id", Id, sa.ForeignKey("sync_run.id"), nullable=False, index=True),
    sa.Column("etag", sa.String),
    sa.Column("last_modified", sa.String),
    sa.Column("state", sa.String, nullable=False,
              comment="applied, held, accepted, superseded; kept: not yet in history"),
    sa.Index("ix_capture_scope_fetched_at", "scope", "fetched_at"),
    comment="Each answer of OpenRouter; one without news repeats the digest",
    sqlite_autoincrement=True,
)  # fmt: skip

#: What is news: the view over `transition`.
change = sa.table(
    "change",
    sa.column("model_id", sa.String),
    sa.column("what", sa.String),
    sa.column("field", sa.String),
    sa.column("before", Json),
    sa.column("after", Json),
    sa.column("happened_at", Instant),
    sa.column("confirmed_at", Instant),
    sa.column("reverted_at", Instant),
)

description = sa.Table(
    "description",
    metadata,
    sa.Column("digest", sa.String(32), primary_key=True, comment="SHA-256 of the text, shortened"),
    sa.Column("text", sa.Text, nullable=False),
    comment="Each description a model ever had, kept once: most versions share theirs with the one before",
)

version = sa.Table(
    "version",
    metadata,
    sa.Column("digest", sa.String(32), primary_key=True, comment="SHA-256 of the whole document, shortened"),
    sa.Column("document", JsonText, nullable=False, comment="a model in its normal form, without its description"),
    sa.Column("description", sa.String(32), sa.ForeignKey("description.digest"), comment="NULL: it has none"),
    comment="Each content a model ever had, kept once",
)

served_version = sa.Table(
    "served_version",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("model_id", sa.String, nullable=False),
    sa.Column("valid_from", Instant, nullable=False),
    sa.Column("valid_to", Instant),
    sa.Column("is_listed", sa.Boolean, nullable=False),
    sa.Column("version", sa.String(32), sa.ForeignKey("version.digest"), nullable=False,
              comment="what was listed, or was last"),
    sa.Index("ix_served_version_model_id_valid_from", "model_id", "valid_from", unique=True),
    sa.Index("one_open_served_version", "model_id", unique=True, info={WHERE: "valid_to IS NULL"}),
    comment="What OpenRouter served, when; with its documents it is the view model_version",
    sqlite_autoincrement=True,
)  # fmt: skip

#: The views' texts by dialect, for the migrations and the data dictionary.
_MODEL_VERSION = """
CREATE VIEW model_version AS
SELECT s.model_id, s.valid_from, s.valid_to, s.is_listed, s.version,
  CASE WHEN d.text IS NULL THEN v.document ELSE {whole} END AS document
FROM served_version AS s
JOIN version AS v ON v.digest = s.version
LEFT JOIN description AS d ON d.digest = v.description
"""
MODEL_VERSION = {
    "sqlite": _MODEL_VERSION.format(whole="json_set(v.document, '$.description', d.text)"),
    "postgresql": _MODEL_VERSION.format(
        whole="(CAST(v.document AS JSONB) || jsonb_build_object('description', d.text))::JSON"
    ),
}

model_price = sa.Table(
    "model_price",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("model_id", sa.String, nullable=False),
    sa.Column("unit", sa.String, nullable=False, comment="prompt, completion, input_cache_read …"),
    sa.Column("rate", Exact, comment="USD per unit, exact; NULL: not a known number"),
    sa.Column("position", sa.Integer, nullable=False, comment="0 is the base, then the order of overrides"),
    sa.Column("condition", Json, comment="when the override applies; NULL for the base"),
    sa.Column("valid_from", Instant, nullable=False),
    sa.Column("valid_to", Instant),
    sa.Column("is_held", sa.Boolean, nullable=False, server_default=sa.false(),
              comment="the gate held this rate, and it was never confirmed"),
    sa.Index("ix_model_price_model_id_unit_valid_from", "model_id", "unit", "valid_from"),
    comment="What OpenRouter charged, when",
    sqlite_autoincrement=True,
)  # fmt: skip

transition = sa.Table(
    "transition",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("model_id", sa.String, nullable=False),
    sa.Column("what", sa.String, nullable=False,
              comment="added, removed, returned, repriced, limits, capabilities, expiry, alias"),
    sa.Column("field", sa.String, nullable=False, comment="is_listed, pricing.prompt …, context_length …"),
    sa.Column("before", Json, comment="what stood before it"),
    sa.Column("after", Json),
    sa.Column("happened_at", Instant, nullable=False, comment="the first capture that shows it"),
    sa.Column("ended_at", Instant, comment="the first capture that shows something else"),
    sa.Column("follows", Instant, comment="when the one began to which `before` is due"),
    sa.Column("episode", Instant, comment="part of the flap of the one that began then, so no news; NULL: no part"),
    sa.Column("is_back", sa.Boolean, nullable=False, comment="of a part: it is the way back"),
    sa.Column("in_text", sa.Boolean, nullable=False, comment="captures of the scope text show the model too"),
    sa.Index("ix_transition_model_id", "model_id"),
    sa.Index("ix_transition_happened_at", "happened_at"),
    comment="What could be news, confirmed or not; what is news is the view change",
    sqlite_autoincrement=True,
)  # fmt: skip

_CONFIRMS = """c.state IN ('applied', 'accepted') AND c.fetched_at > {0}.happened_at
       AND ({0}.ended_at IS NULL OR c.fetched_at < {0}.ended_at) AND (c.scope = 'all' OR {0}.in_text)"""
_CHANGE = """
CREATE VIEW change AS
SELECT * FROM (
  SELECT t.id, t.model_id, t.what, t.field, t.before, t.after, t.happened_at,
    (SELECT MIN(c.fetched_at) FROM capture AS c
     WHERE {told}) AS confirmed_at,
    (SELECT CASE WHEN r.is_back THEN r.happened_at END FROM transition AS r
     WHERE r.model_id = t.model_id AND r.field = t.field AND r.episode = t.happened_at
       AND EXISTS (SELECT 1 FROM capture AS c
       WHERE {part})
     ORDER BY r.happened_at DESC LIMIT 1) AS reverted_at
  FROM transition AS t WHERE t.episode IS NULL
) AS found
WHERE confirmed_at IS NOT NULL
"""
CHANGE = _CHANGE.format(told=_CONFIRMS.format("t"), part=_CONFIRMS.format("r"))

model_belief = sa.Table(
    "model_belief",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("model_id", sa.String, nullable=False),
    sa.Column("known_from", Instant, nullable=False),
    sa.Column("known_to", Instant),
    sa.Column("is_active", sa.Boolean, nullable=False),
    sa.Column("version", sa.String(32), sa.ForeignKey("version.digest"), nullable=False),
    sa.Column("run_id", Id, sa.ForeignKey("sync_run.id"), nullable=False, index=True),
    sa.Column("held", Json, comment="what the gate holds back: field → {served, since, rule}; NULL: nothing"),
    sa.Index("ix_model_belief_model_id_known_from", "model_id", "known_from"),
    sa.Index("one_open_model_belief", "model_id", unique=True, info={WHERE: "known_to IS NULL"}),
    comment="What we stood by, when; append-only",
    sqlite_autoincrement=True,
)  # fmt: skip

model_catalog = sa.Table(
    "model_catalog",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("canonical_slug", sa.String, index=True),
    sa.Column("name", sa.String),
    sa.Column("author", sa.String, nullable=False, index=True, comment="who made it"),
    sa.Column("family", sa.String, nullable=False, index=True),
    sa.Column("variant", sa.String, comment="free, batch, thinking …; NULL for the base row"),
    sa.Column("description", sa.Text),
    sa.Column("created_at", Instant, comment="when OpenRouter added it"),
    sa.Column("context_length", sa.BigInteger, comment="tokens"),
    sa.Column("max_completion_tokens", sa.BigInteger, comment="tokens, at the top provider"),
    sa.Column("input_modalities", Json, nullable=False),
    sa.Column("output_modalities", Json, nullable=False),
    sa.Column("supported_parameters", Json, nullable=False),
    sa.Column("tokenizer", sa.String),
    sa.Column("pricing_kind", sa.String, nullable=False, comment="fixed, free, dynamic, unknown"),
    sa.Column("prompt_price", Exact, comment="USD per token, exact; NULL: not a known number"),
    sa.Column("completion_price", Exact, comment="USD per token, exact; NULL: not a known number"),
    sa.Column("prompt_price_per_million", sa.Double, comment="USD per million tokens, for sorting only"),
    sa.Column("completion_price_per_million", sa.Double, comment="USD per million tokens, for sorting only"),
    sa.Column("is_scheduled", sa.Boolean, nullable=False,
              comment="prices depend on the time; the columns show those of the last run"),
    sa.Column("pricing", JsonText, nullable=False, comment="as served, decimal strings in USD per unit"),
    sa.Column("is_active", sa.Boolean, nullable=False, index=True),
    sa.Column("first_seen_at", Instant, nullable=False),
    sa.Column("last_seen_at", Instant, comment="of inactive ones; an active one was seen by the last applied run"),
    sa.Column("deactivated_at", Instant),
    sa.Column("expiration_date", sa.Date),
    sa.Column("raw", JsonText, comment="the record as served; NULL for a bootstrap's facts"),
    sa.Column("version", sa.String(32), sa.ForeignKey("version.digest"), nullable=False),
    sa.Column("flags", Json, nullable=False, comment="what of the record is not understood"),
    sa.Column("held", Json, comment="what the gate holds back: field → {served, since, rule}; NULL: nothing"),
    sa.Index("held_models", "id", info={WHERE: "held IS NOT NULL"}),
    comment="The open beliefs, one row a model",
)  # fmt: skip

snapshot = sa.Table(
    "snapshot",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("taken_at", Instant, nullable=False, comment="the instant of belief it names"),
    sa.Column("digest", sa.String(64), sa.ForeignKey("body.digest"), nullable=False, index=True,
              comment="of its content: the rows of model_catalog as JSON"),
    sa.Column("models", sa.Integer, nullable=False, comment="active ones"),
    sa.Column("catalog_version", sa.BigInteger, nullable=False),
    sa.Column("source", sa.String, comment="openrouter or bootstrap"),
    sa.Column("source_at", Instant, comment="bootstrap: when its facts were true; else NULL"),
    sa.Column("decoder", sa.Integer, comment="version of the decoder that read the records"),
    sa.Column("note", sa.Text),
    comment="A name for an instant of belief, to go back to",
)  # fmt: skip

alert = sa.Table(
    "alert",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("event_id", sa.String(36), nullable=False, unique=True, comment="the same however often it is told"),
    sa.Column("run_id", Id, sa.ForeignKey("sync_run.id"), nullable=False, index=True,
              comment="the run whose message tells it; while unconfirmed, the run that found it"),
    sa.Column("kind", sa.String, nullable=False, comment="new, removed, repriced, expiring, run_failed, run_held"),
    sa.Column("model_id", sa.String, comment="NULL: the run as a whole"),
    sa.Column("facts", Json, nullable=False, comment="what a receiver is told"),
    sa.Column("state", sa.String, nullable=False, comment="unconfirmed: waits for a second sync; ready; withdrawn"),
    sa.Column("created_at", Instant, nullable=False),
    sa.Index("unconfirmed_alerts", "id", info={WHERE: "state = 'unconfirmed'"}),
    comment="The outbox: what people want to be told, written in the transaction that made it so",
    sqlite_autoincrement=True,
)  # fmt: skip

delivery = sa.Table(
    "delivery",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("message_id", sa.String(36), nullable=False, comment="the same at each attempt"),
    sa.Column("run_id", Id, sa.ForeignKey("sync_run.id"), nullable=False,
              comment="its ready alerts are the message"),
    sa.Column("channel", sa.String(16), nullable=False, comment="digest of the channel's URL, which is secret"),
    sa.Column("label", sa.String, nullable=False, comment="what a person calls the channel: its kind and host"),
    sa.Column("state", sa.String, nullable=False, comment="pending, delivered, given up"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("due_at", Instant, nullable=False, comment="when to try next"),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("delivered_at", Instant),
    sa.Column("error", sa.Text, comment="why the last attempt failed"),
    sa.Index("ix_delivery_run_id_channel", "run_id", "channel", unique=True),
    sa.Index("pending_deliveries", "due_at", info={WHERE: "state = 'pending'"}),
    comment="One run's message to one channel; delivered at least once",
    sqlite_autoincrement=True,
)  # fmt: skip

lease = sa.Table(
    "lease",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("owner", sa.String, nullable=False, comment="the process that has it, as host:pid"),
    sa.Column("until", Instant, nullable=False, comment="by the database's clock on PostgreSQL"),
    comment="Work that one replica at a time does: deliver alerts",
)

used_token = sa.Table(
    "used_token",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True, comment="SHA-256 of what was signed"),
    sa.Column("expires_at", Instant, nullable=False, index=True),
    comment="OIDC tokens that were accepted, so that none is accepted twice; no token can be had from it",
)


def holds_at(begin: Any, end: Any, at: datetime) -> sa.ColumnElement[bool]:
    """Whether an instant lies in a half-open interval whose end may be open."""
    return sa.and_(begin <= at, sa.or_(end.is_(None), end > at))


def database_clock(dialect: str, now: datetime) -> Any:
    """The present for heartbeats: the server's clock on PostgreSQL, which all replicas share; ours on SQLite."""
    return sa.func.clock_timestamp() if dialect == "postgresql" else sa.literal(now, Instant)


def insert_new(dialect: str, table: sa.Table) -> sa.Insert:
    """An insert that leaves alone what is there already."""
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]
    return insert(table).on_conflict_do_nothing()
