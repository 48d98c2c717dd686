"""The fault campaign: real bodies spoilt in every way we could think of, and what the gate makes of them.

``python -m tests.history.faults`` writes its table into ``docs/gate.md`` anew. Everything is chosen deterministically.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from llmhive.app.openrouter.pipeline import DECODE, Decoder, Judged, Pipeline, Taken
from llmhive.catalog.feed import Scope
from llmhive.catalog.gate import Limits, Waiver
from llmhive.catalog.pricing import PER_TOKEN
from llmhive.errors import BadAnswer
from llmhive.store import runs
from llmhive.store.captures import Capture
from llmhive.store.database import Database, connect
from tests import oracle
from tests.fake_openrouter import dump as as_json
from tests.support import ROOT, captures, dump, sqlite_template

PAGE = ROOT / "docs" / "gate.md"
_TABLE = re.compile(r"(<!-- campaign: faults -->\n).*?(<!-- end -->)", re.DOTALL)
#: What a sync writes whatever it finds.
BOOKKEEPING = ("sync_run", "capture", "body", "verdict", "alert")
#: Between a fault and its repetition: more than a value needs to be confirmed.
AGAIN = timedelta(minutes=40)
#: The positions of the bodies that are spoilt.
TEXT = (60, 190, 320, 450, 580, 700, 830, 960, 1040)
ALL = (6, 30, 44)

Record = dict[str, Any]
#: What the gate made of it, and by which rules.
Outcome = tuple[str, frozenset[str]]


class Live:
    """Takes bodies as live syncs do: a run each."""

    def __init__(self, database: Database, decoder: Decoder = DECODE) -> None:
        self._database = database
        self.pipeline = Pipeline(database, Limits(), decoder)

    def take(self, at: datetime, body: bytes, scope: Scope) -> Taken:
        with self._database.write() as connection:
            claimed = runs.claim(connection, "regular", trigger="test", owner="test", now=at, interval=None)
        assert isinstance(claimed, runs.Claimed)
        return self.pipeline.take(capture_of(at, body, scope), body, run_id=claimed.run_id, known_at=lambda: at)

    def plan(self, at: datetime, body: bytes, scope: Scope, waiver: Waiver | None = None) -> Judged:
        return self.pipeline.plan(capture_of(at, body, scope), body, waiver)


def capture_of(at: datetime, body: bytes, scope: Scope) -> Capture:
    """A body as a capture."""
    return Capture(at, "test", scope, hashlib.sha256(body).hexdigest())


@contextmanager
def fresh(folder: Path, name: object = "fresh") -> Iterator[Database]:
    """A migrated, empty SQLite database."""
    path = folder / f"{name}.db"
    shutil.copy(sqlite_template(), path)
    database = connect(f"sqlite:///{path}")
    yield database
    database.close()
    path.unlink()


# --- real steps


@dataclass(frozen=True)
class Scene:
    """A real step: a body that is believed, and the next one, which is going to be spoilt."""

    name: str
    scope: Scope
    before_at: datetime
    at: datetime
    before: list[Record]
    after: list[Record]
    served: bytes  #: the next body as it was

    @cached_property
    def parts(self) -> dict[str, bytes]:
        """The next body's records as JSON, by id."""
        return {record["id"]: as_json(record) for record in self.after}

    @cached_property
    def in_both(self) -> list[str]:
        """The ids of models that the next body lists with the same prices and context, in a random order."""
        old = {record["id"]: record for record in self.before}
        same = [
            record["id"]
            for record in self.after
            if (was := old.get(record["id"])) is not None
            and (was["pricing"], was["context_length"]) == (record["pricing"], record["context_length"])
        ]
        random.Random(self.name).shuffle(same)
        return same

    def spoilt(self, spoil: Mapping[str, Record | None]) -> bytes:
        """The next body with other records in the place of some; None leaves one out."""
        parts = [
            as_json(spoil[model_id]) if model_id in spoil else part
            for model_id, part in self.parts.items()
            if spoil.get(model_id, ...) is not None
        ]
        return b'{"data":[' + b",".join(parts) + b"]}"

    @property
    def believed(self) -> bytes:
        """The body before."""
        return as_json({"data": self.before})


