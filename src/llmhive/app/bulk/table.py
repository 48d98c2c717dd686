"""What every subject of a file cost when, as small tables that an engine joins with usages; pure.

The rule is that of `catalog.cost.Tariffs`, asked once for each combination that can occur. A row of a file finds its
price by three joins, each on one whole number (measured: nothing else is as quick as a look into an array):

* ``names``: what a usage names → its subject. The subject's time is cut into equal slots, `base` is the first,
  a slot lasts 2^`shift` microseconds.
* ``slots``, made of ``runs``: slot → the piece in force when it begins. Within a slot come at most `ends` more pieces.
* ``prices``, made of ``pieces``, ``tiers`` and ``tariffs``: a row for each piece (the price of one subject during
  [begin, end)) and size of the prompt. Pieces that follow each other in time do so in the table.

Where prices hang on the clock, ``pieces`` are looked at in between: each has its own changes, and a row for each.
Instants are microseconds since 1970 (UTC).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from llmhive.app.bulk.rates import Rates, rates_of, why_not
from llmhive.catalog.cost import Tariff, Tariffs
from llmhive.catalog.price import Step
from llmhive.catalog.pricing import Pricing

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
BEFORE_HISTORY = "before history begins"
NOT_LISTED = "not listed at that time"
NO_MODEL = "no model is named"


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


class Times(NamedTuple):
    """When the rows of a file were, and whether each says so."""

    first: int  #: microseconds
    last: int
    has_untimed: bool  #: a time that cannot be read
    has_nameless: bool  #: a row without a model


@dataclass(frozen=True, slots=True)
class Prices:
    """The tables, and what a statement has to know of them."""

    rates: Rates
    tables: dict[str, Table]
    reasons: Mapping[str, int]  #: why a row cannot be priced → the row of ``prices`` that says so
    begins: int  #: the instant at which the first slots begin
    last: int  #: the instant of the last change; both clamp
    times: Times
    ends: int  #: pieces that may follow within a slot
    tiers: tuple[int, ...]  #: the sizes of a prompt beyond which another tariff may be in force
    thresholds: int  #: of a piece, at most
    changes: int  #: of the tariff by the clock, within a piece's period

    @property
    def width(self) -> int:
        """Rows of ``prices`` for a piece without changes."""
        return len(self.tiers) + 1


def micros(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def compile_prices(
    subjects: Mapping[Name, Subject],
    fields: Iterable[str],
    begins: datetime | None,
    times: Times,
    reasons: Iterable[str],
    most: Mapping[str, int] | None,
) -> Prices:
    """The tables for the subjects of a file whose rows have these fields.

    `begins`: when history does. `reasons`: why rows themselves cannot be priced. `most`: how much of each field there
    is in a row; None where that is not known.
    """
    made = _Compiler(frozenset(fields), begins)
    numbers = {name: made.number(name, subject) for name, subject in subjects.items()}
    refused = {why: made.number(Name(""), Subject(None, (), why)) for why in (NO_MODEL, *reasons)}
    return made.finish(subjects, numbers, refused, times, most)


@dataclass(slots=True)
class _Piece:
    begin: int
    end: int
    tariff: int  #: number of the first of its tariffs
    since: int | None = None  #: when its price begins, where that is not `begin`
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
            pieces.append(_Piece(-NEVER, end, self._refuse(f"{BEFORE_HISTORY} ({self.begins:%Y-%m-%d %H:%M} UTC)")))
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
        told = [*step.incomplete, *([priced.incomplete] if priced.incomplete else [])]
        since = None if step.since is None else micros(step.since)
        return replace(priced, begin=begin, end=end, since=since, incomplete="; ".join(dict.fromkeys(told)) or None)

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
        return _Piece(0, 0, first, None, thresholds, changes, length * _MINUTE, incomplete or None)

    # --- the tables

    def finish(
        self,
        subjects: Mapping[Name, Subject],
        numbers: Mapping[Name, int],
        refused: Mapping[str, int],
        times: Times,
        most: Mapping[str, int] | None,
    ) -> Prices:
        """Everything as tables."""
        borders = [piece.begin for line in self.lines for piece in line[1:]]
        begins, ends = max(times.first, min(borders, default=0) - 1), min(times.last, max(borders, default=0))
        ends = max(begins, ends)
        cuts = self._cut(begins, ends)
        within = max(more for _, _, more in cuts)
        tiers = tuple(sorted({it for line in self.lines for piece in line for it in piece.thresholds}))
        thresholds = max((len(it.thresholds) for line in self.lines for it in line), default=0)
        changes = max((len(it.changes) for line in self.lines for it in line), default=0)
        bases: list[int] = []
        rows: list[int] = []  # line → the row of ``prices`` at which it begins
        runs: list[tuple[int, ...]] = []
        pieces: list[tuple[Any, ...]] = []
        slot = row = 0
        model_of = {numbers[name]: subject.model_id for name, subject in subjects.items()}
        for number, (line, (shift, count, _)) in enumerate(zip(self.lines, cuts, strict=True)):
            bases.append(slot)
            rows.append(row)
            done = 0
            stops = [*(piece.end for piece in line), *[NEVER] * within]
            for place, piece in enumerate(line):
                # the slots that begin before it ends
                until = count if piece.end > ends else min(count, max(0, -((begins - piece.end) >> shift)))
                # it is looked up by its number where the clock comes next, else by its first row
                at = len(pieces) if changes else row
                if until > done:
                    runs.append((slot + done, slot + until - 1, at, *stops[place : place + within]))
                    done = until
                since = piece.begin if piece.since is None else piece.since
                pieces.append(
                    (
                        len(pieces), row, piece.tariff, *_padded(piece.thresholds, thresholds),
                        len(piece.thresholds) + 1, len(piece.changes), *_padded(piece.changes, changes), piece.period,
                        _EPOCH + timedelta(microseconds=since) if since > -NEVER else None, piece.incomplete,
                        model_of.get(number),
                    )
                )  # fmt: skip
                row += (len(piece.changes) + 1) * (len(tiers) + 1)
            slot += count
        # nothing leads to the last: a join stays a look into an array where no number can be beyond the table
        beyond = row + (within + changes + 1) * (len(tiers) + 1)
        pieces.append(
            (len(pieces) + within, beyond, self._refuse(NO_MODEL), *[NEVER] * thresholds, 1, 0, *[NEVER] * changes, 1,
             None, None, None)
        )  # fmt: skip
        names = [
            (name.model, name.provider or "", name.tier or "", bases[numbers[name]], cuts[numbers[name]][0])
            for name in subjects
        ]
        rates = rates_of(self.tariffs, self.fields, most)
        tables = {
            "names": Table(
                (("model", "STRING"), ("provider", "STRING"), ("tier", "STRING"), ("base", "BIGINT"),
                 ("shift", "BIGINT")),
                names,
            ),
            "runs": Table(
                (("first", "BIGINT"), ("last", "BIGINT"), ("at", "BIGINT"), *_numbered("stop", within)), runs
            ),
            "tiers": Table((("tier", "BIGINT"), ("above", "BIGINT")), list(enumerate((-1, *tiers)))),
            "clocks": Table((("clock", "BIGINT"),), [(it,) for it in range(changes + 1)]),
            "pieces": Table(
                (("piece", "BIGINT"), ("first", "BIGINT"), ("tariff", "BIGINT"), *_numbered("above", thresholds),
                 ("tiers", "BIGINT"), ("changes", "BIGINT"), *_numbered("change", changes), ("period", "BIGINT"),
                 ("begins", "TIMESTAMP"), ("incomplete", "STRING"), ("model_id", "STRING")),
                pieces,
            ),
            "tariffs": Table(rates.columns, rates.rows),
        }  # fmt: skip
        return Prices(
            rates, tables, {why: rows[number] for why, number in refused.items()}, begins, ends, times,
            within, tiers, thresholds, changes,
        )  # fmt: skip

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


def _padded(numbers: tuple[int, ...], length: int) -> tuple[int, ...]:
    return numbers + (NEVER,) * (length - len(numbers))


def _numbered(name: str, count: int) -> tuple[tuple[str, str], ...]:
    return tuple((f"{name}_{number}", "BIGINT") for number in range(count))
