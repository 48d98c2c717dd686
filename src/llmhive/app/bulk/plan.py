"""The pricing of a file as SQL: one text, which DuckDB and Apache Spark both run; pure.

It uses what both have: ANSI identifiers, CASE, decimal arithmetic, and functions that Spark brings and `duck` defines.
The tables it joins are those of `table`; the view ``usages`` is the file as it is, or its lines in a column ``value``.
Columns of our own are called ``_hive_…`` inside.

What is known of the quantities of a file (`Plan.extents`) is not asked of each row again, and lets costs be computed
by 64-bit numbers (`rates`). Keys of joins are BIGINT, since a cast hides from DuckDB how large they become.

Every join meets exactly one row, so that as many rows come out as went in, in their order.
"""

# ruff: noqa: S608 -- every name is quoted, every text is our own

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from llmhive.app.bulk.rates import DECIMALS, FIELD_OF, Term
from llmhive.app.bulk.reading import MOST, Reading, quoted
from llmhive.app.bulk.table import NO_MODEL, Prices

#: A quantity, at most `MOST`.
QUANTITY = "DECIMAL(11,0)"
#: Where all quantities together have no more bits, none is larger than `MOST`.
_BITS = (1 << 36) - 1
_MASK = (1 << 37) - 1
_MONDAY = 3 * 86_400_000_000  # 1970 began on a Thursday
#: What is added to each row, in order.
ADDED = ("cost", "priced_model", "price_from", "billed_cost", "unpriced_because", "possibly_incomplete")
#: The cost where no rate is above zero.
_FREE = 'CASE WHEN "t"."why" IS NULL THEN CAST(0 AS BIGINT) END'
UNREADABLE = "its time cannot be read"


