"""Who may call, and that nobody else may: real keys, a real key server, a clock that is handed in."""

from __future__ import annotations

import base64
import functools
import hmac
import http.server
import json
import os
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from llmhive.app import settings as all_settings
from llmhive.app.http.auth import FOREIGN, REFUSED, UNCONFIGURED, Access, Caller, Denied
from llmhive.errors import DatabaseUnavailable, SettingsError
from llmhive.store import tokens
from llmhive.store.database import Database
from tests.catalog.strategies import laws

BASE = "https://hive.example"
PATH = "/api/openrouter/sync"
ACCOUNT = "scheduler@project.iam.gserviceaccount.com"
TOKEN = "the-token-that-lets-write"
READ_TOKEN = "the-token-that-lets-read"
REMOVED = "SIGNATURE_REMOVED_BY_GOOGLE"
NOBODY = "http://127.0.0.1:1/keys"
OIDC = {"AUTH_OIDC_AUDIENCE": BASE, "AUTH_OIDC_ACCOUNTS": ACCOUNT}
START = datetime(2026, 5, 1, 12, tzinfo=UTC)

Scope = dict[str, Any]


@functools.cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@functools.cache
def jwk(name: str) -> dict[str, Any]:
    return {
        **jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key(name).public_key(), as_dict=True),
        "kid": name,
        "alg": "RS256",
        "use": "sig",
    }


def key_set(*names: str) -> bytes:
    return json.dumps({"keys": [jwk(name) for name in names]}).encode()


class KeyServer:
    """Plays Google's: answers with `body`, or `status`, once it `may_answer`; counts how often it was asked."""

    def __init__(self) -> None:
        self.body = key_set("old")
        self.status = 200
        self.asked = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                outer.may_answer.wait(20)
                self.send_response(outer.status)
                if outer.status == 302:
                    self.send_header("Location", f"{outer.url}/elsewhere")
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/keys"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass
class World:
    """An `Access` and what is around it; `told` is what it said to the log, `used` the digests it used up."""

    url: str = NOBODY
    now: datetime = START
    told: list[dict[str, object]] = field(default_factory=list)
    used: dict[str, datetime] = field(default_factory=dict)

    def access(
        self,
        environ: Mapping[str, str] | None = None,
        /,
        *,
        use: Callable[[str, datetime], bool] | None = None,
        is_local: bool = False,
        **more: str,
    ) -> Access:
        return Access(
            all_settings.read({"AUTH_OIDC_KEYS_URL": self.url, **(environ or {}), **more}, Path(os.devnull)),
            use=use or self.use,
            now=lambda: self.now,
            tell=lambda event, /, **facts: self.told.append({"event": event, **facts}),
            listens_on_loopback=is_local,
        )

    def oidc(self, use: Callable[[str, datetime], bool] | None = None, **environ: str) -> Access:
        return self.access({**OIDC, **environ}, use=use)

    def use(self, digest: str, expires_at: datetime) -> bool:
        is_new = digest not in self.used
        self.used[digest] = expires_at
        return is_new

    def later(self, **by: float) -> None:
        self.now += timedelta(**by)

    def claims(self, **other: Any) -> dict[str, Any]:
        """Those of a good token; None leaves one out. Times are seconds from now."""
        seconds = int(self.now.timestamp())
        given = {"iat": 0, "exp": 3600} | other
        times = {name: seconds + given.pop(name) for name in ("iat", "exp", "nbf") if given.get(name) is not None}
        found = {
            "iss": "https://accounts.google.com",
            "aud": BASE,
            "email": ACCOUNT,
            "email_verified": True,
            "sub": "1234567890",
            **given,
            **times,
        }
        return {name: value for name, value in found.items() if value is not None}

    def token(self, key: str = "old", kid: str | None = None, **other: Any) -> str:
        return jwt.encode(self.claims(**other), rsa_key(key), "RS256", {"kid": kid or key})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    found = KeyServer()
    yield found
    found.close()


@pytest.fixture
def world(server: KeyServer) -> World:
    return World(server.url)


def scope(
    *headers: tuple[str, str], peer: str | None = "203.0.113.9", host: str = "hive.example", **more: Any
) -> Scope:
    """A request from another machine."""
    raw = [("host", host), *headers] if host else list(headers)
    return {
        "type": "http",
        "path": PATH,
        "query_string": b"",
        "client": (peer, 4711) if peer else None,
        "server": ("127.0.0.1", 8080),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in raw],
        **more,
    }


def bearer(token: str, **more: Any) -> Scope:
    return scope(("authorization", f"Bearer {token}"), **more)


def local(*headers: tuple[str, str], peer: str = "127.0.0.1", host: str = "127.0.0.1:8080") -> Scope:
    return scope(*headers, peer=peer, host=host)


