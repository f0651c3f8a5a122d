"""What is written from elsewhere: into the file first, and never over what somebody else wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicom_node.rulebook.book import Conflict, Invalid, Written

if TYPE_CHECKING:
    from tests.rulebook.site import Site


def _write(site: Site, old: str, new: str, base: str = "") -> Written | Invalid | Conflict:
    opened = site.book.open()
    assert old in opened.text
    text = opened.text.replace(old, new)
    return site.book.write(text, base=base or opened.digest, author="ada", comment="less")


def test_a_written_text_is_in_the_file_and_in_force_with_its_author(site: Site) -> None:
    found = _write(site, "one_of: [CR, DX]", "one_of: [CR]")
    assert isinstance(found, Written)
    assert "one_of: [CR]" in site.text
    newest = site.node.ledger.versions()[0]
    assert (newest.number, newest.version.author, newest.version.comment) == (
        found.version,
        "ada",
        "less",
    )
    assert site.node.rules.now.version == found.version
    assert not site.path.stat().st_mode & 0o022
    site.look()
    assert site.node.ledger.versions()[0] == newest, "the watch does not take it up once more"


def test_a_wrong_text_is_not_written_and_each_problem_has_its_line(site: Site) -> None:
    before = site.text
    found = _write(site, "one_of: [CR, DX]", "one_of: []")
    assert isinstance(found, Invalid)
    assert [(each.path, each.line) for each in found.problems] == [("routes[0].when.one_of", 14)]
    assert site.text == before


def test_changes_of_other_places_are_put_together(site: Site) -> None:
    base = site.book.open().digest
    site.write("ae_title: CT}", "ae_title: MR}")
    ours = site.book.text_of(base)
    assert ours is not None
    found = site.book.write(ours.replace("[CR, DX]", "[CR]"), base=base, author="ada")
    assert isinstance(found, Conflict)
    assert found.merged is not None
    assert (found.merged.clashes, found.problems) == (0, ())
    assert "ae_title: MR}" in found.merged.text
    assert "[CR]" in found.merged.text
    again = site.book.write(found.merged.text, base=found.digest, author="ada")
    assert isinstance(again, Written)


def test_changes_of_the_same_place_are_shown_and_nothing_is_lost(site: Site) -> None:
    base = site.book.open().digest
    site.write("[CR, DX]", "[DX]")
    ours = site.book.text_of(base)
    assert ours is not None
    found = site.book.write(ours.replace("[CR, DX]", "[CR]"), base=base, author="ada")
    assert isinstance(found, Conflict)
    assert found.merged is not None
    assert found.merged.clashes == 1
    for words in ("one_of: [CR]}", "one_of: [DX]}"):
        assert words in found.merged.text
    assert "[DX]" in site.text
    assert (found.theirs, "[CR]" in found.ours) == (site.text, True)


def test_a_base_that_nobody_remembers_is_a_conflict_without_a_merge(site: Site) -> None:
    found = _write(site, "[CR, DX]", "[CR]", base="0" * 64)
    assert isinstance(found, Conflict)
    assert found.merged is None


def test_going_back_is_a_new_version_with_the_old_text(site: Site) -> None:
    first = site.node.ledger.versions()[0]
    _write(site, "[CR, DX]", "[CR]")
    found = site.book.roll_back(first, base=site.book.open().digest, author="ada")
    assert isinstance(found, Written)
    assert site.text == first.version.text
    newest = site.node.ledger.versions()[0]
    assert newest.number > first.number
    assert newest.version.comment == f"back to version {first.number}"
    assert [each.digest for each in site.node.rules.now.routes] == [
        each.digest for each in site.book.settings.to_routes()
    ]


def test_a_file_that_cannot_be_written_says_so_and_stays(site: Site) -> None:
    import pytest

    from dicom_node.domain.errors import ConfigurationError
    from dicom_node.rulebook import file

    before = site.text
    (site.path.parent / "link.yaml").symlink_to(site.path.parent / "gone" / "node.yaml")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        file.replace(site.path.parent / "link.yaml", "x")
    assert site.text == before
