"""Routes in the console: seen, changed, tried, replayed, and taken back."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dicom_node.domain.accounts import Role
from tests import rulebook
from tests.console.conftest import Bench, Browser
from tests.console.routing import Desk, a_desk
from tests.fakes.radiographs import radiograph

if TYPE_CHECKING:
    from collections.abc import Iterator

    from httpx import Response

PART = {"HX-Request": "true"}
HAND_WRITTEN = Path(rulebook.__file__).with_name("hand_written.yaml")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with a_desk(tmp_path) as made:
        yield made


@pytest.fixture
def ada(desk: Desk) -> Browser:
    return desk.bench.browser("ada", Role.ADMIN)


def fields(answer: Response) -> dict[str, Any]:
    """What a browser would send of the route's form as it stands in the answer."""
    found: dict[str, Any] = {}
    form = answer.text.partition('id="route-form"')[2].partition("</form>")[0]
    for tag in re.findall(r"<input[^>]*>", form):
        name = re.search(r'name="([^"]*)"', tag)
        value = re.search(r'value="([^"]*)"', tag)
        if name is None or ("checkbox" in tag and " checked" not in tag):
            continue
        said = html.unescape(value[1]) if value else "on"
        if name[1] == "send_to":
            found.setdefault("send_to", []).append(said)
        else:
            found[name[1]] = said
    for name_, options in re.findall(r'<select name="([^"]*)".*?>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'<option(?: value="([^"]*)")? selected>([^<]*)', options)
        first = re.search(r'<option(?: value="([^"]*)")?>([^<]*)', options)
        taken = chosen or first
        assert taken is not None
        found[name_] = html.unescape(taken[2] if taken[1] is None else taken[1])
    return found


def test_routes_are_listed_in_their_order_in_words(desk: Desk, ada: Browser) -> None:
    text = html.unescape(ada.get("/routes").text)
    chest, rest = text.index("Modality is CR or DX"), text.index("Modality is OT and (")
    assert chest < rest
    assert "BodyPartExamined matches CHEST|THORAX or Rows is at least 100" in text
    assert "version 1" in text


def test_a_form_that_is_saved_as_it_stands_changes_no_byte(desk: Desk, ada: Browser) -> None:
    for name in ("chest", "rest"):
        before = desk.site.text
        form = fields(ada.get(f"/routes/edit/{name}"))
        answer = ada.post("/routes/edit", data={**form, "do": "save"})
        assert answer.status_code == 303
        assert desk.site.text == before
    assert len(desk.site.node.ledger.versions()) == 1


def test_a_changed_form_is_in_the_file_with_its_comments_and_in_force(
    desk: Desk, ada: Browser
) -> None:
    form = fields(ada.get("/routes/edit/rest"))
    form |= {"enabled": "on", "w-1-0-value": "THORAX", "comment": "both sides", "samples": "4"}
    assert ada.post("/routes/edit", data={**form, "do": "save"}).status_code == 303
    text = desk.site.text
    for line in (
        "  # Then what is left.",
        '            - {attribute: BodyPartExamined, matches: "THORAX"}',
        "  # either",
        "    enabled: true",
        "  # Chests first.",
    ):
        assert line in text
    route = desk.site.node.rules.now.routes[1]
    assert (route.enabled, route.samples) == (True, 4)
    version = desk.site.node.ledger.versions()[0].version
    assert (version.author, version.comment) == ("ada", "both sides")
    assert "In force as version 2" in ada.get("/routes").text


def test_the_first_save_of_a_file_that_people_wrote_is_one_line(desk: Desk, ada: Browser) -> None:
    lines = HAND_WRITTEN.read_text(encoding="utf-8").splitlines(keepends=True)
    before = "".join(line for line in lines if "subject:" not in line)  # that needs TLS
    desk.site.path.write_text(before, encoding="utf-8")
    desk.site.look()
    form = fields(ada.get("/routes/edit/chest"))
    (name,) = (each for each, value in form.items() if value == "CHEST|THORAX")
    answer = ada.post("/routes/edit", data=form | {name: "CHEST", "do": "save"})
    assert answer.status_code == 303
    (gone,) = set(before.splitlines()) - set(desk.site.text.splitlines())
    (come,) = set(desk.site.text.splitlines()) - set(before.splitlines())
    assert (gone, come) == ("      matches: 'CHEST|THORAX'", "      matches: 'CHEST'")
    assert desk.site.text == before.replace(gone, come)


