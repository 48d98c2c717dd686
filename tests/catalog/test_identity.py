"""An id taken apart: against 200 labels made by hand before there were rules, golden examples, and laws."""

from __future__ import annotations

import csv
import string
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from llmhive.catalog.identity import Identity, identify
from llmhive.catalog.lines import BASES, EDITIONS, LINES, OWN, SHORT, SIZES, SPECIALITIES
from tests.catalog import strategies as our

LABELS = Path(__file__).with_name("identity_labels.csv")
PARTS = ("family", "generation", "size", "edition", "release", "variant")
#: Of the labels: how many must be met whole.
GOAL = 0.97


def parts(model_id: str) -> tuple[str | None, ...]:
    found = identify(model_id)
    return tuple(getattr(found, part) for part in PARTS)


def line_of(model_id: str) -> str:
    return identify(model_id).family.partition("/")[2]


# --- labels and examples


def test_the_labels_made_by_hand_are_met() -> None:
    """A label is met when all its parts are."""
    with LABELS.open(encoding="utf-8", newline="") as file:
        labels = {row["id"]: tuple(row[part] or None for part in PARTS) for row in csv.DictReader(file)}
    assert len(labels) == 200
    missed = {model_id: label for model_id, label in labels.items() if parts(model_id) != label}
    for model_id, label in missed.items():
        print(model_id, "is labelled", label, "but read as", parts(model_id))
    print(f"{len(labels) - len(missed)} of {len(labels)} labels are met")
    assert len(labels) - len(missed) >= GOAL * len(labels)


@pytest.mark.parametrize(
    ("model_id", "author", "slug", "variant", "is_alias"),
    [
        ("openai/gpt-4o", "openai", "gpt-4o", None, False),
        ("openai/gpt-4o:free", "openai", "gpt-4o", "free", False),
        ("~openai/gpt-latest", "openai", "gpt-latest", None, True),
        ("~openai/gpt-latest:batch", "openai", "gpt-latest", "batch", True),
        ("auto", "", "auto", None, False),
        ("auto:free", "", "auto", "free", False),
        ("a/b/c", "a", "b/c", None, False),
        ("a/b:", "a", "b", None, False),
        ("a/b:free:x", "a", "b", "free:x", False),
        ("a:x/b", "", "a", "x/b", False),
        ("~~a/b", "~a", "b", None, True),
        ("a/b~c", "a", "b~c", None, False),
        ("", "", "", None, False),
    ],
)
def test_an_id_is_author_slug_variant(
    model_id: str, author: str, slug: str, variant: str | None, is_alias: bool
) -> None:
    found = identify(model_id)
    assert (found.author, found.slug, found.variant, found.is_alias) == (author, slug, variant, is_alias)


def test_an_identity_whole() -> None:
    assert identify("~qwen/Qwen3-VL-235b-a22b-instruct-2507:free") == Identity(
        author="qwen",
        slug="Qwen3-VL-235b-a22b-instruct-2507",
        variant="free",
        is_alias=True,
        family="qwen/qwen-vl",
        generation="3",
        size="235b-a22b",
        edition="instruct",
        release="2507",
        is_fallback=False,
    )


