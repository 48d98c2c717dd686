"""Plan → judgement: what is applied, what is held, and why."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.catalog.diff import Plan
from llmhive.catalog.feed import Feed, Unreadable
from llmhive.catalog.gate import ADVICE, Hold, Judgement, Limits, Rule, Verdict, judge, percent
from tests.catalog import strategies as our

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOW = timedelta(0)


def names(*numbers: int) -> frozenset[str]:
    return frozenset(f"a/{number}" for number in range(*numbers))


def plan(
    gone: int | frozenset[str] = 0, of: int = 100, *, rows: int = 100, total: int | None = None, unreadable: int = 0
) -> Plan:
    missing = names(gone) if isinstance(gone, int) else gone
    quarantine = tuple(Unreadable(position, None, "it is a test") for position in range(unreadable))
    return Plan(Feed("all", (), quarantine, total, rows), deactivated=tuple(sorted(missing)), active_before=of)


def judged(
    what: Plan, *, since: timedelta | None = NOW, holds: Sequence[Hold] = (), limits: Limits | None = None
) -> Judgement:
    last = None if since is None else AT - since
    return judge(what, at=AT, last_applied=last, holds=holds, limits=limits or Limits())


def held(*hours: float, gone: frozenset[str], rules: frozenset[str] = frozenset({"removal"})) -> list[Hold]:
    """Holds so many hours ago, in that order."""
    return [Hold(AT - hour * HOUR, rules, gone) for hour in hours]


def outcomes(judgement: Judgement) -> list[tuple[str, str]]:
    return [(verdict.rule, verdict.outcome) for verdict in judgement.verdicts]


# --- rules that need no predecessor


def test_nothing_to_say_of_a_plausible_answer() -> None:
    judgement = judged(plan(total=100))
    assert (judgement.verdicts, judgement.is_held, judgement.held, judgement.why) == ((), False, (), None)


@pytest.mark.parametrize("since", [None, NOW])
def test_an_empty_answer_is_held_for_that_alone(since: timedelta | None) -> None:
    judgement = judged(plan(gone=100, rows=0), since=since)
    assert judgement.verdicts == (Verdict("empty", "held", "the answer lists no model at all", {"rows": 0}),)
    assert judgement.is_held


@pytest.mark.parametrize("since", [None, NOW])
@pytest.mark.parametrize("total", [99, 101, 0])
def test_another_number_of_rows_than_it_says_is_held(total: int, since: timedelta | None) -> None:
    assert judged(plan(total=total), since=since).verdicts == (
        Verdict(
            "total_count",
            "held",
            f"the answer says it lists {total} models, but lists 100",
            {"total_count": total, "rows": 100},
        ),
    )


def test_an_empty_answer_that_promised_rows_is_held_for_both() -> None:
    judgement = judged(plan(rows=0, total=5))
    assert outcomes(judgement) == [("empty", "held"), ("total_count", "held")]
    assert judgement.why == "the answer lists no model at all; the answer says it lists 5 models, but lists 0"


@pytest.mark.parametrize("since", [None, NOW])
def test_more_than_five_percent_unreadable_is_held(since: timedelta | None) -> None:
    assert judged(plan(unreadable=51, rows=1000), since=since).verdicts == (
        Verdict(
            "unreadable",
            "held",
            "51 of 1000 records (5.1 %) cannot be read; the limit is 5 %",
            {"unreadable": 51, "rows": 1000, "limit_percent": 5.0},
        ),
    )


def test_five_percent_unreadable_is_applied() -> None:
    assert not judged(plan(unreadable=50, rows=1000)).is_held


def test_one_unreadable_row_alone_is_held() -> None:
    assert outcomes(judged(plan(unreadable=1, rows=1))) == [("unreadable", "held")]


# --- removals


def test_ten_percent_gone_is_applied() -> None:
    assert judged(plan(gone=100, of=1000)).verdicts == ()


def test_more_than_ten_percent_gone_is_held() -> None:
    gone = names(101)
    (verdict,) = judged(plan(gone, of=1000)).verdicts
    assert (verdict.rule, verdict.outcome) == ("removal", "held")
    assert verdict.reason == "101 of 1000 active models (10.1 %) are gone at once; the limit is 10.0 %"
    assert verdict.evidence == {
        "gone": sorted(gone), "active_before": 1000, "percent": 10.1, "limit_percent": 10.0,
    }  # fmt: skip


def test_the_evidence_is_rounded_to_hundredths() -> None:
    (verdict,) = judged(plan(gone=2, of=3), since=timedelta(hours=7)).verdicts
    assert (verdict.evidence["percent"], verdict.evidence["limit_percent"]) == (66.67, 10.07)


def test_removals_need_a_predecessor() -> None:
    assert judged(plan(gone=99), since=None).verdicts == ()


def test_nothing_believed_nothing_gone() -> None:
    assert judged(plan(gone=0, of=0)).verdicts == ()


@pytest.mark.parametrize(
    ("days", "limit"), [(-5, 10.0), (0, 10.0), (1, 10.25), (10, 12.5), (90, 32.5), (200, 60.0), (400, 60.0)]
)
def test_the_limit_grows_by_a_quarter_a_day_up_to_sixty(days: int, limit: float) -> None:
    assert Limits().removal(timedelta(days=days)) == limit


@pytest.mark.parametrize(("days", "most"), [(0, 100), (4, 110), (40, 200), (200, 600), (1000, 600)])
def test_the_limit_is_what_may_be_gone(days: int, most: int) -> None:
    since = timedelta(days=days)
    assert not judged(plan(gone=most, of=1000), since=since).is_held
    assert judged(plan(gone=most + 1, of=1000), since=since).is_held


@pytest.mark.parametrize(("percent_", "limit"), [(0, 0.5), (40, 40.5), (60, 60), (100, 60)])
def test_a_limit_of_ones_own_grows_and_ends_alike(percent_: float, limit: float) -> None:
    assert Limits(removal_percent=percent_).removal(timedelta(days=2)) == limit


def test_limits_are_settings() -> None:
    limits = Limits(removal_percent=1, unreadable_percent=50)
    assert outcomes(judged(plan(gone=2, unreadable=50), limits=limits)) == [("removal", "held")]


@our.laws
@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 60), st.floats(0, 500), st.integers(0, 5))
def test_more_removals_are_never_judged_milder(few: int, more: int, of: int, days: float, back: int) -> None:
    few, more = sorted((min(few, of), min(more, of)))
    holds = held(*range(40, 40 - 10 * back, -10), gone=names(few))
    since = timedelta(days=days)
    small = judged(plan(gone=few, of=of), since=since, holds=holds)
    large = judged(plan(gone=more, of=of), since=since, holds=holds)
    assert large.is_held >= small.is_held


@our.laws
@given(st.integers(0, 60), st.integers(1, 60), st.floats(0, 500), st.floats(0, 500))
def test_a_longer_pause_never_holds_more(gone: int, of: int, days: float, longer: float) -> None:
    short, long = (
        judged(plan(gone=min(gone, of), of=of), since=timedelta(days=pause)) for pause in sorted((days, longer))
    )
    assert short.is_held >= long.is_held


# --- released: four syncs over 24 hours that miss the same models

GONE = names(20)


def test_four_agreeing_syncs_over_a_day_are_believed() -> None:
    judgement = judged(plan(GONE), holds=held(24, 18, 6, gone=GONE))
    (verdict,) = judgement.verdicts
    assert not judgement.is_held
    assert (judgement.held, judgement.why) == ((), None)
    assert (verdict.rule, verdict.outcome) == ("removal", "released")
    assert verdict.evidence["agreeing_since"] == "2026-04-30T12:00:00+00:00"
    assert verdict.reason == (
        "20 of 100 active models (20.0 %) are gone at once; the limit is 10.0 %, "
        "but every sync since 2026-04-30 12:00 UTC agrees"
    )


@pytest.mark.parametrize("hours", [(), (24,), (48, 24), (100, 24)])
def test_three_agreeing_syncs_are_not_enough(hours: tuple[float, ...]) -> None:
    assert outcomes(judged(plan(GONE), holds=held(*hours, gone=GONE))) == [("removal", "held")]


@pytest.mark.parametrize("hours", [(23, 12, 6), (23.99, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2)])
def test_less_than_a_day_is_not_enough(hours: tuple[float, ...]) -> None:
    assert outcomes(judged(plan(GONE), holds=held(*hours, gone=GONE))) == [("removal", "held")]


def test_many_agreeing_syncs_over_a_day_are_believed_since_the_latest_that_is_a_day_old() -> None:
    holds = held(60, 48, 36, 24, 12, 6, 3, gone=GONE)
    (verdict,) = judged(plan(GONE), holds=holds).verdicts
    assert verdict.evidence["agreeing_since"] == "2026-04-30T12:00:00+00:00"


def test_syncs_that_disagree_by_the_limit_agree() -> None:
    holds = held(24, 18, 6, gone=names(10, 20))
    assert outcomes(judged(plan(GONE), holds=holds)) == [("removal", "released")]


@pytest.mark.parametrize("odd", [0, 1, 2])
def test_syncs_that_disagree_by_more_than_the_limit_do_not_agree(odd: int) -> None:
    holds = held(24, 18, 6, gone=GONE)
    holds[odd] = Hold(holds[odd].at, holds[odd].rules, names(11, 20))
    assert outcomes(judged(plan(GONE), holds=holds)) == [("removal", "held")]


def test_disagreements_add_up() -> None:
    # each misses at least 14 of the 20, but only 4 are missed by all
    parts = [names(6, 20), names(14) | names(20, 26), names(20) - names(8, 12)]
    assert [len(GONE - part) for part in parts] == [6, 6, 4]
    holds = [held(hours, gone=part)[0] for hours, part in zip((24, 18, 6), parts, strict=True)]
    assert outcomes(judged(plan(GONE), holds=holds)) == [("removal", "held")]


def test_what_came_back_since_does_not_count_against_agreement() -> None:
    holds = held(24, 18, 6, gone=names(50))
    assert outcomes(judged(plan(GONE), holds=holds)) == [("removal", "released")]


@pytest.mark.parametrize("rules", [{"removal", "total_count"}, {"total_count"}, set[str]()])
@pytest.mark.parametrize("odd", [0, 1, 2])
def test_a_sync_held_for_another_rule_too_does_not_count(odd: int, rules: set[str]) -> None:
    holds = held(24, 18, 6, gone=GONE)
    holds[odd] = Hold(holds[odd].at, frozenset(rules), GONE)
    assert outcomes(judged(plan(GONE), holds=holds)) == [("removal", "held")]


def test_what_was_held_before_the_odd_one_does_not_count() -> None:
    holds = [*held(90, 80, 70, gone=GONE), Hold(AT - 60 * HOUR, frozenset({"empty"}), GONE), *held(30, 6, gone=GONE)]
    assert judged(plan(GONE), holds=holds).is_held
    assert not judged(plan(GONE), holds=[*holds[:-1], *held(12, 6, gone=GONE)]).is_held


def test_agreement_releases_only_the_removal() -> None:
    judgement = judged(plan(GONE, total=7), holds=held(24, 18, 6, gone=GONE))
    assert outcomes(judgement) == [("total_count", "held"), ("removal", "released")]
    assert [verdict.rule for verdict in judgement.held] == ["total_count"]
    assert judgement.is_held


def test_an_empty_answer_is_never_released() -> None:
    assert judged(plan(names(100), rows=0), holds=held(24, 18, 6, gone=names(100))).is_held


def test_how_many_and_how_long_are_settings() -> None:
    limits = Limits(agreeing_syncs=2, agreeing_for=HOUR)
    assert not judged(plan(GONE), holds=held(1, gone=GONE), limits=limits).is_held
    assert judged(plan(GONE), holds=held(0.9, gone=GONE), limits=limits).is_held


# --- shapes


def test_a_verdict_as_scripts_see_it() -> None:
    (verdict,) = judged(plan(rows=0)).verdicts
    assert verdict.to_json() == {
        "rule": "empty", "outcome": "held", "model_id": None, "reason": "the answer lists no model at all",
        "evidence": {"rows": 0},
    }  # fmt: skip


def test_a_verdict_may_be_about_a_model() -> None:
    assert Verdict("removal", "held", "why", model_id="a/b").to_json()["model_id"] == "a/b"


def test_each_rule_has_its_advice() -> None:
    assert ADVICE.keys() == set(get_args(Rule))
    for rule, advice in ADVICE.items():
        assert Verdict(rule, "held", "why").advice == advice


def test_each_advice_is_given_once_and_only_for_what_is_held() -> None:
    both = judged(plan(rows=0, total=5))
    assert both.advice == (ADVICE["empty"],) == (ADVICE["total_count"],)
    released = judged(plan(GONE, total=7), holds=held(24, 18, 6, gone=GONE))
    assert released.advice == (ADVICE["total_count"],)
    assert judged(plan(GONE, unreadable=9)).advice == (ADVICE["unreadable"], ADVICE["removal"])
    assert judged(plan()).advice == ()


def test_evidence_is_json() -> None:
    judgement = judged(plan(GONE, total=7, unreadable=9), holds=held(24, 18, 6, gone=GONE))
    assert len(judgement.verdicts) == 3
    for verdict in judgement.verdicts:
        assert json.loads(json.dumps(verdict.evidence)) == verdict.evidence


@pytest.mark.parametrize(("part", "whole", "share"), [(0, 0, 0), (5, 0, 0), (0, 7, 0), (1, 8, 12.5), (3, 3, 100)])
def test_percent(part: int, whole: int, share: float) -> None:
    assert percent(part, whole) == share
