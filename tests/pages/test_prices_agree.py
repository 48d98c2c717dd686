"""A price reads the same wherever it stands: in the table of models, on a model's page, of an endpoint, compared."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from llmhive.app.pages import compare, compare_rows, model, model_market, words
from llmhive.app.pages.compare_rows import Column
from llmhive.catalog import document
from llmhive.catalog.pricing import counts_tokens, exact
from tests.pages import desk
from tests.pages.desk import Desk

UNITS = ("prompt", "completion")
#: What an endpoint has beside its prices.
ENDPOINT = (
    "discount", "uptime_last_30m", "uptime_last_1d", "provider", "tag", "key", "is_active", "is_zdr", "context_length",
    "max_completion_tokens", "quantization", "latency_ms", "throughput_tps", "status", "since", "last_seen_at",
)  # fmt: skip


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    found = desk.of_real(tmp_path_factory.mktemp("prices"), compare, model)
    yield found
    found.catalog.close()


def compared(*models: dict[str, Any]) -> dict[str, tuple[compare_rows.Cell, ...]]:
    found = compare_rows.groups([Column(it) for it in models], frozenset(), usage="")
    return {row.title: row.cells for it in found if it.title == "Prices, USD" for row in it.rows}


def test_a_price_reads_the_same_everywhere(real: Desk) -> None:
    row_of = real._site.template("catalog_row.html").render
    seen = set()
    for entry in real.view.entries:
        it = document.listed(entry.row, None)
        outputs, kind = it["output_modalities"], it["pricing_kind"]
        on_page = {unit["unit"]: unit["price"] for unit in model.units(it)}
        side_by_side = compared(it)
        markup = row_of(it=it, columns=UNITS, values=dict.fromkeys(UNITS), is_new=False, titles={})
        in_table = [re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r'<td class="num">(.*?)</td>', markup)]
        served = {"pricing": it["pricing"], **dict.fromkeys(ENDPOINT)}
        endpoint = model_market._endpoint(served, kind, outputs)
        for unit, cell in zip(UNITS, in_table, strict=True):
            text = on_page[unit]
            assert side_by_side[words.unit_name(unit)][0].text == text, entry.id
            assert cell == endpoint[unit] == text.removesuffix(" / M"), entry.id
            rate = exact(it["pricing"][unit])
            # what the library knows is told, what it does not is no figure
            assert (rate is None) == (text in {"unknown", "varies"}), entry.id
            assert (" each" in text) == (rate is not None and kind != "free" and not counts_tokens(outputs)), entry.id
            seen.add((kind, counts_tokens(outputs), rate is not None and not rate))
    # of each kind there was one
    assert {("fixed", False, True), ("unknown", False, False), ("free", False, True), ("fixed", True, False)} <= seen


def test_no_price_of_a_media_model_is_the_best(real: Desk) -> None:
    models = [document.listed(it.row, None) for it in real.view.entries]
    media = [it for it in models if not counts_tokens(it["output_modalities"])]
    assert len(media) > 20
    for at in range(0, len(media), 2):
        rows = compared(*media[at : at + 4], models[at])
        assert not any(cell.mark for unit in UNITS for cell in rows[words.unit_name(unit)])
    with_text = [it for it in models if it["output_modalities"] == ["text"] and it["pricing_kind"] == "fixed"][:2]
    assert any(cell.mark for cell in compared(*with_text)["Prompt"])


def test_a_zero_that_the_library_knows_is_one() -> None:
    assert words.price("0", "completion", "fixed", ["transcription"]) == "$0.00 each"
    assert words.price("0", "completion", "unknown", ["rerank"]) == "unknown"
    assert words.price("0", "completion", "unknown", ["video"]) == "unknown"
    assert words.price("0", "completion", "free", ["speech"]) == "free"
    assert words.price("0", "completion", "fixed", ["text"]) == "$0.00 / M"
    assert {words.price(it, "prompt", "dynamic", ["text"]) for it in (None, "-1")} == {"varies"}
    assert words.price_in_column("0.000015", "prompt", "fixed", ["speech"]) == "$0.000015 each"
    assert words.price_in_column("0.000003", "prompt", "fixed", ["text"]) == "$3.00"
