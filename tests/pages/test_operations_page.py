"""Operations: what people see, and every action from its form to what it did."""

from __future__ import annotations

import itertools
import json
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import make_url

from llmhive.app.openrouter import accept, rollback
from llmhive.app.pages import fields, operations, operations_run
from llmhive.catalog.gate import Limits
from llmhive.catalog.view import View
from llmhive.store.database import connect
from tests import support
from tests.fake_openrouter import Record, Request, Response, catalog, model, ok, status
from tests.pages.sitting import FORM, Sitting
from tests.serving import Place, Served, place, serving
from tests.support import dump, poll, rows, runner_at, sync_at

if TYPE_CHECKING:
    from tests.pages.browser import Visitor
    from tests.pages.conftest import ServeOwn

AT = datetime(2026, 5, 1, 12, tzinfo=UTC)
TOKEN = "the-token-that-lets-write"
MODELS = [model(f"acme/model-{number:02}") for number in range(40)]
VIEW = View()
_numbers = itertools.count(1)


def listing(*records: Record, count: int = 40) -> bytes:
    return catalog(*MODELS[:count], *records)


def unheard() -> str:
    """The id of a model that there never was."""
    return f"acme/new-{next(_numbers)}"


# --- in words


def run(**facts: Any) -> dict[str, Any]:
    """A run as JSON."""
    return {
        "id": 7, "kind": "regular", "trigger": "http", "status": "completed", "dry_run": False,
        "started_at": "2026-05-01T11:59:00Z", "finished_at": "2026-05-01T11:59:02Z", "duration_seconds": 2.0,
        "models_seen": 40, "added": 0, "changed": 0, "repriced": 0, "deactivated": 0, "reactivated": 0, "unchanged": 40,
        "unreadable": 0, "held": 0, "error": None, "notes": [], "catalog_version": 3, "plan": [], "verdicts": [],
        **facts,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, "40 models: nothing new in the model list."),
        ({"added": 2, "deactivated": 1}, "40 models: 2 added, 1 removed."),
        ({"status": "running", "duration_seconds": None}, "It has been running for 60 min 0 s."),
        ({"status": "held", "error": "20 of 40 models are gone."}, "Held by the gate: 20 of 40 models are gone."),
        ({"status": "failed", "error": "no network"}, "Sync failed: no network"),
        ({"status": "interrupted", "kind": "research"}, "Research interrupted: no reason was given"),
        ({"dry_run": True}, "A sync that sees 40 models would change nothing."),
        ({"dry_run": True, "kind": "rollback", "repriced": 3}, "Rolling back would do this: 3 repriced."),
        ({"dry_run": True, "status": "held", "error": "it is empty"}, "The gate would hold this answer: it is empty."),
        ({"kind": "rollback"}, "The catalog was as the snapshot has it already: nothing changed."),
    ],
)
def test_how_a_run_ended(facts: dict[str, Any], said: str) -> None:
    assert operations_run.headline(run(**facts), AT + timedelta(minutes=59)) == said


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        (("added", None, None, "Acme: One"), ("added", "", "", "Acme: One", "", "")),
        (("deactivated", "is_listed", True, False), ("removed", "", "", "", "", "")),
        (("reactivated", "is_listed", False, True), ("returned", "", "", "", "", "")),
        (("repriced", "pricing.prompt", "0.00000076", "0.000000684"),
         ("repriced", "Prompt", "$0.76 / M", "$0.684 / M", "▼ 10 % cheaper", fields.GOOD)),
        (("repriced", "pricing.completion", "0.000001", "0.000003"),
         ("repriced", "Completion", "$1.00 / M", "$3.00 / M", "▲ 200 % dearer", fields.BAD)),
        (("repriced", "pricing.prompt", "0.000001", "0.0000010001"),
         ("repriced", "Prompt", "$1.00 / M", "$1.0001 / M", "▲ <0.1 % dearer", fields.BAD)),
        (("repriced", "pricing.image", "0.01", None), ("repriced", "Image in", "$0.01 each", "not listed", "", "")),
        (("repriced", "pricing.prompt", "-1", "0.000001"),
         ("repriced", "Prompt", "varies", "$1.00 / M", "", "")),
        (("repriced", "pricing.overrides", [], [{"when": {"x": 1}, "rates": {"prompt": "1e-6"}}]),
         ("repriced", "Conditional prices", "none", "x 1: prompt $1.00 / M", "", "")),
        (("held", "pricing", {"prompt": "0.000001"}, {"prompt": "0"}),
         ("held", "All prices", "prompt $1.00 / M", "prompt $0.00 / M", "", "")),
        (("changed", "context_length", 128000, None), ("changed", "Context", "128,000 tokens", "unknown", "", "")),
        (("changed", "supported_parameters", ["a", "b"], ["b", "c", "d"]),
         ("changed", "Parameters", "−a", "+c, +d", "", "")),
        (("changed", "is_moderated", True, False), ("changed", "Moderated", "yes", "no", "", "")),
        (("changed", "reasoning", None, {"effort": ["low"], "on": True}),
         ("changed", "Reasoning", "unknown", "effort low, on yes", "", "")),
        (("changed", "description", "x" * 500, ""), ("changed", "Description", "x" * 119 + "…", "", "", "")),
    ],
)  # fmt: skip
def test_a_line_of_a_plan(line: tuple[str, str | None, Any, Any], cells: tuple[str, ...]) -> None:
    what, field, before, after = line
    [row] = operations_run.rows(
        [{"id": "acme/one", "what": what, "field": field, "before": before, "after": after}], VIEW
    )
    assert (row.what, row.field, row.before, row.after, row.moved, row.tone) == cells


