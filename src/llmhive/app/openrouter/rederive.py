"""History and belief read anew from the raw bodies, after the decoder learned something."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from llmhive.app.observe import Tell
from llmhive.app.openrouter.pipeline import DECODE, Decoder
from llmhive.app.openrouter.runner import Runner, Work
from llmhive.catalog.diff import compare
from llmhive.catalog.feed import Feed, Record
from llmhive.catalog.hold import withheld
from llmhive.catalog.model import Version
from llmhive.catalog.run import Run
from llmhive.catalog.timeline import Listing, Timeline
from llmhive.errors import BadAnswer
from llmhive.store import captures, catalog, history, runs
from llmhive.store.captures import Filed, Reader
from llmhive.store.database import Database


@dataclass(frozen=True, slots=True)
class Difference:
    """What became different by reading everything anew."""

    captures: int  #: that were read
    versions: int  #: of models, that differ at the time they were served
    models: int  #: that these belong to
    fields: Mapping[str, int]  #: field → how many of the versions differ in it

    def lines(self) -> list[str]:
        """For people."""
        if not self.versions:
            return [f"Read {self.captures} captures anew: nothing became different."]
        head = f"Read {self.captures} captures anew: {self.versions} versions of {self.models} models became different."
        return [head, *(f"{name}: {count} versions" for name, count in self.fields.items())]


def rederive(runner: Runner, *, trigger: str, decode: Decoder = DECODE) -> Run:
    """Build history anew beside the old one, and swap them in one transaction, as a run of its own."""
    runner.prepare()
    work = Work(
        "backfill",
        look=lambda _: None,
        do=lambda run_id, _: _rederive(runner, run_id, decode),
    )
    return runner.run(work, trigger=trigger)


def _rederive(runner: Runner, run_id: int, decode: Decoder) -> Run | None:
    difference = read_anew(runner.database, run_id, now=runner.now, tell=runner.tell, decode=decode)
    with runner.database.write() as connection:
        state = catalog.state(connection)
        return runs.end(
            connection,
            run_id,
            "completed" if difference.versions else "unchanged",
            now=runner.now(),
            models_seen=catalog.count_active(connection),
            notes=difference.lines(),
            catalog_version=state.catalog_version,
        )


def bring_up_to_date(
    database: Database, run_id: int, decoder: int | None, *, now: Callable[[], datetime], tell: Tell
) -> None:
    """Read everything anew if another decoder read it: else its differences would look like OpenRouter's."""
    if decoder is not None and decoder != DECODE.version:
        read_anew(database, run_id, now=now, tell=tell)


def read_anew(
    database: Database, run_id: int, *, now: Callable[[], datetime], tell: Tell, decode: Decoder = DECODE
) -> Difference:
    """Decode every capture again and replace what was derived from it; belief follows without a change or verdict."""
    tell("Reading the history anew", decoder=decode.version)
    with database.read() as connection:
        filed = captures.filed(connection, "applied", "accepted")
        timeline = fold(Timeline(), feeds(Reader(connection), filed, decode, tell))
        before = history.timelines(connection)
    difference = _compare(len(filed), before, timeline)
    with database.write() as connection:
        runs.fence(connection, run_id)
        if filed:
            history.rewrite(connection, filed[0].capture.fetched_at, timeline)
        wanted = _read_beliefs(catalog.rows(connection), decode, now())
        catalog.restore(connection, wanted, run_id=run_id, known_at=now())
        state = catalog.state(connection)
        version = state.catalog_version + bool(difference.versions)
        catalog.write_state(connection, replace(state, decoder=decode.version, catalog_version=version))
    return difference


def feeds(reader: Reader, filed: Sequence[Filed], decode: Decoder, tell: Tell) -> Iterator[tuple[Feed, datetime]]:
    """The feeds of stored captures with their times; one that can no longer be read is left out, and told."""
    known: dict[bytes, Record] = {}
    for done, it in enumerate(filed, start=1):
        tell("Progress", what="Reading the history", done=done, whole=len(filed))
        try:
            feed = decode(reader.read(it.capture.digest), it.capture.scope, known)
        except BadAnswer as error:
            tell("Left out a capture", capture=it.id, error=str(error))
            continue
        remember(known, feed)
        yield feed, it.capture.fetched_at


def remember(known: dict[bytes, Record], feed: Feed) -> None:
    """Keep the records of a feed, so that the next one need not read the same bytes again."""
    if len(known) > 20 * len(feed.records):
        known.clear()
    known.update((record.raw, record) for record in feed.records)


def fold(timeline: Timeline, taken: Iterable[tuple[Feed, datetime]]) -> Timeline:
    """Take feeds in the order of their times."""
    for feed, at in taken:
        timeline.take(feed, at)
    return timeline


def _compare(count: int, before: Mapping[str, list[tuple[datetime, Listing]]], timeline: Timeline) -> Difference:
    """What is different at the instants at which either history has a step."""
    versions, models, fields = 0, set(), Counter[str]()
    for model_id in before.keys() | timeline.steps.keys():
        old, new = dict(before.get(model_id, [])), dict(timeline.steps.get(model_id, []))
        was: Listing | None = None
        becomes: Listing | None = None
        for at in sorted(old.keys() | new.keys()):
            was, becomes = old.get(at, was), new.get(at, becomes)
            if was == becomes:
                continue
            versions += 1
            models.add(model_id)
            if was is not None and becomes is not None:
                found = compare(was.version.model, becomes.version.model)
                fields.update({change.field or "" for change in found})
    return Difference(count, versions, len(models), dict(fields.most_common()))


def _read_beliefs(rows: Mapping[str, catalog.Row], decode: Decoder, at: datetime) -> dict[str, catalog.Row]:
    """The rows of the catalog with their records read anew; what is held stays held."""
    raws = [row.record.raw for row in rows.values() if row.record.raw]
    feed = decode(b'{"data":[' + b",".join(raws) + b"]}", "all")
    wanted = {}
    for record in feed.records:
        row = rows.get(record.id)
        if row is None or row.record.raw != record.raw:
            continue
        old = row.record.model
        version = Version(withheld(old, record.model, row.held)) if row.held else record.version
        prices = (row.prompt, row.completion) if old.pricing == version.model.pricing else version.model.headline(at)
        wanted[record.id] = replace(
            row, record=replace(record, version=version), prompt=prices[0], completion=prices[1]
        )  # fmt: skip
    return wanted
