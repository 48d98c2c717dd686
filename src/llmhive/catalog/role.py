"""Roles: needs with a name, for who assembles a team of models and knows what each is for; pure.

A role fills what a need leaves open, and adds to what it requires; everything else the caller says stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from llmhive.catalog.usage import Usage


@dataclass(frozen=True, slots=True)
class Role:
    """A need with a name."""

    title: str
    why: str  #: what it is good for, in a sentence
    defaults: Mapping[str, Any]  #: field of `Need` → value, as `Need` takes it
    needs_of: bool = False  #: whether it starts from another model


#: A model that is to stay for a while does not expire within so many days.
LASTING_DAYS = 30
#: What makes a replacement: the weights of the parts of its score, together 1.
NEAREST: Mapping[str, float] = MappingProxyType({"family": 0.35, "capability": 0.3, "price": 0.2, "quality": 0.15})

ROLES: Mapping[str, Role] = MappingProxyType(
    {
        "best": Role("Best", "The best answers, whatever they cost.", {"objective": "quality"}),
        "balanced": Role(
            "Balanced",
            "Good answers at a fair price, soon enough: for most of what an application asks.",
            {"objective": {"quality": 0.6, "price": 0.25, "speed": 0.15}},
        ),
        "fast": Role(
            "Fast",
            "The whole answer soon: for who waits in front of a screen.",
            {"objective": {"quality": 0.25, "price": 0.15, "speed": 0.6}},
        ),
        "cheap": Role(
            "Cheap",
            "Little money for much text, and still some sense in it: for sorting, tagging and summing up.",
            {"objective": {"quality": 0.35, "price": 0.65}},
        ),
        "long-context": Role(
            "Long context",
            "Whole books and repositories in one prompt, and what such prompts cost.",
            {"min_context": 500_000, "usage": Usage(prompt=200_000, completion=2_000), "objective": "value"},
        ),
        "vision": Role("Vision", "It sees pictures.", {"require": ("vision",), "objective": "value"}),
        "coder": Role(
            "Coder",
            "It writes programs, and calls the tools of an agent.",
            {"task": "programming", "require": ("tools",), "objective": {"quality": 0.8, "price": 0.2}},
        ),
        "escalation": Role(
            "Escalation",
            "A better model of the same family, for what the model in use fails at.",
            {"objective": {"quality": 0.5, "price": 0.5}, "lasting_days": LASTING_DAYS},
            needs_of=True,
        ),
        "replacement": Role(
            "Replacement",
            "What comes nearest to a model that expires or is gone: in family, capability and price.",
            {"lasting_days": LASTING_DAYS},
            needs_of=True,
        ),
    }
)