def test_a_long_plan_is_cut_and_says_so() -> None:
    plan: list[dict[str, Any]] = [
        {"id": f"a/{it}", "what": "changed", "field": "name", "before": "x", "after": "y"} for it in range(600)
    ]
    plan.append({"id": "a/new", "what": "added", "field": None, "before": None, "after": "New"})
    told = operations_run.told(run(plan=plan), VIEW, AT)
    assert (len(told.rows), told.left) == (500, 101)
    # what is new comes first
    assert told.rows[0].model == "a/new"


def test_what_the_gate_found_has_its_evidence_and_what_to_do() -> None:
    found = {
        "rule": "price_fall", "outcome": "held", "model_id": "acme/one", "field": "pricing.prompt",
        "reason": "acme/one: pricing.prompt fell from 0.00000014 to 0",
        "evidence": {"before": "0.00000014", "after": "0", "unit": "prompt", "since": "2026-05-01T11:00:00Z"},
    }  # fmt: skip
    gone = {
        "rule": "removal", "outcome": "flagged", "model_id": None, "field": None, "reason": "many are gone",
        "evidence": {"gone": [f"a/{it}" for it in range(20)], "limit": 12.5, "unknown": None},
    }  # fmt: skip
    first, second = operations_run.told(run(verdicts=[gone, found]), VIEW, AT).findings
    assert (first.outcome, first.rule, first.field) == ("held", "price fall", "Prompt")
    assert dict(first.evidence) == {
        "since": "2026-05-01 11:00 UTC",
    }  # fmt: skip
    assert first.reason == "$0.14 → $0.00 per million"
    assert ("llmhive accept 7", True) in first.advice
    assert second.advice == []
    assert dict(second.evidence)["gone"].endswith("a/11 and 8 more")
    assert dict(second.evidence)["unknown"] == "unknown"


WELL = {
    "database_reachable": True, "source": "openrouter", "held": 0, "last_sync_status": "completed",
    "last_research_status": None, "catalog_age_seconds": 7300.0, "pinned": None, "alerts_pending": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "mark", "said"),
    [
        ({}, "good", "All is well: the catalog is 2 hours old."),
        ({"alerts_pending": 1}, "good", "1 alert is not delivered yet."),
        ({"database_reachable": False}, "bad", "The database does not answer."),
        ({"source": None}, "warn", "Nothing has been synced yet."),
        ({"source": "bootstrap"}, "warn", "no sync has worked yet"),
        ({"held": 1}, "warn", "The gate holds an answer"),
        ({"last_sync_status": "failed"}, "bad", "The last sync failed."),
        ({"last_sync_status": "interrupted"}, "bad", "The last sync was interrupted."),
        # the site says how old it is
        ({"catalog_age_seconds": 90_000.0}, "warn", ""),
        ({"last_research_status": "failed"}, "warn", "the last research failed"),
        ({"pinned": "before"}, "info", "Pinned to the snapshot before"),
    ],
)
def test_how_it_goes(facts: dict[str, Any], mark: str, said: str) -> None:
    health = operations.health(WELL | facts)
    assert health.mark == mark
    assert said in health.text


# --- from forms to what they did


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place("sqlite", tmp_path_factory.mktemp("operations")) as found:
        yield found


