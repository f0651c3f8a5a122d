"""Open associations cost nothing while they are silent, and answer at once when they are not."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import psutil

from dicom_node.network.waking import LONGEST_S, Doorbell
from tests.network.objects import DIGITAL_X_RAY, write_object
from tests.network.test_limits import raw
from tests.network.test_scp import associate, wait_until_free

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dicom_node.network.scp import StorageScp
    from tests.network.conftest import RecordingReceiver

SYNTAX = "1.2.840.10008.1.2.1"
CALLERS = 8


def counting(real: Callable[..., Any], calls: list[object]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        calls.append(real)
        return real(*args, **kwargs)

    return call


def test_a_silent_association_looks_a_few_times_a_second_and_no_more(scp: StorageScp) -> None:
    caller = associate(scp.port)
    (association,) = next(iter(scp._servers.values())).open_associations
    looks: list[object] = []
    for owner, name in (
        (association.dimse, "get_msg"),
        (association.dul, "_process_recv_primitive"),
    ):
        setattr(owner, name, counting(getattr(owner, name), looks))
    time.sleep(1.0)
    seen = len(looks)
    caller.release()
    assert 2 <= seen <= 4 / LONGEST_S, "pynetdicom alone looks about a thousand times in a second"


def test_what_a_silent_association_is_asked_after_all_is_answered_without_a_wait(
    scp: StorageScp, receiver: RecordingReceiver, tmp_path: Path
) -> None:
    caller = associate(scp.port, (DIGITAL_X_RAY, SYNTAX))
    path = write_object(tmp_path / "image.dcm")
    fastest = 60.0
    for _ in range(20):
        began = time.monotonic()
        assert caller.send_c_store(path).Status == 0x0000
        fastest = min(fastest, time.monotonic() - began)
    caller.release()
    assert len(receiver.received) == 20
    assert fastest < LONGEST_S / 2


def test_callers_that_come_and_go_leave_no_descriptor_behind(scp: StorageScp) -> None:
    process = psutil.Process()
    for way in ("release", "abort", "vanish"):
        before = process.num_fds()
        callers = [associate(scp.port) for _ in range(CALLERS)]
        for caller in callers:
            if way == "vanish":
                raw(caller).close()
            else:
                getattr(caller, way)()
        wait_until_free(scp, 10)
        until = time.monotonic() + 10
        while process.num_fds() > before and time.monotonic() < until:
            time.sleep(0.05)
        assert process.num_fds() <= before, way


def test_a_ring_ends_a_wait_and_one_before_it_counts_too() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        bell = Doorbell()
        waited: list[float] = []

        def wait() -> None:
            began = time.monotonic()
            bell.wait_beside(ours)
            waited.append(time.monotonic() - began)

        bell.ring()
        wait()
        thread = threading.Thread(target=wait)
        thread.start()
        bell.ring()
        thread.join(10)
        theirs.send(b"x")
        wait()
        bell.close()
        bell.close()
        bell.ring()
        wait()
        assert len(waited) == 4
        assert waited[0] < LONGEST_S
