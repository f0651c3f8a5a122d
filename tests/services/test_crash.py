"""The power fails anywhere on the path of an image, as often as it likes.

Whatever was acknowledged ends as a delivered series; no SOP Instance UID is delivered with two
contents; nothing is delivered under two UIDs.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dicom_node.domain.deliveries import DeliveryState
from dicom_node.domain.jobs import JobState
from tests.fakes.power import CutAt, PowerCut
from tests.fakes.radiographs import received

if TYPE_CHECKING:
    from tests.services.node import Node

POINTS = [
    ("receiving", "spool", "put"),
    ("receiving", "ledger", "record_image"),
    ("planning", "ledger", "unplanned"),
    ("planning", "ledger", "record_decision"),
    ("synthesizing", "ledger", "lease_job"),
    ("synthesizing", "engine", "synthesize"),
    ("synthesizing", "spool", "put"),
    ("synthesizing", "ledger", "finish_job"),
    ("delivering", "ledger", "lease_delivery"),
    ("delivering", "spool", "read"),
    ("delivering", "client", "send"),
    ("delivering", "ledger", "record_outcome"),
    ("delivering", "ledger", "finish_delivery"),
]


def service(node: Node, name: str) -> Any:
    found = getattr(node, name)
    return found() if name == "delivering" else found


def run_until_the_power_fails(node: Node, where: str, port: str, method: str, after: bool) -> None:
    """Run the path in order with one service's port rigged; that service is where it ends."""
    steps = ["receiving", "planning", "synthesizing", "delivering"]
    for step in steps[: steps.index(where)]:
        if step == "receiving":
            node.receiving.receive(received(1))
        else:
            service(node, step).run_once(node.clock())
    rigged = service(node, where)
    rigged = replace(rigged, **{port: CutAt(getattr(rigged, port), method, after=after)})
    with pytest.raises(PowerCut):
        if where == "receiving":
            rigged.receive(received(1))
        else:
            rigged.run_once(node.clock())


def check_delivered_once(node: Node, images: int) -> None:
    rows = node.ledger.jobs()
    assert len(rows) == images
    assert {row.job.state for row in rows} <= {JobState.DONE}
    published = {}
    for row in rows:
        (delivery,) = row.deliveries
        assert delivery.delivery.state is DeliveryState.CLOSED
        assert (delivery.instances, delivery.stored) == (2, 2)
    stored = node.archive.stored
    assert len(stored) == 2 * images
    for uid, digests in stored.items():
        assert len(set(digests)) == 1, "one UID, two contents"
        published[uid] = digests[0]
    assert len(set(published.values())) == 2 * images, "one content, two UIDs"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("where", "port", "method"), POINTS)
def test_a_power_cut_at_any_point_loses_nothing_and_doubles_nothing(
    node: Node, where: str, port: str, method: str, after: bool
) -> None:
    run_until_the_power_fails(node, where, port, method, after)
    node.clock.advance(7.0)  # so that a second synthesis has other bytes
    restarted = node.restarted()
    if where == "receiving":
        restarted.receiving.receive(received(1))  # the sender got no answer
    restarted.run_to_rest()
    check_delivered_once(restarted, images=1)


@pytest.mark.parametrize("seed", range(4))
def test_a_node_that_is_cut_at_random_delivers_every_acknowledged_image_once(
    node: Node, seed: int
) -> None:
    rng = random.Random(seed)
    waiting, acknowledged = list(range(1, 6)), 0
    for _ in range(300):
        if rng.random() < 0.35:
            where, port, method = rng.choice(POINTS)
            rigged = service(node, where)
            cut = CutAt(
                getattr(rigged, port), method, after=rng.random() < 0.5, nth=rng.randint(1, 2)
            )
            chosen = replace(rigged, **{port: cut})
        else:
            where = rng.choice(["receiving", "planning", "synthesizing", "delivering"])
            chosen = service(node, where)
        try:
            if where == "receiving":
                if waiting:
                    chosen.receive(received(waiting[0]))
                    waiting.pop(0)
                    acknowledged += 1
            else:
                chosen.run_once(node.clock())
        except PowerCut:
            node.clock.advance(rng.uniform(0.0, 50.0))
            node = node.restarted()
    assert acknowledged == 5
    node.run_to_rest()
    check_delivered_once(node, images=5)