@pytest.mark.parametrize(
    ("model_id", "line", "generation", "size", "edition", "release"),
    [
        # a tier may stand before the generation or behind it
        ("anthropic/claude-3.5-sonnet", "claude", "3.5", "sonnet", None, None),
        ("anthropic/claude-sonnet-4.5", "claude", "4.5", "sonnet", None, None),
        ("google/gemini-flash-8b-1.5-exp", "gemini", "1.5", "flash-8b", "exp", None),
        # generations: split at the point, glued, marked, with letters
        ("mistralai/mistral-medium-3-5", "mistral", "3.5", "medium", None, None),
        ("bytedance/seedance-1-5-pro", "seedance", "1.5", "pro", None, None),
        ("stepfun-ai/step3", "step", "3", None, None, None),
        ("liquid/lfm2-8b-a1b", "lfm", "2", "8b-a1b", None, None),
        ("poolside/laguna-xs.2", "laguna", "2", "xs", None, None),
        ("poolside/laguna-m.1", "laguna", "1", "m", None, None),
        ("poolside/laguna-s-2.1", "laguna", "2.1", "s", None, None),
        ("openai/o3-mini-high", "o", "3", "mini", "high", None),
        ("google/gemma-3n-e4b-it", "gemma", "3n", "e4b", "it", None),
        ("z-ai/glm-5v-turbo", "glm-v", "5", "turbo", None, None),
        ("openai/chatgpt-4o-latest", "chatgpt", "4o", None, "latest", None),
        ("xiaomi/mimo-v2.5-pro", "mimo", "2.5", "pro", None, None),
        # the first is its generation
        ("openai/gpt-5.4-image-2", "gpt-image", "5.4", None, "2", None),
        ("amazon/nova-lite-v1", "nova", "1", "lite", None, None),
        # what is built on another's model
        ("deepseek/deepseek-r1-0528-qwen3-8b", "deepseek-r", "1", "8b", None, "0528"),
        ("cognitivecomputations/dolphin3.0-r1-mistral-24b", "dolphin", "3.0", "24b", "r1", None),
        ("scb10x/llama3.1-typhoon2-70b-instruct", "typhoon", "2", "70b", "instruct", None),
        ("arliai/qwq-32b-arliai-rpr-v1", "arliai-rpr", "1", "32b", None, None),
        ("neversleep/llama-3.1-lumimaid-8b", "llama-lumimaid", "3.1", "8b", None, None),
        ("tokyotech-llm/llama-3.1-swallow-8b-instruct-v0.3", "swallow", "0.3", "8b", "instruct", None),
        ("nousresearch/nous-hermes-2-mixtral-8x7b-dpo", "nous-hermes", "2", "8x7b", "dpo", None),
        ("a/distill-qwen3-8b", "distill-qwen", "3", "8b", None, None),
        ("a/llama-3-8b", "llama", "3", "8b", None, None),
        # dates
        ("openai/gpt-4-1106-preview", "gpt", "4", None, "preview", "1106"),
        ("qwen/qwen3.5-plus-20260420", "qwen", "3.5", "plus", None, "20260420"),
        ("google/gemini-2.5-flash-lite-preview-09-2025", "gemini", "2.5", "flash-lite", "preview", "09-2025"),
        ("qwen/qwen3-0.6b-04-28:free", "qwen", "3", "0.6b", None, "04-28"),
        ("allenai/olmo-2-0325-32b-instruct", "olmo", "2", "32b", "instruct", "0325"),
        ("a/b-2024-11", "b", None, None, None, "2024-11"),
        ("a/b-241122", "b", None, None, None, "241122"),
        ("a/b-2411-05-06", "b", None, None, None, "2411-05-06"),
        # no dates
        ("perplexity/r1-1776", "r", "1", None, "1776", None),
        ("minimax/minimax-01", "minimax", "01", None, None, None),
        ("openai/text-embedding-ada-002", "text-embedding", None, "ada", "002", None),
        # a word means something else to some
        ("thenlper/gte-base", "gte", None, "base", None, None),
        ("deepseek/deepseek-v3-base", "deepseek", "3", None, "base", None),
        ("baai/bge-m3", "bge-m3", None, None, None, None),
        ("relace/relace-search", "relace-search", None, None, None, None),
        ("perplexity/sonar-pro-search", "sonar", None, "pro", "search", None),
        ("openai/o4-mini-deep-research", "o", "4", "mini", "deep-research", None),
        ("sarvamai/sarvam-m", "sarvam-m", None, None, None, None),
        ("ibm-granite/granite-4.0-h-micro", "granite", "4.0", "micro", "h", None),
        # however they are written
        ("eleutherai/llemma_7b", "llemma", None, "7b", None, None),
        ("deepcogito/cogito-v2-preview-llama-405B", "cogito", "2", "405b", "preview", None),
        ("a/--b--3--", "b", "3", None, None, None),
        # a name comes first, whatever it means elsewhere
        ("openrouter/free", "free", None, None, None, None),
        ("a/preview", "preview", None, None, None, None),
        ("a/super-qwen3", "super-qwen", "3", None, None, None),
        ("a/70b-x", "70b", None, "70b", "x", None),
        ("a/4-mini", "4", "4", "mini", None, None),
        ("01-ai/yi2", "yi", "2", None, None, None),
        ("a/b/c-2-mini", "b/c", "2", "mini", None, None),
        ("a/model-betatron", "model-betatron", None, None, None, None),
        ("auto", "auto", None, None, None, None),
        ("a/", "", None, None, None, None),
    ],
)
def test_examples(
    model_id: str, line: str, generation: str | None, size: str | None, edition: str | None, release: str | None
) -> None:
    found = identify(model_id)
    assert found.family == f"{found.author}/{line}"
    assert (found.generation, found.size, found.edition, found.release) == (generation, size, edition, release)


