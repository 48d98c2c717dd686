"""What there is to choose from, as the store tells it: now and then, on both databases, and over the two years."""

from __future__ import annotations

import random
import shutil
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from llmhive.app.openrouter.pipeline import apply_bootstrap
from llmhive.catalog.benchmark import Measure
from llmhive.catalog.endpoint import Endpoint, Health, Offer, Provider, keyed
from llmhive.catalog.pricing import Pricing
from llmhive.catalog.ranking import Rank, Ranking
from llmhive.catalog.routing import Candidate
from llmhive.catalog.selectable import Selectable, Stock
from llmhive.store import benchmarks, browse, catalog, endpoints, history, rankings, rates, runs, selectables
from llmhive.store.database import Database, connect
from llmhive.store.endpoints import Checked
from tests.fake_openrouter import catalog as listing
from tests.fake_openrouter import model
from tests.support import Live, history_database

START = datetime(2026, 3, 2, tzinfo=UTC)
#: so many that one that goes is no reason to hold a run
OTHERS = [model(f"acme/other-{number}") for number in range(40)]
WELL = Health(0, 99.0, 98.0, 97.0, 500.0, 900.0, 60.0, 40.0)


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def sync(database: Database, at: datetime, *models: Any, known_at: datetime | None = None) -> None:
    """One sync that finds some models beside the others."""
    Live(database)(at, listing(*OTHERS, *models), known_at=known_at)


def one(prompt: str = "0.000001", **more: Any) -> Any:
    return model("acme/one", pricing={"prompt": prompt, "completion": "0.000002"}, **more)


def priced(prompt: str, completion: str = "0.000002") -> Pricing:
    return Pricing.of({"prompt": Decimal(prompt), "completion": Decimal(completion)})


def load(database: Database, at: datetime | None = None) -> Stock:
    with database.read() as connection:
        found = selectables.load(connection, at=at)
        assert selectables.load(connection, at=at) == found
    assert [it.row["id"] for it in found.models] == sorted(it.row["id"] for it in found.models)
    return found


def of(stock: Stock, model_id: str = "acme/one") -> Selectable:
    (found,) = (it for it in stock.models if it.row["id"] == model_id)
    return found


def offer(tag: str, prompt: str = "0.000001", health: Health = WELL, model_id: str = "acme/one") -> Offer:
    return Offer(Endpoint(model_id, tag, tag.partition("/")[0].title(), pricing=priced(prompt)), health)


class Research:
    """Research runs that ask for endpoints and publish figures."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.write() as connection:
            claimed = runs.claim(connection, "research", trigger="t", owner="t", now=day(0), interval=None)
            assert isinstance(claimed, runs.Claimed)
            self._run_id = claimed.run_id
            endpoints.keep_providers(connection, [Provider("deep-infra", "Deepinfra")], at=day(0))

    def end(self, at: datetime) -> None:
        with self._database.write() as connection:
            version = catalog.raise_version(connection)
            runs.end(connection, self._run_id, "completed", now=at, catalog_version=version)

    def check(
        self, at: datetime, *offers: Offer, model_id: str = "acme/one", zdr: frozenset[tuple[str, str]] | None = None
    ) -> None:
        with self._database.write() as connection:
            endpoints.apply(connection, [Checked(model_id, at, keyed(offers))], run_id=self._run_id, zdr=zdr)

    def rank(self, at: datetime, dimension: str, category: str | None, *names: tuple[str, str | None]) -> None:
        ranks = tuple(Rank(rank, slug, model_id) for rank, (slug, model_id) in enumerate(names, start=1))
        made = Ranking(dimension, category, "data-api", at.isoformat(), None, None, ranks)
        with self._database.write() as connection:
            rankings.publish(connection, made, run_id=self._run_id, at=at)

    def fail(self, at: datetime, category: str) -> None:
        made = Ranking("category", category, "data-api", None, None, None, (Rank(1, "acme/other-1", None),))
        with self._database.write() as connection:
            rankings.fail(connection, made, ["it is wrong"], run_id=self._run_id, at=at)


def measured(database: Database, at: datetime, source: str, **values: str) -> None:
    """Measures ``slug__metric``; ``one`` is acme's."""
    told = []
    for name, value in values.items():
        slug, metric = name.split("__")
        told.append(Measure(source, f"acme/{slug.replace('_', '-')}", metric, Decimal(value), {}, None))
    with database.write() as connection:
        benchmarks.keep(connection, source, told, at=at)


# --- now


