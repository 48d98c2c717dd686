"""The gate over two years of real captures: nothing real is held as a run, and what was held deserved a second look.

Run with ``-rP`` to see what was held and the real maxima.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest

from llmhive.app.openrouter import bootstrap
from llmhive.app.openrouter.decode import DECODER, decode
from llmhive.catalog.diff import Belief, diff
from llmhive.catalog.feed import Feed, Record, Scope
from llmhive.catalog.gate import Before, Limits, Verdict, judge
from llmhive.store import catalog, runs, versions
from llmhive.store.database import Database
from tests import oracle
from tests.history.faults import Live, fresh
from tests.history.test_real_captures import Watch, rates
from tests.support import captures

pytestmark = [pytest.mark.history, pytest.mark.long, pytest.mark.timeout(900)]

Kind = Literal["history-12h", "all-modalities-daily"]
SCOPES: dict[Kind, Scope] = {"history-12h": "text", "all-modalities-daily": "all"}
AWAY = (30, 60, 90, 180)
#: Every how manieth capture someone goes away.
FROM_EVERY = 20


# --- every step


@dataclass
class Waiting:
    """One value that was held, and how that ended; read from the bodies, not from what LLMHive says of them."""

    model_id: str
    field: str
    before: Decimal | int | None
    after: Decimal | int | None
    at: datetime
    rule: str
    ended: str = "still waiting"
    until: datetime | None = None

    def __str__(self) -> str:
        when = "" if self.until is None else f" at {self.until:%Y-%m-%d %H:%M}"
        values = " → ".join("none" if it is None else f"{Decimal(it):f}" for it in (self.before, self.after))
        return f"{self.at:%Y-%m-%d %H:%M}  {self.model_id}  {self.field}: {values}  {self.ended}{when}"


def served(record: oracle.Row, field: str) -> Decimal | int | None:
    """A field that was held, as a record says it."""
    if field == "context_length":
        length: int | None = record[field]
        return length
    return rates(record).get(field.removeprefix("pricing."))


class Diary:
    """What was held, and what became of it."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[str, str], Waiting] = {}
        self.done: list[Waiting] = []

    def write(self, at: datetime, listed: Mapping[str, oracle.Row], believed: Mapping[str, oracle.Row],
              verdicts: Sequence[Verdict]) -> None:  # fmt: skip
        """The next body; `believed` is what was believed before it."""
        said = {(it.model_id, it.field): it for it in verdicts if it.model_id and it.field}
        for key, it in list(self.waiting.items()):
            if it.model_id not in listed:
                continue
            now = served(listed[it.model_id], it.field)
            if now == it.after:
                # the second capture to say so: this, and only this, is how a value is believed
                assert said[key].outcome == "released", it
                self._end(key, "confirmed", at)
            else:
                self._end(key, "went back" if now == it.before else "changed again", at)
        for (model_id, field), verdict in said.items():
            if verdict.outcome == "held":
                assert model_id is not None
                assert field is not None
                values = served(believed[model_id], field), served(listed[model_id], field)
                self.waiting[model_id, field] = Waiting(model_id, field, *values, at, verdict.rule)

    def _end(self, key: tuple[str, str], ended: str, at: datetime) -> None:
        it = self.waiting.pop(key)
        it.ended, it.until = ended, at
        self.done.append(it)


@dataclass
class Step:
    """How two captures differ, in percent of the models listed before."""

    removed: float
    repriced: float
    fallen: float
    context_lost: float


def step(before: Mapping[str, oracle.Row], after: Mapping[str, oracle.Row]) -> Step:
    both = [(before[key], after[key]) for key in before.keys() & after.keys()]
    priced = [(old, new) for old, new in both if old["pricing"] != new["pricing"]]
    return Step(
        *(
            100 * count / len(before)
            for count in (
                len(before.keys() - after.keys()),
                sum(_prices(old) != _prices(new) for old, new in priced),
                sum(_fell(old, new) for old, new in priced),
                sum(bool(old["context_length"] and not new["context_length"]) for old, new in both),
            )
        )
    )


def _prices(record: oracle.Row) -> tuple[dict[str, Decimal], Any]:
    return rates(record), record["pricing"].get("overrides") or []


def _fell(before: oracle.Row, after: oracle.Row) -> bool:
    if after["id"].endswith(":free"):
        return False
    old, new = rates(before), rates(after)
    return any(old[unit] > 0 and 0 <= 10 * new[unit] < old[unit] for unit in ("prompt", "completion"))


