"""select: which models to use for a need; how that is shown is in `shortlists`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any

import typer

from llmhive.app.cli import costs, proofs, render, times
from llmhive.app.cli.work import Json
from llmhive.app.library import Catalog
from llmhive.app.wiring import now
from llmhive.errors import UsageError

_MEASURE = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*([a-z%/]*)", re.ASCII)
_DAYS = re.compile(r"([0-9]{1,9})\s*(?:d|days?)?", re.ASCII)
_PRICE = re.compile(r"[0-9]+(\.[0-9]+)?|\.[0-9]+", re.ASCII)
#: What may stand behind a number, and how many of the option's own unit that is.
_UNITS: Mapping[str, Mapping[str, str]] = {
    "--min-uptime": {"%": "1"},
    "--max-latency": {"s": "1", "ms": "0.001"},
    "--min-throughput": {"t/s": "1", "tps": "1", "tokens/s": "1"},
    "--margin": {"%": "0.01"},
}
_TOLD = {
    "--min-uptime": "percent, as 99.5", "--max-latency": "seconds, as 1.5 or 800ms",
    "--min-throughput": "tokens a second, as 50", "--margin": "a part of 1, as 0.02 or 2%",
}  # fmt: skip

_WHAT = "What for"
_ABLE = "What it must be able to do"
_MONEY = "What it may cost"
_WHO = "Who serves it, and how well"
_WHICH = "Which models"
_ANSWER = "The answer"


def _text(panel: str, metavar: str, help: str, *flags: str) -> Any:
    return typer.Option(*flags, metavar=metavar, help=help, rich_help_panel=panel)


def _names(panel: str, help: str, *flags: str, metavar: str = "NAME,…") -> Any:
    return typer.Option(*flags, metavar=metavar, help=help, rich_help_panel=panel)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(rich_help_panel="Choose", help=render.help_of(select))(select)


def select(
    task: Annotated[
        str | None, _text(_WHAT, "TASK", "programming, agentic, translation …: its benchmark and ranking count.")
    ] = None,
    role: Annotated[
        str | None,
        _text(
            _WHAT,
            "ROLE",
            "A need with a name: best, balanced, fast, cheap, long-context, vision, coder; escalation and "
            "replacement start from --of.",
        ),
    ] = None,
    of: Annotated[
        str | None,
        _text(_WHAT, "MODEL", "The model that escalation and replacement start from.", "--of", "--from"),
    ] = None,
    objective: Annotated[
        str | None,
        _text(
            _WHAT,
            "WHAT",
            "value (0.7 quality, 0.3 price), quality, price, speed; or weights: quality=0.5,price=0.3,speed=0.2.",
        ),
    ] = None,
    require: Annotated[
        list[str] | None,
        _names(
            _ABLE,
            "Capabilities or parameters, all of them at one endpoint: tools,vision. `llmhive capabilities` "
            "shows them. (repeat)",
        ),
    ] = None,
    input: Annotated[list[str] | None, _names(_ABLE, "What it takes: text, image, file, audio, video.")] = None,
    output: Annotated[list[str] | None, _names(_ABLE, "What it gives; text without it.")] = None,
    min_context: Annotated[str | None, _text(_ABLE, "TOKENS", "Context of at least so much: 200k, 1M, 131072.")] = None,
    min_output: Annotated[str | None, _text(_ABLE, "TOKENS", "Answers of at least so much.")] = None,
    max_price: Annotated[
        str | None,
        _text(
            _MONEY, "IN/OUT", "At most so many USD per million tokens, in and out: 3/15; 3 or /15 is for one of them."
        ),
    ] = None,
    usage: Annotated[
        str | None,
        _text(
            _MONEY,
            "IN/OUT",
            "Tokens of a typical request: 3000/1000 (as without it), 20k/500; or prompt=20k,completion=500,cached=15k.",
        ),
    ] = None,
    provider: Annotated[list[str] | None, _names(_WHO, "Nobody but these providers or tags.")] = None,
    exclude_provider: Annotated[list[str] | None, _names(_WHO, "Not these providers or tags.")] = None,
    quantization: Annotated[list[str] | None, _names(_WHO, "Quantized so: fp8,bf16,unknown.")] = None,
    zdr: Annotated[
        bool | None, typer.Option("--zdr/--no-zdr", help="Who keeps no data.", rich_help_panel=_WHO, show_default=False)
    ] = None,
    min_uptime: Annotated[str | None, _text(_WHO, "PERCENT", "Answers so many of all requests: 99.5.")] = None,
    max_latency: Annotated[str | None, _text(_WHO, "SECONDS", "First token within: 1.5, 800ms (median).")] = None,
    min_throughput: Annotated[str | None, _text(_WHO, "RATE", "Tokens a second, at least (median).")] = None,
    model: Annotated[
        list[str] | None, _names(_WHICH, "Only these, by name or pattern: 'anthropic/*'.", metavar="MODEL,…")
    ] = None,
    exclude: Annotated[list[str] | None, _names(_WHICH, "Never these, likewise.", metavar="MODEL,…")] = None,
    allow: Annotated[
        list[str] | None,
        _names(_WHICH, "What is left out unless asked for: free, batch, router, alias, unpriced, degraded."),
    ] = None,
    lasting_days: Annotated[
        str | None, _text(_WHICH, "DAYS", "Does not expire within so many days, as far as is announced: 30, 30d.")
    ] = None,
    stick_to: Annotated[
        str | None, _text(_WHICH, "MODEL", "The model in use: it stays unless another is better by --margin.")
    ] = None,
    margin: Annotated[str | None, _text(_WHICH, "PART", "0.02 without it.")] = None,
    need: Annotated[
        str | None,
        _text(_WHAT, "JSON", "A need as JSON, a file, or - for stdin; options come on top."),
    ] = None,
    limit: Annotated[int | None, _text(_ANSWER, "N", "So many choices; 5 without it.", "--limit", "-n")] = None,
    as_of: Annotated[
        str | None,
        _text(_ANSWER, "TIME", "What would have been chosen then: 2025-11-01, 2025-11-01T12:00Z, 30d."),
    ] = None,
    explain: Annotated[
        list[str] | None,
        _names(_ANSWER, "Why it is or is not chosen, and what that would take. (repeat)", metavar="MODEL,…"),
    ] = None,
    request: Annotated[
        bool,
        typer.Option(
            "--request",
            help="Print only what to send to OpenRouter: model, fallbacks, provider.",
            rich_help_panel=_ANSWER,
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Which models serve a need best, and why: by what they can do, what they cost, how good and how fast they are.

    A model qualifies when one of its endpoints meets all conditions together; what is unknown meets none.

    Examples: llmhive select --task programming --require tools --min-context 200k --max-price 3/15 ·
    llmhive select --role fast --zdr · llmhive select --role replacement --of openai/gpt-4o ·
    llmhive select --role coder --explain anthropic/claude-opus-4.8 · llmhive select --role cheap --request

    Exit code 1: no model qualifies (with --json 0, and no choices).
    """  # fmt: skip
    if request and explain:
        raise UsageError("--request prints the request and nothing else: leave out --explain, or --request.")
    told: dict[str, Any] = {
        "task": task, "role": role, "of": of, "require": _listed("--require", require),
        "inputs": _listed("--input", input), "outputs": _listed("--output", output),
        "min_context": _read(_tokens, "--min-context", min_context),
        "min_output": _read(_tokens, "--min-output", min_output),
        "max_price_per_million": _read(_prices, "--max-price", max_price),
        "providers": _listed("--provider", provider),
        "exclude_providers": _listed("--exclude-provider", exclude_provider),
        "quantizations": _listed("--quantization", quantization), "zdr": zdr,
        "min_uptime": _read(_measure, "--min-uptime", min_uptime),
        "max_latency": _read(_measure, "--max-latency", max_latency),
        "min_throughput": _read(_measure, "--min-throughput", min_throughput),
        "models": _listed("--model", model), "exclude": _listed("--exclude", exclude),
        "allow": _listed("--allow", allow), "lasting_days": _read(_days, "--lasting-days", lasting_days),
        "objective": _read(_objective, "--objective", objective), "usage": _read(_usage, "--usage", usage),
        "stick_to": stick_to, "margin": _read(_measure, "--margin", margin), "limit": limit,
    }  # fmt: skip
    told = {name: value for name, value in told.items() if value is not None}
    document = _document(need) | told
    asked = _listed("--explain", explain) or []
    at = None if as_of is None else times.instant(as_of, now())
    # numpy comes with it, which no other command needs
    from llmhive.app.cli import explained, shortlists
    from llmhive.catalog.need import Need

    try:
        wanted = Need.read(document)
    except UsageError as error:
        raise UsageError(explained.by_option(str(error), told)) from error
    with Catalog.open() as catalog:
        found = catalog.select(wanted, as_of=at)
        if request:
            shortlists.show_request(found, is_past=at is not None)
        elif json:
            shortlists.show_json(found, asked)
        elif asked:
            shortlists.show_explained(render.out(), found, asked)
        else:
            shortlists.show(render.out(), found)


