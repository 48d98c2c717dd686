"""Endpoints: what each provider offers of each model, since when, and how it fares; and the providers.

`endpoint` is what was seen last, with columns for what people filter on; `endpoint_version` what was offered when (its
open row is what stands, and began at ``endpoint.since``); `endpoint_check` when each model was asked for. Reading them
is for `offers`, the series of their health for `health`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from llmhive.catalog.endpoint import Health, Offer, Provider, Span, gone_bad, sample, to_document
from llmhive.store.health import health_of, thin
from llmhive.store.offers import as_of, check_of, checked_since, ever_checked, history_of, of, providers
from llmhive.store.tables import endpoint, endpoint_check, endpoint_health, endpoint_version, model_catalog, provider

__all__ = [
    "EMPTIED", "Applied", "Checked", "apply", "as_of", "check_of", "checked_since", "end_of_inactive", "ever_checked",
    "health_of", "history_of", "keep_providers", "mark_zdr", "of", "providers", "thin",
]  # fmt: skip

#: Of a model that has none any more, the first time: an answer that is wrong for all models must wipe nothing.
EMPTIED = "OpenRouter lists no endpoint for it any more; believed when it says so again"

_HEALTH = tuple(f.name for f in fields(Health))
_SPAN = tuple(f.name for f in fields(Span))
_CHECK = endpoint_check.c
_STORED = (
    sa.select(
        _CHECK.model_id.label("of"), _CHECK.checked_at, _CHECK.succeeded_at, _CHECK.failures, _CHECK.error,
        *(column for column in endpoint.c if column.name not in {"model_id", "tag", "provider_name", "first_seen_at"}),
    )
    .select_from(endpoint_check.outerjoin(endpoint, endpoint.c.model_id == _CHECK.model_id))
    .where(_CHECK.model_id.in_(sa.bindparam("ids", expanding=True)))
)  # fmt: skip
_KEEP_CHECK = endpoint_check.update().where(_CHECK.model_id == sa.bindparam("of"))
_KEEP = endpoint.update().where(endpoint.c.id == sa.bindparam("of"))
#: Ends or amends the version that stands.
_STEP = endpoint_version.update().where(
    endpoint_version.c.endpoint_id == sa.bindparam("of"), endpoint_version.c.valid_to.is_(None)
)
_INSERT = endpoint.insert().returning(endpoint.c.id, endpoint.c.model_id, endpoint.c.key)


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of asking for the endpoints of one model."""

    model_id: str
    at: datetime  #: when the answer, or its failure, was had
    #: by key (`keyed`); empty: it has none, believed of one that had some when it is told twice; None: no answer
    offers: Mapping[str, Offer] | None
    error: str | None = None  #: why there was no answer
    is_whole: bool = True  #: False: some of the offers could not be read, so that none that is missing counts as gone


@dataclass(frozen=True, slots=True)
class Applied:
    """What some checks came to; the counts are of endpoints but for the first three."""

    models: int = 0  #: answered
    failed: int = 0  #: models that were not, the doubted ones included
    ignored: int = 0  #: checks older than what is stored
    endpoints: int = 0  #: seen
    added: int = 0
    changed: int = 0  #: offer something else, or are flagged otherwise, than before
    returned: int = 0  #: active again, changed or not
    gone: int = 0
    versions: int = 0  #: written; 0 where the same is offered again
    doubted: tuple[str, ...] = ()  #: ids of models that have no endpoint any more, which is not believed yet
    gone_bad: tuple[tuple[str, str, str], ...] = ()  #: model id, tag, reason: healthy the time before, now not
    is_changed: bool = False  #: whether readers see anything else than before, but for the times of the checks

    def __add__(self, other: Applied) -> Applied:
        """Both together."""
        both = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(Applied)}
        return Applied(**both | {"is_changed": self.is_changed or other.is_changed})


