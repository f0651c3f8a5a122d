"""Programs ask over JSON with tokens, and get what their role allows."""

from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from dicom_node.console.api.routes import describe
from dicom_node.console.security.credentials import digest_of_token, new_token
from dicom_node.domain.accounts import Role
from dicom_node.domain.jobs import JobState
from tests.console.conftest import HASH, Bench, Browser
from tests.console.routing import a_desk

if TYPE_CHECKING:
    from pathlib import Path

    from httpx import Response


def token(bench: Bench, role: Role, owner: Role = Role.ADMIN) -> str:
    accounts = bench.ledger.accounts()
    account = accounts.account(f"owner-{owner}") or accounts.add_account(
        f"owner-{owner}", owner, password_hash=HASH, now=bench.clock()
    )
    text = new_token()
    accounts.add_token(
        account.id,
        name="script",
        role=role,
        token_digest=digest_of_token(text),
        now=bench.clock(),
        expires_at=bench.clock() + 3600,
    )
    return text


def ask(bench: Bench, text: str, method: str, path: str, **more: Any) -> Response:
    headers = {"Authorization": f"Bearer {text}"}
    return bench.browser().request(method, f"/api/v1{path}", headers=headers, **more)


def test_a_program_lists_looks_and_acts(bench: Bench) -> None:
    key = bench.done(AccessionNumber="ACC-1")
    text = token(bench, Role.OPERATOR)
    (job,) = ask(bench, text, "GET", "/jobs?accession=ACC-1").json()["jobs"]
    assert (job["key"], job["state"], job["deliveries"]) == (key, "done", {"pacs": "closed"})
    details = ask(bench, text, "GET", f"/jobs/{key[:12]}").json()
    assert details["terms"][0]["holds"] is True
    assert details["events"][-1]["event"].startswith("pacs: ")
    sent = ask(bench, text, "POST", f"/jobs/{key}/send", json={"destination": "mirror"})
    assert sent.status_code == 200
    assert ask(bench, text, "GET", "/standing").json()["deliveries_open"] == 1
    (image,) = ask(bench, text, "GET", "/images").json()["images"]
    assert image["job"] == key
    assert "owner-admin (token script)" in str(bench.audited[-1])


def test_a_program_takes_pictures_files_and_provenance(bench: Bench) -> None:
    key = bench.done()
    text = token(bench, Role.OPERATOR)
    pictures = ask(bench, text, "GET", f"/jobs/{key}").json()["pictures"]
    assert [each["is_source"] for each in pictures] == [False, True, False], "in order of a turn"
    view = pictures[0]
    assert view["provenance"]["view"]["primary_deg"] == view["turned_deg"] == -60
    dicom = ask(bench, text, "GET", f"/jobs/{key}/files/{view['which']}.dcm")
    assert dicom.headers["content-type"] == "application/dicom"
    assert dicom.content[128:132] == b"DICM"
    assert "owner-admin (token script)" in str(bench.audited[-1])
    png = ask(bench, text, "GET", f"/jobs/{key}/files/{view['which']}.png")
    assert png.content.startswith(b"\x89PNG")
    (image,) = ask(bench, text, "GET", "/images").json()["images"]
    received = ask(bench, text, "GET", f"/images/{image['number']}/file.dcm")
    assert received.content[128:132] == b"DICM"
    viewer = token(bench, Role.VIEWER)
    for path in (f"/jobs/{key}/files/source.dcm", f"/images/{image['number']}/file.dcm"):
        assert ask(bench, viewer, "GET", path).status_code == 403


def test_a_program_reads_why_something_waits_for_a_person_and_settles_it(bench: Bench) -> None:
    for number in (1, 2):
        bench.receive(number, ViewPosition="LL", AccessionNumber="ACC-1")
    bench.node.plan()
    text = token(bench, Role.OPERATOR)
    (reason,) = ask(bench, text, "GET", "/quarantine").json()["reasons"]
    assert (reason["kind"], reason["count"]) == ("images", 2)
    assert "View Position" in reason["reason"]
    image = ask(bench, text, "GET", "/images/1").json()
    assert (image["state"], image["reason"]) == ("quarantined", reason["reason"])
    assert image["terms"][0]["holds"] is True
    assert image["accession_number"] == "ACC-1"
    seen = ask(bench, token(bench, Role.VIEWER), "GET", "/images/1").json()
    assert seen["accession_number"] is None
    done = ask(bench, text, "POST", "/images/1/cancel").json()["done"]
    assert done == "Image cancelled."
    assert ask(bench, text, "POST", "/images/1/cancel").status_code == 409
    assert ask(bench, text, "POST", "/images/2/release").status_code == 200
    assert ask(bench, text, "GET", "/images/2").json()["state"] == "waiting"
    assert ask(bench, text, "GET", "/images/3").status_code == 404


def test_a_program_has_what_waits_for_a_destination_sent_now(bench: Bench) -> None:
    bench.node.archive.down = True
    bench.receive()
    bench.node.plan(), bench.node.synthesize(), bench.node.deliver()
    text = token(bench, Role.OPERATOR)
    assert not bench.node.deliver(), "it waits for a later time"
    answer = ask(bench, text, "POST", "/destinations/pacs/retry")
    assert answer.json() == {"count": 1}
    bench.node.archive.down = False
    assert bench.node.deliver(), "it is due"
    assert ask(bench, text, "POST", "/destinations/nobody/retry").status_code == 404


