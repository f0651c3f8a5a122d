"""A change in a file that people wrote is the lines it is about, and no others."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dicom_node.rulebook.editing import edited
from dicom_node.rulebook.edits import Edit, Put, Remove, Switch, after
from dicom_node.settings import document, load_text
from tests.rulebook.test_editing import changed, data

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = Path(__file__).with_name("hand_written.yaml").read_text(encoding="utf-8")


def put(section: str, name: str, change: Callable[[Any], object], new_name: str = "") -> Put:
    """One thing of the file, with a change."""
    content = data(TEXT)[section]
    found = content if isinstance(content, dict) else {each["name"]: each for each in content}
    value = {key: copy.deepcopy(each) for key, each in found[name].items() if key != "name"}
    change(value)
    return Put(section=section, name=name, new_name=new_name or name, value=value)


def terms(value: Any) -> Any:
    return value["when"]["all"]


def nothing(_value: Any) -> None:
    pass


CHANGES: list[tuple[Edit, list[str]]] = [
    (Switch(name="chest", enabled=False), ["+  enabled: false"]),
    (
        Switch(name="rest", enabled=True),
        ["-  enabled: false   # for now", "+  enabled: true   # for now"],
    ),
    (
        put("routes", "chest", lambda route: terms(route)[0].update(one_of=["DX"])),
        [
            "-    - { attribute: Modality,  one_of: [ CR, DX ] }   # as sent",
            "+    - { attribute: Modality,  one_of: [ DX ] }   # as sent",
        ],
    ),
    (
        put("routes", "chest", lambda route: terms(route)[1].update(matches="THORAX")),
        ["-      matches: 'CHEST|THORAX'", "+      matches: 'THORAX'"],
    ),
    (
        put("routes", "chest", lambda route: terms(route)[2]["any"][0]["one_of"].append("LL")),
        [
            "-      - {attribute: ViewPosition, one_of: [\"PA\", 'AP']}",
            "+      - {attribute: ViewPosition, one_of: [\"PA\", 'AP', LL]}",
        ],
    ),
    (
        put("routes", "chest", lambda route: terms(route)[2]["any"].pop()),
        ["-      - {attribute: Rows, range: {at_least: 100}}"],
    ),
    (
        put(
            "routes",
            "chest",
            lambda route: terms(route).insert(
                1, {"none": [{"attribute": "Rows", "equals": 1}, {"all": []}]}
            ),
        ),
        [
            "+    - none:",
            "+      - {attribute: Rows, equals: 1}",
            "+      - all: []",
        ],
    ),
    (
        put("routes", "chest", lambda route: route["send_to"].append("second")),
        ["+  - second"],
    ),
    (
        put("routes", "chest", lambda route: route.update(priority=3)),
        ["+  priority: 3"],
    ),
    (
        put("routes", "chest", lambda route: route["synthesize"].update(samples=4)),
        ["+    samples: 4"],
    ),
    (
        put(
            "routes",
            "rest",
            lambda route: route.update(
                when={"all": [route["when"], {"attribute": "Rows", "present": True}]}
            ),
        ),
        [
            "-  when: {attribute: Modality, equals: OT}  # scanned",
            "+  when:  # scanned",
            "+    all:",
            "+    - {attribute: Modality, equals: OT}",
            "+    - {attribute: Rows, present: true}",
        ],
    ),
    (
        put("routes", "rest", lambda route: route["synthesize"].update(model="m", samples=2)),
        [
            "-  synthesize: {model: chest, views: left}",
            "+  synthesize: {model: m, views: left, samples: 2}",
        ],
    ),
    (put("routes", "rest", lambda route: route.pop("enabled")), ["-  enabled: false   # for now"]),
    (put("routes", "chest", nothing, "thorax"), ["-- name: chest", "+- name: thorax"]),
    (
        put("peers", "pacs", lambda peer: peer.update(ae_title="ARCHIVE")),
        ['-  ae_title: "ORTHANC"', '+  ae_title: "ARCHIVE"'],
    ),
    (
        put("peers", "pacs", lambda peer: peer["subject"].pop("organizationName")),
        [
            "-  subject: {commonName: pacs,organizationName: Hospital}     # inside",
            "+  subject: {commonName: pacs}     # inside",
        ],
    ),
    (
        put("peers", "pacs", lambda peer: peer.update(subject=None)),
        [
            "-  subject: {commonName: pacs,organizationName: Hospital}     # inside",
            "+  subject: null     # inside",
        ],
    ),
    (
        put("destinations", "pacs", lambda each: each["retry"].update(max_s=60)),
        ["-           max_s: 3600 }", "+           max_s: 60 }"],
    ),
    (
        put("destinations", "pacs", nothing, "archive"),
        [
            "-- name: pacs",
            "+- name: archive",
            "-  - pacs",
            "+  - archive",
            "-  send_to: [pacs]",
            "+  send_to: [archive]",
        ],
    ),
    (
        put("view_sets", "left", lambda each: each["views"][1].update(primary_deg=40)),
        ["-    - primary_deg: 45   # oblique", "+    - primary_deg: 40   # oblique"],
    ),
    (
        put("view_sets", "left", lambda each: each["views"].append({"primary_deg": 0}), "l"),
        [
            "-  left:",
            "+  l:",
            "+    - {primary_deg: 0}",
            "-    views: left",
            "+    views: l",
            "-  synthesize: {model: chest, views: left}",
            "+  synthesize: {model: chest, views: l}",
        ],
    ),
    (
        Put(section="view_sets", name="", new_name="pa", value={"views": [{"primary_deg": 0}]}),
        ["+  pa:", "+    views:", "+    - {primary_deg: 0}"],
    ),
]


@pytest.mark.parametrize(("edit", "lines"), CHANGES, ids=range(len(CHANGES)))
def test_a_change_is_the_lines_it_is_about(edit: Edit, lines: list[str]) -> None:
    assert changed(TEXT, edit) == lines


@pytest.mark.parametrize(("edit", "lines"), CHANGES, ids=range(len(CHANGES)))
def test_line_ends_of_other_systems_stay(edit: Edit, lines: list[str]) -> None:
    found = edited(TEXT.replace("\n", "\r\n"), edit)
    assert found.count("\r\n") == found.count("\n")
    assert found.replace("\r\n", "\n") == edited(TEXT, edit)
    assert lines


def test_the_file_is_one_a_node_takes() -> None:
    text = "".join(line for line in TEXT.splitlines(True) if "subject:" not in line)  # needs TLS
    assert len(load_text(text, Path("node.yaml")).to_routes()) == 2


def test_a_last_line_without_an_end_gets_one_before_what_comes_below() -> None:
    text = "routes:\n- name: a\n  when:\n    all:\n    - {attribute: Rows, present: true}"
    assert edited(text, Switch(name="a", enabled=False)) == text + "\n  enabled: false\n"


@pytest.mark.parametrize(
    ("text", "value", "found"),
    [
        # The key behind the dash goes: its item is written anew, and nothing else.
        (
            "- name: a\n  when:\n    all:\n    - attribute: Rows   # x\n      equals: 1\n    - x\n",
            {"when": {"all": [{"none": ["y"]}, "x"]}},
            "- name: a\n  when:\n    all:\n    - none: [y]\n    - x\n",
        ),
        # A text that another one would be taken for gets quotes.
        ("- name: a\n  x: old # why\n", {"x": "007"}, "- name: a\n  x: 007 # why\n"),
        ("- name: a\n  x: old # why\n", {"x": "true"}, '- name: a\n  x: "true" # why\n'),
        ("- name: a\n  x: 'it''s'\n", {"x": "it's: so"}, "- name: a\n  x: 'it''s: so'\n"),
        # What was a list below becomes a single value, and the other way round.
        (
            "- name: a\n  x:\n  - 1\n  - 2\n  y: 1\n",
            {"x": 3, "y": 1},
            "- name: a\n  x: 3\n  y: 1\n",
        ),
        (
            "- name: a\n  x: {}\n  y: 1\n",
            {"x": {"b": 1}, "y": 1},
            "- name: a\n  x: {b: 1}\n  y: 1\n",
        ),
    ],
)
def test_what_is_written_in_another_way_is_still_said(
    text: str, value: dict[str, Any], found: str
) -> None:
    whole = edited("routes:\n" + text, Put(section="routes", name="a", new_name="a", value=value))
    assert data(whole)["routes"][0] == {"name": "a", **value}
    assert whole.replace("'007'", "007") == "routes:\n" + found


def some_value(dice: random.Random, depth: int = 0) -> Any:
    kinds = ["text", "number", "truth"] + (["list", "mapping"] if depth < 3 else [])
    match dice.choice(kinds):
        case "number":
            return dice.choice([0, -3, 1.5, 10**9])
        case "truth":
            return dice.choice([True, False, None])
        case "list":
            return [some_value(dice, depth + 1) for _ in range(dice.randrange(3))]
        case "mapping":
            return {
                dice.choice("abcdef"): some_value(dice, depth + 1) for _ in range(dice.randrange(3))
            }
    return dice.choice(["", "x", "a: b", "# no", "yes", "true", "1", "- x", "'", '"', "ü [", "a,b"])


def disturbed(dice: random.Random, value: Any, depth: int = 0) -> Any:
    """The value with something in it changed, taken out or put in."""
    if depth and dice.random() < 0.25:
        return some_value(dice, depth)
    if isinstance(value, dict):
        found = {
            key: disturbed(dice, each, depth + 1) if dice.random() < 0.4 else each
            for key, each in value.items()
            if dice.random() > 0.1
        }
        return found | ({dice.choice("abc"): some_value(dice)} if dice.random() < 0.3 else {})
    if isinstance(value, list):
        items = [disturbed(dice, each, depth + 1) for each in value if dice.random() > 0.15]
        if dice.random() < 0.3:
            items.insert(dice.randrange(len(items) + 1), some_value(dice, depth))
        return items
    return value


def test_whatever_is_changed_the_file_says_it_and_the_other_things_keep_their_bytes() -> None:
    dice = random.Random(5)
    for _ in range(75):
        section, name = dice.choice(
            [("routes", "chest"), ("routes", "rest"), ("destinations", "pacs"), ("peers", "pacs")]
        )
        edit = put(section, name, nothing)
        edit = Put(section=section, name=name, new_name=name, value=disturbed(dice, edit.value))
        found = edited(TEXT, edit)
        assert document.parse(found, Path("x")).data == after(data(TEXT), edit)
        without = Remove(section=section, name=name)
        if section == "routes":
            assert edited(found, without) == edited(TEXT, without)