def apply(
    connection: sa.Connection, checks: Sequence[Checked], *, run_id: int, zdr: frozenset[tuple[str, str]] | None
) -> Applied:
    """Take in what was found, each model at most once; raises `ValueError` where one is named twice.

    A check that is older than the model's last is ignored, and so is the same one again. `zdr` names the (model id,
    tag) pairs that keep no data; None leaves the flags as they are, and those of new endpoints unknown.
    """
    ids = [check.model_id for check in checks]
    if len(set(ids)) < len(ids):
        raise ValueError("a model is named twice among the checks")
    stored = _stored(connection, ids)
    writes = _Writes(run_id, zdr)
    for check in checks:
        writes.take(check, stored.get(check.model_id))
    writes.write(connection)
    return Applied(
        **writes.counts, doubted=tuple(writes.doubted), gone_bad=tuple(writes.gone_bad), is_changed=writes.is_changed
    )


@dataclass(slots=True)
class _Known:
    """What is stored of a model."""

    checked_at: datetime
    succeeded_at: datetime | None
    failures: int
    error: str | None
    endpoints: dict[str, Any] = field(default_factory=dict)  #: key → row


def _stored(connection: sa.Connection, ids: Sequence[str]) -> dict[str, _Known]:
    found: dict[str, _Known] = {}
    for row in connection.execute(_STORED, {"ids": ids}) if ids else ():
        known = found.setdefault(row.of, _Known(row.checked_at, row.succeeded_at, row.failures, row.error))
        if row.id is not None:
            known.endpoints[row.key] = row
    return found


_NO_COUNTS = {"doubted", "gone_bad", "is_changed"}


class _Writes:
    """Collects rows, so that each statement is sent once for all of a batch."""

    def __init__(self, run_id: int, zdr: frozenset[tuple[str, str]] | None) -> None:
        self.counts = {f.name: 0 for f in fields(Applied) if f.name not in _NO_COUNTS}
        self.doubted: list[str] = []
        self.gone_bad: list[tuple[str, str, str]] = []
        self.is_changed = False
        self._run_id, self._zdr = run_id, zdr
        self._versions = _Versions(run_id)
        self._new_checks: list[dict[str, Any]] = []
        self._checks: list[dict[str, Any]] = []
        self._new: dict[tuple[str, str], dict[str, Any]] = {}
        self._kept: list[dict[str, Any]] = []
        self._gone: list[dict[str, Any]] = []
        self._samples: list[dict[str, Any]] = []

    def take(self, check: Checked, known: _Known | None) -> None:
        """Decide what a check writes."""
        if known is not None and _is_old(check, known):
            self.counts["ignored"] += 1
            return
        if known is not None and known.error != EMPTIED and _is_emptied(check, known):
            self.doubted.append(check.model_id)
            check = replace(check, offers=None, error=EMPTIED)
        self._take_check(check, known)
        if check.offers is None:
            self.counts["failed"] += 1
            return
        self.counts["models"] += 1
        self.counts["endpoints"] += len(check.offers)
        stored = known.endpoints if known else {}
        for key, offer in check.offers.items():
            if (row := stored.get(key)) is None:
                self._add(check, key, offer)
            else:
                self._keep(check, row, offer)
        for key, row in stored.items():
            if key not in check.offers and row.is_active and check.is_whole:
                since = self._versions.step(row, check.at, is_listed=False)
                self._gone.append({"of": row.id, "is_active": False, "since": since})
                self.counts["gone"] += 1
                self.is_changed = True

    def _take_check(self, check: Checked, known: _Known | None) -> None:
        row: dict[str, Any] = {"checked_at": check.at, "run_id": self._run_id}
        if check.offers is not None:
            row |= {"succeeded_at": check.at, "failures": 0, "error": None}
        else:
            row |= {
                "succeeded_at": known.succeeded_at if known else None,
                "failures": 1 + (known.failures if known else 0),
                "error": check.error,
            }
        if known is None:
            self._new_checks.append(row | {"model_id": check.model_id})
        else:
            self._checks.append(row | {"of": check.model_id})

    def _flag(self, offer: Offer, before: bool | None) -> bool | None:
        it = offer.endpoint
        return before if self._zdr is None else (it.model_id, it.tag) in self._zdr

    def _add(self, check: Checked, key: str, offer: Offer) -> None:
        self._new[check.model_id, key] = _columns(offer, check.at) | {
            "model_id": check.model_id, "key": key, "tag": offer.endpoint.tag, "is_active": True,
            "is_zdr": self._flag(offer, None), "since": check.at, "first_seen_at": check.at,
        }  # fmt: skip
        self.counts["added"] += 1
        self.is_changed = True

    def _keep(self, check: Checked, row: Any, offer: Offer) -> None:
        columns, is_zdr, since = _columns(offer, check.at), self._flag(offer, row.is_zdr), row.since
        before = Health(*(getattr(row, name) for name in _HEALTH))
        is_other = row.document != columns["document"] or row.is_zdr != is_zdr
        if is_other or not row.is_active:
            since = self._versions.step(row, check.at, is_listed=True, is_zdr=is_zdr, document=columns["document"])
            self.counts["changed" if row.is_active else "returned"] += 1
            self.is_changed = True
        elif row.prompt_price != columns["prompt_price"] or row.completion_price != columns["completion_price"]:
            # a time window opened or closed
            self.is_changed = True
        if before != offer.health:
            self.is_changed = True
        if row.is_active and (reason := gone_bad(before, offer.health)) is not None:
            self.gone_bad.append((check.model_id, offer.endpoint.tag, reason))
        self._kept.append(columns | {"of": row.id, "is_active": True, "is_zdr": is_zdr, "since": since})
        self._samples.append(_sample(row.id, columns))

    def write(self, connection: sa.Connection) -> None:
        """Send everything."""
        for row in connection.execute(_INSERT, list(self._new.values())).all() if self._new else ():
            columns = self._new[row.model_id, row.key]
            self._versions.begin(row.id, columns)
            self._samples.append(_sample(row.id, columns))
        _send(connection, endpoint_check.insert(), self._new_checks)
        _send(connection, _KEEP_CHECK, self._checks)
        _send(connection, _KEEP, self._kept)
        _send(connection, _KEEP, self._gone)
        self.counts["versions"] = self._versions.write(connection)
        _send(connection, endpoint_health.insert(), self._samples)


