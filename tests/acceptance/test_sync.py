"""`llmhive sync`: what it applies, when it has nothing to do, and what it leaves alone."""

from __future__ import annotations

import json
from typing import Any

from tests.fake_openrouter import FakeOpenRouter, catalog, dump, model, ok, paged
from tests.support import Command, Dump
from tests.support import dump as tables

#: what a sync without news may write
LEDGER = ("sync_run", "capture", "body", "verdict")

RUN_FIELDS = {
    "id", "kind", "trigger", "status", "dry_run", "started_at", "finished_at", "duration_seconds", "models_seen",
    "added", "changed", "repriced", "deactivated", "reactivated", "unchanged", "unreadable", "held", "error",
}  # fmt: skip


def of(llmhive: Command, *, without: tuple[str, ...] = LEDGER) -> Dump:
    return tables(llmhive.env["DATABASE_URL"], without=without)


def by_id(llmhive: Command) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in llmhive("models", "--all")["data"]}


def some(count: int, prefix: str = "acme/model-") -> list[dict[str, Any]]:
    return [model(f"{prefix}{number:03}") for number in range(count)]


def test_the_first_sync_fills_the_catalog(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(catalog(model("acme/one"), model("acme/two:free"), model("zeta/three", context_length=1_000_000)))
    run = llmhive("sync")
    assert run.keys() >= RUN_FIELDS
    assert (run["status"], run["kind"], run["trigger"], run["dry_run"]) == ("completed", "regular", "cli", False)
    assert (run["models_seen"], run["added"], run["unchanged"], run["unreadable"]) == (3, 3, 0, 0)
    assert isinstance(run["id"], int)
    assert run["error"] is None
    assert sorted(by_id(llmhive)) == ["acme/one", "acme/two:free", "zeta/three"]
    assert fake.requests[0].query["output_modalities"] == "all"


def test_a_second_sync_within_the_interval_is_skipped(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(catalog(model("acme/one")))
    llmhive("sync")
    before = of(llmhive, without=())
    run = llmhive("sync")
    assert run["status"] == "skipped"
    assert run["id"] is None
    assert "due again at" in run["notes"][0]
    assert len(fake.requests) == 1
    assert of(llmhive, without=()) == before


def test_force_lifts_the_interval(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve([ok(catalog(model("acme/one"))), ok(catalog(model("acme/one"), model("acme/two")))])
    llmhive("sync")
    run = llmhive("sync", "--force")
    assert (run["status"], run["added"]) == ("completed", 1)


def test_an_interval_of_zero_never_skips(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve([ok(catalog(model("acme/one"))), ok(catalog(model("acme/one"), model("acme/two")))])
    llmhive("sync")
    assert llmhive("sync", SYNC_MIN_INTERVAL_MINUTES=0)["status"] == "completed"


def test_an_unchanged_run_uses_up_the_interval(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(catalog(model("acme/one")))
    llmhive("sync")
    second = llmhive("sync", SYNC_MIN_INTERVAL_MINUTES=0)
    third = llmhive("sync")
    assert (second["status"], third["status"]) == ("unchanged", "skipped")
    assert f"run {second['id']}" in third["notes"][0]


def test_validators_survive_restarts(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(ok(catalog(model("acme/one")), etag='W/"fake-1"', last_modified="Mon, 01 Jun 2026 00:00:00 GMT"))
    llmhive("sync")
    before = of(llmhive)
    for _ in range(2):  # each a process of its own; the second has only what the 304 run kept
        run = llmhive("sync", SYNC_MIN_INTERVAL_MINUTES=0)
        assert (run["status"], run["models_seen"], run["unchanged"]) == ("unchanged", 1, 1)
    assert [request.headers.get("if-none-match") for request in fake.requests] == [None, 'W/"fake-1"', 'W/"fake-1"']
    assert fake.requests[1].headers["if-modified-since"] == "Mon, 01 Jun 2026 00:00:00 GMT"
    assert of(llmhive) == before
    assert len(of(llmhive, without=())["body"]) == 1


def test_force_asks_for_the_whole_list(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(ok(catalog(model("acme/one")), etag='"fake-1"'))
    llmhive("sync")
    run = llmhive("sync", "--force")
    assert "if-none-match" not in fake.requests[1].headers
    assert run["status"] == "unchanged"


def test_without_etag_the_same_bytes_are_unchanged(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(catalog(*some(3)))
    llmhive("sync")
    before = of(llmhive)
    run = llmhive("sync", SYNC_MIN_INTERVAL_MINUTES=0)
    assert (run["status"], run["models_seen"], run["unchanged"], run["added"]) == ("unchanged", 3, 3, 0)
    assert of(llmhive) == before
    assert len(of(llmhive, without=())["body"]) == 1


def test_reordered_rows_and_lists_write_only_run_capture_and_body(llmhive: Command, fake: FakeOpenRouter) -> None:
    records = some(5)
    fake.serve([ok(catalog(*records)), ok(catalog(*reversed(records)))])
    llmhive("sync")
    before = of(llmhive, without=())
    run = llmhive("sync", SYNC_MIN_INTERVAL_MINUTES=0)
    after = of(llmhive, without=())
    assert (run["status"], run["unchanged"], run["changed"], run["repriced"]) == ("unchanged", 5, 0, 0)
    for name, rows in before.items():
        assert len(after[name]) == len(rows) + (name in {"sync_run", "capture", "body"}), name
        assert after[name][: len(rows)] == rows, name


def test_changes_are_planned_and_applied_exactly(llmhive: Command, fake: FakeOpenRouter) -> None:
    kept = some(20)
    before = [
        model("acme/priced", pricing={"prompt": "0.00000008333333333333334", "input_cache_read": "0.00000001"}),
        model("acme/limited"),
        model("acme/gone"),
    ]
    after = [
        model("acme/priced", pricing={"prompt": "0.00000008333333333333335", "input_cache_read": ...}),
        model("acme/limited", context_length=65536, top_provider={"max_completion_tokens": 8192}),
        model("acme/new"),
    ]
    fake.serve([ok(catalog(*kept, *before)), ok(catalog(*after, *kept))])
    llmhive("sync")
    run = llmhive("sync", "--force")
    counts = {name: run[name] for name in ("added", "changed", "repriced", "deactivated", "reactivated", "unchanged")}
    assert counts == {
        "added": 1, "changed": 1, "repriced": 1, "deactivated": 1, "reactivated": 0, "unchanged": 20,
    }  # fmt: skip
    plan = llmhive("show", str(run["id"]))["plan"]

    def line(id: str, what: str, field: str | None, before: object, after: object) -> dict[str, object]:
        return {"id": id, "what": what, "field": field, "before": before, "after": after}

    wanted = [
        line("acme/gone", "deactivated", "is_active", True, False),
        line("acme/limited", "changed", "context_length", 131072, 65536),
        line("acme/limited", "changed", "max_completion_tokens", 16384, 8192),
        line("acme/new", "added", None, None, "Acme: New"),
        line("acme/priced", "repriced", "pricing.input_cache_read", "0.00000001", None),
        line("acme/priced", "repriced", "pricing.prompt", "0.00000008333333333333334", "0.00000008333333333333335"),
    ]
    assert sorted(plan, key=lambda entry: (entry["id"], str(entry["field"]))) == wanted
    found = by_id(llmhive)
    assert found["acme/priced"]["pricing"]["prompt"] == "0.00000008333333333333335"
    assert found["acme/priced"]["pricing_per_million"]["prompt"] == "0.08333333333333335"
    assert (found["acme/limited"]["context_length"], found["acme/limited"]["max_completion_tokens"]) == (65536, 8192)
    assert (found["acme/gone"]["is_active"], found["acme/new"]["is_active"]) == (False, True)


def test_a_model_that_leaves_and_returns_is_the_same_model(llmhive: Command, fake: FakeOpenRouter) -> None:
    kept, back = some(20), model("acme/back")
    fake.serve([ok(catalog(*kept, back)), ok(catalog(*kept)), ok(catalog(*kept, back))])
    llmhive("sync")
    first = by_id(llmhive)["acme/back"]
    llmhive("sync", "--force")
    gone = llmhive("model", "acme/back")
    assert (gone["is_active"], gone["last_seen_at"]) == (False, first["last_seen_at"])
    assert gone["deactivated_at"] > gone["last_seen_at"]
    run = llmhive("sync", "--force")
    assert (run["reactivated"], run["added"], run["unchanged"]) == (1, 0, 20)
    plan = llmhive("show", str(run["id"]))["plan"]
    assert plan == [
        {"id": "acme/back", "what": "reactivated", "field": "is_active", "before": False, "after": True}
    ]  # fmt: skip
    again = by_id(llmhive)["acme/back"]
    assert again["first_seen_at"] == first["first_seen_at"]
    assert (again["is_active"], again["deactivated_at"]) == (True, None)


def test_bad_records_are_quarantined_and_the_rest_goes_on(llmhive: Command, fake: FakeOpenRouter) -> None:
    kept = some(196)
    priced, limited = model("acme/priced"), model("acme/limited")
    bad = model("acme/priced", pricing={"prompt": "a few cents"}, context_length=1)
    twice = model("acme/limited", context_length=1)
    fake.serve(
        [
            ok(catalog(*kept, priced, limited)),
            ok(catalog(*kept, bad, limited, twice, model("acme/new"))),
        ]
    )
    llmhive("sync")
    before = by_id(llmhive)
    run = llmhive("sync", "--force")
    counts = {name: run[name] for name in ("added", "changed", "repriced", "deactivated", "unreadable")}
    assert run["status"] == "completed"
    assert counts == {"added": 1, "changed": 0, "repriced": 0, "deactivated": 0, "unreadable": 2}
    assert any("acme/priced" in note and "quarantine" in note for note in run["notes"])
    assert any("acme/limited" in note and "twice" in note for note in run["notes"])
    after = by_id(llmhive)
    untold = {"last_seen_at": None}
    for name in ("acme/priced", "acme/limited"):
        assert after[name] | untold == before[name] | untold
        assert after[name]["is_active"]
    assert after["acme/new"]["is_active"]


def test_a_record_without_a_readable_id_means_that_nothing_is_deactivated(
    llmhive: Command, fake: FakeOpenRouter
) -> None:
    kept = some(40)
    fake.serve([ok(catalog(*kept, model("acme/missing"))), ok(catalog(*kept, model("acme/x") | {"id": 17}))])
    llmhive("sync")
    run = llmhive("sync", "--force")
    assert (run["status"], run["unreadable"], run["deactivated"]) == ("unchanged", 1, 0)
    assert llmhive("model", "acme/missing")["is_active"]


def test_unknown_keys_are_kept_and_are_no_change(llmhive: Command, fake: FakeOpenRouter) -> None:
    new = model("acme/one", novelty={"of": "tomorrow"}, pricing={"prompt": "0.00000050"})
    fake.serve([ok(catalog(model("acme/one"))), ok(catalog(new))])
    llmhive("sync")
    run = llmhive("sync", "--force")
    assert (run["changed"], run["repriced"], run["unchanged"]) == (0, 0, 1)
    found = llmhive("model", "acme/one")
    assert found["raw"]["novelty"] == {"of": "tomorrow"}
    assert "unknown key: novelty" in found["flags"]


def test_the_body_is_kept_byte_for_byte(llmhive: Command, fake: FakeOpenRouter) -> None:
    from llmhive.store import captures
    from llmhive.store.database import connect

    bodies = [
        dump({"data": [model("acme/one", description="Ünïcode 🐝"), model("acme/two")], "total_count": 2}),
        json.dumps({"data": [model("acme/one"), model("acme/two")]}, indent=1).encode(),
    ]
    fake.serve([ok(bodies[0], gzip=True), ok(bodies[1])])
    llmhive("sync")
    llmhive("sync", "--force")
    database = connect(llmhive.env["DATABASE_URL"])
    with database.read() as connection:
        kept = [captures.read_body(connection, row["digest"]) for row in of(llmhive, without=())["capture"]]
    database.close()
    assert kept == bodies


def test_a_paged_list_is_read_whole(llmhive: Command, fake: FakeOpenRouter) -> None:
    records = some(25)
    fake.serve(paged(records, size=10))
    run = llmhive("sync")
    assert (run["status"], run["models_seen"], run["added"]) == ("completed", 25, 25)
    assert len(fake.requests) == 3
    assert sorted(by_id(llmhive)) == sorted(record["id"] for record in records)
    assert llmhive("sync", SYNC_MIN_INTERVAL_MINUTES=0)["status"] == "unchanged"