def replay(
    database: Database, taken_from: Iterable[tuple[datetime, bytes]], scope: Scope
) -> tuple[Diary, list[tuple[datetime, Step]], Counter[str]]:
    """Every capture as a live sync of its own; the catalog after it is the body, but for what is held.

    Where nothing is held the catalog is looked at now and then only: `walk` compares every step.
    """
    live, diary, watch = Live(database), Diary(), Watch()
    steps: list[tuple[datetime, Step]] = []
    outcomes: Counter[str] = Counter()
    before: dict[str, oracle.Row] = {}
    for at, body in taken_from:
        taken = live.take(at, body, scope)
        listed = oracle.records(body)
        whole = [it for it in taken.judgement.verdicts if it.model_id is None]
        assert taken.status in {"completed", "unchanged"}, f"at {at}: {taken.judgement.why}"
        assert all((it.rule, it.outcome) == ("repeat", "flagged") for it in whole), whole
        outcomes.update(f"{it.rule} {it.outcome}" for it in taken.judgement.verdicts)
        diary.write(at, listed, dict(watch.believing.rows), taken.judgement.verdicts)
        was_held = bool(watch.believing.held)
        watch.believing.take(listed, at)
        if was_held or watch.believing.held or len(steps) % 20 == 0:
            with database.read() as connection:
                wrong = watch.differences(connection, listed)
            assert not wrong, f"at {at}: {wrong[:5]}"
        if before:
            steps.append((at, step(before, listed)))
        before = listed
    return diary, steps, outcomes


def tell(diary: Diary, steps: list[tuple[datetime, Step]], outcomes: Counter[str]) -> None:
    held = sorted([*diary.done, *diary.waiting.values()], key=lambda it: (it.at, it.model_id, it.field))
    print(f"{len(steps)} steps; held values: {len(held)}, of {len({it.model_id for it in held})} models")
    print(f"how they ended: {dict(Counter(it.ended for it in held))}")
    print(f"verdicts: {dict(outcomes)}")
    for it in held:
        print(it)
    for name in ("removed", "repriced", "fallen", "context_lost"):
        at, most = max(((at, getattr(it, name)) for at, it in steps), key=lambda found: found[1])
        print(f"largest step, {name}: {most:.2f} % at {at:%Y-%m-%d %H:%M}")


def check(diary: Diary, steps: list[tuple[datetime, Step]]) -> None:
    """No rule came near, and each held value was a glitch or a fall that stood."""
    limits = Limits()
    for at, found in steps:
        assert found.removed <= limits.removal_percent, at
        assert found.repriced <= limits.repriced_percent, at
        assert found.fallen <= limits.falling_percent, at
        assert found.context_lost <= limits.context_percent, at
    assert not diary.waiting
    assert {it.ended for it in diary.done} <= {"confirmed", "went back", "changed again"}
    for it in diary.done:
        assert it.until is not None
        # a glitch: only one capture said so
        assert it.ended == "confirmed" or it.until - it.at <= timedelta(days=1), it


def test_no_real_step_is_held_and_every_held_value_was_a_glitch_or_a_fall_that_stood(tmp_path: Path) -> None:
    with fresh(tmp_path, "history") as database:
        diary, steps, outcomes = replay(database, captures("history-12h"), "text")
    tell(diary, steps, outcomes)
    check(diary, steps)
    assert len(steps) == 1062
    assert outcomes["repeat flagged"] == 18
    assert Counter(it.ended for it in diary.done) == {"confirmed": 64, "went back": 12, "changed again": 6}


def test_the_weeks_in_which_most_was_held_on_either_database(database: Database) -> None:
    begin, end = datetime(2025, 10, 1, tzinfo=UTC), datetime(2025, 11, 20, tzinfo=UTC)
    weeks = ((at, body) for at, body in captures("history-12h") if begin <= at < end)
    diary, steps, outcomes = replay(database, weeks, "text")
    tell(diary, steps, outcomes)
    check(diary, steps)
    assert {it.ended for it in diary.done} == {"confirmed", "went back", "changed again"}


def test_no_real_step_of_all_modalities_is_held(database: Database) -> None:
    diary, steps, outcomes = replay(database, captures("all-modalities-daily"), "all")
    tell(diary, steps, outcomes)
    check(diary, steps)
    assert len(steps) == 47


# --- someone was away


def feeds(kind: Kind) -> list[tuple[datetime, bytes, Feed]]:
    """All captures of a kind, decoded; the records of equal bytes are one."""
    known: dict[bytes, Record] = {}
    found = []
    for at, body in captures(kind):
        feed = decode(body, SCOPES[kind], known)
        known = {record.raw: record for record in feed.records}
        found.append((at, body, feed))
    return found


