"""Operations: whether the catalog is looked after, its runs and snapshots, and what a person can do about them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import StreamingResponse

from llmhive.app.http import ledger
from llmhive.app.http.service import Service
from llmhive.app.http.syncing import asked_by
from llmhive.app.pages import addresses, fields, operations_run, words
from llmhive.app.pages.operations_run import KINDS
from llmhive.app.pages.site import Answer, Asked, Moved, Page, Site
from llmhive.app.progress import Line
from llmhive.app.worker import Task
from llmhive.catalog.run import Kind, Run
from llmhive.errors import LLMHiveError, NotFound, StoreError, UsageError

Facts = Mapping[str, Any]
_SECTION, _HOME = "operations", "/operations"
_PER_PAGE = 20
_MOST_DELIVERIES = 20
_LONGEST_NOTE = 500
_LAST_RUN = 2**62
#: Where lines of progress and the outcome go in a page that is sent as it happens.
_HERE = "\N{OBJECT REPLACEMENT CHARACTER}here\N{OBJECT REPLACEMENT CHARACTER}"


def add_to(site: Site) -> None:
    """Register the routes."""
    service = site.service

    @site.get("/operations", section=_SECTION, has_form=True)
    async def overview(asked: Asked) -> Page:
        status = await service.status()
        page = addresses.whole("page", asked.query.get("page") or "1", addresses.MOST_PAGES)
        read = await service.threads.run(_read, asked, page)
        why_not = why_not_to_act(asked, lets_write=site.sessions.lets_write)
        facts = {"status": status, "health": health(status), "why_not": why_not, **read}
        return Page("operations.html", "Operations", facts)

    @site.get("/operations/runs/{run_id:int}", section=_SECTION, has_form=True)
    def run(asked: Asked) -> Page:
        found = _run(asked).to_json()
        told = operations_run.told(found, asked.view, asked.now)
        why_not = why_not_to_act(asked, lets_write=site.sessions.lets_write)
        facts = {"told": told, "waits": waits(found, asked), "why_not": why_not}
        return Page("run.html", f"Run {found['id']}: {told.kind.lower()}", facts)

    @site.get("/operations/snapshots/{name}", section=_SECTION, has_form=True)
    async def snapshot(asked: Asked) -> Page:
        taken = await service.threads.run(_snapshot, asked)
        # it is some work, and for nothing where nobody may act
        told = await _rehearsed(service, asked, taken["name"]) if asked.can_write else None
        why_not = why_not_to_act(asked, lets_write=site.sessions.lets_write)
        facts = {"taken": taken, "told": told, "pinned": asked.view.pinned, "why_not": why_not}
        return Page("snapshot.html", f"Snapshot {taken['name']}", facts)

    _add_syncs(site, service)
    _add_ledger(site, service)


def _add_syncs(site: Site, service: Service) -> None:
    @site.post("/operations/sync")
    async def sync(_: Asked, form: FormData, request: Request) -> Answer:
        kind, force = kind_of(form), form.get("force") == "true"
        begun = await service.workers.begin(Task("sync", "http", kind, force, **asked_by(request)))
        if begun.run is None:
            queued = {"case": "queued", "name": KINDS[kind], "waits_for": begun.waits_for}
            return Page("asked.html", "Queued", queued)
        if begun.run["status"] == "skipped":
            said, due_at = begun.run["notes"][0], begun.run.get("due_at")
            if due_at is None:
                return Page("asked.html", "Not started", {"case": "not started", "said": said})
            not_due = {"case": "not due", "said": said, "due_at": due_at, "kind": kind, "name": KINDS[kind]}
            return Page("asked.html", "Not due yet", not_due)
        return Moved(_of_run(begun.run))

    @site.post("/operations/runs/{run_id:int}/accept")
    async def accept(asked: Asked, _: FormData, request: Request) -> Answer:
        # no process is started for what is not there
        held = await service.threads.run(_run, asked)
        ended = await service.workers.once(Task("accept", "http", run_id=held.id, **asked_by(request)))
        await service.caught_up(ended)
        return Moved(_of_run(ended))

    @site.post("/operations/dry-run")
    async def dry_run(asked: Asked, form: FormData, request: Request) -> Answer:
        kind = kind_of(form)
        page = Page("dry_run.html", f"Dry run: {KINDS[kind].lower()}", {"here": _HERE})
        frame = await service.threads.run(site.render, page, asked, _SECTION)
        task = Task("sync", "http", kind, dry_run=True, **asked_by(request))
        # a proxy that gathers the answer would show nothing until it is over
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_as_it_happens(site, asked, task, frame), 200, headers, "text/html")


def _add_ledger(site: Site, service: Service) -> None:
    @site.post("/operations/snapshots")
    async def take(_: Asked, form: FormData, __: Request) -> Answer:
        await ledger.keep(service, str(form.get("name", "")).strip() or None, note_of(form))
        return Moved(f"{_HOME}#snapshots")

    @site.post("/operations/snapshots/{name}/rollback")
    async def rollback(asked: Asked, form: FormData, request: Request) -> Answer:
        if form.get("read") != "true":
            raise UsageError("Read what changes first, and tick that you have: nothing was rolled back.")
        taken, pin = await service.threads.run(_snapshot, asked), form.get("pin") == "true"
        task = Task("rollback", "http", snapshot=taken["name"], pin=pin, **asked_by(request))
        ended = await service.workers.once(task)
        await service.caught_up(ended)
        return Moved(_of_run(ended))

    @site.post("/operations/unpin")
    async def unpin(_: Asked, __: FormData, ___: Request) -> Answer:
        await ledger.let_go(service)
        return Moved(_HOME)


# --- what is asked for


def kind_of(form: FormData) -> Kind:
    """Which kind of sync a form asks for; raises `UsageError`."""
    match form.get("kind", "regular"):
        case "regular":
            return "regular"
        case "research":
            return "research"
    raise UsageError("A sync is regular or research.")


def note_of(form: FormData) -> str | None:
    """The note of a form, None where there is none; raises `UsageError`."""
    note = " ".join(str(form.get("note", "")).split())
    if len(note) > _LONGEST_NOTE or "\x00" in note:
        raise UsageError(f"A note has {_LONGEST_NOTE} letters at most, and no NUL.")
    return note or None


def why_not_to_act(asked: Asked, *, lets_write: bool) -> str | None:
    """Why forms are not shown; None where they are, and empty where signing in is all that is missing."""
    if asked.can_write:
        return None
    if lets_write:
        return ""
    return (
        "From here nobody can act: this service has no AUTH_TOKEN to sign in with. On the machine where it listens on "
        "127.0.0.1 none is needed; from another one whoever runs it sets AUTH_TOKEN."
    )


# --- what is shown


@dataclass(frozen=True, slots=True)
class Health:
    """How it goes, in a sentence."""

    mark: str  #: the class of its note
    text: str


def health(status: Facts) -> Health:
    """How it goes, by the worst that there is to say."""
    if not status["database_reachable"]:
        return Health("bad", "The database does not answer. Readers are served from memory; nothing can be synced.")
    if status["source"] is None:
        return Health("warn", "Nothing has been synced yet.")
    if status["held"]:
        return Health("warn", "The gate holds an answer of OpenRouter: the last good catalog stays. Look at its run.")
    if status["last_sync_status"] in {"failed", "interrupted"}:
        return Health("bad", f"The last sync {_ended_badly(status['last_sync_status'])}. The last good catalog stays.")
    if status["source"] != "openrouter":
        return Health("warn", "The catalog holds the facts shipped with LLMHive: no sync has worked yet.")
    age = status["catalog_age_seconds"]
    if status["pinned"]:
        return Health("info", f"Pinned to the snapshot {status['pinned']}: syncs record, and change nothing here.")
    if status["last_research_status"] in {"failed", "interrupted"}:
        return Health("warn", f"Syncs work; the last research {_ended_badly(status['last_research_status'])}.")
    if age is not None and age > words.OLD.total_seconds():
        # every page says so above
        return Health("warn", "")
    waiting = status["alerts_pending"]
    also = f" {waiting:,} alert{' is' if waiting == 1 else 's are'} not delivered yet." if waiting else ""
    return Health("good", f"All is well: the catalog is {'new' if age is None else f'{words.span(age)} old'}.{also}")


def _ended_badly(status: str) -> str:
    return "was interrupted" if status == "interrupted" else "failed"


def _read(asked: Asked, page: int) -> dict[str, Any]:
    """What the database has for the overview; nothing while it does not answer."""
    try:
        catalog = asked.catalog
        return {
            "runs": [line_of(it, asked.now) for it in catalog.runs(_PER_PAGE, (page - 1) * _PER_PAGE)],
            "held": [_held(it, asked) for it in catalog.held()],
            "snapshots": catalog.snapshots(),
            "deliveries": [_delivery(it) for it in catalog.alert_deliveries(_MOST_DELIVERIES)],
            "newer": page - 1 if page > 1 else None,
            "older": page + 1 if catalog.count_runs() > page * _PER_PAGE else None,
            "page": page,
        }
    except StoreError:
        return dict.fromkeys(("runs", "held", "snapshots", "deliveries", "newer", "older")) | {"page": page}


def line_of(run: Run, now: datetime) -> dict[str, Any]:
    """A run as a line of the list."""
    found = run.to_json()
    return found | {
        "name": KINDS.get(run.kind, run.kind),
        "mark": operations_run.mark(run.status),
        "lasted": operations_run.lasted(found, now),
        "said": run.error or (run.notes[0] if run.notes else ""),
    }


def _held(it: Facts, asked: Asked) -> dict[str, Any]:
    outputs = operations_run.outputs_of(it["id"], asked.view)
    return {
        **it,
        "name": fields.label(it["field"]),
        "believed": fields.value(it["field"], it["believed"], outputs),
        "served": fields.value(it["field"], it["served"], outputs),
        # the figures stand beside it
        "why": str(it["rule"]).replace("_", " "),
    }


def _delivery(it: Facts) -> dict[str, Any]:
    told: Sequence[Facts] = it["told"]
    named = [f"{one['kind'].replace('_', ' ')} {one['model_id'] or ''}".strip() for one in told[:3]]
    more = f" and {len(told) - 3:,} more" if len(told) > 3 else ""
    return {**it, "what": f"{', '.join(named)}{more}" or "nothing any more", "mark": operations_run.mark(it["state"])}


def waits(run: Facts, asked: Asked) -> str | None:
    """What of a run waits to be accepted: ``answer``, ``values``, or ``gone`` where nothing does any more."""
    if run["status"] == "held":
        return "answer" if asked.catalog.status()["held"] else "gone"
    doubted = {(it["model_id"], it["field"]) for it in run["verdicts"] or () if it["outcome"] == "held"}
    if not doubted:
        return None
    return "values" if doubted & {(it["id"], it["field"]) for it in asked.catalog.held()} else "gone"


def _run(asked: Asked) -> Run:
    """The run that an address names."""
    run_id = int(asked.path["run_id"])
    if not 0 < run_id <= _LAST_RUN:
        raise NotFound(f"There is no run {run_id}.")
    return asked.catalog.run(run_id)


def _snapshot(asked: Asked) -> dict[str, Any]:
    """The snapshot that an address names."""
    name = asked.path["name"]
    found = next((it for it in asked.catalog.snapshots() if it["name"] == name), None)
    if found is None:
        raise NotFound(f"There is no snapshot {name[:100]!r}. Operations lists those there are.")
    return found


async def _rehearsed(service: Service, asked: Asked, name: str) -> operations_run.Told:
    """What going back would change. A pinned catalog goes back only to be pinned anew."""
    run = await ledger.rehearse(service, name, pin=asked.view.pinned is not None)
    return await service.threads.run(lambda: operations_run.told(run.to_json(), asked.view, asked.now))


def _of_run(run: Facts) -> str:
    return f"{_HOME}/runs/{quote(str(run['id']))}"


# --- as it happens


async def _as_it_happens(site: Site, asked: Asked, task: Task, frame: str) -> AsyncIterator[str]:
    """A dry run's page: its frame, a line for each step while it goes on, and what it would do."""
    head, middle, tail = frame.split(_HERE)
    line = site.template("dry_run_line.html")
    yield head
    yield line.render(line=Line("Starting"))
    try:
        async for told in site.service.workers.follow(task):
            if isinstance(told, Line):
                yield line.render(line=told)
                continue
            yield middle
            middle = ""
            facts = {"told": operations_run.told(told, asked.view, site.service.now()), "error": None}
            yield site.render(Page("dry_run_outcome.html", "", facts), asked, _SECTION)
    except LLMHiveError as error:
        yield middle
        yield site.render(Page("dry_run_outcome.html", "", {"told": None, "error": str(error)}), asked, _SECTION)
    yield tail
