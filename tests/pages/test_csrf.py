"""What other sites, other sessions and made-up requests may do with the pages' forms: nothing.

Real services: one as it comes on 127.0.0.1, where this machine may act, and one on all addresses with a token.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest

from llmhive.app.openrouter import rollback
from llmhive.store.database import connect
from tests.fake_openrouter import catalog, model
from tests.pages.sitting import FORM, Answered, Sitting
from tests.serving import Place, Served, place, serving
from tests.support import dump, execute, sync_at

TOKEN, NEXT_TOKEN, READ_TOKEN = "a-token-that-lets-write", "the-one-of-the-next-day", "a-token-that-lets-read"
SNAPSHOT = "before-all"
#: Every form that acts: its address, and its fields.
ACTIONS = {
    "/operations/sync": {"kind": "regular", "force": "true"},
    "/operations/dry-run": {"kind": "regular"},
    "/operations/runs/1/accept": {},
    "/operations/snapshots": {"name": "mine"},
    f"/operations/snapshots/{SNAPSHOT}/rollback": {"read": "true", "pin": "true"},
    "/operations/unpin": {},
}
EACH = pytest.mark.parametrize("action", ACTIONS)
OUR = "http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Two models, a snapshot, and a pin."""
    with place("sqlite", tmp_path_factory.mktemp("csrf")) as found:
        found.fake.serve(catalog(model("acme/one"), model("acme/two")))
        sync_at(found.url, found.fake.base_url, datetime.now(UTC), force=True)
        database = connect(found.url)
        rollback.snapshot(database, SNAPSHOT, at=datetime.now(UTC))
        database.close()
        execute(found.url, "UPDATE catalog_state SET pinned = :name", name=SNAPSHOT)
        yield found


@pytest.fixture(scope="module")
def local(here: Place) -> Iterator[Served]:
    with serving(here.llmhive) as served:
        yield served


@pytest.fixture(scope="module")
def guarded(here: Place) -> Iterator[Served]:
    with serving(here.llmhive, HOST="0.0.0.0", AUTH_TOKEN=TOKEN, AUTH_READ_TOKEN=READ_TOKEN) as served:
        yield served


@pytest.fixture(params=["local", "guarded"])
def allowed(request: pytest.FixtureRequest) -> Sitting:
    """Somebody who may act: on this machine, or signed in."""
    sitting = Sitting(request.getfixturevalue(request.param))
    if request.param == "guarded":
        assert sitting.sign_in(TOKEN).to == "/operations"
    return sitting


@pytest.fixture
def unchanged(here: Place) -> Iterator[Callable[[], None]]:
    """Fails where the database is another one in the end."""
    before = dump(here.url)

    def check() -> None:
        assert dump(here.url) == before

    yield check
    check()


def refused(answer: Answered, *statuses: int) -> None:
    assert answer.status in (statuses or (403,)), (answer.status, answer.text[:500])


@EACH
def test_only_a_page_of_ours_sends_forms(allowed: Sitting, unchanged: Callable[[], None], action: str) -> None:
    port = allowed.served.port
    foreign: tuple[dict[str, str | None], ...] = (
        {"Origin": None}, {"Origin": "null"}, {"Origin": "https://evil.example"}, {"Origin": "file://"},
        {"Origin": f"http://127.0.0.1:{port + 1}"}, {"Origin": f"http://localhost:{port}"},
        {"Origin": f"http://127.0.0.1:{port}.evil.example"}, {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        # a name that was made to lead to this machine, with and without a page of that name
        {"Host": f"evil.example:{port}"}, {"Host": f"evil.example:{port}", "Origin": f"http://evil.example:{port}"},
    )  # fmt: skip
    token = allowed.token()
    for headers in foreign:
        given: dict[str, str | None] = {
            "Origin": OUR.format(port=port), "Sec-Fetch-Site": "same-origin", "Content-Type": FORM, **headers,
        }  # fmt: skip
        if headers.get("Origin") == f"http://evil.example:{port}":
            # a browser has no cookies of ours for that name; for all others it is as if it did not know of SameSite
            given["Cookie"] = None
        answer = allowed.ask("POST", action, given, urlencode({"form_token": token, **ACTIONS[action]}))
        refused(answer)
    unchanged()


@EACH
def test_a_form_brings_the_token_of_its_page(
    allowed: Sitting, guarded: Served, unchanged: Callable[[], None], action: str
) -> None:
    other = Sitting(guarded)
    other.sign_in(TOKEN)
    token = allowed.token()
    for wrong in ("", "x", token[:-1], f"{token}0", token.upper(), other.token(), "\x00", "x" * 5000):
        refused(allowed.post(action, form_token=wrong, **ACTIONS[action]))
    headers = {"Origin": allowed.origin, "Content-Type": FORM}
    refused(allowed.ask("POST", action, headers, urlencode(ACTIONS[action])))
    refused(allowed.ask("POST", action, headers, b""))
    # only in the address, or as JSON would name it
    refused(allowed.ask("POST", f"{action}?form_token={token}", headers, urlencode(ACTIONS[action])))
    # the cookie alone, and the field alone
    refused(allowed.ask("POST", action, {**headers, "Cookie": None}, urlencode({"form_token": token})))


@EACH
def test_only_forms_are_taken(allowed: Sitting, unchanged: Callable[[], None], action: str) -> None:
    fields = {"form_token": allowed.token(), **ACTIONS[action]}
    form = urlencode(fields)
    parts = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    )
    for kind, body in (
        ("text/plain", form), ("application/json", '{"form_token": "x"}'), ("", form), (None, form),
        ("multipart/form-data; boundary=x", f"{parts}--x--\r\n"), (f"{FORM}x", form), ("text/html", form),
    ):  # fmt: skip
        refused(allowed.ask("POST", action, {"Origin": allowed.origin, "Content-Type": kind}, body), 415)
    many = urlencode([*fields.items(), *(("a", str(it)) for it in range(100))])
    refused(allowed.ask("POST", action, {"Origin": allowed.origin, "Content-Type": FORM}, many), 422)
    large = urlencode({**fields, "note": "x" * 3_000_000})
    refused(allowed.ask("POST", action, {"Origin": allowed.origin, "Content-Type": FORM}, large), 413)


