"""A model, its document and its version: equal means unchanged."""

from __future__ import annotations

import json
import re
import time
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.catalog.identity import identify
from llmhive.catalog.model import FIELDS, Model, Reasoning, Version, from_document, instant, to_document
from llmhive.catalog.pricing import Override, Pricing, kind_of
from tests.catalog import strategies as our

laws = our.laws

WHOLE = Model(
    id="a/b:free",
    canonical_slug="a/b-2026",
    name="A: B",
    description="Says “ä”.",
    created_at=datetime(2026, 5, 1, 12, tzinfo=UTC),
    context_length=128_000,
    max_completion_tokens=4096,
    top_context_length=64_000,
    is_moderated=False,
    input_modalities=("image", "text"),
    output_modalities=("text",),
    supported_parameters=("seed", "tools"),
    default_parameters=(("temperature", Decimal("0.7")), ("top_k", 5)),
    per_request_limits=(("prompt_tokens", 7),),
    supported_voices=("alloy",),
    tokenizer="GPT",
    instruct_type="chatml",
    pricing=Pricing.of(
        {"prompt": Decimal("0.0000000416666666666667"), "completion": Decimal("1E-6")},
        [
            Override(
                (("min_prompt_tokens", 5), ("utc_days", ("friday", "monday")), ("utc_start", 100)),
                (("prompt", Decimal("0.50")),),
            )
        ],
    ),
    hugging_face_id="x/y",
    knowledge_cutoff="2025-01-31",
    expiration_date=date(2098, 12, 31),
    reasoning=Reasoning(mandatory=True, supported_efforts=("high", "low")),
    alias_target="a/c",
)
DOCUMENT = {
    "id": "a/b:free",
    "canonical_slug": "a/b-2026",
    "name": "A: B",
    "description": "Says “ä”.",
    "created_at": "2026-05-01T12:00:00Z",
    "context_length": 128_000,
    "max_completion_tokens": 4096,
    "top_context_length": 64_000,
    "is_moderated": False,
    "input_modalities": ["image", "text"],
    "output_modalities": ["text"],
    "supported_parameters": ["seed", "tools"],
    "default_parameters": {"temperature": 0.7, "top_k": 5},
    "per_request_limits": {"prompt_tokens": 7},
    "supported_voices": ["alloy"],
    "tokenizer": "GPT",
    "instruct_type": "chatml",
    "pricing": {
        "prompt": "0.0000000416666666666667",
        "completion": "0.000001",
        "overrides": [
            {
                "when": {"min_prompt_tokens": 5, "utc_days": ["friday", "monday"], "utc_start": 100},
                "rates": {"prompt": "0.5"},
            }
        ],
    },
    "pricing_kind": "fixed",
    "hugging_face_id": "x/y",
    "knowledge_cutoff": "2025-01-31",
    "expiration_date": "2098-12-31",
    "reasoning": {
        "mandatory": True,
        "default_enabled": None,
        "default_effort": None,
        "supported_efforts": ["high", "low"],
        "supports_max_tokens": None,
    },
    "alias_target": "a/c",
}


def test_the_document_of_a_whole_model() -> None:
    assert json.loads(Version(WHOLE).document) == DOCUMENT


def test_the_document_of_next_to_nothing() -> None:
    assert Version(Model("a/b")).document == '{"id":"a/b","pricing":{},"pricing_kind":"unknown"}'


