"""Who may call the HTTP service.

Reading is open unless a read token is set. Writing needs ``Authorization: Bearer …`` with the token of the settings or
a token signed by Google (OIDC) for one of our service accounts; only a caller on the same machine needs neither, and no
foreign web page may use its visitor's browser to write. A credential is refused in the same words whatever is wrong
with it; the reason is told to the log, the credential to nobody.
"""

from __future__ import annotations

import hmac
import ipaddress
import math
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Literal

import jwt

from llmhive.app.observe import Tell
from llmhive.app.settings import Settings
from llmhive.errors import SettingsError

Headers = Sequence[tuple[bytes, bytes]]
Scope = Mapping[str, Any]

REFUSED = "A credential is needed: Authorization: Bearer TOKEN. None was sent, or it is not accepted."
UNCONFIGURED = (
    "Nobody may write from another machine until the operator sets AUTH_TOKEN, or AUTH_OIDC_AUDIENCE with "
    "AUTH_OIDC_ACCOUNTS."
)
FOREIGN = "A web page of another site may not write here."

_LONGEST = 8192  #: bytes of an Authorization header
_ISSUERS = ("https://accounts.google.com", "accounts.google.com")
_LEEWAY = 30.0  #: seconds that Google's clock and ours may differ
_LONGEST_LIFE = 24 * 60 * 60.0  #: seconds; Google's tokens live for one hour
_UNSIGNED = b"SIGNATURE_REMOVED_BY_GOOGLE"
_JWT = re.compile(rb"([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._~-]+)(?::([0-9]{1,5}))?")
_OF_A_PROXY = frozenset({b"forwarded", b"via", b"x-real-ip"})
#: The times are checked by the clock we are given; PyJWT knows only the system's.
_SIGNATURE_ONLY: jwt.types.Options = {
    "verify_signature": True, "enforce_minimum_key_length": True, "verify_exp": False, "verify_iat": False,
    "verify_nbf": False, "verify_aud": False, "verify_iss": False, "verify_sub": False, "verify_jti": False,
}  # fmt: skip


class Denied(Exception):
    """The request is refused: 401 for want of a credential that is accepted, 403 whatever it brings."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers: dict[str, str] = {"WWW-Authenticate": "Bearer"} if status == 401 else {}


class _Refused(Exception):
    """Why a credential is not accepted; for the log only."""

    def __init__(self, reason: str, **facts: str) -> None:
        super().__init__(reason)
        self.facts = {"reason": reason, **facts}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is let in."""

    name: str  #: the e-mail of a service account; else as `how`
    how: Literal["loopback", "token", "oidc"]


def _silent(_event: str, /, **_facts: object) -> None:
    pass


