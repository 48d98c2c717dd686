"""What OpenRouter answers about models, endpoints and keys, from a world: pure, one function per route.

A wrong parameter raises `Refusal`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from urllib.parse import urlencode

from tests.fake_openrouter import ROOT, Record
from tests.upstream_parameters import Query, Refusal, number, one_of
from tests.upstream_world import World, permaslug

OUTPUTS = ("text", "image", "embeddings", "audio", "video", "rerank", "speech", "transcription")


def models(world: World, query: Query) -> Record:
    """`/models`; understood are `q`, `category`, `supported_parameters`, `input_modalities`, `output_modalities`,
    `context`, `model_authors`, `sort`, `offset` and `limit`.
    """
    found = [record for record in _of_outputs(world, query) if _fits(record, query)]
    category = one_of(query, "category", world.categories)
    if category is not None:
        week = world.popularity(world.categories[category])
        listed = [record for record in found if permaslug(record) in week]
        found = sorted(listed, key=lambda record: -week[permaslug(record)])[:20]
    if (sort := one_of(query, "sort", SORTS)) is not None:
        found = _sorted(found, SORTS[sort](world), reverse=not sort.endswith("low-to-high"))
    return _page(found, query)


def models_count(world: World, query: Query) -> Record:
    return {"data": {"count": len(_of_outputs(world, query))}}


def model(world: World, name: str) -> Record:
    return {"data": _known(world, name)}


def _known(world: World, name: str) -> Record:
    if (record := world.find(name)) is None:
        raise Refusal(404, f"Model {name} does not exist")
    return record


def _of_outputs(world: World, query: Query) -> list[Record]:
    asked = query.get("output_modalities", "text").split(",")
    if asked == ["all"]:
        return list(world.models)
    if unknown := set(asked) - set(OUTPUTS):
        raise Refusal(400, f"Invalid output_modalities: {sorted(unknown)[0]}")
    return [record for record in world.models if set(asked) & set(record["architecture"]["output_modalities"])]


def _fits(record: Record, query: Query) -> bool:
    def words(name: str) -> set[str]:
        return set(query[name].split(",")) if name in query else set()

    inputs, authors = words("input_modalities"), words("model_authors")
    text = query.get("q", "").lower()
    return (
        (text in record["id"].lower() or text in record["name"].lower())
        and words("supported_parameters") <= set(record["supported_parameters"])
        and (not inputs or bool(inputs & set(record["architecture"]["input_modalities"])))
        and (not authors or record["id"].lstrip("~").partition("/")[0] in authors)
        and (record["context_length"] or 0) >= (number(query, "context", 1) or 0)
    )


Key = Callable[[Record], float | None]


def _sorted(records: Sequence[Record], key: Key, *, reverse: bool) -> list[Record]:
    """Those without a value come last."""
    valued = [(value, record) for record in records if (value := key(record)) is not None]
    ordered = [record for _, record in sorted(valued, key=lambda pair: pair[0], reverse=reverse)]
    return ordered + [record for record in records if key(record) is None]


def _by_tokens(world: World) -> Key:
    week = world.popularity()
    return lambda record: week.get(permaslug(record))


def _by_price(world: World) -> Key:
    def key(record: Record) -> float | None:
        prompt, completion = (float(record["pricing"][unit]) for unit in ("prompt", "completion"))
        return None if min(prompt, completion) < 0 else (prompt + completion) / 2

    return key


def _by_speed(name: str, best: Callable[[Iterable[float]], float]) -> Callable[[World], Key]:
    def by(world: World) -> Key:
        def key(record: Record) -> float | None:
            stats = [endpoint[name]["p50"] for endpoint in world.endpoints.get(record["id"], ()) if endpoint[name]]
            return best(stats) if stats else None

        return key

    return by


def _by_score(read: Callable[[Record], float | None]) -> Callable[[World], Key]:
    return lambda world: lambda record: read(record["benchmarks"]) if record.get("benchmarks") else None


def _index(name: str) -> Callable[[World], Key]:
    return _by_score(lambda scores: (scores.get("artificial_analysis") or {}).get(f"{name}_index"))


def _elo(scores: Record) -> float | None:
    return max((entry["elo"] for entry in scores["design_arena"]), default=None)


SORTS: Mapping[str, Callable[[World], Key]] = {
    "most-popular": _by_tokens,
    "top-weekly": _by_tokens,
    "newest": lambda world: lambda record: record["created"],
    "pricing-low-to-high": _by_price,
    "pricing-high-to-low": _by_price,
    "context-high-to-low": lambda world: lambda record: record["context_length"],
    "throughput-high-to-low": _by_speed("throughput_last_30m", max),
    "latency-low-to-high": _by_speed("latency_last_30m", min),
    "intelligence-high-to-low": _index("intelligence"),
    "coding-high-to-low": _index("coding"),
    "agentic-high-to-low": _index("agentic"),
    "design-arena-elo-high-to-low": _by_score(_elo),
}


def _page(records: Sequence[Record], query: Query) -> Record:
    offset, limit = number(query, "offset", 0), number(query, "limit", 1, 1000)
    link: str | None = None
    page = records
    if offset is not None or limit is not None:
        offset, limit = offset or 0, limit or 500
        page = records[offset : offset + limit]
        if offset + limit < len(records):
            link = f"{ROOT}/models?{urlencode({**query, 'offset': offset + limit, 'limit': limit})}"
    return {"data": page, "total_count": len(records), "links": {"next": link}}


# --- endpoints


def endpoints(world: World, name: str, *, shown: bool) -> Record:
    """`/models/{author}/{slug}/endpoints`; latency and throughput only where `shown`."""
    record = _known(world, name)
    facts = {key: record.get(key) for key in ("id", "name", "created", "architecture")}
    offers = [_seen(offer, shown) for offer in world.endpoints.get(record["id"], ())]
    return {"data": {**facts, "description": record.get("description") or "", "endpoints": offers}}


def zdr(world: World, *, shown: bool) -> Record:
    """`/endpoints/zdr`: of all models."""
    return {
        "data": [
            _seen(offer, shown)
            for id, offers in world.endpoints.items()
            for offer in offers
            if (id, offer["tag"]) in world.zdr
        ]
    }


def _seen(offer: Record, shown: bool) -> Record:
    return offer if shown else {**offer, "latency_last_30m": None, "throughput_last_30m": None}


# --- the key


def key_facts(world: World, key: str) -> Record:
    """`/key`."""
    spans = ("", "_daily", "_weekly", "_monthly")
    spent = [f"{kind}{span}" for kind in ("usage", "byok_usage") for span in spans]
    facts: Record = {
        **dict.fromkeys(spent, 0),
        "label": f"{key[:12]}...{key[-3:]}",
        "limit": None,
        "limit_remaining": None,
        "limit_reset": None,
        "include_byok_in_limit": False,
        "is_free_tier": False,
        "is_management_key": False,
        "is_provisioning_key": False,
        "creator_user_id": None,
        "expires_at": None,
        "rate_limit": {"requests": -1, "interval": "10s", "note": "This field is deprecated and safe to ignore."},
    }
    return {"data": {**facts, **world.key}}