@EACH
def test_no_other_method_acts(allowed: Sitting, unchanged: Callable[[], None], action: str) -> None:
    token = allowed.token()
    query = urlencode({"form_token": token, "_method": "POST", **ACTIONS[action]})
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"):
        headers = {"Origin": allowed.origin, "Content-Type": FORM, "X-HTTP-Method-Override": "POST"}
        answer = allowed.ask(method, f"{action}?{query}", headers, None if method in {"GET", "HEAD"} else query)
        refused(answer, 400, 404, 405)


def test_a_page_is_not_posted_to(allowed: Sitting, unchanged: Callable[[], None]) -> None:
    for path in ("/", "/operations", "/changes", "/operations/runs/1", f"/operations/snapshots/{SNAPSHOT}"):
        refused(allowed.post(path, _method="DELETE"), 405)


# --- sessions


@EACH
def test_from_another_machine_only_who_signed_in_acts(
    guarded: Served, unchanged: Callable[[], None], action: str
) -> None:
    stranger = Sitting(guarded)
    refused(stranger.post(action, **ACTIONS[action]))
    reader = Sitting(guarded)
    reader.sign_in(READ_TOKEN)
    refused(reader.post(action, **ACTIONS[action]))
    # the API takes no cookie
    signed_in = Sitting(guarded)
    signed_in.sign_in(TOKEN)
    headers = {"Origin": signed_in.origin, "Content-Type": "application/json"}
    refused(signed_in.ask("POST", "/api/openrouter/sync", headers, '{"force": true}'), 401)
    refused(signed_in.ask("DELETE", "/api/pin", headers), 401)


def test_a_cookie_of_which_any_byte_differs_does_not_act(guarded: Served, unchanged: Callable[[], None]) -> None:
    signed_in = Sitting(guarded)
    signed_in.sign_in(TOKEN)
    page = signed_in.get("/operations")
    assert "Sync now" in page
    cookie = signed_in.cookies["llmhive_session"]
    for place_ in range(len(cookie)):
        other = "0" if cookie[place_] != "0" else "1"
        tampered = Sitting(
            guarded, {**signed_in.cookies, "llmhive_session": f"{cookie[:place_]}{other}{cookie[place_ + 1 :]}"}
        )
        refused(tampered.ask("GET", "/operations"), 303)
        body = urlencode({"form_token": tampered.cookies["llmhive_form"], "name": "mine"})
        refused(tampered.ask("POST", "/operations/snapshots", {"Origin": tampered.origin, "Content-Type": FORM}, body))


@pytest.mark.parametrize(
    "cookie",
    [
        b"llmhive_session=", b"llmhive_session=\xff\xfe", b"llmhive_session=write.\xd9\xa1.x", b"llmhive_session",
        b"llmhive_session=write.99999999999." + b"0" * 64, b"=;=;;;", b"llmhive_session=" + b"w" * 30_000,
        b'llmhive_session="write\\012"; llmhive_form="\\777"', b"llmhive_form=" + b"\xc3\xa9" * 2000,
        b"llmhive_session=write.1.x; llmhive_session=read.1.x",
    ],
)  # fmt: skip
def test_a_cookie_that_is_none_is_no_mistake_of_ours(
    guarded: Served, unchanged: Callable[[], None], cookie: bytes
) -> None:
    stranger = Sitting(guarded)
    refused(stranger.ask("GET", "/operations", {"Cookie": cookie.decode("latin-1")}), 303)
    headers = {"Cookie": cookie.decode("latin-1"), "Origin": stranger.origin, "Content-Type": FORM}
    refused(stranger.ask("POST", "/operations/unpin", headers, "form_token=%C3%A9%FF%00"))
    assert not guarded.logged("Answer failed")


