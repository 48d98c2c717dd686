"""What OpenRouter's Data API answers from a world: pure, one function per route.

A wrong parameter raises `Refusal`. Where the documents are silent this is assumed: the buckets of a category are the
weeks that *begin* in the window; a week or month of all traffic sums the days inside the window only.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from tests.fake_openrouter import Record
from tests.upstream_parameters import Query, Refusal, date_of, number, one_of
from tests.upstream_world import LANGUAGES, Counts, World, monday

#: size of request → part of a day's tokens, in percent
BUCKETS = {"1K": 10, "10K": 30, "100K": 40, "1M": 15, "10M": 5}
FLOOR = date(2025, 1, 1)
TOP = 50
SOURCES = {
    "artificial-analysis": ("Artificial Analysis (artificialanalysis.ai)", "https://artificialanalysis.ai"),
    "design-arena": ("Design Arena (designarena.ai)", "https://www.designarena.ai"),
    "openrouter": ("OpenRouter evaluations", "https://openrouter.ai/rankings"),
}
#: task_type → Design Arena's category, OpenRouter's classic evaluation
TASK_TYPES = {"coding": ("codecategories", None), "intelligence": (None, "gpqa_diamond"),
              "agentic": (None, "tau_bench_verified_airline"), "search": (None, None)}  # fmt: skip
EVALUATIONS = (
    "gpqa_diamond", "tau_bench_verified_airline", "search_browsecomp", "search_hle", "search_dsqa", "search_widesearch",
)  # fmt: skip


def rankings(world: World, query: Query) -> Record:
    """`/datasets/rankings-daily`."""
    category = one_of(query, "category", world.categories)
    language = one_of(query, "language_type", LANGUAGES)
    modality = one_of(query, "modality", ("text", "image", "image_output", "audio", "tool_calling"))
    bucket = one_of(query, "context_bucket", BUCKETS)
    period = one_of(query, "period", ("day", "week", "month"))
    start, end = _window(world, query)
    counts: Counts
    if category is None and language is None:
        counts = _exact(world, modality, BUCKETS[bucket] if bucket is not None else 100)
    else:
        if [category, language, modality, bucket].count(None) < 3:
            raise Refusal(400, "category and language_type cannot be combined with each other or with other filters")
        if period == "day":
            raise Refusal(400, "period=day is not available with category or language_type")
        counts = world.categories[category] if category is not None else world.languages[language or ""]
        period = period or "week"
    meta = {"as_of": f"{world.today}T02:00:00.000Z", "version": "v1"}
    rows = _rows({day: of_day for day, of_day in counts.items() if start <= day <= end}, period or "day")
    return {"data": rows, "meta": {**meta, "start_date": start.isoformat(), "end_date": end.isoformat()}}


def _window(world: World, query: Query) -> tuple[date, date]:
    end = date_of(query, "end_date") or world.today - timedelta(days=1)
    if end < FLOOR:
        raise Refusal(400, f"end_date must be on or after {FLOOR}")
    start = max(date_of(query, "start_date") or end - timedelta(days=29), FLOOR)
    if start > end:
        raise Refusal(400, "start_date must not be after end_date")
    if (end - start).days + 1 > 366:
        raise Refusal(400, "The window must not be longer than 366 days")
    return start, end


def _has(record: Record, modality: str | None) -> bool:
    architecture = record["architecture"]
    if modality == "tool_calling":
        return "tools" in record["supported_parameters"]
    if modality in ("text", "image_output"):
        return modality.removesuffix("_output") in architecture["output_modalities"]
    return modality in architecture["input_modalities"]


def _exact(world: World, modality: str | None, percent: int) -> Counts:
    """All traffic, or that of a modality and a size of request; a slug that is not listed is taken for a text model."""
    has = {record["canonical_slug"]: _has(record, modality) for record in reversed(world.models)}
    return {
        day: {
            slug: tokens * percent // 100
            for slug, tokens in counts.items()
            if modality is None or has.get(slug.partition(":")[0], modality == "text")
        }
        for day, counts in world.tokens.items()
    }


def _rows(counts: Counts, period: str) -> list[Record]:
    sums: Counts = {}
    for day, of_day in counts.items():
        first = {"day": day, "week": monday(day), "month": day.replace(day=1)}[period]
        bucket = sums.setdefault(first, {})
        for slug, tokens in of_day.items():
            bucket[slug] = bucket.get(slug, 0) + tokens
    rows: list[tuple[date, str, int]] = []
    for day in sorted(sums):
        ranked = sorted((-tokens, slug) for slug, tokens in sums[day].items() if slug != "other" and tokens > 0)
        rows += [(day, slug, -tokens) for tokens, slug in ranked[:TOP]]
        rest = sums[day].get("other", 0) - sum(tokens for tokens, _ in ranked[TOP:])
        rows += [(day, "other", rest)] if rest else []
    return [{"date": day.isoformat(), "model_permaslug": slug, "total_tokens": str(n)} for day, slug, n in rows]


# --- tasks and benchmarks


def tasks(world: World, query: Query) -> Record:
    """`/classifications/task`."""
    one_of(query, "window", ("7d",))
    return {"data": world.tasks}


def benchmarks(world: World, query: Query) -> Record:
    """`/benchmarks`; `max_results` as in the OpenAPI document: at least 1, all where it is not given."""
    source = one_of(query, "source", SOURCES)
    task = one_of(query, "task_type", TASK_TYPES)
    kind = one_of(query, "benchmark_type", EVALUATIONS)
    surface = one_of(query, "search_surface", ("server-tool", "plugin"))
    arena = one_of(query, "arena", ("models", "builders", "agents"))
    with_config = one_of(query, "include_run_config", ("true", "false")) == "true"
    limit = number(query, "max_results", 1)
    if arena is None and source == "design-arena":
        arena = "models"
    wanted = {"search_engine": query.get("search_engine"), "search_surface": surface}

    def fits(item: Record) -> bool:
        if source is not None and item["source"] != source:
            return False
        if task is not None and not _is_of(item, task):
            return False
        if kind is not None and not _is_kind(item, kind):
            return False
        if item["source"] == "design-arena":
            return arena in (None, item["arena"]) and query.get("category") in (None, item["category"])
        return "search_engine" not in item or all(value in (None, item[key]) for key, value in wanted.items())

    data: list[Record] = [item for item in world.benchmarks if fits(item)]
    if task in ("coding", "intelligence", "agentic"):
        data = sorted(data, key=lambda item: -item.get(f"{task}_index", 0))
    if not with_config:
        data = [{key: value for key, value in item.items() if key != "run_config"} for item in data]
    data = data[:limit]
    name, url = SOURCES[source] if source is not None else (None, None)
    meta: dict[str, Any] = {
        "as_of": f"{world.today}T02:00:00Z", "version": "v1", "source": source, "source_url": url, "task_type": task,
        "citation": name and f"Source: {name} via OpenRouter (openrouter.ai/rankings).",
        "model_count": len({item["model_permaslug"] for item in data}),
    }  # fmt: skip
    return {"data": data, "meta": meta}


def _is_of(item: Record, task: str) -> bool:
    if item["source"] == "artificial-analysis":
        return item.get(f"{task}_index") is not None
    category, evaluation = TASK_TYPES[task]
    if item["source"] == "design-arena":
        return bool(item["category"] == category)
    return bool(item["benchmark_type"] == evaluation or (task == "search" and "search_engine" in item))


def _is_kind(item: Record, kind: str) -> bool:
    if kind.startswith("search_") or item["source"] == "openrouter":
        return bool(item.get("benchmark_type") == kind)
    return True
