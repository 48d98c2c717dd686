"""The first tables: both ledgers, runs, bodies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from llmhive.store import tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    op.create_table(
        "body",
        sa.Column("id", tables.Id, nullable=False, comment="in the order in which they were stored"),
        sa.Column("digest", sa.String(length=64), nullable=False, comment="SHA-256 of the raw bytes"),
        sa.Column("size", sa.Integer(), nullable=False, comment="of the raw bytes"),
        sa.Column(
            "base",
            sa.String(length=64),
            nullable=True,
            comment="digest of the body it is a patch of; NULL: it stands alone",
        ),
        sa.Column("depth", sa.Integer(), nullable=False, comment="how many patches to apply"),
        sa.Column("data", sa.LargeBinary(), nullable=False, comment="one Zstandard frame"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_body")),
        sa.UniqueConstraint("digest", name=op.f("uq_body_digest")),
        comment="Raw upstream bodies, each kept once",
        sqlite_autoincrement=True,
    )
    op.create_table(
        "catalog_state",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False, comment="always 1"),
        sa.Column(
            "catalog_version",
            sa.BigInteger(),
            nullable=False,
            comment="raised by every run that changes what readers see",
        ),
        sa.Column("source", sa.String(), nullable=True, comment="openrouter, bootstrap, or NULL while empty"),
        sa.Column(
            "source_at", tables.Instant(), nullable=True, comment="bootstrap: when its facts were true; else NULL"
        ),
        sa.Column("decoder", sa.Integer(), nullable=True, comment="version of the decoder that read the records"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalog_state")),
        comment="One row: the catalog as a whole",
    )
    op.create_table(
        "model_price",
        sa.Column("id", tables.Id, nullable=False),
        sa.Column("model_id", sa.String(), nullable=False),
        sa.Column("unit", sa.String(), nullable=False, comment="prompt, completion, input_cache_read …"),
        sa.Column(
            "rate",
            tables.Exact(),
            nullable=True,
            comment="USD per unit, exact; NULL: not a known number",
        ),
        sa.Column("position", sa.Integer(), nullable=False, comment="0 is the base, then the order of overrides"),
        sa.Column("condition", tables.Json(), nullable=True, comment="when the override applies; NULL for the base"),
        sa.Column("valid_from", tables.Instant(), nullable=False),
        sa.Column("valid_to", tables.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_price")),
        comment="What OpenRouter charged, when",
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_model_price_model_id_unit_valid_from", "model_price", ["model_id", "unit", "valid_from"], unique=False
    )
    op.create_table(
        "sync_run",
        sa.Column("id", tables.Id, nullable=False),
        sa.Column("kind", sa.String(), nullable=False, comment="regular, research, bootstrap, backfill, rollback"),
        sa.Column("trigger", sa.String(), nullable=False, comment="who asked: cli, scheduler, http"),
        sa.Column(
            "status", sa.String(), nullable=False, comment="running, completed, unchanged, held, failed, interrupted"
        ),
        sa.Column("owner", sa.String(), nullable=False, comment="the process that runs it, as host:pid"),
        sa.Column("scope", sa.String(), nullable=True, comment="all or text"),
        sa.Column("started_at", tables.Instant(), nullable=False),
        sa.Column("heartbeat_at", tables.Instant(), nullable=False, comment="by the database's clock on PostgreSQL"),
        sa.Column("finished_at", tables.Instant(), nullable=True),
        sa.Column("models_seen", sa.Integer(), server_default="0", nullable=False),
        sa.Column("added", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "changed", sa.Integer(), server_default="0", nullable=False, comment="models with another field changed"
        ),
        sa.Column("repriced", sa.Integer(), server_default="0", nullable=False, comment="models with a changed price"),
        sa.Column("deactivated", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reactivated", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unchanged", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unreadable", sa.Integer(), server_default="0", nullable=False, comment="records in quarantine"),
        sa.Column("held", sa.Integer(), server_default="0", nullable=False, comment="findings of the gate that hold"),
        sa.Column("error", sa.Text(), nullable=True, comment="why it failed or was held, in one line"),
        sa.Column("notes", tables.Json(), nullable=True, comment="what a person should know of it: a list of lines"),
        sa.Column("plan", tables.Json(), nullable=True, comment="a list of {id, what, field, before, after}"),
        sa.Column("catalog_version", sa.BigInteger(), nullable=True, comment="the catalog's version when it ended"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_run")),
        comment="Every run; the one that is running is the lock",
        sqlite_autoincrement=True,
    )
    op.create_index("ix_sync_run_kind_status_started_at", "sync_run", ["kind", "status", "started_at"], unique=False)
    op.create_index(
        "one_running",
        "sync_run",
        ["status"],
        unique=True,
        sqlite_where=sa.text("status = 'running'"),
        postgresql_where=sa.text("status = 'running'"),
    )
    op.create_table(
        "version",
        sa.Column("digest", sa.String(length=32), nullable=False, comment="SHA-256 of the document, shortened"),
        sa.Column("document", tables.JsonText(), nullable=False, comment="a model in its normal form"),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_version")),
        comment="Each content a model ever had, kept once",
    )
    op.create_table(
        "capture",
        sa.Column("id", tables.Id, nullable=False),
        sa.Column("fetched_at", tables.Instant(), nullable=False),
        sa.Column("source", sa.String(), nullable=False, comment="where from: a base URL, or a file"),
        sa.Column("scope", sa.String(), nullable=False, comment="all or text"),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("run_id", tables.Id, nullable=False),
        sa.Column("etag", sa.String(), nullable=True),
        sa.Column("last_modified", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False, comment="applied, held, accepted, superseded"),
        sa.ForeignKeyConstraint(["digest"], ["body.digest"], name=op.f("fk_capture_digest")),
        sa.ForeignKeyConstraint(["run_id"], ["sync_run.id"], name=op.f("fk_capture_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_capture")),
        comment="Each answer of OpenRouter; one without news repeats the digest",
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_capture_digest"), "capture", ["digest"], unique=False)
    op.create_index(op.f("ix_capture_run_id"), "capture", ["run_id"], unique=False)
    op.create_index("ix_capture_scope_fetched_at", "capture", ["scope", "fetched_at"], unique=False)
    op.create_table(
        "model_belief",
        sa.Column("id", tables.Id, nullable=False),
        sa.Column("model_id", sa.String(), nullable=False),
        sa.Column("known_from", tables.Instant(), nullable=False),
        sa.Column("known_to", tables.Instant(), nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("run_id", tables.Id, nullable=False),
        sa.Column("held", tables.Json(), nullable=True, comment="what the gate holds back: field → what is served"),
        sa.ForeignKeyConstraint(["run_id"], ["sync_run.id"], name=op.f("fk_model_belief_run_id")),
        sa.ForeignKeyConstraint(["version"], ["version.digest"], name=op.f("fk_model_belief_version")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_belief")),
        comment="What we stood by, when; append-only",
        sqlite_autoincrement=True,
    )
    op.create_index("ix_model_belief_model_id_known_from", "model_belief", ["model_id", "known_from"], unique=False)
    op.create_index(op.f("ix_model_belief_run_id"), "model_belief", ["run_id"], unique=False)
    op.create_index(
        "one_open_model_belief",
        "model_belief",
        ["model_id"],
        unique=True,
        sqlite_where=sa.text("known_to IS NULL"),
        postgresql_where=sa.text("known_to IS NULL"),
    )
    op.create_table(
        "model_catalog",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("canonical_slug", sa.String(), nullable=True),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("author", sa.String(), nullable=False, comment="who made it"),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("variant", sa.String(), nullable=True, comment="free, batch, thinking …; NULL for the base row"),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("created_at", tables.Instant(), nullable=True, comment="when OpenRouter added it"),
        sa.Column("context_length", sa.BigInteger(), nullable=True, comment="tokens"),
        sa.Column("max_completion_tokens", sa.BigInteger(), nullable=True, comment="tokens, at the top provider"),
        sa.Column("input_modalities", tables.Json(), nullable=False),
        sa.Column("output_modalities", tables.Json(), nullable=False),
        sa.Column("supported_parameters", tables.Json(), nullable=False),
        sa.Column("tokenizer", sa.String(), nullable=True),
        sa.Column("pricing_kind", sa.String(), nullable=False, comment="fixed, free, dynamic, unknown"),
        sa.Column(
            "prompt_price", tables.Exact(), nullable=True, comment="USD per token, exact; NULL: not a known number"
        ),
        sa.Column(
            "completion_price", tables.Exact(), nullable=True, comment="USD per token, exact; NULL: not a known number"
        ),
        sa.Column(
            "prompt_price_per_million", sa.Double(), nullable=True, comment="USD per million tokens, for sorting only"
        ),
        sa.Column(
            "completion_price_per_million",
            sa.Double(),
            nullable=True,
            comment="USD per million tokens, for sorting only",
        ),
        sa.Column(
            "is_scheduled",
            sa.Boolean(),
            nullable=False,
            comment="prices depend on the time; the columns show those of the last run",
        ),
        sa.Column("pricing", tables.JsonText(), nullable=False, comment="as served, decimal strings in USD per unit"),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("first_seen_at", tables.Instant(), nullable=False),
        sa.Column(
            "last_seen_at",
            tables.Instant(),
            nullable=True,
            comment="of inactive ones; an active one was seen by the last applied run",
        ),
        sa.Column("deactivated_at", tables.Instant(), nullable=True),
        sa.Column("expiration_date", sa.Date(), nullable=True),
        sa.Column(
            "raw", tables.JsonText(), nullable=True, comment="the record as served; NULL for a bootstrap's facts"
        ),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("flags", tables.Json(), nullable=False, comment="what of the record is not understood"),
        sa.ForeignKeyConstraint(["version"], ["version.digest"], name=op.f("fk_model_catalog_version")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_catalog")),
        comment="The open beliefs, one row a model",
    )
    op.create_index(op.f("ix_model_catalog_author"), "model_catalog", ["author"], unique=False)
    op.create_index(op.f("ix_model_catalog_canonical_slug"), "model_catalog", ["canonical_slug"], unique=False)
    op.create_index(op.f("ix_model_catalog_family"), "model_catalog", ["family"], unique=False)
    op.create_index(op.f("ix_model_catalog_is_active"), "model_catalog", ["is_active"], unique=False)
    op.create_table(
        "served_version",
        sa.Column("id", tables.Id, nullable=False),
        sa.Column("model_id", sa.String(), nullable=False),
        sa.Column("valid_from", tables.Instant(), nullable=False),
        sa.Column("valid_to", tables.Instant(), nullable=True),
        sa.Column("is_listed", sa.Boolean(), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False, comment="what was listed, or was last"),
        sa.ForeignKeyConstraint(["version"], ["version.digest"], name=op.f("fk_served_version_version")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_served_version")),
        comment="What OpenRouter served, when; with its documents it is the view model_version",
        sqlite_autoincrement=True,
    )
    op.create_index("ix_served_version_model_id_valid_from", "served_version", ["model_id", "valid_from"], unique=True)
    op.create_index(
        "one_open_served_version",
        "served_version",
        ["model_id"],
        unique=True,
        sqlite_where=sa.text("valid_to IS NULL"),
        postgresql_where=sa.text("valid_to IS NULL"),
    )
    op.create_table(
        "verdict",
        sa.Column("id", tables.Id, nullable=False),
        sa.Column("run_id", tables.Id, nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False, comment="held or released"),
        sa.Column("model_id", sa.String(), nullable=True, comment="NULL: the run as a whole"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence", tables.Json(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["sync_run.id"], name=op.f("fk_verdict_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdict")),
        comment="What the gate found, with its evidence",
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_verdict_run_id"), "verdict", ["run_id"], unique=False)
    op.execute(
        """
        CREATE VIEW model_version AS
        SELECT s.model_id, s.valid_from, s.valid_to, s.is_listed, s.version, v.document
        FROM served_version AS s JOIN version AS v ON v.digest = s.version
        """
    )
