"""Where each page is, and what must be on it."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from tests.pages import house

#: It has many providers, a price that is held, a rank and two years of prices.
MODEL = house.HELD
#: One with prices that depend, one with a variant, an alias, one that draws, one that is gone.
OTHERS = ("openai/gpt-5.6-luna", "poolside/laguna-s-2.1:free", "~deepseek/deepseek-v4-flash-latest")


class Address(NamedTuple):
    """A page."""

    name: str
    path: str
    main: str = "main table.data"  #: selects its main table or list
    status: int = 200


def of_model(model_id: str, query: str = "") -> str:
    """The address of its page."""
    return f"/models/{quote(model_id)}{query}"


_PAIR = f"?model={quote(MODEL)}&model={quote(house.REPRICED)}"
PAGES = (
    Address("catalog", "/"),
    Address("catalog-filtered", "/?text=claude&capability=tools&sort=newest"),
    Address("catalog-nothing", "/?text=no-such-model", "main .empty"),
    Address("model", of_model(MODEL)),
    Address("model-calculated", of_model(MODEL, "?calls=1000&prompt=2000&completion=500")),
    Address("model-gone", of_model(house.REMOVED[0]), "main"),
    *(Address(f"model-{number}", of_model(it)) for number, it in enumerate(OTHERS)),
    Address("rankings", "/rankings"),
    Address("ranking", "/rankings/programming"),
    Address("compare", f"/compare{_PAIR}"),
    Address("compare-nothing", "/compare", "main form"),
    Address("changes", "/changes", "main :is(table.data, ol, ul)"),
    Address("select", "/select", "main form"),
    Address("operations", "/operations"),
    Address("run", "/operations/runs/6", "main :is(table.data, dl)"),
    Address("run-with-verdict", "/operations/runs/7", "main :is(table.data, dl)"),
    Address("snapshot", f"/operations/snapshots/{house.SNAPSHOT}", "main :is(table.data, dl)"),
    Address("sign-in", "/sign-in", "main"),
    Address("missing", "/no-such-page", "main", 404),
    Address("model-missing", "/models/no/such-model", "main", 404),
)
#: By their names.
BY_NAME = {it.name: it for it in PAGES}
