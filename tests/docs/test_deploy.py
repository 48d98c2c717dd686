"""What `deploy/` and its chapter say parses, fits the program, and asks no tool for what that does not know."""

from __future__ import annotations

import fnmatch
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from llmhive.app.settings import TABLE, read
from tests.docs import generate
from tests.docs.test_docs import blocks

try:
    yaml: Any = importlib.import_module("yaml")
except ModuleNotFoundError:  # what the lock file has for Python 3.13
    yaml = importlib.import_module("yaml_ft")

ROOT = generate.ROOT
DEPLOY = ROOT / "deploy"
GUIDE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
SETTINGS = {row.variable: row for row in TABLE}
FILES = (
    "Dockerfile", "cloud-run.yaml", "docker-compose.yml", "gcloud-scheduler.sh", "grafana-dashboard.json",
    "prometheus-rules.yml", "prometheus.yml",
)  # fmt: skip

#: What the service tells at /metrics. The same numbers on every replica …
SHARED_METRICS = frozenset({
    "openrouter_sync_duration", "openrouter_models_total", "openrouter_models_added", "openrouter_sync_errors",
    "openrouter_sync_runs", "openrouter_sync_last_success_timestamp_seconds", "openrouter_sync_running",
    "openrouter_catalog_age_seconds", "openrouter_catalog_version", "openrouter_catalog_source", "openrouter_held_runs",
    "openrouter_held_values", "openrouter_pinned", "openrouter_alerts_pending", "openrouter_alerts_given_up",
})  # fmt: skip
#: … and those that each replica tells of itself.
OWN_METRICS = frozenset({
    "llmhive_database_up", "llmhive_http_requests_total", "llmhive_http_request_seconds_bucket",
    "llmhive_http_request_seconds_sum", "llmhive_http_request_seconds_count", "llmhive_view_version",
    "llmhive_view_staleness_seconds", "llmhive_build_info",
})  # fmt: skip
METRICS = SHARED_METRICS | OWN_METRICS
#: Labels that the service, or Prometheus, puts on.
LABELS = {"job", "instance", "le", "kind", "outcome", "source", "route", "method", "status", "version"}
PROMQL = {
    "time", "max", "min", "sum", "by", "on", "and", "or", "rate", "absent", "vector", "max_over_time", "min_over_time",
    "histogram_quantile",
}  # fmt: skip