def away(times: Sequence[datetime], days: int, every: int) -> Iterator[tuple[int, int]]:
    """Where someone leaves and comes back that many days later, from every so manieth capture on."""
    for gone in range(0, len(times), every):
        back = bisect_left(times, times[gone] + timedelta(days=days))
        if back < len(times):
            yield gone, back


@pytest.mark.parametrize("kind", ["history-12h", "all-modalities-daily"])
def test_who_was_away_for_months_is_not_held(kind: Kind) -> None:
    found = [(at, feed) for at, _, feed in feeds(kind)]
    times = [at for at, _ in found]
    limits = Limits()
    for days in AWAY:
        most: Counter[str] = Counter()
        pairs = list(away(times, days, FROM_EVERY if kind == "history-12h" else 1))
        for gone, back in pairs:
            (left_at, before), (at, feed) = found[gone], found[back]
            believed = {it.id: Belief(it.version, True, it.raw) for it in before.records}
            listed = {it.id: it.version for it in before.records}
            judgement = judge(diff(believed, feed), believed, at=at, before=Before(left_at, listed), limits=limits)
            assert not judgement.is_held, f"from {left_at} to {at}: {judgement.why}"
            most["values held"] = max(most["values held"], len(judgement.held))
        assert pairs or kind != "history-12h"
        print(f"{kind}, away for {days} days: {len(pairs)} times, none held; values held at most {dict(most)}")


def test_a_sync_after_months_is_applied(database: Database) -> None:
    found = dict(captures("history-12h"))
    times = sorted(found)
    # gone for a month, then for two, three and six
    visits = [300]
    for days in AWAY:
        visits.append(bisect_left(times, times[visits[-1]] + timedelta(days=days)))
    live, watch = Live(database), Watch()
    for position in visits:
        at = times[position]
        assert live.take(at, found[at], "text").status == "completed"
        listed = oracle.records(found[at])
        watch.believing.take(listed, at)
        with database.read() as connection:
            assert not watch.differences(connection, listed)


# --- the bootstrap is old


def believe_facts(database: Database, feed: Feed, at: datetime) -> None:
    """Facts made of a feed, believed as a shipped bootstrap is."""
    facts, as_of = bootstrap.load(bootstrap.make((record.model for record in feed.records), at))
    assert as_of == at
    with database.write() as connection:
        claimed = runs.claim(connection, "bootstrap", trigger="test", owner="test", now=at, interval=None)
        assert isinstance(claimed, runs.Claimed)
        plan = diff({}, facts)
        versions.keep(connection, plan.news)
        catalog.apply(
            connection, plan, catalog.Believed(), run_id=claimed.run_id, at=as_of, known_at=at,
            last_seen_at=lambda _: None, is_bootstrap=True,
        )  # fmt: skip
        catalog.write_state(connection, catalog.State(1, "bootstrap", as_of, DECODER))
        runs.end(connection, claimed.run_id, "completed", now=at)


def sync_after_bootstrap(database: Database, facts: tuple[datetime, Feed], body: tuple[datetime, bytes]) -> None:
    """The first real list after old facts is believed whole."""
    believe_facts(database, facts[1], facts[0])
    # the facts know every modality, and a sync asks for every one
    taken = Live(database).take(*body, "all")
    assert taken.status == "completed", taken.judgement.why
    assert not taken.judgement.verdicts
    assert taken.plan.baseline == "bootstrap"
    listed = oracle.records(body[1])
    with database.read() as connection:
        wrong = Watch().differences(connection, listed)
    assert not wrong, wrong[:5]


@pytest.mark.parametrize("kind", ["history-12h", "all-modalities-daily"])
def test_a_bootstrap_months_old_is_replaced_and_nothing_is_held(kind: Kind, tmp_path: Path) -> None:
    found = feeds(kind)
    times = [at for at, _, _ in found]
    count = 0
    for days in AWAY:
        for gone, back in away(times, days, 250 if kind == "history-12h" else 10):
            with fresh(tmp_path, count) as database:
                sync_after_bootstrap(database, (found[gone][0], found[gone][2]), (found[back][0], found[back][1]))
            count += 1
    print(f"{kind}: {count} bootstraps, 30 to 180 days old")
    assert count >= (12 if kind == "history-12h" else 2)


def test_an_old_bootstrap_on_either_database(database: Database) -> None:
    found = feeds("all-modalities-daily")
    [(gone, back), *_] = away([at for at, _, _ in found], 30, 10)
    sync_after_bootstrap(database, (found[gone][0], found[gone][2]), (found[back][0], found[back][1]))
