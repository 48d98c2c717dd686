"""The query parameters: what they mean, and that what cannot be used is said by name."""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.app.http import parameters
from llmhive.app.http.parameters import Asked, BadParameter, instant, read
from llmhive.catalog.query import SORTS, Query
from tests.catalog.strategies import laws

MAY = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query_string", "wanted"),
    [
        ("", {}), ("&&", {}), ("text=claude+opus", {"text": "claude opus"}), ("text=%C3%9Cber", {"text": "Über"}),
        ("author=acme", {"author": "acme"}), ("family=acme%2Fone", {"family": "acme/one"}),
        ("variant=free", {"variant": "free"}),
        ("kind=dynamic", {"kind": "dynamic"}), ("free=true", {"kind": "free"}), ("free=false", {}),
        ("free=false&kind=fixed", {"kind": "fixed"}), ("in=image", {"inputs": ("image",)}),
        ("in=image&in=text,file", {"inputs": ("image", "text", "file")}), ("out=text", {"outputs": ("text",)}),
        ("capability=tools,vision", {"capabilities": ("tools", "vision")}), ("min_context=0", {"min_context": 0}),
        ("min_output=32000", {"min_output": 32_000}), ("max_prompt=3", {"max_prompt": 3.0}),
        ("min_prompt=0.5", {"min_prompt": 0.5}), ("min_completion=1", {"min_completion": 1.0}),
        ("held=true", {"held": True}), ("held=false", {"held": False}),
        ("sort=expiring", {"sort": "expiring"}), ("sort=author", {"sort": "author"}),
        ("max_prompt=0.25", {"max_prompt": 0.25}), ("max_completion=1e3", {"max_completion": 1000.0}),
        ("active=all", {"active": None}), ("active=false", {"active": False}), ("active=true", {"active": True}),
        ("new_since=2026-05-01", {"new_since": MAY}), ("new_since=2026-05-01T02:00:00%2B02:00", {"new_since": MAY}),
        ("new_since=2026-05-01T00:00:00Z", {"new_since": MAY}),
        ("expiring_before=2026-05-01", {"expiring_before": date(2026, 5, 1)}),
        ("sort=newest&reverse=true", {"sort": "newest", "reverse": True}), ("reverse=false", {}),
        ("limit=20&offset=40", {"limit": 20, "offset": 40}), (f"limit={2**53}", {"limit": 2**53}),
    ],
)  # fmt: skip
def test_what_parameters_mean(query_string: str, wanted: dict[str, Any]) -> None:
    assert read(query_string.encode()) == Asked(Query(**wanted))


def test_instants_of_the_past() -> None:
    assert read(b"as_of=2026-05-01&limit=1") == Asked(Query(limit=1), as_of=MAY)
    assert read(b"known_at=2026-05-01T00:00:00Z") == Asked(Query(), known_at=MAY)