#: Variables that are another program's.
FOREIGN = {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"}
#: Routes of the contract that deployments may call.
POSTS = {"/api/openrouter/sync", "/api/openrouter/sync/blocking", "/api/openrouter/sync/research"}

_HTTP_JOB = {
    "--location", "--project", "--description", "--schedule", "--time-zone", "--uri", "--http-method", "--message-body",
    "--oidc-service-account-email", "--oidc-token-audience", "--attempt-deadline", "--max-retry-attempts",
    "--max-retry-duration", "--min-backoff", "--max-backoff", "--max-doublings",
}  # fmt: skip
_HTTP_JOB_NEEDS = {
    "--location", "--schedule", "--uri", "--oidc-service-account-email", "--oidc-token-audience", "--attempt-deadline",
}  # fmt: skip
_BINDING = {"--project", "--member", "--role", "--condition"}
_RUN_JOB = {
    "--project", "--region", "--image", "--args", "--command", "--service-account", "--set-cloudsql-instances",
    "--set-secrets", "--set-env-vars", "--max-retries", "--task-timeout", "--cpu", "--memory",
}  # fmt: skip
#: gcloud's commands: number of positional arguments (None: any), flags that must be there, flags that may be.
GCLOUD: dict[str, tuple[int | None, set[str], set[str]]] = {
    "artifacts repositories create": (
        1, {"--location", "--repository-format"}, {"--project", "--description", "--location", "--repository-format"}
    ),
    "auth configure-docker": (1, set(), {"--quiet"}),
    "iam service-accounts create": (1, set(), {"--project", "--display-name", "--description"}),
    "iam service-accounts describe": (1, set(), {"--project", "--format"}),
    "logging read": (1, set(), {"--project", "--freshness", "--limit", "--format", "--order"}),
    "projects add-iam-policy-binding": (1, {"--member", "--role"}, _BINDING - {"--project"}),
    "projects describe": (1, set(), {"--format"}),
    "run jobs deploy": (1, {"--image", "--region"}, _RUN_JOB),
    "run jobs execute": (1, {"--region"}, {"--project", "--region", "--args", "--wait", "--async", "--task-timeout"}),
    "run jobs update": (1, {"--region"}, _RUN_JOB),
    "run services add-iam-policy-binding": (1, {"--region", "--member", "--role"}, _BINDING | {"--region"}),
    "run services proxy": (1, {"--region"}, {"--project", "--region", "--port", "--tag", "--token"}),
    "run services replace": (1, {"--region"}, {"--project", "--region", "--dry-run"}),
    "scheduler jobs create http": (1, _HTTP_JOB_NEEDS, _HTTP_JOB | {"--headers"}),
    "scheduler jobs describe": (1, {"--location"}, {"--project", "--location", "--format"}),
    "scheduler jobs run": (1, {"--location"}, {"--project", "--location"}),
    "scheduler jobs update http": (1, _HTTP_JOB_NEEDS, _HTTP_JOB | {"--update-headers", "--clear-headers"}),
    "secrets add-iam-policy-binding": (1, {"--member", "--role"}, _BINDING),
    "secrets create": (1, set(), {"--project", "--data-file", "--replication-policy", "--labels"}),
    "services enable": (None, set(), {"--project", "--async"}),
    "sql databases create": (1, {"--instance"}, {"--project", "--instance", "--charset", "--collation"}),
    "sql instances create": (
        1, {"--database-version", "--region"},
        {"--project", "--region", "--database-version", "--edition", "--tier", "--storage-auto-increase",
         "--backup-start-time", "--database-flags", "--availability-type"},
    ),
    "sql users create": (1, {"--instance"}, {"--project", "--instance", "--password", "--type"}),
}  # fmt: skip
_SWITCHES = {"--wait", "--async", "--quiet", "--storage-auto-increase", "--clear-headers", "--dry-run"}


def text(name: str) -> str:
    """A file of `deploy/`."""
    return (DEPLOY / name).read_text(encoding="utf-8")


def document(name: str) -> Any:
    """A YAML file of `deploy/`, read."""
    return yaml.safe_load(text(name))


# ---- all files


def test_every_file_is_tested_and_explained() -> None:
    assert tuple(sorted(path.name for path in DEPLOY.iterdir() if path.name != ".env")) == FILES
    for name in FILES:
        assert f"(../deploy/{name})" in GUIDE


@pytest.mark.parametrize("name", FILES)
def test_no_secrets_no_registries_no_tabs(name: str) -> None:
    content = text(name)
    assert "\t" not in content
    assert content.endswith("\n")
    assert not content.endswith("\n\n")
    assert not re.search(r"pypi|pythonhosted|npmjs|registry\.|pkg\.dev|index-url|extra-index|goproxy", content, re.I)
    assert not re.search(r"sk-or-|AKIA|AIza|xox[bp]-|BEGIN [A-Z ]*PRIVATE KEY|eyJ[\w-]{8}", content)
    assert not re.search(r"\b[0-9a-fA-F]{32,}\b", content)
    for row in TABLE:
        if row.is_secret:  # only as a reference, or as the empty default
            values = re.findall(rf"^\s*{row.variable}[:=][ \t]*(\S.*)$", content, re.MULTILINE)
            assert all("${" in value for value in values), row.variable


# ---- the image


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions in order, comments left out and continued lines joined."""
    kept = "\n".join(line for line in text("Dockerfile").splitlines() if not line.lstrip().startswith("#"))
    lines = [line.strip() for line in kept.replace("\\\n", " ").splitlines() if line.strip()]
    return [(word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def last_stage() -> list[tuple[str, str]]:
    """The instructions of the stage that runs."""
    found = instructions()
    return found[max(at for at, (word, _) in enumerate(found) if word == "FROM") :]


def only(word: str) -> str:
    """The last stage's one instruction of a kind."""
    [found] = [rest for it, rest in last_stage() if it == word]
    return found


def image_environment() -> dict[str, str]:
    """What the image sets."""
    return dict(pair.split("=", 1) for pair in shlex.split(only("ENV")))


def test_base_images_are_pinned_and_slim() -> None:
    images = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    assert len(images) == 2
    assert len(set(images)) == 1, "the interpreter of the environment must be the one that runs it"
    found = re.fullmatch(r"python:3\.(\d+)-slim(-\w+)?", images[0])
    assert found
    assert int(found[1]) >= 12


def test_image_runs_without_rights() -> None:
    uid, _, gid = only("USER").partition(":")
    assert int(uid) >= 10_000
    assert int(gid) >= 10_000
    assert any(f"--uid {uid}" in rest for word, rest in last_stage() if word == "RUN")
    words = [word for word, _ in last_stage()]
    assert words.index("USER") > max(at for at, word in enumerate(words) if word in {"RUN", "COPY"})


def test_image_starts_the_service() -> None:
    assert json.loads(only("ENTRYPOINT")) == ["llmhive"]
    assert json.loads(only("CMD")) == ["serve"]
    assert only("STOPSIGNAL") == "SIGTERM"
    environment = image_environment()
    settings = read({name: value for name, value in environment.items() if name in SETTINGS}, Path("no such file"))
    assert (settings.host, settings.port) == ("0.0.0.0", int(only("EXPOSE")))
    assert set(environment) - set(SETTINGS) == {"PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "XDG_DATA_HOME"}
    assert json.loads(only("VOLUME")) == [environment["XDG_DATA_HOME"]] == [only("WORKDIR")]


def test_image_installs_what_is_pinned() -> None:
    runs = [shlex.split(rest) for word, rest in instructions() if word == "RUN"]
    pips = [run for run in runs if "pip" in run]
    assert len(pips) == 2
    assert "--require-hashes" in pips[0]
    assert (ROOT / pips[0][pips[0].index("-r") + 1]).is_file()
    assert "--no-deps" in pips[1]
    assert "." in pips[1]
    assert not any(word == "ADD" for word, _ in instructions())


def test_copied_files_exist_and_are_not_ignored() -> None:
    copied = [rest.split() for word, rest in instructions() if word == "COPY"]
    sources = [source for words in copied if not words[0].startswith("--from") for source in words[:-1]]
    assert {"requirements.lock", "pyproject.toml", "README.md", "src"} == set(sources)
    for source in sources:
        assert (ROOT / source).exists()
        assert not is_ignored(source)


def test_nothing_else_gets_into_the_image() -> None:
    for path in (".env", "deploy/.env", "src/.env", ".git/config", "try.db", "src/try.db-wal", "tests/support.py"):
        assert is_ignored(path), path
    assert not is_ignored("src/llmhive/version.py")


def is_ignored(path: str) -> bool:
    """What Docker makes of .dockerignore: the last line that names a path or a folder above it decides."""
    ignored = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        pattern, keeps = line.removeprefix("!"), line.startswith("!")
        parts = path.split("/")
        above = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
        names = parts if pattern.startswith("**/") else above
        if any(fnmatch.fnmatchcase(name, pattern.removeprefix("**/")) for name in names):
            ignored = not keeps
    return ignored


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {re.split(r"[\[<>=;~! ]", line)[0] for line in project["dependencies"]}
    pinned = set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.M))
    assert named <= pinned, "run `make lock`: the image has only what is pinned"


