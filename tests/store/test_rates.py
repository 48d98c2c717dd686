"""What things cost when, as the store tells it: by the gate's own runs, on both databases, and over the two years."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from llmhive.app.openrouter.pipeline import apply_bootstrap
from llmhive.catalog.endpoint import Endpoint, Health, Offer, Provider, keyed, to_document
from llmhive.catalog.price import DYNAMIC, UNKNOWN, Step
from llmhive.catalog.pricing import Override, Pricing
from llmhive.catalog.routing import Candidate
from llmhive.store import browse, endpoints, history, rates, runs
from llmhive.store.captures import read_body
from llmhive.store.database import Database, connect
from llmhive.store.endpoints import Checked
from tests.fake_openrouter import catalog, model
from tests.support import Live, history_database

START = datetime(2026, 3, 2, tzinfo=UTC)
OTHERS = [model(f"acme/other-{number}") for number in range(40)]
LONG = {"min_prompt_tokens": 1000, "prompt": "0.000002"}


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def body(*models: Any) -> bytes:
    return catalog(*OTHERS, *models)


def one(prompt: str = "0.000001", completion: str = "0.000002", **pricing: Any) -> Any:
    return model("acme/one", pricing={"prompt": prompt, "completion": completion} | pricing)


def of_model(database: Database, model_id: str = "acme/one") -> list[Step]:
    with database.read() as connection:
        return rates.of_models(connection, {model_id}).get(model_id, [])


def pricing(*overrides: Override, **units: str) -> Pricing:
    return Pricing.of({unit: Decimal(rate) for unit, rate in units.items()}, overrides)


def at(steps: Sequence[Step], when: datetime) -> Step | None:
    found = [it for it in steps if it.begin <= when and (it.end is None or when < it.end)]
    assert len(found) <= 1
    return found[0] if found else None


# --- models


def test_a_model_over_time(database: Database) -> None:
    live = Live(database)
    live(day(0), body(one()))
    live(day(1), body(one(prompt="0.0000011", overrides=[LONG])))
    live(day(2), body(one(prompt="0.0000011", overrides=[LONG]) | {"name": "Renamed"}))
    live(day(3), body())
    live(day(4), body(one(web_search="0.01")))
    long = Override((("min_prompt_tokens", 1000),), (("prompt", Decimal("0.000002")),))
    steps = of_model(database)
    assert [(it.begin, it.end, it.pricing) for it in steps] == [
        (day(0), day(1), pricing(prompt="0.000001", completion="0.000002")),
        (day(1), day(3), pricing(long, prompt="0.0000011", completion="0.000002")),
        (day(4), None, pricing(prompt="0.000001", completion="0.000002", web_search="0.01")),
    ]
    with database.read() as connection:
        everything = rates.of_models(connection, None)
        assert everything["acme/one"] == steps
        assert len(everything) == 41
        assert rates.of_models(connection, {"acme/none"}) == {}
        assert rates.of_models(connection, ()) == {}


def test_what_has_no_price_says_why(database: Database) -> None:
    live = Live(database)
    router = model("acme/auto", pricing={"prompt": "-1", "completion": "-1"})
    media = model(
        "acme/video", architecture={"output_modalities": ["video"]}, pricing={"prompt": "0", "completion": "0"}
    )
    bare = model("acme/bare", pricing=...)
    live(day(0), body(router, media, bare, model("acme/one:free")))
    live(day(1), body(router, media, model("acme/bare"), model("acme/one:free")))
    with database.read() as connection:
        found = rates.of_models(connection, {"acme/auto", "acme/video", "acme/bare", "acme/one:free"})
    assert [(it.pricing, it.why) for it in found["acme/auto"]] == [(None, DYNAMIC)]
    assert [(it.pricing, it.why) for it in found["acme/video"]] == [(None, UNKNOWN)]
    assert [(it.begin, it.why) for it in found["acme/bare"]] == [(day(0), UNKNOWN), (day(1), None)]
    assert [it.pricing for it in found["acme/one:free"]] == [pricing(prompt="0", completion="0")]


def test_a_held_rate_is_not_used(database: Database) -> None:
    live = Live(database)
    live(day(0), body(one()))
    assert live(day(1), body(one(completion="0.00000001"))).judgement.verdicts[0].field == "pricing.completion"
    held = of_model(database)
    assert [it.pricing for it in held] == [pricing(prompt="0.000001", completion="0.000002")] * 2
    assert held[1].notes == (
        "completion: the rate 0.00000001 served since 2026-03-03 was held and never confirmed; the last confirmed "
        "one, 0.000002, is used.",
    )
    # a second sync says the same: it was a price all along
    live(day(2), body(one(completion="0.00000001")))
    assert [(it.begin, it.pricing and it.pricing.rate("completion"), it.notes) for it in of_model(database)] == [
        (day(0), Decimal("0.000002"), ()), (day(1), Decimal("0.00000001"), ())
    ]  # fmt: skip


def test_a_held_rate_that_went_back_was_never_a_price(database: Database) -> None:
    live = Live(database)
    live(day(0), body(one(overrides=[LONG])))
    live(day(1), body(one(prompt="0.00000001", overrides=[LONG])))
    live(day(2), body(one(overrides=[LONG])))
    steps = of_model(database)
    assert [(it.begin, len(it.notes)) for it in steps] == [(day(0), 0), (day(1), 1), (day(2), 0)]
    assert len({it.pricing for it in steps}) == 1


def test_a_pricing_that_is_held_as_a_whole_is_not_used(database: Database) -> None:
    live = Live(database)
    live(day(0), body(one(request="0.1")))
    taken = live(day(1), body(one(prompt="0.001", overrides=[LONG], request="0.1")))
    assert [(it.field, it.outcome) for it in taken.judgement.verdicts] == [("pricing", "held")]
    for _ in range(2):
        steps = of_model(database)
        assert [(it.begin, len(it.notes)) for it in steps[:2]] == [(day(0), 0), (day(1), 1)]
        assert {it.pricing for it in steps} == {pricing(prompt="0.000001", completion="0.000002", request="0.1")}
        live(day(2), body(one(request="0.1")))
    assert [it.begin for it in steps] == [day(0), day(1), day(2)]


# --- beliefs


def test_what_is_believed_now_and_was_then(database: Database) -> None:
    live = Live(database)
    live(day(0), body(one()))
    live(day(1), body(one(prompt="0.00000001")), known_at=day(1.5))
    live(day(2), body())
    with database.read() as connection:
        first = rates.believed(connection, "acme/one", day(1.9))
        assert first is not None
        # the held rate is no part of it
        assert (first.pricing, first.source) == (pricing(prompt="0.000001", completion="0.000002"), "catalog")
        assert (first.begin, first.end) == (day(1.5), day(2))
        gone = rates.believed(connection, "acme/one")
        assert gone is not None
        assert (gone.pricing, gone.begin) == (None, day(2))
        assert "no longer lists it" in str(gone.why)
        assert rates.believed(connection, "acme/one", day(-1)) is None
        assert rates.believed(connection, "acme/none") is None
        source = rates.source_of(connection, first)
        assert source is not None
        assert read_body(connection, source["digest"]) == body(one(prompt="0.00000001"))


def test_facts_of_the_bootstrap_are_called_so(database: Database) -> None:
    with database.write() as connection:
        claimed = runs.claim(connection, "bootstrap", trigger="t", owner="t", now=day(0), interval=None)
        assert isinstance(claimed, runs.Claimed)
        apply_bootstrap(connection, run_id=claimed.run_id, now=day(0))
    with database.read() as connection:
        for known_at in (None, day(0), day(9)):
            step = rates.believed(connection, "openai/gpt-4o", known_at)
            assert step is not None
            assert step.pricing is not None
            # facts hold since they were gathered, beliefs since they are believed
            gathered = browse.standing(connection).as_of
            assert (step.source, step.begin) == ("bootstrap", day(0) if known_at else gathered)
            source = rates.source_of(connection, step)
            assert source is not None
            assert (source["run"], len(source["version"])) == (claimed.run_id, 32)
        assert rates.of_models(connection, None) == {}
    # a list that says the same
    shipped = json.loads(json.dumps(_bootstrap_record("openai/gpt-4o")))
    Live(database)(day(1), body(shipped))
    with database.read() as connection:
        sources = [rates.believed(connection, "openai/gpt-4o", at) for at in (None, day(0.5), day(1))]
        assert [it and it.source for it in sources] == ["catalog", "bootstrap", "catalog"]


def _bootstrap_record(model_id: str) -> Any:
    from llmhive.app.openrouter import bootstrap

    feed, _ = bootstrap.load()
    return json.loads(next(it.raw for it in feed.records if it.id == model_id))


# --- endpoints


def offer(tag: str, prompt: str = "0.000001", health: Health | None = None, **more: Any) -> Offer:
    name = {"google-ai-studio": "Google AI Studio"}.get(tag, tag.partition("/")[0].title())
    rated = pricing(prompt=prompt, completion="0.000002")
    return Offer(Endpoint("acme/one", tag, name, pricing=rated, **more), health or Health())


def take(database: Database, run_id: int, when: datetime, *offers: Offer) -> None:
    with database.write() as connection:
        endpoints.apply(connection, [Checked("acme/one", when, keyed(offers))], run_id=run_id, zdr=frozenset())


@pytest.fixture
def offered(database: Database) -> tuple[Database, int]:
    """Endpoints that changed, went and returned; the model itself outputs text."""
    Live(database)(day(-1), body(one()))
    with database.write() as connection:
        claimed = runs.claim(connection, "research", trigger="t", owner="t", now=day(0), interval=None)
        assert isinstance(claimed, runs.Claimed)
        endpoints.keep_providers(
            connection,
            [Provider("deep-infra", "Deepinfra"), Provider("google-ai-studio", "Google AI Studio")],
            at=day(0),
        )
    run_id = claimed.run_id
    well, ill = Health(0, 99.0, 98.0, 97.0, 500.0, 900.0, 60.0, 40.0), Health(-2, 50.0, 51.0, 52.0)
    flex = offer("deepinfra/flex", "0.0000005")
    take(database, run_id, day(0), offer("deepinfra/fp4", health=well), offer("google-ai-studio"), flex)
    take(database, run_id, day(1), offer("deepinfra/fp4", "0.0000009", ill, discount=Decimal("0.1")), flex)
    take(
        database, run_id, day(2.5), offer("deepinfra/fp4", "0.0000009", discount=Decimal("0.1")), flex,
        offer("google-ai-studio"),
    )  # fmt: skip
    return database, run_id


def test_endpoints_over_time(offered: tuple[Database, int]) -> None:
    database, run_id = offered
    with database.read() as connection:
        for name in ("Deepinfra", "deepinfra", "deep-infra", "deepinfra/fp4"):
            found = rates.of_endpoints(connection, "acme/one", name)
            assert [(it.begin, it.end, it.pricing and it.pricing.rate("prompt")) for it in found["deepinfra/fp4"]] == [
                (day(0), day(1), Decimal("0.000001")), (day(1), None, Decimal("0.0000009"))
            ]  # fmt: skip
            assert found.keys() == {"deepinfra/fp4"}
        last = found["deepinfra/fp4"][-1]
        assert (last.tag, last.provider, last.source) == ("deepinfra/fp4", "Deepinfra", "endpoint")
        assert last.notes == ("The endpoint's rates are net of a discount of 10 %.",)
        expected = to_document(offer("deepinfra/fp4", "0.0000009", discount=Decimal("0.1")).endpoint)
        assert rates.source_of(connection, last) == {
            "run": run_id, "digest": sha256(expected.encode()).hexdigest()
        }  # fmt: skip
        assert rates.of_endpoints(connection, "acme/one", "deepinfra", "flex").keys() == {"deepinfra/flex"}
        assert rates.of_endpoints(connection, "acme/one", None).keys() == {"deepinfra/fp4", "google-ai-studio"}
        assert rates.of_endpoints(connection, "acme/one", "nobody") == {}
        assert rates.of_endpoints(connection, "acme/none", "deepinfra") == {}
        away = rates.of_endpoints(connection, "acme/one", "Google AI Studio")["google-ai-studio"]
        assert [(it.begin, it.end) for it in away] == [(day(0), day(1)), (day(2.5), None)]


def test_a_model_at_one_provider(offered: tuple[Database, int]) -> None:
    database, _ = offered
    listed = of_model(database)
    with database.read() as connection:
        steps = rates.of_provider(connection, "acme/one", "deepinfra", None, listed)
        assert [(it.begin, it.source) for it in steps] == [
            (day(-1), "catalog"), (day(0), "endpoint"), (day(1), "endpoint")
        ]  # fmt: skip
        for name, tier in (("deepinfra", "flex"), ("deepinfra/flex", None), (None, "flex")):
            steps = rates.of_provider(connection, "acme/one", name, tier, listed)
            assert steps[-1].pricing == pricing(prompt="0.0000005", completion="0.000002")


def test_offers_now_and_then(offered: tuple[Database, int]) -> None:
    database, _ = offered
    with database.read() as connection:
        now = rates.of_offers(connection, "acme/one")
        assert [(it.key, it.provider_slug, it.is_zdr) for it in now] == [
            ("deepinfra/flex", "deep-infra", False), ("deepinfra/fp4", "deep-infra", False),
            ("google-ai-studio", "google-ai-studio", False),
        ]  # fmt: skip
        assert all(isinstance(it, Candidate) and it.health == Health() for it in now)
        then = rates.of_offers(connection, "acme/one", day(1.5))
        assert [(it.key, it.health) for it in then] == [
            ("deepinfra/flex", Health()), ("deepinfra/fp4", Health(-2, None, 51.0)),
        ]  # fmt: skip
        assert then[1].endpoint.pricing.rate("prompt") == Decimal("0.0000009")
        early = rates.of_offers(connection, "acme/one", day(0))
        assert early[1].health == Health(0, None, 98.0, None, 500.0, None, 60.0)
        # the last sample is older than a day
        assert [it.health for it in rates.of_offers(connection, "acme/one", day(2.4))] == [Health(), Health()]
        assert rates.of_offers(connection, "acme/one", day(-1)) == []


# --- what brought a step


def test_the_capture_that_brought_a_step_is_of_a_scope_that_shows_the_model(database: Database) -> None:
    live = Live(database)
    media = model("acme/video", architecture={"output_modalities": ["video"]})
    everything, text = body(one(), media), body(one())
    live(day(0), text, "text")
    live(day(0), everything, "all")
    with database.read() as connection:
        for model_id in ("acme/one", "acme/video"):
            (step,) = rates.of_models(connection, {model_id})[model_id]
            source = rates.source_of(connection, step)
            assert source is not None
            assert (source["fetched_at"], set(source)) == (
                "2026-03-02T00:00:00Z", {"capture", "fetched_at", "scope", "run", "digest"}
            )  # fmt: skip
            listed = {it["id"]: it for it in json.loads(read_body(connection, source["digest"]))["data"]}
            assert model_id in listed
            assert sha256(read_body(connection, source["digest"])).hexdigest() == source["digest"]
        nothing = Step(day(5), None, None, None, "catalog", "acme/one")
        assert rates.source_of(connection, nothing) is None


# --- the two years


@pytest.fixture
def two_years(tmp_path: Path) -> Iterator[Database]:
    shutil.copy(history_database(), tmp_path / "history.db")
    opened = connect(f"sqlite:///{tmp_path / 'history.db'}")
    yield opened
    opened.close()


def expected(served: Any) -> Pricing | None:
    """What a version's pricing comes to: nothing where its kind says so."""
    return served.pricing if served.pricing_kind in {"fixed", "free"} else None


