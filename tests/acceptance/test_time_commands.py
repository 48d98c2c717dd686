"""The commands over time and over the ledger, as their users run them."""

from __future__ import annotations

import csv
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from llmhive.errors import StoreError
from tests.fake_openrouter import FakeOpenRouter, Record, catalog, model
from tests.support import DIALECTS, Command, create_database, drop_database, dump, finish, rows, sync_at

POSTGRESQL_LATER = True

OTHERS = [model(f"acme/other-{number:02}") for number in range(40)]
EXACT = "0.00000008333333333333334"


def one(prompt: str = "0.000001", **more: Any) -> Record:
    return model("acme/one", pricing={"prompt": prompt, "completion": "0.000002"}, **more)


def listing(*records: Record) -> bytes:
    return catalog(*OTHERS, *records)


#: captures by day of May 2026
MAY = {
    1: listing(one()),
    2: listing(one("0.0000012"), model("acme/brief")),
    3: listing(one("0.0000012", context_length=200_000, name="One Again")),
    4: listing(model("acme/brief")),
    5: listing(one("0.0000005", context_length=200_000, name="One Again"), model("acme/brief")),
}


@pytest.fixture
def captured(tmp_path: Path) -> Path:
    """A folder of captures, one a day, and a file that is none."""
    folder = tmp_path / "captures"
    (folder / "deeper").mkdir(parents=True)
    for day, body in MAY.items():
        (folder / ("deeper" if day % 2 else "") / f"2026-05-{day:02}T060000Z_0000000{day}.json").write_bytes(body)
    (folder / "notes.json").write_text("not a capture")
    return folder


@pytest.fixture
def backfilled(llmhive: Command, captured: Path) -> Command:
    assert llmhive("backfill", str(captured))["status"] == "completed"
    return llmhive


# --- backfill


def test_backfill_of_a_folder_says_what_it_did(llmhive: Command, captured: Path) -> None:
    result = llmhive.run("backfill", str(captured))
    assert result.code == 0, result
    assert result.stdout.startswith("Took 5 captures into history, 2026-05-01 to 2026-05-05 in ")
    again = llmhive("backfill", str(captured))
    assert (again["status"], again["kind"]) == ("unchanged", "backfill")
    assert again["notes"] == ["Nothing new: every capture is in history already."]


@pytest.mark.parametrize("kind", ["tar", "gztar"])
def test_backfill_of_an_archive(llmhive: Command, captured: Path, tmp_path: Path, kind: str) -> None:
    archive = shutil.make_archive(str(tmp_path / "packed"), kind, captured)
    run = llmhive("backfill", archive)
    assert run["notes"][0].startswith("Took 5 captures into history")