@pytest.mark.parametrize(
    ("alias", "named"),
    [
        ("~anthropic/claude-sonnet-latest", "anthropic/claude-3.5-sonnet"),
        ("~google/gemini-flash-latest", "google/gemini-2.5-flash-lite:batch"),
        ("~openai/gpt-mini-latest", "openai/gpt-5-mini"),
        ("~moonshotai/kimi-latest", "moonshotai/kimi-k3"),
        ("~x-ai/grok-latest", "x-ai/grok-4.20-beta"),
    ],
)
def test_an_alias_belongs_to_the_family_of_what_it_names(alias: str, named: str) -> None:
    assert identify(alias).family == identify(named).family
    assert not identify(alias).is_fallback


@pytest.mark.parametrize(
    ("model_id", "is_fallback"),
    [
        ("anthropic/claude-9-opus", False),
        ("openai/gpt-7-video-mini", False),
        ("openai/gpt-image-audio", False),
        ("openai/gpt-horse-7", True),
        ("openai/claude-3", True),
        ("a/gpt-4", True),
        ("nousresearch/hermes-llama-3-8b", False),
        ("nousresearch/image-hermes", True),
        ("openrouter/horizon-alpha", True),
        ("openai/old/gpt-4", True),
        ("gpt-4", True),
        ("", True),
    ],
)
def test_a_line_that_no_table_knows_is_said_to_be_one(model_id: str, is_fallback: bool) -> None:
    assert identify(model_id).is_fallback == is_fallback


# --- the tables


def test_a_word_has_one_meaning() -> None:
    assert not SIZES & EDITIONS
    assert not SIZES & SPECIALITIES
    assert not EDITIONS & SPECIALITIES
    assert not (SIZES | EDITIONS) & BASES.keys()


@pytest.mark.parametrize("author", sorted(LINES))
def test_every_line_is_read_as_itself(author: str) -> None:
    for line in LINES[author]:
        found = identify(f"{author}/{line}")
        assert found.family == SHORT.get(f"{author}/{line}", f"{author}/{line}")
        assert not found.is_fallback
        assert (found.generation, found.size, found.edition, found.release) == (None, None, None, None)


# --- laws

letters = st.text(string.ascii_lowercase, min_size=3, max_size=8)
dates = st.one_of(
    st.dates().filter(lambda it: 2000 <= it.year < 2100).map(lambda it: it.isoformat()),
    st.dates().filter(lambda it: 2000 <= it.year < 2100).map(lambda it: f"{it:%Y%m%d}"),
    st.dates().map(lambda it: f"{it:%m%d}"),
    st.dates().map(lambda it: f"{it:%m-%d}"),
    st.dates().map(lambda it: f"{it:%m}-2025"),
    st.dates().map(lambda it: f"24{it:%m}"),
)
counts = st.one_of(
    st.integers(1, 999).map(lambda it: f"{it}b"),
    st.integers(1, 99).map(lambda it: f"{it / 10}b"),
    st.builds(lambda n, each: f"{n}x{each}b", st.integers(2, 16), st.integers(1, 99)),
    st.builds(lambda all_, active: f"{all_}b-a{active}b", st.integers(2, 999), st.integers(1, 99)),
    st.integers(1, 4).map(lambda it: f"{it}t"),
)
tiers = st.sampled_from(sorted(SIZES))
generations = st.one_of(
    st.integers(1, 9).map(str), st.builds(lambda whole, part: f"{whole}.{part}", st.integers(0, 9), st.integers(0, 33))
)
lines = st.sampled_from(sorted((author, line) for author, of in LINES.items() for line in of))
words = st.one_of(
    letters, dates, counts, tiers, generations, generations.map(lambda it: f"v{it}"),
    st.sampled_from(sorted(EDITIONS | SPECIALITIES | BASES.keys())), st.builds("{}{}".format, letters, generations),
    st.sampled_from(["l3", "k2", "r1t2", "4o", "4.5v", "m", "001", "32k", "fp16", "mk1", "r7b", "", "x.y.3"]),
)  # fmt: skip
slugs = st.one_of(
    st.lists(words, min_size=1, max_size=7).map("-".join).filter(lambda it: it.strip("-") != ""),
    lines.map(lambda it: it[1]),
)
authors = st.one_of(st.sampled_from(sorted(LINES)), letters)


