"""Studies fetched from Orthanc and DCMTK, by each protocol they speak; views stored by STOW-RS."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pydicom import dcmread
from pynetdicom import AE, build_context, evt

from dicom_node.domain.deliveries import Outcome
from dicom_node.domain.errors import CapacityError, InputError, PeerError, RefusedError
from dicom_node.domain.routes import Destination, Peer
from dicom_node.domain.webaccess import Retrieve, WebAccess
from dicom_node.network.associations import Timeouts
from dicom_node.network.choosing import archive_client, store_client
from dicom_node.network.peers import PeerList
from dicom_node.network.querying import FIND_CLASS
from dicom_node.network.scp import StorageScp
from dicom_node.ports import Retrieved, StudyQuery
from dicom_node.services.fetching import Fetched, Fetching
from tests.network.archives import dcmqrscp, orthanc
from tests.network.conftest import RecordingReceiver
from tests.network.objects import (
    COMPUTED_RADIOGRAPHY,
    CT,
    DIGITAL_X_RAY,
    data_set_bytes,
    free_port,
    write_instances,
    write_object,
)
from tests.network.test_scu import Outcomes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STUDY = "2.25.7"
SERIES = (
    ("2.25.81", "CR", COMPUTED_RADIOGRAPHY, "PA", 2),
    ("2.25.82", "DX", DIGITAL_X_RAY, "AI SYNTHETIC small", 1),
    ("2.25.83", "CT", CT, "thorax", 1),
)
EVERYTHING = Fetched(series=1, passed_over=2, completed=2, failed=0)
EVERYTHING_BUT_CT = Fetched(series=2, passed_over=1, completed=3, failed=0)


def study(folder: Path) -> list[Path]:
    """A study with a radiograph's series, one of our own making, and a CT's."""
    made = []
    for series, modality, sop_class, description, count in SERIES:
        for number in range(count):
            uid = f"{series}.{number}"
            path = write_object(folder / f"{uid}.dcm", sop_class=sop_class, uid=uid)
            dataset = dcmread(path)
            dataset.SeriesInstanceUID, dataset.Modality = series, modality
            dataset.SeriesDescription, dataset.AccessionNumber = description, "A77"
            dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20300131", "1200", "1"
            dataset.SeriesNumber = dataset.InstanceNumber = number + 1
            dataset.save_as(path)
            made.append(path)
    return made


@pytest.fixture(scope="module")
def node() -> Iterator[tuple[StorageScp, RecordingReceiver]]:
    """Takes what a C-MOVE sends."""
    receiver = RecordingReceiver()
    peers = tuple(Peer(name=name, ae_title=name, host="127.0.0.1") for name in ("ORTHANC", "QRSCP"))
    scp = StorageScp(
        ae_title="SYNTH",
        host="127.0.0.1",
        port=free_port(),
        peers=PeerList(peers=peers),
        receiver=receiver,
        max_associations=8,
        timeouts=Timeouts(),
    )
    scp.start()
    yield scp, receiver
    scp.stop()


@pytest.fixture(scope="module")
def archives(
    tmp_path_factory: pytest.TempPathFactory, node: tuple[StorageScp, RecordingReceiver]
) -> Iterator[dict[str, Destination]]:
    folder = tmp_path_factory.mktemp("archives")
    files = study(folder)
    with (
        orthanc(folder / "orthanc", node_port=node[0].port) as one,
        dcmqrscp(folder / "dcmtk") as port,
    ):
        for path in files:
            one.ask("instances", path.read_bytes())
        by_get = Destination(
            name="orthanc", ae_title="ORTHANC", host="127.0.0.1", port=one.dicom_port
        )
        dcmtk = replace(by_get, name="dcmtk", ae_title="QRSCP", port=port)
        _fill(port, files)
        yield {
            "get": by_get,
            "move": replace(by_get, retrieve=Retrieve.MOVE),
            "dcmtk": dcmtk,
            "web": replace(by_get, web=WebAccess(url=one.url)),
        }


def _fill(port: int, files: list[Path]) -> None:
    ae = AE()
    for sop_class in (COMPUTED_RADIOGRAPHY, DIGITAL_X_RAY, CT):
        ae.add_requested_context(sop_class)
    association = ae.associate("127.0.0.1", port, ae_title="QRSCP")
    assert association.is_established
    for path in files:
        assert association.send_c_store(dcmread(path)).Status == 0x0000
    association.release()


def fetching(receiver: RecordingReceiver) -> Fetching:
    return Fetching(archive=archive_client("SYNTH", max_object_bytes=1_000_000), receiver=receiver)


@pytest.mark.peer
@pytest.mark.parametrize("way", ["get", "dcmtk", "web", "move"])
def test_a_study_is_found_and_its_radiographs_are_fetched(
    archives: dict[str, Destination], node: tuple[StorageScp, RecordingReceiver], way: str
) -> None:
    receiver = node[1] if way == "move" else RecordingReceiver()
    receiver.received.clear()
    service, archive = fetching(receiver), archives[way]
    for query in (
        StudyQuery(patient_id="TEST"),
        StudyQuery(accession_number="A77"),
        StudyQuery(study_uid=STUDY),
    ):
        (found,) = service.find(archive, query)
        assert (found.study_uid, found.patient_id, found.date) == (STUDY, "TEST", "20300131")
        assert found.patient_name == "Secret^Patient"
    assert service.find(archive, StudyQuery(patient_id="NOBODY")) == ()
    told: list[Retrieved] = []
    done = service.fetch(archive, STUDY, told.append)
    # DCMTK's archive tells no descriptions, so our own series comes too; the guard is for that.
    assert done == (EVERYTHING_BUT_CT if way == "dcmtk" else EVERYTHING)
    assert told[-1].completed == done.completed
    came = {each.sop_instance_uid: each for each in receiver.received}
    assert {"2.25.81.0", "2.25.81.1"} <= set(came)
    assert len(came) == len(receiver.received) == done.completed
    for each in came.values():
        assert each.calling_ae_title.strip() == archive.ae_title
        assert data_set_bytes(each.data)


@pytest.mark.peer
@pytest.mark.parametrize("way", ["get", "web"])
def test_what_the_node_does_not_take_is_counted(archives: dict[str, Destination], way: str) -> None:
    receiver = RecordingReceiver()
    receiver.error = CapacityError("full")
    done = fetching(receiver).fetch(archives[way], STUDY)
    assert (done.completed, done.failed) == (0, 2)


@pytest.mark.peer
@pytest.mark.parametrize("way", ["get", "dcmtk", "web"])
def test_a_study_that_is_not_there_is_said_so(archives: dict[str, Destination], way: str) -> None:
    with pytest.raises(InputError, match="no such study"):
        fetching(RecordingReceiver()).fetch(archives[way], "2.25.99")


@pytest.mark.peer
def test_views_are_stored_by_stow_and_what_is_refused_is_told(
    archives: dict[str, Destination], tmp_path: Path
) -> None:
    client, outcomes = store_client("SYNTH"), Outcomes()
    instances = write_instances(tmp_path, 3)
    client.send(archives["web"], instances, outcomes)
    assert outcomes == [(n, Outcome.STORED, 0) for n in range(3)]
    uids = {instance.sop_instance_uid for instance, _ in instances}
    found = fetching(RecordingReceiver()).archive.find_series(archives["web"], STUDY)
    assert "2.25.8" in {series.series_uid for series in found}
    assert len(uids) == 3
    assert client.echo(archives["web"]) >= 0
    client.close()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (StudyQuery(), "give a patient ID"),
        (StudyQuery(patient_id="*"), "whole identifier"),
        (StudyQuery(study_uid="1.2/../3"), "digits and dots"),
    ],
)
def test_a_query_for_everything_or_nothing_is_not_asked(query: StudyQuery, said: str) -> None:
    nowhere = Destination(name="a", ae_title="A", host="127.0.0.1", port=1)
    with pytest.raises(InputError, match=said):
        fetching(RecordingReceiver()).find(nowhere, query)


def test_an_archive_that_does_not_do_it_is_told_by_name() -> None:
    ae = AE(ae_title="ARCHIVE")
    server = ae.start_server(
        ("127.0.0.1", 0), block=False, contexts=[build_context("1.2.840.10008.1.1")]
    )
    assert server is not None
    port = server.server_address[1]
    archive = Destination(name="old", ae_title="ARCHIVE", host="127.0.0.1", port=port)
    try:
        with pytest.raises(RefusedError, match="old offers this node no C-FIND"):
            fetching(RecordingReceiver()).fetch(archive, STUDY)
    finally:
        ae.shutdown()


def test_a_failure_of_a_query_is_a_peer_error_and_a_long_answer_is_cut() -> None:
    statuses: list[Any] = [0xA700]

    def on_find(event: Any) -> Any:
        if statuses:
            yield statuses.pop(), None
            return
        for number in range(150):
            if event.is_cancelled:
                yield 0xFE00, None
                return
            found = event.identifier
            found.StudyInstanceUID = f"2.25.{number}"
            yield 0xFF00, found

    ae = AE(ae_title="ARCHIVE")
    server = ae.start_server(
        ("127.0.0.1", 0),
        block=False,
        contexts=[build_context(FIND_CLASS)],
        evt_handlers=[(evt.EVT_C_FIND, on_find)],
    )
    assert server is not None
    port = server.server_address[1]
    archive = Destination(name="old", ae_title="ARCHIVE", host="127.0.0.1", port=port)
    service = fetching(RecordingReceiver())
    try:
        with pytest.raises(PeerError, match="0xA700"):
            service.find(archive, StudyQuery(patient_id="1"))
        assert len(service.find(archive, StudyQuery(patient_id="1"))) == 100
    finally:
        ae.shutdown()
