"""The dimensions models are ranked by, and OpenRouter's categories: one table for code, command and docs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Literal

#: What the ranks of a dimension follow: the most tokens, the highest score, the lowest score, or another ranking.
Order = Literal["tokens", "score", "lowest score", "as given"]

#: Ranks of a ranking, at most: OpenRouter names so many a day.
MOST_RANKS = 50
WEEK_DAYS = 7
MOST_USED_DAYS = 28
#: Of trending models: the days a week on which one must be named, and what share and growth it must have.
TRENDING_DAYS = 5
TRENDING_SHARE = Decimal("0.001")
TRENDING_GROWTH = Decimal("0.1")
#: A blended price is that of so many prompt tokens to one completion token.
PROMPTS_PER_COMPLETION = 3


@dataclass(frozen=True, slots=True)
class Dimension:
    """One way to rank."""

    name: str
    title: str
    source: str  #: where its figures come from
    window: str  #: the time they are of
    cadence: str  #: how often they change
    formula: str  #: how its ranks come about, in a sentence or two
    is_derived: bool  #: computed here; else the ranks are OpenRouter's own figures, at most added up
    unit: str | None  #: of its score; None: it has none
    order: Order
    is_of_authors: bool = False  #: it ranks authors, not models
    needs_key: bool = False  #: without a key there is nothing to rank by


_RANKINGS = "OpenRouter Data API, rankings-daily"
_ENDPOINTS = "OpenRouter's endpoints as they were last seen"
_CATALOG = "the catalog"
_WEEK = "the last 7 complete days (UTC)"
_ISO_WEEK = "the last complete ISO week"
_NOW = "none: as things stand"
_EACH_SYNC = "with each sync"
_BLENDED = f"{PROMPTS_PER_COMPLETION} prompt tokens to 1 completion token, USD per million"
_BEYOND_50 = "A model below a day's top 50 counts nothing that day: how much it had is unknown."

DIMENSIONS: tuple[Dimension, ...] = (
    Dimension(
        "leaderboard",
        "Leaderboard",
        f"{_RANKINGS}; without a key the order of /models?sort=top-weekly",
        _WEEK,
        "daily",
        f"Tokens of the week, the most first; variants (:free, :batch) are added to their base model. {_BEYOND_50}",
        is_derived=False,
        unit=None,
        order="tokens",
    ),
    Dimension(
        "market_share",
        "Market share by author",
        _RANKINGS,
        _WEEK,
        "daily",
        "Tokens of the week added up by the author of the models, as a share of all tokens, those below the top 50 "
        "included; what an author has below the top 50 counts for no author.",
        is_derived=False,
        unit=None,
        order="tokens",
        is_of_authors=True,
        needs_key=True,
    ),
    Dimension(
        "most_used",
        "Most used",
        _RANKINGS,
        f"the last {MOST_USED_DAYS} complete days (UTC)",
        "daily",
        f"Tokens of the four weeks, the most first; variants are added to their base model. {_BEYOND_50}",
        is_derived=False,
        unit=None,
        order="tokens",
        needs_key=True,
    ),
    Dimension(
        "trending",
        "Trending",
        _RANKINGS,
        "the last 7 complete days (UTC) against the 7 before",
        "daily",
        "Growth of the median of a model's daily tokens against the week before. Only models in the daily top 50 on "
        f"at least {TRENDING_DAYS} days of both weeks, with at least {TRENDING_SHARE:.1%} of this week's tokens "
        f"and a growth above {TRENDING_GROWTH:.0%}.",
        is_derived=True,
        unit="growth, 0.1: ten percent more",
        order="score",
        needs_key=True,
    ),
    Dimension(
        "category",
        "By category",
        f"{_RANKINGS}?category=; without a key the order of /models?category=",
        _ISO_WEEK,
        "weekly",
        "Tokens of the week in prompts of the category, the most first; an estimate that OpenRouter makes from a "
        "sample. Variants are added to their base model.",
        is_derived=False,
        unit=None,
        order="tokens",
    ),
    Dimension(
        "modality",
        "By modality",
        f"{_RANKINGS}?modality=",
        _ISO_WEEK,
        "weekly",
        "Tokens of the week in requests with such an input (image, audio) or output (text, image_output), the most "
        "first; variants are added to their base model. A model below the week's top 50 is not ranked.",
        is_derived=False,
        unit=None,
        order="tokens",
        needs_key=True,
    ),
    Dimension(
        "tool_calling",
        "Tool calling",
        f"{_RANKINGS}?modality=tool_calling",
        _ISO_WEEK,
        "weekly",
        "Tokens of the week in requests that call tools, the most first; variants are added to their base model. "
        "A model below the week's top 50 is not ranked.",
        is_derived=False,
        unit=None,
        order="tokens",
        needs_key=True,
    ),
    Dimension(
        "task",
        "By task",
        "OpenRouter Data API, classifications/task",
        _WEEK,
        "daily",
        "Share of the task's requests, the most first, with the share of its tokens beside it; OpenRouter classifies "
        "a sample, and names only the first few models.",
        is_derived=False,
        unit="share of the task's requests, 0 to 1",
        order="score",
        needs_key=True,
    ),
    Dimension(
        "best_value",
        "Best value",
        "Artificial Analysis intelligence index by OpenRouter's benchmarks; prices of the catalog",
        _NOW,
        _EACH_SYNC,
        f"Points of the Artificial Analysis intelligence index per dollar, at the price of {_BLENDED}. Only models "
        "with at least the median index of all that have one, and a known price above zero.",
        is_derived=True,
        unit="index points per USD per million tokens",
        order="score",
    ),
    Dimension(
        "fastest",
        "Fastest",
        _ENDPOINTS,
        "the 30 minutes before the endpoints were seen",
        _EACH_SYNC,
        "The highest median throughput among a model's healthy endpoints.",
        is_derived=True,
        unit="tokens a second",
        order="score",
    ),
    Dimension(
        "most_reliable",
        "Most reliable",
        _ENDPOINTS,
        "the day before the endpoints were seen",
        _EACH_SYNC,
        "The best uptime among a model's active endpoints over the last day, or over 30 minutes where the day's is "
        "not known; of equal ones first the model with more healthy endpoints.",
        is_derived=True,
        unit="percent",
        order="score",
    ),
    Dimension(
        "lowest_cost",
        "Lowest cost",
        _CATALOG,
        _NOW,
        _EACH_SYNC,
        f"The list price of {_BLENDED}, the lowest first. Only models that output nothing but text, at a fixed price "
        "per token above zero.",
        is_derived=True,
        unit="USD per million tokens",
        order="lowest score",
    ),
    Dimension(
        "long_context",
        "Long context",
        _CATALOG,
        _NOW,
        _EACH_SYNC,
        "The longest context; of equal ones first the higher on the leaderboard.",
        is_derived=True,
        unit="tokens",
        order="score",
    ),
    Dimension(
        "tools",
        "Tools",
        f"{_CATALOG}; the leaderboard",
        _WEEK,
        "daily",
        "The models of the leaderboard that can call tools, in its order.",
        is_derived=True,
        unit=None,
        order="as given",
    ),
    Dimension(
        "multimodal",
        "Multimodal",
        _CATALOG,
        _NOW,
        _EACH_SYNC,
        "How many kinds of input a model takes beside text, at least one; of equal ones first the higher on the "
        "leaderboard.",
        is_derived=True,
        unit="kinds of input beside text",
        order="score",
    ),
)

BY_NAME: Mapping[str, Dimension] = MappingProxyType({it.name: it for it in DIMENSIONS})

#: The categories OpenRouter documents, with their titles.
CATEGORIES: Mapping[str, str] = MappingProxyType(
    {
        "programming": "Programming",
        "roleplay": "Roleplay",
        "marketing": "Marketing",
        "marketing/seo": "Marketing: SEO",
        "technology": "Technology",
        "science": "Science",
        "translation": "Translation",
        "legal": "Legal",
        "finance": "Finance",
        "health": "Health",
        "trivia": "Trivia",
        "academia": "Academia",
    }
)

#: The modalities OpenRouter ranks by, with their titles; tool calling, which it asks for alike, is its own dimension.
MODALITIES: Mapping[str, str] = MappingProxyType(
    {
        "image": "Image input",
        "audio": "Audio input",
        "image_output": "Image output",
        "text": "Text output",
    }
)