def test_a_route_is_made_term_by_term(desk: Desk, ada: Browser) -> None:
    form = fields(ada.get("/routes/new"))
    assert (form["model"], form["views"], form["send_to"]) == ("chest", "left", ["pacs"])
    grown = ada.post("/routes/edit", data={**form, "do": "add-group:w"}, headers=PART)
    form = fields(grown)
    form |= {
        "name": "feet",
        "w-0-attribute": "BodyPartExamined",
        "w-0-kind": "one_of",
        "w-0-value": 'FOOT, "ANKLE, LEFT"',
        "w-1-0-attribute": "Rows",
        "w-1-0-kind": "range",
        "w-1-0-low": "100",
    }
    assert ada.post("/routes/edit", data={**form, "do": "save"}).status_code == 303
    route = desk.site.node.rules.now.routes[-1]
    assert route.name == "feet"
    assert '{attribute: BodyPartExamined, one_of: [FOOT, "ANKLE, LEFT"]}' in desk.site.text.replace(
        "'", '"'
    )
    form = fields(ada.get("/routes/edit/feet"))
    shrunk = fields(ada.post("/routes/edit", data={**form, "do": "remove:w-0"}, headers=PART))
    assert shrunk["w-n"] == "1"
    assert shrunk["w-0-kind"] == "any"
    assert shrunk["w-0-0-attribute"] == "Rows"


def test_each_problem_stands_beside_its_field_and_nothing_is_written(
    desk: Desk, ada: Browser
) -> None:
    before = desk.site.text
    form = fields(ada.get("/routes/edit/rest"))
    form |= {"w-1-0-value": "(", "priority": "soon", "samples": "99", "name": "no good"}
    answer = ada.post("/routes/edit", data={**form, "do": "save"})
    assert answer.status_code == 422

    def beside(name: str) -> str:
        part = answer.text.partition(f'id="e-{name}"')[2].partition("</div>")[0]
        return html.unescape(re.sub("<[^>]*>", "", part))

    assert "is no regular expression" in beside("w-1-0")
    assert "should be a whole number, not 'soon'" in beside("priority")
    assert "less than or equal to 16" in beside("samples")
    assert "a name has 1 to 64 letters" in beside("name")
    assert 'value="soon"' in answer.text
    marked = ada.post("/routes/edit", data={**form, "do": "mark"}, headers=PART)
    assert 'id="e-w-1-0" hx-swap-oob="true"><p>' in marked.text
    assert desk.site.text == before


def test_a_name_that_is_taken_is_told_of_beside_the_name(desk: Desk, ada: Browser) -> None:
    form = fields(ada.get("/routes/new?like=chest")) | {"name": "rest", "do": "save"}
    answer = ada.post("/routes/edit", data=form)
    assert "there is a route 'rest' already" in html.unescape(answer.text)


def test_routes_are_ordered_and_switched(desk: Desk, ada: Browser) -> None:
    ada.submit("/routes/at/rest/move", base=desk.base, to="0")
    ada.submit("/routes/at/chest/switch", base=desk.base, enabled="false")
    rest, chest = desk.site.node.rules.now.routes
    assert (rest.name, chest.name, chest.enabled) == ("rest", "chest", False)
    assert desk.site.text.index("# Then what is left.") < desk.site.text.index("# Chests first.")


def test_taking_a_route_out_asks_first(desk: Desk, ada: Browser) -> None:
    asked = ada.get("/routes/at/rest/remove", headers=PART)
    assert "Take it out" in asked.text
    assert len(desk.site.node.rules.now.routes) == 2
    ada.submit("/routes/at/rest/remove", base=desk.base)
    assert [each.name for each in desk.site.node.rules.now.routes] == ["chest"]


def test_a_change_meanwhile_is_shown_and_both_are_kept(desk: Desk, ada: Browser) -> None:
    form = fields(ada.get("/routes/edit/rest")) | {"enabled": "on", "do": "save"}
    desk.site.write("ae_title: CT}", "ae_title: MR}")
    answer = ada.post("/routes/edit", data=form)
    assert answer.status_code == 409
    assert "Both changes fit together" in answer.text
    text = html.unescape(answer.text.partition("data-editor>\n")[2].partition("</textarea>")[0])
    assert "ae_title: MR}" in text
    assert "enabled: true" in text
    saved = ada.submit("/routes/text", text=text.replace("\n", "\r\n"), base=desk.base)
    assert saved.status_code == 303
    assert desk.site.text == text