@pytest.mark.parametrize(
    ("query_string", "name"),
    [
        ("limit=0", "limit"), (f"limit={2**53 + 1}", "limit"), ("limit=", "limit"), ("limit=%D9%A3", "limit"),
        ("limit=+1", "limit"), ("limit=1&limit=2", "limit"), ("offset=-1", "offset"), ("offset=1.0", "offset"),
        ("max_prompt=nan", "max_prompt"), ("max_prompt=inf", "max_prompt"), ("max_prompt=-0.1", "max_prompt"),
        ("max_prompt=1_0", "max_prompt"), ("max_prompt=", "max_prompt"), ("max_prompt=1e10", "max_prompt"),
        ("max_completion=0x1", "max_completion"), ("min_prompt=-1", "min_prompt"),
        ("min_completion=", "min_completion"), ("held=yes", "held"), ("text=", "text"), (f"text={'x' * 201}", "text"),
        ("text=a%00", "text"),
        ("in=,", "in"), ("in=text,", "in"), ("sort=ID", "sort"), ("sort=", "sort"), ("reverse=1", "reverse"),
        ("reverse=True", "reverse"), ("active=", "active"), ("free=yes", "free"), ("kind=cheap", "kind"),
        ("kind=free&free=true", "free"), ("free=true&kind=free", "kind"), ("free=true&free=true", "free"),
        ("new_since=2026-05", "new_since"), ("new_since=0001-01-01T00:00:00%2B23:00", "new_since"),
        ("expiring_before=2026-05-01T00:00", "expiring_before"), ("as_of=x", "as_of"), ("as_of=", "as_of"),
        ("as_of=2026-01-01&as_of=2026-01-01", "as_of"), ("known_at=2026-01-01&as_of=2026-01-01", "as_of"),
        ("x=1", "x"), ("Limit=1", "Limit"), ("limit", "limit"), ("text=%FF", "query"), ("=1", ""),
        ("&".join(["in=text"] * 65), "query"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_by_name(query_string: str, name: str) -> None:
    with pytest.raises(BadParameter) as told:
        read(query_string.encode())
    assert told.value.name == name
    assert str(told.value).startswith(f"{name}: ")
    assert len(str(told.value)) < 500


def test_a_near_name_is_offered() -> None:
    for written, near in (("capabilty", "capability"), ("min_ctx", "min_context"), ("ofset", "offset")):
        with pytest.raises(BadParameter, match=f"Did you mean {near}\\?"):
            read(f"{written}=1".encode())


@laws
@given(st.binary(max_size=80))
def test_whatever_is_written_is_read_or_refused(query_string: bytes) -> None:
    with contextlib.suppress(BadParameter):
        assert isinstance(read(query_string).query, Query)


words = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=200)


@laws
@given(words, st.sampled_from(SORTS), st.integers(1, 2**53), st.integers(0, 2**53), st.booleans())
def test_what_is_written_comes_back(text: str, sort: str, limit: int, offset: int, reverse: bool) -> None:
    written = {"text": text, "sort": sort, "limit": limit, "offset": offset, "reverse": str(reverse).lower()}
    wanted: Any = {"text": text, "sort": sort, "limit": limit, "offset": offset, "reverse": reverse}
    for encoded in (urlencode(written), urlencode(written, quote_via=quote)):
        assert read(encoded.encode()).query == Query(**wanted)


zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@laws
@given(st.integers(0, 10**10), zones)
def test_an_instant_comes_back_in_utc(seconds: int, zone: timezone) -> None:
    at = datetime.fromtimestamp(seconds, zone)
    assert instant(at.isoformat()) == at
    assert instant(at.isoformat()).tzinfo is UTC


def test_the_document_describes_each_one_with_an_example_that_can_be_read() -> None:
    described = {it["name"]: it for it in parameters.openapi()}
    for name, it in described.items():
        assert (it["in"], it["required"]) == ("query", False)
        assert it["description"]
        if name in parameters.PAST:
            continue
        example = it["example"][0] if isinstance(it["example"], list) else it["example"]
        written = str(example).lower() if isinstance(example, bool) else str(example)
        assert read(urlencode({name: written}).encode()) is not None
        for value in it["schema"].get("enum", ()):
            read(urlencode({name: value}).encode())
    assert described["sort"]["schema"]["enum"] == list(SORTS)


_PARTS = st.text("ab=&%+2C;#?*~ é", max_size=30).map(lambda text: quote(text, safe="=&%+;?*~"))


@laws
@given(_PARTS | st.integers(62, 66).map(lambda count: "&".join("a=b" for _ in range(count))))
def test_what_is_not_encoded_is_read_as_what_is(query_string: str) -> None:
    try:
        wanted = parse_qsl(query_string, keep_blank_values=True, errors="strict", max_num_fields=64)
    except ValueError:
        with pytest.raises(BadParameter):
            parameters._pairs(query_string.encode())
    else:
        assert parameters._pairs(query_string.encode()) == wanted