def denied(access: Access, request: Scope, *, reads: bool = False) -> Denied:
    with pytest.raises(Denied) as found:
        (access.reader if reads else access.writer)(request)
    return found.value


def outcome(access: Access, request: Scope) -> Caller | tuple[int, str]:
    try:
        return access.writer(request)
    except Denied as error:
        return error.status, error.detail


def refuse(world: World, access: Access, request: Scope, *, reads: bool = False) -> str:
    """It is refused as any other credential, and nothing that is said tells the credential; returns the reason."""
    world.told.clear()
    error = denied(access, request, reads=reads)
    assert (error.status, error.detail, error.headers) == (401, REFUSED, {"WWW-Authenticate": "Bearer"})
    assert error.__cause__ is None
    assert error.__context__ is None
    said = repr(world.told) + "".join(traceback.format_exception(error))
    for name, value in request["headers"]:
        secrets = value.decode("latin-1").removeprefix("Bearer ").split(".") if name == b"authorization" else []
        assert not any(part in said for part in secrets if len(part) >= 8)
    for secret in (TOKEN, READ_TOKEN):
        assert secret not in said
    last = world.told[-1]
    assert last["event"] == "Refused a credential"
    assert last["peer"] == (request["client"][0] if request["client"] else "")
    return str(last["reason"])


# Google's tokens


def test_a_token_for_our_account_lets_write(world: World) -> None:
    assert world.oidc().writer(bearer(world.token())) == Caller(ACCOUNT, "oidc")
    assert world.told == []
    (expires_at,) = world.used.values()
    assert expires_at == START + timedelta(hours=1)


@pytest.mark.parametrize("audience", [BASE, f"{BASE}/", BASE + PATH, [BASE + PATH], "https://other.example"])
@pytest.mark.parametrize("configured", [BASE, f"{BASE}/"])
def test_the_audience_may_be_the_service_or_the_url(world: World, audience: Any, configured: str) -> None:
    access = world.oidc(AUTH_OIDC_AUDIENCE=f"https://other.example, {configured}")
    assert access.writer(bearer(world.token(aud=audience))).how == "oidc"


def test_the_audience_may_have_the_query(world: World) -> None:
    request = bearer(world.token(aud=f"{BASE}{PATH}?blocking=true"), query_string=b"blocking=true")
    assert world.oidc().writer(request).how == "oidc"


@pytest.mark.parametrize(
    "good",
    [
        {"iss": "accounts.google.com"},
        {"email": ACCOUNT.upper()},
        {"email": "second@project.iam.gserviceaccount.com"},
        {"exp": -29, "iat": -3600},
        {"iat": 30},
        {"nbf": 30},
        {"exp": 24 * 3600},
    ],
)
def test_what_else_is_good(world: World, good: dict[str, Any]) -> None:
    access = world.oidc(AUTH_OIDC_ACCOUNTS=f"{ACCOUNT.title()}, second@project.iam.gserviceaccount.com")
    caller = access.writer(bearer(world.token(**good)))
    assert caller == Caller(str(good.get("email", ACCOUNT)).lower(), "oidc")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"iss": "https://accounts.evil.example"}, "not issued by Google"),
        ({"iss": "https://accounts.google.com/"}, "not issued by Google"),
        ({"iss": None}, "not issued by Google"),
        ({"aud": "https://evil.example"}, "another service"),
        ({"aud": f"https://evil.example{PATH}"}, "another service"),
        ({"aud": "http://hive.example"}, "another service"),
        ({"aud": f"{BASE}.evil.example"}, "another service"),
        ({"aud": f"{BASE}/api/other"}, "another service"),
        ({"aud": f"{BASE}{PATH}/"}, "another service"),
        ({"aud": f"{BASE}{PATH}/blocking"}, "another service"),
        ({"aud": PATH}, "another service"),
        ({"aud": ""}, "another service"),
        ({"aud": None}, "another service"),
        ({"aud": []}, "another service"),
        ({"aud": [BASE, "https://evil.example"]}, "another service"),
        ({"aud": [BASE, BASE]}, "another service"),
        ({"aud": [[BASE]]}, "another service"),
        ({"email": "other@project.iam.gserviceaccount.com"}, "another account"),
        ({"email": f"x{ACCOUNT}"}, "another account"),
        ({"email": "\u212aeeper@project.iam.gserviceaccount.com"}, "another account"),
        ({"email": [ACCOUNT]}, "another account"),
        ({"email": None}, "another account"),
        ({"email_verified": False}, "not verified"),
        ({"email_verified": "true"}, "not verified"),
        ({"email_verified": 1}, "not verified"),
        ({"email_verified": None}, "not verified"),
        ({"exp": -30, "iat": -3600}, "expired"),
        ({"exp": -86400, "iat": -90000}, "expired"),
        ({"exp": None}, "usable times"),
        ({"iat": None}, "usable times"),
        ({"iat": 31}, "from the future"),
        ({"nbf": 31}, "from the future"),
        ({"exp": 24 * 3600 + 1}, "valid for too long"),
        ({"exp": 10, "iat": 20}, "valid for too long"),
        ({"exp": 10**15}, "usable times"),
    ],
)
def test_a_claim_that_is_wrong(world: World, bad: dict[str, Any], reason: str) -> None:
    accounts = f"{ACCOUNT}, keeper@project.iam.gserviceaccount.com"
    access = world.oidc(AUTH_READ_TOKEN=READ_TOKEN, AUTH_OIDC_ACCOUNTS=accounts)
    assert reason in refuse(world, access, bearer(world.token(**bad)))
    assert reason in refuse(world, access, bearer(world.token(**bad)), reads=True)
    assert world.used == {}


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize("value", ["1777640400", True, [], {}, float("nan"), float("inf"), 10**4000])
def test_times_that_are_no_numbers(world: World, name: str, value: Any) -> None:
    claims = world.claims() | {name: value}
    payload = json.dumps(claims).encode()
    token = jwt.api_jws.encode(payload, rsa_key("old"), "RS256", {"kid": "old"})
    assert refuse(world, world.oidc(), bearer(token))


