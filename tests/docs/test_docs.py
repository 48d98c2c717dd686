"""The docs say what is so: generated parts, links, names, and examples that run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa

from llmhive.app import settings as settings_table
from llmhive.app import wiring
from llmhive.app.library import Catalog
from llmhive.app.openrouter.sync import Policy, Sync
from llmhive.catalog.cause import Cause
from llmhive.catalog.gate import Limits
from llmhive.catalog.run import Run
from llmhive.store.database import Database, connect
from tests.docs import generate
from tests.fake_openrouter import FakeOpenRouter, catalog, model, ok
from tests.support import runner_at

PAGES = generate.files()
OPERATIONS = (generate.ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
DICTIONARY = (generate.ROOT / "docs" / "data-dictionary.md").read_text(encoding="utf-8")
README = (generate.ROOT / "README.md").read_text(encoding="utf-8")
#: An instant before the one that the dictionary's first example asks about.
SYNCED_AT = datetime(2026, 7, 25, 6, tzinfo=UTC)

_LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
_TOLD = re.compile(r"tell\(\s*f?\"([^\"]+)\"")


def page(path: Path) -> str:
    """A page's name, for the test's."""
    return path.relative_to(generate.ROOT).as_posix()


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The anchors that a page's headings get."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def sync(database: Database, fake: FakeOpenRouter, at: datetime) -> Run:
    """A sync at an instant."""
    settings = settings_table.read({"OPENROUTER_BASE_URL": fake.base_url}, Path("no such file"))
    policy = Policy(settings.base_url, timedelta(0), Limits())
    return Sync(runner_at(database, at), policy, lambda: wiring.client(settings)).run(trigger="cli")


@pytest.fixture
def fake() -> Iterator[FakeOpenRouter]:
    """An OpenRouter with three models, one of them a router."""
    body = catalog(
        model(
            "anthropic/claude-opus-5",
            context_length=1_000_000,
            pricing={"prompt": "0.000005", "completion": "0.000025", "input_cache_read": "0.00000008333333333333334"},
        ),
        model("acme/one:free"),
        model("openrouter/auto", pricing={"prompt": "-1", "completion": "-1"}),
    )
    with FakeOpenRouter(ok(body)) as server:
        yield server


@pytest.fixture
def synced(database: Database, fake: FakeOpenRouter) -> Database:
    """A database that was synced a week before the examples' day."""
    assert sync(database, fake, SYNCED_AT).status == "completed"
    return database


@pytest.mark.parametrize("path", PAGES, ids=page)
def test_generated_parts_are_current(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert generate.renewed(text) == text, "run `make docs`"


def test_every_part_is_used() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in PAGES)
    assert set(re.findall(r"^<!-- generated: ([a-z-]+) -->$", text, re.MULTILINE)) == set(generate.PARTS)


@pytest.mark.parametrize("path", PAGES, ids=page)
def test_relative_links_resolve(path: Path) -> None:
    for target in _LINK.findall(path.read_text(encoding="utf-8")):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked.read_text(encoding="utf-8")), target


def test_every_decision_is_listed() -> None:
    folder = generate.ROOT / "docs" / "decisions"
    listed = _LINK.findall((folder / "README.md").read_text(encoding="utf-8"))
    assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))


@pytest.mark.parametrize("variable", [row.variable for row in settings_table.TABLE])
def test_every_setting_is_in_the_guide(variable: str) -> None:
    assert f"`{variable}`" in OPERATIONS


@pytest.mark.parametrize("name", generate.command_table())
def test_every_command_is_in_the_guide(name: str) -> None:
    assert f"#### `llmhive {name}`" in OPERATIONS
    contract = OPERATIONS.partition("## Commands of the contract")[2].partition("\n## ")[0]
    assert re.search(rf"`{name}[ `]", contract)


@pytest.mark.parametrize("path", PAGES, ids=page)
def test_commands_in_shell_examples_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    used = re.findall(r"(?:^|[ /])llmhive ([a-z-]+)", "\n".join(blocks(text, "sh")), re.MULTILINE)
    assert set(used) <= set(generate.command_table())


def test_every_log_line_is_in_the_guide() -> None:
    source = "\n".join(it.read_text(encoding="utf-8") for it in (generate.ROOT / "src").rglob("*.py"))
    events = {re.sub(r"\{.+?\}", "N", event) for event in _TOLD.findall(source)}
    events |= {"Sync failed", "Sync held"}  # chosen by a condition
    assert len(events) > 10
    missing = {event for event in events if f"`{event}`" not in OPERATIONS}
    assert not missing


