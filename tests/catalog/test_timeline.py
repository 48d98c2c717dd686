"""What was said of each model, feed after feed: compared with a replay that is written differently."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from llmhive.catalog.feed import Feed, Record, Scope, Unreadable
from llmhive.catalog.model import Model, Version
from llmhive.catalog.pricing import Override, Pricing, tiled_units
from llmhive.catalog.timeline import Listing, Timeline, news
from tests.catalog import strategies as our

laws = our.laws
T0 = datetime(2026, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)

Captures = list[tuple[datetime, Feed]]


@st.composite
def captured(draw: st.DrawFn, *, distinct: bool = False) -> Captures:
    """Feeds of both scopes in the order of their times; some are repeated, some of the same instant."""
    found: Captures = []
    at = T0
    for _ in range(draw(st.integers(0, 6))):
        at += HOUR * draw(st.integers(1 if distinct else 0, 3))
        is_repeat = found and draw(st.integers(0, 3)) == 0
        found.append((at, draw(st.sampled_from(found))[1] if is_repeat else draw(our.feeds())))
    return found


def taken(captures: Captures, before: dict[str, Listing] | None = None) -> Timeline:
    timeline = Timeline(dict(before or {}))
    for at, feed in captures:
        timeline.take(feed, at)
    return timeline


# --- the oracle: model by model, from the newest feed back


def is_shown(scope: str, model: Model) -> bool:
    return scope == "all" or "text" in (model.output_modalities or ("text",))


def said(model_id: str, feeds: list[Feed]) -> tuple[Model, bool] | None:
    """What the feeds say of a model in the end; None: they never listed it."""
    rows = [{record.id: record.model for record in feed.records} for feed in feeds]
    last = max((number for number, row in enumerate(rows) if model_id in row), default=None)
    if last is None:
        return None
    model = rows[last][model_id]
    for feed in feeds[last + 1 :]:
        doubtful = {entry.model_id for entry in feed.unreadable}
        if is_shown(feed.scope, model) and model_id not in doubtful and None not in doubtful:
            return model, False
    return model, True


def plainly(listing: Listing | None) -> tuple[Model, bool] | None:
    return None if listing is None else (listing.version.model, listing.is_listed)


def at_instant(timeline: Timeline, model_id: str, at: datetime) -> Listing | None:
    steps = timeline.steps.get(model_id, [])
    position = bisect_right([when for when, _ in steps], at)
    return steps[position - 1][1] if position else timeline.before(model_id)


def has_ghosts(captures: Captures) -> bool:
    """Whether a model was listed first by a capture that another one of the same instant contradicts."""
    for model_id in our.POOL:
        for number, (at, _) in enumerate(captures):
            now = said(model_id, [feed for _, feed in captures[: number + 1]])
            later = said(model_id, [feed for when, feed in captures if when <= at])
            earlier = said(model_id, [feed for when, feed in captures if when < at])
            if earlier is None and now is not None and later is not None and not later[1]:
                return True
    return False


# --- laws


@laws
@given(captured())
def test_the_listings_are_what_a_replay_says(captures: Captures) -> None:
    assume(not has_ghosts(captures))
    timeline = taken(captures)
    feeds = [feed for _, feed in captures]
    for model_id in our.POOL:
        assert plainly(timeline.listings.get(model_id)) == said(model_id, feeds)


@laws
@given(captured())
def test_the_steps_say_of_every_instant_what_a_replay_says(captures: Captures) -> None:
    assume(not has_ghosts(captures))
    timeline = taken(captures)
    for at in {at + shift for at, _ in captures for shift in (timedelta(0), HOUR / 2, -HOUR / 2)}:
        until = [feed for when, feed in captures if when <= at]
        for model_id in our.POOL:
            assert plainly(at_instant(timeline, model_id, at)) == said(model_id, until)


@laws
@given(captured(), st.integers(0, 6))
def test_a_timeline_can_be_continued_anywhere(captures: Captures, cut: int) -> None:
    cut = min(cut, len(captures))
    # a cut between two feeds of one instant is no cut in time
    assume(not 0 < cut < len(captures) or captures[cut - 1][0] < captures[cut][0])
    whole, first = taken(captures), taken(captures[:cut])
    second = taken(captures[cut:], first.listings)
    assert second.listings == whole.listings
    for model_id in our.POOL:
        steps = [*first.steps.get(model_id, []), *second.steps.get(model_id, [])]
        assert steps == whole.steps.get(model_id, [])
        assert second.before(model_id) == first.listings.get(model_id)


@laws
@given(captured(), captured())
def test_no_two_steps_in_a_row_are_equal_and_their_times_rise(earlier: Captures, captures: Captures) -> None:
    before = taken(earlier).listings
    timeline = taken(captures, before)
    assert all(timeline.before(model_id) == before.get(model_id) for model_id in our.POOL)
    for model_id, steps in timeline.steps.items():
        times = [at for at, _ in steps]
        assert times == sorted(set(times))
        said_of_it = [timeline.before(model_id), *(listing for _, listing in steps)]
        assert all(one != two for one, two in pairwise(said_of_it))
        # one that only a contradicted capture knew was never there
        assert said_of_it[-1] == timeline.listings.get(model_id)


@laws
@given(captured(), st.integers(0, 5))
def test_a_feed_taken_twice_in_a_row_changes_nothing(captures: Captures, position: int) -> None:
    assume(captures)
    position %= len(captures)
    at, feed = captures[position]
    twice = [*captures[: position + 1], (at, feed), *captures[position + 1 :]]
    assert taken(twice).steps == taken(captures).steps
    assert news(taken(captures[: position + 1]).listings, feed) == {}


@laws
@given(captured())
def test_news_are_what_differs_after_a_feed(captures: Captures) -> None:
    assume(captures and not has_ghosts(captures))
    before = taken(captures[:-1]).listings
    found = news(before, captures[-1][1])
    now = taken(captures).listings
    assert found == {key: listing for key, listing in now.items() if before.get(key) != listing}


@laws
@given(captured())
def test_the_last_record_and_its_time_are_kept(captures: Captures) -> None:
    timeline = taken(captures)
    for model_id in our.POOL:
        lists = [(at, record) for at, feed in captures for record in feed.records if record.id == model_id]
        assert timeline.records.get(model_id) == (lists[-1][1] if lists else None)
        assert timeline.seen.get(model_id) == (lists[-1][0] if lists else None)


@laws
@given(captured(distinct=True), st.randoms(use_true_random=False))
def test_the_order_of_records_in_a_feed_does_not_matter(captures: Captures, dice: Any) -> None:
    shuffled = [
        (at, replace(feed, records=tuple(dice.sample(feed.records, len(feed.records))))) for at, feed in captures
    ]
    assert taken(shuffled).steps == taken(captures).steps


@laws
@given(our.tilings(), st.lists(our.week, min_size=2, max_size=5))
def test_a_headline_that_moves_with_its_windows_is_no_step(
    windows: tuple[Override, ...], instants: list[datetime]
) -> None:
    assume(tiled_units(windows) == {"prompt", "completion"})
    timeline = Timeline()
    for at in sorted(instants):
        # the headline is the rate in force when it is asked for
        open_ = Pricing((), windows).rate_at("prompt", at)
        assert open_ is not None
        pricing = Pricing.of({"prompt": open_, "completion": open_}, windows)
        raw = str(open_).encode()
        timeline.take(Feed("all", (Record(Version(Model("a/b", pricing=pricing)), raw),), rows=1), at)
    assert len(timeline.steps["a/b"]) == 1


# --- by example

ONE, TWO = Model("a/one", output_modalities=("text",)), Model("a/one", name="Two", output_modalities=("text",))
IMAGE = Model("a/painter", output_modalities=("image",))


def lists(*models: Model, scope: Scope = "all") -> Feed:
    return Feed(scope, tuple(Record(Version(model), b"{}") for model in models), rows=len(models))


def step(hours: int, model: Model, is_listed: bool = True) -> tuple[datetime, Listing]:
    return T0 + hours * HOUR, Listing(Version(model), is_listed)


def hourly(*feeds: Feed) -> Captures:
    return [(T0 + hour * HOUR, feed) for hour, feed in enumerate(feeds)]


def test_a_model_comes_changes_goes_and_returns() -> None:
    timeline = taken(hourly(lists(), lists(ONE), lists(ONE), lists(TWO), lists(), lists(), lists(TWO)))
    assert timeline.steps == {"a/one": [step(1, ONE), step(3, TWO), step(4, TWO, False), step(6, TWO)]}
    assert timeline.listings == {"a/one": Listing(Version(TWO), True)}
    assert timeline.seen == {"a/one": T0 + 6 * HOUR}


def test_a_model_that_returns_otherwise_is_one_step() -> None:
    timeline = taken(hourly(lists(ONE), lists(), lists(TWO)))
    assert timeline.steps["a/one"] == [step(0, ONE), step(1, ONE, False), step(2, TWO)]


def test_what_a_text_feed_cannot_show_is_not_gone() -> None:
    timeline = taken(hourly(lists(ONE, IMAGE), lists(scope="text"), lists(ONE)))
    assert timeline.steps["a/one"] == [step(0, ONE), step(1, ONE, False), step(2, ONE)]
    assert timeline.steps["a/painter"] == [step(0, IMAGE), step(2, IMAGE, False)]


def test_what_cannot_be_read_is_neither_gone_nor_new() -> None:
    unreadable = replace(lists(), unreadable=(Unreadable(0, "a/one", "a test"),))
    nameless = replace(lists(), unreadable=(Unreadable(0, None, "a test"),))
    timeline = taken(hourly(lists(ONE, IMAGE), unreadable, nameless))
    assert timeline.steps == {
        "a/one": [step(0, ONE)], "a/painter": [step(0, IMAGE), step(1, IMAGE, False)]
    }  # fmt: skip
    assert taken(hourly(unreadable)).steps == {}


def test_a_feed_of_the_same_instant_takes_the_place_of_the_one_before() -> None:
    three = replace(ONE, name="Three")
    timeline = taken([(T0, lists(ONE)), (T0 + HOUR, lists(TWO)), (T0 + HOUR, lists(three))])
    assert timeline.steps["a/one"] == [step(0, ONE), step(1, three)]


def test_a_step_undone_in_the_same_instant_is_none() -> None:
    back = [(T0, lists(ONE)), (T0 + HOUR, lists(TWO)), (T0 + HOUR, lists(ONE))]
    timeline = taken(back)
    assert timeline.steps == {"a/one": [step(0, ONE)]}
    assert timeline.listings == {"a/one": Listing(Version(ONE), True)}
    again = taken([*back, (T0 + HOUR, lists(TWO))])
    assert again.steps["a/one"] == [step(0, ONE), step(1, TWO)]


def test_a_step_undone_in_the_same_instant_is_measured_from_what_was_before_the_first_feed() -> None:
    before = {"a/one": Listing(Version(ONE), True)}
    timeline = taken([(T0, lists(TWO)), (T0, lists(ONE))], before)
    assert timeline.steps.get("a/one", []) == []
    assert timeline.listings == before
    assert timeline.before("a/one") == before["a/one"]
    assert timeline.before("a/two") is None


def test_what_was_before_stays_what_it_was() -> None:
    before = {"a/one": Listing(Version(ONE), True)}
    timeline = taken([(T0, lists(TWO)), (T0 + HOUR, lists())], before)
    assert timeline.before("a/one") == Listing(Version(ONE), True)
    assert before == {"a/one": Listing(Version(ONE), True)}
    assert timeline.steps["a/one"] == [step(0, TWO), step(1, TWO, False)]


def test_other_bytes_of_the_same_content_are_no_step_but_the_newest_record() -> None:
    feeds = [Feed("all", (Record(Version(ONE), raw),), rows=1) for raw in (b"1", b"2")]
    timeline = taken(hourly(*feeds))
    assert timeline.steps["a/one"] == [step(0, ONE)]
    assert timeline.records["a/one"].raw == b"2"
    assert timeline.seen["a/one"] == T0 + HOUR


def test_a_price_is_a_step() -> None:
    dear = replace(ONE, pricing=Pricing.of({"prompt": Decimal(1)}))
    assert len(taken(hourly(lists(ONE), lists(dear), lists(ONE))).steps["a/one"]) == 3


def test_a_model_that_a_later_capture_of_the_instant_does_not_list_was_never_there() -> None:
    model = Model("a/one", output_modalities=("text",))
    first, second = Feed("all", (Record(Version(model), b"1"),), rows=1), Feed("all", (), rows=0)
    timeline = taken([(T0, first), (T0, second)])
    assert (timeline.listings, timeline.steps) == ({}, {"a/one": []})
    assert taken([(T0, second), (T0, first)]).listings["a/one"].is_listed
    assert not taken([(T0, first), (T0 + HOUR, second)]).listings["a/one"].is_listed
