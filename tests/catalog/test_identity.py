"""An id taken apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.catalog.identity import Identity, identify
from tests.catalog import strategies as our


@pytest.mark.parametrize(
    ("model_id", "identity"),
    [
        ("openai/gpt-4o", Identity("openai", "gpt-4o", None, is_alias=False)),
        ("openai/gpt-4o:free", Identity("openai", "gpt-4o", "free", is_alias=False)),
        ("~openai/gpt-latest", Identity("openai", "gpt-latest", None, is_alias=True)),
        ("~openai/gpt-latest:batch", Identity("openai", "gpt-latest", "batch", is_alias=True)),
        ("auto", Identity("", "auto", None, is_alias=False)),
        ("auto:free", Identity("", "auto", "free", is_alias=False)),
        ("a/b/c", Identity("a", "b/c", None, is_alias=False)),
        ("a/b:", Identity("a", "b", None, is_alias=False)),
        ("a/b:free:x", Identity("a", "b", "free:x", is_alias=False)),
        ("a:x/b", Identity("", "a", "x/b", is_alias=False)),
        ("~~a/b", Identity("~a", "b", None, is_alias=True)),
        ("a/b~c", Identity("a", "b~c", None, is_alias=False)),
        ("", Identity("", "", None, is_alias=False)),
    ],
)
def test_an_id_is_author_slug_variant(model_id: str, identity: Identity) -> None:
    assert identify(model_id) == identity


@pytest.mark.parametrize(
    ("model_id", "family"),
    [
        ("anthropic/claude-sonnet-4.5", "anthropic/claude-sonnet"),
        ("anthropic/claude-3.5-sonnet", "anthropic/claude"),
        ("deepseek/deepseek-v4-pro", "deepseek/deepseek"),
        ("qwen/qwen3-max", "qwen/qwen"),
        ("qwen/qwen3-235b:free", "qwen/qwen"),
        ("openai/gpt-latest", "openai/gpt"),
        ("~openai/gpt-latest", "openai/gpt"),
        ("a/model-preview-large", "a/model"),
        ("a/model-beta", "a/model"),
        ("a/model-alpha", "a/model"),
        ("a/model-exp", "a/model"),
        ("a/model-experimental", "a/model"),
        ("a/model-betatron", "a/model-betatron"),
        ("a/super-qwen3", "a/super"),
        # nothing is left of them: the slug is the family
        ("openai/o3", "openai/o3"),
        ("openai/o3-mini", "openai/o3-mini"),
        ("01-ai/yi2", "01-ai/yi2"),
        ("a/abc3", "a/abc"),
        ("a/preview", "a/preview"),
        ("a/70b-x", "a/70b-x"),
        ("auto", "/auto"),
    ],
)
def test_siblings_share_a_family(model_id: str, family: str) -> None:
    assert identify(model_id).family == family


@our.laws
@given(st.text())
def test_taking_apart_never_fails_and_loses_nothing(model_id: str) -> None:
    found = identify(model_id)
    assert found.family.startswith(f"{found.author}/")
    path = f"{found.author}/{found.slug}" if found.author else found.slug
    whole = ("~" if found.is_alias else "") + path + (f":{found.variant}" if found.variant else "")
    # an empty author or variant is written as none
    assert whole in {model_id, model_id.removesuffix(":"), model_id.replace("/", "", 1).removesuffix(":")}


@our.laws
@given(our.ids)
def test_variant_and_alias_do_not_change_the_family(model_id: str) -> None:
    base = model_id.removeprefix("~").partition(":")[0]
    assert {identify(name).family for name in (base, f"~{base}", f"{base}:free")} == {identify(model_id).family}
