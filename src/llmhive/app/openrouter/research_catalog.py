"""The steps about the catalog itself: families, the capability matrix, providers, endpoints, what keeps no data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

from llmhive.app.openrouter import decode_endpoints
from llmhive.app.openrouter.stage import Ask, Done, Stage, Write
from llmhive.catalog.capability import cells
from llmhive.catalog.endpoint import keyed
from llmhive.catalog.identity import identify
from llmhive.errors import BadAnswer, LLMHiveError, UpstreamError
from llmhive.store import browse, capabilities, endpoints, families, ranked
from llmhive.store.endpoints import Applied, Checked

T = TypeVar("T")
#: Facts name so many; the rest they count.
_NAMED = 20


def _families(_: Stage) -> Write:
    """Who belongs together, by the ids."""

    def write(connection: Any) -> Done:
        ids = [named.id for named in browse.names(connection)]
        changed = families.apply(connection, {model_id: identify(model_id) for model_id in ids})
        return Done({"models": len(ids), "changed": changed}, bool(changed))

    return write


def _capabilities(stage: Stage) -> Write:
    """What each active model can do, cell by cell."""

    def write(connection: Any) -> Done:
        caching = ranked.implicit_caching(connection)
        models = browse.active_models(connection)
        found = {it.id: cells(it, implicit_caching=caching.get(it.id)) for it in models}
        applied = capabilities.apply(connection, found, at=stage.now(), run_id=stage.run_id)
        # that something is known which was not is no gain and no loss
        gained_or_lost = [it for it in applied.changes if it.before.state != "unknown"]
        named = [
            {"model": it.model_id, "capability": it.capability, "before": it.before.state, "after": it.after.state}
            for it in gained_or_lost[:_NAMED]
        ]
        facts = {
            "models": applied.models,
            "cells": applied.cells,
            "changes": len(gained_or_lost),
            "learned": len(applied.changes) - len(gained_or_lost),
            "changes_named": named,
        }
        return Done(facts, bool(applied.cells))

    return write


def _providers(stage: Stage) -> Write:
    """Who serves models."""
    found = decode_endpoints.providers(stage.source.get("/providers", wanted="the providers").body)
    if not found.values:
        raise BadAnswer("OpenRouter lists no provider at all: the last list stays.")

    def write(connection: Any) -> Done:
        changed = endpoints.keep_providers(
            connection, found.values, at=stage.now(), is_whole=not found.unreadable
        )  # fmt: skip
        facts = {"providers": len(found.values), "changed": changed, "unreadable": len(found.unreadable)}
        return Done(facts, bool(changed))

    return write


def _zdr(stage: Stage) -> tuple[frozenset[tuple[str, str]] | None, str | None]:
    """Which endpoints keep no data (zero data retention), by model and tag; or why that is not known."""
    try:
        found = decode_endpoints.zdr(stage.source.get("/endpoints/zdr", wanted="the endpoints without retention").body)
    except UpstreamError as error:
        return None, str(error)
    with stage.database.read() as connection:
        known = {named.id for named in browse.names(connection)}
    fitting = frozenset((model_id, tag) for model_id, tag in found.values if model_id in known)
    if found.unreadable or 2 * len(fitting) < max(len(found.values), 1):
        why = (
            f"OpenRouter's list has {len(found.values)} endpoints, of which {len(fitting)} are of models we know, and "
            f"{len(found.unreadable)} that cannot be read: the last flags stay."
        )
        return None, why
    return fitting, None


def _endpoints(stage: Stage) -> Write:
    """What each provider offers and how it does: of all active models, or of those that changed and the popular."""
    wanted = _wanted(stage)
    zdr, zdr_error = _zdr(stage) if stage.kind == "research" else (None, None)
    whole, done = Applied(), 0
    failures: list[dict[str, str]] = []
    for batch in _batches(stage.source.endpoints(wanted), stage.policy.batch_size):
        checks = [_checked(model_id, answer, stage.now()) for model_id, answer in batch]
        with stage.writing() as connection:
            applied = endpoints.apply(connection, checks, run_id=stage.run_id, zdr=zdr)
        whole += applied
        failures += [{"model": it.model_id, "error": it.error or ""} for it in checks if it.offers is None]
        failures += [{"model": model_id, "error": endpoints.EMPTIED} for model_id in applied.doubted]
        done += len(batch)
        stage.progress(done, len(wanted))

    def write(connection: Any) -> Done:
        facts = _told(whole, failures)
        facts["of_models_gone"] = endpoints.end_of_inactive(connection, at=stage.now(), run_id=stage.run_id)
        if zdr is not None:
            # those that were not asked for in this run as well
            marked = endpoints.mark_zdr(connection, zdr, at=stage.now(), run_id=stage.run_id)
            facts |= {"zdr_listed": len(zdr), "zdr_changed": marked}
        if stage.kind == "research":
            facts["summed_up"] = endpoints.thin(
                connection, now=stage.now(), sample_days=stage.policy.sample_days, day_days=stage.policy.day_days
            )
        if wanted and facts["failed"] * 2 > len(wanted):
            error = f"{facts['failed']} of {len(wanted)} models got no answer: {failures[0]['error']}"
            return Done(facts, whole.is_changed, "failed", error)
        # what an earlier run of the day had written when it died is news as well
        counts = facts["of_models_gone"], facts.get("zdr_changed")
        is_changed = whole.is_changed or any(counts) or stage.since is not None
        if zdr_error is not None:
            return Done(facts, is_changed, "failed", f"which keep no data is not known: {zdr_error}")
        return Done(facts, is_changed)

    return write


def _wanted(stage: Stage) -> list[str]:
    """The models to ask for."""
    with stage.database.read() as connection:
        active = {model.id for model in browse.active_models(connection)}
        if stage.kind == "research":
            done = endpoints.checked_since(connection, stage.since) if stage.since is not None else set()
            return sorted(active - done)
        popular = ranked.popular(connection, stage.policy.popular)
        checked = endpoints.ever_checked(connection)
    never = sorted(active - checked.keys())
    unanswered = sorted(model_id for model_id in active & checked.keys() if not checked[model_id])
    first = dict.fromkeys((*sorted(stage.changed & checked.keys()), *popular, *never, *unanswered))
    # the research sync asks for all: a regular one stays quick
    return [model_id for model_id in first if model_id in active][: stage.policy.batch_size]


def _checked(model_id: str, answer: bytes | LLMHiveError, at: datetime) -> Checked:
    """One model's answer, read; what cannot be read changes nothing."""
    if isinstance(answer, LLMHiveError):
        return Checked(model_id, at, None, str(answer))
    try:
        found = decode_endpoints.endpoints(answer, model_id)
    except BadAnswer as error:
        return Checked(model_id, at, None, str(error))
    return Checked(model_id, at, keyed(found.values), None, is_whole=not found.unreadable)


def _told(whole: Applied, failures: list[dict[str, str]]) -> dict[str, Any]:
    """What the batches did, in all."""
    names = ("models", "failed", "endpoints", "added", "changed", "returned", "gone")
    facts: dict[str, Any] = {name: getattr(whole, name) for name in names}
    bad = [{"model": model_id, "tag": tag, "why": why} for model_id, tag, why in whole.gone_bad]
    return facts | {"failed_named": failures[:_NAMED], "gone_bad": len(bad), "gone_bad_named": bad[:_NAMED]}


def _batches(items: Iterator[T], size: int) -> Iterator[list[T]]:
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


STEPS: Mapping[str, Ask] = {
    "families": _families,
    "capabilities": _capabilities,
    "providers": _providers,
    "endpoints": _endpoints,
}
