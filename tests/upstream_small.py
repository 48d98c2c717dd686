"""The small world: synthetic, with one of everything that is odd upstream."""

from __future__ import annotations

import copy
import math
from datetime import date, timedelta
from random import Random
from typing import Any

from tests.fake_openrouter import ROOT, Record, model
from tests.upstream_world import Counts, World, endpoint, provider


def small(seed: int, today: date) -> World:
    """13 models of 4 authors with 1 to 3 endpoints each, 60 days of 60 slugs."""
    world = World(today, _models(today), {}, _providers(), set(), _tokens(seed, today))
    for record in world.models:
        world.endpoints[record["id"]] = _endpoints_of(record, seed)
    world.endpoints["~acme/atlas-latest"] = copy.deepcopy(world.endpoints["acme/atlas-2"])
    return world.fill()


def _endpoints_of(record: Record, seed: int) -> list[Record]:
    """One to three endpoints, the odd ones among them; a router has none."""
    author, _, name = record["id"].partition("/")
    if author == "openrouter":
        return []
    if name == "coder-9b":
        cheap = {"pricing": {"prompt": "0.00000002", "completion": "0.00000006"}}
        return [  # the first two share a tag
            endpoint(record, "DeepInfra", "deepinfra/fp8", quantization="fp8"),
            endpoint(record, "DeepInfra", "deepinfra/fp8", quantization="fp8", context_length=32768, **cheap),
            endpoint(
                record, "Together", "together", quantization="bf16", status=-2, uptime_last_5m=41.5,
                uptime_last_30m=71.25, uptime_last_1d=88.125, supported_parameters=["max_tokens", "temperature"],
            ),
        ]  # fmt: skip
    if name == "aurora-mini":
        unknown = dict.fromkeys(("uptime_last_5m", "uptime_last_30m", "uptime_last_1d"))
        idle = dict.fromkeys(("latency_last_30m", "throughput_last_30m"))
        return [
            endpoint(record, "Fireworks", "fireworks", pricing={"discount": 0.2}),
            endpoint(record, "Azure", "azure", quantization="unknown", max_prompt_tokens=100000, **unknown, **idle),
            endpoint(record, "Groq", "groq", status=-5, **unknown),
        ]
    providers = [("Google", "google-vertex/global"), ("Azure", "azure"), ("Amazon Bedrock", "amazon-bedrock")]
    count = Random(f"{seed} {record['id']}").randint(1, 3)
    return [endpoint(record, provider, tag) for provider, tag in providers[:count]]


def _models(today: date) -> list[Record]:
    chat = ["max_tokens", "temperature", "top_p", "tools", "tool_choice", "response_format", "structured_outputs"]
    tiers = [{"min_prompt_tokens": 200000, "prompt": "0.000004", "completion": "0.000018"}]
    atlas = {"prompt": "0.000002", "completion": "0.000012", "input_cache_read": "0.0000002", "web_search": "0.01"}
    atlas_2: dict[str, Any] = {
        "context_length": 1000000,
        "supported_parameters": [*chat, "reasoning", "include_reasoning"],
        "reasoning": {"mandatory": False, "default_enabled": True, "supported_efforts": None},
        "benchmarks": _scores(71.4, 63.2, 55.8, 1385.2, 5),
        "canonical_slug": "acme/atlas-2-20260901",
    }
    aurora = {"architecture": {"modality": "text+image+file->text", "input_modalities": ["text", "image", "file"]}}
    return [
        model("acme/atlas-2", pricing={**atlas, "overrides": tiers}, created=_unix(today, 26), **atlas_2),
        model("acme/atlas-2:free", created=_unix(today, 25), **{**atlas_2, "context_length": 131072}),
        model(
            "acme/atlas-2:batch", created=_unix(today, 25), pricing={"prompt": "0.000001", "completion": "0.000006"},
            **atlas_2,
        ),
        model("acme/atlas-1", created=_unix(today, 500), expiration_date=(today + timedelta(days=40)).isoformat(),
              benchmarks=_scores(52.0, None, 31.5, 1210.0, 31)),
        model("~acme/atlas-latest", canonical_slug="~acme/atlas-latest", created=_unix(today, 26), pricing=atlas,
              architecture={"tokenizer": "Router"}, alias_target={"slug": "acme/atlas-2", "name": "Acme: Atlas 2"},
              links={"details": f"{ROOT}/models/~acme/atlas-latest/endpoints"}),
        model("borealis/aurora-large", **aurora, created=_unix(today, 120), supported_parameters=chat,
              pricing={"prompt": "0.00000125", "completion": "0.00001", "image": "0.00000125"},
              benchmarks=_scores(68.9, 60.1, None, 1402.7, 2)),
        model("borealis/aurora-mini", **aurora, created=_unix(today, 121), supported_parameters=chat,
              pricing={"prompt": "0.00000008333333333333334", "completion": "0.0000004"}),
        model("borealis/aurora-mini:thinking", **aurora, created=_unix(today, 121),
              pricing={"prompt": "0.0000001", "completion": "0.0000016"}),
        model("borealis/echo", created=_unix(today, 60), context_length=32768, architecture={
            "modality": "text+audio->text+audio", "input_modalities": ["text", "audio"],
            "output_modalities": ["text", "audio"]}, pricing={"audio": "0.00001", "audio_output": "0.00002"}),
        model("cobalt/coder-9b", created=_unix(today, 200), hugging_face_id="cobalt/Coder-9B",
              supported_parameters=chat, benchmarks=_scores(33.1, 41.7, 20.2),
              pricing={"prompt": "0.00000003", "completion": "0.00000009"}),
        model("cobalt/pixel", created=_unix(today, 80), context_length=0, supported_parameters=[], architecture={
            "modality": "text->image", "output_modalities": ["image"], "tokenizer": "Media"},
              pricing={"prompt": "0", "completion": "0"}),
        model("cobalt/embed-1", created=_unix(today, 90), context_length=8192, supported_parameters=[],
              architecture={"modality": "text->embeddings", "output_modalities": ["embeddings"]},
              pricing={"prompt": "0.00000001", "completion": "0"}),
        model("openrouter/auto", canonical_slug="openrouter/auto", created=_unix(today, 900), context_length=2000000,
              architecture={"tokenizer": "Router"}, pricing={"prompt": "-1", "completion": "-1"},
              top_provider={"context_length": None, "max_completion_tokens": None}),
    ]  # fmt: skip


