"""How the catalog is looked after, for reading: what the gate found and holds back, and what became of alerts.

`library.Catalog` has all of it.
"""

from __future__ import annotations

from typing import Any

from llmhive.catalog.hold import value_of
from llmhive.catalog.model import instant
from llmhive.errors import NotFound
from llmhive.store import alerts, browse, runs
from llmhive.store.database import Database

_EMPTY = "The catalog is empty. Run `llmhive sync` first."


class Operations:
    """Reads of a database; a missing one reads as empty."""

    _database: Database

    def findings(self, model: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """What the gate found of a model, or of everything (None), the newest run first: ``run_id``, ``at`` (when the
        run began), ``rule``, ``outcome`` (held, released, accepted, flagged), ``model_id`` (None: the run as a whole),
        ``field``, ``reason``, ``evidence``. Raises `NotFound` for an unknown model.
        """
        if not self._database.require_schema():
            if model is not None:
                raise NotFound(_EMPTY)
            return []
        with self._database.read() as connection:
            model_id = None if model is None else browse.meant(connection, model)
            return runs.findings(connection, limit, model_id=model_id)

    def held(self) -> list[dict[str, Any]]:
        """The values that the gate holds back now, by id and field: ``id, field``, what is ``believed`` and what is
        ``served`` instead, ``since`` when, the ``rule``, and the ``reason`` with the ``run_id`` of the run that gave it
        last (None: it is not known any more).
        """
        if not self._database.require_schema():
            return []
        with self._database.read() as connection:
            models = browse.held(connection)
            reasons = runs.why_held(connection, [it.id for it in models])
        found = []
        for it in models:
            for field, held in sorted(it.held.items()):
                reason, run_id = reasons.get((it.id, field), (None, None))
                believed = {"id": it.id, "field": field, "believed": value_of(it.model, field)}
                found.append(believed | held | {"reason": reason, "run_id": run_id})
        return found

    def alert_deliveries(self, limit: int = 50) -> list[dict[str, Any]]:
        """What became of the messages to the channels of ``ALERT_URLS``, the newest first.

        ``channel`` is the kind of channel, with the host of a web address, never the secret URL; ``state`` pending,
        delivered or given up; ``attempts``, and the ``error`` of the last one; ``created_at``, ``delivered_at``, and
        ``due_at``, when the next attempt is made; ``run_id``; ``told``: the ``kind`` and ``model_id`` of each alert.
        """
        if not self._database.require_schema():
            return []
        with self._database.read() as connection:
            deliveries = alerts.recent(connection, limit)
            told = alerts.told_by(connection, {it.run_id for it in deliveries})
        return [
            {
                "run_id": it.run_id,
                "channel": it.label,
                "state": it.state,
                "attempts": it.attempts,
                "error": it.error,
                "created_at": instant(it.created_at),
                "delivered_at": None if it.delivered_at is None else instant(it.delivered_at),
                "due_at": instant(it.due_at) if it.state == "pending" else None,
                "told": told.get(it.run_id, []),
            }
            for it in deliveries
        ]
