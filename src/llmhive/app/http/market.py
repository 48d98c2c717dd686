"""Reads of what the research sync brought: rankings, endpoints, benchmarks, capabilities, providers."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from fastapi import Depends, FastAPI, Path, Query, Request
from starlette.responses import Response

from llmhive.app.http import schema, shapes
from llmhive.app.http.problem import Problem
from llmhive.app.http.reading import Limit, Offset, instant_of
from llmhive.app.http.service import Refusal, Service
from llmhive.app.library import Catalog
from llmhive.catalog.ago import ago
from llmhive.catalog.capability import CAPABILITIES
from llmhive.catalog.dimension import BY_NAME
from llmhive.catalog.model import instant
from llmhive.catalog.view import View
from llmhive.errors import NotFound, UsageError

_LONGEST = 200  #: characters of a name
_MONTHLY = "most_used"
_OVERALL = ("leaderboard", _MONTHLY)
_BY_CATEGORY = ("category", "modality", "task")

Category = Annotated[
    str | None,
    Query(
        min_length=1, max_length=_LONGEST, examples=["programming"],
        description="what to rank by: a category (programming, roleplay …), a modality (image, audio …), a task, or a "
        "dimension (leaderboard, market_share, trending, fastest …); /api/rankings/categories lists them",
    ),
]  # fmt: skip
ModelId = Annotated[str, Path(description="its id or its canonical slug", examples=["anthropic/claude-sonnet-5"])]


def add_to(app: FastAPI, service: Service) -> None:
    """Register the routes. Those below `/api/models/` must come before the one that takes any path as a model's id."""
    _add_rankings(app, service)
    _add_top(app, service)
    _add_of_a_model(app, service)
    _add_capabilities(app, service)
    _add_providers(app, service)


def _reads(service: Service, tag: str) -> dict[str, Any]:
    return {"tags": [tag], "response_model": None, "dependencies": [Depends(service.reader)]}


# --- rankings


def _add_rankings(app: FastAPI, service: Service) -> None:
    reads = _reads(service, "rankings")

    @app.get("/api/rankings", **reads,
             responses={200: {"model": shapes.Ranking}, **schema.problems(401, 404, 422, 503)})  # fmt: skip
    async def rankings(
        request: Request,
        category: Category = None,
        dimension: Annotated[
            str | None,
            Query(min_length=1, max_length=_LONGEST, examples=["modality"],
                  description="the dimension alone, or which one the category is of"),
        ] = None,
        time_range: Annotated[
            Literal["week", "month"] | None,
            Query(description="week, the default, or month: the last 28 days, of the overall ranking only"),
        ] = None,
        limit: Limit = None,
        offset: Offset = 0,
    ) -> Response:  # fmt: skip
        """Who is used most, overall or in a category, and rankings derived from prices, endpoints and benchmarks; with
        source, date and the citation that OpenRouter asks for.

        Ranks run from 1 without gaps; models that the catalog does not know are kept. A ranking without data has an
        empty `data` and says why in `note`. Without a key at OpenRouter there are no token counts: `source` is then
        `models-order`.
        """
        name = _wanted(category, dimension, time_range)
        of = dimension if category is not None else None

        def read() -> dict[str, Any]:
            return _page(_ranking(service.catalog, name, of), limit, offset)

        return await service.kept(request, read)

    @app.get("/api/rankings/categories", **reads,
             responses={200: {"model": shapes.RankingNames}, **schema.problems(401, 503)})  # fmt: skip
    async def ranking_categories(request: Request) -> Response:
        """What `/api/rankings` can rank by: each dimension and category, how it is made, and whether there is data."""

        def read() -> dict[str, Any]:
            return _all(service.catalog.ranking_categories())

        return await service.kept(request, read)


def _add_top(app: FastAPI, service: Service) -> None:
    @app.get("/api/models/top", **_reads(service, "rankings"),
             responses={200: {"model": shapes.TopModels}, **schema.problems(401, 404, 422, 503)})  # fmt: skip
    async def top(
        request: Request,
        category: Category = None,
        limit: Annotated[int, Query(ge=1, le=2**53)] = 10,
        offset: Offset = 0,
    ) -> Response:
        """The first models of a ranking, each as `/api/models` lists it.

        Only those that the catalog knows: `rank` is that of the whole ranking.
        """
        view, name = service.memory.newest.view, _wanted(category, None, None)

        def read() -> dict[str, Any]:
            return _page(_of_models(_ranking(service.catalog, name, None), view), limit, offset)

        return await service.kept(request, read)