def test_backfill_of_what_holds_no_captures_says_how_they_are_named(llmhive: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("no archive")
    for name, said in (("empty", "YYYY-MM-DDTHHMMSSZ"), ("text.txt", "neither a folder nor an archive"), ("no", "no")):
        result = llmhive.run("backfill", str(tmp_path / name), "--json")
        assert (result.code, result.stdout) == (2, ""), result
        assert said in result.stderr
        assert "Traceback" not in result.stderr
    wrong = llmhive.run("backfill", str(tmp_path), "--scope", "some")
    assert (wrong.code, "--scope all or --scope text" in wrong.stderr) == (2, True)


# --- history, diff, changes, models --as-of


def test_history_tells_each_change_with_its_date_and_both_values(backfilled: Command) -> None:
    found = backfilled("history", "acme/one")
    assert [(it["at"], it["what"], it["field"], it["before"], it["after"]) for it in found["entries"]] == [
        ("2026-05-01T06:00:00Z", "listed", None, None, "Acme: One"),
        ("2026-05-02T06:00:00Z", "repriced", "pricing.prompt", "0.000001", "0.0000012"),
        ("2026-05-03T06:00:00Z", "changed", "name", "Acme: One", "One Again"),
        ("2026-05-03T06:00:00Z", "changed", "context_length", 131072, 200000),
        ("2026-05-04T06:00:00Z", "deactivated", "is_listed", True, False),
        ("2026-05-05T06:00:00Z", "reactivated", "is_listed", False, True),
        ("2026-05-05T06:00:00Z", "repriced", "pricing.prompt", "0.0000012", "0.0000005"),
    ]
    prompt = [(row["rate"], row["from"], row["to"]) for row in found["prices"] if row["unit"] == "prompt"]
    assert prompt == [
        ("0.000001", "2026-05-01T06:00:00Z", "2026-05-02T06:00:00Z"),
        ("0.0000012", "2026-05-02T06:00:00Z", "2026-05-04T06:00:00Z"),
        ("0.0000005", "2026-05-05T06:00:00Z", None),
    ]


def test_history_for_people_has_a_line_each_and_a_chart(backfilled: Command) -> None:
    result = backfilled.run("history", "acme/one")
    assert (result.code, result.stderr) == (0, "")
    assert "2026-05-02 06:00  repriced  prompt $1.00 → $1.20 (+20 %)" in result.stdout
    assert "2026-05-03 06:00  changed   name Acme: One → One Again, context_length 131k → 200k" in result.stdout
    assert "2026-05-04 06:00  gone" in result.stdout
    assert "2026-05-05 06:00  back" in result.stdout
    assert "prompt, USD per million tokens" in result.stdout
    assert any("⠀" <= letter <= "⣿" for letter in result.stdout)
    # a price that never changed has no chart
    assert "completion, USD per million tokens" not in result.stdout


def test_history_of_what_was_never_seen_names_near_ids(backfilled: Command) -> None:
    miss = backfilled.run("history", "acme/ons", "--json")
    assert (miss.code, miss.stdout) == (2, "")
    assert "acme/one" in miss.stderr


def test_diff_between_two_instants(backfilled: Command) -> None:
    found = backfilled("diff", "2026-05-01T12:00Z", "2026-05-03T12:00Z")
    assert (found["from"], found["to"]) == ("2026-05-01T12:00:00Z", "2026-05-03T12:00:00Z")
    assert [(it["id"], it["what"], it["field"]) for it in found["changes"]] == [
        ("acme/one", "changed", "name"),
        ("acme/one", "changed", "context_length"),
        ("acme/one", "repriced", "pricing.prompt"),
    ]
    told = backfilled.run("diff", "2026-05-02T12:00Z", "2026-05-05T12:00Z").stdout
    assert told.startswith("2026-05-02 12:00 UTC to 2026-05-05 12:00 UTC: 42 → 42 models.")
    assert "1 cheaper      acme/one  prompt $1.20 → $0.50 (-58 %)" in told
    assert "1 limits       acme/one  context_length 131k → 200k" in told


def test_diff_with_snapshots(backfilled: Command, fake: FakeOpenRouter) -> None:
    backfilled("snapshot", "before")
    fake.serve(listing(one("0.0000004", context_length=200_000, name="One Again"), model("acme/new")))
    assert backfilled("sync")["status"] == "completed"
    backfilled("snapshot", "after")
    wanted = [("acme/brief", "deactivated"), ("acme/new", "added"), ("acme/one", "repriced")]
    for words in (["before"], ["before", "after"]):
        assert [(it["id"], it["what"]) for it in backfilled("diff", *words)["changes"]] == wanted
    other_way = backfilled("diff", "after", "before")["changes"]
    assert [(it["id"], it["what"]) for it in other_way] == [
        ("acme/brief", "reactivated"), ("acme/new", "deactivated"), ("acme/one", "repriced"),
    ]  # fmt: skip
    miss = backfilled.run("diff", "befor")
    assert miss.code == 2
    assert "before" in miss.stderr


def test_models_as_of(backfilled: Command) -> None:
    for day, listed, prompt in ((1, 41, "0.000001"), (2, 42, "0.0000012"), (4, 41, None), (5, 42, "0.0000005")):
        page = backfilled("models", "--as-of", f"2026-05-{day:02}T12:00Z")
        assert (page["total"], page["as_of"]) == (listed, f"2026-05-{day:02}T06:00:00Z")
        found = {row["id"]: row for row in page["data"]}
        assert found.get("acme/one", {"pricing": {"prompt": None}})["pricing"]["prompt"] == prompt
    # a day begins at midnight
    assert backfilled("models", "--as-of", "2026-05-02")["as_of"] == "2026-05-01T06:00:00Z"
    gone = backfilled("models", "--inactive", "--as-of", "2026-05-04T12:00Z")["data"]
    assert [(row["id"], row["deactivated_at"]) for row in gone] == [("acme/one", "2026-05-04T06:00:00Z")]


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("2026-04-30", "history begins 2026-05-01 06:00 UTC"), ("2999-01-01", "in the future"),
        ("yesterday", "is not a time"), ("2026-13-01", "is not a time"),
    ],
)  # fmt: skip
def test_times_of_which_nothing_is_known_are_said(backfilled: Command, when: str, said: str) -> None:
    for words in (["models", "--as-of", when], ["export", "out.csv", "--as-of", when]):
        result = backfilled.run(*words, "--json")
        assert (result.code, result.stdout) == (2, ""), result
        assert said in result.stderr


