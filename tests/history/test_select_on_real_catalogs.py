"""A hundred real catalogs of two years, thousands of needs: the selector and the oracle agree, ties included.

What the captures do not tell is drawn by a seed: ranks, benchmarks before there were any in the records, the speed of
endpoints and whether they keep data. It is drawn from few values, so that much is equal.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from llmhive.app.openrouter.decode_benchmarks import inside
from llmhive.app.openrouter.envelope import split
from llmhive.catalog.need import Need
from llmhive.catalog.routing import Candidate
from llmhive.catalog.selectable import Evidence, Stock, with_measures
from llmhive.catalog.selector import Selector
from llmhive.store import captures, selectables
from llmhive.store.database import Database, connect
from llmhive.store.tables import capture
from tests import select_oracle as oracle
from tests.history import endpoints
from tests.support import history_database

pytestmark = [pytest.mark.history, pytest.mark.long, pytest.mark.timeout(1500)]

CATALOGS = 100
NEEDS = 30
NEAR = 1e-9
TASKS = ("programming", "technology", "agentic", "legal", "translation")
RANKINGS = ("leaderboard", "programming", "legal")
ROLES = ("best", "balanced", "fast", "cheap", "long-context", "vision", "coder")
REQUIRED = (
    "tools", "tool_choice", "structured_outputs", "json_mode", "reasoning", "vision", "prompt_caching", "seed", "stop",
    "logprobs", "file_input", "image_output", "web_search",
)  # fmt: skip
USAGES = (
    {"prompt": 3000, "completion": 1000}, {"prompt": 200_000, "completion": 2000}, {"prompt": 100, "completion": 10},
    {"prompt": 50_000, "completion": 500, "cached": 40_000}, {"prompt": 300_001, "completion": 0, "requests": 2},
    {"prompt": 1000, "completion": 4000, "reasoning": 3000, "images": 2, "web_searches": 1},
)  # fmt: skip


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """The two years, and the endpoints of the last weeks."""
    path = tmp_path_factory.mktemp("real") / "history.db"
    shutil.copy(history_database(), path)
    database = connect(f"sqlite:///{path}")
    found = list(endpoints.captures())
    run_id = endpoints.begin(database, found[0][0])
    for at, served in found:
        endpoints.take(database, run_id, endpoints.read(at, served))
    yield database
    database.close()


def instants(database: Database) -> list[datetime]:
    """Evenly spread captures, and three of days on which endpoints were seen."""
    with database.read() as connection:
        found = connection.execute(sa.select(capture.c.fetched_at).where(captures.IN_HISTORY).order_by("fetched_at"))
        times = list(found.scalars())
    chosen = [times[number * (len(times) - 1) // (CATALOGS - 4)] for number in range(CATALOGS - 3)]
    return [*chosen, *(datetime(2026, 6, day, 17, 30, tzinfo=UTC) for day in (16, 22, 30))]


def stock_of(database: Database, at: datetime, random: Random) -> Stock:
    with database.read() as connection:
        stock = selectables.load(connection, at=at)
        filed = captures.newest_filed(connection, None, before=at + timedelta(microseconds=1))
        assert filed is not None
        records = split(captures.read_body(connection, filed.capture.digest) or b"").data or ()
    rows = [it.row for it in stock.models]
    evidence = with_measures(stock.evidence, inside(bytes(it) for it in records).measures, rows)
    models = tuple(
        it if it.offers is None else it._replace(offers=tuple(_measured(offer, random) for offer in it.offers))
        for it in stock.models
    )
    return stock._replace(models=models, evidence=_drawn(evidence, rows, random))


def _measured(offer: Candidate, random: Random) -> Candidate:
    health = replace(
        offer.health,
        latency_p50=random.choice([None, 400.0, 900.0]),
        throughput_p50=random.choice([None, 40.0, 90.0]),
    )
    return replace(offer, health=health, is_zdr=random.choice([None, True, False]))


def _drawn(evidence: Evidence, rows: Sequence[Any], random: Random) -> Evidence:
    """Ranks, and where nobody was measured figures, the same for all variants."""
    slugs = sorted({row["canonical_slug"] or row["id"] for row in rows})
    measures = dict(evidence.measures)
    if not measures:
        figures = {slug: _figures(random) for slug in slugs}
        measures = {row["id"]: figures[row["canonical_slug"] or row["id"]] for row in rows}
    ranks = {}
    for name in RANKINGS:
        places = {slug: place for place, slug in enumerate(random.sample(slugs, 50), 1)}
        told = ((row["id"], places.get(row["canonical_slug"] or row["id"])) for row in rows)
        ranks[name] = {model_id: place for model_id, place in told if place is not None}
    return Evidence(measures, ranks, dict.fromkeys(RANKINGS, 50))


def _figures(random: Random) -> dict[str, float]:
    metrics = [("intelligence_index", 60), ("coding_index", 60), ("agentic_index", 60), ("elo:models:website", 1500)]
    return {name: float(random.randint(most // 3, most) // 10 * 10) for name, most in metrics if random.random() < 0.4}


def needs(stock: Stock, random: Random) -> Iterator[Need]:
    """Needs of all kinds: few constraints each, from what the catalog has."""
    active = [it for it in stock.models if it.row["is_active"]]
    ids = [it.row["id"] for it in active]
    # the first captures list no parameters
    required = (*REQUIRED, *{it for row in active for it in row.row["supported_parameters"] if it.startswith("top")})
    authors = sorted({it.row["author"] for it in active})
    offers = [offer for it in active for offer in it.offers or ()]
    tags = sorted({offer.endpoint.tag for offer in offers} | {offer.endpoint.provider_name for offer in offers}) or [
        "x"
    ]
    for _ in range(NEEDS):
        told: dict[str, Any] = {"limit": random.choice([1, 5, 50, 50]), "usage": random.choice(USAGES)}
        told["allow"] = random.sample(
            ("free", "batch", "router", "alias", "unpriced", "degraded"), random.randint(0, 4)
        )
        of, patterns = random.choice(stock.models).row["id"], [f"{it}/*" for it in authors]
        for name, value in {
            "task": random.choice(TASKS),
            "require": random.sample(sorted(required), random.choice([1, 1, 2, 3])),
            "inputs": [random.choice(["image", "text", "file"])],
            "outputs": [random.choice(["text", "text", "image"])],
            "min_context": random.choice([0, 32_768, 128_000, 200_000, 1_000_000]),
            "min_output": random.choice([1000, 16_384, 64_000]),
            "max_price_per_million": {"prompt": random.choice([0, 0.1, 1, "2.5"]), "completion": random.choice([0, 5])},
            "exclude_providers": random.choices(tags, k=2),
            "exclude": random.choices([*ids, *patterns], k=4),
            "lasting_days": random.choice([1, 30, 90]),
            "stick_to": random.choice(ids),
            "margin": random.choice([0, 0.001, 0.1]),
        }.items():
            if random.random() < 0.2:
                told[name] = value
        for name, value in {
            "providers": random.choices(tags, k=3),
            "quantizations": random.sample(["fp8", "bf16", "unknown", "fp4"], 2),
            "zdr": True,
            "min_uptime": random.choice([90, 99, 99.9]),
            "max_latency": 0.5,
            "min_throughput": random.choice([40, 50]),
            "models": random.choices([*patterns, "*:free", "*mini*", *ids], k=6),
        }.items():
            if random.random() < (0.08 if offers else 0.02):
                told[name] = value
        weights = {part: random.choice([0, 0.25, 0.5, 1]) for part in ("quality", "price", "speed")}
        named = random.choice(["quality", "price", "speed", "value"])
        told["objective"] = weights if any(weights.values()) and random.random() < 0.5 else named
        if random.random() < 0.4:
            told["role"] = random.choice([*ROLES, "escalation", "replacement", "replacement"])
            told["objective"] = random.choice([None, told["objective"]])
            if told["role"] in {"escalation", "replacement"}:
                told["of"] = of
        yield Need(**told)


def test_the_oracle_agrees_on_real_catalogs(real: Database) -> None:
    random, seen = Random(7), Counter[str]()
    for at in instants(real):
        stock = stock_of(real, at, random)
        plain, selector = oracle.plain(stock), Selector(stock)
        seen["catalogs"] += 1
        seen["models"] += len(stock.models)
        seen["models with known endpoints"] += sum(it.offers is not None for it in stock.models)
        seen["catalogs with measures"] += bool(stock.evidence.measures)
        for need in needs(stock, random):
            wanted, found = oracle.choose(plain, need), selector.select(need)
            about = f"at {at}: {need}"
            assert [it.id for it in found.choices] == [it[0] for it in wanted[: need.limit]], about
            scores = [it[1] for it in wanted[: need.limit]]
            assert [it.score for it in found.choices] == pytest.approx(scores, abs=NEAR), about
            assert found.total == len(wanted), about
            assert set(found.rejected) == oracle.reject(plain, need), about
            pairs = list(pairwise(wanted))
            seen["needs"] += 1
            seen["needs that nothing meets"] += not wanted
            seen["candidates"] += len(wanted)
            seen["choices in order"] += len(found.choices)
            seen["equal scores"] += sum(one[1] == other[1] for one, other in pairs)
            seen["equal scores and costs"] += sum(one[1:] == other[1:] for one, other in pairs)
    print("\n" + ", ".join(f"{count:,} {what}" for what, count in seen.items()))
    assert seen["catalogs"] == CATALOGS
    assert seen["needs"] >= 3000
    assert seen["candidates"] > 30_000
    assert seen["equal scores and costs"] > 1000
    assert seen["models with known endpoints"] > 1000
