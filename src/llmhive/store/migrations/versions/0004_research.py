"""What the research sync keeps: endpoints and their health, rankings, benchmarks, families, capabilities, its steps.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from llmhive.store import tables

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TABLES = (
    "benchmark",
    "capability",
    "data_request",
    "endpoint",
    "endpoint_check",
    "endpoint_health",
    "endpoint_version",
    "family",
    "provider",
    "ranking",
    "ranking_set",
    "research_step",
    "token_count",
    "token_period",
)


def upgrade() -> None:
    """Bring the tables up to this version."""
    op.create_table(
        "benchmark",
        sa.Column("id", tables.Id, nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("slug", sa.String(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("value", tables.Exact(), nullable=False),
        sa.Column("facts", tables.Json(), nullable=False),
        sa.Column("as_of", sa.String(), nullable=True),
        sa.Column("known_from", tables.Instant(), nullable=False),
        sa.Column("known_to", tables.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_benchmark")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_benchmark_slug", "benchmark", ["slug"], unique=False)
    op.create_index(
        "one_open_benchmark",
        "benchmark",
        ["source", "slug", "metric"],
        unique=True,
        sqlite_where=sa.text("known_to IS NULL"),
        postgresql_where=sa.text("known_to IS NULL"),
    )
    op.create_table(
        "data_request",
        sa.Column("id", tables.Id, nullable=False),
        sa.Column("asked_at", tables.Instant(), nullable=False),
        sa.Column("done_at", tables.Instant(), nullable=True),
        sa.Column("path", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_request")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_data_request_asked_at"), "data_request", ["asked_at"], unique=False)
    op.create_table(
        "endpoint",
        sa.Column("id", tables.Id, nullable=False),
        sa.Column("model_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("tag", sa.String(), nullable=False),
        sa.Column("provider_name", sa.String(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("since", tables.Instant(), nullable=False),
        sa.Column("first_seen_at", tables.Instant(), nullable=False),
        sa.Column("last_seen_at", tables.Instant(), nullable=False),
        sa.Column("context_length", sa.BigInteger(), nullable=True),
        sa.Column("max_completion_tokens", sa.BigInteger(), nullable=True),
        sa.Column("quantization", sa.String(), nullable=True),
        sa.Column("prompt_price", tables.Exact(), nullable=True),
        sa.Column("completion_price", tables.Exact(), nullable=True),
        sa.Column("discount", tables.Exact(), nullable=True),
        sa.Column("is_zdr", sa.Boolean(), nullable=True),
        sa.Column("document", tables.JsonText(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("uptime_last_5m", sa.Double(), nullable=True),
        sa.Column("uptime_last_30m", sa.Double(), nullable=True),
        sa.Column("uptime_last_1d", sa.Double(), nullable=True),
        sa.Column("latency_p50", sa.Double(), nullable=True),
        sa.Column("latency_p90", sa.Double(), nullable=True),
        sa.Column("throughput_p50", sa.Double(), nullable=True),
        sa.Column("throughput_p90", sa.Double(), nullable=True),
        sa.Column("health_at", tables.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endpoint")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_endpoint_model_id_key", "endpoint", ["model_id", "key"], unique=True)
    op.create_table(
        "family",
        sa.Column("model_id", sa.String(), nullable=False),
        sa.Column("family", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("generation", sa.String(), nullable=True),
        sa.Column("size", sa.String(), nullable=True),
        sa.Column("edition", sa.String(), nullable=True),
        sa.Column("release", sa.String(), nullable=True),
        sa.Column("variant", sa.String(), nullable=True),
        sa.Column("is_fallback", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("model_id", name=op.f("pk_family")),
    )
    op.create_index(op.f("ix_family_family"), "family", ["family"], unique=False)
    op.create_table(
        "provider",
        sa.Column("slug", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("headquarters", sa.String(), nullable=True),
        sa.Column("datacenters", tables.Json(), nullable=True),
        sa.Column("privacy_policy_url", sa.Text(), nullable=True),
        sa.Column("terms_of_service_url", sa.Text(), nullable=True),
        sa.Column("status_page_url", sa.Text(), nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("first_seen_at", tables.Instant(), nullable=False),
        sa.Column("last_seen_at", tables.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("slug", name=op.f("pk_provider")),
    )
    op.create_table(
        "token_count",
        sa.Column("id", tables.Id, nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("period", sa.String(length=5), nullable=False),
        sa.Column("begins", sa.Date(), nullable=False),
        sa.Column("slug", sa.String(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("known_from", tables.Instant(), nullable=False),
        sa.Column("known_to", tables.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token_count")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "one_open_token_count",
        "token_count",
        ["dataset", "period", "begins", "slug"],
        unique=True,
        sqlite_where=sa.text("known_to IS NULL"),
        postgresql_where=sa.text("known_to IS NULL"),
    )
    op.create_table(
        "token_period",
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("period", sa.String(length=5), nullable=False),
        sa.Column("begins", sa.Date(), nullable=False),
        sa.Column("fetched_at", tables.Instant(), nullable=False),
        sa.Column("as_of", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("dataset", "period", "begins", name=op.f("pk_token_period")),
    )
    op.create_table(
        "capability",
        sa.Column("id", tables.Id, nullable=False),
        sa.Column("model_id", sa.String(), nullable=False),
        sa.Column("capability", sa.String(), nullable=False),
        sa.Column("state", sa.String(length=7), nullable=False),
        sa.Column("provenance", sa.String(), nullable=False),
        sa.Column("known_from", tables.Instant(), nullable=False),
        sa.Column("known_to", tables.Instant(), nullable=True),
        sa.Column("run_id", tables.Id, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["sync_run.id"], name=op.f("fk_capability_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_capability")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "one_open_capability",
        "capability",
        ["model_id", "capability"],
        unique=True,
        sqlite_where=sa.text("known_to IS NULL"),
        postgresql_where=sa.text("known_to IS NULL"),
    )
    op.create_index(
        "past_capabilities",
        "capability",
        ["model_id", "capability", "known_to"],
        unique=False,
        sqlite_where=sa.text("known_to IS NOT NULL"),
        postgresql_where=sa.text("known_to IS NOT NULL"),
    )
    op.create_table(
        "endpoint_check",
        sa.Column("model_id", sa.String(), nullable=False),
        sa.Column("checked_at", tables.Instant(), nullable=False),
        sa.Column("run_id", tables.Id, nullable=False),
        sa.Column("succeeded_at", tables.Instant(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["sync_run.id"], name=op.f("fk_endpoint_check_run_id")),
        sa.PrimaryKeyConstraint("model_id", name=op.f("pk_endpoint_check")),
    )
    op.create_index(op.f("ix_endpoint_check_run_id"), "endpoint_check", ["run_id"], unique=False)
    op.create_table(
        "endpoint_health",
        sa.Column("endpoint_id", tables.Id, nullable=False),
        sa.Column("span", sa.String(length=6), nullable=False),
        sa.Column("at", tables.Instant(), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("uptime", sa.Double(), nullable=True),
        sa.Column("uptime_low", sa.Double(), nullable=True),
        sa.Column("latency_p50", sa.Double(), nullable=True),
        sa.Column("throughput_p50", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoint.id"], name=op.f("fk_endpoint_health_endpoint_id")),
        sa.PrimaryKeyConstraint("endpoint_id", "span", "at", name=op.f("pk_endpoint_health")),
    )
    op.create_table(
        "endpoint_version",
        sa.Column("id", tables.Id, nullable=False),
        sa.Column("endpoint_id", tables.Id, nullable=False),
        sa.Column("valid_from", tables.Instant(), nullable=False),
        sa.Column("valid_to", tables.Instant(), nullable=True),
        sa.Column("is_listed", sa.Boolean(), nullable=False),
        sa.Column("is_zdr", sa.Boolean(), nullable=True),
        sa.Column("document", tables.JsonText(), nullable=False),
        sa.Column("run_id", tables.Id, nullable=False),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoint.id"], name=op.f("fk_endpoint_version_endpoint_id")),
        sa.ForeignKeyConstraint(["run_id"], ["sync_run.id"], name=op.f("fk_endpoint_version_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endpoint_version")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_endpoint_version_endpoint_id_valid_from", "endpoint_version", ["endpoint_id", "valid_from"], unique=True
    )
    op.create_index(op.f("ix_endpoint_version_run_id"), "endpoint_version", ["run_id"], unique=False)
    op.create_index(
        "one_open_endpoint_version",
        "endpoint_version",
        ["endpoint_id"],
        unique=True,
        sqlite_where=sa.text("valid_to IS NULL"),
        postgresql_where=sa.text("valid_to IS NULL"),
    )
    op.create_table(
        "ranking_set",
        sa.Column("id", tables.Id, nullable=False),
        sa.Column("dimension", sa.String(), nullable=False),
        sa.Column("category", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("as_of", sa.String(), nullable=True),
        sa.Column("window_from", sa.Date(), nullable=True),
        sa.Column("window_to", sa.Date(), nullable=True),
        sa.Column("made_at", tables.Instant(), nullable=False),
        sa.Column("run_id", tables.Id, nullable=False),
        sa.Column("citation", sa.Text(), nullable=True),
        sa.Column("facts", tables.Json(), nullable=False),
        sa.Column("digest", sa.String(length=32), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["sync_run.id"], name=op.f("fk_ranking_set_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ranking_set")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_ranking_set_dimension_category", "ranking_set", ["dimension", "category"], unique=False)
    op.create_index(op.f("ix_ranking_set_run_id"), "ranking_set", ["run_id"], unique=False)
    op.create_index(
        "published_ranking_sets",
        "ranking_set",
        ["dimension", "category"],
        unique=False,
        sqlite_where=sa.text("state = 'published'"),
        postgresql_where=sa.text("state = 'published'"),
    )
    op.create_table(
        "research_step",
        sa.Column("id", tables.Id, nullable=False),
        sa.Column("run_id", tables.Id, nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("started_at", tables.Instant(), nullable=False),
        sa.Column("finished_at", tables.Instant(), nullable=False),
        sa.Column("facts", tables.Json(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["sync_run.id"], name=op.f("fk_research_step_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_research_step")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_research_step_run_id"), "research_step", ["run_id"], unique=False)
    op.create_index("ix_research_step_step_finished_at", "research_step", ["step", "finished_at"], unique=False)
    op.create_table(
        "ranking",
        sa.Column("set_id", tables.Id, nullable=False),
        sa.Column("rank", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("slug", sa.String(), nullable=False),
        sa.Column("model_id", sa.String(), nullable=True),
        sa.Column("tokens", sa.BigInteger(), nullable=True),
        sa.Column("share", tables.Exact(), nullable=True),
        sa.Column("score", tables.Exact(), nullable=True),
        sa.Column("previous_rank", sa.Integer(), nullable=True),
        sa.Column("growth", tables.Exact(), nullable=True),
        sa.Column("trend", tables.Json(), nullable=True),
        sa.ForeignKeyConstraint(["set_id"], ["ranking_set.id"], name=op.f("fk_ranking_set_id")),
        sa.PrimaryKeyConstraint("set_id", "rank", name=op.f("pk_ranking")),
    )
    op.create_index(op.f("ix_ranking_model_id"), "ranking", ["model_id"], unique=False)
    # ### end Alembic commands ###
    if op.get_bind().dialect.name == "postgresql":
        _comment(*_TABLES)


def _comment(*names: str) -> None:
    """Say of the new tables and their columns what they are, as `tables` has it."""
    for name in names:
        table = tables.metadata.tables[name]
        op.create_table_comment(name, table.comment)
        for column in table.columns:
            if column.comment:
                op.alter_column(name, column.name, comment=column.comment, existing_type=column.type)
