"""families: which models belong together."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console

from llmhive.app.cli import render
from llmhive.app.cli.work import Json
from llmhive.app.library import Catalog
from llmhive.catalog.query import Query
from llmhive.errors import NotFound

_EMPTY = "The catalog is empty. Run `llmhive sync` first."
_DIGITS = re.compile(r"[0-9]+")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)*")


def families(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="FAMILY", help="anthropic/claude, claude, an author, or a model of it: its members."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Inactive models as well.")] = False,
    json: Json = False,
) -> None:
    """Which models belong together: families with their generations and sizes, read from the ids.

    With a FAMILY its members, the newest first.
    """
    with Catalog.open() as catalog:
        found = catalog.families()
        listed = {row["id"]: row for row in catalog.models(Query(active=None)).data}
        chosen = _of_families(found, names or (), lambda name: _model(catalog, name))
    if json:
        shown = chosen if names or everything else [it for it in chosen if _is_active(it, listed)]
        render.as_json({"data": shown, "total": len(shown)})
        return
    console = render.out()
    if not found:
        what = "No family is known yet. Run `llmhive sync --research`." if listed else _EMPTY
        console.print(what, style="yellow")
    elif names:
        _show_members(console, chosen, listed, everything=everything)
    else:
        _show_families(console, chosen, listed, everything=everything)


def _is_active(it: Mapping[str, Any], listed: Mapping[str, Mapping[str, Any]]) -> bool:
    row = listed.get(it["model_id"])
    return row is not None and bool(row["is_active"])


def _model(catalog: Catalog, name: str) -> str | None:
    """The id of the model that a name means, as `llmhive model` takes it; None: none."""
    try:
        return str(catalog.model(name)["id"])
    except NotFound:
        return None


def _of_families(
    found: list[dict[str, Any]], names: Sequence[str], meant: Callable[[str], str | None]
) -> list[dict[str, Any]]:
    """The members of the families that are named: by author and line, by the line or the author, or by a model."""
    if not names:
        return found
    if not found:
        raise NotFound("No family is known yet. Run `llmhive sync --research`.")
    all_ = {it["family"] for it in found}
    of_model = {it["model_id"]: it["family"] for it in found}
    wanted: set[str] = set()
    for name in names:
        text = name.casefold()
        matched = {it for it in all_ if text in {it.casefold(), *it.casefold().split("/", 1)}}
        if not matched and (model_id := meant(name)) in of_model:
            matched = {of_model[model_id]}
        if not matched:
            words = sorted(all_.union(*(it.split("/", 1) for it in all_)))
            near = difflib.get_close_matches(text, words, n=3)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise NotFound(f"There is no family {name!r}.{hint} `llmhive families --all` shows all there are.")
        wanted |= matched
    return [it for it in found if it["family"] in wanted]


def _show_families(
    console: Console, found: list[dict[str, Any]], listed: Mapping[str, Mapping[str, Any]], *, everything: bool
) -> None:
    by_family: dict[str, list[dict[str, Any]]] = {}
    for it in found:
        by_family.setdefault(it["family"], []).append(it)
    rows = []
    for name, members in sorted(by_family.items()):
        active = sum(_is_active(it, listed) for it in members)
        if active or everything:
            shown = members if everything else [it for it in members if _is_active(it, listed)]
            sizes = sorted({it["size"] for it in shown if it["size"]}, key=_natural)
            rows.append(
                (name, f"{active}/{len(members)}", ", ".join(_generations(shown)) or "–",
                 ", ".join(sizes) or "–")
            )  # fmt: skip
    columns = ("family", "active/ever", "generations, highest first", "sizes or tiers")
    gives = {"sizes or tiers": 14, "generations, highest first": 12, "family": 16}
    render.table(console, columns, rows, right=("active/ever",), gives=gives)
    gone = len(by_family) - len(rows)
    line = f"{len(rows)} famil{'y' if len(rows) == 1 else 'ies'} · each id counts, variants and aliases too"
    line += f" · {gone} without an active model: --all" if gone else ""
    console.print(line + " · llmhive families FAMILY", style="dim")


def _generations(members: Sequence[Mapping[str, Any]]) -> list[str]:
    """The highest number first, 4.5 before 4; what is no number comes last."""
    names = {it["generation"] for it in members if it["generation"] and not it["model_id"].startswith("~")}
    numbers = sorted(filter(_NUMBER.fullmatch, names), key=_natural, reverse=True)
    return numbers + sorted(names.difference(numbers), key=_natural)


def _natural(text: str) -> tuple[Any, ...]:
    """``7b`` before ``70b``."""
    numbers = [int(it) for it in _DIGITS.findall(text)[:4]]
    return not numbers, numbers, text


def _show_members(
    console: Console, chosen: list[dict[str, Any]], listed: Mapping[str, Mapping[str, Any]], *, everything: bool
) -> None:
    members = [it for it in chosen if everything or _is_active(it, listed)]
    members.sort(key=lambda it: it["model_id"])
    members.sort(key=lambda it: listed.get(it["model_id"], {}).get("created_at") or "", reverse=True)
    members.sort(key=lambda it: it["family"])
    many = len({it["family"] for it in chosen}) > 1
    columns = [
        ("model", [it["model_id"] for it in members]),
        ("family", [it["family"] if many else "" for it in members]),
        ("generation", [it["generation"] or "" for it in members]),
        ("size or tier", [it["size"] or "" for it in members]),
        ("edition", [it["edition"] or "" for it in members]),
        ("release", [it["release"] or "" for it in members]),
        ("active", [("yes" if _is_active(it, listed) else "no") if everything else "" for it in members]),
        ("in $/M", [_price(listed.get(it["model_id"]), "prompt") for it in members]),
        ("out $/M", [_price(listed.get(it["model_id"]), "completion") for it in members]),
    ]
    if members:
        columns = [column for column in columns if any(column[1])]
        gives = {"edition": 8, "model": 22}
        kept, _ = render.fitting(
            console, columns, spared=("release", "edition", "family", "size or tier", "generation"), gives=gives
        )
        headers = [name for name, _ in kept]
        rows = list(zip(*(cells for _, cells in kept), strict=True))
        gives = {name: least for name, least in gives.items() if name in headers}
        render.table(console, headers, rows, right=("in $/M", "out $/M"), gives=gives)
    gone = len(chosen) - len(members)
    names = sorted({it["family"] for it in chosen})
    line = f"{', '.join(names)}: {len(members)} model{'' if len(members) == 1 else 's'}"
    console.print(render.escape(line + (f" · {gone} inactive: --all" if gone else "")), style="dim")


def _price(row: Mapping[str, Any] | None, unit: str) -> str:
    if row is None:
        return "?"
    return render.short_price(row["pricing"][unit], row["pricing_kind"]).removeprefix("$").replace("unknown", "?")
