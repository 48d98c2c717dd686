"""Plan → judgement: what is applied, what is held, and why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.catalog.diff import Belief, diff, withhold
from llmhive.catalog.feed import Feed, Record, Scope, Unreadable
from llmhive.catalog.gate import ADVICE, Before, Hold, Judgement, Limits, Rule, Values, Verdict, Waiver, judge, percent
from llmhive.catalog.hold import Held
from llmhive.catalog.model import Model, Version
from llmhive.catalog.pricing import Override, Pricing
from tests.catalog import strategies as our

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NOW = timedelta(0)


def names(*numbers: int) -> frozenset[str]:
    return frozenset(f"a/{number}" for number in range(*numbers))


@lru_cache
def crowd(of: int) -> dict[str, Version]:
    """So many models of which nothing is known."""
    return {f"a/{number}": Version(Model(f"a/{number}")) for number in range(of)}


def believing(versions: Mapping[str, Version]) -> dict[str, Belief]:
    return {key: Belief(version, is_active=True, raw=b"{}") for key, version in versions.items()}


class Answer(NamedTuple):
    """What was listed before, and what is said now."""

    before: Mapping[str, Version]
    feed: Feed


def answer(
    gone: int | frozenset[str] = 0,
    of: int = 100,
    *,
    rows: int | None = None,
    total: int | None = None,
    unreadable: int = 0,
) -> Answer:
    """Some of the models are gone; `rows` says how many rows there are besides those that matter."""
    missing = names(gone) if isinstance(gone, int) else gone
    records = tuple(Record(version, b"{}") for key, version in crowd(of).items() if key not in missing)
    quarantine = tuple(Unreadable(position, f"q/{position}", "it is a test") for position in range(unreadable))
    return Answer(crowd(of), Feed("all", records, quarantine, total, len(records) if rows is None else rows))


def judged(
    what: Answer,
    *,
    since: timedelta | None = NOW,
    served: timedelta | None = None,
    holds: Sequence[Hold] = (),
    limits: Limits | None = None,
    believed: Mapping[str, Belief] | None = None,
    values: Values = "held",
    waiver: Waiver | None = None,
) -> Judgement:
    """`since`: how long ago the last feed was applied; None: there was none. `served`: how old the body is."""
    same = None if served is None else AT - served
    before = None if since is None else Before(AT - since, what.before, same, holds)
    beliefs = believing(what.before) if believed is None else believed
    return judge(
        diff(beliefs, what.feed), beliefs, at=AT, before=before, limits=limits or Limits(),
        values=values, waiver=waiver or Waiver(),
    )  # fmt: skip


def held(*hours: float, gone: frozenset[str], rules: frozenset[str] = frozenset({"removal"})) -> list[Hold]:
    """Holds so many hours ago, in that order."""
    return [Hold(AT - hour * HOUR, rules, gone) for hour in hours]


def outcomes(judgement: Judgement) -> list[tuple[str, str]]:
    return [(verdict.rule, verdict.outcome) for verdict in judgement.verdicts]


# --- rules that need no predecessor


def test_nothing_to_say_of_a_plausible_answer() -> None:
    judgement = judged(answer(total=100))
    assert (judgement.verdicts, judgement.is_held, judgement.held, judgement.why) == ((), False, (), None)
    assert judgement.withheld == {}


@pytest.mark.parametrize("since", [None, NOW])
def test_an_empty_answer_is_held_for_that_alone(since: timedelta | None) -> None:
    judgement = judged(answer(gone=100), since=since)
    assert judgement.verdicts == (Verdict("empty", "held", "the answer lists no model at all", {"rows": 0}),)
    assert judgement.is_held


@pytest.mark.parametrize("since", [None, NOW])
@pytest.mark.parametrize("total", [99, 101, 0])
def test_another_number_of_rows_than_it_says_is_held(total: int, since: timedelta | None) -> None:
    assert judged(answer(total=total), since=since).verdicts == (
        Verdict(
            "total_count",
            "held",
            f"the answer says it lists {total} models, but lists 100",
            {"total_count": total, "rows": 100},
        ),
    )


def test_an_empty_answer_that_promised_rows_is_held_for_both() -> None:
    judgement = judged(answer(gone=100, total=5))
    assert outcomes(judgement) == [("empty", "held"), ("total_count", "held")]
    assert judgement.why == "the answer lists no model at all; the answer says it lists 5 models, but lists 0"


@pytest.mark.parametrize("since", [None, NOW])
def test_more_than_five_percent_unreadable_is_held(since: timedelta | None) -> None:
    assert judged(answer(unreadable=51, rows=1000), since=since).verdicts == (
        Verdict(
            "unreadable",
            "held",
            "51 of 1000 records (5.1 %) cannot be read; the limit is 5 %",
            {"unreadable": 51, "rows": 1000, "limit_percent": 5.0},
        ),
    )


def test_five_percent_unreadable_is_applied() -> None:
    assert not judged(answer(unreadable=50, rows=1000)).is_held


def test_one_unreadable_row_alone_is_held() -> None:
    assert outcomes(judged(answer(unreadable=1, rows=1))) == [("unreadable", "held")]


# --- a repeat of an older body


@pytest.mark.parametrize("age", [NOW, HOUR, 7 * DAY])
def test_a_repeat_of_at_most_seven_days_is_flagged_and_applied(age: timedelta) -> None:
    judgement = judged(answer(), served=age)
    assert outcomes(judgement) == [("repeat", "flagged")]
    assert (judgement.is_held, judgement.held, judgement.why, judgement.advice) == (False, (), None, ())


def test_a_flagged_repeat_says_how_old_it_is() -> None:
    (verdict,) = judged(answer(), served=2.5 * DAY).verdicts
    assert verdict.reason == "the answer is the one of 2026-04-29 00:00 UTC again, 2.5 days old"
    assert verdict.evidence == {"served_before": "2026-04-29T00:00:00Z", "days": 2.5, "limit_days": 7.0}


def test_a_repeat_of_more_than_seven_days_is_held() -> None:
    (verdict,) = judged(answer(), served=7 * DAY + timedelta(minutes=20)).verdicts
    assert (verdict.rule, verdict.outcome, verdict.model_id) == ("repeat", "held", None)
    assert verdict.reason == "the answer is the one of 2026-04-24 11:40 UTC again, 7.0 days old; the limit is 7 days"
    assert verdict.evidence == {"served_before": "2026-04-24T11:40:00Z", "days": 7.01, "limit_days": 7.0}


def test_how_old_a_repeat_may_be_is_a_setting() -> None:
    limits = Limits(repeat_days=0.5)
    assert outcomes(judged(answer(), served=12 * HOUR, limits=limits)) == [("repeat", "flagged")]
    (verdict,) = judged(answer(), served=13 * HOUR, limits=limits).verdicts
    assert verdict.outcome == "held"
    assert verdict.reason.endswith("; the limit is 0.5 days")


def test_an_old_body_that_is_empty_is_held_for_both() -> None:
    assert outcomes(judged(answer(gone=100), served=8 * DAY)) == [("empty", "held"), ("repeat", "held")]


# --- removals


def test_ten_percent_gone_is_applied() -> None:
    assert judged(answer(gone=100, of=1000)).verdicts == ()


def test_more_than_ten_percent_gone_is_held() -> None:
    gone = names(101)
    (verdict,) = judged(answer(gone, of=1000)).verdicts
    assert (verdict.rule, verdict.outcome) == ("removal", "held")
    assert verdict.reason == "101 of 1000 active models (10.1 %) are gone at once; the limit is 10.0 %"
    assert verdict.evidence == {
        "gone": sorted(gone), "active_before": 1000, "percent": 10.1, "limit_percent": 10.0,
    }  # fmt: skip


def test_the_evidence_is_rounded_to_hundredths() -> None:
    (verdict,) = judged(answer(gone=2, of=3), since=timedelta(hours=7)).verdicts
    assert (verdict.evidence["percent"], verdict.evidence["limit_percent"]) == (66.67, 10.07)


def test_nothing_before_nothing_gone() -> None:
    assert judged(answer(of=0, rows=1)).verdicts == ()


def test_what_may_be_in_quarantine_is_not_gone() -> None:
    what = answer(gone=50)
    nameless = (Unreadable(0, None, "it is a test"),)
    assert judged(what).is_held
    assert not judged(Answer(what.before, replace(what.feed, unreadable=nameless))).is_held


def test_gone_is_what_was_listed_last_whatever_is_believed() -> None:
    what = answer(gone=20)
    assert judged(what, believed={}).is_held
    believes_more = believing(crowd(200))
    assert not judged(answer(), believed=believes_more).is_held


def text_and_images(texts: int, images: int) -> dict[str, Version]:
    kinds = {**{f"a/{n}": "text" for n in range(texts)}, **{f"i/{n}": "image" for n in range(images)}}
    return {key: Version(Model(key, output_modalities=(kind,))) for key, kind in kinds.items()}


@pytest.mark.parametrize(("gone", "is_held"), [(10, False), (11, True)])
def test_a_text_feed_is_compared_with_what_outputs_text(gone: int, is_held: bool) -> None:
    before = text_and_images(100, 900)
    records = tuple(Record(before[f"a/{n}"], b"{}") for n in range(gone, 100))
    judgement = judged(Answer(before, Feed("text", records, rows=len(records))))
    assert judgement.is_held is is_held
    for verdict in judgement.verdicts:
        assert (verdict.evidence["active_before"], verdict.evidence["percent"]) == (100, 11.0)


@pytest.mark.parametrize(
    ("days", "limit"), [(-5, 10.0), (0, 10.0), (1, 10.25), (10, 12.5), (90, 32.5), (200, 60.0), (400, 60.0)]
)
def test_the_limit_grows_by_a_quarter_a_day_up_to_sixty(days: int, limit: float) -> None:
    assert Limits().removal(timedelta(days=days)) == limit


@pytest.mark.parametrize(("days", "most"), [(0, 100), (4, 110), (40, 200), (200, 600), (1000, 600)])
def test_the_limit_is_what_may_be_gone(days: int, most: int) -> None:
    since = timedelta(days=days)
    assert not judged(answer(gone=most, of=1000), since=since).is_held
    assert judged(answer(gone=most + 1, of=1000), since=since).is_held


@pytest.mark.parametrize(("percent_", "limit"), [(0, 0.5), (40, 40.5), (60, 60), (100, 100)])
def test_a_limit_of_ones_own_grows_to_sixty_or_is_larger_itself(percent_: float, limit: float) -> None:
    assert Limits(removal_percent=percent_).removal(timedelta(days=2)) == limit


def test_limits_are_settings() -> None:
    limits = Limits(removal_percent=1, unreadable_percent=50)
    assert outcomes(judged(answer(gone=2, unreadable=49), limits=limits)) == [("removal", "held")]


@our.laws
@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 60), st.floats(0, 500), st.integers(0, 5))
def test_more_removals_are_never_judged_milder(few: int, more: int, of: int, days: float, back: int) -> None:
    few, more = sorted((min(few, of), min(more, of)))
    holds = held(*range(40, 40 - 10 * back, -10), gone=names(few))
    since = timedelta(days=days)
    small = judged(answer(gone=few, of=of), since=since, holds=holds)
    large = judged(answer(gone=more, of=of), since=since, holds=holds)
    assert large.is_held >= small.is_held


@our.laws
@given(st.integers(0, 60), st.integers(1, 60), st.floats(0, 500), st.floats(0, 500))
def test_a_longer_pause_never_holds_more(gone: int, of: int, days: float, longer: float) -> None:
    short, long = (
        judged(answer(gone=min(gone, of), of=of), since=timedelta(days=pause)) for pause in sorted((days, longer))
    )
    assert short.is_held >= long.is_held


# --- released: four syncs over 24 hours that miss the same models

GONE = names(20)


def test_four_agreeing_syncs_over_a_day_are_believed() -> None:
    judgement = judged(answer(GONE), holds=held(24, 18, 6, gone=GONE))
    (verdict,) = judgement.verdicts
    assert not judgement.is_held
    assert (judgement.held, judgement.why) == ((), None)
    assert (verdict.rule, verdict.outcome) == ("removal", "released")
    assert datetime.fromisoformat(verdict.evidence["agreeing_since"]) == AT - DAY
    assert verdict.evidence["gone"] == sorted(GONE)
    assert verdict.reason == (
        "20 of 100 active models (20.0 %) are gone at once; the limit is 10.0 %, "
        "but every sync since 2026-04-30 12:00 UTC agrees"
    )


@pytest.mark.parametrize("hours", [(), (24,), (48, 24), (100, 24)])
def test_three_agreeing_syncs_are_not_enough(hours: tuple[float, ...]) -> None:
    assert outcomes(judged(answer(GONE), holds=held(*hours, gone=GONE))) == [("removal", "held")]


@pytest.mark.parametrize("hours", [(23, 12, 6), (23.99, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2)])
def test_less_than_a_day_is_not_enough(hours: tuple[float, ...]) -> None:
    assert outcomes(judged(answer(GONE), holds=held(*hours, gone=GONE))) == [("removal", "held")]


def test_many_agreeing_syncs_over_a_day_are_believed_since_the_latest_that_is_a_day_old() -> None:
    holds = held(60, 48, 36, 24, 12, 6, 3, gone=GONE)
    (verdict,) = judged(answer(GONE), holds=holds).verdicts
    assert datetime.fromisoformat(verdict.evidence["agreeing_since"]) == AT - DAY


def test_syncs_that_disagree_by_the_limit_agree() -> None:
    holds = held(24, 18, 6, gone=names(10, 20))
    assert outcomes(judged(answer(GONE), holds=holds)) == [("removal", "released")]


@pytest.mark.parametrize("odd", [0, 1, 2])
def test_syncs_that_disagree_by_more_than_the_limit_do_not_agree(odd: int) -> None:
    holds = held(24, 18, 6, gone=GONE)
    holds[odd] = Hold(holds[odd].at, holds[odd].rules, names(11, 20))
    assert outcomes(judged(answer(GONE), holds=holds)) == [("removal", "held")]


def test_disagreements_add_up() -> None:
    # each misses at least 14 of the 20, but only 4 are missed by all
    parts = [names(6, 20), names(14) | names(20, 26), names(20) - names(8, 12)]
    assert [len(GONE - part) for part in parts] == [6, 6, 4]
    holds = [held(hours, gone=part)[0] for hours, part in zip((24, 18, 6), parts, strict=True)]
    assert outcomes(judged(answer(GONE), holds=holds)) == [("removal", "held")]


def test_what_came_back_since_does_not_count_against_agreement() -> None:
    holds = held(24, 18, 6, gone=names(50))
    assert outcomes(judged(answer(GONE), holds=holds)) == [("removal", "released")]


@pytest.mark.parametrize("rules", [{"removal", "total_count"}, {"total_count"}, set[str]()])
@pytest.mark.parametrize("odd", [0, 1, 2])
def test_a_sync_held_for_another_rule_too_does_not_count(odd: int, rules: set[str]) -> None:
    holds = held(24, 18, 6, gone=GONE)
    holds[odd] = Hold(holds[odd].at, frozenset(rules), GONE)
    assert outcomes(judged(answer(GONE), holds=holds)) == [("removal", "held")]


def test_what_was_held_before_the_odd_one_does_not_count() -> None:
    holds = [*held(90, 80, 70, gone=GONE), Hold(AT - 60 * HOUR, frozenset({"empty"}), GONE), *held(30, 6, gone=GONE)]
    assert judged(answer(GONE), holds=holds).is_held
    assert not judged(answer(GONE), holds=[*holds[:-1], *held(12, 6, gone=GONE)]).is_held


def test_agreement_releases_only_the_removal() -> None:
    judgement = judged(answer(GONE, total=7), holds=held(24, 18, 6, gone=GONE))
    assert outcomes(judgement) == [("total_count", "held"), ("removal", "released")]
    assert [verdict.rule for verdict in judgement.held] == ["total_count"]
    assert judgement.is_held


def test_an_empty_answer_is_never_released() -> None:
    assert judged(answer(names(100)), holds=held(24, 18, 6, gone=names(100))).is_held


def test_how_many_and_how_long_are_settings() -> None:
    limits = Limits(agreeing_syncs=2, agreeing_for=HOUR)
    assert not judged(answer(GONE), holds=held(1, gone=GONE), limits=limits).is_held
    assert judged(answer(GONE), holds=held(0.9, gone=GONE), limits=limits).is_held


# --- how much of the list may be other at once: prices, falling prices, context


def priced(key: str, *overrides: Override, context: int | None = 1000, **rates: Any) -> Model:
    found = Pricing.of({unit: Decimal(rate) for unit, rate in rates.items()}, overrides)
    return Model(key, context_length=context, output_modalities=("text",), pricing=found)


def override(rate: str, threshold: int = 5, unit: str = "prompt") -> Override:
    return Override((("min_prompt_tokens", threshold),), ((unit, Decimal(rate)),))


def ordinary(key: str) -> Model:
    return priced(key, prompt="10", completion="10", image="10")


def listing(models: Iterable[Model]) -> dict[str, Version]:
    return {model.id: Version(model) for model in models}


@lru_cache
def market(of: int, variant: str = "") -> dict[str, Version]:
    return listing(ordinary(f"a/{number}{variant}") for number in range(of))


def moved(count: int, of: int, variant: str = "", **fields: Any) -> Answer:
    """So many of the models are listed with other fields."""
    before = market(of, variant)
    records = []
    for position, version in enumerate(before.values()):
        other = version
        if position < count:
            # a real feed's versions are never the objects of the one before
            other = Version(replace(version.model, **fields))
        records.append(Record(other, b"{}"))
    return Answer(before, Feed("all", tuple(records), rows=of))


def rates(*overrides: Override, **changed: Any) -> Pricing:
    all_rates: dict[str, Any] = {"prompt": "10", "completion": "10", "image": "10"} | changed
    return priced("a/b", *overrides, **all_rates).pricing


DEARER = rates(prompt="11")


def test_more_than_a_quarter_repriced_is_held() -> None:
    (verdict,) = judged(moved(251, 1000, pricing=DEARER)).verdicts
    assert (verdict.rule, verdict.outcome, verdict.model_id, verdict.field) == ("repricing", "held", None, None)
    assert verdict.reason == "251 of 1000 models (25.1 %) have another price at once; the limit is 25.0 %"
    assert verdict.evidence == {
        "models": [f"a/{number}" for number in range(251)], "of": 1000, "percent": 25.1, "limit_percent": 25.0,
    }  # fmt: skip


def test_a_quarter_repriced_is_applied() -> None:
    assert judged(moved(250, 1000, pricing=DEARER)).verdicts == ()


@pytest.mark.parametrize(
    ("days", "limit"), [(-5, 25.0), (0, 25.0), (1, 25.5), (10, 30.0), (60, 55.0), (70, 60.0), (400, 60.0)]
)
def test_the_limit_of_prices_grows_by_a_half_a_day_up_to_sixty(days: int, limit: float) -> None:
    assert Limits().repriced(timedelta(days=days)) == limit


@pytest.mark.parametrize(("days", "most"), [(0, 50), (8, 58), (70, 120), (1000, 120)])
def test_the_limit_is_what_may_be_repriced(days: int, most: int) -> None:
    since = timedelta(days=days)
    assert judged(moved(most, 200, pricing=DEARER), since=since).verdicts == ()
    assert outcomes(judged(moved(most + 1, 200, pricing=DEARER), since=since)) == [("repricing", "held")]


def test_the_evidence_of_shares_is_rounded_to_hundredths() -> None:
    (verdict,) = judged(moved(2, 3, pricing=DEARER), since=timedelta(hours=7)).verdicts
    assert (verdict.evidence["percent"], verdict.evidence["limit_percent"]) == (66.67, 25.15)


@pytest.mark.parametrize(
    "pricing", [rates(completion="11"), rates(image="11"), rates(override("9")), rates(web_search="1"), Pricing()]
)
def test_any_price_counts_as_a_price(pricing: Pricing) -> None:
    assert ("repricing", "held") in outcomes(judged(moved(30, 100, pricing=pricing)))


@pytest.mark.parametrize("fields", [{"name": "Other"}, {"context_length": 2}, {"output_modalities": ("image",)}])
def test_only_prices_count_as_prices(fields: dict[str, Any]) -> None:
    assert judged(moved(100, 100, **fields)).verdicts == ()


def test_a_model_that_was_not_listed_before_has_no_other_price() -> None:
    what = moved(30, 100, pricing=DEARER)
    listed = {key: version for position, (key, version) in enumerate(what.before.items()) if position >= 30}
    assert judged(Answer(listed, what.feed)).verdicts == ()


def test_the_run_is_compared_with_what_was_listed_and_not_with_what_is_believed() -> None:
    what = moved(30, 100, pricing=DEARER)
    as_served = believing({record.id: record.version for record in what.feed.records})
    assert outcomes(judged(what, believed=as_served)) == [("repricing", "held")]
    listed = {record.id: record.version for record in what.feed.records}
    assert judged(Answer(listed, what.feed), believed=believing(what.before)).verdicts == ()


@pytest.mark.parametrize("scope", ["all", "text"])
def test_shares_are_of_what_the_scope_covers(scope: Scope) -> None:
    what = moved(3, 10, pricing=DEARER)
    images = listing(Model(f"i/{number}", output_modalities=("image",)) for number in range(10))
    records = (*what.feed.records, *(Record(version, b"{}") for version in images.values()))
    feed = Feed(scope, records if scope == "all" else what.feed.records, rows=20)
    judgement = judged(Answer({**what.before, **images}, feed))
    assert outcomes(judgement) == ([] if scope == "all" else [("repricing", "held")])


FALLEN = (rates(prompt="0"), rates(completion="0"), rates(prompt="0.99"), rates(completion="0.1", prompt="20"))


@pytest.mark.parametrize("pricing", FALLEN)
def test_more_than_three_percent_falling_is_held(pricing: Pricing) -> None:
    (verdict,) = judged(moved(7, 200, pricing=pricing)).verdicts
    assert (verdict.rule, verdict.outcome, verdict.model_id) == ("falling", "held", None)
    assert verdict.reason == (
        "7 of 200 models (3.5 %) have a price that fell to zero or by more than 90 %; the limit is 3.0 %"
    )
    assert verdict.evidence == {
        "models": [f"a/{number}" for number in range(7)], "of": 200, "percent": 3.5, "limit_percent": 3.0,
    }  # fmt: skip


@pytest.mark.parametrize("pricing", FALLEN)
def test_three_percent_falling_is_no_reason_to_hold_the_run(pricing: Pricing) -> None:
    judgement = judged(moved(6, 200, pricing=pricing))
    assert not judgement.is_held
    # but each of them is held for itself
    assert outcomes(judgement) == [("price_fall", "held")] * 6
    assert list(judgement.withheld) == [f"a/{number}" for number in range(6)]


def test_a_longer_pause_lets_no_more_fall() -> None:
    judgement = judged(moved(7, 200, pricing=FALLEN[0]), since=300 * DAY)
    assert outcomes(judgement) == [("falling", "held")]


@pytest.mark.parametrize(
    "pricing", [rates(prompt="1"), rates(image="0.01"), rates(image="0"), Pricing(), rates(completion="900")]
)
def test_what_does_not_count_as_falling(pricing: Pricing) -> None:
    assert ("falling", "held") not in outcomes(judged(moved(20, 200, pricing=pricing)))


def test_a_free_variant_may_fall() -> None:
    assert judged(moved(20, 200, ":free", pricing=rates(prompt="0", completion="0"))).verdicts == ()
    assert judged(moved(20, 200, ":batch", pricing=rates(prompt="0", completion="0"))).is_held


@pytest.mark.parametrize("context", [0, None])
def test_more_than_three_percent_without_their_context_are_held(context: int | None) -> None:
    (verdict,) = judged(moved(7, 200, context_length=context)).verdicts
    assert (verdict.rule, verdict.outcome, verdict.model_id) == ("context", "held", None)
    assert verdict.reason == "7 of 200 models (3.5 %) have lost their context length; the limit is 3.0 %"
    assert verdict.evidence == {
        "models": [f"a/{number}" for number in range(7)], "of": 200, "percent": 3.5, "limit_percent": 3.0,
    }  # fmt: skip
    at_the_limit = judged(moved(6, 200, context_length=context))
    assert outcomes(at_the_limit) == [("context_lost", "held")] * 6
    assert not at_the_limit.is_held


def test_what_had_no_context_cannot_lose_it() -> None:
    before = listing(priced(f"a/{number}", context=0 if number % 2 else None) for number in range(100))
    records = tuple(Record(Version(priced(key, context=None)), b"{}") for key in before)
    assert judged(Answer(before, Feed("all", records, rows=100))).verdicts == ()


def test_a_list_may_be_wrong_in_every_way_at_once() -> None:
    what = moved(60, 100, pricing=FALLEN[0], context_length=0)
    kept = tuple(record for record in what.feed.records if record.id not in names(60, 80))
    feed = replace(what.feed, records=kept, total_count=7)
    judgement = judged(Answer(what.before, feed), served=8 * DAY)
    assert [verdict.rule for verdict in judgement.held] == [
        "total_count", "repeat", "removal", "repricing", "falling", "context",
    ]  # fmt: skip
    assert judgement.why == "; ".join(verdict.reason for verdict in judgement.held)
    assert judgement.withheld == {}


def test_each_share_has_a_setting_of_its_own() -> None:
    strict: dict[str, Any] = {"repriced_percent": 0, "falling_percent": 0, "context_percent": 0}
    what = moved(1, 100, pricing=FALLEN[0], context_length=0)
    for name, rule in zip(strict, ("repricing", "falling", "context"), strict=True):
        one_only: dict[str, Any] = {name: 0}
        assert outcomes(judged(what, limits=Limits(**one_only))) == [(rule, "held")]
    lenient = Limits(repriced_percent=100, falling_percent=100, context_percent=100)
    assert not judged(moved(100, 100, pricing=FALLEN[0], context_length=0), limits=lenient).is_held
    slow = Limits(repriced_percent_per_day=1, percent_at_most=27)
    assert [slow.repriced(days * DAY) for days in (0, 1, 2, 9)] == [25, 26, 27, 27]


@our.laws
@given(
    st.integers(0, 40),
    st.integers(0, 40),
    st.sampled_from([{"pricing": DEARER}, {"pricing": FALLEN[1]}, {"context_length": 0}]),
)
def test_more_of_the_same_is_never_judged_milder(few: int, more: int, fields: dict[str, Any]) -> None:
    small, large = (judged(moved(count, 40, **fields)) for count in sorted((few, more)))
    assert large.is_held >= small.is_held


# --- single values: held until a second sync confirms them

KEY = "a/one"
OTHERS = market(200)


def one(before: Model, after: Model) -> Answer:
    """One model is other, among two hundred that are as they were."""
    others = tuple(Record(version, b"{}") for version in OTHERS.values())
    feed = Feed("all", (Record(Version(after), b"{}"), *others), rows=201)
    return Answer({**OTHERS, before.id: Version(before)}, feed)


def knowing(before: Model, holds: Mapping[str, Held] | None = None) -> dict[str, Belief]:
    beliefs = believing(OTHERS)
    beliefs[before.id] = Belief(Version(before), is_active=True, raw=b"{}", held=holds or {})
    return beliefs


def about(
    before: Model, after: Model, holds: Mapping[str, Held] | None = None, *,
    limits: Limits | None = None, waiver: Waiver | None = None, values: Values = "held",
) -> Judgement:  # fmt: skip
    return judged(one(before, after), believed=knowing(before, holds), limits=limits, waiver=waiver, values=values)


BEFORE = ordinary(KEY)
CHEAP = priced(KEY, prompt="0.5", completion="10", image="10")


def test_a_value_is_held_and_the_run_goes_on() -> None:
    judgement = about(BEFORE, CHEAP)
    assert judgement.verdicts == (
        Verdict(
            "price_fall",
            "held",
            "a/one: pricing.prompt fell from 10 to 0.5",
            {"before": "10", "after": "0.5", "unit": "prompt", "since": "2026-05-01T12:00:00Z"},
            KEY,
            "pricing.prompt",
        ),
    )
    assert judgement.withheld == {KEY: {"pricing.prompt": Held("0.5", AT, "price_fall")}}
    assert (judgement.is_held, judgement.why) == (False, None)
    assert judgement.held == judgement.verdicts


@pytest.mark.parametrize(
    ("after", "rule", "field", "reason"),
    [
        (priced(KEY, prompt="0", completion="10", image="10"), "price_fall", "pricing.prompt",
         "pricing.prompt fell from 10 to 0"),
        (priced(KEY, prompt="10", completion="10", image="0.99"), "price_fall", "pricing.image",
         "pricing.image fell from 10 to 0.99"),
        (priced(KEY, prompt="10", completion="1000.01", image="10"), "price_rise", "pricing.completion",
         "pricing.completion rose from 10 to 1000.01"),
        (priced(KEY, prompt="-1", completion="10", image="10"), "price_negative", "pricing.prompt",
         "pricing.prompt turned negative, from 10 to -1"),
        (priced(KEY, prompt="10", completion="10", image="10", audio="-1"), "price_negative", "pricing.audio",
         "pricing.audio turned negative, from unknown to -1"),
        (replace(BEFORE, context_length=0), "context_lost", "context_length",
         "context_length was lost, from 1000 to 0"),
        (replace(BEFORE, context_length=None), "context_lost", "context_length",
         "context_length was lost, from 1000 to unknown"),
        (priced(KEY, override("0.5"), prompt="10", completion="10", image="10"), "price_fall", "pricing",
         "pricing.prompt fell from 10 to 0.5"),
    ],
)  # fmt: skip
def test_what_is_held_of_a_model(after: Model, rule: str, field: str, reason: str) -> None:
    judgement = about(BEFORE, after)
    (verdict,) = judgement.verdicts
    assert (verdict.rule, verdict.outcome, verdict.model_id, verdict.field) == (rule, "held", KEY, field)
    assert verdict.reason == f"a/one: {reason}"
    assert list(judgement.withheld[KEY]) == [field]
    assert not judgement.is_held


@pytest.mark.parametrize(
    "after",
    [
        priced(KEY, prompt="1", completion="10", image="10"),
        priced(KEY, prompt="10", completion="1000", image="10"),
        priced(KEY, prompt="10", completion="10", image="10", web_search="10000"),
        priced(KEY, override("1"), override("1000", 6), prompt="10", completion="10", image="10"),
        priced(KEY, completion="10", image="10"),
        replace(BEFORE, context_length=1),
        replace(BEFORE, max_completion_tokens=0, top_context_length=0, name=None),
    ],
)
def test_what_is_not_held_of_a_model(after: Model) -> None:
    assert about(BEFORE, after).verdicts == ()


def test_several_values_of_a_model_are_held_each_for_itself() -> None:
    after = priced(KEY, prompt="0", completion="-1", image="10000", context=None)
    judgement = about(BEFORE, after)
    assert [(v.rule, v.field) for v in judgement.verdicts] == [
        ("price_negative", "pricing.completion"),
        ("price_rise", "pricing.image"),
        ("price_fall", "pricing.prompt"),
        ("context_lost", "context_length"),
    ]
    assert judgement.withheld == {
        KEY: {
            "pricing.completion": Held("-1", AT, "price_negative"),
            "pricing.image": Held("10000", AT, "price_rise"),
            "pricing.prompt": Held("0", AT, "price_fall"),
            "context_length": Held(None, AT, "context_lost"),
        }
    }


def test_a_whole_pricing_is_held_as_the_whole() -> None:
    after = priced(KEY, override("0.5"), override("0.5", unit="completion"), prompt="10", completion="10", image="10")
    judgement = about(BEFORE, after)
    assert [(v.field, v.evidence["unit"]) for v in judgement.verdicts] == [
        ("pricing", "completion"), ("pricing", "prompt"),
    ]  # fmt: skip
    served = {
        "prompt": "10", "completion": "10", "image": "10",
        "overrides": [
            {"when": {"min_prompt_tokens": 5}, "rates": {"prompt": "0.5"}},
            {"when": {"min_prompt_tokens": 5}, "rates": {"completion": "0.5"}},
        ],
    }  # fmt: skip
    assert judgement.withheld == {KEY: {"pricing": Held(served, AT, "price_fall")}}


def since(ago: timedelta, served: object = "0.5", rule: str = "price_fall") -> dict[str, Held]:
    return {"pricing.prompt": Held(served, AT - ago, rule)}


@pytest.mark.parametrize("ago", [timedelta(minutes=30), HOUR, 300 * DAY])
def test_a_second_sync_half_an_hour_later_confirms_a_value(ago: timedelta) -> None:
    judgement = about(BEFORE, CHEAP, since(ago))
    (verdict,) = judgement.verdicts
    assert (verdict.rule, verdict.outcome) == ("price_fall", "released")
    assert (judgement.withheld, judgement.held, judgement.advice) == ({}, (), ())


def test_a_released_value_says_since_when_it_was_served_so() -> None:
    (verdict,) = about(BEFORE, CHEAP, since(HOUR)).verdicts
    assert verdict.reason == (
        "a/one: pricing.prompt fell from 10 to 0.5, and has been so since 2026-05-01 11:00 UTC"
    )  # fmt: skip
    assert verdict.evidence["since"] == "2026-05-01T11:00:00Z"
    assert (verdict.model_id, verdict.field) == (KEY, "pricing.prompt")


@pytest.mark.parametrize("ago", [timedelta(seconds=1), timedelta(minutes=30) - timedelta(microseconds=1)])
def test_a_sync_too_soon_confirms_nothing_and_the_clock_goes_on(ago: timedelta) -> None:
    judgement = about(BEFORE, CHEAP, since(ago))
    assert outcomes(judgement) == [("price_fall", "held")]
    assert judgement.withheld == {KEY: {"pricing.prompt": Held("0.5", AT - ago, "price_fall")}}


def test_how_soon_a_value_may_be_confirmed_is_a_setting() -> None:
    limits = Limits(confirm_after=2 * HOUR)
    assert outcomes(about(BEFORE, CHEAP, since(2 * HOUR), limits=limits)) == [("price_fall", "released")]
    assert outcomes(about(BEFORE, CHEAP, since(1.9 * HOUR), limits=limits)) == [("price_fall", "held")]


@pytest.mark.parametrize("ago", [NOW, -HOUR])
def test_it_takes_a_second_sync_to_confirm_a_value_however_soon(ago: timedelta) -> None:
    limits = Limits(confirm_after=NOW)
    assert outcomes(about(BEFORE, CHEAP, since(ago), limits=limits)) == [("price_fall", "held")]
    assert outcomes(about(BEFORE, CHEAP, since(timedelta(microseconds=1)), limits=limits)) == [
        ("price_fall", "released")
    ]  # fmt: skip


def test_another_served_value_starts_anew() -> None:
    judgement = about(BEFORE, CHEAP, since(DAY, served="0.4"))
    assert outcomes(judgement) == [("price_fall", "held")]
    assert judgement.withheld == {KEY: {"pricing.prompt": Held("0.5", AT, "price_fall")}}


def test_what_was_held_of_another_field_confirms_nothing() -> None:
    judgement = about(BEFORE, CHEAP, {"pricing.completion": Held("0.5", AT - DAY, "price_fall")})
    assert outcomes(judgement) == [("price_fall", "held")]


def test_a_lost_context_that_is_unknown_twice_is_confirmed() -> None:
    lost = replace(BEFORE, context_length=None)
    holds = {"context_length": Held(None, AT - HOUR, "context_lost")}
    assert outcomes(about(BEFORE, lost, holds)) == [("context_lost", "released")]
    holds = {"context_length": Held(0, AT - HOUR, "context_lost")}
    assert outcomes(about(BEFORE, lost, holds)) == [("context_lost", "held")]


def test_a_value_that_is_back_is_no_longer_held() -> None:
    plan = diff(knowing(BEFORE, since(DAY)), one(BEFORE, BEFORE).feed)
    judgement = about(BEFORE, BEFORE, since(DAY))
    assert (judgement.verdicts, judgement.withheld) == ((), {})
    assert [record.id for record in plan.altered] == [KEY]
    assert withhold(plan, knowing(BEFORE, since(DAY)), judgement.withheld).held == {}


def test_a_value_between_the_two_is_believed_and_nothing_is_held_any_more() -> None:
    assert about(BEFORE, priced(KEY, prompt="5", completion="10", image="10"), since(DAY)).verdicts == ()


def test_one_value_may_be_released_while_another_is_held() -> None:
    after = replace(CHEAP, context_length=0)
    judgement = about(BEFORE, after, since(DAY))
    assert outcomes(judgement) == [("price_fall", "released"), ("context_lost", "held")]
    assert judgement.withheld == {KEY: {"context_length": Held(0, AT, "context_lost")}}


def test_values_are_compared_with_what_is_believed_and_not_with_what_was_listed() -> None:
    what = one(CHEAP, CHEAP)
    assert outcomes(judged(what, believed=knowing(BEFORE))) == [("price_fall", "held")]
    assert judged(one(BEFORE, CHEAP), believed=knowing(CHEAP)).verdicts == ()


def test_a_new_model_may_cost_what_it_likes() -> None:
    assert judged(one(BEFORE, CHEAP), believed=believing(OTHERS)).verdicts == ()


def test_a_model_that_is_back_is_judged_like_any_other() -> None:
    beliefs = knowing(BEFORE)
    beliefs[KEY] = replace(beliefs[KEY], is_active=False)
    what = one(BEFORE, CHEAP)
    listed = {key: version for key, version in what.before.items() if key != KEY}
    assert outcomes(judged(Answer(listed, what.feed), believed=beliefs)) == [("price_fall", "held")]


def test_no_value_is_held_after_belief_was_moved_by_hand() -> None:
    judgement = about(BEFORE, CHEAP, values="flagged")
    assert (outcomes(judgement), judgement.withheld) == ([("price_fall", "flagged")], {})
    assert judged(moved(7, 200, pricing=FALLEN[0]), values="flagged").is_held


def test_no_value_is_looked_at_while_pinned() -> None:
    judgement = about(BEFORE, CHEAP, values="ignored")
    assert (judgement.verdicts, judgement.withheld) == ((), {})
    assert judged(moved(7, 200, pricing=FALLEN[0]), values="ignored").is_held


def test_values_are_judged_and_nothing_is_accepted_unless_it_is_said() -> None:
    what, beliefs = one(BEFORE, CHEAP), knowing(BEFORE)
    before = Before(AT, what.before)
    judgement = judge(diff(beliefs, what.feed), beliefs, at=AT, before=before, limits=Limits())
    assert judgement == about(BEFORE, CHEAP)
    assert outcomes(judgement) == [("price_fall", "held")]


def test_no_value_is_judged_where_the_run_is_held() -> None:
    what = one(BEFORE, CHEAP)
    judgement = judged(Answer(what.before, replace(what.feed, total_count=7)))
    assert (outcomes(judgement), judgement.withheld) == ([("total_count", "held")], {})


def test_values_are_judged_where_the_run_is_flagged_or_released() -> None:
    what = one(BEFORE, CHEAP)
    assert outcomes(judged(what, served=DAY)) == [("repeat", "flagged"), ("price_fall", "held")]
    gone = names(150, 200)
    fewer = Answer(
        what.before,
        Feed("all", tuple(record for record in what.feed.records if record.id not in gone), rows=151),
    )
    judgement = judged(fewer, holds=held(24, 18, 6, gone=gone))
    assert outcomes(judgement) == [("removal", "released"), ("price_fall", "held")]


def test_how_far_a_price_may_move_is_a_setting() -> None:
    half = priced(KEY, prompt="5", completion="10", image="10")
    double = priced(KEY, prompt="20", completion="10", image="10")
    assert about(BEFORE, half, limits=Limits(value_fall_percent=50)).verdicts == ()
    assert outcomes(about(BEFORE, half, limits=Limits(value_fall_percent=49.9))) == [("price_fall", "held")]
    assert about(BEFORE, double, limits=Limits(value_rise_factor=2)).verdicts == ()
    assert outcomes(about(BEFORE, double, limits=Limits(value_rise_factor=1.9))) == [("price_rise", "held")]
    # for the run as a whole too
    (verdict,) = judged(moved(7, 200, pricing=rates(prompt="5")), limits=Limits(value_fall_percent=49.5)).verdicts
    assert verdict.rule == "falling"
    assert "fell to zero or by more than 49.5 %" in verdict.reason


# --- no predecessor


def test_without_a_predecessor_only_the_answer_itself_is_judged() -> None:
    wrong = [
        answer(gone=99),
        moved(100, 100, pricing=DEARER),
        moved(100, 100, pricing=FALLEN[0]),
        moved(100, 100, context_length=0),
        one(BEFORE, CHEAP),
    ]
    for what in wrong:
        assert judged(what).verdicts != ()
        judgement = judged(what, since=None)
        assert (judgement.verdicts, judgement.withheld) == ((), {})


# --- accept: a person believes it


def test_an_accepted_rule_holds_no_longer() -> None:
    what = moved(251, 1000, pricing=DEARER)
    (was,) = judged(what).verdicts
    judgement = judged(what, waiver=Waiver(frozenset({"repricing"})))
    assert judgement.verdicts == (Verdict("repricing", "accepted", was.reason, was.evidence),)
    assert (judgement.is_held, judgement.held, judgement.why, judgement.advice) == (False, (), None, ())


@pytest.mark.parametrize(
    ("rule", "what", "served"),
    [
        ("empty", answer(gone=100), None),
        ("total_count", answer(total=7), None),
        ("unreadable", answer(unreadable=50), None),
        ("repeat", answer(), 8 * DAY),
        ("removal", answer(gone=50), None),
        ("repricing", moved(50, 100, pricing=DEARER), None),
        ("falling", moved(4, 100, pricing=FALLEN[0]), None),
        ("context", moved(4, 100, context_length=0), None),
    ],
)
def test_every_rule_of_the_run_can_be_accepted(rule: str, what: Answer, served: timedelta | None) -> None:
    assert outcomes(judged(what, served=served)) == [(rule, "held")]
    accepted = judged(what, served=served, waiver=Waiver(frozenset({rule}), all_values=True))
    assert outcomes(accepted)[0] == (rule, "accepted")
    assert (accepted.held, accepted.withheld) == ((), {})
    other = {"empty", "removal"} - {rule}
    assert judged(what, served=served, waiver=Waiver(frozenset(other), all_values=True)).is_held


def test_accepting_one_rule_leaves_the_others() -> None:
    judgement = judged(answer(GONE, total=7), waiver=Waiver(frozenset({"total_count"})))
    assert outcomes(judgement) == [("total_count", "accepted"), ("removal", "held")]
    assert judgement.is_held


def test_what_is_flagged_or_released_needs_no_accepting() -> None:
    waiver = Waiver(frozenset({"repeat", "removal"}))
    judgement = judged(answer(GONE), served=DAY, holds=held(24, 18, 6, gone=GONE), waiver=waiver)
    assert outcomes(judgement) == [("repeat", "flagged"), ("removal", "released")]


def test_accepting_the_run_alone_still_judges_its_values() -> None:
    what = one(BEFORE, CHEAP)
    wrong = Answer(what.before, replace(what.feed, total_count=7))
    judgement = judged(wrong, waiver=Waiver(frozenset({"total_count"})))
    assert outcomes(judgement) == [("total_count", "accepted"), ("price_fall", "held")]
    judgement = judged(wrong, waiver=Waiver(frozenset({"total_count"}), all_values=True))
    assert outcomes(judgement) == [("total_count", "accepted"), ("price_fall", "accepted")]
    assert judgement.withheld == {}


def test_an_accepted_value_is_believed_at_once() -> None:
    (was,) = about(BEFORE, CHEAP).verdicts
    judgement = about(BEFORE, CHEAP, waiver=Waiver(values=frozenset({(KEY, "pricing.prompt")})))
    assert judgement.verdicts == (replace(was, outcome="accepted"),)
    assert (judgement.withheld, judgement.held) == ({}, ())


@pytest.mark.parametrize("other", [("a/two", "pricing.prompt"), (KEY, "pricing.completion"), (KEY, "pricing")])
def test_accepting_another_value_does_not_help(other: tuple[str, str]) -> None:
    judgement = about(BEFORE, CHEAP, waiver=Waiver(values=frozenset({other})))
    assert outcomes(judgement) == [("price_fall", "held")]


def test_accepting_a_rule_of_values_by_name_does_nothing() -> None:
    judgement = about(BEFORE, CHEAP, waiver=Waiver(frozenset({"price_fall"})))
    assert outcomes(judgement) == [("price_fall", "held")]


def test_of_several_values_one_may_be_accepted() -> None:
    after = replace(CHEAP, context_length=0)
    judgement = about(BEFORE, after, waiver=Waiver(values=frozenset({(KEY, "context_length")})))
    assert outcomes(judgement) == [("price_fall", "held"), ("context_lost", "accepted")]
    assert list(judgement.withheld[KEY]) == ["pricing.prompt"]


# --- shapes


def test_a_verdict_as_scripts_see_it() -> None:
    (verdict,) = judged(answer(gone=100)).verdicts
    assert verdict.to_json() == {
        "rule": "empty", "outcome": "held", "model_id": None, "field": None,
        "reason": "the answer lists no model at all", "evidence": {"rows": 0},
    }  # fmt: skip


def test_a_verdict_may_be_about_a_field_of_a_model() -> None:
    document = Verdict("price_fall", "held", "why", {}, "a/b", "pricing.prompt").to_json()
    assert (document["model_id"], document["field"], document["evidence"]) == ("a/b", "pricing.prompt", {})


def test_each_rule_has_its_advice() -> None:
    rules = {rule for part in get_args(Rule) for rule in get_args(part)}
    assert ADVICE.keys() == rules
    for rule, advice in ADVICE.items():
        assert Verdict(rule, "held", "why").advice == advice
        assert advice.endswith(".")


def test_each_advice_is_given_once_and_only_for_what_is_held() -> None:
    both = judged(answer(gone=100, total=5))
    assert both.advice == (ADVICE["empty"],) == (ADVICE["total_count"],)
    released = judged(answer(GONE, total=7), holds=held(24, 18, 6, gone=GONE))
    assert released.advice == (ADVICE["total_count"],)
    assert judged(answer(GONE, unreadable=9)).advice == (ADVICE["unreadable"], ADVICE["removal"])
    assert judged(answer()).advice == ()
    values = about(BEFORE, priced(KEY, prompt="0", completion="-1", image="10", context=None))
    assert len(values.held) == 3
    assert values.advice == (ADVICE["price_fall"],)


def test_advice_names_the_setting_that_matters() -> None:
    named = {
        "removal": "SYNC_REMOVAL_LIMIT_PERCENT",
        "repricing": "SYNC_REPRICED_LIMIT_PERCENT",
        "falling": "SYNC_FALL_LIMIT_PERCENT",
        "context": "SYNC_CONTEXT_LIMIT_PERCENT",
    }
    for rule, advice in ADVICE.items():
        assert ("LIMIT_PERCENT" in advice) is (rule in named)
        assert named.get(rule, "") in advice


def test_evidence_is_json() -> None:
    judgements = [
        judged(answer(GONE, total=7, unreadable=9), served=8 * DAY, holds=held(24, 18, 6, gone=GONE)),
        judged(moved(60, 100, pricing=FALLEN[0], context_length=0)),
        judged(answer(gone=100), served=DAY),
        about(BEFORE, priced(KEY, prompt="0", completion="-1", image="10000", context=None)),
        about(BEFORE, priced(KEY, override("0.5"), prompt="10", completion="10", image="10")),
    ]
    seen = set()
    for judgement in judgements:
        for verdict in judgement.verdicts:
            seen.add(verdict.rule)
            assert json.loads(json.dumps(verdict.to_json(), allow_nan=False)) == verdict.to_json()
    assert seen == ADVICE.keys()


@our.laws
@given(our.models, our.models, st.sampled_from([None, HOUR, timedelta(minutes=1)]), st.booleans())
def test_whatever_is_held_is_named_and_told_in_json(
    before: Model, other: Model, ago: timedelta | None, waived: bool
) -> None:
    after = replace(other, id=before.id)
    first = about(before, after)
    holds = None
    if ago is not None:
        holds = {name: replace(it, since=AT - ago) for name, it in first.withheld.get(before.id, {}).items()}
    judgement = about(before, after, holds, waiver=Waiver(all_values=waived))
    wanted = "accepted" if waived else "released" if ago == HOUR else "held"
    assert {verdict.outcome for verdict in judgement.verdicts} <= {wanted}
    named = {(verdict.model_id, verdict.field) for verdict in judgement.held}
    assert named == {(key, field) for key, fields in judgement.withheld.items() for field in fields}
    for verdict in judgement.verdicts:
        assert json.loads(json.dumps(verdict.to_json(), allow_nan=False)) == verdict.to_json()


@pytest.mark.parametrize(("part", "whole", "share"), [(0, 0, 0), (5, 0, 0), (0, 7, 0), (1, 8, 12.5), (3, 3, 100)])
def test_percent(part: int, whole: int, share: float) -> None:
    assert percent(part, whole) == share