def test_every_model_with_what_is_believed_of_it(database: Database) -> None:
    sync(database, day(0), one(), model("acme/two"), model("acme/auto", pricing={"prompt": "-1", "completion": "-1"}))
    sync(database, day(1), one("0.00000001"), model("acme/auto", pricing={"prompt": "-1", "completion": "-1"}))
    found = load(database)
    assert (found.catalog_version, found.source, len(found.models)) == (2, "openrouter", 43)
    held = of(found)
    assert held.row["held"].keys() == {"pricing.prompt"}
    assert held.pricing == priced("0.000001"), "a held price is not believed"
    assert held.row["prompt_price"] == Decimal("0.000001")
    assert held.row["input_modalities"] == ["text"]
    assert not {"raw", "document", "version"} & held.row.keys()
    assert [of(found, name).row["is_active"] for name in ("acme/one", "acme/two")] == [True, False]
    assert of(found, "acme/two").pricing == priced("0.0000005", "0.0000015")
    assert of(found, "acme/auto").pricing.rate("prompt") == -1
    assert all(it.offers is None for it in found.models), "nobody asked who serves them"
    assert found.evidence == ({}, {}, {})


def test_the_time_is_when_the_catalog_got_its_version(database: Database) -> None:
    assert load(database)[:3] == (0, datetime.min.replace(tzinfo=UTC), None)
    assert load(database).models == ()
    sync(database, day(0), one(), known_at=day(0.1))
    assert load(database)[:3] == (1, day(0.1), day(0))
    sync(database, day(1), one(), known_at=day(1.1))
    assert load(database)[:3] == (1, day(0.1), day(1)), "nothing was new, so it is the same stock"
    with database.write() as connection:
        catalog.raise_version(connection)
    assert load(database)[:3] == (2, day(1), day(1)), "the run that raises it has not ended"
    sync(database, day(2), one(), known_at=day(2.1))
    assert load(database)[:3] == (2, day(2.1), day(2))
    with database.read() as connection:
        head, stock = selectables.head(connection), selectables.load(connection)
    assert head == (stock.catalog_version, stock.at, stock.as_of, stock.source)


def test_facts_of_a_bootstrap_are_of_their_own_time(database: Database) -> None:
    with database.write() as connection:
        claimed = runs.claim(connection, "bootstrap", trigger="t", owner="t", now=day(300), interval=None)
        assert isinstance(claimed, runs.Claimed)
        count, gathered = apply_bootstrap(connection, run_id=claimed.run_id, now=day(300))
    found = load(database)
    assert (found.at, found.as_of, found.source, len(found.models)) == (gathered, gathered, "bootstrap", count)
    then = load(database, day(400))
    assert (then.as_of, then.source, then.models) == (None, None, ()), "OpenRouter never served them"


def test_endpoints_with_how_they_fare(database: Database) -> None:
    sync(database, day(0), one())
    research = Research(database)
    research.check(day(1), offer("nebius"), offer("deepinfra/fp4", "0.0000009"), offer("gone"))
    research.check(day(1.5), offer("nebius"), offer("deepinfra/fp4"), zdr=frozenset({("acme/one", "nebius")}))
    research.check(day(1.5), model_id="acme/other-1")
    research.end(day(2))
    stock = load(database)
    assert of(stock).offers == (
        Candidate(offer("deepinfra/fp4").endpoint, WELL, False, "deep-infra", "deepinfra/fp4"),
        Candidate(offer("nebius").endpoint, WELL, True, None, "nebius"),
    )
    assert of(stock, "acme/other-1").offers == (), "they were asked for, and there are none"
    assert of(stock, "acme/other-2").offers is None
    with database.read() as connection:
        assert of(stock).offers == tuple(rates.of_offers(connection, "acme/one"))


def test_how_they_fare_is_known_for_a_day_and_who_serves_for_eight(database: Database) -> None:
    sync(database, day(0), one())
    research = Research(database)
    research.check(day(1), offer("nebius"))
    research.end(day(1))
    for at, expected in ((2, WELL), (2.01, Health()), (9, Health()), (9.01, None)):
        name = f"Renamed {at}"
        sync(database, day(at), one(name=name))
        found = of(load(database))
        assert found.row["name"] == name
        assert (found.offers and found.offers[0].health) == expected


def test_endpoints_are_not_known_once_the_listed_price_is_another(database: Database) -> None:
    sync(database, day(0), one(), model("acme/two", pricing={"web_search": "0.01"}), model("acme/three"))
    research = Research(database)
    for name in ("one", "two", "three"):
        research.check(day(1), offer("nebius", model_id=f"acme/{name}"), model_id=f"acme/{name}")
    research.end(day(1))
    assert all(of(load(database), f"acme/{name}").offers for name in ("one", "two", "three"))
    # a rate that goes is a change as well
    sync(database, day(2), one("0.0000011"), model("acme/two"), model("acme/three", name="Renamed"))
    stock = load(database)
    assert [of(stock, f"acme/{name}").offers is None for name in ("one", "two", "three")] == [True, True, False]
    again = Research(database)
    again.check(day(2), offer("nebius", "0.0000011"))
    again.end(day(2.1))
    stock = load(database)
    assert [of(stock, f"acme/{name}").offers is None for name in ("one", "two", "three")] == [False, True, False]


