"""The pricing of a file as SQL: one text, which DuckDB and Apache Spark both run; pure.

It uses what both have: ANSI identifiers, CASE, decimal arithmetic, and the functions ``unix_micros``, ``regexp_like``
and ``get_json_object``, which Spark brings and `duck` defines. The tables it joins are those of `table`; the view
``usages`` is the file as it is, or its lines in a column ``value``. Columns of our own are called ``_hive_…`` inside.

Every join meets exactly one row, so that as many rows come out as went in, in their order.
"""

# ruff: noqa: S608 -- every name is quoted, every text is our own

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from llmhive.app.bulk.columns import Column
from llmhive.app.bulk.table import FIELD_OF, NO_MODEL, Prices, micros
from llmhive.catalog.usage import FIELDS

#: A quantity is DECIMAL(11,0).
MOST = 10**11 - 1
QUANTITY = "DECIMAL(11,0)"
#: Where all quantities together have no more bits, none is larger than `MOST`.
_BITS = (1 << 36) - 1
_MASK = (1 << 37) - 1
_DAY = 86_400_000_000
_MONDAY = 3 * _DAY  # 1970 began on a Thursday
#: What is added to each row, in order.
ADDED = ("cost", "priced_model", "price_from", "billed_cost", "unpriced_because", "possibly_incomplete")
UNREADABLE = "its time cannot be read"


