"""A first start without network: the shipped facts, labelled, until a sync replaces them."""

from __future__ import annotations

from tests.fake_openrouter import FakeOpenRouter, catalog, model, status
from tests.support import Command
from tests.support import dump as tables


def test_a_first_sync_that_fails_loads_the_bootstrap_and_says_so(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(status(403))
    result = llmhive.run("sync", "--json")
    assert result.code == 1
    assert result.json["status"] == "failed"
    assert any("bootstrap" in note for note in result.json["notes"])
    found = llmhive("status")
    assert found["source"] == "bootstrap"
    assert found["models_in_catalog"] > 300
    assert found["last_sync_status"] == "failed"
    assert found["last_success_time"] is None
    assert found["catalog_age_seconds"] > 0
    page = llmhive("models", "--limit", "2")
    assert page["source"] == "bootstrap"
    assert page["total"] == found["models_in_catalog"]
    one = llmhive("model", page["data"][0]["id"])
    assert (one["source"], one["raw"]) == ("bootstrap", None)
    people = llmhive.run("model", page["data"][0]["id"])
    assert "bootstrap" in people.stdout


def test_a_bootstrap_is_belief_only(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(status(403))
    llmhive("sync", code=1)
    found = tables(llmhive.env["DATABASE_URL"])
    assert (found["capture"], found["body"], found["served_version"], found["model_price"]) == ([], [], [], [])
    assert [(run["kind"], run["status"]) for run in found["sync_run"]] == [
        ("regular", "failed"),
        ("bootstrap", "completed"),
    ]


def test_a_second_failure_does_not_load_it_again(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(status(403))
    llmhive("sync", code=1)
    before = tables(llmhive.env["DATABASE_URL"], without=("sync_run",))
    run = llmhive("sync", code=1)
    assert any("bootstrap" in note for note in run["notes"])
    assert tables(llmhive.env["DATABASE_URL"], without=("sync_run",)) == before


def test_the_first_sync_that_works_replaces_it(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(status(403))
    llmhive("sync", code=1)
    shipped = llmhive("models", "--limit", "1")["data"][0]["id"]
    # far more gone than the gate allows between two syncs: it passes, and the interval is not used up
    fake.serve(catalog(model(shipped), model("acme/one")))
    run = llmhive("sync")
    assert (run["status"], run["models_seen"]) == ("completed", 2)
    found = llmhive("status")
    assert (found["source"], found["models_in_catalog"], found["last_sync_status"]) == ("openrouter", 2, "completed")
    page = llmhive("models")
    assert (page["source"], page["total"]) == ("openrouter", 2)
    assert llmhive("model", shipped)["source"] == "openrouter"


def test_an_answer_that_is_held_does_not_replace_it(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(status(403))
    llmhive("sync", code=1)
    fake.serve(catalog())
    run = llmhive("sync", code=3)
    assert run["status"] == "held"
    assert llmhive("status")["source"] == "bootstrap"


def test_a_dry_run_loads_none(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(status(403))
    run = llmhive("sync", "--dry-run", code=1)
    assert run["status"] == "failed"
    assert tables(llmhive.env["DATABASE_URL"]) == {}
