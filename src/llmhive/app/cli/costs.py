"""cost: what a request or a whole file of them cost; the proof of it is in `proofs`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from llmhive.app.cli import priced, proofs, receipts, render, times
from llmhive.app.cli.work import Json
from llmhive.app.library import Catalog
from llmhive.app.wiring import now
from llmhive.catalog.bill import Bill
from llmhive.catalog.endpoint import ORDINARY
from llmhive.catalog.preferences import split_suffix
from llmhive.catalog.usage import DIGITS, Usage, is_told
from llmhive.errors import NotFound, Unpriced, UsageError

_COUNT = re.compile(r"([0-9]+(?:[_,][0-9]{3})*)(?:(\.[0-9]+)?([kKmMbB]))?", re.ASCII)
_POINT = re.compile(r"[0-9_,]+\.[0-9]+", re.ASCII)
_SIZES = {"": 0, "k": 3, "m": 6, "b": 9}
#: What is a part of what; without the whole a part is most likely a slip, and priced it would be too dear or too cheap.
_PARTS = {
    "prompt": ("cached", "written", "written_1h", "audio", "image_tokens"),
    "cached": ("audio_cached",),
    "completion": ("reasoning", "audio_output", "image_output"),
}

_USED = "What was used"
_WHO = "Who served it, and who may (for the bounds)"
_WHEN = "When"
_BULK = "A whole file"


def _count(help: str) -> Any:
    return typer.Option(metavar="N", help=help, rich_help_panel=_USED)


def _names(help: str, *flags: str) -> Any:
    return typer.Option(*flags, metavar="NAME", help=f"{help} (repeat)", rich_help_panel=_WHO)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (cost, proofs.verify):
        app.command(rich_help_panel="Cost", help=render.help_of(command))(command)


def cost(
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL|FILE",
            help="A model's id or slug; or a file of usages: .parquet, .csv, .jsonl. A whole response (--usage) names "
            "its model itself.",
            show_default=False,
        ),
    ] = None,
    prompt: Annotated[str | None, _count("Tokens in, cached and written ones included: 12000, 12k, 1.5M.")] = None,
    completion: Annotated[str | None, _count("Tokens out, reasoning included.")] = None,
    cached: Annotated[str | None, _count("Of the prompt: read from a cache.")] = None,
    written: Annotated[str | None, _count("Of the prompt: written to a cache for five minutes.")] = None,
    written_1h: Annotated[str | None, _count("Of the prompt: written to a cache for an hour.")] = None,
    reasoning: Annotated[str | None, _count("Of the completion: reasoning.")] = None,
    audio: Annotated[str | None, _count("Of the prompt: audio.")] = None,
    audio_cached: Annotated[str | None, _count("Of the cached tokens: audio.")] = None,
    audio_output: Annotated[str | None, _count("Of the completion: audio.")] = None,
    image_tokens: Annotated[str | None, _count("Of the prompt: image tokens.")] = None,
    image_output: Annotated[str | None, _count("Of the completion: image tokens.")] = None,
    images: Annotated[str | None, _count("Images in, where the model lists a price for one.")] = None,
    requests: Annotated[str | None, _count("Requests that these counts are the sum of; 1 without it.")] = None,
    web_searches: Annotated[str | None, _count("Web searches by the model.")] = None,
    usage: Annotated[
        str | None,
        typer.Option(
            metavar="JSON",
            help="Instead of counts the `usage` object of OpenRouter, OpenAI or Anthropic, or the response it is in, "
            "which also says the model, when, and who served it: as JSON, as a file, or - for stdin.",
            rich_help_panel=_USED,
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="When: 2026-03-01T12:00Z, 30d (ago), now; without it now. In a file: of every row.",
            rich_help_panel=_WHEN,
        ),
    ] = None,
    known_at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="By the price that this catalog believed in then (audits).", rich_help_panel=_WHEN
        ),
    ] = None,
    provider: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Who served it, as OpenRouter's answer names it, or a tag.", rich_help_panel=_WHO
        ),
    ] = None,
    tier: Annotated[
        str | None, typer.Option(metavar="NAME", help="Its service tier: flex, priority.", rich_help_panel=_WHO)
    ] = None,
    byok: Annotated[
        bool, typer.Option("--byok", help="With your own key at the provider.", rich_help_panel=_WHO)
    ] = False,
    byok_fee: Annotated[
        bool,
        typer.Option("--byok-fee", help="Likewise, and the month's free allowance is used up.", rich_help_panel=_WHO),
    ] = False,
    prefer: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="The `provider` object of the request, as it is.", rich_help_panel=_WHO),
    ] = None,
    only: Annotated[list[str] | None, _names("Nobody but this provider or tag.", "--only")] = None,
    ignore: Annotated[list[str] | None, _names("Not this provider or tag.", "--ignore")] = None,
    order: Annotated[list[str] | None, _names("First this provider or tag.", "--order")] = None,
    quantization: Annotated[list[str] | None, _names("Quantized so: fp8, bf16, unknown.", "--quantization")] = None,
    zdr: Annotated[bool, typer.Option("--zdr", help="Who keeps no data.", rich_help_panel=_WHO)] = False,
    max_price: Annotated[
        str | None,
        typer.Option(
            metavar="UNIT=USD,…", help="At most so much per million: prompt=1,completion=3.", rich_help_panel=_WHO
        ),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(metavar="BY", help="First by price, throughput, latency or exacto.", rich_help_panel=_WHO),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where every row goes with its cost, or why it has none: "
            ".parquet, .csv, .jsonl. Without it only the sums are told.",
            rich_help_panel=_BULK,
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OURS=THEIRS",
            help="What a column is called in the file: prompt=tokens_in, at=time. (repeat)",
            rich_help_panel=_BULK,
        ),
    ] = None,
    engine: Annotated[
        str, typer.Option(metavar="NAME", help="duckdb, or spark for a cluster.", rich_help_panel=_BULK)
    ] = priced.ENGINES[0],
    master: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Spark's master: local[4], spark://host:7077.", rich_help_panel=_BULK),
    ] = None,
    json: Json = False,
) -> None:
    """What a request cost, or would cost now: exactly, line by line. Or what each row of a file cost, and all together.

    The price is that of the time of the request. Files are Parquet, CSV or JSON Lines, with columns for model, at,
    prompt, completion, cached and so on, by these names, by OpenRouter's, or by those that --column tells.

    Examples: llmhive cost anthropic/claude-sonnet-4.5 --prompt 12000 --completion 800 --cached 10000 ·
    llmhive cost --usage response.json · llmhive cost openai/gpt-5 --prompt 12k --at 2026-03-01T12:00Z ·
    llmhive cost usage.parquet -o priced.parquet --column prompt=tokens_in
    """  # fmt: skip
    counts = {
        "prompt": prompt, "completion": completion, "cached": cached, "written": written, "written_1h": written_1h,
        "reasoning": reasoning, "audio": audio, "audio_cached": audio_cached, "audio_output": audio_output,
        "image_tokens": image_tokens, "image_output": image_output, "images": images, "requests": requests,
        "web_searches": web_searches,
    }  # fmt: skip
    told = {name: text for name, text in counts.items() if text is not None}
    of_one: dict[str, object] = {
        **told, "usage": usage, "known_at": known_at, "provider": provider, "tier": tier, "byok": byok,
        "byok_fee": byok_fee, "prefer": prefer, "only": only, "ignore": ignore, "order": order,
        "quantization": quantization, "zdr": zdr, "max_price": max_price, "sort": sort,
    }  # fmt: skip
    of_many: dict[str, object] = {
        "output": output, "column": column, "engine": engine != priced.ENGINES[0], "master": master,
    }  # fmt: skip
    present = now()
    instant = None if at is None else _instant(at, present)
    if subject is not None and priced.is_file(subject):
        _refuse(of_one, f"is for one request, and {subject} is a file: its columns tell")
        priced.run(Path(subject), output, _columns(column or ()), instant, engine, master, json=json)
        return
    _refuse(of_many, f"is for a file of usages, and {subject or 'this'} is none")
    for name, value in (("provider", provider), ("tier", tier), *(("only", it) for it in only or ())):
        if value is not None and not value.strip():
            raise UsageError(f"{_option(name)} is empty: name one, or leave it out.")
    used, bill = _usage(told, usage)
    if subject is None and bill is None:
        raise UsageError(
            "Say what was used: MODEL --prompt 12000 --completion 800, --usage with a whole response, or a FILE."
            if usage is None else "--usage tells no model: say MODEL as well, or give the whole response."
        )  # fmt: skip
    preferences = _preferences(prefer, only, ignore, order, quantization, zdr, max_price, sort)
    known = None if known_at is None else _instant(known_at, present)
    is_byok: bool | None = byok or byok_fee or None
    if bill is not None:
        is_byok = bill.is_byok if is_byok is None else is_byok
        instant = bill.at if instant is None else instant
        if known is None:
            # what was believed is the listed price, whoever served it
            provider = bill.provider if provider is None else provider
            tier = bill.tier if tier is None and (bill.tier or "").casefold() not in ORDINARY else tier
    with Catalog.open() as catalog:
        if bill is not None:
            subject = _agreed(catalog, subject, bill.model)
        assert subject is not None
        try:
            receipt = catalog.cost(
                subject, used, at=instant, known_at=known, provider=provider, tier=tier, is_byok=is_byok,
                has_fee=byok_fee, bounds=preferences or True, sealed=json,
            )  # fmt: skip
        except Unpriced as error:
            if bill is None or bill.at is None or at is not None or known is not None:
                raise
            raise Unpriced(f"{error} The response is of then; `--at now` asks for today's price.") from error
    if json:
        render.as_json(receipt.to_json())
    else:
        receipts.show(
            render.out(), receipt, is_asked_who=bool(preferences), is_then=instant is not None,
            billed=None if bill is None else bill.billed,
        )  # fmt: skip


def _instant(text: str, present: datetime) -> datetime:
    return present if text.strip().casefold() == "now" else times.instant(text, present)


def _agreed(catalog: Catalog, asked: str | None, answered: str) -> str:
    """The model that is asked for, or else the one that answered; raises `UsageError` where they are not the same."""
    if asked is None:
        return answered
    ours, theirs = _meant(catalog, asked), _meant(catalog, answered)
    if ours is not None and theirs is not None and ours != theirs:
        raise UsageError(
            f"MODEL is {asked}, but the response says that {answered} answered: leave out MODEL to price what "
            "answered, or give no more than its `usage` to price another model."
        )
    return asked


def _meant(catalog: Catalog, name: str) -> str | None:
    """The id that a name means, as it is or without a suffix that routes; None: none."""
    for it in dict.fromkeys((name, split_suffix(name)[0])):
        try:
            return str(catalog.model(it)["id"])
        except NotFound:
            continue
    return None


def _refuse(given: Mapping[str, object], why: str) -> None:
    """Raise `UsageError` where any of these options is given."""
    if names := [_option(name) for name, value in given.items() if value]:
        raise UsageError(f"{', '.join(names)} {why}.")


def _usage(counts: Mapping[str, str], told: str | None) -> tuple[Usage | dict[str, Any], Bill | None]:
    """What was used, by options or by a document; and where that is a whole response, all that it says."""
    if told is not None:
        if counts:
            raise UsageError(f"--usage tells every count: leave out {', '.join(map(_option, counts))}, or --usage.")
        document = _document(told, "--usage")
        bill = _bill(document)
        if bill is not None:
            return bill.usage, bill
        return document if isinstance(document, dict) else Usage.of(document), None
    if not set(counts) - {"requests"}:
        raise UsageError(
            "Say what was used: --prompt 12000 --completion 800 (and --cached, --reasoning, --images …), or --usage "
            "with the `usage` object of a response. `llmhive cost --help` has them all."
        )
    for whole, parts in _PARTS.items():
        if whole not in counts and (part := next((name for name in parts if name in counts), None)):
            raise UsageError(f"{_option(part)} is a part of {_option(whole)}: say how much that was in all.")
    return Usage(**{name: number(_option(name), text) for name, text in counts.items()}), None


def _bill(document: Any) -> Bill | None:
    """What a whole response says, or a record of `/generation`; None of a usage alone, which names no model."""
    for wrapper in ("data", "response"):
        if isinstance(document, dict) and isinstance(document.get(wrapper), dict):
            document = document[wrapper]
    if not isinstance(document, dict) or not any(is_told(document, name) for name in ("model", "model_permaslug")):
        return None
    # what it cost is not in every response
    usage = document.get("usage")
    if isinstance(usage, dict):
        return Bill.of({**document, "usage": {"cost": None, **usage}})
    return Bill.of({"total_cost": None, **document})


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def number(option: str, text: str) -> int:
    """A count: ``12000``, ``12_000``, ``12k``, ``1.5M``; none that is rounded."""
    match = _COUNT.fullmatch(text.strip())
    if match is not None:
        digits, decimals, size = match.groups(default="")
        number = Decimal(re.sub("[_,]", "", digits) + decimals).scaleb(_SIZES[size.lower()])
        if number == int(number) and number < 10**DIGITS:
            return int(number)
    elif _POINT.fullmatch(text.strip()):
        raise UsageError(
            f"{option}: a decimal point is for k, M and B, as 12.5k; write twelve thousand as 12000, 12_000 or 12k, "
            f"not {text!r}."
        )
    raise UsageError(f"{option} is a whole number of at most {DIGITS} digits, as 12000, 12k or 1.5M; not {text!r}.")


def _document(told: str, option: str) -> Any:
    """The JSON that an option tells: itself, a file, or stdin."""
    if told.lstrip()[:1] in {"{", "["}:
        content, name = os.fsencode(told), option
    else:
        content, name = proofs.read(told)
    return proofs.decoded(content, name)


def _preferences(
    document: str | None,
    only: Sequence[str] | None,
    ignore: Sequence[str] | None,
    order: Sequence[str] | None,
    quantization: Sequence[str] | None,
    zdr: bool,
    max_price: str | None,
    sort: str | None,
) -> dict[str, Any]:
    """OpenRouter's ``provider`` object; an option takes the place of what the document says."""
    found = {} if document is None else _document(document, "--prefer")
    if not isinstance(found, dict):
        raise UsageError('--prefer is a JSON object, as \'{"sort": "price"}\'.')
    told = {
        "only": only, "ignore": ignore, "order": order, "quantizations": quantization, "zdr": zdr or None,
        "max_price": None if max_price is None else _prices(max_price), "sort": sort,
    }  # fmt: skip
    return found | {name: value for name, value in told.items() if value}


def _prices(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(unit.strip() and price.strip() for unit, _, price in pairs):
        raise UsageError(f"--max-price is written prompt=1,completion=3 (USD per million tokens), not {text!r}.")
    return {unit.strip(): price.strip() for unit, _, price in pairs}


# --- a whole file


def _columns(pairs: Sequence[str]) -> dict[str, str]:
    """Our names of columns → what they are called in the file."""
    found = {}
    for pair in pairs:
        ours, _, theirs = (part.strip() for part in pair.partition("="))
        if not ours or not theirs:
            raise UsageError(f"--column is written OURS=THEIRS, as prompt=tokens_in, not {pair!r}.")
        found[ours] = theirs
    return found
