"""What ids say, kept: only what differs is written, and the catalog's rows follow."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from llmhive.catalog.identity import identify
from llmhive.store import families
from llmhive.store.database import Database
from llmhive.store.tables import family, model_catalog
from tests.fake_openrouter import catalog, model
from tests.support import Live

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
IDS = (
    "anthropic/claude-3-5-haiku-20241022:beta",
    "anthropic/claude-sonnet-4.5",
    "openai/gpt-4o-search-preview",
    "~openai/gpt-latest",
    "acme/odd-thing-7",
)


def apply(database: Database, *ids: str) -> int:
    with database.write() as connection:
        return families.apply(connection, {model_id: identify(model_id) for model_id in ids})


def kept(database: Database) -> list[dict[str, Any]]:
    with database.read() as connection:
        return families.all_of(connection)


def in_catalog(database: Database) -> dict[str, str]:
    with database.read() as connection:
        rows = connection.execute(sa.select(model_catalog.c.id, model_catalog.c.family))
        return {row.id: row.family for row in rows}


def spoil(database: Database, table: sa.Table, **values: object) -> None:
    """Give every row other values, as earlier rules may have."""
    with database.write() as connection:
        connection.execute(table.update().values(values))


@pytest.fixture
def filled(database: Database) -> Database:
    """A catalog of those ids, and nothing said of them yet."""
    Live(database)(NOON, catalog(*(model(model_id) for model_id in IDS)))
    return database


def test_a_row_says_what_the_id_says(database: Database) -> None:
    assert apply(database, IDS[0]) == 1
    assert kept(database) == [
        {
            "model_id": "anthropic/claude-3-5-haiku-20241022:beta",
            "family": "anthropic/claude",
            "author": "anthropic",
            "generation": "3.5",
            "size": "haiku",
            "edition": None,
            "release": "20241022",
            "variant": "beta",
            "is_fallback": False,
        }
    ]


def test_every_id_has_a_row_and_a_second_time_writes_nothing(filled: Database) -> None:
    assert apply(filled, *IDS) == len(IDS)
    found = kept(filled)
    assert [row["model_id"] for row in found] == sorted(IDS)
    assert {row["model_id"]: row["family"] for row in found} == in_catalog(filled)
    assert [row["model_id"] for row in found if row["is_fallback"]] == ["acme/odd-thing-7"]
    assert apply(filled, *IDS) == 0
    assert kept(filled) == found


def test_only_what_differs_is_written(filled: Database) -> None:
    apply(filled, *IDS)
    before = kept(filled)
    with filled.write() as connection:
        connection.execute(family.update().where(family.c.model_id == IDS[1]).values(size=None, is_fallback=True))
        connection.execute(family.delete().where(family.c.model_id == IDS[2]))
    assert apply(filled, *IDS) == 2
    assert kept(filled) == before


def test_the_catalogs_rows_follow_and_are_counted_once(filled: Database) -> None:
    right = in_catalog(filled)
    assert right["openai/gpt-4o-search-preview"] == right["~openai/gpt-latest"] == "openai/gpt"
    spoil(filled, model_catalog, family="by/earlier-rules")
    assert apply(filled, *IDS) == len(IDS)
    assert in_catalog(filled) == right
    # where only the catalog's rows differ they are what counts
    spoil(filled, model_catalog, family="by/earlier-rules")
    assert apply(filled, *IDS) == len(IDS)
    assert in_catalog(filled) == right
    assert apply(filled, *IDS) == 0


def test_who_is_not_given_keeps_what_it_has(filled: Database) -> None:
    apply(filled, *IDS)
    spoil(filled, family, family="by/earlier-rules")
    spoil(filled, model_catalog, family="by/earlier-rules")
    assert apply(filled, IDS[0]) == 1
    right = {IDS[0]: "anthropic/claude"}
    assert in_catalog(filled) == dict.fromkeys(IDS, "by/earlier-rules") | right
    assert {row["model_id"]: row["family"] for row in kept(filled)} == dict.fromkeys(IDS, "by/earlier-rules") | right


def test_an_id_that_no_catalog_has_and_none_at_all(database: Database) -> None:
    assert apply(database) == 0
    assert kept(database) == []
    assert apply(database, "", "a", "a/b/c:d") == 3
    assert [row["family"] for row in kept(database)] == ["/", "/a", "a/b/c"]
