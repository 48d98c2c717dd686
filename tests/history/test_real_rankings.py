"""The real captures of the daily rankings through decode → store → rankings, against plain dictionaries."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from llmhive.app.openrouter import decode_rankings
from llmhive.app.openrouter.archive import captured
from llmhive.catalog import counting, derived
from llmhive.catalog.ranking import Join, Ranking, faults
from llmhive.store import rankings
from llmhive.store.database import Database
from tests.support import dump, shared_folder

#: day → slug → tokens, as captured
Days = dict[str, dict[str, int]]
NO_JOIN = Join([])

pytestmark = [pytest.mark.history, pytest.mark.long]


class Capture(NamedTuple):
    at: datetime
    days: Days

    @property
    def body(self) -> bytes:
        """As OpenRouter serves it."""
        data = [
            {"date": day, "model_permaslug": slug, "total_tokens": str(tokens)}
            for day, by_slug in self.days.items()
            for slug, tokens in by_slug.items()
        ]
        meta = {
            "as_of": self.at.strftime("%Y-%m-%dT%H:%M:%S.000Z"), "version": "v1", "start_date": min(self.days),
            "end_date": max(self.days),
        }  # fmt: skip
        return json.dumps({"data": data, "meta": meta}).encode()

    @property
    def first(self) -> date:
        return date.fromisoformat(min(self.days))

    @property
    def last(self) -> date:
        return date.fromisoformat(max(self.days))


@lru_cache(maxsize=1)
def read(path: Path) -> list[Capture]:
    found = []
    for it in captured(path):
        days: Days = {}
        for row in json.loads(it.content)["daily"]:
            days.setdefault(row["d"], {})[row["m"]] = row["t"]
        found.append(Capture(it.at, days))
    return sorted(found)


@pytest.fixture
def captures() -> list[Capture]:
    found = read(shared_folder() / "data" / "rankings" / "rankings-daily.tar.zst")
    assert len(found) == 80
    return found


def take(database: Database, capture: Capture) -> rankings.Kept:
    first, last = capture.first, capture.last
    counted = decode_rankings.tokens(capture.body, asked_from=first, asked_to=last)
    assert (counted.faults, counted.incomplete) == ((), frozenset())
    assert (counted.start, counted.end) == (first, last)
    with database.write() as connection:
        return rankings.keep_tokens(
            connection, "overall", "day", counted, at=capture.at, asked_from=first, asked_to=last
        )


def stored(database: Database, since: date, known_at: datetime | None = None) -> Days:
    days: Days = {}
    with database.read() as connection:
        for it in rankings.tokens(connection, "overall", "day", since, known_at=known_at):
            days.setdefault(it.begins.isoformat(), {})[it.slug] = it.tokens
    return days


def test_every_capture_is_kept_and_can_be_had_again(
    captures: list[Capture], database: Database, database_url: str
) -> None:
    kept = []
    for before, capture in zip([None, *captures], captures, strict=False):
        rows = dump(database_url) if before is not None and before.days == capture.days else None
        kept.append(take(database, capture))
        assert stored(database, capture.first) == capture.days
        if rows is not None:
            now = dump(database_url)
            assert {name for name in now if now[name] != rows[name]} == {"token_period"}
    expected = [changes(before, capture) for before, capture in zip([None, *captures], captures, strict=False)]
    assert kept == expected
    # what history the captures have: repeats, and figures restated
    assert kept.count(rankings.Kept(0, 0, 0)) == 35
    assert sum(it.restated for it in kept) == 29
    for capture in captures:
        until = capture.last.isoformat()
        found = stored(database, capture.first, known_at=capture.at)
        assert {day: by_slug for day, by_slug in found.items() if day <= until} == capture.days
        # and nothing of later days was known then
        assert max(found) == until


def changes(before: Capture | None, after: Capture) -> rankings.Kept:
    """What one capture says otherwise than the one before it, counted by hand."""
    old = {(day, slug): n for day, them in (before.days if before else {}).items() for slug, n in them.items()}
    new = {(day, slug): n for day, them in after.days.items() for slug, n in them.items()}
    return rankings.Kept(
        new=len(new.keys() - old.keys()),
        restated=sum(old[key] != new[key] for key in old.keys() & new.keys()),
        gone=sum(key[0] in after.days for key in old.keys() - new.keys()),
    )


def test_only_what_is_not_final_is_asked_for_again(captures: list[Capture], database: Database) -> None:
    """By the rule every restatement is still asked for, and a day is not asked for longer than needed."""
    for before, capture in zip([None, *captures], captures, strict=False):
        with database.read() as connection:
            fetched = rankings.fetched(connection, "overall", "day")
        asked_from = counting.unsettled(fetched, counting.last_day(capture.at))
        if before is not None:
            restated = [
                day for day in before.days.keys() & capture.days.keys() if before.days[day] != capture.days[day]
            ]
            assert all(date.fromisoformat(day) >= asked_from for day in restated)
        take(database, capture)
    # five weeks are asked for, of which the first captures told 30 days; since then all is known
    assert (captures[-1].last - asked_from).days + 1 == 5


# --- rankings


def names(days: Days, first: date, last: date) -> Counter[str]:
    """Tokens by slug without its variant."""
    total: Counter[str] = Counter()
    for day in span(first, last):
        for slug, tokens in days.get(day, {}).items():
            total[slug.split(":")[0]] += tokens
    return total


def span(first: date, last: date) -> Iterator[str]:
    while first <= last:
        yield first.isoformat()
        first += timedelta(days=1)


def expected(days: Days, last: date, length: int) -> list[tuple[str, int, int, int | None]]:
    """Slug, tokens, millionths of the share, rank a week before."""
    week = timedelta(days=7)
    now = names(days, last - timedelta(days=length - 1), last)
    before = names(days, last - timedelta(days=length - 1) - week, last - week)
    all_of_it = sum(now.values())
    now.pop("other")
    before.pop("other", None)
    was = [slug for slug, _ in sorted(before.items(), key=lambda it: (-it[1], it[0]))][:50]
    return [
        (slug, tokens, tokens * 10**6 // all_of_it, was.index(slug) + 1 if slug in was else None)
        for slug, tokens in sorted(now.items(), key=lambda it: (-it[1], it[0]))[:50]
    ]


def made(ranking: Ranking) -> list[tuple[str, int, int, int | None]]:
    assert faults(ranking, set()) == []
    found = []
    for it in ranking.ranks:
        assert it.tokens is not None
        assert it.share is not None
        found.append((it.slug, it.tokens, int(it.share * 10**6), it.previous_rank))
    return found


def by_author(days: Days) -> Days:
    found: Days = {}
    for day, by_slug in days.items():
        sums = found.setdefault(day, {})
        for slug, tokens in by_slug.items():
            author = slug.split("/")[0]
            sums[author] = sums.get(author, 0) + tokens
    return found


def trending(days: Days, last: date) -> dict[str, float]:
    """Growth of the medians, by floats: fast and good to ten digits."""
    weeks = [list(span(last - timedelta(days=back + 6), last - timedelta(days=back))) for back in (0, 7)]
    figures: list[dict[str, list[int]]] = []
    for week in weeks:
        by_name: dict[str, list[int]] = {}
        for day in week:
            merged: Counter[str] = Counter()
            for slug, tokens in days.get(day, {}).items():
                merged[slug.split(":")[0]] += tokens
            for name, tokens in merged.items():
                by_name.setdefault(name, []).append(tokens)
        figures.append(by_name)
    now, before = figures
    total = sum(sum(it) for it in now.values())
    found = {}
    for name, daily in now.items():
        if name == "other" or len(daily) < 5 or len(before.get(name, ())) < 5 or sum(daily) * 1000 < total:
            continue
        growth = statistics.median(daily) / statistics.median(before[name]) - 1
        if growth > 0.1:
            found[name] = growth
    return found


def test_rankings_of_the_captures_equal_a_plain_reckoning(captures: list[Capture], database: Database) -> None:
    known: Days = {}
    trended = 0
    for capture in captures:
        take(database, capture)
        known |= capture.days
        last = counting.last_day(capture.at)
        assert last == capture.last
        with database.read() as connection:
            counts = rankings.tokens(connection, "overall", "day", last - timedelta(days=counting.HISTORY_DAYS - 1))
        told: dict[str, Any] = {"until": last, "as_of": "x"}
        assert made(counting.leaderboard(counts, NO_JOIN, **told)) == expected(known, last, 7)
        window = {day: known[day] for day in span(last - timedelta(days=34), last) if day in known}
        assert made(counting.most_used(counts, NO_JOIN, **told)) == expected(window, last, 28)
        assert made(counting.market_share(counts, **told)) == expected(by_author(known), last, 7)
        found = derived.trending(counts, [], **told)
        wanted = trending(known, last)
        assert [it.slug for it in found.ranks] == sorted(wanted, key=lambda slug: (-wanted[slug], slug))
        assert [float(it.score or 0) for it in found.ranks] == pytest.approx(
            sorted(wanted.values(), reverse=True), abs=1e-6
        )
        trended += len(found.ranks)
    assert trended > 5 * len(captures)


def test_growth_and_trend_are_of_whole_weeks(captures: list[Capture]) -> None:
    capture = captures[-1]
    counted = decode_rankings.tokens(capture.body, asked_from=capture.first, asked_to=capture.last)
    board = counting.leaderboard(counted.rows, NO_JOIN, until=capture.last, as_of=None)
    weeks = [
        names(capture.days, capture.last - timedelta(days=back + 6), capture.last - timedelta(days=back))
        for back in (21, 14, 7, 0)
    ]
    named = Counter(
        slug
        for day in span(capture.last - timedelta(days=13), capture.last)
        for slug in {it.split(":")[0] for it in capture.days[day]}
    )
    grew = 0
    for it in board.ranks:
        assert it.trend == tuple(week.get(it.slug) for week in weeks)
        if named[it.slug] == 14:
            assert float(it.growth or 0) == pytest.approx(weeks[3][it.slug] / weeks[2][it.slug] - 1, abs=1e-6)
            grew += 1
        else:
            assert it.growth is None
    assert 30 < grew < 50
    assert board.facts["partial"] == {
        it.slug: on
        for it in board.ranks
        if (on := sum(
            it.slug in {slug.split(":")[0] for slug in capture.days[day]}
            for day in span(capture.last - timedelta(days=6), capture.last)
        )) < 7
    }  # fmt: skip


def test_a_capture_is_complete_up_to_the_day_before(captures: list[Capture]) -> None:
    # what `last_day` says is what OpenRouter serves, also an hour and a half after midnight
    assert {capture.last == counting.last_day(capture.at) for capture in captures} == {True}
    assert min((capture.at - datetime.combine(capture.at.date(), datetime.min.time(), UTC)) for capture in captures) < (
        timedelta(hours=2)
    )
