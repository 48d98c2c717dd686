"""What `llmhive model` says of endpoints: prices as their model's, discounts and mark-ups, what is unknown."""

from __future__ import annotations

from typing import Any

import pytest

from llmhive.app.cli import offers, render

ASKED = {"checked_at": "2026-10-01T00:00:00Z", "succeeded_at": "2026-10-01T00:00:00Z", "error": None}


def endpoint(**more: Any) -> dict[str, Any]:
    return {
        "provider": "One", "tag": "one", "pricing": {"prompt": "0.000002", "completion": "0"}, "discount": None,
        "context_length": None, "quantization": None, "uptime_last_30m": None, "uptime_last_1d": None,
        "latency_ms": None, "throughput_tps": None, "status": None, "is_zdr": None, "is_active": True,
        "since": "2026-09-30T12:00:00Z", **more,
    }  # fmt: skip


def told(
    capsys: pytest.CaptureFixture[str], *data: dict[str, Any], kind: str = "fixed", counts_tokens: bool = True,
    **more: Any,
) -> str:  # fmt: skip
    model = {"pricing_kind": kind}
    offers.show_endpoints(render.out(), model, {"data": list(data), **ASKED, **more}, counts_tokens=counts_tokens)
    return capsys.readouterr().out


def row(text: str, tag: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if tag in line.split())


def test_what_is_not_known_is_no_zero(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, endpoint())
    assert text.splitlines()[2].split() == ["provider", "tag", "in", "$/M", "out", "$/M", "since"]
    assert row(text, "one") == ["One", "one", "2.00", "0", "2026-09-30"]
    assert "Latency and throughput are unknown" in text
    # in a column that has something
    text = told(capsys, endpoint(), endpoint(tag="two", uptime_last_1d=99.999, status=-1, is_zdr=False))
    assert row(text, "one")[4:] == ["?", "?", "?", "2026-09-30"]
    assert row(text, "two")[4:] == ["99.99", "(1d)", "degraded", "or", "disabled", "(-1)", "no", "2026-09-30"]


def test_discounts_and_mark_ups(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, endpoint(discount="0.125"), endpoint(tag="two", discount="-0.05"), endpoint(tag="three"))
    assert "12.50 % off" in text
    assert "5 % more" in text
    assert row(text, "three")[4] == "?"
    assert "discount" not in told(capsys, endpoint(discount="0"))


@pytest.mark.parametrize(
    ("kind", "counts_tokens", "prices"),
    [
        ("fixed", True, ["2.00", "0"]),
        ("dynamic", True, ["2.00", "0"]),
        ("unknown", True, ["2.00", "?"]),
        # as it is listed: nobody knows for what
        ("fixed", False, ["0.000002", "0"]),
        ("unknown", False, ["0.000002", "?"]),
    ],
)
def test_prices_are_shown_as_those_of_the_model(
    kind: str, counts_tokens: bool, prices: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    other = endpoint(tag="two", pricing={"prompt": "1", "completion": "1"})
    text = told(capsys, endpoint(), other, kind=kind, counts_tokens=counts_tokens)
    assert row(text, "one")[2:4] == prices
    assert ("as listed" in text) is not counts_tokens


def test_when_they_were_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    never = told(capsys, checked_at=None, succeeded_at=None)
    assert "never asked for: `llmhive sync --research` asks" in never
    failed = told(capsys, succeeded_at=None, error="HTTP 500")
    assert "No endpoints" in failed
    assert "without success so far" in failed
    assert "The last try, 2026-10-01 00:00 UTC, failed: HTTP 500" in failed
    gone = told(capsys, endpoint(), endpoint(tag="two", is_active=False))
    assert "1 endpoint\n" in gone
    assert "1 more no longer offered" in gone
    assert "two" not in gone


def test_uptime_says_of_how_long(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, endpoint(uptime_last_30m=99.5, uptime_last_1d=98.0), endpoint(tag="two"))
    assert "uptime 30m %" in text
    assert row(text, "one")[4:] == ["99.50", "2026-09-30"]
    assert row(text, "two")[4:] == ["?", "2026-09-30"]


def test_ranks_have_the_names_that_rankings_takes(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["translation", "data:sql", *(f"more{it}" for it in range(6))]
    ranks = [{"rank": it, "dimension": "category", "category": name} for it, name in enumerate(names, start=2)]
    lead = {"rank": 1, "dimension": "lowest_cost", "category": None}
    offers.show_ranks(render.out(), "a/b", [*reversed(ranks), lead])
    text = capsys.readouterr().out
    assert "#1 lowest_cost · #2 translation · #3 data:sql · #4 more0" in text
    assert text.endswith(", and 3 more: llmhive model a/b --json\n")
    offers.show_ranks(render.out(), "a/b", [lead])
    assert capsys.readouterr().out.endswith("\n#1 lowest_cost\n")


def test_of_one_metric_the_source_that_tells_more_counts(capsys: pytest.CaptureFixture[str]) -> None:
    def measure(source: str, metric: str, value: str, as_of: str | None = None) -> dict[str, Any]:
        return {"source": source, "metric": metric, "value": value, "as_of": as_of}

    offers.show_benchmarks(
        render.out(),
        [
            measure("models:artificial-analysis", "coding_index", "50"),
            measure("artificial-analysis", "coding_index", "51.25", "2026-10-01T02:00:00Z"),
            measure("openrouter", "gpqa_diamond", "0.4385"),
            *(measure("models:design-arena", f"elo:models:c{it}", f"{1200 + it}.5") for it in range(6)),
        ],
    )
    text = capsys.readouterr().out
    assert "51.25  Artificial Analysis, 2026-10-01" in text
    assert " 50 " not in text
    assert "43.8 %  OpenRouter" in text
    assert "c5 1,206, c4 1,204, c3 1,204, c2 1,202 and 2 more  Design Arena" in text
