"""What the research sync brought, for reading: rankings, endpoints, families, capabilities, providers.

`library.Catalog` has all of it; it stands here since it reads other tables than the model list.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from llmhive.catalog.capability import CAPABILITIES
from llmhive.catalog.dimension import BY_NAME, CATEGORIES, DIMENSIONS, MODALITIES
from llmhive.errors import NotFound
from llmhive.store import benchmarks, browse, capabilities, endpoints, families, ranked, rankings, shares
from llmhive.store.database import Database

_EMPTY = "The catalog is empty. Run `llmhive sync` first."
_FIRST = "leaderboard"
#: Dimensions that are ranked by category.
_BY_CATEGORY = ("category", "modality", "task")
#: The steps of a research sync that ask by category, and of which dimension; those of modalities by tool calls as well.
_STEPS = {"categories": "category", "modalities": "modality"}
#: An error names so many rankings, unless it is about those of one dimension.
_NAMED = 12
_Key = tuple[str, str | None]


class Market:
    """Reads of a database; a missing one raises `NotFound` or reads as empty."""

    _database: Database

    # --- rankings

    def ranking(self, name: str | None = None, limit: int | None = None) -> dict[str, Any]:
        """A ranking as it is served: of a dimension (``leaderboard``, ``fastest`` …), a category (``programming``), a
        modality (``image``) or a task (``code:debugging``); None: the leaderboard.

        ``data`` are ranks from 1: ``rank, model`` (its id; None where the catalog does not know the ``slug``),
        ``tokens`` (at least so many where ``is_lower_bound``: it was named on ``days_counted`` of the days only),
        ``share`` (of all tokens of the window, a decimal string), ``change`` (ranks gained since the week before),
        ``growth, trend`` (tokens of the last four weeks), ``score`` (of derived ones, in ``unit``). Beside it
        ``source, as_of, window, citation, formula, is_derived, is_estimate``. Raises `NotFound`: there is no such
        ranking, or nobody is ranked by it yet.
        """
        if not self._database.require_schema():
            raise NotFound(_EMPTY)
        with self._database.read() as connection:
            known = _sets(connection)
            key = _key(name or _FIRST, known)
            if key is None:
                raise NotFound(_no_such(name or _FIRST, known))
            found = rankings.published(connection, *key, limit)
            if found is None:
                raise NotFound(_no_data(key, known, _no_figures(connection)))
        return found | {"failure": known[key]["failure"]}

    def ranking_categories(self) -> list[dict[str, Any]]:
        """What can be ranked by, in order: each dimension, and each of its categories, with what is known of it.

        ``is_ranked`` tells whether there are ranks; ``failure`` why the last try was not published; ``note`` that
        OpenRouter had no figures when it was asked.
        """
        known: dict[_Key, dict[str, Any]] = {}
        unknown_to_them: dict[_Key, str] = {}
        if self._database.require_schema():
            with self._database.read() as connection:
                known = _sets(connection)
                unknown_to_them = _no_figures(connection)
        found = []
        for dimension in DIMENSIONS:
            documented = {"category": CATEGORIES, "modality": MODALITIES}.get(dimension.name, {})
            seen = [category for name, category in known if name == dimension.name and category is not None]
            names = [*documented, *sorted(set(seen) - set(documented))] if dimension.name in _BY_CATEGORY else [None]
            for category in names:
                it = known.get((dimension.name, category), {})
                title = None if category is None else it.get("category_title") or documented.get(category, category)
                found.append({
                    "name": category or dimension.name,
                    "dimension": dimension.name,
                    "category": category,
                    "title": title or dimension.title,
                    "is_ranked": bool(it.get("total")),
                    "total": it.get("total", 0),
                    "source": it.get("source") if it.get("total") else None,
                    "as_of": it.get("as_of"),
                    "window": it.get("window"),
                    "is_derived": dimension.is_derived,
                    "cadence": dimension.cadence,
                    "formula": dimension.formula,
                    "failure": it.get("failure"),
                    "note": None if it.get("total") else unknown_to_them.get((dimension.name, category)),
                })  # fmt: skip
        return found

    def ranks_of(self, name: str) -> list[dict[str, Any]]:
        """Where a model stands in all rankings; raises `NotFound` for an unknown model."""
        with self._named(name) as (connection, model_id):
            return rankings.ranks_of(connection, model_id)

    # --- endpoints and providers

    def endpoints(self, name: str, *, as_of: datetime | None = None) -> dict[str, Any]:
        """The endpoints of a model, the cheapest prompt first, those that are gone last: ``data``, and when and with
        what success they were asked for (``checked_at, succeeded_at, error``; None: never yet).

        With `as_of` what they offered at an instant, without their health. Raises `NotFound` for an unknown model.
        """
        with self._named(name) as (connection, model_id):
            found = (
                endpoints.of(connection, model_id) if as_of is None else endpoints.as_of(connection, model_id, as_of)
            )
            check = endpoints.check_of(connection, model_id)
        return {"id": model_id, "data": found, "total": len(found), **check}

    def endpoint_history(self, name: str, since: datetime) -> dict[str, Any]:
        """What the endpoints of a model offered over time (``versions``: each with ``from`` and ``to``), and how they
        did since an instant (``health``: a ``span`` of sample, day or week, ``samples`` it sums up, ``status`` the
        worst, ``uptime`` in percent, ``latency_p50`` in milliseconds, ``throughput_p50`` in tokens a second).

        Raises `NotFound` for an unknown model.
        """
        with self._named(name) as (connection, model_id):
            versions = endpoints.history_of(connection, model_id)
            health = endpoints.health_of(connection, model_id, since)
        return {"id": model_id, "versions": versions, "health": health}

    def rank_history(self, name: str, ranking: str | None = None) -> list[dict[str, Any]]:
        """Where a model stood in a ranking (None: the leaderboard) each time one was published, the oldest first."""
        with self._named(name) as (connection, model_id):
            return rankings.history_of(connection, *_meant(connection, ranking or _FIRST), model_id)

    def share_history(self, name: str | None = None, top: int = 8) -> dict[str, Any]:
        """The first models of a ranking (None: the leaderboard), and where they stood over time, the oldest first.

        ``dates`` are the last days of the windows (of a ranking without one: the days it was published); ``models``
        have ``id, slug`` (of authors: no id), and for each date ``share`` (a decimal string) and ``rank``, None where
        it was not ranked, or has no share. A date is what was published of it last. Of the weeks before the first one
        that was published, shares are by OpenRouter's token counts where the ranking is made of these. Raises
        `NotFound` as `ranking` does.
        """
        if not self._database.require_schema():
            raise NotFound(_EMPTY)
        with self._database.read() as connection:
            key = _meant(connection, name or _FIRST)
            found = shares.history_of(connection, *key, top)
            if found is None:
                raise NotFound(_no_data(key, _sets(connection), _no_figures(connection)))
        return {"name": name or _FIRST} | found

    def providers(self) -> list[dict[str, Any]]:
        """Who serves models, by name: what OpenRouter tells of each, and of how many models it has active endpoints."""
        if not self._database.require_schema():
            return []
        with self._database.read() as connection:
            return endpoints.providers(connection)

    # --- capabilities, families, benchmarks

    def capabilities(self, names: Sequence[str] = ()) -> dict[str, Any]:
        """The capability matrix of all active models, or of some: ``data`` with ``cells`` by capability (``state`` yes,
        no or unknown; ``provenance``; ``since``), ``capabilities`` with their titles, and ``changes``: what changed
        last time. Raises `NotFound` for an unknown model.
        """
        titles = [{"name": it.name, "title": it.title} for it in CAPABILITIES]
        if not self._database.require_schema():
            return {"data": [], "total": 0, "capabilities": titles, "changes": []}
        with self._database.read() as connection:
            wanted = [browse.meant(connection, name) for name in names] or None
            found = capabilities.matrix(connection, model_ids=wanted)
            if wanted is None:
                active = {row["id"] for row in browse.rows(connection, active=True)}
                found = [it for it in found if it["id"] in active]
            changes = capabilities.last_changes(connection)
        return {"data": found, "total": len(found), "capabilities": titles, "changes": changes}

    def capability_changes(self, since: datetime, until: datetime | None = None) -> list[dict[str, Any]]:
        """What models gained and lost, cell by cell, the oldest first."""
        if not self._database.require_schema():
            return []
        with self._database.read() as connection:
            return capabilities.changes(connection, since, until)

    def families(self) -> list[dict[str, Any]]:
        """What the ids of all models say, by id: ``family`` (author/line), ``generation, size, edition, release``."""
        if not self._database.require_schema():
            return []
        with self._database.read() as connection:
            return families.all_of(connection)

    def benchmarks(self, name: str) -> list[dict[str, Any]]:
        """What others measured of a model; raises `NotFound` for an unknown model."""
        with self._named(name) as (connection, model_id):
            slugs = browse.slugs_of(connection, model_id)
            return benchmarks.of(connection, slugs)

    def _named(self, name: str) -> _Named:
        if not self._database.require_schema():
            raise NotFound(_EMPTY)
        return _Named(self._database, name)


class _Named:
    """A connection, and the id of the model that a name means."""

    def __init__(self, database: Database, name: str) -> None:
        self._reading, self._name = database.read(), name

    def __enter__(self) -> tuple[Any, str]:
        connection = self._reading.__enter__()
        try:
            return connection, browse.meant(connection, self._name)
        except BaseException as error:
            self._reading.__exit__(type(error), error, error.__traceback__)
            raise

    def __exit__(self, *exit_: Any) -> None:
        self._reading.__exit__(*exit_)


def _sets(connection: Any) -> dict[_Key, dict[str, Any]]:
    return {(it["dimension"], it["category"]): it for it in rankings.catalog_of_sets(connection)}


def _meant(connection: Any, name: str) -> _Key:
    """The dimension and category that a name means; raises `NotFound`."""
    # nearly all names are known without looking
    if (key := _key(name, ())) is not None:
        return key
    known = _sets(connection)
    if (key := _key(name, known)) is None:
        raise NotFound(_no_such(name, known))
    return key


def _key(name: str, known: Iterable[_Key]) -> _Key | None:
    """The dimension and category that a name means; None where there is none."""
    if name in BY_NAME and name not in _BY_CATEGORY:
        return name, None
    if name in CATEGORIES:
        return "category", name
    if name in MODALITIES:
        return "modality", name
    return next(((dimension, category) for dimension, category in known if category == name), None)


def _no_such(name: str, known: Iterable[_Key]) -> str:
    """Why there is no ranking of that name; it names those there are, for the command and over HTTP alike."""
    by_category: dict[str, list[str]] = {"category": [*CATEGORIES], "modality": [*MODALITIES], "task": []}
    for dimension, category in known:
        if category is not None and category not in by_category.setdefault(dimension, []):
            by_category[dimension].append(category)
    if name in by_category:
        names = ", ".join(by_category[name]) or "none yet; a research sync with a key in OPENROUTER_API_KEY asks"
        return f"There is no ranking by {name} alone. Known are: {names}."
    single = [it.name for it in DIMENSIONS if it.name not in _BY_CATEGORY]
    every = list(dict.fromkeys((*single, *(it for names in by_category.values() for it in names))))
    if near := difflib.get_close_matches(name, every, n=3):
        return f"There is no ranking {name!r}. Did you mean {' or '.join(near)}?"
    return f"There is no ranking {name!r}. Known are: {', '.join(every[:_NAMED])} and {len(every) - _NAMED} more."


def _no_figures(connection: Any) -> dict[_Key, str]:
    """What OpenRouter had no figures of when it was last asked, in words."""
    found: dict[_Key, str] = {}
    for step, dimension in _STEPS.items():
        asked = ranked.without_figures(connection, step)
        if asked is None:
            continue
        when = f"{asked.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        for name in asked.names:
            key = (name, None) if name in BY_NAME else (dimension, name)
            found[key] = f"OpenRouter had no figures by {name} when it was asked ({when})."
    return found


def _no_data(key: _Key, known: Mapping[_Key, Any], unknown_to_them: Mapping[_Key, str]) -> str:
    dimension, category = key
    what = category or dimension
    failure = known.get(key, {}).get("failure")
    if failure is not None:
        return f"There is no good ranking by {what} yet; the last one was not published: {failure['error']}."
    if key in unknown_to_them:
        return unknown_to_them[key]
    how = ", with a key in OPENROUTER_API_KEY" if BY_NAME[dimension].needs_key else ""
    return (
        f"Nobody is ranked by {what} yet: there are no figures. A research sync asks for them{how} "
        "(`llmhive sync --research`, POST /api/openrouter/sync/research)."
    )
