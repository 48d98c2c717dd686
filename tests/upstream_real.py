"""The world that the captured data of ../shared shows; what was not captured is filled in by rule."""

from __future__ import annotations

import copy
import functools
import gzip
import json
import tarfile
from collections import deque
from collections.abc import Iterator
from datetime import date, timedelta
from typing import TypeVar

from tests.fake_openrouter import Record
from tests.support import captures, shared_folder
from tests.upstream_world import Counts, World, endpoint, portion

T = TypeVar("T")


def real() -> World:
    """A copy that the caller may change; skips where the data is absent."""
    shared_folder()
    return copy.deepcopy(_loaded())


@functools.cache
def _loaded() -> World:
    models = json.loads(_last(captures("all-modalities-daily"))[1])["data"]
    with gzip.open(shared_folder() / "data" / "providers" / "providers.json.gz") as packed:
        providers = json.load(packed)["data"]
    tokens = _rankings()
    captured = _captured_endpoints()
    serving = {offer["provider_name"] for offers in captured.values() for offer in offers}
    slugs = {provider["name"]: provider["slug"] for provider in providers if provider["name"] in serving}
    endpoints = {record["id"]: _endpoints(record, captured.get(record["id"]), slugs) for record in models}
    return World(max(tokens) + timedelta(days=1), models, endpoints, providers, set(), tokens).fill()


def _archive(*words: str) -> Iterator[bytes]:
    from backports import zstd

    options = {int(zstd.DecompressionParameter.window_log_max): 31}
    path = shared_folder().joinpath("data", *words)
    with zstd.open(path, "rb", options=options) as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
        for member in archive:
            if (content := archive.extractfile(member)) is not None:
                yield content.read()


def _last(values: Iterator[T]) -> T:
    return deque(values, maxlen=1)[0]


def _rankings() -> Counts:
    """The newest figures of each captured day."""
    tokens: Counts = {}
    for body in _archive("rankings", "rankings-daily.tar.zst"):
        days: Counts = {}
        for row in json.loads(body)["daily"]:
            days.setdefault(date.fromisoformat(row["d"]), {})[row["m"]] = int(row["t"])
        tokens |= days
    return tokens


def _captured_endpoints() -> dict[str, list[Record]]:
    newest = _last(_archive("endpoints", "daily.tar.zst"))
    return {record["id"]: record["endpoints"] for record in json.loads(newest)["models"]}


def _endpoints(record: Record, captured: list[Record] | None, slugs: dict[str, str]) -> list[Record]:
    if captured is not None:
        return [_completed(record, projected) for projected in captured]
    if record["architecture"]["tokenizer"] == "Router" and "alias_target" not in record:
        return []
    # added after the endpoints were captured, or of a modality that was not asked for
    name = sorted(slugs)[int(portion("provider", record["id"]) * len(slugs))]
    return [endpoint(record, name, slugs[name])]


def _completed(record: Record, projected: Record) -> Record:
    """A captured endpoint with the fields that its capture left out."""
    uptime = projected["uptime_last_30m"]
    known = {name: value for name, value in projected.items() if name not in ("provider_name", "tag")}
    if uptime is None:
        known |= {"uptime_last_5m": None, "uptime_last_1d": None}
    filled = endpoint(record, projected["provider_name"], projected["tag"], **known)
    return {**filled, "pricing": projected["pricing"]}
