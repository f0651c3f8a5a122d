"""Dashboard and alert rules ask for figures that the node has, and Prometheus takes them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from dicom_node.monitoring.metrics import Metrics
from tests.monitoring.test_metrics import Counted, gauges

FOLDER = Path(__file__).parents[2] / "deploy" / "monitoring"

promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)"
)


def known() -> set[str]:
    """Names of samples, and of families before they have one."""
    registry = gauges(Counted()).registry
    names: set[str] = set()
    for family in registry.collect():
        names |= {sample.name for sample in family.samples}
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
        names |= {family.name + end for end in suffixes.get(family.type, ("",))}
    return names


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    return found


def shown() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def expressions() -> list[str]:
    rules = yaml.safe_load((FOLDER / "alerts.yml").read_text())
    return [*shown(), *(rule["expr"] for group in rules["groups"] for rule in group["rules"])]


def test_every_figure_that_is_asked_for_exists() -> None:
    asked = {name for text in expressions() for name in re.findall(r"dicom_node_\w+", text)}
    assert len(asked) > 20
    assert asked - known() == set()


def test_every_figure_of_the_node_is_shown() -> None:
    own = {family.name for family in gauges(Counted()).registry.collect()}
    unseen = {name for name in own if name not in "".join(shown())}
    assert unseen == {
        "dicom_node_process_max_fds",
        "dicom_node_process_start_time_seconds",
        "dicom_node_process_virtual_memory_bytes",
    }


def test_panels_have_a_place_of_their_own() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for cell in product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        ):
            assert cell not in taken, f"{panel['title']} lies on {taken[cell]}"
            taken[cell] = panel["title"]
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_labels_hold_names_of_the_configuration_and_of_the_code() -> None:
    labels = {
        name
        for family in gauges(Counted()).registry.collect()
        for sample in family.samples
        for name in sample.labels
    }
    for metric in vars(Metrics()).values():
        labels |= set(getattr(metric, "_labelnames", ()))
    of_the_configuration = {"destination", "model", "route", "where"}
    of_the_code = {"decision", "engine", "outcome", "queue", "reason", "state", "status"}
    of_the_code |= {"version"}
    assert labels == of_the_configuration | of_the_code


@promtool
def test_prometheus_takes_configuration_and_rules() -> None:
    done = subprocess.run(
        ["promtool", "check", "config", "prometheus.yml"], cwd=FOLDER, capture_output=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@promtool
def test_the_alerts_come_when_they_should_and_only_then() -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", "alerts.test.yml"], cwd=FOLDER, capture_output=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
