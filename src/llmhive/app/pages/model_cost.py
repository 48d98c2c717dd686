"""The calculator of a model's page: what is asked of it, and the receipt that answers; and the request to send."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from starlette.datastructures import QueryParams

from llmhive.app.library import Catalog
from llmhive.app.pages import calls, words
from llmhive.catalog import written
from llmhive.catalog.cost import WORDS
from llmhive.catalog.need import ALLOWED
from llmhive.catalog.pricing import counts_tokens
from llmhive.catalog.receipt import Receipt, in_force, origin, remarks, sentence, shown
from llmhive.catalog.routing import Bounds, Share
from llmhive.catalog.usage import DIGITS, Usage
from llmhive.errors import NotFound, Unpriced, UsageError

Told = Mapping[str, Any]  #: a model (`document.whole`)
#: Of one call, but for `calls`.
COUNTS = ("calls", "prompt", "cached", "completion", "image_output", "images")
_MOST = 10**DIGITS - 1
_LABELS = {
    "calls": "Calls", "prompt": "Prompt tokens", "cached": "Cached tokens", "completion": "Completion tokens",
    "image_output": "Image tokens out", "images": "Images", "at": "The date",
}  # fmt: skip
_BANDS = {"healthy": "healthy", "degraded": "only if no healthy one answers", "fallback": "only if nobody else does"}
_NAMED = 2
#: What is not asked for as a chat, and where it is asked for instead.
_ELSEWHERE = {
    "embeddings": "https://openrouter.ai/api/v1/embeddings", "rerank": None, "speech": None, "transcription": None,
    "video": None,
}  # fmt: skip
_CHAT = "https://openrouter.ai/api/v1/chat/completions"


@dataclass(frozen=True)
class Question:
    """What a query string asks of the calculator."""

    given: Mapping[str, str]  #: by field, as it is shown in the form
    usual: Mapping[str, int]  #: by field, what stands for it where it is not given
    calls: int = 1
    each: Usage = field(default_factory=Usage)  #: of one call
    at: str | None = None  #: a day or an instant; None: now
    problems: Mapping[str, str] = field(default_factory=dict)  #: by field, in a sentence

    @property
    def all(self) -> Usage:
        """Of all calls."""
        it, times = self.each, self.calls
        return Usage(
            it.prompt * times, it.completion * times, cached=it.cached * times, image_output=it.image_output * times,
            images=it.images * times, requests=times,
        )  # fmt: skip


def read(query: QueryParams, told: Told, day: str | None = None) -> Question:
    """What is asked of a model; what cannot be read is told in `Question.problems`. `day` is priced at where none is
    given.
    """
    given = {name: value for name in (*COUNTS, "at") if (value := query.get(name, "").strip())}
    if day is not None:
        given.setdefault("at", day)
    example = calls.example(told)
    found = dict.fromkeys(COUNTS, 0) | {
        "calls": calls.CALLS, "prompt": example.prompt, "completion": example.completion,
    }  # fmt: skip
    usual = dict(found)
    problems: dict[str, str] = {}
    for name in COUNTS:
        if name not in given:
            continue
        number = written.count(given[name])
        if number is None:
            problems[name] = (
                f"{_LABELS[name]}: write a whole number such as 12000, 12,000 or 12k; not {_cut(given[name])}."
            )
        else:
            found[name] = number
    usual["image_output"] = found["completion"] if calls.gives_images(told) else 0
    if "image_output" not in given:
        found["image_output"] = usual["image_output"]
    if not problems:
        problems |= _check(found)
    at = given.get("at")
    if problems:
        return Question(given, usual, at=at, problems=problems)
    each = Usage(
        found["prompt"], found["completion"], cached=found["cached"], image_output=found["image_output"],
        images=found["images"],
    )  # fmt: skip
    return Question(given, usual, found["calls"], each, at)


def _check(found: Mapping[str, int]) -> dict[str, str]:
    if not found["calls"]:
        return {"calls": "Calls: at least one."}
    if found["cached"] > found["prompt"]:
        told = f"{found['cached']:,} of {found['prompt']:,}"
        return {"cached": f"Cached tokens are a part of the prompt: {told} cannot be."}
    if found["image_output"] > found["completion"]:
        told = f"{found['image_output']:,} of {found['completion']:,}"
        return {"image_output": f"Image tokens out are a part of the completion: {told} cannot be."}
    for name in COUNTS:
        if found[name] * (1 if name == "calls" else found["calls"]) > _MOST:
            return {name: f"{_LABELS[name]}: more than {_MOST:,} in all; calculate with fewer calls."}
    return {}


def _cut(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")


# --- the answer


def answer(catalog: Catalog, told: Told, question: Question, now: datetime) -> dict[str, Any]:
    """What the template shows: ``problems``, ``why`` there is no price, or a receipt."""
    facts: dict[str, Any] = {"question": question, "problems": dict(question.problems), "why": None, "receipt": None}
    if question.problems:
        return facts
    at: datetime | str = question.at or now
    try:
        whole = catalog.cost(told["id"], question.all, at=at, bounds=True)
        one = whole if question.calls == 1 else catalog.cost(told["id"], question.each, at=at)
    except (Unpriced, NotFound) as error:
        facts["why"] = str(error)
    except UsageError as error:
        facts["problems"]["at"] = str(error)
    else:
        facts["receipt"] = _receipt(whole, one, question, told["output_modalities"])
    return facts


def _receipt(whole: Receipt, one: Receipt, question: Question, outputs: list[str]) -> dict[str, Any]:
    """`one` is that of a single call. Since all calls are alike, the doubts of a sum are none here."""
    lines = [
        {
            "what": WORDS.get(it.counted, it.counted).capitalize(),
            "unit": it.unit,
            "quantity": words.count(it.quantity) if isinstance(it.quantity, int) else words.usd(it.quantity),
            "rate": words.rate(it.rate, it.unit, outputs),
            "amount": words.usd(it.amount),
        }
        for it in whole.lines
    ]
    return {
        "lines": lines,
        "total": words.usd(whole.total),
        "per_call": words.usd(one.total),
        "calls": question.calls,
        "missing": calls.missing(whole),
        "asked": _asked(question, "tokens" if counts_tokens(outputs) else "units"),
        "at": whole.at,
        "in_force": list(in_force(whole)),
        "bounds": None if whole.bounds is None else _bounds(whole.bounds),
        "notes": [sentence(it[:1].upper() + it[1:]) for it in (*remarks(whole), origin(whole))],
        "incomplete": [sentence(it) for it in one.incomplete],
    }


def _asked(question: Question, what: str) -> str:
    """What was used, in words: ``1,000 calls of 2,000 (500 cached) + 300 tokens each``."""
    it, number = question.each, question.calls
    cached = f" ({it.cached:,} cached)" if it.cached else ""
    drawn = f" ({it.image_output:,} of images)" if it.image_output else ""
    images = f" and {it.images:,} image{'' if it.images == 1 else 's'}" if it.images else ""
    return (
        f"{number:,} call{'' if number == 1 else 's'} of {it.prompt:,}{cached} + {it.completion:,} {what}{drawn}"
        f"{images}{' each' if number > 1 else ''}"
    )


def _bounds(found: Bounds) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "why": found.why,
        "excluded": [f"{key}: {reason}" for key, reason in found.excluded],
        "shares": [
            {
                "provider": it.provider_name,
                "key": it.key,
                "cost": words.usd(it.cost),
                "chance": words.percent(float(it.weight), 1),
                "band": _BANDS[it.band],
            }
            for it in found.used
        ],
        "sums": [],
    }
    if found.lowest is None or found.expected is None or found.highest is None:
        return facts
    # one sum is written in one way
    expected = words.usd(found.expected) if found.lowest == found.highest else shown(found.expected)
    facts["sums"] = [
        ("Lowest", words.usd(found.lowest), words.usd(found.lowest), _who(found.used, found.lowest)),
        ("Expected", expected, words.usd(found.expected), "as OpenRouter would choose among them"),
        ("Highest", words.usd(found.highest), words.usd(found.highest), _who(found.used, found.highest)),
    ]
    return facts


def _who(shares: tuple[Share, ...], cost: Decimal) -> str:
    keys = [it.key for it in shares if it.cost == cost]
    more = len(keys) - _NAMED
    return ", ".join(keys[:_NAMED]) + (f" and {more} more" if more > 0 else "")


# --- what to send


def request(catalog: Catalog, told: Told, question: Question) -> dict[str, Any]:
    """The body to send to OpenRouter as ``text``, the address ``to`` send it (None: it is no chat), and ``notes``.

    Where not every endpoint can serve such a call, ``provider`` keeps those apart that cannot.
    """
    outputs, each = told["output_modalities"], question.each
    kind = next((name for name in outputs if name in _ELSEWHERE), None)
    if kind is not None:
        body: dict[str, Any] = {"model": told["id"]}
        if kind == "embeddings":
            body["input"] = "What is to be embedded"
        return {"text": _json(body), "to": _ELSEWHERE[kind], "kind": kind, "notes": []}
    body = {"model": told["id"], "messages": [{"role": "user", "content": "Say hello."}]}
    if told["pricing_kind"] != "dynamic" and ("image" in outputs or "audio" in outputs):
        body["modalities"] = [*outputs]
    notes: tuple[str, ...] = ()
    try:
        found = catalog.select({
            "models": [told["id"]], "allow": list(ALLOWED), "outputs": list(outputs), "limit": 1,
            # how long an answer may be is only asked for where somebody said
            "usage": {"prompt": max(each.prompt, 1), "completion": each.completion * ("completion" in question.given)},
        })  # fmt: skip
        if found.choices:
            body |= {name: value for name, value in found.request().items() if name == "provider"}
            notes = found.request_notes
        elif (why := found.rejected.get(told["id"])) is not None:
            notes = (f"no known endpoint can serve such a call: {why}",)
    except UsageError:
        # what was chosen from may be older than the page: the body is good without it
        pass
    return {
        "text": _json(body),
        "to": _CHAT,
        "kind": None,
        "notes": [sentence(it[:1].upper() + it[1:]) for it in notes],
    }


def _json(body: Mapping[str, Any]) -> str:
    return json.dumps(body, indent=2, ensure_ascii=False)
