"""The routes by FastAPI, with the front before them; `serve.py` runs them."""

from __future__ import annotations

import difflib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from llmhive.app.http import cost, health, ledger, market, problem, reading, schema, select, syncing
from llmhive.app.http.auth import Denied
from llmhive.app.http.front import MISTAKE, App, Front, TooLarge
from llmhive.app.http.problem import Problem
from llmhive.app.http.service import Refusal, Service
from llmhive.app.observe import Tell
from llmhive.app.tracing import Tracing
from llmhive.errors import LLMHiveError
from llmhive.version import VERSION

_ABOUT = (
    "The OpenRouter model catalog: what is available, what it costs, and what it did at any time. Prices are decimal "
    "strings. What is unknown is null, never zero. Errors are `application/problem+json`. Answers say how old the "
    "catalog is (`catalog_age_seconds`) and where it is from (`source`). `catalog_version` rises with every change and "
    "is the ETag of reads."
)
#: A background task of the service, for as long as it runs.
Beside = Callable[[], AbstractAsyncContextManager[None]]
#: What adds routes.
Room = Callable[[FastAPI, Service], None]


def build(
    service: Service,
    *,
    tell: Tell,
    mark: str,
    tracing: Tracing,
    tasks: Sequence[Beside] = (),
    rooms: Sequence[Room] = (),
) -> App:
    """The ASGI app of a service; `rooms` add routes to ours."""
    settings = service.settings
    return Front(
        routes(service, tasks, rooms),
        service.memory,
        service.access,
        service.counts,
        tell=tell,
        max_body=settings.serve_max_body_kb * 1024,
        large={cost.PATH: cost.LARGEST},
        max_requests=settings.serve_max_requests,
        log_reads=settings.serve_log_reads,
        mark=mark,
        tracing=tracing,
    )


def routes(service: Service, tasks: Sequence[Beside] = (), rooms: Sequence[Room] = ()) -> FastAPI:
    """All routes, and what goes on beside them."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with _all(tasks):
            yield

    app = FastAPI(
        title="LLMHive", version=VERSION, description=_ABOUT, docs_url=None, redoc_url=None, lifespan=lifespan,
        redirect_slashes=False, generate_unique_id_function=lambda route: route.name,
        dependencies=[Depends(known_parameters)],
    )  # fmt: skip
    # the market before what reads any path as a model's id
    for room in (syncing, market, reading, cost, select, ledger, health):
        room.add_to(app, service)
    _add_problems(app)
    _describe(app)
    for add_to in rooms:
        add_to(app, service)
    return app


def known_parameters(request: Request) -> None:
    """Refuse a parameter that a route does not have: what is misspelt must not be left out silently."""
    route = request.scope["route"]
    if not isinstance(route, APIRoute) or route.path in _READS_ITS_OWN:
        return
    known = [it.alias for it in route.dependant.query_params]
    for name in request.query_params:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(known)}." if known else ""
            if request.method == "POST" and name in {"force", "dry_run", "pin", "name", "note"}:
                hint = f'Write it into the body, as JSON: {{"{name}": …}}.'
            detail = f"{name}: there is no such parameter. {hint}".strip()
            raise Refusal(Problem(422, detail, parameter=name))


_CLIENT_GONE = 499
_READS_ITS_OWN = frozenset(("/api/models",))
#: Reads that need a body.
_READS_BY_POST = frozenset((cost.PATH, select.PATH))


@asynccontextmanager
async def _all(tasks: Sequence[Beside]) -> AsyncIterator[None]:
    if not tasks:
        yield
        return
    async with tasks[0](), _all(tasks[1:]):
        yield


def _add_problems(app: FastAPI) -> None:
    def with_id(request: Request, found: Problem) -> Response:
        kept = ("Retry-After", "WWW-Authenticate")
        again = {name: found.headers[name] for name in kept if name in found.headers}
        return Problem(found.status_code, found.detail, again, **found.more, request_id=request.scope["request_id"])

    @app.exception_handler(LLMHiveError)
    async def ours(request: Request, error: LLMHiveError) -> Response:
        return with_id(request, problem.of(error))

    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> Response:
        return with_id(request, error.problem)

    @app.exception_handler(TooLarge)
    async def too_large(request: Request, error: TooLarge) -> Response:
        return with_id(request, Problem(413, str(error)))

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> Response:
        # nobody reads it; it is for the log and the counts
        return Response(status_code=_CLIENT_GONE)

    @app.exception_handler(Exception)
    async def mistake(request: Request, _: Exception) -> Response:
        return with_id(request, Problem(500, MISTAKE))

    @app.exception_handler(Denied)
    async def denied(request: Request, error: Denied) -> Response:
        return with_id(request, Problem(error.status, error.detail, error.headers))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        faults = problem.faults(error.errors())
        return with_id(request, Problem(422, f"The request cannot be used: {problem.told(faults)}.", errors=faults))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        details = {
            404: "There is nothing at this address. /openapi.json lists what there is.",
            405: f"This address takes {(error.headers or {}).get('Allow', 'another method')}, not {request.method}.",
        }
        phrase = HTTPStatus(error.status_code).phrase
        found = Problem(
            error.status_code, details.get(error.status_code, phrase), request_id=request.scope["request_id"]
        )
        if error.headers:
            found.headers.update(error.headers)
        return found


def _describe(app: FastAPI) -> None:
    """The OpenAPI document, with the shape of problems and the credential."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = make()
            components = made.setdefault("components", {})
            schemas = components.setdefault("schemas", {})
            schemas["Problem"] = schema.Problem.model_json_schema()
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            components["securitySchemes"] = {
                "bearer": {"type": "http", "scheme": "bearer",
                           "description": "A token of the settings, or a Google-signed OIDC token."}
            }  # fmt: skip
            for path, operations in made["paths"].items():
                for method, operation in operations.items():
                    # on a loopback address none is needed, and reading is open unless a token is set
                    is_read = method == "get" or path in _READS_BY_POST
                    operation["security"] = [{}, {"bearer": []}] if is_read else [{"bearer": []}, {}]
                    if not _can_be_invalid(operation):
                        operation["responses"].pop("422", None)
                    for answer in operation["responses"].values():
                        if answer.get("description") == "Successful Response":
                            answer["description"] = "The answer."
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _can_be_invalid(operation: dict[str, Any]) -> bool:
    found = operation["responses"].get("422", {}).get("content", {})
    return problem.MEDIA_TYPE in found
