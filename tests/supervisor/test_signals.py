from __future__ import annotations

import signal
import subprocess
import sys

STORM = """
import os, random, signal, sys, threading
from queue import SimpleQueue
from dicom_node.supervisor.signals import stop_on_signal

go = SimpleQueue()

def send():
    moments = random.Random(1)
    while go.get():
        for _ in range(moments.randrange(400)):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=send, daemon=True).start()
sys.setswitchinterval(1e-6)
for _ in range(3000):
    stop = threading.Event()
    with stop_on_signal(stop):
        go.put(1)
        stop.wait()
print("every signal was seen")
"""


def test_a_signal_at_any_moment_of_the_wait_is_seen() -> None:
    """With a handler that sets the event itself, this hangs within a few thousand signals."""
    done = subprocess.run(
        [sys.executable, "-c", STORM], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "every signal was seen\n", done.stderr


HANG_UP = """
import os, signal, threading
from dicom_node.supervisor.signals import stop_on_signal
stop = threading.Event()
with stop_on_signal(stop):
    os.kill(os.getpid(), signal.SIGHUP)
    print(stop.wait(0.5), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    print(stop.wait(5))
"""


def test_a_service_is_not_ended_by_the_signal_to_read_its_configuration() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANG_UP],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert [line for line in done.stdout.splitlines() if "SIGHUP" not in line] == ["False", "True"]


SECOND = """
import sys, threading, time
from dicom_node.supervisor.signals import stop_on_signal
stop = threading.Event()
with stop_on_signal(stop):
    print("ready", flush=True)
    stop.wait()
    print("stopping", flush=True)
    time.sleep(60)
"""


def test_a_second_signal_ends_the_process_at_once_whatever_it_does() -> None:
    process = subprocess.Popen([sys.executable, "-c", SECOND], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 128 + signal.SIGTERM


def test_afterwards_signals_do_what_they_did_before() -> None:
    code = (
        "import os, signal, threading\n"
        "from dicom_node.supervisor.signals import stop_on_signal\n"
        "with stop_on_signal(threading.Event()): pass\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=20, check=False)
    assert done.returncode == -signal.SIGTERM
