"""Answers in two parts: gzip that is whole for a strict reader, and what headers mean."""

from __future__ import annotations

import gzip
import json
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmhive.app.http.memory import FRESH, KEPT, KEPT_BYTES, Answer, Memory, accepts_gzip, is_known
from llmhive.app.http.parameters import BadParameter
from llmhive.app.live import Live
from llmhive.catalog.view import Entry, View
from llmhive.store.database import connect
from tests.catalog.strategies import laws
from tests.catalog.test_query import row
from tests.catalog.test_view import REST

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)


@laws
@given(st.binary(min_size=0, max_size=70), st.binary(min_size=0, max_size=300), st.integers(1000, 60_000))
def test_two_parts_are_one_gzip_stream(begin: bytes, seed: bytes, length: int) -> None:
    rest = (seed or b"\x00") * (length // (len(seed) or 1) + 1)
    answer = Answer(rest, b'W/"1"')
    for start in (begin, begin + b"x", b""):
        packed = answer.packed(start)
        assert packed is not None
        assert gzip.decompress(packed) == start + rest
        # one member, and nothing after it
        reader = zlib.decompressobj(wbits=31)
        assert reader.decompress(packed) == start + rest
        assert (reader.eof, reader.unused_data) == (True, b"")


@laws
@given(st.randoms(use_true_random=False), st.integers(1000, 5000))
def test_what_cannot_be_compressed_is_whole_as_well(dice: object, length: int) -> None:
    rest = getattr(dice, "randbytes")(length)  # noqa: B009
    packed = Answer(rest, b"").packed(b"{")
    assert packed is not None
    assert gzip.decompress(packed) == b"{" + rest


def test_the_parts_compressed_are_smaller_and_short_ones_are_left_alone() -> None:
    packed = Answer(b"abc" * 5000, b"").packed(b"{")
    assert packed is not None
    assert len(packed) < 500
    assert Answer(b"x" * 999, b"").packed(b"{") is None


@laws
@given(st.integers(0, 300_000), st.booleans(), st.lists(st.sampled_from([b"{1,", b"{23,", b"{4,"]), max_size=6))
def test_what_is_put_together_once_is_what_would_be_put_together_again(
    length: int, is_packed: bool, begins: list[bytes]
) -> None:
    kept = Answer(b"x" * length, b'W/"1"')
    for begin in begins:
        status, headers, pieces = kept.whole(begin, is_packed=is_packed)
        body = b"".join(pieces)
        again = Answer(b"x" * length, b'W/"1"').whole(begin, is_packed=is_packed)
        assert (status, headers, body) == (200, again[1], b"".join(again[2]))
        named = dict(headers)
        assert named[b"content-length"] == str(len(body)).encode()
        assert named[b"etag"] == b'W/"1"'
        is_gzip = named.get(b"content-encoding") == b"gzip"
        assert is_gzip == (is_packed and length >= 1000)
        assert (gzip.decompress(body) if is_gzip else body) == begin + b"x" * length


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("gzip", True), ("GZIP", True), ("gzip, deflate, br", True), ("deflate,gzip", True), ("*", True),
        ("gzip;q=0.001", True), ("gzip; q=1.0", True), ("br;q=1.0, gzip;q=0.8, *;q=0.1", True), ("*;q=0.1", True),
        ("identity;q=0, gzip", True), ("gzip;q=0, gzip;q=1", True), (" gzip ", True), ("gzip ;q=1", True),
        ("", False), ("identity", False), ("br", False), ("gzip;q=0", False), ("gzip;q=0.0", False),
        ("*;q=0", False), ("gzip;q=0, *", False), ("x-gzipped", False), ("gzip;q=x", False), (",,;;", False),
        ("deflate;q=1, *;q=0", False), ("gzip; q=0", False), ("gzip;Q=0", False), ("gzip; q=0 ", False),
    ],
)  # fmt: skip
def test_accept_encoding(header: str, wanted: bool) -> None:
    assert accepts_gzip(header.encode()) is wanted


@laws
@given(st.binary(max_size=60))
def test_any_accept_encoding_is_read(header: bytes) -> None:
    assert accepts_gzip(header) in {True, False}
    assert is_known(header, b'W/"1"') in {True, False}


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ('W/"41"', True), ('"41"', True), ("*", True), (" * ", True), ('"40", W/"41"', True), ('W/"41","42"', True),
        ('  W/"41"  ', True), ('"40" ,"41" , "42"', True),
        ("", False), ('"4"', False), ('W/"411"', False), ("41", False), ('"41', False), ('w/"41"', False),
        ('"W/41"', False), ("**", False),
    ],
)  # fmt: skip
def test_if_none_match(header: str, wanted: bool) -> None:
    assert is_known(header.encode(), b'W/"41"') is wanted


# --- what is kept


def entry(model_id: str, **columns: object) -> Entry:
    return Entry(REST | row(model_id, **columns))


@pytest.fixture
def live(tmp_path: Path) -> Live:
    """Not started: its view is what the test puts there."""
    found = Live(connect(f"sqlite:///{tmp_path / 'none.db'}"), tell=lambda event, /, **facts: None)
    found.view = View.of(
        [entry("a/b"), entry("a/c"), entry("b/c", author="b")], catalog_version=7, source="openrouter", as_of=AT
    )
    return found


def whole(memory: Memory, answer: Answer | None) -> dict[str, object]:
    assert answer is not None
    found: dict[str, object] = json.loads(memory.newest.begin() + answer.rest)
    return found


