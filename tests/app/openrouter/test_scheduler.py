"""When the next sync is due; and the guide's name for the sync command."""

from __future__ import annotations

import runpy
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.app.openrouter import scheduler
from llmhive.app.openrouter.scheduler import next_time
from tests.catalog import strategies as our

# 2026-05-03 is a Sunday


@pytest.mark.parametrize(
    ("after", "due"),
    [
        ("2026-05-02T12:00", "2026-05-03T03:00"),
        ("2026-05-03T02:59", "2026-05-03T03:00"),
        # the instant itself is past
        ("2026-05-03T03:00", "2026-05-10T03:00"),
        ("2026-05-03T03:01", "2026-05-10T03:00"),
        ("2026-12-28T00:00", "2027-01-03T03:00"),
    ],
)
def test_every_sunday_at_three(after: str, due: str) -> None:
    found = next_time("0 3 * * 0", datetime.fromisoformat(after).replace(tzinfo=UTC))
    assert found == datetime.fromisoformat(due).replace(tzinfo=UTC)
    assert found.strftime("%A") == "Sunday"


@pytest.mark.parametrize(
    ("after", "due"),
    [
        ("2026-05-01T00:00:00", "2026-05-01T06:00"),
        ("2026-05-01T05:59:59", "2026-05-01T06:00"),
        ("2026-05-01T17:30:00", "2026-05-01T18:00"),
        ("2026-05-01T18:00:01", "2026-05-02T00:00"),
    ],
)
def test_every_six_hours(after: str, due: str) -> None:
    found = next_time("0 */6 * * *", datetime.fromisoformat(after).replace(tzinfo=UTC))
    assert found == datetime.fromisoformat(due).replace(tzinfo=UTC)


def test_the_answer_is_in_utc_whatever_the_question() -> None:
    after = datetime(2026, 5, 3, 4, 30, tzinfo=timezone(timedelta(hours=2)))
    found = next_time("0 3 * * 0", after)
    assert found == datetime(2026, 5, 3, 3, tzinfo=UTC)
    assert found.utcoffset() == timedelta(0)


@our.laws
@given(st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2040, 1, 1)))  # noqa: DTZ001
def test_it_is_the_first_such_instant(moment: datetime) -> None:
    after = moment.replace(tzinfo=UTC)
    found = next_time("0 */6 * * *", after)
    assert timedelta(0) < found - after <= timedelta(hours=6)
    assert (found.hour % 6, found.minute, found.second, found.microsecond) == (0, 0, 0, 0)


def run_as_main(monkeypatch: pytest.MonkeyPatch, *words: str) -> list[str]:
    """Run the file as `python -m` does; returns the command line it hands on."""
    handed_on: list[str] = []
    assert scheduler.__file__ is not None
    monkeypatch.setattr(sys, "argv", ["scheduler", *words])
    monkeypatch.setattr(runpy, "run_module", lambda name, **how: handed_on.extend([name, *sys.argv]))
    code = compile(Path(scheduler.__file__).read_text(encoding="utf-8"), scheduler.__file__, "exec")
    exec(code, {"__name__": "__main__"})
    return handed_on


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["--sync"], ["sync"]),
        (["--sync", "--dry-run"], ["sync", "--dry-run"]),
        (["--force", "--sync", "--research"], ["sync", "--force", "--research"]),
        (["--help"], ["sync", "--help"]),
        (["-h"], ["sync", "-h"]),
    ],
)
def test_the_guides_command_is_llmhive_sync(
    monkeypatch: pytest.MonkeyPatch, words: list[str], command: list[str]
) -> None:
    assert run_as_main(monkeypatch, *words) == ["llmhive", "llmhive", *command]


def test_without_a_word_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_as_main(monkeypatch, "--dry-run")
    assert ended.value.code == 2
    assert "--sync [--dry-run] [--force] [--research]" in capsys.readouterr().err
