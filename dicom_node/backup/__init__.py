"""Backups of ledger and spool: taken while the node runs, restored into an empty folder.

A backup is a folder, or a tar file of the same::

    backup.json            what it is: `Manifest`
    SHA256SUMS             every other file, as ``sha256sum --check`` reads it
    ledger/images.jsonl    one file a table: a line with the columns, then a line a row
    spool/ab/ab12....dcm   the files that these rows claim, by content

The rows are of one moment, whichever database they came from, and go into either database.
"""

from dicom_node.backup.manifest import Manifest
from dicom_node.backup.restoring import Restored, restore
from dicom_node.backup.taking import Taken, take

__all__ = ["Manifest", "Restored", "Taken", "restore", "take"]