def test_a_clash_is_shown_with_both_sides(desk: Desk, ada: Browser) -> None:
    form = fields(ada.get("/routes/edit/chest")) | {"w-0-value": "CR", "do": "save"}
    desk.site.write("[CR, DX]", "[DX]")
    answer = ada.post("/routes/edit", data=form)
    assert answer.status_code == 409
    assert "touch the same lines in 1 place" in answer.text
    text = html.unescape(answer.text)
    assert "one_of: [CR]}" in text
    assert "one_of: [DX]}" in text
    assert "[DX]" in desk.site.text


def test_the_text_is_checked_replayed_and_saved_with_its_line_ends(
    desk: Desk, ada: Browser
) -> None:
    desk.receive(1)
    base, text = desk.base, desk.site.text
    wrong = text.replace("one_of: [CR, DX]", "one_off: [CR, DX]")
    answer = ada.submit("/routes/text", text=wrong, base=base, do="check")
    assert '<li data-line="14">' in answer.text
    other = text.replace("one_of: [CR, DX]", "one_of: [DX]").replace("\n", "\r\n")
    answer = ada.submit("/routes/text", text=other, base=base, do="replay")
    assert "1 would come out otherwise" in answer.text
    assert desk.site.text == text
    assert ada.submit("/routes/text", text=other, base=base).status_code == 303
    assert desk.site.path.read_bytes() == other.replace("\r\n", "\n").encode()


def test_a_person_says_over_how_many_images_is_replayed(desk: Desk, ada: Browser) -> None:
    for number in range(1, 104):
        desk.receive(number)
    base = desk.base
    other = desk.site.text.replace("one_of: [CR, DX]", "one_of: [DX]")
    for images, told in ((100, "100"), (500, "103")):
        answer = ada.submit("/routes/text", text=other, base=base, do="replay", images=images)
        assert f"Of the last {told} images" in answer.text
        form = fields(ada.get("/routes/edit/chest"))
        assert form["images"] == "500"
        (value,) = (name for name in form if name.endswith("-value"))
        form |= {"do": "replay", "images": str(images), value: "DX"}
        answer = ada.post("/routes/edit", data=form)
        assert f"Of the last {told} images" in answer.text
        assert re.search(rf"<option selected>{images}<", answer.text), "it stays chosen"
        assert '<a href="/images/103">103</a>' in answer.text
    assert ada.post("/routes/edit", data=form | {"images": "999999"}).status_code == 422
    refused = ada.submit("/routes/text", text=other, base=base, do="replay", images=999999)
    assert refused.status_code == 422


def test_a_broken_file_is_told_of_on_the_page_and_can_be_put_right_as_text(
    desk: Desk, ada: Browser
) -> None:
    good = desk.site.text
    desk.site.write("routes:\n", "routes: [\n")
    listed = ada.get("/routes").text
    assert "The file cannot be used as it is now" in listed
    assert "Version 1 stays in force" in listed
    assert "Put it right as text" in listed
    assert ada.get("/routes/new").status_code == 422
    assert ada.submit("/routes/text", text=good, base=desk.base).status_code == 303
    assert "cannot be used" not in ada.get("/routes").text


def test_an_open_page_tells_that_the_file_moved_on(desk: Desk, ada: Browser) -> None:
    base = desk.base
    assert "Somebody changed the file" not in ada.get(f"/routes/standing?base={base}").text
    desk.site.write("[CR, DX]", "[DX]")
    part = ada.get(f"/routes/standing?base={base}").text
    assert "Somebody changed the file" in part
    assert "as written in the file" in part


def test_versions_are_compared_and_gone_back_to(desk: Desk, ada: Browser) -> None:
    first = desk.site.text
    ada.submit("/routes/at/chest/switch", base=desk.base, enabled="false")
    listed = ada.get("/routes/versions").text
    assert "chest is switched off" in listed
    shown = html.unescape(ada.get("/routes/versions/2").text)
    assert '<div class="come">+    enabled: false</div>' in shown
    assert ">+    enabled: false<" in html.unescape(ada.get("/routes/versions/1?to=file").text)
    asked = ada.get("/routes/versions/1/back", headers=PART).text
    assert "0 lines come, 1 lines go" in asked
    assert ada.submit("/routes/versions/1/back", base=desk.base).status_code == 303
    assert desk.site.text == first
    newest = desk.site.node.ledger.versions()[0]
    assert (newest.number, newest.version.author) == (3, "ada")
    assert ada.get("/routes/versions/9").status_code == 404


