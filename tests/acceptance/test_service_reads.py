"""The routes that read, over real HTTP: everything they answer is compared with the library, or reckoned anew."""

from __future__ import annotations

import gzip
import html
import http.client
import json
import random
import re
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cmp_to_key
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from llmhive.app.library import Catalog
from llmhive.catalog.identity import identify
from llmhive.store import snapshots
from llmhive.store.database import connect
from tests.docs.test_deploy import METRICS
from tests.fake_openrouter import Record, catalog, model
from tests.serving import Place, Served, asked, place, serving
from tests.support import DIALECTS, rows, sync_at

NOW = datetime.now(UTC).replace(microsecond=0)
DAYS = [NOW - timedelta(days=days) for days in (3, 2, 1)]
ODD = ("acme/one:free", "~acme/one-latest", "acme/ÜBER-two", "acme/a.b_c-1")


def varied(number: int) -> Record:
    """A record that differs from the others in most of what people filter by."""
    dice = random.Random(number)
    author = dice.choice(["acme", "zeta", "Beta", "omega"])
    suffix = dice.choice(["", "", "", ":free", ":batch", ":thinking"])
    prompt = "0" if suffix == ":free" else dice.choice(["0.0000005", "0.000001", "0.00000008333333333333334", "-1"])
    inputs = ["text", *dice.sample(["image", "file", "audio", "video"], dice.randrange(3))]
    return model(
        f"{author}/{dice.choice(['mark', 'Mark', 'line'])}-{number:03}{suffix}",
        name=dice.choice(["Ärger", "ärger 2", "Plain", "plain", "STRASSE"]) + f" {number % 7}",
        created=dice.choice([1700000000, 1750000000, 1768435200 + number]),
        context_length=dice.choice([4096, 131072, 200_000, 1_000_000, None]),
        pricing={"prompt": prompt, "completion": "0" if suffix == ":free" else dice.choice(["0.000002", "0.00001"])},
        architecture={
            "input_modalities": inputs,
            "output_modalities": dice.choice([["text"], ["text"], ["text", "image"]]),
        },
        top_provider={"max_completion_tokens": dice.choice([None, 4096, 32_000, 64_000])},
        supported_parameters=dice.sample(["tools", "reasoning", "response_format", "temperature", "seed"], 3),
        expiration_date=dice.choice([None, None, "2027-01-31", "2026-12-31"]),
    )


MANY = [varied(number) for number in range(60)]


def listing(*records: Record) -> bytes:
    return catalog(*MANY, *records, *(model(it) for it in ODD))


#: What OpenRouter served on each of the days; the last of them has a price that the gate holds.
SERVED = (
    listing(model("acme/gone"), model("acme/moved", pricing={"prompt": "0.000001", "completion": "0.000002"})),
    listing(model("acme/moved", pricing={"prompt": "0.0000015", "completion": "0.000002"}), model("acme/new")),
    listing(model("acme/moved", pricing={"prompt": "0.0000015", "completion": "0.000002"}), model("acme/new")),
)
LAST = listing(model("acme/moved", pricing={"prompt": "0.000000001", "completion": "0.000002"}), model("acme/new"))


