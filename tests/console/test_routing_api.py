"""Programs see, change, try and take back routes over JSON."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING

import pytest

from dicom_node.domain.accounts import Role
from tests.console.routing import PREFIX, Desk, Program, a_desk
from tests.fakes.radiographs import radiograph

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with a_desk(tmp_path) as made:
        yield made


@pytest.fixture
def ask(desk: Desk) -> Program:
    return Program(desk, Role.ADMIN)


def test_routes_are_listed_changed_ordered_and_taken_out(desk: Desk, ask: Program) -> None:
    listed = ask("GET", "/routes").json()
    assert [each["name"] for each in listed["routes"]] == ["chest", "rest"]
    rest = listed["routes"][1] | {"enabled": True, "priority": 9}
    changed = ask("PUT", "/routes/rest", json={"route": rest, "base": listed["digest"]})
    assert changed.json() == {"version": 2}
    assert "    enabled: true\n" in desk.site.text
    assert "# Then what is left." in desk.site.text
    new = {**rest, "name": "third"}
    assert ask("POST", "/routes", json={"route": new}).json() == {"version": 3}
    assert ask("POST", "/routes/third/move", json={"to": 0}).json() == {"version": 4}
    assert ask("POST", "/routes/rest/switch", json={"enabled": False}).json() == {"version": 5}
    assert ask("DELETE", "/routes/chest").json() == {"version": 6}
    rules = desk.site.node.rules.now.routes
    assert [(each.name, each.enabled) for each in rules] == [("third", True), ("rest", False)]
    author = desk.site.node.ledger.versions()[0].version.author
    assert author == "owner (token script)"
    assert ask("DELETE", "/routes/chest").status_code == 404
    assert ask("POST", "/routes", json={"route": new}).status_code == 422


def test_what_is_wrong_is_told_by_path_and_line(desk: Desk, ask: Program) -> None:
    before = desk.site.text
    wrong = before.replace("one_of: [CR, DX]", "one_off: [CR, DX]")
    checked = ask("POST", "/configuration/check", json={"text": wrong}).json()
    assert [(each["path"], each["line"]) for each in checked["problems"]] == [
        ("routes[0].when.one_off", 14)
    ]
    answer = ask("PUT", "/configuration", json={"text": wrong, "base": desk.base})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["problems"] == checked["problems"]
    assert ask("POST", "/configuration/replay", json={"text": wrong}).status_code == 422
    assert desk.site.text == before


def test_a_change_meanwhile_is_a_conflict_with_both_put_together(desk: Desk, ask: Program) -> None:
    base, text = desk.base, desk.site.text
    desk.site.write("ae_title: CT}", "ae_title: MR}")
    ours = {"text": text.replace("[CR, DX]", "[CR]"), "base": base, "comment": "less"}
    answer = ask("PUT", "/configuration", json=ours)
    assert answer.status_code == 409
    told = answer.json()
    assert (told["clashes"], told["problems"]) == (0, [])
    again = ask("PUT", "/configuration", json={"text": told["merged"], "base": told["digest"]})
    assert again.status_code == 200
    assert "MR}" in desk.site.text
    assert "[CR]" in desk.site.text


def test_versions_are_listed_compared_and_gone_back_to(desk: Desk, ask: Program) -> None:
    first = desk.site.text
    ask("POST", "/routes/chest/switch", json={"enabled": False, "comment": "rest"})
    listed = ask("GET", "/configuration/versions").json()["versions"]
    assert [(each["version"], each["comment"]) for each in listed] == [(2, "rest"), (1, "")]
    assert ask("GET", "/configuration/versions/1").json()["text"] == first
    lines = ask("GET", "/configuration/versions/1/diff?to=2").json()["difference"]
    assert "+    enabled: false" in lines
    assert ask("GET", "/configuration/versions/1/diff").json()["difference"][2:] == lines[2:]
    assert ask("POST", "/configuration/versions/1/back", json={}).json() == {"version": 3}
    assert desk.site.text == first
    standing = ask("GET", "/configuration").json()
    assert (standing["version"], standing["text"], standing["problems"]) == (3, first, [])
    assert ask("GET", "/configuration/versions/9").status_code == 404


def test_a_file_is_tried_and_shown_its_views(desk: Desk) -> None:
    ask = Program(desk, Role.OPERATOR)
    tried = ask("POST", "/trials?caller=CT", content=radiograph()).json()
    assert (tried["decided_as"], tried["route"], tried["views"]) == (
        "accept",
        "chest",
        ["LEFT LATERAL"],
    )
    assert [term["holds"] for term in tried["routes"][1]["terms"]] == [False, True, False]
    made = ask("POST", "/previews", content=radiograph()).json()
    assert [each["label"] for each in made["pictures"]] == ["LEFT LATERAL"]
    assert b64decode(made["pictures"][0]["png"]).startswith(b"\x89PNG")
    assert ask("POST", "/trials", content=b"").status_code == 422
    assert ask("POST", "/previews", content=radiograph(Modality="MR")).status_code == 422


def test_a_replay_counts(desk: Desk) -> None:
    ask = Program(desk, Role.OPERATOR)
    desk.receive(1)
    wanted = {"text": desk.site.text.replace("[CR, DX]", "[DX]"), "images": 10}
    found = ask("POST", "/configuration/replay", json=wanted).json()
    assert found["images"] == 1
    (change,) = found["changes"]
    assert (change["before"], change["before_route"], change["after"]) == (
        "accept",
        "chest",
        "ignore",
    )


def test_a_role_sees_and_does_what_it_may(desk: Desk) -> None:
    viewer, operator = Program(desk, Role.VIEWER), Program(desk, Role.OPERATOR)
    assert viewer("GET", "/configuration").json()["text"] is None
    assert viewer("GET", "/routes").status_code == 200
    assert viewer("POST", "/trials", content=radiograph()).status_code == 403
    assert viewer("GET", "/configuration/versions/1").status_code == 403
    for method, path, body in (
        ("PUT", "/configuration", {"text": "x", "base": ""}),
        ("POST", "/routes", {"route": {}}),
        ("DELETE", "/routes/chest", None),
        ("POST", "/routes/chest/move", {"to": 0}),
        ("POST", "/configuration/versions/1/back", {}),
    ):
        assert operator(method, path, json=body).status_code == 403
    assert desk.bench.browser().get(f"{PREFIX}/routes").status_code == 401