@dataclass(frozen=True, slots=True)
class Plan:
    """How a file is read: the column of each field, and whether it is lines of JSON."""

    columns: Mapping[str, Column]
    is_lines: bool
    at: datetime | None  #: of all rows; None: each has its own

    @property
    def counts(self) -> tuple[str, ...]:
        """The fields that count something."""
        return tuple(it for it in FIELDS if it in self.columns)

    def added(self) -> tuple[str, ...]:
        """The columns that are added."""
        return tuple(it for it in ADDED if it != "billed_cost" or "is_byok" in self.columns)

    # --- reading

    def names(self) -> str:
        """Who is named, and from when until when: rows (model, provider, tier, first, last)."""
        return (
            'SELECT "_hive_model", "_hive_provider", "_hive_tier", min("_hive_us"), max("_hive_us") '
            f'FROM ({self._read(())}) "u" GROUP BY 1, 2, 3'
        )

    def _read(self, kept: Iterable[str]) -> str:
        columns = [
            *(f'"s".{quoted(name)}' for name in kept),
            *(f'{self._text(name)} AS "_hive_{name}"' for name in ("model", "provider", "tier")),
            f'{self._instant()} AS "_hive_us"',
            *(f'{self._count(name)} AS "_hive_{name}"' for name in self.counts),
        ]
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

    # --- pricing

    def priced(
        self, prices: Prices, columns: Mapping[str, str], *, kept: Iterable[str] = (), as_text: bool = False
    ) -> str:
        """The statement: columns of the file to keep, then what is added → how it is called.

        `as_text`: amounts and instants as text.
        """
        kept = list(kept)
        said = self._said(prices, as_text)
        wanted = [quoted(it) for it in kept] + [f'{said[it]} AS "{name}"' for it, name in columns.items()]
        return f'SELECT {", ".join(wanted)} FROM ({self._costs(prices, kept)}) "c"'

    def _costs(self, prices: Prices, kept: list[str]) -> str:
        """Each row with its tariff, and the cost."""
        bits = " | ".join(f'"_hive_{it}"' for it in self.counts)
        us = 'coalesce("_hive_us", 0)'
        clamped = f"CASE WHEN {us} < {prices.begins} THEN {prices.begins} WHEN {us} > {prices.last} THEN {prices.last} "
        when = f'{clamped} ELSE {us} END AS "_hive_when"'
        text = f'SELECT "u".*, {bits} AS "_hive_bits", {when} FROM ({self._read(kept)}) "u"'
        # who names no model meets nobody there, and has the slot of nobody
        slot = f'coalesce("n"."base" + (("_hive_when" - {prices.begins}) >> "n"."shift"), {prices.nobody})'
        named = [f'"_hive_{it}" = "n"."{it}"' for it in ("model", "provider", "tier") if it in self.columns]
        text = _joined(
            f'"n"."model_id" AS "_hive_id", {slot} AS "_hive_slot"',
            text,
            "names",
            "n",
            " AND ".join(named),
            "LEFT JOIN",
        )
        text = _joined('"s"."piece" AS "_hive_piece"', text, "slots", "s", '"_hive_slot" = "s"."slot"')
        if prices.ends:
            later = _counted(f'"_hive_when" >= "p"."stop_{number}"' for number in range(prices.ends))
            text = _joined(f'"_hive_piece" + {later} AS "_hive_at"', text, "pieces", "p", '"_hive_piece" = "p"."piece"')
        tariff = '"q"."tariff"'
        if prices.thresholds:
            tariff += " + " + _counted(f'"_hive_prompt" > "q"."above_{it}"' for it in range(prices.thresholds))
        if prices.changes:
            clock = f'(({us} + {_MONDAY}) % "q"."period")'
            passed = _counted(f'{clock} >= "q"."change_{it}"' for it in range(prices.changes))
            tariff += f' + "q"."tiers" * {passed}'
        # Where a quantity is none, or the time, the tariff is one without rates, and so the cost is NULL. Costs are
        # computed for all rows: inside of a CASE they take half as long again (DuckDB). The first look is at all
        # quantities at once.
        whole = " AND ".join(f'"_hive_{it}" BETWEEN 0 AND {MOST}' for it in self.counts)
        is_right = f'("_hive_bits" BETWEEN 0 AND {_BITS} OR ({whole})) AND "_hive_us" IS NOT NULL'
        tariff = f"CASE WHEN {is_right} THEN {tariff} ELSE {prices.refused} END"
        text = _joined(
            f'{tariff} AS "_hive_tariff", "q"."begins" AS "_hive_begins", "q"."incomplete" AS "_hive_incomplete"',
            text, "pieces", "q", f'"{"_hive_at" if prices.ends else "_hive_piece"}" = "q"."piece"',
        )  # fmt: skip
        parts = self._quantities()
        doubts = [
            f'CASE WHEN {parts.get(it, "1")} > 0 THEN "t"."doubt_{it}" END AS "_hive_doubt_{it}"'
            for it in prices.doubted
        ]
        cost = f'{self._charge(prices, parts)} AS "_hive_cost"'
        said = ", ".join([cost, '"t"."why" AS "_hive_why"', *doubts])
        return _joined(said, text, "tariffs", "t", '"_hive_tariff" = "t"."tariff"')

    def _quantities(self) -> dict[str, str]:
        """How much there is of each of `PARTS`: `catalog.cost.quantities`, of the columns there are."""
        # what is no quantity is no matter here, but must not overflow; the others stay as they are
        has = {it: f'("_hive_{it}" & {_MASK})' for it in self.counts}
        written = " + ".join(has[it] for it in ("written", "written_1h") if it in has)
        taken = " + ".join(filter(None, (has.get("cached"), written)))
        if "cached" in has and written:
            taken = (
                f'CASE WHEN {taken} <= {has["prompt"]} THEN {taken} WHEN {has["cached"]} > {written} '
                f'THEN {has["cached"]} ELSE {written} END'
            )  # fmt: skip
        found = {it: has[it] for it in FIELD_OF.values() if it in has}
        found["plain"] = _above_zero(has["prompt"], taken, has.get("audio"), has.get("image_tokens"))
        if "cached" in has:
            found["cached"] = _above_zero(has["cached"], has.get("audio_cached"))
        if "completion" in has:
            found["text"] = _above_zero(
                *(has.get(it) for it in ("completion", "reasoning", "audio_output", "image_output"))
            )
        return found

    def _charge(self, prices: Prices, parts: Mapping[str, str]) -> str:
        products = [
            f'"t"."rate_{it}" * TRY_CAST({parts[it]} AS {QUANTITY})' if it in parts else f'"t"."rate_{it}"'
            for it in prices.parts
        ]
        nothing = f'CASE WHEN "t"."why" IS NULL AND "_hive_tariff" <> {prices.refused} THEN 0 END'
        return f"CAST({' + '.join(products) or nothing} AS DECIMAL(38,24))"

    def _said(self, prices: Prices, as_text: bool) -> dict[str, str]:
        cost = '"_hive_cost"'
        is_priced = f"{cost} IS NOT NULL"
        doubts = ['"_hive_incomplete"', *(f'"_hive_doubt_{it}"' for it in prices.doubted)]
        doubt = f"nullif(concat_ws('; ', {', '.join(doubts)}), '')" if prices.doubted else '"_hive_incomplete"'
        wrong = [
            f"WHEN coalesce(\"_hive_model\", '') = '' THEN '{NO_MODEL}'",
            f"WHEN \"_hive_us\" IS NULL THEN '{UNREADABLE}'",
            "WHEN \"_hive_prompt\" IS NULL THEN 'prompt is not told'",
        ]
        wrong += [
            f"WHEN NOT \"_hive_{it}\" BETWEEN 0 AND {MOST} THEN '{it} is not a whole number from 0 to {MOST}'"
            for it in self.counts
        ]

        def shown(amount: str) -> str:
            return f"regexp_replace(CAST({amount} AS STRING), '[.]?0+$', '')" if as_text else amount

        begins = "concat(replace(CAST(\"_hive_begins\" AS STRING), ' ', 'T'), 'Z')" if as_text else '"_hive_begins"'
        day = 'coalesce("_hive_us", 0)'
        return {
            "cost": shown(cost),
            "priced_model": f'CASE WHEN {is_priced} THEN "_hive_id" END',
            "price_from": f"CASE WHEN {is_priced} THEN {begins} END",
            "billed_cost": (
                f'CASE WHEN "_hive_is_byok" THEN {shown("CAST(0 AS DECIMAL(38,24))")} '
                f'WHEN "_hive_is_byok" = FALSE THEN {shown(cost)} END'
            ),
            "unpriced_because": f'CASE WHEN {is_priced} THEN NULL {" ".join(wrong)} ELSE "_hive_why" END',
            "possibly_incomplete": f"CASE WHEN {is_priced} THEN {doubt} END",
            "day": f"{day} - {day} % {_DAY}",
            "prompt": f'CASE WHEN {is_priced} THEN "_hive_prompt" ELSE 0 END',
            "completion": f'CASE WHEN {is_priced} THEN "_hive_completion" ELSE 0 END'
            if "completion" in self.columns
            else "0",
        }

    def summary(self, prices: Prices) -> str:
        """Sums by day, model and reason: rows (which, day, model, reason, rows, priced, cost, prompt, completion).

        `which` is 1 for a row of a day, 2 of a model, 3 of a reason.
        """
        needed = ("day", "priced_model", "unpriced_because", "cost", "prompt", "completion")
        rows = self.priced(prices, {it: it for it in needed})
        return (
            'SELECT CASE WHEN grouping("day") = 0 THEN 1 WHEN grouping("priced_model") = 0 THEN 2 ELSE 3 END, '
            '"day", "priced_model", "unpriced_because", count(*), count("cost"), sum("cost"), sum("prompt"), '
            f'sum("completion") FROM ({rows}) "r" '
            'GROUP BY GROUPING SETS (("day"), ("priced_model"), ("unpriced_because"))'
        )


def quoted(name: str) -> str:
    """A column's name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def _joined(columns: str, text: str, table: str, alias: str, on: str, how: str = "JOIN") -> str:
    """Rows with columns of the one row of a small table that they meet; the hint is for Spark."""
    return (
        f'SELECT /*+ BROADCAST({alias}) */ "u".*, {columns} FROM ({text}) "u" {how} "{table}" "{alias}" ON {on}'
    )  # fmt: skip


def _counted(conditions: Iterable[str]) -> str:
    """How many of some conditions hold; one that is not known does not."""
    return "(" + " + ".join(f"CASE WHEN {it} THEN 1 ELSE 0 END" for it in conditions) + ")"


def _above_zero(whole: str | None, *parts: str | None) -> str:
    """What is left of a whole, not below zero."""
    taken = [it for it in parts if it]
    assert whole is not None
    if not taken:
        return whole
    left = f"{whole} - " + " - ".join(f"({it})" for it in taken)
    return f"CASE WHEN {left} > 0 THEN {left} ELSE 0 END"
