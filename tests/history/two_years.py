"""The real two years as a service lives them: capture after capture, fixed needs are chosen for anew.

``python -m tests.history.two_years`` writes the table in docs/selection.md anew.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from llmhive.app.openrouter.decode_benchmarks import inside
from llmhive.app.openrouter.envelope import split
from llmhive.catalog.benchmark import Measure
from llmhive.catalog.need import Need
from llmhive.catalog.selectable import Selectable, Stock, evidence
from llmhive.catalog.selector import Selector
from llmhive.catalog.timeline import Listing
from llmhive.store import browse, history
from llmhive.store.captures import IN_HISTORY
from llmhive.store.database import connect
from llmhive.store.tables import capture
from tests import support
from tests.history import measured

#: The first capture with benchmarks in it.
MEASURED_SINCE = datetime(2026, 6, 12, tzinfo=UTC)
NEEDS: Mapping[str, Need] = {
    "the cheapest with tools and 100,000 tokens of context": Need(
        require={"tools"}, min_context=100_000, objective="price"
    ),
    "value, with tools": Need(require={"tools"}, objective="value"),
    "the role coder": Need(role="coder"),
    "the role vision, prompts under a dollar": Need(role="vision", max_price_per_million={"prompt": 1}),
    "the role long-context": Need(role="long-context"),
}
#: The catalog's file; every so many captures it is looked at what is chosen.
DATABASE, LOOK_EVERY = "history.db", 150
#: How quality is judged in a replay.
THEN, JULY = "by what was known then", "by the figures of July 2026"


@dataclasses.dataclass
class Life:
    """A need through all captures."""

    name: str
    known: str  #: `THEN` or `JULY`
    is_sticky: bool
    in_use: str | None = None
    chosen: int = 0  #: at so many captures some model qualified
    switches: int = 0
    forced: int = 0  #: of these so many because the model in use no longer qualified
    lost: float = 0.0  #: how much better the best was than the one in use, added up


class Look(NamedTuple):
    """What was chosen on the way, without hysteresis."""

    at: datetime
    name: str
    ids: tuple[str, ...]


class Replay(NamedTuple):
    """What became of all lives."""

    lives: list[Life]
    looks: list[Look]


def steps(folder: Path, known: str) -> Iterator[Selector]:
    """What chooses at each applied capture, oldest first; the catalog is made in a folder."""
    path = folder / DATABASE
    shutil.copy(support.history_database(), path)
    database = connect(f"sqlite:///{path}")
    with database.read() as connection:
        timelines = history.timelines(connection)
        chosen = sa.select(capture.c.fetched_at).where(IN_HISTORY).order_by(capture.c.fetched_at)
        instants = list(connection.execute(chosen).scalars())
    database.close()
    told = dict(benchmarks())
    last = {measure.key: measure for at in sorted(told) for measure in told[at]}
    later = evidence(_latest_rows(timelines), last.values(), {})
    by_step: dict[datetime, list[tuple[str, Listing]]] = {}
    for model_id, its in timelines.items():
        for at, listing in its:
            by_step.setdefault(at, []).append((model_id, listing))
    models: dict[str, Selectable] = {}
    for number, at in enumerate(instants, 1):
        for model_id, listing in by_step.get(at, ()):
            model = listing.version.model
            models[model_id] = Selectable(browse.row_of(model, at, is_active=listing.is_listed), model.pricing, None)
        rows = [it.row for it in models.values()]
        then = evidence(rows, told.get(at, ()), {}) if known == THEN else later
        yield Selector(Stock(number, at, at, tuple(models.values()), then, "openrouter"))


def benchmarks() -> Iterator[tuple[datetime, Sequence[Measure]]]:
    """What the bodies themselves say of benchmarks, by when they were fetched."""
    for at, body in support.captures("history-12h"):
        if at >= MEASURED_SINCE:
            yield at, inside(bytes(raw) for raw in split(body).data or ()).measures


def _latest_rows(timelines: Mapping[str, Sequence[tuple[datetime, Listing]]]) -> list[dict[str, Any]]:
    """Of each model the last row that tells its canonical slug: captures before November 2025 tell none."""
    found = []
    for its in timelines.values():
        at, listing = max(its, key=lambda it: (it[1].version.model.canonical_slug is not None, it[0]))
        found.append(browse.row_of(listing.version.model, at, is_active=listing.is_listed))
    return found


def live(life: Life, selector: Selector) -> None:
    """Choose anew, and see to it that the choice changed for a reason and for nothing else."""
    need = NEEDS[life.name]
    free = selector.select(need)
    asked = dataclasses.replace(need, stick_to=life.in_use) if life.is_sticky and life.in_use else need
    ids = selector.select(asked).ids
    assert (not ids) == (not free.ids)
    if not ids:
        return
    before = None if life.in_use is None else free.explain(life.in_use).choice
    best = free.choices[0]
    if life.is_sticky and before is not None:
        is_worth_it = best.score - before.score >= need.margin - 1e-12
        assert ids[0] == (best.id if is_worth_it else before.id)
    else:
        assert ids[0] == best.id
    if life.in_use is not None and ids[0] != life.in_use:
        life.switches += 1
        life.forced += before is None
    now = best if ids[0] == best.id else before
    assert now is not None
    life.lost += best.score - now.score
    life.chosen += 1
    life.in_use = ids[0]


def replay(folder: Path, known: str) -> Replay:
    """All needs from the first capture to the last, each without hysteresis and then with it."""
    found, seen = [Life(name, known, is_sticky) for name in NEEDS for is_sticky in (False, True)], []
    for selector in steps(folder, known):
        for life in found:
            live(life, selector)
        if selector.stock.catalog_version % LOOK_EVERY == 0:
            seen += [Look(selector.stock.at, name, selector.select(need).ids) for name, need in NEEDS.items()]
    return Replay(found, seen)


def table(found: Sequence[Life]) -> str:
    """How often the choice changed, as docs/selection.md shows it."""
    head = (
        "need",
        "quality",
        "captures",
        "switches without",
        "with",
        "of these forced",
        "given up",
        "in use at the end",
    )
    rows = [
        (free.name, free.known, f"{free.chosen:,}", free.switches, sticky.switches, sticky.forced,
         f"{sticky.lost / sticky.chosen:.4f}", f"`{sticky.in_use}`")
        for free, sticky in zip(found[::2], found[1::2], strict=True)
    ]  # fmt: skip
    return measured.table(head, rows)


def main() -> None:
    support.begin_session()
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = [life for known in (THEN, JULY) for life in replay(Path(folder), known).lives]
        measured.write("switches", table(sorted(found, key=lambda it: list(NEEDS).index(it.name))))
    finally:
        support.end_session()


if __name__ == "__main__":
    main()