@pytest.mark.parametrize(("answer", "code"), [(200, 0), (503, 1), (None, 1)])
def test_health_check_runs(answer: int | None, code: int) -> None:
    """The Python in the Dockerfile, against a server; a proxy in the environment is not asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answer or 500 if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    options, _, command = only("HEALTHCHECK").partition("CMD ")
    assert {"--interval", "--timeout", "--start-period", "--retries"} == set(re.findall(r"--[a-z-]+", options))
    interpreter, *rest = json.loads(command)
    assert interpreter == "python"
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        port = server.server_port
        if answer is None:
            server.shutdown()
            server.server_close()
        environment = {"PORT": str(port), "http_proxy": "http://127.0.0.1:9"}
        done = subprocess.run([sys.executable, *rest], env=environment, capture_output=True, check=False, timeout=30)
        assert done.returncode == code
        server.shutdown()


# ---- compose


COMPOSE = document("docker-compose.yml")


def variables_of(value: Any) -> set[str]:
    """The variables that an entry of Compose or Cloud Run sets."""
    return set(value) if isinstance(value, dict) else {it["name"] for it in value}


def test_compose_services() -> None:
    assert set(COMPOSE["services"]) == {"postgres", "migrate", "llmhive", "prometheus", "grafana"}
    default = {name for name, it in COMPOSE["services"].items() if not it.get("profiles")}
    assert default == {"postgres", "migrate", "llmhive"}
    postgres = re.fullmatch(r"postgres:(\d+)-\w+", COMPOSE["services"]["postgres"]["image"])
    assert postgres
    assert int(postgres[1]) >= 16


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_compose_service_is_closed_in(name: str) -> None:
    service = COMPOSE["services"][name]
    assert re.search(r":[\w.-]+$", service["image"])
    assert not service["image"].endswith(":latest")
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["restart"] in {"unless-stopped", "no"}
    assert not service.get("privileged")
    if name != "postgres":  # it begins as root to own its volume
        assert service["cap_drop"] == ["ALL"]
    if name not in {"llmhive", "migrate"}:
        assert service["healthcheck"]["test"][0].startswith("CMD")
    for volume in service.get("volumes", ()):
        source = volume.split(":")[0]
        assert (DEPLOY / source).is_file() if source.startswith(".") else source in COMPOSE["volumes"]
    for config in service.get("configs", ()):
        assert config["source"] in COMPOSE["configs"]


def test_compose_llmhive() -> None:
    service = COMPOSE["services"]["llmhive"]
    assert service["ports"] == ["127.0.0.1:8080:8080"]
    assert service["command"] == ["serve"]
    assert service["read_only"] is True
    assert {"/tmp", image_environment()["XDG_DATA_HOME"]} == set(service["tmpfs"])
    assert service["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert service["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert service["environment"]["AUTH_TOKEN"].startswith("${AUTH_TOKEN:?")
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).resolve() == DEPLOY / "Dockerfile"
    assert COMPOSE["services"]["migrate"]["command"] == ["migrate"]
    assert "pg_isready" in COMPOSE["services"]["postgres"]["healthcheck"]["test"][1]


def test_compose_variables() -> None:
    for name in ("llmhive", "migrate"):
        assert variables_of(COMPOSE["services"][name]["environment"]) <= set(SETTINGS)
    assert variables_of(COMPOSE["services"]["postgres"]["environment"]) == FOREIGN
    asked = set(re.findall(r"\$\{([A-Z_]+)", text("docker-compose.yml")))
    assert asked <= set(SETTINGS) | FOREIGN
    for name in asked:
        assert f"`{name}`" in GUIDE
    url = COMPOSE["services"]["llmhive"]["environment"]["DATABASE_URL"]
    parts = urlsplit(re.sub(r"\$\{[^}]*\}", "word", url))
    own = COMPOSE["services"]["postgres"]["environment"]
    assert (parts.username, parts.hostname, parts.path) == (own["POSTGRES_USER"], "postgres", f"/{own['POSTGRES_DB']}")


def test_yaml_of_the_guide() -> None:
    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # the module is not typed
        """Knows Compose's tag."""

    Loader.add_constructor("!reset", lambda loader, node: None)
    [found] = [yaml.load(block, Loader) for block in blocks(GUIDE, "yaml")]
    assert found["services"]["llmhive"] == {"ports": None, "deploy": {"replicas": 3}}
    balancer = found["services"]["balancer"]
    assert balancer["ports"] == COMPOSE["services"]["llmhive"]["ports"]
    config = found["configs"][balancer["configs"][0]["source"]]["content"]
    assert "GET /readyz" in config
    assert "server-template replica 3 llmhive:8080" in config
    waits = re.search(r"timeout server (\d+)s", config)
    assert waits
    assert int(waits[1]) > sync_budget()


