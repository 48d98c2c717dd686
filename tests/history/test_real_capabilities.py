"""The real captures of all modalities: the capability matrix and its changes, and the benchmarks inside the records,
against an independent reading with plain JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
import sqlalchemy as sa

from llmhive.app.openrouter.decode import decode
from llmhive.app.openrouter.decode_benchmarks import inside
from llmhive.catalog.benchmark import by_source
from llmhive.catalog.capability import CAPABILITIES, cells
from llmhive.catalog.capability import capabilities as named
from llmhive.catalog.feed import Record
from llmhive.store import benchmarks, browse, capabilities, runs
from llmhive.store.database import Database
from llmhive.store.tables import benchmark, capability
from tests.support import captures

pytestmark = [pytest.mark.history, pytest.mark.long, pytest.mark.timeout(600)]

#: capability → where it is listed, and as what
LISTED = {
    "vision": ("input_modalities", "image"), "file_input": ("input_modalities", "file"),
    "audio_input": ("input_modalities", "audio"), "video_input": ("input_modalities", "video"),
    "image_output": ("output_modalities", "image"), "audio_output": ("output_modalities", "audio"),
    "video_output": ("output_modalities", "video"), "embeddings": ("output_modalities", "embeddings"),
    "rerank": ("output_modalities", "rerank"), "speech": ("output_modalities", "speech"),
    "transcription": ("output_modalities", "transcription"), "json_mode": ("supported_parameters", "response_format"),
}  # fmt: skip
#: parameters that are there unlisted
SELDOM = {"parallel_tool_calls", "prediction", "verbosity"}
OTHERS = ("reasoning", "reasoning_effort", "web_search", "prompt_caching")


@cache
def bodies() -> tuple[tuple[datetime, bytes], ...]:
    return tuple(captures("all-modalities-daily"))


def days(database: Database) -> tuple[tuple[datetime, bytes], ...]:
    """All of them; on PostgreSQL every fourth: what differs there is not what the days differ in."""
    return bodies()[:: 1 if database.dialect == "sqlite" else 4]


def states(record: dict[str, Any]) -> dict[str, str]:
    """What a record says of each capability, by the rules written out once more."""
    architecture, pricing, thinks = record["architecture"], record["pricing"], record.get("reasoning")
    parameters = set(record["supported_parameters"])
    is_router = pricing["prompt"].startswith("-") or (
        architecture["tokenizer"] == "Router" and not record["id"].startswith("~")
    )

    def listed(values: Any, *wanted: str) -> str:
        if set(wanted) & set(values):
            return "yes"
        return "unknown" if not values or is_router else "no"

    def costs(unit: str) -> bool:
        return any(Decimal(it.get(unit) or 0) > 0 for it in (pricing, *(pricing.get("overrides") or [])))

    found = {}
    for name in (it.name for it in CAPABILITIES if it.name not in OTHERS):
        field, value = LISTED.get(name, ("supported_parameters", name))
        found[name] = listed(parameters if field == "supported_parameters" else architecture[field], value)
        if name in SELDOM and found[name] == "no":
            found[name] = "unknown"
    reasons = listed(parameters, "reasoning", "include_reasoning", "reasoning_effort")
    found["reasoning"] = "yes" if thinks is not None else reasons
    has_efforts = bool((thinks or {}).get("supported_efforts"))
    found["reasoning_effort"] = "yes" if has_efforts else listed(parameters, "reasoning_effort")
    found["web_search"] = "yes" if costs("web_search") else listed(parameters, "web_search_options")
    found["prompt_caching"] = "yes" if costs("input_cache_read") else "unknown"
    return found


def read(taken: tuple[tuple[datetime, bytes], ...]) -> Iterator[tuple[datetime, dict[str, Any], list[Record]]]:
    """Each body by plain JSON and as decoded."""
    known: dict[bytes, Record] = {}
    for at, body in taken:
        feed = decode(body, "all", known)
        known |= {it.raw: it for it in feed.records}
        assert not feed.unreadable
        yield at, {it["id"]: it for it in json.loads(body)["data"]}, list(feed.records)


def count(connection: sa.Connection, table: sa.Table) -> int:
    found: int = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
    return found


def test_the_matrix_and_its_changes_are_those_of_the_records(database: Database) -> None:
    taken = days(database)
    with database.write() as connection:
        claimed = runs.claim(
            connection, "research", trigger="test", owner="test", now=taken[0][0], interval=None
        )  # fmt: skip
    assert isinstance(claimed, runs.Claimed)
    matrix: dict[str, dict[str, str]] = {}
    changed: list[tuple[datetime, str, str, str, str]] = []
    for at, served, records in read(taken):
        told = {it.version.model.id: cells(it.version.model) for it in records}
        wanted = {model_id: states(record) for model_id, record in served.items()}
        assert {model_id: {name: it.state for name, it in row.items()} for model_id, row in told.items()} == wanted
        batch = [
            (at, model_id, name, matrix[model_id][name], state)
            for model_id, row in wanted.items() if model_id in matrix
            for name, state in row.items() if matrix[model_id][name] != state
        ]  # fmt: skip
        matrix |= wanted
        with database.write() as connection:
            applied = capabilities.apply(connection, told, at=at, run_id=claimed.run_id)
            rows = count(connection, capability)
            again = capabilities.apply(connection, told, at=at + timedelta(minutes=1), run_id=claimed.run_id)
            assert (again.cells, again.changes, count(connection, capability)) == (0, (), rows)
        assert {(at, it.model_id, it.capability, it.before.state, it.after.state) for it in applied.changes} == {*batch}
        changed += batch
    with database.read() as connection:
        stands = {it["id"]: it["cells"] for it in capabilities.matrix(connection)}
        assert {key: {name: it["state"] for name, it in row.items()} for key, row in stands.items()} == matrix
        told_of = capabilities.changes(connection, taken[0][0])
        assert [_short(it) for it in told_of] == sorted(changed)
        newest = max(at for at, *_ in changed)
        assert [_short(it) for it in capabilities.last_changes(connection)] == sorted(
            it for it in changed if it[0] == newest
        )
    assert len(changed) > 20
    # every capability is there, is not there, or nobody says: all three are real
    assert {state for row in matrix.values() for state in row.values()} == {"yes", "no", "unknown"}


def _short(it: dict[str, Any]) -> tuple[datetime, str, str, str, str]:
    at = datetime.fromisoformat(it["at"])
    return at, it["model"], it["capability"], it["before"]["state"], it["after"]["state"]


def test_what_is_seldom_listed_is_flagged_by_what_the_records_list() -> None:
    """Those that a parameter alone tells of; the web is searched for a price as well."""
    names = {it.name for it in CAPABILITIES if it.name not in OTHERS}
    parameters = {
        name: value for name in names
        for field, value in [LISTED.get(name, ("supported_parameters", name))] if field == "supported_parameters"
    }  # fmt: skip
    for _, body in bodies()[-20:]:
        lists = [set(it["supported_parameters"]) for it in json.loads(body)["data"] if it["supported_parameters"]]
        seldom = {
            name for name, value in parameters.items() if sum(value in it for it in lists) * 10 < len(lists)
        }  # fmt: skip
        assert seldom == {it.name for it in CAPABILITIES if it.is_seldom_listed} == SELDOM


def test_a_row_tells_what_its_record_does_but_for_the_reasoning_object() -> None:
    for at, _, records in read(bodies()[::8]):
        for model in (it.version.model for it in records):
            row, found = browse.row_of(model, at, is_active=True), cells(model)
            assert {name for name, it in cells(row).items() if it != found[name]} <= {"reasoning", "reasoning_effort"}
            assert named(row) >= set(model.supported_parameters)


def told_inside(served: dict[str, Any]) -> dict[tuple[str, str, str], tuple[Decimal, dict[str, Any]]]:
    found: dict[tuple[str, str, str], tuple[Decimal, dict[str, Any]]] = {}
    for record in served.values():
        slug, told = record["canonical_slug"], record.get("benchmarks") or {}
        for name, value in (told.get("artificial_analysis") or {}).items():
            if value is not None:
                found["models:artificial-analysis", slug, name] = Decimal(str(value)), {}
        for it in told.get("design_arena") or ():
            key = "models:design-arena", slug, f"elo:{it['arena']}:{it['category']}"
            rate = Decimal(str(it["win_rate"])).normalize()
            found[key] = Decimal(str(it["elo"])), {"rank": it["rank"], "win_rate": f"{rate:f}"}
    return found


def test_the_benchmarks_inside_real_records_are_those_of_plain_json(database: Database) -> None:
    sizes, written = [], 0
    for at, served, records in read(days(database)):
        told = inside((it.raw for it in records), as_of=at.isoformat())
        assert (told.unreadable, told.doubts) == ((), ())
        wanted = told_inside(served)
        assert {it.key: (it.value, it.facts) for it in told.measures} == wanted
        sizes.append(len(wanted))
        with database.write() as connection:
            for source, measures in by_source(told.measures).items():
                kept = benchmarks.keep(connection, source, measures, at=at)
                written += kept.new + kept.changed
                again = benchmarks.keep(connection, source, measures, at=at + timedelta(minutes=1))
                assert again == benchmarks.Kept(0, 0, 0)
            assert {
                (it["source"], it["slug"], it["metric"]): (Decimal(it["value"]), it["facts"])
                for it in benchmarks.of(connection)
            } == wanted
            assert count(connection, benchmark) == written
    assert max(sizes) > 1000