# --- reading


def _read(of_text: Callable[[str, str], Any], option: str, text: str | None) -> Any:
    return None if text is None else of_text(option, text.strip())


def _listed(option: str, texts: Sequence[str] | None) -> list[str] | None:
    """Names that are repeated, or written with commas."""
    if not texts:
        return None
    names = [name.strip() for text in texts for name in text.split(",")]
    if not all(names):
        raise UsageError(f"{option} has an empty name: write {option} NAME or {option} NAME,NAME.")
    return list(dict.fromkeys(names))


def _tokens(option: str, text: str) -> int:
    return costs.number(option, text)


def _days(option: str, text: str) -> int:
    match = _DAYS.fullmatch(text.lower())
    if match is None:
        raise UsageError(f"{option} is a whole number of days, as 30 or 30d, not {text!r}.")
    return int(match[1])


def _measure(option: str, text: str) -> float:
    match = _MEASURE.fullmatch(text.lower())
    units = {"": "1", **_UNITS[option]}
    if match is None or match[2] not in units:
        raise UsageError(f"{option} is {_TOLD[option]}, not {text!r}.")
    return float(Decimal(match[1]) * Decimal(units[match[2]]))


def _prices(option: str, text: str) -> dict[str, str]:
    """USD per million tokens: ``3/15``, ``3``, ``/15``, ``prompt=3,completion=15``."""
    if "=" in text:
        told = _pairs(option, text, "prompt=3,completion=15")
    else:
        prompt, _, completion = text.partition("/")
        told = {"prompt": prompt.strip(), "completion": completion.strip()}
    limits = {unit: most.removeprefix("$") for unit, most in told.items() if most}
    if not limits or not all(map(_PRICE.fullmatch, limits.values())):
        raise UsageError(f"{option} is written IN/OUT in USD per million tokens, as 3/15, 3 or /15; not {text!r}.")
    return {unit: f"0{most}" if most.startswith(".") else most for unit, most in limits.items()}


