"""A small catalog of its own, served: for tests that need other models than the house has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.fake_openrouter import Record, catalog
from tests.serving import Served, place, serving
from tests.support import sync_at


@contextlib.contextmanager
def serving_models(folder: Path, *records: Record) -> Iterator[Served]:
    """Serve these models, as they were synced an hour ago."""
    with place("sqlite", folder) as here:
        here.fake.serve(catalog(*records))
        assert sync_at(here.url, here.fake.base_url, datetime.now(UTC) - timedelta(hours=1)).status == "completed"
        with serving(here.llmhive) as served:
            yield served