# ---- Cloud Run


def sync_budget() -> float:
    """SYNC_TIMEOUT_SECONDS by default."""
    return float(SETTINGS["SYNC_TIMEOUT_SECONDS"].default)


def filled(name: str) -> str:
    """A file with its placeholders filled in."""
    return re.sub(r"\$\{(\w+)\}", lambda found: PLACEHOLDERS[found[1]], text(name))


PLACEHOLDERS = {
    "PROJECT": "some-project",
    "REGION": "europe-west1",
    "IMAGE": "europe-west1-docker.example/some-project/llmhive/llmhive:1",
    "SERVICE_URL": "https://llmhive-123.europe-west1.run.app",
}


def test_cloud_run_service() -> None:
    service = yaml.safe_load(filled("cloud-run.yaml"))
    assert (service["apiVersion"], service["kind"]) == ("serving.knative.dev/v1", "Service")
    template = service["spec"]["template"]
    notes = template["metadata"]["annotations"]
    assert all(isinstance(value, str) for value in notes.values())
    assert notes["run.googleapis.com/cloudsql-instances"] == "some-project:europe-west1:llmhive"
    assert int(notes["autoscaling.knative.dev/minScale"]) <= int(notes["autoscaling.knative.dev/maxScale"])
    spec = template["spec"]
    assert spec["containerConcurrency"] > 1
    assert sync_budget() < spec["timeoutSeconds"] <= 3600
    [container] = spec["containers"]
    assert container["image"] == PLACEHOLDERS["IMAGE"]
    # with request-based CPU nothing may depend on work between requests
    assert notes["run.googleapis.com/cpu-throttling"] == "true"
    assert container["args"] == ["serve", "--no-schedule"]
    for line in ('run.googleapis.com/cpu-throttling: "false"', 'minScale: "1"', 'args: ["serve"]'):
        assert line in text("cloud-run.yaml")
    [port] = container["ports"]
    for probe, path in (("startupProbe", "/readyz"), ("livenessProbe", "/healthz")):
        found = container[probe]
        assert found["httpGet"] == {"path": path, "port": port["containerPort"]}
        assert found["timeoutSeconds"] <= found["periodSeconds"]
    assert container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"] <= 240


