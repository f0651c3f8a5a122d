"""How often and how many times at once a peer may come, told by a clock that is set by hand."""

from __future__ import annotations

import pytest

from dicom_node.domain.routes import Peer
from dicom_node.network.admission import Admission, Refusal
from dicom_node.network.peers import PeerList


class Visitor:
    """An association that is over when it is told so."""

    def __init__(self) -> None:
        self.alive = True

    def is_alive(self) -> bool:
        return self.alive


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def admission(clock: Clock | None = None, **limits: int) -> tuple[Admission, Clock]:
    peer = Peer(name="ct", ae_title="CT", host="10.0.0.0/8", **limits)  # type: ignore[arg-type]
    other = Peer(name="mr", ae_title="MR")
    clock = clock or Clock()
    return Admission(PeerList(peers=(peer, other)), now=clock), clock


def come(to: Admission, visitor: Visitor | None = None, ae_title: str = "CT") -> Peer | Refusal:
    return to.admit(visitor or Visitor(), ae_title, "10.1.1.1", None)


def told(answer: Peer | Refusal) -> tuple[int, int, int] | None:
    """PS3.8 Table 9-21: result, source, reason."""
    if isinstance(answer, Peer):
        return None
    return answer.result, answer.source, answer.diagnostic


def test_a_stranger_is_rejected_for_good_and_learns_nothing() -> None:
    door, _ = admission()
    assert told(door.admit(Visitor(), "XX", "10.1.1.1", None)) == (1, 1, 3)
    assert told(door.admit(Visitor(), "CT", "192.0.2.1", None)) == (1, 1, 3)


def test_a_peer_with_all_its_associations_open_is_rejected_until_one_ends() -> None:
    door, _ = admission(max_associations=2)
    first = Visitor()
    assert told(come(door, first)) is None
    assert told(come(door)) is None
    assert told(come(door)) == (2, 3, 2)
    assert told(come(door, ae_title="MR")) is None
    first.alive = False
    assert told(come(door)) is None


def test_a_peer_that_calls_too_often_is_rejected_until_a_minute_has_passed() -> None:
    door, clock = admission(associations_per_minute=3)
    for _ in range(3):
        assert told(come(door)) is None
        clock.now += 1
    assert told(come(door)) == (2, 3, 1)
    assert told(come(door, ae_title="MR")) is None
    clock.now = 1060.0
    assert told(come(door)) is None
    assert told(come(door)) == (2, 3, 1)


@pytest.mark.parametrize("per_minute", [1, 5])
def test_images_over_the_limit_wait_for_the_next_minute(per_minute: int) -> None:
    door, clock = admission(images_per_minute=per_minute)
    peer = come(door)
    assert isinstance(peer, Peer)
    taken = 0
    for _ in range(180):  # three minutes, one attempt a second
        taken += door.may_store(peer)
        clock.now += 1
    assert taken == 3 * per_minute


def test_without_limits_nobody_is_counted() -> None:
    door, _ = admission()
    peer = come(door)
    assert isinstance(peer, Peer)
    assert all(door.may_store(peer) for _ in range(1000))
    assert all(told(come(door)) is None for _ in range(1000))
