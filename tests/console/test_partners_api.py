"""Programs see, change and try peers, destinations and models, and manage who may log in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

from dicom_node.console.parts import Part
from dicom_node.domain.accounts import Role
from tests.console.conftest import PASSWORD
from tests.console.routing import PREFIX, Desk, Program, a_desk
from tests.console.test_partners import archive

if TYPE_CHECKING:
    from pathlib import Path

MIRROR = {"name": "mirror", "ae_title": "MIRROR", "host": "10.0.0.7", "port": 104, "form": "sc"}
ADDED = "a long new password"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with a_desk(tmp_path) as made:
        yield made


@pytest.fixture
def ask(desk: Desk) -> Program:
    return Program(desk, Role.ADMIN)


def test_a_destination_is_added_changed_renamed_and_taken_out(desk: Desk, ask: Program) -> None:
    listed = ask("GET", "/destinations").json()
    (pacs,) = listed["destinations"]
    assert pacs["destination"]["port"] == 104
    assert (pacs["used_by"], pacs["answers"]) == (["chest", "rest"], None)
    new = {"destination": MIRROR, "base": listed["digest"]}
    assert ask("POST", "/destinations", json=new).json() == {"version": 2}
    assert desk.site.node.rules.now.destinations["mirror"].form.value == "sc"
    assert "# Ours, with words about why." in desk.site.text
    changed = {"destination": MIRROR | {"name": "second", "port": 105}, "comment": "moved"}
    assert ask("PUT", "/destinations/mirror", json=changed).json() == {"version": 3}
    assert desk.site.node.rules.now.destinations["second"].port == 105
    version = desk.site.node.ledger.versions()[0].version
    assert (version.author, version.comment) == ("owner (token script)", "moved")
    assert ask("DELETE", "/destinations/second").json() == {"version": 4}
    assert ask("DELETE", "/destinations/second").status_code == 404
    assert ask("PUT", "/destinations/second", json=changed).status_code == 404
    refused = ask("DELETE", "/destinations/pacs")
    assert refused.status_code == 422, "routes use it"
    assert refused.json()["problems"][0]["path"].startswith("routes")
    renamed = {"destination": pacs["destination"] | {"name": "archive"}}
    assert ask("PUT", "/destinations/pacs", json=renamed).status_code == 200
    assert desk.site.node.rules.now.routes[0].send_to == ("archive",)


def test_how_a_destination_is_stands_beside_it(desk: Desk) -> None:
    desk.bench.more["health"] = lambda: (
        Part(name="engine", problem="it is away"),
        Part(name="destination pacs", problem="refused the connection", at=0.0),
    )
    (pacs,) = Program(desk, Role.VIEWER)("GET", "/destinations").json()["destinations"]
    assert (pacs["answers"], pacs["problem"]) == (False, "refused the connection")
    assert pacs["asked_at"] == "1970-01-01T00:00:00.000+00:00"


def test_where_secrets_are_is_not_for_viewers(
    desk: Desk, ask: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHIVE_TOKEN", "Bearer secret-of-the-archive")
    web = {"name": "web", "url": "http://127.0.0.1/dicom-web", "authorization_env": "ARCHIVE_TOKEN"}
    assert ask("POST", "/destinations", json={"destination": web}).status_code == 200
    seen = ask("GET", "/destinations")
    assert seen.json()["destinations"][1]["destination"] == web
    assert "secret-of-the-archive" not in seen.text
    shown = Program(desk, Role.VIEWER)("GET", "/destinations").json()["destinations"][1]
    assert shown["destination"] == {"name": "web", "url": web["url"]}
    for name, where in (("a", {"token_env": "GATEWAY_TOKEN"}), ("b", {"token_file": "b.token"})):
        peer = {"name": name, "ae_title": name.upper()}
        assert ask("POST", "/peers", json={"peer": peer | where}).status_code == 200
        assert ask("GET", "/peers").json()["peers"][-1] == peer | where
        assert Program(desk, Role.VIEWER)("GET", "/peers").json()["peers"][-1] == peer


def test_what_is_wrong_or_was_changed_meanwhile_is_not_written(desk: Desk, ask: Program) -> None:
    before, base = desk.site.text, desk.base
    for keys in ({"port": 99999}, {"prot": 104}, {"ae_title": "MUCH TOO LONG A TITLE"}):
        wrong = ask("POST", "/destinations", json={"destination": MIRROR | keys})
        assert wrong.status_code == 422
        assert wrong.json()["problems"][0]["path"].startswith("destinations[1].")
    twice = ask("POST", "/peers", json={"peer": {"name": "ct", "ae_title": "CT"}})
    assert twice.status_code == 422
    assert desk.site.text == before
    desk.site.write("ae_title: CT}", "ae_title: MR}")
    peer = {"peer": {"name": "ct", "ae_title": "CT", "may_commit": False}, "base": base}
    conflict = ask("PUT", "/peers/ct", json=peer)
    assert conflict.status_code == 409
    assert conflict.json()["digest"] == desk.base
    assert "MR}" in desk.site.text


def test_a_peer_is_let_in_and_out(desk: Desk, ask: Program) -> None:
    peer = {"name": "mr", "ae_title": "MR", "images_per_minute": 7}
    assert ask("POST", "/peers", json={"peer": peer}).status_code == 200
    seen = [each["name"] for each in ask("GET", "/peers").json()["peers"]]
    assert seen == ["ct", "mr"]
    assert desk.site.book.settings.peers[1].images_per_minute == 7
    assert ask("PUT", "/peers/mr", json={"peer": {"name": "mr", "ae_title": "M2"}}).is_success
    assert ask("DELETE", "/peers/mr").is_success
    assert ask("DELETE", "/peers/ct").is_success
    assert desk.site.book.settings.peers == ()


def test_a_destination_is_asked_and_given_a_test_object(desk: Desk) -> None:
    otto = Program(desk, Role.OPERATOR)
    taken: list[str] = []
    with archive(taken) as port:
        desk.site.write("port: 104", f"port: {port}")
        found = otto("POST", "/destinations/pacs/echo").json()
        assert found["good"] is True
        stored = otto("POST", "/destinations/pacs/test-store").json()
        assert (stored["good"], taken) == (True, ["DICOM-NODE-TEST"])
        assert "A test object was sent" in str(desk.bench.audited[-1])
    assert otto("POST", "/destinations/pacs/echo").json()["good"] is False
    assert otto("POST", "/destinations/nobody/echo").status_code == 404
    assert otto("POST", "/destinations/nobody/test-store").status_code == 404


def test_a_model_tells_its_figures_licence_and_views(
    desk: Desk, ask: Program, tmp_path: Path
) -> None:
    (bare,) = ask("GET", "/models").json()["models"]
    assert (bare["name"], bare["used_by"]) == ("chest", ["chest", "rest"])
    assert (bare["weights"]["licence"], bare["weights"]["card"]) == (None, [])
    weights = files("synthesis") / "weights"
    for name in ("chest.safetensors", "MODEL_CARD.md"):
        shutil.copy(str(weights / name), tmp_path / name)
    new = {"name": "second", "model": {"path": "chest.safetensors"}}
    assert ask("POST", "/models", json=new).status_code == 200
    made = ask("GET", "/models").json()["models"][1]
    assert (made["model"], made["used_by"]) == ({"path": "chest.safetensors"}, [])
    found = made["weights"]
    assert found["licence"] == "CC BY 4.0"
    assert "frontal chest" in found["sources"]
    assert "-90 to 90 degrees" in found["views"]
    assert found["facts"]["config: resolution"] == "256"
    tables = [each["rows"] for each in found["card"] if each["kind"] == "table"]
    assert any("PSNR dB" in row for rows in tables for row in rows)
    assert "CC BY 4.0" in desk.bench.browser("vera", Role.VIEWER).get("/models").text
    renamed = {"name": "third", "model": {"path": "chest.safetensors"}}
    assert ask("PUT", "/models/second", json=renamed).status_code == 200
    assert ask("DELETE", "/models/third").status_code == 200
    assert ask("DELETE", "/models/chest").status_code == 422, "routes use it"


def test_accounts_are_made_and_changed_and_nobody_is_told_a_password(
    desk: Desk, ask: Program
) -> None:
    new = {"name": "nora", "role": "operator", "password": ADDED}
    made = ask("POST", "/accounts", json=new)
    assert made.json()["role"] == "operator"
    assert desk.bench.browser().log_in("nora", ADDED).status_code == 303
    assert ask("POST", "/accounts", json=new).status_code == 409
    assert ask("POST", "/accounts", json=new | {"name": "x", "password": "no"}).status_code == 422
    number = made.json()["number"]
    changed = ask("POST", f"/accounts/{number}/role", json={"role": "viewer"})
    assert changed.json()["role"] == "viewer"
    assert ask("POST", f"/accounts/{number}/disable").json()["disabled"] is True
    assert desk.bench.browser().log_in("nora", ADDED).status_code == 401
    assert ask("POST", f"/accounts/{number}/enable").json()["disabled"] is False
    listed = ask("GET", "/accounts")
    assert [each["name"] for each in listed.json()["accounts"]] == ["nora", "owner"]
    assert "argon2" not in listed.text
    audited = str(desk.bench.audited)
    for words in ("made with the role operator", "role changed to viewer", "disabled", "enabled"):
        assert words in audited
    assert ADDED not in audited
    assert ask("POST", "/accounts/999/disable").status_code == 404


def test_the_last_admin_stays(desk: Desk, ask: Program) -> None:
    owner = ask("GET", "/account").json()
    assert (owner["name"], owner["role"]) == ("owner (token script)", "admin")
    path = f"/accounts/{owner['account']}"
    assert ask("POST", f"{path}/disable").status_code == 409
    assert ask("POST", f"{path}/role", json={"role": "viewer"}).status_code == 409


def test_a_token_is_told_once_and_holds_until_it_is_revoked(desk: Desk, ask: Program) -> None:
    made = ask("POST", "/tokens", json={"name": "robot", "role": "viewer", "days": 7}).json()
    headers = {"Authorization": f"Bearer {made['text']}"}
    browser = desk.bench.browser()
    assert browser.get(f"{PREFIX}/account", headers=headers).json()["role"] == "viewer"
    listed = ask("GET", "/tokens")
    assert [each["name"] for each in listed.json()["tokens"]] == ["robot", "script"]
    assert made["text"] not in listed.text
    assert made["text"] not in str(desk.bench.audited)
    revoked = ask("DELETE", f"/tokens/{made['token']['number']}").json()
    assert revoked["revoked_at"] is not None
    assert browser.get(f"{PREFIX}/account", headers=headers).status_code == 401
    assert ask("DELETE", "/tokens/999").status_code == 404
    assert ask("POST", "/tokens", json={"name": "\n", "role": "viewer"}).status_code == 422
    assert "token revoked" in str(desk.bench.audited[-1])


def test_the_owner_of_a_token_gets_another_password_with_the_old_one(
    desk: Desk, ask: Program
) -> None:
    wrong = {"old": "guess", "new": ADDED}
    assert ask("POST", "/account/password", json=wrong).status_code == 422
    assert ask("POST", "/account/password", json=wrong | {"old": PASSWORD}).status_code == 204
    assert desk.bench.browser().log_in("owner", ADDED).status_code == 303
    told = [ask("POST", "/account/password", json=wrong).status_code for _ in range(6)]
    assert 429 in told


ADMINS: list[tuple[str, str, Any]] = [
    ("POST", "/peers", {"peer": {"name": "x", "ae_title": "X"}}),
    ("PUT", "/peers/ct", {"peer": {"name": "ct", "ae_title": "X"}}),
    ("DELETE", "/peers/ct", None),
    ("POST", "/destinations", {"destination": MIRROR}),
    ("PUT", "/destinations/pacs", {"destination": MIRROR}),
    ("DELETE", "/destinations/pacs", None),
    ("POST", "/models", {"name": "x", "model": {"path": "weights"}}),
    ("PUT", "/models/chest", {"name": "x", "model": {"path": "weights"}}),
    ("DELETE", "/models/chest", None),
    ("GET", "/accounts", None),
    ("POST", "/accounts", {"name": "eve", "role": "admin", "password": ADDED}),
    ("POST", "/accounts/1/role", {"role": "admin"}),
    ("POST", "/accounts/1/disable", None),
    ("POST", "/accounts/1/enable", None),
    ("GET", "/tokens", None),
    ("POST", "/tokens", {"name": "eve", "role": "viewer"}),
    ("DELETE", "/tokens/1", None),
]


def test_a_role_does_what_it_may_and_no_more(desk: Desk) -> None:
    before = desk.site.text
    viewer, operator = Program(desk, Role.VIEWER), Program(desk, Role.OPERATOR)
    nobody, ada = desk.bench.browser(), desk.bench.browser("ada", Role.ADMIN)
    for method, path, body in ADMINS:
        assert operator(method, path, json=body).status_code == 403, path
        assert nobody.request(method, PREFIX + path, json=body).status_code == 401, path
        assert ada.request(method, PREFIX + path, json=body).status_code == 401, "a cookie"
    for path in ("/destinations/pacs/echo", "/destinations/pacs/test-store"):
        assert viewer("POST", path).status_code == 403
    for path in ("/peers", "/destinations", "/models", "/account"):
        assert viewer("GET", path).status_code == 200
    assert desk.site.text == before
    accounts = desk.bench.ledger.accounts()
    assert [each.name for each in accounts.accounts()] == ["ada", "owner"]