def test_cloud_run_variables() -> None:
    [container] = yaml.safe_load(filled("cloud-run.yaml"))["spec"]["template"]["spec"]["containers"]
    assert variables_of(container["env"]) <= set(SETTINGS)
    plain = {it["name"]: it["value"] for it in container["env"] if "value" in it}
    secret = {it["name"]: it["valueFrom"]["secretKeyRef"] for it in container["env"] if "valueFrom" in it}
    assert set(secret) == {"DATABASE_URL", "OPENROUTER_API_KEY"}
    assert all(f"gcloud secrets create {it['name']} " in GUIDE for it in secret.values())
    assert not any(SETTINGS[name].is_secret for name in plain)
    settings = read(plain, Path("no such file"))
    assert settings.auth_oidc_audience == (PLACEHOLDERS["SERVICE_URL"],)
    assert settings.auth_oidc_accounts == ("llmhive-scheduler@some-project.iam.gserviceaccount.com",)
    # claims without a signature are believed only where Cloud Run lets nobody else in
    assert settings.auth_trust_cloud_run
    assert not re.search(r"--member=\S*allUsers|--allow-unauthenticated|invoker-iam-disabled", everything())


def everything() -> str:
    """All that an operator would copy."""
    return "\n".join([*(text(name) for name in FILES), GUIDE])


