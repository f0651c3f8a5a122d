"""Who means harm: every page there is, tried by those who may not see or do what it does.

The pages are those the application has, so none that is made later is left out: it has to be
written down here with the role that it needs.
"""

from __future__ import annotations

import http.client
import re
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.routing import APIRoute

from dicom_node.console.security.guard import API
from dicom_node.domain.accounts import Role
from tests.console.browsing import served
from tests.console.conftest import Bench, Browser
from tests.console.routing import Desk, Program, a_desk
from tests.fakes.radiographs import received
from tests.services.test_queueing import FakeArchive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = {
    "": "GET /login, POST /login, GET /login/oidc, GET /login/oidc/callback",
    "viewer": """
        GET /, GET /today/live, POST /logout, POST /logout/everywhere, GET /account,
        POST /account/password, GET /jobs, GET /jobs/live, GET /jobs/{key},
        GET /jobs/{key}/live, GET /jobs/{key}/pictures/{which}.png, GET /images, GET /images/live,
        GET /images/{number}, GET /images/{number}/picture.png, GET /quarantine, GET /peers,
        GET /destinations, GET /models, GET /routes, GET /routes/standing, GET /routes/versions,
        GET /api/openapi.json
    """,
    "operator": """
        GET /jobs/{key}/{deed}/confirm, GET /jobs/{key}/send/confirm, GET /jobs/{key}/again/confirm,
        POST /jobs/{key}/release, POST /jobs/{key}/cancel, POST /jobs/{key}/retry,
        POST /jobs/{key}/send, POST /jobs/{key}/again, GET /jobs/{key}/files/{which}.png,
        GET /jobs/{key}/files/{which}.dcm, GET /images/{number}/file.dcm,
        GET /images/{number}/{deed}/confirm, POST /images/{number}/{deed},
        GET /jobs/cancel/confirm, POST /jobs/cancel, GET /images/anew/confirm, POST /images/anew,
        GET /quarantine/confirm, POST /quarantine, POST /destinations/{name}/retry,
        GET /fetch, GET /fetch/live, POST /fetch, GET /fetch/{number}, GET /fetch/{number}/live,
        POST /destinations/at/{name}/echo, GET /destinations/at/{name}/store,
        POST /destinations/at/{name}/store, GET /routes/text, GET /routes/try, POST /routes/try,
        POST /routes/preview, GET /routes/versions/{number}
    """,
    "admin": """
        GET /accounts, POST /accounts, POST /accounts/{number}/role,
        POST /accounts/{number}/disable, POST /accounts/{number}/enable, GET /tokens, POST /tokens,
        GET /tokens/{number}/revoke/confirm, POST /tokens/{number}/revoke, GET /{part}/new,
        GET /{part}/edit/{name}, POST /{part}/edit, GET /{part}/at/{name}/remove,
        POST /{part}/at/{name}/remove, GET /routes/new, GET /routes/edit/{name},
        POST /routes/edit, POST /routes/at/{name}/move, POST /routes/at/{name}/switch,
        GET /routes/at/{name}/remove, POST /routes/at/{name}/remove, POST /routes/text,
        GET /routes/versions/{number}/back, POST /routes/versions/{number}/back
    """,
}
"""Role -> the pages that it opens and the roles below it do not."""