def test_a_file_is_tried_and_shown_its_views(desk: Desk) -> None:
    otto = desk.bench.browser("otto", Role.OPERATOR)
    csrf = otto.csrf()

    def send(path: str, data: bytes) -> str:
        files = {"file": ("x.dcm", data)}
        sent = otto.post(path, data={"csrf": csrf, "caller": "CT"}, files=files, headers=PART)
        assert sent.status_code == 200
        return html.unescape(sent.text)

    told = send("/routes/try", radiograph(BodyPartExamined="<b>CHEST</b>"))
    assert "Taken by chest" in told
    assert "1 view:" in told
    assert "does not hold" in told
    shown = send("/routes/preview", radiograph())
    assert shown.count('src="data:image/png;base64,') == 2
    assert "LEFT LATERAL" in shown
    assert "Nothing would be made of it" in send("/routes/try", radiograph(Modality="MR"))
    assert "no route makes views" in send("/routes/preview", radiograph(Modality="MR"))
    assert "unreadable" in send("/routes/try", b"<script>")
    assert desk.site.node.ledger.images() == ()


def test_what_a_file_says_is_never_markup(desk: Desk) -> None:
    otto = desk.bench.browser("otto", Role.OPERATOR)
    files = {"file": ("<i>.dcm", radiograph(BodyPartExamined="<b>CHEST</b>"))}
    answer = otto.post("/routes/try", data={"csrf": otto.csrf()}, files=files)
    assert "<b>CHEST</b>" not in answer.text
    assert "&lt;b&gt;CHEST&lt;/b&gt;" in answer.text


@pytest.mark.parametrize(
    ("role", "path", "allowed"),
    [
        (Role.VIEWER, "/routes", True),
        (Role.VIEWER, "/routes/versions", True),
        (Role.VIEWER, "/routes/text", False),
        (Role.VIEWER, "/routes/try", False),
        (Role.VIEWER, "/routes/versions/1", False),
        (Role.OPERATOR, "/routes/text", True),
        (Role.OPERATOR, "/routes/try", True),
        (Role.OPERATOR, "/routes/new", False),
        (Role.OPERATOR, "/routes/edit/chest", False),
        (Role.OPERATOR, "/routes/at/chest/remove", False),
        (Role.OPERATOR, "/routes/versions/1/back", False),
    ],
)
def test_pages_are_for_their_roles(desk: Desk, role: Role, path: str, allowed: bool) -> None:
    answer = desk.bench.browser("somebody", role).get(path)
    assert answer.status_code == (200 if allowed else 403)


def test_an_operator_changes_nothing_and_a_forged_form_neither(desk: Desk, ada: Browser) -> None:
    otto = desk.bench.browser("otto", Role.OPERATOR)
    base, before = desk.base, desk.site.text
    assert otto.submit("/routes/text", text="x", base=base).status_code == 403
    assert otto.submit("/routes/at/chest/switch", base=base, enabled="false").status_code == 403
    forged = ada.post("/routes/at/chest/switch", data={"base": base, "enabled": "false"})
    assert forged.status_code == 403
    assert desk.site.text == before


def test_without_a_configuration_file_there_are_no_such_pages(bench: Bench) -> None:
    assert bench.browser("ada", Role.ADMIN).get("/routes").status_code == 404


def test_the_first_page_says_that_the_file_cannot_be_used_and_when_it_can_again(
    desk: Desk,
) -> None:
    vera = desk.bench.browser("vera", Role.VIEWER)
    assert "configuration file" not in vera.get("/").text
    desk.site.write("one_of: [CR, DX]", "one_off: [CR, DX]")
    page = vera.get("/").text
    assert "The configuration file cannot be used as it is now: 1 problem." in page
    assert 'href="/routes"' in page
    desk.site.write("one_off: [CR, DX]", "one_of: [CR, DX]")
    assert "configuration file" not in vera.get("/").text
    desk.site.write("data_dir: data", "data_dir: data, idle_timeout_s: 30")
    assert "Changed in the configuration file: node.idle_timeout_s." in vera.get("/").text