# ---- gcloud


def check(words: list[str]) -> tuple[str, list[str], dict[str, str]]:
    """Command, arguments and flags of one call of gcloud, compared with the table."""
    name = next((it for n in (4, 3, 2) if (it := " ".join(words[:n])) in GCLOUD), None)
    assert name, f"gcloud {' '.join(words[:4])}: not in the table"
    count, needed, known = GCLOUD[name]
    rest = words[len(name.split()) :]
    flags = {flag: value for flag, _, value in (word.partition("=") for word in rest if word.startswith("--"))}
    arguments = [word for word in rest if not word.startswith("--")]
    assert set(flags) <= known, f"gcloud {name}: unknown {set(flags) - known}"
    assert needed <= set(flags), f"gcloud {name}: lacks {needed - set(flags)}"
    assert count is None or len(arguments) == count, f"gcloud {name}: {arguments}"
    assert all(value or flag in _SWITCHES for flag, value in flags.items()), f"gcloud {name}: a flag without its value"
    return name, arguments, flags


def seconds(value: str) -> float:
    """A duration as gcloud reads it, given in seconds."""
    assert re.fullmatch(r"\d+s", value), value
    return float(value[:-1])


#: Stands in for gcloud: writes down how it was called; `describe` finds nothing, or everything.
STUB = """#!/usr/bin/env bash
printf '%s\\0' "$@" >>"$CALLS"
printf '\\n\\0' >>"$CALLS"
case " $* " in *" describe "*) exit "$DESCRIBE" ;; esac
"""


def calls(tmp_path: Path, describe: int, **variables: str) -> list[list[str]]:
    """How the script calls gcloud."""
    stub = tmp_path / "gcloud"
    stub.write_text(STUB, encoding="utf-8")
    stub.chmod(0o755)
    log = tmp_path / f"calls-{describe}"
    environment = {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "CALLS": str(log), "DESCRIBE": str(describe),
        **{name: PLACEHOLDERS[name] for name in ("PROJECT", "REGION", "SERVICE_URL")}, **variables,
    }  # fmt: skip
    script = str(DEPLOY / "gcloud-scheduler.sh")
    subprocess.run(["bash", script], env=environment, check=True, capture_output=True, timeout=60)
    return [it.split("\0")[:-1] for it in log.read_text(encoding="utf-8").split("\n\0") if it]


def test_script_is_bash() -> None:
    subprocess.run(["bash", "-n", str(DEPLOY / "gcloud-scheduler.sh")], check=True, timeout=60)
    assert (DEPLOY / "gcloud-scheduler.sh").stat().st_mode & 0o111
    assert "\nset -euo pipefail\n" in text("gcloud-scheduler.sh")