def test_the_log_names_service_accounts_but_no_person(world: World) -> None:
    access = world.oidc()
    refuse(world, access, bearer(world.token(email="other@project.iam.gserviceaccount.com")))
    assert world.told[-1]["account"] == "other@project.iam.gserviceaccount.com"
    refuse(world, access, bearer(world.token(email="jane.doe@gmail.example")))
    assert "jane" not in repr(world.told)


# signatures


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(part if isinstance(part, bytes) else json.dumps(part).encode()).decode().rstrip("=")


def unsigned(header: object, claims: object, signature: str = REMOVED) -> str:
    return f"{encoded(header)}.{encoded(claims)}.{signature}"


def test_a_key_that_google_does_not_have(world: World) -> None:
    access = world.oidc()
    assert "a key we do not know" in refuse(world, access, bearer(world.token("mine")))
    assert "InvalidSignature" in refuse(world, access, bearer(world.token("mine", kid="old")))
    without = jwt.encode(world.claims(), rsa_key("old"), "RS256")
    assert "a key we do not know" in refuse(world, access, bearer(without))


def test_other_algorithms(world: World, server: KeyServer) -> None:
    own = ec.generate_private_key(ec.SECP256R1())
    curve = {**jwt.algorithms.ECAlgorithm.to_jwk(own.public_key(), as_dict=True), "kid": "curve"}
    secret = {"kty": "oct", "k": encoded(b"s" * 32), "kid": "secret"}
    server.body = json.dumps({"keys": [jwk("old"), curve, secret]}).encode()
    access = world.oidc()
    assert access.writer(bearer(world.token())).how == "oidc"

    pem = rsa_key("old").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    stem = f"{encoded({'alg': 'HS256', 'kid': 'old'})}.{encoded(world.claims())}"
    mac = encoded(hmac.digest(pem, stem.encode(), "sha256"))
    real = world.token().rpartition(".")[2]
    for token in (
        f"{stem}.{mac}",
        jwt.encode(world.claims(), own, "ES256", {"kid": "curve"}),
        jwt.encode(world.claims(), own, "ES256", {"kid": "old"}),
        jwt.encode(world.claims(), "s" * 32, "HS256", {"kid": "secret"}),
        jwt.encode(world.claims(), rsa_key("old"), "RS512", {"kid": "old"}),
        jwt.encode(world.claims(), rsa_key("old"), "PS256", {"kid": "old"}),
        unsigned({"alg": "none", "kid": "old"}, world.claims(), ""),
        unsigned({"alg": "none", "kid": "old"}, world.claims(), real),
        unsigned({"alg": "None", "kid": "old"}, world.claims(), real),
        unsigned({"alg": ["RS256"], "kid": "old"}, world.claims(), real),
        unsigned({"kid": "old"}, world.claims(), real),
        unsigned({"alg": "RS256", "kid": "curve"}, world.claims(), real),
        unsigned({"alg": "RS256", "kid": "secret"}, world.claims(), real),
        unsigned({"alg": "RS256", "kid": ["old"]}, world.claims(), real),
        unsigned({"alg": "RS256", "kid": "old", "crit": ["x"], "x": 1}, world.claims(), real),
        unsigned({"alg": "RS256", "kid": "old", "b64": False, "crit": ["b64"]}, world.claims(), real),
    ):
        refuse(world, access, bearer(token))
    assert len(world.used) == 1


