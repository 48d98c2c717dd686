"""Held values, snapshots, pins and changes; descriptions are kept apart from their versions.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import hashlib
from decimal import Decimal

import msgspec
import sqlalchemy as sa
from alembic import op

from llmhive.store import tables

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables up to this version."""
    op.execute("DROP VIEW model_version")
    op.create_table(
        "description",
        sa.Column("digest", sa.String(length=32), nullable=False, comment="SHA-256 of the text, shortened"),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_description")),
        comment="Each description a model ever had, kept once: most versions share theirs with the one before",
    )
    # one statement that both databases know; SQLite cannot add the constraint later
    op.execute(
        "ALTER TABLE version ADD COLUMN description VARCHAR(32) "
        "CONSTRAINT fk_version_description REFERENCES description (digest)"
    )
    _take_descriptions_apart()
    op.execute(tables.MODEL_VERSION[op.get_bind().dialect.name])

    op.add_column("catalog_state", sa.Column("pinned", sa.String(), nullable=True))
    op.add_column("catalog_state", sa.Column("is_moved", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("verdict", sa.Column("field", sa.String(), nullable=True))
    op.add_column("model_price", sa.Column("is_held", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("model_catalog", sa.Column("held", tables.Json(), nullable=True))
    op.create_index(
        "held_models",
        "model_catalog",
        ["id"],
        unique=False,
        sqlite_where=sa.text("held IS NOT NULL"),
        postgresql_where=sa.text("held IS NOT NULL"),
    )
    op.create_table(
        "transition",
        sa.Column("id", tables.Id, nullable=False),
        sa.Column("model_id", sa.String(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("before", tables.Json(), nullable=True),
        sa.Column("after", tables.Json(), nullable=True),
        sa.Column("happened_at", tables.Instant(), nullable=False),
        sa.Column("ended_at", tables.Instant(), nullable=True),
        sa.Column("follows", tables.Instant(), nullable=True),
        sa.Column("episode", tables.Instant(), nullable=True),
        sa.Column("is_back", sa.Boolean(), nullable=False),
        sa.Column("in_text", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transition")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_transition_model_id", "transition", ["model_id"], unique=False)
    op.create_index("ix_transition_happened_at", "transition", ["happened_at"], unique=False)
    op.execute(tables.CHANGE)
    op.create_table(
        "snapshot",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("taken_at", tables.Instant(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("models", sa.Integer(), nullable=False),
        sa.Column("catalog_version", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(), nullable=True),
        sa.Column("source_at", tables.Instant(), nullable=True),
        sa.Column("decoder", sa.Integer(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["digest"], ["body.digest"], name=op.f("fk_snapshot_digest")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_snapshot")),
    )
    op.create_index(op.f("ix_snapshot_digest"), "snapshot", ["digest"], unique=False)
    if op.get_bind().dialect.name == "postgresql":
        _comment()


def _comment() -> None:
    """Say of every table and column what it is, as `tables` has it; those of later versions are not here yet."""
    inspector = sa.inspect(op.get_bind())
    for name in inspector.get_table_names():
        table = tables.metadata.tables.get(name)
        if table is None:
            continue
        if table.comment:
            op.create_table_comment(name, table.comment)
        for column in inspector.get_columns(name):
            comment = table.c[column["name"]].comment if column["name"] in table.c else None
            if comment and comment != column["comment"]:
                op.alter_column(name, column["name"], comment=comment, existing_type=column["type"])


def _take_descriptions_apart() -> None:
    """Move the description out of each document; the digest stays that of the whole."""
    connection = op.get_bind()
    version = sa.table(
        "version",
        sa.column("digest", sa.String),
        sa.column("document", tables.JsonText()),
        sa.column("description", sa.String),
    )
    description = sa.table("description", sa.column("digest", sa.String), sa.column("text", sa.Text))
    encode = msgspec.json.Encoder(order="sorted", decimal_format="number").encode
    read = msgspec.json.Decoder(float_hook=Decimal).decode
    texts: dict[str, str] = {}
    changed = []
    for row in connection.execute(sa.select(version.c.digest, version.c.document)):
        document = read(row.document)
        text = document.pop("description", None)
        if text is not None:
            name = hashlib.sha256(text.encode()).hexdigest()[:32]
            texts[name] = text
            changed.append({"of": row.digest, "document": encode(document).decode(), "description": name})
    if changed:
        connection.execute(description.insert(), [{"digest": name, "text": text} for name, text in texts.items()])
        connection.execute(version.update().where(version.c.digest == sa.bindparam("of")), changed)
