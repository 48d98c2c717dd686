"""The reading commands: one JSON document each, with the contract's fields; help, usage and settings errors."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest

from tests.acceptance.test_sync import RUN_FIELDS
from tests.fake_openrouter import FakeOpenRouter, catalog, model, ok
from tests.support import Command, finish, rows

STATUS_FIELDS = {
    "last_sync_time", "last_sync_status", "models_in_catalog", "last_sync_duration_seconds", "next_scheduled_sync",
    "running", "last_error", "catalog_version", "catalog_age_seconds", "source", "held",
}  # fmt: skip
MODEL_FIELDS = {
    "id", "canonical_slug", "name", "author", "family", "variant", "description", "created_at", "context_length",
    "max_completion_tokens", "input_modalities", "output_modalities", "supported_parameters", "tokenizer",
    "pricing_kind", "pricing", "pricing_per_million", "is_active", "first_seen_at", "last_seen_at", "deactivated_at",
    "expiration_date",
}  # fmt: skip
COLUMNS = (MODEL_FIELDS - {"pricing_per_million"}) | {"prompt_price", "completion_price", "raw"}
COMMANDS = ("sync", "status", "runs", "show", "doctor", "models", "model", "migrate")

LISTED = (
    model("acme/one", pricing={"prompt": "0.00000008333333333333334"}, expiration_date="2030-01-31"),
    model("acme/two:free"),
    model("acme/video", architecture={"output_modalities": ["video"]}, pricing={"prompt": "0", "completion": "0"}),
    model("openrouter/auto", pricing={"prompt": "-1", "completion": "-1"}),
)


def instant(text: str) -> datetime:
    assert text.endswith("Z")
    return datetime.fromisoformat(text)


def test_status_and_runs_of_an_empty_database(llmhive: Command) -> None:
    status = llmhive("status")
    assert status.keys() >= STATUS_FIELDS
    assert (status["models_in_catalog"], status["last_sync_time"], status["source"]) == (0, None, None)
    assert llmhive("runs") == {"data": []}
    assert llmhive("models")["total"] == 0
    miss = llmhive.run("model", "acme/one", "--json")
    assert (miss.code, miss.stdout) == (2, "")
    assert "llmhive sync" in miss.stderr
    assert not list(llmhive.folder.rglob("*.db*"))


def test_status_after_a_sync(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(catalog(*LISTED))
    run = llmhive("sync")
    llmhive("sync", SYNC_MIN_INTERVAL_MINUTES=0)
    status = llmhive("status")
    assert status.keys() >= STATUS_FIELDS
    # an unchanged run is a completed sync to whoever asks
    assert (status["last_sync_status"], status["models_in_catalog"]) == ("completed", 4)
    assert (status["source"], status["last_error"], status["running"]) == ("openrouter", None, None)
    assert not status["held"]
    assert status["catalog_version"] == run["catalog_version"] == 1
    assert 0 <= status["catalog_age_seconds"] < 60
    assert isinstance(status["last_sync_duration_seconds"], float)
    assert instant(status["last_sync_time"]) >= instant(run["finished_at"])
    due = instant(status["next_scheduled_sync"])
    assert (due.hour % 6, due.minute) == (0, 0)


def test_runs_and_show(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve([ok(catalog(*LISTED)), ok(catalog(*LISTED, model("acme/new")))])
    first = llmhive("sync")
    second = llmhive("sync", "--force")
    found = llmhive("runs")["data"]
    assert [run["id"] for run in found] == [second["id"], first["id"]]
    assert all(run.keys() >= RUN_FIELDS for run in found)
    assert found == [second, first]
    shown = llmhive("show", str(second["id"]))
    assert shown.keys() >= RUN_FIELDS | {"plan", "verdicts"}
    assert shown["plan"] == [
        {"id": "acme/new", "what": "added", "field": None, "before": None, "after": "Acme: New"},
    ]
    miss = llmhive.run("show", "999", "--json")
    assert (miss.code, miss.stdout) == (2, "")
    assert "llmhive runs" in miss.stderr


def test_models_and_model(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(catalog(*LISTED))
    llmhive("sync")
    page = llmhive("models")
    assert page.keys() >= {"data", "total", "catalog_version", "as_of"}
    assert (page["total"], page["catalog_version"]) == (4, 1)
    instant(page["as_of"])
    assert all(row.keys() >= MODEL_FIELDS for row in page["data"])
    one, two, video, auto = page["data"]
    assert one["pricing"]["prompt"] == "0.00000008333333333333334"
    assert one["pricing_per_million"]["prompt"] == "0.08333333333333334"
    assert (one["author"], one["variant"], one["expiration_date"]) == ("acme", None, "2030-01-31")
    assert one["created_at"] == "2026-01-15T00:00:00Z"
    assert (two["pricing_kind"], two["variant"], two["pricing"]["prompt"]) == ("free", "free", "0")
    # what is not a known number is null, never zero and never -1
    assert (video["pricing_kind"], video["pricing"]["prompt"]) == ("unknown", None)
    assert (auto["pricing_kind"], auto["pricing"]["completion"]) == ("dynamic", None)
    single = llmhive("model", "acme/one")
    assert single.keys() >= MODEL_FIELDS | {"raw"}
    assert {name: single[name] for name in MODEL_FIELDS} == {name: one[name] for name in MODEL_FIELDS}
    assert single["raw"]["pricing"]["prompt"] == "0.00000008333333333333334"


def test_the_table_of_models_has_the_columns_that_scripts_rely_on(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(catalog(*LISTED))
    llmhive("sync")
    found = rows(llmhive.env["DATABASE_URL"], "SELECT * FROM model_catalog ORDER BY id")
    assert found[0].keys() >= COLUMNS
    assert f"{Decimal(found[0]['prompt_price']):f}" == "0.00000008333333333333334"
    assert [row["prompt_price"] for row in found[2:]] == [None, None]
    for name, wanted in (
        ("model_price", {"model_id", "unit", "rate", "position", "condition", "valid_from", "valid_to"}),
        ("model_version", {"model_id", "valid_from", "valid_to", "is_listed", "document"}),
    ):
        assert rows(llmhive.env["DATABASE_URL"], f"SELECT * FROM {name}")[0].keys() >= wanted


def test_a_miss_names_near_ids(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(catalog(model("acme/wonder-large"), model("zeta/else")))
    llmhive("sync")
    for name in ("acme/wonder-larg", "acne/wonder-large", "wonder-larger"):
        miss = llmhive.run("model", name, "--json")
        assert (miss.code, miss.stdout) == (2, ""), miss
        assert "acme/wonder-large" in miss.stderr
        assert "zeta/else" not in miss.stderr
    for name in ("wonder-large", "ACME/Wonder-Large"):
        assert llmhive("model", name)["id"] == "acme/wonder-large"


def test_doctor(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(catalog(*LISTED))
    llmhive("sync")
    found = llmhive("doctor", "--offline")
    assert found["ok"] is True
    names = {check["name"] for check in found["checks"]}
    assert names >= {"database", "tables", "lock", "schedule", "last sync"}
    assert all(check.keys() >= {"name", "ok", "found", "advice"} for check in found["checks"])


def test_doctor_finds_what_is_wrong_and_says_what_to_do(llmhive: Command, fake: FakeOpenRouter) -> None:
    from tests.support import execute

    fake.serve(catalog(*LISTED))
    llmhive("sync")
    execute(llmhive.env["DATABASE_URL"], "UPDATE alembic_version SET version_num = '0000'")
    found = llmhive("doctor", "--offline", code=1)
    assert found["ok"] is False
    bad = [check for check in found["checks"] if not check["ok"]]
    assert [check["name"] for check in bad] == ["tables"]
    assert "llmhive migrate" in bad[0]["advice"]


def test_migrate(llmhive: Command) -> None:
    first, second = llmhive("migrate"), llmhive("migrate")
    assert (first["before"], first["after"]) == ("missing", "current")
    assert (second["before"], second["after"]) == ("current", "current")


def test_people_get_tables_and_scripts_get_only_json(llmhive: Command, fake: FakeOpenRouter) -> None:
    fake.serve(catalog(*LISTED))
    llmhive("sync")
    for words in (["status"], ["runs"], ["show", "1"], ["models"], ["model", "acme/one"]):
        result = llmhive.run(*words)
        assert result.code == 0, result
        assert result.stdout.strip()
        assert not result.stdout.lstrip().startswith("{")
        assert result.stderr == ""


# --- what needs no database


def test_without_settings_the_database_is_in_the_users_data_directory(bare: Command, fake: FakeOpenRouter) -> None:
    fake.serve(catalog(*LISTED))
    bare("sync")
    assert (bare.folder / "data" / "llmhive" / "llmhive.db").is_file()
    assert bare("status")["models_in_catalog"] == 4


def test_settings_are_read_from_a_dotenv_file(bare: Command, fake: FakeOpenRouter) -> None:
    fake.serve(catalog(*LISTED))
    (bare.folder / ".env").write_text(f"DATABASE_URL=sqlite:///{bare.folder}/here.db\n", encoding="utf-8")
    bare("sync")
    assert (bare.folder / "here.db").is_file()


def test_every_command_has_help(bare: Command) -> None:
    general = bare.run("--help")
    assert general.code == 0
    for name in COMMANDS:
        assert name in general.stdout
        result = bare.run(name, "--help")
        assert result.code == 0
        assert "Usage: llmhive" in result.stdout
        assert name == "sync" or "--json" in result.stdout
        assert result.stderr == ""
    assert "SYNC_MIN_INTERVAL_MINUTES" in bare.run("sync", "--help").stdout


@pytest.mark.parametrize(
    "words",
    [
        "unheard-of", "sync --unheard-of", "sync extra", "show", "show one", "show 1.5", "model", "runs --limit 0",
        "models --sort unheard-of", "models --min-context many",
    ],
)  # fmt: skip
def test_wrong_usage_ends_with_2(words: str, bare: Command) -> None:
    result = bare.run(*words.split())
    assert (result.code, result.stdout) == (2, ""), result
    assert result.stderr
    assert "Traceback" not in result.stderr
    assert not list(bare.folder.rglob("*.db*"))


def test_the_guides_name_needs_sync(bare: Command) -> None:
    scheduler = Command(bare.folder, bare.env, ("-m", "llmhive.app.openrouter.scheduler"))
    assert scheduler.run("--dry-run").code == 2
    assert scheduler.run("--help").code == 0


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SYNC_MIN_INTERVAL_MINUTES", "often"),
        ("SYNC_MIN_INTERVAL_MINUTES", "nan"),
        ("SYNC_TIMEOUT_SECONDS", "0"),
        ("SYNC_BATCH_SIZE", "1.5"),
        ("SYNC_SCHEDULE", "now and then"),
        ("SYNC_REMOVAL_LIMIT_PERCENT", "101"),
        ("OPENROUTER_BASE_URL", "ftp://example.invalid"),
        ("OPENROUTER_BASE_URL", "https://fake:not-a-secret@example.invalid/api/v1"),
        ("DATABASE_URL", "mysql://fake:not-a-secret@example.invalid/fake"),
        ("DATABASE_URL", "://not-a-secret"),
        ("DATABASE_URL", "sqlite://"),
        ("OPENROUTER_API_KEY", "not-a-secret with a space"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(variable: str, value: str, bare: Command, fake: FakeOpenRouter) -> None:
    fake.serve(catalog(*LISTED))
    result = bare.run("sync", "--json", **{variable: value})
    assert (result.code, result.stdout) == (2, ""), result
    assert variable in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert "not-a-secret" not in result.stderr


def test_a_reader_that_stops_early_is_no_error(bare: Command, fake: FakeOpenRouter) -> None:
    """As in ``llmhive models | head``."""
    fake.serve(catalog(*LISTED))
    bare("sync")
    process = bare.start("models", "--json")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    result = finish(process)
    assert (result.code, result.stderr) == (0, "")
