"""What people are told of a run: its headline, a line for each step, movers, what was taken over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from llmhive.app.cli import render, steps, summary
from llmhive.app.openrouter.runner import not_due
from llmhive.catalog.run import Kind, Run, Status
from llmhive.store.runs import NotDue

AT = datetime(2026, 10, 1, 15, 27, tzinfo=UTC)


def step(name: str, status: str = "completed", error: str | None = None, **facts: Any) -> dict[str, Any]:
    return {"step": name, "status": status, "error": error, "facts": facts}


def run(
    *done: dict[str, Any], kind: Kind = "research", status: Status = "completed", seen: int = 457, **more: Any
) -> Run:
    return Run(
        kind, "cli", status, AT, id=2, finished_at=AT + timedelta(seconds=25), models_seen=seen, steps=done or None,
        **more,
    )  # fmt: skip


def told(capsys: pytest.CaptureFixture[str], it: Run, *, at_most: int | None = 10) -> list[str]:
    summary.show(render.out(), it, at_most=at_most)
    return [line.strip() for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("it", "headline"),
    [
        (
            run(
                step("endpoints", added=911), step("rankings", published=4), step("categories", published=22),
                step("indices", new=2000), step("benchmarks", new=148),
            ),
            "Researched 457 models in 25.0 s (run 2): model list unchanged; 911 endpoints added, 26 rankings "
            "published, 2,148 measures added.",
        ),
        (run(status="unchanged"), "Researched 457 models in 25.0 s (run 2): nothing changed."),
        (run(step("rankings", unchanged=4, moved=35)), "Researched 457 models in 25.0 s (run 2): nothing changed."),
        (
            run(step("families", "reused", "run 1 did it", run=1), seen=1457, added=3, repriced=2, deactivated=1),
            "Researched 1,457 models in 25.0 s (run 2): model list: 3 new, 1 gone, 2 repriced.",
        ),
        (run(status="failed", error="1 of 11 steps failed"), "Research failed (run 2): 1 of 11 steps failed"),
        (run(kind="regular", status="unchanged"), "Synced 457 models in 25.0 s, nothing new (run 2)."),
        (
            run(kind="regular"),
            "Synced 457 models in 25.0 s, nothing new but what is not compared (benchmarks and the like) (run 2).",
        ),
        (
            run(step("rankings", published=1), kind="regular"),
            "Synced 457 models in 25.0 s, model list: nothing new (run 2).",
        ),
        (run(step("rankings", published=1), kind="regular", added=1), "Synced 457 models in 25.0 s (run 2)."),
    ],
)  # fmt: skip
def test_headlines(it: Run, headline: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, it)[0] == headline


def mover(number: int, **more: Any) -> dict[str, Any]:
    return {"slug": f"a/m{number}-20260901", "model": f"a/m{number}", "rank": number, "previous_rank": None, **more}


def test_movers(capsys: pytest.CaptureFixture[str]) -> None:
    named = [mover(1, previous_rank=5), mover(2, model=None), *map(mover, range(3, 11))]
    lines = told(capsys, run(step("rankings", published=4, moved=35, moved_named=named)))
    assert lines[1:5] == [
        "rankings  4 rankings published · 35 models moved",
        "against the week before:",
        "up    a/m1: rank 5 → 1",
        "in    a/m2-20260901 (not in the catalog): rank 2, not ranked a week before",
    ]
    assert lines[-1] == "… and 25 more: llmhive rankings"
    assert len(lines) == 14
    # a ranking that stands as it stood is no news
    quiet = told(capsys, run(step("rankings", unchanged=4, moved=35, moved_named=named)))
    assert quiet[1:] == ["rankings  4 unchanged"]
    few = told(capsys, run(step("rankings", published=1, moved=1, moved_named=named[:1])))
    assert few[-1] == "up    a/m1: rank 5 → 1"


def test_what_was_taken_over_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    reused = [step(name, "reused", "run 1 did it today at 15:27 UTC", run=1) for name in ("families", "indices")]
    lines = told(capsys, run(*reused, step("tasks", tasks=1, published=1)))
    assert lines[1:] == [
        "tasks  1 ranking published",
        "taken over from run 1 of today: families, indices (--force repeats)",
    ]
    lines = told(capsys, run(*reused, step("tasks", "reused", "…", run=3)))
    assert lines[1:] == ["taken over from run 1 of today: families, indices; from run 3 of today: tasks "
                         "(--force repeats)"]  # fmt: skip


@pytest.mark.parametrize(
    ("done", "line"),
    [
        (step("tasks", published=10, tasks=10, as_of="2026-10-01"), "10 rankings published · as of 2026-10-01"),
        (step("tasks", published=8, unchanged=1, tasks=10), "8 rankings published · 1 unchanged · 10 tasks"),
        (step("endpoints", models=2, failed=1, zdr_listed=3), "2 models · 1 model without an answer · 3 ZDR "
                                                              "endpoints listed"),
        (step("rankings", published=1, as_of="2026-10-02T02:00:00.000Z"), "1 ranking published · as of 2026-10-02 "
                                                                          "02:00 UTC"),
        (step("capabilities", changes=0, learned=0), "nothing new"),
        (step("tasks", "skipped", "it needs a key"), "left out: it needs a key"),
        (step("tasks", "failed", "HTTP 500", failed=1), "failed: HTTP 500"),
    ],
)  # fmt: skip
def test_a_step_in_a_line(done: dict[str, Any], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    steps.show(render.out(), run(done), at_most=10)
    assert capsys.readouterr().out.strip() == f"{done['step']}  {line}"


def test_what_endpoints_and_capabilities_tell(capsys: pytest.CaptureFixture[str]) -> None:
    bad = [{"model": f"a/{it}", "tag": "t", "why": "status 0 → -2"} for it in range(12)]
    cells = [{"model": "a/b", "capability": "tools", "before": "yes", "after": "no"}]
    it = run(step("endpoints", gone_bad=30, gone_bad_named=bad), step("capabilities", changes=5, changes_named=cells))
    lines = told(capsys, it)
    assert "gone bad: a/9 at t: status 0 → -2" in lines
    assert "… and 20 more: llmhive show 2" in lines
    assert lines[-2:] == ["a/b: tools yes → no", "… and 4 more: llmhive capabilities --changes"]
    # where all that are named are shown, no command has more
    assert "… and 18 more" in told(capsys, it, at_most=None)


@pytest.mark.parametrize(
    ("kind", "trigger", "words"),
    [
        ("regular", "cli", ("run 2 synced at 15:27 UTC", "To sync now: llmhive sync --force")),
        ("research", "cli", ("run 2 researched at 15:27 UTC", "To research now: llmhive sync --research --force")),
        ("research", "http", ("run 2 researched at 15:27 UTC", 'To research now: {"force": true}')),
    ],
)
def test_a_skipped_run_says_how_to_have_it_now(kind: Kind, trigger: str, words: tuple[str, str]) -> None:
    (note,) = not_due(kind, trigger, AT, NotDue(run(kind=kind), AT + timedelta(hours=1))).notes
    assert words[0] in note
    assert note.endswith(words[1])
