"""A node of real parts, watched from outside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from dicom_node import bootstrap
from dicom_node.monitoring import health
from dicom_node.settings import load
from tests.fakes.engine import FakeEngine
from tests.monitoring.test_server import get
from tests.network.certificates import Authority
from tests.network.objects import DIGITAL_X_RAY, write_object

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dicom_node.bootstrap import Node


class Beats(FakeEngine):
    """An engine that tells of itself."""

    alive = True
    starts = 1

    def heartbeat(self) -> bool:
        return self.alive

    def warm_up(self) -> None: ...


def node_of(folder: Path, **sections: Any) -> Node:
    (folder / "weights").write_bytes(b"abc")
    values = {
        "node": {"ae_title": "SYNTH", "port": 0, "data_dir": "data"},
        "peers": [{"name": "modality", "ae_title": "MODALITY", "host": "127.0.0.1"}],
        "models": {"chest": {"path": "weights"}},
        "monitoring": {"enabled": True, "port": 0},
        "retention": {"min_free_bytes": 0},
    } | sections
    (folder / "node.yaml").write_text(yaml.safe_dump(values))
    node = bootstrap.build(load(folder / "node.yaml"), engines=[Beats()])
    assert node.monitoring is not None
    node.scp.start()
    node.monitoring.start()
    return node


def end(node: Node) -> None:
    assert node.monitoring is not None
    node.monitoring.stop()
    node.scp.stop()
    node.ledger.close()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = node_of(tmp_path_factory.mktemp("node"))
    yield made
    end(made)


def ready(node: Node) -> tuple[int, dict[str, Any]]:
    assert node.monitoring is not None
    status, _, body = get(node.monitoring, "/health/ready")
    return status, json.loads(body)


def metrics(node: Node) -> str:
    assert node.monitoring is not None
    return get(node.monitoring, "/metrics")[2].decode()


def test_a_node_that_works_calls_itself_writes_and_is_ready(node: Node) -> None:
    status, body = ready(node)
    assert (status, body["ready"]) == (200, True), body
    assert sorted(body["parts"]) == ["dicom", "disk", "engine-0", "ledger"]


def test_what_a_peer_sends_shows_in_the_metrics_and_nothing_of_the_patient(
    node: Node, tmp_path: Path
) -> None:
    ae = AE(ae_title="MODALITY")
    ae.add_requested_context(DIGITAL_X_RAY)
    association = ae.associate("127.0.0.1", node.scp.port, ae_title="SYNTH")
    assert association.is_established
    sent = dcmread(write_object(tmp_path / "one.dcm"))
    assert association.send_c_store(sent).Status == 0x0000
    association.release()
    node.planning.run_once(node.clock())
    text = metrics(node)
    assert 'dicom_node_images_received_total{outcome="new"} 1.0' in text
    assert 'decided_total{decision="ignore",reason="no_route",route="none"} 1.0' in text
    assert 'dicom_node_engine_up{engine="0"} 1.0' in text
    for secret in ("Secret", "2.25.1", "2.25.7", "MODALITY"):
        assert secret not in text


def test_the_node_as_its_own_peer_may_verify_and_not_store(node: Node) -> None:
    ae = AE(ae_title="SYNTH")
    ae.add_requested_context(DIGITAL_X_RAY)
    ae.add_requested_context(Verification)
    association = ae.associate("127.0.0.1", node.scp.port, ae_title="SYNTH")
    assert [each.abstract_syntax for each in association.accepted_contexts] == [Verification]
    association.release()


def test_a_node_that_cannot_be_called_is_not_ready(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "TRY_EVERY_S", 0.0)
    (engine,) = node.engines
    monkeypatch.setattr(engine, "alive", False)
    node.scp.stop()
    try:
        status, body = ready(node)
    finally:
        node.scp.start()
    assert status == 503
    works = {part: found["ok"] for part, found in body["parts"].items()}
    assert works == {"dicom": False, "disk": True, "engine-0": False, "ledger": True}
    assert "itself" in body["parts"]["dicom"]["problem"]


def test_a_node_that_speaks_tls_alone_calls_itself_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("node")
    tls = {"certificate": str(pair.certificate), "key": str(pair.key)}
    node = node_of(tmp_path, tls=tls | {"trusted": str(authority.path)})
    try:
        status, body = ready(node)
        assert status == 200, body
        assert 'certificate_expiry_timestamp_seconds{where="tls"}' in metrics(node)
    finally:
        end(node)
