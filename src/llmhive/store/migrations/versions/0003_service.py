"""Alerts and their deliveries, leases, used tokens: what many replicas share.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from llmhive.store import tables

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables up to this version."""
    op.create_table(
        "alert",
        sa.Column("id", tables.Id, nullable=False),
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("run_id", tables.Id, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("model_id", sa.String(), nullable=True),
        sa.Column("facts", tables.Json(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("created_at", tables.Instant(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["sync_run.id"], name=op.f("fk_alert_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
        sa.UniqueConstraint("event_id", name=op.f("uq_alert_event_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_alert_run_id"), "alert", ["run_id"], unique=False)
    _partial("unconfirmed_alerts", "alert", "id", "state = 'unconfirmed'")
    op.create_table(
        "delivery",
        sa.Column("id", tables.Id, nullable=False),
        sa.Column("message_id", sa.String(length=36), nullable=False),
        sa.Column("run_id", tables.Id, nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("due_at", tables.Instant(), nullable=False),
        sa.Column("created_at", tables.Instant(), nullable=False),
        sa.Column("delivered_at", tables.Instant(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["sync_run.id"], name=op.f("fk_delivery_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_delivery_run_id_channel", "delivery", ["run_id", "channel"], unique=True)
    _partial("pending_deliveries", "delivery", "due_at", "state = 'pending'")
    op.create_table(
        "lease",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("until", tables.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    op.create_table(
        "used_token",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("expires_at", tables.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_used_token")),
    )
    op.create_index(op.f("ix_used_token_expires_at"), "used_token", ["expires_at"], unique=False)
    if op.get_bind().dialect.name == "postgresql":
        _comment("alert", "delivery", "lease", "used_token")


def _partial(name: str, table: str, column: str, condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, [column], unique=False, sqlite_where=where, postgresql_where=where)


def _comment(*names: str) -> None:
    """Say of the new tables and their columns what they are, as `tables` has it."""
    for name in names:
        table = tables.metadata.tables[name]
        op.create_table_comment(name, table.comment)
        for column in table.columns:
            if column.comment:
                op.alter_column(name, column.name, comment=column.comment, existing_type=column.type)
