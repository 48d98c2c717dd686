"""Reads bills from files and compares each with the prices of a catalog: `catalog.reconcile` judges, this looks up.

A file is read as it comes: the activity export (CSV), a list of documents or one (JSON), one a line (JSON Lines), or
Parquet, a bill a row.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from llmhive.app import wiring
from llmhive.app.pricebook import Known, PriceBook
from llmhive.catalog.bill import Bill
from llmhive.catalog.case import Offers
from llmhive.catalog.cause import AGREED, Cause, Reconciled
from llmhive.catalog.endpoint import TIERS
from llmhive.catalog.price import Step
from llmhive.catalog.pricing import EXACT, plain
from llmhive.catalog.reconcile import explain
from llmhive.errors import NotFound, UsageError
from llmhive.store import rates
from llmhive.store.database import Database

_DELIMITERS = ",;\t"
_MODELS_AT_ONCE = 10_000
_DECIMALS = 25
_NOTHING = Decimal(0)
_PARQUET = b"PAR1"
_ROWS_AT_ONCE = 2000
#: Types of DuckDB that Python has no plain value for → how they are read.
_READ_AS = {"TIMESTAMP WITH TIME ZONE": "{} AT TIME ZONE 'UTC'", "UUID": "CAST({} AS VARCHAR)"}


class Row(NamedTuple):
    """A bill of a file: where it stands (its line, in JSON its place; from 1), and what is to be said of it."""

    number: int
    found: Reconciled

    def to_json(self) -> dict[str, Any]:
        """As scripts see it."""
        return {"row": self.number, **self.found.to_json()}


@dataclass(slots=True)
class Total:
    """What bills come to; amounts in USD."""

    rows: int = 0
    requests: int = 0
    probable: int = 0  #: rows whose cause is not proven
    paid: Decimal = Decimal(0)
    ours: Decimal = Decimal(0)
    difference: Decimal = Decimal(0)  #: over the rows that have both
    unpriced: int = 0  #: rows that have not
    unpriced_probable: int = 0  #: of those
    unpriced_paid: Decimal = Decimal(0)  #: what they come to, where that is told
    unpriced_ours: Decimal = Decimal(0)  #: likewise, of those without an amount

    @property
    def comparable(self) -> tuple[int, Decimal, Decimal]:
        """The rows that have both, and what they come to: paid less ours is the difference."""
        paid, ours = EXACT.subtract(self.paid, self.unpriced_paid), EXACT.subtract(self.ours, self.unpriced_ours)
        return self.rows - self.unpriced, paid, ours

    def add(self, found: Reconciled) -> None:
        """Count a row."""
        self.rows += 1
        self.requests += 0 if found.bill is None else found.bill.requests
        self.probable += not found.is_proven
        paid, ours, difference = found.paid or _NOTHING, found.ours or _NOTHING, found.difference
        self.paid = EXACT.add(self.paid, paid)
        self.ours = EXACT.add(self.ours, ours)
        if difference is not None:
            self.difference = EXACT.add(self.difference, difference)
        else:
            self.unpriced += 1
            self.unpriced_probable += not found.is_proven
            self.unpriced_paid = EXACT.add(self.unpriced_paid, paid)
            self.unpriced_ours = EXACT.add(self.unpriced_ours, ours)

    def to_json(self) -> dict[str, Any]:
        """As scripts see it."""
        rows, paid, ours = self.comparable
        return {
            "rows": self.rows, "requests": self.requests, "probable": self.probable, "unpriced": self.unpriced,
            "paid": plain(self.paid), "ours": plain(self.ours), "difference": plain(self.difference),
            "comparable": {"rows": rows, "paid": plain(paid), "ours": plain(ours)},
            "not_comparable": {
                "rows": self.unpriced, "paid": plain(self.unpriced_paid), "ours": plain(self.unpriced_ours),
            },
        }  # fmt: skip


@dataclass(slots=True)
class Summary:
    """What bills come to in all, and by cause."""

    total: Total = field(default_factory=Total)
    causes: dict[Cause, Total] = field(default_factory=dict)

    def add(self, found: Reconciled) -> None:
        """Count a row."""
        self.total.add(found)
        self.causes.setdefault(found.cause, Total()).add(found)

    def in_order(self) -> list[tuple[Cause, Total]]:
        """By cause, in the order of the published list."""
        return [(cause, self.causes[cause]) for cause in Cause if cause in self.causes]

    def to_json(self) -> dict[str, Any]:
        """As scripts see it."""
        return {
            "total": self.total.to_json(),
            "causes": [
                {"cause": cause.value, "meaning": cause.meaning, "agrees": cause in AGREED, **total.to_json()}
                for cause, total in self.in_order()
            ],
        }


class Reconciler:
    """Compares bills with the prices of one catalog, as it is when this is made."""

    def __init__(self, database: Database, book: PriceBook | None = None) -> None:
        """Raises `NotFound` of an empty catalog, and `StoreError`."""
        self._database = database
        self._book = PriceBook(database) if book is None else book
        self._known = self._book.known()
        self._now = wiring.now()
        self._offers: dict[tuple[str, str | None, str | None, str | None], Offers] = {}
        self._offered: dict[str, dict[str, list[Step]]] = {}

    @property
    def last(self) -> datetime | None:
        """When the catalog's last list was fetched; None: it has none."""
        return self._known.last

    def explain(self, bill: Bill) -> Reconciled:
        """Compare one bill with our prices, and find the cause of a difference."""
        if not all(map(_is_amount, (bill.billed, bill.upstream, bill.web, bill.file, bill.cache, bill.data))):
            return Reconciled(Cause.UNREADABLE, "it has an amount with more digits than any bill", bill=bill)
        key = (bill.model, bill.permaslug, bill.provider, bill.tier)
        offers = self._offers.get(key)
        if offers is None:
            if len(self._offers) >= _MODELS_AT_ONCE:
                self._offers.clear()
                self._offered.clear()
            offers = self._offers[key] = self._look_up(bill)
        return explain(bill, offers)

    def rows(self, bills: Iterable[tuple[int, object]]) -> Iterator[Row]:
        """Compare bills, in any shape that `Bill` reads; what cannot be read is a row that says why."""
        for number, document in bills:
            if isinstance(document, UsageError):
                yield Row(number, Reconciled(Cause.UNREADABLE, str(document)))
                continue
            try:
                bill = document if isinstance(document, Bill) else Bill.of(document)
            except UsageError as error:
                yield Row(number, Reconciled(Cause.UNREADABLE, str(error)))
            else:
                yield Row(number, self.explain(bill))

    def _look_up(self, bill: Bill) -> Offers:
        known = self._known
        try:
            name = _name(known, bill)
            listed = self._book.subject(known, name)
        except NotFound as error:
            return Offers(None, str(error), first=known.first, last=known.last, now=self._now)
        served = listed
        if bill.provider is not None or bill.tier is not None:
            served = self._book.subject(known, name, bill.provider, bill.tier)
        model_id = listed.model_id
        batch = known.names.meant(f"{model_id.partition(':')[0]}:batch")
        return Offers(
            model_id,
            served=served.steps,
            listed=listed.steps,
            offered=self._offered_of(model_id),
            batch=() if batch is None or batch == model_id else self._book.subject(known, batch).steps,
            is_online=listed.suffix == "online",
            first=known.first,
            last=known.last,
            now=self._now,
        )

    def _offered_of(self, model_id: str) -> Mapping[str, list[Step]]:
        """The endpoints of a model at all service tiers, by key."""
        found = self._offered.get(model_id)
        if found is None:
            found = self._offered[model_id] = {}
            with self._database.read() as connection:
                for tier in (None, *sorted(TIERS)):
                    found |= rates.of_endpoints(connection, model_id, None, tier)
        return found