@pytest.mark.parametrize(("describe", "verb"), [(1, "create"), (0, "update")])
def test_script_makes_the_jobs(tmp_path: Path, describe: int, verb: str) -> None:
    found = [check(words) for words in calls(tmp_path, describe)]
    names = [name for name, _, _ in found]
    assert ("iam service-accounts create" in names) is (verb == "create")
    account = "llmhive-scheduler@some-project.iam.gserviceaccount.com"
    [binding] = [flags for name, _, flags in found if name == "run services add-iam-policy-binding"]
    assert (binding["--role"], binding["--member"]) == ("roles/run.invoker", f"serviceAccount:{account}")
    jobs = {arguments[0]: flags for name, arguments, flags in found if name == f"scheduler jobs {verb} http"}
    assert jobs["llmhive-sync"]["--schedule"] == SETTINGS["SYNC_SCHEDULE"].default
    assert jobs["llmhive-research"]["--schedule"] == SETTINGS["RESEARCH_SCHEDULE"].default
    uris = {name: urlsplit(flags["--uri"]) for name, flags in jobs.items()}
    assert uris["llmhive-sync"].path == "/api/openrouter/sync/blocking"
    assert (uris["llmhive-research"].path, uris["llmhive-research"].query) == (
        "/api/openrouter/sync/research", "blocking=true"
    )  # fmt: skip
    template = yaml.safe_load(filled("cloud-run.yaml"))["spec"]["template"]["spec"]
    for flags in jobs.values():
        uri = urlsplit(flags["--uri"])
        assert f"{uri.scheme}://{uri.netloc}" == PLACEHOLDERS["SERVICE_URL"] == flags["--oidc-token-audience"]
        assert uri.path in POSTS
        assert (flags["--http-method"], flags["--time-zone"]) == ("POST", "Etc/UTC")
        assert flags["--oidc-service-account-email"] == account
        assert max(15, sync_budget()) < seconds(flags["--attempt-deadline"]) <= 30 * 60
        assert template["timeoutSeconds"] <= seconds(flags["--attempt-deadline"])
        assert 0 < int(flags["--max-retry-attempts"]) <= 5
        assert seconds(flags["--min-backoff"]) <= seconds(flags["--max-backoff"])


def test_script_takes_off_a_slash_and_asks_for_what_is_missing(tmp_path: Path) -> None:
    made = [check(it) for it in calls(tmp_path, 0, SERVICE_URL="https://a.example/")]
    assert {flags["--oidc-token-audience"] for name, _, flags in made if "http" in name} == {"https://a.example"}
    with pytest.raises(subprocess.CalledProcessError):
        calls(tmp_path, 0, PROJECT="")


