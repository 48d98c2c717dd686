"""Believed × feed → plan: laws, and the exact lines of a plan."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.catalog.diff import Baseline, Belief, Change, Plan, between, compare, diff, withhold
from llmhive.catalog.feed import Feed, Record, Scope, Unreadable, covers, missing
from llmhive.catalog.hold import Held, value_of, withheld
from llmhive.catalog.model import Model, Reasoning, Version
from llmhive.catalog.pricing import ConditionValue, Override, Pricing
from tests.catalog import strategies as our

laws = our.laws
Believed = dict[str, Belief]
Holds = dict[str, dict[str, Held]]


def carry_out(plan: Plan, believed: Believed) -> Believed:
    """What is believed once a plan is applied."""
    after = dict(believed)
    for record in plan.added:
        assert record.id not in after
        after[record.id] = Belief(record.version, is_active=True, raw=record.raw)
    for record in plan.altered:
        held = dict(plan.held.get(record.id, {}))
        after[record.id] = replace(after[record.id], version=record.version, raw=record.raw, held=held)
    for record in plan.reactivated:
        after[record.id] = replace(after[record.id], is_active=True)
    for record in plan.refreshed:
        after[record.id] = replace(after[record.id], raw=record.raw)
    for model_id in plan.deactivated:
        after[model_id] = replace(after[model_id], is_active=False)
    return after


def after(*some: Feed) -> Believed:
    believed: Believed = {}
    for feed in some:
        believed = carry_out(diff(believed, feed), believed)
    return believed


beliefs = st.lists(our.feeds(), max_size=3).map(lambda some: after(*some))


# --- laws


@laws
@given(beliefs, our.feeds())
def test_a_plan_converges_and_a_second_is_empty(believed: Believed, feed: Feed) -> None:
    then = carry_out(diff(believed, feed), believed)
    second = diff(then, feed)
    assert second.is_empty
    assert (second.changes, second.news) == ((), ())
    assert second.unchanged == len(feed.records)
    assert carry_out(second, then) == then


@laws
@given(beliefs, our.feeds())
def test_what_is_listed_is_believed(believed: Believed, feed: Feed) -> None:
    then = carry_out(diff(believed, feed), believed)
    for record in feed.records:
        assert then[record.id] == Belief(record.version, is_active=True, raw=record.raw)


@laws
@given(beliefs, our.feeds())
def test_nothing_is_forgotten(believed: Believed, feed: Feed) -> None:
    then = carry_out(diff(believed, feed), believed)
    assert then.keys() == believed.keys() | {record.id for record in feed.records}
    for model_id in believed.keys() - {record.id for record in feed.records}:
        assert then[model_id] == replace(believed[model_id], is_active=then[model_id].is_active)


@laws
@given(beliefs, our.feeds())
def test_exactly_the_missing_in_scope_are_deactivated(believed: Believed, feed: Feed) -> None:
    quarantined = [entry.model_id for entry in feed.unreadable]
    missing = {
        model_id
        for model_id, belief in believed.items()
        if belief.is_active
        and model_id not in {record.id for record in feed.records}
        and model_id not in quarantined
        and None not in quarantined
        and (feed.scope == "all" or {"text"} & set(belief.version.model.output_modalities or ["text"]))
    }
    plan = diff(believed, feed)
    assert plan.deactivated == tuple(sorted(missing))


@laws
@given(beliefs, our.feeds(scope="text"))
def test_a_text_feed_never_deactivates_what_outputs_no_text(believed: Believed, feed: Feed) -> None:
    for model_id in diff(believed, feed).deactivated:
        assert believed[model_id].version.model.output_modalities != ("image",)


@laws
@given(beliefs, our.feeds(), st.permutations(our.POOL))
def test_an_unreadable_record_without_an_id_deactivates_nothing(
    believed: Believed, feed: Feed, order: list[str]
) -> None:
    entries = [Unreadable(0, None, "a test"), *(Unreadable(1, name, "a test") for name in order[:2])]
    assert diff(believed, replace(feed, unreadable=tuple(entries))).deactivated == ()


@laws
@given(beliefs, our.feeds(), st.sampled_from(our.POOL))
def test_an_unreadable_record_with_an_id_keeps_only_that(believed: Believed, feed: Feed, kept: str) -> None:
    without = set(diff(believed, replace(feed, unreadable=())).deactivated)
    entry = Unreadable(0, kept, "a test")
    assert set(diff(believed, replace(feed, unreadable=(entry,))).deactivated) == without - {kept}


@laws
@given(beliefs, our.feeds())
def test_every_readable_record_is_touched_or_unchanged(believed: Believed, feed: Feed) -> None:
    plan = diff(believed, feed)
    listed = {record.id for record in feed.records}
    touched = {change.id for change in plan.changes} & listed
    assert plan.unchanged + len(touched) == len(feed.records)
    same = [r for r in feed.records if r.id in believed and believed[r.id].version.model == r.model]
    assert plan.unchanged == sum(believed[record.id].is_active for record in same)


@laws
@given(beliefs, our.feeds())
def test_the_lines_of_a_plan_agree_with_its_lists(believed: Believed, feed: Feed) -> None:
    plan = diff(believed, feed)

    def concerned(what: str) -> set[str]:
        return {change.id for change in plan.changes if change.what == what}

    assert concerned("added") == {record.id for record in plan.added}
    assert concerned("reactivated") == {record.id for record in plan.reactivated}
    assert concerned("deactivated") == set(plan.deactivated)
    assert concerned("changed") | concerned("repriced") == {record.id for record in plan.altered}
    assert plan.count("added") == len(plan.added)
    assert plan.count("deactivated") == len(plan.deactivated)
    assert plan.news == tuple(record.version for record in (*plan.added, *plan.altered))


@laws
@given(beliefs, our.feeds(), st.randoms(use_true_random=False))
def test_the_order_of_records_does_not_matter(believed: Believed, feed: Feed, dice: Any) -> None:
    records = list(feed.records)
    dice.shuffle(records)
    shuffled = replace(feed, records=tuple(records))
    assert carry_out(diff(believed, shuffled), believed) == carry_out(diff(believed, feed), believed)


@laws
@given(our.models, our.models, st.sets(st.sampled_from(["name", "pricing", "reasoning", "input_modalities"])))
def test_two_models_differ_exactly_where_a_line_says_so(model: Model, other: Model, taken: set[str]) -> None:
    mixed = replace(model, **{name: getattr(other, name) for name in taken})
    changes = compare(model, mixed)
    named = {(change.field or "").partition(".")[0] for change in changes}
    assert named == {name for name in taken if getattr(model, name) != getattr(mixed, name)}
    assert (not changes) is (model == mixed)
    for change in changes:
        assert change.before != change.after
        assert change.id == model.id


@laws
@given(our.models, our.models)
def test_lines_are_json_and_mirror_each_other(model: Model, other: Model) -> None:
    there, back = compare(model, other), compare(other, model)
    assert [(c.field, c.before, c.after) for c in there] == [(c.field, c.after, c.before) for c in back]
    for change in there:
        json.dumps(change.to_json(), allow_nan=False)


# --- plans by example

ONE = Model("a/one", name="One", output_modalities=("text",))


def listed(*models: Model, raw: bytes = b"{}", scope: Scope = "all") -> Feed:
    return Feed(scope, tuple(Record(Version(model), raw) for model in models), rows=len(models))


def test_an_added_model() -> None:
    feed = listed(ONE, Model("a/two"))
    plan = diff({}, feed)
    assert plan.changes == (Change("a/one", "added", None, None, "One"), Change("a/two", "added", None, None, "a/two"))
    assert plan.added == feed.records
    assert (plan.altered, plan.reactivated, plan.refreshed, plan.deactivated) == ((), (), (), ())
    assert not plan.is_empty
    assert plan.feed is feed


def test_a_model_that_is_gone() -> None:
    plan = diff(after(listed(ONE, Model("a/two"), Model("a/three"))), listed(ONE))
    assert plan.changes == (
        Change("a/three", "deactivated", "is_active", True, False),
        Change("a/two", "deactivated", "is_active", True, False),
    )
    assert (plan.unchanged, plan.is_empty) == (1, False)


def test_what_is_gone_goes_once() -> None:
    assert diff(after(listed(ONE), listed()), listed()).is_empty


def test_a_model_that_is_back_as_it_was() -> None:
    plan = diff(after(listed(ONE), listed()), listed(ONE))
    assert plan.changes == (Change("a/one", "reactivated", "is_active", False, True),)
    assert ([r.id for r in plan.reactivated], plan.altered, plan.news) == (["a/one"], (), ())
    assert plan.unchanged == 0


def test_a_model_that_is_back_and_other() -> None:
    plan = diff(after(listed(ONE), listed()), listed(replace(ONE, name="Won")))
    assert plan.changes == (
        Change("a/one", "reactivated", "is_active", False, True),
        Change("a/one", "changed", "name", "One", "Won"),
    )
    assert [record.model.name for record in plan.altered] == ["Won"]
    assert [version.model.name for version in plan.news] == ["Won"]


def test_other_bytes_of_the_same_content_are_renewed_and_no_change() -> None:
    plan = diff(after(listed(ONE)), listed(ONE, raw=b"{ }"))
    assert [record.raw for record in plan.refreshed] == [b"{ }"]
    assert (plan.changes, plan.unchanged, plan.is_empty, plan.altered) == ((), 1, False, ())


def test_other_content_is_not_also_renewed() -> None:
    assert diff(after(listed(ONE)), listed(replace(ONE, name="Won"), raw=b"{ }")).refreshed == ()


def test_a_bootstraps_fact_is_renewed_by_the_first_record() -> None:
    believed = {"a/one": Belief(Version(ONE), is_active=True, raw=None)}
    assert [record.id for record in diff(believed, listed(ONE)).refreshed] == ["a/one"]


def test_a_model_is_counted_once_however_much_changed() -> None:
    before = replace(ONE, pricing=Pricing.of({"prompt": Decimal(1), "completion": Decimal(1)}))
    now = replace(
        ONE, name="Won", tokenizer="GPT", pricing=Pricing.of({"prompt": Decimal(2), "completion": Decimal(2)})
    )
    plan = diff(after(listed(before)), listed(now))
    assert [plan.count(what) for what in ("changed", "repriced", "added", "deactivated", "held")] == [1, 1, 0, 0, 0]
    assert len(plan.changes) == 4
    assert plan.unchanged == 0


@pytest.mark.parametrize("part", ["added", "altered", "reactivated", "refreshed", "deactivated"])
def test_any_part_alone_is_work_to_do(part: str) -> None:
    nothing = Plan(listed(ONE))
    assert nothing.is_empty
    some: Any = ("a/one",) if part == "deactivated" else nothing.feed.records
    assert not replace(nothing, **{part: some}).is_empty


def test_a_change_as_scripts_see_it() -> None:
    assert Change("a/b", "repriced", "pricing.prompt", "1", None).to_json() == {
        "id": "a/b", "what": "repriced", "field": "pricing.prompt", "before": "1", "after": None,
    }  # fmt: skip


# --- scopes

IMAGE = Model("a/painter", output_modalities=("image",))
BOTH = Model("a/both", output_modalities=("image", "text"))
OLD = Model("a/old")


@pytest.mark.parametrize(
    ("model", "is_covered"), [(ONE, True), (BOTH, True), (OLD, True), (IMAGE, False)], ids=lambda v: getattr(v, "id", v)
)
def test_what_a_text_feed_covers(model: Model, is_covered: bool) -> None:
    assert covers("text", model) is is_covered
    assert covers("all", model)


def test_what_a_text_feed_does_not_list_may_still_be_there() -> None:
    plan = diff(after(listed(ONE, BOTH, OLD, IMAGE)), listed(scope="text"))
    assert plan.deactivated == ("a/both", "a/old", "a/one")


@laws
@given(beliefs, our.feeds())
def test_what_is_missing_is_what_a_plan_deactivates(believed: Believed, feed: Feed) -> None:
    active = {model_id: belief.version.model for model_id, belief in believed.items() if belief.is_active}
    assert tuple(missing(feed, active)) == diff(believed, feed).deactivated


def test_a_quarantined_record_is_not_missing() -> None:
    feed = replace(listed(ONE), unreadable=(Unreadable(1, "a/both", "a test"),))
    before = {model.id: model for model in (ONE, BOTH, OLD, IMAGE)}
    assert missing(feed, before) == ["a/old", "a/painter"]
    assert missing(replace(feed, scope="text"), before) == ["a/old"]
    assert missing(replace(feed, unreadable=(*feed.unreadable, Unreadable(2, None, "a test"))), before) == []


# --- what is not all news


@pytest.mark.parametrize("baseline", [None, "first look", "bootstrap"])
def test_a_plan_says_why_some_of_it_is_no_news(baseline: Baseline | None) -> None:
    assert diff({}, listed(ONE), baseline=baseline).baseline == baseline


FACT = replace(ONE, context_length=5, pricing=Pricing.of({"prompt": Decimal(1)}))
SERVED = replace(
    FACT, name="Won", context_length=None, description="new", supported_parameters=("seed",), is_moderated=False,
    reasoning=Reasoning(), pricing=Pricing.of({"prompt": Decimal(2)}),
)  # fmt: skip


def test_after_a_bootstrap_what_its_facts_left_out_is_no_change() -> None:
    believed = {"a/one": Belief(Version(FACT), is_active=True, raw=None)}
    plan = diff(believed, listed(SERVED), baseline="bootstrap")
    assert plan.changes == (
        Change("a/one", "changed", "name", "One", "Won"),
        Change("a/one", "changed", "context_length", 5, None),
        Change("a/one", "repriced", "pricing.prompt", "1", "2"),
    )
    assert [record.id for record in plan.altered] == ["a/one"]


@pytest.mark.parametrize("baseline", [None, "first look"])
def test_only_a_bootstraps_facts_are_left_out(baseline: Baseline | None) -> None:
    believed = {"a/one": Belief(Version(FACT), is_active=True, raw=None)}
    plan = diff(believed, listed(SERVED), baseline=baseline)
    assert {change.field for change in plan.changes} == {
        "name", "context_length", "description", "supported_parameters", "is_moderated", "reasoning", "pricing.prompt",
    }  # fmt: skip


def test_what_is_only_new_to_a_bootstrap_is_kept_and_counts_as_unchanged() -> None:
    believed = {"a/one": Belief(Version(ONE), is_active=True, raw=None)}
    plan = diff(believed, listed(replace(ONE, description="new")), baseline="bootstrap")
    assert ([record.id for record in plan.altered], plan.changes, plan.unchanged) == (["a/one"], (), 1)


@laws
@given(our.models, our.models)
def test_known_facts_are_compared_all_the_same(model: Model, other: Model) -> None:
    whole = {change.field: change for change in compare(model, other)}
    for change in compare(model, other, only_known=True):
        assert whole.pop(change.field) == change
    for change in whole.values():
        assert change.before in (None, [], {})


# --- held values: the old one stays believed

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
HELD_FIELDS = ("context_length", "pricing.prompt", "pricing")


@st.composite
def withholdings(draw: st.DrawFn) -> tuple[Believed, Feed, Holds]:
    """What is believed, what is served, and some values of known models that are held back."""
    believed, feed = draw(beliefs), draw(our.feeds())
    held: Holds = {}
    for record in feed.records:
        if record.id in believed and draw(st.booleans()):
            fields = draw(st.lists(st.sampled_from(HELD_FIELDS), min_size=1, unique=True))
            held[record.id] = {name: Held(value_of(record.model, name), AT, "a test") for name in fields}
    return believed, feed, held


@laws
@given(withholdings())
def test_a_plan_with_holds_leads_to_the_old_values_and_the_holds(case: tuple[Believed, Feed, Holds]) -> None:
    believed, feed, held = case
    plan = withhold(diff(believed, feed), believed, held)
    then = carry_out(plan, believed)
    plainly = carry_out(diff(believed, feed), believed)
    assert then.keys() == plainly.keys()
    for model_id, belief in then.items():
        if model_id not in held:
            assert belief == plainly[model_id]
            continue
        mixed = withheld(believed[model_id].version.model, plainly[model_id].version.model, held[model_id])
        assert belief == replace(plainly[model_id], version=Version(mixed), held=held[model_id])


@laws
@given(withholdings())
def test_the_same_answer_with_the_same_holds_changes_nothing(case: tuple[Believed, Feed, Holds]) -> None:
    believed, feed, held = case
    then = carry_out(withhold(diff(believed, feed), believed, held), believed)
    second = withhold(diff(then, feed), then, held)
    assert second.is_empty
    assert (second.changes, second.news) == ((), ())


@laws
@given(withholdings())
def test_letting_go_of_what_is_held_leads_to_what_is_served(case: tuple[Believed, Feed, Holds]) -> None:
    believed, feed, held = case
    then = carry_out(withhold(diff(believed, feed), believed, held), believed)
    assert carry_out(diff(then, feed), then) == carry_out(diff(believed, feed), believed)


@laws
@given(withholdings())
def test_only_what_is_newly_held_is_a_line_of_the_plan(case: tuple[Believed, Feed, Holds]) -> None:
    believed, feed, held = case
    plan = withhold(diff(believed, feed), believed, held)
    lines = [change for change in plan.changes if change.what == "held"]
    wanted = {(model_id, name): value for model_id, fields in held.items() for name, value in fields.items()}
    assert {(change.id, change.field) for change in lines} == wanted.keys()
    assert plan.count("held") == len(held)
    for change in lines:
        assert change.before == value_of(believed[change.id].version.model, change.field or "")
        assert change.after == wanted[change.id, change.field or ""].served
    # what is held is not also told as a change
    told = {(change.id, change.field) for change in plan.changes if change.what in {"changed", "repriced"}}
    assert not told & wanted.keys()


DEAR = replace(ONE, context_length=1000, pricing=Pricing.of({"prompt": Decimal(10), "completion": Decimal(20)}))
CHEAP = replace(DEAR, context_length=0, pricing=Pricing.of({"prompt": Decimal(0), "completion": Decimal(21)}))


def holding(model: Model, held: dict[str, Held] | None = None, raw: bytes = b"{}") -> Believed:
    return {model.id: Belief(Version(model), is_active=True, raw=raw, held=held or {})}


PROMPT = {"pricing.prompt": Held("0", AT, "price_fall")}


def test_nothing_held_nothing_withheld() -> None:
    plan = diff(after(listed(ONE)), listed(replace(ONE, name="Won")))
    assert withhold(plan, after(listed(ONE)), {}) is plan
    assert plan.held == {}


def test_a_held_value_is_a_line_and_the_rest_is_changed() -> None:
    believed = holding(DEAR)
    plan = withhold(diff(believed, listed(CHEAP)), believed, {"a/one": PROMPT})
    assert plan.changes == (
        Change("a/one", "changed", "context_length", 1000, 0),
        Change("a/one", "repriced", "pricing.completion", "20", "21"),
        Change("a/one", "held", "pricing.prompt", "10", "0"),
    )
    (record,) = plan.altered
    assert record.model == replace(CHEAP, pricing=Pricing.of({"prompt": Decimal(10), "completion": Decimal(21)}))
    assert record.raw == listed(CHEAP).records[0].raw
    assert plan.held == {"a/one": PROMPT}
    assert (plan.news, plan.unchanged, plan.count("held")) == ((record.version,), 0, 1)


def test_what_only_is_held_counts_as_held_and_not_as_unchanged() -> None:
    believed = holding(DEAR)
    served = replace(DEAR, pricing=CHEAP.pricing)
    held = {"pricing": Held(value_of(served, "pricing"), AT, "price_fall")}
    plan = withhold(diff(believed, listed(served)), believed, {"a/one": held})
    assert [(change.what, change.field) for change in plan.changes] == [("held", "pricing")]
    assert plan.changes[0].before == {"prompt": "10", "completion": "20"}
    assert plan.changes[0].after == {"prompt": "0", "completion": "21"}
    assert ([record.id for record in plan.altered], plan.unchanged) == (["a/one"], 0)


def test_what_is_held_already_is_not_told_again() -> None:
    served = replace(DEAR, pricing=Pricing.of({"prompt": Decimal(0), "completion": Decimal(20)}))
    believed = holding(DEAR, PROMPT)
    plan = withhold(diff(believed, listed(served)), believed, {"a/one": PROMPT})
    assert (plan.changes, plan.is_empty, plan.unchanged) == ((), True, 1)


def test_what_is_held_since_another_time_is_kept_and_not_told() -> None:
    served = replace(DEAR, pricing=Pricing.of({"prompt": Decimal(0), "completion": Decimal(20)}))
    believed = holding(DEAR, {"pricing.prompt": Held("0", AT - timedelta(days=1), "price_fall")})
    plan = withhold(diff(believed, listed(served)), believed, {"a/one": PROMPT})
    assert (plan.changes, [record.id for record in plan.altered]) == ((), ["a/one"])


def test_another_held_value_is_told_anew() -> None:
    served = replace(DEAR, pricing=Pricing.of({"prompt": Decimal(0), "completion": Decimal(20)}))
    believed = holding(DEAR, {"pricing.prompt": Held("0.5", AT, "price_fall")})
    plan = withhold(diff(believed, listed(served)), believed, {"a/one": PROMPT})
    assert plan.changes == (Change("a/one", "held", "pricing.prompt", "10", "0"),)


def test_a_value_that_is_back_is_no_longer_held_and_no_news() -> None:
    believed = holding(DEAR, PROMPT)
    plan = diff(believed, listed(DEAR))
    assert (plan.changes, plan.refreshed, [record.id for record in plan.altered]) == ((), (), ["a/one"])
    assert carry_out(plan, believed) == holding(DEAR)


def test_other_bytes_with_the_same_holds_are_renewed() -> None:
    served = replace(DEAR, pricing=Pricing.of({"prompt": Decimal(0), "completion": Decimal(20)}))
    believed = holding(DEAR, PROMPT, raw=b"old")
    plan = withhold(diff(believed, listed(served)), believed, {"a/one": PROMPT})
    assert ([record.raw for record in plan.refreshed], plan.altered, plan.changes) == ([b"{}"], (), ())


def test_withholding_keeps_why_the_plan_is_no_news_and_who_is_gone() -> None:
    believed = {**holding(DEAR), **after(listed(Model("a/two")))}
    plan = diff(believed, listed(CHEAP), baseline="first look")
    left = withhold(plan, believed, {"a/one": PROMPT})
    assert (left.baseline, left.deactivated) == ("first look", ("a/two",))
    assert left.feed == replace(plan.feed, records=left.altered)


def test_a_model_that_is_back_keeps_its_old_value_while_the_new_one_is_held() -> None:
    believed = {"a/one": replace(holding(DEAR)["a/one"], is_active=False)}
    plan = withhold(diff(believed, listed(CHEAP)), believed, {"a/one": PROMPT})
    assert [change.what for change in plan.changes] == ["reactivated", "changed", "repriced", "held"]
    assert [record.model.pricing.rate("prompt") for record in plan.reactivated] == [Decimal(10)]


# --- two states of the catalog


@laws
@given(beliefs, our.feeds())
def test_what_a_plan_tells_is_what_differs_between_before_and_after(believed: Believed, feed: Feed) -> None:
    plan = diff(believed, feed)
    found = between(believed, carry_out(plan, believed))
    assert sorted(found, key=repr) == sorted(plan.changes, key=repr)
    assert [change.id for change in found] == sorted(change.id for change in found)


@laws
@given(beliefs, beliefs)
def test_between_two_states_is_what_compare_says_of_those_that_are_active_in_the_end(
    before: Believed, now: Believed
) -> None:
    found = between(before, now)
    for model_id in before.keys() | now.keys():
        told = [change for change in found if change.id == model_id]
        was, becomes = (state[model_id].is_active if model_id in state else False for state in (before, now))
        lines = []
        if becomes and model_id in before:
            lines = compare(before[model_id].version.model, now[model_id].version.model)
        if was != becomes:
            whats = {"deactivated"} if was else {"reactivated"} if model_id in before else {"added"}
            assert {told[0].what} == whats
            told = told[1:]
        assert told == lines


@laws
@given(beliefs, beliefs)
def test_nothing_is_between_two_states_exactly_if_the_same_models_are_active_with_the_same_content(
    before: Believed, now: Believed
) -> None:
    def active(state: Believed) -> dict[str, Model]:
        return {model_id: belief.version.model for model_id, belief in state.items() if belief.is_active}

    assert (not between(before, now)) is (active(before) == active(now))
    assert between(now, now) == ()


def test_lines_between_two_states() -> None:
    two = Model("a/two")
    gone = replace(holding(two)["a/two"], is_active=False)
    before = {**holding(DEAR), "a/two": gone, **holding(Model("a/three")), **holding(Model("a/four"))}
    now = {**holding(CHEAP), **holding(replace(two, name="Two")), **holding(Model("b/new", name="New")),
           "a/four": replace(holding(Model("a/four", name="x"))["a/four"], is_active=False)}  # fmt: skip
    now["b/gone"] = replace(holding(Model("b/gone"))["b/gone"], is_active=False)
    assert between(before, now) == (
        Change("a/four", "deactivated", "is_active", True, False),
        Change("a/one", "changed", "context_length", 1000, 0),
        Change("a/one", "repriced", "pricing.completion", "20", "21"),
        Change("a/one", "repriced", "pricing.prompt", "10", "0"),
        Change("a/three", "deactivated", "is_active", True, False),
        Change("a/two", "reactivated", "is_active", False, True),
        Change("a/two", "changed", "name", None, "Two"),
        Change("b/new", "added", None, None, "New"),
    )
    assert between({}, holding(two)) == (Change("a/two", "added", None, None, "a/two"),)


# --- compare, line by line


def override(rate: str, **conditions: ConditionValue) -> Override:
    return Override(tuple(sorted(conditions.items())), (("prompt", Decimal(rate)),))


def priced(*overrides: Override, **rates: str) -> dict[str, Any]:
    return {"pricing": Pricing.of({unit: Decimal(rate) for unit, rate in rates.items()}, overrides)}


@pytest.mark.parametrize(
    ("before", "now", "lines"),
    [
        ({}, {}, []),
        # plain values
        ({"name": "A"}, {"name": "B"}, [("changed", "name", "A", "B")]),
        ({}, {"description": "text"}, [("changed", "description", None, "text")]),
        ({"context_length": 5}, {"context_length": 0}, [("changed", "context_length", 5, 0)]),
        ({"is_moderated": True}, {"is_moderated": False}, [("changed", "is_moderated", True, False)]),
        ({"is_moderated": None}, {"is_moderated": False}, [("changed", "is_moderated", None, False)]),
        # lists
        (
            {"supported_parameters": ("seed", "tools")},
            {"supported_parameters": ("tools",)},
            [("changed", "supported_parameters", ["seed", "tools"], ["tools"])],
        ),
        ({"output_modalities": ("text",)}, {}, [("changed", "output_modalities", ["text"], [])]),
        # names and numbers
        (
            {"default_parameters": (("temperature", Decimal("0.7")), ("top_k", 5))},
            {"default_parameters": (("temperature", 1),)},
            [("changed", "default_parameters", {"temperature": 0.7, "top_k": 5}, {"temperature": 1})],
        ),
        (
            {},
            {"per_request_limits": (("prompt_tokens", 7),)},
            [("changed", "per_request_limits", {}, {"prompt_tokens": 7})],
        ),
        # dates
        (
            {"expiration_date": date(2026, 1, 2)},
            {"expiration_date": date(2098, 12, 31)},
            [("changed", "expiration_date", "2026-01-02", "2098-12-31")],
        ),
        ({}, {"created_at": AT}, [("changed", "created_at", None, "2026-05-01T12:00:00Z")]),
        # reasoning
        (
            {},
            {"reasoning": Reasoning(mandatory=True, default_effort="high", supported_efforts=("high", "low"))},
            [
                (
                    "changed",
                    "reasoning",
                    None,
                    {
                        "mandatory": True,
                        "default_enabled": None,
                        "default_effort": "high",
                        "supported_efforts": ["high", "low"],
                        "supports_max_tokens": None,
                    },
                )
            ],
        ),
        # prices, one by one
        (
            priced(prompt="0.0000025", completion="1", image="3", audio="4"),
            priced(prompt="0.0000005", completion="1", image="0", web_search="0.010"),
            [
                ("repriced", "pricing.audio", "4", None),
                ("repriced", "pricing.image", "3", None),
                ("repriced", "pricing.prompt", "0.0000025", "0.0000005"),
                ("repriced", "pricing.web_search", None, "0.01"),
            ],
        ),
        (priced(prompt="0"), priced(), [("repriced", "pricing.prompt", "0", None)]),
        (priced(prompt="0"), priced(prompt="-1"), [("repriced", "pricing.prompt", "0", "-1")]),
        (priced(prompt="1.50", image="0"), priced(prompt="1.5"), []),
        # overrides, all together
        (
            priced(override("1", min_prompt_tokens=5), prompt="9"),
            priced(override("1.0", min_prompt_tokens=6), override("2", utc_days=("monday",), utc_end=0), prompt="9"),
            [
                (
                    "repriced",
                    "pricing.overrides",
                    [{"when": {"min_prompt_tokens": 5}, "rates": {"prompt": "1"}}],
                    [
                        {"when": {"min_prompt_tokens": 6}, "rates": {"prompt": "1"}},
                        {"when": {"utc_days": ["monday"], "utc_end": 0}, "rates": {"prompt": "2"}},
                    ],
                )
            ],
        ),
        (
            priced(override("1", min_prompt_tokens=5), prompt="9"),
            priced(prompt="8"),
            [
                ("repriced", "pricing.prompt", "9", "8"),
                ("repriced", "pricing.overrides", [{"when": {"min_prompt_tokens": 5}, "rates": {"prompt": "1"}}], None),
            ],
        ),
        # a headline that its windows replace
        (
            priced(prompt="9"),
            priced(override("1", utc_end=1200), override("2", utc_start=1200), prompt="1"),
            [
                ("repriced", "pricing.prompt", "9", None),
                (
                    "repriced",
                    "pricing.overrides",
                    None,
                    [
                        {"when": {"utc_end": 1200}, "rates": {"prompt": "1"}},
                        {"when": {"utc_start": 1200}, "rates": {"prompt": "2"}},
                    ],
                ),
            ],
        ),
        # several, in the order of the fields
        (
            {"name": "A", "alias_target": "x"} | priced(prompt="1"),
            {"name": "B", "alias_target": "y"} | priced(prompt="2"),
            [
                ("changed", "name", "A", "B"),
                ("repriced", "pricing.prompt", "1", "2"),
                ("changed", "alias_target", "x", "y"),
            ],
        ),
    ],
)
def test_the_lines_of_a_change(
    before: dict[str, Any], now: dict[str, Any], lines: list[tuple[str, str, Any, Any]]
) -> None:
    found = [change.to_json() for change in compare(Model("a/b", **before), Model("a/b", **now))]
    wanted = [
        {"id": "a/b", "what": what, "field": field, "before": was, "after": is_now}
        for what, field, was, is_now in lines
    ]
    # as JSON: a tuple is a list there
    assert json.loads(json.dumps(found)) == wanted


def test_whole_numbers_stay_whole_in_a_line() -> None:
    (change,) = compare(Model("a/b"), Model("a/b", default_parameters=(("top_k", 5), ("top_p", Decimal("0.95")))))
    assert json.dumps(change.after) == '{"top_k": 5, "top_p": 0.95}'