class Access:
    """Judges requests by their raw ASGI headers; safe to share between threads."""

    def __init__(
        self,
        settings: Settings,
        *,
        use: Callable[[str, datetime], bool],
        now: Callable[[], datetime],
        tell: Tell = _silent,
        listens_on_loopback: bool = False,
    ) -> None:
        """`use(digest, expires_at)` uses a token up, False where it was used already; what it raises is passed on."""
        self._settings = settings
        self._use = use
        self._now = now
        self._tell = tell
        self.listens_on_loopback = listens_on_loopback
        self._token = settings.auth_token.encode()
        self._readers = (settings.auth_read_token.encode(), self._token) if settings.auth_read_token else ()
        #: whether anybody may read
        self.is_open = not self._readers
        self._audiences = tuple(base.rstrip("/") for base in settings.auth_oidc_audience)
        self._accounts = frozenset(account.lower() for account in settings.auth_oidc_accounts)
        self._has_oidc = bool(self._audiences and self._accounts)
        self.is_configured = bool(self._token) or self._has_oidc
        self._keys = Keys(settings.auth_oidc_keys_url, now=now, tell=tell)

    def check_address(self, host: str) -> None:
        """Settle where the server listens; raises `SettingsError` where nobody could write, or settings conflict."""
        if bool(self._audiences) != bool(self._accounts):
            missing = "AUTH_OIDC_ACCOUNTS" if self._audiences else "AUTH_OIDC_AUDIENCE"
            raise SettingsError(f"AUTH_OIDC_AUDIENCE and AUTH_OIDC_ACCOUNTS go together: set {missing} as well.")
        if self._settings.auth_trust_cloud_run and not self._has_oidc:
            raise SettingsError("AUTH_TRUST_CLOUD_RUN=1 needs AUTH_OIDC_AUDIENCE and AUTH_OIDC_ACCOUNTS.")
        if self._token and self._settings.auth_token == self._settings.auth_read_token:
            raise SettingsError("AUTH_READ_TOKEN is the same as AUTH_TOKEN: readers could write. Make another one.")
        self.listens_on_loopback = host.lower() == "localhost" or _is_loopback(host)
        if not self.listens_on_loopback and not self.is_configured:
            raise SettingsError(
                f"HOST = {host!r} lets other machines in, but nothing says who may write. Set AUTH_TOKEN (openssl rand "
                "-hex 32 makes one), or AUTH_OIDC_AUDIENCE with AUTH_OIDC_ACCOUNTS; or listen on 127.0.0.1."
            )

    def may_read(self, headers: Headers) -> bool:
        """Whether reading is open, or a token of the settings is there; for whom it is not, there is `reader`."""
        if self.is_open:
            return True
        try:
            given = _bearer(_values(headers, b"authorization"))
        except _Refused:
            return False
        return _is_one_of(given, self._readers)

    def may_write_here(self, scope: Scope) -> bool:
        """Whether who asks could write without signing in: a program on this machine, or one with the token."""
        given = _values(scope["headers"], b"authorization")
        if not given:
            return self._is_local(scope)
        try:
            return bool(self._token) and _is_one_of(_bearer(given), (self._token,))
        except _Refused:
            return False

    @staticmethod
    def is_foreign(scope: Scope) -> bool:
        """Whether a page of another site made a browser send it."""
        return _is_foreign(scope["headers"])

    def tell_refused(self, scope: Scope) -> None:
        """Tell the log of a token that somebody tried to sign in with."""
        self._tell("Refused a credential", reason="not a token of the settings", peer=_peer(scope),
                   request=scope.get("request_id"))  # fmt: skip

    def reader(self, scope: Scope) -> None:
        """Let a request read, or raise `Denied`; Google's tokens are not used up. It may fetch keys."""
        if not self.may_read(scope["headers"]):
            self._admit(scope, writes=False)

    def writer(self, scope: Scope) -> Caller:
        """Let a request write, or raise `Denied`. It may fetch keys and write to the database."""
        if _is_foreign(scope["headers"]):
            self._tell("Refused a foreign page", peer=_peer(scope), request=scope.get("request_id"))
            raise Denied(403, FOREIGN)
        return self._admit(scope, writes=True)

    def _admit(self, scope: Scope, *, writes: bool) -> Caller:
        given = _values(scope["headers"], b"authorization")
        is_local = self._is_local(scope)
        if is_local and not given:
            return Caller("loopback", "loopback")
        if writes and not is_local and not self.is_configured:
            raise Denied(403, UNCONFIGURED)
        try:
            return self._caller(_bearer(given), scope, writes=writes)
        except _Refused as refused:
            self._tell("Refused a credential", **refused.facts, peer=_peer(scope), request=scope.get("request_id"))
        # outside of the handler: an error in the chain could hold parts of the token
        raise Denied(401, REFUSED)

    def _caller(self, given: bytes, scope: Scope, *, writes: bool) -> Caller:
        if self._token and _is_one_of(given, (self._token,)):
            return Caller("token", "token")
        if self._readers and _is_one_of(given, self._readers):
            raise _Refused("the read token does not let write")
        if not self._has_oidc:
            raise _Refused("not the token")
        parts = _JWT.fullmatch(given)
        if parts is None:
            raise _Refused("neither the token nor a JWT")
        claims = self._claims(given.decode(), is_unsigned=parts[2] == _UNSIGNED)
        fault = _fault(claims, self._named(scope), self._accounts, self._now().timestamp())
        if fault:
            raise _Refused(fault, **_shown(claims))
        if writes and self._settings.auth_oidc_single_use:
            # not the signature: the same token can be written with several
            expires_at = datetime.fromtimestamp(claims["exp"], UTC)
            if not self._use(sha256(parts[1]).hexdigest(), expires_at):
                raise _Refused("used before", **_shown(claims))
        return Caller(claims["email"].lower(), "oidc")

    def _claims(self, token: str, *, is_unsigned: bool) -> dict[str, Any]:
        """What the token says, once it is sure who says so."""
        try:
            header = jwt.get_unverified_header(token)
            # before a key is looked for: no other kind of token makes us ask Google
            if header.get("alg") != "RS256":
                raise _Refused("not signed by RS256")
            if is_unsigned and self._settings.auth_trust_cloud_run:
                return jwt.decode(token, options={**_SIGNATURE_ONLY, "verify_signature": False})
            key = self._keys.find(header.get("kid", ""))
            if key is None:
                raise _Refused("signed by a key we do not know")
            return jwt.decode(token, key, algorithms=["RS256"], options=_SIGNATURE_ONLY)
        except jwt.PyJWTError as error:
            raise _Refused(f"not a valid JWT ({type(error).__name__})") from None

    def _named(self, scope: Scope) -> frozenset[str]:
        """How a token may name us: by the base, or by the URL that is called (Cloud Scheduler, if told nothing)."""
        query = scope.get("query_string", b"").decode("latin-1")
        paths = ("", "/", scope["path"], f"{scope['path']}?{query}")
        return frozenset(base + path for base in self._audiences for path in paths)

    def _is_local(self, scope: Scope) -> bool:
        """Whether a program on this machine calls, straight, by a name of this machine.

        A page of an evil site whose name is made to lead to 127.0.0.1 (DNS rebinding) sends that name as Host.
        """
        headers: Headers = scope["headers"]
        hosts = _values(headers, b"host")
        return (
            self.listens_on_loopback
            and _is_loopback(_peer(scope))
            and len(hosts) == 1
            and _names_loopback(hosts[0])
            and not any(name in _OF_A_PROXY or name.startswith(b"x-forwarded") for name, _ in headers)
        )