@our.laws
@given(st.one_of(st.text(), st.builds("{}/{}".format, authors, slugs)))
@example("a/" + "7" * 5000 + "-" + "image-" * 5000)
def test_taking_apart_never_fails_and_loses_nothing(model_id: str) -> None:
    found = identify(model_id)
    assert found.family.startswith(f"{found.author}/")
    path = f"{found.author}/{found.slug}" if found.author else found.slug
    whole = ("~" if found.is_alias else "") + path + (f":{found.variant}" if found.variant else "")
    # an empty author or variant is written as none
    assert whole in {model_id, model_id.removesuffix(":"), model_id.replace("/", "", 1).removesuffix(":")}
    # what is not known is None, never empty
    assert "" not in (found.variant, found.generation, found.size, found.edition, found.release)


@our.laws
@given(st.one_of(our.ids, st.builds("{}/{}".format, authors, slugs)), st.text())
def test_variant_and_alias_do_not_change_the_family(model_id: str, variant: str) -> None:
    base = model_id.removeprefix("~").partition(":")[0]
    for name in (base, f"~{base}", f"{base}:{variant}"):
        assert parts(name)[:-1] == parts(model_id)[:-1]


@our.laws
@given(authors, slugs, st.one_of(tiers, counts))
def test_a_size_added_changes_only_the_size(author: str, slug: str, size: str) -> None:
    without, found = identify(f"{author}/{slug}"), identify(f"{author}/{slug}-{size}")
    assert found.size == (f"{without.size}-{size}" if without.size else size)
    assert (found.family, found.is_fallback) == (without.family, without.is_fallback)
    assert (found.generation, found.edition, found.release) == (without.generation, without.edition, without.release)


@our.laws
@given(authors, slugs, dates)
def test_a_date_added_changes_only_the_release(author: str, slug: str, date: str) -> None:
    # "05" and "06-07" is also "05-06" and "07"
    assume(not slug[-2:].isdigit())
    without, found = identify(f"{author}/{slug}"), identify(f"{author}/{slug}-{date}")
    assert found.release == (f"{without.release}-{date}" if without.release else date)
    assert (found.family, found.is_fallback) == (without.family, without.is_fallback)
    assert (found.generation, found.size, found.edition) == (without.generation, without.size, without.edition)


@our.laws
@given(lines, st.data())
def test_an_id_put_together_is_taken_apart_again(known: tuple[str, str], data: st.DataObject) -> None:
    """In whatever order its parts stand behind the line."""
    author, line = known
    foreign = OWN.get(author, {})
    generation = data.draw(st.none() | generations, label="generation")
    size = data.draw(st.none() | counts | tiers.filter(lambda it: it not in foreign), label="size")
    edition = data.draw(st.none() | st.sampled_from(sorted(EDITIONS - foreign.keys())), label="edition")
    release = data.draw(st.none() | dates, label="release")
    given_parts = [part for part in (generation, size, edition, release) if part]
    slug = "-".join([line, *data.draw(st.permutations(given_parts))])
    found = identify(f"{author}/{slug}")
    assert found.family == SHORT.get(f"{author}/{line}", f"{author}/{line}")
    assert (found.generation, found.size, found.edition, found.release) == (generation, size, edition, release)
    assert not found.is_fallback


@our.laws
@given(authors, slugs)
def test_letters_large_or_small_are_the_same_line(author: str, slug: str) -> None:
    assert parts(f"{author}/{slug.upper()}") == parts(f"{author}/{slug}")


@our.laws
@given(authors, slugs)
def test_a_family_is_named_by_its_line(author: str, slug: str) -> None:
    """A line holds no count of parameters, tier or date, unless that is all there is."""
    line = line_of(f"{author}/{slug}")
    first = next(word for word in slug.split("-") if word)
    assert line
    for word in line.split("-")[1:]:
        assert word == first or word not in SIZES | EDITIONS or OWN.get(author, {}).get(word) == "line"