@pytest.fixture(scope="module")
def served(here: Place) -> Iterator[Served]:
    settle(here)
    with serving(here.llmhive) as running:
        yield running


@pytest.fixture
def sitting(here: Place, served: Served) -> Sitting:
    """Somebody on this machine; the catalog holds the models of `listing()`, and nothing waits."""
    version = settle(here)
    poll(lambda: served.get("/api/models", limit=1).json()["catalog_version"] == version)
    return Sitting(served)


def settle(here: Place) -> int:
    here.fake.serve(listing())
    database = connect(here.url)
    rollback.unpin(database)
    run = sync_at(here.url, here.fake.base_url, datetime.now(UTC), force=True)
    if run.status == "held":
        run = accept.accept(runner_at(database, datetime.now(UTC)), run.id or 0, Limits(), trigger="test")
    database.close()
    assert run.status in {"completed", "unchanged"}, run
    return int(rows(here.url, "SELECT catalog_version FROM catalog_state")[0]["catalog_version"])


class Gate:
    """An answer of the fake that waits until it is opened."""

    def __init__(self, body: bytes) -> None:
        self.opened = threading.Event()
        self._body = body

    def __call__(self, request: Request) -> Response:
        assert self.opened.wait(30)
        return ok(self._body)


def ended(sitting: Sitting, path: str) -> str:
    """The page of a run, once it is over."""

    def look() -> str:
        page = sitting.get(path)
        return "" if "data-poll" in page else page

    return poll(look)


def test_syncing_leads_to_its_run_until_it_is_over(here: Place, sitting: Sitting) -> None:
    gate = Gate(listing(model(name := unheard())))
    here.fake.serve(gate)
    path = sitting.post("/operations/sync", kind="regular", force="true").to
    assert path.startswith("/operations/runs/")
    page = sitting.get(path)
    assert "It has been running for" in page
    assert 'data-poll="1000"' in page
    overview = sitting.get("/operations")
    assert f'href="{path}"' in overview
    assert 'data-poll="1500"' in overview
    gate.opened.set()
    page = ended(sitting, path)
    assert "41 models: 1 added." in page
    assert f'<a href="/models/{name}">' in page
    [stored] = rows(here.url, "SELECT trigger, status FROM sync_run WHERE id = :id", id=int(path.rpartition("/")[2]))
    assert stored == {"trigger": "http", "status": "completed"}
    assert "data-poll" not in sitting.get("/operations")


def test_a_sync_that_is_not_due_says_when_and_may_be_had_anyway(here: Place, sitting: Sitting) -> None:
    before = dump(here.url)
    answer = sitting.post("/operations/sync", kind="regular")
    assert answer.status == 200
    for said in (
        "Not due yet",
        "It is due",
        "Sync anyway",
        'name="force" value="true"',
        sitting.cookies["llmhive_form"],
    ):
        assert said in answer.text, said
    assert dump(here.url) == before
    ended(sitting, sitting.post("/operations/sync", kind="regular", force="true").to)


def test_a_sync_behind_another_kind_is_queued(here: Place, sitting: Sitting) -> None:
    gate = Gate(listing())
    here.fake.serve(gate)
    research = sitting.post("/operations/sync", kind="research", force="true").to
    answer = sitting.post("/operations/sync", kind="regular", force="true")
    assert answer.status == 200
    assert "is queued" in answer.text
    assert f'href="{research}"' in answer.text
    here.fake.serve(listing())
    gate.opened.set()
    ended(sitting, research)
    # then it is its turn
    later = "SELECT status FROM sync_run WHERE kind = 'regular' AND id > :id AND status <> 'running'"
    poll(lambda: rows(here.url, later, id=int(research.rpartition("/")[2])))


def test_what_a_form_cannot_ask_for_is_told(here: Place, sitting: Sitting) -> None:
    before = dump(here.url)
    assert "regular or research" in sitting.post("/operations/sync", kind="rollback").text
    assert sitting.post("/operations/snapshots", name="2026-05-01").status == 422
    assert sitting.post("/operations/snapshots", name="../x").status == 422
    assert sitting.post("/operations/snapshots", note="x" * 501).status == 422
    assert sitting.post("/operations/snapshots", note="a\x00b").status == 422
    assert sitting.post("/operations/runs/99999/accept").status == 404
    assert sitting.post(f"/operations/runs/{10**30}/accept").status == 404
    assert sitting.post("/operations/snapshots/none/rollback", read="true").status == 404
    for path in ("/operations/runs/0", f"/operations/runs/{10**30}", "/operations/snapshots/none"):
        sitting.get(path, status=404)
    sitting.get("/operations?page=x", status=422)
    assert "no runs on this page" in sitting.get("/operations?page=999")
    assert dump(here.url) == before