def test_the_keys_of_a_document_are_sorted_at_every_level() -> None:
    def walk(value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                walk(item)
        if isinstance(value, dict):
            assert list(value) == sorted(value)
            for item in value.values():
                walk(item)

    walk(json.loads(Version(WHOLE).document))


def test_every_field_of_a_model_is_in_its_document() -> None:
    assert set(to_document(WHOLE)) == set(FIELDS) | {"pricing_kind"}
    assert tuple(field.name for field in fields(Model)) == FIELDS


def test_a_whole_document_is_read_back() -> None:
    assert from_document(json.dumps(DOCUMENT)) == WHOLE
    assert from_document(json.dumps(DOCUMENT).encode()) == WHOLE


@pytest.mark.parametrize("name", FIELDS[1:])
def test_each_field_matters(name: str) -> None:
    nothing = getattr(Model("a/b"), name)
    other = replace(WHOLE, **{name: nothing})
    assert other != WHOLE
    assert Version(other).digest != Version(WHOLE).digest
    assert from_document(Version(other).document) == other


@laws
@given(our.models)
def test_a_document_is_read_back(model: Model) -> None:
    assert from_document(Version(model).document) == model


@laws
@given(our.models)
def test_the_document_of_what_is_read_back_is_the_same(model: Model) -> None:
    document = Version(model).document
    assert Version(from_document(document)).document == document


@laws
@given(our.models, our.models, st.sets(st.sampled_from(FIELDS)))
def test_equal_models_equal_documents_equal_digests(model: Model, other: Model, taken: set[str]) -> None:
    mixed = replace(model, **{name: getattr(other, name) for name in taken})
    one, two = Version(model), Version(mixed)
    is_equal = model == mixed
    assert (one.document == two.document) is is_equal
    assert (one.digest == two.digest) is is_equal
    assert (one == two) is is_equal
    assert hash(one) == hash(two) or not is_equal


@laws
@given(our.decimal_texts(), st.integers(0, 6))
def test_other_spellings_of_a_price_are_the_same_version(text: str, zeros: int) -> None:
    longer = Decimal(f"{text if '.' in text else text + '.'}{'0' * zeros}")
    one, two = (Version(Model("a/b", pricing=Pricing.of({"prompt": rate}))) for rate in (Decimal(text), longer))
    assert one == two
    assert one.digest == two.digest


# --- versions


def test_a_digest_is_half_a_sha_256_of_the_document() -> None:
    # written down: stored digests must stay true
    assert Version(Model("a/b")).digest == "5b043a9ebe5b4a51ad84feaf186cdd7a"
    assert re.fullmatch("[0-9a-f]{32}", Version(WHOLE).digest)


def test_a_stored_version_is_not_computed_again() -> None:
    stored = Version.stored("its digest", json.dumps(DOCUMENT))
    assert (stored.model, stored.digest, stored.document) == (WHOLE, "its digest", json.dumps(DOCUMENT))


def test_a_stored_description_is_put_back() -> None:
    text, description = Version(WHOLE).apart()
    assert description == "Says “ä”."
    assert json.loads(text) == {name: value for name, value in DOCUMENT.items() if name != "description"}
    stored = Version.stored("its digest", text, description)
    assert (stored.model, stored.digest, stored.document) == (WHOLE, "its digest", Version(WHOLE).document)


def test_a_version_without_a_description_has_none_apart() -> None:
    version = Version(Model("a/b"))
    assert version.apart() == (version.document, None)
    assert Version.stored("d", *version.apart()).model.description is None


def test_an_empty_description_is_one() -> None:
    version = Version(Model("a/b", description=""))
    assert version.apart() == (Version(Model("a/b")).document, "")
    assert Version.stored("d", *version.apart()) == version


#: what might be taken for the key, or escapes like it
nasty = st.sampled_from(
    ['","description":"x",', '"description":""', "\\", '\\"', "\n\t\x7f", "\u2028", "𝄞", '","pricing":{}', "{}[]:,"]
)


@laws
@given(our.models, st.none() | our.texts | nasty | st.lists(nasty | our.texts).map("".join), nasty)
def test_a_version_taken_apart_and_stored_is_the_same(model: Model, description: str | None, other: str) -> None:
    version = Version(
        replace(
            model, description=description, canonical_slug=other, alias_target=other,
            default_parameters=(("description", 5),),
        )
    )  # fmt: skip
    text, apart = version.apart()
    assert apart == description
    stored = Version.stored(version.digest, text, apart)
    assert stored == version
    assert stored.digest == version.digest
    assert stored.document == version.document
    assert Version(stored.model).digest == version.digest


@laws
@given(our.models, our.texts | nasty, our.texts | nasty)
def test_versions_that_differ_in_the_description_alone_share_the_rest(model: Model, one: str, two: str) -> None:
    texts = {Version(replace(model, description=text)).apart()[0] for text in (one, two, None)}
    (text,) = texts
    assert text == Version(replace(model, description=None)).document


def test_a_version_is_a_key() -> None:
    assert len({Version(WHOLE), Version(replace(WHOLE)), Version(Model("a/b"))}) == 2
    assert hash(Version(WHOLE)) != hash(Version(Model("a/b")))


def test_a_version_is_not_its_model() -> None:
    assert Version(WHOLE) != WHOLE
    assert Version(WHOLE).__eq__(WHOLE) is NotImplemented


def test_a_version_is_itself() -> None:
    version = Version(WHOLE)
    same = version
    assert version == same


# --- what a model knows of itself


def test_a_models_identity_is_its_ids() -> None:
    assert WHOLE.identity == identify("a/b:free")


@laws
@given(our.models)
def test_a_models_pricing_kind(model: Model) -> None:
    assert model.pricing_kind == kind_of(
        model.pricing, variant=identify(model.id).variant, output_modalities=model.output_modalities
    )


def test_a_free_variant_is_free_whatever_it_outputs() -> None:
    free = Pricing.of({"prompt": Decimal(0), "completion": Decimal(0)})
    assert Model("a/b:free", output_modalities=("image",), pricing=free).pricing_kind == "free"
    assert Model("a/b", output_modalities=("image",), pricing=free).pricing_kind == "unknown"


@pytest.mark.parametrize(
    ("rates", "outputs", "headline"),
    [
        ({"prompt": "1", "completion": "2"}, ("text",), ("1", "2")),
        ({"prompt": "0", "completion": "2"}, ("text",), ("0", "2")),
        ({"prompt": "0", "completion": "0"}, ("text",), ("0", "0")),
        # a media model's "0" is no price
        ({"prompt": "0", "completion": "0"}, ("image",), (None, None)),
        # nor is a router's "-1"
        ({"prompt": "-1", "completion": "-1"}, ("text",), (None, None)),
        ({"prompt": "-1", "completion": "2"}, ("text",), (None, "2")),
        ({"prompt": "1", "completion": "-1"}, ("text",), ("1", None)),
        # half a price is still known
        ({"prompt": "1"}, ("text",), ("1", None)),
        ({"prompt": "0.5"}, ("text",), ("0.5", None)),
        ({"completion": "0.5"}, ("text",), (None, "0.5")),
        ({"prompt": "0"}, ("text",), (None, None)),
        ({"completion": "0"}, ("text",), (None, None)),
        ({}, ("text",), (None, None)),
    ],
)
def test_headlines(rates: dict[str, str], outputs: tuple[str, ...], headline: tuple[str | None, str | None]) -> None:
    priced = Pricing.of({unit: Decimal(rate) for unit, rate in rates.items()})
    prompt, completion = Model("a/b", output_modalities=outputs, pricing=priced).headline(
        datetime(2026, 5, 1, tzinfo=UTC)
    )
    assert (prompt, completion) == tuple(None if rate is None else Decimal(rate) for rate in headline)


def test_a_headline_is_the_rate_at_that_instant() -> None:
    windows = [
        Override((("utc_start", start), ("utc_end", end)), (("completion", Decimal(rate)), ("prompt", Decimal(rate))))
        for start, end, rate in ((0, 1200, 1), (1200, 0, 2))
    ]
    model = Model("a/b", pricing=Pricing.of({}, windows))
    assert model.headline(datetime(2026, 5, 1, 11, 59, tzinfo=UTC)) == (Decimal(1), Decimal(1))
    assert model.headline(datetime(2026, 5, 1, 12, tzinfo=UTC)) == (Decimal(2), Decimal(2))


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (datetime(2026, 5, 1, 12, tzinfo=UTC), "2026-05-01T12:00:00Z"),
        (datetime(2026, 5, 1, 12, 0, 0, 250_000, UTC), "2026-05-01T12:00:00.250000Z"),
        (datetime(2026, 5, 1, 1, tzinfo=timezone(timedelta(hours=2))), "2026-04-30T23:00:00Z"),
        (datetime(900, 5, 1, tzinfo=UTC), "0900-05-01T00:00:00Z"),
    ],
)
def test_instants_are_written_in_utc(at: datetime, text: str) -> None:
    assert instant(at) == text
    assert datetime.fromisoformat(text) == at


def test_instants_are_written_in_utc_whatever_the_zone_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        written = instant(datetime(2026, 5, 1, 12, tzinfo=UTC))
    time.tzset()
    assert written == "2026-05-01T12:00:00Z"
