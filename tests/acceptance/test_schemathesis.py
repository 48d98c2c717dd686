"""The OpenAPI document against the service: whatever is asked, the answer is one that it describes, and no 5xx."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fake_openrouter import catalog, model
from tests.serving import Place, Served, place, serving
from tests.support import sync_at
from tests.upstream import KEY, Upstream, World

load_all_checks()
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance,
]  # fmt: skip
MODELS = [
    *(model(f"acme/model-{number:02}", context_length=number or None) for number in range(20)),
    model("acme/router", pricing={"prompt": "-1", "completion": "-1"}),
    model("acme/deep:free", supported_parameters=["tools", "reasoning"]),
]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A catalog with a past: a change that is confirmed, a model that is gone, a held value, a snapshot."""
    with place("sqlite", tmp_path_factory.mktemp("schema")) as found:
        past = [
            [*MODELS, model("acme/gone"), model("acme/one")],
            [*MODELS, model("acme/one", pricing={"prompt": "0.000001", "completion": "0.0000015"})],
            [*MODELS, model("acme/one", pricing={"prompt": "0.0000000001", "completion": "0.0000015"})],
        ]
        for days, records in zip((3, 2, 1), past, strict=True):
            found.fake.serve(catalog(*records))
            sync_at(found.url, found.fake.base_url, datetime.now(UTC) - timedelta(days=days))
        yield found


@pytest.fixture(scope="module")
def served(here: Place) -> Iterator[Served]:
    with serving(here.llmhive, SYNC_MIN_INTERVAL_MINUTES="0.001") as found:
        found.post("/api/snapshots", {"name": "before-upgrade"})
        yield found


@pytest.fixture(scope="module")
def researched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service that did a research sync: there is something in everything that can be read."""
    upstream = Upstream(World.small(today=datetime.now(UTC).date()))
    env: dict[str, Any] = {"OPENROUTER_API_KEY": KEY, "SYNC_RANKINGS": "1", "SYNC_TIMEOUT_SECONDS": "150"}
    folder = tmp_path_factory.mktemp("researched")
    with place("sqlite", folder, upstream) as found, serving(found.llmhive, **env) as served:
        served.post("/api/openrouter/sync/research", None, blocking="true").raise_for_status()
        yield served


def operations(served: Served, *, reading: bool) -> list[Any]:
    document = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    found: list[Any] = [it.ok() for it in document.get_all_operations()]  # type: ignore[union-attr]
    return [it for it in found if (it.method.lower() == "get") is reading]


def check(operation: Any, mode: GenerationMode, examples: int) -> None:
    """Ask for an operation in ways that its description allows, or does not allow."""

    @settings(
        deadline=None, derandomize=True, database=None, max_examples=examples, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    try:
        ask()
    except Unsatisfiable:
        # nothing that it does not allow can be written
        assert mode is GenerationMode.NEGATIVE


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_reads(served: Served, mode: GenerationMode) -> None:
    found = operations(served, reading=True)
    assert len(found) > 10
    for operation in found:
        check(operation, mode, 12)


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_reads_of_what_research_brought(researched: Served, mode: GenerationMode) -> None:
    words = ("rankings", "top", "endpoints", "benchmarks", "capabilities", "providers", "families", "runs")
    found = [it for it in operations(researched, reading=True) if any(word in it.path for word in words)]
    assert len(found) == 12
    for operation in found:
        check(operation, mode, 12)


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_writes(served: Served, mode: GenerationMode) -> None:
    found = operations(served, reading=False)
    assert len(found) == 9
    for operation in found:
        check(operation, mode, 4)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/models?active=all", "ModelList"), ("/api/models/acme/one", "Model"), ("/api/models/acme/gone", "Model"),
        ("/api/models/families", "FamilyList"), ("/api/models/acme/one/history", "History"),
        ("/api/changes?since=2020-01-01", "ChangeList"), ("/api/snapshots", "SnapshotList"),
        ("/api/openrouter/sync/runs", "RunList"), ("/api/openrouter/sync/runs/3", "WholeRun"),
        ("/api/openrouter/sync/status", "Status"), ("/healthz", "Health"), ("/readyz", "Ready"),
        ("/api/models?as_of=YESTERDAY", "ModelList"),
    ],
)  # fmt: skip
def test_an_answer_has_exactly_the_fields_that_are_described(served: Served, path: str, name: str) -> None:
    described(served, path, name)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/rankings", "Ranking"), ("/api/rankings?category=market_share", "Ranking"),
        ("/api/rankings?category=fastest", "Ranking"), ("/api/rankings?category=programming", "Ranking"),
        ("/api/rankings/categories", "RankingNames"), ("/api/models/top", "TopModels"),
        ("/api/models/acme/atlas-2/endpoints", "EndpointList"),
        ("/api/models/openrouter/auto/endpoints", "EndpointList"),
        ("/api/models/acme/atlas-2/endpoints?as_of=2026-01-01", "EndpointList"),
        ("/api/models/acme/atlas-2/rankings", "Standings"), ("/api/models/acme/atlas-2/benchmarks", "BenchmarkList"),
        ("/api/capabilities", "CapabilityMatrix"), ("/api/providers", "ProviderList"),
        ("/api/models/families", "FamilyList"), ("/api/openrouter/sync/runs/2", "WholeRun"),
    ],
)  # fmt: skip
def test_so_has_what_research_brought(researched: Served, path: str, name: str) -> None:
    described(researched, path, name)


def described(served: Served, path: str, name: str) -> None:
    """Compare an answer with its shape: all fields that are required, and no other ones than the shape has."""
    yesterday = (datetime.now(UTC) - timedelta(hours=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = served.get("/openapi.json").json()
    shapes = document["components"]["schemas"]
    found = served.client.get(path.replace("YESTERDAY", yesterday)).raise_for_status().json()
    fields = shapes[name]
    assert set(fields["required"]) <= found.keys() <= set(fields["properties"])
    assert fields.get("additionalProperties") is False
    rows = found.get("data", [])
    if rows:
        of = shapes[fields["properties"]["data"]["items"]["$ref"].rpartition("/")[2]]
        for row in rows:
            assert set(of["required"]) <= row.keys() <= set(of["properties"])
            assert of.get("additionalProperties") is False
