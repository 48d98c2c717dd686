"""Schema and migrations meet, and many processes may migrate at once."""

from __future__ import annotations

import subprocess
import sys

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from llmhive.catalog.model import Model, Version
from llmhive.errors import SchemaOutdated, SettingsError
from llmhive.store import database as module
from llmhive.store import versions
from llmhive.store.database import Database, Schema, connect
from llmhive.store.tables import CHANGE, MODEL_VERSION, WHERE, description, metadata, version
from tests.support import ROOT, execute


def test_head_is_the_newest_migration() -> None:
    scripts = ScriptDirectory(str(ROOT / "src/llmhive/store/migrations"))
    assert scripts.get_heads() == [module.HEAD]


def test_the_migrated_database_is_what_the_tables_say(database: Database) -> None:
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_partial_indexes_have_their_conditions(database: Database) -> None:
    with database.read() as connection:
        for table in metadata.sorted_tables:
            found = {index["name"]: index for index in sa.inspect(connection).get_indexes(table.name)}
            for index in table.indexes:
                options = found[index.name].get("dialect_options", {})
                where = str(options.get(f"{database.dialect}_where", ""))
                wanted = str(index.info.get(WHERE, ""))
                # PostgreSQL writes it its own way: ((status)::text = 'running'::text)
                plain = where.replace("::character varying", "").replace("::text", "").replace("(", "").replace(")", "")
                assert plain == wanted, index.name


def test_the_view_is_what_the_tables_say(database: Database) -> None:
    with database.read() as connection:
        names = sa.inspect(connection).get_columns("model_version")
        assert [column["name"] for column in names] == [
            "model_id", "valid_from", "valid_to", "is_listed", "version", "document",
        ]  # fmt: skip
        if database.dialect == "sqlite":
            made = connection.execute(sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'view'"))
            written = {row.name: row.sql.split() for row in made}
            assert written == {"model_version": MODEL_VERSION["sqlite"].split(), "change": CHANGE.split()}


def test_schema_is_missing_then_current(empty_database: Database) -> None:
    assert empty_database.schema() is Schema.MISSING
    assert empty_database.require_schema() is False
    empty_database.migrate()
    assert empty_database.schema() is Schema.CURRENT
    empty_database.migrate()
    assert empty_database.require_schema() is True


@pytest.mark.parametrize(("found", "schema"), [("0000", Schema.OUTDATED), ("9999", Schema.NEWER)])
def test_tables_of_another_version_are_refused(
    database: Database, database_url: str, found: str, schema: Schema
) -> None:
    execute(database_url, "UPDATE alembic_version SET version_num = :found", found=found)
    assert database.schema() is schema
    with pytest.raises(SchemaOutdated, match=r"llmhive migrate|Update it"):
        database.require_schema()


def test_four_processes_migrate_at_once(empty_database: Database, empty_database_url: str) -> None:
    program = "import sys; from llmhive.store.database import connect; connect(sys.argv[1]).migrate()"
    started = [
        subprocess.Popen([sys.executable, "-c", program, empty_database_url], stderr=subprocess.PIPE) for _ in range(4)
    ]
    for process in started:
        _, error = process.communicate(timeout=60)
        assert process.returncode == 0, error.decode()
    assert empty_database.schema() is Schema.CURRENT


@pytest.mark.parametrize("url", ["mysql://localhost/x", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_other_databases_are_refused_with_advice(url: str) -> None:
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        connect(url)


def test_the_password_is_never_shown() -> None:
    database = connect("postgres://user:hunter2@localhost/db?host=/cloudsql/p:r:i")
    assert "hunter2" not in database.label
    assert database.dialect == "postgresql"


def test_a_version_nobody_knows_is_said(database: Database, database_url: str) -> None:
    execute(database_url, "UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(SchemaOutdated, match="does not know"):
        database.migrate()


def test_descriptions_are_taken_apart_and_read_as_before(empty_database: Database) -> None:
    """Contents that the version before wrote whole."""
    model = Model("acme/one", description='A "quoted" one\nof two lines: π', name="One", default_parameters=(("t", 1),))
    bare = Model("acme/two", name="Two")
    script = ScriptDirectory(str(ROOT / "src/llmhive/store/migrations"))
    with empty_database.write() as connection:
        _upgrade(connection, script, "0001")
        for it in map(Version, (model, bare)):
            values = {"digest": it.digest, "document": it.document}
            connection.execute(sa.text("INSERT INTO version (digest, document) VALUES (:digest, :document)"), values)
        _upgrade(connection, script, "0002")
    with empty_database.read() as connection:
        chosen = sa.select(*versions.DOCUMENT).select_from(version).outerjoin(
            description, description.c.digest == version.c.description
        )  # fmt: skip
        found = {it.model.id: it for it in versions.read(connection.execute(chosen))}
        assert connection.execute(sa.select(sa.func.count()).select_from(description)).scalar_one() == 1
    for wanted in (model, bare):
        assert found[wanted.id].model == wanted
        assert found[wanted.id].digest == Version(wanted).digest


def _upgrade(connection: sa.Connection, script: ScriptDirectory, to: str) -> None:
    context = MigrationContext.configure(
        connection, opts={"fn": lambda revision, _: script._upgrade_revs(to, revision)}
    )  # fmt: skip
    with Operations.context(context):
        context.run_migrations()
