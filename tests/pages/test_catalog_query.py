"""The catalog page's query string: what it means, and that nothing in it breaks the page."""

from __future__ import annotations

import csv
import gc
import io
import weakref
from collections.abc import Iterator
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmhive.app.pages import options
from llmhive.app.pages.addresses import but, whole
from llmhive.app.pages.catalog import COLUMNS, DEFAULT
from llmhive.catalog.view import View
from llmhive.errors import UsageError
from tests.fake_openrouter import model
from tests.pages.small import serving_models
from tests.serving import Served

#: A text that a spreadsheet would take for a formula.
FORMULA = "=1+1"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    records = [
        model(f"acme/m-{number:02}", name=f"Model {number}", context_length=[None, 4096, 200_000][number % 3],
              pricing={"prompt": ["0.000001", "-1", "0.0000025"][number % 3], "completion": "0.000002"})
        for number in range(30)
    ]  # fmt: skip
    with serving_models(tmp_path_factory.mktemp("catalog"), model("zeta/formula", name=FORMULA), *records) as found:
        yield found


NAMES = (
    "text", "author", "family", "variant", "kind", "free", "in", "out", "capability", "min_context", "min_output",
    "min_prompt", "max_prompt", "min_completion", "max_completion", "held", "active", "new", "expiring", "columns",
    "sort", "reverse", "limit", "offset", "as_of", "nonsense",
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(["", "true", "false", "30", "acme", "prompt", "newest", "context,prompt", "1e3", "-1", "all", "٣"]),
    st.text(max_size=12),
)


@given(
    fields=st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=6),
    path=st.sampled_from(["/", "/catalog.csv", "/catalog.json"]),
)
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_is_asked_there_is_an_answer_or_a_reason(
    served: Served, fields: list[tuple[str, str]], path: str
) -> None:
    answer = served.client.get(f"{path}?{urlencode(fields, errors='surrogatepass')}")
    assert answer.status_code in {200, 422}, answer.text[:500]
    if answer.status_code == 422:
        assert '<p class="note bad">' in answer.text


#: Values that say something.
SAID = st.text(min_size=1, max_size=8).filter(str.strip)


@given(
    fields=st.lists(st.tuples(st.sampled_from(NAMES), SAID | st.sampled_from(["", " "])), max_size=6),
    changes=st.dictionaries(st.sampled_from(NAMES), st.none() | SAID, max_size=3),
)
def test_an_address_keeps_all_but_what_is_changed(
    fields: list[tuple[str, str]], changes: dict[str, str | None]
) -> None:
    made = parse_qsl(but("/", fields, **changes).partition("?")[2], keep_blank_values=True)
    kept = [it for it in fields if it[0] not in changes and it[1].strip()]
    assert [it for it in made if it[0] not in changes] == kept
    assert {name: value for name, value in made if name in changes} == {
        k: v for k, v in changes.items() if v is not None
    }


@pytest.mark.parametrize("text", ["", "0", "-1", "x", "1.5", "²", "٣", "51", "001", "9" * 5000])
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^limit: write a whole number from 1 to 50; not "):
        whole("limit", text, 50)
    assert [whole("limit", it, 50) for it in ("1", "07", "50")] == [1, 7, 50]


def test_what_is_offered_is_made_once_and_of_one_view_only() -> None:
    first, second = View(), View(catalog_version=1)
    assert options.facets(first) is options.facets(first)
    assert options.models(first) is options.models(first)
    of_first = weakref.ref(first)
    options.models(second)
    del first
    gc.collect()
    assert of_first() is None


def test_every_column_can_be_shown_and_downloaded(served: Served) -> None:
    for columns in (*COLUMNS, ",".join(COLUMNS), ""):
        query = f"?columns={quote(columns)}&sort=id"
        rows = list(csv.reader(io.StringIO(served.get(f"/catalog.csv{query}").text)))
        names = columns.split(",") if columns else list(DEFAULT)
        assert rows[0] == ["id", "name", *names]
        assert len(rows) == 32
        data = served.get(f"/catalog.json{query}").json()["data"]
        assert [list(it) for it in data] == [["id", "name", *names]] * 31
        for row, it in zip(rows[1:], data, strict=True):
            told = [
                " ".join(value) if isinstance(value, list) else str("" if value is None else value)
                for value in it.values()
            ]
            assert [value.removeprefix("'") for value in row] == told


def test_what_is_unknown_is_empty_in_a_file(served: Served) -> None:
    rows = {row["id"]: row for row in csv.DictReader(io.StringIO(served.get("/catalog.csv").text))}
    assert rows["acme/m-00"]["context"] == rows["acme/m-01"]["prompt"] == ""
    assert rows["acme/m-02"]["prompt"] == "2.5"


def test_no_cell_is_a_formula(served: Served) -> None:
    assert f"'{FORMULA}" in served.get("/catalog.csv?author=zeta").text
    assert served.get("/catalog.json?author=zeta").json()["data"][0]["name"] == FORMULA
