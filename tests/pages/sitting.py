"""Somebody at a browser without a script: keeps cookies, reads pages, and sends their forms as a browser does."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

from tests.serving import Served

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Answered:
    """An answer just as it came."""

    status: int
    headers: Mapping[str, str]  #: by lower-case name
    text: str
    cookies: tuple[str, ...]  #: each ``Set-Cookie``

    @property
    def to(self) -> str:
        """Where it sends on to."""
        assert self.status == 303, (self.status, self.text[-2000:])
        return self.headers["location"]


@dataclass
class Sitting:
    """One browser before one service."""

    served: Served
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """Of its pages."""
        return f"http://127.0.0.1:{self.served.port}"

    def ask(
        self, method: str, path: str, headers: Mapping[str, str | None] | None = None, body: Any = None
    ) -> Answered:
        """One request with its cookies; a header that is None is left out."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        given: dict[str, str | None] = {"Accept": "text/html", "Cookie": cookie or None, **(headers or {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.served.port, timeout=60)
        try:
            connection.request(method, path, body, {name: it for name, it in given.items() if it is not None})
            answer = connection.getresponse()
            text = answer.read().decode()
            kept = tuple(answer.headers.get_all("Set-Cookie") or ())
            found = {name.lower(): value for name, value in answer.headers.items()}
            return Answered(answer.status, found, text, kept)
        finally:
            connection.close()

    def get(self, path: str, *, status: int = 200) -> str:
        """A page; keeps the cookies that it sets."""
        answer = self.ask("GET", path)
        assert answer.status == status, (path, answer.status, answer.text[-2000:])
        self._keep(answer)
        return answer.text

    def token(self) -> str:
        """The form token that every page of this session with a form has."""
        self.get("/sign-in")
        return self.cookies["llmhive_form"]

    def post(self, path: str, headers: Mapping[str, str | None] | None = None, /, **fields: str) -> Answered:
        """Send a form from a page of its own."""
        fields = {"form_token": self.token(), **fields}
        given: dict[str, str | None] = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin", "Content-Type": FORM}
        answer = self.ask("POST", path, {**given, **(headers or {})}, urlencode(fields))
        self._keep(answer)
        return answer

    def sign_in(self, token: str) -> Answered:
        """Sign in, and be sent on."""
        return self.post("/sign-in", token=token, next="/operations")

    def _keep(self, answer: Answered) -> None:
        for line in answer.cookies:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
