"""The main job on one machine, from a real radiograph to a picture of the views made from it.

The node runs as it does in earnest, in a process of its own, started by ``serve`` with a written
configuration; so does a small archive. They are joined by nothing but DICOM.
"""

from dicom_node.demo.configuration import VIEW_SETS
from dicom_node.demo.running import run

__all__ = ["VIEW_SETS", "run"]