def test_every_field_is_in_the_guide(tmp_path: Path) -> None:
    run = Run("regular", "cli", "running", SYNCED_AT, plan=(), verdicts=())
    with Catalog.open(f"sqlite:///{tmp_path / 'none.db'}", settings=settings_table.read({}, tmp_path / ".env")) as none:
        fields = run.to_json().keys() | none.status().keys()
    missing = {name for name in fields if f"`{name}`" not in OPERATIONS}
    assert not missing


def test_price_example(synced: Database) -> None:
    rows = rows_of(synced, example("position, condition"))
    assert [(row.unit, str(row.rate)) for row in rows] == [
        ("completion", "0.000025"),
        ("input_cache_read", "0.00000008333333333333334") if synced.dialect == "sqlite" else
        ("input_cache_read", "8.333333333333334E-8"),
        ("prompt", "0.000005"),
    ]  # fmt: skip


def test_active_example(synced: Database) -> None:
    rows = rows_of(synced, example("WHERE is_active"))
    assert [row.id for row in rows] == ["acme/one:free", "anthropic/claude-opus-5", "openrouter/auto"]
    assert rows[-1].pricing_kind == "dynamic"
    assert rows[-1].prompt_price is None


def test_runs_example(synced: Database) -> None:
    [row] = rows_of(synced, example("FROM sync_run"))
    assert (row.kind, row.status, row.models_seen, row.added) == ("regular", "completed", 3, 3)


def test_history_examples(database: Database, fake: FakeOpenRouter) -> None:
    """A price that falls too far, and two more syncs that say the same."""
    others = [model(f"acme/other-{number}") for number in range(40)]
    for day, prompt in ((0, "0.000005"), (1, "0.0000001"), (2, "0.0000001"), (3, "0.0000001")):
        opus = model("anthropic/claude-opus-5", pricing={"prompt": prompt, "completion": "0.000025"})
        fake.serve(catalog(opus, *others))
        assert sync(database, fake, SYNCED_AT + timedelta(days=day)).status in {"completed", "unchanged"}
        held = rows_of(database, example("held IS NOT NULL"))
        assert [row.id for row in held] == (["anthropic/claude-opus-5"] if day == 1 else [])
    prices = rows_of(database, example("unit = 'prompt'"))
    assert [(Decimal(row.rate), row.valid_to is None, bool(row.is_held)) for row in prices] == [
        (Decimal("0.0000001"), True, False),
        (Decimal("0.000005"), False, False),
    ]
    listed = rows_of(database, example("FROM model_version"))
    assert [row.model_id for row in listed] == sorted([*(it["id"] for it in others), "anthropic/claude-opus-5"])
    [news] = rows_of(database, example("FROM change"))
    assert (news.what, news.field, news.before, news.after) == (
        "repriced", "pricing.prompt", '"0.000005"', '"0.0000001"'
    )  # fmt: skip


def test_every_sql_example_runs(synced: Database) -> None:
    for statement in blocks(DICTIONARY.partition("## The views")[0], "sql"):
        rows_of(synced, statement)


def example(words: str) -> str:
    """The one example of the dictionary that holds these words."""
    [found] = [it for it in blocks(DICTIONARY.partition("## The views")[0], "sql") if words in it]
    return found


def rows_of(database: Database, statement: str) -> list[sa.Row[tuple[object, ...]]]:
    """What an example finds."""
    with database.read() as connection:
        return list(connection.exec_driver_sql(statement).all())


def test_library_example(
    fake: FakeOpenRouter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path / 'example.db'}"
    database = connect(url)
    assert sync(database, fake, SYNCED_AT).status == "completed"
    database.close()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", url)
    [example] = blocks(README, "python")
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == [
        "anthropic/claude-opus-5 0.000005 USD per token",
        "1 models as of 2026-07-25 06:00:00+00:00",
    ]


def test_the_published_causes_are_those_there_are() -> None:
    published = (generate.ROOT / "docs" / "reconcile.md").read_text(encoding="utf-8")
    told = [line.split(" | ")[:2] for line in published.partition("## The causes")[2].splitlines() if line[:3] == "| `"]
    assert told == [[f"| `{cause.value}`", cause.meaning] for cause in Cause]
