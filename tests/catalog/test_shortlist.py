"""What a shortlist says where a choice could mislead: names that mean nothing, limits that are not what they seem."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal, localcontext
from typing import Any

import pytest

from llmhive.catalog.endpoint import Endpoint, Health
from llmhive.catalog.model import Model
from llmhive.catalog.need import Need
from llmhive.catalog.pricing import Pricing
from llmhive.catalog.routing import Candidate
from llmhive.catalog.selectable import Evidence, Selectable, Stock
from llmhive.catalog.selector import Selector
from llmhive.catalog.shortlist import Shortlist
from llmhive.errors import NotFound, UsageError
from llmhive.store.browse import row_of
from tests.catalog.selecting import AT


def model(model_id: str, prices: dict[str, str] | None = None, **facts: Any) -> Selectable:
    """A model as it is listed; prices are USD per million, or for one."""
    told = {"prompt": "1", "completion": "2"} if prices is None else prices
    rates = {unit: Decimal(it).scaleb(-6 if unit in {"prompt", "completion"} else 0) for unit, it in told.items()}
    content = Model(
        model_id,
        facts.pop("slug", model_id.partition(":")[0]),
        context_length=200_000,
        input_modalities=("text",),
        output_modalities=facts.pop("gives", ("text",)),
        supported_parameters=facts.pop("lists", ("tools",)),
        pricing=Pricing.of(rates),
        **facts,
    )
    return Selectable(row_of(content, AT, is_active=True), content.pricing, None)


def served(it: Selectable, *candidates: Candidate) -> Selectable:
    return it._replace(offers=candidates)


def at(tag: str, model_id: str, price: str = "1", **facts: Any) -> Candidate:
    rate = Decimal(price).scaleb(-6)
    health = Health(0, uptime_last_30m=99.9, throughput_p50=facts.pop("speed", None), latency_p50=facts.pop("ms", None))
    endpoint = Endpoint(
        model_id, tag, tag.title(), context_length=200_000, pricing=Pricing.of({"prompt": rate, "completion": rate}),
        supported_parameters=facts.pop("lists", ("tools",)), **facts,
    )  # fmt: skip
    return Candidate(endpoint, health, key=tag)


def choose(need: Need, *models: Selectable, **figures: float) -> Shortlist:
    measures = {name.replace("__", "/"): {"intelligence_index": index} for name, index in figures.items()}
    return Selector(Stock(1, AT, AT, models, Evidence(measures, {}, {}), "openrouter")).select(need)


def test_an_alias_is_excluded_with_what_it_is_an_alias_of() -> None:
    models = model("a/one"), model("~a/latest"), model("b/two")
    found = choose(Need(allow={"alias"}, exclude={"a/*"}), *models)
    assert found.ids == ("b/two",)
    assert found.rejected == {"a/one": "it is excluded", "~a/latest": "it is excluded"}
    assert set(choose(Need(allow={"alias"}, models={"a/*"}), *models).ids) == {"a/one", "~a/latest"}


def test_a_name_that_several_have_excludes_them_all() -> None:
    found = choose(Need(exclude={"nova"}), model("a/nova"), model("b/nova"), model("c/other"))
    assert found.ids == ("c/other",)
    assert found.notes == ("nothing is known of the quality of any of these: only what else counts tells them apart",)


def test_names_that_mean_nothing_are_told() -> None:
    need = Need(exclude={"opnai/*", "nobody"}, exclude_providers={"nowhere"}, stick_to="gone/model")
    found = choose(need, model("a/one"), a__one=50)
    assert found.notes == (
        "`exclude` names nobody, which is no model here",
        "`exclude` has opnai/*, which is the pattern of no model here",
        "`exclude_providers` names nowhere, which serves nothing here that is known",
        "`stick_to` names gone/model, which is no model here",
    )


def test_a_model_in_use_that_cannot_stay_says_why() -> None:
    need = Need(stick_to="a/one", max_price_per_million={"prompt": "0.5"})
    found = choose(need, model("a/one"), model("b/two", {"prompt": "0.5", "completion": "1"}), b__two=5)
    assert found.ids == ("b/two",)
    assert found.notes == ("a/one cannot stay in use: its prompt price is $1 a million, above $0.5",)


@pytest.mark.parametrize("field", ["inputs", "outputs"])
def test_a_modality_that_there_is_not_is_an_error(field: str) -> None:
    with pytest.raises(UsageError, match="there is no modality 'imges'; near it: image"):
        choose(Need.read({field: ["imges"]}), model("a/one"))
    with pytest.raises(UsageError, match="there is no quantization 'fp7'"):
        choose(Need(quantizations={"fp7"}), model("a/one"))


def test_a_part_without_a_rate_is_no_bargain() -> None:
    """Searches that nobody priced are not free."""
    models = model("a/cheap"), model("b/searches", {"prompt": "2", "completion": "4", "web_search": "0.01"})
    usage = {"prompt": 3000, "completion": 1000, "web_searches": 10}
    found = choose(Need(objective="price", usage=usage), *models)
    assert found.ids == ("b/searches",)
    assert found.choices[0].expected_cost == Decimal("0.11")
    assert found.rejected == {"a/cheap": "what it asks for web searches is not known: allow `unpriced`"}
    found = choose(Need(objective="price", usage=usage, allow={"unpriced"}), *models)
    # what is not known counts as 10 USD a million, and this one is dearer
    assert [(it.id, it.expected_cost) for it in found.choices] == [("a/cheap", None), ("b/searches", Decimal("0.11"))]


def test_an_unknown_price_is_never_shown_as_nothing() -> None:
    clip = model("a/clip", {"prompt": "0", "completion": "0"}, gives=("text", "audio"))
    assert clip.row["pricing_kind"] == "unknown"
    (choice,) = choose(Need(allow={"unpriced"}, outputs={"audio"}), clip).choices
    assert (choice.expected_cost, choice.per_million, choice.parts["price"]) == (None, None, 0.25)
    assert "what it costs is not known" in choice.reasons


def test_a_model_that_gives_no_text_is_replaced_by_one_that_gives_what_it_does() -> None:
    models = (model("a/emb-1", gives=("embeddings",)), model("a/emb-2", gives=("embeddings",)), model("a/chat"))
    assert choose(Need(role="replacement", of="a/emb-1"), *models).ids == ("a/emb-2",)
    found = choose(Need(role="escalation", of="a/emb-1"), *models, **{"a__emb-1": 10, "a__emb-2": 30, "a__chat": 60})
    assert found.ids == ("a/emb-2",)


def test_a_price_ceiling_is_exact_whatever_the_caller_rounds_to() -> None:
    three = model("a/three", {"prompt": "3", "completion": "3"})
    barely = Need(max_price_per_million={"prompt": "2." + "9" * 28})
    assert choose(barely, three).ids == ()
    fine = model("a/fine", {"prompt": "0.43512345", "completion": "1"})
    with localcontext() as context:
        context.prec = 3
        found = choose(Need(max_price_per_million={"prompt": Decimal("0.43512345")}), fine)
        assert found.ids == ("a/fine",)
        assert found.choices[0].per_million == Decimal("0.5763425875")


def test_the_cheaper_of_two_with_the_same_score_comes_first_then_the_better() -> None:
    free = [model(f"a/{name}:free", {"prompt": "0", "completion": "0"}) for name in ("x", "y")]
    found = choose(Need(objective="price", allow={"free"}), *free, **{"a__x:free": 10, "a__y:free": 30})
    assert [(it.id, it.score) for it in found.choices] == [("a/y:free", 1.0), ("a/x:free", 1.0)]
    assert found.explain("a/x:free").place == 2


def test_routers_and_aliases_are_judged_as_they_are_listed() -> None:
    alias = served(model("~a/latest"))
    router = served(model("openrouter/auto", {"prompt": "-1000000", "completion": "-1000000"}))
    nobody = served(model("b/unserved"))
    found = choose(Need(allow={"alias", "router", "unpriced"}), alias, router, nobody)
    assert set(found.ids) == {"~a/latest", "openrouter/auto"}
    assert "it has no endpoints of its own, and is judged by what it is listed with" in found.choices[0].reasons
    assert found.rejected == {"b/unserved": "nobody serves it"}


def test_what_it_would_take_is_told_of_the_endpoint_that_lacks_the_least() -> None:
    far, worst = at("far", "a/one", "3.5", lists=("seed",)), at("worst", "a/one", "9", lists=())
    it = served(model("a/one"), at("near", "a/one", "4"), far, worst)
    found = choose(Need(require={"tools"}, max_price_per_million={"prompt": 3}), it)
    told = found.explain("a/one")
    assert told.why == "its prompt price is $3.5 a million, above $3"
    assert told.obstacles == ("at near: its prompt price is $4 a million, above $3",)
    assert [(each.candidate.name, len(each.lacks)) for each in told.endpoints] == [
        ("near", 1),
        ("far", 2),
        ("worst", 2),
    ]
    assert found.nothing == "No model qualifies. 1 model: its prompt price is $3.5 a million, above $3"
    with pytest.raises(NotFound, match="No model qualifies"):
        found.request()


def test_speed_that_nobody_measured_is_said() -> None:
    found = choose(Need(role="fast"), model("a/one"), model("b/two"), a__one=50)
    assert any(note.startswith("nobody measured the speed of any of these") for note in found.notes)
    quick = served(model("b/quick"), at("one", "b/quick", speed=200.0, ms=300.0))
    assert choose(Need(role="fast"), quick, b__quick=50).notes == ()


def test_a_replacement_says_what_it_has_of_the_original() -> None:
    old = model("a/nova-1", lists=("tools", "seed"))
    new = model("a/nova-2", {"prompt": "2", "completion": "4"})
    (choice,) = choose(Need(role="replacement", of="a/nova-1"), old, new).choices
    assert choice.reasons[:3] == (
        "family 0.80: the same family, the same size",
        "capability 0.50: it lacks seed",
        "price 0.85: 2.00 × that of a/nova-1",
    )


def test_who_asks_for_images_asks_for_one() -> None:
    draws = model("a/draws", {"prompt": "1", "completion": "2", "image_output": "0.00006"}, gives=("text", "image"))
    (choice,) = choose(Need(outputs={"image"}), draws).choices
    # 200 tokens in, and 1,290 of a picture
    assert choice.expected_cost == Decimal("0.0776")
    assert "$0.0776 for 200 + 1,290 tokens, 1,290 of them of images ($52.08 a million)" in choice.reasons
    (told,) = choose(Need(outputs={"image"}, usage={"prompt": 100, "completion": 10}), draws).choices
    assert told.expected_cost == Decimal("0.00012")


def test_a_request_that_costs_what_nobody_knows_is_unpriced() -> None:
    asks = model("a/asks", {"prompt": "1", "completion": "2", "request": "-1"})
    found = choose(Need(objective="price"), asks, model("b/plain", {"prompt": "9", "completion": "9"}))
    assert found.ids == ("b/plain",)
    (first, second) = choose(Need(objective="price", allow={"unpriced"}), asks, model("b/plain")).choices
    assert (first.id, second.id, second.expected_cost) == ("b/plain", "a/asks", None)


def test_places_are_counted_by_score_then_price_then_quality_then_id() -> None:
    """Each of these differs from the next in one thing alone."""
    models = [
        model("a/dear", {"prompt": "4", "completion": "4"}),
        model("b/cheap", {"prompt": "1", "completion": "1"}),
        model("c/free:free", {"prompt": "0", "completion": "0"}),
        model("d/better:free", {"prompt": "0", "completion": "0"}),
        model("e/better:free", {"prompt": "0", "completion": "0"}),
    ]
    figures = {"d__better:free": 40, "e__better:free": 40, "c__free:free": 20}
    found = choose(Need(objective="price", allow={"free"}, limit=1), *models, **figures)
    order = ["d/better:free", "e/better:free", "c/free:free", "b/cheap", "a/dear"]
    assert [found.explain(model_id).place for model_id in order] == [1, 2, 3, 4, 5]
    # the same score for all, told apart by price
    tied = choose(Need(objective="quality", limit=1), *models[:2], a__dear=30, b__cheap=30)
    assert [tied.explain(it).place for it in ("b/cheap", "a/dear")] == [1, 2]


def test_what_removed_each_adds_up_to_what_removed_how_many() -> None:
    dear = {"prompt": "10", "completion": "10"}
    models = model("a/one"), model("a/dear", dear), model("~a/latest"), model("b/two"), model("b/other", dear)
    found = choose(Need(max_price_per_million={"prompt": 5}, exclude={"b/*"}), *models)
    assert set(found.removed_by) == set(found.rejected) >= {"a/dear", "b/two", "b/other", "~a/latest"}
    counts = {(it.what, str(it.value)): it.models for it in found.removed}
    assert Counter((what, str(value)) for what, value in found.removed_by.values()) == counts
