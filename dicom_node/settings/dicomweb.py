"""The section about those who store by HTTP."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dicom_node.settings.fields import Flag, Host, Networks, Port, Section

__all__ = ["DicomWebSettings"]


class DicomWebSettings(Section):
    """STOW-RS (PS3.18 10.5) beside C-STORE: POST to /dicom-web/studies. Peers with a token may."""

    enabled: Flag = False
    """Listen."""
    host: Host = "127.0.0.1"
    """Address to listen on."""
    port: Port = 8043
    """Port to listen on; 0 picks a free one, which the node_ready line tells."""
    tls: Flag = False
    """Speak TLS with the files of the tls section, so that callers show a certificate; false is
    plain HTTP, for a proxy with TLS before it."""
    trusted_proxies: Networks = ()
    """Addresses of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    max_request_bytes: Annotated[int, Field(strict=True, ge=1_000_000)] = 2_147_483_648
    """Longest request, of all its instances together; one of them as node.max_image_bytes says."""
    max_requests: Annotated[int, Field(strict=True, ge=1, le=1000)] = 16
    """Connections served at one time; more are told to come again later."""
