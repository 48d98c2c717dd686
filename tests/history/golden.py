"""Twenty needs an engineer has an opinion on, chosen from the real catalog of July 2026.

``python -m tests.history.golden`` writes the table in docs/selection.md anew.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from llmhive.app.choices import Selectors
from llmhive.app.costs import moment
from llmhive.catalog.need import Need
from llmhive.catalog.selectable import Stock
from llmhive.catalog.shortlist import Shortlist
from llmhive.store.database import connect
from tests import support
from tests.history import endpoints, measured

#: With what the models were acceptable for: written down before there were formulas.
NEEDS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("golden_needs.json").read_text(encoding="utf-8"))
#: When the last capture of the history was fetched.
AT = "2026-07-31T12:46:02Z"


class Outcome(NamedTuple):
    """A need, and what was chosen."""

    name: str
    acceptable: tuple[str, ...]
    stock: Stock  #: what there was to choose from
    shortlist: Shortlist

    @property
    def is_acceptable(self) -> bool:
        return self.shortlist.ids[:1] != () and self.shortlist.ids[0] in self.acceptable


def july(folder: Path) -> Path:
    """The two years in a database in a folder, with the endpoints of June and July 2026."""
    path = folder / "july.db"
    shutil.copy(support.history_database(), path)
    database = connect(f"sqlite:///{path}")
    captures = list(endpoints.captures())
    run_id = endpoints.begin(database, captures[0][0])
    for at, served in captures:
        endpoints.take(database, run_id, endpoints.read(at, served))
    database.close()
    return path


def outcomes(path: Path) -> list[Outcome]:
    """What is chosen for each need, from the database that `july` made."""
    database = connect(f"sqlite:///{path}")
    selectors = Selectors(database)
    found = []
    for it in NEEDS:
        selector = selectors.at(moment(it.get("at", AT)))
        shortlist = selector.select(Need.read(it["need"]))
        found.append(Outcome(it["name"], tuple(it["acceptable"]), selector.stock, shortlist))
    database.close()
    return found


def table(found: Iterable[Outcome]) -> str:
    """The outcome as docs/selection.md shows it."""
    return measured.table(
        ("need", "qualify", "first choice", "score", "why", "then", "acceptable"), (_row(it) for it in found)
    )


def _row(it: Outcome) -> tuple[object, ...]:
    shortlist = it.shortlist
    if not shortlist.choices:
        return it.name, 0, "none", "", shortlist.nothing, "", "no"
    first, *others = shortlist.choices
    why = "; ".join(first.reasons[:2])
    then = ", ".join(f"`{other.id}` {other.score:.3f}" for other in others[:2])
    acceptable = "yes" if it.is_acceptable else "no"
    return it.name, shortlist.total, f"`{first.id}`", f"{first.score:.3f}", why, then, acceptable


def main() -> None:
    support.begin_session()
    try:
        with tempfile.TemporaryDirectory() as folder:
            measured.write("golden", table(outcomes(july(Path(folder)))))
    finally:
        support.end_session()


if __name__ == "__main__":
    main()
