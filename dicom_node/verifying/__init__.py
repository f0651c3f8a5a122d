"""Whether the rows of the ledger and the files of the spool fit each other. Nothing is changed."""

from dicom_node.verifying.checking import verify
from dicom_node.verifying.findings import Finding, Kind, Report

__all__ = ["Finding", "Kind", "Report", "verify"]
