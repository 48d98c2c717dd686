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

provider = sa.Table(
    "provider",
    metadata,
    sa.Column("slug", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False, comment="as endpoints name it"),
    sa.Column("headquarters", sa.String, comment="country, ISO 3166 alpha-2; NULL: unknown"),
    sa.Column("datacenters", Json, comment="countries, likewise; NULL: unknown"),
    sa.Column("privacy_policy_url", sa.Text),
    sa.Column("terms_of_service_url", sa.Text),
    sa.Column("status_page_url", sa.Text),
    sa.Column("is_active", sa.Boolean, nullable=False, comment="whether OpenRouter listed it last time"),
    sa.Column("first_seen_at", Instant, nullable=False),
    sa.Column("last_seen_at", Instant, nullable=False),
    comment="Who serves models",
)

endpoint = sa.Table(
    "endpoint",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("model_id", sa.String, nullable=False),
    sa.Column("key", sa.String, nullable=False, comment="its tag; where a model repeats one, tag#2, tag#3 …"),
    sa.Column("tag", sa.String, nullable=False, comment="what to write into provider.order and provider.only"),
    sa.Column("provider_name", sa.String, nullable=False),
    sa.Column("is_active", sa.Boolean, nullable=False, comment="whether its model listed it last time"),
    sa.Column("since", Instant, nullable=False, comment="when what stands here (but for its health) was first seen"),
    sa.Column("first_seen_at", Instant, nullable=False),
    sa.Column("last_seen_at", Instant, nullable=False),
    sa.Column("context_length", sa.BigInteger, comment="tokens"),
    sa.Column("max_completion_tokens", sa.BigInteger, comment="tokens; NULL: no cap known"),
    sa.Column("quantization", sa.String, comment="NULL: unknown"),
    sa.Column("prompt_price", Exact, comment="USD per token, net of the discount; NULL: not a known number"),
    sa.Column("completion_price", Exact, comment="likewise"),
    sa.Column("discount", Exact, comment="fraction that is already taken off the prices; NULL: not told"),
    sa.Column("is_zdr", sa.Boolean, comment="keeps no data (zero data retention); NULL: unknown"),
    sa.Column("document", JsonText, nullable=False, comment="all of it but its health, in normal form"),
    sa.Column("status", sa.Integer, comment="0: operates; below: degraded or disabled; NULL: not told"),
    sa.Column("uptime_last_5m", sa.Double, comment="percent; NULL: too few requests"),
    sa.Column("uptime_last_30m", sa.Double, comment="percent; NULL: too few requests"),
    sa.Column("uptime_last_1d", sa.Double, comment="percent; NULL: too few requests"),
    sa.Column("latency_p50", sa.Double, comment="milliseconds to the first token, last 30 minutes; NULL: not told"),
    sa.Column("latency_p90", sa.Double, comment="likewise"),
    sa.Column("throughput_p50", sa.Double, comment="tokens a second, last 30 minutes; NULL: not told"),
    sa.Column("throughput_p90", sa.Double, comment="likewise"),
    sa.Column("health_at", Instant, nullable=False, comment="when its health was like this"),
    sa.Index("ix_endpoint_model_id_key", "model_id", "key", unique=True),
    comment="Each offer of a model by a provider, as it was last seen",
    sqlite_autoincrement=True,
)

endpoint_version = sa.Table(
    "endpoint_version",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("endpoint_id", Id, sa.ForeignKey("endpoint.id"), nullable=False),
    sa.Column("valid_from", Instant, nullable=False),
    sa.Column("valid_to", Instant),
    sa.Column("is_listed", sa.Boolean, nullable=False),
    sa.Column("is_zdr", sa.Boolean, comment="NULL: unknown"),
    sa.Column("document", JsonText, nullable=False, comment="what was offered, or was last"),
    sa.Column("run_id", Id, sa.ForeignKey("sync_run.id"), nullable=False, index=True),
    sa.Index("ix_endpoint_version_endpoint_id_valid_from", "endpoint_id", "valid_from", unique=True),
    sa.Index("one_open_endpoint_version", "endpoint_id", unique=True, info={WHERE: "valid_to IS NULL"}),
    comment="What an endpoint offered, when: price, context, quantization, parameters",
    sqlite_autoincrement=True,
)

