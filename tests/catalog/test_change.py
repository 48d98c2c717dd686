"""What is news, once: transitions between values that stand, and what a flap leaves of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby, pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llmhive.catalog.change import FLAP, LISTED, Seen, Transition, all_of, steps
from llmhive.catalog.feed import Feed, Record, covers
from llmhive.catalog.model import Model, Reasoning, Version
from llmhive.catalog.pricing import Override, Pricing, tiled_units
from llmhive.catalog.timeline import Listing, Timeline, news
from tests.catalog import strategies as our
from tests.catalog.test_timeline import Captures, captured

laws = our.laws
T0 = datetime(2026, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
PRICE = "pricing.prompt"


def at_price(price: int, context: int = 1000) -> Listing:
    pricing = Pricing.of({"prompt": Decimal(price)})
    return Listing(Version(Model("a/b", output_modalities=("text",), context_length=context, pricing=pricing)), True)


def gone(listing: Listing) -> Listing:
    return replace(listing, is_listed=False)


def seen_at(times: Sequence[datetime]) -> Seen:
    """Every capture shows the model."""
    return lambda begin, end, in_text: any(begin < at < end for at in times)


class Shot(NamedTuple):
    """What one capture says of a model."""

    at: datetime
    listing: Listing | None  #: None: never seen so far


def changes(shots: Sequence[Shot]) -> list[Shot]:
    """The shots that say something else than the one before."""
    first = [shot for shot in shots[:1] if shot.listing is not None]
    return first + [two for one, two in pairwise(shots) if one.listing != two.listing]


def told(shots: Sequence[Shot]) -> list[Transition]:
    """The transitions after the first shot, which is where history begins."""
    since = changes(shots)[0 if shots[0].listing is None else 1 :]
    timeline = [(shot.at, shot.listing) for shot in since if shot.listing]
    return all_of("a/b", shots[0].listing, timeline, seen_at([shot.at for shot in shots]))


def confirmed(found: Sequence[Transition], times: Sequence[datetime]) -> list[Transition]:
    """Those that a second capture shows."""
    return [
        it for it in found if any(at > it.happened_at and (it.ended_at is None or at < it.ended_at) for at in times)
    ]


class Told(NamedTuple):
    """A row of the view ``change``."""

    what: str
    field: str
    before: Any
    after: Any
    at: datetime
    reverted_at: datetime | None = None


def is_news(shots: Sequence[Shot]) -> list[Told]:
    """What the view ``change`` shows."""
    known = confirmed(told(shots), [shot.at for shot in shots])
    found = []
    for it in known:
        if it.episode is not None:
            continue
        parts = [part for part in known if (part.field, part.episode) == (it.field, it.happened_at)]
        reverted_at = parts[-1].happened_at if parts and parts[-1].is_back else None
        found.append(Told(it.what, it.field, it.before, it.after, it.happened_at, reverted_at))
    return found


def hourly(*values: Any, hours: float = 6) -> list[Shot]:
    """A capture every so many hours; a number is a price."""
    listings = [at_price(value) if isinstance(value, int) else value for value in values]
    return [Shot(T0 + number * hours * HOUR, listing) for number, listing in enumerate(listings)]


def shown(found: Sequence[Transition | Told]) -> list[tuple[str, Any, Any, float]]:
    return [
        (it.field, it.before, it.after, ((it.at if isinstance(it, Told) else it.happened_at) - T0) / HOUR)
        for it in found
    ]


# --- laws over one field

gaps = st.sampled_from([1, 6, 12, 23, 24, 25, 100]).map(lambda hours: hours * HOUR)


@st.composite
def histories(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> list[tuple[datetime, Any]]:
    found, at = [], T0
    for value in draw(st.lists(values, min_size=1, max_size=10)):
        found.append((at, value))
        at += draw(gaps)
    return found


def priced(history: Sequence[tuple[datetime, int]]) -> list[Shot]:
    return [Shot(at, at_price(price)) for at, price in history]


class Stand(NamedTuple):
    """A value that stands: from the capture that showed it first."""

    value: Any
    at: datetime


def standing(history: Sequence[tuple[datetime, Any]]) -> list[Stand]:
    """The values that two captures in a row show, each once; the first of all stands by itself."""
    found = [Stand(history[0][1], history[0][0])]
    for value, some in groupby(history[1:], key=lambda it: it[1]):
        times = [at for at, _ in some]
        if len(times) > 1 and value != found[-1].value:
            found.append(Stand(value, times[0]))
    return found


def episodes(stands: Sequence[Stand]) -> list[tuple[Any, Any, datetime, datetime | None]]:
    """What a reader is told of values that stand one after the other: before, after, when, and when it was taken back.

    What goes back to the value before it within a day of the last step is not told, but it takes the last news back, or
    brings it again.
    """
    found: list[tuple[Any, Any, datetime, datetime | None]] = []
    for number in range(1, len(stands)):
        before, now = stands[number - 1], stands[number]
        is_flap = number > 1 and now.value == stands[number - 2].value and now.at - before.at < timedelta(days=1)
        if is_flap:
            was, becomes, at, back = found[-1]
            found[-1] = (was, becomes, at, now.at if back is None else None)
        else:
            found.append((before.value, now.value, now.at, None))
    return found


@laws
@given(histories(st.integers(1, 3)))
def test_news_are_the_values_that_stand_without_their_flaps(history: list[tuple[datetime, int]]) -> None:
    found = [(int(it.before), int(it.after), it.at, it.reverted_at) for it in is_news(priced(history))]
    assert found == episodes(standing(history))


@laws
@given(histories(st.integers(1, 2)))
def test_a_reader_of_the_news_knows_the_value_that_stands(history: list[tuple[datetime, int]]) -> None:
    known = str(history[0][1])
    for it in is_news(priced(history)):
        assert it.before == known
        known = it.before if it.reverted_at else it.after
    assert known == str(standing(history)[-1].value)


@laws
@given(histories(st.sampled_from([False, True])))
def test_coming_and_going_is_told_alike(history: list[tuple[datetime, bool]]) -> None:
    history = [(T0 - HOUR, False), *history]
    was_there, shots = False, []
    for at, is_listed in history:
        was_there = was_there or is_listed
        shots.append(Shot(at, Listing(at_price(1).version, is_listed) if was_there else None))
    found = is_news(shots)
    assert [(bool(it.before), it.after, it.at, it.reverted_at) for it in found] == episodes(standing(history))
    # a model is added once, when it first stands
    assert [it.what for it in found[:1]] == ["added"][: len(found)]
    assert all(it.what == ("returned" if it.after else "removed") and it.before is not None for it in found[1:])


@laws
@given(histories(st.tuples(st.integers(1, 3), st.integers(1, 3))))
def test_each_field_goes_its_own_way(history: list[tuple[datetime, tuple[int, int]]]) -> None:
    both = told([Shot(at, at_price(price, context)) for at, (price, context) in history])
    of_price = told([Shot(at, at_price(price)) for at, (price, _) in history])
    of_context = told([Shot(at, at_price(1, context)) for at, (_, context) in history])
    assert [it for it in both if it.field == PRICE] == of_price
    assert [it for it in both if it.field == "context_length"] == of_context
    assert len(both) == len(of_price) + len(of_context)


@laws
@given(histories(st.integers(1, 3)))
def test_at_most_one_transition_is_open_and_each_knows_what_it_follows(history: list[tuple[datetime, int]]) -> None:
    found = told(priced(history))
    assert sum(it.ended_at is None for it in found) <= 1
    by_time = {it.happened_at: it for it in found}
    for it in found:
        assert it.before != it.after
        assert it.ended_at is None or it.happened_at < it.ended_at
        if it.follows is not None:
            assert by_time[it.follows].after == it.before
        if it.episode is not None:
            first = by_time[it.episode]
            assert first.episode is None
            assert (first.before if it.is_back else first.after) == it.after
    assert not any(it.is_back for it in found if it.episode is None)


@laws
@given(our.tilings(), st.lists(our.week, min_size=2, max_size=5, unique=True))
def test_a_headline_that_moves_with_its_windows_is_no_change(
    windows: tuple[Override, ...], instants: list[datetime]
) -> None:
    assume(tiled_units(windows) == {"prompt", "completion"})
    shots = []
    for at in sorted(instants):
        # the headline is the rate in force when it is asked for
        open_ = Pricing((), windows).rate_at("prompt", at)
        assert open_ is not None
        pricing = Pricing.of({"prompt": open_, "completion": open_}, windows)
        shots.append(Shot(at, Listing(Version(Model("a/b", pricing=pricing)), True)))
    assert told(shots) == []


# --- step by step, as the store takes it, and over the whole timeline


def covering(captures: Captures) -> Callable[[bool], list[datetime]]:
    return lambda in_text: [at for at, feed in captures if in_text or feed.scope == "all"]


def incrementally(captures: Captures) -> list[Transition]:
    """Feed by feed: what is known is what was said so far."""
    listings: dict[str, Listing] = {}
    past: dict[str, dict[str, dict[datetime, Transition]]] = {}
    for number, (at, feed) in enumerate(captures):
        times = covering(captures[:number])
        found = news(listings, feed)

        def seen(
            begin: datetime, end: datetime, in_text: bool, times: Callable[[bool], list[datetime]] = times
        ) -> bool:
            return max(times(in_text), default=begin) > begin

        for model_id, listing in found.items():
            before = listings.get(model_id)
            # no feed before this one could show it: it was there all the time
            if before is None and not times(covers("text", listing.version.model)):
                continue
            mine = past.setdefault(model_id, {})
            for it in list(steps(model_id, before, listing, at, mine, seen)):
                mine.setdefault(it.field, {})[it.happened_at] = it
        listings |= found
    return [it for mine in past.values() for there in mine.values() for it in there.values()]


def at_once(captures: Captures) -> list[Transition]:
    """Over whole timelines, when all captures are known."""
    timeline, times = Timeline(), covering(captures)
    for at, feed in captures:
        timeline.take(feed, at)

    def seen(begin: datetime, end: datetime, in_text: bool) -> bool:
        known = times(in_text)
        position = bisect_right(known, begin)
        return position < len(known) and known[position] < end

    found: list[Transition] = []
    for model_id, its in timeline.steps.items():
        at, first = its[0]
        could_show = times(covers("text", first.version.model))
        if not could_show or could_show[0] >= at:
            found += all_of(model_id, first, its[1:], seen)
        else:
            found += all_of(model_id, None, its, seen)
    return found


@laws
@given(captured(distinct=True))
def test_step_by_step_is_the_same_as_over_the_whole_timeline(captures: Captures) -> None:
    assert sorted(incrementally(captures), key=repr) == sorted(at_once(captures), key=repr)


@laws
@given(histories(st.integers(1, 2)))
def test_step_by_step_is_the_same_where_one_model_flaps(history: list[tuple[datetime, int]]) -> None:
    captures = [
        (at, Feed("all", (Record(at_price(price).version, b"{}"),), rows=1)) for at, price in history
    ]  # fmt: skip
    assert sorted(incrementally(captures), key=repr) == sorted(at_once(captures), key=repr)
    assert at_once(captures) == told(priced(history))


# --- by example: a letter is the price that a capture shows


@pytest.mark.parametrize(
    ("hours", "captures", "told_"),
    [
        (6, "AAB", []), (6, "AABB", ["AB"]), (6, "AABAA", []), (6, "ABCC", ["AC"]), (6, "ABCAA", []),
        (6, "ABBABBBB", ["AB"]), (2, "ABBAABBBB", ["AB"]), (2, "ABBABAAA", ["AB-"]), (6, "ABBACC", ["AB", "BC"]),
        (2, "ABBAABBAA", ["AB-"]), (2, "ABBAACC", ["AB-", "AC"]), (24, "ABBAA", ["AB", "BA"]),
        (12, "ABBAA", ["AB", "BA"]), (11.9, "ABBAA", ["AB-"]), (24, "ABBAABB", ["AB", "BA", "AB"]),
        (1, "ABBCCBB", ["AB", "BC-"]), (1, "ABBBA", ["AB"]),
    ],
)  # fmt: skip
def test_what_a_reader_is_told(hours: float, captures: str, told_: list[str]) -> None:
    found = is_news(hourly(*(ord(letter) for letter in captures), hours=hours))
    assert [f"{chr(int(it.before))}{chr(int(it.after))}{'-' if it.reverted_at else ''}" for it in found] == told_


def test_a_change_nobody_confirmed_is_ended_and_measured_from_what_stood() -> None:
    assert told(hourly(1, 2, 3, 3)) == [
        Transition("a/b", "repriced", PRICE, "1", "2", T0 + 6 * HOUR, True, ended_at=T0 + 12 * HOUR),
        Transition("a/b", "repriced", PRICE, "1", "3", T0 + 12 * HOUR, True),
    ]


def test_what_stood_goes_on_after_a_glitch() -> None:
    stands, glitch = told(hourly(1, 2, 2, 3, 2, 2))
    assert stands == Transition("a/b", "repriced", PRICE, "1", "2", T0 + 6 * HOUR, True)
    assert (glitch.before, glitch.after, glitch.ended_at, glitch.follows) == (
        "2", "3", T0 + 24 * HOUR, T0 + 6 * HOUR
    )  # fmt: skip


def test_the_way_back_is_part_of_the_episode() -> None:
    there, back = told(hourly(1, 2, 2, 1, 1))
    assert there == Transition("a/b", "repriced", PRICE, "1", "2", T0 + 6 * HOUR, True, T0 + 18 * HOUR)
    assert back == Transition(
        "a/b", "repriced", PRICE, "2", "1", T0 + 18 * HOUR, True, follows=there.happened_at,
        episode=there.happened_at, is_back=True,
    )  # fmt: skip
    assert timedelta(days=1) == FLAP


def test_confirmed_is_what_a_capture_between_shows_the_first_and_the_end_excluded() -> None:
    asked: list[tuple[datetime, datetime, bool]] = []

    def seen(begin: datetime, end: datetime, in_text: bool) -> bool:
        asked.append((begin, end, in_text))
        return True

    last = Transition("a/b", "repriced", PRICE, "1", "2", T0, in_text=False)
    ended, begun = steps("a/b", at_price(2), at_price(3), T0 + HOUR, {PRICE: {T0: last}}, seen)
    # of the model as it was then, not as it is now
    assert asked == [(T0, T0 + HOUR, False)]
    assert ended == replace(last, ended_at=T0 + HOUR)
    assert (begun.in_text, begun.follows) == (True, T0)


def never(begin: datetime, end: datetime, in_text: bool) -> bool:
    raise AssertionError("nothing to confirm")


def test_a_first_step_begins_one_and_ends_none() -> None:
    (begun,) = steps("a/b", at_price(1), at_price(2), T0, {}, never)
    assert begun == Transition("a/b", "repriced", PRICE, "1", "2", T0, in_text=True)


def test_an_open_transition_of_another_field_stays_open() -> None:
    other = Transition("a/b", "limits", "context_length", 1, 1000, T0, in_text=True)
    (begun,) = steps("a/b", at_price(1), at_price(2), T0 + HOUR, {"context_length": {T0: other}}, never)
    assert begun.field == PRICE


def test_a_model_whose_first_listing_is_none_is_no_news() -> None:
    assert list(steps("a/b", None, gone(at_price(1)), T0, {}, never)) == []


def test_a_model_is_added_removed_and_returns() -> None:
    one = at_price(1)
    days = hourly(None, one, one, gone(one), gone(one), one, one, hours=20)
    assert [(it.what, it.before, it.after, it.at) for it in is_news(days)] == [
        ("added", None, True, T0 + 20 * HOUR),
        ("removed", True, False, T0 + 60 * HOUR),
        ("returned", False, True, T0 + 100 * HOUR),
    ]
    assert {(it.field, it.model_id, it.in_text) for it in told(days)} == {(LISTED, "a/b", True)}


def test_a_model_that_is_gone_for_less_than_a_day_is_one_news_taken_back() -> None:
    one = at_price(1)
    (removed,) = is_news(hourly(one, gone(one), gone(one), one, one))
    assert (removed.what, removed.reverted_at) == ("removed", T0 + 18 * HOUR)


def test_a_model_that_shows_up_once_is_no_news() -> None:
    one = at_price(1)
    shots = hourly(None, one, gone(one), gone(one), gone(one))
    assert told(shots) == [Transition("a/b", "added", LISTED, None, True, T0 + 6 * HOUR, True, ended_at=T0 + 12 * HOUR)]
    assert is_news(shots) == []


@pytest.mark.parametrize("absent", [1, 2, 9])
def test_a_model_that_shows_up_once_and_comes_again_is_added_once(absent: int) -> None:
    one = at_price(1)
    shots = hourly(None, one, *[gone(one)] * absent, one, one)
    assert is_news(shots) == [Told("added", LISTED, None, True, shots[-2].at)]


def test_a_model_that_was_added_once_returns_from_then_on() -> None:
    one = at_price(1)
    shots = hourly(None, one, gone(one), one, one, gone(one), gone(one), one, one, hours=20)
    assert [(it.what, it.before) for it in is_news(shots)] == [("added", None), ("removed", True), ("returned", False)]


def test_what_changed_while_a_model_was_gone_is_told_when_it_returns() -> None:
    found = is_news(hourly(at_price(1), gone(at_price(1)), gone(at_price(1)), at_price(2), at_price(2), hours=24))
    assert [(it.what, it.field) for it in found] == [
        ("removed", LISTED), ("returned", LISTED), ("repriced", PRICE)
    ]  # fmt: skip


def test_going_is_no_other_change() -> None:
    other = Listing(Version(replace(at_price(2).version.model, context_length=7)), False)
    assert [it.what for it in told(hourly(1, other))] == ["removed"]


IMAGE = Listing(Version(Model("a/b", output_modalities=("image",))), True)


@pytest.mark.parametrize(("listing", "in_text"), [(IMAGE, False), (at_price(1), True)])
def test_a_transition_knows_which_captures_show_its_model(listing: Listing, in_text: bool) -> None:
    (begun,) = steps("a/b", None, listing, T0, {}, never)
    assert begun == Transition("a/b", "added", LISTED, None, True, T0, in_text)


BARE = Model("a/b", output_modalities=("text",))


@pytest.mark.parametrize(
    ("fields", "what", "field", "before", "after"),
    [
        ({"context_length": 5}, "limits", "context_length", None, 5),
        ({"max_completion_tokens": 5}, "limits", "max_completion_tokens", None, 5),
        ({"per_request_limits": (("prompt_tokens", 5),)}, "limits", "per_request_limits", {}, {"prompt_tokens": 5}),
        ({"input_modalities": ("text",)}, "capabilities", "input_modalities", [], ["text"]),
        ({"output_modalities": ()}, "capabilities", "output_modalities", ["text"], []),
        ({"supported_parameters": ("seed",)}, "capabilities", "supported_parameters", [], ["seed"]),
        ({"expiration_date": date(2026, 6, 1)}, "expiry", "expiration_date", None, "2026-06-01"),
        ({"alias_target": "x"}, "alias", "alias_target", None, "x"),
        ({"pricing": Pricing.of({"image": Decimal("0.10")})}, "repriced", "pricing.image", None, "0.1"),
        (
            {"pricing": Pricing((), (Override((("min_prompt_tokens", 5),), (("prompt", Decimal(1)),)),))},
            "repriced", "pricing.overrides", None, [{"when": {"min_prompt_tokens": 5}, "rates": {"prompt": "1"}}],
        ),
    ],
)  # fmt: skip
def test_what_can_be_news(fields: dict[str, Any], what: str, field: str, before: Any, after: Any) -> None:
    now = Listing(Version(replace(BARE, **fields)), True)
    (begun,) = steps("a/b", Listing(Version(BARE), True), now, T0, {}, never)
    assert (begun.what, begun.field, begun.before, begun.after) == (what, field, before, after)


def test_reasoning_is_a_capability() -> None:
    now = Listing(Version(replace(BARE, reasoning=Reasoning())), True)
    (begun,) = steps("a/b", Listing(Version(BARE), True), now, T0, {}, never)
    assert (begun.what, begun.field, begun.before) == ("capabilities", "reasoning", None)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "x"}, {"description": "x"}, {"canonical_slug": "x"}, {"created_at": T0}, {"tokenizer": "x"},
        {"top_context_length": 5}, {"is_moderated": True}, {"supported_voices": ("x",)}, {"instruct_type": "x"},
        {"default_parameters": (("top_k", 1),)}, {"hugging_face_id": "x"}, {"knowledge_cutoff": "x"},
    ],
)  # fmt: skip
def test_what_is_no_news_to_anybody(fields: dict[str, Any]) -> None:
    now = Listing(Version(replace(BARE, **fields)), True)
    assert list(steps("a/b", Listing(Version(BARE), True), now, T0, {}, never)) == []


def test_one_step_may_be_several_news() -> None:
    now = replace(at_price(2, context=5), is_listed=True)
    found = list(steps("a/b", gone(at_price(1)), now, T0, {}, never))
    assert [it.field for it in found] == [LISTED, "context_length", PRICE]


def test_transitions_are_told_in_the_order_in_which_they_began() -> None:
    shots = [
        Shot(T0, at_price(1, 1)), Shot(T0 + HOUR, at_price(2, 2)), Shot(T0 + 50 * HOUR, at_price(3, 2)),
        Shot(T0 + 99 * HOUR, at_price(3, 3)),
    ]  # fmt: skip
    assert [(it.field, it.after) for it in told(shots)] == [
        ("context_length", 2), (PRICE, "2"), (PRICE, "3"), ("context_length", 3),
    ]  # fmt: skip