@pytest.fixture(scope="module", params=DIALECTS)
def here(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place(request.param, tmp_path_factory.mktemp("reads")) as found:
        for at, body in zip(DAYS, SERVED, strict=True):
            found.fake.serve(body)
            assert sync_at(found.url, found.fake.base_url, at).status in {"completed", "unchanged"}
        database = connect(found.url)
        with database.write() as connection:
            taken = snapshots.take(connection, "before", at=NOW, note="a note")
        database.close()
        assert taken.models == len(MANY) + len(ODD) + 2
        found.fake.serve(LAST)
        assert sync_at(found.url, found.fake.base_url, NOW - timedelta(hours=1)).held == 1
        yield found


@pytest.fixture(scope="module")
def served(here: Place) -> Iterator[Served]:
    """A server that is only read from."""
    with serving(here.llmhive) as found:
        yield found


@pytest.fixture
def library(here: Place) -> Iterator[Catalog]:
    """What the commands answer from, on the same database."""
    with Catalog.open(here.url) as found:
        yield found


def whole(served: Served) -> list[dict[str, Any]]:
    """The JSON of every model there is."""
    found = served.get("/api/models", active="all").json()
    assert found["total"] == len(found["data"])
    return list(found["data"])


def problem(answer: Any, status: int) -> dict[str, Any]:
    """The problem that an answer is."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    found: dict[str, Any] = answer.json()
    assert found["type"] == "about:blank"
    assert found["status"] == status
    assert found["title"] == http.client.responses[status]
    assert found["detail"]
    assert found["request_id"] == answer.headers["x-request-id"]
    return found


# --- the list: an oracle over the JSON of all models

Meets = Callable[[dict[str, Any], str], bool]


def is_at_least(field: str) -> Meets:
    return lambda row, value: row[field] is not None and row[field] >= int(value)


def costs_at_least(unit: str) -> Meets:
    def meets(row: dict[str, Any], value: str) -> bool:
        price = row["pricing"][unit]
        return price is not None and Decimal(price) * 10**6 >= Decimal(str(float(value)))

    return meets


def costs_at_most(unit: str) -> Meets:
    def meets(row: dict[str, Any], value: str) -> bool:
        price = row["pricing"][unit]
        return price is not None and Decimal(price) * 10**6 <= Decimal(str(float(value)))

    return meets


def has_all(field: str) -> Meets:
    return lambda row, value: all(word in row[field] for word in value.split(","))


def has_words(row: dict[str, Any], value: str) -> bool:
    looked_at = [(row[field] or "").casefold() for field in ("id", "canonical_slug", "name")]
    return all(any(word in text for text in looked_at) for word in value.casefold().split())


def can(row: dict[str, Any], value: str) -> bool:
    found = set(row["supported_parameters"])
    found |= {"vision" if it == "image" else f"{it}_input" for it in row["input_modalities"] if it != "text"}
    found |= {f"{it}_output" for it in row["output_modalities"] if it != "text"}
    found |= {"json_mode"} & ({"json_mode"} if "response_format" in row["supported_parameters"] else set())
    return set(value.split(",")) <= found


at = datetime.fromisoformat
#: Filter → whether a model meets it, and values to try it with.
FILTERS: dict[str, tuple[Meets, list[str]]] = {
    "text": (has_words, ["mark", "MARK acme", "straße", "ÄRGER", "2", "nothing at all", ":free", "latest"]),
    "author": (lambda row, value: row["author"] == value, ["acme", "zeta", "Beta", "beta"]),
    "family": (
        lambda row, value: value in {row["family"], row["family"].partition("/")[2]},
        ["acme/moved", "new", "mark", "acme/one", "zeta/line"],
    ),
    "variant": (lambda row, value: row["variant"] == value, ["free", "batch", "thinking", "x"]),
    "kind": (lambda row, value: row["pricing_kind"] == value, ["fixed", "free", "dynamic", "unknown"]),
    "free": (lambda row, value: value == "false" or row["pricing_kind"] == "free", ["true", "false"]),
    "in": (has_all("input_modalities"), ["image", "text", "image,file", "smell"]),
    "out": (has_all("output_modalities"), ["image", "text,image", "audio"]),
    "capability": (can, ["tools", "vision", "file_input", "image_output", "json_mode", "tools,vision", "flight"]),
    "min_context": (is_at_least("context_length"), ["0", "131072", "131073", "1000000"]),
    "min_output": (is_at_least("max_completion_tokens"), ["0", "4097", "64000"]),
    "min_prompt": (costs_at_least("prompt"), ["0", "0.5", "0.08333333333333334", "0.08333333333333333", "1e3", "1"]),
    "min_completion": (costs_at_least("completion"), ["0", "1.9", "2", "1e9"]),
    "max_prompt": (costs_at_most("prompt"), ["0", "0.5", "0.08333333333333334", "0.08333333333333333", "1e3", "1"]),
    "max_completion": (costs_at_most("completion"), ["0", "1.9", "2", "1e9"]),
    "active": (
        lambda row, value: value == "all" or row["is_active"] is (value == "true"), ["true", "false", "all"],
    ),
    "held": (lambda row, value: bool(row["held"]) is (value == "true"), ["true", "false"]),
    "new_since": (
        lambda row, value: (
            row["created_at"] is not None and at(row["created_at"]) >= at(f"{value}T00Z")
        ),
        ["2023-01-01", "2025-06-15", "2026-01-15", "2027-01-01"],
    ),
    "expiring_before": (
        lambda row, value: row["expiration_date"] is not None and row["expiration_date"] <= value,
        ["2026-12-30", "2026-12-31", "2027-06-01"],
    ),
}  # fmt: skip
#: Sort → what it goes by, and whether it begins with the most.
ORDERS: dict[str, tuple[Callable[[dict[str, Any]], Any], bool]] = {
    "id": (lambda row: row["id"], False),
    "name": (lambda row: row["name"] and row["name"].casefold(), False),
    "newest": (lambda row: row["created_at"], True),
    "context": (lambda row: row["context_length"], True),
    "output": (lambda row: row["max_completion_tokens"], True),
    "prompt": (lambda row: row["pricing"]["prompt"] and Decimal(row["pricing"]["prompt"]), False),
    "completion": (lambda row: row["pricing"]["completion"] and Decimal(row["pricing"]["completion"]), False),
    "author": (lambda row: row["author"], False),
    "expiring": (lambda row: row["expiration_date"], False),
}


def in_order(found: list[dict[str, Any]], sort: str, *, reverse: bool) -> list[dict[str, Any]]:
    key, is_most_first = ORDERS[sort]

    def order(one: dict[str, Any], two: dict[str, Any]) -> int:
        a, b = key(one), key(two)
        if (a is None) is not (b is None):
            return 1 if a is None else -1
        if a is None or a == b:
            return -1 if one["id"] < two["id"] else 1
        return -1 if (a > b) is (is_most_first is not reverse) else 1

    return sorted(found, key=cmp_to_key(order))


def test_the_oracle_knows_every_parameter(served: Served) -> None:
    listed = served.get("/openapi.json").json()["paths"]["/api/models"]["get"]["parameters"]
    names = [it["name"] for it in listed if it["in"] == "query"]
    assert sorted(names) == sorted([*FILTERS, "sort", "reverse", "limit", "offset", "as_of", "known_at"])
    assert next(it for it in listed if it["name"] == "sort")["schema"]["enum"] == list(ORDERS)


@pytest.mark.parametrize("name", FILTERS)
def test_each_filter_is_what_the_oracle_says(served: Served, name: str) -> None:
    meets, values = FILTERS[name]
    everything = whole(served)
    sizes = set()
    for value in values:
        query = {name: value} if name == "active" else {name: value, "active": "all"}
        answer = served.get("/api/models", **query).json()
        wanted = [row for row in everything if meets(row, value)]
        assert [row["id"] for row in answer["data"]] == [row["id"] for row in wanted], (name, value)
        assert answer["data"] == wanted
        assert answer["total"] == len(wanted)
        sizes.add(len(wanted))
    assert len(sizes) > 1, "the values tell nothing apart"


def test_filters_go_together_in_every_order_and_page(served: Served) -> None:
    dice = random.Random(17)
    everything = whole(served)
    for _ in range(150):
        chosen = {name: dice.choice(FILTERS[name][1]) for name in dice.sample(sorted(FILTERS), dice.randrange(3))}
        if {"kind", "free"} <= chosen.keys() and chosen["free"] == "true":
            continue
        sort, reverse = dice.choice(sorted(ORDERS)), dice.random() < 0.5
        limit, offset = dice.choice([None, 1, 5, 1000]), dice.choice([0, 0, 3, 70])
        query = chosen | {"sort": sort, "reverse": str(reverse).lower(), "offset": str(offset)}
        query |= {} if limit is None else {"limit": str(limit)}
        conditions = {"active": "true"} | chosen
        met = [row for row in everything if all(FILTERS[it][0](row, value) for it, value in conditions.items())]
        wanted = in_order(met, sort, reverse=reverse)[offset:]
        answer = served.get("/api/models", **query).json()
        assert answer["data"] == (wanted if limit is None else wanted[:limit]), query
        assert (answer["total"], answer["limit"], answer["offset"]) == (len(met), limit, offset)


def test_lists_are_written_with_commas_or_repeated(served: Served) -> None:
    for name, both in (("in", "text,image"), ("capability", "tools,vision"), ("out", "text,image")):
        with_commas = served.get("/api/models", **{name: both}).json()
        repeated = served.get("/api/models", **{name: both.split(",")}).json()
        assert with_commas["data"] == repeated["data"] != []


@pytest.mark.parametrize("size", [1, 7, 100])
def test_pages_make_up_the_whole_and_each_knows_the_total(served: Served, size: int) -> None:
    paths = {
        "/api/models": {"sort": "prompt", "active": "all"},
        "/api/openrouter/sync/runs": {},
        "/api/changes": {"since": "2020-01-01"},
    }
    for path, query in paths.items():
        everything = served.get(path, **query, limit=1000).json()
        pages = [served.get(path, **query, limit=size, offset=at).json() for at in range(0, everything["total"], size)]
        assert [row for page in pages for row in page["data"]] == everything["data"] != []
        assert {page["total"] for page in pages} == {len(everything["data"])}
        assert served.get(path, **query, limit=size, offset=everything["total"]).json()["data"] == []


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("sort=beauty", "sort"), ("limit=0", "limit"), ("limit=x", "limit"), ("offset=-1", "offset"),
        ("free=1", "free"), ("active=yes", "active"),
        ("max_prompt=nan", "max_prompt"), ("max_prompt=-1", "max_prompt"), ("text=", "text"),
        ("min_context=1.5", "min_context"), ("new_since=yesterday", "new_since"), ("authr=acme", "authr"),
        ("expiring_before=2026-13-01", "expiring_before"), ("author=a&author=b", "author"), ("text=%00", "text"),
        ("kind=free&free=true", "free"), ("as_of=2026-01-01&known_at=2026-01-01", "known_at"), ("text=%ff", "query"),
        ("limit=99999999999999999999", "limit"), ("as_of=now", "as_of"), ("in=", "in"),
    ],
)  # fmt: skip
def test_a_parameter_that_cannot_be_used_is_named(served: Served, query: str, name: str) -> None:
    found = problem(served.client.get(f"/api/models?{query}"), 422)
    assert found["parameter"] == name
    assert found["detail"].startswith(f"{name}: ")


# --- the past


def test_as_of_is_what_was_served_then(library: Catalog, served: Served) -> None:
    for number, at in enumerate(DAYS):
        then = at + timedelta(hours=2)
        moment = then.isoformat()
        answer = served.get("/api/models", as_of=moment).json()
        assert ("acme/gone" in {row["id"] for row in answer["data"]}) is (number == 0)
        assert ("acme/new" in {row["id"] for row in answer["data"]}) is (number > 0)
        told = library.models(as_of=then).to_json()
        assert (answer["data"], answer["total"], answer["as_of"]) == (told["data"], told["total"], told["as_of"])
        assert datetime.fromisoformat(answer["as_of"]) == at
        some = served.get("/api/models", as_of=moment, author="acme", sort="prompt", limit=3, offset=1).json()
        of_acme = [row for row in answer["data"] if row["author"] == "acme"]
        assert some["data"] == in_order(of_acme, "prompt", reverse=False)[1:4]
        assert some["total"] == len(of_acme)


def test_known_at_is_what_was_believed_then(served: Served) -> None:
    for moment, price in (
        (DAYS[0] + timedelta(hours=1), "0.000001"),
        (DAYS[1] + timedelta(hours=1), "0.0000015"),
        # served since, but held
        (NOW - timedelta(minutes=1), "0.0000015"),
    ):
        answer = served.get("/api/models", known_at=moment.isoformat(), text="acme/moved").json()
        assert [row["pricing"]["prompt"] for row in answer["data"]] == [price]
        assert answer["as_of"] == moment.isoformat().replace("+00:00", "Z")
    assert served.get("/api/models", known_at=(DAYS[0] - timedelta(days=9)).isoformat()).json()["total"] == 0


def test_instants_of_which_nothing_is_known_are_said(served: Served) -> None:
    assert "history begins" in problem(served.get("/api/models", as_of="2020-01-01"), 400)["detail"]
    for name in ("as_of", "known_at"):
        assert "in the future" in problem(served.get("/api/models", **{name: "2999-01-01"}), 400)["detail"]


# --- one model


def test_one_model_is_what_the_library_says(library: Catalog, served: Served) -> None:
    for model_id in ("acme/moved", "acme/gone", ODD[2]):
        answer = served.client.get(f"/api/models/{quote(model_id)}").json()
        told = json.loads(msgspec.json.encode(library.model(model_id)))
        assert answer.pop("catalog_age_seconds") > 0
        assert answer == told, model_id
    held = served.get("/api/models/acme/moved").json()
    assert (held["pricing"]["prompt"], held["held"]["pricing.prompt"]["served"]) == ("0.0000015", "0.000000001")


def test_ids_may_be_written_raw_or_percent_encoded_and_in_any_case(served: Served) -> None:
    forms = {
        "acme/one:free": ["acme/one:free", "acme%2Fone%3Afree", "acme%2fone:free", "ACME/One:FREE", "%61cme/one:free"],
        "~acme/one-latest": ["~acme/one-latest", "%7Eacme%2Fone-latest", "~ACME/one-latest", "one-latest"],
        "acme/ÜBER-two": [quote("acme/ÜBER-two", safe=""), quote("ACME/ÜBER-Two"), quote("Über-two".upper())],
        "acme/moved": ["acme/moved", "acme/moved-20260115", "ACME%2FMOVED-20260115", "moved", "acme/moved?x=1"],
    }
    for model_id, written in forms.items():
        for form in written:
            status, _, body = asked(served, f"/api/models/{form}")
            assert (status, json.loads(body)["id"]) == (200, model_id), form
            # SQLite knows the cases of ASCII only
            if "?" in form or not model_id.isascii():
                continue
            for below in ("history", "endpoints", "endpoints/history", "rankings", "benchmarks"):
                status, _, body = asked(served, f"/api/models/{form}/{below}")
                assert (status, json.loads(body)["id"]) == (200, model_id), (form, below)


def test_a_miss_names_what_comes_near(served: Served) -> None:
    for below in ("", "/history", "/endpoints", "/rankings", "/benchmarks"):
        path = f"/api/models/acme/movd{below}"
        assert "acme/moved" in problem(served.get(path), 404)["detail"]
    # known to memory, under this name only
    assert served.get("/api/models/acme/moved").status_code == 200
    for path in (
        "/api/models/", "/api/models/%00", "/api/models/" + "x" * 3000, "/api/models/%ff%fe", "/api/nothing",
        "/api/modelsXacme/moved",
    ):  # fmt: skip
        status, headers, body = asked(served, path)
        assert (status, headers["content-type"]) == (404, "application/problem+json"), path
        assert len(body) < 3000


# --- families, history, changes, snapshots, runs, status


def test_history_changes_snapshots_runs_and_status_are_what_the_library_says(library: Catalog, served: Served) -> None:
    facts = {"catalog_age_seconds", "catalog_version", "as_of", "source", "limit", "offset"}

    def bare(path: str, **query: Any) -> dict[str, Any]:
        return {name: value for name, value in served.get(path, **query).json().items() if name not in facts}

    assert bare("/api/models/acme/moved/history") == library.history("acme/moved")
    found = bare("/api/changes", since="2020-01-01")
    assert found["data"] == library.changes(datetime(2020, 1, 1, tzinfo=UTC))
    assert {(it["model_id"], it["what"]) for it in found["data"]} >= {
        ("acme/gone", "removed"), ("acme/new", "added"), ("acme/moved", "repriced"),
    }  # fmt: skip
    until = (DAYS[1] - timedelta(hours=1)).isoformat()
    assert bare("/api/changes", since="2020-01-01", until=until)["total"] == 0
    assert bare("/api/snapshots")["data"] == library.snapshots()
    told = [it.to_json() for it in library.runs()]
    assert bare("/api/openrouter/sync/runs")["data"] == told
    assert len(told) == 4
    one = served.get(f"/api/openrouter/sync/runs/{told[0]['id']}").json()
    assert one.items() >= library.run(told[0]["id"]).to_json().items()
    assert one.keys() - library.run(told[0]["id"]).to_json().keys() == {"catalog_age_seconds", "as_of", "source"}
    assert one["verdicts"][0]["outcome"] == "held"
    status, known = served.get("/api/openrouter/sync/status").json(), library.status()
    assert abs(status.pop("catalog_age_seconds") - known.pop("catalog_age_seconds")) < 20
    assert status.items() >= known.items()
    assert (status["schedule"], status["database_reachable"]) == ("external", True)
    assert status["view"]["catalog_version"] == status["catalog_version"]


def test_families_hold_every_model_once(served: Served) -> None:
    everything = {row["id"]: row for row in whole(served)}
    found = served.get("/api/models/families").json()
    assert found["total"] == len(found["data"]) == len({row["family"] for row in everything.values()})
    assert sorted(it for family in found["data"] for it in family["models"]) == sorted(everything)
    for family in found["data"]:
        members = [everything[it] for it in family["models"]]
        assert {(it["family"], it["author"]) for it in members} == {(family["family"], family["author"])}
        assert family["active"] == sum(it["is_active"] for it in members)
        assert family["newest"] == family["models"][0]
        said = [identify(it) for it in family["models"]]
        assert family["generations"] == list(dict.fromkeys(it.generation for it in said if it.generation))
        assert family["sizes"] == list(dict.fromkeys(it.size for it in said if it.size))
        created = [it["created_at"] or "" for it in members]
        assert created == sorted(created, reverse=True)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/openrouter/sync/runs/999999", 404), ("/api/openrouter/sync/runs/x", 422),
        ("/api/openrouter/sync/runs/0", 422), ("/api/openrouter/sync/runs?limit=0", 422),
        ("/api/openrouter/sync/runs?limit=1001", 422), ("/api/changes?since=x", 422),
        ("/api/changes?since=2026-01-01&until=x", 422), ("/nothing", 404), ("/api/openrouter", 404),
        ("/api/openrouter/sync/runs/99999999999999999999", 422), ("/docs", 404),
    ],
)  # fmt: skip
def test_every_error_of_a_read_is_a_problem(served: Served, path: str, status: int) -> None:
    problem(served.client.get(path), status)


def test_a_method_that_there_is_not_is_a_problem(served: Served) -> None:
    for method, path in (("DELETE", "/api/models"), ("PUT", "/api/snapshots"), ("GET", "/api/pin"), ("POST", "/")):
        answer = served.client.request(method, path)
        problem(answer, 405)
        assert answer.headers["allow"]


# --- conditional, compressed, and without a body

GETS = (
    "/api/models", "/api/models?limit=3&sort=prompt", "/api/models/acme/moved", "/api/models/families",
    "/api/models/acme/moved/history", "/api/changes?since=2020-01-01", "/api/snapshots", "/api/openrouter/sync/runs",
    "/api/models?as_of=YESTERDAY", "/api/rankings", "/api/models/top", "/api/rankings/categories", "/api/capabilities",
    "/api/providers", "/api/models/acme/moved/endpoints", "/api/models/acme/moved/endpoints/history",
    "/api/models/acme/moved/rankings",
    "/api/models/acme/moved/benchmarks", "/api/openrouter/sync/status", "/healthz", "/readyz",
    "/metrics", "/", "/openapi.json", "/api/openrouter/sync/runs/1",
)  # fmt: skip
#: Those of which readers keep copies.
KEPT = GETS[:18]
#: Those that say their own source.
RANKED = ("/api/rankings", "/api/models/top")


def now(path: str) -> str:
    """The path at this time."""
    return path.replace("YESTERDAY", quote(DAYS[1].isoformat()))


def rest(body: bytes) -> bytes:
    """An answer without its age, which moves with the clock."""
    begin, _, found = body.partition(b",")
    assert re.fullmatch(rb'\{"catalog_age_seconds":\d+', begin)
    return found


def test_every_get_route_is_among_those_that_are_tried(served: Served) -> None:
    paths = {path for path, found in served.get("/openapi.json").json()["paths"].items() if "get" in found}
    given = {path.partition("?")[0].replace("acme/moved", "{id}").replace("runs/1", "runs/{run_id}") for path in GETS}
    assert given - {"/", "/openapi.json"} == paths


@pytest.mark.parametrize("path", KEPT)
def test_an_answer_that_is_known_is_not_sent_again(served: Served, path: str) -> None:
    status, headers, body = asked(served, now(path))
    etag = headers["etag"]
    assert (status, etag[:3]) == (200, 'W/"')
    assert body
    assert headers["cache-control"] == "no-cache"
    strong = etag.removeprefix("W/")
    for known in (etag, strong, f'"x", {etag}', f'{strong},"y"', "*", f'W/"a,b" , {etag}'):
        status, headers, body = asked(served, now(path), headers={"If-None-Match": known})
        assert (status, body, headers["etag"]) == (304, b"", etag), known
        assert headers["x-request-id"]
    for other in ('"x"', f'{etag[:-1]}0"', etag[:-1], "x", ""):
        assert asked(served, now(path), headers={"If-None-Match": other})[0] == 200, other
    assert asked(served, now(path), "HEAD", {"If-None-Match": etag})[0] == 304


@pytest.mark.parametrize("path", KEPT)
def test_compressed_it_is_the_same(served: Served, path: str) -> None:
    for accepted, is_packed in (
        ("gzip", True), ("gzip, deflate, br", True), ("*", True), ("br;q=1, gzip;q=0.5", True), ("GZIP", True),
        ("identity", False), ("gzip;q=0", False), ("br", False), ("*;q=0", False),
    ):  # fmt: skip
        _, plain_headers, plain = asked(served, now(path))
        status, headers, body = asked(served, now(path), headers={"Accept-Encoding": accepted})
        assert status == 200
        assert headers.get("content-encoding") == ("gzip" if is_packed and len(rest(plain)) >= 1000 else None), accepted
        assert int(headers["content-length"]) == len(body)
        assert "accept-encoding" in headers["vary"].lower()
        assert headers["etag"] == plain_headers["etag"]
        # strict: a whole stream, nothing after it, length and checksum right
        found = gzip.decompress(body) if "content-encoding" in headers else body
        assert rest(found) == rest(plain)


def test_curl_reads_it_compressed(served: Served) -> None:
    for path in KEPT[:3]:
        answer = subprocess.run(
            ["curl", "-sS", "--fail", "--noproxy", "*", "--compressed", served.url + path],
            check=True, capture_output=True, timeout=30,
        )  # fmt: skip
        assert rest(answer.stdout) == rest(asked(served, now(path))[2])


@pytest.mark.parametrize("path", GETS)
def test_head_is_get_without_the_body(served: Served, path: str) -> None:
    _, wanted, _ = asked(served, now(path))
    status, headers, body = asked(served, now(path), "HEAD")
    assert (status, body) == (200, b"")
    moving = {"date", "x-request-id"} | ({"content-length"} if path not in KEPT else set())
    assert headers.keys() == wanted.keys()
    for name in wanted.keys() - moving:
        assert headers[name] == wanted[name]
    assert int(headers["content-length"]) > 0


def test_every_json_answer_of_the_catalog_says_how_old_it_is_and_whence(served: Served) -> None:
    for path in KEPT:
        found = json.loads(asked(served, now(path))[2])
        assert 3500 < found["catalog_age_seconds"] < 3 * 86400, path
        assert found["source"] == (None if path in RANKED else "openrouter"), path
        assert found["catalog_version"] == 3, path


# --- the rest


def test_the_page_at_the_root_says_what_this_is(served: Served) -> None:
    answer = served.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    links = dict.fromkeys(html.unescape(it) for it in re.findall(r'(?:href|src)="([^"#]+)', answer.text))
    assert {"/rankings", "/compare", "/changes", "/select", "/operations", "/models/acme/moved"} <= links.keys()
    for link in links:
        assert served.client.get(link).status_code == 200, link


def test_healthz_and_readyz(served: Served) -> None:
    assert served.get("/healthz").json()["status"] == "ok"
    found = served.get("/readyz").json()
    assert (found["status"], found["database_reachable"]) == ("ready", True)


def test_metrics_are_those_that_are_told_of_and_what_the_database_says(here: Place, served: Served) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    served.get("/api/models")
    served.get("/healthz")
    answer = served.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    samples = [it for family in text_string_to_metric_families(answer.text) for it in family.samples]
    names = {it.name for it in samples if it.name.startswith(("openrouter_", "llmhive_"))}
    assert names == METRICS

    def value(name: str, **labels: str) -> float:
        [found] = [it.value for it in samples if it.name == name and it.labels == labels]
        return float(found)

    [runs] = rows(here.url, "SELECT count(*) AS n, max(id) AS last FROM sync_run")
    [last] = rows(here.url, "SELECT added, finished_at, started_at FROM sync_run WHERE id = :id", id=runs["last"])
    [active] = rows(here.url, "SELECT count(*) AS n FROM model_catalog WHERE is_active")
    [state] = rows(here.url, "SELECT catalog_version FROM catalog_state")
    assert value("openrouter_models_total") == active["n"]
    assert value("openrouter_models_added") == last["added"]
    assert value("openrouter_sync_duration") >= 0
    assert value("openrouter_sync_errors") == 0
    assert value("openrouter_catalog_version") == value("llmhive_view_version") == state["catalog_version"]
    assert value("openrouter_sync_runs", kind="regular", outcome="completed") == runs["n"] - 1
    assert value("openrouter_sync_runs", kind="regular", outcome="unchanged") == 1
    assert value("openrouter_held_values") == 1
    assert value("openrouter_catalog_source", source="openrouter") == 1
    assert value("openrouter_catalog_source", source="bootstrap") == 0
    assert 3500 < value("openrouter_catalog_age_seconds") < 7200
    assert value("llmhive_database_up") == 1
    assert value("llmhive_http_requests_total", route="/api/models", method="GET", status="200") >= 1
    assert value("llmhive_http_request_seconds_count", route="/healthz") >= 1


# --- request ids

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_request_has_an_id_in_its_answer_and_in_the_log(served: Served) -> None:
    path = "/api/openrouter/sync/status"
    given = {
        "a-given.ID_1": {"X-Request-Id": "a-given.ID_1"},
        TRACE: {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"},
        TRACE[::-1]: {"X-Cloud-Trace-Context": f"{TRACE[::-1]}/1;o=1"},
        "wins": {"X-Request-Id": "wins", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"},
    }
    for request_id, headers in given.items():
        assert served.client.get(path, headers=headers).headers["x-request-id"] == request_id
        line = served.wait_for("Answered", request=request_id)
        assert line.items() >= {"method": "GET", "path": path, "status": 200}.items()
    made = [served.get(path).headers["x-request-id"] for _ in range(3)]
    assert len(set(made)) == 3
    for odd in ("", "x" * 65, "a b", 'a"b', "a\tb"):
        answer = served.client.get("/api/models/families", headers={"X-Request-Id": odd})
        assert re.fullmatch(r"[0-9a-f]+-[0-9a-f]+", answer.headers["x-request-id"])
    # those that are answered from memory, too
    assert served.client.get("/api/models/families", headers={"X-Request-Id": "mine"}).headers["x-request-id"] == "mine"
    assert problem(served.client.get("/api/models?sort=x", headers={"X-Request-Id": "bad"}), 422)["request_id"] == "bad"