def test_what_is_signed_cannot_be_changed(world: World) -> None:
    head, claims, signature = world.token(email="other@project.iam.gserviceaccount.com").split(".")
    access = world.oidc()
    assert "InvalidSignature" in refuse(world, access, bearer(f"{head}.{encoded(world.claims())}.{signature}"))
    assert "InvalidSignature" in refuse(world, access, bearer(f"{head}.{claims}.{encoded(b'x' * 256)}"))


def test_cloud_run_may_have_taken_the_signature(world: World, server: KeyServer) -> None:
    head = {"alg": "RS256", "kid": "old"}
    token = unsigned(head, world.claims())
    refuse(world, world.oidc(), bearer(token))
    trusting = world.oidc(AUTH_TRUST_CLOUD_RUN="1")
    asked = server.asked
    assert trusting.writer(bearer(token)) == Caller(ACCOUNT, "oidc")
    assert server.asked == asked
    assert "used before" in refuse(world, trusting, bearer(token))
    world.later(seconds=1)
    for bad in (
        unsigned(head, world.claims(email="other@example.com")),
        unsigned(head, world.claims(aud="https://evil.example")),
        unsigned(head, world.claims(exp=-31, iat=-3600)),
        unsigned({"alg": "none"}, world.claims()),
        unsigned(head, [world.claims()]),
        unsigned(head, world.claims(), encoded(b"x" * 256)),
        unsigned(head, world.claims(), REMOVED.lower()),
        unsigned(head, world.claims(), ""),
        world.token("mine", kid="old"),
    ):
        refuse(world, trusting, bearer(bad))
    whole = world.token()
    assert trusting.writer(bearer(whole)).how == "oidc"
    assert "used before" in refuse(world, trusting, bearer(f"{whole.rpartition('.')[0]}.{REMOVED}"))


# used once


def test_a_token_is_accepted_once(world: World) -> None:
    access, token = world.oidc(), world.token()
    access.writer(bearer(token))
    assert "used before" in refuse(world, access, bearer(token))
    assert "used before" in refuse(world, access, bearer(token, path="/api/snapshots"))
    # a signature can be written in several ways; what is signed cannot
    for other in (f"{token}=", f"{token[:-1]}{chr(ord(token[-1]) + 1)}", token.replace(".", ".=", 1)):
        refuse(world, access, bearer(other))
    world.later(seconds=1)
    assert access.writer(bearer(world.token())).how == "oidc"


def test_or_until_it_expires_if_told_so(world: World) -> None:
    access, token = world.oidc(AUTH_OIDC_SINGLE_USE="0"), world.token()
    for _ in range(3):
        access.writer(bearer(token))
    assert world.used == {}
    world.later(seconds=3630)
    assert refuse(world, access, bearer(token)) == "expired"


def test_a_database_that_fails_lets_nobody_in(world: World) -> None:
    def broken(_digest: str, _expires_at: datetime) -> bool:
        raise DatabaseUnavailable("gone")

    with pytest.raises(DatabaseUnavailable):
        world.oidc(broken).writer(bearer(world.token()))


def test_one_of_many_at_once_is_accepted(world: World, server: KeyServer, database: Database) -> None:
    def use(digest: str, expires_at: datetime) -> bool:
        with database.write() as connection:
            return tokens.use(connection, digest, expires_at, world.now)

    access, request = world.oidc(use), bearer(world.token())
    together = threading.Barrier(33)
    server.may_answer.clear()

    def call(_number: int) -> bool:
        together.wait()
        return outcome(access, request) == Caller(ACCOUNT, "oidc")

    with ThreadPoolExecutor(32) as pool:
        answers = [pool.submit(call, number) for number in range(32)]
        together.wait()
        server.may_answer.set()
        assert sum(answer.result() for answer in answers) == 1
    assert server.asked == 1


# keys


def test_a_new_key_is_fetched_but_not_at_once_again(world: World, server: KeyServer) -> None:
    access = world.oidc()
    access.writer(bearer(world.token()))
    server.body = key_set("old", "new")
    world.later(seconds=29)
    refuse(world, access, bearer(world.token("new")))
    assert server.asked == 1
    world.later(seconds=1)
    assert access.writer(bearer(world.token("new"))).how == "oidc"
    assert access.writer(bearer(world.token("old"))).how == "oidc"
    assert server.asked == 2


def test_a_key_that_was_taken_back_is_forgotten(world: World, server: KeyServer) -> None:
    access = world.oidc()
    access.writer(bearer(world.token()))
    server.body = key_set("new")
    world.later(minutes=4)
    assert access.writer(bearer(world.token())).how == "oidc"
    world.later(minutes=1)
    assert "a key we do not know" in refuse(world, access, bearer(world.token()))
    assert server.asked == 2