def _wanted(category: str | None, dimension: str | None, time_range: str | None) -> str:
    """The name of the ranking that is asked for; raises `Refusal`."""
    name = category or dimension or _OVERALL[0]
    if category is None and dimension in _BY_CATEGORY:
        detail = (
            f"dimension: by {dimension} there are several rankings; name one of /api/rankings/categories: category=…"
        )
        raise Refusal(Problem(422, detail, parameter="dimension"))
    if time_range == "month" and name not in _OVERALL:
        detail = f"time_range: only the overall ranking (leaderboard) has month, not {name[:60]!r}; it has week."
        raise Refusal(Problem(422, detail, parameter="time_range"))
    if time_range == "week" and name == _MONTHLY:
        detail = f"time_range: {_MONTHLY} is of the last 28 days, month; by week it is the leaderboard."
        raise Refusal(Problem(422, detail, parameter="time_range"))
    return _MONTHLY if time_range == "month" else name


def _ranking(catalog: Catalog, name: str, of: str | None) -> dict[str, Any]:
    """A ranking, empty with a ``note`` where it has no data; raises `NotFound`, and `Refusal` where it is not `of` that
    dimension.
    """
    try:
        found = catalog.ranking(name) | {"note": None}
    except NotFound as why:
        about = next((it for it in catalog.ranking_categories() if it["name"] == name), None)
        if about is None:
            raise
        found = _empty(about, str(why))
    if of not in {None, name, found["dimension"]}:
        detail = f"dimension: {name} is ranked by {found['dimension']}, not by {of!r}."
        raise Refusal(Problem(422, detail, parameter="dimension"))
    return found


def _empty(about: dict[str, Any], why: str) -> dict[str, Any]:
    dimension, category = BY_NAME[about["dimension"]], about["category"]
    return {
        "dimension": dimension.name,
        "category": category,
        "title": dimension.title,
        "category_title": None if category is None else about["title"],
        "source": None,
        "is_derived": dimension.is_derived,
        "is_estimate": False,
        "as_of": None,
        "window": None,
        "made_at": None,
        "citation": None,
        "formula": dimension.formula,
        "unit": dimension.unit,
        "total": 0,
        "facts": {},
        "data": [],
        "failure": about["failure"],
        "note": why,
    }


def _of_models(ranking: dict[str, Any], view: View) -> dict[str, Any]:
    """The ranks of known models, with these; raises `Refusal` where it ranks none."""
    dimension = BY_NAME.get(ranking["dimension"])
    if dimension is not None and dimension.is_of_authors:
        detail = f"category: {dimension.name} ranks authors, not models. GET /api/rankings has it."
        raise Refusal(Problem(422, detail, parameter="category"))
    known = [(line, view.by_id[line["model"]]) for line in ranking["data"] if line["model"] in view.by_id]
    found = [line | {"model": msgspec.Raw(view.begin(entry) + entry.listed)} for line, entry in known]
    return ranking | {"data": found, "total": len(found)}


# --- of one model


def _add_of_a_model(app: FastAPI, service: Service) -> None:
    reads = _reads(service, "models")

    @app.get("/api/models/{id:path}/endpoints", **reads,
             responses={200: {"model": shapes.EndpointList}, **schema.problems(400, 401, 404, 422, 503)})  # fmt: skip
    async def endpoints(
        request: Request,
        id: ModelId,
        as_of: Annotated[
            str | None,
            Query(
                description="what they offered at a day or an instant (ISO 8601, UTC), or so long ago: 30d",
                examples=["2026-11-01"],
            ),
        ] = None,
    ) -> Response:
        """Who serves a model: prices, limits and health of each endpoint, the cheapest prompt first; those that are
        gone come last. Of the past only what was offered then.
        """
        at = None if as_of is None else _instant_of(service, "as_of", as_of)
        if at is not None and at > service.now():
            raise UsageError(f"{instant(at)} is in the future: nothing is known of it yet.")
        found = await service.threads.run(service.catalog.endpoints, id[:_LONGEST], as_of=at)
        return service.answer(request, found if at is None else found | {"as_of": instant(at)})

    @app.get("/api/models/{id:path}/endpoints/history", **reads,
             responses={200: {"model": shapes.EndpointHistory}, **schema.problems(401, 404, 422, 503)})  # fmt: skip
    async def endpoint_history(
        request: Request,
        id: ModelId,
        since: Annotated[
            str | None,
            Query(
                description="health from this day or instant on, or from so long ago: 6h, 2w; without it: 30 days",
                examples=["2026-11-01"],
            ),
        ] = None,
    ) -> Response:
        """What the endpoints of a model offered over time, and how they did: every look of the last days, then by day,
        then by week.
        """
        at = service.now() - timedelta(days=30) if since is None else _instant_of(service, "since", since)
        return service.answer(request, await service.threads.run(service.catalog.endpoint_history, id[:_LONGEST], at))

    @app.get("/api/models/{id:path}/rankings", **reads,
             responses={200: {"model": shapes.Standings}, **schema.problems(401, 404, 503)})  # fmt: skip
    async def model_rankings(request: Request, id: ModelId) -> Response:
        """Where a model stands in all rankings."""
        model_id = _meant(service, id)
        found = await service.threads.run(service.catalog.ranks_of, model_id)
        return service.answer(request, {"id": model_id, **_all(found)})

    @app.get("/api/models/{id:path}/benchmarks", **reads,
             responses={200: {"model": shapes.BenchmarkList}, **schema.problems(401, 404, 503)})  # fmt: skip
    async def model_benchmarks(request: Request, id: ModelId) -> Response:
        """What others measured of a model, by source and metric; several sources may tell of one metric."""
        model_id = _meant(service, id)
        found = await service.threads.run(service.catalog.benchmarks, model_id)
        return service.answer(request, {"id": model_id, **_all(found)})