class Keys:
    """Google's public keys. One thread fetches, and none sooner than 30 s after the last, whatever came of it.

    PyJWKClient's own cache goes by the system's clock, forgets good keys while the server cannot be reached, and then
    asks it for every token; so it is used to fetch only.
    """

    _PAUSE = timedelta(seconds=30)
    _FRESH = timedelta(minutes=5)
    _USABLE = timedelta(days=1)

    def __init__(self, url: str, *, now: Callable[[], datetime], tell: Tell) -> None:
        self._client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=5)
        self._now = now
        self._tell = tell
        self._lock = threading.Lock()
        self._asked_at: datetime | None = None
        # replaced as a whole, so that it can be read without the lock
        self._kept: tuple[datetime | None, Mapping[str, jwt.PyJWK]] = (None, {})

    def find(self, kid: str) -> jwt.PyJWK | None:
        """The key of that name."""
        found = self._look_up(kid, self._FRESH)
        if found is None:
            with self._lock:
                # whoever waited here finds that it was asked just now
                if not self._is_within(self._asked_at, self._PAUSE):
                    self._fetch()
            found = self._look_up(kid, self._USABLE)
        return found

    def _look_up(self, kid: str, age: timedelta) -> jwt.PyJWK | None:
        fetched_at, keys = self._kept
        return keys.get(kid) if self._is_within(fetched_at, age) else None

    def _is_within(self, at: datetime | None, age: timedelta) -> bool:
        # an instant in the future is a clock set back; it must not last for ever
        return at is not None and abs(self._now() - at) < age

    def _fetch(self) -> None:
        self._asked_at = self._now()
        try:
            found = {key.key_id: key for key in self._client.get_signing_keys() if isinstance(key.key_id, str)}
        except Exception as error:  # noqa: BLE001 (a key set may be nonsense in ways PyJWT does not foresee)
            self._tell("Could not fetch keys", url=self._client.uri, error=f"{type(error).__name__}: {error}"[:300])
            return
        self._kept = (self._asked_at, found)


