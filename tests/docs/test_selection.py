"""Every worked example of docs/selection.md is recomputed: by plain arithmetic, and by choosing from its own tables.

Its first two tables are a small catalog. A block marked ``example`` is a need in JSON and lines that follow from it:

* ``MODEL PART = FORMULA = … = NUMBER``: all formulas give the number, and it is what the choice says; PART is a mark,
  ``score``, ``cost``, ``per_million`` or ``place``;
* ``MODEL rejected: WHY``, ``MODEL obstacle: WHY`` and ``flip: MODEL WHAT FROM → TO``;
* ``NAME = FORMULA = … = NUMBER``: arithmetic alone. ``rank N`` is the mark of a rank.

Numbers are right to the last digit that is shown.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from llmhive.app.http import select as http_select
from llmhive.catalog.endpoint import Endpoint, Health
from llmhive.catalog.model import Model
from llmhive.catalog.need import ALLOWED, Need
from llmhive.catalog.pricing import Pricing
from llmhive.catalog.quality import mark_of_rank
from llmhive.catalog.routing import Candidate
from llmhive.catalog.selectable import Evidence, Selectable, Stock
from llmhive.catalog.selector import Selector
from llmhive.catalog.shortlist import Shortlist
from llmhive.store.browse import row_of
from tests.docs import generate
from tests.history.measured import ENDPOINTS, MODELS, rows
from tests.history.measured import PAGE as CHAPTER

PAGE = CHAPTER.read_text(encoding="utf-8")
#: When the examples' catalog was true.
AT = datetime(2026, 7, 31, 12, 46, tzinfo=UTC)
#: How many models the examples' leaderboard names.
RANKED = 61
EXAMPLES = re.findall(r"^```example\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
_MODEL = r"[a-z0-9.-]+/[a-z0-9.:-]+"


# --- the examples' catalog


def amounts(row: dict[str, str]) -> Pricing:
    return Pricing.of({unit: Decimal(row[unit]).scaleb(-6) for unit in ("prompt", "completion")})


def number(text: str) -> float | None:
    return float(text) if text not in {"", "–"} else None


def parameters(names: list[str]) -> tuple[str, ...]:
    return tuple(sorted({"vision", "image_output"} ^ {*names, "vision", "image_output"}))


@cache
def selector() -> Selector:
    models, measures, ranks = [], {}, {}
    served = list(rows(*ENDPOINTS))
    for row in rows(*MODELS):
        model_id, can = row["model"], row["can"].split(", ")
        model = Model(
            model_id,
            canonical_slug=f"{model_id}-{row['since'].replace('-', '')}",
            name=model_id,
            created_at=datetime.fromisoformat(row["since"]).replace(tzinfo=UTC),
            context_length=1_000_000,
            input_modalities=("image", "text") if "vision" in can else ("text",),
            output_modalities=("image", "text") if "image_output" in can else ("text",),
            supported_parameters=parameters(can),
            pricing=amounts(row),
        )
        offers = tuple(
            Candidate(
                Endpoint(
                    model_id, it["by"], it["by"].partition("/")[0].title(), context_length=1_000_000,
                    pricing=amounts(it), supported_parameters=tuple(set(parameters(can)) - {it["lacks"]}),
                ),
                Health(
                    0, uptime_last_30m=number(it["uptime"]), throughput_p50=number(it["tokens a second"]),
                    latency_p50=None if (late := number(it["first token"])) is None else late * 1000,
                ),
            )
            for it in sorted(served, key=lambda it: it["by"])
            if it["served"] == model_id
        )  # fmt: skip
        models.append(Selectable(row_of(model, AT, is_active=True), model.pricing, offers or None))
        told = {"intelligence_index": row["intelligence"], "coding_index": row["coding"], "elo:models:all": row["Elo"]}
        measures[model_id] = {metric: float(value) for metric, value in told.items() if number(value) is not None}
        if number(row["rank"]) is not None:
            ranks[model_id] = int(row["rank"])
    assert len(models) > 8
    assert sum(len(it.offers or ()) for it in models) == len(served)
    evidence = Evidence(measures, {"leaderboard": ranks}, {"leaderboard": RANKED})
    return Selector(Stock(1, AT, AT, tuple(models), evidence, "openrouter"))


# --- the examples


def section(heading: str) -> str:
    """What stands under a heading, up to the next one."""
    return re.split(r"^##+ ", PAGE.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def value(formula: str) -> float:
    """A formula as people write it."""
    said = formula.replace("·", "*").replace("−", "-").replace("²", "**2").replace("^", "**").replace(",", "")
    known = {"log10": math.log10, "ln": math.log, "abs": abs}
    return float(eval(said, {"__builtins__": {}}, known))


def is_shown(shown: str, exact: float) -> bool:
    """Whether a number is the exact one, to the last digit that is shown."""
    _, _, decimals = shown.partition(".")
    return abs(float(shown.replace(",", "").replace("−", "-")) - exact) <= 0.5000001 * 10.0 ** -len(decimals)


def nearly(shown: str, computed: float) -> bool:
    """Whether a formula of rounded numbers comes to it, but for one in the last digit."""
    _, _, decimals = shown.partition(".")
    return abs(float(shown.replace(",", "").replace("−", "-")) - computed) <= 1.5 * 10.0 ** -len(decimals)


def of_choice(shortlist: Shortlist, name: str, part: str) -> float:
    """What the answer says of a model."""
    found = shortlist.explain(name)
    assert found.choice is not None, found.why
    if part == "place":
        assert found.place is not None
        return found.place
    known = {"score": found.choice.score, "cost": found.choice.expected_cost, "per_million": found.choice.per_million}
    return float(known[part] or 0) if part in known else found.choice.parts[part]


def check(shortlist: Shortlist, line: str) -> None:
    if rejected := re.fullmatch(rf"({_MODEL}) rejected: (.+)", line):
        assert shortlist.rejected[rejected[1]] == rejected[2]
        return
    if obstacle := re.fullmatch(rf"({_MODEL}) obstacle: (.+)", line):
        assert obstacle[2] in shortlist.explain(obstacle[1]).obstacles
        return
    if flip := re.fullmatch(rf"flip: ({_MODEL}) (\w+) ([\d.]+) → ([\d.]+)", line):
        [found] = [it for it in shortlist.flip_points if (it.id, it.what) == (flip[1], flip[2])]
        assert is_shown(flip[3], found.now), found
        assert is_shown(flip[4], found.at), found
        return
    left, *formulas, shown = line.split(" = ")
    for formula in formulas:
        assert nearly(shown, value(formula)), (formula, value(formula))
    if rank := re.fullmatch(r"rank (\d+)", left):
        assert is_shown(shown, mark_of_rank(int(rank[1])))
    elif said := re.fullmatch(rf"({_MODEL}) (\w+)", left):
        exact = of_choice(shortlist, said[1], said[2])
        assert is_shown(shown, exact), (line, exact)
    else:
        assert formulas, f"{line!r} says nothing"


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_worked_examples(number: int) -> None:
    need, *lines = EXAMPLES[number].strip().splitlines()
    shortlist = selector().select(Need.read(json.loads(need)))
    assert lines
    for line in lines:
        check(shortlist, line)


def test_there_is_an_example_of_everything() -> None:
    """Each part, each way of routing, roles with a score of their own, ties, hysteresis, flip points."""
    text = "\n".join(EXAMPLES)
    needs = [Need.read(json.loads(it.splitlines()[0])) for it in EXAMPLES]
    for part in ("quality", "price", "speed", "score", "cost", "family", "capability", "place"):
        assert re.search(rf"^{_MODEL} {part} = .*[·/−+].* = |^{_MODEL} {part} = \d", text, re.MULTILINE), part
    assert {it.sort for it in needs} == {None, "price", "throughput"}
    assert {"escalation", "replacement"} <= {it.role for it in needs}
    assert any(it.stick_to for it in needs)
    assert {"rejected", "obstacle"} == set(re.findall(rf"^{_MODEL} (\w+): ", text, re.MULTILINE))
    assert {"price", "quality", "rank", "uptime"} == set(re.findall(rf"^flip: {_MODEL} (\w+)", text, re.MULTILINE))


def test_the_request_of_the_chapter() -> None:
    need, body = re.findall(r"^```json\n(.*?)^```$", section("The request"), re.DOTALL | re.MULTILINE)
    assert selector().select(Need.read(json.loads(need))).request() == json.loads(body)


def test_reasons_of_the_chapter() -> None:
    """The example under *Reasons*: a need, and what is said of its first choice."""
    part = section("Reasons")
    [need] = re.findall(r"^```json\n(.*?)^```$", part, re.DOTALL | re.MULTILINE)
    first = selector().select(Need.read(json.loads(need))).choices[0]
    told = re.findall(r"^> \* (.+)$", part, re.MULTILINE)
    assert told == list(first.reasons)


def test_one_need_three_ways() -> None:
    """Python, the command and HTTP ask the same."""
    part = section("One need, three ways")
    [python] = re.findall(r"^```python\n(.*?)^```$", part, re.DOTALL | re.MULTILINE)
    said: dict[str, Any] = {"Need": Need}
    exec(re.search(r"need = Need\(.*?^\)$", python, re.DOTALL | re.MULTILINE)[0], said)  # type: ignore[index]
    [body] = re.findall(r"-d '(\{.*?\})'", part, re.DOTALL)
    assert http_select.read(body.encode()).need == said["need"]


def test_every_option_is_one() -> None:
    known = {word for it in generate.command_table()["select"].params for word in it.opts}
    used = [line for line in PAGE.splitlines() if line.removeprefix("$ ").startswith("llmhive select")]
    assert used
    for line in used:
        assert set(re.findall(r"(?<= )--[a-z-]+", line)) <= known | {"--json"}, line


def test_everything_that_is_left_out_is_told() -> None:
    part = section("What is left out")
    assert re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE) == list(ALLOWED)
