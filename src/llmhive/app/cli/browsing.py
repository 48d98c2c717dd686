"""models, model."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import typer

from llmhive.app import wording
from llmhive.app.cli import offers, render, times
from llmhive.app.cli.work import Json
from llmhive.app.library import Catalog, Page
from llmhive.app.wiring import now
from llmhive.catalog import written
from llmhive.catalog.pricing import PER_TOKEN, UNITS, counts_tokens, exact
from llmhive.catalog.query import SORTS, Query
from llmhive.errors import UsageError


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (models, model):
        app.command(rich_help_panel="Browse", help=render.help_of(command))(command)


def count(text: str) -> int:
    """A number of tokens: ``200000``, ``200k``, ``1.5M``."""
    number = written.count(text.strip())
    if number is None:
        raise UsageError(f"{text!r} is not a number of tokens. Write 200000, 200k or 1M.")
    # more tokens than any model has are more than any model has
    return min(number, 2**53)


def models(
    text: Annotated[list[str] | None, typer.Argument(help="Words that the id or the name must contain.")] = None,
    author: Annotated[str | None, typer.Option(help="Who made it: anthropic, google …")] = None,
    family: Annotated[str | None, typer.Option(help="Family, with or without its author: claude.")] = None,
    variant: Annotated[str | None, typer.Option(help="free, batch, thinking …")] = None,
    free: Annotated[bool, typer.Option("--free", help="Only models that cost nothing.")] = False,
    input: Annotated[list[str] | None, typer.Option("--in", help="Modality it takes: image, file … (repeat)")] = None,
    output: Annotated[list[str] | None, typer.Option("--out", help="Modality it gives: text, image … (repeat)")] = None,
    supports: Annotated[list[str] | None, typer.Option(help="Parameter: tools, structured_outputs … (repeat)")] = None,
    capability: Annotated[
        list[str] | None, typer.Option(help="What it can do: vision, tools, json_mode … (repeat)")
    ] = None,
    min_context: Annotated[str | None, typer.Option(help="Least context length in tokens: 200k, 1M.")] = None,
    min_output: Annotated[str | None, typer.Option(help="Least output cap in tokens: 32k.")] = None,
    min_prompt: Annotated[float | None, typer.Option(help="Least USD per million prompt tokens.")] = None,
    min_completion: Annotated[float | None, typer.Option(help="Least USD per million completion tokens.")] = None,
    max_prompt: Annotated[float | None, typer.Option(help="Most USD per million prompt tokens.")] = None,
    max_completion: Annotated[float | None, typer.Option(help="Most USD per million completion tokens.")] = None,
    held: Annotated[bool, typer.Option("--held", help="Only those of which the gate holds a value back.")] = False,
    new_since: Annotated[str | None, typer.Option(help="Added to OpenRouter since: 2026-05-01, 30d.")] = None,
    expiring: Annotated[str | None, typer.Option(help="Expiring until: 2026-12-31, 30d.")] = None,
    inactive: Annotated[bool, typer.Option("--inactive", help="Those that are gone.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Active and inactive ones.")] = False,
    sort: Annotated[str, typer.Option(help=f"{', '.join(SORTS)}; unknown values come last.")] = "id",
    reverse: Annotated[bool, typer.Option("--reverse", help="The other way round.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many.")] = None,
    offset: Annotated[int, typer.Option(min=0, help="Leave out the first so many.")] = 0,
    as_of: Annotated[
        str | None, typer.Option(help="As OpenRouter served it at a time: 2025-11-01, 2025-11-01T12:00Z, 30d.")
    ] = None,
    known_at: Annotated[str | None, typer.Option(help="As this catalog believed it at a time.")] = None,
    json: Json = False,
) -> None:
    """Browse the models of the catalog. All conditions must hold; a value that is unknown meets no limit.

    Examples: llmhive models claude --sort prompt · llmhive models --free --supports tools ·
    llmhive models --in image --min-context 200k --max-prompt 1 --sort newest
    """
    chosen = next((name for name in SORTS if name == sort), None)
    if chosen is None:
        raise UsageError(f"Cannot sort by {sort!r}. Choose one of {', '.join(SORTS)}.")
    if as_of is not None and known_at is not None:
        raise UsageError("--as-of is what OpenRouter served, --known-at what was believed here: give one of them.")
    present = now()
    today = present.date()
    since = None if new_since is None else times.day(new_since, today)
    query = Query(
        text=" ".join(text or []) or None,
        author=author,
        family=family,
        variant=variant,
        kind="free" if free else None,
        inputs=tuple(input or ()),
        outputs=tuple(output or ()),
        parameters=tuple(supports or ()),
        capabilities=tuple(capability or ()),
        min_context=None if min_context is None else count(min_context),
        min_output=None if min_output is None else count(min_output),
        min_prompt=min_prompt,
        min_completion=min_completion,
        max_prompt=max_prompt,
        max_completion=max_completion,
        active=None if everything else not inactive,
        held=held or None,
        new_since=None if since is None else datetime(since.year, since.month, since.day, tzinfo=UTC),
        expiring_before=None if expiring is None else times.day(expiring, today, ahead=True),
        sort=chosen,
        reverse=reverse,
        limit=limit,
        offset=offset,
    )
    with Catalog.open() as catalog:
        page = catalog.models(
            query,
            as_of=None if as_of is None else times.instant(as_of, present),
            known_at=None if known_at is None else times.instant(known_at, present),
        )
    if json:
        render.as_json(page.to_json())
        return
    _show_page(page)


def _show_page(page: Page) -> None:
    console = render.out()
    if page.source is None:
        console.print("The catalog is empty. Run `llmhive sync`.", style="yellow")
        return
    if page.data:
        columns = ["model", "context", "in $/M", "out $/M"]
        # what it takes and gives wants a wide terminal
        is_wide = not console.is_terminal or console.width >= 110
        columns += ["takes", "gives", "note"] if is_wide else ["note"]
        rows = []
        for row in page.data:
            prices = [
                render.short_price(row["pricing"][unit], row["pricing_kind"]).removeprefix("$")
                for unit in ("prompt", "completion")
            ]
            cells = [row["id"], render.tokens(row["context_length"]), *prices]
            cells += [" ".join(row[name]) for name in ("input_modalities", "output_modalities")] if is_wide else []
            rows.append([*cells, _marks(row)])
        if not any(row[-1] for row in rows):
            columns, rows = columns[:-1], [row[:-1] for row in rows]
        gives = {"note": 16, "takes": 10, "gives": 6, "model": 24}
        gives = {name: least for name, least in gives.items() if name in columns}
        render.table(console, columns, rows, right=("context", "in $/M", "out $/M"), gives=gives)
    console.print(_footer(page), style="dim")


def _marks(row: dict[str, Any]) -> str:
    marks = []
    if not row["is_active"]:
        marks.append(f"gone {(row['deactivated_at'] or '')[:10]}")
    elif row["expiration_date"]:
        marks.append(f"expires {row['expiration_date']}")
    if row["is_scheduled"]:
        marks.append("by the hour")
    if row["held"]:
        marks.append("held: " + ", ".join(name.removeprefix("pricing.") for name in row["held"]))
    if not counts_tokens(row["output_modalities"]):
        marks.append("not per token")
    if row["pricing_kind"] == "fixed" and not any(exact(row["pricing"][u]) for u in ("prompt", "completion")):
        # neither prompt nor completion cost: something else does
        marks.append("priced by " + ", ".join(unit for unit, rate in row["pricing"].items() if _is_charged(rate)))
    return ", ".join(marks)


def _is_charged(rate: object) -> bool:
    number = exact(rate)
    return number is not None and number > 0


def _footer(page: Page) -> str:
    shown = f"{len(page.data)} of {page.total}" if len(page.data) != page.total else str(page.total)
    line = f"{shown} model{'' if page.total == 1 else 's'} · USD per million tokens"
    if page.as_of is not None:
        line += f" · as of {page.as_of:%Y-%m-%d %H:%M} UTC ({render.ago(page.as_of, now())})"
    if page.source == "bootstrap":
        line += " · bootstrap facts shipped with LLMHive, not synced yet"
    return line


def model(
    model_id: Annotated[str, typer.Argument(metavar="ID", help="Its id, or its canonical slug.")],
    json: Json = False,
) -> None:
    """Everything known about one model, active or not: limits, prices, who serves it and how well, ranks, benchmarks.

    A miss names what comes near.
    """
    with Catalog.open() as catalog:
        found = catalog.model(model_id)
        name = found["id"]
        endpoints = {key: it for key, it in catalog.endpoints(name).items() if key != "id"}
        ranks, benchmarks = catalog.ranks_of(name), catalog.benchmarks(name)
    if json:
        render.as_json(found | {"endpoints": endpoints, "rankings": ranks, "benchmarks": benchmarks})
        return
    console = render.out()
    console.print(render.escape(found["name"] or found["id"]), style="bold")
    if found["source"] == "bootstrap":
        console.print("From the bootstrap facts shipped with LLMHive; not synced yet.", style="yellow")
    if not found["is_active"]:
        seen = render.moment(found["last_seen_at"])
        console.print(f"Inactive since {render.moment(found['deactivated_at'])}; last seen {seen}.", style="yellow")
    if found["id"] != model_id:
        console.print(f"{render.escape(model_id)} is a slug of {render.escape(found['id'])}.", style="yellow")
    render.facts(
        console,
        (
            ("id", found["id"]),
            ("slug", found["canonical_slug"]),
            ("alias of", found["alias_target"]),
            ("author, family", f"{found['author']}, {found['family']}"),
            ("variant", found["variant"]),
            ("context", f"{found['context_length']:,} tokens" if found["context_length"] else "unknown"),
            ("output cap", found["max_completion_tokens"] and f"{found['max_completion_tokens']:,} tokens"),
            ("takes", ", ".join(found["input_modalities"])),
            ("gives", ", ".join(found["output_modalities"])),
            ("supports", ", ".join(found["supported_parameters"]) or None),
            ("added", found["created_at"] and found["created_at"][:10]),
            ("expires", found["expiration_date"]),
            ("first seen", render.moment(found["first_seen_at"])),
            ("not understood", ", ".join(found["flags"]) or None),
        ),
    )
    _show_prices(found)
    offers.show_endpoints(console, found, endpoints, counts_tokens=counts_tokens(found["output_modalities"]))
    offers.show_ranks(console, name, ranks)
    offers.show_benchmarks(console, benchmarks)
    if found["description"]:
        console.print()
        console.print(render.escape(found["description"]), style="dim")


def _show_prices(found: dict[str, Any]) -> None:
    console = render.out()
    pricing, kind = found["pricing"], found["pricing_kind"]
    console.print()
    if kind in wording.PRICING_KINDS:
        console.print(wording.PRICING_KINDS[kind], style="yellow")
    if found["is_scheduled"]:
        console.print(wording.BY_THE_HOUR, style="yellow")
    order = {unit: position for position, unit in enumerate(UNITS)}
    priced = sorted(pricing.items(), key=lambda item: order.get(item[0], len(order)))
    is_counted = counts_tokens(found["output_modalities"])
    for name, held in found["held"].items():
        console.print(render.escape(_held(name, held, is_counted)), style="yellow")
    pairs = [(unit, _rate(unit, rate, is_counted)) for unit, rate in priced if isinstance(rate, str)]
    render.facts(console, [(unit, text) for unit, text in pairs if text])
    for entry in found["overrides"]:
        rates = [f"{unit} {_rate(unit, rate, is_counted)}" for unit, rate in entry["rates"].items()]
        console.print(f"{render.escape(wording.condition(entry['when']))}: {render.escape(', '.join(rates))}")


def _held(name: str, held: dict[str, Any], is_counted: bool) -> str:
    """What the gate holds back of a field."""
    unit = name.removeprefix("pricing.")
    served = held["served"]
    if unit != name and isinstance(served, str):
        served = _rate(unit, served, is_counted) or "0"
    elif name == "pricing":
        unit, served = "all prices", "others"
    since = render.moment(held["since"])
    return (
        f"Held: OpenRouter says {unit} {'unknown' if served is None else served} since {since}. "
        "What is shown stays believed until a second sync says the same."
    )


def _rate(unit: str, rate: str, is_counted: bool = True) -> str | None:
    number = exact(rate)
    if number is None or number < 0:
        return "varies" if number is not None else None
    if not number:
        return "0" if unit in {"prompt", "completion"} else None
    if not is_counted:
        return f"${render.money(Decimal(rate))} for one (second, character, search or token: OpenRouter does not say)"
    return f"{render.price(rate)} per million tokens" if unit in PER_TOKEN else f"${render.money(Decimal(rate))} each"
