"""What every subject of a file cost when, as small tables that an engine joins with usages; pure.

The rule is that of `catalog.cost.Tariffs`, asked once for each combination that can occur. Four tables, each joined on
one whole number (measured: nothing else is as quick as a join that is a look into an array):

* ``names``: what a usage names → its subject. The subject's time is cut into equal slots, `base` is the first,
  a slot lasts 2^`shift` microseconds.
* ``slots``: slot → the piece in force when it begins. Within a slot come at most `ends` more pieces.
* ``pieces``: one price of one subject during [begin, end); thresholds and windows lead to one of its tariffs.
* ``tariffs``: effective rates, or why there are none.

Instants are microseconds since 1970 (UTC).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from llmhive.catalog.cost import PARTS, Tariff, Tariffs
from llmhive.catalog.price import Step
from llmhive.catalog.pricing import EXACT, Pricing
from llmhive.catalog.usage import Usage
from llmhive.errors import Unpriced

#: What is before, or after, everything.
NEVER = 1 << 62
#: Beyond so many slots in all a join takes several times as long (DuckDB).
_SLOTS = 1 << 19
_SLOTS_EACH = 1 << 12
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MINUTE = 60_000_000
_DAY = 1440
_WEEK = 7 * _DAY
#: A rate is DECIMAL(26,24). All rates of a tariff together stay below 1000, so that a cost fits DECIMAL(38,24).
RATE = "DECIMAL(26,24)"
_DECIMALS = 24
NOT_LISTED = "not listed at that time"
NO_MODEL = "no model is named"
#: part → the field that counts it
FIELD_OF = {part.name: {"plain": "prompt", "text": "completion"}.get(part.name, part.name) for part in PARTS}


class Name(NamedTuple):
    """What a row says of who answered."""

    model: str
    provider: str | None = None
    tier: str | None = None


class Subject(NamedTuple):
    """What a name means."""

    model_id: str | None
    steps: Sequence[Step]  #: sorted
    why: str | None = None  #: why it cannot be priced at all


class Table(NamedTuple):
    """A small table: names and SQL types of its columns, and its rows."""

    columns: tuple[tuple[str, str], ...]
    rows: list[tuple[Any, ...]]


@dataclass(slots=True)
class Prices:
    """The tables, and what a statement has to know of them."""

    parts: tuple[str, ...]  #: of `PARTS`, those that can cost anything
    refused: int  #: a tariff without rates
    doubted: tuple[str, ...]  #: of `PARTS`, those whose use makes some cost possibly incomplete
    tables: dict[str, Table]
    nobody: int  #: the slot of who names no model
    begins: int  #: the instant at which the first slots begin
    last: int  #: the instant of the last change; both clamp
    ends: int  #: pieces that may follow within a slot
    thresholds: int  #: of a piece, at most
    changes: int  #: of the tariff by the clock, within a piece's period


def micros(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def compile_prices(
    subjects: Mapping[Name, Subject], fields: Iterable[str], begins: datetime | None, first: int, last: int
) -> Prices:
    """The tables for the subjects of a file whose rows have these fields, and instants within [first, last].

    `begins`: when history does.
    """
    made = _Compiler(frozenset(fields), begins)
    numbers = {name: made.number(name, subject) for name, subject in subjects.items()}
    nobody = made.number(Name(""), Subject(None, (), NO_MODEL))
    return made.finish(subjects, numbers, nobody, first, last)


@dataclass(slots=True)
class _Piece:
    begin: int
    end: int
    tariff: int  #: number of the first of its tariffs
    thresholds: tuple[int, ...] = ()
    changes: tuple[int, ...] = ()  #: microseconds into the period
    period: int = _WEEK * _MINUTE
    incomplete: str | None = None


@dataclass(slots=True)
class _Compiler:
    fields: frozenset[str]
    begins: datetime | None
    tariffs: list[tuple[str | None, Tariff | None]] = field(default_factory=list)
    _refused: dict[str, int] = field(default_factory=dict)
    _priced: dict[Pricing, _Piece] = field(default_factory=dict)
    _known: dict[tuple[str, str | None, str | None], int] = field(default_factory=dict)
    lines: list[list[_Piece]] = field(default_factory=list)  #: subject → its pieces, which cover all of time

    def number(self, name: Name, subject: Subject) -> int:
        """The number of a subject; names that mean the same have the same."""
        key = None if subject.model_id is None else (subject.model_id, name.provider, name.tier)
        if key is not None and key in self._known:
            return self._known[key]
        self.lines.append(self._pieces(subject))
        if key is not None:
            self._known[key] = len(self.lines) - 1
        return len(self.lines) - 1

    def _pieces(self, subject: Subject) -> list[_Piece]:
        if subject.why is not None or not subject.steps:
            why = subject.why or "no price of it is known: OpenRouter has not served it to this catalog"
            return [_Piece(-NEVER, NEVER, self._refuse(why))]
        pieces: list[_Piece] = []
        end = -NEVER
        if self.begins is not None:
            end = micros(self.begins)
            pieces.append(
                _Piece(-NEVER, end, self._refuse(f"before history begins ({self.begins:%Y-%m-%d %H:%M} UTC)"))
            )
        for step in subject.steps:
            begin = micros(step.begin)
            if begin > end:
                pieces.append(_Piece(end, begin, self._refuse(NOT_LISTED)))
            elif pieces and begin < end and len(pieces) == 1 and self.begins is not None:
                pieces[0].end = begin  # a price from elsewhere, older than history
            end = NEVER if step.end is None else micros(step.end)
            pieces.append(self._step(step, begin, end))
        if end < NEVER:
            pieces.append(_Piece(end, NEVER, self._refuse(NOT_LISTED)))
        return [piece for piece in pieces if piece.begin < piece.end]

    def _step(self, step: Step, begin: int, end: int) -> _Piece:
        if step.pricing is None:
            return _Piece(begin, end, self._refuse(step.why or "it has no known price"))
        priced = self._priced.get(step.pricing)
        if priced is None:
            priced = self._priced[step.pricing] = self._tariffs(step.pricing)
        incomplete = "; ".join(dict.fromkeys([*step.incomplete, *([priced.incomplete] if priced.incomplete else [])]))
        return _Piece(
            begin, end, priced.tariff, priced.thresholds, priced.changes, priced.period, incomplete or None
        )  # fmt: skip

    def _refuse(self, why: str) -> int:
        if why not in self._refused:
            self._refused[why] = len(self.tariffs)
            self.tariffs.append((why, None))
        return self._refused[why]

    def _tariffs(self, pricing: Pricing) -> _Piece:
        """All tariffs of a pricing, those of one time next to each other by threshold; where to find them."""
        tariffs = Tariffs(pricing)
        thresholds, minutes = tariffs.thresholds, tariffs.changes()
        sizes = [0, *(threshold + 1 for threshold in thresholds)]

        def at(minute: int) -> list[Tariff]:
            when = _MONDAY + timedelta(minutes=minute % _WEEK)
            return [tariffs.at(size, when) for size in sizes]

        length = _WEEK
        if minutes and all((it + _DAY) % _WEEK in minutes and at(it) == at(it + _DAY) for it in minutes):
            length, minutes = _DAY, tuple(it for it in minutes if it < _DAY)
        first = len(self.tariffs)
        # before the first change of a period it is as after the last one
        for minute in (minutes[-1], *minutes) if minutes else (0,):
            self.tariffs += [(why_not(it), it) for it in at(minute)]
        incomplete = "; ".join(at(0)[0].incomplete)
        changes = tuple(it * _MINUTE for it in minutes)
        return _Piece(0, 0, first, thresholds, changes, length * _MINUTE, incomplete or None)

    # --- the tables

    def finish(
        self, subjects: Mapping[Name, Subject], numbers: Mapping[Name, int], nobody: int, first: int, last: int
    ) -> Prices:
        """Everything as tables."""
        borders = [piece.begin for line in self.lines for piece in line[1:]]
        begins, ends = max(first, min(borders, default=0) - 1), min(last, max(borders, default=0))
        ends = max(begins, ends)
        cuts = self._cut(begins, ends)
        within = max(more for _, _, more in cuts)
        thresholds = max((len(it.thresholds) for line in self.lines for it in line), default=0)
        changes = max((len(it.changes) for line in self.lines for it in line), default=0)
        bases: list[int] = []
        slots: list[int] = []
        pieces: list[tuple[Any, ...]] = []
        for line, (shift, count, _) in zip(self.lines, cuts, strict=True):
            bases.append(len(slots))
            done = 0
            for number, piece in enumerate(line):
                # the slots that begin before it ends
                until = count if piece.end > ends else min(count, max(0, -((begins - piece.end) >> shift)))
                slots += [len(pieces) + number] * (until - done)
                done = max(done, until)
            stops = [*(piece.end for piece in line), *[NEVER] * within]
            for number, piece in enumerate(line):
                pieces.append(
                    (
                        len(pieces), *stops[number : number + within], piece.tariff,
                        *_padded(piece.thresholds, thresholds), len(piece.thresholds) + 1,
                        *_padded(piece.changes, changes), piece.period,
                        _EPOCH + timedelta(microseconds=piece.begin) if piece.begin > -NEVER else None,
                        piece.incomplete,
                    )
                )  # fmt: skip
        # a row that nothing leads to: joins stay simple where an optimizer sees that no number can be beyond the table
        pieces.append((len(pieces) + within, *[None] * (within + 1 + thresholds + 1 + changes + 3)))
        names = [
            (name.model, name.provider or "", name.tier or "", bases[numbers[name]], cuts[numbers[name]][0],
             subject.model_id)
            for name, subject in subjects.items()
        ]  # fmt: skip
        parts, doubted, tariffs = self._rates(thresholds + changes * (thresholds + 1))
        tables = {
            "names": Table(
                (("model", "STRING"), ("provider", "STRING"), ("tier", "STRING"), ("base", "BIGINT"),
                 ("shift", "INT"), ("model_id", "STRING")),
                names,
            ),
            "slots": Table((("slot", "BIGINT"), ("piece", "BIGINT")), list(enumerate(slots))),
            "pieces": Table(
                (("piece", "BIGINT"), *_numbered("stop", within), ("tariff", "BIGINT"),
                 *_numbered("above", thresholds), ("tiers", "BIGINT"), *_numbered("change", changes),
                 ("period", "BIGINT"), ("begins", "TIMESTAMP"), ("incomplete", "STRING")),
                pieces,
            ),
            "tariffs": tariffs,
        }  # fmt: skip
        return Prices(
            parts, self._refuse(NO_MODEL), doubted, tables, bases[nobody], begins, ends, within, thresholds, changes
        )

    def _cut(self, begins: int, ends: int) -> list[tuple[int, int, int]]:
        """How each subject's time is cut: (shift, slots, borders within a slot at most)."""
        widest = (ends - begins).bit_length()
        each = _SLOTS_EACH
        while True:
            cuts = []
            for line in self.lines:
                inside = [it.begin - begins for it in line[1:] if begins < it.begin <= ends]
                shift, more = widest, len(inside)
                while more > 1 and (ends - begins >> shift - 1) < each:
                    shift -= 1
                    more = max(Counter(it >> shift for it in inside if it & (1 << shift) - 1).values(), default=0)
                cuts.append((shift, (ends - begins >> shift) + 1, more))
            if sum(count for _, count, _ in cuts) <= _SLOTS or each == 1:
                return cuts
            each >>= 1

    def _rates(self, beyond: int) -> tuple[tuple[str, ...], tuple[str, ...], Table]:
        doubts = [_doubts(tariff) if why is None else {} for why, tariff in self.tariffs]
        rates = [
            dict.fromkeys(FIELD_OF, None) if tariff is None or why is not None
            else dict(zip(FIELD_OF, tariff.rates, strict=True))
            for why, tariff in self.tariffs
        ]  # fmt: skip
        used = [part for part, counted in FIELD_OF.items() if counted in self.fields or part == "requests"]
        parts = tuple(part for part in used if any(it[part] for it in rates))
        doubted = tuple(part for part in used if any(part in it for it in doubts))
        rows: list[tuple[Any, ...]] = [
            (number, why, *((it[part] or Decimal(0) if why is None else None) for part in parts),
             *(told.get(part) for part in doubted))
            for number, ((why, _), it, told) in enumerate(zip(self.tariffs, rates, doubts, strict=True))
        ]  # fmt: skip
        rows.append((len(rows) + beyond, *[None] * (1 + len(parts) + len(doubted))))
        columns = (
            ("tariff", "BIGINT"), ("why", "STRING"), *((f"rate_{part}", RATE) for part in parts),
            *((f"doubt_{part}", "STRING") for part in doubted),
        )  # fmt: skip
        return parts, doubted, Table(columns, rows)


