"""The section about being watched."""

from __future__ import annotations

from dicom_node.settings.fields import Flag, Host, Port, Section

__all__ = ["MonitoringSettings"]


class MonitoringSettings(Section):
    """A port of its own for Prometheus (/metrics) and health checks (/health/live, /health/ready).

    What it says holds no patient data; it is plain HTTP, for the network of those who watch.
    """

    enabled: Flag = False
    """Listen."""
    host: Host = "127.0.0.1"
    """Address to listen on."""
    port: Port = 9464
    """Port to listen on; 0 picks a free one, which the node_ready line tells."""
