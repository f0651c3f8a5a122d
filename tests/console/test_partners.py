"""Peers, destinations and models in the console: seen, changed in forms, tried."""

from __future__ import annotations

import contextlib
import html
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from pynetdicom import AE, evt
from pynetdicom.sop_class import SecondaryCaptureImageStorage, Verification  # type: ignore[attr-defined]

from dicom_node.domain.accounts import Role
from tests.console.routing import Desk, a_desk

if TYPE_CHECKING:
    from pathlib import Path

    from tests.console.conftest import Browser


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with a_desk(tmp_path) as made:
        yield made


@pytest.fixture
def ada(desk: Desk) -> Browser:
    return desk.bench.browser("ada", Role.ADMIN)


@contextlib.contextmanager
def archive(taken: list[str]) -> Iterator[int]:
    """The port of one that answers, and writes down whose images it took."""

    def store(event: Any) -> int:
        taken.append(str(event.dataset.PatientID))
        return 0

    ae = AE("PACS")
    ae.add_supported_context(Verification)
    ae.add_supported_context(SecondaryCaptureImageStorage)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    yield server.server_address[1]
    server.shutdown()


def fields(page: str) -> dict[str, Any]:
    """What a browser would send of the form as it stands."""
    form = page.partition('class="card narrow-form"')[2].partition("</form>")[0]
    found = {}
    for tag in re.findall(r"<input[^>]*>", form):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and ("checkbox" not in tag or " checked" in tag):
            found[name[1]] = html.unescape(value[1]) if value else ""
    for name_, options in re.findall(r'<select name="([^"]*)".*?>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'<option value="([^"]*)" selected', options)
        first = re.search(r'<option value="([^"]*)"', options)
        found[name_] = (chosen or first)[1]  # type: ignore[index]
    return found


def test_what_is_configured_is_listed_and_who_uses_it(desk: Desk, ada: Browser) -> None:
    assert "anywhere" in ada.get("/peers").text
    page = ada.get("/destinations").text
    assert "127.0.0.1:104" in page
    assert "chest, rest" in page, "the routes that send there"
    page = ada.get("/models").text
    assert desk.site.node.rules.now.weights["chest"][:16] in page
    assert "No model card lies beside these weights." in page


@pytest.mark.parametrize(
    ("part", "name"), [("peers", "ct"), ("destinations", "pacs"), ("models", "chest")]
)
def test_a_form_that_is_saved_as_it_stands_changes_no_byte(
    desk: Desk, ada: Browser, part: str, name: str
) -> None:
    before = desk.site.text
    form = fields(ada.get(f"/{part}/edit/{name}").text)
    assert form["name"] == name
    assert ada.post(f"/{part}/edit", data=form).headers["location"] == f"/{part}"
    assert desk.site.text == before


def test_a_new_destination_is_in_the_file_and_in_force(desk: Desk, ada: Browser) -> None:
    form = fields(ada.get("/destinations/new").text)
    form |= {
        "name": "mirror",
        "f-ae_title": "MIRROR",
        "f-host": "10.0.0.7",
        "f-port": "104",
        "f-form": "sc",
        "f-banner": "",
    }
    assert ada.post("/destinations/edit", data=form).status_code == 303
    made = desk.site.node.rules.now.destinations["mirror"]
    assert (made.port, made.form.value, made.banner) == (104, "sc", False)
    assert "# Ours, with words about why." in desk.site.text
    assert "matrix" not in desk.site.text, "what is as by default is not spelled out"
    version = desk.site.node.ledger.versions()[0].version
    assert (version.author, version.comment) == ("ada", "new destination mirror")


def test_keys_that_no_form_has_stay_and_routes_follow_a_new_name(desk: Desk, ada: Browser) -> None:
    desk.site.write("port: 104}", "port: 104, retry: {attempts: 7}}")
    form = fields(ada.get("/destinations/edit/pacs").text) | {"name": "archive", "f-port": "105"}
    assert ada.post("/destinations/edit", data=form).status_code == 303
    now = desk.site.node.rules.now
    assert (now.destinations["archive"].retry.attempts, now.destinations["archive"].port) == (
        7,
        105,
    )
    assert now.routes[0].send_to == ("archive",)


def test_where_a_token_is_goes_into_the_file_and_comes_back(desk: Desk, ada: Browser) -> None:
    def stands() -> dict[str, Any]:
        form = fields(ada.get("/peers/edit/ct").text)
        return {key: form[key] for key in ("f-token_file", "f-token_env") if form[key]}

    def save(**change: str) -> None:
        form = fields(ada.get("/peers/edit/ct").text) | change
        assert ada.post("/peers/edit", data=form).status_code == 303

    assert stands() == {}
    save(**{"f-token_env": "GATEWAY_TOKEN"})
    assert "token_env: GATEWAY_TOKEN" in desk.site.text
    assert stands() == {"f-token_env": "GATEWAY_TOKEN"}
    save(**{"f-images_per_minute": "7"})
    assert "token_env: GATEWAY_TOKEN" in desk.site.text, "another field was changed"
    save(**{"f-token_env": "", "f-token_file": "gateway.token"})
    assert "token_env" not in desk.site.text
    assert stands() == {"f-token_file": "gateway.token"}
    page = ada.get("/peers/edit/ct").text
    assert re.search(r"<details open>.*File with its token", page, re.DOTALL), "it is used"
    save(**{"f-token_file": ""})
    assert "token" not in desk.site.text


