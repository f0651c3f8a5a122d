"""The response to what we send is for who sent it, however the threads are scheduled."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from pynetdicom.dimse import DIMSEServiceProvider

from dicom_node.domain.deliveries import Outcome
from dicom_node.network.associations import Timeouts
from dicom_node.network.contexts import verification_contexts
from dicom_node.network.pausing import Checkpoint
from dicom_node.network.scu import PynetStoreClient
from tests.network.objects import destination, write_instances
from tests.network.test_scu import Answers, Outcomes, archive

if TYPE_CHECKING:
    from pathlib import Path


class Passing(threading.Thread):
    """Comes by a checkpoint in every turn, and is slow behind it as long as a gate is closed."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.checkpoint: Any = Checkpoint(self)  # type: ignore[arg-type]
        self.gate = threading.Event()
        self.behind = threading.Event()
        self.turns = 0
        self.ends = False

    def run(self) -> None:
        while not self.ends:
            self.checkpoint.wait()
            self.behind.set()
            self.gate.wait(60)
            self.turns += 1
            time.sleep(0.001)


def test_a_thread_that_is_only_passing_by_does_not_count_as_resting() -> None:
    thread = Passing()
    thread.start()
    assert thread.behind.wait(60)
    clearing = threading.Thread(target=thread.checkpoint.clear, daemon=True)
    clearing.start()
    clearing.join(0.3)
    assert clearing.is_alive()
    thread.gate.set()
    clearing.join(60)
    assert not clearing.is_alive()
    turns = thread.turns
    time.sleep(0.1)
    assert thread.turns == turns
    thread.ends = True
    thread.checkpoint.set()
    thread.join(60)
    assert not thread.is_alive()


def test_a_thread_that_has_ended_is_not_waited_for() -> None:
    thread = Passing()
    thread.ends = True
    thread.start()
    thread.join(60)
    thread.checkpoint.clear()
    assert not thread.checkpoint.is_set()


def slow_to_pass(
    monkeypatch: pytest.MonkeyPatch, by_s: float, kind: type[Checkpoint] = Checkpoint
) -> None:
    """Every thread that comes by a checkpoint is slow to do what comes next."""
    real = kind.wait

    def wait(checkpoint: Checkpoint, timeout: float | None = None) -> bool:
        passed = real(checkpoint, timeout)
        time.sleep(by_s)
        return passed

    monkeypatch.setattr(kind, "wait", wait)


def test_no_answer_is_lost_to_the_thread_of_the_association(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That thread passes its resting place slowly, and who sent something is slow to listen."""
    real = DIMSEServiceProvider.get_msg
    slow_to_pass(monkeypatch, 0.05)

    def listen(provider: Any, block: bool = False) -> Any:
        if block and provider.assoc.is_requestor:
            time.sleep(0.2)
        return real(provider, block)

    monkeypatch.setattr(DIMSEServiceProvider, "get_msg", listen)
    client = PynetStoreClient("SYNTH", timeouts=Timeouts(connect_s=60, acse_s=60, dimse_s=5))
    outcomes = Outcomes()
    with archive(Answers()) as port:
        client.send(destination(port), write_instances(tmp_path, 5), outcomes)
    assert outcomes == [(number, Outcome.STORED, 0) for number in range(5)]


def test_a_thread_that_rests_is_not_taken_for_running_because_another_served_a_report() -> None:
    """So pynetdicom writes at the end of each; whoever would release then turned in a circle."""
    client = PynetStoreClient("SYNTH", timeouts=Timeouts(connect_s=60, acse_s=60, dimse_s=60))
    with (
        archive(Answers()) as port,
        client.associated(destination(port), verification_contexts()) as association,
    ):
        association._reactor_checkpoint.clear()
        association._is_paused = False
        assert association._is_paused
        association._reactor_checkpoint.set()
    assert association.is_released


def test_an_association_that_has_ended_holds_nobody_up() -> None:
    client = PynetStoreClient("SYNTH", timeouts=Timeouts(connect_s=60, acse_s=60, dimse_s=60))
    with (
        archive(Answers()) as port,
        client.associated(destination(port), verification_contexts()) as association,
    ):
        association.abort()
        association.join(60)
        association._is_paused = False
        association._reactor_checkpoint.clear()
        assert association._is_paused