def test_changes_are_told_once_and_only_when_confirmed(backfilled: Command, captured: Path) -> None:
    def told() -> list[tuple[str, str, str, Any, Any]]:
        found = backfilled("changes", "--since", "2026-01-01")["data"]
        return [(it["model_id"], it["what"], it["field"], it["before"], it["after"]) for it in found]

    # what only the last capture says is not confirmed yet; what was there for one capture only never was
    confirmed = [
        ("acme/brief", "added", "is_listed", None, True),
        ("acme/one", "limits", "context_length", 131072, 200000),
        ("acme/one", "repriced", "pricing.prompt", "0.000001", "0.0000012"),
    ]
    assert told() == confirmed
    for hour in (12, 18):
        (captured / f"2026-05-05T{hour}0000Z_again.json").write_bytes(MAY[5])
    backfilled("backfill", str(captured))
    assert told() == [("acme/one", "repriced", "pricing.prompt", "0.0000012", "0.0000005"), *confirmed]
    people = backfilled.run("changes", "--since", "2026-01-01")
    assert "prompt $1.20 → $0.50 (-58 %)" in people.stdout
    assert backfilled("changes", "--since", "2026-05-05")["total"] == 1


# --- held values, accept


def test_a_held_value_is_said_wherever_a_price_is_shown(llmhive: Command, fake: FakeOpenRouter) -> None:
    url = llmhive.env["DATABASE_URL"]
    fake.serve(listing(one()))
    sync_at(url, fake.base_url, datetime.now(UTC) - timedelta(hours=2))
    fake.serve(listing(one("0.00000001")))

    result = llmhive.run("sync")

    assert result.code == 0, result
    assert "    1 held         acme/one  prompt $0.01, believed $1.00" in result.stdout
    [line] = [line for line in result.stdout.splitlines() if "1 value is held" in line]
    run = llmhive("runs")["data"][0]
    assert f"llmhive show {run['id']} · llmhive accept {run['id']}" in line
    assert run["held"] == 1
    shown = llmhive.run("show", str(run["id"])).stdout
    assert "held by the rule price_fall acme/one" in shown
    assert "pricing.prompt fell from 0.000001 to 0.00000001" in shown
    assert f"llmhive accept {run['id']}" in shown
    [verdict] = llmhive("show", str(run["id"]))["verdicts"]
    assert verdict.items() >= {"model_id": "acme/one", "field": "pricing.prompt", "outcome": "held"}.items()
    assert verdict["evidence"]["before"] == "0.000001"
    assert [it for it in llmhive("show", str(run["id"]))["plan"] if it["what"] == "held"] == [
        {"id": "acme/one", "what": "held", "field": "pricing.prompt", "before": "0.000001", "after": "0.00000001"}
    ]
    assert "held: prompt" in llmhive.run("models", "acme/one").stdout
    assert "Held: OpenRouter says prompt $0.01 per million tokens" in llmhive.run("model", "acme/one").stdout
    assert "Held by the gate and not confirmed: prompt $0.01" in llmhive.run("history", "acme/one").stdout
    assert llmhive("status")["held_values"] == 1
    assert "values of 1 model" in llmhive.run("status").stdout
    assert [it["found"] for it in llmhive("doctor", "--offline")["checks"] if it["name"] == "held"]
    for name in ("models", "model"):
        found = llmhive(name, "acme/one")
        row = found["data"][0] if name == "models" else found
        assert (row["pricing"]["prompt"], row["held"]["pricing.prompt"]["served"]) == ("0.000001", "0.00000001")

    accepted = llmhive("accept", str(run["id"]))
    assert (accepted["status"], accepted["repriced"]) == ("completed", 1)
    assert llmhive("model", "acme/one")["pricing"]["prompt"] == "0.00000001"
    assert llmhive("status")["held_values"] == 0
    refused = llmhive.run("accept", str(run["id"]), "--json")
    assert (refused.code, refused.stdout) == (2, "")