def scenes(text: Iterable[int] = TEXT, every: Iterable[int] = ALL) -> list[Scene]:
    """Real steps of at most a day."""
    found = [*_scenes("history-12h", "text", set(text)), *_scenes("all-modalities-daily", "all", set(every))]
    assert all(scene.at - scene.before_at < timedelta(hours=30) for scene in found)
    return found


def _scenes(kind: Any, scope: Scope, wanted: set[int]) -> Iterator[Scene]:
    last: tuple[datetime, bytes] | None = None
    for position, (at, body) in enumerate(captures(kind)):
        if not wanted:
            return
        # a step of more than a day, or to the same body, waits for the next one
        if last is not None and position >= min(wanted) and at - last[0] < timedelta(hours=30) and body != last[1]:
            wanted.remove(min(wanted))
            before, after = (list(oracle.records(content).values()) for content in (last[1], body))
            yield Scene(f"{scope} {at:%Y-%m-%d}", scope, last[0], at, before, after, body)
        last = at, body


# --- faults


@dataclass(frozen=True)
class Fault:
    """One way to spoil a model's record."""

    name: str
    spoil: Callable[[Record], Record]
    rule: str  #: that must hold a run in which it hits more than a quarter of the models
    needs_price: bool = True


def priced(record: Record) -> bool:
    """Whether it has a price that a fault can spoil, as a paid model has."""
    return all(Decimal(record["pricing"][unit]) > 0 for unit in ("prompt", "completion"))


def _repriced(change: Callable[[str, Decimal], Decimal]) -> Callable[[Record], Record]:
    def spoil(record: Record) -> Record:
        prices: Record = {unit: _text(change, unit, value) for unit, value in record["pricing"].items()}
        return record | {"pricing": prices}

    return spoil


def _text(change: Callable[[str, Decimal], Decimal], unit: str, value: Any) -> Any:
    if unit == "overrides":
        return [{name: _text(change, name, rate) for name, rate in entry.items()} for entry in value or ()]
    # an override's conditions are numbers and lists
    return f"{change(unit, Decimal(value)):f}" if isinstance(value, str) else value


_MILLION = Decimal(10) ** 6
FAULTS = (
    Fault("prices ÷ 10⁶", _repriced(lambda _, rate: rate / _MILLION), "falling"),
    Fault("prices × 10⁶", _repriced(lambda _, rate: rate * _MILLION), "repricing"),
    Fault("signs of prices flipped", _repriced(lambda _, rate: -rate), "repricing"),
    Fault(
        "prices per million instead of per token",
        _repriced(lambda unit, rate: rate * _MILLION if unit in PER_TOKEN else rate),
        "repricing",
    ),
    Fault(
        "prices per token divided by a million once more",
        _repriced(lambda unit, rate: rate / _MILLION if unit in PER_TOKEN else rate),
        "falling",
    ),
    Fault('all prices "0"', _repriced(lambda *_: Decimal(0)), "falling"),
    Fault("context length 0", lambda record: record | {"context_length": 0}, "context", needs_price=False),
    Fault("ids renamed", lambda record: record | {"id": f"renamed/{record['id']}"}, "removal", needs_price=False),
)
ONE = "1 model"
BETWEEN = {"5 %": 0.05, "10 %": 0.1, "20 %": 0.2}
MOST = {"26 %": 0.26, "50 %": 0.5, "all": 1.0}
LOST = {f"{percent} %": percent / 100 for percent in (11, 15, 25, 40, 60, 80, 99)}


def chosen(scene: Scene, fault: Fault, share: str) -> list[str]:
    """The models that a fault hits."""
    lengths = {record["id"]: record["context_length"] for record in scene.after}
    fit = {record["id"] for record in scene.after if priced(record)} if fault.needs_price else set(lengths)
    able = [model_id for model_id in scene.in_both if model_id in fit and lengths[model_id]]
    if share == ONE:
        return able[:1]
    if share == "all":
        return able
    # never more than is said, or never fewer
    count = BETWEEN[share] * len(scene.before) if share in BETWEEN else math.ceil(MOST[share] * len(scene.before))
    assert len(able) >= count, f"{scene.name}: only {len(able)} models can be hit by {fault.name}"
    return able[: int(count)]