endpoint_health = sa.Table(
    "endpoint_health",
    metadata,
    sa.Column("endpoint_id", Id, sa.ForeignKey("endpoint.id"), primary_key=True),
    sa.Column("span", sa.String(6), primary_key=True, comment="sample, day or week: how long it sums up"),
    sa.Column("at", Instant, primary_key=True, comment="of a sample when it was taken, else when the span begins"),
    sa.Column("samples", sa.Integer, nullable=False, comment="how many it sums up"),
    sa.Column("status", sa.Integer, comment="the worst (lowest); NULL: never told"),
    sa.Column("uptime", sa.Double, comment="percent over the 30 minutes before, the mean; NULL: never known"),
    sa.Column("uptime_low", sa.Double, comment="the lowest"),
    sa.Column("latency_p50", sa.Double, comment="milliseconds, the mean of the medians; NULL: never told"),
    sa.Column("throughput_p50", sa.Double, comment="tokens a second, likewise"),
    comment="The health of endpoints over time; what is old is summed up by day, then by week",
)

endpoint_check = sa.Table(
    "endpoint_check",
    metadata,
    sa.Column("model_id", sa.String, primary_key=True),
    sa.Column("checked_at", Instant, nullable=False, comment="the last try"),
    sa.Column("run_id", Id, sa.ForeignKey("sync_run.id"), nullable=False, index=True),
    sa.Column("succeeded_at", Instant, comment="the last that was answered"),
    sa.Column("failures", sa.Integer, nullable=False, comment="tries in a row that were not answered"),
    sa.Column("error", sa.Text, comment="why the last try was not"),
    comment="When the endpoints of each model were last asked for",
)

token_count = sa.Table(
    "token_count",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("dataset", sa.String, nullable=False, comment="overall, category:programming …, modality:image …"),
    sa.Column("period", sa.String(5), nullable=False, comment="day or week"),
    sa.Column("begins", sa.Date, nullable=False, comment="the period's first day, UTC"),
    sa.Column("slug", sa.String, nullable=False, comment="permaslug with its variant; other: all below the top 50"),
    sa.Column("tokens", sa.BigInteger, nullable=False),
    sa.Column("known_from", Instant, nullable=False),
    sa.Column("known_to", Instant, comment="when it was restated; NULL: it stands"),
    sa.Index("one_open_token_count", "dataset", "period", "begins", "slug", unique=True,
             info={WHERE: "known_to IS NULL"}),
    comment="Tokens by model and period, as OpenRouter publishes them; absent is unknown, not zero",
    sqlite_autoincrement=True,
)  # fmt: skip

token_period = sa.Table(
    "token_period",
    metadata,
    sa.Column("dataset", sa.String, primary_key=True),
    sa.Column("period", sa.String(5), primary_key=True),
    sa.Column("begins", sa.Date, primary_key=True),
    sa.Column("fetched_at", Instant, nullable=False, comment="when it was asked for last"),
    sa.Column("as_of", sa.String, comment="as OpenRouter dates its figures"),
    comment="Which periods were asked for, so that only those not yet final are asked for again",
)

ranking_set = sa.Table(
    "ranking_set",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("dimension", sa.String, nullable=False, comment="leaderboard, market_share, category, fastest …"),
    sa.Column("category", sa.String, comment="programming, code:debugging …; NULL: of all"),
    sa.Column("state", sa.String, nullable=False, comment="published: served; superseded; failed: never served"),
    sa.Column("source", sa.String, nullable=False,
              comment="data-api, models-order (without a key), or derived: computed here"),
    sa.Column("as_of", sa.String, comment="as OpenRouter dates its figures; of derived ones when the catalog was true"),
    sa.Column("window_from", sa.Date, comment="first day that counts; NULL: no window"),
    sa.Column("window_to", sa.Date, comment="last day that counts"),
    sa.Column("made_at", Instant, nullable=False),
    sa.Column("run_id", Id, sa.ForeignKey("sync_run.id"), nullable=False, index=True),
    sa.Column("citation", sa.Text, comment="what OpenRouter asks to write beside its figures"),
    sa.Column("facts", Json, nullable=False, comment="total_tokens, is_estimate, notes …"),
    sa.Column("digest", sa.String(32), nullable=False, comment="of its rows: the same is not stored twice"),
    sa.Column("error", sa.Text, comment="failed: what is wrong with it"),
    sa.Index("ix_ranking_set_dimension_category", "dimension", "category"),
    sa.Index("published_ranking_sets", "dimension", "category", info={WHERE: "state = 'published'"}),
    comment="Each ranking as it was published",
    sqlite_autoincrement=True,
)  # fmt: skip

ranking = sa.Table(
    "ranking",
    metadata,
    sa.Column("set_id", Id, sa.ForeignKey("ranking_set.id"), primary_key=True),
    sa.Column("rank", sa.Integer, primary_key=True, autoincrement=False, comment="from 1, without gaps"),
    sa.Column("slug", sa.String, nullable=False, comment="as its source names it: a permaslug, an id, an author"),
    sa.Column("model_id", sa.String, index=True,
              comment="the model of the catalog it is; NULL: not known, or an author"),
    sa.Column("tokens", sa.BigInteger, comment="NULL: not told"),
    sa.Column("share", Exact, comment="of all tokens of the window, 0 to 1"),
    sa.Column("score", Exact, comment="of a derived one: what it is ordered by, in the unit of its dimension"),
    sa.Column("previous_rank", sa.Integer, comment="a week before; NULL: not among the ranked then, or not known"),
    sa.Column("growth", Exact, comment="tokens against the week before, 0.1: ten percent more; NULL: not known"),
    sa.Column("trend", Json, comment="tokens of the last four weeks, the oldest first; null: not ranked then"),
    comment="The ranks of a ranking",
)  # fmt: skip

