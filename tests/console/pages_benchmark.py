"""Measure every page of the console on a ledger with 10,000 jobs.

    python -m tests.console.pages_benchmark --out pages

The real console is served on the loopback over a ledger of SQLite with the images, views,
deliveries and events of the jobs, and a browser logs in. Written is OUT.json: for every page the
bytes of the answer and the milliseconds from the request to its last byte, median and worst of
many, of which cpu_ms on a core (the rest is waiting, for other work on the machine too), and in
chromium, with nothing kept of before, all bytes that came and the milliseconds until it was loaded.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from dicom_node.domain.accounts import Role
from dicom_node.domain.errors import EngineError
from dicom_node.domain.jobs import JobState
from tests.console.browsing import CHROMIUM, chromium, logged_in, served
from tests.console.crowd import copies
from tests.console.routing import a_desk

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.console.conftest import Bench

JOBS: Final = 10_000
QUEUED: Final = 500
QUARANTINED: Final = 100
EVERY_S: Final = 20.0
"""Between one radiograph and the next: a busy hospital's."""

MODELS: Final = "  chest: {path: weights}\n"


def fill(bench: Bench) -> str:
    """Ten thousand jobs: done ones, some in quarantine, some that wait; the key of one done."""
    done = bench.done(1, AccessionNumber="A1")
    bench.receive(2)
    bench.node.plan()
    bench.node.engine.failures = [EngineError("the engine ended with signal 9")] * 9
    while bench.ledger.jobs()[0].job.state is not JobState.QUARANTINED:
        bench.node.synthesize()
        bench.clock.now += 500
    bench.node.engine.failures = []
    stuck = bench.ledger.jobs()[0].job.key
    bench.receive(3)
    bench.node.plan()
    waiting = bench.ledger.jobs()[0].job.key
    copies(bench, done, JOBS - QUEUED - QUARANTINED - 3, "done", every_s=EVERY_S)
    copies(bench, stuck, QUARANTINED, "quarantined", every_s=EVERY_S)
    copies(bench, waiting, QUEUED, "queued", every_s=EVERY_S)
    return done


def asked(address: str, path: str, cookie: str, times: int) -> dict[str, Any]:
    """What the server takes for a page."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    took_ms, cpu_ms, size = [], [], 0
    for _ in range(times + 1):
        began, cpu_began = time.perf_counter(), time.process_time()
        connection.request("GET", path, headers={"Cookie": cookie})
        answer = connection.getresponse()
        body = answer.read()
        took_ms.append(1000 * (time.perf_counter() - began))
        cpu_ms.append(1000 * (time.process_time() - cpu_began))
        size = len(body) + len(str(answer.headers).encode())
        if answer.status != 200:
            raise RuntimeError(f"{path} was answered with {answer.status}")
    connection.close()
    settled = took_ms[1:]
    return {
        "median_ms": round(statistics.median(settled), 1),
        "worst_ms": round(max(settled), 1),
        "first_ms": round(took_ms[0], 1),
        "cpu_ms": round(statistics.median(cpu_ms[1:]), 1),
        "bytes": size,
    }


def loaded(browser: Browser, address: str, path: str, state: Any) -> dict[str, Any]:
    """What a browser that has nothing yet takes for a page."""
    context = browser.new_context(base_url=address, storage_state=state)
    page = context.new_page()
    page.goto(path, wait_until="load")
    found: dict[str, Any] = page.evaluate(
        """() => {
            const [page] = performance.getEntriesByType('navigation')
            const all = [page, ...performance.getEntriesByType('resource')]
            return {
                loaded_ms: Math.round(page.loadEventStart),
                all_bytes: all.reduce((sum, each) => sum + each.transferSize, 0),
                requests: all.length,
            }
        }"""
    )
    context.close()
    return found


def machine() -> str:
    """What this was measured on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.machine()
    return f"{os.cpu_count()} cores of {name}, Python {platform.python_version()}"


def run(folder: Path, times: int) -> dict[str, Any]:
    """All pages."""
    with a_desk(folder) as desk, chromium() as browser:
        desk.site.write(MODELS, f"{MODELS}  bundled: {{path: bundled}}\n")
        job = fill(desk.bench)
        pages = ["/", "/jobs", f"/jobs/{job}", "/images", "/images/1", "/quarantine", "/routes"]
        pages += ["/peers", "/destinations", "/models"]
        with served(desk.bench) as address:
            page = logged_in(browser, desk.bench, address, "ada", Role.ADMIN)
            cookies = page.context.cookies()
            cookie = "; ".join(f"{each['name']}={each['value']}" for each in cookies)  # type: ignore[typeddict-item]
            state = page.context.storage_state()
            page.context.close()
            measured = {
                path.replace(job, "KEY"): asked(address, path, cookie, times)
                | loaded(browser, address, path, state)
                for path in pages
            }
    return {
        "jobs": JOBS,
        "queued": QUEUED,
        "quarantined": QUARANTINED,
        "times": times,
        "machine": machine(),
        "load": round(os.getloadavg()[0], 1),
        "pages": measured,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=30, help="how often each page is asked for")
    parser.add_argument("--out", type=Path, default=Path("pages"), help="without a suffix")
    arguments = parser.parse_args()
    if CHROMIUM is None:
        parser.error("needs chromium (Debian: chromium) on this machine")
    with tempfile.TemporaryDirectory(prefix="pages-") as folder:
        result = run(Path(folder), arguments.times)
    text = json.dumps(result, indent=1)
    arguments.out.with_suffix(".json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