def _is_old(check: Checked, known: _Known) -> bool:
    """Whether what is stored is as new; only an answer replaces a failure of the same instant."""
    if check.at != known.checked_at:
        return check.at < known.checked_at
    is_same_doubt = known.error == EMPTIED and _is_emptied(check, known)
    return check.offers is None or known.succeeded_at == known.checked_at or is_same_doubt


def _is_emptied(check: Checked, known: _Known) -> bool:
    """Whether a model that had endpoints is said to have none."""
    is_empty = check.offers is not None and not check.offers and check.is_whole
    return is_empty and any(row.is_active for row in known.endpoints.values())


def _columns(offer: Offer, at: datetime) -> dict[str, Any]:
    it = offer.endpoint
    prompt, completion = it.headline(at)
    return {
        "provider_name": it.provider_name,
        "last_seen_at": at,
        "context_length": it.context_length,
        "max_completion_tokens": it.max_completion_tokens,
        "quantization": it.quantization,
        "prompt_price": prompt,
        "completion_price": completion,
        "discount": it.discount,
        "document": to_document(it),
        **{name: getattr(offer.health, name) for name in _HEALTH},
        "health_at": at,
    }


def _sample(endpoint_id: int, columns: Mapping[str, Any]) -> dict[str, Any]:
    span = sample(Health(*(columns[name] for name in _HEALTH)))
    taken = {"endpoint_id": endpoint_id, "span": "sample", "at": columns["health_at"]}
    return taken | {name: getattr(span, name) for name in _SPAN}