def test_invented_keys_do_not_make_us_ask_all_the_time(world: World, server: KeyServer) -> None:
    access = world.oidc()
    for number in range(60):
        refuse(world, access, bearer(world.token("mine", kid=f"invented-{number}")))
        world.later(seconds=1)
    assert server.asked == 2
    server.status = 500
    for number in range(60):
        refuse(world, access, bearer(world.token("mine", kid=f"invented-{number}")))
        world.later(seconds=1)
    assert server.asked == 4


def test_what_is_no_google_token_asks_for_no_key(world: World, server: KeyServer) -> None:
    access = world.oidc(AUTH_TOKEN=TOKEN)
    for text in ("x" * 30, "a.b.c", unsigned({"alg": "HS256", "kid": "new"}, {})):
        refuse(world, access, bearer(text))
    assert access.writer(bearer(TOKEN)).how == "token"
    assert server.asked == 0


def test_keys_we_have_outlast_the_key_server_by_a_day(world: World, server: KeyServer) -> None:
    access = world.oidc()
    access.writer(bearer(world.token()))
    server.status = 503
    for _ in range(23):
        world.later(hours=1)
        assert access.writer(bearer(world.token())).how == "oidc"
        assert access.writer(bearer(world.token(sub="second"))).how == "oidc"
    assert server.asked == 24
    assert world.told[-1]["event"] == "Could not fetch keys"
    world.later(hours=1)
    assert "a key we do not know" in refuse(world, access, bearer(world.token()))
    server.status = 200
    world.later(seconds=30)
    assert access.writer(bearer(world.token())).how == "oidc"


def test_a_clock_that_was_set_back_does_not_keep_keys_for_ever(world: World, server: KeyServer) -> None:
    access = world.oidc()
    access.writer(bearer(world.token()))
    world.later(days=-400)
    assert access.writer(bearer(world.token())).how == "oidc"
    assert server.asked == 2


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b""),
        (302, b""),
        (200, b""),
        (200, b"<html>"),
        (200, b"\xff\xfe"),
        (200, b"[]"),
        (200, b'{"keys": []}'),
        (200, b'{"keys": 5}'),
        (200, b'{"keys": [5, {"kty": "RSA"}, {"kty": "oct", "k": "AAAA", "kid": "old", "use": "enc"}]}'),
        (200, b'{"keys": [{"kty": "RSA", "alg": ["RS256"], "kid": ["old"]}]}'),
        (200, b"[" * 100_000),
    ],
)
def test_a_key_server_that_talks_nonsense(world: World, server: KeyServer, status: int, body: bytes) -> None:
    good = server.body
    server.status, server.body = status, body
    access, token = world.oidc(), world.token()
    with pytest.raises(Denied):
        access.writer(bearer(token))
    assert [it["event"] for it in world.told] == ["Could not fetch keys", "Refused a credential"]
    assert world.told[0]["url"] == server.url
    server.status, server.body = 200, good
    refuse(world, access, bearer(token))
    world.later(seconds=30)
    assert access.writer(bearer(token)).how == "oidc"
    assert server.asked == 2


def test_a_key_that_is_nonsense_does_not_spoil_the_others(world: World, server: KeyServer) -> None:
    server.body = json.dumps({"keys": [5, {"kty": "RSA"}, {**jwk("mine"), "kid": ["x"]}, jwk("old")]}).encode()
    assert world.oidc().writer(bearer(world.token())).how == "oidc"


def test_a_key_server_that_is_not_there() -> None:
    world = World()
    assert "a key we do not know" in refuse(world, world.oidc(), bearer(world.token()))


# what is no credential at all

