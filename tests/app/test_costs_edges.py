"""Costs where something is easily taken for something else: clocks, sums, tiers, threads, cut prices."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from llmhive.app import wiring
from llmhive.app.library import Catalog
from llmhive.app.pricebook import PriceBook
from llmhive.app.settings import read
from llmhive.catalog.endpoint import Endpoint, Offer
from llmhive.catalog.pricing import Pricing
from llmhive.catalog.usage import Usage
from llmhive.errors import DatabaseUnavailable, UsageError
from llmhive.store import endpoints, runs
from llmhive.store.database import Database
from tests.app.test_costs import DAY, HOUR, ONE, body, record
from tests.support import Live

WINDOWS = [
    {"utc_start": 0, "utc_end": 800, "prompt": "0.000001", "completion": "0.000001"},
    {"utc_start": 800, "utc_end": 0, "prompt": "0.000003", "completion": "0.000003"},
]


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> datetime:
    at = DAY + 12 * HOUR
    monkeypatch.setattr(wiring, "now", lambda: at)
    return at


def opened(database: Database) -> Catalog:
    return Catalog(read({}), database)


@pytest.mark.parametrize("hours", [-11, 0, 8, 13])
def test_windows_go_by_utc_whatever_zone_an_instant_is_told_in(database: Database, hours: int) -> None:
    Live(database)(DAY, body(record("one", "0.000001", overrides=WINDOWS)))
    catalog = opened(database)
    here = timezone(timedelta(hours=hours))
    for at, total in ((DAY + 3 * HOUR, "0.001"), (DAY + 9 * HOUR, "0.003")):
        receipt = catalog.cost("acme/one", Usage(prompt=1000), at=at.astimezone(here), sealed=True)
        assert (receipt.total, receipt.at.tzinfo) == (Decimal(total), UTC)
        assert all(check.is_right for check in catalog.verify(receipt.to_json()))


def test_a_sum_of_requests_passes_a_threshold_by_its_mean(database: Database) -> None:
    Live(database)(DAY, body(record("one", "0.000001", overrides=[{"min_prompt_tokens": 500, "prompt": "0.000005"}])))
    catalog = opened(database)
    few = catalog.cost("acme/one", Usage(prompt=1000, requests=2))
    assert (few.total, few.to_json()["override"]) == (Decimal("0.001"), None)
    assert "the sum of 2 requests" in few.incomplete[0]
    many = catalog.cost("acme/one", Usage(prompt=1002, requests=2))
    assert (many.total, many.incomplete) == (Decimal("0.00501"), ())
    small = catalog.cost("acme/one", Usage(prompt=400, requests=2))
    assert (small.total, small.incomplete) == (Decimal("0.0004"), ())


def offers(database: Database, at: datetime, **rates: str) -> None:
    """Endpoints by tag, each with a prompt rate."""
    found = {
        tag: Offer(Endpoint("acme/one", tag, tag.partition("/")[0].title(),
                            pricing=Pricing.of({"prompt": Decimal(rate), "completion": Decimal(0)})))
        for tag, rate in rates.items()
    }  # fmt: skip
    with database.write() as connection:
        claimed = runs.claim(connection, "research", trigger="t", owner="t", now=at, interval=None)
        assert isinstance(claimed, runs.Claimed)
        checked = endpoints.Checked("acme/one", at, found)
        endpoints.apply(connection, [checked], run_id=claimed.run_id, zdr=None)
        runs.end(connection, claimed.run_id, "completed", now=at)


@pytest.mark.parametrize("tier", ["default", "standard", "auto", " Default "])
def test_the_ordinary_tier_is_the_listed_price(database: Database, tier: str) -> None:
    Live(database)(DAY, body(ONE))
    offers(database, DAY + HOUR, alpha="0.000009", beta="0.000007")
    catalog = opened(database)
    receipt = catalog.cost("acme/one", Usage(prompt=1000), tier=tier)
    assert (receipt.total, receipt.incomplete) == (Decimal("0.001"), ())
    known = catalog.cost("acme/one", Usage(prompt=1000), tier=tier, provider="Beta")
    assert (known.total, known.step.tag) == (Decimal("0.007"), "beta")


def test_the_listed_price_at_a_provider_keeps_its_source(database: Database) -> None:
    """Endpoints were first looked at an hour after the list: until then nothing is known of Beta."""
    live = Live(database)
    live(DAY, body(ONE))
    offers(database, DAY + HOUR, beta="0.000007")
    offers(database, DAY + 3 * HOUR)  # none any more, told twice
    offers(database, DAY + 4 * HOUR)
    catalog = opened(database)
    for at in (DAY + HOUR / 2, DAY + 6 * HOUR):
        receipt = catalog.cost("acme/one", Usage(prompt=1000), at=at, provider="Beta", sealed=True)
        assert receipt.total == Decimal("0.001")
        told = receipt.to_json()
        assert told["price_from"]["from"] == "2026-05-04T00:00:00Z"
        assert told["price_from"]["digest"]
        checks = {check.what: check for check in catalog.verify(told)}
        assert all(it.is_right for it in checks.values()), checks
        assert "lists" in checks["body"].detail


def test_bounds_of_a_past_instant_are_over_the_endpoints_of_then(database: Database, now: datetime) -> None:
    Live(database)(DAY, body(ONE))
    offers(database, DAY + HOUR, alpha="0.000009")
    offers(database, now - HOUR / 2, alpha="0.000004")
    catalog = opened(database)
    then = catalog.cost("acme/one", Usage(prompt=1000), at=DAY + 2 * HOUR, bounds=True)
    assert then.to_json()["highest"] == "0.009"
    assert catalog.cost("acme/one", Usage(prompt=1000), bounds=True).to_json()["highest"] == "0.004"


def test_an_instant_beside_known_at_is_checked(database: Database) -> None:
    Live(database)(DAY, body(ONE))
    catalog = opened(database)
    with pytest.raises(UsageError, match="future"):
        catalog.cost("acme/one", Usage(), known_at=DAY + HOUR, at=DAY + 900 * HOUR)
    with pytest.raises(UsageError, match="time zone"):
        catalog.cost("acme/one", Usage(), known_at=DAY + HOUR, at=datetime(2026, 5, 4))  # noqa: DTZ001


def test_an_image_at_the_price_of_a_token_is_one_whatever_the_hour(database: Database) -> None:
    Live(database)(DAY, body(record("one", "0.000001", image="0.000003", overrides=WINDOWS)))
    for hour in (3, 9):
        receipt = opened(database).cost("acme/one", Usage(prompt=1000, images=2), at=DAY + hour * HOUR)
        assert [line.counted for line in receipt.lines] == ["plain"]


def test_while_one_looks_the_others_do_not_wait(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database hangs while somebody looks at it: everybody else is answered from memory at once."""
    Live(database)(DAY, body(ONE))
    clock = [0.0]
    book = PriceBook(database, monotonic=lambda: clock[0])
    before = book.known()
    looked, may_go = threading.Event(), threading.Event()
    looks = []

    def hang() -> bool:
        looks.append(time.monotonic())
        looked.set()
        assert may_go.wait(10)
        raise DatabaseUnavailable("it is away")

    monkeypatch.setattr(database, "require_schema", hang)
    clock[0] = 5.0
    first = threading.Thread(target=book.known)
    first.start()
    assert looked.wait(10)
    assert [book.known() is before for _ in range(5)] == [True] * 5
    may_go.set()
    first.join(10)
    assert len(looks) == 1
    # and for the next second nobody looks
    assert book.known().doubts[0].startswith("the database does not answer")
    assert len(looks) == 1


def test_names_that_callers_make_up_do_not_fill_the_memory(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    Live(database)(DAY, body(ONE))
    monkeypatch.setattr("llmhive.app.pricebook._MOST", 10)
    catalog = opened(database)
    for number in range(35):
        catalog.cost("acme/one", Usage(prompt=1), provider=f"P{number}")
    assert len(catalog._book.known().subjects) <= 10


def test_a_key_of_a_pricing_that_is_no_rate_is_said(database: Database) -> None:
    odd = record("one", "0.000001", brand_new={"per": "hour"}, other_new="0.5", zero_new="0")
    strange = record("two", "0.000001", overrides={"min": 5})
    Live(database)(DAY, body(odd, strange))
    catalog = opened(database)
    doubts = catalog.cost("acme/one", Usage(prompt=1)).incomplete
    assert doubts[0] == "the pricing has brand_new, which is no rate that this version knows: it is not charged"
    assert [word for doubt in doubts for word in doubt.split() if "_new" in word] == ["brand_new,", "other_new,"]
    assert catalog.cost("acme/two", Usage(prompt=1)).incomplete == (
        "pricing.overrides is not understood: it is not charged",
    )