def _fault(claims: Mapping[str, Any], audiences: frozenset[str], accounts: frozenset[str], now: float) -> str:
    """What is wrong with what a token says; empty: nothing. `now` in seconds since 1970."""
    audience = claims.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    email = claims.get("email")
    if claims.get("iss") not in _ISSUERS:
        return "not issued by Google"
    if not isinstance(audience, str) or audience not in audiences:
        return "meant for another service: it must be for AUTH_OIDC_AUDIENCE"
    # some letters outside of ASCII become ASCII ones in lower case
    if not isinstance(email, str) or not email.isascii() or email.lower() not in accounts:
        return "of another account than AUTH_OIDC_ACCOUNTS"
    if claims.get("email_verified") is not True:
        return "of an account whose e-mail is not verified"
    return _fault_of_times(claims, now)


def _fault_of_times(claims: Mapping[str, Any], now: float) -> str:
    begins, issued, expires = (_seconds(claims.get(name)) for name in ("nbf", "iat", "exp"))
    if issued is None or expires is None or (begins is None and "nbf" in claims):
        return "without usable times"
    if expires <= now - _LEEWAY:
        return "expired"
    if max(issued, begins or 0.0) > now + _LEEWAY:
        return "from the future"
    if not 0 < expires - issued <= _LONGEST_LIFE:
        return "valid for too long"
    return ""


def _seconds(value: object) -> float | None:
    """A claim as seconds since 1970; None where it cannot be reckoned with."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e11 and math.isfinite(value) else None


def _shown(claims: Mapping[str, Any]) -> dict[str, str]:
    """What the log may show: the name of a service account, but not a person's e-mail."""
    email = claims.get("email")
    is_service = isinstance(email, str) and email.isascii() and email.lower().endswith(".gserviceaccount.com")
    return {"account": str(email)[:100]} if is_service else {}


def _values(headers: Headers, name: bytes) -> list[bytes]:
    return [value for found, value in headers if found == name]


def _bearer(given: Sequence[bytes]) -> bytes:
    """The credential in an Authorization header."""
    if len(given) != 1:
        raise _Refused("several were sent" if given else "none was sent")
    if len(given[0]) > _LONGEST:
        raise _Refused("too long")
    scheme, _, token = given[0].partition(b" ")
    if scheme.lower() != b"bearer" or not token.strip():
        raise _Refused("not a bearer token")
    return token.strip()


def _is_one_of(given: bytes, tokens: Iterable[bytes]) -> bool:
    # all of them are compared, so that the time it takes does not say which one it was
    return sum(hmac.compare_digest(given, token) for token in tokens) > 0


def _is_foreign(headers: Headers) -> bool:
    """Whether a page of another site made a browser send it."""
    if any(site.strip().lower() not in {b"same-origin", b"none"} for site in _values(headers, b"sec-fetch-site")):
        return True
    origins, hosts = _values(headers, b"origin"), _values(headers, b"host")
    if not origins:
        return False
    if len(origins) != 1 or len(hosts) != 1:
        return True
    scheme, _, place = origins[0].strip().partition(b"://")
    own = _authority(hosts[0])
    # the scheme itself may differ: a proxy in front may speak TLS for us
    return scheme.lower() not in {b"http", b"https"} or own is None or _authority(place) != own


def _authority(value: bytes) -> tuple[str, int | None] | None:
    """Host and port; no port is the default one of either scheme. None where it is malformed."""
    found = _AUTHORITY.fullmatch(value.strip().decode("latin-1").lower())
    if found is None:
        return None
    port = int(found[2]) if found[2] else None
    return found[1], None if port in {80, 443} else port


def _names_loopback(host: bytes) -> bool:
    found = _authority(host)
    if found is None:
        return False
    name = found[0].strip("[]")
    return name == "localhost" or name.endswith(".localhost") or _is_loopback(name)


def _is_loopback(address: str) -> bool:
    """Of an address; a name is none, and nothing is asked what it stands for."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""
