"""The network parts against DCMTK: an implementation that is not pynetdicom at either end."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread

from dicom_node.domain.deliveries import Outcome
from dicom_node.network.scu import PynetStoreClient
from tests.network.objects import (
    dcmtk_archive,
    derived,
    destination,
    tool,
    write_instances,
    write_object,
)
from tests.network.test_scu import Outcomes

if TYPE_CHECKING:
    from pathlib import Path

    from dicom_node.network.scp import StorageScp
    from tests.network.conftest import RecordingReceiver

pytestmark = pytest.mark.peer


def dcmtk(name: str, port: int, *arguments: str, calling: str = "MODALITY") -> int:
    command = [tool(name), "-aet", calling, "-aec", "SYNTH", "127.0.0.1", str(port), *arguments]
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode


def test_echoscu_is_answered(scp: StorageScp) -> None:
    assert dcmtk("echoscu", scp.port) == 0


def test_echoscu_of_a_stranger_is_rejected(scp: StorageScp) -> None:
    assert dcmtk("echoscu", scp.port, calling="STRANGER") != 0


# Options of storescu, the compression program that makes such a file, and the syntax to arrive.
SYNTAXES = [
    (["-xe"], None, "1.2.840.10008.1.2.1"),
    (["-xi"], None, "1.2.840.10008.1.2"),
    (["-xb"], None, "1.2.840.10008.1.2.1"),  # offers little endian too, which the node prefers
    (["-xd"], None, "1.2.840.10008.1.2.1.99"),
    (["-xs"], ["dcmcjpeg", "+e1"], "1.2.840.10008.1.2.4.70"),
    (["-xx"], ["dcmcjpeg", "+ee"], "1.2.840.10008.1.2.4.51"),
    (["-xt"], ["dcmcjpls", "+el"], "1.2.840.10008.1.2.4.80"),
    (["-xu"], ["dcmcjpls", "+en"], "1.2.840.10008.1.2.4.81"),
    (["-xr"], ["dcmcrle"], "1.2.840.10008.1.2.5"),
]


@pytest.mark.parametrize(("option", "program", "syntax"), SYNTAXES, ids=[s[2] for s in SYNTAXES])
def test_storescu_sends_in_each_syntax_it_knows(
    scp: StorageScp,
    receiver: RecordingReceiver,
    tmp_path: Path,
    option: list[str],
    program: list[str] | None,
    syntax: str,
) -> None:
    path = write_object(tmp_path / "plain.dcm")
    if program is not None:
        name, *options = program
        made = tmp_path / "compressed.dcm"
        subprocess.run([tool(name), *options, str(path), str(made)], check=True)
        path = made
    assert dcmtk("storescu", scp.port, "-R", *option, str(path)) == 0
    (received,) = receiver.received
    assert received.transfer_syntax_uid == syntax
    arrived = tmp_path / "arrived.dcm"
    arrived.write_bytes(received.data)
    subprocess.run([tool("dcmdump"), "+E", str(arrived)], check=True, stdout=subprocess.DEVNULL)
    # The pixels that arrived are those of the file, whichever syntax was agreed on.
    if syntax not in ("1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81"):
        assert (dcmread(arrived).pixel_array == dcmread(tmp_path / "plain.dcm").pixel_array).all()


def test_storescp_keeps_what_the_node_sends(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    folder.mkdir()
    instances = write_instances(tmp_path, 3)
    outcomes = Outcomes()
    with dcmtk_archive(folder) as port:
        PynetStoreClient("SYNTH").send(destination(port), instances, outcomes)
    assert [outcome for _, outcome, _ in outcomes] == [Outcome.STORED] * 3
    kept = {str(d.SOPInstanceUID): d for d in map(dcmread, folder.iterdir())}
    for instance, path in instances:
        assert kept[instance.sop_instance_uid] == dcmread(path)


def test_storescp_of_the_default_syntax_only_gets_it(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    folder.mkdir()
    path = write_object(tmp_path / "one.dcm", uid="2.25.9")
    outcomes = Outcomes()
    with dcmtk_archive(folder, "+xi") as port:
        client = PynetStoreClient("SYNTH")
        client.send(destination(port), [(derived(path, uid="2.25.9", index=0), path)], outcomes)
    assert outcomes == [(0, Outcome.STORED, 0)]
    (kept,) = map(dcmread, folder.iterdir())
    assert kept.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2"
    assert kept == dcmread(path)


def test_storescp_that_aborts_in_the_middle_is_a_peer_error(tmp_path: Path) -> None:
    from dicom_node.domain.errors import PeerError

    with (
        dcmtk_archive(tmp_path, "--abort-during") as port,
        pytest.raises(PeerError),
    ):
        PynetStoreClient("SYNTH").send(destination(port), write_instances(tmp_path, 1), Outcomes())


def test_storescp_is_heard(tmp_path: Path) -> None:
    with dcmtk_archive(tmp_path) as port:
        assert PynetStoreClient("SYNTH").echo(destination(port)) > 0
