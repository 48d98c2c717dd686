"""A whole file of usages, priced: every row as it was, with its cost or why there is none."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Protocol

from llmhive.app.bulk.columns import Column, Columns
from llmhive.app.bulk.duck import Duck, Progress
from llmhive.app.bulk.plan import Plan
from llmhive.app.bulk.rates import DECIMALS
from llmhive.app.bulk.spark import Spark
from llmhive.app.bulk.table import Name, Prices, Subject, Table, Times, compile_prices
from llmhive.catalog.pricing import EXACT, canonical, plain
from llmhive.errors import UsageError

ENGINES = ("duckdb", "spark")
#: ending → form
FORMS = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


class PriceList(Protocol):
    """Who knows the prices."""

    @property
    def begins(self) -> datetime | None:
        """When history does; None: there is none."""

    def resolve(self, names: Iterable[Name]) -> Mapping[Name, Subject]:
        """What each name means, and what it cost when."""


class Engine(Protocol):
    """What runs the statements."""

    def read(self, source: str, form: str, *, is_lines: bool) -> list[Column]:
        """Make the view ``usages``; returns its columns."""

    def load(self, name: str, table: Table) -> None:
        """Make a table."""

    def make(self, name: str, statement: str) -> None:
        """Make a table of others."""

    def query(self, statement: str, stage: str) -> list[tuple[Any, ...]]:
        """The rows of a statement."""

    def write(self, statement: str, target: Path, form: str, added: Sequence[str], *, is_lines: bool) -> None:
        """Write the rows of a statement."""

    def close(self) -> None:
        """Let go of everything."""


@dataclass(frozen=True, slots=True)
class Sum:
    """What some rows cost together."""

    rows: int  #: priced or not
    priced: int
    cost: Decimal  #: USD, exact
    prompt: int  #: tokens of the priced rows
    completion: int

    def to_json(self) -> dict[str, Any]:
        """As scripts see it."""
        return {
            "rows": self.rows, "priced": self.priced, "cost": plain(self.cost), "prompt": self.prompt,
            "completion": self.completion,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Summary:
    """What a file cost."""

    total: Sum
    unpriced: dict[str, int]  #: reason → rows, most first
    by_model: dict[str, Sum]  #: priced ones only; the dearest first
    by_day: dict[date, Sum]  #: UTC, ascending; a row whose time cannot be read is in none
    columns: dict[str, str] = field(default_factory=dict)  #: field → the column that said it
    added: dict[str, str] = field(default_factory=dict)  #: what was added → the name of its column
    incomplete: dict[str, int] = field(default_factory=dict)  #: why a cost may not be all of it → rows, most first

    def to_json(self) -> dict[str, Any]:
        """As scripts see it."""
        return {
            **self.total.to_json(),
            "unpriced": self.unpriced,
            "incomplete": self.incomplete,
            "by_model": {name: it.to_json() for name, it in self.by_model.items()},
            "by_day": {day.isoformat(): it.to_json() for day, it in self.by_day.items()},
            "columns": self.columns,
            "added": self.added,
        }


def quiet(_stage: str, _share: float | None) -> None:
    """Tell nobody."""


def price_file(
    source: Path,
    target: Path | None,
    columns: Columns,
    prices: PriceList,
    *,
    engine: Literal["duckdb", "spark"] = "duckdb",
    master: str | None = None,
    progress: Progress = quiet,
) -> Summary:
    """Price every row of a file, and write it with what is added to a target; without one, only sum up.

    Parquet, CSV and JSON Lines (``.gz`` too) are told by their ending; a folder or a pattern means several Parquet
    files. The target replaces what was there in one step; with Spark it is a folder of parts, which must be new.
    Raises `UsageError` for what cannot be read, written or understood.
    """
    if engine not in ENGINES:
        raise UsageError(f"There is no engine {engine!r}: there are {' and '.join(ENGINES)}.")
    form = _form(source)
    wanted = form if target is None else _form(target)
    _check(source, target, engine)
    # lines stay as they are, to the last blank
    is_lines = form == wanted == "jsonl"
    folder = None if target is None else target.parent
    runs: Engine = Duck(folder, progress) if engine == "duckdb" else Spark(master, progress)
    try:
        place = str(source / "*.parquet") if source.is_dir() and engine == "duckdb" else str(source)
        present = runs.read(place, form, is_lines=is_lines)
        plan = Plan(columns.find(present), is_lines, columns.at)
        return _price(runs, plan, present, prices, target, wanted)
    finally:
        runs.close()


def _price(
    runs: Engine, plan: Plan, present: Sequence[Column], prices: PriceList, target: Path | None, form: str
) -> Summary:
    kept = ["value"] if plan.is_lines else list(dict.fromkeys(it.path[0] for it in present))
    taken = {it.path[0].lower() for it in present}
    if ours := [it for it in kept if it.lower().startswith("_hive_")]:
        raise UsageError(f"Give the column {ours[0]} another name: those of the pricing itself begin with _hive_.")
    plan, tables = prepare(runs, plan, prices)
    added = {it: f"llmhive_{it}" if it in taken else it for it in plan.added()}
    if target is not None:
        statement = plan.priced(tables, added, kept=kept, as_text=form != "parquet")
        with_ours = [*added.values()]
        _replace(target, lambda made: runs.write(statement, made, form, with_ours, is_lines=plan.is_lines))
    summary = runs.query(plan.summary(tables), "summing up")
    return _summed(summary, tables.rates.digits, {field: str(it) for field, it in plan.columns.items()}, added)


def prepare(runs: Engine, plan: Plan, prices: PriceList) -> tuple[Plan, Prices]:
    """Look through the file that an engine has read, and make the tables for it; the plan then knows more."""
    if asked := plan.extent():
        plan = plan.knowing(runs.query(asked, "looking at the columns")[0])
    tables = tables_for(plan, runs.query(plan.names(), "looking who is named"), prices)
    for name, table in tables.tables.items():
        runs.load(name, table)
    for name, statement in plan.made(tables).items():
        runs.make(name, statement)
    return plan, tables


def tables_for(plan: Plan, named: Sequence[tuple[Any, ...]], prices: PriceList) -> Prices:
    """The tables for a file, from the rows of `Plan.names`."""
    names = [Name(model, provider or None, tier or None) for model, provider, tier, *_ in named if model]
    found = prices.resolve(names)
    subjects = {it: found.get(it) or Subject(None, (), f"{it.model!r} means no model") for it in names}
    instants = [it for *_, first, last, _ in named for it in (first, last) if it is not None] or [0]
    untimed = any(it[-1] for it in named)
    times = Times(min(instants), max(instants), untimed, any(not it[0] for it in named))
    return compile_prices(subjects, plan.counts, prices.begins, times, plan.reasons(), plan.most)


def _summed(
    rows: Iterable[tuple[Any, ...]], digits: int | None, columns: dict[str, str], added: dict[str, str]
) -> Summary:
    days: dict[date, Sum] = {}
    models: dict[str, Sum] = {}
    unpriced: Counter[str] = Counter()
    incomplete: Counter[str] = Counter()
    total = Sum(0, 0, Decimal(0), 0, 0)
    for is_day, day, model, why, doubt, *counted in rows:
        count, priced, prompt, completion, *amounts = (it or 0 for it in counted)
        cost = Decimal(0)
        for amount, scale in zip(amounts, (digits or 0, DECIMALS), strict=False):
            cost = EXACT.add(cost, Decimal(amount).scaleb(-scale, EXACT))
        found = Sum(int(count), int(priced), canonical(cost), int(prompt), int(completion))
        if is_day:
            if day is not None:
                days[day] = found
            continue
        total = _both(total, found)
        if why is not None:
            unpriced[why] += found.rows
        elif model is not None:
            models[model] = _both(models[model], found) if model in models else found
        if doubt is not None:
            incomplete[doubt] += found.rows
    return Summary(
        total,
        _most_first(unpriced),
        dict(sorted(models.items(), key=lambda it: (-it[1].cost, it[0]))),
        dict(sorted(days.items())),
        columns,
        added,
        _most_first(incomplete),
    )


def _most_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda it: (-it[1], it[0])))


def _both(one: Sum, other: Sum) -> Sum:
    return Sum(
        one.rows + other.rows, one.priced + other.priced, canonical(EXACT.add(one.cost, other.cost)),
        one.prompt + other.prompt, one.completion + other.completion,
    )  # fmt: skip


def _form(file: Path) -> str:
    if file.is_dir():
        return "parquet"
    ending = Path(file.name.removesuffix(".gz")).suffix.lower()
    if ending not in FORMS:
        raise UsageError(
            f"{file.name} does not say what it is. It should end with {', '.join(FORMS)}, or one with .gz."
        )
    return FORMS[ending]


def _check(source: Path, target: Path | None, engine: str) -> None:
    if "*" not in source.name and not source.exists():
        raise UsageError(f"There is no file {source}.")
    if target is None:
        return
    is_same = target.resolve() == source.resolve() or (target.exists() and source.exists() and target.samefile(source))
    if is_same or (source.is_dir() and source.resolve() in target.resolve().parents):
        raise UsageError(f"{target} is what is read: give another file to write to.")
    if not target.parent.is_dir():
        raise UsageError(f"There is no folder {target.parent}.")
    if target.is_dir() or (engine == "spark" and target.exists()):
        raise UsageError(f"{target} is there already: Spark writes a folder of parts, which must be new.")


def _replace(target: Path, write: Callable[[Path], None]) -> None:
    """Have a file, or a folder, written beside its place, then put it there."""
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        made = folder / target.name
        write(made)
        made.replace(target)
    except OSError as error:
        raise UsageError(f"Cannot write {target}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
