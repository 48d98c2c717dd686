"""`Catalog.cost` and `Catalog.verify` on a catalog with a little history: which price is used, what is said of it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llmhive.app import costs, wiring
from llmhive.app.library import Catalog
from llmhive.app.openrouter.backfill import backfill
from llmhive.app.pricebook import PriceBook
from llmhive.app.settings import read
from llmhive.catalog.cause import Cause
from llmhive.catalog.gate import Limits
from llmhive.catalog.receipt import digest_of
from llmhive.catalog.usage import Usage
from llmhive.errors import DatabaseUnavailable, NotFound, Unpriced, UsageError
from llmhive.store import runs
from llmhive.store.database import Database
from tests.support import Live, runner_at

DAY = datetime(2026, 5, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
USED = Usage(prompt=1000, completion=100)


def record(slug: str, prompt: str, completion: str = "0.000002", **more: Any) -> dict[str, Any]:
    return {
        "id": f"acme/{slug}", "canonical_slug": f"acme/{slug}-20260501", "name": slug.title(), "created": 1_777_600_000,
        "context_length": 1_000_000,
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"], "tokenizer": "Other"},
        "top_provider": {"context_length": 1_000_000}, "supported_parameters": ["tools"],
        "pricing": {"prompt": prompt, "completion": completion, **more},
    }  # fmt: skip


#: so many that one that goes is no reason to hold a run
_OTHERS = [record(f"other-{number}", "0.000001") for number in range(60)]


def body(*records: dict[str, Any]) -> bytes:
    return json.dumps({"data": [*_OTHERS, *records]}).encode()


ONE = record("one", "0.000001")
TIERED = record("tiered", "0.000001", overrides=[{"min_prompt_tokens": 500, "prompt": "0.000005"}])


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """Six hours after the last capture."""
    at = DAY + 30 * HOUR
    monkeypatch.setattr(wiring, "now", lambda: at)
    return at


@pytest.fixture
def catalog(database: Database, now: datetime) -> Catalog:
    live = Live(database)
    router = record("router", "-1", "-1")
    live(DAY, body(ONE, TIERED, router))
    live(DAY + 12 * HOUR, body(record("one", "0.0000015"), TIERED, router))
    live(DAY + 18 * HOUR, body(record("one", "0.0000015"), router))
    live(DAY + 24 * HOUR, body(record("one", "0.000002"), TIERED, router, record("free:free", "0", "0")))
    return Catalog(read({}), database)


def test_the_price_is_the_one_in_force_then(catalog: Catalog) -> None:
    for at, rate in ((DAY, "0.001"), (DAY + 12 * HOUR, "0.0015"), (DAY + 24 * HOUR, "0.002"), (None, "0.002")):
        receipt = catalog.cost("acme/one", USED, at=at)
        assert receipt.total == Decimal(rate) + Decimal("0.0002")
        assert not receipt.incomplete
    just_before = catalog.cost("acme/one", USED, at=DAY + 12 * HOUR - timedelta(microseconds=1))
    assert just_before.total == Decimal("0.0012")
    assert just_before.to_json()["price_from"] | {"provider": None} == {
        "source": "catalog", "from": "2026-05-04T00:00:00Z", "to": "2026-05-04T12:00:00Z", "provider": None,
        "tag": None,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["ACME/One", "one", "acme/one-20260501"])
def test_any_name_of_a_model_will_do(catalog: Catalog, name: str) -> None:
    assert catalog.cost(name, {"prompt_tokens": 1000, "completion_tokens": 100}).model == "acme/one"


def test_the_override_that_fired_is_told(catalog: Catalog) -> None:
    told = catalog.cost("acme/tiered", USED).to_json()
    assert told["override"] == {"position": 1, "condition": {"min_prompt_tokens": 500}}
    assert told["total"] == "0.0052"
    assert catalog.cost("acme/tiered", Usage(prompt=500)).to_json()["override"] is None


def test_what_has_no_price_is_refused_with_the_reason(catalog: Catalog) -> None:
    with pytest.raises(Unpriced, match=r"decided per request .* concrete model"):
        catalog.cost("acme/router", USED)
    with pytest.raises(Unpriced, match="was not listed at 2026-05-04 20:00 UTC; it was until 2026-05-04 18:00 UTC and "
                                       "from 2026-05-05 00:00 UTC"):  # fmt: skip
        catalog.cost("acme/tiered", USED, at=DAY + 20 * HOUR)
    with pytest.raises(Unpriced, match="history begins 2026-05-04 00:00 UTC"):
        catalog.cost("acme/one", USED, at=DAY - HOUR)
    with pytest.raises(UsageError, match="future"):
        catalog.cost("acme/one", USED, at=DAY + 31 * HOUR)
    with pytest.raises(UsageError, match="time zone"):
        catalog.cost("acme/one", USED, at=datetime(2026, 5, 4))  # noqa: DTZ001
    with pytest.raises(NotFound, match="acme/one"):
        catalog.cost("acme/onee", USED)


def test_an_instant_may_be_told_as_text_or_as_a_day(catalog: Catalog) -> None:
    for at in ("2026-05-04", date(2026, 5, 4), "2026-05-04T00:00Z", "2026-05-04T02:00:00+02:00", DAY):
        assert catalog.cost("acme/one", USED, at=at).at == DAY
        assert catalog.cost("acme/one", USED, known_at=at).known_at == DAY
    for odd in ("often", "2026-05", 1_777_900_000, 3.5, ""):
        with pytest.raises(UsageError, match="is no instant: give a datetime with a time zone, a date, or text"):
            catalog.cost("acme/one", USED, at=odd)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="time zone"):
        catalog.cost("acme/one", USED, at="2026-05-04T12:00")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"model": None}, "model is a name such as 'openai/gpt-4o': say which one is meant"),
        ({"model": 3}, "not 3"), ({"model": ["acme/one"]}, "not a value of type list"),
        ({"model": " "}, "model is empty"), ({"provider": ""}, "provider is empty: leave it out"),
        ({"provider": {}}, "provider is a name"), ({"tier": 1}, "tier is a name such as 'flex', not 1"),
        ({"tier": ""}, "tier is empty"), ({"bounds": "azure"}, "bounds are asked for with True"),
        ({"model": None, "known_at": DAY}, "model is a name"),
    ],
)  # fmt: skip
def test_what_is_no_name_is_refused(catalog: Catalog, asked: dict[str, Any], said: str) -> None:
    words: dict[str, Any] = {"model": "acme/one", "usage": USED} | asked
    with pytest.raises(UsageError) as refused:
        catalog.cost(**words)
    assert said in str(refused.value)
    assert catalog.cost("acme/one", USED, bounds=None).bounds is None  # type: ignore[arg-type]


def test_free_is_zero_and_says_so(catalog: Catalog) -> None:
    receipt = catalog.cost("acme/free:free", USED)
    assert receipt.total == 0
    assert "free: its price is 0" in receipt.notes
    assert "free" not in " ".join(catalog.cost("acme/one", USED).notes)


def test_with_a_key_of_ones_own_the_provider_is_paid_and_the_fee_is_a_line(catalog: Catalog) -> None:
    within = catalog.cost("acme/one", USED, is_byok=True)
    assert (within.total, within.billed, within.inference) == (Decimal("0.0022"), Decimal(0), Decimal("0.0022"))
    told = within.to_json()
    assert (told["billed"], told["upstream"]) == ("0", "0.0022")
    # as OpenRouter's usage says, unless the caller knows better
    answer = {"prompt_tokens": 1000, "completion_tokens": 100, "is_byok": True}
    assert catalog.cost("acme/one", answer).billed == 0
    assert catalog.cost("acme/one", {"usage": answer}).billed == 0
    assert catalog.cost("acme/one", answer, is_byok=False).billed == Decimal("0.0022")
    beyond = catalog.cost("acme/one", USED, is_byok=True, has_fee=True)
    assert (beyond.total, beyond.billed) == (Decimal("0.00231"), Decimal("0.00011"))
    assert beyond.lines[-1].to_json() == {
        "unit": "byok_fee", "counted": "byok_fee", "quantity": "0.0022", "rate": "0.05", "amount": "0.00011",
    }  # fmt: skip
    assert sum(it.amount or 0 for it in beyond.lines) == beyond.total


def test_an_old_catalog_says_that_the_price_may_have_changed(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "now", lambda: DAY + 38 * HOUR)
    (doubt,) = catalog.cost("acme/one", USED).incomplete
    assert doubt == "the last capture of the catalog is of 2026-05-05 00:00 UTC: the price may have changed since"
    assert not catalog.cost("acme/one", USED, at=DAY + 37 * HOUR).incomplete


def test_what_was_believed_is_told_for_audits(catalog: Catalog) -> None:
    then = catalog.cost("acme/one", USED, known_at=DAY + 6 * HOUR)
    assert (then.total, then.at) == (Decimal("0.0012"), DAY + 6 * HOUR)
    assert then.to_json()["known_at"] == "2026-05-04T06:00:00Z"
    with pytest.raises(Unpriced, match="believed in no price"):
        catalog.cost("acme/one", USED, known_at=DAY - HOUR)


def test_a_price_that_was_held_is_not_used(database: Database, now: datetime) -> None:
    live = Live(database)
    live(DAY, body(ONE))
    # to a hundredth in one step: held until somebody else says so
    live(DAY + 6 * HOUR, body(record("one", "0.00000001")))
    receipt = Catalog(read({}), database).cost("acme/one", USED, at=DAY + 7 * HOUR)
    assert receipt.total == Decimal("0.0012")
    assert any("held" in note for note in receipt.notes)


# --- proof


def test_a_sealed_receipt_is_verified_and_any_change_is_found(catalog: Catalog) -> None:
    told = catalog.cost("acme/tiered", USED, at=DAY + HOUR, sealed=True).to_json()
    assert all(check.is_right for check in catalog.verify(json.loads(json.dumps(told))))
    assert told["price_from"]["digest"]
    changes: list[dict[str, Any]] = [
        {"total": "0.0053"}, {"at": "2026-05-04T01:00:01Z"}, {"usage": {"prompt": 1001, "completion": 100}},
        {"lines": [told["lines"][0] | {"rate": "0.000006"}, *told["lines"][1:]]}, {"override": None},
        {"notes": ["x"]}, {"model": "acme/one"}, {"digest": "0" * 64},
    ]  # fmt: skip
    for change in changes:
        assert not all(check.is_right for check in catalog.verify(told | change)), change


@pytest.mark.parametrize(
    "change",
    [
        {"total": "0.0053"}, {"usage": {"prompt": 1001, "completion": 100}}, {"override": None}, {"overrides": []},
        {"billed": "0"}, {"upstream": "0.0052"}, {"currency": "EUR"}, {"is_byok": True}, {"lines": []},
        {"usage": {"prompt": 9, "usage": {"prompt": 1000, "completion": 100}}}, {"at": "2026-05-04T19:00:00Z"},
        {"price_from": {"source": "catalog"}},
    ],
)  # fmt: skip
def test_who_seals_a_wrong_receipt_anew_is_found_by_recomputation(catalog: Catalog, change: dict[str, Any]) -> None:
    told = catalog.cost("acme/tiered", USED, at=DAY + HOUR, sealed=True).to_json()
    forged = told | change
    forged["digest"] = digest_of(forged)
    assert not all(check.is_right for check in catalog.verify(forged))


@pytest.mark.parametrize(
    "change", [{"from": "2026-05-04T02:00:00Z"}, {"digest": "0" * 64}, {"source": "endpoint"}, {"provider": "Acme"}]
)
def test_who_seals_another_source_anew_is_found_out(catalog: Catalog, change: dict[str, Any]) -> None:
    told = catalog.cost("acme/tiered", USED, at=DAY + HOUR, sealed=True).to_json()
    forged = told | {"price_from": told["price_from"] | change}
    forged["digest"] = digest_of(forged)
    assert not all(check.is_right for check in catalog.verify(forged))


def test_a_body_that_says_otherwise_is_found(catalog: Catalog, database: Database) -> None:
    """Somebody changed the history: the raw body still tells what was served."""
    with database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE model_price SET rate = '0.000009' WHERE model_id = 'acme/one' AND unit = 'prompt'"
        )
    told = catalog.cost("acme/one", USED, at=DAY + HOUR, sealed=True).to_json()
    (wrong,) = [check for check in catalog.verify(told) if not check.is_right]
    assert (wrong.what, "has other rates: prompt" in wrong.detail) == ("body", True)


def test_a_receipt_stays_right_when_older_captures_come_later(
    database: Database, now: datetime, tmp_path: Path
) -> None:
    live = Live(database)
    live(DAY, body(ONE))
    catalog = Catalog(read({}), database)
    told = catalog.cost("acme/one", USED, at=DAY + HOUR, sealed=True).to_json()
    (tmp_path / "2026-05-03T180000Z.json").write_bytes(body(ONE, TIERED))
    backfill(runner_at(database, DAY + 2 * HOUR), tmp_path, Limits(), trigger="test")
    later = Catalog(read({}), database)
    assert later.cost("acme/one", USED, at=DAY + HOUR).to_json()["price_from"]["from"] == "2026-05-03T18:00:00Z"
    assert all(check.is_right for check in later.verify(told)), later.verify(told)


def test_a_receipt_of_shipped_facts_stays_right_after_the_first_sync(database: Database, now: datetime) -> None:
    from llmhive.app.openrouter.pipeline import apply_bootstrap

    with database.write() as connection:
        claimed = runs.claim(connection, "bootstrap", trigger="t", owner="t", now=DAY, interval=None)
        assert isinstance(claimed, runs.Claimed)
        apply_bootstrap(connection, run_id=claimed.run_id, now=DAY)
        runs.end(connection, claimed.run_id, "completed", now=DAY)
    catalog = Catalog(read({}), database)
    told = catalog.cost("openai/gpt-4o", USED, sealed=True, known_at=DAY + HOUR).to_json()
    assert told["price_from"]["source"] == "bootstrap"
    Live(database)(DAY + 12 * HOUR, body(ONE))
    checks = Catalog(read({}), database).verify(told)
    assert all(check.is_right for check in checks), checks


def test_a_receipt_stays_right_when_its_price_has_ended(database: Database, now: datetime) -> None:
    live = Live(database)
    live(DAY, body(ONE))
    told = Catalog(read({}), database).cost("acme/one", USED, at=DAY + HOUR, sealed=True).to_json()
    live(DAY + 12 * HOUR, body(record("one", "0.0000015")))
    later = Catalog(read({}), database)
    assert all(check.is_right for check in later.verify(told))


def test_what_is_no_sealed_receipt_is_refused(catalog: Catalog) -> None:
    for odd in ({}, {"digest": None}, catalog.cost("acme/one", USED).to_json()):
        with pytest.raises(UsageError, match="no sealed receipt"):
            catalog.verify(odd)
    with pytest.raises(UsageError, match=r"not sealed: ask for it with cost\(…, sealed=True\)"):
        catalog.verify(catalog.cost("acme/one", USED))
    for odd in (None, "x", [1]):  # type: ignore[assignment]
        with pytest.raises(UsageError, match="A receipt is a Receipt or its JSON"):
            catalog.verify(odd)


def test_a_receipt_is_verified_as_it_is(catalog: Catalog) -> None:
    checks = catalog.verify(catalog.cost("acme/tiered", USED, at=DAY + HOUR, sealed=True))
    assert all(check.is_right for check in checks)
    told = {check.what: check for check in checks}
    assert told["body"].detail.endswith(" lists the rates that the recomputed price has")
    assert (told["rest"].detail, told["rest"].is_checked) == ("bounds, notes, incomplete: by the digest only", False)


def test_weekdays_are_verified(database: Database, now: datetime) -> None:
    monday = record("one", "0.000001", overrides=[{"utc_days": ["mon", "tue"], "prompt": "0.000005"}])
    Live(database)(DAY, body(monday))
    catalog = Catalog(read({}), database)
    told = catalog.cost("acme/one", USED, at=DAY + HOUR, sealed=True)
    assert told.tariff.fired
    for it in (told, told.to_json(), json.loads(told.json())):
        assert all(check.is_right for check in catalog.verify(it)), catalog.verify(it)


def test_where_no_body_is_kept_there_is_no_check(database: Database, now: datetime) -> None:
    live = Live(database)
    live(DAY, body(ONE))
    catalog = Catalog(read({}), database)
    receipt = catalog.cost("acme/one", USED, at=DAY + HOUR, sealed=True)
    step = msgspec.structs.replace(receipt.step, source="endpoint", key="azure", tag="azure")
    for source, said in (
        (None, "no raw body is kept of a price from the endpoint"),
        ({"digest": "ab" * 32}, f"no raw body is kept of it; the offer as it is stored has the digest {'ab' * 32}"),
    ):
        check = catalog._body(step, source or {})
        assert (check.is_right, check.is_checked, check.detail) == (True, False, said)


def test_differences_are_told_in_words(catalog: Catalog) -> None:
    told = catalog.cost("acme/tiered", USED, at=DAY + HOUR, sealed=True).to_json()
    price = told["price_from"]
    other = {"position": 2, "condition": {"utc_start": 800, "utc_end": 1600, "utc_days": ["sat"]}}
    forged = told | {
        "override": None, "overrides": [other], "upstream": "1",
        "price_from": {**price, "from": "2026-01-01T00:00:00Z", "run": None, "more": [1]},
    }  # fmt: skip
    wrong = {check.what: check.detail for check in catalog.verify(forged) if not check.is_right}
    assert wrong == {
        "digest": "something was changed after it was sealed",
        "upstream": "it says 1, it is none",
        "override": "it says none, it is override 1 (prompt over 500 tokens)",
        "overrides": "it says override 2 (08:00 to 16:00 UTC, on sat), it is override 1 (prompt over 500 tokens)",
        "price_from": "from 2026-01-01T00:00:00Z, it is 2026-05-04T00:00:00Z; "
                      f"run none, it is {price['run']}; more 1, it is none",
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"provider": 3}, {"tier": ["x"]}, {"known_at": "0001-01-01T00:00:00+23:00"}, {"at": "x"}, {"at": None},
        {"usage": 3}, {"usage": {"prompt": -1}}, {"model": None}, {"is_byok": "no"}, {"model": "\ud800"}, {"lines": 3},
        {"price_from": {}}, {"lines": [3]}, {"lines": []},
    ],
)  # fmt: skip
def test_a_spoilt_receipt_is_found_whatever_is_in_it(catalog: Catalog, change: dict[str, Any]) -> None:
    told = catalog.cost("acme/tiered", USED, at=DAY + HOUR, sealed=True).to_json()
    checks = catalog.verify(told | change)
    assert not all(check.is_right for check in checks)
    assert all(len(check.detail) < 500 for check in checks)


def test_a_wrong_line_is_told_by_what_is_wrong(catalog: Catalog) -> None:
    told = catalog.cost("acme/tiered", USED, at=DAY + HOUR, sealed=True).to_json()
    told["lines"][1]["amount"] = "0.3"
    wrong = [check.detail for check in catalog.verify(told) if check.what == "lines"]
    assert wrong == ["line 2 (completion): amount 0.3, it is 0.0002"]


def test_what_a_pricing_lists_beside_prices_does_not_spoil_the_proof(database: Database, now: datetime) -> None:
    """A rate that is no number, an override without rates, a zero: all are read as the price was."""
    odd = record("odd", "0.000001", image="-1", request="0", overrides=[{"min_prompt_tokens": 5}])
    Live(database)(DAY, body(odd))
    catalog = Catalog(read({}), database)
    told = catalog.cost("acme/odd", USED, at=DAY + HOUR, sealed=True).to_json()
    assert all(check.is_right for check in catalog.verify(told)), catalog.verify(told)


def test_only_what_was_held_may_differ_from_the_body(database: Database, now: datetime) -> None:
    live = Live(database)
    live(DAY, body(ONE))
    live(DAY + 6 * HOUR, body(record("one", "0.00000001", "0.000003")))
    catalog = Catalog(read({}), database)
    receipt = catalog.cost("acme/one", USED, at=DAY + 7 * HOUR, sealed=True)
    assert receipt.step.held == ("prompt",)
    assert receipt.total == Decimal("0.0013")
    checks = {check.what: check for check in catalog.verify(receipt.to_json())}
    assert checks["body"].is_right
    assert "but for what was held" in checks["body"].detail


def test_what_was_believed_is_the_listed_price(catalog: Catalog) -> None:
    for more in ({"provider": "Acme"}, {"tier": "flex"}):
        with pytest.raises(UsageError, match="leave out provider and tier"):
            catalog.cost("acme/one", USED, known_at=DAY + HOUR, **more)  # type: ignore[arg-type]


def test_files_doubt_what_one_request_does(catalog: Catalog, tmp_path: Path) -> None:
    source, target = tmp_path / "used.csv", tmp_path / "priced.csv"
    source.write_text("model,at,prompt\nacme/one:online,2026-05-05T01:00:00Z,1000\n")
    catalog.price_file(str(source), str(target))
    assert catalog.cost("acme/one:online", Usage(prompt=1000), at=DAY + 25 * HOUR).incomplete[0] in target.read_text()


# --- the price book


def test_a_new_price_is_seen_within_a_second(database: Database, now: datetime) -> None:
    live = Live(database)
    live(DAY, body(ONE))
    clock = [0.0]
    catalog = Catalog(read({}), database)
    catalog._book = PriceBook(database, monotonic=lambda: clock[0])
    assert catalog.cost("acme/one", USED).total == Decimal("0.0012")
    live(DAY + 24 * HOUR, body(record("one", "0.000002")))
    assert catalog.cost("acme/one", USED).total == Decimal("0.0012")
    clock[0] = 1.0
    assert catalog.cost("acme/one", USED).total == Decimal("0.0022")


def test_while_the_database_does_not_answer_what_is_known_is_used_and_marked(
    catalog: Catalog, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    catalog._book = PriceBook(database, monotonic=lambda: clock[0])
    assert catalog.cost("acme/one", USED).incomplete == ()

    def gone() -> bool:
        raise DatabaseUnavailable("it is away")

    with monkeypatch.context() as broken:
        broken.setattr(database, "require_schema", gone)
        clock[0] = 2.0
        receipt = catalog.cost("acme/one", USED)
        assert receipt.total == Decimal("0.0022")
        assert receipt.incomplete == ("the database does not answer, newer prices may be missing: it is away",)
        with pytest.raises(DatabaseUnavailable):
            PriceBook(database).known()
    clock[0] = 4.0
    assert catalog.cost("acme/one", USED).incomplete == ()


def test_without_a_catalog_it_says_what_to_do(empty_database: Database) -> None:
    with pytest.raises(NotFound, match="llmhive sync"):
        Catalog(read({}), empty_database).cost("acme/one", USED)


def test_names_of_routing_suffixes_are_understood(catalog: Catalog) -> None:
    assert catalog.cost("acme/one:floor", USED).total == Decimal("0.0022")
    assert "plugin" in " ".join(catalog.cost("acme/one:online", USED).incomplete)


def test_many_names_are_read_at_once(catalog: Catalog) -> None:
    found = catalog._book.subjects([("acme/one", None, None), ("nobody/knows", None, None), ("one", "Acme", None)])
    one = found["acme/one", None, None]
    assert not isinstance(one, str)
    assert len(one.steps) == 3
    assert "No model" in str(found["nobody/knows", None, None])
    elsewhere = found["one", "Acme", None]
    assert not isinstance(elsewhere, str)
    assert all("Acme" in step.incomplete[0] for step in elsewhere.steps)
    assert costs.Costs.cost is Catalog.cost


def test_bills_are_compared(catalog: Catalog) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "cost": 0.0012}
    bill = {"model": "acme/one", "created": int((DAY + HOUR).timestamp()), "usage": usage}
    other = bill | {"usage": usage | {"cost": 0.5}}
    exact, unknown, odd = catalog.reconcile([bill, other, {}])
    assert [it.found.cause for it in (exact, unknown, odd)] == [Cause.EXACT, Cause.UNKNOWN, Cause.UNREADABLE]
    assert exact.found.difference == Decimal(0)
