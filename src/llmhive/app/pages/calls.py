"""What calls use where nobody says, and as what their tokens count: the same on each page; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmhive.app.pages import words
from llmhive.catalog.need import PICTURE, TYPICAL
from llmhive.catalog.pricing import exact
from llmhive.catalog.receipt import Receipt
from llmhive.catalog.usage import Usage

Told = Mapping[str, Any]  #: a model (`document.listed`, `document.whole`)
#: So many calls cost what can be looked at: one is less than a cent.
CALLS = 1000
NO_TOKENS = "it does not count tokens"
#: Of a model that does not.
UNITS = "Units are seconds, characters, searches or tokens: OpenRouter does not say what this model counts."
OF_IMAGES = "the completion counted as image tokens"


def gives_images(told: Told) -> bool:
    """Whether a model has a rate for what it draws: then it answers in image tokens."""
    return "image" in told["output_modalities"] and bool(exact(told["pricing"].get("image_output")))


def example(told: Told) -> Usage:
    """What one call uses where nobody says: what choosing a model takes for typical."""
    return PICTURE if gives_images(told) else TYPICAL


def usage(told: Told, prompt: int, completion: int) -> Usage:
    """A call of so many tokens; of a model that gives images, those of the completion are of images."""
    return Usage(prompt, completion, image_output=completion if gives_images(told) else 0)


def missing(receipt: Receipt) -> str | None:
    """Of what costs nothing and is not free: what is charged that it has not."""
    pricing = receipt.step.pricing
    if receipt.total or pricing is None:
        return None
    rates = [*pricing.rates, *(it for each in pricing.overrides for it in each.rates)]
    charged = {unit: rate for unit, rate in rates if rate}
    named = [words.unit_name(unit).lower() for unit, _ in words.in_order(charged)]
    return f"this usage has nothing of what is charged: {', '.join(named)}" if named else None
