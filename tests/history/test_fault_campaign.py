"""Whatever is wrong with a real body: it is refused, held, or told; and what is true after all is believed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from llmhive.store.database import Database
from tests import oracle
from tests.fake_openrouter import FakeOpenRouter, Response, cut, error_200, html_200, ok
from tests.history.faults import (
    AGAIN,
    BOOKKEEPING,
    FAULTS,
    ONE,
    PAGE,
    Campaign,
    Fault,
    Live,
    Record,
    Scene,
    chosen,
    renewed,
    scenes,
    whole_campaign,
)
from tests.support import dump, rows, sync_at

VALUES = [fault for fault in FAULTS if fault.name != "ids renamed"]


@lru_cache(maxsize=1)
def one_scene() -> Scene:
    """A real step of all modalities, as a sync sees one."""
    [scene] = scenes(text=(), every=(30,))
    return scene


@pytest.fixture
def scene() -> Scene:
    return one_scene()


def url_of(database: Database) -> str:
    return database.engine.url.render_as_string(hide_password=False)


@pytest.mark.long
@pytest.mark.history
@pytest.mark.timeout(900)
def test_the_table_in_the_docs_says_what_becomes_of_every_fault(tmp_path: Path) -> None:
    table = whole_campaign(tmp_path).table()
    print(table)
    text = PAGE.read_text(encoding="utf-8")
    assert renewed(text, table) == text, "run `python -m tests.history.faults`"
    assert table in text


def test_no_fault_over_a_real_body_is_applied(scene: Scene, database: Database) -> None:
    campaign = Campaign()
    campaign.spoil(scene, database, shares=(ONE, "10 %", "26 %"))
    assert {outcome for name, share in campaign.found for outcome, _ in campaign.found[name, share]} == {
        "refused", "run held", "values held", "applied",
    }  # fmt: skip


# --- single values


def single(scene: Scene) -> dict[str, Record]:
    """A model for each fault in its values, spoilt."""
    by_id = {record["id"]: record for record in scene.after}
    able = chosen(scene, FAULTS[0], "all")
    found: dict[str, Record] = {}
    for fault in VALUES:
        # an optional price of zero is none, and none is no fall
        needs_plain = fault.name == 'all prices "0"'
        model_id = next(it for it in able if it not in found and (not needs_plain or _is_plain(by_id[it])))
        found[model_id] = fault.spoil(by_id[model_id])
    return found


def _is_plain(record: Record) -> bool:
    return prices(record["pricing"]).keys() == {"prompt", "completion"}


def shown(url: str, ids: Iterator[str] | dict[str, Any]) -> dict[str, tuple[dict[str, Decimal], int]]:
    """What readers see of some models: prices and context length."""
    found = {
        row["id"]: (prices(json.loads(row["pricing"])), row["context_length"])
        for row in rows(url, "SELECT id, CAST(pricing AS TEXT) AS pricing, context_length FROM model_catalog")
    }
    return {model_id: found[model_id] for model_id in ids}


def said(records: list[Record], ids: dict[str, Any]) -> dict[str, tuple[dict[str, Decimal], int]]:
    """What records say of some models, likewise."""
    return {it["id"]: (prices(it["pricing"]), it["context_length"]) for it in records if it["id"] in ids}


def prices(served: Record) -> dict[str, Decimal]:
    found = {unit: Decimal(rate) for unit, rate in served.items() if isinstance(rate, str)}
    return {unit: rate for unit, rate in found.items() if rate or unit in {"prompt", "completion"}}


def test_single_wrong_values_are_held_once_and_believed_when_confirmed(scene: Scene, database: Database) -> None:
    url, live, spoilt = url_of(database), Live(database), single(scene)
    assert len(spoilt) == len(VALUES) == 7
    live.take(scene.before_at, scene.believed, scene.scope)
    body = scene.spoilt(dict(spoilt))

    for minutes in (0, 10, 29):
        taken = live.take(scene.at + timedelta(minutes=minutes), body, scene.scope)
        # the run is no worse for it: everything else is applied
        assert taken.status == ("completed" if minutes == 0 else "unchanged")
        assert taken.judgement.withheld.keys() == spoilt.keys()
        assert shown(url, dict(spoilt)) == said(scene.before, spoilt)
    held = [row for row in dump(url)["model_catalog"] if row["held"]]
    assert {row["id"] for row in held} == spoilt.keys()
    other = {record["id"]: record for record in scene.after if record["id"] not in spoilt}
    assert shown(url, other) == said(scene.after, other)

    taken = live.take(scene.at + timedelta(minutes=30), body, scene.scope)
    assert taken.status == "completed"
    assert {it.outcome for it in taken.judgement.verdicts} == {"released"}
    assert shown(url, dict(spoilt)) == said(list(spoilt.values()), spoilt)
    assert not [row for row in dump(url)["model_catalog"] if row["held"]]


def test_a_single_wrong_value_that_goes_back_was_never_believed(scene: Scene, database: Database) -> None:
    url, live, spoilt = url_of(database), Live(database), single(scene)
    live.take(scene.before_at, scene.believed, scene.scope)
    live.take(scene.at, scene.spoilt(dict(spoilt)), scene.scope)
    taken = live.take(scene.at + AGAIN, scene.spoilt({}), scene.scope)
    assert (taken.status, taken.judgement.verdicts) == ("completed", ())
    assert shown(url, dict(spoilt)) == said(scene.before, spoilt)
    assert not [row for row in dump(url)["model_catalog"] if row["held"]]
    believed = rows(url, "SELECT model_id, version FROM model_belief")
    assert all(len({row["version"] for row in believed if row["model_id"] == it}) == 1 for it in spoilt)


# --- the real sync, over the network


@pytest.mark.long
def test_an_answer_that_is_none_fails_twice_in_a_row_and_changes_nothing(
    scene: Scene, database_url: str, fake: FakeOpenRouter
) -> None:
    whole = scene.served
    fake.serve(scene.believed)
    assert sync_at(database_url, fake.base_url, scene.before_at).status == "completed"
    before = dump(database_url, without=BOOKKEEPING)
    answers: list[tuple[Response, str]] = [
        (html_200(), "HTML"),
        (error_200("Fake trouble inside"), "Fake trouble inside"),
        (cut(whole, len(whole) // 10), "cut short"),
        (cut(whole, len(whole) - 1, chunked=True), "cut short"),
        (ok(whole[: len(whole) // 2]), "JSON"),
    ]
    at = scene.at
    for answer, reason in answers:
        fake.serve(answer)
        for _ in range(2):
            run = sync_at(database_url, fake.base_url, at, seconds=0.7)
            assert run.status == "failed", answer
            assert reason in (run.error or "")
            at += AGAIN
    assert dump(database_url, without=BOOKKEEPING) == before
    fake.serve(whole)
    assert sync_at(database_url, fake.base_url, at).status == "completed"


@pytest.mark.parametrize(
    ("dialect", "fault"),
    [("sqlite", fault) for fault in FAULTS] + [("postgresql", FAULTS[0]), ("postgresql", FAULTS[-1])],
    indirect=["dialect"],
    ids=lambda it: it.name if isinstance(it, Fault) else it,
)
def test_what_hits_a_quarter_of_the_models_is_held_twice_in_a_row(
    fault: Fault, scene: Scene, database_url: str, fake: FakeOpenRouter
) -> None:
    by_id = {record["id"]: record for record in scene.after}
    fake.serve(scene.believed)
    assert sync_at(database_url, fake.base_url, scene.before_at).status == "completed"
    before = dump(database_url, without=BOOKKEEPING)
    fake.serve(ok(scene.spoilt({it: fault.spoil(by_id[it]) for it in chosen(scene, fault, "26 %")}), etag='"bad"'))
    for at in (scene.at, scene.at + AGAIN):
        run = sync_at(database_url, fake.base_url, at)
        assert run.status == "held"
        found = rows(database_url, "SELECT rule, outcome FROM verdict WHERE run_id = :run", run=run.id)
        assert (fault.rule, "held") in {(row["rule"], row["outcome"]) for row in found}
    assert dump(database_url, without=BOOKKEEPING) == before
    fake.serve(ok(scene.served, etag='"good"'))
    assert sync_at(database_url, fake.base_url, scene.at + 2 * AGAIN).status == "completed"
    assert not [row for row in dump(database_url)["model_catalog"] if row["held"]]


@pytest.mark.parametrize("etag", ['"same"', None], ids=["by a 304", "by the same bytes"])
def test_a_value_is_confirmed_by_an_answer_that_says_nothing_new(
    etag: str | None, scene: Scene, database_url: str, fake: FakeOpenRouter
) -> None:
    spoilt = single(scene)
    fake.serve(scene.believed)
    sync_at(database_url, fake.base_url, scene.before_at)
    fake.serve(ok(scene.spoilt(dict(spoilt)), etag=etag))
    held = sync_at(database_url, fake.base_url, scene.at)
    assert (held.status, held.held) == ("completed", sum(1 for _ in _fields(scene, spoilt)))
    assert shown(database_url, dict(spoilt)) == said(scene.before, spoilt)
    confirmed = sync_at(database_url, fake.base_url, scene.at + AGAIN)
    assert (confirmed.status, confirmed.held) == ("completed", 0)
    assert fake.requests[-1].headers.get("if-none-match") == etag
    assert shown(database_url, dict(spoilt)) == said(list(spoilt.values()), spoilt)
    assert sync_at(database_url, fake.base_url, scene.at + 2 * AGAIN).status == "unchanged"


def _fields(scene: Scene, spoilt: dict[str, Record]) -> Iterator[tuple[str, str]]:
    """What of the spoilt models differs: all of it is held."""
    old = oracle.records(scene.believed)
    for model_id, record in spoilt.items():
        was, becomes = prices(old[model_id]["pricing"]), prices(record["pricing"])
        yield from ((model_id, unit) for unit in was if was[unit] != becomes.get(unit))
        if record["context_length"] != old[model_id]["context_length"]:
            yield model_id, "context_length"