def test_a_held_run_is_explained_and_accepted(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(listing(one()))
    llmhive("sync")
    fake.serve(catalog(*OTHERS[:20]))
    held = llmhive("sync", "--force", code=3)
    shown = llmhive.run("show", str(held["id"])).stdout
    assert "held by the rule removal" in shown
    assert "acme/other-20, acme/other-21" in shown
    accepted = llmhive("accept", str(held["id"]))
    assert accepted["deactivated"] == 21
    assert llmhive("status")["models_in_catalog"] == 20
    assert f"Accepted what run {held['id']} held." in llmhive.run("show", str(accepted["id"])).stdout
    for words in (["accept", "999"], ["accept"], ["accept", "x"]):
        assert llmhive.run(*words).code == 2


# --- snapshots, rollback


def test_snapshot_rollback_pin_unpin(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(listing(one()))
    llmhive("sync")
    assert llmhive("snapshot", "good", "--note", "before the change")["models"] == 41
    before = dump(llmhive.env["DATABASE_URL"])["model_catalog"]
    fake.serve(listing(one("0.0000012")))
    llmhive("sync", "--force")

    planned = llmhive("rollback", "good", "--dry-run")
    assert (planned["id"], planned["repriced"]) == (None, 1)
    assert "Nothing was written." in llmhive.run("rollback", "good", "--dry-run").stdout
    done = llmhive.run("rollback", "good", "--pin")
    assert done.code == 0, done
    assert done.stdout.startswith("Back to the snapshot 'good'")
    assert dump(llmhive.env["DATABASE_URL"])["model_catalog"] == before
    assert llmhive("status")["pinned"] == "good"
    assert "unpin" in llmhive.run("status").stdout
    names = [(it["name"], it["is_pinned"]) for it in llmhive("snapshots")["data"]]
    run = llmhive("runs")["data"][0]
    assert names == [(f"before-run-{run['id']}", False), ("good", True)]
    assert "before the change" in llmhive.run("snapshots").stdout
    llmhive("sync", "--force")
    assert dump(llmhive.env["DATABASE_URL"])["model_catalog"] == before
    assert llmhive("unpin") == {"was_pinned_to": "good"}
    assert llmhive("unpin") == {"was_pinned_to": None}
    assert llmhive("sync", "--force")["repriced"] == 1
    # without a name it is named by the time
    assert llmhive("snapshot")["name"].startswith("at-20")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("snapshot good", "choose another name"), ("snapshot 2026-05-01", "Begin with a letter"),
        ("snapshot a/b", "Begin with a letter"), ("rollback god", "There are: good"), ("rollback", ""),
    ],
)  # fmt: skip
def test_wrong_snapshots_are_said(llmhive: Command, fake: FakeOpenRouter, words: str, said: str) -> None:
    fake.serve(listing(one()))
    llmhive("sync")
    llmhive("snapshot", "good")
    before = dump(llmhive.env["DATABASE_URL"])
    result = llmhive.run(*words.split(), "--json")
    assert (result.code, result.stdout) == (2, ""), result
    assert said in result.stderr
    assert dump(llmhive.env["DATABASE_URL"]) == before