def test_a_held_answer_is_told_and_may_be_accepted(here: Place, sitting: Sitting) -> None:
    here.fake.serve(listing(count=20))
    path = sitting.post("/operations/sync", kind="regular", force="true").to
    page = ended(sitting, path)
    assert "The gate holds this: nothing was applied" in page
    assert f'action="{path}/accept"' in page
    assert "removal" in page
    assert "The gate holds an answer" in sitting.get("/operations")
    assert sitting.served.get("/api/models").json()["total"] == 40
    accepted = sitting.post(f"{path}/accept").to
    # at once, and not a moment later
    assert sitting.served.get("/api/models").json()["total"] == 20
    page = sitting.get(accepted)
    assert "20 removed" in page
    assert "accepted" in page
    page = sitting.get(path)
    assert "waits no more" in page
    assert "/accept" not in page
    answer = sitting.post(f"{path}/accept")
    assert answer.status == 409
    assert "accepted already" in answer.text


def test_a_held_value_is_told_with_what_is_served(here: Place, sitting: Sitting) -> None:
    free = model("acme/model-00", pricing={**MODELS[0]["pricing"], "prompt": "0"})
    here.fake.serve(catalog(free, *MODELS[1:]))
    path = sitting.post("/operations/sync", kind="regular", force="true").to
    page = ended(sitting, path)
    assert "Single values wait" in page
    overview = sitting.get("/operations")
    held = overview[overview.index('id="held-title"') : overview.index('id="snapshots-title"')]
    for said in ("/models/acme/model-00", "Prompt", "$0.00 / M", f'href="{path}"'):
        assert said in held, said
    accepted = sitting.post(f"{path}/accept").to
    assert "accepted" in sitting.get(accepted)
    assert "The gate holds no value back" in sitting.get("/operations")


def test_a_snapshot_leads_back_and_is_pinned(here: Place, sitting: Sitting) -> None:
    assert sitting.post("/operations/snapshots", name="here", note=" before  all ").to == "/operations#snapshots"
    [kept] = rows(here.url, "SELECT name, note FROM snapshot WHERE name = 'here'")
    assert kept["note"] == "before all"
    again = sitting.post("/operations/snapshots", name="here")
    assert again.status == 409
    here.fake.serve(listing(model(name := unheard())))
    ended(sitting, sitting.post("/operations/sync", kind="regular", force="true").to)
    poll(lambda: name in sitting.get("/"))
    page = sitting.get("/operations/snapshots/here")
    for said in ("Rolling back would do this: 1 removed", f"/models/{name}", 'name="read" value="true" required'):
        assert said in page, said
    # nothing without the confirmation
    refused = sitting.post("/operations/snapshots/here/rollback", pin="true")
    assert refused.status == 422
    assert "nothing was rolled back" in refused.text
    path = sitting.post("/operations/snapshots/here/rollback", read="true", pin="true").to
    assert "1 removed" in sitting.get(path)
    assert sitting.served.get("/api/models").json()["total"] == 40
    overview = sitting.get("/operations")
    assert "Pinned to the snapshot here" in overview
    assert 'action="/operations/unpin"' in overview
    # from there only to another pin
    page = sitting.get("/operations/snapshots/here")
    assert "pins it to this one instead" in page
    assert sitting.post("/operations/snapshots/here/rollback", read="true").status == 409
    assert sitting.post("/operations/unpin").to == "/operations"
    overview = sitting.get("/operations")
    assert "Pinned to" not in overview
    assert "Unpin" not in overview


def test_who_unpins_by_the_api_finds_it_unpinned_at_once(here: Place, sitting: Sitting) -> None:
    sitting.post("/operations/snapshots", name="there")
    sitting.post("/operations/snapshots/there/rollback", read="true", pin="true")
    assert "Pinned to the snapshot there" in sitting.get("/operations")
    answer = sitting.served.client.delete("/api/pin")
    assert (answer.status_code, answer.json()) == (200, {"was_pinned_to": "there"})
    assert "pinned to the snapshot" not in sitting.get("/")


def test_a_snapshot_without_a_name_is_named_by_the_time(here: Place, sitting: Sitting) -> None:
    sitting.post("/operations/snapshots")
    assert rows(here.url, "SELECT name FROM snapshot WHERE name LIKE 'at-2%Z'")