MALFORMED = [
    "", " ", "   ", ".", "..", "...", "a", "a.b", "a.b.c", "a.b.c.d", "a.b.c.d.e", "ä.ö.ü", "=.=.=", "a b", "null",
    "\x00", "\xff" * 20, f"{TOKEN}x", TOKEN[:-1], TOKEN.upper(), f"{TOKEN} {TOKEN}", f"{TOKEN},", f'"{TOKEN}"',
    READ_TOKEN,
    f"{encoded({})}.{encoded({})}.{encoded(b'x')}", f"{encoded([])}.{encoded([])}.{encoded(b'x')}",
    f"{encoded({'alg': 'RS256', 'kid': 'old'})}.{encoded(b'not json')}.{encoded(b'x')}",
    f"{encoded({'alg': 'RS256', 'kid': 'old'})}.{encoded(b'[' * 3000)}.{REMOVED}",
    f"{encoded({'alg': 'RS256', 'kid': 'old'})}.{encoded(b'9' * 5000)}.{REMOVED}",
    f"{encoded(b'[' * 3000)}.{encoded({})}.{REMOVED}",
    "x" * 8185, "x" * 8186, "x" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("text", MALFORMED)
def test_malformed(world: World, text: str) -> None:
    access = world.oidc(AUTH_TOKEN=TOKEN, AUTH_READ_TOKEN=READ_TOKEN, AUTH_TRUST_CLOUD_RUN="1")
    refuse(world, access, bearer(text))
    if text != READ_TOKEN:
        refuse(world, access, bearer(text), reads=True)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "")],
        [("authorization", "Bearer")],
        [("authorization", TOKEN)],
        [("authorization", f"Bearer{TOKEN}")],
        [("authorization", f"Token {TOKEN}")],
        [("authorization", f"Basic {base64.b64encode(f'user:{TOKEN}'.encode()).decode()}")],
        [("authorization", f"Basic {TOKEN}")],
        [("authorization", f"Bearer {TOKEN}"), ("authorization", f"Bearer {TOKEN}")],
        [("authorization", f"Bearer {TOKEN}"), ("authorization", "Basic eDp5")],
        [("cookie", f"authorization={TOKEN}")],
        [("proxy-authorization", f"Bearer {TOKEN}")],
    ],
)
def test_other_ways_to_send_it(world: World, headers: list[tuple[str, str]]) -> None:
    access = world.oidc(AUTH_TOKEN=TOKEN, AUTH_READ_TOKEN=READ_TOKEN)
    refuse(world, access, scope(*headers))
    refuse(world, access, scope(*headers), reads=True)


def test_what_is_too_long_is_not_even_parsed(world: World, server: KeyServer) -> None:
    access = world.oidc()
    fitting = world.token(padding="x" * 5000)
    assert access.writer(bearer(fitting)).how == "oidc"
    assert refuse(world, access, bearer(world.token(kid="new", padding="x" * 9000))) == "too long"
    assert server.asked == 1