@dataclass(frozen=True, slots=True)
class Plan(Reading):
    """How a file is read, and priced."""

    def added(self) -> tuple[str, ...]:
        """The columns that are added."""
        return tuple(it for it in ADDED if it != "billed_cost" or "is_byok" in self.columns)

    def reasons(self) -> dict[str, str]:
        """Why a row itself cannot be priced → the condition, the first that holds; those that may occur."""
        wrong = {UNREADABLE: '"_hive_us" IS NULL'}
        if "prompt" not in self.extents or self.extents["prompt"].has_untold:
            wrong["prompt is not told"] = '"_hive_prompt" IS NULL'
        for name in self.counts:
            if name not in self.extents:
                wrong[f"{name} is not a whole number from 0 to {MOST}"] = (
                    f'NOT "_hive_{name}" BETWEEN 0 AND {MOST}'
                )  # fmt: skip
        return wrong

    @staticmethod
    def made(prices: Prices) -> dict[str, str]:
        """The tables that engines make of those that are told: name → statement."""
        stops = "".join(f', "stop_{it}"' for it in range(prices.ends))
        slots = f'SELECT explode(sequence("first", "last")) AS "slot", "at"{stops} FROM "runs"'
        tier = _counted(f'"i"."above" >= "p"."above_{it}"' for it in range(prices.thresholds))
        # the next size beyond which it costs otherwise
        sizes = " ".join(
            f'WHEN "i"."above" < "p"."above_{it}" THEN "p"."above_{it}"' for it in range(prices.thresholds)
        )  # fmt: skip
        after = f', CASE {sizes} END AS "next_size"' if sizes else ""
        rates = "".join(f', "t".{quoted(name)}' for name, _ in prices.rates.columns if name not in {"tariff", "why"})
        table = (
            f'SELECT "p"."first" + "c"."clock" * {prices.width} + "i"."tier" AS "price", "t"."why", '
            'CASE WHEN "t"."why" IS NULL THEN "p"."model_id" END AS "model_id", '
            'CASE WHEN "t"."why" IS NULL THEN "p"."begins" END AS "begins", '
            f'CASE WHEN "t"."why" IS NULL THEN "p"."incomplete" END AS "incomplete"{rates}{after} '
            'FROM "pieces" "p" JOIN "clocks" "c" ON "c"."clock" <= "p"."changes" CROSS JOIN "tiers" "i" '
            f'JOIN "tariffs" "t" ON "t"."tariff" = "p"."tariff" + "c"."clock" * "p"."tiers" + {tier}'
        )
        return {"slots": slots, "prices": table}

    def priced(
        self, prices: Prices, columns: Mapping[str, str], *, kept: Iterable[str] = (), as_text: bool = False
    ) -> str:
        """The statement: columns of the file to keep, then what is added → how it is called.

        `as_text`: amounts and instants as text.
        """
        kept = list(kept)
        said = self._said(prices, as_text)
        wanted = [f'"c".{quoted(it)}' for it in kept] + [f'{said[it]} AS "{name}"' for it, name in columns.items()]
        return f'SELECT {", ".join(wanted)} FROM ({self._costs(prices, kept)}) "c"'

    def _costs(self, prices: Prices, kept: list[str], has_day: bool = False) -> str:
        """Each row with what it finds in ``prices``, and its cost."""
        times = prices.times
        us = 'coalesce("_hive_us", 0)' if times.has_untimed else '"_hive_us"'
        low = f"WHEN {us} < {prices.begins} THEN {prices.begins} " if times.first < prices.begins else ""
        high = f"WHEN {us} > {prices.last} THEN {prices.last} " if times.last > prices.last else ""
        if times.has_untimed:
            low, high = (
                f"WHEN {us} < {prices.begins} THEN {prices.begins} ",
                f"WHEN {us} > {prices.last} THEN {prices.last} ",
            )
        when = f"CASE {low}{high}ELSE {us} END" if low or high else us
        text = f'SELECT "u".*, {when} AS "_hive_when" FROM ({self._read(kept, has_day)}) "u"'
        slot = f'"n"."base" + (("_hive_when" - {prices.begins}) >> "n"."shift")'
        named = [f'"_hive_{it}" = "n"."{it}"' for it in ("model", "provider", "tier") if it in self.columns]
        is_there, how = " AND ".join(named), "JOIN"
        if times.has_nameless:
            # who names no model meets nobody
            slot, how = f"coalesce({slot}, 0)", "LEFT JOIN"
        text = _joined(f'{slot} AS "_hive_slot"', text, "names", "n", is_there, how)
        at, step = '"s"."at"', 1 if prices.changes else prices.width
        if prices.ends:
            later = _counted((f'"_hive_when" >= "s"."stop_{number}"' for number in range(prices.ends)), step)
            at = f"{at} + {later}"
        if prices.changes:
            text = _joined(f'{at} AS "_hive_at"', text, "slots", "s", '"_hive_slot" = "s"."slot"')
            clock = f'(({us} + {_MONDAY}) % "q"."period")'
            passed = _counted((f'{clock} >= "q"."change_{it}"' for it in range(prices.changes)), prices.width)
            row = f'"q"."first" + {passed}{self._tier(prices)}'
            text = _joined(
                f'{self._checked(prices, row)} AS "_hive_price"', text, "pieces", "q", '"_hive_at" = "q"."piece"'
            )
        else:
            row = self._checked(prices, f"{at}{self._tier(prices)}")
            text = _joined(f'{row} AS "_hive_price"', text, "slots", "s", '"_hive_slot" = "s"."slot"')
        parts = self._quantities()
        columns = [
            *(f'{sum_} AS "_hive_{name}"' for name, sum_ in self._charge(prices, parts).items()),
            '"t"."why" AS "_hive_why"', '"t"."model_id" AS "_hive_id"', '"t"."begins" AS "_hive_begins"',
            '"t"."incomplete" AS "_hive_incomplete"',
            *(f'CASE WHEN {it} THEN {told} END AS "_hive_doubt_{name}"'
              for name, (it, told) in self._doubts(prices, parts).items()),
        ]  # fmt: skip
        return _joined(", ".join(columns), text, "prices", "t", '"_hive_price" = "t"."price"')

    def _tier(self, prices: Prices) -> str:
        """Which of the sizes of a prompt; most prompts are of the first. Of several requests the mean counts."""
        if not prices.tiers:
            return ""
        is_upto = '"_hive_prompt" <= {0}'
        if "requests" in self.columns:
            # the mean is a whole number, rounded down
            is_upto = '"_hive_prompt" < CAST(greatest("_hive_requests", 1) AS DECIMAL(19,0)) * ({0} + 1)'
        sizes = "".join(f"WHEN {is_upto.format(size)} THEN {tier} " for tier, size in enumerate(prices.tiers))
        return f" + CASE {sizes}ELSE {len(prices.tiers)} END"

    def _doubts(self, prices: Prices, parts: Mapping[str, str]) -> dict[str, tuple[str, str]]:
        """What may make a cost incomplete: name → when, and why."""
        found = {it: (f"{parts.get(it, '1')} > 0", f'"t"."doubt_{it}"') for it in prices.rates.doubted}
        if "requests" in self.columns and prices.thresholds:
            # of several requests, one may have passed a size that their mean did not
            found["sum"] = ('"_hive_requests" > 1 AND "_hive_prompt" > "t"."next_size"', _told_of_sum("t"))
        return found

    def _checked(self, prices: Prices, row: str) -> str:
        """The row of ``prices``, or that of the reason why there is none."""
        wrong = self.reasons()
        if not prices.times.has_untimed:
            del wrong[UNREADABLE]
        if prices.times.has_nameless:
            wrong = {NO_MODEL: "coalesce(\"_hive_model\", '') = ''"} | wrong
        if not wrong:
            return row
        cases = " ".join(f"WHEN {it} THEN {prices.reasons[why]}" for why, it in wrong.items())
        unknown = [f'"_hive_{it}"' for it in self.counts if it not in self.extents]
        if unknown:
            # the first look is at all quantities at once
            others = [f"NOT ({it})" for why, it in wrong.items() if why in {NO_MODEL, UNREADABLE}]
            others += ['"_hive_prompt" IS NOT NULL'] if "prompt" in self.extents else []
            quick = " AND ".join([f"({' | '.join(unknown)}) BETWEEN 0 AND {_BITS}", *others])
            cases = f"WHEN {quick} THEN {row} {cases}"
        return f"CASE {cases} ELSE {row} END"

    def _quantities(self) -> dict[str, str]:
        """How much there is of each of `PARTS`: `catalog.cost.quantities`, of the columns there are."""
        # what is no quantity is no matter here, but must not overflow; the others stay as they are
        has = {it: f'"_hive_{it}"' if it in self.extents else f'("_hive_{it}" & {_MASK})' for it in self.counts}
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

    def _charge(self, prices: Prices, parts: Mapping[str, str]) -> dict[str, str]:
        """The cost of a row: ``cost`` in USD, or ``main`` and ``fine`` as whole numbers of 10^-digits and 10^-24."""
        rates = prices.rates
        if rates.digits is None:
            products = [
                f'"t"."{it.column}" * TRY_CAST({parts[it.parts[0]]} AS {QUANTITY})' if it.parts[0] in parts
                else f'"t"."{it.column}"'
                for it in rates.terms
            ]  # fmt: skip
            return {"cost": f"CAST({' + '.join(products) or _FREE} AS DECIMAL(38,24))"}

        def summed(terms: list[Term]) -> str:
            return " + ".join(
                f'"t"."{it.column}" * ({" + ".join(parts.get(part, "1") for part in it.parts)})' for it in terms
            )

        def where(mark: str, terms: list[Term]) -> str:
            return f'CASE WHEN "t"."{mark}" THEN {summed(terms)} ELSE 0 END'

        usual = [it for it in rates.terms if not it.is_odd and not it.is_fine]
        seldom = [it for it in rates.terms if it.is_odd and not it.is_fine]
        fine = [it for it in rates.terms if it.is_fine]
        found = {"main": summed(usual) or _FREE}
        if seldom:
            found["main"] += f" + {where('is_odd', seldom)}"
        if fine:
            found["fine"] = where("is_fine", fine)
        return found

    @staticmethod
    def _amount(prices: Prices) -> str:
        """The cost in USD."""
        digits = prices.rates.digits
        if digits is None:
            return '"_hive_cost"'
        amount = _scaled('"_hive_main"', digits)
        if prices.rates.has_fine:
            amount += (
                f' + CASE WHEN "_hive_fine" = 0 THEN 0 ELSE {_scaled(chr(34) + "_hive_fine" + chr(34), DECIMALS)} END'
            )
        return f"CAST({amount} AS DECIMAL(38,24))"

    def _said(self, prices: Prices, as_text: bool) -> dict[str, str]:
        cost = self._amount(prices)
        doubted = self._doubts(prices, {})
        doubts = ['"_hive_incomplete"', *(f'"_hive_doubt_{it}"' for it in doubted)]
        doubt = '"_hive_incomplete"'
        if doubted:
            doubt = f"CASE WHEN \"_hive_why\" IS NULL THEN nullif(concat_ws('; ', {', '.join(doubts)}), '') END"

        def shown(amount: str) -> str:
            return f"regexp_replace(CAST({amount} AS STRING), '[.]?0+$', '')" if as_text else amount

        begins = "concat(replace(CAST(\"_hive_begins\" AS STRING), ' ', 'T'), 'Z')" if as_text else '"_hive_begins"'
        return {
            "cost": shown(cost),
            "priced_model": '"_hive_id"',
            "price_from": f'CASE WHEN "_hive_begins" IS NOT NULL THEN {begins} END' if as_text else begins,
            "billed_cost": (
                f'CASE WHEN "_hive_is_byok" THEN {shown("CAST(0 AS DECIMAL(38,24))")} '
                f'WHEN "_hive_is_byok" = FALSE THEN {shown(cost)} END'
            ),
            "unpriced_because": '"_hive_why"',
            "possibly_incomplete": doubt,
        }

    @staticmethod
    def amounts(prices: Prices) -> tuple[str, ...]:
        """What a cost is the sum of: ``cost``, or ``main`` and ``fine`` (see `_charge`)."""
        if prices.rates.digits is None:
            return ("cost",)
        return ("main", "fine") if prices.rates.has_fine else ("main",)

    def by_day(self, prices: Prices) -> str:
        """What all rows of a day cost together: rows (day, `amounts` …)."""
        amounts = self.amounts(prices)
        sums = ", ".join(f'sum("{it}")' for it in amounts)
        rows = f'SELECT "_hive_day", {_as_sums(amounts)} FROM ({self._costs(prices, [], has_day=True)}) "c"'
        return f'SELECT "_hive_day", {sums} FROM ({rows}) "r" GROUP BY 1'

    def summary(self, prices: Prices) -> str:
        """Sums of the rows of a day, or of a model, reason why there is no price, and reason why there may be more to
        a price: rows (1 of a day, else 0, day, model, reason, doubt, rows, priced, prompt, completion, `amounts` …).
        """
        amounts, doubted = self.amounts(prices), self._doubts(prices, {})
        is_priced = f'"_hive_{amounts[0]}" IS NOT NULL'
        flags = [f'"_hive_doubt_{it}" IS NOT NULL AS "has_{it}"' for it in doubted]
        tokens = [
            f'CASE WHEN {is_priced} THEN "_hive_{it}" ELSE 0 END AS "{it}"' if it in self.columns else f'0 AS "{it}"'
            for it in ("prompt", "completion")
        ]
        columns = ['"_hive_day"', '"_hive_price"', *flags, *tokens, _as_sums(amounts)]
        rows = f'SELECT {", ".join(columns)} FROM ({self._costs(prices, [], has_day=True)}) "c"'
        by_price = ", ".join(['"_hive_price"', *(f'"has_{it}"' for it in doubted)])
        sums = ", ".join(f'sum("{it}") AS "{it}"' for it in ("prompt", "completion", *amounts))
        groups = (
            f'SELECT CASE WHEN grouping("_hive_day") = 0 THEN 1 ELSE 0 END AS "is_day", "_hive_day", {by_price}, '
            f'count(*) AS "rows", count("{amounts[0]}") AS "priced", {sums} FROM ({rows}) "r" '
            f'GROUP BY GROUPING SETS (("_hive_day"), ({by_price}))'
        )
        told = ", ".join(
            ['"t"."incomplete"', *(f'CASE WHEN "has_{it}" THEN {told} END' for it, (_, told) in doubted.items())]
        )  # fmt: skip
        doubt = f"CASE WHEN \"t\".\"why\" IS NULL THEN nullif(concat_ws('; ', {told}), '') END"
        again = ", ".join(f'sum("g"."{it}")' for it in ("rows", "priced", "prompt", "completion", *amounts))
        return (
            f'SELECT /*+ BROADCAST(t) */ "g"."is_day", "g"."_hive_day", "t"."model_id", "t"."why", {doubt}, {again} '
            f'FROM ({groups}) "g" LEFT JOIN "prices" "t" ON "g"."_hive_price" = "t"."price" GROUP BY 1, 2, 3, 4, 5'
        )


