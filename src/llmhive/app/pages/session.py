"""Who uses the pages: a credential that a browser keeps, and forms that no other site can send.

A browser sends no ``Authorization``, so who has a token of the settings signs in with it once and gets a cookie: what
it may do and until when, sealed with the token itself (HMAC), so that every replica can read it, nothing is stored, and
a new token ends all sessions. The cookie is for these pages alone; the API takes none. What writes must come from a
page of ours (`Origin`) and bring the form token that the page was given, which is also a cookie, and is sealed together
with the session: that of another session, or of before signing in, is refused. Both are ``SameSite=Strict``.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import urlencode

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from llmhive.app.http.auth import FOREIGN, Access, Denied
from llmhive.app.settings import Settings

Role = Literal["read", "write"]
COOKIE, FORM_COOKIE = "llmhive_session", "llmhive_form"
FIELD = "form_token"
LASTS = timedelta(hours=12)
_STALE = "This form is not of a page that you have open. Load the page again, and try once more."
_FORM_TOKEN = re.compile(r"([A-Za-z0-9_-]{32})\.([0-9a-f]{64})")
_MOST_DIGITS = 11  #: of an instant in seconds


@dataclass(frozen=True)
class Standing:
    """What somebody may do."""

    can_read: bool
    can_write: bool
    role: Role | None  #: of who is signed in
    form_token: str


class Sessions:
    """Judges requests for pages; keeps nothing."""

    def __init__(self, settings: Settings, access: Access, *, now: Callable[[], datetime]) -> None:
        self._access = access
        self._now = now
        self._tokens: dict[Role, str] = {}
        if settings.auth_token:
            self._tokens["write"] = settings.auth_token
        if settings.auth_read_token:
            self._tokens["read"] = settings.auth_read_token
        #: whether there is a token to sign in with, and one that lets act
        self.is_open, self.lets_write = bool(self._tokens), "write" in self._tokens
        # without a token there is no session to tell apart, and `Origin` alone keeps other sites out
        self._form_key = next(iter(self._tokens.values()), "").encode()

    def standing(self, request: Request) -> Standing:
        """What who asks may do; it may fetch keys."""
        role = self._role(request.cookies.get(COOKIE, ""))
        can_write = role == "write" or self._access.may_write_here(request.scope)
        can_read = can_write or role is not None or self._may_read(request)
        return Standing(can_read, can_write, role, self._known_form(request) or self._new_form(self._session(request)))

    def _may_read(self, request: Request) -> bool:
        try:
            self._access.reader(request.scope)
        except Denied:
            return False
        return True

    def check_origin(self, request: Request) -> None:
        """Raise `Denied` unless a page of ours sent it: browsers say where a form is from."""
        if self._access.is_foreign(request.scope) or "origin" not in request.headers:
            raise Denied(403, FOREIGN)

    def check_form(self, request: Request, form: FormData) -> None:
        """Raise `Denied` unless a form brings the token that its page was given, in the same session."""
        given, known = form.get(FIELD), self._known_form(request)
        if not isinstance(given, str) or known is None or not hmac.compare_digest(_bytes(given), known.encode()):
            raise Denied(403, _STALE)

    def keep_form(self, request: Request, response: Response, standing: Standing) -> None:
        """Give a browser the form token of the page that it gets."""
        if request.cookies.get(FORM_COOKIE) != standing.form_token:
            _set(request, response, FORM_COOKIE, standing.form_token, LASTS)

    def _known_form(self, request: Request) -> str | None:
        """The form token that a browser has, if we gave it one for the session that it is in."""
        found = _FORM_TOKEN.fullmatch(request.cookies.get(FORM_COOKIE, ""))
        if found is None:
            return None
        is_ours = hmac.compare_digest(found[2], self._form_seal(found[1], self._session(request)))
        return found[0] if is_ours else None

    def _new_form(self, session: str) -> str:
        once = secrets.token_urlsafe(24)
        return f"{once}.{self._form_seal(once, session)}"

    def _form_seal(self, once: str, session: str) -> str:
        return hmac.digest(self._form_key, f"llmhive form {once} {session}".encode(), "sha256").hex()

    def _session(self, request: Request) -> str:
        """The cookie of who is signed in; empty for everybody else."""
        cookie = request.cookies.get(COOKIE, "")
        return "" if self._role(cookie) is None else cookie

    # --- signing in

    def role_of(self, token: str) -> Role | None:
        """What a token lets do; None where it is none of ours."""
        found: Role | None = None
        # all of them are compared, so that the time it takes does not say which one it was
        for role, known in self._tokens.items():
            if hmac.compare_digest(_bytes(token), known.encode()):
                found = role
        return found

    def sign_in(self, request: Request, response: Response, role: Role) -> None:
        """Let a browser keep what it may do."""
        _set(request, response, COOKIE, self._sealed(role, int((self._now() + LASTS).timestamp())), LASTS)

    def sign_out(self, request: Request, response: Response) -> None:
        """Let a browser forget it."""
        for name in (COOKIE, FORM_COOKIE):
            _set(request, response, name, "", timedelta(0))

    def ask_to_sign_in(self, request: Request) -> Response:
        """Where who may not read goes on."""
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/sign-in?{urlencode({'next': path})}", 303, {"Cache-Control": "no-store"})

    def _role(self, cookie: str) -> Role | None:
        """What a cookie lets do that we sealed and that is not over; None of any other text."""
        name, _, rest = cookie.partition(".")
        expires = rest.partition(".")[0]
        for role in self._tokens:
            if role == name and expires.isascii() and expires.isdigit() and len(expires) <= _MOST_DIGITS:
                # as a whole: no other text for the same instant passes
                is_ours = hmac.compare_digest(_bytes(cookie), self._sealed(role, int(expires)).encode())
                return role if is_ours and self._now().timestamp() < int(expires) else None
        return None

    def _sealed(self, role: Role, expires: int) -> str:
        key = self._tokens[role].encode()
        seal = hmac.digest(key, f"llmhive session {role} {expires}".encode(), "sha256").hex()
        return f"{role}.{expires}.{seal}"


def _bytes(text: str) -> bytes:
    """Whatever somebody sent: half a character is no reason to raise."""
    return text.encode(errors="surrogatepass")


def _set(request: Request, response: Response, name: str, value: str, lasts: timedelta) -> None:
    response.set_cookie(
        name, value, max_age=int(lasts.total_seconds()), path="/", secure=scheme_of(request) == "https",
        httponly=True, samesite="strict",
    )  # fmt: skip


def scheme_of(request: Request) -> str:
    """``https`` or ``http``, as the browser knows it."""
    # a proxy that speaks TLS for us says so; the first in a row is the one that the browser knows
    told = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    return "https" if told == "https" or request.url.scheme == "https" else "http"
