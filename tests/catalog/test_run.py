"""A run as scripts see it, and when the next one is due."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from llmhive.catalog.run import DONE, Kind, Run, due_at

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
RUN = Run(
    kind="regular", trigger="cli", status="completed", started_at=AT, id=7, finished_at=AT + timedelta(seconds=2.3456),
    scope="all", models_seen=10, added=1, changed=2, repriced=3, deactivated=4, reactivated=5, unchanged=6,
    unreadable=8, held=9, notes=("a note",), catalog_version=11,
)  # fmt: skip


def test_to_json_is_the_shape_scripts_rely_on() -> None:
    document = {
        "id": 7,
        "kind": "regular",
        "trigger": "cli",
        "status": "completed",
        "dry_run": False,
        "started_at": "2026-05-01T12:00:00Z",
        "finished_at": "2026-05-01T12:00:02.345600Z",
        "duration_seconds": 2.346,
        "models_seen": 10,
        "added": 1,
        "changed": 2,
        "repriced": 3,
        "deactivated": 4,
        "reactivated": 5,
        "unchanged": 6,
        "unreadable": 8,
        "held": 9,
        "error": None,
        # more than design 3.6 asks for
        "scope": "all",
        "notes": ["a note"],
        "catalog_version": 11,
    }
    assert RUN.to_json() == document


def test_to_json_is_json() -> None:
    full = replace(RUN, plan=({"id": "a/b"},), verdicts=({"rule": "removal"},), error="no")
    assert json.loads(json.dumps(full.to_json())) == full.to_json()


def test_a_running_run_has_no_end_and_a_dry_one_no_id() -> None:
    running = Run(kind="regular", trigger="http", status="running", started_at=AT, dry_run=True).to_json()
    assert (running["id"], running["dry_run"]) == (None, True)
    assert (running["finished_at"], running["duration_seconds"]) == (None, None)
    assert all(
        running[count] == 0
        for count in (
            "models_seen", "added", "changed", "repriced", "deactivated", "reactivated", "unchanged", "unreadable",
            "held",
        )
    )  # fmt: skip
    assert (running["error"], running["notes"], running["scope"], running["catalog_version"]) == (None, [], None, None)


@pytest.mark.parametrize("name", ["plan", "verdicts"])
def test_the_plan_and_the_verdicts_stand_only_where_they_are_known(name: str) -> None:
    assert name not in RUN.to_json()
    assert replace(RUN, **{name: ()}).to_json()[name] == []  # type: ignore[arg-type]
    assert replace(RUN, **{name: ({"x": 1},)}).to_json()[name] == [{"x": 1}]  # type: ignore[arg-type]


def test_a_run_is_due_an_interval_after_the_last_done_one_started() -> None:
    assert due_at(AT, timedelta(minutes=30)) == datetime(2026, 5, 1, 12, 30, tzinfo=UTC)


def test_a_run_is_due_at_once_where_none_was_done() -> None:
    assert due_at(None, timedelta(minutes=30)) is None


def test_the_words() -> None:
    assert get_args(Kind) == ("regular", "research", "bootstrap", "backfill", "rollback")
    assert DONE == ("completed", "unchanged")
