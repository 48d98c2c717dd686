"""What a world derives by rule: benchmark scores of all shapes, and shares by task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from tests.fake_openrouter import Record
from tests.upstream_world import World, portion

#: tag → its macro-category is the part before the colon
TASKS = (
    "code:general_impl", "code:debugging", "code:review", "data:extraction", "data:sql", "agent:web_search",
    "agent:tool_use", "general:summarization", "general:chat", "general:translation",
)  # fmt: skip


def benchmarks(world: World) -> list[Record]:
    """All four shapes; the scores are those in the models' own records."""
    rows = {record["canonical_slug"]: record for record in reversed(world.models) if record.get("benchmarks")}
    scored = sorted(rows.values(), key=lambda record: str(record["id"]))
    items: list[Record] = []
    for record in scored:
        prices = {unit: record["pricing"][unit] for unit in ("prompt", "completion")}
        base = {"model_permaslug": record["canonical_slug"], "display_name": record["name"], "pricing": prices}
        if analysis := record["benchmarks"].get("artificial_analysis"):
            items.append({"source": "artificial-analysis", **base, **analysis})
        for entry in record["benchmarks"]["design_arena"]:
            items.append(_arena(base, entry["arena"], entry["category"], entry["elo"], entry["win_rate"]))
    stranger: Record = {"model_permaslug": "mystery-model-v3", "display_name": "Mystery Model v3", "pricing": None}
    items.append(_arena(stranger, "models", "codecategories", 1301.5, 55))
    items.append(_arena(stranger, "builders", "gamedev", 1288, 51.5))
    for record in scored[:20]:
        items += _evaluations(record)
    return items


def _arena(base: Mapping[str, Any], arena: str, category: str, elo: float, win_rate: float) -> Record:
    places = {"first_place": 12, "second_place": 8, "third_place": 5, "fourth_place": None, "total": 27}
    return {
        "source": "design-arena", **base, "arena": arena, "category": category, "elo": elo, "win_rate": win_rate,
        "avg_generation_time_ms": None, "tournament_stats": places,
    }  # fmt: skip


def _evaluations(record: Record) -> list[Record]:
    slug = record["canonical_slug"]
    base = {"source": "openrouter", "model_permaslug": slug, "display_name": record["name"]}
    classic = [
        {
            **base, "benchmark_type": kind, "accuracy": round(portion(kind, slug), 3), "accuracy_stddev": stddev,
            "avg_cost_per_task": 0.002, "total_tasks": 300, "last_run_timestamp": "2026-07-28T13:38:18Z",
        }
        for kind, stddev in (("gpqa_diamond", 0.03), ("tau_bench_verified_airline", None))
    ]  # fmt: skip
    search = [
        {
            **base, "benchmark_type": kind, "primary_metric": metric, "primary_score": round(portion(kind, slug), 3),
            "avg_cost_per_task": None, "avg_latency_per_task_ms": 45210, "search_engine": engine,
            "search_surface": surface, "total_tasks": 100, "last_run_timestamp": "2026-07-28T13:38:18Z",
            "run_config": {"max_agent_turns": 25, "reasoning_effort": None, "temperature": 0.2},
        }
        for kind, metric, engine, surface in (
            ("search_browsecomp", "accuracy", "exa", "server-tool"),
            ("search_widesearch", "f1_by_item", "parallel", "plugin"),
        )
    ]  # fmt: skip
    return classic + search


def tasks(world: World) -> Record:
    slugs = sorted(slug for slug in world.popularity() if slug != "other")
    usage, volume = _parts("usage", TASKS), _parts("tokens", TASKS)
    macros = list(dict.fromkeys(tag.partition(":")[0] for tag in TASKS))
    inside = {macro: [tag for tag in TASKS if tag.startswith(f"{macro}:")] for macro in macros}
    sums = {
        macro: (sum(usage[tag] for tag in tags), sum(volume[tag] for tag in tags)) for macro, tags in inside.items()
    }
    classifications = []
    for tag in sorted(TASKS, key=lambda tag: -usage[tag]):
        macro, _, name = tag.partition(":")
        tokens, requests = _parts(f"{tag} tokens", slugs), _parts(f"{tag} usage", slugs)
        top = sorted(slugs, key=lambda slug: -requests[slug])[:10]
        classifications.append({
            "tag": tag, "display_name": name.replace("_", " ").title(), "macro_category": macro,
            "usage_share": usage[tag], "token_share": volume[tag],
            "category_usage_share": usage[tag] / sums[macro][0], "category_token_share": volume[tag] / sums[macro][1],
            "models": [
                {"id": slug, "tag_usage_share": requests[slug], "tag_token_share": tokens[slug]} for slug in top
            ],
        })  # fmt: skip
    return {
        "window_days": 7,
        "as_of": (world.today - timedelta(days=1)).isoformat(),
        "classifications": classifications,
        "macro_categories": [
            {"key": macro, "label": macro.title(), "usage_share": requests, "token_share": tokens}
            for macro, (requests, tokens) in sums.items()
        ],
    }


def _parts(name: str, keys: Iterable[str]) -> dict[str, float]:
    """Fractions that sum to 1."""
    weights = {key: 0.05 + portion(name, key) for key in keys}
    total = sum(weights.values())
    return {key: weight / total for key, weight in weights.items()}
