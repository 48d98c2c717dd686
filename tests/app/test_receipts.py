"""How receipts, their checks and the sums of a file are shown: plain values, no database."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llmhive.app.bulk.pricing import Sum, Summary
from llmhive.app.cli import priced, proofs, receipts, render
from llmhive.app.proof import Check
from llmhive.catalog.cost import Tariffs
from llmhive.catalog.price import Step
from llmhive.catalog.pricing import Override, Pricing
from llmhive.catalog.receipt import Receipt, condition, digest_of
from llmhive.catalog.routing import Bounds, Share
from llmhive.catalog.usage import Usage

AT = datetime(2026, 5, 3, 12, tzinfo=UTC)
SINCE = datetime(2026, 5, 1, 6, tzinfo=UTC)


def override(*conditions: tuple[str, Any], **rates: str) -> Override:
    return Override(conditions, tuple((unit, Decimal(rate)) for unit, rate in rates.items()))


def receipt(usage: Usage, *overrides: Override, step: dict[str, Any] | None = None, more: dict[str, Any] | None = None,
            **rates: str) -> Receipt:  # fmt: skip
    base = {"prompt": "0.000003", "completion": "0.000015", **rates}
    pricing = Pricing.of({unit: Decimal(rate) for unit, rate in base.items()}, overrides)
    priced = msgspec.structs.replace(Step(SINCE, None, pricing, None, "catalog", "acme/one"), **step or {})
    tariff = Tariffs(pricing).at(usage.prompt, AT)
    return Receipt("acme/one", AT, usage, priced, tariff, tariff.charge(usage), **more or {})


def share(key: str, cost: str) -> Share:
    return Share(key, key, key.title(), Decimal(cost), Fraction(1, 2), "healthy")


def shown(capsys: pytest.CaptureFixture[str], it: Receipt, *, is_asked_who: bool = False) -> list[str]:
    receipts.show(render.out(), it, is_asked_who=is_asked_who)
    return capsys.readouterr().out.splitlines()


def test_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    usage = Usage(12_000, 800, cached=10_000, images=2, web_searches=1)
    made = receipt(usage, input_cache_read="0.0000003", image="0.0048", web_search="0.01")
    assert shown(capsys, made) == [
        "acme/one, 2026-05-03 12:00 UTC",
        "what          quantity  charged as                rate  amount",
        "prompt           2,000  prompt                 $3.00/M  $0.006",
        "cache read      10,000  input_cache_read       $0.30/M  $0.003",
        "completion         800  completion            $15.00/M  $0.012",
        "images               2  image             $0.0048 each  $0.0096",
        "web searches         1  web_search          $0.01 each  $0.01",
        "total                                                   $0.0406",
        "Price: OpenRouter's model list, since 2026-05-01 06:00 UTC.",
        "Possibly incomplete: images are charged as listed; some providers count their tokens in the prompt instead.",
    ]


def test_what_is_rounded_is_told_exactly(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, receipt(Usage(1, 0), prompt="0.00000008333333333333334"))
    assert lines[2].split()[-2:] == ["$0.08333333333333334/M", "$0.00000008333"]
    assert "Exactly $0.00000008333333333333334." in lines
    assert not any(line.startswith("Exactly") for line in shown(capsys, receipt(Usage(1, 0))))


def test_amounts_stand_with_their_points_below_each_other() -> None:
    amounts = ["$1.50", "$10.00000025", "?"]
    assert receipts.aligned(amounts) == [" $1.50      ", "$10.00000025", "  ?         "]


def test_an_unknown_rate_is_no_zero(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, receipt(Usage(10, 0, web_searches=2)))
    assert lines[3].split() == ["web", "searches", "2", "web_search", "?", "?"]
    assert "Possibly incomplete: 2 web searches: the model lists no price of its own search" in lines[-1]


def test_overrides_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    dear = override(("min_prompt_tokens", 200_000), prompt="0.000006")
    assert "In force: override 1, prompt over 200,000 tokens." in shown(capsys, receipt(Usage(200_001), dear))
    assert not any("In force" in line for line in shown(capsys, receipt(Usage(200_000), dear)))
    night = override(("utc_days", ("sun", "mon")), ("utc_end", 0), ("utc_start", 1030), prompt="0.000001")
    lines = shown(capsys, receipt(Usage(200_001), dear, night))
    assert "In force: override 2, 10:30 to 24:00 UTC, on sun, mon." in lines
    assert condition({"is_holiday": 1}) == "is_holiday 1"
    assert condition({}) == "always"


def test_with_ones_own_key(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, receipt(Usage(100_000, 0), more={"is_byok": True, "has_fee": True}))
    assert lines[3].split() == ["fee", "for", "your", "own", "key", "$0.30", "byok_fee", "5", "%", "$0.015"]
    assert lines[4].split() == ["total", "$0.315"]
    assert "With your own key: $0.30 to the provider, $0.015 of your OpenRouter credits." in lines
    lines = shown(capsys, receipt(Usage(100_000, 0), more={"is_byok": True}))
    assert "With your own key: $0.30 to the provider, $0.00 of your OpenRouter credits." in lines


def test_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    found = Bounds(
        Decimal("0.03"), Decimal("0.0412345678"), Decimal("0.1"),
        (share("azure", "0.03"), share("a", "0.1"), share("b", "0.1"), share("c", "0.1")), (("flexible", "too dear"),),
    )  # fmt: skip
    lines = shown(capsys, receipt(Usage(10_000), more={"bounds": found}))
    start = lines.index("4 endpoints  amount     where")
    assert lines[start + 1 : start + 4] == [
        "lowest       $0.03      azure",
        "expected     $0.041235  as OpenRouter would choose among them",
        "highest      $0.10      a, b and 1 more",
    ]
    assert "1 more may not serve it now: --json says why." in lines
    lines = shown(capsys, receipt(Usage(10_000), more={"bounds": found}), is_asked_who=True)
    assert "Left out: flexible (too dear)." in lines
    same = Bounds(Decimal("0.03"), Decimal("0.03"), Decimal("0.03"), (share("azure", "0.03"),), notes=("Of them.",))
    # with the notes of the receipt, below the price
    free = shown(capsys, receipt(Usage(10_000), prompt="0", completion="0", more={"bounds": same}))
    assert [line.partition(":")[0] for line in free[-3:]] == ["Price", "Note", "Note"]
    assert free[-1] == "Note: Of them."
    assert "1 endpoint: $0.03." in shown(capsys, receipt(Usage(10_000), more={"bounds": same}))


def test_no_bounds_are_news_only_where_somebody_asked(capsys: pytest.CaptureFixture[str]) -> None:
    none = Bounds(None, None, None, why="no endpoint is known")
    assert not any("endpoint" in line for line in shown(capsys, receipt(Usage(10), more={"bounds": none})))
    asked = shown(capsys, receipt(Usage(10), more={"bounds": none}), is_asked_who=True)
    assert "No bounds: no endpoint is known. `llmhive sync --research` asks who serves it." in asked
    receipts.show(render.out(), receipt(Usage(10), more={"bounds": none}), is_then=True)
    assert "No bounds: who served it then is not known." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("step", "more", "told"),
    [
        ({"end": AT}, {}, "Price: OpenRouter's model list, since 2026-05-01 06:00 UTC until 2026-05-03 12:00 UTC."),
        (
            {"source": "endpoint", "key": "azure", "provider": "Azure"}, {},
            "Price: of the endpoint azure (Azure), seen since 2026-05-01 06:00 UTC.",
        ),
        (
            {"source": "bootstrap"}, {},
            "Price: of the facts shipped with LLMHive, as of 2026-05-01 06:00 UTC; not synced yet.",
        ),
        (
            {}, {"known_at": AT},
            "Price: as this catalog believed it at 2026-05-03 12:00 UTC, since 2026-05-01 06:00 UTC.",
        ),
    ],
)  # fmt: skip
def test_where_the_price_comes_from(
    step: dict[str, Any], more: dict[str, Any], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in shown(capsys, receipt(Usage(10), step=step, more=more))


def test_names_from_elsewhere_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, receipt(Usage(10), more={"provider": "[red]Evil[/]\x1b[2J", "tier": "flex"}))
    assert lines[0] == "acme/one, 2026-05-03 12:00 UTC, at [red]Evil[/]\N{REPLACEMENT CHARACTER}[2J, tier flex"


def test_what_was_billed_stands_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    made = receipt(Usage(10_000))
    for billed, told in (
        ("0.03", "OpenRouter billed $0.03, the same."),
        ("0.035", "OpenRouter billed $0.035, $0.005 more: `llmhive reconcile FILE`, of the whole response, tells why."),
        ("0.0299999", "OpenRouter billed $0.0299999, $0.0000001 less: `llmhive reconcile FILE`, of the whole response, "
                      "tells why."),
    ):  # fmt: skip
        receipts.show(render.out(), made, billed=Decimal(billed))
        assert told in capsys.readouterr().out.splitlines()


# --- as text


def test_printed_it_reads_like_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    usage = Usage(250_001, 800, cached=10_000, images=2, web_searches=1)
    dear = override(("min_prompt_tokens", 200_000), prompt="0.000006")
    found = Bounds(Decimal("0.03"), Decimal("0.04"), Decimal("0.1"), (share("azure", "0.03"), share("a", "0.1")),
                   notes=("Of them",))  # fmt: skip
    none = Bounds(None, None, None, why="no endpoint is known")
    rates = {"input_cache_read": "0.0000003", "image": "0.0048"}
    step: dict[str, Any] = {"source": "endpoint", "key": "azure", "provider": "Azure", "notes": ("It was held",)}
    for bounds in (None, found, none):
        made = receipt(usage, dear, step=step, more={"provider": "Azure", "bounds": bounds}, **rates)
        printed = shown(capsys, made)
        told = str(made).splitlines()
        # the command has a head, and a table of the bounds; cells and sentences are the same
        assert {
            " ".join(line.split()) for line in told if " endpoint" not in line[:12] and "No bounds" not in line
        } <= {" ".join(line.split()) for line in printed}
        assert ("2 endpoints: lowest $0.03, expected $0.04, highest $0.10." in told) == (bounds is found)
        assert ("No bounds: no endpoint is known." in told) == (bounds is none)
    assert str(receipt(usage, dear, step=step, more={"provider": "Azure", "bounds": found}, **rates)).splitlines() == [
        "acme/one, 2026-05-03 12:00 UTC, at Azure",
        "prompt        240,001  prompt                 $6.00/M  $1.440006",
        "cache read     10,000  input_cache_read       $0.30/M  $0.003",
        "completion        800  completion            $15.00/M  $0.012",
        "images              2  image             $0.0048 each  $0.0096",
        "web searches        1  web_search                   ?   ?",
        "total                                                  $1.464606",
        "In force: override 1, prompt over 200,000 tokens.",
        "2 endpoints: lowest $0.03, expected $0.04, highest $0.10.",
        "Price: of the endpoint azure (Azure), seen since 2026-05-01 06:00 UTC.",
        "Note: It was held.",
        "Note: Of them.",
        "Possibly incomplete: 1 web search: the model lists no price of its own search, and that of a plugin is not in "
        "the catalog.",
        "Possibly incomplete: images are charged as listed; some providers count their tokens in the prompt instead.",
    ]


def test_a_sealed_one_tells_its_digest_and_is_json() -> None:
    made = receipt(Usage(10), more={"is_sealed": True})
    told = msgspec.json.decode(made.json())
    assert told == made.to_json()
    assert str(made).splitlines()[-1] == f"Sealed: {digest_of(told)}."
    assert made.digest == told["digest"]
    assert receipt(Usage(10)).digest is None
    assert "Sealed" not in str(receipt(Usage(10)))


def test_instants_are_shown_in_utc() -> None:
    made = msgspec.structs.replace(receipt(Usage(10)), at=AT.astimezone(timezone(timedelta(hours=9))))
    assert str(made).startswith("acme/one, 2026-05-03 12:00 UTC")


def test_conditions_are_as_json_reads_them_back() -> None:
    days = override(("utc_days", ("sat", "sun")), prompt="0.000001")
    told = receipt(Usage(10), days).to_json()
    assert told["override"]["condition"] == {"utc_days": ["sat", "sun"]}
    assert msgspec.json.decode(msgspec.json.encode(told)) == told


def test_near_names_of_a_provider_that_serves_nothing() -> None:
    offers = Bounds(
        Decimal(1), Decimal(1), Decimal(1), (share("azure/eu", "1"), share("a", "1")), (("deepinfra", "x"),)
    )
    for name, near in (("azzure", ": azure, azure/eu"), ("DeepInfr", ": deepinfra")):
        (note,) = receipt(Usage(10), more={"provider": name, "bounds": offers}).notes
        assert note == f"no endpoint of this model is known by the name {name}; near it{near}"
    for name in ("Azure", "Azure/EU", "deep-infra"):
        assert receipt(Usage(10), more={"provider": name, "bounds": offers}).notes == ()
    assert receipt(Usage(10), more={"provider": "azzure"}).notes == ()


# --- checks

RIGHT = [Check("digest", True, "as sealed"), Check("total", True, "computed anew")]
WRONG = [Check("digest", True, "as sealed"), Check("total", False, f"it says 1, it is 2 {'x ' * 200}")]
MADE = {"model": "acme/one", "at": "2026-05-03T12:00:00Z", "total": "0.1"}


def test_checks_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    proofs.show_checks(render.out(), [(MADE, RIGHT)])
    assert capsys.readouterr().out.splitlines() == [
        "acme/one, 2026-05-03 12:00 UTC, $0.1: right.",
        "  ✓ digest     as sealed",
        "  ✓ total      computed anew",
    ]
    proofs.show_checks(render.out(), [(MADE, WRONG)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(": WRONG.")
    assert lines[2].startswith("  ✗ total      it says 1, it is 2 x")
    assert lines[2].endswith("… (whole with --json)")


def test_what_nothing_can_be_compared_with_is_neither_right_nor_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    digest = "0123456789abcdef" * 4
    checks = [Check("digest", True, "as sealed"), Check("body", True, f"the offer has the digest {digest}", False)]
    proofs.show_checks(render.out(), [(MADE, checks)], errors=2, unsealed=1)
    assert capsys.readouterr().out.splitlines() == [
        "acme/one, 2026-05-03 12:00 UTC, $0.1: right.",
        "  ✓ digest     as sealed",
        "  – body       the offer has the digest 0123456789ab…",
        "2 more entries have no receipt, but an error.",
        "1 more entry has a receipt without a digest: not checked.",
    ]
    assert proofs.proof(MADE, checks)["checks"][1] == {
        "what": "body", "is_right": True, "is_checked": False, "detail": f"the offer has the digest {digest}",
    }  # fmt: skip


def test_of_many_only_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    proofs.show_checks(render.out(), [(MADE, RIGHT)] * 7 + [(MADE, WRONG)])
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "acme/one" in line] == ["acme/one, 2026-05-03 12:00 UTC, $0.1: WRONG."]
    assert lines[-1] == "7 of 8 receipts are right."
    proofs.show_checks(render.out(), [(MADE, WRONG)] * 8)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["… and 3 more that are wrong: --json.", "0 of 8 receipts are right."]


# --- a file


def summed(rows: int, cost: str, priced: int | None = None) -> Sum:
    return Sum(rows, rows if priced is None else priced, Decimal(cost), 1000 * rows, 10 * rows)


def file_shown(capsys: pytest.CaptureFixture[str], summary: Summary, target: Path | None = None) -> list[str]:
    priced.show(render.out(), "usage.csv", summary, target)
    return capsys.readouterr().out.splitlines()


def test_a_file_by_model_day_and_reason(capsys: pytest.CaptureFixture[str]) -> None:
    summary = Summary(
        summed(5, "0.03", 3), {"acme/[x] was not listed": 2}, {"acme/two": summed(1, "0.02"), "a/b": summed(2, "0.01")},
        {date(2026, 5, 1): summed(3, "0.02", 1), date(2026, 5, 2): summed(2, "0.01")},
        {"model": "model", "prompt": "tokens_in", "cached": "cached"}, {"cost": "llmhive_cost"},
    )  # fmt: skip
    assert file_shown(capsys, summary, Path("priced.csv")) == [
        "usage.csv: 5 rows, $0.03 in all; 2 without a price.",
        "",
        "model     rows  tokens in  out   share  cost",
        "acme/two     1      1.00k   10  66.7 %  $0.02",
        "a/b          2      2.00k   20  33.3 %  $0.01",
        "",
        "day (UTC)   rows  no price  tokens in  out   share  cost",
        "2026-05-01     3         2      3.00k   30  66.7 %  $0.02",
        "2026-05-02     2         0      2.00k   20  33.3 %  $0.01",
        "",
        "rows  not priced because",
        "   2  acme/[x] was not listed",
        "",
        "Read: model, prompt from tokens_in, cached.",
        "No column is known to say completion: taken as none. --column completion=COLUMN names it.",
        "Written to priced.csv, every row with llmhive_cost.",
    ]


def test_many_days_are_summed_up_by_month_exactly(capsys: pytest.CaptureFixture[str]) -> None:
    days = {date(2025, 1, 31) + timedelta(days=31 * number): summed(1, "0.1") for number in range(15)}
    tiny = Decimal("1E-24")
    days[date(2026, 3, 8)] = summed(1, str(tiny))
    models = {f"a/{number}": summed(1, "0.1") for number in range(13)}
    lines = file_shown(capsys, Summary(summed(16, str(Decimal("1.5") + tiny)), {}, models, days))
    assert lines[:2] == ["usage.csv: 16 rows, $1.50 in all.", "Exactly $1.500000000000000000000001."]
    assert "… and 1 cheaper model: --json." in lines
    assert "… and 3 earlier months: --json." in lines
    start = next(number for number, line in enumerate(lines) if line.startswith("month"))
    months = [line.split()[:2] for line in lines[start + 1 : start + 13]]
    assert (months[0], months[-2:]) == (["2025-05", "1"], [["2026-03", "2"], ["2026-04", "1"]])


def test_a_file_of_which_nothing_is_priced(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = Summary(Sum(1, 0, Decimal(0), 0, 0), {"why": 1}, {}, {date(2026, 5, 1): summed(1, "0", 0)})
    lines = file_shown(capsys, nothing)
    assert lines[0] == "usage.csv: 1 row, $0.00 in all; 1 without a price."
    assert "   1  why" in lines
    assert not any(line.startswith(("model", "day")) for line in lines)
