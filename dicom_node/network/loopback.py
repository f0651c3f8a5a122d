"""The node calling itself, to see that it can be called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dicom_node.domain.routes import Destination, Peer
from dicom_node.domain.security import DestinationTls
from dicom_node.network.associations import Timeouts
from dicom_node.network.scu import PynetStoreClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicom_node.domain.security import TlsFiles

__all__ = ["SELF", "loopback_echo", "ourselves"]

SELF: Final = "itself"
"""Name of the node among its own peers."""

_QUICK: Final = Timeouts(connect_s=2.0, acse_s=5.0, dimse_s=5.0, network_s=5.0)

_EVERYWHERE: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def _address(host: str) -> str:
    """Where one who listens on ``host`` can be called from the same machine."""
    return _EVERYWHERE.get(host, host)


def ourselves(ae_title: str, host: str) -> Peer:
    """The node as a peer of its own: it may call for C-ECHO, from its own address, and no more."""
    return Peer(name=SELF, ae_title=ae_title, host=_address(host), may_send=False, may_commit=False)


def loopback_echo(
    ae_title: str, host: str, port: Callable[[], int], tls: Callable[[], TlsFiles | None]
) -> Callable[[], float]:
    """A C-ECHO to ourselves; it gives the seconds it took.

    Args:
        ae_title: Ours.
        host: We listen on.
        port: We listen on now.
        tls: What that port is secured with; None when it is plain.

    Returns:
        Raises PeerError when there is no answer.
    """
    client = PynetStoreClient(ae_title, timeouts=_QUICK)

    def echo() -> float:
        files = tls()
        return client.echo(
            Destination(
                name=SELF,
                ae_title=ae_title,
                host=_address(host),
                port=port(),
                tls=None if files is None else DestinationTls(files=files, check_host=False),
            )
        )

    return echo
