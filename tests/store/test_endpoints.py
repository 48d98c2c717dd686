"""Endpoints as they are kept: what is offered since when, flags, health and how it is thinned, providers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmhive.catalog.endpoint import Endpoint, Health, Offer, Provider, keyed, to_document
from llmhive.catalog.feed import Record
from llmhive.catalog.model import Model, Version
from llmhive.catalog.pricing import Override, Pricing
from llmhive.store import catalog, endpoints, runs
from llmhive.store.database import Database
from llmhive.store.endpoints import Applied, Checked
from llmhive.store.tables import endpoint, endpoint_check, endpoint_health, endpoint_version, provider, sync_run

START = datetime(2026, 5, 4, tzinfo=UTC)  # a Monday
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
FINE = Health(0, 99.0, 99.5, 99.9, 500.0, 900.0, 60.0, 40.0)
Rows = list[dict[str, Any]]


def offer(tag: str = "acme", prompt: str = "0.000001", *, health: Health = FINE, **changes: Any) -> Offer:
    rates = {"prompt": Decimal(prompt), "completion": Decimal("0.000002"), "input_cache_read": Decimal("0.0000001")}
    base = Endpoint(
        "acme/one", tag, tag.title(), 128_000, 4096, None, "fp8", Pricing.of(rates), Decimal("0.1"), ("seed", "tools")
    )
    return Offer(replace(base, **changes), health)


def checked(at: datetime, *offers: Offer, model_id: str = "acme/one") -> Checked:
    return Checked(model_id, at, keyed([Offer(replace(it.endpoint, model_id=model_id), it.health) for it in offers]))


class Research:
    """A run that is running, and what it does: a transaction each."""

    def __init__(self, database: Database) -> None:
        self.database = database
        with database.write() as connection:
            claimed = runs.claim(connection, "regular", trigger="t", owner="t", now=START, interval=None)
        assert isinstance(claimed, runs.Claimed)
        self.run_id = claimed.run_id

    def apply(self, *checks: Checked, zdr: Sequence[tuple[str, str]] | None = None) -> Applied:
        with self.database.write() as connection:
            flagged = None if zdr is None else frozenset(zdr)
            return endpoints.apply(connection, checks, run_id=self.run_id, zdr=flagged)

    def mark(self, at: datetime, *pairs: tuple[str, str]) -> int:
        with self.database.write() as connection:
            return endpoints.mark_zdr(connection, pairs, at=at, run_id=self.run_id)

    def of(self, model_id: str = "acme/one") -> Rows:
        with self.database.read() as connection:
            return endpoints.of(connection, model_id)

    def history(self) -> Rows:
        with self.database.read() as connection:
            return endpoints.history_of(connection, "acme/one")

    def as_of(self, at: datetime) -> Rows:
        with self.database.read() as connection:
            return endpoints.as_of(connection, "acme/one", at)

    def rows(self, table: sa.Table) -> Rows:
        with self.database.read() as connection:
            return [dict(row._mapping) for row in connection.execute(sa.select(table).order_by(*table.primary_key))]


@pytest.fixture
def research(database: Database) -> Research:
    return Research(database)


def test_an_endpoint_as_users_see_it(research: Research) -> None:
    long = Override((("min_prompt_tokens", 64_000),), (("prompt", Decimal("0.000003")),))
    pricing = replace(offer().endpoint.pricing, overrides=(long,))
    assert research.apply(checked(START, offer(pricing=pricing)), zdr=[("acme/one", "acme")]) == Applied(
        models=1, endpoints=1, added=1, versions=1, is_changed=True
    )
    assert research.of() == [
        {
            "provider": "Acme",
            "tag": "acme",
            "key": "acme",
            "is_active": True,
            "context_length": 128_000,
            "max_completion_tokens": 4096,
            "max_prompt_tokens": None,
            "quantization": "fp8",
            "pricing": {
                "prompt": "0.000001",
                "completion": "0.000002",
                "input_cache_read": "0.0000001",
                "overrides": [{"when": {"min_prompt_tokens": 64_000}, "rates": {"prompt": "0.000003"}}],
            },
            "pricing_per_million": {"prompt": "1", "completion": "2"},
            "discount": "0.1",
            "supported_parameters": ["seed", "tools"],
            "supports_implicit_caching": None,
            "supports_voice_cloning": None,
            "is_zdr": True,
            "status": 0,
            "uptime_last_5m": 99.0,
            "uptime_last_30m": 99.5,
            "uptime_last_1d": 99.9,
            "latency_ms": {"p50": 500.0, "p90": 900.0},
            "throughput_tps": {"p50": 60.0, "p90": 40.0},
            "since": "2026-05-04T00:00:00Z",
            "first_seen_at": "2026-05-04T00:00:00Z",
            "last_seen_at": "2026-05-04T00:00:00Z",
            "health_at": "2026-05-04T00:00:00Z",
        }
    ]
    (row,) = research.rows(endpoint)
    assert (row["prompt_price"], row["completion_price"], row["discount"]) == (
        Decimal("0.000001"), Decimal("0.000002"), Decimal("0.1")
    )  # fmt: skip


def test_what_is_unknown_is_null(research: Research) -> None:
    research.apply(checked(START, Offer(Endpoint("acme/one", "acme", "Acme"), Health())))
    (found,) = research.of()
    unknown = {name for name, value in found.items() if value is None}
    assert unknown == {
        "context_length", "max_completion_tokens", "max_prompt_tokens", "quantization", "discount", "is_zdr", "status",
        "supports_implicit_caching", "supports_voice_cloning", "uptime_last_5m", "uptime_last_30m", "uptime_last_1d",
        "latency_ms", "throughput_tps",
    }  # fmt: skip
    assert found["pricing"] == found["pricing_per_million"] == {"prompt": None, "completion": None}
    router = offer(pricing=Pricing.of({"prompt": Decimal(-1), "completion": Decimal(-1), "image": Decimal(-1)}))
    research.apply(checked(START + HOUR, router))
    (found,) = research.of()
    assert found["pricing"] == {"prompt": None, "completion": None, "image": None}


def test_the_cheapest_is_first_and_the_inactive_last(research: Research) -> None:
    none = Pricing()
    offers = [
        offer("gone", "0"), offer("tens", "0.00001"), offer("nines", "0.000009"), offer("free", "0"),
        offer("b", "0.5"), offer("a", "0.5"), offer("unpriced", pricing=none), offer("b", "0.5", context_length=1),
    ]  # fmt: skip
    research.apply(checked(START, *offers))
    research.apply(checked(START + HOUR, *offers[1:]))
    assert [row["key"] for row in research.of()] == ["free", "nines", "tens", "a", "b", "b#2", "unpriced", "gone"]


def test_the_same_offers_again_write_no_version(research: Research) -> None:
    research.apply(checked(START, offer(), offer("other")), zdr=[])
    again = research.apply(checked(START + HOUR, offer("other"), offer()), zdr=[])
    assert again == Applied(models=1, endpoints=2)
    assert {row["since"] for row in research.rows(endpoint)} == {START}
    assert {(row["last_seen_at"], row["health_at"]) for row in research.rows(endpoint)} == {(START + HOUR,) * 2}
    assert [row["valid_from"] for row in research.rows(endpoint_version)] == [START, START]
    assert len(research.rows(endpoint_health)) == 4, "a sample at each check"
    worse = replace(FINE, latency_p50=501.0)
    told = research.apply(checked(START + 2 * HOUR, offer(health=worse), offer("other")), zdr=None)
    assert told == Applied(models=1, endpoints=2, is_changed=True)


def test_what_changes_is_a_version(research: Research) -> None:
    research.apply(checked(START, offer()))
    changed: Rows = [
        {"prompt": "0.000003"}, {"context_length": 1}, {"quantization": None}, {"discount": Decimal("-0.2")},
        {"supported_parameters": ()}, {"provider_name": "Acme Inc."}, {"supports_implicit_caching": True},
    ]  # fmt: skip
    for hours, changes in enumerate(changed, start=1):
        before = research.of()
        told = research.apply(checked(START + hours * HOUR, offer(**changes)))
        assert told == Applied(models=1, endpoints=1, changed=1, versions=1, is_changed=True), changes
        assert research.as_of(START + hours * HOUR - timedelta(microseconds=1))[0]["pricing"] == before[0]["pricing"]
        (now,) = research.of()
        (then,) = research.as_of(START + hours * HOUR)
        assert now["since"] == then["since"] == f"2026-05-04T0{hours}:00:00Z"
        assert {name: now[name] for name in then} == then
        assert now["discount"] == ("-0.2" if "discount" in changes else "0.1")
        research.apply(checked(START + hours * HOUR + HOUR / 2, offer()))
    history = research.history()
    assert len(history) == 15
    assert [row["to"] for row in history] == [row["from"] for row in history[1:]] + [None]
    assert [row["pricing"]["prompt"] for row in history[:3]] == ["0.000001", "0.000003", "0.000001"]


def test_one_that_leaves_and_returns_is_the_same(research: Research) -> None:
    research.apply(checked(START, offer(), offer("other")))
    assert research.apply(checked(START + HOUR, offer("other"))) == Applied(
        models=1, endpoints=1, gone=1, versions=1, is_changed=True
    )
    assert [(row["key"], row["is_active"]) for row in research.of()] == [("other", True), ("acme", False)]
    assert [row["key"] for row in research.as_of(START + HOUR)] == ["other"]
    again = research.apply(checked(START + 2 * HOUR, offer("other")))
    assert (again.gone, again.versions) == (0, 0), "it goes once"
    told = research.apply(checked(START + 3 * HOUR, offer(), offer("other")))
    assert told == Applied(models=1, endpoints=2, returned=1, versions=1, is_changed=True)
    row = next(row for row in research.rows(endpoint) if row["key"] == "acme")
    assert (row["is_active"], row["first_seen_at"], row["since"]) == (True, START, START + 3 * HOUR)
    assert [(it["key"], it["is_listed"]) for it in research.history()] == [
        ("acme", True), ("acme", False), ("acme", True), ("other", True)
    ]  # fmt: skip


def test_a_model_without_endpoints_has_none(research: Research) -> None:
    research.apply(checked(START, offer(), offer("other")), checked(START, offer(), model_id="acme/two"))
    before = research.rows(endpoint), research.rows(endpoint_version), research.rows(endpoint_health)
    emptied = checked(START + HOUR), checked(START + HOUR, model_id="acme/two")
    assert research.apply(*emptied) == Applied(failed=2, doubted=("acme/one", "acme/two"))
    assert research.apply(*emptied) == Applied(ignored=2), "the same answer says it once"
    assert (research.rows(endpoint), research.rows(endpoint_version), research.rows(endpoint_health)) == before
    one, _ = research.rows(endpoint_check)
    assert (one["checked_at"], one["succeeded_at"], one["failures"]) == (START + HOUR, START, 1)
    assert (
        one["error"]
        == endpoints.EMPTIED
        == ("OpenRouter lists no endpoint for it any more; believed when it says so again")
    )
    # one is told again; the other one has some after all, and then none once more
    told = research.apply(checked(START + 2 * HOUR), checked(START + 2 * HOUR, offer(), model_id="acme/two"))
    assert told == Applied(models=2, endpoints=1, gone=2, versions=2, is_changed=True)
    assert [row["is_active"] for row in research.of()] == [False, False]
    assert [row["key"] for row in research.as_of(START + HOUR)] == ["acme", "other"]
    assert research.as_of(START + 2 * HOUR) == []
    told = research.apply(checked(START + 3 * HOUR), checked(START + 3 * HOUR, model_id="acme/two"))
    assert told == Applied(models=1, failed=1, doubted=("acme/two",))
    one, two = research.rows(endpoint_check)
    assert (one["failures"], one["error"], two["failures"], two["error"]) == (0, None, 1, endpoints.EMPTIED)


def test_no_endpoints_are_believed_when_told_twice_in_a_row(research: Research) -> None:
    research.apply(checked(START, offer()))
    research.apply(checked(START + HOUR))
    research.apply(Checked("acme/one", START + 2 * HOUR, None, "503"))
    assert research.apply(checked(START + 3 * HOUR)).doubted == ("acme/one",)
    assert research.apply(Checked("acme/one", START + 3 * HOUR, None, "503")).ignored == 1
    partly = replace(checked(START + 4 * HOUR), is_whole=False)
    assert research.apply(partly) == Applied(models=1), "what cannot be read is not nothing"
    assert research.apply(checked(START + 5 * HOUR)).doubted == ("acme/one",)
    assert research.apply(checked(START + 6 * HOUR)).gone == 1
    # of one that never had any there is nothing to lose
    assert research.apply(checked(START, model_id="acme/new")) == Applied(models=1)
    assert research.apply(checked(START + HOUR, model_id="acme/new")) == Applied(models=1)


def enlist(research: Research, at: datetime, **is_active: bool) -> None:
    """Models of the catalog, by name below acme/."""
    rows = {
        f"acme/{name}": catalog.row_of(
            Record(Version(Model(f"acme/{name}")), b"{}", ()), is_active=active, at=at, first_seen_at=START
        )
        for name, active in is_active.items()
    }
    with research.database.write() as connection:
        catalog.restore(connection, rows, run_id=research.run_id, known_at=at)


def test_what_models_offered_that_are_gone_ends(research: Research) -> None:
    def end(hours: int) -> int:
        with research.database.write() as connection:
            return endpoints.end_of_inactive(connection, at=START + hours * HOUR, run_id=research.run_id)

    enlist(research, START, one=True, two=True)
    research.apply(
        checked(START, offer(), offer("other")), checked(START, offer(), model_id="acme/two"),
        checked(START, offer(), model_id="acme/unlisted"),
    )  # fmt: skip
    research.apply(checked(START + HOUR, offer()), zdr=[("acme/one", "acme")])
    assert end(2) == 1
    enlist(research, START + 2 * HOUR, one=False)
    assert end(3) == 1
    assert end(4) == 0
    active = {(row["model_id"], row["key"]) for row in research.rows(endpoint) if row["is_active"]}
    assert active == {("acme/two", "acme")}
    assert [row["key"] for row in research.as_of(START + 2 * HOUR)] == ["acme"]
    assert research.as_of(START + 3 * HOUR) == []
    first, *_, last = [row for row in research.history() if row["key"] == "acme"]
    assert (first["is_listed"], last["is_listed"], last["is_zdr"]) == (True, False, True)
    assert (last["from"], last["pricing"]) == ("2026-05-04T03:00:00Z", first["pricing"])
    # it comes back
    enlist(research, START + 4 * HOUR, one=True)
    told = research.apply(checked(START + 5 * HOUR, offer()))
    assert (told.returned, told.versions, told.doubted) == (1, 1, ())
    assert end(6) == 0


def test_providers_count_what_active_models_have(research: Research) -> None:
    def counted() -> dict[str, tuple[int, int]]:
        with research.database.read() as connection:
            return {it["name"]: (it["models"], it["endpoints"]) for it in endpoints.providers(connection)}

    research.apply(
        checked(START, offer(), offer("acme", context_length=5), offer("other")),
        checked(START, offer(), model_id="acme/two"), checked(START, offer("third"), model_id="acme/unlisted"),
    )  # fmt: skip
    assert counted() == {}
    enlist(research, START, one=True, two=True)
    assert counted() == {"Acme": (2, 3), "Other": (1, 1)}
    enlist(research, START + HOUR, one=False)
    assert counted() == {"Acme": (1, 1)}


def test_what_could_not_be_read_is_not_gone(research: Research) -> None:
    research.apply(checked(START, offer(), offer("other")))
    told = research.apply(replace(checked(START + HOUR, offer("other"), offer("new")), is_whole=False))
    assert (told.gone, told.added) == (0, 1)
    assert [row["is_active"] for row in research.of()] == [True, True, True]


def test_a_failure_changes_no_endpoint(research: Research) -> None:
    research.apply(checked(START, offer()))
    before = research.rows(endpoint), research.rows(endpoint_version), research.rows(endpoint_health)
    for hours in (1, 2):
        failed = Checked("acme/one", START + hours * HOUR, None, "503")
        assert research.apply(failed) == Applied(failed=1)
        assert research.apply(failed) == Applied(ignored=1), "once is enough"
    never = Checked("acme/two", START, None, "404")
    assert research.apply(never) == Applied(failed=1)
    assert (research.rows(endpoint), research.rows(endpoint_version), research.rows(endpoint_health)) == before
    one, two = research.rows(endpoint_check)
    assert one == {
        "model_id": "acme/one", "checked_at": START + 2 * HOUR, "run_id": research.run_id, "succeeded_at": START,
        "failures": 2, "error": "503",
    }  # fmt: skip
    assert (two["succeeded_at"], two["failures"]) == (None, 1)
    research.apply(checked(START + 2 * HOUR, offer()))
    one, _ = research.rows(endpoint_check)
    assert (one["succeeded_at"], one["failures"], one["error"]) == (START + 2 * HOUR, 0, None)


def test_time_never_goes_back(research: Research) -> None:
    research.apply(checked(START + HOUR, offer()))
    before = [research.rows(table) for table in (endpoint, endpoint_version, endpoint_health, endpoint_check)]
    for late in (
        checked(START, offer(prompt="9")), checked(START), Checked("acme/one", START, None, "500"),
        checked(START + HOUR, offer(prompt="9")), Checked("acme/one", START + HOUR, None, "500"),
    ):  # fmt: skip
        assert research.apply(late) == Applied(ignored=1)
    assert before == [research.rows(table) for table in (endpoint, endpoint_version, endpoint_health, endpoint_check)]


def test_a_model_is_named_once(research: Research) -> None:
    with pytest.raises(ValueError, match="twice"):
        research.apply(checked(START, offer()), checked(START + HOUR, offer()))
    assert research.apply() == Applied()


def test_what_went_bad_is_told_once(research: Research) -> None:
    down = Health(-2, uptime_last_30m=71.3)
    research.apply(checked(START, offer(), offer("bad", health=down), offer("dark", health=Health())))
    told = research.apply(
        checked(
            START + HOUR, offer(health=down), offer("bad", health=down), offer("dark", health=down),
            offer("new", health=down),
        )
    )  # fmt: skip
    assert told.gone_bad == (("acme/one", "acme", "status 0 → -2, uptime 99.5 → 71.3 %"),)
    assert told.is_changed
    again = research.apply(checked(START + 2 * HOUR, offer(health=down)))
    assert again.gone_bad == ()
    # one that was not there was not healthy just before
    research.apply(checked(START + 3 * HOUR, offer()))
    research.apply(checked(START + 4 * HOUR, offer("other")))
    assert research.apply(checked(START + 5 * HOUR, offer(health=down))).gone_bad == ()


def test_flags_of_data_retention(research: Research) -> None:
    research.apply(checked(START, offer(), offer("other")))
    assert [row["is_zdr"] for row in research.of()] == [None, None]
    assert research.apply(checked(START + HOUR, offer(), offer("other")), zdr=[("acme/one", "other")]).changed == 2
    flags = {row["key"]: row["is_zdr"] for row in research.of()}
    assert flags == {"acme": False, "other": True}
    kept = research.apply(checked(START + 2 * HOUR, offer(), offer("other"), offer("new")))
    assert (kept.changed, kept.added) == (0, 1)
    assert {row["key"]: row["is_zdr"] for row in research.of()} == flags | {"new": None}
    assert [row["is_zdr"] for row in research.history()] == [None, False, None, None, True]


def test_flags_of_models_that_are_not_asked_for(research: Research) -> None:
    twice = offer("twice"), offer("twice", context_length=5)
    research.apply(checked(START, offer(), *twice, offer("gone")), checked(START, offer(), model_id="acme/two"))
    research.apply(checked(START + HOUR, offer(), *twice))
    pairs = ("acme/one", "twice"), ("acme/two", "other"), ("acme/three", "acme")
    assert research.mark(START + 2 * HOUR, *pairs) == 4
    flags = {(row["model_id"], row["key"]): (row["is_zdr"], row["since"]) for row in research.rows(endpoint)}
    then = START + 2 * HOUR
    assert flags == {
        ("acme/one", "acme"): (False, then), ("acme/one", "twice"): (True, then), ("acme/one", "twice#2"): (True, then),
        ("acme/one", "gone"): (None, START + HOUR), ("acme/two", "acme"): (False, then),
    }  # fmt: skip
    assert research.mark(START + 3 * HOUR, *pairs) == 0
    assert [row["is_zdr"] for row in research.as_of(START + HOUR)] == [None, None, None]
    assert [row["is_zdr"] for row in research.as_of(then)] == [False, True, True]
    versions = len(research.rows(endpoint_version))
    told = research.apply(checked(START + 3 * HOUR, offer(), *twice), zdr=pairs)
    assert (told.versions, len(research.rows(endpoint_version))) == (0, versions)


@pytest.mark.parametrize("earlier", [timedelta(0), HOUR])
def test_steps_of_one_instant_are_one_version(research: Research, earlier: timedelta) -> None:
    """The flags are known before the endpoints are, by the same clock or by one that runs a little fast."""
    research.apply(checked(START, offer()))
    assert research.mark(START + 2 * HOUR, ("acme/one", "acme")) == 1
    at = START + 2 * HOUR - earlier
    told = research.apply(checked(at, offer(prompt="0.000005")), zdr=[("acme/one", "acme")])
    assert (told.changed, told.versions) == (1, 1)
    assert [(row["from"], row["is_zdr"], row["pricing"]["prompt"]) for row in research.history()] == [
        ("2026-05-04T00:00:00Z", None, "0.000001"), ("2026-05-04T02:00:00Z", True, "0.000005")
    ]  # fmt: skip
    assert research.apply(checked(START + 3 * HOUR, offer(prompt="0.000005"))).versions == 0


def test_a_scheduled_price_is_that_of_the_moment(research: Research) -> None:
    night = Override((("utc_end", 800), ("utc_start", 0)), (("prompt", Decimal(1)),))
    day = Override((("utc_end", 0), ("utc_start", 800)), (("prompt", Decimal(2)),))
    it = offer(pricing=Pricing.of({"prompt": Decimal(1), "completion": Decimal(3)}, [night, day]))
    research.apply(checked(START, it))
    assert research.of()[0]["pricing"]["prompt"] == "1"
    told = research.apply(checked(START + 9 * HOUR, it))
    assert (told.changed, told.versions, told.is_changed) == (0, 0, True), "a window that opens is no change"
    assert research.of()[0]["pricing"]["prompt"] == "2"
    assert research.of()[0]["pricing_per_million"] == {"prompt": "2000000", "completion": "3000000"}
    assert [research.as_of(START + hours * HOUR)[0]["pricing"]["prompt"] for hours in (7, 8, 24)] == ["1", "2", "1"]


def test_who_was_answered_for_since(research: Research) -> None:
    research.apply(checked(START, offer()), checked(START + HOUR, model_id="acme/two"))
    research.apply(Checked("acme/one", START + 2 * HOUR, None, "503"), Checked("acme/three", START, None, "503"))
    with research.database.read() as connection:
        found = [endpoints.checked_since(connection, START + hours * HOUR) for hours in (0, 1, 2)]
        ever = endpoints.ever_checked(connection)
    assert found == [{"acme/one", "acme/two"}, {"acme/two"}, set()]
    assert ever == {"acme/one": True, "acme/two": True, "acme/three": False}


def test_totals_add_up() -> None:
    one = Applied(models=1, added=2, doubted=("a",), gone_bad=(("a", "b", "c"),))
    assert one + Applied(models=2, failed=1, doubted=("b",), is_changed=True) == Applied(
        models=3, failed=1, added=2, doubted=("a", "b"), gone_bad=(("a", "b", "c"),), is_changed=True
    )


prices = st.sampled_from(["0", "0.000001", "0.00000008333333333333334"])
worlds = st.lists(
    st.none() | st.dictionaries(st.sampled_from("abc"), st.tuples(prices, st.sampled_from([None, "fp8"]))),
    min_size=1,
    max_size=6,
)


@settings(deadline=None, derandomize=True, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(worlds)
def test_at_each_instant_what_was_offered_then(
    research: Research, history: list[Mapping[str, tuple[str, str | None]] | None]
) -> None:
    clear(research)
    truth: list[dict[str, tuple[str, str | None]]] = []
    is_doubted = False
    for hours, world in enumerate(history):
        at = START + hours * HOUR
        if world is None:
            research.apply(Checked("acme/one", at, None, "503"))
            truth.append(truth[-1] if truth else {})
            is_doubted = False
        elif not world and not is_doubted and truth and truth[-1]:
            # that it lost all is believed when it is told again
            assert research.apply(checked(at)).doubted == ("acme/one",)
            truth.append(truth[-1])
            is_doubted = True
        else:
            is_doubted = False
            found = [offer(tag, price, quantization=kind) for tag, (price, kind) in world.items()]
            research.apply(checked(at, *found))
            truth.append(dict(world))
            assert research.apply(checked(at + HOUR / 2, *reversed(found))).versions == 0
        active = {
            row["key"]: (row["pricing"]["prompt"], row["quantization"]) for row in research.of() if row["is_active"]
        }
        assert active == truth[-1]
    for hours, expected in enumerate(truth):
        then = research.as_of(START + hours * HOUR)
        assert {row["key"]: (row["pricing"]["prompt"], row["quantization"]) for row in then} == expected
    steps = research.history()
    for before, after in pairwise(steps):
        if before["key"] == after["key"]:
            assert before["to"] == after["from"] > before["from"]
            assert {**before, "from": 0, "to": 0} != {**after, "from": 0, "to": 0}, "each version says something new"


def clear(research: Research) -> None:
    with research.database.write() as connection:
        for table in (endpoint_health, endpoint_version, endpoint, endpoint_check):
            connection.execute(table.delete())


def test_a_thousand_endpoints_take_no_time(database: Database) -> None:
    if database.dialect != "sqlite":
        pytest.skip("measured on SQLite")
    research = Research(database)
    for hours in (0, 6):
        checks = [
            checked(
                START + hours * HOUR,
                *(offer(f"p{n}/fp8", health=replace(FINE, latency_p50=n + hours)) for n in range(2 + number % 2)),
                model_id=f"acme/m{number}",
            )
            for number in range(421)
        ]
        began, told = time.process_time(), Applied()
        for first in range(0, len(checks), 50):
            told += research.apply(*checks[first : first + 50], zdr=[])
        assert time.process_time() - began < 1
        assert (told.models, told.endpoints, told.versions) == (421, 1052, 0 if hours else 1052)


# --- the series of its health


def put(research: Research, samples: Mapping[datetime, Health]) -> None:
    """One endpoint with these samples and no others."""
    clear(research)
    research.apply(checked(min(samples, default=START), offer()))
    with research.database.write() as connection:
        number = connection.execute(sa.select(endpoint.c.id)).scalar_one()
        connection.execute(endpoint_health.delete())
        rows = [
            {
                "endpoint_id": number, "span": "sample", "at": at, "samples": 1, "status": it.status,
                "uptime": it.uptime_last_30m, "uptime_low": it.uptime_last_30m, "latency_p50": it.latency_p50,
                "throughput_p50": it.throughput_p50,
            }
            for at, it in samples.items()
        ]  # fmt: skip
        if rows:
            connection.execute(endpoint_health.insert(), rows)


def thin(research: Research, now: datetime, sample_days: int = 14, day_days: int = 180) -> int:
    with research.database.write() as connection:
        return endpoints.thin(connection, now=now, sample_days=sample_days, day_days=day_days)


def series(research: Research) -> Rows:
    return [{k: v for k, v in row.items() if k != "endpoint_id"} for row in research.rows(endpoint_health)]


def expected(
    samples: Mapping[datetime, Health], now: datetime, sample_days: int, day_days: int
) -> set[tuple[Any, ...]]:
    """What must be left, by plain dates and exact fractions: day by day, then week by week."""
    days: dict[Any, list[Health]] = {}
    for at, it in samples.items():
        days.setdefault(at.date(), []).append(it)
    first_sample_day = (now - timedelta(days=sample_days)).date()
    edge = min(first_sample_day, (now - timedelta(days=day_days)).date())
    first_day_week = edge - timedelta(days=edge.weekday())
    found: set[tuple[Any, ...]] = set()
    weeks: dict[Any, list[tuple[Any, ...]]] = {}
    for date, several in days.items():
        if date >= first_sample_day:
            found |= {
                ("sample", at, 1, it.status, it.uptime_last_30m, it.uptime_last_30m, it.latency_p50)
                for at, it in samples.items() if at.date() == date
            }  # fmt: skip
            continue
        statuses = [it.status for it in several if it.status is not None]
        uptimes = [Fraction(it.uptime_last_30m) for it in several if it.uptime_last_30m is not None]
        latencies = [Fraction(it.latency_p50) for it in several if it.latency_p50 is not None]
        row = (len(several), min(statuses, default=None), plain_mean(uptimes), min(uptimes, default=None),
               plain_mean(latencies))  # fmt: skip
        if date >= first_day_week:
            found.add(("day", datetime(date.year, date.month, date.day, tzinfo=UTC), *row))
        else:
            weeks.setdefault(date - timedelta(days=date.weekday()), []).append(row)
    for monday, rows in weeks.items():
        begin = datetime(monday.year, monday.month, monday.day, tzinfo=UTC)
        lows = [row[3] for row in rows if row[3] is not None]
        found.add((
            "week", begin, sum(row[0] for row in rows), min((r[1] for r in rows if r[1] is not None), default=None),
            plain_mean([row[2] for row in rows for _ in range(row[0]) if row[2] is not None]), min(lows, default=None),
            plain_mean([row[4] for row in rows for _ in range(row[0]) if row[4] is not None]),
        ))  # fmt: skip
    return found


def plain_mean(values: Sequence[Fraction]) -> Fraction | None:
    return sum(values) / len(values) if values else None  # type: ignore[return-value]


def same(found: Rows, wanted: set[tuple[Any, ...]]) -> bool:
    names = ("span", "at", "samples", "status", "uptime", "uptime_low", "latency_p50")
    rows = sorted((tuple(row[name] for name in names) for row in found), key=lambda row: row[:2])
    others = sorted(wanted, key=lambda row: row[:2])
    return [row[:4] for row in rows] == [row[:4] for row in others] and all(
        (a is None and b is None) or (a is not None and b is not None and abs(a - b) <= 1e-9 * max(1, abs(b)))
        for row, other in zip(rows, others, strict=True)
        for a, b in zip(row[4:], other[4:], strict=True)
    )


some_health = st.builds(
    Health,
    status=st.sampled_from([None, 0, -2, -10]),
    uptime_last_30m=st.none() | st.floats(0, 100),
    latency_p50=st.none() | st.floats(0, 1e5),
    throughput_p50=st.none() | st.floats(0, 1e3),
)
some_samples = st.dictionaries(
    st.integers(0, 60 * 24).map(lambda hours: START + hours * HOUR), some_health, min_size=1, max_size=40
)


@settings(deadline=None, derandomize=True, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some_samples, st.integers(0, 20), st.integers(0, 40), st.lists(st.integers(0, 70 * 24), max_size=3))
def test_thinning_sums_up_whatever_the_steps(
    research: Research, samples: dict[datetime, Health], sample_days: int, day_days: int, stops: list[int]
) -> None:
    end = START + 70 * DAY
    put(research, samples)
    before = len(series(research))
    fewer = sum(thin(research, START + hours * HOUR, sample_days, day_days) for hours in sorted(stops))
    fewer += thin(research, end, sample_days, day_days)
    by_steps = series(research)
    assert same(by_steps, expected(samples, end, sample_days, day_days))
    assert before - fewer == len(by_steps)
    assert thin(research, end, sample_days, day_days) == 0, "a second time there is nothing to do"
    assert series(research) == by_steps
    assert sum(row["samples"] for row in by_steps) == len(samples)
    put(research, samples)
    thin(research, end, sample_days, day_days)
    assert series(research) == by_steps, "at once or in steps: to the last digit"


def test_what_comes_late_is_added(research: Research) -> None:
    samples = {START + hours * HOUR: Health(0, uptime_last_30m=float(hours)) for hours in range(0, 24 * 14, 6)}
    late = {START + 3 * HOUR: Health(-5, uptime_last_30m=50.0), START + 9 * DAY: Health(0, uptime_last_30m=1.0)}
    late = {at + timedelta(minutes=1): it for at, it in late.items()}
    now = START + 20 * DAY
    put(research, samples)
    thin(research, now, 2, 7)
    (row,) = research.rows(endpoint)
    with research.database.write() as connection:
        for at, it in late.items():
            values = {"uptime": it.uptime_last_30m, "uptime_low": it.uptime_last_30m, "status": it.status}
            connection.execute(
                endpoint_health.insert(),
                {"endpoint_id": row["id"], "span": "sample", "at": at, "samples": 1, **values},
            )
    before = len(series(research))
    assert thin(research, now, 2, 7) == before - len(series(research)) == 2
    assert same(series(research), expected(samples | late, now, 2, 7))


def test_a_week_waits_for_all_of_its_days(research: Research) -> None:
    samples = {START + days * DAY: FINE for days in range(21)}
    put(research, samples)
    # by now the days are three weeks old and due as weeks, but a day is made only after ten
    now = START + 21 * DAY
    thin(research, now, 10, 0)
    assert [row["span"] for row in series(research)].count("week") == 1
    assert same(series(research), expected(samples, now, 10, 0))


def test_two_years_every_six_hours(research: Research) -> None:
    now = START + 730 * DAY + 12 * HOUR
    samples = {}
    at = START
    while at <= now:
        samples[at] = Health(0, uptime_last_30m=float(at.day), latency_p50=float(at.hour))
        at += 6 * HOUR
    put(research, samples)
    fewer = thin(research, now)
    spans = [row["span"] for row in series(research)]
    # from the Monday before 180 days ago on there are days, up to 14 days ago
    edge = (now - 180 * DAY).date()
    monday = edge - timedelta(days=edge.weekday())
    assert spans.count("sample") == 14 * 4 + 3, "and what there is of today"
    assert spans.count("day") == 166 + edge.weekday() == ((now - 14 * DAY).date() - monday).days
    assert spans.count("week") == (monday - START.date()).days // 7 == 78
    assert fewer == len(samples) - len(spans)
    assert same(series(research), expected(samples, now, 14, 180))


def test_the_series_as_users_see_it(research: Research) -> None:
    samples = {START + days * DAY + 6 * HOUR: FINE for days in range(40)}
    put(research, samples)
    thin(research, START + 40 * DAY, 14, 20)

    def since(at: datetime) -> list[tuple[str, str]]:
        with research.database.read() as connection:
            return [(row["span"], row["at"][:13]) for row in endpoints.health_of(connection, "acme/one", at)]

    assert len(since(START)) == 2 + 12 + 14
    assert since(START)[0] == ("week", "2026-05-04T00")
    assert since(START + 6 * DAY)[0] == ("week", "2026-05-04T00"), "the week that an instant lies in"
    assert since(START + 7 * DAY)[0] == ("week", "2026-05-11T00")
    assert since(START + 15 * DAY + HOUR)[0] == ("day", "2026-05-19T00")
    assert since(START + 39 * DAY + 6 * HOUR) == [("sample", "2026-06-12T06")]
    assert since(START + 39 * DAY + 7 * HOUR) == []
    with research.database.read() as connection:
        row = endpoints.health_of(connection, "acme/one", START)[0]
    assert row == {
        "provider": "Acme", "tag": "acme", "key": "acme", "span": "week", "at": "2026-05-04T00:00:00Z", "samples": 7,
        "status": 0, "uptime": 99.5, "uptime_low": 99.5, "latency_p50": 500.0, "throughput_p50": 60.0,
    }  # fmt: skip


# --- providers


def test_providers_are_kept(research: Research) -> None:
    def keep(at: datetime, *providers: Provider, is_whole: bool = True) -> int:
        with research.database.write() as connection:
            return endpoints.keep_providers(connection, providers, at=at, is_whole=is_whole)

    acme = Provider("acme", "Acme", "US", ("DE", "US"), "https://acme.test/privacy")
    other = Provider("other", "Other", None, ())
    assert keep(START, acme, other) == 2
    assert keep(START + HOUR, other, acme) == 0
    assert keep(START + 2 * HOUR) == 0, "there always are some"
    assert keep(START + 2 * HOUR, acme, is_whole=False) == 0, "who could not be read may be there"
    assert keep(START + 3 * HOUR, replace(acme, datacenters=None)) == 2
    assert keep(START + 3 * HOUR, replace(acme, datacenters=None)) == 0
    one, two = research.rows(provider)
    assert one == {
        "slug": "acme", "name": "Acme", "headquarters": "US", "datacenters": None, "is_active": True,
        "privacy_policy_url": "https://acme.test/privacy", "terms_of_service_url": None, "status_page_url": None,
        "first_seen_at": START, "last_seen_at": START + 3 * HOUR,
    }  # fmt: skip
    assert (two["is_active"], two["datacenters"], two["last_seen_at"]) == (False, [], START + HOUR)
    assert keep(START + 4 * HOUR, replace(acme, datacenters=None), other) == 1
    assert [row["is_active"] for row in research.rows(provider)] == [True, True]


def test_a_stored_document_is_the_endpoint(research: Research) -> None:
    it = offer()
    research.apply(checked(START, it))
    (row,), (version,) = research.rows(endpoint), research.rows(endpoint_version)
    assert row["document"] == version["document"] == to_document(it.endpoint)
    assert version["run_id"] == research.rows(sync_run)[0]["id"]
