from __future__ import annotations

from dicom_node.domain.routes import Peer
from dicom_node.network.peers import NotAPeer, PeerList, resolve_host

HOSTS = {"ct.hospital": frozenset({"10.0.0.5", "fd00::5"})}


def peers(*found: Peer) -> PeerList:
    return PeerList(peers=found, resolve=lambda host: HOSTS.get(host, frozenset()))


def test_a_peer_is_known_by_ae_title_and_address() -> None:
    known = peers(Peer(name="a", ae_title="A", host="10.0.0.1"))
    assert isinstance(known.find("A", "10.0.0.1"), Peer)
    assert known.find("A", "10.0.0.2") is NotAPeer.UNKNOWN
    assert known.find("B", "10.0.0.1") is NotAPeer.UNKNOWN


def test_nobody_is_known_where_no_peer_is_configured() -> None:
    assert peers().find("A", "10.0.0.1") is NotAPeer.UNKNOWN


def test_a_peer_without_host_may_call_from_anywhere() -> None:
    assert isinstance(peers(Peer(name="a", ae_title="A", host=None)).find("A", "203.0.113.9"), Peer)


def test_a_host_name_stands_for_all_its_addresses() -> None:
    known = peers(Peer(name="ct", ae_title="CT", host="ct.hospital"))
    assert isinstance(known.find("CT", "10.0.0.5"), Peer)
    assert isinstance(known.find("CT", "fd00:0:0::5"), Peer)
    assert known.find("CT", "10.0.0.6") is NotAPeer.UNKNOWN


def test_a_host_name_that_nobody_knows_lets_nobody_in() -> None:
    assert (
        peers(Peer(name="x", ae_title="X", host="gone.hospital")).find("X", "10.0.0.5")
        is NotAPeer.UNKNOWN
    )


def test_an_ipv4_caller_over_ipv6_is_the_same_caller() -> None:
    known = peers(Peer(name="a", ae_title="A", host="10.0.0.1"))
    assert isinstance(known.find("A", "::ffff:10.0.0.1"), Peer)


def test_padding_of_an_ae_title_does_not_count_but_case_does() -> None:
    known = peers(Peer(name="a", ae_title="Ct1", host=None))
    assert isinstance(known.find(" Ct1  ", "10.0.0.1"), Peer)
    assert known.find("CT1", "10.0.0.1") is NotAPeer.UNKNOWN


def test_two_peers_may_share_an_ae_title() -> None:
    known = peers(
        Peer(name="one", ae_title="A", host="10.0.0.1"),
        Peer(name="two", ae_title="A", host="10.0.0.2"),
    )
    found = known.find("A", "10.0.0.2")
    assert found is not None
    assert found.name == "two"


def test_the_system_resolves_localhost_and_no_nonsense() -> None:
    assert resolve_host("localhost") & {"127.0.0.1", "::1"}
    assert resolve_host("no-such-host.invalid") == frozenset()