@laws
@given(st.one_of(st.text(), st.binary().map(lambda it: it.decode("latin-1")), st.from_regex(r"[\w-]+\.[\w-]+\.[\w-]+")))
def test_random_text_is_refused(text: str) -> None:
    world = World()
    access = world.oidc(AUTH_TOKEN=TOKEN, AUTH_TRUST_CLOUD_RUN="1")
    for value in (text.encode(), b"Bearer " + text.encode()):
        request = scope()
        request["headers"].append((b"authorization", value))
        assert denied(access, request).detail == REFUSED


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([BASE, ACCOUNT, 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_names = st.sampled_from(["iss", "aud", "email", "email_verified", "iat", "exp", "nbf", "sub"])


@laws
@given(
    st.dictionaries(_names, _json, min_size=1), st.dictionaries(st.sampled_from(["kid", "typ", "crit", "b64"]), _json)
)
def test_random_claims_are_refused_or_accepted_but_never_an_error(claims: dict[str, Any], head: dict[str, Any]) -> None:
    world = World()
    access = world.oidc(AUTH_TRUST_CLOUD_RUN="1")
    token = unsigned({"alg": "RS256", **head}, world.claims() | claims)
    assert outcome(access, bearer(token)) in (Caller(ACCOUNT, "oidc"), (401, REFUSED))


@laws
@given(st.text(), st.text(), st.text(), st.text())
def test_random_headers_let_nobody_in(host: str, origin: str, site: str, peer: str) -> None:
    access = World().access(is_local=True)
    request = scope(peer=peer, host="")
    names = (b"host", b"origin", b"sec-fetch-site")
    request["headers"] = list(zip(names, (it.encode() for it in (host, origin, site)), strict=True))
    assert denied(access, request).status == 403


# the tokens of the settings


@pytest.mark.parametrize("word", ["Bearer", "bearer", "BEARER", "Bearer "])
def test_the_token_lets_write_and_read(word: str) -> None:
    world = World()
    access = world.access(AUTH_TOKEN=TOKEN, AUTH_READ_TOKEN=READ_TOKEN)
    request = scope(("authorization", f"{word} {TOKEN}"))
    assert access.writer(request) == Caller("token", "token")
    assert access.writer(request) == Caller("token", "token")
    access.reader(request)
    assert access.may_read(request["headers"])


def test_the_read_token_lets_only_read() -> None:
    world = World()
    for access in (
        world.access(AUTH_TOKEN=TOKEN, AUTH_READ_TOKEN=READ_TOKEN),
        world.oidc(AUTH_READ_TOKEN=READ_TOKEN),
    ):
        request = bearer(READ_TOKEN)
        assert access.may_read(request["headers"])
        access.reader(request)
        assert refuse(world, access, request) == "the read token does not let write"


def test_without_a_token_no_token_fits(world: World) -> None:
    """An empty setting must not equal an empty credential."""
    assert refuse(world, world.oidc(), bearer(""))
    assert refuse(world, world.access(is_local=True), local(("authorization", "Bearer ")))


def test_reading_is_open_unless_a_read_token_is_set() -> None:
    world = World()
    open_access = world.access(AUTH_TOKEN=TOKEN)
    for request in (scope(), bearer("wrong"), scope(("origin", "https://evil.example"))):
        assert open_access.may_read(request["headers"])
        open_access.reader(request)
    closed = world.access(AUTH_READ_TOKEN=READ_TOKEN)
    for request in (scope(), bearer("wrong"), bearer(TOKEN), bearer("x" * 9000), bearer("\xff")):
        assert not closed.may_read(request["headers"])
        refuse(world, closed, request, reads=True)


def test_google_tokens_let_read_without_being_used_up(world: World) -> None:
    access, request = world.oidc(AUTH_READ_TOKEN=READ_TOKEN), bearer(world.token())
    assert not access.may_read(request["headers"])
    access.reader(request)
    access.reader(request)
    assert access.writer(request).how == "oidc"
    access.reader(request)
    assert len(world.used) == 1


def test_who_configured_nothing_is_told_what_to_do() -> None:
    world = World()
    for request in (scope(), bearer("wrong")):
        error = denied(world.access(), request)
        assert (error.status, error.detail, error.headers) == (403, UNCONFIGURED, {})
    assert "AUTH_TOKEN" in UNCONFIGURED
    assert "AUTH_OIDC_AUDIENCE" in UNCONFIGURED


# on this machine

LOCAL_HOSTS = [
    "127.0.0.1:8080",
    "127.0.0.1",
    "localhost",
    "LOCALHOST:8080",
    "hive.localhost",
    "127.9.9.9",
    "[::1]:8080",
]


@pytest.mark.parametrize("host", LOCAL_HOSTS)
@pytest.mark.parametrize("peer", ["127.0.0.1", "127.4.5.6", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("more", [{}, {"AUTH_TOKEN": TOKEN, "AUTH_READ_TOKEN": READ_TOKEN}])
def test_on_this_machine_no_credential_is_needed(host: str, peer: str, more: dict[str, str]) -> None:
    access = World().access(more, is_local=True)
    request = local(host=host, peer=peer)
    assert access.writer(request) == Caller("loopback", "loopback")
    access.reader(request)


@pytest.mark.parametrize(
    "request_",
    [
        local(host="evil.example"),
        local(host="evil.example:8080"),
        local(host="localhost.evil.example"),
        local(host="127.0.0.1.evil.example"),
        local(host="notlocalhost"),
        local(host="192.168.0.7:8080"),
        local(host="0.0.0.0:8080"),
        local(host="[::]"),
        local(host="127.0.0.1@evil.example"),
        local(host="127.0.0.1, evil.example"),
        local(host="[::1"),
        local(host="2130706433"),
        local(host=""),
        local(("host", "evil.example")),
        local(peer="192.168.0.7"),
        local(peer="203.0.113.9"),
        local(peer="testclient"),
        local(peer=""),
        local(("x-forwarded-for", "127.0.0.1")),
        local(("x-forwarded-for", "")),
        local(("x-forwarded-host", "hive.example")),
        local(("forwarded", "for=127.0.0.1")),
        local(("x-real-ip", "127.0.0.1")),
        local(("via", "1.1 proxy")),
    ],
)
def test_what_only_looks_as_if_from_this_machine(request_: Scope) -> None:
    """A name made to lead here (DNS rebinding), another machine, a proxy in front."""
    world = World()
    assert denied(world.access(is_local=True), request_).status == 403
    access = world.access(is_local=True, AUTH_TOKEN=TOKEN, AUTH_READ_TOKEN=READ_TOKEN)
    refuse(world, access, request_)
    refuse(world, access, request_, reads=True)
    request_["headers"].append((b"authorization", f"Bearer {TOKEN}".encode()))
    assert access.writer(request_).how == "token"
    request_["headers"].pop()


def test_a_server_for_all_machines_asks_everyone() -> None:
    world = World()
    refuse(world, world.access(AUTH_TOKEN=TOKEN), local())
    access = world.access(AUTH_TOKEN=TOKEN)
    access.check_address("127.0.0.1")
    assert access.writer(local()).how == "loopback"
    access.check_address("0.0.0.0")
    refuse(world, access, local())


@pytest.mark.parametrize("more", [{}, {"AUTH_TOKEN": TOKEN}])
@pytest.mark.parametrize("value", ["Bearer wrong", "Bearer ", "Basic eDp5", ""])
def test_a_wrong_credential_is_refused_on_this_machine_too(more: dict[str, str], value: str) -> None:
    world = World()
    refuse(world, world.access(more, is_local=True), local(("authorization", value)))


# pages of other sites


@pytest.mark.parametrize(
    "headers",
    [
        [("origin", "https://evil.example")],
        [("origin", "null")],
        [("origin", "")],
        [("origin", "file://")],
        [("origin", "chrome-extension://hive.example")],
        [("origin", "https://hive.example:8443")],
        [("origin", "https://hive.example.evil.example")],
        [("origin", "https://evil.example/hive.example")],
        [("origin", "https://hive.example@evil.example")],
        [("origin", "https://sub.hive.example")],
        [("origin", "hive.example")],
        [("origin", "https://hive.example"), ("origin", "https://evil.example")],
        [("origin", "https://hive.example"), ("host", "evil.example")],
        [("origin", "https://hive example")],
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-site")],
        [("sec-fetch-site", "")],
        [("sec-fetch-site", "anything")],
        [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "cross-site"), ("origin", "https://hive.example")],
    ],
)
def test_no_page_of_another_site_may_write(headers: list[tuple[str, str]]) -> None:
    """Whoever's browser it is: with the token, without, on this machine."""
    world = World()
    credential = ("authorization", f"Bearer {TOKEN}")
    for access, request in (
        (world.access(AUTH_TOKEN=TOKEN), scope(*headers, credential)),
        (world.access(AUTH_TOKEN=TOKEN), scope(*headers)),
        (world.access(), scope(*headers)),
        (world.access(is_local=True), local(*headers)),
    ):
        error = denied(access, request)
        assert (error.status, error.detail, error.headers) == (403, FOREIGN, {})
        assert world.told[-1]["event"] == "Refused a foreign page"
    assert TOKEN not in repr(world.told)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://localhost:8080", "LocalHost:8080"),
        ("http://localhost", "localhost:80"),
        ("https://localhost", "localhost"),
        ("https://localhost:443", "localhost"),
        ("http://[::1]:8080", "[::1]:8080"),
    ],
)
@pytest.mark.parametrize("site", [[], [("sec-fetch-site", "same-origin")], [("sec-fetch-site", "none")]])
def test_our_own_pages_may(origin: str, host: str, site: list[tuple[str, str]]) -> None:
    access = World().access(is_local=True)
    assert access.writer(local(("origin", origin), *site, host=host)).how == "loopback"


def test_our_own_pages_behind_a_proxy_that_speaks_tls_may() -> None:
    request = bearer(TOKEN)
    request["headers"] += [(b"origin", b"https://Hive.example"), (b"x-forwarded-proto", b"https")]
    assert World().access(AUTH_TOKEN=TOKEN).writer(request).how == "token"


def test_a_malformed_origin_is_foreign_whatever_the_host() -> None:
    request = scope(("origin", "https://hive example"), host="hive example")
    assert denied(World().access(AUTH_TOKEN=TOKEN), request).detail == FOREIGN


def test_a_page_on_another_port_of_this_machine_is_foreign() -> None:
    request = local(("origin", "http://127.0.0.1:3000"), host="127.0.0.1:8080")
    assert denied(World().access(is_local=True), request).detail == FOREIGN


# where to listen


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "LocalHost"])
def test_on_loopback_nothing_has_to_be_configured(host: str) -> None:
    access = World().access()
    assert not access.is_configured
    access.check_address(host)
    assert access.writer(local()).how == "loopback"


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.0.7", "hive.example", "localhost.example", "127.0.0.1.nip.io"]
)
def test_elsewhere_somebody_must_be_let_in(host: str) -> None:
    world = World()
    for environ in ({}, {"AUTH_READ_TOKEN": READ_TOKEN}):
        with pytest.raises(SettingsError, match=r"Set AUTH_TOKEN .* or AUTH_OIDC_AUDIENCE with AUTH_OIDC_ACCOUNTS"):
            world.access(environ).check_address(host)
    for environ in ({"AUTH_TOKEN": TOKEN}, OIDC, {"AUTH_TOKEN": TOKEN, **OIDC, "AUTH_TRUST_CLOUD_RUN": "1"}):
        access = world.access(environ)
        assert access.is_configured
        access.check_address(host)
        assert denied(access, local()).status == 401


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({"AUTH_OIDC_AUDIENCE": BASE}, "AUTH_OIDC_ACCOUNTS as well"),
        ({"AUTH_OIDC_ACCOUNTS": ACCOUNT}, "AUTH_OIDC_AUDIENCE as well"),
        ({"AUTH_TRUST_CLOUD_RUN": "1"}, "AUTH_TRUST_CLOUD_RUN"),
        ({"AUTH_READ_TOKEN": TOKEN}, "AUTH_READ_TOKEN"),
    ],
)
def test_settings_that_do_not_go_together(host: str, environ: dict[str, str], names: str) -> None:
    access = World().access(environ, AUTH_TOKEN=TOKEN)
    with pytest.raises(SettingsError, match=names) as found:
        access.check_address(host)
    assert TOKEN not in str(found.value)
