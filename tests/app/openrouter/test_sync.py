"""One sync from the lock to its last word, by a chosen clock, over a real socket, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from llmhive.app.openrouter.sync import CLOCK_TOLERANCE
from tests.fake_openrouter import FakeOpenRouter, Response, catalog, model, ok
from tests.support import rows, sync_at

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def dated(at: datetime, age: int | None = None) -> Response:
    """A good answer by a server whose clock says so."""
    answer = ok(catalog(model("acme/one")))
    headers = {**answer.headers, "Date": format_datetime(at, usegmt=True)}
    return replace(answer, headers=headers | ({} if age is None else {"Age": str(age)}))


@pytest.mark.parametrize("apart", [CLOCK_TOLERANCE + timedelta(minutes=1), -CLOCK_TOLERANCE - timedelta(minutes=1)])
def test_a_clock_that_disagrees_writes_no_history(
    empty_database_url: str, fake: FakeOpenRouter, apart: timedelta
) -> None:
    fake.serve(dated(NOON + apart))
    run = sync_at(empty_database_url, fake.base_url, NOON)
    assert run.status == "failed"
    assert run.error is not None
    assert "set this machine's clock" in run.error
    assert rows(empty_database_url, "SELECT COUNT(*) AS n FROM capture") == [{"n": 0}]


@pytest.mark.parametrize(
    ("served", "age"), [(NOON - timedelta(hours=5), 5 * 3600), (NOON, 5 * 3600), (NOON + timedelta(minutes=50), None)]
)
def test_an_answer_from_a_cache_is_no_wrong_clock(
    empty_database_url: str, fake: FakeOpenRouter, served: datetime, age: int | None
) -> None:
    fake.serve(dated(served, age))
    assert sync_at(empty_database_url, fake.base_url, NOON).status == "completed"


def test_captures_never_go_back_in_time(empty_database_url: str, fake: FakeOpenRouter) -> None:
    fake.serve([catalog(model("acme/one", name=name)) for name in ("a", "b", "c")])
    for at in (NOON, NOON - timedelta(minutes=20), NOON - timedelta(minutes=10)):
        assert sync_at(empty_database_url, fake.base_url, at, force=True).status == "completed"
    served = rows(empty_database_url, "SELECT valid_from, valid_to FROM model_version ORDER BY valid_from")
    assert [row["valid_to"] for row in served] == [*(row["valid_from"] for row in served[1:]), None]
    assert len({row["valid_from"] for row in served}) == 3
    known = rows(empty_database_url, "SELECT known_from, known_to FROM model_belief ORDER BY id")
    assert all(row["known_to"] is None or row["known_from"] <= row["known_to"] for row in known)


def test_an_unchanged_run_tells_what_the_body_holds(empty_database_url: str, fake: FakeOpenRouter) -> None:
    broken = model("acme/broken", pricing={"prompt": "cheap"})
    fake.serve(catalog(*(model(f"acme/m{number}") for number in range(40)), broken))
    first = sync_at(empty_database_url, fake.base_url, NOON)
    again = sync_at(empty_database_url, fake.base_url, NOON + timedelta(hours=1))
    assert (first.status, again.status) == ("completed", "unchanged")
    assert (again.models_seen, again.unchanged, again.unreadable) == (40, 40, 1)
    assert (first.models_seen, first.unreadable) == (40, 1)


def test_another_source_is_never_the_same_answer(empty_database_url: str) -> None:
    body = catalog(model("acme/one"))
    with FakeOpenRouter(ok(body, etag='"x"')) as one, FakeOpenRouter(ok(body, etag='"x"')) as two:
        assert sync_at(empty_database_url, one.base_url, NOON).status == "completed"
        assert sync_at(empty_database_url, two.base_url, NOON + timedelta(hours=1)).status == "unchanged"
        assert "if-none-match" not in two.requests[0].headers
