"""Write the generated parts of the docs anew: ``python -m tests.docs.generate``.

A generated part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; `PARTS` says what belongs there. The
same source gives the same text.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import typer
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect

from llmhive.app import settings as settings_table
from llmhive.app.cli.main import app
from llmhive.app.http.app import routes as app_routes
from llmhive.app.http.auth import Access
from llmhive.app.http.metrics import METRICS
from llmhive.app.http.parameters import openapi as model_parameters
from llmhive.app.http.select_shapes import OF_NEED, body_schema
from llmhive.app.http.serve import assemble
from llmhive.app.live import Live
from llmhive.app.settings import TABLE, Setting
from llmhive.catalog.capability import CAPABILITIES
from llmhive.catalog.dimension import CATEGORIES, DIMENSIONS, MODALITIES
from llmhive.catalog.need import OBJECTIVES, Need
from llmhive.catalog.need import PARTS as OF_SCORE
from llmhive.catalog.quality import TASKS
from llmhive.catalog.role import ROLES
from llmhive.store.database import connect
from llmhive.store.tables import CHANGE, MODEL_VERSION, metadata

ROOT = Path(__file__).parents[2]
_PART = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
#: What an empty default stands for.
_DEFAULTS = {"DATABASE_URL": "SQLite in the user data directory"}
_MODULES: tuple[Any, ...] = (sqlite, postgresql)  # their `dialect` has no types
_DIALECTS: tuple[Dialect, ...] = tuple(module.dialect() for module in _MODULES)


def files() -> list[Path]:
    """Every page of the documentation."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def renewed(text: str) -> str:
    """A page with its generated parts as they must be; raises `KeyError` for an unknown part."""
    return _PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n{found[3]}", text)


def settings() -> str:
    """The settings, from the table that feeds the code."""
    rows = ((f"`{it.variable}`", _default(it), _meaning(it)) for it in TABLE)
    return _table(("variable", "default", "meaning"), rows)


def _default(setting: Setting) -> str:
    return f"`{setting.default}`" if setting.default else _DEFAULTS.get(setting.variable, "none")


def _meaning(setting: Setting) -> str:
    return setting.help + (" (secret)" if setting.is_secret else "")


def commands() -> str:
    """Every command with its arguments and options, from the command line itself."""
    return "\n".join(_command(name, command) for name, command in command_table().items())


def command_table() -> dict[str, Any]:
    """Name → command, in the order of ``llmhive --help``."""
    # typer's own copy of click has no public types
    group: Any = typer.main.get_command(app)
    return dict(group.commands)


def _command(name: str, command: Any) -> str:
    lines = [f"#### `llmhive {name}`", ""]
    if command.hidden:
        lines += ["Not listed by `llmhive --help`.", ""]
    for paragraph in (command.help or "").split("\n\n"):
        lines += [" ".join(paragraph.split()), ""]
    rows = [(_spelling(it), _help_of(it), _default_of(it)) for it in command.params if it.name != "help"]
    return "\n".join([*lines, _table(("argument or option", "meaning", "default"), rows)]) if rows else "\n".join(lines)


