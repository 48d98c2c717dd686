"""Values come back as they went in, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmhive.store.database import Database
from llmhive.store.tables import Exact, Instant, Json, JsonText

kept = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def back(database: Database, value: object, type_: sa.types.TypeEngine[Any]) -> object:
    table = sa.Table(f"t_{type(type_).__name__.lower()}", sa.MetaData(), sa.Column("v", type_))
    with database.write() as connection:
        table.create(connection, checkfirst=True)
        connection.execute(table.delete())
        connection.execute(table.insert(), {"v": value})
        return connection.execute(sa.select(table.c.v)).scalar_one()


@kept
@given(st.decimals(allow_nan=False, allow_infinity=False, places=22, min_value=-10, max_value=10**6))
def test_decimals_are_exact(database: Database, number: Decimal) -> None:
    assert back(database, number, Exact()) == number


def test_rates_are_text_on_sqlite(database: Database) -> None:
    if database.dialect != "sqlite":
        pytest.skip("PostgreSQL has exact numbers of its own")
    back(database, Decimal("0.00000008333333333333334"), Exact())
    with database.read() as connection:
        assert connection.execute(sa.text("SELECT typeof(v), v FROM t_exact")).one() == (
            "text", "0.00000008333333333333334",
        )  # fmt: skip


@kept
@given(
    st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(9000, 1, 1)),  # noqa: DTZ001
    st.integers(-12, 12),
)
def test_instants_are_utc(database: Database, moment: datetime, hours: int) -> None:
    at = moment.replace(tzinfo=timezone(timedelta(hours=hours)))
    found = back(database, at, Instant())
    assert found == at
    assert isinstance(found, datetime)
    assert found.tzinfo == UTC


def test_an_instant_without_a_zone_is_a_mistake(database: Database) -> None:
    with pytest.raises((ValueError, sa.exc.StatementError), match="without a time zone"):
        back(database, datetime(2026, 1, 1), Instant())  # noqa: DTZ001


def test_json_numbers_stay_exact(database: Database) -> None:
    assert back(database, '{"a": [0.1000000000000000055, 12345678901234567890]}', Json()) == {
        "a": [Decimal("0.1000000000000000055"), 12345678901234567890]
    }


def test_json_text_stays_byte_for_byte(database: Database) -> None:
    text = '{"b":1.10, "a" : "é\\u00e9", "b":2}'
    assert back(database, text, JsonText()) == text