def test_an_answer_is_kept_for_its_version_when_it_is_asked_for_again(live: Live) -> None:
    memory = Memory(live, seconds=lambda: AT.timestamp() + 5.9)
    once = memory.newest.models(b"author=a")
    assert once is not None
    assert memory.newest.lists == 0
    first = memory.newest.models(b"author=a")
    assert first is not None
    assert (first.rest, first.etag) == (once.rest, once.etag)
    assert memory.newest.models(b"author=a") is first
    assert whole(memory, first).items() >= {"catalog_age_seconds": 5, "catalog_version": 7, "total": 2}.items()
    assert memory.newest.families() is memory.newest.families()
    assert live.view is not None
    live.view = View.of(live.view.entries, catalog_version=8, source="openrouter", as_of=AT + timedelta(seconds=3))
    again = memory.newest.models(b"author=a")
    assert again is not None
    assert (again.etag[:4], first.etag[:4]) == (b'W/"8', b'W/"7')
    assert whole(memory, again).items() >= {"catalog_age_seconds": 2, "catalog_version": 8, "total": 2}.items()


def test_the_age_goes_by_the_clock_and_is_never_negative(live: Live) -> None:
    now = [AT.timestamp()]
    memory = Memory(live, seconds=lambda: now[0])
    for seconds in (0, 0.99, 1, 3600, -10):
        now[0] = AT.timestamp() + seconds
        assert json.loads(memory.newest.begin() + b'"x":0}')["catalog_age_seconds"] == max(int(seconds // 1), 0)
    live.view = None
    assert json.loads(memory.newest.begin() + b'"x":0}')["catalog_age_seconds"] is None


def test_before_the_first_look_the_catalog_is_empty(live: Live) -> None:
    live.view = None
    memory = Memory(live, seconds=lambda: 0.0)
    assert whole(memory, memory.newest.models(b"")).items() >= {"total": 0, "data": [], "source": None}.items()
    assert memory.newest.model("a/b") is None


def test_lists_of_the_past_are_not_in_memory_and_what_cannot_be_read_is_not_kept(live: Live) -> None:
    memory = Memory(live, seconds=lambda: 0.0)
    assert memory.newest.models(b"as_of=2026-01-01") is None
    assert memory.newest.models(b"known_at=2026-01-01T00:00:00Z") is None
    for _ in range(2):
        with pytest.raises(BadParameter):
            memory.newest.models(b"sort=x")


def test_however_many_questions_are_asked_little_is_kept(live: Live) -> None:
    memory = Memory(live, seconds=lambda: 0.0)
    for number in range(3000):
        for _ in range(1 + number % 2):
            assert whole(memory, memory.newest.models(b"text=b&offset=%d" % number))["offset"] == number
    assert 0 < memory.newest.lists <= KEPT


def test_what_was_read_is_kept_a_moment_and_one_reads_it_again(live: Live) -> None:
    now = [1000.0]
    memory = Memory(live, seconds=lambda: now[0])
    kept, first = memory.newest, Answer(b'"x":1}', b'W/"1"')
    assert kept.known(b"/x ?") is None
    kept.keep(b"/x ?", first)
    assert kept.known(b"/x ?") is kept.known(b"/x ?") is first
    assert kept.known(b"/x ?y=1") is None
    # a clock that went back must not keep it for longer
    for at in (1000 + FRESH, 1000 + FRESH - 3600):
        now[0] = at
        assert kept.known(b"/x ?") is None
        # while that one reads, the others have the old one
        assert kept.known(b"/x ?") is first
    kept.keep(b"/x ?", Answer(b'"x":1}', b'W/"1"'))
    assert kept.known(b"/x ?") is first
    other = Answer(b'"x":2}', b'W/"2"')
    kept.keep(b"/x ?", other)
    assert kept.known(b"/x ?") is other
    assert live.view is not None
    live.view = View.of(live.view.entries, catalog_version=8, source="openrouter", as_of=AT)
    assert memory.newest.known(b"/x ?") is None


def test_reading_the_same_again_takes_no_more_room(live: Live) -> None:
    kept = Memory(live, seconds=lambda: 0.0).newest
    kept.models(b"")
    listed = kept.models(b"")
    for number in range(100):
        kept.keep(b"/large ?", Answer(b"x" * (KEPT_BYTES // 20), b'W/"%d"' % number))
    assert kept.models(b"") is listed
    for number in range(3000):
        kept.keep(b"/x ?%d" % number, Answer(b"x", b""))
    assert kept.lists <= KEPT


def test_all_of_an_answer_is_of_one_view() -> None:
    """A version that comes while an answer is made has no part in it."""
    live = SwitchingLive()
    memory = Memory(live, seconds=lambda: 0.0)  # type: ignore[arg-type]
    kept = memory.newest
    live.switch()
    answer = kept.models(b"")
    assert answer is not None
    assert json.loads(kept.begin() + answer.rest)["catalog_version"] == 1
    assert answer.etag.startswith(b'W/"1-')
    newer = memory.newest.models(b"")
    assert newer is not None
    assert newer.etag.startswith(b'W/"2-')
    assert memory.newest is memory.newest


class SwitchingLive:
    """Has another view when told so."""

    def __init__(self) -> None:
        self.view = View(catalog_version=1)

    def switch(self) -> None:
        """A new version."""
        self.view = View(catalog_version=2)