def test_pages_of_the_list_follow_each_other(bench: Bench) -> None:
    for number in (1, 2, 3):
        bench.receive(number)
    bench.node.plan()
    text = token(bench, Role.VIEWER)
    first = ask(bench, text, "GET", "/jobs?limit=2").json()
    second = ask(bench, text, "GET", f"/jobs?limit=2&before={first['next']}").json()
    assert [len(first["jobs"]), len(second["jobs"]), second["next"]] == [2, 1, None]
    assert first["jobs"][0]["accession_number"] is None, "a viewer"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/jobs/abcdef123456", None, 404),
        ("GET", "/jobs/..%2F..%2Fetc", None, 404),
        ("GET", "/jobs?before=0", None, 422),
        ("GET", "/jobs?since=yesterday", None, 422),
        ("GET", "/nothing", None, 404),
        ("PUT", "/jobs", None, 405),
        ("POST", "/quarantine", {"kind": "images", "deed": "delete"}, 422),
    ],
)
def test_errors_are_problems(bench: Bench, method: str, path: str, body: Any, status: int) -> None:
    answer = ask(bench, token(bench, Role.ADMIN), method, path, json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


def test_a_token_that_was_revoked_or_ended_or_is_not_one_opens_nothing(bench: Bench) -> None:
    text = token(bench, Role.ADMIN)
    assert ask(bench, text, "GET", "/jobs").status_code == 200
    (row,) = bench.ledger.accounts().tokens()
    bench.ledger.accounts().revoke_token(row.id, bench.clock())
    refused = ask(bench, text, "GET", "/jobs")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (
        401,
        'Bearer realm="dicom-node"',
    )
    late = token(bench, Role.ADMIN)
    bench.clock.now += 3601
    for wrong in (late, "dnt_x", "", row.name):
        assert ask(bench, wrong, "GET", "/jobs").status_code == 401


def test_a_token_may_no_more_than_its_role_and_its_owner(bench: Bench) -> None:
    bench.receive()
    bench.node.plan()
    key = bench.ledger.jobs()[0].job.key
    for role, owner in ((Role.VIEWER, Role.ADMIN), (Role.ADMIN, Role.VIEWER)):
        text = token(bench, role, owner)
        assert ask(bench, text, "POST", f"/jobs/{key}/cancel").status_code == 403
    assert bench.ledger.jobs()[0].job.state is JobState.QUEUED


def test_the_cookie_of_a_browser_does_not_open_the_api(bench: Bench, admin: Browser) -> None:
    assert admin.get("/api/v1/jobs").status_code == 401
    assert admin.post("/api/v1/quarantine", json={}).status_code == 401


def test_an_admin_makes_a_token_that_is_shown_once(bench: Bench, admin: Browser) -> None:
    made = admin.submit("/tokens", name="robot", role="operator", days="7")
    found = re.search(r"data-token>(dnt_[^<]+)<", made.text)
    assert found is not None
    assert ask(bench, found[1], "GET", "/jobs").status_code == 200
    assert found[1] not in admin.get("/tokens").text
    assert bench.browser("otto", Role.OPERATOR).get("/tokens").status_code == 403
    row = bench.ledger.accounts().tokens()[0]
    assert admin.submit(f"/tokens/{row.id}/revoke").status_code == 303
    assert ask(bench, found[1], "GET", "/jobs").status_code == 401


@pytest.mark.slow
def test_whatever_is_asked_the_api_answers_as_it_says(tmp_path: Path) -> None:
    import schemathesis

    schemathesis.serializer.alias("application/dicom", "application/octet-stream")
    with a_desk(tmp_path) as desk:
        desk.receive(1)
        schema = schemathesis.openapi.from_dict(describe(desk.bench.app))
        schema.app = desk.bench.app
        operations = [result.ok() for result in schema.get_all_operations()]
        # What is asked of one may end the token of before.
        wrong = [
            _ask_anything(desk.bench, each, token(desk.bench, Role.ADMIN)) for each in operations
        ]
    assert [each for each in wrong if each] == []
    assert {each.label for each in operations} >= {
        f"{method} /api/v1/{path}"
        for method, path in (
            ("GET", "jobs"),
            ("PUT", "routes/{name}"),
            ("POST", "peers"),
            ("POST", "destinations/{name}/echo"),
            ("GET", "models"),
            ("POST", "accounts"),
            ("DELETE", "tokens/{number}"),
        )
    }


JUDGED = {
    f"{method} /api/v1/{path}"
    for method, path in (
        ("PUT", "configuration"),
        ("POST", "configuration/replay"),
        ("POST", "trials"),
        ("POST", "previews"),
        ("POST", "fetches"),
        *(("POST", path) for path in ("routes", "peers", "destinations", "models")),
        *(("PUT", f"{path}/{{name}}") for path in ("routes", "peers", "destinations", "models")),
        ("POST", "accounts"),
        ("POST", "account/password"),
        ("POST", "tokens"),
    )
}
"""What they are sent is judged by more than a schema can say: they may answer 422 to any of it."""


def _ask_anything(bench: Bench, operation: Any, text: str) -> str:
    """Ask an operation for many things; what was wrong with the answers, empty when nothing."""
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.checks import positive_data_acceptance

    @settings(
        max_examples=10,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def ask_it(case: Any) -> None:
        answer = case.call(
            app=bench.app,
            base_url="http://console.test",
            headers={"Authorization": f"Bearer {text}"},
        )
        excluded = [positive_data_acceptance] if operation.label in JUDGED else []
        case.validate_response(answer, excluded_checks=excluded)

    try:
        ask_it()
    except (Exception, BaseExceptionGroup) as error:
        return f"{operation.label}: {''.join(traceback.format_exception(error))[-4000:]}"
    return ""