@pytest.mark.parametrize(
    ("part", "name", "change", "key", "words"),
    [
        ("peers", "ct", {"token_file": "t", "token_env": "T"}, "token_env", "not both"),
        ("peers", "ct", {"token_env": "Bearer abc"}, "token_env", "not what it holds"),
        (
            "destinations",
            "new",
            {
                "url": "http://vna/dicom-web",
                "authorization_file": "t",
                "authorization_env": "T",
            },
            "authorization_env",
            "not both",
        ),
    ],
)
def test_what_is_wrong_with_a_secret_stands_beside_its_field(
    desk: Desk,
    ada: Browser,
    part: str,
    name: str,
    change: dict[str, str],
    key: str,
    words: str,
) -> None:
    before = desk.site.text
    place = "new" if name == "new" else f"edit/{name}"
    form = fields(ada.get(f"/{part}/{place}").text)
    form |= {"name": name} | {f"f-{each}": value for each, value in change.items()}
    answer = ada.post(f"/{part}/edit", data=form)
    assert answer.status_code == 422
    said = re.search(f'<p class="field-error" id="e-{key}">(.*?)</p>', answer.text)
    assert said is not None, answer.text
    assert words in html.unescape(said[1])
    assert "<details open>" in answer.text, "the field is seen"
    assert desk.site.text == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"f-port": "99999"}, "65535"),
        ({"f-port": "dicom"}, "number"),
        ({"f-ae_title": "MUCH TOO LONG A TITLE"}, "at most 16"),
        ({"name": "two words"}, "a name has"),
        ({"f-host": ""}, "is missing"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    desk: Desk, ada: Browser, change: dict[str, str], words: str
) -> None:
    before = desk.site.text
    form = fields(ada.get("/destinations/edit/pacs").text) | change
    answer = ada.post("/destinations/edit", data=form)
    assert answer.status_code == 422
    assert words in html.unescape(answer.text)
    assert all(html.escape(value) in answer.text for value in change.values()), "nothing is lost"
    assert desk.site.text == before


def test_what_somebody_else_wrote_meanwhile_is_not_overwritten(desk: Desk, ada: Browser) -> None:
    form = fields(ada.get("/peers/edit/ct").text) | {"f-ae_title": "CT2"}
    desk.site.write("ae_title: CT}", "ae_title: CT9}")
    answer = ada.post("/peers/edit", data=form)
    assert answer.status_code == 409
    assert "CT9" in desk.site.text


def test_a_thing_that_is_used_cannot_be_taken_out_and_one_that_is_not_can(
    desk: Desk, ada: Browser
) -> None:
    question = ada.get("/destinations/at/pacs/remove").text
    assert "Take the destination pacs out?" in question
    answer = ada.submit("/destinations/at/pacs/remove", base=desk.base)
    assert answer.status_code == 303
    assert "pacs" in desk.site.node.rules.now.destinations
    assert "Not done." in ada.get("/destinations").text
    assert ada.submit("/peers/at/ct/remove", base=desk.base).status_code == 303
    assert desk.site.node.rulebook.settings.peers == ()  # type: ignore[union-attr]
    assert ada.get("/peers/at/ct/remove").status_code == 404


def test_a_destination_is_asked_and_given_a_test_object(desk: Desk) -> None:
    otto = desk.bench.browser("otto", Role.OPERATOR)
    taken: list[str] = []
    with archive(taken) as port:
        desk.site.write("port: 104", f"port: {port}")
        assert otto.submit("/destinations/at/pacs/echo").status_code == 303
        assert "pacs answered in" in otto.get("/destinations").text
        assert (
            "stays there until somebody deletes it" in otto.get("/destinations/at/pacs/store").text
        )
        assert otto.submit("/destinations/at/pacs/store").status_code == 303
        assert "pacs stored the test object" in otto.get("/destinations").text
        assert taken == ["DICOM-NODE-TEST"]
    otto.submit("/destinations/at/pacs/echo")
    assert 'class="notice bad"' in otto.get("/destinations").text
    assert otto.submit("/destinations/at/nobody/echo").status_code == 404


def test_only_admins_change_and_only_operators_try(desk: Desk) -> None:
    otto, vera = desk.bench.browser("otto", Role.OPERATOR), desk.bench.browser("vera", Role.VIEWER)
    before = desk.site.text
    assert otto.get("/peers/new").status_code == 403
    assert otto.submit("/peers/edit", name="x", **{"f-ae_title": "X"}).status_code == 403
    assert otto.submit("/models/at/chest/remove", base=desk.base).status_code == 403
    assert vera.submit("/destinations/at/pacs/echo").status_code == 403
    assert vera.submit("/destinations/at/pacs/store").status_code == 403
    assert vera.get("/destinations").status_code == 200
    assert vera.get("/routes/edit/..%2F..%2Fetc").status_code in (403, 404)
    assert vera.get("/nothing/edit/x").status_code in (403, 404, 422)
    assert desk.site.text == before