FOR_PROGRAMS = {
    "viewer": """
        GET /standing, GET /jobs, GET /jobs/{key}, GET /images, GET /images/{number},
        GET /quarantine, GET /peers, GET /destinations, GET /models, GET /configuration,
        GET /configuration/versions, GET /routes, GET /account,
        POST /account/password
    """,
    "operator": """
        POST /jobs/cancel, POST /jobs/{key}/release, POST /jobs/{key}/cancel,
        POST /jobs/{key}/retry, POST /jobs/{key}/send, POST /jobs/{key}/again,
        GET /jobs/{key}/files/{which}.dcm, GET /jobs/{key}/files/{which}.png,
        GET /images/{number}/file.dcm, POST /images/{number}/release, POST /images/{number}/cancel,
        POST /destinations/{name}/retry, POST /images/anew, POST /quarantine, GET /fetches,
        POST /fetches, GET /fetches/{number},
        POST /destinations/{name}/echo, POST /destinations/{name}/test-store,
        POST /configuration/check, POST /configuration/replay,
        GET /configuration/versions/{number}, GET /configuration/versions/{number}/diff,
        POST /trials, POST /previews
    """,
    "admin": """
        GET /accounts, POST /accounts, POST /accounts/{number}/role,
        POST /accounts/{number}/disable, POST /accounts/{number}/enable, GET /tokens, POST /tokens,
        DELETE /tokens/{number}, POST /peers, PUT /peers/{name}, DELETE /peers/{name},
        POST /destinations, PUT /destinations/{name}, DELETE /destinations/{name}, POST /models,
        PUT /models/{name}, DELETE /models/{name}, PUT /configuration,
        POST /configuration/versions/{number}/back, POST /routes, PUT /routes/{name},
        DELETE /routes/{name}, POST /routes/{name}/move, POST /routes/{name}/switch
    """,
}

MARK = '<i id="evil">'
SHORT = "<i id=evil>"
"""Fits into a CS or SH."""


def listed(table: dict[str, str], before: str = "") -> dict[tuple[str, str], str]:
    """(method, path) -> role."""
    return {
        (line.split()[0], before + line.split()[1]): role
        for role, lines in table.items()
        for line in re.split(r",\s*", lines.strip())
    }


KNOWN = listed(PAGES) | listed(FOR_PROGRAMS, API)
CHANGES = [key for key in KNOWN if key[0] != "GET" and not key[1].startswith(API)]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with a_desk(tmp_path) as made:
        made.bench.more["fetches"] = made.bench.fetches(FakeArchive())
        yield made


def filled(path: str, key: str) -> str:
    values = {"key": key, "number": "1", "name": "pacs", "which": "source", "part": "peers"}
    return path.format(deed="cancel", **values)


def everything(desk: Desk) -> tuple[Any, ...]:
    """What nobody may change unasked."""
    ledger = desk.bench.ledger
    accounts = [(each.name, each.role, each.disabled) for each in ledger.accounts().accounts()]
    return ledger.jobs(), ledger.images(), accounts, ledger.fetches(), desk.site.text


def test_every_page_is_written_down_with_its_role(desk: Desk) -> None:
    there = {
        (method, re.sub(r":\w+", "", route.path))
        for section in desk.bench.app.state.sections
        for route in section.router.routes
        if isinstance(route, APIRoute)
        for method in route.methods - {"HEAD"}
    }
    assert there == set(KNOWN)


def test_nobody_gets_past_without_a_login(desk: Desk) -> None:
    key = desk.bench.done()
    before = everything(desk)
    stranger = desk.bench.browser()
    for (method, path), role in KNOWN.items():
        answer = stranger.request(method, filled(path, key))
        if role:
            assert answer.status_code in (303, 401), (method, path)
            assert answer.headers.get("location", "/login").startswith("/login"), path
    assert everything(desk) == before


def test_a_role_opens_its_pages_and_those_below_it_do_not(desk: Desk) -> None:
    key = desk.bench.done()
    roles = list(Role)
    people = {role: desk.bench.browser(f"a {role}", role) for role in roles}
    csrf = {role: browser.csrf() for role, browser in people.items()}
    programs = {role: Program(desk, role) for role in roles}
    before = everything(desk)
    for (method, path), needed in KNOWN.items():
        where = filled(path, key)
        for role in roles if needed else ():
            may = role.allows(Role(needed))
            if may and method != "GET":
                continue  # it would do it
            if path.startswith(API):
                answer = programs[role](method, where.removeprefix(API))
            else:
                headers = {"x-csrf-token": csrf[role]}
                answer = people[role].request(method, where, headers=headers)
            status = answer.status_code
            assert status not in (401, 403) if may else status == 403, (role, method, path, status)
    assert everything(desk) == before