def _is_amount(amount: Decimal | None) -> bool:
    """Whether an amount is one that can be added up exactly with others."""
    if amount is None:
        return True
    exponent = amount.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -_DECIMALS and amount.adjusted() < _DECIMALS


def _name(known: Known, bill: Bill) -> str:
    """The name by which a bill's model is known: a permaslug means the base row, and a variant may follow it."""
    names = [bill.model] if bill.permaslug is None else [bill.model, bill.permaslug]
    for name in names:
        if known.names.meant(name) is not None:
            return name
        base, _, variant = name.partition(":")
        base_id = known.names.meant(base) if variant else None
        if base_id is not None:
            own = f"{base_id.partition(':')[0]}:{variant}"
            return own if known.names.meant(own) is not None else name
    return bill.model


# --- files


def read_file(file: Path, tell: Callable[[int], None] | None = None) -> Iterator[tuple[int, object]]:
    """The documents of a file of any kind, with their numbers: see `read`.

    Raises `UsageError` where the file cannot be read, as reading goes on, and at once where there is none.
    """
    try:
        is_regular = file.is_file()
        if not is_regular and not file.exists():
            raise UsageError(f"{file} cannot be read: No such file or directory.")
        begin = b""
        if is_regular:
            with file.open("rb") as opened:
                begin = opened.read(len(_PARQUET))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from error
    return _parquet(file, tell) if begin == _PARQUET else _opened(file, tell)