def shell_calls() -> Iterator[tuple[str, list[str]]]:
    """Every call of gcloud in the docs' shell examples: page, words."""
    for path in generate.files():
        for block in blocks(path.read_text(encoding="utf-8"), "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                for found in re.finditer(r"(?:^\s*|[|(]\s*)gcloud (.*)", line):
                    command = found[1].partition(')"')[0] if "$(gcloud" in line else found[1]
                    yield path.name, shlex.split(re.sub(r"\$\{?(\w+)\}?", r"\1", command), comments=True)


def test_gcloud_in_the_guide() -> None:
    found = list(shell_calls())
    told = sum(len(re.findall(r"\bgcloud [a-z]", block)) for block in blocks(GUIDE, "sh"))
    assert len([page for page, _ in found if page == "deploy.md"]) == told > 15
    for _, words in found:
        check(words)


def test_commands_given_to_containers_exist() -> None:
    commands = set(generate.command_table())
    given = [flags["--args"].split(",")[0] for name, _, flags in map(check, (words for _, words in shell_calls()))
             if name.startswith("run jobs") and "--args" in flags]  # fmt: skip
    given += [it.split(",")[0] for it in re.findall(r"`--args=([a-z,0-9]+)`", GUIDE)]
    assert {"migrate", "sync", "accept"} <= set(given) <= commands


# ---- Prometheus and Grafana

RULES = [rule for group in document("prometheus-rules.yml")["groups"] for rule in group["rules"]]
DASHBOARD = json.loads(text("grafana-dashboard.json"))
PANELS = DASHBOARD["panels"]
TARGETS = [(panel["title"], it) for panel in PANELS for it in panel.get("targets", ())]
QUERIES = [(rule["alert"], rule["expr"]) for rule in RULES] + [(title, it["expr"]) for title, it in TARGETS]


@pytest.mark.parametrize(("where", "query"), QUERIES)
def test_query(where: str, query: str) -> None:
    """Balanced, with names that exist, and numbers that all replicas share never added up."""
    depth: list[str] = []
    bare = re.sub(r'"[^"]*"', '""', query)
    assert '"' not in bare.replace('""', "")
    for letter in bare:
        if letter in "([{":
            depth.append(letter)
        elif letter in ")]}":
            assert depth, query
            assert depth.pop() + letter in {"()", "[]", "{}"}, query
    assert not depth, query
    assert all(re.fullmatch(r"\d+[smhd]|\$__rate_interval", it) for it in re.findall(r"\[([^]]*)\]", bare))
    labels = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", bare)
    labels += [it.strip() for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", bare) for it in group.split(",") if it]
    assert set(labels) <= LABELS, query
    rest = re.sub(r"\{[^}]*\}|\[[^]]*\]|\b(?:by|on) \([^)]*\)", " ", bare)
    names = set(re.findall(r"[A-Za-z_:][\w:]*", rest))
    assert names - PROMQL - METRICS - {"up"} == set(), query
    assert names & (METRICS | {"up"}), query
    assert all('job="' in it for it in re.findall(r"\{([^}]*)\}", query)), query
    for shared in names & SHARED_METRICS:
        assert f"{shared}{{" in query
        assert not re.search(rf"sum[^(]*\(+[^()]*{shared}\b", query), query
        assert re.search(r"\bmax\b|absent", query), query


def test_rules() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names) >= 10
    for rule in RULES:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[smhd]", rule.get("for", "0s"))
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert set(rule["annotations"]) == {"summary", "description"}
        assert all(isinstance(value, str) for value in rule["annotations"].values())
        assert f"`{rule['alert']}`" in GUIDE
    assert set(re.findall(r"`(LLMHive[A-Z]\w+)`", GUIDE)) == set(names)
    commands = re.findall(r"`llmhive ([a-z-]+)", text("prometheus-rules.yml"))
    assert set(commands) <= set(generate.command_table())


def test_scrape_example() -> None:
    found = document("prometheus.yml")
    [job] = found["scrape_configs"]
    assert (job["job_name"], job["metrics_path"]) == ("llmhive", "/metrics")
    assert job["dns_sd_configs"][0]["names"] == ["llmhive"]
    assert all((DEPLOY / name).is_file() for name in found["rule_files"])
    used = set(re.findall(r'job="([^"]+)"', "\n".join(rule["expr"] for rule in RULES)))
    assert used == {job["job_name"]}
    mounts = COMPOSE["services"]["prometheus"]["volumes"] + COMPOSE["services"]["grafana"]["volumes"]
    mounted = {it.split(":")[0].removeprefix("./") for it in mounts if it.startswith("./")}
    assert mounted == {"prometheus.yml", "prometheus-rules.yml", "grafana-dashboard.json"}


def test_dashboard() -> None:
    numbers = [panel["id"] for panel in PANELS]
    assert len(set(numbers)) == len(numbers)
    titles = [panel["title"] for panel in PANELS]
    assert len(set(zip(titles, numbers, strict=True))) == len(titles) > 12
    variables = {it["name"]: it for it in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    source = {"type": "prometheus", "uid": "${datasource}"}
    assert variables["job"]["datasource"] == source
    assert set(re.findall(r"label_values\((\w+)", variables["job"]["definition"])) <= METRICS
    for panel in PANELS:
        if panel["type"] == "row":
            continue
        assert panel["datasource"] == source
        assert panel["targets"]
        letters = [it["refId"] for it in panel["targets"]]
        assert len(set(letters)) == len(letters)
        assert all(it["datasource"] == source for it in panel["targets"])
    assert "__inputs" not in DASHBOARD
    used = set(re.findall(r"\$\{?([a-zA-Z_]+)", "\n".join(it["expr"] for _, it in TARGETS)))
    assert used <= {"__rate_interval", *variables}


def test_dashboard_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_dashboard_and_rules_show_every_metric() -> None:
    shown = "\n".join(query for _, query in QUERIES)
    used = {name for name in METRICS if re.search(rf"\b{name}\b", shown)}
    assert METRICS - used == {"llmhive_http_request_seconds_sum", "llmhive_http_request_seconds_count"}
