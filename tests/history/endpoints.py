"""The real captures of endpoints, and how a sync reads and takes them."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llmhive.app.openrouter.decode_endpoints import endpoints as decode
from llmhive.catalog.endpoint import keyed
from llmhive.store import endpoints, runs
from llmhive.store.database import Database
from llmhive.store.endpoints import Applied, Checked
from tests.support import shared_folder

#: model → its endpoints as served
Served = dict[str, list[dict[str, Any]]]


def captures() -> Iterator[tuple[datetime, Served]]:
    """Every capture with its time, oldest first; skips where they are absent."""
    from backports import zstd

    path = shared_folder() / "data" / "endpoints" / "daily.tar.zst"
    options = {int(zstd.DecompressionParameter.window_log_max): 31}
    with zstd.open(path, "rb", options=options) as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is not None and member.name.endswith(".json"):
                at = datetime.strptime(Path(member.name).name[:18], "%Y-%m-%dT%H%M%SZ").replace(tzinfo=UTC)
                listed = json.loads(content.read())["models"]
                yield at, {model["id"]: model["endpoints"] for model in listed}


def read(at: datetime, served: Served) -> list[Checked]:
    """A capture as the sync reads it."""
    checks = []
    for model_id, listed in served.items():
        found = decode(json.dumps({"data": {"id": model_id, "endpoints": listed}}).encode(), model_id)
        assert found.unreadable == ()
        checks.append(Checked(model_id, at, keyed(found.values)))
    return checks


def begin(database: Database, at: datetime) -> int:
    """A run that takes captures; its number."""
    with database.write() as connection:
        claimed = runs.claim(connection, "backfill", trigger="test", owner="test", now=at, interval=None)
    assert isinstance(claimed, runs.Claimed)
    return claimed.run_id


def take(database: Database, run_id: int, checks: list[Checked]) -> Applied:
    """As the sync takes it: in batches of 50 models, a transaction each."""
    told = Applied()
    for first in range(0, len(checks), 50):
        with database.write() as connection:
            runs.fence(connection, run_id)
            told += endpoints.apply(connection, checks[first : first + 50], run_id=run_id, zdr=None)
    return told
