"""How a file of usages is read, as SQL: who is named, when, and how much of what; pure. See `plan`."""

# ruff: noqa: S608 -- every name is quoted, every text is our own

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple, Self

from llmhive.app.bulk.columns import Column
from llmhive.app.bulk.table import micros
from llmhive.catalog.usage import FIELDS

#: A quantity is DECIMAL(11,0).
MOST = 10**11 - 1


class Extent(NamedTuple):
    """What is known of the quantities in a column: whole numbers from 0 to `most`."""

    most: int
    has_untold: bool  #: NULL is among them


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is read: the column of each field, and whether it is lines of JSON."""

    columns: Mapping[str, Column]
    is_lines: bool
    at: datetime | None  #: of all rows; None: each has its own
    extents: Mapping[str, Extent] = field(default_factory=dict)  #: of those fields of which it is known

    @property
    def counts(self) -> tuple[str, ...]:
        """The fields that count something."""
        return tuple(it for it in FIELDS if it in self.columns)

    def extent(self) -> str | None:
        """What to ask of the columns of whole numbers: one row of (least, most, untold) for each; None: nothing."""
        asked = [
            f"min({raw}), max({raw}), count(*) - count({raw})" for raw in (self._raw(it) for it in self._whole())
        ]  # fmt: skip
        return f'SELECT {", ".join(asked)} FROM "usages" "s"' if asked else None

    def _whole(self) -> list[str]:
        return [it for it in self.counts if self.columns[it].kind == "whole"]

    def knowing(self, row: Sequence[Any]) -> Self:
        """The same of a file with this `extent`."""
        found = {}
        for number, name in enumerate(self._whole()):
            least, most, untold = row[3 * number : 3 * number + 3]
            if least is None or (least >= 0 and most <= MOST):
                found[name] = Extent(max(most or 0, name == "requests"), untold > 0)
        return replace(self, extents=found)

    @property
    def most(self) -> dict[str, int] | None:
        """How much of each field there is in a row at most; None where that is not known of every field."""
        return {it: told.most for it, told in self.extents.items()} if {*self.counts} <= {*self.extents} else None

    def names(self) -> str:
        """Who is named, and from when until when: rows (model, provider, tier, first, last, rows without a time)."""
        return (
            'SELECT "_hive_model", "_hive_provider", "_hive_tier", min("_hive_us"), max("_hive_us"), '
            f'count(*) - count("_hive_us") FROM ({self._read(())}) "u" GROUP BY 1, 2, 3'
        )

    def _read(self, kept: Iterable[str], has_day: bool = False) -> str:
        columns = [
            *(f'"s".{quoted(name)}' for name in kept),
            *(f'{self._text(name)} AS "_hive_{name}"' for name in ("model", "provider", "tier")),
            f'{self._instant()} AS "_hive_us"',
            *(f'{self._count(name)} AS "_hive_{name}"' for name in self.counts),
        ]
        if has_day:
            columns.append(f'{self._day()} AS "_hive_day"')
        if "is_byok" in self.columns:
            columns.append(f'{self._flag()} AS "_hive_is_byok"')
        return f'SELECT {", ".join(columns)} FROM "usages" "s"'

    def _raw(self, name: str) -> str:
        column = self.columns[name]
        if self.is_lines:
            return f'get_json_object("s"."value", \'$.{".".join(column.path)}\')'
        return ".".join(['"s"', *(quoted(it) for it in column.path)])

    def _text(self, name: str) -> str:
        if name == "model":
            # left as it is: DuckDB then joins its dictionary instead of each row, three times as fast
            return self._raw(name)
        return f"coalesce({self._raw(name)}, '')" if name in self.columns else "''"

    def _count(self, name: str) -> str:
        """A quantity as BIGINT, -1 for what is none; what is not told is 0, but for the prompt: NULL."""
        raw, kind = self._raw(name), self.columns[name].kind
        if name in self.extents and not self.extents[name].has_untold:
            return f"CAST({raw} AS BIGINT)"
        untold = {"prompt": "NULL", "requests": "1"}.get(name, "0")
        if kind == "whole":
            found = f"CAST({raw} AS BIGINT)"
        elif kind == "number":
            found = (
                f"CASE WHEN {raw} >= 0 AND {raw} <= {MOST} AND {raw} = floor({raw}) THEN CAST({raw} AS BIGINT) "
                f"WHEN {raw} IS NOT NULL THEN -1 END"
            )
        else:
            text = f"trim({raw})"
            found = (
                f"CASE WHEN regexp_like({text}, '^[0-9]{{1,11}}([.]0*)?$') "
                f"THEN CAST(regexp_replace({text}, '[.]0*$', '') AS BIGINT) WHEN {text} <> '' THEN -1 END"
            )
        return found if untold == "NULL" else f"coalesce({found}, {untold})"

    def _flag(self) -> str:
        raw, kind = self._raw("is_byok"), self.columns["is_byok"].kind
        if kind == "flag":
            return raw
        if kind == "whole":
            return f"({raw} <> 0)"
        text = f"lower(trim({raw}))"
        return f"CASE WHEN {text} IN ('true', 't', '1') THEN TRUE WHEN {text} IN ('false', 'f', '0') THEN FALSE END"

    def _instant(self) -> str:
        """When it was, in microseconds since 1970; NULL for what cannot be read."""
        if self.at is not None:
            return f"CAST({micros(self.at)} AS BIGINT)"
        raw, kind = self._raw("at"), self.columns["at"].kind
        if kind == "instant":
            return f"unix_micros(CAST({raw} AS TIMESTAMP))"
        if kind in {"whole", "number"}:
            seconds = f"CAST({raw} AS {'BIGINT' if kind == 'whole' else 'DOUBLE'})"
            # later than the year 5138 in seconds: milliseconds
            scaled = f"CASE WHEN {seconds} < 100000000000 THEN {seconds} * 1000000 ELSE {seconds} * 1000 END"
            return f"CASE WHEN {raw} >= 0 AND {raw} < 100000000000000 THEN CAST({scaled} AS BIGINT) END"
        text = f"trim({raw})"
        day, clock = "[0-9]{4}-[0-9]{2}-[0-9]{2}", "[0-9]{2}:[0-9]{2}"
        zone = "(Z|z| ?UTC| ?[+-][0-9]{2}(:?[0-9]{2})?)?"
        whole = f"^{day}([T ]{clock}(:[0-9]{{2}}([.][0-9]{{1,9}})?)?{zone})?$"

        def part(pattern: str, group: int) -> str:
            return f"regexp_extract({text}, '{pattern}', {group})"

        def number(pattern: str, group: int) -> str:
            found = part(pattern, group)
            return f"CASE WHEN {found} <> '' THEN CAST({found} AS BIGINT) ELSE 0 END"

        offset = "[0-9] ?([+-])([0-9]{2}):?([0-9]{2})?$"
        second = number(f"{clock}:([0-9]{{2}})", 1)
        fraction = f"CAST(rpad(substr({part('[.]([0-9]{1,9})', 1)}, 1, 6), 6, '0') AS BIGINT)"
        minutes = f"({number(offset, 2)} * 60 + {number(offset, 3)})"
        on_day = f"unix_micros(TRY_CAST(substr({text}, 1, 10) AS TIMESTAMP))"
        hour, minute = number("[T ]([0-9]{2}):[0-9]{2}", 1), number("[T ][0-9]{2}:([0-9]{2})", 1)
        has_clock = f"length({text}) > 10"
        iso = (
            f"{on_day} + CASE WHEN {has_clock} THEN (({hour}) * 3600 + ({minute}) * 60 + ({second})) * 1000000 "
            f"+ {fraction} - CASE WHEN {part(offset, 1)} = '-' THEN -1 ELSE 1 END * {minutes} * 60000000 ELSE 0 END"
        )
        is_clock = f"(NOT {has_clock} OR (({hour}) < 24 AND ({minute}) < 60 AND ({second}) < 60))"
        digits = f"CAST(CASE WHEN regexp_like({text}, '^[0-9]{{1,14}}$') THEN {text} END AS BIGINT)"
        return (
            f"CASE WHEN regexp_like({text}, '{whole}') THEN CASE WHEN {is_clock} THEN {iso} END "
            f"WHEN {digits} < 100000000000 THEN {digits} * 1000000 ELSE {digits} * 1000 END"
        )

    def _day(self) -> str:
        """The day of a row (UTC); NULL where its time cannot be read."""
        if self.at is None and self.columns["at"].kind == "instant":
            return f"CAST(CAST({self._raw('at')} AS TIMESTAMP) AS DATE)"
        return f"CAST(timestamp_micros({self._instant()}) AS DATE)"


def quoted(name: str) -> str:
    """A column's name as an identifier."""
    return '"' + name.replace('"', '""') + '"'
