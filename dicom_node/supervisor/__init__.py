"""Starts, watches, drains and stops a node."""

from dicom_node.supervisor.serving import serve

__all__ = ["serve"]
