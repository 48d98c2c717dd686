"""Every command of the operations guide is run as it stands there; only addresses and folders are replaced."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.docs.test_docs import OPERATIONS, blocks
from tests.fake_openrouter import FakeOpenRouter, catalog, model, ok
from tests.serving import serving
from tests.support import Command, create_database, poll

#: Every command that the guide shows: minutes, so it is one of the long tests.
pytestmark = pytest.mark.long

BLOCKS = blocks(OPERATIONS, "sh")
#: Two lists: what OpenRouter served some days before, and what it serves now.
OTHERS = [model(f"acme/other-{number}") for number in range(20)]
EARLIER = catalog(
    *OTHERS,
    model("anthropic/claude-opus-5", pricing={"prompt": "0.000005", "completion": "0.000025"}),
    model("acme/one", architecture={"modality": "text+image->text", "input_modalities": ["text", "image"]}),
)
NOW = catalog(
    *OTHERS,
    model("anthropic/claude-opus-5", pricing={"prompt": "0.000004", "completion": "0.00002"}),
    model("acme/one", architecture={"modality": "text+image->text", "input_modalities": ["text", "image"]}),
    model("acme/two"),
)


def block(words: str) -> str:
    """The one block that holds these words."""
    [found] = [it for it in BLOCKS if words in it]
    return found


@pytest.fixture
def home(tmp_path: Path, fake: FakeOpenRouter) -> Command:
    """A shell's environment: the command on the PATH, an upstream, captures and a folder for backups."""
    fake.serve(ok(NOW))
    folder = tmp_path / "home"
    (folder / "bin").mkdir(parents=True)
    (folder / "backups").mkdir()
    (folder / "captures").mkdir()
    (folder / "captures" / "2026-11-20T000000Z.json").write_bytes(EARLIER)
    subprocess.run(["tar", "-cf", "captures.tar", "captures"], cwd=folder, check=True)
    shutil.copy(folder / "captures.tar", folder / "captures.tar.zst")
    _pack(folder / "captures.tar.zst")
    shim = folder / "bin" / "llmhive"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m llmhive "$@"\n')
    shim.chmod(0o755)
    return Command(
        folder,
        {
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "OPENROUTER_BASE_URL": fake.base_url,
            "NO_PROXY": "127.0.0.1",
        },
    )


def _pack(path: Path) -> None:
    from backports import zstd

    path.write_bytes(zstd.compress(path.read_bytes()))


def shell(home: Command, text: str, **replaced: str) -> str:
    """Run lines of a block; fails where one of them does. Returns what they printed."""
    text = text.replace("/backups/", f"{home.folder}/backups/")
    for before, after in replaced.items():
        text = text.replace(_REPLACED[before], after)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], cwd=home.folder, env=home.environment(), capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


_REPLACED = {
    "url": "http://127.0.0.1:8080",
    "database": "postgresql://user:password@host:5432/database",
    "new": "postgresql://user:password@host/new",
}


def test_commands_of_the_first_day(home: Command) -> None:
    """In the order of the guide."""
    assert "23 active" in shell(home, block("llmhive doctor"))
    assert "Took 1 capture" in shell(home, block("llmhive backfill captures/"))
    assert "Pinned" in shell(home, block("llmhive rollback before-upgrade --pin"))
    shell(home, block("llmhive backup"))
    assert "completed" in shell(home, next(it for it in BLOCKS if re.match("DATABASE_URL=sqlite.*status", it)))


def test_every_block_is_run() -> None:
    """A new one needs a test here."""
    known = (
        "llmhive serve", "llmhive doctor", "export DATABASE_URL", "llmhive backfill captures/", "llmhive rollback",
        "curl -X POST", "export ALERT_URLS", "llmhive backup", "DATABASE_URL=sqlite", "llmhive restore",
    )  # fmt: skip
    assert [words for words in known if not any(words in it for it in BLOCKS)] == []
    assert [it for it in BLOCKS if not any(words in it for words in known)] == []


def test_alert_settings(home: Command) -> None:
    """They are taken by the command."""
    printed = shell(home, block("export ALERT_URLS") + 'llmhive status --json; echo "$ALERT_WEBHOOK_SECRET"')
    assert re.fullmatch("[0-9a-f]{64}", printed.splitlines()[-1])


def test_serve(home: Command) -> None:
    assert block("llmhive serve").strip() == "llmhive serve"
    with serving(home, has_schedule=True) as served:
        served.wait_for("Synced 23 models")
        poll(lambda: served.get("/api/models").json()["total"] == 23)


def test_commands_on_postgresql(home: Command, postgresql_server: str, tmp_path: Path) -> None:
    name = f"guide_{os.getpid()}_{re.sub('[^a-z0-9]', '_', tmp_path.name)}"
    first = create_database(postgresql_server, f"{name}_a")
    second = create_database(postgresql_server, f"{name}_b")
    shell(home, block("export DATABASE_URL"), database=first)
    shell(home, f"export DATABASE_URL='{first}'\n" + block("llmhive backup"))
    shell(home, block("llmhive restore").replace(_REPLACED["new"], f"'{second}'"))


@pytest.mark.skipif(shutil.which("jq") is None or shutil.which("curl") is None, reason="curl or jq is not here")
def test_curl_commands(home: Command) -> None:
    """Each line by itself; what comes back is an answer, not a problem."""
    shell(home, block("llmhive backfill captures/"))
    commands = block("curl -X POST").splitlines()
    assert len(commands) > 12
    with serving(home) as served:
        printed = {}
        for line in commands:
            printed[line] = shell(home, line, url=served.url)
            # what it began is to be seen by those after it, as by a person who types them
            poll(lambda: served.get("/api/openrouter/sync/status").json()["running"] is None)
    for line, text in printed.items():
        assert text.strip(), line
        if "/metrics" in line:
            assert "openrouter_models_total 23.0" in text
        elif " jq -r " not in line:
            for document in _documents(text):
                assert not (isinstance(document, dict) and "detail" in document), (line, document)
    force, blocking, research, status, *_ = (json.loads(printed[line]) for line in commands[:4])
    assert force["status"] == "running"
    assert blocking["status"] in {"completed", "skipped"}
    assert research["kind"] == "research"
    assert status["models_in_catalog"] == 23
    assert status["last_sync_status"] == "completed"
    assert datetime.fromisoformat(status["last_sync_time"]) <= datetime.now(UTC)
    assert printed[next(it for it in commands if " jq -r " in it)] == "acme/one\t0.5\n"


def _documents(text: str) -> list[object]:
    """Every JSON document that was printed."""
    decoder, found, position = json.JSONDecoder(), [], 0
    while text[position:].strip():
        position += len(text[position:]) - len(text[position:].lstrip())
        document, position = decoder.raw_decode(text, position)
        found.append(document)
    return found
