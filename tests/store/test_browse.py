"""What a name means, asked of the database: as all names would say, and cheaply where it is an id."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from llmhive.catalog.names import Names
from llmhive.errors import NotFound
from llmhive.store import browse
from llmhive.store.database import Database
from tests.fake_openrouter import catalog, model
from tests.store.test_changes import START
from tests.support import Live

MODELS = (
    model("acme/one", canonical_slug="acme/two"),
    model("acme/two", canonical_slug="acme/two-20260115"),
    model("acme/Loud", canonical_slug="acme/loud-1"),
    model("acme/one:free", canonical_slug="acme/two"),
    model("zeta/größe", canonical_slug="zeta/größe-1"),
)
NAMES = (
    # an id that is another one's slug as well, other cases, slugs, without the author, and what no id is like
    "acme/one", "acme/two", "ACME/ONE", "acme/loud", "acme/Loud", "acme/loud-1", "acme/one:free", "acme/two-20260115",
    "one:free", "größe", "zeta/größe", "ZETA/GRÖSSE", "acme", "", " ", "acme/one ", "acme/one\x00", "\x00", "\ud800",
    "acme/one%", "acme/three", "x" * 5000,
)  # fmt: skip


@pytest.fixture
def filled(database: Database) -> Database:
    Live(database)(START, catalog(*MODELS))
    return database


@pytest.mark.parametrize("name", NAMES)
def test_a_name_means_what_all_names_say(filled: Database, name: str) -> None:
    with filled.read() as connection:
        known = Names(browse.names(connection))
        wanted = known.meant(name)
        if wanted is not None:
            assert browse.meant(connection, name) == wanted
            assert browse.model(connection, wanted)["id"] == wanted
        else:
            with pytest.raises(NotFound) as told:
                browse.meant(connection, name)
            assert str(told.value) == known.why_missing(name)
        ids = {it["id"] for it in MODELS}
        assert browse.has(connection, name) == browse.is_served(connection, name) == (name in ids)


def test_an_id_is_looked_up_without_all_names(filled: Database) -> None:
    sent: list[str] = []

    def count(*given: Any) -> None:
        sent.append(given[2])

    sa.event.listen(filled.engine, "before_cursor_execute", count)
    with filled.read() as connection:
        sent.clear()
        assert browse.meant(connection, "acme/two") == "acme/two"
        assert len(sent) == 1
        assert "canonical_slug" not in sent[0]
        assert browse.meant(connection, "acme/TWO") == "acme/two"
        assert len(sent) == 3
    sa.event.remove(filled.engine, "before_cursor_execute", count)


def test_an_empty_catalog_says_so(database: Database) -> None:
    with database.read() as connection, pytest.raises(NotFound, match="The catalog is empty"):
        browse.meant(connection, "acme/one")
