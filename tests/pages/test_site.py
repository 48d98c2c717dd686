"""What all pages have in common, over real HTTP: headers, compression, caching, assets, errors, the page of a miss."""

from __future__ import annotations

import gzip
import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from markupsafe import escape

from tests.fake_openrouter import model
from tests.pages.small import serving_models
from tests.serving import Place, Served, asked, place, serving

HOSTILE = '<img src=x onerror="alert(1)">&"\'{{ 7*7 }}'
PATHS = ("/", "/models/acme/one", "/rankings", "/compare", "/changes", "/select", "/operations", "/sign-in")


class Elements(HTMLParser):
    """The elements of a page, as a browser reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    @classmethod
    def of(cls, text: str) -> Elements:
        parser = cls()
        parser.feed(text)
        return parser


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    hostile = model("acme/one", name=HOSTILE, description=HOSTILE)
    records = [model(f"acme/m-{number:02}") for number in range(30)]
    with serving_models(tmp_path_factory.mktemp("site"), hostile, model("acme/two"), *records) as found:
        yield found


@pytest.mark.parametrize("path", PATHS)
def test_each_page_has_a_strict_policy_and_nothing_inline(served: Served, path: str) -> None:
    answer = served.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["form-action"] == "'self'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    seen = Elements.of(answer.text)
    for tag, attributes in seen.found:
        assert not [name for name in attributes if name == "style" or name.startswith("on")], (tag, attributes)
        # data blocks are no scripts
        assert tag != "script" or "src" in attributes or attributes.get("type") == "application/json", attributes
        assert tag not in {"style", "base", "iframe", "object", "embed"}
        for name in ("src", "href", "action"):
            assert not (attributes.get(name) or "/").lower().startswith(("javascript:", "data:", "//")), attributes


@pytest.mark.parametrize(
    "path", ["/", "/models/acme/one", "/compare", "/compare?model=acme/one", "/select", "/select?limit=50"]
)
def test_what_openrouter_says_is_text_and_nothing_else(served: Served, path: str) -> None:
    text = served.get(path).text
    # word for word, also what a template would work out
    assert str(escape(HOSTILE)) in text
    assert "<img src=x" not in text


def test_assets_are_kept_for_ever_and_change_their_address_with_their_content(served: Served) -> None:
    text = served.get("/").text
    links = set(re.findall(r'"(/static/[^"]+)"', text))
    assert {link.rpartition("/")[2] for link in links} == {"llmhive.css", "llmhive.js", "icon.svg", "plotly.min.js"}
    for link in links:
        answer = served.get(link)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        plain = served.client.get(link, headers={"accept-encoding": "identity"})
        assert plain.content == answer.content
        assert "content-encoding" not in plain.headers
        missing = served.get(re.sub(r"/static/\w+/", "/static/0123456789abcdef/", link))
        assert missing.status_code == 404
        assert missing.headers["cache-control"] == "no-store"
    assert served.get("/static/0123456789abcdef/../../pyproject.toml").status_code == 404


def test_a_page_is_packed_and_not_sent_again(served: Served) -> None:
    status, headers, body = asked(served, "/", headers={"Accept-Encoding": "gzip"})
    assert (status, headers["content-encoding"]) == (200, "gzip")
    plain = asked(served, "/")
    assert gzip.decompress(body) == plain[2]
    assert len(body) < len(plain[2]) / 4
    assert headers["cache-control"] == "private, no-cache"
    assert asked(served, "/", headers={"If-None-Match": headers["etag"]})[0] == 304
    assert asked(served, "/", method="HEAD")[2] == b""
    # what holds a form that writes is nobody's to keep
    assert asked(served, "/operations")[1]["cache-control"] == "no-store"


def test_a_page_that_is_missing_is_a_page_for_people_and_a_problem_for_programs(served: Served) -> None:
    for path in ("/no-such-page", "/models/no/such-model", "/operations/runs/999"):
        page = served.client.get(path, headers={"accept": "text/html,*/*"})
        assert page.status_code == 404, path
        assert page.headers["content-type"].startswith("text/html")
        assert "<h1>Not found</h1>" in page.text
    assert served.client.get("/no-such-page").headers["content-type"] == "application/problem+json"
    for path in ("/api/no-such", "/api/models/no/such"):
        answer = served.client.get(path, headers={"accept": "text/html"})
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_a_miss_names_what_comes_near(served: Served) -> None:
    text = html.unescape(served.client.get("/models/acme/onee", headers={"accept": "text/html"}).text)
    assert "acme/one" in text


def test_pages_are_counted_by_their_pattern(served: Served) -> None:
    served.get("/models/acme/one")
    assert 'route="/models/{id}"' in served.get("/metrics").text


def test_an_empty_catalog_says_so_on_every_page(bare_place: Place) -> None:
    with serving(bare_place.llmhive) as served:
        for path in ("/", "/rankings", "/compare", "/changes", "/select", "/operations"):
            answer = served.get(path)
            assert answer.status_code == 200, (path, answer.text[:300])
            assert "bootstrap facts" in answer.text, path


@pytest.fixture
def bare_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place("sqlite", tmp_path_factory.mktemp("bare")) as found:
        yield found