def test_a_new_token_ends_every_session(here: Place, guarded: Served, unchanged: Callable[[], None]) -> None:
    signed_in = Sitting(guarded)
    signed_in.sign_in(TOKEN)
    token = signed_in.token()
    with serving(here.llmhive, HOST="0.0.0.0", AUTH_TOKEN=NEXT_TOKEN) as after:
        same = Sitting(after, dict(signed_in.cookies))
        for action, fields in ACTIONS.items():
            headers = {"Origin": same.origin, "Content-Type": FORM}
            refused(same.ask("POST", action, headers, urlencode({"form_token": token, **fields})))
        assert "Sync now" not in same.get("/operations")
        assert "Sign in to act" in same.get("/operations")


def test_a_wrong_token_is_told_to_the_log_but_not_what_it_was(guarded: Served, unchanged: Callable[[], None]) -> None:
    stranger = Sitting(guarded)
    for wrong in (f"{TOKEN}x", "another-guess-of-a-token", "", "x" * 9000, "\x00", "é" * 20):
        answer = stranger.sign_in(wrong)
        refused(answer)
        assert "llmhive_session" not in stranger.cookies
        assert "neither AUTH_TOKEN nor AUTH_READ_TOKEN" in answer.text
        assert not wrong or wrong not in answer.text
    assert guarded.logged("Refused a credential", reason="not a token of the settings")
    assert stranger.sign_in(TOKEN).to == "/operations"
    page = stranger.get("/operations")
    for text in (page, "".join(guarded.lines), str(stranger.cookies)):
        assert "another-guess-of-a-token" not in text
        assert TOKEN not in text
        assert READ_TOKEN not in text


def test_nobody_is_signed_in_by_another_site(guarded: Served) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Origin": None}, {"Sec-Fetch-Site": "cross-site"}):
        stranger = Sitting(guarded)
        refused(stranger.post("/sign-in", headers, token=TOKEN))
        assert "llmhive_session" not in stranger.cookies
    stranger = Sitting(guarded)
    refused(stranger.post("/sign-in", form_token="x", token=TOKEN))
    # nor signed out
    stranger.sign_in(TOKEN)
    refused(stranger.post("/sign-out", {"Origin": "https://evil.example"}))
    assert "Sync now" in stranger.get("/operations")
    assert stranger.post("/sign-out").to == "/"
    assert "llmhive_session" not in stranger.cookies


def test_signing_in_leads_to_no_other_site(guarded: Served) -> None:
    for further in ("//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example", "\n//x"):
        assert Sitting(guarded).post("/sign-in", token=TOKEN, next=further).to == "/"
        page = Sitting(guarded).get(f"/sign-in?{urlencode({'next': further})}")
        assert "evil.example" not in page


def test_who_may_not_read_learns_nothing(guarded: Served) -> None:
    stranger = Sitting(guarded)
    for path in ("/", "/operations", "/operations/runs/1", f"/operations/snapshots/{SNAPSHOT}", "/changes"):
        assert stranger.ask("GET", path).to.startswith("/sign-in?next=")
    for text in (stranger.get("/sign-in"), stranger.post("/operations/unpin").text):
        assert SNAPSHOT not in text
        assert "version 1" not in text
    refused(stranger.ask("GET", "/api/models"), 401)
    reader = Sitting(guarded)
    reader.sign_in(READ_TOKEN)
    page = reader.get("/operations")
    assert "Sign in to act" in page
    assert 'action="/operations' not in page
    for path in ("/", "/changes", "/operations/runs/1", f"/operations/snapshots/{SNAPSHOT}"):
        reader.get(path)


def test_no_page_can_be_framed_or_kept(allowed: Sitting) -> None:
    for path in ("/", "/operations", "/operations/runs/1", f"/operations/snapshots/{SNAPSHOT}", "/sign-in", "/none"):
        answer = allowed.ask("GET", path, {"Accept": "text/html"})
        assert answer.headers["x-frame-options"] == "DENY", path
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "form-action 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        if path != "/":
            assert answer.headers["cache-control"] == "no-store", path


_LINKS = re.compile(r'(?:href|data-figure)="([^"#]+)')


def test_reading_never_writes(here: Place, allowed: Sitting, unchanged: Callable[[], None]) -> None:
    """Whatever page leads to another, and both ways of reading it."""
    left, seen = ["/"], set[str]()
    while left and len(seen) < 150:
        path = left.pop(0)
        if path in seen:
            continue
        seen.add(path)
        answer = allowed.ask("GET", path)
        assert answer.status < 500, (path, answer.text[-1000:])
        assert allowed.ask("HEAD", path).text == ""
        if answer.headers.get("content-type", "").startswith("text/html"):
            links = (it.replace("&amp;", "&") for it in _LINKS.findall(answer.text))
            left += [it for it in links if _is_ours(it) and it not in seen]
    for needed in ("/operations", "/changes", "/compare", "/operations/runs/1", f"/operations/snapshots/{SNAPSHOT}"):
        assert needed in seen, sorted(seen)


def _is_ours(link: str) -> bool:
    return link.startswith("/") and not link.startswith(("//", "/static/"))
