"""Plan → events, what becomes of removals that wait, ids, and how events are told."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from llmhive.catalog.alert import Event, channel_of, event_id, events_of, message_id, run_event, settle
from llmhive.catalog.diff import Belief, diff
from llmhive.catalog.feed import Feed, Record, Unreadable
from llmhive.catalog.message import AT_MOST, Alert, Message, line_of, payload_of, text_of, title_of
from llmhive.catalog.model import Model, Version
from llmhive.catalog.pricing import Override, Pricing
from llmhive.catalog.run import Run
from tests.catalog import strategies as our

START = datetime(2026, 6, 1, 12, tzinfo=UTC)


def priced(prompt: str | None, completion: str | None = "0.000002", *overrides: Override, **units: str) -> Pricing:
    rates = {"prompt": prompt, "completion": completion, **units}
    return Pricing.of({unit: Decimal(rate) for unit, rate in rates.items() if rate is not None}, overrides)


ONE = Model("acme/one", name="Acme: One", pricing=priced("0.000001"), context_length=8192, output_modalities=("text",))


def record(model: Model) -> Record:
    return Record(Version(model), b"{}")


def events(before: Model | None, after: Model | None, percent: float = 10.0) -> list[Event]:
    believed = {} if before is None else {before.id: Belief(Version(before), True, b"{}")}
    feed = Feed("all", () if after is None else (record(after),))
    return events_of(diff(believed, feed), believed, price_percent=percent)


def told(before: Pricing, after: Pricing, percent: float = 10.0) -> list[tuple[str, Any, Any, Any]]:
    found = events(replace(ONE, pricing=before), replace(ONE, pricing=after), percent)
    assert {event.kind for event in found} <= {"repriced"}
    return [tuple(event.facts[name] for name in ("field", "before", "after", "percent")) for event in found]


# --- events


def test_a_new_model() -> None:
    [event] = events(None, ONE)
    assert (event.kind, event.model_id, event.facts["name"]) == ("new", "acme/one", "Acme: One")
    assert event.is_sure


def test_a_model_that_is_gone_is_not_sure() -> None:
    [event] = events(ONE, None)
    assert (event.kind, event.model_id, event.is_sure) == ("removed", "acme/one", False)
    assert event.facts == {"name": "Acme: One", "renamed_to": None}


@pytest.mark.parametrize(
    ("after", "percent", "is_told"),
    [
        ("0.0000011", 10.0, True), ("0.00000109999999999", 10.0, False), ("0.0000009", 10.0, True),
        ("0.00000090000000001", 10.0, False), ("0.000001000000001", 0.0, True), ("0.0000019", 100.0, False),
        ("0.000002", 100.0, True),
    ],
)  # fmt: skip
def test_a_price_that_changes_by_enough_either_way(after: str, percent: float, is_told: bool) -> None:
    found = told(priced("0.000001"), priced(after), percent)
    assert [(field, was, becomes) for field, was, becomes, _ in found] == (
        [("pricing.prompt", "0.000001", after)] if is_told else []
    )


@pytest.mark.parametrize(
    ("before", "after", "percent"),
    [("0", "0.000001", None), ("0.000001", "0", -100.0), (None, "0.000001", None), ("0.000001", None, None),
     ("-1", "0.000001", None), ("0.000001", "-1", None)],
)  # fmt: skip
def test_from_or_to_zero_or_unknown_is_always_beyond(before: str | None, after: str | None, percent: float) -> None:
    assert told(priced(before), priced(after), 1_000_000) == [("pricing.prompt", before, after, percent)]


def test_a_change_beyond_all_measure_has_a_percentage_too() -> None:
    tiny, huge = "0.000000000000000000000000000001", "99999999999999999999"
    assert told(priced(tiny), priced(huge)) == [("pricing.prompt", tiny, huge, 9.9999999999999999999e51)]


def test_each_unit_is_told_of() -> None:
    found = told(priced("0.000001", "0.000002"), priced("0.0000015", "0.000001"))
    assert found == [
        ("pricing.completion", "0.000002", "0.000001", -50.0), ("pricing.prompt", "0.000001", "0.0000015", 50.0),
    ]  # fmt: skip


def long(prompt: str) -> Override:
    return Override((("min_prompt_tokens", 200_000),), (("prompt", Decimal(prompt)),))


def window(start: int, end: int, prompt: str) -> Override:
    return Override((("utc_end", end), ("utc_start", start)), (("prompt", Decimal(prompt)),))


@pytest.mark.parametrize(
    ("before", "after", "percent"),
    [
        # the tier itself
        ((long("0.000002"),), (long("0.000003"),), [50.0]),
        ((long("0.000002"),), (long("0.0000021"),), []),
        # a tier that comes or goes, against the base
        ((), (long("0.000002"),), [100.0]),
        ((long("0.00000101"),), (), []),
        ((long("0"),), (long("0.000002"),), [None]),
    ],
)
def test_conditional_prices(before: Any, after: Any, percent: list[float | None]) -> None:
    found = told(priced("0.000001", "0.000002", *before), priced("0.000001", "0.000002", *after))
    assert [(field, it) for field, _, _, it in found] == [("pricing.overrides", it) for it in percent]


def test_a_price_that_becomes_a_schedule_is_told_by_its_windows() -> None:
    flat = priced("0.000001")
    tiled = priced("0.000001", "0.000002", window(800, 2000, "0.000001"), window(2000, 800, "0.0000005"))
    assert tiled.rate("prompt") is None
    assert [(field, percent) for field, _, _, percent in told(flat, tiled)] == [("pricing.overrides", -50.0)]
    assert [(field, percent) for field, _, _, percent in told(tiled, flat)] == [("pricing.overrides", 100.0)]


def test_an_expiry_that_is_announced_or_moved() -> None:
    one, other = date(2026, 12, 1), date(2027, 1, 1)
    for before, after in ((None, one), (one, other)):
        [event] = events(replace(ONE, expiration_date=before), replace(ONE, expiration_date=after))
        assert (event.kind, event.facts["before"], event.facts["after"]) == (
            "expiring", before and before.isoformat(), after.isoformat(),
        )  # fmt: skip
    assert events(replace(ONE, expiration_date=one), ONE) == []


def test_other_changes_are_no_events() -> None:
    assert events(ONE, replace(ONE, name="Other", context_length=4096, description="x")) == []


@our.laws
@given(our.feeds(), our.feeds())
def test_any_plan_has_events_that_can_be_told(before: Feed, after: Feed) -> None:
    believed = {it.id: Belief(it.version, True, it.raw) for it in before.records}
    plan = diff(believed, after)
    found = events_of(plan, believed, price_percent=10)
    ids = {event_id(event, run_id=1, started_at=START) for event in found}
    assert len(ids) == len(found)
    assert {event.model_id for event in found if event.kind == "new"} == {it.id for it in plan.added}
    assert {event.model_id for event in found if event.kind == "removed"} == set(plan.deactivated)
    assert all("\n" not in line_of(event) for event in found)


# --- removals that wait


def settled(waiting: Mapping[str, Model], feed: Feed, active: tuple[str, ...] = ()) -> tuple[set[str], set[str]]:
    believed = {key: Belief(Version(model), key in active, b"{}") for key, model in waiting.items()}
    plan = diff(believed, feed)
    found = settle(plan, waiting, events_of(plan, believed, price_percent=10))
    return set(found.confirmed), set(found.withdrawn)


def test_a_second_feed_without_it_confirms_a_removal() -> None:
    assert settled({"acme/one": ONE}, Feed("all", ())) == ({"acme/one"}, set())


def test_a_model_that_is_back_withdraws_its_removal() -> None:
    assert settled({"acme/one": ONE}, Feed("all", (record(ONE),))) == (set(), {"acme/one"})


def test_a_feed_that_does_not_cover_it_leaves_it_waiting() -> None:
    image = replace(ONE, output_modalities=("image",))
    assert settled({"acme/one": image}, Feed("text", ())) == (set(), set())


@pytest.mark.parametrize("name", ["acme/one", None])
def test_a_record_in_quarantine_leaves_it_waiting(name: str | None) -> None:
    assert settled({"acme/one": ONE}, Feed("all", (), (Unreadable(0, name, "no"),))) == (set(), set())


def test_a_model_that_goes_again_was_back_in_between() -> None:
    assert settled({"acme/one": ONE}, Feed("all", ()), active=("acme/one",)) == (set(), {"acme/one"})


# --- runs


@pytest.mark.parametrize(
    ("kind", "status", "event"),
    [
        ("regular", "failed", "run_failed"), ("research", "failed", "run_failed"), ("regular", "held", "run_held"),
        ("regular", "interrupted", None), ("regular", "completed", None), ("backfill", "failed", None),
        ("rollback", "failed", None), ("bootstrap", "failed", None),
    ],
)  # fmt: skip
def test_runs_that_end_badly(kind: Any, status: Any, event: str | None) -> None:
    found = run_event(Run(kind, "test", status, START, id=7, error="no answer"))
    assert (None if found is None else found.kind) == event
    assert found is None or found.facts == {"run": 7, "run_kind": kind, "error": "no answer"}


# --- ids and channels


def test_an_event_has_one_id() -> None:
    event = Event("repriced", "acme/one", {"field": "pricing.prompt", "after": "1"})
    first = event_id(event, run_id=7, started_at=START)
    assert uuid.UUID(first).version == 5
    assert first == event_id(replace(event, facts={"field": "pricing.prompt"}), run_id=7, started_at=START)
    # fixed for ever: receivers remember it
    assert first == "a7b4e303-844e-56ab-9733-afa57305ecef"
    others = {
        event_id(replace(event, model_id="acme/two"), run_id=7, started_at=START),
        event_id(replace(event, facts={"field": "pricing.completion"}), run_id=7, started_at=START),
        event_id(replace(event, kind="expiring"), run_id=7, started_at=START),
        event_id(event, run_id=8, started_at=START),
        event_id(event, run_id=7, started_at=START.replace(microsecond=1)),
        message_id(run_id=7, started_at=START),
    }
    assert len(others) == 6
    assert first not in others


@pytest.mark.parametrize(
    ("url", "label"),
    [
        ("https://hooks.example.com/s3cr3t?x=s3cr3t", "https://hooks.example.com"),
        ("https://user:s3cr3t@hooks.example.com:8443/", "https://hooks.example.com:8443"),
        ("slack://s3cr3ttoken/b/c", "slack"),
        ("mailto://user:s3cr3t@example.com", "mailto"),
    ],
)
def test_a_channel_does_not_show_its_url(url: str, label: str) -> None:
    channel = channel_of(url)
    assert channel.label == label
    assert len(channel.digest) == 16
    assert "s3cr3t" not in repr(channel)
    assert channel == channel_of(url)
    assert channel.digest != channel_of(url + "/").digest


# --- messages


def message(*found: Event) -> Message:
    alerts = tuple(Alert(str(number), START, event) for number, event in enumerate(found))
    return Message("m", 7, "regular", "completed", START, 12, alerts)


def test_a_message_in_words() -> None:
    media = replace(ONE, id="acme/speech", output_modalities=("speech",), name=None)
    free = replace(ONE, id="acme/one:free", pricing=priced("0", "0"))
    router = replace(ONE, id="acme/auto", pricing=priced("-1", "-1"))
    found = [
        *events(ONE, replace(ONE, pricing=priced("0.0000011", "0", request="0.5"), expiration_date=date(2026, 12, 1))),
        *events(replace(ONE, expiration_date=date(2026, 1, 1)), replace(ONE, expiration_date=date(2026, 12, 1))),
        *events(ONE, None), *events(None, replace(ONE, name="Acme:\nOne")), *events(None, media), *events(None, free),
        *events(None, router),
        *events(ONE, replace(ONE, pricing=priced("0.000001", "0.000002", long("0.000003")))),
    ]  # fmt: skip
    assert title_of(message(*found)) == "LLMHive: 4 new, 1 removed, 1 repriced, 1 expiring"
    assert text_of(message(*found)).splitlines() == [
        "New: acme/one (Acme: One): by acme; prompt $1.00, completion $2.00 per million tokens; 8.19k context; "
        "https://openrouter.ai/acme/one",
        "New: acme/speech: by acme; prompt $0.000001, completion $0.000002; 8.19k context; gives speech; "
        "https://openrouter.ai/acme/speech",
        "New: acme/one:free (Acme: One): by acme; free; 8.19k context; https://openrouter.ai/acme/one:free",
        "New: acme/auto (Acme: One): by acme; its price varies; 8.19k context; https://openrouter.ai/acme/auto",
        "Removed: acme/one (Acme: One) is listed no more, which a second sync confirmed",
        "Repriced: acme/one: completion $2.00 → $0.00 per million tokens (-100 %)",
        "Repriced: acme/one: prompt $1.00 → $1.10 per million tokens (+10 %)",
        "Repriced: acme/one: request now $0.50",
        "Repriced: acme/one: its conditional prices are new (up to +200 %)",
        "Expiring: acme/one goes after 2026-12-01",
        "Expiring: acme/one goes after 2026-12-01 (was 2026-01-01)",
    ]


def test_runs_in_words() -> None:
    failed, held = (
        run_event(Run("regular", "test", status, START, id=7, error="no answer")) for status in ("failed", "held")
    )
    assert failed is not None
    assert held is not None
    assert title_of(message(failed)) == "LLMHive: a run failed"
    assert text_of(message(failed)) == "The regular sync failed (run 7): no answer"
    assert "was held (run 7): no answer. Nothing was applied; llmhive show 7" in text_of(message(held))


def test_a_long_message_counts_what_it_does_not_list() -> None:
    found = [event for number in range(AT_MOST + 5) for event in events(None, replace(ONE, id=f"acme/{number}"))]
    payload = payload_of(message(*found))
    assert (len(payload["events"]), payload["more"]) == (AT_MOST, 5)
    assert payload["text"].startswith(f"LLMHive: {AT_MOST + 5} new\n")
    assert payload["text"].endswith("… and 5 more: llmhive show 7")


def test_a_message_as_json() -> None:
    [event] = events(ONE, replace(ONE, pricing=priced("0.0000015")))
    assert payload_of(message(event)) == {
        "id": "m",
        "type": "llmhive.alerts",
        "run": {"id": 7, "kind": "regular", "status": "completed", "started_at": "2026-06-01T12:00:00Z"},
        "catalog_version": 12,
        "text": "LLMHive: 1 repriced\nRepriced: acme/one: prompt $1.00 → $1.50 per million tokens (+50 %)",
        "events": [
            {
                "id": "0",
                "kind": "repriced",
                "model": "acme/one",
                "at": "2026-06-01T12:00:00Z",
                "facts": {
                    "name": "Acme: One", "field": "pricing.prompt", "before": "0.000001", "after": "0.0000015",
                    "percent": 50.0, "per_token": True,
                },
                "text": "acme/one: prompt $1.00 → $1.50 per million tokens (+50 %)",
            }
        ],
        "more": 0,
    }  # fmt: skip