# --- a dry run as it happens


class Stream:
    """The answer to a form, piece by piece."""

    def __init__(self, sitting: Sitting, path: str, **fields: str) -> None:
        body = urlencode({"form_token": sitting.token(), **fields})
        cookie = "; ".join(f"{name}={value}" for name, value in sitting.cookies.items())
        head = {
            "Host": sitting.origin.removeprefix("http://"), "Origin": sitting.origin, "Cookie": cookie,
            "Content-Type": FORM, "Content-Length": str(len(body)), "Accept-Encoding": "gzip",
        }  # fmt: skip
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        self.connection = socket.create_connection(("127.0.0.1", sitting.served.port), timeout=30)
        self.connection.sendall(f"POST {path} HTTP/1.1\r\n{lines}\r\n{body}".encode())
        self.text = ""

    def until(self, said: str) -> str:
        """All so far, once something is said in it."""
        while said not in self.text:
            piece = self.connection.recv(65536)
            assert piece, self.text[-3000:]
            self.text += piece.decode()
        return self.text


def test_a_dry_run_tells_how_far_it_is_while_it_is(here: Place, sitting: Sitting) -> None:
    before, gate = dump(here.url), Gate(listing(model(name := unheard())))
    here.fake.serve(gate)
    stream = Stream(sitting, "/operations/dry-run", kind="regular")
    text = stream.until("Asking OpenRouter</li>")
    assert "Comparing" not in text
    head = text.partition("\r\n\r\n")[0].lower()
    for header in (
        "cache-control: no-store", "x-accel-buffering: no", "content-security-policy:", "x-frame-options: deny",
        "transfer-encoding: chunked",
    ):  # fmt: skip
        assert header in head, header
    assert "content-encoding" not in head
    gate.opened.set()
    text = stream.until("</html>")
    stream.connection.close()
    assert text.index("Comparing</li>") < text.index("</ol>") < text.index("would do this: 1 added")
    assert f'<a href="/models/{name}">' in text
    assert dump(here.url) == before


def test_what_goes_wrong_in_a_dry_run_is_told_on_its_page(here: Place, sitting: Sitting) -> None:
    here.fake.serve([status(429, {"Retry-After": "0"}), status(404)])
    answer = sitting.post("/operations/dry-run", kind="research")
    assert answer.status == 200
    assert 'class="trouble">OpenRouter asks to wait' in answer.text
    assert "Research failed: " in answer.text
    assert answer.text.rstrip().endswith("</html>")


def test_who_goes_away_from_a_dry_run_leaves_no_trouble(here: Place, sitting: Sitting) -> None:
    gate = Gate(listing())
    here.fake.serve(gate)
    stream = Stream(sitting, "/operations/dry-run", kind="regular")
    stream.until("Asking OpenRouter</li>")
    stream.connection.close()
    gate.opened.set()
    sitting.served.wait_for("Dry run done", within=20)
    sitting.get("/operations")
    assert not sitting.served.logged("Answer failed")


# --- who may not


def test_who_is_signed_out_is_asked_to_sign_in(here: Place) -> None:
    settle(here)
    with serving(here.llmhive, HOST="0.0.0.0", AUTH_TOKEN=TOKEN) as guarded:
        stranger = Sitting(guarded)
        page = stranger.get("/operations")
        assert 'href="/sign-in?next=%2Foperations"' in page
        assert "<form" not in page
        sitting = Sitting(guarded)
        assert sitting.sign_in(TOKEN).to == "/operations"
        assert sitting.post("/operations/snapshots", name="signed-in").to == "/operations#snapshots"
        page = stranger.get("/operations/snapshots/signed-in")
        assert "Sign in to act" in page
        assert "<form" not in page
        assert 'class="data plan"' not in page
        assert '<form method="post" action="/operations/snapshots/signed-in/rollback"' in sitting.get(
            "/operations/snapshots/signed-in"
        )


def test_without_its_database_it_says_so(tmp_path: Path) -> None:
    with place("postgresql", tmp_path) as away:
        settle(away)
        with serving(away.llmhive, SERVE_TIMEOUT_SECONDS=5) as running:
            sitting = Sitting(running)
            assert "reachable · " in sitting.get("/operations")
            support.drop_database(support.postgresql_server(), make_url(away.url).database or "")
            page = sitting.get("/operations")
            assert "The database does not answer." in page
            assert "not reachable" in page
            # an action is no mistake either
            assert sitting.post("/operations/snapshots").status == 503
            assert not running.logged("Answer failed")


