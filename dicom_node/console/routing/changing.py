"""Changes of the configuration, as pages and programs make them: into the file, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dicom_node.console.failures import ConflictError, NotFoundError
from dicom_node.domain.errors import ConfigurationError
from dicom_node.rulebook.editing import edited
from dicom_node.rulebook.edits import MAPPINGS, NOUNS, names_in
from dicom_node.settings import document

if TYPE_CHECKING:
    from fastapi import Request

    from dicom_node.console.parts import Parts
    from dicom_node.ports import Version
    from dicom_node.rulebook import Desk, Rulebook
    from dicom_node.rulebook.book import Conflict, Invalid, Written
    from dicom_node.rulebook.edits import Edit

__all__ = ["Opening", "change", "desk_of", "edited_text", "opening", "raw_route", "version_of"]

_NAME: Final = Path("configuration")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The file as it is now.

    Attributes:
        text: All of it; empty when it cannot be read.
        digest: Of the text.
        data: What it says; empty when it is not YAML.
        problem: Why it cannot be shown in forms; empty when it can.
    """

    text: str
    digest: str
    data: dict[str, Any]
    problem: str = ""

    @property
    def routes(self) -> list[dict[str, Any]]:
        """The routes as they stand there, in order."""
        found = self.data.get("routes")
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []

    def names(self, section: str) -> list[str]:
        """Names of the things in a section."""
        return [name for name in names_in(self.data, section) if name]

    def require(self, section: str, name: str) -> None:
        """Nothing, when there is a thing of this name in a section.

        Raises:
            NotFoundError: There is none.
        """
        if name not in self.names(section):
            raise NotFoundError(f"There is no {NOUNS[section]} {name} in the file any more.")

    def item(self, section: str, name: str) -> dict[str, Any]:
        """A thing of a mapping section; empty when it is not there."""
        found = self.data.get(section) if section in MAPPINGS else None
        item = found.get(name) if isinstance(found, dict) else None
        return item if isinstance(item, dict) else {}


def desk_of(request: Request) -> Desk:
    """Where rules are tried and changed.

    Raises:
        NotFoundError: This node has no configuration file.
    """
    parts: Parts = request.app.state.parts
    if parts.desk is None:
        raise NotFoundError("This node was started without a configuration file.")
    return parts.desk


def opening(book: Rulebook) -> Opening:
    """The file as it is now; one that cannot be read or is no YAML says why."""
    try:
        opened = book.open()
    except ConfigurationError as error:
        return Opening(text="", digest="", data={}, problem=str(error))
    try:
        data = document.parse(opened.text, _NAME).data
    except ConfigurationError as error:
        return Opening(text=opened.text, digest=opened.digest, data={}, problem=str(error))
    if not isinstance(data, dict):
        problem = "The file is no mapping of sections."
        return Opening(text=opened.text, digest=opened.digest, data={}, problem=problem)
    return Opening(text=opened.text, digest=opened.digest, data=data)


def raw_route(found: Opening, name: str) -> dict[str, Any]:
    """A route as it stands in the file.

    Raises:
        NotFoundError: It does not.
    """
    found.require("routes", name)
    return next(each for each in found.routes if str(each.get("name", "")) == name)


def edited_text(book: Rulebook, edit: Edit, *, base: str) -> str:
    """The text that was edited, with the edit made.

    Args:
        book: Of the configuration.
        edit: To make.
        base: Digest of the text that the page showed.

    Raises:
        ConflictError: Nobody remembers that text.
        ConfigurationError: The edit does not fit to it.
    """
    text = book.text_of(base)
    if text is None:
        raise ConflictError("The file has changed since this page was made: load the page again.")
    return edited(text, edit)


def change(
    book: Rulebook, edit: Edit, *, base: str, author: str, comment: str = ""
) -> Written | Invalid | Conflict:
    """Make an edit in the file and put it in force; what came of it.

    Raises:
        ConflictError: Nobody remembers the text that the page showed.
        ConfigurationError: The edit does not fit, or the file cannot be written.
    """
    text = edited_text(book, edit, base=base)
    return book.write(text, base=base, author=author, comment=comment)


def version_of(request: Request, number: int) -> Version:
    """A version.

    Raises:
        NotFoundError: There is none of this number.
    """
    parts: Parts = request.app.state.parts
    found = parts.ledger.version(number) if number < 2**62 else None
    if found is None:
        raise NotFoundError(f"There is no version {number}.")
    return found