def _send(connection: sa.Connection, statement: sa.Executable, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(statement, rows)


class _Versions:
    """The steps of `endpoint_version` that a transaction makes."""

    def __init__(self, run_id: int) -> None:
        self._run_id = run_id
        self._amended: list[dict[str, Any]] = []
        self._closed: list[dict[str, Any]] = []
        self._begun: list[dict[str, Any]] = []

    def begin(self, endpoint_id: int, row: Mapping[str, Any]) -> None:
        """The first version of a new endpoint, from its columns."""
        self._begun.append(
            {
                "endpoint_id": endpoint_id, "valid_from": row["since"], "is_listed": True, "is_zdr": row["is_zdr"],
                "document": row["document"], "run_id": self._run_id,
            }
        )  # fmt: skip

    def step(self, row: Any, at: datetime, **changes: Any) -> datetime:
        """Another version of a stored endpoint from `at` on; what is not named stays. Returns when it begins.

        What would have stood for no time at all is amended: steps of one run may share an instant.
        """
        becomes = {"is_listed": row.is_active, "is_zdr": row.is_zdr, "document": row.document} | changes
        since: datetime = max(at, row.since)
        if since == row.since:
            self._amended.append(becomes | {"of": row.id, "run_id": self._run_id})
        else:
            self._closed.append({"of": row.id, "valid_to": since})
            self._begun.append(becomes | {"endpoint_id": row.id, "valid_from": since, "run_id": self._run_id})
        return since

    def write(self, connection: sa.Connection) -> int:
        """Send them; returns how many there were."""
        _send(connection, _STEP, self._amended)
        _send(connection, _STEP, self._closed)
        _send(connection, endpoint_version.insert(), self._begun)
        return len(self._amended) + len(self._begun)


def mark_zdr(connection: sa.Connection, pairs: Iterable[tuple[str, str]], *, at: datetime, run_id: int) -> int:
    """Flag all active endpoints: those of the (model id, tag) pairs keep no data, the others do; returns how many are
    flagged otherwise than before.
    """
    named = frozenset(pairs)
    it = endpoint.c
    columns = (it.id, it.model_id, it.tag, it.is_active, it.is_zdr, it.since, it.document)
    versions, flagged = _Versions(run_id), []
    for row in connection.execute(sa.select(*columns).where(it.is_active)):
        is_zdr = (row.model_id, row.tag) in named
        if row.is_zdr != is_zdr:
            since = versions.step(row, at, is_zdr=is_zdr)
            flagged.append({"of": row.id, "is_zdr": is_zdr, "since": since})
    _send(connection, _KEEP, flagged)
    versions.write(connection)
    return len(flagged)


def end_of_inactive(connection: sa.Connection, *, at: datetime, run_id: int) -> int:
    """End the offers of models that are not active (any more): nobody asks for them. Returns how many those were.

    A model that comes back has them again as soon as it is asked for.
    """
    it, model = endpoint.c, model_catalog.c
    is_offered = sa.exists().where(model.id == it.model_id, model.is_active)
    columns = (it.id, it.is_active, it.is_zdr, it.since, it.document)
    versions, gone = _Versions(run_id), []
    for row in connection.execute(sa.select(*columns).where(it.is_active, ~is_offered)):
        since = versions.step(row, at, is_listed=False)
        gone.append({"of": row.id, "is_active": False, "since": since})
    _send(connection, _KEEP, gone)
    versions.write(connection)
    return len(gone)


def keep_providers(
    connection: sa.Connection, providers: Sequence[Provider], *, at: datetime, is_whole: bool = True
) -> int:
    """Keep what is known of providers; one that a whole list names no longer is inactive. Returns how many are new or
    otherwise.

    An empty list says nothing: there always are some.
    """
    if not providers:
        return 0
    stored = {row.slug: row for row in connection.execute(sa.select(provider))}
    new, kept, changes = [], [], 0
    for it in providers:
        row, before = asdict(it) | {"is_active": True}, stored.pop(it.slug, None)
        if before is None:
            new.append(row | {"first_seen_at": at, "last_seen_at": at})
            continue
        places = before.datacenters
        was = before._asdict() | {"datacenters": None if places is None else tuple(places)}
        changes += any(was[name] != value for name, value in row.items())
        kept.append(row | {"of": it.slug, "last_seen_at": max(at, before.last_seen_at)})
    gone = [{"of": slug, "is_active": False} for slug, row in stored.items() if row.is_active and is_whole]
    keep = provider.update().where(provider.c.slug == sa.bindparam("of"))
    _send(connection, provider.insert(), new)
    _send(connection, keep, kept)
    _send(connection, keep, gone)
    return len(new) + changes + len(gone)
