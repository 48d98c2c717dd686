"""What a quality comes to: its pieces one by one, all at once as columns, and what must be true of it."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.catalog.dimension import CATEGORIES
from llmhive.catalog.need import TASKS as NAMES
from llmhive.catalog.quality import PRIOR, TASKS, Piece, blended, columns, mark_of_rank, pieces, task_of
from llmhive.catalog.selectable import Evidence
from llmhive.errors import UsageError

IDS = ("a/one", "a/two", "b/three")
METRICS = ("intelligence_index", "coding_index", "agentic_index", "elo:models:website", "elo:models:3d", "elo:agents:x")
figures = st.dictionaries(st.sampled_from(METRICS), st.integers(0, 1400).map(lambda it: it / 4), max_size=6)


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    measures = {it: draw(figures) for it in IDS if draw(st.booleans())}
    ranks, sizes = {}, {}
    for name in ("leaderboard", "programming", "legal"):
        if draw(st.booleans()):
            places = draw(st.permutations(range(1, 51)))
            ranks[name] = {it: place for it, place in zip(IDS, places, strict=False) if draw(st.booleans())}
            sizes[name] = draw(st.integers(max(ranks[name].values(), default=1), 50))
    return Evidence(measures, ranks, sizes)


@given(evidences())
def test_columns_have_what_the_pieces_come_to(evidence: Evidence) -> None:
    found = columns(evidence, IDS)
    assert found.keys() == TASKS.keys()
    for name, task in TASKS.items():
        wanted = [blended(pieces(evidence, it, task)) for it in IDS]
        assert found[name].tolist() == pytest.approx(wanted, abs=1e-15)
        assert all(0 <= it <= 1 for it in wanted)


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(1, 100)), max_size=5))
def test_the_blend_is_the_weighted_mean_with_one_low_piece_more(found: list[tuple[int, int]]) -> None:
    total = Fraction(2, 10) * Fraction(1, 10) + sum(Fraction(w, 100) * Fraction(x, 100) for x, w in found)
    whole = Fraction(2, 10) + sum(Fraction(w, 100) for _, w in found)
    told = [Piece("coding_index", x, x / 100, w / 100) for x, w in found]
    assert blended(told) == pytest.approx(float(total / whole), abs=1e-12)


def test_nothing_known_is_the_prior_and_not_zero() -> None:
    assert blended([]) == pytest.approx(PRIOR)
    assert pieces(Evidence({}, {}, {}), "a/one", TASKS[None]) == []


@pytest.mark.parametrize(("name", "benchmark"), [("programming", "coding_index"), ("agentic", "agentic_index")])
def test_a_task_has_its_benchmark_first(name: str, benchmark: str) -> None:
    told = {"intelligence_index": 50.0, "coding_index": 70.0, "agentic_index": 40.0}
    found = pieces(Evidence({"a/one": told}, {}, {}), "a/one", TASKS[name])
    assert [(it.what, it.weight) for it in found] == [(benchmark, 0.55), ("intelligence_index", 0.25)]
    assert found[0].mark == told[benchmark] / 100


def test_elo_stands_in_only_where_there_is_no_index() -> None:
    elo = {"elo:models:website": 1335.0, "elo:models:3d": 1335.0, "elo:agents:x": 100.0}
    (alone,) = pieces(Evidence({"a/one": elo}, {}, {}), "a/one", TASKS[None])
    assert (alone.what, alone.value, alone.mark, alone.weight) == ("elo", 1335.0, 0.5, 0.4)
    (found,) = pieces(Evidence({"a/one": {**elo, "intelligence_index": 30.0}}, {}, {}), "a/one", TASKS[None])
    assert (found.what, found.weight) == ("intelligence_index", 0.8)


def test_ranks_are_worth_less_the_lower_they_are_and_who_is_not_named_comes_after_the_last() -> None:
    marks = [mark_of_rank(rank) for rank in range(1, 60)]
    assert marks[0] == 0.6
    assert marks == sorted(marks, reverse=True)
    assert marks[50:] == [pytest.approx(0.2)] * 9
    evidence = Evidence({}, {"leaderboard": {"a/one": 20}}, {"leaderboard": 20})
    (named,), (unnamed,) = (pieces(evidence, it, TASKS[None]) for it in ("a/one", "a/two"))
    assert (named.what, unnamed.what) == ("rank", "unranked")
    assert named.mark > unnamed.mark == mark_of_rank(21)


@given(evidences(), st.sampled_from(sorted(TASKS, key=str)), st.sampled_from(METRICS[:3]))
def test_a_better_figure_never_lowers_it(evidence: Evidence, name: str | None, metric: str) -> None:
    def quality(value: float) -> float:
        measures = {**evidence.measures, "a/one": {**evidence.measures.get("a/one", {}), metric: value}}
        return blended(pieces(evidence._replace(measures=measures), "a/one", TASKS[name]))

    found = [quality(value) for value in (0.0, 10.0, 55.5, 100.0, 140.0)]
    assert found == sorted(found)


def test_tasks_have_one_list_of_names() -> None:
    assert set(TASKS) == {None, *NAMES} == {None, "agentic", *CATEGORIES}
    with pytest.raises(UsageError, match="there is no task 'knitting': choose one of agentic, programming"):
        task_of("knitting")