@pytest.mark.history
@pytest.mark.long
def test_every_version_of_two_years_has_its_pricing(two_years: Database) -> None:
    with two_years.read() as connection:
        begun = time.perf_counter()
        found = rates.of_models(connection, None)
        # 0.1 s on two cores; far from the second that is the limit, whatever else runs
        assert time.perf_counter() - begun < 1
        timelines = history.timelines(connection)
        assert found.keys() == timelines.keys()
        assert len(found) == 916
        unpriced = set()
        for model_id, timeline in timelines.items():
            for begin, listing in timeline:
                step = at(found[model_id], begin)
                assert (step is not None) == listing.is_listed
                if step is None:
                    continue
                assert step.pricing == expected(listing.version.model), (model_id, begin)
                if step.pricing is None:
                    kind = listing.version.model.pricing_kind
                    assert step.why == {"dynamic": DYNAMIC, "unknown": UNKNOWN}[kind]
                    unpriced.add(model_id)
            priced = [it.begin for it in found[model_id]]
            assert set(priced) <= {begin for begin, _ in timeline}
        assert len(unpriced) == 8
        assert rates.of_models(connection, list(found)[::7]) == dict(sorted(found.items())[::7])


@pytest.mark.history
@pytest.mark.long
def test_any_instant_of_two_years_is_the_body_of_then(two_years: Database) -> None:
    """Against the JSON of the bodies themselves, found by `source_of`."""
    dice = random.Random(6)
    with two_years.read() as connection:
        found = rates.of_models(connection, None)
        first, last = history.first_capture(connection), datetime(2026, 7, 31, tzinfo=UTC)
        assert first is not None
        for _ in range(25):
            when = first + (last - first) * dice.random()
            listed = history.as_of(connection, when, listed=True)
            assert {model_id for model_id, steps in found.items() if at(steps, when)} == listed.keys()
            for model_id in dice.sample(sorted(listed), 8):
                step = at(found[model_id], when)
                assert step is not None
                assert step.pricing == expected(listed[model_id].listing.version.model)
                source = rates.source_of(connection, step)
                assert source is not None
                served = json.loads(read_body(connection, source["digest"]))["data"]
                said = next(it["pricing"] for it in served if it["id"] == model_id)
                if step.pricing is not None:
                    assert dict(step.pricing.rates) == _numbers(said)


def _numbers(served: Mapping[str, Any]) -> dict[str, Decimal]:
    read = {unit: Decimal(str(rate)) for unit, rate in served.items() if unit not in {"discount", "overrides"}}
    return {unit: rate for unit, rate in read.items() if rate or unit in {"prompt", "completion"}}