def _usage(option: str, text: str) -> dict[str, int]:
    """Tokens: ``3000/1000``, ``prompt=20k,completion=500,cached=15k``."""
    if "=" in text:
        pairs = _pairs(option, text, "prompt=3000,completion=1000,cached=2000")
        return {name: costs.number(f"{option} {name}", told) for name, told in pairs.items()}
    prompt, slash, completion = (part.strip() for part in text.partition("/"))
    if not slash or not prompt or not completion:
        raise UsageError(
            f"{option} is written IN/OUT in tokens of one request, as 3000/1000, or prompt=20k,completion=500,"
            f"cached=15k; not {text!r}."
        )
    return {"prompt": costs.number(option, prompt), "completion": costs.number(option, completion)}


def _objective(option: str, text: str) -> str | dict[str, float]:
    if "=" not in text:
        return text
    weights = {}
    for part, weight in _pairs(option, text, "quality=0.5,price=0.3,speed=0.2").items():
        if (match := _MEASURE.fullmatch(weight)) is None or match[2]:
            raise UsageError(f"{option}: the weight of {part} is a number, as 0.5, not {weight!r}.")
        weights[part] = float(match[1])
    return weights


def _pairs(option: str, text: str, example: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in text.split(","):
        name, _, value = (part.strip() for part in pair.partition("="))
        if not name or not value or name in found:
            raise UsageError(f"{option} is written {example}, not {text!r}.")
        found[name] = value
    return found


def _document(told: str | None) -> dict[str, Any]:
    """A need as JSON: itself, a file, or stdin."""
    if told is None:
        return {}
    content, name = (told.encode(), "--need") if told.lstrip()[:1] == "{" else proofs.read(told)
    document = proofs.decoded(content, name)
    if not isinstance(document, dict):
        raise UsageError(f'{name} has no need: that is an object such as {{"task": "programming"}}.')
    return document
