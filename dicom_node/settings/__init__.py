"""The configuration: one typed, frozen value, read once at the edge.

`load` reads a file and reports all its problems at once; `Settings` holds what the file says and
converts to the domain; the composition root takes it apart.
"""

from dicom_node.settings.loading import json_schema, load, load_text, problems_in
from dicom_node.settings.origin import Origin, text_digest
from dicom_node.settings.root import Settings

__all__ = [
    "Origin",
    "Settings",
    "json_schema",
    "load",
    "load_text",
    "problems_in",
    "text_digest",
]