def broken(scene: Scene) -> Iterator[tuple[str, bytes]]:
    """Answers that are no list of models."""
    whole = scene.served
    for part in (0.001, 0.1, 0.5, 0.9, 0.999):
        yield "cut short", whole[: int(part * len(whole))]
    yield "cut short", whole[:-1]
    # just behind an object
    yield "cut short", whole[: whole.index(b"}", len(whole) // 2) + 1]
    yield "HTML page", b"<!DOCTYPE html><html><title>Just a moment...</title></html>"
    yield "error body with status 200", as_json({"error": {"code": 500, "message": "Internal Server Error"}})
    yield "no answer in it", b""


# --- the campaign


@dataclass
class Campaign:
    """Spoils one step after the other, and counts what became of it."""

    found: dict[tuple[str, str], Counter[Outcome]] = field(default_factory=dict)

    def spoil(self, scene: Scene, database: Database, *, faults: Sequence[Fault] = FAULTS,
              shares: Iterable[str] = (ONE, *BETWEEN, *MOST)) -> None:  # fmt: skip
        """Every fault over one step, each after the body before and served twice in a row; nothing may be applied."""
        live = Live(database)
        assert live.take(scene.before_at, scene.believed, scene.scope).status == "completed"
        before = dump(database.engine.url.render_as_string(hide_password=False), without=BOOKKEEPING)
        for name, body in broken(scene):
            self.count(name, "", self._refused(live, scene, body))
        self._lists(live, scene)
        for fault in faults:
            by_id = {record["id"]: record for record in scene.after}
            for share in shares:
                hit = chosen(scene, fault, share)
                body = scene.spoilt({model_id: fault.spoil(by_id[model_id]) for model_id in hit})
                outcome = self._held(live, scene, body) if share in MOST else self._outcome(live, scene, body, hit)
                if share in MOST:
                    assert fault.rule in outcome[1], (scene.name, fault.name, share, outcome)
                elif fault.name != "ids renamed":
                    # some way or other, what cannot be true is not believed at once
                    assert outcome[0] != "applied", (scene.name, fault.name, share)
                self.count(fault.name, share, outcome)
        assert dump(database.engine.url.render_as_string(hide_password=False), without=BOOKKEEPING) == before

    def count(self, name: str, share: str, outcome: Outcome) -> None:
        self.found.setdefault((name, share), Counter())[outcome] += 1

    def _lists(self, live: Live, scene: Scene) -> None:
        outcome = self._held(live, scene, b'{"data":[]}')
        assert outcome == ("run held", frozenset({"empty"}))
        self.count("empty list", "", outcome)
        old = {record["id"] for record in scene.before}
        common = [*scene.in_both, *sorted((old & scene.parts.keys()) - set(scene.in_both))]
        for share, part in LOST.items():
            # at least one row is left
            lost = dict.fromkeys(common[: min(math.ceil(part * len(old)), len(scene.parts) - 1)])
            outcome = self._held(live, scene, scene.spoilt(lost))
            assert "removal" in outcome[1], (scene.name, share)
            self.count("rows lost", share, outcome)
        short = scene.spoilt(dict.fromkeys(common[:1]))[:-1] + b',"total_count":%d}' % len(scene.after)
        outcome = self._held(live, scene, short)
        assert outcome == ("run held", frozenset({"total_count"}))
        self.count("rows lost, but counted in `total_count`", ONE, outcome)

    def _refused(self, live: Live, scene: Scene, body: bytes) -> Outcome:
        for at in (scene.at, scene.at + AGAIN):
            try:
                live.plan(at, body, scene.scope)
            except BadAnswer:
                continue
            raise AssertionError(f"{scene.name}: {body[:60]!r} was read as a list")
        return "refused", frozenset()

    def _held(self, live: Live, scene: Scene, body: bytes) -> Outcome:
        """A sync of it, and then another one, are held for the same reasons."""
        first, second = (live.take(at, body, scene.scope) for at in (scene.at, scene.at + AGAIN))
        assert first.status == second.status == "held", (scene.name, first.status, second.status)
        rules, again = (frozenset(it.rule for it in taken.judgement.held) for taken in (first, second))
        assert rules == again
        return "run held", rules

    def _outcome(self, live: Live, scene: Scene, body: bytes, hit: Iterable[str]) -> Outcome:
        judged = live.plan(scene.at, body, scene.scope)
        if judged.judgement.is_held:
            return self._held(live, scene, body)
        held = frozenset(it.rule for it in judged.judgement.held)
        if not held:
            return "applied", held
        old = {record["id"]: record for record in scene.before}
        shown = {record.id: record.model for record in judged.plan.feed.records}
        for model_id in hit:
            assert judged.judgement.withheld[model_id], model_id
            # the old values are what would be believed
            assert shown[model_id].context_length == old[model_id]["context_length"]
            for unit, rate in shown[model_id].pricing.rates:
                assert rate == Decimal(old[model_id]["pricing"][unit]), (model_id, unit)
        return "values held", held

    def repeat(self, bodies: Sequence[tuple[datetime, bytes]], database: Database) -> None:
        """Serve each of the earlier bodies again, after the last of them was applied as all were."""
        live = Live(database)
        for at, body in bodies:
            assert live.take(at, body, "text").status == "completed"
        now = bodies[-1][0] + timedelta(hours=12)
        for at, body in reversed(bodies[:-1]):
            name = "earlier list again, up to 7 days old" if now - at <= timedelta(days=7) else "older list again"
            judged = live.plan(now, body, "text")
            [verdict] = [it for it in judged.judgement.verdicts if it.rule == "repeat"]
            if judged.judgement.is_held:
                assert [live.take(it, body, "text").status for it in (now, now + AGAIN)] == ["held", "held"]
                self.count(name, "", ("run held", frozenset(it.rule for it in judged.judgement.held)))
            else:
                self.count(name, "", (f"applied, {verdict.outcome}", frozenset({"repeat"})))

    def table(self) -> str:
        """What became of every class of faults, in Markdown."""
        lines = ["| fault | hits | outcome | rule |", "|---|---|---|---|"]
        last: tuple[str, str] | None = None
        shares: list[str] = []
        for (name, share), outcomes in self.found.items():
            told = _told(outcomes)
            if last == (name, told):
                shares.append(share)
                lines.pop()
            else:
                last, shares = (name, told), [share]
            lines.append(f"| {name} | {', '.join(shares)} | {told} |".replace("|  |", "| |"))
        return "\n".join(lines)


def _told(outcomes: Counter[Outcome]) -> str:
    """Outcome and rules, as two cells."""
    words = Counter(outcome for outcome, _ in outcomes.elements())
    always = frozenset.intersection(*(rules for _, rules in outcomes))
    sometimes = frozenset.union(*(rules for _, rules in outcomes)) - always
    whole = outcomes.total()
    told = (
        next(iter(words))
        if len(words) == 1
        else ", ".join(f"{word} {count} of {whole} times" for word, count in sorted(words.items()))
    )
    rules = ", ".join(f"`{rule}`" for rule in sorted(always))
    extra = ", ".join(f"`{rule}`" for rule in sorted(sometimes))
    return f"{told} | {rules}{' and ' if rules and extra else ''}{f'sometimes {extra}' if extra else ''}"


def days_of_history(begin: int, count: int) -> list[tuple[datetime, bytes]]:
    """Captures in a row, each body once."""
    found: dict[bytes, datetime] = {}
    for position, (at, body) in enumerate(captures("history-12h")):
        if begin <= position < begin + count:
            found.setdefault(body, at)
    return [(at, body) for body, at in found.items()]


def whole_campaign(folder: Path) -> Campaign:
    """Every fault over every scene."""
    campaign = Campaign()
    for number, scene in enumerate(scenes()):
        with fresh(folder, number) as database:
            campaign.spoil(scene, database)
    with fresh(folder, "repeat") as database:
        campaign.repeat(days_of_history(900, 20), database)
    return campaign


def renewed(text: str, table: str) -> str:
    """The page with the table as it must be."""
    return _TABLE.sub(lambda found: f"{found[1]}\n{table}\n\n{found[2]}", text)


def main() -> None:
    """Run the campaign, and write its table into the page."""
    from tests.support import begin_session, end_session

    begin_session()
    try:
        with tempfile.TemporaryDirectory() as folder:
            table = whole_campaign(Path(folder)).table()
    finally:
        end_session()
    if PAGE.exists():
        PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8"), table), encoding="utf-8")
    sys.stdout.write(f"{table}\n")


if __name__ == "__main__":
    main()