benchmark = sa.Table(
    "benchmark",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column(
        "source",
        sa.String,
        nullable=False,
        comment="artificial-analysis, design-arena, openrouter; with models: before it, as the model list tells it",
    ),
    sa.Column("slug", sa.String, nullable=False, comment="permaslug as its source names it"),
    sa.Column("metric", sa.String, nullable=False, comment="intelligence_index, elo:models:website, gpqa_diamond …"),
    sa.Column("value", Exact, nullable=False),
    sa.Column("facts", Json, nullable=False, comment="what else is told: rank, win rate, tasks, deviation …"),
    sa.Column("as_of", sa.String, comment="as the source dates it"),
    sa.Column("known_from", Instant, nullable=False),
    sa.Column("known_to", Instant, comment="when it said otherwise; NULL: it stands"),
    sa.Index("ix_benchmark_slug", "slug"),
    sa.Index("one_open_benchmark", "source", "slug", "metric", unique=True, info={WHERE: "known_to IS NULL"}),
    comment="What others measured of models, over time",
    sqlite_autoincrement=True,
)

family = sa.Table(
    "family",
    metadata,
    sa.Column("model_id", sa.String, primary_key=True),
    sa.Column("family", sa.String, nullable=False, index=True, comment="author/line: anthropic/claude"),
    sa.Column("author", sa.String, nullable=False, comment="who made it"),
    sa.Column("generation", sa.String, comment="4.5, 3 …; NULL: its id tells none"),
    sa.Column("size", sa.String, comment="mini, sonnet, 70b, 235b-a22b …; NULL: its id tells none"),
    sa.Column("edition", sa.String, comment="instruct, thinking, preview …; NULL: its id tells none"),
    sa.Column("release", sa.String, comment="a date in its id: 2025-08-07, 2411, 0528 …; NULL: none"),
    sa.Column("variant", sa.String, comment="free, batch …; NULL for the base row"),
    sa.Column("is_fallback", sa.Boolean, nullable=False, comment="no rule knows its line: its words stand for it"),
    comment="What the ids of models say: who belongs together",
)

capability = sa.Table(
    "capability",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("model_id", sa.String, nullable=False),
    sa.Column("capability", sa.String, nullable=False),
    sa.Column("state", sa.String(7), nullable=False, comment="yes, no or unknown"),
    sa.Column("provenance", sa.String, nullable=False, comment="what says so: supported_parameters: tools …"),
    sa.Column("known_from", Instant, nullable=False),
    sa.Column("known_to", Instant, comment="when it became otherwise; NULL: it stands"),
    sa.Column("run_id", Id, sa.ForeignKey("sync_run.id"), nullable=False),
    sa.Index("one_open_capability", "model_id", "capability", unique=True, info={WHERE: "known_to IS NULL"}),
    sa.Index("past_capabilities", "model_id", "capability", "known_to", info={WHERE: "known_to IS NOT NULL"}),
    comment="The capability matrix, cell by cell, over time",
    sqlite_autoincrement=True,
)

research_step = sa.Table(
    "research_step",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("run_id", Id, sa.ForeignKey("sync_run.id"), nullable=False, index=True),
    sa.Column("step", sa.String, nullable=False, comment="providers, endpoints, rankings …"),
    sa.Column(
        "status",
        sa.String,
        nullable=False,
        comment="completed, skipped, failed, or reused: an earlier run of the day did it",
    ),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("finished_at", Instant, nullable=False),
    sa.Column("facts", Json, nullable=False, comment="what it did: counts, and what a person wants to know"),
    sa.Column("error", sa.Text, comment="why it failed or was skipped"),
    sa.Index("ix_research_step_step_finished_at", "step", "finished_at"),
    comment="The steps of runs beyond the model list, each committed with what it wrote",
    sqlite_autoincrement=True,
)

data_request = sa.Table(
    "data_request",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("asked_at", Instant, nullable=False, index=True, comment="before it was sent"),
    sa.Column("done_at", Instant, comment="when it was answered; NULL: not yet, or its process died"),
    sa.Column("path", sa.String, nullable=False),
    comment="Requests to the Data API of the last days: the budget that all replicas share",
    sqlite_autoincrement=True,
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