# --- in a browser


@pytest.mark.browser
def test_sync_now_is_followed_to_its_end(visit_own: Visitor) -> None:
    page = visit_own("/operations")
    page.get_by_role("button", name="Sync now").click()
    page.wait_for_url("**/operations/runs/*")
    # by itself
    page.locator("#run:not([data-poll])").wait_for(timeout=60_000)
    assert page.locator("#run [role=status]").first.inner_text().startswith(("completed", "unchanged"))


@pytest.mark.browser
@pytest.mark.parametrize("has_script", [True, False], ids=["script", "no script"])
def test_a_dry_run_shows_its_plan(visit_own: Visitor, has_script: bool) -> None:
    from tests.pages.browser import Look, check_accessible, check_width

    page = visit_own("/operations", Look(has_script=has_script))
    page.get_by_role("button", name="Dry run").click()
    page.locator("#outcome").wait_for(timeout=60_000)
    lines = page.locator("ol.progress li").all_inner_texts()
    assert [lines[0], lines[-1]] == ["Starting", "Comparing"]
    assert "Nothing was written." in page.locator("#outcome").inner_text()
    check_width(page)
    if has_script:
        check_accessible(page)


@pytest.mark.browser
def test_a_held_answer_is_accepted(serve_own: ServeOwn, house_url: str, chromium: Any) -> None:
    from tests.pages import house
    from tests.pages.browser import check_accessible, visiting

    held = house.hold_all(house_url)
    served = serve_own()
    with visiting(chromium, served.url, is_then=False) as visit:
        page = visit(f"/operations/runs/{held.id}")
        assert page.get_by_role("heading", name="The gate holds this: nothing was applied").is_visible()
        check_accessible(page)
        page.get_by_role("button", name="Accept").click()
        page.wait_for_url(lambda url: not url.endswith(f"/{held.id}"), timeout=60_000)
        assert "removed" in page.locator("#run [role=status]").first.inner_text()


@pytest.mark.browser
def test_a_snapshot_is_rolled_back_to_pinned_and_unpinned(visit_own: Visitor) -> None:
    from tests.pages import house
    from tests.pages.browser import check_accessible

    page = visit_own("/operations")
    page.get_by_label("Snapshot name").fill("by-hand")
    page.get_by_label("Note").fill("from a browser")
    page.get_by_role("button", name="Take a snapshot").click()
    page.locator("#snapshots").get_by_text("by-hand", exact=True).wait_for()
    page.get_by_role("link", name=f"roll back … to {house.SNAPSHOT}").click()
    page.get_by_role("heading", name=f"Snapshot {house.SNAPSHOT}").wait_for()
    check_accessible(page)
    # the browser itself asks for the confirmation
    page.get_by_role("button", name="Roll back").click()
    assert page.url.endswith(f"/snapshots/{house.SNAPSHOT}")
    page.get_by_label("I have read what changes.").check()
    page.get_by_label("Pin it").check()
    page.get_by_role("button", name="Roll back").click()
    page.wait_for_url("**/operations/runs/*", timeout=60_000)
    page.goto(f"{visit_own.base}/operations")
    assert f"pinned to the snapshot {house.SNAPSHOT}" in page.locator("body").inner_text()
    page.get_by_role("button", name="Unpin").click()
    page.wait_for_function("() => !document.body.innerText.includes('pinned to')")


@pytest.mark.browser
def test_signing_in_and_out(serve_own: ServeOwn, chromium: Any) -> None:
    from tests.pages.browser import visiting

    served = serve_own(HOST="0.0.0.0", AUTH_TOKEN=TOKEN)
    base = f"http://127.0.0.1:{served.port}"
    with visiting(chromium, base, is_then=False) as visit:
        page = visit("/operations")
        assert page.get_by_role("button", name="Sync now").count() == 0
        page.get_by_role("link", name="Sign in to act").click()
        visit.expect("/sign-in", 403)
        page.get_by_label("Token").fill("a-guess-that-is-wrong")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("alert").wait_for()
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/operations")
        assert page.get_by_role("button", name="Sync now").is_visible()
        [cookie] = [it for it in page.context.cookies() if it["name"] == "llmhive_session"]
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        assert TOKEN not in json.dumps(page.context.cookies())
        page.goto(f"{base}/sign-in")
        page.get_by_role("button", name="Sign out").click()
        page.goto(f"{base}/operations")
        assert page.get_by_role("button", name="Sync now").count() == 0