def _spelling(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        name = parameter.metavar or parameter.name.upper()
        return f"`{name}`" if parameter.required else f"`[{name}]`"
    words = ", ".join(f"`{word}`" for word in sorted(parameter.opts, key=len, reverse=True))
    return words if parameter.is_flag else f"{words} VALUE"


def _help_of(parameter: Any) -> str:
    return " ".join((parameter.help or "").split())


def _default_of(parameter: Any) -> str:
    default = parameter.default
    is_none = default is None or default is False or not isinstance(default, str | int | float)
    return "" if is_none or parameter.required else f"`{default}`"


def tables() -> str:
    """Every table: columns, types on both databases, indexes."""
    return "\n".join(_describe(table) for table in sorted(metadata.tables.values(), key=lambda it: it.name))


def _describe(table: sa.Table) -> str:
    rows = ((f"`{column.name}`", *_types(column), _column(column)) for column in table.columns)
    lines = [f"### {table.name}", "", f"{table.comment}.", ""]
    lines += [_table(("column", "SQLite", "PostgreSQL", "meaning"), rows)]
    if found := list(_indexes(table)):
        lines += ["Indexes:", "", *(f"* {line}" for line in found), ""]
    return "\n".join(lines)


def _types(column: sa.Column[Any]) -> tuple[str, str]:
    on_sqlite, on_postgresql = (column.type.compile(dialect=dialect) for dialect in _DIALECTS)
    return on_sqlite, on_postgresql


def _column(column: sa.Column[Any]) -> str:
    words = ["key"] if column.primary_key else []
    words += [f"→ `{key.target_fullname}`" for key in sorted(column.foreign_keys, key=lambda it: it.target_fullname)]
    if column.comment:
        words.append(column.comment)
    if column.nullable and "NULL" not in (column.comment or ""):
        words.append("may be NULL")
    return "; ".join(words)


def _indexes(table: sa.Table) -> Iterator[str]:
    for constraint in sorted(table.constraints, key=lambda it: str(it.name)):
        if isinstance(constraint, sa.UniqueConstraint):
            yield f"unique: {_names(constraint.columns)}"
    for index in sorted(table.indexes, key=lambda it: str(it.name)):
        where = index.dialect_options["sqlite"]["where"]
        kind = "unique: " if index.unique else ""
        yield f"{kind}{_names(index.columns)}{'' if where is None else f', of rows with `{where}`'} (`{index.name}`)"


def _names(columns: Iterable[sa.Column[Any]]) -> str:
    return ", ".join(f"`{column.name}`" for column in columns)


def views() -> str:
    """The views, as SQLite has them."""
    return "\n".join(f"```sql\n{text.strip()};\n```\n" for text in (MODEL_VERSION["sqlite"], CHANGE))


def routes() -> str:
    """Every route with its parameters and answers, from the OpenAPI document."""
    rows = []
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            parameters = [it["name"] for it in operation.get("parameters", ()) if it["in"] == "query"]
            asks = ", ".join(f"`{name}`" for name in parameters)
            answers = " ".join(sorted(operation["responses"]))
            rows.append((f"`{method.upper()} {path}`", operation["description"].replace("\n", " "), asks, answers))
    return _table(("route", "does", "parameters", "answers"), rows)


def document() -> dict[str, Any]:
    """The OpenAPI document of a service that is not running."""
    known = settings_table.read({}, ROOT / "no such file")
    database = connect("sqlite:///none.db")

    def silent(_event: str, /, **_facts: object) -> None: ...

    access = Access(known, use=lambda *_: True, now=lambda: datetime.now(UTC))
    made: dict[str, Any] = app_routes(
        assemble(known, database, access, Live(database, tell=silent), silent, has_schedule=True)
    ).openapi()
    return made


def parameters() -> str:
    """The parameters of `GET /api/models`."""
    rows = ((f"`{it['name']}`", it["description"], f"`{it['name']}={_written(it)}`") for it in model_parameters())
    return _table(("parameter", "meaning", "example"), rows)


def _written(parameter: dict[str, Any]) -> str:
    """An example as a query string has it."""
    value = parameter.get("example", "2026-05-01")
    value = value[0] if isinstance(value, list) else value
    return str(value).lower() if isinstance(value, bool) else str(value)


def dimensions() -> str:
    """What models are ranked by, from the table that feeds the code."""
    rows = (
        (f"`{it.name}`", it.title, it.source, it.window, it.cadence,
         it.formula + (f" In {it.unit}." if it.unit else ""), "derived" if it.is_derived else "")
        for it in DIMENSIONS
    )  # fmt: skip
    return _table(("dimension", "title", "source", "window", "cadence", "formula", ""), rows)


def categories() -> str:
    """The categories that are asked for, with their source, window and cadence."""
    by_week = next(it for it in DIMENSIONS if it.name == "category")
    modality = next(it for it in DIMENSIONS if it.name == "modality")
    named = [(name, title, by_week) for name, title in CATEGORIES.items()]
    named += [(name, title, modality) for name, title in MODALITIES.items()]
    rows = ((f"`{name}`", title, it.title, it.window, it.cadence, "as " + f"`{it.name}`") for name, title, it in named)
    return _table(("name", "title", "of", "window", "cadence", "source and formula"), rows)


def capabilities() -> str:
    """The columns of the capability matrix."""
    return _table(("capability", "what it is"), ((f"`{it.name}`", it.title) for it in CAPABILITIES))


def constraints() -> str:
    """What a need may ask, from the table that feeds the OpenAPI document, with the command's options."""
    properties = body_schema()["content"]["application/json"]["schema"]["properties"]
    options = {it.name: it.opts[0] for it in command_table()["select"].params}
    rows = []
    for name in OF_NEED:
        meaning, default = properties[name]["description"], properties[name]["default"]
        # what a role is has a table of its own
        meaning = meaning.partition(". ")[0] if name == "role" else meaning
        option = next(options[it] for it in (name, name.removesuffix("s"), "max_price") if it in options)
        rows.append((f"`{name}`", f"`{option}`", meaning, f"`{default}`" if default else ""))
    return _table(("field", "option", "meaning", "default"), rows)


def objectives() -> str:
    """What a score is made of, by the name of an objective."""
    return _table(("objective", *OF_SCORE), ((f"`{name}`", *map(_weight, it)) for name, it in OBJECTIVES.items()))


def tasks() -> str:
    """What says how good a model is at a task."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for name, task in TASKS.items():
        benchmark = f"`{task.benchmark}`" if task.benchmark else ""
        ranking = "of the category" if task.ranking == name else f"`{task.ranking}`"
        told = (benchmark, ranking, *map(_weight, task.weights))
        rows.setdefault(told, []).append(f"`{name}`" if name else "none")
    head = ("task", "benchmark", "ranking", "weight of the benchmark", "of the general index", "of the rank")
    return _table(head, ((", ".join(names), *told) for told, names in rows.items()))


def roles() -> str:
    """The roles, with what each fills in."""
    rows = ((f"`{name}`", it.why, _filled(it.defaults, it.needs_of)) for name, it in ROLES.items())
    return _table(("role", "what for", "fills in"), rows)


def _filled(defaults: Mapping[str, Any], needs_of: bool) -> str:
    plain = Need(**defaults).to_json()
    return ("`of` is needed; " if needs_of else "") + ", ".join(
        f"`{name}` {json.dumps(value).strip(chr(34))}" for name, value in plain.items()
    )


def _weight(weight: float) -> str:
    return f"{weight:g}" if weight else ""


def metrics() -> str:
    """The metrics, from the table that feeds the code."""
    return _table(("metric", "meaning"), ((f"`{name}`", text) for name, text in METRICS.items()))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in (head, *rows))
    first, *rest = lines
    return "\n".join([first, f"|{'---|' * len(head)}", *rest, ""])


PARTS: dict[str, Callable[[], str]] = {
    "settings": settings, "commands": commands, "tables": tables, "views": views,
    "routes": routes, "parameters": parameters, "metrics": metrics,
    "dimensions": dimensions, "categories": categories, "capabilities": capabilities,
    "constraints": constraints, "objectives": objectives, "tasks": tasks, "roles": roles,
}  # fmt: skip


def main() -> None:
    """Rewrite what differs, and say which pages did."""
    for path in files():
        text = path.read_text(encoding="utf-8")
        if (new := renewed(text)) != text:
            path.write_text(new, encoding="utf-8")
            sys.stdout.write(f"Rewrote {path.relative_to(ROOT)}.\n")


if __name__ == "__main__":
    main()
