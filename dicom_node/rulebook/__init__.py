"""The configuration while the node runs: its file, its versions, and the rules that come of it.

The file is the source of truth. What it says is checked as a whole and then put in force as a
whole; what a person changes elsewhere is written into the file first.
"""

from dicom_node.rulebook.applying import Applying, Prepared, prepare, written_down
from dicom_node.rulebook.book import Rulebook
from dicom_node.rulebook.desk import Desk
from dicom_node.rulebook.previewing import Previewing

__all__ = ["Applying", "Desk", "Prepared", "Previewing", "Rulebook", "prepare", "written_down"]
