"""Lock, watermark, bell, and what the composition root makes of settings."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from apscheduler.schedulers.background import BackgroundScheduler

from dicom_node import bootstrap
from dicom_node.domain.errors import CapacityError, ConfigurationError
from dicom_node.engine.client import ChildEngine
from dicom_node.network.choosing import AnyStoreClient
from dicom_node.ports import NewVersion, Version
from dicom_node.settings import Settings, load
from dicom_node.supervisor.locking import sole_owner
from dicom_node.supervisor.periodic import Every, Watermark, keep_time, schedule


def test_a_data_folder_has_one_owner_and_the_other_is_told_which(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from dicom_node.supervisor.locking import sole_owner"
        "\nwith sole_owner(Path(sys.argv[1])): print('mine', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "data")]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"mine\n"
        with (
            pytest.raises(ConfigurationError, match=f"process {other.pid}"),
            sole_owner(tmp_path / "data"),
        ):
            pass
        other.kill()
    with sole_owner(tmp_path / "data"):
        pass


def test_a_data_folder_on_a_full_disk_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "node.lock").symlink_to("/dev/full")
    with (
        pytest.raises(CapacityError, match=r"node\.data_dir: .* cannot be written"),
        sole_owner(tmp_path),
    ):
        pass


def test_a_data_folder_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigurationError, match=r"node\.data_dir"),
        sole_owner(tmp_path / "file" / "data"),
    ):
        pass


def test_the_watermark_tells_a_change_once(capfd: pytest.CaptureFixture[str]) -> None:
    free = [500]
    watermark = Watermark(lambda: free[0], 100)
    assert not watermark.run_once(0.0)
    free[0] = 99
    assert watermark.run_once(1.0)
    assert not watermark.run_once(2.0)
    free[0] = 100
    assert watermark.run_once(3.0)
    logged = capfd.readouterr().out
    assert logged.count("too full") == 1
    assert logged.count("room again") == 1


def test_periodic_work_goes_on_when_the_clock_is_set_back_a_year() -> None:
    scheduler, done = BackgroundScheduler(timezone="UTC"), threading.Event()
    scheduler.add_job(done.set, Every(3600.0), id="work")
    assert not keep_time(scheduler), "it does not run yet"
    scheduler.start()
    try:
        assert not keep_time(scheduler)
        scheduler.modify_job("work", next_run_time=datetime.now(UTC) + timedelta(days=365))
        assert keep_time(scheduler)
        assert done.wait(10)
        assert scheduler.get_job("work").next_run_time - datetime.now(UTC) < timedelta(hours=2)
    finally:
        scheduler.shutdown()


def test_periodic_work_is_done_once_when_the_clock_jumps_from_1970_to_today() -> None:
    now = datetime.now(UTC)
    assert Every(30.0).get_next_fire_time(datetime.fromtimestamp(0, UTC), now) == (
        now + timedelta(seconds=30)
    )


def test_a_bell_wakes_everybody_who_listens() -> None:
    bell = bootstrap.Bell()
    first, second = bell.listen(), bell.listen()
    bell.ring()
    assert first.is_set()
    assert second.is_set()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "weights").write_bytes(b"abc")
    values = {
        "node": {"ae_title": "SYNTH", "port": 0, "data_dir": "data"},
        "destinations": [
            {"name": name, "ae_title": name.upper(), "host": "127.0.0.1", "port": 104}
            for name in ("one", "two")
        ],
        "view_sets": {"left": {"views": [{"primary_deg": 90}]}},
        "models": {"chest": {"path": "weights"}},
        "routes": [
            {
                "name": "all",
                "when": {"attribute": "Modality", "equals": "DX"},
                "synthesize": {"model": "chest", "views": "left"},
                "send_to": ["one"],
            }
        ],
        "retention": {"min_free_bytes": 0, "keep_s": 77},
    }
    (tmp_path / "node.yaml").write_text(yaml.safe_dump(values))
    return load(tmp_path / "node.yaml")


def test_a_node_is_built_of_the_real_parts_and_nothing_runs(settings: Settings) -> None:
    node = bootstrap.build(settings)
    try:
        assert isinstance(node.client, AnyStoreClient)
        (engine,) = node.engines
        assert isinstance(engine, ChildEngine)
        assert not engine.alive
        assert node.scp.associations == 0
        assert [outlet.destination.name for outlet in node.outlets.now] == ["one", "two"]
        # SHA-256 of "abc" (FIPS 180-2, appendix B.1).
        digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        assert node.planning.rules.now.weights == {"chest": digest}
        assert node.retaining.keep_s == 77
        jobs = {job.id: job.trigger.interval.total_seconds() for job in schedule(node).get_jobs()}
        assert jobs == {
            "recovering": 30,
            "sweeping": 1800,
            "retaining": 3600,
            "watermark": 60,
            "certificates": 86400,
        }
    finally:
        node.ledger.close()


def test_every_part_that_acts_can_be_replaced(settings: Settings) -> None:
    class Silent:
        def close(self) -> None: ...

        def record_version(self, version: NewVersion, now: float) -> Version:
            return Version(number=7, version=version, at=now, parent=None)

    spool, ledger, engines, client = Silent(), Silent(), [Silent(), Silent()], Silent()
    node = bootstrap.build(
        settings,
        clock=lambda: 1.0,
        spool=spool,  # type: ignore[arg-type]
        ledger=ledger,  # type: ignore[arg-type]
        engines=engines,  # type: ignore[arg-type]
        client=client,  # type: ignore[arg-type]
    )
    assert node.clock() == 1.0
    assert (node.spool, node.ledger, node.client) == (spool, ledger, client)
    assert list(node.engines) == engines
    assert node.planning.rules.now.version == 7
    assert not (settings.node.data_dir / bootstrap.SPOOL_FOLDER).exists()


def test_weights_that_are_not_there_are_a_configuration_error(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "weights").unlink()
    with pytest.raises(ConfigurationError, match=r"models\.chest\.path"):
        bootstrap.build(settings)