def test_an_empty_catalog_has_nothing_to_keep_or_to_go_back_to(llmhive: Command, tmp_path: Path) -> None:
    for words in (
        ["snapshot", "x"], ["rollback", "x"], ["backup", str(tmp_path / "b.db")], ["export", str(tmp_path / "e.csv")],
        ["history", "acme/one"], ["diff"], ["accept", "1"],
    ):  # fmt: skip
        result = llmhive.run(*words, "--json")
        assert (result.code, result.stdout) == (2, ""), result
        assert "Traceback" not in result.stderr
    assert llmhive("snapshots") == {"data": []}
    assert llmhive("changes") == {"data": [], "total": 0}
    assert llmhive("unpin") == {"was_pinned_to": None}
    assert dump(llmhive.env["DATABASE_URL"]) == {}
    assert not [file for file in tmp_path.iterdir() if file.suffix in {".db", ".csv"}]


def test_rederive_without_news(backfilled: Command) -> None:
    before = dump(backfilled.env["DATABASE_URL"], without=("sync_run", "served_version", "model_price", "transition"))
    run = backfilled("rederive")
    assert (run["status"], run["kind"]) == ("unchanged", "backfill")
    assert run["notes"] == ["Read 5 captures anew: nothing became different."]
    after = dump(backfilled.env["DATABASE_URL"], without=("sync_run", "served_version", "model_price", "transition"))
    assert after == before


# --- files


@pytest.mark.parametrize("target", DIALECTS)
def test_backup_and_restore(backfilled: Command, fake: FakeOpenRouter, target: str, tmp_path: Path,
                            request: pytest.FixtureRequest) -> None:  # fmt: skip
    fake.serve(listing(one(EXACT)))
    backfilled("sync")
    backfilled("snapshot", "kept")
    url, file = backfilled.env["DATABASE_URL"], tmp_path / "copy.db"
    told = backfilled("backup", str(file))
    assert told["bytes"] == file.stat().st_size > 0
    assert [it.name for it in tmp_path.iterdir() if "copy" in it.name] == ["copy.db"]
    assert dump(f"sqlite:///{file}") == dump(url)
    again = backfilled.run("backup", str(file))
    assert (again.code, "never overwrites" in again.stderr) == (2, True)

    new = f"sqlite:///{tmp_path / 'restored.db'}"
    if target == "postgresql":
        server = request.getfixturevalue("postgresql_server")
        new = create_database(server, f"restored_{tmp_path.name[-40:]}".lower())
    try:
        restored = Command(backfilled.folder, backfilled.env | {"DATABASE_URL": new})
        restored("restore", str(file))
        assert dump(new) == dump(url)
        refused = restored.run("restore", str(file))
        assert (refused.code, "is not empty" in refused.stderr) == (2, True)
        # and it goes on from there
        fake.serve(listing(one("0.000003")))
        assert restored("sync", "--force")["repriced"] == 1
        assert restored("rollback", "kept")["repriced"] == 1
    finally:
        if target == "postgresql":
            drop_database(server, f"restored_{tmp_path.name[-40:]}".lower())


