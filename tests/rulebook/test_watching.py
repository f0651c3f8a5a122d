"""What is edited in the file comes into force while the node runs, or leaves all as it was."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import structlog

from dicom_node.network.peers import NotAPeer
from dicom_node.rulebook import prepare
from dicom_node.settings import load

if TYPE_CHECKING:
    from tests.rulebook.site import Site


def test_a_changed_route_decides_from_then_on_under_a_new_version(site: Site) -> None:
    before = site.node.rules.now
    site.write("one_of: [CR, DX]", "one_of: [CR]")
    after = site.node.rules.now
    assert after is not before
    assert [route.digest for route in after.routes] != [route.digest for route in before.routes]
    versions = site.node.ledger.versions()
    assert [each.number for each in versions] == [after.version, before.version]
    assert (versions[0].version.text, versions[0].version.author) == (site.text, "file")
    assert versions[0].parent == before.version
    assert site.book.state.version == after.version


def test_what_is_still_being_written_is_not_read(site: Site) -> None:
    before = site.node.rules.now
    for end in (300, 500, 700):
        site.path.write_text(site.text[:end], encoding="utf-8")
        site.clock.now += 0.4
        site.book.run_once(site.clock())
    assert site.node.rules.now is before
    assert site.book.state.problems == ()


def test_a_broken_file_leaves_the_rules_in_force_and_is_told_of_once(site: Site) -> None:
    before, good = site.node.rules.now, site.text
    with structlog.testing.capture_logs() as logs:
        site.write("one_of: [CR, DX]", "one_off: [CR, DX]")
        site.look()
    assert site.node.rules.now is before
    (problem,) = site.book.state.problems
    assert (problem.path, problem.line) == ("routes[0].when.one_off", 14)
    told = [each for each in logs if each["log_level"] == "warning"]
    assert [each["event"] for each in told] == [
        "the configuration file cannot be used; the rules in force stay"
    ]
    site.path.write_text(good, encoding="utf-8")
    site.look()
    assert site.book.state.problems == ()
    assert len(site.node.ledger.versions()) == 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("path: weights", "path: gone", "models.chest.path: there is no file"),
        ("port: 104}", "port: 104, tls: {trusted: ca, certificate: c, key: k}}", "cannot be read"),
    ],
)
def test_what_the_file_needs_is_looked_at_before_anything_changes(
    site: Site, old: str, new: str, words: str
) -> None:
    before = site.node.rules.now
    site.write(old, new)
    assert site.node.rules.now is before
    assert words in " ".join(map(str, site.book.state.problems))


def test_a_file_that_is_gone_is_a_problem_and_not_the_end(site: Site) -> None:
    text = site.text
    site.path.unlink()
    site.look()
    assert "there is no such file" in str(site.book.state.problems[0])
    site.path.write_text(text, encoding="utf-8")
    site.look()
    assert site.book.state.problems == ()


def test_destinations_come_and_go_and_those_that_stay_keep_their_services(site: Site) -> None:
    (pacs,) = site.node.outlets.now
    site.write(
        "port: 104}", "port: 104}\n  - {name: other, ae_title: OTHER, host: 127.0.0.1, port: 105}"
    )
    assert [each.destination.name for each in site.node.outlets.now] == ["pacs", "other"]
    assert site.node.outlets.now[0] is pacs
    assert set(site.node.recovering.destinations) == {"pacs", "other"}
    site.write("port: 104}", "port: 106}")
    changed = site.node.outlets.now[0]
    assert changed is not pacs
    assert changed.delivering.destination.port == 106
    site.write("\n  - {name: other, ae_title: OTHER, host: 127.0.0.1, port: 105}", "")
    assert set(site.node.recovering.destinations) == {"pacs"}


def test_peers_are_let_in_as_the_file_says_now(site: Site) -> None:
    peers = site.node.scp._admission
    assert not isinstance(peers._peers.find("CT", "10.0.0.1"), NotAPeer)
    site.write("ae_title: CT}", "ae_title: MR}")
    assert isinstance(peers._peers.find("CT", "10.0.0.1"), NotAPeer)
    assert not isinstance(peers._peers.find("MR", "10.0.0.1"), NotAPeer)


def test_other_weights_are_taken_by_the_engine_from_its_next_work_on(site: Site) -> None:
    (engine,) = site.node.engines
    (site.path.parent / "other").write_bytes(b"other weights")
    before = site.node.rules.now.weights["chest"]
    site.write("path: weights", "path: other")
    assert site.node.rules.now.weights["chest"] != before
    assert engine._models == {"chest": str(site.path.parent / "other")}  # type: ignore[attr-defined]


def test_keys_that_need_a_restart_are_named_and_the_rest_comes_into_force(site: Site) -> None:
    with structlog.testing.capture_logs() as logs:
        site.write("port: 0,", "port: 11112, max_associations: 3,")
    assert site.book.state.restart == ("node.port", "node.max_associations")
    assert [each["keys"] for each in logs if each["log_level"] == "warning"] == [
        ["node.port", "node.max_associations"]
    ]
    assert site.book.settings.node.port == 0
    site.write("port: 11112, max_associations: 3,", "port: 0,")
    assert site.book.state.restart == ()


def test_what_can_only_work_after_a_restart_is_not_put_in_force_half(site: Site) -> None:
    before = site.node.rules.now
    site.write("ae_title: CT}", "ae_title: CT, require_tls: true}")
    assert site.book.state.problems
    assert site.node.rules.now is before


def test_every_change_is_audited(site: Site) -> None:
    trail = site.path.parent / "data" / "audit" / "trail.log"
    before = trail.read_text(encoding="utf-8") if trail.exists() else ""
    site.write("one_of: [CR, DX]", "one_of: [CR]")
    new = trail.read_text(encoding="utf-8")[len(before) :]
    assert "110131" in new
    assert site.book.settings.digest() in new


def test_a_file_is_read_again_though_its_stamp_is_the_same(site: Site) -> None:
    site.look()
    stat = site.path.stat()
    site.path.write_text(site.text.replace("equals: OT", "equals: XX"), encoding="utf-8")
    os.utime(site.path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    before = site.node.rules.now
    site.look()
    assert site.node.rules.now is before
    site.clock.now += 60.0
    site.look()
    assert site.node.rules.now is not before


def test_a_file_that_says_what_is_in_force_changes_nothing(site: Site) -> None:
    version = site.node.rules.now.version
    site.path.touch()
    site.look()
    assert site.node.rules.now.version == version
    assert prepare(load(site.path)).rule_set(version).routes == site.node.rules.now.routes