def test_a_change_that_no_page_of_this_session_sent_is_none(desk: Desk) -> None:
    key = desk.bench.done()
    ada = desk.bench.browser("ada", Role.ADMIN)
    other = desk.bench.browser("eve", Role.ADMIN)
    mine, theirs = ada.csrf(), other.csrf()
    before = everything(desk)
    for method, path in CHANGES:
        if path == "/login":
            continue
        where = filled(path, key)
        for headers, form in (
            ({}, {}),
            ({}, {"csrf": ""}),
            ({}, {"csrf": theirs}),
            ({"x-csrf-token": theirs}, {"csrf": mine}),
            ({"sec-fetch-site": "cross-site"}, {"csrf": mine}),
            ({"sec-fetch-site": "same-site", "x-csrf-token": mine}, {}),
        ):
            answer = ada.request(method, where, headers=headers, data=form)
            assert answer.status_code == 403, (path, headers, form)
    assert everything(desk) == before
    assert ada.get("/").status_code == 200, "nor was anybody logged out"


def test_what_was_thrown_away_opens_nothing_any_more(desk: Desk) -> None:
    bench, key = desk.bench, desk.bench.done()

    def as_before(kept: dict[str, str], csrf: str = "") -> int:
        """The status of the answer to somebody who kept cookies of another one."""
        thief = bench.browser()
        for name, value in kept.items():
            thief.cookies.set(name, value, domain="console.test", path="/")
        if csrf:
            return thief.post(f"/jobs/{key}/retry", data={"csrf": csrf}).status_code
        return thief.get("/").status_code

    ada = bench.browser("ada", Role.ADMIN)
    kept, csrf = dict(ada.cookies), ada.csrf()
    assert as_before(kept) == 200, "a cookie that is stolen in time is one that holds"
    assert ada.submit("/logout").status_code == 303
    assert as_before(kept) == 303
    assert as_before(kept, csrf) in (303, 403)
    ada.log_in("ada")
    assert csrf != ada.csrf(), "each session has its own"
    assert ada.post(f"/jobs/{key}/retry", data={"csrf": csrf}).status_code == 403

    # The form of a login counts in the browser that it was shown to, and once.
    form = bench.browser().get("/login").text
    secret = form.partition('name="before" value="')[2].partition('"')[0]
    data = {"name": "ada", "password": "correct horse battery", "before": secret}
    assert bench.browser().post("/login", data=data).status_code == 403

    # A token counts in its header alone.
    program = Program(desk, Role.ADMIN)
    (text,) = [value.removeprefix("Bearer ") for value in program._headers.values()]
    assert bench.browser().get(f"{API}/jobs?token={text}&access_token={text}").status_code == 401
    assert as_before({"dicom_node_session": text}) == 303
    basic = {"Authorization": f"Basic {text}"}
    assert bench.browser().get(f"{API}/jobs", headers=basic).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "//evil.test",
        "/\\evil.test",
        "\\\\evil.test",
        "https://evil.test/",
        "javascript:alert(1)",
        "/%0d%0aSet-Cookie:a=b",
        "/\r\nSet-Cookie: a=b",
        "/login?next=//evil.test",
        "/a b",
        "",
    ],
)
def test_a_login_leads_to_pages_of_ours_alone(bench: Bench, path: str) -> None:
    bench.browser("ada", Role.ADMIN)
    fresh = bench.browser()
    answer = fresh.log_in("ada", next_path=path)
    assert answer.status_code == 303
    location = answer.headers["location"]
    assert re.fullmatch(r"/(?![/\\])[ -~]*", location), location
    assert "evil" not in location
    assert "a=b" not in answer.headers.get("set-cookie", "")


TRICKS = (
    "/static/../../../../../../../../etc/passwd",
    "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/static/..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/static/%2fetc%2fpasswd",
    "/static//etc/passwd",
    "/static/..%5c..%5c..%5cetc%5cpasswd",
    "/static/%252e%252e/%252e%252e/etc/passwd",
    "/static/vendor/../../templates/base.html",
    "/static/../app.py",
    "/static/console.css%00.png",
    "/jobs/{key}/files/..%2f..%2f..%2f..%2fetc%2fpasswd.dcm",
    "/jobs/{key}/files/../../../../etc/passwd.dcm",
    "/jobs/{key}/pictures/%2e%2e%2fsource.png",
    "/jobs/..%2f..%2fledger.db/pictures/source.png",
    "/images/..%2f..%2f..%2fetc%2fpasswd/file.dcm",
    "/images/1%2f..%2f..%2fledger.db/file.dcm",
    "/models/edit/..%2f..%2f..%2fetc%2fpasswd",
    "/peers/edit/%2fetc%2fpasswd",
    "/routes/edit/..%2fnode.yaml",
    "/routes/versions/..%2f1",
    "/..%2f..%2fetc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/api/v1/jobs/..%2f..%2fetc%2fpasswd",
    "/api/v1/../../etc/passwd",
)