def why_not(tariff: Tariff) -> str | None:
    """Why a tariff cannot charge a row of a file; None: it can."""
    try:
        tariff.charge(Usage())
    except Unpriced as error:
        return str(error)
    total = Decimal(0)
    for part, rate in zip(PARTS, tariff.rates, strict=True):
        if rate is None:
            continue
        exponent = rate.as_tuple().exponent
        if rate >= 100 or (isinstance(exponent, int) and exponent < -_DECIMALS):
            return f"the rate of {part.name}, {rate:f}, does not fit {RATE}"
        total = EXACT.add(total, rate)
    return None if total < 1000 else f"its rates together do not fit {RATE}"


def _doubts(tariff: Tariff | None) -> dict[str, str]:
    """Part → why a cost is possibly incomplete when it is used."""
    found = {}
    for part, counted in FIELD_OF.items():
        assert tariff is not None
        told = tariff.doubts(Usage(**({"requests": 0} | {counted: 1})))
        if new := [it.removeprefix("1 ") for it in told if it not in tariff.incomplete]:
            found[part] = "; ".join(new)
    return found


def _padded(numbers: tuple[int, ...], length: int) -> tuple[int, ...]:
    return numbers + (NEVER,) * (length - len(numbers))


def _numbered(name: str, count: int) -> tuple[tuple[str, str], ...]:
    return tuple((f"{name}_{number}", "BIGINT") for number in range(count))