def _unix(today: date, days_ago: int) -> int:
    return (today.toordinal() - date(1970, 1, 1).toordinal() - days_ago) * 86400


def _scores(intelligence: float, coding: float | None, agentic: float | None, elo: float = 0, rank: int = 0) -> Record:
    arena = [{"arena": "models", "category": "website", "elo": elo, "rank": rank, "win_rate": 62.5}] if elo else []
    indices = {"intelligence_index": intelligence, "coding_index": coding, "agentic_index": agentic}
    return {"design_arena": arena, "artificial_analysis": indices}


def _providers() -> list[Record]:
    return [
        provider("Amazon Bedrock", "US", ["US", "IE"]),
        provider("Azure", "US", ["US", "NL"]),
        provider("DeepInfra", "US", ["US"]),
        provider("Fireworks", "US", None),
        provider("Google", "US", []),
        provider("Groq", None, None),
        provider("Mistral", "FR", ["SE"]),
        provider("Together", "US", ["US"]),
    ]


def _tokens(seed: int, today: date) -> Counts:
    """60 days of 60 slugs: variants, retired and unknown ones, one that began and one that ended on the way, and two
    that are equal every day.
    """
    known = [
        "acme/atlas-2-20260901", "acme/atlas-2-20260901:free", "borealis/aurora-large-20260115", "stealth/otter-alpha",
        "borealis/aurora-mini-20260115", "cobalt/coder-9b-20260115", "acme/atlas-1-20260115",
        "borealis/aurora-mini-20260115:thinking", "acme/atlas-0-20240301", "borealis/echo-20260115",
        "acme/atlas-2-20260901:batch",
    ]  # fmt: skip
    slugs = known + [f"delta/wave-{number:02}-20250{1 + number % 9}01" for number in range(60 - len(known))]
    days = [today - timedelta(days=back) for back in range(60, 0, -1)]
    counts: Counts = {day: {} for day in days}
    for number, slug in enumerate(slugs):
        place = 20 if number == 21 else number  # twins
        chance = Random(f"{seed} tokens {place}")
        trend = chance.uniform(-0.01, 0.02)
        for age, day in enumerate(days):
            weekend = 0.7 if day.weekday() >= 5 else 1.0
            volume = 9e11 / (place + 1) * math.exp(trend * age) * weekend * chance.uniform(0.9, 1.1)
            began = age >= 34 or not slug.startswith("acme/atlas-2")
            ended = age >= 45 and slug == "acme/atlas-0-20240301"
            if began and not ended:
                counts[day][slug] = int(volume)
    return counts
