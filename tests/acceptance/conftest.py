"""Fixtures for the black box."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fake_openrouter import FakeOpenRouter
from tests.support import Command


@pytest.fixture
def bare(tmp_path: Path, fake: FakeOpenRouter) -> Command:
    """The command without a DATABASE_URL: SQLite in the user's data directory. For what does not ask which database."""
    home = tmp_path / "home"
    home.mkdir()
    return Command(home, {"OPENROUTER_BASE_URL": fake.base_url, "SYNC_TIMEOUT_SECONDS": "30", "NO_PROXY": "127.0.0.1"})


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules that say ``POSTGRESQL_LATER`` run on PostgreSQL with the long tests only: what is stored is tested on
    both databases elsewhere, and these take their time.
    """
    for item in items:
        call = getattr(item, "callspec", None)
        is_later = getattr(getattr(item, "module", None), "POSTGRESQL_LATER", False)
        if is_later and call is not None and call.params.get("dialect") == "postgresql":
            item.add_marker(pytest.mark.long)