def _instant_of(service: Service, name: str, value: str) -> datetime:
    """The value of a parameter that is an instant, or how long ago that was; raises `Refusal`."""
    return ago(value, service.now()) or instant_of(name, value)


def _meant(service: Service, name: str) -> str:
    """The id that a name means; a name that is not known stays, for the catalog to say what comes near."""
    entry = service.memory.newest.view.find(name)
    return name[:_LONGEST] if entry is None else entry.id


# --- capabilities and providers


def _add_capabilities(app: FastAPI, service: Service) -> None:
    @app.get("/api/capabilities", **_reads(service, "models"),
             responses={200: {"model": shapes.CapabilityMatrix}, **schema.problems(401, 404, 422, 503)})  # fmt: skip
    async def capabilities(
        request: Request,
        model: Annotated[
            list[Annotated[str, Query(min_length=1, max_length=_LONGEST)]] | None,
            Query(max_length=100, description="only these models; repeat it. Without it: all active ones",
                  examples=[["anthropic/claude-sonnet-5"]]),
        ] = None,
        capability: Annotated[
            list[Annotated[str, Query(min_length=1, max_length=_LONGEST)]] | None,
            Query(max_length=100, description="only these capabilities; repeat it", examples=[["tools", "vision"]]),
        ] = None,
        changes_since: Annotated[
            str | None,
            Query(description="the changes from this day or instant on (ISO 8601, UTC), or from so long ago: 30d, 2w; "
                  "without it: the last ones",
                  examples=["2026-11-01"]),
        ] = None,
        limit: Limit = None,
        offset: Offset = 0,
    ) -> Response:  # fmt: skip
        """The capability matrix: what each model can do (yes, no, unknown), what says so, since when, and what changed.

        `yes` means that some endpoint of the model can. `/api/models?capability=` finds the models that can something.
        """
        since = None if changes_since is None else _instant_of(service, "changes_since", changes_since)
        columns = _columns(capability or ())

        def read() -> dict[str, Any]:
            found = service.catalog.capabilities(model or ())
            if since is not None:
                found["changes"] = service.catalog.capability_changes(since)
            return _page(_narrowed(found, columns, is_of_some=model is not None), limit, offset)

        return await service.kept(request, read)


def _columns(names: Sequence[str]) -> frozenset[str]:
    """The capabilities that are asked for; raises `Refusal` for one that is none."""
    known = [it.name for it in CAPABILITIES]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3)
            hint = f"Did you mean {' or '.join(near)}?" if near else f"There are {', '.join(known)}."
            detail = f"capability: there is no {name[:60]!r}. {hint}"
            raise Refusal(Problem(422, detail, parameter="capability"))
    return frozenset(names or known)


def _narrowed(matrix: dict[str, Any], columns: frozenset[str], *, is_of_some: bool) -> dict[str, Any]:
    """A matrix with these columns, and the changes in what it shows."""
    rows = [
        {"id": row["id"], "cells": {name: cell for name, cell in row["cells"].items() if name in columns}}
        for row in matrix["data"]
    ]
    shown = {row["id"] for row in rows}
    return matrix | {
        "data": rows,
        "capabilities": [it for it in matrix["capabilities"] if it["name"] in columns],
        "changes": [
            it
            for it in matrix["changes"]
            if it["capability"] in columns and (it["model"] in shown or not is_of_some)
        ],
    }  # fmt: skip


def _add_providers(app: FastAPI, service: Service) -> None:
    @app.get("/api/providers", **_reads(service, "models"),
             responses={200: {"model": shapes.ProviderList}, **schema.problems(401, 503)})  # fmt: skip
    async def providers(request: Request) -> Response:
        """Who serves models, by name: where it is, its policies, and how many models it serves."""

        def read() -> dict[str, Any]:
            return _all(service.catalog.providers())

        return await service.kept(request, read)


# --- pages


def _all(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"data": found, "total": len(found)}


def _page(document: dict[str, Any], limit: int | None, offset: int) -> dict[str, Any]:
    """A document with a page of its data; ``total`` stays."""
    end = None if limit is None else offset + limit
    return document | {"data": document["data"][offset:end], "limit": limit, "offset": offset}
