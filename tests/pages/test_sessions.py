"""Sealed cookies and form tokens: by a clock that is handed in, and whatever a browser sends."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from llmhive.app import settings as all_settings
from llmhive.app.http.auth import Access, Denied
from llmhive.app.pages.session import COOKIE, FIELD, FORM_COOKIE, LASTS, Role, Sessions
from llmhive.app.pages.signing import inside

WRITE, READ, OTHER = "the-token-that-lets-write", "the-token-that-lets-read", "a-token-of-another-day"
START = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOST = "hive.example"


@dataclass
class Door:
    """`Sessions` of a service that other machines reach, with a clock."""

    write: str = WRITE
    read: str = ""
    on_loopback: bool = False
    now: datetime = START
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        env = {"AUTH_TOKEN": self.write, "AUTH_READ_TOKEN": self.read}
        settings = all_settings.read(env, Path("/nowhere"))
        access = Access(
            settings, use=lambda *_: True, now=lambda: self.now, tell=lambda event, /, **_: self.told.append(event),
            listens_on_loopback=self.on_loopback,
        )  # fmt: skip
        self.sessions = Sessions(settings, access, now=lambda: self.now)

    def cookie(self, role: Role = "write") -> str:
        """What a browser keeps after signing in."""
        response = Response()
        self.sessions.sign_in(asked(), response, role)
        return set_by(response)[COOKIE]


def asked(
    cookies: dict[str, str] | None = None, *, client: str = "192.0.2.1", raw: bytes | None = None, **headers: object
) -> Request:
    """A request with those cookies."""
    lines = [(b"host", HOST.encode())] if "host" not in headers else []
    lines += [(name.replace("_", "-").encode(), str(value).encode("latin-1")) for name, value in headers.items()]
    cookie = "; ".join(f"{name}={value}" for name, value in (cookies or {}).items()).encode("latin-1", "replace")
    if raw is not None or cookies:
        lines.append((b"cookie", cookie if raw is None else raw))
    return Request({
        "type": "http", "method": "GET", "scheme": "http", "path": "/operations", "query_string": b"",
        "headers": lines, "client": (client, 1234), "server": (HOST, 80),
    })  # fmt: skip


def set_by(response: Response) -> dict[str, str]:
    """The cookies that an answer sets."""
    lines = [value.decode() for name, value in response.raw_headers if name == b"set-cookie"]
    return dict(line.partition(";")[0].split("=", 1) for line in lines)


def role(door: Door, cookie: str) -> Role | None:
    return door.sessions.standing(asked({COOKIE: cookie})).role


def test_a_cookie_lets_do_what_its_token_does_for_twelve_hours() -> None:
    door = Door(read=READ)
    for name, can_write in (("write", True), ("read", False)):
        standing = door.sessions.standing(asked({COOKIE: door.cookie(name)}))  # type: ignore[arg-type]
        assert (standing.role, standing.can_read, standing.can_write) == (name, True, can_write)
    cookie = door.cookie()
    door.now += LASTS - timedelta(seconds=1)
    assert role(door, cookie) == "write"
    door.now += timedelta(seconds=1)
    assert role(door, cookie) is None


def test_the_token_is_in_no_cookie() -> None:
    door = Door(read=READ)
    response = Response()
    request = asked()
    door.sessions.sign_in(request, response, "write")
    door.sessions.keep_form(request, response, door.sessions.standing(request))
    lines = [value.decode() for name, value in response.raw_headers if name == b"set-cookie"]
    assert len(lines) == 2
    for line in lines:
        assert WRITE not in line
        assert READ not in line
        assert "httponly" in line.lower()
        assert "samesite=strict" in line.lower()
        assert "domain" not in line.lower()
        assert "secure" not in line.lower()


@pytest.mark.parametrize("told", ["https", "HTTPS", "https, http"])
def test_behind_https_cookies_are_secure(told: str) -> None:
    response = Response()
    Door().sessions.sign_in(asked(x_forwarded_proto=told), response, "write")
    assert "secure" in response.headers["set-cookie"].lower()


def test_a_cookie_of_which_any_byte_differs_is_none() -> None:
    door = Door(read=READ)
    for cookie in (door.cookie("write"), door.cookie("read")):
        for place in range(len(cookie)):
            for other in ("0", "a", ".", "~", "\xff"):
                if cookie[place] != other:
                    assert role(door, cookie[:place] + other + cookie[place + 1 :]) is None
            assert role(door, cookie[:place]) is None
            assert role(door, cookie[:place] + cookie[place + 1 :]) is None
        for other in (f"{cookie}0", f"{cookie}.", cookie.upper(), cookie.replace(".", ".0", 1), f"{cookie} x"):
            assert role(door, other) is None, other


def test_a_reader_cannot_make_a_cookie_that_lets_write() -> None:
    door = Door(read=READ)
    kept = door.cookie("read")
    assert role(door, kept.replace("read", "write")) is None
    # one who knows only the token for reading makes it with that
    forged = Door(write=READ).cookie("write")
    assert role(door, forged) is None


def test_a_new_token_ends_all_sessions() -> None:
    cookie = Door().cookie()
    assert role(Door(write=OTHER), cookie) is None
    assert role(Door(write="", read=READ), cookie) is None
    assert role(Door(), cookie) == "write"


@pytest.mark.parametrize(
    "cookie",
    [
        "", ".", "..", "write", "write.", "write..", "write.1", f"write.{10**10}.", f"write.{10**400}.x", "read.1.x",
        "write.\u0661\u0662\u0663.x", "write.²³.x", "write.-1.x", "write.+1.x", "write.1_0.x", "write. 1.x",
        "\x00", "write.\x00.x", "\xff" * 100, "w" * 60_000, "write." + "9" * 60_000, "\ud800", "write.1.\ud800",
        '"write.1.x"', "None.1.x", "admin.1.x",
    ],
)  # fmt: skip
def test_what_is_no_cookie_of_ours_is_nothing(cookie: str) -> None:
    door = Door(read=READ)
    assert door.sessions._role(cookie) is None
    standing = door.sessions.standing(asked(raw=f"{COOKIE}=".encode() + cookie.encode("utf-8", "surrogatepass")))
    assert (standing.role, standing.can_read, standing.can_write) == (None, False, False)


@given(st.text(max_size=200))
def test_no_cookie_raises(cookie: str) -> None:
    door = Door(read=READ)
    assert door.sessions._role(cookie) is None
    assert door.sessions.role_of(cookie) is None


def test_only_the_tokens_sign_in() -> None:
    door = Door(read=READ)
    assert [door.sessions.role_of(it) for it in (WRITE, READ, "", WRITE[:-1], WRITE + " ", OTHER)] == [
        "write", "read", None, None, None, None,
    ]  # fmt: skip
    assert Door(write="").sessions.role_of("") is None


def test_a_read_token_closes_reading_but_not_to_this_machine() -> None:
    door = Door(read=READ)
    assert not door.sessions.standing(asked()).can_read
    assert door.sessions.standing(asked(authorization=f"Bearer {READ}")).can_read
    assert door.sessions.standing(asked(authorization=f"Bearer {WRITE}")).can_write
    here = Door(read=READ, on_loopback=True)
    local = here.sessions.standing(asked(client="127.0.0.1", host="127.0.0.1:8765"))
    assert (local.can_read, local.can_write) == (True, True)
    # a page whose name was made to lead here
    rebound = here.sessions.standing(asked(client="127.0.0.1", host="evil.example"))
    assert (rebound.can_read, rebound.can_write) == (False, False)


# --- form tokens


def may_send(door: Door, cookies: dict[str, str], given: object) -> bool:
    fields = {} if given is None else {FIELD: given}
    try:
        door.sessions.check_form(asked(cookies), FormData(fields))  # type: ignore[arg-type]
    except Denied:
        return False
    return True


def test_a_form_needs_the_token_of_its_own_session() -> None:
    door = Door()
    session = {COOKIE: door.cookie()}
    token = door.sessions.standing(asked(session)).form_token
    assert may_send(door, {**session, FORM_COOKIE: token}, token)
    # it stays the same while the session does
    assert door.sessions.standing(asked({**session, FORM_COOKIE: token})).form_token == token
    for given_ in (None, "", token[:-1], token.upper(), f"{token}\ud800", "x" * 10_000):
        assert not may_send(door, {**session, FORM_COOKIE: token}, given_), given_
    assert not may_send(door, session, token)
    # of before signing in, of another session, and of nobody
    before = door.sessions.standing(asked()).form_token
    assert not may_send(door, {**session, FORM_COOKIE: before}, before)
    door.now += timedelta(seconds=1)
    other = {COOKIE: door.cookie()}
    assert not may_send(door, {**other, FORM_COOKIE: token}, token)
    assert not may_send(door, {FORM_COOKIE: token}, token)
    # a cookie that somebody else made up, as a neighbouring host could
    for made_up in ("x", "", "a" * 32, f"{'a' * 32}.{'0' * 64}", "\xff", "x" * 60_000):
        assert not may_send(door, {**session, FORM_COOKIE: made_up}, made_up)
        assert door.sessions.standing(asked({**session, FORM_COOKIE: made_up})).form_token != made_up


def test_a_form_ends_with_its_session_and_with_the_token() -> None:
    door = Door()
    session = {COOKIE: door.cookie()}
    token = door.sessions.standing(asked(session)).form_token
    assert not may_send(Door(write=OTHER), {**session, FORM_COOKIE: token}, token)
    door.now += LASTS
    assert not may_send(door, {**session, FORM_COOKIE: token}, token)


def test_without_any_token_forms_have_tokens_all_the_same() -> None:
    door = Door(write="", on_loopback=True)
    token = door.sessions.standing(asked()).form_token
    assert may_send(door, {FORM_COOKIE: token}, token)
    assert not may_send(door, {FORM_COOKIE: token}, None)
    assert not may_send(door, {FORM_COOKIE: "x"}, "x")


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"origin": "null"}, {"origin": "https://evil.example"}, {"origin": "file://"}, {"origin": ""},
        {"origin": f"http://{HOST}.evil.example"}, {"origin": f"http://{HOST}:81"}, {"origin": f"http://x@{HOST}"},
        {"origin": f"http://{HOST}", "sec_fetch_site": "cross-site"},
        {"origin": f"http://{HOST}", "sec_fetch_site": "same-site"},
    ],
)  # fmt: skip
def test_a_form_comes_from_a_page_of_ours(headers: dict[str, Any]) -> None:
    with pytest.raises(Denied) as denied:
        Door().sessions.check_origin(asked(**headers))
    assert denied.value.status == 403


def test_a_form_of_our_own_page_passes() -> None:
    for origin in (f"http://{HOST}", f"https://{HOST}", f"https://{HOST.upper()}:443"):
        Door().sessions.check_origin(asked(origin=origin, sec_fetch_site="same-origin"))


# --- where signing in leads


@pytest.mark.parametrize("path", ["/", "/operations", "/operations/runs/7?x=1#held", "/models/acme/one:free?as_of=1"])
def test_signing_in_leads_back(path: str) -> None:
    assert inside(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "", "operations", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example",
        "https://evil.example", "javascript:alert(1)", "/\t/evil.example", "/\n/evil.example", "\n//evil.example",
        " //evil.example", "/\x00", "/\r\nSet-Cookie: a=b", "/sign-in?next=/", "/sign-out", "/" + "a" * 5000,
        "/\u2028", "//[", "http:/evil.example", "data:text/html,x",
    ],
)  # fmt: skip
def test_signing_in_leads_nowhere_else(path: str) -> None:
    assert inside(path) == "/"


@given(st.text(max_size=60))
def test_no_path_leads_out(path: str) -> None:
    found: Any = inside(path)
    assert found.startswith("/")
    assert not found.startswith("//")
    assert "\\" not in found
