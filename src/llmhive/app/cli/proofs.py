"""verify: whether receipts are right; and JSON documents, as commands are given them."""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from llmhive.app.cli import render
from llmhive.app.cli.work import Json
from llmhive.app.library import Catalog
from llmhive.app.proof import Check
from llmhive.errors import UsageError

#: So many receipts are shown check by check; of more, only what is wrong.
_SHOWN = 5
_DETAIL = 220
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


def verify(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What `llmhive cost … --json` printed; - for stdin.")],
    json: Json = False,
) -> None:
    """Check that a receipt is right. Ends with 1 when anything is wrong.

    Its digest is checked, its lines and its total are computed anew from the price history, and its rates are looked up
    in the stored answer of OpenRouter that they were read from. The file holds one receipt, a list of them, or an
    object with such a list as its `data`; one without a digest among them is counted, and cannot be right.
    """
    content, name = read(file)
    found, errors, unsealed = sealed(decoded(content, name), name)
    with Catalog.open() as catalog:
        proofs = [(receipt, catalog.verify(receipt)) for receipt in found]
    # a total that nobody sealed may be any
    is_ok = not unsealed and all(is_right(checks) for _, checks in proofs)
    if json:
        data = [proof(receipt, checks) for receipt, checks in proofs]
        told = {"ok": is_ok, "total": len(data), "without_receipt": errors, "unsealed": unsealed}
        render.as_json(told | {"data": data})
    else:
        show_checks(render.out(), proofs, errors, unsealed)
    raise typer.Exit(0 if is_ok else 1)


def sealed(document: Any, name: str) -> tuple[list[dict[str, Any]], int, int]:
    """The sealed receipts of a document, how many of its entries say why they have none, and how many are not sealed.

    Raises `UsageError` where there is none, and where an entry is no receipt at all.
    """
    found = document["data"] if isinstance(document, dict) and isinstance(document.get("data"), list) else document
    listed = found if isinstance(found, list) else [found]
    kept, errors, unsealed = [], 0, 0
    for number, it in enumerate(listed, start=1):
        if not isinstance(it, dict):
            where = f"Entry {number} of {name}" if found is listed else name
            raise UsageError(f"{where} is no receipt. `llmhive cost MODEL … --json` makes one.")
        if isinstance(it.get("digest"), str) and isinstance(it.get("price_from"), dict):
            kept.append(it)
        elif found is listed and it.keys() <= {"error", "model"}:
            errors += 1  # as `POST /api/cost` answers, of many
        else:
            unsealed += 1
    if not kept and unsealed:
        raise UsageError(
            f"{name} is no sealed receipt: it has no digest. `llmhive cost MODEL … --json` makes one, and POST "
            "/api/cost with `sealed`."
        )
    if not kept:
        raise UsageError(f"There is no receipt in {name}.")
    return kept, errors, unsealed


def proof(receipt: Mapping[str, Any], checks: Sequence[Check]) -> dict[str, Any]:
    """What was checked of a receipt, as scripts see it."""
    told = {name: receipt.get(name) for name in ("model", "at", "total", "digest")}
    return told | {"ok": is_right(checks), "checks": [it.to_json() for it in checks]}


def show_checks(
    console: Console,
    proofs: Sequence[tuple[Mapping[str, Any], Sequence[Check]]],
    errors: int = 0,
    unsealed: int = 0,
) -> None:
    """Print what was checked of receipts, of many only what is wrong; and how many entries have none to check."""
    good, bad, neither = ("✓", "✗", "–") if render.speaks("✓✗–") else ("ok ", "BAD", "-  ")
    wrong = [(receipt, checks) for receipt, checks in proofs if not is_right(checks)]
    for receipt, checks in proofs if len(proofs) <= _SHOWN else wrong[:_SHOWN]:
        is_good = is_right(checks)
        verdict = "right" if is_good else "WRONG"
        console.print(render.escape(f"{_named(receipt)}: {verdict}."), style="bold green" if is_good else "bold red")
        for it in checks:
            style, mark = ("red", bad) if not it.is_right else ("green", good) if it.is_checked else ("dim", neither)
            # a digest fits no terminal beside words
            text = _DIGEST.sub(lambda found: f"{found[0][:12]}…", it.detail)
            detail = render.short(text, "(whole with --json)", at_most=_DETAIL)
            console.print(f"  [{style}]{mark}[/] {it.what:<10} {render.escape(detail)}")
    if len(proofs) > 1:
        if len(wrong) > _SHOWN < len(proofs):
            console.print(f"… and {len(wrong) - _SHOWN:,} more that are wrong: --json.", style="dim")
        console.print(f"{len(proofs) - len(wrong):,} of {len(proofs):,} receipts are right.", style="bold")
    for count, why in ((errors, "no receipt, but an error"), (unsealed, "a receipt without a digest: not checked")):
        if count:
            what = "entry has" if count == 1 else "entries have"
            console.print(f"{count:,} more {what} {why}.", style="yellow")


def is_right(checks: Iterable[Check]) -> bool:
    """Whether every check is."""
    return all(it.is_right for it in checks)


def _named(receipt: Mapping[str, Any]) -> str:
    at = receipt.get("at")
    return f"{receipt.get('model')}, {render.as_of(at) if isinstance(at, str) else at}, ${receipt.get('total')}"


# --- documents


def decoded(content: bytes, name: str) -> Any:
    """What JSON says; raises `UsageError`, which calls it by its name."""
    try:
        return msgspec.json.decode(content.removeprefix(codecs.BOM_UTF8))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{name} is no JSON: {error}.") from error


def read(path: str) -> tuple[bytes, str]:
    """The content of a file or of stdin (``-``), and what to call it."""
    try:
        return (sys.stdin.buffer.read(), "standard input") if path == "-" else (Path(path).read_bytes(), path)
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}.") from error
