"""used_token: which tokens were accepted already, so that none is accepted twice."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from llmhive.store.tables import insert_new, used_token

#: Kept for so long after it expired: replicas' clocks differ, and tokens are accepted a little late.
_GRACE = timedelta(hours=1)
#: At most so many are removed at once, so that nobody waits for it.
_AT_ONCE = 1000


def use(connection: sa.Connection, digest: str, expires_at: datetime, now: datetime) -> bool:
    """Use a token up; False where it was used already. That it is not expired, the caller has made sure of.

    Of two transactions at once the second waits for the first, and is told False if that one is committed.
    """
    # what was inserted is asked back: the count of rows is not known on both databases
    insert = insert_new(connection.dialect.name, used_token).returning(used_token.c.digest)
    is_new = connection.execute(insert, {"digest": digest, "expires_at": expires_at}).first() is not None
    if is_new:
        _remove_expired(connection, now)
    return is_new


def _remove_expired(connection: sa.Connection, now: datetime) -> None:
    expired = (
        sa.select(used_token.c.digest)
        .where(used_token.c.expires_at < now - _GRACE)
        .limit(_AT_ONCE)
        # another transaction is removing those already: two must not wait for each other
        .with_for_update(skip_locked=True)
    )
    connection.execute(used_token.delete().where(used_token.c.digest.in_(expired)))