# --- evidence


def test_what_is_measured_counts_for_every_row_of_a_model(database: Database) -> None:
    sync(database, day(0), one(), model("acme/one:free"), model("acme/two"), model("acme/two:batch"))
    measured(
        database, day(0), "artificial-analysis",
        **{"one-20260115__intelligence_index": "60.5", "two__coding_index": "7"},
    )  # fmt: skip
    measured(
        database, day(0), "models:artificial-analysis",
        **{"one-20260115__intelligence_index": "59", "one-20260115__agentic_index": "40", "unheard__coding_index": "1"},
    )  # fmt: skip
    measured(
        database, day(0), "design-arena",
        **{"one-20260115__elo:models:website": "1250", "one-20260115__elo:agents:website": "1300"},
    )  # fmt: skip
    measured(database, day(0), "openrouter", **{"one-20260115__gpqa_diamond": "0.9"})
    of_one = {"intelligence_index": 60.5, "agentic_index": 40.0, "elo:models:website": 1250.0}
    of_two = {"coding_index": 7.0}
    assert load(database).evidence.measures == {
        "acme/one": of_one, "acme/one:free": of_one, "acme/two": of_two, "acme/two:batch": of_two
    }  # fmt: skip


def test_ranks_count_for_every_row_of_a_model_and_the_best_of_them(database: Database) -> None:
    sync(database, day(0), one(), model("acme/one:free"), model("acme/two"))
    research = Research(database)
    research.rank(day(1), "category", "legal", ("acme/other-0", None))
    research.rank(
        day(2), "category", "legal",
        ("unheard/of", None), ("acme/one", "acme/one:free"), ("acme/two-20260115", "acme/two"),
        ("acme/one-20260115", None), ("acme/renamed", "acme/other-7"),
    )  # fmt: skip
    research.rank(day(2), "leaderboard", None, ("acme/two", None))
    research.rank(day(2), "fastest", None, ("acme/two", "acme/two"))
    research.rank(day(2), "modality", "image", ("acme/two", "acme/two"))
    research.fail(day(3), "legal")
    known = load(database).evidence
    assert known.ranks == {
        "leaderboard": {"acme/two": 1},
        "legal": {"acme/one": 2, "acme/one:free": 2, "acme/two": 3, "acme/other-7": 5},
    }
    assert known.sizes == {"leaderboard": 1, "legal": 5}
    assert load(database, day(1.5)).evidence[1:] == ({"legal": {"acme/other-0": 1}}, {"legal": 1})
    assert load(database, day(4)).evidence == known
    assert load(database, day(0.5)).evidence.sizes == {}
    with database.write() as connection:
        rankings.retire(connection, "category", ())
    assert load(database).evidence.sizes == {"leaderboard": 1}


# --- then


def test_as_openrouter_served_it_at_an_instant(database: Database) -> None:
    sync(database, day(0), one(), model("acme/two"))
    sync(database, day(1), one("0.00000001"))
    sync(database, day(3), one("0.0000012"), model("acme/three"))
    then = load(database, day(2))
    assert then[:3] == (3, day(2), day(1))
    assert then.source == "openrouter"
    assert of(then).pricing == priced("0.00000001"), "as it was served, held or not"
    assert of(then).row["held"].keys() == {"pricing.prompt"}
    assert (of(then, "acme/two").row["is_active"], of(then, "acme/two").pricing) == (
        False, priced("0.0000005", "0.0000015")
    )  # fmt: skip
    assert "acme/three" not in {it.row["id"] for it in then.models}
    with database.read() as connection:
        assert [it.row for it in then.models] == sorted(browse.rows_as_of(connection, day(2)), key=lambda it: it["id"])
    assert load(database, day(-1)).models == ()