def test_no_path_leads_to_a_file_that_is_not_to_be_seen(desk: Desk) -> None:
    """As they are written: clients of the usual kind would straighten them before they are sent."""
    bench = desk.bench
    key = bench.done()
    ada = bench.browser("ada", Role.ADMIN)
    cookies = "; ".join(f"{name}={value}" for name, value in ada.cookies.items())
    with served(bench) as address:
        for trick in TRICKS:
            connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
            connection.putrequest("GET", trick.replace("{key}", key), skip_host=True)
            connection.putheader("Host", "console.test")
            connection.putheader("Cookie", cookies)
            connection.endheaders()
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            assert answer.status in (303, 400, 401, 403, 404, 422), (trick, answer.status)
            for secret in (b"root:", b"{% block", b"create_app", b"SQLite format", b"DICM"):
                assert secret not in body, trick


def test_whatever_an_image_says_is_text_on_every_page(desk: Desk) -> None:
    bench = desk.bench
    said: dict[str, object] = {
        "PatientName": f"{MARK}^X",
        "PatientID": MARK,
        "AccessionNumber": SHORT,
        "StudyID": SHORT,
        "StudyDescription": MARK,
        "SeriesDescription": MARK,
        "Manufacturer": MARK,
        "ManufacturerModelName": MARK,
        "InstitutionName": MARK,
        "StationName": SHORT,
        "ProtocolName": MARK,
        "ReferringPhysicianName": MARK,
        "BodyPartExamined": "<I ID=EVIL>",
    }
    bench.done(1, **said)
    for number, more in (
        (2, {"ViewPosition": "<I ID=EVIL>"}),
        (3, {"Modality": "<I ID=EVIL>"}),
        (4, {"PatientOrientation": ["<I ID=EVIL>", "F"]}),
        (5, {"StudyInstanceUID": "1.2.<i id=evil>"}),
    ):
        bench.receive(number, **(said | more))
    bench.node.planning.run_once(bench.clock())
    desk.site.node.scp.taking.receiver.receive(received(6, **said))
    desk.site.node.planning.run_once(desk.site.clock())
    ada = bench.browser("ada", Role.ADMIN)
    file = {"file": (f"{MARK}.dcm", received(7, **said).data, MARK)}
    tried = ada.post("/routes/try", files=file, data={"csrf": ada.csrf()}).text
    assert "&lt;i id=" in tried.lower()
    pages = {"/routes/try": tried} | dict(crawled(ada))
    seen = 0
    for path, text in pages.items():
        assert "<i id=" not in text.lower(), path
        seen += "&lt;i id=" in text.lower()
    assert seen > 5, "it is shown in several places, as what it is"


def crawled(browser: Browser) -> Iterator[tuple[str, str]]:
    """Every kind of page a person finds from link to link, and its text."""
    waiting, kinds = ["/", "/jobs", "/images", "/quarantine", f"/jobs?text={MARK}"], set[str]()
    while waiting:
        path = waiting.pop(0)
        kind = re.sub(r"[0-9a-f]{16,}", "K", path.partition("?")[0])
        if (kind in kinds and not kind.startswith("/images/")) or path in kinds:
            continue
        kinds |= {kind, path}
        answer = browser.get(path)
        if "html" not in answer.headers.get("content-type", ""):
            continue
        yield path, answer.text
        links = re.findall(r'\b(?:href|hx-get)="(/[^"#]*)', answer.text)
        waiting += [each.replace("&amp;", "&") for each in links if "/static/" not in each]
        assert len(kinds) < 400