def _joined(columns: str, text: str, table: str, alias: str, on: str, how: str = "JOIN") -> str:
    """Rows with columns of the one row of a small table that they meet; the hint is for Spark."""
    return (
        f'SELECT /*+ BROADCAST({alias}) */ "u".*, {columns} FROM ({text}) "u" {how} "{table}" "{alias}" ON {on}'
    )  # fmt: skip


def _counted(conditions: Iterable[str], each: int = 1) -> str:
    """How many of some conditions hold, times something; one that is not known does not."""
    return "(" + (" + ".join(f"CASE WHEN {it} THEN {each} ELSE 0 END" for it in conditions) or "0") + ")"


def _told_of_sum(prices: str) -> str:
    """Why the cost of several requests may be another."""
    return (
        f'concat(\'a sum of requests, priced by their mean prompt: one of more than \', CAST("{prices}"."next_size" '
        "AS STRING), ' tokens costs otherwise')"
    )


def _as_sums(amounts: Iterable[str]) -> str:
    """Amounts that can be summed up: what is less than 10^18 each has room for 20 more digits."""
    return ", ".join(
        '"_hive_cost" AS "cost"' if it == "cost" else f'CAST("_hive_{it}" AS DECIMAL(18,0)) AS "{it}"' for it in amounts
    )


def _scaled(number: str, digits: int) -> str:
    """So many 10^-digits."""
    return (
        f"CAST({number} AS DECIMAL(19,0)) * {Decimal(1).scaleb(-digits):f}"
        if digits
        else f"CAST({number} AS DECIMAL(19,0))"
    )


def _above_zero(whole: str | None, *parts: str | None) -> str:
    """What is left of a whole, not below zero."""
    taken = [it for it in parts if it]
    assert whole is not None
    if not taken:
        return whole
    left = f"{whole} - " + " - ".join(f"({it})" for it in taken)
    return f"CASE WHEN {left} > 0 THEN {left} ELSE 0 END"
