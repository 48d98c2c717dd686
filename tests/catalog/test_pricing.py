"""Exact rates, their normal form, and time windows against a minute-by-minute oracle."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, Inexact
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmhive.catalog.pricing import (
    DAYS,
    EXACT,
    UNITS,
    Kind,
    Override,
    Pricing,
    canonical,
    exact,
    kind_of,
    per_million,
    plain,
    tiled_units,
)
from tests.catalog import strategies as our

laws = our.laws
slow_laws = settings(our.laws, max_examples=60)

#: every minute of the week as (weekday, minute of the day); Monday first
WEEK = [(day, minute) for day in range(7) for minute in range(24 * 60)]
MONDAY = datetime(2026, 6, 1, tzinfo=UTC)


def override(rates: dict[str, str] | None = None, **conditions: Any) -> Override:
    priced = {"prompt": "1"} if rates is None else rates
    return Override(
        tuple(sorted(conditions.items())), tuple(sorted((unit, Decimal(rate)) for unit, rate in priced.items()))
    )


def pricing(overrides: Iterable[Override] = (), **rates: str) -> Pricing:
    return Pricing.of({unit: Decimal(rate) for unit, rate in rates.items()}, overrides)


def monday(hhmm: int, *, days: int = 0) -> datetime:
    return MONDAY + timedelta(days=days, hours=hhmm // 100, minutes=hhmm % 100)


# --- the oracle: reference 3.2, rule by rule, for one minute


def understood(entry: Override) -> bool:
    for name, value in entry.conditions:
        match name, value:
            case (("utc_start" | "utc_end"), int()):
                if not (0 <= value // 100 < 24 and 0 <= value % 100 < 60) and value != 2400:
                    return False
            case "utc_days", tuple():
                if any(len(name) < 3 or not any(day[: len(name)] == name.casefold() for day in DAYS) for name in value):
                    return False
            case "min_prompt_tokens", int():
                pass
            case _:
                return False
    return True


def minutes(entry: Override) -> list[bool]:
    """For each minute of the week, whether the clock alone puts an entry in force."""
    when: dict[str, Any] = dict(entry.conditions)
    if not understood(entry) or "min_prompt_tokens" in when:
        return [False] * len(WEEK)
    start, end = when.get("utc_start", 0), when.get("utc_end", 0)
    start, end = start // 100 * 60 + start % 100, end // 100 * 60 + end % 100
    end = end or 24 * 60
    named = {name.casefold()[:3] for name in when.get("utc_days", DAYS)}
    on = [day[:3] in named for day in DAYS]
    if start < end:
        return [on[day] and start <= minute < end for day, minute in WEEK]
    return [(on[day] and minute >= start) or (on[day - 1] and minute < end) for day, minute in WEEK]


def in_force(entry: Override, at: datetime) -> bool:
    return minutes(entry)[WEEK.index((at.weekday(), at.hour * 60 + at.minute))]


def bits(entry: Override) -> int:
    return int("".join("01"[is_on] for is_on in reversed(minutes(entry))), 2)


def tiled(entries: Iterable[Override]) -> set[str]:
    covered: dict[str, int] = {}
    for entry in entries:
        for unit, _ in entry.rates:
            covered[unit] = covered.get(unit, 0) | bits(entry)
    return {unit for unit, minutes in covered.items() if minutes == (1 << len(WEEK)) - 1}


# --- windows


@slow_laws
@given(our.overrides())
def test_the_minutes_of_a_window(entry: Override) -> None:
    if understood(entry):
        # a token threshold says nothing of the time
        by_clock = Override(tuple(c for c in entry.conditions if c[0] != "min_prompt_tokens"), entry.rates)
        assert entry.minutes() == bits(by_clock)


@laws
@given(our.overrides())
def test_what_we_can_evaluate(entry: Override) -> None:
    assert entry.is_understood == understood(entry)
    assert entry.is_schedule == (understood(entry) and "min_prompt_tokens" not in dict(entry.conditions))


@laws
@given(our.overrides(), our.week)
def test_whether_it_holds_at_an_instant(entry: Override, at: datetime) -> None:
    assert entry.holds_at(at) == in_force(entry, at)


@slow_laws
@given(our.tilings(("prompt",)), our.tilings(("prompt", "completion")))
def test_the_units_that_windows_tile(one: tuple[Override, ...], two: tuple[Override, ...]) -> None:
    assert tiled_units((*one, *two)) == tiled((*one, *two))


@slow_laws
@given(st.lists(our.overrides(), max_size=4))
def test_the_units_that_any_overrides_tile(entries: list[Override]) -> None:
    assert tiled_units(entries) == tiled(entries)


@laws
@given(st.lists(our.overrides(), max_size=4) | our.tilings(), our.week, st.sampled_from(["prompt", "completion"]))
def test_the_rate_at_an_instant(entries: list[Override], at: datetime, unit: str) -> None:
    priced = pricing(entries, prompt="7", completion="8")
    expected = None if unit in tiled(entries) else Decimal("7" if unit == "prompt" else "8")
    for entry in entries:
        if in_force(entry, at):
            expected = dict(entry.rates).get(unit, expected)
    assert priced.rate_at(unit, at) == expected


@pytest.mark.parametrize(
    ("when", "inside", "outside"),
    [
        # half-open
        ({"utc_start": 100, "utc_end": 1030}, [100, 1029], [59, 1030]),
        # the end of the day
        ({"utc_start": 1600, "utc_end": 0}, [1600, 2359], [0, 1559]),
        ({"utc_start": 1600, "utc_end": 2400}, [1600, 2359], [0, 1559]),
        ({"utc_start": 1600}, [1600, 2359], [0, 1559]),
        ({"utc_end": 100}, [0, 59], [100, 2359]),
        # midnight is wrapped
        ({"utc_start": 2300, "utc_end": 100}, [2300, 2359, 0, 59], [100, 2259]),
        # all day
        ({}, [0, 1200, 2359], []),
        ({"utc_start": 0, "utc_end": 0}, [0, 1200, 2359], []),
        ({"utc_start": 1200, "utc_end": 1200}, [0, 1159, 1200], []),
        # no day at all
        ({"utc_days": ()}, [], [0, 1200]),
    ],
)
def test_windows_of_any_day(when: dict[str, Any], inside: list[int], outside: list[int]) -> None:
    entry = override(**when)
    assert all(entry.holds_at(monday(hhmm, days=day)) for hhmm in inside for day in range(7))
    assert not any(entry.holds_at(monday(hhmm, days=day)) for hhmm in outside for day in range(7))


def test_seconds_do_not_matter() -> None:
    assert override(utc_end=100).holds_at(monday(59) + timedelta(seconds=59, microseconds=999_999))


@pytest.mark.parametrize("named", [("monday",), ("mon",), ("Mon",), ("MONDAY",), ("mond",), ("mon", "monday")])
def test_days_by_their_names(named: tuple[str, ...]) -> None:
    entry = override(utc_days=named)
    assert [day for day in range(7) if entry.holds_at(monday(1200, days=day))] == [0]


def test_each_day_is_itself() -> None:
    for day, name in enumerate(DAYS):
        assert [d for d in range(7) if override(utc_days=(name[:3],)).holds_at(monday(0, days=d))] == [day]


def test_a_window_that_wraps_midnight_belongs_to_the_day_it_starts_on() -> None:
    entry = override(utc_start=2300, utc_end=100, utc_days=("monday",))
    assert entry.holds_at(monday(2300))
    assert entry.holds_at(monday(59, days=1))
    assert not entry.holds_at(monday(0))


def test_a_window_that_wraps_the_week() -> None:
    entry = override(utc_start=2300, utc_end=100, utc_days=("sunday",))
    assert entry.holds_at(monday(0))
    assert entry.holds_at(monday(2300, days=6))
    assert not entry.holds_at(monday(0, days=6))


@pytest.mark.parametrize(
    "conditions",
    [
        {"region": "eu"},
        {"utc_start": 0, "region": 1},
        {"utc_start": 2401},
        {"utc_start": 60},
        {"utc_end": 1060},
        {"utc_start": -1},
        {"utc_start": "100"},
        {"utc_end": "0"},
        {"utc_days": "monday"},
        {"utc_days": 1},
        {"utc_days": ("mo",)},
        {"utc_days": ("",)},
        {"utc_days": ("monday", "holiday")},
        {"utc_days": ("mondays",)},
        {"min_prompt_tokens": "128000"},
        {"min_prompt_tokens": ("1",)},
    ],
)
def test_a_condition_we_cannot_evaluate_is_never_applied(conditions: dict[str, Any]) -> None:
    entry = override(**conditions)
    assert not entry.is_understood
    assert not entry.is_schedule
    assert not entry.holds_at(MONDAY)
    priced = pricing([entry], prompt="7")
    assert priced.rate_at("prompt", MONDAY) == 7
    assert not priced.is_scheduled


def test_minutes_of_what_is_no_time_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a time of day as HHMM: 2401"):
        override(utc_end=2401).minutes()
    with pytest.raises(ValueError, match="not weekdays: 'monday'"):
        override(utc_days="monday").minutes()


def test_a_token_threshold_is_understood_but_no_schedule() -> None:
    entry = override(min_prompt_tokens=128_000)
    assert entry.is_understood
    assert not entry.is_schedule
    assert not entry.holds_at(MONDAY)


def test_all_conditions_must_hold() -> None:
    assert not override(utc_start=0, utc_end=100, min_prompt_tokens=1).holds_at(MONDAY)
    assert not override(utc_start=0, utc_end=100, utc_days=("tuesday",)).holds_at(MONDAY)


def test_later_entries_win_for_the_units_they_name() -> None:
    entries = [
        override({"prompt": "1", "completion": "2"}, utc_end=1200),
        override({"prompt": "3"}, utc_end=600),
    ]
    priced = pricing(entries, prompt="7", completion="8", image="9")
    found = {unit: priced.rate_at(unit, monday(500)) for unit in ("prompt", "completion", "image", "audio")}
    assert found == {"prompt": 3, "completion": 2, "image": 9, "audio": None}


# --- the normal form


def test_an_optional_zero_is_left_out() -> None:
    zeros = Pricing.of(dict.fromkeys(UNITS, Decimal(0)))
    assert zeros.rates == (("completion", Decimal(0)), ("prompt", Decimal(0)))


@laws
@given(st.dictionaries(st.sampled_from(UNITS), our.rates), st.sampled_from(our.OPTIONAL))
def test_a_missing_optional_price_and_zero_are_equal(rates: dict[str, Decimal], unit: str) -> None:
    without = {name: rate for name, rate in rates.items() if name != unit}
    assert Pricing.of(without | {unit: Decimal("0.00")}) == Pricing.of(without | {unit: Decimal("-0")})
    assert Pricing.of(without | {unit: Decimal(0)}) == Pricing.of(without)


@pytest.mark.parametrize("unit", ["prompt", "completion"])
def test_a_missing_main_price_is_unknown_and_not_zero(unit: str) -> None:
    zero = Pricing.of({unit: Decimal(0)})
    assert zero != pricing()
    assert zero.rate(unit) == 0
    assert pricing().rate(unit) is None


@laws
@given(st.dictionaries(st.sampled_from([*UNITS, "video"]), our.rates))
def test_every_other_price_is_kept_exactly(rates: dict[str, Decimal]) -> None:
    priced = Pricing.of(rates)
    for unit, rate in rates.items():
        assert priced.rate(unit) == (rate if rate or unit in {"prompt", "completion"} else None)


@laws
@given(our.pricings)
def test_the_normal_form_is_its_own(priced: Pricing) -> None:
    assert Pricing.of(dict(priced.rates), priced.overrides) == priced
    assert list(priced.rates) == sorted(priced.rates)


@laws
@given(st.dictionaries(st.sampled_from(UNITS), our.rates), st.randoms(use_true_random=False))
def test_the_order_of_units_does_not_matter(rates: dict[str, Decimal], dice: Any) -> None:
    items = list(rates.items())
    dice.shuffle(items)
    assert Pricing.of(dict(items)) == Pricing.of(rates)


def test_the_order_of_overrides_matters() -> None:
    one, two = override({"prompt": "1"}), override({"prompt": "2"})
    assert pricing([one, two]) != pricing([two, one])


@slow_laws
@given(our.tilings(("prompt",)), st.lists(our.overrides(units=("completion",)), max_size=2))
def test_the_headline_is_left_out_exactly_where_windows_tile_the_week(
    windows: tuple[Override, ...], more: list[Override]
) -> None:
    entries = (*windows, *more)
    priced = pricing(entries, prompt="7", completion="8")
    assert {unit for unit, _ in priced.rates} == {"prompt", "completion"} - tiled(entries)
    assert priced.overrides == entries


def peak() -> list[Override]:
    return [
        override({"prompt": "1"}, utc_start=0, utc_end=1600),
        override({"prompt": "2"}, utc_start=1600, utc_end=0),
    ]


def test_a_headline_that_moves_with_its_window_is_no_change() -> None:
    assert pricing(peak(), prompt="1", completion="5") == pricing(peak(), prompt="2", completion="5")


def test_a_headline_beside_windows_with_a_hole_counts() -> None:
    hole = [override({"prompt": "1"}, utc_start=1, utc_end=0)]
    assert pricing(hole, prompt="1") != pricing(hole, prompt="2")


@pytest.mark.parametrize("first", [True, False])
def test_one_minute_of_the_week_is_a_hole(first: bool) -> None:
    day = "monday" if first else "sunday"
    window = override(utc_days=(day,), utc_start=1) if first else override(utc_days=(day,), utc_end=2359)
    others = tuple(sorted(name for name in DAYS if name != day))
    windows = [override(utc_days=others), window]
    assert tiled_units(windows) == frozenset()
    assert tiled_units([*windows, override(utc_days=(day,))]) == {"prompt"}


def test_a_token_threshold_does_not_tile() -> None:
    assert pricing([override(min_prompt_tokens=1)], prompt="7").rate("prompt") == 7


def test_the_scheduled_rate_is_found_without_its_headline() -> None:
    priced = pricing(peak(), prompt="1")
    assert priced.rate("prompt") is None
    assert [priced.rate_at("prompt", monday(at)) for at in (0, 1559, 1600, 2359)] == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("entry", "is_scheduled"),
    [
        (override({"prompt": "1"}, utc_end=100), True),
        (override({"completion": "1"}, utc_end=100), True),
        (override({"image": "1"}, utc_end=100), False),
        (override({"prompt": "1"}, min_prompt_tokens=5), False),
        (override({"prompt": "1"}, utc_end=100, min_prompt_tokens=5), False),
        (override({"prompt": "1"}, utc_end=100, region="eu"), False),
    ],
)
def test_scheduled_is_a_main_price_that_the_clock_decides(entry: Override, is_scheduled: bool) -> None:
    assert pricing([entry], prompt="1").is_scheduled is is_scheduled
    assert not pricing(prompt="1").is_scheduled


# --- kinds


@pytest.mark.parametrize(
    ("priced", "variant", "outputs", "kind"),
    [
        (pricing(prompt="1", completion="2"), None, ["text"], "fixed"),
        (pricing(prompt="0", completion="2"), None, ["text"], "fixed"),
        (pricing(prompt="1", completion="0"), None, ["text"], "fixed"),
        (pricing(prompt="0", completion="0", image="1"), None, ["text"], "fixed"),
        (pricing(prompt="0", completion="0", image="1"), "free", ["text"], "fixed"),
        (
            pricing([override({"prompt": "1"}, min_prompt_tokens=5)], prompt="0", completion="0"),
            None,
            ["text"],
            "fixed",
        ),
        (pricing([override({"prompt": "0"}, min_prompt_tokens=5)], prompt="0", completion="0"), None, ["text"], "free"),
        # routers
        (pricing(prompt="-1", completion="-1"), None, ["text"], "dynamic"),
        (pricing(prompt="-1", completion="1"), None, ["text"], "dynamic"),
        (pricing(prompt="1", completion="-0.5"), None, ["text"], "dynamic"),
        (pricing(prompt="-1"), None, ["text"], "dynamic"),
        (pricing(completion="-1"), None, ["text"], "dynamic"),
        # nothing is a price only where it says so
        (pricing(prompt="0", completion="0"), None, ["text"], "free"),
        (pricing(prompt="0", completion="0"), "free", ["image"], "free"),
        (pricing(prompt="0", completion="0"), "free", [], "free"),
        (pricing(prompt="0", completion="0"), None, ["image"], "unknown"),
        (pricing(prompt="0", completion="0"), None, ["image", "text"], "unknown"),
        (pricing(prompt="0", completion="0"), "batch", [], "unknown"),
        # half a price
        (pricing(), "free", ["text"], "unknown"),
        (pricing(prompt="1"), None, ["text"], "unknown"),
        (pricing(completion="1"), None, ["text"], "unknown"),
        (pricing(image="1"), None, ["image"], "unknown"),
        # a schedule is a price
        (pricing(peak(), prompt="1", completion="2"), None, ["text"], "fixed"),
        (pricing(peak()), None, ["text"], "fixed"),
    ],
)
def test_kinds(priced: Pricing, variant: str | None, outputs: list[str], kind: Kind) -> None:
    assert kind_of(priced, variant=variant, output_modalities=outputs) == kind


# --- numbers


@laws
@given(our.decimal_texts())
@example("-0")
@example("0.000")
@example("99999999999999999999.999999999999999999999999999999")
def test_a_number_is_written_exactly(text: str) -> None:
    number = Decimal(text)
    written = plain(number)
    assert Decimal(written) == canonical(number) == number
    assert "e" not in written.lower()


@laws
@given(our.decimal_texts(), st.integers(0, 5))
def test_equal_numbers_are_written_alike(text: str, zeros: int) -> None:
    longer = Decimal(f"{text if '.' in text else text + '.'}{'0' * zeros}")
    assert str(canonical(longer)) == str(canonical(Decimal(text)))
    assert plain(longer) == plain(Decimal(text))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0", "0"), ("-0", "0"), ("0.000", "0"), ("0E+9", "0"), ("-1", "-1"), ("1E-7", "0.0000001"), ("1E+3", "1000"),
        ("1.500", "1.5"), ("100", "100"), ("0.0000000416666666666667", "0.0000000416666666666667"),
    ],
)  # fmt: skip
def test_numbers_as_openrouter_writes_them(number: str, text: str) -> None:
    assert plain(Decimal(number)) == text


@laws
@given(our.decimal_texts())
def test_per_million_is_exact(text: str) -> None:
    assert per_million(Decimal(text)) == EXACT.multiply(Decimal(text), Decimal(1_000_000))


def test_per_million_is_in_the_one_spelling() -> None:
    assert str(per_million(Decimal("0.0000025"))) == "2.5"
    assert str(per_million(Decimal("-0"))) == "0"
    assert str(per_million(Decimal("0.000001"))) == "1"


@laws
@given(our.decimal_texts())
@example("99999999999999999999.999999999999999999999999999999")
@example("9007199254740993")
def test_a_number_is_read_exactly(text: str) -> None:
    served = our.json_number(text)
    for value in (text, Decimal(text), Decimal(served), *([] if "." in text else [int(text)])):
        assert exact(value) == Decimal(text)


@pytest.mark.parametrize(
    ("value", "number"), [("1e-7", "0.0000001"), ("+1", "1"), ("1.", "1"), ("1E+99", "1E99"), ("-0", "0"), (-1, "-1")]
)
def test_numbers_in_other_forms(value: object, number: str) -> None:
    assert exact(value) == Decimal(number)


@pytest.mark.parametrize(
    "value",
    [
        "", " 1", "1 ", "1\n", "NaN", "Infinity", "-inf", "1_0", "١", "0x1", ".5", "--1", "1e100", "1e", "1" * 21,
        f"0.{'1' * 31}", Decimal("NaN"), Decimal("Infinity"), Decimal("1E+400"), 10**20, -(10**20), 1.5, True, False,
        None, [], {}, b"1",
    ],
)  # fmt: skip
def test_what_is_no_number(value: object) -> None:
    assert exact(value) is None


def test_arithmetic_refuses_to_round() -> None:
    assert EXACT.multiply(Decimal("9" * 30), Decimal("9" * 30)) == int("9" * 30) ** 2
    with pytest.raises(Inexact):
        EXACT.divide(Decimal(1), Decimal(3))
    with pytest.raises(Inexact):
        canonical(Decimal("9" * 61))
