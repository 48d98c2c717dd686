"""Real captures of endpoints through decode and apply, in order, against an independent reading of the JSON."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import pytest
import sqlalchemy as sa

from llmhive.store import endpoints
from llmhive.store.database import Database
from llmhive.store.endpoints import Applied
from llmhive.store.tables import endpoint, endpoint_version
from tests.history.endpoints import Served, begin, captures, read, take

pytestmark = [pytest.mark.history, pytest.mark.long]

MINUTE = timedelta(minutes=1)
CONDITIONS = {"min_prompt_tokens", "utc_start", "utc_end", "utc_days"}


@pytest.fixture(scope="module")
def real() -> list[tuple[datetime, Served]]:
    found = list(captures())
    assert len(found) == 22
    return found


def number(rate: Any) -> str:
    """One spelling of a number."""
    value = Decimal(str(rate)).normalize()
    return f"{value or Decimal(0):f}"


def offered(served: dict[str, Any]) -> str:
    """What an endpoint offers, as text that is equal where nothing changed."""
    pricing = dict(served["pricing"])
    discount, overrides = pricing.pop("discount", None), pricing.pop("overrides", [])
    rates = {unit: number(rate) for unit, rate in pricing.items() if Decimal(rate) or unit in ("prompt", "completion")}
    if overrides:
        rates["overrides"] = [  # type: ignore[assignment]
            {
                "when": {name: value for name, value in entry.items() if name in CONDITIONS},
                "rates": {name: number(value) for name, value in entry.items() if name not in CONDITIONS},
            }
            for entry in overrides
        ]
    quantization = served.get("quantization")
    return json.dumps(
        {
            "provider_name": served["provider_name"],
            "tag": served["tag"],
            "context_length": served["context_length"],
            "max_completion_tokens": served.get("max_completion_tokens"),
            "quantization": None if quantization == "unknown" else quantization,
            "supported_parameters": sorted(served.get("supported_parameters") or []),
            "discount": None if discount is None else number(discount),
            "pricing": rates,
        },
        sort_keys=True,
    )


@cache
def kept(document: str) -> str:
    """The same of a stored document."""
    said = json.loads(document)
    names = ("provider_name", "tag", "context_length", "max_completion_tokens", "quantization", "discount", "pricing")
    found = {name: said.get(name) for name in names}
    return json.dumps(found | {"supported_parameters": said.get("supported_parameters", [])}, sort_keys=True)


def active(database: Database) -> dict[str, Counter[tuple[Any, ...]]]:
    """model → what each of its active endpoints offers, costs now, and how it fares."""
    found: dict[str, Counter[tuple[Any, ...]]] = {}
    with database.read() as connection:
        for row in connection.execute(sa.select(endpoint).where(endpoint.c.is_active)):
            prices = tuple(None if rate is None else number(rate) for rate in (row.prompt_price, row.completion_price))
            seen = (kept(row.document), *prices, row.status, row.uptime_last_30m)
            found.setdefault(row.model_id, Counter())[seen] += 1
    return found


def test_real_captures_of_endpoints(database: Database, real: list[tuple[datetime, Served]]) -> None:
    run_id = begin(database, real[0][0])
    truth: dict[str, Counter[tuple[Any, ...]]] = {}
    truths: list[tuple[datetime, dict[str, Counter[str]]]] = []
    for at, served in real:
        checks = read(at, served)
        told = take(database, run_id, checks)
        assert (told.models, told.endpoints) == (len(served), sum(map(len, served.values())))
        for model_id, listed in served.items():
            truth[model_id] = Counter(
                (offered(it), number(it["pricing"]["prompt"]), number(it["pricing"]["completion"]), it["status"],
                 it["uptime_last_30m"])
                for it in listed
            )  # fmt: skip
        assert active(database) == {model_id: found for model_id, found in truth.items() if found}
        truths.append((at, {model_id: Counter(it[0] for it in found.elements()) for model_id, found in truth.items()}))
        again = take(database, run_id, [replace(check, at=at + MINUTE) for check in checks])
        assert (again.versions, again.is_changed, again.gone_bad) == (0, False, ())
        late = take(database, run_id, checks)
        assert late == Applied(ignored=len(served))
    the_past_is_as_it_was(database, truths)
    each_version_says_something(database, real)


def the_past_is_as_it_was(database: Database, truths: list[tuple[datetime, dict[str, Counter[str]]]]) -> None:
    version = endpoint_version.c
    with database.read() as connection:
        steps = connection.execute(
            sa.select(
                endpoint.c.model_id, version.valid_from, version.valid_to, version.is_listed, version.document
            ).join(endpoint, endpoint.c.id == version.endpoint_id)
        ).all()  # fmt: skip
        for at, truth in truths:
            for then in (at, at + MINUTE):
                found: dict[str, Counter[str]] = {}
                for row in steps:
                    if row.is_listed and row.valid_from <= then and (row.valid_to is None or then < row.valid_to):
                        found.setdefault(row.model_id, Counter())[kept(row.document)] += 1
                assert found == {model_id: offers for model_id, offers in truth.items() if offers}
            for model_id in sorted(truth)[::23]:
                listed = endpoints.as_of(connection, model_id, at)
                prices = Counter((it["tag"], it["pricing"]["prompt"], it["pricing"]["completion"]) for it in listed)
                read = [json.loads(it) for it in truth[model_id].elements()]
                assert prices == Counter(
                    (it["tag"], it["pricing"]["prompt"], it["pricing"]["completion"]) for it in read
                )


def each_version_says_something(database: Database, real: list[tuple[datetime, Served]]) -> None:
    """As many versions as there are changes; of endpoints whose tag is never repeated, so that it names them."""
    last: dict[tuple[str, str], str | None] = {}
    changes: Counter[tuple[str, str]] = Counter()
    repeated = set()
    for _, served in real:
        for model_id, listed in served.items():
            tags = Counter(it["tag"] for it in listed)
            repeated |= {(model_id, tag) for tag, times in tags.items() if times > 1}
            now: dict[tuple[str, str], str | None] = {(model_id, it["tag"]): offered(it) for it in listed}
            for key in {key for key in last if key[0] == model_id} | now.keys():
                if last.get(key) != now.get(key):
                    changes[key] += 1
                    last[key] = now.get(key)
    with database.read() as connection:
        stored = connection.execute(
            sa.select(endpoint.c.model_id, endpoint.c.key).join(
                endpoint_version, endpoint.c.id == endpoint_version.c.endpoint_id
            )
        )
        found = Counter((row.model_id, row.key.partition("#")[0]) for row in stored)
    assert len(repeated) == 2
    for key in repeated:
        assert changes.pop(key) >= 1
        assert found.pop(key) >= 2
    assert found == changes
    assert sum(found.values()) > 1023
