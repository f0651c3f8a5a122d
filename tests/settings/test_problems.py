"""Every way a configuration can be wrong, and the words for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dicom_node.domain.errors import ConfigurationError
from dicom_node.settings import load

WRONG = [
    # (in the specified configuration, written instead, path, words of the message)
    ("port: 11112", "prot: 11112", "node.prot", "unknown key: did you mean port?"),
    ("retention:", "storage: {}\nretention:", "storage", "unknown key"),
    ("ae_title: SYNTH", "ae_title: SEVENTEEN-LETTERS", "node.ae_title", "at most 16"),
    ("ae_title: SYNTH", "ae_title: 'A\\B'", "node.ae_title", "without a backslash"),
    ("ae_title: SYNTH", 'ae_title: "A\\tB"', "node.ae_title", "printable ASCII"),
    ("ae_title: SYNTH", "ae_title: '  '", "node.ae_title", "not empty"),
    ("ae_title: SYNTH", "ae_title: Müller", "node.ae_title", "printable ASCII"),
    ("port: 11112", "port: 65536", "node.port", "65535"),
    ("port: 11112", "port: -1", "node.port", "0"),
    ("port: 11112", "port: '11112'", "node.port", "without quotes"),
    ("port: 11112", "port: true", "node.port", "a whole number, not true"),
    ("port: 4242", "port: 0", "destinations[0].port", "1"),
    ("host: 127.0.0.1, port: 11112", "host: 'a:1/b c', port: 1", "node.host", "without port"),
    ("database_url: null", "database_url: 'sqlite://'", "node.database_url", "in memory"),
    ("database_url: null", "database_url: 'mysql://u:pw@h/d'", "node.database_url", "SQLite"),
    ("max_associations: 64", "max_associations: 0", "node.max_associations", "1"),
    ("form: dx ", "form: dxx ", "destinations[0].form", "did you mean dx?"),
    ("commitment: none", "commitment: maybe", "destinations[0].commitment", "is none of"),
    ("factor: 2", "factor: 0.5", "destinations[0].retry.factor", "1"),
    ("first_s: 5", "first_s: 1000", "destinations[0].retry", "above max_s"),
    ("first_s: 5", "first_s: .nan", "destinations[0].retry.first_s", "finite"),
    ("step_deg: 30", "step_deg: 0", "view_sets.sweep-30.azimuth.step_deg", "0.5"),
    ("from_deg: -90", "from_deg: 120", "view_sets.sweep-30", "swap them"),
    ("to_deg: 90, ", "", "view_sets.sweep-30.azimuth.to_deg", "is missing"),
    ("from_deg: -90, to_deg: 90", "from_deg: 0, to_deg: 0", "view_sets.sweep-30", "is empty"),
    ("from_deg: -90, to_deg: 90", "from_deg: -180, to_deg: 180", "view_sets.sweep-30", "twice"),
    ("{azimuth:", "{views: [{primary_deg: 1}], azimuth:", "view_sets.sweep-30", "either"),
    ("{views: [{primary_deg: 90, secondary_deg: 0}]}", "{}", "view_sets.lateral-left", "either"),
    (
        "secondary_deg: 0",
        "secondary_deg: 91",
        "view_sets.lateral-left.views[0].secondary_deg",
        "90",
    ),
    ("lateral-left: {", "lateral left: {", "view_sets.lateral left", "letters, digits"),
    ("attribute: Modality", "attribute: modality", "routes[0].when.all[0].attribute", "Modality?"),
    ("attribute: Modality", "attribute: Xyz", "routes[0].when.all[0].attribute", "one of"),
    ("CR, DX", "", "routes[0].when.all[0].one_of", "at least one"),
    ("CR, DX", "CR, true", "routes[0].when.all[0].one_of[1]", "in quotes"),
    (', matches: "CHEST|THORAX"', "", "routes[0].when.all[1].any[0]", "needs one of"),
    ("matches: ", "equals: A, matches: ", "routes[0].when.all[1].any[0]", "equals and matches"),
    ('"CHEST|THORAX"', '"CHEST|("', "routes[0].when.all[1].any[0].matches", "no regular"),
    ("attribute: BodyPartExamined, ", "", "routes[0].when.all[1].any[0]", "needs an attribute"),
    (
        "- any:",
        "- attribute: Modality\n          any:",
        "routes[0].when.all[1]",
        "has no attribute",
    ),
    ("one_of: [PA, AP]", "range: {}", "routes[0].when.all[2].range", "at_least, at_most or both"),
    ("one_of: [PA, AP]", "range: {at_least: 2, at_most: 1}", "routes[0].when.all[2].range", "swap"),
    ("one_of: [PA, AP]", "present: maybe", "routes[0].when.all[2].present", "true or false"),
    ("model: chest", "model: chets", "routes[0].synthesize.model", "did you mean chest?"),
    ("views: sweep-30", "views: sweep", "routes[0].synthesize.views", "did you mean sweep-30?"),
    ("send_to: [pacs]", "send_to: [pasc]", "routes[0].send_to[0]", "did you mean pacs?"),
    ("send_to: [pacs]", "send_to: [pacs, pacs]", "routes[0].send_to[1]", "twice"),
    ("send_to: [pacs]", "send_to: []", "routes[0].send_to", "at least one"),
    ("samples: 1", "samples: 0", "routes[0].synthesize.samples", "1"),
    ("steps: null", "steps: 0", "routes[0].synthesize.steps", "1"),
    (
        "steps: null",
        "min_consistency: 1.5",
        "routes[0].synthesize.min_consistency",
        "less than or equal to 1",
    ),
    ("priority: 5", "priority: high", "routes[0].priority", "a whole number"),
    ("name: modality", "name: pacs", "peers[1].name", "already peers[0]"),
    ("ae_title: STORESCU", "ae_title: ORTHANC", "peers[1]", "same ae_title and host"),
    ("device: auto", "device: gpu", "engine.device", "auto, cpu, cuda"),
    ("workers: 1", "workers: 0", "engine.workers", "1"),
    ("enabled: false", "enabled: false, root_path: synth/", "console.root_path", "/synth"),
    ("{keep_s: 604800, min_free_bytes: 2000000000}", "5", "retention", "a mapping"),
    ("port: 4242", "port: 11112", "destinations[0]", "this node itself"),
]


@pytest.mark.parametrize(
    ("old", "new", "path", "words"), WRONG, ids=[f"{path}: {new}" for _, new, path, _ in WRONG]
)
def test_a_wrong_value_is_reported_with_its_path(
    problems_in: Any, specified: str, old: str, new: str, path: str, words: str
) -> None:
    text = specified.replace(old, new, 1)
    if "itself" in words:  # takes the node's AE title as well
        text = text.replace("    ae_title: ORTHANC", "    ae_title: SYNTH")
    assert text != specified
    (problem,) = problems_in(text)
    assert problem.startswith(f"{path}: ")
    assert words in problem


def test_all_problems_are_reported_at_once_in_order_with_their_lines(
    problems_in: Any, specified: str
) -> None:
    text = (
        specified.replace("ae_title: SYNTH,", "ae_title: '', ", 1)
        .replace("form: dx", "form: xd")
        .replace("send_to: [pacs]", "send_to: [elsewhere]")
        .replace("model: chest", "model: brain")
        .replace("keep_s:", "keeps:")
    )
    problems = problems_in(text)
    assert [each.partition(": ")[0] for each in problems] == [
        "node.ae_title",
        "destinations[0].form",
        "routes[0].synthesize.model",
        "routes[0].send_to[0]",
        "retention.keeps",
    ]
    for problem in problems:
        line = int(problem.rpartition("(line ")[2].rstrip(")"))
        key = problem.partition(": ")[0].rpartition(".")[2].partition("[")[0]
        assert key in text.splitlines()[line - 1]


def test_a_password_in_the_database_url_is_not_repeated(problems_in: Any, specified: str) -> None:
    text = specified.replace("database_url: null", "database_url: 'mysql://u:hunter2@h/d'")
    assert "hunter2" not in " ".join(problems_in(text))


def test_a_key_that_stands_twice_is_an_error(problems_in: Any, specified: str) -> None:
    (problem,) = problems_in(specified + "engine: {device: cpu}\n")
    assert "engine: stands twice, on lines 30 and 33" in problem


def test_a_nested_key_that_stands_twice_is_an_error(problems_in: Any, specified: str) -> None:
    (problem,) = problems_in(specified.replace("form: dx", "port: 4243"))
    assert "destinations[0].port: stands twice, on lines 9 and 10" in problem


def test_a_syntax_error_names_line_and_column(problems_in: Any) -> None:
    (problem,) = problems_in("node: {ae_title: A\npeers: []\n")
    assert "line 2, column 6: " in problem


@pytest.mark.parametrize("text", ["", "# nothing\n", "just words", "[1, 2]"])
def test_a_file_without_sections_is_an_error(problems_in: Any, text: str) -> None:
    (problem,) = problems_in(text)
    assert "begin with node" in problem


def test_a_file_that_contains_itself_is_an_error_not_a_hang(problems_in: Any) -> None:
    assert problems_in("node: {ae_title: A}\npeers: &a [*a]\n")


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no such file"):
        load(tmp_path / "absent.yaml")


def test_a_folder_and_a_binary_file_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        load(tmp_path / "binary")


def test_a_tag_that_would_run_code_is_refused(problems_in: Any) -> None:
    (problem,) = problems_in("node: !!python/object/apply:os.getcwd []\n")
    assert "could not determine a constructor" in problem


def test_a_number_with_a_leading_zero_stays_text(problems_in: Any, specified: str) -> None:
    (problem,) = problems_in(specified.replace("port: 11112", "port: 011112"))
    assert problem.startswith("node.port: ")
