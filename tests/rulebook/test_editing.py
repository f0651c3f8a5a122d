"""Edits change what they are about; comments, order and every other byte stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dicom_node.domain.errors import ConfigurationError
from dicom_node.rulebook.editing import edited
from dicom_node.rulebook.edits import Edit, Move, Put, Remove, Switch
from dicom_node.rulebook.merging import unified
from dicom_node.settings import document, load_text
from tests.rulebook.site import TEXT

SHIPPED = (Path(__file__).parents[2] / "config" / "node.yaml").read_text(encoding="utf-8")


def changed(text: str, edit: Edit) -> list[str]:
    """Lines that an edit takes away and adds."""
    lines = unified(text, edited(text, edit), old="a", new="b")[2:]
    return [line for line in lines if line[0] in "+-"]


def data(text: str) -> Any:
    return document.parse(text, Path("x")).data


def route(text: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in data(text)["routes"] if each["name"] == name]
    return {key: value for key, value in found.items() if key != "name"}


def test_a_switch_is_one_line() -> None:
    assert changed(TEXT, Switch(name="rest", enabled=True)) == [
        "-    enabled: false",
        "+    enabled: true",
    ]
    assert changed(TEXT, Switch(name="chest", enabled=False)) == ["+    enabled: false"]
    assert edited(TEXT, Switch(name="chest", enabled=True)) == TEXT


def test_a_changed_term_is_one_line_and_keeps_its_comment() -> None:
    value = route(TEXT, "chest")
    value["when"] = {"attribute": "Modality", "one_of": ["DX"]}
    assert changed(TEXT, Put(section="routes", name="chest", new_name="chest", value=value)) == [
        "-    when: {attribute: Modality, one_of: [CR, DX]}   # as sent",
        "+    when: {attribute: Modality, one_of: [DX]}   # as sent",
    ]


def test_a_term_taken_out_of_a_group_leaves_the_others_with_their_comments() -> None:
    value = route(TEXT, "rest")
    del value["when"]["all"][1]["any"][1]
    put = Put(section="routes", name="rest", new_name="rest", value=value)
    assert changed(TEXT, put) == ["-            - {attribute: Rows, range: {at_least: 100}}"]


def test_moved_routes_take_their_comments_along() -> None:
    moved = edited(TEXT, Move(name="rest", to=0))
    assert sorted(moved.splitlines()) == sorted(TEXT.splitlines())
    assert [each["name"] for each in data(moved)["routes"]] == ["rest", "chest"]
    lines = moved.splitlines()
    assert lines.index("  # Then what is left.") + 1 == lines.index("  - name: rest")
    assert lines.index("  # Chests first.") + 1 == lines.index("  - name: chest")
    assert edited(moved, Move(name="rest", to=9)) == TEXT


def test_a_removed_route_goes_with_its_comment_and_nothing_else() -> None:
    left = edited(TEXT, Remove(section="routes", name="rest"))
    start, end = TEXT.index("  # Then what"), TEXT.index("retention:")
    assert left == TEXT[:start] + TEXT[end:]


def test_a_new_route_stands_behind_the_others_as_people_would_write_it() -> None:
    value = {
        "when": {
            "all": [
                {"attribute": "Modality", "equals": "DX"},
                {"attribute": "PatientAge", "range": {"at_least": 18.0}},
                {"none": [{"attribute": "StationName", "one_of": ["007", "true", "a: b"]}]},
            ]
        },
        "synthesize": {"model": "chest", "views": "left", "samples": 2},
        "send_to": ["pacs"],
    }
    put = Put(section="routes", name="", new_name="adults", value=value)
    assert [line[1:] for line in changed(TEXT, put)] == [
        "  - name: adults",
        "    when:",
        "      all:",
        "        - {attribute: Modality, equals: DX}",
        "        - {attribute: PatientAge, range: {at_least: 18.0}}",
        "        - none:",
        "            - {attribute: StationName, one_of: ['007', \"true\", 'a: b']}",
        "    synthesize: {model: chest, views: left, samples: 2}",
        "    send_to: [pacs]",
    ]
    assert route(edited(TEXT, put), "adults") == value


def test_what_is_renamed_is_followed_by_the_routes_that_use_it() -> None:
    new = edited(
        TEXT,
        Put(
            section="destinations",
            name="pacs",
            new_name="archive",
            value={"ae_title": "PACS", "host": "127.0.0.1", "port": 104},
        ),
    )
    assert [each["send_to"] for each in data(new)["routes"]] == [["archive"], ["archive"]]
    new = edited(new, Put(section="models", name="chest", new_name="m", value={"path": "weights"}))
    new = edited(
        new,
        Put(
            section="view_sets",
            name="left",
            new_name="l",
            value={"azimuth": {"from_deg": -30, "to_deg": 30, "step_deg": 30}},
        ),
    )
    assert route(new, "chest")["synthesize"] == {"model": "m", "views": "l"}
    assert [line for line in TEXT.splitlines() if "#" in line] == [
        line for line in new.splitlines() if "#" in line
    ]
    assert len(load_text(new, Path("node.yaml")).to_routes()) == 2


@pytest.mark.parametrize(
    "edit",
    [
        Remove(section="peers", name="modality"),
        Switch(name="frontal-chest", enabled=False),
        Put(section="view_sets", name="", new_name="pa", value={"views": [{"primary_deg": 0}]}),
        Put(
            section="view_sets",
            name="lateral-left",
            new_name="lat",
            value={"views": [{"primary_deg": 90}]},
        ),
        Put(section="peers", name="pacs", new_name="pacs", value={"ae_title": "ORTHANC"}),
        Put(section="models", name="", new_name="two", value={"path": "two.safetensors"}),
    ],
)
def test_the_shipped_file_keeps_every_comment_that_is_not_on_a_line_taken_out(edit: Edit) -> None:
    lines = changed(SHIPPED, edit)
    taken = [line for line in lines if line[0] == "-"]
    assert len(taken) <= 16
    new = edited(SHIPPED, edit)
    load_text(new, Path("node.yaml"))
    kept = {line.partition("#")[2] for line in new.splitlines() if "#" in line}
    lost = {line.partition("#")[2] for line in SHIPPED.splitlines() if "#" in line} - kept
    assert lost <= {line.partition("#")[2] for line in taken}


@pytest.mark.parametrize(
    "text",
    [
        "node: {}\nroutes: [{name: chest, when: {all: []}}, {name: b, when: {all: []}}]\n",
        "node: {ae_title: A}\nroutes:\n- name: chest # mine\n  when: {all: []}\n- name: b\n",
        "x: &w {all: []}\nroutes:\n  - name: chest\n    when: *w\n  - {name: b, when: *w}\n",
        "routes:\r\n  - name: chest\r\n    when: {all: []}\r\n  - name: b # b\r\n",
        "routes:\n  -\n    name: chest\n  - name: b",
    ],
)
def test_files_written_in_other_ways_are_edited_too(text: str) -> None:
    off = edited(text, Switch(name="chest", enabled=False))
    assert [each.get("enabled") for each in data(off)["routes"]] == [False, None]
    swapped = edited(text, Move(name="b", to=0))
    assert [each["name"] for each in data(swapped)["routes"]] == ["b", "chest"]
    gone = edited(text, Remove(section="routes", name="chest"))
    assert [each["name"] for each in data(gone)["routes"]] == ["b"]
    assert ("#" in text) == ("#" in off)
    if "\r\n" in text:
        assert off.count("\r\n") == off.count("\n")


def test_the_first_thing_of_a_section_that_is_not_there_makes_the_section() -> None:
    new = edited(
        "node: {ae_title: A}  # us\n",
        Put(section="peers", name="", new_name="ct", value={"ae_title": "CT"}),
    )
    assert data(new)["peers"] == [{"name": "ct", "ae_title": "CT"}]
    assert "# us" in new


def test_what_does_not_fit_says_so() -> None:
    with pytest.raises(ConfigurationError, match="no route 'x' any more"):
        edited(TEXT, Switch(name="x", enabled=True))
    with pytest.raises(ConfigurationError, match="a peer 'ct' already"):
        edited(TEXT, Put(section="peers", name="", new_name="ct", value={"ae_title": "CT"}))
    with pytest.raises(ConfigurationError, match="line 1"):
        edited("a: [", Switch(name="x", enabled=True))


def test_a_text_in_quotes_keeps_them_when_it_changes() -> None:
    value = route(TEXT, "rest")
    value["when"]["all"][1]["any"][0]["matches"] = "THORAX"
    edit = Put(section="routes", name="rest", new_name="rest", value=value)
    gone, come = changed(TEXT, edit)
    assert 'matches: "CHEST|THORAX"}' in gone
    assert 'matches: "THORAX"}' in come
    assert come.endswith("# either")
