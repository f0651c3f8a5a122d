"""The end of a node: in time, whatever it does."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

STARTING = """
import os, sys, threading, time
from dicom_node.supervisor.serving import _no_later_than
from dicom_node.supervisor.signals import stop_on_signal
stop = threading.Event()
with stop_on_signal(stop), _no_later_than(0.5, stop):
    print("ready", flush=True)
    {work}
    time.sleep(60)  # as a start does that waits for its database
"""

NOBODY_READS = """
    os.set_blocking(1, True)
    threading.Thread(target=lambda: os.write(1, bytes(1 << 20)), daemon=True).start()
    threading.Thread(target=lambda: print("x" * (1 << 20)), daemon=True).start()
"""


@pytest.mark.parametrize("work", ["", NOBODY_READS.strip()], ids=["starting", "log unread"])
def test_a_node_ends_in_time_whatever_it_does(work: str) -> None:
    code = STARTING.format(work=work)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stdout.read(6) == b"ready\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


LEAVING = """
import atexit, threading, time
from dicom_node.supervisor import logs
from dicom_node.supervisor.serving import _leave
logs.configure()
atexit.register(lambda: time.sleep(60))  # as on a machine that has no time to spare
{work}
print("the last line")
_leave(3)
"""
HANGING = "threading.Thread(target=time.sleep, args=(60,), name='of a dead association').start()"


@pytest.mark.parametrize("work", ["", HANGING], ids=["at rest", "a thread hangs"])
def test_a_node_that_has_stopped_is_gone_at_once_and_everything_it_said_is_written(
    work: str,
) -> None:
    """A busy machine needs seconds to tidy up an interpreter, and supervisors kill in time."""
    code = LEAVING.format(work=work)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=40, check=False
    )
    assert done.returncode == 3
    first, *warnings = done.stdout.splitlines()
    assert first == "the last line"
    assert [json.loads(line)["event"] for line in warnings] == (
        ["threads of broken associations are left behind"] if work else []
    )
