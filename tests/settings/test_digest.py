"""The identity of a route: what counts as the same work."""

from __future__ import annotations

from typing import Any

import pytest

from dicom_node.settings import Settings

ROUTE = "    send_to: [pacs]\n"


def _digest(settings: Settings) -> str:
    return settings.to_routes()[0].digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    priority: 5\n", "    priority: 9\n"),
        ("    priority: 5\n", ""),
        (", samples: 1, steps: null", ""),
        (ROUTE, ROUTE + "    enabled: true\n"),
        (", skip_source: true", ""),
        ("from_deg: -90, ", "from_deg: -90.0, "),
        ("port: 4242", "port: 4243"),
        ("path: bundled", "path: other.safetensors"),
    ],
)
def test_what_does_not_change_the_work_keeps_the_digest(
    load_text: Any, specified: str, old: str, new: str
) -> None:
    assert old in specified
    changed = load_text(specified.replace(old, new))
    assert _digest(changed) == _digest(load_text(specified))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: frontal-chest", "name: chest"),
        ("one_of: [PA, AP]", "one_of: [PA]"),
        ("samples: 1", "samples: 2"),
        ("steps: null", "steps: 4"),
        ("steps: null", "min_consistency: 0.5"),
        ("steps: null", "allow_ineligible: true"),
        ("step_deg: 30", "step_deg: 15"),
        ("skip_source: true", "skip_source: false"),
        ("views: sweep-30", "views: lateral-left"),
    ],
)
def test_what_changes_the_work_changes_the_digest(
    load_text: Any, specified: str, old: str, new: str
) -> None:
    assert old in specified
    changed = load_text(specified.replace(old, new))
    assert _digest(changed) != _digest(load_text(specified))


def test_digests_stay_the_same_from_release_to_release(load_text: Any, specified: str) -> None:
    """A new digest would make every radiograph that is sent again a new series."""
    assert _digest(load_text(specified)) == (
        "415bd0b5928bca4237fe99ffd5f86afcc41e3376e73669439e7c35922093b8b4"
    )