def test_what_is_no_backup_is_not_restored(llmhive: Command, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database at all, only a few words of text that fill more than a page")
    for name in ("missing.db", "text.db"):
        result = llmhive.run("restore", str(tmp_path / name))
        assert result.code in {1, 2}
        assert "Traceback" not in result.stderr
    assert dump(llmhive.env["DATABASE_URL"]) == {}


def test_export_has_every_digit_in_every_form(llmhive: Command, fake: FakeOpenRouter, tmp_path: Path) -> None:
    listed = (
        one(EXACT, name='A "quoted", name\nin two lines'),
        model("openrouter/auto", pricing={"prompt": "-1", "completion": "-1"}),
    )
    fake.serve(catalog(*OTHERS, *listed))
    llmhive("sync")
    told = {kind: llmhive("export", str(tmp_path / f"catalog.{kind}")) for kind in ("csv", "json", "parquet")}
    assert {kind: it["models"] for kind, it in told.items()} == {"csv": 42, "json": 42, "parquet": 42}
    with (tmp_path / "catalog.csv").open(encoding="utf-8", newline="") as file:
        read = {row["id"]: row for row in csv.DictReader(file)}
    assert (read["acme/one"]["prompt_price"], read["openrouter/auto"]["prompt_price"]) == (EXACT, "")
    assert read["acme/one"]["supported_parameters"] == "max_tokens temperature tools top_p"
    document = json.loads((tmp_path / "catalog.json").read_bytes())
    assert document == llmhive("models") | {"as_of": document["as_of"]}
    with duckdb.connect() as connection:
        found = connection.execute(
            "SELECT name, prompt_price, prompt_price_per_million, supported_parameters, CAST(created_at AS VARCHAR) "
            f"FROM '{tmp_path / 'catalog.parquet'}' WHERE id IN ('acme/one', 'openrouter/auto') ORDER BY id"
        ).fetchall()
    assert found[0][:4] == (
        'A "quoted", name\nin two lines', EXACT, 0.08333333333333334, ["max_tokens", "temperature", "tools", "top_p"]
    )  # fmt: skip
    assert found[1][1:3] == (None, None)
    assert sorted(it.name for it in tmp_path.iterdir() if "catalog" in it.name) == [
        "catalog.csv", "catalog.json", "catalog.parquet",
    ]  # fmt: skip
    wrong = llmhive.run("export", str(tmp_path / "catalog.xls"))
    assert (wrong.code, ".parquet" in wrong.stderr) == (2, True)
    assert llmhive.run("export", str(tmp_path / "no" / "catalog.csv")).code == 2


def test_a_stopped_backfill_goes_on_where_it_was(llmhive: Command, tmp_path: Path) -> None:
    import signal
    import time

    folder = tmp_path / "many"
    folder.mkdir()
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(400):
        at = start + timedelta(hours=number)
        (folder / f"{at:%Y-%m-%dT%H%M%SZ}.json").write_bytes(listing(one(f"0.00000{number % 9 + 1}")))
    # who looks must not be in the way of who makes the tables
    llmhive.run("migrate")
    process = llmhive.start("backfill", str(folder), "--json")
    deadline = time.monotonic() + 30
    while not _captures(llmhive) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    stopped = finish(process)
    kept = _captures(llmhive)
    # 0: it was done before the signal came
    assert stopped.code in {0, 130}, stopped
    if stopped.code == 130:
        assert "Stopped" in stopped.stderr
        assert 0 < kept < 400
        assert rows(llmhive.env["DATABASE_URL"], "SELECT COUNT(*) AS n FROM served_version") == [{"n": 0}]
    run = llmhive("backfill", str(folder))
    assert run["status"] == "completed" or '"completed"' in stopped.stdout
    assert _captures(llmhive) == 400
    assert len(llmhive("history", "acme/one")["entries"]) == 400


def _captures(llmhive: Command) -> int:
    try:
        [row] = rows(llmhive.env["DATABASE_URL"], "SELECT COUNT(*) AS n FROM capture")
    except StoreError:
        return 0  # not even a table
    return int(row["n"])
