"""Trying the rules of a node: nothing comes of it but words and pictures."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from dicom_node.domain.errors import CapacityError, ImageError
from dicom_node.ports import DecidedAs
from dicom_node.rulebook import Previewing
from dicom_node.rulebook.previewing import PICTURE_SIDE
from dicom_node.rulebook.probing import TEST_PATIENT, echo, test_object, test_store
from tests.fakes.engine import FakeEngine
from tests.fakes.radiographs import radiograph, received
from tests.network.objects import destination, free_port

if TYPE_CHECKING:
    from dicom_node.rulebook import Desk
    from tests.rulebook.site import Site


@pytest.fixture
def desk(site: Site) -> Desk:
    assert site.node.desk is not None
    return site.node.desk


def _receive(site: Site, number: int, **changes: object) -> None:
    site.node.scp.taking.receiver.receive(received(number, **changes))


def test_every_route_is_explained_also_those_after_the_one_that_takes_it(desk: Desk) -> None:
    tried = desk.try_file(radiograph(), calling_ae_title="CT")
    assert (tried.verdict.decided_as, tried.verdict.route) == (DecidedAs.ACCEPT, "chest")
    assert tried.views == ("LEFT LATERAL",)
    assert tried.explanation is not None
    assert all(term.holds for term in tried.explanation.guards)
    chest, rest = tried.explanation.routes
    assert (chest.takes, chest.holds, [term.holds for term in chest.terms]) == (True, True, [True])
    assert (rest.takes, rest.holds) == (False, False)
    assert [(term.path, term.actual, term.holds) for term in rest.terms] == [
        ("when.all[0]", "CR", False),
        ("when.all[1].any[0]", "CHEST", True),
        ("when.all[1].any[1]", "96", False),
    ]


def test_a_file_that_is_no_image_is_told_of_in_words(desk: Desk) -> None:
    tried = desk.try_file(b"%PDF-1.7 of something else")
    assert tried.verdict.decided_as is DecidedAs.QUARANTINE
    assert "unreadable" in tried.verdict.reason
    assert tried.explanation is None


def test_trying_leaves_nothing_behind(site: Site, desk: Desk) -> None:
    spool = site.path.parent / "data" / "spool"
    before = sorted(spool.rglob("*"))
    desk.try_file(radiograph())
    assert site.node.ledger.images() == ()
    assert sorted(spool.rglob("*")) == before


def test_a_preview_shows_marked_views_and_leaves_nothing_behind(site: Site) -> None:
    engine = FakeEngine(weights=site.node.rules.now.weights["chest"])
    assert site.node.desk is not None
    tried = site.node.desk.try_file(radiograph())
    previewing = Previewing(engine, clock=site.clock, deadline_s=5.0)
    preview = previewing.preview(tried, radiograph())
    assert [each.label for each in preview.pictures] == ["LEFT LATERAL"]
    assert (preview.views, preview.refused) == (1, "")
    picture = Image.open(BytesIO(preview.pictures[0].png))
    assert max(picture.size) <= PICTURE_SIDE
    assert max(Image.open(BytesIO(preview.source)).size) <= PICTURE_SIDE
    assert site.node.ledger.jobs() == ()


def test_a_preview_is_a_picture_a_view_however_the_destination_wants_them(site: Site) -> None:
    site.write("port: 104}", "port: 104, form: multiframe, report: true}")
    assert site.book.state.problems == ()
    engine = FakeEngine(weights=site.node.rules.now.weights["chest"])
    assert site.node.desk is not None
    tried = site.node.desk.try_file(radiograph())
    previewing = Previewing(engine, clock=site.clock, deadline_s=5.0)
    assert len(previewing.preview(tried, radiograph()).pictures) == 1


def test_one_preview_at_a_time_and_only_of_what_a_route_takes(site: Site, desk: Desk) -> None:
    engine = FakeEngine(weights=site.node.rules.now.weights["chest"])
    previewing = Previewing(engine, clock=site.clock, deadline_s=5.0)
    tried = desk.try_file(radiograph())
    refused: list[str] = []

    def meanwhile() -> None:
        with pytest.raises(CapacityError) as caught:
            previewing.preview(tried, radiograph())
        refused.append(str(caught.value))

    engine.during = meanwhile
    previewing.preview(tried, radiograph())
    assert "another preview" in refused[0]
    ignored = desk.try_file(radiograph(Modality="MR"))
    with pytest.raises(ImageError, match="no route"):
        previewing.preview(ignored, radiograph(Modality="MR"))


def test_a_replay_counts_what_would_come_out_otherwise(site: Site, desk: Desk) -> None:
    for number in (1, 2):
        _receive(site, number)
    _receive(site, 3, Modality="DX")
    same = desk.replay(site.text)
    assert (same.images, same.unread, same.changes, same.remade) == (3, 0, (), 0)
    other = desk.replay(site.text.replace("[CR, DX]", "[DX]"))
    (change,) = other.changes
    assert (str(change.before), str(change.after), change.count) == ("accept (chest)", "ignore", 2)
    assert [before.route for _, before, _ in change.examples] == ["chest", "chest"]
    remade = desk.replay(site.text.replace("primary_deg: 90", "primary_deg: 45"))
    assert (remade.changes, remade.remade) == ((), 3)
    assert desk.replay(site.text, limit=2).images == 2


def test_images_whose_files_are_gone_are_counted(site: Site, desk: Desk) -> None:
    _receive(site, 1)
    (image,) = site.node.ledger.images()
    site.node.spool.path(image.image.digest).unlink()
    assert desk.replay(site.text).unread == 1


def test_a_destination_that_is_away_is_told_of_in_words() -> None:
    away = destination(free_port())
    for probe in (echo, test_store):
        found = probe("SYNTH", away)
        assert not found.good
        assert found.words


def test_the_test_object_says_that_it_is_nobodys() -> None:
    ds = test_object()
    assert ds.PatientID == TEST_PATIENT
    assert ds.SyntheticData == "YES"
    assert "TEST OBJECT" in ds.SeriesDescription
