"""`llmhive sync --dry-run`: the plan of the real thing, and not a trace of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fake_openrouter import FakeOpenRouter, catalog, html_200, model, ok, status
from tests.support import Command, execute, schema
from tests.support import dump as tables

KEPT = [model(f"acme/model-{number:02}") for number in range(20)]
BEFORE = catalog(*KEPT, model("acme/priced"), model("acme/gone"))
AFTER = catalog(
    *KEPT,
    model("acme/priced", pricing={"prompt": "0.0000007"}, context_length=65536),
    model("acme/new"),
    model("acme/bad", pricing={"prompt": "?"}),
)
COUNTS = (
    "models_seen",
    "added",
    "changed",
    "repriced",
    "deactivated",
    "reactivated",
    "unchanged",
    "unreadable",
    "held",
)


def everything(llmhive: Command) -> tuple[Any, Any]:
    return tables(llmhive.env["DATABASE_URL"]), schema(llmhive.env["DATABASE_URL"])


@pytest.mark.parametrize("program", ["-m llmhive sync", "-m llmhive.app.openrouter.scheduler --sync"])
def test_it_plans_what_the_real_run_does_and_writes_nothing(
    program: str, llmhive: Command, fake: FakeOpenRouter
) -> None:
    fake.serve([ok(BEFORE), ok(AFTER)])
    llmhive("sync")
    before = everything(llmhive)
    name = Command(llmhive.folder, llmhive.env, tuple(program.split()))
    dry = name("--dry-run")
    assert everything(llmhive) == before
    assert (dry["status"], dry["dry_run"], dry["id"]) == ("completed", True, None)
    # it was allowed within the interval, and uses up nothing: the real one runs when its own interval is over
    real = name("--force")
    assert (real["status"], real["dry_run"]) == ("completed", False)
    plan = llmhive("show", str(real["id"]))["plan"]
    assert dry["plan"] == plan
    assert {(line["id"], line["what"]) for line in plan} == {
        ("acme/priced", "repriced"), ("acme/priced", "changed"), ("acme/new", "added"), ("acme/gone", "deactivated"),
    }  # fmt: skip
    assert {name: dry[name] for name in COUNTS} == {name: real[name] for name in COUNTS}


def test_a_missing_database_is_taken_as_empty_and_not_made(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(AFTER)
    dry = llmhive("sync", "--dry-run")
    assert (dry["status"], dry["added"], dry["unreadable"]) == ("completed", 22, 1)
    assert {line["what"] for line in dry["plan"]} == {"added"}
    assert everything(llmhive) == ({}, {})
    assert [path for path in llmhive.folder.parent.rglob("*") if path.suffix.startswith(".db")] == []
    assert list(llmhive.folder.iterdir()) == []
    # and the first real one does not think it ran already
    assert llmhive("sync")["added"] == 22


def test_without_news_it_is_unchanged_and_its_plan_is_empty(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(ok(BEFORE, etag='"fake-1"'))
    llmhive("sync")
    before = everything(llmhive)
    dry = llmhive("sync", "--dry-run")
    assert (dry["status"], dry["plan"], dry["unchanged"]) == ("unchanged", [], 22)
    forced = llmhive("sync", "--dry-run", "--force")
    assert (forced["status"], forced["plan"], forced["unchanged"]) == ("unchanged", [], 22)
    assert everything(llmhive) == before


def test_it_does_not_use_up_the_interval(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(BEFORE)
    llmhive("migrate")
    assert llmhive("sync", "--dry-run")["status"] == "completed"
    assert llmhive("sync", "--dry-run")["status"] == "completed"
    assert llmhive("runs")["data"] == []
    assert llmhive("sync")["status"] == "completed"


def test_an_outdated_schema_is_refused_by_name(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(BEFORE)
    llmhive("sync")
    execute(llmhive.env["DATABASE_URL"], "UPDATE alembic_version SET version_num = '0000'")
    before = everything(llmhive)
    result = llmhive.run("sync", "--dry-run", "--json")
    assert result.code == 1
    assert result.stdout == ""
    assert "llmhive migrate" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert everything(llmhive) == before
    assert len(fake.requests) == 1


@pytest.mark.parametrize("served", [html_200(), status(401)], ids=["html", "401"])
def test_a_failure_is_told_and_not_recorded(served: Any, llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(BEFORE)
    llmhive("sync")
    before = everything(llmhive)
    fake.serve(served)
    dry = llmhive("sync", "--dry-run", code=1, SYNC_TIMEOUT_SECONDS=2)
    assert (dry["status"], dry["id"], dry["plan"]) == ("failed", None, [])
    assert dry["error"]
    assert everything(llmhive) == before


def test_people_see_that_nothing_was_written(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(AFTER)
    result = llmhive.run("sync", "--dry-run")
    assert result.code == 0
    assert "Nothing was written." in result.stdout
