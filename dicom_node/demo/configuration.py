"""The configuration the demo's node runs with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

__all__ = [
    "ARCHIVE_AE_TITLE",
    "DEFAULT_VIEWS",
    "MODALITY_AE_TITLE",
    "NODE_AE_TITLE",
    "VIEW_SETS",
    "configuration",
]

NODE_AE_TITLE: Final = "SYNTH"
ARCHIVE_AE_TITLE: Final = "ARCHIVE"
MODALITY_AE_TITLE: Final = "MODALITY"

DEFAULT_VIEWS: Final = "sweep-30"


def _sweep(from_deg: float, to_deg: float, step_deg: float) -> dict[str, Any]:
    return {"azimuth": {"from_deg": from_deg, "to_deg": to_deg, "step_deg": step_deg}}


VIEW_SETS: Final[dict[str, dict[str, Any]]] = {
    DEFAULT_VIEWS: _sweep(-90, 90, 30),
    "sweep-15": _sweep(-90, 90, 15),
    "obliques": _sweep(-45, 45, 45),
    "laterals": _sweep(-90, 90, 90),
    "turn-30": _sweep(-150, 180, 30),
}
"""What ``--views`` may name: 6, 12, 2, 2 and 11 views."""


def configuration(*, views: str, model: str, data_dir: Path, archive_port: int) -> dict[str, Any]:
    """Plain data of a whole configuration file.

    Args:
        views: A key of `VIEW_SETS`.
        model: Path of a checkpoint, or ``bundled``.
        data_dir: Where the node keeps its data.
        archive_port: Of the archive on this machine.
    """
    here = "127.0.0.1"
    return {
        "node": {"ae_title": NODE_AE_TITLE, "host": here, "port": 0, "data_dir": str(data_dir)},
        "peers": [{"name": "modality", "ae_title": MODALITY_AE_TITLE, "host": here}],
        "destinations": [
            {
                "name": "archive",
                "ae_title": ARCHIVE_AE_TITLE,
                "host": here,
                "port": archive_port,
                "retry": {"first_s": 1, "factor": 2, "max_s": 10, "attempts": 5},
            }
        ],
        "view_sets": VIEW_SETS,
        "models": {"chest": {"path": model}},
        "routes": [
            {
                "name": "frontal-chest",
                "when": {
                    "all": [
                        {"attribute": "Modality", "one_of": ["CR", "DX"]},
                        {
                            "any": [
                                {"attribute": "BodyPartExamined", "matches": "CHEST|THORAX"},
                                {"attribute": "StudyDescription", "matches": "CHEST|THORAX"},
                            ]
                        },
                        {"attribute": "ViewPosition", "one_of": ["PA", "AP"]},
                    ]
                },
                "synthesize": {"model": "chest", "views": views},
                "send_to": ["archive"],
            }
        ],
        "retention": {"min_free_bytes": 100_000_000},
    }