def _opened(file: Path, tell: Callable[[int], None] | None) -> Iterator[tuple[int, object]]:
    try:
        with file.open("rb") as lines:
            yield from read(lines, str(file), tell)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from error


def _parquet(file: Path, tell: Callable[[int], None] | None) -> Iterator[tuple[int, object]]:
    try:
        # only this needs it
        import duckdb
    except ImportError as error:
        raise UsageError(
            "Parquet is read by an extra package: pip install 'llmhive[bulk]'. CSV and JSON need none."
        ) from error
    try:
        with duckdb.connect() as connection:
            place = [str(file)]
            ((count,),) = connection.execute("SELECT count(*) FROM read_parquet(?)", place).fetchall()
            described = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", place).fetchall()
            names = [name for name, *_ in described]
            columns = ", ".join(_READ_AS.get(kind, "{}").format(_quoted(name)) for name, kind, *_ in described)
            rows = connection.execute(f"SELECT {columns} FROM read_parquet(?)", place)  # noqa: S608 (quoted)
            size, done = file.stat().st_size, 0
            while found := rows.fetchmany(_ROWS_AT_ONCE):
                for number, cells in enumerate(found, start=done + 1):
                    yield number, dict(zip(names, cells, strict=True))
                done += len(found)
                if tell is not None:
                    tell(size * len(found) // count)
    except duckdb.Error as error:
        raise UsageError(f"{file} cannot be read: {str(error).strip().splitlines()[0]}") from error


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def read(lines: Iterable[bytes], name: str, tell: Callable[[int], None] | None = None) -> Iterator[tuple[int, object]]:
    """The documents of a file, with their numbers; `lines` as a binary file gives them.

    What cannot be read is a `UsageError` in its place; one is raised for a file that is none of the three kinds. `tell`
    is told how many bytes each line has.
    """
    texts = _decoded(lines, name, tell)
    blank, first = 0, ""
    for first in texts:
        if first.strip():
            break
        blank += 1
    else:
        raise UsageError(f"{name} is empty.")
    rest = itertools.chain([first], texts)
    kind = first.lstrip()[0]
    if kind == "{" and isinstance(_parsed(first), Mapping):
        return _json_lines(rest, blank)
    if kind in "[{":
        return _json("".join(rest), name)
    return _csv(rest, blank, name)


def _decoded(lines: Iterable[bytes], name: str, tell: Callable[[int], None] | None) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if tell is not None:
            tell(len(line))
        if number == 1 and line.startswith(_PARQUET):
            raise UsageError(f"{name} is Parquet, which is not read from a stream: name the file.")
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise UsageError(f"{name} is not UTF-8 (line {number}): save it as UTF-8 text, CSV or JSON.") from error
        # spreadsheets mark the begin
        yield text.removeprefix("\ufeff") if number == 1 else text


def _parsed(text: str) -> object:
    """A document, every digit of its numbers; a `UsageError` where it is none."""
    try:
        return json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        return UsageError(f"it is not JSON: {error}")


def _json_lines(texts: Iterable[str], before: int) -> Iterator[tuple[int, object]]:
    held: tuple[int, object] | None = None
    is_alone = True
    for number, text in enumerate(texts, start=before + 1):
        if not text.strip():
            continue
        if held is not None:
            is_alone = False
            yield held
        held = number, _parsed(text)
    assert held is not None  # the first is why it is read so
    # one document in one line may hold many
    yield from _documents(held[1]) if is_alone else [held]


def _json(text: str, name: str) -> Iterator[tuple[int, object]]:
    document = _parsed(text)
    if isinstance(document, UsageError):
        raise UsageError(f"{name} cannot be read: {document}.")
    yield from _documents(document)


def _documents(document: object) -> Iterator[tuple[int, object]]:
    if isinstance(document, Mapping) and isinstance(document.get("data"), list):
        document = document["data"]
    yield from enumerate(document if isinstance(document, list) else [document], start=1)


def _csv(texts: Iterator[str], before: int, name: str) -> Iterator[tuple[int, object]]:
    header = next(texts)
    delimiter = max(_DELIMITERS, key=header.count)
    columns = next(csv.reader([header], delimiter=delimiter))
    if len(columns) < 2:
        raise UsageError(f"{name} is neither CSV with a header nor JSON: its first line is {header.strip()[:60]!r}.")
    reader = csv.reader(texts, delimiter=delimiter)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield before + 1 + reader.line_num, UsageError(f"it is no row of CSV: {error}")
            continue
        if not cells:
            continue
        number = before + 1 + reader.line_num
        if len(cells) != len(columns):
            yield number, UsageError(f"it has {len(cells)} cells, the header {len(columns)}")
        else:
            yield number, dict(zip(columns, cells, strict=True))
