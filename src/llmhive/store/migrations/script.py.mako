"""${message}."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from llmhive.store import tables

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Expand: an older replica must keep working."""
    ${upgrades if upgrades else "pass"}