def test_endpoints_as_they_were_at_an_instant(database: Database, database_url: str) -> None:
    sync(database, day(0), one())
    research = Research(database)
    ill = Health(-2, 50.0, 51.0, 52.0)
    zdr = frozenset({("acme/one", "nebius")})
    research.check(day(1), offer("nebius"), offer("deepinfra"), zdr=zdr)
    research.check(day(3), offer("nebius", "0.0000009", ill), zdr=frozenset())
    research.check(day(4), model_id="acme/other-1")
    research.check(day(30), offer("nebius"), offer("deepinfra"))
    research.end(day(30))
    assert of(load(database, day(0.5))).offers is None
    then = of(load(database, day(1.5))).offers
    sampled = Health(0, None, 98.0, None, 500.0, None, 60.0)
    assert then == (
        Candidate(offer("deepinfra").endpoint, sampled, False, "deep-infra", "deepinfra"),
        Candidate(offer("nebius").endpoint, sampled, True, None, "nebius"),
    )
    (later,) = of(load(database, day(3.5))).offers or ()
    assert (later.endpoint, later.health, later.is_zdr) == (
        offer("nebius", "0.0000009").endpoint, Health(-2, None, 51.0), False
    )  # fmt: skip
    assert [it.health for it in of(load(database, day(4.01))).offers or ()] == [Health()]
    assert of(load(database, day(11))).offers is not None
    assert of(load(database, day(11.01))).offers is None, "nobody had asked for more than eight days"
    assert len(of(load(database, day(30))).offers or ()) == 2
    # of a model that nobody serves only the last check is known
    assert of(load(database, day(5)), "acme/other-1").offers == ()
    assert of(load(database, day(3)), "acme/other-1").offers is None
    for at in (1, 1.5, 3, 3.5, 11, 30):
        with database.read() as connection:
            assert of(load(database, day(at))).offers == tuple(rates.of_offers(connection, "acme/one", day(at)))


def test_of_then_a_price_that_changed_later_does_not_count(database: Database) -> None:
    sync(database, day(0), one())
    research = Research(database)
    research.check(day(1), offer("nebius"))
    research.end(day(1))
    sync(database, day(3), one("0.0000011"))
    assert of(load(database, day(2.9))).offers
    assert of(load(database, day(3))).offers is None


def test_samples_that_were_summed_up_still_tell_that_somebody_served(database: Database) -> None:
    sync(database, day(0), one())
    research = Research(database)
    # nothing changes from the second to the third: only the sample tells of it
    for at in (0.5, 8.5, 16.5):
        research.check(day(at), offer("nebius"))
    with database.write() as connection:
        endpoints.thin(connection, now=day(60), sample_days=14, day_days=180)
    (found,) = of(load(database, day(10))).offers or ()
    assert found.health == Health()
    assert of(load(database, day(16))).offers is not None
    assert of(load(database, day(16.1))).offers is None, "its day began more than eight days before"


def test_measures_as_they_were_known_at_an_instant(database: Database) -> None:
    sync(database, day(0), one())
    measured(database, day(1), "artificial-analysis", one__coding_index="50")
    measured(database, day(2), "artificial-analysis", one__coding_index="55")
    measured(database, day(3), "models:artificial-analysis", one__coding_index="1", one__agentic_index="30")
    for at, expected in ((0.5, {}), (1, {"coding_index": 50.0}), (2, {"coding_index": 55.0}),
                         (3, {"coding_index": 55.0, "agentic_index": 30.0})):  # fmt: skip
        assert load(database, day(at)).evidence.measures.get("acme/one", {}) == expected


# --- all of it


@pytest.mark.parametrize("at", [None, day(2)])
def test_as_many_statements_for_many_models_as_for_few(database: Database, at: datetime | None) -> None:
    sent: list[str] = []

    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    sync(database, day(0), one())
    research = Research(database)
    research.check(day(1), offer("nebius"))
    research.rank(day(1), "leaderboard", None, ("acme/one", None))
    load(database, at)
    event.listen(database.engine, "before_cursor_execute", count)
    load(database, at)
    few = len(sent)
    for number in range(40):
        research.check(day(1), offer("nebius", model_id=f"acme/other-{number}"), model_id=f"acme/other-{number}")
        measured(database, day(1), "openrouter", **{f"other-{number}__coding_index": "1"})
    sent.clear()
    found = load(database, at)
    event.remove(database.engine, "before_cursor_execute", count)
    assert sum(it.offers is not None for it in found.models) == 41
    assert len(sent) == few <= 2 * 20 + 4


@pytest.mark.history
@pytest.mark.long
def test_any_instant_of_two_years(tmp_path: Path) -> None:
    """Against the reads of one model, and of lists."""
    shutil.copy(history_database(), tmp_path / "history.db")
    database = connect(f"sqlite:///{tmp_path / 'history.db'}")
    dice = random.Random(7)
    with database.read() as connection:
        first, last = history.first_capture(connection), browse.standing(connection).as_of
        assert first is not None
        assert last is not None
        for _ in range(12):
            at = first + (last - first) * dice.random()
            found = selectables.load(connection, at=at)
            listed = history.as_of(connection, at)
            assert [it.row for it in found.models] == sorted(browse.rows_as_of(connection, at), key=lambda it: it["id"])
            assert all(it.pricing == listed[it.row["id"]].listing.version.model.pricing for it in found.models)
        now = selectables.load(connection)
        believed = {it.id: it.pricing for it in browse.active_models(connection)}
        assert len(now.models) == 916
        assert {it.row["id"]: it.pricing for it in now.models if it.row["is_active"]} == believed
    database.close()
